//! The life of a service: listen on loopback, serve, stop on SIGTERM within a limit.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn;
use axum::serve::ListenerExt as _;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::metrics;
use crate::probe::{self, Watched};

/// How long answers in progress may take after SIGTERM; then the process ends all the same.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Serves `app` on `127.0.0.1:$PORT` by `runtime` until SIGTERM or SIGINT, watched on `127.0.0.1:$ADMIN_PORT`.
///
/// Not generic on purpose: a generic function would be compiled again into every variant's binary.
#[must_use]
pub fn serve(runtime: Runtime, app: Router) -> ExitCode {
    match run(&runtime, app) {
        Ok(()) => {
            // Blocking work may still run and cannot be stopped; the process does not wait for it.
            runtime.shutdown_background();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(runtime: &Runtime, app: Router) -> io::Result<()> {
    let listener = bind("PORT")?;
    let listening = Arc::new(AtomicBool::new(false));
    let watched = Watched { runtime: runtime.handle().clone(), listening: Arc::clone(&listening) };
    probe::start(bind("ADMIN_PORT")?, watched)?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?.tap_io(|socket| {
            // Answers are small: without this Nagle's algorithm would wait for the client's acknowledgement.
            let _ = socket.set_nodelay(true);
        });
        let stop = stop_signal()?;
        listening.store(true, Ordering::Release);
        axum::serve(listener, app.layer(from_fn(metrics::count))).with_graceful_shutdown(stop).await
    })
}

/// A listener on loopback at the port that the environment variable `name` gives; never any other address.
fn bind(name: &str) -> io::Result<TcpListener> {
    let text = std::env::var(name).unwrap_or_default();
    let port: u16 = text.parse().map_err(|_| io::Error::other(format!("{name}={text:?}: must be a port number")))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|error| io::Error::new(error.kind(), format!("127.0.0.1:{port} ({name}): {error}")))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Resolves at SIGTERM or SIGINT, and from then on ends the process after [`STOP_LIMIT`], whatever the runtime does.
///
/// As PID 1 of a container the process gets no SIGTERM unless it has a handler. The handler sits in a runtime and a
/// thread of its own, because the runtime under test may be stuck exactly then.
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("stop".to_owned()).spawn(move || {
        let caught = runtime.block_on(async {
            let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            tokio::select! { _ = term.recv() => (), _ = int.recv() => () }
            io::Result::Ok(())
        });
        if let Err(error) = caught {
            eprintln!("no signal handler: {error}");
            return;
        }
        let _ = tell.send(());
        std::thread::sleep(STOP_LIMIT);
        std::process::exit(0);
    })?;
    Ok(async {
        if told.await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
