//! A job with its files read: the exact bytes of each kind of request, and which request is due when.

use std::fs;
use std::io;

use crate::job::{BadJob, Job, Kind, Model};

/// Why a job's files cannot be used.
#[derive(Debug)]
pub enum BadPlan {
    /// The machine does not hand the file out.
    Unreadable(io::Error),
    /// Its content does not fit the job.
    Wrong(BadJob),
}

impl From<io::Error> for BadPlan {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

impl From<BadJob> for BadPlan {
    fn from(fault: BadJob) -> Self {
        Self::Wrong(fault)
    }
}

/// Who sends what when.
#[derive(Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Offsets (ns) from the start of warm-up in rising order, and the kind of each request.
    Open {
        /// Offset of each request.
        offsets_ns: Vec<i64>,
        /// Kind of each request.
        kinds: Vec<i16>,
    },
    /// For each connection, one cycle after the other, the kinds of its turns, and how long it waits after the answer
    /// of a turn before the next one; no waits at all when it does not think.
    Closed {
        /// Turns in a cycle.
        cycle: usize,
        /// Kind of each turn.
        kinds: Vec<i16>,
        /// Wait after each turn (ns), or empty.
        thinks_ns: Vec<i64>,
    },
}

/// Everything that the threads share and nobody changes.
#[derive(Debug)]
pub struct Plan {
    /// What was asked for.
    pub job: Job,
    /// The bytes of each kind, the same every time.
    pub payloads: Vec<Vec<u8>>,
    /// Who sends what when.
    pub schedule: Schedule,
}

impl Plan {
    /// Read the files of a job.
    ///
    /// # Errors
    /// [`BadPlan`] when they cannot be read or do not fit the job.
    pub fn read(job: Job) -> Result<Self, BadPlan> {
        let payloads = split(&fs::read(&job.payloads)?, &job.kinds)?;
        let schedule = schedule(&job)?;
        Ok(Self { job, payloads, schedule })
    }

    /// The kind of a row; a plan that was read has every kind that its schedule names.
    #[must_use]
    pub fn kind(&self, kind: i16) -> usize {
        usize::try_from(kind).unwrap_or(0)
    }
}

fn split(bytes: &[u8], kinds: &[Kind]) -> Result<Vec<Vec<u8>>, BadJob> {
    let mut rest = bytes;
    let mut payloads = Vec::with_capacity(kinds.len());
    for kind in kinds {
        let (payload, after) = rest
            .split_at_checked(kind.payload_length)
            .ok_or_else(|| BadJob("the file of payloads is too short".to_owned()))?;
        payloads.push(payload.to_vec());
        rest = after;
    }
    if !rest.is_empty() || payloads.iter().any(Vec::is_empty) {
        return Err(BadJob("the file of payloads does not fit the kinds".to_owned()));
    }
    Ok(payloads)
}

fn schedule(job: &Job) -> Result<Schedule, BadPlan> {
    let bytes = fs::read(&job.schedule)?;
    let turns = match job.model {
        Model::Open => job.requests,
        Model::Closed => job.connections * job.requests,
    };
    let has_times = job.model == Model::Open || job.has_think;
    if bytes.len() != turns * if has_times { 10 } else { 2 } {
        return Err(BadJob("the file of the schedule has not the length that the job says".to_owned()).into());
    }
    let taken = match job.model {
        Model::Open => {
            let (times, kinds) = bytes.split_at(turns * 8);
            Schedule::Open { offsets_ns: times_of(times), kinds: kinds_of(kinds) }
        }
        Model::Closed => {
            let (kinds, times) = bytes.split_at(turns * 2);
            Schedule::Closed { cycle: job.requests, kinds: kinds_of(kinds), thinks_ns: times_of(times) }
        }
    };
    check(job, &taken)?;
    Ok(taken)
}

fn check(job: &Job, schedule: &Schedule) -> Result<(), BadJob> {
    let window_ns = job.warmup_ns + job.measure_ns;
    let (kinds, are_times_right) = match schedule {
        Schedule::Open { offsets_ns, kinds } => {
            (kinds, offsets_ns.is_sorted() && offsets_ns.iter().all(|offset| (0..window_ns).contains(offset)))
        }
        Schedule::Closed { kinds, thinks_ns, .. } => (kinds, thinks_ns.iter().all(|&think| think >= 0)),
    };
    if !are_times_right {
        return Err(BadJob("a time of the schedule is out of order or outside the window".to_owned()));
    }
    let count = job.kinds.len();
    if kinds.iter().any(|&kind| usize::try_from(kind).map_or(true, |kind| kind >= count)) {
        return Err(BadJob("the schedule names a kind that there is not".to_owned()));
    }
    Ok(())
}

fn times_of(bytes: &[u8]) -> Vec<i64> {
    bytes.as_chunks().0.iter().map(|&word| i64::from_le_bytes(word)).collect()
}

fn kinds_of(bytes: &[u8]) -> Vec<i16> {
    bytes.as_chunks().0.iter().map(|&word| i16::from_le_bytes(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(payload_length: usize) -> Kind {
        Kind { expected_status: 200, is_bodiless: false, payload_length, contains: Vec::new() }
    }

    #[test]
    fn payloads_lie_one_after_the_other() {
        assert_eq!(split(b"abcde", &[kind(2), kind(3)]), Ok(vec![b"ab".to_vec(), b"cde".to_vec()]));
    }

    #[test]
    fn payloads_that_do_not_fit_are_refused() {
        for (bytes, kinds) in [(&b"abc"[..], vec![kind(4)]), (b"abc", vec![kind(2)]), (b"", vec![kind(0)])] {
            assert!(split(bytes, &kinds).is_err());
        }
    }
}
