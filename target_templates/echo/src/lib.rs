//! The smallest service: `GET /` answers `ok`, `POST /` answers what it was sent.

use std::process::ExitCode;

use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use kit::{BadValue, Given};
use tokio::runtime::Runtime;

/// Serves [`app`] by `runtime` until it is told to stop.
#[must_use]
pub fn serve(runtime: Runtime) -> ExitCode {
    kit::serve(runtime, app(Given::from_environment()))
}

/// The routes.
///
/// # Errors
/// When anything is given: this target has no options and no settings.
pub fn app(given: Given) -> Result<Router, BadValue> {
    given.finish()?;
    Ok(Router::new().route("/", get(async || "ok").post(async |body: Bytes| body)))
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
