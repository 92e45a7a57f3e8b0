//! The arguments of `supercargo catalog`, and those that name a catalog for other commands.

use std::path::PathBuf;
#[cfg(feature = "aws")]
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::instances::TableArgs;
use crate::domain::catalog::CapacityType;
use crate::domain::catalog::selection::{Selection, Span};
use crate::domain::instance_type::Architecture;
use crate::domain::money::UsdPerHour;

#[derive(Debug, Args)]
pub(in crate::cli) struct CatalogArgs {
    #[command(subcommand)]
    pub(super) command: CatalogCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum CatalogCommand {
    /// Ask AWS what it sells now and for how much. Prints the folder of each region.
    #[cfg(feature = "aws")]
    Refresh(RefreshArgs),
    /// List instance types with their prices, cheapest first. Exit code 1 when there is none.
    Show(Box<ShowArgs>),
    /// Say what changed between two catalogs.
    Diff(DiffArgs),
    /// Remember how much memory the Nodes of the manifests have, for later plans.
    Learn(LearnArgs),
    /// Look for old, missing and absurd prices. Exit code 1 when there is something to say.
    Doctor(DoctorArgs),
}

/// Which catalog.
#[derive(Debug, Args)]
pub(in crate::cli) struct Which {
    /// Folder with a catalog, or with several of which --region names one; the user's cache with --region alone; the built-in one
    /// of us-east-1 without both.
    #[arg(long, value_name = "PATH", env = "SUPERCARGO_CATALOG")]
    pub(super) catalog: Option<PathBuf>,
    /// Region whose catalog is taken, as `catalog refresh` wrote it.
    #[arg(long, value_name = "REGION", value_parser = region_name, env = "SUPERCARGO_REGION")]
    pub(super) region: Option<String>,
}

#[cfg(feature = "aws")]
#[derive(Debug, Args)]
pub(super) struct RefreshArgs {
    /// Region; may be repeated.
    #[arg(long = "region", value_name = "REGION", value_parser = region_name, required = true)]
    pub(super) regions: Vec<String>,
    /// Folder that gets a catalog for each region; the user's cache if not given.
    #[arg(long, value_name = "PATH", env = "SUPERCARGO_CATALOG")]
    pub(super) catalog: Option<PathBuf>,
    /// Profile of the AWS configuration whose credentials are used, whatever the environment has.
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Option<String>,
    /// Send every call to this address.
    #[arg(long, value_name = "URL", value_parser = endpoint_url)]
    pub(super) endpoint_url: Option<String>,
    /// Go without the Price List, which cannot be reached from a VPC without internet: On-Demand and EBS prices stay as they were.
    #[arg(long, env = "ISOLATED_VPC")]
    pub(super) isolated_vpc: bool,
    /// Seconds that one attempt at a call may take; failed attempts are repeated (AWS_MAX_ATTEMPTS).
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = call_seconds)]
    pub(super) timeout: Duration,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    pub(super) which: Which,
    /// vCPUs: a number or a range with both ends, as 4, 4..16, 4.. or ..16.
    #[arg(long, value_name = "RANGE", value_parser = span)]
    vcpus: Option<Span>,
    /// Memory in GiB: a number or a range.
    #[arg(long, value_name = "RANGE", value_parser = gib_span)]
    memory: Option<Span>,
    /// GPUs: a number or a range.
    #[arg(long, value_name = "RANGE", value_parser = span)]
    gpus: Option<Span>,
    /// Generation: a number or a range.
    #[arg(long, value_name = "RANGE", value_parser = span)]
    generation: Option<Span>,
    /// Architecture.
    #[arg(long, value_name = "ARCH", value_parser = architecture, value_delimiter = ',')]
    arch: Vec<Architecture>,
    /// Categories, such as m,c,r.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    category: Vec<String>,
    /// Families, such as m7i,c7g.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    family: Vec<String>,
    /// Zones.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    zone: Vec<String>,
    /// Capacity types: on-demand, spot.
    #[arg(long, value_name = "LIST", value_parser = capacity_type, value_delimiter = ',')]
    capacity_type: Vec<CapacityType>,
    /// Highest price, in dollars per hour.
    #[arg(long, value_name = "USD", value_parser = price)]
    max_price: Option<UsdPerHour>,
    /// What to print.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(super) output: Format,
}

impl ShowArgs {
    /// What is wanted.
    pub(super) fn selection(&self) -> Selection {
        Selection {
            vcpus: self.vcpus.unwrap_or_default(),
            memory_mib: self.memory.unwrap_or_default(),
            gpus: self.gpus.unwrap_or_default(),
            generation: self.generation.unwrap_or_default(),
            architectures: self.arch.clone(),
            categories: self.category.clone(),
            families: self.family.clone(),
            zones: self.zone.clone(),
            capacity_types: self.capacity_type.clone(),
            max_price: self.max_price,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// Folder with a catalog, or `embedded`.
    #[arg(value_name = "A")]
    pub(super) before: PathBuf,
    /// Folder with a catalog, or `embedded`.
    #[arg(value_name = "B")]
    pub(super) after: PathBuf,
    /// Leave smaller moves of a price out of the table, in percent of the price.
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = percent)]
    pub(super) min_change: f64,
    /// What to print.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(super) output: Format,
}

#[derive(Debug, Args)]
pub(super) struct LearnArgs {
    /// Manifests with Nodes and EC2NodeClasses: a file, a folder, or `-` for stdin; may be repeated.
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    pub(super) filenames: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) table: TableArgs,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    pub(super) which: Which,
    /// What to print.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(super) output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs; docs/catalog.md describes it.
    Json,
}

/// Region names become names of files, and parts of the names of hosts.
fn region_name(text: &str) -> Result<String, String> {
    let sound = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if text.split('-').count() >= 3 && text.split('-').all(sound) {
        return Ok(text.to_owned());
    }
    Err("the name of a region looks like eu-west-1".to_owned())
}

fn span_of(text: &str, number: impl Fn(&str) -> Option<i64>) -> Option<Span> {
    let end = |text: &str| if text.is_empty() { Some(None) } else { number(text).map(Some) };
    let span = match text.split_once("..") {
        Some((least, most)) if !(least.is_empty() && most.is_empty()) => Span { least: end(least)?, most: end(most)? },
        Some(_) => return None,
        None => Span { least: Some(number(text)?), most: Some(number(text)?) },
    };
    let backwards = matches!((span.least, span.most), (Some(least), Some(most)) if least > most);
    (!backwards).then_some(span)
}

fn span(text: &str) -> Result<Span, String> {
    let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
    span_of(text, number).ok_or_else(|| "a range is a number, or two with `..` between, such as 4..16, 4.. or ..16".to_owned())
}

/// GiB, as MiB.
fn gib_span(text: &str) -> Result<Span, String> {
    // Below a million GiB every product is exact enough for an integer.
    let number =
        |text: &str| text.parse::<f64>().ok().filter(|gib| (0.0..1e6).contains(gib)).map(|gib| (gib * 1024.0).round() as i64);
    span_of(text, number).ok_or_else(|| "memory is GiB: a number, or two with `..` between, such as 0.5..16".to_owned())
}

fn architecture(text: &str) -> Result<Architecture, String> {
    Architecture::parse(text).ok_or_else(|| "an architecture is amd64 or arm64".to_owned())
}

fn capacity_type(text: &str) -> Result<CapacityType, String> {
    match CapacityType::parse(text) {
        Some(one @ (CapacityType::OnDemand | CapacityType::Spot)) => Ok(one),
        _ => Err("a catalog sells on-demand and spot".to_owned()),
    }
}

fn price(text: &str) -> Result<UsdPerHour, String> {
    UsdPerHour::parse(text).ok_or_else(|| "a price is dollars per hour with at most six decimals, such as 0.25".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse::<f64>().ok().filter(|percent| (0.0..=1e6).contains(percent));
    percent.ok_or_else(|| "a change is a number of percent, 0 or more".to_owned())
}

#[cfg(feature = "aws")]
fn endpoint_url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let sound = host.is_some_and(|host| !host.is_empty() && !host.contains(char::is_whitespace));
    if sound { Ok(text.to_owned()) } else { Err("an address looks like http://127.0.0.1:5000".to_owned()) }
}

/// The longest time for one attempt, in seconds: nobody waits longer for a page.
#[cfg(feature = "aws")]
const LONGEST_CALL: f64 = 3_600.0;

#[cfg(feature = "aws")]
fn call_seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= LONGEST_CALL => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("a time limit is a number of seconds above 0, at most {LONGEST_CALL}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_one_end_two_or_are_a_number() {
        let made = |least, most| Ok(Span { least, most });
        assert_eq!(span("4"), made(Some(4), Some(4)));
        assert_eq!(span("4..16"), made(Some(4), Some(16)));
        assert_eq!(span("4.."), made(Some(4), None));
        assert_eq!(span("..16"), made(None, Some(16)));
        assert_eq!(gib_span("0.5..8"), made(Some(512), Some(8192)));
        for text in ["", "..", "x", "-1", "16..4", "1...4", "1.5"] {
            assert!(span(text).is_err(), "{text}");
        }
        assert!(gib_span("NaN").is_err() && gib_span("inf..").is_err());
    }

    #[test]
    fn what_is_no_name_of_a_region_is_refused() {
        for text in ["us-east-1", "us-gov-west-1", "us-iso-east-1", "ap-southeast-5"] {
            assert_eq!(region_name(text).as_deref(), Ok(text));
        }
        for text in ["", "..", "us-east", "us/east-1", "../us-east-1", "US-EAST-1", "us--east-1", "us-east-1."] {
            assert!(region_name(text).is_err(), "{text}");
        }
    }

    #[cfg(feature = "aws")]
    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        assert!(endpoint_url("http://127.0.0.1:5000").is_ok() && endpoint_url("https://ec2.example.com").is_ok());
        for text in ["", "garbage", "ftp://a", "http://", "http://a b"] {
            assert!(endpoint_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_catalog_does_not_sell_what_is_reserved() {
        assert_eq!(capacity_type("spot"), Ok(CapacityType::Spot));
        assert!(capacity_type("reserved").is_err());
    }
}
