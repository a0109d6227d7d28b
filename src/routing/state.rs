//! What a workspace is made of: plain records that are also, field by field, the rows of the store.
//!
//! Nothing here decides anything; the rules are in the modules named after what they rule. Derived figures (indices,
//! compiled expressions) are not part of these records: they are rebuilt when a workspace is loaded.

use super::event_data::FieldValue;
use super::rare::Rare;
use super::sid::{
    AccountSid, ActivitySid, ReservationSid, TaskChannelSid, TaskQueueSid, TaskSid, TransferSid, WorkerChannelSid,
    WorkerSid, WorkflowSid, WorkspaceSid,
};
use super::time::Timestamp;

/// Makes an enum whose variants have one text form each, in the store and on the wire.
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// All variants, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text form.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Reads the text form exactly.
            #[must_use]
            pub fn from_text(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl crate::routing::event_data::FieldValue for $name {
            fn append_to(self, text: &mut Vec<u8>) {
                text.extend_from_slice(self.as_str().as_bytes());
            }
        }
    };
}

pub(super) use text_enum;

text_enum!(
    /// The order in which a task queue hands out its tasks, and which kind of queue a worker serves first.
    TaskOrder {
        /// Highest priority first, then oldest.
        Fifo = "FIFO",
        /// Newest first; priority has no say.
        Lifo = "LIFO",
    }
);

text_enum!(
    /// Where a task is in its life (TaskRouter: Task state).
    TaskStatus {
        /// In a queue, no open reservation.
        Pending = "pending",
        /// At least one pending reservation, none accepted.
        Reserved = "reserved",
        /// A reservation was accepted.
        Assigned = "assigned",
        /// The main work is over, the worker is still bound.
        Wrapping = "wrapping",
        /// Ended well; removed five minutes later.
        Completed = "completed",
        /// Ended without work; removed five minutes later.
        Canceled = "canceled",
    }
);

impl TaskStatus {
    /// Whether the task has ended.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Canceled)
    }
}

text_enum!(
    /// Where a reservation is in its life.
    ReservationStatus {
        /// Offered, not answered yet.
        Pending = "pending",
        /// Taken by the worker.
        Accepted = "accepted",
        /// Refused by the worker.
        Rejected = "rejected",
        /// Not answered in time.
        Timeout = "timeout",
        /// Taken back, because the task ended or connecting failed.
        Canceled = "canceled",
        /// Taken back, because another worker was chosen.
        Rescinded = "rescinded",
        /// Work is over, the worker is not free yet.
        Wrapping = "wrapping",
        /// Done.
        Completed = "completed",
    }
);

impl ReservationStatus {
    /// Whether the reservation takes capacity of its worker: pending, accepted or wrapping.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Accepted | Self::Wrapping)
    }

    /// Whether the worker took the task and is not done with it: accepted or wrapping.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Accepted | Self::Wrapping)
    }
}

text_enum!(
    /// Whether the worker who hands a task on stays until the other one has accepted.
    TransferMode {
        /// Stays.
        Warm = "WARM",
        /// Leaves at once.
        Cold = "COLD",
    }
);

text_enum!(
    /// Where a transfer is in its life.
    TransferStatus {
        /// Somebody is to accept it.
        Initiated = "initiated",
        /// Accepted.
        Complete = "complete",
        /// Ended unaccepted.
        Failed = "failed",
        /// Taken back by the worker who initiated it.
        Canceled = "canceled",
    }
);

/// The workspace's own fields.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkspaceSettings {
    /// The workspace.
    pub sid: WorkspaceSid,
    /// Whose it is.
    pub account: AccountSid,
    /// At most 64 characters.
    pub friendly_name: String,
    /// Activity of a worker made without one.
    pub default_activity: ActivitySid,
    /// Activity a worker is moved to when a reservation times out.
    pub timeout_activity: ActivitySid,
    /// Empty when events are not called back.
    pub event_callback_url: String,
    /// Comma-separated event types; `None` lets all through.
    pub events_filter: Option<String>,
    /// Capacity per channel decides (true) or activity alone (false, legacy).
    pub multi_task_enabled: bool,
    /// Which kind of queue a worker serves first.
    pub prioritize_queue_order: TaskOrder,
    /// How long an agent without a socket is waited for; `None` when workers are left alone.
    pub disconnect_grace_secs: Option<u32>,
    /// Activity after the grace; the default activity when absent.
    pub disconnect_activity: Option<ActivitySid>,
    /// Sequence number of the newest event; the first event has 1.
    pub last_sequence: u64,
    /// When a record of the workspace last changed; nothing happens before it any more.
    pub last_change_at: Timestamp,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// What is remembered of a worker's sockets: from the first one to the end of the grace after the last.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Presence {
    /// The worker.
    pub worker: WorkerSid,
    /// Activity after the grace that the newest socket asked for.
    pub disconnect_activity: Option<ActivitySid>,
    /// The newest socket asked for the worker to be left alone.
    pub keeps_activity: bool,
    /// When the grace ends; `None` while a socket is open.
    pub deadline: Option<Timestamp>,
}

/// An activity: what a worker is doing, and whether it may be reserved meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Activity {
    /// The activity.
    pub sid: ActivitySid,
    /// At most 64 characters.
    pub friendly_name: String,
    /// Fixed at creation.
    pub available: bool,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// A kind of work (voice, chat …) with its own capacity for each worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskChannel {
    /// The channel.
    pub sid: TaskChannelSid,
    /// At most 64 characters.
    pub friendly_name: String,
    /// `[A-Za-z_$][A-Za-z0-9_$]*`, unique, never changes.
    pub unique_name: String,
    /// Longest idle on this channel, instead of over all channels, is served first.
    pub channel_optimized_routing: bool,
    /// One of the five that come with each workspace.
    pub built_in: bool,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// A task queue: an expression that says which workers serve it, and an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskQueue {
    /// The queue.
    pub sid: TaskQueueSid,
    /// At most 64 characters, unique.
    pub friendly_name: String,
    /// Worker expression; empty means that nobody matches.
    pub target_workers: String,
    /// Order of its tasks.
    pub task_order: TaskOrder,
    /// How many workers one task is offered to at once, 1 to 50.
    pub max_reserved_workers: u32,
    /// Single-tasking only: activity on reserve.
    pub reservation_activity: Option<ActivitySid>,
    /// Single-tasking only: activity on accept.
    pub assignment_activity: Option<ActivitySid>,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// A workflow as it is configured now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Workflow {
    /// The workflow.
    pub sid: WorkflowSid,
    /// At most 64 characters.
    pub friendly_name: String,
    /// The document exactly as it was posted.
    pub configuration: String,
    /// Number of the configuration, counted from 1; tasks keep the one they entered with.
    pub version: u32,
    /// Called for each reservation.
    pub assignment_callback_url: Option<String>,
    /// Called when the first one fails.
    pub fallback_assignment_callback_url: Option<String>,
    /// 1 to 86,400 seconds.
    pub task_reservation_timeout_secs: u32,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// An older configuration of a workflow that waiting tasks still follow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkflowVersion {
    /// The workflow.
    pub workflow: WorkflowSid,
    /// Its number.
    pub version: u32,
    /// The document exactly as it was posted.
    pub configuration: String,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Worker {
    /// The worker.
    pub sid: WorkerSid,
    /// At most 64 characters, unique ignoring case.
    pub friendly_name: String,
    /// A JSON object, byte for byte as sent.
    pub attributes: String,
    /// Current activity.
    pub activity: ActivitySid,
    /// Last change of activity; the creation at first.
    pub status_changed_at: Timestamp,
    /// Last reservation on any channel; the creation at first.
    pub last_reserved_at: Timestamp,
    /// `ETag`.
    pub version: u64,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Calls in a row that the worker's phone did not take.
    pub connect_failures: u32,
}

/// What one worker may carry on one channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkerChannel {
    /// The worker channel.
    pub sid: WorkerChannelSid,
    /// Whose.
    pub worker: WorkerSid,
    /// Which channel.
    pub channel: TaskChannelSid,
    /// 0 to 50; 0 is never reserved.
    pub configured_capacity: u32,
    /// False: no new reservations, the capacity is kept.
    pub available: bool,
    /// Reservations in accepted.
    pub assigned_tasks: u32,
    /// Reservations in pending, accepted or wrapping.
    pub used: u32,
    /// Last reservation on this channel; the creation at first.
    pub last_reserved_at: Timestamp,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

impl WorkerChannel {
    /// `floor(100 * (configured - used) / configured)` within 0 to 100 (TaskRouter: Multitasking; D46).
    #[must_use]
    pub const fn available_capacity_percentage(&self) -> u32 {
        if self.configured_capacity == 0 {
            return 0;
        }
        100 * self.configured_capacity.saturating_sub(self.used) / self.configured_capacity
    }
}

/// Where a task was sent by its creator instead of through workflow filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoutingTarget {
    /// Only this worker.
    Worker(WorkerSid),
    /// Straight into this queue.
    TaskQueue(TaskQueueSid),
    /// Same as naming the workflow.
    Workflow(WorkflowSid),
}

impl std::fmt::Display for RoutingTarget {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Worker(sid) => sid.fmt(formatter),
            Self::TaskQueue(sid) => sid.fmt(formatter),
            Self::Workflow(sid) => sid.fmt(formatter),
        }
    }
}

impl FieldValue for RoutingTarget {
    fn append_to(self, text: &mut Vec<u8>) {
        match self {
            Self::Worker(sid) => sid.append_to(text),
            Self::TaskQueue(sid) => sid.append_to(text),
            Self::Workflow(sid) => sid.append_to(text),
        }
    }
}

impl std::str::FromStr for RoutingTarget {
    type Err = super::sid::InvalidSid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.get(..2) {
            Some("WK") => text.parse().map(Self::Worker),
            Some("WQ") => text.parse().map(Self::TaskQueue),
            _ => text.parse().map(Self::Workflow),
        }
    }
}

/// To whom a task is handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransferTarget {
    /// This worker.
    Worker(WorkerSid),
    /// Whoever of this queue accepts.
    TaskQueue(TaskQueueSid),
}

impl TransferTarget {
    /// `WORKER` or `QUEUE`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Worker(_) => "WORKER",
            Self::TaskQueue(_) => "QUEUE",
        }
    }
}

impl std::fmt::Display for TransferTarget {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Worker(sid) => sid.fmt(formatter),
            Self::TaskQueue(sid) => sid.fmt(formatter),
        }
    }
}

impl FieldValue for TransferTarget {
    fn append_to(self, text: &mut Vec<u8>) {
        match self {
            Self::Worker(sid) => sid.append_to(text),
            Self::TaskQueue(sid) => sid.append_to(text),
        }
    }
}

impl std::str::FromStr for TransferTarget {
    type Err = super::sid::InvalidSid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.get(..2) {
            Some("WK") => text.parse().map(Self::Worker),
            _ => text.parse().map(Self::TaskQueue),
        }
    }
}

/// Which step of its workflow a task stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Target `target` of filter `filter`, both counted from 0.
    Target {
        /// Index of the filter.
        filter: u32,
        /// Index of the target.
        target: u32,
    },
    /// The default filter.
    Default,
    /// Placed without filters: a routing target, or not placed yet.
    Direct,
}

/// For how long one task is not offered to one worker, or to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackOff {
    /// The worker; `None` is everybody.
    pub worker: Option<WorkerSid>,
    /// Until then, exclusive; [`BackOff::OVER`] when only the count is remembered.
    pub until: Timestamp,
    /// Failed connects of this pair in a row.
    pub failures: u32,
}

impl BackOff {
    /// The gap has passed.
    pub const OVER: Timestamp = Timestamp(i64::MIN);

    /// Whether it concerns this worker.
    #[must_use]
    pub fn is_for(&self, worker: WorkerSid) -> bool {
        self.worker.is_none_or(|barred| barred == worker)
    }
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Task {
    /// The task.
    pub sid: TaskSid,
    /// A JSON object, byte for byte as sent.
    pub attributes: String,
    /// Where it is in its life.
    pub status: TaskStatus,
    /// 0 to 2,147,483,647.
    pub priority: i32,
    /// Time to live in seconds, from creation, while pending or reserved.
    pub timeout_secs: u32,
    /// Why it was canceled or completed.
    pub reason: Rare<Option<String>>,
    /// Its channel.
    pub channel: TaskChannelSid,
    /// The queue it is in or was in last.
    pub queue: Option<TaskQueueSid>,
    /// When it came into that queue.
    pub queue_entered_at: Option<Timestamp>,
    /// Its workflow.
    pub workflow: Option<WorkflowSid>,
    /// The configuration it follows.
    pub workflow_version: u32,
    /// Where in that configuration.
    pub step: Step,
    /// Start of the filter's clock.
    pub base_at: Timestamp,
    /// Some filter was left by timeout, so the default filter is closed.
    pub filter_timed_out: bool,
    /// Orders the task in its queue.
    pub virtual_start_at: Timestamp,
    /// Given at creation.
    pub routing_target: Rare<Option<RoutingTarget>>,
    /// Only with a worker as routing target.
    pub ignore_capacity: bool,
    /// Times it went from pending to reserved.
    pub reserved_count: u32,
    /// Workers that are not offered it again yet, ordered by worker.
    pub back_offs: Rare<Vec<BackOff>>,
    /// Its attributes changed since it was evaluated last, and lead to another filter from the top: the next evaluation
    /// begins there.
    pub attributes_changed: bool,
    /// The initiated transfer, during which the task is pending or reserved although a worker had accepted it.
    pub transfer: Rare<Option<TransferSid>>,
    /// `ETag`.
    pub version: u64,
    /// First acceptance.
    pub assigned_at: Rare<Option<Timestamp>>,
    /// Completion or cancellation.
    pub finished_at: Rare<Option<Timestamp>>,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// An offer of a task to a worker, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reservation {
    /// The reservation.
    pub sid: ReservationSid,
    /// The task.
    pub task: TaskSid,
    /// The worker.
    pub worker: WorkerSid,
    /// The worker's name when it was reserved.
    pub worker_name: String,
    /// The task's channel when it was reserved.
    pub channel: TaskChannelSid,
    /// Where it is in its life.
    pub status: ReservationStatus,
    /// Copy of the workflow's timeout, in seconds.
    pub timeout_secs: u32,
    /// When it times out; `None` once it is not pending or while a voice instruction is connecting.
    pub deadline: Option<Timestamp>,
    /// A voice instruction is connecting: the timer is paused, the status stays pending.
    pub connecting: bool,
    /// The worker's activity before, in single-tasking workspaces.
    pub previous_activity: Option<ActivitySid>,
    /// Why it was canceled, where known.
    pub canceled_reason_code: Option<i32>,
    /// The transfer it was made for.
    pub transfer: Option<TransferSid>,
    /// `ETag`.
    pub version: u64,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// A transfer: an assigned task is offered to another worker or a queue (TaskRouter SDK: `Task.transfer`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Transfer {
    /// The transfer.
    pub sid: TransferSid,
    /// The task.
    pub task: TaskSid,
    /// Whether the initiating worker stays.
    pub mode: TransferMode,
    /// To whom.
    pub to: TransferTarget,
    /// Where it is in its life.
    pub status: TransferStatus,
    /// Why it failed; of an initiated transfer to a queue, why its last offer did.
    pub failed_reason: Option<String>,
    /// The reservation of the worker who initiated it.
    pub initiating_reservation: ReservationSid,
    /// The worker who initiated it.
    pub initiating_worker: WorkerSid,
    /// The task's queue before.
    pub initiating_queue: Option<TaskQueueSid>,
    /// The task's workflow.
    pub initiating_workflow: Option<WorkflowSid>,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}
