//! The election of the one replica that acts, by the rules of client-go and over the same Lease as Karpenter: whichever of all replicas
//! of both holds it acts alone.
//!
//! The rules (client-go `tools/leaderelection`, times as controller-runtime sets them): the holder renews every 2 s; one that could not
//! for 10 s must not act any more; another may take the Lease when its record has not changed for 15 s. Every write carries the version
//! that it was decided on, so of two that try at once one fails. How old a record is, is measured from when this replica first saw
//! it, by its own monotonic clock: clocks of different machines are never compared.
//!
//! Two deliberate strictnesses: the 10 s are counted from the start of the last renewal that succeeded, and [`Fence::leads`] knows the
//! time itself, so that a process which was frozen does not act on what was true before.

mod record;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::metrics::Metrics;
use super::options::Election;
use crate::controllers::random::random;
use record::Record;

/// The times of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Timing {
    /// How long a record that does not change keeps others away.
    lease: Duration,
    /// How long the holder may act after its last renewal.
    renew_deadline: Duration,
    /// Between two attempts.
    retry: Duration,
}

/// controller-runtime's defaults, which Karpenter keeps.
const TIMING: Timing =
    Timing { lease: Duration::from_secs(15), renew_deadline: Duration::from_secs(10), retry: Duration::from_secs(2) };
/// Those who wait try again after 1 to 2.2 times the usual time, so that they do not all try at once (client-go's JitterFactor).
const JITTER: f64 = 1.2;

/// How this replica stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Another holds the Lease, or nobody yet.
    Waiting,
    /// We hold it, and may act until then.
    Leading { until: Instant },
    /// There is no election.
    Unopposed,
    /// We held it, and do no longer.
    Lost,
}

impl Standing {
    fn leads(self) -> bool {
        match self {
            Self::Leading { until } => Instant::now() < until,
            Self::Unopposed => true,
            Self::Waiting | Self::Lost => false,
        }
    }
}

/// The Lease was lost to another replica, or could not be renewed in time: this process must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("leader election lost: the Lease is another's or could not be renewed in time")]
pub struct Lost;

/// Tells, at any moment, whether this replica may act; to be asked right before whatever cannot be taken back.
#[derive(Clone, Debug)]
pub struct Fence(watch::Receiver<Standing>);

impl Fence {
    /// Whether this replica may act now.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.0.borrow().leads()
    }
}

/// This replica's part in the election. Dropped, it gives the Lease back in the background.
#[derive(Debug)]
pub struct Leadership {
    standing: watch::Receiver<Standing>,
    resign: DropGuard,
    running: JoinHandle<()>,
}

impl Leadership {
    /// Returns when this replica may act.
    ///
    /// # Errors
    /// When the election itself came to an end.
    pub async fn won(&mut self) -> Result<(), Lost> {
        let standing =
            self.standing.wait_for(|standing| standing.leads() || *standing == Standing::Lost).await.map_err(|_| Lost)?;
        if *standing == Standing::Lost { Err(Lost) } else { Ok(()) }
    }

    /// Returns when this replica acted and must no longer.
    pub async fn lost(&mut self) -> Lost {
        // An election that came to an end keeps nobody from acting either.
        let _ = self.standing.wait_for(|standing| *standing == Standing::Lost).await;
        Lost
    }

    /// For those who act.
    #[must_use]
    pub fn fence(&self) -> Fence {
        Fence(self.standing.clone())
    }

    /// Gives the Lease back, so that another replica takes over at once. To be called when nothing acts any more.
    pub async fn resign(self) {
        drop(self.resign);
        if let Err(error) = self.running.await {
            tracing::error!(%error, "leader election ended with a defect");
        }
    }
}

/// Takes part in the election, or acts unopposed where there is none. `client` should have no limit on its requests: a renewal that
/// waits in line behind others comes too late.
#[must_use]
pub fn lead(client: Client, election: Option<&Election>, metrics: Arc<Metrics>) -> Leadership {
    stand(client, election, metrics, TIMING)
}

fn stand(client: Client, election: Option<&Election>, metrics: Arc<Metrics>, timing: Timing) -> Leadership {
    let stop = CancellationToken::new();
    let resign = stop.clone().drop_guard();
    let Some(election) = election else {
        let (sender, standing) = watch::channel(Standing::Unopposed);
        let running = tokio::spawn(async move {
            stop.cancelled().await;
            drop(sender);
        });
        return Leadership { standing, resign, running };
    };
    let namespace = election.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let (sender, standing) = watch::channel(Standing::Waiting);
    let candidate = Candidate {
        leases: Api::namespaced(client, &namespace),
        lease: election.lease.clone(),
        namespace,
        identity: identity(),
        timing,
        known: None,
    };
    let running = tokio::spawn(candidate.run(sender, metrics, stop));
    Leadership { standing, resign, running }
}

/// The host, which is the pod, and a number that tells this process from an earlier one.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    let host = host.map(|host| host.trim().to_owned()).filter(|host| !host.is_empty());
    format!("{}_{:016x}", host.as_deref().unwrap_or(env!("CARGO_PKG_NAME")), random())
}

struct Candidate {
    leases: Api<Lease>,
    lease: String,
    namespace: String,
    identity: String,
    timing: Timing,
    known: Option<Record>,
}

impl Candidate {
    async fn run(mut self, standing: watch::Sender<Standing>, metrics: Arc<Metrics>, stop: CancellationToken) {
        metrics.cluster.leads(&self.lease, false);
        let Some(until) = stop.run_until_cancelled(self.acquire()).await else { return };
        tracing::info!(lease = self.lease, namespace = self.namespace, identity = self.identity, "successfully acquired lease");
        metrics.cluster.leads(&self.lease, true);
        standing.send_replace(Standing::Leading { until });
        let kept = stop.run_until_cancelled(self.keep(until, &standing)).await;
        metrics.cluster.leads(&self.lease, false);
        standing.send_replace(Standing::Lost);
        match kept {
            Some(()) => tracing::error!(lease = self.lease, namespace = self.namespace, "leader election lost"),
            None => self.release().await,
        }
    }

    /// Tries until the Lease is ours; gives until when we may act.
    async fn acquire(&mut self) -> Instant {
        let mut told = None;
        loop {
            let started = Instant::now();
            match timeout(self.timing.renew_deadline / 2, self.attempt()).await {
                Ok(Ok(true)) => return started + self.timing.renew_deadline,
                Ok(Ok(false)) => {
                    let holder = self.known.as_ref().and_then(Record::holder);
                    if holder != told.as_deref() {
                        tracing::info!(lease = self.lease, holder, "waiting for the lease");
                        told = holder.map(str::to_owned);
                    }
                }
                Ok(Err(error)) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(lease = self.lease, namespace = self.namespace, error, "cannot try for the lease");
                }
                Err(_) => tracing::error!(lease = self.lease, namespace = self.namespace, "the API server does not answer"),
            }
            let share = random() as f64 / u64::MAX as f64;
            sleep(self.timing.retry.mul_f64(1.0 + JITTER * share)).await;
        }
    }

    /// Renews the Lease until that fails for too long, or another has it.
    async fn keep(&mut self, mut until: Instant, standing: &watch::Sender<Standing>) {
        loop {
            sleep(self.timing.retry.min(until.saturating_duration_since(Instant::now()))).await;
            let started = Instant::now();
            let most = (self.timing.renew_deadline / 2).min(until.saturating_duration_since(started));
            match timeout(most, self.attempt()).await {
                Ok(Ok(true)) => {
                    until = started + self.timing.renew_deadline;
                    standing.send_replace(Standing::Leading { until });
                }
                Ok(Ok(false)) => return,
                Ok(Err(error)) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(lease = self.lease, namespace = self.namespace, error, "cannot renew the lease");
                }
                Err(_) => tracing::error!(lease = self.lease, namespace = self.namespace, "the API server does not answer"),
            }
            if Instant::now() >= until {
                return;
            }
        }
    }

    /// Renews the Lease if it is ours, takes it if it is free; whether it is ours afterwards.
    async fn attempt(&mut self) -> Result<bool, Error> {
        if let Some(known) = self.known.as_ref().filter(|known| known.holder() == Some(&self.identity)) {
            match self.replace(known.held_by(&self.identity, self.timing.lease, Timestamp::now())).await {
                Err(error) if is_stale(&error) => {}
                written => return written.map(|()| true),
            }
        }
        let Some(found) = self.leases.get_opt(&self.lease).await? else {
            let first = record::first(&self.lease, &self.identity, self.timing.lease, Timestamp::now());
            return match self.leases.create(&PostParams::default(), &first).await {
                Err(error) if is_stale(&error) => Ok(false),
                created => created.map(|lease| self.saw(lease)).map(|()| true),
            };
        };
        self.saw(found);
        let known = self.known.as_ref().expect("the Lease was just seen");
        if !known.is_free_for(&self.identity, self.timing.lease, Instant::now()) {
            return Ok(false);
        }
        match self.replace(known.held_by(&self.identity, self.timing.lease, Timestamp::now())).await {
            Err(error) if is_stale(&error) => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// Lets others have the Lease at once.
    async fn release(&mut self) {
        let Some(known) = self.known.as_ref().filter(|known| known.holder() == Some(&self.identity)) else { return };
        let (released, most) = (known.released(Timestamp::now()), self.timing.renew_deadline / 2);
        let problem = match timeout(most, self.replace(released)).await {
            Ok(Ok(())) => return tracing::info!(lease = self.lease, namespace = self.namespace, "released the lease"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the API server does not answer".to_owned(),
        };
        tracing::error!(
            lease = self.lease,
            namespace = self.namespace,
            error = problem,
            "cannot release the lease: it runs out by itself"
        );
    }

    async fn replace(&mut self, lease: Lease) -> Result<(), Error> {
        let written = self.leases.replace(&self.lease, &PostParams::default(), &lease).await?;
        self.saw(written);
        Ok(())
    }

    fn saw(&mut self, lease: Lease) {
        self.known = Some(Record::seen(lease, self.known.take(), Instant::now()));
    }
}

/// Whether the Lease is not what the write was decided on: changed, made, or gone meanwhile.
fn is_stale(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 409 || status.code == 404)
}

#[cfg(test)]
mod tests;
