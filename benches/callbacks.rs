//! Event callbacks to 3,000 receivers, of which a third hangs and a third fails: do the others notice?
//!
//! `cargo bench --bench callbacks`. The same load is first sent to receivers that all are well; then to the three kinds.
//! What counts is the time from the commit of an event to its arrival at a receiver that is well, and the memory. Sender
//! and receivers share the machine. Start with `main`.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use secrecy::SecretString;
use switchhook::clock::{Clock, Entropy};
use switchhook::engine::{Engine, Request};
use switchhook::notify::event_callbacks::{EventCallbacks, Rules};
use switchhook::outbound::{self, Outbound};
use switchhook::routing::command::{NewWorkspace, WorkspaceUpdate};
use switchhook::routing::{AccountSid, Command, WorkspaceSid};
use switchhook::store::{Account, Store};

const RECEIVERS: usize = 3_000;
const EVENTS_A_SECOND: u64 = 300;
const SECONDS: u64 = 30;

/// Milliseconds from commit to arrival at receivers that are well, since the measurement began.
#[derive(Default)]
struct Arrivals {
    begun_at_ms: Mutex<i64>,
    delays_ms: Mutex<Vec<i64>>,
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_millis()).expect("before the year 292 million")
}

async fn take(
    State(arrivals): State<Arc<Arrivals>>,
    Path((kind, _)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    match kind.as_str() {
        "hang" => std::future::pending().await,
        "fail" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => {
            let form = url::form_urlencoded::parse(&body);
            let at = form.into_iter().find(|(name, _)| name == "TimestampMs").map(|(_, value)| value.into_owned());
            let at: i64 = at.and_then(|at| at.parse().ok()).expect("every event has its time");
            if at >= *arrivals.begun_at_ms.lock().expect("nobody panics with it") {
                arrivals.delays_ms.lock().expect("nobody panics with it").push(now_ms() - at);
            }
            StatusCode::NO_CONTENT
        }
    }
}

fn resident_mib() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    let kib: f64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0.0);
    kib / 1024.0
}

/// Which receivers there are, by the number of the workspace.
type Kinds = fn(usize) -> &'static str;

async fn run(name: &str, kinds: Kinds) {
    let directory = tempfile::tempdir().expect("there is room");
    let url = format!("sqlite:{}", directory.path().join("callbacks.db").display());
    let store = Store::open(&url).await.expect("it can be made");
    let clock = Clock::system();
    let account = AccountSid::from_bits(1);
    let row = Account {
        sid: account,
        friendly_name: "bench".to_owned(),
        auth_token: SecretString::from("token"),
        created_at: clock.now(),
    };
    store.create_account(row).await.expect("it is new");
    let engine = Engine::start(store.clone(), None, clock.clone(), Entropy).await.expect("the store is empty");
    let rules = outbound::Rules { allow_private: true, allow_cidrs: Vec::new() };
    let outbound = Outbound::new(rules, Duration::from_secs(15)).expect("made of constants");
    let callbacks = EventCallbacks::new(Rules::default(), store.clone(), outbound, clock, Entropy);
    engine.add_witness(Arc::new(callbacks.clone()));

    let arrivals = Arc::new(Arrivals { begun_at_ms: Mutex::new(i64::MAX), ..Arrivals::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let router = Router::new().route("/{kind}/{number}", axum::routing::post(take)).with_state(Arc::clone(&arrivals));
    let receivers = tokio::spawn(async move { axum::serve(listener, router).await.expect("it goes on") });

    let mut made = tokio::task::JoinSet::new();
    for number in 0..RECEIVERS {
        let (engine, url) = (engine.clone(), format!("{base}/{}/{number}", kinds(number)));
        made.spawn(async move {
            let new = NewWorkspace {
                event_callback_url: url,
                events_filter: Some("workspace.updated".to_owned()),
                ..NewWorkspace::named(format!("workspace {number}"))
            };
            engine.create_workspace(account, new).await.expect("it is allowed")
        });
    }
    let mut workspaces: Vec<WorkspaceSid> = made.join_all().await;
    workspaces.sort();
    // The failing and hanging ones become known as such.
    for workspace in &workspaces {
        touch(&engine, *workspace, 0).await;
    }
    tokio::time::sleep(Duration::from_secs(20)).await;

    *arrivals.begun_at_ms.lock().expect("nobody panics with it") = now_ms();
    let before = resident_mib();
    let (mut sent, begun) = (0_u64, Instant::now());
    while sent < EVENTS_A_SECOND * SECONDS {
        let due = Duration::from_micros(sent * 1_000_000 / EVENTS_A_SECOND);
        tokio::time::sleep_until((begun + due).into()).await;
        let place = usize::try_from(sent.wrapping_mul(2_654_435_761)).unwrap_or(0) % workspaces.len();
        let (engine, workspace) = (engine.clone(), workspaces[place]);
        tokio::spawn(async move { touch(&engine, workspace, sent + 1).await });
        sent += 1;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut delays = arrivals.delays_ms.lock().expect("nobody panics with it").clone();
    delays.sort_unstable();
    let at = |share: usize| delays.get(delays.len() * share / 1_000).copied().unwrap_or(0);
    println!(
        "{name}: {} of {sent} events at receivers that are well, delay p50 {} ms, p99 {} ms, most {} ms; resident {before:.0} MiB \
         before, {:.0} MiB after",
        delays.len(),
        at(500),
        at(990),
        delays.last().copied().unwrap_or(0),
        resident_mib()
    );
    callbacks.stop().await;
    engine.shutdown().await;
    store.close().await;
    receivers.abort();
}

async fn touch(engine: &Engine, workspace: WorkspaceSid, number: u64) {
    let update = WorkspaceUpdate { friendly_name: Some(format!("name {number}")), ..WorkspaceUpdate::default() };
    engine.send(workspace, Request::Routing(Command::UpdateWorkspace(update))).await.expect("it is allowed");
}

fn main() {
    // Every hanging request holds a connection at both ends.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be made");
    runtime.block_on(async {
        run("all well", |_| "ok").await;
        run("a third hangs, a third fails", |number| ["ok", "hang", "fail"][number % 3]).await;
    });
}
