//! The time of one workspace: the machine's clock, unless that is behind what the workspace has seen already.
//!
//! Pure. A clock that was set back while the server did not run must neither let event times go back nor stop timers
//! until it has caught up. Start with [`Moments::at`].

use crate::routing::Timestamp;

/// Of so many milliseconds one is left out, until the clock has caught up: timers are late by a tenth at most.
const ONE_IN: i64 = 10;

/// How a workspace's time follows the machine's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    /// The clock at the start.
    started: Timestamp,
    /// How far the workspace's time was ahead of it then, in milliseconds.
    ahead_ms: i64,
}

impl Moments {
    /// From the clock at the start and the moment of the newest change.
    pub(super) const fn beginning(clock: Timestamp, newest: Timestamp) -> Self {
        Self { started: clock, ahead_ms: newest.ms_since(clock) }
    }

    /// The workspace's time when the clock shows `clock`; it never goes back while the clock does not.
    pub(super) fn at(self, clock: Timestamp) -> Timestamp {
        let left_out = clock.ms_since(self.started) / ONE_IN;
        clock.plus_ms(self.ahead_ms.saturating_sub(left_out).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_from_the_newest_change_and_is_caught_up_with() {
        let moments = Moments::beginning(Timestamp(1_000_000), Timestamp(1_600_000));
        assert_eq!(moments.at(Timestamp(1_000_000)), Timestamp(1_600_000));
        let mut before = moments.at(Timestamp(1_000_000));
        for clock in (1_000_001..7_100_000).step_by(7) {
            let at = moments.at(Timestamp(clock));
            assert!(before <= at && at >= Timestamp(clock), "{clock}");
            before = at;
        }
        assert_eq!(moments.at(Timestamp(2_000_000)), Timestamp(2_500_000), "a tenth slower");
        assert_eq!(moments.at(Timestamp(7_000_000)), Timestamp(7_000_000), "caught up");
    }

    #[test]
    fn a_clock_that_is_not_behind_is_followed() {
        let moments = Moments::beginning(Timestamp(5_000), Timestamp(4_000));
        assert_eq!(moments.at(Timestamp(5_000)), Timestamp(5_000));
        assert_eq!(Moments::beginning(Timestamp(0), Timestamp(i64::MIN)).at(Timestamp(9)), Timestamp(9));
    }
}
