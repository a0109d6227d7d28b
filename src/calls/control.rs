//! What agents and supervisors do to the legs in a room: hold, mute, kick, taking part (`spec/voice.md` 3.10 and 3.12).
//!
//! A wish about a leg that is neither in the room nor, without a reservation, on its way has no effect; who may wish what
//! is decided elsewhere. Who leaves by it is noticed like any other departure. Handing the task on is in `handing`. Start
//! with `update_leg`.

use super::dial_rules::is_metered;
use super::interface::{CallSid, Output, PhoneCommand, PhoneOutcome, Role};
use super::machine::Machine;
use super::options::ConferenceOptions;
use super::policy::{ALERT_PHONE_SYSTEM, MOST_LEGS};
use super::voice_task::{CUSTOMER_LABEL, Errand, Leg, LegState, VoiceState, VoiceTask};
use super::wishes::{HeardBy, LegTarget, LegUpdate};

impl VoiceTask {
    /// The leg that is meant, if it is in the room now.
    #[must_use]
    pub fn leg_in_room(&self, target: &LegTarget) -> Option<&Leg> {
        self.index_in_room(target).and_then(|index| self.legs.get(index))
    }

    pub(super) fn index_in_room(&self, target: &LegTarget) -> Option<usize> {
        if self.is_dialled_on() {
            return None;
        }
        self.legs.iter().position(|leg| {
            let meant = match target {
                LegTarget::Customer => leg.label == CUSTOMER_LABEL,
                LegTarget::Worker(reservation) => leg.reservation == Some(*reservation),
                LegTarget::Label(label) => leg.label == *label && leg.reservation.is_none(),
            };
            meant && leg.state == LegState::InRoom && leg.abort.is_none()
        })
    }

    /// The leg of somebody without a reservation who is meant, in the room or on the way there.
    fn index_of_guest(&self, target: &LegTarget) -> Option<usize> {
        let LegTarget::Label(label) = target else { return None };
        self.legs
            .iter()
            .position(|leg| leg.label == *label && leg.reservation.is_none() && leg.is_live() && leg.abort.is_none())
    }

    /// The leg that a wish can be about: in the room, or a supervisor's or third party's that is still being dialled.
    #[must_use]
    pub fn reachable_leg(&self, target: &LegTarget) -> Option<&Leg> {
        self.leg_in_room(target).or_else(|| self.legs.get(self.index_of_guest(target)?))
    }

    /// Whether somebody is in the room of the conversation, so that it can be ended for all; it may be a stranger who has
    /// stayed when everybody else had left.
    #[must_use]
    pub fn has_conversation(&self) -> bool {
        self.is_accepted() && !self.is_dialled_on() && self.legs.iter().any(|leg| leg.state == LegState::InRoom)
    }

    /// The leg with this label that was asked for and has not ended.
    #[must_use]
    pub fn live_leg(&self, label: &str) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.label == label && leg.is_live() && leg.abort.is_none())
    }
}

impl Machine<'_> {
    pub(super) fn update_leg(&mut self, target: &LegTarget, update: &LegUpdate) {
        if let Some(index) = self.task.index_in_room(target) {
            self.send_update(index, update.clone());
        } else if let Some(index) = self.task.index_of_guest(target) {
            self.task.legs[index].wished.get_or_insert_default().merge(update);
        }
    }

    /// Whoever was still being dialled when something was wished of the leg is in the room now.
    pub(super) fn settle_wished(&mut self) {
        for index in 0..self.task.legs.len() {
            let leg = &mut self.task.legs[index];
            if leg.state == LegState::InRoom
                && leg.abort.is_none()
                && let Some(update) = leg.wished.take()
            {
                self.send_update(index, update);
            }
        }
    }

    /// A whisper is for one worker. Once that worker is gone and the call goes on with others, or waits for them, it is for
    /// nobody, and whoever comes next is not to hear what was meant for another: its leg goes, or does not come.
    pub(super) fn settle_whispers(&mut self) {
        let task = &*self.task;
        let goes_on =
            task.handing.is_some() || task.connecting.is_some() || task.left_on_hold || self.workers_in_room() > 0;
        if !goes_on {
            return;
        }
        for index in 1..self.task.legs.len() {
            let leg = &self.task.legs[index];
            let ours = leg.role == Role::Supervisor || leg.invited;
            if ours && self.coached_by(index).is_some_and(|call| !self.is_there(call)) {
                self.give_up_leg(index);
            }
        }
    }

    /// Whom a leg whispers to, by the last that was wished of it.
    fn coached_by(&self, index: usize) -> Option<&CallSid> {
        let leg = &self.task.legs[index];
        let wished = leg.wished.iter().chain(self.changes_under_way(index)).find_map(|update| update.heard_by.as_ref());
        wished.map_or(leg.coaches.as_ref(), HeardBy::only)
    }

    /// Whether the leg with this SID is in the room, or on its way there.
    fn is_there(&self, call: &CallSid) -> bool {
        self.task.legs.iter().any(|leg| leg.call.as_ref() == Some(call) && leg.is_live() && leg.abort.is_none())
    }

    /// The changes of a leg that the phone system has not answered yet, newest first: it carries them out one by one.
    pub(super) fn changes_under_way(&self, index: usize) -> impl Iterator<Item = &LegUpdate> {
        let label = &self.task.legs[index].label;
        self.task.outstanding.values().rev().filter_map(move |errand| match errand {
            Errand::UpdateLeg(of, update) if of == label => Some(update),
            _ => None,
        })
    }

    /// Has a leg changed, unless the change that it is to have last is this one already.
    pub(super) fn send_update(&mut self, index: usize, update: LegUpdate) {
        if self.changes_under_way(index).next() == Some(&update) {
            return;
        }
        let room = self.room_handle();
        let leg = self.task.legs[index].label.clone();
        let errand = Errand::UpdateLeg(leg.clone(), update.clone());
        if update.hold == Some(true) {
            // It is asked for as soon as the leg is on hold, before the answer to the command may be here.
            self.task.legs[index].hold_document = update.hold_document();
        }
        self.phone(errand, PhoneCommand::UpdateParticipant { room, leg, update });
    }

    /// The phone system has changed a leg, or has not.
    pub(super) fn leg_updated(&mut self, label: &str, update: &LegUpdate, outcome: &PhoneOutcome, complaint: &str) {
        let Some(index) = self.leg_index(label) else { return };
        match outcome {
            PhoneOutcome::Done { .. } => {
                let leg = &mut self.task.legs[index];
                leg.held = update.hold.unwrap_or(leg.held);
                leg.muted = update.muted.unwrap_or(leg.muted);
                if let Some(heard_by) = &update.heard_by {
                    leg.coaches = heard_by.only().cloned();
                    leg.whispers = leg.coaches.is_some();
                }
                leg.ends_room = update.end_conference_on_exit.unwrap_or(leg.ends_room);
            }
            PhoneOutcome::Gone | PhoneOutcome::Seen(_) => {}
            PhoneOutcome::Refused { .. } | PhoneOutcome::Unavailable { .. } => {
                let reservation = self.task.legs[index].reservation;
                let message = format!("the leg {label} could not be changed: {complaint}");
                self.outputs.push(Output::Alert { code: ALERT_PHONE_SYSTEM, message, reservation });
            }
        }
    }

    pub(super) fn kick_leg(&mut self, target: &LegTarget) {
        let index = self.task.index_in_room(target).or_else(|| self.task.index_of_guest(target));
        if let Some(index) = index.filter(|index| *index > 0) {
            self.give_up_leg(index);
        }
    }

    /// Dials somebody without a reservation into the room; nobody is dialled twice under one label.
    pub(super) fn invite(
        &mut self,
        role: Role,
        label: &str,
        (to, from): (&str, &str),
        options: &ConferenceOptions,
        coach: Option<&CallSid>,
    ) {
        if self.task.state != VoiceState::Bridged || self.task.live_leg(label).is_some() {
            return;
        }
        self.set_apart(label);
        if self.task.legs.len() >= MOST_LEGS {
            return;
        }
        self.task.legs.push(Leg {
            muted: options.muted,
            whispers: coach.is_some(),
            coaches: coach.cloned(),
            metered: is_metered(to),
            invited: role == Role::External,
            status_callback: options.status_callback.clone(),
            recording_callback: options.recording_status_callback.clone(),
            ..Leg::requested(role, label.to_owned(), self.now)
        });
        let command = PhoneCommand::AddParticipant {
            room: self.room_handle(),
            label: label.to_owned(),
            role,
            coach: coach.cloned(),
            to: to.to_owned(),
            from: from.to_owned(),
            options: options.clone(),
            requested_at: self.now,
        };
        self.phone(Errand::AddParticipant(label.to_owned()), command);
    }

    /// Makes room for another leg of that label: one that is being ended is known by its call from now on, so that what is heard
    /// of its end is not taken for news of the next.
    fn set_apart(&mut self, label: &str) {
        let ending = |leg: &Leg| leg.label == label && leg.state != LegState::Ended;
        if let Some(leg) = self.task.legs.iter_mut().find(|leg| ending(leg))
            && let Some(call) = leg.call.clone()
        {
            leg.label.clone_from(&call.0);
            for of in self.task.outstanding.values_mut().filter_map(Errand::ends).filter(|of| *of == label) {
                of.clone_from(&call.0);
            }
        }
        self.task.legs.retain(|leg| leg.label != label);
    }

    /// The room ends for all, if there is a conversation in it.
    pub(super) fn end_conversation(&mut self) {
        if self.task.has_conversation() {
            self.end_room();
        }
    }
}
