//! What documents of the application's do: those of legs that the call instruction places, and redirected calls.
//!
//! Nobody knows what stands in them: the worker may take the reservation, hang up, or talk with the application. Start with
//! [`Phone::place_call`] and [`Phone::lead_away`].

use switchhook::calls::{CallSid, CallStatus, PhoneCommand, PhoneOutcome, QueueResult, Role};
use switchhook::engine::cores::Errand;
use switchhook::routing::{ReservationSid, Timestamp};

use super::{Ask, Call, Message, Phone, Place};
use crate::dice::Dice;

/// What a leg runs once it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Document {
    /// The words to the worker, and the key that takes the call.
    Announcement,
    /// A document of the application's.
    Application,
}

impl Phone {
    /// Calls a worker whose leg runs a document.
    pub(super) fn place_call(
        &mut self,
        errand: &Errand,
        now: Timestamp,
        dice: &mut Dice,
    ) -> Result<PhoneOutcome, String> {
        let PhoneCommand::PlaceCall { label, document, options, .. } = &errand.command else {
            return Ok(PhoneOutcome::Gone);
        };
        let done = |call: CallSid, status| PhoneOutcome::Done { call: Some(call), conference: None, status };
        if let Some((sid, call)) = self.calls.iter().find(|(_, call)| call.label == *label && !call.own) {
            if !errand.repeated {
                return Err(format!("{label} of {} was called twice", errand.task));
            }
            return Ok(done(sid.clone(), Some(call.status)));
        }
        let sid = self.fresh_call();
        let document = if document.is_some() { Document::Application } else { Document::Announcement };
        let call = Call {
            task: errand.task,
            label: label.clone(),
            reservation: label.parse::<ReservationSid>().ok(),
            status: CallStatus::Queued,
            place: Place::Nowhere,
            bound_for: None,
            own: false,
            ends_room: options.end_conference_on_exit,
            sequence: 0,
            redirects: 0,
            was_in_room: false,
            spared: false,
            dialed: true,
            role: Role::Worker,
            held: false,
            muted: options.muted,
            document: Some(document),
            redirected_for_task: false,
            was_answered: false,
            late: None,
        };
        self.calls.insert(sid.clone(), call);
        self.send(Self::soon(now, dice), Message::Progress(sid.clone()));
        Ok(done(sid, None))
    }

    /// The document of an answered leg goes on: it takes the reservation, comes to its end, or keeps the worker.
    pub(super) fn go_on_with_document(&mut self, sid: &CallSid, now: Timestamp, dice: &mut Dice) {
        let Some(call) = self.calls.get_mut(sid).filter(|call| call.place == Place::Nowhere) else { return };
        let (Some(document), Some(reservation)) = (call.document, call.reservation) else { return };
        let (task, redirects) = (call.task, call.redirects);
        match dice.below(8) {
            0 => self.hang_up(sid, now, dice),
            // At the end nobody stays for long.
            1 if self.faults && document == Document::Application => {
                call.place = Place::Elsewhere;
                call.spared = true;
            }
            _ => self.ask(task, sid, Ask::Take { reservation }, redirects, now, dice),
        }
    }

    /// A call goes on with a document of the application's, which ends it when it likes.
    pub(crate) fn lead_away(&mut self, sid: &CallSid, now: Timestamp, dice: &mut Dice) -> PhoneOutcome {
        let Some(call) = self.calls.get_mut(sid).filter(|call| call.status == CallStatus::InProgress) else {
            return PhoneOutcome::Gone;
        };
        call.redirects += 1;
        call.redirected_for_task = false;
        call.spared = true;
        let (task, redirects) = (call.task, call.redirects);
        match &call.place {
            Place::Queue => {
                let left = Ask::Left { result: QueueResult::Redirected, ended: false, runs: false };
                self.ask(task, sid, left, redirects, now, dice);
            }
            Place::Room(_) => self.leave_room(sid, "participant_updated_via_api", now, dice),
            Place::Nowhere | Place::Elsewhere => {}
        }
        self.calls.entry(sid.clone()).and_modify(|call| call.place = Place::Elsewhere);
        PhoneOutcome::Done { call: Some(sid.clone()), conference: None, status: Some(CallStatus::InProgress) }
    }

    /// A redirect of which the task that asked for it will hear.
    pub(super) fn note_redirect(&mut self, errand: &Errand) {
        if let PhoneCommand::RedirectCall { call, .. } = &errand.command
            && let Some(call) = self.calls.get_mut(call).filter(|call| call.task == errand.task && call.is_caller())
        {
            call.redirected_for_task = true;
        }
    }

    /// A call asks for its wait document; when it has been redirected since, that is not known to whoever hears it.
    pub(crate) fn says_it_waits(&mut self, call: &CallSid, redirects: u32) {
        if let Some(call) = self.calls.get_mut(call).filter(|call| call.redirects != redirects) {
            call.redirected_for_task = false;
        }
    }

    /// Workers with whom an application talks.
    pub(crate) fn workers_elsewhere(&self) -> Vec<CallSid> {
        let is_elsewhere = |call: &Call| call.is_live() && !call.is_customer() && call.place == Place::Elsewhere;
        self.calls.iter().filter(|(_, call)| is_elsewhere(call)).map(|(sid, _)| sid.clone()).collect()
    }
}
