//! Task queues: which workers serve which tasks, and in which order.
//!
//! Start with [`create`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::form::{Form, Parameters, Query, invalid};
use super::json::{answer, date, deleted};
use super::links::Place;
use super::page::{Paging, ordering};
use super::scope::Scope;
use super::search::{self, TaskQueueQuery};
use super::workspaces::order;
use crate::routing::command::{NewTaskQueue, TaskQueueUpdate};
use crate::routing::{Command, Reply, TaskOrder, TaskQueueSid, WorkerSid};
use crate::store::pages::{List, Span};
use crate::store::views::TaskQueueView;

/// Serves every worker (TaskRouter: Create a `TaskQueue`).
const EVERY_WORKER: &str = "1==1";

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let paging = Paging::read(&query, 1)?;
    let list = find(&scope, &query, paging.span()).await?;
    Ok(paging.answer(&scope.place.url("/TaskQueues"), "task_queues", &list, |row| render(&scope.place, row)))
}

/// The piece of the list that `span` names, of the queues that the parameters ask for.
pub(super) async fn find(scope: &Scope, query: &Parameters, span: Span) -> Result<List<TaskQueueView>, ApiError> {
    let worker: Option<WorkerSid> = query.sid("WorkerSid")?;
    let wanted = TaskQueueQuery {
        friendly_name: query.filled("FriendlyName").map(str::to_owned),
        by_date_updated: ordering(query, &["DateUpdated"])?.first().map(|(_, direction)| *direction),
        worker,
        attributes: match query.filled("EvaluateWorkerAttributes") {
            Some(_) => {
                scope.charge_expression_list("/v1/Workspaces/{WorkspaceSid}/TaskQueues")?;
                query.attributes("EvaluateWorkerAttributes")?
            }
            None => None,
        },
    };
    let list = search::task_queues(scope, wanted, span).await?;
    let shown = worker.map_or_else(String::new, |sid| sid.to_string());
    list.ok_or_else(|| invalid("WorkerSid", &shown, "a worker of this workspace"))
}

pub(super) async fn create(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let new = NewTaskQueue {
        friendly_name: form.required("FriendlyName")?,
        target_workers: form.owned("TargetWorkers").unwrap_or_else(|| EVERY_WORKER.to_owned()),
        task_order: order(&form, "TaskOrder")?.unwrap_or(TaskOrder::Fifo),
        max_reserved_workers: form.integer("MaxReservedWorkers", 1..=50)?.unwrap_or(1),
        reservation_activity: form.sid("ReservationActivitySid")?,
        assignment_activity: form.sid("AssignmentActivitySid")?,
    };
    match scope.carry_out(Command::CreateTaskQueue(new)).await? {
        Reply::TaskQueue(sid) => show(&scope, sid, StatusCode::CREATED).await,
        _ => Err(ApiError::internal()),
    }
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    show(&scope, scope.path_sid("Sid")?, StatusCode::OK).await
}

pub(super) async fn update(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let sid = scope.path_sid("Sid")?;
    let update = TaskQueueUpdate {
        friendly_name: form.owned("FriendlyName"),
        target_workers: form.owned("TargetWorkers"),
        task_order: order(&form, "TaskOrder")?,
        max_reserved_workers: form.integer("MaxReservedWorkers", 1..=50)?,
        reservation_activity: form.sid_or_none("ReservationActivitySid")?,
        assignment_activity: form.sid_or_none("AssignmentActivitySid")?,
    };
    scope.carry_out(Command::UpdateTaskQueue(sid, update)).await?;
    show(&scope, sid, StatusCode::OK).await
}

pub(super) async fn delete(scope: Scope) -> Result<Response, ApiError> {
    scope.carry_out(Command::DeleteTaskQueue(scope.path_sid("Sid")?)).await?;
    Ok(deleted())
}

async fn show(scope: &Scope, sid: TaskQueueSid, status: StatusCode) -> Result<Response, ApiError> {
    let row = scope.found(scope.state.store.task_queue(scope.sid(), sid).await?)?;
    Ok(answer(status, &render(&scope.place, &row)))
}

pub(super) fn render(place: &Place, row: &TaskQueueView) -> Value {
    let url = place.url(&format!("/TaskQueues/{}", row.sid));
    let mut links = json!({
        "workspace": place.workspace_url(),
        "statistics": format!("{url}/Statistics"),
        "real_time_statistics": format!("{url}/RealTimeStatistics"),
        "cumulative_statistics": format!("{url}/CumulativeStatistics"),
        "list_statistics": place.url("/TaskQueues/Statistics"),
        "bulk_real_time_statistics": place.url("/TaskQueues/RealTimeStatistics"),
    });
    // Typed libraries hold links as texts, so a link that leads nowhere is left out.
    for (name, activity) in
        [("reservation_activity", &row.reservation_activity_sid), ("assignment_activity", &row.assignment_activity_sid)]
    {
        if let Some(sid) = activity {
            links[name] = place.url(&format!("/Activities/{sid}")).into();
        }
    }
    json!({
        "account_sid": place.account,
        "sid": row.sid,
        "workspace_sid": place.workspace,
        "friendly_name": row.friendly_name,
        "target_workers": row.target_workers,
        "task_order": row.task_order,
        "max_reserved_workers": row.max_reserved_workers,
        "assignment_activity_sid": row.assignment_activity_sid,
        "assignment_activity_name": row.assignment_activity_name,
        "reservation_activity_sid": row.reservation_activity_sid,
        "reservation_activity_name": row.reservation_activity_name,
        "date_created": date(row.created_at),
        "date_updated": date(row.updated_at),
        "url": url,
        "links": links,
    })
}
