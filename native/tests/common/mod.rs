//! What the tests of the engine share: jobs, servers of known behaviour, and the samples that come of them.

#![allow(dead_code, reason = "each file of tests uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::collections::HashMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

pub const MS: i64 = 1_000_000;
pub const COMPLETED: i8 = 0;
pub const FAILED: i8 = 1;
pub const TIMED_OUT: i8 = 2;
pub const DROPPED: i8 = 3;
pub const UNFINISHED: i8 = 4;
pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
pub const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// A folder that goes with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("harness-native-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A job to be changed by a test; times in milliseconds.
pub struct Job {
    pub port: u16,
    pub closed: bool,
    pub connections: usize,
    pub threads: usize,
    pub keep_alive: bool,
    pub queue_limit: usize,
    pub timeout: i64,
    pub warmup: i64,
    pub measure: i64,
    pub drain: i64,
    pub connect_limit: i64,
    pub rate: i64,
    pub kinds: Vec<(u16, bool, Vec<u8>)>,
    pub contains: Option<&'static str>,
    pub think: Option<i64>,
    pub more: &'static str,
}

impl Job {
    pub fn to(port: u16) -> Self {
        Self {
            port,
            closed: false,
            connections: 16,
            threads: 1,
            keep_alive: true,
            queue_limit: 10_000,
            timeout: 500,
            warmup: 100,
            measure: 500,
            drain: 500,
            connect_limit: 5000,
            rate: 400,
            kinds: vec![(200, false, GET.to_vec())],
            contains: None,
            think: None,
            more: "",
        }
    }

    /// Requests that the job offers in its measured stretch, if it is open.
    pub fn offered(&self) -> usize {
        usize::try_from(self.rate * self.measure / 1000).unwrap()
    }

    pub fn write(&self, folder: &Folder) -> PathBuf {
        let payloads: Vec<u8> = self.kinds.iter().flat_map(|kind| kind.2.clone()).collect();
        fs::write(folder.file("payloads"), payloads).unwrap();
        let (requests, schedule) = self.schedule();
        fs::write(folder.file("schedule"), schedule).unwrap();
        let mut text = format!("port {}\nconnections {}\nthreads {}\n", self.port, self.connections, self.threads);
        writeln!(text, "model {}", if self.closed { "closed" } else { "open" }).unwrap();
        writeln!(text, "keep_alive {}\nqueue_limit {}", u8::from(self.keep_alive), self.queue_limit).unwrap();
        for (key, value) in [
            ("timeout", self.timeout),
            ("warmup", self.warmup),
            ("measure", self.measure),
            ("drain", self.drain),
            ("connect_limit", self.connect_limit),
        ] {
            writeln!(text, "{key}_ns {}", value * MS).unwrap();
        }
        for (status, bodiless, payload) in &self.kinds {
            writeln!(text, "kind {status} {} {}", u8::from(*bodiless), payload.len()).unwrap();
        }
        if let Some(hex) = self.contains {
            writeln!(text, "contains 0 {hex}").unwrap();
        }
        writeln!(text, "requests {requests}\nthink {}", u8::from(self.think.is_some())).unwrap();
        for name in ["payloads", "schedule", "samples"] {
            writeln!(text, "{name} {}", folder.file(name).display()).unwrap();
        }
        text.push_str(self.more);
        let file = folder.file("job");
        fs::write(&file, text).unwrap();
        file
    }

    fn schedule(&self) -> (usize, Vec<u8>) {
        let kinds = i16::try_from(self.kinds.len()).unwrap();
        if self.closed {
            let turns = self.connections * 4;
            let mut bytes: Vec<u8> = (0..turns).flat_map(|_| 0_i16.to_le_bytes()).collect();
            let thinks = (0..turns).filter_map(|_| self.think).flat_map(|think| (think * MS).to_le_bytes());
            bytes.extend(thinks);
            return (4, bytes);
        }
        let count = usize::try_from(self.rate * (self.warmup + self.measure) / 1000).unwrap();
        let step = 1000 * MS / self.rate;
        let mut bytes: Vec<u8> = (0..).take(count).flat_map(|k: i64| (k * step).to_le_bytes()).collect();
        bytes.extend((0..kinds).cycle().take(count).flat_map(i16::to_le_bytes));
        (count, bytes)
    }

    /// Carry it out and check what holds for every window.
    pub fn drive(&self) -> Driven {
        let folder = Folder::new();
        let output = drive(&self.write(&folder));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        let lines: Vec<&str> = text.lines().collect();
        let [started, driven] = lines.as_slice() else { panic!("{text}") };
        let times: Vec<i64> =
            started.strip_prefix("started ").unwrap().split(' ').map(|word| word.parse().unwrap()).collect();
        let said = driven.strip_prefix("driven ").unwrap().split(' ');
        let said: HashMap<String, i64> =
            said.map(|pair| pair.split_once('=').unwrap()).map(|(k, v)| (k.to_owned(), v.parse().unwrap())).collect();
        let samples = samples(&fs::read(folder.file("samples")).unwrap());

        assert_eq!(said["rows"], i64::try_from(samples.len()).unwrap());
        assert_eq!(said["offered"], said["rows"]);
        assert!(samples.is_sorted_by_key(|sample| sample.intended));
        for sample in &samples {
            assert!((times[1]..times[2]).contains(&sample.intended));
            assert!((COMPLETED..=UNFINISHED).contains(&sample.outcome));
            assert_eq!(sample.sent > 0, sample.connection >= 0, "{sample:?}");
            assert!(
                sample.done == 0 || (sample.done >= sample.sent && sample.done - sample.intended <= self.timeout * MS)
            );
            assert!(sample.outcome != COMPLETED || sample.done > 0);
        }
        Driven { said, samples }
    }
}

pub fn drive(job: &PathBuf) -> Output {
    Command::new(env!("CARGO_BIN_EXE_drive")).arg(job).output().unwrap()
}

/// What came of a window.
pub struct Driven {
    said: HashMap<String, i64>,
    pub samples: Vec<Sample>,
}

impl Driven {
    pub fn said(&self, name: &str) -> i64 {
        self.said[name]
    }

    pub fn count(&self, outcome: i8) -> usize {
        self.samples.iter().filter(|sample| sample.outcome == outcome).count()
    }

    pub fn all(&self, outcome: i8) -> bool {
        !self.samples.is_empty() && self.count(outcome) == self.samples.len()
    }

    /// A quantile of the latency of completed requests from the intended time, in milliseconds.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        let completed = self.samples.iter().filter(|sample| sample.outcome == COMPLETED);
        let mut latencies: Vec<i64> = completed.map(|sample| sample.done - sample.intended).collect();
        latencies.sort_unstable();
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small"
        )]
        let at = (latencies.len() as f64 * quantile) as usize;
        #[allow(clippy::cast_precision_loss, reason = "below a minute")]
        let ms = latencies[at.min(latencies.len() - 1)] as f64 / 1e6;
        ms
    }
}

#[derive(Clone, Debug)]
pub struct Sample {
    pub intended: i64,
    pub woken: i64,
    pub sent: i64,
    pub done: i64,
    pub outcome: i8,
    pub status: i16,
    pub bytes: i32,
    pub kind: i16,
    pub connection: i32,
}

fn samples(bytes: &[u8]) -> Vec<Sample> {
    const ROW: usize = 4 * 8 + 1 + 2 + 4 + 2 + 4;
    assert_eq!(bytes.len() % ROW, 0);
    let rows = bytes.len() / ROW;
    let mut at = 0;
    let mut column = |width: usize| {
        let values: Vec<i64> = bytes[at..at + rows * width].chunks(width).map(number).collect();
        at += rows * width;
        values
    };
    let columns: Vec<Vec<i64>> = [8, 8, 8, 8, 1, 2, 4, 2, 4].into_iter().map(&mut column).collect();
    (0..rows)
        .map(|row| Sample {
            intended: columns[0][row],
            woken: columns[1][row],
            sent: columns[2][row],
            done: columns[3][row],
            outcome: columns[4][row].try_into().unwrap(),
            status: columns[5][row].try_into().unwrap(),
            bytes: columns[6][row].try_into().unwrap(),
            kind: columns[7][row].try_into().unwrap(),
            connection: columns[8][row].try_into().unwrap(),
        })
        .collect()
}

fn number(bytes: &[u8]) -> i64 {
    let fill = if bytes[bytes.len() - 1] >= 0x80 { 0xff } else { 0 };
    let mut word = [fill; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(word)
}

/// The reference server.
pub struct NullServer {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
    pub port: u16,
}

impl NullServer {
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_null_server"));
        let mut process = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let port = line(&mut output);
        Self { process, output, port: port.try_into().unwrap() }
    }

    /// End it and return how many requests it answered.
    pub fn answered(mut self) -> i64 {
        drop(self.process.stdin.take());
        let answered = line(&mut self.output);
        self.process.wait().unwrap();
        answered
    }
}

impl Drop for NullServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn line(output: &mut impl BufRead) -> i64 {
    let mut text = String::new();
    output.read_line(&mut text).unwrap();
    text.trim().parse().unwrap()
}

/// A server that a test makes up: `answer` is called with the number of the request over all connections, from 1 on,
/// and the connection; false closes it. Requests must have no body.
pub struct MadeUp {
    pub port: u16,
    count: Arc<AtomicU64>,
}

impl MadeUp {
    pub fn start(answer: impl Fn(u64, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let count = Arc::new(AtomicU64::new(0));
        let (counter, answer) = (Arc::clone(&count), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (counter, answer) = (Arc::clone(&counter), Arc::clone(&answer));
                thread::spawn(move || serve(stream.unwrap(), &counter, &*answer));
            }
        });
        Self { port, count }
    }

    /// Requests that came.
    pub fn count(&self) -> i64 {
        self.count.load(Ordering::SeqCst).try_into().unwrap()
    }
}

fn serve(mut stream: TcpStream, counter: &AtomicU64, answer: &dyn Fn(u64, &mut TcpStream) -> bool) {
    stream.set_nodelay(true).unwrap();
    let (mut data, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        data.extend_from_slice(&buffer[..count]);
        while let Some(end) = data.windows(4).position(|part| part == b"\r\n\r\n") {
            data.drain(..end + 4);
            if !answer(counter.fetch_add(1, Ordering::SeqCst) + 1, &mut stream) {
                return;
            }
        }
    }
}

/// Write all; whether that still went is not the server's concern.
pub fn put(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}
