//! One workspace in memory: its records, what is derived from them, and the entry point of the routing core.
//!
//! Records change only inside a `Turn`, which marks what it touched; [`Workspace::take_changes`]
//! then says which rows to write. Derived parts (compiled expressions, queue members, lanes, deadlines) are rebuilt by
//! [`Workspace::restore`] and never stored. Start with [`Workspace::handle`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::alert::Alert;
use super::calendars::Calendars;
use super::command::{Command, NewWorkspace, Reply, ReservationParent, Template};
use super::deadline::{Deadline, TaskDeadlines};
use super::estimate::MeasuredWait;
use super::event::EventRecord;
use super::expression::{Document, Expression, Place, Scope, Slot, Vocabulary};
use super::lane::{Lane, LaneKey, Position, ReadyKey, TaskKey};
use super::line::Line;
use super::refusal::Refusal;
use super::resource_limits::ResourceLimits;
use super::rows::{Departed, Touched};
use super::sid::{
    AccountSid, ActivitySid, ReservationSid, SidSource, TaskChannelSid, TaskQueueSid, TaskSid, TransferSid, WorkerSid,
    WorkflowSid, WorkspaceSid,
};
use super::state::{
    Activity, Presence, Reservation, ReservationStatus, Task, TaskChannel, TaskQueue, Transfer, Worker, WorkerChannel,
    Workflow, WorkspaceSettings,
};
use super::tally::Tallies;
use super::time::Timestamp;
use super::turn::Turn;
use super::workflow::Routes;

/// The five channels that come with each workspace.
pub const BUILT_IN_CHANNELS: [(&str, &str); 5] =
    [("default", "Default"), ("voice", "Voice"), ("chat", "Programmable Chat"), ("sms", "SMS"), ("video", "Video")];

/// Before every deadline.
const START_OF_TIME: Timestamp = Timestamp(i64::MIN);

/// What happened while one command was carried out.
#[derive(Debug)]
pub struct Done {
    /// What was made, if anything.
    pub reply: Reply,
    /// What happened, in order.
    pub events: Vec<EventRecord>,
    /// What a user should know of, in order.
    pub alerts: Vec<Alert>,
    /// Waits that are over and had an estimate.
    pub waits: Vec<MeasuredWait>,
}

/// An activity with its SID as text, which expressions compare with.
#[derive(Debug)]
pub(super) struct ActivityEntry {
    pub(super) row: Activity,
    pub(super) sid_text: String,
}

/// A queue with its compiled expression and its members.
#[derive(Debug)]
pub(super) struct QueueEntry {
    pub(super) row: TaskQueue,
    /// `None` when `target_workers` is empty: nobody matches.
    pub(super) expression: Option<Expression>,
    pub(super) members: BTreeSet<WorkerSid>,
    /// Members by activity, for `skip_if`.
    pub(super) members_in: BTreeMap<ActivitySid, u32>,
}

impl QueueEntry {
    /// Whether the expression is true for a worker.
    pub(super) fn takes(&self, scope: &Scope<'_>) -> bool {
        self.expression.as_ref().is_some_and(|expression| expression.matches(scope))
    }

    /// Whether the expression reads any of these attributes of a worker.
    pub(super) fn reads(&self, slots: &[Slot]) -> bool {
        let read = self.expression.as_ref().map_or(&[][..], Expression::worker_slots);
        read.iter().any(|slot| slots.contains(slot))
    }
}

/// A worker with what is derived from its record.
#[derive(Debug)]
pub(super) struct WorkerEntry {
    pub(super) row: Worker,
    pub(super) sid_text: String,
    pub(super) document: Document,
    pub(super) channels: BTreeMap<TaskChannelSid, WorkerChannel>,
    pub(super) queues: BTreeSet<TaskQueueSid>,
    /// Open reservations.
    pub(super) open: BTreeSet<ReservationSid>,
    /// Where the worker stands ready, and under which key.
    pub(super) ready: BTreeMap<LaneKey, ReadyKey>,
}

/// A task with what is derived from its record. There are many that wait, so it is kept small.
#[derive(Debug)]
pub(super) struct TaskEntry {
    pub(super) row: Task,
    /// `None` while the task was never offered to anybody.
    pub(super) offers: Option<Box<Offers>>,
    /// Where it waits; `None` unless pending and placed.
    pub(super) position: Option<Position>,
    /// Its entries in the deadline index.
    pub(super) deadlines: TaskDeadlines,
    /// The wait that was expected when it entered its queue, in seconds.
    pub(super) expected_secs: Option<u32>,
}

/// To whom a task was offered and handed on.
#[derive(Debug, Default)]
pub(super) struct Offers {
    /// All reservations, oldest first.
    pub(super) reservations: Vec<ReservationSid>,
    /// The pending, accepted and wrapping ones, oldest first: few, while a task may have had a thousand.
    pub(super) open: Vec<ReservationSid>,
    /// All transfers.
    pub(super) transfers: BTreeSet<TransferSid>,
}

impl TaskEntry {
    /// A task that is not placed yet.
    pub(super) const fn new(row: Task) -> Self {
        Self { row, offers: None, position: None, deadlines: TaskDeadlines::NONE, expected_secs: None }
    }

    /// All reservations, oldest first.
    pub(super) fn reservations(&self) -> &[ReservationSid] {
        self.offers.as_ref().map_or(&[], |offers| &offers.reservations)
    }

    /// The pending, accepted and wrapping reservations, oldest first.
    pub(super) fn open(&self) -> &[ReservationSid] {
        self.offers.as_ref().map_or(&[], |offers| &offers.open)
    }

    /// All transfers, by SID.
    pub(super) fn transfers(&self) -> impl Iterator<Item = TransferSid> {
        self.offers.iter().flat_map(|offers| offers.transfers.iter().copied())
    }

    /// What to enter a reservation or a transfer in.
    pub(super) fn offers_mut(&mut self) -> &mut Offers {
        self.offers.get_or_insert_default()
    }
}

/// A workflow configuration that is current or still followed.
#[derive(Debug)]
pub(super) struct VersionEntry {
    pub(super) configuration: Arc<str>,
    pub(super) routes: Arc<Routes>,
    /// Pending and reserved tasks that follow it.
    pub(super) followers: usize,
}

/// One workspace in memory.
#[derive(Debug)]
pub struct Workspace {
    pub(super) settings: WorkspaceSettings,
    pub(super) activities: BTreeMap<ActivitySid, ActivityEntry>,
    pub(super) task_channels: BTreeMap<TaskChannelSid, TaskChannel>,
    pub(super) channel_names: BTreeMap<String, TaskChannelSid>,
    pub(super) task_queues: BTreeMap<TaskQueueSid, QueueEntry>,
    pub(super) workflows: BTreeMap<WorkflowSid, Workflow>,
    pub(super) versions: BTreeMap<(WorkflowSid, u32), VersionEntry>,
    pub(super) workers: BTreeMap<WorkerSid, WorkerEntry>,
    /// Lower-case names.
    pub(super) worker_names: BTreeMap<String, WorkerSid>,
    pub(super) tasks: BTreeMap<TaskSid, Box<TaskEntry>>,
    pub(super) reservations: BTreeMap<ReservationSid, Reservation>,
    pub(super) transfers: BTreeMap<TransferSid, Transfer>,
    /// Workers whose sockets matter.
    pub(super) presences: BTreeMap<WorkerSid, Presence>,
    pub(super) vocabulary: Vocabulary,
    /// Attributes that were read last, and their slots.
    pub(super) last_read: RefCell<Option<(String, Arc<Document>)>>,
    pub(super) lanes: BTreeMap<LaneKey, Lane>,
    /// How many tasks wait in each lane for an answer that may change with the minute.
    pub(super) timed_lanes: BTreeMap<LaneKey, u32>,
    /// The minute in which workers were last offered those; unknown after [`Workspace::restore`].
    pub(super) offered_in: Option<Timestamp>,
    /// What expressions may ask beside the time of day; not stored with the workspace.
    pub(super) calendars: Calendars,
    /// Tasks that wait for one named worker and nobody else.
    pub(super) targeted: BTreeMap<WorkerSid, BTreeSet<(TaskKey, TaskSid)>>,
    /// Tasks that wait for a known worker by a name that nobody bears, by that name in lower case.
    pub(super) awaited: BTreeMap<String, BTreeSet<TaskSid>>,
    /// In their order; a line, because most are added at its end and a tree would be half empty.
    pub(super) deadlines: Line<(Timestamp, Deadline)>,
    /// Tasks counted, for real-time statistics.
    pub(super) tallies: Tallies,
    /// Workers by activity.
    pub(super) workers_in: BTreeMap<ActivitySid, u32>,
    /// Queues whose expression mentions activities or channel figures, so that membership moves with them.
    pub(super) dynamic_queues: BTreeSet<TaskQueueSid>,
    /// Newest idle stamp given out; stamps never repeat, so that round robin holds within one millisecond.
    pub(super) newest_stamp: Timestamp,
    /// Of the newest command since the start; times in lanes are counted from it.
    pub(super) moment: Option<Timestamp>,
    pub(super) limits: ResourceLimits,
    /// Calls in a row that a worker may miss; 0 is no limit.
    pub(super) connect_failure_limit: u32,
    pub(super) touched: Touched,
    /// Removed since the last [`Workspace::take_changes`].
    pub(super) departing: Departed,
    /// Removed before that, with the changes that were taken then.
    pub(super) departed: Departed,
}

impl Workspace {
    /// Makes a workspace with its built-in activities and channels (and the template's queue and workflow).
    pub fn create(
        account: AccountSid,
        new: &NewWorkspace,
        now: Timestamp,
        sids: &mut dyn SidSource,
    ) -> Result<(Self, Done), Refusal> {
        super::turn::check_name("FriendlyName", &new.friendly_name)?;
        let sid = WorkspaceSid::fresh(sids, now);
        let offline = ActivitySid::fresh(sids, now);
        let settings = WorkspaceSettings {
            sid,
            account,
            friendly_name: new.friendly_name.clone(),
            default_activity: offline,
            timeout_activity: offline,
            event_callback_url: new.event_callback_url.clone(),
            events_filter: new.events_filter.clone(),
            multi_task_enabled: new.multi_task_enabled,
            prioritize_queue_order: new.prioritize_queue_order,
            disconnect_grace_secs: None,
            disconnect_activity: None,
            last_sequence: 0,
            last_change_at: now,
            created_at: now,
            updated_at: now,
        };
        let mut workspace = Self::empty(settings);
        workspace.touched.settings = true;
        let mut turn = Turn::new(&mut workspace, now, sids);
        turn.found(offline, new.template == Template::Fifo)?;
        let done = turn.finish(Reply::Done);
        Ok((workspace, done))
    }

    /// Without any rows but its own.
    pub(super) fn empty(settings: WorkspaceSettings) -> Self {
        Self {
            settings,
            activities: BTreeMap::new(),
            task_channels: BTreeMap::new(),
            channel_names: BTreeMap::new(),
            task_queues: BTreeMap::new(),
            workflows: BTreeMap::new(),
            versions: BTreeMap::new(),
            workers: BTreeMap::new(),
            worker_names: BTreeMap::new(),
            tasks: BTreeMap::new(),
            reservations: BTreeMap::new(),
            transfers: BTreeMap::new(),
            presences: BTreeMap::new(),
            vocabulary: Vocabulary::default(),
            last_read: RefCell::default(),
            lanes: BTreeMap::new(),
            timed_lanes: BTreeMap::new(),
            offered_in: None,
            calendars: Calendars::default(),
            targeted: BTreeMap::new(),
            awaited: BTreeMap::new(),
            deadlines: Line::default(),
            tallies: Tallies::default(),
            workers_in: BTreeMap::new(),
            dynamic_queues: BTreeSet::new(),
            newest_stamp: START_OF_TIME,
            moment: None,
            limits: ResourceLimits::default(),
            connect_failure_limit: 0,
            touched: Touched::default(),
            departing: Departed::default(),
            departed: Departed::default(),
        }
    }

    /// Carries out one command at `now`, or at the moment of the command before if that was later; a refusal changes
    /// nothing.
    ///
    /// Invariant: when this returns, no pending task still has a candidate (gaps and back-offs apart).
    pub fn handle(&mut self, command: &Command, now: Timestamp, sids: &mut dyn SidSource) -> Result<Done, Refusal> {
        let now = now.max(self.moment.unwrap_or(self.settings.last_change_at));
        let mut turn = Turn::new(self, now, sids);
        let reply = turn.carry_out(command)?;
        Ok(turn.finish(reply))
    }

    /// Sets how much the workspace may hold; what is there stays.
    pub fn hold_at_most(&mut self, limits: ResourceLimits) {
        self.limits = limits;
    }

    /// Sets after how many calls in a row that a worker's phone did not take the worker goes to the timeout activity; never
    /// with 0.
    pub fn limit_connect_failures(&mut self, limit: u32) {
        self.connect_failure_limit = limit;
    }

    /// After how many such calls that is; 0 is never.
    #[must_use]
    pub fn connect_failure_limit(&self) -> u32 {
        self.connect_failure_limit
    }

    /// Earliest moment at which [`Command::Tick`] has something to do.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let minute =
            (!self.timed_lanes.is_empty()).then(|| self.offered_in.map_or(START_OF_TIME, Timestamp::next_minute));
        [self.deadlines.first().map(|(at, _)| *at), minute].into_iter().flatten().min()
    }

    /// The workspace's own fields.
    pub fn settings(&self) -> &WorkspaceSettings {
        &self.settings
    }

    /// A task that was removed by the changes that were taken last, or is there still.
    pub fn task_or_departed(&self, task: TaskSid) -> Option<&Task> {
        self.task(task).or_else(|| self.departed.tasks.get(&task))
    }

    /// The same of a reservation.
    pub fn reservation_or_departed(&self, reservation: ReservationSid) -> Option<&Reservation> {
        self.reservation(reservation).or_else(|| self.departed.reservations.get(&reservation))
    }

    /// A task, also one that has ended but is not removed yet.
    pub fn task(&self, task: TaskSid) -> Option<&Task> {
        self.tasks.get(&task).map(|entry| &entry.row)
    }

    /// All activities, by SID.
    pub fn activities(&self) -> impl Iterator<Item = &Activity> {
        self.activities.values().map(|entry| &entry.row)
    }

    /// A task channel.
    pub fn task_channel(&self, channel: TaskChannelSid) -> Option<&TaskChannel> {
        self.task_channels.get(&channel)
    }

    /// The task queues, by SID.
    pub fn task_queue_sids(&self) -> impl Iterator<Item = TaskQueueSid> {
        self.task_queues.keys().copied()
    }

    /// A workflow.
    pub fn workflow(&self, workflow: WorkflowSid) -> Option<&Workflow> {
        self.workflows.get(&workflow)
    }

    /// A worker.
    pub fn worker(&self, worker: WorkerSid) -> Option<&Worker> {
        self.workers.get(&worker).map(|entry| &entry.row)
    }

    /// A worker's channel.
    pub fn worker_channel(&self, worker: WorkerSid, channel: TaskChannelSid) -> Option<&WorkerChannel> {
        self.workers.get(&worker)?.channels.get(&channel)
    }

    /// A pending reservation whose worker goes back to this activity if it comes to nothing.
    pub(super) fn offer_that_remembers(&self, activity: ActivitySid) -> Option<ReservationSid> {
        let offered = |row: &&Reservation| row.status == ReservationStatus::Pending;
        let mut offers = self.reservations.values().filter(offered);
        offers.find(|row| row.previous_activity == Some(activity)).map(|row| row.sid)
    }

    /// A reservation, if it exists under that parent.
    pub fn reservation_under(
        &self,
        parent: ReservationParent,
        reservation: ReservationSid,
    ) -> Result<&Reservation, Refusal> {
        let row = self.reservation(reservation).ok_or(Refusal::NotFound)?;
        let fits = match parent {
            ReservationParent::Task(task) => row.task == task,
            ReservationParent::Worker(worker) => row.worker == worker,
            ReservationParent::Any => true,
        };
        if fits { Ok(row) } else { Err(Refusal::NotFound) }
    }

    /// A reservation.
    pub fn reservation(&self, reservation: ReservationSid) -> Option<&Reservation> {
        self.reservations.get(&reservation)
    }

    /// The reservations of a task, oldest first.
    pub fn reservations_of_task(&self, task: TaskSid) -> impl Iterator<Item = &Reservation> {
        self.tasks
            .get(&task)
            .into_iter()
            .flat_map(|entry| entry.reservations())
            .filter_map(|sid| self.reservations.get(sid))
    }

    /// The pending, accepted and wrapping reservations of a task, oldest first.
    pub fn open_reservations_of_task(&self, task: TaskSid) -> impl Iterator<Item = &Reservation> {
        let sids = self.tasks.get(&task).into_iter().flat_map(|entry| entry.open());
        sids.filter_map(|sid| self.reservations.get(sid))
    }

    /// A transfer, also one that is over.
    pub fn transfer(&self, transfer: TransferSid) -> Option<&Transfer> {
        self.transfers.get(&transfer)
    }

    /// How many tasks wait or are offered under any version of the workflow.
    pub fn followers_of(&self, workflow: WorkflowSid) -> usize {
        self.versions.range((workflow, 0)..=(workflow, u32::MAX)).map(|(_, entry)| entry.followers).sum()
    }

    /// The transfers of a task, by SID.
    pub fn transfers_of_task(&self, task: TaskSid) -> impl Iterator<Item = &Transfer> {
        let sids = self.tasks.get(&task).into_iter().flat_map(|entry| entry.transfers());
        sids.filter_map(|sid| self.transfers.get(&sid))
    }

    /// The pending, accepted and wrapping reservations of a worker, by SID.
    pub fn open_reservations_of_worker(&self, worker: WorkerSid) -> impl Iterator<Item = ReservationSid> {
        self.workers.get(&worker).into_iter().flat_map(|entry| entry.open.iter().copied())
    }

    /// Whether the workspace was deleted by its last command.
    pub fn is_deleted(&self) -> bool {
        self.touched.deleted
    }

    pub(super) fn add_version(&mut self, workflow: WorkflowSid, version: u32, text: &str) -> Result<(), Refusal> {
        let queues = &self.task_queues;
        let routes = Routes::compile(text, &mut self.vocabulary, &|queue| queues.contains_key(&queue))?;
        let entry = VersionEntry { configuration: text.into(), routes: Arc::new(routes), followers: 0 };
        self.versions.insert((workflow, version), entry);
        Ok(())
    }
}

/// Compiles a queue's expression; an empty one matches nobody.
pub(super) fn compile_queue(text: &str, vocabulary: &mut Vocabulary) -> Result<Option<Expression>, Refusal> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    Expression::compile(text, Place::Worker, vocabulary)
        .map(Some)
        .map_err(|error| Refusal::Invalid { parameter: "TargetWorkers", reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_task_stays_small() {
        // One allocation each, of the next multiple of 16 bytes; a hundred thousand of them wait (performance.md).
        assert!(size_of::<TaskEntry>() <= 280, "{} bytes", size_of::<TaskEntry>());
        assert_eq!(size_of::<Option<Position>>(), 16);
    }

    struct Counted(u128);

    impl SidSource for Counted {
        fn next_bits(&mut self, _now: Timestamp) -> u128 {
            self.0 += 1;
            self.0
        }
    }

    #[test]
    fn event_times_do_not_go_back_with_the_clock_also_not_after_a_restart() {
        let new = NewWorkspace { template: Template::Fifo, ..NewWorkspace::named("Floor") };
        let mut sids = Counted(0);
        let (mut workspace, _) =
            Workspace::create(AccountSid::from_bits(1), &new, Timestamp(70_000), &mut sids).unwrap();
        let create = |name: &str| Command::CreateActivity { friendly_name: name.to_owned(), available: true };
        let at = |done: Done| done.events.iter().map(|event| event.at.0).collect::<Vec<_>>();
        assert_eq!(at(workspace.handle(&create("a"), Timestamp(90_000), &mut sids).unwrap()), [90_000]);
        assert_eq!(at(workspace.handle(&create("b"), Timestamp(80_000), &mut sids).unwrap()), [90_000]);
        let mut restored = Workspace::restore(workspace.rows()).unwrap();
        assert_eq!(at(restored.handle(&create("c"), Timestamp(10_000), &mut sids).unwrap()), [90_000]);
        assert_eq!(at(restored.handle(&create("d"), Timestamp(90_001), &mut sids).unwrap()), [90_001]);
    }
}
