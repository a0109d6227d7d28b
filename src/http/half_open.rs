//! Connections that have not told their first request yet: how many there may be, and who goes when there are more.
//!
//! A flood of clients that connect and dribble must not keep others out. So a connection beyond the limit takes the place of
//! the oldest of those, once that one has had a moment to send a head that fits into one packet. Must not look at bytes:
//! the connection says when it has told something. Start with [`HalfOpen::enter`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Time that every connection has for its first request, however many others wait.
const MOMENT: Duration = Duration::from_secs(1);

/// Pause between two looks for a place.
const PAUSE: Duration = Duration::from_millis(5);

/// The connections of one listener that have told nothing yet.
#[derive(Debug, Clone)]
pub(super) struct HalfOpen {
    limit: usize,
    line: Arc<Mutex<Line>>,
}

/// In the order of their arrival.
#[derive(Debug, Default)]
struct Line {
    next: u64,
    waiting: BTreeMap<u64, (Instant, CancellationToken)>,
}

/// One connection's place; it leaves the line with its first request, or when this is dropped.
#[derive(Debug)]
pub(super) struct Unheard {
    line: Arc<Mutex<Line>>,
    number: u64,
    /// Cancelled when another connection takes the place.
    pub(super) displaced: CancellationToken,
}

impl HalfOpen {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), line: Arc::default() }
    }

    /// Waits until there is a place, which is at most as long as the oldest of all may take; the oldest loses it then.
    pub(super) async fn enter(&self) -> Unheard {
        let clock = Clock::system();
        loop {
            if let Some(place) = self.try_enter(clock.instant()) {
                return place;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn try_enter(&self, now: Instant) -> Option<Unheard> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.waiting.len() >= self.limit {
            let (number, (since, displaced)) = line.waiting.first_key_value()?;
            if now.duration_since(*since) < MOMENT {
                return None;
            }
            displaced.cancel();
            let number = *number;
            line.waiting.remove(&number);
            metrics::counter!("taskrouter_http_refused_connections_total", "reason" => "half_open").increment(1);
        }
        let number = line.next;
        line.next += 1;
        let displaced = CancellationToken::new();
        line.waiting.insert(number, (now, displaced.clone()));
        Some(Unheard { line: Arc::clone(&self.line), number, displaced })
    }
}

impl Unheard {
    /// The connection has told a whole request head: from now on its place is nobody else's.
    pub(super) fn heard(&self) {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).waiting.remove(&self.number);
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        self.heard();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_but_not_before_it_had_a_moment() {
        let half_open = HalfOpen::new(2);
        let began = Clock::system().instant();
        let oldest = half_open.try_enter(began).unwrap();
        let second = half_open.try_enter(began + MOMENT / 2).unwrap();
        assert!(half_open.try_enter(began + MOMENT * 9 / 10).is_none());
        let third = half_open.try_enter(began + MOMENT).unwrap();
        assert!(oldest.displaced.is_cancelled());
        assert!(!second.displaced.is_cancelled() && !third.displaced.is_cancelled());
    }

    #[test]
    fn who_has_told_a_request_or_is_gone_leaves_the_place_at_once() {
        let half_open = HalfOpen::new(1);
        let now = Clock::system().instant();
        let heard = half_open.try_enter(now).unwrap();
        heard.heard();
        let gone = half_open.try_enter(now).unwrap();
        drop(gone);
        let last = half_open.try_enter(now).unwrap();
        assert!(!heard.displaced.is_cancelled());
        drop(last);
        assert!(half_open.line.lock().unwrap().waiting.is_empty());
    }
}
