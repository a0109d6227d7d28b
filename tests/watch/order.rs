//! Which task and which worker came first (routing.md 6.2, 6.3; I6).
//!
//! Compares each offer that a command made with the tasks and workers it did not touch: they were as they are now when
//! the offer was made. Start with [`Watch::order_holds`].

use std::cmp::Reverse;

use switchhook::routing::{
    ActivitySid, EventKind, EventRecord, Reservation, RowChange, Task, TaskChannelSid, TaskOrder, TaskQueue, TaskSid,
    Timestamp, TransferTarget, Worker, WorkerSid,
};

use super::{Step, Watch};

/// Where a task stands in the line of its kind of queue; the smaller is first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Fifo(Reverse<i32>, Timestamp, Timestamp, TaskSid),
    Lifo(Reverse<Timestamp>, Reverse<Timestamp>, Reverse<TaskSid>),
}

impl Watch {
    pub(super) fn order_holds(&self, step: &Step<'_>) -> Result<(), String> {
        // Orders themselves may have been changed.
        if step.configured {
            return Ok(());
        }
        for (at, event) in step.events.iter().enumerate() {
            if event.kind == EventKind::ReservationCreated
                && let Some(reservation) = event.about.reservation
                && let Some(row) = self.stored.reservations.get(&reservation)
                && let Some(task) = self.stored.tasks.get(&row.task)
                && let Some(worker) = self.stored.workers.get(&row.worker)
            {
                if self.goes_to_one_worker(row) || Self::changed_after(step, at, worker.sid, task.sid) {
                    continue;
                }
                let place = self.place(task);
                for other in self.stored.pending_tasks().filter(|other| self.place(other) < place) {
                    self.was_not_before(step, task, other, worker, row.channel)?;
                }
                for other in self.stored.workers.values() {
                    self.was_not_idle_longer(step, task, worker.sid, other)?;
                }
            }
        }
        Ok(())
    }

    /// Offers that are made whatever else waits.
    fn goes_to_one_worker(&self, row: &Reservation) -> bool {
        let transfer = row.transfer.and_then(|transfer| self.stored.transfers.get(&transfer));
        match transfer {
            Some(transfer) => matches!(transfer.to, TransferTarget::Worker(_)),
            None => self.stored.tasks.get(&row.task).is_none_or(Self::is_for_one_worker),
        }
    }

    /// Whether worker or task changed within the batch after the offer: they were others then.
    fn changed_after(step: &Step<'_>, at: usize, worker: WorkerSid, task: TaskSid) -> bool {
        let changes = |event: &&EventRecord| match event.kind {
            EventKind::ReservationCreated | EventKind::TaskTransferInitiated => false,
            EventKind::TaskUpdated => event.about.task == Some(task),
            _ => event.about.worker == Some(worker),
        };
        step.events.iter().skip(at + 1).any(|event| changes(&event))
    }

    fn place(&self, task: &Task) -> (bool, Place) {
        let queue = task.queue.and_then(|queue| self.stored.task_queues.get(&queue));
        let order = queue.map_or(TaskOrder::Fifo, |queue| queue.task_order);
        let place = match order {
            TaskOrder::Fifo => Place::Fifo(Reverse(task.priority), task.virtual_start_at, task.created_at, task.sid),
            TaskOrder::Lifo => Place::Lifo(Reverse(task.virtual_start_at), Reverse(task.created_at), Reverse(task.sid)),
        };
        (order != self.stored.settings.prioritize_queue_order, place)
    }

    /// The worker was not offered `task` while `other`, which comes before it, waited for them.
    fn was_not_before(
        &self,
        step: &Step<'_>,
        task: &Task,
        other: &Task,
        worker: &Worker,
        channel: TaskChannelSid,
    ) -> Result<(), String> {
        if step.tasks.contains(&other.sid) {
            return Ok(());
        }
        let comparable = other.channel == channel || !self.stored.settings.multi_task_enabled;
        if !comparable || self.depends_on_figures(other) {
            return Ok(());
        }
        // A gap that was over in the meantime was not over then.
        if other.back_offs.iter().any(|back_off| back_off.is_for(worker.sid)) {
            return Ok(());
        }
        if self.is_candidate(other, worker) {
            let (task, other, name) = (task.sid, other.sid, &worker.friendly_name);
            return Err(format!("{task} was offered to {name}, but {other} comes before it"));
        }
        Ok(())
    }

    /// Whether who may take the task depends on what an offer changes.
    fn depends_on_figures(&self, task: &Task) -> bool {
        let queue = task.queue.and_then(|queue| self.stored.task_queues.get(&queue));
        let members = queue.and_then(|queue| self.reading.expression(&queue.target_workers));
        let target = self.reading.target_of(task).and_then(|target| target.expression.as_ref());
        members
            .into_iter()
            .chain(target)
            .any(|expression| expression.uses_channels() || expression.uses_activity() || expression.uses_time())
    }

    /// Nobody who is idle for longer, and whom the command did not touch, could have taken the task.
    fn was_not_idle_longer(&self, step: &Step<'_>, row: &Task, worker: WorkerSid, idle: &Worker) -> Result<(), String> {
        if step.workers.contains(&idle.sid) {
            return Ok(());
        }
        if !self.is_reservable(row, idle) || row.back_offs.iter().any(|back_off| back_off.is_for(idle.sid)) {
            return Ok(());
        }
        let Some(before) = Self::worker_before(step, worker) else { return Ok(()) };
        if self.idle_key(row, idle, None) >= self.idle_key(row, before, Some(step)) {
            return Ok(());
        }
        // Which order the step asks for is worked out in `order_by` of the core; ties are by idleness.
        if self.reading.target_of(row).is_some_and(|target| target.order_by.is_some()) || !self.is_candidate(row, idle)
        {
            return Ok(());
        }
        let (task, name) = (row.sid, &idle.friendly_name);
        Err(format!("{task} was offered to {}, but {name} is idle for longer", before.friendly_name))
    }

    fn worker_before<'a>(step: &'a Step<'_>, worker: WorkerSid) -> Option<&'a Worker> {
        step.undo.iter().find_map(|undo| match undo {
            RowChange::Worker(row) if row.sid == worker => Some(row),
            _ => None,
        })
    }

    /// Orders workers by idleness: on the task's channel alone when the channel says so.
    fn idle_key(&self, task: &Task, worker: &Worker, before: Option<&Step<'_>>) -> (Timestamp, Timestamp, WorkerSid) {
        let optimized = self.stored.task_channels.get(&task.channel).is_some_and(|row| row.channel_optimized_routing);
        let earlier = before.and_then(|step| {
            step.undo.iter().find_map(|undo| match undo {
                RowChange::WorkerChannel(row) if row.worker == worker.sid && row.channel == task.channel => Some(row),
                _ => None,
            })
        });
        let channel = earlier.or_else(|| self.stored.worker_channel(worker.sid, task.channel));
        let since = match channel {
            Some(row) if optimized => row.last_reserved_at,
            _ => worker.last_reserved_at,
        };
        (since, worker.created_at, worker.sid)
    }

    /// How many members of a queue are in activities that `counts` accepts.
    pub(super) fn members_in(&self, queue: &TaskQueue, counts: impl Fn(ActivitySid) -> bool) -> u32 {
        let members = self.stored.workers.values().filter(|worker| counts(worker.activity));
        let members = members.filter(|worker| self.is_member(worker, queue)).count();
        u32::try_from(members).unwrap_or(u32::MAX)
    }
}
