//! Both pure cores of one workspace, coupled: what one decides becomes input of the other, within one commit.
//!
//! Still pure: no I/O, no clock; public so that simulations can drive it. The actor calls [`Cores::carry_out`] for each
//! request of a batch and then takes everything that is to be written with [`Cores::take_batch`]. Start with [`Cores::carry_out`].

#[path = "cores/access.rs"]
mod access;
#[path = "cores/alerts.rs"]
mod alerts;
#[path = "cores/assignments.rs"]
mod assignments;
#[path = "cores/callbacks.rs"]
mod callbacks;
#[path = "cores/dialling.rs"]
mod dialling;
#[path = "cores/instructions.rs"]
mod instructions;
#[path = "cores/legs.rs"]
mod legs;
#[path = "cores/relays.rs"]
mod relays;
#[path = "cores/unreadable.rs"]
mod unreadable;
#[path = "cores/voicemails.rs"]
mod voicemails;
#[path = "cores/without_rooms.rs"]
mod without_rooms;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::calls::policy::{ALERT_REPAIRED, Policy};
use crate::calls::voice_task::VoiceTask;
use crate::calls::{Calls, Input, LegTarget, Output, PhoneCommand, Repair, VoiceChange, VoiceState};
use crate::routing::command::{ChannelName, Instruction, NewTask, NewTransfer, NewWorkspace, ReservationParent};
use crate::routing::defect::defect;
use crate::routing::{
    AccountSid, AlertSid, Command, Done, EventKind, EventRecord, MeasuredWait, Refusal, Reply, ReservationSid,
    RowChange, SidSource, TaskSid, TaskStatus, Timestamp, WorkflowSid, Workspace, WorkspaceSid,
};
use crate::store::{
    Alert, Batch, IdempotencyKey, IdempotentRequest, Loaded, OpenCallback, OutboxRow, RelayRow, VoiceRecord,
    VoiceTaskRow,
};

pub use assignments::Assignment;
pub use unreadable::Unreadable;

use super::calendars;
use super::limits::Limits;
use super::moment::Moments;
use super::outgoing::OutgoingLegs;
use super::request::Request;
use super::voice_queue::VoiceQueues;
use alerts::{Refs, row_refs};
use instructions::How;
use voicemails::Voicemails;

/// Spacing of the first looks at live calls after a start, in milliseconds.
const LOOK_SPACING_MS: i64 = 20;

/// How long the calls of a removed task are kept after their end, in seconds: as long as finished tasks.
const LEFTOVER_SECS: u32 = 300;

/// Rounds of the coupling within one request; each round ends a leg, a reservation or a task, so few are needed.
const ROUNDS_MAX: usize = 1_000;

/// A command to the phone system that is on disk, or about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// The task it belongs to.
    pub task: TaskSid,
    /// Its number within the task.
    pub number: u32,
    /// What to do.
    pub command: PhoneCommand,
    /// It was on disk before this start: an earlier attempt may have reached the phone system.
    pub repeated: bool,
}

/// Both cores of one workspace.
pub struct Cores {
    workspace: Workspace,
    calls: Calls,
    sid: WorkspaceSid,
    account: AccountSid,
    /// `last_sequence` on disk.
    written_sequence: u64,
    events: Vec<EventRecord>,
    errands: Vec<Errand>,
    errands_done: Vec<(TaskSid, u32)>,
    alerts: Vec<Alert>,
    /// Reservations whose assignment callback has no outcome yet, on disk.
    open_callbacks: BTreeSet<ReservationSid>,
    /// Those that are new, not on disk yet.
    callbacks_opened: Vec<OpenCallback>,
    /// Those that are over, still on disk.
    callbacks_closed: Vec<ReservationSid>,
    /// Those of the last batch, to be sent once it is on disk.
    callbacks_to_send: Vec<ReservationSid>,
    /// Callbacks to pass on: new ones, and those of the last batch.
    relays: Vec<RelayRow>,
    relays_to_send: Vec<RelayRow>,
    voicemails: Voicemails,
    /// Requests that their clients may repeat, carried out since the last batch.
    idempotent_requests: Vec<IdempotentRequest>,
    waits: Vec<MeasuredWait>,
    /// What looks at the phone system have made good since the last batch.
    repairs: Vec<Repair>,
    /// Calls of tasks that are gone, and when they are forgotten.
    leftovers: BTreeSet<(Timestamp, TaskSid)>,
    voice_queues: VoiceQueues,
    callback_queues: VoiceQueues,
    outgoing: OutgoingLegs,
    limits: Limits,
    /// The phone system does not take our credentials.
    denial: Option<access::Denial>,
    moments: Moments,
    now: Timestamp,
}

impl Cores {
    /// A new workspace, not on disk yet.
    pub fn create(
        account: AccountSid,
        new: &NewWorkspace,
        now: Timestamp,
        sids: &mut dyn SidSource,
    ) -> Result<Self, Refusal> {
        let (workspace, done) = Workspace::create(account, new, now, sids)?;
        let mut cores = Self::around(workspace, Calls::default(), now);
        cores.written_sequence = 0;
        cores.events = done.events;
        Ok(cores)
    }

    /// A workspace as it was on disk, with the phone commands that are still open.
    pub fn restore(loaded: Loaded, now: Timestamp) -> Result<(Self, Vec<Errand>), Unreadable> {
        let mut workspace = Workspace::restore(loaded.rows)?;
        for row in &loaded.calendars {
            if let Some(hours) = calendars::read(row) {
                workspace.put_calendar(row.sid, hours);
            }
        }
        let mut voice_tasks = Vec::with_capacity(loaded.voice_tasks.len());
        for row in loaded.voice_tasks {
            let task: VoiceTask = serde_json::from_str(&row.state.json())
                .map_err(|error| Unreadable::VoiceTask { task: row.task, error })?;
            voice_tasks.push(task);
        }
        let mut errands = Vec::with_capacity(loaded.outbox.len());
        for row in loaded.outbox {
            let command = serde_json::from_str(&row.command).map_err(|error| Unreadable::PhoneCommand {
                task: row.task,
                number: row.number,
                error,
            })?;
            errands.push(Errand { task: row.task, number: row.number, command, repeated: !defect!(RepeatedBlindly) });
        }
        let tasks: Vec<TaskSid> = voice_tasks.iter().map(|task| task.task).collect();
        let mut cores = Self::around(workspace, Calls::restore(voice_tasks), now);
        for task in tasks {
            cores.note_leftover(task);
            cores.note_in_voice_queue(task);
        }
        cores.open_callbacks = loaded.open_callbacks.iter().map(|callback| callback.reservation).collect();
        cores.voicemails = Voicemails::restore(loaded.voicemails);
        Ok((cores, errands))
    }

    fn around(workspace: Workspace, calls: Calls, now: Timestamp) -> Self {
        let settings = workspace.settings();
        let moments = Moments::beginning(now, settings.last_change_at);
        Self {
            sid: settings.sid,
            account: settings.account,
            written_sequence: settings.last_sequence,
            workspace,
            calls,
            events: Vec::new(),
            errands: Vec::new(),
            errands_done: Vec::new(),
            alerts: Vec::new(),
            open_callbacks: BTreeSet::new(),
            callbacks_opened: Vec::new(),
            callbacks_closed: Vec::new(),
            callbacks_to_send: Vec::new(),
            relays: Vec::new(),
            relays_to_send: Vec::new(),
            voicemails: Voicemails::default(),
            idempotent_requests: Vec::new(),
            waits: Vec::new(),
            repairs: Vec::new(),
            leftovers: BTreeSet::new(),
            voice_queues: VoiceQueues::default(),
            callback_queues: VoiceQueues::default(),
            outgoing: OutgoingLegs::default(),
            limits: Limits::default(),
            denial: None,
            moments,
            now: moments.at(now),
        }
    }

    /// Sets limits other than the usual ones.
    pub fn keep_within(&mut self, limits: Limits) {
        let policy = Policy {
            cold_transfer_failure: limits.cold_transfer_failure,
            end_room_when_customer_left: limits.end_room_when_customer_left,
            customer_alone_ms: i64::from(limits.customer_alone_secs) * 1_000,
            on_cancel_release_caller: limits.on_cancel_release_caller,
            leg_ms: i64::from(limits.dialling.leg_secs) * 1_000,
            calls_take_turns: limits.calls_take_turns,
            room_callbacks: limits.room_callbacks,
            rooms: limits.rooms,
            choices: limits.choices,
            ..Policy::DEFAULT
        };
        self.calls.set_policy(policy.looking_after(limits.look_after_secs));
        self.workspace.hold_at_most(limits.resources);
        self.workspace.limit_connect_failures(limits.connect_failure_limit);
        self.limits = limits;
    }

    /// The workspace.
    pub fn sid(&self) -> WorkspaceSid {
        self.sid
    }

    /// The routing core, to look at.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// The calls core, to look at.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The workspace's time when the machine's clock shows `clock`; all that happens is told this.
    ///
    /// It is the clock's, unless that was behind the newest change at the start.
    pub fn moment(&self, clock: Timestamp) -> Timestamp {
        if defect!(ClockFollowedBack) { clock } else { self.moments.at(clock) }
    }

    /// Fingerprint of everything that is also on disk: equal for equal rows, whenever and wherever it is computed.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.workspace.rows().hash(&mut hasher);
        for task in self.calls.tasks() {
            serde_json::to_string(task).expect("voice tasks have text keys only").hash(&mut hasher);
        }
        self.voicemails.tasks().hash(&mut hasher);
        hasher.finish()
    }

    /// After a start: has every live call looked at, because callbacks may have been missed.
    pub fn look_at_calls(&mut self, now: Timestamp) {
        self.calls.look_at_all(now, LOOK_SPACING_MS);
    }

    /// After a start of the server: nobody has an open socket yet.
    pub fn forget_sockets(&mut self, now: Timestamp, sids: &mut dyn SidSource) {
        let now = self.moment(now);
        if self.workspace.presences().next().is_some() {
            // Never refused.
            let _ = self.carry_out(&Request::Routing(Command::ForgetSockets), now, sids);
        }
    }

    /// When the earliest deadline of either core is.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let leftovers = self.leftovers.first().map(|(at, _)| *at);
        [self.workspace.next_deadline(), self.calls.next_deadline(), leftovers].into_iter().flatten().min()
    }

    /// Carries out one request; a refusal changes nothing.
    pub fn carry_out(&mut self, request: &Request, now: Timestamp, sids: &mut dyn SidSource) -> Result<Reply, Refusal> {
        self.now = now;
        match request {
            Request::Routing(Command::Tick) => {
                self.tick(now, sids);
                Ok(Reply::Done)
            }
            Request::Routing(Command::CreateTransfer(new)) => {
                self.check_transfer(new.task)?;
                // Whoever is in the room has handed the task on when the leg has left it, not before.
                let target = LegTarget::Worker(new.reservation);
                let in_room = self.calls.task(new.task).is_some_and(|record| record.leg_in_room(&target).is_some());
                self.route(&Command::CreateTransfer(NewTransfer { in_room, ..new.clone() }), sids)
            }
            Request::Routing(Command::DeleteWorkspace) => {
                self.check_calls_over()?;
                self.route(&Command::DeleteWorkspace, sids)
            }
            Request::Routing(command) => self.route(command, sids),
            Request::EnqueueCall { .. } => self.enqueue_call(request, sids),
            Request::Instruct { parent, reservation, instruction, if_match } => {
                self.instruct(*parent, *reservation, instruction, *if_match, sids)
            }
            Request::WorkerCall { reservation, call, options } => {
                self.connect(ReservationParent::Any, *reservation, How::Leg(call), options, sids)
            }
            Request::AssignmentAnswered { reservation, answer } => {
                Ok(self.answer_assignment(*reservation, answer, sids))
            }
            Request::CallBack { task, call, to, terms } => self.call_back(*task, call, to, *terms, sids),
            Request::Voicemail { recording, new } => self.take_message(recording, new, sids),
            Request::Leg { task, by, wish } => self.change_leg(*task, *by, wish, sids),
            Request::Heard { task, input, heard } => {
                self.take_in(*task, input.as_ref(), heard, sids);
                Ok(Reply::Done)
            }
            Request::Caller { call, input } => {
                if let Some(task) = self.calls.live_task_of_call(call) {
                    self.run(VecDeque::from([(task, input.clone())]), sids);
                }
                Ok(Reply::Done)
            }
            Request::PhoneAccess(access) => {
                self.take_access(access, sids);
                Ok(Reply::Done)
            }
            Request::Call { task, input } => {
                if let Input::CommandDone { number, .. } = input {
                    self.errands_done.push((*task, *number));
                }
                self.run(VecDeque::from([(*task, input.clone())]), sids);
                Ok(Reply::Done)
            }
        }
    }

    /// Has the request that was just carried out written with what it changed, so that its repeats are known.
    pub fn remember(&mut self, key: IdempotencyKey, reply: Reply) {
        let request = IdempotentRequest { key, workspace: self.sid, reply, answer: None, at: self.now };
        self.idempotent_requests.push(request);
    }

    fn route(&mut self, command: &Command, sids: &mut dyn SidSource) -> Result<Reply, Refusal> {
        self.check_written(command)?;
        let done = self.workspace.handle(command, self.now, sids)?;
        let reply = done.reply;
        let inputs = self.absorb(done, None);
        self.run(inputs, sids);
        Ok(reply)
    }

    /// Lets both cores do what has become due.
    pub fn tick(&mut self, now: Timestamp, sids: &mut dyn SidSource) {
        self.now = now;
        if self.workspace.next_deadline().is_some_and(|at| at <= now)
            && let Ok(done) = self.workspace.handle(&Command::Tick, now, sids)
        {
            let inputs = self.absorb(done, None);
            self.run(inputs, sids);
        }
        self.drop_leftovers();
        for (task, outputs) in self.calls.tick(now) {
            self.note_in_voice_queue(task);
            let mut inputs = VecDeque::new();
            self.carry_out_outputs(task, outputs, &mut inputs, sids);
            self.run(inputs, sids);
        }
    }

    /// A call belongs to one live task: a repeated webhook gets the same one (V36).
    fn enqueue_call(&mut self, request: &Request, sids: &mut dyn SidSource) -> Result<Reply, Refusal> {
        let Request::EnqueueCall { workflow, call, from, to, attributes, priority, timeout_secs, park } = request
        else {
            return Ok(Reply::Done);
        };
        if let Some(task) = self.calls.live_task_of_call(call) {
            return Ok(Reply::Task(task));
        }
        self.check_voice_queue(*workflow)?;
        // TaskRouter: voice tasks are on channel `voice`, except in single-tasking workspaces.
        let channel = if self.workspace.settings().multi_task_enabled { "voice" } else { "default" };
        let command = Command::CreateTask(NewTask {
            workflow: Some(*workflow),
            channel: Some(ChannelName::Unique(channel.to_owned())),
            priority: *priority,
            timeout_secs: *timeout_secs,
            not_before: self.calls_not_before(),
            ..NewTask::with_attributes(attributes.clone())
        });
        let done = self.workspace.handle(&command, self.now, sids)?;
        let reply = done.reply;
        let Reply::Task(task) = reply else { return Ok(reply) };
        self.note_held(task);
        let input = Input::Enqueued { call: call.clone(), from: from.clone(), to: to.clone(), park: park.clone() };
        let mut inputs = VecDeque::from([(task, input)]);
        inputs.append(&mut self.absorb(done, None));
        self.run(inputs, sids);
        Ok(reply)
    }

    /// A workflow's voice queue takes no more calls than its size (TaskRouter: resource limits).
    fn check_voice_queue(&self, workflow: WorkflowSid) -> Result<(), Refusal> {
        let limit = usize::try_from(self.limits.waiting_calls).unwrap_or(usize::MAX);
        if self.voice_queues.waiting(workflow) < limit {
            return Ok(());
        }
        Err(Refusal::VoiceQueueFull { workflow, limit })
    }

    /// Counts a call among those that wait for their workflow's workers, or no more, and the legs that were dialled for
    /// it; to be asked whenever the task or the call has changed.
    fn note_in_voice_queue(&mut self, task: TaskSid) {
        let record = self.calls.task(task).filter(|record| record.holds_caller());
        let row = self.workspace.task(task).filter(|row| {
            let unanswered = matches!(row.status, TaskStatus::Pending | TaskStatus::Reserved);
            unanswered && row.transfer.is_none()
        });
        let workflow = row.and_then(|row| row.workflow);
        let waits_on_the_line = record.is_some_and(|record| !record.outbound);
        let is_called_back = record.is_some_and(|record| record.callback.is_some());
        self.voice_queues.note(task, workflow.filter(|_| waits_on_the_line));
        self.callback_queues.note(task, workflow.filter(|_| is_called_back));
        self.outgoing.note(task, self.calls.task(task));
    }

    /// Whether the calls that wait are counted as they would be by a second copy.
    pub fn counts_calls_like(&self, other: &Self) -> bool {
        self.voice_queues == other.voice_queues
            && self.callback_queues == other.callback_queues
            && self.outgoing.counts_like(&other.outgoing)
    }

    /// Feeds inputs to the calls core and carries out what it wants, until neither core has anything left to say.
    fn run(&mut self, mut inputs: VecDeque<(TaskSid, Input)>, sids: &mut dyn SidSource) {
        let mut rounds = 0;
        while let Some((task, input)) = inputs.pop_front() {
            rounds += 1;
            if rounds > ROUNDS_MAX {
                return;
            }
            let outputs = self.calls.handle(task, &input, self.now);
            self.note_in_voice_queue(task);
            self.carry_out_outputs(task, outputs, &mut inputs, sids);
        }
    }

    fn carry_out_outputs(
        &mut self,
        task: TaskSid,
        outputs: Vec<Output>,
        inputs: &mut VecDeque<(TaskSid, Input)>,
        sids: &mut dyn SidSource,
    ) {
        for output in outputs {
            let command = match output {
                Output::Phone { number, command } => {
                    if !self.let_dial(task, number, &command, inputs) {
                        continue;
                    }
                    self.errands.push(Errand { task, number, command, repeated: false });
                    continue;
                }
                Output::Alert { code, message, reservation } => {
                    self.alert(code, message, Refs { task: Some(task), reservation, worker: None });
                    continue;
                }
                Output::Repaired(repaired) => {
                    let refs = Refs { task: Some(task), reservation: repaired.reservation, worker: None };
                    self.alert(ALERT_REPAIRED, repaired.to_string(), refs);
                    self.repairs.push(repaired.repair);
                    continue;
                }
                Output::BeginConnecting(reservation) => {
                    Command::BeginConnecting { reservation, instruction: Instruction::Conference }
                }
                Output::Accept(reservation) => Command::AcceptConnected(reservation),
                Output::FailConnecting { reservation, code, not_before, missed } => {
                    Command::FailConnecting { reservation, reason_code: code, not_before, missed }
                }
                Output::EndCaller { reason } => Command::EndCaller { task, reason },
                Output::EndWork(reservation) => {
                    self.end_work(task, reservation, inputs, sids);
                    continue;
                }
                Output::AskQueue(reservation) => match self.back_to_queue(task, reservation) {
                    Some(command) => command,
                    None => continue,
                },
                Output::MergeAttributes(attributes) => Command::MergeTaskAttributes { task, attributes },
            };
            // A refusal means that the routing core was faster (the task ended, the reservation is not pending any
            // more); it has told the calls core already, or does so in this very round.
            if let Ok(done) = self.workspace.handle(&command, self.now, sids) {
                inputs.append(&mut self.absorb(done, Some(&command)));
            }
        }
    }

    /// Keeps the events and alerts and says what the calls core has to hear of them; not what it asked for itself.
    fn absorb(&mut self, mut done: Done, asked: Option<&Command>) -> VecDeque<(TaskSid, Input)> {
        let mut inputs = VecDeque::new();
        for event in &done.events {
            self.note_reservation(event);
            let Some(task) = event.about.task.filter(|task| self.calls.task(*task).is_some()) else { continue };
            self.note_in_voice_queue(task);
            let input = match event.kind {
                EventKind::ReservationRejected
                | EventKind::ReservationTimeout
                | EventKind::ReservationCanceled
                | EventKind::ReservationRescinded => {
                    event.about.reservation.map(|reservation| Input::ReservationEnded { reservation })
                }
                EventKind::ReservationAccepted => {
                    let connected = matches!(asked, Some(Command::AcceptConnected(_)));
                    event.about.reservation.filter(|_| !connected).map(Input::TakenElsewhere)
                }
                EventKind::ReservationWrapup | EventKind::ReservationCompleted => {
                    let held = |of: &ReservationSid| {
                        self.calls.task(task).is_some_and(|record| record.held_apart.contains(of))
                    };
                    event.about.reservation.filter(held).map(Input::DoneElsewhere)
                }
                EventKind::TaskTransferInitiated => event.about.reservation.map(|reservation| Input::TransferBegan {
                    reservation,
                    cold: event.data.get("transfer_mode").is_some_and(|mode| mode.eq_ignore_ascii_case("COLD")),
                }),
                EventKind::TaskTransferCompleted | EventKind::TaskTransferCanceled => {
                    Some(Input::TransferOver { failed: false })
                }
                EventKind::TaskTransferFailed => {
                    let row = self.workspace.task(task);
                    let failed = row.is_some_and(|row| row.status == TaskStatus::Assigned);
                    Some(Input::TransferOver { failed })
                }
                EventKind::TaskCanceled => Some(Input::TaskEnded { canceled: true }),
                EventKind::TaskCompleted | EventKind::TaskSystemDeleted => Some(Input::TaskEnded { canceled: false }),
                EventKind::TaskDeleted => {
                    let waited = matches!(event.about.task_status, Some(TaskStatus::Pending | TaskStatus::Reserved));
                    Some(Input::TaskEnded { canceled: waited })
                }
                _ => None,
            };
            if let Some(input) = input.filter(|input| !was_asked(asked, task, input)) {
                inputs.push_back((task, input));
            }
        }
        if self.events.is_empty() {
            self.events = done.events;
        } else {
            self.events.append(&mut done.events);
        }
        self.waits.append(&mut done.waits);
        for alert in done.alerts {
            self.alert(alert.code, alert.message, Refs { task: alert.task, reservation: None, worker: None });
        }
        inputs
    }

    /// Everything to write since the last call, and the phone commands among it; `None` when nothing changed.
    pub fn take_batch(&mut self, sids: &mut dyn SidSource) -> Option<(Batch, Vec<Errand>)> {
        let rows = self.workspace.take_changes();
        for row in &rows {
            if let RowChange::TaskDeleted(task) = row {
                self.note_leftover(*task);
            }
        }
        let errands = std::mem::take(&mut self.errands);
        let mut batch = Batch::empty(self.sid, self.written_sequence);
        batch.rows = rows;
        batch.events = std::mem::take(&mut self.events);
        batch.outbox_done = std::mem::take(&mut self.errands_done);
        batch.alerts = std::mem::take(&mut self.alerts);
        (batch.callbacks_opened, batch.callbacks_closed) = self.take_callbacks();
        batch.relays = self.take_relay_rows();
        (batch.voicemails, batch.voicemails_forgotten) = self.voicemails.take_changes();
        batch.idempotent_requests = std::mem::take(&mut self.idempotent_requests);
        for alert in &mut batch.alerts {
            alert.sid = AlertSid::fresh(sids, self.now);
        }
        let mut open: BTreeMap<(TaskSid, u32), OutboxRow> = BTreeMap::new();
        for errand in &errands {
            let command = serde_json::to_string(&errand.command).expect("phone commands have text keys only");
            let row =
                OutboxRow { task: errand.task, number: errand.number, command, attempts: 0, created_at: self.now };
            open.insert((errand.task, errand.number), row);
        }
        batch.outbox_added = open.into_values().collect();
        for change in self.calls.take_changes() {
            match change {
                VoiceChange::Changed(task) => {
                    self.note_in_voice_queue(task);
                    self.note_leftover(task);
                    batch.voice_tasks.extend(self.voice_row(task));
                }
                VoiceChange::Forgotten(task) => {
                    self.note_in_voice_queue(task);
                    batch.voice_tasks_deleted.push(task);
                }
            }
        }
        if batch.is_empty() {
            return None;
        }
        self.written_sequence = self.workspace.settings().last_sequence;
        Some((batch, errands))
    }

    /// Marks the calls of a task that is gone from the routing core for removal, once no leg of them lives.
    ///
    /// They stay for a while: a caller whose task was deleted still has to be let go, and the phone system asks for
    /// the document of that by the task's SID.
    fn note_leftover(&mut self, task: TaskSid) {
        let closed = self.calls.task(task).is_some_and(|record| record.state == VoiceState::Closed);
        if closed && self.workspace.task(task).is_none() {
            self.leftovers.insert((self.now.plus_secs(LEFTOVER_SECS), task));
        }
    }

    fn drop_leftovers(&mut self) {
        while let Some((at, task)) = self.leftovers.first().copied() {
            if at > self.now {
                return;
            }
            self.leftovers.remove(&(at, task));
            self.calls.forget(task);
        }
    }

    /// The waits that were over and had an estimate since the last call.
    pub fn take_waits(&mut self) -> Vec<MeasuredWait> {
        std::mem::take(&mut self.waits)
    }

    /// What looks have made good since the last call.
    pub fn take_repairs(&mut self) -> Vec<Repair> {
        std::mem::take(&mut self.repairs)
    }

    fn voice_row(&self, task: TaskSid) -> Option<VoiceTaskRow> {
        let record = self.calls.shared_task(task)?;
        Some(VoiceTaskRow {
            task,
            workspace: self.sid,
            call: record.awaited_call().map(|call| call.0.clone()),
            closed: record.state == VoiceState::Closed,
            conference: record.conference.clone(),
            state: VoiceRecord::Shared(Arc::clone(record)),
            updated_at: self.now,
        })
    }

    /// Whether the workspace was deleted.
    pub fn is_deleted(&self) -> bool {
        self.workspace.is_deleted()
    }
}

/// Whether the calls core asked for exactly this.
fn was_asked(asked: Option<&Command>, task: TaskSid, input: &Input) -> bool {
    match (asked, input) {
        (Some(Command::FailConnecting { reservation, .. }), Input::ReservationEnded { reservation: ended }) => {
            reservation == ended
        }
        (Some(Command::EndCaller { .. }), Input::TransferOver { .. }) => false,
        (Some(Command::EndCaller { task: ended, .. }), _) => *ended == task,
        _ => false,
    }
}
