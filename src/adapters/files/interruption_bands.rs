//! The Spot advisor's file, as <https://spot-bid-advisor.s3.amazonaws.com/spot-advisor-data.json> has it: which share of instances was
//! taken back within a month, in bands.
//!
//! ```json
//! {"ranges": [{"index": 0, "label": "<5%", "dots": 0, "max": 5}, ...],
//!  "spot_advisor": {"us-east-1": {"Linux": {"m5.large": {"s": 60, "r": 0}, ...}, "Windows": {...}}, ...}}
//! ```
//!
//! `r` is the index of a band, `max` its upper limit in percent; `s`, `dots` and everything else is not read. The numbers `max` count
//! and not the labels: they are what a program was meant to read, and lie at most two points above the labels, on the careful side.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::domain::interruption::{Band, InterruptionBands, Platform};

/// The file has about a MiB; one above this is something else, and is not read.
const LARGEST_FILE: u64 = 32 << 20;

/// Why the bands of a region cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BandsError {
    /// The operating system refused.
    #[error("cannot read `{}`: {source}; name the Spot advisor's file, spot-advisor-data.json", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// It is not the JSON that it should be.
    #[error("{}: {problem}; fetch spot-advisor-data.json of the Spot advisor again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the place in the file.
        problem: String,
    },
    /// A value cannot be.
    #[error("{}: {place}: {problem}; {mend}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Path of the value: `ranges[2].max`.
        place: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        mend: String,
    },
}

#[derive(Deserialize)]
struct Document {
    ranges: Vec<Range>,
    spot_advisor: BTreeMap<String, BTreeMap<String, BTreeMap<String, Rating>>>,
}

#[derive(Deserialize)]
struct Range {
    index: usize,
    label: String,
    max: u32,
}

#[derive(Deserialize)]
struct Rating {
    r: usize,
}

/// The bands of `region` in the file `path`.
///
/// # Errors
/// A file that cannot be read, is not of that form, has bands that do not follow one another up to 100 %, does not know the region, or
/// rates a type by a band that is not there.
pub fn read(path: &Path, region: &str) -> Result<InterruptionBands, BandsError> {
    let unreadable = |source| BandsError::Unreadable { path: path.to_owned(), source };
    let malformed = |problem: String| BandsError::Malformed { path: path.to_owned(), problem };
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_string(&mut text)).map_err(unreadable)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(malformed("larger than 32 MiB".to_owned()));
    }
    let document: Document = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(&text))
        .map_err(|error| malformed(located(&error)))?;
    of_region(&document, region).map_err(|(place, problem, mend)| BandsError::Value {
        path: path.to_owned(),
        place,
        problem,
        mend,
    })
}

/// The error with the path of its value, if there is one beside line and column.
fn located(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    match error.path().to_string().as_str() {
        "." | "?" => error.inner().to_string(),
        path => format!("{path}: {}", error.inner()),
    }
}

/// Place, problem and mend of a value.
type Wrong = (String, String, String);

fn of_region(document: &Document, region: &str) -> Result<InterruptionBands, Wrong> {
    let bands = bands(&document.ranges)?;
    let Some(systems) = document.spot_advisor.get(region) else {
        let known: Vec<&str> = document.spot_advisor.keys().map(String::as_str).collect();
        let problem =
            format!("no region `{region}`, only {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") });
        return Err((
            "spot_advisor".to_owned(),
            problem,
            "give a file that has the region, or a catalog of another one".to_owned(),
        ));
    };
    let ratings = |platform: Platform| {
        let rated = systems.get(platform.as_str()).into_iter().flatten();
        let band_of = |(name, rating): (&String, &Rating)| {
            if rating.r < bands.len() {
                return Ok((name.clone(), rating.r));
            }
            let place = format!("spot_advisor.{region}.{}.{name}.r", platform.as_str());
            let mend = format!("write the index of one of the {} ranges", bands.len());
            Err((place, format!("there is no range {}", rating.r), mend))
        };
        rated.map(band_of).collect::<Result<BTreeMap<_, _>, Wrong>>()
    };
    let (linux, windows) = (ratings(Platform::Linux)?, ratings(Platform::Windows)?);
    Ok(InterruptionBands { bands, linux, windows })
}

/// The bands by index, each above the one before, the last alone up to 100 %.
fn bands(ranges: &[Range]) -> Result<Vec<Band>, Wrong> {
    let wrong =
        |at: usize, field: &str, problem: String, mend: &str| Err((format!("ranges[{at}].{field}"), problem, mend.to_owned()));
    let mut made: Vec<Band> = Vec::new();
    for (at, range) in ranges.iter().enumerate() {
        if range.index != at {
            return wrong(at, "index", format!("is {}", range.index), "number the ranges from 0 in their order");
        }
        let above = made.last().map_or(0, |band| band.up_to);
        if range.max <= above || range.max > 100 {
            let mend = "write percents that rise from range to range, up to 100";
            return wrong(at, "max", format!("{} is not above {above} and at most 100", range.max), mend);
        }
        made.push(Band { label: range.label.clone(), above, up_to: range.max });
    }
    if made.len() < 2 || made.last().is_none_or(|band| band.up_to != 100) {
        let problem = "are not two or more that end at 100 %".to_owned();
        return Err(("ranges".to_owned(), problem, "restore the ranges, the file was cut off or changed".to_owned()));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGES: &str = r#"[{"index": 0, "label": "<5%", "dots": 0, "max": 5}, {"index": 1, "label": "5-10%", "dots": 1, "max": 11},
        {"index": 2, "label": ">10%", "dots": 2, "max": 100}]"#;

    fn advisor(ranges: &str, linux: &str) -> String {
        format!(
            r#"{{"instance_types": {{"m5.large": {{"emr": true, "cores": 2, "ram_gb": 8.0}}}}, "ranges": {ranges}, "global_rate": "<10%",
            "spot_advisor": {{"us-east-1": {{"Linux": {linux}, "Windows": {{"m5.large": {{"s": 20, "r": 2}}}}}}, "eu-west-1": {{}}}}}}"#
        )
    }

    fn read_text(text: &str, region: &str) -> Result<InterruptionBands, String> {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("bands.json");
        std::fs::write(&path, text).expect("the folder takes files");
        read(&path, region).map_err(|error| error.to_string().replace(&path.display().to_string(), "bands.json"))
    }

    #[test]
    fn bands_by_type_are_read_for_each_system() {
        let read = read_text(&advisor(RANGES, r#"{"m5.large": {"s": 60, "r": 1}, "m6i.large": {"s": 61, "r": 0}}"#), "us-east-1");
        let read = read.expect("the form is the advisor's");
        let limits: Vec<(&str, u32, u32)> = read.bands.iter().map(|band| (band.label.as_str(), band.above, band.up_to)).collect();
        assert_eq!(limits, [("<5%", 0, 5), ("5-10%", 5, 11), (">10%", 11, 100)]);
        assert_eq!(read.linux, BTreeMap::from([("m5.large".to_owned(), 1), ("m6i.large".to_owned(), 0)]));
        assert_eq!(read.windows, BTreeMap::from([("m5.large".to_owned(), 2)]));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_mend() {
        let good = r#"{"m5.large": {"s": 60, "r": 1}}"#;
        let cases = [
            (
                advisor(RANGES, good),
                "ap-south-1",
                "bands.json: spot_advisor: no region `ap-south-1`, only eu-west-1, us-east-1; give",
            ),
            (
                advisor(RANGES, r#"{"m5.large": {"s": 60, "r": 3}}"#),
                "us-east-1",
                "bands.json: spot_advisor.us-east-1.Linux.m5.large.r: there is no range 3; write the index of one of the 3 ranges",
            ),
            (
                advisor(RANGES, r#"{"m5.large": {"s": 60}}"#),
                "us-east-1",
                "bands.json: spot_advisor.us-east-1.Linux.m5.large: missing field `r` at line",
            ),
            (
                advisor(&RANGES.replace("\"max\": 11", "\"max\": 4"), good),
                "us-east-1",
                "bands.json: ranges[1].max: 4 is not above 5 and at most 100; write percents",
            ),
            (
                advisor(&RANGES.replace("\"index\": 1", "\"index\": 2"), good),
                "us-east-1",
                "bands.json: ranges[1].index: is 2; number the ranges",
            ),
            (
                advisor(&RANGES.replace("\"max\": 100", "\"max\": 90"), good),
                "us-east-1",
                "bands.json: ranges: are not two or more that end at 100 %; restore",
            ),
            (
                advisor(RANGES, good)[..80].to_owned(),
                "us-east-1",
                "bands.json: EOF while parsing a string at line 1 column 80; fetch",
            ),
            ("type,band\nm5.large,1\n".to_owned(), "us-east-1", "bands.json: expected"),
            (String::new(), "us-east-1", "bands.json: EOF while parsing a value at line 1"),
        ];
        for (text, region, expected) in cases {
            let said = read_text(&text, region).expect_err(expected);
            assert!(said.starts_with(expected), "{said}\nis not\n{expected}");
            assert!(said.contains("; "), "no mend in: {said}");
        }
        assert!(
            read(Path::new("nowhere.json"), "us-east-1")
                .is_err_and(|error| error.to_string().contains("cannot read `nowhere.json`"))
        );
    }
}
