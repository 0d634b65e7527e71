//! Where a job runs decides whether the light route waits for it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::io;
use std::time::Duration;

use contract::{Process, answer, send, wait_until};

/// Has a service with one worker run a job of two seconds, and asks it meanwhile for its status.
fn status_meanwhile(runtimes: &str) -> io::Result<(u16, String)> {
    let variables = [("TOKIO_WORKER_THREADS", "1"), ("OPT_RUNTIMES", runtimes), ("OPT_JOB_MS", "2000")];
    let mut process = Process::ready(env!("CARGO_BIN_EXE_pipeline"), &variables);
    let _running = send(process.port, "POST /jobs HTTP/1.1\r\nhost: app\r\ncontent-length: 0\r\n\r\n").unwrap();
    wait_until("the job arrived", || process.metric("http_requests_total") >= 1.0);

    let question = "GET /status HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n";
    let told = answer(send(process.port, question).unwrap(), Duration::from_millis(800));

    process.terminate();
    assert_eq!(process.ended().0.code(), Some(0), "a second runtime does not hinder the end");
    told
}

#[test]
fn a_job_on_the_runtime_that_answers_holds_the_light_route() {
    assert!(status_meanwhile("one").is_err());
}

#[test]
fn a_job_on_a_second_runtime_does_not() {
    for runtimes in ["two", "two_niced"] {
        assert_eq!(status_meanwhile(runtimes).unwrap().0, 200, "{runtimes}");
    }
}
