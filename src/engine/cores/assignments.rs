//! Assignment callbacks as the cores see them: which reservations wait for an application, and what its answer does.
//!
//! A callback is opened in the commit of its reservation and closed in the commit of what the answer did, so that each
//! answer has its effect once, whatever was sent how often. Sending is for others. Start with [`Assignment`].

use crate::routing::fact::wait_secs;
use crate::routing::{
    AccountSid, Command, EventKind, EventRecord, Refusal, Reply, ReservationSid, ReservationStatus, SidSource,
    Timestamp, WorkspaceSid,
};
use crate::store::OpenCallback;

use super::super::request::{AssignmentAnswer, Consequence, ReservationInstruction};
use super::{Cores, row_refs};
use crate::routing::command::{ReservationChange, ReservationParent};

/// `reject` without a usable `activity_sid` (`spec/rest.md` 6.3).
const REJECT_ACTIVITY: u32 = 40_100;

/// A reservation whose application is to be asked, and what it is told (`spec/events.md` 7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Whose token signs the request.
    pub account: AccountSid,
    /// Where the reservation is.
    pub workspace: WorkspaceSid,
    /// Which reservation.
    pub reservation: ReservationSid,
    /// When it was made.
    pub opened_at: Timestamp,
    /// `assignment_callback_url` of the task's workflow.
    pub url: String,
    /// `fallback_assignment_callback_url` of the task's workflow.
    pub fallback_url: Option<String>,
    /// Whether the workspace has `MultiTaskEnabled`, on which some parameters of instructions depend.
    pub multi_task: bool,
    /// The form, in the order of the specification.
    pub parameters: Vec<(&'static str, String)>,
}

impl Cores {
    /// Notes that an application is to be asked, if the reservation's workflow has a URL for that.
    pub(super) fn note_reservation(&mut self, event: &EventRecord) {
        if event.kind != EventKind::ReservationCreated {
            return;
        }
        let (Some(reservation), Some(workflow)) = (event.about.reservation, event.about.workflow) else { return };
        let asks = self.workspace.workflow(workflow).is_some_and(|workflow| workflow.assignment_callback_url.is_some());
        if asks {
            self.callbacks_opened.push(OpenCallback { reservation, opened_at: event.at });
        }
    }

    /// What of the callbacks is to be written; an offer that was over before anybody knew of it needs none.
    pub(super) fn take_callbacks(&mut self) -> (Vec<OpenCallback>, Vec<ReservationSid>) {
        let mut opened = std::mem::take(&mut self.callbacks_opened);
        opened.retain(|callback| self.is_pending(callback.reservation));
        self.open_callbacks.extend(opened.iter().map(|callback| callback.reservation));
        self.callbacks_to_send.extend(opened.iter().map(|callback| callback.reservation));
        (opened, std::mem::take(&mut self.callbacks_closed))
    }

    /// The applications to ask about the reservations of the last batch, which is on disk by now.
    pub fn take_assignments(&mut self) -> Vec<Assignment> {
        let reservations = std::mem::take(&mut self.callbacks_to_send);
        reservations.into_iter().filter_map(|reservation| self.assignment(reservation)).collect()
    }

    /// After a start: the applications that have not answered yet, as far as there is still something to answer.
    pub fn open_assignments(&mut self) -> Vec<Assignment> {
        let mut assignments = Vec::new();
        for reservation in self.open_callbacks.clone() {
            match self.assignment(reservation).filter(|_| self.is_pending(reservation)) {
                Some(assignment) => assignments.push(assignment),
                None => self.close_callback(reservation),
            }
        }
        assignments
    }

    /// Does what an application answered; a second answer about the same reservation does nothing.
    pub(super) fn answer_assignment(
        &mut self,
        reservation: ReservationSid,
        answer: &AssignmentAnswer,
        sids: &mut dyn SidSource,
    ) -> Reply {
        if !self.open_callbacks.contains(&reservation) {
            return Reply::Done;
        }
        self.close_callback(reservation);
        let Some(row) = self.workspace.reservation(reservation) else { return Reply::Done };
        let refs = row_refs(row);
        for complaint in &answer.complaints {
            self.alert(complaint.code, complaint.message.clone(), refs);
        }
        match &answer.consequence {
            Consequence::Nothing => {}
            Consequence::Instruction(instruction) => {
                let parent = ReservationParent::Any;
                if let Err(refusal) = self.instruct(parent, reservation, instruction, None, sids) {
                    self.after_refusal(reservation, instruction, &refusal, sids);
                }
            }
            Consequence::Cancel => self.cancel_offer(reservation, sids),
        }
        Reply::Done
    }

    /// An instruction that cannot be carried out ends the offer (`spec/voice.md` 3.11), except that a rejection is one
    /// in any case.
    fn after_refusal(
        &mut self,
        reservation: ReservationSid,
        instruction: &ReservationInstruction,
        refusal: &Refusal,
        sids: &mut dyn SidSource,
    ) {
        let ReservationInstruction::Change(ReservationChange::Reject { activity: Some(_) }) = instruction else {
            return self.cancel_offer(reservation, sids);
        };
        let Some(row) = self.workspace.reservation(reservation) else { return };
        if row.status == ReservationStatus::Pending {
            self.alert(REJECT_ACTIVITY, refusal.to_string(), row_refs(row));
            let change = ReservationChange::Reject { activity: None };
            let command =
                Command::UpdateReservation { parent: ReservationParent::Any, reservation, change, if_match: None };
            self.command(&command, sids);
        }
    }

    /// Cancels an offer that nobody has taken up meanwhile.
    fn cancel_offer(&mut self, reservation: ReservationSid, sids: &mut dyn SidSource) {
        let waits = |row: &crate::routing::Reservation| row.status == ReservationStatus::Pending && !row.connecting;
        if self.workspace.reservation(reservation).is_some_and(waits) {
            self.command(
                &Command::FailConnecting { reservation, reason_code: None, not_before: None, missed: false },
                sids,
            );
        }
    }

    pub(super) fn command(&mut self, command: &Command, sids: &mut dyn SidSource) {
        // Refused only when the workspace was faster, and then there is nothing left to do.
        if let Ok(done) = self.workspace.handle(command, self.now, sids) {
            let inputs = self.absorb(done, None);
            self.run(inputs, sids);
        }
    }

    fn close_callback(&mut self, reservation: ReservationSid) {
        if self.open_callbacks.remove(&reservation) {
            self.callbacks_closed.push(reservation);
        }
    }

    fn is_pending(&self, reservation: ReservationSid) -> bool {
        self.workspace.reservation(reservation).is_some_and(|row| row.status == ReservationStatus::Pending)
    }

    /// What the application is told; `None` when nobody is to be asked any more.
    fn assignment(&self, reservation: ReservationSid) -> Option<Assignment> {
        let row = self.workspace.reservation(reservation)?;
        let task = self.workspace.task(row.task)?;
        let worker = self.workspace.worker(row.worker)?;
        let workflow = self.workspace.workflow(task.workflow?)?;
        let url = workflow.assignment_callback_url.clone()?;
        let mut parameters = vec![
            ("AccountSid", self.account.to_string()),
            ("WorkspaceSid", self.sid.to_string()),
            ("WorkflowSid", workflow.sid.to_string()),
            ("WorkflowName", workflow.friendly_name.clone()),
        ];
        if let Some(queue) = task.queue.and_then(|queue| self.workspace.task_queue(queue)) {
            parameters.push(("TaskQueueSid", queue.sid.to_string()));
            parameters.push(("TaskQueueName", queue.friendly_name.clone()));
        }
        parameters.extend([
            ("TaskSid", task.sid.to_string()),
            ("TaskAttributes", task.attributes.clone()),
            ("TaskAge", wait_secs(task.created_at, self.now).to_string()),
            ("TaskPriority", task.priority.to_string()),
        ]);
        if let Some(channel) = self.workspace.task_channel(task.channel) {
            parameters.push(("TaskChannelUniqueName", channel.unique_name.clone()));
        }
        parameters.extend([
            ("WorkerSid", worker.sid.to_string()),
            ("WorkerName", worker.friendly_name.clone()),
            ("WorkerAttributes", worker.attributes.clone()),
            ("ReservationSid", reservation.to_string()),
            ("Timestamp", row.created_at.unix_secs().to_string()),
        ]);
        Some(Assignment {
            account: self.account,
            workspace: self.sid,
            reservation,
            opened_at: row.created_at,
            multi_task: self.workspace.settings().multi_task_enabled,
            url,
            fallback_url: workflow.fallback_assignment_callback_url.clone(),
            parameters,
        })
    }
}
