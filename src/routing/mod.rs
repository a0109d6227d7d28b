//! Pure core of TaskRouter: expressions, workflows, matching, and the lives of tasks and reservations.
//!
//! `Workspace::handle(command, now, sids)` carries out one command and returns what happened. Nothing here does I/O,
//! awaits, asks for the time or for randomness, or iterates over a map of unspecified order: the same commands with the
//! same times and identifiers give the same result. Start with [`command`], then [`state`].

pub mod alert;
mod by_time;
mod calendars;
pub mod change;
pub mod command;
mod configuration;
mod deadline;
pub mod defect;
pub mod dry_run;
pub mod estimate;
pub mod event;
mod event_data;
pub mod explain;
pub mod expression;
pub mod fact;
mod index;
mod lane;
mod line;
pub mod lint;
mod listing;
mod matcher;
mod members;
pub mod position;
pub mod presence;
mod queues;
pub mod rare;
pub mod real_time;
mod record;
pub mod refusal;
mod reservation;
pub mod resource_limits;
mod rest;
pub mod rollup;
mod rows;
pub mod sid;
pub mod state;
mod step;
mod tally;
mod task;
pub mod time;
mod touches;
mod transfer;
mod turn;
mod worker;
pub mod workflow;
pub mod workspace;

pub use alert::Alert;
pub use calendars::{NamedHours, OpeningHours};
pub use change::{RowChange, WorkspaceRows};
pub use command::{Command, Reply};
pub use estimate::{EstimateErrors, MeasuredWait, WaitEstimate};
pub use event::{About, EventKind, EventRecord};
pub use event_data::{EventData, FieldValue};
pub use fact::{ActivityPeriod, Fact, FactKind};
pub use position::{Outlook, QueuePosition, Unplaced};
pub use refusal::Refusal;
pub use resource_limits::ResourceLimits;
pub use sid::{
    AccountSid, ActivitySid, AlertSid, ApiKeySid, CalendarSid, EntryPointSid, EventSid, InvalidSid, ReservationSid,
    SidSource, SidText, TaskChannelSid, TaskQueueSid, TaskSid, TransferSid, WorkerChannelSid, WorkerSid, WorkflowSid,
    WorkspaceSid,
};
pub use state::{
    Activity, BackOff, Presence, Reservation, ReservationStatus, RoutingTarget, Step, Task, TaskChannel, TaskOrder,
    TaskQueue, TaskStatus, Transfer, TransferMode, TransferStatus, TransferTarget, Worker, WorkerChannel, Workflow,
    WorkflowVersion, WorkspaceSettings,
};
pub use time::Timestamp;
pub use workspace::{Done, Workspace};
