//! Connection overrides: what the fragment of a URL says about times and repetitions (`spec/voice.md` 1.2; Twilio:
//! Webhooks, connection overrides).
//!
//! The fragment is neither sent nor signed. Values outside of their ranges, and names that are not known, count as not
//! said. Only reads; nothing is sent here. Start with [`Overrides::of`].

use std::time::Duration;

/// What a fragment says, or what counts where a URL has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overrides {
    /// `ct`: a connection takes no longer.
    pub connect: Duration,
    /// `rt`: an attempt takes no longer.
    pub answer: Option<Duration>,
    /// `tt`: all attempts together take no longer.
    pub total: Option<Duration>,
    /// `rc`: so many repetitions, at once.
    pub retries: u32,
    /// `rp`: after these failures.
    pub on: RetriedOn,
}

/// What a fragment's `rp` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetriedOn {
    client_errors: bool,
    server_errors: bool,
    no_connection: bool,
    no_answer: bool,
}

/// Why an attempt failed, as far as a repetition depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// No connection came about.
    NoConnection,
    /// No complete answer came in time.
    NoAnswer,
    /// The answer has this status.
    Status(u16),
}

impl Default for Overrides {
    fn default() -> Self {
        Self { connect: Self::CONNECT, answer: None, total: None, retries: 1, on: RetriedOn::NO_CONNECTION }
    }
}

impl Overrides {
    /// A connection takes no longer where the URL does not say.
    pub const CONNECT: Duration = Duration::from_secs(5);
    /// Longest time for a connection that a URL may ask for.
    pub const CONNECT_MAX: Duration = Duration::from_secs(10);
    /// Longest time for an answer, and in all.
    const ANSWER_MAX: Duration = Duration::from_secs(15);
    /// Shortest time for anything.
    const SHORTEST: Duration = Duration::from_millis(100);
    const RETRIES_MAX: u64 = 5;

    /// Reads the fragment of `url`; `None` when it has none.
    #[must_use]
    pub fn of(url: &str) -> Option<Self> {
        let (_, fragment) = url.split_once('#')?;
        let said = |name: &str| {
            let mut parts = fragment.split('&').filter_map(|part| part.split_once('='));
            parts.find(|(given, _)| *given == name).map(|(_, value)| value)
        };
        let whole = |name: &str| said(name).and_then(|value| value.parse::<u64>().ok());
        let time = |name: &str, longest: Duration| {
            whole(name).map(Duration::from_millis).filter(|time| (Self::SHORTEST..=longest).contains(time))
        };
        let usual = Self::default();
        Some(Self {
            connect: time("ct", Self::CONNECT_MAX).unwrap_or(usual.connect),
            answer: time("rt", Self::ANSWER_MAX),
            total: time("tt", Self::ANSWER_MAX),
            retries: whole("rc")
                .filter(|times| *times <= Self::RETRIES_MAX)
                .and_then(|times| u32::try_from(times).ok())
                .unwrap_or(usual.retries),
            on: said("rp").and_then(RetriedOn::read).unwrap_or(usual.on),
        })
    }
}

impl RetriedOn {
    /// The policy where none is said.
    pub const NO_CONNECTION: Self =
        Self { client_errors: false, server_errors: false, no_connection: true, no_answer: false };

    /// `None` when no name is known.
    fn read(policy: &str) -> Option<Self> {
        let names = |name: &str| policy.split(',').any(|given| given.trim() == name || given.trim() == "all");
        let read = Self {
            client_errors: names("4xx"),
            server_errors: names("5xx"),
            no_connection: names("ct"),
            no_answer: names("rt"),
        };
        let nothing = Self { client_errors: false, server_errors: false, no_connection: false, no_answer: false };
        (read != nothing).then_some(read)
    }

    /// Whether an attempt that failed like this is repeated.
    #[must_use]
    pub const fn covers(self, failed: Failed) -> bool {
        match failed {
            Failed::NoConnection => self.no_connection,
            Failed::NoAnswer => self.no_answer,
            Failed::Status(400..=499) => self.client_errors,
            Failed::Status(500..=599) => self.server_errors,
            Failed::Status(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_fragment_there_are_no_overrides_and_an_empty_one_says_the_usual() {
        assert_eq!(Overrides::of("https://a/b?c=d"), None);
        for url in ["https://a/b#", "https://a/b#anchor", "https://a/b#rc=9&rp=sometimes&tt=99999&rt=0&ct=10001"] {
            assert_eq!(Overrides::of(url), Some(Overrides::default()), "{url}");
        }
        let usual = Overrides::default();
        assert_eq!((usual.connect, usual.retries), (Duration::from_secs(5), 1));
        assert!(usual.on.covers(Failed::NoConnection) && !usual.on.covers(Failed::NoAnswer));
    }

    #[test]
    fn a_fragment_says_how_long_how_often_and_after_what() {
        let overrides = Overrides::of("https://a/b?c=d#ct=200&rt=300&tt=4000&rc=3&rp=5xx,rt&e=ashburn").unwrap();
        assert_eq!(overrides.connect, Duration::from_millis(200));
        assert_eq!(overrides.answer, Some(Duration::from_millis(300)));
        assert_eq!(overrides.total, Some(Duration::from_secs(4)));
        assert_eq!(overrides.retries, 3);
        assert!(overrides.on.covers(Failed::Status(500)) && overrides.on.covers(Failed::NoAnswer));
        assert!(!overrides.on.covers(Failed::Status(404)) && !overrides.on.covers(Failed::NoConnection));
        let all = Overrides::of("https://a/b#rp=all&rc=0").unwrap();
        assert_eq!(all.retries, 0);
        let failures = [Failed::NoConnection, Failed::NoAnswer, Failed::Status(404), Failed::Status(599)];
        assert!(failures.iter().all(|failed| all.on.covers(*failed)) && !all.on.covers(Failed::Status(304)));
    }
}
