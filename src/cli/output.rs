//! Where text goes: data to stdout, all else to stderr, colours only to a terminal that wants them.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use super::Failure;
use crate::report::columns::Style;

/// Prints data.
///
/// # Errors
/// When stdout cannot be written, except that its reader has gone away: that is the reader's choice.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(problem) if problem.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Input(format!("stdout: the output cannot be written: {problem}")))
        }
        _ => Ok(()),
    }
}

/// Says something that is not data. A closed stderr leaves nobody to tell, so its errors are dropped.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// How stdout wants its tables: coloured and as wide as the terminal if it is one, plain otherwise.
///
/// `NO_COLOR` (any value that is not empty) and `TERM=dumb` turn colours off.
pub(super) fn style() -> Style {
    let terminal = std::io::stdout().is_terminal();
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    Style { width: terminal.then(width).flatten(), colour: terminal && !refused && !dumb }
}

/// Columns of the terminal, where it tells.
fn width() -> Option<u16> {
    comfy_table::Table::new().width()
}
