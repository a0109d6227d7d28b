//! New calls at the pace that the phone system takes, and what does not wait for them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::programs::{Floor, NUMBER, Programs, text};

/// Workers who are called at one time.
const WORKERS: usize = 4;

async fn place_call(programs: &Programs) -> String {
    let call = json!({ "from": "+15551110000", "to": NUMBER });
    text(&programs.control(Method::POST, "/calls", call).await, "call_sid")
}

/// The task of a caller.
async fn task_of(programs: &Programs, floor: &Floor, caller: &str) -> Value {
    let has_call = |task: &&Value| {
        serde_json::from_str::<Value>(&text(task, "attributes")).is_ok_and(|given| given["call_sid"] == caller)
    };
    programs
        .until("the caller has a task", async |programs: &Programs| {
            let list = programs.get(&format!("{}/Tasks?PageSize=100", floor.base)).await;
            list["tasks"].as_array().into_iter().flatten().find(has_call).cloned()
        })
        .await
}

/// The calls to all workers, oldest first.
async fn legs(programs: &Programs) -> Vec<Value> {
    let list = programs.phone_get("/Calls.json?PageSize=1000").await;
    let calls = list["calls"].as_array().into_iter().flatten().rev();
    calls.filter(|call| text(call, "to").starts_with("client:worker")).cloned().collect()
}

#[tokio::test]
async fn calls_are_made_at_the_set_pace_and_nothing_else_waits_for_them() {
    let programs = Programs::start_with(1.0, &[("SWITCHHOOK_PHONE_MAX_CPS", "0.8")]).await;
    // What comes faster than this waits at the phone system, which tells how long.
    programs.control(Method::PUT, "/pace", json!({ "calls_per_second": 1.0 })).await;
    let floor = programs.furnish().await;
    for worker in 0..WORKERS {
        let contact = format!("client:worker{worker}");
        programs.control(Method::PUT, &format!("/addresses/{contact}"), json!({ "answer_after_ms": 50 })).await;
        let attributes = json!({ "contact_uri": contact }).to_string();
        let form = [("FriendlyName", contact.as_str()), ("Attributes", &attributes), ("ActivitySid", &floor.available)];
        programs.post(&format!("{}/Workers", floor.base), &form).await;
    }
    let mut reserved = Vec::new();
    for _ in 0..WORKERS {
        let caller = place_call(&programs).await;
        let task = task_of(&programs, &floor, &caller).await;
        let path = format!("{}/Tasks/{}/Reservations", floor.base, text(&task, "sid"));
        let list = programs.get(&path).await;
        reserved.push((caller, format!("{path}/{}", text(&list["reservations"][0], "sid"))));
    }
    let waiting = place_call(&programs).await;
    let task = task_of(&programs, &floor, &waiting).await;
    for (_, reservation) in &reserved {
        programs.post(reservation, &[("Instruction", "conference"), ("Timeout", "5")]).await;
    }

    // The last one's turn is more than three seconds away: a caller who is sent away does not wait for it.
    let form = [("AssignmentStatus", "canceled")];
    programs.post(&format!("{}/Tasks/{}", floor.base, text(&task, "sid")), &form).await;
    programs
        .until("the caller is sent on", async |programs: &Programs| {
            let live = programs.control(Method::GET, "/calls", Value::Null).await;
            let queued = |call: &Value| text(call, "call_sid") == waiting && call["place"] == "queue";
            (!live["calls"].as_array().unwrap().iter().any(queued)).then_some(())
        })
        .await;
    let made = legs(&programs).await.len();
    assert!(made < WORKERS, "the redirect waited for {made} calls");

    // Nor is a worker dialled whose caller has hung up meanwhile.
    let (gone, reservation) = reserved.pop().unwrap();
    programs.hang_up(&gone).await;
    for (_, reservation) in &reserved {
        programs
            .until("the worker talks", async |programs: &Programs| {
                (programs.get(reservation).await["reservation_status"] == "accepted").then_some(())
            })
            .await;
    }
    assert_eq!(programs.get(&reservation).await["reservation_status"], "canceled");
    programs
        .until("no command waits", async |programs: &Programs| {
            let metrics = programs.http.get(format!("http://{}/metrics", programs.server)).send().await.unwrap();
            let metrics = metrics.text().await.unwrap();
            assert!(metrics.contains("taskrouter_outbox_rows{state=\"awaits_turn\"}"), "{metrics}");
            metrics.contains("taskrouter_outbox_rows{state=\"open\"} 0\n").then_some(())
        })
        .await;
    let made = legs(&programs).await;
    assert_eq!(made.len(), WORKERS - 1, "one for each caller who waited");
    for leg in made {
        let queued_ms: u32 = text(&leg, "queue_time").parse().unwrap();
        assert!(queued_ms < 1_000, "asked for faster than the phone system dials: {leg}");
    }
}
