//! The command line: arguments, output, exit codes.
//!
//! Data goes to stdout, everything else (notices, progress, errors) to stderr. Exit codes: 0 all is well, 1 the answer is "no"
//! (pods stay unplaced, a plan breaks rules), 2 the input is bad or AWS gives no answer, 70 a defect of this program (`EX_SOFTWARE`): a plan that its
//! own verifier refuses is never printed. A reader that closes the pipe early is no error.

mod args;
mod bench;
mod catalog;
#[cfg(feature = "controller")]
mod controller;
mod crds;
mod explain;
mod export;
mod input;
mod instances;
mod interruptions;
mod output;
mod plan;
mod progress;
mod verify;
mod xdg;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use args::{Arguments, Command};

/// What a command found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// All is well.
    Yes,
    /// Pods stay unplaced, a plan breaks rules, or a catalog has nothing of that kind or something doubtful.
    No,
}

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// What the user gave cannot be used.
    #[error("{0}")]
    Input(String),
    /// A defect of this program.
    #[error("internal error: {0}\n  hint: this is a defect of supercargo; please report it with the input that shows it")]
    Internal(String),
}

impl Failure {
    fn input(problem: impl std::fmt::Display) -> Self {
        Self::Input(problem.to_string())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Internal(_) => 70,
        }
    }
}

/// Runs the command that `arguments` (the program's name first) ask for.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let answer = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => match &parsed.command {
            Command::Plan(args) => plan::run(args),
            Command::Explain(args) => explain::run(args),
            Command::Verify(args) => verify::run(args),
            Command::Catalog(args) => catalog::run(args),
            Command::Bench(args) => bench::run(args),
            Command::Crds => crds::run(),
            #[cfg(feature = "controller")]
            Command::Controller(args) => controller::run(args),
        },
        Err(usage) => {
            // Help and version are answers too: clap prints them to stdout and everything else to stderr.
            let _ = usage.print();
            return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2));
        }
    };
    match answer {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(failure) => {
            output::say(&format!("error: {failure}"));
            ExitCode::from(failure.code())
        }
    }
}
