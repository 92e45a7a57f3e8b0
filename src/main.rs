//! The `supercargo` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    supercargo::cli::run(std::env::args_os())
}
