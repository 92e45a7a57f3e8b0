//! `supercargo bench report`: what came of runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::benchmark::instance::manifest;
use crate::benchmark::telling::chapters;
use crate::benchmark::telling::known::Known;
use crate::benchmark::telling::reading::Runs;
use crate::cli::output::{print, say};
use crate::cli::{Answer, Failure};

/// The files that `--out` gets.
const MARKDOWN: &str = "report.md";
const HTML: &str = "report.html";
/// The suite of a checkout of this repository.
const SUITE: &str = "models";

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Folders with runs.jsonl and plans/, as `bench run` writes them; of a run that is there several times the latest counts.
    #[arg(value_name = "FOLDER", required = true)]
    folders: Vec<PathBuf>,
    /// Folder of the suite, for descriptions, best known plans, and whose the pods in the drawings are; if not given, `models` where it is there.
    #[arg(long, value_name = "FOLDER", env = "SUPERCARGO_SUITE")]
    suite: Option<PathBuf>,
    /// Folder to write report.md and report.html to; if not given, the report goes to stdout.
    #[arg(long, value_name = "FOLDER", env = "SUPERCARGO_REPORT_OUT")]
    out: Option<PathBuf>,
    /// Form of the report; if not given, both with --out, and Markdown without.
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT", env = "SUPERCARGO_REPORT_OUTPUT")]
    output: Option<Form>,
}

/// Form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Markdown.
    Markdown,
    /// One page that needs nothing else.
    Html,
    /// Both; with --out only.
    Both,
}

/// Reports.
pub(super) fn run(args: &ReportArgs) -> Result<Answer, Failure> {
    let form = match (args.output, &args.out) {
        (Some(Form::Both), None) => {
            return Err(Failure::input("-o both: stdout takes one form\n  hint: give --out, or one of `markdown` and `html`"));
        }
        (Some(form), _) => form,
        (None, Some(_)) => Form::Both,
        (None, None) => Form::Markdown,
    };
    let runs = Runs::read(&args.folders).map_err(Failure::input)?;
    let here = || Some(PathBuf::from(SUITE)).filter(|suite| suite.join(manifest::FILE).is_file());
    let known = match args.suite.clone().or_else(here) {
        Some(suite) => Known::read(&suite, &runs).map_err(Failure::input)?,
        None => BTreeMap::new(),
    };
    let document = chapters::report(&runs, &known).map_err(Failure::input)?;
    let markdown = (form != Form::Html).then(|| document.to_markdown());
    let html = (form != Form::Markdown).then(|| document.to_html());
    for (name, text) in [(MARKDOWN, markdown), (HTML, html)] {
        match (&args.out, text) {
            (Some(folder), Some(text)) => write(folder, name, &text)?,
            (None, Some(text)) => print(&text)?,
            (_, None) => {}
        }
    }
    Ok(Answer::Yes)
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let path = folder.join(name);
    let fail = |problem: std::io::Error| {
        Failure::Input(format!("{}: cannot be written: {problem}\n  hint: check --out and its permissions", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(fail)?;
    std::fs::write(&path, text).map_err(fail)?;
    say(&format!("wrote {}", path.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::telling::fixtures::{two_instances_and_four_solvers, write};

    #[test]
    fn both_forms_are_written_and_one_at_a_time() {
        let runs = tempfile::tempdir().expect("a folder");
        write(runs.path(), &two_instances_and_four_solvers());
        let written = |output| {
            let out = tempfile::tempdir().expect("a folder");
            let args =
                ReportArgs { folders: vec![runs.path().to_owned()], suite: None, out: Some(out.path().join("new")), output };
            assert_eq!(run(&args).ok(), Some(Answer::Yes));
            [MARKDOWN, HTML].map(|name| std::fs::read(out.path().join("new").join(name)).ok())
        };
        let both = written(None);
        assert!(both.iter().all(Option::is_some));
        assert_eq!(written(Some(Form::Both)), both);
        let [markdown, html] = both;
        assert_eq!(written(Some(Form::Markdown)), [markdown, None]);
        assert_eq!(written(Some(Form::Html)), [None, html]);
    }

    #[test]
    fn stdout_takes_one_form() {
        let args = ReportArgs { folders: vec![PathBuf::from("nowhere")], suite: None, out: None, output: Some(Form::Both) };
        let failure = run(&args).expect_err("both do not go to stdout");
        assert!(failure.to_string().contains("give --out"), "{failure}");
    }
}
