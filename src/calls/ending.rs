//! How things end: the caller before acceptance, the work after it, the room, and legs that are not wanted any more
//! (`spec/voice.md` 3.7 and 3.8).
//!
//! Decides by the facts that `fold` and `answers` have noted. Start with `settle_work`.

use super::interface::{Output, PhoneCommand, Role};
use super::machine::Machine;
use super::options::ConnectBy;
use super::policy::{ALERT_LEFT_PENDING, LONGEST_RING_SECS, MOST_DOUBLINGS, REASON_MESSAGE};
use super::voice_task::{Abort, Errand, LegState, Wish};
use crate::routing::ReservationSid;
use crate::routing::defect::defect;

impl Machine<'_> {
    /// Before acceptance: the caller is gone, so the task is canceled; a departure from the room waits a little for the
    /// arrival that may have been overtaken (`spec/voice.md` 8.5).
    pub(super) fn settle_caller_end(&mut self) {
        if self.task.is_accepted() || self.task.caller_told {
            return;
        }
        let Some(end) = self.task.caller_end.clone() else { return };
        if !end.certain && self.caller_was_sent() {
            let until = self.now.plus_ms(self.policy.lost_join_ms);
            self.task.deadlines.lost_join.get_or_insert(until);
            return;
        }
        self.task.caller_told = true;
        if !self.task.task_ended && !self.is_others() && !defect!(CallerEndUntold) {
            self.task.cancel_reason = Some(end.reason.clone());
            self.outputs.push(Output::EndCaller { reason: end.reason });
        }
        self.break_off("the caller is gone");
        self.task.wish = None;
        self.task.deadlines.wish = None;
    }

    /// Whoever accepted without a leg of ours may have connected the two by other means, and ends the task then.
    fn is_others(&self) -> bool {
        self.task.taken && !self.task.is_accepted() && !self.policy.choices.auto_wrap_accepted_voice
    }

    /// Nobody is left to connect the worker with, which whoever gave the instruction has to be told.
    fn break_off(&mut self, why: &str) {
        let by = self.connected_by();
        let Some(reservation) = self.abandon() else { return };
        if by == ConnectBy::Conference || self.task.is_accepted() {
            let message = format!("the worker was being connected, and {why}");
            self.outputs.push(Output::Alert { code: ALERT_LEFT_PENDING, message, reservation: Some(reservation) });
        }
    }

    /// The routing core ended the task for a reason of its own.
    pub(super) fn end_task(&mut self, canceled: bool) {
        if self.task.task_ended {
            return;
        }
        self.task.task_ended = true;
        if self.task.is_accepted() {
            if self.policy.choices.complete_ends_room && !canceled {
                self.end_conversation();
            }
            return self.release_left_waiting();
        }
        if canceled {
            self.break_off("the task was canceled");
        }
        self.abandon();
        self.task.wish = None;
        if self.task.outbound {
            return;
        }
        let lost = self.task.caller_end.is_some() || self.task.elsewhere;
        if !lost && (self.policy.on_cancel_release_caller || !canceled) {
            self.task.released = true;
            self.want(Wish::Release);
        } else if !lost {
            self.task.waits_on = true;
        }
    }

    /// The routing core ended a reservation for a reason of its own.
    pub(super) fn end_reservation(&mut self, reservation: ReservationSid) {
        if self.task.connecting.as_ref().is_some_and(|connecting| connecting.reservation == reservation) {
            self.abandon();
            self.settle_aborts();
            if !self.task.is_bridged() {
                self.retire_room();
            }
        } else if let Some(index) = self.worker_index(reservation) {
            self.task.legs[index].wrapped = true;
        }
    }

    /// After acceptance: who left, whose work is over, and who must not stay alone in the room.
    pub(super) fn settle_work(&mut self) {
        if !self.task.is_accepted() {
            return self.settle_taken();
        }
        let caller_here = self.task.caller().state == LegState::InRoom;
        let workers = self.workers_in_room();
        // Whoever hands the task on leaves as soon as the customer is on hold.
        self.task.left_on_hold &= workers == 0 || self.task.handing.is_some();
        let others = self
            .task
            .legs
            .iter()
            .any(|leg| leg.role == Role::External && leg.state == LegState::InRoom && leg.abort.is_none());
        let bridged = self.task.is_bridged();
        let worker_remains =
            bridged && !caller_here && workers == 1 && !others && self.policy.end_room_when_customer_left;
        let over = self.task.room_over || worker_remains;
        for leg in &mut self.task.legs {
            if leg.accepted && !leg.wrapped && (over || !leg.is_live()) {
                leg.wrapped = true;
                if let (Some(reservation), false) = (leg.reservation, self.task.task_ended || defect!(EndOfWorkUntold))
                {
                    self.outputs.push(Output::EndWork(reservation));
                }
            }
        }
        let apart = self.task.caller_end.is_some() || self.task.released;
        self.tell_caller_end(if bridged { over || workers == 0 } else { apart });
        if self.task.caller_told {
            self.send_guests_home();
        }
        self.settle_room(caller_here, workers, others, worker_remains);
    }

    /// The same of a task that was accepted without a leg of ours: a caller who still waits, and whom nobody has taken from
    /// whoever handed the task on, is as good as on hold.
    fn settle_taken(&mut self) {
        if !self.task.taken {
            return;
        }
        let awaits = self.task.handing.is_some() || self.task.connecting.is_some() || !self.task.held_apart.is_empty();
        if self.task.left_on_hold && self.task.is_left_waiting() && !awaits {
            let until = self.now.plus_ms(self.policy.customer_held_alone_ms);
            self.task.deadlines.alone.get_or_insert(until);
        } else {
            self.task.deadlines.alone = None;
        }
        self.tell_caller_end(self.task.released);
    }

    /// The conversation is over for good: a task that nobody works on any more must not stay assigned, and a transfer
    /// has nobody left to hand on (`spec/voice.md` 3.8 and V34). It comes after the ends of work, of which it is the
    /// last.
    fn tell_caller_end(&mut self, over: bool) {
        if !over || self.task.caller_told || self.task.caller().state < LegState::Left {
            return;
        }
        self.task.caller_told = true;
        self.break_off("the caller is gone");
        if !self.task.task_ended && !self.is_others() && !defect!(CallerEndUntold) {
            let reason = if self.task.released && self.task.leaves_message { REASON_MESSAGE } else { "hangup" };
            self.outputs.push(Output::EndCaller { reason: reason.to_owned() });
        }
    }

    /// The conversation is over: supervisors have nobody to listen to, and the third parties whom we dialled nobody to talk
    /// to; their calls would cost money for as long as they stay. A stranger's call is its application's to end.
    fn send_guests_home(&mut self) {
        for index in 1..self.task.legs.len() {
            let leg = &self.task.legs[index];
            let coming = leg.role == Role::External && leg.state < LegState::InRoom;
            if leg.role == Role::Supervisor || leg.invited || coming {
                self.give_up_leg(index);
            }
        }
    }

    fn settle_room(&mut self, caller_here: bool, workers: usize, others: bool, worker_remains: bool) {
        let ends_with_worker = self.task.legs.iter().any(|leg| leg.accepted && leg.ends_room && !leg.is_live());
        let ends_with_caller = self.task.caller().ends_room;
        let by_itself = self.now.plus_ms(self.policy.room_end_guard_ms);
        // During a transfer somebody is to come.
        let awaits = self.task.handing.is_some() || self.task.connecting.is_some();
        // A supervisor who only listens, or whispers to a worker who is gone, is nobody to talk to.
        let supervised = self.task.legs.iter().any(|leg| leg.role == Role::Supervisor && leg.takes_part());
        let caller_remains = caller_here && workers == 0 && !others && !supervised && !awaits;
        let works = self.task.legs.iter().any(|leg| leg.accepted && leg.is_live());
        // Whoever accepted without a leg of ours is with them.
        let caller_waits = self.task.is_left_waiting() && !works && !awaits && self.task.held_apart.is_empty();
        let left_on_hold = self.task.left_on_hold && (caller_waits || self.task.caller().held);
        let alone_ms = if left_on_hold { self.policy.customer_held_alone_ms } else { self.policy.customer_alone_ms };
        let ending = self.task.deadlines.room_end.is_some() || self.is_outstanding(&Errand::EndRoom);
        let deadlines = &mut self.task.deadlines;
        if self.task.room_over || !(caller_remains || worker_remains || caller_waits) {
            deadlines.alone = None;
            deadlines.room_end = None;
        } else if ending {
            // The end of the room is under way.
        } else if caller_waits && !left_on_hold {
            deadlines.alone = None;
            self.release_left_waiting();
        } else if caller_remains && left_on_hold && self.task.task_ended {
            // Nobody can take the task any more.
            self.end_room();
        } else if caller_waits || (caller_remains && !ends_with_worker) {
            let until = self.now.plus_ms(alone_ms);
            self.task.deadlines.alone.get_or_insert(until);
        } else if caller_remains || ends_with_caller {
            self.task.deadlines.room_end = Some(by_itself);
        } else {
            self.end_room();
        }
    }

    /// Has the room ended at the phone system.
    pub(super) fn end_room(&mut self) {
        if self.task.room_over || self.is_outstanding(&Errand::EndRoom) {
            return;
        }
        let room = self.room_handle();
        self.phone(Errand::EndRoom, PhoneCommand::EndRoom { room });
    }

    /// Everybody is out of the room.
    pub(super) fn room_ended(&mut self) {
        for index in 0..self.task.legs.len() {
            if self.task.legs[index].state == LegState::InRoom {
                self.leave_room(index);
            }
        }
        if self.task.is_bridged() {
            self.task.room_over = true;
        }
    }

    /// Ending the room failed: again later, and at last leg by leg.
    pub(super) fn room_end_failed(&mut self, message: &str) {
        self.task.room_end_tries += 1;
        if self.task.room_end_tries < self.policy.attempts {
            self.task.deadlines.room_end = Some(self.now.plus_ms(self.policy.retry_ms));
            return;
        }
        self.alert(format!("the room could not be ended: {message}"), None);
        for index in 1..self.task.legs.len() {
            self.give_up_leg(index);
        }
        self.settle_aborts();
        self.room_ended();
    }

    /// Has a room ended in which the caller must not stay; `tries` attempts at it have failed.
    pub(super) fn end_stray_room(&mut self, conference: String, tries: u32) {
        let known = self.task.outstanding.values().any(|errand| match errand {
            Errand::EndStrayRoom(room, _) => *room == conference,
            _ => false,
        });
        if !known {
            let command = PhoneCommand::EndRoom { room: conference.clone() };
            self.phone(Errand::EndStrayRoom(conference, tries), command);
        }
    }

    pub(super) fn room_handle(&self) -> String {
        self.task.conference.clone().unwrap_or_else(|| self.task.room.clone())
    }

    /// Sends what ends the legs that are not wanted any more, each as far as is known of it.
    pub(super) fn settle_aborts(&mut self) {
        let first = usize::from(!self.is_dialing_out());
        for index in first..self.task.legs.len() {
            let leg = &self.task.legs[index];
            let label = leg.label.clone();
            let busy = self.task.outstanding.values().any(|errand| match errand {
                Errand::HangUp(of) | Errand::HangUpLabel(of) | Errand::Kick(of) => *of == label,
                _ => false,
            });
            if !leg.is_live() || busy {
                continue;
            }
            match (leg.abort, leg.call.clone()) {
                (Some(Abort::Wanted), _) if leg.state == LegState::InRoom => {
                    self.task.legs[index].abort = Some(Abort::Kicked);
                    let room = self.room_handle();
                    self.phone(Errand::Kick(label.clone()), PhoneCommand::Kick { room, leg: label });
                }
                (Some(Abort::Wanted | Abort::ByLabel), Some(_)) => self.hang_up(index),
                (Some(Abort::Wanted), None) => {
                    self.task.legs[index].abort = Some(Abort::ByLabel);
                    let room = self.task.legs[index].room.clone().unwrap_or_else(|| self.task.room.clone());
                    self.phone(
                        Errand::HangUpLabel(label.clone()),
                        PhoneCommand::HangUpLabel { room, label, call: None },
                    );
                }
                _ => {}
            }
        }
    }

    pub(super) fn hang_up(&mut self, index: usize) {
        let leg = &mut self.task.legs[index];
        if let Some(call) = leg.call.clone() {
            leg.abort = Some(Abort::BySid);
            let errand = Errand::HangUp(leg.label.clone());
            self.phone(errand, PhoneCommand::HangUp { call });
        }
    }

    /// A leg that should have ended is looked at, a few times; then it is no longer ours to care for.
    pub(super) fn look_for_end(&mut self, index: usize) {
        let leg = &self.task.legs[index];
        if leg.state == LegState::Ended {
            return;
        }
        let by_label = leg.call.is_none();
        // An attempt at ending it went wrong, so it may be there still.
        let unclear = leg.abort == Some(Abort::ByLabel) && leg.tries > 0;
        if by_label && !unclear {
            return self.end_leg(index, None, None);
        }
        if leg.tries >= self.policy.attempts {
            let goes_on = index == 0 && self.may_reach_customer();
            // A leg that nobody has heard of is most likely none; that of the customer keeps the next one from being dialled.
            if !goes_on && (index == 0 || !by_label) {
                self.alert("a leg did not end although it was told to: it is given up".to_owned(), leg.reservation);
            } else if goes_on && !leg.complained {
                self.task.legs[index].complained = true;
                let message = "a call to the customer did not end although it was told to: they are not dialled again \
                               for as long as it may be up";
                self.alert(message.to_owned(), None);
            }
            if !goes_on {
                return self.end_leg(index, None, None);
            }
        }
        if by_label {
            self.task.legs[index].abort = Some(Abort::Wanted);
        } else {
            self.fetch_leg(index);
        }
    }

    /// Whether a call to the customer that does not end keeps them from being dialled again: for as long as it may be up. It
    /// waits for its turn with us and at the phone system, and rings. That it was answered would have named it; from then on
    /// it may last as long as any.
    fn may_reach_customer(&self) -> bool {
        let policy = self.policy;
        let leg = self.task.caller();
        let talks_ms = if leg.call.is_some() { policy.leg_ms } else { 0 };
        let rings_ms = 2 * policy.dial_queue_ms + i64::from(LONGEST_RING_SECS) * 1_000 + policy.ring_margin_ms;
        let may_be_up = self.now < leg.created.plus_ms(rings_ms + talks_ms);
        let is_over = self.task.task_ended || self.task.caller_told;
        self.is_dialing_out() && !is_over && may_be_up
    }

    /// The time until a leg that does not end is looked at again: longer and longer once it was complained of.
    pub(super) fn patience_ms(&self, index: usize, usual_ms: i64) -> i64 {
        let leg = &self.task.legs[index];
        if !leg.complained {
            return usual_ms;
        }
        let doublings = leg.tries.saturating_sub(self.policy.attempts + 1);
        self.policy.parked_silence_ms << doublings.min(MOST_DOUBLINGS)
    }

    /// Looks at the leg again after `ms`.
    pub(super) fn check_leg_in(&mut self, index: usize, ms: i64) {
        let at = self.now.plus_ms(ms);
        let leg = &mut self.task.legs[index];
        if leg.state != LegState::Ended {
            leg.check_at = Some(at);
        }
    }
}
