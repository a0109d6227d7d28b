//! Applications behind the proxy (`spec/voice.md` 2.8): six of different make, each called twice. Once the phone system
//! asks the application itself, which enqueues into a plain queue; once it asks through `/voice/proxy`, and the
//! application says `<Enqueue workflowSid>`. The call and the application must live through the same both times.

mod applications;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::programs::{Floor, PHONE_TOKEN, Programs, TOKEN, text};
use applications::{Applications, Asked};

/// Digits a caller presses, and how the caller is treated otherwise.
struct Caller {
    digits: &'static str,
    hang_up_after_ms: Option<u32>,
    /// Somebody waits already in a queue for one.
    queue_is_full: bool,
}

/// What came of a call: the phone system's story of it, and what the application was asked.
#[derive(Debug, PartialEq)]
struct Story {
    happened: Vec<String>,
    asked: Vec<Asked>,
}

/// Has somebody call the application and waits until the call is over.
async fn call(
    programs: &Programs,
    applications: &Applications,
    number: &str,
    voice_url: &str,
    caller: &Caller,
) -> Story {
    applications.forget();
    programs.control(Method::PUT, &format!("/numbers/{number}"), json!({ "voice_url": voice_url })).await;
    let behaviour = json!({
        "digits": caller.digits, "digits_after_ms": 50, "hang_up_after_ms": caller.hang_up_after_ms,
    });
    let order = json!({ "from": "+15551110000", "to": number, "behaviour": behaviour });
    let call = text(&programs.control(Method::POST, "/calls", order).await, "call_sid");
    let happened = programs
        .until("the call is over", async |programs: &Programs| {
            let events = programs.control(Method::GET, "/events?limit=1000", Value::Null).await;
            let ours: Vec<Value> = events["events"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|event| event["call_sid"] == call.as_str())
                .cloned()
                .collect();
            ours.iter().any(|event| event["kind"] == "call.ended").then_some(ours)
        })
        .await;
    let happened = story(&happened);
    let asked = programs
        .until("the application was told of the end", async |_: &Programs| {
            let asked = applications.asked(&call);
            // The end of a call in a queue is told after the end itself.
            let waits = happened.iter().any(|line| line.starts_with("queue.left hangup"));
            (!waits || asked.iter().any(|asked| asked.what.contains("QueueResult=hangup"))).then_some(asked)
        })
        .await;
    Story { happened, asked }
}

/// The phone system's story, without names and without the documents on the way: what the application was asked for is
/// compared by itself, and ours between them (silence in the queue, the verbs after it) change nothing for the caller.
fn story(events: &[Value]) -> Vec<String> {
    let line = |event: &Value| {
        let kind = event["kind"].as_str().unwrap();
        match kind {
            "call.document" => None,
            "call.placed" | "queue.entered" => Some(kind.to_owned()),
            _ => Some(format!("{kind} {}", event["detail"].as_str().unwrap_or_default())),
        }
    };
    events.iter().filter_map(line).collect()
}

async fn compare(programs: &Programs, floor: &Floor, applications: &Applications, name: &str, caller: &Caller) {
    for queue in [&floor.workflow, "plain"] {
        let size = if caller.queue_is_full { "1" } else { "100" };
        make_queue(programs, queue, size).await;
    }
    if caller.queue_is_full {
        for (number, queue) in [("+15550201", floor.workflow.as_str()), ("+15550202", "plain")] {
            let voice_url = applications.url(&format!("/filler/{queue}"));
            programs.control(Method::PUT, &format!("/numbers/{number}"), json!({ "voice_url": voice_url })).await;
            programs.control(Method::POST, "/calls", json!({ "from": "+15551119999", "to": number })).await;
            programs
                .until("the queue is full", async |programs: &Programs| {
                    let queues = programs.phone_get("/Queues.json?PageSize=1000").await;
                    let mut queues = queues["queues"].as_array().unwrap().iter();
                    queues.any(|row| row["friendly_name"] == queue && row["current_size"] == 1).then_some(())
                })
                .await;
        }
    }
    let direct = applications.url(&format!("/plain/{name}/start?from=number"));
    let direct = call(programs, applications, "+15550301", &direct, caller).await;
    let proxied = applications.url(&format!("/{}/{name}/start?from=number", floor.workflow));
    let proxied = url::form_urlencoded::Serializer::new(String::new()).append_pair("target", &proxied).finish();
    let proxied = format!("http://{}/voice/proxy?{proxied}", programs.server);
    let proxied = call(programs, applications, "+15550302", &proxied, caller).await;
    assert_eq!(direct.happened, proxied.happened, "{name}\n{direct:#?}\n{proxied:#?}\n{}", programs.logs());
    assert_eq!(direct.asked, proxied.asked, "{name}\n{}", programs.logs());
    assert!(direct.asked.len() >= 3, "{name} is asked: {direct:#?}");
}

async fn make_queue(programs: &Programs, name: &str, size: &str) {
    let url = format!("http://{}/2010-04-01/Accounts/{}/Queues.json", programs.phone, crate::programs::PHONE_ACCOUNT);
    let form = [("FriendlyName", name), ("MaxSize", size)];
    let request = programs.http.post(url).basic_auth(crate::programs::PHONE_ACCOUNT, Some(PHONE_TOKEN)).form(&form);
    let status = request.send().await.unwrap().status();
    assert!(status.is_success() || status == StatusCode::BAD_REQUEST || status == StatusCode::CONFLICT, "{status}");
}

async fn both_ways(name: &str, caller: Caller) {
    let programs = Programs::start(4.0).await;
    let floor = programs.furnish().await;
    let applications = Applications::start(&[TOKEN, PHONE_TOKEN]).await;
    compare(&programs, &floor, &applications, name, &caller).await;
    // Through the proxy the caller was a task like any other.
    let tasks = programs.get(&format!("{}/Tasks", floor.base)).await;
    let tasks: Vec<Value> = tasks["tasks"].as_array().unwrap().clone();
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    let expected = if caller.queue_is_full { "queue-full" } else { "" };
    let reason = text(&tasks[0], "reason");
    assert!(tasks[0]["assignment_status"] == "canceled" && (expected.is_empty() || reason == expected), "{tasks:?}");
}

#[tokio::test]
async fn a_menu_of_keys_leads_into_the_queue_and_the_caller_gives_up() {
    both_ways("menu", Caller { digits: "1", hang_up_after_ms: Some(12_000), queue_is_full: false }).await;
}

#[tokio::test]
async fn nested_redirects_lead_into_a_silent_queue() {
    both_ways("redirects", Caller { digits: "", hang_up_after_ms: Some(9_000), queue_is_full: false }).await;
}

#[tokio::test]
async fn wrong_keys_lead_round_through_nested_actions() {
    both_ways("actions", Caller { digits: "9421*", hang_up_after_ms: None, queue_is_full: false }).await;
}

#[tokio::test]
async fn a_full_queue_leads_to_the_message_after_it() {
    both_ways("voicemail", Caller { digits: "", hang_up_after_ms: None, queue_is_full: true }).await;
}

#[tokio::test]
async fn a_language_line_remembers_its_caller_by_a_cookie() {
    both_ways("language", Caller { digits: "2", hang_up_after_ms: Some(9_000), queue_is_full: false }).await;
}

#[tokio::test]
async fn the_verbs_after_the_queue_ask_how_it_was() {
    both_ways("survey", Caller { digits: "*7", hang_up_after_ms: None, queue_is_full: false }).await;
}

/// A worker's phone number is answered by an application that says `<Dial><Queue reservationSid>`.
#[tokio::test]
async fn a_worker_takes_the_reservation_that_the_application_dials() {
    let programs = Programs::start(4.0).await;
    let floor = programs.furnish().await;
    let applications = Applications::start(&[TOKEN, PHONE_TOKEN]).await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    let order = json!({ "from": "+15551110000", "to": crate::programs::NUMBER });
    let caller = text(&programs.control(Method::POST, "/calls", order).await, "call_sid");
    let list = format!("{}/Workers/{}/Reservations?ReservationStatus=pending", floor.base, floor.worker);
    let reservation = programs
        .until("the worker gets a reservation", async |programs: &Programs| {
            let list = programs.get(&list).await;
            list["reservations"].as_array().and_then(|items| items.first().cloned())
        })
        .await;
    let (task, reservation) = (text(&reservation, "task_sid"), text(&reservation, "sid"));
    let target = applications.url(&format!("/{reservation}/worker/start"));
    let target = url::form_urlencoded::Serializer::new(String::new()).append_pair("target", &target).finish();
    let number = json!({ "voice_url": format!("http://{}/voice/proxy?{target}", programs.server) });
    programs.control(Method::PUT, "/numbers/+15550999", number).await;
    let order =
        json!({ "from": "client:alice", "to": "+15550999", "behaviour": { "digits": "1", "digits_after_ms": 50 } });
    let worker = text(&programs.control(Method::POST, "/calls", order).await, "call_sid");
    programs
        .until("the task is assigned", async |programs: &Programs| {
            let row = programs.get(&format!("{}/Tasks/{task}", floor.base)).await;
            (row["assignment_status"] == "assigned").then_some(())
        })
        .await;
    programs.hang_up(&caller).await;
    let done = programs
        .until("the application hears of the end", async |_: &Programs| {
            applications.asked(&worker).into_iter().find(|asked| asked.what.contains("worker/done"))
        })
        .await;
    assert!(done.what.contains("signed=true"), "{done:?}");
}
