//! Hub holds what the harness expects of any target.

contract::holds!(env!("CARGO_BIN_EXE_hub"), include_str!("../target.toml"));
