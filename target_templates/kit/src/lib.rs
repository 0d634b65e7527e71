//! What every target shares: where it listens, how it is watched, how it is set up, and how it stops.
//!
//! A target is an `axum::Router` and a runtime. [`serve`] puts the router on `127.0.0.1:$PORT` by the runtime under
//! test, and answers `/healthz`, `/runtime` and `/metrics` on `127.0.0.1:$ADMIN_PORT` from a thread and a runtime of
//! its own, so that it can still be watched while the runtime under test is stuck.

pub mod metrics;
pub mod options;
mod probe;
mod serve;

pub use serve::serve;
