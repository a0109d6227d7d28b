//! Names that stand for the time of day in workflows (TaskRouter: Time of Day Routing).
//!
//! All are in UTC and change only with the minute. The moment comes from the [`Scope`](super::Scope); nothing here asks
//! for the time. Start with [`TimeOfDay::named`].

use super::super::time::Timestamp;
use super::value::View;
use super::vocabulary::{Path, Segment};

const MINUTES_PER_DAY: i64 = 1440;

/// 1970-01-01 was the first of these.
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

const HOURS: [&str; 24] = [
    "00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17", "18",
    "19", "20", "21", "22", "23",
];

/// One of the four names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeOfDay {
    /// `taskrouter.currentTime`: 0 to 2359, the hour and two digits of the minute.
    Time,
    /// `taskrouter.currentHour`: two digits as a string, which compares with numbers like any other (D3).
    Hour,
    /// `taskrouter.currentMin`: 0 to 59.
    Minute,
    /// `taskrouter.dayOfWeek`: `Mon` to `Sun`.
    Day,
}

impl TimeOfDay {
    /// Reads `taskrouter.<what>`; none for anything else.
    pub(super) fn named(path: &Path) -> Option<Self> {
        let [Segment::Key(first), Segment::Key(what)] = path.segments() else { return None };
        match (&**first, &**what) {
            ("taskrouter", "currentTime") => Some(Self::Time),
            ("taskrouter", "currentHour") => Some(Self::Hour),
            ("taskrouter", "currentMin") => Some(Self::Minute),
            ("taskrouter", "dayOfWeek") => Some(Self::Day),
            _ => None,
        }
    }

    /// Its value at a moment.
    pub(super) fn at(self, now: Timestamp) -> View<'static> {
        let minutes = now.minute();
        let in_day = minutes.rem_euclid(MINUTES_PER_DAY);
        let (hour, minute) = (in_day / 60, in_day % 60);
        match self {
            Self::Time => number(hour * 100 + minute),
            Self::Minute => number(minute),
            Self::Hour => pick(&HOURS, hour),
            Self::Day => pick(&DAYS, minutes.div_euclid(MINUTES_PER_DAY).rem_euclid(7)),
        }
    }
}

fn number(value: i64) -> View<'static> {
    u32::try_from(value).map_or(View::Null, |value| View::Number(f64::from(value)))
}

fn pick(names: &'static [&'static str], index: i64) -> View<'static> {
    usize::try_from(index).ok().and_then(|index| names.get(index)).map_or(View::Null, |name| View::Text(name))
}
