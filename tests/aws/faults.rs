//! What goes wrong between here and AWS: it is repeated until it goes well, or said clearly, and the last good catalog stays.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use supercargo::adapters::files::catalog;

use crate::fake::Account;
use crate::run::{Said, finished, refresh, refresh_command, refreshed};

const REGION: [&str; 2] = ["--region", "eu-west-1"];

/// Every file below the folder with its text, links with where they lead.
fn everything_in(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).expect("the folder is there").map(|e| e.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        let name = path.display().to_string();
        if path.is_symlink() {
            found.push((name, std::fs::read_link(&path).expect("a link").display().to_string()));
        } else if path.is_dir() {
            found.extend(everything_in(&path));
        } else {
            found.push((name, std::fs::read_to_string(&path).expect("text")));
        }
    }
    found
}

/// Refreshes well, then with `faults`, which must fail, leave everything as it was, and say all of `expected`.
fn fails_and_keeps(name: &str, faults: &Value, arguments: &[&str], expected: &[&str]) -> Said {
    let (account, root) = (Account::new(name), tempfile::tempdir().expect("a folder for the test"));
    refreshed(&account, root.path(), &REGION);
    let before = everything_in(root.path());
    account.faults(faults);
    let said = refresh(&account, root.path(), &[REGION.as_slice(), arguments].concat());
    assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{}", said.stderr);
    for part in expected.iter().chain(&["note: the catalog of eu-west-1 stays as of 20"]) {
        assert!(said.stderr.contains(part), "{part:?} is not in:\n{}", said.stderr);
    }
    assert_eq!(said.stderr.matches("error: ").count(), 1, "{}", said.stderr);
    assert!(!said.stderr.contains("not-a-secret") && !said.stderr.contains(&account.key), "{}", said.stderr);
    assert_eq!(everything_in(root.path()), before);
    said
}

/// Refreshes with `faults`, which must go well in the end and give the same catalog as without.
fn recovers(name: &str, faults: &Value, arguments: &[&str]) -> Account {
    let (account, root) = (Account::new(name), tempfile::tempdir().expect("a folder for the test"));
    account.faults(faults);
    refreshed(&account, root.path(), &[REGION.as_slice(), arguments].concat());
    let made = catalog::read(&root.path().join("eu-west-1")).expect("it can be read");

    let (other, whole) = (Account::new(&format!("{name}-whole")), tempfile::tempdir().expect("a folder for the test"));
    refreshed(&other, whole.path(), &REGION);
    let expected = catalog::read(&whole.path().join("eu-west-1")).expect("it can be read");
    assert_eq!(made.instance_types, expected.instance_types);
    account
}

#[test]
fn throttling_is_waited_out() {
    let slow_down = |action: &str, code: &str| json!({"action": action, "error": [code, 503, "Request limit exceeded."], "skip": 2, "times": 2});
    let faults = json!([
        slow_down("DescribeInstanceTypes", "RequestLimitExceeded"),
        slow_down("GetProducts", "ThrottlingException"),
        slow_down("DescribeSpotPriceHistory", "RequestLimitExceeded"),
    ]);
    let account = recovers("throttled", &faults, &[]);
    assert_eq!(account.count("DescribeInstanceTypes"), 12 + 2);
}

#[test]
fn throttling_without_end_is_said() {
    let faults = json!([{"action": "DescribeSpotPriceHistory", "error": ["RequestLimitExceeded", 503, "Request limit exceeded."], "times": 999}]);
    let expected = [
        "error: eu-west-1: DescribeSpotPriceHistory failed: RequestLimitExceeded (Request limit exceeded.)",
        "hint: wait a minute",
    ];
    fails_and_keeps("limited", &faults, &[], &expected);
}

#[test]
fn a_500_amid_the_pages_is_repeated_and_then_said() {
    let broken = |times: u32| json!([{"action": "DescribeInstanceTypes", "html": 500, "skip": 7, "times": times}]);
    let account = recovers("broken-once", &broken(1), &[]);
    assert_eq!(account.count("DescribeInstanceTypes"), 12 + 1);
    fails_and_keeps(
        "broken",
        &broken(999),
        &[],
        &["eu-west-1: DescribeInstanceTypes failed: HTTP status 500", "hint: refresh again later"],
    );
}

#[test]
fn a_price_list_that_fails_names_where_it_was_asked() {
    let faults = json!([{"action": "GetProducts", "error": ["InternalErrorException", 500, "Sorry."], "skip": 3, "times": 999}]);
    fails_and_keeps(
        "unlisted",
        &faults,
        &[],
        &["eu-west-1: GetProducts failed (asked in eu-central-1): InternalErrorException (Sorry.)"],
    );
}

#[test]
fn expired_credentials_are_said_with_the_mend() {
    for (name, action, code) in [
        ("expired-ec2", "DescribeInstanceTypeOfferings", "RequestExpired"),
        ("expired-prices", "GetProducts", "ExpiredTokenException"),
    ] {
        let faults = json!([{"action": action, "error": [code, 400, "The security token included in the request is expired"], "times": 999}]);
        fails_and_keeps(name, &faults, &[], &[action, code, "hint: renew the credentials"]);
    }
}

#[test]
fn a_call_that_is_not_allowed_names_the_permissions() {
    let faults = json!([{"action": "DescribeInstanceTypes", "error": ["UnauthorizedOperation", 403, "You are not authorized."], "times": 999}]);
    let said = fails_and_keeps("forbidden", &faults, &[], &["hint: allow ec2:DescribeInstanceTypes, "]);
    assert!(said.stderr.contains("pricing:GetProducts"), "{}", said.stderr);
}

#[test]
fn a_truncated_answer_is_asked_for_again_and_then_said() {
    let cut = |action: &str, times: u32| json!([{"action": action, "truncate": true, "skip": 1, "times": times}]);
    for (name, action) in [("cut-types", "DescribeInstanceTypes"), ("cut-prices", "GetProducts")] {
        recovers(name, &cut(action, 1), &[]);
    }
    fails_and_keeps("cut", &cut("DescribeInstanceTypes", 999), &[], &["eu-west-1: DescribeInstanceTypes failed: ", "hint: "]);
}

#[test]
fn a_slow_server_is_waited_for_and_one_that_never_answers_is_given_up() {
    // Held until it is let go, which happens once the call was made.
    let (account, root) = (Account::new("slow"), tempfile::tempdir().expect("a folder for the test"));
    account.faults(&json!([{"action": "DescribeInstanceTypeOfferings", "hold": true}]));
    let mut command = refresh_command(&account, root.path(), &REGION);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    while account.count("DescribeInstanceTypeOfferings") == 0 {
        std::thread::yield_now();
    }
    account.release();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));

    let faults = json!([{"action": "DescribeInstanceTypeOfferings", "hold": true, "times": 999}]);
    let expected = ["eu-west-1: DescribeInstanceTypeOfferings failed: no answer in time", "or raise --timeout"];
    fails_and_keeps("silent", &faults, &["--timeout", "0.5"], &expected);
}

#[test]
fn a_region_that_does_not_exist_is_refused() {
    let (account, root) = (Account::new("nowhere"), tempfile::tempdir().expect("a folder for the test"));
    let said = refresh(&account, root.path(), &["--region", "eu-nowhere-9", "--region", "eu-west-1"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("error: eu-nowhere-9: "), "{}", said.stderr);
    assert!(said.stderr.contains("note: there is no catalog of eu-nowhere-9 yet"), "{}", said.stderr);
    // The other one is there all the same.
    assert_eq!(said.stdout, format!("{}\n", root.path().join("eu-west-1").display()));
    assert!(catalog::read(&root.path().join("eu-west-1")).is_ok());

    let said = refresh(&account, root.path(), &["--region", "../etc"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("the name of a region looks like eu-west-1"), "{}", said.stderr);
}

#[test]
fn nobody_at_the_address_and_no_credentials_are_said() {
    let (account, root) = (Account::new("nobody"), tempfile::tempdir().expect("a folder for the test"));
    // A port that was free a moment ago: whoever listens there now does not speak HTTP to us.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
    let mut command = crate::run::command(&account);
    command.args(["catalog", "refresh", "--region", "eu-west-1", "--endpoint-url"]);
    command.arg(format!("http://127.0.0.1:{port}")).arg("--catalog").arg(root.path());
    let said = finished(&mut command);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("hint: check that the region exists and that its endpoint can be reached"), "{}", said.stderr);

    let mut command = refresh_command(&account, root.path(), &REGION);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let said = finished(&mut command);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("loading credentials failed: "), "{}", said.stderr);
    assert!(said.stderr.contains("hint: set AWS_PROFILE or --profile"), "{}", said.stderr);

    // A profile that is named counts, and not what the environment has.
    let said = refresh(&account, root.path(), &[REGION.as_slice(), &["--profile", "missing"]].concat());
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("loading credentials failed: ") && said.stderr.contains("`missing`"), "{}", said.stderr);
}

#[test]
fn settings_that_make_no_sense_are_said() {
    let (account, root) = (Account::new("settings"), tempfile::tempdir().expect("a folder for the test"));
    let mut command = crate::run::command(&account);
    command.args(["catalog", "refresh", "--endpoint-url", "nowhere", "--catalog"]).arg(root.path()).args(REGION);
    let said = finished(&mut command);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("an address looks like http://"), "{}", said.stderr);
    for (name, value) in [
        ("AWS_MAX_ATTEMPTS", "many"),
        ("AWS_MAX_ATTEMPTS", "0"),
        ("AWS_RETRY_MODE", "stubborn"),
        ("AWS_ENDPOINT_URL_EC2", "nowhere"),
    ] {
        let mut command = crate::run::command(&account);
        command.args(["catalog", "refresh", "--isolated-vpc", "--catalog"]).arg(root.path()).args(REGION).env(name, value);
        let said = finished(&mut command);
        assert_eq!(said.code, 2, "{}", said.stderr);
        assert!(said.stderr.contains("hint: check the variables AWS_*"), "{}", said.stderr);
    }
    assert_eq!(account.calls(), []);
}
