//! Frames of the first SDK, TaskRouter.js v1 (agent-sdk.md 8).
//!
//! Events have the same names; that SDK takes `worker.` off by itself. Start with [`payload`].

use serde_json::{Value, json};

use super::{Knowledge, shapes};
use crate::routing::{EventKind, EventRecord, Timestamp, Workspace};

/// What the first SDK is told of an event.
///
/// A reservation is told as its task, with the reservation's SID beside the task's. Nothing is told of transfers, which
/// that SDK fails on, nor of reservations that did not come about, which it takes for ones that it can fetch.
pub(super) fn payload(workspace: &Workspace, event: &EventRecord, now: Timestamp) -> Option<Value> {
    match event.kind {
        EventKind::ReservationCreated
        | EventKind::ReservationAccepted
        | EventKind::ReservationRejected
        | EventKind::ReservationTimeout
        | EventKind::ReservationCanceled
        | EventKind::ReservationRescinded
        | EventKind::ReservationWrapup
        | EventKind::ReservationCompleted => {
            let reservation = workspace.reservation_or_departed(event.about.reservation?)?;
            let task = workspace.task_or_departed(reservation.task)?;
            let mut object = shapes::task(workspace, task, now);
            object["reservation_sid"] = json!(reservation.sid);
            Some(object)
        }
        EventKind::WorkerActivityUpdate
        | EventKind::WorkerAttributesUpdate
        | EventKind::WorkerCapacityUpdate
        | EventKind::WorkerChannelAvailabilityUpdate
        | EventKind::TaskUpdated
        | EventKind::TaskCanceled
        | EventKind::TaskWrapup
        | EventKind::TaskCompleted => super::payload(workspace, event, now),
        _ => None,
    }
}

/// That SDK fetches what it is told of, so it never has to know a reservation; but its list of pending ones announces
/// each of them, which should not happen twice.
pub(super) fn knowledge(event: &EventRecord) -> Knowledge {
    match (event.kind, event.about.reservation) {
        (EventKind::ReservationCreated, Some(reservation)) => Knowledge::Introduces(reservation),
        _ => Knowledge::None,
    }
}
