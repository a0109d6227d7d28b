//! The first SDK's socket: what is told, what follows when it is gone, and the sockets of queues and workspaces.

use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;

use super::super::sockets::{PATIENCE, SECOND, farewell, is_gone, is_there};
use super::*;

/// Events are written so long after their commit.
const PUSH_DELAY: Duration = Duration::from_millis(100);

/// The next event; heartbeats are passed over.
async fn event(browser: &mut Browser) -> (String, Value) {
    let next = async {
        loop {
            match browser.next().await.unwrap().unwrap() {
                Message::Text(text) if text.trim().is_empty() => {}
                Message::Text(text) => {
                    let mut frame: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(frame.as_object().unwrap().len(), 2, "{frame}");
                    return (text_of(&frame["event_type"]), frame["payload"].take());
                }
                Message::Ping(_) => {}
                other => panic!("expected an event, found {other:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("an event comes")
}

/// Who changes what, by which form, and which events with which members have to follow.
type Change = (&'static str, String, Value, Vec<Told>);

/// An event's name and some of its members.
type Told = (&'static str, Vec<(&'static str, Value)>);

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

async fn connect(office: &Office, token: &Official, query: &str) -> Browser {
    try_connect(office, &token.path(), &token.signed(), query).await.unwrap()
}

/// Connects and asks what the SDK asks then.
async fn begin(office: &Office, token: &Official) -> (Browser, Value) {
    let browser = connect(office, token, "").await;
    office.until("the agent is there", |_| true).await;
    payload(office, token, "GET", &format!("/Workers/{}", office.worker), Value::Null).await;
    let pending = json!({ "ReservationStatus": "pending" });
    let listed = payload(office, token, "GET", &format!("/Workers/{}/Reservations", office.worker), pending).await;
    (browser, listed)
}

#[tokio::test]
async fn an_agent_is_told_of_herself_and_of_her_tasks() {
    let mut office = Office::open(Limits::default()).await;
    let token = Official::of_worker(&office);
    let (mut browser, listed) = begin(&office, &token).await;
    assert_eq!(listed["reservations"], json!([]));
    let own = office.at(&format!("/Workers/{}", office.worker));
    let channel = office.get(&format!("{own}/Channels/voice")).await;
    office.pass(PUSH_DELAY).await;
    let task = text(&office.make(&office.at("/Tasks"), &[("Attributes", "{\"lang\":\"de\"}")]).await, "sid");
    let list = office.get(&office.at(&format!("/Tasks/{task}/Reservations"))).await;
    let reservation = text(&list["reservations"][0], "sid");
    let tasks = format!("/Tasks/{task}");
    let reservations = format!("{tasks}/Reservations/{reservation}");
    let (worker, voice) = (office.worker.to_string(), text(&channel, "sid"));
    let offered = |status: &str| {
        vec![("sid", json!(task)), ("reservation_sid", json!(reservation)), ("assignment_status", json!(status))]
    };
    office.pass(PUSH_DELAY).await;
    let (name, first) = event(&mut browser).await;
    assert_eq!(name, "reservation.created", "nothing comes before the first event: {first}");
    // Its shape is that of a task, and of nothing else.
    let keys: Vec<&str> = first.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "account_sid",
            "addons",
            "age",
            "assignment_status",
            "attributes",
            "counter",
            "date_created",
            "date_updated",
            "priority",
            "queue_name",
            "queue_sid",
            "reason",
            "reservation_sid",
            "routing_target",
            "sid",
            "task_channel_sid",
            "task_channel_unique_name",
            "timeout",
            "version",
            "virtual_start_time",
            "workflow_name",
            "workflow_sid",
            "workspace_sid",
        ]
    );
    for (key, value) in offered("reserved") {
        assert_eq!(first[key], value, "{key}");
    }
    assert_eq!(first["attributes"], "{\"lang\":\"de\"}");
    assert!(first["date_created"].is_i64());

    let (own, unavailable) = (format!("/Workers/{worker}"), office.unavailable.clone());
    let changes: Vec<Change> = vec![
        (
            "sdk",
            reservations.clone(),
            json!({ "ReservationStatus": "accepted" }),
            vec![("reservation.accepted", offered("assigned"))],
        ),
        (
            "rest",
            tasks.clone(),
            json!({ "Attributes": "{\"lang\":\"fr\"}" }),
            vec![("task.updated", vec![("sid", json!(task)), ("attributes", json!("{\"lang\":\"fr\"}"))])],
        ),
        (
            "sdk",
            tasks.clone(),
            json!({ "AssignmentStatus": "wrapping" }),
            vec![
                ("reservation.wrapup", offered("wrapping")),
                ("task.wrapup", vec![("sid", json!(task)), ("assignment_status", json!("wrapping"))]),
            ],
        ),
        (
            "sdk",
            tasks.clone(),
            json!({ "AssignmentStatus": "completed" }),
            vec![
                ("reservation.completed", offered("completed")),
                ("task.completed", vec![("sid", json!(task)), ("assignment_status", json!("completed"))]),
            ],
        ),
        (
            "sdk",
            own.clone(),
            json!({ "ActivitySid": unavailable }),
            vec![(
                "worker.activity.update",
                vec![("sid", json!(worker)), ("activity_name", json!("Unavailable")), ("available", json!(false))],
            )],
        ),
        (
            "rest",
            own.clone(),
            json!({ "Attributes": "{\"a\":1}" }),
            vec![("worker.attributes.update", vec![("sid", json!(worker)), ("attributes", json!("{\"a\":1}"))])],
        ),
        (
            "rest",
            format!("{own}/Channels/voice"),
            json!({ "Capacity": "3" }),
            vec![(
                "worker.capacity.update",
                vec![
                    ("sid", json!(voice)),
                    ("worker_sid", json!(worker)),
                    ("configured_capacity", json!(3)),
                    ("task_channel_unique_name", json!("voice")),
                    ("assigned_tasks", json!(0)),
                    ("available_capacity_percentage", json!(100)),
                ],
            )],
        ),
        (
            "rest",
            format!("{own}/Channels/voice"),
            json!({ "Available": "false" }),
            vec![("worker.channel.availability.update", vec![("sid", json!(voice)), ("available", json!(0))])],
        ),
    ];
    for (by, path, params, expected) in changes {
        if by == "sdk" {
            payload(&office, &token, "POST", &path, params.clone()).await;
        } else {
            let form: Vec<(&str, &str)> = params
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
                .collect();
            office.make(&office.at(&path), &form).await;
        }
        office.pass(PUSH_DELAY).await;
        for (name, members) in expected {
            let (found, told) = event(&mut browser).await;
            assert_eq!(found, name, "{path} {params}: {told}");
            for (key, value) in members {
                assert_eq!(told[key], value, "{name} {key}: {told}");
            }
        }
    }
    office.stop().await;
}

#[tokio::test]
async fn offers_that_end_otherwise_are_told_with_both_sids() {
    let mut office = Office::open(Limits::default()).await;
    let token = Official::of_worker(&office);
    let (mut browser, _) = begin(&office, &token).await;
    office.pass(PUSH_DELAY).await;
    for (name, path, form) in [
        ("reservation.rejected", "/Tasks/{task}/Reservations/{reservation}", ("ReservationStatus", "rejected")),
        ("reservation.canceled", "/Tasks/{task}", ("AssignmentStatus", "canceled")),
    ] {
        let available = office.available.clone();
        office.make(&office.at(&format!("/Workers/{}", office.worker)), &[("ActivitySid", &available)]).await;
        let task = text(&office.make(&office.at("/Tasks"), &[]).await, "sid");
        office.pass(PUSH_DELAY).await;
        let reservation = loop {
            let (found, told) = event(&mut browser).await;
            if found == "reservation.created" && told["sid"] == json!(task) {
                break text_of(&told["reservation_sid"]);
            }
        };
        let path = path.replace("{task}", &task).replace("{reservation}", &reservation);
        let activity = office.unavailable.clone();
        office.make(&office.at(&path), &[form, ("WorkerActivitySid", &activity)]).await;
        office.pass(PUSH_DELAY).await;
        let (found, told) = event(&mut browser).await;
        assert_eq!((found.as_str(), &told["sid"], &told["reservation_sid"]), (name, &json!(task), &json!(reservation)));
        office.make(&office.at(&format!("/Tasks/{task}")), &[("Priority", "1")]).await;
    }
    office.stop().await;
}

/// Both SDKs at once, each in its words; what the first one's list brought is announced by that list.
#[tokio::test]
async fn each_sdk_is_told_in_its_own_way() {
    let desk = Desk::open().await;
    let mut office = desk.office;
    let token = Official::of_worker(&office);
    let mut present = office.connect("").await;
    let (mut browser, listed) = begin(&office, &token).await;
    assert_eq!(listed["reservations"][0]["sid"], json!(desk.reservation));
    // The present SDK has read nothing by that: for it, events are held back for some seconds.
    office.pass(5 * SECOND).await;
    let reservation = format!("/Tasks/{}/Reservations/{}", desk.task, desk.reservation);
    payload(&office, &token, "POST", &reservation, json!({ "ReservationStatus": "rejected" })).await;
    office.pass(PUSH_DELAY).await;
    let (name, told) = event(&mut browser).await;
    assert_eq!((name.as_str(), &told["sid"]), ("reservation.rejected", &json!(desk.task)));
    let (name, told) = event(&mut present).await;
    assert_eq!((name.as_str(), &told["sid"]), ("reservation.rejected", &json!(desk.reservation)));
    assert_eq!(told["task"]["sid"], json!(desk.task));
    // The present one has to read activities again; the first one reads them when it needs them.
    office.make(&office.at("/Activities"), &[("FriendlyName", "Lunch")]).await;
    assert_eq!(farewell(&mut present).await.unwrap().reason.as_str(), "workspace changed");
    browser.send(Message::Ping("here".into())).await.unwrap();
    while browser.next().await.unwrap().unwrap() != Message::Pong("here".into()) {}
    let mut third = connect(&office, &token, "&closeExistingSessions=true").await;
    assert_eq!(farewell(&mut browser).await.unwrap().reason.as_str(), "session replaced");
    third.close(None).await.unwrap();
    office.stop().await;
}

#[tokio::test]
async fn an_offer_that_the_list_brought_is_not_announced_again() {
    let mut office = Office::open(Limits::default()).await;
    let token = Official::of_worker(&office);
    let mut browser = connect(&office, &token, "").await;
    office.until("the agent is there", |_| true).await;
    // While the SDK is still about to read them.
    let task = text(&office.make(&office.at("/Tasks"), &[]).await, "sid");
    let pending = json!({ "ReservationStatus": "pending" });
    let listed = payload(&office, &token, "GET", &format!("/Workers/{}/Reservations", office.worker), pending).await;
    assert_eq!(listed["reservations"][0]["task_sid"], json!(task));
    office.make(&office.at(&format!("/Tasks/{task}")), &[("Priority", "4")]).await;
    office.pass(PUSH_DELAY).await;
    let (name, told) = event(&mut browser).await;
    assert_eq!((name.as_str(), &told["priority"]), ("task.updated", &json!(4)));
    office.stop().await;
}

#[tokio::test]
async fn the_activity_after_the_socket_follows() {
    let mut office = Office::open(Limits::default()).await;
    let token = Official::of_worker(&office);
    let unknown = format!("&disconnectActivitySid=WA{}", "0".repeat(32));
    let (status, body) = try_connect(&office, &token.path(), &token.signed(), &unknown).await.unwrap_err();
    assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!(20001)));
    let query = format!("&disconnectActivitySid={}", office.unavailable);
    let browser = connect(&office, &token, &query).await;
    office.until("the agent is there", is_there).await;
    drop(browser);
    office.until("the agent is gone", is_gone).await;
    // She comes back as the SDK does, which asks for the same again.
    let browser = connect(&office, &token, &query).await;
    office.until("the agent is back", is_there).await;
    office.pass(60 * SECOND).await;
    assert_eq!(office.activity().await, "Available");
    drop(browser);
    office.until("the agent is gone for good", is_gone).await;
    office.pass(35 * SECOND).await;
    assert_eq!(office.activity().await, "Unavailable");
    office.stop().await;
}

#[tokio::test]
async fn who_may_not_change_the_activity_does_not_do_so_by_leaving() {
    let mut office = Office::open(Limits::default()).await;
    office.make(&office.at("/Presence"), &[("DisconnectGraceSeconds", "30")]).await;
    let token = Official::new(&office, &office.worker.to_string()).grant("allow_fetch_self");
    let browser = connect(&office, &token, &format!("&disconnectActivitySid={}", office.unavailable)).await;
    office.until("the agent is there", is_there).await;
    drop(browser);
    office.until("the agent is gone", is_gone).await;
    office.pass(30 * SECOND).await;
    // What the workspace says counts, not what the token has no right to.
    assert_eq!(office.activity().await, "Offline");
    office.stop().await;
}

/// The SDK opens sockets of queues and workspaces too, on which nothing is told.
#[tokio::test]
async fn queues_and_workspaces_have_sockets_that_only_stay_open() {
    let mut office = Office::open(Limits { per_worker: 1, ..Limits::default() }).await;
    let queue = text(&office.make(&office.at("/TaskQueues"), &[("FriendlyName", "Sales")]).await, "sid");
    let (workspace, worker) = (office.workspace.to_string(), office.worker.to_string());
    let of_queue = Official::new(&office, &queue);
    let mut at_queue = connect(&office, &of_queue, "").await;
    let mut at_workspace = connect(&office, &Official::new(&office, &workspace), "").await;
    let pong = async |browser: &mut Browser| {
        browser.send(Message::Ping("here".into())).await.unwrap();
        assert_eq!(browser.next().await.unwrap().unwrap(), Message::Pong("here".into()));
    };
    pong(&mut at_queue).await;
    pong(&mut at_workspace).await;
    let (status, body) = try_connect(&office, &of_queue.path(), &of_queue.signed(), "").await.unwrap_err();
    let expected = json!("The channel has too many open sockets");
    assert_eq!((status, &body["message"]), (StatusCode::TOO_MANY_REQUESTS, &expected));
    assert_eq!(office.get(&office.at("/Presence")).await["connected_workers"], 0);
    let unavailable = office.unavailable.clone();
    office.make(&office.at(&format!("/Workers/{worker}")), &[("ActivitySid", &unavailable)]).await;
    office.make(&office.at("/Tasks"), &[]).await;
    office.pass(6 * SECOND).await;
    pong(&mut at_queue).await;
    pong(&mut at_workspace).await;
    let deleted = format!("http://{}{}", office.server().address(), office.at(&format!("/TaskQueues/{queue}")));
    let deleted = office.http.delete(deleted).basic_auth(ACCOUNT, Some(TOKEN)).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let end = at_queue.next().await.unwrap().unwrap();
    assert!(matches!(&end, Message::Close(Some(frame)) if frame.reason.as_str() == "deleted"), "{end:?}");
    let (status, body) = try_connect(&office, &of_queue.path(), &of_queue.signed(), "").await.unwrap_err();
    assert_eq!((status, &body["message"]), (StatusCode::FORBIDDEN, &json!("The token's task queue does not exist")));
    pong(&mut at_workspace).await;
    let none = at_workspace.next().now_or_never();
    assert!(none.is_none(), "{none:?}");
    office.stop().await;
}
