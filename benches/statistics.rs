//! Statistics over a day of one million events in 200 queues, beside the plain SQL aggregate over the events.
//!
//! The peer gets an index of its own that covers everything but the waits, and the same figures are demanded of both
//! before anything is measured. Real-time statistics are asked of a workspace with 100,000 waiting tasks.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use secrecy::SecretString;
use sqlx::Row as _;
use switchhook::routing::command::{NewTask, NewTaskQueue, NewWorker, NewWorkflow, NewWorkspace};
use switchhook::routing::real_time::{TasksOf, WorkersWhere};
use switchhook::routing::rollup::{Figures, FiguresOf, Stretch};
use switchhook::routing::{
    About, AccountSid, Command, EventKind, EventRecord, EventSid, FactKind, Reply, SidSource, TaskChannelSid,
    TaskOrder, TaskQueueSid, TaskSid, Timestamp, WorkerSid, WorkflowSid, Workspace, WorkspaceSid,
};
use switchhook::store::statistics::Question;
use switchhook::store::{Account, Batch, Store};

const TASKS: u64 = 100_000;
const QUEUES: u64 = 200;
const WORKERS: u64 = 1_000;
const DAY_MS: i64 = 86_400_000;
/// 2026-09-21T13:33:20Z
const NOW: Timestamp = Timestamp(1_790_000_000_000);
/// Tasks whose events are written in one commit.
const TASKS_PER_BATCH: u64 = 100;

/// What happens to a task that is worked off.
const LIFE: [EventKind; 10] = [
    EventKind::TaskCreated,
    EventKind::WorkflowEntered,
    EventKind::WorkflowTargetMatched,
    EventKind::TaskQueueEntered,
    EventKind::ReservationCreated,
    EventKind::ReservationAccepted,
    EventKind::TaskWrapup,
    EventKind::ReservationWrapup,
    EventKind::TaskCompleted,
    EventKind::ReservationCompleted,
];

/// Counts up; the order of creation is the order of the SIDs.
struct Counter(u128);

impl SidSource for Counter {
    fn next_bits(&mut self, _now: Timestamp) -> u128 {
        self.0 += 1;
        self.0
    }
}

/// The events of one task, spread over a minute.
fn life(task: u64, first_sequence: u64) -> Vec<EventRecord> {
    let made = NOW.plus_ms(-DAY_MS + i64::try_from(task * 86_000_000 / TASKS).expect("small"));
    let about = About {
        task: Some(TaskSid::from_bits(u128::from(task))),
        queue: Some(TaskQueueSid::from_bits(u128::from(task % QUEUES))),
        workflow: Some(WorkflowSid::from_bits(1)),
        channel: Some(TaskChannelSid::from_bits(u128::from(task % 2))),
        task_created_at: Some(made),
        queue_entered_at: Some(made),
        ..About::default()
    };
    let event = |(step, kind): (usize, &EventKind)| {
        let step = step as u64;
        let at = made.plus_ms(i64::try_from(step * (3_000 + task % 7_000)).expect("small"));
        let of_reservation = kind.as_str().starts_with("reservation.");
        let worker = of_reservation.then(|| WorkerSid::from_bits(u128::from(task % WORKERS)));
        EventRecord {
            sequence: first_sequence + step,
            sid: EventSid::from_bits(u128::from(first_sequence + step)),
            kind: *kind,
            at,
            description: format!("Task WT{task:032x} {kind}"),
            resource_type: "task",
            resource_sid: TaskSid::from_bits(u128::from(task)).into(),
            about: About { worker, ..about },
            data: [
                ("task_sid", format!("WT{task:032x}")),
                ("task_attributes", r#"{"lang":"de","from":"+15551110000","to":"+15552220000"}"#.to_owned()),
                ("task_age", at.secs_since(made).to_string()),
            ]
            .into_iter()
            .collect(),
        }
    };
    LIFE.iter().enumerate().map(event).collect()
}

/// A database with the day's events; the workspace in it has nothing else.
async fn record_day(directory: &std::path::Path) -> (Store, WorkspaceSid) {
    let store = Store::open(&format!("sqlite:{}", directory.join("day.db").display())).await.expect("a new database");
    let account = Account {
        sid: AccountSid::from_bits(1),
        friendly_name: "bench".to_owned(),
        auth_token: SecretString::from("0".repeat(32)),
        created_at: NOW,
    };
    store.create_account(account).await.expect("written");
    let (mut workspace, done) = found();
    let sid = workspace.settings().sid;
    let mut sequence = done.events.len() as u64;
    let batch = Batch { rows: workspace.take_changes(), events: done.events, ..Batch::empty(sid, 0) };
    store.append(batch).await.expect("written");
    for first in (0..TASKS).step_by(usize::try_from(TASKS_PER_BATCH).expect("small")) {
        let mut events = Vec::new();
        for task in first..first + TASKS_PER_BATCH {
            events.extend(life(task, sequence + 1 + events.len() as u64));
        }
        let before = sequence;
        sequence += events.len() as u64;
        store.append(Batch { events, ..Batch::empty(sid, before) }).await.expect("written");
    }
    (store, sid)
}

fn found() -> (Workspace, switchhook::routing::Done) {
    let new = NewWorkspace::named("bench");
    let before = NOW.plus_ms(-2 * DAY_MS);
    Workspace::create(AccountSid::from_bits(1), &new, before, &mut Counter(1 << 100)).expect("valid")
}

/// The plain aggregate over the events: counts by type, and the waits of acceptances.
async fn peer(store: &Store, question: &Question) -> Vec<(String, i64, i64)> {
    let queue = match question.of[0] {
        FiguresOf::TaskQueue(queue) => Some(queue.to_string()),
        _ => None,
    };
    let counts = "SELECT event_type, COUNT(*), 0 FROM events WHERE workspace_sid = $1 AND at >= $2 AND at < $3 \
                  AND ($4 IS NULL OR task_queue_sid = $4) GROUP BY event_type";
    let waits = "SELECT 'waits', COUNT(*), SUM(CAST(json_extract(event_data, '$.task_age') AS INTEGER)) FROM events \
                 WHERE workspace_sid = $1 AND at >= $2 AND at < $3 AND ($4 IS NULL OR task_queue_sid = $4) \
                 AND event_type = 'reservation.accepted'";
    let mut found = Vec::new();
    for sql in [counts, waits] {
        let query = sqlx::query(sql).bind(question.workspace.to_string());
        let query = query.bind(question.window.from.0).bind(question.window.until.0).bind(queue.clone());
        for row in query.fetch_all(store.read_pool()).await.expect("read") {
            found.push((row.get(0), row.get(1), row.get::<Option<i64>, _>(2).unwrap_or(0)));
        }
    }
    found
}

async fn ours(store: &Store, question: &Question) -> Figures {
    store.cumulative(question).await.expect("read").into_values().next().unwrap_or_default().figures
}

fn assert_same(figures: &Figures, peer: &[(String, i64, i64)]) {
    let count =
        |kind: EventKind| peer.iter().find(|(name, ..)| name == kind.as_str()).map_or(0, |(_, count, _)| *count);
    for (fact, kind) in [
        (FactKind::ReservationsCreated, EventKind::ReservationCreated),
        (FactKind::ReservationsAccepted, EventKind::ReservationAccepted),
        (FactKind::TasksCompleted, EventKind::TaskCompleted),
    ] {
        assert_eq!(figures.count(fact), count(kind), "{kind}");
        assert!(figures.count(fact) > 0, "{kind}");
    }
    let waits = peer.iter().find(|(name, ..)| name == "waits").map_or(0, |(.., total)| *total);
    assert_eq!(figures.until_accepted.total, waits);
}

fn cumulative(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let (store, workspace) = runtime.block_on(record_day(directory.path()));
    runtime.block_on(async {
        let index = "CREATE INDEX events_of_peer ON events (workspace_sid, at, event_type, task_queue_sid)";
        let path = directory.path().join("day.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let writer = sqlx::SqlitePool::connect_with(options).await.expect("opened");
        sqlx::query(index).execute(&writer).await.expect("an index");
        writer.close().await;
    });
    let queue = FiguresOf::TaskQueue(TaskQueueSid::from_bits(7));
    let ago = |ms: i64| NOW.plus_ms(-ms);
    let last_event = 400_000;
    let questions = [
        ("queue, 15 minutes", queue, Stretch { from: ago(last_event + 900_000), until: ago(last_event) }),
        ("queue, day", queue, Stretch { from: ago(DAY_MS - 123_456), until: ago(last_event) }),
        ("workspace, day", FiguresOf::Workspace(workspace), Stretch { from: ago(DAY_MS), until: NOW }),
        (
            "workspace, odd day",
            FiguresOf::Workspace(workspace),
            Stretch { from: ago(DAY_MS - 123_456), until: ago(321_987) },
        ),
    ];
    for (name, of, window) in questions {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(20).measurement_time(Duration::from_secs(5));
        let question = Question { workspace, of: vec![of], window, channel: None, split: false };
        let split = Question { split: true, ..question.clone() };
        assert_same(&runtime.block_on(ours(&store, &question)), &runtime.block_on(peer(&store, &question)));
        group.bench_function("figures", |bencher| bencher.iter(|| runtime.block_on(ours(&store, &question))));
        group.bench_function("figures and split", |bencher| bencher.iter(|| runtime.block_on(ours(&store, &split))));
        group.sample_size(10);
        group.bench_function("SQL over events", |bencher| bencher.iter(|| runtime.block_on(peer(&store, &question))));
        group.finish();
    }
    runtime.block_on(store.close());
}

/// A workspace with waiting tasks in all queues, and workers who are away.
fn waiting(tasks: u64) -> (Workspace, Vec<TaskQueueSid>) {
    let mut sids = Counter(0);
    let (mut workspace, _) = found();
    let mut filters = Vec::new();
    let mut queues = Vec::new();
    let mut carry_out = |workspace: &mut Workspace, command: &Command| {
        workspace.handle(command, NOW, &mut sids).expect("the bench asks for what is allowed").reply
    };
    for number in 0..QUEUES {
        let queue = NewTaskQueue {
            friendly_name: format!("queue {number}"),
            target_workers: format!("queues HAS {number}"),
            task_order: TaskOrder::Fifo,
            max_reserved_workers: 1,
            reservation_activity: None,
            assignment_activity: None,
        };
        let Reply::TaskQueue(queue) = carry_out(&mut workspace, &Command::CreateTaskQueue(queue)) else {
            unreachable!("a queue was made")
        };
        queues.push(queue);
        let target = serde_json::json!([{ "queue": queue }]);
        filters.push(serde_json::json!({ "expression": format!("queue == {number}"), "targets": target }));
    }
    let workflow = NewWorkflow {
        friendly_name: "all".to_owned(),
        configuration: serde_json::json!({ "task_routing": { "filters": filters } }).to_string(),
        assignment_callback_url: None,
        fallback_assignment_callback_url: None,
        task_reservation_timeout_secs: 120,
    };
    let Reply::Workflow(workflow) = carry_out(&mut workspace, &Command::CreateWorkflow(workflow)) else {
        unreachable!("a workflow was made")
    };
    for number in 0..WORKERS {
        let worker = NewWorker {
            friendly_name: format!("worker {number}"),
            attributes: serde_json::json!({ "queues": [number % QUEUES, (number + 37) % QUEUES] }).to_string(),
            activity: None,
        };
        carry_out(&mut workspace, &Command::CreateWorker(worker));
    }
    for number in 0..tasks {
        let attributes = serde_json::json!({ "queue": number % QUEUES }).to_string();
        let task = NewTask {
            workflow: Some(workflow),
            priority: i32::try_from(number % 5).ok(),
            ..NewTask::with_attributes(attributes)
        };
        carry_out(&mut workspace, &Command::CreateTask(task));
        workspace.take_changes();
    }
    (workspace, queues)
}

fn real_time(criterion: &mut Criterion) {
    let (workspace, queues) = waiting(TASKS);
    let figures = workspace.task_figures(TasksOf::Workspace, None, NOW).expect("it exists");
    assert_eq!(figures.total(), TASKS);
    let mut group = criterion.benchmark_group("real time, 100,000 tasks");
    group.bench_function("workspace", |bencher| {
        bencher.iter(|| black_box(workspace.task_figures(TasksOf::Workspace, None, NOW)));
    });
    group.bench_function("all queues", |bencher| {
        bencher.iter(|| {
            for queue in &queues {
                black_box(workspace.task_figures(TasksOf::TaskQueue(*queue), None, NOW));
                black_box(workspace.worker_figures(&WorkersWhere { queue: Some(*queue), friendly_name: None }));
            }
        });
    });
    let rows = workspace.rows();
    group.bench_function("scan of all tasks for one queue", |bencher| {
        bencher.iter(|| rows.tasks.iter().filter(|task| task.queue == Some(queues[7])).count());
    });
    group.finish();
}

criterion_group!(benches, real_time, cumulative);
criterion_main!(benches);
