//! Tasks: what waits, who has it, how it ended.
//!
//! Start with [`create`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::expressions::TaskExpression;
use super::form::{Form, Parameters, Query};
use super::json::{date, deleted, optional_date, versioned};
use super::links::Place;
use super::page::{Paging, ordering};
use super::scope::{Scope, channel_name};
use super::search::{self, TaskQuery};
use crate::routing::command::{NewTask, TaskUpdate};
use crate::routing::{Command, Reply, RoutingTarget, TaskSid, TaskStatus, Timestamp};
use crate::store::lists::{TaskFilter, TaskKey};
use crate::store::pages::{Direction, List};
use crate::store::views::TaskView;

pub(super) const STATUSES: [&str; 6] = ["pending", "reserved", "assigned", "wrapping", "completed", "canceled"];

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let keys = task_keys(&query)?;
    let paging = Paging::read(&query, keys.len())?;
    let expression = query.filled("EvaluateTaskAttributes");
    if expression.is_some() {
        scope.charge_expression_list("/v1/Workspaces/{WorkspaceSid}/Tasks")?;
    }
    let now = scope.state.clock.now();
    let compiled = |text| TaskExpression::compile("EvaluateTaskAttributes", text, now);
    let expression = match expression.map(compiled).transpose()? {
        Some(expression) if !expression.calendars().is_empty() => {
            let names = expression.calendars();
            let open = scope.look_now(move |workspace, now| workspace.open_calendars(&names, now)).await?;
            Some(expression.with_open(open))
        }
        expression => expression,
    };
    let list = match filter(&scope, &query).await? {
        Some(filter) => search::tasks(&scope, TaskQuery { filter, keys, expression }, paging.span()).await?,
        None => List::empty(),
    };
    Ok(paging.answer(&scope.place.url("/Tasks"), "tasks", &list, |row| render(&scope.place, row, now)))
}

pub(super) async fn create(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let new = NewTask {
        attributes: form.attributes("Attributes")?.unwrap_or_else(|| "{}".to_owned()),
        workflow: form.sid("WorkflowSid")?,
        channel: form.filled("TaskChannel").map(channel_name),
        priority: form.integer("Priority", 0..=i32::MAX)?,
        timeout_secs: form.integer("Timeout", 1..=1_209_600)?,
        virtual_start_at: form.moment("VirtualStartTime")?,
        routing_target: routing_target(&form, &scope.place)?,
        ignore_capacity: form.truthy("IgnoreCapacity"),
        queue: form.sid("TaskQueueSid")?,
        not_before: None,
    };
    match scope.carry_out(Command::CreateTask(new)).await? {
        Reply::Task(sid) => show(&scope, sid, StatusCode::CREATED).await,
        _ => Err(ApiError::internal()),
    }
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    show(&scope, scope.path_sid("TaskSid")?, StatusCode::OK).await
}

pub(super) async fn update(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let sid = scope.path_sid("TaskSid")?;
    let update = wanted_changes(&scope, &form)?;
    scope.carry_out(Command::UpdateTask(sid, update)).await?;
    show(&scope, sid, StatusCode::OK).await
}

/// The changes that the parameters ask for.
pub(super) fn wanted_changes(scope: &Scope, form: &Parameters) -> Result<TaskUpdate, ApiError> {
    Ok(TaskUpdate {
        attributes: form.attributes("Attributes")?,
        status: form.word("AssignmentStatus", &STATUSES)?.and_then(TaskStatus::from_text),
        reason: form.owned("Reason"),
        priority: form.integer("Priority", 0..=i32::MAX)?,
        channel: form.filled("TaskChannel").map(channel_name),
        virtual_start_at: form.moment("VirtualStartTime")?,
        if_match: scope.if_match()?,
    })
}

pub(super) async fn delete(scope: Scope) -> Result<Response, ApiError> {
    let task = scope.path_sid("TaskSid")?;
    scope.carry_out(Command::DeleteTask { task, if_match: scope.if_match()? }).await?;
    Ok(deleted())
}

async fn show(scope: &Scope, sid: TaskSid, status: StatusCode) -> Result<Response, ApiError> {
    let row = scope.found(scope.state.store.task(scope.sid(), sid).await?)?;
    Ok(versioned(status, &render(&scope.place, &row, scope.state.clock.now()), row.version))
}

/// Which tasks are asked for; none if no task can be one of them.
async fn filter(scope: &Scope, query: &Parameters) -> Result<Option<TaskFilter>, ApiError> {
    let statuses = query.words("AssignmentStatus", &STATUSES)?;
    let mut filter = TaskFilter {
        assignment_status: statuses.into_iter().filter_map(TaskStatus::from_text).collect(),
        priority: query.integer("Priority", 0..=i32::MAX)?,
        workflows: query.sid("WorkflowSid")?.map(|sid| vec![sid]),
        task_queues: query.sid("TaskQueueSid")?.map(|sid| vec![sid]),
        routing_target: query.sid("RoutingTarget")?,
    };
    // Add-ons do not exist.
    let mut nothing = query.boolean("HasAddons")? == Some(true);
    let store = &scope.state.store;
    if let Some(name) = query.filled("WorkflowName") {
        nothing |= narrow(&mut filter.workflows, store.workflows_named(scope.sid(), name).await?);
    }
    if let Some(name) = query.filled("TaskQueueName") {
        nothing |= narrow(&mut filter.task_queues, store.task_queues_named(scope.sid(), name).await?);
    }
    Ok(Some(filter).filter(|_| !nothing))
}

/// Leaves only what is `among` these; true if that is nothing.
fn narrow<S: PartialEq>(wanted: &mut Option<Vec<S>>, among: Vec<S>) -> bool {
    let both = |sid: &S| wanted.as_ref().is_none_or(|wanted| wanted.contains(sid));
    let left: Vec<S> = among.into_iter().filter(both).collect();
    let nothing = left.is_empty();
    *wanted = Some(left);
    nothing
}

/// The order of the list; creation and virtual start time exclude each other (TaskRouter: Task). With
/// nothing but a priority, the most urgent come first and among them the oldest, or all the other way round.
fn task_keys(query: &Parameters) -> Result<Vec<(TaskKey, Direction)>, ApiError> {
    let named = ordering(query, &["DateCreated", "Priority", "VirtualStartTime"])?;
    let is_named = |key: &str| named.iter().any(|(name, _)| *name == key);
    if is_named("DateCreated") && is_named("VirtualStartTime") {
        return Err(ApiError::invalid("Invalid Ordering: DateCreated and VirtualStartTime cannot be used together"));
    }
    let keys = named.iter().map(|(name, direction)| match *name {
        "Priority" => (TaskKey::Priority, *direction),
        "VirtualStartTime" => (TaskKey::VirtualStartTime, *direction),
        _ => (TaskKey::DateCreated, *direction),
    });
    let mut keys: Vec<_> = keys.collect();
    match keys.as_slice() {
        [] => keys.push((TaskKey::DateCreated, Direction::Ascending)),
        [(TaskKey::Priority, direction)] => keys.push((TaskKey::DateCreated, direction.reversed(true))),
        _ => {}
    }
    Ok(keys)
}

fn routing_target(form: &Parameters, place: &Place) -> Result<Option<RoutingTarget>, ApiError> {
    let Some(value) = form.filled("RoutingTarget") else { return Ok(None) };
    value.parse().map(Some).map_err(|_| {
        let kind = match value.get(..2) {
            Some("WK") => "WorkerSid",
            Some("WQ") => "TaskQueueSid",
            _ => "WorkflowSid",
        };
        routing_target_error(value, kind, place)
    })
}

/// The error of a routing target that is no SID (message of the real service).
pub(super) fn routing_target_error(value: &str, kind: &str, place: &Place) -> ApiError {
    let shown: String = value.chars().take(100).collect();
    ApiError::invalid(format!(
        "Value '{shown}' provided for {kind} as RoutingTarget has an invalid format. WorkspaceSid: {}, AccountSid: {}",
        place.workspace, place.account
    ))
}

pub(super) fn render(place: &Place, row: &TaskView, now: Timestamp) -> Value {
    let url = place.url(&format!("/Tasks/{}", row.sid));
    let mut links = json!({ "workspace": place.workspace_url(), "reservations": format!("{url}/Reservations") });
    if let Some(sid) = &row.workflow_sid {
        links["workflow"] = place.url(&format!("/Workflows/{sid}")).into();
    }
    // A queue that was deleted since has no address any more.
    if let Some(sid) = row.task_queue_sid.as_ref().filter(|_| row.task_queue_friendly_name.is_some()) {
        links["task_queue"] = place.url(&format!("/TaskQueues/{sid}")).into();
    }
    json!({
        "account_sid": place.account,
        "sid": row.sid,
        "workspace_sid": place.workspace,
        "assignment_status": row.status,
        "age": row.finished_at.unwrap_or(now).secs_since(row.created_at),
        "priority": row.priority,
        "timeout": row.timeout_secs,
        "reason": row.reason,
        "attributes": row.attributes,
        "addons": "{}",
        "task_channel_sid": row.task_channel_sid,
        "task_channel_unique_name": row.task_channel_unique_name,
        "task_queue_sid": row.task_queue_sid,
        "task_queue_friendly_name": row.task_queue_friendly_name,
        "task_queue_entered_date": optional_date(row.queue_entered_at),
        "workflow_sid": row.workflow_sid,
        "workflow_friendly_name": row.workflow_friendly_name,
        "virtual_start_time": date(row.virtual_start_at),
        "ignore_capacity": row.ignore_capacity,
        "routing_target": row.routing_target,
        "date_created": date(row.created_at),
        "date_updated": date(row.updated_at),
        "url": url,
        "links": links,
    })
}
