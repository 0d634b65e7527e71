//! Work of a known length in CPU time, as handlers do it: on the thread that polls the request.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Rounds between two looks at the clock: about a microsecond of work against some hundred nanoseconds for the look.
const ROUNDS: u32 = 256;

/// The work of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work(Duration);

impl Work {
    /// Work of `us` microseconds of CPU time, and `percent` of that on top.
    pub fn new(us: f64, percent: f64) -> Self {
        Self(Duration::from_secs_f64(us * (1.0 + percent / 100.0) / 1e6))
    }

    /// Performs it. CPU time, not time on the clock: a thread that is preempted still has the rest to do.
    pub fn perform(self) {
        if self.0.is_zero() {
            return;
        }
        let end = thread_cpu_time() + self.0;
        let mut mixed = 1_u64;
        while thread_cpu_time() < end {
            for _ in 0..ROUNDS {
                mixed = black_box(mixed.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17) | 1);
            }
        }
        black_box(mixed);
    }
}

fn thread_cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    // The kernel never gives a negative time here; zero would only shorten one request.
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_slowdown_makes_the_work_longer_by_its_percentage() {
        assert_eq!(Work::new(1000.0, 0.0), Work(Duration::from_millis(1)));
        assert_eq!(Work::new(1000.0, 20.0), Work(Duration::from_micros(1200)));
    }

    #[test]
    fn work_takes_its_cpu_time_and_none_takes_none() {
        let begun = thread_cpu_time();
        Work::new(2000.0, 50.0).perform();
        let spent = thread_cpu_time().saturating_sub(begun);
        Work::new(0.0, 50.0).perform();

        assert!(spent >= Duration::from_millis(3), "{spent:?}");
    }
}
