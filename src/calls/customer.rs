//! The customer of an outbound task, who is dialled once the worker is in the room (`spec/voice.md` 3.6).
//!
//! Before acceptance the customer's leg is a leg that we made, like a worker's; afterwards it is the customer's like that
//! of a caller. Start with `dial_customer`.

use super::dial_rules::is_metered;
use super::interface::{CallSid, CallStatus, PhoneCommand, Role};
use super::machine::Machine;
use super::options::ConferenceOptions;
use super::voice_task::{Abort, CUSTOMER_LABEL, Errand, LegState, Phase};

impl Machine<'_> {
    /// Whether the customer's leg is one that we made and that nobody has talked on yet.
    pub(super) fn is_dialing_out(&self) -> bool {
        self.task.outbound && !self.task.is_accepted()
    }

    /// Whether a call to the customer of an earlier attempt may still be on its way.
    pub(super) fn is_customer_leaving(&self) -> bool {
        let leg = self.task.caller();
        let adding = self.is_outstanding(&Errand::AddParticipant(CUSTOMER_LABEL.to_owned()));
        let there = adding || (leg.state < LegState::Left && leg.abort.is_some());
        // An answer about the earlier call must not be taken for one about the next.
        self.task.outbound && (there || self.is_outstanding(&Errand::FetchCaller))
    }

    /// Dials the customer into the room of the worker; nobody is called twice at one time.
    pub(super) fn dial_customer(&mut self) {
        if self.is_customer_leaving() {
            return self.set_phase(Phase::ReadyToMove, None);
        }
        if self.is_line_taken() {
            return self.free_line();
        }
        let given = self.task.options.clone().unwrap_or_default();
        self.forget_customer();
        self.task.legs[0].ends_room = given.end_conference_on_customer_exit;
        self.task.legs[0].metered = is_metered(&self.task.to);
        let beep = if given.beep_on_customer_entrance { "onEnter" } else { "false" };
        let options = ConferenceOptions {
            timeout_secs: given.timeout_secs,
            beep: beep.to_owned(),
            end_conference_on_exit: given.end_conference_on_customer_exit,
            ..ConferenceOptions::default()
        };
        self.set_customer_guard();
        let command = PhoneCommand::AddParticipant {
            room: self.room_handle(),
            label: CUSTOMER_LABEL.to_owned(),
            role: Role::Customer,
            coach: None,
            to: self.task.to.clone(),
            from: self.caller_id(given.from.as_deref()).unwrap_or_default(),
            options,
            requested_at: self.now,
        };
        self.phone(Errand::AddParticipant(CUSTOMER_LABEL.to_owned()), command);
    }

    /// The customer's phone may ring for as long as the worker's, and the phone system may take a margin, from now.
    pub(super) fn set_customer_guard(&mut self) {
        let ring_secs = self.task.options.as_ref().map_or(0, |options| options.timeout_secs);
        self.set_phase(Phase::DialingCustomer, Some(i64::from(ring_secs) * 1000 + self.policy.ring_margin_ms));
    }

    /// The caller ID of a leg: what was asked for, else the number that belongs to us.
    pub(super) fn caller_id(&self, wanted: Option<&str>) -> Option<String> {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        wanted.and_then(given).or_else(|| given(self.task.own_number()))
    }

    /// The customer's leg has a SID now, wherever it was seen first.
    pub(super) fn note_customer_call(&mut self, call: Option<&CallSid>) {
        if self.task.outbound
            && self.task.call.0.is_empty()
            && let Some(call) = call
            && !self.task.past_calls.contains(call)
        {
            self.task.call = call.clone();
            self.task.legs[0].call = Some(call.clone());
        }
    }

    /// A status of the customer's leg before anybody has talked on it.
    pub(super) fn customer_changed(&mut self, status: CallStatus, code: Option<i32>) {
        if status.is_final() {
            return self.end_leg(0, Some(status), code);
        }
        let now = self.now;
        let leg = &mut self.task.legs[0];
        let begins = status == CallStatus::Initiated && leg.dialed.is_none() && leg.state < LegState::Answered;
        leg.state = leg.state.max(match status {
            CallStatus::Ringing => LegState::Ringing,
            CallStatus::InProgress => LegState::Answered,
            _ => LegState::Queued,
        });
        if status == CallStatus::InProgress {
            return self.comes_untold(0);
        }
        if begins {
            leg.dialed = Some(now);
            if self.phase() == Some(Phase::DialingCustomer) && self.task.legs[0].end_cause.is_none() {
                self.set_customer_guard();
            }
        }
    }

    /// The customer's leg is not wanted any more.
    pub(super) fn give_up_customer(&mut self) {
        let adding = self.is_outstanding(&Errand::AddParticipant(CUSTOMER_LABEL.to_owned()));
        let dialing = adding || self.phase() == Some(Phase::DialingCustomer);
        let asked = self.is_dialing_out() && (dialing || self.task.caller().call.is_some());
        let leg = &mut self.task.legs[0];
        if asked && leg.is_live() && leg.abort.is_none() {
            leg.abort = Some(Abort::Wanted);
        }
    }
}
