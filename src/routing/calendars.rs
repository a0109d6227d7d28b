//! Calendars that expressions may name: `taskrouter.calendar.<name>.open`.
//!
//! The workspace keeps none of them: it is told of each after a start and whenever one changes, and asks them like the time of
//! day, by the minute. What a calendar says is a function of the moment alone, so the same commands still give the same
//! result. Start with [`Turn::set_calendar`].

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::command::Reply;
use super::expression::Openings;
use super::sid::CalendarSid;
use super::time::Timestamp;
use super::turn::Turn;
use super::workspace::Workspace;

/// When something is open: a function of the moment alone, the same whenever and wherever it is asked.
pub trait OpeningHours: std::fmt::Debug + Send + Sync {
    /// Whether it is open at a moment.
    fn is_open(&self, at: Timestamp) -> bool;
}

/// Opening hours with the name that expressions know them by.
#[derive(Debug, Clone)]
pub struct NamedHours {
    /// Unique among the workspace's calendars.
    pub name: String,
    /// When it is open.
    pub hours: Arc<dyn OpeningHours>,
}

/// The calendars of a workspace.
#[derive(Debug, Clone, Default)]
pub(super) struct Calendars {
    by_sid: BTreeMap<CalendarSid, Entry>,
    by_name: BTreeMap<String, CalendarSid>,
}

#[derive(Debug, Clone)]
struct Entry {
    named: NamedHours,
    /// The minute that was asked for last, and the answer: matching asks for one minute over and over.
    last_told: Cell<Option<(i64, bool)>>,
}

impl Calendars {
    fn put(&mut self, calendar: CalendarSid, hours: Option<NamedHours>) {
        if let Some(before) = self.by_sid.remove(&calendar)
            && self.by_name.get(&before.named.name) == Some(&calendar)
        {
            self.by_name.remove(&before.named.name);
        }
        if let Some(named) = hours {
            self.by_name.insert(named.name.clone(), calendar);
            self.by_sid.insert(calendar, Entry { named, last_told: Cell::new(None) });
        }
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        let by_sid = name.parse().ok().and_then(|sid: CalendarSid| self.by_sid.get(&sid));
        by_sid.or_else(|| self.by_sid.get(self.by_name.get(name)?))
    }

    /// Whether there is a calendar of this name or SID.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}

impl Openings for Calendars {
    fn is_open(&self, name: &str, at: Timestamp) -> Option<bool> {
        let entry = self.find(name)?;
        let minute = at.minute();
        if let Some((asked, open)) = entry.last_told.get()
            && asked == minute
        {
            return Some(open);
        }
        let open = entry.named.hours.is_open(Timestamp(minute.saturating_mul(60_000)));
        entry.last_told.set(Some((minute, open)));
        Some(open)
    }
}

impl Workspace {
    /// What a calendar says, while the workspace is put together; afterwards it is a command.
    pub fn put_calendar(&mut self, calendar: CalendarSid, hours: NamedHours) {
        self.calendars.put(calendar, Some(hours));
    }

    /// Which of these calendars are open at a moment; those that do not exist are left out.
    pub fn open_calendars(&self, names: &[String], at: Timestamp) -> BTreeMap<String, bool> {
        names.iter().filter_map(|name| Some((name.clone(), self.calendars.is_open(name, at)?))).collect()
    }
}

impl Turn<'_> {
    /// A calendar is new, has other hours or another name, or is gone: whoever waits for one that has opened or closed by
    /// that is looked at before the command ends.
    pub(super) fn set_calendar(&mut self, calendar: CalendarSid, hours: Option<NamedHours>) -> Reply {
        let before = self.workspace.calendars.clone();
        self.calendars_before.get_or_insert(before);
        self.workspace.calendars.put(calendar, hours);
        Reply::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Since(i64);

    impl OpeningHours for Since {
        fn is_open(&self, at: Timestamp) -> bool {
            at.0 >= self.0
        }
    }

    fn hours(name: &str, from: i64) -> NamedHours {
        NamedHours { name: name.to_owned(), hours: Arc::new(Since(from)) }
    }

    #[test]
    fn a_calendar_goes_by_its_name_and_by_its_sid() {
        let (first, second) = (CalendarSid::from_bits(1), CalendarSid::from_bits(2));
        let mut calendars = Calendars::default();
        calendars.put(first, Some(hours("Office", 60_000)));
        let at = |calendars: &Calendars, name: &str, ms| calendars.is_open(name, Timestamp(ms));
        assert_eq!(at(&calendars, "Office", 59_999), Some(false));
        assert_eq!(at(&calendars, "Office", 60_000), Some(true));
        assert_eq!(at(&calendars, &first.to_string(), 60_000), Some(true));
        assert_eq!(at(&calendars, "office", 60_000), None, "names are told apart by case, as attributes are");
        // It is told by the minute, like the time of day, also when asked within one.
        calendars.put(first, Some(hours("Office", 60_001)));
        assert_eq!(at(&calendars, "Office", 119_999), Some(false));
        assert_eq!(at(&calendars, "Office", 120_000), Some(true));
        // Two change names; whichever is heard of first, both have the new ones in the end.
        calendars.put(second, Some(hours("Office", 0)));
        calendars.put(first, Some(hours("Night", 180_000)));
        assert_eq!((at(&calendars, "Office", 0), at(&calendars, "Night", 0)), (Some(true), Some(false)));
        calendars.put(second, None);
        assert_eq!((at(&calendars, "Office", 0), calendars.knows("Night")), (None, true));
        assert!(!calendars.knows(&second.to_string()));
    }
}
