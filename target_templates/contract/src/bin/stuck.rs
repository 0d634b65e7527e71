//! The worst service there is: a request never gives its worker back. It shows what kit does about that.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use kit::{BadValue, Given};
use tokio::runtime::{Builder, Runtime};

fn main() -> io::Result<ExitCode> {
    let mut given = Given::from_environment();
    let chosen = given.choice("flavor", [("multi_thread", true), ("current_thread", false)]);
    let app = given.finish().map(|()| Router::new().route("/", get(hold)));
    Ok(kit::serve(runtime(&chosen)?, chosen.and(app)))
}

fn runtime(multi_thread: &Result<bool, BadValue>) -> io::Result<Runtime> {
    match multi_thread {
        Ok(false) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    }
    .worker_threads(1)
    .enable_all()
    .build()
}

async fn hold() {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}
