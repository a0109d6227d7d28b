//! The address under which a request reached us, as far as it can be known.
//!
//! Absolute URLs in answers begin with it, and senders sign it. Must not read anything but headers. Start with
//! [`PublicUrl`].

use axum::http::HeaderMap;
use axum::http::header::HOST;

/// Where absolute URLs begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicUrl {
    /// Scheme and host, without a slash at the end.
    Fixed(String),
    /// As the request was addressed.
    FromRequest {
        /// Believe `X-Forwarded-Proto` and `X-Forwarded-Host`: only behind a proxy that sets them.
        trust_forwarded: bool,
    },
}

impl PublicUrl {
    /// Scheme and host for the answer to a request with these headers.
    #[must_use]
    pub fn base(&self, headers: &HeaderMap) -> String {
        match self {
            Self::Fixed(base) => base.trim_end_matches('/').to_owned(),
            Self::FromRequest { trust_forwarded } => {
                let forwarded = |name| if *trust_forwarded { first_value(headers, name) } else { None };
                let scheme = match forwarded("x-forwarded-proto") {
                    Some("https") => "https",
                    _ => "http",
                };
                let host = forwarded("x-forwarded-host").filter(|host| is_host(host));
                let host = host.or_else(|| first_value(headers, HOST.as_str()).filter(|host| is_host(host)));
                format!("{scheme}://{}", host.unwrap_or("localhost"))
            }
        }
    }
}

/// What the first proxy wrote, when several did.
fn first_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim)
}

fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    !text.is_empty() && text.len() <= 261 && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(public_url: &PublicUrl, headers: &[(&'static str, &str)], expected: &str) {
        let headers = headers.iter().map(|(name, value)| {
            (axum::http::HeaderName::from_static(name), axum::http::HeaderValue::from_str(value).unwrap())
        });
        assert_eq!(public_url.base(&headers.collect()), expected);
    }

    #[test]
    fn urls_begin_where_the_client_can_reach_them() {
        let direct = PublicUrl::FromRequest { trust_forwarded: false };
        let proxied = PublicUrl::FromRequest { trust_forwarded: true };
        let forwarded = [("host", "10.0.0.1:80"), ("x-forwarded-host", "a.example, b"), ("x-forwarded-proto", "https")];
        check(&PublicUrl::Fixed("https://calls.example/".to_owned()), &forwarded, "https://calls.example");
        check(&direct, &forwarded, "http://10.0.0.1:80");
        check(&proxied, &forwarded, "https://a.example");
        check(&proxied, &[("host", "[::1]:8080")], "http://[::1]:8080");
        check(&proxied, &[("host", "h"), ("x-forwarded-host", "evil/\"path")], "http://h");
        check(&direct, &[("host", "a b")], "http://localhost");
        check(&direct, &[], "http://localhost");
    }
}
