//! Calls whose tasks are being made, and calls that an entry point puts through to somebody else: whoever tells of such a
//! call finds no task on disk.
//!
//! A workspace that does not answer may make the task when nobody waits for it any more. What the call does meanwhile has to
//! reach it, or it would have a worker called for nobody. Must not outlive the process: after a start every live call is
//! looked at. Start with [`Arrivals::begin`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::calls::CallSid;
use crate::routing::WorkspaceSid;

/// Calls that are remembered; the longest known are forgotten first.
const MOST: usize = 10_000;

/// The calls, and where their tasks are being made.
#[derive(Debug, Default)]
pub struct Arrivals(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    workspaces: BTreeMap<CallSid, WorkspaceSid>,
    /// The longest known first.
    order: VecDeque<CallSid>,
}

impl Arrivals {
    /// A workspace is asked to make the task of a call, or counts the leg that the call dials.
    pub(super) fn begin(&self, call: &CallSid, workspace: WorkspaceSid) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.workspaces.insert(call.clone(), workspace).is_some() {
            return;
        }
        known.order.push_back(call.clone());
        while known.order.len() > MOST {
            if let Some(oldest) = known.order.pop_front() {
                known.workspaces.remove(&oldest);
            }
        }
    }

    /// The task is on disk, or there will be none; the leg is over.
    pub(super) fn end(&self, call: &CallSid) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.workspaces.remove(call);
        // Mostly the last one.
        if let Some(at) = known.order.iter().rposition(|known| known == call) {
            known.order.remove(at);
        }
    }

    /// The workspace that has to hear of a call.
    pub(super) fn workspace_of(&self, call: &CallSid) -> Option<WorkspaceSid> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).workspaces.get(call).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_until_its_task_is_made_and_only_so_many() {
        let arrivals = Arrivals::default();
        let call = |number: usize| CallSid(format!("CA{number}"));
        let workspace = WorkspaceSid::from_bits(1);
        for number in 0..=MOST {
            arrivals.begin(&call(number), workspace);
        }
        assert_eq!(arrivals.workspace_of(&call(0)), None, "the longest known was forgotten");
        assert_eq!(arrivals.workspace_of(&call(1)), Some(workspace));
        arrivals.end(&call(1));
        arrivals.end(&call(1));
        assert_eq!(arrivals.workspace_of(&call(1)), None);
        arrivals.begin(&call(2), WorkspaceSid::from_bits(2));
        assert_eq!(arrivals.workspace_of(&call(2)), Some(WorkspaceSid::from_bits(2)));
        let known = arrivals.0.lock().unwrap();
        assert_eq!((known.workspaces.len(), known.order.len()), (MOST - 1, MOST - 1));
    }
}
