//! Reservations of the browser's worker, and what agents do to the legs of a call.

use serde_json::Value;

use super::Asked;
use crate::api::error::ApiError;
use crate::api::{participants, reservations};
use crate::calls::LegTarget;
use crate::engine::{LegWish, Request};
use crate::notify::shapes;
use crate::routing::command::ReservationParent;
use crate::routing::{ReservationSid, TaskSid, WorkerSid};

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

    /// Hold, mute, kick: whoever is named must be in the same conference as the worker. The answer is the task's, or the
    /// reservation's where that was named.
    pub(super) async fn participant(&self, worker: WorkerSid, operation: &str) -> Result<Value, ApiError> {
        let form = &self.parameters;
        let changes = participants::changes(form)?;
        let target = || form.sid("TargetWorkerSid")?.ok_or_else(|| ApiError::missing("TargetWorkerSid"));
        let mut own = None;
        let wish = match operation {
            "WorkerParticipant" => {
                let reservation = form.sid("ReservationSid")?.ok_or_else(|| ApiError::missing("ReservationSid"))?;
                own = Some(reservation);
                LegWish::Change(LegTarget::Worker(reservation), changes)
            }
            "CustomerParticipant" => LegWish::Change(LegTarget::Customer, changes),
            "HoldWorkerParticipant" => {
                let target = target()?;
                changes.hold.ok_or_else(|| ApiError::missing("Hold"))?;
                LegWish::Worker(target, changes)
            }
            _ => LegWish::Kick(target()?),
        };
        let Some(reservation) = own else {
            let task: TaskSid = form.sid("TaskSid")?.ok_or_else(|| ApiError::missing("TaskSid"))?;
            self.scope.send(Request::Leg { task, by: Some(worker), wish }).await?;
            return self.task(task).await;
        };
        let task = self
            .see(move |workspace, _| {
                workspace.reservation(reservation).filter(|row| row.worker == worker).map(|row| row.task)
            })
            .await?;
        self.scope.send(Request::Leg { task, by: Some(worker), wish }).await?;
        self.see(move |workspace, _| {
            workspace.reservation(reservation).map(|row| shapes::reservation_answer(workspace, row))
        })
        .await
    }
}
