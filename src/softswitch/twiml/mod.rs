//! TwiML documents as data: what a leg is to do, verb after verb.
//!
//! Reading resolves URLs against the document's own URL and puts defaults in, so that nothing later needs the text.
//! Unknown verbs, nouns and attributes are warnings, not errors (Twilio: error 12200). Start with [`Document::parse`].

mod tree;

use std::collections::BTreeSet;
use std::sync::Arc;

use url::Url;

use self::tree::Element;
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
    pub(crate) to: DialTo,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DialTo {
    /// All ring, the first to answer is connected.
    Addresses(Vec<DialAddress>),
    Room {
        name: String,
        entry: RoomEntry,
    },
    Queue {
        name: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DialAddress {
    pub(crate) address: String,
    pub(crate) status_callback: Option<StatusCallback>,
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
        let mut reading = Reading { base, warnings: Vec::new() };
        let mut verbs = Vec::new();
        for child in &root.children {
            if let Some(verb) = reading.verb(child)? {
                verbs.push(verb);
            }
        }
        Ok(Self { verbs, warnings: reading.warnings })
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

fn say_ms(text: &str) -> i64 {
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

struct Reading<'a> {
    base: Option<&'a Url>,
    warnings: Vec<String>,
}

impl Reading<'_> {
    fn verb(&mut self, element: &Element) -> Result<Option<Verb>, DocumentError> {
        Ok(Some(match element.name.as_str() {
            "Say" | "Play" | "Pause" => Verb::Media(self.media(element)),
            "Gather" => Verb::Gather(Arc::new(self.gather(element)?)),
            "Enqueue" => Verb::Enqueue(Arc::new(self.enqueue(element)?)),
            "Dial" => Verb::Dial(Arc::new(self.dial(element)?)),
            "Redirect" => Verb::Redirect(Target {
                url: self.url_or_own(&element.text)?.ok_or_else(|| DocumentError::new(11100, "nowhere to redirect"))?,
                method: self.method(element, "method", Method::Post),
            }),
            "Hangup" => Verb::Hangup,
            "Reject" => Verb::Reject { busy: element.attribute("reason") == Some("busy") },
            "Leave" => Verb::Leave,
            unknown => {
                self.warnings.push(format!("verb {unknown} is skipped"));
                return Ok(None);
            }
        }))
    }

    fn media(&mut self, element: &Element) -> Media {
        let times = self.number(element, "loop", 1);
        let (kind, ms) = match element.name.as_str() {
            "Say" => (MediaKind::Say, say_ms(&element.text)),
            "Play" => match element.attribute("digits") {
                Some(digits) => (MediaKind::Play, i64::try_from(digits.len()).unwrap_or(i64::MAX).saturating_mul(500)),
                None => (MediaKind::Play, PLAY_MS),
            },
            _ => (MediaKind::Pause, i64::from(self.number(element, "length", 1)) * 1000),
        };
        let ms = if times == 0 { FOREVER_MS } else { ms.saturating_mul(i64::from(times)) };
        Media { kind, ms: ms.min(FOREVER_MS) }
    }

    fn gather(&mut self, element: &Element) -> Result<Gather, DocumentError> {
        let mut prompt_ms = 0_i64;
        for child in &element.children {
            match child.name.as_str() {
                "Say" | "Play" | "Pause" => prompt_ms = prompt_ms.saturating_add(self.media(child).ms).min(FOREVER_MS),
                unknown => self.warnings.push(format!("{unknown} inside Gather is skipped")),
            }
        }
        let method = self.method(element, "method", Method::Post);
        let action = self.url_or_own(element.attribute("action").unwrap_or_default())?;
        let digits_max = match self.number(element, "numDigits", 0) {
            0 => None,
            count => usize::try_from(count).ok(),
        };
        Ok(Gather {
            action: action.map(|url| Target { url, method }),
            prompt_ms,
            timeout_ms: i64::from(self.number(element, "timeout", 5)) * 1000,
            digits_max,
            finish_on_key: element.attribute("finishOnKey").unwrap_or("#").chars().next(),
            action_on_empty: self.flag(element, "actionOnEmptyResult", false),
        })
    }

    fn enqueue(&mut self, element: &Element) -> Result<Enqueue, DocumentError> {
        if element.attribute("workflowSid").is_some() {
            return Err(DocumentError::new(14220, "this phone system has no workflows, only named queues"));
        }
        let name = element.text.clone();
        match name.chars().count() {
            0 => return Err(DocumentError::new(14204, "the queue's name is empty")),
            1..=64 => {}
            _ => return Err(DocumentError::new(14205, "the queue's name has more than 64 characters")),
        }
        Ok(Enqueue {
            name,
            action: self.target(element, "action", "method")?,
            wait: self.target(element, "waitUrl", "waitUrlMethod")?,
        })
    }

    fn dial(&mut self, element: &Element) -> Result<Dial, DocumentError> {
        let mut addresses = Vec::new();
        let mut elsewhere = None;
        for child in &element.children {
            match child.name.as_str() {
                "Number" | "Client" | "Sip" => addresses.push(self.address(child)?),
                "Conference" => {
                    elsewhere = Some(DialTo::Room { name: child.text.clone(), entry: self.room_entry(child)? });
                }
                "Queue" => elsewhere = Some(DialTo::Queue { name: child.text.clone() }),
                unknown => self.warnings.push(format!("{unknown} inside Dial is skipped")),
            }
        }
        if addresses.is_empty() && !element.text.is_empty() {
            addresses.push(DialAddress { address: element.text.clone(), status_callback: None });
        }
        if let Some(DialTo::Room { name, .. } | DialTo::Queue { name }) = &elsewhere
            && name.is_empty()
        {
            return Err(DocumentError::new(13237, "the conference or queue to dial has no name"));
        }
        Ok(Dial {
            action: self.target(element, "action", "method")?,
            timeout_secs: self.number(element, "timeout", 30).clamp(1, 600),
            time_limit_secs: self.number(element, "timeLimit", 14_400).clamp(1, 86_400),
            caller_id: element.attribute("callerId").map(str::to_owned),
            to: elsewhere.unwrap_or(DialTo::Addresses(addresses)),
        })
    }

    fn address(&mut self, element: &Element) -> Result<DialAddress, DocumentError> {
        let text = match (element.name.as_str(), element.children.iter().find(|child| child.name == "Identity")) {
            ("Client", Some(identity)) => identity.text.as_str(),
            _ => element.text.as_str(),
        };
        let prefix = match element.name.as_str() {
            "Client" if !text.starts_with("client:") => "client:",
            "Sip" if !text.starts_with("sip:") && !text.starts_with("sips:") => "sip:",
            _ => "",
        };
        if element.attribute("url").is_some() {
            self.warnings.push("a document for the called party is not supported and skipped".to_owned());
        }
        Ok(DialAddress {
            address: format!("{prefix}{text}"),
            status_callback: self.status_callback(element, &["completed"])?,
        })
    }

    fn room_entry(&mut self, element: &Element) -> Result<RoomEntry, DocumentError> {
        Ok(RoomEntry {
            label: element.attribute("participantLabel").filter(|label| !label.is_empty()).map(str::to_owned),
            muted: self.flag(element, "muted", false),
            start_on_enter: self.flag(element, "startConferenceOnEnter", true),
            end_on_exit: self.flag(element, "endConferenceOnExit", false),
            beep_on_exit: matches!(element.attribute("beep"), None | Some("true" | "onExit")),
            wait: self.target(element, "waitUrl", "waitMethod")?,
            participants_max: usize::try_from(self.number(element, "maxParticipants", 250).clamp(2, 250))
                .unwrap_or(250),
            coach: element.attribute("coach").map(str::to_owned),
            status_callback: self.status_callback(element, &[])?,
        })
    }

    fn status_callback(
        &mut self,
        element: &Element,
        default: &[&str],
    ) -> Result<Option<StatusCallback>, DocumentError> {
        let Some(target) = self.target(element, "statusCallback", "statusCallbackMethod")? else { return Ok(None) };
        let mut events = event_names(element.attribute("statusCallbackEvent"));
        if events.is_empty() {
            events = event_names(default.iter().copied());
        }
        Ok(Some(StatusCallback { target, events }))
    }

    /// The URL in attribute `url`; an absent or empty one is none.
    fn target(&mut self, element: &Element, url: &str, method: &str) -> Result<Option<Target>, DocumentError> {
        let method = self.method(element, method, Method::Post);
        match element.attribute(url) {
            None | Some("") => Ok(None),
            Some(text) => Ok(Some(Target { url: resolve(self.base, text)?, method })),
        }
    }

    /// An empty URL means the document's own, where it has one.
    fn url_or_own(&self, text: &str) -> Result<Option<String>, DocumentError> {
        if text.trim().is_empty() {
            Ok(self.base.map(|base| base.as_str().to_owned()))
        } else {
            resolve(self.base, text).map(Some)
        }
    }

    fn method(&mut self, element: &Element, name: &str, default: Method) -> Method {
        self.attribute(element, name, default, Method::parse)
    }

    fn flag(&mut self, element: &Element, name: &str, default: bool) -> bool {
        self.attribute(element, name, default, |text| text.to_ascii_lowercase().parse().ok())
    }

    fn number(&mut self, element: &Element, name: &str, default: u32) -> u32 {
        self.attribute(element, name, default, |text| text.parse().ok())
    }

    fn attribute<T>(&mut self, element: &Element, name: &str, default: T, parse: impl Fn(&str) -> Option<T>) -> T {
        let Some(text) = element.attribute(name) else { return default };
        parse(text.trim()).unwrap_or_else(|| {
            self.warnings.push(format!("attribute {name} of {} is not understood and takes its default", element.name));
            default
        })
    }
}

#[cfg(test)]
mod tests;
