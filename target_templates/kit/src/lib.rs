//! What every target shares: where it listens, how it is watched, how it is set up, and how it stops.
//!
//! A target is an [`axum::Router`] and a runtime, or several that share the port. [`serve`] puts the router on
//! `127.0.0.1:$PORT` by the [`Runtimes`] under test, and answers `/healthz`, `/runtime` and `/metrics` on `127.0.0.1:$ADMIN_PORT` from a thread and a runtime of
//! its own, so that it can still be watched, and stopped, while the runtime under test is stuck.
//!
//! Nothing here chooses or changes a setting of the runtime under test, and nothing else runs on it.

#[cfg(feature = "diagnostic")]
mod diagnostic;
mod environment;
mod listen;
mod metrics;
mod probe;
mod runtimes;
mod serve;

pub use environment::{BadValue, Given};
pub use runtimes::Runtimes;
pub use serve::serve;
