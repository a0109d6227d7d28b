//! Callers, workers and applications: new tasks, answers to offers, changes of activity, hanging up.

use switchhook::calls::{
    Announcement, CallSid, CallbackTerms, ConferenceOptions, ConnectBy, LegTarget, LegUpdate, Park, SuperviseMode,
};
use switchhook::engine::Request;
use switchhook::engine::request::{CallRedirect, LegWish, ReservationInstruction, Supervision, WorkerCall};
use switchhook::routing::command::{
    ChannelName, Connection, Instruction, NewTask, NewTransfer, NewWorker, PresenceReport, ReservationChange,
    ReservationParent, TaskUpdate, WorkerUpdate,
};
use switchhook::routing::{
    Command, Reply, Reservation, ReservationSid, ReservationStatus, RoutingTarget, TaskSid, TaskStatus, TransferMode,
    TransferTarget, WorkerSid,
};

use super::{Waiting, World, relays};
use crate::dice::Dice;
use crate::phone::{Call, Place};

/// Tasks that are not finished at one time.
const LIVE_TASKS_MAX: usize = 24;

/// Workers beyond this number are made seldom.
const WORKERS_FEW: usize = 4;

impl World {
    pub(super) fn attributes(&self, dice: &mut Dice) -> String {
        let kind = dice.one(["a", "b", "c"]);
        let level = dice.below(4);
        let worker = dice.pick_of(&self.watch.stored.workers).map_or("nobody".to_owned(), |row| row.sid.to_string());
        let name = dice.one(["w0", "w1", "w2", "W3", "w9"]);
        format!(r#"{{"kind":"{kind}","level":{level},"sid":"{worker}","name":"{name}"}}"#)
    }

    fn worker_attributes(&self, dice: &mut Dice) -> String {
        let contact = if dice.one_in(12) { "" } else { r#","contact_uri":"client:w""# };
        let mut text = self.attributes(dice);
        text.pop();
        format!("{text}{contact}}}")
    }

    pub(super) fn channel(dice: &mut Dice) -> ChannelName {
        ChannelName::Unique(dice.one(["default", "voice", "chat"]).to_owned())
    }

    pub(super) fn new_task(&mut self, dice: &mut Dice) -> Result<(), String> {
        let stored = &self.watch.stored;
        if stored.live_tasks() >= LIVE_TASKS_MAX
            && let Some(task) = dice.pick_of(&stored.tasks).map(|row| row.sid)
        {
            return self.command(Command::DeleteTask { task, if_match: None }, dice).map(|_| ());
        }
        if let Some(call) = self.again.pop() {
            return self.enqueue(call, dice);
        }
        if dice.one_in(3) {
            let call = self.phone.fresh_call();
            return self.enqueue(call, dice);
        }
        let target = match dice.below(12) {
            0 => dice.pick_of(&stored.workers).map(|row| RoutingTarget::Worker(row.sid)),
            1 => dice.pick_of(&stored.task_queues).map(|row| RoutingTarget::TaskQueue(row.sid)),
            2 => dice.pick_of(&stored.workflows).map(|row| RoutingTarget::Workflow(row.sid)),
            _ => None,
        };
        let start = match dice.below(10) {
            0 | 1 => Some(self.now.plus_ms(-1_000)),
            // Equal ones: what was created first comes first.
            2 | 3 => Some(switchhook::routing::Timestamp(1_789_000_000_000)),
            _ => None,
        };
        let mut attributes = self.attributes(dice);
        if dice.one_in(6) {
            attributes.pop();
            attributes.push_str(r#","from":"+15550001","outbound_to":"+15550004"}"#);
        }
        let command = Command::CreateTask(NewTask {
            workflow: dice.pick_of(&stored.workflows).map(|row| row.sid),
            channel: Some(Self::channel(dice)),
            priority: i32::try_from(dice.below(3)).ok(),
            timeout_secs: if dice.one_in(3) { Some(dice.small(1, 100)) } else { None },
            virtual_start_at: start,
            routing_target: target,
            ignore_capacity: if dice.one_in(2) { Some(false) } else { None },
            ..NewTask::with_attributes(attributes)
        });
        self.command(command, dice).map(|_| ())
    }

    /// A voice webhook, and sometimes its repetition: one task comes of both.
    fn enqueue(&mut self, call: switchhook::calls::CallSid, dice: &mut Dice) -> Result<(), String> {
        let Some(workflow) = dice.pick_of(&self.watch.stored.workflows).map(|row| row.sid) else { return Ok(()) };
        let park = Park {
            action: if dice.one_in(2) { Some("https://example.com/after".to_owned()) } else { None },
            ..Park::default()
        };
        let request = Request::EnqueueCall {
            workflow,
            call: call.clone(),
            from: "+15550001".to_owned(),
            to: if dice.one_in(20) { String::new() } else { "+15550002".to_owned() },
            attributes: self.attributes(dice),
            priority: i32::try_from(dice.below(3)).ok(),
            timeout_secs: if dice.one_in(3) { Some(dice.small(1, 100)) } else { None },
            park,
        };
        let Ok(Reply::Task(task)) = self.request(&request, dice)? else { return Ok(()) };
        self.waiting.push(Waiting::Enqueued { call, task });
        if dice.one_in(10) {
            let again = self.request(&request, dice)?;
            let ended = self.cores.calls().task(task).is_none_or(|record| !record.holds_caller());
            if again != Ok(Reply::Task(task)) && !ended {
                return Err(format!("a repeated webhook got {again:?} instead of {task}"));
            }
            if let Ok(Reply::Task(other)) = again
                && other != task
            {
                // The first task had ended within its creation.
                self.waiting.pop();
                if let Request::EnqueueCall { call, .. } = request {
                    self.waiting.push(Waiting::Enqueued { call, task: other });
                }
            }
        }
        Ok(())
    }

    pub(super) fn change_task(&mut self, dice: &mut Dice) -> Result<(), String> {
        let Some(row) = dice.pick_of(&self.watch.stored.tasks) else { return Ok(()) };
        let (task, version) = (row.sid, row.version);
        let mut update = TaskUpdate { if_match: dice.one_in(8).then_some(version), ..TaskUpdate::default() };
        match dice.below(16) {
            0..5 => update.attributes = Some(self.attributes(dice)),
            5..7 => update.priority = i32::try_from(dice.below(5)).ok(),
            7..9 => update.virtual_start_at = Some(self.now.plus_ms(-5_000)),
            9..11 => update.channel = Some(Self::channel(dice)),
            11..13 => {
                update.status = Some(dice.one([TaskStatus::Canceled, TaskStatus::Wrapping, TaskStatus::Completed]));
                update.reason = Some("over".to_owned());
            }
            13 if self.cores.calls().task(task).is_none() => {
                let reason = "hangup".to_owned();
                return self.command(Command::EndCaller { task, reason }, dice).map(|_| ());
            }
            13 => {}
            _ => {
                let if_match = if dice.one_in(2) { Some(3) } else { None };
                return self.command(Command::DeleteTask { task, if_match }, dice).map(|_| ());
            }
        }
        self.command(Command::UpdateTask(task, update), dice).map(|_| ())
    }

    /// A worker answers an offer, or goes on with what it has accepted; now and then one that is over.
    pub(super) fn answer_offer(&mut self, dice: &mut Dice) -> Result<(), String> {
        let stored = &self.watch.stored;
        let any = dice.one_in(15);
        let chosen: Vec<&Reservation> =
            if any { stored.reservations.values().collect() } else { stored.open_reservations().collect() };
        let Some(row) = dice.pick(&chosen) else { return Ok(()) };
        let (reservation, task, status) = (row.sid, row.task, row.status);
        let calls_out = stored.tasks.get(&task).is_some_and(|row| row.attributes.contains("outbound_to"));
        let is_call = self.cores.calls().task(task).is_some() || calls_out;
        let parent = match dice.below(4) {
            0 => ReservationParent::Worker(row.worker),
            1 => ReservationParent::Task(task),
            _ => ReservationParent::Any,
        };
        if is_call && status == ReservationStatus::Pending && !dice.one_in(4) {
            return self.take_call(parent, reservation, dice);
        }
        let activity = dice.pick_of(&stored.activities).map(|row| row.sid);
        let change = match dice.below(12) {
            0..3 => ReservationChange::Accept,
            3 => ReservationChange::Reject { activity: None },
            4 => ReservationChange::Reject { activity },
            5 => ReservationChange::Wrap,
            6..8 => ReservationChange::Complete,
            _ if is_call => ReservationChange::Complete,
            8 => {
                let command = Command::BeginConnecting { reservation, instruction: Instruction::Conference };
                return self.command(command, dice).map(|_| ());
            }
            9 => return self.command(Command::AcceptConnected(reservation), dice).map(|_| ()),
            10 => {
                let command =
                    Command::FailConnecting { reservation, reason_code: Some(31_486), not_before: None, missed: true };
                return self.command(command, dice).map(|_| ());
            }
            _ => return self.command(Command::EndWork(reservation), dice).map(|_| ()),
        };
        let command = Command::UpdateReservation { parent, reservation, change, if_match: None };
        self.command(command, dice).map(|_| ())
    }

    /// One of the instructions that connect a worker with the caller, or a call of the worker's own phone.
    fn take_call(
        &mut self,
        parent: ReservationParent,
        reservation: ReservationSid,
        dice: &mut Dice,
    ) -> Result<(), String> {
        let Some(task) = self.watch.stored.reservations.get(&reservation).map(|row| row.task) else { return Ok(()) };
        let options = ConferenceOptions {
            to: if dice.one_in(3) { Some("+15550003".to_owned()) } else { None },
            timeout_secs: dice.small(5, 30),
            end_conference_on_exit: dice.one_in(2),
            end_conference_on_customer_exit: dice.one_in(3),
            ..ConferenceOptions::default()
        };
        let dialled = ConferenceOptions { status_callback: relays::of_leg(reservation), ..options.clone() };
        let instruction = match dice.below(16) {
            0..9 => ReservationInstruction::Conference(Box::new(ConferenceOptions {
                by: if dice.one_in(4) { ConnectBy::Dequeue } else { ConnectBy::Conference },
                announcement: dice.one_in(6).then(|| Announcement { text: None, key: Some("1".to_owned()) }),
                conference_status_callback: relays::of_room(task),
                ..dialled
            })),
            9 | 10 => ReservationInstruction::Call(Box::new(WorkerCall {
                url: "https://example.com/worker".to_owned(),
                accept: dice.one_in(3),
                options: ConferenceOptions { by: ConnectBy::Call, from: Some("+15550006".to_owned()), ..dialled },
            })),
            11 => {
                let own = self.cores.calls().task(task).map(|record| record.call.clone());
                // Now and then the caller of another task.
                let call = own.filter(|_| !dice.one_in(6)).or_else(|| self.phone.any_live_call(dice));
                let is_leg = |call: &CallSid| self.phone.calls.get(call).is_some_and(|call| !call.is_caller());
                let Some(call) = call.filter(|call| !is_leg(call)) else { return Ok(()) };
                let (url, accept) = ("https://example.com/onward".to_owned(), dice.one_in(2));
                ReservationInstruction::Redirect(Box::new(CallRedirect { call, url, accept, of_sibling: false }))
            }
            _ => return self.take_by_own_phone(task, reservation, options, dice),
        };
        let on_answer = matches!(&instruction, ReservationInstruction::Call(call) if call.accept);
        let request = Request::Instruct { parent, reservation, instruction, if_match: None };
        if self.request(&request, dice)?.is_ok() && on_answer {
            self.accepts_on_answer.insert(reservation);
        }
        Ok(())
    }

    fn take_by_own_phone(
        &mut self,
        task: TaskSid,
        reservation: ReservationSid,
        options: ConferenceOptions,
        dice: &mut Dice,
    ) -> Result<(), String> {
        let call = self.phone.own_leg(task, reservation);
        let request = Request::WorkerCall { reservation, call: call.clone(), options };
        match self.request(&request, dice)? {
            Ok(_) => self.waiting.push(Waiting::WorkersLeg { call, task }),
            Err(_) => self.phone.hang_up(&call, self.now, dice),
        }
        Ok(())
    }

    /// Hands a task on, mostly one that is held, or takes a transfer back.
    pub(super) fn hand_on(&mut self, dice: &mut Dice) -> Result<(), String> {
        let stored = &self.watch.stored;
        let initiated: Vec<_> = stored.initiated_transfers().collect();
        if dice.one_in(4)
            && let Some(row) = dice.pick(&initiated)
        {
            let (worker, task, transfer) = (row.initiating_worker, row.task, row.sid);
            return self.command(Command::CancelTransfer { worker, task, transfer }, dice).map(|_| ());
        }
        let held: Vec<&Reservation> = stored
            .open_or_handed_on()
            .filter(|row| row.status == ReservationStatus::Accepted || (row.transfer.is_some() && row.version > 1))
            .collect();
        let Some(row) = dice.pick(&held) else { return Ok(()) };
        let (worker, task, reservation) = (row.worker, row.task, row.sid);
        if dice.one_in(3) {
            return self.change_legs(worker, task, reservation, dice);
        }
        let to = if dice.one_in(2) {
            dice.pick_of(&stored.workers).map(|row| TransferTarget::Worker(row.sid))
        } else {
            dice.pick_of(&stored.task_queues).map(|row| TransferTarget::TaskQueue(row.sid))
        };
        let Some(to) = to else { return Ok(()) };
        let mode = dice.one([TransferMode::Warm, TransferMode::Cold]);
        let attributes = if dice.one_in(3) { Some(self.attributes(dice)) } else { None };
        let priority = if dice.one_in(3) { Some(7) } else { None };
        let new = NewTransfer { worker, task, reservation, to, mode, attributes, priority, in_room: false };
        self.command(Command::CreateTransfer(new), dice).map(|_| ())
    }

    /// Somebody does something to a leg of a conversation, or a supervisor joins it.
    fn change_legs(
        &mut self,
        worker: WorkerSid,
        task: TaskSid,
        reservation: ReservationSid,
        dice: &mut Dice,
    ) -> Result<(), String> {
        let hold = LegUpdate { hold: Some(dice.one_in(2)), ..LegUpdate::default() };
        let wish = match dice.below(8) {
            0 | 1 => LegWish::Change(LegTarget::Customer, hold),
            2 => {
                LegWish::Change(LegTarget::Worker(reservation), LegUpdate { muted: Some(true), ..LegUpdate::default() })
            }
            3 => LegWish::Worker(worker, hold),
            4 => LegWish::Kick(worker),
            5 => LegWish::Add {
                label: "external-1".to_owned(),
                to: "+15550005".to_owned(),
                from: None,
                options: Box::default(),
            },
            6 if dice.one_in(3) => LegWish::EndConversation,
            _ => {
                let Some(supervisor) = dice.pick_of(&self.watch.stored.workers).map(|row| row.sid) else {
                    return Ok(());
                };
                let mode = dice.one([SuperviseMode::Monitor, SuperviseMode::Whisper, SuperviseMode::Barge]);
                let options = ConferenceOptions { from: Some("+15550006".to_owned()), ..ConferenceOptions::default() };
                let supervision = Supervision { supervisor, mode, options };
                let instruction = ReservationInstruction::Supervise(Box::new(supervision));
                let parent = ReservationParent::Task(task);
                let request = Request::Instruct { parent, reservation, instruction, if_match: None };
                return self.request(&request, dice).map(|_| ());
            }
        };
        self.request(&Request::Leg { task, by: Some(worker), wish }, dice).map(|_| ())
    }

    pub(super) fn change_worker(&mut self, dice: &mut Dice) -> Result<(), String> {
        let stored = &self.watch.stored;
        if stored.workers.len() < WORKERS_FEW || dice.one_in(40) {
            let friendly_name = format!("w{}", dice.below(7));
            let activity = dice.pick_of(&stored.activities).map(|row| row.sid);
            let attributes = self.worker_attributes(dice);
            return self
                .command(Command::CreateWorker(NewWorker { friendly_name, attributes, activity }), dice)
                .map(|_| ());
        }
        let Some(row) = dice.pick_of(&stored.workers) else { return Ok(()) };
        let (worker, version) = (row.sid, row.version);
        let mut update = WorkerUpdate { if_match: dice.one_in(8).then_some(version), ..WorkerUpdate::default() };
        match dice.below(20) {
            0 => return self.command(Command::DeleteWorker { worker, if_match: None }, dice).map(|_| ()),
            1 => update.friendly_name = Some(format!("w{}", dice.below(7))),
            2 | 3 => update.attributes = Some(self.worker_attributes(dice)),
            4..9 => {
                let channel = Self::channel(dice);
                let capacity = if dice.one_in(3) { None } else { Some(dice.small(0, 3)) };
                let available = if dice.one_in(3) { Some(!dice.one_in(3)) } else { None };
                let command = Command::UpdateWorkerChannel { worker, channel, capacity, available };
                return self.command(command, dice).map(|_| ());
            }
            9 => {
                let connection = (!dice.one_in(3)).then(|| Connection {
                    disconnect_activity: if dice.one_in(3) {
                        dice.pick_of(&stored.activities).map(|row| row.sid)
                    } else {
                        None
                    },
                    keeps_activity: dice.one_in(5),
                });
                let report = PresenceReport { worker, connection };
                return self.command(Command::NotePresence(vec![report]), dice).map(|_| ());
            }
            _ => {
                let available: Vec<_> = stored.activities.values().filter(|row| row.available).collect();
                update.activity = if dice.one_in(4) {
                    dice.pick_of(&stored.activities).map(|row| row.sid)
                } else {
                    dice.pick(&available).map(|row| row.sid)
                };
                update.reject_pending_reservations = dice.one_in(6);
            }
        }
        self.command(Command::UpdateWorker(worker, update), dice).map(|_| ())
    }

    /// Somebody hangs up, who may have chosen to be called back, or is led away by an application without our doing.
    pub(super) fn somebody_hangs_up(&mut self, dice: &mut Dice) -> Result<(), String> {
        let Some(call) = self.phone.any_live_call(dice) else { return Ok(()) };
        let waiting = self.phone.calls.get(&call).filter(|call| call.is_caller() && call.place == Place::Queue);
        if let Some(task) = waiting.map(|call| call.task).filter(|_| dice.one_in(2)) {
            let terms = CallbackTerms {
                attempts: dice.small(1, 3),
                pause_secs: dice.small(1, 120),
                expires_secs: dice.small(60, 3_600),
            };
            let to = "+15550001".to_owned();
            // Refused while a worker is about to take the call; then the caller gives up.
            let _ = self.request(&Request::CallBack { task, call: call.clone(), to, terms }, dice)?;
        }
        if dice.one_in(10) && self.phone.calls.get(&call).is_some_and(Call::is_caller) {
            self.say(|| format!("{call} is led away by its application"));
            let _ = self.phone.lead_away(&call, self.now, dice);
            return Ok(());
        }
        self.say(|| format!("{call} hangs up"));
        self.phone.hang_up(&call, self.now, dice);
        Ok(())
    }
}
