//! A payment service: it validates, checks for fraud, stores, and answers.
//!
//! The fraud check is a synchronous call. Inline it holds the worker that polls the request; through `spawn_blocking` it
//! holds a thread of the blocking pool instead. This is the fault and the remedy that the study `quickstart` measures.

mod fraud;
mod store;

use std::process::ExitCode;
use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use kit::{BadValue, Given, Runtimes};
use serde::Deserialize;
use serde_json::json;

use crate::fraud::Check;
use crate::store::{Payment, Store};

/// Payments that are kept.
const KEPT: usize = 10_000;

/// Serves [`app`] by `runtimes` until it is told to stop.
#[must_use]
pub fn serve(runtimes: Runtimes) -> ExitCode {
    kit::serve(runtimes, app(Given::from_environment()))
}

/// The routes: `POST /payments`, `GET /payments/{id}`.
///
/// # Errors
/// When an option or setting is given that `target.toml` does not allow.
pub fn app(given: Given) -> Result<Router, BadValue> {
    let service = Service { settings: Settings::read(given)?, store: Store::new(KEPT) };
    Ok(Router::new().route("/payments", post(pay)).route("/payments/{id}", get(find)).with_state(Arc::new(service)))
}

struct Service {
    settings: Settings,
    store: Store,
}

/// The options and settings of `target.toml`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Settings {
    place: Place,
    check: Check,
}

/// Where the fraud check runs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Inline,
    SpawnBlocking,
}

impl Settings {
    fn read(mut given: Given) -> Result<Self, BadValue> {
        let places = [("inline", Place::Inline), ("spawn_blocking", Place::SpawnBlocking)];
        let place = given.choice("fraud_check", places)?;
        let check_ms = given.number("check_ms", 2.0, 0.0..=1000.0)?;
        let check_cpu_ms = given.number("check_cpu_ms", 0.2, 0.0..=1000.0)?;
        given.finish()?;
        Ok(Self { place, check: Check::new(check_ms, check_cpu_ms) })
    }
}

/// What a client sends: an amount in the currency's smallest unit.
#[derive(Deserialize)]
struct Order {
    amount: u64,
    #[serde(default = "euro")]
    currency: String,
}

fn euro() -> String {
    "EUR".to_owned()
}

impl Order {
    fn fault(&self) -> Option<&'static str> {
        if self.amount == 0 {
            return Some("amount must be at least 1");
        }
        let known_shape = self.currency.len() == 3 && self.currency.bytes().all(|letter| letter.is_ascii_uppercase());
        (!known_shape).then_some("currency must be three capital letters, such as EUR")
    }
}

/// Why a payment was not accepted.
enum Refusal {
    Malformed(String),
    Suspicious,
    CheckFailed,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, reason) = match self {
            Self::Malformed(reason) => (StatusCode::BAD_REQUEST, reason),
            Self::Suspicious => (StatusCode::FORBIDDEN, "the fraud check refused the payment".to_owned()),
            Self::CheckFailed => (StatusCode::INTERNAL_SERVER_ERROR, "the fraud check did not finish".to_owned()),
        };
        (status, Json(json!({ "error": reason }))).into_response()
    }
}

async fn pay(
    State(service): State<Arc<Service>>,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Json(order) = order.map_err(|rejection| Refusal::Malformed(rejection.body_text()))?;
    if let Some(fault) = order.fault() {
        return Err(Refusal::Malformed(fault.to_owned()));
    }
    if !service.settings.passes(order.amount).await? {
        return Err(Refusal::Suspicious);
    }
    let id = service.store.accept(order.amount, order.currency);
    Ok(Json(json!({ "id": id, "status": "accepted" })).into_response())
}

async fn find(State(service): State<Arc<Service>>, Path(id): Path<u64>) -> Result<Json<Payment>, StatusCode> {
    service.store.find(id).map(Json).ok_or(StatusCode::NOT_FOUND)
}

impl Settings {
    async fn passes(self, amount: u64) -> Result<bool, Refusal> {
        match self.place {
            Place::Inline => Ok(self.check.passes(amount)),
            Place::SpawnBlocking => {
                tokio::task::spawn_blocking(move || self.check.passes(amount)).await.map_err(|_| Refusal::CheckFailed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    const PLACES: [&str; 2] = ["inline", "spawn_blocking"];

    fn quick(place: &str) -> Router {
        app(Given::of([("fraud_check", place), ("check_ms", "0")])).unwrap()
    }

    async fn send(app: Router, request: Request<Body>) -> (StatusCode, String) {
        let answer = app.oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn post_payment(app: Router, body: &'static str) -> (StatusCode, String) {
        let request = Request::post("/payments").header("content-type", "application/json").body(Body::from(body));
        send(app, request.unwrap()).await
    }

    #[tokio::test]
    async fn a_payment_is_accepted_wherever_the_check_runs() {
        for place in PLACES {
            let answer = post_payment(quick(place), r#"{"amount":1200}"#).await;

            assert_eq!(answer, (StatusCode::OK, r#"{"id":1,"status":"accepted"}"#.to_owned()));
        }
    }

    #[tokio::test]
    async fn an_accepted_payment_is_found_again() {
        let app = quick("inline");
        post_payment(app.clone(), r#"{"amount":7,"currency":"CHF"}"#).await;

        let answer = send(app, Request::get("/payments/1").body(Body::empty()).unwrap()).await;

        let expected = r#"{"id":1,"amount":7,"currency":"CHF","status":"accepted"}"#;
        assert_eq!(answer, (StatusCode::OK, expected.to_owned()));
    }

    #[tokio::test]
    async fn an_unknown_payment_is_not_found() {
        let answer = send(quick("inline"), Request::get("/payments/9").body(Body::empty()).unwrap()).await;

        assert_eq!(answer.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_bad_order_is_a_bad_request_with_a_reason() {
        for (body, reason) in [
            ("", "EOF"),
            ("[]", "invalid"),
            (r#"{"amount":0}"#, "at least 1"),
            (r#"{"amount":-5}"#, "amount"),
            (r#"{"amount":1.5}"#, "amount"),
            (r#"{"currency":"EUR"}"#, "amount"),
            (r#"{"amount":1,"currency":"euro"}"#, "three capital letters"),
        ] {
            let (status, answer) = post_payment(quick("inline"), body).await;

            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert!(answer.starts_with(r#"{"error":"#) && answer.contains(reason), "{body}: {answer}");
        }
    }

    #[tokio::test]
    async fn an_order_that_is_no_json_is_a_bad_request() {
        let request = Request::post("/payments").body(Body::from("amount=1")).unwrap();

        assert_eq!(send(quick("inline"), request).await.0, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn what_is_not_given_is_as_target_toml_says() {
        let declared = contract::defaults(include_str!("../target.toml"));
        let given = Given::of(declared.iter().map(|(name, value)| (name.as_str(), value.as_str())));

        assert_eq!(Settings::read(Given::default()), Settings::read(given));
    }

    #[tokio::test]
    #[cfg(tokio_unstable)]
    async fn only_a_moved_check_uses_the_blocking_pool() {
        let mut threads = Vec::new();
        for place in PLACES {
            post_payment(quick(place), r#"{"amount":1}"#).await;
            threads.push(tokio::runtime::Handle::current().metrics().num_blocking_threads());
        }

        assert_eq!(threads, [0, 1]);
    }
}
