//! What every resource looks like, beside the keys and types of the contract.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::error::ApiError;
use super::links::Place;
use super::{
    activities, events, reservations, task_channels, task_queues, tasks, transfers, worker_channels, workers,
    workflows, workspaces,
};
use crate::engine;
use crate::routing::command::ReservationParent;
use crate::routing::{Refusal, ReservationStatus, Timestamp};
use crate::store::views::{
    ActivityView, EventView, ReservationView, TaskChannelView, TaskQueueView, TaskView, TransferView,
    WorkerChannelView, WorkerView, WorkflowView, WorkspaceView,
};

/// 2026-02-03T04:05:06.789Z
const AT: Timestamp = Timestamp(1_770_091_506_789);

/// Keys of one resource in the contract.
#[derive(serde::Deserialize)]
struct Contract {
    keys: BTreeSet<String>,
    #[serde(default)]
    links: BTreeSet<String>,
    integers: Vec<String>,
    booleans: Vec<String>,
}

fn sid(prefix: &str) -> String {
    format!("{prefix}0123456789abcdef0123456789abcdef")
}

fn place() -> Place {
    Place {
        base: "https://calls.example/v1".to_owned(),
        account: sid("AC").parse().unwrap(),
        workspace: sid("WS").parse().unwrap(),
    }
}

fn check(resource: &str, rendered: &Value) {
    let contracts: BTreeMap<String, Contract> =
        serde_json::from_str(include_str!("../../tests/fixtures/contract_keys.json")).unwrap();
    let contract = &contracts[resource];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(rendered), contract.keys, "{resource}");
    if contract.keys.contains("links") {
        assert_eq!(keys(&rendered["links"]), contract.links, "links of {resource}");
        assert!(rendered["links"].as_object().unwrap().values().all(Value::is_string), "links of {resource}");
    }
    for key in &contract.integers {
        assert!(rendered[key].is_i64(), "{resource}.{key} is {}", rendered[key]);
    }
    for key in &contract.booleans {
        assert!(rendered[key].is_boolean(), "{resource}.{key} is {}", rendered[key]);
    }
    for (key, value) in rendered.as_object().unwrap() {
        if key.starts_with("date_") || key.ends_with("_date") || key == "virtual_start_time" {
            assert_eq!(value, "2026-02-03T04:05:06Z", "{resource}.{key}");
        }
    }
    assert!(rendered["url"].as_str().unwrap().starts_with("https://calls.example/v1/Workspaces/WS"), "{resource}");
}

#[test]
fn a_workspace_has_the_keys_of_the_contract() {
    let row = WorkspaceView {
        sid: sid("WS"),
        friendly_name: "Support floor".to_owned(),
        default_activity_sid: sid("WA"),
        default_activity_name: Some("Offline".to_owned()),
        timeout_activity_sid: sid("WA"),
        timeout_activity_name: Some("Offline".to_owned()),
        event_callback_url: String::new(),
        events_filter: None,
        multi_task_enabled: true,
        prioritize_queue_order: "FIFO".to_owned(),
        created_at: AT,
        updated_at: AT,
    };
    let rendered = workspaces::render(&place().base, place().account, &row);
    check("workspace", &rendered);
    assert_eq!(rendered["event_callback_url"], "");
    assert_eq!(rendered["events_filter"], Value::Null);
}

#[test]
fn an_activity_has_the_keys_of_the_contract() {
    let row = ActivityView {
        sid: sid("WA"),
        friendly_name: "Lunch".to_owned(),
        available: false,
        created_at: AT,
        updated_at: AT,
    };
    check("activity", &activities::render(&place(), &row));
}

#[test]
fn a_task_channel_has_the_keys_of_the_contract() {
    let row = TaskChannelView {
        sid: sid("TC"),
        friendly_name: "Voice".to_owned(),
        unique_name: "voice".to_owned(),
        channel_optimized_routing: false,
        created_at: AT,
        updated_at: AT,
    };
    check("task_channel", &task_channels::render(&place(), &row));
}

#[test]
fn a_task_queue_has_the_keys_of_the_contract_and_no_link_to_nowhere() {
    let mut row = TaskQueueView {
        sid: sid("WQ"),
        friendly_name: "Tier 1".to_owned(),
        target_workers: "skills HAS \"billing\"".to_owned(),
        task_order: "FIFO".to_owned(),
        max_reserved_workers: 1,
        reservation_activity_sid: Some(sid("WA")),
        reservation_activity_name: Some("Reserved".to_owned()),
        assignment_activity_sid: Some(sid("WA")),
        assignment_activity_name: Some("Busy".to_owned()),
        created_at: AT,
        updated_at: AT,
    };
    check("task_queue", &task_queues::render(&place(), &row));
    row.reservation_activity_sid = None;
    let rendered = task_queues::render(&place(), &row);
    assert_eq!(rendered["reservation_activity_sid"], Value::Null);
    assert_eq!(rendered["links"].get("reservation_activity"), None);
}

#[test]
fn a_workflow_has_the_keys_of_the_contract() {
    let row = WorkflowView {
        sid: sid("WW"),
        friendly_name: "Inbound".to_owned(),
        configuration: "{ \"task_routing\":{}}".to_owned(),
        assignment_callback_url: None,
        fallback_assignment_callback_url: None,
        task_reservation_timeout_secs: 120,
        created_at: AT,
        updated_at: AT,
    };
    let rendered = workflows::render(&place(), &row);
    check("workflow", &rendered);
    assert_eq!(rendered["configuration"], "{ \"task_routing\":{}}");
}

#[test]
fn a_worker_has_the_keys_of_the_contract() {
    let row = WorkerView {
        sid: sid("WK"),
        friendly_name: "dana".to_owned(),
        attributes: "{\"level\": 3}".to_owned(),
        activity_sid: sid("WA"),
        activity_name: "Available".to_owned(),
        available: true,
        status_changed_at: AT,
        version: 3,
        created_at: AT,
        updated_at: AT,
    };
    check("worker", &workers::render(&place(), &row));
}

#[test]
fn a_worker_channel_has_the_keys_of_the_contract() {
    let mut row = WorkerChannelView {
        sid: sid("WC"),
        worker_sid: sid("WK"),
        task_channel_sid: sid("TC"),
        task_channel_unique_name: "voice".to_owned(),
        configured_capacity: 3,
        available: true,
        assigned_tasks: 0,
        used: 1,
        created_at: AT,
        updated_at: AT,
    };
    let rendered = worker_channels::render(&place(), &row);
    check("worker_channel", &rendered);
    assert_eq!(rendered["available_capacity_percentage"], 66);
    for (capacity, used, expected) in [(0, 0, 0), (1, 0, 100), (1, 1, 0), (1, 3, 0), (50, 1, 98)] {
        (row.configured_capacity, row.used) = (capacity, used);
        assert_eq!(worker_channels::render(&place(), &row)["available_capacity_percentage"], expected);
    }
}

fn task() -> TaskView {
    TaskView {
        sid: sid("WT"),
        attributes: "{}".to_owned(),
        status: "pending".to_owned(),
        priority: 0,
        timeout_secs: 86_400,
        reason: None,
        task_channel_sid: sid("TC"),
        task_channel_unique_name: Some("default".to_owned()),
        task_queue_sid: Some(sid("WQ")),
        task_queue_friendly_name: Some("Tier 1".to_owned()),
        queue_entered_at: Some(AT),
        workflow_sid: Some(sid("WW")),
        workflow_friendly_name: Some("Inbound".to_owned()),
        virtual_start_at: AT,
        routing_target: None,
        ignore_capacity: false,
        version: 0,
        finished_at: None,
        created_at: AT,
        updated_at: AT,
    }
}

#[test]
fn a_task_has_the_keys_of_the_contract() {
    check("task", &tasks::render(&place(), &task(), AT));
    let outside = TaskView { task_queue_sid: None, queue_entered_at: None, ..task() };
    let rendered = tasks::render(&place(), &outside, AT);
    assert_eq!(rendered["task_queue_entered_date"], Value::Null);
    assert_eq!(rendered["links"].get("task_queue"), None);
}

#[test]
fn the_age_of_a_task_stands_still_once_it_has_ended() {
    let later = AT.plus_secs(42).plus_ms(999);
    assert_eq!(tasks::render(&place(), &task(), later)["age"], 42);
    let ended = TaskView { finished_at: Some(AT.plus_secs(7)), ..task() };
    assert_eq!(tasks::render(&place(), &ended, later)["age"], 7);
}

#[test]
fn a_reservation_has_the_url_of_the_route_that_was_used() {
    let row = ReservationView {
        sid: sid("WR"),
        task_sid: sid("WT"),
        worker_sid: sid("WK"),
        worker_name: "dana".to_owned(),
        status: "pending".to_owned(),
        version: 0,
        created_at: AT,
        updated_at: AT,
    };
    let by_task = reservations::render(&place(), ReservationParent::Task(sid("WT").parse().unwrap()), &row);
    check("task_reservation", &by_task);
    let expected = place().url(&format!("/Tasks/{}/Reservations/{}", sid("WT"), sid("WR")));
    assert_eq!(by_task["url"], expected);
    let by_worker = reservations::render(&place(), ReservationParent::Worker(sid("WK").parse().unwrap()), &row);
    check("worker_reservation", &by_worker);
    let expected = place().url(&format!("/Workers/{}/Reservations/{}", sid("WK"), sid("WR")));
    assert_eq!(by_worker["url"], expected);
}

#[test]
fn a_transfer_has_the_fields_that_the_agent_sdk_reads() {
    let mut row = TransferView {
        sid: sid("TT"),
        task_sid: sid("WT"),
        mode: "WARM".to_owned(),
        target: sid("WQ"),
        status: "initiated".to_owned(),
        failed_reason: None,
        initiating_reservation_sid: sid("WR"),
        initiating_worker_sid: sid("WK"),
        initiating_queue_sid: Some(sid("WQ")),
        initiating_workflow_sid: None,
        created_at: AT,
        updated_at: AT,
    };
    let worker = place().url(&format!("/Workers/{}", sid("WK")));
    let mut expected = json!({
        "account_sid": sid("AC"),
        "sid": sid("TT"),
        "workspace_sid": sid("WS"),
        "task_sid": sid("WT"),
        "transfer_type": "QUEUE",
        "transfer_mode": "WARM",
        "transfer_to": sid("WQ"),
        "transfer_status": "initiated",
        "transfer_failed_reason": null,
        "initiating_reservation_sid": sid("WR"),
        "initiating_worker_sid": sid("WK"),
        "initiating_queue_sid": sid("WQ"),
        "initiating_workflow_sid": null,
        "date_created": "2026-02-03T04:05:06Z",
        "date_updated": "2026-02-03T04:05:06Z",
        "links": {
            "workspace": place().workspace_url(),
            "worker": worker,
            "task": place().url(&format!("/Tasks/{}", sid("WT"))),
            "reservation": format!("{worker}/Reservations/{}", sid("WR")),
        },
        "url": format!("{worker}/Transfers/{}", sid("TT")),
    });
    assert_eq!(transfers::render(&place(), &row), expected);
    row.target = sid("WK");
    (expected["transfer_type"], expected["transfer_to"]) = (json!("WORKER"), json!(sid("WK")));
    assert_eq!(transfers::render(&place(), &row), expected);
}

#[test]
fn an_event_has_the_keys_of_the_contract() {
    let mut row = EventView {
        sid: sid("EV"),
        sequence: 7,
        event_type: "reservation.created".to_owned(),
        at: AT,
        description: "Task assigned".to_owned(),
        resource_type: "reservation".to_owned(),
        resource_sid: sid("WR"),
        task_sid: Some(sid("WT")),
        event_data: "{\"task_age\":\"4\"}".to_owned(),
    };
    let rendered = events::render(&place(), "Support floor", &row);
    check("event", &rendered);
    assert_eq!(rendered["event_date_ms"], AT.0);
    let expected = json!({
        "task_age": "4", "workspace_sid": sid("WS"), "workspace_name": "Support floor", "event_sequence": "7",
    });
    assert_eq!(rendered["event_data"], expected);
    let url = |path: String| json!(place().url(&path));
    assert_eq!(rendered["resource_url"], url(format!("/Tasks/{}/Reservations/{}", sid("WT"), sid("WR"))));
    for (kind, collection) in [("taskqueue", "TaskQueues"), ("worker", "Workers"), ("taskchannel", "TaskChannels")] {
        row.resource_type = kind.to_owned();
        let rendered = events::render(&place(), "Support floor", &row);
        assert_eq!(rendered["resource_url"], url(format!("/{collection}/{}", sid("WR"))));
    }
}

#[test]
fn refusals_have_the_words_that_clients_match_on() {
    let (task, reservation) = (sid("WT").parse().unwrap(), sid("WR").parse().unwrap());
    let scope = format!("workspace {} for account {}", sid("WS"), sid("AC"));
    let (accepted, completed) = (ReservationStatus::Accepted, ReservationStatus::Completed);
    for (refusal, status, code, message) in [
        (Refusal::NotFound, 404, 20404, "The requested resource /Workspaces/WS1 was not found".to_owned()),
        (Refusal::VersionMismatch { current: 3 }, 412, 20412, "Precondition failed".to_owned()),
        (Refusal::Missing { parameter: "WorkflowSid" }, 400, 20001, "WorkflowSid field is required".to_owned()),
        (Refusal::WorkerNameTaken, 400, 20001, "Worker with the same friendly name already exists".to_owned()),
        (
            Refusal::QueueNameTaken { name: "X".to_owned() },
            400,
            20001,
            format!("Queue named X already exists for {scope}"),
        ),
        (
            Refusal::NotCancelable(task),
            400,
            20001,
            format!("Cannot cancel task {task} in {scope} because it is not pending or reserved."),
        ),
        (
            Refusal::NotWrappable(task),
            400,
            20001,
            format!("Cannot wrap up a task {task} in {scope} because it's not currently assigned"),
        ),
        (
            Refusal::NotCompletable(task),
            400,
            20001,
            format!("Cannot complete task {task} in {scope} because it is not currently assigned."),
        ),
        (
            Refusal::ReservationInState { reservation, from: accepted, to: completed },
            400,
            20001,
            format!("Reservation {reservation} is already in state [accepted] and cannot be updated to [completed]"),
        ),
        (
            Refusal::InstructionNotPending { instruction: "Conference", reservation },
            400,
            20001,
            format!(
                "Unable to execute Conference instruction. Reservation {reservation} is not currently in a Pending state."
            ),
        ),
        (Refusal::ReservationRescinded(reservation), 410, 20410, format!("Reservation {reservation} was rescinded")),
        (
            Refusal::RejectPendingNeedsUnavailable,
            400,
            20001,
            "Unable to reject pending reservations when updating to an Available activity state.".to_owned(),
        ),
    ] {
        let error = ApiError::refused(&refusal, Some(&place()), "/Workspaces/WS1");
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(error, ApiError { status, code, message }, "{refusal:?}");
    }
}

#[test]
fn failures_of_the_engine_are_not_the_clients() {
    let of = |error| ApiError::of_engine(error, Some(&place()), "/x");
    assert_eq!(of(engine::Error::Overloaded).code, 20429);
    assert_eq!(of(engine::Error::Unavailable).code, 20503);
    assert_eq!(of(engine::Error::NoSuchWorkspace).code, 20404);
}

#[tokio::test]
async fn an_error_body_has_four_keys() {
    use axum::response::IntoResponse as _;
    let response = ApiError::unauthorized().into_response();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()["www-authenticate"], "Basic realm=\"Twilio API\"");
    assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
    let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
    let expected = json!({
        "code": 20003,
        "message": "Authenticate",
        "more_info": "https://www.twilio.com/docs/errors/20003",
        "status": 401,
    });
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
}

#[tokio::test]
async fn who_asks_too_much_is_told_when_to_come_back() {
    use axum::response::IntoResponse as _;
    for (error, code) in [(engine::Error::Overloaded, 429), (engine::Error::Unavailable, 503)] {
        let response = ApiError::of_engine(error, Some(&place()), "/x").into_response();
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (code, &"1".parse().unwrap()));
    }
    assert!(!ApiError::internal().into_response().headers().contains_key("retry-after"));
}
