//! Running the binary with the credentials of an account of the fake, and nothing else of the user's.

use std::ffi::OsStr;
use std::path::Path;

use assert_cmd::cargo::cargo_bin;

use crate::fake::Account;

/// What the binary said.
pub(crate) struct Said {
    /// Exit code.
    pub(crate) code: i32,
    /// Data.
    pub(crate) stdout: String,
    /// Everything else.
    pub(crate) stderr: String,
}

/// The binary, with no configuration of AWS but the account's keys.
pub(crate) fn command(account: &Account) -> std::process::Command {
    let mut command = std::process::Command::new(cargo_bin("supercargo"));
    isolate(&mut command, account);
    command
}

/// Takes away what the user's environment says of AWS and of supercargo, and gives the account's keys.
pub(crate) fn isolate(command: &mut std::process::Command, account: &Account) {
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| name.starts_with("AWS_") || name.starts_with("SUPERCARGO_"));
        if ours || ["ISOLATED_VPC", "RESERVED_ENIS", "VM_MEMORY_OVERHEAD_PERCENT"].iter().any(|other| name == *other) {
            command.env_remove(name);
        }
    }
    command
        .env("XDG_STATE_HOME", "/nowhere")
        .env("AWS_ACCESS_KEY_ID", &account.key)
        .env("AWS_SECRET_ACCESS_KEY", "not-a-secret")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
}

/// Runs it to its end.
pub(crate) fn finished(command: &mut std::process::Command) -> Said {
    let output = command.output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes UTF-8");
    Said { code: output.status.code().expect("it ends by itself"), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// `catalog refresh` into `root`.
pub(crate) fn refresh_command<S: AsRef<OsStr>>(account: &Account, root: &Path, arguments: &[S]) -> std::process::Command {
    let mut command = command(account);
    command.args(["catalog", "refresh", "--endpoint-url", &account.endpoint(), "--catalog"]).arg(root).args(arguments);
    command
}

/// Runs `catalog refresh` into `root`.
pub(crate) fn refresh(account: &Account, root: &Path, arguments: &[&str]) -> Said {
    finished(&mut refresh_command(account, root, arguments))
}

/// The same, which must succeed.
pub(crate) fn refreshed(account: &Account, root: &Path, arguments: &[&str]) -> Said {
    let said = refresh(account, root, arguments);
    assert_eq!(said.code, 0, "{}", said.stderr);
    said
}
