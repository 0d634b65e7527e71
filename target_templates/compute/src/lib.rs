//! A CPU-bound service: `POST /compute` computes for milliseconds, `GET /status` takes next to nothing.
//!
//! The computation never waits, so no thread count makes it cheaper. What can change is who waits for it: the light
//! route, when it runs on the worker in one go.

mod work;

use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use kit::{BadValue, Given, Runtimes};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::work::Work;

/// Serves [`app`] by `runtimes` until it is told to stop.
#[must_use]
pub fn serve(runtimes: Runtimes) -> ExitCode {
    kit::serve(runtimes, app(Given::from_environment()))
}

/// The routes: `POST /compute`, `GET /status`.
///
/// # Errors
/// When an option or setting is given that `target.toml` does not allow.
pub fn app(given: Given) -> Result<Router, BadValue> {
    let settings = Settings::read(given)?;
    Ok(Router::new().route("/compute", post(compute)).route("/status", get(async || "computing")).with_state(settings))
}

/// The options and settings of `target.toml`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Settings {
    place: Place,
    cpu: Duration,
    slice: Duration,
}

/// Where a request computes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Inline,
    SpawnBlocking,
    Rayon,
    YieldNow,
}

impl Settings {
    fn read(mut given: Given) -> Result<Self, BadValue> {
        let places = [
            ("inline", Place::Inline),
            ("spawn_blocking", Place::SpawnBlocking),
            ("rayon", Place::Rayon),
            ("yield_now", Place::YieldNow),
        ];
        let place = given.choice("compute", places)?;
        let cpu_ms = given.number("cpu_ms", 2.0, 0.0..=10_000.0)?;
        let slice_ms = given.number("slice_ms", 0.1, 0.01..=1000.0)?;
        given.finish()?;
        let length = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
        Ok(Self { place, cpu: length(cpu_ms), slice: length(slice_ms) })
    }
}

async fn compute(State(settings): State<Settings>, body: Bytes) -> Result<String, StatusCode> {
    let work = Work::new(body.len() as u64, settings.cpu);
    let result = match settings.place {
        Place::Inline => Some(work.finish()),
        Place::SpawnBlocking => spawn_blocking(move || work.finish()).await.ok(),
        Place::Rayon => on_rayon(work).await,
        Place::YieldNow => Some(work.finish_in_slices(settings.slice).await),
    };
    result.map(|number| format!("{number:x}")).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Rayon's own pool starts at its first job, a thread for each core; its queue is first in, first out for jobs from outside.
async fn on_rayon(work: Work) -> Option<u64> {
    let (done, result) = oneshot::channel();
    rayon_core::spawn(move || {
        // Nobody waits any more where the client went away.
        let _ = done.send(work.finish());
    });
    result.await.ok()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    const PLACES: [&str; 4] = ["inline", "spawn_blocking", "rayon", "yield_now"];

    async fn send(app: Router, request: Request<Body>) -> (StatusCode, String) {
        let answer = app.oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_request_is_computed_wherever_that_is() {
        for place in PLACES {
            let app = app(Given::of([("compute", place), ("cpu_ms", "0")])).unwrap();

            let answer = send(app, Request::post("/compute").body(Body::from("abcdef")).unwrap()).await;

            assert_eq!(answer, (StatusCode::OK, "7".to_owned()), "{place}");
        }
    }

    #[tokio::test]
    async fn the_light_route_answers() {
        let app = app(Given::default()).unwrap();

        let answer = send(app, Request::get("/status").body(Body::empty()).unwrap()).await;

        assert_eq!(answer, (StatusCode::OK, "computing".to_owned()));
    }

    #[test]
    fn what_is_not_given_is_as_target_toml_says() {
        let declared = contract::defaults(include_str!("../target.toml"));
        let given = Given::of(declared.iter().map(|(name, value)| (name.as_str(), value.as_str())));

        assert_eq!(Settings::read(Given::default()), Settings::read(given));
    }
}
