//! TwiML documents as data: what a leg is to do, verb after verb.
//!
//! Reading resolves URLs against the document's own URL and puts defaults in, so that nothing later needs the text.
//! Unknown verbs, nouns and attributes are warnings, not errors (Twilio: error 12200). Start with [`Document::parse`].

mod reading;
mod tree;
mod vocabulary;

use std::collections::BTreeSet;
use std::sync::Arc;

use url::Url;

pub(crate) use self::reading::DETECTION_SECS;
use self::reading::Reading;
use super::options::Method;

pub(crate) use self::tree::DOCUMENT_BYTES_MAX;

const SAY_MS_PER_CHARACTER: i64 = 60;
const SAY_MS_MAX: i64 = 60_000;
const PLAY_MS: i64 = 5_000;
const FOREVER_MS: i64 = 86_400_000;

/// A document that cannot be run, with Twilio's error code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct DocumentError {
    pub(crate) code: u32,
    pub(crate) message: String,
}

impl DocumentError {
    pub(crate) fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn parse(error: &dyn std::fmt::Display) -> Self {
        Self::new(12100, format!("the document is not well-formed XML: {error}"))
    }
}

/// A URL to ask, with its method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) method: Method,
}

/// Who is told of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatusCallback {
    pub(crate) target: Target,
    /// Names as subscribed to: `answered`, `join` …
    pub(crate) events: BTreeSet<String>,
}

/// Splits an event list: repeated, or separated by spaces or commas.
pub(crate) fn event_names<'a>(lists: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    lists
        .into_iter()
        .flat_map(|list| list.split([' ', ',']))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Verbs to run in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Document {
    pub(crate) verbs: Vec<Verb>,
    /// What was skipped while reading.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verb {
    Media(Media),
    Gather(Arc<Gather>),
    Enqueue(Arc<Enqueue>),
    Dial(Arc<Dial>),
    Redirect(Target),
    Hangup,
    Reject { busy: bool },
    Record(Arc<Record>),
    Leave,
}

/// Speech, music or silence: only its length matters, for no sound flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Media {
    pub(crate) kind: MediaKind,
    pub(crate) ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaKind {
    Say,
    Play,
    Pause,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gather {
    /// Where digits go; none when the document has no URL of its own and names none.
    pub(crate) action: Option<Target>,
    /// How long the nested prompts last.
    pub(crate) prompt_ms: i64,
    pub(crate) timeout_ms: i64,
    pub(crate) digits_max: Option<usize>,
    pub(crate) finish_on_key: Option<char>,
    pub(crate) action_on_empty: bool,
    /// Keys are listened to, and speech is.
    pub(crate) keys: bool,
    pub(crate) speech: bool,
}

/// `<Record>`: what the far end says, until it is silent, presses a key or has said enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) action: Option<Target>,
    /// Silence that ends it.
    pub(crate) timeout_ms: i64,
    pub(crate) length_ms_max: i64,
    pub(crate) finish_on_keys: String,
    pub(crate) order: RecordingOrder,
}

/// How something is recorded, whoever asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordingOrder {
    pub(crate) source: &'static str,
    pub(crate) is_dual: bool,
    /// From the ringing on, not from the answer.
    pub(crate) from_ringing: bool,
    pub(crate) track: &'static str,
    /// Silence at both ends is cut away.
    pub(crate) trims: bool,
    pub(crate) status_callback: Option<StatusCallback>,
}

/// Whether a person or a machine answered is found out, and how that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detection {
    /// Waits for the end of a machine's message.
    pub(crate) until_message_end: bool,
    /// The document does not wait for the result.
    pub(crate) is_async: bool,
    pub(crate) timeout_ms: i64,
    pub(crate) callback: Option<Target>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Enqueue {
    pub(crate) name: String,
    pub(crate) action: Option<Target>,
    pub(crate) wait: Option<Target>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dial {
    pub(crate) action: Option<Target>,
    pub(crate) timeout_secs: u32,
    pub(crate) time_limit_secs: u32,
    pub(crate) caller_id: Option<String>,
    /// The dialling leg ends the connection with the star key.
    pub(crate) hangup_on_star: bool,
    /// A call that comes in rings until the dialled leg answers.
    pub(crate) answer_on_bridge: bool,
    /// One address after the other, not all at once.
    pub(crate) sequential: bool,
    pub(crate) recording: Option<RecordingOrder>,
    pub(crate) to: DialTo,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DialTo {
    /// All ring, the first to answer is connected.
    Addresses(Vec<DialAddress>),
    Room {
        name: String,
        entry: Box<RoomEntry>,
    },
    Queue {
        name: String,
        /// Run for the waiting call before both are connected.
        whisper: Option<Target>,
    },
    /// Cannot be carried out, with Twilio's error code.
    Nowhere(DocumentError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DialAddress {
    pub(crate) address: String,
    pub(crate) status_callback: Option<StatusCallback>,
    /// Run for the called party before both are connected.
    pub(crate) whisper: Option<Target>,
    pub(crate) send_digits: String,
    pub(crate) detection: Option<Detection>,
}

impl DialAddress {
    fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            status_callback: None,
            whisper: None,
            send_digits: String::new(),
            detection: None,
        }
    }
}

/// How a leg enters a room (Twilio: `<Conference>`; the same settings come from the Participants API).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoomEntry {
    pub(crate) label: Option<String>,
    pub(crate) muted: bool,
    pub(crate) start_on_enter: bool,
    pub(crate) end_on_exit: bool,
    pub(crate) beep_on_exit: bool,
    pub(crate) wait: Option<Target>,
    pub(crate) participants_max: usize,
    pub(crate) coach: Option<String>,
    pub(crate) status_callback: Option<StatusCallback>,
    /// Of the room, set by whoever comes first.
    pub(crate) recording: Option<RecordingOrder>,
}

impl Default for RoomEntry {
    fn default() -> Self {
        Self {
            label: None,
            muted: false,
            start_on_enter: true,
            end_on_exit: false,
            beep_on_exit: true,
            wait: None,
            participants_max: 250,
            coach: None,
            status_callback: None,
            recording: None,
        }
    }
}

impl Document {
    /// Reads `text`, which came from `base` (none for a document given inline).
    pub(crate) fn parse(text: &str, base: Option<&Url>) -> Result<Self, DocumentError> {
        let root = tree::read(text)?;
        if root.name != "Response" {
            return Err(DocumentError::new(12102, "the root element must be Response"));
        }
        Reading::new(base).document(&root)
    }

    /// Reads an answer by its content type: TwiML, text to speak, or audio to play.
    pub(crate) fn from_answer(content_type: &str, text: &str, base: &Url) -> Result<Self, DocumentError> {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            _ if kind.starts_with("audio/") => Ok(Self::media(MediaKind::Play, PLAY_MS)),
            _ if text.trim().is_empty() => Err(DocumentError::new(11770, "the answer has no body")),
            "text/xml" | "application/xml" | "text/html" => Self::parse(text, Some(base)),
            "text/plain" => {
                Self::parse(text, Some(base)).or_else(|_| Ok(Self::media(MediaKind::Say, say_ms(text.trim()))))
            }
            _ => Err(DocumentError::new(12300, "the answer's content type is neither XML nor audio nor plain text")),
        }
    }

    fn media(kind: MediaKind, ms: i64) -> Self {
        Self { verbs: vec![Verb::Media(Media { kind, ms })], warnings: Vec::new() }
    }
}

/// `trim-silence` or `do-not-trim`; `true` and `false` are its older words.
pub(crate) fn trims(text: &str) -> Option<bool> {
    match text {
        "trim-silence" | "true" => Some(true),
        "do-not-trim" | "false" => Some(false),
        _ => None,
    }
}

/// Which side of a call is recorded.
pub(crate) fn track(text: &str) -> Option<&'static str> {
    ["inbound", "outbound", "both"].into_iter().find(|track| *track == text)
}

/// Whether the detection of machines waits for the end of the message.
pub(crate) fn detection_mode(text: &str) -> Option<bool> {
    match text {
        "Enable" => Some(false),
        "DetectMessageEnd" => Some(true),
        _ => None,
    }
}

/// What a `beep` means for the exit.
pub(crate) fn beeps_on_exit(text: &str) -> Option<bool> {
    match text {
        "true" | "onExit" => Some(true),
        "false" | "onEnter" => Some(false),
        _ => None,
    }
}

/// How long it takes to say this.
pub(crate) fn say_ms(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX).saturating_mul(SAY_MS_PER_CHARACTER).min(SAY_MS_MAX)
}

/// Resolves `text` against the document it stands in; only web addresses are accepted.
pub(crate) fn resolve(base: Option<&Url>, text: &str) -> Result<String, DocumentError> {
    let text = text.trim();
    let bad = || DocumentError::new(11100, "a URL is neither absolute http(s) nor relative to the document's URL");
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(text.to_owned()),
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            base.and_then(|base| base.join(text).ok()).map(String::from).ok_or_else(bad)
        }
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests;
