//! What it is expected to cost that EC2 takes Spot instances back.
//!
//! The Spot advisor publishes, by region, operating system and type, the share of instances that was taken back within the trailing
//! month, as a *band* such as 5 to 10 %. From there to dollars per hour:
//!
//! - The band's middle stands for the share `p`: nothing says where in it a type is. The band that reaches up to 100 % is open, so its
//!   middle would say more than is known; its lower limit counts, and is the least that is true of it.
//! - Instances live for as long as they live, so the share is taken for the probability of an instance that would run all month, taken
//!   back at a constant rate `r`: `p = 1 - exp(-r T)` with `T` = 730 h, and hence `r = -ln(1 - p) / T`.
//! - An interruption costs what the user says: work done twice, a cache that is cold, somebody who looks. Expected per hour:
//!   `r` times that, rounded up to a micro-dollar, so that a rate above zero never costs nothing.
//!
//! A type without a band counts as one of the worst band. Only Spot offerings bear the cost. EC2 never charges it: it decides between
//! offerings, and plans state it beside what they cost.

use std::collections::BTreeMap;

use crate::domain::catalog::{CapacityType, Catalog};
use crate::domain::money::{HOURS_PER_MONTH, UsdPerHour};
use crate::domain::node_class::AmiFamily;

/// What one interruption costs, in micro-dollars; at least 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RestartCost(i64);

impl RestartCost {
    /// Nothing: interruptions do not matter.
    pub const ZERO: Self = Self(0);
    /// The dearest that is accepted, in micro-dollars: a million dollars, small enough for every sum.
    const DEAREST: i64 = 1_000_000_000_000;

    /// From micro-dollars; `None` below 0 and above a million dollars.
    #[must_use]
    pub fn from_micros(micros: i64) -> Option<Self> {
        (0..=Self::DEAREST).contains(&micros).then_some(Self(micros))
    }

    /// In dollars; for output only.
    #[must_use]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Expected per hour where the share `per_mille` of instances is taken back within a month. See the formula above.
    fn per_hour(self, per_mille: u32) -> UsdPerHour {
        let rate = -(1.0 - f64::from(per_mille) / 1e3).ln() / HOURS_PER_MONTH as f64;
        UsdPerHour::from_micros((rate * self.0 as f64).ceil() as i64)
    }
}

/// The operating systems that the advisor tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Platform {
    /// Every Linux.
    Linux,
    /// Every Windows.
    Windows,
}

impl Platform {
    /// What runs on nodes of that image family.
    #[must_use]
    pub const fn of(family: AmiFamily) -> Self {
        if family.windows_build().is_some() { Self::Windows } else { Self::Linux }
    }

    /// `Linux` or `Windows`, as the advisor writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Linux => "Linux",
            Self::Windows => "Windows",
        }
    }
}

/// Shares of instances that are taken back within a month, in percent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Band {
    /// As the advisor writes it: `5-10%`.
    pub label: String,
    /// Lower limit: the upper one of the band below.
    pub above: u32,
    /// Upper limit; 100 for the band that is open.
    pub up_to: u32,
}

impl Band {
    /// The share that stands for the band, in thousandths: its middle, or the lower limit of the open band.
    fn per_mille(&self) -> u32 {
        if self.up_to >= 100 { self.above * 10 } else { (self.above + self.up_to) * 5 }
    }
}

/// The bands of one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterruptionBands {
    /// The mildest first; at least two, of which the last alone reaches to 100 %.
    pub bands: Vec<Band>,
    /// Index into `bands` by instance type, of nodes with Linux.
    pub linux: BTreeMap<String, usize>,
    /// The same with Windows.
    pub windows: BTreeMap<String, usize>,
}

impl InterruptionBands {
    /// Types that `catalog` sells as Spot and that have no band, by name.
    #[must_use]
    pub fn missing<'a>(&self, platform: Platform, catalog: &'a Catalog) -> Vec<&'a str> {
        let of_platform = self.of_platform(platform);
        let is_spot = |t: &crate::domain::instance_type::InstanceType| {
            t.offerings.iter().any(|offering| offering.capacity_type == CapacityType::Spot)
        };
        let sold = catalog.instance_types.iter().filter(|t| is_spot(t));
        sold.map(|t| t.name.as_str()).filter(|name| !of_platform.contains_key(*name)).collect()
    }

    fn of_platform(&self, platform: Platform) -> &BTreeMap<String, usize> {
        match platform {
            Platform::Linux => &self.linux,
            Platform::Windows => &self.windows,
        }
    }
}

/// Expected cost of interruptions by instance type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterruptionCosts {
    linux: BTreeMap<String, UsdPerHour>,
    windows: BTreeMap<String, UsdPerHour>,
    /// For types without a band.
    otherwise: UsdPerHour,
}

impl InterruptionCosts {
    /// Interruptions cost nothing.
    pub const NONE: Self = Self { linux: BTreeMap::new(), windows: BTreeMap::new(), otherwise: UsdPerHour::ZERO };

    /// What interruptions cost in a region with these bands.
    #[must_use]
    pub fn new(bands: &InterruptionBands, restart: RestartCost) -> Self {
        let costs: Vec<UsdPerHour> = bands.bands.iter().map(|band| restart.per_hour(band.per_mille())).collect();
        let otherwise = costs.iter().copied().max().unwrap_or_default();
        let of = |platform| {
            let cost = |band: &usize| costs.get(*band).copied().unwrap_or(otherwise);
            bands.of_platform(platform).iter().map(|(name, band)| (name.clone(), cost(band))).collect()
        };
        Self { linux: of(Platform::Linux), windows: of(Platform::Windows), otherwise }
    }

    /// Expected per hour of a node with images of `family`.
    #[must_use]
    pub fn of(&self, family: AmiFamily, instance_type: &str, capacity_type: CapacityType) -> UsdPerHour {
        if capacity_type != CapacityType::Spot {
            return UsdPerHour::ZERO;
        }
        let known = match Platform::of(family) {
            Platform::Linux => &self.linux,
            Platform::Windows => &self.windows,
        };
        known.get(instance_type).copied().unwrap_or(self.otherwise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::tests::catalog;
    use crate::domain::instance_type::Architecture;
    use crate::domain::instance_type::tests::sold;

    /// The limits that the advisor publishes.
    fn bands() -> InterruptionBands {
        let limits = [0, 5, 11, 16, 22, 100];
        let labels = ["<5%", "5-10%", "10-15%", "15-20%", ">20%"];
        let band = |(label, ends): (&str, &[u32])| Band { label: label.to_owned(), above: ends[0], up_to: ends[1] };
        InterruptionBands {
            bands: labels.into_iter().zip(limits.windows(2)).map(band).collect(),
            linux: (0..5).map(|band| (format!("m{band}.large"), band)).collect(),
            windows: BTreeMap::from([("m0.large".to_owned(), 3)]),
        }
    }

    fn dollar() -> RestartCost {
        RestartCost::from_micros(1_000_000).expect("a dollar can be lost")
    }

    #[test]
    fn the_middle_of_a_band_counts_and_the_lower_limit_of_the_open_one() {
        let shares: Vec<u32> = bands().bands.iter().map(Band::per_mille).collect();
        assert_eq!(shares, [25, 80, 135, 190, 220]);
    }

    #[test]
    fn a_monthly_share_becomes_a_cost_per_hour() {
        // -ln(1 - p) / 730 by hand, in millionths: 34.68, 114.22, 198.66, 288.66, 340.36; rounded up.
        let costs = InterruptionCosts::new(&bands(), dollar());
        let of = |name: &str, family, capacity_type| costs.of(family, name, capacity_type).micros();
        let linux: Vec<i64> = (0..5).map(|band| of(&format!("m{band}.large"), AmiFamily::Al2023, CapacityType::Spot)).collect();
        assert_eq!(linux, [35, 115, 199, 289, 341]);
        assert_eq!(of("m0.large", AmiFamily::Windows2022, CapacityType::Spot), 289);
        assert_eq!(of("unheard.of", AmiFamily::Bottlerocket, CapacityType::Spot), 341);
        for paid in [CapacityType::OnDemand, CapacityType::Reserved] {
            assert_eq!(of("m4.large", AmiFamily::Al2023, paid), 0);
        }
        // The least cost that is not nothing is a micro-dollar.
        let least = RestartCost::from_micros(1).expect("it is above nothing");
        assert_eq!(InterruptionCosts::new(&bands(), least).of(AmiFamily::Al2, "m0.large", CapacityType::Spot).micros(), 1);
    }

    #[test]
    fn interruptions_that_cost_nothing_change_nothing() {
        for costs in [InterruptionCosts::new(&bands(), RestartCost::ZERO), InterruptionCosts::NONE] {
            assert_eq!(costs.of(AmiFamily::Al2023, "m4.large", CapacityType::Spot), UsdPerHour::ZERO);
        }
    }

    #[test]
    fn types_without_a_band_are_named_where_they_are_sold_as_spot() {
        let mut types = ["m1.large", "m9.large", "x9.large"].map(|name| sold(name, Architecture::Amd64, 2, 100_000));
        types[2].offerings.retain(|offering| offering.capacity_type != CapacityType::Spot);
        let catalog = catalog(types.to_vec());
        assert_eq!(bands().missing(Platform::Linux, &catalog), ["m9.large"]);
        assert_eq!(bands().missing(Platform::Windows, &catalog), ["m1.large", "m9.large"]);
    }

    #[test]
    fn what_an_interruption_cannot_cost_is_refused() {
        assert!(RestartCost::from_micros(-1).is_none() && RestartCost::from_micros(1_000_000_000_001).is_none());
    }
}
