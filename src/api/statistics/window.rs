//! Which stretch of time statistics are asked for, and how they are to be split (rest.md 9.1).
//!
//! Start with [`Window::read`].

use super::super::error::ApiError;
use super::super::form::{Parameters, invalid};
use crate::routing::Timestamp;
use crate::routing::rollup::Stretch;

/// How far back statistics reach.
const KEPT_MINUTES: i64 = 30 * 24 * 60;
/// Window of a request that names none.
const DEFAULT_MINUTES: i64 = 15;
/// Thresholds of one split.
const THRESHOLDS_MAX: usize = 100;

/// A window, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Window {
    /// `StartDate` goes before `Minutes`, which count back from `EndDate` or now; with `EndDate` alone the window begins
    /// with the oldest statistics. Moments that are counted back begin with their second, as it is told: so whoever asks
    /// again for the beginning and end of an answer asks for the same.
    pub(super) fn read(query: &Parameters, now: Timestamp) -> Result<Self, ApiError> {
        let oldest = minutes_before(now, KEPT_MINUTES);
        let minutes = query.integer("Minutes", 1..=KEPT_MINUTES)?;
        let end_date = query.last_moment("EndDate")?;
        let end = end_date.unwrap_or(now);
        let start = match (query.moment("StartDate")?, minutes, end_date) {
            (Some(start), ..) => start,
            (None, Some(minutes), _) => minutes_before(end, minutes),
            (None, None, Some(_)) => oldest,
            (None, None, None) => minutes_before(end, DEFAULT_MINUTES),
        };
        if start < oldest || end < oldest {
            return Err(ApiError::too_long_ago());
        }
        if start > end {
            return Err(ApiError::invalid("Invalid StartDate: expected a moment before EndDate"));
        }
        Ok(Self { start, end })
    }

    /// Moments at which something counts.
    pub(super) const fn moments(self) -> Stretch {
        Stretch { from: self.start, until: self.end.plus_ms(1) }
    }

    /// The stretch that stays in activities are clipped to.
    pub(super) const fn stays(self) -> Stretch {
        Stretch { from: self.start, until: self.end }
    }
}

const fn minutes_before(at: Timestamp, minutes: i64) -> Timestamp {
    Timestamp(at.unix_secs() * 1_000).plus_ms(-minutes * 60_000)
}

/// `SplitByWaitTime`: thresholds in whole seconds; none when it is absent.
pub(super) fn thresholds(query: &Parameters) -> Result<Option<Vec<u32>>, ApiError> {
    const NAME: &str = "SplitByWaitTime";
    if query.filled(NAME).is_none() {
        return Ok(None);
    }
    let expected = |text: &str| invalid(NAME, text, "whole seconds, separated by commas");
    let read = |text: &str| text.parse::<u32>().map_err(|_| expected(text));
    let mut thresholds: Vec<u32> = query.list(NAME).into_iter().map(read).collect::<Result<_, _>>()?;
    thresholds.sort_unstable();
    thresholds.dedup();
    if thresholds.is_empty() {
        return Err(expected(query.filled(NAME).unwrap_or_default()));
    }
    if thresholds.len() > THRESHOLDS_MAX {
        return Err(ApiError::invalid(format!("Invalid {NAME}: more than {THRESHOLDS_MAX} thresholds")));
    }
    Ok(Some(thresholds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-02-03T04:05:06Z
    const NOW: Timestamp = Timestamp(1_770_091_506_000);

    fn check(query: &str, start_minutes_ago: i64, end_minutes_ago: i64) {
        let found = Window::read(&Parameters::parse(query.as_bytes()), NOW);
        let ago = |minutes| minutes_before(NOW, minutes);
        // A second that is named is meant to its end.
        let rest = if query.contains("EndDate") { 999 } else { 0 };
        let end = ago(end_minutes_ago).plus_ms(rest);
        assert_eq!(found, Ok(Window { start: ago(start_minutes_ago), end }), "{query}");
    }

    #[test]
    fn the_beginning_and_end_that_an_answer_tells_are_the_same_window() {
        let now = NOW.plus_ms(400);
        let told = |at: Timestamp| super::super::super::json::date(at).as_str().map(str::to_owned).unwrap();
        for query in ["", "Minutes=60", "Minutes=43200", "StartDate=2026-02-03T04:00:06Z"] {
            let first = Window::read(&Parameters::parse(query.as_bytes()), now).unwrap();
            let again = format!("StartDate={}&EndDate={}", told(first.start), told(first.end));
            let again = Window::read(&Parameters::parse(again.as_bytes()), now).unwrap();
            assert_eq!(again.start, first.start, "{query}");
            // Nothing has happened yet in what is left of the second.
            assert_eq!((first.end, again.end), (now, NOW.plus_ms(999)), "{query}");
        }
        let to_a_fraction = Window::read(&Parameters::parse(b"EndDate=2026-02-03T04:00:06.500Z"), now);
        assert_eq!(to_a_fraction.unwrap().end, minutes_before(NOW, 5).plus_ms(500));
    }

    #[test]
    fn the_window_is_a_quarter_of_an_hour_unless_told_otherwise() {
        check("", 15, 0);
        check("Minutes=60", 60, 0);
        check("Minutes=43200", 43_200, 0);
        check("StartDate=2026-02-03T04:00:06Z", 5, 0);
        check("StartDate=2026-02-03T04:00:06Z&Minutes=60", 5, 0);
        check("EndDate=2026-02-03T04:00:06Z", 43_200, 5);
        check("EndDate=2026-02-03T04:00:06Z&Minutes=60", 65, 5);
        check("StartDate=2026-02-03T03:05:06Z&EndDate=2026-02-03T04:00:06Z&Minutes=7", 60, 5);
        check("StartDate=2026-02-03T03:05:06Z&EndDate=2026-02-03T05:05:06Z", 60, -60);
        check("StartDate=2026-01-04T04:05:06Z", 43_200, 0);
    }

    #[test]
    fn a_window_cannot_begin_before_the_oldest_statistics_or_after_its_end() {
        let error = |query: &str| Window::read(&Parameters::parse(query.as_bytes()), NOW).unwrap_err().code;
        for query in [
            "StartDate=2026-01-04T04:05:05Z",
            "EndDate=2026-01-04T04:00:00Z",
            "EndDate=2026-02-03T04:00:00Z&Minutes=43200",
        ] {
            assert_eq!(error(query), 14241, "{query}");
        }
        for query in [
            "Minutes=0",
            "Minutes=43201",
            "Minutes=x",
            "StartDate=now",
            "StartDate=2026-02-03T04:05:07Z",
            "StartDate=2026-02-03T04:00:00Z&EndDate=2026-02-03T03:00:00Z",
        ] {
            assert_eq!(error(query), 20001, "{query}");
        }
    }

    #[test]
    fn thresholds_are_whole_seconds() {
        let of = |text: &str| thresholds(&Parameters::parse(format!("SplitByWaitTime={text}").as_bytes()));
        assert_eq!(of(""), Ok(None));
        assert_eq!(of("30,5"), Ok(Some(vec![5, 30])));
        assert_eq!(of("5, 5,0&SplitByWaitTime=7"), Ok(Some(vec![0, 5, 7])));
        for text in [",", "5,x", "-1", "1.5", "99999999999"] {
            assert_eq!(of(text).map_err(|error| error.code), Err(20001), "{text}");
        }
        let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
        assert!(of(&many.join(",")).is_err());
    }
}
