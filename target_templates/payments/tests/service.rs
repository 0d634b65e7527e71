//! The contract between a target and the harness, on the real program: ports, probe, options, and a stop that ends.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

struct Service {
    child: Child,
    port: u16,
    admin: u16,
}

impl Service {
    fn start(options: &[(&str, &str)]) -> Self {
        let (port, admin) = free_ports();
        let child = Command::new(env!("CARGO_BIN_EXE_payments"))
            .env_clear()
            .env("PORT", port.to_string())
            .env("ADMIN_PORT", admin.to_string())
            .env("HARNESS_NONCE", "abc")
            .envs(options.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, port, admin }
    }

    fn ready(options: &[(&str, &str)]) -> Self {
        let service = Self::start(options);
        wait_for(|| get(service.admin, "/healthz").starts_with("HTTP/1.1 200"));
        service
    }

    fn terminate(&self) {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
    }

    fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_ports() -> (u16, u16) {
    let (one, two) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    (one.local_addr().unwrap().port(), two.local_addr().unwrap().port())
}

fn wait_for(condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "nothing came within 10 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn send(port: u16, request: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

fn get(port: u16, path: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = send(port, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")) {
        let _ = stream.read_to_string(&mut answer);
    }
    answer
}

fn pay(port: u16) -> TcpStream {
    let body = r#"{"amount":1}"#;
    let head = "POST /payments HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json";
    send(port, &format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())).unwrap()
}

#[test]
fn the_probe_tells_what_is_in_force() {
    let service = Service::ready(&[("OPT_FRAUD_CHECK", "spawn_blocking")]);

    let answer = get(service.admin, "/runtime");

    assert!(answer.contains(r#""flavor":"multi_thread""#), "{answer}");
    assert!(answer.contains(r#""options":{"fraud_check":"spawn_blocking"}"#), "{answer}");
    assert!(answer.contains(r#""nonce":"abc""#), "{answer}");
}

#[test]
fn the_server_counts_each_request_once() {
    let service = Service::ready(&[]);
    for _ in 0..3 {
        let _ = pay(service.port).read_to_string(&mut String::new());
    }

    let metrics = get(service.admin, "/metrics");

    assert!(metrics.contains("\nhttp_requests_total 3\n"), "{metrics}");
    assert!(metrics.contains("tokio_worker_busy_seconds_total{worker=\"0\"}"), "{metrics}");
}

#[test]
fn the_probe_answers_while_every_worker_is_stuck() {
    let service = Service::ready(&[("OPT_CHECK_MS", "1000")]);
    let workers = std::thread::available_parallelism().unwrap().get();
    let _stuck: Vec<TcpStream> = (0..=workers).map(|_| pay(service.port)).collect();
    wait_for(|| get(service.admin, "/metrics").contains("http_requests_total"));

    let begun = Instant::now();
    let health = get(service.admin, "/healthz");

    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
}

#[test]
fn sigterm_ends_the_service() {
    let mut service = Service::ready(&[]);

    service.terminate();

    assert!(service.ended_within(Duration::from_secs(1)).is_some());
}

#[test]
fn sigterm_ends_a_stuck_service_within_its_limit() {
    let mut service = Service::ready(&[("OPT_CHECK_MS", "1000")]);
    let _stuck: Vec<TcpStream> = (0..40).map(|_| pay(service.port)).collect();

    service.terminate();

    assert!(service.ended_within(Duration::from_secs(4)).is_some());
}

#[test]
fn a_bad_option_is_a_usage_error_in_words() {
    let mut service = Service::start(&[("OPT_FRAUD_CHECK", "sometimes")]);

    let status = service.ended_within(Duration::from_secs(5)).unwrap();
    let mut words = String::new();
    service.child.stderr.take().unwrap().read_to_string(&mut words).unwrap();

    assert_eq!(status.code(), Some(64));
    assert_eq!(words, "OPT_FRAUD_CHECK=\"sometimes\": must be inline or spawn_blocking\n");
}

#[test]
fn a_port_that_is_held_is_named() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let mut service = Service::start(&[("PORT", &port)]);

    service.ended_within(Duration::from_secs(5)).unwrap();
    let mut words = String::new();
    service.child.stderr.take().unwrap().read_to_string(&mut words).unwrap();

    assert!(words.starts_with(&format!("127.0.0.1:{port} (PORT)")), "{words}");
}
