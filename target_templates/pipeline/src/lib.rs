//! A data pipeline: `POST /jobs` runs a heavy job and answers with its result, `GET /status` takes next to nothing.
//!
//! A job never awaits, so on the runtime that answers it holds a worker to its end. On a runtime of its own it holds a
//! thread of its own, and the kernel shares the cores out between the two.

mod job;
mod place;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use kit::{BadValue, Given};

use crate::job::compute;
use crate::place::Place;

/// Serves [`app`] by `runtimes` until it is told to stop.
#[must_use]
pub fn serve(runtimes: kit::Runtimes) -> ExitCode {
    kit::serve(runtimes, app(Given::from_environment()))
}

/// The routes: `POST /jobs`, `GET /status`.
///
/// # Errors
/// When an option or setting is given that `target.toml` does not allow.
pub fn app(given: Given) -> Result<Router, BadValue> {
    let settings = Settings::read(given)?;
    let service = Service { cpu: settings.cpu, place: settings.place() };
    Ok(Router::new().route("/jobs", post(run)).route("/status", get(async || "running")).with_state(Arc::new(service)))
}

struct Service {
    cpu: Duration,
    /// None where the system refused the threads: then no job runs at all, rather than in another place than asked for.
    place: Option<Place>,
}

/// The options and settings of `target.toml`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Settings {
    runtimes: Runtimes,
    cpu: Duration,
    cpu_workers: usize,
}

/// The runtimes of the process, the probe's not counted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Runtimes {
    One,
    Two,
    TwoNiced,
}

impl Settings {
    fn read(mut given: Given) -> Result<Self, BadValue> {
        let choices = [("one", Runtimes::One), ("two", Runtimes::Two), ("two_niced", Runtimes::TwoNiced)];
        let runtimes = given.choice("runtimes", choices)?;
        let job_ms = given.number("job_ms", 40.0, 0.0..=10_000.0)?;
        let cpu_workers = given.integer("cpu_workers", 1, 1..=64)? as usize;
        given.finish()?;
        Ok(Self { runtimes, cpu: Duration::from_secs_f64(job_ms / 1000.0), cpu_workers })
    }

    fn place(self) -> Option<Place> {
        let is_niced = match self.runtimes {
            Runtimes::One => return Some(Place::Here),
            Runtimes::Two => false,
            Runtimes::TwoNiced => true,
        };
        let second = Place::second(self.cpu_workers, is_niced);
        second.inspect_err(|error| eprintln!("the second runtime cannot be built: {error}")).ok()
    }
}

async fn run(State(service): State<Arc<Service>>, body: Bytes) -> Result<String, StatusCode> {
    let (seed, cpu) = (body.len() as u64, service.cpu);
    let place = service.place.as_ref().ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    let result = place.run(move || compute(seed, cpu)).await;
    result.map(|number| format!("{number:x}")).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    const RUNTIMES: [&str; 3] = ["one", "two", "two_niced"];

    async fn send(app: Router, request: Request<Body>) -> (StatusCode, String) {
        let answer = app.oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_job_is_answered_wherever_it_runs() {
        for runtimes in RUNTIMES {
            let app = app(Given::of([("runtimes", runtimes), ("job_ms", "0")])).unwrap();

            let answer = send(app, Request::post("/jobs").body(Body::from("abcdef")).unwrap()).await;

            assert_eq!(answer, (StatusCode::OK, "7".to_owned()), "{runtimes}");
        }
    }

    #[tokio::test]
    async fn the_light_route_answers() {
        let app = app(Given::default()).unwrap();

        let answer = send(app, Request::get("/status").body(Body::empty()).unwrap()).await;

        assert_eq!(answer, (StatusCode::OK, "running".to_owned()));
    }

    #[test]
    fn what_is_not_given_is_as_target_toml_says() {
        let declared = contract::defaults(include_str!("../target.toml"));
        let given = Given::of(declared.iter().map(|(name, value)| (name.as_str(), value.as_str())));

        assert_eq!(Settings::read(Given::default()), Settings::read(given));
    }
}
