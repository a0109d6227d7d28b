//! Alerts: what went wrong, under Twilio's codes, in the form of Twilio's Monitor API (`/v1/Alerts`), for 30 days.
//!
//! The workspace, task, reservation and worker concerned are additions. Start with [`list`].

use axum::extract::{Path, State as Extracted};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::State;
use super::auth::Caller;
use super::error::ApiError;
use super::form::{Parameters, Query};
use super::json::{answer, date};
use super::page::Paging;
use crate::routing::{AlertSid, Timestamp};
use crate::store::lists::{AlertFilter, WARNINGS};
use crate::store::views::AlertView;

/// How long alerts are kept (Monitor: Alerts).
const RETENTION_DAYS: i64 = 30;

/// The levels that there are at Twilio; only the first two are used here.
pub(super) const LEVELS: [&str; 4] = ["error", "warning", "notice", "debug"];

pub(super) async fn list(
    caller: Caller,
    Extracted(state): Extracted<State>,
    query: Query,
) -> Result<Response, ApiError> {
    let paging = Paging::read(&query, 1)?;
    let filter = filter(&query, state.clock.now())?;
    let list = state.store.alerts_of(caller.account, &filter, paging.span()).await?;
    let url = format!("{}/Alerts", caller.base);
    Ok(paging.answer(&url, "alerts", &list, |row| Value::Object(render(&caller.base, row))))
}

pub(super) async fn fetch(
    caller: Caller,
    Extracted(state): Extracted<State>,
    Path(sid): Path<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let not_found = || ApiError::not_found(uri.path());
    let sid: AlertSid = sid.parse().map_err(|_| not_found())?;
    let row = state.store.alert_of(caller.account, sid).await?.ok_or_else(not_found)?;
    let mut shown = render(&caller.base, &row);
    // What the request and the answer held is not kept: it may be a customer's data.
    for name in ["request_variables", "request_headers", "response_headers", "response_body"] {
        shown.insert(name.to_owned(), Value::Null);
    }
    Ok(answer(StatusCode::OK, &Value::Object(shown)))
}

fn filter(query: &Parameters, now: Timestamp) -> Result<AlertFilter, ApiError> {
    let from = query.moment("StartDate")?;
    if from.is_some_and(|from| from < now.plus_ms(-RETENTION_DAYS * 24 * 3_600_000)) {
        return Err(ApiError::too_long_ago());
    }
    Ok(AlertFilter { level: query.word("LogLevel", &LEVELS)?, from, until: query.last_moment("EndDate")? })
}

fn render(base: &str, row: &AlertView) -> Map<String, Value> {
    let level = if WARNINGS.contains(&row.code) { "warning" } else { "error" };
    // What the alert is most about; Twilio names one resource only.
    let about = [&row.reservation_sid, &row.task_sid, &row.worker_sid, &row.workspace_sid];
    let shown = json!({
        "account_sid": row.account_sid,
        "sid": row.sid,
        "alert_text": row.message,
        "api_version": null,
        "date_created": date(row.at),
        "date_generated": date(row.at),
        "date_updated": date(row.at),
        "error_code": row.code.to_string(),
        "log_level": level,
        "more_info": format!("https://www.twilio.com/docs/errors/{}", row.code),
        "request_method": null,
        "request_url": null,
        "resource_sid": about.into_iter().flatten().next(),
        "service_sid": row.workspace_sid,
        "url": format!("{base}/Alerts/{}", row.sid),
        "workspace_sid": row.workspace_sid,
        "task_sid": row.task_sid,
        "reservation_sid": row.reservation_sid,
        "worker_sid": row.worker_sid,
    });
    match shown {
        Value::Object(shown) => shown,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_can_be_asked_for_by_level_and_for_thirty_days() {
        let now = Timestamp(1_770_091_506_000);
        let of = |text: &str| filter(&Parameters::parse(text.as_bytes()), now);
        assert_eq!(of(""), Ok(AlertFilter::default()));
        assert_eq!(of("LogLevel=Warning").unwrap().level, Some("warning"));
        assert_eq!(of("StartDate=2026-01-04T04:05:06Z").unwrap().from, Some(now.plus_ms(-30 * 24 * 3_600_000)));
        assert_eq!(of("StartDate=2026-01-04T04:05:05Z").unwrap_err().code, 14241);
        assert_eq!(of("LogLevel=loud").unwrap_err().code, 20001);
        assert_eq!(of("EndDate=later").unwrap_err().code, 20001);
    }
}
