//! Topics: what one says on a topic, all who are there hear, the speaker among them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast::{self, Receiver, Sender};

/// Messages that a slow client may be behind; it misses the older ones.
const BEHIND: usize = 64;

/// The topics on which somebody is.
#[derive(Clone, Debug)]
pub struct Topics<M>(Arc<Mutex<HashMap<Arc<str>, Sender<M>>>>);

/// A place on a topic; who drops it has left.
#[derive(Debug)]
pub struct Seat<M> {
    topics: Topics<M>,
    name: Arc<str>,
    topic: Sender<M>,
    ear: Option<Receiver<M>>,
}

impl<M: Clone> Topics<M> {
    /// A place on the topic of that name, which is there from the first to come until the last to go.
    #[must_use]
    pub fn enter(&self, name: &str) -> Seat<M> {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The name is kept once, however many are there.
        let known = topics.get_key_value(name).map(|(name, topic)| (Arc::clone(name), topic.clone()));
        let (name, topic) = known.unwrap_or_else(|| {
            let (name, topic) = (Arc::from(name), broadcast::channel(BEHIND).0);
            topics.insert(Arc::clone(&name), topic.clone());
            (name, topic)
        });
        let ear = Some(topic.subscribe());
        drop(topics);
        Seat { topics: self.clone(), name, topic, ear }
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

// Written out: derived, it would ask the same of a message.
impl<M> Default for Topics<M> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<M: Clone> Seat<M> {
    /// Says something to all on the topic.
    pub fn say(&self, message: M) {
        // At least this seat hears it, so it cannot fail.
        let _ = self.topic.send(message);
    }

    /// Waits for the next message; skips what this client was too slow for. None is never said while the seat is held.
    pub async fn hear(&mut self) -> Option<M> {
        loop {
            match self.ear.as_mut()?.recv().await {
                Ok(message) => return Some(message),
                Err(broadcast::error::RecvError::Lagged(_)) => (),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl<M> Drop for Seat<M> {
    fn drop(&mut self) {
        let mut topics = self.topics.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that nobody enters between the look and the end of the topic.
        self.ear = None;
        if self.topic.receiver_count() == 0 {
            topics.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_on_the_topic_hear_what_one_says_and_nobody_else_does() {
        let topics = Topics::default();
        let [mut speaker, mut listener] = [(); 2].map(|()| topics.enter("kitchen"));
        let mut other = topics.enter("cellar");

        speaker.say("tea?");
        other.say("dark");

        assert_eq!(speaker.hear().await, Some("tea?"));
        assert_eq!(listener.hear().await, Some("tea?"));
        assert_eq!(other.hear().await, Some("dark"));
    }

    #[tokio::test]
    async fn who_is_too_slow_hears_the_newer_messages() {
        let topics = Topics::default();
        let mut seat = topics.enter("kitchen");
        for number in 0..=BEHIND {
            seat.say(number);
        }

        assert_eq!(seat.hear().await, Some(1));
    }

    #[test]
    fn a_topic_ends_with_the_last_to_leave() {
        let topics = Topics::<()>::default();
        let [first, last] = [(); 2].map(|()| topics.enter("kitchen"));

        drop(first);
        assert_eq!(topics.count(), 1);
        drop(last);
        assert_eq!(topics.count(), 0);
    }
}
