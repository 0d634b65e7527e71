//! What only a diagnostic build has: stacks of the CPU's time, a dump of the tasks, and the port of tokio-console.
//!
//! `harness diagnose --deep` asks for it; nothing that is scored is built with it. What cannot be had is answered with a
//! sentence and an error status, and everything else goes on.

mod names;
mod stacks;
mod tasks;

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::oneshot;

use crate::probe::Watched;

/// Where tokio-console shall find the service; unset, nothing is recorded for it.
const CONSOLE: &str = "TOKIO_CONSOLE_BIND";

/// How long stacks are collected where a request does not say, and at most.
const STACKS: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(60));

/// A text, or why there is none.
pub(crate) type Told = Result<String, String>;

/// `/debug/stacks?seconds=3` and `/debug/tasks`.
pub(crate) fn routes() -> Router<Watched> {
    Router::new().route("/debug/stacks", get(stacks)).route("/debug/tasks", get(tasks))
}

/// Serves tokio-console at `$TOKIO_CONSOLE_BIND`, if it is set; must come before the first task.
///
/// It takes every event of every task, so it is never on unless somebody is going to look at it.
pub(crate) fn serve_console() {
    let Ok(given) = std::env::var(CONSOLE) else { return };
    match given.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => {
            console_subscriber::ConsoleLayer::builder().server_addr(address).init();
        }
        _ => eprintln!("{CONSOLE} must be a port of this machine, such as 127.0.0.1:6669: tokio-console is not served"),
    }
}

async fn stacks(uri: Uri) -> impl IntoResponse {
    let length = length(uri.query().unwrap_or_default());
    answer(off_the_probe(move || stacks::collected(length)).await)
}

async fn tasks(State(watched): State<Watched>) -> impl IntoResponse {
    answer(match tasks::dumped(&watched.runtimes).await {
        Ok(dumps) => off_the_probe(move || Ok(tasks::text(&dumps))).await,
        Err(why) => Err(why),
    })
}

fn answer(told: Told) -> (StatusCode, String) {
    told.map_or_else(|why| (StatusCode::SERVICE_UNAVAILABLE, why), |text| (StatusCode::OK, text))
}

/// The length that a query asks for.
fn length(query: &str) -> Duration {
    let asked = query.strip_prefix("seconds=").and_then(|seconds| seconds.parse().ok());
    asked.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(STACKS.0).min(STACKS.1)
}

/// Does what takes long on a thread of its own: the probe goes on answering, and has no blocking pool.
async fn off_the_probe(work: impl FnOnce() -> Told + Send + 'static) -> Told {
    let (done, told) = oneshot::channel();
    let started = thread::Builder::new().name("diagnostic".to_owned()).spawn(move || {
        // Nobody waits any more where the client went away.
        let _ = done.send(work());
    });
    started.map_err(|error| format!("no thread could be started for it: {error}"))?;
    told.await.unwrap_or_else(|_| Err("it panicked; see the service's log".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_what_was_asked_for_within_limits() {
        for (query, expected) in
            [("seconds=0.5", 500), ("seconds=9999", 60_000), ("", 3000), ("seconds=-1", 3000), ("seconds=x", 3000)]
        {
            assert_eq!(length(query), Duration::from_millis(expected), "{query}");
        }
    }

    #[tokio::test]
    async fn work_that_panics_is_told() {
        let told = off_the_probe(|| std::panic::resume_unwind(Box::new(()))).await;

        assert!(told.is_err());
    }
}
