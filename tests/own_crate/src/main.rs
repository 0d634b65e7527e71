//! `GET /` answers `hello` on 127.0.0.1:$PORT until SIGTERM. No probe, no options, nothing that knows of a harness.

use std::io;
use std::net::Ipv4Addr;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[rustfmt::skip] // may be replaced by a rendered file, one call a line
mod runtime;

fn main() -> io::Result<()> {
    let port = std::env::var("PORT")
        .ok()
        .and_then(|text| text.parse::<u16>().ok());
    let port = port.ok_or_else(|| io::Error::other("PORT must be a port number"))?;
    runtime::build()?.block_on(async move {
        let mut term = signal(SignalKind::terminate())?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let stop = async move {
            term.recv().await;
        };
        let app = Router::new().route("/", get(async || "hello"));
        axum::serve(listener, app)
            .with_graceful_shutdown(stop)
            .await
    })
}
