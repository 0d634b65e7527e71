//! How a request computes decides whether the light route waits for it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::io;
use std::time::Duration;

use contract::{Process, answer, send, wait_until};

/// Has a service with one worker compute for two seconds, and asks it meanwhile for its status.
fn status_meanwhile(place: &str) -> io::Result<(u16, String)> {
    let variables = [("TOKIO_WORKER_THREADS", "1"), ("OPT_COMPUTE", place), ("OPT_CPU_MS", "2000")];
    let process = Process::ready(env!("CARGO_BIN_EXE_compute"), &variables);
    let _computing = send(process.port, "POST /compute HTTP/1.1\r\nhost: app\r\ncontent-length: 0\r\n\r\n").unwrap();
    wait_until("the request arrived", || process.metric("http_requests_total") >= 1.0);

    let question = "GET /status HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n";
    answer(send(process.port, question).unwrap(), Duration::from_millis(800))
}

#[test]
fn a_computation_in_one_go_holds_the_light_route() {
    assert!(status_meanwhile("inline").is_err());
}

#[test]
fn a_computation_elsewhere_or_in_slices_does_not() {
    for place in ["spawn_blocking", "rayon", "yield_now"] {
        assert_eq!(status_meanwhile(place).unwrap().0, 200, "{place}");
    }
}
