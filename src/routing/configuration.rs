//! The workspace's own fields, activities and task channels: creation, change, deletion.
//!
//! Task queues and workflows, which decide where tasks go, are in `queues`. Start with [`Turn::found`].

use super::EventKind;
use super::command::{ChannelName, NewTaskQueue, NewWorkflow, Reply, WorkspaceUpdate};
use super::refusal::Refusal;
use super::sid::{ActivitySid, TaskChannelSid, WorkerSid};
use super::state::{Activity, TaskChannel, TaskOrder};
use super::task::channel_text;
use super::turn::{Turn, check_name};
use super::workspace::{ActivityEntry, BUILT_IN_CHANNELS};

impl Turn<'_> {
    /// Fills a new workspace with what its template promises.
    pub(super) fn found(&mut self, offline: ActivitySid, with_queue: bool) -> Result<(), Refusal> {
        self.record_workspace(EventKind::WorkspaceCreated);
        self.insert_activity(offline, "Offline", false);
        for (name, available) in [("Available", true), ("Unavailable", false)] {
            let sid = ActivitySid::fresh(self.sids, self.now);
            self.insert_activity(sid, name, available);
        }
        for (unique_name, friendly_name) in BUILT_IN_CHANNELS {
            self.insert_channel(unique_name, friendly_name, false, true);
        }
        if !with_queue {
            return Ok(());
        }
        let queue = self.create_task_queue(&NewTaskQueue {
            friendly_name: "Sample Queue".to_owned(),
            target_workers: "1==1".to_owned(),
            task_order: TaskOrder::Fifo,
            max_reserved_workers: 1,
            reservation_activity: None,
            assignment_activity: None,
        })?;
        if let Reply::TaskQueue(queue) = queue {
            let configuration =
                serde_json::json!({ "task_routing": { "filters": [], "default_filter": { "queue": queue } } });
            self.create_workflow(&NewWorkflow {
                friendly_name: "Default Fifo Workflow".to_owned(),
                configuration: configuration.to_string(),
                assignment_callback_url: None,
                fallback_assignment_callback_url: None,
                task_reservation_timeout_secs: 120,
            })?;
        }
        Ok(())
    }

    pub(super) fn update_workspace(&mut self, update: &WorkspaceUpdate) -> Result<Reply, Refusal> {
        if let Some(name) = &update.friendly_name {
            check_name("FriendlyName", name)?;
        }
        if let Some(activity) = update.default_activity {
            self.check_activity("DefaultActivitySid", activity)?;
        }
        if let Some(activity) = update.timeout_activity {
            self.check_activity("TimeoutActivitySid", activity)?;
        }
        self.check_grace(update.disconnect_grace_secs.flatten(), update.disconnect_activity.flatten())?;
        if update.multi_task_enabled == Some(false) && self.workspace.settings.multi_task_enabled {
            return Err(Refusal::MultiTaskingStays);
        }
        let mut settings = self.workspace.settings.clone();
        if let Some(name) = &update.friendly_name {
            settings.friendly_name.clone_from(name);
        }
        if let Some(url) = &update.event_callback_url {
            settings.event_callback_url.clone_from(url);
        }
        if let Some(filter) = &update.events_filter {
            settings.events_filter.clone_from(filter);
        }
        settings.default_activity = update.default_activity.unwrap_or(settings.default_activity);
        settings.timeout_activity = update.timeout_activity.unwrap_or(settings.timeout_activity);
        settings.multi_task_enabled = update.multi_task_enabled.unwrap_or(settings.multi_task_enabled);
        settings.prioritize_queue_order = update.prioritize_queue_order.unwrap_or(settings.prioritize_queue_order);
        settings.disconnect_grace_secs = update.disconnect_grace_secs.unwrap_or(settings.disconnect_grace_secs);
        settings.disconnect_activity = update.disconnect_activity.unwrap_or(settings.disconnect_activity);
        if settings == self.workspace.settings {
            return Ok(Reply::Done);
        }
        settings.updated_at = self.now;
        let becomes_multitasking = settings.multi_task_enabled != self.workspace.settings.multi_task_enabled;
        self.workspace.settings = settings;
        self.workspace.touched.settings = true;
        self.record_workspace(EventKind::WorkspaceUpdated);
        self.forget_what_is_not_asked_for();
        if becomes_multitasking {
            self.refresh_all_workers();
        }
        Ok(Reply::Done)
    }

    /// Brings every worker's readiness up to date after a change that concerns all.
    pub(super) fn refresh_all_workers(&mut self) {
        let workers: Vec<WorkerSid> = self.workspace.workers.keys().copied().collect();
        for worker in workers {
            self.workspace.refresh_ready(worker);
            self.free(worker);
        }
    }

    pub(super) fn delete_workspace(&mut self) -> Reply {
        self.record_workspace(EventKind::WorkspaceDeleted);
        self.workspace.touched.deleted = true;
        Reply::Done
    }

    pub(super) fn create_activity(&mut self, name: &str, available: bool) -> Result<Reply, Refusal> {
        check_name("FriendlyName", name)?;
        self.check_activity_name(name, None)?;
        let limit = self.workspace.limits.activities;
        if self.workspace.activities.len() >= limit {
            return Err(Refusal::LimitReached { kind: "activities", limit });
        }
        let sid = ActivitySid::fresh(self.sids, self.now);
        self.insert_activity(sid, name, available);
        Ok(Reply::Activity(sid))
    }

    fn insert_activity(&mut self, sid: ActivitySid, name: &str, available: bool) {
        let row =
            Activity { sid, friendly_name: name.to_owned(), available, created_at: self.now, updated_at: self.now };
        self.workspace.activities.insert(sid, ActivityEntry { sid_text: sid.to_string(), row });
        self.workspace.touched.activities.insert(sid);
        self.record_activity(EventKind::ActivityCreated, sid);
    }

    fn check_activity_name(&self, name: &str, own: Option<ActivitySid>) -> Result<(), Refusal> {
        let taken = self
            .workspace
            .activities
            .values()
            .any(|entry| entry.row.friendly_name == name && Some(entry.row.sid) != own);
        if taken { Err(Refusal::NameTaken { kind: "Activity", name: name.to_owned() }) } else { Ok(()) }
    }

    pub(super) fn update_activity(&mut self, activity: ActivitySid, name: Option<&str>) -> Result<Reply, Refusal> {
        let entry = self.workspace.activities.get(&activity).ok_or(Refusal::NotFound)?;
        let Some(name) = name.filter(|name| *name != entry.row.friendly_name) else { return Ok(Reply::Done) };
        check_name("FriendlyName", name)?;
        self.check_activity_name(name, Some(activity))?;
        let now = self.now;
        if let Some(entry) = self.workspace.activities.get_mut(&activity) {
            name.clone_into(&mut entry.row.friendly_name);
            entry.row.updated_at = now;
        }
        self.workspace.touched.activities.insert(activity);
        self.record_activity(EventKind::ActivityUpdated, activity);
        // Expressions of queues and of targets can mention the name.
        let inside: Vec<WorkerSid> = self
            .workspace
            .workers
            .values()
            .filter(|entry| entry.row.activity == activity)
            .map(|entry| entry.row.sid)
            .collect();
        for worker in inside {
            self.refresh_dynamic(worker);
            self.workspace.refresh_ready(worker);
            self.free(worker);
        }
        Ok(Reply::Done)
    }

    pub(super) fn delete_activity(&mut self, activity: ActivitySid) -> Result<Reply, Refusal> {
        if !self.workspace.activities.contains_key(&activity) {
            return Err(Refusal::NotFound);
        }
        let settings = &self.workspace.settings;
        let used_by = if settings.default_activity == activity {
            Some("it is the workspace's default activity".to_owned())
        } else if settings.timeout_activity == activity {
            Some("it is the workspace's timeout activity".to_owned())
        } else if settings.disconnect_activity == Some(activity) {
            Some("it is the workspace's disconnect activity".to_owned())
        } else if let Some(worker) = self.workspace.workers.values().find(|entry| entry.row.activity == activity) {
            Some(format!("worker {} is in it", worker.row.sid))
        } else if let Some(offer) = self.workspace.offer_that_remembers(activity) {
            Some(format!("the worker of reservation {offer} may go back to it"))
        } else {
            let queue = self.workspace.task_queues.values().find(|entry| {
                entry.row.reservation_activity == Some(activity) || entry.row.assignment_activity == Some(activity)
            });
            queue.map(|entry| format!("task queue {} uses it", entry.row.sid))
        };
        if let Some(reason) = used_by {
            return Err(Refusal::InUse { reason });
        }
        self.record_activity(EventKind::ActivityDeleted, activity);
        self.workspace.activities.remove(&activity);
        self.workspace.touched.activities.insert(activity);
        Ok(Reply::Done)
    }

    pub(super) fn create_task_channel(
        &mut self,
        friendly_name: &str,
        unique_name: &str,
        optimized: bool,
    ) -> Result<Reply, Refusal> {
        check_name("FriendlyName", friendly_name)?;
        check_unique_name(unique_name)?;
        if self.workspace.channel_names.contains_key(unique_name) {
            return Err(Refusal::NameTaken { kind: "TaskChannel", name: unique_name.to_owned() });
        }
        let limit = self.workspace.limits.task_channels;
        if self.workspace.task_channels.len() >= limit {
            return Err(Refusal::LimitReached { kind: "task channels", limit });
        }
        let sid = self.insert_channel(unique_name, friendly_name, optimized, false);
        let workers: Vec<WorkerSid> = self.workspace.workers.keys().copied().collect();
        for worker in workers {
            self.add_worker_channel(worker, sid);
        }
        Ok(Reply::TaskChannel(sid))
    }

    fn insert_channel(
        &mut self,
        unique_name: &str,
        friendly_name: &str,
        optimized: bool,
        built_in: bool,
    ) -> TaskChannelSid {
        let sid = TaskChannelSid::fresh(self.sids, self.now);
        let row = TaskChannel {
            sid,
            friendly_name: friendly_name.to_owned(),
            unique_name: unique_name.to_owned(),
            channel_optimized_routing: optimized,
            built_in,
            created_at: self.now,
            updated_at: self.now,
        };
        self.workspace.channel_names.insert(unique_name.to_owned(), sid);
        self.workspace.task_channels.insert(sid, row);
        self.workspace.touched.task_channels.insert(sid);
        self.record_task_channel(EventKind::TaskChannelCreated, sid);
        sid
    }

    pub(super) fn update_task_channel(
        &mut self,
        channel: &ChannelName,
        friendly_name: Option<&str>,
        optimized: Option<bool>,
    ) -> Result<Reply, Refusal> {
        let sid = self.channel_named(channel).ok_or(Refusal::NotFound)?;
        if let Some(name) = friendly_name {
            check_name("FriendlyName", name)?;
        }
        let now = self.now;
        let Some(row) = self.workspace.task_channels.get_mut(&sid) else { return Err(Refusal::NotFound) };
        let renamed = friendly_name.is_some_and(|name| name != row.friendly_name);
        let reordered = optimized.is_some_and(|optimized| optimized != row.channel_optimized_routing);
        if !renamed && !reordered {
            return Ok(Reply::TaskChannel(sid));
        }
        if let Some(name) = friendly_name {
            name.clone_into(&mut row.friendly_name);
        }
        row.channel_optimized_routing = optimized.unwrap_or(row.channel_optimized_routing);
        row.updated_at = now;
        self.workspace.touched.task_channels.insert(sid);
        self.record_task_channel(EventKind::TaskChannelUpdated, sid);
        if reordered {
            self.refresh_all_workers();
        }
        Ok(Reply::TaskChannel(sid))
    }

    pub(super) fn delete_task_channel(&mut self, channel: &ChannelName) -> Result<Reply, Refusal> {
        let sid = self.channel_named(channel).ok_or(Refusal::NotFound)?;
        let row = self.workspace.task_channels.get(&sid).ok_or(Refusal::NotFound)?;
        if row.built_in {
            return Err(Refusal::InUse { reason: format!("{} is a built-in task channel", channel_text(channel)) });
        }
        if let Some(task) =
            self.workspace.tasks.values().find(|entry| entry.row.channel == sid && !entry.row.status.is_final())
        {
            return Err(Refusal::InUse { reason: format!("task {} uses the task channel", task.row.sid) });
        }
        let unique_name = row.unique_name.clone();
        self.record_task_channel(EventKind::TaskChannelDeleted, sid);
        self.workspace.task_channels.remove(&sid);
        self.workspace.channel_names.remove(&unique_name);
        self.workspace.touched.task_channels.insert(sid);
        self.workspace.lanes.retain(|lane, _| lane.1 != sid);
        let workers: Vec<WorkerSid> = self.workspace.workers.keys().copied().collect();
        for worker in workers {
            if let Some(row) = self.workspace.workers.get_mut(&worker).and_then(|entry| entry.channels.remove(&sid)) {
                self.workspace.touched.worker_channels.insert((row.sid, worker, sid));
            }
            self.workspace.refresh_ready(worker);
        }
        Ok(Reply::Done)
    }
}

/// `[A-Za-z_$][A-Za-z0-9_$]*`, at most 64 characters (TaskRouter: Task channels).
fn check_unique_name(name: &str) -> Result<(), Refusal> {
    check_name("UniqueName", name)?;
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$');
    let goes_on = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$');
    if starts && goes_on {
        return Ok(());
    }
    let reason = "expected letters, digits, _ and $, not beginning with a digit".to_owned();
    Err(Refusal::Invalid { parameter: "UniqueName", reason })
}
