//! A bounded walk through a TwiML document: size, depth, elements and attributes have limits, a DOCTYPE is an error, no
//! entity is expanded, nothing recurses (`quality.md` 2.4).
//!
//! Every step tells where it stands in the text, so that whoever changes a document changes only what it must. Must not
//! know any verb. Start with [`Walk::step`].

use std::collections::HashSet;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::alerts::{DOCUMENT_PARSE_FAILURE, SCHEMA_WARNING, WRONG_ROOT};
use super::xml;

/// Largest document, in bytes.
pub(super) const SIZE_LIMIT: usize = 64 * 1024;
const DEPTH_LIMIT: usize = 16;
/// As many as a document of that size can hold: what is short is never refused for what it is made of.
const ELEMENT_LIMIT: usize = SIZE_LIMIT / "<a/>".len();
const ATTRIBUTE_LIMIT: usize = SIZE_LIMIT / " a=''".len();

/// Why a document cannot be used.
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

    fn malformed(error: &dyn std::fmt::Display) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// The document itself: nothing may stand before an XML declaration.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim()
}

/// The text with other bytes for some pieces, which are in order and apart from one another: from, to, and what stands there.
pub(super) fn edited(text: &str, edits: &[(usize, usize, String)]) -> String {
    let mut new = String::with_capacity(text.len());
    let mut at = 0;
    for (from, to, piece) in edits {
        new.push_str(text.get(at..*from).unwrap_or_default());
        new.push_str(piece);
        at = *to;
    }
    new.push_str(text.get(at..).unwrap_or_default());
    new
}

/// What was met.
#[derive(Debug)]
pub(super) enum Part {
    /// An element begins. One without content is followed by its end, which has no length.
    Open { element: Element, depth: usize },
    /// An element ends.
    Close { depth: usize },
    /// Text, with CDATA and references resolved.
    Text(String),
    /// A comment, a declaration or a processing instruction.
    Other,
}

/// A part and where it stands: bytes `from` to `to` of the text.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) part: Part,
    pub(super) from: usize,
    pub(super) to: usize,
}

/// The begin of an element.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: String,
    /// In order.
    pub(super) attributes: Vec<Attribute>,
    /// It has no content and no end tag: `<Redirect/>`.
    pub(super) is_empty: bool,
}

impl Element {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|attribute| attribute.name == name).map(|attribute| attribute.value.as_str())
    }
}

/// An attribute; its value as written, between the quotes, is bytes `from` to `to` of the text.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) from: usize,
    pub(super) to: usize,
}

/// A document that is being read.
pub(super) struct Walk<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    depth: usize,
    elements: usize,
    /// An element without content was opened.
    to_close: bool,
}

impl<'a> Walk<'a> {
    /// Begins with a document that was [`trimmed`].
    pub(super) fn new(text: &'a str) -> Result<Self, Problem> {
        if text.len() > SIZE_LIMIT {
            return Err(Problem::Malformed(format!("expected at most {SIZE_LIMIT} bytes")));
        }
        Ok(Self { text, reader: Reader::from_str(text), depth: 0, elements: 0, to_close: false })
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX).min(self.text.len())
    }

    /// The next part; `None` at the end of a document that is whole.
    pub(super) fn step(&mut self) -> Result<Option<Step>, Problem> {
        let from = self.position();
        if std::mem::take(&mut self.to_close) {
            return Ok(Some(self.close(from)));
        }
        let event = self.reader.read_event().map_err(|error| Problem::malformed(&error))?;
        let to = self.position();
        let part = match event {
            Event::Start(element) => self.open(&element, false)?,
            Event::Empty(element) => {
                self.to_close = true;
                self.open(&element, true)?
            }
            Event::End(_) => return Ok(Some(self.close(from))),
            Event::Text(text) if self.depth == 0 && !text.trim().is_empty() => {
                return Err(Problem::Malformed("text outside the root element".to_owned()));
            }
            Event::Text(text) => Part::Text(text.xml10_content().into_owned()),
            Event::CData(text) => Part::Text(text.xml10_content().into_owned()),
            Event::GeneralRef(reference) => match xml::resolve(&reference) {
                Some(character) => Part::Text(character.to_string()),
                None => return Err(Problem::Malformed("unknown or forbidden reference".to_owned())),
            },
            Event::DocType(_) => return Err(Problem::Malformed("DOCTYPE is not allowed".to_owned())),
            Event::Eof if self.depth > 0 => return Err(Problem::Malformed("an element is not closed".to_owned())),
            Event::Eof if self.elements == 0 => return Err(Problem::Malformed("expected a document".to_owned())),
            Event::Eof => return Ok(None),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => Part::Other,
        };
        Ok(Some(Step { part, from, to }))
    }

    fn close(&mut self, from: usize) -> Step {
        self.depth = self.depth.saturating_sub(1);
        Step { part: Part::Close { depth: self.depth }, from, to: self.position() }
    }

    fn open(&mut self, element: &BytesStart<'a>, is_empty: bool) -> Result<Part, Problem> {
        let depth = self.depth;
        self.depth += 1;
        self.elements += 1;
        if self.elements > ELEMENT_LIMIT {
            return Err(Problem::Malformed(format!("more than {ELEMENT_LIMIT} elements")));
        }
        if self.depth > DEPTH_LIMIT {
            return Err(Problem::Malformed(format!("nested deeper than {DEPTH_LIMIT}")));
        }
        let attributes = self.attributes_of(element)?;
        let name = element.name().into_inner().to_owned();
        if depth == 0 && self.elements > 1 {
            return Err(Problem::Malformed("more than one root element".to_owned()));
        }
        if depth == 0 && name != "Response" {
            return Err(Problem::WrongRoot(name));
        }
        let element = Element { name, attributes, is_empty };
        Ok(Part::Open { element, depth })
    }

    fn attributes_of(&self, element: &BytesStart<'a>) -> Result<Vec<Attribute>, Problem> {
        let mut attributes = Vec::new();
        let mut names = HashSet::new();
        // The reader would compare each name with all the others.
        for attribute in element.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| Problem::malformed(&error))?;
            if !names.insert(attribute.key.into_inner()) {
                return Err(Problem::Malformed("the same attribute twice on one element".to_owned()));
            }
            if attributes.len() == ATTRIBUTE_LIMIT {
                return Err(Problem::Malformed(format!("more than {ATTRIBUTE_LIMIT} attributes on one element")));
            }
            let value =
                attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| Problem::malformed(&error))?;
            // The reader hands out pieces of the text itself.
            let from = (attribute.value.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
            let to = from.wrapping_add(attribute.value.len());
            if self.text.get(from..to) != Some(attribute.value.as_ref()) {
                return Err(Problem::Malformed("an attribute is not a piece of the text".to_owned()));
            }
            let name = attribute.key.into_inner().to_owned();
            attributes.push(Attribute { name, value: value.into_owned(), from, to });
        }
        Ok(attributes)
    }
}
