//! The voice webhooks over a real engine and store: what a phone system gets back, and what is left behind.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt as _;

mod before;
mod documents;
mod entries;
mod loops;
mod proxy;
mod queue_full;
mod rooms;
mod rounds;
mod signatures;
mod waiting;

use super::*;
use crate::calls::{DialRules, Dialling};
use crate::engine::{Limits, Request as EngineRequest};
use crate::outbound::Rules;
use crate::routing::command::{NewWorker, NewWorkspace, TaskUpdate, Template};
use crate::routing::{AccountSid, ApiKeySid, Command, TaskStatus, Timestamp, WorkspaceRows};
use crate::signature;
use crate::store::{Account, ApiKey, VoiceRecord};

const BASE: &str = "https://router.example.org";
const PHONE_TOKEN: &str = "phone token";
const OWN_TOKEN: &str = "own token";
const CALL: [(&str, &str); 4] =
    [("CallSid", "CAcaller"), ("From", "+15550001"), ("To", "+15550002"), ("CallStatus", "ringing")];

/// A server's voice side with one workspace, whose account has the SID with bits 1.
struct Bench {
    router: Router,
    engine: Engine,
    store: Store,
    clock: Clock,
    workspace: WorkspaceSid,
    workflow: String,
}

impl Bench {
    async fn start() -> Self {
        Self::start_with(PublicUrl::Fixed(BASE.to_owned()), Duration::from_secs(5)).await
    }

    async fn start_with(requested_url: PublicUrl, patience: Duration) -> Self {
        Self::start_within(Limits::default(), requested_url, patience).await
    }

    /// `requested_url` tells what else than [`BASE`] may be signed; applications answer within `patience`.
    async fn start_within(limits: Limits, requested_url: PublicUrl, patience: Duration) -> Self {
        Self::start_waiting(limits, requested_url, patience, config::Wait::default()).await
    }

    /// The same with other words and choices for those who wait.
    async fn start_waiting(limits: Limits, requested_url: PublicUrl, patience: Duration, wait: config::Wait) -> Self {
        let means = Means { queues: true, rooms: true, leg_secs_max: 14_400 };
        Self::start_by(means, limits, requested_url, patience, wait).await
    }

    /// The same at a phone system with these means.
    async fn start_by(
        means: Means,
        limits: Limits,
        requested_url: PublicUrl,
        patience: Duration,
        wait: config::Wait,
    ) -> Self {
        let store = Store::open("sqlite::memory:").await.unwrap();
        let clock = Clock::fixed(Timestamp(1_790_000_000_000));
        for (bits, token) in [(1, OWN_TOKEN), (2, "foreign token")] {
            let account = Account {
                sid: AccountSid::from_bits(bits),
                friendly_name: "test".to_owned(),
                auth_token: SecretString::from(token),
                created_at: clock.now(),
            };
            store.create_account(account).await.unwrap();
        }
        let dialling = Arc::new(limits.dialling.clone());
        let engine = Engine::start_within(limits, store.clone(), None, clock.clone(), Entropy).await.unwrap();
        let new = NewWorkspace { template: Template::Fifo, ..NewWorkspace::named("Floor") };
        let workspace = engine.create_workspace(AccountSid::from_bits(1), new).await.unwrap();
        let workflow = store.load(workspace).await.unwrap().unwrap().rows.workflows[0].sid.to_string();
        let state = State {
            engine: engine.clone(),
            store: store.clone(),
            clock: clock.clone(),
            entropy: Entropy,
            public_url: BASE.to_owned(),
            requested_url,
            phone_tokens: vec![SecretString::from("next token"), SecretString::from(PHONE_TOKEN)],
            phone_key: Some(crate::signature::ed25519::SigningKey::of(PHONE_TOKEN).public_key()),
            room_events: &[],
            insecure_skip_signature: false,
            means,
            templates: Arc::new(Templates::load(None).unwrap()),
            wait,
            extra_call_attributes: Vec::new(),
            outbound: Outbound::new(Rules { allow_private: true, allow_cidrs: Vec::new() }, patience).unwrap(),
            actions: Actions::default(),
            rests: Rests::default(),
            known_workflows: KnownWorkflows::default(),
            arrivals: Arrivals::default(),
            dialling,
        };
        Self { router: router(state), engine, store, clock, workspace, workflow }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let content_type = response.headers().get(header::CONTENT_TYPE).cloned();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        if status == StatusCode::OK {
            assert_eq!(content_type.unwrap(), "text/xml; charset=utf-8");
        }
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// A form signed by the phone system.
    async fn post(&self, target: &str, pairs: &[(&str, &str)]) -> (StatusCode, String) {
        let signature = signature::sign_form(PHONE_TOKEN, &format!("{BASE}{target}"), pairs);
        self.send(form(target, pairs, Some((signature::HEADER, &signature)))).await
    }

    /// A call that asks `target` to be enqueued.
    async fn enqueue(&self, target: &str, more: &[(&str, &str)]) -> String {
        let (status, body) = self.post(target, &[&CALL, more].concat()).await;
        assert_eq!(status, StatusCode::OK);
        body
    }

    /// Path of mode B.
    fn target(&self, query: &str) -> String {
        format!("/voice/enqueue/{}{query}", self.workflow)
    }

    async fn rows(&self) -> WorkspaceRows {
        self.store.load(self.workspace).await.unwrap().unwrap().rows
    }

    async fn task_count(&self) -> usize {
        self.rows().await.tasks.len()
    }

    async fn alert_codes(&self) -> Vec<u32> {
        let alerts = self.store.alerts(AccountSid::from_bits(1), 50).await.unwrap();
        alerts.into_iter().map(|alert| alert.code).collect()
    }

    /// Those of one moment have no order.
    async fn sorted_alert_codes(&self) -> Vec<u32> {
        let mut codes = self.alert_codes().await;
        codes.sort_unstable();
        codes
    }
}

fn form(target: &str, pairs: &[(&str, &str)], header: Option<(&str, &str)>) -> Request<Body> {
    let mut builder = Request::builder().method("POST").uri(target);
    builder = builder.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some((name, value)) = header {
        builder = builder.header(name, value);
    }
    builder.body(Body::from(serde_urlencoded::to_string(pairs).unwrap())).unwrap()
}

/// The task in the `action` of a park document.
fn task_of(park: &str) -> String {
    let (_, rest) = park.split_once("/voice/tasks/").expect(park);
    rest[..34].to_owned()
}

/// An application on loopback that answers every request with `document` and keeps the forms it got.
async fn application(document: &'static str) -> (String, Arc<std::sync::Mutex<Vec<String>>>) {
    let forms = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = Arc::clone(&forms);
    let app = Router::new().fallback(move |body: String| {
        kept.lock().unwrap().push(body);
        async move { ([(header::CONTENT_TYPE, "text/xml")], document) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/app", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, forms)
}

#[tokio::test]
async fn a_webhook_without_a_valid_signature_has_no_effect() {
    let bench = Bench::start().await;
    let target = bench.target("");
    let forged = signature::sign_form("guess", &format!("{BASE}{target}"), &CALL);
    let elsewhere = signature::sign_form(PHONE_TOKEN, "https://elsewhere.example.org/", &CALL);
    for header in [
        None,
        Some((signature::HEADER, "")),
        Some((signature::HEADER, forged.as_str())),
        Some((signature::HEADER, elsewhere.as_str())),
        Some(("authorization", "Basic QUMxOng=")),
    ] {
        assert_eq!(bench.send(form(&target, &CALL, header)).await, (StatusCode::FORBIDDEN, String::new()));
    }
    assert_eq!(bench.task_count().await, 0);
}

#[tokio::test]
async fn either_token_of_the_phone_system_the_accounts_token_and_basic_credentials_are_taken() {
    let bench = Bench::start().await;
    let target = bench.target("");
    for token in [PHONE_TOKEN, "next token", OWN_TOKEN] {
        let signature = signature::sign_form(token, &format!("{BASE}{target}"), &CALL);
        let (status, body) = bench.send(form(&target, &CALL, Some((signature::HEADER, &signature)))).await;
        assert!(status == StatusCode::OK && body.contains("<Enqueue "), "{token}: {body}");
    }
    let credentials = format!("{}:{OWN_TOKEN}", AccountSid::from_bits(1));
    let basic = format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, credentials));
    let (_, body) = bench.send(form(&target, &CALL, Some(("authorization", &basic)))).await;
    assert!(body.contains("<Enqueue "), "{body}");
}

#[tokio::test]
async fn an_api_key_is_taken_until_it_is_revoked_and_for_its_account_only() {
    let bench = Bench::start().await;
    let target = bench.target("");
    let key = |bits, account| ApiKey {
        sid: ApiKeySid::from_bits(bits),
        account: AccountSid::from_bits(account),
        friendly_name: String::new(),
        secret: "a secret".into(),
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
    };
    for (bits, account) in [(1, 1), (2, 2)] {
        bench.store.create_api_key(key(bits, account)).await.unwrap();
    }
    let ask = async |bits: u128, secret: &str| {
        let credentials = format!("{}:{secret}", ApiKeySid::from_bits(bits));
        let credentials = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, credentials);
        bench.send(form(&target, &CALL, Some(("authorization", &format!("Basic {credentials}"))))).await
    };
    assert!(!ask(2, "a secret").await.1.contains("<Enqueue "), "another account's workflow");
    assert_eq!(ask(1, "another secret").await.0, StatusCode::FORBIDDEN);
    assert_eq!(bench.task_count().await, 0);
    assert!(ask(1, "a secret").await.1.contains("<Enqueue "));
    bench.store.revoke_api_key(ApiKeySid::from_bits(1)).await.unwrap();
    assert_eq!(ask(1, "a secret").await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn another_account_does_not_find_the_workflow() {
    let bench = Bench::start().await;
    let target = bench.target("");
    let signature = signature::sign_form("foreign token", &format!("{BASE}{target}"), &CALL);
    let (_, body) = bench.send(form(&target, &CALL, Some((signature::HEADER, &signature)))).await;
    assert!(!body.contains("<Enqueue "), "{body}");
    assert_eq!(bench.task_count().await, 0);
}

#[tokio::test]
async fn a_repeated_webhook_gets_the_same_park_document() {
    let bench = Bench::start().await;
    let target = bench.target("?Task=%7B%22lang%22%3A%22es%22%7D&Priority=5&Timeout=600");
    let first = bench.enqueue(&target, &[]).await;
    assert_eq!(bench.enqueue(&target, &[]).await, first);
    let task = task_of(&first);
    let expected = format!(
        "<Response><Enqueue action=\"{BASE}/voice/tasks/{task}/left\" method=\"POST\" \
         waitUrl=\"{BASE}/voice/tasks/{task}/wait\" waitUrlMethod=\"POST\">{}</Enqueue></Response>",
        bench.workflow
    );
    assert!(first.ends_with(&expected), "{first}");
    let rows = bench.rows().await;
    let [made] = rows.tasks.as_slice() else { panic!("expected one task, found {}", rows.tasks.len()) };
    assert_eq!((made.priority, made.timeout_secs), (5, 600));
    let attributes: serde_json::Value = serde_json::from_str(&made.attributes).unwrap();
    assert_eq!(attributes["lang"], "es");
    assert_eq!(attributes["call_sid"], "CAcaller");
}

#[tokio::test]
async fn a_document_as_form_field_or_as_body_is_parked_with_its_verbs() {
    let bench = Bench::start().await;
    let document = format!(
        "<Response><Say>Hi</Say><Enqueue workflowSid=\"{}\"><Task>{{\"a\":1}}</Task></Enqueue><Hangup/></Response>",
        bench.workflow
    );
    let park = bench.enqueue("/voice/enqueue", &[("Twiml", &document)]).await;
    assert!(park.contains("<Response><Say>Hi</Say><Enqueue action="), "{park}");

    let target = format!("/voice/enqueue?{}", serde_urlencoded::to_string(CALL).unwrap());
    let url = format!("{BASE}{target}");
    let (url, signature) = signature::sign_body(PHONE_TOKEN, &url, document.as_bytes());
    let request = Request::builder()
        .method("POST")
        .uri(url.strip_prefix(BASE).unwrap())
        .header(header::CONTENT_TYPE, "application/xml")
        .header(signature::HEADER, signature)
        .body(Body::from(document))
        .unwrap();
    let (_, from_body) = bench.send(request).await;
    assert_eq!(task_of(&from_body), task_of(&park), "the same call, the same task");
}

#[tokio::test]
async fn what_is_wrong_leaves_an_alert_and_does_not_lose_the_caller() {
    let bench = Bench::start().await;
    let unknown = "/voice/enqueue/WW000000000000000000000000000000ff";
    let after = format!(
        "<Response><Enqueue workflowSid=\"{}\"><Task>[1]</Task></Enqueue><Say>Next</Say></Response>",
        bench.workflow
    );
    for (target, more, code, heard) in [
        (unknown.to_owned(), ("x", "y"), 14_220, "Nobody can take your call"),
        ("/voice/enqueue/nonsense".to_owned(), ("x", "y"), 14_220, "Nobody can take your call"),
        ("/voice/enqueue".to_owned(), ("x", "y"), 14_220, "Nobody can take your call"),
        (bench.target("?Task=nonsense"), ("x", "y"), 14_221, "Nobody can take your call"),
        ("/voice/enqueue".to_owned(), ("Twiml", after.as_str()), 14_221, "<Response><Say>Next</Say></Response>"),
        ("/voice/enqueue".to_owned(), ("Twiml", "<Response>"), 12_100, "technical problem"),
        ("/voice/enqueue".to_owned(), ("Twiml", "<html/>"), 12_102, "technical problem"),
    ] {
        let before = bench.alert_codes().await.len();
        let body = bench.enqueue(&target, &[more]).await;
        assert!(body.contains(heard), "{target} {more:?}: {body}");
        let codes = bench.alert_codes().await;
        assert_eq!(codes.len(), before + 1, "{target} {more:?}");
        assert!(codes.contains(&code), "{target} {more:?}: {codes:?}");
    }
    assert_eq!(bench.task_count().await, 0);
}

#[tokio::test]
async fn a_document_without_enqueue_is_what_the_call_goes_on_with() {
    let bench = Bench::start().await;
    let document = "<?xml version=\"1.0\"?>\n<Response><Say>We are closed</Say><!-- so --><Hangup/></Response>";
    for target in ["/voice/enqueue".to_owned(), bench.target("")] {
        let body = bench.enqueue(&target, &[("Twiml", &format!("\u{feff}\n{document}\n"))]).await;
        assert_eq!(body, document, "{target}");
    }
    assert_eq!(bench.alert_codes().await, [12_200, 12_200]);
    assert_eq!(bench.task_count().await, 0);
}

#[tokio::test]
async fn what_an_enqueue_should_not_say_has_no_effect_and_a_code() {
    for (attributes, inside, codes) in [
        ("method='PUT'", "", &[14_201][..]),
        ("waitUrl='wait'", "", &[14_202]),
        ("action='left'", "", &[14_203]),
        ("waitUrl='https://app.example.org/w' waitUrlMethod='post it'", "", &[14_206]),
        ("method='get' waitUrlMethod='Post'", "", &[]),
        ("maxQueueSize='3' workflowsid='x'", "<Say>x</Say>", &[12_200]),
        ("", "<Task priority='high' timeout='0'>{}</Task>", &[12_200, 12_200]),
    ] {
        let bench = Bench::start().await;
        let workflow = &bench.workflow;
        let document =
            format!("<Response><Enqueue workflowSid='{workflow}' {attributes}>{inside}</Enqueue></Response>");
        let call = [("CallSid", "CAcaller"), ("Twiml", document.as_str())];
        let (_, parked) = bench.post("/voice/enqueue", &call).await;
        assert!(parked.contains("<Enqueue action="), "{document}: {parked}");
        assert_eq!(bench.alert_codes().await, codes, "{document}");
    }
}

#[tokio::test]
async fn a_queue_of_the_phone_systems_stays_one() {
    let bench = Bench::start().await;
    for document in [
        "<Response><Say>Hi</Say><Enqueue>support</Enqueue><Hangup/></Response>",
        "<?xml version=\"1.0\"?>\n<Response><Enqueue waitUrl='wait' action=\"left\">a &amp; b</Enqueue></Response>",
        "<Response><Dial><Queue>support</Queue></Dial></Response>",
    ] {
        assert_eq!(bench.enqueue("/voice/enqueue", &[("Twiml", document)]).await, document);
    }
    // What its absolute URLs answer may be for us.
    let document = "<Response><Enqueue action=\"https://app.example.org/left\">support</Enqueue></Response>";
    let body = bench.enqueue("/voice/enqueue", &[("Twiml", document)]).await;
    let proxy =
        format!("<Response><Enqueue action=\"{BASE}/voice/proxy?target=https%3A%2F%2Fapp.example.org%2Fleft&amp;");
    assert!(body.starts_with(&proxy), "{body}");
    assert_eq!(bench.alert_codes().await, [12_200], "only the one without Enqueue");
    // One with a task is not meant for the phone system, nor is one for whose callers the URL names a workflow.
    let task = "<Response><Enqueue><Task>{}</Task></Enqueue></Response>";
    assert!(bench.enqueue("/voice/enqueue", &[("Twiml", task)]).await.contains("Nobody can take your call"));
    let plain = "<Response><Enqueue>support</Enqueue></Response>";
    let parked = bench.enqueue(&bench.target(""), &[("Twiml", plain)]).await;
    assert!(parked.contains(&format!(">{}</Enqueue>", bench.workflow)), "{parked}");
}

#[tokio::test]
async fn a_document_that_cannot_be_read_does_not_hide_the_workflow_of_the_url() {
    let bench = Bench::start().await;
    let parameter = format!("/voice/enqueue?WorkflowSid={}&Priority=7", bench.workflow);
    for (target, document, code) in
        [(bench.target("?Priority=7"), "<Response><Enqueue", 12_100), (parameter, "<html/>", 12_102)]
    {
        let call = [("CallSid", document), ("CallStatus", "ringing"), ("Twiml", document)];
        let (_, body) = bench.post(&target, &call).await;
        assert!(body.contains("<Enqueue "), "{target}: {body}");
        assert!(bench.alert_codes().await.contains(&code), "{target}");
    }
    assert_eq!(bench.rows().await.tasks.iter().map(|task| task.priority).collect::<Vec<_>>(), [7, 7]);
}

#[tokio::test]
async fn values_that_are_ignored_leave_an_alert_and_a_task() {
    let bench = Bench::start().await;
    let park = bench.enqueue(&bench.target("?Priority=high&Timeout=0&Action=/left&WaitUrl=ftp://x/y"), &[]).await;
    assert!(park.contains("<Enqueue "), "{park}");
    let mut codes = bench.alert_codes().await;
    codes.sort_unstable();
    assert_eq!(codes, [12_200, 12_200, 14_202, 14_203]);
}

#[tokio::test]
async fn the_application_decides_for_a_caller_who_cannot_be_enqueued() {
    let bench = Bench::start().await;
    let (url, forms) = application("<Response><Dial>+15559999</Dial></Response>").await;
    let query = serde_urlencoded::to_string([("Action", url.as_str()), ("Task", "nonsense")]).unwrap();
    let body = bench.enqueue(&bench.target(&format!("?{query}")), &[]).await;
    assert_eq!(body, "<Response><Dial>+15559999</Dial></Response>");
    let form = forms.lock().unwrap()[0].clone();
    assert!(form.contains("QueueResult=error") && form.contains("CallSid=CAcaller"), "{form}");
}

#[tokio::test]
async fn a_caller_who_hangs_up_ends_the_task_and_the_application_hears_of_it() {
    let bench = Bench::start().await;
    let (url, forms) = application("<Response><Say>unheard</Say></Response>").await;
    let query = serde_urlencoded::to_string([("Action", url.as_str())]).unwrap();
    let task = task_of(&bench.enqueue(&bench.target(&format!("?{query}")), &[]).await);
    let waiting = [("CallSid", "CAcaller"), ("CallStatus", "in-progress"), ("QueueTime", "3")];
    let (_, wait) = bench.post(&format!("/voice/tasks/{task}/wait"), &waiting).await;
    assert!(wait.contains("Please hold"), "{wait}");
    let gone = [
        ("CallSid", "CAcaller"),
        ("CallStatus", "completed"),
        ("QueueResult", "hangup"),
        ("QueueTime", "9"),
        ("AccountSid", "ACphone"),
    ];
    let (_, left) = bench.post(&format!("/voice/tasks/{task}/left"), &gone).await;
    assert!(left.ends_with("<Response/>"), "{left}");
    let rows = bench.rows().await;
    assert_eq!((rows.tasks[0].status.as_str(), rows.tasks[0].reason.as_deref()), ("canceled", Some("hangup")));
    let form = forms.lock().unwrap()[0].clone();
    for part in ["QueueResult=hangup", "QueueTime=9", &format!("TaskSid={task}"), &bench.workflow] {
        assert!(form.contains(part), "{part} in {form}");
    }
    assert!(form.contains(&AccountSid::from_bits(1).to_string()) && !form.contains("ACphone"), "{form}");
}

/// A waiting caller with an application, whom the API lets go.
async fn let_go(bench: &Bench, action: &str) -> String {
    let query = serde_urlencoded::to_string([("Action", action)]).unwrap();
    let task = task_of(&bench.enqueue(&bench.target(&format!("?{query}")), &[]).await);
    let waiting = [("CallSid", "CAcaller"), ("CallStatus", "in-progress")];
    bench.post(&format!("/voice/tasks/{task}/wait"), &waiting).await;
    let request = EngineRequest::Routing(canceled(task.parse().unwrap()));
    bench.engine.send(bench.workspace, request).await.unwrap();
    task
}

fn canceled(task: TaskSid) -> Command {
    Command::UpdateTask(task, TaskUpdate { status: Some(TaskStatus::Canceled), ..TaskUpdate::default() })
}

#[tokio::test]
async fn the_application_is_asked_once_about_a_caller_who_is_let_go() {
    let bench = Bench::start().await;
    let (url, forms) = application("<Response><Say>from the application</Say></Response>").await;
    let task = let_go(&bench, &url).await;
    let asked = || forms.lock().unwrap().len();

    // The queue tells of our own redirect, and whoever runs the answer comes to the redirect's document.
    let echo = [("CallSid", "CAcaller"), ("CallStatus", "in-progress"), ("QueueResult", "redirected")];
    let released = format!("/voice/tasks/{task}/left?released=1");
    for left in ["left", "room-left/customer"] {
        let (_, answer) = bench.post(&format!("/voice/tasks/{task}/{left}"), &echo).await;
        let expected = format!("<Response><Redirect method=\"POST\">{BASE}{released}</Redirect></Response>");
        assert!(answer.ends_with(&expected), "{answer}");
        assert_eq!(asked(), 0);
    }
    for _ in 0..3 {
        let (_, answer) = bench.post(&released, &[("CallSid", "CAcaller"), ("CallStatus", "in-progress")]).await;
        assert_eq!(answer, "<Response><Say>from the application</Say></Response>");
        assert_eq!(asked(), 1);
    }
    let form = forms.lock().unwrap()[0].clone();
    assert!(form.contains("QueueResult=leave") && !form.contains("released"), "{form}");
}

#[tokio::test]
async fn a_caller_whose_task_was_deleted_goes_on_with_the_application() {
    let bench = Bench::start().await;
    let (url, forms) = application("<Response><Say>from the application</Say></Response>").await;
    let task = let_go(&bench, &url).await;
    // As after a deletion: the record of the calls is there, the task is not.
    let deleted = "WT000000000000000000000000000000fe";
    let mut row = bench.store.voice_task(task.parse().unwrap()).await.unwrap().unwrap();
    row.task = deleted.parse().unwrap();
    row.state = VoiceRecord::Json(row.state.json().replace(&task, deleted));
    let mut batch = crate::store::Batch::empty(bench.workspace, bench.rows().await.settings.last_sequence);
    batch.voice_tasks.push(row);
    bench.store.append(batch).await.unwrap();
    let caller = [("CallSid", "CAcaller"), ("CallStatus", "in-progress")];
    let (_, answer) = bench.post(&format!("/voice/tasks/{deleted}/left?released=1"), &caller).await;
    assert_eq!(answer, "<Response><Say>from the application</Say></Response>");
    assert_eq!(forms.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_released_caller_of_whom_nothing_is_known_is_told_so() {
    let bench = Bench::start().await;
    let caller = [("CallSid", "CAcaller"), ("CallStatus", "in-progress")];
    let (_, answer) = bench.post("/voice/tasks/WT000000000000000000000000000000ff/left?released=1", &caller).await;
    assert!(answer.contains("Nobody can take your call"), "{answer}");
}

#[tokio::test]
async fn an_application_that_does_not_answer_leaves_an_alert_and_the_caller_with_us() {
    let bench = Bench::start_with(PublicUrl::Fixed(BASE.to_owned()), Duration::from_millis(100)).await;
    // Connections are taken by the system and never answered.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let query = serde_urlencoded::to_string([("WaitUrl", &url), ("Action", &url)]).unwrap();
    let task = task_of(&bench.enqueue(&bench.target(&format!("?{query}")), &[]).await);
    let caller = [("CallSid", "CAcaller"), ("CallStatus", "in-progress")];
    let (_, wait) = bench.post(&format!("/voice/tasks/{task}/wait"), &caller).await;
    assert!(wait.contains("Please hold"), "{wait}");
    bench.engine.send(bench.workspace, EngineRequest::Routing(canceled(task.parse().unwrap()))).await.unwrap();
    let (_, left) = bench.post(&format!("/voice/tasks/{task}/left?released=1"), &caller).await;
    assert!(left.contains("Nobody can take your call"), "{left}");
    assert_eq!(bench.alert_codes().await, [11_205, 11_205]);
}

#[tokio::test]
async fn without_a_public_url_the_address_of_the_request_may_be_signed() {
    let target = |bench: &Bench| bench.target("");
    let direct = PublicUrl::FromRequest { trust_forwarded: false };
    let proxied = PublicUrl::FromRequest { trust_forwarded: true };
    let fixed = PublicUrl::Fixed(BASE.to_owned());
    let host = [("host", "localhost:8080")];
    let forwarded = [("host", "10.0.0.1"), ("x-forwarded-host", "pub.example"), ("x-forwarded-proto", "https")];
    for (requested_url, headers, signed, taken) in [
        (&direct, &host[..], "http://localhost:8080", true),
        (&direct, &host[..], BASE, true),
        (&direct, &host[..], "http://elsewhere:8080", false),
        (&direct, &forwarded[..], "https://pub.example", false),
        (&proxied, &forwarded[..], "https://pub.example", true),
        (&proxied, &host[..], "http://localhost:8080", true),
        (&fixed, &host[..], "http://localhost:8080", false),
        (&fixed, &forwarded[..], "https://pub.example", false),
        (&fixed, &forwarded[..], BASE, true),
    ] {
        let bench = Bench::start_with(requested_url.clone(), Duration::from_secs(5)).await;
        let signature = signature::sign_form(PHONE_TOKEN, &format!("{signed}{}", target(&bench)), &CALL);
        let mut request = form(&target(&bench), &CALL, Some((signature::HEADER, &signature)));
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let expected = if taken { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(bench.send(request).await.0, expected, "{requested_url:?} {headers:?} {signed}");
    }
}

#[tokio::test]
async fn the_applications_wait_document_is_proxied_and_ours_stands_in_for_it() {
    let bench = Bench::start().await;
    let (url, _) = application("<Response><Play>https://app/music.mp3</Play></Response>").await;
    let (broken, _) = application("not TwiML").await;
    for (wait_url, call, heard) in [
        (url.as_str(), "CA1", "<Play>https://app/music.mp3</Play>"),
        (broken.as_str(), "CA2", "Please hold"),
        ("http://127.0.0.1:1/", "CA3", "Please hold"),
        ("", "CA4", "<Pause length=\"60\"/>"),
    ] {
        let query = serde_urlencoded::to_string([("WaitUrl", wait_url)]).unwrap();
        let (_, park) = bench.post(&bench.target(&format!("?{query}")), &[("CallSid", call)]).await;
        let target = format!("/voice/tasks/{}/wait", task_of(&park));
        let (_, wait) = bench.post(&target, &[("CallSid", call)]).await;
        assert!(wait.contains(heard), "{wait_url}: {wait}");
    }
    assert_eq!(bench.sorted_alert_codes().await, [11_100, 12_100]);
}

#[tokio::test]
async fn the_number_callback_finds_the_task_by_its_call() {
    let bench = Bench::start().await;
    bench.enqueue(&bench.target(""), &[]).await;
    let ringing = [("CallSid", "CAcaller"), ("CallStatus", "in-progress")];
    let over = [("CallSid", "CAcaller"), ("CallStatus", "completed")];
    let other = [("CallSid", "CAother"), ("CallStatus", "completed")];
    for pairs in [ringing, other] {
        let (status, body) = bench.post("/voice/cb/call/inbound", &pairs).await;
        assert_eq!((status, body.as_str()), (StatusCode::NO_CONTENT, ""));
    }
    let status = async || bench.rows().await.tasks[0].status;
    assert_eq!(status().await.as_str(), "pending");
    for _ in 0..2 {
        assert_eq!(bench.post("/voice/cb/call/inbound", &over).await.0, StatusCode::NO_CONTENT);
        assert_eq!(status().await.as_str(), "canceled");
    }
}

#[tokio::test]
async fn what_is_not_for_us_gets_a_harmless_answer() {
    let bench = Bench::start().await;
    let task = "WT000000000000000000000000000000ff";
    let reservation = "WR000000000000000000000000000000ff";
    let no_content = (StatusCode::NO_CONTENT, None);
    for (target, (status, part)) in [
        (format!("/voice/tasks/{task}/left"), (StatusCode::OK, Some("<Response/>"))),
        (format!("/voice/tasks/{task}/wait"), (StatusCode::OK, Some("Nobody"))),
        (format!("/voice/tasks/{task}/park"), (StatusCode::OK, Some("Nobody"))),
        (format!("/voice/tasks/{task}/join/customer"), (StatusCode::OK, Some("Nobody"))),
        (format!("/voice/tasks/{task}/join/stranger"), (StatusCode::OK, Some("Nobody"))),
        (format!("/voice/tasks/{task}/room-left/customer"), (StatusCode::OK, Some("<Response/>"))),
        ("/voice/tasks/nonsense/left".to_owned(), (StatusCode::OK, Some("<Response/>"))),
        (format!("/voice/reservations/{reservation}"), (StatusCode::OK, Some("no longer waiting"))),
        (format!("/voice/cb/call/{task}/{reservation}/worker"), no_content),
        (format!("/voice/cb/call/{task}/{reservation}/stranger"), no_content),
        (format!("/voice/cb/room/{task}"), no_content),
        ("/voice/cb/room/nonsense".to_owned(), no_content),
    ] {
        let pairs = [
            ("CallSid", "CA9"),
            ("CallStatus", "in-progress"),
            ("StatusCallbackEvent", "participant-join"),
            ("ConferenceSid", "CF9"),
            ("Unknown", "parameter"),
        ];
        let (given, body) = bench.post(&target, &pairs).await;
        assert!(given == status && part.is_none_or(|part| body.contains(part)), "{target}: {given} {body}");
    }
    assert_eq!(bench.alert_codes().await, [14_215]);
}

#[tokio::test]
async fn the_parameters_may_come_in_the_query_of_a_get() {
    let bench = Bench::start().await;
    let target = bench.target(&format!("?{}", serde_urlencoded::to_string(CALL).unwrap()));
    let signature = signature::sign_form::<&str, &str>(PHONE_TOKEN, &format!("{BASE}{target}"), &[]);
    let request = Request::builder().uri(&target).header(signature::HEADER, signature).body(Body::empty()).unwrap();
    let (_, body) = bench.send(request).await;
    assert!(body.contains("<Enqueue "), "{body}");
}

#[tokio::test]
async fn a_worker_who_calls_gets_the_room_and_nobody_else_gets_in() {
    let bench = Bench::start().await;
    let available = bench.rows().await.activities.into_iter().find(|activity| activity.available).unwrap().sid;
    let worker = NewWorker { friendly_name: "anna".to_owned(), attributes: "{}".to_owned(), activity: Some(available) };
    let made = EngineRequest::Routing(Command::CreateWorker(worker));
    bench.engine.send(bench.workspace, made).await.unwrap();
    let task = task_of(&bench.enqueue(&bench.target(""), &[]).await);
    let waiting = [("CallSid", "CAcaller"), ("CallStatus", "in-progress")];
    bench.post(&format!("/voice/tasks/{task}/wait"), &waiting).await;
    let reservation = bench.rows().await.reservations[0].sid;

    let call = [("CallSid", "CAworker"), ("CallStatus", "in-progress")];
    let (_, room) = bench.post(&format!("/voice/reservations/{reservation}?Beep=onEnter"), &call).await;
    for part in [
        format!("<Dial action=\"{BASE}/voice/tasks/{task}/room-left/worker?Reservation={reservation}\""),
        format!("participantLabel=\"{reservation}\""),
        "startConferenceOnEnter=\"true\" endConferenceOnExit=\"true\" beep=\"onEnter\" muted=\"false\"".to_owned(),
        format!("statusCallback=\"{BASE}/voice/cb/room/{task}\""),
        format!(">{task}</Conference>"),
    ] {
        assert!(room.contains(&part), "{part} in {room}");
    }
    let (_, joined) = bench.post(&format!("/voice/tasks/{task}/join/customer"), &waiting).await;
    assert!(joined.contains("participantLabel=\"customer\"") && joined.contains(&format!(">{task}<")), "{joined}");

    // Another leg of the worker cannot have the same place.
    let second = [("CallSid", "CAsecond"), ("CallStatus", "in-progress")];
    let (_, refused) = bench.post(&format!("/voice/reservations/{reservation}"), &second).await;
    assert!(refused.contains("no longer waiting"), "{refused}");

    // The caller hangs up while the worker waits in the room: there is nothing to take any more.
    let gone = [("CallSid", "CAcaller"), ("CallStatus", "completed"), ("QueueResult", "hangup")];
    bench.post(&format!("/voice/tasks/{task}/left"), &gone).await;
    let late = [("CallSid", "CAlate"), ("CallStatus", "in-progress")];
    let (_, refused) = bench.post(&format!("/voice/reservations/{reservation}"), &late).await;
    assert!(refused.contains("no longer waiting"), "{refused}");
    let alerts = bench.store.alerts(AccountSid::from_bits(1), 50).await.unwrap();
    let refusals: Vec<&str> =
        alerts.iter().filter(|alert| alert.code == 14_217).map(|alert| alert.message.as_str()).collect();
    assert_eq!(refusals, ["the reservation is not pending any more, or another leg is taking it"; 2]);
}
