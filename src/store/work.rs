//! What the writer is asked to do, prepared by the caller: a fence and the rows, ready to bind.
//!
//! Turning records into values happens here, on the caller's task, so that the one writer only binds and runs
//! statements. It must not touch the database. Start with [`Work`].

use std::borrow::Cow;
use std::collections::HashMap;

use super::idempotency::idempotency_change;
use super::rows::{
    Change, account_change, alert_change, api_key_change, change_of, event_change, fact_change, outbox_change,
    period_change, relay_change, rollup_change, voice_task_change,
};
use super::secrets::{AccountRow, ApiKeyRow};
use super::statements::{
    API_KEYS, ASSIGNMENT_CALLBACKS, EVENT_CURSORS, EVENT_DELIVERIES, EVENT_ENDPOINTS, EVENT_SUBSCRIPTIONS, EVENTS,
    OUTBOX, TABLES, Table, VOICE_TASKS, VOICEMAILS, Value, WORKSPACES,
};
use super::{Alert, Batch, Error, OpenCallback, Voicemail, subscriptions};
use crate::routing::rollup::Rollup;
use crate::routing::{ActivityPeriod, ApiKeySid, EventKind, Fact, RowChange, WorkspaceSettings};

/// One thing to write as a whole.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Guards batches of a workspace.
    pub(super) fence: Option<Fence>,
    /// Instead of writing `changes`, removes everything of the fence's workspace.
    pub(super) removes_workspace: bool,
    /// Rows in the order of the changes.
    pub(super) changes: Vec<Change>,
    /// Changes of columns of a row that may be gone meanwhile, and then stays so.
    pub(super) update: Option<Update>,
    /// A statement that changes one row, or else the work is refused with [`Error::Overtaken`].
    pub(super) condition: Option<Update>,
    /// Writes something that is there already, to see whether it can be done.
    pub(super) probes: bool,
    /// Sets how many pages the file may have.
    #[cfg(test)]
    pub(super) pages_max: Option<u32>,
}

/// One `UPDATE` and its values.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) sql: &'static str,
    pub(super) values: Vec<Value>,
}

/// The compare-and-advance of a workspace's sequence number.
#[derive(Debug)]
pub(super) struct Fence {
    /// The workspace's SID.
    pub(super) workspace: String,
    /// `last_sequence` on disk before.
    pub(super) expected: u64,
    /// `last_sequence` on disk after.
    pub(super) advanced: u64,
    /// The row to insert if the workspace is not on disk yet.
    pub(super) new_row: Option<Vec<Value>>,
}

impl Work {
    /// Checks and prepares a batch. A batch that contradicts itself is [`Error::Inconsistent`].
    pub(super) fn of_batch(batch: Batch) -> Result<Self, Error> {
        let workspace = batch.workspace;
        for (expected, event) in (batch.expected_sequence + 1..).zip(&batch.events) {
            if event.sequence != expected {
                let row = format!("{workspace}/{}", event.sequence);
                return Err(Error::Inconsistent { table: "events", column: "sequence", row });
            }
        }
        let advanced = batch.expected_sequence + batch.events.len() as u64;
        let mut changes = Vec::with_capacity(batch.row_count());
        let mut new_row = None;
        let mut removes_workspace = false;
        let announced = batch
            .events
            .iter()
            .find(|event| matches!(event.kind, EventKind::WorkspaceCreated | EventKind::WorkspaceUpdated));
        let mut cursor_change = None;
        let mut update = None;
        for change in batch.rows {
            if let RowChange::Workspace(settings) = &change {
                if settings.sid != workspace {
                    let row = settings.sid.to_string();
                    return Err(Error::Inconsistent { table: "workspaces", column: "sid", row });
                }
                // Whoever is to be told of events from now on has a place in the log from this commit on.
                cursor_change = announced.and_then(|event| cursor_of(settings, event.sequence));
                update = announced.map(|event| subscriptions::noted(settings, event));
                if batch.expected_sequence == 0 {
                    let mut settings = settings.clone();
                    settings.last_sequence = advanced;
                    new_row = change_of(workspace, RowChange::Workspace(settings)).and_then(|change| change.row);
                }
            }
            match change_of(workspace, change) {
                Some(change) => changes.push(change),
                None => removes_workspace = true,
            }
        }
        for row in batch.voice_tasks {
            if row.workspace != workspace {
                let row = row.task.to_string();
                return Err(Error::Inconsistent { table: "voice_tasks", column: "workspace_sid", row });
            }
            changes.push(voice_task_change(row));
        }
        let gone = |task| Change::delete(&VOICE_TASKS, vec![Value::of(task)]);
        changes.extend(batch.voice_tasks_deleted.into_iter().map(gone));
        changes.extend(batch.outbox_added.into_iter().map(|row| outbox_change(workspace, row)));
        let done = |(task, number): (_, u32)| {
            Change::delete(&OUTBOX, vec![Value::of(workspace), Value::of(task), number.into()])
        };
        changes.extend(batch.outbox_done.into_iter().map(done));
        let opened = |callback: OpenCallback| {
            let row = vec![Value::of(workspace), Value::of(callback.reservation), callback.opened_at.into()];
            Change::write(&ASSIGNMENT_CALLBACKS, row)
        };
        changes.extend(batch.callbacks_opened.into_iter().map(opened));
        let closed =
            |reservation| Change::delete(&ASSIGNMENT_CALLBACKS, vec![Value::of(workspace), Value::of(reservation)]);
        changes.extend(batch.callbacks_closed.into_iter().map(closed));
        changes.extend(batch.relays.into_iter().map(relay_change));
        let kept = |voicemail: Voicemail| {
            let Voicemail { recording, task, created_at } = voicemail;
            Change::write(&VOICEMAILS, vec![Value::of(workspace), recording.into(), Value::of(task), created_at.into()])
        };
        changes.extend(batch.voicemails.into_iter().map(kept));
        let forgotten = |recording: String| Change::delete(&VOICEMAILS, vec![Value::of(workspace), recording.into()]);
        changes.extend(batch.voicemails_forgotten.into_iter().map(forgotten));
        // In the commit of the events, so that statistics are what the event log amounts to.
        changes.extend(cursor_change);
        let facts: Vec<Fact> = batch.events.iter().filter_map(Fact::of).collect();
        let periods = batch.events.iter().filter_map(ActivityPeriod::of);
        changes.extend(periods.map(|period| period_change(workspace, &period)));
        changes.extend(Rollup::of(workspace, &facts).iter().map(|rollup| rollup_change(workspace, rollup)));
        changes.extend(facts.iter().map(|fact| fact_change(workspace, fact)));
        changes.extend(batch.events.into_iter().map(|event| event_change(workspace, event)));
        changes.extend(batch.alerts.into_iter().map(alert_change));
        changes.extend(batch.idempotent_requests.into_iter().map(idempotency_change));
        let fence = Fence { workspace: workspace.to_string(), expected: batch.expected_sequence, advanced, new_row };
        Ok(Self { fence: Some(fence), removes_workspace, changes, update, ..Self::default() })
    }

    /// Prepares changes of rows, and of columns of another one.
    pub(super) fn of_changes(changes: Vec<Change>, update: Option<Update>) -> Self {
        Self { changes, update, ..Self::default() }
    }

    /// Prepares an attempt to write that changes nothing.
    pub(super) fn probing() -> Self {
        Self { probes: true, ..Self::default() }
    }

    /// Whether there is anything to write.
    pub(super) const fn is_empty(&self) -> bool {
        !self.probes
            && self.fence.is_none()
            && self.changes.is_empty()
            && self.update.is_none()
            && self.condition.is_none()
    }

    /// Prepares an account.
    pub(super) fn of_account(account: AccountRow) -> Self {
        Self { changes: vec![account_change(account)], ..Self::default() }
    }

    /// Prepares the removal of rows by their keys.
    pub(super) fn of_removals(changes: Vec<Change>) -> Self {
        Self { changes, ..Self::default() }
    }

    /// Prepares an API key.
    pub(super) fn of_api_key(api_key: ApiKeyRow) -> Self {
        Self { changes: vec![api_key_change(api_key)], ..Self::default() }
    }

    /// Prepares the end of an API key.
    pub(super) fn revoking(api_key: ApiKeySid) -> Self {
        Self { changes: vec![Change::delete(&API_KEYS, vec![Value::of(api_key)])], ..Self::default() }
    }

    /// Prepares a line of the alert log.
    pub(super) fn of_alert(alert: Alert) -> Self {
        Self { changes: vec![alert_change(alert)], ..Self::default() }
    }
}

/// The place in the event log of a workspace with an event callback: the event that told of it, unless it has one. When the
/// URL is taken away it stays until what was not sent is dead.
fn cursor_of(settings: &WorkspaceSettings, sequence: u64) -> Option<Change> {
    let has_receiver = !settings.event_callback_url.is_empty();
    has_receiver.then(|| Change::write(&EVENT_CURSORS, vec![Value::of(settings.sid), sequence.into()]))
}

/// The rows of several works, sorted by table, each row once.
pub(super) struct Merged<'a>(Vec<(&'static Table, Vec<Cow<'a, Change>>)>);

impl<'a> Merged<'a> {
    /// Merges `works`: of several changes of one row the last one counts, or all together where they are combined. Rows
    /// that are only ever added are not merged, so that a repeated key is an error.
    pub(super) fn of(works: impl Iterator<Item = &'a Work>) -> Self {
        let mut merged: Vec<(&'static Table, Vec<Cow<'a, Change>>)> =
            TABLES.iter().map(|table| (*table, Vec::new())).collect();
        let index_of_table: HashMap<&str, usize> =
            TABLES.iter().enumerate().map(|(index, table)| (table.name, index)).collect();
        let mut index_of_row: HashMap<(usize, &[Value]), usize> = HashMap::new();
        for change in works.flat_map(|work| &work.changes) {
            let table = index_of_table[change.table.name];
            let rows = &mut merged[table].1;
            if change.table.append_only {
                rows.push(Cow::Borrowed(change));
                continue;
            }
            let index = *index_of_row.entry((table, &change.key)).or_insert(rows.len());
            match rows.get_mut(index) {
                Some(earlier) if !earlier.combines_with(change) => *earlier = Cow::Borrowed(change),
                Some(earlier) => earlier.to_mut().combine(change),
                None => rows.push(Cow::Borrowed(change)),
            }
        }
        Self(merged)
    }

    /// Keys to remove, table by table. With `anew`, workers that are written are removed first as well: then their
    /// unique names may be exchanged within one batch.
    pub(super) fn removed(&self, anew: bool) -> impl Iterator<Item = (&'static Table, Vec<&[Value]>)> {
        self.0.iter().map(move |(table, changes)| {
            let is_removed = |change: &&Cow<'a, Change>| change.row.is_none() || (anew && table.name == "workers");
            (*table, changes.iter().filter(is_removed).map(|change| change.key.as_slice()).collect())
        })
    }

    /// Rows to write, table by table.
    pub(super) fn written(&self) -> impl Iterator<Item = (&'static Table, Vec<&[Value]>)> {
        self.0
            .iter()
            .map(|(table, changes)| (*table, changes.iter().filter_map(|change| change.row.as_deref()).collect()))
    }
}

/// Tables to empty when a workspace is removed; those of its events only if nobody is to be told of them any more.
pub(super) fn tables_of_workspace(with_events: bool) -> impl Iterator<Item = &'static Table> {
    let of_events =
        [&EVENTS, &EVENT_CURSORS, &EVENT_SUBSCRIPTIONS, &EVENT_ENDPOINTS, &EVENT_DELIVERIES].map(|table| table.name);
    TABLES.iter().copied().filter(move |table| {
        table.columns.contains(&"workspace_sid")
            && table.name != WORKSPACES.name
            && table.name != "alerts"
            && (with_events || !of_events.contains(&table.name))
    })
}
