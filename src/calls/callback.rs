//! A caller who would rather be called back: the call may end, the task keeps its place, and when a worker has taken it
//! the worker is connected first and the caller dialled second (`spec/voice.md` 8.11).
//!
//! From the promise on the task is like an outbound one, which `customer` and `connecting` connect. Here is what is
//! different: the attempts at reaching the customer are counted, the task rests between two of them, and the promise ends
//! after some time. An attempt counts when the customer's leg was dialled and did not get into the room; not when the
//! worker gave up first, nor when the phone system could not be asked. Whoever asked for it may still be on the line when
//! the first worker has come: that call ends before the same phone is dialled. Start with [`VoiceTask::recallable`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::interface::{CallSid, Output, PhoneCommand};
use super::machine::Machine;
use super::voice_task::{CUSTOMER_LABEL, CallerEnd, Connecting, Errand, Leg, Phase, VoiceTask};
use super::{Role, VoiceState};
use crate::routing::{ReservationSid, Timestamp};

/// Reason of a task whose customer was not reached.
const REASON_NOT_REACHED: &str = "callback not answered";
/// Reason of a task that no worker took in time.
const REASON_EXPIRED: &str = "callback expired";
/// Legs of earlier attempts whose late news is recognised.
const MOST_PAST_LEGS: usize = 12;

/// How a callback is carried out; fixed when it is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackTerms {
    /// Attempts at reaching the customer, at least 1.
    pub attempts: u32,
    /// Rest of the task between two of them, in seconds.
    pub pause_secs: u32,
    /// For how long the promise holds, in seconds.
    pub expires_secs: u32,
}

/// A callback that was promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// On these terms.
    pub terms: CallbackTerms,
    /// The call that asked for it.
    pub caller: CallSid,
    /// Attempts at reaching the customer so far.
    pub tried: u32,
    /// No attempt is begun from then on.
    pub expires: Timestamp,
    /// The call that asked for it has not ended yet, for all that is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_line: bool,
}

/// Whether a call can have a callback instead of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recallable {
    /// It can.
    Yes,
    /// It was promised to this call already.
    Promised,
    /// A worker is about to take the call.
    WorkerComing,
    /// The call does not wait in this task.
    No,
}

impl VoiceTask {
    /// The call that asked for a callback, while it has not ended for all that is known.
    fn call_on_line(&self) -> Option<&CallSid> {
        self.callback.as_ref().filter(|callback| callback.on_line).map(|callback| &callback.caller)
    }

    /// The call whose end is news for the task: the customer's, or that of a caller who is still told of the callback.
    #[must_use]
    pub fn awaited_call(&self) -> Option<&CallSid> {
        Some(&self.call).filter(|call| !call.0.is_empty()).or_else(|| self.call_on_line())
    }

    /// Whether `call` can have a callback instead of waiting.
    #[must_use]
    pub fn recallable(&self, call: &CallSid) -> Recallable {
        if let Some(callback) = &self.callback {
            return if callback.caller == *call { Recallable::Promised } else { Recallable::No };
        }
        if self.outbound || self.call != *call || self.is_accepted() || !self.holds_caller() {
            return Recallable::No;
        }
        let redirects = |errand: &Errand| matches!(errand, Errand::MoveCaller | Errand::ParkCaller);
        let moving = self.wish.is_some() || self.outstanding.values().any(redirects);
        if self.connecting.is_some() || moving { Recallable::WorkerComing } else { Recallable::Yes }
    }
}

impl Machine<'_> {
    /// The caller will be called back under `to`: of the call nothing counts any more but that it ends.
    pub(super) fn promise_callback(&mut self, call: &CallSid, to: &str, terms: CallbackTerms) {
        if self.task.recallable(call) != Recallable::Yes {
            return;
        }
        let task = &mut *self.task;
        let expires = self.now.plus_secs(terms.expires_secs);
        task.callback = Some(Callback { terms, caller: call.clone(), tried: 0, expires, on_line: true });
        task.outbound = true;
        task.from = std::mem::replace(&mut task.to, to.to_owned());
        task.wait_seen = false;
        task.deadlines.silence = None;
        task.deadlines.callback = task.callback.as_ref().map(|callback| callback.expires);
        for errand in task.outstanding.values_mut().filter(|errand| **errand == Errand::FetchCaller) {
            *errand = Errand::FormerCall;
        }
        self.forget_customer();
        let attributes = [("callback", Value::from(true)), ("outbound_to", Value::from(to))];
        self.merge(attributes);
    }

    /// Whether the call that asked for a callback is not known to have ended: nobody can be reached whose phone is in use.
    pub(super) fn is_line_taken(&self) -> bool {
        self.task.call_on_line().is_some()
    }

    /// A worker waits for a caller who has not hung up yet: the call is ended, and the customer is dialled as soon as it
    /// has, or after a moment if nothing is heard of that.
    pub(super) fn free_line(&mut self) {
        let asked = |connecting: &Connecting| connecting.phase == Phase::ReadyToMove && connecting.guard.is_some();
        let Some(call) = self.task.call_on_line().cloned() else { return };
        if self.task.connecting.as_ref().is_none_or(asked) {
            return;
        }
        self.set_phase(Phase::ReadyToMove, Some(self.policy.line_free_ms));
        self.phone(Errand::FormerCall, PhoneCommand::HangUp { call });
    }

    /// The call that asked for a callback has ended, or nobody waits for that any longer.
    pub(super) fn line_is_free(&mut self) {
        if let Some(callback) = &mut self.task.callback {
            callback.on_line = false;
        }
    }

    /// A call is over: whether it is the one that asked for a callback.
    pub(super) fn is_call_on_line(&self, call: &CallSid) -> bool {
        self.task.call_on_line() == Some(call)
    }

    /// The customer's leg of before is no longer the customer's; the next is not dialled yet.
    pub(super) fn forget_customer(&mut self) {
        let task = &mut *self.task;
        let past = std::mem::replace(&mut task.call, CallSid(String::new()));
        if !past.0.is_empty() {
            if task.past_calls.len() >= MOST_PAST_LEGS {
                task.past_calls.remove(0);
            }
            task.past_calls.push(past);
        }
        task.legs[0] = Leg::requested(Role::Customer, CUSTOMER_LABEL.to_owned(), self.now);
        // What became of the earlier leg is nothing to the next one.
        for errand in task.outstanding.values_mut() {
            if errand.ends().is_some_and(|label| label == CUSTOMER_LABEL) {
                *errand = Errand::Forgotten;
            }
        }
    }

    /// Whether somebody is to be called back who was not reached yet.
    pub(super) fn is_calling_back(&self) -> bool {
        self.task.callback.is_some() && self.is_dialing_out()
    }

    /// Whether the customer is being dialled, or looked for after that.
    fn is_reaching_customer(&self) -> bool {
        matches!(self.phase(), Some(Phase::DialingCustomer | Phase::FindingLost))
    }

    /// The customer's leg was dialled in vain.
    pub(super) fn customer_not_reached(&mut self, code: Option<i32>) {
        let Some(callback) = &mut self.task.callback else { return self.fail(code) };
        callback.tried = callback.tried.saturating_add(1);
        let (tried, attempts) = (callback.tried, callback.terms.attempts);
        self.merge([("callback_attempts", Value::from(tried))]);
        self.fail(code);
        if tried >= attempts {
            self.end_callback(REASON_NOT_REACHED);
        }
    }

    /// Until when the task rests if this attempt fails now: the next worker must not dial at once somebody who did not
    /// answer. A worker who gives up is no reason to rest.
    pub(super) fn rest_until(&self) -> Option<Timestamp> {
        let callback = self.task.callback.as_ref()?;
        let worker_left = self.connecting_index().is_none_or(|index| !self.task.legs[index].is_live());
        let rests = self.is_dialing_out() && self.is_reaching_customer() && !worker_left;
        rests.then(|| self.now.plus_secs(callback.terms.pause_secs))
    }

    /// The promise has an end, but an attempt that goes on is not broken off.
    pub(super) fn settle_callback(&mut self) {
        let expired = self.task.callback.as_ref().is_some_and(|callback| self.now >= callback.expires);
        let open = self.is_calling_back() && self.task.connecting.is_none() && !self.task.task_ended;
        if expired && open {
            self.end_callback(REASON_EXPIRED);
        }
    }

    fn end_callback(&mut self, reason: &str) {
        let end = CallerEnd { reason: reason.to_owned(), certain: true };
        self.task.caller_end.get_or_insert(end);
    }

    /// A worker accepted without having a leg dialled: whoever that is sees to the call, or the application does.
    pub(super) fn taken_elsewhere(&mut self, reservation: ReservationSid) {
        self.task.taken |= !self.task.is_accepted() && self.task.connecting.is_none();
        self.task.held_apart.insert(reservation);
        self.task.requeued = false;
        if self.is_calling_back() && self.task.state < VoiceState::Ending {
            self.task.task_ended = true;
            self.abandon();
        }
    }

    fn merge<const N: usize>(&mut self, attributes: [(&str, Value); N]) {
        let attributes: Map<String, Value> =
            attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        self.outputs.push(Output::MergeAttributes(attributes));
    }
}
