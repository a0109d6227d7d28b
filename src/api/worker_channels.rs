//! Worker channels: what a worker may carry of each kind of work.
//!
//! A channel is addressed by its SID, the task channel's SID or the unique name. Start with [`update`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::form::{Form, Query};
use super::json::{answer, date};
use super::links::Place;
use super::page::Paging;
use super::scope::Scope;
use crate::routing::command::ChannelName;
use crate::routing::{Command, WorkerSid};
use crate::store::views::WorkerChannelView;

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let worker: WorkerSid = scope.path_sid("WorkerSid")?;
    scope.found(scope.state.store.worker(scope.sid(), worker).await?)?;
    let paging = Paging::read(&query, 1)?;
    let list = scope.state.store.worker_channels(scope.sid(), worker, paging.span()).await?;
    let url = scope.place.url(&format!("/Workers/{worker}/Channels"));
    Ok(paging.answer(&url, "channels", &list, |row| render(&scope.place, row)))
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    show(&scope, scope.path_sid("WorkerSid")?, &scope.path_channel()?).await
}

pub(super) async fn update(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let worker = scope.path_sid("WorkerSid")?;
    let channel = scope.path_channel()?;
    let command = Command::UpdateWorkerChannel {
        worker,
        channel: channel.clone(),
        capacity: form.integer("Capacity", 0..=50)?,
        available: form.boolean("Available")?,
    };
    scope.carry_out(command).await?;
    show(&scope, worker, &channel).await
}

async fn show(scope: &Scope, worker: WorkerSid, name: &ChannelName) -> Result<Response, ApiError> {
    let row = scope.found(scope.state.store.worker_channel(scope.sid(), worker, name).await?)?;
    Ok(answer(StatusCode::OK, &render(&scope.place, &row)))
}

pub(super) fn render(place: &Place, row: &WorkerChannelView) -> Value {
    json!({
        "account_sid": place.account,
        "sid": row.sid,
        "workspace_sid": place.workspace,
        "worker_sid": row.worker_sid,
        "task_channel_sid": row.task_channel_sid,
        "task_channel_unique_name": row.task_channel_unique_name,
        "configured_capacity": row.configured_capacity,
        "available": row.available,
        "assigned_tasks": row.assigned_tasks,
        "available_capacity_percentage": row.available_capacity_percentage(),
        "date_created": date(row.created_at),
        "date_updated": date(row.updated_at),
        "url": place.url(&format!("/Workers/{}/Channels/{}", row.worker_sid, row.sid)),
    })
}
