//! Metrics and probes over HTTP, on two ports as in Karpenter: `/metrics`, and `/healthz` with `/readyz`.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use super::options::Listen;

/// The content type of what [`Metrics::encode`] gives.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What must be true before this replica counts as ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prerequisite {
    /// The API server serves NodePools, NodeClaims and EC2NodeClasses.
    CrdsServed,
    /// The mirror of the cluster is complete.
    MirrorSynced,
}

/// Which prerequisites are met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Met {
    crds_served: bool,
    mirror_synced: bool,
}

impl Met {
    /// What is missing, for people.
    fn missing(self) -> Vec<&'static str> {
        let all = [
            (self.crds_served, "the API server does not serve the kinds karpenter.sh and karpenter.k8s.aws: install the CRDs"),
            (self.mirror_synced, "the mirror of the cluster is not complete yet"),
        ];
        all.into_iter().filter(|(met, _)| !met).map(|(_, what)| what).collect()
    }
}

/// Whether this replica is ready: told by whoever knows, and read by the probe. At first nothing is met.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<watch::Sender<Met>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Met::default())))
    }
}

impl Readiness {
    /// A prerequisite is met, or no longer.
    pub fn set(&self, prerequisite: Prerequisite, met: bool) {
        self.0.send_modify(|all| match prerequisite {
            Prerequisite::CrdsServed => all.crds_served = met,
            Prerequisite::MirrorSynced => all.mirror_synced = met,
        });
    }

    /// Returns when everything is met.
    pub async fn reached(&self) {
        // The sender is ours, so it outlives the wait.
        let _ = self.0.subscribe().wait_for(|met| met.missing().is_empty()).await;
    }
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port cannot be had.
    #[error("cannot listen at {address} for {what}: {source}; {variable} chooses another port")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What was to be served.
        what: &'static str,
        /// The setting.
        variable: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// Serving ended by itself.
    #[error("serving metrics and probes ended: {0}")]
    Ended(#[from] io::Error),
}

/// Two open ports.
#[derive(Debug)]
pub struct Server {
    metrics: TcpListener,
    probes: TcpListener,
}

impl Server {
    /// Opens the ports; nothing is answered before [`Self::serve`].
    ///
    /// # Errors
    /// The port that cannot be had.
    pub async fn open(listen: &Listen) -> Result<Self, ServeError> {
        Ok(Self {
            metrics: bind(listen.address, listen.metrics_port, "metrics", "METRICS_PORT").await?,
            probes: bind(listen.address, listen.probe_port, "probes", "HEALTH_PROBE_PORT").await?,
        })
    }

    /// Where metrics and probes are, which tells the ports that the system picked for 0.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.metrics.local_addr()?, self.probes.local_addr()?))
    }

    /// Answers until `stop`, then finishes the requests that are under way.
    ///
    /// # Errors
    /// When serving ends by itself.
    pub async fn serve(self, metrics: Arc<Metrics>, readiness: Readiness, stop: CancellationToken) -> Result<(), ServeError> {
        let metrics = Router::new().route("/metrics", get(encoded)).with_state(metrics);
        let probes = Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).with_state(readiness);
        tokio::try_join!(until(&stop, self.metrics, metrics), until(&stop, self.probes, probes))?;
        Ok(())
    }
}

fn until(stop: &CancellationToken, listener: TcpListener, router: Router) -> impl Future<Output = io::Result<()>> + use<> {
    axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned()).into_future()
}

/// At `address`, or at all: those of IPv6 (on Linux with IPv4 among them), else those of IPv4.
async fn bind(address: Option<IpAddr>, port: u16, what: &'static str, variable: &'static str) -> Result<TcpListener, ServeError> {
    let (first, second) = match address {
        Some(address) => (address, None),
        None => (Ipv6Addr::UNSPECIFIED.into(), Some(IpAddr::from(Ipv4Addr::UNSPECIFIED))),
    };
    let refused = |address, source| ServeError::Bind { address, what, variable, source };
    let at = SocketAddr::new(first, port);
    match (TcpListener::bind(at).await, second) {
        (Ok(listener), _) => Ok(listener),
        (Err(source), Some(second)) if source.kind() != io::ErrorKind::AddrInUse => {
            let at = SocketAddr::new(second, port);
            TcpListener::bind(at).await.map_err(|source| refused(at, source))
        }
        (Err(source), _) => Err(refused(at, source)),
    }
}

async fn encoded(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, PROMETHEUS_TEXT)], metrics.encode())
}

async fn alive() -> &'static str {
    "ok"
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, String) {
    let missing = readiness.0.borrow().missing();
    if missing.is_empty() { (StatusCode::OK, "ok".to_owned()) } else { (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n")) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;
    use crate::controllers::operations::metrics::Build;

    async fn ask(address: SocketAddr, path: &'static str) -> String {
        let asked = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address)?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            io::Result::Ok(answer)
        });
        asked.await.expect("it does not panic").expect("it answers")
    }

    fn local() -> Listen {
        Listen { address: Some(Ipv4Addr::LOCALHOST.into()), metrics_port: 0, probe_port: 0 }
    }

    #[tokio::test]
    async fn metrics_and_probes_answer_until_the_stop() {
        let server = Server::open(&local()).await.expect("loopback has free ports");
        let (metrics_at, probes_at) = server.addresses().expect("they are open");
        let (readiness, stop) = (Readiness::default(), CancellationToken::new());
        let metrics = Metrics::new(&Build { version: "0.1.0", commit: "" });
        let serving = tokio::spawn(server.serve(metrics, readiness.clone(), stop.clone()));

        let answer = ask(metrics_at, "/metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("version=0.0.4"), "{answer}");
        assert!(answer.contains("karpenter_build_info{version=\"0.1.0\""), "{answer}");
        assert!(ask(metrics_at, "/healthz").await.starts_with("HTTP/1.1 404"));
        assert!(ask(probes_at, "/healthz").await.starts_with("HTTP/1.1 200"));

        let answer = ask(probes_at, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("install the CRDs"), "{answer}");
        readiness.set(Prerequisite::CrdsServed, true);
        readiness.set(Prerequisite::MirrorSynced, true);
        readiness.reached().await;
        assert!(ask(probes_at, "/readyz").await.starts_with("HTTP/1.1 200"));
        readiness.set(Prerequisite::MirrorSynced, false);
        assert!(ask(probes_at, "/readyz").await.contains("the mirror of the cluster is not complete yet"));

        stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), serving).await.expect("it stops when told");
        ended.expect("it does not panic").expect("the stop is no error");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named_with_its_setting() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has free ports");
        let port = taken.local_addr().expect("it is open").port();
        let error = Server::open(&Listen { probe_port: port, ..local() }).await.expect_err("the port is taken").to_string();
        assert!(error.contains(&format!("127.0.0.1:{port} for probes")) && error.contains("HEALTH_PROBE_PORT"), "{error}");
    }
}
