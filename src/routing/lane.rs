//! Where tasks wait and where workers stand ready: one lane for each task queue and task channel.
//!
//! Waiting tasks are kept in hand-out order, ready workers by how long they have been idle, so that a match is a look at
//! the heads and never a scan. Tasks that nothing distinguishes for matching share a [`Class`]: when a worker becomes
//! ready, each class is asked once, whatever the number of its tasks. This module only keeps order; who goes where is
//! decided in `matcher`. Start with [`Lane`].

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::defect::defect;
use super::estimate::Pace;
use super::expression::{Document, Projection};
use super::line::Line;
use super::sid::{TaskChannelSid, TaskQueueSid, TaskSid, WorkerSid, WorkflowSid};
use super::state::{Step, Task, TaskOrder};
use super::time::Timestamp;

/// Names a lane.
pub(super) type LaneKey = (TaskQueueSid, TaskChannelSid);

/// The lane of a task's queue and channel.
pub(super) fn lane_key_of(task: &Task) -> Option<LaneKey> {
    task.queue.map(|queue| (queue, task.channel))
}

/// Orders waiting tasks of one kind of queue: the smallest is handed out first (TaskRouter: Queue ordering).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TaskKey {
    /// Highest priority, then oldest virtual start, then oldest, then SID.
    Fifo(Reverse<i32>, Timestamp, Timestamp, TaskSid),
    /// Newest virtual start, then newest, then SID downwards (D42).
    Lifo(Reverse<Timestamp>, Reverse<Timestamp>, Reverse<TaskSid>),
}

impl TaskKey {
    pub(super) fn of(task: &Task, order: TaskOrder) -> Self {
        match order {
            TaskOrder::Fifo if defect!(PriorityIgnored) => {
                Self::Fifo(Reverse(0), task.virtual_start_at, task.created_at, task.sid)
            }
            TaskOrder::Fifo if defect!(TieBrokenWrongly) => {
                let younger_first = Timestamp(-task.created_at.0);
                Self::Fifo(Reverse(task.priority), task.virtual_start_at, younger_first, task.sid)
            }
            TaskOrder::Fifo => Self::Fifo(Reverse(task.priority), task.virtual_start_at, task.created_at, task.sid),
            TaskOrder::Lifo => Self::Lifo(Reverse(task.virtual_start_at), Reverse(task.created_at), Reverse(task.sid)),
        }
    }

    /// When the task was made.
    const fn created_at(self) -> Timestamp {
        match self {
            Self::Fifo(_, _, created_at, _) | Self::Lifo(_, Reverse(created_at), _) => created_at,
        }
    }

    pub(super) const fn task(self) -> TaskSid {
        match self {
            Self::Fifo(.., sid) | Self::Lifo(.., Reverse(sid)) => sid,
        }
    }

    pub(super) const fn order(self) -> TaskOrder {
        match self {
            Self::Fifo(..) => TaskOrder::Fifo,
            Self::Lifo(..) => TaskOrder::Lifo,
        }
    }
}

/// Orders ready workers: longest without a reservation first, then oldest, then SID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReadyKey {
    pub(super) idle_since: Timestamp,
    pub(super) created_at: Timestamp,
    pub(super) worker: WorkerSid,
}

/// What a step asks of a worker, with the values of the task that the answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    pub(super) workflow: WorkflowSid,
    pub(super) version: u32,
    pub(super) step: Step,
    pub(super) projection: Projection,
    /// The answer may change with the minute.
    pub(super) uses_time: bool,
}

/// Tasks of a lane that matching cannot tell apart.
#[derive(Debug)]
pub(super) struct Class {
    /// The values the target expression sees.
    pub(super) document: Arc<Document>,
    pub(super) tasks: Line<TaskKey>,
}

/// Classes by what they ask of a worker; the tasks of a class share the rule.
pub(super) type Rules = BTreeMap<Arc<Rule>, Class>;

/// One queue's tasks and workers on one channel.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Tasks that any ready worker may take.
    pub(super) plain: Line<TaskKey>,
    /// Tasks whose target has an expression.
    pub(super) ruled: Rules,
    /// Tasks that wait for one known worker.
    pub(super) known: BTreeMap<WorkerSid, Rules>,
    /// How many tasks `ruled` has.
    pub(super) ruled_tasks: usize,
    /// All ruled and known tasks in one order, so that a place can be told.
    choosy: Line<TaskKey>,
    /// Sum of the moments at which the tasks that wait here were made, in milliseconds.
    created_ms: i128,
    /// Members that could be reserved now.
    pub(super) ready: BTreeSet<ReadyKey>,
    /// How fast tasks leave.
    pub(super) pace: Pace,
}

/// A worker's name that nobody bears, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AwaitedName(pub(super) String);

/// Where a pending task waits; of its queue and channel, in the order of its key, unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Position {
    /// For anybody ready in the lane.
    Plain,
    /// For those that satisfy the rule.
    Ruled(Arc<Rule>),
    /// For one worker of the lane, if that one satisfies the rule.
    Known(Box<(WorkerSid, Arc<Rule>)>),
    /// For one worker, whatever the queue.
    Targeted(Box<WorkerSid>),
    /// For a known worker by this lower-case name, which nobody bears yet.
    Awaited(Box<AwaitedName>),
    /// For nobody: no worker is known, or the queue is gone.
    Nobody,
}

impl Position {
    /// Whether the task waits in the line of its lane.
    const fn is_in_lane(&self) -> bool {
        matches!(self, Self::Plain | Self::Ruled(_) | Self::Known(_))
    }

    /// Whether what the step asks may change with the minute.
    pub(super) fn uses_time(&self) -> bool {
        match self {
            Self::Ruled(rule) => rule.uses_time,
            Self::Known(known) => known.1.uses_time,
            Self::Plain | Self::Targeted(_) | Self::Awaited(_) | Self::Nobody => false,
        }
    }
}

impl Lane {
    /// Tasks that wait here.
    pub(super) const fn len(&self) -> usize {
        self.plain.len() + self.choosy.len()
    }

    /// Tasks that wait here and are handed out before `key`.
    pub(super) fn ahead_of(&self, key: &TaskKey) -> usize {
        self.plain.rank(key) + self.choosy.rank(key)
    }

    /// How old the tasks that wait here are on average, in whole seconds; 0 when none does.
    pub(super) fn average_age_secs(&self, now: Timestamp) -> u64 {
        let Ok(count) = i128::try_from(self.len()) else { return 0 };
        let ages_ms = i128::from(now.0).saturating_mul(count).saturating_sub(self.created_ms);
        ages_ms.checked_div(count).and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0) / 1000
    }

    /// Tasks that wait here, in hand-out order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = TaskKey> {
        let (mut plain, mut choosy) = (self.plain.iter().peekable(), self.choosy.iter().peekable());
        std::iter::from_fn(move || match (plain.peek(), choosy.peek()) {
            (Some(first), Some(second)) if first < second => plain.next().copied(),
            (Some(_), None) => plain.next().copied(),
            _ => choosy.next().copied(),
        })
    }

    /// Notes whether somebody waits from this moment on; nothing is known before the first command.
    pub(super) fn note_pace(&mut self, somebody_waits: bool, moment: Option<Timestamp>) {
        if let Some(moment) = moment {
            self.pace.note(somebody_waits, moment);
        }
    }

    /// Adds a task; a position that is new here may come back with the rule of its class, to be shared.
    pub(super) fn add(
        &mut self,
        position: Position,
        key: TaskKey,
        document: impl FnOnce() -> Arc<Document>,
    ) -> Position {
        if position.is_in_lane() {
            self.created_ms = self.created_ms.saturating_add(i128::from(key.created_at().0));
        }
        match position {
            Position::Plain => {
                self.plain.insert(key);
                Position::Plain
            }
            Position::Ruled(rule) => {
                self.choosy.insert(key);
                self.ruled_tasks += 1;
                Position::Ruled(add_to(&mut self.ruled, rule, key, document))
            }
            Position::Known(known) => {
                let (worker, rule) = *known;
                self.choosy.insert(key);
                let rule = add_to(self.known.entry(worker).or_default(), rule, key, document);
                Position::Known(Box::new((worker, rule)))
            }
            elsewhere @ (Position::Targeted(_) | Position::Awaited(_) | Position::Nobody) => elsewhere,
        }
    }

    pub(super) fn remove(&mut self, position: &Position, key: TaskKey) {
        if position.is_in_lane() {
            self.created_ms = self.created_ms.saturating_sub(i128::from(key.created_at().0));
        }
        match position {
            Position::Plain => self.plain.remove(&key),
            Position::Ruled(rule) => {
                self.choosy.remove(&key);
                self.ruled_tasks -= 1;
                remove_from(&mut self.ruled, rule, key);
            }
            Position::Known(known) => {
                let (worker, rule) = &**known;
                self.choosy.remove(&key);
                if let Some(rules) = self.known.get_mut(worker) {
                    remove_from(rules, rule, key);
                    if rules.is_empty() {
                        self.known.remove(worker);
                    }
                }
            }
            Position::Targeted(_) | Position::Awaited(_) | Position::Nobody => {}
        }
    }
}

/// Adds a task to its class and returns the rule as the class has it.
fn add_to(rules: &mut Rules, rule: Arc<Rule>, key: TaskKey, document: impl FnOnce() -> Arc<Document>) -> Arc<Rule> {
    match rules.entry(rule) {
        Entry::Occupied(mut class) => {
            class.get_mut().tasks.insert(key);
            Arc::clone(class.key())
        }
        Entry::Vacant(class) => {
            let rule = Arc::clone(class.key());
            class.insert(Class { document: document(), tasks: Line::of(key) });
            rule
        }
    }
}

fn remove_from(rules: &mut Rules, rule: &Rule, key: TaskKey) {
    if let Some(class) = rules.get_mut(rule) {
        class.tasks.remove(&key);
        if class.tasks.is_empty() {
            rules.remove(rule);
        }
    }
}
