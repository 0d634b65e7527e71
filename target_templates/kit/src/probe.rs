//! The probe: a thread with a runtime of its own that answers about the runtime under test, even when that one is stuck.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::{metrics, options};

/// What the probe knows: the runtime under test, and whether the service listens yet.
#[derive(Clone)]
pub struct Watched {
    pub runtime: Handle,
    pub listening: Arc<AtomicBool>,
}

/// Starts the probe's thread on `listener` and returns at once.
///
/// # Errors
/// When the listener cannot be used or the thread cannot be started.
pub fn start(listener: TcpListener, watched: Watched) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let app = Router::new()
        .route("/healthz", get(healthz))
        .route("/runtime", get(in_force))
        .route("/metrics", get(exposition))
        .with_state(watched);
    std::thread::Builder::new().name("probe".to_owned()).spawn(move || {
        let served = runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, app).await
        });
        if let Err(error) = served {
            eprintln!("the probe stopped: {error}");
        }
    })?;
    Ok(())
}

async fn healthz(State(watched): State<Watched>) -> StatusCode {
    if watched.listening.load(Ordering::Acquire) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn exposition(State(watched): State<Watched>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics::exposition(&watched.runtime))
}

/// The settings in force: flavor and workers are read from the runtime; Builder has no getters for the others.
async fn in_force(State(watched): State<Watched>) -> Json<Value> {
    Json(json!({
        "flavor": metrics::flavor(&watched.runtime),
        "workers": watched.runtime.metrics().num_workers(),
        "options": options::given(),
        "nonce": std::env::var("HARNESS_NONCE").unwrap_or_default(),
        "pid": std::process::id(),
        "unstable": cfg!(tokio_unstable),
    }))
}
