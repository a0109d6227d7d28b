//! Transfers: an assigned task is offered to another worker or a queue (routing.md section 8).
//!
//! While a transfer is initiated the task is reserved, or pending when nobody of the queue can be reserved; it follows no
//! workflow and no time to live. Offers are made and answered as all others, in `matcher` and `reservation`. Start with
//! [`Turn::create_transfer`].

use super::EventKind;
use super::command::{NewTransfer, Reply};
use super::defect::defect;
use super::rare::Rare;
use super::refusal::Refusal;
use super::reservation::{RESERVED_COUNT_MAX, set_back_off};
use super::sid::{ReservationSid, TaskSid, TransferSid, WorkerSid};
use super::state::{
    BackOff, Reservation, ReservationStatus, Task, TaskStatus, Transfer, TransferMode, TransferStatus, TransferTarget,
};
use super::task::check_priority;
use super::turn::{Turn, check_attributes};

/// Reason of a transfer whose task ended meanwhile.
const REASON_TASK_ENDED: &str = "Transfer failed because the task ended";

/// Reason of a transfer whose caller hung up.
const REASON_CALLER_GONE: &str = "Transfer failed because the caller hung up";

/// Reason of a transfer to a queue in which nobody accepted.
const REASON_RESERVED_TOO_OFTEN: &str = "Transfer failed because the task was reserved too often";

impl Turn<'_> {
    pub(super) fn create_transfer(&mut self, new: &NewTransfer) -> Result<Reply, Refusal> {
        if !self.workspace.workers.contains_key(&new.worker) {
            return Err(Refusal::NotFound);
        }
        let unknown = |parameter, value: String| Refusal::UnknownReference { parameter, value };
        let row = self.workspace.task(new.task).ok_or_else(|| unknown("TaskSid", new.task.to_string()))?;
        let from = self
            .workspace
            .reservation(new.reservation)
            .filter(|from| from.task == new.task && from.worker == new.worker)
            .ok_or_else(|| unknown("ReservationSid", new.reservation.to_string()))?;
        if let Some(attributes) = &new.attributes {
            check_attributes(attributes)?;
        }
        if let Some(priority) = new.priority {
            check_priority(priority)?;
        }
        if !self.may_hand_on(row, from) {
            return Err(Refusal::NotTransferable(new.task));
        }
        match new.to {
            TransferTarget::Worker(worker) => self.check_transfer_worker(row, new.reservation, worker)?,
            TransferTarget::TaskQueue(queue) if !self.workspace.task_queues.contains_key(&queue) => {
                return Err(unknown("To", queue.to_string()));
            }
            TransferTarget::TaskQueue(_) => {}
        }
        let leaves = new.mode == TransferMode::Cold && from.status == ReservationStatus::Accepted && !new.in_room;
        let transfer = self.initiate(new);
        match new.to {
            TransferTarget::Worker(worker) => self.reserve(new.task, &[worker]),
            TransferTarget::TaskQueue(_) => {
                self.try_task(new.task);
            }
        }
        if leaves {
            self.wrap_reservation(new.reservation);
        }
        Ok(Reply::Transfer(transfer))
    }

    /// Whoever holds the task may hand it on; when nobody does any more, after a failed cold transfer, whoever held it
    /// (D50).
    fn may_hand_on(&self, task: &Task, from: &Reservation) -> bool {
        let held =
            || self.workspace.open_reservations_of_task(task.sid).any(|row| row.status == ReservationStatus::Accepted);
        task.status == TaskStatus::Assigned
            && match from.status {
                ReservationStatus::Accepted => true,
                ReservationStatus::Wrapping | ReservationStatus::Completed => !held(),
                _ => false,
            }
    }

    /// The target needs an available activity and free capacity (D51).
    fn check_transfer_worker(&self, task: &Task, from: ReservationSid, worker: WorkerSid) -> Result<(), Refusal> {
        let entry = self
            .workspace
            .workers
            .get(&worker)
            .ok_or_else(|| Refusal::UnknownReference { parameter: "To", value: worker.to_string() })?;
        let holds =
            self.workspace.open_reservations_of_task(task.sid).any(|row| row.worker == worker && row.sid != from);
        if holds || !self.workspace.is_reservable(entry, task.channel) {
            let reason = format!("worker {worker} is not available");
            return Err(Refusal::Invalid { parameter: "To", reason });
        }
        Ok(())
    }

    /// The record, the task's new figures, and the event.
    fn initiate(&mut self, new: &NewTransfer) -> TransferSid {
        let sid = TransferSid::fresh(self.sids, self.now);
        let (now, task) = (self.now, new.task);
        let Some(row) = self.workspace.task(task) else { return sid };
        let transfer = Transfer {
            sid,
            task,
            mode: new.mode,
            to: new.to,
            status: TransferStatus::Initiated,
            failed_reason: None,
            initiating_reservation: new.reservation,
            initiating_worker: new.worker,
            initiating_queue: row.queue,
            initiating_workflow: row.workflow,
            created_at: now,
            updated_at: now,
        };
        let attributes = new.attributes.as_ref().filter(|text| **text != row.attributes);
        let priority = new.priority.filter(|priority| *priority != row.priority);
        if attributes.is_some() || priority.is_some() {
            self.mutate_task(task, |row| {
                if let Some(attributes) = attributes {
                    row.attributes.clone_from(attributes);
                }
                row.priority = priority.unwrap_or(row.priority);
            });
            self.record_task(EventKind::TaskUpdated, task);
        }
        self.workspace.transfers.insert(sid, transfer);
        self.workspace.touched.transfers.insert(sid);
        if let Some(entry) = self.workspace.tasks.get_mut(&task) {
            entry.offers_mut().transfers.insert(sid);
        }
        self.mutate_task(task, |row| {
            row.transfer.set(Some(sid));
            match new.to {
                TransferTarget::Worker(_) => row.status = TaskStatus::Reserved,
                TransferTarget::TaskQueue(queue) => {
                    row.status = TaskStatus::Pending;
                    if row.queue != Some(queue) {
                        row.queue = Some(queue);
                        row.queue_entered_at = Some(now);
                    }
                }
            }
        });
        self.record_transfer(EventKind::TaskTransferInitiated, sid);
        sid
    }

    pub(super) fn cancel_transfer(
        &mut self,
        worker: WorkerSid,
        task: TaskSid,
        transfer: TransferSid,
    ) -> Result<Reply, Refusal> {
        let row = self.workspace.transfer(transfer).ok_or(Refusal::NotFound)?;
        if row.initiating_worker != worker || row.task != task {
            return Err(Refusal::NotFound);
        }
        if row.status != TransferStatus::Initiated {
            return Err(Refusal::TransferOver { transfer, status: row.status });
        }
        if !defect!(TransferOffersKept) {
            self.cancel_offers(task);
        }
        self.take_back(task);
        self.end_transfer(transfer, TransferStatus::Canceled, None);
        self.record_task(EventKind::TaskUpdated, task);
        Ok(Reply::Transfer(transfer))
    }

    /// What becomes of a transfer after one of its offers ended unaccepted, which is on record already.
    pub(super) fn after_transfer_refused(
        &mut self,
        transfer: TransferSid,
        reservation: ReservationSid,
        others_pending: bool,
        gap: BackOff,
    ) {
        let Some(row) = self.workspace.transfer(transfer) else { return };
        let (task, to) = (row.task, row.to);
        let (was, on) = match self.workspace.reservation(reservation).map(|row| row.status) {
            Some(ReservationStatus::Timeout) => ("timed out", "timeout"),
            Some(ReservationStatus::Rejected) => ("was rejected", "reject"),
            _ => ("was canceled", "cancel"),
        };
        if let TransferTarget::Worker(_) = to {
            self.fail_transfer(task, transfer, &format!("Transfer failed because the reservation {was}"));
            return;
        }
        let now = self.now;
        let none_left = (!others_pending).then(|| {
            format!("Transfer attempt failed on reservation {on} because there are no more pending reservations")
        });
        if !others_pending {
            self.mutate_task(task, |row| {
                row.status = TaskStatus::Pending;
                set_back_off(&mut row.back_offs, gap, now);
            });
        }
        self.change_transfer(transfer, |row| row.failed_reason = none_left);
        self.record_transfer(EventKind::TaskTransferAttemptFailed, transfer);
        if others_pending {
            return;
        }
        if self.workspace.task(task).is_some_and(|row| row.reserved_count >= RESERVED_COUNT_MAX) {
            self.fail_transfer(task, transfer, REASON_RESERVED_TOO_OFTEN);
        } else {
            self.return_task(task);
        }
    }

    fn fail_transfer(&mut self, task: TaskSid, transfer: TransferSid, reason: &str) {
        self.take_back(task);
        self.end_transfer(transfer, TransferStatus::Failed, Some(reason));
        self.record_task(EventKind::TaskUpdated, task);
    }

    /// The caller is gone during a transfer: nobody is asked any more, and the task is its first worker's again.
    pub(super) fn abandon_transfer(&mut self, task: TaskSid, transfer: TransferSid) {
        self.cancel_offers(task);
        self.take_back(task);
        self.end_transfer(transfer, TransferStatus::Failed, Some(REASON_CALLER_GONE));
    }

    /// The task ends during a transfer.
    pub(super) fn lose_transfer(&mut self, transfer: Option<TransferSid>) {
        if let Some(transfer) = transfer {
            self.end_transfer(transfer, TransferStatus::Failed, Some(REASON_TASK_ENDED));
        }
    }

    /// Ends a transfer, with its event; the task is the caller's.
    pub(super) fn end_transfer(&mut self, transfer: TransferSid, status: TransferStatus, reason: Option<&str>) {
        let event = match status {
            TransferStatus::Complete => EventKind::TaskTransferCompleted,
            TransferStatus::Failed => EventKind::TaskTransferFailed,
            TransferStatus::Canceled => EventKind::TaskTransferCanceled,
            TransferStatus::Initiated => return,
        };
        self.change_transfer(transfer, |row| {
            row.status = status;
            row.failed_reason = reason.map(str::to_owned);
        });
        self.record_transfer(event, transfer);
    }

    fn change_transfer(&mut self, transfer: TransferSid, change: impl FnOnce(&mut Transfer)) {
        if let Some(row) = self.workspace.transfers.get_mut(&transfer) {
            change(row);
            row.updated_at = self.now;
            self.workspace.touched.transfers.insert(transfer);
        }
    }

    fn cancel_offers(&mut self, task: TaskSid) {
        for reservation in self.open_reservations(task) {
            if self.workspace.reservation(reservation).is_some_and(|row| row.status == ReservationStatus::Pending) {
                self.close_reservation(reservation, ReservationStatus::Canceled);
            }
        }
    }

    /// Assigned again, in the queue it came from, whatever its worker has done meanwhile (D50).
    fn take_back(&mut self, task: TaskSid) {
        let now = self.now;
        let transfer = self.workspace.task(task).and_then(|row| *row.transfer);
        let queue = transfer.and_then(|transfer| self.workspace.transfer(transfer)).map(|row| row.initiating_queue);
        self.mutate_task(task, |row| {
            row.status = TaskStatus::Assigned;
            row.transfer = Rare::UNSET;
            row.back_offs = Rare::UNSET;
            if let Some(queue) = queue.filter(|queue| *queue != row.queue) {
                row.queue = queue;
                row.queue_entered_at = queue.map(|_| now);
            }
        });
    }
}
