//! What the harness expects of any target, as tests on the real program.
//!
//! A target's `tests/target.rs` is one line: `contract::holds!(env!("CARGO_BIN_EXE_name"), include_str!("../target.toml"));`.
//! Nothing here is part of a service; only tests depend on this crate.

#![allow(clippy::unwrap_used, reason = "the crate is made of tests: one that unwraps fails with the right line")]
#![allow(clippy::missing_panics_doc, reason = "a fact that does not hold panics: that is its meaning")]

mod client;
pub mod facts;
mod process;

pub use client::Client;
pub use facts::defaults;
pub use process::{Process, answer, send, wait_until};

/// Makes a test of each fact in [`facts`] for the program at the path `$binary`, declared by the text `$declaration`.
#[macro_export]
macro_rules! holds {
    ($binary:expr, $declaration:expr) => {
        $crate::holds! { @tests $binary, $declaration,
            the_declaration_is_complete
            every_declared_default_is_accepted_and_told
            every_choice_is_accepted_and_no_other
            every_bound_is_accepted_and_nothing_beyond
            an_undeclared_option_is_a_usage_error
            the_app_port_listens_once_the_service_is_healthy
            what_is_in_force_is_read_back
            nothing_is_under_debug
            every_thread_is_accounted_for
            a_request_is_counted_once
            nothing_listens_beyond_loopback
            sigterm_ends_the_service_although_a_client_stays_connected
            a_port_that_is_missing_or_no_port_is_a_usage_error
            a_port_that_is_held_is_named
        }
    };
    (@tests $binary:expr, $declaration:expr, $($fact:ident)+) => {
        $(#[test]
        fn $fact() {
            $crate::facts::$fact(&$crate::facts::Target { binary: $binary, declaration: $declaration });
        })+
    };
}
