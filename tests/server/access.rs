//! A phone system that refuses our credentials.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::programs::{Floor, NUMBER, Programs, text};

const CONNECT: [(&str, &str); 2] = [("Instruction", "conference"), ("Timeout", "5")];

/// A caller, and the path of its task.
async fn call(programs: &Programs, floor: &Floor) -> (String, String) {
    let call = json!({ "from": "+15551110000", "to": NUMBER });
    let caller = text(&programs.control(Method::POST, "/calls", call).await, "call_sid");
    let is_callers = |task: &&Value| text(task, "attributes").contains(&caller);
    let task = programs
        .until("the caller has a task", async |programs: &Programs| {
            let list = programs.get(&format!("{}/Tasks?PageSize=100", floor.base)).await;
            list["tasks"].as_array().unwrap().iter().find(is_callers).map(|task| text(task, "sid"))
        })
        .await;
    (caller, format!("{}/Tasks/{task}", floor.base))
}

async fn hire(programs: &Programs, floor: &Floor, name: &str) {
    let contact = format!("client:{name}");
    programs.control(Method::PUT, &format!("/addresses/{contact}"), json!({ "answer_after_ms": 50 })).await;
    let attributes = json!({ "contact_uri": contact }).to_string();
    let form = [("FriendlyName", name), ("Attributes", &attributes), ("ActivitySid", &floor.available)];
    programs.post(&format!("{}/Workers", floor.base), &form).await;
}

async fn status(programs: &Programs, task: &str) -> String {
    text(&programs.get(task).await, "assignment_status")
}

/// The newest reservation of a task.
async fn offer(programs: &Programs, task: &str) -> Option<String> {
    let list = programs.get(&format!("{task}/Reservations")).await;
    let rows = list["reservations"].as_array().unwrap();
    let pending = rows.iter().find(|row| row["reservation_status"] == "pending")?;
    Some(format!("{task}/Reservations/{}", text(pending, "sid")))
}

async fn alarms(programs: &Programs) -> Vec<String> {
    let list = programs.get("/Alerts?PageSize=1000").await;
    let alerts = list["alerts"].as_array().unwrap().iter();
    alerts.filter(|alert| alert["error_code"] == "20003").map(|alert| text(alert, "alert_text")).collect()
}

async fn metric(programs: &Programs, name: &str) -> Option<String> {
    let metrics = programs.http.get(format!("http://{}/metrics", programs.server)).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
}

#[tokio::test]
async fn while_the_phone_system_refuses_our_credentials_callers_wait_and_nobody_is_offered_them() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    hire(&programs, &floor, "bob").await;
    let (_, first) = call(&programs, &floor).await;
    // A refusal of one request is no refusal of ours.
    programs.control(Method::POST, "/faults", json!({ "method": "POST", "status": 403, "times": 1 })).await;
    programs.post(&offer(&programs, &first).await.unwrap(), &CONNECT).await;
    hire(&programs, &floor, "carol").await;
    programs.until("it is offered to somebody else", async |programs: &Programs| offer(programs, &first).await).await;
    let (second_caller, second) = call(&programs, &floor).await;
    hire(&programs, &floor, "dave").await;
    assert_eq!(status(&programs, &second).await, "reserved");
    assert_eq!(metric(&programs, "taskrouter_phone_access").await.as_deref(), Some("1"));

    programs.control(Method::POST, "/faults", json!({ "status": 401, "times": 100_000 })).await;
    programs.post(&offer(&programs, &first).await.unwrap(), &CONNECT).await;
    programs.until("the alarm is raised", async |programs: &Programs| alarms(programs).await.first().cloned()).await;
    assert_eq!(metric(&programs, "taskrouter_phone_access").await.as_deref(), Some("0"));
    // The other caller's offer is canceled too, and a new caller is not offered, however many are free.
    hire(&programs, &floor, "eve").await;
    let (_, third) = call(&programs, &floor).await;
    for task in [&first, &second, &third] {
        assert_eq!(status(&programs, task).await, "pending", "{task}");
    }
    let canceled = programs.get(&format!("{second}/Reservations")).await;
    assert_eq!(canceled["reservations"][0]["reservation_status"], "canceled");
    let events = programs.get(&format!("{}/Events?EventType=reservation.canceled&PageSize=100", floor.base)).await;
    let code = |event: &Value| event["event_data"]["reservation_reason_code"] == "20003";
    assert!(events["events"].as_array().unwrap().iter().any(code), "{events}");
    // They go on hearing the wait document.
    let heard = async |programs: &Programs| {
        let path = format!("/events?call_sid={second_caller}&limit=1000");
        let told = programs.control(Method::GET, &path, Value::Null).await;
        told["events"].as_array().unwrap().iter().filter(|event| event["kind"] == "call.document").count()
    };
    let before = heard(&programs).await;
    programs
        .within(Duration::from_mins(1), "the wait document is asked for again", async |programs: &Programs| {
            (heard(programs).await > before).then_some(())
        })
        .await;
    assert_eq!(status(&programs, &second).await, "pending");

    programs.control(Method::DELETE, "/faults", Value::Null).await;
    programs
        .within(Duration::from_mins(2), "everybody is offered again", async |programs: &Programs| {
            for task in [&first, &second, &third] {
                offer(programs, task).await?;
            }
            Some(())
        })
        .await;
    assert_eq!(metric(&programs, "taskrouter_phone_access").await.as_deref(), Some("1"));
    programs.post(&offer(&programs, &third).await.unwrap(), &CONNECT).await;
    programs
        .until("they talk", async |programs: &Programs| (status(programs, &third).await == "assigned").then_some(()))
        .await;
    assert_eq!(alarms(&programs).await.len(), 1, "one alarm, and none for the one refusal");
}
