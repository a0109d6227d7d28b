//! What must hold after every command of the routing core, whatever the command was.
//!
//! [`Watch`] looks only at rows, events and deadlines, and works out for itself who could be reserved and when something
//! is due; it must not ask the core for what it checks. After each command it looks at what the command touched
//! ([`Depth::Touched`]), which costs little enough for millions of steps, or at everything ([`Depth::All`]). Both the
//! scenarios and the simulation use it. Start with [`Watch::look`].

mod calendars;
mod candidates;
mod deadlines;
mod explained;
mod few;
mod history;
mod order;
mod reading;
mod sids;
mod states;
mod steps;
mod stored;
mod tallies;
mod whole;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use switchhook::routing::{
    EventRecord, ReservationSid, RowChange, Task, TaskQueueSid, TaskSid, Timestamp, WorkerSid, Workspace,
    WorkspaceSettings,
};

pub(crate) use sids::{Sids, mix};
pub(crate) use stored::Stored;
pub(crate) use whole::first_difference;

use calendars::Calendars;
use deadlines::Due;
use few::Few;
use reading::Reading;

/// How much is looked at after a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What the command touched.
    Touched,
    /// The rows of everything, and who could take what: for a workspace that was just made of its rows.
    Rows,
    /// Everything: also figures, explanations, and that rows make the same workspace again.
    All,
}

/// Watches one workspace.
pub(crate) struct Watch {
    /// What the stream of row changes amounts to.
    pub(crate) stored: Stored,
    /// When something is due, by the rows.
    due: Due,
    /// Largest number of offers a queue ever allowed.
    offers_max: BTreeMap<TaskQueueSid, u32>,
    /// Tasks whose step may depend on the time of day.
    timed: BTreeSet<TaskSid>,
    reading: Reading,
    pub(crate) calendars: Calendars,
    /// Who belongs to which queue, as far as it was asked since something could change it.
    members: RefCell<BTreeMap<WorkerSid, BTreeMap<TaskQueueSid, bool>>>,
    /// Number of the newest event, and its moment.
    newest: (u64, Timestamp),
    now: Timestamp,
}

/// What one command changed: for each row that it wrote or removed the change that undoes it.
pub(crate) struct Step<'a> {
    pub(crate) undo: Vec<RowChange>,
    events: &'a [EventRecord],
    now: Timestamp,
    tasks: Few<TaskSid>,
    workers: Few<WorkerSid>,
    reservations: Few<ReservationSid>,
    /// Queues, activities, channels or workflows were written or removed.
    configured: bool,
}

impl Step<'_> {
    /// The task before the command, if it was there and was touched.
    fn task_before(&self, task: TaskSid) -> Option<&Task> {
        self.undo.iter().find_map(|undo| match undo {
            RowChange::Task(row) if row.sid == task => Some(row),
            _ => None,
        })
    }
}

impl Watch {
    /// Begins with a workspace that has no rows yet but its own.
    pub(crate) fn new(settings: WorkspaceSettings) -> Self {
        Self {
            stored: Stored::new(settings),
            due: Due::default(),
            offers_max: BTreeMap::new(),
            timed: BTreeSet::new(),
            reading: Reading::default(),
            calendars: Calendars::default(),
            members: RefCell::default(),
            newest: (0, Timestamp(i64::MIN)),
            now: Timestamp(i64::MIN),
        }
    }

    /// Takes in what one command wrote and checks it; the undoing changes, newest last.
    pub(crate) fn look(
        &mut self,
        changes: Vec<RowChange>,
        events: &[EventRecord],
        workspace: &Workspace,
        now: Timestamp,
        depth: Depth,
    ) -> Result<Vec<RowChange>, String> {
        self.now = now;
        let step = self.take_in(changes, events, now);
        if workspace.is_deleted() {
            return Ok(step.undo);
        }
        self.history_holds(&step)?;
        self.states_hold(&step)?;
        self.steps_hold(&step)?;
        self.order_holds(&step)?;
        self.due_is_next(workspace.next_deadline())?;
        match depth {
            Depth::Touched => self.nobody_touched_waits_in_vain(&step)?,
            Depth::Rows => self.rows_hold()?,
            Depth::All => self.everything_holds(workspace, now)?,
        }
        Ok(step.undo)
    }

    /// Takes back changes that were lost before they were on disk; `undo` is newest last.
    pub(crate) fn roll_back(&mut self, undo: Vec<RowChange>) {
        let mut tasks = BTreeSet::new();
        let mut workflows = false;
        for change in undo.into_iter().rev() {
            match &change {
                RowChange::Workflow(_)
                | RowChange::WorkflowDeleted(_)
                | RowChange::WorkflowVersion(_)
                | RowChange::WorkflowVersionDeleted(..) => workflows = true,
                RowChange::Task(row) => {
                    tasks.insert(row.sid);
                }
                RowChange::TaskDeleted(sid) => {
                    tasks.insert(*sid);
                }
                RowChange::Reservation(row) => {
                    tasks.insert(row.task);
                }
                RowChange::ReservationDeleted(sid) => {
                    tasks.extend(self.stored.reservations.get(sid).map(|row| row.task));
                }
                _ => {}
            }
            self.stored.apply(change);
        }
        if workflows {
            // The number of a version that was lost is given again, and one that was over is followed again.
            self.reading.forget_routes();
            self.reading.learn(&self.stored, true);
        }
        self.members.get_mut().clear();
        for task in tasks {
            self.refresh_due(task);
        }
        self.newest = (self.stored.settings.last_sequence, self.stored.settings.last_change_at);
    }

    fn take_in<'a>(&mut self, changes: Vec<RowChange>, events: &'a [EventRecord], now: Timestamp) -> Step<'a> {
        let mut step = Step {
            undo: Vec::with_capacity(changes.len()),
            events,
            now,
            tasks: Few::new(),
            workers: Few::new(),
            reservations: Few::new(),
            configured: false,
        };
        for change in changes {
            match &change {
                RowChange::Task(row) => {
                    step.tasks.insert(row.sid);
                }
                RowChange::TaskDeleted(sid) => {
                    step.tasks.insert(*sid);
                }
                RowChange::Reservation(row) => {
                    step.tasks.insert(row.task);
                    step.workers.insert(row.worker);
                    step.reservations.insert(row.sid);
                }
                RowChange::ReservationDeleted(sid) => {
                    step.reservations.insert(*sid);
                }
                RowChange::Transfer(row) => {
                    step.tasks.insert(row.task);
                }
                RowChange::Worker(row) => {
                    step.workers.insert(row.sid);
                }
                RowChange::WorkerDeleted(sid) => {
                    step.workers.insert(*sid);
                }
                RowChange::WorkerChannel(row) => {
                    step.workers.insert(row.worker);
                }
                RowChange::TaskQueue(row) => {
                    let most = self.offers_max.entry(row.sid).or_default();
                    *most = (*most).max(row.max_reserved_workers);
                    step.configured = true;
                }
                RowChange::Workspace(row) => {
                    let before = &self.stored.settings;
                    step.configured |= row.prioritize_queue_order != before.prioritize_queue_order
                        || row.multi_task_enabled != before.multi_task_enabled;
                }
                RowChange::WorkspaceDeleted
                | RowChange::WorkerChannelDeleted(_)
                | RowChange::TransferDeleted(_)
                | RowChange::Presence(_)
                | RowChange::PresenceDeleted(_) => {}
                RowChange::Activity(_)
                | RowChange::ActivityDeleted(_)
                | RowChange::TaskChannel(_)
                | RowChange::TaskChannelDeleted(_)
                | RowChange::TaskQueueDeleted(_)
                | RowChange::Workflow(_)
                | RowChange::WorkflowDeleted(_)
                | RowChange::WorkflowVersion(_)
                | RowChange::WorkflowVersionDeleted(..) => step.configured = true,
            }
            step.undo.push(self.stored.apply(change));
        }
        self.reading.learn(&self.stored, step.configured);
        if step.configured {
            self.members.get_mut().clear();
        }
        for worker in &step.workers {
            self.members.get_mut().remove(worker);
        }
        for task in &step.tasks {
            self.refresh_due(*task);
        }
        step
    }
}
