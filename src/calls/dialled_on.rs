//! Callers who dial the worker by their own document, where the phone system has no rooms (`spec/voice.md` 7.1, "Details
//! that bite": Somleng).
//!
//! Two calls that exist cannot be brought together there, so the caller is sent to a `<Dial>` of the worker's address. The
//! worker's leg is the phone system's: it has no commands of ours, and where nothing tells of its answer it counts as
//! answered when nothing else was told for as long as it may ring. When one of the two is gone, so is the conversation.
//! Start with `prepare_dial`, then `dial_ended`.

use super::connecting::failure_code;
use super::dial_rules::{dialable, is_metered};
use super::interface::{CallSid, CallStatus, PhoneCommand};
use super::machine::Machine;
use super::options::{CallerDials, ConferenceOptions};
use super::policy::{alert_nobody, alert_phone_system};
use super::voice_task::{Leg, LegState, Phase, VoiceTask, Wish};
use crate::routing::ReservationSid;

/// Why an address of the phone system's own clients cannot be dialled by a caller's document.
const NUMBERS_ONLY: &str = "a phone system without conferences dials numbers and SIP addresses only";

impl VoiceTask {
    /// Whom the caller's own document dials now: it rings, or the two talk.
    #[must_use]
    pub fn caller_dials(&self) -> Option<(ReservationSid, &CallerDials)> {
        let sent = self.is_moving_caller();
        let connecting = self.connecting.as_ref().filter(|_| sent).map(|connecting| connecting.reservation);
        let is_meant = |leg: &&Leg| leg.is_live() && (leg.accepted || leg.reservation == connecting);
        let leg = self.legs.iter().filter(|leg| leg.by_caller.is_some()).find(is_meant)?;
        Some((leg.reservation?, leg.by_caller.as_deref()?))
    }

    /// Whether the conversation of the task is one of a caller who has dialled the worker, so that there is no room.
    pub(super) fn is_dialled_on(&self) -> bool {
        self.legs.iter().any(|leg| leg.accepted && leg.by_caller.is_some())
    }
}

impl Machine<'_> {
    /// Begins an attempt in which the caller is to dial the worker, as soon as it is known that the caller is there.
    pub(super) fn prepare_dial(
        &mut self,
        reservation: ReservationSid,
        (to, from): (String, String),
        options: &ConferenceOptions,
    ) {
        if self.task.outbound {
            let message = "a phone system without conferences connects nobody who is called";
            return self.refuse(reservation, options, alert_phone_system(options.by), message);
        }
        if dialable(&to).starts_with("client:") {
            return self.refuse(reservation, options, alert_nobody(options.by), NUMBERS_ONLY);
        }
        let metered = is_metered(&to);
        let leg = self.begin(reservation, options);
        let dials = CallerDials { to, from, ring_secs: options.timeout_secs };
        self.task.legs.push(Leg { metered, by_caller: Some(Box::new(dials)), ..leg });
    }

    /// What sends the caller to the worker of the attempt; none where there is a room for that.
    pub(super) fn dial_command(&self) -> Option<PhoneCommand> {
        let leg = self.connecting_index().and_then(|index| self.task.legs.get(index))?;
        let CallerDials { to, from, .. } = leg.by_caller.as_deref()?.clone();
        Some(PhoneCommand::LetCallerDial { call: self.task.call.clone(), label: leg.label.clone(), to, from })
    }

    /// For how long the attempt may go on without a word once the caller was sent to dial.
    pub(super) fn dial_lasts_ms(&self) -> Option<i64> {
        let leg = self.connecting_index().and_then(|index| self.task.legs.get(index))?;
        let dials = leg.by_caller.as_deref()?;
        Some(i64::from(dials.ring_secs) * 1_000 + self.policy.dial_margin_ms)
    }

    /// Whether the caller of the attempt that goes on dials the worker.
    pub(super) fn is_dialling_on(&self) -> bool {
        self.connecting_index().is_some_and(|index| self.task.legs[index].by_caller.is_some())
    }

    /// It has rung for as long as it may. Either the two talk, or the caller is gone; a look tells which.
    pub(super) fn dial_has_lasted(&mut self) {
        let Some(index) = self.connecting_index() else { return };
        let leg = &self.task.legs[index];
        if let Some(cause) = leg.end_cause {
            let code = leg.end_code;
            return self.end_leg(index, Some(cause), code);
        }
        self.set_phase(Phase::FindingLost, None);
        self.fetch_caller();
    }

    /// The worker has answered, by all that is known.
    pub(super) fn worker_took_call(&mut self) {
        let Some(index) = self.connecting_index().filter(|_| self.caller_was_sent()) else { return };
        let now = self.now;
        for index in [0, index] {
            let leg = &mut self.task.legs[index];
            if leg.is_live() {
                leg.state = LegState::InRoom;
                leg.answered.get_or_insert(now);
                leg.joined.get_or_insert(now);
            }
        }
        let waited_secs = u32::try_from(self.now.ms_since(self.task.created) / 1_000).ok();
        self.task.queue_time_secs = self.task.queue_time_secs.or(waited_secs);
    }

    /// The `<Dial>` of the caller's document is over; the answer to that request lets the caller go on.
    pub(super) fn dial_ended(
        &mut self,
        reservation: ReservationSid,
        call: Option<&CallSid>,
        status: Option<CallStatus>,
        call_ended: bool,
    ) {
        if call.is_some_and(|call| *call != self.task.call) {
            return;
        }
        if !call_ended {
            self.task.caller_seen = self.now;
        }
        let dialled = |index: &usize| self.task.legs[*index].by_caller.is_some() && self.task.legs[*index].is_live();
        if let Some(index) = self.worker_index(reservation).filter(dialled) {
            let answered = matches!(status, Some(CallStatus::Completed | CallStatus::InProgress));
            let current = self.connecting_index() == Some(index);
            if answered && current {
                self.worker_took_call();
            }
            if answered || self.task.legs[index].accepted {
                self.end_leg(index, Some(CallStatus::Completed), None);
            } else if current && !call_ended {
                let cause = status.filter(|status| status.is_final()).unwrap_or(CallStatus::Failed);
                self.end_leg(index, Some(cause), None);
                self.dial_failed(index);
            }
        }
        if call_ended {
            self.lose_caller("hangup", true, true);
        }
    }

    /// The attempt has failed, and the caller waits again by itself.
    fn dial_failed(&mut self, index: usize) {
        let code = failure_code(&self.task.legs[index]);
        self.fail(code);
        if self.task.wish == Some(Wish::Park) {
            self.task.wish = None;
        }
    }

    /// A callback of the phone system's leg, where there is one.
    pub(super) fn dialled_leg_changed(&mut self, index: usize, call: &CallSid, status: CallStatus, code: Option<i32>) {
        let leg = &mut self.task.legs[index];
        if leg.state == LegState::Ended || leg.call.get_or_insert_with(|| call.clone()) != call {
            return;
        }
        let answered = leg.answered.is_some();
        if !answered && matches!(status, CallStatus::InProgress | CallStatus::Completed) {
            self.worker_took_call();
        }
        if status == CallStatus::Completed || (answered && status.is_final()) {
            self.end_leg(index, Some(status), code);
        } else if status.is_final() {
            // The caller's document tells of it too, and its answer is what the caller goes on with.
            let leg = &mut self.task.legs[index];
            (leg.end_cause, leg.end_code) = (Some(status), code);
            self.hasten_guard(self.policy.lost_join_ms);
        }
    }

    /// The caller hears the wait document although it was sent to dial, and not just a moment ago: the `<Dial>` is over, or
    /// was never run.
    pub(super) fn waits_instead_of_dialling(&mut self) {
        let sent = self.task.redirected.is_some_and(|at| self.now.ms_since(at) > self.policy.join_guard_ms);
        let accepted = |leg: &Leg| leg.by_caller.is_some() && leg.accepted && leg.is_live();
        if !sent {
        } else if let Some(index) = self.task.legs.iter().position(accepted) {
            self.end_leg(index, Some(CallStatus::Completed), None);
        } else if self.is_dialling_on()
            && matches!(self.phase(), Some(Phase::AwaitingJoin | Phase::FindingLost))
            && let Some(index) = self.connecting_index()
        {
            self.dial_failed(index);
        }
    }

    /// When one of the two is gone who talked by the caller's `<Dial>`, so is the conversation.
    pub(super) fn settle_dialled(&mut self) {
        let accepted = |leg: &Leg| leg.by_caller.is_some() && leg.accepted;
        let Some(index) = self.task.legs.iter().position(accepted) else { return };
        if !self.task.legs[index].is_live() || !self.task.caller().is_live() {
            self.end_leg(index, Some(CallStatus::Completed), None);
            self.leave_room(0);
            self.task.room_over = true;
        }
    }
}
