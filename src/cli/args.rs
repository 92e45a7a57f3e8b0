//! The arguments, as the help text tells them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::bench::BenchArgs;
use super::catalog::args::{CatalogArgs, Which};
use super::input::Input;
use super::instances::InstanceArgs;
use super::{Failure, interruptions};
use crate::domain::collective::Portion;
use crate::domain::interruption::RestartCost;
use crate::domain::money::UsdPerHour;
use crate::planning::{CostModel, PreferencePolicy};
use crate::solver::SolveConfig;

/// The cheapest EC2 nodes for the pods of Kubernetes manifests, with a proof of how near to the optimum they are.
#[derive(Debug, Parser)]
#[command(name = "supercargo", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Plan the nodes for the pods of the manifests. Exit code 1 when pods stay unplaced.
    Plan(PlanArgs),
    /// Say why a pod is where it is, or why it cannot be placed; or why a node is what it is.
    Explain(ExplainArgs),
    /// Check a plan (`plan -o json`) against the manifests. Exit code 1 when it breaks a rule.
    Verify(VerifyArgs),
    /// Refresh, list, compare and look over catalogs of instance types and prices.
    Catalog(CatalogArgs),
    /// Instances, runs and reports of the benchmark suite.
    Bench(BenchArgs),
    /// Print the CustomResourceDefinitions, for `kubectl apply --server-side -f -`; docs/crds.md.
    Crds,
    /// Run in a cluster: buy nodes for pending pods; docs/controller.md.
    #[cfg(feature = "controller")]
    Controller(Box<crate::controllers::operations::options::ControllerArgs>),
}

#[derive(Debug, Args)]
pub(super) struct InputArgs {
    /// Manifests: a file, a folder, or `-` for stdin; may be repeated.
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    pub(super) filenames: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) catalog: Which,
    /// How much CPU nodes in one Spot pool (an instance type in a zone) may have together, as a share of what all pods ask for.
    #[arg(long, value_name = "PERCENT", value_parser = percent, env = "SUPERCARGO_MAX_SPOT_POOL_SHARE")]
    pub(super) max_spot_pool_share: Option<u32>,
    /// Reserved Instances and Savings Plans: a file of docs/commitments.md or the output of an AWS command; may be repeated.
    #[arg(long, value_name = "FILE", env = "SUPERCARGO_COMMITMENTS", value_delimiter = ',')]
    pub(super) commitments: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) instances: InstanceArgs,
}

#[derive(Debug, Args)]
pub(super) struct SolveArgs {
    /// Stop when at most this share of the cost could still be saved; 0 asks for a proof of optimality.
    #[arg(long, value_name = "SHARE", default_value = "0.001", value_parser = share, env = "SUPERCARGO_GAP")]
    pub(super) gap: f64,
    /// Stop after this many seconds with the best plan found. Without --timeout and --work: a work limit of a few seconds, which
    /// gives the same plan on every machine, and 60 seconds at most.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, env = "SUPERCARGO_TIMEOUT")]
    pub(super) timeout: Option<Duration>,
    /// Stop after this much work, in units that are the same on every machine.
    #[arg(long, value_name = "N", env = "SUPERCARGO_WORK")]
    pub(super) work: Option<u64>,
    /// Seed of every random choice.
    #[arg(long, value_name = "N", default_value = "0", env = "SUPERCARGO_SEED")]
    pub(super) seed: u64,
}

/// Work of a solve whose user names no limit: some seconds on a machine of today.
const DEFAULT_WORK: u64 = 40_000_000;
/// Ends a solve whose user names no limit, on machines far slower than that.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

impl SolveArgs {
    /// The limits as the solver takes them.
    pub(super) fn config(&self) -> SolveConfig {
        let (work_limit, deadline) = match (self.work, self.timeout) {
            (None, None) => (Some(DEFAULT_WORK), Some(DEFAULT_TIMEOUT)),
            given => given,
        };
        SolveConfig { gap: self.gap, work_limit, deadline, seed: self.seed }
    }
}

#[derive(Debug, Args)]
pub(super) struct CostArgs {
    /// Fixed cost of a node besides its instance and root volume (a licence, an agent), in dollars per hour.
    #[arg(long, value_name = "USD", default_value = "0", value_parser = usd_per_hour, env = "SUPERCARGO_FEE_PER_NODE")]
    pub(super) fee_per_node: UsdPerHour,
    /// Leave root volumes out of the cost.
    #[arg(long)]
    pub(super) no_root_volume: bool,
    /// What one interruption of a Spot instance costs (work that is done again, somebody who looks), in dollars; needs
    /// --interruption-bands.
    #[arg(long, value_name = "USD", default_value = "0", value_parser = restart_cost, env = "SUPERCARGO_INTERRUPTION_COST")]
    pub(super) interruption_cost: RestartCost,
    #[command(flatten)]
    pub(super) bands: BandsArgs,
    /// What becomes of preferred affinities, ScheduleAnyway and PreferNoSchedule.
    #[arg(long, value_enum, default_value = "priced", env = "SUPERCARGO_PREFERENCES")]
    pub(super) preferences: Preferences,
    /// What a pod pays for a preference of weight 100, in percent of its own price; with `--preferences priced`.
    #[arg(long, value_name = "PERCENT", default_value = "10", value_parser = clap::value_parser!(u32).range(0..=1_000), env = "SUPERCARGO_PREFERENCE_PREMIUM")]
    pub(super) preference_premium: u32,
}

/// How often Spot instances are taken back.
#[derive(Debug, Args)]
pub(super) struct BandsArgs {
    /// The Spot advisor's file: which share of instances of each type is taken back within a month.
    /// https://spot-bid-advisor.s3.amazonaws.com/spot-advisor-data.json
    #[arg(long, value_name = "FILE", env = "SUPERCARGO_INTERRUPTION_BANDS")]
    pub(super) interruption_bands: Option<PathBuf>,
}

/// See [`PreferencePolicy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Preferences {
    /// Met where that makes the pod dearer by no more than the premium.
    Priced,
    /// Required as long as the pod can be placed, given up one by one in Karpenter's order where not.
    Respect,
    /// Disregarded.
    Ignore,
}

impl CostArgs {
    /// What counts besides the price of instances; `input` gets notices.
    ///
    /// # Errors
    /// Interruptions that cost something without bands, or with a file that has none for the region.
    pub(super) fn model(&self, input: &mut Input) -> Result<CostModel, Failure> {
        let preferences = match self.preferences {
            Preferences::Priced => PreferencePolicy::Priced { premium_per_mille: self.preference_premium * 10 },
            Preferences::Respect => PreferencePolicy::Respect,
            Preferences::Ignore => PreferencePolicy::Ignore,
        };
        let interruptions = interruptions::costs(self.interruption_cost, &self.bands, input)?;
        Ok(CostModel { volumes: !self.no_root_volume, fee_per_node: self.fee_per_node, interruptions, preferences })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs; the schema is in docs/plan-json.md.
    Json,
    /// The NodeClaims.
    Yaml,
    /// For a comment on a pull request.
    Markdown,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub(super) input: InputArgs,
    /// What to print.
    #[arg(short, long, value_enum, default_value = "table", env = "SUPERCARGO_OUTPUT")]
    pub(super) output: Format,
    /// Write the program as a model for other solvers, by the ending of the name: `.mps` or `.lp`.
    #[arg(long, value_name = "FILE")]
    pub(super) export: Option<PathBuf>,
    #[command(flatten)]
    pub(super) solve: SolveArgs,
    #[command(flatten)]
    pub(super) costs: CostArgs,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(subcommand)]
    pub(super) subject: Subject,
}

#[derive(Debug, Subcommand)]
pub(super) enum Subject {
    /// Why a pod is where it is, or why it cannot be placed.
    Pod {
        /// `NAMESPACE/NAME`.
        name: String,
        #[command(flatten)]
        context: ExplainContext,
    },
    /// Why a node is what it is.
    Node {
        /// The node's number in the table of `plan`.
        number: usize,
        #[command(flatten)]
        context: ExplainContext,
    },
}

#[derive(Debug, Args)]
pub(super) struct ExplainContext {
    #[command(flatten)]
    pub(super) input: InputArgs,
    #[command(flatten)]
    pub(super) solve: SolveArgs,
    #[command(flatten)]
    pub(super) costs: CostArgs,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The plan, as `plan -o json` prints it.
    #[arg(value_name = "PLAN.json")]
    pub(super) plan: PathBuf,
    #[command(flatten)]
    pub(super) input: InputArgs,
    #[command(flatten)]
    pub(super) bands: BandsArgs,
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("a share is a number from 0 to below 1, such as 0.001 for 0.1 %".to_owned()),
    }
}

/// Thousandths.
fn percent(text: &str) -> Result<u32, String> {
    Portion::parse(text)
        .and_then(Portion::per_mille)
        .ok_or_else(|| "a share is a percentage with at most one decimal, such as 25%".to_owned())
}

/// The longest time limit, in seconds: a day.
const LONGEST: f64 = 86_400.0;

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= LONGEST => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("a time limit is a number of seconds above 0, at most {LONGEST}")),
    }
}

/// The dearest fee: far above any instance, and small enough for every sum.
const DEAREST_FEE: UsdPerHour = UsdPerHour::from_micros(1_000_000_000);

fn usd_per_hour(text: &str) -> Result<UsdPerHour, String> {
    UsdPerHour::parse(text)
        .filter(|fee| *fee <= DEAREST_FEE)
        .ok_or_else(|| "a fee is dollars per hour with at most six decimals, at most 1000, such as 0.01".to_owned())
}

fn restart_cost(text: &str) -> Result<RestartCost, String> {
    UsdPerHour::parse(text).and_then(|cost| RestartCost::from_micros(cost.micros())).ok_or_else(|| {
        "the cost of an interruption is dollars with at most six decimals, at most 1000000, such as 0.02".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        for text in ["NaN", "-0.1", "1", "inf", "x"] {
            assert!(share(text).is_err(), "share {text}");
        }
        for text in ["25", "101%", "-5%", "%", "x"] {
            assert!(percent(text).is_err(), "percent {text}");
        }
        assert_eq!(percent("12.5%"), Ok(125));
        for text in ["NaN", "0", "-1", "inf", "1e9", "x"] {
            assert!(seconds(text).is_err(), "seconds {text}");
        }
        for text in ["NaN", "-1", "1001", "0.0000001"] {
            assert!(usd_per_hour(text).is_err(), "fee {text}");
        }
        assert_eq!(usd_per_hour("0.01"), Ok(UsdPerHour::from_micros(10_000)));
        for text in ["NaN", "-1", "1000001", "0.0000001"] {
            assert!(restart_cost(text).is_err(), "restart cost {text}");
        }
        assert_eq!(restart_cost("0.02").ok(), RestartCost::from_micros(20_000));
    }
}
