//! Drives both pure cores: one actor per workspace, batches, group commit, outbox.
//!
//! It must not know HTTP requests, TwiML or JSON shapes of the API. Start with [`request`], then `actor`.

pub mod request;

pub use request::{Error, Request};

use crate::routing::command::NewWorkspace;
use crate::routing::{AccountSid, Reply, WorkspaceSid};

/// Handle to the engine: cheap to clone, the only way to change anything.
#[derive(Debug, Clone)]
pub struct Engine;

impl Engine {
    /// Makes a workspace for `account`; it is on disk when this returns.
    pub async fn create_workspace(&self, account: AccountSid, new: NewWorkspace) -> Result<WorkspaceSid, Error> {
        let _ = (account, new);
        Err(Error::Unavailable)
    }

    /// Carries out one request; its effects are on disk when this returns.
    pub async fn send(&self, workspace: WorkspaceSid, request: Request) -> Result<Reply, Error> {
        let _ = (workspace, request);
        Err(Error::Unavailable)
    }
}
