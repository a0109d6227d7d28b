//! The form of an event callback, made of the stored event (events.md section 2).
//!
//! Every field that REST shows is sent under its name in the other spelling (`task_sid` is `TaskSid`); one without a value
//! is left out. Must not add knowledge of its own about any event. Start with [`form`].

use serde_json::{Map, Value};

use crate::routing::{AccountSid, WorkspaceSid};
use crate::store::views::EventView;

/// Parameters of the callback of `event`, those of every event first.
pub(super) fn form(
    account: AccountSid,
    workspace: WorkspaceSid,
    workspace_name: &str,
    event: &EventView,
) -> Vec<(String, String)> {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let data: Map<String, Value> = serde_json::from_str(&event.event_data).unwrap_or_default();
    // The name at the time of the event, where the event has it.
    let name = data.get("workspace_name").and_then(Value::as_str).unwrap_or(workspace_name);
    let mut form = vec![
        pair("Sid", event.sid.clone()),
        pair("EventType", event.event_type.clone()),
        pair("EventDescription", event.description.clone()),
        pair("Timestamp", event.at.unix_secs().to_string()),
        pair("TimestampMs", event.at.0.to_string()),
        pair("AccountSid", account.to_string()),
        pair("WorkspaceSid", workspace.to_string()),
        pair("WorkspaceName", name.to_owned()),
        pair("ResourceType", event.resource_type.clone()),
        pair("ResourceSid", event.resource_sid.clone()),
        pair("EventSequence", event.sequence.to_string()),
    ];
    for (name, value) in data {
        if matches!(name.as_str(), "workspace_sid" | "workspace_name") {
            continue;
        }
        let value = match value {
            Value::String(text) => text,
            Value::Null => continue,
            other => other.to_string(),
        };
        if !value.is_empty() {
            form.push((camel(&name), value));
        }
    }
    form
}

/// `task_channel_sid` as `TaskChannelSid`.
fn camel(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for word in name.split('_') {
        let mut letters = word.chars();
        text.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::routing::Timestamp;

    #[test]
    fn every_field_is_sent_under_its_name() {
        let data = json!({
            "workspace_sid": "WS0", "workspace_name": "then", "task_sid": "WT1", "task_attributes": "{\"a\":\"ü\"}",
            "task_canceled_reason": "", "worker_time_in_previous_activity_ms": "26123", "reservation_sid": null,
            "task_re_evaluated_reason": "x", "reason": "hangup",
        });
        let event = EventView {
            sid: "EV1".to_owned(),
            sequence: 7,
            event_type: "task.canceled".to_owned(),
            at: Timestamp(1_770_091_506_123),
            description: "Task TTL Exceeded".to_owned(),
            resource_type: "task".to_owned(),
            resource_sid: "WT1".to_owned(),
            task_sid: Some("WT1".to_owned()),
            event_data: data.to_string(),
        };
        let form = form(AccountSid::from_bits(1), WorkspaceSid::from_bits(2), "now", &event);
        let pairs: Vec<String> = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = [
            "Sid=EV1",
            "EventType=task.canceled",
            "EventDescription=Task TTL Exceeded",
            "Timestamp=1770091506",
            "TimestampMs=1770091506123",
            "AccountSid=AC00000000000000000000000000000001",
            "WorkspaceSid=WS00000000000000000000000000000002",
            "WorkspaceName=then",
            "ResourceType=task",
            "ResourceSid=WT1",
            "EventSequence=7",
            "Reason=hangup",
            "TaskAttributes={\"a\":\"ü\"}",
            "TaskReEvaluatedReason=x",
            "TaskSid=WT1",
            "WorkerTimeInPreviousActivityMs=26123",
        ];
        let mut sorted = pairs.clone();
        sorted[11..].sort();
        assert_eq!(sorted, expected);
    }
}
