//! The name that an application gives to a conversation's room: in JSON alone, REST has no parameter for it
//! (`spec/voice.md` 3.6, V3).
//!
//! The name stands in paths of the phone system's REST and in documents, and whoever knows it can be led into the room. So
//! it has plain characters, and it is not the SID of something: a room of another task would be taken for this one. Start
//! with [`add`].

use serde_json::{Map, Value};

use super::{CONFERENCE_FAILED, Defect};
use crate::api::error::ApiError;
use crate::calls::ConferenceOptions;
use crate::engine::ReservationInstruction;

/// Longest name, in characters.
const LONGEST: usize = 128;
/// Digits of a SID, after its two letters.
const SID_DIGITS: usize = 32;

/// The same instruction with the name that the answer gives to the room; other instructions have no room to name.
pub(super) fn add(
    instruction: Option<ReservationInstruction>,
    answer: &Map<String, Value>,
) -> Result<Option<ReservationInstruction>, Defect> {
    let is_conference =
        answer.get("instruction").and_then(Value::as_str).is_some_and(|name| name.eq_ignore_ascii_case("conference"));
    match (instruction, answer.get("room_name")) {
        (Some(ReservationInstruction::Conference(options)), Some(name)) if is_conference => {
            let room_name = read(name).map_err(Defect::under(CONFERENCE_FAILED))?;
            Ok(Some(ReservationInstruction::Conference(Box::new(ConferenceOptions { room_name, ..*options }))))
        }
        (instruction, _) => Ok(instruction),
    }
}

fn read(name: &Value) -> Result<Option<String>, ApiError> {
    let refused = |expected: &str| Err(ApiError::invalid(format!("Invalid room_name: expected {expected}")));
    let name = match name {
        Value::Null => return Ok(None),
        Value::String(name) if name.is_empty() => return Ok(None),
        Value::String(name) => name,
        _ => return refused("a text"),
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || " -_.:@+".contains(letter);
    if name.len() > LONGEST {
        return refused(&format!("at most {LONGEST} characters"));
    }
    if !name.chars().all(plain) || name.trim() != name || name.chars().all(|letter| letter == '.') {
        return refused("letters, digits, spaces within and any of -_.:@+");
    }
    if is_sid(name) {
        return refused("a name that is not a SID");
    }
    Ok(Some(name.clone()))
}

/// Whether it has the form of a SID, whatever it is of.
fn is_sid(name: &str) -> bool {
    let digits = name.get(2..).filter(|digits| digits.len() == SID_DIGITS);
    digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_room_has_the_name_that_it_is_given() {
        for (name, expected) in [
            (json!("Order 4711"), Some("Order 4711")),
            (json!("case:77@example.org_a-b+c"), Some("case:77@example.org_a-b+c")),
            (json!("x".repeat(LONGEST)), Some("x".repeat(LONGEST).as_str())),
            (json!(""), None),
            (Value::Null, None),
        ] {
            assert_eq!(read(&name), Ok(expected.map(str::to_owned)), "{name}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_one_is_refused_with_the_reason() {
        let sid = |prefix: &str| json!(format!("{prefix}{}", "0a".repeat(16)));
        for (name, reason) in [
            (json!("x".repeat(LONGEST + 1)), "at most 128 characters"),
            (json!("a/b"), "letters, digits"),
            (json!(" a"), "letters, digits"),
            (json!(".."), "letters, digits"),
            (json!("ä"), "letters, digits"),
            (json!("a\nb"), "letters, digits"),
            (json!("<Say>"), "letters, digits"),
            (sid("CF"), "not a SID"),
            (sid("WT"), "not a SID"),
            (json!(7), "a text"),
        ] {
            let message = read(&name).unwrap_err().message;
            assert!(message.starts_with("Invalid room_name: ") && message.contains(reason), "{name}: {message}");
        }
    }
}
