//! The hub over real WebSocket connections: who gets what, what a held one costs, and what is left of one that went.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::fs;

use contract::{Client, Process, wait_until};

const HUB: &str = env!("CARGO_BIN_EXE_hub");
const HELD: u32 = 400;

#[test]
fn all_on_a_topic_get_a_message_and_nobody_else_does() {
    let process = Process::ready(HUB, &[]);
    let [mut speaker, mut listener] = [(); 2].map(|()| Client::open(&process, "/topics/prices").unwrap());
    let mut other = Client::open(&process, "/topics/news").unwrap();

    speaker.write(Client::TEXT, "100");
    other.write(Client::TEXT, "rain");

    for (client, text) in [(&mut speaker, "100"), (&mut listener, "100"), (&mut other, "rain")] {
        assert_eq!(client.read().unwrap(), (Client::TEXT, text.to_owned()));
    }
}

#[test]
fn an_echo_comes_to_its_sender_alone() {
    let process = Process::ready(HUB, &[]);
    let [mut one, mut other] = [(); 2].map(|()| Client::open(&process, "/echo").unwrap());

    one.write(Client::TEXT, "one");
    other.write(Client::TEXT, "other");

    assert_eq!(one.read().unwrap(), (Client::TEXT, "one".to_owned()));
    assert_eq!(other.read().unwrap(), (Client::TEXT, "other".to_owned()));
}

#[test]
fn messages_larger_than_the_read_buffer_come_whole() {
    let process = Process::ready(HUB, &[("OPT_READ_BUFFER", "128")]);
    let mut client = Client::open(&process, "/topics/prices").unwrap();
    let text = "x".repeat(125);

    for _ in 0..3 {
        client.write(Client::TEXT, &text);
    }

    for _ in 0..3 {
        assert_eq!(client.read().unwrap(), (Client::TEXT, text.clone()));
    }
}

#[test]
fn a_goodbye_is_answered_and_its_task_ends() {
    let process = Process::ready(HUB, &[]);
    let tasks = || process.metric("tokio_alive_tasks");
    let idle = tasks();
    for path in ["/topics/prices", "/echo"] {
        let mut client = Client::open(&process, path).unwrap();
        wait_until("the connection has a task", || tasks() > idle);

        client.write(Client::CLOSE, "");

        assert_eq!(client.read().unwrap().0, Client::CLOSE);
        wait_until("the task has ended", || tasks() <= idle);
    }
}

/// Resident bytes of the hub for each connection that is held, none of which says anything, and the threads they came with.
fn cost(read_buffer: &str) -> (u64, u64) {
    let process = Process::ready(HUB, &[("OPT_READ_BUFFER", read_buffer)]);
    let status = |name: &str| {
        let text = fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().find_map(|word| word.parse::<u64>().ok()).unwrap()
    };
    let (resident_kb, threads) = (status("VmRSS:"), status("Threads:"));
    let held: Vec<_> = (0..HELD).map(|_| Client::open(&process, "/topics/prices").unwrap()).collect();
    wait_until("every connection has its task", || process.metric("tokio_alive_tasks") >= f64::from(HELD));

    let grown_kb = status("VmRSS:") - resident_kb;
    let more = status("Threads:") - threads;
    drop(held);
    (grown_kb * 1024 / u64::from(HELD), more)
}

#[test]
fn a_held_connection_costs_a_few_kilobytes_and_no_thread() {
    let (bytes, threads) = cost("1024");

    assert!(bytes < 8 * 1024, "{bytes}");
    assert_eq!(threads, 0);
}

#[test]
fn the_librarys_own_read_buffer_is_resident_for_every_connection() {
    let (bytes, _) = cost("131072");

    assert!(bytes > 128 * 1024, "{bytes}");
}
