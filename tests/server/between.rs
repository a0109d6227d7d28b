//! Somebody stands between the server and its phone system, and answers for one of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use switchhook::outbound;
use tokio::sync::Notify;

use crate::programs::{Floor, NUMBER, Programs, text};

/// Requests with this method whose path contains this text, and the type and the text of the answer.
type Odd = (Method, String, &'static str, &'static str);

/// A load balancer: with a backend it passes on, without it says so itself.
#[derive(Debug, Default)]
struct Between {
    /// Whom it passes requests on to.
    backend: String,
    http: reqwest::Client,
    /// What it answers by itself, and to what.
    odd: Mutex<Option<Odd>>,
    /// How often it still does.
    times: AtomicUsize,
    answered: AtomicUsize,
    /// Holds back what is sent to a path that contains this text, until it is let go.
    holds: Mutex<Option<String>>,
    held: AtomicUsize,
    let_go: Notify,
}

async fn answer(State(between): State<Arc<Between>>, request: Request) -> Response {
    let odd = between.odd.lock().unwrap().clone();
    if let Some((method, contained, kind, body)) = odd
        && method == *request.method()
        && request.uri().path().contains(&contained)
        && between.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    {
        between.answered.fetch_add(1, Ordering::SeqCst);
        return (StatusCode::NOT_FOUND, [("content-type", kind)], body).into_response();
    }
    // Passed on whatever becomes of whoever sent it.
    tokio::spawn(pass_on(between, request)).await.unwrap()
}

async fn pass_on(between: Arc<Between>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let url = format!("{}{}", between.backend, parts.uri);
    let mut headers = parts.headers;
    headers.remove("host");
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let is_held = between.holds.lock().unwrap().as_ref().is_some_and(|text| parts.uri.path().contains(text));
    if is_held && parts.method == Method::POST {
        between.held.fetch_add(1, Ordering::SeqCst);
        between.let_go.notified().await;
    }
    let passed = between.http.request(parts.method, url).headers(headers).body(body).send().await;
    let Ok(answered) = passed else { return StatusCode::BAD_GATEWAY.into_response() };
    let status = answered.status();
    let kind = answered.headers().get("content-type").cloned();
    let mut response = Response::new(Body::from(answered.bytes().await.unwrap_or_default()));
    response.headers_mut().extend(kind.map(|kind| (header::CONTENT_TYPE, kind)));
    *response.status_mut() = status;
    response
}

impl Between {
    fn serve(listener: tokio::net::TcpListener, backend: String) -> Arc<Self> {
        let between = Arc::new(Self { backend, http: outbound::client_builder().build().unwrap(), ..Self::default() });
        let app = axum::Router::new().fallback(answer).with_state(between.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        between
    }

    /// Takes the place of the server, as the phone system sees it.
    async fn start_before_server(programs: &mut Programs, floor: &Floor) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let public_url = format!("http://{}", listener.local_addr().unwrap());
        let number = json!({
            "voice_url": format!("{public_url}/voice/enqueue/{}", floor.workflow),
            "status_callback": format!("{public_url}/voice/cb/call/inbound"),
        });
        programs.control(Method::PUT, &format!("/numbers/{NUMBER}"), number).await;
        programs.environment.push(("SWITCHHOOK_PUBLIC_URL", public_url));
        let between = Self::serve(listener, format!("http://{}", programs.server));
        assert!(programs.terminate_server().await);
        programs.start_server().await;
        between
    }

    /// Takes its place: the server starts again and finds it where the phone system was.
    async fn start(programs: &mut Programs) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        programs.environment.push(("SWITCHHOOK_PHONE_URL", format!("http://{}", listener.local_addr().unwrap())));
        let between = Self::serve(listener, format!("http://{}", programs.phone));
        assert!(programs.terminate_server().await);
        programs.start_server().await;
        between
    }

    fn loses_its_backend(&self, method: Method, contained: &str, kind: &'static str, body: &'static str) {
        *self.odd.lock().unwrap() = Some((method, contained.to_owned(), kind, body));
        self.times.store(usize::MAX, Ordering::SeqCst);
        self.answered.store(0, Ordering::SeqCst);
    }

    fn has_its_backend_again(&self) {
        *self.odd.lock().unwrap() = None;
    }

    async fn until_answered(&self, programs: &Programs, times: usize) {
        programs
            .until("the proxy answers by itself", async |_: &Programs| {
                (self.answered.load(Ordering::SeqCst) >= times).then_some(())
            })
            .await;
    }
}

async fn call_in(programs: &Programs) -> String {
    let call = json!({ "from": "+15551110000", "to": NUMBER });
    text(&programs.control(Method::POST, "/calls", call).await, "call_sid")
}

/// The task of a call, as soon as it is in this state.
async fn task_of(programs: &Programs, floor: &Floor, call: &str, status: &str) -> Value {
    programs
        .until(&format!("the task of {call} is {status}"), async |programs: &Programs| {
            let list = programs.get(&format!("{}/Tasks?PageSize=100", floor.base)).await;
            let mut tasks = list["tasks"].as_array().unwrap().iter();
            let is_its = |task: &&Value| text(task, "attributes").contains(call);
            tasks.find(|task| is_its(task) && task["assignment_status"] == status).cloned()
        })
        .await
}

/// Has the worker's reservation of a call answered with a conference.
async fn connect(programs: &Programs, floor: &Floor, call: &str) {
    let task = task_of(programs, floor, call, "reserved").await;
    let path = format!("{}/Tasks/{}/Reservations", floor.base, text(&task, "sid"));
    let list = programs.get(&path).await;
    let form = [("Instruction", "conference"), ("EndConferenceOnCustomerExit", "true")];
    programs.post(&format!("{path}/{}", text(&list["reservations"][0], "sid")), &form).await;
}

/// Where a live call is.
async fn place_of(programs: &Programs, call: &str) -> Option<String> {
    let live = programs.control(Method::GET, "/calls", Value::Null).await;
    let found = live["calls"].as_array().unwrap().iter().find(|live| live["call_sid"] == call).cloned();
    found.map(|call| call["place"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn calls_survive_a_proxy_that_has_no_way_to_the_phone_system() {
    let mut programs = Programs::start_with(1.0, &[("SWITCHHOOK_LOOK_AFTER_SECS", "2")]).await;
    let floor = programs.furnish().await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    let between = Between::start(&mut programs).await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    let talks = call_in(&programs).await;
    connect(&programs, &floor, &talks).await;
    task_of(&programs, &floor, &talks, "assigned").await;
    let waits = call_in(&programs).await;
    task_of(&programs, &floor, &waits, "pending").await;

    for (kind, body) in [("text/html", "<html>no such host</html>"), ("application/json", r#"{"error":"no route"}"#)] {
        between.loses_its_backend(Method::GET, "", kind, body);
        // A start looks at everything.
        programs.kill_server().await;
        programs.start_server().await;
        between.until_answered(&programs, 6).await;
        between.has_its_backend_again();
        assert_eq!(place_of(&programs, &talks).await.as_deref(), Some("room"), "{}", programs.logs());
        assert_eq!(place_of(&programs, &waits).await.as_deref(), Some("queue"), "{}", programs.logs());
        task_of(&programs, &floor, &talks, "assigned").await;
        task_of(&programs, &floor, &waits, "pending").await;
    }
    let log = std::fs::read_to_string(programs.directory.path().join("server.log")).unwrap();
    let warnings = log.lines().filter(|line| line.contains("is there a proxy in between")).count();
    assert_eq!(warnings, 2, "once in each run of the server\n{}", programs.logs());

    programs.hang_up(&talks).await;
    let task = task_of(&programs, &floor, &talks, "wrapping").await;
    programs.post(&format!("{}/Tasks/{}", floor.base, text(&task, "sid")), &[("AssignmentStatus", "completed")]).await;

    // The one who waits is moved to the agent, while the same happens to commands.
    task_of(&programs, &floor, &waits, "reserved").await;
    between.loses_its_backend(Method::POST, &format!("/Calls/{waits}"), "text/html", "<html>no such host</html>");
    connect(&programs, &floor, &waits).await;
    between.until_answered(&programs, 1).await;
    between.has_its_backend_again();
    task_of(&programs, &floor, &waits, "assigned").await;
    programs.hang_up(&waits).await;
    task_of(&programs, &floor, &waits, "wrapping").await;
}

/// Waits until a call is where it is to be, and stays on the line.
async fn until_in(programs: &Programs, call: &str, place: &str) {
    programs
        .until(&format!("{call} is in the {place}"), async |programs: &Programs| {
            let at = place_of(programs, call).await;
            assert!(at.is_some(), "{call} is lost\n{}", programs.logs());
            (at.as_deref() == Some(place)).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_caller_who_is_moved_needs_no_server() {
    let mut programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    let between = Between::start(&mut programs).await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    let caller = call_in(&programs).await;
    task_of(&programs, &floor, &caller, "reserved").await;
    *between.holds.lock().unwrap() = Some(format!("/Calls/{caller}"));
    connect(&programs, &floor, &caller).await;
    programs
        .until("the caller is being moved", async |_: &Programs| {
            (between.held.load(Ordering::SeqCst) > 0).then_some(())
        })
        .await;
    programs.kill_server().await;
    *between.holds.lock().unwrap() = None;
    between.let_go.notify_one();
    until_in(&programs, &caller, "room").await;
    programs.start_server().await;
    task_of(&programs, &floor, &caller, "assigned").await;
    programs.hang_up(&caller).await;
    task_of(&programs, &floor, &caller, "wrapping").await;
}

/// The caller gets into the room although requests for its document fail, as often as is told.
async fn check_failing_document(settings: &[(&'static str, &'static str)], failures: usize) {
    let mut programs = Programs::start_with(1.0, settings).await;
    let floor = programs.furnish().await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    let between = Between::start_before_server(&mut programs, &floor).await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    let caller = call_in(&programs).await;
    task_of(&programs, &floor, &caller, "reserved").await;
    between.loses_its_backend(Method::POST, "/join/customer", "text/html", "<html>no such host</html>");
    between.times.store(failures, Ordering::SeqCst);
    connect(&programs, &floor, &caller).await;
    until_in(&programs, &caller, "room").await;
    task_of(&programs, &floor, &caller, "assigned").await;
    let answered = between.answered.load(Ordering::SeqCst);
    assert_eq!(answered, if failures == usize::MAX { 0 } else { failures }, "{settings:?}");
    programs.hang_up(&caller).await;
    task_of(&programs, &floor, &caller, "wrapping").await;
}

#[tokio::test]
async fn a_caller_who_is_moved_is_not_lost_when_the_document_cannot_be_had() {
    // It goes with the request, and nobody asks for it.
    check_failing_document(&[], usize::MAX).await;
    // It is asked for, and once more.
    check_failing_document(&[("SWITCHHOOK_PHONE_INLINE_DOCUMENTS", "false")], 1).await;
}
