//! The runtime that this service has always run on: its baseline.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Builds the runtime.
pub fn build() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}
