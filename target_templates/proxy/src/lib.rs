//! A proxy: every request goes to the upstream, over connections that are kept and shared, and its answer comes back.
//!
//! A request that waits for the upstream is a task that sleeps: it holds no worker. What a worker is needed for is the
//! work on the request, which is a small share of the time and all of the CPU.

mod hops;
mod work;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{StatusCode, Uri, Version, header};
use axum::response::Response;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kit::{BadValue, Given, Runtimes};
use tokio::time::timeout;

/// How long an answer may take beyond what the upstream always takes.
const GRACE: Duration = Duration::from_secs(1);

/// The longest answer that is passed on, in bytes: it is read to its end first, so that one that breaks off is a 502.
const LONGEST: usize = 1024 * 1024;

/// Serves [`app`] by `runtimes` until it is told to stop.
#[must_use]
pub fn serve(runtimes: Runtimes) -> ExitCode {
    let app = kit::upstream().and_then(|upstream| app(Given::from_environment(), upstream));
    kit::serve(runtimes, app)
}

/// One route, which takes every path: what the `upstream` answers.
///
/// # Errors
/// When a setting is given that `target.toml` does not allow.
pub fn app(given: Given, upstream: SocketAddr) -> Result<Router, BadValue> {
    let settings = Settings::read(given)?;
    let mut connector = HttpConnector::new();
    // Requests are small: without this Nagle's algorithm would wait for the upstream's acknowledgement.
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    Ok(Router::new().fallback(forward).with_state(Arc::new(Proxy { settings, client, upstream })))
}

/// The settings of `target.toml`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Settings {
    upstream: Duration,
    work: Duration,
}

impl Settings {
    fn read(mut given: Given) -> Result<Self, BadValue> {
        let upstream_ms = given.number("upstream_ms", 5.0, 0.0..=10_000.0)?;
        let work_us = given.number("work_us", 200.0, 0.0..=1_000_000.0)?;
        given.finish()?;
        Ok(Self {
            upstream: Duration::from_secs_f64(upstream_ms / 1000.0),
            work: Duration::from_secs_f64(work_us / 1_000_000.0),
        })
    }
}

/// The one client of all requests, with its connections.
struct Proxy {
    settings: Settings,
    client: Client<HttpConnector, Body>,
    upstream: SocketAddr,
}

async fn forward(State(proxy): State<Arc<Proxy>>, request: Request) -> Result<Response, StatusCode> {
    work::spend(proxy.settings.work);
    let limit = proxy.settings.upstream + GRACE;
    timeout(limit, proxy.answer(request)).await.unwrap_or(Err(StatusCode::GATEWAY_TIMEOUT))
}

impl Proxy {
    /// The upstream's whole answer; 502 when it does not come, or not to its end.
    async fn answer(&self, mut request: Request) -> Result<Response, StatusCode> {
        *request.uri_mut() = self.at(request.uri().path_and_query()).ok_or(StatusCode::BAD_REQUEST)?;
        *request.version_mut() = Version::HTTP_11;
        hops::remove(request.headers_mut());
        request.headers_mut().remove(header::HOST); // the client names the upstream in its place
        let answer = self.client.request(request).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
        let (mut head, body) = answer.into_parts();
        hops::remove(&mut head.headers);
        let body = to_bytes(Body::new(body), LONGEST).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
        Ok(Response::from_parts(head, Body::from(body)))
    }

    /// The same path at the upstream; none where a request has no path, such as `OPTIONS *`.
    fn at(&self, path: Option<&PathAndQuery>) -> Option<Uri> {
        let authority = Authority::try_from(self.upstream.to_string()).ok()?;
        Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query(path?.clone()).build().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::http::HeaderMap;
    use axum::serve::ListenerExt as _;
    use http_body_util::BodyExt as _;
    use tokio::net::TcpListener;
    use tower::ServiceExt as _;

    use super::*;

    /// Serves `upstream` on loopback; the second counts its connections.
    async fn upstream(upstream: Router) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&connections);
        let listener = listener.tap_io(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        tokio::spawn(axum::serve(listener, upstream).into_future());
        (address, connections)
    }

    /// Tells what came: method, path, the headers by name, body.
    async fn told(request: Request) -> String {
        let (head, body) = request.into_parts();
        let body = String::from_utf8(to_bytes(body, 100).await.unwrap().to_vec()).unwrap();
        let mut names: Vec<&str> = head.headers.keys().map(header::HeaderName::as_str).collect();
        names.sort_unstable();
        format!("{} {} [{}] {body}", head.method, head.uri, names.join(" "))
    }

    async fn ask(app: Router, request: Request) -> (StatusCode, HeaderMap, String) {
        let (head, body) = app.oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    fn get(path: &str) -> Request {
        Request::get(path).body(Body::empty()).unwrap()
    }

    fn quick() -> Given {
        Given::of([("upstream_ms", "0"), ("work_us", "0")])
    }

    #[tokio::test]
    async fn method_path_query_and_body_reach_the_upstream() {
        let (address, _) = upstream(Router::new().fallback(told)).await;
        let request = Request::post("/a/b?c=d").header("x-own", "1").body(Body::from("body")).unwrap();

        let (status, _, body) = ask(app(quick(), address).unwrap(), request).await;

        assert_eq!((status, body.as_str()), (StatusCode::OK, "POST /a/b?c=d [content-length host x-own] body"));
    }

    #[tokio::test]
    async fn what_is_about_one_connection_stays_on_it() {
        let answer = async || ([("keep-alive", "timeout=5"), ("x-own", "2")], "answer");
        let (address, _) = upstream(Router::new().route("/answer", axum::routing::get(answer)).fallback(told)).await;
        let app = app(quick(), address).unwrap();
        let request = Request::get("/").header("connection", "close").header("te", "trailers").body(Body::empty());

        let (_, _, asked) = ask(app.clone(), request.unwrap()).await;
        let (_, headers, _) = ask(app, get("/answer")).await;

        assert_eq!(asked, "GET / [host] ");
        assert_eq!((headers.get("keep-alive"), headers["x-own"].to_str().unwrap()), (None, "2"));
    }

    #[tokio::test]
    async fn the_upstreams_status_comes_back() {
        let (address, _) = upstream(Router::new().fallback(async || (StatusCode::IM_A_TEAPOT, "short"))).await;

        let (status, _, body) = ask(app(quick(), address).unwrap(), get("/")).await;

        assert_eq!((status, body.as_str()), (StatusCode::IM_A_TEAPOT, "short"));
    }

    #[tokio::test]
    async fn requests_one_after_the_other_share_a_connection() {
        let (address, connections) = upstream(Router::new().fallback(told)).await;
        let app = app(quick(), address).unwrap();

        for _ in 0..3 {
            assert_eq!(ask(app.clone(), get("/")).await.0, StatusCode::OK);
        }

        assert_eq!(connections.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_upstream_that_is_gone_is_a_502() {
        let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();

        assert_eq!(ask(app(quick(), nobody).unwrap(), get("/")).await.0, StatusCode::BAD_GATEWAY);
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_is_a_502() {
        let (address, _) = upstream(Router::new().fallback(async || vec![0; LONGEST + 1])).await;

        assert_eq!(ask(app(quick(), address).unwrap(), get("/")).await.0, StatusCode::BAD_GATEWAY);
    }

    #[tokio::test]
    async fn an_upstream_that_never_answers_is_a_504() {
        let (address, _) = upstream(Router::new().fallback(async || pending::<()>().await)).await;

        assert_eq!(ask(app(quick(), address).unwrap(), get("/")).await.0, StatusCode::GATEWAY_TIMEOUT);
    }

    #[test]
    fn what_is_not_given_is_as_target_toml_says() {
        let declared = contract::defaults(include_str!("../target.toml"));
        let given = Given::of(declared.iter().map(|(name, value)| (name.as_str(), value.as_str())));

        assert_eq!(Settings::read(Given::default()), Settings::read(given));
    }
}
