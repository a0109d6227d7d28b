//! Rows on disk: SQLite now, behind one [`Store`] type; it must not decide anything or call the network.
//!
//! Writes go to one writer task that puts everything that waits, of all workspaces, into one commit (`writer`); reads
//! use a pool of read-only connections. SQL is kept portable: `$1` placeholders, `ON CONFLICT … DO UPDATE`, values that
//! are text, whole numbers or flags. Start with [`Store`], then [`Batch`], then `writer`.

mod batch;
mod error;
pub mod pages;
pub mod views;

pub use batch::{Account, Alert, Batch, Loaded, OutboxRow, VoiceTaskRow};
pub use error::Error;

use crate::routing::{AccountSid, ReservationSid, TaskSid, WorkerSid, WorkflowSid, WorkspaceSid};

/// The database. Cheap to clone; all clones share one writer and one read pool.
#[derive(Clone, Debug)]
pub struct Store;

/// Placeholder bodies until the writer joins; the signatures are final.
impl Store {
    /// Opens the database of `url` (`sqlite:PATH`, made when absent; `sqlite::memory:` is a file that goes away with
    /// the store), takes the process lock and brings the schema up to date.
    pub async fn open(url: &str) -> Result<Self, Error> {
        let _ = url;
        Err(Error::unavailable("not built yet"))
    }
    /// Opens the database beside a running server, without the process lock: for `create-account` and `doctor`.
    pub async fn open_shared(url: &str) -> Result<Self, Error> {
        Self::open(url).await
    }
    /// Brings the schema up to date; returns the names of the migrations that were applied.
    pub async fn migrate(url: &str) -> Result<Vec<String>, Error> {
        let _ = url;
        Err(Error::unavailable("not built yet"))
    }
    /// The read-only connections.
    #[must_use]
    #[expect(clippy::unimplemented, reason = "replaced by the writer's merge")]
    pub fn read_pool(&self) -> &sqlx::SqlitePool {
        unimplemented!("replaced by the writer's merge")
    }
    /// Writes a batch; it is on disk when this returns.
    pub async fn append(&self, batch: Batch) -> Result<(), Error> {
        let _ = batch;
        Err(Error::unavailable("not built yet"))
    }
    /// Resolves once the store takes no writes any more: after a failed write to disk, or after [`Store::close`].
    pub async fn failed(&self) {}
    /// All workspaces, ordered by SID.
    pub async fn workspaces(&self) -> Result<Vec<WorkspaceSid>, Error> {
        Err(Error::unavailable("not built yet"))
    }
    /// All rows of a workspace, from one snapshot.
    pub async fn load(&self, workspace: WorkspaceSid) -> Result<Option<Loaded>, Error> {
        let _ = workspace;
        Err(Error::unavailable("not built yet"))
    }
    /// Whose a workspace is.
    pub async fn account_of_workspace(&self, workspace: WorkspaceSid) -> Result<Option<AccountSid>, Error> {
        let _ = workspace;
        Err(Error::unavailable("not built yet"))
    }
    /// The workspace of a workflow.
    pub async fn workspace_of_workflow(&self, workflow: WorkflowSid) -> Result<Option<WorkspaceSid>, Error> {
        let _ = workflow;
        Err(Error::unavailable("not built yet"))
    }
    /// The workspace of a task.
    pub async fn workspace_of_task(&self, task: TaskSid) -> Result<Option<WorkspaceSid>, Error> {
        let _ = task;
        Err(Error::unavailable("not built yet"))
    }
    /// Workspace, task and worker of a reservation.
    pub async fn workspace_of_reservation(
        &self,
        reservation: ReservationSid,
    ) -> Result<Option<(WorkspaceSid, TaskSid, WorkerSid)>, Error> {
        let _ = reservation;
        Err(Error::unavailable("not built yet"))
    }
    /// The calls core's state of a task.
    pub async fn voice_task(&self, task: TaskSid) -> Result<Option<VoiceTaskRow>, Error> {
        let _ = task;
        Err(Error::unavailable("not built yet"))
    }
    /// The newest task that was made from a call.
    pub async fn voice_task_by_call(&self, call: &str) -> Result<Option<VoiceTaskRow>, Error> {
        let _ = call;
        Err(Error::unavailable("not built yet"))
    }
    /// One account.
    pub async fn account(&self, sid: AccountSid) -> Result<Option<Account>, Error> {
        let _ = sid;
        Err(Error::unavailable("not built yet"))
    }
    /// All accounts, oldest first.
    pub async fn accounts(&self) -> Result<Vec<Account>, Error> {
        Err(Error::unavailable("not built yet"))
    }
    /// Writes an account; one that is there already gets the new name and token. It is on disk when this returns.
    pub async fn create_account(&self, account: Account) -> Result<(), Error> {
        let _ = account;
        Err(Error::unavailable("not built yet"))
    }
    /// Adds a line to the alert log.
    pub async fn alert(&self, alert: Alert) -> Result<(), Error> {
        let _ = alert;
        Err(Error::unavailable("not built yet"))
    }
    /// Alerts of an account, newest first, at most `limit`.
    pub async fn alerts(&self, account: AccountSid, limit: u32) -> Result<Vec<Alert>, Error> {
        let _ = (account, limit);
        Err(Error::unavailable("not built yet"))
    }
    /// Checks that the writer can take the write lock now; writes nothing.
    pub async fn ready(&self) -> Result<(), Error> {
        Err(Error::unavailable("not built yet"))
    }
    /// Writes what was appended before, ends the writer and gives the process lock back.
    pub async fn close(&self) {}
}
