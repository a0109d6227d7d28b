//! Event callbacks and the stream of events with `serve` as a process that is killed: none is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use reqwest::Method;
use serde_json::{Value, json};
use switchhook::signature;

use crate::programs::{ACCOUNT, Programs, TOKEN, text};

/// What came to the receiver: numbers of events and how often, and what was wrong.
#[derive(Default)]
struct Receiver {
    base: Mutex<String>,
    numbers: Mutex<BTreeMap<u64, u32>>,
    identities: Mutex<BTreeMap<u64, BTreeSet<String>>>,
    wrong: Mutex<Vec<String>>,
    refuses: Mutex<bool>,
    /// What is answered to all, if not 204.
    answer: Mutex<Option<StatusCode>>,
}

impl Receiver {
    async fn start() -> (String, Arc<Self>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let receiver = Arc::new(Self { base: Mutex::new(base.clone()), ..Self::default() });
        let router = axum::Router::new().fallback(take).with_state(Arc::clone(&receiver));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (base, receiver)
    }

    fn has_all(&self, numbers: &BTreeSet<u64>) -> bool {
        let have = self.numbers.lock().unwrap();
        numbers.iter().all(|number| have.contains_key(number))
    }
}

async fn take(
    State(receiver): State<Arc<Receiver>>,
    axum::extract::OriginalUri(uri): axum::extract::OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let url = format!("{}{uri}", receiver.base.lock().unwrap());
    let given = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let get = |name: &str| pairs.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value.as_str());
    if !signature::verify_form(TOKEN, &url, &pairs, &given(signature::HEADER)) {
        receiver.wrong.lock().unwrap().push(format!("not signed: {url} {pairs:?}"));
    }
    let number: u64 = get("EventSequence").parse().unwrap_or(0);
    let identity = format!("{} {}", get("Sid"), given("I-Twilio-Idempotency-Token"));
    receiver.identities.lock().unwrap().entry(number).or_default().insert(identity);
    if *receiver.refuses.lock().unwrap() {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    if let Some(answer) = *receiver.answer.lock().unwrap() {
        return answer;
    }
    *receiver.numbers.lock().unwrap().entry(number).or_default() += 1;
    StatusCode::NO_CONTENT
}

async fn numbers(programs: &Programs, workspace: &str) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    loop {
        let after = numbers.last().copied().unwrap_or(0);
        let page = programs.get(&format!("/Workspaces/{workspace}/Events?After={after}&PageSize=1000")).await;
        let events = page["events"].as_array().unwrap().clone();
        if events.is_empty() {
            return numbers;
        }
        numbers.extend(events.iter().map(|event| text(&event["event_data"], "event_sequence").parse::<u64>().unwrap()));
    }
}

#[tokio::test]
async fn no_event_is_lost_when_the_server_is_killed_again_and_again() {
    let (url, receiver) = Receiver::start().await;
    let mut programs = Programs::start(1.0).await;
    let form = [("FriendlyName", "Floor"), ("EventCallbackUrl", url.as_str()), ("Template", "FIFO")];
    let workspace = text(&programs.post("/Workspaces", &form).await, "sid");
    for _ in 0..4 {
        for _ in 0..15 {
            // A task that was acknowledged, or one that was lost with the answer.
            let path = format!("/Workspaces/{workspace}/Tasks");
            let _ = programs.try_api(Method::POST, &path, &[("Attributes", "{}")]).await;
        }
        programs.kill_server().await;
        programs.start_server().await;
    }
    let expected = numbers(&programs, &workspace).await;
    assert!(expected.len() > 200, "{}", expected.len());
    programs.until("every event has come", async |_: &Programs| receiver.has_all(&expected).then_some(())).await;
    assert!(receiver.wrong.lock().unwrap().is_empty(), "{:?}", receiver.wrong.lock().unwrap());
    assert_eq!(receiver.numbers.lock().unwrap().keys().copied().collect::<BTreeSet<_>>(), expected);
    let identities = receiver.identities.lock().unwrap();
    assert!(identities.values().all(|identities| identities.len() == 1), "one identity each: {identities:?}");
}

#[tokio::test]
async fn what_was_not_taken_is_seen_and_sent_again() {
    let (url, receiver) = Receiver::start().await;
    *receiver.refuses.lock().unwrap() = true;
    let programs = Programs::start(1.0).await;
    let form = [("FriendlyName", "Floor"), ("Template", "NONE")];
    let workspace = text(&programs.post("/Workspaces", &form).await, "sid");
    let base = format!("/Workspaces/{workspace}");
    let nobody = programs.get(&format!("{base}/Events/Endpoint")).await;
    assert_eq!((&nobody["status"], &nobody["event_callback_url"]), (&json!("none"), &Value::Null));
    let (status, refusal) =
        programs.try_api(Method::POST, &format!("{base}/Events/Deliveries"), &[("State", "dead")]).await.unwrap();
    assert_eq!((status.as_u16(), &refusal["code"]), (400, &json!(20001)), "{refusal}");

    // One attempt, and it is dead.
    let once = format!("{url}/events?a=1#rc=0");
    programs.post(&base, &[("EventCallbackUrl", once.as_str())]).await;
    let dead = programs
        .until("an event is dead", async |programs: &Programs| {
            let list = programs.get(&format!("{base}/Events/Deliveries?State=dead")).await;
            list["deliveries"].as_array().unwrap().first().cloned()
        })
        .await;
    assert_eq!(
        (&dead["event_type"], &dead["attempts"], &dead["last_status"]),
        (&json!("workspace.updated"), &json!(1), &json!(500))
    );
    let event = text(&dead, "event_sid");
    let path = format!("{base}/Events/{event}/Delivery");
    assert_eq!(programs.get(&path).await, dead);
    assert_eq!(programs.get(&format!("{base}/Events/Endpoint")).await["status"], "failing");
    assert_eq!(programs.get(&format!("{base}/Events/Deliveries?State=waiting")).await["deliveries"], json!([]));

    *receiver.refuses.lock().unwrap() = false;
    assert_eq!(programs.post(&path, &[]).await["event_sid"], event.as_str());
    programs
        .until("it is taken", async |programs: &Programs| (programs.get(&path).await["state"] == "done").then_some(()))
        .await;
    assert_eq!(programs.get(&format!("{base}/Events/Endpoint")).await["status"], "enabled");

    // All of it again, by number, and by time.
    let all = numbers(&programs, &workspace).await;
    let again = programs.post(&format!("{base}/Events/Deliveries"), &[("After", "0")]).await;
    assert_eq!((&again["count"], &again["next_after"]), (&json!(all.len()), &Value::Null));
    programs.until("all have come", async |_: &Programs| receiver.has_all(&all).then_some(())).await;
    let none = [("StartDate", "2020-01-01T00:00:00Z"), ("EndDate", "2020-01-02T00:00:00Z")];
    assert_eq!(programs.post(&format!("{base}/Events/Deliveries"), &none).await["count"], 0);
    let dead = programs.post(&format!("{base}/Events/Deliveries"), &[]).await;
    assert_eq!(dead["count"], 0, "without a range the dead ones, of which there are none");
    let on = programs.post(&format!("{base}/Events/Endpoint"), &[("Status", "enabled")]).await;
    assert_eq!(on["event_callback_url"], once.as_str());
}

#[tokio::test]
async fn what_is_said_of_an_event_is_what_became_of_it() {
    let (url, receiver) = Receiver::start().await;
    let programs = Programs::start(1.0).await;
    let workspace =
        text(&programs.post("/Workspaces", &[("FriendlyName", "Floor"), ("Template", "NONE")]).await, "sid");
    let base = format!("/Workspaces/{workspace}");
    programs
        .post(&base, &[("EventCallbackUrl", url.as_str()), ("EventsFilter", "workspace.updated,worker.created")])
        .await;
    programs.post(&format!("{base}/Activities"), &[("FriendlyName", "Break")]).await;
    let event = async |kind: &str| {
        let list = programs.get(&format!("{base}/Events?EventType={kind}&After=0")).await;
        text(list["events"].as_array().unwrap().last().unwrap(), "sid")
    };
    let path = |event: &str| format!("{base}/Events/{event}/Delivery");
    let until = async |path: &str, state: &str| {
        let is_so = async |programs: &Programs| (programs.get(path).await["state"] == state).then_some(());
        programs.until(&format!("{path} is {state}"), is_so).await;
    };
    let (before, taken, unwanted) = (
        path(&event("workspace.created").await),
        path(&event("workspace.updated").await),
        path(&event("activity.created").await),
    );
    until(&taken, "done").await;
    assert_eq!(programs.get(&before).await["state"], "not_sent");
    assert_eq!(programs.get(&unwanted).await["state"], "not_wanted");

    // What is asked for is sent nevertheless, and is told as taken from then on.
    programs.post(&unwanted, &[]).await;
    until(&unwanted, "done").await;
    let tried = programs.get(&unwanted).await;
    assert_eq!((&tried["attempts"], &tried["date_next_attempt"]), (&json!(1), &Value::Null), "{tried}");
    let rows = programs.get(&format!("{base}/Events/Deliveries")).await;
    assert_eq!(rows["deliveries"], json!([]), "it is not among those that were not taken");

    // A receiver that is switched off: nothing will be attempted, and nothing is said to be.
    *receiver.answer.lock().unwrap() = Some(StatusCode::GONE);
    programs.post(&format!("{base}/Workers"), &[("FriendlyName", "ann")]).await;
    let refused = path(&event("worker.created").await);
    until(&refused, "waiting").await;
    let disabled = async |programs: &Programs| {
        let endpoint = programs.get(&format!("{base}/Events/Endpoint")).await;
        (endpoint["status"] == "disabled").then_some(())
    };
    programs.until("the receiver is switched off", disabled).await;
    assert_eq!(programs.get(&refused).await["date_next_attempt"], Value::Null);
    let rows = programs.get(&format!("{base}/Events/Deliveries?State=waiting")).await;
    assert_eq!(rows["deliveries"][0]["date_next_attempt"], Value::Null, "{rows}");
    programs.post(&format!("{base}/Workers"), &[("FriendlyName", "bob")]).await;
    let untried = path(&event("worker.created").await);
    assert_eq!(programs.get(&untried).await["state"], "pending");

    // Without a URL they are dead, and what happens then is not sent.
    programs.post(&base, &[("EventCallbackUrl", "")]).await;
    until(&refused, "dead").await;
    until(&untried, "dead").await;
    programs.post(&format!("{base}/Workers"), &[("FriendlyName", "cleo")]).await;
    assert_eq!(programs.get(&path(&event("worker.created").await)).await["state"], "not_sent");
    assert_eq!(programs.get(&taken).await["state"], "done", "it was taken before");
}

/// Reads a stream until `count` events have come: their numbers and types.
async fn read(programs: &Programs, path: &str, last: Option<u64>, count: usize) -> Vec<(u64, String)> {
    let url = format!("http://{}/v1{path}", programs.server);
    let mut request = programs.http.get(url).basic_auth(ACCOUNT, Some(TOKEN)).header("Accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last.to_string());
    }
    let mut response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let mut buffer = String::new();
    let mut events = Vec::new();
    while events.len() < count {
        let Ok(Some(chunk)) = response.chunk().await else { break };
        buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        while let Some((event, rest)) = buffer.split_once("\n\n") {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let (Some(id), Some(kind), Some(data)) = (field("id: "), field("event: "), field("data: ")) {
                let data: Value = serde_json::from_str(&data).unwrap();
                assert_eq!(data["event_type"], kind.as_str());
                events.push((id.parse().unwrap(), kind));
            }
            buffer = rest.to_owned();
        }
    }
    events
}

#[tokio::test]
async fn a_reader_goes_on_where_it_was_cut_off() {
    let mut programs = Programs::start(1.0).await;
    let workspace =
        text(&programs.post("/Workspaces", &[("FriendlyName", "Floor"), ("Template", "FIFO")]).await, "sid");
    let base = format!("/Workspaces/{workspace}");
    let path = format!("{base}/Events/Stream");
    let all = numbers(&programs, &workspace).await;
    let events = read(&programs, &format!("{path}?After=0"), None, all.len()).await;
    assert_eq!(events.iter().map(|(number, _)| *number).collect::<BTreeSet<_>>(), all);

    // Without a number it begins with what happens next, while it waits.
    let live = read(&programs, &path, None, 4);
    let make = async {
        // The stream may open after the first ones: it is fed until it has enough.
        loop {
            programs.post(&format!("{base}/Tasks"), &[("Attributes", "{}")]).await;
        }
    };
    let live = tokio::select! { live = live => live, () = make => unreachable!("it never ends") };
    assert!(live.iter().all(|(number, _)| !all.contains(number)), "{live:?}");
    let consecutive = live.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1);
    assert!(consecutive, "{live:?}");

    programs.kill_server().await;
    programs.start_server().await;
    let last = live.last().unwrap().0;
    let rest: Vec<u64> = numbers(&programs, &workspace).await.into_iter().filter(|number| *number > last).collect();
    if !rest.is_empty() {
        let events = read(&programs, &path, Some(last), rest.len()).await;
        assert_eq!(events.into_iter().map(|(number, _)| number).collect::<Vec<_>>(), rest);
    }
    // Who does not ask for a stream gets what there is.
    let url = format!("http://{}/v1{path}?After=0", programs.server);
    let there = programs.http.get(url).basic_auth(ACCOUNT, Some(TOKEN)).send().await.unwrap().text().await.unwrap();
    assert_eq!(there.matches("\nid: ").count(), numbers(&programs, &workspace).await.len());
    let created = read(&programs, &format!("{path}?After=0&EventType=task.created"), None, 1).await;
    assert_eq!(created[0].1, "task.created");
    let url = format!("http://{}/v1{path}", programs.server);
    let wrong = programs.http.get(&url).basic_auth(ACCOUNT, Some(TOKEN)).header("Last-Event-ID", "x").send().await;
    assert_eq!(wrong.unwrap().status(), 400);
    assert_eq!(programs.http.get(&url).send().await.unwrap().status(), 401);
    // An open stream does not hold up the end of the server.
    let open = programs.http.get(&url).basic_auth(ACCOUNT, Some(TOKEN)).header("Accept", "*/*, text/event-stream");
    let open = open.send().await.unwrap();
    assert!(programs.terminate_server().await, "{}", programs.logs());
    drop(open);
}
