//! Keeps what is derived from the records: queue members, ready workers, waiting positions, deadlines.
//!
//! Every change of a record is followed by the matching `refresh_…` here. Nothing is decided and no record changes.
//! Start with [`Workspace::place_task`] and [`Workspace::refresh_ready`].

use super::expression::{ChannelFigures, ChannelValues, Document, Expression, KnownWorkerValue, Scope, WorkerNames};
use super::lane::{Lane, LaneKey, Position, ReadyKey, Rule, TaskKey};
use super::sid::{TaskChannelSid, TaskQueueSid, TaskSid, WorkerSid};
use super::state::{BackOff, ReservationStatus, RoutingTarget, Step, Task, TaskStatus, TransferTarget};
use super::time::Timestamp;
use super::workflow::{KnownAgent, Target};
use super::workspace::{Deadline, WorkerEntry, Workspace};

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
        ask(&Scope { task, worker: Some(attributes), names: Some(&names), counts: None, now })
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
        worker.channels.get(&channel).is_some_and(|row| row.available && row.used < row.configured_capacity)
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
        for queue in &entry.queues {
            for (key, _) in self.lanes.range(lanes_of(*queue)) {
                if self.is_reservable(entry, key.1) {
                    wanted.push((*key, self.ready_key(entry, key.1)));
                }
            }
        }
        self.set_ready(worker, wanted);
    }

    /// Takes a worker out of all lanes.
    pub(super) fn clear_ready(&mut self, worker: WorkerSid) {
        self.set_ready(worker, Vec::new());
    }

    fn set_ready(&mut self, worker: WorkerSid, wanted: Vec<(LaneKey, ReadyKey)>) {
        let Some(entry) = self.workers.get_mut(&worker) else { return };
        let before = std::mem::take(&mut entry.ready);
        for (lane, key) in &before {
            if !wanted.contains(&(*lane, *key))
                && let Some(lane) = self.lanes.get_mut(lane)
            {
                lane.ready.remove(key);
            }
        }
        for (lane_key, key) in &wanted {
            if before.get(lane_key) != Some(key)
                && let Some(lane) = self.lanes.get_mut(lane_key)
            {
                lane.ready.insert(*key);
            }
        }
        entry.ready = wanted.into_iter().collect();
    }

    /// The lanes of a queue, one for each channel on which a task has waited.
    pub(super) fn lanes_of_queue(&self, queue: TaskQueueSid) -> impl Iterator<Item = (&LaneKey, &Lane)> {
        self.lanes.range(lanes_of(queue))
    }

    /// Makes the lane if it is new, with every member that is ready.
    fn open_lane(&mut self, key: LaneKey) {
        if self.lanes.contains_key(&key) {
            return;
        }
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

    /// Reads the worker's attributes into slots again, if they or the vocabulary changed.
    pub(super) fn refresh_document(&mut self, worker: WorkerSid) {
        let vocabulary = &self.vocabulary;
        if let Some(entry) = self.workers.get_mut(&worker) {
            entry.document = Document::read(vocabulary, &attributes_of(&entry.row.attributes));
        }
    }

    /// Brings all workers' slots up to date after expressions were compiled that name new attributes.
    pub(super) fn refresh_documents(&mut self) {
        let vocabulary = &self.vocabulary;
        for entry in self.workers.values_mut() {
            if !entry.document.is_current(vocabulary) {
                entry.document = Document::read(vocabulary, &attributes_of(&entry.row.attributes));
            }
        }
    }

    /// Reads attribute text into slots.
    pub(super) fn read_document(&self, attributes: &str) -> Document {
        Document::read(&self.vocabulary, &attributes_of(attributes))
    }

    fn matches_queue(&self, worker: &WorkerEntry, queue: TaskQueueSid) -> bool {
        let Some(expression) = self.task_queues.get(&queue).and_then(|entry| entry.expression.as_ref()) else {
            return false;
        };
        self.with_worker_scope(worker, None, None, |scope| expression.matches(scope))
    }

    /// Recomputes which of `queues` a worker belongs to; true when anything changed.
    pub(super) fn refresh_membership_in(&mut self, worker: WorkerSid, queues: &[TaskQueueSid]) -> bool {
        let Some(entry) = self.workers.get(&worker) else { return false };
        let activity = entry.row.activity;
        let mut changes = Vec::new();
        for queue in queues {
            let member = self.matches_queue(entry, *queue);
            if member != entry.queues.contains(queue) {
                changes.push((*queue, member));
            }
        }
        for (queue, member) in &changes {
            if let Some(entry) = self.task_queues.get_mut(queue) {
                if *member {
                    entry.members.insert(worker);
                    *entry.members_in.entry(activity).or_insert(0) += 1;
                } else {
                    entry.members.remove(&worker);
                    discount(&mut entry.members_in, &activity);
                }
            }
            if let Some(entry) = self.workers.get_mut(&worker) {
                if *member {
                    entry.queues.insert(*queue);
                } else {
                    entry.queues.remove(queue);
                }
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

    /// Recomputes all of a worker's queues.
    pub(super) fn refresh_membership(&mut self, worker: WorkerSid) -> bool {
        let queues: Vec<TaskQueueSid> = self.task_queues.keys().copied().collect();
        self.refresh_membership_in(worker, &queues)
    }

    /// Counts a member under its new activity in all its queues.
    pub(super) fn move_member(&mut self, worker: WorkerSid, from: super::sid::ActivitySid) {
        let Some(entry) = self.workers.get(&worker) else { return };
        for queue in &entry.queues {
            if let Some(queue) = self.task_queues.get_mut(queue) {
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
        let deadlines = self.deadlines_of(row, &entry.reservations);
        let position = (row.status == TaskStatus::Pending).then(|| self.position_of(row));
        if let Some((Position::Plain(lane, _) | Position::Ruled(lane, ..) | Position::Known(lane, ..), _)) = &position {
            let lane = *lane;
            self.open_lane(lane);
        }
        let position = position.map(|(position, document)| {
            match &position {
                Position::Plain(lane, _) | Position::Ruled(lane, ..) | Position::Known(lane, ..) => {
                    if let Some(lane) = self.lanes.get_mut(lane) {
                        lane.add(&position, || document.unwrap_or_default());
                        if let Some(moment) = self.moment {
                            lane.pace.note(true, moment);
                        }
                    }
                }
                Position::Targeted(worker, key) => {
                    self.targeted.entry(*worker).or_default().insert((*key, task));
                }
                Position::Awaited(name) => {
                    self.awaited.entry(name.clone()).or_default().insert(task);
                }
                Position::Nobody => {}
            }
            position
        });
        if let Some(lane) = position.as_ref().and_then(Position::timed_lane) {
            *self.timed_lanes.entry(lane).or_insert(0) += 1;
        }
        for (at, deadline) in &deadlines {
            self.deadlines.insert((*at, *deadline));
        }
        if let Some(entry) = self.tasks.get_mut(&task) {
            entry.deadlines = deadlines;
            entry.position = position;
        }
        self.count_follower(task, true);
    }

    /// Takes a task's deadlines and waiting position out, before its record changes.
    pub(super) fn lift_task(&mut self, task: TaskSid) {
        self.count_follower(task, false);
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        for (at, deadline) in entry.deadlines.drain(..) {
            self.deadlines.remove(&(at, deadline));
        }
        let position = entry.position.take();
        if let Some(lane) = position.as_ref().and_then(Position::timed_lane) {
            discount(&mut self.timed_lanes, &lane);
        }
        match position {
            Some(position @ (Position::Plain(lane, _) | Position::Ruled(lane, ..) | Position::Known(lane, ..))) => {
                if let Some(lane) = self.lanes.get_mut(&lane) {
                    lane.remove(&position);
                    if let Some(moment) = self.moment {
                        lane.pace.note(lane.len() > 0, moment);
                    }
                }
            }
            Some(Position::Targeted(worker, key)) => {
                if let Some(waiting) = self.targeted.get_mut(&worker) {
                    waiting.remove(&(key, task));
                    if waiting.is_empty() {
                        self.targeted.remove(&worker);
                    }
                }
            }
            Some(Position::Awaited(name)) => {
                if let Some(waiting) = self.awaited.get_mut(&name) {
                    waiting.remove(&task);
                    if waiting.is_empty() {
                        self.awaited.remove(&name);
                    }
                }
            }
            Some(Position::Nobody) | None => {}
        }
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
        let Some(workflow) = row.workflow else { return };
        if let Some(version) = self.versions.get_mut(&(workflow, row.workflow_version)) {
            version.followers = if placed { version.followers + 1 } else { version.followers.saturating_sub(1) };
        }
    }

    fn position_of(&self, row: &Task) -> (Position, Option<Document>) {
        let order = row.queue.and_then(|queue| self.task_queues.get(&queue)).map(|queue| queue.row.task_order);
        let key = TaskKey::of(row, order.unwrap_or(super::state::TaskOrder::Fifo));
        let transfer = row.transfer.and_then(|transfer| self.transfers.get(&transfer));
        match (transfer.map(|transfer| transfer.to), row.routing_target) {
            // Its worker is reserved in the same breath, or the transfer has failed.
            (Some(TransferTarget::Worker(_)), _) => return (Position::Nobody, None),
            (None, Some(RoutingTarget::Worker(worker))) => return (Position::Targeted(worker, key), None),
            _ => {}
        }
        let Some(queue) = row.queue.filter(|_| order.is_some()) else { return (Position::Nobody, None) };
        let lane = (queue, row.channel);
        let Some(target) = self.target_of(row) else { return (Position::Plain(lane, key), None) };
        if target.expression.is_none() && target.known_worker.is_none() {
            return (Position::Plain(lane, key), None);
        }
        let Some(workflow) = row.workflow else { return (Position::Plain(lane, key), None) };
        let document = Document::read(&self.vocabulary, &attributes_of(&row.attributes));
        let slots = target.expression.as_ref().map_or(&[][..], |expression| expression.task_slots());
        let projection = document.project(slots);
        let uses_time = target.expression.as_ref().is_some_and(Expression::uses_time);
        let rule = Rule { workflow, version: row.workflow_version, step: row.step, projection, uses_time };
        match self.known_worker(target, &document) {
            None => (Position::Ruled(lane, rule, key), Some(document)),
            Some(Ok(worker)) => (Position::Known(lane, worker, rule, key), Some(document)),
            Some(Err(KnownWorkerProblem::NameUnknown(name))) => (Position::Awaited(name), None),
            Some(Err(_)) => (Position::Nobody, None),
        }
    }

    fn deadlines_of(&self, row: &Task, reservations: &[super::sid::ReservationSid]) -> Vec<(Timestamp, Deadline)> {
        let mut deadlines = Vec::new();
        // Once accepted it is not the time to live that counts, also while the task is handed on.
        if row.transfer.is_some() || matches!(row.status, TaskStatus::Assigned | TaskStatus::Wrapping) {
            let since = row.assigned_at.unwrap_or(row.updated_at);
            deadlines.push((since.plus_secs(ASSIGNED_SECS_MAX), Deadline::AssignedTooLong(row.sid)));
        }
        match row.status {
            TaskStatus::Pending => {
                if row.transfer.is_none() {
                    deadlines.push((row.created_at.plus_secs(row.timeout_secs), Deadline::TaskLife(row.sid)));
                }
                if let Some(target) = self.target_of(row)
                    && target.timeout_secs.is_some()
                {
                    deadlines.push((row.base_at.plus_secs(target.ends_after_secs), Deadline::Step(row.sid)));
                }
                let gaps = row.back_offs.iter().map(|back_off| back_off.until);
                if let Some(until) = gaps.filter(|until| *until != BackOff::OVER).min() {
                    deadlines.push((until, Deadline::BackOff(row.sid)));
                }
            }
            TaskStatus::Reserved if row.transfer.is_none() => {
                let connecting = reservations
                    .iter()
                    .filter_map(|sid| self.reservations.get(sid))
                    .any(|reservation| reservation.status == ReservationStatus::Pending && reservation.connecting);
                if !connecting {
                    deadlines.push((row.created_at.plus_secs(row.timeout_secs), Deadline::TaskLife(row.sid)));
                }
            }
            TaskStatus::Reserved | TaskStatus::Assigned | TaskStatus::Wrapping => {}
            TaskStatus::Completed | TaskStatus::Canceled => {
                let since = row.finished_at.unwrap_or(row.updated_at);
                deadlines.push((since.plus_secs(PURGE_AFTER_SECS), Deadline::Purge(row.sid)));
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
            self.refresh_membership_in(*worker, &queues);
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

fn discount<K: Ord>(counts: &mut std::collections::BTreeMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
