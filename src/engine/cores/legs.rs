//! Wishes about the legs in a room: what agents, supervisors and applications do to a conversation.
//!
//! Checks that whoever wishes something takes part in the conversation and that the leg is in it; the calls core carries
//! it out. Start with [`Cores::change_leg`] and [`Cores::supervise`].

use std::collections::VecDeque;

use crate::calls::{ConferenceOptions, HeardBy, Input, LegTarget, LegUpdate, Role};
use crate::routing::command::{NewTransfer, ReservationParent};
use crate::routing::{
    Command, Refusal, Reply, ReservationSid, ReservationStatus, SidSource, TaskSid, TransferMode, TransferTarget,
    WorkerSid,
};

use super::super::request::{LegWish, Supervision};
use super::instructions::text_of;
use super::without_rooms::NO_ROOMS;
use super::{Cores, Refs, row_refs};

/// Codes of the alert log for supervision (`spec/voice.md` 3.10).
const SUPERVISE_STATE: u32 = 40_146;
const SUPERVISE_TO: u32 = 40_147;
const SUPERVISE_FROM: u32 = 40_148;

fn not_possible(reason: &str) -> Refusal {
    Refusal::Invalid { parameter: "Participant", reason: reason.to_owned() }
}

impl Cores {
    /// Does something to a leg in a task's room, or says why it cannot be done; nothing changes then.
    pub(super) fn change_leg(
        &mut self,
        task: TaskSid,
        by: Option<WorkerSid>,
        wish: &LegWish,
        sids: &mut dyn SidSource,
    ) -> Result<Reply, Refusal> {
        self.workspace.task(task).ok_or(Refusal::NotFound)?;
        if !self.limits.rooms {
            return Err(not_possible(NO_ROOMS));
        }
        if let Some(worker) = by {
            self.accepted(task, worker)?;
        }
        let record = self.calls.task(task).ok_or_else(|| not_possible("the task has no conference"))?;
        let in_room = |target: &LegTarget| match record.reachable_leg(target) {
            Some(_) => Ok(()),
            None => Err(not_possible("the leg is not in the task's conference")),
        };
        let update = |target: LegTarget, update: &LegUpdate| {
            in_room(&target).map(|()| Input::UpdateLeg { target, update: update.clone() })
        };
        let input = match wish {
            LegWish::Change(target, changes) => update(target.clone(), changes)?,
            LegWish::Worker(worker, changes) => update(LegTarget::Worker(self.accepted(task, *worker)?), changes)?,
            LegWish::Kick(worker) => {
                let target = LegTarget::Worker(self.accepted(task, *worker)?);
                in_room(&target)?;
                Input::KickLeg { target }
            }
            LegWish::Remove(LegTarget::Customer) => {
                return Err(not_possible("the customer leaves when the conference ends"));
            }
            LegWish::Remove(target) => {
                in_room(target)?;
                Input::KickLeg { target: target.clone() }
            }
            LegWish::Add { label, to, from, options } => {
                in_room(&LegTarget::Customer)?;
                if record.live_leg(label).is_some() {
                    return Err(not_possible("the label is taken in the task's conference"));
                }
                let ours = if record.outbound { &record.from } else { &record.to };
                Input::Invite {
                    role: Role::External,
                    label: label.clone(),
                    to: to.clone(),
                    from: from.clone().unwrap_or_else(|| ours.clone()),
                    options: options.clone(),
                    coach: None,
                }
            }
            LegWish::EndConversation => {
                if !record.has_conversation() {
                    return Err(not_possible("nobody is in the task's conference"));
                }
                Input::EndConversation
            }
        };
        if let Input::Invite { to, .. } = &input {
            self.check_dialled("To", to, Refs { task: Some(task), reservation: None, worker: by })?;
        }
        self.run(VecDeque::from([(task, input)]), sids);
        Ok(Reply::Task(task))
    }

    /// Refuses to delete the workspace while there are calls in it: with it everything goes by which they are ended, and
    /// whoever is on the line would stay alone in a queue or a room of the phone system's. Without a phone system there is
    /// nobody whom waiting would help.
    pub(super) fn check_calls_over(&self) -> Result<(), Refusal> {
        if !self.limits.phone {
            return Ok(());
        }
        let mut open = self.calls.tasks().filter(|record| record.has_calls());
        let Some(first) = open.next() else { return Ok(()) };
        let reason = format!(
            "calls are not over in {} of its tasks, {} for one; cancel the tasks of callers who wait, end the conferences \
             of those who talk, and try again when the calls are over",
            open.count() + 1,
            first.task,
        );
        Err(Refusal::InUse { reason })
    }

    /// The reservation by which a worker takes part in a task's conversation.
    fn accepted(&self, task: TaskSid, worker: WorkerSid) -> Result<ReservationSid, Refusal> {
        let mut rows = self.workspace.open_reservations_of_task(task);
        rows.find(|row| row.worker == worker && row.status == ReservationStatus::Accepted)
            .map(|row| row.sid)
            .ok_or_else(|| not_possible("the worker has no accepted reservation of the task, in its conference"))
    }

    /// A cold transfer has failed: the queue that the task came from is asked for somebody who takes over, as by another
    /// cold transfer of the same worker.
    pub(super) fn back_to_queue(&self, task: TaskSid, reservation: ReservationSid) -> Option<Command> {
        let worker = self.workspace.reservation(reservation)?.worker;
        let queue = self.workspace.task(task)?.queue?;
        Some(Command::CreateTransfer(NewTransfer {
            worker,
            task,
            reservation,
            to: TransferTarget::TaskQueue(queue),
            mode: TransferMode::Cold,
            attributes: None,
            priority: None,
            // The worker leaves the room, or has left it; either way the reservation wraps by that.
            in_room: true,
        }))
    }

    /// A supervisor listens to a conversation, whispers to its worker, or takes part; the same again changes the way.
    pub(super) fn supervise(
        &mut self,
        parent: ReservationParent,
        reservation: ReservationSid,
        supervision: &Supervision,
        sids: &mut dyn SidSource,
    ) -> Result<Reply, Refusal> {
        if matches!(parent, ReservationParent::Worker(_)) {
            let reason = "supervise is possible on the task's reservation only".to_owned();
            return Err(Refusal::Invalid { parameter: "Instruction", reason });
        }
        let row = self.workspace.reservation_under(parent, reservation)?;
        let (task, refs) = (row.task, row_refs(row));
        let held = matches!(row.status, ReservationStatus::Accepted | ReservationStatus::Wrapping);
        let refuse = |cores: &mut Self, code: u32, parameter: &'static str, reason: &str| {
            cores.alert(code, format!("supervise: {reason}"), refs);
            Err(Refusal::Invalid { parameter, reason: reason.to_owned() })
        };
        if !self.limits.rooms {
            return refuse(self, SUPERVISE_STATE, "Instruction", NO_ROOMS);
        }
        let label = format!("supervisor-{}", supervision.supervisor);
        let in_room = |target: LegTarget| self.calls.task(task).and_then(|record| record.leg_in_room(&target)).cloned();
        let worker_leg = in_room(LegTarget::Worker(reservation));
        let takes_part = self.calls.task(task).is_some_and(|record| record.live_leg(&label).is_some());
        if !held || (worker_leg.is_none() && in_room(LegTarget::Customer).is_none()) {
            return refuse(self, SUPERVISE_STATE, "Instruction", "the reservation is not accepted");
        }
        if self.workspace.worker(supervision.supervisor).is_none() {
            let value = supervision.supervisor.to_string();
            return Err(Refusal::UnknownReference { parameter: "Supervisor", value });
        }
        let to = supervision.options.to.clone().or_else(|| self.contact_uri(supervision.supervisor));
        let Some(to) = to else {
            return refuse(self, SUPERVISE_TO, "Supervisor", "the supervisor has no contact_uri");
        };
        let attributes = self.workspace.task(task).map(|row| row.attributes.clone()).unwrap_or_default();
        let Some(from) = supervision.options.from.clone().or_else(|| text_of(&attributes, "from")) else {
            return refuse(self, SUPERVISE_FROM, "Instruction", "the task has no attribute from");
        };
        let Some(update) = supervision.mode.update(worker_leg.and_then(|leg| leg.call)) else {
            return refuse(self, SUPERVISE_STATE, "SupervisorMode", "the worker is not in the conference");
        };
        let input = if takes_part {
            Input::UpdateLeg { target: LegTarget::Label(label), update }
        } else {
            let coach = match update.heard_by {
                Some(HeardBy::Only(worker)) => Some(worker),
                _ => None,
            };
            let options = ConferenceOptions {
                muted: update.muted.unwrap_or_default(),
                beep: "false".to_owned(),
                start_conference_on_enter: false,
                end_conference_on_exit: false,
                ..supervision.options.clone()
            };
            Input::Invite { role: Role::Supervisor, label, to, from, options: Box::new(options), coach }
        };
        if let Input::Invite { to, .. } = &input {
            self.check_dialled("Supervisor", to, refs)?;
        }
        self.run(VecDeque::from([(task, input)]), sids);
        Ok(Reply::Task(task))
    }
}
