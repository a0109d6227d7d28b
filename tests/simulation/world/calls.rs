//! The outbox and the phone system: commands leave after their commit, callbacks and webhooks come in.

use switchhook::calls::{
    CallSid, ConferenceOptions, Input, LegState, NextDocument, QueueResult, Role, VoiceState, VoiceTask,
};
use switchhook::engine::Request;
use switchhook::routing::{EventRecord, ReservationSid, ReservationStatus, TaskSid};
use switchhook::store::Batch;

use super::{Waiting, World};
use crate::dice::Dice;
use crate::phone::{Ask, Message, Place};

impl World {
    /// The outbox or the phone system does something; false when neither has anything to do now.
    pub(super) fn phone_goes_on(&mut self, dice: &mut Dice) -> Result<bool, String> {
        if dice.one_in(2) && self.carry_out_errand(dice)? {
            return Ok(true);
        }
        match self.phone.next(self.now, dice) {
            Some(message) => self.receive(message, dice).map(|()| true),
            None => self.carry_out_errand(dice),
        }
    }

    /// The first command of some task that has none under way.
    fn carry_out_errand(&mut self, dice: &mut Dice) -> Result<bool, String> {
        let idle: Vec<TaskSid> = self.lanes.keys().filter(|task| !self.running.contains(task)).copied().collect();
        let Some(task) = dice.pick(&idle) else { return Ok(false) };
        let Some(lane) = self.lanes.get_mut(task) else { return Ok(false) };
        let errand = lane.pop_front();
        if lane.is_empty() {
            self.lanes.remove(task);
        }
        let Some(errand) = errand else { return Ok(false) };
        self.running.insert(*task);
        self.say(|| format!("phone: {errand:?}"));
        self.phone.execute(&errand, self.now, dice)?;
        Ok(true)
    }

    fn receive(&mut self, message: Message, dice: &mut Dice) -> Result<(), String> {
        match &message {
            Message::Progress(call) => self.phone.progress(call, self.now, dice),
            Message::CarriedOut(errand) => self.phone.carry_out_late(errand, self.now, dice)?,
            Message::News { task, input } => {
                self.phone.is_heard(input);
                self.hear(*task, input, dice)?;
            }
            Message::Asks { task, call, ask: Ask::Take { reservation }, .. } => {
                self.take_by_document(*task, call, *reservation, dice)?;
            }
            Message::Answer { task, number, outcome } => {
                let (task, number) = (*task, *number);
                let input = Input::CommandDone { number, outcome: outcome.clone() };
                self.waiting.push(Waiting::Answered { task, number, message });
                self.tell(task, input, dice)?;
            }
            Message::Asks { task, call, ask, redirects } => {
                if *ask == Ask::Wait {
                    self.phone.says_it_waits(call, *redirects);
                }
                let input = match ask {
                    Ask::Wait => Some(Input::WaitRequested),
                    Ask::Left { result, ended, .. } => {
                        Some(Input::Left { result: *result, call_ended: *ended, queue_time_secs: None })
                    }
                    Ask::RoomLeft { role, reservation, ended } => Some(Input::RoomLeft {
                        role: *role,
                        reservation: *reservation,
                        call: Some(call.clone()),
                        call_ended: *ended,
                    }),
                    Ask::Join | Ask::Park | Ask::Take { .. } => None,
                };
                let task = *task;
                self.waiting.push(Waiting::Asked(message));
                if let Some(input) = input {
                    self.tell(task, input, dice)?;
                }
                if !self.disk.has_written() {
                    self.commit(dice);
                }
            }
        }
        Ok(())
    }

    pub(super) fn tell(&mut self, task: TaskSid, input: Input, dice: &mut Dice) -> Result<(), String> {
        // Facts are never refused.
        self.request(&Request::Call { task, input }, dice)?.map(|_| ()).map_err(|refusal| format!("refused: {refusal}"))
    }

    /// Goes on with what waited for the commit.
    pub(super) fn go_on(&mut self, waiting: Waiting, dice: &mut Dice) {
        match waiting {
            Waiting::Enqueued { call, task } => self.phone.enqueued(&call, task, self.now, dice),
            Waiting::Answered { task, number, .. } => {
                self.running.remove(&task);
                self.known.remove(&(task, number));
            }
            Waiting::WorkersLeg { call, task } => {
                if let Some(record) = self.cores.calls().task(task).cloned() {
                    self.phone.leg_joins(&call, &record, self.now, dice);
                }
            }
            Waiting::Asked(Message::Asks { task, call, ask, redirects }) => {
                if let Some(next) = next_document(self.cores.calls().task(task), &ask) {
                    self.phone.run(&call, &next, redirects, self.now, dice);
                }
            }
            Waiting::Asked(_) => {}
        }
    }

    /// The calls core keeps its own promises: one deadline index, numbered commands, and no task that waits for nothing.
    pub(super) fn calls_hold(&mut self, batch: &Batch) -> Result<(), String> {
        if batch.voice_tasks.is_empty() && batch.voice_tasks_deleted.is_empty() {
            return Ok(());
        }
        let calls = self.cores.calls();
        let written = batch.voice_tasks.iter().map(|row| row.task);
        for task in written.chain(batch.voice_tasks_deleted.iter().copied()) {
            self.calls_due.set(task, calls.task(task).and_then(VoiceTask::next_deadline));
        }
        let earliest = self.calls_due.earliest();
        if calls.next_deadline() != earliest {
            return Err(format!("the next deadline of the calls is {:?}, not {earliest:?}", calls.next_deadline()));
        }
        for row in &batch.voice_tasks {
            let Some(record) = calls.task(row.task) else { continue };
            // A task that calls out is nobody's call before a worker has taken it.
            let idle = record.outbound && record.state == VoiceState::Created;
            let waits = record.next_deadline().is_some() || !record.outstanding.is_empty();
            if record.state != VoiceState::Closed && !idle && !waits {
                return Err(format!("the call of {} waits for nothing in {:?}", row.task, record.state));
            }
            let talks_first = |leg: &&switchhook::calls::Leg| {
                let row = leg.reservation.and_then(|sid| self.watch.stored.reservations.get(&sid));
                leg.accepted && leg.state < LegState::Left && row.is_some_and(|row| row.transfer.is_none())
            };
            if record.legs.iter().filter(talks_first).count() > 1 {
                return Err(format!("two workers talk to the caller of {}", row.task));
            }
            for leg in record.legs.iter().filter(|leg| leg.accepted && leg.wrapped && !record.task_ended) {
                let reservation = leg.reservation.and_then(|sid| self.watch.stored.reservations.get(&sid));
                if reservation.is_some_and(|row| row.status == ReservationStatus::Accepted) {
                    return Err(format!("a conversation of {} is over, its worker is not told", row.task));
                }
            }
        }
        for row in &batch.outbox_added {
            let newest = calls.task(row.task).map_or(u32::MAX, |record| record.last_number);
            if row.number > newest {
                return Err(format!("phone command {} of {} after {newest}", row.number, row.task));
            }
        }
        Ok(())
    }

    /// The document of a worker's leg takes the reservation, and leads the leg into the room once that is on disk.
    fn take_by_document(
        &mut self,
        task: TaskSid,
        call: &CallSid,
        reservation: ReservationSid,
        dice: &mut Dice,
    ) -> Result<(), String> {
        let record = self.cores.calls().task(task);
        let announced = record.and_then(|record| record.announced(reservation, call)).cloned();
        let options = announced.unwrap_or_else(|| ConferenceOptions {
            end_conference_on_exit: dice.one_in(2),
            end_conference_on_customer_exit: dice.one_in(3),
            ..ConferenceOptions::default()
        });
        let request = Request::WorkerCall { reservation, call: call.clone(), options };
        let is_taken = self.request(&request, dice)?.is_ok();
        let call = call.clone();
        if is_taken {
            self.waiting.push(Waiting::WorkersLeg { call, task });
        } else if self.phone.calls.get(&call).is_some_and(|call| call.place == Place::Nowhere) {
            // The worker is told that there is nothing to take.
            self.phone.hang_up(&call, self.now, dice);
        }
        Ok(())
    }

    /// A task is not canceled because its caller was redirected, when it was that task's instruction that did so.
    pub(super) fn left_of_its_own_accord(&self, event: &EventRecord) -> Result<(), String> {
        let Some(record) = event.about.task.and_then(|task| self.cores.calls().task(task)) else { return Ok(()) };
        let redirected = record.cancel_reason.as_deref() == Some(QueueResult::Redirected.as_str());
        let caller = self.phone.calls.get(&record.call).filter(|_| redirected);
        if caller.is_some_and(|caller| caller.redirected_for_task) {
            return Err(format!("the caller of {} was redirected for it, and counts as one who left", record.task));
        }
        Ok(())
    }

    /// A reservation that was connected is accepted when both legs have been in the room, or, where the instruction says
    /// so, when the worker has answered.
    pub(super) fn both_were_in_the_room(&self, event: &EventRecord) -> Result<(), String> {
        let (Some(task), Some(reservation)) = (event.about.task, event.about.reservation) else { return Ok(()) };
        let Some(record) = self.cores.calls().task(task) else { return Ok(()) };
        let Some(leg) = record.worker_leg(reservation).filter(|leg| leg.accepted) else { return Ok(()) };
        if self.accepts_on_answer.contains(&reservation) {
            let leg = leg.call.as_ref().and_then(|call| self.phone.calls.get(call));
            let early = || format!("{reservation} was accepted although its worker has not answered");
            return if leg.is_some_and(|leg| leg.was_answered) { Ok(()) } else { Err(early()) };
        }
        let was_in = |call: &CallSid| self.phone.calls.get(call).is_some_and(|call| call.was_in_room);
        if was_in(&record.call) && leg.call.as_ref().is_some_and(was_in) {
            return Ok(());
        }
        Err(format!("{reservation} was accepted although the two have not met"))
    }
}

/// The document that answers a webhook; none when the phone system does not run it.
fn next_document(record: Option<&VoiceTask>, ask: &Ask) -> Option<NextDocument> {
    Some(match (ask, record) {
        (
            Ask::Wait
            | Ask::Left { runs: false, .. }
            | Ask::RoomLeft { ended: true, .. }
            | Ask::Take { .. }
            | Ask::RoomLeft { role: Role::Worker | Role::External | Role::Supervisor, .. },
            _,
        ) => return None,
        (_, None) => NextDocument::Unavailable,
        (Ask::Left { result, .. }, Some(record)) => record.document_after_left(*result),
        (Ask::Join, Some(_)) => NextDocument::JoinRoom,
        (Ask::Park, Some(record)) => record.document_after_left(QueueResult::Redirected),
        (Ask::RoomLeft { role, .. }, Some(record)) => record.document_after_room(*role),
    })
}
