//! One step of a voice task: fold the input into the facts, then settle what follows from the facts.
//!
//! Folding changes legs and the task's facts and decides next to nothing; settling looks at the facts alone, so that
//! callbacks may come twice or in another order and still lead to the same commands. This module has the order of a
//! step, the deadlines and the resulting state; `fold` and `answers` take inputs in, `connecting` and `ending` decide.
//! Start with [`run`].

use super::documents::NextDocument;
use super::interface::{CallSid, CallStatus, Input, Output, PhoneCommand, Role, RoomEvent};
use super::options::ConnectBy;
use super::policy::{MOST_DOUBLINGS, MOST_PAST_ROOMS, Policy, alert_phone_system};
use super::voice_task::{Abort, CallerEnd, Deadlines, Errand, Leg, LegState, Phase, VoiceState, VoiceTask};
use crate::routing::defect::defect;
use crate::routing::{ReservationSid, Timestamp};

/// Takes one input into `task` and returns what is to be done, in order.
pub(super) fn run(task: &mut VoiceTask, policy: &Policy, input: &Input, now: Timestamp) -> Vec<Output> {
    if task.state == VoiceState::Closed && !concerns_closed(task, input) {
        return Vec::new();
    }
    let state_before = task.state;
    let mut machine = Machine { task, policy, now, outputs: Vec::new() };
    let heard = if matches!(input, Input::Tick) {
        machine.pass_deadlines()
    } else {
        machine.note_news(input);
        machine.fold(input);
        // What becomes of offers is no news of the call: a caller whom nobody takes is looked for all the same.
        !matches!(input, Input::ReservationEnded { .. }) || machine.task.deadlines.silence.is_none()
    };
    machine.settle();
    machine.note_action(input);
    if heard || machine.task.state != state_before {
        machine.await_news();
    }
    machine.outputs
}

/// Whether an input concerns a closed task: the caller has come to a room that is not the task's, a leg comes that nobody
/// awaits any more, or strangers who stayed in the room when the conversation was over leave it or are to leave it.
fn concerns_closed(task: &VoiceTask, input: &Input) -> bool {
    match input {
        Input::LegChanged { role, label, call, status, .. } => {
            !status.is_final() && task.is_of_late_leg(*role, label, call)
        }
        Input::RoomChanged { conference, event: RoomEvent::Joined, call, label, .. } => {
            let strayed = call.as_ref() == Some(&task.call) && task.conference.as_ref() != Some(conference);
            strayed || task.is_late_arrival(label.as_deref(), call.as_ref())
        }
        Input::RoomChanged { conference, event: RoomEvent::Left { .. } | RoomEvent::Ended { .. }, .. } => {
            task.has_conversation() && task.conference.as_ref() == Some(conference)
        }
        Input::KickLeg { target } => task.has_conversation() && task.leg_in_room(target).is_some(),
        Input::EndConversation => task.has_conversation(),
        _ => false,
    }
}

/// A voice task in the middle of a step.
pub(super) struct Machine<'a> {
    pub(super) task: &'a mut VoiceTask,
    pub(super) policy: &'a Policy,
    pub(super) now: Timestamp,
    pub(super) outputs: Vec<Output>,
}

impl Machine<'_> {
    fn settle(&mut self) {
        self.settle_handing();
        self.settle_acceptance();
        self.settle_caller_end();
        self.settle_connecting();
        self.settle_callback();
        self.settle_caller_end();
        self.settle_dialled();
        self.settle_work();
        self.settle_whispers();
        self.settle_wish();
        self.settle_wished();
        self.settle_aborts();
        self.settle_state();
    }

    fn settle_state(&mut self) {
        let task = &*self.task;
        let caller_here = task.caller().state == LegState::InRoom;
        let open = self.is_customer_leaving()
            || !task.outstanding.is_empty()
            || task.wish.is_some()
            || task.legs.iter().skip(1).any(|leg| !leg.is_done());
        let accepted = task.is_accepted();
        // Somebody may take over from whoever was only to answer.
        let still_waits = accepted && task.is_left_waiting() && !task.task_ended;
        let state = if accepted && !still_waits {
            let awaits = task.handing.is_some() || task.connecting.is_some();
            if caller_here && (self.workers_in_room() > 0 || awaits) && !task.room_over {
                VoiceState::Bridged
            } else if open || caller_here {
                VoiceState::Ending
            } else {
                VoiceState::Closed
            }
        } else if task.caller_told || task.task_ended {
            if open { VoiceState::Closing } else { VoiceState::Closed }
        } else if let Some(connecting) = &task.connecting {
            if connecting.phase < Phase::FindingCaller || connecting.phase == Phase::DialingCustomer {
                VoiceState::Offering
            } else {
                VoiceState::Joining
            }
        } else if (task.wait_seen || accepted) && !task.outbound {
            VoiceState::Parked
        } else {
            VoiceState::Created
        };
        self.task.state = state;
        if state == VoiceState::Closed {
            self.task.deadlines = Deadlines::default();
            self.task.connecting = None;
            for leg in &mut self.task.legs {
                leg.check_at = None;
            }
        }
    }

    /// Sets when the next silence has lasted too long.
    fn await_news(&mut self) {
        let policy = self.policy;
        let anybody_in = self.task.legs.iter().any(|leg| leg.state == LegState::InRoom);
        let silence_ms = match self.task.state {
            // Nobody calls before a worker has taken the task.
            VoiceState::Created if self.task.outbound => return,
            VoiceState::Created => policy.created_silence_ms,
            VoiceState::Parked | VoiceState::Offering | VoiceState::Joining | VoiceState::Closing => {
                policy.parked_silence_ms
            }
            VoiceState::Ending if !anybody_in => policy.parked_silence_ms,
            VoiceState::Bridged | VoiceState::Ending => policy.bridged_silence_ms,
            VoiceState::Closed => return,
        };
        // A phone system that does not answer is asked less often.
        let doublings = self.task.looks_unanswered.min(MOST_DOUBLINGS);
        self.task.deadlines.silence = Some(self.now.plus_ms(silence_ms << doublings));
    }

    /// Remembers with which result the application's `action` is requested.
    fn note_action(&mut self, input: &Input) {
        let document = match input {
            Input::Left { result, .. } => self.task.document_after_left(*result),
            Input::RoomLeft { role, .. } => self.task.document_after_room(*role),
            Input::Dialed { .. } => self.task.document_after_room(Role::Customer),
            _ => return,
        };
        if let NextDocument::Application { result, .. } = document {
            self.task.action_called = Some(result);
        }
    }

    /// Acts on every deadline that has passed; tells whether the silence was one of them.
    fn pass_deadlines(&mut self) -> bool {
        let now = self.now;
        let passed = |deadline: &mut Option<Timestamp>| deadline.take_if(|at| *at <= now).is_some();
        if self.task.connecting.as_mut().is_some_and(|connecting| passed(&mut connecting.guard)) {
            self.guard_passed();
        }
        if passed(&mut self.task.deadlines.lost_join) {
            self.lost_join_passed();
        }
        let alone = passed(&mut self.task.deadlines.alone);
        let room_end = passed(&mut self.task.deadlines.room_end);
        if alone && self.task.is_left_waiting() {
            self.release_left_waiting();
        } else if alone || room_end {
            self.end_room();
        }
        if passed(&mut self.task.deadlines.handing) {
            self.prepare_departure_again();
        }
        passed(&mut self.task.deadlines.wish);
        passed(&mut self.task.deadlines.callback);
        if passed(&mut self.task.deadlines.unsettled) && self.task.legs.iter().any(|leg| leg.state == LegState::InRoom)
        {
            self.fetch_room();
        }
        for index in 0..self.task.legs.len() {
            if passed(&mut self.task.legs[index].check_at) {
                self.look_for_end(index);
            }
        }
        let silent = passed(&mut self.task.deadlines.silence);
        if silent {
            self.look();
        }
        silent
    }

    /// Sends a command to the phone system.
    pub(super) fn phone(&mut self, errand: Errand, command: PhoneCommand) {
        self.task.last_number += 1;
        let number = self.task.last_number;
        self.task.outstanding.insert(number, errand);
        self.outputs.push(Output::Phone { number, command });
    }

    pub(super) fn is_outstanding(&self, errand: &Errand) -> bool {
        self.task.outstanding.values().any(|outstanding| outstanding == errand)
    }

    /// Whether a redirect of the caller is on its way.
    pub(super) fn is_redirecting(&self) -> bool {
        self.task.outstanding.values().any(|errand| match errand {
            Errand::MoveCaller | Errand::ParkCaller | Errand::ReleaseCaller => true,
            Errand::Redirect { call, .. } => *call == self.task.call,
            _ => false,
        })
    }

    pub(super) fn alert(&mut self, message: String, reservation: Option<ReservationSid>) {
        let code = alert_phone_system(self.connected_by());
        self.outputs.push(Output::Alert { code, message, reservation });
    }

    /// The instruction of the present or last attempt.
    pub(super) fn connected_by(&self) -> ConnectBy {
        self.task.options.as_ref().map(|options| options.by).unwrap_or_default()
    }

    /// Asks for the state of the caller's call.
    pub(super) fn fetch_caller(&mut self) {
        if self.task.call.0.is_empty() {
            return;
        }
        if !self.is_outstanding(&Errand::FetchCaller) {
            let call = self.task.call.clone();
            self.phone(Errand::FetchCaller, PhoneCommand::FetchCall { call });
        }
    }

    pub(super) fn fetch_leg(&mut self, index: usize) {
        let leg = &self.task.legs[index];
        let Some(call) = leg.call.clone() else { return };
        let errand = Errand::FetchLeg(leg.label.clone());
        if !self.is_outstanding(&errand) {
            self.phone(errand, PhoneCommand::FetchCall { call });
        }
    }

    pub(super) fn leg_index(&self, label: &str) -> Option<usize> {
        self.task.legs.iter().position(|leg| leg.label == label)
    }

    /// The leg that news with this label are about: one that was set apart is known by its call alone.
    pub(super) fn leg_of_news(&self, label: &str, call: &CallSid) -> Option<usize> {
        let apart = |leg: &Leg| leg.label == call.0 && leg.call.as_ref() == Some(call);
        self.task.legs.iter().position(apart).or_else(|| self.leg_index(label))
    }

    pub(super) fn worker_index(&self, reservation: ReservationSid) -> Option<usize> {
        self.task.legs.iter().position(|leg| leg.reservation == Some(reservation))
    }

    /// The worker's leg of the attempt that is going on.
    pub(super) fn connecting_index(&self) -> Option<usize> {
        self.worker_index(self.task.connecting.as_ref()?.reservation)
    }

    pub(super) fn phase(&self) -> Option<Phase> {
        self.task.connecting.as_ref().map(|connecting| connecting.phase)
    }

    /// Whether the caller was told to go to the room in the present attempt.
    pub(super) fn caller_was_sent(&self) -> bool {
        self.phase().is_some_and(|phase| phase >= Phase::Moving)
    }

    pub(super) fn workers_in_room(&self) -> usize {
        let in_room =
            |leg: &&super::Leg| leg.role == Role::Worker && leg.state == LegState::InRoom && leg.abort.is_none();
        self.task.legs.iter().filter(in_room).count()
    }

    pub(super) fn end_leg(&mut self, index: usize, cause: Option<CallStatus>, code: Option<i32>) {
        let leg = &mut self.task.legs[index];
        if leg.state == LegState::Ended {
            return;
        }
        leg.state = LegState::Ended;
        leg.ended = Some(self.now);
        if leg.joined.is_some() {
            leg.left.get_or_insert(self.now);
        }
        leg.end_cause = cause.or(leg.end_cause);
        leg.end_code = code;
        leg.check_at = None;
    }

    /// The leg is out of the room; its call is expected to end.
    pub(super) fn leave_room(&mut self, index: usize) {
        let leg = &mut self.task.legs[index];
        if leg.state >= LegState::Left {
            return;
        }
        leg.state = LegState::Left;
        leg.left = Some(self.now);
        if leg.role == Role::Worker && !leg.own {
            leg.check_at = Some(self.now.plus_ms(self.policy.leg_end_guard_ms));
        }
    }

    /// The caller is lost to this task.
    pub(super) fn lose_caller(&mut self, reason: &str, certain: bool, call_ended: bool) {
        self.leave_room(0);
        if call_ended {
            self.end_leg(0, Some(CallStatus::Completed), None);
        }
        match &mut self.task.caller_end {
            Some(end) => end.certain |= certain,
            unset => *unset = Some(CallerEnd { reason: reason.to_owned(), certain }),
        }
    }

    /// The leg is not wanted any more.
    pub(super) fn give_up_leg(&mut self, index: usize) {
        let leg = &mut self.task.legs[index];
        if leg.by_caller.is_some() {
            // It goes when the caller leaves its document; who talks by it goes on talking.
            if !leg.accepted {
                self.end_leg(index, Some(CallStatus::Canceled), None);
            }
            return;
        }
        if leg.is_live() && leg.abort.is_none() && !defect!(LegLeftRinging) {
            leg.abort = Some(Abort::Wanted);
        }
    }

    /// Late news of the room in use are no news of the next one.
    pub(super) fn retire_room(&mut self) {
        if let Some(conference) = self.task.conference.take() {
            self.remember_past_room(conference);
        }
    }

    pub(super) fn remember_past_room(&mut self, conference: String) {
        let past = &mut self.task.past_conferences;
        if !past.contains(&conference) {
            if past.len() >= MOST_PAST_ROOMS {
                past.remove(0);
            }
            past.push(conference);
        }
    }
}
