//! A target as a process of its own: started with an environment, asked over HTTP, ended.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running target; it is killed when the test is over.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Port of the service.
    pub port: u16,
    /// Port of the probe.
    pub admin: u16,
}

impl Process {
    /// Starts `binary` on two free ports with nothing else in its environment than a port at which no upstream listens
    /// and `variables`, which may override.
    #[must_use]
    pub fn start(binary: &str, variables: &[(&str, &str)]) -> Self {
        let [port, admin, upstream] = free_ports();
        let child = Command::new(binary)
            .env_clear()
            .env("PORT", port.to_string())
            .env("ADMIN_PORT", admin.to_string())
            .env("UPSTREAM_PORT", upstream.to_string())
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, port, admin }
    }

    /// The same, once `/healthz` is 200.
    #[must_use]
    pub fn ready(binary: &str, variables: &[(&str, &str)]) -> Self {
        let process = Self::start(binary, variables);
        wait_until("/healthz is 200", || process.probe("/healthz").is_ok_and(|(status, _)| status == 200));
        process
    }

    /// What the operating system calls it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the probe for `path`; returns status and body.
    ///
    /// # Errors
    /// When nobody listens or no answer comes within a second.
    pub fn probe(&self, path: &str) -> io::Result<(u16, String)> {
        let head = format!("GET {path} HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n");
        answer(send(self.admin, &head)?, Duration::from_secs(1))
    }

    /// The value of a metric without labels.
    #[must_use]
    pub fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.probe("/metrics").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
        line.parse().unwrap()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        assert!(Command::new("kill").arg(self.pid().to_string()).status().unwrap().success());
    }

    /// Waits for the end; returns the exit status and how long it took.
    #[must_use]
    pub fn ended(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        let mut status = None;
        wait_until("the process ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        (status.unwrap(), begun.elapsed())
    }

    /// Waits for the end; returns the exit code and what it wrote to standard error.
    #[must_use]
    pub fn last_words(&mut self) -> (Option<i32>, String) {
        let (status, _) = self.ended();
        let mut words = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        (status.code(), words)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens a connection to `127.0.0.1:port` and sends `request` as it stands.
///
/// # Errors
/// When the connection is refused or breaks.
pub fn send(port: u16, request: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

/// Reads the answer until the service closes the connection; returns status and body.
///
/// # Errors
/// When nothing comes within `limit`, or nothing that is HTTP.
pub fn answer(mut stream: TcpStream, limit: Duration) -> io::Result<(u16, String)> {
    stream.set_read_timeout(Some(limit))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok((status, body.to_owned()))
}

/// Waits until `condition` holds, and fails the test when it never does.
///
/// # Panics
/// After 20 seconds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{PATIENCE:?} over: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ports of this host that nobody holds, below the range that the kernel gives to outgoing connections: there
/// another test's connection could take one before the target does.
fn free_ports() -> [u16; 3] {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 8_000).unwrap();
    let mut free = std::iter::repeat_with(|| 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000)
        .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    std::array::from_fn(|_| free.next().unwrap())
}
