//! Workers: who is there, what they can do and what they are doing.
//!
//! Start with [`update`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::expressions::WorkerFilters;
use super::form::{Form, Parameters, Query, invalid};
use super::json::{date, deleted, versioned};
use super::links::Place;
use super::page::{Paging, ordering};
use super::scope::Scope;
use super::sift::Sieve;
use crate::routing::command::{NewWorker, WorkerUpdate};
use crate::routing::{Command, Reply, WorkerSid};
use crate::store::pages::{List, Seek, Span, WorkerFilter};
use crate::store::views::WorkerView;

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let paging = Paging::read(&query, 1)?;
    let list = find(&scope, &query, paging.span()).await?;
    Ok(paging.answer(&scope.place.url("/Workers"), "workers", &list, |row| render(&scope.place, row)))
}

/// The piece of the list that `span` names, of the workers that the parameters ask for.
pub(super) async fn find(scope: &Scope, query: &Parameters, span: Span) -> Result<List<WorkerView>, ApiError> {
    let filter = WorkerFilter {
        activity_name: query.filled("ActivityName").map(str::to_owned),
        activity: query.sid("ActivitySid")?,
        available: query.truthy("Available"),
        friendly_name: query.filled("FriendlyName").map(str::to_owned),
    };
    let by_status_changed = ordering(query, &["DateStatusChanged"])?.first().map(|(_, direction)| *direction);
    let Some(expressions) = expressions(scope, query).await? else { return Ok(List::empty()) };
    let store = &scope.state.store;
    if expressions.is_empty() {
        Ok(store.workers(scope.sid(), &filter, by_status_changed, span).await?)
    } else {
        let mut sieve = Sieve::new(span);
        while let Some(span) = sieve.next_chunk() {
            let list = store.workers(scope.sid(), &filter, by_status_changed, span).await?;
            let sids: Vec<_> = list.entries.iter().map(|entry| entry.row.sid.as_str()).collect();
            let wanted = if expressions.uses_channels() { sids.as_slice() } else { &[] };
            let channels = store.channels_of_workers(scope.sid(), wanted).await?;
            let verdicts = expressions.verdicts(&list, &channels);
            sieve.take(list, verdicts);
        }
        Ok(sieve.finish())
    }
}

/// What workers must satisfy beyond plain values; none if a queue is named that does not exist.
async fn expressions(scope: &Scope, query: &Parameters) -> Result<Option<WorkerFilters>, ApiError> {
    let mut filters = WorkerFilters::default();
    if let Some(text) = query.filled("TargetWorkersExpression") {
        filters.add("TargetWorkersExpression", text)?;
    }
    let store = &scope.state.store;
    if let Some(sid) = query.sid("TaskQueueSid")? {
        let queue = store.task_queue(scope.sid(), sid).await?;
        let queue = queue.ok_or_else(|| invalid("TaskQueueSid", &sid.to_string(), "a task queue of this workspace"))?;
        filters.add_queue(&queue.target_workers);
    }
    if let Some(name) = query.filled("TaskQueueName") {
        let span = Span { seek: Seek::First, limit: 1 };
        let found = store.task_queues(scope.sid(), Some(name), None, span).await?;
        let Some(queue) = found.entries.first() else { return Ok(None) };
        filters.add_queue(&queue.row.target_workers);
    }
    Ok(Some(filters))
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
