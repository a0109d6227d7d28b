//! Cookies of the applications that we ask: to the phone system all of them are one host, ours (`spec/voice.md` 1.2).
//!
//! So a cookie has another name there: it begins with a digest of the origin that set it, and only that origin gets it back.
//! Where at its origin, an application cannot say: its paths are not ours, so `Path` and `Domain` are left out. Must not keep
//! any cookie: the phone system does, while the call lasts. Start with [`for_phone`].

use axum::http::{HeaderValue, header};
use axum::response::Response;
use url::Url;

use crate::signature::sha256_hex;

/// Cookies of one answer that are passed on.
const COOKIES_MAX: usize = 20;
/// Longest of them, in bytes.
const LENGTH_MAX: usize = 4_096;
/// How the names of all of them begin.
const PREFIX: &str = "app";
/// Digits of an origin's digest that stand in a name: nobody finds another origin with the same.
const DIGITS: usize = 16;

/// What the names of an origin's cookies begin with.
fn prefix_of(url: &str) -> Option<String> {
    let origin = Url::parse(url).ok()?.origin();
    if !origin.is_tuple() {
        return None;
    }
    let digest = sha256_hex(origin.ascii_serialization().as_bytes());
    Some(format!("{PREFIX}{}-", digest.get(..DIGITS)?))
}

/// The values of `Set-Cookie` in an answer from `url`, as the phone system gets them; one that is none is left out. A phone
/// system that asks us without encryption would not send a `Secure` one back.
pub(super) fn for_phone(url: &str, set: &[String], is_encrypted: bool) -> Vec<String> {
    let Some(prefix) = prefix_of(url) else { return Vec::new() };
    let ours = |cookie: &String| {
        let mut parts = cookie.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || cookie.len() > LENGTH_MAX {
            return None;
        }
        let mut ours = format!("{prefix}{name}={value}; Path=/");
        for part in parts.filter(|part| !part.is_empty()) {
            let attribute = part.split('=').next().unwrap_or_default().trim();
            let is_dropped = attribute.eq_ignore_ascii_case("Domain")
                || attribute.eq_ignore_ascii_case("Path")
                || (attribute.eq_ignore_ascii_case("Secure") && !is_encrypted);
            if !is_dropped {
                ours.extend(["; ", part]);
            }
        }
        Some(ours)
    };
    set.iter().filter_map(ours).take(COOKIES_MAX).collect()
}

/// The `Cookie` header of a request to `url`: what its origin set, of all that the phone system sent.
pub(super) fn for_application(url: &str, sent: &str) -> Option<String> {
    let prefix = prefix_of(url)?;
    let its: Vec<&str> = sent.split(';').filter_map(|cookie| cookie.trim().strip_prefix(&prefix)).collect();
    (!its.is_empty()).then(|| its.join("; "))
}

/// The answer with cookies, which [`for_phone`] made.
pub(super) fn set(mut response: Response, cookies: Vec<String>) -> Response {
    let values = cookies.into_iter().filter_map(|cookie| HeaderValue::try_from(cookie).ok());
    response.headers_mut().extend(values.map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "https://app.example.org/ivr?x=1";

    fn ours(set: &[&str]) -> Vec<String> {
        for_phone(APP, &set.iter().map(|&cookie| cookie.to_owned()).collect::<Vec<_>>(), true)
    }

    /// What a phone system sends back of these.
    fn sent(set: &[String]) -> String {
        set.iter().map(|cookie| cookie.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_cookie_comes_back_to_the_origin_that_set_it_and_to_no_other() {
        let set = ours(&["session=a=b; Path=/ivr; HttpOnly", "lang=de", "__Host-id=\"1\"; Secure; Path=/"]);
        let back = format!("other=1; {}; app=2; session=3", sent(&set));
        for (url, expected) in [
            (APP, Some("session=a=b; lang=de; __Host-id=\"1\"")),
            ("https://APP.example.org:443/other", Some("session=a=b; lang=de; __Host-id=\"1\"")),
            ("http://app.example.org/ivr", None),
            ("https://app.example.org:8443/ivr", None),
            ("https://app.example.com/ivr", None),
            ("https://example.org/", None),
            ("ftp:nonsense", None),
            ("nonsense", None),
        ] {
            assert_eq!(for_application(url, &back).as_deref(), expected, "{url}");
        }
        // Nobody takes the name of another's.
        let name = set[1].split('=').next().unwrap();
        let forged = for_phone("https://evil.example.org/", &[format!("{name}=fr")], true);
        assert_eq!(for_application(APP, &sent(&forged)), None);
    }

    #[test]
    fn neither_path_nor_domain_passes_and_the_life_of_a_cookie_does() {
        let prefix = prefix_of(APP).unwrap();
        assert_eq!(
            ours(&["a=1; path=/ivr;Domain=.example.org; Max-Age=0; SECURE; SameSite=Lax;;", "b="]),
            [format!("{prefix}a=1; Path=/; Max-Age=0; SECURE; SameSite=Lax"), format!("{prefix}b=; Path=/")]
        );
        let plain = for_phone(APP, &["a=1; Secure; HttpOnly".to_owned()], false);
        assert_eq!(plain, [format!("{prefix}a=1; Path=/; HttpOnly")]);
    }

    #[test]
    fn what_is_no_cookie_does_not_pass_and_there_are_not_too_many() {
        assert_eq!(
            ours(&["", ";", "nonsense", "=1", " = ; Path=/", "; a=1", &format!("a={}", "x".repeat(4_096))]),
            [""; 0]
        );
        assert_eq!(for_phone("nonsense", &["a=1".to_owned()], true), [""; 0]);
        let many: Vec<String> = (0..100).map(|number| format!("a{number}=1")).collect();
        let many = ours(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(many.len(), 20);
        assert!(many[19].contains("a19=1"), "the first ones");
        // What is no header is left out of the answer.
        let response = set(Response::default(), vec!["a=1".to_owned(), "a\n=1".to_owned()]);
        assert_eq!(response.headers().get_all(header::SET_COOKIE).iter().count(), 1);
    }
}
