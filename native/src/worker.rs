//! One thread of load: an epoll set, a timer and a lane. It sleeps until something happens and never polls in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use rustix::event::epoll::{self, Event, EventFlags};
use rustix::io::{self, Errno};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::Timespec;

use crate::clock::{Timer, now_ns};
use crate::connection::{State, parts};
use crate::lane::{Counts, Lane, Times};
use crate::models::Dispatcher;
use crate::plan::Plan;
use crate::rows::Row;

const TIMER: u64 = u64::MAX; // no connection has this token
const EVENTS: usize = 256;
const BUFFER_BYTES: usize = 65_536;
const AT_ONCE: usize = 64; // connections being opened at a time: a listen queue of 128, the usual least, never overflows
const CONNECTING_ROUND: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// What the threads and the one that started them tell each other.
#[derive(Debug)]
pub struct Shared {
    /// Start of the clock (ns), 0 until every connection is up.
    pub start_ns: AtomicI64,
    /// Connections that are up, by thread.
    pub ready: Vec<AtomicUsize>,
}

/// What a thread hands back.
#[derive(Debug)]
pub struct Finished {
    /// Its requests.
    pub rows: Vec<Row>,
    /// What it counted.
    pub counts: Counts,
    /// When its drain was over.
    pub end_ns: i64,
}

/// The window as it follows from its start.
#[must_use]
pub fn times(plan: &Plan, start_ns: i64) -> Times {
    let t0_ns = start_ns + plan.job.warmup_ns;
    let t1_ns = t0_ns + plan.job.measure_ns;
    Times { start_ns, t0_ns, t1_ns, last_ns: t1_ns + plan.job.drain_ns }
}

/// Carry out the share of thread `number` of `lanes`, from pinning to the end of the drain.
///
/// # Errors
/// What is the machine's fault; never what the target does.
pub fn run(plan: Arc<Plan>, number: usize, lanes: usize, shared: &Shared) -> io::Result<Finished> {
    pin(&plan.job.cores, number)?;
    let mut worker = Worker::new(Lane::new(plan, number, lanes)?)?;
    worker.connect(shared)?;
    let end_ns = worker.drive()?;
    worker.lane.close();
    Ok(Finished { counts: worker.lane.counted(), rows: worker.lane.rows, end_ns })
}

fn pin(cores: &[usize], number: usize) -> io::Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    let core = cores[number % cores.len()];
    if core >= CpuSet::MAX_CPU {
        return Err(Errno::INVAL);
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)
}

struct Worker {
    lane: Lane,
    dispatcher: Dispatcher,
    timer: Timer,
    events: Vec<Event>,
    buffer: Vec<u8>, // one for all connections: what is read is parsed at once
}

impl Worker {
    fn new(mut lane: Lane) -> io::Result<Self> {
        let dispatcher = Dispatcher::new(&mut lane);
        let timer = Timer::new(lane.epoll(), TIMER)?;
        Ok(Self { lane, dispatcher, timer, events: Vec::with_capacity(EVENTS), buffer: vec![0; BUFFER_BYTES] })
    }

    /// Open every connection, some at a time, and keep them until the clock is set.
    fn connect(&mut self, shared: &Shared) -> io::Result<()> {
        let at_once = (AT_ONCE / self.lane.lanes).max(1);
        let mut opened = if self.lane.plan.job.keep_alive { 0 } else { self.lane.connections.len() };
        loop {
            let ready = self.lane.ready();
            shared.ready[self.lane.number].store(ready, Ordering::Release);
            let start_ns = shared.start_ns.load(Ordering::Acquire);
            if start_ns != 0 {
                self.lane.times = times(&self.lane.plan, start_ns);
                self.dispatcher.begin(&mut self.lane);
                return Ok(());
            }
            while opened < self.lane.connections.len().min(ready + at_once) {
                self.lane.open(opened)?;
                opened += 1;
            }
            self.handle_events(Some(&CONNECTING_ROUND))?;
            self.end_waits(now_ns())?;
        }
    }

    /// Let the clock run from warm-up to the end of the drain and return when that was.
    fn drive(&mut self) -> io::Result<i64> {
        let times = self.lane.times;
        loop {
            let next_ns = self.next_ns();
            let now_ns = now_ns();
            if now_ns >= next_ns {
                self.tick(now_ns)?;
            }
            if now_ns >= times.t1_ns {
                let is_done = self.lane.in_flight == 0 && !self.dispatcher.is_waiting(&self.lane);
                if is_done || now_ns >= times.last_ns {
                    return Ok(now_ns);
                }
            }
            if now_ns >= next_ns {
                self.handle_events(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
            } else {
                self.timer.set(next_ns.min(if now_ns < times.t1_ns { times.t1_ns } else { times.last_ns }))?;
                self.handle_events(None)?;
            }
        }
    }

    /// When something is due by the clock alone.
    fn next_ns(&self) -> i64 {
        self.dispatcher.next_ns(&self.lane).min(self.lane.next_timer_ns())
    }

    /// Do what is due by now, first what is handed over: its lateness counts.
    fn tick(&mut self, now_ns: i64) -> io::Result<()> {
        let now_ns = now_ns.max(self.dispatcher.due(&mut self.lane, crate::clock::now_ns)?);
        self.end_waits(now_ns)?;
        self.dispatcher.sweep(&mut self.lane, now_ns)
    }

    fn end_waits(&mut self, now_ns: i64) -> io::Result<()> {
        while let Some((index, at_ns)) = self.lane.waited(now_ns) {
            let connection = &mut self.lane.connections[index];
            match connection.state {
                State::Away if self.lane.plan.job.keep_alive => self.lane.open(index)?,
                State::Away => {
                    connection.state = State::Ready;
                    self.dispatcher.ready(&mut self.lane, index, now_ns, crate::clock::now_ns)?;
                }
                State::Ready if connection.request.is_none() => {
                    self.dispatcher.thought(&mut self.lane, index, at_ns, crate::clock::now_ns)?;
                }
                State::Ready | State::Connecting => {}
            }
        }
        Ok(())
    }

    /// Wait for events, at most `limit`, and handle all of them, with what becomes due in between.
    fn handle_events(&mut self, limit: Option<&Timespec>) -> io::Result<()> {
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(self.lane.epoll(), rustix::buffer::spare_capacity(&mut events), limit) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let is_running = self.lane.times.start_ns != 0;
        for event in &events {
            let data = event.data;
            if data.u64() == TIMER {
                self.timer.expired();
            } else {
                self.handle(data.u64(), event.flags)?;
            }
            if is_running {
                let now_ns = now_ns();
                if now_ns >= self.next_ns() {
                    self.tick(now_ns)?;
                }
            }
        }
        self.events = events;
        Ok(())
    }

    fn handle(&mut self, token: u64, flags: EventFlags) -> io::Result<()> {
        let (index, generation) = parts(token);
        let index = index as usize;
        if !self.lane.connections[index].is_current(generation) {
            return Ok(());
        }
        if self.lane.connections[index].state == State::Connecting || flags.contains(EventFlags::OUT) {
            self.writable(index)?;
        }
        let ends = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        if !flags.intersects(EventFlags::IN | ends) {
            return Ok(());
        }
        // Edge-triggered: what ends a connection is told once, so it has to be read to that end.
        let to_the_end = flags.intersects(ends);
        let mut more = true;
        while more && self.lane.connections[index].is_current(generation) && self.lane.connections[index].is_up() {
            more = self.read(index, to_the_end)?;
        }
        Ok(())
    }

    /// The socket came up, was refused, or takes more of a request.
    fn writable(&mut self, index: usize) -> io::Result<()> {
        if self.lane.connections[index].state != State::Connecting {
            return self.lane.write(index);
        }
        if self.lane.came_up(index)? && self.lane.connections[index].request.is_none() {
            let now_ns = now_ns();
            return self.dispatcher.ready(&mut self.lane, index, now_ns, crate::clock::now_ns);
        }
        Ok(())
    }

    /// Read once; true when there may be more at once.
    fn read(&mut self, index: usize, to_the_end: bool) -> io::Result<bool> {
        let was_idle = self.lane.connections[index].request.is_none();
        let read = self.lane.read(index, &mut self.buffer, to_the_end)?;
        if was_idle && self.lane.connections[index].state != State::Ready {
            self.dispatcher.lost(index);
        }
        if let Some(ready_ns) = read.ready_ns {
            self.dispatcher.ready(&mut self.lane, index, ready_ns, crate::clock::now_ns)?;
        }
        Ok(read.more)
    }
}
