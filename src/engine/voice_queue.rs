//! How many callers wait in each workflow, kept up to date call by call.
//!
//! Pure. Who counts is decided by `cores`. Start with [`VoiceQueues::note`].

use std::collections::BTreeMap;

use crate::routing::{TaskSid, WorkflowSid};

/// Callers that wait to be answered, by workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct VoiceQueues {
    waits_in: BTreeMap<TaskSid, WorkflowSid>,
    counts: BTreeMap<WorkflowSid, usize>,
}

impl VoiceQueues {
    /// The call of a task waits in this workflow now, or in none.
    pub(super) fn note(&mut self, task: TaskSid, workflow: Option<WorkflowSid>) {
        let before = match workflow {
            Some(workflow) => self.waits_in.insert(task, workflow),
            None => self.waits_in.remove(&task),
        };
        if before == workflow {
            return;
        }
        if let Some(before) = before
            && let Some(count) = self.counts.get_mut(&before)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&before);
            }
        }
        if let Some(workflow) = workflow {
            *self.counts.entry(workflow).or_insert(0) += 1;
        }
    }

    /// How many wait in a workflow.
    pub(super) fn waiting(&self, workflow: WorkflowSid) -> usize {
        self.counts.get(&workflow).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_move_and_go() {
        let (first, second) = (WorkflowSid::from_bits(1), WorkflowSid::from_bits(2));
        let mut queues = VoiceQueues::default();
        queues.note(TaskSid::from_bits(1), Some(first));
        queues.note(TaskSid::from_bits(1), Some(first));
        queues.note(TaskSid::from_bits(2), Some(first));
        assert_eq!((queues.waiting(first), queues.waiting(second)), (2, 0));
        queues.note(TaskSid::from_bits(2), Some(second));
        queues.note(TaskSid::from_bits(3), None);
        assert_eq!((queues.waiting(first), queues.waiting(second)), (1, 1));
        queues.note(TaskSid::from_bits(1), None);
        queues.note(TaskSid::from_bits(2), None);
        assert_eq!(queues, VoiceQueues::default());
    }
}
