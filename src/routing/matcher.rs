//! Which task meets which worker, in which order (routing.md section 6).
//!
//! Two questions are asked: who may take this task (when a task enters a step) and which task may this worker take
//! (when a worker becomes ready). Both look at the heads of lanes; neither scans tasks or workers that a lane holds
//! behind its head, gaps of rejected pairs apart. Start with [`Turn::settle`].

use super::expression::{Document, Expression};
use super::index::attributes_of;
use super::lane::{Class, Lane, LaneKey, Position, TaskKey};
use super::sid::{TaskQueueSid, TaskSid, WorkerSid};
use super::state::{Task, TaskStatus};
use super::time::Timestamp;
use super::turn::Turn;
use super::workspace::{WorkerEntry, Workspace};

/// Queues of the preferred kind first, then the order within the kind (TaskRouter: Queue ordering).
pub(super) type GlobalKey = (bool, TaskKey);

impl Workspace {
    fn global_key(&self, key: TaskKey) -> GlobalKey {
        (key.order() != self.settings.prioritize_queue_order, key)
    }

    /// Where a task stands in the global order.
    pub(super) fn place_in_line(&self, task: TaskSid) -> Option<GlobalKey> {
        let row = &self.tasks.get(&task)?.row;
        let queue = row.queue.and_then(|queue| self.task_queues.get(&queue));
        let order = queue.map_or(super::state::TaskOrder::Fifo, |queue| queue.row.task_order);
        Some(self.global_key(TaskKey::of(row, order)))
    }

    /// A worker is not offered a task again before its gap or back-off is over (D37, voice.md 3.7).
    fn is_backed_off(task: &Task, worker: WorkerSid, now: Timestamp) -> bool {
        task.back_offs.iter().any(|back_off| back_off.worker == worker && back_off.until > now)
    }

    /// The workers a pending task is offered to now, best first, at most as many as its queue allows.
    fn candidates(&self, task: TaskSid, now: Timestamp) -> Vec<WorkerSid> {
        let Some(entry) = self.tasks.get(&task) else { return Vec::new() };
        let row = &entry.row;
        match &entry.position {
            None | Some(Position::Awaited(_) | Position::Nobody) => Vec::new(),
            Some(Position::Targeted(worker, _)) => self
                .workers
                .get(worker)
                .filter(|entry| row.ignore_capacity || self.is_reservable(entry, row.channel))
                .filter(|_| !Self::is_backed_off(row, *worker, now))
                .map(|_| vec![*worker])
                .unwrap_or_default(),
            Some(Position::Plain(lane, _)) => self.candidates_in(row, *lane, None, None, now),
            Some(Position::Ruled(lane, rule, _)) => {
                let class = self.lanes.get(lane).and_then(|lane| lane.ruled.get(rule));
                self.candidates_in(row, *lane, class.map(|class| &class.document), None, now)
            }
            Some(Position::Known(lane, worker, rule, _)) => {
                let class =
                    self.lanes.get(lane).and_then(|lane| lane.known.get(worker)).and_then(|rules| rules.get(rule));
                self.candidates_in(row, *lane, class.map(|class| &class.document), Some(*worker), now)
            }
        }
    }

    fn candidates_in(
        &self,
        row: &Task,
        lane_key: LaneKey,
        document: Option<&Document>,
        only: Option<WorkerSid>,
        now: Timestamp,
    ) -> Vec<WorkerSid> {
        let Some(lane) = self.lanes.get(&lane_key) else { return Vec::new() };
        let limit = self.offers_at_once(lane_key.0);
        let target = self.target_of(row);
        let expression = target.and_then(|target| target.expression.as_ref());
        let fits = |worker: &WorkerSid| {
            !Self::is_backed_off(row, *worker, now)
                && self.workers.get(worker).is_some_and(|entry| self.satisfies(entry, expression, document))
        };
        if let Some(worker) = only {
            let ready = self.workers.get(&worker).is_some_and(|entry| entry.ready.contains_key(&lane_key));
            return if ready && fits(&worker) { vec![worker] } else { Vec::new() };
        }
        let in_idle_order = lane.ready.iter().map(|key| key.worker).filter(|worker| fits(worker));
        let Some(order_by) = target.and_then(|target| target.order_by.as_ref()) else {
            return in_idle_order.take(limit).collect();
        };
        let workers: Vec<WorkerSid> = in_idle_order.collect();
        let task_document =
            document.cloned().unwrap_or_else(|| Document::read(&self.vocabulary, &attributes_of(&row.attributes)));
        let mut keyed = Vec::with_capacity(workers.len());
        for worker in &workers {
            let Some(entry) = self.workers.get(worker) else { continue };
            match self.with_worker_scope(entry, Some(&task_document), |scope| order_by.key(scope)) {
                Some(key) => keyed.push((key, *worker)),
                // A value that is not an integer voids the whole order_by for this match (D12).
                None => return workers.into_iter().take(limit).collect(),
            }
        }
        keyed.sort_by(|(left, _), (right, _)| left.cmp(right));
        keyed.into_iter().map(|(_, worker)| worker).take(limit).collect()
    }

    fn offers_at_once(&self, queue: TaskQueueSid) -> usize {
        let limit = self.task_queues.get(&queue).map_or(1, |queue| queue.row.max_reserved_workers);
        usize::try_from(limit).unwrap_or(1).max(1)
    }

    fn satisfies(&self, worker: &WorkerEntry, expression: Option<&Expression>, task: Option<&Document>) -> bool {
        expression.is_none_or(|expression| self.with_worker_scope(worker, task, |scope| expression.matches(scope)))
    }

    /// The first task of the global order that the worker may take now.
    fn best_task_for(&self, worker: WorkerSid, now: Timestamp) -> Option<TaskSid> {
        let entry = self.workers.get(&worker)?;
        let mut best: Option<GlobalKey> = None;
        let mut consider = |key: TaskKey| {
            let key = self.global_key(key);
            if best.is_none_or(|best| key < best) {
                best = Some(key);
            }
        };
        for lane_key in entry.ready.keys() {
            let Some(lane) = self.lanes.get(lane_key) else { continue };
            if let Some(key) = self.first_open(lane.plain.iter(), worker, now) {
                consider(key);
            }
            for (_, class) in classes_for(lane, worker) {
                let Some(key) = self.first_open(class.tasks.iter(), worker, now) else { continue };
                let Some(task) = self.tasks.get(&key.task()) else { continue };
                let expression = self.target_of(&task.row).and_then(|target| target.expression.as_ref());
                if self.satisfies(entry, expression, Some(&class.document)) {
                    consider(key);
                }
            }
        }
        if let Some(waiting) = self.targeted.get(&worker) {
            for (key, task) in waiting {
                let Some(task) = self.tasks.get(task) else { continue };
                let open = task.row.ignore_capacity || self.is_reservable(entry, task.row.channel);
                if open && !Self::is_backed_off(&task.row, worker, now) {
                    consider(*key);
                    break;
                }
            }
        }
        best.map(|(_, key)| key.task())
    }

    fn first_open<'a>(
        &self,
        mut keys: impl Iterator<Item = &'a TaskKey>,
        worker: WorkerSid,
        now: Timestamp,
    ) -> Option<TaskKey> {
        keys.find(|key| self.tasks.get(&key.task()).is_some_and(|task| !Self::is_backed_off(&task.row, worker, now)))
            .copied()
    }
}

/// The classes of a lane whose tasks a worker may be asked about.
fn classes_for(lane: &Lane, worker: WorkerSid) -> impl Iterator<Item = (&super::lane::Rule, &Class)> {
    lane.ruled.iter().chain(lane.known.get(&worker).into_iter().flatten())
}

impl Turn<'_> {
    /// Offers a pending task to whoever may take it now; false when nobody may.
    pub(super) fn try_task(&mut self, task: TaskSid) -> bool {
        let workers = self.workspace.candidates(task, self.now);
        if workers.is_empty() {
            return false;
        }
        self.reserve(task, &workers);
        true
    }

    /// Gives workers that became ready the first tasks they may take, then lets returning tasks try again.
    ///
    /// Ends because each round makes a reservation or drops a worker or a task from its list.
    pub(super) fn settle(&mut self) {
        loop {
            let mut best: Option<(GlobalKey, TaskSid)> = None;
            let mut idle = Vec::new();
            for worker in &self.freed {
                match self.workspace.best_task_for(*worker, self.now) {
                    Some(task) => {
                        let Some(key) = self.workspace.place_in_line(task) else { continue };
                        if best.is_none_or(|(best, _)| key < best) {
                            best = Some((key, task));
                        }
                    }
                    None => idle.push(*worker),
                }
            }
            for worker in idle {
                self.freed.remove(&worker);
            }
            if let Some((_, task)) = best {
                if !self.try_task(task) {
                    // Cannot happen while the two questions of this module agree; do not loop on it.
                    self.freed.clear();
                }
                continue;
            }
            if self.returning.is_empty() {
                return;
            }
            let mut returning = std::mem::take(&mut self.returning);
            returning.sort_by_key(|(task, _)| self.workspace.place_in_line(*task));
            for (task, attributes_changed) in returning {
                if self.workspace.task(task).is_some_and(|row| row.status == TaskStatus::Pending) {
                    self.re_evaluate(task, attributes_changed);
                }
            }
        }
    }

    /// Marks a worker whose tasks are to be looked at before the command ends.
    pub(super) fn free(&mut self, worker: WorkerSid) {
        self.freed.insert(worker);
    }
}
