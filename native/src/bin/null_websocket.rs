//! `null_websocket [--delay-us N]`: a WebSocket server that sends every message back, at once or after a delay, to
//! calibrate the websocket engine by. Prints its port on 127.0.0.1 and serves until its standard input (a pipe) ends.

use std::env;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use tungstenite::{Error, Message};

const BAD_ARGUMENT: u8 = 64;

fn main() -> ExitCode {
    let Some(delay) = delay(&env::args().skip(1).collect::<Vec<_>>()) else {
        eprintln!("usage: null_websocket [--delay-us N]");
        return ExitCode::from(BAD_ARGUMENT);
    };
    match serve(delay) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("null_websocket: {error}");
            ExitCode::FAILURE
        }
    }
}

fn delay(given: &[String]) -> Option<Duration> {
    match given {
        [] => Some(Duration::ZERO),
        [name, value] if name == "--delay-us" => value.parse().ok().map(Duration::from_micros),
        _ => None,
    }
}

fn serve(delay: Duration) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    thread::spawn(move || {
        // A thread for each connection: a few dozen, and a thread that waits costs the engine nothing.
        for stream in listener.incoming().flatten() {
            thread::spawn(move || echo(stream, delay));
        }
    });
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Sends every message of one connection back until either side ends it; pings are answered by the library.
fn echo(stream: TcpStream, delay: Duration) -> Result<(), Box<Error>> {
    stream.set_nodelay(true).map_err(|error| Box::new(error.into()))?;
    let Ok(mut socket) = tungstenite::accept(stream) else { return Ok(()) };
    loop {
        let message = socket.read().map_err(Box::new)?;
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            if !delay.is_zero() {
                thread::sleep(delay);
            }
            socket.send(message).map_err(Box::new)?;
        }
    }
}
