//! Event callbacks: deliveries, sending again, the receiver.

use serde_json::{Value, json};

use super::WORKSPACE_PATH;
use super::operation::{Operation, Resource};
use super::schema::{
    address, component, constant, count, date, integer, moment, nullable, object, own_sid, sid, text, words,
};
use crate::api::deliveries::STATES;

const DELIVERY: Resource = Resource { name: "EventDelivery", sid: || sid("EV"), versioned: false };

const STREAM: &str = "Events as they happen, as server-sent events; Last-Event-ID or After goes on after a number";

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let delivery = object([
        ("account_sid", own_sid("AC")),
        ("workspace_sid", own_sid("WS")),
        ("event_sid", own_sid("EV")),
        ("event_sequence", count()),
        ("event_type", text()),
        ("state", constant(&["waiting", "dead", "done", "pending", "not_wanted", "not_sent"])),
        ("attempts", count()),
        ("date_next_attempt", nullable(date())),
        ("date_last_attempt", nullable(date())),
        ("last_status", nullable(count())),
        ("last_error", nullable(text())),
        ("last_answer", nullable(text())),
        ("url", address()),
    ]);
    let again = object([
        ("account_sid", own_sid("AC")),
        ("workspace_sid", own_sid("WS")),
        ("count", count()),
        ("next_after", nullable(count())),
        ("url", address()),
    ]);
    let endpoint = object([
        ("account_sid", own_sid("AC")),
        ("workspace_sid", own_sid("WS")),
        ("status", constant(&["none", "enabled", "failing", "disabled"])),
        ("event_callback_url", nullable(text())),
        ("events_filter", nullable(text())),
        ("next_event_sequence", nullable(count())),
        ("waiting_events", nullable(count())),
        ("date_failing_since", nullable(date())),
        ("date_disabled", nullable(date())),
        ("disabled_reason", nullable(text())),
        ("url", address()),
    ]);
    vec![("EventDelivery", delivery), ("EventDeliveriesAgain", again), ("EventEndpoint", endpoint)]
}

/// One event of the stream.
fn event() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": { "type": "string" },
            "event": { "type": "string" },
            "data": { "type": "string", "contentMediaType": "application/json" },
            "retry": {},
        },
    })
}

pub(super) fn operations() -> Vec<Operation> {
    let at = |path: &str| format!("{WORKSPACE_PATH}/Events/{path}");
    let of = |method, id, path: &str, shows: &str, summary| {
        let operation = Operation::new(method, id, &at(path), "EventDelivery", summary).with_json_errors();
        let operation = operation.answers(200, "as it is now", Some(("application/json", component(shows))));
        [401, 404, 429, 503].into_iter().fold(operation, Operation::error)
    };
    let posted = |operation: Operation| operation.error(400).error(413);
    let one = |operation: Operation| operation.with_sid(sid("EV"));
    vec![
        DELIVERY
            .list("ListEventDelivery", &at("Deliveries"), "deliveries", "Events that the receiver has not taken")
            .query("State", words(&STATES))
            .paged(1),
        posted(of("POST", "SendEventsAgain", "Deliveries", "EventDeliveriesAgain", "Sends many events again"))
            .field("State", words(&["dead"]))
            .field("After", integer(0..=i64::MAX))
            .field("Until", integer(0..=i64::MAX))
            .field("StartDate", moment())
            .field("EndDate", moment()),
        one(of("GET", "FetchEventDelivery", "{Sid}/Delivery", "EventDelivery", "What became of an event's callback")),
        one(posted(of("POST", "SendEventAgain", "{Sid}/Delivery", "EventDelivery", "Sends an event again"))),
        of("GET", "FetchEventEndpoint", "Endpoint", "EventEndpoint", "Where events are sent to, and how that goes"),
        posted(of("POST", "UpdateEventEndpoint", "Endpoint", "EventEndpoint", "Switches the receiver on again"))
            .required("Status", words(&["enabled"])),
        [401, 404, 429, 503]
            .into_iter()
            .fold(Operation::new("GET", "StreamEvents", &at("Stream"), "EventDelivery", STREAM), Operation::error)
            .with_json_errors()
            .answers(200, "until the reader goes", Some(("text/event-stream", event())))
            .query("After", integer(0..=i64::MAX))
            .query("EventType", text()),
    ]
}
