//! What becomes of workers whose agents are gone: the grace of a workspace.
//!
//! Nothing of it is Twilio's, so it is a resource of its own and the workspace's is as in the contract. Start with
//! [`update`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::error::ApiError;
use super::form::Form;
use super::json::answer;
use super::scope::Scope;
use crate::routing::Command;
use crate::routing::command::WorkspaceUpdate;
use crate::routing::presence::GRACE_SECS_MAX;

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    shown(&scope).await
}

pub(super) async fn update(scope: Scope, form: Form) -> Result<Response, ApiError> {
    // Given but empty: off, or the default activity.
    let secs = form.integer("DisconnectGraceSeconds", 1..=GRACE_SECS_MAX)?;
    let activity = form.sid("DisconnectActivitySid")?;
    let update = WorkspaceUpdate {
        disconnect_grace_secs: form.text("DisconnectGraceSeconds").map(|_| secs),
        disconnect_activity: form.text("DisconnectActivitySid").map(|_| activity),
        ..WorkspaceUpdate::default()
    };
    scope.carry_out(Command::UpdateWorkspace(update)).await?;
    // The workspace did not have to know of sockets that were open before.
    scope.state.hub.report_all(scope.sid());
    shown(&scope).await
}

async fn shown(scope: &Scope) -> Result<Response, ApiError> {
    let settings = scope.look(|workspace| {
        let settings = workspace.settings();
        let activity = settings.disconnect_activity.unwrap_or(settings.default_activity);
        let name = workspace.activity(activity).map(|row| row.friendly_name.clone());
        (settings.disconnect_grace_secs, activity, name)
    });
    let (grace_secs, activity, name) = settings.await?;
    let place = &scope.place;
    let body = json!({
        "account_sid": place.account,
        "workspace_sid": place.workspace,
        "disconnect_grace_seconds": grace_secs,
        "disconnect_activity_sid": activity,
        "disconnect_activity_name": name,
        "connected_workers": scope.state.hub.connected_workers(scope.sid()),
        "url": place.url("/Presence"),
    });
    Ok(answer(StatusCode::OK, &body))
}
