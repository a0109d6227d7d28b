//! How many new calls a second the phone system is asked for (`spec/voice.md` 5.5, CPS): calls and participants share
//! the turns, which come evenly spaced.
//!
//! A bucket of one token: a phone system that queues what comes too fast would let legs ring long after they were asked
//! for. Start with [`Pace::take_turn`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;

/// Turns of new calls; cheap to clone, all clones share them.
#[derive(Debug, Clone)]
pub(super) struct Pace(Option<Arc<Turns>>);

#[derive(Debug)]
struct Turns {
    clock: Clock,
    interval_us: i64,
    /// When the next call may be asked for, in microseconds.
    next_us: Mutex<i64>,
}

impl Pace {
    /// At most so many calls a second; no limit without a number, or with one that is none.
    pub(super) fn new(calls_per_sec: Option<f64>, clock: Clock) -> Self {
        let interval = calls_per_sec.and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok());
        Self(interval.map(|interval| {
            let interval_us = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
            Arc::new(Turns { clock, interval_us, next_us: Mutex::new(i64::MIN) })
        }))
    }

    /// Takes the turn of one call, or tells how long it is until there is one.
    pub(super) fn take_turn(&self) -> Result<(), Duration> {
        let Some(turns) = &self.0 else { return Ok(()) };
        let now_us = turns.clock.now().0.saturating_mul(1_000);
        let mut next_us = turns.next_us.lock().unwrap_or_else(PoisonError::into_inner);
        if now_us < *next_us {
            return Err(Duration::from_micros(next_us.abs_diff(now_us)));
        }
        *next_us = now_us.saturating_add(turns.interval_us);
        Ok(())
    }

    /// Waits for the turn of one call, which is its own from now on: whoever comes later has a later one.
    pub(super) async fn turn(&self) {
        tokio::time::sleep(self.reserve_turn()).await;
    }

    /// How long it is until the next turn, which is given away with that.
    fn reserve_turn(&self) -> Duration {
        let Some(turns) = &self.0 else { return Duration::ZERO };
        let now_us = turns.clock.now().0.saturating_mul(1_000);
        let mut next_us = turns.next_us.lock().unwrap_or_else(PoisonError::into_inner);
        let at_us = now_us.max(*next_us);
        *next_us = at_us.saturating_add(turns.interval_us);
        Duration::from_micros(at_us.abs_diff(now_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::Timestamp;

    #[test]
    fn turns_come_evenly_and_are_not_saved_up() {
        let clock = Clock::fixed(Timestamp(1_000));
        let pace = Pace::new(Some(4.0), clock.clone());
        let shared = pace.clone();
        assert_eq!(pace.take_turn(), Ok(()));
        assert_eq!(shared.take_turn(), Err(Duration::from_millis(250)));
        clock.advance(Duration::from_millis(200));
        assert_eq!(pace.take_turn(), Err(Duration::from_millis(50)));
        clock.advance(Duration::from_millis(50));
        assert_eq!(shared.take_turn(), Ok(()));
        clock.advance(Duration::from_mins(1));
        assert_eq!(pace.take_turn(), Ok(()));
        assert_eq!(pace.take_turn(), Err(Duration::from_millis(250)), "a quiet minute saves nothing up");
    }

    #[test]
    fn a_turn_that_is_waited_for_is_nobody_elses() {
        let clock = Clock::fixed(Timestamp(1_000));
        let pace = Pace::new(Some(4.0), clock.clone());
        let quarters = [0, 250, 500].map(Duration::from_millis);
        assert_eq!(quarters.map(|_| pace.reserve_turn()), quarters);
        clock.advance(Duration::from_millis(600));
        assert_eq!(pace.take_turn(), Err(Duration::from_millis(150)), "three were given away");
        clock.advance(Duration::from_millis(150));
        assert_eq!(pace.take_turn(), Ok(()));
        assert_eq!(Pace::new(None, clock).reserve_turn(), Duration::ZERO);
    }

    #[test]
    fn without_a_rate_every_call_has_its_turn() {
        for rate in [None, Some(0.0), Some(-1.0), Some(f64::NAN)] {
            let pace = Pace::new(rate, Clock::fixed(Timestamp(0)));
            assert!((0..100).all(|_| pace.take_turn().is_ok()), "{rate:?}");
        }
    }

    #[test]
    fn turns_are_never_closer_than_the_rate_says() {
        let clock = Clock::fixed(Timestamp(0));
        let pace = Pace::new(Some(400.0), clock.clone());
        let mut turns = 0;
        for _ in 0..1_000 {
            turns += u32::from(pace.take_turn().is_ok());
            clock.advance(Duration::from_millis(1));
        }
        assert_eq!(turns, 334, "every third millisecond: turns are at least 2.5 ms apart");
    }
}
