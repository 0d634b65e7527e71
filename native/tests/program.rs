//! The programs themselves: what they refuse, what they say, how they end.

mod common;

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{COMPLETED, FAILED, Folder, Job, MadeUp, NullServer, OK, drive, put};

#[test]
fn nobody_listening_is_refused_with_the_number_of_connections() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    drop(holder);
    let folder = Folder::new();
    let output = drive(&Job { connect_limit: 200, ..Job::to(port) }.write(&folder));

    assert_eq!(output.stdout, b"refused 0 16\n");
    assert!(output.status.success());
}

#[test]
fn a_job_that_is_none_is_refused_with_its_line() {
    let server = NullServer::start(&[]);
    let folder = Folder::new();
    let output = drive(&Job { more: "colour red\n", ..Job::to(server.port) }.write(&folder));

    assert_eq!(output.status.code(), Some(64));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "drive: unknown key: `colour red`\n");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_schedule_that_does_not_fit_the_job_is_refused() {
    let folder = Folder::new();
    let job = Job::to(1).write(&folder);
    fs::write(folder.file("schedule"), b"short").unwrap();

    assert_eq!(drive(&job).status.code(), Some(64));
}

#[test]
fn what_the_machine_refuses_is_told_with_its_number() {
    let server = NullServer::start(&[]);
    let folder = Folder::new();
    let job = Job { measure: 50, ..Job::to(server.port) }.write(&folder);
    fs::create_dir(folder.file("samples")).unwrap();
    let output = drive(&job);

    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().lines().last().unwrap().starts_with("error 21 Is a directory"));
}

#[test]
fn more_connections_than_files_are_the_machines_fault() {
    let folder = Folder::new();
    let job = Job { connections: 50_000_000, ..Job::to(1) }.write(&folder);
    let text = String::from_utf8(drive(&job).stdout).unwrap();

    assert!(text.starts_with("error 24 ") && text.contains("ulimit -n"), "{text}");
}

#[test]
fn each_request_can_have_a_connection_of_its_own() {
    let server = NullServer::start(&[]);
    let driven = Job { keep_alive: false, threads: 2, ..Job::to(server.port) }.drive();

    assert!(driven.all(COMPLETED));
    assert_eq!((driven.said("connects"), driven.said("reconnects")), (driven.said("sent_total"), 0));
    assert_eq!(server.answered(), driven.said("sent_total"));
}

#[test]
fn a_request_whose_own_connection_is_not_answered_fails_and_its_slot_rests() {
    let server = MadeUp::start(|n, stream| n % 4 != 0 && put(stream, OK));
    let driven = Job { keep_alive: false, ..Job::to(server.port) }.drive();

    assert_eq!(driven.count(FAILED), 50);
    assert_eq!(driven.said("reconnects") + driven.said("answered_total"), driven.said("connects"));
    assert_eq!(server.count(), driven.said("sent_total"));
}

#[test]
fn twelve_hundred_connections_stay_open() {
    let server = NullServer::start(&[]);
    let driven = Job { connections: 1200, ..Job::to(server.port) }.drive();

    assert!(driven.all(COMPLETED));
    assert_eq!((driven.said("connects"), driven.said("reconnects")), (1200, 0));
}

#[test]
fn it_sleeps_while_nothing_is_due() {
    let server = NullServer::start(&[]);
    let folder = Folder::new();
    let job = Job { rate: 10, measure: 1000, ..Job::to(server.port) }.write(&folder);
    let mut child = Command::new(env!("CARGO_BIN_EXE_drive")).arg(job).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(900));
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let ticks: u64 =
        stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2).map(|it| it.parse::<u64>().unwrap()).sum();
    child.wait().unwrap();

    assert!(ticks <= 5, "{ticks} hundredths of a second");
}

#[test]
fn it_ends_by_itself_when_the_target_never_answers() {
    let server = MadeUp::start(|_, _| true);
    let begun = Instant::now();
    let driven = Job { timeout: 60_000, drain: 100, measure: 200, ..Job::to(server.port) }.drive();

    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(driven.said("answered_total"), 0);
}
