//! Calendars of the simulation, instead of those in time zones: open for some minutes, closed for some, over and over.

use std::sync::Arc;

use crate::routing::{NamedHours, OpeningHours, Timestamp};
use crate::store::CalendarRow;

/// Minutes from the epoch on: so many open, then so many closed.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Turns {
    /// Longest run of open minutes.
    pub open: u32,
    /// Longest run of closed minutes.
    pub closed: u32,
}

impl OpeningHours for Turns {
    fn is_open(&self, at: Timestamp) -> bool {
        let turn = i64::from(self.open) + i64::from(self.closed);
        at.minute().rem_euclid(turn.max(1)) < i64::from(self.open)
    }
}

/// What a stored calendar says.
pub fn read(row: &CalendarRow) -> Option<NamedHours> {
    let turns: Turns = serde_json::from_str(&row.document).ok()?;
    Some(NamedHours { name: row.friendly_name.clone(), hours: Arc::new(turns) })
}
