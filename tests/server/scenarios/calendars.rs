//! Calendars of scenarios: spans of the scenario's own time. Start with [`Stage::read_calendar`].

use std::sync::Arc;

use switchhook::routing::{CalendarSid, Command, NamedHours, OpeningHours, Timestamp};

use super::text::{Args, duration};
use super::{Named, START, Stage};

/// Open from each first moment up to the second one.
#[derive(Debug)]
struct Spans(Vec<(Timestamp, Timestamp)>);

impl OpeningHours for Spans {
    fn is_open(&self, at: Timestamp) -> bool {
        self.0.iter().any(|(from, until)| *from <= at && at < *until)
    }
}

fn span(text: &str) -> Result<(Timestamp, Timestamp), String> {
    let (from, until) = text.split_once("..").ok_or_else(|| format!("{text} is no span such as 40s..5m"))?;
    Ok((START.plus_ms(duration(from)?), START.plus_ms(duration(until)?)))
}

impl Stage {
    /// `calendar Office 40s..100s 5m..1h name=Shop`: new or changed, under its own name or another one.
    pub(super) fn read_calendar(&self, args: &mut Args) -> Result<(Command, Option<String>), String> {
        let name = args.next("a name")?;
        let calendar = match self.named(&name) {
            Ok(Named::Calendar(calendar)) => calendar,
            Ok(_) => return Err(format!("{name} is no calendar")),
            Err(_) => CalendarSid::from_bits(self.names.len() as u128 + 1),
        };
        let called = args.option("name").unwrap_or_else(|| name.clone());
        let mut spans = Vec::new();
        while let Ok(text) = args.next("a span") {
            spans.push(span(&text)?);
        }
        let hours = Some(NamedHours { name: called, hours: Arc::new(Spans(spans)) });
        Ok((Command::SetCalendar { calendar, hours }, Some(name)))
    }
}
