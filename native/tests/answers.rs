//! Every way to end an answer, and what is none, on real sockets.

mod common;

use common::{COMPLETED, FAILED, Job, MadeUp, NullServer, OK, put};

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
const INTERIM: &[u8] = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const CLOSING: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
const UNTIL_END: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nan answer without a length";
const OLD: &[u8] = b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok";
const TWICE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n";

fn short(port: u16) -> Job {
    Job { rate: 200, measure: 200, warmup: 50, ..Job::to(port) }
}

#[test]
fn every_way_to_end_an_answer_is_understood() {
    for (answer, bytes, keeps) in
        [(CHUNKED, 7, true), (INTERIM, 2, true), (CLOSING, 2, false), (UNTIL_END, 26, false), (OLD, 2, false)]
    {
        let server = MadeUp::start(move |_, stream| put(stream, answer) && keeps);
        let driven = short(server.port).drive();

        assert!(driven.all(COMPLETED), "{:?}", driven.samples);
        assert!(driven.samples.iter().all(|sample| sample.bytes == bytes));
        assert_eq!(driven.said("reconnects"), 0);
        let again = if keeps { 0 } else { driven.said("answered_total") };
        assert_eq!(driven.said("connects"), 16 + again);
        assert_eq!(server.count(), driven.said("sent_total"));
    }
}

#[test]
fn an_answer_too_many_is_never_taken_for_the_next_one() {
    let server = MadeUp::start(|_, stream| put(stream, TWICE));
    let driven = short(server.port).drive();

    assert!(driven.all(COMPLETED));
    assert!(driven.samples.iter().all(|sample| sample.status == 200));
    assert_eq!(driven.said("connects"), 16 + driven.said("answered_total"));
}

#[test]
fn an_answer_in_pieces_is_done_with_its_last_byte() {
    let server = MadeUp::start(|_, stream| {
        CHUNKED.chunks(9).all(|piece| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            put(stream, piece)
        })
    });
    let driven = short(server.port).drive();
    let pieces = u32::try_from(CHUNKED.chunks(9).count()).unwrap();

    assert!(driven.all(COMPLETED));
    assert!(driven.latency_ms(0.0) >= f64::from(pieces));
}

#[test]
fn what_is_no_answer_is_a_failure_at_once() {
    for answer in [&b"SMTP ready\r\n"[..], b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"] {
        let server = MadeUp::start(move |_, stream| put(stream, answer));
        let driven = short(server.port).drive();

        assert!(driven.all(FAILED));
        assert!(driven.samples.iter().all(|sample| (sample.status, sample.done) == (0, 0)));
        assert_eq!(driven.said("answered_total"), 0);
    }
}

#[test]
fn an_answer_that_is_cut_off_is_a_failure() {
    let server = MadeUp::start(|_, stream| {
        put(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok");
        false
    });
    let driven = short(server.port).drive();

    assert!(driven.all(FAILED));
    assert_eq!(driven.said("reconnects"), driven.said("sent_total"));
}

#[test]
fn another_status_is_a_failure_that_keeps_it() {
    let server = MadeUp::start(|_, stream| put(stream, b"HTTP/1.1 500 Oops\r\ncontent-length: 6\r\n\r\nbroken"));
    let driven = short(server.port).drive();

    assert!(driven.all(FAILED));
    assert!(driven.samples.iter().all(|sample| (sample.status, sample.bytes) == (500, 6) && sample.done > 0));
    assert_eq!((driven.said("reconnects"), driven.said("wrong_answers")), (0, 0));
}

#[test]
fn a_body_without_what_it_must_contain_is_a_failure_and_counted() {
    let server = MadeUp::start(|n, stream| {
        put(stream, if n % 2 == 0 { OK } else { b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno" })
    });
    let driven = Job { contains: Some("6f6b"), ..short(server.port) }.drive();

    assert_eq!((driven.count(COMPLETED), driven.count(FAILED)), (20, 20));
    assert_eq!(driven.said("wrong_answers") * 2, driven.said("answered_total"));
}

#[test]
fn a_large_body_is_read_to_its_last_byte() {
    let server = NullServer::start(&["--body-bytes", "1000000"]);
    let driven = Job { rate: 50, ..short(server.port) }.drive();

    assert!(driven.all(COMPLETED));
    assert!(driven.samples.iter().all(|sample| sample.bytes == 1_000_000));
    assert_eq!(driven.said("reconnects"), 0);
}
