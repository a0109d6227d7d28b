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
use super::state::{Step, TaskStatus};
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
    /// The time of its step is over, or its attributes changed.
    StepOver,
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
enum Next {
    /// The first matching filter from this one on.
    Filter(usize),
    /// This target of this filter.
    Target(usize, usize),
    /// Nowhere any more; the task waits where it is or was reserved.
    Stay,
}

impl Turn<'_> {
    /// Sends a new (or re-evaluated) task through its workflow from the top.
    pub(super) fn enter_workflow(&mut self, task: TaskSid, cause: Cause) {
        let now = self.now;
        self.change_task(task, |row| {
            row.base_at = now;
            row.filter_timed_out = false;
            row.step = Step::Direct;
            row.attributes_changed = false;
        });
        self.record_task(EventKind::WorkflowEntered, task);
        self.walk(task, Next::Filter(0), cause);
    }

    /// Puts a pending task that lost its reservations, or whose attributes changed, where it belongs now.
    pub(super) fn re_evaluate(&mut self, task: TaskSid, again: Again) {
        let Some(row) = self.workspace.task(task) else { return };
        let (step, timed_out, attributes_changed) = (row.step, row.filter_timed_out, row.attributes_changed);
        if row.transfer.is_some() {
            self.try_task(task);
            return;
        }
        // The time to live does not interrupt connecting; it is checked again when connecting has failed (V21).
        if self.now >= row.created_at.plus_secs(row.timeout_secs) {
            self.cancel_task(task, REASON_TTL);
            return;
        }
        if attributes_changed {
            self.change_task(task, |row| row.attributes_changed = false);
        }
        let current = match step {
            Step::Direct => {
                self.try_task(task);
                return;
            }
            Step::Default => None,
            Step::Target { filter, target } => Some((as_index(filter), as_index(target))),
        };
        let Some(routes) = self.routes_of(task) else {
            self.try_task(task);
            return;
        };
        let cause = match again {
            _ if attributes_changed => Cause::ATTRIBUTES,
            Again::Returned => Cause::RETURNED,
            Again::StepOver | Again::Offer => Cause::default(),
        };
        let from = if attributes_changed { 0 } else { current.map_or(routes.filters.len(), |(filter, _)| filter) };
        let matched = routes.first_match(&self.document_of(task), from, self.now, &self.workspace.calendars);
        let stays = match (matched, current) {
            (Some(matched), Some((filter, _))) => matched == filter,
            (Some(_), None) => false,
            (None, None) => true,
            (None, Some(_)) => timed_out || routes.default.is_none(),
        };
        if stays && attributes_changed {
            self.alert_known_worker(task);
        }
        match (matched, current) {
            (Some(matched), Some((filter, target))) if matched == filter => {
                if defect!(StepClockRestarted) {
                    self.restart_clock(task);
                }
                self.walk(task, Next::Target(filter, target), cause);
            }
            (Some(matched), _) => {
                self.restart_clock(task);
                self.walk(task, Next::Target(matched, 0), cause);
            }
            (None, None) => self.enter_default(task, &routes, cause),
            (None, Some(_)) if !timed_out && routes.default.is_some() => {
                self.restart_clock(task);
                self.enter_default(task, &routes, cause);
            }
            // Attributes that match nothing leave the task where it is (D22).
            (None, Some((filter, target))) => {
                if attributes_changed {
                    let message = format!("the new attributes of task {task} match no filter of its workflow");
                    self.alert(NOTHING_MATCHES, message, Some(task));
                }
                self.walk(task, Next::Target(filter, target), cause);
            }
        }
    }

    /// Moves a pending task until it is reserved, waits in a step, or has left the workflow.
    ///
    /// Ends because each round goes to a later target or a later filter.
    fn walk(&mut self, task: TaskSid, mut next: Next, mut cause: Cause) {
        let Some(routes) = self.routes_of(task) else { return };
        loop {
            next = match next {
                Next::Stay => return,
                Next::Filter(from) => {
                    if let Some(filter) =
                        routes.first_match(&self.document_of(task), from, self.now, &self.workspace.calendars)
                    {
                        Next::Target(filter, 0)
                    } else {
                        self.leave_workflow(task, &routes, cause);
                        Next::Stay
                    }
                }
                Next::Target(filter, target) => self.enter_target(task, &routes, filter, target, &mut cause),
            };
        }
    }

    fn enter_target(
        &mut self,
        task: TaskSid,
        routes: &Arc<Routes>,
        filter: usize,
        target: usize,
        cause: &mut Cause,
    ) -> Next {
        let Some(row) = self.workspace.task(task) else { return Next::Stay };
        let Some(targets) = routes.filters.get(filter).map(|filter| &filter.targets) else { return Next::Stay };
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
            return Next::Filter(filter + 1);
        };
        let step = step_of(filter, target);
        if standing != step {
            self.enter_step(task, step, entry.queue, entry.priority, *cause);
        }
        if self.try_task(task) {
            return Next::Stay;
        }
        let skips = entry.skip_if.as_ref().is_some_and(|skip_if| {
            self.workspace.task_queues.get(&entry.queue).is_some_and(|queue| {
                let counts = Counts { workspace: self.workspace, queue };
                let document = self.document_of(task);
                skip_if.matches(&Scope { task: Some(&document), counts: Some(&counts), ..Scope::default() })
            })
        });
        if !skips {
            return Next::Stay;
        }
        cause.target_changed = Some(TARGET_SKIPPED);
        if target + 1 < targets.len() {
            return Next::Target(filter, target + 1);
        }
        self.restart_clock(task);
        Next::Filter(filter + 1)
    }

    /// No further filter matches: the default filter, if it is still open (D18), else the task is canceled.
    fn leave_workflow(&mut self, task: TaskSid, routes: &Arc<Routes>, cause: Cause) {
        let timed_out = self.workspace.task(task).is_some_and(|row| row.filter_timed_out);
        if (!timed_out || defect!(DefaultAfterTimeout)) && routes.default.is_some() {
            self.enter_default(task, routes, cause);
            return;
        }
        let (event, reason) = if timed_out {
            (EventKind::WorkflowTimeout, REASON_WORKFLOW_TIMEOUT)
        } else {
            (EventKind::WorkflowSkipped, REASON_WORKFLOW_SKIP)
        };
        self.record_task(event, task);
        self.cancel_task(task, reason);
    }

    fn enter_default(&mut self, task: TaskSid, routes: &Arc<Routes>, cause: Cause) {
        let Some(target) = &routes.default else { return };
        if self.workspace.task(task).is_some_and(|row| row.step != Step::Default) {
            self.enter_step(task, Step::Default, target.queue, target.priority, cause);
        }
        self.try_task(task);
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
