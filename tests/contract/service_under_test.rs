//! A service for the contract of the backends: it behaves as OPT_MODE says. Standard library only, so it builds in a second.
//!
//! serve (and everything else): answers on both ports, ends on SIGTERM; deaf: ignores SIGTERM; exit: says something and ends
//! with code 3; eat: takes memory without end; chatter: writes a MiB first; late: never listens.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::{env, process, thread, time::Duration};

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
    fn _exit(code: i32) -> !;
}

const SIGTERM: i32 = 15;
const IGNORE: usize = 1;

extern "C" fn end(_: i32) {
    unsafe { _exit(0) }
}

fn port(name: &str) -> u16 {
    env::var(name).unwrap().parse().unwrap()
}

fn bind(port: u16) -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap_or_else(|error| {
        eprintln!("cannot listen on {port}: {error}");
        process::exit(1);
    })
}

fn in_force() -> String {
    let cores = thread::available_parallelism().unwrap();
    format!("{{\"nonce\": \"{}\", \"workers\": {cores}}}", env::var("HARNESS_NONCE").unwrap())
}

fn serve(listener: TcpListener, answer: fn() -> String) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let body = answer();
        let length = body.len();
        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    }
}

fn main() {
    let mode = env::var("OPT_MODE").unwrap_or_default();
    let handler = if mode == "deaf" { IGNORE } else { end as *const () as usize };
    unsafe { signal(SIGTERM, handler) };
    match mode.as_str() {
        "exit" => {
            println!("nothing to do");
            process::exit(3);
        }
        "eat" => {
            let mut eaten = Vec::new();
            loop {
                eaten.push(vec![1_u8; 1 << 20]);
            }
        }
        "chatter" => (0..16384).for_each(|line| println!("{line:063}")),
        "late" => thread::sleep(Duration::from_secs(600)),
        _ => (),
    }
    let (listener, admin) = (bind(port("PORT")), bind(port("ADMIN_PORT")));
    thread::spawn(|| serve(admin, in_force));
    serve(listener, || "ok".to_owned());
}
