//! Resources as agents' browsers get them: snake-case names, Unix seconds, attributes as JSON text.
//!
//! They differ from REST in names and types, and every listed key must be there, because the SDK's constructors fail
//! without it (agent-sdk.md 4.5). Built from a workspace in memory; nothing is decided here. Start with [`task`].

use serde_json::{Value, json};

use crate::routing::{
    Activity, Reservation, Task, TaskChannelSid, Timestamp, Transfer, TransferStatus, Worker, WorkerChannel, WorkerSid,
    Workspace,
};

/// Which account and workspace an object belongs to.
fn within(workspace: &Workspace, mut object: Value) -> Value {
    let settings = workspace.settings();
    object["account_sid"] = json!(settings.account);
    object["workspace_sid"] = json!(settings.sid);
    object
}

/// A worker.
pub(crate) fn worker(workspace: &Workspace, row: &Worker) -> Value {
    let activity = workspace.activity(row.activity);
    within(
        workspace,
        json!({
            "sid": row.sid,
            "friendly_name": row.friendly_name,
            "attributes": row.attributes,
            "activity_sid": row.activity,
            "activity_name": activity.map_or("", |activity| activity.friendly_name.as_str()),
            "available": activity.is_some_and(|activity| activity.available),
            "date_created": row.created_at.unix_secs(),
            "date_updated": row.updated_at.unix_secs(),
            "date_status_changed": row.status_changed_at.unix_secs(),
            "version": row.version,
        }),
    )
}

/// An activity.
pub(crate) fn activity(workspace: &Workspace, row: &Activity) -> Value {
    within(
        workspace,
        json!({
            "sid": row.sid,
            "friendly_name": row.friendly_name,
            "available": row.available,
            "date_created": row.created_at.unix_secs(),
            "date_updated": row.updated_at.unix_secs(),
        }),
    )
}

/// A worker's channel; `available` is a number here.
pub(crate) fn worker_channel(workspace: &Workspace, row: &WorkerChannel) -> Value {
    within(
        workspace,
        json!({
            "sid": row.sid,
            "worker_sid": row.worker,
            "task_channel_sid": row.channel,
            "task_channel_unique_name": unique_name(workspace, row.channel),
            "configured_capacity": row.configured_capacity,
            "available": u8::from(row.available),
            "assigned_tasks": row.assigned_tasks,
            "available_capacity_percentage": row.available_capacity_percentage(),
            "date_created": row.created_at.unix_secs(),
            "date_updated": row.updated_at.unix_secs(),
            "last_reserved_time": row.last_reserved_at.0,
            "version": workspace.worker(row.worker).map_or(0, |worker| worker.version),
        }),
    )
}

/// A task.
pub(crate) fn task(workspace: &Workspace, row: &Task, now: Timestamp) -> Value {
    let queue = row.queue.and_then(|queue| workspace.task_queue(queue));
    let workflow = row.workflow.and_then(|workflow| workspace.workflow(workflow));
    within(
        workspace,
        json!({
            "sid": row.sid,
            "attributes": row.attributes,
            "addons": "{}",
            "assignment_status": row.status.as_str(),
            "age": row.finished_at.unwrap_or(now).secs_since(row.created_at),
            "priority": row.priority,
            "reason": row.reason,
            "routing_target": row.routing_target.map(|target| target.to_string()),
            "timeout": row.timeout_secs,
            "queue_sid": row.queue,
            "queue_name": queue.map(|queue| queue.friendly_name.as_str()),
            "workflow_sid": row.workflow,
            "workflow_name": workflow.map(|workflow| workflow.friendly_name.as_str()),
            "task_channel_sid": row.channel,
            "task_channel_unique_name": unique_name(workspace, row.channel),
            "date_created": row.created_at.unix_secs(),
            "date_updated": row.updated_at.unix_secs(),
            "virtual_start_time": row.virtual_start_at.unix_secs(),
            "counter": row.reserved_count,
            "version": row.version,
        }),
    )
}

/// A reservation as lists, single reads and events have it: with its task and its transfers.
///
/// Transfers that are not there are left out, because `null` is an object to the SDK.
pub(crate) fn reservation(workspace: &Workspace, row: &Reservation, now: Timestamp) -> Value {
    let mut object = reservation_answer(workspace, row);
    object["reservation_timeout"] = json!(row.timeout_secs);
    if let Some(code) = row.canceled_reason_code {
        object["canceled_reason_code"] = json!(code);
    }
    if let Some(row) = workspace.task_or_departed(row.task) {
        object["task"] = task(workspace, row, now);
    }
    if let Some(row) = row.transfer.and_then(|sid| workspace.transfer(sid)) {
        object["task_transfer"] = transfer(workspace, row);
    }
    let outgoing = workspace
        .transfers_of_task(row.task)
        .find(|transfer| transfer.initiating_reservation == row.sid && transfer.status == TransferStatus::Initiated);
    if let Some(outgoing) = outgoing {
        object["active_outgoing_task_transfer"] = transfer(workspace, outgoing);
    }
    object
}

/// A reservation in the answer to its update: without task and transfers, which the SDK does not expect there.
pub(crate) fn reservation_answer(workspace: &Workspace, row: &Reservation) -> Value {
    let mut object = within(
        workspace,
        json!({
            "sid": row.sid,
            "task_sid": row.task,
            "worker_sid": row.worker,
            "worker_name": row.worker_name,
            "task_channel_sid": row.channel,
            "reservation_status": row.status.as_str(),
            "date_created": row.created_at.unix_secs(),
            "date_updated": row.updated_at.unix_secs(),
            "version": row.version,
        }),
    );
    if let Some(activity) = row.previous_activity {
        object["worker_previous_activity_sid"] = json!(activity);
    }
    object
}

/// A transfer.
pub(crate) fn transfer(workspace: &Workspace, row: &Transfer) -> Value {
    let mut object = within(
        workspace,
        json!({
            "sid": row.sid,
            "task_sid": row.task,
            "transfer_type": row.to.kind(),
            "transfer_mode": row.mode.as_str(),
            "transfer_to": row.to.to_string(),
            "transfer_status": row.status.as_str(),
            "initiating_reservation_sid": row.initiating_reservation,
            "initiating_worker_sid": row.initiating_worker,
            "initiating_queue_sid": row.initiating_queue,
            "initiating_workflow_sid": row.initiating_workflow,
            "date_created": row.created_at.unix_secs(),
            "date_updated": row.updated_at.unix_secs(),
        }),
    );
    if let Some(reason) = &row.failed_reason {
        object["transfer_failed_reason"] = json!(reason);
    }
    object
}

/// The open reservations of a worker, oldest first: what a browser that connects has to know.
pub(crate) fn open_reservations(workspace: &Workspace, worker: WorkerSid) -> Vec<&Reservation> {
    let open = workspace.open_reservations_of_worker(worker).filter_map(|sid| workspace.reservation(sid));
    let mut open: Vec<&Reservation> = open.filter(|row| row.status.is_open()).collect();
    open.sort_by_key(|row| (row.created_at, row.sid));
    open
}

fn unique_name(workspace: &Workspace, channel: TaskChannelSid) -> &str {
    workspace.task_channel(channel).map_or("", |row| row.unique_name.as_str())
}
