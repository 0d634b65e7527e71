//! The life of a service: listen, serve, stop.

use std::process::ExitCode;
use std::{fmt, io, thread};

use axum::extract::Request;
use axum::serve::ListenerExt as _;
use axum::{Router, ServiceExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::environment::{self, BadValue};
use crate::farewell;
use crate::listen;
use crate::probe::Probe;
use crate::runtimes::Runtimes;

/// `EX_USAGE` of sysexits.h: the environment is wrong.
const USAGE: u8 = 64;

/// Serves `app` on `127.0.0.1:$PORT` by `runtimes` until SIGTERM or SIGINT, watched on `127.0.0.1:$ADMIN_PORT`.
///
/// The first runtime is driven by this thread, each further one by a thread of its own with a listener of its own. Says on
/// standard error why it could not; a wrong environment is exit code 64. Only the conversion is generic: a generic
/// function would be compiled again into every variant's program.
///
/// ```no_run
/// use axum::Router;
/// use axum::routing::get;
///
/// fn main() -> std::process::ExitCode {
///     let runtime = tokio::runtime::Runtime::new().expect("the system gives the threads of a runtime");
///     kit::serve(runtime, Ok(Router::new().route("/", get(async || "hello"))))
/// }
/// ```
#[must_use]
pub fn serve(runtimes: impl Into<Runtimes>, app: Result<Router, BadValue>) -> ExitCode {
    by(runtimes.into(), app)
}

fn by(runtimes: Runtimes, app: Result<Router, BadValue>) -> ExitCode {
    let served = app.map_err(Fault::from).and_then(|app| run(&runtimes, app));
    // A blocking task cannot be stopped and may run for long; the process does not wait for it.
    runtimes.shutdown_background();
    let Err(fault) = served else { return ExitCode::SUCCESS };
    eprintln!("{fault}");
    match fault {
        Fault::Usage(_) => ExitCode::from(USAGE),
        Fault::Machine(_) => ExitCode::FAILURE,
    }
}

fn run(runtimes: &Runtimes, app: Router) -> Result<(), Fault> {
    let port = environment::port("PORT")?;
    let admin_port = environment::port("ADMIN_PORT")?;
    #[cfg(feature = "diagnostic")]
    crate::diagnostic::serve_console();
    let probe = Probe::start(admin_port, &runtimes.handles())?;
    let counts = probe.counts();
    // One relaxed increment outside the router: no box and no clone of a middleware stack in the measured path.
    let counted = app.map_request(move |request: Request| {
        counts.request();
        request
    });
    let drives = runtimes.as_slice().iter().zip(listeners(runtimes.as_slice(), port)?).map(|(runtime, listener)| {
        let (app, counts, probe) = (counted.clone(), probe.counts(), probe.clone());
        let listener = listener.tap_io(move |socket| {
            counts.connection();
            // Answers are small: without this Nagle's algorithm would wait for the client's acknowledgement.
            let _ = socket.set_nodelay(true);
        });
        let stop = async move { probe.stopped().await };
        let served = axum::serve(listener, app.into_make_service()).with_graceful_shutdown(stop);
        let to_the_end = async move {
            let ended: io::Result<()> = served.await;
            farewell::all_said().await;
            ended
        };
        move || runtime.block_on(to_the_end)
    });
    let drives = drives.collect();
    probe.listens();
    Ok(together(drives)?)
}

/// A listener at `port` in each of the runtimes; they share it where they are several.
fn listeners(runtimes: &[Runtime], port: u16) -> io::Result<Vec<TcpListener>> {
    let listen = |runtime: &Runtime| {
        let _inside = runtime.enter();
        listen::loopback(port, runtimes.len() > 1)
    };
    runtimes.iter().map(listen).collect()
}

/// Does the first on this thread and each other one on a thread of its own, until all have ended.
fn together(drives: Vec<impl FnOnce() -> io::Result<()> + Send>) -> io::Result<()> {
    thread::scope(|scope| {
        let mut drives = drives.into_iter();
        let first = drives.next();
        let others: Vec<_> = drives.map(|drive| scope.spawn(drive)).collect();
        let panicked = |_| Err(io::Error::other("a thread that drives a runtime panicked"));
        let ended = first.map(|drive| drive());
        let others = others.into_iter().map(|other| other.join().unwrap_or_else(panicked));
        ended.into_iter().chain(others).collect()
    })
}

/// Why a service could not be served.
#[derive(Debug)]
enum Fault {
    Usage(BadValue),
    Machine(io::Error),
}

impl From<BadValue> for Fault {
    fn from(fault: BadValue) -> Self {
        Self::Usage(fault)
    }
}

impl From<io::Error> for Fault {
    fn from(fault: io::Error) -> Self {
        Self::Machine(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(fault) => fault.fmt(out),
            Self::Machine(fault) => fault.fmt(out),
        }
    }
}
