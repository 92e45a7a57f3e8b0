//! Tests that use the library itself: it reads its credentials from the environment like every AWS tool, and a process cannot change its
//! own while it has threads. So each of them runs itself again, alone in a process that has the keys of the test's account.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use supercargo::adapters::aws::Access;

use crate::fake::{Account, PORT, port};
use crate::run::isolate;

/// Ends a test that waits for what does not come.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `body` with an account and a folder in the process of the test `module::name` that has the account's keys.
pub(crate) fn alone<F: Future<Output = ()>>(module: &str, name: &str, body: impl FnOnce(Account, PathBuf) -> F) {
    let account = Account::new(name);
    if std::env::var("AWS_ACCESS_KEY_ID").is_ok_and(|key| key == account.key) {
        let root = tempfile::tempdir().expect("a folder for the test");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let body = body(account, root.path().to_owned());
        runtime.block_on(async { tokio::time::timeout(PATIENCE, body).await }).expect("what the test waits for comes");
        return;
    }
    let mut command = Command::new(std::env::current_exe().expect("the tests are a program"));
    isolate(&mut command, &account);
    command.env(PORT, port().to_string()).args([&format!("{module}::{name}"), "--exact", "--nocapture"]);
    let output = command.output().expect("the tests run");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// How the library reaches the fake.
pub(crate) fn access(account: &Account) -> Access {
    Access { profile: None, endpoint_url: Some(account.endpoint()), timeout: Duration::from_secs(30) }
}
