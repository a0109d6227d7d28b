//! A call to one of our own numbers is two calls, as at Twilio: the one that is dialled, and the one that comes in.
//!
//! They are twins: the dialled one is answered when the other is, and both end together. Start with
//! [`Switch::reach_own_number`].

use super::Switch;
use super::behaviour::Behaviour;
use super::calls::Cause;
use super::request::PlacedCall;
use super::state::{CallId, CallStatus, Direction};

impl Switch {
    /// Rings at a number of our own: the call that comes in there decides whether this one is answered. False when the
    /// address is none of our numbers, or has been told to behave in its own way.
    pub(super) fn reach_own_number(&mut self, id: CallId) -> bool {
        let Some(call) = self.calls.get(&id) else { return false };
        let (from, to) = (call.record.from.clone(), call.record.to.clone());
        if !self.numbers.contains_key(&to) || call.behaviour != Behaviour::default() {
            return false;
        }
        match self.place_inbound(PlacedCall { from, to, ..PlacedCall::default() }) {
            Ok(twin) => {
                for (one, other) in [(id, twin), (twin, id)] {
                    if let Some(call) = self.calls.get_mut(&one) {
                        call.twin = Some(other);
                    }
                }
            }
            Err(refusal) => {
                self.note("call.error", Some(id), None, refusal.message);
                self.end_call(id, CallStatus::Failed, Some(503), Cause::FarEnd);
            }
        }
        true
    }

    /// The call that comes in was answered, so the dialled one is.
    pub(super) fn answer_twin(&mut self, id: CallId) {
        let inbound = self.calls.get(&id).filter(|call| call.record.direction == Direction::Inbound);
        if let Some(twin) = inbound.and_then(|call| call.twin) {
            self.answer(twin);
        }
    }

    /// One of the two ended, so the other does.
    pub(super) fn end_twin(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(twin) = call.twin.take() else { return };
        let (status, inbound) = (call.record.status, call.record.direction == Direction::Inbound);
        let answered = self.calls.get(&twin).is_some_and(|twin| twin.record.answered.is_some());
        let (status, sip_code) = match (answered, inbound, status) {
            (true, ..) => (CallStatus::Completed, None),
            (false, true, CallStatus::Busy) => (CallStatus::Busy, Some(486)),
            (false, true, CallStatus::Failed) => (CallStatus::Failed, Some(500)),
            (false, true, _) => (CallStatus::NoAnswer, Some(480)),
            (false, false, _) => (CallStatus::NoAnswer, None),
        };
        self.end_call(twin, status, sip_code, Cause::FarEnd);
    }
}
