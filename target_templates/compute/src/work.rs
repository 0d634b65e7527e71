//! The computation: CPU time to the last of it, in one go or in slices.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Rounds between two looks at the clock: about a microsecond of work against some hundred nanoseconds for the look.
const ROUNDS: u32 = 1024;

/// A computation that is not over yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    mixed: u64,
    left: Duration,
}

impl Work {
    /// A computation of `cpu` in all.
    pub fn new(seed: u64, cpu: Duration) -> Self {
        Self { mixed: seed | 1, left: cpu }
    }

    /// Does all that is left, and returns the result. Holds the calling thread.
    pub fn finish(mut self) -> u64 {
        self.slice(self.left);
        self.mixed
    }

    /// Does the whole of it, and lets other tasks run after each `slice`.
    pub async fn finish_in_slices(mut self, slice: Duration) -> u64 {
        while self.slice(slice) {
            tokio::task::yield_now().await;
        }
        self.mixed
    }

    /// Computes for at most `most`, and says whether anything is left.
    ///
    /// CPU time of this thread, not time on the clock: threads that share a core slow each other down, as real work does.
    fn slice(&mut self, most: Duration) -> bool {
        let begun = thread_cpu_time();
        let most = most.min(self.left);
        let mut spent = Duration::ZERO;
        while spent < most {
            for _ in 0..ROUNDS {
                self.mixed = black_box(self.mixed.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17) | 1);
            }
            spent = thread_cpu_time().saturating_sub(begun);
        }
        self.left = self.left.saturating_sub(spent);
        !self.left.is_zero()
    }
}

fn thread_cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    // The kernel never gives a negative time here; zero would only lengthen one computation.
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Duration = Duration::from_millis(5);
    const SLICE: Duration = Duration::from_millis(1);

    #[test]
    fn all_of_the_cpu_time_is_computed() {
        let begun = thread_cpu_time();
        Work::new(1, WORK).finish();
        let spent = thread_cpu_time().saturating_sub(begun);

        assert!((WORK..WORK + SLICE).contains(&spent), "{spent:?}");
    }

    #[test]
    fn slices_add_up_to_the_whole() {
        let mut work = Work::new(1, WORK);
        let begun = thread_cpu_time();
        let mut slices = 1;
        while work.slice(SLICE) {
            slices += 1;
        }
        let spent = thread_cpu_time().saturating_sub(begun);

        assert!((3..=5).contains(&slices), "{slices}");
        assert!((WORK..WORK + SLICE).contains(&spent), "{spent:?}");
    }

    #[tokio::test]
    async fn another_task_gets_its_turn_between_slices() {
        let other = tokio::spawn(async {});

        Work::new(1, WORK).finish_in_slices(SLICE).await;

        assert!(other.is_finished());
    }

    #[test]
    fn no_cpu_time_is_no_work() {
        assert_eq!(Work::new(6, Duration::ZERO).finish(), 7);
    }
}
