//! Which task meets which worker, in which order (routing.md section 6).
//!
//! Two questions are asked: who may take this task (when a task enters a step) and which task may this worker take
//! (when a worker becomes ready). Both look at the heads of lanes; neither scans tasks or workers that a lane holds
//! behind its head, gaps of rejected pairs apart. Start with [`Turn::settle`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::expression::{Document, Expression};
use super::lane::{Class, Lane, LaneKey, Position, Rule, TaskKey, lane_key_of};
use super::sid::{TaskQueueSid, TaskSid, TransferSid, WorkerSid};
use super::state::{Task, TaskStatus};
use super::step::{Again, Move};
use super::time::Timestamp;
use super::turn::Turn;
use super::workspace::{WorkerEntry, Workspace};

/// Queues of the preferred kind first, then the order within the kind (TaskRouter: Queue ordering).
pub(super) type GlobalKey = (bool, TaskKey);

impl Workspace {
    pub(super) fn global_key(&self, key: TaskKey) -> GlobalKey {
        (key.order() != self.settings.prioritize_queue_order, key)
    }

    /// Where a task stands in the global order.
    pub(super) fn place_in_line(&self, task: TaskSid) -> Option<GlobalKey> {
        let row = &self.tasks.get(&task)?.row;
        let queue = row.queue.and_then(|queue| self.task_queues.get(&queue));
        let order = queue.map_or(super::state::TaskOrder::Fifo, |queue| queue.row.task_order);
        Some(self.global_key(TaskKey::of(row, order)))
    }

    /// A worker is not offered a task again before its gap or back-off is over (D37, voice.md 3.7); while the task is
    /// handed on, it is not offered to those who hold it, the one who hands it on excepted (routing.md 5.5).
    fn is_barred(&self, task: &Task, worker: WorkerSid, now: Timestamp) -> bool {
        task.back_offs.iter().any(|back_off| back_off.is_for(worker) && back_off.until > now)
            || task.transfer.is_some_and(|transfer| self.holds_besides(task.sid, worker, transfer))
    }

    /// Whether the worker has an open reservation of the task other than the one that initiated the transfer.
    fn holds_besides(&self, task: TaskSid, worker: WorkerSid, transfer: TransferSid) -> bool {
        let initiating = self.transfers.get(&transfer).map(|transfer| transfer.initiating_reservation);
        self.open_reservations_of_task(task).any(|row| row.worker == worker && Some(row.sid) != initiating)
    }

    /// The workers a pending task is offered to now, best first, at most as many as its queue allows.
    fn candidates(&self, task: TaskSid, now: Timestamp) -> Vec<WorkerSid> {
        let Some(entry) = self.tasks.get(&task) else { return Vec::new() };
        let row = &entry.row;
        match &entry.position {
            None | Some(Position::Awaited(_) | Position::Nobody) => Vec::new(),
            Some(Position::Targeted(worker)) => self
                .workers
                .get(worker)
                .filter(|entry| row.ignore_capacity || self.is_reservable(entry, row.channel))
                .filter(|_| !self.is_barred(row, **worker, now))
                .map(|_| vec![**worker])
                .unwrap_or_default(),
            Some(Position::Plain) => self.candidates_in(row, |_| None, None, now),
            Some(Position::Ruled(rule)) => self.candidates_in(row, |lane| lane.ruled.get(rule), None, now),
            Some(Position::Known(known)) => {
                let (worker, rule) = &**known;
                self.candidates_in(row, |lane| lane.known.get(worker)?.get(rule), Some(*worker), now)
            }
        }
    }

    fn candidates_in(
        &self,
        row: &Task,
        class: impl FnOnce(&Lane) -> Option<&Class>,
        only: Option<WorkerSid>,
        now: Timestamp,
    ) -> Vec<WorkerSid> {
        let Some(lane_key) = lane_key_of(row) else { return Vec::new() };
        let Some(lane) = self.lanes.get(&lane_key) else { return Vec::new() };
        let class = class(lane);
        let document = class.map(|class| class.document.as_ref());
        let limit = self.offers_at_once(lane_key.0);
        let target = self.target_of(row);
        let expression = target.and_then(|target| target.expression.as_ref());
        let fits = |worker: &WorkerSid| {
            !self.is_barred(row, *worker, now)
                && self.workers.get(worker).is_some_and(|entry| self.satisfies(entry, expression, document, now))
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
            class.map_or_else(|| self.read_document(&row.attributes), |class| Arc::clone(&class.document));
        let mut keyed = Vec::with_capacity(workers.len());
        for worker in &workers {
            let Some(entry) = self.workers.get(worker) else { continue };
            match self.with_worker_scope(entry, Some(&task_document), Some(now), |scope| order_by.key(scope)) {
                Some(key) => keyed.push((key, *worker)),
                // A value that is not an integer voids the whole order_by for this match (D12).
                None => return workers.into_iter().take(limit).collect(),
            }
        }
        keyed.sort_by(|(left, _), (right, _)| left.cmp(right));
        keyed.into_iter().map(|(_, worker)| worker).take(limit).collect()
    }

    pub(super) fn offers_at_once(&self, queue: TaskQueueSid) -> usize {
        let limit = self.task_queues.get(&queue).map_or(1, |queue| queue.row.max_reserved_workers);
        usize::try_from(limit).unwrap_or(1).max(1)
    }

    fn satisfies(
        &self,
        worker: &WorkerEntry,
        expression: Option<&Expression>,
        task: Option<&Document>,
        now: Timestamp,
    ) -> bool {
        expression
            .is_none_or(|expression| self.with_worker_scope(worker, task, Some(now), |scope| expression.matches(scope)))
    }

    /// Where the worker could take tasks from, each class of tasks asked once.
    fn sources_for(&self, worker: WorkerSid, now: Timestamp) -> Vec<Source> {
        let mut sources = Vec::new();
        let Some(entry) = self.workers.get(&worker) else { return sources };
        for lane_key in entry.ready.keys() {
            let Some(lane) = self.lanes.get(lane_key) else { continue };
            if !lane.plain.is_empty() {
                sources.push(Source::Plain(*lane_key));
            }
            for (rule, class) in &lane.ruled {
                if self.fits_class(entry, class, now) {
                    sources.push(Source::Ruled(*lane_key, Arc::clone(rule)));
                }
            }
            for (rule, class) in lane.known.get(&worker).into_iter().flatten() {
                if self.fits_class(entry, class, now) {
                    sources.push(Source::Known(*lane_key, worker, Arc::clone(rule)));
                }
            }
        }
        if self.targeted.contains_key(&worker) {
            sources.push(Source::Targeted(worker));
        }
        sources
    }

    fn fits_class(&self, worker: &WorkerEntry, class: &Class, now: Timestamp) -> bool {
        !class.tasks.is_empty() && self.satisfies(worker, self.expression_of(class), Some(&class.document), now)
    }

    /// What the step of a class asks of a worker.
    pub(super) fn expression_of(&self, class: &Class) -> Option<&Expression> {
        let first = class.tasks.first().and_then(|key| self.tasks.get(&key.task()))?;
        self.target_of(&first.row)?.expression.as_ref()
    }

    /// Those who stand ready and may take from a source of tasks with a rule.
    fn ready_for(&self, source: &Source, now: Timestamp) -> Vec<WorkerSid> {
        let (lane, rule, only) = match source {
            Source::Ruled(lane, rule) => (lane, rule, None),
            Source::Known(lane, worker, rule) => (lane, rule, Some(*worker)),
            Source::Plain(_) | Source::Targeted(_) => return Vec::new(),
        };
        let Some(lane) = self.lanes.get(lane) else { return Vec::new() };
        let class = only.map_or(Some(&lane.ruled), |worker| lane.known.get(&worker)).and_then(|rules| rules.get(rule));
        let Some(class) = class else { return Vec::new() };
        let ready = lane.ready.iter().map(|key| key.worker).filter(|worker| only.is_none_or(|only| only == *worker));
        ready
            .filter(|worker| self.workers.get(worker).is_some_and(|entry| self.fits_class(entry, class, now)))
            .collect()
    }

    /// The first task of a source that one of the askers may take; askers who may take none any more are dropped.
    fn first_task(&self, source: &Source, askers: &mut BTreeSet<WorkerSid>, now: Timestamp) -> Option<GlobalKey> {
        let (lane_key, tasks, class) = match source {
            Source::Targeted(worker) => return self.first_targeted(*worker, now),
            Source::Plain(lane) => (lane, &self.lanes.get(lane)?.plain, None),
            Source::Ruled(lane, rule) => {
                let class = self.lanes.get(lane)?.ruled.get(rule)?;
                (lane, &class.tasks, Some(class))
            }
            Source::Known(lane, worker, rule) => {
                let class = self.lanes.get(lane)?.known.get(worker)?.get(rule)?;
                (lane, &class.tasks, Some(class))
            }
        };
        let first = tasks.first()?;
        let mut best: Option<TaskKey> = None;
        let mut out = Vec::new();
        for worker in askers.iter() {
            let entry = self.workers.get(worker).filter(|entry| entry.ready.contains_key(lane_key));
            let Some(entry) = entry.filter(|entry| class.is_none_or(|class| self.fits_class(entry, class, now))) else {
                out.push(*worker);
                continue;
            };
            let open = self.first_open(tasks.iter(), entry.row.sid, now);
            best = [best, open].into_iter().flatten().min();
            if best == Some(*first) {
                break;
            }
        }
        for worker in out {
            askers.remove(&worker);
        }
        best.map(|key| self.global_key(key))
    }

    fn first_targeted(&self, worker: WorkerSid, now: Timestamp) -> Option<GlobalKey> {
        let entry = self.workers.get(&worker)?;
        let open = self.targeted.get(&worker)?.iter().filter(|(_, task)| {
            self.tasks.get(task).is_some_and(|task| {
                (task.row.ignore_capacity || self.is_reservable(entry, task.row.channel))
                    && !self.is_barred(&task.row, worker, now)
            })
        });
        // They are kept by key, but tasks of both kinds of queues are among them.
        open.map(|(key, _)| self.global_key(*key)).min()
    }

    fn first_open<'a>(
        &self,
        mut keys: impl Iterator<Item = &'a TaskKey>,
        worker: WorkerSid,
        now: Timestamp,
    ) -> Option<TaskKey> {
        keys.find(|key| self.tasks.get(&key.task()).is_some_and(|task| !self.is_barred(&task.row, worker, now)))
            .copied()
    }
}

/// Waiting tasks that matching takes in order: all of a lane, of a class, or of one worker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Plain(LaneKey),
    Ruled(LaneKey, Arc<Rule>),
    Known(LaneKey, WorkerSid, Arc<Rule>),
    Targeted(WorkerSid),
}

/// A source and those who may take from it.
struct Asked {
    source: Source,
    askers: BTreeSet<WorkerSid>,
    /// Its entry in the line.
    key: Option<GlobalKey>,
}

/// What workers that became ready could take, in the global order.
///
/// Each source stands in the line with a task that comes no later than the first one it can really give, because tasks
/// only leave and askers that come are asked at once. So the first of the line is looked at again before it counts.
#[derive(Default)]
struct HandOut {
    sources: Vec<Asked>,
    index: BTreeMap<Source, usize>,
    line: BTreeSet<(GlobalKey, usize)>,
}

impl HandOut {
    /// Lets a worker ask a source; the source is to be put in line anew.
    fn ask(&mut self, source: Source, worker: WorkerSid) -> usize {
        let next = self.sources.len();
        let at = *self.index.entry(source).or_insert_with_key(|source| {
            self.sources.push(Asked { source: source.clone(), askers: BTreeSet::new(), key: None });
            next
        });
        if let Some(asked) = self.sources.get_mut(at) {
            asked.askers.insert(worker);
        }
        at
    }

    /// Puts a source in line with the first task it can give now.
    fn line_up(&mut self, at: usize, workspace: &Workspace, now: Timestamp) {
        let Some(asked) = self.sources.get_mut(at) else { return };
        if let Some(key) = asked.key.take() {
            self.line.remove(&(key, at));
        }
        asked.key = workspace.first_task(&asked.source, &mut asked.askers, now);
        if let Some(key) = asked.key {
            self.line.insert((key, at));
        }
    }
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

    /// Gives workers that became ready the first tasks they may take, then lets returning tasks try again; last come those
    /// for whom the time has come, so that none of them is offered where it does not belong any more.
    ///
    /// Ends because each round makes a reservation or drops a worker or a task from its list.
    pub(super) fn settle(&mut self) {
        let mut stirred = std::mem::take(&mut self.stirred);
        loop {
            self.hand_out();
            if self.returning.is_empty() {
                if stirred.is_empty() {
                    return;
                }
                self.stirred = std::mem::take(&mut stirred);
                continue;
            }
            let mut returning: Vec<(TaskSid, Again)> = std::mem::take(&mut self.returning).into_iter().collect();
            returning.sort_by_cached_key(|(task, _)| self.workspace.place_in_line(*task));
            let mut moving = Vec::with_capacity(returning.len());
            for (task, again) in returning {
                if self.workspace.task(task).is_none_or(|row| row.status != TaskStatus::Pending) {
                    continue;
                }
                moving.extend(match again {
                    Again::Offer => Some(Move::nowhere(task)),
                    Again::StepOver | Again::Changed | Again::Returned => self.re_evaluate(task, again),
                });
            }
            self.walk(moving);
        }
    }

    /// Hands out tasks to the workers that became ready, in the global order.
    fn hand_out(&mut self) {
        let mut hand_out = HandOut::default();
        loop {
            let mut asked = BTreeSet::new();
            for source in std::mem::take(&mut self.stirred) {
                for worker in self.workspace.ready_for(&source, self.now) {
                    asked.insert(hand_out.ask(source.clone(), worker));
                }
            }
            for worker in std::mem::take(&mut self.freed) {
                for source in self.workspace.sources_for(worker, self.now) {
                    asked.insert(hand_out.ask(source, worker));
                }
            }
            for at in asked {
                hand_out.line_up(at, self.workspace, self.now);
            }
            let Some((key, at)) = hand_out.line.first().copied() else { return };
            hand_out.line_up(at, self.workspace, self.now);
            if hand_out.line.contains(&(key, at)) && !self.try_task(key.1.task()) {
                // Cannot happen while the two questions of this module agree; do not loop on it.
                hand_out.line.remove(&(key, at));
            }
        }
    }

    /// Marks a worker whose tasks are to be looked at before the command ends.
    pub(super) fn free(&mut self, worker: WorkerSid) {
        self.freed.insert(worker);
    }
}
