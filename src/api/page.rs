//! Paging: what the client asks for, and the envelope around a page.
//!
//! A page token is `PA` (what follows) or `PB` (what comes before), the SID of a row and the values that the list is
//! ordered by, separated by dots. Clients follow the URLs of the envelope verbatim and never look inside. Start with
//! [`Paging`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::error::ApiError;
use super::form::{Parameters, word};
use super::json;
use crate::store::pages::{Cursor, Direction, List, Seek, Span};

const DEFAULT_SIZE: u32 = 50;
pub(super) const LARGEST_SIZE: u32 = 1000;
const PAGING: [&str; 3] = ["PageSize", "Page", "PageToken"];

/// Which page of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paging {
    number: u64,
    size: u32,
    seek: Seek,
    /// Filters as they came, repeated in every URL.
    filters: Vec<(String, String)>,
}

impl Paging {
    /// Reads the paging parameters of a list that is ordered by `keys` values before the SID.
    pub(super) fn read(query: &Parameters, keys: usize) -> Result<Self, ApiError> {
        let number: u64 = match query.filled("Page") {
            Some(text) => text.parse().map_err(|_| ApiError::invalid("Invalid Page."))?,
            None => 0,
        };
        let size = match query.filled("PageSize") {
            Some(text) => page_size(text)?,
            None => DEFAULT_SIZE,
        };
        let seek = match query.filled("PageToken") {
            Some(token) => read_token(token, keys).ok_or_else(|| ApiError::invalid("Invalid PageToken."))?,
            None if number == 0 => Seek::First,
            None => Seek::Skip(number.saturating_mul(u64::from(size))),
        };
        let filters = query.iter().filter(|(name, _)| !PAGING.contains(name));
        let filters = filters.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Self { number, size, seek, filters })
    }

    /// The rows to read.
    pub(super) fn span(&self) -> Span {
        Span { seek: self.seek.clone(), limit: self.size }
    }

    /// The answer: the rows, rendered, under `key`, and the URLs of the neighbouring pages of the list at `url`.
    pub(super) fn answer<T>(
        &self,
        url: &str,
        key: &'static str,
        list: &List<T>,
        render: impl Fn(&T) -> Value,
    ) -> Response {
        json::answer(StatusCode::OK, &self.envelope(url, key, list, render))
    }

    /// The same in the form of Twilio's 2010 API, for the list at `uri`, a path.
    pub(super) fn answer_2010<T>(
        &self,
        uri: &str,
        key: &'static str,
        list: &List<T>,
        render: impl Fn(&T) -> Value,
    ) -> Response {
        json::answer(StatusCode::OK, &self.envelope_2010(uri, key, list, render))
    }

    fn envelope_2010<T>(&self, uri: &str, key: &'static str, list: &List<T>, render: impl Fn(&T) -> Value) -> Value {
        let mut envelope = self.envelope(uri, key, list, render);
        let meta = envelope["meta"].take();
        let start = self.number.saturating_mul(u64::from(self.size));
        let rows = list.entries.len() as u64;
        json!({
            key: envelope[key].take(),
            "page": meta["page"],
            "page_size": meta["page_size"],
            "start": start,
            "end": start.saturating_add(rows.saturating_sub(1)),
            "uri": meta["url"],
            "first_page_uri": meta["first_page_url"],
            "next_page_uri": meta["next_page_url"],
            "previous_page_uri": meta["previous_page_url"],
        })
    }

    fn envelope<T>(&self, url: &str, key: &'static str, list: &List<T>, render: impl Fn(&T) -> Value) -> Value {
        let token = match &self.seek {
            Seek::First | Seek::Skip(_) => None,
            Seek::After(cursor) => Some(write_token("PA", cursor)),
            Seek::Before(cursor) => Some(write_token("PB", cursor)),
        };
        let next = list
            .after
            .as_ref()
            .map(|cursor| self.page_url(url, self.number.saturating_add(1), Some(write_token("PA", cursor))));
        let previous = list
            .before
            .as_ref()
            .map(|cursor| self.page_url(url, self.number.saturating_sub(1), Some(write_token("PB", cursor))));
        let rows: Vec<_> = list.entries.iter().map(|entry| render(&entry.row)).collect();
        let mut envelope = json!({
            "meta": {
                "page": self.number,
                "page_size": self.size,
                "first_page_url": self.page_url(url, 0, None),
                "previous_page_url": previous,
                "next_page_url": next,
                "url": self.page_url(url, self.number, token),
                "key": key,
            },
        });
        envelope[key] = Value::Array(rows);
        envelope
    }

    fn page_url(&self, url: &str, number: u64, token: Option<String>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.filters);
        query.append_pair("PageSize", &self.size.to_string()).append_pair("Page", &number.to_string());
        if let Some(token) = token {
            query.append_pair("PageToken", &token);
        }
        format!("{url}?{}", query.finish())
    }
}

/// Whether a query names a page by its number alone, and not the first one.
pub(super) fn is_by_number(query: &str) -> bool {
    let query = Parameters::parse(query.as_bytes());
    let number: Option<u64> = query.filled("Page").and_then(|page| page.parse().ok());
    number.is_some_and(|number| number > 0) && query.filled("PageToken").is_none()
}

/// The keys of `Ordering=Name:asc,Name:desc`, each one of `names`; none when it is absent.
pub(super) fn ordering(query: &Parameters, names: &[&'static str]) -> Result<Vec<(&'static str, Direction)>, ApiError> {
    let mut keys: Vec<(&'static str, Direction)> = Vec::new();
    for text in query.list("Ordering") {
        let (name, direction) = text.split_once(':').unwrap_or((text, "asc"));
        let name = word("Ordering", name.trim(), names)?;
        let direction = match word("Ordering", direction.trim(), &["asc", "desc"])? {
            "desc" => Direction::Descending,
            _ => Direction::Ascending,
        };
        if keys.iter().any(|(other, _)| *other == name) {
            return Err(ApiError::invalid(format!("Invalid Ordering: {name} is named twice")));
        }
        keys.push((name, direction));
    }
    Ok(keys)
}

/// Larger sizes are cut, because libraries send the caller's limit as the size.
pub(super) fn page_size(text: &str) -> Result<u32, ApiError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let size = if digits { text.parse::<u32>().unwrap_or(u32::MAX) } else { 0 };
    if size == 0 { Err(ApiError::invalid("Invalid PageSize.")) } else { Ok(size.min(LARGEST_SIZE)) }
}

pub(super) fn write_token(direction: &str, cursor: &Cursor) -> String {
    let mut token = format!("{direction}{}", cursor.sid);
    for key in &cursor.keys {
        token.push_str(&format!(".{key}"));
    }
    token
}

pub(super) fn read_token(token: &str, keys: usize) -> Option<Seek> {
    let direction = token.get(..2)?;
    let mut parts = token.get(2..)?.split('.');
    let sid = parts.next().filter(|sid| is_sid(sid))?;
    let values: Vec<i64> = parts.map(|part| part.parse().ok()).collect::<Option<_>>()?;
    if values.len() != keys {
        return None;
    }
    let cursor = Cursor { sid: sid.to_owned(), keys: values };
    match direction {
        "PA" => Some(Seek::After(cursor)),
        "PB" => Some(Seek::Before(cursor)),
        _ => None,
    }
}

/// Two letters and 32 hexadecimal digits.
fn is_sid(text: &str) -> bool {
    let Some((prefix, digits)) = text.split_at_checked(2) else { return false };
    let hexadecimal = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    prefix.bytes().all(|byte| byte.is_ascii_uppercase()) && digits.len() == 32 && digits.bytes().all(hexadecimal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::pages::Entry;

    const SID: &str = "WK0123456789abcdef0123456789abcdef";

    fn read(query: &str) -> Result<Paging, ApiError> {
        Paging::read(&Parameters::parse(query.as_bytes()), 1)
    }

    #[test]
    fn sizes_have_a_default_a_floor_and_a_ceiling() {
        for (query, expected) in [("", 50), ("PageSize=1", 1), ("PageSize=1000", 1000), ("PageSize=99999999999", 1000)]
        {
            assert_eq!(read(query).unwrap().size, expected, "{query}");
        }
        for query in ["PageSize=0", "PageSize=-1", "PageSize=ten", "PageSize=1.5"] {
            assert_eq!(read(query).unwrap_err().message, "Invalid PageSize.", "{query}");
        }
    }

    #[test]
    fn tokens_round_trip_and_foreign_ones_are_refused() {
        let cursor = Cursor { sid: SID.to_owned(), keys: vec![-5] };
        let after = read(&format!("Page=1&PageToken={}", write_token("PA", &cursor))).unwrap();
        assert_eq!(after.span().seek, Seek::After(cursor.clone()));
        let before = read(&format!("PageToken={}", write_token("PB", &cursor))).unwrap();
        assert_eq!(before.span().seek, Seek::Before(cursor));
        for token in ["PA", "P", "é", &format!("PA{SID}"), &format!("PX{SID}.1"), &format!("PA{SID}.x"), "PA1.1"] {
            let encoded: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
            assert_eq!(read(&format!("PageToken={encoded}")).unwrap_err().message, "Invalid PageToken.", "{token}");
        }
    }

    #[test]
    fn a_page_number_without_a_token_counts_rows() {
        assert_eq!(read("Page=3&PageSize=20").unwrap().span(), Span { seek: Seek::Skip(60), limit: 20 });
        assert_eq!(read("Page=0").unwrap().span().seek, Seek::First);
        assert!(read("Page=x").is_err());
    }

    #[test]
    fn the_envelope_names_its_neighbours_and_repeats_the_filters() {
        let paging = read("AssignmentStatus=pending&PageSize=2&AssignmentStatus=a%2Cb&Page=0").unwrap();
        let cursor = |key| Cursor { sid: SID.to_owned(), keys: vec![key] };
        let entries = vec![Entry { at: cursor(6), row: 1 }, Entry { at: cursor(7), row: 2 }];
        let list = List { entries, before: None, after: Some(cursor(7)) };
        let url = "http://h/v1/Workspaces/WS1/Tasks";
        let filters = "AssignmentStatus=pending&AssignmentStatus=a%2Cb&PageSize=2";
        let expected = json!({
            "meta": {
                "page": 0,
                "page_size": 2,
                "first_page_url": format!("{url}?{filters}&Page=0"),
                "previous_page_url": null,
                "next_page_url": format!("{url}?{filters}&Page=1&PageToken=PA{SID}.7"),
                "url": format!("{url}?{filters}&Page=0"),
                "key": "tasks",
            },
            "tasks": [1, 2],
        });
        assert_eq!(paging.envelope(url, "tasks", &list, |number| json!(number)), expected);
    }

    #[test]
    fn the_envelope_of_the_2010_api_is_flat_and_has_paths() {
        let paging = read("PageSize=2&Page=0").unwrap();
        let cursor = |key| Cursor { sid: SID.to_owned(), keys: vec![key] };
        let entries = vec![Entry { at: cursor(6), row: 1 }, Entry { at: cursor(7), row: 2 }];
        let list = List { entries, before: None, after: Some(cursor(7)) };
        let expected = json!({
            "keys": [1, 2],
            "page": 0,
            "page_size": 2,
            "start": 0,
            "end": 1,
            "uri": "/l.json?PageSize=2&Page=0",
            "first_page_uri": "/l.json?PageSize=2&Page=0",
            "next_page_uri": format!("/l.json?PageSize=2&Page=1&PageToken=PA{SID}.7"),
            "previous_page_uri": null,
        });
        assert_eq!(paging.envelope_2010("/l.json", "keys", &list, |number| json!(number)), expected);
        let none = read("Page=3&PageSize=2").unwrap().envelope_2010("u", "keys", &List::<u8>::empty(), |_| json!(0));
        assert_eq!((&none["start"], &none["end"], &none["keys"]), (&json!(6), &json!(6), &json!([])));
    }

    #[test]
    fn orderings_name_known_keys_once() {
        let of = |text: &str| ordering(&Parameters::parse(text.as_bytes()), &["DateCreated", "Priority"]);
        assert_eq!(of(""), Ok(vec![]));
        let both = vec![("Priority", Direction::Descending), ("DateCreated", Direction::Ascending)];
        assert_eq!(of("Ordering=Priority:desc,DateCreated:asc"), Ok(both.clone()));
        assert_eq!(of("Ordering=priority:DESC&Ordering=DateCreated"), Ok(both));
        for text in ["Age:asc", "Priority:up", "Priority:asc,Priority:desc"] {
            assert!(of(&format!("Ordering={text}")).unwrap_err().message.starts_with("Invalid Ordering: "), "{text}");
        }
    }

    #[test]
    fn the_url_of_a_later_page_is_its_own() {
        let paging = read(&format!("PageSize=2&Page=1&PageToken=PA{SID}.7")).unwrap();
        let cursor = Cursor { sid: SID.to_owned(), keys: vec![8] };
        let list = List { entries: vec![Entry { at: cursor.clone(), row: 3 }], before: Some(cursor), after: None };
        let meta = &paging.envelope("u", "tasks", &list, |number| json!(number))["meta"];
        assert_eq!(meta["url"], format!("u?PageSize=2&Page=1&PageToken=PA{SID}.7"));
        assert_eq!(meta["previous_page_url"], format!("u?PageSize=2&Page=0&PageToken=PB{SID}.8"));
        assert_eq!(meta["next_page_url"], Value::Null);
    }

    #[test]
    fn the_largest_page_number_has_neighbours_too() {
        let paging = read(&format!("PageSize=1&Page={}&PageToken=PA{SID}.7", u64::MAX)).unwrap();
        let cursor = Cursor { sid: SID.to_owned(), keys: vec![8] };
        let entries = vec![Entry { at: cursor.clone(), row: 3 }];
        let list = List { entries, before: Some(cursor.clone()), after: Some(cursor) };
        let meta = &paging.envelope("u", "tasks", &list, |number| json!(number))["meta"];
        assert_eq!(meta["next_page_url"], format!("u?PageSize=1&Page={}&PageToken=PA{SID}.8", u64::MAX));
        assert_eq!(meta["previous_page_url"], format!("u?PageSize=1&Page={}&PageToken=PB{SID}.8", u64::MAX - 1));
    }
}
