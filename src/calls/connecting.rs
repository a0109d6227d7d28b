//! Connecting a caller with a worker: from the instruction to acceptance, and back to waiting when it fails
//! (`spec/voice.md` 3.6 and 3.7).
//!
//! Decides by the facts that `fold` and `answers` have noted; what happens after acceptance is in `ending`. Start with
//! `instruct`, then `settle_connecting`.

use serde_json::{Map, Value};

use super::dial_rules::is_metered;
use super::interface::{CallSid, CallStatus, Output, PhoneCommand, Role};
use super::machine::Machine;
use super::options::{ConferenceOptions, ConnectBy, WorkerDocument};
use super::policy::{CODE_BUSY, CODE_NO_ANSWER, LONGEST_RING_SECS, NOT_CALLED, alert_no_caller_id, alert_nobody};
use super::voice_task::{Connecting, Errand, Leg, LegState, Phase, Wish};
use crate::routing::ReservationSid;
use crate::routing::defect::defect;

pub(super) fn failure_code(leg: &Leg) -> Option<i32> {
    match leg.end_cause {
        Some(CallStatus::Busy) => Some(CODE_BUSY),
        Some(CallStatus::NoAnswer) => Some(CODE_NO_ANSWER),
        Some(CallStatus::Failed) => leg.end_code,
        // Whoever or whatever answered did not press the key.
        Some(CallStatus::Completed) if leg.announced.is_some() && leg.joined.is_none() => Some(CODE_NO_ANSWER),
        _ => None,
    }
}

/// Whether the worker's phone did not take the call, as far as anybody can tell: not when we, or the phone system, did not
/// call it at all because there are too many calls, because of who we are, or of the caller ID that we show.
fn was_missed(leg: &Leg) -> bool {
    match leg.end_cause {
        Some(CallStatus::Busy | CallStatus::NoAnswer) => true,
        Some(CallStatus::Failed) => leg.end_code.is_none_or(|code| !NOT_CALLED.contains(&code)),
        Some(CallStatus::Completed) => failure_code(leg).is_some(),
        _ => false,
    }
}

impl Machine<'_> {
    pub(super) fn can_connect(&self, reservation: ReservationSid) -> bool {
        self.task.holds_caller()
            && self.task.connecting.is_none()
            && self.task.redirection().is_none()
            && (!self.task.is_accepted() || self.task.handing.is_some())
            && self.task.worker_leg(reservation).is_none()
            && !self.task.held_apart.contains(&reservation)
    }

    /// The worker is dialled into the room, or, with a `document`, called to run it.
    pub(super) fn instruct(
        &mut self,
        reservation: ReservationSid,
        contact_uri: Option<&str>,
        options: &ConferenceOptions,
        document: Option<&WorkerDocument>,
    ) {
        if !self.can_connect(reservation) {
            return;
        }
        self.outputs.push(Output::BeginConnecting(reservation));
        let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let Some(to) = given(options.to.as_deref()).or_else(|| given(contact_uri)) else {
            let message = "the instruction and the worker name nobody to dial";
            return self.refuse(reservation, options, alert_nobody(options.by), message);
        };
        let Some(from) = self.caller_id(options.from.as_deref()) else {
            let message = "the instruction and the task give no caller ID";
            return self.refuse(reservation, options, alert_no_caller_id(options.by), message);
        };
        let mut options = options.clone();
        options.timeout_secs = options.timeout_secs.min(LONGEST_RING_SECS);
        if !self.policy.rooms {
            return self.prepare_dial(reservation, (to, from), &options);
        }
        let leg = Leg { metered: is_metered(&to), ..self.begin(reservation, &options) };
        let label = leg.label.clone();
        let announced = (document.is_none() && options.announcement.is_some()).then(|| Box::new(options.clone()));
        let by_document = document.is_some() || announced.is_some();
        self.task.legs.push(Leg { by_document, announced, ..leg });
        self.set_ring_guard();
        let requested_at = self.now;
        if let Some(connecting) = &mut self.task.connecting {
            connecting.accepts_on_answer = document.is_some_and(|document| document.accept);
        }
        let command = if by_document {
            let (room, label, document) = (self.task.room.clone(), label.clone(), document.cloned());
            PhoneCommand::PlaceCall { room, label, to, from, document, options, requested_at }
        } else {
            PhoneCommand::AddParticipant {
                room: self.room_handle(),
                label: label.clone(),
                role: Role::Worker,
                coach: None,
                to,
                from,
                options,
                requested_at,
            }
        };
        self.phone(Errand::AddParticipant(label), command);
    }

    /// The worker's own phone calls to take the reservation; its document leads it into the room. Or it is the leg that
    /// the call instruction placed.
    pub(super) fn worker_called(&mut self, reservation: ReservationSid, call: &CallSid, options: &ConferenceOptions) {
        if self.task.awaits_document_of(reservation, call) {
            return self.document_takes(reservation, call, options);
        }
        if !self.can_connect(reservation) || !self.policy.rooms {
            return;
        }
        self.outputs.push(Output::BeginConnecting(reservation));
        let leg = self.begin(reservation, options);
        self.task.legs.push(Leg {
            call: Some(call.clone()),
            own: true,
            state: LegState::Answered,
            answered: Some(self.now),
            ..leg
        });
        self.set_phase(Phase::Dialing, Some(self.policy.join_guard_ms));
        self.comes_untold(self.task.legs.len() - 1);
    }

    /// Begins an attempt. The options of the first conversation stay those of the room.
    pub(super) fn begin(&mut self, reservation: ReservationSid, options: &ConferenceOptions) -> Leg {
        if !self.task.is_bridged() {
            self.task.options = Some(options.clone());
            self.name_room(options.room_name.clone());
        }
        self.make_place_for_leg();
        self.task.connecting = Some(Connecting {
            reservation,
            phase: Phase::Dialing,
            guard: None,
            looks: 0,
            attributes_told: false,
            ring_secs: options.timeout_secs,
            accepts_on_answer: false,
        });
        Leg {
            reservation: Some(reservation),
            ends_room: options.end_conference_on_exit,
            muted: options.muted,
            post_work_activity: options.post_work_activity,
            status_callback: options.status_callback.clone(),
            recording_callback: options.recording_status_callback.clone(),
            ..Leg::requested(Role::Worker, reservation.to_string(), self.now)
        }
    }

    /// The room of this attempt; legs of earlier ones are looked for where they were asked into.
    fn name_room(&mut self, name: Option<String>) {
        let name = name.unwrap_or_else(|| self.task.task.to_string());
        if name == self.task.room {
            return;
        }
        let before = std::mem::replace(&mut self.task.room, name);
        for leg in self.task.legs.iter_mut().filter(|leg| leg.state < LegState::InRoom) {
            leg.room.get_or_insert_with(|| before.clone());
        }
    }

    /// An instruction that cannot be carried out: its leg is kept as one that failed, so that a repetition is known.
    pub(super) fn refuse(
        &mut self,
        reservation: ReservationSid,
        options: &ConferenceOptions,
        code: u32,
        message: &str,
    ) {
        let leg = self.begin(reservation, options);
        self.task.connecting = None;
        self.task.legs.push(Leg {
            state: LegState::Ended,
            ended: Some(self.now),
            end_cause: Some(CallStatus::Failed),
            ..leg
        });
        self.outputs.push(Output::Alert { code, message: message.to_owned(), reservation: Some(reservation) });
        self.outputs.push(Output::FailConnecting { reservation, code: None, not_before: None, missed: false });
    }

    pub(super) fn set_phase(&mut self, phase: Phase, guard_ms: Option<i64>) {
        let now = self.now;
        if let Some(connecting) = &mut self.task.connecting {
            connecting.phase = phase;
            connecting.guard = guard_ms.map(|ms| now.plus_ms(ms));
        }
    }

    /// The phone system may take the ring timeout and a margin from now.
    pub(super) fn set_ring_guard(&mut self) {
        let ring_secs = self.task.connecting.as_ref().map_or(0, |connecting| connecting.ring_secs);
        self.set_phase(Phase::Dialing, Some(i64::from(ring_secs) * 1000 + self.policy.ring_margin_ms));
    }

    /// Whether a leg is still in the phone system's own queue, which dials so many calls a second: it rings as long as it
    /// may from the moment at which it is dialled.
    pub(super) fn awaits_its_turn(&self, index: usize, status: Option<CallStatus>) -> bool {
        let leg = &self.task.legs[index];
        let patient = self.now.ms_since(leg.created) < self.policy.dial_queue_ms;
        status == Some(CallStatus::Queued) && leg.dialed.is_none() && patient
    }

    /// Whether a leg has not been asked for yet because others have their turn first.
    fn awaits_our_turn(&self, index: usize) -> bool {
        let leg = &self.task.legs[index];
        let patient = self.now.ms_since(leg.created) < self.policy.dial_queue_ms;
        let asked = || self.is_outstanding(&Errand::AddParticipant(leg.label.clone()));
        self.policy.calls_take_turns && patient && leg.call.is_none() && asked()
    }

    /// Moves the guard forward to `ms` from now, if it was later.
    pub(super) fn hasten_guard(&mut self, ms: i64) {
        let at = self.now.plus_ms(ms);
        if let Some(connecting) = &mut self.task.connecting {
            connecting.guard = Some(connecting.guard.map_or(at, |guard| guard.min(at)));
        }
    }

    /// Both were seen in the room: accepted, even when one of them has left since.
    pub(super) fn settle_acceptance(&mut self) {
        let Some(index) = self.connecting_index() else { return };
        self.tell_attributes(index);
        if self.task.connecting.as_ref().is_some_and(|connecting| connecting.accepts_on_answer) {
            return self.accept_on_answer(index);
        }
        // Whoever takes over a conversation comes to the customer.
        let caller_joined = self.task.is_bridged()
            || (self.caller_was_sent() && (self.task.caller().joined.is_some() || defect!(AcceptedWithoutCaller)));
        if !caller_joined || self.task.legs[index].joined.is_none() {
            return;
        }
        let Some(connecting) = self.task.connecting.take() else { return };
        self.merge_attributes(index);
        self.task.legs[index].accepted = true;
        self.task.deadlines.lost_join = None;
        self.task.deadlines.callback = None;
        self.task.requeued = false;
        let by_conference = self.connected_by() == ConnectBy::Conference;
        self.task.says_redirected = self.policy.choices.redirected_after_conference && by_conference;
        self.outputs.push(Output::Accept(connecting.reservation));
        if self.policy.choices.auto_unhold_on_transfer_accept && self.task.handing.is_some() {
            self.unhold_customer();
        }
    }

    /// Tells the routing core the room and the legs once they are known.
    fn tell_attributes(&mut self, index: usize) {
        let needs_room = self.task.options.as_ref().is_none_or(|options| options.by != ConnectBy::Call);
        let known = !self.is_dialling_on()
            && self.task.legs[index].call.is_some()
            && (self.task.conference.is_some() || !needs_room);
        let Some(connecting) = &mut self.task.connecting else { return };
        if known && !connecting.attributes_told && self.task.caller_end.is_none() {
            connecting.attributes_told = true;
            self.merge_attributes(index);
        }
    }

    fn merge_attributes(&mut self, index: usize) {
        let by_caller = self.task.legs[index].by_caller.is_some();
        if by_caller || self.task.options.as_ref().is_some_and(|options| options.by != ConnectBy::Conference) {
            if let Some(call) = &self.task.legs[index].call {
                let worker = ("worker_call_sid".to_owned(), Value::from(call.0.as_str()));
                self.outputs.push(Output::MergeAttributes(Map::from_iter([worker])));
            }
            return;
        }
        let mut participants = Map::new();
        if let Some(call) = &self.task.legs[index].call {
            participants.insert("worker".to_owned(), Value::from(call.0.as_str()));
        }
        let customer = self.task.caller();
        if !self.task.outbound || (customer.call.is_some() && customer.is_live() && customer.abort.is_none()) {
            participants.insert("customer".to_owned(), Value::from(self.task.call.0.as_str()));
        }
        let mut conference = Map::new();
        conference.insert("room_name".to_owned(), Value::from(self.task.room.as_str()));
        if let Some(sid) = &self.task.conference {
            conference.insert("sid".to_owned(), Value::from(sid.as_str()));
        }
        conference.insert("participants".to_owned(), Value::Object(participants));
        let mut attributes = Map::new();
        attributes.insert("conference".to_owned(), Value::Object(conference));
        if self.task.outbound && self.task.callback.is_none() {
            attributes.insert("direction".to_owned(), Value::from("outbound"));
        }
        self.outputs.push(Output::MergeAttributes(attributes));
    }

    /// Goes on with the attempt, or gives it up when the worker's leg is gone.
    pub(super) fn settle_connecting(&mut self) {
        let (Some(index), Some(phase)) = (self.connecting_index(), self.phase()) else { return };
        if self.task.caller_end.is_some() {
            return;
        }
        let leg = &self.task.legs[index];
        if !leg.is_live() {
            let code = failure_code(leg);
            return self.fail(code);
        }
        let looked_for = phase == Phase::FindingLost && self.is_calling_back();
        if (phase == Phase::DialingCustomer || looked_for) && !self.task.caller().is_live() {
            let code = failure_code(self.task.caller());
            return self.customer_not_reached(code);
        }
        if (leg.state == LegState::InRoom || leg.by_caller.is_some()) && phase <= Phase::Checking {
            if self.task.outbound {
                return self.dial_customer();
            }
            let fresh = self.now.ms_since(self.task.caller_seen) < self.policy.caller_fresh_ms;
            if fresh && self.task.wait_seen {
                self.set_phase(Phase::ReadyToMove, None);
            } else {
                self.set_phase(Phase::FindingCaller, None);
                self.fetch_caller();
            }
        }
        if self.phase() == Some(Phase::ReadyToMove) && self.task.outbound {
            return self.dial_customer();
        }
        if self.phase() == Some(Phase::ReadyToMove) && self.task.wish.is_none() && !self.is_redirecting() {
            self.move_caller();
        }
    }

    fn move_caller(&mut self) {
        let caller = &mut self.task.legs[0];
        caller.state = LegState::Answered;
        caller.joined = None;
        caller.left = None;
        caller.last_room_sequence = None;
        caller.ends_room = self.task.options.as_ref().is_some_and(|options| options.end_conference_on_customer_exit);
        self.set_phase(Phase::Moving, None);
        self.waits_again();
        self.task.redirected = Some(self.now);
        let (call, room) = (self.task.call.clone(), self.task.room.clone());
        let command = self.dial_command().unwrap_or(PhoneCommand::MoveCallerToRoom { call, room });
        self.phone(Errand::MoveCaller, command);
    }

    /// The attempt has failed: the reservation is canceled and the caller waits again.
    pub(super) fn fail(&mut self, code: Option<i32>) {
        let not_before = self.rest_until();
        let missed = self.connecting_index().is_some_and(|index| was_missed(&self.task.legs[index]));
        if let Some(reservation) = self.abandon() {
            self.outputs.push(Output::FailConnecting { reservation, code, not_before, missed });
            self.settle_aborts();
            if !self.task.is_bridged() {
                self.retire_room();
            }
        }
    }

    /// Ends the attempt without a word to the routing core; a caller who was sent to the room is to come back.
    pub(super) fn abandon(&mut self) -> Option<ReservationSid> {
        let sent = self.caller_was_sent();
        let index = self.connecting_index();
        self.give_up_customer();
        let connecting = self.task.connecting.take()?;
        if let Some(index) = index {
            self.give_up_leg(index);
        }
        self.task.deadlines.lost_join = None;
        if sent && self.task.wish.is_none() && !self.task.outbound {
            self.want(Wish::Park);
        }
        Some(connecting.reservation)
    }

    pub(super) fn want(&mut self, wish: Wish) {
        self.task.wish = Some(wish);
        self.task.wish_tries = 0;
        self.task.deadlines.wish = None;
    }

    /// Redirects the caller as wished, when no other redirect is on its way.
    pub(super) fn settle_wish(&mut self) {
        let Some(wish) = self.task.wish else { return };
        // Nobody is there any more to be redirected.
        if self.task.caller_end.as_ref().is_some_and(|end| end.certain) {
            self.task.wish = None;
            self.task.deadlines.wish = None;
            return;
        }
        if self.task.deadlines.wish.is_some() || self.is_redirecting() {
            return;
        }
        self.waits_again();
        self.task.redirected = Some(self.now);
        let (call, room) = (self.task.call.clone(), self.task.room.clone());
        match wish {
            Wish::Park => self.phone(Errand::ParkCaller, PhoneCommand::ParkCaller { call, room }),
            Wish::Release => self.phone(Errand::ReleaseCaller, PhoneCommand::ReleaseCaller { call, room }),
        }
    }

    /// The phase of the attempt has lasted too long.
    pub(super) fn guard_passed(&mut self) {
        let (Some(index), Some(phase)) = (self.connecting_index(), self.phase()) else { return };
        match phase {
            Phase::Dialing => {
                let leg = &self.task.legs[index];
                if let Some(cause) = leg.end_cause {
                    self.end_leg(index, Some(cause), None);
                } else if self.awaits_our_turn(index) {
                    self.set_ring_guard();
                } else if leg.call.is_none() {
                    let reservation = leg.reservation;
                    self.alert(
                        "the worker could not be dialled: no answer of the phone system".to_owned(),
                        reservation,
                    );
                    self.fail(None);
                } else {
                    let own = leg.own;
                    self.set_phase(Phase::Checking, None);
                    if own {
                        self.fetch_room();
                    } else {
                        self.fetch_leg(index);
                    }
                    self.fetch_caller();
                }
            }
            Phase::FindingCaller => self.fetch_caller(),
            Phase::AwaitingJoin | Phase::FindingLost if self.is_dialling_on() => self.dial_has_lasted(),
            Phase::AwaitingJoin | Phase::FindingLost => self.find_lost_caller(),
            Phase::DialingCustomer => {
                let caller = self.task.caller();
                match (caller.end_cause, caller.call.is_some()) {
                    (Some(cause), _) => self.end_leg(0, Some(cause), self.task.caller().end_code),
                    (None, true) => self.find_lost_caller(),
                    (None, false) if self.awaits_our_turn(0) => self.set_customer_guard(),
                    (None, false) => {
                        let reservation = self.task.connecting.as_ref().map(|connecting| connecting.reservation);
                        self.alert(
                            "the customer could not be dialled: no answer of the phone system".to_owned(),
                            reservation,
                        );
                        self.customer_not_reached(None);
                    }
                }
            }
            // Whether the caller has hung up who is to be called back was not heard.
            Phase::ReadyToMove => self.line_is_free(),
            Phase::Checking | Phase::Moving => {}
        }
    }

    /// The caller was sent to the room, and nothing tells that it got there: is it in it, or is it gone?
    pub(super) fn find_lost_caller(&mut self) {
        self.set_phase(Phase::FindingLost, None);
        self.fetch_room();
    }

    /// The arrival that a departure waited for did not come.
    pub(super) fn lost_join_passed(&mut self) {
        if let Some(end) = &mut self.task.caller_end {
            end.certain = true;
        } else if self.caller_was_sent() {
            self.find_lost_caller();
        }
    }
}
