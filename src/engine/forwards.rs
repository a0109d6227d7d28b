//! Callers whom the document of an entry point has dial somebody: legs that the phone system makes without a command of
//! ours, under the same caps as all others (`quality.md` 2.7).
//!
//! Answered at once, also while the workspace is loaded again or takes no writes: that is when callers are put through to
//! somebody else. Must not look at the dial rules, which whoever writes the document asks. Start with [`Engine::forward`].

use std::sync::PoisonError;

use super::Engine;
use super::outgoing::{Ledger, NewForward};
use crate::calls::CallSid;
use crate::routing::WorkspaceSid;

/// How long somebody's phone may ring before the time of a leg begins, in seconds; the phone system's own default is half.
const RING_SECS: u32 = 60;

impl Engine {
    /// Counts a leg that a caller is about to dial, until it is told to be over, or for as long as it may last. The error
    /// says in plain words why it must not be dialled.
    pub fn forward(&self, workspace: WorkspaceSid, new: NewForward<'_>) -> Result<(), String> {
        let around = &self.0.around;
        let policy = &around.limits.dialling;
        let ledger = self.ledger(workspace).ok_or_else(|| "the workspace is not there any more".to_owned())?;
        let longest_ms = i64::from(policy.leg_secs.saturating_add(RING_SECS)) * 1_000;
        ledger.forward(policy.of(workspace), new, longest_ms, around.clock.now())
    }

    /// The leg that a caller dialled is over, or nobody answered.
    pub fn forward_over(&self, workspace: WorkspaceSid, call: &CallSid) {
        if let Some(ledger) = self.ledger(workspace) {
            ledger.forward_over(call);
        }
    }

    fn ledger(&self, workspace: WorkspaceSid) -> Option<Ledger> {
        let workspaces = self.0.workspaces.read().unwrap_or_else(PoisonError::into_inner);
        workspaces.get(&workspace).map(|running| running.legs.clone())
    }
}
