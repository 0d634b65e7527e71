//! The life of a service: listen, serve, stop.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::{fmt, io};

use axum::extract::Request;
use axum::serve::ListenerExt as _;
use axum::{Router, ServiceExt as _};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::environment::{self, BadValue};
use crate::listen;
use crate::probe::{self, Watched};

/// `EX_USAGE` of sysexits.h: the environment is wrong.
const USAGE: u8 = 64;

/// Serves `app` on `127.0.0.1:$PORT` by `runtime` until SIGTERM or SIGINT, watched on `127.0.0.1:$ADMIN_PORT`.
///
/// Says on standard error why it could not; a wrong environment is exit code 64. Not generic on purpose: a generic
/// function would be compiled again into every variant's program.
#[must_use]
pub fn serve(runtime: Runtime, app: Result<Router, BadValue>) -> ExitCode {
    let served = app.map_err(Fault::from).and_then(|app| run(&runtime, app));
    // A blocking task cannot be stopped and may run for long; the process does not wait for it.
    runtime.shutdown_background();
    let Err(fault) = served else { return ExitCode::SUCCESS };
    eprintln!("{fault}");
    match fault {
        Fault::Usage(_) => ExitCode::from(USAGE),
        Fault::Machine(_) => ExitCode::FAILURE,
    }
}

fn run(runtime: &Runtime, app: Router) -> Result<(), Fault> {
    let port = environment::port("PORT")?;
    let admin_port = environment::port("ADMIN_PORT")?;
    let listening = Arc::new(AtomicBool::new(false));
    let requests = Arc::new(AtomicU64::new(0));
    let connections = Arc::new(AtomicU64::new(0));
    let watched = Watched {
        runtime: runtime.handle().clone(),
        listening: Arc::clone(&listening),
        requests: Arc::clone(&requests),
        connections: Arc::clone(&connections),
    };
    let stopped = probe::start(admin_port, watched)?;
    // One relaxed increment outside the router: no box and no clone of a middleware stack in the measured path.
    let counted = app.map_request(move |request: Request| {
        requests.fetch_add(1, Ordering::Relaxed);
        request
    });
    runtime.block_on(async move {
        let listener = listen::loopback(port)?.tap_io(move |socket| {
            connections.fetch_add(1, Ordering::Relaxed);
            // Answers are small: without this Nagle's algorithm would wait for the client's acknowledgement.
            let _ = socket.set_nodelay(true);
        });
        listening.store(true, Ordering::Release);
        let stop = async {
            // An error means that the probe is gone: a service that cannot be watched or stopped ends as well.
            let _ = stopped.await;
        };
        axum::serve(listener, counted.into_make_service()).with_graceful_shutdown(stop).await
    })?;
    Ok(())
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
