//! What must hold after every command of the routing core, whatever the command was.
//!
//! [`Watch`] looks only at rows, events and deadlines, and works out for itself who could be reserved and when something
//! is due; it must not ask the core for what it checks. Start with [`Watch::carry_out`].

use std::collections::{BTreeMap, BTreeSet};

use switchhook::routing::explain::WorkerPage;
use switchhook::routing::expression::{
    ChannelFigures, ChannelValues, Document, Expression, KnownWorkerValue, Place, Scope, Vocabulary, WorkerNames,
};
use switchhook::routing::workflow::{KnownAgent, Routes, Target};
use switchhook::routing::{
    Command, Done, EventKind, EventRecord, Refusal, Reservation, ReservationStatus, RoutingTarget, RowChange,
    SidSource, Step, Task, TaskOrder, TaskQueueSid, TaskSid, TaskStatus, Timestamp, TransferStatus, TransferTarget,
    Worker, WorkflowSid, Workspace, WorkspaceRows,
};

/// How much is looked at after a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Events and row changes.
    Events,
    /// Everything: states, deadlines, candidates, restoring.
    All,
}

/// Fresh SIDs in a fixed order, the same for the same seed.
#[derive(Clone)]
pub(crate) struct Sids {
    count: u64,
    shuffled: Option<u64>,
}

impl Sids {
    /// In creation order also within one millisecond.
    pub(crate) fn ascending() -> Self {
        Self { count: 0, shuffled: None }
    }

    /// In random order within one millisecond, as in production.
    pub(crate) fn shuffled(seed: u64) -> Self {
        Self { count: 0, shuffled: Some(seed) }
    }
}

impl SidSource for Sids {
    fn next_bits(&mut self, now: Timestamp) -> u128 {
        self.count += 1;
        let ms = u128::from(u64::try_from(now.0).unwrap_or(0)) & 0xffff_ffff_ffff;
        let low = self.shuffled.map_or(0, |seed| u128::from(mix(seed ^ self.count)) & 0x3fff_ffff);
        (ms << 80) | (7 << 76) | (0b10 << 62) | (low << 32) | u128::from(self.count)
    }
}

/// Spreads the bits of a number (the finalizer of `SplitMix64`).
pub(crate) fn mix(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Watches one workspace.
pub(crate) struct Watch {
    /// What the stream of row changes amounts to.
    stored: WorkspaceRows,
    sequence: u64,
    live_tasks: BTreeSet<TaskSid>,
    /// Largest number of offers a queue ever allowed.
    offers_max: BTreeMap<TaskQueueSid, u32>,
    vocabulary: Vocabulary,
    expressions: BTreeMap<String, Option<Expression>>,
    routes: BTreeMap<(WorkflowSid, u32), Routes>,
}

impl Watch {
    /// Begins with a workspace that has just been made.
    pub(crate) fn new(workspace: &mut Workspace, done: &Done, now: Timestamp) -> Result<Self, String> {
        let mut stored = workspace.rows();
        stored.activities.clear();
        stored.task_channels.clear();
        stored.task_queues.clear();
        stored.workflows.clear();
        let mut watch = Self {
            stored,
            sequence: 0,
            live_tasks: BTreeSet::new(),
            offers_max: BTreeMap::new(),
            vocabulary: Vocabulary::default(),
            expressions: BTreeMap::new(),
            routes: BTreeMap::new(),
        };
        watch.look(workspace, &done.events, now, Depth::All)?;
        Ok(watch)
    }

    /// Carries out one command and checks everything; the inner result is the core's own.
    pub(crate) fn carry_out(
        &mut self,
        workspace: &mut Workspace,
        command: &Command,
        now: Timestamp,
        sids: &mut Sids,
        depth: Depth,
    ) -> Result<Result<Done, Refusal>, String> {
        let mut restored = None;
        if depth == Depth::All {
            let copy = Workspace::restore(workspace.rows()).map_err(|refusal| format!("cannot restore: {refusal}"))?;
            restored = Some((copy, sids.clone()));
        }
        let rows_before = (depth == Depth::All).then(|| workspace.rows());
        let due_before = workspace.next_deadline();
        let outcome = workspace.handle(command, now, sids);
        match &outcome {
            Ok(done) => self.look(workspace, &done.events, now, depth)?,
            Err(refusal) => {
                if rows_before.is_some_and(|rows| rows != workspace.rows()) || workspace.next_deadline() != due_before {
                    return Err(format!("refused ({refusal}), but something changed"));
                }
                if !workspace.take_changes().is_empty() {
                    return Err(format!("refused ({refusal}), but rows are to be written"));
                }
            }
        }
        if let Some((mut copy, mut sids)) = restored {
            let again = copy.handle(command, now, &mut sids);
            let same = match (&outcome, &again) {
                (Ok(done), Ok(again)) => {
                    (&done.events, done.reply, &done.alerts) == (&again.events, again.reply, &again.alerts)
                }
                (Err(refusal), Err(again)) => refusal == again,
                _ => false,
            };
            if !same || (!workspace.is_deleted() && copy.rows() != workspace.rows()) {
                return Err(format!(
                    "a restored workspace acts differently: {}; {}",
                    first_difference(&format!("{outcome:#?}"), &format!("{again:#?}")),
                    first_difference(&format!("{:#?}", workspace.rows()), &format!("{:#?}", copy.rows()))
                ));
            }
        }
        Ok(outcome)
    }

    fn look(
        &mut self,
        workspace: &mut Workspace,
        events: &[EventRecord],
        now: Timestamp,
        depth: Depth,
    ) -> Result<(), String> {
        for change in workspace.take_changes() {
            if let RowChange::TaskDeleted(sid) = &change {
                let removed = self.stored.tasks.iter().find(|row| row.sid == *sid);
                if removed.and_then(|row| *row.finished_at).is_some_and(|at| at.plus_secs(300) <= now) {
                    self.live_tasks.remove(sid);
                }
            }
            apply(&mut self.stored, change);
        }
        if workspace.is_deleted() {
            return Ok(());
        }
        for event in events {
            self.look_at_event(event, now)?;
        }
        if depth == Depth::Events {
            return Ok(());
        }
        let rows = workspace.rows();
        if rows != self.stored {
            return Err(format!(
                "the row changes do not add up: {}",
                first_difference(&format!("{rows:#?}"), &format!("{:#?}", self.stored))
            ));
        }
        self.tasks_add_up(&rows)?;
        states_agree(&rows, &self.offers_max)?;
        figures_agree(&rows)?;
        crate::tallies::agree(workspace, &rows, now)?;
        self.nobody_waits_in_vain(&rows, now)?;
        self.explanations_agree(workspace, &rows, now)?;
        let timed = rows.tasks.iter().any(|task| self.waits_for_a_time(&rows, task));
        self.earliest_is_next(&rows, workspace.next_deadline(), timed.then(|| now.next_minute()))?;
        restores(&rows, workspace.next_deadline(), timed, now)
    }

    fn look_at_event(&mut self, event: &EventRecord, now: Timestamp) -> Result<(), String> {
        if event.sequence != self.sequence + 1 {
            return Err(format!("event {} has number {} after {}", event.kind, event.sequence, self.sequence));
        }
        self.sequence = event.sequence;
        if event.at != now {
            return Err(format!("event {} is not of this moment", event.kind));
        }
        for queue in &self.stored.task_queues {
            let most = self.offers_max.entry(queue.sid).or_default();
            *most = (*most).max(queue.max_reserved_workers);
        }
        match (event.kind, event.about.task) {
            (EventKind::TaskCreated, Some(task)) => {
                self.live_tasks.insert(task);
            }
            (EventKind::TaskDeleted | EventKind::TaskSystemDeleted, Some(task)) => {
                self.live_tasks.remove(&task);
            }
            (EventKind::ReservationCreated, Some(task)) => self.may_be_reserved(event, task)?,
            _ => {}
        }
        Ok(())
    }

    /// A reservation is made only for a worker who is available, has capacity and belongs to the queue.
    fn may_be_reserved(&mut self, event: &EventRecord, task: TaskSid) -> Result<(), String> {
        let field = |name: &str| event.data.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        let number = |name: &str| field(name).and_then(|text| text.parse::<u32>().ok());
        if field("task_ignore_capacity") == Some("true") {
            return Ok(());
        }
        let activity = field("worker_activity_sid").unwrap_or_default();
        let available = self.stored.activities.iter().any(|row| row.available && row.sid.to_string() == activity);
        if !available {
            return Err(format!("{task} was reserved for a worker in an unavailable activity"));
        }
        let (capacity, used) = (number("worker_channel_capacity"), number("worker_channel_consumed_capacity"));
        if self.stored.settings.multi_task_enabled && used > capacity {
            return Err(format!("{task} was reserved beyond capacity: {used:?} of {capacity:?}"));
        }
        let of_transfer = self
            .stored
            .reservations
            .iter()
            .find(|row| Some(row.sid) == event.about.reservation)
            .and_then(|row| row.transfer)
            .and_then(|transfer| self.stored.transfers.iter().find(|row| row.sid == transfer));
        match of_transfer.map(|transfer| transfer.to) {
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
        let expression = self.expression(text);
        let document = Document::read(&self.vocabulary, &json(attributes));
        let scope = Scope { worker: Some(&document), ..Scope::default() };
        if self.expressions.get(&expression).and_then(Option::as_ref).is_some_and(|queue| queue.matches(&scope)) {
            Ok(())
        } else {
            Err(format!("{task} was reserved for a worker outside its queue"))
        }
    }

    /// Tasks made are the tasks there plus those deleted, with an event or five minutes after their end.
    fn tasks_add_up(&self, rows: &WorkspaceRows) -> Result<(), String> {
        let there: BTreeSet<TaskSid> = rows.tasks.iter().map(|task| task.sid).collect();
        match there.symmetric_difference(&self.live_tasks).next() {
            None => Ok(()),
            Some(task) => Err(format!("{task} came or went without an event")),
        }
    }

    fn expression(&mut self, text: &str) -> String {
        if !self.expressions.contains_key(text) {
            let compiled = Expression::compile(text, Place::Worker, &mut self.vocabulary).ok();
            self.expressions.insert(text.to_owned(), compiled);
        }
        text.to_owned()
    }

    fn compile_all(&mut self, rows: &WorkspaceRows) {
        for queue in &rows.task_queues {
            self.expression(&queue.target_workers);
        }
        let current = rows.workflows.iter().map(|row| (row.sid, row.version, &row.configuration));
        let older = rows.workflow_versions.iter().map(|row| (row.workflow, row.version, &row.configuration));
        for (workflow, version, text) in current.chain(older) {
            if !self.routes.contains_key(&(workflow, version)) {
                let routes = Routes::compile(text, &mut self.vocabulary, &|_| true).expect("it was saved");
                self.routes.insert((workflow, version), routes);
            }
        }
    }

    fn target_of(&self, task: &Task) -> Option<&Target> {
        if task.transfer.is_some() {
            return None;
        }
        let routes = self.routes.get(&(task.workflow?, task.workflow_version))?;
        match task.step {
            Step::Target { filter, target } => {
                routes.filters.get(usize::try_from(filter).ok()?)?.targets.get(usize::try_from(target).ok()?)
            }
            Step::Default => routes.default.as_ref(),
            Step::Direct => None,
        }
    }

    /// No task is pending while somebody could be reserved for it (gaps and back-offs apart).
    fn nobody_waits_in_vain(&mut self, rows: &WorkspaceRows, now: Timestamp) -> Result<(), String> {
        self.compile_all(rows);
        for task in rows.tasks.iter().filter(|task| task.status == TaskStatus::Pending) {
            for worker in &rows.workers {
                if self.is_candidate(rows, task, worker, now) {
                    return Err(format!("{} is pending although {} is free", task.sid, worker.friendly_name));
                }
            }
        }
        Ok(())
    }

    fn is_candidate(&self, rows: &WorkspaceRows, task: &Task, worker: &Worker, now: Timestamp) -> bool {
        // A gap that is over lasts until the tick that ends it.
        if task.back_offs.iter().any(|back_off| back_off.worker == worker.sid && back_off.until.0 != i64::MIN) {
            return false;
        }
        let available = rows.activities.iter().any(|row| row.sid == worker.activity && row.available);
        let open = |reservation: &&Reservation| reservation.worker == worker.sid && reservation.status.is_open();
        let channel = rows.worker_channels.iter().find(|row| row.worker == worker.sid && row.channel == task.channel);
        let reservable = available
            && if rows.settings.multi_task_enabled {
                channel.is_some_and(|row| row.available && row.used < row.configured_capacity)
            } else {
                !rows.reservations.iter().any(|row| open(&row))
            };
        if let Some(transfer) = *task.transfer {
            let initiating = rows.transfers.iter().find(|row| row.sid == transfer);
            let initiating = initiating.map(|row| row.initiating_reservation);
            if rows.reservations.iter().any(|row| row.task == task.sid && open(&row) && Some(row.sid) != initiating) {
                return false;
            }
        } else if let Some(RoutingTarget::Worker(target)) = *task.routing_target {
            return target == worker.sid && (task.ignore_capacity || reservable);
        }
        let Some(queue) = rows.task_queues.iter().find(|row| Some(row.sid) == task.queue) else { return false };
        if !reservable {
            return false;
        }
        let activity = rows.activities.iter().find(|row| row.sid == worker.activity);
        let figures = Figures { rows, worker };
        let (sid, activity_sid) = (worker.sid.to_string(), worker.activity.to_string());
        let names = WorkerNames {
            sid: &sid,
            friendly_name: &worker.friendly_name,
            activity_sid: &activity_sid,
            activity_name: activity.map_or("", |row| row.friendly_name.as_str()),
            channels: &figures,
        };
        let worker_document = Document::read(&self.vocabulary, &json(&worker.attributes));
        let task_document = Document::read(&self.vocabulary, &json(&task.attributes));
        let of_worker = Scope { worker: Some(&worker_document), names: Some(&names), ..Scope::default() };
        let queue_expression = self.expressions.get(&queue.target_workers).and_then(Option::as_ref);
        if !queue_expression.is_some_and(|expression| expression.matches(&of_worker)) {
            return false;
        }
        let Some(target) = self.target_of(task) else { return true };
        let of_both = Scope { task: Some(&task_document), now: Some(now), ..of_worker };
        let fits = target.expression.as_ref().is_none_or(|expression| expression.matches(&of_both));
        let known = match &target.known_worker {
            None => true,
            Some(KnownAgent::Sid(known)) => known.value(&task_document) == KnownWorkerValue::Text(sid.clone()),
            Some(KnownAgent::FriendlyName(known)) => match known.value(&task_document) {
                KnownWorkerValue::Text(name) => name.to_lowercase() == worker.friendly_name.to_lowercase(),
                _ => false,
            },
        };
        fits && known
    }

    /// Whether the time of day decides about a waiting task and somebody of its queue.
    fn waits_for_a_time(&self, rows: &WorkspaceRows, task: &Task) -> bool {
        if task.status != TaskStatus::Pending || matches!(*task.routing_target, Some(RoutingTarget::Worker(_))) {
            return false;
        }
        let Some(target) = self.target_of(task) else { return false };
        let document = Document::read(&self.vocabulary, &json(&task.attributes));
        let known = match &target.known_worker {
            None => true,
            Some(KnownAgent::Sid(known)) => {
                rows.workers.iter().any(|row| known.value(&document) == KnownWorkerValue::Text(row.sid.to_string()))
            }
            Some(KnownAgent::FriendlyName(known)) => match known.value(&document) {
                KnownWorkerValue::Text(name) => {
                    rows.workers.iter().any(|row| row.friendly_name.to_lowercase() == name.to_lowercase())
                }
                _ => false,
            },
        };
        known && target.expression.as_ref().is_some_and(Expression::uses_time)
    }

    /// Explanations find the candidates that the rules find, and places in line are those of the hand-out order.
    fn explanations_agree(&self, workspace: &Workspace, rows: &WorkspaceRows, now: Timestamp) -> Result<(), String> {
        let pending = || rows.tasks.iter().filter(|task| task.status == TaskStatus::Pending);
        for task in pending() {
            // A gap that is over lasts until the tick that ends it; explanations tell it by the clock.
            let gaps_agree = task.back_offs.iter().all(|one| one.until.0 == i64::MIN || one.until > now);
            let page = WorkerPage { after: None, limit: usize::MAX, only: None };
            let explained = workspace.explain_task(task.sid, now, &page).ok_or("a task without explanation")?;
            for worker in rows.workers.iter().filter(|_| gaps_agree) {
                let verdict = explained.workers.iter().find(|verdict| verdict.worker == worker.sid);
                let candidate = verdict.is_some_and(|verdict| verdict.blocks.is_empty());
                if candidate != self.is_candidate(rows, task, worker, now) {
                    return Err(format!("{} and {}: {verdict:?}", task.sid, worker.friendly_name));
                }
            }
            let position = workspace.queue_position(task.sid, now).ok_or("a task without a position")?;
            let Ok(ahead) = position.ahead else { continue };
            let queue = rows.task_queues.iter().find(|row| Some(row.sid) == task.queue);
            let lifo = queue.is_some_and(|row| row.task_order == TaskOrder::Lifo);
            let before = |other: &&Task| {
                let fifo =
                    |row: &Task| (std::cmp::Reverse(row.priority), row.virtual_start_at, row.created_at, row.sid);
                let newest = |row: &Task| (row.virtual_start_at, row.created_at, row.sid);
                other.queue == task.queue
                    && other.channel == task.channel
                    && workspace.queue_position(other.sid, now).is_some_and(|position| position.ahead.is_ok())
                    && if lifo { newest(other) > newest(task) } else { fifo(other) < fifo(task) }
            };
            let counted = pending().filter(before).count();
            if counted != ahead {
                return Err(format!("{} has {counted} tasks ahead, told {ahead}", task.sid));
            }
        }
        for worker in &rows.workers {
            let explained = workspace.explain_worker(worker.sid, now, 20).ok_or("a worker without explanation")?;
            if explained.tasks.len() != explained.waiting.min(20) {
                return Err(format!("{} tasks wait, {} are told", explained.waiting, explained.tasks.len()));
            }
        }
        Ok(())
    }

    /// The next deadline is the earliest of everything that is due some time.
    fn earliest_is_next(
        &self,
        rows: &WorkspaceRows,
        next: Option<Timestamp>,
        minute: Option<Timestamp>,
    ) -> Result<(), String> {
        let mut due: Vec<(Timestamp, &str)> = minute.map(|at| (at, "minute")).into_iter().collect();
        for task in &rows.tasks {
            let mut pending =
                rows.reservations.iter().filter(|row| row.task == task.sid && row.status == ReservationStatus::Pending);
            if task.transfer.is_some() {
                due.push((task.assigned_at.expect("transferred tasks were accepted").plus_secs(86_400), "24 hours"));
            }
            match task.status {
                TaskStatus::Reserved if task.transfer.is_some() => {}
                TaskStatus::Pending => {
                    if task.transfer.is_none() {
                        due.push((task.created_at.plus_secs(task.timeout_secs), "time to live"));
                    }
                    if let Some(target) = self.target_of(task).filter(|target| target.timeout_secs.is_some()) {
                        due.push((task.base_at.plus_secs(target.ends_after_secs), "step"));
                    }
                    let gaps = task.back_offs.iter().map(|back_off| back_off.until);
                    due.extend(gaps.filter(|until| until.0 != i64::MIN).map(|until| (until, "gap")));
                }
                TaskStatus::Reserved => {
                    if !pending.any(|row| row.connecting) {
                        due.push((task.created_at.plus_secs(task.timeout_secs), "time to live"));
                    }
                }
                TaskStatus::Assigned | TaskStatus::Wrapping => {
                    due.push((task.assigned_at.expect("assigned tasks know since when").plus_secs(86_400), "24 hours"));
                }
                TaskStatus::Completed | TaskStatus::Canceled => {
                    due.push((task.finished_at.expect("ended tasks know since when").plus_secs(300), "removal"));
                }
            }
        }
        for row in rows.reservations.iter().filter(|row| row.status == ReservationStatus::Pending && !row.connecting) {
            due.push((row.created_at.plus_secs(row.timeout_secs), "reservation"));
        }
        let earliest = due.iter().min();
        if earliest.map(|(at, _)| *at) == next {
            Ok(())
        } else {
            Err(format!("next deadline is {next:?}, but the earliest is {earliest:?}"))
        }
    }
}

struct Figures<'a> {
    rows: &'a WorkspaceRows,
    worker: &'a Worker,
}

impl ChannelFigures for Figures<'_> {
    fn figures(&self, unique_name: &str) -> Option<ChannelValues> {
        let channel = self.rows.task_channels.iter().find(|row| row.unique_name == unique_name)?;
        let row =
            self.rows.worker_channels.iter().find(|row| row.worker == self.worker.sid && row.channel == channel.sid)?;
        Some(ChannelValues {
            configured_capacity: row.configured_capacity,
            assigned_tasks: row.assigned_tasks,
            available_capacity_percentage: row.available_capacity_percentage(),
        })
    }
}

/// The status of a task and those of its reservations fit together.
fn states_agree(rows: &WorkspaceRows, offers_max: &BTreeMap<TaskQueueSid, u32>) -> Result<(), String> {
    for task in &rows.tasks {
        let of_task: Vec<&Reservation> = rows.reservations.iter().filter(|row| row.task == task.sid).collect();
        let count = |status| of_task.iter().filter(|row| row.status == status).count();
        let (pending, accepted, wrapping) =
            (count(ReservationStatus::Pending), count(ReservationStatus::Accepted), count(ReservationStatus::Wrapping));
        let mut initiated = rows
            .transfers
            .iter()
            .filter(|row| row.task == task.sid && row.status == TransferStatus::Initiated)
            .map(|row| row.sid);
        if (initiated.next(), initiated.next()) != (*task.transfer, None) {
            return Err(format!("{} does not know its transfer", task.sid));
        }
        let transferred = rows.transfers.iter().any(|row| row.task == task.sid);
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
        let most = task.queue.and_then(|queue| offers_max.get(&queue)).copied().unwrap_or(1);
        if pending > usize::try_from(most).unwrap_or(usize::MAX) {
            return Err(format!("{} is offered to {pending} workers at once, more than {most}", task.sid));
        }
        let mut holders = BTreeSet::new();
        let initiating: BTreeSet<_> =
            rows.transfers.iter().filter(|row| row.task == task.sid).map(|row| row.initiating_reservation).collect();
        // A worker may get back what it hands on.
        let open = of_task.iter().filter(|row| row.status.is_open() && !initiating.contains(&row.sid));
        if !open.map(|row| row.worker).all(|worker| holders.insert(worker)) {
            return Err(format!("one worker holds two open reservations of {}", task.sid));
        }
    }
    let orphan = rows.reservations.iter().find(|row| !rows.tasks.iter().any(|task| task.sid == row.task));
    if let Some(row) = rows.transfers.iter().find(|row| !rows.tasks.iter().any(|task| task.sid == row.task)) {
        return Err(format!("{} has no task", row.sid));
    }
    orphan.map_or(Ok(()), |row| Err(format!("{} has no task", row.sid)))
}

/// What workers' channels count is what the reservations say.
fn figures_agree(rows: &WorkspaceRows) -> Result<(), String> {
    for channel in &rows.worker_channels {
        let own = |row: &&Reservation| row.worker == channel.worker && row.channel == channel.channel;
        let used = rows.reservations.iter().filter(own).filter(|row| row.status.is_open()).count();
        let assigned =
            rows.reservations.iter().filter(own).filter(|row| row.status == ReservationStatus::Accepted).count();
        let counted = (usize::try_from(channel.used), usize::try_from(channel.assigned_tasks));
        if counted != (Ok(used), Ok(assigned)) {
            return Err(format!("{} counts {counted:?}, its reservations are {used} and {assigned}", channel.sid));
        }
    }
    let lost = rows.workers.iter().find(|worker| !rows.activities.iter().any(|row| row.sid == worker.activity));
    lost.map_or(Ok(()), |worker| Err(format!("{} is in an activity that does not exist", worker.sid)))
}

/// Rows give the same workspace again, and in it too nobody waits in vain; who waits for a time is offered at once.
fn restores(rows: &WorkspaceRows, next: Option<Timestamp>, timed: bool, now: Timestamp) -> Result<(), String> {
    let mut copy = Workspace::restore(rows.clone()).map_err(|refusal| format!("cannot restore: {refusal}"))?;
    if copy.rows() != *rows {
        return Err("restored rows differ".to_owned());
    }
    let first = if timed { Some(Timestamp(i64::MIN)) } else { next };
    if copy.next_deadline() != first {
        return Err(format!("restored deadline is {:?} instead of {first:?}", copy.next_deadline()));
    }
    if next.is_some_and(|at| at <= now) {
        return Ok(());
    }
    // Turning a channel's idle order makes the core ask every worker for work.
    let Some(channel) = rows.task_channels.first() else { return Ok(()) };
    let ask_all = Command::UpdateTaskChannel {
        channel: switchhook::routing::command::ChannelName::Sid(channel.sid),
        friendly_name: None,
        channel_optimized_routing: Some(!channel.channel_optimized_routing),
    };
    let done = copy.handle(&ask_all, now, &mut Sids::ascending()).map_err(|refusal| refusal.to_string())?;
    match done.events.iter().find(|event| event.kind == EventKind::ReservationCreated) {
        None => Ok(()),
        Some(event) => Err(format!("asked again, a worker takes {:?}", event.about.task)),
    }
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn first_difference(left: &str, right: &str) -> String {
    let differing = left.lines().zip(right.lines()).enumerate().find(|(_, (left, right))| left != right);
    match differing {
        Some((line, (left, right))) => format!("line {line}: {} / {}", left.trim(), right.trim()),
        None => format!("{} / {} lines", left.lines().count(), right.lines().count()),
    }
}

/// Writes one change into the rows, as a store would.
fn apply(rows: &mut WorkspaceRows, change: RowChange) {
    fn put<T, K: Ord>(list: &mut Vec<T>, row: T, key: impl Fn(&T) -> K) {
        match list.binary_search_by_key(&key(&row), &key) {
            Ok(at) => list[at] = row,
            Err(at) => list.insert(at, row),
        }
    }
    match change {
        RowChange::Workspace(row) => rows.settings = row,
        RowChange::WorkspaceDeleted => {}
        RowChange::Activity(row) => put(&mut rows.activities, row, |row| row.sid),
        RowChange::ActivityDeleted(sid) => rows.activities.retain(|row| row.sid != sid),
        RowChange::TaskChannel(row) => put(&mut rows.task_channels, row, |row| row.sid),
        RowChange::TaskChannelDeleted(sid) => rows.task_channels.retain(|row| row.sid != sid),
        RowChange::TaskQueue(row) => put(&mut rows.task_queues, row, |row| row.sid),
        RowChange::TaskQueueDeleted(sid) => rows.task_queues.retain(|row| row.sid != sid),
        RowChange::Workflow(row) => put(&mut rows.workflows, row, |row| row.sid),
        RowChange::WorkflowDeleted(sid) => rows.workflows.retain(|row| row.sid != sid),
        RowChange::WorkflowVersion(row) => put(&mut rows.workflow_versions, row, |row| (row.workflow, row.version)),
        RowChange::WorkflowVersionDeleted(sid, version) => {
            rows.workflow_versions.retain(|row| (row.workflow, row.version) != (sid, version));
        }
        RowChange::Worker(row) => put(&mut rows.workers, row, |row| row.sid),
        RowChange::WorkerDeleted(sid) => rows.workers.retain(|row| row.sid != sid),
        RowChange::WorkerChannel(row) => put(&mut rows.worker_channels, row, |row| row.sid),
        RowChange::WorkerChannelDeleted(sid) => rows.worker_channels.retain(|row| row.sid != sid),
        RowChange::Task(row) => put(&mut rows.tasks, row, |row| row.sid),
        RowChange::TaskDeleted(sid) => rows.tasks.retain(|row| row.sid != sid),
        RowChange::Reservation(row) => put(&mut rows.reservations, row, |row| row.sid),
        RowChange::ReservationDeleted(sid) => rows.reservations.retain(|row| row.sid != sid),
        RowChange::Transfer(row) => put(&mut rows.transfers, row, |row| row.sid),
        RowChange::TransferDeleted(sid) => rows.transfers.retain(|row| row.sid != sid),
    }
}
