//! A front of the API server whose watches lag: what happens is told so much later, while requests are answered at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use kube::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::Trouble;
use crate::bed::Bed;

/// A front that works until it is dropped.
pub(crate) struct Front {
    /// Leads to it. Whoever comes through it is the controller.
    pub(crate) kubeconfig: PathBuf,
    task: JoinHandle<()>,
}

struct Behind {
    client: Client,
    lag: Duration,
}

impl Front {
    /// Starts one whose watches are late by `lag`.
    pub(crate) async fn start(bed: &Bed, lag: Duration) -> Result<Self, Trouble> {
        let behind = Arc::new(Behind { client: bed.plane.client("supercargo").await?, lag });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let server = format!("http://{}", listener.local_addr()?);
        let kubeconfig = bed.processes.folder().join("front.kubeconfig");
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "front", "cluster": {"server": server}}],
            "users": [{"name": "supercargo", "user": {}}],
            "contexts": [{"name": "front", "context": {"cluster": "front", "user": "supercargo"}}],
            "current-context": "front",
        });
        std::fs::write(&kubeconfig, config.to_string())?;
        let router = Router::new().fallback(pass_on).with_state(behind);
        let task = tokio::spawn(async move {
            // It ends with the test.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { kubeconfig, task })
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(State(behind): State<Arc<Behind>>, request: Request) -> Response {
    answer(&behind, request).await.unwrap_or_else(|trouble| (StatusCode::BAD_GATEWAY, trouble.to_string()).into_response())
}

async fn answer(behind: &Behind, request: Request) -> Result<Response, Trouble> {
    let (head, body) = request.into_parts();
    let mut made =
        axum::http::Request::builder().method(head.method).uri(head.uri.path_and_query().map_or("/", |path| path.as_str()));
    // The answer depends on no others.
    for name in [header::ACCEPT, header::CONTENT_TYPE] {
        if let Some(value) = head.headers.get(&name) {
            made = made.header(name, value);
        }
    }
    let body: Bytes = to_bytes(body, usize::MAX).await?;
    let is_watch = head.uri.query().is_some_and(|query| query.split('&').any(|part| part == "watch=true" || part == "watch=1"));
    let (head, body) = behind.client.send(made.body(body.to_vec().into())?).await?.into_parts();
    let body = if is_watch { late(Body::new(body), behind.lag) } else { Body::new(body) };
    let mut headers = HeaderMap::new();
    if let Some(kind) = head.headers.get(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, kind.clone());
    }
    Ok((head.status, headers, body).into_response())
}

/// The same, every piece so much later than it came.
fn late(body: Body, lag: Duration) -> Body {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            if sender.send((Instant::now() + lag, piece)).is_err() {
                return;
            }
        }
    });
    Body::from_stream(futures_util::stream::unfold(receiver, async move |mut receiver: mpsc::UnboundedReceiver<_>| {
        let (moment, piece) = receiver.recv().await?;
        tokio::time::sleep_until(moment).await;
        Some((piece, receiver))
    }))
}
