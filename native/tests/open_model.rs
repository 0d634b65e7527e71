//! The open model on real sockets: nothing is retried, nothing is lost, nothing is sent late unseen.

#![allow(clippy::cast_possible_wrap, reason = "counts of a short test")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{COMPLETED, DROPPED, FAILED, Job, MS, MadeUp, NullServer, OK, TIMED_OUT, UNFINISHED, put};

#[test]
fn every_request_that_is_sent_is_counted_by_the_server_once() {
    let server = NullServer::start(&[]);
    let job = Job { rate: 4000, ..Job::to(server.port) };
    let driven = job.drive();

    assert!(driven.all(COMPLETED));
    assert_eq!(driven.samples.len(), job.offered());
    assert_eq!(driven.said("dispatched"), driven.said("offered"));
    assert_eq!((driven.said("connects"), driven.said("reconnects")), (16, 0));
    assert_eq!((driven.said("sent_total"), driven.said("answered_total")), (2400, 2400));
    assert_eq!(server.answered(), 2400);
}

#[test]
fn several_threads_make_one_window() {
    let server = NullServer::start(&[]);
    let job = Job { rate: 2000, threads: 3, connections: 10, ..Job::to(server.port) };
    let driven = job.drive();

    assert!(driven.all(COMPLETED));
    assert_eq!(driven.samples.len(), job.offered());
    assert_eq!((driven.said("sent_total"), driven.said("connects")), (1200, 10));
    assert!(driven.samples.iter().all(|sample| (0..10).contains(&sample.connection)));
    let step = 1000 * MS / job.rate;
    assert!(driven.samples.windows(2).all(|pair| pair[1].intended - pair[0].intended == step));
    assert_eq!(server.answered(), 1200);
}

#[test]
fn more_threads_than_connections_leave_no_request_without_one() {
    let server = NullServer::start(&[]);

    assert!(Job { threads: 4, connections: 2, ..Job::to(server.port) }.drive().all(COMPLETED));
}

#[test]
fn a_known_delay_is_measured_to_within_a_small_floor() {
    let server = NullServer::start(&["--delay-us", "5000"]);
    let driven = Job { rate: 200, ..Job::to(server.port) }.drive();

    assert!(driven.all(COMPLETED));
    assert!((5.0..6.5).contains(&driven.latency_ms(0.5)), "{}", driven.latency_ms(0.5));
    assert!(driven.samples.iter().all(|sample| sample.done - sample.sent >= 5 * MS));
}

#[test]
fn a_due_request_takes_the_connection_that_is_idle_longest() {
    let server = NullServer::start(&[]);
    let driven = Job { rate: 100, connections: 5, ..Job::to(server.port) }.drive();

    let taken: Vec<i32> = driven.samples.iter().map(|sample| sample.connection).collect();
    assert!(taken.windows(6).all(|turn| turn[0] == turn[5] && turn[0] != turn[1]), "{taken:?}");
}

#[test]
fn a_stall_shows_in_the_requests_that_had_to_wait_for_it() {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    static LOCK: Mutex<()> = Mutex::new(());
    static STALLED: AtomicBool = AtomicBool::new(false);
    let server = MadeUp::start(|_, stream| {
        let begun = BEGUN.get_or_init(Instant::now);
        let _one_at_a_time = LOCK.lock().unwrap();
        if begun.elapsed() > Duration::from_millis(300) && !STALLED.swap(true, Ordering::SeqCst) {
            sleep(Duration::from_millis(400));
        }
        put(stream, OK)
    });
    let driven = Job { measure: 1000, timeout: 2000, drain: 2000, ..Job::to(server.port) }.drive();

    // 400 ms of 1000: 40 % of all requests came in it, those of its first half waited at least 200 ms.
    assert!(driven.all(COMPLETED));
    assert!((120.0..280.0).contains(&driven.latency_ms(0.8)), "{}", driven.latency_ms(0.8));
    assert!(driven.latency_ms(0.3) < 20.0);
}

#[test]
fn a_target_that_goes_silent_is_accounted_to_the_last_request() {
    let server = MadeUp::start(|n, stream| n > 100 || put(stream, OK));
    let driven = Job { timeout: 200, connections: 4, ..Job::to(server.port) }.drive();

    let queued: Vec<_> = driven.samples.iter().filter(|sample| sample.sent == 0).collect();
    assert_eq!((driven.count(COMPLETED), driven.count(TIMED_OUT)), (60, 140));
    assert!(!queued.is_empty() && queued.iter().all(|sample| sample.outcome == TIMED_OUT && sample.woken > 0));
    assert!(driven.samples.iter().all(|sample| sample.sent - sample.intended <= 200 * MS));
    assert_eq!(server.count(), driven.said("sent_total"));
    assert_eq!(driven.said("sent_total") - driven.said("answered_total"), driven.said("reconnects"));
}

#[test]
fn no_answer_after_the_time_out_is_a_success() {
    let server = MadeUp::start(|n, stream| {
        sleep(Duration::from_millis(if n % 2 == 0 { 120 } else { 80 }));
        put(stream, OK)
    });
    let driven = Job { timeout: 100, connections: 64, rate: 200, ..Job::to(server.port) }.drive();

    assert_eq!(driven.count(COMPLETED) + driven.count(TIMED_OUT), driven.samples.len());
    assert!(driven.count(COMPLETED) > 10 && driven.count(TIMED_OUT) > 10);
    assert!(driven.samples.iter().all(|sample| sample.outcome == COMPLETED || (sample.done, sample.status) == (0, 0)));
}

#[test]
fn what_a_full_queue_cannot_hold_is_dropped_and_the_rest_unfinished() {
    let server = MadeUp::start(|_, _| true); // never answers
    let job = Job { queue_limit: 50, timeout: 30_000, warmup: 0, drain: 50, connections: 2, ..Job::to(server.port) };
    let driven = job.drive();

    assert_eq!((driven.count(UNFINISHED), driven.count(DROPPED)), (52, job.offered() - 52));
    assert!(driven.samples.iter().all(|sample| sample.woken >= sample.intended));
    assert_eq!((driven.said("sent_total"), driven.said("answered_total")), (2, 0));
}

#[test]
fn the_queue_limit_is_that_of_all_threads_together() {
    let server = MadeUp::start(|_, _| true);
    let limits = Job { queue_limit: 51, timeout: 30_000, warmup: 0, drain: 50, ..Job::to(server.port) };
    let driven = Job { connections: 4, threads: 2, ..limits }.drive();

    assert_eq!(driven.count(UNFINISHED), 55);
}

#[test]
fn dropped_connections_are_failures_each_and_never_tried_again() {
    let server = MadeUp::start(|n, stream| n % 10 != 0 && put(stream, OK));
    let driven = Job::to(server.port).drive();

    assert_eq!(driven.count(FAILED), 20);
    assert_eq!(driven.said("sent_total") - driven.said("answered_total"), driven.said("reconnects"));
    assert_eq!(driven.said("connects"), 16 + driven.said("reconnects"));
    assert_eq!(server.count(), driven.said("sent_total"));
    assert!(driven.samples.iter().all(|sample| sample.outcome == COMPLETED || sample.done == 0));
}

#[test]
fn a_target_that_hangs_up_on_everybody_causes_no_storm_of_connections() {
    let server = MadeUp::start(|n, stream| n < 20 && put(stream, OK));
    let driven = Job { measure: 1000, ..Job::to(server.port) }.drive();

    assert!(driven.count(FAILED) > 0);
    assert!(driven.said("connects") < 16 * 12, "{}", driven.said("connects"));
}

#[test]
fn the_kinds_of_the_schedule_are_sent_each_with_its_own_expectation() {
    let server = NullServer::start(&[]);
    let mut job = Job::to(server.port);
    let head = b"HEAD / HTTP/1.1\r\n\r\n".to_vec();
    let mut big = b"POST / HTTP/1.1\r\ncontent-length: 1000000\r\n\r\n".to_vec();
    big.resize(big.len() + 1_000_000, b'x');
    job.kinds.extend([(200, true, head), (201, false, big)]);
    (job.rate, job.warmup, job.measure) = (50, 120, 600);
    let driven = job.drive();

    for (kind, outcome, bytes) in [(0, COMPLETED, 2), (1, COMPLETED, 0), (2, FAILED, 2)] {
        let of_kind: Vec<_> = driven.samples.iter().filter(|sample| sample.kind == kind).collect();
        assert_eq!(of_kind.len(), 10);
        assert!(of_kind.iter().all(|it| (it.outcome, it.bytes, it.status) == (outcome, bytes, 200)), "{of_kind:?}");
    }
    assert_eq!(driven.said("reconnects"), 0);
    assert_eq!(server.answered(), driven.said("sent_total"));
}
