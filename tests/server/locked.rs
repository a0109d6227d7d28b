//! Another process writes to the database and does not stop: every voice webhook is answered within a second all the same, and
//! callers are served once it has stopped (`spec/voice.md` 0.2).

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::programs::{Floor, NUMBER, Programs, text};

/// Longest time until an answer.
const A_SECOND: Duration = Duration::from_secs(1);

/// The write lock of the server's database, held by somebody else.
struct Lock(rusqlite::Connection);

impl Lock {
    fn take(programs: &Programs) -> Self {
        let connection = rusqlite::Connection::open(programs.directory.path().join("switchhook.db")).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(connection)
    }

    fn give_back(self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

/// What a webhook may be answered with while the database is locked.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// A document with these words.
    Document(&'static str),
    /// Nothing was recorded: tell again.
    TellAgain,
    /// There is nothing to record.
    Taken,
}

use Answer::{Document, Taken, TellAgain};

/// The caller is sent round.
const ROUND: Answer = Document("<Pause length=\"2\"/><Redirect method=\"POST\">");

async fn make_available(programs: &Programs, floor: &Floor) {
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
}

async fn tasks_of(programs: &Programs, floor: &Floor, call: &str) -> Vec<Value> {
    let list = programs.get(&format!("{}/Tasks?PageSize=1000", floor.base)).await;
    let is_its = |task: &&Value| text(task, "attributes").contains(&format!("\"call_sid\":\"{call}\""));
    list["tasks"].as_array().unwrap().iter().filter(is_its).cloned().collect()
}

async fn reservations(programs: &Programs, floor: &Floor) -> Vec<Value> {
    let list = programs.get(&format!("{}/Workers/{}/Reservations?PageSize=1000", floor.base, floor.worker)).await;
    list["reservations"].as_array().unwrap().clone()
}

async fn pending_reservation(programs: &Programs, floor: &Floor) -> Value {
    programs
        .until("the worker gets a reservation", async |programs: &Programs| {
            let mut all = reservations(programs, floor).await.into_iter();
            all.find(|reservation| reservation["reservation_status"] == "pending")
        })
        .await
}

async fn place_call(programs: &Programs, from: &str) -> String {
    text(&programs.control(Method::POST, "/calls", json!({ "from": from, "to": NUMBER })).await, "call_sid")
}

/// An application that wants each of its callers in the queue.
async fn application(workflow: &str) -> String {
    let document = format!("<Response><Say>Hello</Say><Enqueue workflowSid=\"{workflow}\"/></Response>");
    let answer = move || async move { ([(reqwest::header::CONTENT_TYPE.as_str(), "text/xml")], document) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/voice", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn every_voice_webhook_is_answered_within_a_second() {
    let settings = [
        ("SWITCHHOOK_WAIT_CALLBACK_PREFIXES", "+1555"),
        ("SWITCHHOOK_WAIT_VOICEMAIL_KEY", "2"),
        ("SWITCHHOOK_LOOK_AFTER_SECS", "600"),
    ];
    let programs = Programs::start_with(1.0, &settings).await;
    let floor = programs.furnish().await;
    let form = [("FriendlyName", "Door"), ("WorkflowSid", floor.workflow.as_str()), ("OverflowText", "Too late")];
    let entry = text(&programs.post(&format!("{}/EntryPoints", floor.base), &form).await, "sid");
    make_available(&programs, &floor).await;
    let caller = place_call(&programs, "+15551110000").await;
    let reservation = pending_reservation(&programs, &floor).await;
    let (task, reservation) = (text(&reservation, "task_sid"), text(&reservation, "sid"));
    // Not to be moved by the phone system itself.
    programs.control(Method::POST, "/faults", json!({ "status": 503, "times": 1_000_000 })).await;
    let waiting = format!("/voice/tasks/{task}");
    let enqueue = format!("/voice/enqueue/{}", floor.workflow);
    let application = application(&floor.workflow).await;
    let target = url::form_urlencoded::Serializer::new(String::new()).append_pair("target", &application).finish();
    let proxied = format!("/voice/proxy?{target}");
    let last_round = format!("{enqueue}?Attempt=12");

    let lock = Lock::take(&programs);
    let of_caller = [("CallSid", caller.as_str()), ("From", "+15551110000"), ("CallStatus", "in-progress")];
    let of_new = [("CallSid", "CAnew"), ("From", "+15551110001"), ("CallStatus", "ringing")];
    let of_late = [("CallSid", "CAlate"), ("From", "+15551110002"), ("CallStatus", "ringing")];
    let of_worker = [("CallSid", "CAworker"), ("From", "client:alice"), ("CallStatus", "in-progress")];
    let of_ended = [("CallSid", caller.as_str()), ("From", "+15551110000"), ("CallStatus", "completed")];
    let digits = |digits: &'static str| vec![("Digits", digits)];
    let joined = vec![("StatusCallbackEvent", "participant-join"), ("ConferenceSid", "CF1")];
    let recorded = vec![("RecordingUrl", "http://x/y"), ("RecordingSid", "RE1"), ("RecordingStatus", "completed")];
    let rows = [
        (enqueue.clone(), of_new, vec![], ROUND),
        ("/voice/enqueue".to_owned(), of_new, vec![("WorkflowSid", floor.workflow.as_str())], ROUND),
        (enqueue.clone(), of_late, vec![], ROUND),
        (last_round, of_late, vec![], Document("Nobody can take your call")),
        (format!("/voice/entries/{entry}"), of_new, vec![], ROUND),
        (format!("/voice/entries/{entry}?Attempt=12"), of_late, vec![], Document("/overflow</Redirect>")),
        (format!("/voice/entries/{entry}/overflow"), of_new, vec![], Document("Too late")),
        (format!("/voice/entries/{entry}/recorded"), of_new, vec![], Document("Thank you")),
        (format!("/voice/entries/{entry}/voicemail"), of_new, recorded.clone(), TellAgain),
        (proxied, of_new, vec![], Document("<Say>Hello</Say><Redirect method=\"POST\">")),
        (format!("/voice/proxy/callback?{target}"), of_new, vec![], Taken),
        (format!("{waiting}/wait"), of_caller, vec![("QueueTime", "3")], Document("Please hold")),
        (format!("{waiting}/choice"), of_caller, digits("1"), Document("<Gather")),
        (format!("{waiting}/choice"), of_caller, digits("2"), ROUND),
        (format!("{waiting}/callback"), of_caller, digits("1"), ROUND),
        (format!("{waiting}/recorded"), of_caller, vec![], Document("Thank you")),
        (format!("{waiting}/park"), of_caller, vec![], Document("<Enqueue ")),
        (format!("{waiting}/left"), of_caller, vec![("QueueResult", "redirected")], ROUND),
        (format!("{waiting}/left"), of_ended, vec![("QueueResult", "hangup")], TellAgain),
        (format!("{waiting}/left?released=1"), of_caller, vec![], ROUND),
        (format!("{waiting}/join/customer"), of_caller, vec![], Document("<Conference ")),
        (format!("{waiting}/room-left/customer"), of_caller, vec![], ROUND),
        (format!("{waiting}/room-left/worker"), of_worker, vec![("Reservation", reservation.as_str())], ROUND),
        (format!("{waiting}/room-wait"), of_worker, vec![], Document("<Response>")),
        (format!("/voice/reservations/{reservation}"), of_worker, vec![], ROUND),
        (format!("/voice/reservations/{reservation}/whisper"), of_worker, vec![], Document("no longer waiting")),
        (format!("/voice/hold/{task}"), of_caller, vec![], Document("<Response>")),
        ("/voice/cb/call/inbound".to_owned(), of_ended, vec![], TellAgain),
        (format!("/voice/cb/call/{task}/{reservation}/worker"), of_worker, vec![], TellAgain),
        (format!("/voice/cb/room/{task}"), of_worker, joined, TellAgain),
        (format!("/voice/cb/recording/{task}"), of_caller, recorded, Taken),
        (format!("/voice/cb/rec/{task}/conference"), of_caller, vec![("RecordingStatus", "completed")], TellAgain),
    ];
    for (path, call, more, expected) in rows {
        let asked = [&call[..], &more].concat();
        let answered = tokio::time::timeout(A_SECOND, programs.voice(&path, &asked)).await;
        let (status, body) =
            answered.unwrap_or_else(|_| panic!("{path} {asked:?}: no answer within a second\n{}", programs.logs()));
        let is_right = match expected {
            Document(words) => status == StatusCode::OK && body.contains(words),
            TellAgain => status == StatusCode::SERVICE_UNAVAILABLE,
            Taken => status == StatusCode::NO_CONTENT,
        };
        assert!(is_right, "{path} {asked:?}: expected {expected:?}, found {status} {body}\n{}", programs.logs());
    }
    lock.give_back();

    // The one who comes again is enqueued, once.
    let parked = programs
        .until("the call is parked", async |programs: &Programs| {
            let (_, body) = programs.voice(&enqueue, &of_new).await;
            body.contains("<Enqueue ").then_some(body)
        })
        .await;
    let (_, again) = programs.voice(&enqueue, &of_new).await;
    assert_eq!(again, parked);
    assert_eq!(tasks_of(&programs, &floor, "CAnew").await.len(), 1);
    // The one who was turned away waits for nobody.
    for task in tasks_of(&programs, &floor, "CAlate").await {
        assert_eq!((&task["assignment_status"], &task["reason"]), (&json!("canceled"), &json!("error")), "{task}");
    }
}

#[tokio::test]
async fn a_caller_reaches_an_agent_once_and_one_who_hangs_up_meanwhile_none() {
    let programs = Programs::start_with(4.0, &[("SWITCHHOOK_LOOK_AFTER_SECS", "600")]).await;
    let floor = programs.furnish().await;
    make_available(&programs, &floor).await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;

    let lock = Lock::take(&programs);
    // The workspace is making the task of the first when the lock stops it; the others wait behind it.
    let mut gone = Vec::new();
    for number in 1..=3 {
        gone.push(place_call(&programs, &format!("+1555111000{number}")).await);
    }
    let stays = place_call(&programs, "+15551110009").await;
    for call in gone.iter().chain([&stays]) {
        programs
            .until("the caller goes round", async |programs: &Programs| {
                let path = format!("/events?call_sid={call}&limit=1000");
                let told = programs.control(Method::GET, &path, Value::Null).await;
                let documents = told["events"].as_array().unwrap().iter();
                let rounds = documents.filter(|event| event.to_string().contains("Attempt="));
                (rounds.count() >= 2).then_some(())
            })
            .await;
    }
    for call in &gone {
        programs.hang_up(call).await;
    }
    for call in &gone {
        programs
            .until("the end is told", async |programs: &Programs| {
                let row = programs.phone_get(&format!("/Calls/{call}.json")).await;
                (row["status"] == "completed").then_some(())
            })
            .await;
    }
    lock.give_back();

    let path = |reservation: &Value| {
        format!("{}/Tasks/{}/Reservations/{}", floor.base, text(reservation, "task_sid"), text(reservation, "sid"))
    };
    let task = programs
        .until("the caller who stayed is a task", async |programs: &Programs| {
            tasks_of(programs, &floor, &stays).await.first().cloned()
        })
        .await;
    let reservation = pending_reservation(&programs, &floor).await;
    assert_eq!(reservation["task_sid"], task["sid"], "{}", programs.logs());
    let form = [("Instruction", "conference"), ("EndConferenceOnCustomerExit", "true")];
    programs.post(&path(&reservation), &form).await;
    programs
        .until("they talk", async |programs: &Programs| {
            let row = programs.get(&format!("{}/Tasks/{}", floor.base, text(&task, "sid"))).await;
            (row["assignment_status"] == "assigned").then_some(())
        })
        .await;
    assert_eq!(tasks_of(&programs, &floor, &stays).await.len(), 1);
    let legs = programs.phone_get("/Calls.json?To=client:alice").await;
    assert_eq!(legs["calls"].as_array().unwrap().len(), 1, "{legs}");
    for call in &gone {
        for task in tasks_of(&programs, &floor, call).await {
            assert_eq!((&task["assignment_status"], &task["reason"]), (&json!("canceled"), &json!("hangup")), "{task}");
        }
    }
}
