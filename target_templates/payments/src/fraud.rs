//! The fraud check: a synchronous call that blocks its thread, part of it computing, the rest waiting.
//!
//! It stands for what real services do by mistake in a handler: a synchronous driver, a signature, a call to the disk.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Rounds between two looks at the clock: a few microseconds of work against some hundred nanoseconds for the look.
const ROUNDS: u32 = 1024;

/// One check: `cpu` of computing, then `wait` of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    cpu: Duration,
    wait: Duration,
}

impl Check {
    /// A check of `total_ms` milliseconds in all, of which `cpu_ms` (at most all of it) are computed.
    pub fn new(total_ms: f64, cpu_ms: f64) -> Self {
        let cpu_ms = cpu_ms.min(total_ms);
        let length = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
        Self { cpu: length(cpu_ms), wait: length(total_ms - cpu_ms) }
    }

    /// Checks one payment and says whether it may pass. Blocks the calling thread.
    pub fn passes(self, amount: u64) -> bool {
        let score = compute(amount, self.cpu);
        // A wait of its own length, not "until": a thread that had to queue for its core still waits for the answer.
        if !self.wait.is_zero() {
            std::thread::sleep(self.wait);
        }
        score != 0
    }
}

/// Mixes numbers until this thread has spent `cpu` of CPU time on it.
///
/// CPU time, not time on the clock: a thread that is preempted half-way still has the other half to do, so that
/// threads that share a core slow each other down as real work does.
fn compute(seed: u64, cpu: Duration) -> u64 {
    let end = thread_cpu_time() + cpu;
    let mut mixed = seed | 1;
    while thread_cpu_time() < end {
        for _ in 0..ROUNDS {
            mixed = black_box(mixed.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17) | 1);
        }
    }
    mixed
}

fn thread_cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    // The kernel never gives a negative time here; zero would only shorten one check.
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Runs one check and returns the time on the clock and the CPU time that it took.
    fn measure(check: Check) -> (Duration, Duration) {
        let (begun, cpu) = (Instant::now(), thread_cpu_time());
        assert!(check.passes(1));
        (begun.elapsed(), thread_cpu_time().saturating_sub(cpu))
    }

    #[test]
    fn a_check_computes_for_its_cpu_part_and_waits_for_the_rest() {
        let (wall, cpu) = measure(Check::new(20.0, 5.0));

        assert!(wall >= Duration::from_millis(20), "{wall:?}");
        assert!((Duration::from_millis(5)..Duration::from_millis(8)).contains(&cpu), "{cpu:?}");
    }

    #[test]
    fn checks_that_share_a_core_each_do_all_of_their_computing() {
        let cores = std::thread::available_parallelism().unwrap().get();
        let crowd: Vec<_> = (0..4 * cores).map(|_| std::thread::spawn(|| measure(Check::new(10.0, 10.0)).1)).collect();

        for thread in crowd {
            assert!(thread.join().unwrap() >= Duration::from_millis(10));
        }
    }

    #[test]
    fn a_cpu_part_longer_than_the_check_is_the_whole_check() {
        assert_eq!(Check::new(1.0, 3.0), Check::new(1.0, 1.0));
    }
}
