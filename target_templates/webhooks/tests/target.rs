//! Webhooks holds what the harness expects of any target.

contract::holds!(env!("CARGO_BIN_EXE_webhooks"), include_str!("../target.toml"));
