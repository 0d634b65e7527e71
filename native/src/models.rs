//! The open and the closed model: who sends when.
//!
//! Open: the schedule alone decides when a request is due. A due request takes the connection that is idle longest, as
//! one of many independent clients would; where none is idle it waits in a bounded queue with its intended time. Closed:
//! a connection sends its next request when it has its answer, after a time to think if the schedule has one.

use std::collections::VecDeque;

use rustix::io;

use crate::clock::{NEVER_NS, SECOND_NS};
use crate::connection::State;
use crate::lane::{Lane, share};
use crate::plan::Schedule;
use crate::rows::{Outcome, Row};

const ROWS_A_SECOND: i64 = 50_000; // room for the closed model, whose number of requests nobody knows before
const MOST_ROWS_AHEAD: usize = 4_000_000;

/// Who sends when. All of it works on one lane.
pub enum Dispatcher {
    /// By the schedule.
    Open(Open),
    /// By the answers.
    Closed(Closed),
}

impl Dispatcher {
    /// The one that the job asks for, with the lane's rows as far as they are known before.
    #[must_use]
    pub fn new(lane: &mut Lane) -> Self {
        match &lane.plan.schedule {
            Schedule::Open { offsets_ns, kinds } => {
                let mine = offsets_ns.iter().zip(kinds).skip(lane.number).step_by(lane.lanes);
                lane.rows = mine.map(|(&offset_ns, &kind)| Row::planned(offset_ns, kind)).collect();
                let limit = share(lane.plan.job.queue_limit, lane.number, lane.lanes);
                let free = if lane.plan.job.keep_alive { 0 } else { lane.connections.len() };
                Self::Open(Open::new(limit, lane.connections.len(), free))
            }
            Schedule::Closed { .. } => {
                let seconds = (lane.plan.job.warmup_ns + lane.plan.job.measure_ns) / SECOND_NS + 1;
                let ahead = usize::try_from(seconds * ROWS_A_SECOND).unwrap_or(MOST_ROWS_AHEAD);
                lane.rows = Vec::with_capacity(ahead.min(MOST_ROWS_AHEAD));
                Self::Closed(Closed { turns: vec![0; lane.connections.len()] })
            }
        }
    }

    /// Start the clock; the lane's times are set.
    pub fn begin(&mut self, lane: &mut Lane) {
        match self {
            Self::Open(_) => lane.rows.iter_mut().for_each(|row| row.intended_ns += lane.times.start_ns),
            Self::Closed(_) => {
                for index in 0..lane.connections.len() {
                    if lane.connections[index].state == State::Ready {
                        lane.wait(index, lane.times.start_ns);
                    }
                }
            }
        }
    }

    /// Hand over every request that is due by now; return the time after that.
    ///
    /// # Errors
    /// What is the machine's fault.
    pub fn due(&mut self, lane: &mut Lane, clock: impl Fn() -> i64) -> io::Result<i64> {
        match self {
            Self::Open(open) => open.due(lane, clock),
            Self::Closed(_) => Ok(clock()),
        }
    }

    /// Use a connection that became ready for a request at `ready_ns`.
    ///
    /// # Errors
    /// What is the machine's fault.
    pub fn ready(&mut self, lane: &mut Lane, index: usize, ready_ns: i64, clock: impl Fn() -> i64) -> io::Result<()> {
        match self {
            Self::Open(open) => open.ready(lane, index, clock),
            Self::Closed(closed) => closed.ready(lane, index, ready_ns, clock),
        }
    }

    /// Send the next request of a connection whose time to think was over at `due_ns`.
    ///
    /// # Errors
    /// What is the machine's fault.
    pub fn thought(&mut self, lane: &mut Lane, index: usize, due_ns: i64, clock: impl Fn() -> i64) -> io::Result<()> {
        match self {
            Self::Open(_) => Ok(()),
            Self::Closed(closed) => closed.send(lane, index, due_ns, clock()),
        }
    }

    /// Forget a connection that is not ready any more, without having been used.
    pub fn lost(&mut self, index: usize) {
        if let Self::Open(open) = self {
            open.free.retain(|&free| free != index);
        }
    }

    /// Time out what is too old.
    ///
    /// # Errors
    /// What is the machine's fault.
    pub fn sweep(&mut self, lane: &mut Lane, now_ns: i64) -> io::Result<()> {
        lane.sweep(now_ns, self.handed_over(lane))?;
        if let Self::Open(open) = self {
            open.drop_ended(lane);
        }
        Ok(())
    }

    /// When `due` or `sweep` has something to do next.
    #[must_use]
    pub fn next_ns(&self, lane: &Lane) -> i64 {
        let due_ns = match self {
            Self::Open(open) => lane.rows.get(open.next).map_or(NEVER_NS, |row| row.intended_ns),
            Self::Closed(_) => NEVER_NS,
        };
        due_ns.min(lane.next_sweep_ns(self.handed_over(lane)))
    }

    /// Whether requests still wait to be sent, be it for their time or for a connection.
    #[must_use]
    pub fn is_waiting(&self, lane: &Lane) -> bool {
        match self {
            Self::Open(open) => !open.queue.is_empty() || open.next < lane.rows.len(),
            Self::Closed(_) => false, // after the window nobody sends
        }
    }

    fn handed_over(&self, lane: &Lane) -> usize {
        match self {
            Self::Open(open) => open.next,
            Self::Closed(_) => lane.rows.len(),
        }
    }
}

/// Requests are due when the schedule says, whatever the service does.
pub struct Open {
    next: usize, // the first request that is not due yet
    queue: VecDeque<usize>,
    limit: usize,
    free: VecDeque<usize>, // idle longest first
}

impl Open {
    fn new(limit: usize, connections: usize, already_free: usize) -> Self {
        let mut free = VecDeque::with_capacity(connections);
        free.extend(0..already_free);
        Self { next: 0, queue: VecDeque::with_capacity(limit), limit, free }
    }

    fn due(&mut self, lane: &mut Lane, clock: impl Fn() -> i64) -> io::Result<i64> {
        loop {
            let now_ns = clock();
            let Some(row) = lane.rows.get_mut(self.next).filter(|row| row.intended_ns <= now_ns) else {
                return Ok(now_ns);
            };
            row.woken_ns = now_ns;
            let index = self.next;
            self.next += 1;
            if let Some(connection) = self.free.pop_front() {
                lane.send(connection, index, now_ns)?;
            } else if self.queue.len() < self.limit {
                self.queue.push_back(index);
            } else {
                lane.rows[index].outcome = Outcome::Dropped;
            }
        }
    }

    /// Take the request that waits longest, if any is still in time.
    fn ready(&mut self, lane: &mut Lane, connection: usize, clock: impl Fn() -> i64) -> io::Result<()> {
        if !self.queue.is_empty() {
            let now_ns = clock();
            while let Some(index) = self.queue.pop_front() {
                let row = &mut lane.rows[index];
                if row.outcome != Outcome::Pending {
                    continue;
                }
                if now_ns - row.intended_ns <= lane.plan.job.timeout_ns {
                    return lane.send(connection, index, now_ns);
                }
                row.outcome = Outcome::TimedOut;
            }
        }
        self.free.push_back(connection);
        Ok(())
    }

    fn drop_ended(&mut self, lane: &Lane) {
        while self.queue.front().is_some_and(|&index| lane.rows[index].outcome != Outcome::Pending) {
            self.queue.pop_front();
        }
    }
}

/// Every connection sends its next request as soon as it has its answer and has thought. Nothing queues, so nothing is
/// dropped. A request is intended when it is due.
pub struct Closed {
    turns: Vec<usize>,
}

impl Closed {
    fn ready(&mut self, lane: &mut Lane, index: usize, ready_ns: i64, clock: impl Fn() -> i64) -> io::Result<()> {
        let times = lane.times;
        if times.start_ns == 0 {
            return Ok(()); // `begin` comes later
        }
        let thought_ns = lane.connections[index].ended_ns.saturating_add(self.think_ns(lane, index));
        let due_ns = thought_ns.max(ready_ns).max(times.start_ns);
        if due_ns >= times.t1_ns {
            return Ok(());
        }
        let now_ns = clock();
        if due_ns <= now_ns {
            return self.send(lane, index, due_ns, now_ns);
        }
        lane.wait(index, due_ns);
        Ok(())
    }

    fn send(&mut self, lane: &mut Lane, index: usize, due_ns: i64, now_ns: i64) -> io::Result<()> {
        if due_ns >= lane.times.t1_ns {
            return Ok(());
        }
        let Schedule::Closed { cycle, kinds, thinks_ns } = &lane.plan.schedule else { return Ok(()) };
        let number = index * lane.lanes + lane.number;
        let kind = kinds[number * cycle + self.turns[index] % cycle];
        self.turns[index] += 1;
        let row = lane.rows.len();
        let woken_ns = if thinks_ns.is_empty() { due_ns } else { now_ns }; // without thinking no timer was waited for
        lane.rows.push(Row { woken_ns, ..Row::planned(due_ns, kind) });
        lane.send(index, row, now_ns)
    }

    /// How long the connection waits after its last turn.
    fn think_ns(&self, lane: &Lane, index: usize) -> i64 {
        let Schedule::Closed { cycle, thinks_ns, .. } = &lane.plan.schedule else { return 0 };
        let turn = self.turns[index];
        if turn == 0 || thinks_ns.is_empty() {
            return 0;
        }
        thinks_ns[(index * lane.lanes + lane.number) * cycle + (turn - 1) % cycle]
    }
}
