//! What the queue between producer and consumer may hold decides how much memory the service takes.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::fs;
use std::time::Duration;

use contract::{Process, answer, send};

/// The memory in MiB of a service that was sent 64 events of 1 MiB and consumed none of them.
fn mib_after_64_events(queue: &str) -> usize {
    let variables =
        [("OPT_QUEUE", queue), ("OPT_CAPACITY", "4"), ("OPT_EVENT_KIB", "1024"), ("OPT_CONSUME_MS", "10000")];
    let process = Process::ready(env!("CARGO_BIN_EXE_backpressure"), &variables);
    for _ in 0..64 {
        let event = "POST /events HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n";
        answer(send(process.port, event).unwrap(), Duration::from_secs(10)).unwrap();
    }
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB")).unwrap();
    kib.trim().parse::<usize>().unwrap() / 1024
}

#[test]
fn events_in_an_unbounded_queue_take_their_memory() {
    assert!(mib_after_64_events("unbounded") >= 60);
}

#[test]
fn a_bounded_queue_takes_no_more_than_its_capacity() {
    assert!(mib_after_64_events("bounded") <= 30);
}
