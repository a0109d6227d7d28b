//! What lists look at that no index of a store serves: tasks and workers portion by portion, and who serves which queue.
//!
//! A portion is short, so that the workspace waits for a moment only; the caller goes on behind the last SID it saw.
//! Nothing is decided, ordered or changed here. Start with [`Workspace::tasks_after`].

use std::ops::Bound;

use super::expression::{Document, Scope};
use super::index::attributes_of;
use super::sid::{ActivitySid, TaskQueueSid, TaskSid, WorkerSid};
use super::state::{Activity, Task, TaskQueue, Worker, WorkerChannel};
use super::workspace::Workspace;

impl Workspace {
    /// The tasks behind this one, by SID; all when there is none. Also those that have ended but are not removed yet.
    pub fn tasks_after(&self, after: Option<TaskSid>) -> impl Iterator<Item = &Task> {
        self.tasks.range((behind(after), Bound::Unbounded)).map(|(_, entry)| &entry.row)
    }

    /// The workers behind this one, by SID; all when there is none.
    pub fn workers_after(&self, after: Option<WorkerSid>) -> impl Iterator<Item = &Worker> {
        self.workers.range((behind(after), Bound::Unbounded)).map(|(_, entry)| &entry.row)
    }

    /// An activity.
    pub fn activity(&self, activity: ActivitySid) -> Option<&Activity> {
        self.activities.get(&activity).map(|entry| &entry.row)
    }

    /// What a worker may carry, with the unique name of each channel.
    pub fn channels_of_worker(&self, worker: WorkerSid) -> impl Iterator<Item = (&str, &WorkerChannel)> {
        let channels = self.workers.get(&worker).into_iter().flat_map(|entry| entry.channels.iter());
        channels.filter_map(|(sid, row)| Some((self.task_channels.get(sid)?.unique_name.as_str(), row)))
    }

    /// A task queue.
    pub fn task_queue(&self, queue: TaskQueueSid) -> Option<&TaskQueue> {
        self.task_queues.get(&queue).map(|entry| &entry.row)
    }

    /// The task queues, by SID.
    pub fn all_task_queues(&self) -> impl Iterator<Item = &TaskQueue> {
        self.task_queues.values().map(|entry| &entry.row)
    }

    /// Whether the worker serves the queue, whatever its activity.
    pub fn serves(&self, worker: WorkerSid, queue: TaskQueueSid) -> bool {
        self.task_queues.get(&queue).is_some_and(|entry| entry.members.contains(&worker))
    }

    /// The queues that somebody with these attributes, a JSON object as text, would serve; no field or channel of a
    /// worker is known of them.
    pub fn queues_for(&self, attributes: &str) -> Vec<TaskQueueSid> {
        let document = Document::read(&self.vocabulary, &attributes_of(attributes));
        let scope = Scope { worker: Some(&document), ..Scope::default() };
        let takes = self
            .task_queues
            .iter()
            .filter(|(_, entry)| entry.expression.as_ref().is_some_and(|expression| expression.matches(&scope)));
        takes.map(|(sid, _)| *sid).collect()
    }
}

fn behind<S>(after: Option<S>) -> Bound<S> {
    after.map_or(Bound::Unbounded, Bound::Excluded)
}
