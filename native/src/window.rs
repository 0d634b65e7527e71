//! One window of load from its plan to its samples: starts the threads, sets their clock, gathers what they counted.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::clock::{SECOND_NS, now_ns};
use crate::lane::{Counts, Times};
use crate::plan::Plan;
use crate::samples;
use crate::worker::{Finished, Shared, run, times};

const MARGIN_NS: i64 = 10 * SECOND_NS; // how much longer than asked a thread may take before it counts as stuck
const SPARE_FILES: u64 = 64;

/// A fault of the machine, never of the target: its number and words.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// The system's number for it.
    pub number: i32,
    /// What happened.
    pub words: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "error {} {}", self.number, self.words)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        let number = error.raw_os_error().unwrap_or_else(|| Errno::IO.raw_os_error());
        Self { number, words: error.to_string() }
    }
}

impl From<Errno> for Fault {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

/// Carry out a window: tell `out` when its clock starts and what came of it, and write the samples.
///
/// # Errors
/// [`Fault`] when the machine does not play along.
pub fn carry_out(plan: Plan, out: &mut impl Write) -> Result<(), Fault> {
    allow_files(plan.job.connections)?;
    let plan = Arc::new(plan);
    let lanes = plan.job.threads.min(plan.job.connections);
    let ready = (0..lanes).map(|_| AtomicUsize::new(0)).collect();
    let shared = Arc::new(Shared { start_ns: AtomicI64::new(0), ready });
    let results = start(&plan, lanes, &shared)?;
    let up = wait_for_connections(&plan, &shared, &results)?;
    if up < plan.job.connections {
        return Ok(writeln!(out, "refused {up} {}", plan.job.connections)?);
    }
    let window = times(&plan, now_ns() + plan.job.lead_ns);
    shared.start_ns.store(window.start_ns, Ordering::Release);
    writeln!(out, "started {} {} {}", window.start_ns, window.t0_ns, window.t1_ns)?;
    out.flush()?;
    let finished = gather(lanes, window.last_ns + MARGIN_NS, &results)?;
    report(&plan, window, finished, out)
}

type Results = Receiver<Result<(usize, Finished), Fault>>;

fn start(plan: &Arc<Plan>, lanes: usize, shared: &Arc<Shared>) -> Result<Results, Fault> {
    let (sender, results) = channel();
    for number in 0..lanes {
        let (plan, shared, sender) = (Arc::clone(plan), Arc::clone(shared), sender.clone());
        thread::Builder::new().name(format!("lane {number}")).spawn(move || {
            let result = run(plan, number, lanes, &shared);
            let _ = sender.send(result.map(|finished| (number, finished)).map_err(Fault::from)); // or nobody waits
        })?;
    }
    Ok(results)
}

/// Wait until every connection is up, or the limit has passed, and return how many are.
fn wait_for_connections(plan: &Plan, shared: &Shared, results: &Results) -> Result<usize, Fault> {
    let limit_ns = now_ns() + plan.job.connect_limit_ns;
    loop {
        let up = shared.ready.iter().map(|ready| ready.load(Ordering::Acquire)).sum();
        if up == plan.job.connections || now_ns() >= limit_ns {
            return Ok(up);
        }
        match results.recv_timeout(Duration::from_millis(1)) {
            Ok(Err(fault)) => return Err(fault),
            Ok(Ok(_)) | Err(RecvTimeoutError::Disconnected) => return Err(ended_early()),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Wait for all threads, which end by themselves, and return what they did in their order.
fn gather(lanes: usize, limit_ns: i64, results: &Results) -> Result<Vec<Finished>, Fault> {
    let mut finished: Vec<(usize, Finished)> = Vec::with_capacity(lanes);
    while finished.len() < lanes {
        let left_ns = u64::try_from(limit_ns - now_ns()).unwrap_or(0);
        match results.recv_timeout(Duration::from_nanos(left_ns)) {
            Ok(result) => finished.push(result?),
            Err(RecvTimeoutError::Disconnected) => return Err(ended_early()),
            Err(RecvTimeoutError::Timeout) => return Err(Errno::TIMEDOUT.into()),
        }
    }
    finished.sort_by_key(|(number, _)| *number);
    Ok(finished.into_iter().map(|(_, finished)| finished).collect())
}

fn ended_early() -> Fault {
    Fault { number: Errno::CANCELED.raw_os_error(), words: "a thread ended before its time".to_owned() }
}

fn report(plan: &Plan, window: Times, finished: Vec<Finished>, out: &mut impl Write) -> Result<(), Fault> {
    let end_ns = finished.iter().map(|lane| lane.end_ns).max().unwrap_or(0);
    let counts = finished.iter().map(|lane| lane.counts).fold(Counts::default(), sum);
    let threads: Vec<_> = finished.into_iter().map(|lane| lane.rows).collect();
    let rows = samples::measured(&threads, window.t0_ns, window.t1_ns);
    samples::write(&plan.job.samples, &rows)?;
    let dispatched = rows.iter().filter(|row| row.woken_ns > 0).count();
    let Counts { sent, answered, connects, reconnects, wrong_answers } = counts;
    writeln!(
        out,
        "driven end_ns={end_ns} offered={offered} dispatched={dispatched} sent_total={sent} answered_total={answered} \
         connects={connects} reconnects={reconnects} wrong_answers={wrong_answers} rows={offered}",
        offered = rows.len()
    )?;
    Ok(out.flush()?)
}

fn sum(one: Counts, other: Counts) -> Counts {
    Counts {
        sent: one.sent + other.sent,
        answered: one.answered + other.answered,
        connects: one.connects + other.connects,
        reconnects: one.reconnects + other.reconnects,
        wrong_answers: one.wrong_answers + other.wrong_answers,
    }
}

/// Raise the limit of open files if the connections need it; a fault where the system does not let us.
fn allow_files(connections: usize) -> Result<(), Fault> {
    let held = fs::read_dir("/proc/self/fd")?.count() as u64;
    let wanted = connections as u64 + SPARE_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= held + wanted) {
        return Ok(());
    }
    if let Some(maximum) = maximum.filter(|&maximum| maximum < held + wanted) {
        let words = format!("{wanted} connections and files are more than `ulimit -n` allows ({maximum})");
        return Err(Fault { number: Errno::MFILE.raw_os_error(), words });
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
