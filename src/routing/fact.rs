//! What statistics count: each event counts as one fact, or as none (rest.md 9.4).
//!
//! A fact says when, for whom, and how long it took; a period says for how long a worker was in an activity. Both are
//! functions of the event alone, so the event log can always be counted again. Start with [`Fact::of`].

use super::event::{EventKind, EventRecord};
use super::sid::{ActivitySid, TaskChannelSid, TaskQueueSid, WorkerSid, WorkflowSid};
use super::state::text_enum;
use super::time::Timestamp;

text_enum!(
    /// What is counted; the text form is also the name of the column that counts it.
    FactKind {
        /// A worker was offered a task.
        ReservationsCreated = "reservations_created",
        /// The worker took it.
        ReservationsAccepted = "reservations_accepted",
        /// The worker refused it.
        ReservationsRejected = "reservations_rejected",
        /// The worker did not answer.
        ReservationsTimedOut = "reservations_timed_out",
        /// The offer was taken back because the task ended or connecting failed.
        ReservationsCanceled = "reservations_canceled",
        /// The offer was taken back because another worker was chosen.
        ReservationsRescinded = "reservations_rescinded",
        /// A task was made.
        TasksCreated = "tasks_created",
        /// A task came into a queue.
        TasksEnteredQueue = "tasks_entered_queue",
        /// A task was handed to a workflow.
        TasksEnteredWorkflow = "tasks_entered_workflow",
        /// A task ended without work.
        TasksCanceled = "tasks_canceled",
        /// A task ended well.
        TasksCompleted = "tasks_completed",
        /// A task was deleted, by a client or by the system.
        TasksDeleted = "tasks_deleted",
        /// A task went on to another queue; counts for the queue it left.
        TasksMoved = "tasks_moved",
        /// The last step of a task's workflow was over.
        TasksTimedOutInWorkflow = "tasks_timed_out_in_workflow",
    }
);

impl FactKind {
    const fn of(event: EventKind) -> Option<Self> {
        Some(match event {
            EventKind::ReservationCreated => Self::ReservationsCreated,
            EventKind::ReservationAccepted => Self::ReservationsAccepted,
            EventKind::ReservationRejected => Self::ReservationsRejected,
            EventKind::ReservationTimeout => Self::ReservationsTimedOut,
            EventKind::ReservationCanceled => Self::ReservationsCanceled,
            EventKind::ReservationRescinded => Self::ReservationsRescinded,
            EventKind::TaskCreated => Self::TasksCreated,
            EventKind::TaskQueueEntered => Self::TasksEnteredQueue,
            EventKind::WorkflowEntered => Self::TasksEnteredWorkflow,
            EventKind::TaskCanceled => Self::TasksCanceled,
            EventKind::TaskCompleted => Self::TasksCompleted,
            EventKind::TaskDeleted | EventKind::TaskSystemDeleted => Self::TasksDeleted,
            EventKind::TaskQueueMoved => Self::TasksMoved,
            EventKind::WorkflowTimeout => Self::TasksTimedOutInWorkflow,
            _ => return None,
        })
    }

    /// Whether it is about a reservation, and so about a worker.
    #[must_use]
    pub const fn is_of_reservation(self) -> bool {
        matches!(
            self,
            Self::ReservationsCreated
                | Self::ReservationsAccepted
                | Self::ReservationsRejected
                | Self::ReservationsTimedOut
                | Self::ReservationsCanceled
                | Self::ReservationsRescinded
        )
    }
}

/// How long a wait lasted: whole seconds, truncated. Every duration of the statistics is measured here, before it is
/// added to others.
#[must_use]
pub const fn wait_secs(since: Timestamp, until: Timestamp) -> i64 {
    until.secs_since(since)
}

/// One thing that statistics count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// What.
    pub kind: FactKind,
    /// When.
    pub at: Timestamp,
    /// Number of its event.
    pub sequence: u64,
    /// The queue it counts for.
    pub queue: Option<TaskQueueSid>,
    /// The workflow it counts for.
    pub workflow: Option<WorkflowSid>,
    /// The worker it counts for.
    pub worker: Option<WorkerSid>,
    /// The task's channel.
    pub channel: Option<TaskChannelSid>,
    /// Of acceptances and cancellations: from the task's creation.
    pub wait_secs: Option<i64>,
    /// Of acceptances: from the task's entry into its queue.
    pub wait_in_queue_secs: Option<i64>,
    /// An acceptance after a transfer, which is not split by wait time (TaskRouter: statistics of task queues).
    pub after_transfer: bool,
}

impl Fact {
    /// What an event counts as.
    #[must_use]
    pub fn of(event: &EventRecord) -> Option<Self> {
        let kind = FactKind::of(event.kind)?;
        let about = &event.about;
        let waited = |since: Option<Timestamp>| since.map(|since| wait_secs(since, event.at));
        let (from_creation, from_entry) = match kind {
            FactKind::ReservationsAccepted => (waited(about.task_created_at), waited(about.queue_entered_at)),
            FactKind::TasksCanceled => (waited(about.task_created_at), None),
            _ => (None, None),
        };
        Some(Self {
            kind,
            at: event.at,
            sequence: event.sequence,
            queue: if kind == FactKind::TasksMoved { about.previous_queue } else { about.queue },
            workflow: about.workflow,
            worker: about.worker.filter(|_| kind.is_of_reservation()),
            channel: about.channel,
            wait_secs: from_creation,
            wait_in_queue_secs: from_entry.filter(|_| about.queue.is_some()),
            after_transfer: kind == FactKind::ReservationsAccepted && about.transfer.is_some(),
        })
    }
}

/// A stay of a worker in an activity that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityPeriod {
    /// Whose.
    pub worker: WorkerSid,
    /// In which activity.
    pub activity: ActivitySid,
    /// First moment.
    pub from: Timestamp,
    /// The moment after the last one.
    pub until: Timestamp,
    /// Number of the event that ended it.
    pub sequence: u64,
}

impl ActivityPeriod {
    /// The stay that an event ended; none that had no length.
    #[must_use]
    pub fn of(event: &EventRecord) -> Option<Self> {
        let worker = event.about.worker?;
        let (activity, from) = event.about.previous_activity?;
        let period = Self { worker, activity, from, until: event.at, sequence: event.sequence };
        (period.from < period.until).then_some(period)
    }
}
