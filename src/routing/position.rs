//! Where a task stands in its queue and how long it will wait: answered from the lanes, without a scan of other tasks.
//!
//! Also keeps account of the waits that were expected and of those that happened. Changes nothing that matching looks
//! at. Start with [`Workspace::queue_position`].

use super::estimate::{EstimateErrors, MeasuredWait, WaitEstimate};
use super::lane::{LaneKey, Position, TaskKey};
use super::sid::{TaskChannelSid, TaskQueueSid, TaskSid, WorkerSid};
use super::state::{RoutingTarget, TaskStatus};
use super::time::Timestamp;
use super::turn::Turn;
use super::workspace::Workspace;

/// Why a task has no place in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unplaced {
    /// It does not wait: it is offered, assigned or over.
    NotPending(TaskStatus),
    /// It waits for one worker, whatever the queue.
    Targeted(WorkerSid),
    /// It waits for a known worker who does not exist, so for nobody.
    NobodyKnown,
}

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePosition {
    /// The task.
    pub task: TaskSid,
    /// Where it is in its life.
    pub status: TaskStatus,
    /// The queue it is in or was in last.
    pub queue: Option<TaskQueueSid>,
    /// Its channel; tasks of other channels take other capacity and are not counted.
    pub channel: TaskChannelSid,
    /// When it came into the queue.
    pub entered_at: Option<Timestamp>,
    /// Tasks that are handed out before it.
    pub ahead: Result<usize, Unplaced>,
    /// Tasks of the channel that wait in the queue.
    pub waiting: usize,
    /// None when too little is known.
    pub estimate: Option<WaitEstimate>,
    /// Of the queue and channel since the start of the server.
    pub errors: EstimateErrors,
}

/// What a caller who waits, and the application that entertains the caller, may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The task's place and its estimated wait.
    pub position: QueuePosition,
    /// Name of the queue.
    pub queue_name: Option<String>,
    /// Priority of the task.
    pub priority: i32,
    /// Age of the task, in seconds.
    pub age_secs: i64,
    /// Average age of the tasks of the channel that wait in the queue, in seconds.
    pub average_age_secs: u64,
    /// Workers of the queue in an available activity, busy or not.
    pub workers_available: u64,
    /// Attributes of the task.
    pub attributes: String,
}

impl Workspace {
    /// What somebody who waits may want to know at `now`; none for a task that does not exist.
    pub fn outlook(&self, task: TaskSid, now: Timestamp) -> Option<Outlook> {
        let position = self.queue_position(task, now)?;
        let row = self.task(task)?;
        let queue = position.queue;
        let lane = queue.and_then(|queue| self.lanes.get(&(queue, row.channel)));
        Some(Outlook {
            queue_name: queue.and_then(|queue| Some(self.task_queue(queue)?.friendly_name.clone())),
            priority: row.priority,
            age_secs: now.secs_since(row.created_at),
            average_age_secs: lane.map_or(0, |lane| lane.average_age_secs(now)),
            workers_available: queue.map_or(0, |queue| self.available_members(queue)),
            attributes: row.attributes.clone(),
            position,
        })
    }

    /// Workers of a queue in an available activity, busy or not.
    fn available_members(&self, queue: TaskQueueSid) -> u64 {
        let Some(queue) = self.task_queues.get(&queue) else { return 0 };
        let is_available = |activity| self.activities.get(activity).is_some_and(|entry| entry.row.available);
        let members = queue.members_in.iter().filter(|(activity, _)| is_available(*activity));
        members.map(|(_, count)| u64::from(*count)).sum()
    }

    /// Where a task stands in its queue at `now`; none for a task that does not exist.
    pub fn queue_position(&self, task: TaskSid, now: Timestamp) -> Option<QueuePosition> {
        let entry = self.tasks.get(&task)?;
        let row = &entry.row;
        let lane_key = row.queue.map(|queue| (queue, row.channel));
        let lane = lane_key.and_then(|key| self.lanes.get(&key));
        let ahead = match self.line_of(task) {
            Ok((key, place)) => Ok(self.lanes.get(&key).map_or(0, |lane| lane.ahead_of(&place))),
            Err(unplaced) => Err(unplaced),
        };
        let estimate = match (ahead, lane_key) {
            (Ok(ahead), Some(key)) => self.estimate(key, ahead, now),
            _ => None,
        };
        Some(QueuePosition {
            task,
            status: row.status,
            queue: row.queue,
            channel: row.channel,
            entered_at: row.queue_entered_at,
            ahead,
            waiting: lane.map_or(0, super::lane::Lane::len),
            estimate,
            errors: lane.map(|lane| lane.pace.errors()).unwrap_or_default(),
        })
    }

    /// The lane a task waits in, and its key there.
    fn line_of(&self, task: TaskSid) -> Result<(LaneKey, TaskKey), Unplaced> {
        let Some(entry) = self.tasks.get(&task) else { return Err(Unplaced::NobodyKnown) };
        match &entry.position {
            None => Err(Unplaced::NotPending(entry.row.status)),
            Some(Position::Targeted(worker)) => Err(Unplaced::Targeted(**worker)),
            Some(Position::Awaited(_) | Position::Nobody) => Err(Unplaced::NobodyKnown),
            Some(Position::Plain | Position::Ruled(_) | Position::Known(_)) => match entry.row.queue {
                Some(queue) => Ok(((queue, entry.row.channel), self.task_key_of(&entry.row))),
                None => Err(Unplaced::NobodyKnown),
            },
        }
    }

    /// The wait of a task that has `ahead` others before it; unknown too while nobody of the queue is at work.
    fn estimate(&self, lane: LaneKey, ahead: usize, now: Timestamp) -> Option<WaitEstimate> {
        if self.available_members(lane.0) > 0 { self.lanes.get(&lane)?.pace.estimate(ahead, now) } else { None }
    }
}

impl Turn<'_> {
    /// Notes what is expected of the tasks that came into a queue and have to wait there.
    pub(super) fn expect_waits(&mut self) {
        for task in std::mem::take(&mut self.entered) {
            let expected = self.workspace.line_of(task).ok().and_then(|(lane, key)| {
                let ahead = self.workspace.lanes.get(&lane)?.ahead_of(&key);
                self.workspace.estimate(lane, ahead, self.now)
            });
            if let Some(entry) = self.workspace.tasks.get_mut(&task) {
                entry.expected_secs = expected.map(|estimate| estimate.secs);
            }
        }
    }

    /// Counts a task that is being accepted, unless it was offered as soon as it came.
    pub(super) fn end_wait(&mut self, task: TaskSid, offered_at: Timestamp) {
        let now = self.now;
        let Some(entry) = self.workspace.tasks.get_mut(&task) else { return };
        let expected = entry.expected_secs.take();
        let row = &entry.row;
        let transfer = row.transfer.and_then(|transfer| self.workspace.transfers.get(&transfer));
        let came = transfer.map(|transfer| transfer.created_at).or(row.queue_entered_at);
        let Some((queue, came)) = row.queue.zip(came) else { return };
        if offered_at <= came || matches!(*row.routing_target, Some(RoutingTarget::Worker(_))) {
            return;
        }
        let Some(lane) = self.workspace.lanes.get_mut(&(queue, row.channel)) else { return };
        lane.pace.accept(now);
        if let (Some(expected_secs), None) = (expected, transfer) {
            let waited_ms = now.ms_since(came);
            lane.pace.measure(expected_secs, waited_ms);
            self.waits.push(MeasuredWait { queue, channel: row.channel, expected_secs, waited_ms });
        }
    }
}
