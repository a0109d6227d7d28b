//! Opening hours: by day of the week, with exceptions for dates, in a time zone.
//!
//! Hours are told by the clocks of the place: where they are turned, a span lasts an hour more or less. A span that begins in
//! an hour that is left out begins after it, one that begins in an hour that comes twice begins the first time. Start with
//! [`Calendar::is_open`].

use std::collections::BTreeMap;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::routing::{OpeningHours, Timestamp};

/// Names of days, as in documents.
pub const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Most spans of a day.
const SPANS_MAX: usize = 12;
/// Most exceptions.
const EXCEPTIONS_MAX: usize = 400;
/// How far ahead the next change is looked for, in days.
const HORIZON_DAYS: usize = 400;
const MINUTES_PER_DAY: u16 = 1_440;

/// A calendar as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarDocument {
    /// Name of the IANA database, such as `Europe/Berlin`.
    pub time_zone: String,
    /// Spans such as `09:00-17:30`, by day (`mon` to `sun`); a day that is not there is closed.
    #[serde(default)]
    pub hours: BTreeMap<String, Vec<String>>,
    /// Dates with other hours.
    #[serde(default)]
    pub exceptions: Vec<Exception>,
}

/// A date with other hours than its day of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// `2026-12-25`
    pub date: String,
    /// Spans; none: closed.
    #[serde(default)]
    pub hours: Vec<String>,
}

/// What is wrong with a calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCalendar {
    /// The time zone is not in the database.
    #[error("expected the name of a time zone such as Europe/Berlin, found {0:?}")]
    TimeZone(String),
    /// Not a day of the week.
    #[error("expected mon, tue, wed, thu, fri, sat or sun, found {0:?}")]
    Day(String),
    /// Not a date.
    #[error("expected a date such as 2026-12-25, found {0:?}")]
    Date(String),
    /// A date comes twice.
    #[error("{0} is there twice")]
    DateTwice(String),
    /// Not a span of a day.
    #[error("{day}: expected hours such as 09:00-17:30, within the day and up to 24:00, found {text:?}")]
    Span {
        /// Of which day or date.
        day: String,
        /// What was found.
        text: String,
    },
    /// Spans that overlap or are not in their order.
    #[error("{0}: expected hours one after the other")]
    Order(String),
    /// Too much of it.
    #[error("expected at most {SPANS_MAX} spans of a day and {EXCEPTIONS_MAX} exceptions")]
    TooMany,
}

/// Minutes since midnight: from, up to.
type Span = (u16, u16);

/// A calendar that was read.
#[derive(Debug, Clone)]
pub struct Calendar {
    time_zone: TimeZone,
    /// From Monday on.
    week: [Vec<Span>; 7],
    exceptions: BTreeMap<Date, Vec<Span>>,
}

impl Calendar {
    /// Reads what is written down.
    pub fn read(document: &CalendarDocument) -> Result<Self, InvalidCalendar> {
        let shown = |text: &str| text.chars().take(60).collect::<String>();
        let name = document.time_zone.as_str();
        // What begins otherwise would be a rule or a path, and no name.
        let plain = name.starts_with(|letter: char| letter.is_ascii_alphabetic()) && name.len() <= 60;
        let time_zone = Some(name).filter(|_| plain).and_then(|name| TimeZone::get(name).ok());
        let time_zone = time_zone.ok_or_else(|| InvalidCalendar::TimeZone(shown(name)))?;
        let mut week: [Vec<Span>; 7] = std::array::from_fn(|_| Vec::new());
        for (day, spans) in &document.hours {
            let index = WEEKDAYS.iter().position(|name| name == day);
            let index = index.ok_or_else(|| InvalidCalendar::Day(shown(day)))?;
            week[index] = spans_of(day, spans)?;
        }
        if document.exceptions.len() > EXCEPTIONS_MAX {
            return Err(InvalidCalendar::TooMany);
        }
        let mut exceptions = BTreeMap::new();
        for exception in &document.exceptions {
            let text = exception.date.as_str();
            let date = Some(text).filter(|text| text.len() == 10).and_then(|text| text.parse::<Date>().ok());
            let date = date.ok_or_else(|| InvalidCalendar::Date(shown(text)))?;
            if exceptions.insert(date, spans_of(text, &exception.hours)?).is_some() {
                return Err(InvalidCalendar::DateTwice(shown(text)));
            }
        }
        Ok(Self { time_zone, week, exceptions })
    }

    /// Whether it is open at a moment.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.open_until(at).is_some()
    }

    /// The next moment at which it opens or closes; none within the coming year.
    #[must_use]
    pub fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        let Some(mut end) = self.open_until(at) else {
            return self.spans_from(at).map(|(from, _)| from).find(|from| *from > at);
        };
        // Spans that touch are one.
        for (from, until) in self.spans_from(at) {
            if from > end {
                return Some(end);
            }
            end = end.max(until);
        }
        // Whatever is open at the horizon does not close soon.
        (end.ms_since(at) < 300 * 86_400_000).then_some(end)
    }

    fn open_until(&self, at: Timestamp) -> Option<Timestamp> {
        self.spans_from(at).take(3 * SPANS_MAX).find(|(from, until)| *from <= at && at < *until).map(|(_, until)| until)
    }

    /// The spans of the day before a moment, of its day and of those that follow, in their order.
    fn spans_from(&self, at: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let first = self.date_of(at).and_then(|date| date.yesterday().ok());
        let days = std::iter::successors(first, |date| date.tomorrow().ok()).take(HORIZON_DAYS);
        days.flat_map(move |date| {
            let spans = self.exceptions.get(&date).unwrap_or_else(|| &self.week[index_of(date.weekday())]);
            spans.iter().filter_map(move |(from, until)| Some((self.moment(date, *from)?, self.moment(date, *until)?)))
        })
        // In an hour that is left out a span may be nothing.
        .filter(|(from, until)| from < until)
    }

    fn date_of(&self, at: Timestamp) -> Option<Date> {
        let moment = jiff::Timestamp::from_millisecond(at.0).ok()?;
        Some(self.time_zone.to_datetime(moment).date())
    }

    fn moment(&self, date: Date, minute: u16) -> Option<Timestamp> {
        let (date, minute) = if minute == MINUTES_PER_DAY { (date.tomorrow().ok()?, 0) } else { (date, minute) };
        let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
        let moment = self.time_zone.to_timestamp(date.at(hour, minute, 0, 0)).ok()?;
        Some(Timestamp(moment.as_millisecond()))
    }
}

impl OpeningHours for Calendar {
    fn is_open(&self, at: Timestamp) -> bool {
        self.is_open(at)
    }
}

fn index_of(day: Weekday) -> usize {
    usize::try_from(day.to_monday_zero_offset()).unwrap_or(0)
}

fn spans_of(day: &str, texts: &[String]) -> Result<Vec<Span>, InvalidCalendar> {
    if texts.len() > SPANS_MAX {
        return Err(InvalidCalendar::TooMany);
    }
    let span = |text: &String| {
        let (from, until) = text.split_once('-')?;
        let (from, until) = (minute_of(from)?, minute_of(until)?);
        (from < until).then_some((from, until))
    };
    let mut spans: Vec<Span> = Vec::with_capacity(texts.len());
    for text in texts {
        let shown = || InvalidCalendar::Span { day: day.to_owned(), text: text.chars().take(40).collect() };
        let span = span(text).ok_or_else(shown)?;
        if spans.last().is_some_and(|(_, until)| *until > span.0) {
            return Err(InvalidCalendar::Order(day.to_owned()));
        }
        spans.push(span);
    }
    Ok(spans)
}

/// `09:00`, up to `24:00`.
fn minute_of(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.len() == 2 && !text.starts_with('+'));
    let (hour, minute) = (number(hour)?, number(minute)?);
    let minutes = hour * 60 + minute;
    (hour <= 24 && minute < 60 && minutes <= MINUTES_PER_DAY).then_some(minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn document(json: &str) -> CalendarDocument {
        serde_json::from_str(json).unwrap()
    }

    fn berlin() -> Calendar {
        let text = r#"{
            "time_zone": "Europe/Berlin",
            "hours": { "mon": ["09:00-12:00", "13:00-17:30"], "fri": ["22:00-24:00"], "sat": ["00:00-02:00"],
                       "sun": ["01:00-04:00"] },
            "exceptions": [{ "date": "2026-12-21" }, { "date": "2026-12-22", "hours": ["10:00-11:00"] }]
        }"#;
        Calendar::read(&document(text)).unwrap()
    }

    #[test]
    fn hours_are_those_of_the_place() {
        let calendar = berlin();
        for (moment, open) in [
            ("2026-11-23T07:59:59.999Z", false),
            ("2026-11-23T08:00:00Z", true),
            ("2026-11-23T10:59:59.999Z", true),
            ("2026-11-23T11:00:00Z", false),
            ("2026-11-23T16:29:00Z", true),
            ("2026-11-23T16:30:00Z", false),
            ("2026-11-24T09:00:00Z", false),
            // Summer time.
            ("2026-07-06T07:00:00Z", true),
            ("2026-07-06T06:59:00Z", false),
            ("2026-12-21T09:00:00Z", false),
            ("2026-12-22T09:30:00Z", true),
            ("2026-12-22T10:00:00Z", false),
        ] {
            assert_eq!(calendar.is_open(at(moment)), open, "{moment}");
        }
    }

    #[test]
    fn changes_are_told_in_advance() {
        let calendar = berlin();
        for (moment, next) in [
            ("2026-11-23T08:00:00Z", "2026-11-23T11:00:00Z"),
            ("2026-11-23T11:00:00Z", "2026-11-23T12:00:00Z"),
            // The night from Friday to Saturday is one span.
            ("2026-11-27T21:30:00Z", "2026-11-28T01:00:00Z"),
            ("2026-12-20T12:00:00Z", "2026-12-22T09:00:00Z"),
        ] {
            assert_eq!(calendar.next_change(at(moment)), Some(at(next)), "{moment}");
        }
        let of = |json: &str| Calendar::read(&document(json)).unwrap();
        assert_eq!(of(r#"{"time_zone":"UTC"}"#).next_change(at("2026-11-23T08:00:00Z")), None);
        let week = WEEKDAYS.map(|day| format!("{day:?}:[\"00:00-24:00\"]")).join(",");
        let always = of(&format!("{{\"time_zone\":\"UTC\",\"hours\":{{{week}}}}}"));
        assert!(always.is_open(at("2026-11-23T23:59:59Z")));
        assert_eq!(always.next_change(at("2026-11-23T08:00:00Z")), None);
    }

    #[test]
    fn the_hours_that_come_twice_or_not_at_all_are_counted_once() {
        let calendar = berlin();
        // On 29 March 2026 the clocks go from 2 to 3: 01:00 to 04:00 lasts two hours.
        let opens = at("2026-03-29T00:00:00Z");
        assert_eq!(calendar.next_change(at("2026-03-28T12:00:00Z")), Some(opens));
        assert_eq!(calendar.next_change(opens), Some(at("2026-03-29T02:00:00Z")));
        // On 25 October 2026 they go from 3 back to 2: it lasts four.
        let opens = at("2026-10-24T23:00:00Z");
        assert_eq!(calendar.next_change(at("2026-10-24T12:00:00Z")), Some(opens));
        assert_eq!(calendar.next_change(opens), Some(at("2026-10-25T03:00:00Z")));
        assert!(calendar.is_open(at("2026-10-25T01:30:00Z")), "within the hour that comes again");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, words) in [
            (r#"{"time_zone":"Mars/Base"}"#, "\"Mars/Base\""),
            (r#"{"time_zone":"../etc/passwd"}"#, "name of a time zone"),
            (r#"{"time_zone":""}"#, "name of a time zone"),
            (r#"{"time_zone":"UTC","hours":{"monday":[]}}"#, "\"monday\""),
            (r#"{"time_zone":"UTC","hours":{"mon":["9:00-17:00"]}}"#, "mon: expected hours"),
            (r#"{"time_zone":"UTC","hours":{"mon":["17:00-09:00"]}}"#, "mon: expected hours"),
            (r#"{"time_zone":"UTC","hours":{"mon":["09:00-24:01"]}}"#, "mon: expected hours"),
            (r#"{"time_zone":"UTC","hours":{"mon":["09:00-12:00","11:00-13:00"]}}"#, "one after the other"),
            (r#"{"time_zone":"UTC","exceptions":[{"date":"25.12.2026"}]}"#, "expected a date"),
            (r#"{"time_zone":"UTC","exceptions":[{"date":"2026-02-30"}]}"#, "expected a date"),
            (r#"{"time_zone":"UTC","exceptions":[{"date":"2026-12-25"},{"date":"2026-12-25"}]}"#, "twice"),
        ] {
            let error = Calendar::read(&document(json)).unwrap_err().to_string();
            assert!(error.contains(words), "{json}: {error}");
        }
    }
}
