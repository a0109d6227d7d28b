//! A task's way through its workflow: entering steps, leaving them by timeout or skip, and being evaluated again.
//!
//! Follows the algorithm of routing.md 3.3; each doubtful point is one function named after its decision. Start with
//! [`Turn::enter_workflow`].

use std::sync::Arc;

use super::EventKind;
use super::alert::{KNOWN_WORKER_ELSEWHERE, KNOWN_WORKER_INVALID, KNOWN_WORKER_NOT_IN_QUEUE, NOTHING_MATCHES};
use super::defect::defect;
use super::expression::{Document, Scope, WorkerCounts};
use super::index::KnownWorkerProblem;
use super::sid::{ActivitySid, TaskQueueSid, TaskSid};
use super::state::{Step, Task, TaskStatus};
use super::task::REASON_TTL;
use super::turn::Turn;
use super::workflow::Routes;
use super::workspace::{QueueEntry, Workspace};

/// Reason of a task whose last step timed out (TaskRouter: Events reference).
pub(super) const REASON_WORKFLOW_TIMEOUT: &str = "Task canceled on Workflow timeout";

/// Reason of a task that was skipped out of its workflow (D27).
pub(super) const REASON_WORKFLOW_SKIP: &str = "Task canceled on Workflow skip";

/// What the steps of a queue count for `skip_if`.
pub(super) struct Counts<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) queue: &'a QueueEntry,
}

impl Counts<'_> {
    fn count(&self, available: bool) -> u32 {
        self.queue
            .members_in
            .iter()
            .filter(|(activity, _)| {
                self.workspace.activities.get(activity).is_some_and(|entry| entry.row.available == available)
            })
            .map(|(_, count)| count)
            .sum()
    }
}

impl WorkerCounts for Counts<'_> {
    fn available(&self) -> u32 {
        if defect!(SkipCountsIdleWorkers) {
            let workers = self.queue.members.iter().filter_map(|worker| self.workspace.workers.get(worker));
            let idle = workers.filter(|entry| self.workspace.is_available(entry) && entry.open.is_empty());
            return u32::try_from(idle.count()).unwrap_or(u32::MAX);
        }
        self.count(true)
    }

    fn unavailable(&self) -> u32 {
        self.count(false)
    }

    fn in_activity(&self, sid: &str) -> u32 {
        sid.parse::<ActivitySid>().ok().and_then(|sid| self.queue.members_in.get(&sid)).copied().unwrap_or(0)
    }
}

/// Why a pending task is looked at again; the greater reason counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Again {
    /// A gap is over: it is offered, not evaluated.
    Offer,
    /// The time of its step is over.
    StepOver,
    /// Its attributes changed.
    Changed,
    /// Its last reservation ended unaccepted.
    Returned,
}

/// What moved a task, as its events tell (events.md 2.2).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cause {
    /// `TargetChangedReason`
    pub(super) target_changed: Option<&'static str>,
    /// `TaskReEvaluatedReason`
    pub(super) re_evaluated: Option<&'static str>,
}

impl Cause {
    const ATTRIBUTES: Self =
        Self { target_changed: Some(TARGET_RE_EVALUATED), re_evaluated: Some("Task attributes changed") };
    const RETURNED: Self = Self { target_changed: Some(TARGET_RE_EVALUATED), re_evaluated: Some("Reservation ended") };
    pub(super) const WORKFLOW: Self =
        Self { target_changed: Some(TARGET_RE_EVALUATED), re_evaluated: Some("Workflow updated") };
}

const TARGET_RE_EVALUATED: &str = "Task re-evaluated";
const TARGET_TIMED_OUT: &str = "Target timeout";
const TARGET_SKIPPED: &str = "Target skipped";

/// Where the next move of a task leads.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// The first matching filter from this one on.
    Filter(usize),
    /// This target of this filter.
    Target(usize, usize),
    /// The default filter.
    Default,
    /// Nowhere: it is offered where it stands.
    Here,
}

/// A pending task on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    task: TaskSid,
    next: Next,
    cause: Cause,
}

impl Move {
    /// A task that is offered where it stands.
    pub(super) const fn nowhere(task: TaskSid) -> Self {
        Self { task, next: Next::Here, cause: Cause { target_changed: None, re_evaluated: None } }
    }
}

impl Turn<'_> {
    /// Sends a new (or re-evaluated) task through its workflow from the top; the way is the caller's to [`walk`](Self::walk).
    pub(super) fn enter_workflow(&mut self, task: TaskSid, cause: Cause) -> Move {
        let now = self.now;
        self.change_task(task, |row| {
            row.base_at = now;
            row.filter_timed_out = false;
            row.step = Step::Direct;
            row.attributes_changed = false;
        });
        self.record_task(EventKind::WorkflowEntered, task);
        Move { task, next: Next::Filter(0), cause }
    }

    /// Whether these attributes of a waiting task would lead it to another filter than its present ones, from the top (D21).
    pub(super) fn leads_elsewhere(&self, task: &Task, attributes: &str) -> bool {
        let waits = matches!(task.status, TaskStatus::Pending | TaskStatus::Reserved) && task.transfer.is_none();
        if !waits || task.step == Step::Direct {
            return false;
        }
        let Some(routes) = self.routes_of(task.sid) else { return false };
        let first = |text: &str| {
            routes.first_match(&self.workspace.read_document(text), 0, self.now, &self.workspace.calendars)
        };
        first(&task.attributes) != first(attributes)
    }

    /// Where a pending task belongs now that lost its reservations, whose time is over, or whose attributes changed; none
    /// if it ends.
    pub(super) fn re_evaluate(&mut self, task: TaskSid, again: Again) -> Option<Move> {
        let row = self.workspace.task(task)?;
        let (step, timed_out, leads_elsewhere) = (row.step, row.filter_timed_out, row.attributes_changed);
        if row.transfer.is_some() {
            return Some(Move::nowhere(task));
        }
        // The time to live does not interrupt connecting; it is checked again when connecting has failed (V21).
        if self.now >= row.created_at.plus_secs(row.timeout_secs) {
            self.cancel_task(task, REASON_TTL);
            return None;
        }
        if leads_elsewhere {
            self.change_task(task, |row| row.attributes_changed = false);
        }
        let current = match step {
            Step::Direct => return Some(Move::nowhere(task)),
            Step::Default => None,
            Step::Target { filter, target } => Some((as_index(filter), as_index(target))),
        };
        let Some(routes) = self.routes_of(task) else { return Some(Move::nowhere(task)) };
        let changed = leads_elsewhere || again == Again::Changed;
        let cause = match again {
            _ if changed => Cause::ATTRIBUTES,
            Again::Returned => Cause::RETURNED,
            Again::StepOver | Again::Offer | Again::Changed => Cause::default(),
        };
        let from = if leads_elsewhere { 0 } else { current.map_or(routes.filters.len(), |(filter, _)| filter) };
        let matched = routes.first_match(&self.document_of(task), from, self.now, &self.workspace.calendars);
        let stays = match (matched, current) {
            (Some(matched), Some((filter, _))) => matched == filter,
            (Some(_), None) => false,
            (None, None) => true,
            (None, Some(_)) => timed_out || routes.default.is_none(),
        };
        // Attributes may have changed while it was reserved.
        if stays && (changed || again == Again::Returned) {
            self.alert_known_worker(task);
        }
        let next = match (matched, current) {
            (Some(matched), Some((filter, target))) if matched == filter => {
                if defect!(StepClockRestarted) {
                    self.restart_clock(task);
                }
                Next::Target(filter, target)
            }
            (Some(matched), _) => {
                self.restart_clock(task);
                Next::Target(matched, 0)
            }
            (None, None) => Next::Default,
            (None, Some(_)) if !timed_out && routes.default.is_some() => {
                self.restart_clock(task);
                Next::Default
            }
            // Attributes that match nothing leave the task where it is (D22).
            (None, Some((filter, target))) => {
                if changed {
                    let message = format!("the new attributes of task {task} match no filter of its workflow");
                    self.alert(NOTHING_MATCHES, message, Some(task));
                }
                Next::Target(filter, target)
            }
        };
        Some(Move { task, next, cause })
    }

    /// Moves pending tasks until each is reserved, waits in a step, or has left the workflow.
    ///
    /// All enter their steps before any of them is offered, so that their places there decide who is first (routing.md
    /// 6.2). Ends because each round leads a task to a later target or a later filter.
    pub(super) fn walk(&mut self, mut moving: Vec<Move>) {
        while !moving.is_empty() {
            let mut standing: Vec<Move> = moving.into_iter().filter_map(|on_its_way| self.enter(on_its_way)).collect();
            if standing.len() > 1 {
                standing.sort_by_cached_key(|entered| self.workspace.place_in_line(entered.task));
            }
            moving = standing.into_iter().filter_map(|entered| self.offer(entered)).collect();
        }
    }

    /// Has a task enter the step it is led to, which becomes what is next of it; none if it leaves the workflow.
    fn enter(&mut self, mut on_its_way: Move) -> Option<Move> {
        let task = on_its_way.task;
        loop {
            on_its_way.next = match on_its_way.next {
                Next::Here => return Some(on_its_way),
                Next::Default => {
                    self.enter_default(task, on_its_way.cause);
                    Next::Here
                }
                Next::Filter(from) => {
                    let routes = self.routes_of(task)?;
                    let document = self.document_of(task);
                    match routes.first_match(&document, from, self.now, &self.workspace.calendars) {
                        Some(filter) => Next::Target(filter, 0),
                        None if self.may_enter_default(task, &routes) => Next::Default,
                        None => {
                            self.leave_workflow(task);
                            return None;
                        }
                    }
                }
                Next::Target(filter, target) => match self.enter_target(task, filter, target, &mut on_its_way.cause)? {
                    Next::Target(filter, target) => {
                        return Some(Move { next: Next::Target(filter, target), ..on_its_way });
                    }
                    later => later,
                },
            }
        }
    }

    /// Has a task enter this target, or the first one after it whose time is not over, which is returned; or the filter
    /// after it.
    fn enter_target(&mut self, task: TaskSid, filter: usize, target: usize, cause: &mut Cause) -> Option<Next> {
        let routes = self.routes_of(task)?;
        let row = self.workspace.task(task)?;
        let targets = routes.filters.get(filter).map(|filter| &filter.targets)?;
        // Steps whose time is already over are passed by: the clock is the task's age in the filter (D15).
        let mut target = target;
        let standing = row.step;
        let base_at = row.base_at;
        let over = |target: usize| {
            targets.get(target).is_some_and(|entry| {
                entry.timeout_secs.is_some() && self.now >= base_at.plus_secs(entry.ends_after_secs)
            })
        };
        let first = target;
        while over(target) {
            target += 1;
        }
        if target > first && standing == step_of(filter, first) {
            self.record_task(EventKind::TaskQueueTimeout, task);
            cause.target_changed = Some(TARGET_TIMED_OUT);
        }
        let Some(entry) = targets.get(target) else {
            let now = self.now;
            self.change_task(task, |row| {
                row.filter_timed_out = true;
                row.base_at = now;
            });
            return Some(Next::Filter(filter + 1));
        };
        let step = step_of(filter, target);
        if standing != step {
            self.enter_step(task, step, entry.queue, entry.priority, *cause);
        }
        Some(Next::Target(filter, target))
    }

    /// Offers a task in the step that it has entered; where it goes on if nobody may take it and the step is to be skipped.
    fn offer(&mut self, entered: Move) -> Option<Move> {
        let Move { task, next, mut cause } = entered;
        if self.workspace.task(task)?.status != TaskStatus::Pending || self.try_task(task) {
            return None;
        }
        let Next::Target(filter, target) = next else { return None };
        let routes = self.routes_of(task)?;
        let targets = routes.filters.get(filter).map(|filter| &filter.targets)?;
        let entry = targets.get(target)?;
        let skips = entry.skip_if.as_ref().is_some_and(|skip_if| {
            self.workspace.task_queues.get(&entry.queue).is_some_and(|queue| {
                let counts = Counts { workspace: self.workspace, queue };
                let document = self.document_of(task);
                skip_if.matches(&Scope { task: Some(&document), counts: Some(&counts), ..Scope::default() })
            })
        });
        if !skips {
            return None;
        }
        cause.target_changed = Some(TARGET_SKIPPED);
        if target + 1 < targets.len() {
            return Some(Move { task, next: Next::Target(filter, target + 1), cause });
        }
        self.restart_clock(task);
        Some(Move { task, next: Next::Filter(filter + 1), cause })
    }

    /// The default filter is closed once a filter has timed out (D18).
    fn may_enter_default(&self, task: TaskSid, routes: &Routes) -> bool {
        let timed_out = self.workspace.task(task).is_some_and(|row| row.filter_timed_out);
        routes.default.is_some() && (!timed_out || defect!(DefaultAfterTimeout))
    }

    /// No further filter matches: the task is canceled.
    fn leave_workflow(&mut self, task: TaskSid) {
        let timed_out = self.workspace.task(task).is_some_and(|row| row.filter_timed_out);
        let (event, reason) = if timed_out {
            (EventKind::WorkflowTimeout, REASON_WORKFLOW_TIMEOUT)
        } else {
            (EventKind::WorkflowSkipped, REASON_WORKFLOW_SKIP)
        };
        self.record_task(event, task);
        self.cancel_task(task, reason);
    }

    fn enter_default(&mut self, task: TaskSid, cause: Cause) {
        let Some(routes) = self.routes_of(task) else { return };
        let Some(target) = &routes.default else { return };
        if self.workspace.task(task).is_some_and(|row| row.step != Step::Default) {
            self.enter_step(task, Step::Default, target.queue, target.priority, cause);
        }
    }

    /// Moves the record into a step; the priority of the step is set on entry only (D34).
    fn enter_step(&mut self, task: TaskSid, step: Step, queue: TaskQueueSid, priority: Option<i32>, cause: Cause) {
        let Some(row) = self.workspace.task(task) else { return };
        let before = row.queue;
        let previous_priority = row.priority;
        let moves = before != Some(queue);
        let now = self.now;
        self.mutate_task(task, |row| {
            row.step = step;
            if let Some(priority) = priority {
                row.priority = priority;
            }
            if moves {
                row.queue = Some(queue);
                row.queue_entered_at = Some(now);
            }
        });
        self.record_target_matched(task, before, previous_priority, cause);
        if moves {
            if let Some(before) = before {
                self.record_queue_moved(task, before, previous_priority, cause);
            }
            self.record_task(EventKind::TaskQueueEntered, task);
            self.entered.insert(task);
        }
        self.alert_known_worker(task);
    }

    /// Says why the step's known worker cannot be reserved, whatever happens (routing.md 3.7).
    fn alert_known_worker(&mut self, task: TaskSid) {
        let Some(row) = self.workspace.task(task) else { return };
        // Reading attributes costs more than everything else on the way into a step.
        let Some(target) = self.workspace.target_of(row).filter(|target| target.known_worker.is_some()) else { return };
        let (code, what) = match self.workspace.known_worker(target, &self.document_of(task)) {
            None | Some(Err(KnownWorkerProblem::Null)) => return,
            Some(Ok(worker)) => {
                let queue = self.workspace.task_queues.get(&target.queue);
                if queue.is_some_and(|queue| queue.members.contains(&worker)) {
                    return;
                }
                (KNOWN_WORKER_NOT_IN_QUEUE, format!("{worker} is not in task queue {}", target.queue))
            }
            Some(Err(KnownWorkerProblem::Invalid)) => {
                (KNOWN_WORKER_INVALID, "its attribute names no worker".to_owned())
            }
            Some(Err(KnownWorkerProblem::NameUnknown(_))) => {
                (KNOWN_WORKER_INVALID, "no worker has the name in its attribute".to_owned())
            }
            Some(Err(KnownWorkerProblem::Elsewhere)) => {
                (KNOWN_WORKER_ELSEWHERE, "its attribute names a worker that is not of this workspace".to_owned())
            }
        };
        self.alert(code, format!("known worker of task {task}: {what}"), Some(task));
    }

    fn restart_clock(&mut self, task: TaskSid) {
        let now = self.now;
        self.change_task(task, |row| row.base_at = now);
    }

    pub(super) fn routes_of(&self, task: TaskSid) -> Option<Arc<Routes>> {
        let row = self.workspace.task(task)?;
        let version = self.workspace.versions.get(&(row.workflow?, row.workflow_version))?;
        Some(Arc::clone(&version.routes))
    }

    pub(super) fn document_of(&self, task: TaskSid) -> Arc<Document> {
        let attributes = self.workspace.task(task).map_or("{}", |row| row.attributes.as_str());
        self.workspace.read_document(attributes)
    }

    /// A task is pending again because its last reservation ended unaccepted.
    pub(super) fn return_task(&mut self, task: TaskSid) {
        if self.workspace.task(task).is_some_and(|row| row.status == TaskStatus::Pending) {
            self.look_again(task, Again::Returned);
        }
    }

    /// Has a pending task looked at again before the command ends.
    pub(super) fn look_again(&mut self, task: TaskSid, again: Again) {
        let entry = self.returning.entry(task).or_insert(again);
        *entry = again.max(*entry);
    }
}

fn as_index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn step_of(filter: usize, target: usize) -> Step {
    let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
    Step::Target { filter: number(filter), target: number(target) }
}
