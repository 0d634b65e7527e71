//! Feed holds what the harness expects of any target.

contract::holds!(env!("CARGO_BIN_EXE_feed"), include_str!("../target.toml"));
