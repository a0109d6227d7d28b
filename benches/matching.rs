//! What one match costs, by the number of waiting tasks: 1k, 10k, 100k and 1M in 200 queues.
//!
//! One cycle: a worker completes its task and is matched with the next one of its five queues, and a new task takes
//! its place in the backlog. The aim is a growth of at most 6 from the smallest to the largest backlog.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;

use switchhook::routing::command::{
    NewTask, NewTaskQueue, NewWorker, NewWorkflow, NewWorkspace, ReservationChange, ReservationParent,
};
use switchhook::routing::{
    AccountSid, Command, Reply, ResourceLimits, RowChange, SidSource, TaskOrder, TaskSid, Timestamp, WorkerSid,
    WorkflowSid, Workspace,
};

const QUEUES: u32 = 200;
const WORKERS: u32 = 200;

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
    workflow: WorkflowSid,
    workers: Vec<WorkerSid>,
    next_worker: usize,
    next_task: u32,
}

impl Floor {
    fn new(backlog: u32) -> Self {
        let mut sids = Counter(0);
        let now = Timestamp(1_790_000_000_000);
        let new = NewWorkspace::named("bench");
        let (mut workspace, _) = Workspace::create(AccountSid::from_bits(1), &new, now, &mut sids).expect("valid");
        workspace.hold_at_most(ResourceLimits { tasks: 2_000_000, ..ResourceLimits::default() });
        let mut filters = Vec::new();
        for number in 0..QUEUES {
            let queue = NewTaskQueue {
                friendly_name: format!("queue {number}"),
                target_workers: format!("queues HAS {number}"),
                task_order: TaskOrder::Fifo,
                max_reserved_workers: 1,
                reservation_activity: None,
                assignment_activity: None,
            };
            let done = workspace.handle(&Command::CreateTaskQueue(queue), now, &mut sids).expect("valid");
            let Reply::TaskQueue(queue) = done.reply else { unreachable!("a queue was made") };
            filters.push(
                serde_json::json!({ "expression": format!("queue == {number}"), "targets": [{ "queue": queue }] }),
            );
        }
        let workflow = NewWorkflow {
            friendly_name: "all".to_owned(),
            configuration: serde_json::json!({ "task_routing": { "filters": filters } }).to_string(),
            assignment_callback_url: None,
            fallback_assignment_callback_url: None,
            task_reservation_timeout_secs: 86_400,
        };
        let done = workspace.handle(&Command::CreateWorkflow(workflow), now, &mut sids).expect("valid");
        let Reply::Workflow(workflow) = done.reply else { unreachable!("a workflow was made") };
        let mut floor = Self { workspace, sids, now, workflow, workers: Vec::new(), next_worker: 0, next_task: 0 };
        for _ in 0..backlog {
            floor.add_task();
        }
        let available = floor.workspace.rows().activities;
        let available = available.iter().find(|row| row.available).expect("built in").sid;
        for number in 0..WORKERS {
            let queues: Vec<u32> = (0..5).map(|step| (number + step * 37) % QUEUES).collect();
            let worker = NewWorker {
                friendly_name: format!("worker {number}"),
                attributes: serde_json::json!({ "queues": queues }).to_string(),
                activity: Some(available),
            };
            let Reply::Worker(worker) = floor.carry_out(&Command::CreateWorker(worker)) else {
                unreachable!("a worker was made")
            };
            floor.workers.push(worker);
            floor.accept(worker);
        }
        floor
    }

    fn carry_out(&mut self, command: &Command) -> Reply {
        self.now = self.now.plus_ms(1);
        let done =
            self.workspace.handle(command, self.now, &mut self.sids).expect("the bench asks for what is allowed");
        black_box(&done.events);
        let _: Vec<RowChange> = black_box(self.workspace.take_changes());
        done.reply
    }

    fn add_task(&mut self) -> TaskSid {
        let number = self.next_task;
        self.next_task += 1;
        let attributes = serde_json::json!({ "queue": number % QUEUES, "n": number }).to_string();
        let task = NewTask { workflow: Some(self.workflow), ..NewTask::with_attributes(attributes) };
        match self.carry_out(&Command::CreateTask(task)) {
            Reply::Task(task) => task,
            other => unreachable!("{other:?}"),
        }
    }

    /// Accepts the worker's offer.
    fn accept(&mut self, worker: WorkerSid) {
        self.change(worker, ReservationChange::Accept);
    }

    fn change(&mut self, worker: WorkerSid, change: ReservationChange) {
        let Some(reservation) = self.workspace.open_reservations_of_worker(worker).next() else { return };
        let command = Command::UpdateReservation {
            parent: ReservationParent::Worker(worker),
            reservation,
            change,
            if_match: None,
        };
        self.carry_out(&command);
    }

    /// One worker finishes and takes the next task; one task arrives.
    fn cycle(&mut self) {
        let worker = self.workers[self.next_worker];
        self.next_worker = (self.next_worker + 1) % self.workers.len();
        self.change(worker, ReservationChange::Complete);
        self.accept(worker);
        self.add_task();
    }
}

fn match_cost(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("match");
    group.sample_size(20);
    for backlog in [1_000, 10_000, 100_000, 1_000_000] {
        let mut floor = Floor::new(backlog);
        group.bench_function(BenchmarkId::from_parameter(backlog), |bencher| bencher.iter(|| floor.cycle()));
    }
    group.finish();
}

criterion_group!(benches, match_cost);
criterion_main!(benches);
