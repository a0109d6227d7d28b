//! Lists of the read side, cut into pages by position (keyset), never by counting rows from the start.
//!
//! A [`Cursor`] is the place of one row in the order of its list; a page is what lies after or before it, so rows that
//! are added meanwhile neither repeat nor hide others. `OFFSET` serves only clients that name a page number without a
//! token. SQL is put together here alone: from literals of this crate and `$n` placeholders, values are always bound.
//! Start with [`Span`] and [`Store::tasks`].

use std::fmt::Display;
use std::marker::PhantomData;

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqlitePool};

use super::views::{
    ActivityView, EventView, ReservationView, TaskChannelView, TaskQueueView, TaskView, TransferView, View,
    WorkerChannelView, WorkerView, WorkflowView, WorkspaceView, under,
};
use super::{Error, Store};
use crate::routing::command::{ChannelName, ReservationParent};
use crate::routing::{
    AccountSid, ActivitySid, EventSid, ReservationSid, ReservationStatus, RoutingTarget, TaskQueueSid, TaskSid,
    TaskStatus, Timestamp, TransferStatus, WorkerSid, WorkflowSid, WorkspaceSid,
};

/// The place of one row in the order of its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The row.
    pub sid: String,
    /// What the list is ordered by, before the SID.
    pub keys: Vec<i64>,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seek {
    /// At the first row.
    First,
    /// After that many rows.
    Skip(u64),
    /// After that row.
    After(Cursor),
    /// Ends before that row.
    Before(Cursor),
}

/// The piece of a list that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub seek: Seek,
    /// Rows at most.
    pub limit: u32,
}

/// A row and its place in the list.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    /// Where it stands.
    pub at: Cursor,
    /// What it is.
    pub row: T,
}

/// A piece of a list.
#[derive(Debug, Clone)]
pub struct List<T> {
    /// In the order of the list.
    pub entries: Vec<Entry<T>>,
    /// What comes before this row is not here, and there is something.
    pub before: Option<Cursor>,
    /// What follows this row is not here, and there is something.
    pub after: Option<Cursor>,
}

impl<T> List<T> {
    /// Without rows.
    #[must_use]
    pub const fn empty() -> Self {
        Self { entries: Vec::new(), before: None, after: None }
    }
}

/// Upwards or downwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Direction {
    Ascending,
    Descending,
}

impl Direction {
    const fn reversed(self, reverse: bool) -> Self {
        match (self, reverse) {
            (Self::Ascending, true) | (Self::Descending, false) => Self::Descending,
            (Self::Descending, true) | (Self::Ascending, false) => Self::Ascending,
        }
    }

    const fn keyword(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }

    const fn comparison(self) -> &'static str {
        match self {
            Self::Ascending => ">",
            Self::Descending => "<",
        }
    }
}

/// What tasks can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the value of Ordering of the same name")]
pub enum TaskKey {
    DateCreated,
    Priority,
    VirtualStartTime,
}

/// Which activities.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each field is the query parameter of the same name")]
pub struct ActivityFilter {
    pub friendly_name: Option<String>,
    pub available: Option<bool>,
}

/// Which workers.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each field is the query parameter of the same name")]
pub struct WorkerFilter {
    pub activity_name: Option<String>,
    pub activity: Option<ActivitySid>,
    pub available: Option<bool>,
    /// Ignores case.
    pub friendly_name: Option<String>,
}

/// Which tasks.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each field is the query parameter of the same name")]
pub struct TaskFilter {
    /// Any of these; all when empty.
    pub assignment_status: Vec<TaskStatus>,
    pub priority: Option<i32>,
    pub workflow: Option<WorkflowSid>,
    pub workflow_name: Option<String>,
    pub task_queue: Option<TaskQueueSid>,
    pub task_queue_name: Option<String>,
    pub routing_target: Option<RoutingTarget>,
    /// Add-ons do not exist: true finds nothing.
    pub has_addons: Option<bool>,
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
}

/// A value to bind.
#[derive(Debug, Clone)]
enum Value {
    Integer(i64),
    Text(String),
}

#[derive(Debug, Clone, Copy)]
struct Key {
    column: &'static str,
    direction: Direction,
}

/// One `SELECT` of a view: conditions, order, values.
#[derive(Debug)]
pub(super) struct Select<T> {
    conditions: Vec<String>,
    values: Vec<Value>,
    keys: Vec<Key>,
    view: PhantomData<T>,
}

impl<T: View> Select<T> {
    /// All rows.
    pub(super) const fn new() -> Self {
        Self { conditions: Vec::new(), values: Vec::new(), keys: Vec::new(), view: PhantomData }
    }

    /// Only rows for which `condition` holds; each `?` in it stands for the text form of `value`.
    pub(super) fn filter(self, condition: &'static str, value: impl Display) -> Self {
        self.with(condition, Value::Text(value.to_string()))
    }

    /// The same with a number.
    fn filter_number(self, condition: &'static str, value: i64) -> Self {
        self.with(condition, Value::Integer(value))
    }

    /// The same, if there is a value.
    fn filter_some(self, condition: &'static str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.filter(condition, value),
            None => self,
        }
    }

    /// Only rows whose `column` is one of `values`; all rows when there are none.
    fn filter_any(mut self, column: &'static str, values: &[impl Display]) -> Self {
        if values.is_empty() {
            return self;
        }
        let placeholders: Vec<_> = values.iter().map(|value| self.bind(Value::Text(value.to_string()))).collect();
        self.conditions.push(format!("{column} IN ({})", placeholders.join(", ")));
        self
    }

    /// Orders by `column`, after the columns named before; the SID comes last of itself.
    fn order(mut self, column: &'static str, direction: Direction) -> Self {
        self.keys.push(Key { column, direction });
        self
    }

    fn with(mut self, condition: &'static str, value: Value) -> Self {
        let placeholder = self.bind(value);
        self.conditions.push(condition.replace('?', &placeholder));
        self
    }

    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    /// The condition that a row comes after `cursor` in the order given by `columns`.
    fn seek(&mut self, columns: &[Key], cursor: Cursor) {
        let numbers = cursor.keys.into_iter().map(Value::Integer);
        let values: Vec<_> = numbers.chain([Value::Text(cursor.sid)]).map(|value| self.bind(value)).collect();
        let same = columns.windows(2).all(|pair| pair[0].direction == pair[1].direction);
        let condition = if same {
            let names: Vec<_> = columns.iter().map(|key| key.column).collect();
            format!("({}) {} ({})", names.join(", "), columns[0].direction.comparison(), values.join(", "))
        } else {
            let steps: Vec<_> = (0..columns.len())
                .map(|last| {
                    let mut parts: Vec<_> =
                        (0..last).map(|equal| format!("{} = {}", columns[equal].column, values[equal])).collect();
                    let Key { column, direction } = columns[last];
                    parts.push(format!("{column} {} {}", direction.comparison(), values[last]));
                    format!("({})", parts.join(" AND "))
                })
                .collect();
            format!("({})", steps.join(" OR "))
        };
        self.conditions.push(condition);
    }

    fn sql(&self, columns: &[Key], limit: &str, offset: Option<&str>) -> String {
        let mut sql = format!("SELECT {}", T::COLUMNS.join(", "));
        for (index, key) in self.keys.iter().enumerate() {
            sql.push_str(&format!(", {} AS key_{index}", key.column));
        }
        sql.push_str(&format!(" FROM {}", T::FROM));
        if !self.conditions.is_empty() {
            sql.push_str(&format!(" WHERE {}", self.conditions.join(" AND ")));
        }
        let order: Vec<_> = columns.iter().map(|key| format!("{} {}", key.column, key.direction.keyword())).collect();
        sql.push_str(&format!(" ORDER BY {} LIMIT {limit}", order.join(", ")));
        if let Some(offset) = offset {
            sql.push_str(&format!(" OFFSET {offset}"));
        }
        sql
    }

    /// The first row, if there is one.
    pub(super) async fn optional(self, pool: &SqlitePool) -> Result<Option<T>, Error> {
        Ok(self.rows(pool, 1).await?.pop())
    }

    /// The piece of the list that `span` asks for.
    pub(super) async fn page(mut self, pool: &SqlitePool, span: Span) -> Result<List<T>, Error> {
        let backwards = matches!(span.seek, Seek::Before(_));
        let mut columns = self.keys.clone();
        columns.push(Key { column: T::SID, direction: Direction::Ascending });
        for key in &mut columns {
            key.direction = key.direction.reversed(backwards);
        }
        let mut came_from_elsewhere = true;
        let mut offset = None;
        match span.seek {
            Seek::First => came_from_elsewhere = false,
            Seek::Skip(rows) => offset = Some(self.bind(Value::Integer(i64::try_from(rows).unwrap_or(i64::MAX)))),
            Seek::After(cursor) | Seek::Before(cursor) => self.seek(&columns, cursor),
        }
        let limit = self.bind(Value::Integer(i64::from(span.limit) + 1));
        let sql = self.sql(&columns, &limit, offset.as_deref());
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in std::mem::take(&mut self.values) {
            query = match value {
                Value::Integer(number) => query.bind(number),
                Value::Text(text) => query.bind(text),
            };
        }
        let mut found = query.fetch_all(pool).await?;
        let wanted = usize::try_from(span.limit).unwrap_or(usize::MAX);
        let more = found.len() > wanted;
        found.truncate(wanted);
        if backwards {
            found.reverse();
        }

        let read = |row| Self::entry(row, self.keys.len());
        let entries: Vec<_> = found.iter().map(read).collect::<Result<_, _>>()?;
        let first = entries.first().map(|entry| entry.at.clone());
        let last = entries.last().map(|entry| entry.at.clone());
        let (more_before, more_after) = if backwards { (more, true) } else { (came_from_elsewhere, more) };
        Ok(List { before: first.filter(|_| more_before), after: last.filter(|_| more_after), entries })
    }

    fn entry(row: &SqliteRow, key_count: usize) -> Result<Entry<T>, sqlx::Error> {
        let keys = (0..key_count).map(|index| row.try_get(format!("key_{index}").as_str()));
        let at = Cursor { sid: row.try_get("sid")?, keys: keys.collect::<Result<_, _>>()? };
        Ok(Entry { at, row: T::read(row)? })
    }

    /// All rows, at most `limit`.
    async fn rows(self, pool: &SqlitePool, limit: u32) -> Result<Vec<T>, Error> {
        let list = self.page(pool, Span { seek: Seek::First, limit }).await?;
        Ok(list.entries.into_iter().map(|entry| entry.row).collect())
    }
}

impl Store {
    /// Workspaces of an account, oldest first.
    pub async fn account_workspaces(
        &self,
        account: AccountSid,
        friendly_name: Option<&str>,
        span: Span,
    ) -> Result<List<WorkspaceView>, Error> {
        let select = Select::new().filter("s.account_sid = ?", account);
        select.filter_some("s.friendly_name = ?", friendly_name).page(self.read_pool(), span).await
    }

    /// Activities of a workspace, oldest first.
    pub async fn activities(
        &self,
        workspace: WorkspaceSid,
        filter: &ActivityFilter,
        span: Span,
    ) -> Result<List<ActivityView>, Error> {
        let mut select = Select::new()
            .filter("a.workspace_sid = ?", workspace)
            .filter_some("a.friendly_name = ?", filter.friendly_name.as_deref())
            .order("a.created_at", Direction::Ascending);
        if let Some(available) = filter.available {
            select = select.filter_number("a.available = ?", i64::from(available));
        }
        select.page(self.read_pool(), span).await
    }

    /// Task channels of a workspace, oldest first.
    pub async fn task_channels(&self, workspace: WorkspaceSid, span: Span) -> Result<List<TaskChannelView>, Error> {
        let select = Select::new().filter("c.workspace_sid = ?", workspace);
        select.order("c.created_at", Direction::Ascending).page(self.read_pool(), span).await
    }

    /// Task queues of a workspace, oldest first, or by last change.
    pub async fn task_queues(
        &self,
        workspace: WorkspaceSid,
        friendly_name: Option<&str>,
        by_date_updated: Option<Direction>,
        span: Span,
    ) -> Result<List<TaskQueueView>, Error> {
        let select =
            Select::new().filter("q.workspace_sid = ?", workspace).filter_some("q.friendly_name = ?", friendly_name);
        let select = match by_date_updated {
            Some(direction) => select.order("q.updated_at", direction),
            None => select.order("q.created_at", Direction::Ascending),
        };
        select.page(self.read_pool(), span).await
    }

    /// Workflows of a workspace, oldest first.
    pub async fn workflows(
        &self,
        workspace: WorkspaceSid,
        friendly_name: Option<&str>,
        span: Span,
    ) -> Result<List<WorkflowView>, Error> {
        let select = Select::new().filter("f.workspace_sid = ?", workspace);
        let select = select.filter_some("f.friendly_name = ?", friendly_name);
        select.order("f.created_at", Direction::Ascending).page(self.read_pool(), span).await
    }

    /// Workers of a workspace, oldest first, or by last change of activity.
    pub async fn workers(
        &self,
        workspace: WorkspaceSid,
        filter: &WorkerFilter,
        by_status_changed: Option<Direction>,
        span: Span,
    ) -> Result<List<WorkerView>, Error> {
        let mut select = Select::new()
            .filter("w.workspace_sid = ?", workspace)
            .filter_some("a.friendly_name = ?", filter.activity_name.as_deref())
            .filter_some("w.activity_sid = ?", filter.activity)
            .filter_some("w.name_key = ?", filter.friendly_name.as_ref().map(|name| name.to_lowercase()));
        if let Some(available) = filter.available {
            select = select.filter_number("a.available = ?", i64::from(available));
        }
        select = match by_status_changed {
            Some(direction) => select.order("w.status_changed_at", direction),
            None => select.order("w.created_at", Direction::Ascending),
        };
        select.page(self.read_pool(), span).await
    }

    /// The channels of a worker, oldest first.
    pub async fn worker_channels(
        &self,
        workspace: WorkspaceSid,
        worker: WorkerSid,
        span: Span,
    ) -> Result<List<WorkerChannelView>, Error> {
        let select = Select::new().filter("k.worker_sid = ?", worker).filter("k.workspace_sid = ?", workspace);
        select.order("k.created_at", Direction::Ascending).page(self.read_pool(), span).await
    }

    /// The channels of several workers, at most 100 of each on average.
    pub async fn channels_of_workers(
        &self,
        workspace: WorkspaceSid,
        workers: &[&str],
    ) -> Result<Vec<WorkerChannelView>, Error> {
        if workers.is_empty() {
            return Ok(Vec::new());
        }
        let select = Select::new().filter("k.workspace_sid = ?", workspace).filter_any("k.worker_sid", workers);
        select.rows(self.read_pool(), u32::try_from(workers.len()).unwrap_or(u32::MAX).saturating_mul(100)).await
    }

    /// Tasks of a workspace in the order of `keys`; oldest first when there are none.
    pub async fn tasks(
        &self,
        workspace: WorkspaceSid,
        filter: &TaskFilter,
        keys: &[(TaskKey, Direction)],
        span: Span,
    ) -> Result<List<TaskView>, Error> {
        if filter.has_addons == Some(true) {
            return Ok(List::empty());
        }
        let mut select = Select::new()
            .filter("t.workspace_sid = ?", workspace)
            .filter_any("t.status", &filter.assignment_status)
            .filter_some("t.workflow_sid = ?", filter.workflow)
            .filter_some("f.friendly_name = ?", filter.workflow_name.as_deref())
            .filter_some("t.task_queue_sid = ?", filter.task_queue)
            .filter_some("q.friendly_name = ?", filter.task_queue_name.as_deref())
            .filter_some("t.routing_target = ?", filter.routing_target);
        if let Some(priority) = filter.priority {
            select = select.filter_number("t.priority = ?", i64::from(priority));
        }
        for (key, direction) in keys {
            let column = match key {
                TaskKey::DateCreated => "t.created_at",
                TaskKey::Priority => "t.priority",
                TaskKey::VirtualStartTime => "t.virtual_start_at",
            };
            select = select.order(column, *direction);
        }
        if keys.is_empty() {
            select = select.order("t.created_at", Direction::Ascending);
        }
        select.page(self.read_pool(), span).await
    }

    /// Reservations of a task or a worker, oldest first.
    pub async fn reservations(
        &self,
        workspace: WorkspaceSid,
        parent: ReservationParent,
        filter: &ReservationFilter,
        span: Span,
    ) -> Result<List<ReservationView>, Error> {
        let select = under(Select::new(), parent)
            .filter("r.workspace_sid = ?", workspace)
            .filter_some("r.status = ?", filter.reservation_status)
            .filter_some("r.worker_sid = ?", filter.worker);
        select.order("r.created_at", Direction::Ascending).page(self.read_pool(), span).await
    }

    /// Transfers that a worker initiated, oldest first.
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

    /// Events of a workspace, oldest first.
    pub async fn events(
        &self,
        workspace: WorkspaceSid,
        filter: &EventFilter,
        span: Span,
    ) -> Result<List<EventView>, Error> {
        let mut select = Select::new()
            .filter("e.workspace_sid = ?", workspace)
            .filter_some("e.event_type = ?", filter.event_type.as_deref())
            .filter_some("e.sid = ?", filter.sid)
            .filter_some("e.task_sid = ?", filter.task)
            .filter_some("e.worker_sid = ?", filter.worker)
            .filter_some("e.reservation_sid = ?", filter.reservation)
            .filter_some("e.task_queue_sid = ?", filter.task_queue)
            .filter_some("e.workflow_sid = ?", filter.workflow);
        select = match &filter.task_channel {
            Some(ChannelName::Sid(sid)) => select.filter("e.task_channel_sid = ?", *sid),
            Some(ChannelName::Unique(unique_name)) => select.filter(
                "e.task_channel_sid IN (SELECT n.sid FROM task_channels n \
                 WHERE n.workspace_sid = e.workspace_sid AND n.unique_name = ?)",
                unique_name,
            ),
            Some(ChannelName::WorkerChannel(sid)) => select.filter(
                "e.task_channel_sid IN (SELECT n.task_channel_sid FROM worker_channels n \
                 WHERE n.workspace_sid = e.workspace_sid AND n.sid = ?)",
                *sid,
            ),
            None => select,
        };
        if let Some(from) = filter.from {
            select = select.filter_number("e.at >= ?", from.0);
        }
        if let Some(until) = filter.until {
            select = select.filter_number("e.at <= ?", until.0);
        }
        let select = select.order("e.at", Direction::Ascending).order("e.sequence", Direction::Ascending);
        select.page(self.read_pool(), span).await
    }
}

#[cfg(test)]
mod tests;
