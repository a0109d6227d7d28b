//! Calls and their tasks: what both cores do to each other, by way of the disk.

use std::task::Poll;

use super::*;
use crate::calls::ColdTransferFailure;

#[tokio::test]
async fn a_repeated_voice_webhook_finds_its_task() {
    let bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    let first = bench.enqueue(workflow, "CA1").await;
    assert_eq!(bench.enqueue(workflow, "CA1").await, first);
    assert_ne!(bench.enqueue(workflow, "CA2").await, first);
}

/// Sequence 8.1 of the voice specification through both cores, without a phone system: its answers are given by hand.
#[tokio::test]
async fn a_conference_instruction_bridges_and_the_end_of_the_call_wraps_up() {
    let mut bench = Bench::start_with_silent_phone().await;
    let (workflow, worker) = bench.furnish().await;
    let task = bench.enqueue(workflow, "CA1").await;
    bench.call(task, Input::WaitRequested).await;
    let reservation = bench.reservation_of(task).await;
    assert_eq!(reservation.worker, worker);
    bench.instruct(reservation.sid).await.unwrap();
    let connecting = bench.reservation_of(task).await;
    assert_eq!(connecting.status, ReservationStatus::Pending);
    assert!(connecting.connecting && connecting.deadline.is_none(), "the timer is paused");
    // The same instruction again changes nothing (V29).
    bench.instruct(reservation.sid).await.unwrap();
    assert_eq!(bench.reservation_of(task).await, connecting);
    bench.assert_agrees().await;
    bench.restart().await;
    bench.assert_agrees().await;
    let joined = |call: &str, label: &str, sequence| Input::RoomChanged {
        conference: "CF1".to_owned(),
        event: RoomEvent::Joined,
        call: Some(CallSid(call.to_owned())),
        label: Some(label.to_owned()),
        sequence: Some(sequence),
    };
    bench.call(task, joined("CA9", &reservation.sid.to_string(), 1)).await;
    // Whether the caller is still there is asked, unless it was heard of just now.
    for row in bench.loaded().await.voice_tasks {
        assert_eq!(row.conference.as_deref(), Some("CF1"));
    }
    bench.call(task, joined("CA1", "customer", 2)).await;
    assert_eq!(bench.reservation_of(task).await.status, ReservationStatus::Accepted);
    let row = bench.task(task).await;
    assert_eq!(row.status, TaskStatus::Assigned);
    let attributes: serde_json::Value = serde_json::from_str(&row.attributes).unwrap();
    assert_eq!(attributes["conference"]["participants"]["customer"], "CA1");
    assert_eq!(attributes["conference"]["participants"]["worker"], "CA9");
    let left = |call: &str, label: &str, sequence| Input::RoomChanged {
        conference: "CF1".to_owned(),
        event: RoomEvent::Left { reason: Some("participant_hung_up".to_owned()), call_status: None },
        call: Some(CallSid(call.to_owned())),
        label: Some(label.to_owned()),
        sequence: Some(sequence),
    };
    bench.call(task, left("CA1", "customer", 3)).await;
    bench.call(task, left("CA9", &reservation.sid.to_string(), 4)).await;
    assert_eq!(bench.task(task).await.status, TaskStatus::Wrapping);
    let change = Command::UpdateReservation {
        parent: ReservationParent::Worker(worker),
        reservation: reservation.sid,
        change: ReservationChange::Complete,
        if_match: None,
    };
    bench.routing(change).await;
    assert_eq!(bench.task(task).await.status, TaskStatus::Completed);
    let channels = bench.loaded().await.rows.worker_channels;
    assert!(channels.iter().all(|channel| channel.used == 0 && channel.assigned_tasks == 0));
    bench.assert_agrees().await;
}

#[tokio::test]
async fn a_task_that_is_handed_on_ends_with_its_conversation() {
    let bench = Bench::start_with_silent_phone().await;
    let (workflow, worker) = bench.furnish().await;
    let task = bench.enqueue(workflow, "CA1").await;
    bench.call(task, Input::WaitRequested).await;
    let reservation = bench.reservation_of(task).await.sid;
    bench.instruct(reservation).await.unwrap();
    let moved = |call: &str, label: &str, event, sequence| Input::RoomChanged {
        conference: "CF1".to_owned(),
        event,
        call: Some(CallSid(call.to_owned())),
        label: Some(label.to_owned()),
        sequence: Some(sequence),
    };
    let left = || RoomEvent::Left { reason: Some("participant_hung_up".to_owned()), call_status: None };
    let label = reservation.to_string();
    bench.call(task, moved("CA9", &label, RoomEvent::Joined, 1)).await;
    bench.call(task, moved("CA1", "customer", RoomEvent::Joined, 2)).await;
    let queue = bench.task(task).await.queue.unwrap();
    let transfer = NewTransfer {
        worker,
        task,
        reservation,
        to: TransferTarget::TaskQueue(queue),
        mode: TransferMode::Cold,
        attributes: None,
        priority: None,
        in_room: false,
    };
    bench.routing(Command::CreateTransfer(transfer)).await;
    let change = ReservationChange::Complete;
    let parent = ReservationParent::Worker(worker);
    bench.routing(Command::UpdateReservation { parent, reservation, change, if_match: None }).await;
    bench.call(task, moved("CA9", &label, left(), 3)).await;
    assert!(!bench.task(task).await.status.is_final(), "the caller still waits for somebody");
    bench.call(task, moved("CA1", "customer", left(), 4)).await;
    assert!(bench.task(task).await.status.is_final(), "nobody is left to talk to");
    let rows = bench.loaded().await.rows;
    assert!(rows.reservations.iter().all(|row| !row.status.is_open()));
    assert!(rows.transfers.iter().all(|row| row.status == TransferStatus::Failed));
    bench.assert_agrees().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_cancels_task_and_offer() {
    let bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    let task = bench.enqueue(workflow, "CA1").await;
    let left = Input::Left { result: QueueResult::Hangup, call_ended: true, queue_time_secs: Some(3) };
    bench.call(task, left.clone()).await;
    bench.call(task, left).await;
    let row = bench.task(task).await;
    assert_eq!((row.status, row.reason.as_deref()), (TaskStatus::Canceled, Some("hangup")));
    assert_eq!(bench.reservation_of(task).await.status, ReservationStatus::Canceled);
    bench.assert_agrees().await;
}

#[tokio::test]
async fn a_phone_system_that_refuses_puts_the_task_back() {
    let bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    let task = bench.enqueue(workflow, "CA1").await;
    bench.call(task, Input::WaitRequested).await;
    let reservation = bench.reservation_of(task).await.sid;
    bench.instruct(reservation).await.unwrap();
    // Without a phone system the outbox refuses each command; the outcome comes back by itself.
    let mut canceled = bench.reservation_of(task).await;
    while canceled.status == ReservationStatus::Pending {
        tokio::task::yield_now().await;
        canceled = bench.reservation_of(task).await;
    }
    assert_eq!(canceled.status, ReservationStatus::Canceled);
    assert_eq!(bench.task(task).await.status, TaskStatus::Pending);
    while !bench.loaded().await.outbox.is_empty() {
        tokio::task::yield_now().await;
    }
    bench.assert_agrees().await;
}

#[tokio::test]
async fn outcomes_of_unknown_commands_and_tasks_change_nothing() {
    let bench = Bench::start().await;
    bench.furnish().await;
    let before = bench.loaded().await;
    let outcome = PhoneOutcome::Gone;
    bench.call(TaskSid::from_bits(7), Input::CommandDone { number: 3, outcome }).await;
    let ended = Input::RoomLeft { role: Role::Customer, reservation: None, call: None, call_ended: true };
    bench.call(TaskSid::from_bits(7), ended).await;
    assert_eq!(bench.loaded().await.rows, before.rows);
}

#[tokio::test]
async fn a_deleted_task_keeps_its_call_until_the_caller_is_let_go() {
    let mut bench = Bench::start_with_silent_phone().await;
    let (workflow, _) = bench.furnish().await;
    let task = bench.enqueue(workflow, "CA1").await;
    bench.call(task, Input::WaitRequested).await;
    bench.routing(Command::DeleteTask { task, if_match: None }).await;
    let loaded = bench.loaded().await;
    assert!(loaded.rows.tasks.is_empty());
    assert_eq!(loaded.voice_tasks.len(), 1, "the caller is still at the phone system");
    let left = Input::Left { result: QueueResult::Hangup, call_ended: true, queue_time_secs: Some(3) };
    bench.call(task, left).await;
    // The release that was asked for is answered before the call is closed for good.
    let number = bench.loaded().await.outbox.first().map(|row| row.number);
    if let Some(number) = number {
        bench.call(task, Input::CommandDone { number, outcome: PhoneOutcome::Gone }).await;
    }
    bench.restart().await;
    assert_eq!(bench.loaded().await.voice_tasks.len(), 1, "the phone system may still ask");
    bench.clock.advance(Duration::from_mins(5));
    bench.routing(Command::Tick).await;
    assert!(bench.loaded().await.voice_tasks.is_empty(), "nothing is kept for ever");
    bench.assert_agrees().await;
}

#[tokio::test]
async fn another_leg_does_not_take_over_a_reservation_that_is_being_connected() {
    let bench = Bench::start_with_silent_phone().await;
    let (workflow, _) = bench.furnish().await;
    let task = bench.enqueue(workflow, "CA1").await;
    bench.call(task, Input::WaitRequested).await;
    let reservation = bench.reservation_of(task).await.sid;
    let own_phone = |call: &str| Request::WorkerCall {
        reservation,
        call: CallSid(call.to_owned()),
        options: ConferenceOptions::default(),
    };
    bench.engine.send(bench.workspace, own_phone("CA5")).await.unwrap();
    bench.engine.send(bench.workspace, own_phone("CA5")).await.unwrap();
    let other = bench.engine.send(bench.workspace, own_phone("CA6")).await;
    assert!(matches!(other, Err(Error::Refused(_))), "{other:?}");
}

fn terms() -> CallbackTerms {
    CallbackTerms { attempts: 2, pause_secs: 60, expires_secs: 3_600 }
}

fn call_back(task: TaskSid, call: &str) -> Request {
    Request::CallBack { task, call: CallSid(call.to_owned()), to: "+15550001".to_owned(), terms: terms() }
}

fn busy(call: &str) -> Input {
    Input::LegChanged {
        role: Role::Customer,
        label: "customer".to_owned(),
        call: CallSid(call.to_owned()),
        status: CallStatus::Busy,
        sequence: None,
        code: None,
    }
}

#[tokio::test]
async fn a_caller_who_is_to_be_called_back_hangs_up_and_keeps_the_place() {
    let mut bench = Bench::start_with_silent_phone().await;
    let (workflow, _) = bench.furnish().await;
    let task = bench.enqueue(workflow, "CA1").await;
    bench.call(task, Input::WaitRequested).await;
    let before = bench.task(task).await;
    bench.engine.send(bench.workspace, call_back(task, "CA1")).await.unwrap();
    bench.engine.send(bench.workspace, call_back(task, "CA1")).await.unwrap();
    let other = bench.engine.send(bench.workspace, call_back(task, "CA2")).await;
    assert!(matches!(other, Err(Error::Refused(_))), "{other:?}");
    let hangup = Input::Left { result: QueueResult::Hangup, call_ended: true, queue_time_secs: Some(3) };
    bench.call(task, hangup).await;
    bench.call(task, Input::CallerEnded { call: CallSid("CA1".to_owned()) }).await;
    bench.restart().await;
    let after = bench.task(task).await;
    assert_eq!(
        (after.status, after.priority, after.virtual_start_at, after.queue_entered_at),
        (before.status, before.priority, before.virtual_start_at, before.queue_entered_at),
    );
    let attributes: serde_json::Value = serde_json::from_str(&after.attributes).unwrap();
    assert_eq!((&attributes["callback"], &attributes["outbound_to"]), (&json!(true), &json!("+15550001")));

    let reservation = bench.reservation_of(task).await.sid;
    bench.instruct(reservation).await.unwrap();
    let joined = |call: &str, label: &str| Input::RoomChanged {
        conference: "CF1".to_owned(),
        event: RoomEvent::Joined,
        call: Some(CallSid(call.to_owned())),
        label: Some(label.to_owned()),
        sequence: None,
    };
    bench.call(task, joined("CA8", &reservation.to_string())).await;
    bench.call(task, busy("CA9")).await;
    let canceled = bench.reservation_of(task).await;
    assert_eq!((canceled.status, canceled.canceled_reason_code), (ReservationStatus::Canceled, Some(31_486)));
    assert_eq!(bench.task(task).await.status, TaskStatus::Pending);
    bench.restart().await;
    bench.clock.advance(Duration::from_secs(59));
    bench.routing(Command::Tick).await;
    assert_eq!(bench.task(task).await.status, TaskStatus::Pending, "it rests");
    bench.clock.advance(Duration::from_secs(1));
    bench.routing(Command::Tick).await;
    assert_eq!(bench.task(task).await.status, TaskStatus::Reserved);
    bench.assert_agrees().await;

    bench.clock.advance(Duration::from_hours(1));
    bench.routing(Command::Tick).await;
    let row = bench.task(task).await;
    assert_eq!((row.status, row.reason.as_deref()), (TaskStatus::Canceled, Some("callback expired")));
    bench.assert_agrees().await;
}

#[tokio::test]
async fn a_worker_who_accepts_without_a_conference_keeps_a_task_that_is_to_be_called_back() {
    let bench = Bench::start_with_silent_phone().await;
    let (workflow, worker) = bench.furnish().await;
    let task = bench.enqueue(workflow, "CA1").await;
    bench.call(task, Input::WaitRequested).await;
    bench.engine.send(bench.workspace, call_back(task, "CA1")).await.unwrap();
    let reservation = bench.reservation_of(task).await.sid;
    let change = ReservationChange::Accept;
    let parent = ReservationParent::Worker(worker);
    bench.routing(Command::UpdateReservation { parent, reservation, change, if_match: None }).await;
    bench.clock.advance(Duration::from_hours(2));
    bench.routing(Command::Tick).await;
    assert_eq!(bench.task(task).await.status, TaskStatus::Assigned, "the promise was kept by other means");
    bench.assert_agrees().await;
}

/// Hands a request to the workspace and does not wait for its answer.
async fn hand_over(bench: &Bench, request: Request) {
    let mut sent = std::pin::pin!(bench.engine.send(bench.workspace, request));
    // The workspace runs on this thread too: it has not begun.
    assert!(std::future::poll_fn(|context| Poll::Ready(sent.as_mut().poll(context).is_pending())).await);
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_is_not_enqueued() {
    let bench = Bench::start().await;
    let (workflow, worker) = bench.furnish().await;
    hand_over(&bench, enqueueing(workflow, "CAgone")).await;
    // What needs no asker is done all the same.
    let delete = Command::DeleteWorker { worker, if_match: None };
    hand_over(&bench, Request::Routing(delete)).await;
    let task = bench.enqueue(workflow, "CAstays").await;
    let rows = bench.loaded().await.rows;
    assert_eq!(rows.tasks.iter().map(|row| row.sid).collect::<Vec<_>>(), [task]);
    assert!(rows.workers.is_empty());
}

#[tokio::test]
async fn what_a_caller_does_while_the_task_is_being_made_reaches_it() {
    let bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    let caller = |call: &str, input: Input| Request::Caller { call: CallSid(call.to_owned()), input };
    let ended = caller("CA1", Input::CallerEnded { call: CallSid("CA1".to_owned()) });
    let left = Input::Left { result: QueueResult::Error, call_ended: false, queue_time_secs: None };
    let turned_away = caller("CA2", left);
    // In one batch each: nothing of it is on disk before.
    for (call, after) in [("CA1", ended.clone()), ("CA2", turned_away)] {
        let enqueued = bench.engine.send(bench.workspace, enqueueing(workflow, call));
        let (enqueued, told) = tokio::join!(enqueued, bench.engine.send(bench.workspace, after));
        assert!(matches!((enqueued, told), (Ok(Reply::Task(_)), Ok(Reply::Done))));
    }
    let rows = bench.loaded().await.rows;
    let reasons: Vec<Option<&str>> = rows.tasks.iter().map(|row| row.reason.as_deref()).collect();
    assert_eq!(reasons, [Some("hangup"), Some("error")]);
    assert!(rows.tasks.iter().all(|row| row.status == TaskStatus::Canceled));
    assert!(rows.reservations.iter().all(|row| !row.status.is_open()), "a worker is offered nobody");
    // Of a caller without a task there is nothing to say, and another call of the same person is another one.
    bench.engine.send(bench.workspace, ended).await.unwrap();
    assert!(!bench.task(bench.enqueue(workflow, "CA1").await).await.status.is_final());
    bench.assert_agrees().await;
}

/// Alice has accepted a call without a conference and hands it on, cold, to bob, who rejects it: the task.
async fn handed_on_in_vain(bench: &Bench) -> TaskSid {
    let (workflow, alice) = bench.furnish().await;
    let task = bench.enqueue(workflow, "CA1").await;
    bench.call(task, Input::WaitRequested).await;
    let reservation = bench.reservation_of(task).await.sid;
    let answer = async |reservation, change| {
        let update = Command::UpdateReservation { parent: ReservationParent::Any, reservation, change, if_match: None };
        bench.routing(update).await;
    };
    answer(reservation, ReservationChange::Accept).await;
    let bob = instructions::available_bob(bench).await;
    let transfer = NewTransfer {
        worker: alice,
        task,
        reservation,
        to: TransferTarget::Worker(bob),
        mode: TransferMode::Cold,
        attributes: None,
        priority: None,
        in_room: false,
    };
    // So that the new reservation is the newest.
    bench.clock.advance(Duration::from_millis(1));
    bench.routing(Command::CreateTransfer(transfer)).await;
    let offer = bench.reservation_of(task).await;
    assert_eq!((offer.worker, offer.status), (bob, ReservationStatus::Pending));
    answer(offer.sid, ReservationChange::Reject { activity: None }).await;
    task
}

#[tokio::test]
async fn nobody_takes_over_a_call_that_was_accepted_without_a_conference() {
    for word in ColdTransferFailure::WORDS {
        let mut bench = Bench::start_with_silent_phone().await;
        let cold_transfer_failure = ColdTransferFailure::from_text(word).unwrap();
        bench.restart_within(Limits { cold_transfer_failure, ..usual_limits() }).await;
        let task = handed_on_in_vain(&bench).await;
        let released = async || {
            let commands = bench.loaded().await.outbox;
            commands.iter().any(|row| row.command.contains("release_caller"))
        };
        let transfers = bench.loaded().await.rows.transfers;
        let open = transfers.iter().filter(|row| row.status == TransferStatus::Initiated).count();
        let wanted = (
            cold_transfer_failure == ColdTransferFailure::Voicemail,
            usize::from(cold_transfer_failure == ColdTransferFailure::Requeue),
        );
        assert_eq!((released().await, open), wanted, "{word}");
        if cold_transfer_failure == ColdTransferFailure::Hold {
            assert_eq!(bench.task(task).await.status, TaskStatus::Assigned);
            bench.clock.advance(Duration::from_millis(299_999));
            bench.routing(Command::Tick).await;
            assert!(!released().await, "somebody may come back");
            bench.clock.advance(Duration::from_millis(1));
            bench.routing(Command::Tick).await;
            assert!(released().await, "nobody has come");
        }
        bench.assert_agrees().await;
    }
}
