//! What was asked for when: from which event on the events of a workspace are sent, and which types.
//!
//! A row is made in the commit that changes the workspace's `EventCallbackUrl` or `EventsFilter`, and goes when no event is
//! left that it tells of. It must not know what became of an event. Start with [`Subscription::wants`].

use sqlx::Row as _;

use super::statements::Value;
use super::views::EventView;
use super::work::Update;
use super::{Error, Store};
use crate::routing::{EventRecord, WorkspaceSettings, WorkspaceSid};

/// What a workspace asks for, from an event on to the next one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The event that told of it is the first one.
    pub from: u64,
    /// Whether there is a receiver.
    pub is_sent: bool,
    /// Types of events to send, as given; all without one.
    pub filter: Option<String>,
}

impl Subscription {
    /// Whether events of this type are sent (TaskRouter: Workspace, `EventsFilter`).
    #[must_use]
    pub fn wants(&self, event_type: &str) -> bool {
        let names = self.filter.as_deref().unwrap_or_default().split(',').map(str::trim);
        let mut names = names.filter(|name| !name.is_empty()).peekable();
        self.is_sent && (names.peek().is_none() || names.any(|name| name == event_type))
    }
}

/// What is in force at an event: the last of `all`, by number, that does not begin after it.
#[must_use]
pub fn in_force(all: &[Subscription], sequence: u64) -> Option<&Subscription> {
    all.iter().take_while(|subscription| subscription.from <= sequence).last()
}

/// Whether an event was asked for when it happened.
#[must_use]
pub fn wanted(all: &[Subscription], event: &EventView) -> bool {
    let sequence = u64::try_from(event.sequence).unwrap_or(0);
    in_force(all, sequence).is_some_and(|subscription| subscription.wants(&event.event_type))
}

/// Notes what is asked for from `event` on, unless it is what was asked for before.
pub(super) fn noted(settings: &WorkspaceSettings, event: &EventRecord) -> Update {
    Update {
        sql: "INSERT INTO event_subscriptions (workspace_sid, from_sequence, is_sent, events_filter, at) \
              SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT 1 FROM (SELECT is_sent, events_filter \
              FROM event_subscriptions WHERE workspace_sid = $1 ORDER BY from_sequence DESC LIMIT 1) \
              WHERE is_sent = $3 AND events_filter IS $4)",
        values: vec![
            Value::of(settings.sid),
            event.sequence.into(),
            (!settings.event_callback_url.is_empty()).into(),
            settings.events_filter.clone().into(),
            event.at.into(),
        ],
    }
}

impl Store {
    /// What the workspace asked for at the event with this number, and since, by number.
    pub async fn subscriptions(&self, workspace: WorkspaceSid, sequence: u64) -> Result<Vec<Subscription>, Error> {
        let sql = "SELECT from_sequence, is_sent, events_filter FROM event_subscriptions WHERE workspace_sid = $1 \
                   AND from_sequence >= COALESCE((SELECT MAX(from_sequence) FROM event_subscriptions \
                   WHERE workspace_sid = $1 AND from_sequence <= $2), 0) ORDER BY from_sequence";
        let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
        let query = sqlx::query(sql).bind(workspace.to_string()).bind(sequence);
        let rows = query.fetch_all(self.read_pool()).await?;
        let subscription = |row: &sqlx::sqlite::SqliteRow| -> Result<Subscription, Error> {
            Ok(Subscription {
                from: u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0),
                is_sent: row.try_get::<i64, _>(1)? != 0,
                filter: row.try_get(2)?,
            })
        };
        rows.iter().map(subscription).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_wants_what_its_filter_names() {
        for (is_sent, filter, event_type, expected) in [
            (true, None, "task.created", true),
            (true, Some(""), "task.created", true),
            (true, Some(" , "), "task.created", true),
            (true, Some("task.canceled, task.created"), "task.created", true),
            (true, Some("task.canceled"), "task.created", false),
            (true, Some("task"), "task.created", false),
            (false, None, "task.created", false),
            (false, Some("task.created"), "task.created", false),
        ] {
            let subscription = Subscription { from: 1, is_sent, filter: filter.map(str::to_owned) };
            assert_eq!(subscription.wants(event_type), expected, "{subscription:?}");
        }
    }

    #[test]
    fn the_last_one_that_has_begun_is_in_force() {
        let all = [3, 5, 9].map(|from| Subscription { from, is_sent: true, filter: None });
        for (sequence, expected) in [(2, None), (3, Some(3)), (4, Some(3)), (5, Some(5)), (8, Some(5)), (100, Some(9))]
        {
            assert_eq!(in_force(&all, sequence).map(|subscription| subscription.from), expected, "{sequence}");
        }
    }
}
