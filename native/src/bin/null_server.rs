//! `null_server [--delay-us N] [--watch-us N] [--port P] [--body-bytes N]`: the reference server of known delay. Prints
//! its port, serves until its standard input (a pipe) ends, then prints how many requests it answered.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use harness_native::server::{Manner, Server};

const BAD_ARGUMENT: u8 = 64;

fn main() -> ExitCode {
    let Some((port, manner)) = arguments(env::args().skip(1)) else {
        eprintln!("usage: null_server [--delay-us N] [--watch-us N] [--port P] [--body-bytes N]");
        return ExitCode::from(BAD_ARGUMENT);
    };
    match serve(port, manner) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("null_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments(given: impl Iterator<Item = String>) -> Option<(u16, Manner)> {
    let mut port = 0;
    let mut manner = Manner { delay_ns: 0, watch_ns: 0, body_bytes: 2 };
    let words: Vec<String> = given.collect();
    for pair in words.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--port" => port = value.parse().ok()?,
            "--delay-us" => manner.delay_ns = i64::from(value.parse::<u32>().ok()?) * 1000,
            "--watch-us" => manner.watch_ns = i64::from(value.parse::<u32>().ok()?) * 1000,
            "--body-bytes" => manner.body_bytes = value.parse().ok()?,
            _ => return None,
        }
    }
    Some((port, manner))
}

fn serve(port: u16, manner: Manner) -> io::Result<()> {
    let server = Server::new(port, manner, io::stdin())?;
    writeln!(io::stdout(), "{}", server.port)?;
    let answered = server.run(io::stdin())?;
    writeln!(io::stdout(), "{answered}")
}
