//! Splits what a client sent into whole requests; no more of HTTP than the reference server needs.

/// One whole request at the front of what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Length of its head and body.
    pub length: usize,
    /// Whether the answer must have no body.
    pub is_head: bool,
    /// Whether the client wants the connection closed after the answer.
    pub closes: bool,
}

/// Return the first request of `data` if all of its head and body is there.
#[must_use]
pub fn first(data: &[u8]) -> Option<Request> {
    let (mut body, mut closes) = (0, false);
    let mut at = 0;
    loop {
        let end = at + data[at..].iter().position(|&byte| byte == b'\n')?;
        let line = data[at..end].trim_ascii_end();
        at = end + 1;
        if line.is_empty() {
            break;
        }
        if let Some(value) = value(line, b"content-length:") {
            body = str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0);
        } else if let Some(value) = value(line, b"connection:") {
            closes = value.eq_ignore_ascii_case(b"close");
        }
    }
    let length = at.checked_add(body)?;
    (data.len() >= length).then(|| Request { length, is_head: data.starts_with(b"HEAD "), closes })
}

fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_with_the_last_byte_of_its_body() {
        let bytes = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET";

        for end in 0..41 {
            assert_eq!(first(&bytes[..end]).is_some(), end >= 41, "{end}");
        }
        assert_eq!(first(bytes), Some(Request { length: 41, is_head: false, closes: false }));
    }

    #[test]
    fn head_and_close_are_noticed() {
        let request = first(b"HEAD / HTTP/1.1\r\nhost: x\r\nConnection: Close\r\n\r\n").unwrap();

        assert!(request.is_head && request.closes);
    }
}
