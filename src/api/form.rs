//! Parameters of a request: a form body or a query string, and how each kind of value is read from it.
//!
//! Every error names its parameter. Unknown parameters are ignored, as at Twilio. An empty value clears a text or a URL
//! and counts as absent everywhere else. Start with [`Parameters`].

use std::ops::{Deref, RangeInclusive};
use std::str::FromStr;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::State;
use super::error::ApiError;
use crate::routing::Timestamp;

/// Longest `Attributes`, in characters (TaskRouter: Limits).
pub(super) const ATTRIBUTES_LIMIT: usize = 4096;

/// Names and values in the order they came; a name may come more than once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parameters(Vec<(String, String)>);

/// The body of a request, at most `LIMIT` bytes.
#[derive(Debug)]
pub(super) struct Form<const LIMIT: usize = { 64 * 1024 }>(Parameters);

/// The query string of a request.
#[derive(Debug)]
pub(super) struct Query(pub(super) Parameters);

impl<const LIMIT: usize> Deref for Form<LIMIT> {
    type Target = Parameters;

    fn deref(&self) -> &Parameters {
        &self.0
    }
}

impl Deref for Query {
    type Target = Parameters;

    fn deref(&self) -> &Parameters {
        &self.0
    }
}

impl<const LIMIT: usize> FromRequest<State> for Form<LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &State) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = to_bytes(body, LIMIT).await.map_err(|_| ApiError::too_large(LIMIT))?;
        let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let media_type = media_type.split(';').next().unwrap_or("").trim();
        if !bytes.is_empty()
            && !media_type.is_empty()
            && !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        {
            let message = format!("Content-Type must be application/x-www-form-urlencoded, not {media_type}");
            return Err(ApiError::invalid(message));
        }
        Ok(Self(Parameters::parse(&bytes)))
    }
}

impl FromRequestParts<State> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &State) -> Result<Self, ApiError> {
        Ok(Self(Parameters::parse(parts.uri.query().unwrap_or("").as_bytes())))
    }
}

impl Parameters {
    /// Reads `name=value&…`, percent-encoded.
    pub(super) fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// These names and values.
    pub(super) const fn of_pairs(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value as it came, empty or not.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The same as an owned text.
    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// The first value that is not empty.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, value)| *found == name && !value.is_empty()).map(|(_, value)| value)
    }

    /// The value, which must be there.
    pub(super) fn required(&self, name: &'static str) -> Result<String, ApiError> {
        self.filled(name).map(str::to_owned).ok_or_else(|| ApiError::missing(name))
    }

    /// True for `true`, `1` and `yes`, false for everything else (TaskRouter: Activity).
    pub(super) fn truthy(&self, name: &str) -> Option<bool> {
        self.filled(name).map(is_truthy)
    }

    /// True or false; anything that is neither is an error.
    pub(super) fn boolean(&self, name: &'static str) -> Result<Option<bool>, ApiError> {
        let Some(value) = self.filled(name) else { return Ok(None) };
        let falsy = ["false", "0", "no"].iter().any(|word| value.eq_ignore_ascii_case(word));
        if is_truthy(value) || falsy { Ok(Some(!falsy)) } else { Err(invalid(name, value, "true or false")) }
    }

    /// A whole number within `range`.
    pub(super) fn integer<T>(&self, name: &'static str, range: RangeInclusive<T>) -> Result<Option<T>, ApiError>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(value) = self.filled(name) else { return Ok(None) };
        let number = value.trim().parse().ok().filter(|number| range.contains(number));
        let expected = || format!("a whole number from {} to {}", range.start(), range.end());
        number.map(Some).ok_or_else(|| invalid(name, value, &expected()))
    }

    /// A moment: RFC 3339 with `Z` or an offset, fractions allowed; without a zone, or a date alone, it is UTC.
    pub(super) fn moment(&self, name: &'static str) -> Result<Option<Timestamp>, ApiError> {
        let Some(value) = self.filled(name) else { return Ok(None) };
        let moment = value.parse::<jiff::Timestamp>().or_else(|_| {
            let local = value.parse::<jiff::civil::DateTime>()?;
            jiff::tz::Offset::UTC.to_timestamp(local)
        });
        let moment = moment.map_err(|_| invalid(name, value, "a moment such as 2026-02-03T04:05:06Z"))?;
        Ok(Some(Timestamp(moment.as_millisecond())))
    }

    /// The last moment of a list or of statistics, itself included: dates are told in whole seconds, so a whole second is meant to its end.
    pub(super) fn last_moment(&self, name: &'static str) -> Result<Option<Timestamp>, ApiError> {
        let moment = self.moment(name)?;
        Ok(moment.map(|moment| if moment.0 % 1_000 == 0 { moment.plus_ms(999) } else { moment }))
    }

    /// A JSON object as text, byte for byte as it came.
    pub(super) fn attributes(&self, name: &'static str) -> Result<Option<String>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if text.chars().count() > ATTRIBUTES_LIMIT {
            return Err(ApiError::invalid(format!("Invalid {name}: longer than {ATTRIBUTES_LIMIT} characters")));
        }
        match serde_json::from_str::<Map<String, Value>>(text) {
            Ok(_) => Ok(Some(text.to_owned())),
            Err(error) => Err(ApiError::invalid(format!("Invalid {name}: expected a JSON object: {error}"))),
        }
    }

    /// A SID of the expected kind.
    pub(super) fn sid<S: FromStr>(&self, name: &'static str) -> Result<Option<S>, ApiError> {
        let Some(value) = self.filled(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| invalid(name, value, "a SID"))
    }

    /// The same where an empty value means none, which is something else than no value.
    #[expect(
        clippy::option_option,
        reason = "not given, given as none, and given are three things, as in the commands"
    )]
    pub(super) fn sid_or_none<S: FromStr>(&self, name: &'static str) -> Result<Option<Option<S>>, ApiError> {
        if self.text(name) == Some("") { Ok(Some(None)) } else { Ok(self.sid(name)?.map(Some)) }
    }

    /// Values of a repeated name, and of comma lists.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let values = self.iter().filter(|(found, _)| *found == name).flat_map(|(_, value)| value.split(','));
        values.map(str::trim).filter(|value| !value.is_empty()).collect()
    }

    /// One of `words`, whatever its case.
    pub(super) fn word(&self, name: &'static str, words: &[&'static str]) -> Result<Option<&'static str>, ApiError> {
        self.filled(name).map(|value| word(name, value, words)).transpose()
    }

    /// Any of `words`, whatever their case: repeated, or separated by commas or spaces.
    pub(super) fn words(&self, name: &'static str, words: &[&'static str]) -> Result<Vec<&'static str>, ApiError> {
        let values = self.list(name).into_iter().flat_map(str::split_whitespace);
        values.map(|value| word(name, value, words)).collect()
    }

    /// An absolute `http` or `https` URL, or an empty text.
    pub(super) fn url(&self, name: &'static str) -> Result<Option<String>, ApiError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        let is_web = |url: url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        if value.is_empty() || url::Url::parse(value).is_ok_and(is_web) {
            Ok(Some(value.to_owned()))
        } else {
            Err(invalid(name, value, "an absolute http or https URL"))
        }
    }
}

/// Nothing instead of an empty text.
pub(super) fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// One of `words`, whatever its case.
pub(super) fn word(name: &'static str, value: &str, words: &[&'static str]) -> Result<&'static str, ApiError> {
    let found = words.iter().find(|word| value.eq_ignore_ascii_case(word));
    found.copied().ok_or_else(|| invalid(name, value, &format!("one of {}", words.join(", "))))
}

/// The error of a parameter with a value that is not allowed.
pub(super) fn invalid(name: &str, value: &str, expected: &str) -> ApiError {
    let shown: String = value.chars().take(100).collect();
    ApiError::invalid(format!("Invalid {name}: '{shown}' is not {expected}"))
}

fn is_truthy(value: &str) -> bool {
    ["true", "1", "yes"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Parameters {
        Parameters::parse(text.as_bytes())
    }

    #[test]
    fn booleans_are_words_or_digits() {
        for (text, expected) in
            [("true", true), ("True", true), ("1", true), ("yes", true), ("0", false), ("no", false)]
        {
            assert_eq!(of(&format!("B={text}")).boolean("B"), Ok(Some(expected)), "{text}");
        }
        assert_eq!(of("").boolean("B"), Ok(None));
        assert_eq!(of("B=").boolean("B"), Ok(None));
        assert_eq!(of("B=maybe").boolean("B").unwrap_err().message, "Invalid B: 'maybe' is not true or false");
        assert_eq!(of("B=maybe").truthy("B"), Some(false));
    }

    #[test]
    fn integers_have_a_range() {
        assert_eq!(of("N=50").integer("N", 1..=50), Ok(Some(50)));
        assert_eq!(of("N=").integer("N", 1..=50), Ok(None));
        for text in ["51", "0", "-1", "1.0", "x", "99999999999999999999"] {
            let error = of(&format!("N={text}")).integer("N", 1..=50).unwrap_err();
            assert_eq!(error.message, format!("Invalid N: '{text}' is not a whole number from 1 to 50"));
        }
    }

    #[test]
    fn moments_come_with_fractions_offsets_or_as_dates() {
        let check = |text: &str, expected: i64| {
            let encoded: String = form_urlencoded::Serializer::new(String::new()).append_pair("T", text).finish();
            assert_eq!(of(&encoded).moment("T"), Ok(Some(Timestamp(expected))), "{text}");
        };
        check("2026-02-03T04:05:06Z", 1_770_091_506_000);
        check("2026-02-03T04:05:06.123Z", 1_770_091_506_123);
        check("2026-02-03T05:05:06+01:00", 1_770_091_506_000);
        check("2026-02-03T04:05:06", 1_770_091_506_000);
        check("2026-02-03", 1_770_076_800_000);
        for text in ["yesterday", "2026-02-30T00:00:00Z", "1770091506"] {
            assert!(of(&format!("T={text}")).moment("T").unwrap_err().message.starts_with("Invalid T: "), "{text}");
        }
    }

    #[test]
    fn attributes_are_json_objects_of_bounded_length() {
        assert_eq!(of("A={ \"b\":1}").attributes("A"), Ok(Some("{ \"b\":1}".to_owned())));
        assert_eq!(of("").attributes("A"), Ok(None));
        for text in ["", "[1]", "1", "{", "{}x"] {
            assert!(of(&format!("A={text}")).attributes("A").is_err(), "{text}");
        }
        let longest = format!("{{\"a\":\"{}\"}}", "é".repeat(ATTRIBUTES_LIMIT - 8));
        assert_eq!(of(&format!("A={longest}")).attributes("A"), Ok(Some(longest.clone())));
        let too_long = longest.replace("\"}", "é\"}");
        assert!(of(&format!("A={too_long}")).attributes("A").is_err());
    }

    #[test]
    fn an_empty_value_does_not_hide_another() {
        assert_eq!(of("N=&N=7&N=8").integer("N", 1..=9), Ok(Some(7)));
        assert!(of("N=&N=x").integer("N", 1..=9).is_err());
        assert_eq!(of("N=&N=").filled("N"), None);
    }

    #[test]
    fn lists_are_repeated_names_or_commas() {
        assert_eq!(of("L=a&X=1&L=b,c%2Cd&L=").list("L"), ["a", "b", "c", "d"]);
        assert!(of("").list("L").is_empty());
    }

    #[test]
    fn urls_are_absolute_and_an_empty_one_clears() {
        assert_eq!(of("U=").url("U"), Ok(Some(String::new())));
        assert_eq!(of("").url("U"), Ok(None));
        assert_eq!(of("U=https://a.example/b?c=1").url("U"), Ok(Some("https://a.example/b?c=1".to_owned())));
        for text in ["/b", "ftp://a.example", "javascript:1"] {
            assert!(of(&format!("U={text}")).url("U").is_err(), "{text}");
        }
    }

    #[test]
    fn a_required_parameter_is_named_when_it_is_missing() {
        assert_eq!(of("").required("FriendlyName").unwrap_err().message, "FriendlyName field is required");
        assert_eq!(of("FriendlyName=").required("FriendlyName").unwrap_err().message, "FriendlyName field is required");
        assert_eq!(of("FriendlyName=a+b%21").required("FriendlyName"), Ok("a b!".to_owned()));
    }
}
