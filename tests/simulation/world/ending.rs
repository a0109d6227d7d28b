//! The end of a run: faults stop, everybody hangs up and goes home, and everything must come to rest.

use switchhook::calls::{LegState, VoiceState, VoiceTask};
use switchhook::routing::command::{WorkerUpdate, WorkspaceUpdate};
use switchhook::routing::{Command, TaskStatus};

use super::World;
use crate::dice::Dice;
use crate::phone::{Call, Place};
use crate::watch::Depth;

/// Things that may still happen before rest counts as endless unrest.
const HAPPENINGS_MAX: u32 = 20_000;

/// After so long without faults every call has been looked at that nothing was heard of, in milliseconds.
const LOOKED_AT_MS: i64 = 1_300_000;

/// How long calls may take to come to an end when nothing goes wrong any more, in milliseconds.
const CALLS_END_MS: i64 = 3_600_000;

impl World {
    /// Nothing goes wrong any more: calls and tasks end, and nothing is left.
    pub(crate) fn come_to_rest(&mut self) -> Result<(), String> {
        let mut dice = Dice::new(self.seed, u32::MAX);
        self.say(|| "the end begins".to_owned());
        self.phone.faults = false;
        self.take(Depth::All)?;
        self.commit(&mut dice);
        if self.phone.stormy {
            self.looks_make_good(&mut dice)?;
        }
        self.everybody_goes_home(&mut dice)?;
        let until = self.now.plus_ms(CALLS_END_MS);
        let mut left = HAPPENINGS_MAX;
        while self.go_on_quietly(&mut dice)? {
            left -= 1;
            if left == 0 {
                return Err("calls and tasks do not come to rest".to_owned());
            }
            if self.now > until {
                self.calls_are_over()?;
                break;
            }
        }
        while self.go_on_quietly(&mut dice)? {
            left -= 1;
            if left == 0 {
                return Err("calls and tasks do not come to rest".to_owned());
            }
        }
        self.calls_are_over()?;
        self.nothing_is_left()
    }

    /// The storm is over: what it hid is found by looking, and calls are where they are believed to be.
    fn looks_make_good(&mut self, dice: &mut Dice) -> Result<(), String> {
        let until = self.now.plus_ms(LOOKED_AT_MS);
        let mut left = HAPPENINGS_MAX;
        while self.now < until && self.go_on_quietly(dice)? {
            left -= 1;
            if left == 0 {
                return Err("calls and tasks do not calm down".to_owned());
            }
        }
        for record in self.cores.calls().tasks() {
            if record.outstanding.is_empty() && !self.phone.is_telling_of(record.task) {
                self.is_as_believed(record)?;
            }
        }
        let waits = |call: &Call| call.is_caller() && call.is_live() && call.place == Place::Queue;
        for (sid, call) in self.phone.calls.iter().filter(|(_, call)| waits(call)) {
            let record = self.cores.calls().task(call.task);
            // The wait document is asked for again and again; its answer lets the caller go.
            if record.is_some_and(|record| record.state == VoiceState::Closed && !record.lets_caller_leave()) {
                return Err(format!("{sid} waits for {}, which is over", call.task));
            }
        }
        Ok(())
    }

    /// The caller of an open task lives, and in a conversation everybody is where the calls core believes.
    fn is_as_believed(&self, record: &VoiceTask) -> Result<(), String> {
        let at = |sid| self.phone.calls.get(sid);
        let open = record.holds_caller() && record.state != VoiceState::Created;
        if open && !record.outbound && !at(&record.call).is_some_and(Call::is_live) {
            return Err(format!("{} is {:?} although its caller is gone", record.task, record.state));
        }
        if record.state != VoiceState::Bridged {
            return Ok(());
        }
        for leg in &record.legs {
            let Some(call) = leg.call.as_ref().and_then(at) else { continue };
            let there = matches!(&call.place, Place::Room(room) if Some(room) == record.conference.as_ref());
            if there != (leg.state == LegState::InRoom) {
                let (label, state, place) = (&leg.label, leg.state, &call.place);
                return Err(format!("{label} of {} is {place:?} and believed to be {state:?}", record.task));
            }
        }
        Ok(())
    }

    /// No worker is available, so nothing new is offered; offers that nobody connects are given up, callers hang up.
    fn everybody_goes_home(&mut self, dice: &mut Dice) -> Result<(), String> {
        let offline = self.watch.stored.activities.values().find(|row| !row.available).map(|row| row.sid);
        let update = WorkspaceUpdate { timeout_activity: offline, ..WorkspaceUpdate::default() };
        self.quietly(Command::UpdateWorkspace(update), dice)?;
        let workers: Vec<_> = self.watch.stored.workers.keys().copied().collect();
        for worker in workers {
            let update = WorkerUpdate { activity: offline, ..WorkerUpdate::default() };
            self.quietly(Command::UpdateWorker(worker, update), dice)?;
        }
        let connecting: Vec<_> = self
            .watch
            .stored
            .reservations
            .values()
            .filter(|row| row.connecting && self.cores.calls().task(row.task).is_none())
            .map(|row| row.sid)
            .collect();
        for reservation in connecting {
            self.quietly(
                Command::FailConnecting { reservation, reason_code: None, not_before: None, missed: false },
                dice,
            )?;
        }
        let callers: Vec<_> =
            self.phone.calls.iter().filter(|(_, call)| call.is_customer()).map(|(sid, _)| sid.clone()).collect();
        for call in callers.into_iter().chain(self.phone.workers_elsewhere()) {
            self.phone.hang_up(&call, self.now, dice);
        }
        Ok(())
    }

    fn quietly(&mut self, command: Command, dice: &mut Dice) -> Result<(), String> {
        // Refused when what it is about has ended meanwhile.
        let _ = self.command(command, dice)?;
        self.take(Depth::Touched)?;
        self.commit(dice);
        Ok(())
    }

    /// The next thing that is under way or due; false when there is none.
    fn go_on_quietly(&mut self, dice: &mut Dice) -> Result<bool, String> {
        let done = self.phone_goes_on(dice)?;
        self.take(Depth::Touched)?;
        self.commit(dice);
        if done {
            return Ok(true);
        }
        let next = [self.cores.next_deadline(), self.phone.next_arrival()].into_iter().flatten().min();
        let Some(at) = next else { return Ok(false) };
        self.now = self.now.max(at);
        if self.cores.next_deadline().is_some_and(|at| at <= self.now) {
            self.say(|| "tick".to_owned());
            self.cores.tick(self.now, &mut self.sids);
            self.take(Depth::Touched)?;
            self.commit(dice);
        }
        Ok(true)
    }

    /// Callers have hung up, so their calls are closed and nobody is reserved or busy for them.
    fn calls_are_over(&self) -> Result<(), String> {
        // A task that calls out waits for a worker like any other.
        let idle = |task: &VoiceTask| task.outbound && task.state == VoiceState::Created;
        let tasks = || self.cores.calls().tasks().filter(|task| !idle(task));
        if let Some(open) = tasks().find(|task| task.state != VoiceState::Closed) {
            return Err(format!("the call of {} is {:?} although everybody hung up", open.task, open.state));
        }
        for record in tasks() {
            let row = self.watch.stored.tasks.get(&record.task);
            let status = row.map(|row| row.status);
            let handed_on = row.is_some_and(|row| row.transfer.is_some());
            if record.callback.is_some() && (status == Some(TaskStatus::Assigned) || handed_on) {
                // Accepted without a conference: whoever did that calls back by other means, or has others do it.
                continue;
            }
            if let Some(status @ (TaskStatus::Pending | TaskStatus::Reserved | TaskStatus::Assigned)) = status {
                return Err(format!("{} is {status} although its caller hung up", record.task));
            }
        }
        match self.phone.calls.iter().find(|(_, call)| Call::is_ours_to_end(call)) {
            None => Ok(()),
            Some((sid, call)) => Err(format!("{sid}, a leg of {}, goes on although everybody hung up", call.task)),
        }
    }

    fn nothing_is_left(&self) -> Result<(), String> {
        let stored = &self.watch.stored;
        let left = [
            ("tasks", stored.tasks.len()),
            ("reservations", stored.reservations.len()),
            ("transfers", stored.transfers.len()),
            ("calls", self.disk.voice_tasks().count()),
            ("phone commands", self.disk.outbox().count()),
        ];
        match left.iter().find(|(_, count)| *count > 0) {
            None => Ok(()),
            Some((what, count)) => Err(format!("{count} {what} are left although nothing is due any more")),
        }
    }
}
