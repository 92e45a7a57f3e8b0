//! The election against an API server that keeps one Lease, with versions, over HTTP on loopback.

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::*;
use crate::controllers::operations::metrics::Build;

/// Short enough for tests, in whole seconds where the Lease has them.
const SHORT: Timing =
    Timing { lease: Duration::from_secs(1), renew_deadline: Duration::from_millis(700), retry: Duration::from_millis(100) };

#[derive(Default)]
struct Shelf {
    lease: Mutex<Option<Lease>>,
    broken: AtomicBool,
}

impl Shelf {
    fn holder(&self) -> Option<String> {
        self.lease.lock().expect("no request panics").clone()?.spec?.holder_identity
    }

    fn change(&self, change: impl FnOnce(&mut Lease)) {
        let mut shelf = self.lease.lock().expect("no request panics");
        let lease = shelf.as_mut().expect("there is a Lease");
        change(lease);
        lease.metadata.resource_version = next_version(lease);
    }
}

fn next_version(lease: &Lease) -> Option<String> {
    let version = lease.metadata.resource_version.as_deref().unwrap_or("0").parse::<u64>().expect("versions are numbers");
    Some((version + 1).to_string())
}

fn status(code: StatusCode, reason: &str) -> Response {
    let body = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": reason, "reason": reason, "code": code.as_u16(),
    });
    (code, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn told(lease: &Lease) -> Response {
    ([(CONTENT_TYPE, "application/json")], serde_json::to_string(lease).expect("a Lease is JSON")).into_response()
}

async fn read(State(shelf): State<Arc<Shelf>>) -> Response {
    if shelf.broken.load(Ordering::SeqCst) {
        return status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
    }
    shelf.lease.lock().expect("no request panics").as_ref().map_or_else(|| status(StatusCode::NOT_FOUND, "NotFound"), told)
}

async fn create(State(shelf): State<Arc<Shelf>>, body: Bytes) -> Response {
    let mut kept = shelf.lease.lock().expect("no request panics");
    if kept.is_some() {
        return status(StatusCode::CONFLICT, "AlreadyExists");
    }
    let mut lease: Lease = serde_json::from_slice(&body).expect("a Lease");
    lease.metadata.resource_version = next_version(&lease);
    told(kept.insert(lease))
}

async fn replace(State(shelf): State<Arc<Shelf>>, body: Bytes) -> Response {
    if shelf.broken.load(Ordering::SeqCst) {
        return status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
    }
    let mut kept = shelf.lease.lock().expect("no request panics");
    let mut lease: Lease = serde_json::from_slice(&body).expect("a Lease");
    match kept.as_ref() {
        Some(known) if known.metadata.resource_version == lease.metadata.resource_version => {
            lease.metadata.resource_version = next_version(&lease);
            told(kept.insert(lease))
        }
        Some(_) => status(StatusCode::CONFLICT, "Conflict"),
        None => status(StatusCode::NOT_FOUND, "NotFound"),
    }
}

/// A shelf, and a client that reaches it.
async fn api_server() -> (Arc<Shelf>, Client) {
    let shelf = Arc::new(Shelf::default());
    let leases = "/apis/coordination.k8s.io/v1/namespaces/karpenter/leases";
    let router = Router::new()
        .route(leases, post(create))
        .route(&format!("{leases}/{{name}}"), get(read).put(replace))
        .with_state(shelf.clone());
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has free ports");
    let address = listener.local_addr().expect("it is open");
    tokio::spawn(async move { axum::serve(listener, router).await });
    let url = format!("http://{address}").parse().expect("an address");
    (shelf, Client::try_from(kube::Config::new(url)).expect("a plain address needs nothing"))
}

fn metrics() -> Arc<Metrics> {
    Metrics::new(&Build { version: "0", commit: "" })
}

fn candidate(client: &Client, metrics: &Arc<Metrics>) -> Leadership {
    let election = Election { lease: "karpenter-leader-election".to_owned(), namespace: Some("karpenter".to_owned()) };
    stand(client.clone(), Some(&election), metrics.clone(), SHORT)
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), what).await.expect("it happens soon")
}

#[tokio::test]
async fn one_of_two_leads_and_the_other_takes_over_when_it_resigns() {
    let (shelf, client) = api_server().await;
    let (first_metrics, second_metrics) = (metrics(), metrics());
    let mut first = candidate(&client, &first_metrics);
    soon(first.won()).await.expect("nobody else is there");
    let fence = first.fence();
    assert!(fence.leads());
    assert!(first_metrics.encode().contains("leader_election_master_status{name=\"karpenter-leader-election\"} 1"));

    let mut second = candidate(&client, &second_metrics);
    assert!(timeout(SHORT.lease * 2, second.won()).await.is_err(), "the first renews all the time");
    assert!(fence.leads() && !second.fence().leads());

    let holder = shelf.holder();
    soon(first.resign()).await;
    assert!(!fence.leads());
    soon(second.won()).await.expect("the first resigned");
    assert_ne!(shelf.holder(), holder);
    assert!(second.fence().leads());
}

#[tokio::test]
async fn a_holder_that_cannot_renew_stops_before_another_may_start() {
    let (shelf, client) = api_server().await;
    let mut leadership = candidate(&client, &metrics());
    soon(leadership.won()).await.expect("nobody else is there");
    let broke = Instant::now();
    shelf.broken.store(true, Ordering::SeqCst);
    let fence = leadership.fence();
    soon(leadership.lost()).await;
    assert!(!fence.leads());
    // Since the last renewal it may act for 0.7 s, and others must wait for 1 s.
    assert!(broke.elapsed() < SHORT.lease, "{:?}", broke.elapsed());
}

#[tokio::test]
async fn a_holder_whose_lease_another_took_stops() {
    let (shelf, client) = api_server().await;
    let mut leadership = candidate(&client, &metrics());
    soon(leadership.won()).await.expect("nobody else is there");
    shelf.change(|lease| lease.spec.as_mut().expect("it has one").holder_identity = Some("another".to_owned()));
    soon(leadership.lost()).await;
    // It lost the Lease, so it leaves it alone.
    soon(leadership.resign()).await;
    assert_eq!(shelf.holder().as_deref(), Some("another"));
}

#[tokio::test]
async fn a_change_by_others_that_leaves_the_holder_is_no_loss() {
    let (shelf, client) = api_server().await;
    let mut leadership = candidate(&client, &metrics());
    soon(leadership.won()).await.expect("nobody else is there");
    shelf.change(|lease| lease.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into()));
    assert!(timeout(SHORT.lease * 2, leadership.lost()).await.is_err());
    assert!(leadership.fence().leads());
}

#[tokio::test]
async fn the_lease_of_a_replica_that_vanished_is_taken() {
    let (shelf, client) = api_server().await;
    let gone = record::first("karpenter-leader-election", "karpenter-1", SHORT.lease, Timestamp::now());
    *shelf.lease.lock().expect("no request panics") = Some(gone);
    shelf.change(|_| {});
    let started = Instant::now();
    let mut leadership = candidate(&client, &metrics());
    soon(leadership.won()).await.expect("nobody renews it");
    assert!(started.elapsed() >= SHORT.lease);
}

#[tokio::test]
async fn without_an_election_this_replica_acts() {
    let (shelf, client) = api_server().await;
    let mut leadership = stand(client, None, metrics(), SHORT);
    soon(leadership.won()).await.expect("there is no election");
    let fence = leadership.fence();
    assert!(fence.leads());
    assert!(timeout(Duration::from_millis(200), leadership.lost()).await.is_err());
    soon(leadership.resign()).await;
    assert_eq!(shelf.holder(), None);
}
