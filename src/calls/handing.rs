//! Handing a task on, by a warm or a cold transfer: the legs of whoever does it and of the customer (`spec/voice.md` 3.12,
//! 8.6 and 8.7).
//!
//! Who takes over is connected like anybody else, and what becomes of the transfer is the routing core's affair. Nobody is
//! taken out of a room that would end by it, or away from a customer who is not on hold. Start with `begin_transfer` and
//! `settle_handing`.

use serde::{Deserialize, Serialize};

use super::interface::{Output, Role};
use super::machine::Machine;
use super::policy::{ALERT_PHONE_SYSTEM, ColdTransferFailure};
use super::voice_task::{Abort, Leg, LegState, Wish};
use super::wishes::{LegTarget, LegUpdate};
use crate::routing::ReservationSid;

/// A transfer that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handing {
    /// Of the worker who hands the task on.
    pub reservation: ReservationSid,
    /// That worker leaves as soon as the customer is on hold and the room does not end by it.
    pub cold: bool,
    /// The transfer is over, and only that departure is still to come.
    #[serde(default)]
    pub over: bool,
    /// Attempts at making that departure possible that did not succeed.
    #[serde(default)]
    pub tries: u32,
}

impl Machine<'_> {
    /// The worker hands the task on: the customer is put on hold, and the worker may leave without ending the call.
    pub(super) fn begin_transfer(&mut self, reservation: ReservationSid, cold: bool) {
        let goes_on = |handing: &Handing| handing.reservation == reservation && handing.cold == cold && !handing.over;
        if self.task.handing.as_ref().is_some_and(goes_on) {
            return;
        }
        self.task.deadlines.handing = None;
        self.task.handing = Some(Handing { reservation, cold, over: false, tries: 0 });
        self.ready_for_departure(reservation);
        if let Some(customer) = self.task.index_in_room(&LegTarget::Customer) {
            self.send_update(customer, LegUpdate { hold: Some(true), ..LegUpdate::default() });
        }
    }

    /// The room no longer ends when this worker leaves.
    fn ready_for_departure(&mut self, reservation: ReservationSid) {
        let Some(index) = self.task.index_in_room(&LegTarget::Worker(reservation)) else { return };
        let wished = self.changes_under_way(index).find_map(|update| update.end_conference_on_exit);
        if wished.unwrap_or(self.task.legs[index].ends_room) {
            self.send_update(index, LegUpdate { end_conference_on_exit: Some(false), ..LegUpdate::default() });
        }
    }

    /// Whoever hands the task on in a cold transfer leaves when all is ready for it. What the phone system refuses is asked
    /// for again; if that does not help, the worker stays, because the customer is not to be cut off.
    pub(super) fn settle_handing(&mut self) {
        let Some(handing) = self.task.handing.filter(|handing| handing.cold) else {
            self.task.deadlines.handing = None;
            return;
        };
        let Some(index) = self.index_of_initiator(handing.reservation) else { return self.initiator_leaves() };
        let customer = self.customer_to_hold(handing);
        let changing = self.changes_under_way(index).any(|update| update.end_conference_on_exit.is_some())
            || customer.is_some_and(|customer| self.changes_under_way(customer).any(|update| update.hold.is_some()));
        if changing {
            return;
        }
        let leg = &self.task.legs[index];
        let obstacle = if leg.ends_room && leg.state == LegState::InRoom {
            "the conference would end with that leg"
        } else if customer.is_some_and(|customer| !self.task.legs[customer].held) {
            "the customer is not on hold"
        } else {
            self.task.legs[index].abort = Some(Abort::Wanted);
            return self.initiator_leaves();
        };
        if self.task.deadlines.handing.is_some() {
            return;
        }
        let tries = handing.tries + 1;
        if tries < self.policy.attempts {
            self.task.deadlines.handing = Some(self.now.plus_ms(self.policy.retry_ms));
            self.task.handing = Some(Handing { tries, ..handing });
            return;
        }
        let message = format!("the worker who hands the task on stays in the conference: {obstacle}");
        let reservation = Some(handing.reservation);
        self.outputs.push(Output::Alert { code: ALERT_PHONE_SYSTEM, message, reservation });
        self.task.handing = Some(Handing { cold: false, ..handing }).filter(|handing| !handing.over);
    }

    /// The leg of a worker who has not left yet, nor been told to.
    fn index_of_initiator(&self, reservation: ReservationSid) -> Option<usize> {
        let there = |index: &usize| self.task.legs[*index].is_live() && self.task.legs[*index].abort.is_none();
        self.worker_index(reservation).filter(there)
    }

    fn initiator_leaves(&mut self) {
        self.task.deadlines.handing = None;
        self.task.handing.take_if(|handing| handing.over);
    }

    /// The customer's leg, if it has to be on hold before the worker leaves: not when whoever takes over is there.
    fn customer_to_hold(&self, handing: Handing) -> Option<usize> {
        let customer = self.task.index_in_room(&LegTarget::Customer)?;
        (!handing.over || !self.has_company(handing.reservation)).then_some(customer)
    }

    /// Another attempt at making the departure possible.
    pub(super) fn prepare_departure_again(&mut self) {
        let Some(handing) = self.task.handing.filter(|handing| handing.cold) else { return };
        self.ready_for_departure(handing.reservation);
        if let Some(customer) = self.customer_to_hold(handing).filter(|customer| !self.task.legs[*customer].held) {
            self.send_update(customer, LegUpdate { hold: Some(true), ..LegUpdate::default() });
        }
    }

    /// The transfer is over. A worker who began a cold one leaves all the same, once that is possible; but not from a
    /// customer whom nobody takes, if it was not possible at once.
    pub(super) fn transfer_over(&mut self, failed: bool) {
        let Some(handing) = self.task.handing.filter(|handing| !handing.over) else { return };
        let stays = failed && self.task.deadlines.handing.is_some();
        let leaves = handing.cold && !stays;
        if leaves || self.has_left(handing.reservation) {
            if failed {
                self.nobody_took_over(handing.reservation);
            }
            self.task.left_on_hold = true;
        }
        let to_come = leaves && self.index_of_initiator(handing.reservation).is_some();
        self.task.handing = to_come.then_some(Handing { over: true, ..handing });
    }

    /// Whether the worker who handed the task on is no longer with the customer, or no longer works for one who waits.
    fn has_left(&self, reservation: ReservationSid) -> bool {
        let in_room = self.task.index_in_room(&LegTarget::Customer).is_some();
        match self.task.worker_leg(reservation) {
            Some(leg) => leg.abort.is_some() || !leg.is_live() || (in_room && leg.state != LegState::InRoom),
            None => self.task.taken && !self.task.held_apart.contains(&reservation),
        }
    }

    /// Whether somebody else than this worker is in the room to talk with the customer.
    fn has_company(&self, besides: ReservationSid) -> bool {
        self.task.legs.iter().any(|leg| match leg.role {
            Role::Worker => is_there(leg) && leg.reservation != Some(besides),
            Role::External => is_there(leg),
            Role::Supervisor => leg.takes_part(),
            Role::Customer => false,
        })
    }

    /// A customer who is on hold, or about to be, talks again.
    pub(super) fn unhold_customer(&mut self) {
        let Some(customer) = self.task.index_in_room(&LegTarget::Customer) else { return };
        let wished = self.changes_under_way(customer).find_map(|update| update.hold);
        if wished.unwrap_or(self.task.legs[customer].held) {
            self.send_update(customer, LegUpdate { hold: Some(false), ..LegUpdate::default() });
        }
    }

    /// The customer would be alone on hold, or wait for nobody, unless the settings know better (`spec/voice.md` 3.12). A
    /// customer who was called is not asked for a message.
    fn nobody_took_over(&mut self, initiator: ReservationSid) {
        let in_room = self.task.index_in_room(&LegTarget::Customer).is_some();
        let waits = self.task.is_left_waiting() && self.task.held_apart.is_empty();
        if !(in_room || waits) || self.has_company(initiator) {
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
}

fn is_there(leg: &Leg) -> bool {
    leg.state == LegState::InRoom && leg.abort.is_none()
}
