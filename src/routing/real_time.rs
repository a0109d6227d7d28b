//! Answers questions about the present state of a workspace: real-time statistics (rest.md 9).
//!
//! Everything is a sum of what is counted already (`tally`, queue members, workers by activity), whatever the number of
//! tasks and workers. Nothing changes and nothing is decided. Start with [`Workspace::task_figures`].

use std::collections::BTreeMap;

use super::command::ChannelName;
use super::sid::{ActivitySid, TaskChannelSid, TaskQueueSid, TaskSid, WorkerSid, WorkflowSid};
use super::state::TaskStatus;
use super::tally::{Group, Tally};
use super::time::Timestamp;
use super::workspace::Workspace;

/// Whose tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the resource of the same name")]
pub enum TasksOf {
    Workspace,
    TaskQueue(TaskQueueSid),
    Workflow(WorkflowSid),
}

/// Figures about tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskFigures {
    /// Tasks in each status, those that have ended and are not removed yet included.
    pub by_status: BTreeMap<TaskStatus, u64>,
    /// Tasks that have not ended, by priority.
    pub by_priority: BTreeMap<i32, u64>,
    /// The pending task that was made first, and its age in whole seconds.
    pub oldest: Option<(TaskSid, i64)>,
    /// The pending task that came into its queue first, and for how long it has been there, in whole seconds.
    pub longest_in_queue: Option<(TaskSid, i64)>,
}

impl TaskFigures {
    /// Tasks that have not ended.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_status.iter().filter(|(status, _)| !status.is_final()).map(|(_, count)| count).sum()
    }

    fn sum<'a>(tallies: impl Iterator<Item = (&'a Group, &'a Tally)>, now: Timestamp) -> Self {
        let mut figures = Self::default();
        let (mut oldest, mut longest) = (None, None);
        for (_, tally) in tallies {
            for status in TaskStatus::ALL {
                *figures.by_status.entry(*status).or_insert(0) += u64::from(tally.in_status(*status));
            }
            for (priority, count) in &tally.by_priority {
                *figures.by_priority.entry(*priority).or_insert(0) += u64::from(*count);
            }
            oldest = earlier(oldest, tally.oldest());
            longest = earlier(longest, tally.longest_in_queue());
        }
        let age = |(since, task): (Timestamp, TaskSid)| (task, now.secs_since(since));
        figures.oldest = oldest.map(age);
        figures.longest_in_queue = longest.map(age);
        figures
    }
}

fn earlier<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}

/// Which workers; all conditions hold at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkersWhere {
    /// Eligible for this queue.
    pub queue: Option<TaskQueueSid>,
    /// With exactly this name.
    pub friendly_name: Option<String>,
}

/// Figures about workers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerFigures {
    /// All of them.
    pub total: u64,
    /// Those in an available activity, busy or not.
    pub available: u64,
    /// Every activity of the workspace with its name and how many workers are in it.
    pub by_activity: Vec<(ActivitySid, String, u64)>,
}

impl Workspace {
    /// Figures about the tasks of a scope, on one channel or on all; `None` when the scope does not exist.
    pub fn task_figures(&self, of: TasksOf, channel: Option<TaskChannelSid>, now: Timestamp) -> Option<TaskFigures> {
        let on_channel = |entry: &(&Group, &Tally)| channel.is_none_or(|channel| entry.0.channel == channel);
        Some(match of {
            TasksOf::Workspace => TaskFigures::sum(self.tallies.all().filter(on_channel), now),
            TasksOf::TaskQueue(queue) => {
                self.task_queues.get(&queue)?;
                TaskFigures::sum(self.tallies.of_queue(queue).filter(on_channel), now)
            }
            TasksOf::Workflow(workflow) => {
                self.workflows.get(&workflow)?;
                let of_workflow = |entry: &(&Group, &Tally)| entry.0.workflow == Some(workflow);
                TaskFigures::sum(self.tallies.all().filter(of_workflow).filter(on_channel), now)
            }
        })
    }

    /// Figures about workers; none of them when the queue or the name does not exist.
    pub fn worker_figures(&self, workers: &WorkersWhere) -> WorkerFigures {
        let nobody = BTreeMap::new();
        let one: BTreeMap<ActivitySid, u32>;
        let by_activity = match (&workers.friendly_name, workers.queue) {
            (None, None) => &self.workers_in,
            (None, Some(queue)) => self.task_queues.get(&queue).map_or(&nobody, |entry| &entry.members_in),
            (Some(_), _) => {
                let found = self.workers_where(workers).into_iter().filter_map(|worker| self.worker(worker));
                one = found.map(|row| (row.activity, 1)).collect();
                &one
            }
        };
        let count = |activity: &ActivitySid| by_activity.get(activity).copied().map_or(0, u64::from);
        WorkerFigures {
            total: by_activity.values().copied().map(u64::from).sum(),
            available: self.activities.iter().filter(|(_, entry)| entry.row.available).map(|(sid, _)| count(sid)).sum(),
            by_activity: self
                .activities
                .iter()
                .map(|(sid, entry)| (*sid, entry.row.friendly_name.clone(), count(sid)))
                .collect(),
        }
    }

    /// The workers that satisfy the conditions, by SID.
    pub fn workers_where(&self, workers: &WorkersWhere) -> Vec<WorkerSid> {
        let members = workers.queue.map(|queue| self.task_queues.get(&queue).map(|entry| &entry.members));
        let belongs = |worker: &WorkerSid| match members {
            None => true,
            Some(members) => members.is_some_and(|members| members.contains(worker)),
        };
        if let Some(name) = &workers.friendly_name {
            let worker = self.worker_names.get(&name.to_lowercase()).copied();
            let bears_it = |worker: &WorkerSid| self.worker(*worker).is_some_and(|row| row.friendly_name == *name);
            return worker.into_iter().filter(|worker| bears_it(worker) && belongs(worker)).collect();
        }
        match members {
            None => self.workers.keys().copied().collect(),
            Some(members) => members.into_iter().flatten().copied().collect(),
        }
    }

    /// A channel by its SID or its unique name.
    pub fn task_channel_named(&self, name: &ChannelName) -> Option<TaskChannelSid> {
        match name {
            ChannelName::Sid(sid) => self.task_channels.contains_key(sid).then_some(*sid),
            ChannelName::Unique(name) => self.channel_names.get(name).copied(),
            ChannelName::WorkerChannel(_) => None,
        }
    }
}
