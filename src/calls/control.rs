//! What agents and supervisors do to the legs in a room: hold, mute, kick, taking part, handing the task on
//! (`spec/voice.md` 3.10 and 3.12).
//!
//! A wish about a leg that is neither in the room nor, without a reservation, on its way has no effect; who may wish what
//! is decided elsewhere. Who leaves by it is noticed like any other departure. Start with `update_leg` and
//! `begin_transfer`.

use super::dial_rules::is_metered;
use super::interface::{CallSid, Output, PhoneCommand, PhoneOutcome, Role};
use super::machine::Machine;
use super::options::ConferenceOptions;
use super::policy::{ALERT_PHONE_SYSTEM, ColdTransferFailure, MOST_LEGS};
use super::voice_task::{Abort, CUSTOMER_LABEL, Errand, Handing, Leg, LegState, VoiceState, VoiceTask, Wish};
use super::wishes::{HeardBy, LegTarget, LegUpdate};
use crate::routing::ReservationSid;

impl VoiceTask {
    /// The leg that is meant, if it is in the room now.
    #[must_use]
    pub fn leg_in_room(&self, target: &LegTarget) -> Option<&Leg> {
        self.index_in_room(target).and_then(|index| self.legs.get(index))
    }

    fn index_in_room(&self, target: &LegTarget) -> Option<usize> {
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
            self.task.legs[index].wished = Some(update.clone());
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

    fn send_update(&mut self, index: usize, update: LegUpdate) {
        let room = self.room_handle();
        let leg = self.task.legs[index].label.clone();
        let errand = Errand::UpdateLeg(leg.clone(), update.clone());
        if self.is_outstanding(&errand) {
            return;
        }
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
                leg.whispers = update.heard_by.as_ref().map_or(leg.whispers, |by| matches!(by, HeardBy::Only(_)));
                leg.ends_room = update.end_conference_on_exit.unwrap_or(leg.ends_room);
            }
            PhoneOutcome::Gone | PhoneOutcome::Seen(_) => {}
            PhoneOutcome::Refused { .. } | PhoneOutcome::Unavailable { .. } => {
                let reservation = self.task.legs[index].reservation;
                let message = format!("the leg {label} could not be changed: {complaint}");
                self.outputs.push(Output::Alert { code: ALERT_PHONE_SYSTEM, message, reservation });
            }
        }
        if label == CUSTOMER_LABEL && update.hold == Some(true) {
            self.let_initiator_go();
            self.task.handing.take_if(|handing| handing.over);
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
        self.task.legs.retain(|leg| leg.label != label);
        if self.task.legs.len() >= MOST_LEGS {
            return;
        }
        self.task.legs.push(Leg {
            muted: options.muted,
            whispers: coach.is_some(),
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

    /// The room ends for all, if there is a conversation in it.
    pub(super) fn end_conversation(&mut self) {
        if self.task.has_conversation() {
            self.end_room();
        }
    }

    /// The worker hands the task on: the customer is put on hold, and the worker may leave without ending the call. In a
    /// cold transfer the worker leaves as soon as the customer is on hold.
    pub(super) fn begin_transfer(&mut self, reservation: ReservationSid, cold: bool) {
        let handing = Some(Handing { reservation, cold, over: false });
        if self.task.handing == handing {
            return;
        }
        self.task.handing = handing;
        let initiator = self.task.index_in_room(&LegTarget::Worker(reservation));
        if let Some(index) = initiator.filter(|index| self.task.legs[*index].ends_room) {
            self.send_update(index, LegUpdate { end_conference_on_exit: Some(false), ..LegUpdate::default() });
        }
        match self.task.index_in_room(&LegTarget::Customer) {
            Some(customer) => self.send_update(customer, LegUpdate { hold: Some(true), ..LegUpdate::default() }),
            None => self.let_initiator_go(),
        }
    }

    /// However the transfer ended: a worker who began a cold one leaves all the same, once the customer is on hold.
    pub(super) fn transfer_over(&mut self, failed: bool) {
        if let Some(Handing { reservation, cold: true, over: false }) = self.task.handing.filter(|_| failed) {
            self.cold_transfer_failed(reservation);
        }
        self.task.left_on_hold |= self.task.handing.is_some_and(|handing| handing.cold);
        let holding = self.is_putting_customer_on_hold();
        let stays = |handing: &Handing| handing.cold && holding;
        self.task.handing = self.task.handing.filter(stays).map(|handing| Handing { over: true, ..handing });
    }

    fn is_putting_customer_on_hold(&self) -> bool {
        self.task.outstanding.values().any(|errand| match errand {
            Errand::UpdateLeg(label, update) => label == CUSTOMER_LABEL && update.hold == Some(true),
            _ => false,
        })
    }

    /// A customer who is on hold, or about to be, talks again.
    pub(super) fn unhold_customer(&mut self) {
        let Some(customer) = self.task.index_in_room(&LegTarget::Customer) else { return };
        if self.task.legs[customer].held || self.is_putting_customer_on_hold() {
            self.send_update(customer, LegUpdate { hold: Some(false), ..LegUpdate::default() });
        }
    }

    /// The customer would be alone on hold, unless the settings know better (`spec/voice.md` 3.12). A customer who was
    /// called is not asked for a message.
    fn cold_transfer_failed(&mut self, initiator: ReservationSid) {
        let is_with = |leg: &Leg| {
            let stays = matches!(leg.role, Role::Worker | Role::External) && leg.reservation != Some(initiator);
            stays && leg.state == LegState::InRoom && leg.abort.is_none()
        };
        if self.task.index_in_room(&LegTarget::Customer).is_none() || self.task.legs.iter().any(is_with) {
            return;
        }
        match self.policy.cold_transfer_failure {
            ColdTransferFailure::Requeue if !self.task.requeued => {
                self.task.requeued = true;
                self.outputs.push(Output::AskQueue(initiator));
            }
            ColdTransferFailure::Voicemail if !self.task.outbound && !self.task.released => {
                self.task.leaves_message = true;
                self.task.released = true;
                self.want(Wish::Release);
            }
            _ => {}
        }
    }

    fn let_initiator_go(&mut self) {
        let Some(Handing { reservation, cold: true, .. }) = self.task.handing else { return };
        if let Some(index) = self.worker_index(reservation)
            && self.task.legs[index].abort.is_none()
        {
            self.task.legs[index].abort = self.task.legs[index].is_live().then_some(Abort::Wanted);
        }
    }
}
