//! Events.

use serde_json::{Value, json};

use super::WORKSPACE_PATH;
use super::operation::{Operation, Resource};
use super::schema::{
    address, channel, constant, count, date, integer, minutes, moment, nullable, object, own_sid, sid, text,
};

const EVENT: Resource = Resource { name: "Event", sid: || sid("EV"), versioned: false };

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let data = json!({ "type": "object", "additionalProperties": text() });
    let event = object([
        ("account_sid", own_sid("AC")),
        ("workspace_sid", own_sid("WS")),
        ("sid", own_sid("EV")),
        ("event_type", text()),
        ("event_date", date()),
        ("event_date_ms", count()),
        ("description", text()),
        ("resource_type", text()),
        ("resource_sid", text()),
        ("resource_url", nullable(address())),
        ("actor_type", text()),
        ("actor_sid", text()),
        ("actor_url", address()),
        ("source", constant(&["twilio"])),
        ("source_ip_address", nullable(text())),
        ("event_data", data),
        ("url", address()),
    ]);
    vec![("Event", event)]
}

pub(super) fn operations() -> Vec<Operation> {
    let all = &format!("{WORKSPACE_PATH}/Events");
    vec![
        EVENT
            .list("ListEvent", all, "events", "Events of a window of time, the last 15 minutes unless told otherwise")
            .query("After", integer(0..=i64::MAX))
            .query("EndDate", moment())
            .query("EventType", text())
            .query("Minutes", minutes())
            .query("ReservationSid", sid("WR"))
            .query("StartDate", moment())
            .query("TaskQueueSid", sid("WQ"))
            .query("TaskSid", sid("WT"))
            .query("WorkerSid", sid("WK"))
            .query("WorkflowSid", sid("WW"))
            .query("TaskChannel", channel())
            .query("Sid", sid("EV"))
            .paged(2),
        EVENT.fetch("FetchEvent", &format!("{all}/{{Sid}}"), "One event"),
    ]
}
