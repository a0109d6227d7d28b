//! Where a task stands in its queue and how long it will wait.
//!
//! Nothing of it is Twilio's. Start with [`fetch`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::json::{answer, date, optional_date};
use super::scope::Scope;
use crate::routing::estimate::METHOD;
use crate::routing::{QueuePosition, TaskSid, Unplaced};

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    let sid: TaskSid = scope.path_sid("TaskSid")?;
    let found =
        scope.look_now(move |workspace, now| workspace.queue_position(sid, now).map(|found| (found, now))).await?;
    let (found, now) = scope.found(found)?;
    let place = &scope.place;
    let mut body = fields(&found);
    body["account_sid"] = json!(place.account);
    body["workspace_sid"] = json!(place.workspace);
    body["task_sid"] = json!(sid);
    body["date_measured"] = date(now);
    body["url"] = place.url(&format!("/Tasks/{sid}/Position")).into();
    Ok(answer(StatusCode::OK, &body))
}

/// What is told of a position wherever it appears.
pub(super) fn fields(found: &QueuePosition) -> Value {
    let estimate = found.estimate.map(|estimate| {
        json!({
            "seconds": estimate.secs,
            "low_seconds": estimate.low_secs,
            "high_seconds": estimate.high_secs,
            "confidence": 0.8,
            "method": METHOD,
            "accepted_tasks": estimate.samples,
            "observed_seconds": estimate.observed_secs,
        })
    });
    let unplaced = match found.ahead {
        Ok(_) => None,
        Err(Unplaced::NotPending(_)) => Some("not_pending"),
        Err(Unplaced::Targeted(_)) => Some("waits_for_one_worker"),
        Err(Unplaced::NobodyKnown) => Some("known_worker_does_not_exist"),
    };
    let past_estimates = json!({
        "count": found.errors.samples,
        "mean_absolute_error": (found.errors.samples > 0).then_some(found.errors.mean_absolute_secs),
    });
    json!({
        "assignment_status": found.status,
        "task_queue_sid": found.queue,
        "task_channel_sid": found.channel,
        "task_queue_entered_date": optional_date(found.entered_at),
        "position": found.ahead.ok().map(|ahead| ahead + 1),
        "tasks_ahead": found.ahead.ok(),
        "waiting_tasks": found.waiting,
        "without_position_because": unplaced,
        "estimated_wait": estimate,
        "past_estimates": past_estimates,
    })
}
