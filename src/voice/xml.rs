//! The little XML that the voice side needs: escaping, references, and the outline of a document.
//!
//! Must not build documents: those come from templates. Start with [`escape`].

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

/// Whether XML 1.0 has a place for the character.
pub(super) const fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Escapes text for element content and quoted attribute values; also returns how many forbidden characters were dropped.
pub(super) fn escape(text: &str) -> (String, u64) {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    let mut dropped = 0;
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // As they are, a reader would turn them into spaces or other line ends.
            '\t' => escaped.push_str("&#9;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            character if is_allowed(character) => escaped.push(character),
            _ => dropped += 1,
        }
    }
    (escaped, dropped)
}

/// The character of a predefined or numeric reference; `None` for every other entity.
pub(super) fn resolve(reference: &BytesRef<'_>) -> Option<char> {
    match reference.as_ref() {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => reference.resolve_char_ref().ok().flatten().filter(|character| is_allowed(*character)),
    }
}

/// Names of the elements with their depth, each followed by the names of its attributes.
pub(super) fn outline(text: &str) -> Result<Vec<String>, String> {
    let mut reader = Reader::from_str(text);
    let mut depth = 0_usize;
    let mut lines = Vec::new();
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        let is_start = matches!(event, Event::Start(_));
        match event {
            Event::Start(element) | Event::Empty(element) => {
                lines.push(format!("{} {}", depth + 1, element.name().as_ref()));
                for attribute in element.attributes() {
                    let attribute = attribute.map_err(|error| error.to_string())?;
                    lines.push(format!("{} @{}", depth + 1, attribute.key.as_ref()));
                }
                depth += usize::from(is_start);
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::GeneralRef(reference) if resolve(&reference).is_none() => {
                return Err("unknown or forbidden reference".to_owned());
            }
            Event::Comment(_) => lines.push("comment".to_owned()),
            Event::DocType(_) => return Err("DOCTYPE is not allowed".to_owned()),
            Event::Eof if depth == 0 => return Ok(lines),
            Event::Eof => return Err("an element is not closed".to_owned()),
            _ => {}
        }
    }
}
