//! Look-ups of different requests run side by side, those of one request one after the other.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::time::{Duration, Instant};

use contract::{Process, answer, send};

#[test]
fn requests_do_not_wait_for_each_others_look_ups() {
    let variables = [("TOKIO_WORKER_THREADS", "1"), ("OPT_LOOKUPS", "2"), ("OPT_LOOKUP_MS", "200")];
    let process = Process::ready(env!("CARGO_BIN_EXE_gateway"), &variables);
    let request = "GET /routes/shop HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n";

    let begun = Instant::now();
    let asked: Vec<_> = (0..8).map(|_| send(process.port, request).unwrap()).collect();
    for one in asked {
        assert_eq!(answer(one, Duration::from_secs(10)).unwrap().0, 200);
    }
    let took = begun.elapsed();

    assert!((Duration::from_millis(400)..Duration::from_millis(1600)).contains(&took), "{took:?}");
}
