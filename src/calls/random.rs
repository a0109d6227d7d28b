//! Random inputs over a few voice tasks: whatever comes, the invariants hold.

use std::collections::{BTreeMap, BTreeSet};

use super::scenarios::output_text;
use super::*;
use crate::routing::{AccountSid, WorkerSid};

/// A small generator with a fixed sequence (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())].clone()
    }
}

const STATUSES: [CallStatus; 8] = [
    CallStatus::Queued,
    CallStatus::Initiated,
    CallStatus::Ringing,
    CallStatus::InProgress,
    CallStatus::Completed,
    CallStatus::Busy,
    CallStatus::Failed,
    CallStatus::NoAnswer,
];
const RESULTS: [QueueResult; 6] = [
    QueueResult::Redirected,
    QueueResult::Redirected,
    QueueResult::Bridged,
    QueueResult::Leave,
    QueueResult::Hangup,
    QueueResult::Error,
];
const REASONS: [&str; 5] = [
    "participant_hung_up",
    "participant_updated_via_api",
    "moderator_ended_conference",
    "conference_ended_via_api",
    "participant_add_failed",
];

/// Rooms with the callers of the first tasks, with this leg, with both, or with nobody.
fn rooms(dice: &mut Dice, call: CallSid) -> Vec<RoomSight> {
    let leg = |call: CallSid, label: Option<&str>, held: bool| LegSight {
        call,
        label: label.map(str::to_owned),
        held,
        muted: false,
    };
    let mut legs: Vec<LegSight> = Vec::new();
    if dice.roll(2) == 0 {
        legs.extend((1..4).map(|task| leg(CallSid(format!("CA{task}")), Some("customer"), task == 2)));
    }
    if dice.roll(2) == 0 {
        legs.push(leg(call, None, dice.roll(3) == 0));
    }
    let conference = format!("CF{}", dice.roll(2));
    if dice.roll(4) == 0 { Vec::new() } else { vec![RoomSight { conference, legs }] }
}

fn outcome(dice: &mut Dice, call: CallSid) -> PhoneOutcome {
    match dice.roll(10) {
        0 => PhoneOutcome::Gone,
        3 | 4 => PhoneOutcome::Seen(rooms(dice, call)),
        1 => PhoneOutcome::Refused { code: Some(20_001), message: "no".into() },
        2 => PhoneOutcome::Unavailable { message: "late".into() },
        _ => PhoneOutcome::Done {
            call: Some(call),
            conference: Some(format!("CF{}", dice.roll(2))),
            status: Some(dice.one(&STATUSES)),
        },
    }
}

fn random_input(dice: &mut Dice, task: u128, round: u128, numbers: &BTreeSet<u32>) -> Input {
    let caller = CallSid(format!("CA{task}"));
    let slot = u128::try_from(dice.roll(3)).unwrap();
    let reservation = ReservationSid::from_bits(task * 1000 + (round % 20) * 3 + slot);
    let worker_call = CallSid(format!("CAw{}-{}", reservation.bits(), dice.roll(8) / 7));
    let options = ConferenceOptions {
        timeout_secs: 20,
        end_conference_on_exit: dice.roll(2) == 0,
        end_conference_on_customer_exit: dice.roll(2) == 0,
        ..ConferenceOptions::default()
    };
    let worker = WorkerSid::from_bits(1);
    let sequence = (dice.roll(3) > 0).then(|| u32::try_from(dice.roll(12)).unwrap());
    let account = AccountSid::from_bits(1);
    match dice.roll(32) {
        0 | 1 => Input::WaitRequested,
        2 => Input::Left { result: dice.one(&RESULTS), call_ended: dice.roll(4) == 0, queue_time_secs: None },
        3 => Input::RoomLeft { role: Role::Customer, reservation: None, call: None, call_ended: dice.roll(2) == 0 },
        4 => {
            let call = (dice.roll(3) > 0).then_some(worker_call);
            let call_ended = dice.roll(2) == 0;
            Input::RoomLeft { role: Role::Worker, reservation: Some(reservation), call, call_ended }
        }
        5 if dice.roll(4) == 0 => Input::CallerEnded { call: caller },
        6 | 7 => Input::Instruct { reservation, worker, contact_uri: Some("+15554440000".into()), options },
        8 => Input::WorkerCalled { reservation, worker, call: worker_call, options },
        9..=11 => Input::LegChanged {
            role: Role::Worker,
            label: reservation.to_string(),
            call: worker_call,
            status: dice.one(&STATUSES),
            sequence,
            code: None,
        },
        12..=17 => {
            let (call, label) = match dice.roll(5) {
                0 | 1 => (caller, Some("customer".to_owned())),
                2 | 3 => (worker_call, Some(reservation.to_string())),
                _ => (CallSid("CAx".into()), None),
            };
            let event = match dice.roll(8) {
                0..=4 => RoomEvent::Joined,
                5 => RoomEvent::Left { reason: Some(dice.one(&REASONS).to_owned()), call_status: None },
                6 => RoomEvent::Ended { reason: None },
                _ => RoomEvent::Started,
            };
            let conference = format!("CF{}", dice.roll(2));
            Input::RoomChanged { conference, event, call: Some(call), label, sequence }
        }
        18 if dice.roll(10) == 0 => Input::TaskEnded { canceled: dice.roll(2) == 0 },
        19 if dice.roll(6) == 0 => Input::ReservationEnded { reservation },
        20 => Input::TransferBegan { reservation, cold: dice.roll(2) == 0 },
        21 if dice.roll(3) == 0 => Input::CallBack {
            call: caller,
            to: "+1".to_owned(),
            terms: CallbackTerms { attempts: 2, pause_secs: 5, expires_secs: 60 },
        },
        21 if dice.roll(20) == 0 => Input::TakenElsewhere(reservation),
        21 if dice.roll(20) == 0 => Input::DoneElsewhere(reservation),
        21 => Input::TransferOver { failed: dice.roll(2) == 0 },
        22 => Input::Invite {
            role: dice.one(&[Role::Supervisor, Role::External]),
            label: dice.one(&["supervisor-1", "external-1"]).to_owned(),
            to: "client:s".to_owned(),
            from: "+1".to_owned(),
            options: Box::new(options),
            coach: (dice.roll(2) == 0).then_some(worker_call),
        },
        23 => {
            let target = dice.one(&[
                LegTarget::Customer,
                LegTarget::Worker(reservation),
                LegTarget::Label("supervisor-1".to_owned()),
            ]);
            let hold = (dice.roll(2) == 0).then(|| dice.roll(2) == 0);
            match dice.roll(8) {
                0 => Input::KickLeg { target },
                1 => Input::EndConversation,
                _ => Input::UpdateLeg { target, update: LegUpdate { hold, ..LegUpdate::default() } },
            }
        }
        24 => {
            let document = WorkerDocument { account, url: "https://app/whisper".to_owned(), accept: dice.roll(3) == 0 };
            let options = ConferenceOptions { by: ConnectBy::Call, ..options };
            Input::Call { reservation, worker, contact_uri: Some("+15554440000".into()), document, options }
        }
        25 => {
            let call = dice.one(&[caller.clone(), caller, worker_call]);
            let accept = dice.roll(2) == 0;
            Input::Redirect { reservation, call, account, url: "https://app/next".to_owned(), accept }
        }
        _ => match numbers.first() {
            Some(number) => Input::CommandDone { number: *number, outcome: outcome(dice, worker_call) },
            None => Input::Tick,
        },
    }
}

/// What a phone system that does its work would tell next.
fn likely_input(dice: &mut Dice, task: &VoiceTask) -> Input {
    let joined = |call: &Option<CallSid>, label: &str| Input::RoomChanged {
        conference: task.conference.clone().unwrap_or_else(|| "CF0".to_owned()),
        event: RoomEvent::Joined,
        call: call.clone(),
        label: Some(label.to_owned()),
        sequence: None,
    };
    if let Some((number, errand)) = task.outstanding.first_key_value() {
        let call = CallSid(format!("CAw{errand:?}"));
        let status = Some(CallStatus::InProgress);
        let outcome = PhoneOutcome::Done { call: Some(call), conference: Some("CF0".to_owned()), status };
        return Input::CommandDone { number: *number, outcome };
    }
    if let Some((reservation, _)) = task.caller_dials() {
        let status = Some(dice.one(&[CallStatus::Completed, CallStatus::Busy, CallStatus::NoAnswer]));
        return Input::Dialed { reservation, call: None, status, call_ended: false };
    }
    if task.document_after_left(QueueResult::Redirected) == NextDocument::JoinRoom {
        return joined(&Some(task.call.clone()), "customer");
    }
    if task.callback.is_some() && task.connecting.is_some() && task.caller().is_live() && task.caller().call.is_some() {
        return joined(&task.caller().call, "customer");
    }
    match task.legs.last().filter(|leg| leg.role == Role::Worker && leg.is_live()) {
        Some(leg) => joined(&leg.call, &leg.label),
        None => Input::Instruct {
            reservation: ReservationSid::from_bits(
                task.task.bits() * 1000 + 500 + u128::try_from(dice.roll(400)).unwrap(),
            ),
            worker: WorkerSid::from_bits(1),
            contact_uri: Some("+15554440000".into()),
            options: ConferenceOptions::default(),
        },
    }
}

/// What the test has seen of one task.
#[derive(Default)]
struct Seen {
    accepts: usize,
    accepted: BTreeSet<ReservationSid>,
    ends: usize,
    number: u32,
    outstanding: BTreeSet<u32>,
}

impl Seen {
    fn take(&mut self, outputs: &[Output], closed_before: bool, history: &str) {
        // Whoever comes late is sent away, and whoever stayed may be.
        let sends_away = |output: &Output| match output {
            Output::Phone { command, .. } => matches!(
                command,
                PhoneCommand::EndRoom { .. } | PhoneCommand::Kick { .. } | PhoneCommand::HangUp { .. }
            ),
            _ => false,
        };
        assert!(!closed_before || outputs.iter().all(sends_away), "output after the end: {history}");
        for output in outputs {
            match output {
                Output::Accept(reservation) => {
                    assert!(self.accepted.insert(*reservation), "accepted twice: {history}");
                    self.accepts += 1;
                }
                Output::EndCaller { .. } => self.ends += 1,
                Output::Phone { number, .. } => {
                    assert_eq!(*number, self.number + 1, "numbers have no gaps: {history}");
                    self.number = *number;
                    self.outstanding.insert(*number);
                }
                _ => {}
            }
        }
        assert!(self.ends <= 1, "ended twice: {history}");
    }
}

fn check_whole(calls: &Calls, history: &str) {
    let earliest = calls.tasks().filter_map(VoiceTask::next_deadline).min();
    assert_eq!(calls.next_deadline(), earliest, "the index of deadlines is off: {history}");
    for task in calls.tasks() {
        let text = serde_json::to_string(task).unwrap();
        assert_eq!(serde_json::from_str::<VoiceTask>(&text).unwrap(), *task, "{history}");
        let waits = task.next_deadline().is_some() || !task.outstanding.is_empty();
        assert!(waits || task.state == VoiceState::Closed, "stuck in {:?}: {history}", task.state);
        assert!(task.legs.len() <= policy::MOST_LEGS + 1, "too many legs");
    }
}

/// Ends the caller, answers everything and lets time pass: the task must close.
fn bring_to_an_end(calls: &mut Calls, task: u128, seen: &mut Seen, now: &mut Timestamp, history: &str) {
    let sid = TaskSid::from_bits(task);
    let mut answers = 0;
    let end = Input::CallerEnded { call: CallSid(format!("CA{task}")) };
    let closed = calls.task(sid).unwrap().state == VoiceState::Closed;
    seen.take(&calls.handle(sid, &end, *now), closed, history);
    while calls.task(sid).unwrap().state != VoiceState::Closed {
        answers += 1;
        assert!(answers < 400, "does not close, {:?}: {history}", calls.task(sid));
        let outputs = if let Some(number) = seen.outstanding.pop_first() {
            let done = PhoneOutcome::Done { call: None, conference: None, status: Some(CallStatus::Completed) };
            let outcome = if answers % 3 == 0 { PhoneOutcome::Gone } else { done };
            calls.handle(sid, &Input::CommandDone { number, outcome }, *now)
        } else {
            *now = (*now).max(calls.task(sid).unwrap().next_deadline().expect("something is awaited"));
            calls.handle(sid, &Input::Tick, *now)
        };
        seen.take(&outputs, false, history);
    }
}

/// Whether only a room makes something possible: where there are none, nobody wishes it or tells of it.
fn needs_room(input: &Input) -> bool {
    matches!(
        input,
        Input::RoomChanged { .. }
            | Input::TransferBegan { .. }
            | Input::TransferOver { .. }
            | Input::Invite { .. }
            | Input::UpdateLeg { .. }
            | Input::KickLeg { .. }
            | Input::CallBack { .. }
    )
}

/// A caller's `<Dial>` has ended, of whichever attempt.
fn end_of_dial(dice: &mut Dice, task: u128, round: u128) -> Input {
    let slot = u128::try_from(dice.roll(3)).unwrap();
    let reservation = ReservationSid::from_bits(task * 1000 + (round % 20) * 3 + slot);
    let status = (dice.roll(4) > 0).then(|| dice.one(&STATUSES));
    Input::Dialed { reservation, call: None, status, call_ended: dice.roll(4) == 0 }
}

/// Whether a command is about a room, or about a leg that only rooms need.
fn asks_for_room(output: &Output) -> bool {
    let Output::Phone { command, .. } = output else { return false };
    !matches!(
        command,
        PhoneCommand::LetCallerDial { .. }
            | PhoneCommand::ParkCaller { .. }
            | PhoneCommand::ReleaseCaller { .. }
            | PhoneCommand::RedirectCall { .. }
            | PhoneCommand::FetchCall { .. }
            // Of a leg that nobody knows.
            | PhoneCommand::HangUp { .. }
    )
}

#[test]
fn whatever_comes_nothing_is_accepted_twice_and_every_call_comes_to_an_end() {
    play_at_random(Policy::DEFAULT);
}

#[test]
fn without_rooms_every_call_comes_to_an_end_too_and_nothing_is_asked_of_a_room() {
    play_at_random(Policy { rooms: false, ..Policy::DEFAULT });
}

fn play_at_random(policy: Policy) {
    let mut dice = Dice(0x5eed_1234_5678_9abc);
    let mut calls = Calls::default();
    calls.set_policy(policy);
    let mut now = Timestamp(1_000_000);
    let mut seen: BTreeMap<u128, Seen> = BTreeMap::new();
    let mut history: BTreeMap<u128, String> = BTreeMap::new();
    let (mut closed, mut accepted) = (0, 0);
    let mut live: Vec<u128> = vec![1, 2, 3];
    for step in 0..20_000_u128 {
        let slot = dice.roll(live.len());
        let task = live[slot];
        let sid = TaskSid::from_bits(task);
        if calls.task(sid).is_none() {
            let call = CallSid(format!("CA{task}"));
            let enqueued = Input::Enqueued { call, from: "+1".into(), to: "+2".into(), park: Park::default() };
            assert!(calls.handle(sid, &enqueued, now).is_empty());
            seen.insert(task, Seen::default());
        }
        let mine = seen.get_mut(&task).unwrap();
        now = now.plus_ms(i64::try_from(dice.roll(2_000)).unwrap());
        let input = if dice.roll(3) == 0 {
            likely_input(&mut dice, calls.task(sid).unwrap())
        } else {
            random_input(&mut dice, task, step / 200, &mine.outstanding)
        };
        let input = if !policy.rooms && needs_room(&input) { end_of_dial(&mut dice, task, step / 200) } else { input };
        if let Input::CommandDone { number, .. } = &input {
            mine.outstanding.remove(number);
        }
        let was_closed = calls.task(sid).unwrap().state == VoiceState::Closed;
        let outputs = calls.handle(sid, &input, now);
        let story = history.entry(task).or_default();
        let texts: Vec<String> = outputs.iter().map(output_text).collect();
        story.push_str(&format!("\n{} {input:?} -> {texts:?} {:?}", now.0, calls.task(sid).unwrap().state));
        mine.take(&outputs, was_closed, story);
        assert!(policy.rooms || !outputs.iter().any(asks_for_room), "there are no rooms: {story}");
        for (sid, outputs) in calls.tick(now) {
            seen.get_mut(&sid.bits()).unwrap().take(&outputs, false, &history[&sid.bits()]);
        }
        if step % 7 == 0 {
            check_whole(&calls, &history[&task]);
        }
        if step % 61 == 0 {
            let mine = seen.get_mut(&task).unwrap();
            bring_to_an_end(&mut calls, task, mine, &mut now, &history[&task]);
            closed += 1;
            accepted += mine.accepts;
            calls.forget(sid);
            live[slot] = task + 3;
        }
    }
    assert!(closed > 300 && accepted > 20, "{closed} calls came to an end, {accepted} were accepted");
}

#[test]
fn changes_name_each_task_once_and_forgotten_ones_too() {
    let mut calls = Calls::default();
    let now = Timestamp(0);
    let (first, second) = (TaskSid::from_bits(1), TaskSid::from_bits(2));
    for (task, call) in [(second, "CA2"), (first, "CA1")] {
        let call = CallSid(call.to_owned());
        calls.handle(
            task,
            &Input::Enqueued { call, from: String::new(), to: String::new(), park: Park::default() },
            now,
        );
    }
    calls.handle(first, &Input::WaitRequested, now);
    assert_eq!(calls.take_changes(), [VoiceChange::Changed(first), VoiceChange::Changed(second)]);
    calls.handle(first, &Input::WaitRequested, now);
    assert_eq!(calls.take_changes(), []);
    calls.forget(second);
    assert_eq!(calls.take_changes(), [VoiceChange::Forgotten(second)]);
    assert_eq!(calls.can_instruct(second, ReservationSid::from_bits(1)), Instructable::NoCall);
    assert!(calls.handle(second, &Input::WaitRequested, now).is_empty());
}
