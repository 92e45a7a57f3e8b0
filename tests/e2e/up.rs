//! The test bed for a person: up until told otherwise.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is for the person at the terminal")]

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::Trouble;
use crate::aws::CLUSTER;
use crate::bed::Bed;
use crate::joiner::Habits;

/// The argument that asks for it.
pub(crate) const ARGUMENT: &str = "up";

/// Brings everything up, says how to use it, and takes it down on ctrl-C or at the end of the input.
pub(crate) async fn until_told() -> ExitCode {
    let ended = match Bed::start().await {
        Ok(bed) => {
            let ended = serve(&bed).await;
            bed.processes.finish();
            ended
        }
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the test bed did not come up: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(bed: &Bed) -> Result<(), Trouble> {
    let cloud = bed.cloud("up").await?;
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    let mut variables = cloud.environment();
    variables.extend([
        ("KUBECONFIG", bed.plane.kubeconfig("admin").display().to_string()),
        ("CLUSTER_NAME", CLUSTER.to_owned()),
        ("CLUSTER_ENDPOINT", bed.plane.server.clone()),
    ]);
    let mut exports = String::new();
    for (name, value) in variables {
        let _ = writeln!(exports, "export {name}={value}");
    }
    print!("{exports}");
    eprintln!("the test bed is up; logs and kubeconfigs are in {}", bed.processes.folder().display());
    eprintln!("ctrl-C or the end of the input takes it down");
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())) => drop(ended??),
    }
    Ok(())
}
