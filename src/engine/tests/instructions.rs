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
    let call = CallSid(call.to_owned());
    ReservationInstruction::Redirect(Box::new(CallRedirect { call, url, accept: false, of_sibling: false }))
}

async fn chat(bench: &Bench, workflow: WorkflowSid) -> TaskSid {
    let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") };
    let Reply::Task(task) = bench.routing(Command::CreateTask(new)).await else { panic!("a task") };
    task
}

pub(super) async fn available_bob(bench: &Bench) -> WorkerSid {
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

#[tokio::test]
async fn a_redirect_reaches_the_callers_of_the_accounts_other_workspaces_and_of_no_other_account() {
    let mut bench = Bench::start_with_silent_phone().await;
    let own = bench.workspace;
    let (workflow, _) = bench.furnish().await;
    let waiting = bench.enqueue(workflow, "CAown").await;
    let reservation = bench.reservation_of(waiting).await.sid;
    for (account, call) in [(1, "CAsibling"), (2, "CAstranger")] {
        let sid = AccountSid::from_bits(account);
        let stranger = crate::store::Account {
            sid,
            friendly_name: "other".to_owned(),
            auth_token: secrecy::SecretString::from("1".repeat(32)),
            created_at: START,
        };
        if account != 1 {
            bench.engine.0.around.store.create_account(stranger).await.unwrap();
        }
        let new = NewWorkspace::named(format!("Floor of {call}"));
        bench.workspace = bench.engine.create_workspace(sid, new).await.unwrap();
        let (workflow, _) = bench.furnish().await;
        bench.enqueue(workflow, call).await;
    }
    let strangers = bench.workspace;
    bench.workspace = own;
    assert_eq!(code(&bench, reservation, redirect("CAstranger")).await, 40_121);
    assert_eq!(code(&bench, reservation, redirect("CAnobody")).await, 40_121);
    // Whoever asks cannot say so; the engine looks.
    let ReservationInstruction::Redirect(mut claimed) = redirect("CAstranger") else { panic!("a redirect") };
    claimed.of_sibling = true;
    assert_eq!(code(&bench, reservation, ReservationInstruction::Redirect(claimed)).await, 40_121);
    assert_eq!(bench.loaded().await.outbox.len(), 0, "what is refused sends nothing");
    let instruction = redirect("CAsibling");
    let request = Request::Instruct { parent: ReservationParent::Any, reservation, instruction, if_match: None };
    bench.engine.send(own, request).await.unwrap();
    let outbox = bench.loaded().await.outbox;
    assert!(outbox.len() == 1 && outbox[0].command.contains("CAsibling"), "{outbox:?}");
    bench.assert_agrees().await;
    bench.workspace = strangers;
    assert_eq!(bench.loaded().await.outbox.len(), 0);
}
