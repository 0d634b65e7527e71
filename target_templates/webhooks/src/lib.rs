//! A receiver of webhooks: `POST /hooks` stores a hook and answers, `GET /hooks` tells how many were stored.
//!
//! The store is a blocking call, and it runs where it should: on the blocking pool. Hooks come in bursts, so the pool
//! grows in a burst; how long its threads outlive the burst is what `thread_keep_alive` says.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use kit::{BadValue, Given, Runtimes};
use tokio::task::spawn_blocking;

/// Serves [`app`] by `runtimes` until it is told to stop.
#[must_use]
pub fn serve(runtimes: Runtimes) -> ExitCode {
    kit::serve(runtimes, app(Given::from_environment()))
}

/// The routes: `POST /hooks`, `GET /hooks`.
///
/// # Errors
/// When an option or setting is given that `target.toml` does not allow.
pub fn app(given: Given) -> Result<Router, BadValue> {
    let store = Arc::new(Store { wait: wait(given)?, stored: AtomicU64::new(0) });
    Ok(Router::new().route("/hooks", post(receive).get(count)).with_state(store))
}

/// The one setting of `target.toml`.
fn wait(mut given: Given) -> Result<Duration, BadValue> {
    let store_ms = given.number("store_ms", 40.0, 0.0..=10_000.0)?;
    given.finish()?;
    Ok(Duration::from_secs_f64(store_ms / 1000.0))
}

/// Stands for a database behind a synchronous driver: it takes its time, and computes nothing here.
struct Store {
    wait: Duration,
    stored: AtomicU64,
}

impl Store {
    /// Stores a hook and returns its number, counted from 1. Blocks the calling thread.
    fn keep(&self, _hook: &[u8]) -> u64 {
        std::thread::sleep(self.wait);
        self.stored.fetch_add(1, Ordering::Relaxed) + 1
    }
}

async fn receive(State(store): State<Arc<Store>>, hook: Bytes) -> Result<String, StatusCode> {
    let stored = spawn_blocking(move || store.keep(&hook)).await;
    stored.map(|number| number.to_string()).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn count(State(store): State<Arc<Store>>) -> String {
    store.stored.load(Ordering::Relaxed).to_string()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn answer(app: &Router, request: Request<Body>) -> Bytes {
        let answer = app.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_hook_is_answered_once_it_is_stored() {
        let app = app(Given::of([("store_ms", "0")])).unwrap();

        for number in ["1", "2"] {
            assert_eq!(answer(&app, Request::post("/hooks").body(Body::from("{}")).unwrap()).await, number);
        }
        assert_eq!(answer(&app, Request::get("/hooks").body(Body::empty()).unwrap()).await, "2");
    }

    #[test]
    fn what_is_not_given_is_as_target_toml_says() {
        let declared = contract::defaults(include_str!("../target.toml"));
        let given = Given::of(declared.iter().map(|(name, value)| (name.as_str(), value.as_str())));

        assert_eq!(wait(Given::default()), wait(given));
    }
}
