//! Task channels: the kinds of work, each with its own capacity for each worker.
//!
//! A channel is addressed by SID or by unique name. Start with [`create`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::form::{Form, Query};
use super::json::{answer, date, deleted};
use super::links::Place;
use super::page::Paging;
use super::scope::Scope;
use crate::routing::command::ChannelName;
use crate::routing::{Command, Reply};
use crate::store::views::TaskChannelView;

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let paging = Paging::read(&query, 1)?;
    let list = scope.state.store.task_channels(scope.sid(), paging.span()).await?;
    Ok(paging.answer(&scope.place.url("/TaskChannels"), "channels", &list, |row| render(&scope.place, row)))
}

pub(super) async fn create(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let command = Command::CreateTaskChannel {
        friendly_name: form.required("FriendlyName")?,
        unique_name: form.required("UniqueName")?,
        channel_optimized_routing: form.boolean("ChannelOptimizedRouting")?.unwrap_or(false),
    };
    match scope.carry_out(command).await? {
        Reply::TaskChannel(sid) => show(&scope, &ChannelName::Sid(sid), StatusCode::CREATED).await,
        _ => Err(ApiError::internal()),
    }
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    show(&scope, &scope.path_channel()?, StatusCode::OK).await
}

pub(super) async fn update(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let channel = scope.path_channel()?;
    let command = Command::UpdateTaskChannel {
        channel: channel.clone(),
        friendly_name: form.owned("FriendlyName"),
        channel_optimized_routing: form.boolean("ChannelOptimizedRouting")?,
    };
    scope.carry_out(command).await?;
    show(&scope, &channel, StatusCode::OK).await
}

pub(super) async fn delete(scope: Scope) -> Result<Response, ApiError> {
    scope.carry_out(Command::DeleteTaskChannel(scope.path_channel()?)).await?;
    Ok(deleted())
}

async fn show(scope: &Scope, name: &ChannelName, status: StatusCode) -> Result<Response, ApiError> {
    let row = scope.found(scope.state.store.task_channel(scope.sid(), name).await?)?;
    Ok(answer(status, &render(&scope.place, &row)))
}

pub(super) fn render(place: &Place, row: &TaskChannelView) -> Value {
    json!({
        "account_sid": place.account,
        "sid": row.sid,
        "workspace_sid": place.workspace,
        "friendly_name": row.friendly_name,
        "unique_name": row.unique_name,
        "channel_optimized_routing": row.channel_optimized_routing,
        "date_created": date(row.created_at),
        "date_updated": date(row.updated_at),
        "url": place.url(&format!("/TaskChannels/{}", row.sid)),
        "links": { "workspace": place.workspace_url() },
    })
}
