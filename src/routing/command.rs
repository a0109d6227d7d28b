//! Everything that can be asked of a workspace.
//!
//! A command is what a request, a timer or the calls core wants; it carries parsed values, never raw text of the wire
//! (expressions and configurations excepted: they are compiled by the core, which owns their meaning). `None` in an
//! update leaves the field as it is. Start with [`Command`].

use super::calendars::NamedHours;
use super::sid::{
    ActivitySid, CalendarSid, ReservationSid, TaskChannelSid, TaskQueueSid, TaskSid, TransferSid, WorkerChannelSid,
    WorkerSid, WorkflowSid,
};
use super::state::{RoutingTarget, TaskOrder, TaskStatus, TransferMode, TransferTarget};
use super::time::Timestamp;

/// What a new workspace comes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Template {
    /// Activities and task channels.
    #[default]
    None,
    /// The same, a queue and a workflow.
    Fifo,
}

/// A new workspace.
#[derive(Debug, Clone)]
pub struct NewWorkspace {
    /// 1 to 64 characters.
    pub friendly_name: String,
    /// Empty when events are not called back.
    pub event_callback_url: String,
    /// Event types to call back.
    pub events_filter: Option<String>,
    /// True unless the legacy mode is wanted.
    pub multi_task_enabled: bool,
    /// Which kind of queue a worker serves first.
    pub prioritize_queue_order: TaskOrder,
    /// What it comes with.
    pub template: Template,
}

impl NewWorkspace {
    /// A workspace with TaskRouter's defaults (TaskRouter: Workspaces, create).
    pub fn named(friendly_name: impl Into<String>) -> Self {
        Self {
            friendly_name: friendly_name.into(),
            event_callback_url: String::new(),
            events_filter: None,
            multi_task_enabled: true,
            prioritize_queue_order: TaskOrder::Fifo,
            template: Template::None,
        }
    }
}

/// Changes of the workspace's own fields.
#[derive(Debug, Clone, Default)]
pub struct WorkspaceUpdate {
    /// 1 to 64 characters.
    pub friendly_name: Option<String>,
    /// Empty turns callbacks off.
    pub event_callback_url: Option<String>,
    /// Inner `None` lets all events through.
    pub events_filter: Option<Option<String>>,
    /// Activity of a worker made without one.
    pub default_activity: Option<ActivitySid>,
    /// Activity after a reservation timeout.
    pub timeout_activity: Option<ActivitySid>,
    /// Only towards true.
    pub multi_task_enabled: Option<bool>,
    /// Which kind of queue a worker serves first.
    pub prioritize_queue_order: Option<TaskOrder>,
    /// 1 to 86,400 seconds; inner `None` turns the grace off.
    pub disconnect_grace_secs: Option<Option<u32>>,
    /// An activity in which a worker is not available; inner `None` stands for the default activity.
    pub disconnect_activity: Option<Option<ActivitySid>>,
}

/// A new task queue.
#[derive(Debug, Clone)]
pub struct NewTaskQueue {
    /// 1 to 64 characters, unique.
    pub friendly_name: String,
    /// Worker expression; `1==1` when absent from the request, empty for nobody.
    pub target_workers: String,
    /// Order of its tasks.
    pub task_order: TaskOrder,
    /// 1 to 50.
    pub max_reserved_workers: u32,
    /// Single-tasking only.
    pub reservation_activity: Option<ActivitySid>,
    /// Single-tasking only.
    pub assignment_activity: Option<ActivitySid>,
}

/// Changes of a task queue.
#[derive(Debug, Clone, Default)]
pub struct TaskQueueUpdate {
    /// 1 to 64 characters, unique.
    pub friendly_name: Option<String>,
    /// Worker expression, or empty for nobody.
    pub target_workers: Option<String>,
    /// Order of its tasks.
    pub task_order: Option<TaskOrder>,
    /// 1 to 50.
    pub max_reserved_workers: Option<u32>,
    /// Single-tasking only; `Some(None)` is none any more.
    pub reservation_activity: Option<Option<ActivitySid>>,
    /// Single-tasking only; `Some(None)` is none any more.
    pub assignment_activity: Option<Option<ActivitySid>>,
}

/// A new workflow.
#[derive(Debug, Clone)]
pub struct NewWorkflow {
    /// 1 to 64 characters.
    pub friendly_name: String,
    /// The JSON document.
    pub configuration: String,
    /// Called for each reservation.
    pub assignment_callback_url: Option<String>,
    /// Called when the first one fails.
    pub fallback_assignment_callback_url: Option<String>,
    /// 1 to 86,400 seconds.
    pub task_reservation_timeout_secs: u32,
}

/// Changes of a workflow.
#[derive(Debug, Clone, Default)]
pub struct WorkflowUpdate {
    /// 1 to 64 characters.
    pub friendly_name: Option<String>,
    /// The JSON document.
    pub configuration: Option<String>,
    /// Inner `None` turns it off.
    pub assignment_callback_url: Option<Option<String>>,
    /// Inner `None` turns it off.
    pub fallback_assignment_callback_url: Option<Option<String>>,
    /// 1 to 86,400 seconds.
    pub task_reservation_timeout_secs: Option<u32>,
    /// Send every pending task through the new configuration.
    pub re_evaluate_tasks: bool,
}

/// A new worker.
#[derive(Debug, Clone)]
pub struct NewWorker {
    /// 1 to 64 characters, unique ignoring case.
    pub friendly_name: String,
    /// A JSON object of at most 4,096 characters.
    pub attributes: String,
    /// The workspace's default activity when absent.
    pub activity: Option<ActivitySid>,
}

/// Changes of a worker.
#[derive(Debug, Clone, Default)]
pub struct WorkerUpdate {
    /// 1 to 64 characters, unique ignoring case.
    pub friendly_name: Option<String>,
    /// A JSON object of at most 4,096 characters.
    pub attributes: Option<String>,
    /// The new activity.
    pub activity: Option<ActivitySid>,
    /// With an unavailable activity: reject what is pending.
    pub reject_pending_reservations: bool,
    /// Version the change is meant for.
    pub if_match: Option<u64>,
}

/// How a task channel or a worker's channel is named in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelName {
    /// By the SID of the task channel.
    Sid(TaskChannelSid),
    /// By the SID of the worker channel.
    WorkerChannel(WorkerChannelSid),
    /// By unique name.
    Unique(String),
}

/// A new task.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// A JSON object of at most 4,096 characters.
    pub attributes: String,
    /// Absent: the only workflow of the workspace.
    pub workflow: Option<WorkflowSid>,
    /// Absent: `default`.
    pub channel: Option<ChannelName>,
    /// 0 to 2,147,483,647.
    pub priority: Option<i32>,
    /// 1 to 1,209,600 seconds; absent: 86,400.
    pub timeout_secs: Option<u32>,
    /// Not in the future, not before 1900; absent: now.
    pub virtual_start_at: Option<Timestamp>,
    /// Instead of workflow filters.
    pub routing_target: Option<RoutingTarget>,
    /// Absent: true for a worker as routing target.
    pub ignore_capacity: Option<bool>,
    /// The queue a worker-targeted task is attributed to.
    pub queue: Option<TaskQueueSid>,
    /// Nobody is offered it before.
    pub not_before: Option<Timestamp>,
}

impl NewTask {
    /// A task with these attributes and defaults everywhere else.
    #[must_use]
    pub fn with_attributes(attributes: impl Into<String>) -> Self {
        Self {
            attributes: attributes.into(),
            workflow: None,
            channel: None,
            priority: None,
            timeout_secs: None,
            virtual_start_at: None,
            routing_target: None,
            ignore_capacity: None,
            queue: None,
            not_before: None,
        }
    }
}

/// Changes of a task.
#[derive(Debug, Clone, Default)]
pub struct TaskUpdate {
    /// A JSON object of at most 4,096 characters.
    pub attributes: Option<String>,
    /// Only canceled, wrapping and completed can be asked for.
    pub status: Option<TaskStatus>,
    /// Stored with the task.
    pub reason: Option<String>,
    /// 0 to 2,147,483,647.
    pub priority: Option<i32>,
    /// Only while pending.
    pub channel: Option<ChannelName>,
    /// Not in the future.
    pub virtual_start_at: Option<Timestamp>,
    /// Version the change is meant for.
    pub if_match: Option<u64>,
}

/// Through which parent a reservation was addressed; the wrong parent is not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationParent {
    /// `…/Tasks/{WT}/Reservations/{WR}`
    Task(TaskSid),
    /// `…/Workers/{WK}/Reservations/{WR}`
    Worker(WorkerSid),
    /// Not addressed through a parent.
    Any,
}

/// What a client wants of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationChange {
    /// The worker takes it.
    Accept,
    /// The worker refuses it and moves to that activity, if one is given.
    Reject {
        /// The worker's next activity.
        activity: Option<ActivitySid>,
    },
    /// Work is over.
    Wrap,
    /// All is done.
    Complete,
}

/// A voice instruction, as a refusal names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the instruction of the same name")]
pub enum Instruction {
    Call,
    Conference,
    Dequeue,
    Redirect,
}

impl Instruction {
    /// The name in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "Call",
            Self::Conference => "Conference",
            Self::Dequeue => "Dequeue",
            Self::Redirect => "Redirect",
        }
    }
}

/// A new transfer of an assigned task.
#[derive(Debug, Clone)]
pub struct NewTransfer {
    /// The worker who hands the task on.
    pub worker: WorkerSid,
    /// Which task.
    pub task: TaskSid,
    /// The worker's reservation of it.
    pub reservation: ReservationSid,
    /// To whom.
    pub to: TransferTarget,
    /// Whether the worker stays until the other one has accepted.
    pub mode: TransferMode,
    /// Replaces the task's: a JSON object of at most 4,096 characters.
    pub attributes: Option<String>,
    /// Replaces the task's: 0 to 2,147,483,647.
    pub priority: Option<i32>,
    /// The worker is in a conference with the customer: in a cold transfer the reservation wraps when the worker has
    /// left it, which is reported like any other departure.
    pub in_room: bool,
}

/// Whether a worker has an open socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceReport {
    /// Which worker.
    pub worker: WorkerSid,
    /// The newest open socket; `None` when there is none.
    pub connection: Option<Connection>,
}

/// What a socket asked for when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connection {
    /// Activity for the worker when the last socket is gone.
    pub disconnect_activity: Option<ActivitySid>,
    /// The worker is to be left alone when the last socket is gone.
    pub keeps_activity: bool,
}

/// One thing to do; the unit that is refused or carried out as a whole.
#[derive(Debug, Clone)]
pub enum Command {
    /// Changes the workspace's own fields.
    UpdateWorkspace(WorkspaceUpdate),
    /// Ends the workspace with all that is in it.
    DeleteWorkspace,
    /// Makes an activity.
    CreateActivity {
        /// 1 to 64 characters, unique.
        friendly_name: String,
        /// Fixed from now on.
        available: bool,
    },
    /// Renames an activity.
    UpdateActivity {
        /// Which.
        activity: ActivitySid,
        /// 1 to 64 characters, unique.
        friendly_name: Option<String>,
    },
    /// Deletes an activity that nothing uses.
    DeleteActivity(ActivitySid),
    /// Makes a task channel and the missing worker channels.
    CreateTaskChannel {
        /// 1 to 64 characters.
        friendly_name: String,
        /// `[A-Za-z_$][A-Za-z0-9_$]*`, unique.
        unique_name: String,
        /// Longest idle on this channel first.
        channel_optimized_routing: bool,
    },
    /// Changes a task channel.
    UpdateTaskChannel {
        /// Which.
        channel: ChannelName,
        /// 1 to 64 characters.
        friendly_name: Option<String>,
        /// Longest idle on this channel first.
        channel_optimized_routing: Option<bool>,
    },
    /// Deletes a task channel that is not built in and not in use.
    DeleteTaskChannel(ChannelName),
    /// Makes a task queue.
    CreateTaskQueue(NewTaskQueue),
    /// Changes a task queue.
    UpdateTaskQueue(TaskQueueSid, TaskQueueUpdate),
    /// Deletes a task queue that no workflow and no waiting task can reach.
    DeleteTaskQueue(TaskQueueSid),
    /// Makes a workflow.
    CreateWorkflow(NewWorkflow),
    /// Changes a workflow.
    UpdateWorkflow(WorkflowSid, WorkflowUpdate),
    /// Deletes a workflow without pending or reserved tasks.
    DeleteWorkflow(WorkflowSid),
    /// Makes a worker.
    CreateWorker(NewWorker),
    /// Changes a worker.
    UpdateWorker(WorkerSid, WorkerUpdate),
    /// Deletes a worker without accepted or wrapping reservations.
    DeleteWorker {
        /// Which.
        worker: WorkerSid,
        /// Version the deletion is meant for.
        if_match: Option<u64>,
    },
    /// Changes what a worker may carry on a channel.
    UpdateWorkerChannel {
        /// Whose.
        worker: WorkerSid,
        /// Which channel.
        channel: ChannelName,
        /// 0 to 50.
        capacity: Option<u32>,
        /// False stops new reservations.
        available: Option<bool>,
    },
    /// Makes a task.
    CreateTask(NewTask),
    /// Changes a task.
    UpdateTask(TaskSid, TaskUpdate),
    /// Deletes a task in any state.
    DeleteTask {
        /// Which.
        task: TaskSid,
        /// Version the deletion is meant for.
        if_match: Option<u64>,
    },
    /// Changes a reservation as a client asks.
    UpdateReservation {
        /// Through which parent it was addressed.
        parent: ReservationParent,
        /// Which.
        reservation: ReservationSid,
        /// What.
        change: ReservationChange,
        /// Version the change is meant for.
        if_match: Option<u64>,
    },
    /// Offers an assigned task to another worker or a queue.
    CreateTransfer(NewTransfer),
    /// Takes an initiated transfer back.
    CancelTransfer {
        /// Who initiated it; another worker's transfer is not found.
        worker: WorkerSid,
        /// The task it is of.
        task: TaskSid,
        /// Which.
        transfer: TransferSid,
    },
    /// A voice instruction begins to dial: the timer is paused, other pending reservations are rescinded.
    BeginConnecting {
        /// Which.
        reservation: ReservationSid,
        /// By which instruction.
        instruction: Instruction,
    },
    /// Both legs are in the room: accepted, although a voice instruction holds the reservation.
    AcceptConnected(ReservationSid),
    /// Connecting failed: the reservation is canceled and the pair backs off.
    FailConnecting {
        /// Which.
        reservation: ReservationSid,
        /// Error code of the phone system, where known.
        reason_code: Option<i32>,
        /// Nobody is offered the task before, if something else than this worker was not reached.
        not_before: Option<Timestamp>,
        /// It was the worker's phone that did not take the call.
        missed: bool,
    },
    /// Nobody is offered a waiting task before a moment; one that has come lets it be offered at once.
    HoldBack {
        /// Which task.
        task: TaskSid,
        /// The moment that was said before, whose place this takes.
        was: Option<Timestamp>,
        /// The moment.
        until: Timestamp,
    },
    /// The caller of a task is gone: canceled while pending or reserved, otherwise wrapping.
    EndCaller {
        /// Which task.
        task: TaskSid,
        /// `hangup`, `leave`, …
        reason: String,
    },
    /// The worker's leg is gone: the accepted reservation wraps (multitasking) or completes (single-tasking).
    EndWork(ReservationSid),
    /// Leads waiting tasks of a workflow through its present configuration from the top, as an update with
    /// `re_evaluate_tasks` does with all of them (D20); those that do not wait any more stay as they are.
    ReEvaluateTasks {
        /// Whose tasks they are.
        workflow: WorkflowSid,
        /// Which, in the order in which they are led.
        tasks: Vec<TaskSid>,
    },
    /// Merges keys into the task's attributes (top level only), as voice instructions do.
    MergeTaskAttributes {
        /// Which task.
        task: TaskSid,
        /// Keys to set.
        attributes: serde_json::Map<String, serde_json::Value>,
    },
    /// Takes over which workers have open sockets.
    NotePresence(Vec<PresenceReport>),
    /// The server was away: nobody has an open socket.
    ForgetSockets,
    /// What a calendar says from now on, for expressions that name it.
    ///
    /// Calendars are kept elsewhere; whoever changes one tells of it.
    SetCalendar {
        /// Which.
        calendar: CalendarSid,
        /// None when it is gone.
        hours: Option<NamedHours>,
    },
    /// The earliest deadline has passed.
    Tick,
}

/// What a command made, for those that make something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Done; nothing was made.
    Done,
    /// An activity was made.
    Activity(ActivitySid),
    /// A task channel was made.
    TaskChannel(TaskChannelSid),
    /// A task queue was made.
    TaskQueue(TaskQueueSid),
    /// A workflow was made.
    Workflow(WorkflowSid),
    /// A worker was made.
    Worker(WorkerSid),
    /// A task was made, or found where creation is repeatable.
    Task(TaskSid),
    /// A transfer was made.
    Transfer(TransferSid),
}
