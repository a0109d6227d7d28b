//! Callers and workers who run documents of the application's by an instruction: call and redirect (`spec/voice.md` 3.4,
//! 3.5 and 8.9).
//!
//! A worker's leg that was placed to run a document comes into the room by that document, and from then on it is like any
//! other; what happens in the document is the application's affair. Start with `call_worker` and `redirect_call`.

use super::interface::{CallSid, Output, PhoneCommand, PhoneOutcome};
use super::machine::Machine;
use super::options::{ConferenceOptions, ConnectBy};
use super::policy::ALERT_REDIRECT;
use super::voice_task::{Errand, LegState, Phase, VoiceTask, Wish};
use crate::routing::defect::defect;
use crate::routing::{AccountSid, ReservationSid};

impl VoiceTask {
    /// The reservation whose redirect instruction is being carried out.
    #[must_use]
    pub fn redirection(&self) -> Option<ReservationSid> {
        self.outstanding.values().find_map(|errand| match errand {
            Errand::Redirect { reservation, .. } => Some(*reservation),
            _ => None,
        })
    }

    /// Whether this call is the leg that the call instruction of a reservation placed, which now wants to take it. Its
    /// SID may not have been told yet.
    #[must_use]
    pub fn awaits_document_of(&self, reservation: ReservationSid, call: &CallSid) -> bool {
        let connects = self.connecting.as_ref().is_some_and(|connecting| connecting.reservation == reservation);
        let leg = self.worker_leg(reservation).filter(|leg| connects && leg.by_document && leg.is_live());
        leg.is_some_and(|leg| leg.abort.is_none() && leg.call.as_ref().is_none_or(|known| known == call))
    }

    /// The options of a leg that hears our announcement, if it is the leg of this call and has not come further.
    #[must_use]
    pub fn announced(&self, reservation: ReservationSid, call: &CallSid) -> Option<&ConferenceOptions> {
        let leg = self.worker_leg(reservation).filter(|_| self.awaits_document_of(reservation, call));
        leg.and_then(|leg| leg.announced.as_deref())
    }

    /// Whether the caller still waits, although a reservation was accepted.
    pub(super) fn is_left_waiting(&self) -> bool {
        let lost = self.caller_end.is_some() || self.released || self.elsewhere;
        self.taken && !self.outbound && !lost && self.caller().state < LegState::InRoom
    }
}

impl Machine<'_> {
    /// The leg has come to the place in its document where it takes the reservation; `options` are those of the room that
    /// the document asks for.
    pub(super) fn document_takes(&mut self, reservation: ReservationSid, call: &CallSid, options: &ConferenceOptions) {
        let Some(index) = self.worker_index(reservation) else { return };
        let now = self.now;
        let leg = &mut self.task.legs[index];
        let first = leg.call.is_none() || leg.answered.is_none();
        leg.call.get_or_insert_with(|| call.clone());
        leg.state = leg.state.max(LegState::Answered);
        leg.answered.get_or_insert(now);
        if leg.announced.is_some() {
            // The instruction has said how it takes part.
            self.hasten_guard(self.policy.join_guard_ms);
            return self.comes_untold(index);
        }
        // Whoever asks for the caller is brought together with it, even when the instruction wants no more than an answer.
        if let Some(connecting) = &mut self.task.connecting {
            connecting.accepts_on_answer = false;
        }
        leg.ends_room = options.end_conference_on_exit;
        leg.post_work_activity = options.post_work_activity;
        let ring = self.task.options.as_ref().map_or(options.timeout_secs, |options| options.timeout_secs);
        let room = ConferenceOptions { by: ConnectBy::Call, timeout_secs: ring, ..options.clone() };
        let again = !first && self.task.options.as_ref() == Some(&room);
        self.task.options = Some(room);
        // A webhook that comes again does not give the leg more time.
        if self.phase() == Some(Phase::Dialing) && !again {
            self.set_phase(Phase::Dialing, Some(self.policy.join_guard_ms));
        }
        self.comes_untold(index);
    }

    /// The worker has answered, and that is all it takes: the application connects the two from here on.
    pub(super) fn accept_on_answer(&mut self, index: usize) {
        let leg = &self.task.legs[index];
        if (leg.answered.is_none() && !defect!(AcceptedWhileRinging)) || !leg.is_live() {
            return;
        }
        let Some(connecting) = self.task.connecting.take() else { return };
        self.task.legs[index].accepted = true;
        self.task.taken = true;
        self.outputs.push(Output::Accept(connecting.reservation));
    }

    /// The redirect instruction: a call goes on with a document.
    pub(super) fn redirect_call(
        &mut self,
        reservation: ReservationSid,
        call: &CallSid,
        (account, url): (AccountSid, &str),
        accept: bool,
    ) {
        if !self.can_connect(reservation) || self.task.taken {
            return;
        }
        if accept {
            self.outputs.push(Output::BeginConnecting(reservation));
        }
        if *call == self.task.call {
            self.task.redirected = Some(self.now);
            self.task.sent_to = Some(url.to_owned());
            self.task.wish = None;
            self.task.deadlines.wish = None;
        }
        let errand = Errand::Redirect { reservation, call: call.clone(), accept };
        self.phone(errand, PhoneCommand::RedirectCall { call: call.clone(), account, url: url.to_owned() });
    }

    /// A redirect of the application's was carried out, or was not.
    pub(super) fn call_redirected(
        &mut self,
        reservation: ReservationSid,
        call: &CallSid,
        accept: bool,
        outcome: &PhoneOutcome,
        complaint: &str,
    ) {
        let is_caller = *call == self.task.call;
        if matches!(outcome, PhoneOutcome::Done { .. }) {
            if is_caller {
                self.task.caller_seen = self.now;
                // The queue tells of it from now on.
                self.task.redirected = Some(self.now);
                self.task.elsewhere = self.task.sent_to.is_some();
            }
            if accept && self.task.caller_end.is_none() {
                self.task.taken |= !self.task.is_accepted();
                self.task.held_apart.insert(reservation);
                self.outputs.push(Output::Accept(reservation));
            }
            return;
        }
        let message = format!("the call could not be redirected: {complaint}");
        self.outputs.push(Output::Alert { code: ALERT_REDIRECT, message, reservation: Some(reservation) });
        if is_caller {
            self.task.sent_to = None;
        }
        if is_caller && *outcome == PhoneOutcome::Gone {
            return self.lose_caller("hangup", true, true);
        }
        let code = match outcome {
            PhoneOutcome::Refused { code, .. } => *code,
            _ => None,
        };
        self.outputs.push(Output::FailConnecting { reservation, code, not_before: None, missed: false });
    }

    /// Somebody else has redirected the caller of a reservation that was accepted without us: it is with the application.
    pub(super) fn led_elsewhere(&mut self) {
        self.task.elsewhere = true;
        self.task.caller_seen = self.now;
    }

    /// The caller waits (again).
    pub(super) fn waits_again(&mut self) {
        self.task.sent_to = None;
        self.task.elsewhere = false;
    }

    /// Nobody comes to a caller who still waits after the work is over: it goes on with the application.
    pub(super) fn release_left_waiting(&mut self) {
        if self.task.is_left_waiting() && self.task.wish != Some(Wish::Release) {
            self.task.released = true;
            self.want(Wish::Release);
        }
    }
}
