//! Cookies that applications give a call: kept while it lasts and sent back (Twilio: TwiML voice, cookies).
//!
//! Name and value only, by call and origin; lifetimes, paths and domains are not looked at. Everything is bounded. Start
//! with [`Cookies::keep`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use reqwest::header::{HeaderMap, SET_COOKIE};
use url::Url;

/// Calls whose cookies are kept; those of the oldest are forgotten first.
const CALLS_MAX: usize = 10_000;
/// Cookies of one call.
const COOKIES_MAX: usize = 20;
/// Longest cookie, in bytes.
const LENGTH_MAX: usize = 4_096;

/// Origin and name of a cookie.
type Key = (String, String);

#[derive(Debug, Default)]
struct Kept {
    of_call: BTreeMap<String, BTreeMap<Key, String>>,
    /// The longest kept first.
    order: VecDeque<String>,
}

/// The cookies of all calls.
#[derive(Debug, Default)]
pub(super) struct Cookies(Mutex<Kept>);

fn origin(url: &str) -> Option<String> {
    Some(Url::parse(url).ok()?.origin().ascii_serialization())
}

impl Cookies {
    /// Takes what an answer from `url` sets for the call.
    pub(super) fn keep(&self, call: &str, url: &str, headers: &HeaderMap) {
        let set: Vec<&str> = headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()).collect();
        let Some(origin) = origin(url).filter(|_| !set.is_empty() && !call.is_empty()) else { return };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { of_call, order } = &mut *kept;
        if !of_call.contains_key(call) {
            if order.len() >= CALLS_MAX
                && let Some(oldest) = order.pop_front()
            {
                of_call.remove(&oldest);
            }
            order.push_back(call.to_owned());
        }
        let cookies = of_call.entry(call.to_owned()).or_default();
        for text in set.into_iter().filter(|text| text.len() <= LENGTH_MAX) {
            let pair = text.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.split_once('=') else { continue };
            let key = (origin.clone(), name.trim().to_owned());
            if value.trim().is_empty() {
                cookies.remove(&key);
            } else if cookies.len() < COOKIES_MAX || cookies.contains_key(&key) {
                cookies.insert(key, value.trim().to_owned());
            }
        }
    }

    /// The `Cookie` header of a request to `url` for the call.
    pub(super) fn of(&self, call: &str, url: &str) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cookies = kept.of_call.get(call)?;
        let origin = origin(url)?;
        let pairs: Vec<String> = cookies
            .iter()
            .filter(|((given, _), _)| *given == origin)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn set(texts: &[&str]) -> HeaderMap {
        texts.iter().map(|text| (SET_COOKIE, HeaderValue::from_str(text).unwrap())).collect()
    }

    #[test]
    fn a_call_sends_back_what_it_was_given_where_it_was_given_it() {
        let cookies = Cookies::default();
        cookies.keep("CA1", "https://app.example.org/a?x=1", &set(&["session=1; Path=/; HttpOnly", "lang=de", "bad"]));
        cookies.keep("CA1", "https://app.example.org/b", &set(&["session=2"]));
        assert_eq!(cookies.of("CA1", "https://app.example.org/c").as_deref(), Some("lang=de; session=2"));
        assert_eq!(cookies.of("CA1", "https://app.example.org:8443/c"), None, "another origin");
        assert_eq!(cookies.of("CA2", "https://app.example.org/c"), None, "another call");
        cookies.keep("CA1", "https://app.example.org/d", &set(&["lang=; Max-Age=0"]));
        assert_eq!(cookies.of("CA1", "https://app.example.org/c").as_deref(), Some("session=2"));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let cookies = Cookies::default();
        for number in 0..=CALLS_MAX {
            cookies.keep(&format!("CA{number}"), "http://a", &set(&["a=1"]));
        }
        let many: Vec<String> = (0..2 * COOKIES_MAX).map(|number| format!("c{number}=1")).collect();
        cookies.keep("CA1", "http://a", &set(&many.iter().map(String::as_str).collect::<Vec<_>>()));
        let kept = cookies.0.lock().unwrap();
        assert_eq!(
            (kept.of_call.len(), kept.order.len(), kept.of_call["CA1"].len()),
            (CALLS_MAX, CALLS_MAX, COOKIES_MAX)
        );
        assert!(!kept.of_call.contains_key("CA0"), "the oldest is forgotten");
    }
}
