//! Which frames a commit gives, to whom, in which order.

use super::*;
use crate::routing::command::{
    NewTask, NewTransfer, NewWorker, NewWorkspace, ReservationChange, ReservationParent, TaskUpdate, Template,
};
use crate::routing::{AccountSid, ActivitySid, Command, Reply, ReservationStatus, SidSource};
use crate::routing::{TaskStatus, TransferMode, TransferTarget};

const NOW: Timestamp = Timestamp(1_770_091_506_123);

struct Counting(u128);

impl SidSource for Counting {
    fn next_bits(&mut self, _: Timestamp) -> u128 {
        self.0 += 1;
        self.0
    }
}

struct Floor {
    workspace: Workspace,
    sids: Counting,
    available: ActivitySid,
}

impl Floor {
    /// A workspace with a queue and a workflow.
    fn new() -> Self {
        let mut sids = Counting(0);
        let new = NewWorkspace { template: Template::Fifo, ..NewWorkspace::named("Floor") };
        let (workspace, _) = Workspace::create(AccountSid::from_bits(1), &new, NOW, &mut sids).unwrap();
        let available = workspace.activities().find(|row| row.available).unwrap().sid;
        Self { workspace, sids, available }
    }

    /// Carries out a command as a commit of its own: what it made, and its frames as (worker, event, payload).
    fn commit(&mut self, command: &Command) -> (Reply, Vec<(WorkerSid, String, Value)>) {
        self.commit_told_in(Dialect::Present, command)
    }

    /// The same, with the frames of one SDK.
    fn commit_told_in(&mut self, wanted: Dialect, command: &Command) -> (Reply, Vec<(WorkerSid, String, Value)>) {
        let done = self.workspace.handle(command, NOW, &mut self.sids).unwrap();
        self.workspace.take_changes();
        let told =
            frames(&self.workspace, &done.events, NOW, |_, dialect| dialect == wanted).into_iter().map(|frame| {
                assert_eq!(frame.dialect, wanted);
                let mut object: Value = serde_json::from_str(&frame.text).unwrap();
                let event = object["event_type"].as_str().unwrap().to_owned();
                (frame.worker, event, object["payload"].take())
            });
        (done.reply, told.collect())
    }

    fn worker(&mut self, name: &str) -> WorkerSid {
        let new =
            NewWorker { friendly_name: name.to_owned(), attributes: "{}".to_owned(), activity: Some(self.available) };
        match self.commit(&Command::CreateWorker(new)).0 {
            Reply::Worker(worker) => worker,
            other => panic!("{other:?}"),
        }
    }

    fn task(&mut self) -> (TaskSid, Vec<(WorkerSid, String, Value)>) {
        match self.commit(&Command::CreateTask(NewTask::with_attributes("{}"))) {
            (Reply::Task(task), told) => (task, told),
            other => panic!("{other:?}"),
        }
    }

    fn reservation(&self, task: TaskSid, worker: WorkerSid) -> ReservationSid {
        self.workspace.reservations_of_task(task).filter(|row| row.worker == worker).last().unwrap().sid
    }

    fn accept(&mut self, task: TaskSid, worker: WorkerSid) -> Vec<(WorkerSid, String, Value)> {
        self.answer(task, worker, ReservationChange::Accept)
    }

    fn answer(
        &mut self,
        task: TaskSid,
        worker: WorkerSid,
        change: ReservationChange,
    ) -> Vec<(WorkerSid, String, Value)> {
        let reservation = self.reservation(task, worker);
        let parent = ReservationParent::Any;
        self.commit(&Command::UpdateReservation { parent, reservation, change, if_match: None }).1
    }
}

fn names(told: &[(WorkerSid, String, Value)]) -> Vec<(WorkerSid, &str)> {
    told.iter().map(|(worker, event, _)| (*worker, event.as_str())).collect()
}

#[test]
fn an_offer_carries_its_task() {
    let mut floor = Floor::new();
    let ann = floor.worker("Ann");
    let (task, told) = floor.task();
    assert_eq!(names(&told), [(ann, "reservation.created")]);
    let payload = &told[0].2;
    assert_eq!(payload["reservation_status"], "pending");
    assert_eq!(payload["task"]["sid"], json!(task));
    assert_eq!(payload["task"]["assignment_status"], "reserved");
    assert_eq!(payload["task"]["version"], 2);
    assert!(payload.get("task_transfer").is_none() && payload.get("active_outgoing_task_transfer").is_none());
}

#[test]
fn completion_tells_the_reservation_first() {
    let mut floor = Floor::new();
    let ann = floor.worker("Ann");
    let (task, _) = floor.task();
    let told = floor.accept(task, ann);
    assert_eq!(names(&told), [(ann, "reservation.accepted")]);
    assert_eq!(told[0].2["task"]["assignment_status"], "assigned");
    let update = TaskUpdate { status: Some(TaskStatus::Completed), ..TaskUpdate::default() };
    let (_, told) = floor.commit(&Command::UpdateTask(task, update));
    assert_eq!(names(&told), [(ann, "reservation.completed"), (ann, "task.completed")]);
    assert_eq!(told[0].2["task"]["assignment_status"], "completed");
}

#[test]
fn the_holder_of_a_deleted_task_is_told() {
    let mut floor = Floor::new();
    let ann = floor.worker("Ann");
    let (task, _) = floor.task();
    floor.accept(task, ann);
    let (_, told) = floor.commit(&Command::DeleteTask { task, if_match: None });
    assert_eq!(names(&told), [(ann, "reservation.completed")]);
    assert_eq!(told[0].2["task"]["sid"], json!(task));
    floor.workspace.take_changes();
    assert!(floor.workspace.task_or_departed(task).is_none());
}

#[test]
fn a_refused_transfer_is_told_in_the_order_that_the_sdk_expects() {
    let mut floor = Floor::new();
    let ann = floor.worker("Ann");
    let (task, _) = floor.task();
    floor.accept(task, ann);
    let bob = floor.worker("Bob");
    let transfer = NewTransfer {
        worker: ann,
        task,
        reservation: floor.reservation(task, ann),
        to: TransferTarget::Worker(bob),
        mode: TransferMode::Warm,
        attributes: None,
        priority: None,
        in_room: false,
    };
    let (_, told) = floor.commit(&Command::CreateTransfer(transfer));
    assert_eq!(names(&told), [(bob, "reservation.created"), (ann, "task.transfer-initiated")]);
    assert_eq!(told[0].2["task_transfer"]["transfer_status"], "initiated");
    assert_eq!(told[1].2["task_sid"], json!(task));
    let told = floor.answer(task, bob, ReservationChange::Reject { activity: None });
    let expected =
        [(bob, "reservation.rejected"), (ann, "task.transfer-failed"), (ann, "task.updated"), (bob, "task.updated")];
    assert_eq!(names(&told), expected);
    assert_eq!(told[0].2["task_transfer"]["transfer_status"], "failed");
    assert_eq!(told[0].2["reservation_status"], ReservationStatus::Rejected.as_str());
    assert_eq!(told[2].2["assignment_status"], "assigned");
}

#[test]
fn nobody_else_is_told() {
    let mut floor = Floor::new();
    let ann = floor.worker("Ann");
    let (task, _) = floor.task();
    let update = TaskUpdate { attributes: Some(r#"{"a":1}"#.to_owned()), ..TaskUpdate::default() };
    let done = floor.workspace.handle(&Command::UpdateTask(task, update), NOW, &mut floor.sids).unwrap();
    assert!(frames(&floor.workspace, &done.events, NOW, |worker, _| worker != ann).is_empty());
    let told = frames(&floor.workspace, &done.events, NOW, |_, dialect| dialect == Dialect::Present);
    assert_eq!(told.iter().map(|frame| frame.worker).collect::<Vec<_>>(), [ann]);
}

/// It fails on transfers, and on reservations that cannot be fetched.
#[test]
fn the_first_sdk_is_told_of_no_transfer_and_of_no_reservation_that_failed() {
    let mut floor = Floor::new();
    let ann = floor.worker("Ann");
    let (task, _) = floor.task();
    floor.accept(task, ann);
    let bob = floor.worker("Bob");
    let transfer = NewTransfer {
        worker: ann,
        task,
        reservation: floor.reservation(task, ann),
        to: TransferTarget::Worker(bob),
        mode: TransferMode::Warm,
        attributes: None,
        priority: None,
        in_room: false,
    };
    let (_, told) = floor.commit_told_in(Dialect::First, &Command::CreateTransfer(transfer));
    assert_eq!(names(&told), [(bob, "reservation.created")]);
    let reservation = floor.reservation(task, bob);
    assert_eq!((&told[0].2["sid"], &told[0].2["reservation_sid"]), (&json!(task), &json!(reservation)));
    assert!(told[0].2.get("task_transfer").is_none());
    let change = ReservationChange::Reject { activity: None };
    let reject = Command::UpdateReservation { parent: ReservationParent::Any, reservation, change, if_match: None };
    let (_, told) = floor.commit_told_in(Dialect::First, &reject);
    assert_eq!(names(&told), [(bob, "reservation.rejected"), (ann, "task.updated"), (bob, "task.updated")]);
    assert_eq!(told[1].2["reservation_sid"], Value::Null, "a task is told as a task");

    let gone = WorkerSid::from_bits(99);
    let routed = NewTask { routing_target: Some(RoutingTarget::Worker(gone)), ..NewTask::with_attributes("{}") };
    let events = floor.workspace.handle(&Command::CreateTask(routed), NOW, &mut floor.sids).unwrap().events;
    assert!(events.iter().any(|event| event.kind == EventKind::ReservationFailed), "{events:?}");
    let told = |wanted| frames(&floor.workspace, &events, NOW, |_, dialect| dialect == wanted);
    assert!(told(Dialect::Present).iter().any(|frame| frame.text.contains("reservation.failed")));
    assert!(!told(Dialect::First).iter().any(|frame| frame.text.contains("reservation.failed")));
}

#[test]
fn each_sdk_gets_its_own_frames_of_one_commit() {
    let mut floor = Floor::new();
    floor.worker("Ann");
    let new = Command::CreateTask(NewTask::with_attributes("{}"));
    let done = floor.workspace.handle(&new, NOW, &mut floor.sids).unwrap();
    let told = frames(&floor.workspace, &done.events, NOW, |_, _| true);
    let dialects: Vec<Dialect> = told.iter().map(|frame| frame.dialect).collect();
    assert_eq!(dialects, [Dialect::Present, Dialect::First]);
    assert!(told.iter().all(|frame| matches!(frame.about, Knowledge::Introduces(_))));
    assert_ne!(told[0].text, told[1].text);
}
