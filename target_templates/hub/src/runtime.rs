//! The runtime of this service, built by `tokio::runtime::Builder`.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Builds the runtime; every setting that is not named here keeps Tokio's default.
pub fn build() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .build()
}
