//! What keeps a worker from being offered a task: the conditions of matching, one by one.
//!
//! `matcher` finds those whom nothing blocks by looking at the heads of lanes; here every condition is asked by itself
//! (routing.md 6.1), and a test holds the two against each other. Start with [`Block`] and `Workspace::first_block`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::routing::expression::{Clause, Document, Expression, OrderBy, Syntaxes, Vocabulary};
use crate::routing::index::{KnownWorkerProblem, attributes_of};
use crate::routing::sid::{TaskChannelSid, TaskQueueSid, TaskSid, WorkerSid};
use crate::routing::state::{ReservationStatus, RoutingTarget, Task, TransferTarget};
use crate::routing::time::Timestamp;
use crate::routing::workspace::{WorkerEntry, Workspace};

/// Kinds of obstacles, in the order in which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockReason {
    /// The task is for another worker, whatever the queue.
    NotTargeted,
    /// The worker holds a reservation of the task.
    HoldsTask,
    /// The queue's expression does not take the worker.
    NotInQueue,
    /// The step waits for another worker.
    KnownWorker,
    /// The worker's activity is not an available one.
    Activity,
    /// The worker takes nothing on the task's channel.
    ChannelUnavailable,
    /// Capacity is used up, and an offer that is not answered yet has a share in it.
    ReservedElsewhere,
    /// Capacity is used up by accepted work, or is zero.
    Capacity,
    /// The target's expression does not take the worker.
    Expression,
    /// The worker was offered the task just before.
    BackOff,
    /// There are too many to look at each: workers whose attributes a configuration that is not saved would have to be
    /// read for, or kinds of tasks that wait for one worker.
    NotExamined,
}

impl BlockReason {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotTargeted => "not_targeted",
            Self::HoldsTask => "holds_task",
            Self::NotInQueue => "not_in_queue",
            Self::KnownWorker => "known_worker",
            Self::Activity => "activity",
            Self::ChannelUnavailable => "channel_unavailable",
            Self::ReservedElsewhere => "reserved_elsewhere",
            Self::Capacity => "capacity",
            Self::Expression => "expression",
            Self::BackOff => "back_off",
            Self::NotExamined => "not_examined",
        }
    }
}

/// One thing that keeps a worker from a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Its kind.
    pub reason: BlockReason,
    /// The same with names and figures, as the end of a sentence about the worker.
    pub detail: String,
    /// The clauses that are false, if an expression blocks.
    pub clauses: Vec<Clause>,
    /// When it ends by itself, if it does.
    pub until: Option<Timestamp>,
    /// The tasks that take the capacity.
    pub tasks: Vec<TaskSid>,
}

/// A worker and everything that keeps it from a task; a candidate when nothing does.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerVerdict {
    /// The worker.
    pub worker: WorkerSid,
    /// Its name.
    pub friendly_name: String,
    /// The name of its activity.
    pub activity_name: String,
    /// All of them, the first first.
    pub blocks: Vec<Block>,
}

/// Workers of a queue, or tasks that wait for a worker, by what keeps the two apart first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub total: usize,
    /// Those that nothing blocks.
    pub candidates: usize,
    /// The others, by their first obstacle.
    pub blocked: BTreeMap<BlockReason, usize>,
}

impl Tally {
    pub(in crate::routing) fn count(&mut self, block: Option<BlockReason>) {
        self.add(block, 1);
    }

    /// Counts several with the same obstacle.
    pub(in crate::routing) fn add(&mut self, block: Option<BlockReason>, count: usize) {
        if count > 0 {
            self.total += count;
            match block {
                None => self.candidates += count,
                Some(reason) => *self.blocked.entry(reason).or_insert(0) += count,
            }
        }
    }

    /// Counts some that are counted already under another obstacle instead.
    pub(super) fn count_otherwise(&mut self, from: Option<BlockReason>, to: Option<BlockReason>, count: usize) {
        self.total -= count;
        match from {
            None => self.candidates -= count,
            Some(reason) => {
                let left = self.blocked.remove(&reason).unwrap_or(0) - count;
                self.blocked.extend((left > 0).then_some((reason, left)));
            }
        }
        self.add(to, count);
    }
}

/// What a task in a step demands of its worker.
pub(in crate::routing) struct Demand<'a> {
    /// None when only the targeted worker counts.
    pub(in crate::routing) queue: Option<TaskQueueSid>,
    pub(in crate::routing) channel: TaskChannelSid,
    pub(in crate::routing) expression: Option<&'a Expression>,
    pub(in crate::routing) document: &'a Document,
    pub(in crate::routing) known: Option<Result<WorkerSid, KnownWorkerProblem>>,
    pub(in crate::routing) targeted: Option<WorkerSid>,
    pub(in crate::routing) ignore_capacity: bool,
    /// None for a task that does not exist.
    pub(in crate::routing) task: Option<&'a Task>,
    pub(in crate::routing) readings: Option<Readings<'a>>,
    pub(in crate::routing) syntaxes: &'a Syntaxes,
}

/// Attributes of workers are to be read anew, because an expression that is not saved has names of its own.
pub(in crate::routing) struct Readings<'a> {
    pub(in crate::routing) vocabulary: &'a Vocabulary,
    /// How many may still be read.
    pub(in crate::routing) left: &'a Cell<usize>,
}

impl Workspace {
    /// What an existing task demands where it is now.
    pub(in crate::routing) fn demand_of<'a>(
        &'a self,
        row: &'a Task,
        document: &'a Document,
        syntaxes: &'a Syntaxes,
    ) -> Demand<'a> {
        let transfer = row.transfer.and_then(|transfer| self.transfers.get(&transfer));
        let targeted = match (transfer.map(|transfer| transfer.to), *row.routing_target) {
            (Some(TransferTarget::Worker(worker)), _) | (None, Some(RoutingTarget::Worker(worker))) => Some(worker),
            _ => None,
        };
        let target = self.target_of(row).filter(|_| targeted.is_none());
        Demand {
            queue: row.queue.filter(|_| targeted.is_none()),
            channel: row.channel,
            expression: target.and_then(|target| target.expression.as_ref()),
            document,
            known: target.and_then(|target| self.known_worker(target, document)),
            targeted,
            ignore_capacity: targeted.is_some() && transfer.is_none() && row.ignore_capacity,
            task: Some(row),
            readings: None,
            syntaxes,
        }
    }

    /// The first thing that keeps the worker from the task; none for a candidate.
    pub(in crate::routing) fn first_block(
        &self,
        worker: &WorkerEntry,
        demand: &Demand<'_>,
        now: Timestamp,
    ) -> Option<BlockReason> {
        let mut first = None;
        self.check(worker, demand, now, &mut |reason| {
            first = Some(reason);
            ControlFlow::Break(())
        });
        first
    }

    /// Everything that keeps the worker from the task.
    pub(in crate::routing) fn verdict(
        &self,
        worker: &WorkerEntry,
        demand: &Demand<'_>,
        now: Timestamp,
    ) -> WorkerVerdict {
        let mut reasons = Vec::new();
        self.check(worker, demand, now, &mut |reason| {
            reasons.push(reason);
            ControlFlow::Continue(())
        });
        WorkerVerdict {
            worker: worker.row.sid,
            friendly_name: worker.row.friendly_name.clone(),
            activity_name: self.activity_name(worker).to_owned(),
            blocks: reasons.into_iter().map(|reason| self.block(reason, worker, demand, now)).collect(),
        }
    }

    /// Hands every obstacle to `found` until that has enough.
    fn check(
        &self,
        worker: &WorkerEntry,
        demand: &Demand<'_>,
        now: Timestamp,
        found: &mut dyn FnMut(BlockReason) -> ControlFlow<()>,
    ) {
        // Ends early when `found` breaks; the result has no other use.
        let _ = self.check_all(worker, demand, now, found);
    }

    fn check_all(
        &self,
        worker: &WorkerEntry,
        demand: &Demand<'_>,
        now: Timestamp,
        found: &mut dyn FnMut(BlockReason) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let sid = worker.row.sid;
        if demand.targeted.is_some_and(|targeted| targeted != sid) {
            found(BlockReason::NotTargeted)?;
        }
        if demand.task.is_some_and(|task| self.holds(task, sid)) {
            found(BlockReason::HoldsTask)?;
        }
        if demand.queue.is_some_and(|queue| !worker.queues.contains(&queue))
            || (demand.queue.is_none() && demand.targeted.is_none())
        {
            found(BlockReason::NotInQueue)?;
        }
        if demand.known.as_ref().is_some_and(|known| *known != Ok(sid)) {
            found(BlockReason::KnownWorker)?;
        }
        if !demand.ignore_capacity {
            self.check_capacity(worker, demand.channel, found)?;
        }
        if let Some(expression) = demand.expression {
            match self.satisfies_demand(worker, expression, demand, now) {
                Some(true) => {}
                Some(false) => found(BlockReason::Expression)?,
                None => found(BlockReason::NotExamined)?,
            }
        }
        if demand.task.is_some_and(|task| task.back_offs.iter().any(|one| one.is_for(sid) && one.until > now)) {
            found(BlockReason::BackOff)?;
        }
        ControlFlow::Continue(())
    }

    fn check_capacity(
        &self,
        worker: &WorkerEntry,
        channel: TaskChannelSid,
        found: &mut dyn FnMut(BlockReason) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if !self.is_available(worker) {
            found(BlockReason::Activity)?;
        }
        if !self.settings.multi_task_enabled {
            if !worker.open.is_empty() {
                found(self.load_reason(worker, None))?;
            }
            return ControlFlow::Continue(());
        }
        match worker.channels.get(&channel) {
            Some(row) if row.used >= row.configured_capacity => {
                if !row.available {
                    found(BlockReason::ChannelUnavailable)?;
                }
                found(self.load_reason(worker, Some(channel)))
            }
            Some(row) if row.available => ControlFlow::Continue(()),
            _ => found(BlockReason::ChannelUnavailable),
        }
    }

    /// Whether an unanswered offer has a share in the load.
    fn load_reason(&self, worker: &WorkerEntry, channel: Option<TaskChannelSid>) -> BlockReason {
        let offered = self.load(worker, channel).any(|(_, status)| status == ReservationStatus::Pending);
        if offered { BlockReason::ReservedElsewhere } else { BlockReason::Capacity }
    }

    /// The tasks that take the worker's capacity on a channel, or on all.
    fn load<'a>(
        &'a self,
        worker: &'a WorkerEntry,
        channel: Option<TaskChannelSid>,
    ) -> impl Iterator<Item = (TaskSid, ReservationStatus)> + 'a {
        let rows = worker.open.iter().filter_map(|sid| self.reservations.get(sid));
        rows.filter(move |row| channel.is_none_or(|channel| row.channel == channel)).map(|row| (row.task, row.status))
    }

    /// Whether the worker has an open reservation of the task; the one who hands it on may have it back.
    pub(super) fn holds(&self, task: &Task, worker: WorkerSid) -> bool {
        let transfer = task.transfer.and_then(|transfer| self.transfers.get(&transfer));
        let initiating = transfer.map(|transfer| transfer.initiating_reservation);
        self.open_reservations_of_task(task.sid).any(|row| row.worker == worker && Some(row.sid) != initiating)
    }

    /// None when the attributes of too many workers were read already.
    fn satisfies_demand(
        &self,
        worker: &WorkerEntry,
        expression: &Expression,
        demand: &Demand<'_>,
        now: Timestamp,
    ) -> Option<bool> {
        let (task, now) = (Some(demand.document), Some(now));
        let Some(readings) = &demand.readings else {
            return Some(self.with_worker_scope(worker, task, now, |scope| expression.matches(scope)));
        };
        let left = readings.left.get().checked_sub(1)?;
        readings.left.set(left);
        let document = Document::read(readings.vocabulary, &attributes_of(&worker.row.attributes));
        Some(self.with_scope_of(worker, &document, task, now, |scope| expression.matches(scope)))
    }

    fn block(&self, reason: BlockReason, worker: &WorkerEntry, demand: &Demand<'_>, now: Timestamp) -> Block {
        let mut block = Block { reason, detail: String::new(), clauses: Vec::new(), until: None, tasks: Vec::new() };
        let channel = self.task_channels.get(&demand.channel).map_or("?", |row| row.unique_name.as_str());
        block.detail = match reason {
            BlockReason::NotTargeted => "is not the worker that the task is for".to_owned(),
            BlockReason::HoldsTask => "has an open reservation of the task".to_owned(),
            BlockReason::NotInQueue => self.explain_membership(worker, demand.queue, &mut block.clauses),
            BlockReason::KnownWorker => match &demand.known {
                Some(Ok(known)) => format!("is not the known worker {known} that the step waits for"),
                _ => "is not known by the task, whose step waits for a known worker".to_owned(),
            },
            BlockReason::Activity => {
                format!("is in the activity {}, which is not available", self.activity_name(worker))
            }
            BlockReason::ChannelUnavailable => format!("takes no tasks on the channel {channel}"),
            BlockReason::ReservedElsewhere | BlockReason::Capacity => {
                let of_channel = self.settings.multi_task_enabled.then_some(demand.channel);
                let load: Vec<_> = self.load(worker, of_channel).collect();
                block.tasks = load.iter().map(|(task, _)| *task).collect();
                let offered = load.iter().filter(|(_, status)| *status == ReservationStatus::Pending).count();
                let (used, capacity, where_) = match worker.channels.get(&demand.channel) {
                    Some(row) if of_channel.is_some() => {
                        (row.used, row.configured_capacity, format!(" on the channel {channel}"))
                    }
                    _ => (u32::try_from(load.len()).unwrap_or(u32::MAX), 1, String::new()),
                };
                let offers = if offered > 0 { format!(", {offered} of them not answered yet") } else { String::new() };
                format!("has {used} of at most {capacity} tasks{where_}{offers}")
            }
            BlockReason::Expression => {
                let Some(expression) = demand.expression else { return block };
                block.clauses = self.failing_clauses(worker, expression, demand, now);
                format!("does not satisfy {}", expression.text())
            }
            BlockReason::BackOff => {
                let task = demand.task.into_iter().flat_map(|task| task.back_offs.iter());
                let open = task.filter(|one| one.is_for(worker.row.sid) && one.until > now);
                let longest = open.max_by_key(|one| one.until);
                block.until = longest.map(|one| one.until);
                match longest.and_then(|one| one.worker) {
                    Some(_) => "was offered the task just before and is not offered it again yet".to_owned(),
                    None => "is not offered the task before its caller is called again".to_owned(),
                }
            }
            BlockReason::NotExamined => "was not looked at, because there are too many workers".to_owned(),
        };
        block
    }

    fn failing_clauses(
        &self,
        worker: &WorkerEntry,
        expression: &Expression,
        demand: &Demand<'_>,
        now: Timestamp,
    ) -> Vec<Clause> {
        let read = demand
            .readings
            .as_ref()
            .map(|readings| Document::read(readings.vocabulary, &attributes_of(&worker.row.attributes)));
        let document = read.as_ref().unwrap_or(&worker.document);
        self.with_scope_of(worker, document, Some(demand.document), Some(now), |scope| {
            demand.syntaxes.explain(expression, scope).failing().into_iter().cloned().collect()
        })
    }

    /// Why the worker is not in the queue.
    pub(in crate::routing) fn explain_membership(
        &self,
        worker: &WorkerEntry,
        queue: Option<TaskQueueSid>,
        clauses: &mut Vec<Clause>,
    ) -> String {
        let Some(entry) = queue.and_then(|queue| self.task_queues.get(&queue)) else {
            return "is in no task queue that the task could be in".to_owned();
        };
        let name = &entry.row.friendly_name;
        let Some(expression) = &entry.expression else {
            return format!("is not in the task queue {name}, which has no expression and so no workers");
        };
        *clauses = self.with_worker_scope(worker, None, None, |scope| {
            expression.explain(scope).failing().into_iter().cloned().collect()
        });
        format!("is not in the task queue {name}: does not satisfy {}", expression.text())
    }

    pub(in crate::routing) fn activity_name(&self, worker: &WorkerEntry) -> &str {
        self.activities.get(&worker.row.activity).map_or("", |activity| activity.row.friendly_name.as_str())
    }

    /// Brings candidates into the order in which they are offered a task.
    pub(in crate::routing) fn in_order(
        &self,
        candidates: &[WorkerSid],
        demand: &Demand<'_>,
        order_by: Option<&OrderBy>,
    ) -> Vec<WorkerSid> {
        let entries = candidates.iter().filter_map(|worker| self.workers.get(worker));
        let mut idle: Vec<&WorkerEntry> = entries.collect();
        idle.sort_by_key(|entry| self.ready_key(entry, demand.channel));
        let keys: Option<Vec<_>> = order_by.and_then(|order_by| {
            idle.iter()
                .map(|entry| {
                    let read = demand
                        .readings
                        .as_ref()
                        .map(|readings| Document::read(readings.vocabulary, &attributes_of(&entry.row.attributes)));
                    let document = read.as_ref().unwrap_or(&entry.document);
                    self.with_scope_of(entry, document, Some(demand.document), None, |scope| order_by.key(scope))
                })
                .collect()
        });
        let mut sids: Vec<WorkerSid> = idle.iter().map(|entry| entry.row.sid).collect();
        if let Some(keys) = keys {
            let mut keyed: Vec<_> = keys.into_iter().zip(sids).collect();
            keyed.sort_by(|(left, _), (right, _)| left.cmp(right));
            sids = keyed.into_iter().map(|(_, sid)| sid).collect();
        }
        sids
    }
}
