//! What a service shares with every other one that is tuned: where it listens, how it is watched, how it is set up, and
//! how it stops.
//!
//! The probe is a thread and a runtime of its own. It answers on `127.0.0.1:$ADMIN_PORT`, so that the service can still be
//! watched, and stopped, while the runtime under test is stuck:
//!
//! | path | answers |
//! |---|---|
//! | `/healthz` | 200 once the service listens, 503 before |
//! | `/runtime` | the flavor and the workers as the runtime tells them, and the options that were given |
//! | `/metrics` | Tokio's runtime metrics and the service's own counts, as Prometheus text |
//!
//! A service takes one of two ways in. [`serve`] is the whole of it: an [`axum::Router`] and a runtime, or several that
//! share the port, on `127.0.0.1:$PORT` until SIGTERM. [`Probe`] is the watching alone, for a service that listens by
//! itself. [`Given`] reads the options and settings that a study chooses. [`Farewell`] holds the stop for a WebSocket.
//!
//! Nothing here chooses or changes a setting of the runtime under test, and nothing else runs on it.
//!
//! Half of the metrics need `--cfg tokio_unstable`. Without it they are absent, never zero; everything else works.

#[cfg(feature = "diagnostic")]
mod diagnostic;
mod environment;
mod farewell;
mod listen;
mod metrics;
mod probe;
mod runtimes;
mod serve;
mod topics;

pub use environment::{BadValue, Given, port, upstream};
pub use farewell::Farewell;
pub use probe::{Counts, Probe};
pub use runtimes::Runtimes;
pub use serve::serve;
pub use topics::{Seat, Topics};
