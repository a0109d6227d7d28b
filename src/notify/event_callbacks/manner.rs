//! How events are sent to a URL: what its fragment says, how long an answer may take, when a failure is tried again
//! (`quality.md` 1.5 B; events.md 6, "Connection overrides").
//!
//! Only decides; nothing is sent and no clock is read here. Start with [`Manner::of`].

use std::time::Duration;

use crate::outbound::{Answer, Error, Failed, Overrides, RetriedOn, as_requested};
use crate::routing::Timestamp;

/// When a failed event is tried again where the URL does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Schedule {
    /// For three days: after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h.
    #[default]
    Patient,
    /// As Twilio does: once more at once, if no connection came about.
    Twilio,
    /// For two minutes: after 1 s, 5 s, 20 s and 90 s, unless the receiver says that it never will.
    Brief,
}

/// Longest pause that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

const BRIEF: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(20), Duration::from_secs(90)];

const PATIENT: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::notify) enum Outcome {
    /// The receiver took the event.
    Taken,
    /// It answered with another status than 2xx.
    Refused { status: u16, answer: String, retry_after: Option<Duration> },
    /// No connection came about.
    NotConnected(String),
    /// There was no complete answer in time.
    TooLate(String),
    /// The request may not or cannot be made.
    Impossible(String),
}

/// Longest beginning of an answer that is kept, in bytes.
const EXCERPT_MAX: usize = 1_024;

impl Outcome {
    /// What an attempt has come to.
    pub(in crate::notify) fn of(answered: Result<Answer, Error>) -> Self {
        match answered {
            Ok(answer) if (200..300).contains(&answer.status) => Self::Taken,
            Ok(answer) => Self::Refused {
                status: answer.status,
                answer: String::from_utf8_lossy(&answer.body[..answer.body.len().min(EXCERPT_MAX)]).into_owned(),
                retry_after: answer.retry_after,
            },
            Err(error @ Error::Unreachable(_)) => Self::NotConnected(error.to_string()),
            Err(error @ Error::Timeout(_)) => Self::TooLate(error.to_string()),
            Err(error) => Self::Impossible(error.to_string()),
        }
    }

    /// What was wrong, for people.
    pub(in crate::notify) fn reason(&self) -> String {
        match self {
            Self::Taken => String::new(),
            Self::Refused { status, .. } => format!("expected a status from 200 to 299, found {status}"),
            Self::NotConnected(error) | Self::TooLate(error) | Self::Impossible(error) => error.clone(),
        }
    }

    /// The same request would fail the same way.
    const fn is_final(&self) -> bool {
        match self {
            Self::Refused { status, .. } => !matches!(*status, 408 | 425 | 429 | 500..),
            Self::Impossible(_) => true,
            Self::Taken | Self::NotConnected(_) | Self::TooLate(_) => false,
        }
    }

    /// For metrics: a class of status, or what was wrong.
    pub(in crate::notify) const fn code(&self) -> &'static str {
        match self {
            Self::Taken => "2xx",
            Self::Refused { status: 300..=399, .. } => "3xx",
            Self::Refused { status: 400..=499, .. } => "4xx",
            Self::Refused { status: 500..=599, .. } => "5xx",
            Self::Refused { .. } => "other",
            Self::NotConnected(_) => "no_connection",
            Self::TooLate(_) => "timeout",
            Self::Impossible(_) => "impossible",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Retries {
    Patient,
    Brief,
    /// So often, at once, after these.
    AtOnce {
        times: u32,
        on: RetriedOn,
    },
}

/// How events are sent to one URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::notify) struct Manner {
    /// As it is requested and signed: without the fragment.
    pub(in crate::notify) url: String,
    /// An answer takes no longer.
    pub(in crate::notify) patience: Duration,
    retries: Retries,
}

impl Manner {
    /// Reads the fragment of `url`; without one `schedule` and `patience` count. What cannot be understood in it counts
    /// as not said.
    pub(in crate::notify) fn of(url: &str, schedule: Schedule, patience: Duration) -> Self {
        let mut manner = Self {
            url: as_requested(url),
            patience,
            retries: match schedule {
                Schedule::Patient => Retries::Patient,
                Schedule::Brief => Retries::Brief,
                Schedule::Twilio => Retries::AtOnce { times: 1, on: RetriedOn::NO_CONNECTION },
            },
        };
        let Some(overrides) = Overrides::of(url) else { return manner };
        manner.retries = Retries::AtOnce { times: overrides.retries, on: overrides.on };
        if let Some(shortest) = overrides.answer.into_iter().chain(overrides.total).min() {
            manner.patience = shortest;
        }
        manner
    }

    /// When an event is tried again that failed for the `attempts`th time; `None` when it is not. `dice` spreads the
    /// attempts of many events.
    pub(in crate::notify) fn next_attempt(
        &self,
        attempts: u32,
        outcome: &Outcome,
        now: Timestamp,
        dice: u64,
    ) -> Option<Timestamp> {
        let pause = match &self.retries {
            Retries::AtOnce { times, on } => {
                (attempts <= *times && is_covered(*on, outcome)).then_some(Duration::ZERO)?
            }
            Retries::Brief if outcome.is_final() => return None,
            Retries::Patient | Retries::Brief => {
                let pauses: &[Duration] = if self.retries == Retries::Brief { &BRIEF } else { &PATIENT };
                let pause = *pauses.get(usize::try_from(attempts.checked_sub(1)?).ok()?)?;
                // A fifth less to a fifth more.
                let thousandths = 800 + u32::try_from(dice % 401).unwrap_or(200);
                pause.saturating_mul(thousandths) / 1_000
            }
        };
        let asked_for = match outcome {
            Outcome::Refused { status: 429 | 503, retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let pause = pause.max(asked_for.min(RETRY_AFTER_MAX));
        Some(now.plus_ms(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)))
    }
}

fn is_covered(on: RetriedOn, outcome: &Outcome) -> bool {
    let failed = match outcome {
        Outcome::Taken | Outcome::Impossible(_) => return false,
        Outcome::Refused { status, .. } => Failed::Status(*status),
        Outcome::NotConnected(_) => Failed::NoConnection,
        Outcome::TooLate(_) => Failed::NoAnswer,
    };
    on.covers(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_770_000_000_000);

    fn manner(url: &str) -> Manner {
        Manner::of(url, Schedule::Patient, Duration::from_secs(15))
    }

    fn refused(status: u16, retry_after: Option<u64>) -> Outcome {
        Outcome::Refused { status, answer: String::new(), retry_after: retry_after.map(Duration::from_secs) }
    }

    #[test]
    fn a_patient_schedule_ends_after_three_days() {
        let manner = manner("https://app/x");
        let mut total = Duration::ZERO;
        for attempts in 1..=9 {
            let usual = PATIENT[usize::try_from(attempts).unwrap() - 1];
            for (dice, fifths) in [(0, 4), (200, 5), (400, 6)] {
                let at = manner.next_attempt(attempts, &refused(500, None), NOW, dice).unwrap();
                let expected = i64::try_from((usual * fifths / 5).as_millis()).unwrap();
                assert_eq!(at.ms_since(NOW), expected, "{attempts} {dice}");
            }
            total += usual;
        }
        assert_eq!(manner.next_attempt(10, &refused(500, None), NOW, 0), None);
        assert!(total > Duration::from_hours(72));
    }

    #[test]
    fn a_brief_schedule_ends_after_two_minutes_or_at_a_plain_no() {
        let manner = Manner::of("https://app/x", Schedule::Brief, Duration::from_secs(15));
        let after =
            |attempts, outcome: &Outcome| manner.next_attempt(attempts, outcome, NOW, 200).map(|at| at.ms_since(NOW));
        let pauses: Vec<_> = (1..=5).map(|attempts| after(attempts, &refused(503, None))).collect();
        assert_eq!(pauses, [Some(1_000), Some(5_000), Some(20_000), Some(90_000), None]);
        for (outcome, again) in [
            (refused(404, None), false),
            (refused(302, None), false),
            (Outcome::Impossible(String::new()), false),
            (refused(429, None), true),
            (Outcome::NotConnected(String::new()), true),
            (Outcome::TooLate(String::new()), true),
        ] {
            assert_eq!(after(1, &outcome).is_some(), again, "{outcome:?}");
        }
    }

    #[test]
    fn a_receiver_may_ask_for_a_pause_but_not_for_ever() {
        let after =
            |outcome: &Outcome| manner("https://app/x").next_attempt(1, outcome, NOW, 200).unwrap().ms_since(NOW);
        assert_eq!(after(&refused(503, Some(60))), 60_000);
        assert_eq!(after(&refused(429, Some(1))), 5_000, "never sooner than the schedule");
        assert_eq!(after(&refused(503, Some(10_000_000))), 24 * 3_600_000);
        assert_eq!(after(&refused(500, Some(60))), 5_000, "only with 429 and 503");
    }

    #[test]
    fn the_fragment_says_how_often_and_after_what() {
        for (url, attempts, outcome, again) in [
            ("https://app/x#rc=2", 1, Outcome::NotConnected(String::new()), true),
            ("https://app/x#rc=2", 2, Outcome::NotConnected(String::new()), true),
            ("https://app/x#rc=2", 3, Outcome::NotConnected(String::new()), false),
            ("https://app/x#rc=2", 1, refused(500, None), false),
            ("https://app/x#rc=2&rp=5xx", 1, refused(500, None), true),
            ("https://app/x#rc=2&rp=5xx", 1, refused(404, None), false),
            ("https://app/x#rp=4xx,ct", 1, refused(404, None), true),
            ("https://app/x#rp=4xx,ct", 2, refused(404, None), false),
            ("https://app/x#rp=rt", 1, Outcome::TooLate(String::new()), true),
            ("https://app/x#rc=0&rp=all", 1, refused(404, None), false),
            ("https://app/x#rc=5&rp=all", 5, refused(302, None), false),
            ("https://app/x#rc=9", 2, Outcome::NotConnected(String::new()), false),
            ("https://app/x#", 1, Outcome::NotConnected(String::new()), true),
        ] {
            let next = manner(url).next_attempt(attempts, &outcome, NOW, 0);
            assert_eq!(next, again.then_some(NOW), "{url} {attempts} {outcome:?}");
            assert_eq!(manner(url).url, "https://app/x");
        }
        let like_twilio = Manner::of("https://app/x", Schedule::Twilio, Duration::from_secs(15));
        assert_eq!(like_twilio.next_attempt(1, &Outcome::NotConnected(String::new()), NOW, 0), Some(NOW));
        assert_eq!(like_twilio.next_attempt(1, &refused(500, None), NOW, 0), None);
    }

    #[test]
    fn the_fragment_shortens_the_patience_within_bounds() {
        for (url, ms) in [
            ("https://app/x#tt=2000", 2_000),
            ("https://app/x#tt=9000&rt=500", 500),
            ("https://app/x#tt=50", 15_000),
            ("https://app/x#tt=99999", 15_000),
            ("https://app/x#ct=100", 15_000),
            ("https://app/x", 15_000),
        ] {
            assert_eq!(manner(url).patience, Duration::from_millis(ms), "{url}");
        }
    }
}
