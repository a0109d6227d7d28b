//! Records to rows: one function for each table, its values in the order of the table's columns.
//!
//! It must not know SQL or connections. The way back is in `fields`. Start with [`change_of`].

use super::secrets::{AccountRow, ApiKeyRow};
use super::statements::{
    ACCOUNTS, ACTIVITIES, ACTIVITY_PERIODS, ALERTS, API_KEYS, EVENTS, OUTBOX, PRESENCES, RELAYS, RESERVATIONS,
    STATISTIC_FACTS, STATISTIC_ROLLUPS, TASK_CHANNELS, TASK_QUEUES, TASKS, TRANSFERS, Table, VOICE_TASKS, Value,
    WORKER_CHANNELS, WORKERS, WORKFLOW_VERSIONS, WORKFLOWS, WORKSPACES,
};
use super::{Alert, OutboxRow, RelayRow, VoiceTaskRow};
use crate::routing::rollup::{Rollup, Waits};
use crate::routing::{
    Activity, ActivityPeriod, BackOff, EventData, EventRecord, Fact, FactKind, Presence, Reservation, RowChange, Step,
    Task, TaskChannel, TaskQueue, Transfer, Worker, WorkerChannel, WorkerSid, Workflow, WorkflowVersion,
    WorkspaceSettings, WorkspaceSid,
};

/// A row to write, or to remove when there are no values.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// Where.
    pub(super) table: &'static Table,
    /// The primary key.
    pub(super) key: Vec<Value>,
    /// All columns.
    pub(super) row: Option<Vec<Value>>,
}

impl Change {
    pub(super) fn write(table: &'static Table, row: Vec<Value>) -> Self {
        debug_assert_eq!(row.len(), table.columns.len(), "a row of {} has all columns", table.name);
        Self { table, key: row[..table.key_columns].to_vec(), row: Some(row) }
    }

    pub(super) fn delete(table: &'static Table, key: Vec<Value>) -> Self {
        debug_assert_eq!(key.len(), table.key_columns, "a key of {} has all its columns", table.name);
        Self { table, key, row: None }
    }

    /// Whether a later change of the same row is combined with this one instead of taking its place.
    pub(super) fn combines_with(&self, later: &Self) -> bool {
        !self.table.combined.is_empty() && self.row.is_some() && later.row.is_some()
    }

    /// Makes this change stand for a later one as well.
    pub(super) fn combine(&mut self, later: &Self) {
        let (Some(row), Some(added)) = (&mut self.row, &later.row) else { return };
        let figures = row.iter_mut().zip(added).skip(self.table.key_columns);
        for ((value, added), combine) in figures.zip(self.table.combined) {
            *value = combine.apply(value, added);
        }
    }
}

/// The change of one row of the routing core; `None` for the removal of the whole workspace.
pub(super) fn change_of(workspace: WorkspaceSid, change: RowChange) -> Option<Change> {
    let deleted = |table, sid: String| Change::delete(table, vec![sid.into()]);
    Some(match change {
        RowChange::WorkspaceDeleted => return None,
        RowChange::Workspace(record) => Change::write(&WORKSPACES, workspace_row(record)),
        RowChange::Activity(record) => Change::write(&ACTIVITIES, activity_row(workspace, record)),
        RowChange::ActivityDeleted(sid) => deleted(&ACTIVITIES, sid.to_string()),
        RowChange::TaskChannel(record) => Change::write(&TASK_CHANNELS, task_channel_row(workspace, record)),
        RowChange::TaskChannelDeleted(sid) => deleted(&TASK_CHANNELS, sid.to_string()),
        RowChange::TaskQueue(record) => Change::write(&TASK_QUEUES, task_queue_row(workspace, record)),
        RowChange::TaskQueueDeleted(sid) => deleted(&TASK_QUEUES, sid.to_string()),
        RowChange::Workflow(record) => Change::write(&WORKFLOWS, workflow_row(workspace, record)),
        RowChange::WorkflowDeleted(sid) => deleted(&WORKFLOWS, sid.to_string()),
        RowChange::WorkflowVersion(record) => {
            Change::write(&WORKFLOW_VERSIONS, workflow_version_row(workspace, record))
        }
        RowChange::WorkflowVersionDeleted(sid, version) => {
            Change::delete(&WORKFLOW_VERSIONS, vec![Value::of(sid), version.into()])
        }
        RowChange::Worker(record) => Change::write(&WORKERS, worker_row(workspace, record)),
        RowChange::WorkerDeleted(sid) => deleted(&WORKERS, sid.to_string()),
        RowChange::WorkerChannel(record) => Change::write(&WORKER_CHANNELS, worker_channel_row(workspace, &record)),
        RowChange::WorkerChannelDeleted(sid) => deleted(&WORKER_CHANNELS, sid.to_string()),
        RowChange::Task(record) => Change::write(&TASKS, task_row(workspace, record)),
        RowChange::TaskDeleted(sid) => deleted(&TASKS, sid.to_string()),
        RowChange::Reservation(record) => Change::write(&RESERVATIONS, reservation_row(workspace, record)),
        RowChange::ReservationDeleted(sid) => deleted(&RESERVATIONS, sid.to_string()),
        RowChange::Transfer(record) => Change::write(&TRANSFERS, transfer_row(workspace, record)),
        RowChange::TransferDeleted(sid) => deleted(&TRANSFERS, sid.to_string()),
        RowChange::Presence(record) => Change::write(&PRESENCES, presence_row(workspace, &record)),
        RowChange::PresenceDeleted(worker) => deleted(&PRESENCES, worker.to_string()),
    })
}

fn workspace_row(record: WorkspaceSettings) -> Vec<Value> {
    vec![
        Value::of(record.sid),
        Value::of(record.account),
        record.friendly_name.into(),
        Value::of(record.default_activity),
        Value::of(record.timeout_activity),
        record.event_callback_url.into(),
        record.events_filter.into(),
        record.multi_task_enabled.into(),
        Value::of(record.prioritize_queue_order),
        record.disconnect_grace_secs.map(i64::from).into(),
        Value::of_option(record.disconnect_activity),
        record.last_sequence.into(),
        record.last_change_at.into(),
        record.created_at.into(),
        record.updated_at.into(),
    ]
}

fn presence_row(workspace: WorkspaceSid, record: &Presence) -> Vec<Value> {
    vec![
        Value::of(record.worker),
        Value::of(workspace),
        Value::of_option(record.disconnect_activity),
        record.keeps_activity.into(),
        record.deadline.into(),
    ]
}

fn activity_row(workspace: WorkspaceSid, record: Activity) -> Vec<Value> {
    vec![
        Value::of(record.sid),
        Value::of(workspace),
        record.friendly_name.into(),
        record.available.into(),
        record.created_at.into(),
        record.updated_at.into(),
    ]
}

fn task_channel_row(workspace: WorkspaceSid, record: TaskChannel) -> Vec<Value> {
    vec![
        Value::of(record.sid),
        Value::of(workspace),
        record.friendly_name.into(),
        record.unique_name.into(),
        record.channel_optimized_routing.into(),
        record.built_in.into(),
        record.created_at.into(),
        record.updated_at.into(),
    ]
}

fn task_queue_row(workspace: WorkspaceSid, record: TaskQueue) -> Vec<Value> {
    vec![
        Value::of(record.sid),
        Value::of(workspace),
        record.friendly_name.into(),
        record.target_workers.into(),
        Value::of(record.task_order),
        record.max_reserved_workers.into(),
        Value::of_option(record.reservation_activity),
        Value::of_option(record.assignment_activity),
        record.created_at.into(),
        record.updated_at.into(),
    ]
}

fn workflow_row(workspace: WorkspaceSid, record: Workflow) -> Vec<Value> {
    vec![
        Value::of(record.sid),
        Value::of(workspace),
        record.friendly_name.into(),
        record.configuration.into(),
        record.version.into(),
        record.assignment_callback_url.into(),
        record.fallback_assignment_callback_url.into(),
        record.task_reservation_timeout_secs.into(),
        record.created_at.into(),
        record.updated_at.into(),
    ]
}

fn workflow_version_row(workspace: WorkspaceSid, record: WorkflowVersion) -> Vec<Value> {
    vec![Value::of(record.workflow), record.version.into(), Value::of(workspace), record.configuration.into()]
}

fn worker_row(workspace: WorkspaceSid, record: Worker) -> Vec<Value> {
    vec![
        Value::of(record.sid),
        Value::of(workspace),
        record.friendly_name.clone().into(),
        record.friendly_name.to_lowercase().into(),
        record.attributes.into(),
        Value::of(record.activity),
        record.status_changed_at.into(),
        record.last_reserved_at.into(),
        record.version.into(),
        record.created_at.into(),
        record.updated_at.into(),
        record.connect_failures.into(),
    ]
}

fn worker_channel_row(workspace: WorkspaceSid, record: &WorkerChannel) -> Vec<Value> {
    vec![
        Value::of(record.sid),
        Value::of(workspace),
        Value::of(record.worker),
        Value::of(record.channel),
        record.configured_capacity.into(),
        record.available.into(),
        record.assigned_tasks.into(),
        record.used.into(),
        record.last_reserved_at.into(),
        record.created_at.into(),
        record.updated_at.into(),
    ]
}

fn task_row(workspace: WorkspaceSid, record: Task) -> Vec<Value> {
    vec![
        Value::of(record.sid),
        Value::of(workspace),
        record.attributes.into(),
        Value::of(record.status),
        record.priority.into(),
        record.timeout_secs.into(),
        record.reason.into_inner().into(),
        Value::of(record.channel),
        Value::of_option(record.queue),
        record.queue_entered_at.into(),
        Value::of_option(record.workflow),
        record.workflow_version.into(),
        step_text(record.step).into(),
        record.base_at.into(),
        record.filter_timed_out.into(),
        record.virtual_start_at.into(),
        Value::of_option(*record.routing_target),
        record.ignore_capacity.into(),
        record.reserved_count.into(),
        back_offs_text(&record.back_offs).into(),
        record.version.into(),
        (*record.assigned_at).into(),
        (*record.finished_at).into(),
        record.created_at.into(),
        record.updated_at.into(),
        Value::of_option(*record.transfer),
        record.attributes_changed.into(),
    ]
}

fn reservation_row(workspace: WorkspaceSid, record: Reservation) -> Vec<Value> {
    vec![
        Value::of(record.sid),
        Value::of(workspace),
        Value::of(record.task),
        Value::of(record.worker),
        record.worker_name.into(),
        Value::of(record.channel),
        Value::of(record.status),
        record.timeout_secs.into(),
        record.deadline.into(),
        record.connecting.into(),
        Value::of_option(record.previous_activity),
        record.canceled_reason_code.into(),
        record.version.into(),
        record.created_at.into(),
        record.updated_at.into(),
        Value::of_option(record.transfer),
    ]
}

fn transfer_row(workspace: WorkspaceSid, record: Transfer) -> Vec<Value> {
    vec![
        Value::of(record.sid),
        Value::of(workspace),
        Value::of(record.task),
        Value::of(record.mode),
        Value::of(record.to),
        Value::of(record.status),
        record.failed_reason.into(),
        Value::of(record.initiating_reservation),
        Value::of(record.initiating_worker),
        Value::of_option(record.initiating_queue),
        Value::of_option(record.initiating_workflow),
        record.created_at.into(),
        record.updated_at.into(),
    ]
}

/// An event to append.
pub(super) fn event_change(workspace: WorkspaceSid, record: EventRecord) -> Change {
    let event_data = ordered_json(&record.data);
    let about = record.about;
    Change::write(
        &EVENTS,
        vec![
            Value::of(workspace),
            record.sequence.into(),
            Value::of(record.sid),
            Value::of(record.kind),
            record.at.into(),
            record.description.into(),
            record.resource_type.to_owned().into(),
            Value::of(record.resource_sid),
            Value::of_option(about.task),
            Value::of_option(about.worker),
            Value::of_option(about.reservation),
            Value::of_option(about.queue),
            Value::of_option(about.workflow),
            Value::of_option(about.activity),
            Value::of_option(about.channel),
            event_data.into(),
        ],
    )
}

/// A fact to append.
pub(super) fn fact_change(workspace: WorkspaceSid, fact: &Fact) -> Change {
    Change::write(
        &STATISTIC_FACTS,
        vec![
            Value::of(workspace),
            fact.at.into(),
            fact.sequence.into(),
            Value::of(fact.kind),
            Value::of_option(fact.queue),
            Value::of_option(fact.workflow),
            Value::of_option(fact.worker),
            Value::of_option(fact.channel),
            fact.wait_secs.into(),
            fact.wait_in_queue_secs.into(),
            fact.after_transfer.into(),
        ],
    )
}

/// Figures to add to a bucket.
pub(super) fn rollup_change(workspace: WorkspaceSid, rollup: &Rollup) -> Change {
    let (bucket, figures) = (&rollup.bucket, &rollup.figures);
    let mut row = vec![
        Value::of(workspace),
        Value::of(bucket.of),
        bucket.width.secs().into(),
        bucket.begin.into(),
        bucket.channel.map_or_else(String::new, |channel| channel.to_string()).into(),
    ];
    row.extend(FactKind::ALL.iter().map(|kind| Value::from(figures.count(*kind))));
    for Waits { total, min, max } in [figures.until_accepted, figures.in_queue_until_accepted, figures.until_canceled] {
        row.extend([total.into(), min.into(), max.into()]);
    }
    Change::write(&STATISTIC_ROLLUPS, row)
}

/// A worker's stay in an activity to append.
pub(super) fn period_change(workspace: WorkspaceSid, period: &ActivityPeriod) -> Change {
    Change::write(
        &ACTIVITY_PERIODS,
        vec![
            Value::of(workspace),
            period.until.into(),
            period.sequence.into(),
            period.from.into(),
            Value::of(period.worker),
            Value::of(period.activity),
        ],
    )
}

/// A command to the phone system to keep until it is carried out.
pub(super) fn outbox_change(workspace: WorkspaceSid, record: OutboxRow) -> Change {
    Change::write(
        &OUTBOX,
        vec![
            Value::of(workspace),
            Value::of(record.task),
            record.number.into(),
            record.command.into(),
            record.attempts.into(),
            record.created_at.into(),
        ],
    )
}

/// A callback to pass on.
pub(super) fn relay_change(record: RelayRow) -> Change {
    Change::write(
        &RELAYS,
        vec![
            Value::of(record.workspace),
            Value::of(record.task),
            record.number.into(),
            record.subject.into(),
            record.url.into(),
            record.by_get.into(),
            record.form.into(),
            record.created_at.into(),
        ],
    )
}

/// A state of the calls core.
pub(super) fn voice_task_change(record: VoiceTaskRow) -> Change {
    Change::write(
        &VOICE_TASKS,
        vec![
            Value::of(record.task),
            Value::of(record.workspace),
            record.call.into(),
            record.closed.into(),
            record.conference.into(),
            record.state.json().into_owned().into(),
            record.updated_at.into(),
        ],
    )
}

/// A line of the alert log.
pub(super) fn alert_change(record: Alert) -> Change {
    Change::write(
        &ALERTS,
        vec![
            Value::of(record.sid),
            Value::of(record.account),
            Value::of_option(record.workspace),
            record.code.into(),
            record.message.into(),
            Value::of_option(record.task),
            Value::of_option(record.reservation),
            Value::of_option(record.worker),
            record.at.into(),
        ],
    )
}

/// An account.
pub(super) fn account_change(record: AccountRow) -> Change {
    Change::write(
        &ACCOUNTS,
        vec![
            Value::of(record.sid),
            record.friendly_name.into(),
            record.auth_token.into(),
            record.auth_token_key.into(),
            record.created_at.into(),
        ],
    )
}

/// An API key.
pub(super) fn api_key_change(record: ApiKeyRow) -> Change {
    Change::write(
        &API_KEYS,
        vec![
            Value::of(record.sid),
            Value::of(record.account),
            record.friendly_name.into(),
            record.secret.into(),
            record.secret_key.into(),
            record.created_at.into(),
            record.updated_at.into(),
        ],
    )
}

/// A JSON object with the members in the given order.
fn ordered_json(members: &EventData) -> String {
    struct Members<'a>(&'a EventData);

    impl serde::Serialize for Members<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter())
        }
    }

    serde_json::to_string(&Members(members)).expect("texts always have a JSON form")
}

fn step_text(step: Step) -> String {
    match step {
        Step::Target { filter, target } => format!("{filter}.{target}"),
        Step::Default => "default".to_owned(),
        Step::Direct => "direct".to_owned(),
    }
}

fn back_offs_text(back_offs: &[BackOff]) -> String {
    let triples: Vec<(Option<WorkerSid>, i64, u32)> =
        back_offs.iter().map(|back_off| (back_off.worker, back_off.until.0, back_off.failures)).collect();
    serde_json::to_string(&triples).expect("SIDs and numbers always have a JSON form")
}
