//! The refresh: all calls of all regions at once, within the limit on requests, each region complete or an error.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;

use super::assembly::{Answers, Fetched, Listed, SpotPrices, assemble};
use super::error::{FetchError, Problem};
use super::partition::PriceList;
use super::price_list::{self, Prices, Wanted};
use super::session::{Access, Session};
use super::{instance_types, spot_prices, substitutes, zones};
use crate::adapters::files::catalog;
use crate::domain::catalog::{Catalog, PriceKind, Source};

/// What to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Regions, each once.
    pub regions: Vec<String>,
    /// How AWS is reached.
    pub access: Access,
    /// Whether there is no way to the Price List, which has no endpoint inside a VPC.
    pub isolated_vpc: bool,
}

/// How far a region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This many calls will be made, counting each with all its pages.
    Planned(u64),
    /// A page came with this many entries.
    Page {
        /// The call.
        call: &'static str,
        /// Entries on it.
        entries: usize,
    },
    /// A call has all its pages.
    Done {
        /// The call.
        call: &'static str,
    },
}

/// Tells how far one region is.
pub(super) struct Progress<'a> {
    region: &'a str,
    tell: &'a (dyn Fn(&str, Step) + Sync),
}

impl<'a> Progress<'a> {
    /// Of `region`, told to `tell`.
    pub(super) fn new(region: &'a str, tell: &'a (dyn Fn(&str, Step) + Sync)) -> Self {
        Self { region, tell }
    }

    fn planned(&self, calls: usize) {
        (self.tell)(self.region, Step::Planned(calls as u64));
    }

    pub(super) fn page(&self, call: &'static str, entries: usize) {
        (self.tell)(self.region, Step::Page { call, entries });
    }

    pub(super) fn done(&self, call: &'static str) {
        (self.tell)(self.region, Step::Done { call });
    }
}

/// Asks AWS for the catalogs of the regions.
///
/// `last_good` is the catalog of a region that a refresh wrote before, whose On-Demand prices serve where there is no Price List.
/// `tell` hears how far each region is, and `done` gets each region as soon as it is complete or has failed, in no set order.
///
/// # Errors
/// When there are no credentials, or the system refuses what a network client needs: then no region was asked for.
pub fn refresh(
    request: &Request,
    now: &str,
    last_good: &dyn Fn(&str) -> Option<Catalog>,
    tell: &(dyn Fn(&str, Step) + Sync),
    done: &mut dyn FnMut(&str, Result<Fetched, FetchError>),
) -> Result<(), FetchError> {
    let Some(first) = request.regions.first() else { return Ok(()) };
    let refused = |problem: &dyn std::fmt::Display| FetchError::new(first, "starting", Problem::Other, problem);
    let tables = catalog::embedded().map_err(|problem| refused(&problem))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|problem| refused(&problem))?;
    runtime.block_on(async {
        let session = Session::open(&request.access, first).await?;
        let of_region = |region| {
            let job = Job::new(&session, &tables, region, now, request.isolated_vpc);
            let last_good = last_good(region);
            async move { (region, job.whole(last_good.as_ref(), &Progress::new(region, tell)).await) }
        };
        let mut regions: FuturesUnordered<_> = request.regions.iter().map(|region| of_region(region.as_str())).collect();
        while let Some((region, fetched)) = regions.next().await {
            done(region, fetched);
        }
        Ok(())
    })
}

/// The calls of one region.
pub(super) struct Job<'a> {
    session: &'a Session,
    tables: &'a Catalog,
    region: &'a str,
    now: &'a str,
    price_list: PriceList,
}

impl<'a> Job<'a> {
    /// Asks for `region` at the minute `now`. `tables` is the built-in catalog, which has what EC2 does not tell.
    pub(super) fn new(session: &'a Session, tables: &'a Catalog, region: &'a str, now: &'a str, isolated_vpc: bool) -> Self {
        let price_list = if isolated_vpc { PriceList::None } else { PriceList::of(region) };
        Self { session, tables, region, now, price_list }
    }

    /// Everything. `last_good` has the On-Demand prices where there is no Price List.
    pub(super) async fn whole(&self, last_good: Option<&Catalog>, progress: &Progress<'_>) -> Result<Fetched, FetchError> {
        let (session, region) = (self.session, self.region);
        let price_list_calls = if self.price_list == PriceList::None { 0 } else { 3 };
        progress.planned(2 + price_list_calls);
        let mut notices = Vec::new();
        let (facts, (zones, spot), listed) = tokio::try_join!(
            instance_types::fetch(session, region, self.tables, progress),
            self.zones_and_spot_prices(progress),
            self.listed(last_good, &mut notices, progress),
        )?;
        Ok(assemble(Answers {
            region: region.to_owned(),
            facts,
            facts_source: self.source("DescribeInstanceTypes, branch interfaces and bandwidth as built in"),
            zones,
            zones_source: self.source("DescribeInstanceTypeOfferings"),
            listed,
            spot,
            spot_source: self.source(spot_prices::CALL),
            notices,
        }))
    }

    /// Spot prices alone; everything else stays as it is in `known`.
    pub(super) async fn spot_alone(&self, known: &Catalog, progress: &Progress<'_>) -> Result<Fetched, FetchError> {
        let zones = known.zones().into_iter().map(str::to_owned).collect();
        let spot = self.spot_prices(zones, progress).await?;
        Ok(assemble(Answers::of_known(known, spot, self.source(spot_prices::CALL))))
    }

    fn source(&self, call: &str) -> Source {
        Source { origin: format!("EC2 {call}"), as_of: self.now.to_owned() }
    }

    /// Spot prices are asked for by zone, so the zones come first.
    async fn zones_and_spot_prices(&self, progress: &Progress<'_>) -> Result<(zones::Zones, SpotPrices), FetchError> {
        let zones = zones::fetch(self.session, self.region, progress).await?;
        let prices = self.spot_prices(zones.values().flatten().cloned().collect(), progress).await?;
        Ok((zones, prices))
    }

    async fn spot_prices(&self, zones: BTreeSet<String>, progress: &Progress<'_>) -> Result<SpotPrices, FetchError> {
        let (session, region) = (self.session, self.region);
        progress.planned(zones.len());
        let of_zone = |zone: String| async move {
            let prices = spot_prices::fetch(session, region, &zone, progress).await?;
            Ok::<_, FetchError>((zone, prices))
        };
        let prices: SpotPrices = try_join_all(zones.into_iter().map(of_zone)).await?.into_iter().collect();
        if prices.values().all(BTreeMap::is_empty) {
            return Err(FetchError::new(region, spot_prices::CALL, Problem::Empty, "no Spot price in any zone"));
        }
        Ok(prices)
    }

    /// On-Demand and EBS prices: from the Price List, or, where there is none, the best of what is known.
    async fn listed(
        &self,
        last_good: Option<&Catalog>,
        notices: &mut Vec<String>,
        progress: &Progress<'_>,
    ) -> Result<Listed, FetchError> {
        let PriceList::At { endpoint, currency } = self.price_list else {
            let listed = substitutes::listed(self.region, last_good, self.tables)?;
            notices.push(listed.notice(self.region));
            return Ok(listed);
        };
        let (session, region) = (self.session, self.region);
        let ask = |wanted| price_list::fetch(session, region, (endpoint, currency), wanted, progress);
        let (mut instances, bare_metal, volumes) =
            tokio::try_join!(ask(Wanted::Shared), ask(Wanted::BareMetal), ask(Wanted::Volumes))?;
        instances.extend(bare_metal);
        for (what, prices) in [("instances", &instances), ("EBS volumes", &volumes)] {
            if !prices.left_out.is_empty() {
                notices.push(format!("the Price List has {what} whose price was not taken{}", prices.left_out_text()));
            }
        }
        let source = Source { origin: origin(currency), as_of: self.now.to_owned() };
        Ok(Listed {
            on_demand: instances.by_name,
            kind: PriceKind::Listed,
            on_demand_source: source.clone(),
            ebs: micros(volumes),
            ebs_source: source,
        })
    }
}

fn origin(currency: &str) -> String {
    match currency {
        "USD" => "AWS Price List".to_owned(),
        other => format!("AWS Price List, all amounts in {other} although they are shown with a dollar sign"),
    }
}

fn micros(prices: Prices) -> BTreeMap<String, i64> {
    prices.by_name.into_iter().map(|(name, price)| (name, price.micros())).collect()
}
