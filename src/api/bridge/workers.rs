//! The worker behind a browser, its channels, and other workers for supervisors.

use serde_json::Value;

use super::Asked;
use crate::api::error::ApiError;
use crate::notify::shapes;
use crate::routing::command::WorkerUpdate;
use crate::routing::{Command, WorkerSid};

impl Asked {
    pub(super) async fn worker(&self, worker: WorkerSid) -> Result<Value, ApiError> {
        self.see(move |workspace, _| workspace.worker(worker).map(|row| shapes::worker(workspace, row))).await
    }

    pub(super) async fn update_worker(&self, worker: WorkerSid) -> Result<Value, ApiError> {
        let update = WorkerUpdate {
            friendly_name: self.parameters.owned("FriendlyName"),
            attributes: self.parameters.attributes("Attributes")?,
            activity: self.parameters.sid("ActivitySid")?,
            reject_pending_reservations: self.parameters.boolean("RejectPendingReservations")?.unwrap_or(false),
            if_match: self.scope.if_match()?,
        };
        self.scope.carry_out(Command::UpdateWorker(worker, update)).await?;
        self.worker(worker).await
    }
}
