//! Callers who would rather be called back: what must be so before one is promised a callback.
//!
//! What follows from the promise is the calls core's business. Start with [`Cores::call_back`].

use std::collections::VecDeque;

use crate::calls::{CallSid, CallbackTerms, Input, Recallable};
use crate::routing::{Refusal, Reply, SidSource, TaskSid, TaskStatus};

use super::Cores;

fn not_possible(reason: &str) -> Refusal {
    Refusal::Invalid { parameter: "Callback", reason: reason.to_owned() }
}

impl Cores {
    /// Promises the caller of a task a callback; the same again for the same call changes nothing.
    ///
    /// As many may wait for one workflow as callers may on the line.
    pub(super) fn call_back(
        &mut self,
        task: TaskSid,
        call: &CallSid,
        to: &str,
        terms: CallbackTerms,
        sids: &mut dyn SidSource,
    ) -> Result<Reply, Refusal> {
        match self.calls.recallable(task, call) {
            Recallable::Yes => {}
            Recallable::Promised => return Ok(Reply::Task(task)),
            Recallable::WorkerComing => return Err(not_possible("a worker is about to take the call")),
            Recallable::No => return Err(not_possible("the call does not wait in this task")),
        }
        let row = self.workspace.task(task).ok_or(Refusal::NotFound)?;
        if !matches!(row.status, TaskStatus::Pending | TaskStatus::Reserved) || row.transfer.is_some() {
            return Err(not_possible("the task does not wait for a worker"));
        }
        let limit = usize::try_from(self.limits.waiting_calls).unwrap_or(usize::MAX);
        if let Some(workflow) = row.workflow.filter(|workflow| self.callback_queues.waiting(*workflow) >= limit) {
            return Err(Refusal::VoiceQueueFull { workflow, limit });
        }
        let input = Input::CallBack { call: call.clone(), to: to.to_owned(), terms };
        self.run(VecDeque::from([(task, input)]), sids);
        Ok(Reply::Task(task))
    }
}
