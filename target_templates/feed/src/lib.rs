//! A market data feed: `POST /ticks` sends a tick to every subscriber and answers when all of them have it.
//!
//! Nothing here computes and nothing waits for long: what a tick costs is the scheduler's own work, to wake and to poll
//! a task for each subscriber. So this is where the flavor and the order of the scheduler's queues can show.

mod fan_out;

use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use kit::{BadValue, Given, Runtimes};
use tokio::runtime::Handle;

use crate::fan_out::Subscribers;

/// Serves [`app`] by `runtimes` until it is told to stop.
#[must_use]
pub fn serve(runtimes: Runtimes) -> ExitCode {
    let app = app(Given::from_environment(), &runtimes.handles());
    kit::serve(runtimes, app)
}

/// The route: `POST /ticks`. The subscribers are tasks, spread evenly over the runtimes.
///
/// # Errors
/// When a setting is given that `target.toml` does not allow.
pub fn app(given: Given, runtimes: &[Handle]) -> Result<Router, BadValue> {
    let subscribers = Subscribers::start(count(given)?, runtimes);
    Ok(Router::new().route("/ticks", post(tick)).with_state(Arc::new(subscribers)))
}

/// The one setting of `target.toml`.
fn count(mut given: Given) -> Result<usize, BadValue> {
    let subscribers = given.integer("subscribers", 1000, 1..=100_000)?;
    given.finish()?;
    Ok(subscribers as usize)
}

async fn tick(State(subscribers): State<Arc<Subscribers>>, body: Bytes) -> Result<String, StatusCode> {
    let told = subscribers.tell(body.len() as u64).await;
    told.map(|count| count.to_string()).ok_or(StatusCode::SERVICE_UNAVAILABLE)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_tick_is_answered_with_the_number_of_those_who_have_it() {
        let app = app(Given::of([("subscribers", "12")]), &[Handle::current()]).unwrap();

        let answer = app.oneshot(Request::post("/ticks").body(Body::from("100")).unwrap()).await.unwrap();

        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "12");
    }

    #[tokio::test]
    async fn each_subscriber_is_a_task_of_its_own() {
        let _app = app(Given::of([("subscribers", "12")]), &[Handle::current()]).unwrap();

        assert_eq!(Handle::current().metrics().num_alive_tasks(), 12);
    }

    #[test]
    fn what_is_not_given_is_as_target_toml_says() {
        let declared = contract::defaults(include_str!("../target.toml"));
        let given = Given::of(declared.iter().map(|(name, value)| (name.as_str(), value.as_str())));

        assert_eq!(count(Given::default()), count(given));
    }
}
