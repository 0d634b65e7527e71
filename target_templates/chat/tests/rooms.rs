//! The chat over real WebSocket connections: who hears what, who is disconnected, and which tasks are left.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the right line")]

use std::io;
use std::time::Duration;

use contract::{Client, Process};

fn enter(process: &Process) -> Client {
    Client::open(process, "/rooms/kitchen").unwrap()
}

#[test]
fn all_in_a_room_hear_a_message_the_speaker_among_them() {
    let process = Process::ready(env!("CARGO_BIN_EXE_chat"), &[]);
    let mut clients: Vec<Client> = Vec::new();

    // The handshake is over before the seat is taken; who hears himself has one.
    for number in 0..3 {
        let mut newest = enter(&process);
        let said = format!("tea for {number}?");
        newest.write(Client::TEXT, &said);
        clients.push(newest);
        for client in &mut clients {
            assert_eq!(client.read().unwrap(), (Client::TEXT, said.clone()));
        }
    }
}

#[test]
fn a_client_that_answers_no_ping_is_disconnected() {
    let process = Process::ready(env!("CARGO_BIN_EXE_chat"), &[("OPT_HEARTBEAT_MS", "100")]);
    let mut client = enter(&process);

    assert_eq!(client.read().unwrap().0, Client::PING);
    assert!(client.read().is_err());
}

#[test]
fn who_is_in_a_room_is_told_when_the_chat_stops() {
    let mut process = Process::ready(env!("CARGO_BIN_EXE_chat"), &[]);
    let mut client = enter(&process);
    client.write(Client::TEXT, "still here?");
    assert_eq!(client.read().unwrap().0, Client::TEXT);

    process.terminate();
    let told = client.read().unwrap().0;
    let (status, took) = process.ended();

    assert_eq!((told, status.code()), (Client::CLOSE, Some(0)));
    assert!(took < Duration::from_millis(1500), "{took:?}");
}

/// The tasks that a service keeps when its only client has gone after so many messages, beyond those of an idle one.
fn tasks_left(receipts: &str, messages: u32, at_the_end: &str) -> f64 {
    let process = Process::ready(env!("CARGO_BIN_EXE_chat"), &[("OPT_RECEIPTS", receipts)]);
    let tasks = || process.metric("tokio_alive_tasks");
    let idle = tasks();
    let mut client = enter(&process);
    for number in 0..messages {
        client.write(Client::TEXT, &number.to_string());
        assert_eq!(client.read().unwrap(), (Client::TEXT, number.to_string()));
    }
    client.write(Client::TEXT, at_the_end);
    client.write(Client::CLOSE, "");
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
