//! The work on a request: CPU time, as parsing, checking and logging take it.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Rounds between two looks at the clock: about a quarter of a microsecond of work.
const ROUNDS: u32 = 256;

/// Uses `cpu` of the calling thread.
///
/// CPU time, not time on the clock: threads that share a core slow each other down, as real work does.
pub fn spend(cpu: Duration) {
    let begun = thread_cpu_time();
    let mut mixed = 1_u64;
    while thread_cpu_time().saturating_sub(begun) < cpu {
        for _ in 0..ROUNDS {
            mixed = black_box(mixed.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17) | 1);
        }
    }
}

fn thread_cpu_time() -> Duration {
    // The kernel never gives a negative time here; zero would only lengthen the work of one request.
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_cpu_time_is_spent_and_hardly_more() {
        let cpu = Duration::from_millis(5);
        let begun = thread_cpu_time();
        spend(cpu);
        let spent = thread_cpu_time().saturating_sub(begun);

        assert!((cpu..cpu + Duration::from_millis(1)).contains(&spent), "{spent:?}");
    }
}
