//! Takes in how commands to the phone system went (`spec/voice.md` 3.7, 5.5).
//!
//! Each command that was sent is answered once; each of its outcomes leads somewhere. Start with `command_done`.

use super::interface::{CallStatus, Output, PhoneOutcome, Role};
use super::machine::Machine;
use super::policy::{CALLER_ID_REFUSED, alert_caller_id};
use super::sight::Repair;
use super::voice_task::{Abort, CUSTOMER_LABEL, Errand, LegState, Phase, Wish};
use crate::routing::defect::defect;

fn complaint(outcome: &PhoneOutcome) -> String {
    match outcome {
        PhoneOutcome::Refused { code: Some(code), message } => format!("{message} ({code})"),
        PhoneOutcome::Refused { message, .. } | PhoneOutcome::Unavailable { message } => message.clone(),
        PhoneOutcome::Gone => "the phone system does not know it".to_owned(),
        PhoneOutcome::Done { .. } | PhoneOutcome::Seen(_) => String::new(),
    }
}

/// The state of a call that was looked at, where the look was answered.
fn status_seen(outcome: &PhoneOutcome) -> Option<CallStatus> {
    match outcome {
        PhoneOutcome::Done { status, .. } => *status,
        PhoneOutcome::Gone => Some(CallStatus::Completed),
        PhoneOutcome::Seen(_) | PhoneOutcome::Refused { .. } | PhoneOutcome::Unavailable { .. } => None,
    }
}

impl Machine<'_> {
    /// A command was answered; a second answer to the same command is ignored.
    pub(super) fn command_done(&mut self, number: u32, outcome: &PhoneOutcome) {
        let Some(errand) = self.task.outstanding.remove(&number) else { return };
        if defect!(AnswerNotNoted) {
            self.task.outstanding.insert(number, errand.clone());
        }
        match errand {
            Errand::AddParticipant(label) => self.participant_added(&label, outcome),
            Errand::MoveCaller => self.caller_moved(outcome),
            Errand::ParkCaller | Errand::ReleaseCaller => self.wish_answered(&errand, outcome),
            Errand::FetchCaller => self.caller_fetched(outcome),
            Errand::FetchRoom(asked) => self.room_seen(asked, outcome),
            Errand::FetchLeg(label) => {
                if let Some(index) = self.leg_index(&label) {
                    self.leg_fetched(index, outcome);
                }
            }
            Errand::HangUp(ref label) | Errand::HangUpLabel(ref label) | Errand::Kick(ref label) => {
                if let Some(index) = self.leg_index(label) {
                    self.abort_answered(index, &errand, outcome);
                }
            }
            Errand::EndRoom => match outcome {
                PhoneOutcome::Done { .. } | PhoneOutcome::Seen(_) | PhoneOutcome::Gone => self.room_ended(),
                PhoneOutcome::Refused { .. } | PhoneOutcome::Unavailable { .. } => {
                    self.room_end_failed(&complaint(outcome));
                }
            },
            Errand::Redirect { reservation, call, accept } => {
                self.call_redirected(reservation, &call, accept, outcome, &complaint(outcome));
            }
            Errand::UpdateLeg(label, update) => self.leg_updated(&label, &update, outcome, &complaint(outcome)),
            Errand::FormerCall if status_seen(outcome).is_some_and(CallStatus::is_final) => self.line_is_free(),
            Errand::FormerCall | Errand::Forgotten => {}
            Errand::EndStrayRoom(conference, tries) => self.stray_room_ended(conference, tries + 1, outcome),
        }
    }

    fn participant_added(&mut self, label: &str, outcome: &PhoneOutcome) {
        let Some(index) = self.leg_index(label) else { return };
        let dials_customer = index == 0 && self.phase() == Some(Phase::DialingCustomer);
        let current = self.connecting_index() == Some(index) || dials_customer;
        if let PhoneOutcome::Done { call, conference, status } = outcome {
            if self.task.legs[index].call.is_none() && status.is_none_or(|status| !status.is_final()) {
                self.comes_after_all(index);
            }
            if index == 0 {
                self.note_customer_call(call.as_ref());
            }
            let leg = &mut self.task.legs[index];
            leg.call = leg.call.take().or_else(|| call.clone());
            leg.state = leg.state.max(LegState::Queued);
            let over = status.filter(|status| status.is_final() && leg.call == *call);
            let in_vain = call.clone().filter(|call| leg.call.as_ref() != Some(call));
            let joined = leg.joined.is_some();
            // What it waited with us before is no time of ringing.
            let rings_from_now = current && leg.state == LegState::Queued && leg.dialed.is_none();
            match conference {
                Some(sid) if current && !dials_customer && !joined && !self.task.is_bridged() => {
                    self.task.conference = Some(sid.clone());
                }
                Some(sid) if !current && self.task.conference.as_ref() != Some(sid) => {
                    self.remember_past_room(sid.clone());
                }
                _ => {}
            }
            if let Some(call) = in_vain.filter(|_| status.is_none_or(|status| !status.is_final())) {
                self.placed_in_vain(&call);
            }
            if rings_from_now && dials_customer {
                self.set_customer_guard();
            } else if rings_from_now && self.phase() == Some(Phase::Dialing) {
                self.set_ring_guard();
            }
            if over.is_some() {
                // It was found by looking: its callbacks came while nobody listened.
                self.end_leg(index, over, None);
            }
            return;
        }
        let reservation = self.task.legs[index].reservation;
        let unwanted = self.task.legs[index].abort.is_some();
        if current || (self.task.legs[index].role != Role::Worker && !unwanted) {
            let who = match self.task.legs[index].role {
                Role::Customer => "the customer",
                Role::Worker => "the worker",
                Role::Supervisor => "the supervisor",
                Role::External => "the third party",
            };
            let message = format!("{who} could not be dialled: {}", complaint(outcome));
            let refused =
                matches!(outcome, PhoneOutcome::Refused { code: Some(code), .. } if CALLER_ID_REFUSED.contains(code));
            if refused && current {
                let code = alert_caller_id(self.connected_by());
                self.outputs.push(Output::Alert { code, message, reservation });
            } else {
                self.alert(message, reservation);
            }
        }
        if matches!(outcome, PhoneOutcome::Unavailable { .. }) {
            // Whether there is a leg is unclear: it is looked for by its label and ended.
            if current {
                self.fail(None);
            } else if self.task.legs[index].abort == Some(Abort::ByLabel) {
                self.task.legs[index].abort = Some(Abort::Wanted);
            }
            return;
        }
        let code = match outcome {
            PhoneOutcome::Refused { code, .. } => *code,
            _ => None,
        };
        self.end_leg(index, Some(CallStatus::Failed), code);
    }

    fn caller_moved(&mut self, outcome: &PhoneOutcome) {
        let current = self.phase() == Some(Phase::Moving);
        let reservation = self.task.connecting.as_ref().map(|connecting| connecting.reservation);
        match outcome {
            PhoneOutcome::Done { .. } => {
                self.task.caller_seen = self.now;
                if let Some(lasts_ms) = self.dial_lasts_ms().filter(|_| current) {
                    self.set_phase(Phase::AwaitingJoin, Some(lasts_ms));
                } else if current {
                    let hears = self.task.options.as_ref().is_some_and(|options| options.whisper.is_some());
                    let longer_ms = if hears { self.policy.whisper_ms } else { 0 };
                    self.set_phase(Phase::AwaitingJoin, Some(self.policy.join_guard_ms + longer_ms));
                    self.comes_untold(0);
                }
            }
            PhoneOutcome::Gone if !self.task.is_bridged() => self.lose_caller("hangup", true, true),
            PhoneOutcome::Gone | PhoneOutcome::Seen(_) => {}
            PhoneOutcome::Refused { .. } | PhoneOutcome::Unavailable { .. } => {
                if current {
                    self.alert(format!("the caller could not be moved: {}", complaint(outcome)), reservation);
                    // Where the caller dials, the refusal is about whom.
                    let code = match outcome {
                        PhoneOutcome::Refused { code, .. } if self.is_dialling_on() => *code,
                        _ => None,
                    };
                    self.fail(code);
                }
                if matches!(outcome, PhoneOutcome::Refused { .. }) && self.task.wish == Some(Wish::Park) {
                    self.task.wish = None;
                }
            }
        }
    }

    fn wish_answered(&mut self, errand: &Errand, outcome: &PhoneOutcome) {
        let wish = if *errand == Errand::ParkCaller { Wish::Park } else { Wish::Release };
        match outcome {
            PhoneOutcome::Gone => return self.lose_caller("hangup", true, true),
            PhoneOutcome::Done { .. } => {
                self.task.caller_seen = self.now;
                match wish {
                    Wish::Release => self.leave_room(0),
                    Wish::Park => {
                        let caller = &mut self.task.legs[0];
                        if caller.state != LegState::Ended {
                            caller.state = LegState::Answered;
                        }
                    }
                }
            }
            PhoneOutcome::Seen(_) | PhoneOutcome::Refused { .. } | PhoneOutcome::Unavailable { .. } => {
                if self.task.wish != Some(wish) {
                    return;
                }
                // A caller who lives must not stay where nobody wants it: it is tried for as long as that takes.
                self.task.wish_tries = self.task.wish_tries.saturating_add(1);
                let soon = self.task.wish_tries < self.policy.attempts;
                let pause_ms = if soon { self.policy.retry_ms } else { self.policy.parked_silence_ms };
                self.task.deadlines.wish = Some(self.now.plus_ms(pause_ms));
                if self.task.wish_tries == self.policy.attempts {
                    self.alert(format!("the caller could not be redirected: {}", complaint(outcome)), None);
                    self.fetch_caller();
                }
                return;
            }
        }
        if self.task.wish == Some(wish) {
            self.task.wish = None;
            self.task.deadlines.wish = None;
        }
    }

    fn caller_fetched(&mut self, outcome: &PhoneOutcome) {
        let status = status_seen(outcome);
        let phase = self.phase();
        // Nobody is lost by the end of a call that was to end, or of which the end is known.
        let leg = self.task.caller();
        let ends = leg.abort.is_some() || !leg.is_live();
        if self.is_dialing_out() && ends && status.is_some_and(CallStatus::is_final) {
            return self.leg_fetched(0, outcome);
        }
        if let Some(status) = status.filter(|status| status.is_final() && self.is_calling_back()) {
            return self.end_leg(0, Some(status), None);
        }
        if status.is_some_and(CallStatus::is_final) {
            // Right before it is moved it may have hung up this moment.
            if self.task.caller_end.is_none() && phase != Some(Phase::FindingCaller) {
                self.repaired(Repair::CallEnded, CUSTOMER_LABEL);
            }
            let may_have_joined = matches!(phase, Some(Phase::Moving | Phase::AwaitingJoin));
            return self.lose_caller("hangup", !may_have_joined, true);
        }
        if status.is_some() {
            self.task.caller_seen = self.now;
        }
        self.task.wait_seen |= status == Some(CallStatus::InProgress);
        let policy = self.policy;
        match phase {
            Some(Phase::FindingCaller) => {
                let waiting = matches!(status, Some(CallStatus::Queued | CallStatus::Initiated | CallStatus::Ringing));
                let looks = self.task.connecting.as_ref().map_or(0, |connecting| connecting.looks);
                if waiting && i64::from(looks) * policy.lost_join_ms < policy.join_guard_ms {
                    self.set_phase(Phase::FindingCaller, Some(policy.lost_join_ms));
                    if let Some(connecting) = &mut self.task.connecting {
                        connecting.looks += 1;
                    }
                } else {
                    self.set_phase(Phase::ReadyToMove, None);
                }
            }
            Some(Phase::FindingLost) if self.is_dialling_on() => self.worker_took_call(),
            Some(Phase::FindingLost) if self.is_dialing_out() && self.awaits_its_turn(0, status) => {
                self.set_customer_guard();
            }
            Some(Phase::FindingLost) => self.customer_not_reached(None),
            _ => {}
        }
    }

    fn leg_fetched(&mut self, index: usize, outcome: &PhoneOutcome) {
        let status = status_seen(outcome);
        if let Some(status) = status.filter(|status| status.is_final()) {
            if self.task.legs[index].state != LegState::Ended {
                let label = self.task.legs[index].label.clone();
                self.repaired(Repair::CallEnded, &label);
            }
            return self.end_leg(index, Some(status), None);
        }
        let checking = self.phase() == Some(Phase::Checking) && self.connecting_index() == Some(index);
        let leg = &mut self.task.legs[index];
        if checking {
            if status == Some(CallStatus::InProgress) && !leg.own && !leg.by_document {
                // A participant that is answered is in the room: the news of it was lost.
                let (label, is_news) = (leg.label.clone(), leg.joined.is_none());
                leg.state = leg.state.max(LegState::InRoom);
                leg.answered.get_or_insert(self.now);
                leg.joined.get_or_insert(self.now);
                if is_news {
                    self.repaired(Repair::Joined, &label);
                }
            } else if self.awaits_its_turn(index, status) {
                self.set_ring_guard();
            } else {
                self.fail(None);
            }
            return;
        }
        if leg.abort.is_none() && leg.state != LegState::Left {
            return;
        }
        match status {
            // The worker's application may have led it elsewhere after the conversation.
            Some(_) if leg.abort.is_none() && (leg.accepted || leg.own) => self.end_leg(index, None, None),
            Some(_) => {
                leg.tries += 1;
                self.hang_up(index);
            }
            None => {
                leg.tries += 1;
                self.check_leg_in(index, self.patience_ms(index, self.policy.retry_ms));
            }
        }
    }

    fn stray_room_ended(&mut self, conference: String, tries: u32, outcome: &PhoneOutcome) {
        match outcome {
            PhoneOutcome::Done { .. } | PhoneOutcome::Seen(_) | PhoneOutcome::Gone => {}
            PhoneOutcome::Unavailable { .. } if tries < self.policy.attempts => self.end_stray_room(conference, tries),
            PhoneOutcome::Refused { .. } | PhoneOutcome::Unavailable { .. } => {
                self.alert(format!("a room with the caller could not be ended: {}", complaint(outcome)), None);
            }
        }
    }

    fn abort_answered(&mut self, index: usize, errand: &Errand, outcome: &PhoneOutcome) {
        let policy = self.policy;
        let adding = self.is_outstanding(&Errand::AddParticipant(self.task.legs[index].label.clone()));
        let has_call = self.task.legs[index].call.is_some();
        match (errand, outcome) {
            (Errand::Kick(_), PhoneOutcome::Done { .. }) => {
                self.leave_room(index);
                self.check_leg_in(index, policy.leg_end_guard_ms);
            }
            (Errand::Kick(_), _) if has_call => self.hang_up(index),
            (Errand::HangUpLabel(_), PhoneOutcome::Done { call, .. }) => {
                let leg = &mut self.task.legs[index];
                leg.call = leg.call.take().or_else(|| call.clone());
                leg.abort = Some(Abort::BySid);
                self.check_leg_in(index, policy.leg_end_guard_ms);
            }
            (Errand::HangUpLabel(_), PhoneOutcome::Gone) if adding || has_call => {}
            (Errand::HangUp(_), PhoneOutcome::Done { .. }) => {
                self.check_leg_in(index, self.patience_ms(index, policy.leg_end_guard_ms));
            }
            (_, PhoneOutcome::Done { .. } | PhoneOutcome::Seen(_) | PhoneOutcome::Gone) => {
                self.end_leg(index, None, None);
            }
            // The customer's is looked at for as long as that takes, so not at once again and again.
            (_, PhoneOutcome::Refused { .. }) if has_call && (index > 0 || !self.task.caller().complained) => {
                self.task.legs[index].tries += 1;
                self.look_for_end(index);
            }
            (_, PhoneOutcome::Refused { .. } | PhoneOutcome::Unavailable { .. }) => {
                self.task.legs[index].tries += 1;
                self.check_leg_in(index, self.patience_ms(index, policy.retry_ms));
            }
        }
    }
}
