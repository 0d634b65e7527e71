//! The clock of every time stamp (`CLOCK_MONOTONIC`, nanoseconds) and the timer that wakes a thread by it.

use rustix::event::epoll;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};

/// Nanoseconds in a second.
pub const SECOND_NS: i64 = 1_000_000_000;

/// "Not at all" as a time to wake up.
pub const NEVER_NS: i64 = i64::MAX;

/// What the clock says now.
#[must_use]
pub fn now_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * SECOND_NS + now.tv_nsec
}

/// A timer of the kernel in an epoll set. Edge-triggered, so that nobody has to read it: setting it again is enough.
pub struct Timer {
    descriptor: OwnedFd,
    armed_ns: i64,
}

impl Timer {
    /// Make the timer, not yet set; its event carries `token`.
    ///
    /// # Errors
    /// What the kernel says when it has no timer left.
    pub fn new(epoll: impl AsFd, token: u64) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let events = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(epoll, &descriptor, epoll::EventData::new_u64(token), events)?;
        Ok(Self { descriptor, armed_ns: NEVER_NS })
    }

    /// Expire at `at_ns`, at once if that has passed, or not at all (`NEVER_NS`). Costs nothing if it is set so already.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set(&mut self, at_ns: i64) -> io::Result<()> {
        if at_ns == self.armed_ns {
            return Ok(());
        }
        let value = if at_ns == NEVER_NS { 0 } else { at_ns.max(1) }; // 0 would disarm it
        let it_value = Timespec { tv_sec: value / SECOND_NS, tv_nsec: value % SECOND_NS };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::ABSTIME, &once)?;
        self.armed_ns = at_ns;
        Ok(())
    }

    /// Note that it has expired, so that the same time can be set again.
    pub fn expired(&mut self) {
        self.armed_ns = NEVER_NS;
    }
}
