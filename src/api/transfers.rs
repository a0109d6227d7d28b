//! Transfers: a worker offers an assigned task to another worker or to a queue (own addition to the REST contract; the
//! fields are those of the official agent SDK).
//!
//! The path names the worker who hands the task on. Start with [`create`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::form::{Form, Parameters, Query, invalid};
use super::json::{answer, date};
use super::links::Place;
use super::page::Paging;
use super::scope::Scope;
use crate::routing::command::NewTransfer;
use crate::routing::{Command, Reply, TransferMode, TransferSid, TransferStatus, TransferTarget, WorkerSid};
use crate::store::views::TransferView;

pub(super) const STATUSES: [&str; 4] = ["initiated", "complete", "failed", "canceled"];

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let worker = existing_worker(&scope).await?;
    let paging = Paging::read(&query, 1)?;
    let status = query.word("TransferStatus", &STATUSES)?.and_then(TransferStatus::from_text);
    let task = query.sid("TaskSid")?;
    let list = scope.state.store.transfers(scope.sid(), worker, task, status, paging.span()).await?;
    let url = scope.place.url(&format!("/Workers/{worker}/Transfers"));
    Ok(paging.answer(&url, "transfers", &list, |row| render(&scope.place, row)))
}

pub(super) async fn create(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let worker = scope.path_sid("WorkerSid")?;
    match scope.carry_out(Command::CreateTransfer(wanted(worker, &form)?)).await? {
        Reply::Transfer(sid) => show(&scope, worker, sid, StatusCode::CREATED).await,
        _ => Err(ApiError::internal()),
    }
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    show(&scope, scope.path_sid("WorkerSid")?, scope.path_sid("Sid")?, StatusCode::OK).await
}

pub(super) async fn update(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let (worker, transfer) = (scope.path_sid("WorkerSid")?, scope.path_sid("Sid")?);
    scope.carry_out(cancellation(worker, transfer, &form)?).await?;
    show(&scope, worker, transfer, StatusCode::OK).await
}

/// The transfer that the parameters ask for.
pub(super) fn wanted(worker: WorkerSid, form: &Parameters) -> Result<NewTransfer, ApiError> {
    let to = form.required("To")?;
    Ok(NewTransfer {
        worker,
        task: form.sid("TaskSid")?.ok_or_else(|| ApiError::missing("TaskSid"))?,
        reservation: form.sid("ReservationSid")?.ok_or_else(|| ApiError::missing("ReservationSid"))?,
        to: to.parse::<TransferTarget>().map_err(|_| invalid("To", &to, "the SID of a worker or a task queue"))?,
        mode: match form.word("Mode", &["WARM", "COLD"])? {
            Some("COLD") => TransferMode::Cold,
            _ => TransferMode::Warm,
        },
        attributes: form.attributes("Attributes")?,
        priority: form.integer("Priority", 0..=i32::MAX)?,
        in_room: false,
    })
}

/// The end of a transfer, which is all that can be asked of one.
pub(super) fn cancellation(worker: WorkerSid, transfer: TransferSid, form: &Parameters) -> Result<Command, ApiError> {
    let task = form.sid("TaskSid")?.ok_or_else(|| ApiError::missing("TaskSid"))?;
    form.word("TransferStatus", &["canceled"])?.ok_or_else(|| ApiError::missing("TransferStatus"))?;
    Ok(Command::CancelTransfer { worker, task, transfer })
}

/// The worker that the path names, if it exists.
async fn existing_worker(scope: &Scope) -> Result<WorkerSid, ApiError> {
    let worker = scope.path_sid("WorkerSid")?;
    scope.found(scope.state.store.worker(scope.sid(), worker).await?)?;
    Ok(worker)
}

async fn show(scope: &Scope, worker: WorkerSid, sid: TransferSid, status: StatusCode) -> Result<Response, ApiError> {
    let row = scope.found(scope.state.store.transfer(scope.sid(), worker, sid).await?)?;
    Ok(answer(status, &render(&scope.place, &row)))
}

pub(super) fn render(place: &Place, row: &TransferView) -> Value {
    let worker = place.url(&format!("/Workers/{}", row.initiating_worker_sid));
    json!({
        "account_sid": place.account,
        "sid": row.sid,
        "workspace_sid": place.workspace,
        "task_sid": row.task_sid,
        "transfer_type": row.target.parse::<TransferTarget>().map_or(Value::Null, |target| target.kind().into()),
        "transfer_mode": row.mode,
        "transfer_to": row.target,
        "transfer_status": row.status,
        "transfer_failed_reason": row.failed_reason,
        "initiating_reservation_sid": row.initiating_reservation_sid,
        "initiating_worker_sid": row.initiating_worker_sid,
        "initiating_queue_sid": row.initiating_queue_sid,
        "initiating_workflow_sid": row.initiating_workflow_sid,
        "date_created": date(row.created_at),
        "date_updated": date(row.updated_at),
        "links": {
            "workspace": place.workspace_url(),
            "worker": worker,
            "task": place.url(&format!("/Tasks/{}", row.task_sid)),
            "reservation": format!("{worker}/Reservations/{}", row.initiating_reservation_sid),
        },
        "url": format!("{worker}/Transfers/{}", row.sid),
    })
}
