//! What an instruction lacks: it is refused, changes nothing, and leaves its code in the alert log (`spec/voice.md` 3.11).

use super::legs::conversation;
use super::*;
use crate::calls::{ConnectBy, SuperviseMode};

/// The code under which an instruction is refused.
async fn code(bench: &Bench, reservation: ReservationSid, instruction: ReservationInstruction) -> u32 {
    // So that the alert is the newest.
    bench.clock.advance(Duration::from_millis(1));
    let request = Request::Instruct { parent: ReservationParent::Any, reservation, instruction, if_match: None };
    let outcome = bench.engine.send(bench.workspace, request).await;
    assert!(matches!(outcome, Err(Error::Refused(_))), "{outcome:?}");
    bench.engine.0.around.store.alerts(AccountSid::from_bits(1), 1).await.unwrap()[0].code
}

fn conference() -> ReservationInstruction {
    ReservationInstruction::Conference(Box::default())
}

fn dequeue() -> ReservationInstruction {
    let options = ConferenceOptions { by: ConnectBy::Dequeue, ..ConferenceOptions::default() };
    ReservationInstruction::Conference(Box::new(options))
}

fn call() -> ReservationInstruction {
    let options =
        ConferenceOptions { by: ConnectBy::Call, from: Some("+15550100".to_owned()), ..ConferenceOptions::default() };
    ReservationInstruction::Call(Box::new(WorkerCall {
        url: "https://app.example/".to_owned(),
        accept: false,
        options,
    }))
}

fn redirect(call: &str) -> ReservationInstruction {
    let url = "https://app.example/".to_owned();
    ReservationInstruction::Redirect(Box::new(CallRedirect { call: CallSid(call.to_owned()), url, accept: false }))
}

async fn chat(bench: &Bench, workflow: WorkflowSid) -> TaskSid {
    let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") };
    let Reply::Task(task) = bench.routing(Command::CreateTask(new)).await else { panic!("a task") };
    task
}

async fn available_bob(bench: &Bench) -> WorkerSid {
    let new = NewWorker {
        friendly_name: "bob".to_owned(),
        attributes: r#"{"contact_uri":"client:bob"}"#.to_owned(),
        activity: Some(bench.available().await),
    };
    let Reply::Worker(worker) = bench.routing(Command::CreateWorker(new)).await else { panic!("a worker") };
    worker
}

async fn hand_on(bench: &Bench, task: TaskSid, reservation: ReservationSid, worker: WorkerSid, to: WorkerSid) {
    let new = NewTransfer {
        worker,
        task,
        reservation,
        to: TransferTarget::Worker(to),
        mode: TransferMode::Warm,
        attributes: None,
        priority: None,
        in_room: false,
    };
    // So that the new reservation is the newest.
    bench.clock.advance(Duration::from_millis(1));
    bench.routing(Command::CreateTransfer(new)).await;
}

#[tokio::test]
async fn a_reservation_that_is_not_pending_takes_no_instruction_and_a_task_without_from_no_supervisor() {
    let bench = Bench::start_with_silent_phone().await;
    let (_, alice, reservation) = conversation(&bench).await;
    for (instruction, expected) in
        [(conference(), 40_136), (dequeue(), 40_135), (call(), 40_114), (redirect("CA1"), 40_123)]
    {
        assert_eq!(code(&bench, reservation, instruction).await, expected);
    }
    let supervision =
        Supervision { supervisor: alice, mode: SuperviseMode::Monitor, options: ConferenceOptions::default() };
    assert_eq!(code(&bench, reservation, ReservationInstruction::Supervise(Box::new(supervision))).await, 40_148);
    bench.assert_agrees().await;
}

#[tokio::test]
async fn a_worker_whom_nobody_can_dial_and_a_task_without_a_call_are_refused() {
    let bench = Bench::start_with_silent_phone().await;
    let (workflow, alice) = bench.furnish().await;
    let update = WorkerUpdate { attributes: Some("{}".to_owned()), ..WorkerUpdate::default() };
    bench.routing(Command::UpdateWorker(alice, update)).await;
    let waiting = bench.enqueue(workflow, "CA1").await;
    let reservation = bench.reservation_of(waiting).await.sid;
    for (instruction, expected) in
        [(conference(), 40_137), (dequeue(), 40_131), (call(), 40_110), (redirect("CAforeign"), 40_121)]
    {
        assert_eq!(code(&bench, reservation, instruction).await, expected);
    }
    bench.call(waiting, Input::CallerEnded { call: CallSid("CA1".to_owned()) }).await;
    let reservation = bench.reservation_of(chat(&bench, workflow).await).await.sid;
    for (instruction, expected) in
        [(conference(), 40_142), (dequeue(), 40_140), (call(), 40_113), (redirect("CA1"), 40_121)]
    {
        assert_eq!(code(&bench, reservation, instruction).await, expected);
    }
    assert_eq!(bench.loaded().await.outbox.len(), 0, "what is refused sends nothing");
    bench.assert_agrees().await;
}

#[tokio::test]
async fn a_task_that_is_handed_on_is_connected_by_conference_alone_and_in_its_conference() {
    let bench = Bench::start_with_silent_phone().await;
    let (task, alice, first) = conversation(&bench).await;
    let bob = available_bob(&bench).await;
    hand_on(&bench, task, first, alice, bob).await;
    let second = bench.reservation_of(task).await.sid;
    for instruction in [dequeue(), call(), redirect("CA1")] {
        assert_eq!(code(&bench, second, instruction).await, 40_151);
    }
    let bench = Bench::start().await;
    let (workflow, alice) = bench.furnish().await;
    let task = chat(&bench, workflow).await;
    let first = bench.reservation_of(task).await.sid;
    let (parent, change) = (ReservationParent::Any, ReservationChange::Accept);
    bench.routing(Command::UpdateReservation { parent, reservation: first, change, if_match: None }).await;
    let bob = available_bob(&bench).await;
    hand_on(&bench, task, first, alice, bob).await;
    let second = bench.reservation_of(task).await.sid;
    assert_eq!(code(&bench, second, conference()).await, 40_149);
}
