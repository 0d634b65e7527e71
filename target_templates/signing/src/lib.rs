//! A service that signs what it is sent: `POST /sign` costs milliseconds of CPU, `GET /status` next to nothing.
//!
//! A signature is computed and never waits. Inline it holds the worker; through `spawn_blocking` as many threads as there
//! are requests share the cores with the workers; bounded, only as many as are allowed do, and the others wait without a
//! thread.

mod hash;

use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use kit::{BadValue, Given, Runtimes};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::hash::Cost;

/// Serves [`app`] by `runtimes` until it is told to stop.
#[must_use]
pub fn serve(runtimes: Runtimes) -> ExitCode {
    kit::serve(runtimes, app(Given::from_environment()))
}

/// The routes: `POST /sign`, `GET /status`.
///
/// # Errors
/// When an option or setting is given that `target.toml` does not allow.
pub fn app(given: Given) -> Result<Router, BadValue> {
    let settings = Settings::read(given)?;
    let service = Service { settings, free: Semaphore::new(settings.pool_threads) };
    Ok(Router::new().route("/sign", post(sign)).route("/status", get(async || "signing")).with_state(Arc::new(service)))
}

struct Service {
    settings: Settings,
    /// Signatures that may begin now; only the bounded way asks.
    free: Semaphore,
}

/// The options and settings of `target.toml`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Settings {
    place: Place,
    pool_threads: usize,
    cost: Cost,
}

/// Where a signature is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Inline,
    SpawnBlocking,
    Bounded,
}

impl Settings {
    fn read(mut given: Given) -> Result<Self, BadValue> {
        let places = [("inline", Place::Inline), ("spawn_blocking", Place::SpawnBlocking), ("bounded", Place::Bounded)];
        let place = given.choice("signing", places)?;
        let pool_threads = given.integer("pool_threads", 1, 1..=64)? as usize;
        let passes = given.integer("passes", 4, 1..=100)?;
        let memory_kib = given.integer("memory_kib", 1024, 8..=65536)?;
        given.finish()?;
        Ok(Self { place, pool_threads, cost: Cost { memory_kib, passes } })
    }
}

async fn sign(State(service): State<Arc<Service>>, message: Bytes) -> Result<String, StatusCode> {
    let cost = service.settings.cost;
    match service.settings.place {
        Place::Inline => cost.sign(&message).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR),
        Place::SpawnBlocking => elsewhere(cost, message).await,
        Place::Bounded => {
            let _turn = service.free.acquire().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
            elsewhere(cost, message).await
        }
    }
}

async fn elsewhere(cost: Cost, message: Bytes) -> Result<String, StatusCode> {
    let signed = spawn_blocking(move || cost.sign(&message)).await;
    signed.ok().and_then(Result::ok).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    const PLACES: [&str; 3] = ["inline", "spawn_blocking", "bounded"];

    fn cheap(place: &str) -> Router {
        app(Given::of([("signing", place), ("memory_kib", "8"), ("passes", "1")])).unwrap()
    }

    async fn send(app: Router, request: Request<Body>) -> (StatusCode, String) {
        let answer = app.oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_signature_is_the_same_wherever_it_is_computed() {
        let expected = Cost { memory_kib: 8, passes: 1 }.sign(b"pay 5").unwrap();

        for place in PLACES {
            let answer = send(cheap(place), Request::post("/sign").body(Body::from("pay 5")).unwrap()).await;

            assert_eq!(answer, (StatusCode::OK, expected.clone()), "{place}");
        }
    }

    #[tokio::test]
    async fn the_light_route_answers() {
        let answer = send(cheap("inline"), Request::get("/status").body(Body::empty()).unwrap()).await;

        assert_eq!(answer, (StatusCode::OK, "signing".to_owned()));
    }

    #[test]
    fn what_is_not_given_is_as_target_toml_says() {
        let declared = contract::defaults(include_str!("../target.toml"));
        let given = Given::of(declared.iter().map(|(name, value)| (name.as_str(), value.as_str())));

        assert_eq!(Settings::read(Given::default()), Settings::read(given));
    }
}
