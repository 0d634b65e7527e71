//! The fraud check: a synchronous call that blocks its thread, part of it computing, the rest waiting.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long one check takes: `total` on the clock, of which `cpu` is computed.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    pub total: Duration,
    pub cpu: Duration,
}

impl Check {
    /// Checks one payment and says whether it may pass. Blocks the calling thread for the check's whole length.
    #[must_use]
    pub fn passes(self, amount: u64) -> bool {
        let score = compute(amount, self.cpu);
        // A wait of its own length, not "until": a thread that was kept waiting still waits for its answer.
        std::thread::sleep(self.total.saturating_sub(self.cpu));
        score != 0
    }
}

/// Mixes numbers until `length` has passed.
fn compute(seed: u64, length: Duration) -> u64 {
    let (begun, mut mixed) = (Instant::now(), seed | 1);
    while begun.elapsed() < length {
        for _ in 0..64 {
            mixed = black_box(mixed.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17) | 1);
        }
    }
    mixed
}
