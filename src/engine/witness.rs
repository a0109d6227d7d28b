//! Whoever wants to know at once of what was committed: the agents' sockets, the delivery of callbacks.
//!
//! A witness is told by the workspace's actor, after the commit and before anybody gets an answer, in the order of the
//! commits. It must not wait or fail, because the workspace stands still meanwhile. Start with [`Witness`].

use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};

use crate::routing::{EventRecord, Timestamp, Workspace, WorkspaceSid};

/// Told of every commit that has events.
pub trait Witness: Debug + Send + Sync {
    /// Whether the next commit of `workspace` is worth telling: its events are copied only then.
    fn wants(&self, workspace: WorkspaceSid) -> bool;

    /// These events of `workspace` are on disk; the workspace is as it is after all of them.
    fn committed(&self, workspace: &Workspace, events: &[EventRecord], now: Timestamp);

    /// `workspace` has more events on disk than before, or was just made: for those who read them from there. Told of
    /// every commit with events, whether it is wanted or not.
    fn advanced(&self, _workspace: &Workspace) {}
}

/// All witnesses; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Witnesses(Arc<RwLock<Vec<Arc<dyn Witness>>>>);

impl Witnesses {
    pub(super) fn add(&self, witness: Arc<dyn Witness>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(witness);
    }

    pub(super) fn want(&self, workspace: WorkspaceSid) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).iter().any(|witness| witness.wants(workspace))
    }

    pub(super) fn tell_advance(&self, workspace: &Workspace) {
        for witness in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            witness.advanced(workspace);
        }
    }

    pub(super) fn tell(&self, workspace: &Workspace, events: &[EventRecord], now: Timestamp) {
        if events.is_empty() {
            return;
        }
        for witness in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            witness.committed(workspace, events, now);
        }
    }
}
