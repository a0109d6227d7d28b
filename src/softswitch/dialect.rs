//! The dialect that is spoken, Twilio's unless another is ordered: its paths, credentials, words and signatures, and the form
//! of IDs.
//!
//! Kept here and asked by the HTTP sides, `rest` and `sender`, and where IDs are made; the core knows nothing of it. Ordered
//! before the first call: IDs that were given stay as they are. Start with [`Spoken`].

use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::core::Refusal;
use crate::clock::Clock;
use crate::signature::{self, ed25519};

/// Whose dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Dialect {
    Twilio,
    /// `TeXML`.
    Telnyx,
}

/// An order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    dialect: Dialect,
}

/// The dialect that is spoken, and the keys of signatures.
#[derive(Debug)]
pub(super) struct Spoken {
    is_telnyxs: AtomicBool,
    token: SecretString,
    key: ed25519::SigningKey,
    clock: Clock,
}

impl Spoken {
    pub(super) fn new(token: SecretString, clock: Clock) -> Self {
        let key = ed25519::SigningKey::of(token.expose_secret());
        Self { is_telnyxs: AtomicBool::new(false), token, key, clock }
    }

    pub(super) fn order(&self, order: &Order) {
        self.is_telnyxs.store(order.dialect == Dialect::Telnyx, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Dialect {
        if self.is_telnyxs.load(Ordering::Relaxed) { Dialect::Telnyx } else { Dialect::Twilio }
    }

    /// What is spoken, and what its webhooks are checked with.
    pub(super) fn told(&self) -> Value {
        match self.now() {
            Dialect::Twilio => json!({ "dialect": Dialect::Twilio }),
            Dialect::Telnyx => {
                json!({ "dialect": Dialect::Telnyx, "public_key": self.key.public_key().to_string() })
            }
        }
    }

    /// An ID of the kind that Twilio's prefix names, with these 32 hexadecimal digits.
    pub(super) fn sid(&self, prefix: &str, digits: &str) -> String {
        match (self.now(), prefix) {
            (Dialect::Telnyx, "CA") => format!("v3:{digits}-_{}", digits.chars().rev().collect::<String>()),
            (Dialect::Telnyx, "CF") => {
                let mut groups = digits.to_owned();
                for at in [20, 16, 12, 8] {
                    groups.insert(at, '-');
                }
                groups
            }
            _ => format!("{prefix}{digits}"),
        }
    }

    /// The headers that prove where a webhook comes from.
    pub(super) fn signatures(&self, url: &str, pairs: &[(String, String)], body: &str) -> Vec<(&'static str, String)> {
        match self.now() {
            Dialect::Twilio => {
                vec![(signature::HEADER, signature::sign_form(self.token.expose_secret(), url, pairs))]
            }
            Dialect::Telnyx => {
                let (time, signature) = self.key.sign(self.clock.now().0.div_euclid(1_000), body.as_bytes());
                vec![(ed25519::TIME_HEADER, time), (ed25519::HEADER, signature)]
            }
        }
    }
}

impl Dialect {
    /// The path below an account, if it is one of this dialect.
    pub(super) fn below<'p>(self, segments: &'p [&'p str], raw_path: &str, account: &str) -> Option<&'p [&'p str]> {
        match (self, segments) {
            (Self::Twilio, ["2010-04-01", "Accounts", given, path @ ..]) if *given == account => Some(path),
            (Self::Telnyx, ["v2", "texml", "Accounts", given, path @ ..])
                if *given == account && raw_path.strip_suffix(".json").is_none() =>
            {
                Some(path)
            }
            _ => None,
        }
    }

    /// The form of a `POST` in Twilio's words; the error is what its REST would refuse.
    pub(super) fn read(self, path: &[&str], pairs: Vec<(String, String)>) -> Result<Vec<(String, String)>, Refusal> {
        if self == Self::Twilio {
            return Ok(pairs);
        }
        let is_new_call = path == ["Calls"];
        if is_new_call && !pairs.iter().any(|(name, value)| name == "ApplicationSid" && !value.is_empty()) {
            return Err(Refusal::bad(20001, "ApplicationSid is required"));
        }
        let twilios = |name: &str| {
            match (path, name) {
                (["Calls"], "UrlMethod") => Some("Method"),
                (["Calls", ..], "Texml") => Some("Twiml"),
                (["Calls"], "Method") | (_, "Twiml" | "Label") => None,
                _ => Some(name),
            }
            .map(str::to_owned)
        };
        Ok(pairs.into_iter().filter_map(|(name, value)| Some((twilios(&name)?, value))).collect())
    }

    /// An answer in this dialect's words, given Twilio's.
    pub(super) fn answer(self, is_new_call: bool, answer: Value) -> Value {
        match (self, answer) {
            (Self::Telnyx, Value::Object(call)) if is_new_call => {
                // More is not documented of it, not even the ID.
                let told = |(name, _): &(String, Value)| matches!(name.as_str(), "from" | "to" | "status");
                Value::Object(call.into_iter().filter(told).collect())
            }
            (Self::Telnyx, Value::Object(mut fields)) => {
                if let Some(Value::Array(participants)) = fields.get_mut("participants") {
                    participants.iter_mut().filter_map(Value::as_object_mut).for_each(participant);
                }
                if fields.contains_key("call_sid_to_coach") {
                    participant(&mut fields);
                }
                Value::Object(fields)
            }
            (_, answer) => answer,
        }
    }

    /// The body of a refusal, given Twilio's code and message.
    pub(super) fn refusal(self, refusal: &Refusal) -> (StatusCode, Value) {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if self == Self::Twilio {
            let body = json!({
                "code": refusal.code,
                "message": refusal.message,
                "more_info": format!("https://www.twilio.com/docs/errors/{}", refusal.code),
                "status": refusal.status,
            });
            return (status, body);
        }
        let (status, code, title) = match refusal.code {
            20404 => (status, "10005", "Resource not found"),
            20003 => (status, "10009", "Authentication failed"),
            20429 => (status, "10011", "Too many requests"),
            21220 => (StatusCode::UNPROCESSABLE_ENTITY, "90018", "Call has already ended"),
            _ if refusal.status == 400 => (StatusCode::UNPROCESSABLE_ENTITY, "10015", "Bad Request"),
            _ => (status, "10007", "Unexpected error"),
        };
        (status, json!({ "errors": [{ "code": code, "title": title, "detail": refusal.message }] }))
    }
}

/// A participant as Telnyx shows one: without its label.
fn participant(fields: &mut Map<String, Value>) {
    fields.remove("label");
    let coached = fields.remove("call_sid_to_coach").unwrap_or(Value::Null);
    fields.insert("coaching_call_sid".to_owned(), coached);
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "0123456789abcdef0123456789abcdef";

    fn speaking(dialect: Dialect) -> Spoken {
        let spoken = Spoken::new(SecretString::from("token"), Clock::system());
        spoken.order(&Order { dialect });
        spoken
    }

    #[test]
    fn ids_have_the_form_of_the_dialect() {
        let twilio = speaking(Dialect::Twilio);
        assert_eq!(twilio.sid("CA", DIGITS), format!("CA{DIGITS}"));
        let telnyx = speaking(Dialect::Telnyx);
        assert!(telnyx.sid("CA", DIGITS).starts_with("v3:0123"));
        assert_eq!(telnyx.sid("CF", DIGITS), "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(telnyx.sid("QU", DIGITS), format!("QU{DIGITS}"));
    }

    #[test]
    fn a_path_is_one_of_the_dialect_that_is_spoken() {
        let twilio = ["2010-04-01", "Accounts", "AC1", "Calls"];
        let telnyx = ["v2", "texml", "Accounts", "AC1", "Calls"];
        assert_eq!(Dialect::Twilio.below(&twilio, "/Calls.json", "AC1"), Some(&["Calls"][..]));
        assert_eq!(Dialect::Telnyx.below(&telnyx, "/Calls", "AC1"), Some(&["Calls"][..]));
        assert_eq!(Dialect::Telnyx.below(&telnyx, "/Calls.json", "AC1"), None);
        assert_eq!(Dialect::Telnyx.below(&telnyx, "/Calls", "AC2"), None);
        assert_eq!(Dialect::Telnyx.below(&twilio, "/Calls", "AC1"), None);
        assert_eq!(Dialect::Twilio.below(&telnyx, "/Calls", "AC1"), None);
    }

    #[test]
    fn telnyxs_words_are_not_twilios() {
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let form = pairs(&[("ApplicationSid", "1"), ("Url", "https://a"), ("UrlMethod", "GET"), ("Method", "POST")]);
        let read = Dialect::Telnyx.read(&["Calls"], form).unwrap();
        assert_eq!(read, pairs(&[("ApplicationSid", "1"), ("Url", "https://a"), ("Method", "GET")]));
        assert!(Dialect::Telnyx.read(&["Calls"], pairs(&[("Url", "https://a")])).is_err());
        let read = Dialect::Telnyx.read(&["Calls", "v3:1"], pairs(&[("Texml", "<Response/>"), ("Twiml", "no")]));
        assert_eq!(read.unwrap(), pairs(&[("Twiml", "<Response/>")]));

        let shown = Dialect::Telnyx.answer(false, json!({ "label": "a", "call_sid_to_coach": "v3:1", "hold": false }));
        assert_eq!(shown, json!({ "coaching_call_sid": "v3:1", "hold": false }));
        let made = Dialect::Telnyx.answer(true, json!({ "sid": "v3:1", "from": "a", "to": "b", "status": "queued" }));
        assert_eq!(made, json!({ "from": "a", "to": "b", "status": "queued" }));
        let (status, body) = Dialect::Telnyx.refusal(&Refusal::not_found("v3:1"));
        assert_eq!((status.as_u16(), &body["errors"][0]["code"]), (404, &json!("10005")));
    }
}
