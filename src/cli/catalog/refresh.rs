//! `supercargo catalog refresh`: what AWS sells now, into a folder for each region.

use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;

use super::args::RefreshArgs;
use super::meter::Meter;
use super::place;
use crate::adapters::aws::{self, Access, Fetched, Request};
use crate::adapters::files::catalog::{self, publish};
use crate::cli::output;
use crate::cli::{Answer, Failure};

/// Asks for every region and publishes those that are complete; the others keep what they had.
pub(super) fn run(args: &RefreshArgs) -> Result<Answer, Failure> {
    let root = place::root(args.catalog.as_deref())?;
    let mut regions = args.regions.clone();
    regions.sort();
    regions.dedup();
    let access = Access { profile: args.profile.clone(), endpoint_url: args.endpoint_url.clone(), timeout: args.timeout };
    let request = Request { regions, access, isolated_vpc: args.isolated_vpc };

    let (meter, start) = (Meter::new(), Instant::now());
    let (mut failures, mut written) = (Vec::new(), Vec::new());
    let mut done = |region: &str, fetched: Result<Fetched, aws::FetchError>| {
        meter.finish(region);
        let published = fetched.map_err(|error| error.to_string()).and_then(|fetched| {
            let path = publish(&root, &fetched.catalog).map_err(|error| format!("{region}: {error}"))?;
            meter.say(&format!("{}, in {:.1} s", fetched.catalog.summary(), start.elapsed().as_secs_f64()));
            for notice in &fetched.notices {
                meter.say(&format!("note: {region}: {notice}"));
            }
            Ok(path)
        });
        match published {
            Ok(path) => written.push(format!("{}\n", path.display())),
            Err(error) => failures.push(format!("{error}\n  {}", what_stays(&root, region))),
        }
    };
    let last_good = |region: &str| catalog::read(&root.join(region)).ok();
    let tell = |region: &str, step| meter.tell(region, step);
    aws::refresh(&request, &aws::minute(Timestamp::now()), &last_good, &tell, &mut done).map_err(Failure::input)?;
    written.sort();
    output::print(&written.concat())?;
    if failures.is_empty() {
        return Ok(Answer::Yes);
    }
    failures.sort();
    Err(Failure::Input(failures.join("\nerror: ")))
}

/// What a failed refresh left of the region's catalog.
fn what_stays(root: &Path, region: &str) -> String {
    match catalog::read(&root.join(region)) {
        Ok(catalog) => format!("note: the catalog of {region} stays as of {}", catalog.prices_as_of),
        Err(_) => format!("note: there is no catalog of {region} yet"),
    }
}
