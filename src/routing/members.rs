//! Which workers belong to which task queues, kept up to date; part of what `index` derives from the records.
//!
//! Nothing is decided here: who belongs is what a queue's expression says. Start with [`Workspace::refresh_membership`].

use super::defect::defect;
use super::index::discount;
use super::sid::{ActivitySid, TaskQueueSid, WorkerSid};
use super::workspace::{QueueEntry, Workspace};

impl Workspace {
    /// Recomputes which of `queues` a worker belongs to; true when anything changed.
    pub(super) fn refresh_membership_in(&mut self, worker: WorkerSid, queues: &[TaskQueueSid]) -> bool {
        let Some(entry) = self.workers.get(&worker) else { return false };
        let changes: Vec<(TaskQueueSid, bool)> = self.with_worker_scope(entry, None, None, |scope| {
            let belongs = |queue| self.task_queues.get(queue).is_some_and(|queue| queue.takes(scope));
            let asked = queues.iter().map(|queue| (*queue, belongs(queue)));
            asked.filter(|(queue, member)| *member != entry.queues.contains(queue)).collect()
        });
        self.change_membership(worker, &changes)
    }

    /// Recomputes a worker's membership in all queues that `may_change` picks; true when anything changed.
    pub(super) fn refresh_membership(&mut self, worker: WorkerSid, may_change: impl Fn(&QueueEntry) -> bool) -> bool {
        let Some(entry) = self.workers.get(&worker) else { return false };
        // Both are in the order of the SIDs; with thousands of queues it counts that none is looked up.
        let mut members = entry.queues.iter().peekable();
        let changes: Vec<(TaskQueueSid, bool)> = self.with_worker_scope(entry, None, None, |scope| {
            let asked = self.task_queues.iter().filter_map(|(sid, queue)| {
                while members.next_if(|member| *member < sid).is_some() {}
                let before = members.next_if_eq(&sid).is_some();
                let now = if may_change(queue) { queue.takes(scope) } else { before };
                (now != before).then_some((*sid, now))
            });
            asked.collect()
        });
        self.change_membership(worker, &changes)
    }

    /// Enters or removes a worker as a member; true when there is anything to do.
    fn change_membership(&mut self, worker: WorkerSid, changes: &[(TaskQueueSid, bool)]) -> bool {
        let Some(entry) = self.workers.get_mut(&worker) else { return false };
        let activity = entry.row.activity;
        for (queue, member) in changes {
            if *member {
                entry.queues.insert(*queue);
            } else {
                entry.queues.remove(queue);
            }
            let Some(queue) = self.task_queues.get_mut(queue) else { continue };
            if *member {
                queue.members.insert(worker);
                *queue.members_in.entry(activity).or_insert(0) += 1;
            } else {
                queue.members.remove(&worker);
                discount(&mut queue.members_in, &activity);
            }
        }
        !changes.is_empty()
    }

    /// Takes a worker out of these queues.
    pub(super) fn leave_queues(&mut self, worker: WorkerSid, queues: &[TaskQueueSid]) {
        let Some(entry) = self.workers.get_mut(&worker) else { return };
        let activity = entry.row.activity;
        for queue in queues {
            entry.queues.remove(queue);
            if let Some(queue) = self.task_queues.get_mut(queue)
                && queue.members.remove(&worker)
            {
                discount(&mut queue.members_in, &activity);
            }
        }
    }

    /// Counts a worker under its new activity, in the workspace and in all its queues.
    pub(super) fn move_member(&mut self, worker: WorkerSid, from: ActivitySid) {
        let Some(entry) = self.workers.get(&worker) else { return };
        discount(&mut self.workers_in, &from);
        *self.workers_in.entry(entry.row.activity).or_insert(0) += 1;
        for queue in &entry.queues {
            if let Some(queue) = self.task_queues.get_mut(queue).filter(|_| !defect!(MembersNotMoved)) {
                discount(&mut queue.members_in, &from);
                *queue.members_in.entry(entry.row.activity).or_insert(0) += 1;
            }
        }
    }

    /// Notes whether a queue's membership moves with activities or channel figures (D7).
    pub(super) fn note_dynamic(&mut self, queue: TaskQueueSid) {
        let dynamic = self
            .task_queues
            .get(&queue)
            .and_then(|entry| entry.expression.as_ref())
            .is_some_and(|expression| expression.uses_activity() || expression.uses_channels());
        if dynamic {
            self.dynamic_queues.insert(queue);
        } else {
            self.dynamic_queues.remove(&queue);
        }
    }
}
