//! Instructions for a reservation: one executor for REST, the agents' SDK and the answers of assignment callbacks.
//!
//! Checks what is known at once and hands the rest to the core that carries it out; a refusal changes nothing and leaves
//! its alert. Start with [`Cores::instruct`].

use std::collections::VecDeque;

use serde_json::Value;

use crate::calls::{CallSid, ConferenceOptions, ConnectBy, Input, Instructable, VoiceTask, WorkerDocument};
use crate::routing::command::{ReservationParent, WorkerUpdate};
use crate::routing::{
    ActivitySid, Command, Refusal, Reply, ReservationSid, ReservationStatus, SidSource, TaskSid, TaskStatus, WorkerSid,
};

use super::super::request::{CallRedirect, ReservationInstruction};
use super::{Cores, Refs, row_refs};

/// Codes of the alert log for what one of the instructions that dial needs (`spec/voice.md` 3.11).
struct Codes {
    name: &'static str,
    not_pending: u32,
    caller_gone: u32,
    no_call: u32,
    no_to: u32,
    no_from: u32,
}

const CONFERENCE: Codes = Codes {
    name: "Conference",
    not_pending: 40_136,
    caller_gone: 40_144,
    no_call: 40_142,
    no_to: 40_137,
    no_from: 40_138,
};
const DEQUEUE: Codes = Codes {
    name: "Dequeue",
    not_pending: 40_135,
    caller_gone: 40_135,
    no_call: 40_140,
    no_to: 40_131,
    no_from: 40_132,
};

const CALL: Codes =
    Codes { name: "Call", not_pending: 40_114, caller_gone: 40_114, no_call: 40_113, no_to: 40_110, no_from: 40_111 };
const REDIRECT: Codes = Codes {
    name: "Redirect",
    not_pending: 40_123,
    caller_gone: 40_122,
    no_call: 40_121,
    no_to: 40_121,
    no_from: 40_121,
};

/// Codes of the alert log: the activity after the work does not exist, or has no effect.
const CONFERENCE_POST_WORK: u32 = 40_139;
const DEQUEUE_POST_WORK: u32 = 40_130;
const DIAL_POST_WORK: u32 = 14_216;
/// Code of the alert log: the task that is handed on has no room.
pub(super) const NO_CONFERENCE: u32 = 40_149;
/// Code of the alert log: not with a task that is handed on.
const NOT_FOR_TRANSFERS: u32 = 40_151;

/// How a worker's leg comes about.
#[derive(Debug, Clone, Copy)]
pub(super) enum How<'a> {
    /// It is dialled into the room.
    Dialled,
    /// It is called to run a document.
    Called(&'a WorkerDocument),
    /// It is there and asks for the room.
    Leg(&'a CallSid),
}

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
                self.check_version(parent, reservation, if_match)?;
                self.connect(parent, reservation, How::Dialled, options, sids)
            }
            ReservationInstruction::Call(call) => {
                self.check_version(parent, reservation, if_match)?;
                let document = WorkerDocument { account: self.account, url: call.url.clone(), accept: call.accept };
                self.connect(parent, reservation, How::Called(&document), &call.options, sids)
            }
            ReservationInstruction::Redirect(redirect) => {
                self.check_version(parent, reservation, if_match)?;
                self.redirect(parent, reservation, redirect, sids)
            }
            ReservationInstruction::Supervise(supervision) => self.supervise(parent, reservation, supervision, sids),
        }
    }

    fn check_version(
        &self,
        parent: ReservationParent,
        reservation: ReservationSid,
        if_match: Option<u64>,
    ) -> Result<(), Refusal> {
        let current = self.workspace.reservation_under(parent, reservation)?.version;
        match if_match {
            Some(expected) if expected != current => Err(Refusal::VersionMismatch { current }),
            _ => Ok(()),
        }
    }

    /// The instructions that connect a worker with the caller, by request or by a leg that calls to take the reservation.
    pub(super) fn connect(
        &mut self,
        parent: ReservationParent,
        reservation: ReservationSid,
        how: How<'_>,
        options: &ConferenceOptions,
        sids: &mut dyn SidSource,
    ) -> Result<Reply, Refusal> {
        let row = self.workspace.reservation_under(parent, reservation)?;
        let (task, worker, refs) = (row.task, row.worker, row_refs(row));
        let codes = match options.by {
            ConnectBy::Conference => CONFERENCE,
            ConnectBy::Dequeue => DEQUEUE,
            ConnectBy::Call => CALL,
        };
        let not_pending = Refusal::InstructionNotPending { instruction: codes.name, reservation };
        if row.status != ReservationStatus::Pending {
            let is_over =
                |task: TaskSid| self.workspace.task(task).is_none_or(|task| task.status == TaskStatus::Canceled);
            let gone = row.status == ReservationStatus::Canceled && is_over(task);
            let code = if gone { codes.caller_gone } else { codes.not_pending };
            self.alert(code, not_pending.to_string(), refs);
            return Err(not_pending);
        }
        let handed_on = row.transfer.is_some();
        let mut options = options.clone();
        if let Some(activity) = options.post_work_activity {
            options.post_work_activity = self.settled_post_work(activity, how, options.by, refs)?;
        }
        if handed_on && options.by != ConnectBy::Conference {
            return self.refuse_for_transfer(refs);
        }
        self.check_without_rooms(task, worker, how, &options, refs)?;
        let unknown = self.calls.task(task).is_none();
        let outbound = if unknown && !handed_on { self.outbound(task) } else { None };
        match self.calls.can_instruct(task, reservation) {
            Instructable::NoCall
                if outbound.is_some() && options.by == ConnectBy::Conference && matches!(how, How::Dialled) => {}
            Instructable::Yes => {}
            // The same instruction again, by a double click or a client's retry (V29); or the leg of it, or the same
            // leg's webhook.
            Instructable::AlreadyConnecting if self.is_same(task, reservation, how, options.by) => {
                if let How::Leg(call) = how {
                    let call = call.clone();
                    let input = Input::WorkerCalled { reservation, worker, call, options };
                    self.run(VecDeque::from([(task, input)]), sids);
                }
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
                let reason = match options.by {
                    ConnectBy::Conference => "the task has neither call_sid nor outbound_to",
                    ConnectBy::Dequeue | ConnectBy::Call => "the task has no call_sid",
                };
                self.alert(codes.no_call, reason.to_owned(), refs);
                return Err(Refusal::Invalid { parameter: "Instruction", reason: reason.to_owned() });
            }
        }
        let contact_uri = self.contact_uri(worker);
        if !matches!(how, How::Leg(_)) && options.to.is_none() && contact_uri.is_none() {
            let reason = "no To and the worker has no contact_uri".to_owned();
            self.alert(codes.no_to, reason.clone(), refs);
            return Err(Refusal::Invalid { parameter: "To", reason });
        }
        if !matches!(how, How::Leg(_)) {
            let named = if options.by == ConnectBy::Call { "CallTo" } else { "To" };
            let (parameter, to) = match (&options.to, &contact_uri) {
                (Some(to), _) => (named, to),
                (None, Some(to)) => ("contact_uri", to),
                (None, None) => (named, &String::new()),
            };
            self.check_dialled(parameter, to, refs)?;
            let ours = match &outbound {
                Some(Input::Outbound { from, .. }) => from.as_str(),
                _ => self.calls.task(task).map_or("", VoiceTask::own_number),
            };
            if options.from.is_none() && ours.is_empty() {
                options.from.clone_from(&self.limits.default_caller_id);
            }
            if options.from.is_none() && ours.is_empty() {
                let reason = "no caller ID, and the task has none".to_owned();
                self.alert(codes.no_from, reason.clone(), refs);
                return Err(Refusal::Invalid { parameter: "From", reason });
            }
        }
        let input = match how {
            How::Dialled => Input::Instruct { reservation, worker, contact_uri, options },
            How::Called(document) => {
                Input::Call { reservation, worker, contact_uri, document: document.clone(), options }
            }
            How::Leg(call) => Input::WorkerCalled { reservation, worker, call: call.clone(), options },
        };
        let mut inputs = VecDeque::from([(task, input)]);
        if let Some(outbound) = outbound {
            inputs.push_front((task, outbound));
        }
        self.run(inputs, sids);
        Ok(Reply::Task(task))
    }

    /// The activity after the work, where it has an effect: in single-tasking workspaces. A call on its way to the caller
    /// goes on without it; an instruction that names none of the workspace is refused.
    fn settled_post_work(
        &mut self,
        activity: ActivitySid,
        how: How<'_>,
        by: ConnectBy,
        refs: Refs,
    ) -> Result<Option<ActivitySid>, Refusal> {
        let is_leg = matches!(how, How::Leg(_));
        let is_known = self.workspace.activity(activity).is_some();
        if self.workspace.settings().multi_task_enabled {
            if is_leg {
                let message = "postWorkActivitySid has no effect in a workspace with MultiTaskEnabled".to_owned();
                self.alert(DIAL_POST_WORK, message, refs);
            }
            return Ok(None);
        }
        if is_known {
            return Ok(Some(activity));
        }
        let parameter = match by {
            ConnectBy::Dequeue => "DequeuePostWorkActivitySid",
            ConnectBy::Conference | ConnectBy::Call => "PostWorkActivitySid",
        };
        let refusal = Refusal::UnknownReference { parameter, value: activity.to_string() };
        if is_leg {
            self.alert(DIAL_POST_WORK, refusal.to_string(), refs);
            return Ok(None);
        }
        let code = if by == ConnectBy::Dequeue { DEQUEUE_POST_WORK } else { CONFERENCE_POST_WORK };
        self.alert(code, refusal.to_string(), refs);
        Err(refusal)
    }

    /// The worker's leg is gone: the work ends, and in a single-tasking workspace the worker goes to the activity that the
    /// instruction named.
    pub(super) fn end_work(
        &mut self,
        task: TaskSid,
        reservation: ReservationSid,
        inputs: &mut VecDeque<(TaskSid, Input)>,
        sids: &mut dyn SidSource,
    ) {
        let command = Command::EndWork(reservation);
        // Refused where the routing core was faster.
        if let Ok(done) = self.workspace.handle(&command, self.now, sids) {
            inputs.append(&mut self.absorb(done, Some(&command)));
        }
        let leg = self.calls.task(task).and_then(|record| record.worker_leg(reservation));
        let Some(activity) = leg.and_then(|leg| leg.post_work_activity) else { return };
        let Some(worker) = self.workspace.reservation(reservation).map(|row| row.worker) else { return };
        let update = WorkerUpdate { activity: Some(activity), ..WorkerUpdate::default() };
        if let Ok(done) = self.workspace.handle(&Command::UpdateWorker(worker, update), self.now, sids) {
            inputs.append(&mut self.absorb(done, None));
        }
    }

    /// The redirect instruction: only calls of the account's tasks can be redirected, because the phone system's account may
    /// serve others too.
    fn redirect(
        &mut self,
        parent: ReservationParent,
        reservation: ReservationSid,
        redirect: &CallRedirect,
        sids: &mut dyn SidSource,
    ) -> Result<Reply, Refusal> {
        let row = self.workspace.reservation_under(parent, reservation)?;
        let (task, refs) = (row.task, row_refs(row));
        let not_pending = Refusal::InstructionNotPending { instruction: REDIRECT.name, reservation };
        let handed_on = row.transfer.is_some();
        if row.status != ReservationStatus::Pending {
            self.alert(REDIRECT.not_pending, not_pending.to_string(), refs);
            return Err(not_pending);
        }
        if handed_on {
            return self.refuse_for_transfer(refs);
        }
        match self.calls.can_instruct(task, reservation) {
            Instructable::Yes => {}
            Instructable::AlreadyConnecting if self.is_redirecting(task) => return Ok(Reply::Task(task)),
            Instructable::AlreadyConnecting | Instructable::OtherConnecting => {
                self.alert(REDIRECT.not_pending, not_pending.to_string(), refs);
                return Err(not_pending);
            }
            Instructable::CallerGone => {
                self.alert(REDIRECT.caller_gone, "the caller is gone".to_owned(), refs);
                return Err(not_pending);
            }
            Instructable::NoCall => {
                let reason = "the task has no call_sid".to_owned();
                self.alert(REDIRECT.no_call, reason.clone(), refs);
                return Err(Refusal::Invalid { parameter: "Instruction", reason });
            }
        }
        if !redirect.of_sibling && !self.calls.knows_live_call(task, &redirect.call) {
            let reason = "it is no live call of a task of this account".to_owned();
            self.alert(REDIRECT.no_to, format!("redirect: {reason}"), refs);
            return Err(Refusal::Invalid { parameter: "RedirectCallSid", reason });
        }
        let input = Input::Redirect {
            reservation,
            call: redirect.call.clone(),
            account: self.account,
            url: redirect.url.clone(),
            accept: redirect.accept,
        };
        self.run(VecDeque::from([(task, input)]), sids);
        Ok(Reply::Task(task))
    }

    fn is_redirecting(&self, task: TaskSid) -> bool {
        self.calls.task(task).is_some_and(|record| record.redirection().is_some())
    }

    fn refuse_for_transfer(&mut self, refs: Refs) -> Result<Reply, Refusal> {
        let reason = "a transferred task can be accepted, rejected, or connected by Conference".to_owned();
        self.alert(NOT_FOR_TRANSFERS, reason.clone(), refs);
        Err(Refusal::Invalid { parameter: "Instruction", reason })
    }

    /// What begins the calls of a task whose attributes name somebody to dial (`spec/voice.md` 3.6: Outbound tasks).
    pub(super) fn outbound(&self, task: TaskSid) -> Option<Input> {
        let row = self.workspace.task(task)?;
        let to = text_of(&row.attributes, "outbound_to")?;
        Some(Input::Outbound { from: text_of(&row.attributes, "from").unwrap_or_default(), to })
    }

    /// Whether a repeated instruction is the one that is being carried out: a leg is, if it is that of the attempt.
    fn is_same(&self, task: TaskSid, reservation: ReservationSid, how: How<'_>, by: ConnectBy) -> bool {
        let Some(record) = self.calls.task(task) else { return false };
        let How::Leg(call) = how else {
            let present = record.options.as_ref().map(|options| options.by);
            return record.redirection().is_none() && present == Some(by);
        };
        let leg = record.worker_leg(reservation);
        record.awaits_document_of(reservation, call) || leg.is_some_and(|leg| leg.call.as_ref() == Some(call))
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
