//! Attributes of a task made from a call: 25 keys of the call, then the application's (`spec/voice.md` 2.3).
//!
//! Must not read requests: it is given a look-up. Start with [`merged`].

use serde_json::{Map, Value};

/// Deepest nesting of attributes.
const DEPTH_LIMIT: usize = 32;
const PLACES: [(&str, &str); 4] = [("_city", "City"), ("_state", "State"), ("_zip", "Zip"), ("_country", "Country")];
/// Attribute prefix, parameter prefix, and the parameter prefix that stands in where the older names are not sent.
const PARTIES: [(&str, &str, Option<&str>); 4] =
    [("from", "From", None), ("to", "To", None), ("caller", "Caller", Some("From")), ("called", "Called", Some("To"))];

/// The application's attributes are not a JSON object, or nest too deeply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a JSON object as task attributes: {0}")]
pub(super) struct NotAnObject(String);

/// The call's attributes with the application's JSON on top; the link to the call cannot be overridden.
///
/// `parameter` looks a webhook parameter up; `extra` are attributes besides the usual ones that are parameters of the same
/// name, such as `forwarded_from`. Empty text stands for no attributes.
pub(super) fn merged<'a>(
    parameter: impl Fn(&str) -> Option<&'a str>,
    extra: &[String],
    application: &str,
) -> Result<String, NotAnObject> {
    let mut of_call = of_call(&parameter);
    for key in extra {
        let value = parameter(&pascal_case(key)).unwrap_or_default();
        of_call.entry(key.as_str()).or_insert_with(|| Value::from(value));
    }
    let mut attributes = of_call.clone();
    attributes.append(&mut object(application)?);
    for key in ["call_sid", "account_sid"] {
        attributes.insert(key.to_owned(), of_call.get(key).cloned().unwrap_or_default());
    }
    Ok(Value::Object(attributes).to_string())
}

fn of_call<'a>(parameter: impl Fn(&str) -> Option<&'a str>) -> Map<String, Value> {
    let mut attributes = Map::new();
    let mut set = |key: String, value: &str| attributes.insert(key, Value::from(value));
    for (key, name) in [
        ("call_sid", "CallSid"),
        ("account_sid", "AccountSid"),
        ("api_version", "ApiVersion"),
        ("direction", "Direction"),
    ] {
        set(key.to_owned(), parameter(name).unwrap_or_default());
    }
    // To enqueue a call is to answer it.
    set("call_status".to_owned(), "in-progress");
    for (key, name, stand_in) in PARTIES {
        for (key_end, name_end) in std::iter::once(("", "")).chain(PLACES) {
            let older = stand_in.and_then(|stand_in| parameter(&format!("{stand_in}{name_end}")));
            let value = parameter(&format!("{name}{name_end}")).or(older).unwrap_or_default();
            set(format!("{key}{key_end}"), value);
        }
    }
    attributes
}

/// The name that the webhook has for an attribute: `forwarded_from` is `ForwardedFrom`.
fn pascal_case(key: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    key.split('_').map(word).collect()
}

fn object(text: &str) -> Result<Map<String, Value>, NotAnObject> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let value: Value = serde_json::from_str(text).map_err(|error| NotAnObject(error.to_string()))?;
    if is_deeper_than(&value, DEPTH_LIMIT) {
        return Err(NotAnObject(format!("nested deeper than {DEPTH_LIMIT}")));
    }
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(NotAnObject("found another JSON value".to_owned())),
    }
}

/// Nesting is bounded by the parser, so the recursion is.
fn is_deeper_than(value: &Value, limit: usize) -> bool {
    let is_deeper = |inner: &Value| limit == 0 || is_deeper_than(inner, limit - 1);
    match value {
        Value::Object(object) => object.is_empty() && limit == 0 || object.values().any(is_deeper),
        Value::Array(array) => array.is_empty() && limit == 0 || array.iter().any(is_deeper),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: [(&str, &str); 8] = [
        ("CallSid", "CA1"),
        ("AccountSid", "AC1"),
        ("ApiVersion", "2010-04-01"),
        ("Direction", "inbound"),
        ("CallStatus", "ringing"),
        ("From", "+15550001"),
        ("FromCity", "TURIN"),
        ("To", "+15550002"),
    ];

    fn merge(parameters: &[(&str, &'static str)], application: &str) -> Result<Map<String, Value>, NotAnObject> {
        let lookup = |name: &str| parameters.iter().find(|(given, _)| *given == name).map(|(_, value)| *value);
        merged(lookup, &[], application).map(|text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn all_25_keys_of_the_call_are_there() {
        let attributes = merge(&CALL, "").unwrap();
        assert_eq!(attributes.len(), 25);
        assert!(attributes.values().all(Value::is_string));
        for (key, value) in [
            ("call_sid", "CA1"),
            ("account_sid", "AC1"),
            ("api_version", "2010-04-01"),
            ("direction", "inbound"),
            ("call_status", "in-progress"),
            ("from", "+15550001"),
            ("from_city", "TURIN"),
            ("from_zip", ""),
            ("caller", "+15550001"),
            ("caller_city", "TURIN"),
            ("to", "+15550002"),
            ("called", "+15550002"),
            ("called_country", ""),
        ] {
            assert_eq!(attributes[key], value, "{key}");
        }
    }

    #[test]
    fn the_applications_keys_win_except_the_link_to_the_call() {
        let table = [
            (r#"{"lang":"es"}"#, "lang", "es"),
            (r#"{"from":"+49301"}"#, "from", "+49301"),
            (r#"{"call_status":"mine"}"#, "call_status", "mine"),
            (r#"{"call_sid":"CAforged"}"#, "call_sid", "CA1"),
            (r#"{"account_sid":"ACforged"}"#, "account_sid", "AC1"),
            (r#"{"a":"1","a":"2"}"#, "a", "2"),
            ("{}", "from", "+15550001"),
            ("  \n ", "from", "+15550001"),
        ];
        for (application, key, value) in table {
            assert_eq!(merge(&CALL, application).unwrap()[key], value, "{application}");
        }
        let nested = merge(&CALL, r#"{"from":{"x":1}}"#).unwrap();
        assert_eq!(nested["from"], serde_json::json!({"x": 1}), "top level only");
    }

    #[test]
    fn the_older_names_are_used_where_they_are_sent() {
        let mut call = CALL.to_vec();
        call.extend([("Caller", "client:x"), ("CallerCity", ""), ("Called", "sip:y@z")]);
        let attributes = merge(&call, "").unwrap();
        assert_eq!(attributes["caller"], "client:x");
        assert_eq!(attributes["caller_city"], "", "sent and empty");
        assert_eq!(attributes["called"], "sip:y@z");
    }

    #[test]
    fn further_parameters_of_the_call_are_attributes_where_they_are_asked_for() {
        let call = [("CallSid", "CA1"), ("From", "+15550001"), ("ForwardedFrom", "+15550003"), ("StirVerstat", "x")];
        let lookup = |name: &str| call.iter().find(|(given, _)| *given == name).map(|(_, value)| *value);
        let extra = ["forwarded_from", "caller_name", "from", "stir_verstat"].map(str::to_owned);
        let attributes = merged(lookup, &extra, r#"{"stir_verstat":"mine"}"#).unwrap();
        let attributes: Map<String, Value> = serde_json::from_str(&attributes).unwrap();
        assert_eq!(attributes.len(), 28);
        for (key, value) in
            [("forwarded_from", "+15550003"), ("caller_name", ""), ("from", "+15550001"), ("stir_verstat", "mine")]
        {
            assert_eq!(attributes[key], value, "{key}");
        }
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40));
        let deepest = "[".repeat(200_000);
        for text in ["[]", "1", "\"x\"", "null", "{", "{'a':1}", "{\"a\":1}x", "{\"a\":NaN}", &deep, &deepest] {
            assert!(merge(&CALL, text).is_err(), "{}", &text[..text.len().min(20)]);
        }
        let allowed = format!("{{\"a\":{}{}}}", "[".repeat(31), "]".repeat(31));
        assert!(merge(&CALL, &allowed).is_ok());
    }
}
