//! The native load engine: one window of load against 127.0.0.1, open or closed, with exact samples.
//!
//! It keeps the accounting of the harness's other engine to the letter: each request has exactly one outcome, the
//! time-out runs from the intended time, nothing is retried. [`window::carry_out`] is the way in; `drive` is its
//! program, `null_server` a server of known delay to check it by.

pub mod answer;
pub mod chunks;
pub mod clock;
pub mod connection;
pub mod job;
pub mod lane;
pub mod models;
pub mod plan;
pub mod requests;
pub mod rows;
pub mod samples;
pub mod server;
pub mod window;
pub mod worker;
