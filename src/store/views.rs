//! What the read side shows: one record for everything that one resource of the API needs, names joined in.
//!
//! A view is read, never written; changes go through the engine. SIDs stay text here, because all that becomes of them
//! is text again. Lists are in [`super::pages`]. Start with [`WorkerView`] and [`Store::worker`].

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::pages::Select;
use super::{Error, Store};
use crate::routing::command::{ChannelName, ReservationParent};
use crate::routing::{
    AccountSid, ActivitySid, EventSid, ReservationSid, TaskQueueSid, TaskSid, Timestamp, TransferSid, WorkerSid,
    WorkflowSid, WorkspaceSid,
};

/// A record that one `SELECT` fills.
pub(super) trait View: Sized {
    /// `column AS field` of each field.
    const COLUMNS: &'static [&'static str];
    /// Tables and joins.
    const FROM: &'static str;
    /// The column that makes every order of it total.
    const SID: &'static str;

    /// Reads the fields of one row.
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error>;
}

/// A field of a view as it comes out of a column.
trait Column: Sized {
    fn read(row: &SqliteRow, name: &str) -> Result<Self, sqlx::Error>;
}

impl Column for String {
    fn read(row: &SqliteRow, name: &str) -> Result<Self, sqlx::Error> {
        row.try_get(name)
    }
}

impl Column for Option<String> {
    fn read(row: &SqliteRow, name: &str) -> Result<Self, sqlx::Error> {
        row.try_get(name)
    }
}

impl Column for i64 {
    fn read(row: &SqliteRow, name: &str) -> Result<Self, sqlx::Error> {
        row.try_get(name)
    }
}

impl Column for Option<i64> {
    fn read(row: &SqliteRow, name: &str) -> Result<Self, sqlx::Error> {
        row.try_get(name)
    }
}

impl Column for bool {
    fn read(row: &SqliteRow, name: &str) -> Result<Self, sqlx::Error> {
        row.try_get::<i64, _>(name).map(|value| value != 0)
    }
}

impl Column for Timestamp {
    fn read(row: &SqliteRow, name: &str) -> Result<Self, sqlx::Error> {
        row.try_get(name).map(Timestamp)
    }
}

impl Column for Option<Timestamp> {
    fn read(row: &SqliteRow, name: &str) -> Result<Self, sqlx::Error> {
        Ok(row.try_get::<Option<i64>, _>(name)?.map(Timestamp))
    }
}

/// Makes a record, the columns that fill it and the code that reads it, from one list.
macro_rules! view {
    ($(#[$doc:meta])* $name:ident from $from:literal by $sid:literal { $($field:ident: $kind:ty = $column:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        #[expect(missing_docs, reason = "each field is the column, or the joined name, that it is called after")]
        pub struct $name { $(pub $field: $kind),+ }

        impl View for $name {
            const COLUMNS: &'static [&'static str] = &[$(concat!($column, " AS ", stringify!($field))),+];
            const FROM: &'static str = $from;
            const SID: &'static str = $sid;

            fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
                Ok(Self { $($field: Column::read(row, stringify!($field))?),+ })
            }
        }
    };
}

view! {
    /// A workspace with the names of its two activities.
    WorkspaceView from "workspaces s \
        LEFT JOIN activities d ON d.sid = s.default_activity_sid \
        LEFT JOIN activities t ON t.sid = s.timeout_activity_sid" by "s.sid" {
        sid: String = "s.sid",
        friendly_name: String = "s.friendly_name",
        default_activity_sid: String = "s.default_activity_sid",
        default_activity_name: Option<String> = "d.friendly_name",
        timeout_activity_sid: String = "s.timeout_activity_sid",
        timeout_activity_name: Option<String> = "t.friendly_name",
        event_callback_url: String = "s.event_callback_url",
        events_filter: Option<String> = "s.events_filter",
        multi_task_enabled: bool = "s.multi_task_enabled",
        prioritize_queue_order: String = "s.prioritize_queue_order",
        created_at: Timestamp = "s.created_at",
        updated_at: Timestamp = "s.updated_at",
    }
}

view! {
    /// A calendar or an entry point.
    EntryView from "entry_resources y" by "y.sid" {
        sid: String = "y.sid",
        workspace_sid: String = "y.workspace_sid",
        friendly_name: String = "y.friendly_name",
        document: String = "y.document",
        calendar_sid: Option<String> = "y.calendar_sid",
        version: i64 = "y.version",
        created_at: Timestamp = "y.created_at",
        updated_at: Timestamp = "y.updated_at",
    }
}

view! {
    /// An API key, without its secret.
    ApiKeyView from "api_keys p" by "p.sid" {
        sid: String = "p.sid",
        account_sid: String = "p.account_sid",
        friendly_name: String = "p.friendly_name",
        created_at: Timestamp = "p.created_at",
        updated_at: Timestamp = "p.updated_at",
    }
}

view! {
    /// A line of the alert log.
    AlertView from "alerts l" by "l.sid" {
        sid: String = "l.sid",
        account_sid: String = "l.account_sid",
        workspace_sid: Option<String> = "l.workspace_sid",
        code: i64 = "l.code",
        message: String = "l.message",
        task_sid: Option<String> = "l.task_sid",
        reservation_sid: Option<String> = "l.reservation_sid",
        worker_sid: Option<String> = "l.worker_sid",
        at: Timestamp = "l.at",
    }
}

view! {
    /// An activity.
    ActivityView from "activities a" by "a.sid" {
        sid: String = "a.sid",
        friendly_name: String = "a.friendly_name",
        available: bool = "a.available",
        created_at: Timestamp = "a.created_at",
        updated_at: Timestamp = "a.updated_at",
    }
}

view! {
    /// A task channel.
    TaskChannelView from "task_channels c" by "c.sid" {
        sid: String = "c.sid",
        friendly_name: String = "c.friendly_name",
        unique_name: String = "c.unique_name",
        channel_optimized_routing: bool = "c.channel_optimized_routing",
        created_at: Timestamp = "c.created_at",
        updated_at: Timestamp = "c.updated_at",
    }
}

view! {
    /// A task queue with the names of its activities.
    TaskQueueView from "task_queues q \
        LEFT JOIN activities r ON r.sid = q.reservation_activity_sid \
        LEFT JOIN activities a ON a.sid = q.assignment_activity_sid" by "q.sid" {
        sid: String = "q.sid",
        friendly_name: String = "q.friendly_name",
        target_workers: String = "q.target_workers",
        task_order: String = "q.task_order",
        max_reserved_workers: i64 = "q.max_reserved_workers",
        reservation_activity_sid: Option<String> = "q.reservation_activity_sid",
        reservation_activity_name: Option<String> = "r.friendly_name",
        assignment_activity_sid: Option<String> = "q.assignment_activity_sid",
        assignment_activity_name: Option<String> = "a.friendly_name",
        created_at: Timestamp = "q.created_at",
        updated_at: Timestamp = "q.updated_at",
    }
}

view! {
    /// A workflow.
    WorkflowView from "workflows f" by "f.sid" {
        sid: String = "f.sid",
        friendly_name: String = "f.friendly_name",
        configuration: String = "f.configuration",
        assignment_callback_url: Option<String> = "f.assignment_callback_url",
        fallback_assignment_callback_url: Option<String> = "f.fallback_assignment_callback_url",
        task_reservation_timeout_secs: i64 = "f.task_reservation_timeout_secs",
        created_at: Timestamp = "f.created_at",
        updated_at: Timestamp = "f.updated_at",
    }
}

view! {
    /// A worker with its activity.
    WorkerView from "workers w LEFT JOIN activities a ON a.sid = w.activity_sid" by "w.sid" {
        sid: String = "w.sid",
        friendly_name: String = "w.friendly_name",
        attributes: String = "w.attributes",
        activity_sid: String = "w.activity_sid",
        activity_name: String = "a.friendly_name",
        available: bool = "a.available",
        status_changed_at: Timestamp = "w.status_changed_at",
        version: i64 = "w.version",
        created_at: Timestamp = "w.created_at",
        updated_at: Timestamp = "w.updated_at",
    }
}

view! {
    /// What a worker may carry on one channel.
    WorkerChannelView from "worker_channels k LEFT JOIN task_channels c ON c.sid = k.task_channel_sid" by "k.sid" {
        sid: String = "k.sid",
        worker_sid: String = "k.worker_sid",
        task_channel_sid: String = "k.task_channel_sid",
        task_channel_unique_name: String = "c.unique_name",
        configured_capacity: i64 = "k.configured_capacity",
        available: bool = "k.available",
        assigned_tasks: i64 = "k.assigned_tasks",
        used: i64 = "k.used",
        created_at: Timestamp = "k.created_at",
        updated_at: Timestamp = "k.updated_at",
    }
}

view! {
    /// A task with the names of its queue, workflow and channel.
    TaskView from "tasks t \
        LEFT JOIN task_queues q ON q.sid = t.task_queue_sid \
        LEFT JOIN workflows f ON f.sid = t.workflow_sid \
        LEFT JOIN task_channels c ON c.sid = t.task_channel_sid" by "t.sid" {
        sid: String = "t.sid",
        attributes: String = "t.attributes",
        status: String = "t.status",
        priority: i64 = "t.priority",
        timeout_secs: i64 = "t.timeout_secs",
        reason: Option<String> = "t.reason",
        task_channel_sid: String = "t.task_channel_sid",
        task_channel_unique_name: Option<String> = "c.unique_name",
        task_queue_sid: Option<String> = "t.task_queue_sid",
        task_queue_friendly_name: Option<String> = "q.friendly_name",
        queue_entered_at: Option<Timestamp> = "t.queue_entered_at",
        workflow_sid: Option<String> = "t.workflow_sid",
        workflow_friendly_name: Option<String> = "f.friendly_name",
        virtual_start_at: Timestamp = "t.virtual_start_at",
        routing_target: Option<String> = "t.routing_target",
        ignore_capacity: bool = "t.ignore_capacity",
        version: i64 = "t.version",
        finished_at: Option<Timestamp> = "t.finished_at",
        created_at: Timestamp = "t.created_at",
        updated_at: Timestamp = "t.updated_at",
    }
}

view! {
    /// A reservation.
    ReservationView from "reservations r" by "r.sid" {
        sid: String = "r.sid",
        task_sid: String = "r.task_sid",
        worker_sid: String = "r.worker_sid",
        worker_name: String = "r.worker_name",
        status: String = "r.status",
        version: i64 = "r.version",
        created_at: Timestamp = "r.created_at",
        updated_at: Timestamp = "r.updated_at",
    }
}

view! {
    /// A transfer of a task.
    TransferView from "transfers x" by "x.sid" {
        sid: String = "x.sid",
        task_sid: String = "x.task_sid",
        mode: String = "x.mode",
        target: String = "x.target",
        status: String = "x.status",
        failed_reason: Option<String> = "x.failed_reason",
        initiating_reservation_sid: String = "x.initiating_reservation_sid",
        initiating_worker_sid: String = "x.initiating_worker_sid",
        initiating_queue_sid: Option<String> = "x.initiating_queue_sid",
        initiating_workflow_sid: Option<String> = "x.initiating_workflow_sid",
        created_at: Timestamp = "x.created_at",
        updated_at: Timestamp = "x.updated_at",
    }
}

view! {
    /// An event of the log.
    EventView from "events e" by "e.sid" {
        sid: String = "e.sid",
        sequence: i64 = "e.sequence",
        event_type: String = "e.event_type",
        at: Timestamp = "e.at",
        description: String = "e.description",
        resource_type: String = "e.resource_type",
        resource_sid: String = "e.resource_sid",
        task_sid: Option<String> = "e.task_sid",
        event_data: String = "e.event_data",
    }
}

view! {
    /// An event that a receiver was sent and has not taken.
    DeliveryView from "event_deliveries d" by "d.event_sid" {
        sid: String = "d.event_sid",
        sequence: i64 = "d.sequence",
        event_type: String = "d.event_type",
        state: String = "d.state",
        attempts: i64 = "d.attempts",
        next_attempt_at: Timestamp = "d.next_attempt_at",
        last_attempt_at: Option<Timestamp> = "d.last_attempt_at",
        last_status: Option<i64> = "d.last_status",
        last_error: Option<String> = "d.last_error",
        last_answer: Option<String> = "d.last_answer",
    }
}

impl WorkerChannelView {
    /// As [`WorkerChannel::available_capacity_percentage`](crate::routing::WorkerChannel::available_capacity_percentage).
    #[must_use]
    pub const fn available_capacity_percentage(&self) -> i64 {
        if self.configured_capacity <= 0 || self.used >= self.configured_capacity {
            return 0;
        }
        100 * (self.configured_capacity - self.used) / self.configured_capacity
    }
}

impl Store {
    /// The workspace, if it is one of `account`.
    pub async fn workspace(&self, account: AccountSid, sid: WorkspaceSid) -> Result<Option<WorkspaceView>, Error> {
        let select = Select::new().filter("s.sid = ?", sid).filter("s.account_sid = ?", account);
        select.optional(self.read_pool()).await
    }

    /// The activity, if it is in `workspace`; so with all that follow.
    pub async fn activity(&self, workspace: WorkspaceSid, sid: ActivitySid) -> Result<Option<ActivityView>, Error> {
        let select = Select::new().filter("a.sid = ?", sid).filter("a.workspace_sid = ?", workspace);
        select.optional(self.read_pool()).await
    }

    /// The task channel, by SID or unique name.
    pub async fn task_channel(
        &self,
        workspace: WorkspaceSid,
        name: &ChannelName,
    ) -> Result<Option<TaskChannelView>, Error> {
        let select = Select::new().filter("c.workspace_sid = ?", workspace);
        let select = match name {
            ChannelName::Sid(sid) => select.filter("c.sid = ?", *sid),
            ChannelName::WorkerChannel(_) => return Ok(None),
            ChannelName::Unique(unique_name) => select.filter("c.unique_name = ?", unique_name),
        };
        select.optional(self.read_pool()).await
    }

    /// The task queue.
    pub async fn task_queue(&self, workspace: WorkspaceSid, sid: TaskQueueSid) -> Result<Option<TaskQueueView>, Error> {
        let select = Select::new().filter("q.sid = ?", sid).filter("q.workspace_sid = ?", workspace);
        select.optional(self.read_pool()).await
    }

    /// The workflow.
    pub async fn workflow(&self, workspace: WorkspaceSid, sid: WorkflowSid) -> Result<Option<WorkflowView>, Error> {
        let select = Select::new().filter("f.sid = ?", sid).filter("f.workspace_sid = ?", workspace);
        select.optional(self.read_pool()).await
    }

    /// The worker.
    pub async fn worker(&self, workspace: WorkspaceSid, sid: WorkerSid) -> Result<Option<WorkerView>, Error> {
        let select = Select::new().filter("w.sid = ?", sid).filter("w.workspace_sid = ?", workspace);
        select.optional(self.read_pool()).await
    }

    /// What the worker may carry on a channel, named in any of its three ways.
    pub async fn worker_channel(
        &self,
        workspace: WorkspaceSid,
        worker: WorkerSid,
        name: &ChannelName,
    ) -> Result<Option<WorkerChannelView>, Error> {
        let select = Select::new().filter("k.worker_sid = ?", worker).filter("k.workspace_sid = ?", workspace);
        let select = match name {
            ChannelName::Sid(sid) => select.filter("k.task_channel_sid = ?", *sid),
            ChannelName::WorkerChannel(sid) => select.filter("k.sid = ?", *sid),
            ChannelName::Unique(unique_name) => select.filter("c.unique_name = ?", unique_name),
        };
        select.optional(self.read_pool()).await
    }

    /// The task.
    pub async fn task(&self, workspace: WorkspaceSid, sid: TaskSid) -> Result<Option<TaskView>, Error> {
        let select = Select::new().filter("t.sid = ?", sid).filter("t.workspace_sid = ?", workspace);
        select.optional(self.read_pool()).await
    }

    /// The reservation, if it is one of `parent`.
    pub async fn reservation(
        &self,
        workspace: WorkspaceSid,
        parent: ReservationParent,
        sid: ReservationSid,
    ) -> Result<Option<ReservationView>, Error> {
        let select = Select::new().filter("r.sid = ?", sid).filter("r.workspace_sid = ?", workspace);
        under(select, parent).optional(self.read_pool()).await
    }

    /// The transfer, if `worker` initiated it.
    pub async fn transfer(
        &self,
        workspace: WorkspaceSid,
        worker: WorkerSid,
        sid: TransferSid,
    ) -> Result<Option<TransferView>, Error> {
        let select = Select::new().filter("x.sid = ?", sid).filter("x.workspace_sid = ?", workspace);
        select.filter("x.initiating_worker_sid = ?", worker).optional(self.read_pool()).await
    }

    /// The event.
    pub async fn event(&self, workspace: WorkspaceSid, sid: EventSid) -> Result<Option<EventView>, Error> {
        let select = Select::new().filter("e.sid = ?", sid).filter("e.workspace_sid = ?", workspace);
        select.optional(self.read_pool()).await
    }
}

/// Only reservations of that parent.
pub(super) fn under(select: Select<ReservationView>, parent: ReservationParent) -> Select<ReservationView> {
    match parent {
        ReservationParent::Task(task) => select.filter("r.task_sid = ?", task),
        ReservationParent::Worker(worker) => select.filter("r.worker_sid = ?", worker),
        ReservationParent::Any => select,
    }
}
