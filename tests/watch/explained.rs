//! Explanations find the candidates that the rules find, and places in line are those of the hand-out order.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use switchhook::routing::explain::WorkerPage;
use switchhook::routing::{BackOff, Task, TaskOrder, Workspace};

use super::Watch;

impl Watch {
    pub(super) fn explanations_agree(&self, workspace: &Workspace) -> Result<(), String> {
        for task in self.stored.pending_tasks() {
            self.explanation_agrees(workspace, task)?;
            self.place_in_line_agrees(workspace, task)?;
        }
        for worker in self.stored.workers.values() {
            let all = usize::MAX;
            let explained =
                workspace.explain_worker(worker.sid, self.now, all).ok_or("a worker without explanation")?;
            if explained.tasks.len() != explained.waiting || explained.tally.total != explained.waiting {
                let (told, counted) = (explained.tasks.len(), explained.tally.total);
                return Err(format!("{} tasks wait, {told} are told, {counted} counted", explained.waiting));
            }
            let mut by_reason = BTreeMap::new();
            for block in explained.tasks.iter().filter_map(|task| task.block.as_ref()) {
                *by_reason.entry(block.reason).or_insert(0) += 1;
            }
            if by_reason != explained.tally.blocked {
                let tally = explained.tally;
                return Err(format!("{}: {by_reason:?} one by one, but {tally:?}", worker.friendly_name));
            }
        }
        Ok(())
    }

    fn explanation_agrees(&self, workspace: &Workspace, task: &Task) -> Result<(), String> {
        // A gap that is over lasts until the tick that ends it; explanations tell it by the clock.
        let open = |one: &BackOff| one.until == BackOff::OVER || one.until > self.now;
        if !task.back_offs.iter().all(open) {
            return Ok(());
        }
        let page = WorkerPage { after: None, limit: usize::MAX, only: None };
        let explained = workspace.explain_task(task.sid, self.now, &page).ok_or("a task without explanation")?;
        for worker in self.stored.workers.values() {
            let verdict = explained.workers.iter().find(|verdict| verdict.worker == worker.sid);
            let candidate = verdict.is_some_and(|verdict| verdict.blocks.is_empty());
            if candidate != (self.could_take(task, worker) && self.is_candidate(task, worker)) {
                return Err(format!("{} and {}: {verdict:?}", task.sid, worker.friendly_name));
            }
        }
        Ok(())
    }

    fn place_in_line_agrees(&self, workspace: &Workspace, task: &Task) -> Result<(), String> {
        let position = workspace.queue_position(task.sid, self.now).ok_or("a task without a position")?;
        let Ok(ahead) = position.ahead else { return Ok(()) };
        let queue = task.queue.and_then(|queue| self.stored.task_queues.get(&queue));
        let lifo = queue.is_some_and(|row| row.task_order == TaskOrder::Lifo);
        let before = |other: &&Task| {
            let fifo = |row: &Task| (Reverse(row.priority), row.virtual_start_at, row.created_at, row.sid);
            let newest = |row: &Task| (row.virtual_start_at, row.created_at, row.sid);
            other.queue == task.queue
                && other.channel == task.channel
                && workspace.queue_position(other.sid, self.now).is_some_and(|position| position.ahead.is_ok())
                && if lifo { newest(other) > newest(task) } else { fifo(other) < fifo(task) }
        };
        let counted = self.stored.pending_tasks().filter(before).count();
        if counted == ahead {
            return Ok(());
        }
        Err(format!("{} has {counted} tasks ahead, told {ahead}", task.sid))
    }
}
