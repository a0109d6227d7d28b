//! Event callbacks on disk: places in the event log, events that wait for another attempt or are dead, receivers that fail.
//!
//! It must not know how an event is sent or when it is tried again. Start with [`Store::event_target`].

use sqlx::Row as _;

use super::pages::{Direction, List, Select, Span};
use super::rows::Change;
use super::statements::{DEPARTED_WORKSPACES, EVENT_CURSORS, EVENT_DELIVERIES, EVENT_ENDPOINTS, EVENTS, Value};
use super::subscriptions::Subscription;
use super::views::{DeliveryView, EventView};
use super::work::{Update, Work};
use super::{Error, Store};
use crate::routing::{AccountSid, EventSid, Timestamp, WorkspaceSid};

/// Events of a deleted workspace that are removed in one commit.
const EVENTS_PER_COMMIT: u32 = 500;

/// A workspace whose events are sent, and how far that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTarget {
    /// The workspace.
    pub workspace: WorkspaceSid,
    /// Whose it is; its auth token signs.
    pub account: AccountSid,
    /// Name of the workspace.
    pub name: String,
    /// Where to, with the settings in its fragment.
    pub url: String,
    /// Event types to send at present, as given; all without one.
    pub filter: Option<String>,
    /// What was asked for at the first event that is not dealt with, and since.
    pub subscriptions: Vec<Subscription>,
    /// The first event that is not dealt with.
    pub next_sequence: u64,
    /// The newest event.
    pub last_sequence: u64,
    /// Since when the receiver takes nothing, if it does not.
    pub failing: Option<FailingEndpoint>,
    /// The workspace was deleted; it is forgotten once its last event is dealt with.
    pub departed: bool,
}

/// A receiver that takes nothing at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailingEndpoint {
    /// The first failure after the last success.
    pub since: Timestamp,
    /// When sending was given up, and why.
    pub disabled: Option<(Timestamp, String)>,
}

/// What is to become of an event that was tried and not taken, or was asked for by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is tried again.
    Waiting,
    /// It is not, unless somebody asks for it.
    Dead,
    /// It was taken, because somebody asked for it: its workspace had not asked for it when it happened.
    Done,
}

impl DeliveryState {
    /// As stored and as shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Dead => "dead",
            Self::Done => "done",
        }
    }
}

/// An event that was tried and not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Number of the event.
    pub sequence: u64,
    /// The event.
    pub event: String,
    /// Its type.
    pub event_type: String,
    /// Whether it is tried again.
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next one is due; of others, when they died or were taken.
    pub next_attempt_at: Timestamp,
    /// The last attempt.
    pub last_attempt_at: Option<Timestamp>,
    /// Status of its answer.
    pub last_status: Option<u16>,
    /// What was wrong.
    pub last_error: Option<String>,
    /// Beginning of its answer.
    pub last_answer: Option<String>,
}

/// What the sender has found out and wants on disk, all together.
#[derive(Debug, Default)]
pub struct Progress {
    /// Events before this one are dealt with; a place never goes back.
    pub next_sequence: Option<u64>,
    /// Events to try again, or dead.
    pub deliveries: Vec<Delivery>,
    /// Events that were taken in the end, by number.
    pub taken: Vec<u64>,
    /// A change of the receiver's state: `Some(None)` when it takes events again.
    pub endpoint: Option<Option<FailingEndpoint>>,
}

impl Progress {
    /// Whether there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.next_sequence.is_none() && self.deliveries.is_empty() && self.taken.is_empty() && self.endpoint.is_none()
    }
}

/// The columns that [`target_of`] reads, and a condition.
macro_rules! targets {
    ($condition:literal) => {
        concat!(
            "SELECT c.workspace_sid, w.account_sid, w.friendly_name, w.event_callback_url, w.events_filter, \
             c.next_sequence, w.last_sequence, p.failing_since, p.disabled_at, p.disabled_reason, w.departed \
             FROM event_cursors c JOIN (\
             SELECT sid, account_sid, friendly_name, event_callback_url, events_filter, last_sequence, 0 AS departed \
             FROM workspaces UNION ALL \
             SELECT sid, account_sid, friendly_name, event_callback_url, events_filter, last_sequence, 1 AS departed \
             FROM departed_workspaces) w ON w.sid = c.workspace_sid AND w.event_callback_url <> '' \
             LEFT JOIN event_endpoints p ON p.workspace_sid = c.workspace_sid",
            $condition
        )
    };
}

fn target_of(row: &sqlx::sqlite::SqliteRow) -> Result<EventTarget, Error> {
    let inconsistent = |column| Error::Inconsistent { table: "event_cursors", column, row: String::new() };
    let text = |index: usize| row.try_get::<String, _>(index);
    let sequence =
        |index: usize| -> Result<u64, Error> { Ok(u64::try_from(row.try_get::<i64, _>(index)?).unwrap_or(0)) };
    let disabled_at = row.try_get::<Option<i64>, _>(8)?.map(Timestamp);
    let reason = row.try_get::<Option<String>, _>(9)?.unwrap_or_default();
    let failing = row
        .try_get::<Option<i64>, _>(7)?
        .map(|since| FailingEndpoint { since: Timestamp(since), disabled: disabled_at.map(|at| (at, reason)) });
    Ok(EventTarget {
        workspace: text(0)?.parse().map_err(|_| inconsistent("workspace_sid"))?,
        account: text(1)?.parse().map_err(|_| inconsistent("account_sid"))?,
        name: text(2)?,
        url: text(3)?,
        filter: row.try_get(4)?,
        subscriptions: Vec::new(),
        next_sequence: sequence(5)?,
        last_sequence: sequence(6)?,
        failing,
        departed: row.try_get::<i64, _>(10)? != 0,
    })
}

impl Store {
    /// All workspaces with a place in the log: their events are sent, or were until a moment ago.
    pub async fn event_places(&self) -> Result<Vec<WorkspaceSid>, Error> {
        let query = sqlx::query_scalar::<_, String>("SELECT workspace_sid FROM event_cursors");
        let inconsistent = |row| Error::Inconsistent { table: "event_cursors", column: "workspace_sid", row };
        let rows = query.fetch_all(self.read_pool()).await?;
        rows.into_iter().map(|row| row.parse().map_err(|_| inconsistent(row))).collect()
    }

    /// The first event of the workspace that is not dealt with, if its events are sent or were until a moment ago.
    pub async fn event_place(&self, workspace: WorkspaceSid) -> Result<Option<u64>, Error> {
        let sql = "SELECT next_sequence FROM event_cursors WHERE workspace_sid = $1";
        let query = sqlx::query_scalar::<_, i64>(sql).bind(workspace.to_string());
        let place = query.fetch_optional(self.read_pool()).await?;
        Ok(place.map(|place| u64::try_from(place).unwrap_or(0)))
    }

    /// The workspace, if its events are sent.
    pub async fn event_target(&self, workspace: WorkspaceSid) -> Result<Option<EventTarget>, Error> {
        let query = sqlx::query(targets!(" WHERE c.workspace_sid = $1")).bind(workspace.to_string());
        let row = query.fetch_optional(self.read_pool()).await?;
        let Some(mut target) = row.as_ref().map(target_of).transpose()? else { return Ok(None) };
        target.subscriptions = self.subscriptions(workspace, target.next_sequence).await?;
        Ok(Some(target))
    }

    /// Events of a workspace from a number on, by number.
    pub async fn events_from(
        &self,
        workspace: WorkspaceSid,
        sequence: u64,
        most: u32,
    ) -> Result<Vec<EventView>, Error> {
        let from = i64::try_from(sequence).unwrap_or(i64::MAX);
        let select = Select::new().filter("e.workspace_sid = ?", workspace).filter_number("e.sequence >= ?", from);
        select.order("e.sequence", Direction::Ascending).total().rows(self.read_pool(), most).await
    }

    /// Events with these numbers, as far as they are there.
    pub async fn events_numbered(&self, workspace: WorkspaceSid, numbers: &[u64]) -> Result<Vec<EventView>, Error> {
        let mut events = Vec::with_capacity(numbers.len());
        for number in numbers {
            let found = self.events_from(workspace, *number, 1).await?;
            events.extend(found.into_iter().filter(|event| u64::try_from(event.sequence) == Ok(*number)));
        }
        Ok(events)
    }

    /// Events that are due for another attempt before `before`, the longest due first.
    pub async fn deliveries_due(
        &self,
        workspace: WorkspaceSid,
        before: Timestamp,
        most: u32,
    ) -> Result<Vec<DeliveryView>, Error> {
        let select = Select::new()
            .filter("d.workspace_sid = ?", workspace)
            .filter("d.state = ?", DeliveryState::Waiting.as_str())
            .filter_number("d.next_attempt_at <= ?", before.0);
        select.order("d.next_attempt_at", Direction::Ascending).rows(self.read_pool(), most).await
    }

    /// When the next attempt of any event of the workspace is due.
    pub async fn next_delivery_at(&self, workspace: WorkspaceSid) -> Result<Option<Timestamp>, Error> {
        let sql = "SELECT MIN(next_attempt_at) FROM event_deliveries WHERE workspace_sid = $1 AND state = 'waiting'";
        let at: Option<i64> = sqlx::query_scalar(sql).bind(workspace.to_string()).fetch_one(self.read_pool()).await?;
        Ok(at.map(Timestamp))
    }

    /// Events that were tried and not taken, by number; only those in `state` if given.
    pub async fn deliveries(
        &self,
        workspace: WorkspaceSid,
        state: Option<DeliveryState>,
        span: Span,
    ) -> Result<List<DeliveryView>, Error> {
        let select = Select::new()
            .filter("d.workspace_sid = ?", workspace)
            .filter("d.state <> ?", DeliveryState::Done.as_str())
            .filter_some("d.state = ?", state.map(DeliveryState::as_str));
        select.order("d.sequence", Direction::Ascending).page(self.read_pool(), span).await
    }

    /// The delivery of an event, if it was tried and not taken, or asked for by hand.
    pub async fn delivery(&self, workspace: WorkspaceSid, event: EventSid) -> Result<Option<DeliveryView>, Error> {
        let select = Select::new().filter("d.workspace_sid = ?", workspace).filter("d.event_sid = ?", event);
        select.optional(self.read_pool()).await
    }

    /// How many events of all workspaces wait for another attempt, how many are dead, and for how many seconds the
    /// oldest event that is not dealt with has been waiting.
    pub async fn delivery_counts(&self, now: Timestamp) -> Result<(u64, u64, u64), Error> {
        let sql = "SELECT COALESCE(SUM(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END), 0), \
                   COALESCE(SUM(CASE WHEN state = 'dead' THEN 1 ELSE 0 END), 0), \
                   COALESCE((SELECT MAX($1 - e.at) / 1000 FROM event_cursors c JOIN events e ON e.workspace_sid = c.workspace_sid AND e.sequence = c.next_sequence), 0) \
                   FROM event_deliveries";
        let row = sqlx::query(sql).bind(now.0).fetch_one(self.read_pool()).await?;
        let count =
            |index: usize| -> Result<u64, Error> { Ok(u64::try_from(row.try_get::<i64, _>(index)?).unwrap_or(0)) };
        Ok((count(0)?, count(1)?, count(2)?))
    }

    /// Puts progress on disk.
    pub async fn note_progress(&self, workspace: WorkspaceSid, progress: Progress) -> Result<(), Error> {
        if progress.is_empty() {
            return Ok(());
        }
        let number = |sequence: u64| Value::Int(i64::try_from(sequence).ok());
        let mut changes: Vec<Change> = Vec::new();
        for row in progress.deliveries {
            let row = vec![
                Value::of(workspace),
                number(row.sequence),
                row.event.into(),
                row.event_type.into(),
                Value::of(row.state.as_str()),
                row.attempts.into(),
                row.next_attempt_at.into(),
                row.last_attempt_at.into(),
                Value::Int(row.last_status.map(i64::from)),
                row.last_error.into(),
                row.last_answer.into(),
            ];
            changes.push(Change::write(&EVENT_DELIVERIES, row));
        }
        let taken = |sequence| Change::delete(&EVENT_DELIVERIES, vec![Value::of(workspace), number(sequence)]);
        changes.extend(progress.taken.into_iter().map(taken));
        match progress.endpoint {
            None => {}
            Some(None) => changes.push(Change::delete(&EVENT_ENDPOINTS, vec![Value::of(workspace)])),
            Some(Some(failing)) => {
                let (at, reason) = failing.disabled.unzip();
                let row = vec![Value::of(workspace), failing.since.into(), at.into(), reason.into()];
                changes.push(Change::write(&EVENT_ENDPOINTS, row));
            }
        }
        let update = progress.next_sequence.map(|next| Update {
            sql: "UPDATE event_cursors SET next_sequence = $1 WHERE workspace_sid = $2 AND next_sequence < $1",
            values: vec![number(next), Value::of(workspace)],
        });
        self.write(Work::of_changes(changes, update)).await
    }

    /// Events of dead deliveries from a number on, by number.
    pub async fn dead_from(&self, workspace: WorkspaceSid, sequence: u64, most: u32) -> Result<Vec<EventView>, Error> {
        let from = i64::try_from(sequence).unwrap_or(i64::MAX);
        let select = Select::new()
            .filter("d.workspace_sid = ?", workspace)
            .filter("+d.state = ?", DeliveryState::Dead.as_str())
            .filter_number("d.sequence >= ?", from);
        let rows: Vec<DeliveryView> =
            select.order("d.sequence", Direction::Ascending).rows(self.read_pool(), most).await?;
        let numbers: Vec<u64> = rows.iter().map(|row| u64::try_from(row.sequence).unwrap_or(0)).collect();
        self.events_numbered(workspace, &numbers).await
    }

    /// Has events of the log sent again, whatever became of them before. They keep their identity and begin with a fresh
    /// schedule.
    pub async fn ask_again(
        &self,
        workspace: WorkspaceSid,
        events: Vec<EventView>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let again = |event: EventView| Delivery {
            sequence: u64::try_from(event.sequence).unwrap_or(0),
            event: event.sid,
            event_type: event.event_type,
            state: DeliveryState::Waiting,
            attempts: 0,
            next_attempt_at: now,
            last_attempt_at: None,
            last_status: None,
            last_error: None,
            last_answer: None,
        };
        let deliveries = events.into_iter().map(again).collect();
        self.note_progress(workspace, Progress { deliveries, ..Progress::default() }).await
    }

    /// Forgets a workspace that was deleted, and the events it had kept to be sent, a few in each commit.
    pub async fn forget_departed(&self, workspace: WorkspaceSid) -> Result<(), Error> {
        loop {
            let events = self.events_from(workspace, 0, EVENTS_PER_COMMIT).await?;
            let numbers = events.iter().map(|event| Value::from(event.sequence));
            let key = |number| Change::delete(&EVENTS, vec![Value::of(workspace), number]);
            let changes: Vec<Change> = numbers.map(key).collect();
            if changes.is_empty() {
                break;
            }
            self.write(Work::of_removals(changes)).await?;
        }
        // The place in the log last: without it nobody would look again.
        let key = || vec![Value::of(workspace)];
        let rows = Update { sql: "DELETE FROM event_deliveries WHERE workspace_sid = $1", values: key() };
        self.write(Work::of_changes(Vec::new(), Some(rows))).await?;
        let changes =
            [&EVENT_ENDPOINTS, &EVENT_CURSORS, &DEPARTED_WORKSPACES].map(|table| Change::delete(table, key()));
        let update = Update { sql: "DELETE FROM event_subscriptions WHERE workspace_sid = $1", values: key() };
        self.write(Work::of_changes(changes.into(), Some(update))).await
    }

    /// There is no receiver any more: forgets that it failed; what waits for another attempt is dead, so that it can be seen
    /// and sent to another one.
    pub async fn bury_deliveries(&self, workspace: WorkspaceSid, now: Timestamp) -> Result<(), Error> {
        let changes = vec![Change::delete(&EVENT_ENDPOINTS, vec![Value::of(workspace)])];
        let update = Update {
            sql: "UPDATE event_deliveries SET state = 'dead', next_attempt_at = $1 \
                  WHERE workspace_sid = $2 AND state = 'waiting'",
            values: vec![now.0.into(), Value::of(workspace)],
        };
        self.write(Work::of_changes(changes, Some(update))).await
    }

    /// Gives the place in the log up, unless there is a receiver again.
    pub async fn leave_log(&self, workspace: WorkspaceSid) -> Result<(), Error> {
        let update = Update {
            sql: "DELETE FROM event_cursors WHERE workspace_sid = $1 \
                  AND NOT EXISTS (SELECT 1 FROM workspaces WHERE sid = $1 AND event_callback_url <> '')",
            values: vec![Value::of(workspace)],
        };
        self.write(Work::of_changes(Vec::new(), Some(update))).await
    }
}
