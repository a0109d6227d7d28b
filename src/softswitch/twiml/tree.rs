//! A TwiML document as a small tree of elements, read within fixed limits.
//!
//! Knows nothing of verbs. Text of an element is what stands directly inside it, white space trimmed at both ends.
//! Start with [`read`].

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::DocumentError;

/// Bytes a document may have (Twilio: error 11750).
pub(crate) const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
const DEPTH_MAX: usize = 16;
const ATTRIBUTES_MAX: usize = 64;

/// One element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the root element of `text`; document type declarations are refused, so no entity can be defined.
pub(crate) fn read(text: &str) -> Result<Element, DocumentError> {
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(DocumentError::new(11750, "the document has more than 64 kB"));
    }
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}').trim_start());
    let mut open: Vec<Element> = Vec::new();
    loop {
        match reader.read_event().map_err(|error| DocumentError::parse(&error))? {
            Event::Start(start) => {
                if open.len() == DEPTH_MAX {
                    return Err(DocumentError::new(12100, "elements are nested more than 16 deep"));
                }
                open.push(begin(&start)?);
            }
            Event::Empty(start) => {
                if let Some(root) = close(&mut open, begin(&start)?) {
                    return finish(&mut reader, root);
                }
            }
            Event::End(_) => {
                let Some(element) = open.pop() else {
                    return Err(DocumentError::new(12100, "an element ends that never began"));
                };
                if let Some(root) = close(&mut open, element) {
                    return finish(&mut reader, root);
                }
            }
            Event::Text(text) => append(&mut open, &text.xml10_content())?,
            Event::CData(text) => append(&mut open, &text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(|error| DocumentError::parse(&error))?;
                match (character, resolve_xml_entity(&reference)) {
                    (Some(character), _) => append(&mut open, character.encode_utf8(&mut [0; 4]))?,
                    (None, Some(text)) => append(&mut open, text)?,
                    (None, None) => return Err(DocumentError::new(12100, "an entity is not defined")),
                }
            }
            Event::DocType(_) => return Err(DocumentError::new(12100, "document type declarations are not accepted")),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof => return Err(DocumentError::new(12100, "the document ends too early")),
        }
    }
}

fn begin(start: &BytesStart<'_>) -> Result<Element, DocumentError> {
    let mut element = Element { name: start.name().0.to_owned(), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| DocumentError::parse(&error))?;
        if element.attributes.len() == ATTRIBUTES_MAX {
            return Err(DocumentError::new(12100, "an element has more than 64 attributes"));
        }
        let value =
            attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| DocumentError::parse(&error))?;
        element.attributes.push((attribute.key.0.to_owned(), value.into_owned()));
    }
    Ok(element)
}

/// Puts a finished element into its parent; hands it back when it is the root.
fn close(open: &mut [Element], mut element: Element) -> Option<Element> {
    element.text = element.text.trim().into();
    match open.last_mut() {
        Some(parent) => {
            parent.children.push(element);
            None
        }
        None => Some(element),
    }
}

fn append(open: &mut [Element], text: &str) -> Result<(), DocumentError> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(DocumentError::new(12100, "text stands outside of the root element")),
    }
    Ok(())
}

/// Nothing but comments and white space may follow the root.
fn finish(reader: &mut Reader<&[u8]>, root: Element) -> Result<Element, DocumentError> {
    loop {
        match reader.read_event().map_err(|error| DocumentError::parse(&error))? {
            Event::Eof => return Ok(root),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Text(text) if text.trim().is_empty() => {}
            _ => return Err(DocumentError::new(12100, "something follows the root element")),
        }
    }
}
