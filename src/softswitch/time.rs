//! Moments as text: RFC 2822 in Twilio's 2010 API and its webhooks, RFC 3339 in the control API, and dates in filters.
//!
//! Reads no clock. Start with [`rfc2822`].

use super::core::Moment;

const DAY_MS: i64 = 86_400_000;

fn timestamp(moment: Moment) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(moment.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// `Tue, 31 Aug 2010 20:36:28 +0000`.
pub(crate) fn rfc2822(moment: Moment) -> String {
    timestamp(moment).strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// `2010-08-31T20:36:28.123Z`.
pub(crate) fn rfc3339(moment: Moment) -> String {
    timestamp(moment).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// First and last millisecond of what a filter names: a day (`2010-08-31`, UTC) or a second (RFC 3339).
pub(crate) fn filter_span(text: &str) -> Option<(Moment, Moment)> {
    if text.len() == 10 {
        let first = format!("{text}T00:00:00Z").parse::<jiff::Timestamp>().ok()?.as_millisecond();
        return Some((Moment(first), Moment(first.saturating_add(DAY_MS - 1))));
    }
    let ms = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    let first = ms.div_euclid(1000) * 1000;
    Some((Moment(first), Moment(first + 999)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_twilio_writes_them() {
        assert_eq!(rfc2822(Moment(1_283_286_988_123)), "Tue, 31 Aug 2010 20:36:28 +0000");
        assert_eq!(rfc3339(Moment(1_283_286_988_123)), "2010-08-31T20:36:28.123Z");
    }

    #[test]
    fn filters_name_a_day_or_a_second() {
        let day = Moment(1_283_212_800_000);
        assert_eq!(filter_span("2010-08-31"), Some((day, day.plus_ms(DAY_MS - 1))));
        let second = Moment(1_283_286_988_000);
        assert_eq!(filter_span("2010-08-31T20:36:28Z"), Some((second, second.plus_ms(999))));
        assert_eq!(filter_span("yesterday"), None);
    }
}
