//! The worker behind a browser, its channels, and other workers for supervisors.

use serde_json::Value;

use super::Asked;
use crate::api::error::ApiError;
use crate::api::workers;
use crate::notify::shapes;
use crate::routing::{Command, WorkerSid};

impl Asked {
    pub(super) async fn worker(&self, worker: WorkerSid) -> Result<Value, ApiError> {
        self.see(move |workspace, _| workspace.worker(worker).map(|row| shapes::worker(workspace, row))).await
    }

    pub(super) async fn update_worker(&self, worker: WorkerSid) -> Result<Value, ApiError> {
        let update = workers::wanted_changes(&self.scope, &self.parameters)?;
        self.scope.carry_out(Command::UpdateWorker(worker, update)).await?;
        self.worker(worker).await
    }
}
