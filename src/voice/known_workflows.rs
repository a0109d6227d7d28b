//! Which workspace a workflow belongs to, kept in memory: asked for every call that comes in, and it never changes.
//!
//! A workflow that is deleted stays here until the server ends; the engine refuses its calls. Must not be asked who may use
//! a workflow. Start with [`KnownWorkflows::workspace_of`].

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::routing::{WorkflowSid, WorkspaceSid};
use crate::store::{Error, Store};

/// Workflows that are remembered; beyond it all are forgotten and looked up anew.
const MOST: usize = 10_000;

/// What was looked up so far.
#[derive(Debug, Default)]
pub struct KnownWorkflows(Mutex<BTreeMap<WorkflowSid, WorkspaceSid>>);

impl KnownWorkflows {
    /// The workspace of a workflow, from memory or from the store; what does not exist is asked for again each time.
    pub(super) async fn workspace_of(
        &self,
        store: &Store,
        workflow: WorkflowSid,
    ) -> Result<Option<WorkspaceSid>, Error> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&workflow).copied();
        if known.is_some() {
            return Ok(known);
        }
        let found = store.workspace_of_workflow(workflow).await?;
        if let Some(workspace) = found {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(workflow, workspace);
        }
        Ok(found)
    }
}
