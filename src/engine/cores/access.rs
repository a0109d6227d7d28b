//! What a phone system that does not take our credentials means for a workspace: no call can be connected, so none is
//! offered (`spec/voice.md` 5.5). Callers go on hearing their wait document, which they come for themselves.
//!
//! Nothing of this is on disk but the times before which tasks are not offered; after a start it is found out anew. Start
//! with [`Cores::take_access`].

use std::collections::BTreeMap;

use super::super::request::PhoneAccess;
use super::{Cores, Refs};
use crate::calls::PhoneOutcome;
use crate::calls::policy::CODE_CREDENTIALS;
use crate::routing::{Command, ReservationStatus, RoutingTarget, SidSource, TaskSid, TaskStatus, Timestamp};

/// That the phone system does not take our credentials, and what is held back for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denial {
    message: String,
    /// Before which calls are not offered.
    until: Timestamp,
    /// Those that are held back, and until when.
    held: BTreeMap<TaskSid, Timestamp>,
}

impl Cores {
    /// Takes in whether the phone system takes our credentials.
    pub(super) fn take_access(&mut self, access: &PhoneAccess, sids: &mut dyn SidSource) {
        match access {
            PhoneAccess::Granted => {
                let held = self.denial.take().map(|denial| denial.held).unwrap_or_default();
                for (task, until) in held {
                    self.command(&Command::HoldBack { task, was: Some(until), until: self.now }, sids);
                }
            }
            PhoneAccess::Denied { message, until } => {
                let before = self.denial.take();
                if before.is_none() {
                    let nobody = Refs { task: None, reservation: None, worker: None };
                    let message = format!(
                        "the phone system refuses our credentials, so no call is offered until it takes them: {message}"
                    );
                    self.alert(CODE_CREDENTIALS.unsigned_abs(), message, nobody);
                }
                let held = before.map(|denial| denial.held).unwrap_or_default();
                self.denial = Some(Denial { message: message.clone(), until: *until, held: BTreeMap::new() });
                let waiting = self.waiting_calls();
                for task in &waiting {
                    let was = held.get(task).copied();
                    self.command(&Command::HoldBack { task: *task, was, until: *until }, sids);
                    self.note_held(*task);
                }
                for task in waiting {
                    self.cancel_offers(task, sids);
                }
            }
        }
    }

    /// The denial that holds now. One that is not repeated in time is over, even if nobody could tell us so.
    fn present_denial(&self) -> Option<&Denial> {
        self.denial.as_ref().filter(|denial| denial.until > self.now)
    }

    /// Before when a new call is not to be offered.
    pub(super) fn calls_not_before(&self) -> Option<Timestamp> {
        self.present_denial().map(|denial| denial.until)
    }

    /// A call is held back as long as all are.
    pub(super) fn note_held(&mut self, task: TaskSid) {
        if let Some(denial) = &mut self.denial {
            denial.held.insert(task, denial.until);
        }
    }

    /// What a command that would make a call comes to without being sent.
    pub(super) fn refusal_for_denial(&self) -> Option<PhoneOutcome> {
        let denial = self.present_denial()?;
        let message = format!("the phone system refuses our credentials: {}", denial.message);
        Some(PhoneOutcome::Refused { code: Some(CODE_CREDENTIALS), message })
    }

    /// Tasks whose callers wait for somebody. A conversation that is handed on is none: whoever hands it on learns from the
    /// attempt that it is not possible now.
    fn waiting_calls(&self) -> Vec<TaskSid> {
        let waits = |task: TaskSid| {
            self.workspace.task(task).is_some_and(|row| {
                matches!(row.status, TaskStatus::Pending | TaskStatus::Reserved) && row.transfer.is_none()
            })
        };
        let callers = self.calls.tasks().filter(|record| record.holds_caller()).map(|record| record.task);
        callers.filter(|task| waits(*task)).collect()
    }

    /// Cancels what nobody has taken up; what is being connected ends by its commands, or comes about. A task for one worker
    /// would be canceled with its offer, and the caller lost.
    fn cancel_offers(&mut self, task: TaskSid, sids: &mut dyn SidSource) {
        let target = self.workspace.task(task).and_then(|row| *row.routing_target);
        if matches!(target, Some(RoutingTarget::Worker(_))) {
            return;
        }
        let offers = self.workspace.open_reservations_of_task(task);
        let idle = offers.filter(|row| row.status == ReservationStatus::Pending && !row.connecting);
        for reservation in idle.map(|row| row.sid).collect::<Vec<_>>() {
            let reason_code = Some(CODE_CREDENTIALS);
            self.command(&Command::FailConnecting { reservation, reason_code, not_before: None, missed: false }, sids);
        }
    }
}
