//! Activities: what workers are doing, and whether they may be reserved meanwhile.
//!
//! Start with [`create`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::form::{Form, Query};
use super::json::{answer, date, deleted};
use super::links::Place;
use super::page::Paging;
use super::scope::Scope;
use crate::routing::{ActivitySid, Command, Reply};
use crate::store::lists::ActivityFilter;
use crate::store::views::ActivityView;

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let paging = Paging::read(&query, 1)?;
    let filter = ActivityFilter {
        friendly_name: query.filled("FriendlyName").map(str::to_owned),
        available: query.truthy("Available"),
    };
    let list = scope.state.store.activities(scope.sid(), &filter, paging.span()).await?;
    Ok(paging.answer(&scope.place.url("/Activities"), "activities", &list, |row| render(&scope.place, row)))
}

pub(super) async fn create(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let friendly_name = form.required("FriendlyName")?;
    let available = form.truthy("Available").unwrap_or(false);
    match scope.carry_out(Command::CreateActivity { friendly_name, available }).await? {
        Reply::Activity(sid) => show(&scope, sid, StatusCode::CREATED).await,
        _ => Err(ApiError::internal()),
    }
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    show(&scope, scope.path_sid("Sid")?, StatusCode::OK).await
}

pub(super) async fn update(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let activity = scope.path_sid("Sid")?;
    scope.carry_out(Command::UpdateActivity { activity, friendly_name: form.owned("FriendlyName") }).await?;
    show(&scope, activity, StatusCode::OK).await
}

pub(super) async fn delete(scope: Scope) -> Result<Response, ApiError> {
    scope.carry_out(Command::DeleteActivity(scope.path_sid("Sid")?)).await?;
    Ok(deleted())
}

async fn show(scope: &Scope, sid: ActivitySid, status: StatusCode) -> Result<Response, ApiError> {
    let row = scope.found(scope.state.store.activity(scope.sid(), sid).await?)?;
    Ok(answer(status, &render(&scope.place, &row)))
}

pub(super) fn render(place: &Place, row: &ActivityView) -> Value {
    json!({
        "account_sid": place.account,
        "sid": row.sid,
        "workspace_sid": place.workspace,
        "friendly_name": row.friendly_name,
        "available": row.available,
        "date_created": date(row.created_at),
        "date_updated": date(row.updated_at),
        "url": place.url(&format!("/Activities/{}", row.sid)),
        "links": { "workspace": place.workspace_url() },
    })
}
