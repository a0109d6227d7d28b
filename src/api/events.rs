//! Events: the numbered log of what happened in a workspace, kept for 30 days.
//!
//! Start with [`list`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::form::{Parameters, Query};
use super::json::{answer, date};
use super::links::Place;
use super::page::Paging;
use super::scope::{Scope, channel_name};
use crate::routing::Timestamp;
use crate::store::lists::EventFilter;
use crate::store::views::EventView;

/// How long events are kept.
const RETENTION_MINUTES: i64 = 30 * 24 * 60;
/// Window of a list that names none.
const DEFAULT_MINUTES: i64 = 15;

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let paging = Paging::read(&query, 2)?;
    let after = after(&query)?;
    let (from, until) = window(&query, after.is_some(), scope.state.clock.now())?;
    let filter = EventFilter {
        event_type: query.filled("EventType").map(str::to_owned),
        sid: query.sid("Sid")?,
        task: query.sid("TaskSid")?,
        worker: query.sid("WorkerSid")?,
        reservation: query.sid("ReservationSid")?,
        task_queue: query.sid("TaskQueueSid")?,
        workflow: query.sid("WorkflowSid")?,
        task_channel: query.filled("TaskChannel").map(channel_name),
        from,
        until,
        after,
    };
    let list = scope.state.store.events(scope.sid(), &filter, paging.span()).await?;
    let name = &scope.workspace.friendly_name;
    Ok(paging.answer(&scope.place.url("/Events"), "events", &list, |row| render(&scope.place, name, row)))
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    let row = scope.found(scope.state.store.event(scope.sid(), scope.path_sid("Sid")?).await?)?;
    Ok(answer(StatusCode::OK, &render(&scope.place, &scope.workspace.friendly_name, &row)))
}

/// Number of the event after which a reader goes on; the name is taken in small letters too, as addresses are written.
pub(super) fn after(query: &Query) -> Result<Option<i64>, ApiError> {
    match query.integer("After", 0..=i64::MAX)? {
        None => query.integer("after", 0..=i64::MAX),
        given => Ok(given),
    }
}

/// First and last moment of the list, both inclusive; `StartDate` goes before `Minutes`, and what comes after a number
/// is not cut by the usual window.
fn window(
    query: &Parameters,
    numbered: bool,
    now: Timestamp,
) -> Result<(Option<Timestamp>, Option<Timestamp>), ApiError> {
    let ago = |minutes: i64| now.plus_ms(-minutes * 60_000);
    let (end, until) = (query.moment("EndDate")?, query.last_moment("EndDate")?);
    if let Some(from) = query.moment("StartDate")? {
        if from < ago(RETENTION_MINUTES) {
            return Err(ApiError::too_long_ago());
        }
        return Ok((Some(from), until));
    }
    match (query.integer("Minutes", 1..=RETENTION_MINUTES)?, end) {
        (Some(minutes), Some(end)) => Ok((Some(end.plus_ms(-minutes * 60_000)), until)),
        (Some(minutes), None) => Ok((Some(ago(minutes)), None)),
        (None, Some(_)) => Ok((None, until)),
        (None, None) if numbered => Ok((None, None)),
        (None, None) => Ok((Some(ago(DEFAULT_MINUTES)), None)),
    }
}

pub(super) fn render(place: &Place, workspace_name: &str, row: &EventView) -> Value {
    json!({
        "account_sid": place.account,
        "workspace_sid": place.workspace,
        "sid": row.sid,
        "event_type": row.event_type,
        "event_date": date(row.at),
        "event_date_ms": row.at.0,
        "description": row.description,
        "resource_type": row.resource_type,
        "resource_sid": row.resource_sid,
        "resource_url": resource_path(row).map(|path| place.url(&path)),
        "actor_type": "workspace",
        "actor_sid": place.workspace,
        "actor_url": place.workspace_url(),
        "source": "twilio",
        "source_ip_address": null,
        "event_data": event_data(place, workspace_name, row),
        "url": place.url(&format!("/Events/{}", row.sid)),
    })
}

/// Names and text values of the event, with those of the workspace and the event's number.
fn event_data(place: &Place, workspace_name: &str, row: &EventView) -> Map<String, Value> {
    let mut data: Map<String, Value> = serde_json::from_str(&row.event_data).unwrap_or_else(|error| {
        tracing::error!(event = row.sid, %error, "the data of an event are not a JSON object");
        Map::new()
    });
    data.entry("workspace_sid").or_insert_with(|| json!(place.workspace));
    data.entry("workspace_name").or_insert_with(|| json!(workspace_name));
    data.insert("event_sequence".to_owned(), json!(row.sequence.to_string()));
    data
}

fn resource_path(row: &EventView) -> Option<String> {
    let sid = &row.resource_sid;
    let collection = match row.resource_type.as_str() {
        "workspace" => return Some(String::new()),
        "reservation" => {
            let task = row.task_sid.as_ref()?;
            return Some(format!("/Tasks/{task}/Reservations/{sid}"));
        }
        "activity" => "Activities",
        "worker" => "Workers",
        "task" => "Tasks",
        "taskqueue" => "TaskQueues",
        "workflow" => "Workflows",
        "taskchannel" => "TaskChannels",
        _ => return None,
    };
    Some(format!("/{collection}/{sid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-02-03T04:05:06Z
    const NOW: Timestamp = Timestamp(1_770_091_506_000);

    fn check(query: &str, from_minutes_ago: Option<i64>, until_minutes_ago: Option<i64>) {
        let ago = |minutes: Option<i64>| minutes.map(|minutes| NOW.plus_ms(-minutes * 60_000));
        let numbered = query.contains("After=");
        let found = window(&Parameters::parse(query.as_bytes()), numbered, NOW);
        let until = ago(until_minutes_ago).map(|until| until.plus_ms(999));
        assert_eq!(found, Ok((ago(from_minutes_ago), until)), "{query}");
    }

    #[test]
    fn the_window_is_a_quarter_of_an_hour_unless_told_otherwise() {
        check("", Some(15), None);
        check("Minutes=60", Some(60), None);
        check("After=7", None, None);
        check("After=7&Minutes=60", Some(60), None);
        check("StartDate=2026-02-03T04:00:06Z", Some(5), None);
        check("StartDate=2026-02-03T04:00:06Z&Minutes=60", Some(5), None);
        check("EndDate=2026-02-03T04:00:06Z", None, Some(5));
        check("EndDate=2026-02-03T04:00:06Z&Minutes=60", Some(65), Some(5));
        check("StartDate=2026-02-03T03:05:06Z&EndDate=2026-02-03T04:00:06Z", Some(60), Some(5));
    }

    #[test]
    fn a_window_cannot_begin_before_the_oldest_events() {
        let error = |query: &str| window(&Parameters::parse(query.as_bytes()), false, NOW).unwrap_err().code;
        assert_eq!(error("StartDate=2026-01-03T00:00:00Z"), 14241);
        assert_eq!(error("Minutes=0"), 20001);
        assert_eq!(error("Minutes=43201"), 20001);
        assert_eq!(error("StartDate=now"), 20001);
    }
}
