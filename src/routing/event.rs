//! What happened, in the past tense: the records of the event log.
//!
//! A record is written once, at the moment of the change, with everything the REST log, the event callback and the
//! agent socket show of it. The sequence number counts from 1 without gaps within a workspace. Start with
//! [`EventRecord`].

use super::event_data::EventData;
use super::sid::{
    ActivitySid, EventSid, ReservationSid, SidText, TaskChannelSid, TaskQueueSid, TaskSid, TransferSid, WorkerSid,
    WorkflowSid,
};
use super::state::{ReservationStatus, TaskStatus};
use super::time::Timestamp;

/// One event of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Counts from 1 without gaps.
    pub sequence: u64,
    /// The event.
    pub sid: EventSid,
    /// `task.created`, …
    pub kind: EventKind,
    /// When.
    pub at: Timestamp,
    /// One readable sentence; nothing parses it.
    pub description: String,
    /// `task`, `worker`, `taskqueue`, …
    pub resource_type: &'static str,
    /// SID of the resource.
    pub resource_sid: SidText,
    /// Whom it concerns, for filters.
    pub about: About,
    /// `event_data`: snake-case names and text values, in order.
    pub data: EventData,
}

/// The entities an event refers to, and what statistics need to know of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct About {
    /// The task.
    pub task: Option<TaskSid>,
    /// The worker.
    pub worker: Option<WorkerSid>,
    /// The reservation.
    pub reservation: Option<ReservationSid>,
    /// The task queue.
    pub queue: Option<TaskQueueSid>,
    /// The workflow.
    pub workflow: Option<WorkflowSid>,
    /// The activity.
    pub activity: Option<ActivitySid>,
    /// The task channel.
    pub channel: Option<TaskChannelSid>,
    /// The task's status after the change.
    pub task_status: Option<TaskStatus>,
    /// The reservation's status after the change.
    pub reservation_status: Option<ReservationStatus>,
    /// When the task was made.
    pub task_created_at: Option<Timestamp>,
    /// When the task came into its queue.
    pub queue_entered_at: Option<Timestamp>,
    /// The queue that the task has left.
    pub previous_queue: Option<TaskQueueSid>,
    /// The transfer that the reservation was made for.
    pub transfer: Option<TransferSid>,
    /// The activity that the worker has left, and since when it was in it.
    pub previous_activity: Option<(ActivitySid, Timestamp)>,
}

macro_rules! event_kinds {
    ($($variant:ident = $text:literal),+ $(,)?) => {
        /// The types of events (TaskRouter: Events reference).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each variant is the event type of the same name")]
        pub enum EventKind { $($variant),+ }

        impl EventKind {
            /// All event types.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for EventKind {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}

event_kinds! {
    WorkspaceCreated = "workspace.created",
    WorkspaceUpdated = "workspace.updated",
    WorkspaceDeleted = "workspace.deleted",
    ActivityCreated = "activity.created",
    ActivityUpdated = "activity.updated",
    ActivityDeleted = "activity.deleted",
    TaskChannelCreated = "task-channel.created",
    TaskChannelUpdated = "task-channel.updated",
    TaskChannelDeleted = "task-channel.deleted",
    TaskQueueCreated = "task-queue.created",
    TaskQueueDeleted = "task-queue.deleted",
    TaskQueueExpressionUpdated = "task-queue.expression.updated",
    WorkflowCreated = "workflow.created",
    WorkflowUpdated = "workflow.updated",
    WorkflowDeleted = "workflow.deleted",
    WorkerCreated = "worker.created",
    WorkerDeleted = "worker.deleted",
    WorkerActivityUpdate = "worker.activity.update",
    WorkerAttributesUpdate = "worker.attributes.update",
    WorkerCapacityUpdate = "worker.capacity.update",
    WorkerChannelAvailabilityUpdate = "worker.channel.availability.update",
    TaskCreated = "task.created",
    TaskUpdated = "task.updated",
    TaskCanceled = "task.canceled",
    TaskWrapup = "task.wrapup",
    TaskCompleted = "task.completed",
    TaskDeleted = "task.deleted",
    TaskSystemDeleted = "task.system-deleted",
    TaskTransferInitiated = "task.transfer-initiated",
    TaskTransferAttemptFailed = "task.transfer-attempt-failed",
    TaskTransferFailed = "task.transfer-failed",
    TaskTransferCanceled = "task.transfer-canceled",
    TaskTransferCompleted = "task.transfer-completed",
    WorkflowEntered = "workflow.entered",
    WorkflowTargetMatched = "workflow.target-matched",
    WorkflowTimeout = "workflow.timeout",
    WorkflowSkipped = "workflow.skipped",
    TaskQueueEntered = "task-queue.entered",
    TaskQueueTimeout = "task-queue.timeout",
    TaskQueueMoved = "task-queue.moved",
    ReservationCreated = "reservation.created",
    ReservationAccepted = "reservation.accepted",
    ReservationRejected = "reservation.rejected",
    ReservationTimeout = "reservation.timeout",
    ReservationCanceled = "reservation.canceled",
    ReservationRescinded = "reservation.rescinded",
    ReservationWrapup = "reservation.wrapup",
    ReservationCompleted = "reservation.completed",
    ReservationFailed = "reservation.failed",
}
