//! The closed model on real sockets: a connection sends when it was answered.

mod common;

use std::collections::HashMap;

use common::{COMPLETED, Job, MS, MadeUp, NullServer, OK, Sample, TIMED_OUT, put};

fn by_connection(samples: &[Sample]) -> HashMap<i32, Vec<&Sample>> {
    let mut turns: HashMap<i32, Vec<&Sample>> = HashMap::new();
    for sample in samples {
        turns.entry(sample.connection).or_default().push(sample);
    }
    turns
}

#[test]
fn a_request_is_intended_when_the_one_before_was_answered() {
    let server = NullServer::start(&["--delay-us", "2000"]);
    let driven = Job { closed: true, connections: 5, threads: 2, ..Job::to(server.port) }.drive();

    assert!(driven.all(COMPLETED));
    let turns = by_connection(&driven.samples);
    assert_eq!(turns.len(), 5);
    for turn in turns.values() {
        assert!(turn.windows(2).all(|pair| pair[1].intended == pair[0].done));
        assert!(turn.iter().all(|sample| sample.woken == sample.intended && sample.sent >= sample.intended));
    }
    assert_eq!(driven.said("dispatched"), driven.said("offered"));
    assert_eq!(server.answered(), driven.said("sent_total"));
}

#[test]
fn a_connection_thinks_between_answer_and_request() {
    let server = NullServer::start(&[]);
    let driven = Job { closed: true, connections: 3, think: Some(20), ..Job::to(server.port) }.drive();

    assert!(driven.all(COMPLETED));
    for turn in by_connection(&driven.samples).values() {
        assert!(turn.windows(2).all(|pair| pair[1].intended == pair[0].done + 20 * MS));
        assert!(turn.iter().all(|sample| sample.woken >= sample.intended && sample.sent >= sample.woken));
        assert!(turn.iter().any(|sample| sample.woken > sample.intended), "a timer is never on time to the nanosecond");
    }
    assert!((60..=75).contains(&driven.samples.len()), "{}", driven.samples.len());
}

#[test]
fn a_connection_whose_answer_does_not_come_is_opened_again_and_goes_on() {
    let server = MadeUp::start(|n, stream| n % 5 == 0 || put(stream, OK));
    let job = Job { closed: true, connections: 2, think: Some(5), timeout: 50, ..Job::to(server.port) };
    let driven = job.drive();

    assert!(driven.count(TIMED_OUT) > 5 && driven.count(COMPLETED) > 20);
    assert_eq!(driven.count(COMPLETED) + driven.count(TIMED_OUT), driven.samples.len());
    assert_eq!(driven.said("sent_total") - driven.said("answered_total"), driven.said("reconnects"));
    assert_eq!(server.count(), driven.said("sent_total"));
}

#[test]
fn each_request_of_a_closed_load_can_have_a_connection_of_its_own() {
    let server = NullServer::start(&[]);
    let job = Job { closed: true, connections: 3, keep_alive: false, think: Some(2), ..Job::to(server.port) };
    let driven = job.drive();

    assert!(driven.all(COMPLETED));
    assert_eq!(driven.said("connects"), driven.said("sent_total"));
    assert_eq!(driven.said("reconnects"), 0);
    assert_eq!(server.answered(), driven.said("sent_total"));
}
