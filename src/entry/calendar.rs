//! Opening hours: by day of the week, with exceptions for dates, in a time zone.
//!
//! Hours are told by the clocks of the place: where they are turned, a span lasts an hour more or less, and stays one span.
//! What is in an hour that is left out is the moment at which it is left out: a span that begins there begins then, one that
//! ends there ends then, and one within it is none. In an hour that comes twice a span begins the first time and ends the
//! second time, unless it ends where that hour begins. Start with [`Calendar::is_open`].

use std::collections::BTreeMap;

use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::{AmbiguousOffset, AmbiguousTimestamp, TimeZone};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

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

/// Spans by day, as they are given to the API: unlike most JSON, no day may be there twice.
#[derive(Debug)]
pub struct Week(pub BTreeMap<String, Vec<String>>);

impl<'de> Deserialize<'de> for Week {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Days;
        impl<'de> Visitor<'de> for Days {
            type Value = Week;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object of days with lists of hours")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Week, A::Error> {
                let mut days = BTreeMap::new();
                while let Some((day, spans)) = map.next_entry::<String, Vec<String>>()? {
                    let shown: String = day.chars().take(60).collect();
                    if days.insert(day, spans).is_some() {
                        return Err(A::Error::custom(format_args!("{shown} is there twice")));
                    }
                }
                Ok(Week(days))
            }
        }
        deserializer.deserialize_map(Days)
    }
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
            spans.iter().filter_map(move |(from, until)| Some((self.start(date, *from)?, self.end(date, *until)?)))
        })
        // In an hour that is left out a span may be nothing.
        .filter(|(from, until)| from < until)
    }

    fn date_of(&self, at: Timestamp) -> Option<Date> {
        let moment = jiff::Timestamp::from_millisecond(at.0).ok()?;
        Some(self.time_zone.to_datetime(moment).date())
    }

    /// When a span begins: in an hour that comes twice, the first time.
    fn start(&self, date: Date, minute: u16) -> Option<Timestamp> {
        let at = self.time_zone.to_ambiguous_timestamp(local(date, minute)?);
        if is_left_out(&at) { self.turn(at) } else { moment(at.earlier()) }
    }

    /// When a span ends: in an hour that comes twice, the second time; where that hour begins, nothing of it is in the span.
    fn end(&self, date: Date, minute: u16) -> Option<Timestamp> {
        let local = local(date, minute)?;
        let at = self.time_zone.to_ambiguous_timestamp(local);
        if is_left_out(&at) {
            return self.turn(at);
        }
        let last_minute = self.time_zone.to_ambiguous_timestamp(local.checked_sub(1.minute()).ok()?);
        let comes_twice = matches!(last_minute.offset(), AmbiguousOffset::Fold { .. });
        moment(if comes_twice { at.later() } else { at.earlier() })
    }

    /// When the clocks are turned that leave out a time.
    fn turn(&self, left_out: AmbiguousTimestamp) -> Option<Timestamp> {
        // The later reading is that much after the turn as the time is after the beginning of what is left out.
        let after = left_out.later().and_then(|after| after.checked_add(1.nanosecond())).ok()?;
        let turn = self.time_zone.preceding(after).next()?;
        Some(Timestamp(turn.timestamp().as_millisecond()))
    }
}

fn local(date: Date, minute: u16) -> Option<DateTime> {
    let (date, minute) = if minute == MINUTES_PER_DAY { (date.tomorrow().ok()?, 0) } else { (date, minute) };
    let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
    Some(date.at(hour, minute, 0, 0))
}

fn is_left_out(at: &AmbiguousTimestamp) -> bool {
    matches!(at.offset(), AmbiguousOffset::Gap { .. })
}

fn moment(at: Result<jiff::Timestamp, jiff::Error>) -> Option<Timestamp> {
    at.ok().map(|at| Timestamp(at.as_millisecond()))
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
    fn a_span_stays_one_span_where_clocks_are_turned() {
        for (zone, hours, around, opens, closes) in [
            // 28 March 2027 in Berlin: at 01:00 UTC the clocks go from 02:00 to 03:00.
            ("Europe/Berlin", "02:30-05:00", "2027-03-27T12:00:00Z", "2027-03-28T01:00:00Z", "2027-03-28T03:00:00Z"),
            ("Europe/Berlin", "02:00-05:00", "2027-03-27T12:00:00Z", "2027-03-28T01:00:00Z", "2027-03-28T03:00:00Z"),
            ("Europe/Berlin", "02:30-03:15", "2027-03-27T12:00:00Z", "2027-03-28T01:00:00Z", "2027-03-28T01:15:00Z"),
            ("Europe/Berlin", "01:00-02:30", "2027-03-27T12:00:00Z", "2027-03-28T00:00:00Z", "2027-03-28T01:00:00Z"),
            ("Europe/Berlin", "01:00-02:00", "2027-03-27T12:00:00Z", "2027-03-28T00:00:00Z", "2027-03-28T01:00:00Z"),
            ("Europe/Berlin", "01:00-03:00", "2027-03-27T12:00:00Z", "2027-03-28T00:00:00Z", "2027-03-28T01:00:00Z"),
            ("Europe/Berlin", "03:00-04:00", "2027-03-27T12:00:00Z", "2027-03-28T01:00:00Z", "2027-03-28T02:00:00Z"),
            // 31 October 2027: at 01:00 UTC from 03:00 back to 02:00.
            ("Europe/Berlin", "01:00-02:30", "2027-10-30T12:00:00Z", "2027-10-30T23:00:00Z", "2027-10-31T01:30:00Z"),
            ("Europe/Berlin", "01:00-02:00", "2027-10-30T12:00:00Z", "2027-10-30T23:00:00Z", "2027-10-31T00:00:00Z"),
            ("Europe/Berlin", "01:00-03:00", "2027-10-30T12:00:00Z", "2027-10-30T23:00:00Z", "2027-10-31T02:00:00Z"),
            ("Europe/Berlin", "02:00-03:00", "2027-10-30T12:00:00Z", "2027-10-31T00:00:00Z", "2027-10-31T02:00:00Z"),
            ("Europe/Berlin", "02:15-02:45", "2027-10-30T12:00:00Z", "2027-10-31T00:15:00Z", "2027-10-31T01:45:00Z"),
            ("Europe/Berlin", "03:00-04:00", "2027-10-30T12:00:00Z", "2027-10-31T02:00:00Z", "2027-10-31T03:00:00Z"),
            // Beyond the tables of the database, by its rule.
            ("Europe/Berlin", "02:30-05:00", "2050-03-26T12:00:00Z", "2050-03-27T01:00:00Z", "2050-03-27T03:00:00Z"),
            // 3 October 2027 on Lord Howe Island: from 02:00 to 02:30, half an hour.
            (
                "Australia/Lord_Howe",
                "02:10-04:00",
                "2027-10-02T10:00:00Z",
                "2027-10-02T15:30:00Z",
                "2027-10-02T17:00:00Z",
            ),
            // 14 March 2027 in Havana: midnight is left out.
            ("America/Havana", "00:00-02:00", "2027-03-13T12:00:00Z", "2027-03-14T05:00:00Z", "2027-03-14T06:00:00Z"),
            // 7 November 2027 in Havana: from 01:00 back to midnight.
            ("America/Havana", "00:00-00:30", "2027-11-06T12:00:00Z", "2027-11-07T04:00:00Z", "2027-11-07T05:30:00Z"),
            ("America/Havana", "22:00-24:00", "2027-11-06T12:00:00Z", "2027-11-07T02:00:00Z", "2027-11-07T04:00:00Z"),
            // 30 December 2011 is no day in Samoa.
            ("Pacific/Apia", "08:00-10:00", "2011-12-30T00:00:00Z", "2011-12-30T18:00:00Z", "2011-12-30T20:00:00Z"),
        ] {
            let week = WEEKDAYS.map(|day| format!("{day:?}:[{hours:?}]")).join(",");
            let text = format!("{{\"time_zone\":{zone:?},\"hours\":{{{week}}}}}");
            let calendar = Calendar::read(&document(&text)).unwrap();
            let (opens, closes) = (at(opens), at(closes));
            let shown = |moment: Option<Timestamp>| moment.map(|at| jiff::Timestamp::from_millisecond(at.0).unwrap());
            let what = format!("{zone} {hours} {around}");
            assert_eq!(shown(calendar.next_change(at(around))), shown(Some(opens)), "{what}");
            assert_eq!(shown(calendar.next_change(opens)), shown(Some(closes)), "{what}");
            for (moment, open) in [(opens.0 - 1, false), (opens.0, true), (closes.0 - 1, true), (closes.0, false)] {
                assert_eq!(calendar.is_open(Timestamp(moment)), open, "{what}");
            }
        }
    }

    #[test]
    fn a_span_in_an_hour_that_is_left_out_is_none() {
        let text = r#"{"time_zone":"Europe/Berlin","hours":{"sun":["02:15-02:45"]}}"#;
        let calendar = Calendar::read(&document(text)).unwrap();
        let next_week = at("2027-04-04T00:15:00Z");
        assert_eq!(calendar.next_change(at("2027-03-22T00:00:00Z")), Some(next_week));
        for minute in 0..180 {
            let moment = Timestamp(at("2027-03-28T00:00:00Z").0 + minute * 60_000);
            assert!(!calendar.is_open(moment), "{minute}");
        }
    }

    #[test]
    fn no_day_is_there_twice() {
        let read =
            |json: &str| serde_json::from_str::<Week>(json).map(|week| week.0.len()).map_err(|error| error.to_string());
        assert_eq!(read(r#"{"mon":["09:00-17:00"],"tue":[]}"#), Ok(2));
        let refusal = read(r#"{"mon":["09:00-17:00"],"tue":[],"mon":["10:00-11:00"]}"#).unwrap_err();
        assert!(refusal.starts_with("mon is there twice"), "{refusal}");
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
