//! The accepted payments, in memory and bounded.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// An accepted payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Payment {
    pub id: u64,
    pub amount: u64,
    pub currency: String,
    pub status: &'static str,
}

/// The newest payments; the oldest goes for each one beyond `limit`, so that memory stays bounded however long a load
/// runs.
#[derive(Debug)]
pub struct Store {
    limit: usize,
    // Held for one push or one look, never across an await: the standard lock is the right one.
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    last_id: u64,
    payments: VecDeque<Payment>,
}

impl Store {
    pub fn new(limit: usize) -> Self {
        Self { limit, kept: Mutex::default() }
    }

    /// Stores an accepted payment and returns its id, counted from 1.
    pub fn accept(&self, amount: u64, currency: String) -> u64 {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.last_id += 1;
        let id = kept.last_id;
        if kept.payments.len() == self.limit {
            kept.payments.pop_front();
        }
        kept.payments.push_back(Payment { id, amount, currency, status: "accepted" });
        id
    }

    /// The payment of that id, while it is kept.
    pub fn find(&self, id: u64) -> Option<Payment> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Ids follow each other without gaps, so the place is known.
        let first = kept.payments.front()?.id;
        kept.payments.get(usize::try_from(id.checked_sub(first)?).ok()?).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_payment_goes_when_the_store_is_full() {
        let store = Store::new(2);
        for amount in [10, 20, 30] {
            store.accept(amount, "EUR".to_owned());
        }

        let found = [1, 2, 3, 4].map(|id| store.find(id).map(|payment| payment.amount));

        assert_eq!(found, [None, Some(20), Some(30), None]);
    }
}
