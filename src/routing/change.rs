//! Which rows a command changed, and all rows of a workspace: the seam between the routing core and the store.

use super::sid::{
    ActivitySid, ReservationSid, TaskChannelSid, TaskQueueSid, TaskSid, TransferSid, WorkerChannelSid, WorkerSid,
    WorkflowSid,
};
use super::state::{
    Activity, Presence, Reservation, Task, TaskChannel, TaskQueue, Transfer, Worker, WorkerChannel, Workflow,
    WorkflowVersion, WorkspaceSettings,
};

/// One row to write or to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the record of the same name, written or removed")]
pub enum RowChange {
    Workspace(WorkspaceSettings),
    /// Removes the workspace and every row that belongs to it.
    WorkspaceDeleted,
    Activity(Activity),
    ActivityDeleted(ActivitySid),
    TaskChannel(TaskChannel),
    TaskChannelDeleted(TaskChannelSid),
    TaskQueue(TaskQueue),
    TaskQueueDeleted(TaskQueueSid),
    Workflow(Workflow),
    WorkflowDeleted(WorkflowSid),
    WorkflowVersion(WorkflowVersion),
    WorkflowVersionDeleted(WorkflowSid, u32),
    Worker(Worker),
    WorkerDeleted(WorkerSid),
    WorkerChannel(WorkerChannel),
    WorkerChannelDeleted(WorkerChannelSid),
    Task(Task),
    /// Removes the task; its reservations and transfers are removed by changes of their own.
    TaskDeleted(TaskSid),
    Reservation(Reservation),
    ReservationDeleted(ReservationSid),
    Transfer(Transfer),
    TransferDeleted(TransferSid),
    Presence(Presence),
    PresenceDeleted(WorkerSid),
}

/// All rows of one workspace, each list ordered by SID (workflow versions by workflow and number).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each field is the list of the records of the same name")]
pub struct WorkspaceRows {
    pub settings: WorkspaceSettings,
    pub activities: Vec<Activity>,
    pub task_channels: Vec<TaskChannel>,
    pub task_queues: Vec<TaskQueue>,
    pub workflows: Vec<Workflow>,
    pub workflow_versions: Vec<WorkflowVersion>,
    pub workers: Vec<Worker>,
    pub worker_channels: Vec<WorkerChannel>,
    pub tasks: Vec<Task>,
    pub reservations: Vec<Reservation>,
    pub transfers: Vec<Transfer>,
    pub presences: Vec<Presence>,
}
