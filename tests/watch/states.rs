//! The status of a task, its reservations and the figures of its workers fit together (I1, I2, I7).

use std::collections::BTreeSet;

use switchhook::routing::{
    EventKind, EventRecord, Reservation, ReservationSid, ReservationStatus, RoutingTarget, RowChange, Task, TaskStatus,
    TransferStatus, TransferTarget, WorkerChannel,
};

use super::few::Few;
use super::{Step, Watch};

impl Watch {
    pub(super) fn states_hold(&mut self, step: &Step<'_>) -> Result<(), String> {
        for task in &step.tasks {
            match self.stored.tasks.get(task) {
                Some(row) => self.states_agree(row)?,
                None if self.stored.reservations_of(*task).next().is_some() => {
                    return Err(format!("{task} is gone, a reservation of it is not"));
                }
                None if self.stored.transfers_of(*task).next().is_some() => {
                    return Err(format!("{task} is gone, a transfer of it is not"));
                }
                None => {}
            }
        }
        let mut channels = Few::new();
        for undo in &step.undo {
            let sid = match undo {
                RowChange::WorkerChannel(row) => row.sid,
                RowChange::WorkerChannelDeleted(sid) => *sid,
                _ => continue,
            };
            channels.insert(sid);
        }
        for reservation in &step.reservations {
            if let Some(row) = self.stored.reservations.get(reservation)
                && let Some(row) = self.stored.worker_channel(row.worker, row.channel)
            {
                channels.insert(row.sid);
            }
        }
        for sid in &channels {
            if let Some(row) = self.stored.worker_channels.get(sid) {
                self.figures_agree(row)?;
            }
        }
        for worker in &step.workers {
            if let Some(row) = self.stored.workers.get(worker)
                && !self.stored.activities.contains_key(&row.activity)
            {
                return Err(format!("{worker} is in an activity that does not exist"));
            }
        }
        for event in step.events {
            match event.kind {
                EventKind::ReservationCreated => {
                    self.may_be_reserved(event, step)?;
                    self.went_to_the_end_of_the_line(event)?;
                }
                EventKind::ReservationTimeout => self.timeout_moved_the_worker(event, step)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The status of a task and those of its reservations fit together.
    pub(super) fn states_agree(&self, task: &Task) -> Result<(), String> {
        let count = |status| self.stored.open_of_task(task.sid).filter(|row| row.status == status).count();
        let (pending, accepted, wrapping) =
            (count(ReservationStatus::Pending), count(ReservationStatus::Accepted), count(ReservationStatus::Wrapping));
        let mut initiated =
            self.stored.transfers_of(task.sid).filter(|row| row.status == TransferStatus::Initiated).map(|row| row.sid);
        if (initiated.next(), initiated.next()) != (*task.transfer, None) {
            return Err(format!("{} does not know its transfer", task.sid));
        }
        let transferred = self.stored.transfers_of(task.sid).next().is_some();
        let fits = match task.status {
            TaskStatus::Pending if task.transfer.is_some() => pending == 0,
            TaskStatus::Reserved if task.transfer.is_some() => pending > 0,
            TaskStatus::Pending | TaskStatus::Completed | TaskStatus::Canceled => pending + accepted + wrapping == 0,
            TaskStatus::Reserved => pending > 0 && accepted + wrapping == 0,
            // Nobody may be left after a failed cold transfer.
            TaskStatus::Assigned if transferred => pending == 0,
            TaskStatus::Wrapping if transferred => pending + accepted == 0,
            TaskStatus::Assigned => (pending, accepted, wrapping) == (0, 1, 0),
            TaskStatus::Wrapping => (pending, accepted, wrapping) == (0, 0, 1),
        };
        if task.transfer.is_some() && !matches!(task.status, TaskStatus::Pending | TaskStatus::Reserved) {
            return Err(format!("{} is {} during a transfer", task.sid, task.status));
        }
        if !fits {
            return Err(format!(
                "{} is {} with {pending} pending, {accepted} accepted and {wrapping} wrapping reservations",
                task.sid, task.status
            ));
        }
        let most = task.queue.and_then(|queue| self.offers_max.get(&queue)).copied().unwrap_or(1);
        if pending > usize::try_from(most).unwrap_or(usize::MAX) {
            return Err(format!("{} is offered to {pending} workers at once, more than {most}", task.sid));
        }
        let initiating: Vec<_> = self.stored.transfers_of(task.sid).map(|row| row.initiating_reservation).collect();
        // A worker may get back what it hands on.
        let open = self.stored.open_of_task(task.sid).filter(|row| !initiating.contains(&row.sid));
        let mut holders = BTreeSet::new();
        if !open.map(|row| row.worker).all(|worker| holders.insert(worker)) {
            return Err(format!("one worker holds two open reservations of {}", task.sid));
        }
        Ok(())
    }

    /// What a worker's channel counts is what the reservations say.
    pub(super) fn figures_agree(&self, channel: &WorkerChannel) -> Result<(), String> {
        let own = |row: &&Reservation| row.channel == channel.channel;
        let used = self.stored.open_of(channel.worker).filter(own).count();
        let accepted = |row: &&Reservation| row.status == ReservationStatus::Accepted;
        let assigned = self.stored.open_of(channel.worker).filter(own).filter(accepted).count();
        let counted = (usize::try_from(channel.used), usize::try_from(channel.assigned_tasks));
        if counted != (Ok(used), Ok(assigned)) {
            return Err(format!("{} counts {counted:?}, its reservations are {used} and {assigned}", channel.sid));
        }
        Ok(())
    }

    /// A reservation is made only for a worker who is available, has capacity and belongs to the queue.
    fn may_be_reserved(&mut self, event: &EventRecord, step: &Step<'_>) -> Result<(), String> {
        let (Some(task), Some(reservation)) = (event.about.task, event.about.reservation) else {
            return Err("a reservation of no task was created".to_owned());
        };
        let field = |name: &str| event.data.get(name);
        let number = |name: &str| field(name).and_then(|text| text.parse::<u32>().ok());
        if field("task_ignore_capacity") == Some("true") && !self.is_of_transfer(reservation) {
            return Ok(());
        }
        let activity = field("worker_activity_sid").and_then(|sid| sid.parse().ok());
        let deleted = step.undo.iter().filter_map(|undo| match undo {
            RowChange::Activity(row) => Some(row),
            _ => None,
        });
        let mut activities = self.stored.activities.values().chain(deleted);
        if !activities.any(|row| Some(row.sid) == activity && row.available) {
            return Err(format!("{task} was reserved for a worker in an unavailable activity"));
        }
        let (capacity, used) = (number("worker_channel_capacity"), number("worker_channel_consumed_capacity"));
        if self.stored.settings.multi_task_enabled && !step.configured && used > capacity {
            return Err(format!("{task} was reserved beyond capacity: {used:?} of {capacity:?}"));
        }
        self.gap_is_kept(event)?;
        // Within a batch of several requests it may have gone again: for what it was made is not known then.
        let Some(row) = self.stored.reservations.get(&reservation) else { return Ok(()) };
        let transfer = row.transfer.and_then(|sid| self.stored.transfers.get(&sid));
        match transfer.map(|transfer| transfer.to) {
            Some(TransferTarget::Worker(_)) => return Ok(()),
            None if field("task_routing_target").is_some_and(|target| target.starts_with("WK")) => return Ok(()),
            _ => {}
        }
        // Membership by figures or activities is left to the candidates' check: the event shows them after the offer.
        let text = field("task_queue_target_expression").unwrap_or_default();
        if text.contains("activity_") || text.contains("channel") || text.contains("sid") || text.contains("friendly") {
            return Ok(());
        }
        let attributes = field("worker_attributes").unwrap_or_default();
        self.reading.learn_expression(text);
        if self.is_member_by_attributes(text, attributes) {
            Ok(())
        } else {
            Err(format!("{task} was reserved for a worker outside its queue"))
        }
    }

    /// An offer makes its worker the one who was reserved last, whatever becomes of it (routing.md 6.3).
    fn went_to_the_end_of_the_line(&self, event: &EventRecord) -> Result<(), String> {
        let (Some(worker), Some(channel)) = (event.about.worker, event.about.channel) else { return Ok(()) };
        let Some(row) = self.stored.workers.get(&worker) else { return Ok(()) };
        let on_channel =
            self.stored.worker_channel(worker, channel).map_or(row.last_reserved_at, |row| row.last_reserved_at);
        if row.last_reserved_at < event.at || on_channel < event.at {
            return Err(format!("{worker} was reserved and is first in line still"));
        }
        Ok(())
    }

    fn is_of_transfer(&self, reservation: ReservationSid) -> bool {
        self.stored.reservations.get(&reservation).is_some_and(|row| row.transfer.is_some())
    }

    /// A worker is not offered a task again within a second after an offer that ended unaccepted (D37).
    fn gap_is_kept(&self, event: &EventRecord) -> Result<(), String> {
        let (Some(task), Some(worker)) = (event.about.task, event.about.worker) else { return Ok(()) };
        // Handing a task on to somebody asks them, whatever they said before. The transfer may have failed by now, within
        // a batch of several requests; the offer tells for what it was made.
        if event.about.reservation.is_none_or(|reservation| self.is_of_transfer(reservation)) {
            return Ok(());
        }
        let refused = |row: &&Reservation| {
            row.worker == worker
                && row.transfer.is_none()
                && matches!(
                    row.status,
                    ReservationStatus::Rejected | ReservationStatus::Timeout | ReservationStatus::Canceled
                )
                && Some(row.sid) != event.about.reservation
        };
        let recent = |row: &&Reservation| row.updated_at <= event.at && row.updated_at.plus_ms(1_000) > event.at;
        // Offers of one task come in rounds of a few; the last rounds are enough.
        let last = self.stored.reservations_of(task).rev().take(12);
        match last.filter(|row| refused(row)).find(recent) {
            None => Ok(()),
            Some(row) => Err(format!("{task} was offered again to the worker of {} at once", row.sid)),
        }
    }

    /// Whoever does not answer is moved to the workspace's timeout activity.
    fn timeout_moved_the_worker(&self, event: &EventRecord, step: &Step<'_>) -> Result<(), String> {
        let Some(worker) = event.about.worker else { return Ok(()) };
        // Of several requests in one batch one may have changed it.
        let before = step.undo.iter().find_map(|undo| match undo {
            RowChange::Workspace(row) => Some(row.timeout_activity),
            _ => None,
        });
        let wanted = [Some(self.stored.settings.timeout_activity), before];
        let moves = step
            .events
            .iter()
            .filter(|other| other.kind == EventKind::WorkerActivityUpdate && other.about.worker == Some(worker));
        // The event shows where the worker was before.
        let was = event.data.get("worker_activity_sid").and_then(|sid| sid.parse().ok());
        let mut activities = moves.map(|other| other.about.activity).chain([was]);
        let is_there = activities.any(|activity| activity.is_some() && wanted.contains(&activity));
        if is_there { Ok(()) } else { Err(format!("{worker} did not answer and was not moved")) }
    }

    /// Whether a task waits for one worker only.
    pub(super) fn is_for_one_worker(task: &Task) -> bool {
        task.transfer.is_none() && matches!(*task.routing_target, Some(RoutingTarget::Worker(_)))
    }
}
