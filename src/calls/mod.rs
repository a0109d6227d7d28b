//! Pure core of the voice side: what a call, its conference and its reservation do to each other.
//!
//! It folds webhooks, callbacks and results of phone commands into one state machine per task (`spec/voice.md` 3.9)
//! and says what the phone system and the routing core must do. It must not do I/O, ask for time or randomness, or know
//! HTTP, TwiML or rows. Start with [`interface`], then [`Calls`], then `machine`.

mod answers;
mod by_document;
pub mod callback;
mod connecting;
mod control;
mod customer;
pub mod dial_rules;
mod dialled_on;
pub mod dialling;
pub mod documents;
mod ending;
mod fold;
mod fresh;
mod handing;
pub mod interface;
mod late_legs;
mod machine;
pub mod options;
mod phone_command;
pub mod policy;
mod queue_result;
#[cfg(test)]
mod random;
pub mod relay;
mod repair;
#[cfg(test)]
mod scenarios;
pub mod sight;
pub mod voice_task;
pub mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use callback::{Callback, CallbackTerms, Recallable};
pub use dial_rules::{DialRules, dialable};
pub use dialling::{DialPolicy, Dialling};
pub use documents::{NextDocument, Part, RoomSettings};
pub use interface::{
    CallSid, CallStatus, CommandId, Input, Output, Park, PhoneCommand, PhoneOutcome, QueueResult, Role, RoomEvent,
};
pub use options::{Announcement, CallerDials, ConferenceOptions, ConnectBy, Subscription, Whisper, WorkerDocument};
pub use policy::{Choices, ColdTransferFailure, Policy};
pub use relay::CallbackAbout;
pub use sight::{LegSight, Repair, Repaired, RoomQuery, RoomSight};
pub use voice_task::{CUSTOMER_LABEL, Leg, LegState, VoiceState, VoiceTask};
pub use wishes::{HeardBy, HoldDocument, LegTarget, LegUpdate, SuperviseMode};

use crate::routing::defect::defect;
use crate::routing::{ReservationSid, TaskSid, Timestamp};

/// Whether an instruction, or a call of the worker's own phone, can be taken for a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instructable {
    /// It can.
    Yes,
    /// This reservation is being connected already, or its call is being redirected: the answer to the same instruction is
    /// 200, and nothing more happens.
    AlreadyConnecting,
    /// Another reservation is being connected, or one was accepted.
    OtherConnecting,
    /// The task has no call (40142).
    NoCall,
    /// The caller is gone, or the task has ended.
    CallerGone,
}

/// A voice task whose record is to be written or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoiceChange {
    /// Write it.
    Changed(TaskSid),
    /// Remove it.
    Forgotten(TaskSid),
}

/// All voice tasks of one workspace.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    policy: Policy,
    tasks: BTreeMap<TaskSid, Arc<VoiceTask>>,
    due: BTreeSet<(Timestamp, TaskSid)>,
    by_call: BTreeMap<CallSid, BTreeSet<TaskSid>>,
    changed: BTreeMap<TaskSid, VoiceChange>,
}

impl Calls {
    /// Takes over what was stored; nothing counts as changed.
    #[must_use]
    pub fn restore(tasks: Vec<VoiceTask>) -> Self {
        let mut calls = Self::default();
        for task in tasks {
            calls.index(&task);
            calls.tasks.insert(task.task, Arc::new(task));
        }
        calls
    }

    /// Sets other times and switches; they count from the next thing that happens.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Takes in one fact or wish and says what follows from it, in the order in which it is to be carried out.
    ///
    /// A task that is not known gives nothing, except that [`Input::Enqueued`] and [`Input::Outbound`] make it.
    pub fn handle(&mut self, task: TaskSid, input: &Input, now: Timestamp) -> Vec<Output> {
        let Some(before) = self.tasks.remove(&task) else {
            let Some(fresh) = VoiceTask::enqueued(task, input, &self.policy, now) else { return Vec::new() };
            self.index(&fresh);
            self.changed.insert(task, VoiceChange::Changed(task));
            self.tasks.insert(task, Arc::new(fresh));
            return Vec::new();
        };
        let mut after = Arc::clone(&before);
        let outputs = machine::run(Arc::make_mut(&mut after), &self.policy, input, now);
        if after == before {
            self.tasks.insert(task, before);
        } else {
            if defect!(CallDeadlineKept) {
                self.index(&after);
            } else {
                self.index_again(&before, &after);
            }
            self.changed.insert(task, VoiceChange::Changed(task));
            self.tasks.insert(task, after);
        }
        outputs
    }

    /// When the earliest deadline of any voice task is.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Handles all deadlines that have passed, in their order.
    pub fn tick(&mut self, now: Timestamp) -> Vec<(TaskSid, Vec<Output>)> {
        let due: Vec<TaskSid> = self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, task)| *task).collect();
        due.into_iter()
            .map(|task| (task, self.handle(task, &Input::Tick, now)))
            .filter(|(_, outputs)| !outputs.is_empty())
            .collect()
    }

    /// The record of a task.
    #[must_use]
    pub fn task(&self, task: TaskSid) -> Option<&VoiceTask> {
        self.tasks.get(&task).map(Arc::as_ref)
    }

    /// The record of a task, to keep as it is now.
    #[must_use]
    pub fn shared_task(&self, task: TaskSid) -> Option<&Arc<VoiceTask>> {
        self.tasks.get(&task)
    }

    /// The task to which a caller's call belongs now; a call that comes back after its task gets a new one (V36).
    #[must_use]
    pub fn live_task_of_call(&self, call: &CallSid) -> Option<TaskSid> {
        let tasks = self.by_call.get(call)?;
        tasks.iter().copied().find(|task| self.tasks.get(task).is_some_and(|task| task.holds_caller()))
    }

    /// Whether a reservation can be connected.
    #[must_use]
    pub fn can_instruct(&self, task: TaskSid, reservation: ReservationSid) -> Instructable {
        let Some(task) = self.tasks.get(&task) else { return Instructable::NoCall };
        if !task.holds_caller() {
            return Instructable::CallerGone;
        }
        if let Some(redirected) = task.redirection() {
            let same = redirected == reservation;
            return if same { Instructable::AlreadyConnecting } else { Instructable::OtherConnecting };
        }
        match &task.connecting {
            Some(connecting) if connecting.reservation == reservation => Instructable::AlreadyConnecting,
            Some(_) => Instructable::OtherConnecting,
            None if task.is_accepted() && task.handing.is_none() => Instructable::OtherConnecting,
            None => Instructable::Yes,
        }
    }

    /// Whether a call that waits in a task can have a callback instead.
    #[must_use]
    pub fn recallable(&self, task: TaskSid, call: &CallSid) -> Recallable {
        self.tasks.get(&task).map_or(Recallable::No, |task| task.recallable(call))
    }

    /// Drops a task that the routing core has removed.
    pub fn forget(&mut self, task: TaskSid) {
        if let Some(gone) = self.tasks.remove(&task) {
            self.unindex(&gone);
            self.changed.insert(task, VoiceChange::Forgotten(task));
        }
    }

    /// Has every task that is not closed looked at, beginning now and `spacing_ms` apart: for the start of the server,
    /// when callbacks may have been missed.
    pub fn look_at_all(&mut self, now: Timestamp, spacing_ms: i64) {
        let live: Vec<TaskSid> =
            self.tasks.values().filter(|task| task.state != VoiceState::Closed).map(|task| task.task).collect();
        let mut at = now;
        for sid in live {
            let Some(mut task) = self.tasks.remove(&sid) else { continue };
            self.unindex(&task);
            let silence = task.deadlines.silence.map_or(at, |earlier| earlier.min(at));
            Arc::make_mut(&mut task).deadlines.silence = Some(silence);
            self.index(&task);
            self.tasks.insert(sid, task);
            self.changed.insert(sid, VoiceChange::Changed(sid));
            at = at.plus_ms(spacing_ms);
        }
    }

    /// Whether a call is one of a live task of the workspace: a caller, or the leg of a worker or guest.
    #[must_use]
    pub fn knows_live_call(&self, task: TaskSid, call: &CallSid) -> bool {
        let leg_of = |record: &VoiceTask| {
            record.legs.iter().any(|leg| leg.call.as_ref() == Some(call) && leg.state != LegState::Ended)
        };
        self.live_task_of_call(call).is_some() || self.tasks.get(&task).is_some_and(|record| leg_of(record))
    }

    /// What changed since the last call, each task once, by SID.
    pub fn take_changes(&mut self) -> Vec<VoiceChange> {
        std::mem::take(&mut self.changed).into_values().collect()
    }

    /// All records, by SID.
    pub fn tasks(&self) -> impl Iterator<Item = &VoiceTask> {
        self.tasks.values().map(Arc::as_ref)
    }

    fn index(&mut self, task: &VoiceTask) {
        if let Some(at) = task.next_deadline() {
            self.due.insert((at, task.task));
        }
        if task.holds_caller() && !task.call.0.is_empty() {
            self.by_call.entry(task.call.clone()).or_default().insert(task.task);
        }
    }

    /// Corrects what is indexed of a task; most of what happens moves neither its caller nor its next deadline.
    fn index_again(&mut self, before: &VoiceTask, after: &VoiceTask) {
        let (was_due, due) = (before.next_deadline(), after.next_deadline());
        if before.holds_caller() != after.holds_caller() || before.call != after.call {
            self.unindex(before);
            self.index(after);
        } else if was_due != due {
            if let Some(at) = was_due {
                self.due.remove(&(at, before.task));
            }
            self.due.extend(due.map(|at| (at, after.task)));
        }
    }

    fn unindex(&mut self, task: &VoiceTask) {
        if let Some(at) = task.next_deadline() {
            self.due.remove(&(at, task.task));
        }
        if let Some(tasks) = self.by_call.get_mut(&task.call) {
            tasks.remove(&task.task);
            if tasks.is_empty() {
                self.by_call.remove(&task.call);
            }
        }
    }
}
