//! The smallest service: `GET /` answers `ok`, `POST /` answers what it was sent.

use std::process::ExitCode;

use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use tokio::runtime::Runtime;

/// Serves [`app`] by `runtime` until it is told to stop.
#[must_use]
pub fn serve(runtime: Runtime) -> ExitCode {
    kit::serve(runtime, app())
}

/// The routes.
pub fn app() -> Router {
    Router::new().route("/", get(async || "ok").post(async |body: Bytes| body))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_posted_body_comes_back() {
        let request = Request::post("/").body(Body::from("ping")).unwrap();

        let answer = app().oneshot(request).await.unwrap();

        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ping");
    }
}
