//! Running the binary and making what it says comparable between runs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// Where the manifests of these tests are; the binary runs there, so that messages name relative paths.
pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/data")
}

/// What the binary said.
pub(crate) struct Said {
    /// Exit code.
    pub(crate) code: i32,
    /// Data.
    pub(crate) stdout: String,
    /// Everything else.
    pub(crate) stderr: String,
}

impl Said {
    /// All of it as one text, for a snapshot.
    pub(crate) fn text(&self) -> String {
        format!("exit code {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Runs the binary in `folder` without the variables that change what it does.
pub(crate) fn run_in<S: AsRef<OsStr>>(folder: &Path, arguments: &[S], stdin: &str) -> Said {
    let mut command = Command::cargo_bin("supercargo").expect("the binary is built with the tests");
    let of_costs = ["FEE_PER_NODE", "INTERRUPTION_COST", "INTERRUPTION_BANDS", "COMMITMENTS"];
    let others = ["CATALOG", "REGION", "GAP", "TIMEOUT", "WORK", "SEED", "OUTPUT", "MAX_SPOT_POOL_SHARE"];
    for name in of_costs.into_iter().chain(others) {
        command.env_remove(format!("SUPERCARGO_{name}"));
    }
    for name in ["VM_MEMORY_OVERHEAD_PERCENT", "RESERVED_ENIS", "SUPERCARGO_DISCOVERED_MEMORY"] {
        command.env_remove(name);
    }
    // What nodes of the user reported is no part of a test.
    command.env("XDG_STATE_HOME", "/nowhere");
    let output = command.current_dir(folder).args(arguments).write_stdin(stdin).output().expect("the binary runs");
    let text = |bytes: Vec<u8>| without_times(&String::from_utf8(bytes).expect("it writes UTF-8"));
    Said { code: output.status.code().expect("it ends by itself"), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs the binary where the manifests of these tests are.
pub(crate) fn run(arguments: &[&str]) -> Said {
    run_in(&data(), arguments, "")
}

/// `text` with how long things took replaced by a fixed word.
fn without_times(text: &str) -> String {
    let mut made = String::new();
    for line in text.lines() {
        if let Some((before, after)) = line.split_once(", after ").filter(|(_, after)| after.ends_with(" s")) {
            assert!(after.trim_end_matches(" s").parse::<f64>().is_ok(), "not a time: {line}");
            made.push_str(before);
            made.push_str(", after [time] s");
        } else if line.trim_start().starts_with("\"seconds\": ") {
            made.push_str("  \"seconds\": 0.0,");
        } else {
            made.push_str(line);
        }
        made.push('\n');
    }
    made
}
