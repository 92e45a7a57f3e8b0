//! Refreshes that are cut down while they write: what readers find is one catalog or the other, never half of one.

use std::path::Path;
use std::process::{Command, Stdio};

use assert_cmd::cargo::cargo_bin;
use supercargo::adapters::files::catalog;

use crate::fake::Account;
use crate::run::{isolate, refresh_command, refreshed};

const REGION: [&str; 2] = ["--region", "eu-west-1"];

/// Names in a folder, sorted.
fn entries(folder: &Path) -> Vec<String> {
    let listed = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = listed.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The kernel ends a program that writes beyond its limit (`SIGXFSZ`): here 64 KiB into the table of types.
#[test]
fn a_death_amid_a_file_leaves_the_last_good_catalog() {
    let (account, root) = (Account::new("cut-down"), tempfile::tempdir().expect("a folder for the test"));
    refreshed(&account, root.path(), &REGION);
    let before = catalog::read(&root.path().join("eu-west-1")).expect("it can be read");

    let mut command = Command::new("bash");
    isolate(&mut command, &account);
    command.args(["-c", "ulimit -c 0 -f 64; exec \"$@\"", "bash"]).arg(cargo_bin("supercargo"));
    command.args(["catalog", "refresh", "--endpoint-url", &account.endpoint(), "--catalog"]).arg(root.path()).args(REGION);
    let output = command.output().expect("bash runs");
    assert_eq!(output.status.code(), None, "it was to be ended by a signal: {}", String::from_utf8_lossy(&output.stderr));

    let half = root.path().join(".eu-west-1/2/instance-types.csv");
    assert_eq!(std::fs::metadata(&half).expect("half a table is there").len(), 64 << 10);
    assert_eq!(catalog::read(&root.path().join("eu-west-1")).expect("it can be read"), before);

    // The next one is not in its way, and takes away what it left.
    refreshed(&account, root.path(), &REGION);
    assert_eq!(entries(&root.path().join(".eu-west-1")), ["1", "3", "lock"]);
}

/// Killed at whatever moment it has come to once it writes.
#[test]
fn kill_9_at_any_moment_of_the_write_leaves_a_whole_catalog() {
    let (account, root) = (Account::new("killed"), tempfile::tempdir().expect("a folder for the test"));
    refreshed(&account, root.path(), &REGION);
    let (link, versions) = (root.path().join("eu-west-1"), root.path().join(".eu-west-1"));
    let expected = catalog::read(&link).expect("it can be read").instance_types;
    for _ in 0..6 {
        let before = entries(&versions);
        let mut command = refresh_command(&account, root.path(), &REGION);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
        while entries(&versions) == before && child.try_wait().expect("it is ours").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        assert_eq!(catalog::read(&link).expect("it can be read").instance_types, expected);
    }
    refreshed(&account, root.path(), &REGION);
    assert_eq!(entries(&versions).len(), 3, "{:?}", entries(&versions));
}
