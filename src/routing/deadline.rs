//! What happens by itself when its moment comes, and how a task remembers its entries in the index of deadlines.
//!
//! Which deadlines a task has is told by `index`, what they cause by `task`. Start with [`Deadline`].

use super::rare::Rare;
use super::sid::{ReservationSid, TaskSid, WorkerSid};
use super::time::Timestamp;

/// Something that happens by itself when its moment comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deadline {
    /// A pending reservation times out.
    Reservation(ReservationSid),
    /// A task's time to live is over.
    TaskLife(TaskSid),
    /// A task's workflow step is over.
    Step(TaskSid),
    /// A worker may be offered the task again.
    BackOff(TaskSid),
    /// A task was assigned for too long.
    AssignedTooLong(TaskSid),
    /// A finished task is removed.
    Purge(TaskSid),
    /// A worker without a socket was waited for long enough.
    Grace(WorkerSid),
}

/// How a task ends by itself; at most one of these at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// [`Deadline::TaskLife`]
    Life,
    /// [`Deadline::AssignedTooLong`]
    AssignedTooLong,
    /// [`Deadline::Purge`]
    Purge,
}

impl End {
    const fn of(self, task: TaskSid) -> Deadline {
        match self {
            Self::Life => Deadline::TaskLife(task),
            Self::AssignedTooLong => Deadline::AssignedTooLong(task),
            Self::Purge => Deadline::Purge(task),
        }
    }
}

/// Marks a deadline that a task does not have: there are many waiting tasks, and an option takes twice the room.
const NEVER: Timestamp = Timestamp(i64::MAX);

/// The deadlines of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TaskDeadlines {
    end: End,
    ends_at: Timestamp,
    /// When its step and when a back-off ends: few tasks have either.
    others: Rare<Option<(Timestamp, Timestamp)>>,
}

impl TaskDeadlines {
    /// No deadlines.
    pub(super) const NONE: Self = Self { end: End::Life, ends_at: NEVER, others: Rare::UNSET };

    pub(super) const fn end(&mut self, end: End, at: Timestamp) {
        self.end = end;
        self.ends_at = at;
    }

    pub(super) fn step(&mut self, at: Timestamp) {
        let (_, back_off) = self.others.unwrap_or((NEVER, NEVER));
        self.others.set(Some((at, back_off)));
    }

    pub(super) fn back_off(&mut self, at: Timestamp) {
        let (step, _) = self.others.unwrap_or((NEVER, NEVER));
        self.others.set(Some((step, at)));
    }

    /// The entries of `task` in the index.
    pub(super) fn entries(&self, task: TaskSid) -> impl Iterator<Item = (Timestamp, Deadline)> + use<> {
        let (step_ends_at, back_off_ends_at) = self.others.unwrap_or((NEVER, NEVER));
        let all = [
            (self.ends_at, self.end.of(task)),
            (step_ends_at, Deadline::Step(task)),
            (back_off_ends_at, Deadline::BackOff(task)),
        ];
        all.into_iter().filter(|(at, _)| *at != NEVER)
    }
}
