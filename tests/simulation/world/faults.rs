//! Crashes, lost batches, restarts; and what a restored workspace must have in common with the running one.

use switchhook::engine::cores::Cores;

use super::{Waiting, World, limits};
use crate::dice::Dice;
use crate::watch::{Depth, Sids};

impl World {
    /// The process dies: what was not committed is lost, and so is whatever waited for it.
    pub(super) fn crash(&mut self, dice: &mut Dice) -> Result<(), String> {
        self.say(|| "crash".to_owned());
        self.lanes.clear();
        self.running.clear();
        self.known.clear();
        self.phone.lose_connections(dice);
        self.lose(dice);
        match dice.below(6) {
            0 | 1 => self.now = self.now.plus_ms(i64::from(dice.small(1_000, 600_000))),
            // The machine's clock was set back; the workspace's time is not.
            2 => self.now = self.now.plus_ms(-i64::from(dice.small(1_000, 600_000))),
            _ => {}
        }
        self.restart()
    }

    /// A commit fails: the workspace is loaded again, the rest of the process goes on.
    pub(super) fn lose_batch(&mut self, dice: &mut Dice) -> Result<(), String> {
        self.say(|| "the batch is lost".to_owned());
        self.lose(dice);
        self.restart()
    }

    fn lose(&mut self, dice: &mut Dice) {
        // What the cores had not handed out yet is lost too.
        let _ = self.cores.take_batch(&mut self.sids);
        self.gathered = 0;
        self.to_relay.clear();
        self.disk.lose(&mut self.watch);
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                // The webhook got no answer: it comes again, or the caller has had enough.
                Waiting::Enqueued { call, .. } => {
                    if dice.one_in(2) {
                        self.again.push(call);
                    }
                }
                Waiting::Asked(message) => self.phone.send(self.now.plus_ms(1_000), message),
                Waiting::WorkersLeg { call, .. } => self.phone.hang_up(&call, self.now, dice),
                // Reported again until it is on disk, as long as the process lives.
                Waiting::Answered { task, message, .. } => {
                    if self.running.contains(&task) {
                        self.phone.send(self.now.plus_ms(200), message);
                    }
                }
            }
        }
    }

    fn restart(&mut self) -> Result<(), String> {
        let loaded = self.disk.load(&self.watch);
        let (mut cores, errands) = Cores::restore(loaded, self.now).map_err(|error| format!("cannot load: {error}"))?;
        cores.keep_within(limits());
        if cores.workspace().rows() != self.watch.stored.rows() {
            return Err("a loaded workspace has other rows than the disk".to_owned());
        }
        let open: Vec<_> = errands.iter().map(|errand| (errand.task, errand.number)).collect();
        if !self.disk.outbox().map(|row| (row.task, row.number)).eq(open) {
            return Err("a loaded workspace has other phone commands than the disk".to_owned());
        }
        self.calls_due = super::CallsDue::default();
        cores.forget_sockets(self.now, &mut self.sids);
        for task in cores.calls().tasks() {
            self.calls_due.set(task.task, task.next_deadline());
        }
        self.now = cores.moment(self.now);
        cores.look_at_calls(self.now);
        self.cores = cores;
        for errand in errands {
            self.hand_over(errand);
        }
        self.catch_up()?;
        // Its rows were compared already, and it was made of them.
        self.take(Depth::Rows)
    }

    /// A second copy of the cores, made of the rows written so far, and the SIDs they would be given next.
    pub(super) fn copy(&mut self) -> Result<(Cores, Sids), String> {
        let loaded = self.disk.load(&self.watch);
        let (mut copy, _) = Cores::restore(loaded, self.now).map_err(|error| format!("cannot load: {error}"))?;
        copy.keep_within(limits());
        Ok((copy, self.sids.clone()))
    }

    /// What is in memory is what the rows make of it.
    pub(super) fn everything_agrees(&mut self) -> Result<(), String> {
        let (copy, _) = self.copy()?;
        // The rows of the routing core were compared with those of a restored one already.
        if !copy.calls().tasks().eq(self.cores.calls().tasks()) {
            return Err("calls in memory and in rows differ".to_owned());
        }
        if !copy.counts_calls_like(&self.cores) {
            return Err("calls that wait are counted otherwise after a start".to_owned());
        }
        // How long calls without a task are kept begins anew with a start.
        // Whoever waits for a time is looked at at once.
        let timed = self.watch.some_task_waits_for_a_time();
        let due = |cores: &Cores| {
            let routing = if timed { None } else { cores.workspace().next_deadline() };
            (routing, cores.calls().next_deadline())
        };
        if due(&copy) != due(&self.cores) {
            let (there, here) = (due(&copy), due(&self.cores));
            return Err(format!("restored deadline is {there:?} instead of {here:?}"));
        }
        Ok(())
    }
}
