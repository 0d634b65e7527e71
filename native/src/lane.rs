//! What both models share on one thread: connections, rows, time-outs and counting. Each request ends in exactly one
//! outcome, and none is sent twice.
//!
//! A thread is a lane of its own: it has its share of the connections and of the requests and shares nothing that
//! changes with the others while the clock runs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use rustix::event::epoll;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io;

use crate::clock::{NEVER_NS, now_ns};
use crate::connection::{Connection, Heard, State};
use crate::plan::Plan;
use crate::rows::{Outcome, Row};

/// When the clock starts and what it bounds (ns).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Start of warm-up.
    pub start_ns: i64,
    /// Start of the measured stretch.
    pub t0_ns: i64,
    /// Its end.
    pub t1_ns: i64,
    /// Latest end of the drain.
    pub last_ns: i64,
}

/// What a lane counted, since its connections were begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests written, or whose own connection was begun.
    pub sent: u64,
    /// Whole answers, the late ones too.
    pub answered: u64,
    /// Connections that came up.
    pub connects: u64,
    /// Connections that ended without the target having announced it.
    pub reconnects: u64,
    /// Answers of the expected status that did not contain what they must.
    pub wrong_answers: u64,
}

/// What the models and the event loop work on.
pub struct Lane {
    /// The job and its schedule.
    pub plan: Arc<Plan>,
    /// Its number among the threads.
    pub number: usize,
    /// Threads in all.
    pub lanes: usize,
    /// The connections of this lane; connection number `lanes * index + number` is the one at `index`.
    pub connections: Vec<Connection>,
    /// The requests of this lane.
    pub rows: Vec<Row>,
    /// The window; all 0 before the clock is set.
    pub times: Times,
    /// Requests in flight.
    pub in_flight: usize,
    /// What was counted; connects and reconnects are with the connections.
    pub counts: Counts,
    epoll: OwnedFd,
    timers: BinaryHeap<Reverse<(i64, u32)>>, // may hold times that the connection waits for no more
    oldest: usize,                           // the first request that the sweep has not seen at its end
}

impl Lane {
    /// Lane `number` of `lanes`. Nothing is opened yet.
    ///
    /// # Errors
    /// What the kernel says when it has no epoll set left.
    pub fn new(plan: Arc<Plan>, number: usize, lanes: usize) -> io::Result<Self> {
        let count = share(plan.job.connections, number, lanes);
        let mut connections: Vec<Connection> = (0..count).map(|_| Connection::default()).collect();
        if !plan.job.keep_alive {
            for slot in &mut connections {
                slot.state = State::Ready;
            }
        }
        Ok(Self {
            plan,
            number,
            lanes,
            connections,
            rows: Vec::new(),
            times: Times::default(),
            in_flight: 0,
            counts: Counts::default(),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            timers: BinaryHeap::with_capacity(4 * count),
            oldest: 0,
        })
    }

    /// The epoll set.
    #[must_use]
    pub fn epoll(&self) -> &OwnedFd {
        &self.epoll
    }

    /// Connections that can take a request or have one.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.connections.iter().filter(|connection| connection.state == State::Ready).count()
    }

    /// What was counted in all.
    #[must_use]
    pub fn counted(&self) -> Counts {
        Counts {
            connects: self.connections.iter().map(|connection| connection.opened).sum(),
            reconnects: self.connections.iter().map(|connection| connection.broke).sum(),
            ..self.counts
        }
    }

    // Opening and closing

    /// Begin to open a connection.
    ///
    /// # Errors
    /// What is the machine's fault.
    pub fn open(&mut self, index: usize) -> io::Result<()> {
        self.connections[index].open(self.epoll.as_fd(), narrow(index), self.plan.job.port)
    }

    /// Take the end of opening: true when the connection is up, and its request, if it has one, is being written.
    ///
    /// # Errors
    /// What is the machine's fault.
    pub fn came_up(&mut self, index: usize) -> io::Result<bool> {
        if !self.connections[index].came_up() {
            self.end_request(index, Outcome::Failed, now_ns());
            self.open_again(index)?;
            return Ok(false);
        }
        if self.connections[index].request.is_some() {
            self.write(index)?;
        }
        Ok(self.connections[index].is_up())
    }

    /// Note that a connection broke: the request in flight, if any, has failed.
    ///
    /// # Errors
    /// What is the machine's fault.
    pub fn broke(&mut self, index: usize) -> io::Result<()> {
        self.connections[index].broke += 1;
        self.end_request(index, Outcome::Failed, now_ns());
        self.open_again(index)
    }

    /// Close for good.
    pub fn close(&mut self) {
        self.connections.iter_mut().for_each(Connection::release);
    }

    /// Open at once if an answer came since the last time, else after a wait that doubles each time. Where each request
    /// has its own connection, the slot takes no request before that, and is ready from the next round on.
    fn open_again(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        connection.release();
        connection.timer_ns = None;
        let wait_ns = connection.next_wait_ns();
        if wait_ns == 0 && self.plan.job.keep_alive {
            return self.open(index);
        }
        self.wait(index, now_ns() + wait_ns);
        Ok(())
    }

    // Waiting

    /// Let a connection wait until `at_ns`, and for nothing else any more.
    pub fn wait(&mut self, index: usize, at_ns: i64) {
        self.connections[index].timer_ns = Some(at_ns);
        self.timers.push(Reverse((at_ns, narrow(index))));
    }

    /// Take a connection whose wait is over by `now_ns`, and until when it waited.
    pub fn waited(&mut self, now_ns: i64) -> Option<(usize, i64)> {
        while let Some(&Reverse((at_ns, index))) = self.timers.peek() {
            if at_ns > now_ns {
                return None;
            }
            self.timers.pop();
            let connection = &mut self.connections[index as usize];
            if connection.timer_ns == Some(at_ns) {
                connection.timer_ns = None;
                return Some((index as usize, at_ns));
            }
        }
        None
    }

    /// The next time that a connection waits for.
    #[must_use]
    pub fn next_timer_ns(&self) -> i64 {
        self.timers.peek().map_or(NEVER_NS, |&Reverse((at_ns, _))| at_ns)
    }

    // Sending

    /// Send a request on a connection that is ready. It may fail at once; the connection then opens again by itself.
    ///
    /// # Errors
    /// What is the machine's fault.
    pub fn send(&mut self, index: usize, row: usize, now_ns: i64) -> io::Result<()> {
        let kind = self.plan.kind(self.rows[row].kind);
        let wanted = &self.plan.job.kinds[kind];
        let connection = &mut self.connections[index];
        connection.request = Some(row);
        connection.timer_ns = None;
        connection.written = 0;
        connection.answer.expect(wanted.is_bodiless, !wanted.contains.is_empty());
        self.rows[row].sent_ns = now_ns;
        self.rows[row].connection = i32::try_from(index * self.lanes + self.number).unwrap_or(i32::MAX);
        self.counts.sent += 1;
        self.in_flight += 1;
        if self.plan.job.keep_alive { self.write(index) } else { self.open(index) }
    }

    /// Write what is left of the request in flight.
    ///
    /// # Errors
    /// What is the machine's fault.
    pub fn write(&mut self, index: usize) -> io::Result<()> {
        let Some(row) = self.connections[index].request else { return Ok(()) };
        let payload = &self.plan.payloads[self.plan.kind(self.rows[row].kind)];
        if self.connections[index].write(payload) { Ok(()) } else { self.broke(index) }
    }

    // Reading

    /// Read what came on a connection and account for an answer. Return when the connection became ready for the next
    /// request, and whether there may be more to read: surely, if it has to be read `to_the_end`.
    ///
    /// # Errors
    /// What is the machine's fault.
    pub fn read(&mut self, index: usize, buffer: &mut [u8], to_the_end: bool) -> io::Result<Read> {
        match self.connections[index].read(buffer) {
            Heard::Nothing => Ok(Read { ready_ns: None, more: false }),
            Heard::Part { full } => Ok(Read { ready_ns: None, more: full || to_the_end }),
            Heard::Answer { at_ns, full } => {
                let is_ready = self.answered(index, at_ns)?;
                Ok(Read { ready_ns: is_ready.then_some(at_ns), more: full || to_the_end })
            }
            Heard::Broken => {
                self.broke(index)?;
                Ok(Read { ready_ns: None, more: false })
            }
        }
    }

    /// Note an answer: timed out if it came too late, completed if it is the expected one, else failed. Return whether
    /// the connection is ready again.
    fn answered(&mut self, index: usize, at_ns: i64) -> io::Result<bool> {
        let connection = &mut self.connections[index];
        let Some(row_index) = connection.request else { return Ok(false) };
        let row = &mut self.rows[row_index];
        let kind = self.plan.kind(row.kind);
        self.counts.answered += 1;
        connection.forget_wait();
        let answer = &connection.answer;
        let is_kept = answer.keep && connection.written == self.plan.payloads[kind].len();
        let outcome = if at_ns - row.intended_ns > self.plan.job.timeout_ns {
            Outcome::TimedOut
        } else {
            row.done_ns = at_ns;
            row.status = i16::try_from(answer.status).unwrap_or(i16::MAX);
            row.bytes = i32::try_from(answer.size).unwrap_or(i32::MAX);
            let wanted = &self.plan.job.kinds[kind];
            if answer.status != wanted.expected_status {
                Outcome::Failed
            } else if contains(&answer.excerpt, &wanted.contains) {
                Outcome::Completed
            } else {
                self.counts.wrong_answers += 1;
                Outcome::Failed
            }
        };
        self.end_request(index, outcome, at_ns);
        if !self.plan.job.keep_alive {
            self.connections[index].release();
            self.connections[index].state = State::Ready;
            return Ok(true);
        }
        if !is_kept {
            self.open_again(index)?;
        }
        Ok(is_kept)
    }

    fn end_request(&mut self, index: usize, outcome: Outcome, at_ns: i64) {
        let connection = &mut self.connections[index];
        if let Some(row) = connection.request.take() {
            connection.ended_ns = at_ns;
            self.rows[row].outcome = outcome;
            self.in_flight -= 1;
        }
    }

    // Timing out

    /// Time out what is too old among the first `until` rows. Intended times rise, so no request is looked at again
    /// after its end. Whether a late answer is taken does not hang on how early the sweep comes.
    ///
    /// # Errors
    /// What is the machine's fault.
    pub fn sweep(&mut self, now_ns: i64, until: usize) -> io::Result<()> {
        while self.oldest < until {
            let row = self.rows[self.oldest];
            if row.outcome == Outcome::Pending {
                if now_ns - row.intended_ns <= self.plan.job.timeout_ns {
                    break;
                }
                self.give_up(self.oldest, now_ns)?;
            }
            self.oldest += 1;
        }
        Ok(())
    }

    /// When the next sweep finds something, if nothing is answered before.
    #[must_use]
    pub fn next_sweep_ns(&self, until: usize) -> i64 {
        if self.oldest < until { self.rows[self.oldest].intended_ns + self.plan.job.timeout_ns + 1 } else { NEVER_NS }
    }

    /// Give up a request, together with the connection that it is in flight on: nobody waits for that answer any more.
    fn give_up(&mut self, row: usize, now_ns: i64) -> io::Result<()> {
        self.rows[row].outcome = Outcome::TimedOut;
        let Ok(number) = usize::try_from(self.rows[row].connection) else { return Ok(()) };
        let index = number / self.lanes;
        if self.connections[index].request == Some(row) {
            if self.connections[index].is_up() {
                self.connections[index].broke += 1;
            }
            self.end_request(index, Outcome::TimedOut, now_ns);
            self.open_again(index)?;
        }
        Ok(())
    }
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// When the connection became ready for the next request, if it did.
    pub ready_ns: Option<i64>,
    /// Whether there may be more to read at once.
    pub more: bool,
}

/// How many of `count` things, dealt out in turn, lane `number` of `lanes` gets.
#[must_use]
pub fn share(count: usize, number: usize, lanes: usize) -> usize {
    (count + lanes - 1 - number) / lanes
}

fn contains(body: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || body.windows(wanted.len()).any(|part| part == wanted)
}

fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX) // a job has fewer connections than an i32 can count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_lanes_are_the_whole_and_differ_by_one_at_most() {
        for count in 0..20 {
            for lanes in 1..6 {
                let shares: Vec<usize> = (0..lanes).map(|number| share(count, number, lanes)).collect();

                assert_eq!(shares.iter().sum::<usize>(), count);
                assert!(shares[0] - shares[lanes - 1] <= 1);
            }
        }
    }

    #[test]
    fn a_body_contains_what_it_must_anywhere() {
        assert!(contains(b"hello", b"llo"));
        assert!(contains(b"", b""));
        assert!(!contains(b"hello", b"hellO"));
        assert!(!contains(b"he", b"hello"));
    }
}
