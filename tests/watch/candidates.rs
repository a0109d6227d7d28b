//! Who could be reserved for a task now (routing.md 6.1), worked out from the rows: no task may wait while somebody
//! could (I6, work-conserving).

use switchhook::routing::expression::{ChannelFigures, ChannelValues, Document, KnownWorkerValue, Scope, WorkerNames};
use switchhook::routing::workflow::KnownAgent;
use switchhook::routing::{BackOff, RoutingTarget, SidText, Task, TaskChannelSid, TaskQueue, TaskStatus, Worker};

use super::{Step, Stored, Watch};

/// After one of so many events it is asked whether the workers that were touched could take any of the waiting tasks.
const WORKERS_EVERY: u64 = 4;

impl Watch {
    /// No task that was touched is pending while somebody could be reserved for it, and nobody who was touched could be.
    pub(super) fn nobody_touched_waits_in_vain(&self, step: &Step<'_>) -> Result<(), String> {
        if step.configured {
            return self.nobody_waits_in_vain();
        }
        for task in &step.tasks {
            if let Some(task) = self.stored.tasks.get(task).filter(|row| row.status == TaskStatus::Pending) {
                let mut workers = self.stored.workers.values().filter(|worker| self.could_take(task, worker));
                workers.try_for_each(|worker| self.must_wait(task, worker))?;
            }
        }
        // Whoever waits in vain goes on waiting: a worker who is not seen now is seen a few steps later.
        if !self.newest.0.is_multiple_of(WORKERS_EVERY) {
            return Ok(());
        }
        let mut workers = step.workers.iter().filter_map(|worker| self.stored.workers.get(worker));
        workers.try_for_each(|worker| self.takes_none_that_wait(worker))
    }

    /// No task is pending while somebody could be reserved for it (gaps and back-offs apart).
    pub(super) fn nobody_waits_in_vain(&self) -> Result<(), String> {
        self.stored.workers.values().try_for_each(|worker| self.takes_none_that_wait(worker))
    }

    /// None of the pending tasks could be the worker's; each channel is asked once.
    fn takes_none_that_wait(&self, worker: &Worker) -> Result<(), String> {
        let mut known: Vec<(TaskChannelSid, bool)> = Vec::new();
        for task in self.stored.pending_tasks() {
            let asked = known.iter().find(|(channel, _)| *channel == task.channel).map(|(_, free)| *free);
            let free = asked.unwrap_or_else(|| {
                let free = self.is_reservable(task, worker);
                known.push((task.channel, free));
                free
            });
            if free || Self::ignores_capacity(task) {
                self.must_wait(task, worker)?;
            }
        }
        Ok(())
    }

    fn must_wait(&self, task: &Task, worker: &Worker) -> Result<(), String> {
        if self.is_candidate(task, worker) {
            return Err(format!("{} is pending although {} is free", task.sid, worker.friendly_name));
        }
        Ok(())
    }

    /// Whether activity and capacity allow it.
    pub(super) fn is_reservable(&self, task: &Task, worker: &Worker) -> bool {
        self.stored.activities.get(&worker.activity).is_some_and(|row| row.available)
            && if self.stored.settings.multi_task_enabled {
                let channel = self.stored.worker_channel(worker.sid, task.channel);
                channel.is_some_and(|row| row.available && row.used < row.configured_capacity)
            } else {
                self.stored.open_of(worker.sid).next().is_none()
            }
    }

    /// The tests without expressions, capacity included.
    pub(super) fn could_take(&self, task: &Task, worker: &Worker) -> bool {
        Self::ignores_capacity(task) || self.is_reservable(task, worker)
    }

    fn ignores_capacity(task: &Task) -> bool {
        Self::is_for_one_worker(task) && task.ignore_capacity
    }

    /// Everything but activity and capacity.
    pub(super) fn is_candidate(&self, task: &Task, worker: &Worker) -> bool {
        // A gap that is over lasts until the tick that ends it.
        if task.back_offs.iter().any(|back_off| back_off.is_for(worker.sid) && back_off.until != BackOff::OVER) {
            return false;
        }
        if let Some(transfer) = *task.transfer {
            let initiating = self.stored.transfers.get(&transfer).map(|row| row.initiating_reservation);
            let mut open = self.stored.open_of_task(task.sid);
            if open.any(|row| row.worker == worker.sid && Some(row.sid) != initiating) {
                return false;
            }
        } else if let Some(RoutingTarget::Worker(target)) = *task.routing_target {
            return target == worker.sid;
        }
        let Some(queue) = task.queue.and_then(|queue| self.stored.task_queues.get(&queue)) else { return false };
        self.is_member(worker, queue) && self.suits_target(task, worker)
    }

    /// Whether the worker belongs to the queue.
    ///
    /// Worked out once for as long as nothing touches the worker and no configuration changes.
    pub(super) fn is_member(&self, worker: &Worker, queue: &TaskQueue) -> bool {
        let mut known = self.members.borrow_mut();
        *known.entry(worker.sid).or_default().entry(queue.sid).or_insert_with(|| {
            let Some(expression) = self.reading.expression(&queue.target_workers) else { return false };
            self.with_scope(worker, None, |scope| expression.matches(scope))
        })
    }

    pub(super) fn is_member_by_attributes(&self, expression: &str, attributes: &str) -> bool {
        let document = self.reading.document(attributes);
        let scope = Scope { worker: Some(&*document), ..Scope::default() };
        self.reading.expression(expression).is_some_and(|expression| expression.matches(&scope))
    }

    fn suits_target(&self, task: &Task, worker: &Worker) -> bool {
        let Some(target) = self.reading.target_of(task) else { return true };
        if target.expression.is_none() && target.known_worker.is_none() {
            return true;
        }
        let document = self.reading.document(&task.attributes);
        let fits = target
            .expression
            .as_ref()
            .is_none_or(|expression| self.with_scope(worker, Some(&*document), |scope| expression.matches(scope)));
        let known = match &target.known_worker {
            None => true,
            Some(KnownAgent::Sid(known)) => known.value(&document) == KnownWorkerValue::Text(worker.sid.to_string()),
            Some(KnownAgent::FriendlyName(known)) => match known.value(&document) {
                KnownWorkerValue::Text(name) => name.to_lowercase() == worker.friendly_name.to_lowercase(),
                _ => false,
            },
        };
        fits && known
    }

    /// Calls `ask` with everything an expression can see of a worker.
    pub(super) fn with_scope<R>(
        &self,
        worker: &Worker,
        task: Option<&Document>,
        ask: impl FnOnce(&Scope<'_>) -> R,
    ) -> R {
        let (sid, activity_sid) = (SidText::from(worker.sid), SidText::from(worker.activity));
        let activity = self.stored.activities.get(&worker.activity);
        let figures = Figures { stored: &self.stored, worker };
        let names = WorkerNames {
            sid: sid.as_str(),
            friendly_name: &worker.friendly_name,
            activity_sid: activity_sid.as_str(),
            activity_name: activity.map_or("", |row| row.friendly_name.as_str()),
            channels: &figures,
        };
        let document = self.reading.document(&worker.attributes);
        ask(&Scope {
            task,
            worker: Some(&*document),
            names: Some(&names),
            counts: None,
            now: task.map(|_| self.now),
            openings: Some(&self.calendars),
        })
    }
}

struct Figures<'a> {
    stored: &'a Stored,
    worker: &'a Worker,
}

impl ChannelFigures for Figures<'_> {
    fn figures(&self, unique_name: &str) -> Option<ChannelValues> {
        let channel = self.stored.task_channels.values().find(|row| row.unique_name == unique_name)?;
        let row = self.stored.worker_channel(self.worker.sid, channel.sid)?;
        Some(ChannelValues {
            configured_capacity: row.configured_capacity,
            assigned_tasks: row.assigned_tasks,
            available_capacity_percentage: row.available_capacity_percentage(),
        })
    }
}
