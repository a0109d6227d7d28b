//! Folds webhooks and callbacks into the facts of a voice task (`spec/voice.md` 4.4 and the stale-event rule of 3.9).
//!
//! A fact may come twice, late, or before what it follows from: a leg only moves forward, joining implies being
//! answered, being completed implies having left. Nothing is commanded here, except that a second leg with a label that
//! is taken is to be removed, and that a room into which the caller strayed is to end. Start with `fold`.

use super::callback::Recallable;
use super::interface::{CallSid, CallStatus, Input, QueueResult, Role, RoomEvent};
use super::machine::Machine;
use super::policy::REASON_MESSAGE;
use super::voice_task::{Abort, CUSTOMER_LABEL, Errand, Leg, LegState, Phase, Wish};
use crate::routing::ReservationSid;
use crate::routing::defect::defect;

/// Reasons of a departure that tell of the end of the whole room.
const ROOM_END_REASONS: [&str; 2] = ["moderator_ended_conference", "conference_ended_via_api"];
const HUNG_UP: &str = "participant_hung_up";
const ADD_FAILED: &str = "participant_add_failed";

/// One room event about a leg.
struct Sighting<'a> {
    conference: &'a str,
    event: &'a RoomEvent,
    call: Option<&'a CallSid>,
    label: Option<&'a str>,
    sequence: Option<u32>,
}

impl Machine<'_> {
    pub(super) fn fold(&mut self, input: &Input) {
        match input {
            Input::Enqueued { .. } | Input::Outbound { .. } | Input::Tick => {}
            // The call that asked for a callback hears that it will be; then it is over, or on its way elsewhere.
            Input::WaitRequested | Input::WaitRequestedIn { .. } if self.task.callback.is_some() => {}
            Input::Left { .. } if self.task.callback.is_some() => self.line_is_free(),
            Input::CallBack { call, to, terms } => self.promise_callback(call, to, *terms),
            Input::LeaveMessage { call } => {
                self.task.leaves_message |= self.task.recallable(call) == Recallable::Yes;
            }
            Input::TakenElsewhere(reservation) => self.taken_elsewhere(*reservation),
            Input::DoneElsewhere(reservation) => {
                self.task.held_apart.remove(reservation);
            }
            Input::WaitRequested => self.wait_requested(),
            Input::WaitRequestedIn { queue } => {
                self.task.queue_sid = Some(queue.clone());
                self.wait_requested();
            }
            Input::Left { result, call_ended, queue_time_secs } => {
                self.task.queue_time_secs = self.task.queue_time_secs.or(*queue_time_secs);
                self.left_queue(*result, *call_ended);
            }
            Input::RoomLeft { role, reservation, call, call_ended } => {
                self.left_by_document(*role, *reservation, call.as_ref(), *call_ended);
            }
            Input::Dialed { reservation, call, status, call_ended } => {
                self.dial_ended(*reservation, call.as_ref(), *status, *call_ended);
            }
            Input::CallerEnded { call } if self.is_call_on_line(call) => self.line_is_free(),
            Input::CallerEnded { call } => self.call_ended(call),
            Input::Instruct { reservation, contact_uri, options, .. } => {
                self.instruct(*reservation, contact_uri.as_deref(), options, None);
            }
            Input::Call { reservation, contact_uri, document, options, .. } => {
                self.instruct(*reservation, contact_uri.as_deref(), options, Some(document));
            }
            Input::Redirect { reservation, call, account, url, accept } => {
                self.redirect_call(*reservation, call, (*account, url), *accept);
            }
            Input::WorkerCalled { reservation, call, options, .. } => self.worker_called(*reservation, call, options),
            Input::LegChanged { role: Role::Customer, call, status, code, .. } => {
                self.caller_changed(call, *status, *code);
            }
            Input::LegChanged { label, call, status, sequence, code, .. } => match self.leg_of_news(label, call) {
                Some(index) => self.leg_changed(index, call, *status, *sequence, *code),
                None if !status.is_final() => self.placed_in_vain(call),
                None => {}
            },
            Input::RoomChanged { conference, event, call, label, sequence } => self.room_changed(&Sighting {
                conference,
                event,
                call: call.as_ref(),
                label: label.as_deref(),
                sequence: *sequence,
            }),
            Input::CommandDone { number, outcome } => self.command_done(*number, outcome),
            Input::ReservationEnded { reservation } => self.end_reservation(*reservation),
            Input::TaskEnded { canceled } => self.end_task(*canceled),
            Input::TransferBegan { reservation, cold } => self.begin_transfer(*reservation, *cold),
            Input::TransferOver { failed } => self.transfer_over(*failed),
            Input::UpdateLeg { target, update } => self.update_leg(target, update),
            Input::KickLeg { target } => self.kick_leg(target),
            Input::Invite { role, label, to, from, options, coach } => {
                self.invite(*role, label, (to, from), options, coach.as_ref());
            }
            Input::EndConversation => self.end_conversation(),
        }
    }

    fn wait_requested(&mut self) {
        // While a redirect is on its way the caller still waits.
        if self.task.redirection().is_none() {
            self.waits_again();
        }
        self.task.wait_seen = true;
        self.task.caller_seen = self.now;
        self.waits_instead_of_dialling();
    }

    fn left_queue(&mut self, result: QueueResult, call_ended: bool) {
        if self.task.is_accepted() || self.task.released {
            if call_ended || result == QueueResult::Hangup {
                self.lose_caller("hangup", true, true);
            } else if result == QueueResult::RedirectedFromBridged && self.task.is_accepted() {
                self.lose_caller(result.as_str(), true, false);
            } else if result == QueueResult::Leave && self.task.released {
                self.gone_on();
            } else if result == QueueResult::Redirected && self.task.is_left_waiting() && !self.is_echo() {
                self.led_elsewhere();
            }
            return;
        }
        match result {
            QueueResult::Hangup => self.lose_caller("hangup", true, true),
            _ if call_ended => self.lose_caller("hangup", !self.caller_was_sent(), true),
            QueueResult::Leave if self.task.leaves_message => self.lose_caller(REASON_MESSAGE, true, false),
            QueueResult::Leave | QueueResult::QueueFull | QueueResult::Error | QueueResult::SystemError => {
                self.lose_caller(result.as_str(), true, false);
            }
            QueueResult::Redirected if self.task.taken && !self.is_echo() => self.led_elsewhere(),
            QueueResult::Redirected | QueueResult::RedirectedFromBridged if !self.is_echo() => {
                self.lose_caller(QueueResult::Redirected.as_str(), true, false);
            }
            QueueResult::Redirected
            | QueueResult::RedirectedFromBridged
            | QueueResult::Bridged
            | QueueResult::BridgingInProcess => self.task.caller_seen = self.now,
        }
    }

    /// The released caller is at the application, whatever becomes of the command that sends it there.
    fn gone_on(&mut self) {
        self.leave_room(0);
        self.task.wish = None;
        self.task.deadlines.wish = None;
    }

    /// Whether a redirect that the queue tells of is one of ours.
    fn is_echo(&self) -> bool {
        self.caller_was_sent()
            || self.task.wish.is_some()
            || ((self.task.sent_to.is_some() || self.task.elsewhere) && !defect!(RedirectTakenForLeaving))
            || self.is_redirecting()
            || self.task.redirected.is_some_and(|at| self.now.ms_since(at) <= self.policy.redirect_echo_ms)
    }

    /// A leg's own document tells that it left the room. Another leg may have run the same document: a call that tried
    /// to take the reservation while the worker's leg was already being connected.
    fn left_by_document(
        &mut self,
        role: Role,
        reservation: Option<ReservationSid>,
        call: Option<&CallSid>,
        call_ended: bool,
    ) {
        let index = match role {
            Role::Customer => Some(0),
            Role::Worker | Role::External | Role::Supervisor => {
                reservation.and_then(|reservation| self.worker_index(reservation))
            }
        };
        let Some(index) = index.filter(|index| call.is_none() || self.task.legs[*index].call.as_ref() == call) else {
            return;
        };
        if index == 0 {
            return self.caller_left_room(call_ended);
        }
        self.leave_room(index);
        if call_ended {
            self.end_leg(index, Some(CallStatus::Completed), None);
        }
    }

    fn caller_left_room(&mut self, call_ended: bool) {
        if call_ended {
            return self.lose_caller("hangup", !self.caller_was_sent(), true);
        }
        if self.task.is_bridged() || self.task.task_ended {
            return self.leave_room(0);
        }
        if self.caller_was_sent() {
            self.fail(None);
        }
        // The answer to this request parks the caller.
        if self.task.wish == Some(Wish::Park) {
            self.task.wish = None;
        }
    }

    fn call_ended(&mut self, call: &CallSid) {
        if *call == self.task.call && self.is_dialing_out() {
            return self.end_leg(0, Some(CallStatus::Completed), None);
        }
        if *call == self.task.call {
            return self.lose_caller("hangup", !self.caller_was_sent(), true);
        }
        let own = self.task.legs.iter().position(|leg| leg.role == Role::Worker && leg.call.as_ref() == Some(call));
        if let Some(index) = own {
            self.end_leg(index, Some(CallStatus::Completed), None);
        }
    }

    fn caller_changed(&mut self, call: &CallSid, status: CallStatus, code: Option<i32>) {
        let first_news = self.task.call.0.is_empty();
        self.note_customer_call(Some(call));
        if *call != self.task.call {
            if self.task.is_unknown_customer(call) && !status.is_final() {
                self.placed_in_vain(call);
            }
            return;
        }
        if self.is_dialing_out() {
            if first_news && !status.is_final() {
                self.comes_after_all(0);
            }
            return self.customer_changed(status, code);
        }
        if status.is_final() {
            self.lose_caller("hangup", !self.caller_was_sent(), true);
        } else {
            self.task.caller_seen = self.now;
        }
    }

    fn leg_changed(
        &mut self,
        index: usize,
        call: &CallSid,
        status: CallStatus,
        sequence: Option<u32>,
        code: Option<i32>,
    ) {
        if self.task.legs[index].by_caller.is_some() {
            return self.dialled_leg_changed(index, call, status, code);
        }
        let now = self.now;
        let connecting = self.connecting_index() == Some(index);
        let dialing = connecting && self.phase() == Some(Phase::Dialing);
        let checking = connecting && self.phase() == Some(Phase::Checking);
        if self.task.legs[index].call.is_none() && !status.is_final() {
            self.comes_after_all(index);
        }
        let leg = &mut self.task.legs[index];
        if leg.call.get_or_insert_with(|| call.clone()) != call {
            if !status.is_final() {
                self.placed_in_vain(call);
            }
            return;
        }
        if leg.state == LegState::Ended {
            return;
        }
        leg.last_sequence = leg.last_sequence.max(sequence);
        if status.is_final() {
            return self.end_leg(index, Some(status), code);
        }
        leg.state = leg.state.max(match status {
            CallStatus::Ringing => LegState::Ringing,
            CallStatus::InProgress => LegState::Answered,
            _ => LegState::Queued,
        });
        match status {
            CallStatus::Initiated if leg.dialed.is_none() => {
                leg.dialed = Some(now);
                // A look that began before this news is none the wiser.
                if (dialing || checking) && leg.answered.is_none() && leg.end_cause.is_none() {
                    self.set_ring_guard();
                }
            }
            CallStatus::InProgress if leg.answered.is_none() => {
                leg.answered = Some(now);
                let by_document = leg.by_document;
                if !by_document {
                    self.comes_untold(index);
                }
                if dialing && by_document {
                    self.set_phase(Phase::Dialing, Some(self.policy.document_ms));
                } else if dialing {
                    self.hasten_guard(self.policy.join_guard_ms);
                }
            }
            _ => {}
        }
    }

    /// A leg has been sent into the room by all that is known. Where the phone system does not tell who comes, it has come.
    pub(super) fn comes_untold(&mut self, index: usize) {
        if self.policy.room_callbacks {
            return;
        }
        let now = self.now;
        let leg = &mut self.task.legs[index];
        if leg.is_live() && leg.state < LegState::InRoom && leg.abort.is_none() {
            leg.state = LegState::InRoom;
            leg.joined.get_or_insert(now);
            leg.answered.get_or_insert(now);
            leg.left = None;
            leg.check_at = None;
        }
    }

    fn room_changed(&mut self, sighting: &Sighting<'_>) {
        let index = self.identify(sighting);
        let current = self.task.conference.as_deref() == Some(sighting.conference);
        let joining = *sighting.event == RoomEvent::Joined
            && index.is_some()
            && index == self.connecting_index()
            && !self.task.is_bridged();
        let adoptable = self.task.connecting.is_some()
            && self.task.conference.is_none()
            && !self.task.past_conferences.iter().any(|past| past == sighting.conference);
        if !current && (joining || adoptable) {
            self.retire_room();
            self.task.past_conferences.retain(|past| past != sighting.conference);
            self.task.conference = Some(sighting.conference.to_owned());
        } else if !current {
            return self.stale_sighting(index, sighting);
        }
        match (sighting.event, index) {
            (RoomEvent::Ended { .. }, _) => self.room_ended(),
            (RoomEvent::Joined, Some(index)) => self.joined(index, sighting),
            (RoomEvent::Joined, None) => self.stranger_joined(sighting),
            (RoomEvent::Left { reason, call_status }, Some(index)) if self.is_same_call(index, sighting) => {
                self.left_room(index, sighting.sequence, reason.as_deref(), *call_status);
            }
            (RoomEvent::Held(held), Some(index)) => self.task.legs[index].held = *held,
            (RoomEvent::Muted(muted), Some(index)) => self.task.legs[index].muted = *muted,
            _ => {}
        }
    }

    /// News of a room that is not in use: they count for the legs of failed attempts, a hang-up is one in any room, and
    /// nobody is there to talk to a caller who is led into one.
    fn stale_sighting(&mut self, index: Option<usize>, sighting: &Sighting<'_>) {
        if let (RoomEvent::Joined, Some(index @ 1..), Some(call)) = (sighting.event, index, sighting.call)
            && self.task.legs[index].call.as_ref() != Some(call)
        {
            return self.joined_another_room(index, call);
        }
        let Some(index) = index.filter(|index| self.is_same_call(*index, sighting)) else { return };
        match (sighting.event, index) {
            (RoomEvent::Joined, 0) => self.caller_strayed(sighting.conference),
            (RoomEvent::Left { .. }, 0) if self.is_dialing_out() => {}
            (RoomEvent::Left { reason, .. }, 0) if reason.as_deref() == Some(HUNG_UP) && !self.caller_was_sent() => {
                self.lose_caller("hangup", true, true);
            }
            (RoomEvent::Left { .. }, 1..)
                if self.connecting_index() != Some(index) && !self.task.legs[index].accepted =>
            {
                self.leave_room(index);
            }
            _ => {}
        }
    }

    /// The caller is in a room where no worker will come: the room ends, so that the call goes on with its next
    /// document. A redirect to somewhere else that is on its way takes the caller out as well.
    fn caller_strayed(&mut self, conference: &str) {
        let called_out = self.task.wish.is_some()
            || self.is_outstanding(&Errand::ParkCaller)
            || self.is_outstanding(&Errand::ReleaseCaller);
        if self.task.connecting.is_none() && !called_out {
            self.end_stray_room(conference.to_owned(), 0);
        }
    }

    /// Which leg an event is about: by label, else by call. A leg that came in vain has the label of another, and is known
    /// by its call alone.
    fn identify(&self, sighting: &Sighting<'_>) -> Option<usize> {
        if let Some(index) = sighting.call.and_then(|call| self.leg_index(&call.0)) {
            return Some(index);
        }
        match (sighting.label, sighting.call) {
            (Some(CUSTOMER_LABEL), Some(call)) => {
                let unknown = self.task.outbound && self.task.call.0.is_empty() && !self.task.past_calls.contains(call);
                (unknown || *call == self.task.call).then_some(0)
            }
            (Some(label), _) if self.leg_index(label).is_some() => self.leg_index(label),
            (_, Some(call)) => self.task.legs.iter().position(|leg| leg.call.as_ref() == Some(call)),
            _ => None,
        }
    }

    fn is_same_call(&self, index: usize, sighting: &Sighting<'_>) -> bool {
        match (&self.task.legs[index].call, sighting.call) {
            (Some(known), Some(seen)) => known == seen,
            _ => true,
        }
    }

    fn joined(&mut self, index: usize, sighting: &Sighting<'_>) {
        let now = self.now;
        let same = self.is_same_call(index, sighting);
        if self.task.legs[index].call.is_none() {
            self.comes_after_all(index);
        }
        let leg = &mut self.task.legs[index];
        if !same {
            let returns = !leg.is_live() && leg.accepted && leg.last_room_sequence <= sighting.sequence;
            if !returns {
                return self.duplicate_joined(sighting);
            }
            leg.call = sighting.call.cloned();
            leg.state = LegState::Left;
            leg.ended = None;
        } else if leg.call.is_none() {
            leg.call = sighting.call.cloned();
        }
        let newer = matches!((sighting.sequence, leg.last_room_sequence), (Some(new), Some(old)) if new > old);
        leg.last_room_sequence = leg.last_room_sequence.max(sighting.sequence);
        leg.joined.get_or_insert(now);
        leg.answered.get_or_insert(now);
        if leg.state < LegState::InRoom || (leg.state == LegState::Left && (newer || !same)) {
            leg.state = LegState::InRoom;
            leg.left = None;
            leg.check_at = None;
        }
        if index == 0 {
            self.task.caller_seen = now;
            self.note_customer_call(sighting.call);
        }
    }

    /// Somebody who is not one of ours is in the room.
    fn stranger_joined(&mut self, sighting: &Sighting<'_>) {
        let Some(call) = sighting.call else { return };
        let label = match sighting.label {
            Some(label) if label.parse::<ReservationSid>().is_ok() || label == CUSTOMER_LABEL => return,
            Some(label) => label.to_owned(),
            None => call.0.clone(),
        };
        self.add_stranger(label, call, sighting.sequence, None);
    }

    /// A second leg under a label of ours came from a repeated command; it is to leave.
    fn duplicate_joined(&mut self, sighting: &Sighting<'_>) {
        if let Some(call) = sighting.call {
            self.add_stranger(call.0.clone(), call, sighting.sequence, Some(Abort::Wanted));
        }
    }

    fn add_stranger(&mut self, label: String, call: &CallSid, sequence: Option<u32>, abort: Option<Abort>) {
        if self.leg_index(&label).is_some() || !self.make_place_for_leg() {
            return;
        }
        self.task.legs.push(Leg {
            call: Some(call.clone()),
            state: LegState::InRoom,
            joined: Some(self.now),
            last_room_sequence: sequence,
            abort,
            ..Leg::requested(Role::External, label, self.now)
        });
    }

    fn left_room(
        &mut self,
        index: usize,
        sequence: Option<u32>,
        reason: Option<&str>,
        call_status: Option<CallStatus>,
    ) {
        let leg = &mut self.task.legs[index];
        if matches!((sequence, leg.last_room_sequence), (Some(new), Some(old)) if new < old) {
            return;
        }
        leg.last_room_sequence = leg.last_room_sequence.max(sequence);
        let made_by_us = index > 0 || self.is_dialing_out();
        if reason == Some(ADD_FAILED) && made_by_us {
            return self.add_failed(index, call_status);
        }
        let room_ends = reason.is_some_and(|reason| ROOM_END_REASONS.contains(&reason));
        if index == 0 && self.is_dialing_out() {
            self.end_leg(0, call_status.or(Some(CallStatus::Completed)), None);
        } else if index == 0 {
            let hung_up = reason.is_none_or(|reason| reason == HUNG_UP || reason == ADD_FAILED);
            let already_out = !self.task.caller().is_live();
            if hung_up {
                self.lose_caller("hangup", !self.caller_was_sent(), true);
            } else if !self.task.is_bridged() && self.caller_was_sent() && !already_out {
                self.leave_room(0);
                let until = self.now.plus_ms(self.policy.lost_join_ms);
                self.task.deadlines.lost_join.get_or_insert(until);
            } else if self.task.is_accepted() {
                self.leave_room(0);
            }
        } else {
            self.leave_room(index);
            if call_status.is_some_and(CallStatus::is_final) {
                self.end_leg(index, call_status, None);
            }
        }
        if room_ends && self.task.is_bridged() {
            self.room_ended();
        }
    }

    /// The worker's leg never got into the room. The call's own callback tells a failure's code; it may be on its way.
    fn add_failed(&mut self, index: usize, status: Option<CallStatus>) {
        let connecting = self.connecting_index() == Some(index) || index == 0;
        let status = status.filter(|status| status.is_final()).unwrap_or(CallStatus::Failed);
        let leg = &mut self.task.legs[index];
        if leg.state == LegState::Ended {
            return;
        }
        if connecting && status == CallStatus::Failed {
            leg.end_cause = Some(status);
            self.hasten_guard(self.policy.lost_join_ms);
        } else {
            self.end_leg(index, Some(status), None);
        }
    }
}
