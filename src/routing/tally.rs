//! Counts tasks as they come and go, so that a question about all of them looks at none of them.
//!
//! One [`Tally`] for each combination of queue, workflow and channel that tasks have now; larger scopes are sums. Kept by
//! `Workspace::place_task` and `Workspace::lift_task` and derived, never stored. Nothing is decided here; the
//! questions are in `real_time`. Start with [`Tallies`].

use std::collections::BTreeMap;

use super::line::Line;
use super::sid::{TaskChannelSid, TaskQueueSid, TaskSid, WorkflowSid};
use super::state::{Task, TaskStatus};
use super::time::Timestamp;

/// Names a tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) queue: Option<TaskQueueSid>,
    pub(super) workflow: Option<WorkflowSid>,
    pub(super) channel: TaskChannelSid,
}

impl Group {
    const fn of(task: &Task) -> Self {
        Self { queue: task.queue, workflow: task.workflow, channel: task.channel }
    }
}

/// A pending task since a moment. There is one for each waiting task, so the SID is kept in halves that need no padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    since: Timestamp,
    high: u64,
    low: u64,
}

impl Waiting {
    fn new(since: Timestamp, task: TaskSid) -> Self {
        let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
        Self { since, high: half(task.bits() >> 64), low: half(task.bits()) }
    }

    fn read(self) -> (Timestamp, TaskSid) {
        (self.since, TaskSid::from_bits(u128::from(self.high) << 64 | u128::from(self.low)))
    }
}

/// The tasks of one group.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// In the order of [`TaskStatus::ALL`].
    by_status: [u32; TaskStatus::ALL.len()],
    /// Of those that have not ended.
    pub(super) by_priority: BTreeMap<i32, u32>,
    /// Pending ones that came into their queue when they were made, as most do: one order for both questions.
    since_creation: Line<Waiting>,
    /// The other pending ones, by creation.
    by_creation: Line<Waiting>,
    /// The other pending ones, by entry into the queue.
    by_entry: Line<Waiting>,
}

impl Tally {
    pub(super) fn in_status(&self, status: TaskStatus) -> u32 {
        self.by_status[status as usize]
    }

    /// The pending task that was made first.
    pub(super) fn oldest(&self) -> Option<(Timestamp, TaskSid)> {
        first_of([&self.since_creation, &self.by_creation])
    }

    /// The pending task that came into its queue first.
    pub(super) fn longest_in_queue(&self) -> Option<(Timestamp, TaskSid)> {
        first_of([&self.since_creation, &self.by_entry])
    }

    fn add(&mut self, task: &Task) {
        self.by_status[task.status as usize] += 1;
        if !task.status.is_final() {
            *self.by_priority.entry(task.priority).or_insert(0) += 1;
        }
        if task.status == TaskStatus::Pending {
            let made = Waiting::new(task.created_at, task.sid);
            if task.queue_entered_at == Some(task.created_at) {
                self.since_creation.insert(made);
                return;
            }
            self.by_creation.insert(made);
            if let Some(entered) = task.queue_entered_at {
                self.by_entry.insert(Waiting::new(entered, task.sid));
            }
        }
    }

    fn remove(&mut self, task: &Task) {
        let count = &mut self.by_status[task.status as usize];
        *count = count.saturating_sub(1);
        if !task.status.is_final()
            && let Some(count) = self.by_priority.get_mut(&task.priority)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_priority.remove(&task.priority);
            }
        }
        if task.status == TaskStatus::Pending {
            let made = Waiting::new(task.created_at, task.sid);
            self.since_creation.remove(&made);
            self.by_creation.remove(&made);
            if let Some(entered) = task.queue_entered_at {
                self.by_entry.remove(&Waiting::new(entered, task.sid));
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.by_status.iter().all(|count| *count == 0)
    }
}

fn first_of(orders: [&Line<Waiting>; 2]) -> Option<(Timestamp, TaskSid)> {
    orders.into_iter().filter_map(Line::first).min().map(|first| first.read())
}

/// The tallies of a workspace.
#[derive(Debug, Default)]
pub(super) struct Tallies(BTreeMap<Group, Tally>);

impl Tallies {
    /// Counts a task as it is.
    pub(super) fn add(&mut self, task: &Task) {
        self.0.entry(Group::of(task)).or_default().add(task);
    }

    /// Takes a task out as it was counted.
    pub(super) fn remove(&mut self, task: &Task) {
        let group = Group::of(task);
        if let Some(tally) = self.0.get_mut(&group) {
            tally.remove(task);
            if tally.is_empty() {
                self.0.remove(&group);
            }
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Group, &Tally)> {
        self.0.iter()
    }

    /// Those of one queue.
    pub(super) fn of_queue(&self, queue: TaskQueueSid) -> impl Iterator<Item = (&Group, &Tally)> {
        let least = Group { queue: Some(queue), workflow: None, channel: TaskChannelSid::from_bits(0) };
        self.0.range(least..).take_while(move |(group, _)| group.queue == Some(queue))
    }
}
