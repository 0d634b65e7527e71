//! A request that waits for the upstream holds no worker.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use contract::{Process, answer, send};

const DELAY: Duration = Duration::from_millis(300);

/// Answers each connection's one request after [`DELAY`], each on a thread of its own; returns its port.
fn upstream() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]).unwrap();
                thread::sleep(DELAY);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").unwrap();
            });
        }
    });
    port
}

#[test]
fn one_worker_carries_many_requests_that_wait() {
    let port = upstream().to_string();
    let variables = [("TOKIO_WORKER_THREADS", "1"), ("UPSTREAM_PORT", port.as_str())];
    let process = Process::ready(env!("CARGO_BIN_EXE_proxy"), &variables);
    let request = "GET /any HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n";

    let begun = Instant::now();
    let asked: Vec<_> = (0..8).map(|_| send(process.port, request).unwrap()).collect();
    for one in asked {
        assert_eq!(answer(one, Duration::from_secs(10)).unwrap(), (200, "ok".to_owned()));
    }
    let took = begun.elapsed();

    assert!((DELAY..4 * DELAY).contains(&took), "{took:?}");
}
