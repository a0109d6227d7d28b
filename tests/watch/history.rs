//! Events: numbers without gaps, moments that do not go back, and lives that go only the documented ways (I4, I5); and
//! versions that grow with each change.

use switchhook::routing::{
    EventKind, EventRecord, ReservationSid, ReservationStatus, RowChange, Task, TaskSid, TaskStatus, WorkerSid,
};

use super::few::FewValues;
use super::{Step, Watch};

/// Which status follows which, within one command.
fn may_follow(before: Option<TaskStatus>, after: TaskStatus) -> bool {
    use TaskStatus::{Assigned, Canceled, Completed, Pending, Reserved, Wrapping};
    match before {
        None => after == Pending,
        // Assigned follows when a transfer is taken back.
        Some(Pending) => matches!(after, Pending | Reserved | Canceled | Assigned),
        Some(Reserved) => matches!(after, Reserved | Pending | Assigned | Canceled),
        Some(Assigned) => matches!(after, Assigned | Wrapping | Completed | Pending | Reserved),
        Some(Wrapping) => matches!(after, Wrapping | Completed),
        Some(Completed) => after == Completed,
        Some(Canceled) => after == Canceled,
    }
}

fn reservation_may_follow(before: Option<ReservationStatus>, after: ReservationStatus) -> bool {
    use ReservationStatus::{Accepted, Canceled, Completed, Pending, Rejected, Rescinded, Timeout, Wrapping};
    match before {
        None => after == Pending,
        Some(Pending) => matches!(after, Accepted | Rejected | Timeout | Canceled | Rescinded),
        Some(Accepted) => matches!(after, Wrapping | Completed),
        Some(Wrapping) => after == Completed,
        Some(Rejected | Timeout | Canceled | Rescinded | Completed) => false,
    }
}

/// The status that a reservation's event tells of.
fn told(kind: EventKind) -> Option<ReservationStatus> {
    Some(match kind {
        EventKind::ReservationCreated => ReservationStatus::Pending,
        EventKind::ReservationAccepted => ReservationStatus::Accepted,
        EventKind::ReservationRejected => ReservationStatus::Rejected,
        EventKind::ReservationTimeout => ReservationStatus::Timeout,
        EventKind::ReservationCanceled => ReservationStatus::Canceled,
        EventKind::ReservationRescinded => ReservationStatus::Rescinded,
        EventKind::ReservationWrapup => ReservationStatus::Wrapping,
        EventKind::ReservationCompleted => ReservationStatus::Completed,
        _ => return None,
    })
}

/// Whether an offer of the task ended unaccepted.
fn offer_ended(events: &[EventRecord], task: TaskSid) -> bool {
    events.iter().filter(|event| event.about.task == Some(task)).any(|event| {
        matches!(
            event.kind,
            EventKind::ReservationRejected
                | EventKind::ReservationTimeout
                | EventKind::ReservationCanceled
                | EventKind::ReservationRescinded
        )
    })
}

/// Whether an event may tell of a task that has ended, although the command did not end it.
fn may_come_after_the_end(kind: EventKind) -> bool {
    matches!(kind, EventKind::TaskUpdated | EventKind::TaskDeleted)
}

impl Watch {
    pub(super) fn history_holds(&mut self, step: &Step<'_>) -> Result<(), String> {
        self.numbers_follow(step)?;
        let mut tasks: FewValues<TaskSid, Option<TaskStatus>> = FewValues::new();
        let mut reservations: FewValues<ReservationSid, Option<ReservationStatus>> = FewValues::new();
        for undo in &step.undo {
            match undo {
                RowChange::Task(row) => tasks.insert(row.sid, Some(row.status)),
                RowChange::TaskDeleted(sid) => tasks.insert(*sid, None),
                RowChange::Reservation(row) => reservations.insert(row.sid, Some(row.status)),
                RowChange::ReservationDeleted(sid) => reservations.insert(*sid, None),
                _ => {}
            }
        }
        let ended: Vec<TaskSid> = tasks
            .iter()
            .filter(|(_, status)| status.is_some_and(TaskStatus::is_final))
            .map(|(task, _)| *task)
            .collect();
        for event in step.events {
            if let (Some(task), Some(status)) = (event.about.task, event.about.task_status) {
                let before = tasks.entry(task, || self.stored.tasks.get(&task).map(|row| row.status));
                if event.kind == EventKind::TaskCreated && before.is_some() {
                    return Err(format!("{task} was created twice"));
                }
                if !may_follow(*before, status) {
                    return Err(format!("{}: {task} was {before:?} and is {status:?}", event.kind));
                }
                if ended.contains(&task) && !may_come_after_the_end(event.kind) {
                    return Err(format!("{}: {task} had ended", event.kind));
                }
                *before = Some(status);
            }
            if let (Some(reservation), Some(status)) = (event.about.reservation, told(event.kind)) {
                let before = reservations.entry(reservation, Option::default);
                if event.about.reservation_status != Some(status) || !reservation_may_follow(*before, status) {
                    return Err(format!("{}: {reservation} was {before:?}", event.kind));
                }
                *before = Some(status);
            }
        }
        self.events_tell_the_rows(step, &tasks, &reservations)?;
        self.versions_grow(step)
    }

    fn numbers_follow(&mut self, step: &Step<'_>) -> Result<(), String> {
        for event in step.events {
            let (number, at) = self.newest;
            if event.sequence != number + 1 {
                return Err(format!("event {} has number {} after {number}", event.kind, event.sequence));
            }
            if event.at < at || event.at > step.now {
                return Err(format!("event {} of {:?} comes after one of {at:?}", event.kind, event.at));
            }
            self.newest = (event.sequence, event.at);
        }
        let settings = &self.stored.settings;
        if settings.last_sequence == self.newest.0 {
            if settings.last_change_at < self.newest.1 {
                return Err(format!("event {} happened after the last change", self.newest.0));
            }
            return Ok(());
        }
        Err(format!("event {} is not the newest, {}", self.newest.0, self.stored.settings.last_sequence))
    }

    /// Every change of a status has its event, and rows come and go with events.
    fn events_tell_the_rows(
        &self,
        step: &Step<'_>,
        tasks: &FewValues<TaskSid, Option<TaskStatus>>,
        reservations: &FewValues<ReservationSid, Option<ReservationStatus>>,
    ) -> Result<(), String> {
        for (task, told) in tasks.iter() {
            let row = self.stored.tasks.get(task);
            match (row, told) {
                (Some(row), told) if Some(row.status) == *told => {}
                // That a task waits again is told by the end of its last offer.
                (Some(row), Some(TaskStatus::Reserved))
                    if row.status == TaskStatus::Pending && offer_ended(step.events, *task) => {}
                (Some(row), told) => return Err(format!("{task} is {}, the events tell of {told:?}", row.status)),
                (None, _) => {
                    let about = |event: &&EventRecord| event.about.task == Some(*task);
                    let deleted = step
                        .events
                        .iter()
                        .filter(about)
                        .any(|event| matches!(event.kind, EventKind::TaskDeleted | EventKind::TaskSystemDeleted));
                    let ends =
                        |event: &&EventRecord| matches!(event.kind, EventKind::TaskCanceled | EventKind::TaskCompleted);
                    let ended = step.events.iter().filter(about).find(ends).map(|event| event.at);
                    let finished = step.task_before(*task).and_then(|row| *row.finished_at).or(ended);
                    let known = step.task_before(*task).is_some() || step.events.iter().any(|event| about(&event));
                    if known && !deleted && finished.is_none_or(|at| at.plus_secs(300) > step.now) {
                        return Err(format!("{task} went without an event"));
                    }
                }
            }
        }
        for (reservation, told) in reservations.iter() {
            if let Some(row) = self.stored.reservations.get(reservation)
                && Some(row.status) != *told
            {
                return Err(format!("{reservation} is {}, the events tell of {told:?}", row.status));
            }
        }
        Ok(())
    }

    fn versions_grow(&self, step: &Step<'_>) -> Result<(), String> {
        for undo in &step.undo {
            match undo {
                RowChange::Task(before) => {
                    if let Some(after) = self.stored.tasks.get(&before.sid)
                        && after.version <= before.version
                        && shown(before) != shown(after)
                    {
                        return Err(format!("{} changed, but has version {} still", before.sid, before.version));
                    }
                }
                RowChange::Reservation(before) => {
                    if let Some(after) = self.stored.reservations.get(&before.sid)
                        && after.version <= before.version
                        && before != after
                    {
                        return Err(format!("{} changed, but has version {} still", before.sid, before.version));
                    }
                }
                RowChange::Worker(before) => {
                    if let Some(after) = self.stored.workers.get(&before.sid) {
                        let expected = before.version + changes_of(step.events, before.sid);
                        if after.version != expected {
                            let sid = before.sid;
                            return Err(format!("{sid} has version {} instead of {expected}", after.version));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What clients see of a task and can change its version by.
fn shown(task: &Task) -> impl PartialEq + use<'_> {
    (task.status, &task.attributes, task.priority, task.queue, task.channel, task.virtual_start_at, &task.reason)
}

/// What a worker's version counts: changes of name or attributes, activity, capacity, channels, and new reservations.
fn changes_of(events: &[EventRecord], worker: WorkerSid) -> u64 {
    let counted = |event: &&EventRecord| {
        event.about.worker == Some(worker)
            && matches!(
                event.kind,
                EventKind::WorkerAttributesUpdate
                    | EventKind::WorkerActivityUpdate
                    | EventKind::WorkerCapacityUpdate
                    | EventKind::WorkerChannelAvailabilityUpdate
                    | EventKind::ReservationCreated
            )
    };
    events.iter().filter(counted).count() as u64
}
