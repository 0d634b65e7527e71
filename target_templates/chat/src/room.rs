//! Rooms: what one says, all in the room hear, the speaker among them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::broadcast::{self, Receiver, Sender};

/// Messages that a slow client may be behind; it misses the older ones.
const BEHIND: usize = 64;

/// The rooms in which somebody is.
#[derive(Clone, Debug, Default)]
pub struct Rooms(Arc<Mutex<HashMap<String, Sender<Utf8Bytes>>>>);

/// A place in a room; who drops it has left.
#[derive(Debug)]
pub struct Seat {
    rooms: Rooms,
    name: String,
    room: Sender<Utf8Bytes>,
    ear: Option<Receiver<Utf8Bytes>>,
}

impl Rooms {
    /// A place in the room of that name, which is there from the first to come until the last to go.
    pub fn enter(&self, name: String) -> Seat {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = rooms.entry(name.clone()).or_insert_with(|| broadcast::channel(BEHIND).0).clone();
        let ear = Some(room.subscribe());
        drop(rooms);
        Seat { rooms: self.clone(), name, room, ear }
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Seat {
    /// Says something to all in the room.
    pub fn say(&self, text: Utf8Bytes) {
        // At least this seat hears it, so it cannot fail.
        let _ = self.room.send(text);
    }

    /// Waits for the next message; skips what this client was too slow for. None is never said while the seat is held.
    pub async fn hear(&mut self) -> Option<Utf8Bytes> {
        loop {
            match self.ear.as_mut()?.recv().await {
                Ok(text) => return Some(text),
                Err(broadcast::error::RecvError::Lagged(_)) => (),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut rooms = self.rooms.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that nobody enters between the look and the end of the room.
        self.ear = None;
        if self.room.receiver_count() == 0 {
            rooms.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_in_the_room_hear_what_one_says_and_nobody_else_does() {
        let rooms = Rooms::default();
        let [mut speaker, mut listener] = [(); 2].map(|()| rooms.enter("kitchen".to_owned()));
        let mut other = rooms.enter("cellar".to_owned());

        speaker.say("tea?".into());
        other.say("dark".into());

        assert_eq!(speaker.hear().await.as_deref(), Some("tea?"));
        assert_eq!(listener.hear().await.as_deref(), Some("tea?"));
        assert_eq!(other.hear().await.as_deref(), Some("dark"));
    }

    #[tokio::test]
    async fn who_is_too_slow_hears_the_newer_messages() {
        let rooms = Rooms::default();
        let mut seat = rooms.enter("kitchen".to_owned());
        for number in 0..=BEHIND {
            seat.say(number.to_string().into());
        }

        assert_eq!(seat.hear().await.as_deref(), Some("1"));
    }

    #[test]
    fn a_room_ends_with_the_last_to_leave() {
        let rooms = Rooms::default();
        let [first, last] = [(); 2].map(|()| rooms.enter("kitchen".to_owned()));

        drop(first);
        assert_eq!(rooms.count(), 1);
        drop(last);
        assert_eq!(rooms.count(), 0);
    }
}
