//! The queue between the requests and the one consumer: without a limit, or with one.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender};

/// An event that waits: its memory is what matters here.
type Event = Vec<u8>;

/// The producer's end.
#[derive(Clone, Debug)]
pub struct Queue {
    end: End,
    consumed: Arc<AtomicUsize>,
}

#[derive(Clone, Debug)]
enum End {
    Unbounded(UnboundedSender<Event>),
    Bounded(Sender<Event>),
}

/// The consumer's end.
enum Source {
    Unbounded(UnboundedReceiver<Event>),
    Bounded(Receiver<Event>),
}

impl Queue {
    /// A queue for at most `capacity` events, or any number, and its consumer, which takes `each` for an event.
    ///
    /// The consumer is a task of the runtime that is entered.
    pub fn new(capacity: Option<usize>, each: Duration) -> Self {
        let (end, source) = if let Some(capacity) = capacity {
            let (end, source) = mpsc::channel(capacity);
            (End::Bounded(end), Source::Bounded(source))
        } else {
            let (end, source) = mpsc::unbounded_channel();
            (End::Unbounded(end), Source::Unbounded(source))
        };
        let consumed = Arc::new(AtomicUsize::new(0));
        tokio::spawn(consume(source, each, Arc::clone(&consumed)));
        Self { end, consumed }
    }

    /// Adds an event of `bytes`; false when there is no room for it, and it is lost.
    pub fn add(&self, bytes: usize) -> bool {
        match &self.end {
            End::Unbounded(end) => end.send(event(bytes)).is_ok(),
            // The room first: what is refused must not cost the memory that it is refused for.
            End::Bounded(end) => end.try_reserve().map(|room| room.send(event(bytes))).is_ok(),
        }
    }

    /// Events that were consumed.
    pub fn consumed(&self) -> usize {
        self.consumed.load(Ordering::Relaxed)
    }
}

/// Every byte is written, so that every page is really taken.
fn event(bytes: usize) -> Event {
    vec![1; bytes]
}

async fn consume(mut source: Source, each: Duration, consumed: Arc<AtomicUsize>) {
    while let Some(event) = source.next().await {
        tokio::time::sleep(each).await;
        black_box(event);
        consumed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Source {
    async fn next(&mut self) -> Option<Event> {
        match self {
            Self::Unbounded(source) => source.recv().await,
            Self::Bounded(source) => source.recv().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_bounded_queue_takes_its_capacity_and_refuses_the_next() {
        let queue = Queue::new(Some(3), LONG);

        // The consumer gets no turn before the first await, so nothing leaves the queue.
        let taken = [(); 5].map(|()| queue.add(1));

        assert_eq!(taken, [true, true, true, false, false]);
    }

    #[tokio::test]
    async fn an_unbounded_queue_takes_whatever_comes() {
        let queue = Queue::new(None, LONG);

        assert!((0..1000).all(|_| queue.add(1)));
    }

    #[tokio::test]
    async fn a_consumed_event_makes_room_for_another() {
        let queue = Queue::new(Some(1), Duration::ZERO);
        assert!(queue.add(1));

        while queue.consumed() == 0 {
            tokio::task::yield_now().await;
        }

        assert!(queue.add(1));
    }
}
