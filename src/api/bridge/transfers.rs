//! Transfers: a task is handed on by the worker who holds it.

use serde_json::Value;

use super::Asked;
use crate::api::error::ApiError;
use crate::api::transfers;
use crate::notify::shapes;
use crate::routing::{Command, Reply, TransferSid, WorkerSid};

impl Asked {
    pub(super) async fn transfer(&self, worker: WorkerSid) -> Result<Value, ApiError> {
        let new = transfers::wanted(worker, &self.parameters)?;
        match self.scope.carry_out(Command::CreateTransfer(new)).await? {
            Reply::Transfer(transfer) => self.seen_transfer(transfer).await,
            _ => Err(ApiError::internal()),
        }
    }

    pub(super) async fn update_transfer(&self, worker: WorkerSid, transfer: TransferSid) -> Result<Value, ApiError> {
        self.scope.carry_out(transfers::cancellation(worker, transfer, &self.parameters)?).await?;
        self.seen_transfer(transfer).await
    }

    async fn seen_transfer(&self, transfer: TransferSid) -> Result<Value, ApiError> {
        self.see(move |workspace, _| workspace.transfer(transfer).map(|row| shapes::transfer(workspace, row))).await
    }
}
