//! All tasks that wait in a worker's queues, counted by the first thing that keeps the worker from them.
//!
//! Asks what matching asks: each lane and each class of tasks once, and a task by itself only where nothing but the task's
//! own history can block. So 100,000 waiting tasks cost no more than their kinds. Start with
//! `Workspace::waiting_by_reason`.

use crate::routing::expression::{Document, Expression, Syntaxes};
use crate::routing::lane::{Class, Lane, LaneKey, TaskKey};
use crate::routing::sid::TaskSid;
use crate::routing::state::TaskStatus;
use crate::routing::time::Timestamp;
use crate::routing::workspace::{WorkerEntry, Workspace};

use super::blocks::{BlockReason, Demand, Tally};

/// Classes and single tasks that are looked at, all together; tasks beyond count as not examined. Matching asks as many
/// classes as there are whenever a worker becomes ready, but nobody waits for an explanation like that.
const LOOKS_MAX: usize = 5_000;

/// A count in progress.
struct Count<'a> {
    workspace: &'a Workspace,
    worker: &'a WorkerEntry,
    syntaxes: &'a Syntaxes,
    now: Timestamp,
    looks: usize,
    tally: Tally,
}

impl Workspace {
    /// The tasks that wait in the worker's queues or for the worker alone, by what blocks each first.
    pub(super) fn waiting_by_reason(&self, worker: &WorkerEntry, syntaxes: &Syntaxes, now: Timestamp) -> Tally {
        let tally = Tally::default();
        let mut count = Count { workspace: self, worker, syntaxes, now, looks: LOOKS_MAX, tally };
        for queue in &worker.queues {
            for (key, lane) in self.lanes_of_queue(*queue) {
                count.lane(*key, lane);
            }
        }
        count.for_this_worker();
        count.tally
    }
}

impl Count<'_> {
    fn lane(&mut self, key: LaneKey, lane: &Lane) {
        let own = lane.known.get(&self.worker.row.sid);
        let for_own = own.map_or(0, |rules| rules.values().map(|class| class.tasks.len()).sum());
        let choosy = lane.len() - lane.plain.len();
        self.tally.add(Some(BlockReason::KnownWorker), choosy - lane.ruled_tasks - for_own);
        let blocked = self.first_block(key, None, &Document::default());
        if blocked.is_some() {
            // Whatever a task asks of the worker, this comes first.
            self.tally.add(blocked, lane.plain.len() + lane.ruled_tasks + for_own);
            self.those_it_holds(key, blocked);
            return;
        }
        self.one_by_one(lane.plain.iter().copied());
        for class in lane.ruled.values().chain(own.into_iter().flat_map(|rules| rules.values())) {
            self.class(key, class);
        }
    }

    fn class(&mut self, key: LaneKey, class: &Class) {
        if self.looks == 0 {
            self.tally.add(Some(BlockReason::NotExamined), class.tasks.len());
            return;
        }
        self.looks -= 1;
        let first = class.tasks.first().and_then(|key| self.workspace.tasks.get(&key.task()));
        let target = first.and_then(|task| self.workspace.target_of(&task.row));
        match self.first_block(key, target.and_then(|target| target.expression.as_ref()), &class.document) {
            None => self.one_by_one(class.tasks.iter().copied()),
            blocked => self.tally.add(blocked, class.tasks.len()),
        }
    }

    /// Tasks that the worker could take but for what has happened between the two.
    fn one_by_one(&mut self, tasks: impl Iterator<Item = TaskKey>) {
        for key in tasks {
            let block = if self.look() { self.block_of(key.task()) } else { Some(BlockReason::NotExamined) };
            self.tally.add(block, 1);
        }
    }

    fn block_of(&self, task: TaskSid) -> Option<BlockReason> {
        let row = &self.workspace.tasks.get(&task)?.row;
        let sid = self.worker.row.sid;
        if self.workspace.holds(row, sid) {
            return Some(BlockReason::HoldsTask);
        }
        let gap = row.back_offs.iter().any(|one| one.is_for(sid) && one.until > self.now);
        gap.then_some(BlockReason::BackOff)
    }

    /// Whether one more look is allowed.
    fn look(&mut self) -> bool {
        let allowed = self.looks > 0;
        self.looks = self.looks.saturating_sub(1);
        allowed
    }

    /// Of the tasks of a lane that were counted as `blocked`, those that the worker holds while they are handed on.
    fn those_it_holds(&mut self, key: LaneKey, blocked: Option<BlockReason>) {
        let held = self.worker.open.iter().filter_map(|sid| self.workspace.reservations.get(sid));
        let held = held.filter_map(|reservation| self.workspace.task(reservation.task)).filter(|row| {
            (row.queue, row.channel) == (Some(key.0), key.1)
                && row.status == TaskStatus::Pending
                && self.workspace.holds(row, self.worker.row.sid)
        });
        let held: std::collections::BTreeSet<TaskSid> = held.map(|row| row.sid).collect();
        self.tally.count_otherwise(blocked, Some(BlockReason::HoldsTask), held.len());
    }

    /// Tasks for this worker alone, whatever the queue.
    fn for_this_worker(&mut self) {
        for (_, task) in self.workspace.targeted.get(&self.worker.row.sid).into_iter().flatten() {
            let Some(row) = self.workspace.task(*task) else { continue };
            let block = if self.look() {
                let document = Document::default();
                self.workspace.first_block(
                    self.worker,
                    &self.workspace.demand_of(row, &document, self.syntaxes),
                    self.now,
                )
            } else {
                Some(BlockReason::NotExamined)
            };
            self.tally.add(block, 1);
        }
    }

    /// What blocks all tasks of a lane that ask this of a worker.
    fn first_block(
        &self,
        (queue, channel): LaneKey,
        expression: Option<&Expression>,
        document: &Document,
    ) -> Option<BlockReason> {
        let demand = Demand {
            queue: Some(queue),
            channel,
            expression,
            document,
            known: None,
            targeted: None,
            ignore_capacity: false,
            task: None,
            readings: None,
            syntaxes: self.syntaxes,
        };
        self.workspace.first_block(self.worker, &demand, self.now)
    }
}
