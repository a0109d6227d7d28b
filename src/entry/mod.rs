//! What callers meet before the routing: entry points, and the calendars that say when they are open.
//!
//! Plain values and what they mean; nothing here reads rows, asks for the time or writes TwiML. Start with
//! [`EntryPoint`] and [`Calendar`].

mod calendar;
mod file;

use serde::{Deserialize, Serialize};

pub use calendar::{Calendar, CalendarDocument, Exception, InvalidCalendar, WEEKDAYS, Week};
pub use file::{EntryFile, FiledCalendar, FiledEntryPoint};

/// Entry points, and calendars, of one workspace.
pub const ENTRIES_MAX: u32 = 1_000;

/// Longest text that is said, in characters.
pub const TEXT_LIMIT: usize = 1_000;

/// What an entry point says, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryPoint {
    /// SID of the workflow that callers are enqueued with.
    pub workflow: String,
    /// Attributes of their tasks, a JSON object; the call's own are added.
    pub attributes: String,
    /// Priority of their tasks.
    pub priority: Option<i32>,
    /// Time to live of their tasks, in seconds.
    pub timeout_secs: Option<u32>,
    /// Said to every caller who is let in.
    pub greeting: Option<String>,
    /// Played to them instead.
    pub greeting_url: Option<String>,
    /// SID of the calendar; always open without one.
    pub calendar: Option<String>,
    /// What callers meet while the calendar is closed.
    pub closed: Fallback,
    /// What they meet when the queue is full, or nobody took the call.
    pub overflow: Fallback,
    /// SID of the workflow of voicemails; that of the callers when absent.
    pub voicemail_workflow: Option<String>,
}

/// What a caller meets who is not connected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// What happens.
    pub action: FallbackAction,
    /// What is said first; a text of the template when absent.
    pub text: Option<String>,
    /// Whom to dial.
    pub number: Option<String>,
}

/// What happens to a caller who is not connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FallbackAction {
    /// A few words, and the call ends.
    #[default]
    Apology,
    /// The caller leaves a message, which becomes a task.
    Voicemail,
    /// Somebody else is dialled.
    Dial,
}

impl FallbackAction {
    /// The words of the API.
    pub const WORDS: [&str; 3] = ["apology", "voicemail", "dial"];

    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apology => Self::WORDS[0],
            Self::Voicemail => Self::WORDS[1],
            Self::Dial => Self::WORDS[2],
        }
    }

    /// Reads the word of the API.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Apology, Self::Voicemail, Self::Dial].into_iter().find(|action| action.as_str() == text)
    }
}
