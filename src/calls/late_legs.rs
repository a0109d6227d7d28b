//! Legs that come when nobody awaits them any more (`spec/voice.md` 5.5).
//!
//! A request for a leg that was not answered in time may be carried out all the same, minutes later: the attempt was given
//! up meanwhile, another leg was made for it, or the task is over. Nobody talks to whoever answers such a leg, so it is hung
//! up as soon as it is heard of, and a room that it has opened ends with it. That it is ours its callback tells for sure,
//! whose URL only our requests carry; the label of whoever is in a room does not, because an application may lead a worker
//! who was in the conversation back under it. Start with `comes_after_all` and `placed_in_vain`.

use super::interface::{CallSid, Role};
use super::machine::Machine;
use super::policy::MOST_LEGS;
use super::voice_task::{Abort, Leg, LegState, VoiceTask};
use crate::routing::defect::defect;

impl VoiceTask {
    /// Whether a callback that its own URL says to be of a leg with this label is of one that the task does not know.
    pub(super) fn is_of_late_leg(&self, role: Role, label: &str, call: &CallSid) -> bool {
        if role == Role::Customer {
            return self.is_unknown_customer(call);
        }
        let known = self.legs.iter().any(|leg| leg.call.as_ref() == Some(call));
        !known && self.legs.first().is_none_or(|caller| caller.label != label)
    }

    /// Whether a call that we dialled as the customer's is not the customer's, nor was it before.
    pub(super) fn is_unknown_customer(&self, call: &CallSid) -> bool {
        self.outbound && *call != self.call && !self.past_calls.contains(call)
    }

    /// Whether somebody who comes into a room of a task that is over is a leg of an attempt that has failed.
    pub(super) fn is_late_arrival(&self, label: Option<&str>, call: Option<&CallSid>) -> bool {
        let known = self.legs.iter().any(|leg| call.is_some() && leg.call.as_ref() == call);
        let leg = self.legs.iter().skip(1).find(|leg| Some(leg.label.as_str()) == label);
        call.is_some() && !known && leg.is_some_and(|leg| leg.is_unclear() || leg.has_failed())
    }
}

impl Leg {
    /// Whether it was given up without anybody knowing whether there is one.
    pub(super) fn is_unclear(&self) -> bool {
        let unheard = self.call.is_none() && self.end_cause.is_none();
        self.state == LegState::Ended && unheard && self.by_caller.is_none()
    }

    /// Whether it is a worker's who never talked to the customer.
    fn has_failed(&self) -> bool {
        self.role == Role::Worker && !self.accepted && (self.abort.is_some() || self.state == LegState::Ended)
    }
}

impl Machine<'_> {
    /// There is a leg after all that was given up because nobody knew whether there is one.
    pub(super) fn comes_after_all(&mut self, index: usize) {
        let leg = &mut self.task.legs[index];
        if leg.state == LegState::Ended && leg.abort != Some(Abort::BySid) && !defect!(LateLegStays) {
            leg.state = LegState::Queued;
            leg.ended = None;
            leg.end_cause = None;
            leg.tries = 0;
            leg.complained = false;
            leg.abort = Some(Abort::Wanted);
        }
    }

    /// A leg was made that is not wanted: another one was there before, or its place is no longer known.
    pub(super) fn placed_in_vain(&mut self, call: &CallSid) {
        if self.task.legs.iter().any(|leg| leg.call.as_ref() == Some(call)) || defect!(LateLegStays) {
            return;
        }
        if !self.make_place_for_leg() {
            return;
        }
        self.task.legs.push(Leg {
            call: Some(call.clone()),
            state: LegState::Queued,
            abort: Some(Abort::Wanted),
            ..Leg::requested(Role::External, call.0.clone(), self.now)
        });
    }

    /// A call of which only the label is known, in a room that is not in use: a worker who was in the conversation may be
    /// led back by the application, and guests by whom they please.
    pub(super) fn joined_another_room(&mut self, index: usize, call: &CallSid) {
        let leg = &self.task.legs[index];
        if leg.call.is_none() && (leg.abort.is_some() || leg.state == LegState::Ended) {
            self.comes_after_all(index);
            self.task.legs[index].call = Some(call.clone());
        } else if leg.has_failed() {
            self.placed_in_vain(call);
        }
    }

    /// Makes the oldest leg that came to nothing give way to one more, if that is needed; tells whether there is a place.
    pub(super) fn make_place_for_leg(&mut self) -> bool {
        if self.task.legs.len() < MOST_LEGS {
            return true;
        }
        let over = |leg: &Leg| leg.state == LegState::Ended && !leg.accepted;
        let oldest = self.task.legs.iter().skip(1).position(over);
        oldest.map(|oldest| self.task.legs.remove(oldest + 1)).is_some()
    }
}
