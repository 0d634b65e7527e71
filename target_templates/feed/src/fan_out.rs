//! From one tick to every subscriber and back: one message and one poll for each of them.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A tick on its way.
#[derive(Debug)]
struct Tick {
    price: u64,
    /// Subscribers that do not have it yet.
    missing: AtomicUsize,
    all_have_it: Notify,
}

/// The subscribers, each a task of its own.
#[derive(Debug)]
pub struct Subscribers(Vec<UnboundedSender<Arc<Tick>>>);

impl Subscribers {
    /// Starts that many as tasks, spread evenly over the runtimes.
    pub fn start(count: usize, runtimes: &[Handle]) -> Self {
        let one = |runtime: &Handle| {
            let (sender, ticks) = unbounded_channel();
            runtime.spawn(follow(ticks));
            sender
        };
        Self(runtimes.iter().cycle().take(count).map(one).collect())
    }

    /// Sends a price to every subscriber and waits until all have it; returns how many that were, or None where one is
    /// gone.
    pub async fn tell(&self, price: u64) -> Option<usize> {
        let tick = Arc::new(Tick { price, missing: AtomicUsize::new(self.0.len()), all_have_it: Notify::new() });
        for subscriber in &self.0 {
            subscriber.send(Arc::clone(&tick)).ok()?;
        }
        tick.all_have_it.notified().await;
        Some(self.0.len())
    }
}

/// One subscriber: it remembers the last price, which is as little as a task can do.
async fn follow(mut ticks: UnboundedReceiver<Arc<Tick>>) {
    let mut last = 0;
    while let Some(tick) = ticks.recv().await {
        last = black_box(last).max(tick.price);
        if tick.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Kept for the waiter, if it does not wait yet.
            tick.all_have_it.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tick_is_over_when_every_subscriber_has_it() {
        for count in [1, 2, 300] {
            let subscribers = Subscribers::start(count, &[Handle::current()]);

            assert_eq!(subscribers.tell(7).await, Some(count));
        }
    }

    #[tokio::test]
    async fn ticks_may_overlap() {
        let subscribers = Arc::new(Subscribers::start(50, &[Handle::current()]));

        let ticks: Vec<_> = (0..20)
            .map(|price| {
                let subscribers = Arc::clone(&subscribers);
                tokio::spawn(async move { subscribers.tell(price).await })
            })
            .collect();

        for tick in ticks {
            assert_eq!(tick.await.unwrap(), Some(50));
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn subscribers_may_be_polled_by_several_workers() {
        let subscribers = Subscribers::start(1000, &[Handle::current()]);

        for price in 0..20 {
            assert_eq!(subscribers.tell(price).await, Some(1000));
        }
    }
}
