//! What it costs to change the attributes of a worker when there are 5,000 queues, in the core alone.
//!
//! Beside it: one evaluation of as many prepared expressions by cel-interpreter. Start with [`measure`].

use std::hint::black_box;
use std::time::Duration;

use serde_json::json;
use switchhook::clock::Clock;
use switchhook::routing::command::{
    NewTask, NewTaskQueue, NewWorker, NewWorkflow, NewWorkspace, TaskUpdate, WorkerUpdate,
};
use switchhook::routing::{
    AccountSid, Command, Reply, SidSource, TaskOrder, TaskQueueSid, TaskStatus, Timestamp, WorkerSid, Workspace,
};

use crate::figures::{Durations, Table, ms, ratio};

const TARGET: Duration = Duration::from_millis(1);
const QUEUES: usize = 5_000;
const SKILLS: usize = 500;
const WORKERS: usize = 100;
const SKILLS_OF_WORKER: usize = 5;
const ROUNDS: usize = 2_000;
const CEL_ROUNDS: usize = 100;

/// Counts up; the order of creation is the order of the SIDs.
struct Counter(u128);

impl SidSource for Counter {
    fn next_bits(&mut self, _now: Timestamp) -> u128 {
        self.0 += 1;
        self.0
    }
}

pub(crate) fn measure(table: &mut Table) {
    println!("changing the attributes of workers with {QUEUES} queues");
    let ours = change_workers();
    let cel = evaluate_cel();
    let mean = ours.iter().sum::<Duration>() / u32::try_from(ours.len()).expect("few rounds");
    let ours = Durations::of(ours);
    table.judge(
        "attributes: change of a worker with 5,000 queues, mean",
        "≤ 1 ms",
        format!("{} ({})", ms(mean), ours.summary()),
        mean <= TARGET,
    );
    table.note("attributes: cel-interpreter, 5,000 expressions", cel.summary());
    table.note("attributes: cel-interpreter to ours, medians", ratio(cel.p50(), ours.p50()));
}

/// Queue `number` wants one of the skills at one of ten levels.
fn wish(number: usize) -> (String, usize) {
    (format!("s{:03}", number % SKILLS), number / SKILLS)
}

fn attributes_of(worker: usize, round: usize) -> serde_json::Value {
    let skills: Vec<String> =
        (0..SKILLS_OF_WORKER).map(|step| format!("s{:03}", (worker * 7 + round * 13 + step * 101) % SKILLS)).collect();
    json!({ "skills": skills, "level": 3 + round % 4, "languages": ["de", "en"], "site": "berlin" })
}

fn change_workers() -> Vec<Duration> {
    let mut sids = Counter(0);
    let mut now = Timestamp(1_790_000_000_000);
    let new = NewWorkspace::named("bench");
    let (mut workspace, _) = Workspace::create(AccountSid::from_bits(1), &new, now, &mut sids).expect("valid");
    let mut carry_out = |workspace: &mut Workspace, command: &Command| {
        now = now.plus_ms(1);
        let done = workspace.handle(command, now, &mut sids).expect("the bench asks for what is allowed");
        black_box(&done.events);
        black_box(workspace.take_changes());
        done.reply
    };
    let mut queues: Vec<TaskQueueSid> = Vec::with_capacity(QUEUES);
    for number in 0..QUEUES {
        let (skill, level) = wish(number);
        let new = NewTaskQueue {
            friendly_name: format!("queue {number}"),
            target_workers: format!("skills HAS '{skill}' AND level >= {level} AND site == 'berlin'"),
            task_order: TaskOrder::Fifo,
            max_reserved_workers: 1,
            reservation_activity: None,
            assignment_activity: None,
        };
        let Reply::TaskQueue(queue) = carry_out(&mut workspace, &Command::CreateTaskQueue(new)) else {
            unreachable!("a queue was made")
        };
        queues.push(queue);
    }
    let mut workers: Vec<WorkerSid> = Vec::with_capacity(WORKERS);
    for worker in 0..WORKERS {
        let new = NewWorker {
            friendly_name: format!("worker {worker}"),
            attributes: attributes_of(worker, 0).to_string(),
            activity: None,
        };
        let Reply::Worker(worker) = carry_out(&mut workspace, &Command::CreateWorker(new)) else {
            unreachable!("a worker was made")
        };
        workers.push(worker);
    }
    // One task for each queue, so that each has a lane that workers stand in once they are available.
    let filters: Vec<serde_json::Value> = (queues.iter().enumerate())
        .map(|(number, queue)| json!({ "expression": format!("n == {number}"), "targets": [{ "queue": queue }] }))
        .collect();
    let workflow = NewWorkflow {
        friendly_name: "all".to_owned(),
        configuration: json!({ "task_routing": { "filters": filters } }).to_string(),
        assignment_callback_url: None,
        fallback_assignment_callback_url: None,
        task_reservation_timeout_secs: 86_400,
    };
    carry_out(&mut workspace, &Command::CreateWorkflow(workflow));
    for number in 0..QUEUES {
        let new = NewTask::with_attributes(json!({ "n": number }).to_string());
        let Reply::Task(task) = carry_out(&mut workspace, &Command::CreateTask(new)) else {
            unreachable!("a task was made")
        };
        let cancel = TaskUpdate { status: Some(TaskStatus::Canceled), ..TaskUpdate::default() };
        carry_out(&mut workspace, &Command::UpdateTask(task, cancel));
    }
    let available = workspace.rows().activities.iter().find(|row| row.available).expect("built in").sid;
    for worker in &workers {
        let update = WorkerUpdate { activity: Some(available), ..WorkerUpdate::default() };
        carry_out(&mut workspace, &Command::UpdateWorker(*worker, update));
    }
    let clock = Clock::system();
    let mut samples = Vec::with_capacity(ROUNDS);
    for round in 1..=ROUNDS {
        let at = round % WORKERS;
        let attributes = attributes_of(at, round).to_string();
        let update = WorkerUpdate { attributes: Some(attributes), ..WorkerUpdate::default() };
        let command = Command::UpdateWorker(workers[at], update);
        let started = clock.instant();
        carry_out(&mut workspace, &command);
        samples.push(started.elapsed());
    }
    samples
}

fn evaluate_cel() -> Durations {
    let programs: Vec<cel_interpreter::Program> = (0..QUEUES)
        .map(|number| {
            let (skill, level) = wish(number);
            let text = format!("'{skill}' in skills && level >= {level} && site == 'berlin'");
            cel_interpreter::Program::compile(&text).expect("the expression is correct")
        })
        .collect();
    let clock = Clock::system();
    let mut samples = Vec::with_capacity(CEL_ROUNDS);
    for round in 0..CEL_ROUNDS {
        let mut context = cel_interpreter::Context::default();
        for (name, value) in attributes_of(round, round).as_object().expect("an object") {
            context.add_variable(name.as_str(), value).expect("JSON has a CEL form");
        }
        let started = clock.instant();
        let members = programs.iter().filter(|program| program.execute(&context) == Ok(true.into())).count();
        black_box(members);
        samples.push(started.elapsed());
    }
    Durations::of(samples)
}
