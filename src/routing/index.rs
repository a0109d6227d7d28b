//! Keeps what is derived from the records: ready workers, waiting positions, tallies, deadlines; queue members are in `members`.
//!
//! Every change of a record is followed by the matching `refresh_…` here. Nothing is decided and no record changes.
//! Start with [`Workspace::place_task`] and [`Workspace::refresh_ready`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::deadline::{End, TaskDeadlines};
use super::defect::defect;
use super::expression::{
    ChannelFigures, ChannelValues, Document, Expression, KnownWorkerValue, Scope, Slot, WorkerNames,
};
use super::lane::{AwaitedName, Lane, LaneKey, Position, ReadyKey, Rule, TaskKey, lane_key_of};
use super::sid::{TaskChannelSid, TaskQueueSid, TaskSid, WorkerSid};
use super::state::{BackOff, ReservationStatus, RoutingTarget, Step, Task, TaskOrder, TaskStatus, TransferTarget};
use super::time::Timestamp;
use super::workflow::{KnownAgent, Target};
use super::workspace::{WorkerEntry, Workspace};

/// A finished task is removed this long after its end (TaskRouter: Task state).
pub(super) const PURGE_AFTER_SECS: u32 = 300;

/// A task may stay assigned or wrapping this long (TaskRouter: Task state; D31).
pub(super) const ASSIGNED_SECS_MAX: u32 = 86_400;

/// Reads attribute text that was checked when it was stored.
pub(super) fn attributes_of(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or(serde_json::Value::Null)
}

/// Channel figures of one worker, by unique name.
struct Figures<'a> {
    workspace: &'a Workspace,
    worker: &'a WorkerEntry,
}

impl ChannelFigures for Figures<'_> {
    fn figures(&self, unique_name: &str) -> Option<ChannelValues> {
        let channel = self.workspace.channel_names.get(unique_name)?;
        let row = self.worker.channels.get(channel)?;
        Some(ChannelValues {
            configured_capacity: row.configured_capacity,
            assigned_tasks: row.assigned_tasks,
            available_capacity_percentage: row.available_capacity_percentage(),
        })
    }
}

impl Workspace {
    /// Calls `ask` with everything an expression can see of a worker, and of a task and the time where it may.
    pub(super) fn with_worker_scope<R>(
        &self,
        worker: &WorkerEntry,
        task: Option<&Document>,
        now: Option<Timestamp>,
        ask: impl FnOnce(&Scope<'_>) -> R,
    ) -> R {
        self.with_scope_of(worker, &worker.document, task, now, ask)
    }

    /// The same with attributes of the worker that were read for this question.
    pub(super) fn with_scope_of<R>(
        &self,
        worker: &WorkerEntry,
        attributes: &Document,
        task: Option<&Document>,
        now: Option<Timestamp>,
        ask: impl FnOnce(&Scope<'_>) -> R,
    ) -> R {
        let activity = self.activities.get(&worker.row.activity);
        let figures = Figures { workspace: self, worker };
        let names = WorkerNames {
            sid: &worker.sid_text,
            friendly_name: &worker.row.friendly_name,
            activity_sid: activity.map_or("", |activity| activity.sid_text.as_str()),
            activity_name: activity.map_or("", |activity| activity.row.friendly_name.as_str()),
            channels: &figures,
        };
        ask(&Scope {
            task,
            worker: Some(attributes),
            names: Some(&names),
            counts: None,
            now,
            openings: Some(&self.calendars),
        })
    }

    /// Whether the worker's current activity is an available one.
    pub(super) fn is_available(&self, worker: &WorkerEntry) -> bool {
        self.activities.get(&worker.row.activity).is_some_and(|activity| activity.row.available)
    }

    /// Whether activity and capacity allow a reservation on the channel (6.1 without queue and expression).
    pub(super) fn is_reservable(&self, worker: &WorkerEntry, channel: TaskChannelSid) -> bool {
        if !self.is_available(worker) {
            return false;
        }
        if !self.settings.multi_task_enabled {
            return worker.open.is_empty();
        }
        worker.channels.get(&channel).is_some_and(|row| {
            row.available && row.used < row.configured_capacity + u32::from(defect!(CapacityOffByOne))
        })
    }

    /// Under which key the worker stands ready on a channel; longest idle over all channels unless the channel says
    /// otherwise (TaskRouter: Task channels).
    pub(super) fn ready_key(&self, worker: &WorkerEntry, channel: TaskChannelSid) -> ReadyKey {
        let optimized = self.task_channels.get(&channel).is_some_and(|row| row.channel_optimized_routing);
        let idle_since = match worker.channels.get(&channel) {
            Some(row) if optimized => row.last_reserved_at,
            _ => worker.row.last_reserved_at,
        };
        ReadyKey { idle_since, created_at: worker.row.created_at, worker: worker.row.sid }
    }

    /// Brings a worker's entries in all lanes up to date with activity, capacity, idle time and membership.
    pub(super) fn refresh_ready(&mut self, worker: WorkerSid) {
        let Some(entry) = self.workers.get(&worker) else { return };
        let mut wanted = Vec::new();
        if self.is_available(entry) {
            // Few channels, and each is asked once.
            let mut keys: Vec<(TaskChannelSid, Option<ReadyKey>)> = Vec::with_capacity(8);
            for queue in &entry.queues {
                for (lane, _) in self.lanes.range(lanes_of(*queue)) {
                    let known = keys.iter().find(|(channel, _)| *channel == lane.1).map(|(_, key)| *key);
                    let key = known.unwrap_or_else(|| {
                        let key = self.is_reservable(entry, lane.1).then(|| self.ready_key(entry, lane.1));
                        keys.push((lane.1, key));
                        key
                    });
                    wanted.extend(key.map(|key| (*lane, key)));
                }
            }
        }
        self.set_ready(worker, &wanted);
    }

    /// Takes a worker out of all lanes.
    pub(super) fn clear_ready(&mut self, worker: WorkerSid) {
        self.set_ready(worker, &[]);
    }

    /// Enters a worker in these lanes, in their order, and in no other.
    fn set_ready(&mut self, worker: WorkerSid, wanted: &[(LaneKey, ReadyKey)]) {
        let Some(entry) = self.workers.get_mut(&worker) else { return };
        if entry.ready.iter().eq(wanted.iter().map(|(lane, key)| (lane, key))) {
            return;
        }
        let wanted: BTreeMap<LaneKey, ReadyKey> = wanted.iter().copied().collect();
        let before = std::mem::take(&mut entry.ready);
        for (lane, key) in &before {
            if wanted.get(lane) != Some(key)
                && let Some(lane) = self.lanes.get_mut(lane)
            {
                lane.ready.remove(key);
            }
        }
        for (lane, key) in &wanted {
            if before.get(lane) != Some(key)
                && let Some(lane) = self.lanes.get_mut(lane)
            {
                lane.ready.insert(*key);
            }
        }
        entry.ready = wanted;
    }

    /// The lanes of a queue, one for each channel on which a task has waited.
    pub(super) fn lanes_of_queue(&self, queue: TaskQueueSid) -> impl Iterator<Item = (&LaneKey, &Lane)> {
        self.lanes.range(lanes_of(queue))
    }

    /// Makes the lane if it is new, with every member that is ready.
    fn open_lane(&mut self, key: LaneKey) -> Option<&mut Lane> {
        if !self.lanes.contains_key(&key) {
            self.make_lane(key);
        }
        self.lanes.get_mut(&key)
    }

    fn make_lane(&mut self, key: LaneKey) {
        let mut lane = Lane::default();
        let mut ready = Vec::new();
        if let Some(queue) = self.task_queues.get(&key.0) {
            for worker in &queue.members {
                if let Some(entry) = self.workers.get(worker)
                    && self.is_reservable(entry, key.1)
                {
                    ready.push(self.ready_key(entry, key.1));
                }
            }
        }
        for ready_key in ready {
            lane.ready.insert(ready_key);
            if let Some(entry) = self.workers.get_mut(&ready_key.worker) {
                entry.ready.insert(key, ready_key);
            }
        }
        self.lanes.insert(key, lane);
    }

    /// Reads the worker's attributes into slots again; returns which slots have another value now.
    pub(super) fn refresh_document(&mut self, worker: WorkerSid) -> Vec<Slot> {
        let vocabulary = &self.vocabulary;
        let Some(entry) = self.workers.get_mut(&worker) else { return Vec::new() };
        let document = Document::read(vocabulary, &attributes_of(&entry.row.attributes));
        let before = std::mem::replace(&mut entry.document, document);
        entry.document.difference(&before)
    }

    /// Brings all workers' slots up to date after expressions were compiled that name new attributes of workers.
    pub(super) fn refresh_documents(&mut self) {
        let vocabulary = &self.vocabulary;
        for entry in self.workers.values_mut() {
            if !entry.document.is_current_for_worker(vocabulary) {
                entry.document = Document::read(vocabulary, &attributes_of(&entry.row.attributes));
            }
        }
    }

    /// Reads attribute text into slots.
    ///
    /// The last one is kept: on its way into a queue a task's attributes are asked for several times in a row.
    pub(super) fn read_document(&self, attributes: &str) -> Arc<Document> {
        let mut last = self.last_read.borrow_mut();
        if let Some((text, document)) = &*last
            && text == attributes
            && document.is_current(&self.vocabulary)
        {
            return Arc::clone(document);
        }
        let document = Arc::new(Document::read(&self.vocabulary, &attributes_of(attributes)));
        *last = Some((attributes.to_owned(), Arc::clone(&document)));
        document
    }

    /// The step a task stands in; `None` for tasks that were placed without filters or are being transferred.
    pub(super) fn target_of<'a>(&'a self, task: &Task) -> Option<&'a Target> {
        if task.transfer.is_some() {
            return None;
        }
        let routes = &self.versions.get(&(task.workflow?, task.workflow_version))?.routes;
        match task.step {
            Step::Target { filter, target } => {
                routes.filters.get(usize::try_from(filter).ok()?)?.targets.get(usize::try_from(target).ok()?)
            }
            Step::Default => routes.default.as_ref(),
            Step::Direct => None,
        }
    }

    /// The worker a step waits for; `Err` when the task names none that exists.
    pub(super) fn known_worker(
        &self,
        target: &Target,
        task: &Document,
    ) -> Option<Result<WorkerSid, KnownWorkerProblem>> {
        let known = target.known_worker.as_ref()?;
        let (value, by_name) = match known {
            KnownAgent::Sid(reference) => (reference.value(task), false),
            KnownAgent::FriendlyName(reference) => (reference.value(task), true),
        };
        Some(match value {
            KnownWorkerValue::Null => Err(KnownWorkerProblem::Null),
            KnownWorkerValue::Invalid => Err(KnownWorkerProblem::Invalid),
            KnownWorkerValue::Text(text) if by_name => {
                let name = text.to_lowercase();
                self.worker_names.get(&name).copied().ok_or(KnownWorkerProblem::NameUnknown(name))
            }
            KnownWorkerValue::Text(text) => match text.parse::<WorkerSid>() {
                Ok(sid) if self.workers.contains_key(&sid) => Ok(sid),
                Ok(_) => Err(KnownWorkerProblem::Elsewhere),
                Err(_) => Err(KnownWorkerProblem::Invalid),
            },
        })
    }

    /// Enters a task's deadlines and, while it is pending, its waiting position.
    ///
    /// The counterpart is [`Workspace::lift_task`]; between the two the record may change.
    pub(super) fn place_task(&mut self, task: TaskSid) {
        let Some(entry) = self.tasks.get(&task) else { return };
        let row = &entry.row;
        let deadlines = self.deadlines_of(row, entry.open());
        let key = self.task_key_of(row);
        let lane = lane_key_of(row);
        let position = (row.status == TaskStatus::Pending).then(|| self.position_of(row));
        let position = position.map(|(position, document)| match position {
            Position::Targeted(ref worker) => {
                self.targeted.entry(**worker).or_default().insert((key, task));
                position
            }
            Position::Awaited(ref name) => {
                self.awaited.entry(name.0.clone()).or_default().insert(task);
                position
            }
            Position::Nobody => position,
            in_lane => {
                let moment = self.moment;
                let lane = lane.and_then(|lane| self.open_lane(lane));
                lane.map_or(Position::Nobody, |lane| {
                    lane.note_pace(true, moment);
                    lane.add(in_lane, key, || document.unwrap_or_default())
                })
            }
        });
        let timed = position.as_ref().is_some_and(Position::uses_time);
        if let Some(lane) = lane.filter(|_| timed) {
            *self.timed_lanes.entry(lane).or_insert(0) += 1;
        }
        for deadline in deadlines.entries(task) {
            self.deadlines.insert(deadline);
        }
        if let Some(entry) = self.tasks.get_mut(&task) {
            self.tallies.add(&entry.row);
            entry.deadlines = deadlines;
            entry.position = position;
        }
        self.count_follower(task, true);
    }

    /// Takes a task's deadlines and waiting position out, before its record changes.
    pub(super) fn lift_task(&mut self, task: TaskSid) {
        self.count_follower(task, false);
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        self.tallies.remove(&entry.row);
        for deadline in std::mem::replace(&mut entry.deadlines, TaskDeadlines::NONE).entries(task) {
            self.deadlines.remove(&deadline);
        }
        let Some(position) = entry.position.take() else { return };
        let Some(entry) = self.tasks.get(&task) else { return };
        if let Some(lane) = lane_key_of(&entry.row).filter(|_| position.uses_time()) {
            discount(&mut self.timed_lanes, &lane);
        }
        let key = self.task_key_of(&entry.row);
        match position {
            Position::Targeted(worker) => {
                if let Some(waiting) = self.targeted.get_mut(&worker) {
                    waiting.remove(&(key, task));
                    if waiting.is_empty() {
                        self.targeted.remove(&worker);
                    }
                }
            }
            Position::Awaited(name) => {
                if let Some(waiting) = self.awaited.get_mut(&name.0) {
                    waiting.remove(&task);
                    if waiting.is_empty() {
                        self.awaited.remove(&name.0);
                    }
                }
            }
            Position::Nobody => {}
            in_lane => {
                if let Some(lane) = lane_key_of(&entry.row).and_then(|lane| self.lanes.get_mut(&lane)) {
                    lane.remove(&in_lane, key);
                    lane.note_pace(lane.len() > 0, self.moment);
                }
            }
        }
    }

    /// A task's place in the order of its queue.
    pub(super) fn task_key_of(&self, row: &Task) -> TaskKey {
        let queue = row.queue.and_then(|queue| self.task_queues.get(&queue));
        TaskKey::of(row, queue.map_or(TaskOrder::Fifo, |queue| queue.row.task_order))
    }

    /// A worker bears this lower-case name from now on: tasks that wait for that name wait for the worker.
    pub(super) fn name_taken(&mut self, name: &str) {
        let waiting = self.awaited.get(name).cloned().unwrap_or_default();
        self.place_again(waiting);
    }

    /// A worker is gone or has another name: tasks that waited for it by name wait for the name again.
    pub(super) fn name_given_up(&mut self, worker: WorkerSid) {
        let known = self.lanes.values().filter_map(|lane| lane.known.get(&worker));
        let waiting = known.flat_map(|rules| rules.values()).flat_map(|class| class.tasks.iter().map(|key| key.task()));
        let waiting = waiting.collect();
        self.place_again(waiting);
    }

    fn place_again(&mut self, tasks: std::collections::BTreeSet<TaskSid>) {
        for task in tasks {
            self.lift_task(task);
            self.place_task(task);
        }
    }

    /// Stamps go on after the newest one that a record shows.
    pub(super) fn recall_newest_stamp(&mut self) {
        let newest = self.workers.values().map(|entry| entry.row.last_reserved_at).max();
        self.newest_stamp = newest.unwrap_or(Timestamp(i64::MIN));
    }

    /// Pending and reserved tasks hold on to the configuration they follow.
    fn count_follower(&mut self, task: TaskSid, placed: bool) {
        let Some(row) = self.tasks.get(&task).map(|entry| &entry.row) else { return };
        if !matches!(row.status, TaskStatus::Pending | TaskStatus::Reserved) || row.transfer.is_some() {
            return;
        }
        if defect!(FollowersDrift) && !placed && row.status == TaskStatus::Reserved {
            return;
        }
        let Some(workflow) = row.workflow else { return };
        if let Some(version) = self.versions.get_mut(&(workflow, row.workflow_version)) {
            version.followers = if placed { version.followers + 1 } else { version.followers.saturating_sub(1) };
        }
    }

    fn position_of(&self, row: &Task) -> (Position, Option<Arc<Document>>) {
        let transfer = row.transfer.and_then(|transfer| self.transfers.get(&transfer));
        match (transfer.map(|transfer| transfer.to), *row.routing_target) {
            // Its worker is reserved in the same breath, or the transfer has failed.
            (Some(TransferTarget::Worker(_)), _) => return (Position::Nobody, None),
            (None, Some(RoutingTarget::Worker(worker))) => return (Position::Targeted(Box::new(worker)), None),
            _ => {}
        }
        if !row.queue.is_some_and(|queue| self.task_queues.contains_key(&queue)) {
            return (Position::Nobody, None);
        }
        let Some(target) = self.target_of(row) else { return (Position::Plain, None) };
        if target.expression.is_none() && target.known_worker.is_none() {
            return (Position::Plain, None);
        }
        let Some(workflow) = row.workflow else { return (Position::Plain, None) };
        let document = self.read_document(&row.attributes);
        let slots = target.expression.as_ref().map_or(&[][..], |expression| expression.task_slots());
        let projection = document.project(slots);
        let uses_time = target.expression.as_ref().is_some_and(Expression::uses_time);
        let rule = Arc::new(Rule { workflow, version: row.workflow_version, step: row.step, projection, uses_time });
        match self.known_worker(target, &document) {
            None => (Position::Ruled(rule), Some(document)),
            Some(Ok(worker)) => (Position::Known(Box::new((worker, rule))), Some(document)),
            Some(Err(KnownWorkerProblem::NameUnknown(name))) => (Position::Awaited(Box::new(AwaitedName(name))), None),
            Some(Err(_)) => (Position::Nobody, None),
        }
    }

    fn deadlines_of(&self, row: &Task, open: &[super::sid::ReservationSid]) -> TaskDeadlines {
        let mut deadlines = TaskDeadlines::NONE;
        // Once accepted it is not the time to live that counts, also while the task is handed on.
        if row.transfer.is_some() || matches!(row.status, TaskStatus::Assigned | TaskStatus::Wrapping) {
            let since = row.assigned_at.unwrap_or(row.updated_at);
            deadlines.end(End::AssignedTooLong, since.plus_secs(ASSIGNED_SECS_MAX));
        }
        let life_ends_at = row.created_at.plus_secs(row.timeout_secs);
        match row.status {
            TaskStatus::Pending => {
                if row.transfer.is_none() {
                    deadlines.end(End::Life, life_ends_at);
                }
                if let Some(target) = self.target_of(row)
                    && target.timeout_secs.is_some()
                {
                    deadlines.step(row.base_at.plus_secs(target.ends_after_secs));
                }
                let gaps = row.back_offs.iter().map(|back_off| back_off.until);
                if let Some(until) = gaps.filter(|until| *until != BackOff::OVER).min() {
                    deadlines.back_off(until);
                }
            }
            TaskStatus::Reserved if row.transfer.is_none() => {
                let connecting = open
                    .iter()
                    .filter_map(|sid| self.reservations.get(sid))
                    .any(|reservation| reservation.status == ReservationStatus::Pending && reservation.connecting);
                if !connecting || defect!(LifeNotPaused) {
                    deadlines.end(End::Life, life_ends_at);
                }
            }
            TaskStatus::Reserved | TaskStatus::Assigned | TaskStatus::Wrapping => {}
            TaskStatus::Completed | TaskStatus::Canceled => {
                let since = row.finished_at.unwrap_or(row.updated_at);
                deadlines.end(End::Purge, since.plus_secs(PURGE_AFTER_SECS));
            }
        }
        deadlines
    }

    /// Rebuilds everything derived, once the records are in place.
    pub(super) fn derive(&mut self) {
        self.refresh_documents();
        let queues: Vec<TaskQueueSid> = self.task_queues.keys().copied().collect();
        for queue in &queues {
            self.note_dynamic(*queue);
        }
        let workers: Vec<WorkerSid> = self.workers.keys().copied().collect();
        for worker in &workers {
            self.refresh_membership(*worker, |_| true);
        }
        let tasks: Vec<TaskSid> = self.tasks.keys().copied().collect();
        for task in tasks {
            self.place_task(task);
        }
        for worker in workers {
            self.refresh_ready(worker);
        }
    }
}

/// Why a known worker is nobody (routing.md 3.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KnownWorkerProblem {
    /// The attribute is null on purpose.
    Null,
    /// Missing or of the wrong type (alert 40154).
    Invalid,
    /// Nobody's name, here in lower case (alert 40154).
    NameUnknown(String),
    /// A worker of another workspace, or none at all (alert 40155).
    Elsewhere,
}

fn lanes_of(queue: TaskQueueSid) -> std::ops::RangeInclusive<LaneKey> {
    (queue, TaskChannelSid::from_bits(0))..=(queue, TaskChannelSid::from_bits(u128::MAX))
}

/// Counts one less, and forgets what there is none of.
pub(super) fn discount<K: Ord>(counts: &mut std::collections::BTreeMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
