//! The probe: one thread with a runtime of its own that answers about the runtimes under test, and ends the process.
//!
//! It shares no thread and no queue with the runtime under test, so it works while that one is stuck. It never runs
//! blocking tasks, so it adds exactly one thread to the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use std::{fs, io};

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::{environment, listen, metrics};

/// How long answers in progress may take after a stop was asked for; then the process ends all the same.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// The lock file of the workspace or crate that this folder lies in: what its services are built by.
const LOCK: &str = include_str!("../../Cargo.lock");

/// The probe of one service: it answers `/healthz`, `/runtime` and `/metrics` on a port of 127.0.0.1, and stops the service.
///
/// [`serve`](crate::serve) has one of its own. A service that listens by itself, over any protocol, starts one before it
/// listens, says when it does, and counts what arrives:
///
/// ```
/// use kit::Probe;
/// use tokio::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
/// # let free = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
/// # let admin_port = free;
/// let probe = Probe::start(admin_port, &[runtime.handle().clone()])?; // admin_port: kit::port("ADMIN_PORT")?
/// runtime.block_on(async {
///     let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
///     probe.listens();
///     # let _client = TcpStream::connect(listener.local_addr()?).await?;
///     let counts = probe.counts();
///     tokio::select! {
///         accepted = listener.accept() => { accepted?; counts.connection(); counts.request() }
///         () = probe.stopped() => (), // SIGTERM or SIGINT: finish what is in progress and return
///     }
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Probe {
    watched: Watched,
    stopped: watch::Receiver<bool>,
}

impl Probe {
    /// Starts the probe at `port`, for the service that `runtimes` carry.
    ///
    /// The signal handlers are in place when this returns: as PID 1 of a container the process would get no SIGTERM
    /// without one. Two seconds after the signal the probe ends the process, whatever the runtimes do.
    ///
    /// # Errors
    /// When the port is taken, or the system refuses a thread.
    pub fn start(port: u16, runtimes: &[Handle]) -> io::Result<Self> {
        let watched = Watched { runtimes: runtimes.into(), listening: Arc::default(), counts: Counts::default() };
        let stopped = start(port, watched.clone())?;
        Ok(Self { watched, stopped })
    }

    /// Says that the service listens: from now on `/healthz` answers 200.
    pub fn listens(&self) {
        self.watched.listening.store(true, Ordering::Release);
    }

    /// The counts that the service keeps.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.watched.counts.clone()
    }

    /// Waits until the process shall stop.
    pub async fn stopped(&self) {
        let mut stopped = self.stopped.clone();
        // An error means that the probe is gone: a service that cannot be watched or stopped ends as well.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }
}

/// What a service counts of its own traffic. Cheap to clone; a count is one relaxed increment.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    requests: AtomicU64,
    connections: AtomicU64,
}

impl Counts {
    /// Counts a request on its arrival.
    pub fn request(&self) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that was accepted.
    pub fn connection(&self) {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> metrics::Traffic {
        metrics::Traffic {
            requests: self.0.requests.load(Ordering::Relaxed),
            connections: self.0.connections.load(Ordering::Relaxed),
        }
    }
}

/// What the probe looks at.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) runtimes: Arc<[Handle]>,
    listening: Arc<AtomicBool>,
    counts: Counts,
}

/// Starts the thread of the probe; the receiver turns true when the process shall stop.
fn start(port: u16, watched: Watched) -> io::Result<watch::Receiver<bool>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let inside = runtime.enter();
    let listener = listen::loopback(port, false)?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    drop(inside);

    let (stop, stopped) = watch::channel(false);
    std::thread::Builder::new().name("probe".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::spawn(axum::serve(listener, router(watched)).into_future());
            tokio::select! { _ = term.recv() => (), _ = int.recv() => () }
            // Nobody listens any more when the service ended by itself.
            let _ = stop.send(true);
            tokio::time::sleep(STOP_LIMIT).await;
            eprintln!("answers were still in progress {} s after the stop: ended all the same", STOP_LIMIT.as_secs());
            std::process::exit(0);
        });
    })?;
    Ok(stopped)
}

fn router(watched: Watched) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/runtime", get(in_force))
        .route("/metrics", get(exposition))
        .merge(debug())
        .with_state(watched)
}

#[cfg(feature = "diagnostic")]
fn debug() -> Router<Watched> {
    crate::diagnostic::routes()
}

/// What is scored has nothing under `/debug`.
#[cfg(not(feature = "diagnostic"))]
fn debug() -> Router<Watched> {
    Router::new()
}

async fn healthz(State(watched): State<Watched>) -> StatusCode {
    if watched.listening.load(Ordering::Acquire) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn exposition(State(watched): State<Watched>) -> impl IntoResponse {
    let text = metrics::exposition(watched.counts.read(), &watched.runtimes);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

/// The settings in force: flavor and workers are read from the runtimes; Builder has no getters for the others.
async fn in_force(State(watched): State<Watched>) -> Json<Value> {
    Json(json!({
        "flavor": metrics::flavor(&watched.runtimes),
        "workers": metrics::workers(&watched.runtimes),
        "options": environment::Given::from_environment().into_values(),
        "nonce": std::env::var("HARNESS_NONCE").unwrap_or_default(),
        "pid": std::process::id(),
        "threads": fs::read_dir("/proc/self/task").ok().map(Iterator::count),
        "io_uring": has_ring(),
        "tokio": locked_version(LOCK, "tokio"),
        "unstable": cfg!(tokio_unstable),
    }))
}

/// Whether the process has an `io_uring`; Tokio opens one at its first use of a file, if it may. None: `/proc` does not tell.
fn has_ring() -> Option<bool> {
    let mut open = fs::read_dir("/proc/self/fd").ok()?.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    Some(open.any(|file| file.as_os_str() == "anon_inode:[io_uring]"))
}

/// The version of `package` in the text of a lock file.
fn locked_version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name).skip(1);
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    fn watched(runtime: &Handle) -> Watched {
        Watched { runtimes: Arc::new([runtime.clone()]), listening: Arc::default(), counts: Counts::default() }
    }

    async fn ask(watched: &Watched, path: &str) -> (StatusCode, String) {
        let answer = router(watched.clone()).oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_service_is_healthy_only_once_it_listens() {
        let watched = watched(&Handle::current());

        let before = ask(&watched, "/healthz").await.0;
        watched.listening.store(true, Ordering::Release);
        let after = ask(&watched, "/healthz").await.0;

        assert_eq!((before, after), (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK));
    }

    #[tokio::test]
    async fn what_the_service_counts_is_told() {
        let watched = watched(&Handle::current());
        watched.counts.connection();
        (0..3).for_each(|_| watched.counts.request());

        let text = ask(&watched, "/metrics").await.1;

        assert!(text.contains("\nhttp_requests_total 3\n"), "{text}");
        assert!(text.contains("\nhttp_connections_total 1\n"), "{text}");
    }

    #[tokio::test]
    async fn the_workers_of_the_watched_runtime_are_told_not_those_of_the_probe() {
        let tuned = Builder::new_multi_thread().worker_threads(3).build().unwrap();

        let told: Value = serde_json::from_str(&ask(&watched(tuned.handle()), "/runtime").await.1).unwrap();

        assert_eq!((told["workers"].as_u64(), told["flavor"].as_str()), (Some(3), Some("multi_thread")));
        tuned.shutdown_background();
    }

    #[test]
    fn the_version_of_tokio_is_the_locked_one() {
        let lock = "[[package]]\nname = \"tokio-macros\"\nversion = \"2.7.2\"\n\n[[package]]\nname = \"tokio\"\nversion = \"1.54.1\"\n";

        assert_eq!(locked_version(lock, "tokio"), Some("1.54.1"));
        assert_eq!(locked_version(lock, "axum"), None);
        assert!(locked_version(LOCK, "tokio").is_some());
    }
}
