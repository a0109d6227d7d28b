//! The scene: 10,000 workers, 200 queues, and tasks that wait because nobody suits or whoever suits is busy.
//!
//! Queues 0 to 19 are *live*: their 1,000 workers take what arrives. The queues from 20 on are the *backlog*: their
//! members are offline, or are 1,000 workers whose capacity is used up by the first tasks. Every second backlog queue has
//! a rule that compares worker and task. Everything is made through the engine, as requests would. Start with
//! [`Scene::furnish`].

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::json;
use switchhook::clock::{Clock, Entropy};
use switchhook::engine::{Engine, Request};
use switchhook::routing::command::{NewTask, NewTaskQueue, NewWorker, NewWorkflow, NewWorkspace};
use switchhook::routing::{
    AccountSid, ActivitySid, Command, Reply, TaskOrder, TaskQueueSid, WorkerSid, WorkflowSid, WorkspaceSid,
};
use switchhook::store::{Account, Store};
use tokio::task::JoinSet;

use crate::server::Server;

pub(crate) const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
pub(crate) const TOKEN: &str = "fedcba9876543210fedcba9876543210";

const QUEUES: usize = 200;
pub(crate) const LIVE_QUEUES: usize = 20;
const LIVE_WORKERS: usize = 1_000;
const BUSY_WORKERS: usize = 1_000;
const OFFLINE_WORKERS: usize = 8_000;
/// Queues whose members are the busy workers, besides offline ones.
const BUSY_QUEUES: usize = 90;
const SKILLS_OF_WORKER: usize = 5;

/// Length of a task's attributes, in bytes.
const ATTRIBUTE_BYTES: usize = 343;

/// Requests under way while the scene is made.
const CALLERS: usize = 64;

/// A database file, what is in it, and the server on it.
pub(crate) struct Scene {
    directory: tempfile::TempDir,
    pub(crate) workspace: WorkspaceSid,
    pub(crate) workflow: WorkflowSid,
    pub(crate) available: ActivitySid,
    /// The first queue of the backlog, its only members being offline.
    pub(crate) spare_queue: TaskQueueSid,
    /// A worker who is offline and a member of `spare_queue` only.
    pub(crate) spare_worker: WorkerSid,
    pub(crate) server: Option<Server>,
}

impl Scene {
    /// Makes the file with everything but the tasks.
    pub(crate) async fn furnish() -> Self {
        println!("making 10,000 workers and 200 queues");
        let directory = tempfile::tempdir().expect("a directory");
        let (store, engine) = open(&directory.path().join("bench.db")).await;
        let account = Account {
            sid: ACCOUNT.parse().expect("an account SID"),
            friendly_name: "bench".to_owned(),
            auth_token: SecretString::from(TOKEN.to_owned()),
            created_at: Clock::system().now(),
        };
        let sid: AccountSid = account.sid;
        store.create_account(account).await.expect("written");
        let new = NewWorkspace::named("bench");
        let workspace = engine.create_workspace(sid, new).await.expect("made");
        let activities = engine.look(workspace, |workspace, _| workspace.rows().activities).await.expect("running");
        let available = activities.iter().find(|row| row.available).expect("built in").sid;
        let queues = make_queues(&engine, workspace).await;
        let workflow = make_workflow(&engine, workspace, &queues).await;
        make_workers(&engine, workspace, available).await;
        let spare = NewWorker {
            friendly_name: "spare".to_owned(),
            attributes: json!({ "skills": [skill(LIVE_QUEUES)], "level": 5 }).to_string(),
            activity: None,
        };
        let Reply::Worker(spare_worker) = send(&engine, workspace, Command::CreateWorker(spare)).await else {
            unreachable!("a worker was made")
        };
        engine.shutdown().await;
        store.close().await;
        Self { directory, workspace, workflow, available, spare_queue: queues[LIVE_QUEUES], spare_worker, server: None }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("bench.db")
    }

    /// Starts the server on the file unless it runs.
    pub(crate) async fn start(&mut self) -> &Server {
        if self.server.is_none() {
            let server = Server::spawn(&self.database());
            server.wait_until_ready().await;
            self.server = Some(server);
        }
        self.server.as_ref().expect("just started")
    }

    /// Kills the server as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.server = None;
    }

    /// Makes the waiting tasks through an engine in this process, which is faster than by requests.
    pub(crate) async fn fill_in_process(&mut self, tasks: usize) {
        println!("making {tasks} waiting tasks");
        let (store, engine) = open(&self.database()).await;
        let engine = Arc::new(engine);
        let workspace = self.workspace;
        let workflow = self.workflow;
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let engine = Arc::clone(&engine);
            callers.spawn(async move {
                for number in (caller..tasks + BUSY_WORKERS).step_by(CALLERS) {
                    let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes(backlog_task(number)) };
                    send(&engine, workspace, Command::CreateTask(new)).await;
                }
            });
        }
        while let Some(done) = callers.join_next().await {
            done.expect("all tasks were made");
        }
        engine.shutdown().await;
        store.close().await;
    }

    /// The same by requests to the running server, for the tasks of these numbers.
    pub(crate) async fn fill_by_requests(&mut self, numbers: std::ops::Range<usize>) {
        println!("making {} waiting tasks by requests", numbers.len());
        let path = format!("/Workspaces/{}/Tasks", self.workspace);
        let workflow = self.workflow.to_string();
        let client = self.start().await.client();
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (client, path, workflow) = (client.clone(), path.clone(), workflow.clone());
            let numbers = numbers.clone();
            callers.spawn(async move {
                for number in numbers.skip(caller).step_by(CALLERS) {
                    let attributes = backlog_task(number);
                    client.post(&path, &[("WorkflowSid", &workflow), ("Attributes", &attributes)]).await;
                }
            });
        }
        while let Some(done) = callers.join_next().await {
            done.expect("all tasks were made");
        }
    }
}

async fn open(path: &std::path::Path) -> (Store, Engine) {
    let store = Store::open(&format!("sqlite:{}", path.display())).await.expect("the database opens");
    let engine = Engine::start(store.clone(), None, Clock::system(), Entropy).await.expect("the engine starts");
    (store, engine)
}

async fn send(engine: &Engine, workspace: WorkspaceSid, command: Command) -> Reply {
    engine.send(workspace, Request::Routing(command)).await.expect("the bench asks for what is allowed")
}

fn skill(number: usize) -> String {
    format!("s{number:03}")
}

async fn make_queues(engine: &Engine, workspace: WorkspaceSid) -> Vec<TaskQueueSid> {
    let mut queues = Vec::with_capacity(QUEUES);
    for number in 0..QUEUES {
        let new = NewTaskQueue {
            friendly_name: format!("queue {number}"),
            target_workers: format!("skills HAS '{}' AND level >= 1", skill(number)),
            task_order: TaskOrder::Fifo,
            max_reserved_workers: 1,
            reservation_activity: None,
            assignment_activity: None,
        };
        let Reply::TaskQueue(queue) = send(engine, workspace, Command::CreateTaskQueue(new)).await else {
            unreachable!("a queue was made")
        };
        queues.push(queue);
    }
    queues
}

async fn make_workflow(engine: &Engine, workspace: WorkspaceSid, queues: &[TaskQueueSid]) -> WorkflowSid {
    let mut filters = Vec::with_capacity(QUEUES);
    for (number, queue) in queues.iter().enumerate() {
        let target = if number % 2 == 0 {
            json!({ "queue": queue })
        } else {
            json!({ "queue": queue, "expression": "worker.level >= task.min_level" })
        };
        filters.push(json!({ "expression": format!("type == '{}'", skill(number)), "targets": [target] }));
    }
    let new = NewWorkflow {
        friendly_name: "all".to_owned(),
        configuration: json!({ "task_routing": { "filters": filters } }).to_string(),
        assignment_callback_url: None,
        fallback_assignment_callback_url: None,
        task_reservation_timeout_secs: 86_400,
    };
    let Reply::Workflow(workflow) = send(engine, workspace, Command::CreateWorkflow(new)).await else {
        unreachable!("a workflow was made")
    };
    workflow
}

async fn make_workers(engine: &Engine, workspace: WorkspaceSid, available: ActivitySid) {
    let total = LIVE_WORKERS + BUSY_WORKERS + OFFLINE_WORKERS - 1;
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let engine = engine.clone();
        callers.spawn(async move {
            for number in (caller..total).step_by(CALLERS) {
                let (first, queues, activity) = match number {
                    0..LIVE_WORKERS => (0, LIVE_QUEUES, Some(available)),
                    number if number < LIVE_WORKERS + BUSY_WORKERS => (LIVE_QUEUES + 1, BUSY_QUEUES, Some(available)),
                    _ => (LIVE_QUEUES + 1, QUEUES - LIVE_QUEUES - 1, None),
                };
                let skills: Vec<String> =
                    (0..SKILLS_OF_WORKER).map(|step| skill(first + (number * 7 + step * 11) % queues)).collect();
                let attributes = json!({
                    "skills": skills,
                    "level": 1 + number % 5,
                    "languages": ["de", "en"],
                    "contact_uri": format!("client:worker{number}"),
                    "site": "berlin",
                });
                let new = NewWorker {
                    friendly_name: format!("worker {number}"),
                    attributes: attributes.to_string(),
                    activity,
                };
                send(&engine, workspace, Command::CreateWorker(new)).await;
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.expect("all workers were made");
    }
}

/// Attributes of a task for the backlog.
fn backlog_task(number: usize) -> String {
    task_attributes(LIVE_QUEUES + number % (QUEUES - LIVE_QUEUES), number)
}

/// Attributes of a task that a live worker takes.
pub(crate) fn live_task(number: usize) -> String {
    task_attributes(number % LIVE_QUEUES, number)
}

fn task_attributes(queue: usize, number: usize) -> String {
    let attributes = |note: &str| {
        json!({
            "type": skill(queue),
            "min_level": 1 + number % 3,
            "language": "de",
            "from": format!("+1555{number:07}"),
            "to": "+15550100",
            "direction": "inbound",
            "call_sid": format!("CA{number:032x}"),
            "customer": { "id": number, "tier": "gold", "country": "DE" },
            "note": note,
        })
        .to_string()
    };
    let bare = attributes("").len();
    attributes(&"n".repeat(ATTRIBUTE_BYTES.saturating_sub(bare)))
}
