//! `--interruption-cost` and `--interruption-bands`: what interruptions of Spot instances are expected to cost in the region of the
//! catalog.

use std::collections::BTreeSet;

use super::Failure;
use super::args::BandsArgs;
use super::input::Input;
use crate::adapters::files::interruption_bands;
use crate::domain::interruption::{InterruptionCosts, Platform, RestartCost};
use crate::report::summary::count;

/// Types without a band that are named; the others are counted only.
const MOST_NAMED: usize = 5;

/// Costs by offering. `input` gets a notice of the types that have no band.
///
/// # Errors
/// Where `restart` is above zero and no file is given, and for a file that is not as it should be.
pub(super) fn costs(restart: RestartCost, args: &BandsArgs, input: &mut Input) -> Result<InterruptionCosts, Failure> {
    let Some(path) = &args.interruption_bands else {
        if restart == RestartCost::ZERO {
            return Ok(InterruptionCosts::NONE);
        }
        let source = "https://spot-bid-advisor.s3.amazonaws.com/spot-advisor-data.json";
        return Err(Failure::Input(format!(
            "a cost of ${} for each interruption says nothing without how often there are any\n  hint: give the Spot advisor's file \
             ({source}) with --interruption-bands",
            restart.dollars()
        )));
    };
    let bands = interruption_bands::read(path, &input.catalog.region).map_err(Failure::input)?;
    let platforms: BTreeSet<Platform> = input.cluster.node_classes.values().map(|class| Platform::of(class.ami_family)).collect();
    let counted = platforms.into_iter().filter(|_| restart > RestartCost::ZERO);
    let notices: Vec<String> =
        counted.filter_map(|platform| notice(platform, &bands.missing(platform, &input.catalog))).collect();
    input.notices.extend(notices);
    Ok(InterruptionCosts::new(&bands, restart))
}

/// Which types count as the worst band.
fn notice(platform: Platform, missing: &[&str]) -> Option<String> {
    let named: Vec<&str> = missing.iter().copied().take(MOST_NAMED).collect();
    let more = missing.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!missing.is_empty()).then(|| {
        format!(
            "no interruption band for {} with {}, which count as the worst band: {}{more}",
            count(missing.len(), "instance type"),
            platform.as_str(),
            named.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_without_a_band_are_named_up_to_five() {
        assert_eq!(notice(Platform::Linux, &[]), None);
        let said = notice(Platform::Windows, &["a1.large", "b1.large", "c1.large", "d1.large", "e1.large", "f1.large"]);
        let expected = "no interruption band for 6 instance types with Windows, which count as the worst band: a1.large, b1.large, \
                        c1.large, d1.large, e1.large and 1 more";
        assert_eq!(said.as_deref(), Some(expected));
    }
}
