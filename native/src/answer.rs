//! Reads the answers that come on one connection, one after the other, to their last byte.
//!
//! Bodies are counted, not kept, except for the first bytes of one that must contain something. Nothing here decides
//! what an answer is worth.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Response, Status};

use crate::chunks::Chunks;

/// How much of a body is looked at for what it must contain, in bytes.
pub const EXCERPT_BYTES: usize = 65_536;

const HEAD_LIMIT: usize = 65_536; // a longer head is no answer that a load test can use
const HEADER_LIMIT: usize = 128;
const FIRST_FINAL: u16 = 200;
const SWITCHING_PROTOCOLS: u16 = 101;

/// The bytes are no HTTP/1 answer.
#[derive(Debug, PartialEq, Eq)]
pub struct NoAnswer;

#[derive(Debug)]
enum State {
    Head,
    Length(u64),
    Chunked(Chunks),
    UntilEnd { is_whole: bool }, // whether the end of the connection completes it
    Complete,
}

/// [`Answer::expect`], then [`Answer::feed`] what comes until it is true; then the fields are the answer's.
#[derive(Debug)]
pub struct Answer {
    /// Status of the final answer, 0 before its head is complete.
    pub status: u16,
    /// Bytes of the body so far, without the marks of chunks.
    pub size: u64,
    /// Whether the connection can be used again.
    pub keep: bool,
    /// The first bytes of the body, if they were asked for.
    pub excerpt: Vec<u8>,
    state: State,
    partial_head: Vec<u8>,
    bodiless: bool,
    wants_excerpt: bool,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: 0,
            size: 0,
            keep: true,
            excerpt: Vec::new(),
            state: State::Head,
            partial_head: Vec::new(),
            bodiless: false,
            wants_excerpt: false,
        }
    }
}

impl Answer {
    /// Expect the next answer. `bodiless` says that it has no body whatever its head says (HEAD); `wants_excerpt` keeps
    /// the first [`EXCERPT_BYTES`] of its body.
    pub fn expect(&mut self, bodiless: bool, wants_excerpt: bool) {
        self.status = 0;
        self.size = 0;
        self.keep = true;
        self.excerpt.clear();
        self.state = State::Head;
        self.partial_head.clear();
        self.bodiless = bodiless;
        self.wants_excerpt = wants_excerpt;
    }

    /// Take what came and return whether the answer is complete. What comes after it on the same connection was not
    /// asked for: the answer counts, but the connection is out of step and cannot be kept.
    ///
    /// # Errors
    /// [`NoAnswer`] when the bytes are none.
    pub fn feed(&mut self, mut data: &[u8]) -> Result<bool, NoAnswer> {
        while !data.is_empty() {
            let used = match &mut self.state {
                State::Head => self.read_head(data)?,
                State::Length(left) => {
                    let used = data.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= used as u64;
                    let is_last = *left == 0;
                    self.count(&data[..used]);
                    if is_last {
                        self.state = State::Complete;
                    }
                    used
                }
                State::Chunked(chunks) => {
                    let (used, body) = chunks.read(data)?;
                    let is_last = chunks.is_complete();
                    self.count(&data[body]);
                    if is_last {
                        self.state = State::Complete;
                    }
                    used
                }
                State::UntilEnd { .. } => {
                    self.count(data);
                    data.len()
                }
                State::Complete => {
                    self.keep = false;
                    break;
                }
            };
            data = &data[used..];
        }
        Ok(matches!(self.state, State::Complete))
    }

    /// Whether the end of the connection completes the answer: one that does not say where it ends, ends there.
    pub fn ended(&mut self) -> bool {
        self.keep = false;
        matches!(self.state, State::UntilEnd { is_whole: true })
    }

    fn count(&mut self, body: &[u8]) {
        self.size += body.len() as u64;
        if self.wants_excerpt && self.excerpt.len() < EXCERPT_BYTES {
            let room = EXCERPT_BYTES - self.excerpt.len();
            self.excerpt.extend_from_slice(&body[..body.len().min(room)]);
        }
    }

    /// Read as much of `data` as belongs to the head and return how much that was.
    fn read_head(&mut self, data: &[u8]) -> Result<usize, NoAnswer> {
        if self.partial_head.is_empty() {
            if let Some((length, head)) = parse(data)? {
                self.take_head(&head)?;
                return Ok(length);
            }
            self.partial_head.extend_from_slice(data);
            return Ok(data.len());
        }
        let before = self.partial_head.len();
        self.partial_head.extend_from_slice(data);
        if let Some((length, head)) = parse(&self.partial_head)? {
            self.take_head(&head)?;
            self.partial_head.clear();
            return Ok(length - before);
        }
        if self.partial_head.len() > HEAD_LIMIT { Err(NoAnswer) } else { Ok(data.len()) }
    }

    fn take_head(&mut self, head: &Head) -> Result<(), NoAnswer> {
        if head.status < FIRST_FINAL {
            // An interim answer: the real one follows, unless the target now speaks another protocol.
            return if head.status == SWITCHING_PROTOCOLS && head.upgrade { Err(NoAnswer) } else { Ok(()) };
        }
        self.status = head.status;
        self.keep = head.keep;
        self.state = if self.bodiless || matches!(head.status, 204 | 304) {
            State::Complete
        } else {
            match head.body {
                Body::Length(0) => State::Complete,
                Body::Length(length) => State::Length(length),
                Body::Chunked => State::Chunked(Chunks::default()),
                Body::Encoded => State::UntilEnd { is_whole: false },
                Body::Unsaid => State::UntilEnd { is_whole: true },
            }
        };
        Ok(())
    }
}

/// What the head of an answer says about its body and the connection.
#[derive(Debug, Default)]
struct Head {
    status: u16,
    keep: bool,
    upgrade: bool,
    body: Body,
}

/// Where the body ends, by the head alone. `Encoded`: in some way that nobody here can read.
#[derive(Debug, Default)]
enum Body {
    #[default]
    Unsaid,
    Length(u64),
    Chunked,
    Encoded,
}

/// Return the length of the head and what it says, or None when more of it has to come.
fn parse(data: &[u8]) -> Result<Option<(usize, Head)>, NoAnswer> {
    let mut headers = [const { MaybeUninit::<Header>::uninit() }; HEADER_LIMIT];
    let mut response = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, data, &mut headers);
    let Status::Complete(length) = parsed.map_err(|_| NoAnswer)? else { return Ok(None) };
    let mut head = Head { status: response.code.unwrap_or(0), ..Head::default() };
    let (mut says_close, mut says_keep, mut says_upgrade, mut has_upgrade) = (false, false, false, false);
    for header in &*response.headers {
        let (name, value) = (header.name, header.value);
        if name.eq_ignore_ascii_case("content-length") {
            if !matches!(head.body, Body::Unsaid) {
                return Err(NoAnswer); // two ways to say where the body ends
            }
            head.body = Body::Length(number(value)?);
        } else if name.eq_ignore_ascii_case("connection") {
            for token in tokens(value) {
                says_close |= token.eq_ignore_ascii_case(b"close");
                says_keep |= token.eq_ignore_ascii_case(b"keep-alive");
                says_upgrade |= token.eq_ignore_ascii_case(b"upgrade");
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if matches!(head.body, Body::Length(_)) {
                return Err(NoAnswer);
            }
            let is_chunked = tokens(value).last().is_some_and(|token| token.eq_ignore_ascii_case(b"chunked"));
            head.body = if is_chunked { Body::Chunked } else { Body::Encoded };
        } else if name.eq_ignore_ascii_case("upgrade") {
            has_upgrade = true;
        }
    }
    head.keep = !says_close && (response.version == Some(1) || says_keep);
    head.upgrade = says_upgrade && has_upgrade;
    Ok(Some((length, head)))
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

fn number(value: &[u8]) -> Result<u64, NoAnswer> {
    let digits = value.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NoAnswer);
    }
    std::str::from_utf8(digits).map_err(|_| NoAnswer)?.parse().map_err(|_| NoAnswer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], piece: usize) -> (Answer, Result<bool, NoAnswer>) {
        let mut answer = Answer::default();
        answer.expect(false, true);
        let mut last = Ok(false);
        for part in bytes.chunks(piece) {
            last = answer.feed(part);
            if last.is_err() {
                break;
            }
        }
        (answer, last)
    }

    #[test]
    fn an_answer_is_the_same_in_one_piece_and_byte_by_byte() {
        let bytes = b"HTTP/1.1 201 Made\r\nContent-Length: 5\r\nx: y\r\n\r\nhello";
        for piece in [1, 2, 3, 7, 1000] {
            let (answer, complete) = read(bytes, piece);

            assert_eq!(complete, Ok(true));
            assert_eq!((answer.status, answer.size, answer.keep), (201, 5, true));
            assert_eq!(answer.excerpt, b"hello");
        }
    }

    #[test]
    fn the_marks_of_chunks_are_not_part_of_the_body() {
        let bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\n\r\n3;x=y\r\nabc\r\n00A\r\n0123456789\r\n0\r\nt: u\r\n\r\n";
        for piece in [1, 2, 5, 1000] {
            let (answer, complete) = read(bytes, piece);

            assert_eq!(complete, Ok(true));
            assert_eq!((answer.size, answer.keep), (13, true));
            assert_eq!(answer.excerpt, b"abc0123456789");
        }
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        for piece in [1, 4, 1000] {
            let (answer, complete) = read(bytes, piece);

            assert_eq!(complete, Ok(true));
            assert_eq!((answer.status, answer.size), (200, 2));
        }
    }

    #[test]
    fn an_answer_without_a_length_ends_with_the_connection() {
        let (mut answer, complete) = read(b"HTTP/1.1 200 OK\r\n\r\nto the end", 4);

        assert_eq!(complete, Ok(false));
        assert!(answer.ended());
        assert_eq!((answer.size, answer.keep), (10, false));
    }

    #[test]
    fn the_end_of_the_connection_does_not_complete_what_says_where_it_ends() {
        for head in ["content-length: 9", "transfer-encoding: chunked", "transfer-encoding: gzip"] {
            let (mut answer, complete) = read(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n3\r\n").as_bytes(), 1000);

            assert_eq!(complete, Ok(false), "{head}");
            assert!(!answer.ended(), "{head}");
        }
    }

    #[test]
    fn an_answer_to_head_has_no_body_whatever_it_says() {
        let mut answer = Answer::default();
        answer.expect(true, false);

        assert_eq!(answer.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"), Ok(true));
        assert_eq!((answer.size, answer.keep), (0, true));
    }

    #[test]
    fn no_content_and_not_modified_have_no_body() {
        for status in [204, 304] {
            let (answer, complete) = read(format!("HTTP/1.1 {status} x\r\n\r\n").as_bytes(), 1000);

            assert_eq!(complete, Ok(true));
            assert!(answer.keep);
        }
    }

    #[test]
    fn what_comes_after_an_answer_puts_the_connection_out_of_step() {
        let (answer, complete) = read(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 Oops\r\n", 1000);

        assert_eq!(complete, Ok(true));
        assert_eq!((answer.status, answer.size, answer.keep), (200, 2, false));
    }

    #[test]
    fn the_connection_is_kept_by_version_and_header() {
        for (head, keep) in [
            ("HTTP/1.1 200 OK\r\n", true),
            ("HTTP/1.1 200 OK\r\nConnection: Close\r\n", false),
            ("HTTP/1.1 200 OK\r\nconnection: x, close\r\n", false),
            ("HTTP/1.0 200 OK\r\n", false),
            ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n", true),
        ] {
            let (answer, complete) = read(format!("{head}content-length: 0\r\n\r\n").as_bytes(), 1000);

            assert_eq!((complete, answer.keep), (Ok(true), keep), "{head}");
        }
    }

    #[test]
    fn what_is_no_answer_is_said_at_once() {
        for bytes in [
            "SMTP ready\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        ] {
            assert_eq!(read(bytes.as_bytes(), 1000).1, Err(NoAnswer), "{bytes}");
        }
    }

    #[test]
    fn a_head_without_end_is_no_answer() {
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD_LIMIT + 10));

        assert_eq!(read(endless.as_bytes(), 5000).1, Err(NoAnswer));
    }

    #[test]
    fn no_more_than_the_excerpt_is_kept() {
        let bytes = format!("HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n{}", "x".repeat(200_000));
        let (answer, complete) = read(bytes.as_bytes(), 30_000);

        assert_eq!((complete, answer.size), (Ok(true), 200_000));
        assert_eq!(answer.excerpt.len(), EXCERPT_BYTES);
    }
}
