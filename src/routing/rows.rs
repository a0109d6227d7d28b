//! The rows of a workspace: which of them changed, all of them, and the workspace that they make.
//!
//! The seam to the store as the workspace sees it; the records of the seam are in `change`. Decides nothing. Start with
//! [`Workspace::take_changes`] and [`Workspace::restore`].

use std::collections::{BTreeMap, BTreeSet};

use super::change::{RowChange, WorkspaceRows};
use super::deadline::Deadline;
use super::defect::defect;
use super::expression::Document;
use super::refusal::Refusal;
use super::sid::{
    ActivitySid, ReservationSid, TaskChannelSid, TaskQueueSid, TaskSid, TransferSid, WorkerChannelSid, WorkerSid,
    WorkflowSid,
};
use super::state::{Reservation, Task, WorkerChannel, WorkflowVersion};
use super::touches::Touches;
use super::workspace::{ActivityEntry, QueueEntry, TaskEntry, WorkerEntry, Workspace, compile_queue};

/// Which records changed since the last [`Workspace::take_changes`].
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) settings: bool,
    pub(super) deleted: bool,
    pub(super) activities: Touches<ActivitySid>,
    pub(super) task_channels: Touches<TaskChannelSid>,
    pub(super) task_queues: Touches<TaskQueueSid>,
    pub(super) workflows: Touches<WorkflowSid>,
    pub(super) versions: Touches<(WorkflowSid, u32)>,
    pub(super) workers: Touches<WorkerSid>,
    pub(super) worker_channels: Touches<(WorkerChannelSid, WorkerSid, TaskChannelSid)>,
    pub(super) tasks: Touches<TaskSid>,
    pub(super) reservations: Touches<ReservationSid>,
    pub(super) transfers: Touches<TransferSid>,
    pub(super) presences: Touches<WorkerSid>,
}

impl Touched {
    /// Whether anything changed.
    pub(super) fn anything(&self) -> bool {
        let Self {
            settings,
            deleted,
            activities,
            task_channels,
            task_queues,
            workflows,
            versions,
            workers,
            worker_channels,
            tasks,
            reservations,
            transfers,
            presences,
        } = self;
        *settings
            || *deleted
            || !(activities.is_empty()
                && task_channels.is_empty()
                && task_queues.is_empty()
                && workflows.is_empty()
                && versions.is_empty()
                && workers.is_empty()
                && worker_channels.is_empty()
                && tasks.is_empty()
                && reservations.is_empty()
                && transfers.is_empty()
                && presences.is_empty())
    }
}

/// What was removed, kept for as long as its last events are being told.
#[derive(Debug, Default)]
pub(super) struct Departed {
    pub(super) tasks: BTreeMap<TaskSid, Task>,
    pub(super) reservations: BTreeMap<ReservationSid, Reservation>,
}

impl Workspace {
    /// The rows to write for everything that changed since the last call.
    pub fn take_changes(&mut self) -> Vec<RowChange> {
        self.departed = std::mem::take(&mut self.departing);
        if self.touched.deleted {
            self.touched = Touched { deleted: true, ..Touched::default() };
            return vec![RowChange::WorkspaceDeleted];
        }
        let mut changes = Vec::new();
        if std::mem::take(&mut self.touched.settings) {
            changes.push(RowChange::Workspace(self.settings.clone()));
        }
        for sid in self.touched.activities.take() {
            changes.push(match self.activities.get(&sid) {
                Some(entry) => RowChange::Activity(entry.row.clone()),
                None => RowChange::ActivityDeleted(sid),
            });
        }
        for sid in self.touched.task_channels.take() {
            changes.push(match self.task_channels.get(&sid) {
                Some(row) => RowChange::TaskChannel(row.clone()),
                None => RowChange::TaskChannelDeleted(sid),
            });
        }
        for sid in self.touched.task_queues.take() {
            changes.push(match self.task_queues.get(&sid) {
                Some(entry) => RowChange::TaskQueue(entry.row.clone()),
                None => RowChange::TaskQueueDeleted(sid),
            });
        }
        for sid in self.touched.workflows.take() {
            changes.push(match self.workflows.get(&sid) {
                Some(row) => RowChange::Workflow(row.clone()),
                None => RowChange::WorkflowDeleted(sid),
            });
        }
        for (workflow, version) in self.touched.versions.take() {
            changes.push(match self.older_version(workflow, version) {
                Some(row) => RowChange::WorkflowVersion(row),
                None => RowChange::WorkflowVersionDeleted(workflow, version),
            });
        }
        for sid in self.touched.workers.take() {
            changes.push(match self.workers.get(&sid) {
                Some(entry) => RowChange::Worker(entry.row.clone()),
                None => RowChange::WorkerDeleted(sid),
            });
        }
        for (sid, worker, channel) in self.touched.worker_channels.take() {
            changes.push(match self.worker_channel(worker, channel) {
                Some(row) => RowChange::WorkerChannel(row.clone()),
                None => RowChange::WorkerChannelDeleted(sid),
            });
        }
        for sid in self.touched.tasks.take() {
            changes.push(match self.tasks.get(&sid) {
                Some(entry) => RowChange::Task(entry.row.clone()),
                None => RowChange::TaskDeleted(sid),
            });
        }
        for sid in self.touched.reservations.take() {
            changes.push(match self.reservations.get(&sid) {
                Some(row) => RowChange::Reservation(row.clone()),
                None => RowChange::ReservationDeleted(sid),
            });
        }
        for sid in self.touched.transfers.take() {
            changes.push(match self.transfers.get(&sid) {
                Some(row) => RowChange::Transfer(row.clone()),
                None => RowChange::TransferDeleted(sid),
            });
        }
        for worker in self.touched.presences.take() {
            changes.push(match self.presences.get(&worker) {
                Some(row) => RowChange::Presence(row.clone()),
                None => RowChange::PresenceDeleted(worker),
            });
        }
        changes
    }

    /// The record of a configuration that is kept only because tasks follow it.
    fn older_version(&self, workflow: WorkflowSid, version: u32) -> Option<WorkflowVersion> {
        if self.workflows.get(&workflow).is_some_and(|row| row.version == version) {
            return None;
        }
        let entry = self.versions.get(&(workflow, version))?;
        Some(WorkflowVersion { workflow, version, configuration: entry.configuration.to_string() })
    }

    /// All records, ordered by SID: what a store would hold.
    pub fn rows(&self) -> WorkspaceRows {
        let mut worker_channels: Vec<WorkerChannel> =
            self.workers.values().flat_map(|entry| entry.channels.values().cloned()).collect();
        worker_channels.sort_by_key(|row| row.sid);
        WorkspaceRows {
            settings: self.settings.clone(),
            activities: self.activities.values().map(|entry| entry.row.clone()).collect(),
            task_channels: self.task_channels.values().cloned().collect(),
            task_queues: self.task_queues.values().map(|entry| entry.row.clone()).collect(),
            workflows: self.workflows.values().cloned().collect(),
            workflow_versions: self
                .versions
                .keys()
                .filter_map(|&(workflow, version)| self.older_version(workflow, version))
                .collect(),
            workers: self.workers.values().map(|entry| entry.row.clone()).collect(),
            worker_channels,
            tasks: self.tasks.values().map(|entry| entry.row.clone()).collect(),
            reservations: self.reservations.values().cloned().collect(),
            transfers: self.transfers.values().cloned().collect(),
            presences: self.presences.values().cloned().collect(),
        }
    }

    /// Rebuilds a workspace from its rows.
    ///
    /// Refuses when a stored expression or configuration does not compile, which a store that was written by
    /// [`Workspace::take_changes`] cannot cause.
    pub fn restore(rows: WorkspaceRows) -> Result<Self, Refusal> {
        let mut workspace = Self::empty(rows.settings);
        for row in rows.activities {
            let entry = ActivityEntry { sid_text: row.sid.to_string(), row };
            workspace.activities.insert(entry.row.sid, entry);
        }
        for row in rows.task_channels {
            workspace.channel_names.insert(row.unique_name.clone(), row.sid);
            workspace.task_channels.insert(row.sid, row);
        }
        for row in rows.task_queues {
            let expression = compile_queue(&row.target_workers, &mut workspace.vocabulary)?;
            let entry = QueueEntry { row, expression, members: BTreeSet::new(), members_in: BTreeMap::new() };
            workspace.task_queues.insert(entry.row.sid, entry);
        }
        for row in rows.workflow_versions {
            workspace.add_version(row.workflow, row.version, &row.configuration)?;
        }
        for row in rows.workflows {
            workspace.add_version(row.sid, row.version, &row.configuration)?;
            workspace.workflows.insert(row.sid, row);
        }
        for row in rows.workers {
            workspace.worker_names.insert(row.friendly_name.to_lowercase(), row.sid);
            let entry = WorkerEntry {
                sid_text: row.sid.to_string(),
                document: Document::default(),
                channels: BTreeMap::new(),
                queues: BTreeSet::new(),
                open: BTreeSet::new(),
                ready: BTreeMap::new(),
                row,
            };
            *workspace.workers_in.entry(entry.row.activity).or_insert(0) += 1;
            workspace.workers.insert(entry.row.sid, entry);
        }
        for row in rows.worker_channels {
            if let Some(worker) = workspace.workers.get_mut(&row.worker) {
                worker.channels.insert(row.channel, row);
            }
        }
        // Collected and not inserted one by one: in order they are packed closely, which counts with many tasks.
        workspace.tasks = rows.tasks.into_iter().map(|row| (row.sid, Box::new(TaskEntry::new(row)))).collect();
        let mut reservations = rows.reservations;
        reservations.sort_by_key(|row| (row.created_at, row.sid));
        for row in reservations {
            if let Some(task) = workspace.tasks.get_mut(&row.task) {
                let offers = task.offers_mut();
                offers.reservations.push(row.sid);
                if row.status.is_open() {
                    offers.open.push(row.sid);
                }
            }
            if row.status.is_open()
                && let Some(worker) = workspace.workers.get_mut(&row.worker)
            {
                worker.open.insert(row.sid);
            }
            if let Some(at) = row.deadline.filter(|_| !defect!(TimerLostOnRestart)) {
                workspace.deadlines.insert((at, Deadline::Reservation(row.sid)));
            }
            workspace.reservations.insert(row.sid, row);
        }
        for row in rows.transfers {
            if let Some(task) = workspace.tasks.get_mut(&row.task) {
                task.offers_mut().transfers.insert(row.sid);
            }
            workspace.transfers.insert(row.sid, row);
        }
        for row in rows.presences {
            workspace.put_presence(row);
        }
        workspace.recall_newest_stamp();
        workspace.derive();
        Ok(workspace)
    }
}
