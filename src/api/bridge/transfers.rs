//! Transfers: a task is handed on by the worker who holds it.

use serde_json::Value;

use super::Asked;
use crate::api::error::ApiError;
use crate::api::form::invalid;
use crate::notify::shapes;
use crate::routing::command::NewTransfer;
use crate::routing::{Command, Reply, TransferMode, TransferSid, WorkerSid};

impl Asked {
    pub(super) async fn transfer(&self, worker: WorkerSid) -> Result<Value, ApiError> {
        let parameters = &self.parameters;
        let mode = match parameters.word("Mode", &["WARM", "COLD"])? {
            Some("COLD") => TransferMode::Cold,
            _ => TransferMode::Warm,
        };
        let new = NewTransfer {
            worker,
            task: parameters.sid("TaskSid")?.ok_or_else(|| ApiError::missing("TaskSid"))?,
            reservation: parameters.sid("ReservationSid")?.ok_or_else(|| ApiError::missing("ReservationSid"))?,
            to: parameters.sid("To")?.ok_or_else(|| ApiError::missing("To"))?,
            mode,
            attributes: parameters.attributes("Attributes")?,
            priority: parameters.integer("Priority", 0..=i32::MAX)?,
        };
        match self.scope.carry_out(Command::CreateTransfer(new)).await? {
            Reply::Transfer(transfer) => self.seen_transfer(transfer).await,
            _ => Err(ApiError::internal()),
        }
    }

    pub(super) async fn update_transfer(&self, worker: WorkerSid, transfer: TransferSid) -> Result<Value, ApiError> {
        let task = self.parameters.sid("TaskSid")?.ok_or_else(|| ApiError::missing("TaskSid"))?;
        match self.parameters.filled("TransferStatus") {
            Some(status) if status.eq_ignore_ascii_case("canceled") => {
                self.scope.carry_out(Command::CancelTransfer { worker, task, transfer }).await?;
                self.seen_transfer(transfer).await
            }
            Some(other) => Err(invalid("TransferStatus", other, "canceled, the only status that can be asked for")),
            None => Err(ApiError::missing("TransferStatus")),
        }
    }

    async fn seen_transfer(&self, transfer: TransferSid) -> Result<Value, ApiError> {
        self.see(move |workspace, _| workspace.transfer(transfer).map(|row| shapes::transfer(workspace, row))).await
    }
}
