//! The REST API over a real engine and a real database: statuses, bodies, paging, versions, refusals.

mod rates;
mod transfers;

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use base64::Engine as _;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use switchhook::api::{self, PublicUrl, ROUTES, Rates, State};
use switchhook::clock::{Clock, Entropy};
use switchhook::engine::Engine;
use switchhook::notify::event_callbacks::{self, EventCallbacks};
use switchhook::outbound::{self, Outbound};
use switchhook::phone::PhoneSystem;
use switchhook::routing::{AccountSid, Timestamp};
use switchhook::store::{Account, Store};
use tower::ServiceExt as _;

/// 2026-02-03T04:05:06Z
const NOW: Timestamp = Timestamp(1_770_091_506_000);
pub(crate) const ACCOUNT: &str = "AC00000000000000000000000000000001";
pub(crate) const STRANGER: &str = "AC00000000000000000000000000000002";
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const BASE: &str = "https://calls.example/v1";

pub(crate) struct Server {
    router: Router,
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_on("sqlite::memory:", Clock::fixed(NOW)).await
    }

    /// On the database of `url`, which may have been used before.
    pub(crate) async fn start_on(url: &str, clock: Clock) -> Self {
        Self::start_with(url, clock, None, Rates::unlimited()).await
    }

    /// With a phone system that takes requests and never answers; what it would tell is told by the test.
    pub(crate) async fn start_with_silent_phone() -> Self {
        switchhook::outbound::install_tls();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = switchhook::phone::PhoneSettings {
            url: format!("http://{}", listener.local_addr().unwrap()),
            account_sid: "AC1".to_owned(),
            credentials: switchhook::phone::Credentials::Bearer(TOKEN.into()),
            public_url: "http://127.0.0.1:1".to_owned(),
            leg_secs_max: 14_400,
            max_cps: None,
            abilities: switchhook::phone::Abilities::default(),
            wording: switchhook::phone::Wording::default(),
        };
        // Until the test's process ends.
        std::mem::forget(listener);
        let phone =
            PhoneSystem::new(settings, switchhook::phone::Patience::default(), &Clock::fixed(NOW), Entropy).unwrap();
        Self::start_with("sqlite::memory:", Clock::fixed(NOW), Some(phone), Rates::unlimited()).await
    }

    /// Where clients may ask only so often.
    pub(crate) async fn start_within(rates: Rates) -> Self {
        Self::start_with("sqlite::memory:", Clock::fixed(NOW), None, rates).await
    }

    async fn start_with(url: &str, clock: Clock, phone: Option<PhoneSystem>, rates: Rates) -> Self {
        let store = Store::open(url).await.unwrap();
        for sid in [ACCOUNT, STRANGER] {
            let account = Account {
                sid: sid.parse::<AccountSid>().unwrap(),
                friendly_name: "test".to_owned(),
                auth_token: TOKEN.into(),
                created_at: NOW,
            };
            store.create_account(account).await.unwrap();
        }
        let engine = Engine::start(store.clone(), phone, clock.clone(), Entropy).await.unwrap();
        let outbound = Outbound::new(outbound::Rules::default(), Duration::from_secs(1)).unwrap();
        let rules = event_callbacks::Rules::default();
        let router = api::router(State {
            event_callbacks: EventCallbacks::new(rules, store.clone(), outbound, clock.clone(), Entropy),
            event_streams: switchhook::notify::streams::EventStreams::default(),
            rates,
            locked_attributes: switchhook::api::LockedAttributes::default(),
            dialling: std::sync::Arc::default(),
            engine: engine.clone(),
            store: store.clone(),
            clock: clock.clone(),
            public_url: PublicUrl::Fixed("https://calls.example".to_owned()),
            socket_addresses: switchhook::http::Addresses::default(),
            hub: switchhook::notify::Hub::new(clock.clone(), Duration::ZERO),
        });
        Self { router, engine, store, clock }
    }

    pub(crate) async fn stop(self) {
        self.engine.shutdown().await;
        self.store.close().await;
    }

    /// Every answer has to be as the description says.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, mut body) = response.into_parts();
        let is_stream =
            parts.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream; charset=utf-8");
        let body = if is_stream {
            // It does not end by itself: its beginning will do.
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "retry: 1000\n\n");
            Value::Null
        } else {
            let bytes = to_bytes(body, 1 << 24).await.unwrap();
            if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() }
        };
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        super::contract::check_answer(&method, &path, &answer);
        answer
    }

    pub(crate) async fn call(
        &self,
        account: &str,
        method: Method,
        path: &str,
        form: &str,
        if_match: Option<&str>,
    ) -> Answer {
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{account}:{TOKEN}"));
        let path = path.strip_prefix(BASE).unwrap_or(path);
        let mut request = Request::builder()
            .method(method)
            .uri(rooted(path))
            .header("authorization", format!("Basic {credentials}"))
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(version) = if_match {
            request = request.header("if-match", version);
        }
        self.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(ACCOUNT, Method::GET, path, "", None).await
    }

    pub(crate) async fn post(&self, path: &str, form: &str) -> Answer {
        self.call(ACCOUNT, Method::POST, path, form, None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(ACCOUNT, Method::DELETE, path, "", None).await
    }

    /// Makes something and returns it; what is not made fails the test.
    pub(crate) async fn make(&self, path: &str, form: &str) -> Value {
        let answer = self.post(path, form).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{path} {form}: {}", answer.body);
        // What is made next is younger, so that lists have one order.
        self.clock.advance(Duration::from_millis(1));
        answer.body
    }

    /// A workspace with a queue and a workflow; returns its path.
    pub(crate) async fn workspace(&self) -> String {
        let made = self.make("/Workspaces", "FriendlyName=Support&Template=FIFO").await;
        format!("/Workspaces/{}", text(&made["sid"]))
    }

    pub(crate) async fn activity(&self, workspace: &str, name: &str) -> String {
        let list = self.get(&format!("{workspace}/Activities?FriendlyName={name}")).await;
        text(&list.body["activities"][0]["sid"]).to_owned()
    }

    /// An available worker; returns its SID.
    pub(crate) async fn worker(&self, workspace: &str, name: &str) -> String {
        let activity = self.activity(workspace, "Available").await;
        let form = format!("FriendlyName={name}&ActivitySid={activity}");
        text(&self.make(&format!("{workspace}/Workers"), &form).await["sid"]).to_owned()
    }

    /// A call comes in.
    pub(crate) async fn enqueue_call(&self, workspace: &str, workflow: &str) {
        let request = switchhook::engine::Request::EnqueueCall {
            workflow: workflow.parse().unwrap(),
            call: switchhook::calls::CallSid("CA1".to_owned()),
            from: "+15550100".to_owned(),
            to: "+15550199".to_owned(),
            attributes: "{}".to_owned(),
            priority: None,
            timeout_secs: None,
            park: switchhook::calls::Park::default(),
        };
        let sid = workspace.rsplit('/').next().unwrap().parse().unwrap();
        self.engine.send(sid, request).await.unwrap();
    }

    /// Has the legs of that call meet: the worker of the reservation accepts with a conference.
    pub(crate) async fn join_call(&self, workspace: &str, reservation: &Value) {
        use switchhook::calls::{CallSid, Input, interface::RoomEvent};
        let sid = workspace.rsplit('/').next().unwrap().parse().unwrap();
        let task = text(&reservation["task_sid"]).parse().unwrap();
        let joined = |call: &str, label: &str, sequence| Input::RoomChanged {
            conference: "CF1".to_owned(),
            event: RoomEvent::Joined,
            call: Some(CallSid(call.to_owned())),
            label: Some(label.to_owned()),
            sequence: Some(sequence),
        };
        let call = |input| self.engine.send(sid, switchhook::engine::Request::Call { task, input });
        call(Input::WaitRequested).await.unwrap();
        let path =
            format!("{workspace}/Tasks/{}/Reservations/{}", text(&reservation["task_sid"]), text(&reservation["sid"]));
        let form = "Instruction=conference&To=client%3Adana";
        assert_eq!(self.call(ACCOUNT, Method::POST, &path, form, None).await.status, StatusCode::OK);
        for input in [joined("CA2", text(&reservation["sid"]), 1), joined("CA1", "customer", 2)] {
            call(input).await.unwrap();
        }
    }
}

/// Paths of TaskRouter are written without their beginning.
pub(crate) fn rooted(path: &str) -> String {
    if path.starts_with("/2010-04-01/") { path.to_owned() } else { format!("/v1{path}") }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

pub(crate) fn check_error(answer: &Answer, status: u16, code: u32, message: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    let expected = json!({ "code": code, "message": message, "more_info": more_info, "status": status });
    assert_eq!(answer.body, expected);
}

pub(crate) fn names(list: &Answer, key: &str) -> Vec<String> {
    let rows = list.body[key].as_array().unwrap_or_else(|| panic!("no {key} in {}", list.body));
    rows.iter().map(|row| text(&row["friendly_name"]).to_owned()).collect()
}

#[tokio::test]
async fn nothing_is_told_without_credentials() {
    let server = Server::start().await;
    for (method, path) in ROUTES {
        let request = Request::builder().method(*method).uri(format!("/v1{path}")).body(Body::empty()).unwrap();
        let answer = server.send(request).await;
        check_error(&answer, 401, 20003, "Authenticate");
        assert_eq!(answer.headers["www-authenticate"], "Basic realm=\"Twilio API\"");
    }
    let wrong = base64::engine::general_purpose::STANDARD.encode(format!("{ACCOUNT}:wrong"));
    let request = Request::builder().uri("/v1/Workspaces").header("authorization", format!("Basic {wrong}"));
    check_error(&server.send(request.body(Body::empty()).unwrap()).await, 401, 20003, "Authenticate");
    server.stop().await;
}

#[tokio::test]
async fn workspaces_of_other_accounts_are_not_found() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let message = format!("The requested resource {workspace} was not found");
    check_error(&server.call(STRANGER, Method::GET, &workspace, "", None).await, 404, 20404, &message);
    check_error(&server.call(STRANGER, Method::DELETE, &workspace, "", None).await, 404, 20404, &message);
    let list = server.call(STRANGER, Method::GET, "/Workspaces", "", None).await;
    assert_eq!(list.body["workspaces"], json!([]));
    let tasks = format!("{workspace}/Tasks");
    let answer = server.call(STRANGER, Method::POST, &tasks, "", None).await;
    check_error(&answer, 404, 20404, &format!("The requested resource {tasks} was not found"));
    server.stop().await;
}

#[tokio::test]
async fn a_new_workspace_comes_with_activities_channels_and_its_template() {
    let server = Server::start().await;
    let made = server.make("/Workspaces", "FriendlyName=Support&Template=FIFO").await;
    assert_eq!(made["url"], format!("{BASE}/Workspaces/{}", text(&made["sid"])));
    assert_eq!(made["date_created"], "2026-02-03T04:05:06Z");
    assert_eq!(made["default_activity_name"], "Offline");
    assert_eq!(made["multi_task_enabled"], true);
    let workspace = format!("/Workspaces/{}", text(&made["sid"]));
    let list = |collection: &str| format!("{workspace}/{collection}");
    let mut activities = names(&server.get(&list("Activities")).await, "activities");
    activities.sort();
    assert_eq!(activities, ["Available", "Offline", "Unavailable"]);
    assert_eq!(server.get(&list("TaskChannels")).await.body["channels"].as_array().unwrap().len(), 5);
    assert_eq!(names(&server.get(&list("TaskQueues")).await, "task_queues"), ["Sample Queue"]);
    assert_eq!(names(&server.get(&list("Workflows")).await, "workflows"), ["Default Fifo Workflow"]);
    let fetched = server.get(&workspace).await;
    assert_eq!((fetched.status, fetched.body), (StatusCode::OK, made));
    server.stop().await;
}

#[tokio::test]
async fn a_deleted_workspace_takes_everything_with_it() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let answer = server.delete(&workspace).await;
    assert_eq!((answer.status, answer.body), (StatusCode::NO_CONTENT, Value::Null));
    let message = format!("The requested resource {workspace} was not found");
    check_error(&server.delete(&workspace).await, 404, 20404, &message);
    assert_eq!(server.get(&format!("{workspace}/Activities")).await.status, StatusCode::NOT_FOUND);
    server.stop().await;
}

#[tokio::test]
async fn missing_and_malformed_parameters_are_named() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    for (path, form, message) in [
        ("/Activities", "", "FriendlyName field is required"),
        ("/TaskChannels", "FriendlyName=Fax", "UniqueName field is required"),
        ("/TaskQueues", "", "FriendlyName field is required"),
        ("/Workflows", "FriendlyName=W", "Configuration field is required"),
        ("/Workers", "Attributes={}", "FriendlyName field is required"),
        ("/Tasks", "Timeout=0", "Invalid Timeout: '0' is not a whole number from 1 to 1209600"),
        ("/Tasks", "WorkflowSid=WW1", "Invalid WorkflowSid: 'WW1' is not a SID"),
        ("/TaskQueues", "FriendlyName=Q&TaskOrder=none", "Invalid TaskOrder: 'none' is not one of FIFO, LIFO"),
    ] {
        check_error(&server.post(&format!("{workspace}{path}"), form).await, 400, 20001, message);
    }
    for (query, message) in [
        ("Tasks?PageSize=0", "Invalid PageSize."),
        ("Workers?ActivitySid=WA1", "Invalid ActivitySid: 'WA1' is not a SID"),
        ("Events?Minutes=x", "Invalid Minutes: 'x' is not a whole number from 1 to 43200"),
    ] {
        check_error(&server.get(&format!("{workspace}/{query}")).await, 400, 20001, message);
    }
    server.stop().await;
}

#[tokio::test]
async fn pages_lead_to_each_other() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    for name in ["w1", "w2", "w3", "w4", "w5"] {
        server.worker(&workspace, name).await;
    }
    let mut url = format!("{workspace}/Workers?Available=true&PageSize=2");
    let mut found = Vec::new();
    let mut previous = Value::Null;
    for page in 0..9 {
        let list = server.get(&url).await;
        let meta = &list.body["meta"];
        assert_eq!((&meta["page"], &meta["page_size"], &meta["key"]), (&json!(page), &json!(2), &json!("workers")));
        assert_eq!(meta["previous_page_url"].is_null(), page == 0);
        let first = format!("{BASE}{workspace}/Workers?Available=true&PageSize=2&Page=0");
        assert_eq!(meta["first_page_url"], first);
        found.extend(names(&list, "workers"));
        previous = meta["previous_page_url"].clone();
        match meta["next_page_url"].as_str() {
            Some(next) => url = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(found, ["w1", "w2", "w3", "w4", "w5"]);
    assert_eq!(names(&server.get(text(&previous)).await, "workers"), ["w3", "w4"]);
    server.stop().await;
}

#[tokio::test]
async fn versions_guard_against_lost_updates() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let task = server.make(&format!("{workspace}/Tasks"), "").await;
    let path = format!("{workspace}/Tasks/{}", text(&task["sid"]));
    let before = server.get(&path).await;
    let tag = before.headers["etag"].to_str().unwrap().to_owned();
    let change = |form: &'static str, tag: &str| {
        let (server, path, tag) = (&server, path.clone(), tag.to_owned());
        async move { server.call(ACCOUNT, Method::POST, &path, form, Some(&tag)).await }
    };
    let changed = change("Priority=7", &tag).await;
    assert_eq!((changed.status, &changed.body["priority"]), (StatusCode::OK, &json!(7)));
    assert_ne!(changed.headers["etag"], before.headers["etag"]);
    check_error(&change("Priority=8", &tag).await, 412, 20412, "Precondition failed");
    assert_eq!(change("Priority=8", "*").await.body["priority"], 8);
    assert_eq!(server.call(ACCOUNT, Method::DELETE, &path, "", Some(&tag)).await.status.as_u16(), 412);
    assert_eq!(server.delete(&path).await.status, StatusCode::NO_CONTENT);
    server.stop().await;
}

#[tokio::test]
async fn channels_are_found_by_unique_name() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let worker = server.worker(&workspace, "dana").await;
    let channel = server.get(&format!("{workspace}/TaskChannels/voice")).await.body;
    assert_eq!(channel["unique_name"], "voice");
    let path = format!("{workspace}/Workers/{worker}/Channels/voice");
    let changed = server.post(&path, "Capacity=3&Available=false").await.body;
    assert_eq!((&changed["configured_capacity"], &changed["available"]), (&json!(3), &json!(false)));
    assert_eq!(changed["task_channel_sid"], channel["sid"]);
    let by_sid = server.get(text(&changed["url"])).await.body;
    assert_eq!(by_sid, changed);
    assert_eq!(server.get(&format!("{workspace}/TaskChannels/fax")).await.status, StatusCode::NOT_FOUND);
    server.stop().await;
}

#[tokio::test]
async fn a_reservation_is_accepted_and_completed_under_either_parent() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let worker = server.worker(&workspace, "dana").await;
    let task = server.make(&format!("{workspace}/Tasks"), "Attributes={\"lang\":\"de\"}").await;
    let task = format!("{workspace}/Tasks/{}", text(&task["sid"]));
    assert_eq!(server.get(&task).await.body["assignment_status"], "reserved");
    let list = server.get(&format!("{workspace}/Workers/{worker}/Reservations?ReservationStatus=pending")).await;
    let by_worker = text(&list.body["reservations"][0]["url"]).to_owned();
    let sid = text(&list.body["reservations"][0]["sid"]).to_owned();
    let by_task = format!("{task}/Reservations/{sid}");

    let early = server.post(&task, "AssignmentStatus=completed").await;
    assert_eq!((early.status.as_u16(), &early.body["code"]), (400, &json!(20001)));
    assert!(text(&early.body["message"]).ends_with("because it is not currently assigned."), "{}", early.body);
    let untouched = server.post(&by_task, "").await;
    assert_eq!(untouched.body["reservation_status"], "pending");
    let accepted = server.post(&by_worker, "ReservationStatus=accepted").await;
    assert_eq!((accepted.status, &accepted.body["reservation_status"]), (StatusCode::OK, &json!("accepted")));
    assert_eq!(accepted.body["url"], by_worker);
    assert!(accepted.headers.contains_key("etag"));
    let message = format!("Reservation {sid} is already in state [accepted] and cannot be updated to [accepted]");
    check_error(&server.post(&by_task, "ReservationStatus=accepted").await, 400, 20001, &message);
    assert_eq!(server.post(&by_task, "ReservationStatus=completed").await.body["reservation_status"], "completed");
    assert_eq!(server.get(&task).await.body["assignment_status"], "completed");
    assert_eq!(server.get(&format!("{by_task}/Conference")).await.status, StatusCode::NOT_FOUND);
    server.stop().await;
}

#[tokio::test]
async fn a_call_has_a_room_under_its_reservation() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let worker = server.worker(&workspace, "dana").await;
    let workflow = server.get(&format!("{workspace}/Workflows")).await.body["workflows"][0]["sid"].clone();
    server.enqueue_call(&workspace, text(&workflow)).await;
    let list = server.get(&format!("{workspace}/Workers/{worker}/Reservations")).await;
    let reservation = &list.body["reservations"][0];
    let room = server.get(&format!("{}/Conference", text(&reservation["url"]))).await;
    assert_eq!(room.status, StatusCode::OK);
    assert_eq!(room.body["room_name"], reservation["task_sid"]);
    assert_eq!(room.body["legs"][0]["call_sid"], "CA1");
    assert_eq!(room.body["legs"][0]["role"], "customer");
    server.stop().await;
}

#[tokio::test]
async fn instructions_that_cannot_be_carried_out_are_refused() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    server.worker(&workspace, "dana").await;
    let task = server.make(&format!("{workspace}/Tasks"), "").await;
    let list = server.get(&format!("{workspace}/Tasks/{}/Reservations", text(&task["sid"]))).await;
    let path = text(&list.body["reservations"][0]["url"]).to_owned();
    let activity = server.activity(&workspace, "Offline").await;
    for form in [
        "Instruction=dequeue".to_owned(),
        "Instruction=fly".to_owned(),
        format!("Instruction=conference&PostWorkActivitySid={activity}"),
        "Instruction=conference&Beep=loud".to_owned(),
        "ReservationStatus=canceled".to_owned(),
    ] {
        let answer = server.post(&path, &form).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (400, &json!(20001)), "{form}: {}", answer.body);
    }
    let stale = server.call(ACCOUNT, Method::POST, &path, "Instruction=conference", Some("99")).await;
    check_error(&stale, 412, 20412, "Precondition failed");
    assert_eq!(server.get(&path).await.body["reservation_status"], "pending");
    server.stop().await;
}

#[tokio::test]
async fn tasks_are_filtered_and_ordered() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let tasks = format!("{workspace}/Tasks");
    let other = server.make(&format!("{workspace}/TaskQueues"), "FriendlyName=Other").await;
    let mut made = Vec::new();
    for form in
        ["Priority=1&Attributes={\"n\":1}", "Priority=5&Attributes={\"n\":2}", "Priority=3&Attributes={\"n\":3}"]
    {
        made.push(text(&server.make(&tasks, form).await["sid"]).to_owned());
    }
    let canceled = server.post(&format!("{tasks}/{}", made[2]), "AssignmentStatus=canceled&Reason=test").await;
    assert_eq!((&canceled.body["assignment_status"], &canceled.body["reason"]), (&json!("canceled"), &json!("test")));
    let targeted = format!("RoutingTarget={}&Priority=2", text(&other["sid"]));
    made.push(text(&server.make(&tasks, &targeted).await["sid"]).to_owned());

    for (query, expected) in [
        ("", vec![0, 1, 2, 3]),
        ("AssignmentStatus=pending", vec![0, 1, 3]),
        ("AssignmentStatus=Pending,canceled", vec![0, 1, 2, 3]),
        ("AssignmentStatus=canceled&AssignmentStatus=completed", vec![2]),
        ("Priority=5", vec![1]),
        ("Ordering=Priority:desc", vec![1, 2, 3, 0]),
        ("Ordering=Priority:asc,DateCreated:desc&AssignmentStatus=pending", vec![0, 3, 1]),
        ("TaskQueueName=Other", vec![3]),
        ("TaskQueueName=Nobody", vec![]),
        ("WorkflowName=Default+Fifo+Workflow&AssignmentStatus=pending", vec![0, 1, 3]),
        ("HasAddons=true", vec![]),
        ("HasAddons=false&Priority=1", vec![0]),
        (&format!("RoutingTarget={}", text(&other["sid"])), vec![3]),
        ("EvaluateTaskAttributes=n+%3E+1", vec![1, 2]),
        ("EvaluateTaskAttributes=n+%3D%3D+1+OR+n+%3D%3D+3", vec![0, 2]),
        // The time of day is that of the request; there is always one.
        ("EvaluateTaskAttributes=taskrouter.currentTime+%3C+2400+AND+n+%3E+1", vec![1, 2]),
        ("EvaluateTaskAttributes=taskrouter.currentTime+%3E+2359", vec![]),
    ] {
        let list = server.get(&format!("{tasks}?{query}")).await;
        assert_eq!(list.status, StatusCode::OK, "{query}: {}", list.body);
        let found: Vec<_> = list.body["tasks"].as_array().unwrap().iter().map(|task| text(&task["sid"])).collect();
        let expected: Vec<_> = expected.into_iter().map(|index: usize| made[index].as_str()).collect();
        assert_eq!(found, expected, "{query}");
    }
    for query in ["AssignmentStatus=lost", "Ordering=Age:asc", "Ordering=DateCreated:asc,VirtualStartTime:asc"] {
        assert_eq!(server.get(&format!("{tasks}?{query}")).await.status, StatusCode::BAD_REQUEST, "{query}");
    }
    assert_eq!(server.get(&format!("{tasks}?EvaluateTaskAttributes=n+%3E")).await.body["code"], 20001);
    server.stop().await;
}

#[tokio::test]
async fn workers_and_queues_find_each_other_by_expression() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let (workers, queues) = (format!("{workspace}/Workers"), format!("{workspace}/TaskQueues"));
    let dana = server.make(&workers, "FriendlyName=dana&Attributes={\"skills\":[\"billing\"]}").await;
    server.make(&workers, "FriendlyName=Eli&Attributes={\"skills\":[\"sales\"]}").await;
    let billing = server.make(&queues, "FriendlyName=Billing&TargetWorkers=skills+HAS+%22billing%22").await;
    server.make(&queues, "FriendlyName=Nobody&TargetWorkers=").await;

    for (query, expected) in [
        ("FriendlyName=ELI", vec!["Eli"]),
        ("ActivityName=Offline", vec!["dana", "Eli"]),
        ("Available=1", vec![]),
        ("Available=no", vec!["dana", "Eli"]),
        ("TargetWorkersExpression=skills+HAS+%22sales%22", vec!["Eli"]),
        ("TargetWorkersExpression=friendly_name+%3D%3D+%22dana%22", vec!["dana"]),
        ("TargetWorkersExpression=worker.channel.chat.configured_capacity+%3E+0", vec!["dana", "Eli"]),
        (&format!("TaskQueueSid={}", text(&billing["sid"])), vec!["dana"]),
        ("TaskQueueName=Sample+Queue", vec!["dana", "Eli"]),
        ("TaskQueueName=Nobody", vec![]),
        ("TaskQueueName=Missing", vec![]),
    ] {
        assert_eq!(names(&server.get(&format!("{workers}?{query}")).await, "workers"), expected, "{query}");
    }
    for (query, expected) in [
        ("FriendlyName=Billing", vec!["Billing"]),
        (&format!("WorkerSid={}", text(&dana["sid"])), vec!["Sample Queue", "Billing"]),
        ("EvaluateWorkerAttributes={\"skills\":[\"sales\"]}", vec!["Sample Queue"]),
    ] {
        let query = query.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
        assert_eq!(names(&server.get(&format!("{queues}?{query}")).await, "task_queues"), expected, "{query}");
    }
    for query in ["EvaluateWorkerAttributes=1", "WorkerSid=WK00000000000000000000000000000009", "WorkerSid=x"] {
        assert_eq!(server.get(&format!("{queues}?{query}")).await.status, StatusCode::BAD_REQUEST, "{query}");
    }
    server.stop().await;
}

#[tokio::test]
async fn events_tell_the_story_in_order() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let now = server.clock.now();
    let task = server.make(&format!("{workspace}/Tasks"), "").await;
    let sid = text(&task["sid"]);
    let events = format!("{workspace}/Events?TaskSid={sid}");
    let list = server.get(&events).await;
    let kinds: Vec<_> =
        list.body["events"].as_array().unwrap().iter().map(|event| text(&event["event_type"])).collect();
    assert_eq!(kinds, ["task.created", "workflow.entered", "workflow.target-matched", "task-queue.entered"]);
    let first = &list.body["events"][0];
    assert_eq!(first["event_date_ms"], now.0);
    assert_eq!(first["event_data"]["workspace_name"], "Support");
    assert_eq!(first["resource_url"], format!("{BASE}{workspace}/Tasks/{sid}"));
    assert_eq!(&server.get(text(&first["url"])).await.body, first);

    let number = |event: &Value| text(&event["event_data"]["event_sequence"]).parse::<i64>().unwrap();
    let numbers: Vec<i64> = list.body["events"].as_array().unwrap().iter().map(number).collect();
    assert_eq!(numbers, (numbers[0]..numbers[0] + 4).collect::<Vec<_>>());
    server.clock.advance(Duration::from_mins(16));
    for (after, expected) in [(0, 4), (numbers[1], 2), (numbers[3], 0), (i64::MAX, 0)] {
        let list = server.get(&format!("{events}&After={after}")).await;
        assert_eq!(list.body["events"].as_array().unwrap().len(), expected, "after {after}");
    }
    let page = server.get(&format!("{workspace}/Events?After=0&PageSize=1")).await;
    let next = server.get(text(&page.body["meta"]["next_page_url"])).await;
    assert_eq!((number(&page.body["events"][0]), number(&next.body["events"][0])), (1, 2));
    assert_eq!(server.get(&format!("{events}&After=-1")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(server.get(&format!("{events}&after={}", numbers[1])).await.body["events"].as_array().unwrap().len(), 2);
    assert_eq!(server.get(&events).await.body["events"], json!([]));
    assert_eq!(server.get(&format!("{events}&Minutes=20")).await.body["events"].as_array().unwrap().len(), 4);
    let by_kind = server.get(&format!("{workspace}/Events?Minutes=20&EventType=task.created")).await;
    assert_eq!(by_kind.body["events"].as_array().unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn events_of_a_move_name_the_queue_that_was_left() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let first = server.make(&format!("{workspace}/TaskQueues"), "FriendlyName=First").await;
    let second = server.make(&format!("{workspace}/TaskQueues"), "FriendlyName=Second").await;
    let filter = |level: u32, queue: &Value| {
        let target = json!({ "queue": queue["sid"], "priority": level });
        json!({ "expression": format!("level == {level}"), "targets": [target] })
    };
    let configuration = json!({ "task_routing": { "filters": [filter(1, &first), filter(2, &second)] } }).to_string();
    let configuration: String = url::form_urlencoded::byte_serialize(configuration.as_bytes()).collect();
    let form = format!("FriendlyName=Levels&Configuration={configuration}");
    let workflow = server.make(&format!("{workspace}/Workflows"), &form).await;
    let form = format!("WorkflowSid={}&Attributes={{\"level\":1}}", text(&workflow["sid"]));
    let task = server.make(&format!("{workspace}/Tasks"), &form).await;
    let path = format!("{workspace}/Tasks/{}", text(&task["sid"]));
    let moved = server.post(&path, "Attributes={\"level\":2}").await;
    assert_eq!(moved.body["task_queue_friendly_name"], "Second");

    for kind in ["workflow.target-matched", "task-queue.moved"] {
        let events = server.get(&format!("{workspace}/Events?TaskSid={}&EventType={kind}", text(&task["sid"]))).await;
        let data = &events.body["events"].as_array().unwrap().last().unwrap()["event_data"];
        assert_eq!(data["previous_task_queue_sid"], first["sid"], "{kind}");
        assert_eq!(data["previous_task_queue_name"], "First", "{kind}");
        assert_eq!(data["previous_task_priority"], "1", "{kind}");
        assert_eq!(data["task_queue_name"], "Second", "{kind}");
    }
    server.stop().await;
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_answered_in_json() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    check_error(&server.get("/Nothing").await, 404, 20404, "The requested resource /Nothing was not found");
    let missing = format!("{workspace}/Nothing");
    let message = format!("The requested resource {missing} was not found");
    check_error(&server.get(&missing).await, 404, 20404, &message);
    let put = server.call(ACCOUNT, Method::PUT, "/Workspaces", "", None).await;
    check_error(&put, 405, 20004, "Method not allowed");
    let bad = format!("{workspace}/Tasks/WK00000000000000000000000000000001");
    check_error(&server.get(&bad).await, 404, 20404, &format!("The requested resource {bad} was not found"));
    assert_eq!(server.get(&format!("{workspace}/Tasks.json")).await.body["meta"]["key"], "tasks");
    server.stop().await;
}

#[tokio::test]
async fn browsers_may_call_from_anywhere() {
    let server = Server::start().await;
    let preflight = Request::builder().method(Method::OPTIONS).uri("/v1/Workspaces").body(Body::empty()).unwrap();
    let answer = server.send(preflight).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.headers["access-control-allow-methods"], "GET, POST, DELETE, OPTIONS");
    let list = server.get("/Workspaces").await;
    assert_eq!(list.headers["access-control-allow-origin"], "*");
    assert_eq!(list.headers["access-control-expose-headers"], "ETag, Idempotent-Replayed");
    assert_eq!(list.headers["content-type"], "application/json; charset=utf-8");
    server.stop().await;
}

#[tokio::test]
async fn bodies_are_bounded_but_configurations_may_be_long() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let long = "x".repeat(70 * 1024);
    let answer = server.post(&format!("{workspace}/Activities"), &format!("FriendlyName={long}")).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let queue = server.get(&format!("{workspace}/TaskQueues")).await.body["task_queues"][0]["sid"].clone();
    let configuration = json!({ "task_routing": { "default_filter": { "queue": queue }, "note": long } });
    let form = format!("FriendlyName=Long&Configuration={configuration}");
    assert_eq!(server.make(&format!("{workspace}/Workflows"), &form).await["configuration"], configuration.to_string());
    server.stop().await;
}
