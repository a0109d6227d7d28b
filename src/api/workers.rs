//! Workers: who is there, what they can do and what they are doing.
//!
//! Start with [`update`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::form::{Form, Query};
use super::json::{date, deleted, versioned};
use super::links::Place;
use super::page::{Paging, ordering};
use super::scope::Scope;
use crate::routing::command::{NewWorker, WorkerUpdate};
use crate::routing::{Command, Reply, WorkerSid};
use crate::store::pages::WorkerFilter;
use crate::store::views::WorkerView;

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    for parameter in ["TargetWorkersExpression", "TaskQueueSid", "TaskQueueName"] {
        if query.filled(parameter).is_some() {
            return Err(ApiError::unsupported(parameter));
        }
    }
    let paging = Paging::read(&query, 1)?;
    let filter = WorkerFilter {
        activity_name: query.filled("ActivityName").map(str::to_owned),
        activity: query.sid("ActivitySid")?,
        available: query.truthy("Available"),
        friendly_name: query.filled("FriendlyName").map(str::to_owned),
    };
    let by_status_changed = ordering(&query, &["DateStatusChanged"])?.first().map(|(_, direction)| *direction);
    let list = scope.state.store.workers(scope.sid(), &filter, by_status_changed, paging.span()).await?;
    Ok(paging.answer(&scope.place.url("/Workers"), "workers", &list, |row| render(&scope.place, row)))
}

pub(super) async fn create(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let new = NewWorker {
        friendly_name: form.required("FriendlyName")?,
        attributes: form.attributes("Attributes")?.unwrap_or_else(|| "{}".to_owned()),
        activity: form.sid("ActivitySid")?,
    };
    match scope.carry_out(Command::CreateWorker(new)).await? {
        Reply::Worker(sid) => show(&scope, sid, StatusCode::CREATED).await,
        _ => Err(ApiError::internal()),
    }
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    show(&scope, scope.path_sid("WorkerSid")?, StatusCode::OK).await
}

pub(super) async fn update(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let sid = scope.path_sid("WorkerSid")?;
    let update = WorkerUpdate {
        friendly_name: form.owned("FriendlyName"),
        attributes: form.attributes("Attributes")?,
        activity: form.sid("ActivitySid")?,
        reject_pending_reservations: form.boolean("RejectPendingReservations")?.unwrap_or(false),
        if_match: scope.if_match()?,
    };
    scope.carry_out(Command::UpdateWorker(sid, update)).await?;
    show(&scope, sid, StatusCode::OK).await
}

pub(super) async fn delete(scope: Scope) -> Result<Response, ApiError> {
    let worker = scope.path_sid("WorkerSid")?;
    scope.carry_out(Command::DeleteWorker { worker, if_match: scope.if_match()? }).await?;
    Ok(deleted())
}

async fn show(scope: &Scope, sid: WorkerSid, status: StatusCode) -> Result<Response, ApiError> {
    let row = scope.found(scope.state.store.worker(scope.sid(), sid).await?)?;
    Ok(versioned(status, &render(&scope.place, &row), row.version))
}

pub(super) fn render(place: &Place, row: &WorkerView) -> Value {
    let url = place.url(&format!("/Workers/{}", row.sid));
    json!({
        "account_sid": place.account,
        "sid": row.sid,
        "workspace_sid": place.workspace,
        "friendly_name": row.friendly_name,
        "activity_sid": row.activity_sid,
        "activity_name": row.activity_name,
        "available": row.available,
        "attributes": row.attributes,
        "date_created": date(row.created_at),
        "date_updated": date(row.updated_at),
        "date_status_changed": date(row.status_changed_at),
        "links": {
            "workspace": place.workspace_url(),
            "activity": place.url(&format!("/Activities/{}", row.activity_sid)),
            "channels": format!("{url}/Channels"),
            "worker_channels": format!("{url}/Channels"),
            "reservations": format!("{url}/Reservations"),
            "worker_statistics": format!("{url}/Statistics"),
            "statistics": place.url("/Workers/Statistics"),
            "real_time_statistics": place.url("/Workers/RealTimeStatistics"),
            "cumulative_statistics": place.url("/Workers/CumulativeStatistics"),
        },
        "url": url,
    })
}
