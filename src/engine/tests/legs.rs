//! Wishes about the legs of a conversation: who may have them, and which commands to the phone system follow.

use super::*;
use crate::calls::{HeardBy, LegTarget, LegUpdate, PhoneCommand, SuperviseMode};

/// A conversation of alice with a caller, in room CF1: the task, alice, and her reservation.
pub(super) async fn conversation(bench: &Bench) -> (TaskSid, WorkerSid, ReservationSid) {
    let (workflow, alice) = bench.furnish().await;
    let task = bench.enqueue(workflow, "CA1").await;
    bench.call(task, Input::WaitRequested).await;
    let reservation = bench.reservation_of(task).await.sid;
    bench.instruct(reservation).await.unwrap();
    join(bench, task, "CA9", &reservation.to_string(), 1).await;
    join(bench, task, "CA1", "customer", 2).await;
    assert_eq!(bench.reservation_of(task).await.status, ReservationStatus::Accepted);
    (task, alice, reservation)
}

pub(super) async fn join(bench: &Bench, task: TaskSid, call: &str, label: &str, sequence: u32) {
    let joined = Input::RoomChanged {
        conference: "CF1".to_owned(),
        event: RoomEvent::Joined,
        call: Some(CallSid(call.to_owned())),
        label: Some(label.to_owned()),
        sequence: Some(sequence),
    };
    bench.call(task, joined).await;
}

async fn wish(bench: &Bench, task: TaskSid, by: WorkerSid, wish: LegWish) -> Result<Reply, Error> {
    bench.engine.send(bench.workspace, Request::Leg { task, by: Some(by), wish }).await
}

async fn supervise(
    bench: &Bench,
    reservation: ReservationSid,
    supervisor: WorkerSid,
    mode: SuperviseMode,
) -> Result<Reply, Error> {
    let options = ConferenceOptions { from: Some("+15550006".to_owned()), ..ConferenceOptions::default() };
    let instruction = ReservationInstruction::Supervise(Box::new(Supervision { supervisor, mode, options }));
    let parent = ReservationParent::Any;
    bench.engine.send(bench.workspace, Request::Instruct { parent, reservation, instruction, if_match: None }).await
}

async fn bob(bench: &Bench, attributes: &str) -> WorkerSid {
    let new = NewWorker { friendly_name: "bob".to_owned(), attributes: attributes.to_owned(), activity: None };
    let Reply::Worker(worker) = bench.routing(Command::CreateWorker(new)).await else { panic!("a worker") };
    worker
}

/// The command that was sent last: the silent phone system keeps all of them open.
async fn newest_command(bench: &Bench) -> PhoneCommand {
    let rows = bench.loaded().await.outbox;
    serde_json::from_str(&rows.iter().max_by_key(|row| row.number).unwrap().command).unwrap()
}

pub(super) fn refused(outcome: Result<Reply, Error>, words: &str) {
    let Err(Error::Refused(refusal)) = outcome else { panic!("{outcome:?}") };
    assert!(refusal.to_string().contains(words), "{refusal}");
}

fn held() -> LegUpdate {
    LegUpdate { hold: Some(true), ..LegUpdate::default() }
}

#[tokio::test]
async fn whoever_is_in_the_conversation_may_change_its_legs() {
    let bench = Bench::start_with_silent_phone().await;
    let (task, alice, reservation) = conversation(&bench).await;
    let bob = bob(&bench, "{}").await;
    for (asked, label) in [
        (LegWish::Change(LegTarget::Customer, held()), "customer".to_owned()),
        (LegWish::Change(LegTarget::Worker(reservation), held()), reservation.to_string()),
    ] {
        wish(&bench, task, alice, asked).await.unwrap();
        let PhoneCommand::UpdateParticipant { room, leg, update } = newest_command(&bench).await else { panic!() };
        assert_eq!((room.as_str(), leg, update), ("CF1", label, held()));
    }
    wish(&bench, task, alice, LegWish::Kick(alice)).await.unwrap();
    assert!(matches!(newest_command(&bench).await, PhoneCommand::Kick { leg, .. } if leg == reservation.to_string()));
    let commands = bench.loaded().await.outbox.len();
    refused(wish(&bench, task, bob, LegWish::Change(LegTarget::Customer, held())).await, "no accepted reservation");
    refused(wish(&bench, task, alice, LegWish::Worker(bob, held())).await, "no accepted reservation");
    refused(
        wish(&bench, task, alice, LegWish::Change(LegTarget::Worker(reservation), held())).await,
        "not in the task's conference",
    );
    assert_eq!(bench.loaded().await.outbox.len(), commands, "what is refused sends nothing");
    bench.assert_agrees().await;
}

#[tokio::test]
async fn a_task_without_a_conference_has_no_legs_to_change() {
    let bench = Bench::start().await;
    let (workflow, alice) = bench.furnish().await;
    let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") };
    let Reply::Task(task) = bench.routing(Command::CreateTask(new)).await else { panic!("a task") };
    let reservation = bench.reservation_of(task).await.sid;
    let (parent, change) = (ReservationParent::Any, ReservationChange::Accept);
    bench.routing(Command::UpdateReservation { parent, reservation, change, if_match: None }).await;
    refused(wish(&bench, task, alice, LegWish::Change(LegTarget::Customer, held())).await, "no conference");
    refused(supervise(&bench, reservation, alice, SuperviseMode::Monitor).await, "not accepted");
}

#[tokio::test]
async fn a_supervisor_is_dialled_once_and_a_whisper_is_heard_by_the_worker_alone() {
    let bench = Bench::start_with_silent_phone().await;
    let (task, alice, reservation) = conversation(&bench).await;
    let bob = bob(&bench, r#"{"contact_uri":"client:bob"}"#).await;
    let label = format!("supervisor-{bob}");
    supervise(&bench, reservation, bob, SuperviseMode::Monitor).await.unwrap();
    let PhoneCommand::AddParticipant { room, label: asked, to, options, coach, .. } = newest_command(&bench).await
    else {
        panic!("a leg")
    };
    assert_eq!((room.as_str(), asked.as_str(), to.as_str()), ("CF1", label.as_str(), "client:bob"));
    assert!(options.muted && !options.start_conference_on_enter && !options.end_conference_on_exit && coach.is_none());
    join(&bench, task, "CA7", &label, 3).await;
    supervise(&bench, reservation, bob, SuperviseMode::Whisper).await.unwrap();
    let PhoneCommand::UpdateParticipant { leg, update, .. } = newest_command(&bench).await else { panic!("a change") };
    let only = Some(HeardBy::Only(CallSid("CA9".to_owned())));
    assert_eq!((leg, update.muted, update.heard_by), (label, Some(false), only));
    // The worker is leaving: a whisper would be heard by the customer.
    wish(&bench, task, alice, LegWish::Kick(alice)).await.unwrap();
    refused(supervise(&bench, reservation, bob, SuperviseMode::Whisper).await, "the worker is not in the conference");
    bench.assert_agrees().await;
}

#[tokio::test]
async fn a_supervisor_whom_nobody_can_dial_is_refused_with_an_alert() {
    let bench = Bench::start_with_silent_phone().await;
    let (_, _, reservation) = conversation(&bench).await;
    let bob = bob(&bench, "{}").await;
    refused(supervise(&bench, reservation, bob, SuperviseMode::Barge).await, "no contact_uri");
    let alerts = bench.engine.0.around.store.alerts(AccountSid::from_bits(1), 1).await.unwrap();
    assert_eq!(alerts[0].code, 40_147);
}
