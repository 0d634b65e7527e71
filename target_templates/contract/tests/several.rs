//! Several runtimes of one thread each serve one port together, are watched as one service, and end together.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use contract::{Process, answer, send, wait_until};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_several");
const REQUEST: &str = "GET / HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n";
const CONNECTIONS: u32 = 200;

/// The threads that answered `CONNECTIONS` connections, one request each.
fn threads_that_answered(process: &Process) -> BTreeSet<String> {
    let ask = |_| answer(send(process.port, REQUEST).unwrap(), Duration::from_secs(10)).unwrap();
    let answers = (0..CONNECTIONS).map(ask).inspect(|(status, _)| assert_eq!(*status, 200));
    answers.map(|(_, thread)| thread).collect()
}

#[test]
fn every_connection_is_answered_and_every_runtime_has_its_share() {
    let process = Process::ready(BINARY, &[]);

    assert_eq!(threads_that_answered(&process).len(), 3);
    for counted in ["http_requests_total", "http_connections_total"] {
        let count = process.metric(counted);
        assert!((count - f64::from(CONNECTIONS)).abs() < f64::EPSILON, "{counted} {count}");
    }
}

#[test]
fn they_are_told_as_one_flavor_with_a_worker_and_a_thread_each() {
    let process = Process::ready(BINARY, &[]);

    let told: Value = serde_json::from_str(&process.probe("/runtime").unwrap().1).unwrap();

    assert_eq!((told["flavor"].as_str(), told["workers"].as_u64()), (Some("thread_per_core"), Some(3)));
    assert_eq!(told["threads"].as_u64(), Some(4), "three that drive a runtime, and the probe's: {told}");
}

#[test]
fn the_metrics_of_all_are_summed_and_their_workers_counted_through() {
    let process = Process::ready(BINARY, &[]);
    let _ = threads_that_answered(&process);

    let (_, text) = process.probe("/metrics").unwrap();
    let busy = |worker: u32| {
        let name = format!("tokio_worker_busy_seconds_total{{worker=\"{worker}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse::<f64>().unwrap()
    };

    assert!((0..3).all(|worker| busy(worker) > 0.0), "{text}");
    assert!((process.metric("tokio_workers") - 3.0).abs() < f64::EPSILON);
}

#[test]
fn sigterm_ends_all_of_them_although_clients_stay_connected() {
    let mut process = Process::ready(BINARY, &[]);
    let kept: Vec<_> = (0..20).map(|_| send(process.port, "GET / HTTP/1.1\r\nhost: app\r\n\r\n").unwrap()).collect();
    wait_until("the requests arrived", || process.metric("http_requests_total") >= 20.0);

    process.terminate();
    let (status, took) = process.ended();

    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_millis(1500), "{took:?}");
    drop(kept);
}

#[test]
fn a_port_that_somebody_else_holds_is_not_shared_with_them() {
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = holder.local_addr().unwrap().port().to_string();

    let (code, words) = Process::start(BINARY, &[("PORT", &port)]).last_words();

    assert_eq!(code, Some(1));
    assert!(words.starts_with(&format!("cannot listen on 127.0.0.1:{port}: ")), "{words}");
}
