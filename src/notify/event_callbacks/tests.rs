//! Event callbacks over a real engine, store and HTTP; only the clock stands still until a test moves it.

use std::collections::{BTreeMap, VecDeque};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use secrecy::SecretString;

use super::*;
use crate::engine::{Engine, Request};
use crate::outbound;
use crate::routing::command::{NewTask, NewWorkspace, TaskUpdate, Template, WorkspaceUpdate};
use crate::routing::{AccountSid, Command, Reply, TaskSid};
use crate::signature;
use crate::store::Account;
use crate::store::deliveries::DeliveryState;
use crate::store::pages::{Seek, Span};

const TOKEN: &str = "own token";

/// One request as the receiver got it.
#[derive(Debug, Clone)]
struct Received {
    pairs: BTreeMap<String, String>,
    token: String,
    is_signed: bool,
}

impl Received {
    fn get(&self, name: &str) -> &str {
        self.pairs.get(name).map_or("", String::as_str)
    }

    fn sequence(&self) -> u64 {
        self.get("EventSequence").parse().unwrap()
    }
}

/// What the receiver answers.
#[derive(Debug, Clone, Copy)]
enum Answers {
    Status(u16),
    RetryAfter(u16, &'static str),
    Never,
}

#[derive(Default)]
struct Receiver {
    received: Mutex<Vec<Received>>,
    /// Answers to the next requests; 204 when there are none left.
    answers: Mutex<VecDeque<Answers>>,
    /// The answer to all, if there is one.
    always: Mutex<Option<Answers>>,
    news: Notify,
}

impl Receiver {
    async fn start() -> (String, Arc<Self>) {
        let receiver = Arc::new(Self::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (shared, own) = (Arc::clone(&receiver), base.clone());
        let router = Router::new().fallback(move |request: axum::http::Request<axum::body::Body>| {
            let (shared, own) = (Arc::clone(&shared), own.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                shared.take(&format!("{own}{}", parts.uri), &parts.headers, &body).await
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (base, receiver)
    }

    async fn take(&self, url: &str, headers: &HeaderMap, body: &Bytes) -> axum::response::Response {
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(body).into_owned().collect();
        let given = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let is_signed = signature::verify_form(TOKEN, url, &pairs, &given(signature::HEADER));
        let token = given("I-Twilio-Idempotency-Token");
        self.received.lock().unwrap().push(Received { pairs: pairs.into_iter().collect(), token, is_signed });
        let next = self.answers.lock().unwrap().pop_front();
        let answer = (*self.always.lock().unwrap()).or(next).unwrap_or(Answers::Status(204));
        self.news.notify_waiters();
        match answer {
            Answers::Status(status) => (StatusCode::from_u16(status).unwrap(), "what is wrong").into_response(),
            Answers::RetryAfter(status, after) => {
                (StatusCode::from_u16(status).unwrap(), [(header::RETRY_AFTER, after)]).into_response()
            }
            Answers::Never => std::future::pending().await,
        }
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until so many requests have come.
    async fn until(&self, count: usize) -> Vec<Received> {
        self.until_so(&format!("{count} requests"), |received| received.len() >= count).await
    }

    async fn until_so(&self, what: &str, is_so: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let wait = async {
            loop {
                let news = self.news.notified();
                let received = self.received();
                if is_so(&received) {
                    return received;
                }
                news.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
        waited.unwrap_or_else(|_| panic!("{what}: {:#?}", self.received()))
    }
}

struct Bench {
    engine: Engine,
    store: Store,
    clock: Clock,
    callbacks: EventCallbacks,
}

fn rules() -> Rules {
    Rules { written_every: Duration::ZERO, ..Rules::default() }
}

impl Bench {
    async fn start() -> Self {
        Self::start_with(rules()).await
    }

    async fn start_with(rules: Rules) -> Self {
        let store = Store::open("sqlite::memory:").await.unwrap();
        let clock = Clock::fixed(Timestamp(1_790_000_000_000));
        let account = Account {
            sid: AccountSid::from_bits(1),
            friendly_name: "test".to_owned(),
            auth_token: SecretString::from(TOKEN),
            created_at: clock.now(),
        };
        store.create_account(account).await.unwrap();
        let engine = Engine::start(store.clone(), None, clock.clone(), Entropy).await.unwrap();
        let callbacks = sender(&store, &clock, rules);
        engine.add_witness(Arc::new(callbacks.clone()));
        callbacks.start().await.unwrap();
        Self { engine, store, clock, callbacks }
    }

    async fn workspace(&self, url: &str, filter: Option<&str>) -> WorkspaceSid {
        let new = NewWorkspace {
            event_callback_url: url.to_owned(),
            events_filter: filter.map(str::to_owned),
            template: Template::Fifo,
            ..NewWorkspace::named("Floor")
        };
        self.engine.create_workspace(AccountSid::from_bits(1), new).await.unwrap()
    }

    async fn set_url(&self, workspace: WorkspaceSid, url: &str) {
        let update = WorkspaceUpdate { event_callback_url: Some(url.to_owned()), ..WorkspaceUpdate::default() };
        self.engine.send(workspace, Request::Routing(Command::UpdateWorkspace(update))).await.unwrap();
    }

    async fn task(&self, workspace: WorkspaceSid) -> TaskSid {
        let workflow = self.store.load(workspace).await.unwrap().unwrap().rows.workflows[0].sid;
        let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}".to_owned()) };
        match self.engine.send(workspace, Request::Routing(Command::CreateTask(new))).await.unwrap() {
            Reply::Task(task) => task,
            other => panic!("{other:?}"),
        }
    }

    async fn touch(&self, workspace: WorkspaceSid, task: TaskSid, priority: i32) {
        let update = TaskUpdate { priority: Some(priority), ..TaskUpdate::default() };
        self.engine.send(workspace, Request::Routing(Command::UpdateTask(task, update))).await.unwrap();
    }

    /// Numbers and types of all events of the log.
    async fn log(&self, workspace: WorkspaceSid) -> Vec<(u64, String)> {
        let events = self.store.events_from(workspace, 0, 1_000).await.unwrap();
        events.into_iter().map(|event| (u64::try_from(event.sequence).unwrap(), event.event_type)).collect()
    }

    async fn rows(&self, workspace: WorkspaceSid) -> Vec<crate::store::views::DeliveryView> {
        let span = Span { seek: Seek::First, limit: 1_000 };
        let list = self.store.deliveries(workspace, None, span).await.unwrap();
        list.entries.into_iter().map(|entry| entry.row).collect()
    }

    /// Waits until what is on disk is so; whoever sends writes a moment after the receiver has answered.
    async fn until_rows(
        &self,
        workspace: WorkspaceSid,
        is_so: impl Fn(&[crate::store::views::DeliveryView]) -> bool,
    ) -> Vec<crate::store::views::DeliveryView> {
        for _ in 0..2_000 {
            let rows = self.rows(workspace).await;
            if is_so(&rows) {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{:#?} {:?}", self.rows(workspace).await, self.store.event_target(workspace).await);
    }

    async fn until_done(&self, workspace: WorkspaceSid) {
        for _ in 0..2_000 {
            let target = self.store.event_target(workspace).await.unwrap().unwrap();
            if target.next_sequence == target.last_sequence + 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{:?}", self.store.event_target(workspace).await);
    }

    /// Time passes, and whoever sends looks at the clock.
    fn pass(&self, workspace: WorkspaceSid, time: Duration) {
        self.clock.advance(time);
        self.callbacks.look_again(workspace);
    }
}

fn sender(store: &Store, clock: &Clock, rules: Rules) -> EventCallbacks {
    let allowed = outbound::Rules { allow_private: true, allow_cidrs: Vec::new() };
    let outbound = Outbound::new(allowed, Duration::from_secs(15)).unwrap();
    EventCallbacks::new(rules, store.clone(), outbound, clock.clone(), Entropy)
}

#[tokio::test]
async fn every_event_comes_signed_once_and_in_the_order_of_its_task() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start().await;
    let workspace = bench.workspace(&format!("{url}/events?x=1#rc=1"), None).await;
    let tasks = [bench.task(workspace).await, bench.task(workspace).await, bench.task(workspace).await];
    for priority in 1..=5 {
        for task in tasks {
            bench.touch(workspace, task, priority).await;
        }
    }
    let log = bench.log(workspace).await;
    let events = receiver.until(log.len()).await;
    bench.until_done(workspace).await;
    assert_eq!(receiver.received().len(), log.len(), "none twice");
    assert!(events.iter().all(|event| event.is_signed && event.token == event.get("Sid")), "{events:#?}");
    let mut all: Vec<(u64, String)> =
        events.iter().map(|event| (event.sequence(), event.get("EventType").to_owned())).collect();
    for task in tasks {
        let own: Vec<u64> =
            events.iter().filter(|event| event.get("TaskSid") == task.to_string()).map(Received::sequence).collect();
        assert!(own.len() >= 8 && own.is_sorted(), "{own:?}");
    }
    all.sort();
    assert_eq!(all, log);
}

#[tokio::test]
async fn only_what_the_filter_names_is_sent() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start().await;
    let workspace = bench.workspace(&url, Some("task.created , task.canceled,unknown")).await;
    bench.task(workspace).await;
    bench.task(workspace).await;
    let events = receiver.until(2).await;
    bench.until_done(workspace).await;
    assert!(events.iter().all(|event| event.get("EventType") == "task.created"), "{events:#?}");
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn what_fails_is_tried_again_with_the_same_identity_and_holds_up_only_its_task() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start().await;
    let workspace = bench.workspace("", None).await;
    let (first, second) = (bench.task(workspace).await, bench.task(workspace).await);
    receiver.answers.lock().unwrap().extend([Answers::Status(204), Answers::Status(500)]);
    bench.set_url(workspace, &url).await;
    receiver.until(1).await;
    bench.touch(workspace, first, 1).await;
    receiver.until(2).await;
    bench.touch(workspace, first, 2).await;
    bench.touch(workspace, second, 3).await;
    // The other task's event does not wait; the second one of the first task does.
    let events = receiver.until(3).await;
    assert_eq!((events[2].get("TaskSid"), events[2].get("TaskPriority")), (second.to_string().as_str(), "3"));
    let rows = bench.until_rows(workspace, |rows| rows.len() == 1).await;
    assert_eq!((rows[0].attempts, rows[0].last_status, rows[0].state.as_str()), (1, Some(500), "waiting"));
    assert_eq!(rows[0].last_answer.as_deref(), Some("what is wrong"));
    let alerts = bench.store.alerts(AccountSid::from_bits(1), 10).await.unwrap();
    assert_eq!(alerts.len(), 1, "the administrator hears of it at once, and once");
    assert!(alerts[0].message.contains("not taken"), "{alerts:?}");
    bench.pass(workspace, Duration::from_secs(7));
    let events = receiver.until(5).await;
    assert_eq!(events[3].get("Sid"), events[1].get("Sid"));
    assert_eq!(events[3].token, events[1].token);
    assert_eq!(events[4].get("TaskPriority"), "2", "after the repetition was taken");
    bench.until_rows(workspace, <[_]>::is_empty).await;
    bench.until_done(workspace).await;
}

#[tokio::test]
async fn a_lane_goes_on_after_a_while_without_its_head() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start_with(Rules { lane_held: Duration::from_secs(2), ..rules() }).await;
    let workspace = bench.workspace("", None).await;
    let task = bench.task(workspace).await;
    bench.set_url(workspace, &url).await;
    receiver.until(1).await;
    receiver.answers.lock().unwrap().push_back(Answers::Status(500));
    bench.touch(workspace, task, 1).await;
    bench.touch(workspace, task, 2).await;
    bench.until_rows(workspace, |rows| rows.len() == 1).await;
    assert_eq!(receiver.received().len(), 2);
    bench.pass(workspace, Duration::from_secs(3));
    assert_eq!(receiver.until(3).await[2].get("TaskPriority"), "2");
}

#[tokio::test]
async fn nothing_is_lost_when_the_process_ends_at_any_moment() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start().await;
    let workspace = bench.workspace(&url, None).await;
    *receiver.always.lock().unwrap() = Some(Answers::Never);
    bench.task(workspace).await;
    receiver.until_so("some hang", |received| !received.is_empty()).await;
    // What is under way is cut off; the new sender begins where the disk says.
    bench.callbacks.stop().await;
    bench.task(workspace).await;
    *receiver.always.lock().unwrap() = None;
    let again = sender(&bench.store, &bench.clock, rules());
    again.start().await.unwrap();
    let log = bench.log(workspace).await;
    receiver
        .until_so("all events", |received| {
            let have: std::collections::BTreeSet<u64> = received.iter().map(Received::sequence).collect();
            log.iter().all(|(sequence, _)| have.contains(sequence))
        })
        .await;
    again.stop().await;
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_now_and_then_until_it_is_back() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start_with(Rules { lane_held: Duration::ZERO, failures_max: 3, ..rules() }).await;
    let workspace = bench.workspace("", None).await;
    let task = bench.task(workspace).await;
    *receiver.always.lock().unwrap() = Some(Answers::Status(503));
    bench.set_url(workspace, &url).await;
    for priority in 1..=20 {
        bench.touch(workspace, task, priority).await;
    }
    bench.until_rows(workspace, |rows| rows.len() == 3).await;
    assert_eq!(receiver.received().len(), 3, "and then it rests");
    let failing = bench.store.event_target(workspace).await.unwrap().unwrap().failing.unwrap();
    assert_eq!(failing.disabled, None);
    // One probe each half minute.
    bench.pass(workspace, Duration::from_secs(31));
    receiver.until(4).await;
    bench.until_rows(workspace, |rows| rows.iter().any(|row| row.attempts == 2) || rows.len() == 4).await;
    assert_eq!(receiver.received().len(), 4);
    *receiver.always.lock().unwrap() = None;
    bench.pass(workspace, Duration::from_mins(10));
    let log = bench.log(workspace).await;
    let from = log.iter().position(|(_, kind)| kind == "workspace.updated").unwrap();
    receiver
        .until_so("all events are taken", |received| {
            let have: std::collections::BTreeSet<u64> = received[4..].iter().map(Received::sequence).collect();
            log[from..].iter().all(|(sequence, _)| have.contains(sequence))
        })
        .await;
    bench.until_rows(workspace, <[_]>::is_empty).await;
    bench.until_done(workspace).await;
    assert_eq!(bench.store.event_target(workspace).await.unwrap().unwrap().failing, None);
}

#[tokio::test]
async fn gone_switches_off_until_somebody_switches_it_on() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start().await;
    let workspace = bench.workspace("", None).await;
    receiver.answers.lock().unwrap().push_back(Answers::Status(410));
    bench.set_url(workspace, &url).await;
    receiver.until(1).await;
    bench.until_rows(workspace, |rows| rows.len() == 1).await;
    bench.task(workspace).await;
    bench.pass(workspace, Duration::from_hours(1));
    bench.task(workspace).await;
    // Another workspace's events come meanwhile.
    let (other_url, other_receiver) = Receiver::start().await;
    let other = bench.workspace(&other_url, None).await;
    for _ in 0..5 {
        bench.task(other).await;
    }
    other_receiver.until(bench.log(other).await.len()).await;
    assert_eq!(receiver.received().len(), 1);
    let failing = bench.store.event_target(workspace).await.unwrap().unwrap().failing.unwrap();
    assert!(failing.disabled.is_some_and(|(_, reason)| reason.contains("410")));
    let alerts = bench.store.alerts(AccountSid::from_bits(1), 10).await.unwrap();
    assert!(alerts.iter().any(|alert| alert.message.contains("switched off")), "{alerts:?}");
    let on = crate::store::deliveries::Progress { endpoint: Some(None), ..Default::default() };
    bench.store.note_progress(workspace, on).await.unwrap();
    bench.callbacks.look_again(workspace);
    bench.until_done(workspace).await;
    bench.until_rows(workspace, <[_]>::is_empty).await;
}

#[tokio::test]
async fn after_all_attempts_an_event_is_dead_and_can_be_asked_for() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start().await;
    let workspace = bench.workspace("", None).await;
    receiver.answers.lock().unwrap().extend([Answers::Status(400), Answers::Status(404)]);
    bench.set_url(workspace, &format!("{url}#rc=1&rp=4xx")).await;
    let rows = bench.until_rows(workspace, |rows| rows.iter().any(|row| row.state == "dead")).await;
    assert_eq!((rows[0].attempts, rows[0].last_status), (2, Some(404)));
    let events = receiver.received();
    assert_eq!(events[0].get("Sid"), events[1].get("Sid"));
    let alerts = bench.store.alerts(AccountSid::from_bits(1), 10).await.unwrap();
    assert!(alerts.iter().any(|alert| alert.code == 11_200 && alert.message.contains("2 attempts")), "{alerts:?}");
    let dead = bench.store.dead_from(workspace, 0, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    bench.store.ask_again(workspace, dead, bench.clock.now()).await.unwrap();
    bench.callbacks.look_again(workspace);
    let events = receiver.until(3).await;
    assert_eq!(events[2].get("Sid"), events[0].get("Sid"));
    bench.until_rows(workspace, <[_]>::is_empty).await;
}

#[tokio::test]
async fn a_receiver_may_ask_for_a_pause() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start().await;
    let workspace = bench.workspace("", None).await;
    receiver.answers.lock().unwrap().push_back(Answers::RetryAfter(429, "120"));
    bench.set_url(workspace, &url).await;
    let rows = bench.until_rows(workspace, |rows| rows.len() == 1).await;
    assert_eq!(rows[0].next_attempt_at.ms_since(bench.clock.now()), 120_000);
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_nobody_else() {
    let (slow_url, slow) = Receiver::start().await;
    *slow.always.lock().unwrap() = Some(Answers::Never);
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start().await;
    let hanging = bench.workspace(&slow_url, None).await;
    let healthy = bench.workspace(&url, None).await;
    for _ in 0..20 {
        bench.task(hanging).await;
        bench.task(healthy).await;
    }
    let log = bench.log(healthy).await;
    receiver.until(log.len()).await;
    assert_eq!(slow.received().len(), 1, "one at a time until it has taken something");
}

#[tokio::test]
async fn a_url_counts_from_the_commit_that_sets_it_to_the_one_that_takes_it_away() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start().await;
    let workspace = bench.workspace("", None).await;
    bench.task(workspace).await;
    bench.set_url(workspace, &url).await;
    let events = receiver.until(1).await;
    assert_eq!(events[0].get("EventType"), "workspace.updated", "nothing from before");
    bench.until_done(workspace).await;
    bench.set_url(workspace, "").await;
    assert_eq!(bench.store.event_target(workspace).await.unwrap(), None);
    bench.task(workspace).await;
    bench.set_url(workspace, &format!("{url}/again")).await;
    let events = receiver.until(2).await;
    let kinds: Vec<&str> = events.iter().map(|event| event.get("EventType")).collect();
    assert_eq!(kinds, ["workspace.updated", "workspace.updated"]);
    assert!(events.iter().all(|event| event.is_signed));
}

#[tokio::test]
async fn what_waits_when_the_url_is_taken_away_is_dead_and_can_be_sent_to_another() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start().await;
    let workspace = bench.workspace("", None).await;
    receiver.answers.lock().unwrap().push_back(Answers::Status(500));
    bench.set_url(workspace, &url).await;
    bench.until_rows(workspace, |rows| rows.len() == 1 && rows[0].state == "waiting").await;
    bench.set_url(workspace, "").await;
    bench.pass(workspace, Duration::from_secs(1));
    bench.until_rows(workspace, |rows| rows.len() == 1 && rows[0].state == "dead").await;
    bench.set_url(workspace, &format!("{url}/other")).await;
    let dead = bench.store.dead_from(workspace, 0, 10).await.unwrap();
    bench.store.ask_again(workspace, dead, bench.clock.now()).await.unwrap();
    bench.callbacks.look_again(workspace);
    let first = receiver.received()[0].get("Sid").to_owned();
    receiver
        .until_so("it is sent again", |all| all.iter().filter(|event| event.get("Sid") == first).count() == 2)
        .await;
    bench.until_rows(workspace, <[_]>::is_empty).await;
}

#[tokio::test]
async fn what_was_not_tried_when_the_url_is_taken_away_is_dead_also_after_a_crash() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start().await;
    let filter = Some("workspace.updated,task.created");
    let workspace = bench.workspace("", filter).await;
    bench.task(workspace).await;
    *receiver.always.lock().unwrap() = Some(Answers::Never);
    bench.set_url(workspace, &url).await;
    receiver.until(1).await;
    bench.task(workspace).await;
    bench.task(workspace).await;
    bench.callbacks.stop().await;
    // Nobody sends while the URL is taken away and more happens.
    bench.set_url(workspace, "").await;
    bench.task(workspace).await;
    assert!(bench.rows(workspace).await.is_empty());
    let again = sender(&bench.store, &bench.clock, rules());
    again.start().await.unwrap();
    let rows = bench.until_rows(workspace, |rows| rows.len() == 3).await;
    let kinds: Vec<&str> = rows.iter().map(|row| row.event_type.as_str()).collect();
    assert_eq!(kinds, ["workspace.updated", "task.created", "task.created"], "neither before the URL nor after it");
    assert!(rows.iter().all(|row| row.state == "dead" && row.attempts == 0), "{rows:#?}");
    for _ in 0..2_000 {
        if bench.store.event_place(workspace).await.unwrap().is_none() {
            again.stop().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the place in the log is not given up");
}

#[tokio::test]
async fn the_filter_that_was_in_force_when_an_event_happened_decides() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start().await;
    let workspace = bench.workspace(&url, Some("task.created")).await;
    *receiver.always.lock().unwrap() = Some(Answers::Status(500));
    bench.task(workspace).await;
    receiver.until(1).await;
    bench.callbacks.stop().await;
    bench.task(workspace).await;
    let update =
        WorkspaceUpdate { events_filter: Some(Some("workspace.updated".to_owned())), ..WorkspaceUpdate::default() };
    bench.engine.send(workspace, Request::Routing(Command::UpdateWorkspace(update))).await.unwrap();
    bench.task(workspace).await;
    *receiver.always.lock().unwrap() = None;
    bench.clock.advance(Duration::from_mins(1));
    let again = sender(&bench.store, &bench.clock, rules());
    again.start().await.unwrap();
    bench.until_done(workspace).await;
    bench.until_rows(workspace, <[_]>::is_empty).await;
    let kinds: Vec<String> = receiver.received()[1..].iter().map(|event| event.get("EventType").to_owned()).collect();
    let count = |kind: &str| kinds.iter().filter(|own| *own == kind).count();
    assert_eq!((count("task.created"), count("workspace.updated"), kinds.len()), (2, 1, 3), "{kinds:?}");
    again.stop().await;
}

#[tokio::test]
async fn what_waits_for_a_week_is_dead() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start().await;
    let workspace = bench.workspace("", None).await;
    receiver.answers.lock().unwrap().push_back(Answers::Status(410));
    bench.set_url(workspace, &url).await;
    bench.until_rows(workspace, |rows| rows.len() == 1).await;
    bench.task(workspace).await;
    let log = bench.log(workspace).await;
    let from = log.iter().position(|(_, kind)| kind == "workspace.updated").unwrap();
    bench.pass(workspace, Duration::from_hours(7 * 24 + 1));
    let rows = bench.until_rows(workspace, |rows| rows.len() == log.len() - from).await;
    let dead = rows.iter().filter(|row| row.state == DeliveryState::Dead.as_str()).count();
    assert_eq!(dead, rows.len() - 1, "the first one waits for its next attempt: {rows:#?}");
}

impl Bench {
    async fn delete(&self, workspace: WorkspaceSid) {
        self.engine.send(workspace, Request::Routing(Command::DeleteWorkspace)).await.unwrap();
    }

    async fn until_forgotten(&self, workspace: WorkspaceSid) {
        for _ in 0..2_000 {
            if self.store.event_target(workspace).await.unwrap().is_none() {
                assert_eq!(self.log(workspace).await, []);
                assert!(self.rows(workspace).await.is_empty());
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{:?}", self.store.event_target(workspace).await);
    }
}

#[tokio::test]
async fn a_receiver_learns_that_its_workspace_is_gone_even_after_a_restart() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start().await;
    let workspace = bench.workspace(&format!("{url}/events"), Some("task.created,workspace.deleted")).await;
    bench.task(workspace).await;
    receiver.until(1).await;
    *receiver.always.lock().unwrap() = Some(Answers::Status(500));
    bench.task(workspace).await;
    bench.until_rows(workspace, |rows| rows.len() == 1).await;
    bench.delete(workspace).await;
    assert!(bench.store.load(workspace).await.unwrap().is_none());
    let rows = bench.until_rows(workspace, |rows| rows.len() == 2).await;
    assert_eq!(rows[1].event_type, "workspace.deleted");
    bench.callbacks.stop().await;
    let kept: Vec<String> = bench.log(workspace).await.into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kept.last().map(String::as_str), Some("workspace.deleted"));
    let refused = receiver.received().len();

    *receiver.always.lock().unwrap() = None;
    bench.clock.advance(Duration::from_secs(7));
    let again = sender(&bench.store, &bench.clock, rules());
    again.start().await.unwrap();
    let events = receiver.until(refused + 2).await;
    bench.until_forgotten(workspace).await;
    assert_eq!(receiver.received().len(), refused + 2, "each once");
    let last: Vec<&Received> = events[refused..].iter().collect();
    assert!(last.iter().all(|event| event.is_signed && event.token == event.get("Sid")), "{last:#?}");
    let mut kinds: Vec<&str> = last.iter().map(|event| event.get("EventType")).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["task.created", "workspace.deleted"]);
    let told = last.iter().find(|event| event.get("EventType") == "workspace.deleted").unwrap();
    assert_eq!((told.get("WorkspaceSid"), told.get("ResourceType")), (workspace.to_string().as_str(), "workspace"));
    again.stop().await;
}

#[tokio::test]
async fn a_workspace_whose_receiver_wants_nothing_of_its_end_leaves_nothing_behind() {
    let (url, receiver) = Receiver::start().await;
    let bench = Bench::start().await;
    // Its filter leaves the event out.
    let workspace = bench.workspace(&url, Some("task.created")).await;
    bench.delete(workspace).await;
    bench.until_forgotten(workspace).await;
    // It has none.
    let silent = bench.workspace("", None).await;
    bench.delete(silent).await;
    assert_eq!(bench.log(silent).await, []);
    // It does not take the event and asks for no repetition: the account's alerts tell.
    receiver.answers.lock().unwrap().push_back(Answers::Status(500));
    let refusing = bench.workspace(&format!("{url}#rc=0"), Some("workspace.deleted")).await;
    bench.delete(refusing).await;
    bench.until_forgotten(refusing).await;
    let events = receiver.received();
    assert_eq!(events.iter().map(|event| event.get("EventType")).collect::<Vec<_>>(), ["workspace.deleted"]);
    let alerts = bench.store.alerts(AccountSid::from_bits(1), 10).await.unwrap();
    assert!(alerts.iter().any(|alert| alert.message.contains(events[0].get("Sid"))), "{alerts:?}");
}
