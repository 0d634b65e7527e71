//! Where the fraud check runs decides what else the service can do meanwhile: the fault and the remedy.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::io;
use std::time::Duration;

use contract::{Process, answer, send, wait_until};

/// Makes a check wait a second on a service with one worker, and asks it meanwhile for something that needs no check.
fn answer_meanwhile(place: &str) -> io::Result<(u16, String)> {
    let variables = [
        ("TOKIO_WORKER_THREADS", "1"),
        ("OPT_FRAUD_CHECK", place),
        ("OPT_CHECK_MS", "1000"),
        ("OPT_CHECK_CPU_MS", "0"),
    ];
    let process = Process::ready(env!("CARGO_BIN_EXE_payments"), &variables);
    let body = r#"{"amount":1}"#;
    let head = "POST /payments HTTP/1.1\r\nhost: app\r\ncontent-type: application/json";
    let _paying = send(process.port, &format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())).unwrap();
    wait_until("the payment arrived", || process.metric("http_requests_total") >= 1.0);

    let question = "GET /payments/9 HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n";
    answer(send(process.port, question).unwrap(), Duration::from_millis(400))
}

#[test]
fn an_inline_check_holds_everything_else() {
    assert!(answer_meanwhile("inline").is_err());
}

#[test]
fn a_check_on_the_blocking_pool_holds_nothing_else() {
    assert_eq!(answer_meanwhile("spawn_blocking").unwrap().0, 404);
}
