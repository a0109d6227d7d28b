//! Tasks: what waits, who has it, how it ended.
//!
//! Start with [`create`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::expressions;
use super::form::{Form, Parameters, Query};
use super::json::{date, deleted, optional_date, versioned};
use super::links::Place;
use super::page::{Paging, ordering};
use super::scope::{Scope, channel_name};
use super::sift::Sieve;
use crate::routing::command::{NewTask, TaskUpdate};
use crate::routing::{Command, Reply, RoutingTarget, TaskSid, TaskStatus, Timestamp};
use crate::store::pages::{Direction, TaskFilter, TaskKey};
use crate::store::views::TaskView;

const STATUSES: [&str; 6] = ["pending", "reserved", "assigned", "wrapping", "completed", "canceled"];

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let keys = task_keys(&query)?;
    let paging = Paging::read(&query, keys.len().max(1))?;
    let filter = filter(&query)?;
    let store = &scope.state.store;
    let list = match query.filled("EvaluateTaskAttributes") {
        None => store.tasks(scope.sid(), &filter, &keys, paging.span()).await?,
        Some(text) => {
            let expression = expressions::TaskFilter::compile("EvaluateTaskAttributes", text)?;
            let mut sieve = Sieve::new(paging.span());
            while let Some(span) = sieve.next_chunk() {
                let list = store.tasks(scope.sid(), &filter, &keys, span).await?;
                let verdicts = expression.verdicts(&list);
                sieve.take(list, verdicts);
            }
            sieve.finish()
        }
    };
    let now = scope.state.clock.now();
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
    let update = TaskUpdate {
        attributes: form.attributes("Attributes")?,
        status: form.word("AssignmentStatus", &STATUSES)?.and_then(TaskStatus::from_text),
        reason: form.owned("Reason"),
        priority: form.integer("Priority", 0..=i32::MAX)?,
        channel: form.filled("TaskChannel").map(channel_name),
        virtual_start_at: form.moment("VirtualStartTime")?,
        if_match: scope.if_match()?,
    };
    scope.carry_out(Command::UpdateTask(sid, update)).await?;
    show(&scope, sid, StatusCode::OK).await
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

fn filter(query: &Parameters) -> Result<TaskFilter, ApiError> {
    let statuses = query.words("AssignmentStatus", &STATUSES)?;
    Ok(TaskFilter {
        assignment_status: statuses.into_iter().filter_map(TaskStatus::from_text).collect(),
        priority: query.integer("Priority", 0..=i32::MAX)?,
        workflow: query.sid("WorkflowSid")?,
        workflow_name: query.filled("WorkflowName").map(str::to_owned),
        task_queue: query.sid("TaskQueueSid")?,
        task_queue_name: query.filled("TaskQueueName").map(str::to_owned),
        routing_target: query.sid("RoutingTarget")?,
        has_addons: query.boolean("HasAddons")?,
    })
}

/// The order of the list; creation and virtual start time exclude each other (TaskRouter: Task).
fn task_keys(query: &Parameters) -> Result<Vec<(TaskKey, Direction)>, ApiError> {
    let named = ordering(query, &["DateCreated", "Priority", "VirtualStartTime"])?;
    let has = |wanted| named.iter().any(|(name, _)| *name == wanted);
    if has("DateCreated") && has("VirtualStartTime") {
        return Err(ApiError::invalid("Invalid Ordering: DateCreated and VirtualStartTime cannot be used together"));
    }
    let keys = named.into_iter().map(|(name, direction)| {
        let key = match name {
            "Priority" => TaskKey::Priority,
            "VirtualStartTime" => TaskKey::VirtualStartTime,
            _ => TaskKey::DateCreated,
        };
        (key, direction)
    });
    Ok(keys.collect())
}

fn routing_target(form: &Parameters, place: &Place) -> Result<Option<RoutingTarget>, ApiError> {
    let Some(value) = form.filled("RoutingTarget") else { return Ok(None) };
    value.parse().map(Some).map_err(|_| {
        let kind = match value.get(..2) {
            Some("WK") => "WorkerSid",
            Some("WQ") => "TaskQueueSid",
            _ => "WorkflowSid",
        };
        let shown: String = value.chars().take(100).collect();
        ApiError::invalid(format!(
            "Value '{shown}' provided for {kind} as RoutingTarget has an invalid format. WorkspaceSid: {}, AccountSid: {}",
            place.workspace, place.account
        ))
    })
}

pub(super) fn render(place: &Place, row: &TaskView, now: Timestamp) -> Value {
    let url = place.url(&format!("/Tasks/{}", row.sid));
    let mut links = json!({ "workspace": place.workspace_url(), "reservations": format!("{url}/Reservations") });
    if let Some(sid) = &row.workflow_sid {
        links["workflow"] = place.url(&format!("/Workflows/{sid}")).into();
    }
    if let Some(sid) = &row.task_queue_sid {
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
        "reason": *row.reason,
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
        "routing_target": *row.routing_target,
        "date_created": date(row.created_at),
        "date_updated": date(row.updated_at),
        "url": url,
        "links": links,
    })
}
