//! End-to-end tests: a real control plane, a fake AWS, nodes that are played, and the `supercargo` binary between them.
//!
//! All tests share one control plane, which the first of them brings up and which goes when they are over; they run one after the other, each
//! with an account of its own in the cloud. `cargo test --test e2e -- up` brings the same up for a person. `docs/testbed.md` has the rest.

mod adoption;
mod aws;
mod bed;
mod boots;
mod cluster;
mod control_plane;
mod controller;
mod crashes;
mod explanations;
#[path = "../aws/fake.rs"]
#[allow(dead_code, reason = "what the tests of the live catalog need is not all needed here")]
mod fake;
mod faults;
mod foundations;
mod front;
mod joiner;
mod keys;
mod processes;
mod rules;
mod scale_up;
mod stock_out;
mod studies;
mod undertaker;
mod up;
mod user_data;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

use crate::bed::Bed;

/// What can go wrong in the test bed or in a test.
pub(crate) type Trouble = Box<dyn std::error::Error + Send + Sync>;
/// How a test ends.
pub(crate) type Outcome = Result<(), Trouble>;

/// How long a test may take.
const PATIENCE: Duration = Duration::from_secs(420);
/// How long a measurement may take.
const PATIENCE_OF_STUDIES: Duration = Duration::from_hours(1);

/// The test bed, once the first test has asked for it; or why there is none.
static BED: OnceLock<Result<Bed, String>> = OnceLock::new();
static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Each test by its path, and how it is run.
macro_rules! tests {
    ($how:ident: $($module:ident :: $name:ident),* $(,)?) => {
        [$(Trial::test(concat!(stringify!($module), "::", stringify!($name)), || $how($module::$name))),*]
    };
}

fn main() -> ExitCode {
    let first = std::env::args().nth(1);
    match first.as_deref() {
        Some(undertaker::ARGUMENT) => {
            undertaker::work();
            return ExitCode::SUCCESS;
        }
        Some(up::ARGUMENT) => return runtime().block_on(up::until_told()),
        _ => (),
    }
    let mut arguments = Arguments::from_args();
    // They share a cluster.
    arguments.test_threads = Some(1);
    let without_bed = tests![
        alone:
        boots::a_script_of_amazon_linux_2_is_read,
        boots::later_node_configs_win,
        boots::settings_of_bottlerocket_are_read,
        boots::what_no_image_could_use_is_an_error,
    ];
    let in_bed = tests![
        in_bed:
        adoption::objects_of_a_running_karpenter_are_taken_as_they_are,
        crashes::a_killed_controller_buys_nothing_twice,
        crashes::the_other_replica_takes_over,
        explanations::a_class_without_a_subnet_says_so_and_its_pool_too,
        explanations::a_dry_run_recommends_and_does_nothing,
        explanations::a_pool_at_its_limit_is_named_on_the_pod,
        explanations::an_impossible_pod_says_what_it_would_take,
        explanations::overlays_say_whether_they_count,
        faults::a_call_that_is_not_allowed_is_tried_again,
        faults::a_launch_template_that_somebody_deleted_is_made_again,
        faults::a_launch_that_hangs_keeps_nobody_from_planning,
        faults::a_throttled_launch_is_tried_again,
        faults::an_api_server_that_restarts_loses_nothing,
        faults::an_answer_that_was_lost_buys_nothing_twice,
        faults::nodes_that_come_up_badly_cost_no_pod,
        faults::watches_that_lag_by_seconds_lose_nothing,
        foundations::a_budget_blocks_an_eviction,
        foundations::an_instance_becomes_a_node_that_runs_pods,
        foundations::faults_of_instances_show,
        foundations::mistakes_in_custom_resources_are_refused,
        foundations::pods_without_a_node_are_unschedulable,
        foundations::pools_of_the_cloud_run_dry,
        foundations::the_controller_may_do_what_its_roles_say,
        foundations::the_job_of_the_benchmark_would_be_taken,
        scale_up::a_deleted_claim_ends_its_node_and_its_instance,
        scale_up::later_pods_take_the_free_room_of_a_node_that_is_held,
        scale_up::two_hundred_mixed_pods_run_where_the_plan_put_them,
        stock_out::a_claim_that_nothing_can_be_had_for_is_planned_again,
        stock_out::full_subnets_send_pods_to_other_zones,
        stock_out::pods_run_on_the_next_best_offering,
    ];
    let studies = tests![
        study:
        studies::a_thousand_pods,
        studies::placement,
        studies::two_thousand_pods,
    ];
    let studies = studies.into_iter().map(|trial| trial.with_ignored_flag(true));
    let conclusion = libtest_mimic::run(&arguments, without_bed.into_iter().chain(in_bed).chain(studies).collect());
    if let Some(Ok(bed)) = BED.get() {
        if conclusion.has_failed() {
            bed.processes.keep_logs();
        }
        bed.processes.finish();
    }
    conclusion.exit_code()
}

fn runtime() -> &'static Runtime {
    RUNTIME.get_or_init(|| Runtime::new().expect("the system has threads for a runtime"))
}

/// Runs a test that needs no test bed.
fn alone(test: fn() -> Outcome) -> Result<(), Failed> {
    test().map_err(|error| error.to_string().into())
}

/// Says something beside the results.
pub(crate) fn tell(text: &str) {
    use std::io::Write as _;
    // Whoever does not listen misses nothing that decides.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Runs one test in the test bed, and clears up after it.
fn in_bed(test: impl AsyncFnOnce(&Bed) -> Outcome) -> Result<(), Failed> {
    within(PATIENCE, test)
}

/// Runs one measurement in the test bed, and clears up after it.
fn study(test: impl AsyncFnOnce(&Bed) -> Outcome) -> Result<(), Failed> {
    within(PATIENCE_OF_STUDIES, test)
}

fn within(patience: Duration, test: impl AsyncFnOnce(&Bed) -> Outcome) -> Result<(), Failed> {
    let bed = BED.get_or_init(|| runtime().block_on(Bed::start()).map_err(|error| error.to_string()));
    let bed = bed.as_ref().map_err(|error| format!("the test bed did not come up: {error}"))?;
    let ended = catch_unwind(AssertUnwindSafe(|| {
        runtime().block_on(async {
            let in_time = tokio::time::timeout(patience, test(bed)).await;
            in_time.unwrap_or_else(|_| Err(format!("it took more than {patience:?}").into()))
        })
    }));
    let failure = match ended {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            Some(said.unwrap_or("it panicked").to_owned())
        }
    };
    let failure = failure.map(|failure| format!("{failure}\n\n{}", runtime().block_on(bed.dump())));
    let reset = runtime().block_on(bed.reset());
    match (failure, reset) {
        (Some(failure), _) => Err(failure.into()),
        (None, Err(error)) => Err(format!("the test bed cannot be cleared: {error}").into()),
        (None, Ok(())) => Ok(()),
    }
}
