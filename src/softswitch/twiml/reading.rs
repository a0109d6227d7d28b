//! From the tree of elements to verbs: defaults, resolved URLs, and what is skipped with a warning.
//!
//! Start with [`Reading::document`].

use std::sync::Arc;

use url::Url;

use super::tree::Element;
use super::vocabulary::{self, Known};
use super::{
    Detection, Dial, DialAddress, DialTo, Document, DocumentError, Enqueue, FOREVER_MS, Gather, Media, MediaKind,
    PLAY_MS, Record, RecordingOrder, RoomEntry, StatusCallback, Target, Verb, beeps_on_exit, detection_mode,
    event_names, resolve, say_ms, track, trims,
};
use crate::softswitch::options::Method;

/// Default of `machineDetectionTimeout`.
pub(crate) const DETECTION_SECS: u32 = 30;
/// What may be in the text of `<Say>` to shape how it is said.
const SPEECH_MARKS: &[&str] = &[
    "break",
    "emphasis",
    "lang",
    "p",
    "phoneme",
    "prosody",
    "s",
    "say-as",
    "sub",
    "w",
    "amazon:effect",
    "amazon:domain",
];
const NO: Option<(bool, bool)> = None;
/// Values of `<Dial record>`, as dual and from ringing.
const DIAL_RECORD: &[(&str, Option<(bool, bool)>)] = &[
    ("do-not-record", NO),
    ("false", NO),
    ("true", Some((false, false))),
    ("record-from-answer", Some((false, false))),
    ("record-from-answer-dual", Some((true, false))),
    ("record-from-ringing", Some((false, true))),
    ("record-from-ringing-dual", Some((true, true))),
];
/// Values of `<Conference record>`.
const ROOM_RECORD: &[(&str, Option<(bool, bool)>)] = &[
    ("do-not-record", NO),
    ("false", NO),
    ("true", Some((false, false))),
    ("record-from-start", Some((false, false))),
];

pub(super) struct Reading<'a> {
    base: Option<&'a Url>,
    warnings: Vec<String>,
}

impl<'a> Reading<'a> {
    pub(super) const fn new(base: Option<&'a Url>) -> Self {
        Self { base, warnings: Vec::new() }
    }

    /// Reads the children of `<Response>`.
    pub(super) fn document(mut self, root: &Element) -> Result<Document, DocumentError> {
        let mut verbs = Vec::new();
        for child in &root.children {
            if let Some(verb) = self.verb(child)? {
                verbs.push(verb);
            }
        }
        Ok(Document { verbs, warnings: self.warnings })
    }

    fn verb(&mut self, element: &Element) -> Result<Option<Verb>, DocumentError> {
        self.check(element);
        Ok(Some(match element.name.as_str() {
            "Say" | "Play" | "Pause" => Verb::Media(self.media(element)),
            "Gather" => Verb::Gather(Arc::new(self.gather(element)?)),
            "Record" => Verb::Record(Arc::new(self.record(element)?)),
            "Enqueue" => Verb::Enqueue(Arc::new(self.enqueue(element)?)),
            "Dial" => Verb::Dial(Arc::new(self.dial(element)?)),
            "Redirect" => Verb::Redirect(Target {
                url: self.url_or_own(&element.text)?.ok_or_else(|| DocumentError::new(11100, "nowhere to redirect"))?,
                method: self.method(element, "method", Method::Post),
            }),
            "Hangup" => Verb::Hangup,
            "Reject" => Verb::Reject {
                busy: self.attribute(element, "reason", false, |text| match text {
                    "busy" => Some(true),
                    "rejected" => Some(false),
                    _ => None,
                }),
            },
            "Leave" => Verb::Leave,
            unknown => {
                self.warnings.push(format!("verb {unknown} is skipped"));
                return Ok(None);
            }
        }))
    }

    /// Warns of attributes that the element does not have, or that are not supported.
    fn check(&mut self, element: &Element) {
        for (name, _) in &element.attributes {
            match vocabulary::known(&element.name, name) {
                Known::Yes => {}
                Known::Unsupported => self
                    .warnings
                    .push(format!("attribute {name} of {} is not supported and has no effect", element.name)),
                Known::No => {
                    self.warnings.push(format!("attribute {name} of {} is unknown and skipped", element.name));
                }
            }
        }
    }

    fn media(&mut self, element: &Element) -> Media {
        let times = self.number(element, "loop", 1);
        let (kind, ms) = match element.name.as_str() {
            "Say" => (MediaKind::Say, say_ms(&self.spoken(element))),
            "Play" => match element.attribute("digits") {
                Some(digits) => (MediaKind::Play, i64::try_from(digits.len()).unwrap_or(i64::MAX).saturating_mul(500)),
                None => (MediaKind::Play, PLAY_MS),
            },
            _ => (MediaKind::Pause, i64::from(self.number(element, "length", 1)) * 1000),
        };
        let ms = if times == 0 { FOREVER_MS } else { ms.saturating_mul(i64::from(times)) };
        Media { kind, ms: ms.min(FOREVER_MS) }
    }

    /// The words of a `<Say>`, with those inside of speech marks.
    fn spoken(&mut self, element: &Element) -> String {
        let mut text = element.text.clone();
        for child in &element.children {
            if SPEECH_MARKS.contains(&child.name.as_str()) {
                text.push_str(&self.spoken(child));
            } else {
                self.warnings.push(format!("{} inside {} is skipped", child.name, element.name));
            }
        }
        text
    }

    fn gather(&mut self, element: &Element) -> Result<Gather, DocumentError> {
        let mut prompt_ms = 0_i64;
        for child in &element.children {
            self.check(child);
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
        let (keys, speech) = self.attribute(element, "input", (true, false), |text| {
            let words: Vec<&str> = text.split_whitespace().collect();
            let known = words.iter().all(|word| matches!(*word, "dtmf" | "speech"));
            (known && !words.is_empty()).then(|| (words.contains(&"dtmf"), words.contains(&"speech")))
        });
        Ok(Gather {
            action: action.map(|url| Target { url, method }),
            prompt_ms,
            timeout_ms: i64::from(self.attribute(element, "timeout", 5, |text| match text {
                "auto" => Some(5),
                _ => text.parse::<u32>().ok(),
            })) * 1000,
            digits_max,
            finish_on_key: element.attribute("finishOnKey").unwrap_or("#").chars().next(),
            action_on_empty: self.flag(element, "actionOnEmptyResult", false),
            keys,
            speech,
        })
    }

    fn record(&mut self, element: &Element) -> Result<Record, DocumentError> {
        let method = self.method(element, "method", Method::Post);
        let action = self.url_or_own(element.attribute("action").unwrap_or_default())?;
        Ok(Record {
            action: action.map(|url| Target { url, method }),
            timeout_ms: i64::from(self.number(element, "timeout", 5)) * 1000,
            length_ms_max: i64::from(self.number(element, "maxLength", 3_600).clamp(1, 14_400)) * 1000,
            finish_on_keys: element.attribute("finishOnKey").unwrap_or("1234567890*#").to_owned(),
            order: self.recording_order(element, "RecordVerb")?,
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
        for child in &element.children {
            self.warnings.push(format!("{} inside Enqueue is skipped", child.name));
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
            self.check(child);
            match child.name.as_str() {
                "Number" | "Client" | "Sip" => addresses.push(self.address(child)?),
                "Conference" => {
                    elsewhere =
                        Some(DialTo::Room { name: child.text.clone(), entry: Box::new(self.room_entry(child)?) });
                }
                "Queue" => elsewhere = Some(self.queue(child)?),
                unknown => self.warnings.push(format!("{unknown} inside Dial is skipped")),
            }
        }
        if addresses.is_empty() && !element.text.is_empty() {
            addresses.push(DialAddress::new(&element.text));
        }
        if let Some(DialTo::Room { name, .. } | DialTo::Queue { name, .. }) = &elsewhere
            && name.is_empty()
        {
            return Err(DocumentError::new(13237, "the conference or queue to dial has no name"));
        }
        Ok(Dial {
            action: self.target(element, "action", "method")?,
            timeout_secs: self.number(element, "timeout", 30).clamp(1, 600),
            time_limit_secs: self.number(element, "timeLimit", 14_400).clamp(1, 86_400),
            caller_id: element.attribute("callerId").map(str::to_owned),
            hangup_on_star: self.flag(element, "hangupOnStar", false),
            answer_on_bridge: self.flag(element, "answerOnBridge", false),
            sequential: self.flag(element, "sequential", false),
            recording: self.recording(element, "DialVerb", DIAL_RECORD)?,
            to: elsewhere.unwrap_or(DialTo::Addresses(addresses)),
        })
    }

    fn queue(&mut self, element: &Element) -> Result<DialTo, DocumentError> {
        if element.attribute("reservationSid").is_some() {
            let refusal = DocumentError::new(14215, "this phone system has no reservations, only named queues");
            return Ok(DialTo::Nowhere(refusal));
        }
        Ok(DialTo::Queue { name: element.text.clone(), whisper: self.target(element, "url", "method")? })
    }

    fn address(&mut self, element: &Element) -> Result<DialAddress, DocumentError> {
        let identity = element.children.iter().find(|child| child.name == "Identity");
        let text = identity.map_or(element.text.as_str(), |identity| identity.text.as_str());
        let prefix = match element.name.as_str() {
            "Client" if !text.starts_with("client:") => "client:",
            "Sip" if !is_sip(text) => "sip:",
            _ => "",
        };
        let mut parameters = Vec::new();
        for child in &element.children {
            self.check(child);
            match (element.name.as_str(), child.name.as_str(), child.attribute("name"), child.attribute("value")) {
                ("Client", "Identity", ..) => {}
                ("Client", "Parameter", Some(name), Some(value)) => parameters.push((name, value)),
                _ => self.warnings.push(format!("{} inside {} is skipped", child.name, element.name)),
            }
        }
        let separator = if parameters.is_empty() { "" } else { "?" };
        let parameters = serde_urlencoded::to_string(parameters).unwrap_or_default();
        let address = format!("{prefix}{text}{separator}{parameters}");
        Ok(DialAddress {
            whisper: self.target(element, "url", "method")?,
            status_callback: self.status_callback(element, &["completed"])?,
            send_digits: element.attribute("sendDigits").unwrap_or_default().to_owned(),
            detection: self.detection(element)?,
            ..DialAddress::new(address)
        })
    }

    fn room_entry(&mut self, element: &Element) -> Result<RoomEntry, DocumentError> {
        Ok(RoomEntry {
            label: element.attribute("participantLabel").filter(|label| !label.is_empty()).map(str::to_owned),
            muted: self.flag(element, "muted", false),
            start_on_enter: self.flag(element, "startConferenceOnEnter", true),
            end_on_exit: self.flag(element, "endConferenceOnExit", false),
            beep_on_exit: self.attribute(element, "beep", true, beeps_on_exit),
            wait: self.target(element, "waitUrl", "waitMethod")?,
            participants_max: usize::try_from(self.number(element, "maxParticipants", 250).clamp(2, 250))
                .unwrap_or(250),
            coach: element.attribute("coach").map(str::to_owned),
            status_callback: self.status_callback(element, &[])?,
            recording: self.recording(element, "Conference", ROOM_RECORD)?,
        })
    }

    fn status_callback(
        &mut self,
        element: &Element,
        default: &[&str],
    ) -> Result<Option<StatusCallback>, DocumentError> {
        self.callback_named(element, "statusCallback", default)
    }

    fn callback_named(
        &mut self,
        element: &Element,
        name: &str,
        default: &[&str],
    ) -> Result<Option<StatusCallback>, DocumentError> {
        let Some(target) = self.target(element, name, &format!("{name}Method"))? else { return Ok(None) };
        let mut events = event_names(element.attribute(&format!("{name}Event")));
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

    /// What `record` asks for; `words` are the values that it may have, with their meaning.
    fn recording(
        &mut self,
        element: &Element,
        source: &'static str,
        words: &[(&str, Option<(bool, bool)>)],
    ) -> Result<Option<RecordingOrder>, DocumentError> {
        let wanted = self.attribute(element, "record", None, |text| {
            words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, meaning)| *meaning)
        });
        let Some((is_dual, from_ringing)) = wanted else { return Ok(None) };
        Ok(Some(RecordingOrder { is_dual, from_ringing, ..self.recording_order(element, source)? }))
    }

    fn recording_order(&mut self, element: &Element, source: &'static str) -> Result<RecordingOrder, DocumentError> {
        let mut status_callback = self.callback_named(element, "recordingStatusCallback", &["completed"])?;
        if status_callback.is_none() && element.name == "Conference" {
            // The older name of the same callback.
            status_callback = self
                .target(element, "eventCallbackUrl", "eventCallbackMethod")?
                .map(|target| StatusCallback { target, events: event_names(["completed"]) });
        }
        Ok(RecordingOrder {
            source,
            is_dual: false,
            from_ringing: false,
            track: self.attribute(element, "recordingTrack", "both", track),
            trims: self.attribute(element, "trim", true, trims),
            status_callback,
        })
    }

    fn detection(&mut self, element: &Element) -> Result<Option<Detection>, DocumentError> {
        let mode = self.attribute(element, "machineDetection", None, |text| detection_mode(text).map(Some));
        let Some(until_message_end) = mode else { return Ok(None) };
        Ok(Some(Detection {
            until_message_end,
            is_async: true,
            timeout_ms: i64::from(self.number(element, "machineDetectionTimeout", DETECTION_SECS)) * 1000,
            callback: self.target(element, "amdStatusCallback", "amdStatusCallbackMethod")?,
        }))
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

/// Whether the address has its scheme, which is written in any case.
fn is_sip(address: &str) -> bool {
    let is_scheme = |text: &str| text.eq_ignore_ascii_case("sip") || text.eq_ignore_ascii_case("sips");
    address.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme))
}
