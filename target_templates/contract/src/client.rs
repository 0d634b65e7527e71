//! A client of a target's sockets for messages (RFC 6455): it opens one, and writes and reads short frames.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::process::{Process, send};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest payload whose length stands in the second byte of its frame (RFC 6455, 5.2).
const LONGEST: usize = 125;

/// A client; its frames are masked by zeros, which leaves them as they are.
#[derive(Debug)]
pub struct Client(TcpStream);

impl Client {
    /// The kind of a frame of text.
    pub const TEXT: u8 = 1;
    /// The kind of the frame that ends a connection.
    pub const CLOSE: u8 = 8;
    /// The kind of a ping.
    pub const PING: u8 = 9;

    /// Opens the WebSocket `path` of a target.
    ///
    /// # Errors
    /// When it is refused, or another answer than 101 comes.
    pub fn open(process: &Process, path: &str) -> io::Result<Self> {
        let head = format!("GET {path} HTTP/1.1\r\nhost: app\r\nconnection: upgrade\r\nupgrade: websocket");
        let key = "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==";
        let mut stream = send(process.port, &format!("{head}\r\n{key}\r\n\r\n"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            answer.push(byte[0]);
        }
        if answer.starts_with(b"HTTP/1.1 101 ") { Ok(Self(stream)) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Writes one frame of at most 125 bytes.
    ///
    /// # Panics
    /// When the text is longer, or the connection has ended.
    pub fn write(&mut self, kind: u8, text: &str) {
        assert!(text.len() <= LONGEST);
        let length = u8::try_from(text.len()).unwrap();
        let frame = [&[0x80 | kind, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat();
        self.0.write_all(&frame).unwrap();
    }

    /// The next frame, its kind and its text.
    ///
    /// # Errors
    /// When the service has ended the connection, or says nothing for 10 seconds.
    pub fn read(&mut self) -> io::Result<(u8, String)> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head)?;
        let mut text = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut text)?;
        // The code of a close is no text.
        Ok((head[0] & 0x0f, String::from_utf8_lossy(&text).into_owned()))
    }
}
