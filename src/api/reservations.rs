//! Reservations: offers of a task to a worker, under both of their parents.
//!
//! An update carries either a new status or an instruction; with both, the instruction wins. Start with [`update`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::form::{Form, Parameters, Query};
use super::instruction;
use super::json::{date, versioned};
use super::links::Place;
use super::page::Paging;
use super::scope::Scope;
use crate::engine::Request;
use crate::routing::command::ReservationParent;
use crate::routing::{ReservationSid, ReservationStatus};
use crate::store::lists::ReservationFilter;
use crate::store::views::ReservationView;

pub(super) const STATUSES: [&str; 8] =
    ["pending", "accepted", "rejected", "timeout", "canceled", "rescinded", "wrapping", "completed"];

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let parent = existing_parent(&scope).await?;
    let paging = Paging::read(&query, 1)?;
    let status = query.word("ReservationStatus", &STATUSES)?;
    let worker = match parent {
        ReservationParent::Task(_) => query.sid("WorkerSid")?,
        ReservationParent::Worker(_) | ReservationParent::Any => None,
    };
    let filter = ReservationFilter { reservation_status: status.and_then(ReservationStatus::from_text), worker };
    let list = scope.state.store.reservations(scope.sid(), parent, &filter, paging.span()).await?;
    let url = scope.place.url(&collection(parent));
    Ok(paging.answer(&url, "reservations", &list, |row| render(&scope.place, parent, row)))
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    let parent = existing_parent(&scope).await?;
    show(&scope, parent, scope.path_sid("Sid")?).await
}

pub(super) async fn update(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let parent = existing_parent(&scope).await?;
    let reservation = scope.path_sid("Sid")?;
    change(&scope, parent, reservation, &form).await?;
    show(&scope, parent, reservation).await
}

/// Carries out what an update asks for.
pub(super) async fn change(
    scope: &Scope,
    parent: ReservationParent,
    reservation: ReservationSid,
    form: &Parameters,
) -> Result<(), ApiError> {
    let if_match = scope.if_match()?;
    match instruction::read(form, scope.workspace.multi_task_enabled) {
        Ok(None) => {}
        Ok(Some(instruction)) => {
            scope.send(Request::Instruct { parent, reservation, instruction, if_match }).await?;
        }
        Err(defect) => {
            if let Some(code) = defect.code {
                scope.alert(code, &defect.error.message, reservation).await;
            }
            return Err(defect.error);
        }
    }
    Ok(())
}

/// The task or worker that the path names, if it exists.
pub(super) async fn existing_parent(scope: &Scope) -> Result<ReservationParent, ApiError> {
    if scope.segment("TaskSid").is_some() {
        let task = scope.path_sid("TaskSid")?;
        scope.found(scope.state.store.task(scope.sid(), task).await?)?;
        Ok(ReservationParent::Task(task))
    } else {
        let worker = scope.path_sid("WorkerSid")?;
        scope.found(scope.state.store.worker(scope.sid(), worker).await?)?;
        Ok(ReservationParent::Worker(worker))
    }
}

async fn show(scope: &Scope, parent: ReservationParent, sid: ReservationSid) -> Result<Response, ApiError> {
    let row = scope.found(scope.state.store.reservation(scope.sid(), parent, sid).await?)?;
    Ok(versioned(StatusCode::OK, &render(&scope.place, parent, &row), row.version))
}

/// Path of the list that the request used.
pub(super) fn collection(parent: ReservationParent) -> String {
    match parent {
        ReservationParent::Task(task) => format!("/Tasks/{task}/Reservations"),
        ReservationParent::Worker(worker) => format!("/Workers/{worker}/Reservations"),
        ReservationParent::Any => "/Reservations".to_owned(),
    }
}

pub(super) fn render(place: &Place, parent: ReservationParent, row: &ReservationView) -> Value {
    json!({
        "account_sid": place.account,
        "sid": row.sid,
        "workspace_sid": place.workspace,
        "task_sid": row.task_sid,
        "worker_sid": row.worker_sid,
        "worker_name": row.worker_name,
        "reservation_status": row.status,
        "date_created": date(row.created_at),
        "date_updated": date(row.updated_at),
        "url": place.url(&format!("{}/{}", collection(parent), row.sid)),
        "links": {
            "workspace": place.workspace_url(),
            "task": place.url(&format!("/Tasks/{}", row.task_sid)),
            "worker": place.url(&format!("/Workers/{}", row.worker_sid)),
        },
    })
}
