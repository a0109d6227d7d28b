//! What becomes of workers whose agents are gone.

use serde_json::Value;

use super::WORKSPACE_PATH;
use super::operation::Operation;
use super::schema::{address, component, count, integer, nullable, object, own_sid, sid, text};
use crate::routing::presence::GRACE_SECS_MAX;

const TAG: &str = "Agents";

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let presence = object([
        ("account_sid", own_sid("AC")),
        ("workspace_sid", own_sid("WS")),
        ("disconnect_grace_seconds", nullable(count())),
        ("disconnect_activity_sid", own_sid("WA")),
        ("disconnect_activity_name", nullable(text())),
        ("connected_workers", count()),
        ("url", address()),
    ]);
    vec![("Presence", presence)]
}

pub(super) fn operations() -> Vec<Operation> {
    let of = |method, id, summary| {
        let path = format!("{WORKSPACE_PATH}/Presence");
        let operation = Operation::new(method, id, &path, TAG, summary).with_json_errors();
        let content = Some(("application/json", component("Presence")));
        let operation = operation.answers(200, "as it is now", content);
        [401, 404, 429, 503].into_iter().fold(operation, Operation::error)
    };
    vec![
        of("GET", "FetchPresence", "How long agents without a socket are waited for"),
        of("POST", "UpdatePresence", "Changes how long agents without a socket are waited for, and what comes then")
            .error(400)
            .error(413)
            .field("DisconnectGraceSeconds", integer(1..=i64::from(GRACE_SECS_MAX)))
            .field("DisconnectActivitySid", sid("WA")),
    ]
}
