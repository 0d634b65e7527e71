//! A fast producer before a slow consumer: `POST /events` queues an event and answers 202 at once, `GET /events` tells
//! how many were consumed.
//!
//! What the consumer does not manage has to be somewhere. In an unbounded queue it is memory, until there is none left;
//! a bounded queue says 503 instead, and the client knows.

mod queue;

use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use kit::{BadValue, Given, Runtimes};

use crate::queue::Queue;

/// Serves [`app`] by `runtimes` until it is told to stop.
#[must_use]
pub fn serve(runtimes: Runtimes) -> ExitCode {
    let app = {
        let _inside = runtimes.enter();
        app(Given::from_environment())
    };
    kit::serve(runtimes, app)
}

/// The routes: `POST /events`, `GET /events`. The consumer is a task of the runtime that is entered.
///
/// # Errors
/// When an option or setting is given that `target.toml` does not allow.
pub fn app(given: Given) -> Result<Router, BadValue> {
    let settings = Settings::read(given)?;
    let service = Service { bytes: settings.bytes, queue: Queue::new(settings.capacity, settings.each) };
    Ok(Router::new().route("/events", post(take).get(consumed)).with_state(service))
}

#[derive(Clone)]
struct Service {
    bytes: usize,
    queue: Queue,
}

/// The option and the settings of `target.toml`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Settings {
    /// None: as many events as come.
    capacity: Option<usize>,
    bytes: usize,
    each: Duration,
}

impl Settings {
    fn read(mut given: Given) -> Result<Self, BadValue> {
        let is_bounded = given.choice("queue", [("unbounded", false), ("bounded", true)])?;
        let capacity = given.integer("capacity", 64, 1..=1_000_000)? as usize;
        let event_kib = given.integer("event_kib", 64, 1..=16_384)? as usize;
        let consume_ms = given.number("consume_ms", 5.0, 0.0..=10_000.0)?;
        given.finish()?;
        Ok(Self {
            capacity: is_bounded.then_some(capacity),
            bytes: event_kib * 1024,
            each: Duration::from_secs_f64(consume_ms / 1000.0),
        })
    }
}

async fn take(State(service): State<Service>) -> StatusCode {
    if service.queue.add(service.bytes) { StatusCode::ACCEPTED } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn consumed(State(service): State<Service>) -> String {
    service.queue.consumed().to_string()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    /// The statuses of five events at once, where nothing is consumed and three may wait.
    async fn five_events(queue: &str) -> Vec<u16> {
        let app = app(Given::of([("queue", queue), ("capacity", "3"), ("consume_ms", "10000")])).unwrap();
        let mut statuses = Vec::new();
        for _ in 0..5 {
            let request = Request::post("/events").body(Body::empty()).unwrap();
            statuses.push(app.clone().oneshot(request).await.unwrap().status().as_u16());
        }
        statuses
    }

    #[tokio::test]
    async fn an_unbounded_queue_accepts_every_event() {
        assert_eq!(five_events("unbounded").await, [202; 5]);
    }

    #[tokio::test]
    async fn a_bounded_queue_that_is_full_answers_503() {
        assert_eq!(five_events("bounded").await, [202, 202, 202, 503, 503]);
    }

    #[test]
    fn what_is_not_given_is_as_target_toml_says() {
        let declared = contract::defaults(include_str!("../target.toml"));
        let given = Given::of(declared.iter().map(|(name, value)| (name.as_str(), value.as_str())));

        assert_eq!(Settings::read(Given::default()), Settings::read(given));
    }
}
