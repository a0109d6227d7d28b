//! What questions cost while the workspace waits: one queue with 100,000 waiting tasks and 15,000 workers.
//!
//! Half of the tasks wait for anybody, half for workers of their language. The aim is 1 ms for a position and few
//! milliseconds for an explanation.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

use switchhook::routing::command::{NewTask, NewTaskQueue, NewWorker, NewWorkflow, NewWorkspace};
use switchhook::routing::dry_run::DryRun;
use switchhook::routing::explain::WorkerPage;
use switchhook::routing::{
    AccountSid, Command, Reply, SidSource, TaskOrder, TaskSid, Timestamp, WorkerSid, WorkflowSid, Workspace,
};

const TASKS: u32 = 100_000;
const WORKERS: u32 = 15_000;

/// Counts up; the order of creation is the order of the SIDs.
struct Counter(u128);

impl SidSource for Counter {
    fn next_bits(&mut self, _now: Timestamp) -> u128 {
        self.0 += 1;
        self.0
    }
}

struct Floor {
    workspace: Workspace,
    sids: Counter,
    now: Timestamp,
}

impl Floor {
    fn carry_out(&mut self, command: &Command) -> Reply {
        self.now = self.now.plus_ms(1);
        let done = self.workspace.handle(command, self.now, &mut self.sids);
        black_box(self.workspace.take_changes());
        done.expect("the bench asks for what is allowed").reply
    }

    fn fill() -> (Self, WorkflowSid, Vec<TaskSid>, Vec<WorkerSid>) {
        let mut sids = Counter(0);
        let now = Timestamp(1_790_000_000_000);
        let new = NewWorkspace::named("bench");
        let (workspace, _) = Workspace::create(AccountSid::from_bits(1), &new, now, &mut sids).expect("valid");
        let mut floor = Self { workspace, sids, now };
        let queue = NewTaskQueue {
            friendly_name: "all".to_owned(),
            target_workers: "skills HAS 'support'".to_owned(),
            task_order: TaskOrder::Fifo,
            max_reserved_workers: 1,
            reservation_activity: None,
            assignment_activity: None,
        };
        let Reply::TaskQueue(queue) = floor.carry_out(&Command::CreateTaskQueue(queue)) else { unreachable!() };
        let configuration = serde_json::json!({ "task_routing": {
            "filters": [{ "expression": "language != null", "targets": [
                { "queue": queue, "expression": "worker.languages HAS task.language AND worker.level >= task.level",
                  "timeout": 86_000 }] }],
            "default_filter": { "queue": queue } } });
        let workflow = NewWorkflow {
            friendly_name: "all".to_owned(),
            configuration: configuration.to_string(),
            assignment_callback_url: None,
            fallback_assignment_callback_url: None,
            task_reservation_timeout_secs: 86_400,
        };
        let Reply::Workflow(workflow) = floor.carry_out(&Command::CreateWorkflow(workflow)) else { unreachable!() };
        let rows = floor.workspace.rows();
        let activity = |available| rows.activities.iter().find(|row| row.available == available).map(|row| row.sid);
        let mut workers = Vec::new();
        for number in 0..WORKERS {
            let attributes = serde_json::json!({
                "skills": ["support", "sales"], "languages": ["en", "de"], "level": number % 10, "team": number % 50,
            });
            let new = NewWorker {
                friendly_name: format!("worker {number}"),
                attributes: attributes.to_string(),
                // Half of them are at work and full.
                activity: activity(number % 2 == 0),
            };
            let Reply::Worker(worker) = floor.carry_out(&Command::CreateWorker(new)) else { unreachable!() };
            workers.push(worker);
        }
        let mut tasks = Vec::new();
        for number in 0..TASKS + WORKERS / 2 {
            let attributes = if number % 2 == 0 {
                serde_json::json!({ "number": number })
            } else {
                let language = ["es", "fr", "it"][number as usize % 3];
                serde_json::json!({ "language": language, "level": number % 12 })
            };
            let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes(attributes.to_string()) };
            let Reply::Task(task) = floor.carry_out(&Command::CreateTask(new)) else { unreachable!() };
            tasks.push(task);
        }
        let waiting = |task: &TaskSid| {
            floor.workspace.queue_position(*task, floor.now).is_some_and(|position| position.ahead.is_ok())
        };
        let waiting: Vec<TaskSid> = tasks.iter().copied().filter(waiting).collect();
        (floor, workflow, waiting, workers)
    }
}

fn questions(criterion: &mut Criterion) {
    let (floor, workflow, tasks, workers) = Floor::fill();
    let (workspace, now) = (&floor.workspace, floor.now);
    let mut group = criterion.benchmark_group("questions");
    group.sample_size(20);
    let middle = tasks[tasks.len() / 2];
    let page = WorkerPage { after: None, limit: 100, only: None };
    group.bench_function("position", |bencher| bencher.iter(|| workspace.queue_position(black_box(middle), now)));
    group.bench_function("explain_task", |bencher| {
        bencher.iter(|| workspace.explain_task(black_box(middle), now, &page));
    });
    let worker = workers[0];
    group.bench_function("explain_worker", |bencher| {
        bencher.iter(|| workspace.explain_worker(black_box(worker), now, 100));
    });
    let run = DryRun {
        attributes: r#"{"language":"es","level":5}"#.to_owned(),
        workflow: Some(workflow),
        limit: 100,
        ..DryRun::default()
    };
    group.bench_function("dry_run", |bencher| bencher.iter(|| workspace.dry_run(black_box(&run), now)));
    group.bench_function("lint", |bencher| bencher.iter(|| workspace.lint(Some(black_box(workflow)), None)));
    group.finish();
}

criterion_group!(benches, questions);
criterion_main!(benches);
