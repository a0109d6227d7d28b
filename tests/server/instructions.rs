//! Instructions and the application's own part in them, over real HTTP: callbacks that are passed on, documents that
//! calls run.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, Method as Verb, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use reqwest::Method;
use serde_json::{Value, json};
use switchhook::signature;

use crate::programs::{ACCOUNT, Floor, NUMBER, Programs, TOKEN, text};

/// A request to the application.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) method: Verb,
    pub(crate) pairs: Vec<(String, String)>,
    pub(crate) signed: bool,
    token: String,
}

impl Asked {
    pub(crate) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value)
    }

    /// The number of a callback that was passed on.
    fn number(&self) -> u32 {
        self.token.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or_else(|| panic!("{self:?}"))
    }
}

#[derive(Default)]
struct Shared {
    base: String,
    /// By path; 204 without content where there is none.
    answers: Mutex<BTreeMap<String, (&'static str, String)>>,
    /// Statuses of the next answers, by path.
    failures: Mutex<BTreeMap<String, Vec<u16>>>,
    asked: Mutex<Vec<Asked>>,
}

/// An application that notes what it is asked and checks each signature.
pub(crate) struct Application(Arc<Shared>);

impl Application {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { base: format!("http://{address}"), ..Shared::default() });
        let router = Router::new().route("/{path}", axum::routing::any(answer)).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self(shared)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}?tenant=7", self.0.base)
    }

    pub(crate) fn answers(&self, path: &str, content_type: &'static str, body: &str) {
        self.0.answers.lock().unwrap().insert(path.to_owned(), (content_type, body.to_owned()));
    }

    pub(crate) fn document(&self, path: &str, verbs: &str) {
        self.answers(path, "text/xml", &format!("<Response>{verbs}</Response>"));
    }

    pub(crate) fn fails(&self, path: &str, statuses: &[u16]) {
        self.0.failures.lock().unwrap().insert(path.to_owned(), statuses.to_vec());
    }

    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        self.0.asked.lock().unwrap().iter().filter(|asked| asked.path == path).cloned().collect()
    }

    pub(crate) async fn until_asked(&self, programs: &Programs, path: &str, times: usize) -> Vec<Asked> {
        programs
            .until(&format!("{path} is asked {times} times"), async |_: &Programs| {
                Some(self.asked(path)).filter(|asked| asked.len() >= times)
            })
            .await
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Verb,
    OriginalUri(uri): OriginalUri,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let given = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let url = format!("{}{}", shared.base, uri.path_and_query().unwrap());
    let signed = signature::verify_form(TOKEN, &url, &form, &given(signature::HEADER));
    let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned();
    let pairs = query.chain(form.clone()).collect();
    let token = given("I-Twilio-Idempotency-Token");
    shared.asked.lock().unwrap().push(Asked { path: path.clone(), method, pairs, signed, token });
    let mut failures = shared.failures.lock().unwrap();
    if let Some(left) = failures.get_mut(&path).filter(|left| !left.is_empty()) {
        return StatusCode::from_u16(left.remove(0)).unwrap().into_response();
    }
    match shared.answers.lock().unwrap().get(&path) {
        Some((content_type, body)) => ([(header::CONTENT_TYPE, *content_type)], body.clone()).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// A caller who waits, the task, and the reservation of the worker.
struct Waiting {
    caller: String,
    task: String,
    reservation: String,
}

async fn a_waiting_caller(programs: &Programs, floor: &Floor) -> Waiting {
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    let order = json!({ "from": "+15551110000", "to": NUMBER });
    let caller = text(&programs.control(Method::POST, "/calls", order).await, "call_sid");
    let path = format!("{}/Workers/{}/Reservations", floor.base, floor.worker);
    let reservation = programs
        .until("the worker gets a reservation", async |programs: &Programs| {
            let list = programs.get(&path).await;
            list["reservations"].as_array().and_then(|items| items.first().cloned())
        })
        .await;
    Waiting { caller, task: text(&reservation, "task_sid"), reservation: text(&reservation, "sid") }
}

async fn until_task(programs: &Programs, floor: &Floor, task: &str, status: &str) -> Value {
    let path = format!("{}/Tasks/{task}", floor.base);
    programs
        .until(&format!("the task is {status}"), async |programs: &Programs| {
            let row = programs.get(&path).await;
            (row["assignment_status"] == status).then_some(row)
        })
        .await
}

async fn until_reservation(programs: &Programs, floor: &Floor, waiting: &Waiting, status: &str) {
    let path = format!("{}/Tasks/{}/Reservations/{}", floor.base, waiting.task, waiting.reservation);
    programs
        .until(&format!("the reservation is {status}"), async |programs: &Programs| {
            (programs.get(&path).await["reservation_status"] == status).then_some(())
        })
        .await;
}

async fn instruct(programs: &Programs, floor: &Floor, waiting: &Waiting, form: &[(&str, &str)]) {
    let path = format!("{}/Tasks/{}/Reservations/{}", floor.base, waiting.task, waiting.reservation);
    let answer = programs.post(&path, form).await;
    assert_eq!(answer["reservation_status"], "pending", "{answer}");
}

/// All are signed, say whose account it is, and came in order.
fn assert_passed_on(asked: &[Asked]) {
    for pair in asked.windows(2) {
        assert!(pair[0].number() < pair[1].number(), "{asked:#?}");
    }
    for one in asked {
        assert!(one.signed && one.get("AccountSid") == ACCOUNT && one.get("tenant") == "7", "{one:?}");
    }
}

#[tokio::test]
async fn an_application_hears_of_exactly_what_it_asked_for_in_order() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let application = Application::start().await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    let waiting = a_waiting_caller(&programs, &floor).await;
    // The receiver of a call's progress is away for a moment: what follows waits for what came before.
    application.fails("leg", &[503]);
    let [leg, room, recording, room_recording] =
        ["leg", "room", "recording", "room-recording"].map(|path| application.url(path));
    let form = [
        ("Instruction", "conference"),
        ("EndConferenceOnExit", "true"),
        ("EndConferenceOnCustomerExit", "true"),
        ("StatusCallback", &leg),
        ("StatusCallbackEvent", "ringing"),
        ("StatusCallbackEvent", "answered,completed"),
        ("ConferenceStatusCallback", &room),
        ("ConferenceStatusCallbackMethod", "GET"),
        ("ConferenceStatusCallbackEvent", "start end join"),
        ("Record", "true"),
        ("RecordingStatusCallback", &recording),
        ("ConferenceRecord", "true"),
        ("ConferenceRecordingStatusCallback", &room_recording),
    ];
    instruct(&programs, &floor, &waiting, &form).await;
    until_task(&programs, &floor, &waiting.task, "assigned").await;
    programs.hang_up(&waiting.caller).await;
    until_task(&programs, &floor, &waiting.task, "wrapping").await;

    let legs = application.until_asked(&programs, "leg", 4).await;
    let statuses: Vec<&str> = legs.iter().map(|asked| asked.get("CallStatus")).collect();
    assert_eq!(statuses, ["ringing", "ringing", "in-progress", "completed"]);
    assert_eq!(legs[0].token, legs[1].token, "a repetition can be recognised");
    assert_passed_on(&legs[1..]);
    assert!(legs.iter().all(|asked| asked.method == Verb::POST && !asked.get("SequenceNumber").is_empty()));
    let worker = legs[0].get("CallSid");

    let rooms = application.until_asked(&programs, "room", 4).await;
    let mut events: Vec<&str> = rooms.iter().map(|asked| asked.get("StatusCallbackEvent")).collect();
    assert_eq!(events.last(), Some(&"conference-end"));
    events.sort_unstable();
    assert_eq!(events, ["conference-end", "conference-start", "participant-join", "participant-join"]);
    assert_passed_on(&rooms);
    assert!(rooms.iter().all(|asked| asked.method == Verb::GET && asked.get("FriendlyName") == waiting.task));

    for (path, of, sid) in
        [("recording", "CallSid", worker), ("room-recording", "ConferenceSid", rooms[0].get("ConferenceSid"))]
    {
        let recordings = application.until_asked(&programs, path, 1).await;
        assert_passed_on(&recordings);
        assert_eq!((recordings[0].get("RecordingStatus"), recordings[0].get(of)), ("completed", sid), "{recordings:?}");
        assert!(!recordings[0].get("RecordingUrl").is_empty());
        assert_eq!(recordings.len(), 1);
    }
    assert_eq!((application.asked("leg").len(), application.asked("room").len()), (4, 4), "and nothing else");
}

#[tokio::test]
async fn what_the_phone_system_tells_twice_is_passed_on_once() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let application = Application::start().await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    let waiting = a_waiting_caller(&programs, &floor).await;
    let twice = json!({ "of": "callbacks", "fate": "twice", "times": 1000 });
    programs.control(Method::POST, "/faults", twice).await;
    let (leg, room, recording) = (application.url("leg"), application.url("room"), application.url("recording"));
    // The worker's leg hears an announcement first, so that it is its document that makes the room.
    let form = [
        ("Instruction", "conference"),
        ("Whisper", "A call"),
        ("EndConferenceOnExit", "true"),
        ("StatusCallback", leg.as_str()),
        ("StatusCallbackEvent", "initiated ringing answered completed"),
        ("ConferenceStatusCallback", &room),
        ("ConferenceStatusCallbackEvent", "start end join speaker"),
        ("ConferenceRecord", "true"),
        ("ConferenceRecordingStatusCallback", &recording),
    ];
    instruct(&programs, &floor, &waiting, &form).await;
    let task = until_task(&programs, &floor, &waiting.task, "assigned").await;
    let attributes: Value = serde_json::from_str(&text(&task, "attributes")).unwrap();
    programs.hang_up(&text(&attributes["conference"]["participants"], "worker")).await;
    until_task(&programs, &floor, &waiting.task, "wrapping").await;
    application.until_asked(&programs, "recording", 1).await;
    let legs = application.until_asked(&programs, "leg", 4).await;
    let statuses: Vec<&str> = legs.iter().map(|asked| asked.get("CallStatus")).collect();
    assert_eq!(statuses, ["initiated", "ringing", "in-progress", "completed"]);
    let rooms = application.until_asked(&programs, "room", 4).await;
    let mut events: Vec<&str> = rooms.iter().map(|asked| asked.get("StatusCallbackEvent")).collect();
    events.retain(|event| !event.starts_with("participant-speech"));
    events.sort_unstable();
    assert_eq!(events, ["conference-end", "conference-start", "participant-join", "participant-join"]);
    assert_eq!(application.asked("recording").len(), 1, "of the room that the document made");
}

#[tokio::test]
async fn a_callback_that_was_taken_in_is_passed_on_after_a_kill() {
    let mut programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let application = Application::start().await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "busy": true })).await;
    let waiting = a_waiting_caller(&programs, &floor).await;
    application.fails("leg", &[503]);
    let url = application.url("leg");
    let form = [("Instruction", "dequeue"), ("DequeueStatusCallbackUrl", &url)];
    instruct(&programs, &floor, &waiting, &form).await;
    until_reservation(&programs, &floor, &waiting, "canceled").await;
    application.until_asked(&programs, "leg", 1).await;
    programs.kill_server().await;
    programs.start_server().await;
    let asked = application.until_asked(&programs, "leg", 2).await;
    assert_passed_on(&asked[1..]);
    assert_eq!(asked[0].token, asked[1].token);
    let found = (&asked[1].method, asked[1].get("CallStatus"), asked[1].get("taskCallSid"));
    assert_eq!(found, (&Verb::GET, "busy", waiting.caller.as_str()), "as the dequeue instruction tells");
}

#[tokio::test]
async fn a_worker_presses_a_key_to_take_the_call() {
    let programs = Programs::start(4.0).await;
    let floor = programs.furnish().await;
    let application = Application::start().await;
    let behaviour = json!({ "answer_after_ms": 50, "digits": "1", "digits_after_ms": 50 });
    programs.control(Method::PUT, "/addresses/client:alice", behaviour).await;
    let waiting = a_waiting_caller(&programs, &floor).await;
    application.document("whisper", "<Gather action=\"pressed\" numDigits=\"1\"><Say>1 takes the call</Say></Gather>");
    let dial = format!("<Dial><Queue reservationSid=\"{}\"/></Dial>", waiting.reservation);
    application.document("pressed", &dial);
    let (whisper, told) = (application.url("whisper"), application.url("told"));
    let form = [
        ("Instruction", "call"),
        ("CallFrom", "+15550100"),
        ("CallUrl", &whisper),
        ("CallTimeout", "20"),
        ("CallStatusCallbackUrl", &told),
    ];
    instruct(&programs, &floor, &waiting, &form).await;
    let task = until_task(&programs, &floor, &waiting.task, "assigned").await;
    let pressed = application.asked("pressed");
    assert!(pressed.iter().all(|asked| asked.signed && asked.get("Digits") == "1") && !pressed.is_empty());
    let attributes: Value = serde_json::from_str(&text(&task, "attributes")).unwrap();
    assert_eq!(attributes["worker_call_sid"], pressed[0].get("CallSid"));
    programs.hang_up(&text(&attributes, "worker_call_sid")).await;
    until_task(&programs, &floor, &waiting.task, "wrapping").await;
    let told = application.until_asked(&programs, "told", 1).await;
    assert_eq!((told.len(), told[0].get("CallStatus")), (1, "completed"));
    assert_passed_on(&told);
}

#[tokio::test]
async fn without_a_key_the_caller_waits_for_the_next_worker() {
    let programs = Programs::start(4.0).await;
    let floor = programs.furnish().await;
    let application = Application::start().await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    let waiting = a_waiting_caller(&programs, &floor).await;
    application.document("whisper", "<Gather action=\"pressed\" numDigits=\"1\" timeout=\"1\"/><Hangup/>");
    let url = application.url("whisper");
    let form = [("Instruction", "call"), ("CallFrom", "+15550100"), ("CallUrl", url.as_str())];
    instruct(&programs, &floor, &waiting, &form).await;
    until_reservation(&programs, &floor, &waiting, "canceled").await;
    let call = programs.phone_get(&format!("/Calls/{}.json", waiting.caller)).await;
    assert_eq!(call["status"], "in-progress");
    assert!(application.asked("pressed").is_empty());
}

#[tokio::test]
async fn an_application_sends_the_caller_to_a_document_of_its_own() {
    let programs = Programs::start(4.0).await;
    let floor = programs.furnish().await;
    let application = Application::start().await;
    let workflow = format!("{}/Workflows/{}", floor.base, floor.workflow);
    programs.post(&workflow, &[("AssignmentCallbackUrl", &application.url("assignment"))]).await;
    application.document("next", "<Say>We call you back</Say><Pause length=\"60\"/>");
    // `{}` leaves it to REST, which is asked for once the call is known.
    application.answers("assignment", "application/json", "{}");
    let waiting = a_waiting_caller(&programs, &floor).await;
    application.until_asked(&programs, "assignment", 1).await;
    let foreign =
        [("Instruction", "redirect"), ("RedirectCallSid", "CAforeign"), ("RedirectUrl", "https://app.example/")];
    let path = format!("{}/Tasks/{}/Reservations/{}", floor.base, waiting.task, waiting.reservation);
    let (status, refused) = programs.try_api(Method::POST, &path, &foreign).await.unwrap();
    assert_eq!((status, &refused["code"]), (StatusCode::BAD_REQUEST, &json!(20001)), "{refused}");
    let url = application.url("next");
    let form = [
        ("Instruction", "redirect"),
        ("RedirectCallSid", waiting.caller.as_str()),
        ("RedirectUrl", url.as_str()),
        ("RedirectAccept", "true"),
    ];
    instruct(&programs, &floor, &waiting, &form).await;
    until_task(&programs, &floor, &waiting.task, "assigned").await;
    let next = application.until_asked(&programs, "next", 1).await;
    assert!(next[0].signed && next[0].get("CallSid") == waiting.caller, "{next:?}");
    programs.hang_up(&waiting.caller).await;
    until_task(&programs, &floor, &waiting.task, "wrapping").await;
}

#[tokio::test]
async fn an_assignment_callback_has_the_worker_called() {
    let programs = Programs::start(4.0).await;
    let floor = programs.furnish().await;
    let application = Application::start().await;
    let workflow = format!("{}/Workflows/{}", floor.base, floor.workflow);
    programs.post(&workflow, &[("AssignmentCallbackUrl", &application.url("assignment"))]).await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    application.document("whisper", "<Say>A task for you</Say><Pause length=\"60\"/>");
    let answer = json!({
        "instruction": "call", "from": "+15550100", "url": application.url("whisper"), "accept": true, "timeout": 20,
    });
    application.answers("assignment", "application/json", &answer.to_string());
    let waiting = a_waiting_caller(&programs, &floor).await;
    until_task(&programs, &floor, &waiting.task, "assigned").await;
    let whisper = application.until_asked(&programs, "whisper", 1).await;
    assert!(whisper[0].signed, "{whisper:?}");
    // The worker hangs up; the caller, to whom nobody came, hears that nobody can take the call.
    programs.hang_up(whisper[0].get("CallSid")).await;
    until_task(&programs, &floor, &waiting.task, "wrapping").await;
    programs
        .until("the caller is let go", async |programs: &Programs| {
            let call = programs.phone_get(&format!("/Calls/{}.json", waiting.caller)).await;
            (call["status"] == "completed").then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_caller_hears_a_word_before_the_worker_who_then_takes_a_break() {
    let programs = Programs::start(4.0).await;
    let floor = programs.furnish_in(&[("FriendlyName", "Floor"), ("MultiTaskEnabled", "false")]).await;
    let application = Application::start().await;
    let form = [("FriendlyName", "After a call"), ("Available", "false")];
    let after = text(&programs.post(&format!("{}/Activities", floor.base), &form).await, "sid");
    let behaviour = json!({ "answer_after_ms": 50, "digits": "1", "digits_after_ms": 50 });
    programs.control(Method::PUT, "/addresses/client:alice", behaviour).await;
    let waiting = a_waiting_caller(&programs, &floor).await;
    application.document("whisper", "<Gather action=\"pressed\" numDigits=\"1\"/>");
    application.document("word", "<Say>This call is recorded</Say><Redirect>elsewhere</Redirect>");
    let queue = format!(
        "<Dial><Queue reservationSid=\"{}\" url=\"word\" method=\"GET\" postWorkActivitySid=\"{after}\"/></Dial>",
        waiting.reservation
    );
    application.document("pressed", &queue);
    let whisper = application.url("whisper");
    let form = [("Instruction", "call"), ("CallFrom", "+15550100"), ("CallUrl", whisper.as_str())];
    instruct(&programs, &floor, &waiting, &form).await;
    let task = until_task(&programs, &floor, &waiting.task, "assigned").await;
    let attributes: Value = serde_json::from_str(&text(&task, "attributes")).unwrap();
    let worker = text(&attributes, "worker_call_sid");
    let word = application.asked("word");
    assert_eq!(word.len(), 1, "asked once: {word:?}");
    assert!(word[0].signed && word[0].method == Verb::GET, "{word:?}");
    assert_eq!((word[0].get("CallSid"), word[0].get("DequeingCallSid")), (waiting.caller.as_str(), worker.as_str()));
    programs.hang_up(&worker).await;
    until_reservation(&programs, &floor, &waiting, "completed").await;
    let row = programs.get(&format!("{}/Workers/{}", floor.base, floor.worker)).await;
    assert_eq!(row["activity_sid"], after.as_str(), "{row}");
}

#[tokio::test]
async fn a_worker_hears_of_the_caller_and_presses_the_key_of_the_conference_instruction() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    let waiting = a_waiting_caller(&programs, &floor).await;
    let form = [
        ("Instruction", "conference"),
        ("Whisper", "A call for <sales>, press 5"),
        ("AcceptKey", "5"),
        ("EndConferenceOnExit", "true"),
        ("Beep", "onExit"),
    ];
    instruct(&programs, &floor, &waiting, &form).await;
    let worker = programs
        .until("the worker answers", async |programs: &Programs| {
            let list = programs.phone_get("/Calls.json?To=client:alice&Status=in-progress").await;
            list["calls"].as_array().and_then(|calls| calls.first()).map(|call| text(call, "sid"))
        })
        .await;
    let path = format!("/voice/reservations/{}/whisper", waiting.reservation);
    let heard = async |call: &str| programs.voice(&path, &[("CallSid", call), ("CallStatus", "in-progress")]).await.1;
    let document = heard(&worker).await;
    assert!(document.contains("A call for &lt;sales&gt;, press 5") && document.contains("<Gather"), "{document}");
    assert!(!heard("CAother").await.contains("<Gather"), "it is for the worker alone");
    until_reservation(&programs, &floor, &waiting, "pending").await;
    programs.control(Method::POST, &format!("/calls/{worker}/digits"), json!({ "digits": "5" })).await;
    let task = until_task(&programs, &floor, &waiting.task, "assigned").await;
    let attributes: Value = serde_json::from_str(&text(&task, "attributes")).unwrap();
    let participants = &attributes["conference"]["participants"];
    assert_eq!((&participants["customer"], &participants["worker"]), (&json!(waiting.caller), &json!(worker)));
    let path = format!("/Conferences/{}/Participants/{worker}.json", text(&attributes["conference"], "sid"));
    let participant = programs.phone_get(&path).await;
    assert_eq!(
        (&participant["label"], &participant["end_conference_on_exit"]),
        (&json!(waiting.reservation), &json!(true)),
        "the options of the instruction hold: {participant}"
    );
    programs.hang_up(&worker).await;
    until_task(&programs, &floor, &waiting.task, "wrapping").await;
}

#[tokio::test]
async fn without_the_key_of_an_assignment_callbacks_dequeue_it_is_as_if_nobody_had_answered() {
    let programs = Programs::start(20.0).await;
    let floor = programs.furnish().await;
    let application = Application::start().await;
    let workflow = format!("{}/Workflows/{}", floor.base, floor.workflow);
    programs.post(&workflow, &[("AssignmentCallbackUrl", &application.url("assignment"))]).await;
    // Another key than the one that takes the call.
    let behaviour = json!({ "answer_after_ms": 50, "digits": "9", "digits_after_ms": 50 });
    programs.control(Method::PUT, "/addresses/client:alice", behaviour).await;
    application.answers("assignment", "application/json", r#"{"instruction":"dequeue","accept_key":"1"}"#);
    let waiting = a_waiting_caller(&programs, &floor).await;
    until_reservation(&programs, &floor, &waiting, "canceled").await;
    let legs = programs.phone_get("/Calls.json?To=client:alice").await;
    let answered = |leg: &Value| leg["status"] == "completed" && leg["sid"] != waiting.caller;
    assert!(legs["calls"].as_array().unwrap().iter().any(answered), "the worker was called and hung up on: {legs}");
    assert_eq!(programs.phone_get("/Conferences.json").await["conferences"], json!([]), "nobody was in a conference");
    assert_eq!(programs.get("/Alerts").await["alerts"], json!([]));
    let path = format!("{}/Events?TaskSid={}&EventType=reservation.canceled", floor.base, waiting.task);
    let events = programs.get(&path).await;
    let canceled = events["events"].as_array().unwrap();
    let mut codes = canceled.iter().map(|event| &event["event_data"]["reservation_reason_code"]);
    assert!(!canceled.is_empty() && codes.all(|code| *code == "31480"), "{events}");
    let call = programs.phone_get(&format!("/Calls/{}.json", waiting.caller)).await;
    assert_eq!(call["status"], "in-progress", "the caller waits on");
}

#[tokio::test]
async fn the_progress_and_recording_of_a_third_party_are_passed_on() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let application = Application::start().await;
    for address in ["client:alice", "+15557770000"] {
        programs.control(Method::PUT, &format!("/addresses/{address}"), json!({ "answer_after_ms": 50 })).await;
    }
    let waiting = a_waiting_caller(&programs, &floor).await;
    instruct(&programs, &floor, &waiting, &[("Instruction", "conference")]).await;
    until_task(&programs, &floor, &waiting.task, "assigned").await;
    let (leg, recording) = (application.url("leg"), application.url("recording"));
    let form = [
        ("To", "+15557770000"),
        ("StatusCallback", leg.as_str()),
        ("StatusCallbackMethod", "GET"),
        ("StatusCallbackEvent", "answered completed"),
        ("Record", "true"),
        ("RecordingStatusCallback", recording.as_str()),
    ];
    let participants = format!("{}/Tasks/{}/Participants", floor.base, waiting.task);
    let label = text(&programs.post(&participants, &form).await, "label");
    let answered = application.until_asked(&programs, "leg", 1).await;
    assert_eq!(answered[0].get("CallStatus"), "in-progress");
    programs.hang_up(answered[0].get("CallSid")).await;
    let legs = application.until_asked(&programs, "leg", 2).await;
    assert_passed_on(&legs);
    let told: Vec<&str> = legs.iter().map(|asked| asked.get("CallStatus")).collect();
    assert_eq!(told, ["in-progress", "completed"], "what was asked for, of {label}");
    assert!(legs.iter().all(|asked| asked.method == Verb::GET && asked.get("To") == "+15557770000"), "{legs:?}");
    let recordings = application.until_asked(&programs, "recording", 1).await;
    assert_passed_on(&recordings);
    assert_eq!(recordings[0].get("CallSid"), legs[0].get("CallSid"));
    let refused = [("To", "+15557770000"), ("StatusCallback", "no address")];
    let (status, body) = programs.try_api(Method::POST, &participants, &refused).await.unwrap();
    assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!(20001)), "{body}");
}
