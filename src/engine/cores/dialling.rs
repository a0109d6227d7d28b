//! Whom a workspace may dial, asked three times: when an address is written down, when an instruction names it, and when
//! the leg is about to be made, past which no leg comes that is not allowed.
//!
//! Start with [`Cores::let_dial`].

use std::collections::VecDeque;

use crate::calls::{Dialling, Input, PhoneCommand, PhoneOutcome};
use crate::engine::outgoing::Ledger;
use crate::routing::{Command, Refusal, TaskSid};

use super::instructions::text_of;
use super::{Cores, Refs};

/// Attribute of a worker: where its phone is.
const CONTACT_URI: &str = "contact_uri";
/// Code of the alert log, and of the API: more than the caps allow.
const TOO_MANY: u32 = 20_429;

impl Cores {
    /// Refuses to write down a worker's address that will not be dialled; one that was there before may stay. A task's
    /// customer is found out when dialled: agents' applications expect the reservation to be canceled with the code.
    pub(super) fn check_written(&self, command: &Command) -> Result<(), Refusal> {
        let (key, given, before) = match command {
            Command::CreateWorker(new) => (CONTACT_URI, Some(&new.attributes), None),
            Command::UpdateWorker(worker, update) => {
                (CONTACT_URI, update.attributes.as_ref(), self.workspace.worker(*worker).map(|row| &row.attributes))
            }
            _ => return Ok(()),
        };
        // Most attributes name nobody, and parsing all of them again would be felt.
        let Some(given) = given.filter(|given| given.contains(key) || given.contains('\\')) else { return Ok(()) };
        let Some(to) = text_of(given, key) else { return Ok(()) };
        if before.and_then(|before| text_of(before, key)).is_some_and(|before| before == to) {
            return Ok(());
        }
        let not_allowed = |denied: crate::calls::dial_rules::NotAllowed| Refusal::DestinationNotAllowed {
            parameter: key,
            code: denied.code(),
            reason: denied.to_string(),
        };
        self.dialling().rules.check(&to).map_err(not_allowed)
    }

    /// Refuses an instruction whose leg would not be dialled, with an alert.
    pub(super) fn check_dialled(&mut self, parameter: &'static str, to: &str, refs: Refs) -> Result<(), Refusal> {
        let refusal = match self.may_dial(to, false) {
            Ok(()) => return Ok(()),
            Err((TOO_MANY, reason)) => Refusal::TooManyLegs { reason },
            Err((code, reason)) => Refusal::DestinationNotAllowed { parameter, code, reason },
        };
        let code = match &refusal {
            Refusal::DestinationNotAllowed { code, .. } => *code,
            _ => TOO_MANY,
        };
        self.alert(code, refusal.to_string(), refs);
        Err(refusal)
    }

    /// Lets a command to the phone system out, or answers it in the phone system's place when it would dial somebody
    /// who is not to be dialled.
    pub(super) fn let_dial(
        &mut self,
        task: TaskSid,
        number: u32,
        command: &PhoneCommand,
        inputs: &mut VecDeque<(TaskSid, Input)>,
    ) -> bool {
        let (PhoneCommand::AddParticipant { to, .. }
        | PhoneCommand::PlaceCall { to, .. }
        | PhoneCommand::LetCallerDial { to, .. }) = command
        else {
            return true;
        };
        if let Some(outcome) = self.refusal_for_denial() {
            inputs.push_back((task, Input::CommandDone { number, outcome }));
            return false;
        }
        match self.may_dial(to, true) {
            Ok(()) => {
                self.outgoing.begin(to, self.now);
                true
            }
            Err((code, message)) => {
                let outcome = PhoneOutcome::Refused { code: i32::try_from(code).ok(), message };
                inputs.push_back((task, Input::CommandDone { number, outcome }));
                false
            }
        }
    }

    /// Where the workspace's legs are counted.
    pub(in crate::engine) fn ledger(&self) -> Ledger {
        self.outgoing.ledger()
    }

    /// Has its legs counted where they were before it was loaded again.
    pub(in crate::engine) fn count_legs_in(&mut self, ledger: Ledger) {
        self.outgoing.count_in(ledger);
    }

    /// What counts for this workspace.
    fn dialling(&self) -> &Dialling {
        self.limits.dialling.of(self.workspace.settings().sid)
    }

    fn may_dial(&self, to: &str, counted: bool) -> Result<(), (u32, String)> {
        let dialling = self.dialling();
        dialling.rules.check(to).map_err(|denied| (denied.code(), denied.to_string()))?;
        self.outgoing.check(dialling, to, counted, self.now).map_err(|reason| (TOO_MANY, reason))
    }
}
