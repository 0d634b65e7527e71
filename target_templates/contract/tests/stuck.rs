//! A service whose every worker is held for ever can still be watched, and still ends.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use contract::{Process, answer, send, wait_until};

const FLAVORS: [&str; 2] = ["multi_thread", "current_thread"];
const REQUEST: &str = "GET / HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n";

/// A service with a request on its only worker.
struct Stuck {
    process: Process,
    _open: TcpStream,
}

impl Stuck {
    fn new(flavor: &str) -> Self {
        let process = Process::ready(env!("CARGO_BIN_EXE_stuck"), &[("OPT_FLAVOR", flavor)]);
        let open = send(process.port, REQUEST).unwrap();
        wait_until("the worker holds the request", || process.metric("http_requests_total") >= 1.0);
        Self { process, _open: open }
    }
}

#[test]
fn the_probe_answers_while_the_service_does_not() {
    for flavor in FLAVORS {
        let Stuck { process, _open } = Stuck::new(flavor);

        let begun = Instant::now();
        let asked = ["/healthz", "/runtime", "/metrics"].map(|path| process.probe(path).unwrap().0);
        let took = begun.elapsed();
        let service = answer(send(process.port, REQUEST).unwrap(), Duration::from_millis(200));

        assert_eq!(asked, [200, 200, 200]);
        assert!(took < Duration::from_millis(500), "{took:?}");
        assert!(service.is_err(), "{flavor} was not stuck at all: {service:?}");
    }
}

#[test]
fn sigterm_ends_it_at_the_limit() {
    for flavor in FLAVORS {
        let mut stuck = Stuck::new(flavor);

        let begun = Instant::now();
        stuck.process.terminate();
        let (code, words) = stuck.process.last_words();
        let took = begun.elapsed();

        assert_eq!(code, Some(0));
        assert_eq!(words, "answers were still in progress 2 s after the stop: ended all the same\n");
        assert!((Duration::from_millis(1900)..Duration::from_millis(3500)).contains(&took), "{took:?}");
    }
}

#[test]
fn connections_wait_to_be_accepted_as_far_as_the_kernel_allows() {
    let Stuck { process, _open } = Stuck::new("current_thread");
    let allowed: usize = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, process.port));

    // Half a second is less than the kernel's first retry, after which a refused connection would come in as well.
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(500));
    let waiting: Result<Vec<TcpStream>, _> = (0..allowed.min(300)).map(connect).collect();

    assert!(waiting.is_ok(), "{waiting:?}");
}
