//! `X-Twilio-Signature`: signing what we send and checking what we receive; [`ed25519`] is another scheme.
//!
//! The scheme is HMAC-SHA1 over the URL as requested and the form parameters in name order (Twilio: Webhooks security;
//! `spec/voice.md` 1.4). This module must not parse requests: it takes the URL text and the decoded pairs. Start with
//! [`sign_form`] and [`verify_form`].

pub mod ed25519;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Name of the header.
pub const HEADER: &str = "X-Twilio-Signature";

/// Names under which phone systems send such a signature: Twilio's, and that of `SignalWire`, whose key is one of its own.
pub const HEADERS: [&str; 2] = [HEADER, "X-SignalWire-Signature"];

/// Signs a form POST (or, with no pairs, a GET) to `url`; a fragment is not part of what is signed.
#[must_use]
pub fn sign_form<N: AsRef<str>, V: AsRef<str>>(token: &str, url: &str, pairs: &[(N, V)]) -> String {
    STANDARD.encode(mac(token, without_fragment(url), pairs).finalize().into_bytes())
}

/// Adds `bodySHA256` to `url` and signs it, for a JSON body; returns the URL to request and the signature.
#[must_use]
pub fn sign_body(token: &str, url: &str, body: &[u8]) -> (String, String) {
    let url = without_fragment(url);
    let separator = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{separator}bodySHA256={}", sha256_hex(body));
    let signature = sign_form::<&str, &str>(token, &url, &[]);
    (url, signature)
}

/// Checks the signature of a form POST or GET: the URL is tried as given, with and without the default port.
#[must_use]
pub fn verify_form<N: AsRef<str>, V: AsRef<str>>(token: &str, url: &str, pairs: &[(N, V)], signature: &str) -> bool {
    let Ok(given) = STANDARD.decode(signature) else { return false };
    candidates(without_fragment(url)).iter().any(|url| mac(token, url, pairs).verify_slice(&given).is_ok())
}

/// Checks the signature of a request with another body: its hash is in the URL's `bodySHA256`, and both must agree.
#[must_use]
pub fn verify_body(token: &str, url: &str, body: &[u8], signature: &str) -> bool {
    let Some((_, query)) = url.split_once('?') else { return false };
    let Some(claimed) = query.split('&').find_map(|pair| pair.strip_prefix("bodySHA256=")) else { return false };
    let actual = sha256_hex(body);
    let equal: bool = subtle::ConstantTimeEq::ct_eq(claimed.as_bytes(), actual.as_bytes()).into();
    equal && verify_form::<&str, &str>(token, url, &[], signature)
}

fn mac<N: AsRef<str>, V: AsRef<str>>(token: &str, url: &str, pairs: &[(N, V)]) -> Hmac<Sha1> {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(url.as_bytes());
    let mut sorted: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    sorted.sort_unstable();
    sorted.dedup();
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    mac
}

fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(url, _)| url)
}

/// Digest of some bytes, in lower-case hexadecimal.
pub(crate) fn sha256_hex(body: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(body) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// The URL as given, with the default port added, and with any port removed: senders are inconsistent.
fn candidates(url: &str) -> Vec<String> {
    let mut candidates = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else { return candidates };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user_info, host_port) = authority
        .rsplit_once('@')
        .map_or(("", authority), |(_, host)| (&authority[..authority.len() - host.len()], host));
    let (host, port) = match host_port.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
        _ => (host_port, None),
    };
    if port.is_some() {
        candidates.push(format!("{scheme}://{user_info}{host}{path}"));
    } else {
        let default = if scheme == "https" { 443 } else { 80 };
        candidates.push(format!("{scheme}://{user_info}{host}:{default}{path}"));
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
    const PAIRS: [(&str, &str); 5] = [
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675309"),
        ("Digits", "1234"),
        ("From", "+14158675309"),
        ("To", "+18005551212"),
    ];

    #[test]
    fn form_vectors_of_the_official_helpers() {
        assert_eq!(sign_form("12345", URL, &PAIRS), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        assert!(verify_form("12345", URL, &PAIRS, "RSOYDt4T1cUTdK1PDd93/VVr8B8="));
        assert!(verify_form("12345", URL, &PAIRS, "kvajT1Ptam85bY51eRf/AJRuM3w="), "sender signed with :443");
        let plain = URL.replace("https", "http");
        assert!(verify_form("12345", &plain, &PAIRS, "0ZXoZLH/DfblKGATFgpif+LLRf4="), "sender signed with :80");
        let with_port = URL.replace("mycompany.com", "mycompany.com:443");
        assert!(verify_form("12345", &with_port, &PAIRS, "RSOYDt4T1cUTdK1PDd93/VVr8B8="));
    }

    #[test]
    fn duplicate_values_count_once_and_sorted() {
        let pairs =
            [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")];
        assert_eq!(sign_form("12345", URL, &pairs), "IK+Dwps556ElfBT0I3Rgjkr1wJU=");
    }

    #[test]
    fn json_body_vector() {
        let body = br#"{"property": "value", "boolean": true}"#;
        let (url, signature) = sign_body("12345", URL, body);
        assert!(url.ends_with("&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"));
        assert_eq!(signature, "a9nBmqA0ju/hNViExpshrM61xv4=");
        assert!(verify_body("12345", &url, body, &signature));
        assert!(!verify_body("12345", &url, b"{}", &signature));
        assert!(!verify_body("12345", URL, body, "RSOYDt4T1cUTdK1PDd93/VVr8B8="));
    }

    #[test]
    fn event_callback_vector() {
        let pairs = [
            ("EventType", "task.created"),
            ("Sid", "EV0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"),
            ("TaskAttributes", r#"{"lang":"de"}"#),
            ("Timestamp", "1770091506"),
        ];
        let url = "https://app.example.org/tr-events?tenant=7";
        assert_eq!(sign_form("test_token_1", url, &pairs), "9uDM8FQ/D7zWJljvVe7uvUgAVGs=");
    }

    #[test]
    fn changed_token_url_or_value_is_refused() {
        let good = sign_form("12345", URL, &PAIRS);
        assert!(!verify_form("12346", URL, &PAIRS, &good));
        assert!(!verify_form("12345", "https://mycompany.com/other.php", &PAIRS, &good));
        let mut changed = PAIRS;
        changed[2].1 = "1235";
        assert!(!verify_form("12345", URL, &changed, &good));
        assert!(!verify_form("12345", URL, &PAIRS, "not base64"));
        assert!(!verify_form("12345", URL, &PAIRS, ""));
    }
}
