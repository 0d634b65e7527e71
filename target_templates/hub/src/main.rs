//! The whole program: the runtime that is searched, and the service that it carries.

use std::process::ExitCode;

#[rustfmt::skip] // rendered for each variant, one call a line
mod runtime;

fn main() -> ExitCode {
    match runtime::build() {
        Ok(runtime) => hub::serve(runtime.into()),
        Err(error) => {
            eprintln!("the runtime cannot be built: {error}");
            ExitCode::FAILURE
        }
    }
}
