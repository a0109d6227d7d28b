//! Workers and their channels: creation, changes of activity, attributes and capacity, deletion.
//!
//! Start with [`Turn::update_worker`] and [`Turn::move_worker`].

use std::collections::{BTreeMap, BTreeSet};

use super::EventKind;
use super::command::{ChannelName, NewWorker, Reply, WorkerUpdate};
use super::defect::defect;
use super::expression::Document;
use super::index::discount;
use super::refusal::Refusal;
use super::sid::{ActivitySid, ReservationSid, TaskChannelSid, TaskQueueSid, TaskSid, WorkerChannelSid, WorkerSid};
use super::state::{ReservationStatus, RoutingTarget, TaskStatus, Worker, WorkerChannel};
use super::turn::{Turn, check_attributes, check_name, check_version};
use super::workspace::WorkerEntry;

/// Largest capacity of a worker on one channel (TaskRouter: resource limits).
pub(super) const CAPACITY_MAX: u32 = 50;

impl Turn<'_> {
    pub(super) fn create_worker(&mut self, new: &NewWorker) -> Result<Reply, Refusal> {
        check_name("FriendlyName", &new.friendly_name)?;
        check_attributes(&new.attributes)?;
        let name_key = new.friendly_name.to_lowercase();
        if self.workspace.worker_names.contains_key(&name_key) {
            return Err(Refusal::WorkerNameTaken);
        }
        if let Some(activity) = new.activity {
            self.check_activity("ActivitySid", activity)?;
        }
        let limit = self.workspace.limits.workers;
        if self.workspace.workers.len() >= limit {
            return Err(Refusal::LimitReached { kind: "workers", limit });
        }
        let sid = WorkerSid::fresh(self.sids, self.now);
        let row = Worker {
            sid,
            friendly_name: new.friendly_name.clone(),
            attributes: new.attributes.clone(),
            activity: new.activity.unwrap_or(self.workspace.settings.default_activity),
            status_changed_at: self.now,
            last_reserved_at: self.now,
            version: 0,
            created_at: self.now,
            updated_at: self.now,
            connect_failures: 0,
        };
        let entry = WorkerEntry {
            row,
            sid_text: sid.to_string(),
            document: Document::default(),
            channels: BTreeMap::new(),
            queues: BTreeSet::new(),
            open: BTreeSet::new(),
            ready: BTreeMap::new(),
        };
        self.workspace.worker_names.insert(name_key.clone(), sid);
        self.workspace.newest_stamp = self.workspace.newest_stamp.max(self.now);
        *self.workspace.workers_in.entry(entry.row.activity).or_insert(0) += 1;
        self.workspace.workers.insert(sid, entry);
        let channels: Vec<TaskChannelSid> = self.workspace.task_channels.keys().copied().collect();
        for channel in channels {
            self.add_worker_channel(sid, channel);
        }
        self.touch_worker(sid, None);
        self.workspace.refresh_document(sid);
        self.workspace.refresh_membership(sid, |_| true);
        self.workspace.refresh_ready(sid);
        self.workspace.name_taken(&name_key);
        self.record_worker(EventKind::WorkerCreated, sid);
        self.free(sid);
        Ok(Reply::Worker(sid))
    }

    pub(super) fn add_worker_channel(&mut self, worker: WorkerSid, channel: TaskChannelSid) {
        let row = WorkerChannel {
            sid: WorkerChannelSid::fresh(self.sids, self.now),
            worker,
            channel,
            configured_capacity: 1,
            available: true,
            assigned_tasks: 0,
            used: 0,
            last_reserved_at: self.now,
            created_at: self.now,
            updated_at: self.now,
        };
        self.workspace.touched.worker_channels.insert((row.sid, worker, channel));
        if let Some(entry) = self.workspace.workers.get_mut(&worker) {
            entry.channels.insert(channel, row);
        }
    }

    pub(super) fn update_worker(&mut self, worker: WorkerSid, update: &WorkerUpdate) -> Result<Reply, Refusal> {
        let entry = self.workspace.workers.get(&worker).ok_or(Refusal::NotFound)?;
        check_version(update.if_match, entry.row.version)?;
        if let Some(name) = &update.friendly_name {
            check_name("FriendlyName", name)?;
            let holder = self.workspace.worker_names.get(&name.to_lowercase());
            if holder.is_some_and(|holder| *holder != worker) {
                return Err(Refusal::WorkerNameTaken);
            }
        }
        if let Some(attributes) = &update.attributes {
            check_attributes(attributes)?;
        }
        if let Some(activity) = update.activity {
            self.check_activity("ActivitySid", activity)?;
        }
        if update.reject_pending_reservations {
            let activity = update.activity.and_then(|activity| self.workspace.activities.get(&activity));
            if activity.is_none_or(|entry| entry.row.available) {
                return Err(Refusal::RejectPendingNeedsUnavailable);
            }
        }
        self.change_profile(worker, update);
        if let Some(activity) = update.activity {
            self.move_worker(worker, activity);
        }
        if update.reject_pending_reservations {
            for reservation in self.pending_reservations_of(worker) {
                self.reject_pending(reservation);
            }
        }
        Ok(Reply::Worker(worker))
    }

    /// Name and attributes: one version for both.
    fn change_profile(&mut self, worker: WorkerSid, update: &WorkerUpdate) {
        let now = self.now;
        let Some(entry) = self.workspace.workers.get_mut(&worker) else { return };
        let name = update.friendly_name.as_ref().filter(|name| **name != entry.row.friendly_name);
        let attributes = update.attributes.as_ref().filter(|text| **text != entry.row.attributes);
        if name.is_none() && attributes.is_none() {
            return;
        }
        let old_key = entry.row.friendly_name.to_lowercase();
        if let Some(name) = name {
            entry.row.friendly_name.clone_from(name);
        }
        if let Some(attributes) = attributes {
            entry.row.attributes.clone_from(attributes);
        }
        entry.row.version += 1;
        entry.row.updated_at = now;
        if let Some(name) = name {
            let new_key = name.to_lowercase();
            self.workspace.worker_names.remove(&old_key);
            self.workspace.worker_names.insert(new_key.clone(), worker);
            if new_key != old_key {
                self.workspace.name_given_up(worker);
                self.workspace.name_taken(&new_key);
            }
        }
        self.touch_worker(worker, None);
        let changed = self.workspace.refresh_document(worker);
        let renamed = name.is_some();
        self.workspace.refresh_membership(worker, |queue| renamed || queue.reads(&changed));
        self.workspace.refresh_ready(worker);
        self.record_worker(EventKind::WorkerAttributesUpdate, worker);
        self.free(worker);
    }

    /// Moves a worker to an activity, with the event, unless it is in it already.
    pub(super) fn move_worker(&mut self, worker: WorkerSid, activity: ActivitySid) {
        let now = self.now;
        let Some(entry) = self.workspace.workers.get_mut(&worker) else { return };
        let before = entry.row.activity;
        if before == activity {
            return;
        }
        let since = entry.row.status_changed_at;
        entry.row.activity = activity;
        entry.row.status_changed_at = now;
        entry.row.version += 1;
        entry.row.updated_at = now;
        self.workspace.move_member(worker, before);
        self.touch_worker(worker, None);
        self.refresh_dynamic(worker);
        self.workspace.refresh_ready(worker);
        self.record_activity_update(worker, before, since);
        self.free(worker);
    }

    /// Notes that the worker's phone took a call, or one more did not; true when the limit is reached, from which it is
    /// counted anew.
    pub(super) fn count_connect(&mut self, worker: WorkerSid, missed: bool) -> bool {
        let limit = self.workspace.connect_failure_limit;
        let Some(entry) = self.workspace.workers.get_mut(&worker) else { return false };
        let before = entry.row.connect_failures;
        let failures = if missed { before.saturating_add(1) } else { 0 };
        let reached = limit > 0 && failures >= limit;
        entry.row.connect_failures = if reached { 0 } else { failures };
        if entry.row.connect_failures != before {
            self.touch_worker(worker, None);
        }
        reached
    }

    /// Recomputes the queues whose expressions mention what has just changed (D7).
    pub(super) fn refresh_dynamic(&mut self, worker: WorkerSid) {
        if !self.workspace.dynamic_queues.is_empty() {
            let queues: Vec<TaskQueueSid> = self.workspace.dynamic_queues.iter().copied().collect();
            self.workspace.refresh_membership_in(worker, &queues);
        }
    }

    pub(super) fn delete_worker(&mut self, worker: WorkerSid, if_match: Option<u64>) -> Result<Reply, Refusal> {
        let entry = self.workspace.workers.get(&worker).ok_or(Refusal::NotFound)?;
        check_version(if_match, entry.row.version)?;
        let active =
            entry.open.iter().any(|sid| self.workspace.reservation(*sid).is_some_and(|row| row.status.is_active()));
        if active {
            if defect!(RefusalChanges) {
                self.workspace.clear_ready(worker);
            }
            let reason = format!("worker {worker} has accepted or wrapping reservations");
            return Err(Refusal::InUse { reason });
        }
        for reservation in self.pending_reservations_of(worker) {
            self.cancel_pending(reservation);
        }
        // Before anything is matched again, and after the last change that could make the worker a member anew.
        self.workspace.clear_ready(worker);
        let queues: Vec<TaskQueueSid> =
            self.workspace.workers.get(&worker).map(|entry| entry.queues.iter().copied().collect()).unwrap_or_default();
        self.workspace.leave_queues(worker, &queues);
        self.record_worker(EventKind::WorkerDeleted, worker);
        let Some(entry) = self.workspace.workers.remove(&worker) else { return Ok(Reply::Done) };
        discount(&mut self.workspace.workers_in, &entry.row.activity);
        self.freed.remove(&worker);
        self.workspace.worker_names.remove(&entry.row.friendly_name.to_lowercase());
        self.workspace.name_given_up(worker);
        self.workspace.recall_newest_stamp();
        self.workspace.touched.workers.insert(worker);
        self.forget_presence(worker);
        for (channel, row) in entry.channels {
            self.workspace.touched.worker_channels.insert((row.sid, worker, channel));
        }
        self.lose_targeted(worker);
        Ok(Reply::Done)
    }

    /// Tasks that wait for a worker that is no more are lost (D32).
    fn lose_targeted(&mut self, worker: WorkerSid) {
        let waiting: Vec<TaskSid> = self
            .workspace
            .targeted
            .get(&worker)
            .map(|waiting| waiting.iter().map(|(_, task)| *task).collect())
            .unwrap_or_default();
        for task in waiting {
            let still = self.workspace.task(task).is_some_and(|row| {
                row.status == TaskStatus::Pending && *row.routing_target == Some(RoutingTarget::Worker(worker))
            });
            if still {
                self.lose_target(task);
            }
        }
    }

    pub(super) fn pending_reservations_of(&self, worker: WorkerSid) -> Vec<ReservationSid> {
        let Some(entry) = self.workspace.workers.get(&worker) else { return Vec::new() };
        entry
            .open
            .iter()
            .copied()
            .filter(|sid| self.workspace.reservation(*sid).is_some_and(|row| row.status == ReservationStatus::Pending))
            .collect()
    }

    pub(super) fn update_worker_channel(
        &mut self,
        worker: WorkerSid,
        channel: &ChannelName,
        capacity: Option<u32>,
        available: Option<bool>,
    ) -> Result<Reply, Refusal> {
        let entry = self.workspace.workers.get(&worker).ok_or(Refusal::NotFound)?;
        let channel = match channel {
            ChannelName::WorkerChannel(sid) => {
                entry.channels.values().find(|row| row.sid == *sid).map(|row| row.channel)
            }
            other => self.channel_named(other),
        };
        let row = channel.and_then(|channel| entry.channels.get(&channel)).ok_or(Refusal::NotFound)?;
        let channel = row.channel;
        if capacity.is_some_and(|capacity| capacity > CAPACITY_MAX) {
            let reason = format!("expected 0 to {CAPACITY_MAX}");
            return Err(Refusal::Invalid { parameter: "Capacity", reason });
        }
        let previous = row.configured_capacity;
        let capacity = capacity.filter(|capacity| *capacity != previous);
        let available = available.filter(|available| *available != row.available);
        if capacity.is_none() && available.is_none() {
            return Ok(Reply::Done);
        }
        let now = self.now;
        if let Some(entry) = self.workspace.workers.get_mut(&worker) {
            if let Some(row) = entry.channels.get_mut(&channel) {
                row.configured_capacity = capacity.unwrap_or(row.configured_capacity);
                row.available = available.unwrap_or(row.available);
                row.updated_at = now;
            }
            entry.row.version += u64::from(capacity.is_some()) + u64::from(available.is_some());
            entry.row.updated_at = now;
        }
        self.touch_worker(worker, Some(channel));
        self.refresh_dynamic(worker);
        self.workspace.refresh_ready(worker);
        if capacity.is_some() {
            self.record_channel(EventKind::WorkerCapacityUpdate, worker, channel, Some(previous));
        }
        if available.is_some() {
            self.record_channel(EventKind::WorkerChannelAvailabilityUpdate, worker, channel, None);
        }
        if !defect!(RaisedCapacityUnused) {
            self.free(worker);
        }
        Ok(Reply::Done)
    }

    pub(super) fn check_activity(&self, parameter: &'static str, activity: ActivitySid) -> Result<(), Refusal> {
        if self.workspace.activities.contains_key(&activity) {
            Ok(())
        } else {
            Err(Refusal::UnknownReference { parameter, value: activity.to_string() })
        }
    }
}
