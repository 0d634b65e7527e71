//! The smallest service: `GET /` answers `ok`, `POST /` answers what it was sent.
//!
//! Each request can be given work, and the work a slowdown of known size: ground truth to test the harness itself by.

mod work;

use std::process::ExitCode;

use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use kit::{BadValue, Given, Runtimes};

use crate::work::Work;

/// Serves [`app`] by `runtimes` until it is told to stop.
#[must_use]
pub fn serve(runtimes: Runtimes) -> ExitCode {
    kit::serve(runtimes, app(Given::from_environment()))
}

/// The routes.
///
/// # Errors
/// When an option or setting is given that `target.toml` does not allow.
pub fn app(mut given: Given) -> Result<Router, BadValue> {
    let work_us = given.number("work_us", 0.0, 0.0..=100_000.0)?;
    let percent = given.number("planted_percent", 0.0, 0.0..=1000.0)?;
    given.finish()?;
    let work = Work::new(work_us, percent);
    let answer = async move || {
        work.perform();
        "ok"
    };
    let echo = async move |body: Bytes| {
        work.perform();
        body
    };
    Ok(Router::new().route("/", get(answer).post(echo)))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn answer(request: Request<Body>) -> Bytes {
        let answer = app(Given::default()).unwrap().oneshot(request).await.unwrap();
        answer.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_get_is_answered_with_ok() {
        assert_eq!(answer(Request::get("/").body(Body::empty()).unwrap()).await, "ok");
    }

    #[tokio::test]
    async fn a_posted_body_comes_back() {
        assert_eq!(answer(Request::post("/").body(Body::from("ping")).unwrap()).await, "ping");
    }
}
