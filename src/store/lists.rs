//! The lists of the read side: their filters, their orders, and which index each of them walks.
//!
//! A list is served from here only when one index holds its rows in its order, so that a page costs the same at any
//! depth; [`TaskFilter::has_index`] and [`WorkerFilter::has_index`] tell for which combinations that is so. Others are
//! chosen in memory by the caller, who then asks for the rows by SID. How pages are cut is in [`super::pages`]. Start
//! with [`Store::tasks`].

use crate::routing::command::{ChannelName, ReservationParent};
use crate::routing::{
    AccountSid, ActivitySid, AlertSid, EventSid, ReservationSid, ReservationStatus, RoutingTarget, Task, TaskQueueSid,
    TaskSid, TaskStatus, Timestamp, TransferStatus, Worker, WorkerSid, WorkflowSid, WorkspaceSid,
};

use super::pages::{Direction, List, Seek, Select, Span};
use super::views::{
    ActivityView, AlertView, ApiKeyView, EventView, ReservationView, TaskChannelView, TaskQueueView, TaskView,
    TransferView, View, WorkerChannelView, WorkerView, WorkflowView, WorkspaceView, under,
};
use super::{Error, Store};

/// What tasks can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the value of Ordering of the same name")]
pub enum TaskKey {
    DateCreated,
    Priority,
    VirtualStartTime,
}

impl TaskKey {
    const fn column(self) -> &'static str {
        match self {
            Self::DateCreated => "t.created_at",
            Self::Priority => "t.priority",
            Self::VirtualStartTime => "t.virtual_start_at",
        }
    }

    /// The value of a task in memory.
    #[must_use]
    pub fn of(self, task: &Task) -> i64 {
        match self {
            Self::DateCreated => task.created_at.0,
            Self::Priority => i64::from(task.priority),
            Self::VirtualStartTime => task.virtual_start_at.0,
        }
    }
}

/// What workers can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the field of the same name")]
pub enum WorkerKey {
    DateCreated,
    DateStatusChanged,
}

impl WorkerKey {
    const fn column(self) -> &'static str {
        match self {
            Self::DateCreated => "w.created_at",
            Self::DateStatusChanged => "w.status_changed_at",
        }
    }

    /// The value of a worker in memory.
    #[must_use]
    pub const fn of(self, worker: &Worker) -> i64 {
        match self {
            Self::DateCreated => worker.created_at.0,
            Self::DateStatusChanged => worker.status_changed_at.0,
        }
    }
}

/// Which activities.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each field is the query parameter of the same name")]
pub struct ActivityFilter {
    pub friendly_name: Option<String>,
    pub available: Option<bool>,
}

/// Which workers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerFilter {
    /// In one of these activities; in any when there is no list.
    pub activities: Option<Vec<ActivitySid>>,
    /// In an available activity, or in another.
    pub available: Option<bool>,
    /// In lower case: names are compared without regard to it.
    pub name_key: Option<String>,
}

impl WorkerFilter {
    /// Whether one index holds these workers in the order of `key`.
    #[must_use]
    pub fn has_index(&self, key: WorkerKey) -> bool {
        let one = |activities: &Vec<ActivitySid>| activities.len() == 1;
        self.available.is_none()
            && match &self.activities {
                None => true,
                // There is at most one worker of a name.
                Some(activities) => one(activities) && (key == WorkerKey::DateCreated || self.name_key.is_some()),
            }
    }

    /// Whether a worker in memory is one of them; `is_available` is that of its activity.
    #[must_use]
    pub fn admits(&self, worker: &Worker, is_available: bool) -> bool {
        self.activities.as_ref().is_none_or(|activities| activities.contains(&worker.activity))
            && self.available.is_none_or(|available| available == is_available)
            && self.name_key.as_ref().is_none_or(|name| *name == worker.friendly_name.to_lowercase())
    }
}

/// Which tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Any of these; all when empty.
    pub assignment_status: Vec<TaskStatus>,
    /// Equal to this.
    pub priority: Option<i32>,
    /// Controlled by one of these; by any when there is no list.
    pub workflows: Option<Vec<WorkflowSid>>,
    /// In one of these; in any or none when there is no list.
    pub task_queues: Option<Vec<TaskQueueSid>>,
    /// As given at creation.
    pub routing_target: Option<RoutingTarget>,
}

impl TaskFilter {
    /// Whether one index for each status holds these tasks in the order of `keys`.
    #[must_use]
    pub fn has_index(&self, keys: &[(TaskKey, Direction)]) -> bool {
        let lists = [self.workflows.as_ref().map(Vec::len), self.task_queues.as_ref().map(Vec::len)];
        let narrowed = usize::from(!self.assignment_status.is_empty())
            + usize::from(self.priority.is_some())
            + usize::from(self.routing_target.is_some())
            + lists.iter().flatten().count();
        match keys {
            [(TaskKey::DateCreated, _)] => narrowed <= 1 && lists.iter().flatten().all(|length| *length == 1),
            [(TaskKey::Priority, priority), (TaskKey::DateCreated, created)] => narrowed == 0 && priority != created,
            [(TaskKey::VirtualStartTime, _)] => narrowed == 0,
            _ => false,
        }
    }

    /// Whether a task in memory is one of them.
    #[must_use]
    pub fn admits(&self, task: &Task) -> bool {
        (self.assignment_status.is_empty() || self.assignment_status.contains(&task.status))
            && self.priority.is_none_or(|priority| priority == task.priority)
            && self.workflows.as_ref().is_none_or(|among| task.workflow.is_some_and(|sid| among.contains(&sid)))
            && self.task_queues.as_ref().is_none_or(|among| task.queue.is_some_and(|sid| among.contains(&sid)))
            && self.routing_target.is_none_or(|target| *task.routing_target == Some(target))
    }
}

/// Which reservations.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each field is the query parameter of the same name")]
pub struct ReservationFilter {
    pub reservation_status: Option<ReservationStatus>,
    pub worker: Option<WorkerSid>,
}

/// Which events.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each field is the query parameter of the same name")]
pub struct EventFilter {
    pub event_type: Option<String>,
    pub sid: Option<EventSid>,
    pub task: Option<TaskSid>,
    pub worker: Option<WorkerSid>,
    pub reservation: Option<ReservationSid>,
    pub task_queue: Option<TaskQueueSid>,
    pub workflow: Option<WorkflowSid>,
    pub task_channel: Option<ChannelName>,
    /// Inclusive.
    pub from: Option<Timestamp>,
    /// Inclusive.
    pub until: Option<Timestamp>,
    /// Only events with greater numbers.
    pub after: Option<i64>,
}

/// Workspaces of an account by SID, that is, oldest first.
pub(super) fn workspaces(account: AccountSid, friendly_name: Option<&str>) -> Select<WorkspaceView> {
    Select::new().filter("s.account_sid = ?", account).filter_some("s.friendly_name = ?", friendly_name)
}

/// Activities of a workspace, oldest first.
pub(super) fn activities(workspace: WorkspaceSid, filter: &ActivityFilter) -> Select<ActivityView> {
    let select = Select::new().filter("a.workspace_sid = ?", workspace);
    let select = match (&filter.friendly_name, filter.available) {
        (Some(name), None) => select.filter("a.friendly_name = ?", name),
        (None, Some(available)) => select.filter_number("a.available = ?", i64::from(available)),
        (Some(name), Some(available)) => {
            select.filter("a.friendly_name = ?", name).filter_number("+a.available = ?", i64::from(available))
        }
        (None, None) => select,
    };
    select.order("a.created_at", Direction::Ascending)
}

/// Task channels of a workspace, oldest first.
pub(super) fn task_channels(workspace: WorkspaceSid) -> Select<TaskChannelView> {
    Select::new().filter("c.workspace_sid = ?", workspace).order("c.created_at", Direction::Ascending)
}

/// Task queues of a workspace, oldest first, or by last change.
pub(super) fn task_queues(
    workspace: WorkspaceSid,
    friendly_name: Option<&str>,
    by_date_updated: Option<Direction>,
) -> Select<TaskQueueView> {
    let select = Select::new().filter("q.workspace_sid = ?", workspace);
    let select = select.filter_some("q.friendly_name = ?", friendly_name);
    match by_date_updated {
        Some(direction) => select.order("q.updated_at", direction),
        None => select.order("q.created_at", Direction::Ascending),
    }
}

/// Workflows of a workspace, oldest first.
pub(super) fn workflows(workspace: WorkspaceSid, friendly_name: Option<&str>) -> Select<WorkflowView> {
    let select = Select::new().filter("f.workspace_sid = ?", workspace);
    select.filter_some("f.friendly_name = ?", friendly_name).order("f.created_at", Direction::Ascending)
}

/// Workers of a workspace, for a filter that has an index.
pub(super) fn workers(
    workspace: WorkspaceSid,
    filter: &WorkerFilter,
    (key, direction): (WorkerKey, Direction),
) -> Select<WorkerView> {
    let select = Select::new().filter("w.workspace_sid = ?", workspace);
    let activity = filter.activities.iter().flatten().next();
    let select = match &filter.name_key {
        Some(name) => select.filter("w.name_key = ?", name).filter_some("+w.activity_sid = ?", activity),
        None => select.filter_some("w.activity_sid = ?", activity),
    };
    select.order(key.column(), direction)
}

/// The channels of a worker, oldest first; there are few, so they are sorted.
pub(super) fn worker_channels(workspace: WorkspaceSid, worker: WorkerSid) -> Select<WorkerChannelView> {
    let select = Select::new().filter("k.worker_sid = ?", worker).filter("+k.workspace_sid = ?", workspace);
    select.order("k.created_at", Direction::Ascending)
}

/// Tasks of a workspace with one status, if one is given, for a filter that has an index.
pub(super) fn tasks(
    workspace: WorkspaceSid,
    filter: &TaskFilter,
    status: Option<TaskStatus>,
    keys: &[(TaskKey, Direction)],
) -> Select<TaskView> {
    let select = Select::new()
        .filter("t.workspace_sid = ?", workspace)
        .filter_some("t.status = ?", status)
        .filter_some("t.workflow_sid = ?", filter.workflows.iter().flatten().next())
        .filter_some("t.task_queue_sid = ?", filter.task_queues.iter().flatten().next())
        .filter_some("t.routing_target = ?", filter.routing_target);
    let select = match filter.priority {
        Some(priority) => select.filter_number("t.priority = ?", i64::from(priority)),
        None => select,
    };
    keys.iter().fold(select, |select, (key, direction)| select.order(key.column(), *direction))
}

/// Reservations of a task or a worker, oldest first. A task has few, so that of these others are passed over.
pub(super) fn reservations(
    workspace: WorkspaceSid,
    parent: ReservationParent,
    filter: &ReservationFilter,
) -> Select<ReservationView> {
    let select = under(Select::new(), parent);
    let select = match parent {
        ReservationParent::Task(_) => select
            .filter("+r.workspace_sid = ?", workspace)
            .filter_some("+r.status = ?", filter.reservation_status)
            .filter_some("+r.worker_sid = ?", filter.worker),
        ReservationParent::Worker(_) => {
            let select = select.filter("+r.workspace_sid = ?", workspace);
            select.filter_some("r.status = ?", filter.reservation_status)
        }
        ReservationParent::Any => select.filter("r.workspace_sid = ?", workspace),
    };
    select.order("r.created_at", Direction::Ascending)
}

/// Events of a workspace, oldest first. The most telling filter chooses the index; the others pass over what it holds.
pub(super) fn events(workspace: WorkspaceSid, filter: &EventFilter) -> Select<EventView> {
    let mut chosen = false;
    let mut condition = |indexed: &'static str, passed_over: &'static str| {
        if std::mem::replace(&mut chosen, true) { passed_over } else { indexed }
    };
    let mut select = Select::new();
    if let Some(sid) = filter.sid {
        select = select.filter(condition("e.sid = ?", "+e.sid = ?"), sid);
    }
    if let Some(sid) = filter.reservation {
        select = select.filter(condition("e.reservation_sid = ?", "+e.reservation_sid = ?"), sid);
    }
    if let Some(sid) = filter.task {
        select = select.filter(condition("e.task_sid = ?", "+e.task_sid = ?"), sid);
    }
    if let Some(sid) = filter.worker {
        select = select.filter(condition("e.worker_sid = ?", "+e.worker_sid = ?"), sid);
    }
    if let Some(sid) = filter.task_queue {
        select = select.filter(condition("e.task_queue_sid = ?", "+e.task_queue_sid = ?"), sid);
    }
    if let Some(sid) = filter.workflow {
        select = select.filter(condition("e.workflow_sid = ?", "+e.workflow_sid = ?"), sid);
    }
    if let Some(ChannelName::Sid(sid)) = filter.task_channel {
        select = select.filter(condition("e.task_channel_sid = ?", "+e.task_channel_sid = ?"), sid);
    }
    let by_sid = chosen;
    if let Some(kind) = &filter.event_type {
        select = select.filter(if by_sid { "+e.event_type = ?" } else { "e.event_type = ?" }, kind);
        // With both ends of a window the index by time looks as good to SQLite.
        if !by_sid {
            select = select.hint(" INDEXED BY events_by_type");
        }
    }
    select = select.filter(if by_sid { "+e.workspace_sid = ?" } else { "e.workspace_sid = ?" }, workspace);
    if let Some(from) = filter.from {
        select = select.filter_number("e.at >= ?", from.0);
    }
    if let Some(until) = filter.until {
        select = select.filter_number("e.at <= ?", until.0);
    }
    if let Some(number) = filter.after {
        // Passed over: where these begin in time is `from`.
        select = select.filter_number("+e.sequence > ?", number);
    }
    select.order("e.at", Direction::Ascending).order("e.sequence", Direction::Ascending).total()
}

/// The codes of warnings, and the condition that a row has a level: from one list, so that both agree.
macro_rules! warnings {
    ($first:literal $(, $code:literal)*) => {
        /// Codes of alerts that are warnings; all others are errors. That nobody is left to be connected, 40144, is nothing
        /// that anybody could mend; the others are warnings in Twilio's error dictionary.
        pub const WARNINGS: &[i64] = &[$first $(, $code)*];
        const LEVEL: &str =
            concat!("(CASE WHEN l.code IN (", $first $(, ", ", $code)*, ") THEN 'warning' ELSE 'error' END) = ?");
    };
}

warnings!(12200, 15003, 40001, 40005, 40144, 40153);

/// Which alerts are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertFilter {
    /// `error` or `warning`; nothing has another one.
    pub level: Option<&'static str>,
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Up to this moment.
    pub until: Option<Timestamp>,
}

pub(super) fn alerts(account: AccountSid, filter: &AlertFilter) -> Select<AlertView> {
    let mut select = Select::new().filter("l.account_sid = ?", account).filter_some(LEVEL, filter.level);
    if let Some(from) = filter.from {
        select = select.filter_number("l.at >= ?", from.0);
    }
    if let Some(until) = filter.until {
        select = select.filter_number("l.at <= ?", until.0);
    }
    select.order("l.at", Direction::Descending)
}

impl Store {
    /// Workspaces of an account, oldest first.
    pub async fn account_workspaces(
        &self,
        account: AccountSid,
        friendly_name: Option<&str>,
        span: Span,
    ) -> Result<List<WorkspaceView>, Error> {
        workspaces(account, friendly_name).page(self.read_pool(), span).await
    }

    /// API keys of an account, or of all, oldest first.
    pub async fn api_keys(&self, account: Option<AccountSid>, span: Span) -> Result<List<ApiKeyView>, Error> {
        let select = Select::new().filter_some("p.account_sid = ?", account);
        select.order("p.created_at", Direction::Ascending).page(self.read_pool(), span).await
    }

    /// Alerts of an account, newest first.
    pub async fn alerts_of(
        &self,
        account: AccountSid,
        filter: &AlertFilter,
        span: Span,
    ) -> Result<List<AlertView>, Error> {
        alerts(account, filter).page(self.read_pool(), span).await
    }

    /// One alert, if it is the account's.
    pub async fn alert_of(&self, account: AccountSid, alert: AlertSid) -> Result<Option<AlertView>, Error> {
        let select = Select::new().filter("l.sid = ?", alert).filter("+l.account_sid = ?", account);
        select.optional(self.read_pool()).await
    }

    /// Activities of a workspace, oldest first.
    pub async fn activities(
        &self,
        workspace: WorkspaceSid,
        filter: &ActivityFilter,
        span: Span,
    ) -> Result<List<ActivityView>, Error> {
        activities(workspace, filter).page(self.read_pool(), span).await
    }

    /// Task channels of a workspace, oldest first.
    pub async fn task_channels(&self, workspace: WorkspaceSid, span: Span) -> Result<List<TaskChannelView>, Error> {
        task_channels(workspace).page(self.read_pool(), span).await
    }

    /// Task queues of a workspace, oldest first, or by last change.
    pub async fn task_queues(
        &self,
        workspace: WorkspaceSid,
        friendly_name: Option<&str>,
        by_date_updated: Option<Direction>,
        span: Span,
    ) -> Result<List<TaskQueueView>, Error> {
        task_queues(workspace, friendly_name, by_date_updated).page(self.read_pool(), span).await
    }

    /// Workflows of a workspace, oldest first.
    pub async fn workflows(
        &self,
        workspace: WorkspaceSid,
        friendly_name: Option<&str>,
        span: Span,
    ) -> Result<List<WorkflowView>, Error> {
        workflows(workspace, friendly_name).page(self.read_pool(), span).await
    }

    /// Workers of a workspace in the order of `key`; the filter must have an index for it.
    pub async fn workers(
        &self,
        workspace: WorkspaceSid,
        filter: &WorkerFilter,
        key: (WorkerKey, Direction),
        span: Span,
    ) -> Result<List<WorkerView>, Error> {
        debug_assert!(filter.has_index(key.0), "{filter:?} by {key:?}");
        workers(workspace, filter, key).page(self.read_pool(), span).await
    }

    /// The channels of a worker, oldest first.
    pub async fn worker_channels(
        &self,
        workspace: WorkspaceSid,
        worker: WorkerSid,
        span: Span,
    ) -> Result<List<WorkerChannelView>, Error> {
        worker_channels(workspace, worker).page(self.read_pool(), span).await
    }

    /// Tasks of a workspace in the order of `keys`; the filter must have an index for it.
    pub async fn tasks(
        &self,
        workspace: WorkspaceSid,
        filter: &TaskFilter,
        keys: &[(TaskKey, Direction)],
        span: Span,
    ) -> Result<List<TaskView>, Error> {
        debug_assert!(filter.has_index(keys), "{filter:?} by {keys:?}");
        let pool = self.read_pool();
        let select = |status| tasks(workspace, filter, status, keys);
        let mut statuses = filter.assignment_status.clone();
        statuses.sort_unstable();
        statuses.dedup();
        match (statuses.as_slice(), &span.seek) {
            ([], _) => select(None).page(pool, span).await,
            ([status], _) => select(Some(*status)).page(pool, span).await,
            // Rows are counted, so they are all read anyway.
            (_, Seek::Skip(_)) => select(None).filter_any("t.status", &statuses).page(pool, span).await,
            _ => Select::merged(statuses.iter().map(|status| select(Some(*status))).collect(), pool, span).await,
        }
    }

    /// Reservations of a task or a worker, oldest first.
    pub async fn reservations(
        &self,
        workspace: WorkspaceSid,
        parent: ReservationParent,
        filter: &ReservationFilter,
        span: Span,
    ) -> Result<List<ReservationView>, Error> {
        reservations(workspace, parent, filter).page(self.read_pool(), span).await
    }

    /// Transfers that a worker initiated, oldest first; there are as few as there are tasks that were handed on.
    pub async fn transfers(
        &self,
        workspace: WorkspaceSid,
        worker: WorkerSid,
        task: Option<TaskSid>,
        status: Option<TransferStatus>,
        span: Span,
    ) -> Result<List<TransferView>, Error> {
        let select = Select::new()
            .filter("x.workspace_sid = ?", workspace)
            .filter("x.initiating_worker_sid = ?", worker)
            .filter_some("x.task_sid = ?", task)
            .filter_some("x.status = ?", status);
        select.order("x.created_at", Direction::Ascending).page(self.read_pool(), span).await
    }

    /// When the first event with a greater number happened.
    async fn first_event_after(&self, workspace: WorkspaceSid, number: i64) -> Result<Option<Timestamp>, Error> {
        let sql = "SELECT at FROM events WHERE workspace_sid = $1 AND sequence > $2 ORDER BY sequence LIMIT 1";
        let query = sqlx::query_scalar(sql).bind(workspace.to_string()).bind(number);
        Ok(query.fetch_optional(self.read_pool()).await?.map(Timestamp))
    }

    /// Events of a workspace, oldest first.
    pub async fn events(
        &self,
        workspace: WorkspaceSid,
        filter: &EventFilter,
        span: Span,
    ) -> Result<List<EventView>, Error> {
        let mut filter = filter.clone();
        // A name is looked up first, so that the channel's index serves it.
        if let Some(name) = &filter.task_channel {
            let sid = match name {
                ChannelName::Sid(sid) => Some(*sid),
                ChannelName::Unique(_) => match self.task_channel(workspace, name).await? {
                    Some(channel) => channel.sid.parse().ok(),
                    None => None,
                },
                ChannelName::WorkerChannel(sid) => self.channel_of_worker_channel(workspace, *sid).await?,
            };
            let Some(sid) = sid else { return Ok(List::empty()) };
            filter.task_channel = Some(ChannelName::Sid(sid));
        }
        if let Some(number) = filter.after {
            // Times do not go back as numbers grow, so every index begins at the first event that is wanted.
            let Some(next) = self.first_event_after(workspace, number).await? else { return Ok(List::empty()) };
            filter.from = filter.from.max(Some(next));
        }
        events(workspace, &filter).page(self.read_pool(), span).await
    }

    /// Those of these tasks that exist, in any order.
    pub async fn tasks_with(&self, workspace: WorkspaceSid, sids: &[TaskSid]) -> Result<Vec<TaskView>, Error> {
        self.with_sids("+t.workspace_sid = ?", workspace, sids).await
    }

    /// Those of these workers that exist, in any order.
    pub async fn workers_with(&self, workspace: WorkspaceSid, sids: &[WorkerSid]) -> Result<Vec<WorkerView>, Error> {
        self.with_sids("+w.workspace_sid = ?", workspace, sids).await
    }

    /// Those of these task queues that exist, in any order.
    pub async fn task_queues_with(
        &self,
        workspace: WorkspaceSid,
        sids: &[TaskQueueSid],
    ) -> Result<Vec<TaskQueueView>, Error> {
        self.with_sids("+q.workspace_sid = ?", workspace, sids).await
    }

    async fn with_sids<T: View>(
        &self,
        in_workspace: &'static str,
        workspace: WorkspaceSid,
        sids: &[impl std::fmt::Display],
    ) -> Result<Vec<T>, Error> {
        if sids.is_empty() {
            return Ok(Vec::new());
        }
        let select = Select::new().filter(in_workspace, workspace).filter_any(T::SID, sids);
        select.rows(self.read_pool(), u32::try_from(sids.len()).unwrap_or(u32::MAX)).await
    }
}

#[cfg(test)]
mod tests;
