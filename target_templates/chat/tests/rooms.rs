//! The chat over real WebSocket connections: who hears what, who is disconnected, and which tasks are left.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use contract::{Process, send};

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// A client; its frames are short, and masked by zeros, which leaves them as they are.
struct Client(TcpStream);

impl Client {
    fn enter(process: &Process, room: &str) -> Self {
        let head = format!("GET /rooms/{room} HTTP/1.1\r\nhost: app\r\nconnection: upgrade\r\nupgrade: websocket");
        let key = "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==";
        let mut stream = send(process.port, &format!("{head}\r\n{key}\r\n\r\n")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
        Self(stream)
    }

    fn write(&mut self, kind: u8, text: &str) {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 126);
        let frame = [&[0x80 | kind, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat();
        self.0.write_all(&frame).unwrap();
    }

    /// The next frame; an error where the service has ended the connection.
    fn read(&mut self) -> io::Result<(u8, String)> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head)?;
        let mut text = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut text)?;
        Ok((head[0] & 0x0f, String::from_utf8(text).unwrap()))
    }
}

#[test]
fn all_in_a_room_hear_a_message_the_speaker_among_them() {
    let process = Process::ready(env!("CARGO_BIN_EXE_chat"), &[]);
    let mut clients: Vec<Client> = Vec::new();

    // The handshake is over before the seat is taken; who hears himself has one.
    for number in 0..3 {
        let mut newest = Client::enter(&process, "kitchen");
        let said = format!("tea for {number}?");
        newest.write(TEXT, &said);
        clients.push(newest);
        for client in &mut clients {
            assert_eq!(client.read().unwrap(), (TEXT, said.clone()));
        }
    }
}

#[test]
fn a_client_that_answers_no_ping_is_disconnected() {
    let process = Process::ready(env!("CARGO_BIN_EXE_chat"), &[("OPT_HEARTBEAT_MS", "100")]);
    let mut client = Client::enter(&process, "kitchen");

    assert_eq!(client.read().unwrap().0, PING);
    assert!(client.read().is_err());
}

/// The tasks that a service keeps when its only client has gone after so many messages, beyond those of an idle one.
fn tasks_left(receipts: &str, messages: u32, at_the_end: &str) -> f64 {
    let process = Process::ready(env!("CARGO_BIN_EXE_chat"), &[("OPT_RECEIPTS", receipts)]);
    let tasks = || process.metric("tokio_alive_tasks");
    let idle = tasks();
    let mut client = Client::enter(&process, "kitchen");
    for number in 0..messages {
        client.write(TEXT, &number.to_string());
        assert_eq!(client.read().unwrap(), (TEXT, number.to_string()));
    }
    client.write(TEXT, at_the_end);
    client.write(CLOSE, "");
    assert!(wait_for_the_end(&mut client).is_err());

    // The connection's own task may still be on its last steps.
    std::thread::sleep(Duration::from_millis(300));
    tasks() - idle
}

fn wait_for_the_end(client: &mut Client) -> io::Result<()> {
    loop {
        client.read()?;
    }
}

#[test]
fn tasks_of_receipts_that_never_come_pile_up_or_end() {
    for (receipts, left) in [("leaking", 51.0), ("ended", 0.0)] {
        assert!((tasks_left(receipts, 50, "bye") - left).abs() < f64::EPSILON, "{receipts}");
    }
}

#[test]
fn a_receipt_ends_the_tasks_even_where_they_leak() {
    assert!(tasks_left("leaking", 50, "got").abs() < f64::EPSILON);
}
