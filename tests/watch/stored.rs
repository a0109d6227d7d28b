//! What the stream of row changes amounts to: the rows a store would hold, with the few indices the checks need.
//!
//! [`Stored::apply`] hands back the row that was there, so that what is not on disk yet can be taken back. Nothing is
//! checked here.

use std::collections::{BTreeMap, BTreeSet};

use switchhook::routing::{
    Activity, ActivitySid, Presence, Reservation, ReservationSid, RowChange, Task, TaskChannel, TaskChannelSid,
    TaskQueue, TaskQueueSid, TaskSid, TaskStatus, Transfer, TransferSid, TransferStatus, Worker, WorkerChannel,
    WorkerChannelSid, WorkerSid, Workflow, WorkflowSid, WorkflowVersion, WorkspaceRows, WorkspaceSettings,
};

/// The rows of one workspace, by key.
pub(crate) struct Stored {
    pub(crate) settings: WorkspaceSettings,
    pub(crate) activities: BTreeMap<ActivitySid, Activity>,
    pub(crate) task_channels: BTreeMap<TaskChannelSid, TaskChannel>,
    pub(crate) task_queues: BTreeMap<TaskQueueSid, TaskQueue>,
    pub(crate) workflows: BTreeMap<WorkflowSid, Workflow>,
    pub(crate) versions: BTreeMap<(WorkflowSid, u32), WorkflowVersion>,
    pub(crate) workers: BTreeMap<WorkerSid, Worker>,
    pub(crate) worker_channels: BTreeMap<WorkerChannelSid, WorkerChannel>,
    pub(crate) tasks: BTreeMap<TaskSid, Task>,
    pub(crate) reservations: BTreeMap<ReservationSid, Reservation>,
    pub(crate) transfers: BTreeMap<TransferSid, Transfer>,
    pub(crate) presences: BTreeMap<WorkerSid, Presence>,
    channels: BTreeMap<(WorkerSid, TaskChannelSid), WorkerChannelSid>,
    of_task: BTreeMap<TaskSid, BTreeSet<ReservationSid>>,
    transfers_of: BTreeMap<TaskSid, BTreeSet<TransferSid>>,
    open_of_task: BTreeMap<TaskSid, BTreeSet<ReservationSid>>,
    open_of: BTreeMap<WorkerSid, BTreeSet<ReservationSid>>,
    open: BTreeSet<ReservationSid>,
    handed_on: BTreeSet<ReservationSid>,
    live: BTreeSet<TaskSid>,
    initiated: BTreeSet<TransferSid>,
    pending: BTreeSet<TaskSid>,
}

impl Stored {
    /// No rows yet but the workspace's own.
    pub(crate) fn new(settings: WorkspaceSettings) -> Self {
        Self {
            settings,
            activities: BTreeMap::new(),
            task_channels: BTreeMap::new(),
            task_queues: BTreeMap::new(),
            workflows: BTreeMap::new(),
            versions: BTreeMap::new(),
            workers: BTreeMap::new(),
            worker_channels: BTreeMap::new(),
            tasks: BTreeMap::new(),
            reservations: BTreeMap::new(),
            transfers: BTreeMap::new(),
            presences: BTreeMap::new(),
            channels: BTreeMap::new(),
            of_task: BTreeMap::new(),
            transfers_of: BTreeMap::new(),
            open_of_task: BTreeMap::new(),
            open_of: BTreeMap::new(),
            open: BTreeSet::new(),
            handed_on: BTreeSet::new(),
            live: BTreeSet::new(),
            initiated: BTreeSet::new(),
            pending: BTreeSet::new(),
        }
    }

    /// Writes or removes one row, as a store would; the change that undoes it.
    pub(crate) fn apply(&mut self, change: RowChange) -> RowChange {
        macro_rules! put {
            ($list:ident, $key:expr, $row:expr, $written:ident, $removed:ident) => {{
                let key = $key;
                self.$list.insert(key, $row).map_or(RowChange::$removed(key), RowChange::$written)
            }};
        }
        macro_rules! take {
            ($list:ident, $key:expr, $written:ident, $removed:ident) => {
                self.$list.remove(&$key).map_or(RowChange::$removed($key), RowChange::$written)
            };
        }
        match change {
            RowChange::Workspace(row) => RowChange::Workspace(std::mem::replace(&mut self.settings, row)),
            RowChange::WorkspaceDeleted => RowChange::WorkspaceDeleted,
            RowChange::Activity(row) => put!(activities, row.sid, row, Activity, ActivityDeleted),
            RowChange::ActivityDeleted(sid) => take!(activities, sid, Activity, ActivityDeleted),
            RowChange::TaskChannel(row) => put!(task_channels, row.sid, row, TaskChannel, TaskChannelDeleted),
            RowChange::TaskChannelDeleted(sid) => take!(task_channels, sid, TaskChannel, TaskChannelDeleted),
            RowChange::TaskQueue(row) => put!(task_queues, row.sid, row, TaskQueue, TaskQueueDeleted),
            RowChange::TaskQueueDeleted(sid) => take!(task_queues, sid, TaskQueue, TaskQueueDeleted),
            RowChange::Workflow(row) => put!(workflows, row.sid, row, Workflow, WorkflowDeleted),
            RowChange::WorkflowDeleted(sid) => take!(workflows, sid, Workflow, WorkflowDeleted),
            RowChange::WorkflowVersion(row) => {
                let key = (row.workflow, row.version);
                let gone = RowChange::WorkflowVersionDeleted(key.0, key.1);
                self.versions.insert(key, row).map_or(gone, RowChange::WorkflowVersion)
            }
            RowChange::WorkflowVersionDeleted(sid, version) => {
                let gone = RowChange::WorkflowVersionDeleted(sid, version);
                self.versions.remove(&(sid, version)).map_or(gone, RowChange::WorkflowVersion)
            }
            RowChange::Worker(row) => put!(workers, row.sid, row, Worker, WorkerDeleted),
            RowChange::WorkerDeleted(sid) => take!(workers, sid, Worker, WorkerDeleted),
            RowChange::WorkerChannel(row) => {
                self.channels.insert((row.worker, row.channel), row.sid);
                put!(worker_channels, row.sid, row, WorkerChannel, WorkerChannelDeleted)
            }
            RowChange::WorkerChannelDeleted(sid) => {
                if let Some(row) = self.worker_channels.get(&sid) {
                    self.channels.remove(&(row.worker, row.channel));
                }
                take!(worker_channels, sid, WorkerChannel, WorkerChannelDeleted)
            }
            RowChange::Task(row) => {
                if self.tasks.get(&row.sid).is_none_or(|before| before.status != row.status) {
                    hold(&mut self.pending, row.sid, row.status == TaskStatus::Pending);
                    hold(&mut self.live, row.sid, !row.status.is_final());
                }
                put!(tasks, row.sid, row, Task, TaskDeleted)
            }
            RowChange::TaskDeleted(sid) => {
                self.pending.remove(&sid);
                self.live.remove(&sid);
                take!(tasks, sid, Task, TaskDeleted)
            }
            RowChange::Reservation(row) => {
                let before = self.reservations.get(&row.sid);
                let same = |before: &Reservation| {
                    (before.task, before.worker) == (row.task, row.worker)
                        && before.status.is_open() == row.status.is_open()
                        && before.transfer.is_some() == row.transfer.is_some()
                };
                if !before.is_some_and(same) {
                    self.place_reservation(&row);
                }
                put!(reservations, row.sid, row, Reservation, ReservationDeleted)
            }
            RowChange::ReservationDeleted(sid) => {
                self.open.remove(&sid);
                self.handed_on.remove(&sid);
                if let Some(row) = self.reservations.get(&sid) {
                    drop_from(&mut self.of_task, &row.task, &sid);
                    drop_from(&mut self.open_of_task, &row.task, &sid);
                    drop_from(&mut self.open_of, &row.worker, &sid);
                }
                take!(reservations, sid, Reservation, ReservationDeleted)
            }
            RowChange::Transfer(row) => {
                self.transfers_of.entry(row.task).or_default().insert(row.sid);
                hold(&mut self.initiated, row.sid, row.status == TransferStatus::Initiated);
                put!(transfers, row.sid, row, Transfer, TransferDeleted)
            }
            RowChange::TransferDeleted(sid) => {
                self.initiated.remove(&sid);
                if let Some(row) = self.transfers.get(&sid) {
                    drop_from(&mut self.transfers_of, &row.task, &sid);
                }
                take!(transfers, sid, Transfer, TransferDeleted)
            }
            RowChange::Presence(row) => put!(presences, row.worker, row, Presence, PresenceDeleted),
            RowChange::PresenceDeleted(worker) => take!(presences, worker, Presence, PresenceDeleted),
        }
    }

    /// Notes in the indices where a reservation belongs.
    fn place_reservation(&mut self, row: &Reservation) {
        self.of_task.entry(row.task).or_default().insert(row.sid);
        hold(&mut self.open, row.sid, row.status.is_open());
        hold(&mut self.handed_on, row.sid, row.transfer.is_some());
        if row.status.is_open() {
            self.open_of.entry(row.worker).or_default().insert(row.sid);
            self.open_of_task.entry(row.task).or_default().insert(row.sid);
        } else {
            drop_from(&mut self.open_of_task, &row.task, &row.sid);
            drop_from(&mut self.open_of, &row.worker, &row.sid);
        }
    }

    /// All rows in the order a store reads them.
    pub(crate) fn rows(&self) -> WorkspaceRows {
        fn list<K, T: Clone>(rows: &BTreeMap<K, T>) -> Vec<T> {
            rows.values().cloned().collect()
        }
        WorkspaceRows {
            settings: self.settings.clone(),
            activities: list(&self.activities),
            task_channels: list(&self.task_channels),
            task_queues: list(&self.task_queues),
            workflows: list(&self.workflows),
            workflow_versions: list(&self.versions),
            workers: list(&self.workers),
            worker_channels: list(&self.worker_channels),
            tasks: list(&self.tasks),
            reservations: list(&self.reservations),
            transfers: list(&self.transfers),
            presences: list(&self.presences),
        }
    }

    pub(crate) fn worker_channel(&self, worker: WorkerSid, channel: TaskChannelSid) -> Option<&WorkerChannel> {
        self.worker_channels.get(self.channels.get(&(worker, channel))?)
    }

    /// Pending, accepted and wrapping reservations of a task.
    pub(crate) fn open_of_task(&self, task: TaskSid) -> impl Iterator<Item = &Reservation> {
        self.open_of_task.get(&task).into_iter().flatten().filter_map(|sid| self.reservations.get(sid))
    }

    /// All reservations of a task, by SID.
    pub(crate) fn reservations_of(&self, task: TaskSid) -> impl DoubleEndedIterator<Item = &Reservation> {
        self.of_task.get(&task).into_iter().flatten().filter_map(|sid| self.reservations.get(sid))
    }

    pub(crate) fn transfers_of(&self, task: TaskSid) -> impl Iterator<Item = &Transfer> {
        self.transfers_of.get(&task).into_iter().flatten().filter_map(|sid| self.transfers.get(sid))
    }

    /// Pending, accepted and wrapping reservations of a worker.
    pub(crate) fn open_of(&self, worker: WorkerSid) -> impl Iterator<Item = &Reservation> {
        self.open_of.get(&worker).into_iter().flatten().filter_map(|sid| self.reservations.get(sid))
    }

    /// Pending, accepted and wrapping reservations, by SID.
    pub(crate) fn open_reservations(&self) -> impl Iterator<Item = &Reservation> {
        self.open.iter().filter_map(|sid| self.reservations.get(sid))
    }

    /// Reservations that are open or were made for a transfer, by SID.
    pub(crate) fn open_or_handed_on(&self) -> impl Iterator<Item = &Reservation> {
        self.open.union(&self.handed_on).filter_map(|sid| self.reservations.get(sid))
    }

    /// Transfers that go on, by SID.
    pub(crate) fn initiated_transfers(&self) -> impl Iterator<Item = &Transfer> {
        self.initiated.iter().filter_map(|sid| self.transfers.get(sid))
    }

    /// Tasks that are not finished.
    pub(crate) fn live_tasks(&self) -> usize {
        self.live.len()
    }

    pub(crate) fn pending_tasks(&self) -> impl Iterator<Item = &Task> {
        self.pending.iter().filter_map(|sid| self.tasks.get(sid))
    }
}

fn hold<S: Ord>(list: &mut BTreeSet<S>, sid: S, belongs: bool) {
    if belongs {
        list.insert(sid);
    } else {
        list.remove(&sid);
    }
}

fn drop_from<K: Ord, S: Ord>(lists: &mut BTreeMap<K, BTreeSet<S>>, key: &K, sid: &S) {
    if let Some(list) = lists.get_mut(key) {
        list.remove(sid);
        if list.is_empty() {
            lists.remove(key);
        }
    }
}
