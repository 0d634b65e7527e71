//! Payments holds what the harness expects of any target.

contract::holds!(env!("CARGO_BIN_EXE_payments"), include_str!("../target.toml"));
