//! When something is due, by the rows alone: the next deadline of the core must be the earliest of it.

use std::collections::{BTreeMap, BTreeSet};

use switchhook::routing::expression::{Expression, KnownWorkerValue};
use switchhook::routing::workflow::KnownAgent;
use switchhook::routing::{BackOff, ReservationStatus, RoutingTarget, Task, TaskSid, TaskStatus, Timestamp};

use super::Watch;

/// Everything that is due some time.
#[derive(Default)]
pub(super) struct Due {
    all: BTreeSet<(Timestamp, TaskSid, &'static str)>,
    of_task: BTreeMap<TaskSid, Vec<(Timestamp, &'static str)>>,
}

impl Due {
    fn set(&mut self, task: TaskSid, due: Vec<(Timestamp, &'static str)>) {
        if self.of_task.get(&task).map_or(&[][..], Vec::as_slice) == due {
            return;
        }
        for (at, what) in self.of_task.remove(&task).unwrap_or_default() {
            self.all.remove(&(at, task, what));
        }
        for (at, what) in &due {
            self.all.insert((*at, task, *what));
        }
        if !due.is_empty() {
            self.of_task.insert(task, due);
        }
    }
}

impl Watch {
    /// Works out anew when something is due with a task and its reservations.
    pub(super) fn refresh_due(&mut self, task: TaskSid) {
        let due = self.due_of(task);
        self.due.set(task, due);
        if self.stored.tasks.get(&task).is_some_and(|row| self.is_timed(row)) {
            self.timed.insert(task);
        } else {
            self.timed.remove(&task);
        }
    }

    /// Whether the task waits in a step that asks for the time of day.
    fn is_timed(&self, task: &Task) -> bool {
        let expression = self.reading.target_of(task).and_then(|target| target.expression.as_ref());
        task.status == TaskStatus::Pending && expression.is_some_and(Expression::uses_time)
    }

    fn due_of(&self, task: TaskSid) -> Vec<(Timestamp, &'static str)> {
        let mut due = Vec::new();
        let Some(task) = self.stored.tasks.get(&task) else { return due };
        let since = |at: Option<Timestamp>| at.unwrap_or(Timestamp(i64::MIN));
        let mut connecting = false;
        for row in self.stored.open_of_task(task.sid).filter(|row| row.status == ReservationStatus::Pending) {
            connecting |= row.connecting;
            if !row.connecting {
                due.push((row.created_at.plus_secs(row.timeout_secs), "reservation"));
            }
        }
        if task.transfer.is_some() || matches!(task.status, TaskStatus::Assigned | TaskStatus::Wrapping) {
            due.push((since(*task.assigned_at).plus_secs(86_400), "24 hours"));
        }
        let life_ends = task.created_at.plus_secs(task.timeout_secs);
        match task.status {
            TaskStatus::Pending => {
                if task.transfer.is_none() {
                    due.push((life_ends, "time to live"));
                }
                if let Some(target) = self.reading.target_of(task).filter(|target| target.timeout_secs.is_some()) {
                    due.push((task.base_at.plus_secs(target.ends_after_secs), "step"));
                }
                let gaps = task.back_offs.iter().map(|back_off| back_off.until);
                due.extend(gaps.filter(|until| *until != BackOff::OVER).min().map(|until| (until, "gap")));
            }
            TaskStatus::Reserved if task.transfer.is_none() && !connecting => due.push((life_ends, "time to live")),
            TaskStatus::Reserved | TaskStatus::Assigned | TaskStatus::Wrapping => {}
            TaskStatus::Completed | TaskStatus::Canceled => {
                due.push((since(*task.finished_at).plus_secs(300), "removal"));
            }
        }
        due
    }

    /// The next deadline is the earliest of everything that is due some time.
    pub(super) fn due_is_next(&self, next: Option<Timestamp>) -> Result<(), String> {
        let minute = self.some_task_waits_for_a_time().then(|| self.now.next_minute());
        let earliest = self.due.all.first();
        let grace = self.stored.presences.values().filter_map(|row| row.deadline).min();
        let others = earliest.map(|(at, ..)| *at).into_iter().chain(grace).min();
        if others.into_iter().chain(minute).min() == next {
            return Ok(());
        }
        // A minute that has begun may not have been met yet, nor what a workspace that was just made has to look at.
        let is_minute = |at: Timestamp| at.0.rem_euclid(60_000) == 0 || at == Timestamp(i64::MIN);
        let overdue = next.filter(|at| minute.is_some() && *at <= self.now && is_minute(*at));
        if overdue.is_some_and(|at| others.is_none_or(|other| at <= other)) {
            return Ok(());
        }
        Err(format!(
            "next deadline is {next:?}, but the earliest is {earliest:?}, the next minute {minute:?}, the next grace \
             {grace:?}"
        ))
    }

    /// Whether the time of day decides about a waiting task and somebody of its queue.
    pub(crate) fn some_task_waits_for_a_time(&self) -> bool {
        self.timed.iter().filter_map(|task| self.stored.tasks.get(task)).any(|task| self.waits_for_a_time(task))
    }

    fn waits_for_a_time(&self, task: &Task) -> bool {
        if matches!(*task.routing_target, Some(RoutingTarget::Worker(_))) {
            return false;
        }
        let Some(target) = self.reading.target_of(task) else { return false };
        let document = self.reading.document(&task.attributes);
        let mut workers = self.stored.workers.values();
        let known = match &target.known_worker {
            None => true,
            Some(KnownAgent::Sid(known)) => {
                workers.any(|row| known.value(&document) == KnownWorkerValue::Text(row.sid.to_string()))
            }
            Some(KnownAgent::FriendlyName(known)) => match known.value(&document) {
                KnownWorkerValue::Text(name) => {
                    workers.any(|row| row.friendly_name.to_lowercase() == name.to_lowercase())
                }
                _ => false,
            },
        };
        known && target.expression.as_ref().is_some_and(Expression::uses_time)
    }

    /// The index of deadlines is that of all rows.
    pub(super) fn due_adds_up(&self) -> Result<(), String> {
        let timed = self.stored.tasks.values().filter(|row| self.is_timed(row)).map(|row| row.sid);
        if !timed.eq(self.timed.iter().copied()) {
            return Err("other tasks wait for a time of day than were noted".to_owned());
        }
        let tasks: BTreeSet<TaskSid> = self.stored.tasks.keys().chain(self.due.of_task.keys()).copied().collect();
        for task in tasks {
            let known = self.due.of_task.get(&task).cloned().unwrap_or_default();
            if known != self.due_of(task) {
                return Err(format!("the deadlines of {task} changed although nothing touched it"));
            }
        }
        Ok(())
    }
}
