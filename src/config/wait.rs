//! What a waiting caller hears and may choose, where no application says so.
//!
//! Plain values and whether they make sense; what is done with them is the voice webhooks' business. Start with [`Wait`].

use serde::Deserialize;

/// Longest pause between two announcements, in seconds.
const INTERVAL_MAX_SECS: u32 = 600;

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
}

impl Default for Wait {
    fn default() -> Self {
        Self { say_position: true, say_estimate: true, interval_secs: 20, language: None, music_url: None }
    }
}

impl Wait {
    /// What is wrong with the values, if anything is.
    pub(super) fn problem(&self) -> Option<String> {
        if !(1..=INTERVAL_MAX_SECS).contains(&self.interval_secs) {
            let found = self.interval_secs;
            return Some(format!("wait.interval_secs: expected 1 to {INTERVAL_MAX_SECS}, found {found}"));
        }
        match &self.language {
            Some(language) if !is_language(language) => {
                Some(format!("wait.language: expected a language such as \"en-US\", found {language:?}"))
            }
            _ => None,
        }
    }
}

/// Whether a text looks like the name of a language (BCP 47).
#[must_use]
pub fn is_language(text: &str) -> bool {
    let named = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.len() <= LANGUAGE_MAX && text.split('-').all(named)
}
