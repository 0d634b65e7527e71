//! A heavy job: nothing but computing.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Rounds between two looks at the clock: about a microsecond of work against some hundred nanoseconds for the look.
const ROUNDS: u32 = 1024;

/// Computes until this thread has spent `cpu` of CPU time on it; holds the thread.
///
/// CPU time, not time on the clock: a thread that has to give way still has all of its work to do.
pub fn compute(seed: u64, cpu: Duration) -> u64 {
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
    // The kernel never gives a negative time here; zero would only shorten one job.
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_spends_its_cpu_time() {
        let begun = thread_cpu_time();
        compute(1, Duration::from_millis(5));
        let spent = thread_cpu_time().saturating_sub(begun);

        assert!((Duration::from_millis(5)..Duration::from_millis(7)).contains(&spent), "{spent:?}");
    }
}
