//! What one window of load is asked for: a plain text file, one `key value` a line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Who decides when a request is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// The schedule alone.
    Open,
    /// Each connection's last answer.
    Closed,
}

/// One kind of request: what is sent, and what has to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The status of a completed request.
    pub expected_status: u16,
    /// Whether its answer has no body (HEAD).
    pub is_bodiless: bool,
    /// Length of its bytes in the file of payloads.
    pub payload_length: usize,
    /// What the body must contain; empty for anything.
    pub contains: Vec<u8>,
}

/// The job. Times are nanoseconds; the files are read by [`crate::plan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Port of the target on 127.0.0.1, the only address that load goes to.
    pub port: u16,
    /// Who decides when a request is due.
    pub model: Model,
    /// Connections in all, or slots for one connection a request.
    pub connections: usize,
    /// Threads; a connection and its requests stay on one.
    pub threads: usize,
    /// Cores to pin the threads to, in turn; empty for none.
    pub cores: Vec<usize>,
    /// False for a new connection for each request.
    pub keep_alive: bool,
    /// Requests that may wait for a connection, over all threads.
    pub queue_limit: usize,
    /// From the intended time of a request to its answer, at most.
    pub timeout_ns: i64,
    /// From the line `started` to the start of the clock.
    pub lead_ns: i64,
    /// Load that is not measured.
    pub warmup_ns: i64,
    /// The measured stretch after it.
    pub measure_ns: i64,
    /// Wait for the last answers, at most.
    pub drain_ns: i64,
    /// For all connections to come up.
    pub connect_limit_ns: i64,
    /// The kinds of request, in the order of their payloads.
    pub kinds: Vec<Kind>,
    /// File of all payloads, one after the other.
    pub payloads: PathBuf,
    /// File of the schedule.
    pub schedule: PathBuf,
    /// Open: requests in the schedule. Closed: turns in each connection's cycle.
    pub requests: usize,
    /// Whether the schedule of the closed model has times to think.
    pub has_think: bool,
    /// Where the samples go.
    pub samples: PathBuf,
}

/// Why a job cannot be carried out, in words.
#[derive(Debug, PartialEq, Eq)]
pub struct BadJob(pub String);

impl fmt::Display for BadJob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Job {
    /// Read a job from its text.
    ///
    /// # Errors
    /// [`BadJob`] for a key nobody knows, a value that is none, or something missing.
    pub fn parse(text: &str) -> Result<Self, BadJob> {
        let mut job = Self::empty();
        let mut seen: Vec<&str> = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (key, value) = line.split_once(' ').ok_or_else(|| BadJob(format!("no value in `{line}`")))?;
            if seen.contains(&key) && key != "kind" && key != "contains" {
                return Err(BadJob(format!("`{key}` comes twice")));
            }
            seen.push(key);
            job.take(key, value.trim()).map_err(|fault| BadJob(format!("{}: `{line}`", fault.0)))?;
        }
        let needed = ["port", "model", "connections", "kind", "payloads", "schedule", "requests", "samples"];
        if let Some(missing) = needed.iter().find(|key| !seen.contains(key)) {
            return Err(BadJob(format!("`{missing}` is missing")));
        }
        job.check()?;
        Ok(job)
    }

    fn empty() -> Self {
        Self {
            port: 0,
            model: Model::Open,
            connections: 0,
            threads: 1,
            cores: Vec::new(),
            keep_alive: true,
            queue_limit: 10_000,
            timeout_ns: 2_000_000_000,
            lead_ns: 50_000_000,
            warmup_ns: 0,
            measure_ns: 0,
            drain_ns: 0,
            connect_limit_ns: 5_000_000_000,
            kinds: Vec::new(),
            payloads: PathBuf::new(),
            schedule: PathBuf::new(),
            requests: 0,
            has_think: false,
            samples: PathBuf::new(),
        }
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), BadJob> {
        match key {
            "port" => self.port = number(value)?,
            "model" => self.model = model(value)?,
            "connections" => self.connections = number(value)?,
            "threads" => self.threads = number(value)?,
            "cores" => self.cores = value.split(',').map(number).collect::<Result<_, _>>()?,
            "keep_alive" => self.keep_alive = flag(value)?,
            "queue_limit" => self.queue_limit = number(value)?,
            "timeout_ns" => self.timeout_ns = duration(value)?,
            "lead_ns" => self.lead_ns = duration(value)?,
            "warmup_ns" => self.warmup_ns = duration(value)?,
            "measure_ns" => self.measure_ns = duration(value)?,
            "drain_ns" => self.drain_ns = duration(value)?,
            "connect_limit_ns" => self.connect_limit_ns = duration(value)?,
            "think_ns" => drop(duration(value)?), // the mean, for the reader; the values are in the schedule
            "kind" => self.kinds.push(kind(value)?),
            "contains" => self.take_contains(value)?,
            "payloads" => self.payloads = value.into(),
            "schedule" => self.schedule = value.into(),
            "requests" => self.requests = number(value)?,
            "think" => self.has_think = flag(value)?,
            "samples" => self.samples = value.into(),
            _ => return Err(BadJob("unknown key".to_owned())),
        }
        Ok(())
    }

    fn take_contains(&mut self, value: &str) -> Result<(), BadJob> {
        let (index, digits) = value.split_once(' ').ok_or_else(|| BadJob("no bytes".to_owned()))?;
        let index: usize = number(index)?;
        let kind = self.kinds.get_mut(index).ok_or_else(|| BadJob("no such kind so far".to_owned()))?;
        kind.contains = bytes_of(digits.trim())?;
        Ok(())
    }

    fn check(&self) -> Result<(), BadJob> {
        if self.port == 0 || self.connections == 0 || self.threads == 0 {
            return Err(BadJob("`port`, `connections` and `threads` have to be at least 1".to_owned()));
        }
        if i32::try_from(self.connections).is_err() || i32::try_from(self.requests).is_err() {
            return Err(BadJob("too many connections or requests".to_owned()));
        }
        if self.model == Model::Closed && self.requests == 0 {
            return Err(BadJob("the closed model needs a cycle of at least 1".to_owned()));
        }
        Ok(())
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, BadJob> {
    text.trim().parse().map_err(|_| BadJob("not a number that fits".to_owned()))
}

const LONGEST_NS: i64 = 1_000_000_000_000_000; // eleven days: sums of some of them stay far inside an i64

fn duration(text: &str) -> Result<i64, BadJob> {
    let nanoseconds = number(text)?;
    if (0..=LONGEST_NS).contains(&nanoseconds) { Ok(nanoseconds) } else { Err(BadJob("not a duration".to_owned())) }
}

fn flag(text: &str) -> Result<bool, BadJob> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(BadJob("neither 0 nor 1".to_owned())),
    }
}

fn model(text: &str) -> Result<Model, BadJob> {
    match text {
        "open" => Ok(Model::Open),
        "closed" => Ok(Model::Closed),
        _ => Err(BadJob("neither open nor closed".to_owned())),
    }
}

fn kind(text: &str) -> Result<Kind, BadJob> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let &[status, bodiless, length] = words.as_slice() else {
        return Err(BadJob("not a status, a flag and a length".to_owned()));
    };
    Ok(Kind {
        expected_status: number(status)?,
        is_bodiless: flag(bodiless)?,
        payload_length: number(length)?,
        contains: Vec::new(),
    })
}

fn bytes_of(digits: &str) -> Result<Vec<u8>, BadJob> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return Err(BadJob("not pairs of hexadecimal digits".to_owned()));
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16))
        .collect::<Result<_, _>>()
        .map_err(|_| BadJob("not hexadecimal".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str =
        "port 80\nmodel open\nconnections 4\nkind 200 0 10\npayloads p\nschedule s\nrequests 3\nsamples o\n";

    #[test]
    fn every_key_is_taken() {
        let more = "threads 2\ncores 0,1\nkeep_alive 0\nqueue_limit 7\ntimeout_ns 1\nlead_ns 2\nwarmup_ns 3\n\
                    measure_ns 4\ndrain_ns 5\nconnect_limit_ns 6\nthink_ns 8\nkind 204 1 20\ncontains 0 6f6B\nthink 1\n";
        let job = Job::parse(&format!("{LEAST}{more}")).unwrap();

        assert_eq!((job.port, job.connections, job.threads, job.queue_limit, job.requests), (80, 4, 2, 7, 3));
        assert_eq!((job.timeout_ns, job.lead_ns, job.warmup_ns), (1, 2, 3));
        assert_eq!((job.measure_ns, job.drain_ns, job.connect_limit_ns), (4, 5, 6));
        assert_eq!((job.keep_alive, job.has_think, job.cores), (false, true, vec![0, 1]));
        assert_eq!(job.kinds[0].contains, b"ok");
        assert_eq!(job.kinds[1].expected_status, 204);
        assert!(job.kinds[1].is_bodiless);
    }

    #[test]
    fn what_is_not_said_has_the_value_of_the_other_engine() {
        let job = Job::parse(LEAST).unwrap();

        assert_eq!((job.queue_limit, job.connect_limit_ns, job.lead_ns), (10_000, 5_000_000_000, 50_000_000));
        assert!(job.keep_alive);
    }

    #[test]
    fn a_line_that_is_none_is_told_with_its_words() {
        for (line, word) in [
            ("colour red", "unknown key"),
            ("threads", "no value"),
            ("threads 0", "at least 1"),
            ("threads many", "not a number"),
            ("think 2", "neither"),
            ("port 81", "twice"),
            ("timeout_ns -1", "duration"),
            ("contains 4 00", "no such kind"),
            ("contains 0 0g", "hexadecimal"),
            ("kind 200 0", "length"),
        ] {
            let fault = Job::parse(&format!("{LEAST}{line}\n")).unwrap_err();

            assert!(fault.0.contains(word), "{line}: {fault}");
        }
    }

    #[test]
    fn what_is_missing_is_told_by_name() {
        assert_eq!(Job::parse("port 1\n").unwrap_err().0, "`model` is missing");
    }
}
