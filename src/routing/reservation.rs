//! The life of a reservation: offer, answer, connecting, end (routing.md section 5).
//!
//! What becomes of the task is decided here too, because a reservation's end is what moves a reserved task. Start with
//! [`Turn::reserve`] and [`Turn::end_reservation`].

use super::EventKind;
use super::command::{Instruction, Reply, ReservationChange, ReservationParent};
use super::deadline::Deadline;
use super::defect::defect;
use super::rare::Rare;
use super::refusal::Refusal;
use super::sid::{ActivitySid, ReservationSid, TaskChannelSid, TaskSid, WorkerSid};
use super::state::{BackOff, Reservation, ReservationStatus, RoutingTarget, TaskStatus, TransferStatus};
use super::task::{REASON_ALL_COMPLETED, REASON_RESERVED_TOO_OFTEN};
use super::time::Timestamp;
use super::turn::{Turn, check_version};
use super::workspace::WorkerEntry;

/// Reservation timeout of a task without workflow, in seconds.
const TIMEOUT_SECS_DEFAULT: u32 = 120;

/// A task that goes back to pending after this many offers is canceled (TaskRouter: resource limits).
pub(super) const RESERVED_COUNT_MAX: u32 = 1_000;

/// Shortest time between two offers of one task to one worker, from the end of the first (D37).
pub(super) const RE_OFFER_GAP_MS: i64 = 1_000;

/// Back-off of a pair after its first failed connect; doubles each time (voice.md 3.7).
pub(super) const CONNECT_BACK_OFF_MS: i64 = 5_000;

/// Longest back-off of a pair.
pub(super) const CONNECT_BACK_OFF_MS_MAX: i64 = 60_000;

/// Why an offer ended, as far as the pair of task and worker is concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// In the ordinary way.
    Unaccepted,
    /// Because the worker could not be connected.
    ConnectFailed,
}

impl Turn<'_> {
    /// Offers a pending task to these workers, in one step: reservations, capacity, idle order, timers.
    pub(super) fn reserve(&mut self, task: TaskSid, workers: &[WorkerSid]) {
        let Some(row) = self.workspace.task(task) else { return };
        let (channel, transfer) = (row.channel, *row.transfer);
        let queue = row.queue.and_then(|queue| self.workspace.task_queues.get(&queue));
        let reservation_activity = queue
            .filter(|_| !self.workspace.settings.multi_task_enabled)
            .and_then(|queue| queue.row.reservation_activity);
        let timeout_secs = row
            .workflow
            .and_then(|workflow| self.workspace.workflows.get(&workflow))
            .map_or(TIMEOUT_SECS_DEFAULT, |workflow| workflow.task_reservation_timeout_secs);
        let mut made = Vec::with_capacity(workers.len());
        for worker in workers {
            let Some(entry) = self.workspace.workers.get(worker) else { continue };
            let reservation = Reservation {
                sid: ReservationSid::fresh(self.sids, self.now),
                task,
                worker: *worker,
                worker_name: entry.row.friendly_name.clone(),
                channel,
                status: ReservationStatus::Pending,
                timeout_secs,
                deadline: Some(self.now.plus_secs(timeout_secs)),
                connecting: false,
                previous_activity: reservation_activity.map(|_| self.activity_at_offer(entry)),
                canceled_reason_code: None,
                transfer,
                version: 0,
                created_at: self.now,
                updated_at: self.now,
            };
            made.push((reservation.sid, *worker));
            self.insert_reservation(reservation);
        }
        self.mutate_task(task, |row| {
            row.status = TaskStatus::Reserved;
            row.reserved_count += 1;
        });
        for (reservation, worker) in made {
            self.record_reservation(EventKind::ReservationCreated, reservation);
            if let Some(activity) = reservation_activity {
                self.move_worker(worker, activity);
            }
        }
    }

    fn insert_reservation(&mut self, reservation: Reservation) {
        let sid = reservation.sid;
        let (task, worker, channel) = (reservation.task, reservation.worker, reservation.channel);
        if let Some(at) = reservation.deadline {
            self.workspace.deadlines.insert((at, Deadline::Reservation(sid)));
        }
        self.workspace.reservations.insert(sid, reservation);
        self.workspace.touched.reservations.insert(sid);
        if let Some(entry) = self.workspace.tasks.get_mut(&task) {
            // Within one moment by SID, as a restored workspace has them.
            let rows = &self.workspace.reservations;
            let older =
                |other: &ReservationSid| rows.get(other).is_some_and(|row| (row.created_at, row.sid) < (self.now, sid));
            let offers = entry.offers_mut();
            offers.reservations.insert(offers.reservations.partition_point(older), sid);
            offers.open.insert(offers.open.partition_point(older), sid);
        }
        let stamp = self.idle_stamp();
        let now = self.now;
        if let Some(entry) = self.workspace.workers.get_mut(&worker) {
            entry.open.insert(sid);
            if !defect!(IdleOrderKept) {
                entry.row.last_reserved_at = stamp;
            }
            entry.row.version += 1;
            entry.row.updated_at = now;
            if let Some(row) = entry.channels.get_mut(&channel) {
                row.used += 1;
                row.last_reserved_at = stamp;
                row.updated_at = now;
            }
        }
        self.touch_worker(worker, Some(channel));
        self.refresh_dynamic(worker);
        self.workspace.refresh_ready(worker);
        // Expressions can ask for a share of free capacity at most; the worker may fit more tasks than before.
        self.free(worker);
    }

    /// The moment that orders workers by idleness: now, but never the same twice, so that round robin holds within one
    /// millisecond.
    fn idle_stamp(&mut self) -> Timestamp {
        let stamp = self.now.max(self.workspace.newest_stamp.plus_ms(1));
        self.workspace.newest_stamp = stamp;
        stamp
    }

    pub(super) fn touch_worker(&mut self, worker: WorkerSid, channel: Option<TaskChannelSid>) {
        self.workspace.touched.workers.insert(worker);
        if let Some(channel) = channel
            && let Some(row) = self.workspace.worker_channel(worker, channel)
        {
            let sid = row.sid;
            self.workspace.touched.worker_channels.insert((sid, worker, channel));
        }
    }

    /// Changes a reservation's record, its timer and the worker's figures; no event, no consequence for the task.
    fn change_reservation(&mut self, reservation: ReservationSid, change: impl FnOnce(&mut Reservation)) {
        let now = self.now;
        let Some(row) = self.workspace.reservations.get_mut(&reservation) else { return };
        let before = (row.status, row.deadline);
        change(row);
        row.version += 1;
        row.updated_at = now;
        if row.status != ReservationStatus::Pending {
            row.deadline = None;
            row.connecting = false;
        }
        let (status, deadline) = (row.status, row.deadline);
        let (task, worker, channel) = (row.task, row.worker, row.channel);
        if before.1 != deadline {
            if let Some(at) = before.1 {
                self.workspace.deadlines.remove(&(at, Deadline::Reservation(reservation)));
            }
            if let Some(at) = deadline {
                self.workspace.deadlines.insert((at, Deadline::Reservation(reservation)));
            }
        }
        self.workspace.touched.reservations.insert(reservation);
        if before.0 == status {
            return;
        }
        if !status.is_open()
            && let Some(entry) = self.workspace.tasks.get_mut(&task)
        {
            entry.offers_mut().open.retain(|other| *other != reservation);
        }
        if let Some(entry) = self.workspace.workers.get_mut(&worker) {
            if let Some(row) = entry.channels.get_mut(&channel) {
                match (before.0 == ReservationStatus::Accepted, status == ReservationStatus::Accepted) {
                    (false, true) => row.assigned_tasks += 1,
                    (true, false) if defect!(AssignedCountDrifts) => {}
                    (true, false) => row.assigned_tasks = row.assigned_tasks.saturating_sub(1),
                    _ => {}
                }
                let wraps = defect!(WrappingFreesCapacity) && status == ReservationStatus::Wrapping;
                if before.0.is_open() && (!status.is_open() || wraps) {
                    row.used = row.used.saturating_sub(1);
                }
                row.updated_at = now;
            }
            if !status.is_open() {
                entry.open.remove(&reservation);
            }
        }
        self.touch_worker(worker, Some(channel));
        self.refresh_dynamic(worker);
        self.workspace.refresh_ready(worker);
        self.free(worker);
    }

    /// Ends a reservation in this final state, with its event; the task is left to the caller.
    pub(super) fn end_reservation(
        &mut self,
        reservation: ReservationSid,
        status: ReservationStatus,
        reason_code: Option<i32>,
    ) {
        let event = match status {
            ReservationStatus::Rejected => EventKind::ReservationRejected,
            ReservationStatus::Timeout => EventKind::ReservationTimeout,
            ReservationStatus::Canceled => EventKind::ReservationCanceled,
            ReservationStatus::Rescinded => EventKind::ReservationRescinded,
            ReservationStatus::Completed => EventKind::ReservationCompleted,
            ReservationStatus::Pending | ReservationStatus::Accepted | ReservationStatus::Wrapping => return,
        };
        self.change_reservation(reservation, |row| {
            row.status = status;
            row.canceled_reason_code = reason_code;
        });
        self.record_reservation(event, reservation);
    }

    /// Ends a reservation because its task ends; an offer gives the worker's activity back (single-tasking).
    pub(super) fn close_reservation(&mut self, reservation: ReservationSid, status: ReservationStatus) {
        let offered =
            self.workspace.reservation(reservation).is_some_and(|row| row.status == ReservationStatus::Pending);
        let before = if offered { self.activity_before(reservation) } else { None };
        self.end_reservation(reservation, status, None);
        self.restore_activity(reservation, before);
    }

    pub(super) fn wrap_reservation(&mut self, reservation: ReservationSid) {
        self.change_reservation(reservation, |row| row.status = ReservationStatus::Wrapping);
        self.record_reservation(EventKind::ReservationWrapup, reservation);
    }

    pub(super) fn update_reservation(
        &mut self,
        parent: ReservationParent,
        reservation: ReservationSid,
        change: ReservationChange,
        if_match: Option<u64>,
    ) -> Result<Reply, Refusal> {
        let row = self.workspace.reservation_under(parent, reservation)?;
        check_version(if_match, row.version)?;
        let (from, connecting, task) = (row.status, row.connecting, row.task);
        let refuse = |to| Err(Refusal::ReservationInState { reservation, from, to });
        match change {
            ReservationChange::Accept => match from {
                ReservationStatus::Pending if !connecting => self.accept(reservation),
                ReservationStatus::Rescinded => return Err(Refusal::ReservationRescinded(reservation)),
                _ => return refuse(ReservationStatus::Accepted),
            },
            ReservationChange::Reject { activity } => {
                if from != ReservationStatus::Pending {
                    return refuse(ReservationStatus::Rejected);
                }
                if let Some(activity) = activity {
                    self.check_activity("WorkerActivitySid", activity)?;
                }
                self.reject(reservation, activity);
            }
            ReservationChange::Wrap => {
                if from != ReservationStatus::Accepted {
                    return refuse(ReservationStatus::Wrapping);
                }
                self.wrap_one(task, reservation);
            }
            ReservationChange::Complete => {
                if !from.is_active() {
                    return refuse(ReservationStatus::Completed);
                }
                self.complete_one(task, reservation);
            }
        }
        Ok(Reply::Done)
    }

    fn accept(&mut self, reservation: ReservationSid) {
        let Some(row) = self.workspace.reservation(reservation) else { return };
        let (task, worker, offered_at) = (row.task, row.worker, row.created_at);
        let now = self.now;
        let transfer = self.workspace.task(task).and_then(|row| *row.transfer);
        self.end_wait(task, offered_at);
        self.change_reservation(reservation, |row| row.status = ReservationStatus::Accepted);
        self.mutate_task(task, |row| {
            row.status = TaskStatus::Assigned;
            row.transfer = Rare::UNSET;
            row.attributes_changed = false;
            row.assigned_at = row.assigned_at.or(Some(now)).into();
            row.back_offs = Rare::UNSET;
        });
        self.record_reservation(EventKind::ReservationAccepted, reservation);
        self.rescind_siblings(task, reservation);
        if let Some(transfer) = transfer {
            self.end_transfer(transfer, TransferStatus::Complete, None);
        }
        let queue = self.workspace.task(task).and_then(|row| row.queue);
        let activity = queue
            .and_then(|queue| self.workspace.task_queues.get(&queue))
            .and_then(|entry| entry.row.assignment_activity);
        if let (false, Some(activity)) = (self.workspace.settings.multi_task_enabled, activity) {
            self.move_worker(worker, activity);
        }
        self.let_go_of_version(task);
    }

    fn rescind_siblings(&mut self, task: TaskSid, chosen: ReservationSid) {
        for sibling in self.open_reservations(task) {
            let pending =
                self.workspace.reservation(sibling).is_some_and(|row| row.status == ReservationStatus::Pending);
            if sibling != chosen && pending && !defect!(SiblingsKept) {
                self.close_reservation(sibling, ReservationStatus::Rescinded);
            }
        }
    }

    fn reject(&mut self, reservation: ReservationSid, activity: Option<ActivitySid>) {
        let before = self.activity_before(reservation);
        self.end_reservation(reservation, ReservationStatus::Rejected, None);
        self.restore_activity(reservation, activity.or(before));
        self.after_unaccepted(reservation, Ended::Unaccepted);
    }

    /// Rejects without touching the activity, when the worker has just left for an unavailable one.
    pub(super) fn reject_pending(&mut self, reservation: ReservationSid) {
        self.end_reservation(reservation, ReservationStatus::Rejected, None);
        self.after_unaccepted(reservation, Ended::Unaccepted);
    }

    /// Takes care of the task of an offer that has ended unaccepted.
    pub(super) fn after_unaccepted_offer(&mut self, reservation: ReservationSid) {
        self.after_unaccepted(reservation, Ended::Unaccepted);
    }

    /// Cancels a pending reservation whose worker is deleted.
    pub(super) fn cancel_pending(&mut self, reservation: ReservationSid) {
        self.end_reservation(reservation, ReservationStatus::Canceled, None);
        self.after_unaccepted(reservation, Ended::Unaccepted);
    }

    pub(super) fn time_out_reservation(&mut self, reservation: ReservationSid) {
        let Some(row) = self.workspace.reservation(reservation) else { return };
        let worker = row.worker;
        self.end_reservation(reservation, ReservationStatus::Timeout, None);
        if !defect!(TimeoutKeepsActivity) {
            self.move_worker(worker, self.workspace.settings.timeout_activity);
        }
        self.after_unaccepted(reservation, Ended::Unaccepted);
    }

    /// Single-tasking: the activity the worker had before the reservation, unless it was deleted since. Whoever has changed
    /// activity meanwhile keeps the new one.
    fn activity_before(&self, reservation: ReservationSid) -> Option<ActivitySid> {
        let row = self.workspace.reservation(reservation)?;
        let worker = &self.workspace.workers.get(&row.worker)?.row;
        let stayed = worker.status_changed_at <= row.created_at;
        row.previous_activity.filter(|activity| stayed && self.workspace.activities.contains_key(activity))
    }

    /// Single-tasking: the activity that the worker goes back to after a new offer. That of an offer before, if it is still
    /// the one that moved the worker.
    fn activity_at_offer(&self, entry: &WorkerEntry) -> ActivitySid {
        let offers = entry.open.iter().filter_map(|sid| self.workspace.reservation(*sid));
        let mut earlier = offers
            .filter(|row| row.status == ReservationStatus::Pending && entry.row.status_changed_at <= row.created_at);
        earlier.find_map(|row| row.previous_activity).unwrap_or(entry.row.activity)
    }

    fn restore_activity(&mut self, reservation: ReservationSid, activity: Option<ActivitySid>) {
        let Some(worker) = self.workspace.reservation(reservation).map(|row| row.worker) else { return };
        if let Some(activity) = activity {
            self.move_worker(worker, activity);
        }
    }

    /// The task after one of its offers ended unaccepted: still reserved, canceled, or pending again.
    fn after_unaccepted(&mut self, reservation: ReservationSid, ended: Ended) {
        let Some(row) = self.workspace.reservation(reservation) else { return };
        let (task, worker) = (row.task, row.worker);
        let now = self.now;
        let gap = self.gap_after(task, worker, ended);
        if self.workspace.task(task).is_none_or(|row| row.status != TaskStatus::Reserved) {
            return;
        }
        let others_pending =
            self.workspace.open_reservations_of_task(task).any(|row| row.status == ReservationStatus::Pending);
        if others_pending {
            self.change_task(task, |row| set_back_off(&mut row.back_offs, gap, now));
        }
        let Some(row) = self.workspace.task(task) else { return };
        if let Some(transfer) = *row.transfer {
            self.after_transfer_refused(transfer, reservation, others_pending, gap);
            return;
        }
        if others_pending {
            return;
        }
        let target = *row.routing_target;
        let too_often = row.reserved_count >= RESERVED_COUNT_MAX;
        self.mutate_task(task, |row| {
            row.status = TaskStatus::Pending;
            set_back_off(&mut row.back_offs, gap, now);
        });
        if let Some(RoutingTarget::Worker(worker)) = target {
            self.cancel_task(task, &format!("RoutingTarget not available for Reservation acceptance: {worker}"));
        } else if too_often {
            self.cancel_task(task, REASON_RESERVED_TOO_OFTEN);
        } else {
            self.return_task(task);
        }
    }

    fn gap_after(&self, task: TaskSid, worker: WorkerSid, ended: Ended) -> BackOff {
        let failures = self
            .workspace
            .task(task)
            .and_then(|row| row.back_offs.iter().find(|back_off| back_off.worker == Some(worker)))
            .map_or(0, |back_off| back_off.failures);
        let worker = Some(worker);
        match ended {
            Ended::Unaccepted if defect!(GapForgotten) => BackOff { worker, until: self.now, failures: 0 },
            Ended::Unaccepted => BackOff { worker, until: self.now.plus_ms(RE_OFFER_GAP_MS), failures: 0 },
            Ended::ConnectFailed => {
                let doubled = CONNECT_BACK_OFF_MS.saturating_mul(1 << failures.min(16));
                let until = self.now.plus_ms(doubled.min(CONNECT_BACK_OFF_MS_MAX));
                BackOff { worker, until, failures: failures.saturating_add(1) }
            }
        }
    }

    fn wrap_one(&mut self, task: TaskSid, reservation: ReservationSid) {
        let last = self
            .workspace
            .open_reservations_of_task(task)
            .all(|row| row.sid == reservation || row.status != ReservationStatus::Accepted);
        let assigned = self.workspace.task(task).is_some_and(|row| row.status == TaskStatus::Assigned);
        if last && assigned {
            self.wrap_task(task, None);
        } else {
            self.wrap_reservation(reservation);
        }
    }

    fn complete_one(&mut self, task: TaskSid, reservation: ReservationSid) {
        self.end_reservation(reservation, ReservationStatus::Completed, None);
        let open = self.open_reservations(task);
        if self.workspace.task(task).is_some_and(|row| row.transfer.is_some()) {
            return;
        }
        if open.is_empty() {
            if self.workspace.task(task).is_some_and(|row| !row.status.is_final()) {
                self.finish_task(task, Some(REASON_ALL_COMPLETED));
            }
            return;
        }
        let wrapping = open
            .iter()
            .all(|sid| self.workspace.reservation(*sid).is_some_and(|row| row.status == ReservationStatus::Wrapping));
        if wrapping && self.workspace.task(task).is_some_and(|row| row.status == TaskStatus::Assigned) {
            self.wrap_task(task, None);
        }
    }

    pub(super) fn begin_connecting(
        &mut self,
        reservation: ReservationSid,
        instruction: Instruction,
    ) -> Result<Reply, Refusal> {
        let row = self.workspace.reservation(reservation).ok_or(Refusal::NotFound)?;
        let task = row.task;
        if row.status != ReservationStatus::Pending || row.connecting {
            return Err(Refusal::InstructionNotPending { instruction: instruction.as_str(), reservation });
        }
        self.change_reservation(reservation, |row| {
            row.connecting = true;
            row.deadline = None;
        });
        // Only the first accepting worker is dialled (TaskRouter changelog, December 2019).
        self.rescind_siblings(task, reservation);
        // The time to live pauses while connecting.
        self.change_task(task, |_| {});
        Ok(Reply::Done)
    }

    pub(super) fn accept_connected(&mut self, reservation: ReservationSid) -> Result<Reply, Refusal> {
        let row = self.workspace.reservation(reservation).ok_or(Refusal::NotFound)?;
        if row.status != ReservationStatus::Pending {
            let (from, to) = (row.status, ReservationStatus::Accepted);
            return Err(Refusal::ReservationInState { reservation, from, to });
        }
        let worker = row.worker;
        self.accept(reservation);
        self.count_connect(worker, false);
        Ok(Reply::Done)
    }

    pub(super) fn fail_connecting(
        &mut self,
        reservation: ReservationSid,
        reason_code: Option<i32>,
        not_before: Option<Timestamp>,
        missed: bool,
    ) -> Result<Reply, Refusal> {
        let row = self.workspace.reservation(reservation).ok_or(Refusal::NotFound)?;
        if row.status != ReservationStatus::Pending {
            let (from, to) = (row.status, ReservationStatus::Canceled);
            return Err(Refusal::ReservationInState { reservation, from, to });
        }
        let worker = row.worker;
        // Without connecting it is the assignment callback that failed (D40).
        let ended = if row.connecting { Ended::ConnectFailed } else { Ended::Unaccepted };
        let before = self.activity_before(reservation);
        if let Some(until) = not_before {
            let (task, now) = (row.task, self.now);
            let rest = BackOff { worker: None, until, failures: 0 };
            self.change_task(task, |row| set_back_off(&mut row.back_offs, rest, now));
        }
        self.end_reservation(reservation, ReservationStatus::Canceled, reason_code);
        if missed && self.count_connect(worker, true) {
            self.move_worker(worker, self.workspace.settings.timeout_activity);
        } else {
            self.restore_activity(reservation, before);
        }
        self.after_unaccepted(reservation, ended);
        Ok(Reply::Done)
    }

    /// The worker's leg is gone: wraps (multitasking) or completes (single-tasking).
    pub(super) fn end_work(&mut self, reservation: ReservationSid) -> Result<Reply, Refusal> {
        let row = self.workspace.reservation(reservation).ok_or(Refusal::NotFound)?;
        if row.status == ReservationStatus::Accepted {
            let task = row.task;
            if self.workspace.settings.multi_task_enabled {
                self.wrap_one(task, reservation);
            } else {
                self.complete_one(task, reservation);
            }
        }
        Ok(Reply::Done)
    }
}

/// Enters a gap, and drops those that are over.
pub(super) fn set_back_off(back_offs: &mut Vec<BackOff>, new: BackOff, now: Timestamp) {
    drop_elapsed(back_offs, now);
    back_offs.retain(|back_off| back_off.worker != new.worker);
    let at = back_offs.partition_point(|back_off| back_off.worker < new.worker);
    back_offs.insert(at, new);
}

/// Drops gaps that are over; counts of failed connects stay.
pub(super) fn drop_elapsed(back_offs: &mut Vec<BackOff>, now: Timestamp) {
    back_offs.retain(|back_off| back_off.until > now || back_off.failures > 0);
    for back_off in back_offs.iter_mut().filter(|back_off| back_off.until <= now) {
        back_off.until = BackOff::OVER;
    }
}
