//! How events are sent to a URL: what its fragment says, how long an answer may take, when a failure is tried again
//! (`quality.md` 1.5 B; events.md 6, "Connection overrides").
//!
//! Only decides; nothing is sent and no clock is read here. Start with [`Manner::of`].

use std::time::Duration;

use crate::outbound::as_requested;
use crate::routing::Timestamp;

/// When a failed event is tried again where the URL does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Schedule {
    /// For three days: after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h.
    #[default]
    Patient,
    /// As Twilio does: once more at once, if no connection came about.
    Twilio,
}

/// How long the longest attempt lasts, in milliseconds; also the most that a fragment may ask for.
const LONGEST_MS: u64 = 15_000;
/// Longest pause that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

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
pub(super) enum Outcome {
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

impl Outcome {
    /// For metrics: a class of status, or what was wrong.
    pub(super) const fn code(&self) -> &'static str {
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

/// What a fragment's `rp` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RetriedOn {
    client_errors: bool,
    server_errors: bool,
    no_connection: bool,
    no_answer: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Retries {
    Patient,
    /// So often, at once, after these.
    AtOnce {
        times: u32,
        on: RetriedOn,
    },
}

/// How events are sent to one URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manner {
    /// As it is requested and signed: without the fragment.
    pub(super) url: String,
    /// An answer takes no longer.
    pub(super) patience: Duration,
    retries: Retries,
}

impl Manner {
    /// Reads the fragment of `url`; without one `schedule` and `patience` count. What cannot be understood in it counts
    /// as not said.
    pub(super) fn of(url: &str, schedule: Schedule, patience: Duration) -> Self {
        let fragment = url.split_once('#').map(|(_, fragment)| fragment);
        let mut manner = Self {
            url: as_requested(url),
            patience,
            retries: match schedule {
                Schedule::Patient => Retries::Patient,
                Schedule::Twilio => Retries::AtOnce { times: 1, on: RetriedOn::NO_CONNECTION },
            },
        };
        let Some(fragment) = fragment else { return manner };
        let said = |name: &str| {
            let mut parts = fragment.split('&').filter_map(|part| part.split_once('='));
            parts.find(|(given, _)| *given == name).map(|(_, value)| value)
        };
        let whole = |name: &str| said(name).and_then(|value| value.parse::<u64>().ok());
        let times = whole("rc").filter(|times| *times <= 5).and_then(|times| u32::try_from(times).ok()).unwrap_or(1);
        manner.retries = Retries::AtOnce { times, on: said("rp").map_or(RetriedOn::NO_CONNECTION, RetriedOn::read) };
        let shortest = whole("tt").into_iter().chain(whole("rt")).filter(|ms| (100..=LONGEST_MS).contains(ms)).min();
        if let Some(ms) = shortest {
            manner.patience = Duration::from_millis(ms);
        }
        manner
    }

    /// When an event is tried again that failed for the `attempts`th time; `None` when it is not. `dice` spreads the
    /// attempts of many events.
    pub(super) fn next_attempt(
        &self,
        attempts: u32,
        outcome: &Outcome,
        now: Timestamp,
        dice: u64,
    ) -> Option<Timestamp> {
        let pause = match &self.retries {
            Retries::AtOnce { times, on } => (attempts <= *times && on.covers(outcome)).then_some(Duration::ZERO)?,
            Retries::Patient => {
                let pause = *PATIENT.get(usize::try_from(attempts.checked_sub(1)?).ok()?)?;
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

impl RetriedOn {
    const NO_CONNECTION: Self =
        Self { client_errors: false, server_errors: false, no_connection: true, no_answer: false };

    fn read(policy: &str) -> Self {
        let names = |name: &str| policy.split(',').any(|given| given.trim() == name || given.trim() == "all");
        Self {
            client_errors: names("4xx"),
            server_errors: names("5xx"),
            no_connection: names("ct"),
            no_answer: names("rt"),
        }
    }

    const fn covers(self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Taken | Outcome::Impossible(_) => false,
            Outcome::Refused { status, .. } => match *status {
                400..=499 => self.client_errors,
                500..=599 => self.server_errors,
                _ => false,
            },
            Outcome::NotConnected(_) => self.no_connection,
            Outcome::TooLate(_) => self.no_answer,
        }
    }
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
