//! Alerts, in the form of Twilio's Monitor API.

use serde_json::Value;

use super::operation::{Operation, Resource};
use super::schema::{address, constant, date, merged, moment, nullable, object, own_sid, pattern, sid, text, words};
use crate::api::alerts::LEVELS;

const ALERT: Resource = Resource { name: "Alert", sid: || sid("NO"), versioned: false };

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let alert = object([
        ("account_sid", own_sid("AC")),
        ("sid", own_sid("NO")),
        ("alert_text", text()),
        ("api_version", nullable(text())),
        ("date_created", date()),
        ("date_generated", date()),
        ("date_updated", date()),
        ("error_code", pattern("^[0-9]{5}$")),
        ("log_level", constant(&["error", "warning"])),
        ("more_info", address()),
        ("request_method", nullable(text())),
        ("request_url", nullable(text())),
        ("resource_sid", nullable(text())),
        ("service_sid", nullable(text())),
        ("url", address()),
        ("workspace_sid", nullable(text())),
        ("task_sid", nullable(text())),
        ("reservation_sid", nullable(text())),
        ("worker_sid", nullable(text())),
    ]);
    let details = object([
        ("request_variables", nullable(text())),
        ("request_headers", nullable(text())),
        ("response_headers", nullable(text())),
        ("response_body", nullable(text())),
    ]);
    vec![("AlertInstance", merged(alert.clone(), details)), ("Alert", alert)]
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        ALERT
            .list("ListAlert", "/v1/Alerts", "alerts", "Alerts of the account, the newest first")
            .query("EndDate", moment())
            .query("LogLevel", words(&LEVELS))
            .query("StartDate", moment())
            .paged(1),
        ALERT.fetch("FetchAlert", "/v1/Alerts/{Sid}", "One alert").shown_as(super::schema::component("AlertInstance")),
    ]
}
