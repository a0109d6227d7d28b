//! The calendars that a workspace was told of: they are no rows of its own, so a workspace that is made of its rows has to be
//! told of them too. Start with [`Calendars::hear`].

use std::collections::BTreeMap;

use switchhook::routing::expression::Openings;
use switchhook::routing::{CalendarSid, Command, NamedHours, Timestamp, Workspace};

#[derive(Default)]
pub(crate) struct Calendars(BTreeMap<CalendarSid, NamedHours>);

impl Calendars {
    /// Takes note of a command, if it tells of a calendar.
    pub(crate) fn hear(&mut self, command: &Command) {
        match command {
            Command::SetCalendar { calendar, hours: Some(hours) } => self.0.insert(*calendar, hours.clone()),
            Command::SetCalendar { calendar, hours: None } => self.0.remove(calendar),
            _ => None,
        };
    }

    /// Tells a workspace that was made of its rows of all of them.
    pub(crate) fn tell(&self, workspace: &mut Workspace) {
        for (calendar, hours) in &self.0 {
            workspace.put_calendar(*calendar, hours.clone());
        }
    }
}

impl Openings for Calendars {
    fn is_open(&self, name: &str, at: Timestamp) -> Option<bool> {
        let named =
            |(calendar, hours): &(&CalendarSid, &NamedHours)| calendar.to_string() == name || hours.name == name;
        let (_, hours) = self.0.iter().find(named)?;
        Some(hours.hours.is_open(Timestamp(at.minute() * 60_000)))
    }
}
