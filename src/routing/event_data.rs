//! The fields of an event: names and text values, in one buffer.
//!
//! An event has about thirty fields and there are several events to each request, so a field must not cost an
//! allocation of its own, and a number or a SID no detour over a text of its own. The buffer holds bytes, because each
//! value would otherwise be looked at to see that it is text, which it always is. Nothing here knows which event has
//! which fields. Start with [`EventData::push`].

use super::time::Timestamp;

/// Room for the fields of the longest events, so that nearly all are written without growing.
const FIELDS_USUAL: usize = 40;
/// The same for their values, in bytes, when attributes are short.
const TEXT_USUAL: usize = 1_024;

/// `event_data`: snake-case names and text values, in order.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EventData {
    /// All values, one after the other: UTF-8.
    text: Vec<u8>,
    /// Each name, and where its value ends.
    fields: Vec<(&'static str, u32)>,
}

/// What can be the value of a field; writes its text form to the end of a buffer.
pub trait FieldValue {
    /// Appends the text form, in UTF-8.
    fn append_to(self, text: &mut Vec<u8>);
}

impl EventData {
    /// No fields yet, with room for those of an event.
    pub(super) fn with_usual_room() -> Self {
        Self { text: Vec::with_capacity(TEXT_USUAL), fields: Vec::with_capacity(FIELDS_USUAL) }
    }

    /// Adds a field at the end.
    pub fn push(&mut self, name: &'static str, value: impl FieldValue) {
        value.append_to(&mut self.text);
        // Attributes have at most 4,096 characters and expressions are bounded too: four gigabytes are never reached.
        let end = u32::try_from(self.text.len()).expect("the fields of an event are bounded");
        self.fields.push((name, end));
    }

    /// The value of the first field of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.fields.iter().position(|(found, _)| *found == name)?;
        let from = at.checked_sub(1).map_or(0, |before| self.fields[before].1);
        let place = |end: u32| usize::try_from(end).unwrap_or(usize::MAX);
        self.text.get(place(from)..place(self.fields[at].1)).map(text_of)
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let mut from = 0;
        self.fields.iter().map(move |(name, end)| {
            let until = usize::try_from(*end).unwrap_or(usize::MAX);
            let value = self.text.get(from..until).map(text_of).unwrap_or_default();
            from = until;
            (*name, value)
        })
    }
}

/// A value as it was pushed.
fn text_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("values are text")
}

impl std::fmt::Debug for EventData {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

impl<V: FieldValue> FromIterator<(&'static str, V)> for EventData {
    fn from_iter<I: IntoIterator<Item = (&'static str, V)>>(fields: I) -> Self {
        let mut data = Self::default();
        for (name, value) in fields {
            data.push(name, value);
        }
        data
    }
}

impl FieldValue for &str {
    fn append_to(self, text: &mut Vec<u8>) {
        text.extend_from_slice(self.as_bytes());
    }
}

impl FieldValue for &String {
    fn append_to(self, text: &mut Vec<u8>) {
        text.extend_from_slice(self.as_bytes());
    }
}

impl FieldValue for String {
    fn append_to(self, text: &mut Vec<u8>) {
        text.extend_from_slice(self.as_bytes());
    }
}

impl FieldValue for bool {
    fn append_to(self, text: &mut Vec<u8>) {
        text.extend_from_slice(if self { b"true" } else { b"false" });
    }
}

impl FieldValue for u64 {
    fn append_to(self, text: &mut Vec<u8>) {
        append_digits(self, text);
    }
}

impl FieldValue for u32 {
    fn append_to(self, text: &mut Vec<u8>) {
        append_digits(u64::from(self), text);
    }
}

impl FieldValue for i64 {
    fn append_to(self, text: &mut Vec<u8>) {
        if self < 0 {
            text.push(b'-');
        }
        append_digits(self.unsigned_abs(), text);
    }
}

impl FieldValue for i32 {
    fn append_to(self, text: &mut Vec<u8>) {
        i64::from(self).append_to(text);
    }
}

/// Whole seconds since the Unix epoch.
impl FieldValue for Timestamp {
    fn append_to(self, text: &mut Vec<u8>) {
        self.unix_secs().append_to(text);
    }
}

/// Decimal digits, without the general machinery of formatting.
fn append_digits(mut number: u64, text: &mut Vec<u8>) {
    let mut digits = [[b'0'; 2]; 10];
    let mut first = digits.len();
    for pair in digits.iter_mut().rev() {
        *pair = PAIRS[usize::try_from(number % 100).unwrap_or(0)];
        number /= 100;
        first -= 1;
        if number == 0 {
            break;
        }
    }
    let digits = digits[first..].as_flattened();
    let digits = digits.strip_prefix(b"0").filter(|rest| !rest.is_empty()).unwrap_or(digits);
    text.extend_from_slice(digits);
}

/// The two digits of each number below 100.
#[expect(clippy::cast_possible_truncation, reason = "digits are below ten")]
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < pairs.len() {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::TaskSid;

    #[test]
    fn fields_keep_their_order_and_are_found_by_name() {
        let mut data = EventData::with_usual_room();
        data.push("z", "last letter");
        data.push("empty", "");
        data.push("a", TaskSid::from_bits(0xAB));
        data.push("z", "another");
        let listed: Vec<_> = data.iter().collect();
        let sid = TaskSid::from_bits(0xAB).to_string();
        assert_eq!(listed, [("z", "last letter"), ("empty", ""), ("a", sid.as_str()), ("z", "another")]);
        assert_eq!((data.get("z"), data.get("empty"), data.get("b")), (Some("last letter"), Some(""), None));
    }

    #[test]
    fn values_have_the_text_form_that_formatting_gives() {
        fn text(value: impl FieldValue) -> String {
            let mut text = Vec::new();
            value.append_to(&mut text);
            text_of(&text).to_owned()
        }
        for number in [0, 1, -1, 9, 10, -10, 99, 100, i64::MAX, i64::MIN] {
            assert_eq!(text(number), number.to_string());
        }
        assert_eq!(text(u64::MAX), u64::MAX.to_string());
        assert_eq!(text(i32::MIN), i32::MIN.to_string());
        assert_eq!((text(true), text(false)), ("true".to_owned(), "false".to_owned()));
        assert_eq!(text(Timestamp(-1)), "-1");
        assert_eq!(text(Timestamp(1_999)), "1");
    }
}
