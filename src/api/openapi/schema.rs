//! Kinds of values as JSON Schema: what a request may carry, what an answer holds.
//!
//! Every kind that more than one operation uses is here once; limits come from the module that enforces them where it
//! shows them. Start with [`sid`] for identifiers and [`object`] for answers.

use serde_json::{Map, Value, json};

use super::super::form::ATTRIBUTES_LIMIT;

/// Longest friendly name, in characters (TaskRouter: Limits).
const NAME_LIMIT: u32 = 64;

/// A SID in a request; hexadecimal digits of either case.
pub(super) fn sid(prefix: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^{prefix}[0-9a-fA-F]{{32}}$") })
}

/// A SID of one of several kinds in a request.
pub(super) fn sid_of(prefixes: &[&str]) -> Value {
    sid(&format!("({})", prefixes.join("|")))
}

/// A SID in an answer.
pub(super) fn own_sid(prefix: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^{prefix}[0-9a-f]{{32}}$") })
}

/// Any text.
pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

/// A friendly name.
pub(super) fn name() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": NAME_LIMIT, "pattern": "\\S" })
}

/// One of some words, whatever their case.
pub(super) fn words(words: &[&str]) -> Value {
    let cases = |word: &&str| word.chars().map(either_case).collect::<String>();
    let pattern = words.iter().map(cases).collect::<Vec<_>>().join("|");
    json!({ "type": "string", "pattern": format!("^({pattern})$"), "examples": words })
}

/// Some of some words, separated by commas or repeated.
pub(super) fn word_list(list: &[&str]) -> Value {
    json!({ "type": "array", "items": words(list) })
}

fn either_case(letter: char) -> String {
    if letter.is_ascii_alphabetic() {
        format!("[{}{}]", letter.to_ascii_uppercase(), letter.to_ascii_lowercase())
    } else {
        letter.to_string()
    }
}

/// One of some words in an answer, exactly.
pub(super) fn constant(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

/// True or false in a request: also as a digit or a word.
pub(super) fn flag() -> Value {
    let mut word = words(&["true", "false", "1", "0", "yes", "no"]);
    word["examples"] = json!(["true", "false"]);
    json!({ "anyOf": [{ "type": "boolean" }, word] })
}

/// True for `true`, `1` and `yes`, false for everything else.
pub(super) fn lenient_flag() -> Value {
    json!({ "anyOf": [{ "type": "boolean" }, { "type": "string" }] })
}

/// A whole number in a request.
pub(super) fn integer(range: std::ops::RangeInclusive<i64>) -> Value {
    json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() })
}

/// A moment in a request.
pub(super) fn moment() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// An absolute URL in a request; an empty one clears it.
pub(super) fn url() -> Value {
    json!({ "type": "string", "format": "web-url" })
}

/// A JSON object as text.
pub(super) fn attributes() -> Value {
    json!({ "type": "string", "format": "json-object", "minLength": 2, "maxLength": ATTRIBUTES_LIMIT })
}

/// An expression over the attributes of workers or tasks.
pub(super) fn expression() -> Value {
    json!({ "type": "string", "format": "taskrouter-expression" })
}

/// Columns of a list with their directions.
pub(super) fn ordering(columns: &[&str]) -> Value {
    let column = columns.join("|");
    json!({ "type": "string", "pattern": format!("^({column})(:(asc|desc))?$") })
}

/// Times at which the window of statistics or events may be cut.
pub(super) fn minutes() -> Value {
    integer(1..=43_200)
}

/// The same, or nothing.
pub(super) fn nullable(mut schema: Value) -> Value {
    if schema.get("$ref").is_some() {
        return json!({ "anyOf": [schema, { "type": "null" }] });
    }
    if let Some(kind) = schema.get("type").cloned() {
        schema["type"] = json!([kind, "null"]);
    }
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    }
    schema
}

/// A moment in an answer: UTC, whole seconds.
pub(super) fn date() -> Value {
    json!({
        "type": "string",
        "format": "date-time",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
    })
}

/// A whole number in an answer, never negative.
pub(super) fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// True or false in an answer.
pub(super) fn boolean() -> Value {
    json!({ "type": "boolean" })
}

/// An absolute URL in an answer.
pub(super) fn address() -> Value {
    json!({ "type": "string", "format": "uri" })
}

/// Names and absolute URLs; those of `sometimes` lead somewhere only at times.
pub(super) fn links(always: &[&str], sometimes: &[&str]) -> Value {
    let properties: Map<_, _> = always.iter().chain(sometimes).map(|name| ((*name).to_owned(), address())).collect();
    json!({ "type": "object", "properties": properties, "required": always, "additionalProperties": false })
}

/// An object that has exactly these keys, each time.
pub(super) fn object<'a>(keys: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let properties: Map<_, _> = keys.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    let required: Vec<_> = properties.keys().cloned().collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// An object with the keys of both.
pub(super) fn merged(mut one: Value, mut other: Value) -> Value {
    if let (Some(properties), Value::Object(more)) = (one["properties"].as_object_mut(), other["properties"].take()) {
        properties.extend(more);
    }
    if let (Some(required), Value::Array(more)) = (one["required"].as_array_mut(), other["required"].take()) {
        required.extend(more);
    }
    one
}

/// A list of such values.
pub(super) fn array(items: Value) -> Value {
    let mut schema = json!({ "type": "array" });
    schema["items"] = items;
    schema
}

/// A schema of the document's components.
pub(super) fn component(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Text of a certain form.
pub(super) fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// The unique name of a channel.
pub(super) fn unique_name() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z_$][A-Za-z0-9_$]*$", "maxLength": NAME_LIMIT })
}

/// A channel, by SID or by unique name; what names none is not found.
pub(super) fn channel() -> Value {
    json!({ "type": "string", "format": "task-channel" })
}

/// The configuration of a workflow, as JSON text.
pub(super) fn configuration() -> Value {
    json!({ "type": "string", "minLength": 2, "format": "workflow-configuration" })
}

/// Whole percents in an answer.
pub(super) fn percentage() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": 100 })
}

/// The same in a form, where an empty text stands for an absent field.
pub(super) fn or_nothing(mut schema: Value) -> Value {
    if schema["type"] == "integer" || schema["format"] == "date-time" {
        return json!({ "anyOf": [schema, { "type": "string", "maxLength": 0 }] });
    }
    let inner = schema["pattern"].as_str().and_then(|pattern| pattern.strip_prefix('^')?.strip_suffix('$'));
    if let Some(pattern) = inner.map(|inner| format!("^({inner})?$")) {
        schema["pattern"] = pattern.into();
    }
    if let Some(branches) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        for branch in branches {
            *branch = or_nothing(branch.take());
        }
    }
    schema
}
