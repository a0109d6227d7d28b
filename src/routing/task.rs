//! The life of a task: creation, changes, ends (routing.md section 4).
//!
//! How a waiting task moves is in `step`; what becomes of its reservations is in `reservation`. Start with
//! [`Turn::create_task`].

use super::EventKind;
use super::command::{ChannelName, NewTask, Reply, TaskUpdate};
use super::deadline::Deadline;
use super::defect::defect;
use super::rare::Rare;
use super::refusal::Refusal;
use super::reservation::drop_elapsed;
use super::sid::{ReservationSid, TaskChannelSid, TaskQueueSid, TaskSid, WorkflowSid};
use super::state::{BackOff, ReservationStatus, RoutingTarget, Step, Task, TaskStatus};
use super::step::{Again, Cause};
use super::time::Timestamp;
use super::turn::{Turn, check_attributes, check_version, merged_attributes};
use super::workspace::TaskEntry;

/// Longest time to live, in seconds.
pub(super) const TIMEOUT_SECS_MAX: u32 = 1_209_600;

/// Time to live when none is given, in seconds.
pub(super) const TIMEOUT_SECS_DEFAULT: u32 = 86_400;

/// 1900-01-01T00:00:00Z, the earliest virtual start.
const VIRTUAL_START_MIN: Timestamp = Timestamp(-2_208_988_800_000);

/// Reason of a task that waited longer than its time to live.
pub(super) const REASON_TTL: &str = "Task TTL Exceeded";

/// Reason of a task that was reserved too often (D27).
pub(super) const REASON_RESERVED_TOO_OFTEN: &str = "Task TTL Exceeded or Max assignment count exceeded";

/// Reason of a task whose routing-target worker does not exist (D32).
pub(super) const REASON_TARGET_LOST: &str = "RoutingTarget SLA for Reservation creation was not met";

/// Reason of a task that ended with its last reservation.
pub(super) const REASON_ALL_COMPLETED: &str = "All reservations were completed";

impl Turn<'_> {
    pub(super) fn create_task(&mut self, new: &NewTask) -> Result<Reply, Refusal> {
        check_attributes(&new.attributes)?;
        let limit = self.workspace.limits.tasks;
        if self.workspace.tasks.len() >= limit {
            return Err(Refusal::LimitReached { kind: "tasks", limit });
        }
        let channel = match &new.channel {
            None => self.channel_named(&ChannelName::Unique("default".to_owned())),
            Some(name) => self.channel_named(name),
        };
        let channel = channel.ok_or_else(|| Refusal::UnknownReference {
            parameter: "TaskChannel",
            value: new.channel.as_ref().map_or_else(|| "default".to_owned(), channel_text),
        })?;
        let timeout_secs = new.timeout_secs.unwrap_or(TIMEOUT_SECS_DEFAULT);
        if timeout_secs == 0 || timeout_secs > TIMEOUT_SECS_MAX {
            let reason = format!("expected 1 to {TIMEOUT_SECS_MAX} seconds");
            return Err(Refusal::Invalid { parameter: "Timeout", reason });
        }
        let priority = new.priority.unwrap_or(0);
        check_priority(priority)?;
        let virtual_start_at = new.virtual_start_at.unwrap_or(self.now);
        self.check_virtual_start(virtual_start_at)?;
        let workflow = self.workflow_for(new)?;
        let routed = !matches!(new.routing_target, Some(RoutingTarget::Worker(_) | RoutingTarget::TaskQueue(_)));
        if let Some(queue) = new.queue.filter(|queue| !self.workspace.task_queues.contains_key(queue)) {
            return Err(Refusal::UnknownReference { parameter: "TaskQueueSid", value: queue.to_string() });
        }
        let queue = self.direct_queue(new, workflow)?;
        let version = workflow.and_then(|sid| self.workspace.workflows.get(&sid)).map_or(0, |row| row.version);
        if routed {
            self.check_some_step(workflow, version, &new.attributes)?;
        }
        let to_worker = matches!(new.routing_target, Some(RoutingTarget::Worker(_)));
        let sid = TaskSid::fresh(self.sids, self.now);
        let not_before = new.not_before.filter(|until| *until > self.now);
        let rest = not_before.map(|until| BackOff { worker: None, until, failures: 0 });
        let row = Task {
            sid,
            attributes: new.attributes.clone(),
            status: TaskStatus::Pending,
            priority,
            timeout_secs,
            reason: Rare::UNSET,
            channel,
            queue,
            queue_entered_at: queue.map(|_| self.now),
            workflow,
            workflow_version: version,
            step: Step::Direct,
            base_at: self.now,
            filter_timed_out: false,
            virtual_start_at,
            routing_target: new.routing_target.into(),
            ignore_capacity: to_worker && new.ignore_capacity.unwrap_or(true),
            reserved_count: 0,
            back_offs: rest.into_iter().collect::<Vec<_>>().into(),
            attributes_changed: false,
            transfer: Rare::UNSET,
            version: 0,
            assigned_at: Rare::UNSET,
            finished_at: Rare::UNSET,
            created_at: self.now,
            updated_at: self.now,
        };
        self.workspace.tasks.insert(sid, Box::new(TaskEntry::new(row)));
        self.workspace.place_task(sid);
        self.workspace.touched.tasks.insert(sid);
        if routed {
            self.record_task(EventKind::TaskCreated, sid);
            let way = self.enter_workflow(sid, Cause::default());
            self.walk(vec![way]);
        } else {
            self.record_task(EventKind::TaskCreated, sid);
            if queue.is_some() {
                self.record_task(EventKind::TaskQueueEntered, sid);
                self.entered.insert(sid);
            }
            self.start_direct(sid, new.routing_target);
        }
        Ok(Reply::Task(sid))
    }

    /// A task for one worker is lost at once when that worker does not exist (D32).
    fn start_direct(&mut self, task: TaskSid, target: Option<RoutingTarget>) {
        match target {
            Some(RoutingTarget::Worker(worker)) if !self.workspace.workers.contains_key(&worker) => {
                self.lose_target(task);
            }
            _ => {
                self.try_task(task);
            }
        }
    }

    pub(super) fn lose_target(&mut self, task: TaskSid) {
        self.record_reservation_failed(task);
        self.cancel_task(task, REASON_TARGET_LOST);
    }

    fn workflow_for(&self, new: &NewTask) -> Result<Option<WorkflowSid>, Refusal> {
        let named = match new.routing_target {
            Some(RoutingTarget::Workflow(sid)) => Some(("RoutingTarget", sid)),
            _ => new.workflow.map(|sid| ("WorkflowSid", sid)),
        };
        if let Some((parameter, sid)) = named {
            if self.workspace.workflows.contains_key(&sid) {
                return Ok(Some(sid));
            }
            return Err(Refusal::UnknownReference { parameter, value: sid.to_string() });
        }
        let mut workflows = self.workspace.workflows.keys();
        match (workflows.next(), workflows.next()) {
            (Some(only), None) => Ok(Some(*only)),
            _ if new.routing_target.is_some() => Ok(None),
            _ => Err(Refusal::Missing { parameter: "WorkflowSid" }),
        }
    }

    /// The queue of a task that does not go through filters: the routing target, the one it is attributed to, or the
    /// workflow's first matching one (D33).
    fn direct_queue(&self, new: &NewTask, workflow: Option<WorkflowSid>) -> Result<Option<TaskQueueSid>, Refusal> {
        let (parameter, queue) = match new.routing_target {
            Some(RoutingTarget::TaskQueue(queue)) => ("RoutingTarget", queue),
            Some(RoutingTarget::Worker(_)) => match new.queue {
                Some(queue) => ("TaskQueueSid", queue),
                None => return Ok(self.first_queue(workflow, &new.attributes)),
            },
            _ => return Ok(None),
        };
        if self.workspace.task_queues.contains_key(&queue) {
            Ok(Some(queue))
        } else {
            Err(Refusal::UnknownReference { parameter, value: queue.to_string() })
        }
    }

    fn first_queue(&self, workflow: Option<WorkflowSid>, attributes: &str) -> Option<TaskQueueSid> {
        let workflow = self.workspace.workflows.get(&workflow?)?;
        let routes = &self.workspace.versions.get(&(workflow.sid, workflow.version))?.routes;
        let document = self.workspace.read_document(attributes);
        match routes.first_match(&document, 0, self.now, &self.workspace.calendars) {
            Some(filter) => routes.filters.get(filter)?.targets.first().map(|target| target.queue),
            None => routes.default.as_ref().map(|target| target.queue),
        }
    }

    /// A task that no filter takes, without a default filter, cannot be made (D19).
    fn check_some_step(&self, workflow: Option<WorkflowSid>, version: u32, attributes: &str) -> Result<(), Refusal> {
        let routes = workflow
            .and_then(|workflow| self.workspace.versions.get(&(workflow, version)))
            .map(|version| &version.routes)
            .ok_or(Refusal::Missing { parameter: "WorkflowSid" })?;
        let document = self.workspace.read_document(attributes);
        if routes.default.is_some() || routes.first_match(&document, 0, self.now, &self.workspace.calendars).is_some() {
            Ok(())
        } else {
            Err(Refusal::NoMatchingTarget)
        }
    }

    fn check_virtual_start(&self, at: Timestamp) -> Result<(), Refusal> {
        let refuse = |reason: &str| Err(Refusal::Invalid { parameter: "VirtualStartTime", reason: reason.to_owned() });
        if at > self.now {
            refuse("cannot be in the future")
        } else if at < VIRTUAL_START_MIN {
            refuse("cannot be before 1900")
        } else {
            Ok(())
        }
    }

    pub(super) fn channel_named(&self, name: &ChannelName) -> Option<TaskChannelSid> {
        self.workspace.task_channel_named(name)
    }

    pub(super) fn update_task(&mut self, task: TaskSid, update: &TaskUpdate) -> Result<Reply, Refusal> {
        let row = self.workspace.task(task).ok_or(Refusal::NotFound)?;
        check_version(update.if_match, row.version)?;
        let status = row.status;
        if let Some(attributes) = &update.attributes {
            check_attributes(attributes)?;
        }
        if let Some(priority) = update.priority {
            check_priority(priority)?;
        }
        if let Some(at) = update.virtual_start_at {
            self.check_virtual_start(at)?;
        }
        let channel = match &update.channel {
            None => None,
            Some(name) => Some(
                self.channel_named(name)
                    .ok_or_else(|| Refusal::UnknownReference { parameter: "TaskChannel", value: channel_text(name) })?,
            ),
        };
        let row = self.workspace.task(task).ok_or(Refusal::NotFound)?;
        let channel = channel.filter(|channel| *channel != row.channel);
        if channel.is_some() && (status != TaskStatus::Pending || row.transfer.is_some()) {
            // Capacity is counted on one channel for the whole offer (D35).
            let reason =
                if row.transfer.is_some() { "while the task is not handed on" } else { "while the task is pending" };
            return Err(Refusal::Invalid { parameter: "TaskChannel", reason: format!("can be changed only {reason}") });
        }
        check_transition(task, status, update.status)?;
        let is_over = matches!(status, TaskStatus::Completed | TaskStatus::Canceled);
        if is_over && update.virtual_start_at.is_some_and(|at| at != row.virtual_start_at) {
            // Its place in the queue is gone; everything else may still be written (D28).
            let reason = format!("the task is {status} already");
            return Err(Refusal::Invalid { parameter: "VirtualStartTime", reason });
        }
        let attributes = update.attributes.as_ref().filter(|text| **text != row.attributes);
        let priority = update.priority.filter(|priority| *priority != row.priority);
        let virtual_start_at = update.virtual_start_at.filter(|at| *at != row.virtual_start_at);
        let ends = update.status.is_some();
        let reason = update.reason.as_ref().filter(|reason| !ends && row.reason.as_ref() != Some(reason));
        let attributes_changed = attributes.is_some();
        let leads_elsewhere = attributes.is_some_and(|text| self.leads_elsewhere(row, text));
        let reorders = priority.is_some() || virtual_start_at.is_some() || channel.is_some();
        if attributes_changed || reorders || reason.is_some() {
            self.mutate_task(task, |row| {
                if let Some(attributes) = attributes {
                    row.attributes.clone_from(attributes);
                    row.attributes_changed |= leads_elsewhere;
                }
                row.priority = priority.unwrap_or(row.priority);
                row.virtual_start_at = virtual_start_at.unwrap_or(row.virtual_start_at);
                row.channel = channel.unwrap_or(row.channel);
                if let Some(reason) = reason {
                    row.reason.set(Some(reason.clone()));
                }
            });
            self.record_task(EventKind::TaskUpdated, task);
            if status == TaskStatus::Pending && !ends {
                if attributes_changed && !defect!(AttributesNotEvaluated) {
                    self.look_again(task, Again::Changed);
                } else if channel.is_some() {
                    self.try_task(task);
                }
            }
        }
        match update.status {
            Some(TaskStatus::Canceled) => {
                self.cancel_task_because(task, update.reason.clone());
            }
            Some(TaskStatus::Wrapping) => self.wrap_task(task, update.reason.as_deref()),
            Some(TaskStatus::Completed) => self.complete_task(task, update.reason.as_deref()),
            _ => {}
        }
        Ok(Reply::Task(task))
    }

    pub(super) fn merge_task_attributes(
        &mut self,
        task: TaskSid,
        changes: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Reply, Refusal> {
        let row = self.workspace.task(task).ok_or(Refusal::NotFound)?;
        let merged = merged_attributes(&row.attributes, changes);
        if merged != row.attributes {
            let pending = row.status == TaskStatus::Pending;
            let leads_elsewhere = self.leads_elsewhere(row, &merged);
            self.mutate_task(task, |row| {
                row.attributes = merged;
                row.attributes_changed |= leads_elsewhere;
            });
            self.record_task(EventKind::TaskUpdated, task);
            if pending {
                self.look_again(task, Again::Changed);
            }
        }
        Ok(Reply::Done)
    }

    pub(super) fn delete_task(&mut self, task: TaskSid, if_match: Option<u64>) -> Result<Reply, Refusal> {
        let row = self.workspace.task(task).ok_or(Refusal::NotFound)?;
        check_version(if_match, row.version)?;
        let transfer = *row.transfer;
        self.record_task(EventKind::TaskDeleted, task);
        self.end_open_reservations(task);
        self.lose_transfer(transfer);
        self.remove_task(task);
        Ok(Reply::Done)
    }

    /// Ends what is still open when a task is deleted: pending ones are canceled, active ones completed.
    pub(super) fn end_open_reservations(&mut self, task: TaskSid) {
        for reservation in self.open_reservations(task) {
            let status = match self.workspace.reservation(reservation).map(|row| row.status) {
                Some(ReservationStatus::Pending) => ReservationStatus::Canceled,
                _ => ReservationStatus::Completed,
            };
            self.close_reservation(reservation, status);
        }
    }

    /// The task's pending, accepted and wrapping reservations, oldest first.
    pub(super) fn open_reservations(&self, task: TaskSid) -> Vec<ReservationSid> {
        self.workspace.tasks.get(&task).map(|entry| entry.open().to_vec()).unwrap_or_default()
    }

    /// Takes a task, its reservations and transfers out of memory and out of the store, without an event.
    pub(super) fn remove_task(&mut self, task: TaskSid) {
        self.workspace.lift_task(task);
        let Some(entry) = self.workspace.tasks.remove(&task) else { return };
        for reservation in entry.reservations().iter().copied() {
            let removed = self.workspace.reservations.remove(&reservation);
            self.workspace.departing.reservations.extend(removed.map(|row| (reservation, row)));
            self.workspace.touched.reservations.insert(reservation);
        }
        for transfer in entry.transfers() {
            self.workspace.transfers.remove(&transfer);
            self.workspace.touched.transfers.insert(transfer);
        }
        self.workspace.touched.tasks.insert(task);
        if let Some(workflow) = entry.row.workflow {
            self.drop_unfollowed(workflow, entry.row.workflow_version);
        }
        self.workspace.departing.tasks.insert(task, entry.row);
    }

    pub(super) fn cancel_task(&mut self, task: TaskSid, reason: &str) {
        self.cancel_task_because(task, Some(reason.to_owned()));
    }

    /// Cancels a pending or reserved task: the task first, then its reservations (events.md section 4).
    fn cancel_task_because(&mut self, task: TaskSid, reason: Option<String>) {
        let now = self.now;
        let transfer = self.workspace.task(task).and_then(|row| *row.transfer);
        self.mutate_task(task, |row| {
            row.status = TaskStatus::Canceled;
            row.transfer = Rare::UNSET;
            row.reason = reason.into();
            row.finished_at.set(Some(now));
            row.back_offs = Rare::UNSET;
        });
        self.record_task(EventKind::TaskCanceled, task);
        // Active ones are open only while the task is handed on.
        self.end_open_reservations(task);
        self.lose_transfer(transfer);
        self.let_go_of_version(task);
    }

    /// Assigned to wrapping, with all accepted reservations.
    pub(super) fn wrap_task(&mut self, task: TaskSid, reason: Option<&str>) {
        self.mutate_task(task, |row| {
            row.status = TaskStatus::Wrapping;
            if let Some(reason) = reason {
                row.reason.set(Some(reason.to_owned()));
            }
        });
        self.record_task(EventKind::TaskWrapup, task);
        for reservation in self.open_reservations(task) {
            if self.workspace.reservation(reservation).is_some_and(|row| row.status == ReservationStatus::Accepted) {
                self.wrap_reservation(reservation);
            }
        }
    }

    /// Assigned or wrapping to completed, with all active reservations.
    pub(super) fn complete_task(&mut self, task: TaskSid, reason: Option<&str>) {
        self.finish_task(task, reason);
        for reservation in self.open_reservations(task) {
            self.end_reservation(reservation, ReservationStatus::Completed, None);
        }
        if reason.is_some() {
            self.record_task(EventKind::TaskUpdated, task);
        }
    }

    /// The record and the event of a completion; the reservations are the caller's.
    pub(super) fn finish_task(&mut self, task: TaskSid, reason: Option<&str>) {
        let now = self.now;
        self.mutate_task(task, |row| {
            row.status = TaskStatus::Completed;
            if let Some(reason) = reason {
                row.reason.set(Some(reason.to_owned()));
            }
            row.finished_at.set(Some(now));
        });
        self.record_task(EventKind::TaskCompleted, task);
    }

    /// The caller of a voice task is gone: canceled before acceptance, wrapping (or, single-tasking, completed) after it.
    pub(super) fn end_caller(&mut self, task: TaskSid, reason: &str) -> Result<Reply, Refusal> {
        let row = self.workspace.task(task).ok_or(Refusal::NotFound)?;
        if let Some(transfer) = *row.transfer {
            self.abandon_transfer(task, transfer);
        }
        let status = self.workspace.task(task).ok_or(Refusal::NotFound)?.status;
        match status {
            TaskStatus::Pending | TaskStatus::Reserved => self.cancel_task(task, reason),
            // The worker who handed the task on was done with it already (V34).
            TaskStatus::Assigned if self.open_reservations(task).is_empty() => self.finish_task(task, Some(reason)),
            TaskStatus::Assigned if self.workspace.settings.multi_task_enabled => self.wrap_task(task, None),
            TaskStatus::Assigned => self.complete_task(task, None),
            TaskStatus::Wrapping | TaskStatus::Completed | TaskStatus::Canceled => {}
        }
        Ok(Reply::Done)
    }

    /// Carries out everything whose moment has come, one moment after the other; what is due in the same moment and
    /// competes for workers does so in the global order.
    ///
    /// Ends because each deadline is removed or moved past `now` by what it causes.
    pub(super) fn tick(&mut self) {
        while let Some((moment, _)) = self.workspace.deadlines.first().copied() {
            if moment > self.now {
                return;
            }
            while let Some((at, deadline)) = self.workspace.deadlines.first().copied() {
                if at > moment {
                    break;
                }
                self.workspace.deadlines.remove(&(at, deadline));
                self.meet_deadline(deadline);
            }
            self.settle();
        }
    }

    fn meet_deadline(&mut self, deadline: Deadline) {
        match deadline {
            Deadline::Reservation(reservation) => self.time_out_reservation(reservation),
            Deadline::TaskLife(task) => self.cancel_task(task, REASON_TTL),
            Deadline::Step(task) => self.look_again(task, Again::StepOver),
            Deadline::BackOff(task) => self.end_back_offs(task),
            Deadline::AssignedTooLong(task) => {
                let transfer = self.workspace.task(task).and_then(|row| *row.transfer);
                self.end_open_reservations(task);
                self.lose_transfer(transfer);
                self.record_task(EventKind::TaskSystemDeleted, task);
                self.remove_task(task);
            }
            Deadline::Purge(task) => self.remove_task(task),
            Deadline::Grace(worker) => self.end_grace(worker),
        }
    }

    /// A gap is over: the task is offered again.
    fn end_back_offs(&mut self, task: TaskSid) {
        let now = self.now;
        self.change_task(task, |row| drop_elapsed(&mut row.back_offs, now));
        self.look_again(task, Again::Offer);
    }
}

pub(super) fn channel_text(name: &ChannelName) -> String {
    match name {
        ChannelName::Sid(sid) => sid.to_string(),
        ChannelName::WorkerChannel(sid) => sid.to_string(),
        ChannelName::Unique(name) => name.clone(),
    }
}

pub(super) fn check_priority(priority: i32) -> Result<(), Refusal> {
    if priority < 0 {
        return Err(Refusal::Invalid { parameter: "Priority", reason: "expected 0 to 2147483647".to_owned() });
    }
    Ok(())
}

/// Transitions a client may ask for (TaskRouter: Task state; D28, D29).
fn check_transition(task: TaskSid, from: TaskStatus, to: Option<TaskStatus>) -> Result<(), Refusal> {
    use TaskStatus::{Assigned, Canceled, Completed, Pending, Reserved, Wrapping};
    match to {
        None => Ok(()),
        Some(Canceled) if matches!(from, Pending | Reserved) => Ok(()),
        Some(Canceled) => Err(Refusal::NotCancelable(task)),
        Some(Wrapping) if from == Assigned => Ok(()),
        Some(Wrapping) => Err(Refusal::NotWrappable(task)),
        Some(Completed) if matches!(from, Assigned | Wrapping) => Ok(()),
        Some(Completed) => Err(Refusal::NotCompletable(task)),
        Some(status @ (Pending | Reserved | Assigned)) => Err(Refusal::StatusNotSettable { status: status.as_str() }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::{Command, NewWorkspace, Template};
    use super::super::resource_limits::ResourceLimits;
    use super::super::sid::{AccountSid, SidSource};
    use super::super::workspace::Workspace;
    use super::*;

    struct Counted(u128);

    impl SidSource for Counted {
        fn next_bits(&mut self, _now: Timestamp) -> u128 {
            self.0 += 1;
            self.0
        }
    }

    #[test]
    fn a_full_workspace_takes_no_task_until_one_is_removed() {
        let new = NewWorkspace { template: Template::Fifo, ..NewWorkspace::named("Floor") };
        let mut sids = Counted(0);
        let (mut workspace, _) = Workspace::create(AccountSid::from_bits(1), &new, Timestamp(0), &mut sids).unwrap();
        workspace.hold_at_most(ResourceLimits { tasks: 2, ..ResourceLimits::default() });
        let create = Command::CreateTask(NewTask::with_attributes("{}"));
        let Reply::Task(first) = workspace.handle(&create, Timestamp(0), &mut sids).unwrap().reply else {
            panic!("a task");
        };
        workspace.handle(&create, Timestamp(0), &mut sids).unwrap();
        let full = Refusal::LimitReached { kind: "tasks", limit: 2 };
        assert_eq!(workspace.handle(&create, Timestamp(0), &mut sids).unwrap_err(), full);
        // A finished task counts until it is removed.
        let cancel = TaskUpdate { status: Some(TaskStatus::Canceled), ..TaskUpdate::default() };
        workspace.handle(&Command::UpdateTask(first, cancel), Timestamp(0), &mut sids).unwrap();
        assert_eq!(workspace.handle(&create, Timestamp(299_999), &mut sids).unwrap_err(), full);
        workspace.handle(&Command::Tick, Timestamp(300_000), &mut sids).unwrap();
        workspace.handle(&create, Timestamp(300_000), &mut sids).unwrap();
    }
}
