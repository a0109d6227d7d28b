//! Workflows: how tasks find their queues.
//!
//! Start with [`create`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::form::{Form, Query, non_empty};
use super::json::{answer, date, deleted};
use super::links::Place;
use super::page::Paging;
use super::scope::Scope;
use crate::routing::command::{NewWorkflow, WorkflowUpdate};
use crate::routing::{Command, Reply, WorkflowSid};
use crate::store::views::WorkflowView;

/// A configuration of the largest size still fits when most of it is percent-encoded.
pub(super) const BODY_LIMIT: usize = 4 * 1024 * 1024;

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let paging = Paging::read(&query, 1)?;
    let list = scope.state.store.workflows(scope.sid(), query.filled("FriendlyName"), paging.span()).await?;
    Ok(paging.answer(&scope.place.url("/Workflows"), "workflows", &list, |row| render(&scope.place, row)))
}

pub(super) async fn create(scope: Scope, form: Form<BODY_LIMIT>) -> Result<Response, ApiError> {
    let new = NewWorkflow {
        friendly_name: form.required("FriendlyName")?,
        configuration: form.required("Configuration")?,
        assignment_callback_url: form.url("AssignmentCallbackUrl")?.and_then(non_empty),
        fallback_assignment_callback_url: form.url("FallbackAssignmentCallbackUrl")?.and_then(non_empty),
        task_reservation_timeout_secs: form.integer("TaskReservationTimeout", 1..=86_400)?.unwrap_or(120),
    };
    match scope.carry_out(Command::CreateWorkflow(new)).await? {
        Reply::Workflow(sid) => show(&scope, sid, StatusCode::CREATED).await,
        _ => Err(ApiError::internal()),
    }
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    show(&scope, scope.path_sid("Sid")?, StatusCode::OK).await
}

pub(super) async fn update(scope: Scope, form: Form<BODY_LIMIT>) -> Result<Response, ApiError> {
    let sid = scope.path_sid("Sid")?;
    let update = WorkflowUpdate {
        friendly_name: form.owned("FriendlyName"),
        configuration: form.owned("Configuration"),
        assignment_callback_url: form.url("AssignmentCallbackUrl")?.map(non_empty),
        fallback_assignment_callback_url: form.url("FallbackAssignmentCallbackUrl")?.map(non_empty),
        task_reservation_timeout_secs: form.integer("TaskReservationTimeout", 1..=86_400)?,
        re_evaluate_tasks: form.boolean("ReEvaluateTasks")?.unwrap_or(false),
    };
    scope.update_workflow(sid, update).await?;
    show(&scope, sid, StatusCode::OK).await
}

pub(super) async fn delete(scope: Scope) -> Result<Response, ApiError> {
    scope.carry_out(Command::DeleteWorkflow(scope.path_sid("Sid")?)).await?;
    Ok(deleted())
}

async fn show(scope: &Scope, sid: WorkflowSid, status: StatusCode) -> Result<Response, ApiError> {
    let row = scope.found(scope.state.store.workflow(scope.sid(), sid).await?)?;
    Ok(answer(status, &render(&scope.place, &row)))
}

pub(super) fn render(place: &Place, row: &WorkflowView) -> Value {
    let url = place.url(&format!("/Workflows/{}", row.sid));
    json!({
        "account_sid": place.account,
        "sid": row.sid,
        "workspace_sid": place.workspace,
        "friendly_name": row.friendly_name,
        "configuration": row.configuration,
        "document_content_type": "application/json",
        "assignment_callback_url": row.assignment_callback_url,
        "fallback_assignment_callback_url": row.fallback_assignment_callback_url,
        "task_reservation_timeout": row.task_reservation_timeout_secs,
        "date_created": date(row.created_at),
        "date_updated": date(row.updated_at),
        "links": {
            "statistics": format!("{url}/Statistics"),
            "real_time_statistics": format!("{url}/RealTimeStatistics"),
            "cumulative_statistics": format!("{url}/CumulativeStatistics"),
        },
        "url": url,
    })
}
