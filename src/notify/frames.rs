//! Which events of a commit go to which workers' sockets, as frames, in which order (agent-sdk.md 5, events.md 8).
//!
//! Pure: from the events and the workspace as it is after them. Start with [`frames`].

mod first;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::channel::Dialect;
use super::shapes;
use crate::routing::{
    EventKind, EventRecord, ReservationSid, RoutingTarget, TaskSid, Timestamp, TransferSid, WorkerSid, Workspace,
};

/// One text for one worker's sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Whose sockets.
    pub(crate) worker: WorkerSid,
    /// Those of which SDK.
    pub(crate) dialect: Dialect,
    /// The JSON text.
    pub(crate) text: Arc<str>,
    /// What the browser learns or must know.
    pub(crate) about: Knowledge,
}

/// What a frame has to do with the reservations that a browser knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// Nothing.
    None,
    /// The browser learns of this reservation.
    Introduces(ReservationSid),
    /// A browser that does not know this reservation fails on the frame.
    Needs(ReservationSid),
}

/// The frames of one commit for the workers that `is_connected` names.
///
/// Within the commit what ended comes first, then what concerns workers and offers in the order of the log, then tasks
/// and transfers: the order the SDK's own tests rely on.
pub(crate) fn frames(
    workspace: &Workspace,
    events: &[EventRecord],
    now: Timestamp,
    is_connected: impl Fn(WorkerSid, Dialect) -> bool,
) -> Vec<Frame> {
    let mut ordered: Vec<&EventRecord> = events.iter().filter(|event| rank(event.kind).is_some()).collect();
    ordered.sort_by_key(|event| rank(event.kind));
    let mut frames = Vec::new();
    for event in ordered {
        let recipients = recipients(workspace, events, event);
        for dialect in [Dialect::Present, Dialect::First] {
            let mut recipients = recipients.iter().copied().filter(|worker| is_connected(*worker, dialect)).peekable();
            if recipients.peek().is_none() {
                continue;
            }
            let told = match dialect {
                Dialect::Present => payload(workspace, event, now).map(|payload| (payload, knowledge(event))),
                Dialect::First => {
                    first::payload(workspace, event, now).map(|payload| (payload, first::knowledge(event)))
                }
            };
            let Some((payload, about)) = told else { continue };
            let text: Arc<str> = envelope(event.kind.as_str(), &payload).into();
            frames.extend(recipients.map(|worker| Frame { worker, dialect, text: Arc::clone(&text), about }));
        }
    }
    frames
}

/// `{"event_type":…,"payload":…}`
pub(crate) fn envelope(event_type: &str, payload: &Value) -> String {
    json!({ "event_type": event_type, "payload": payload }).to_string()
}

/// Place within the commit; `None` for events that no browser gets.
fn rank(kind: EventKind) -> Option<u8> {
    match kind {
        EventKind::ReservationRejected
        | EventKind::ReservationTimeout
        | EventKind::ReservationCanceled
        | EventKind::ReservationRescinded
        | EventKind::ReservationCompleted => Some(0),
        EventKind::WorkerActivityUpdate
        | EventKind::WorkerAttributesUpdate
        | EventKind::WorkerCapacityUpdate
        | EventKind::WorkerChannelAvailabilityUpdate
        | EventKind::ReservationCreated
        | EventKind::ReservationAccepted
        | EventKind::ReservationWrapup
        | EventKind::ReservationFailed => Some(1),
        EventKind::TaskUpdated
        | EventKind::TaskCanceled
        | EventKind::TaskWrapup
        | EventKind::TaskCompleted
        | EventKind::TaskTransferInitiated
        | EventKind::TaskTransferAttemptFailed
        | EventKind::TaskTransferFailed
        | EventKind::TaskTransferCanceled
        | EventKind::TaskTransferCompleted => Some(2),
        EventKind::WorkspaceCreated
        | EventKind::WorkspaceUpdated
        | EventKind::WorkspaceDeleted
        | EventKind::ActivityCreated
        | EventKind::ActivityUpdated
        | EventKind::ActivityDeleted
        | EventKind::TaskChannelCreated
        | EventKind::TaskChannelUpdated
        | EventKind::TaskChannelDeleted
        | EventKind::TaskQueueCreated
        | EventKind::TaskQueueDeleted
        | EventKind::TaskQueueExpressionUpdated
        | EventKind::WorkflowCreated
        | EventKind::WorkflowUpdated
        | EventKind::WorkflowDeleted
        | EventKind::WorkerCreated
        | EventKind::WorkerDeleted
        | EventKind::TaskCreated
        | EventKind::TaskDeleted
        | EventKind::TaskSystemDeleted
        | EventKind::WorkflowEntered
        | EventKind::WorkflowTargetMatched
        | EventKind::WorkflowTimeout
        | EventKind::WorkflowSkipped
        | EventKind::TaskQueueEntered
        | EventKind::TaskQueueTimeout
        | EventKind::TaskQueueMoved => None,
    }
}

fn recipients(workspace: &Workspace, events: &[EventRecord], event: &EventRecord) -> BTreeSet<WorkerSid> {
    match event.kind {
        EventKind::TaskUpdated | EventKind::TaskCanceled | EventKind::TaskWrapup | EventKind::TaskCompleted => {
            event.about.task.map(|task| holders(workspace, events, task)).unwrap_or_default()
        }
        EventKind::ReservationFailed => {
            let target = event.about.task.and_then(|task| workspace.task(task)).and_then(|row| *row.routing_target);
            match target {
                Some(RoutingTarget::Worker(worker)) => BTreeSet::from([worker]),
                _ => BTreeSet::new(),
            }
        }
        _ => event.about.worker.into_iter().collect(),
    }
}

/// Everybody who held an open reservation of the task before the commit or holds one after it.
fn holders(workspace: &Workspace, events: &[EventRecord], task: TaskSid) -> BTreeSet<WorkerSid> {
    let now = workspace.reservations_of_task(task).filter(|row| row.status.is_open()).map(|row| row.worker);
    let before = events
        .iter()
        .filter(|event| event.about.task == Some(task) && event.resource_type == "reservation")
        .filter_map(|event| event.about.worker);
    now.chain(before).collect()
}

fn payload(workspace: &Workspace, event: &EventRecord, now: Timestamp) -> Option<Value> {
    match event.kind {
        EventKind::WorkerActivityUpdate | EventKind::WorkerAttributesUpdate => {
            let mut object = shapes::worker(workspace, workspace.worker(event.about.worker?)?);
            // The SDK counts on from here by itself, so the version must be that of the event.
            if let Some(version) = number(event, "worker_version") {
                object["version"] = json!(version);
            }
            Some(object)
        }
        EventKind::WorkerCapacityUpdate | EventKind::WorkerChannelAvailabilityUpdate => {
            let row = workspace.worker_channel(event.about.worker?, event.about.channel?)?;
            Some(shapes::worker_channel(workspace, row))
        }
        EventKind::ReservationFailed
        | EventKind::TaskUpdated
        | EventKind::TaskCanceled
        | EventKind::TaskWrapup
        | EventKind::TaskCompleted => {
            Some(shapes::task(workspace, workspace.task_or_departed(event.about.task?)?, now))
        }
        EventKind::TaskTransferInitiated
        | EventKind::TaskTransferAttemptFailed
        | EventKind::TaskTransferFailed
        | EventKind::TaskTransferCanceled
        | EventKind::TaskTransferCompleted => {
            let sid: TransferSid = event.data.get("task_transfer_sid")?.parse().ok()?;
            let mut object = shapes::transfer(workspace, workspace.transfer(sid)?);
            if let Some(status) = event.data.get("transfer_status") {
                object["transfer_status"] = json!(status);
            }
            Some(object)
        }
        _ => {
            let row = workspace.reservation_or_departed(event.about.reservation?)?;
            let mut object = shapes::reservation(workspace, row, now);
            if let Some(status) = event.about.reservation_status {
                object["reservation_status"] = json!(status.as_str());
            }
            Some(object)
        }
    }
}

fn knowledge(event: &EventRecord) -> Knowledge {
    match (event.kind, event.about.reservation) {
        (EventKind::ReservationCreated, Some(reservation)) => Knowledge::Introduces(reservation),
        (EventKind::ReservationAccepted | EventKind::ReservationWrapup, Some(reservation)) => {
            Knowledge::Needs(reservation)
        }
        _ => Knowledge::None,
    }
}

fn number(event: &EventRecord, name: &str) -> Option<u64> {
    event.data.get(name)?.parse().ok()
}

#[cfg(test)]
mod tests;
