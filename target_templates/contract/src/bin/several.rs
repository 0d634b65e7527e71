//! A service by three runtimes that share its port: each answers with the name of the thread that it polled the request on.

use std::io;
use std::process::ExitCode;
use std::thread;

use axum::Router;
use axum::routing::get;
use kit::Given;
use tokio::runtime::{Builder, Runtime};

fn main() -> io::Result<ExitCode> {
    let app = Given::from_environment().finish().map(|()| Router::new().route("/", get(thread_id)));
    Ok(kit::serve(runtimes()?, app))
}

fn runtimes() -> io::Result<Vec<Runtime>> {
    (0..3).map(|_| Builder::new_current_thread().enable_all().build()).collect()
}

async fn thread_id() -> String {
    format!("{:?}", thread::current().id())
}
