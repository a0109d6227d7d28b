//! Connection overrides: what the fragment of a webhook's URL says about its times and repetitions (Twilio: webhooks
//! connection overrides).
//!
//! Values outside of their ranges, and names that are not known, count as not given. Start with [`Overrides::of`].

use std::time::Duration;

/// Total time of a request, with all repetitions.
const TOTAL_MS: u64 = 15_000;

/// Why an attempt failed, as far as a repetition depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    Connecting,
    Reading,
    Status(u16),
}

/// What one webhook is sent with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overrides {
    /// For the connection, and then for the answer; one time limit covers both, for the client has no other.
    pub(super) attempt: Duration,
    pub(super) total: Duration,
    pub(super) retries: u32,
    /// Repeated after these: `4xx`, `5xx`, `ct` (connecting), `rt` (reading).
    policy: Vec<&'static str>,
}

impl Overrides {
    pub(super) fn of(url: &str) -> Self {
        let fragment = url.split_once('#').map_or("", |(_, fragment)| fragment);
        let value = |name: &str| {
            fragment
                .split('&')
                .find_map(|pair| pair.split_once('=').filter(|(given, _)| *given == name))
                .map(|(_, value)| value)
        };
        let number = |name: &str, from: u64, to: u64, default: u64| {
            value(name).and_then(|text| text.parse().ok()).filter(|ms| (from..=to).contains(ms)).unwrap_or(default)
        };
        let connect = number("ct", 100, 10_000, 5_000);
        let read = number("rt", 100, 15_000, 15_000);
        let total = Duration::from_millis(number("tt", 100, TOTAL_MS, TOTAL_MS));
        let words = |text: &str| {
            let known = |word: &str| {
                ["4xx", "5xx", "ct", "rt"].into_iter().filter(|one| word == "all" || word == *one).collect::<Vec<_>>()
            };
            text.split(',').flat_map(|word| known(word.trim())).collect::<Vec<_>>()
        };
        Self {
            attempt: Duration::from_millis(connect + read).min(total),
            total,
            retries: u32::try_from(number("rc", 0, 5, 1)).unwrap_or(1),
            policy: value("rp").map(words).filter(|words| !words.is_empty()).unwrap_or_else(|| vec!["ct"]),
        }
    }

    /// Whether an attempt that failed like this is repeated.
    pub(super) fn repeats(&self, failed: Failed) -> bool {
        let word = match failed {
            Failed::Connecting => "ct",
            Failed::Reading => "rt",
            Failed::Status(status) if (400..500).contains(&status) => "4xx",
            Failed::Status(status) if status >= 500 => "5xx",
            Failed::Status(_) => return false,
        };
        self.policy.contains(&word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_fragment_only_connecting_is_repeated_once() {
        for url in ["https://a/b", "https://a/b#", "https://a/b#anchor", "https://a/b#rc=9&rp=sometimes&tt=99999"] {
            let overrides = Overrides::of(url);
            assert_eq!((overrides.retries, overrides.total), (1, Duration::from_secs(15)), "{url}");
            assert!(overrides.repeats(Failed::Connecting) && !overrides.repeats(Failed::Reading), "{url}");
            assert!(!overrides.repeats(Failed::Status(503)), "{url}");
        }
    }

    #[test]
    fn a_fragment_says_how_long_and_how_often() {
        let overrides = Overrides::of("https://a/b?c=d#ct=200&rt=300&tt=4000&rc=3&rp=5xx,rt&e=ashburn");
        assert_eq!((overrides.attempt, overrides.total), (Duration::from_millis(500), Duration::from_secs(4)));
        assert_eq!(overrides.retries, 3);
        assert!(overrides.repeats(Failed::Status(500)) && overrides.repeats(Failed::Reading));
        assert!(!overrides.repeats(Failed::Status(404)) && !overrides.repeats(Failed::Connecting));
        let all = Overrides::of("https://a/b#rp=all&rc=0");
        assert_eq!(all.retries, 0);
        let failures = [Failed::Connecting, Failed::Reading, Failed::Status(404), Failed::Status(599)];
        assert!(failures.iter().all(|failed| all.repeats(*failed)) && !all.repeats(Failed::Status(304)));
    }
}
