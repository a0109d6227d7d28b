//! Workers: who is there, what they can do and what they are doing.
//!
//! Start with [`update`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::expressions::WorkerExpression;
use super::form::{Form, Parameters, Query, invalid};
use super::json::{date, deleted, versioned};
use super::links::Place;
use super::page::{Paging, ordering};
use super::scope::Scope;
use super::search::{self, WorkerQuery};
use crate::routing::command::{NewWorker, WorkerUpdate};
use crate::routing::{ActivitySid, Command, Reply, WorkerSid};
use crate::store::lists::{WorkerFilter, WorkerKey};
use crate::store::pages::{Direction, List, Span};
use crate::store::views::WorkerView;

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let paging = Paging::read(&query, 1)?;
    let list = find(&scope, &query, paging.span()).await?;
    Ok(paging.answer(&scope.place.url("/Workers"), "workers", &list, |row| render(&scope.place, row)))
}

/// The piece of the list that `span` names, of the workers that the parameters ask for.
pub(super) async fn find(scope: &Scope, query: &Parameters, span: Span) -> Result<List<WorkerView>, ApiError> {
    match wanted(scope, query).await? {
        Some(wanted) => search::workers(scope, wanted, span).await,
        None => Ok(List::empty()),
    }
}

/// What the list is asked for; none if it names a queue or an activity that does not exist.
async fn wanted(scope: &Scope, query: &Parameters) -> Result<Option<WorkerQuery>, ApiError> {
    let store = &scope.state.store;
    let direction = ordering(query, &["DateStatusChanged"])?.first().map(|(_, direction)| *direction);
    let mut wanted = WorkerQuery {
        filter: WorkerFilter {
            activities: query.sid("ActivitySid")?.map(|activity| vec![activity]),
            available: query.truthy("Available"),
            name_key: query.filled("FriendlyName").map(str::to_lowercase),
        },
        key: match direction {
            Some(direction) => (WorkerKey::DateStatusChanged, direction),
            None => (WorkerKey::DateCreated, Direction::Ascending),
        },
        queues: Vec::new(),
        expression: None,
    };
    if let Some(text) = query.filled("TargetWorkersExpression") {
        scope.charge_expression_list("/v1/Workspaces/{WorkspaceSid}/Workers")?;
        wanted.expression = Some(WorkerExpression::compile("TargetWorkersExpression", text)?);
    }
    if let Some(sid) = query.sid("TaskQueueSid")? {
        if scope.look(move |workspace| workspace.task_queue(sid).is_none()).await? {
            return Err(invalid("TaskQueueSid", &sid.to_string(), "a task queue of this workspace"));
        }
        wanted.queues.push(sid);
    }
    if let Some(name) = query.filled("TaskQueueName") {
        let named = store.task_queues_named(scope.sid(), name).await?;
        if named.is_empty() {
            return Ok(None);
        }
        wanted.queues.extend(named);
    }
    if let Some(name) = query.filled("ActivityName") {
        let named = store.activities_named(scope.sid(), name).await?;
        let both = |sid: &ActivitySid| wanted.filter.activities.as_ref().is_none_or(|only| only.contains(sid));
        let activities: Vec<_> = named.into_iter().filter(both).collect();
        if activities.is_empty() {
            return Ok(None);
        }
        wanted.filter.activities = Some(activities);
    }
    Ok(Some(wanted))
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
    let update = wanted_changes(&scope, &form)?;
    scope.carry_out(Command::UpdateWorker(sid, update)).await?;
    show(&scope, sid, StatusCode::OK).await
}

/// The changes that the parameters ask for.
pub(super) fn wanted_changes(scope: &Scope, form: &Parameters) -> Result<WorkerUpdate, ApiError> {
    Ok(WorkerUpdate {
        friendly_name: form.owned("FriendlyName"),
        attributes: form.attributes("Attributes")?,
        activity: form.sid("ActivitySid")?,
        reject_pending_reservations: form.boolean("RejectPendingReservations")?.unwrap_or(false),
        if_match: scope.if_match()?,
    })
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
