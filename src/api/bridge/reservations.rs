//! Reservations of the browser's worker, and what agents do to the legs of a call.

use serde_json::Value;

use super::Asked;
use crate::api::error::ApiError;
use crate::api::reservations;
use crate::notify::shapes;
use crate::routing::command::ReservationParent;
use crate::routing::{ReservationSid, ReservationStatus, TaskSid, WorkerSid};

impl Asked {
    /// In full, with the task.
    pub(super) async fn reservation(&self, worker: WorkerSid, reservation: ReservationSid) -> Result<Value, ApiError> {
        self.see(move |workspace, now| {
            let row = workspace.reservation(reservation).filter(|row| row.worker == worker)?;
            Some(shapes::reservation(workspace, row, now))
        })
        .await
    }

    pub(super) async fn update_reservation(
        &self,
        worker: WorkerSid,
        reservation: ReservationSid,
    ) -> Result<Value, ApiError> {
        let parent = ReservationParent::Worker(worker);
        reservations::change(&self.scope, parent, reservation, &self.parameters).await?;
        self.see(move |workspace, _| {
            let row = workspace.reservation(reservation).filter(|row| row.worker == worker)?;
            Some(shapes::reservation_answer(workspace, row))
        })
        .await
    }

    /// Hold, mute, kick: whoever is named must be in the same conference as the worker; the legs themselves cannot be
    /// reached yet.
    pub(super) async fn participant(&self, worker: WorkerSid, operation: &str) -> Result<Value, ApiError> {
        let task: Option<TaskSid> = self.parameters.sid("TaskSid")?;
        let reservation: Option<ReservationSid> = self.parameters.sid("ReservationSid")?;
        let target: Option<WorkerSid> = self.parameters.sid("TargetWorkerSid")?;
        let named = match operation {
            "WorkerParticipant" => reservation.map(|_| ()).ok_or_else(|| ApiError::missing("ReservationSid")),
            "CustomerParticipant" => task.map(|_| ()).ok_or_else(|| ApiError::missing("TaskSid")),
            _ => task.and(target).map(|_| ()).ok_or_else(|| ApiError::missing("TargetWorkerSid")),
        };
        named?;
        let together = self.see(move |workspace, _| {
            let task = task.or_else(|| workspace.reservation(reservation?).map(|row| row.task));
            let accepted = |worker: WorkerSid| {
                let mut rows = task.into_iter().flat_map(|task| workspace.reservations_of_task(task));
                rows.any(|row| row.worker == worker && row.status == ReservationStatus::Accepted)
            };
            Some(Value::Bool(accepted(worker) && target.is_none_or(accepted)))
        });
        if together.await? != Value::Bool(true) {
            return Err(ApiError::invalid(format!(
                "{operation}: both workers need an accepted reservation of the task, in its conference"
            )));
        }
        Err(ApiError::unsupported(operation))
    }
}
