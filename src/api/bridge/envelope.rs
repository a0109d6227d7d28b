//! The JSON in which agents' browsers wrap their requests.
//!
//! Values of parameters are kept as the text that they came as, because attributes are stored as text: members that were
//! sorted, or numbers that were rounded, would be other attributes. Start with [`read`].

use axum::body::{Body, to_bytes};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::api::error::ApiError;

/// Longest request, in bytes: a capability token and attributes.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// What the SDK sends, whatever its `Content-Type` says.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope {
    pub(super) url: String,
    #[serde(default)]
    pub(super) method: Option<String>,
    #[serde(default)]
    pub(super) params: Option<Params>,
    pub(super) token: String,
    /// The first SDK wants it back with the answer.
    #[serde(default)]
    pub(super) event_type: Option<String>,
}

/// Parameters in the order in which they came, each name once.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Params;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Params, A::Error> {
                let mut all: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((name, value)) = members.next_entry()? {
                    // Of a member that is there twice the last one counts, as in the rest of our JSON.
                    all.retain(|(found, _)| *found != name);
                    all.push((name, value));
                }
                Ok(Params(all))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl Params {
    /// Parameters as a form would carry them: the values keep no JSON types, `undefined` names an option that the SDK does
    /// not know.
    pub(super) fn into_pairs(self) -> Vec<(String, String)> {
        let mut pairs = Vec::with_capacity(self.0.len());
        for (name, value) in self.0 {
            if name == "undefined" {
                continue;
            }
            let text = value.get();
            if text == "null" {
                continue;
            }
            if let Ok(text) = serde_json::from_str::<String>(text) {
                pairs.push((name, text));
            } else if let Ok(values) = serde_json::from_str::<Vec<String>>(text) {
                pairs.extend(values.into_iter().map(|value| (name.clone(), value)));
            } else {
                pairs.push((name, text.to_owned()));
            }
        }
        pairs
    }
}

/// Reads a body that is JSON whatever its `Content-Type` says.
pub(super) async fn read(body: Body) -> Result<Envelope, ApiError> {
    let bytes = to_bytes(body, REQUEST_BYTES_MAX).await.map_err(|_| ApiError::too_large(REQUEST_BYTES_MAX))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::invalid(format!("Invalid request: expected a JSON object: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_texts_that_came() {
        for (params, expected) in [
            (
                r#"{ "Attributes": {"z": 1.50, "a": {"n": 12345678901234567890123}} }"#,
                vec![("Attributes", r#"{"z": 1.50, "a": {"n": 12345678901234567890123}}"#)],
            ),
            (r#"{"B":true,"A":3,"C":null,"undefined":"x"}"#, vec![("B", "true"), ("A", "3")]),
            (r#"{"A":"a\u00e9 \"b\""}"#, vec![("A", "aé \"b\"")]),
            (r#"{"A":["x","y"],"B":[]}"#, vec![("A", "x"), ("A", "y")]),
            (r#"{"A":["x",1]}"#, vec![("A", r#"["x",1]"#)]),
            (r#"{"A":"first","A":"last"}"#, vec![("A", "last")]),
            ("{}", vec![]),
        ] {
            let params: Params = serde_json::from_str(params).unwrap();
            let pairs = params.into_pairs();
            let found: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(found, expected);
        }
        for broken in ["[]", "1", "\"x\""] {
            assert!(serde_json::from_str::<Params>(broken).is_err(), "{broken}");
        }
    }
}
