//! One after the other: of several requests with one key, the next begins when the one before it has ended.
//!
//! Only those that are under way have a place here. Start with [`Turns::take`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

type Queue = Arc<AsyncMutex<()>>;

/// The keys of those that are under way, each with the queue of those who want the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<HashMap<String, Queue>>>);

/// A turn; the next one's begins when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Given back before the place is.
    _turn: OwnedMutexGuard<()>,
    _place: Place,
}

/// A place in the queue of a key, whether it is one's turn or not.
#[derive(Debug)]
struct Place {
    turns: Turns,
    key: String,
    queue: Option<Queue>,
}

impl Turns {
    /// Waits until nobody else with this key is under way, in the order of asking.
    pub(crate) async fn take(&self, key: &str) -> Turn {
        let queue = Arc::clone(self.queues().entry(key.to_owned()).or_default());
        let place = Place { turns: self.clone(), key: key.to_owned(), queue: Some(Arc::clone(&queue)) };
        Turn { _turn: queue.lock_owned().await, _place: place }
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<String, Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queues = self.turns.queues();
        // With the map locked, so that of two who go at once the last one sees that it is the last.
        drop(self.queue.take());
        if queues.get(&self.key).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn the_next_turn_begins_when_the_one_before_has_ended() {
        let turns = Turns::default();
        let first = turns.take("a").await;
        let mut second = Box::pin(turns.take("a"));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(turns.take("b").now_or_never().is_some());
        drop(first);
        assert!(second.now_or_never().is_some());
    }

    #[tokio::test]
    async fn nothing_is_left_of_those_who_went_whether_they_had_their_turn_or_not() {
        let turns = Turns::default();
        let first = turns.take("a").await;
        let mut second = Box::pin(turns.take("a"));
        assert!(second.as_mut().now_or_never().is_none());
        drop(second);
        assert_eq!(turns.queues().len(), 1);
        drop(first);
        assert!(turns.queues().is_empty());
    }
}
