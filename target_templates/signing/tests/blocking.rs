//! Where a signature is computed decides whether the light route waits for it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use contract::{Process, answer, send, wait_until};

/// A service with one worker that was asked for three signatures, each of which takes seconds.
struct Signing {
    process: Process,
    _asked: [TcpStream; 3],
}

impl Signing {
    fn new(place: &str) -> Self {
        let variables =
            [("TOKIO_WORKER_THREADS", "1"), ("OPT_SIGNING", place), ("OPT_PASSES", "100"), ("OPT_MEMORY_KIB", "65536")];
        let process = Process::ready(env!("CARGO_BIN_EXE_signing"), &variables);
        let request = "POST /sign HTTP/1.1\r\nhost: app\r\ncontent-length: 2\r\n\r\nhi";
        let asked = [(); 3].map(|()| send(process.port, request).unwrap());
        Self { process, _asked: asked }
    }
}

/// Asks for the status while signatures are computed.
fn status_meanwhile(place: &str) -> io::Result<(u16, String)> {
    let Signing { process, _asked } = Signing::new(place);
    wait_until("a message arrived", || process.metric("http_requests_total") >= 1.0);

    let question = "GET /status HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n";
    answer(send(process.port, question).unwrap(), Duration::from_millis(500))
}

#[test]
fn an_inline_signature_holds_the_light_route() {
    assert!(status_meanwhile("inline").is_err());
}

#[test]
fn a_signature_on_the_blocking_pool_does_not() {
    for place in ["spawn_blocking", "bounded"] {
        assert_eq!(status_meanwhile(place).unwrap().0, 200, "{place}");
    }
}

#[test]
#[cfg(tokio_unstable)]
fn the_bounded_way_holds_one_thread_where_the_blocking_pool_grows() {
    for (place, threads) in [("spawn_blocking", 3.0), ("bounded", 1.0)] {
        let Signing { process, _asked } = Signing::new(place);
        wait_until("all three arrived", || process.metric("http_requests_total") >= 3.0);
        wait_until("the threads are there", || process.metric("tokio_blocking_threads") >= threads);

        assert!((process.metric("tokio_blocking_threads") - threads).abs() < f64::EPSILON, "{place}");
    }
}
