//! Why a worker gets nothing: its queues, what waits in them, and the first reason each task is not offered to it.
//!
//! Start with [`Workspace::explain_worker`].

use std::collections::BTreeSet;

use crate::routing::expression::{Clause, Syntaxes};
use crate::routing::lane::TaskKey;
use crate::routing::matcher::GlobalKey;
use crate::routing::sid::{ReservationSid, TaskChannelSid, TaskQueueSid, TaskSid, WorkerSid};
use crate::routing::state::ReservationStatus;
use crate::routing::time::Timestamp;
use crate::routing::workspace::{WorkerEntry, Workspace};

use super::blocks::{Block, Tally};

/// Why a worker gets nothing, or what it has.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerExplanation {
    /// The worker.
    pub worker: WorkerSid,
    /// Its name.
    pub friendly_name: String,
    /// The moment all this is of.
    pub at: Timestamp,
    /// The most important in one or two sentences.
    pub summary: String,
    /// Its activity, and whether that is an available one.
    pub activity: (String, bool),
    /// What it carries on each channel.
    pub channels: Vec<ChannelLoad>,
    /// What it is offered or has.
    pub reservations: Vec<(ReservationSid, TaskSid, ReservationStatus)>,
    /// How many queues it is in.
    pub member_of: usize,
    /// How many queues there are.
    pub queues_total: usize,
    /// Some queues, first those that it is in.
    pub queues: Vec<QueueMembership>,
    /// Tasks that wait in its queues or for it.
    pub waiting: usize,
    /// These by the first thing that blocks each; all of them, as far as they are examined.
    pub tally: Tally,
    /// The first of these in hand-out order, with the first thing that blocks each.
    pub tasks: Vec<WaitingTask>,
}

/// What a worker carries on one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelLoad {
    /// Unique name of the channel.
    pub channel: String,
    /// Whether it takes new tasks.
    pub available: bool,
    /// At most so many.
    pub configured_capacity: u32,
    /// Pending, accepted and wrapping reservations.
    pub used: u32,
}

/// A queue and whether the worker is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueMembership {
    /// The queue.
    pub queue: TaskQueueSid,
    /// Its name.
    pub friendly_name: String,
    /// Its expression.
    pub target_workers: String,
    /// Whether the worker is in it.
    pub member: bool,
    /// Tasks that wait in it.
    pub waiting: usize,
    /// The clauses that keep the worker out.
    pub clauses: Vec<Clause>,
}

/// A waiting task and the first thing that keeps the worker from it.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingTask {
    /// The task.
    pub task: TaskSid,
    /// Where it waits.
    pub queue: Option<TaskQueueSid>,
    /// Unique name of its channel.
    pub channel: String,
    /// Its priority.
    pub priority: i32,
    /// None when it is about to be offered.
    pub block: Option<Block>,
}

impl Workspace {
    /// Why a worker gets nothing; none for one that does not exist. Lists hold at most `limit` entries.
    pub fn explain_worker(&self, worker: WorkerSid, now: Timestamp, limit: usize) -> Option<WorkerExplanation> {
        let entry = self.workers.get(&worker)?;
        let channels = entry.channels.values().map(|row| ChannelLoad {
            channel: self.channel_name(row.channel),
            available: row.available,
            configured_capacity: row.configured_capacity,
            used: row.used,
        });
        let reservations = entry.open.iter().filter_map(|sid| self.reservations.get(sid));
        let syntaxes = Syntaxes::default();
        let (waiting, first) = self.first_waiting_for(entry, limit);
        let tasks: Vec<WaitingTask> =
            first.into_iter().filter_map(|task| self.waiting_task(entry, task, &syntaxes, now)).collect();
        let activity = (self.activity_name(entry).to_owned(), self.is_available(entry));
        let mut explanation = WorkerExplanation {
            worker,
            friendly_name: entry.row.friendly_name.clone(),
            at: now,
            summary: String::new(),
            activity,
            channels: channels.collect(),
            reservations: reservations.map(|row| (row.sid, row.task, row.status)).collect(),
            member_of: entry.queues.len(),
            queues_total: self.task_queues.len(),
            queues: self.memberships(entry, limit),
            waiting,
            tally: self.waiting_by_reason(entry, &syntaxes, now),
            tasks,
        };
        explanation.summary = summary(&explanation);
        Some(explanation)
    }

    fn channel_name(&self, channel: TaskChannelSid) -> String {
        self.task_channels.get(&channel).map(|row| row.unique_name.clone()).unwrap_or_default()
    }

    fn memberships(&self, worker: &WorkerEntry, limit: usize) -> Vec<QueueMembership> {
        let outside = self.task_queues.keys().filter(|queue| !worker.queues.contains(queue));
        let queues = worker.queues.iter().chain(outside).take(limit);
        queues
            .filter_map(|queue| {
                let entry = self.task_queues.get(queue)?;
                let member = worker.queues.contains(queue);
                let mut clauses = Vec::new();
                if !member {
                    self.explain_membership(worker, Some(*queue), &mut clauses);
                }
                Some(QueueMembership {
                    queue: *queue,
                    friendly_name: entry.row.friendly_name.clone(),
                    target_workers: entry.row.target_workers.clone(),
                    member,
                    waiting: self.lanes_of_queue(*queue).map(|(_, lane)| lane.len()).sum(),
                    clauses,
                })
            })
            .collect()
    }

    /// How many tasks wait in the worker's queues or for the worker alone, and the first of them in the global order.
    fn first_waiting_for(&self, worker: &WorkerEntry, limit: usize) -> (usize, Vec<TaskSid>) {
        let lanes = || worker.queues.iter().flat_map(|queue| self.lanes_of_queue(*queue)).map(|(_, lane)| lane);
        let targeted = self.targeted.get(&worker.row.sid);
        let total = lanes().map(super::super::lane::Lane::len).sum::<usize>() + targeted.map_or(0, BTreeSet::len);
        // The smallest keys of all lanes: each lane gives one more only when its last one was taken.
        let mut sources: Vec<Box<dyn Iterator<Item = TaskKey> + '_>> = Vec::new();
        sources.extend(
            targeted.map(|waiting| Box::new(waiting.iter().map(|(key, _)| *key)) as Box<dyn Iterator<Item = _>>),
        );
        for lane in lanes() {
            sources.push(Box::new(lane.waiting()));
        }
        let mut heads: BTreeSet<(GlobalKey, usize)> = BTreeSet::new();
        for (at, line) in sources.iter_mut().enumerate() {
            heads.extend(line.next().map(|key| (self.global_key(key), at)));
        }
        let mut first = Vec::new();
        while first.len() < limit
            && let Some((key, at)) = heads.pop_first()
        {
            first.push(key.1.task());
            let next = sources.get_mut(at).and_then(Iterator::next);
            heads.extend(next.map(|key| (self.global_key(key), at)));
        }
        (total, first)
    }

    fn waiting_task(
        &self,
        worker: &WorkerEntry,
        task: TaskSid,
        syntaxes: &Syntaxes,
        now: Timestamp,
    ) -> Option<WaitingTask> {
        let row = &self.tasks.get(&task)?.row;
        let document = self.read_document(&row.attributes);
        let demand = self.demand_of(row, &document, syntaxes);
        Some(WaitingTask {
            task,
            queue: row.queue,
            channel: self.channel_name(row.channel),
            priority: row.priority,
            block: self.verdict(worker, &demand, now).blocks.into_iter().next(),
        })
    }
}

fn summary(explanation: &WorkerExplanation) -> String {
    let name = &explanation.friendly_name;
    let (activity, available) = &explanation.activity;
    if !available {
        return format!("{name} is in the activity {activity}, which is not available.");
    }
    if explanation.member_of == 0 {
        let total = explanation.queues_total;
        return format!("{name} is in none of the {total} task queues.");
    }
    if explanation.waiting == 0 {
        return format!("No task waits in the {} task queues of {name}.", explanation.member_of);
    }
    match explanation.tasks.iter().find_map(|task| task.block.as_ref()) {
        Some(block) => {
            format!("{} tasks wait in the task queues of {name}, who {}.", explanation.waiting, block.detail)
        }
        None => format!("{} tasks wait in the task queues of {name}.", explanation.waiting),
    }
}
