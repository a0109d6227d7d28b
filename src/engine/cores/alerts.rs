//! Lines of the alert log that the cores leave, and whom each concerns.
//!
//! Start with [`Refs`].

use super::Cores;
use crate::routing::{AlertSid, Reservation, ReservationSid, TaskSid, WorkerSid};
use crate::store::Alert;

/// Whom an alert concerns.
#[derive(Clone, Copy)]
pub(super) struct Refs {
    pub(super) task: Option<TaskSid>,
    pub(super) reservation: Option<ReservationSid>,
    pub(super) worker: Option<WorkerSid>,
}

pub(super) fn row_refs(row: &Reservation) -> Refs {
    Refs { task: Some(row.task), reservation: Some(row.sid), worker: Some(row.worker) }
}

impl Cores {
    pub(super) fn alert(&mut self, code: u32, message: String, Refs { task, reservation, worker }: Refs) {
        self.alerts.push(Alert {
            // Replaced by a fresh SID when the batch is taken: an alert needs one only on disk.
            sid: AlertSid::from_bits(0),
            account: self.account,
            workspace: Some(self.sid),
            code,
            message,
            task,
            reservation,
            worker,
            at: self.now,
        });
    }
}
