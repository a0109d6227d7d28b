//! A caller is never lost and nothing stays stuck, whatever becomes of callbacks and commands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::conversation::Office;
use crate::programs::{Floor, NUMBER, Programs, text};

/// Calls of the storm, and agents who take them.
const CALLS: usize = 200;
const AGENTS: usize = 40;

/// Every so-manieth caller does not wait for an agent.
const IMPATIENT: usize = 10;

/// Longest time until everything has come to rest.
const STORM: Duration = Duration::from_secs(150);

/// The conference instruction of these tests.
const CONNECT: [(&str, &str); 4] = [
    ("Instruction", "conference"),
    ("Timeout", "5"),
    ("EndConferenceOnExit", "true"),
    ("EndConferenceOnCustomerExit", "true"),
];

/// The code of an alert about something that was made good.
const REPAIRED: &str = "15003";

async fn alerts(programs: &Programs, code: &str) -> Vec<String> {
    let list = programs.get("/Alerts?PageSize=1000").await;
    let alerts = list["alerts"].as_array().unwrap();
    alerts.iter().filter(|alert| alert["error_code"] == code).map(|alert| text(alert, "alert_text")).collect()
}

async fn place_call(programs: &Programs, behaviour: Value) -> String {
    let call = json!({ "from": "+15551110000", "to": NUMBER, "behaviour": behaviour });
    text(&programs.control(Method::POST, "/calls", call).await, "call_sid")
}

/// The task of a caller, as soon as there is one in this state.
async fn task_in(programs: &Programs, floor: &Floor, status: &str) -> Value {
    programs
        .until(&format!("a task is {status}"), async |programs: &Programs| {
            let list = programs.get(&format!("{}/Tasks?AssignmentStatus={status}", floor.base)).await;
            list["tasks"].as_array().and_then(|tasks| tasks.first().cloned())
        })
        .await
}

/// Connects whoever is reserved, completes whoever is done; returns how many tasks are not over.
async fn serve(programs: &Programs, floor: &Floor, instructed: &mut BTreeSet<String>) -> usize {
    let list = programs.get(&format!("{}/Tasks?PageSize=1000", floor.base)).await;
    let mut open = 0;
    for task in list["tasks"].as_array().unwrap() {
        let path = format!("{}/Tasks/{}", floor.base, text(task, "sid"));
        match task["assignment_status"].as_str().unwrap_or_default() {
            "completed" | "canceled" => continue,
            "reserved" => {
                let path = format!("{path}/Reservations");
                // The task may have ended meanwhile, and the reservation too.
                let Some((_, list)) = programs.try_api(Method::GET, &path, &[]).await else { continue };
                for reservation in list["reservations"].as_array().into_iter().flatten() {
                    let sid = text(reservation, "sid");
                    if reservation["reservation_status"] == "pending" && instructed.insert(sid.clone()) {
                        programs.try_api(Method::POST, &format!("{path}/{sid}"), &CONNECT).await;
                    }
                }
            }
            "wrapping" => {
                programs.try_api(Method::POST, &path, &[("AssignmentStatus", "completed")]).await;
            }
            _ => {}
        }
        open += 1;
    }
    open
}

/// All legs to agents, oldest first.
async fn legs_to_agents(programs: &Programs) -> Vec<Value> {
    let mut legs = Vec::new();
    let mut path = "/Calls.json?PageSize=1000".to_owned();
    loop {
        let page = programs.phone_get(&path).await;
        let calls = page["calls"].as_array().unwrap().iter();
        legs.extend(calls.filter(|call| text(call, "to").starts_with("client:")).cloned());
        match page["next_page_uri"].as_str().and_then(|uri| uri.find("/Calls.json").map(|at| uri[at..].to_owned())) {
            Some(next) => path = next,
            None => break,
        }
    }
    legs.reverse();
    legs
}

/// Each leg is that of one offer, to whom it was made, and no offer has two: no phone has rung twice for one, whether
/// anybody answered or not. What the phone system refused made no leg and is not in its list.
async fn check_legs(programs: &Programs, offers: &BTreeMap<String, String>) {
    let mut legs_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for leg in legs_to_agents(programs).await {
        let sid = text(&leg, "sid");
        let told = programs.control(Method::GET, &format!("/events?call_sid={sid}&limit=1000"), Value::Null).await;
        let told = told["events"].as_array().unwrap();
        let label = told.iter().find(|event| event["kind"] == "room.adding").map(|event| text(event, "detail"));
        let label = label.unwrap_or_else(|| panic!("a leg without a label: {leg}"));
        assert_eq!(offers.get(&label), Some(&text(&leg, "to")), "{label} is no offer to whom this was dialled: {leg}");
        let rang = told.iter().any(|event| event["kind"] == "call.ringing");
        legs_of.entry(label).or_default().push(format!(
            "{sid} {}{}",
            text(&leg, "status"),
            if rang { ", rang" } else { "" }
        ));
    }
    let doubled: Vec<_> = legs_of.iter().filter(|(_, legs)| legs.len() > 1).collect();
    assert!(doubled.is_empty(), "dialled twice for one offer: {doubled:?}");
    assert!(legs_of.len() >= CALLS / 2, "only {} offers were dialled for", legs_of.len());
}

/// Addresses and SIDs of agents of whom some are busy or do not answer at first; they hang up when they have talked for a
/// while.
async fn hire(programs: &Programs, floor: &Floor) -> Vec<(String, String)> {
    let mut workers = Vec::new();
    for agent in 0..AGENTS {
        let contact = format!("client:agent{agent}");
        let address = format!("/addresses/{contact}");
        let talks = json!({ "answer_after_ms": 300, "hang_up_after_talking_ms": 1500 });
        programs.control(Method::PUT, &address, talks).await;
        match agent % 5 {
            0 => programs.control(Method::PUT, &address, json!({ "busy": true, "calls": "next" })).await,
            1 => programs.control(Method::PUT, &address, json!({ "no_answer": true, "calls": "next" })).await,
            _ => Value::Null,
        };
        let attributes = json!({ "contact_uri": contact }).to_string();
        let name = format!("agent {agent}");
        let form =
            [("FriendlyName", name.as_str()), ("Attributes", &attributes), ("ActivitySid", floor.available.as_str())];
        let worker = text(&programs.post(&format!("{}/Workers", floor.base), &form).await, "sid");
        workers.push((contact, worker));
    }
    workers
}

/// A fifth of all callbacks and a fifth of all commands meet with something.
async fn order_faults(programs: &Programs) {
    let callbacks = [
        json!({ "of": "callbacks", "fate": "lost", "every": 20, "skip": 2 }),
        json!({ "of": "callbacks", "fate": "twice", "every": 20, "skip": 7 }),
        json!({ "of": "callbacks", "delay_ms": 700, "every": 20, "skip": 12 }),
        json!({ "of": "callbacks", "fate": "out_of_order", "delay_ms": 1500, "every": 20, "skip": 17 }),
    ];
    let commands = [
        json!({ "method": "POST", "status": 503, "every": 20, "skip": 3 }),
        json!({ "method": "POST", "status": 500, "carried_out": true, "every": 20, "skip": 8 }),
        json!({ "method": "POST", "status": 429, "retry_after": 1, "every": 20, "skip": 13 }),
        json!({ "method": "POST", "delay_ms": 1000, "every": 20, "skip": 18 }),
        json!({ "method": "DELETE", "status": 500, "carried_out": true, "every": 5 }),
        json!({ "method": "GET", "status": 503, "every": 10, "skip": 5 }),
        json!({ "method": "GET", "delay_ms": 500, "every": 10, "skip": 9 }),
    ];
    for mut fault in callbacks.into_iter().chain(commands) {
        fault["times"] = json!(1_000_000);
        programs.control(Method::POST, "/faults", fault).await;
    }
}

#[tokio::test]
async fn a_storm_of_lost_doubled_late_and_failed_messages_leaves_nothing_stuck() {
    let settings = [("SWITCHHOOK_LOOK_AFTER_SECS", "2"), ("SWITCHHOOK_WAITING_CALLS_MAX", "300")];
    let programs = Programs::start_with(2.0, &settings).await;
    let floor = programs.furnish().await;
    let workers = hire(&programs, &floor).await;
    order_faults(&programs).await;
    let mut callers = BTreeMap::new();
    for number in 0..CALLS {
        let impatient = number % IMPATIENT == 0;
        let behaviour = if impatient { json!({ "hang_up_after_ms": 4000 }) } else { json!({}) };
        callers.insert(place_call(&programs, behaviour).await, impatient);
    }

    // Faults stay on to the end: no task without a call, no call without a task.
    let mut instructed = BTreeSet::new();
    programs
        .within(STORM, "all calls and tasks are over", async |programs: &Programs| {
            let open = serve(programs, &floor, &mut instructed).await;
            let live = programs.control(Method::GET, "/calls", Value::Null).await;
            (open == 0 && live["calls"].as_array().unwrap().is_empty()).then_some(())
        })
        .await;

    // The faults stayed to the end; what is asked from here on is the test's own.
    programs.control(Method::DELETE, "/faults", Value::Null).await;
    // Whoever had patience has come to an agent.
    for (caller, impatient) in &callers {
        let told = programs.control(Method::GET, &format!("/events?call_sid={caller}&limit=1000"), Value::Null).await;
        let joined = told["events"].as_array().unwrap().iter().any(|event| text(event, "kind").ends_with(".joined"));
        assert!(joined || *impatient, "{caller} was lost: {told}");
    }
    // Nobody is held for nothing.
    let mut offers = BTreeMap::new();
    for (contact, worker) in &workers {
        let path = format!("{}/Workers/{worker}", floor.base);
        let list = programs.get(&format!("{path}/Reservations?PageSize=1000")).await;
        for reservation in list["reservations"].as_array().unwrap() {
            let status = text(reservation, "reservation_status");
            assert!(!matches!(status.as_str(), "pending" | "accepted" | "wrapping"), "left open: {reservation}");
            offers.insert(text(reservation, "sid"), contact.clone());
        }
        let channel = programs.get(&format!("{path}/Channels/voice")).await;
        assert_eq!(channel["available_capacity_percentage"], 100, "{worker} holds capacity for nothing");
    }
    check_legs(&programs, &offers).await;
    // What was made good can be read, and counted.
    assert!(!alerts(&programs, REPAIRED).await.is_empty(), "nothing was repaired in a storm");
    let metrics = programs.http.get(format!("http://{}/metrics", programs.server)).send().await.unwrap();
    assert!(metrics.text().await.unwrap().contains("taskrouter_voice_repairs_total{what="));
}

/// A caller who talks to the agent.
async fn converse(programs: &Programs, floor: &Floor) -> (String, Value) {
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    let caller = place_call(programs, json!({})).await;
    let task = task_in(programs, floor, "reserved").await;
    let path = format!("{}/Tasks/{}/Reservations", floor.base, text(&task, "sid"));
    let list = programs.get(&path).await;
    let form = [("Instruction", "conference"), ("EndConferenceOnCustomerExit", "true")];
    programs.post(&format!("{path}/{}", text(&list["reservations"][0], "sid")), &form).await;
    (caller, task_in(programs, floor, "assigned").await)
}

#[tokio::test]
async fn what_happened_while_the_server_was_away_is_found_at_its_start() {
    let mut programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let (caller, task) = converse(&programs, &floor).await;
    programs.kill_server().await;
    programs.hang_up(&caller).await;
    programs.start_server().await;
    let wrapping = task_in(&programs, &floor, "wrapping").await;
    assert_eq!(wrapping["sid"], task["sid"]);
    let told = alerts(&programs, REPAIRED).await;
    assert!(told.iter().any(|text| text.contains("no callback had told of it")), "{told:?}");
}

#[tokio::test]
async fn a_conversation_whose_end_nobody_told_is_found_by_looking() {
    let programs = Programs::start_with(1.0, &[("SWITCHHOOK_LOOK_AFTER_SECS", "2")]).await;
    let floor = programs.furnish().await;
    let (caller, task) = converse(&programs, &floor).await;
    let all_are_lost = json!({ "of": "callbacks", "fate": "lost", "times": 1000 });
    programs.control(Method::POST, "/faults", all_are_lost).await;
    let agent = programs.phone_get("/Calls.json?To=client:alice&Status=in-progress").await;
    programs.hang_up(&text(&agent["calls"][0], "sid")).await;
    let wrapping = task_in(&programs, &floor, "wrapping").await;
    assert_eq!(wrapping["sid"], task["sid"]);
    let told = alerts(&programs, REPAIRED).await;
    assert!(told.iter().any(|text| text.contains("had left the room")), "{told:?}");
    // The caller does not stay alone either.
    programs
        .until("the caller was let out of the room", async |programs: &Programs| {
            let call = programs.phone_get(&format!("/Calls/{caller}.json")).await;
            (call["status"] == "completed").then_some(())
        })
        .await;
}

#[tokio::test]
async fn while_the_phone_system_refuses_everything_the_caller_waits_and_the_agent_learns_why() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let caller = place_call(&programs, json!({})).await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    task_in(&programs, &floor, "pending").await;
    programs.control(Method::POST, "/faults", json!({ "status": 503, "times": 1000 })).await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    let mut instructed = BTreeSet::new();
    let told = programs
        .within(Duration::from_mins(1), "the attempt is given up", async |programs: &Programs| {
            serve(programs, &floor, &mut instructed).await;
            alerts(programs, "40145").await.first().cloned()
        })
        .await;
    assert!(told.contains("could not be dialled"), "{told}");
    let waits = async |programs: &Programs| {
        let live = programs.control(Method::GET, "/calls", Value::Null).await;
        live["calls"]
            .as_array()
            .unwrap()
            .iter()
            .any(|call| text(call, "call_sid") == caller && call["place"] == "queue")
    };
    assert!(waits(&programs).await, "the caller does not wait any more");
    programs.control(Method::DELETE, "/faults", Value::Null).await;
    programs
        .within(Duration::from_mins(1), "the caller is connected", async |programs: &Programs| {
            serve(programs, &floor, &mut instructed).await;
            let list = programs.get(&format!("{}/Tasks?AssignmentStatus=assigned", floor.base)).await;
            list["tasks"].as_array().filter(|tasks| !tasks.is_empty()).map(|_| ())
        })
        .await;
    // An attempt that was given up may have dialled too, but no reservation was dialled for twice, and one leg is left.
    let legs = programs.phone_get("/Calls.json?To=client:alice").await;
    let dialled = legs["calls"].as_array().unwrap().len();
    assert!(dialled <= instructed.len(), "{dialled} legs for {} reservations", instructed.len());
    let live = programs.phone_get("/Calls.json?To=client:alice&Status=in-progress").await;
    assert_eq!(live["calls"].as_array().unwrap().len(), 1, "{live}");
}

/// What became of the calls to these addresses; the newest first.
async fn dialled(programs: &Programs, addresses: &[&str]) -> Vec<(String, String)> {
    let mut legs = Vec::new();
    for address in addresses {
        let list = programs.phone_get(&format!("/Calls.json?To={address}")).await;
        let calls = list["calls"].as_array().unwrap();
        legs.extend(calls.iter().map(|call| (text(call, "to"), text(call, "status"))));
    }
    legs
}

#[tokio::test]
async fn legs_that_the_phone_system_makes_too_late_are_hung_up_and_the_caller_is_connected_all_the_same() {
    let office = Office::open().await;
    let programs = &office.programs;
    let bob = office.hire("bob", false).await;
    let mut offers = Vec::new();
    for worker in [&office.floor.worker, &bob] {
        let caller = place_call(programs, json!({})).await;
        office.make_available(worker).await;
        offers.push((caller, office.offered(worker).await));
    }
    // Both attempts at each leg are carried out, a few seconds after the command was given up.
    for delay_ms in [33_000, 16_000] {
        let fault = json!({ "method": "POST", "contains": "/Participants", "times": 2, "delay_ms": delay_ms });
        programs.control(Method::POST, "/faults", fault).await;
    }
    for (_, (task, reservation)) in &offers {
        office.instruct(task, reservation, &CONNECT).await;
    }
    for (_, (task, reservation)) in &offers {
        let path = office.at(&format!("/Tasks/{task}/Reservations/{reservation}"));
        programs
            .within(Duration::from_mins(1), "the attempt is given up", async |programs: &Programs| {
                (programs.get(&path).await["reservation_status"] == "canceled").then_some(())
            })
            .await;
    }
    let [(impatient, (closed, _)), (_, (waiting, _))] = offers.as_slice() else { panic!("{offers:?}") };
    programs.hang_up(impatient).await;
    office.until_task(closed, "canceled").await;

    // Two legs for each of the two, and none of them goes on: the one's task is closed, the other's waits again.
    let addresses = ["client:alice", "client:bob"];
    programs
        .within(Duration::from_mins(1), "four late legs are over", async |programs: &Programs| {
            let legs = dialled(programs, &addresses).await;
            let over = legs.iter().filter(|(_, status)| matches!(status.as_str(), "completed" | "canceled")).count();
            (legs.len() == 4 && over == 4).then_some(())
        })
        .await;
    let rooms = programs.phone_get("/Conferences.json?Status=in-progress").await;
    assert_eq!(rooms["conferences"], json!([]));
    let (_, offer) = tokio::join!(office.until_task(waiting, "reserved"), async {
        programs
            .until("the waiting caller is offered again", async |programs: &Programs| {
                let path = office.at(&format!("/Tasks/{waiting}/Reservations?ReservationStatus=pending"));
                programs.get(&path).await["reservations"].as_array().and_then(|rows| rows.first().cloned())
            })
            .await
    });
    office.instruct(waiting, &text(&offer, "sid"), &CONNECT).await;
    office.until_task(waiting, "assigned").await;
    office.until_legs(waiting, &[("customer", &[]), (&text(&offer, "sid"), &[])]).await;
}
