//! Workspaces: what everything else belongs to.
//!
//! Start with [`create`].

use axum::Extension;
use axum::extract::State as Extracted;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::State;
use super::auth::Caller;
use super::error::ApiError;
use super::form::{Form, Parameters, Query, non_empty};
use super::idempotency::Once;
use super::json::{answer, date, deleted};
use super::page::Paging;
use super::scope::Scope;
use crate::routing::command::{NewWorkspace, Template, WorkspaceUpdate};
use crate::routing::{AccountSid, Command, TaskOrder};
use crate::store::views::WorkspaceView;

/// Most workspaces of an account (TaskRouter: Limits).
const WORKSPACES_MAX: u64 = 5_000;

pub(super) async fn list(
    caller: Caller,
    Extracted(state): Extracted<State>,
    query: Query,
) -> Result<Response, ApiError> {
    let paging = Paging::read(&query, 0)?;
    let list = state.store.account_workspaces(caller.account, query.filled("FriendlyName"), paging.span()).await?;
    let url = format!("{}/Workspaces", caller.base);
    Ok(paging.answer(&url, "workspaces", &list, |row| render(&caller.base, caller.account, row)))
}

pub(super) async fn create(
    caller: Caller,
    Extracted(state): Extracted<State>,
    once: Option<Extension<Once>>,
    form: Form,
) -> Result<Response, ApiError> {
    let template = match form.word("Template", &["NONE", "FIFO"])? {
        Some("FIFO") => Template::Fifo,
        _ => Template::None,
    };
    let new = NewWorkspace {
        friendly_name: form.required("FriendlyName")?,
        event_callback_url: form.url("EventCallbackUrl")?.unwrap_or_default(),
        events_filter: form.owned("EventsFilter").and_then(non_empty),
        multi_task_enabled: form.boolean("MultiTaskEnabled")?.unwrap_or(true),
        prioritize_queue_order: order(&form, "PrioritizeQueueOrder")?.unwrap_or(TaskOrder::Fifo),
        template,
    };
    let path = "/Workspaces";
    let once = once.map(|Extension(once)| once);
    let sid = if let Some(sid) = once.as_ref().and_then(Once::made) {
        sid
    } else {
        check_room(state.store.count_workspaces(caller.account).await?)?;
        let key = once.as_ref().map(Once::key);
        let made = state.engine.create_workspace_once(caller.account, new, key).await;
        made.map_err(|error| ApiError::of_engine(error, None, path))?
    };
    if let Some(once) = &once {
        once.note_workspace(sid);
    }
    let row = state.store.workspace(caller.account, sid).await?.ok_or_else(|| ApiError::not_found(path))?;
    Ok(answer(StatusCode::CREATED, &render(&caller.base, caller.account, &row)))
}

/// Refuses one more workspace for an account that has as many as it may.
fn check_room(count: u64) -> Result<(), ApiError> {
    if count < WORKSPACES_MAX {
        Ok(())
    } else {
        Err(ApiError::invalid(format!("An account holds at most {WORKSPACES_MAX} workspaces")))
    }
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    Ok(answer(StatusCode::OK, &render(&scope.place.base, scope.place.account, &scope.workspace)))
}

pub(super) async fn update(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let update = WorkspaceUpdate {
        friendly_name: form.owned("FriendlyName"),
        event_callback_url: form.url("EventCallbackUrl")?,
        events_filter: form.owned("EventsFilter").map(non_empty),
        default_activity: form.sid("DefaultActivitySid")?,
        timeout_activity: form.sid("TimeoutActivitySid")?,
        multi_task_enabled: form.boolean("MultiTaskEnabled")?,
        prioritize_queue_order: order(&form, "PrioritizeQueueOrder")?,
        ..WorkspaceUpdate::default()
    };
    scope.carry_out(Command::UpdateWorkspace(update)).await?;
    let row = scope.found(scope.state.store.workspace(scope.place.account, scope.sid()).await?)?;
    Ok(answer(StatusCode::OK, &render(&scope.place.base, scope.place.account, &row)))
}

pub(super) async fn delete(scope: Scope) -> Result<Response, ApiError> {
    scope.carry_out(Command::DeleteWorkspace).await?;
    Ok(deleted())
}

/// `FIFO` or `LIFO`.
pub(super) fn order(form: &Parameters, name: &'static str) -> Result<Option<TaskOrder>, ApiError> {
    Ok(form.word(name, &[TaskOrder::Fifo.as_str(), TaskOrder::Lifo.as_str()])?.and_then(TaskOrder::from_text))
}

pub(super) fn render(base: &str, account: AccountSid, row: &WorkspaceView) -> Value {
    let url = format!("{base}/Workspaces/{}", row.sid);
    json!({
        "account_sid": account,
        "sid": row.sid,
        "friendly_name": row.friendly_name,
        "date_created": date(row.created_at),
        "date_updated": date(row.updated_at),
        "default_activity_sid": row.default_activity_sid,
        "default_activity_name": row.default_activity_name,
        "timeout_activity_sid": row.timeout_activity_sid,
        "timeout_activity_name": row.timeout_activity_name,
        "event_callback_url": row.event_callback_url,
        "events_filter": row.events_filter,
        "multi_task_enabled": row.multi_task_enabled,
        "prioritize_queue_order": row.prioritize_queue_order,
        "links": {
            "activities": format!("{url}/Activities"),
            "statistics": format!("{url}/Statistics"),
            "real_time_statistics": format!("{url}/RealTimeStatistics"),
            "cumulative_statistics": format!("{url}/CumulativeStatistics"),
            "task_queues": format!("{url}/TaskQueues"),
            "tasks": format!("{url}/Tasks"),
            "workers": format!("{url}/Workers"),
            "workflows": format!("{url}/Workflows"),
            "task_channels": format!("{url}/TaskChannels"),
            "events": format!("{url}/Events"),
        },
        "url": url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_room_for_five_thousand_workspaces() {
        assert_eq!(check_room(4_999), Ok(()));
        let refused = check_room(5_000).unwrap_err();
        assert_eq!((refused.code, refused.message.as_str()), (20001, "An account holds at most 5000 workspaces"));
    }
}
