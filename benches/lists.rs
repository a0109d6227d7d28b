//! Pages of 50 out of 100,000 tasks, over the API's router: the first page beside one half-way through the list.
//!
//! For each filter and order: the median and the slowest of a hundred requests for either page, and how many times as
//! long the later one takes. Then rare matches of expressions, which are searched for in memory. A number as argument changes how
//! many tasks there are.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request as HttpRequest;
use base64::Engine as _;
use secrecy::SecretString;
use serde_json::Value;
use switchhook::api::{self, PublicUrl, State};
use switchhook::clock::{Clock, Entropy};
use switchhook::engine::{Engine, Request};
use switchhook::notify::event_callbacks::{self, EventCallbacks};
use switchhook::notify::streams::EventStreams;
use switchhook::outbound::{self, Outbound};
use switchhook::routing::command::{NewTask, NewWorker, NewWorkspace, Template};
use switchhook::routing::{AccountSid, Command};
use switchhook::store::{Account, Store};
use tower::ServiceExt as _;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const WORKERS: usize = 10_000;
const REQUESTS: usize = 100;

struct Floor {
    router: Router,
    credentials: String,
    path: String,
}

impl Floor {
    async fn get(&self, path: &str) -> Value {
        let path = path.strip_prefix("http://bench/v1").unwrap_or(path);
        let request = HttpRequest::builder()
            .uri(format!("/v1{path}"))
            .header("authorization", &self.credentials)
            .body(Body::empty())
            .expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("never fails");
        let bytes = to_bytes(response.into_body(), 1 << 26).await.expect("a body");
        let body: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert!(body["meta"].is_object(), "{path}: {body}");
        body
    }

    /// Median and slowest of many requests.
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the time")]
    async fn time(&self, path: &str) -> (Duration, Duration) {
        let mut times = Vec::with_capacity(REQUESTS);
        for _ in 0..REQUESTS {
            let begin = Instant::now();
            self.get(path).await;
            times.push(begin.elapsed());
        }
        times.sort_unstable();
        (times[REQUESTS / 2], times[REQUESTS * 99 / 100])
    }

    /// The page of 50 half-way through a list.
    async fn half_way(&self, path: &str, rows: usize) -> Option<String> {
        let mut url = format!("{path}&PageSize=1000");
        let mut next = None;
        for _ in 0..(rows / 2).div_ceil(1000) {
            next = self.get(&url).await["meta"]["next_page_url"].as_str().map(str::to_owned);
            match &next {
                Some(found) => url.clone_from(found),
                None => return None,
            }
        }
        next.map(|url| url.replace("PageSize=1000", "PageSize=50"))
    }
}

async fn furnish(directory: &std::path::Path, rows: usize) -> Floor {
    let url = format!("sqlite:{}", directory.join("bench.db").display());
    let store = Store::open(&url).await.expect("a new database");
    let clock = Clock::system();
    let account = AccountSid::from_bits(1);
    let row = Account {
        sid: account,
        friendly_name: "bench".to_owned(),
        auth_token: SecretString::from(TOKEN),
        created_at: clock.now(),
    };
    store.create_account(row).await.expect("written");
    let engine = Engine::start(store.clone(), None, clock.clone(), Entropy).await.expect("started");
    let new = NewWorkspace { template: Template::Fifo, ..NewWorkspace::named("bench") };
    let workspace = engine.create_workspace(account, new).await.expect("made");
    let command = |number: usize| {
        let attributes = format!(
            r#"{{"lang":"de","from":"+15551110000","to":"+15552220000","type":"sales","call_sid":"CA{number:032x}"}}"#
        );
        if number >= rows {
            let friendly_name = format!("worker {number}");
            return Command::CreateWorker(NewWorker { friendly_name, attributes, activity: None });
        }
        let mut task = NewTask::with_attributes(&attributes);
        task.priority = Some(i32::try_from(number % 10).expect("small"));
        task.timeout_secs = Some(1_209_600);
        Command::CreateTask(task)
    };
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..256 {
        let engine = engine.clone();
        let commands: Vec<_> = (sender..rows + WORKERS).step_by(256).map(command).collect();
        senders.spawn(async move {
            for command in commands {
                engine.send(workspace, Request::Routing(command)).await.expect("allowed");
            }
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.expect("no panic");
    }
    let hub = switchhook::notify::Hub::new(clock.clone(), std::time::Duration::ZERO);
    let public_url = PublicUrl::Fixed("http://bench".to_owned());
    let outbound = Outbound::new(outbound::Rules::default(), Duration::from_secs(1)).expect("it is made of constants");
    let rules = event_callbacks::Rules::default();
    let event_callbacks = EventCallbacks::new(rules, store.clone(), outbound, clock.clone(), Entropy);
    let event_streams = EventStreams::default();
    let socket_addresses = switchhook::http::Addresses::default();
    let rates = api::Rates::unlimited();
    let dialling = std::sync::Arc::default();
    let state = State {
        engine,
        store,
        clock,
        public_url,
        hub,
        socket_addresses,
        event_callbacks,
        event_streams,
        locked_attributes: switchhook::api::LockedAttributes::default(),
        rates,
        dialling,
    };
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{account}:{TOKEN}"));
    Floor {
        router: api::router(state),
        credentials: format!("Basic {credentials}"),
        path: format!("/Workspaces/{workspace}"),
    }
}

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
async fn measure() {
    let rows = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    let directory = tempfile::tempdir().expect("a directory");
    let floor = furnish(directory.path(), rows).await;
    let queue = floor.get(&format!("{}/TaskQueues?", floor.path)).await["task_queues"][0]["sid"].clone();
    let queue = queue.as_str().expect("a queue");
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;

    println!("{rows} tasks, pages of 50                           first page         half-way      ratio");
    println!("                                                  p50      p99      p50      p99  of p50");
    for query in [
        String::new(),
        "Ordering=DateCreated:desc".to_owned(),
        "Ordering=Priority:desc".to_owned(),
        "Ordering=Priority:desc,DateCreated:asc".to_owned(),
        "Ordering=VirtualStartTime:asc".to_owned(),
        "AssignmentStatus=pending".to_owned(),
        "AssignmentStatus=pending&AssignmentStatus=reserved".to_owned(),
        "Priority=5".to_owned(),
        format!("TaskQueueSid={queue}"),
        "TaskQueueName=Sample+Queue".to_owned(),
        "WorkflowName=Default+Fifo+Workflow".to_owned(),
        "AssignmentStatus=pending&Ordering=Priority:desc,DateCreated:asc".to_owned(),
        format!("AssignmentStatus=pending&TaskQueueSid={queue}"),
        "EvaluateTaskAttributes=lang+%3D%3D+%27de%27".to_owned(),
    ] {
        let path = format!("{}/Tasks?{query}", floor.path);
        let list = if query.starts_with("Priority=") { rows / 10 } else { rows };
        let deep = floor.half_way(&path, list).await.expect("the list goes on");
        let (first, deep) = (floor.time(&path).await, floor.time(&deep).await);
        let ratio = deep.0.as_secs_f64() / first.0.as_secs_f64();
        println!(
            "{query:<46} {:>6.2} ms{:>6.2} ms{:>6.2} ms{:>6.2} ms {ratio:>6.2}",
            ms(first.0),
            ms(first.1),
            ms(deep.0),
            ms(deep.1)
        );
    }
    for (what, query) in [
        (
            "one of all tasks by an expression",
            format!("/Tasks?EvaluateTaskAttributes=call_sid+%3D%3D+%27CA{:032x}%27", rows / 2),
        ),
        ("none of all tasks by an expression", "/Tasks?EvaluateTaskAttributes=lang+%3D%3D+%27xx%27".to_owned()),
        (
            "one of 10,000 workers by an expression",
            format!("/Workers?TargetWorkersExpression=call_sid+%3D%3D+%27CA{:032x}%27", rows + 7),
        ),
        (
            "no worker by the figures of a channel",
            "/Workers?TargetWorkersExpression=worker.channel.voice.assigned_tasks+%3E+3".to_owned(),
        ),
        ("workers by queue", format!("/Workers?TaskQueueSid={queue}")),
        ("workers by availability", "/Workers?Available=true".to_owned()),
        ("queues by attributes", "/TaskQueues?EvaluateWorkerAttributes=%7B%22a%22%3A1%7D".to_owned()),
    ] {
        let (median, slowest) = floor.time(&format!("{}{query}", floor.path)).await;
        println!("{what:<46} {:>6.2} ms{:>6.2} ms", ms(median), ms(slowest));
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}
