//! One HTTP/1.1 connection in an epoll set: sends prepared bytes, reads whole answers, says when it broke.
//!
//! It never retries a request and never follows a redirect. What becomes of a request is decided in [`crate::lane`].

use std::net::{Ipv4Addr, SocketAddrV4};

use rustix::event::epoll;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::{self, Errno};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with, sockopt,
};

use crate::answer::Answer;
use crate::clock::now_ns;

/// Wait before a connection that broke without one answer is opened again; doubles up to [`LONGEST_WAIT_NS`]. A dead
/// target must not cause a storm that would keep the generator's own core busy.
pub const FIRST_WAIT_NS: i64 = 10_000_000;

/// The longest wait before a connection is opened again.
pub const LONGEST_WAIT_NS: i64 = 320_000_000;

/// What a connection can do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing: it is closed, or waits to be opened again.
    Away,
    /// Nothing yet: it is being opened.
    Connecting,
    /// Take a request, unless one is in flight.
    Ready,
}

/// What came of looking for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing at all.
    Nothing,
    /// Some of an answer.
    Part {
        /// Whether the buffer was full.
        full: bool,
    },
    /// The rest of an answer.
    Answer {
        /// Time immediately after the read that completed it.
        at_ns: i64,
        /// Whether the buffer was full.
        full: bool,
    },
    /// The connection broke, or spoke out of turn.
    Broken,
}

/// A connection, or a slot for one connection a request.
#[derive(Debug)]
pub struct Connection {
    /// What it can do now.
    pub state: State,
    /// Index of the request in flight.
    pub request: Option<usize>,
    /// When its last request came to its end, whatever that was; 0 before the first.
    pub ended_ns: i64,
    /// The one time that this connection waits for (opening again, or thinking); None when it waits for none.
    pub timer_ns: Option<i64>,
    /// How often it was opened and not refused, the time that may still be going on included: over loopback the kernel
    /// hands a connection to the server before the client looks.
    pub opened: u64,
    /// How often it ended without the target having announced it.
    pub broke: u64,
    /// Bytes of the request in flight that are written so far.
    pub written: usize,
    /// The answer in flight.
    pub answer: Answer,
    socket: Option<OwnedFd>,
    generation: u32, // tells a late event of an earlier socket from one of this
    wait_ns: i64,
    is_refused: bool,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            state: State::Away,
            request: None,
            ended_ns: 0,
            timer_ns: None,
            opened: 0,
            broke: 0,
            written: 0,
            answer: Answer::default(),
            socket: None,
            generation: 0,
            wait_ns: FIRST_WAIT_NS,
            is_refused: false,
        }
    }
}

impl Connection {
    /// Whether an event with this generation is about the socket that is open now.
    #[must_use]
    pub fn is_current(&self, generation: u32) -> bool {
        self.socket.is_some() && self.generation == generation
    }

    /// Whether it has a socket that came up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.socket.is_some() && self.state == State::Ready
    }

    /// Begin to open it to 127.0.0.1:`port`; an event with `index` follows when it is up or refused.
    ///
    /// # Errors
    /// What is the machine's fault: no descriptor, no memory, no local port left.
    pub fn open(&mut self, epoll: BorrowedFd<'_>, index: u32, port: u16) -> io::Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)) {
            Ok(()) | Err(Errno::INPROGRESS) => {
                self.is_refused = false; // an event tells what comes of it
                self.opened += 1;
            }
            Err(Errno::CONNREFUSED) => self.is_refused = true, // an event follows here too
            Err(error) => return Err(error),
        }
        self.generation = self.generation.wrapping_add(1);
        let data = epoll::EventData::new_u64(token(index, self.generation));
        let events = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(epoll, &socket, data, events)?;
        self.socket = Some(socket);
        self.state = State::Connecting;
        Ok(())
    }

    /// Take an event about a socket that is being opened; true when it is up now.
    pub fn came_up(&mut self) -> bool {
        let has_no_error = |socket: &OwnedFd| matches!(sockopt::socket_error(socket), Ok(Ok(())));
        let is_up = !self.is_refused && self.socket.as_ref().is_some_and(has_no_error);
        if is_up {
            self.state = State::Ready;
        } else if !self.is_refused {
            self.opened -= 1;
        }
        is_up
    }

    /// Close it, if it is open. Its events end with it.
    pub fn release(&mut self) {
        self.socket = None;
        self.state = State::Away;
        self.written = 0;
    }

    /// Note that an answer came: whatever happens next, the target lives.
    pub fn forget_wait(&mut self) {
        self.wait_ns = 0;
    }

    /// Return how long to wait before opening again: nothing after an answer, else twice as long as the last time.
    pub fn next_wait_ns(&mut self) -> i64 {
        let wait_ns = self.wait_ns;
        self.wait_ns = (2 * wait_ns).clamp(FIRST_WAIT_NS, LONGEST_WAIT_NS);
        wait_ns
    }

    /// Write what is left of `payload`, as far as the kernel takes it now; false when the connection broke.
    pub fn write(&mut self, payload: &[u8]) -> bool {
        let Some(socket) = &self.socket else { return false };
        while self.written < payload.len() {
            match send(socket, &payload[self.written..], SendFlags::NOSIGNAL) {
                Ok(count) => self.written += count,
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Read once into `buffer`, which all connections of a thread share.
    pub fn read(&mut self, buffer: &mut [u8]) -> Heard {
        let Some(socket) = &self.socket else { return Heard::Nothing };
        let count = match recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((_, count)) => count,
            Err(Errno::AGAIN) => return Heard::Nothing,
            Err(Errno::INTR) => return Heard::Part { full: true },
            Err(_) => return Heard::Broken,
        };
        let at_ns = now_ns(); // before parsing, which is our time and not the target's
        if self.request.is_none() {
            return Heard::Broken; // closed while idle, or bytes that nobody asked for
        }
        if count == 0 {
            return if self.answer.ended() { Heard::Answer { at_ns, full: false } } else { Heard::Broken };
        }
        let full = count == buffer.len();
        match self.answer.feed(&buffer[..count]) {
            Ok(true) => Heard::Answer { at_ns, full },
            Ok(false) => Heard::Part { full },
            Err(_) => Heard::Broken,
        }
    }
}

/// Pack a connection's index and generation into what epoll hands back.
#[must_use]
pub fn token(index: u32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(index)
}

/// The index and the generation of a token.
#[must_use]
pub fn parts(token: u64) -> (u32, u32) {
    let low = u32::try_from(token & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    let high = u32::try_from(token >> 32).unwrap_or(u32::MAX);
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_their_limit_and_an_answer_forgets_them() {
        let mut connection = Connection::default();

        let waits: Vec<i64> = (0..7).map(|_| connection.next_wait_ns() / 1_000_000).collect();
        connection.forget_wait();

        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 320]);
        assert_eq!((connection.next_wait_ns(), connection.next_wait_ns()), (0, FIRST_WAIT_NS));
    }

    #[test]
    fn a_token_holds_both_its_parts() {
        assert_eq!(parts(token(7, u32::MAX)), (7, u32::MAX));
    }
}
