//! Reads a TwiML document with `<Enqueue workflowSid>` (`spec/voice.md` 2.1 and 2.2).
//!
//! Documents come from strangers: size, depth, elements and attributes are bounded, a DOCTYPE is an error, no entity is
//! expanded, nothing recurses. Must not judge what the values mean. Start with [`EnqueueDocument::parse`].

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::alerts::{DOCUMENT_PARSE_FAILURE, SCHEMA_WARNING, WRONG_ROOT};
use super::xml;

const SIZE_LIMIT: usize = 64 * 1024;
const DEPTH_LIMIT: usize = 16;
const ELEMENT_LIMIT: usize = 1_000;
const ATTRIBUTE_LIMIT: usize = 32;

/// Why there is no `<Enqueue>` to carry out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    /// Not well-formed, or beyond a limit.
    #[error("document parse failure: {0}")]
    Malformed(String),
    /// The root is another element.
    #[error("expected Response as root element, found {0}")]
    WrongRoot(String),
    /// No `<Enqueue>` directly within `<Response>`.
    #[error("expected an Enqueue verb in the document")]
    NoEnqueue,
}

impl Problem {
    /// Twilio's code.
    pub(super) const fn code(&self) -> u32 {
        match self {
            Self::Malformed(_) => DOCUMENT_PARSE_FAILURE,
            Self::WrongRoot(_) => WRONG_ROOT,
            Self::NoEnqueue => SCHEMA_WARNING,
        }
    }
}

/// What a document says about enqueueing; attribute values are as written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct EnqueueDocument {
    pub(super) workflow: Option<String>,
    pub(super) action: Option<String>,
    pub(super) method: Option<String>,
    pub(super) wait_url: Option<String>,
    pub(super) wait_method: Option<String>,
    /// Text of the first `<Task>` (or `<TaskAttributes>`).
    pub(super) attributes: String,
    pub(super) priority: Option<String>,
    pub(super) timeout: Option<String>,
    /// Verbs before `<Enqueue>`, byte for byte.
    pub(super) before: String,
    /// Verbs after `<Enqueue>`, byte for byte.
    pub(super) after: Option<String>,
}

/// Where an `<Enqueue>` stands in the text.
#[derive(Debug, Default)]
struct Found {
    verb: EnqueueDocument,
    has_task: bool,
    starts_at: usize,
    ends_at: usize,
}

impl EnqueueDocument {
    /// Reads the first `<Enqueue>` with a workflow, else the first `<Enqueue>`.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        if text.len() > SIZE_LIMIT {
            return Err(Problem::Malformed(format!("expected at most {SIZE_LIMIT} bytes")));
        }
        let mut reading = Reading::new(trimmed(text));
        while reading.step()? {}
        reading.chosen()
    }
}

/// The document itself: nothing may stand before an XML declaration.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim()
}

/// A document that is being read.
struct Reading<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    depth: usize,
    elements: usize,
    /// Where the content of `<Response>` begins and ends.
    content: Option<(usize, usize)>,
    content_starts_at: usize,
    found: Vec<Found>,
    in_enqueue: bool,
    in_task: bool,
}

impl<'a> Reading<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            reader: Reader::from_str(text),
            depth: 0,
            elements: 0,
            content: None,
            content_starts_at: 0,
            found: Vec::new(),
            in_enqueue: false,
            in_task: false,
        }
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX).min(self.text.len())
    }

    /// Reads one event; false at the end.
    fn step(&mut self) -> Result<bool, Problem> {
        let before = self.position();
        let event = self.reader.read_event().map_err(|error| Problem::Malformed(error.to_string()))?;
        match event {
            Event::Start(element) => {
                self.open(&element, before)?;
                self.depth += 1;
                if self.depth > DEPTH_LIMIT {
                    return Err(Problem::Malformed(format!("nested deeper than {DEPTH_LIMIT}")));
                }
            }
            Event::Empty(element) => {
                self.open(&element, before)?;
                self.depth += 1;
                self.close(before);
            }
            Event::End(_) => self.close(before),
            Event::Text(part) if self.in_task => self.add(&part.xml10_content()),
            Event::CData(part) if self.in_task => self.add(&part.xml10_content()),
            Event::GeneralRef(reference) => {
                let Some(character) = xml::resolve(&reference) else {
                    return Err(Problem::Malformed("unknown or forbidden reference".to_owned()));
                };
                if self.in_task {
                    self.add(character.encode_utf8(&mut [0; 4]));
                }
            }
            Event::Text(part) if self.depth == 0 && !part.trim().is_empty() => {
                return Err(Problem::Malformed("text outside the root element".to_owned()));
            }
            Event::DocType(_) => return Err(Problem::Malformed("DOCTYPE is not allowed".to_owned())),
            Event::Eof if self.depth > 0 => {
                return Err(Problem::Malformed("an element is not closed".to_owned()));
            }
            Event::Eof => return Ok(false),
            Event::Text(_) | Event::CData(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
        Ok(true)
    }

    fn open(&mut self, element: &BytesStart<'_>, starts_at: usize) -> Result<(), Problem> {
        self.elements += 1;
        if self.elements > ELEMENT_LIMIT {
            return Err(Problem::Malformed(format!("more than {ELEMENT_LIMIT} elements")));
        }
        let attributes = attributes_of(element)?;
        let name = element.name().into_inner().to_owned();
        match (self.depth, name.as_str()) {
            (0, _) if self.content.is_some() || self.elements > 1 => {
                return Err(Problem::Malformed("more than one root element".to_owned()));
            }
            (0, "Response") => self.content_starts_at = self.position(),
            (0, _) => return Err(Problem::WrongRoot(name)),
            (1, "Enqueue") => {
                let mut verb = EnqueueDocument::default();
                for (name, value) in attributes {
                    match name.as_str() {
                        "workflowSid" => verb.workflow = Some(value),
                        "action" => verb.action = Some(value),
                        "method" => verb.method = Some(value),
                        "waitUrl" => verb.wait_url = Some(value),
                        "waitUrlMethod" => verb.wait_method = Some(value),
                        _ => {}
                    }
                }
                self.in_enqueue = true;
                self.found.push(Found { verb, starts_at, ..Found::default() });
            }
            (2, "Task" | "TaskAttributes") if self.in_enqueue => {
                if let Some(found) = self.found.last_mut().filter(|found| !found.has_task) {
                    found.has_task = true;
                    self.in_task = true;
                    for (name, value) in attributes {
                        match name.as_str() {
                            "priority" => found.verb.priority = Some(value),
                            "timeout" => found.verb.timeout = Some(value),
                            _ => {}
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, end_tag_at: usize) {
        self.depth = self.depth.saturating_sub(1);
        match self.depth {
            0 => self.content = Some((self.content_starts_at, end_tag_at.max(self.content_starts_at))),
            1 if self.in_enqueue => {
                self.in_enqueue = false;
                let ends_at = self.position();
                if let Some(found) = self.found.last_mut() {
                    found.ends_at = ends_at;
                }
            }
            2 => self.in_task = false,
            _ => {}
        }
    }

    fn add(&mut self, text: &str) {
        if let Some(found) = self.found.last_mut() {
            found.verb.attributes.push_str(text);
        }
    }

    fn chosen(self) -> Result<EnqueueDocument, Problem> {
        let Some((starts_at, ends_at)) = self.content else {
            return Err(Problem::Malformed("expected a document".to_owned()));
        };
        let with_workflow = self.found.iter().position(|found| found.verb.workflow.is_some());
        let Some(found) = self.found.into_iter().nth(with_workflow.unwrap_or(0)) else {
            return Err(Problem::NoEnqueue);
        };
        let between = |from: usize, to: usize| self.text.get(from..to).unwrap_or_default().trim();
        let after = between(found.ends_at, ends_at);
        Ok(EnqueueDocument {
            before: between(starts_at, found.starts_at).to_owned(),
            after: (!after.is_empty()).then(|| after.to_owned()),
            ..found.verb
        })
    }
}

fn attributes_of(element: &BytesStart<'_>) -> Result<Vec<(String, String)>, Problem> {
    let mut attributes = Vec::new();
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| Problem::Malformed(error.to_string()))?;
        if attributes.len() == ATTRIBUTE_LIMIT {
            return Err(Problem::Malformed(format!("more than {ATTRIBUTE_LIMIT} attributes on one element")));
        }
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| Problem::Malformed(error.to_string()))?;
        attributes.push((attribute.key.into_inner().to_owned(), value.into_owned()));
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests;
