//! Instructions for a reservation: one executor for REST, the agents' SDK and the answers of assignment callbacks.
//!
//! Checks what is known at once and hands the rest to the core that carries it out; a refusal changes nothing and leaves
//! its alert. Start with [`Cores::instruct`].

use std::collections::VecDeque;

use serde_json::Value;

use crate::calls::{CallSid, ConferenceOptions, Input, Instructable};
use crate::routing::command::ReservationParent;
use crate::routing::{
    Command, Refusal, Reply, Reservation, ReservationSid, ReservationStatus, SidSource, TaskSid, WorkerSid,
};

use super::super::request::ReservationInstruction;
use super::{Cores, row_refs};

/// Codes of the alert log for what one of the instructions that dial needs (`spec/voice.md` 3.11).
struct Codes {
    name: &'static str,
    not_pending: u32,
    caller_gone: u32,
    no_call: u32,
    no_to: u32,
}

const CONFERENCE: Codes =
    Codes { name: "Conference", not_pending: 40_136, caller_gone: 40_144, no_call: 40_142, no_to: 40_137 };
const DEQUEUE: Codes =
    Codes { name: "Dequeue", not_pending: 40_135, caller_gone: 40_135, no_call: 40_140, no_to: 40_131 };

/// Code of the alert log: the task that is handed on has no room.
const NO_CONFERENCE: u32 = 40_149;
/// Code of the alert log: not with a task that is handed on.
const NOT_FOR_TRANSFERS: u32 = 40_151;

impl Cores {
    /// Carries out an instruction as a whole or not at all.
    pub(super) fn instruct(
        &mut self,
        parent: ReservationParent,
        reservation: ReservationSid,
        instruction: &ReservationInstruction,
        if_match: Option<u64>,
        sids: &mut dyn SidSource,
    ) -> Result<Reply, Refusal> {
        match instruction {
            ReservationInstruction::Change(change) => {
                let command = Command::UpdateReservation { parent, reservation, change: *change, if_match };
                let done = self.workspace.handle(&command, self.now, sids)?;
                let reply = done.reply;
                let inputs = self.absorb(done, None);
                self.run(inputs, sids);
                Ok(reply)
            }
            ReservationInstruction::Conference(options) => {
                let current = self.addressed(parent, reservation)?.version;
                if if_match.is_some_and(|expected| expected != current) {
                    return Err(Refusal::VersionMismatch { current });
                }
                self.connect(parent, reservation, None, options, sids)
            }
            ReservationInstruction::Supervise(supervision) => self.supervise(parent, reservation, supervision, sids),
        }
    }

    pub(super) fn addressed(
        &self,
        parent: ReservationParent,
        reservation: ReservationSid,
    ) -> Result<&Reservation, Refusal> {
        let row = self.workspace.reservation(reservation).ok_or(Refusal::NotFound)?;
        let fits = match parent {
            ReservationParent::Task(parent) => row.task == parent,
            ReservationParent::Worker(parent) => row.worker == parent,
            ReservationParent::Any => true,
        };
        if fits { Ok(row) } else { Err(Refusal::NotFound) }
    }

    /// The conference instruction, by request (`call` is `None`) or by a leg of the worker's own phone.
    pub(super) fn connect(
        &mut self,
        parent: ReservationParent,
        reservation: ReservationSid,
        call: Option<&CallSid>,
        options: &ConferenceOptions,
        sids: &mut dyn SidSource,
    ) -> Result<Reply, Refusal> {
        let row = self.addressed(parent, reservation)?;
        let (task, worker, refs) = (row.task, row.worker, row_refs(row));
        let codes = if options.dequeue { DEQUEUE } else { CONFERENCE };
        let not_pending = Refusal::InstructionNotPending { instruction: codes.name, reservation };
        if row.status != ReservationStatus::Pending {
            self.alert(codes.not_pending, not_pending.to_string(), refs);
            return Err(not_pending);
        }
        let handed_on = row.transfer.is_some();
        if handed_on && options.dequeue {
            let reason = "a transferred task can be accepted, rejected, or connected by Conference".to_owned();
            self.alert(NOT_FOR_TRANSFERS, reason.clone(), refs);
            return Err(Refusal::Invalid { parameter: "Instruction", reason });
        }
        let unknown = self.calls.task(task).is_none();
        let outbound = if unknown && !handed_on { self.outbound(task) } else { None };
        match self.calls.can_instruct(task, reservation) {
            Instructable::NoCall if outbound.is_some() && !options.dequeue && call.is_none() => {}
            Instructable::Yes => {}
            // The same instruction again, by a double click or a client's retry (V29); or the same leg's webhook.
            Instructable::AlreadyConnecting if self.is_same_leg(task, reservation, call) => {
                return Ok(Reply::Task(task));
            }
            Instructable::AlreadyConnecting | Instructable::OtherConnecting => {
                self.alert(codes.not_pending, not_pending.to_string(), refs);
                return Err(not_pending);
            }
            Instructable::CallerGone => {
                self.alert(codes.caller_gone, "the caller is gone".to_owned(), refs);
                return Err(not_pending);
            }
            Instructable::NoCall if handed_on => {
                let reason = "the transferred task has no conference".to_owned();
                self.alert(NO_CONFERENCE, reason.clone(), refs);
                return Err(Refusal::Invalid { parameter: "Instruction", reason });
            }
            Instructable::NoCall => {
                let reason = if options.dequeue {
                    "the task has no call_sid".to_owned()
                } else {
                    "the task has neither call_sid nor outbound_to".to_owned()
                };
                self.alert(codes.no_call, reason.clone(), refs);
                return Err(Refusal::Invalid { parameter: "Instruction", reason });
            }
        }
        let contact_uri = self.contact_uri(worker);
        if call.is_none() && options.to.is_none() && contact_uri.is_none() {
            let reason = "no To and the worker has no contact_uri".to_owned();
            self.alert(codes.no_to, reason.clone(), refs);
            return Err(Refusal::Invalid { parameter: "To", reason });
        }
        if call.is_none() {
            let (parameter, to) = match (&options.to, &contact_uri) {
                (Some(to), _) => ("To", to),
                (None, Some(to)) => ("contact_uri", to),
                (None, None) => ("To", &String::new()),
            };
            self.check_dialled(parameter, to, refs)?;
        }
        let options = options.clone();
        let input = match call {
            None => Input::Instruct { reservation, worker, contact_uri, options },
            Some(call) => Input::WorkerCalled { reservation, worker, call: call.clone(), options },
        };
        let mut inputs = VecDeque::from([(task, input)]);
        if let Some(outbound) = outbound {
            inputs.push_front((task, outbound));
        }
        self.run(inputs, sids);
        Ok(Reply::Task(task))
    }

    /// What begins the calls of a task whose attributes name somebody to dial (`spec/voice.md` 3.6: Outbound tasks).
    fn outbound(&self, task: TaskSid) -> Option<Input> {
        let row = self.workspace.task(task)?;
        let to = text_of(&row.attributes, "outbound_to")?;
        Some(Input::Outbound { from: text_of(&row.attributes, "from").unwrap_or_default(), to })
    }

    /// Whether a repeated instruction means the leg that is being connected: any repetition of the REST instruction
    /// does, a leg of the worker's own phone only if it is that leg.
    fn is_same_leg(&self, task: TaskSid, reservation: ReservationSid, call: Option<&CallSid>) -> bool {
        let Some(call) = call else { return true };
        let leg = self.calls.task(task).and_then(|record| record.worker_leg(reservation));
        leg.is_some_and(|leg| leg.call.as_ref() == Some(call))
    }

    pub(super) fn contact_uri(&self, worker: WorkerSid) -> Option<String> {
        text_of(&self.workspace.worker(worker)?.attributes, "contact_uri")
    }
}

/// A text in attributes that says something.
pub(super) fn text_of(attributes: &str, key: &str) -> Option<String> {
    let attributes: Value = serde_json::from_str(attributes).ok()?;
    attributes.get(key)?.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned)
}
