//! `Retry-After`: how long an answer asks to wait, in seconds or until a date (RFC 9110, 10.2.3).
//!
//! Start with [`retry_after`].

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

use crate::clock::Clock;

/// The pause that an answer with these headers asks for; `None` when it asks for none that can be understood.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(asked).ok()?;
    // By the other side's own clock where it tells the time, so that clocks which differ do no harm.
    let now = text(DATE).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or_else(present);
    until.duration_since(now).ok()
}

fn present() -> SystemTime {
    let since_epoch = Duration::from_millis(u64::try_from(Clock::system().now().0).unwrap_or(0));
    SystemTime::UNIX_EPOCH + since_epoch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_of_every_form_are_understood() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (asked, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some(120)),
            ("Sunday, 06-Nov-94 08:51:37 GMT", Some(120)),
            ("Sun Nov  6 08:51:37 1994", Some(120)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", None),
            ("-1", None),
            ("soon", None),
            ("Sun, 31 Feb 1994 08:51:37 GMT", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, date.parse().unwrap());
            headers.insert(RETRY_AFTER, asked.parse().unwrap());
            assert_eq!(retry_after(&headers), seconds.map(Duration::from_secs), "{asked}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn an_answer_without_a_date_is_read_by_our_clock() {
        let until = present() + Duration::from_mins(10);
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, httpdate::fmt_http_date(until).parse().unwrap());
        let pause = retry_after(&headers).unwrap();
        assert!(pause > Duration::from_secs(500) && pause <= Duration::from_mins(10), "{pause:?}");
    }
}
