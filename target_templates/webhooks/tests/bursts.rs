//! A burst of hooks makes the blocking pool grow, not the time of a hook.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::time::{Duration, Instant};

use contract::{Process, answer, send};

#[test]
fn hooks_of_a_burst_are_stored_side_by_side() {
    let variables = [("TOKIO_WORKER_THREADS", "1"), ("OPT_STORE_MS", "300")];
    let process = Process::ready(env!("CARGO_BIN_EXE_webhooks"), &variables);
    let hook = "POST /hooks HTTP/1.1\r\nhost: app\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

    let begun = Instant::now();
    let burst: Vec<_> = (0..8).map(|_| send(process.port, hook).unwrap()).collect();
    for one in burst {
        assert_eq!(answer(one, Duration::from_secs(10)).unwrap().0, 200);
    }

    assert!(begun.elapsed() < Duration::from_millis(8 * 300 / 2), "{:?}", begun.elapsed());
}
