//! Receipts: for each message a task waits for the client to say that it has it. The load never says so.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// The receipts that one connection waits for.
#[derive(Debug)]
pub struct Receipts {
    got: Arc<Notify>,
    /// None: for ever.
    limit: Option<Duration>,
    /// The tasks that end with the connection.
    waiting: JoinSet<()>,
}

impl Receipts {
    pub fn new(limit: Option<Duration>) -> Self {
        Self { got: Arc::default(), limit, waiting: JoinSet::new() }
    }

    /// Waits for the receipt of a message in a task of its own, which keeps the message meanwhile.
    pub fn expect(&mut self, message: Utf8Bytes) {
        let got = Arc::clone(&self.got);
        let wait = async move {
            got.notified().await;
            drop(message);
        };
        let Some(limit) = self.limit else {
            // The fault: nobody holds on to this task, so it outlives even its connection.
            tokio::spawn(wait);
            return;
        };
        while self.waiting.try_join_next().is_some() {}
        self.waiting.spawn(async move {
            // Late or never: either way the message is let go.
            let _ = tokio::time::timeout(limit, wait).await;
        });
    }

    /// All receipts came.
    pub fn got(&self) {
        self.got.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Option<Duration> = Some(Duration::from_secs(3600));

    /// The tasks that are left when all that can run have run.
    async fn left() -> usize {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        tokio::runtime::Handle::current().metrics().num_alive_tasks()
    }

    #[tokio::test]
    async fn a_receipt_ends_the_waiting_either_way() {
        for limit in [None, LONG] {
            let mut receipts = Receipts::new(limit);
            receipts.expect("tea?".into());
            assert_eq!(left().await, 1);

            receipts.got();

            assert_eq!(left().await, 0);
        }
    }

    #[tokio::test]
    async fn without_a_limit_a_task_outlives_its_connection() {
        let mut receipts = Receipts::new(None);
        receipts.expect("tea?".into());

        drop(receipts);

        assert_eq!(left().await, 1);
    }

    #[tokio::test]
    async fn with_a_limit_a_task_ends_with_its_connection() {
        let mut receipts = Receipts::new(LONG);
        receipts.expect("tea?".into());

        drop(receipts);

        assert_eq!(left().await, 0);
    }

    #[tokio::test]
    async fn with_a_limit_a_task_ends_in_time() {
        let mut receipts = Receipts::new(Some(Duration::from_millis(1)));
        receipts.expect("tea?".into());

        tokio::time::sleep(Duration::from_millis(20)).await;

        assert_eq!(left().await, 0);
    }
}
