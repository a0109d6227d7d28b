//! Durable task creations per second through the engine on SQLite, for one caller and for 64 at a time.
//!
//! Beside them, in the same run: the same rows' worth of bytes written and synced to a file by hand, one write and one
//! `fdatasync` each, which is the floor of a single caller.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use secrecy::SecretString;
use switchhook::clock::{Clock, Entropy};
use switchhook::engine::{Engine, Request};
use switchhook::routing::command::{NewTask, NewTaskQueue, NewWorkflow, NewWorkspace};
use switchhook::routing::{AccountSid, Command, Reply, TaskOrder, WorkflowSid, WorkspaceSid};
use switchhook::store::{Account, Store};

/// Bytes that one creation writes: the task's row and four events, roughly.
const BYTES: usize = 4_096;

struct Floor {
    engine: Engine,
    workspace: WorkspaceSid,
    workflow: WorkflowSid,
}

async fn furnish(directory: &std::path::Path) -> Floor {
    let url = format!("sqlite:{}", directory.join("bench.db").display());
    let store = Store::open(&url).await.expect("a new database");
    let clock = Clock::system();
    let account = Account {
        sid: AccountSid::from_bits(1),
        friendly_name: "bench".to_owned(),
        auth_token: SecretString::from("0".repeat(32)),
        created_at: clock.now(),
    };
    let sid = account.sid;
    store.create_account(account).await.expect("written");
    let engine = Engine::start(store, None, clock, Entropy).await.expect("started");
    let new = NewWorkspace::named("bench");
    let workspace = engine.create_workspace(sid, new).await.expect("made");
    let send = async |command| engine.send(workspace, Request::Routing(command)).await.expect("allowed");
    let queue = NewTaskQueue {
        friendly_name: "all".to_owned(),
        target_workers: "1==1".to_owned(),
        task_order: TaskOrder::Fifo,
        max_reserved_workers: 1,
        reservation_activity: None,
        assignment_activity: None,
    };
    let Reply::TaskQueue(queue) = send(Command::CreateTaskQueue(queue)).await else { unreachable!("a queue") };
    let workflow = NewWorkflow {
        friendly_name: "all".to_owned(),
        configuration: serde_json::json!({ "task_routing": { "default_filter": { "queue": queue } } }).to_string(),
        assignment_callback_url: None,
        fallback_assignment_callback_url: None,
        task_reservation_timeout_secs: 120,
    };
    let Reply::Workflow(workflow) = send(Command::CreateWorkflow(workflow)).await else { unreachable!("a workflow") };
    Floor { engine, workspace, workflow }
}

async fn create(floor: &Floor) {
    let attributes = r#"{"lang":"de","from":"+15551110000","to":"+15552220000","type":"sales"}"#;
    let task =
        NewTask { workflow: Some(floor.workflow), timeout_secs: Some(5), ..NewTask::with_attributes(attributes) };
    let request = Request::Routing(Command::CreateTask(task));
    // The bench creates faster than tasks can be worked off; a full workspace is emptied by their time to live.
    while floor.engine.send(floor.workspace, request.clone()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn durable_creations(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let floor = Arc::new(runtime.block_on(furnish(directory.path())));
    let mut group = criterion.benchmark_group("durable task creation");
    group.sample_size(20).measurement_time(Duration::from_secs(8));
    group.throughput(Throughput::Elements(1));
    group.bench_function("raw write and sync", |bencher| {
        let mut file = std::fs::File::create(directory.path().join("raw")).expect("a file");
        let bytes = vec![7_u8; BYTES];
        bencher.iter(|| {
            file.write_all(&bytes).expect("written");
            file.sync_data().expect("synced");
        });
    });
    group.bench_function("1 caller", |bencher| bencher.iter(|| runtime.block_on(create(&floor))));
    group.throughput(Throughput::Elements(64));
    group.bench_function("64 callers", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let mut callers = tokio::task::JoinSet::new();
                for _ in 0..64 {
                    let floor = Arc::clone(&floor);
                    callers.spawn(async move { create(&floor).await });
                }
                while callers.join_next().await.is_some() {}
            });
        });
    });
    group.finish();
}

criterion_group!(benches, durable_creations);
criterion_main!(benches);
