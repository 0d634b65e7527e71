//! How a frame is written decides what a stall of the file holds.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::io;
use std::time::Duration;

use contract::{Process, answer, send, wait_until};

const FRAME: &str = "POST /frames HTTP/1.1\r\nhost: app\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const STATUS: &str = "GET /status HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n";

/// Makes the write of a frame stall for two seconds on a service with one worker, and asks something else meanwhile.
fn answer_meanwhile(way: &str, question: &str) -> io::Result<(u16, String)> {
    let variables = [
        ("TOKIO_WORKER_THREADS", "1"),
        ("OPT_WRITE", way),
        ("OPT_FRAME_KIB", "600"), // the second frame is the one that fills a MiB, and the third does not
        ("OPT_STALL_MIB", "1"),
        ("OPT_STALL_MS", "2000"),
    ];
    let process = Process::ready(env!("CARGO_BIN_EXE_ingest"), &variables);
    answer(send(process.port, FRAME).unwrap(), Duration::from_secs(1)).unwrap();
    let _stalled = send(process.port, FRAME).unwrap();
    wait_until("the second frame arrived", || process.metric("http_requests_total") >= 2.0);
    std::thread::sleep(Duration::from_millis(100));
    answer(send(process.port, question).unwrap(), Duration::from_millis(800))
}

#[test]
fn a_stall_on_the_worker_holds_everything() {
    assert!(answer_meanwhile("sync", STATUS).is_err());
}

#[test]
fn a_stall_elsewhere_does_not_hold_the_light_route() {
    for way in ["tokio_fs", "spawn_blocking", "batched"] {
        assert_eq!(answer_meanwhile(way, STATUS).unwrap().0, 200, "{way}");
    }
}

#[test]
fn writes_of_one_handle_or_one_writer_wait_for_a_stall() {
    for way in ["tokio_fs", "batched"] {
        assert!(answer_meanwhile(way, FRAME).is_err(), "{way}");
    }
}

#[test]
fn a_job_for_each_frame_does_not_wait_for_the_stall_of_another() {
    assert_eq!(answer_meanwhile("spawn_blocking", FRAME).unwrap().0, 200);
}
