//! Frames: stretches of a large buffer, as a network card would leave them in memory.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The memory that frames arrive in.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    frame: usize,
    arrived: AtomicUsize,
}

/// One frame, which shares the buffer's memory.
#[derive(Clone, Debug)]
pub struct Frame {
    buffer: Arc<Buffer>,
    place: Range<usize>,
}

impl Buffer {
    /// A buffer of `size` bytes for frames of `frame` bytes, at least one of them.
    pub fn new(size: usize, frame: usize) -> Self {
        // Not zero: pages of zeros would not be there before they are written.
        Self { bytes: vec![1; size.max(frame)], frame, arrived: AtomicUsize::new(0) }
    }

    /// The next frame; after the last of the buffer comes the first again.
    pub fn next(self: &Arc<Self>) -> Frame {
        let turn = self.arrived.fetch_add(1, Ordering::Relaxed) % (self.bytes.len() / self.frame);
        Frame { buffer: Arc::clone(self), place: turn * self.frame..(turn + 1) * self.frame }
    }
}

impl Frame {
    pub fn bytes(&self) -> &[u8] {
        &self.buffer.bytes[self.place.clone()]
    }

    /// The [`checksum`] of its bytes.
    pub fn checksum(&self) -> u64 {
        checksum(self.bytes())
    }
}

/// A checksum of all whole words of 8 bytes that knows their order; it reads them at nearly the speed of memory.
pub fn checksum(bytes: &[u8]) -> u64 {
    let (mut sum, mut sums) = (0_u64, 0_u64);
    for word in bytes.chunks_exact(8).filter_map(|word| word.try_into().ok()) {
        sum = sum.wrapping_add(u64::from_le_bytes(word));
        sums = sums.wrapping_add(sum);
    }
    sum ^ sums.rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_each_other_and_start_again() {
        let buffer = Arc::new(Buffer::new(3 * 1024, 1024));

        let places = [(); 4].map(|()| buffer.next().place);

        assert_eq!(places, [0..1024, 1024..2048, 2048..3072, 0..1024]);
    }

    #[test]
    fn a_buffer_holds_at_least_one_frame() {
        let buffer = Arc::new(Buffer::new(8, 1024));

        assert_eq!(buffer.next().bytes().len(), 1024);
    }

    #[test]
    fn the_checksum_knows_the_order_of_words() {
        let frame = |bytes: Vec<u8>| {
            let place = 0..bytes.len();
            let frame = bytes.len();
            Frame { buffer: Arc::new(Buffer { bytes, frame, arrived: AtomicUsize::new(0) }), place }
        };
        let mut turned = [[1_u8; 8], [2; 8]];
        let first = frame(turned.concat()).checksum();
        turned.reverse();

        assert_ne!(frame(turned.concat()).checksum(), first);
    }
}
