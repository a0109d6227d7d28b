//! The engine on a real SQLite file: durability, restart, supervision, the coupling of both cores.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::actor::Call;
use super::*;
use crate::calls::{
    CallSid, CallStatus, CallbackTerms, ConferenceOptions, Input, Park, PhoneOutcome, QueueResult, Role, RoomEvent,
};
use crate::phone::{Patience, PhoneSettings};
use crate::routing::command::{
    NewTask, NewTaskQueue, NewTransfer, NewWorker, NewWorkflow, ReservationChange, ReservationParent, TaskUpdate,
    WorkerUpdate,
};
use crate::routing::rollup::{FiguresOf, Stretch};
use crate::routing::{
    ActivitySid, Command, FactKind, ReservationSid, ReservationStatus, ResourceLimits, TaskOrder, TaskSid, TaskStatus,
    Timestamp, TransferMode, TransferStatus, TransferTarget, WorkerSid, WorkflowSid,
};
use crate::store::Loaded;
use crate::store::lists::EventFilter;
use crate::store::pages::{Seek, Span};
use crate::store::statistics::Question;

mod access;
mod assignments;
mod calls;
mod dialling;
mod full;
mod instructions;
mod legs;
mod portions;
mod repeats;

const START: Timestamp = Timestamp(1_790_000_000_000);

/// A server's inner half in a directory of its own.
struct Bench {
    _directory: tempfile::TempDir,
    url: String,
    clock: Clock,
    engine: Engine,
    workspace: WorkspaceSid,
    /// A phone system that takes requests and never answers.
    silent_phone: Option<std::net::TcpListener>,
}

impl Bench {
    /// Without a phone system.
    async fn start() -> Self {
        Self::start_with(None).await
    }

    /// With a phone system whose answers are given by hand, through callbacks.
    async fn start_with_silent_phone() -> Self {
        Self::start_with(Some(std::net::TcpListener::bind("127.0.0.1:0").unwrap())).await
    }

    async fn start_with(silent_phone: Option<std::net::TcpListener>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("switchhook.db").display());
        let clock = Clock::fixed(START);
        let engine = start(&url, &clock, usual_limits(), silent_phone.as_ref()).await;
        let account = crate::store::Account {
            sid: AccountSid::from_bits(1),
            friendly_name: "test".to_owned(),
            auth_token: secrecy::SecretString::from("0".repeat(32)),
            created_at: START,
        };
        let sid = account.sid;
        engine.0.around.store.create_account(account).await.unwrap();
        let new = NewWorkspace::named("Floor");
        let workspace = engine.create_workspace(sid, new).await.unwrap();
        Self { _directory: directory, url, clock, engine, workspace, silent_phone }
    }

    /// Stops everything and starts again on what is on disk.
    async fn restart(&mut self) {
        self.restart_within(usual_limits()).await;
    }

    async fn restart_within(&mut self, limits: Limits) {
        self.engine.shutdown().await;
        self.engine.0.around.store.close().await;
        self.engine = start(&self.url, &self.clock, limits, self.silent_phone.as_ref()).await;
    }

    async fn routing(&self, command: Command) -> Reply {
        self.engine.send(self.workspace, Request::Routing(command)).await.unwrap()
    }

    /// Asks again as long as the workspace is being loaded again.
    async fn until_taken(&self, command: Command) -> Reply {
        loop {
            match self.engine.send(self.workspace, Request::Routing(command.clone())).await {
                Err(Error::Unavailable) => tokio::task::yield_now().await,
                outcome => return outcome.unwrap(),
            }
        }
    }

    async fn call(&self, task: TaskSid, input: Input) {
        self.engine.send(self.workspace, Request::Call { task, input }).await.unwrap();
    }

    async fn loaded(&self) -> Loaded {
        self.engine.0.around.store.load(self.workspace).await.unwrap().unwrap()
    }

    async fn task(&self, task: TaskSid) -> crate::routing::Task {
        self.loaded().await.rows.tasks.into_iter().find(|row| row.sid == task).unwrap()
    }

    async fn reservation_of(&self, task: TaskSid) -> crate::routing::Reservation {
        self.loaded().await.rows.reservations.into_iter().rfind(|row| row.task == task).unwrap()
    }

    async fn available(&self) -> ActivitySid {
        let rows = self.loaded().await.rows;
        rows.activities.iter().find(|row| row.friendly_name == "Available").unwrap().sid
    }

    /// One queue for all, one workflow, one available worker.
    async fn furnish(&self) -> (WorkflowSid, WorkerSid) {
        let new = NewTaskQueue {
            friendly_name: "All".to_owned(),
            target_workers: "1==1".to_owned(),
            task_order: TaskOrder::Fifo,
            max_reserved_workers: 1,
            reservation_activity: None,
            assignment_activity: None,
        };
        let Reply::TaskQueue(queue) = self.routing(Command::CreateTaskQueue(new)).await else { panic!("a queue") };
        let configuration = json!({ "task_routing": { "default_filter": { "queue": queue } } }).to_string();
        let new = NewWorkflow {
            friendly_name: "Inbound".to_owned(),
            configuration,
            assignment_callback_url: None,
            fallback_assignment_callback_url: None,
            task_reservation_timeout_secs: 30,
        };
        let Reply::Workflow(workflow) = self.routing(Command::CreateWorkflow(new)).await else { panic!("a workflow") };
        let new = NewWorker {
            friendly_name: "alice".to_owned(),
            attributes: r#"{"contact_uri":"client:alice"}"#.to_owned(),
            activity: Some(self.available().await),
        };
        let Reply::Worker(worker) = self.routing(Command::CreateWorker(new)).await else { panic!("a worker") };
        (workflow, worker)
    }

    async fn second_workflow(&self, like: WorkflowSid) -> WorkflowSid {
        let first = self.loaded().await.rows.workflows.into_iter().find(|row| row.sid == like).unwrap();
        let new = NewWorkflow {
            friendly_name: "Other".to_owned(),
            configuration: first.configuration,
            assignment_callback_url: None,
            fallback_assignment_callback_url: None,
            task_reservation_timeout_secs: 30,
        };
        let Reply::Workflow(workflow) = self.routing(Command::CreateWorkflow(new)).await else { panic!("a workflow") };
        workflow
    }

    async fn enqueue(&self, workflow: WorkflowSid, call: &str) -> TaskSid {
        let Reply::Task(task) = self.try_enqueue(workflow, call).await.unwrap() else { panic!("a task") };
        task
    }

    async fn try_enqueue(&self, workflow: WorkflowSid, call: &str) -> Result<Reply, Error> {
        self.engine.send(self.workspace, enqueueing(workflow, call)).await
    }

    async fn instruct(&self, reservation: ReservationSid) -> Result<Reply, Error> {
        let options = ConferenceOptions { end_conference_on_exit: true, ..ConferenceOptions::default() };
        let instruction = ReservationInstruction::Conference(Box::new(options));
        let request = Request::Instruct { parent: ReservationParent::Any, reservation, instruction, if_match: None };
        self.engine.send(self.workspace, request).await
    }

    async fn assert_agrees(&self) {
        assert!(self.engine.agrees_with_store(self.workspace).await.unwrap(), "memory and disk differ");
    }
}

/// The request of a call that is to wait.
fn enqueueing(workflow: WorkflowSid, call: &str) -> Request {
    Request::EnqueueCall {
        workflow,
        call: CallSid(call.to_owned()),
        from: "+15551110000".to_owned(),
        to: "+15552220000".to_owned(),
        attributes: json!({ "call_sid": call }).to_string(),
        priority: None,
        timeout_secs: None,
        park: Park::default(),
    }
}

/// Those of a server that may dial numbers.
fn usual_limits() -> Limits {
    let rules = Arc::new(crate::calls::DialRules::parse(&["+1"]).unwrap());
    Limits {
        dialling: crate::calls::Dialling { rules, ..crate::calls::Dialling::default() }.into(),
        ..Limits::default()
    }
}

async fn start(url: &str, clock: &Clock, limits: Limits, silent_phone: Option<&std::net::TcpListener>) -> Engine {
    crate::outbound::install_tls();
    let phone = silent_phone.map(|listener| {
        let settings = PhoneSettings {
            url: format!("http://{}", listener.local_addr().unwrap()),
            account_sid: "AC1".to_owned(),
            credentials: crate::phone::Credentials::Bearer(secrecy::SecretString::from("0".repeat(32))),
            public_url: "http://127.0.0.1:1".to_owned(),
            leg_secs_max: 14_400,
            max_cps: None,
            abilities: crate::phone::Abilities::default(),
            wording: crate::phone::Wording::default(),
        };
        PhoneSystem::new(settings, Patience::default(), clock, Entropy).unwrap()
    });
    let store = Store::open(url).await.unwrap();
    Engine::start_within(limits, store, phone, clock.clone(), Entropy).await.unwrap()
}

#[tokio::test]
async fn a_finished_task_is_removed_after_five_minutes_whatever_stops_meanwhile() {
    let mut bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") };
    let Reply::Task(task) = bench.routing(Command::CreateTask(new)).await else { panic!("a task") };
    let canceled = TaskUpdate { status: Some(TaskStatus::Canceled), ..TaskUpdate::default() };
    bench.routing(Command::UpdateTask(task, canceled)).await;
    let events = bench.loaded().await.rows.settings.last_sequence;

    bench.clock.advance(Duration::from_millis(299_999));
    bench.restart().await;
    bench.routing(Command::Tick).await;
    let rows = bench.loaded().await.rows;
    assert_eq!((rows.tasks.len(), rows.reservations.len()), (1, 1));
    assert_eq!(rows.tasks[0].status, TaskStatus::Canceled);

    // The moment passes while nothing runs.
    bench.engine.shutdown().await;
    bench.clock.advance(Duration::from_millis(1));
    bench.restart().await;
    bench.routing(Command::Tick).await;
    let rows = bench.loaded().await.rows;
    assert_eq!((rows.tasks.len(), rows.reservations.len()), (0, 0));
    assert_eq!(rows.settings.last_sequence, events, "the removal is no event");
    bench.assert_agrees().await;
}

#[tokio::test]
async fn a_workspace_holds_as_much_as_it_is_set_to_and_keeps_what_it_has() {
    let mut bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    let resources = ResourceLimits { tasks: 1, workers: 1, workflows: 2, ..ResourceLimits::default() };
    bench.restart_within(Limits { resources, ..usual_limits() }).await;
    let send = async |command| bench.engine.send(bench.workspace, Request::Routing(command)).await;
    let another = NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") };
    send(Command::CreateTask(another.clone())).await.unwrap();
    let full = |kind, limit| Err(Error::Refused(crate::routing::Refusal::LimitReached { kind, limit }));
    assert_eq!(send(Command::CreateTask(another)).await, full("tasks", 1));
    bench.second_workflow(workflow).await;
    let workflows = bench.loaded().await.rows.workflows.len();
    let row = bench.loaded().await.rows.workflows.remove(0);
    let third = crate::routing::command::NewWorkflow {
        friendly_name: "third".to_owned(),
        configuration: row.configuration,
        assignment_callback_url: None,
        fallback_assignment_callback_url: None,
        task_reservation_timeout_secs: 120,
    };
    let refused = bench.engine.send(bench.workspace, Request::Routing(Command::CreateWorkflow(third))).await;
    assert_eq!(refused, full("workflows", 2));
    // More than is allowed now stays.
    let resources = ResourceLimits { workflows: 1, ..ResourceLimits::default() };
    bench.restart_within(Limits { resources, ..usual_limits() }).await;
    assert_eq!(bench.loaded().await.rows.workflows.len(), workflows);
    bench.assert_agrees().await;
}

#[tokio::test]
async fn a_workflow_takes_no_more_waiting_calls_than_its_voice_queue_holds() {
    let mut bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    let tasks = [bench.enqueue(workflow, "CA1").await, bench.enqueue(workflow, "CA2").await];
    bench.restart_within(Limits { waiting_calls: 2, ..usual_limits() }).await;
    let full = Error::Refused(crate::routing::Refusal::VoiceQueueFull { workflow, limit: 2 });
    assert_eq!(bench.try_enqueue(workflow, "CA3").await, Err(full.clone()));
    assert_eq!(bench.loaded().await.rows.tasks.len(), 2);
    assert_eq!(bench.enqueue(workflow, "CA2").await, tasks[1], "the same call again is no further one");
    // Tasks without a call do not count, nor do calls of another workflow.
    bench.routing(Command::CreateTask(NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") })).await;
    let other = bench.second_workflow(workflow).await;
    bench.enqueue(other, "CA4").await;

    // The first caller has been answered, so there is room for one more.
    let offer = bench.reservation_of(tasks[0]).await;
    let change = Command::UpdateReservation {
        parent: ReservationParent::Any,
        reservation: offer.sid,
        change: ReservationChange::Accept,
        if_match: None,
    };
    bench.routing(change).await;
    bench.enqueue(workflow, "CA5").await;
    assert_eq!(bench.try_enqueue(workflow, "CA6").await, Err(full));

    // One who has hung up does not wait any more.
    bench.call(tasks[1], Input::Left { result: QueueResult::Hangup, call_ended: true, queue_time_secs: Some(3) }).await;
    bench.enqueue(workflow, "CA6").await;
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let mut bench = Bench::start().await;
    let (workflow, worker) = bench.furnish().await;
    let mut tasks = Vec::new();
    for number in 0..20 {
        let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes(json!({ "n": number }).to_string()) };
        let Reply::Task(task) = bench.routing(Command::CreateTask(new)).await else { panic!("a task") };
        tasks.push(task);
    }
    let reservation = bench.reservation_of(tasks[0]).await;
    assert_eq!(reservation.worker, worker);
    let change = Command::UpdateReservation {
        parent: ReservationParent::Task(tasks[0]),
        reservation: reservation.sid,
        change: ReservationChange::Accept,
        if_match: Some(0),
    };
    bench.routing(change).await;
    bench.assert_agrees().await;
    let before = bench.loaded().await;
    bench.restart().await;
    let after = bench.loaded().await;
    assert_eq!(before.rows, after.rows);
    bench.assert_agrees().await;
    assert_eq!(bench.task(tasks[0]).await.status, TaskStatus::Assigned);
    assert_eq!(bench.task(tasks[19]).await.status, TaskStatus::Pending);
}

#[tokio::test]
async fn deadlines_go_on_after_a_restart() {
    let mut bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") };
    let Reply::Task(task) = bench.routing(Command::CreateTask(new)).await else { panic!("a task") };
    assert_eq!(bench.task(task).await.status, TaskStatus::Reserved);
    bench.restart().await;
    bench.clock.advance(Duration::from_secs(30));
    bench.routing(Command::Tick).await;
    assert_eq!(bench.reservation_of(task).await.status, ReservationStatus::Timeout);
    assert_eq!(bench.task(task).await.status, TaskStatus::Pending);
    bench.assert_agrees().await;
}

#[tokio::test]
async fn time_goes_on_after_a_restart_with_a_clock_that_was_set_back() {
    let mut bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    bench.clock.advance(Duration::from_mins(1));
    let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") };
    let Reply::Task(task) = bench.routing(Command::CreateTask(new.clone())).await else { panic!("a task") };
    let offered = bench.reservation_of(task).await.created_at;
    bench.clock = Clock::fixed(START.plus_ms(-3_600_000));
    bench.restart().await;
    // The offer has as much time left as it had.
    bench.clock.advance(Duration::from_secs(29));
    bench.routing(Command::Tick).await;
    assert_eq!(bench.reservation_of(task).await.status, ReservationStatus::Pending);
    bench.clock.advance(Duration::from_secs(5));
    bench.routing(Command::Tick).await;
    assert_eq!(bench.reservation_of(task).await.status, ReservationStatus::Timeout);
    bench.routing(Command::CreateTask(new)).await;
    let filter = EventFilter::default();
    let span = Span { seek: Seek::First, limit: 1_000 };
    let events = bench.engine.0.around.store.events(bench.workspace, &filter, span).await.unwrap().entries;
    let mut by_number: Vec<(i64, Timestamp)> = events.iter().map(|entry| (entry.row.sequence, entry.row.at)).collect();
    by_number.sort_unstable();
    assert!(by_number.is_sorted_by_key(|(_, at)| *at), "{by_number:?}");
    assert!(by_number.last().unwrap().1 >= offered.plus_ms(30_000));
    bench.assert_agrees().await;
}

#[tokio::test]
async fn a_failed_actor_is_loaded_again_and_the_others_go_on() {
    let bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") };
    let Reply::Task(task) = bench.routing(Command::CreateTask(new)).await else { panic!("a task") };
    hand_over(&bench.engine.sender(bench.workspace).unwrap(), Call::Panic).unwrap();
    // Looks are answered from the disk as soon as it was read, what changes something is refused until the actor runs again.
    while bench.engine.agrees_with_store(bench.workspace).await == Err(Error::Unavailable) {}
    bench.assert_agrees().await;
    assert_eq!(bench.task(task).await.status, TaskStatus::Reserved);
    let canceled = TaskUpdate { status: Some(TaskStatus::Canceled), ..TaskUpdate::default() };
    bench.until_taken(Command::UpdateTask(task, canceled)).await;
    assert_eq!(bench.task(task).await.status, TaskStatus::Canceled);
}

#[tokio::test]
async fn a_refusal_writes_nothing() {
    let bench = Bench::start().await;
    let (_, worker) = bench.furnish().await;
    let before = bench.loaded().await;
    let update = WorkerUpdate { attributes: Some("[]".to_owned()), ..WorkerUpdate::default() };
    let outcome = bench.engine.send(bench.workspace, Request::Routing(Command::UpdateWorker(worker, update))).await;
    assert!(matches!(outcome, Err(Error::Refused(_))));
    assert_eq!(bench.loaded().await.rows, before.rows);
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_no_workspace_without_an_actor() {
    let bench = Bench::start().await;
    let account = AccountSid::from_bits(1);
    let new = NewWorkspace::named("Abandoned");
    for patience in 0..12 {
        let (engine, new) = (bench.engine.clone(), new.clone());
        let asked = tokio::spawn(async move { engine.create_workspace(account, new).await });
        for _ in 0..patience * 4 {
            tokio::task::yield_now().await;
        }
        asked.abort();
    }
    bench.engine.create_workspace(account, new).await.unwrap();
    let store = &bench.engine.0.around.store;
    let workspaces = store.workspaces().await.unwrap();
    assert!(workspaces.len() > 2, "some of the abandoned requests were carried out");
    for workspace in workspaces {
        let answered = async {
            while bench.engine.send(workspace, Request::Routing(Command::Tick)).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), answered).await.expect("each workspace on disk has its actor");
    }
}

#[tokio::test]
async fn a_look_sees_what_was_acknowledged() {
    let bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    let task = bench.enqueue(workflow, "CA1").await;
    let seen =
        bench.engine.look(bench.workspace, move |workspace, now| workspace.task(task).map(|row| row.created_at <= now));
    assert_eq!(seen.await, Ok(Some(true)));
}

#[tokio::test]
async fn events_and_statistics_are_kept_for_thirty_days() {
    const DAY: Duration = Duration::from_hours(24);
    let bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    let around = &bench.engine.0.around;
    for _ in 0..3 {
        for _ in 0..20 {
            let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") };
            let Reply::Task(task) = bench.routing(Command::CreateTask(new)).await else { panic!("a task") };
            bench.routing(Command::DeleteTask { task, if_match: None }).await;
        }
        bench.clock.advance(DAY);
    }
    let kept = async || {
        let filter = EventFilter { event_type: Some("task.created".to_owned()), ..EventFilter::default() };
        let span = Span { seek: Seek::First, limit: 1_000 };
        around.store.events(bench.workspace, &filter, span).await.unwrap().entries.len()
    };
    let created = async || {
        let from = around.clock.now().plus_ms(-30 * 86_400_000);
        let question = Question {
            workspace: bench.workspace,
            of: vec![FiguresOf::Workspace(bench.workspace)],
            window: Stretch { from, until: around.clock.now() },
            channel: None,
            split: false,
        };
        let answers = around.store.cumulative(&question).await.unwrap();
        answers.into_values().map(|answer| answer.figures.count(FactKind::TasksCreated)).sum::<i64>()
    };
    let sweep = async || retention::sweep(around, Duration::ZERO).await.unwrap();
    // The first day's events are 30 days old to the moment.
    bench.clock.advance(27 * DAY);
    assert_eq!((sweep().await, kept().await), (0, 60));
    assert_eq!(created().await, 60);
    bench.clock.advance(Duration::from_secs(3_601));
    assert!(sweep().await > 0);
    assert_eq!((sweep().await, kept().await), (0, 40));
    assert_eq!(created().await, 40);
    bench.clock.advance(DAY);
    sweep().await;
    assert_eq!((kept().await, created().await), (20, 20));
    bench.assert_agrees().await;
}

#[tokio::test]
async fn alerts_are_kept_for_thirty_days() {
    const DAY: Duration = Duration::from_hours(24);
    let bench = Bench::start().await;
    let around = &bench.engine.0.around;
    let account = AccountSid::from_bits(1);
    for number in 0..3 {
        let alert = crate::store::Alert {
            sid: crate::routing::AlertSid::from_bits(number),
            account,
            workspace: None,
            code: 40_005,
            message: "nothing".to_owned(),
            task: None,
            reservation: None,
            worker: None,
            at: bench.clock.now(),
        };
        around.store.alert(alert).await.unwrap();
        bench.clock.advance(DAY);
    }
    let sweep = async || retention::sweep(around, Duration::ZERO).await.unwrap();
    let kept = async || around.store.alerts(account, 10).await.unwrap().len();
    bench.clock.advance(27 * DAY);
    sweep().await;
    assert_eq!(kept().await, 3, "the first one is 30 days old to the moment");
    bench.clock.advance(Duration::from_secs(3_601));
    sweep().await;
    assert_eq!(kept().await, 2);
}

#[tokio::test]
async fn the_error_of_an_estimate_is_published_once_its_task_is_accepted() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    // The actor runs on the thread of the test.
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    let new = || NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") };
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..4 {
        let Reply::Task(task) = bench.routing(Command::CreateTask(new())).await else { panic!("a task") };
        waiting.push_back(task);
    }
    // One task a minute is accepted. Those that came first had no estimate; the fifth comes when two had waited.
    for round in 0..5 {
        let task = waiting.pop_front().unwrap();
        let reservation = bench.reservation_of(task).await.sid;
        let change =
            |change| Command::UpdateReservation { parent: ReservationParent::Any, reservation, change, if_match: None };
        bench.routing(change(ReservationChange::Accept)).await;
        assert!(!metrics.render().contains("taskrouter_estimate_error_seconds_count") || round == 4);
        if round == 2 {
            let Reply::Task(task) = bench.routing(Command::CreateTask(new())).await else { panic!("a task") };
            waiting.push_back(task);
        }
        bench.clock.advance(Duration::from_mins(1));
        bench.routing(change(ReservationChange::Complete)).await;
    }
    let rendered = metrics.render();
    let counts = rendered.lines().filter(|line| line.starts_with("taskrouter_estimate_error_seconds_count"));
    assert_eq!(counts.map(|line| line.rsplit(' ').next().unwrap()).collect::<Vec<_>>(), ["1"], "{rendered}");
}

#[tokio::test]
async fn a_recording_is_one_task_and_forgotten_after_a_week() {
    let mut bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    let told = async |bench: &Bench, recording: &str| {
        let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}".to_owned()) };
        let request = Request::Voicemail { recording: recording.to_owned(), new };
        bench.engine.send(bench.workspace, request).await.unwrap()
    };
    let kept = async |bench: &Bench| {
        let rows = bench.loaded().await.voicemails;
        rows.into_iter().map(|row| row.recording).collect::<Vec<_>>()
    };
    let first = told(&bench, "RE1").await;
    assert_eq!(told(&bench, "RE1").await, first);
    bench.restart().await;
    assert_eq!(told(&bench, "RE1").await, first);
    assert_eq!(bench.loaded().await.rows.tasks.len(), 1);
    bench.assert_agrees().await;
    bench.clock.advance(Duration::from_hours(7 * 24));
    told(&bench, "RE2").await;
    assert_eq!(kept(&bench).await, ["RE2"]);
    bench.assert_agrees().await;
    // One that refuses is not remembered.
    let refused = Request::Voicemail {
        recording: "RE3".to_owned(),
        new: NewTask { workflow: Some(WorkflowSid::from_bits(7)), ..NewTask::with_attributes("{}".to_owned()) },
    };
    assert!(bench.engine.send(bench.workspace, refused).await.is_err());
    assert_eq!(kept(&bench).await, ["RE2"]);
}
