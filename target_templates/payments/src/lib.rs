//! A payment service: it validates, checks for fraud, stores, and answers.
//!
//! The fraud check is a synchronous call. Inline it holds the worker that polls the request; through `spawn_blocking` it
//! holds a thread of the blocking pool instead. This is the fault and the remedy that the study `quickstart` measures.

mod fraud;

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use kit::options::{self, BadOption};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::fraud::Check;

/// Payments that are kept; older ones go, so that memory stays bounded however long the load runs.
const KEPT: usize = 10_000;
/// `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;

/// Serves the service that the environment describes by `runtime` until it is told to stop.
#[must_use]
pub fn serve(runtime: Runtime) -> ExitCode {
    match Settings::from_environment() {
        Ok(settings) => kit::serve(runtime, app(settings)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(USAGE)
        }
    }
}

/// Where the fraud check runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// On the worker that polls the request.
    Inline,
    /// On Tokio's blocking pool.
    SpawnBlocking,
}

/// What the service is told by its environment.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Where the fraud check runs.
    pub fraud_check: Placement,
    check: Check,
}

impl Settings {
    /// A check of `check_ms` milliseconds, `check_cpu_ms` of them computing, at `fraud_check`.
    #[must_use]
    pub fn new(fraud_check: Placement, check_ms: f64, check_cpu_ms: f64) -> Self {
        let length = |ms: f64| Duration::from_secs_f64(ms.max(0.0) / 1000.0);
        Self { fraud_check, check: Check { total: length(check_ms), cpu: length(check_cpu_ms.min(check_ms)) } }
    }

    /// Reads the options and settings of `target.toml` from `OPT_*`.
    ///
    /// # Errors
    /// When a value is not one that `target.toml` allows.
    pub fn from_environment() -> Result<Self, BadOption> {
        let given = options::given();
        let value = |name: &str| given.get(name).map(String::as_str);
        let places = [("inline", Placement::Inline), ("spawn_blocking", Placement::SpawnBlocking)];
        Ok(Self::new(
            options::choice("fraud_check", value("fraud_check"), &places)?,
            options::number("check_ms", value("check_ms"), 2.0, 0.0, 1000.0)?,
            options::number("check_cpu_ms", value("check_cpu_ms"), 0.2, 0.0, 1000.0)?,
        ))
    }
}

#[derive(Deserialize)]
struct Order {
    amount: u64,
}

/// A stored payment.
#[derive(Clone, Serialize)]
struct Payment {
    id: u64,
    amount: u64,
    status: &'static str,
}

struct Service {
    settings: Settings,
    last_id: AtomicU64,
    // Held for a push or a search, never across an await: the standard lock is the right one.
    stored: Mutex<VecDeque<Payment>>,
}

/// The routes: `POST /payments`, `GET /payments/{id}`.
pub fn app(settings: Settings) -> Router {
    let service = Service { settings, last_id: AtomicU64::new(0), stored: Mutex::default() };
    Router::new().route("/payments", post(pay)).route("/payments/{id}", get(find)).with_state(Arc::new(service))
}

async fn pay(State(service): State<Arc<Service>>, Json(order): Json<Order>) -> Result<Json<Payment>, StatusCode> {
    if order.amount == 0 {
        return Err(StatusCode::BAD_REQUEST);
    }
    if !service.check(order.amount).await? {
        return Err(StatusCode::FORBIDDEN);
    }
    Ok(Json(service.store(order.amount)))
}

async fn find(State(service): State<Arc<Service>>, Path(id): Path<u64>) -> Result<Json<Payment>, StatusCode> {
    let stored = service.stored.lock().unwrap_or_else(PoisonError::into_inner);
    stored.iter().rev().find(|payment| payment.id == id).cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
}

impl Service {
    async fn check(&self, amount: u64) -> Result<bool, StatusCode> {
        let check = self.settings.check;
        match self.settings.fraud_check {
            Placement::Inline => Ok(check.passes(amount)),
            Placement::SpawnBlocking => tokio::task::spawn_blocking(move || check.passes(amount))
                .await
                .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn store(&self, amount: u64) -> Payment {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let payment = Payment { id, amount, status: "accepted" };
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.len() == KEPT {
            stored.pop_front();
        }
        stored.push_back(payment.clone());
        payment
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn post_payment(app: Router, body: &'static str) -> (StatusCode, String) {
        let request =
            Request::post("/payments").header("content-type", "application/json").body(Body::from(body)).unwrap();
        let answer = app.oneshot(request).await.unwrap();
        let status = answer.status();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&text).into_owned())
    }

    fn quick(fraud_check: Placement) -> Router {
        app(Settings::new(fraud_check, 0.0, 0.0))
    }

    #[tokio::test]
    async fn a_payment_is_accepted_wherever_the_check_runs() {
        for place in [Placement::Inline, Placement::SpawnBlocking] {
            let (status, body) = post_payment(quick(place), r#"{"amount":1200}"#).await;

            assert_eq!(status, StatusCode::OK);
            assert_eq!(body, r#"{"id":1,"amount":1200,"status":"accepted"}"#);
        }
    }

    #[tokio::test]
    async fn a_payment_of_nothing_is_refused() {
        assert_eq!(post_payment(quick(Placement::Inline), r#"{"amount":0}"#).await.0, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn a_body_that_is_no_order_is_refused() {
        assert!(post_payment(quick(Placement::Inline), "[]").await.0.is_client_error());
    }

    #[tokio::test]
    async fn a_stored_payment_is_found_again() {
        let app = quick(Placement::Inline);
        post_payment(app.clone(), r#"{"amount":7}"#).await;

        let answer = app.oneshot(Request::get("/payments/1").body(Body::empty()).unwrap()).await.unwrap();

        assert_eq!(answer.status(), StatusCode::OK);
    }

    /// Runs two checks of 40 ms beside each other on one thread and says how long both took.
    async fn two_checks(place: Placement) -> Duration {
        let app = app(Settings::new(place, 40.0, 0.0));
        let begun = Instant::now();
        let both = [
            tokio::spawn(post_payment(app.clone(), r#"{"amount":1}"#)),
            tokio::spawn(post_payment(app, r#"{"amount":1}"#)),
        ];
        for one in both {
            one.await.unwrap();
        }
        begun.elapsed()
    }

    #[tokio::test]
    async fn an_inline_check_holds_its_worker_and_a_blocking_one_does_not() {
        let (inline, moved) = (two_checks(Placement::Inline).await, two_checks(Placement::SpawnBlocking).await);

        assert!(inline >= Duration::from_millis(80), "{inline:?}");
        assert!(moved < inline, "{moved:?} against {inline:?}");
    }
}
