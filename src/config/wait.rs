//! What a waiting caller hears and may choose, where no application says so.
//!
//! Plain values and whether they make sense; what is done with them is the voice webhooks' business. Start with [`Wait`].

use serde::Deserialize;

/// Longest pause between two announcements, in seconds.
const INTERVAL_MAX_SECS: u32 = 600;

/// Digits of a number that can be called from abroad (E.164).
const NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Longest recording, in seconds: the task on which it is noted is removed 300 s after the caller has left the queue.
const VOICEMAIL_MAX_SECS: u32 = 240;

/// Longest name of a language (BCP 47 tags that phone systems know are far shorter).
const LANGUAGE_MAX: usize = 35;

/// Our own wait document.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Callers ahead are announced.
    pub say_position: bool,
    /// The estimated wait is announced.
    pub say_estimate: bool,
    /// Seconds between two announcements.
    pub interval_secs: u32,
    /// Language of the announcements where the task names none.
    pub language: Option<String>,
    /// Music between the announcements.
    pub music_url: Option<String>,
    /// Key that asks for a callback.
    pub callback_key: String,
    /// How numbers begin that may be called back.
    pub callback_prefixes: Vec<String>,
    /// Attempts at reaching a caller.
    pub callback_attempts: u32,
    /// Seconds between two of them.
    pub callback_pause_secs: u32,
    /// Seconds until a promised callback is given up.
    pub callback_expires_secs: u32,
    /// Key that leads to a recording.
    pub voicemail_key: Option<String>,
    /// Longest recording, in seconds.
    pub voicemail_secs: u32,
}

impl Default for Wait {
    fn default() -> Self {
        Self {
            say_position: true,
            say_estimate: true,
            interval_secs: 20,
            language: None,
            music_url: None,
            callback_key: "1".to_owned(),
            callback_prefixes: Vec::new(),
            callback_attempts: 3,
            callback_pause_secs: 300,
            callback_expires_secs: 14_400,
            voicemail_key: None,
            voicemail_secs: 120,
        }
    }
}

impl Wait {
    /// What is wrong with the values, if anything is.
    pub(super) fn problem(&self) -> Option<String> {
        for (key, found, range) in [
            ("interval_secs", self.interval_secs, 1..=INTERVAL_MAX_SECS),
            ("callback_attempts", self.callback_attempts, 1..=10),
            ("callback_pause_secs", self.callback_pause_secs, 1..=86_400),
            ("callback_expires_secs", self.callback_expires_secs, 60..=604_800),
            ("voicemail_secs", self.voicemail_secs, 5..=VOICEMAIL_MAX_SECS),
        ] {
            if !range.contains(&found) {
                let (start, end) = range.into_inner();
                return Some(format!("wait.{key}: expected {start} to {end}, found {found}"));
            }
        }
        let keys = [("callback_key", Some(&self.callback_key)), ("voicemail_key", self.voicemail_key.as_ref())];
        for (key, found) in keys.into_iter().filter_map(|(key, found)| Some((key, found?))) {
            if !is_key(found) {
                return Some(format!("wait.{key}: expected one of 0-9, * and #, found {found:?}"));
            }
        }
        if self.voicemail_key.as_ref() == Some(&self.callback_key) {
            return Some("wait.voicemail_key: expected another key than wait.callback_key".to_owned());
        }
        if let Some(prefix) = self.callback_prefixes.iter().find(|prefix| !is_prefix(prefix)) {
            return Some(format!("wait.callback_prefixes: expected + and digits, found {prefix:?}"));
        }
        match &self.language {
            Some(language) if !is_language(language) => {
                Some(format!("wait.language: expected a language such as \"en-US\", found {language:?}"))
            }
            _ => None,
        }
    }
}

impl Wait {
    /// Whether a caller with this number may be called back.
    #[must_use]
    pub fn may_call_back(&self, number: &str) -> bool {
        let digits = number.strip_prefix('+').unwrap_or_default();
        let is_number = NUMBER_DIGITS.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number && self.callback_prefixes.iter().any(|prefix| number.starts_with(prefix))
    }
}

fn is_key(text: &str) -> bool {
    text.len() == 1 && text.bytes().all(|key| key.is_ascii_digit() || b"*#".contains(&key))
}

fn is_prefix(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a text looks like the name of a language (BCP 47).
#[must_use]
pub fn is_language(text: &str) -> bool {
    let named = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.len() <= LANGUAGE_MAX && text.split('-').all(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_with_an_allowed_beginning_are_called_back() {
        let wait = |prefixes: &[&str]| Wait {
            callback_prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
            ..Wait::default()
        };
        for (prefixes, number, expected) in [
            (&["+1", "+44"][..], "+15551110000", true),
            (&["+1", "+44"], "+441632960001", true),
            (&["+1", "+44"], "+4930123456", false),
            (&["+"], "+4930123456", true),
            (&["+"], "anonymous", false),
            (&["+"], "+1555", false),
            (&["+"], "+1234567890123456", false),
            (&["+"], "+1555111000x", false),
            (&["+"], "client:+15551110000", false),
            (&["+"], "", false),
            (&[], "+15551110000", false),
        ] {
            assert_eq!(wait(prefixes).may_call_back(number), expected, "{prefixes:?} {number}");
        }
    }
}
