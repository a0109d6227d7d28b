//! What is known to go wrong with voice tasks (`spec/voice.md` 9), where it takes a server, a phone system and an
//! application to see it; `docs/voice-rules.md` says which test stands for which.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::programs::{Floor, NUMBER, Programs, text};

async fn call_in(programs: &Programs) -> String {
    let order = json!({ "from": "+15551110000", "to": NUMBER });
    text(&programs.control(Method::POST, "/calls", order).await, "call_sid")
}

async fn available(programs: &Programs, floor: &Floor) {
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
}

async fn until_task(programs: &Programs, floor: &Floor, status: &str) -> Value {
    programs
        .until(&format!("a task is {status}"), async |programs: &Programs| {
            let list = programs.get(&format!("{}/Tasks?AssignmentStatus={status}", floor.base)).await;
            list["tasks"].as_array().and_then(|tasks| tasks.first().cloned())
        })
        .await
}

/// The reservations of a task, once there are so many.
async fn until_reserved(programs: &Programs, path: &str, count: usize) -> Vec<Value> {
    programs
        .until("the workers have an offer", async |programs: &Programs| {
            let list = programs.get(&format!("{path}/Reservations")).await;
            list["reservations"].as_array().cloned().filter(|reservations| reservations.len() >= count)
        })
        .await
}

#[tokio::test]
async fn of_two_workers_with_an_offer_the_first_is_dialled_and_the_others_phone_stays_silent() {
    let programs = Programs::start(4.0).await;
    let floor = programs.furnish().await;
    let queues = programs.get(&format!("{}/TaskQueues?FriendlyName=All", floor.base)).await;
    let queue = format!("{}/TaskQueues/{}", floor.base, text(&queues["task_queues"][0], "sid"));
    programs.post(&queue, &[("MaxReservedWorkers", "2")]).await;
    let form = [
        ("FriendlyName", "bob"),
        ("Attributes", r#"{"contact_uri":"client:bob"}"#),
        ("ActivitySid", floor.available.as_str()),
    ];
    programs.post(&format!("{}/Workers", floor.base), &form).await;
    available(&programs, &floor).await;
    for address in ["client:alice", "client:bob"] {
        programs.control(Method::PUT, &format!("/addresses/{address}"), json!({ "answer_after_ms": 50 })).await;
    }
    call_in(&programs).await;
    let task = until_task(&programs, &floor, "reserved").await;
    let path = format!("{}/Tasks/{}", floor.base, text(&task, "sid"));
    let reservations = until_reserved(&programs, &path, 2).await;
    let of = |name: &str| {
        let found = reservations.iter().find(|reservation| reservation["worker_name"] == name);
        format!("{path}/Reservations/{}", text(found.unwrap(), "sid"))
    };
    programs.post(&of("alice"), &[("Instruction", "conference")]).await;
    let (status, body) = programs.try_api(Method::POST, &of("bob"), &[("Instruction", "conference")]).await.unwrap();
    assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!(20001)), "{body}");
    assert_eq!(programs.get(&of("bob")).await["reservation_status"], "rescinded");
    until_task(&programs, &floor, "assigned").await;
    let dialled = async |address: &str| {
        let list = programs.phone_get(&format!("/Calls.json?To={address}")).await;
        list["calls"].as_array().unwrap().len()
    };
    assert_eq!((dialled("client:alice").await, dialled("client:bob").await), (1, 0));
}

#[tokio::test]
async fn a_caller_who_hung_up_while_the_server_was_away_does_not_leave_a_task_behind() {
    let mut programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let caller = call_in(&programs).await;
    let task = until_task(&programs, &floor, "pending").await;
    programs.kill_server().await;
    programs.hang_up(&caller).await;
    programs.start_server().await;
    let canceled = until_task(&programs, &floor, "canceled").await;
    assert_eq!((&canceled["sid"], &canceled["reason"]), (&task["sid"], &json!("hangup")));
}

#[tokio::test]
async fn the_redirect_and_the_queues_action_lead_into_the_same_room_with_the_beeps_of_the_instruction() {
    let programs = Programs::start(4.0).await;
    let floor = programs.furnish().await;
    available(&programs, &floor).await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    for (more, beep) in [(None, "onEnter"), (Some(("BeepOnCustomerEntrance", "false")), "false")] {
        let caller = call_in(&programs).await;
        let task = text(&until_task(&programs, &floor, "reserved").await, "sid");
        let path = format!("{}/Tasks/{task}", floor.base);
        let reservation = text(&until_reserved(&programs, &path, 1).await[0], "sid");
        let form: Vec<(&str, &str)> = [("Instruction", "conference")].into_iter().chain(more).collect();
        programs.post(&format!("{path}/Reservations/{reservation}"), &form).await;
        until_task(&programs, &floor, "assigned").await;
        let call = [("CallSid", caller.as_str()), ("CallStatus", "in-progress")];
        let (_, redirected) = programs.voice(&format!("/voice/tasks/{task}/join/customer"), &call).await;
        assert!(redirected.contains(&format!("beep=\"{beep}\"")) && redirected.contains(">WT"), "{redirected}");
        for result in ["redirected", "bridged", "bridging-in-process"] {
            let left = [&call[..], &[("QueueResult", result)]].concat();
            let (_, action) = programs.voice(&format!("/voice/tasks/{task}/left"), &left).await;
            assert_eq!(action, redirected, "{result}");
        }
        programs.hang_up(&caller).await;
        until_task(&programs, &floor, "wrapping").await;
        programs.post(&path, &[("AssignmentStatus", "completed")]).await;
    }
}
