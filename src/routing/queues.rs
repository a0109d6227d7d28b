//! Task queues and workflows: creation, change, deletion, and which configurations are still followed.
//!
//! Start with [`Turn::create_task_queue`] and [`Turn::update_workflow`].

use std::collections::{BTreeMap, BTreeSet};

use super::EventKind;
use super::alert::DOUBTFUL_EXPRESSION;
use super::command::{NewTaskQueue, NewWorkflow, Reply, TaskQueueUpdate, WorkflowUpdate};
use super::defect::defect;
use super::expression::Expression;
use super::lint::{LintCode, Severity};
use super::refusal::Refusal;
use super::sid::{TaskQueueSid, TaskSid, WorkerSid, WorkflowSid};
use super::state::{RoutingTarget, Task, TaskQueue, TaskStatus, Transfer, TransferStatus, Workflow};
use super::step::Cause;
use super::turn::{Turn, check_name};
use super::workspace::{QueueEntry, Workspace, compile_queue};

/// Most workers one task is offered to at once.
pub(super) const RESERVED_WORKERS_MAX: u32 = 50;

/// Longest reservation timeout, in seconds.
pub(super) const RESERVATION_TIMEOUT_SECS_MAX: u32 = 86_400;

impl Workspace {
    /// Tasks that an update of the workflow with `ReEvaluateTasks` leads through it anew, those that are first in line first.
    #[must_use]
    pub fn to_re_evaluate(&self, workflow: WorkflowSid) -> Vec<TaskSid> {
        let waiting = self.tasks.values().map(|entry| &entry.row).filter(|row| waits_in(row, workflow));
        let mut tasks: Vec<TaskSid> = waiting.map(|row| row.sid).collect();
        tasks.sort_by_cached_key(|task| self.place_in_line(*task));
        tasks
    }
}

/// Whether a task waits for what a workflow leads it to.
fn waits_in(task: &Task, workflow: WorkflowSid) -> bool {
    let is_direct = matches!(*task.routing_target, Some(RoutingTarget::Worker(_) | RoutingTarget::TaskQueue(_)));
    task.workflow == Some(workflow) && task.status == TaskStatus::Pending && task.transfer.is_none() && !is_direct
}

impl Turn<'_> {
    pub(super) fn create_task_queue(&mut self, new: &NewTaskQueue) -> Result<Reply, Refusal> {
        check_name("FriendlyName", &new.friendly_name)?;
        self.check_queue_name(&new.friendly_name, None)?;
        check_reserved_workers(new.max_reserved_workers)?;
        if let Some(activity) = new.reservation_activity {
            self.check_activity("ReservationActivitySid", activity)?;
        }
        if let Some(activity) = new.assignment_activity {
            self.check_activity("AssignmentActivitySid", activity)?;
        }
        let limit = self.workspace.limits.task_queues;
        if self.workspace.task_queues.len() >= limit {
            return Err(Refusal::LimitReached { kind: "task queues", limit });
        }
        let expression = compile_queue(&new.target_workers, &mut self.workspace.vocabulary)?;
        let sid = TaskQueueSid::fresh(self.sids, self.now);
        let row = TaskQueue {
            sid,
            friendly_name: new.friendly_name.clone(),
            target_workers: new.target_workers.clone(),
            task_order: new.task_order,
            max_reserved_workers: new.max_reserved_workers,
            reservation_activity: new.reservation_activity,
            assignment_activity: new.assignment_activity,
            created_at: self.now,
            updated_at: self.now,
        };
        let entry = QueueEntry { row, expression, members: BTreeSet::new(), members_in: BTreeMap::new() };
        self.workspace.task_queues.insert(sid, entry);
        self.workspace.touched.task_queues.insert(sid);
        self.refresh_queue(sid);
        self.record_queue(EventKind::TaskQueueCreated, sid);
        self.alert_doubtful_queue(sid);
        Ok(Reply::TaskQueue(sid))
    }

    /// Recomputes a queue's members after its expression changed.
    fn refresh_queue(&mut self, queue: TaskQueueSid) {
        self.workspace.refresh_documents();
        self.workspace.note_dynamic(queue);
        let workers: Vec<WorkerSid> = self.workspace.workers.keys().copied().collect();
        for worker in workers {
            if self.workspace.refresh_membership_in(worker, &[queue]) {
                self.workspace.refresh_ready(worker);
                self.free(worker);
            }
        }
    }

    fn check_queue_name(&self, name: &str, own: Option<TaskQueueSid>) -> Result<(), Refusal> {
        let taken = self
            .workspace
            .task_queues
            .values()
            .any(|entry| entry.row.friendly_name == name && Some(entry.row.sid) != own);
        if taken { Err(Refusal::QueueNameTaken { name: name.to_owned() }) } else { Ok(()) }
    }

    pub(super) fn update_task_queue(
        &mut self,
        queue: TaskQueueSid,
        update: &TaskQueueUpdate,
    ) -> Result<Reply, Refusal> {
        let entry = self.workspace.task_queues.get(&queue).ok_or(Refusal::NotFound)?;
        let before = entry.row.clone();
        if let Some(name) = &update.friendly_name {
            check_name("FriendlyName", name)?;
            self.check_queue_name(name, Some(queue))?;
        }
        if let Some(limit) = update.max_reserved_workers {
            check_reserved_workers(limit)?;
        }
        if let Some(Some(activity)) = update.reservation_activity {
            self.check_activity("ReservationActivitySid", activity)?;
        }
        if let Some(Some(activity)) = update.assignment_activity {
            self.check_activity("AssignmentActivitySid", activity)?;
        }
        let target_workers = update.target_workers.as_ref().filter(|text| **text != before.target_workers);
        let expression = match target_workers {
            None => None,
            Some(text) => Some(compile_queue(text, &mut self.workspace.vocabulary)?),
        };
        let mut row = before.clone();
        if let Some(name) = &update.friendly_name {
            row.friendly_name.clone_from(name);
        }
        if let Some(text) = target_workers {
            row.target_workers.clone_from(text);
        }
        row.task_order = update.task_order.unwrap_or(row.task_order);
        row.max_reserved_workers = update.max_reserved_workers.unwrap_or(row.max_reserved_workers);
        row.reservation_activity = update.reservation_activity.unwrap_or(row.reservation_activity);
        row.assignment_activity = update.assignment_activity.unwrap_or(row.assignment_activity);
        if row == before {
            return Ok(Reply::Done);
        }
        row.updated_at = self.now;
        let reorders = row.task_order != before.task_order && !defect!(ReorderForgotten);
        let waiting = if reorders { self.tasks_in(queue).collect() } else { Vec::new() };
        for task in &waiting {
            self.workspace.lift_task(*task);
        }
        if let Some(entry) = self.workspace.task_queues.get_mut(&queue) {
            entry.row = row;
            if let Some(expression) = expression {
                entry.expression = expression;
            }
        }
        for task in waiting {
            self.workspace.place_task(task);
        }
        self.workspace.touched.task_queues.insert(queue);
        if target_workers.is_some() {
            self.refresh_queue(queue);
            self.record_queue(EventKind::TaskQueueExpressionUpdated, queue);
            self.alert_doubtful_queue(queue);
        }
        Ok(Reply::Done)
    }

    /// Tasks that are in the queue and not finished.
    fn tasks_in(&self, queue: TaskQueueSid) -> impl Iterator<Item = TaskSid> {
        let rows = self.workspace.tasks.values().map(|entry| &entry.row);
        rows.filter(move |row| row.queue == Some(queue) && !row.status.is_final()).map(|row| row.sid)
    }

    pub(super) fn delete_task_queue(&mut self, queue: TaskQueueSid) -> Result<Reply, Refusal> {
        if !self.workspace.task_queues.contains_key(&queue) {
            return Err(Refusal::NotFound);
        }
        // A task that is handed on comes back when nobody takes it.
        let left = |row: &&Transfer| row.initiating_queue == Some(queue) && row.status == TransferStatus::Initiated;
        let left = self.workspace.transfers.values().find(left).map(|row| row.task);
        if let Some(task) = self.tasks_in(queue).next().or(left) {
            return Err(Refusal::InUse { reason: format!("task {task} is in the task queue") });
        }
        for ((workflow, version), entry) in &self.workspace.versions {
            let current = self.workspace.workflows.get(workflow).is_some_and(|row| row.version == *version);
            let followed = entry.followers > 0 && !defect!(FollowersOverlooked);
            if (current || followed) && entry.routes.leads_to(queue) {
                let which = if current { "" } else { "an older version, still followed by tasks, of " };
                return Err(Refusal::InUse { reason: format!("{which}workflow {workflow} leads to the task queue") });
            }
        }
        self.record_queue(EventKind::TaskQueueDeleted, queue);
        let members: Vec<WorkerSid> = self
            .workspace
            .task_queues
            .get(&queue)
            .map(|entry| entry.members.iter().copied().collect())
            .unwrap_or_default();
        for worker in members {
            self.workspace.leave_queues(worker, &[queue]);
            self.workspace.refresh_ready(worker);
        }
        self.workspace.task_queues.remove(&queue);
        self.workspace.dynamic_queues.remove(&queue);
        self.workspace.lanes.retain(|lane, _| lane.0 != queue);
        self.workspace.touched.task_queues.insert(queue);
        Ok(Reply::Done)
    }

    pub(super) fn create_workflow(&mut self, new: &NewWorkflow) -> Result<Reply, Refusal> {
        check_name("FriendlyName", &new.friendly_name)?;
        check_reservation_timeout(new.task_reservation_timeout_secs)?;
        let limit = self.workspace.limits.workflows;
        if self.workspace.workflows.len() >= limit {
            return Err(Refusal::LimitReached { kind: "workflows", limit });
        }
        let sid = WorkflowSid::fresh(self.sids, self.now);
        self.workspace.add_version(sid, 1, &new.configuration)?;
        self.workspace.refresh_documents();
        let row = Workflow {
            sid,
            friendly_name: new.friendly_name.clone(),
            configuration: new.configuration.clone(),
            version: 1,
            assignment_callback_url: new.assignment_callback_url.clone(),
            fallback_assignment_callback_url: new.fallback_assignment_callback_url.clone(),
            task_reservation_timeout_secs: new.task_reservation_timeout_secs,
            created_at: self.now,
            updated_at: self.now,
        };
        self.workspace.workflows.insert(sid, row);
        self.workspace.touched.workflows.insert(sid);
        self.record_workflow(EventKind::WorkflowCreated, sid);
        self.alert_doubtful_workflow(sid);
        Ok(Reply::Workflow(sid))
    }

    pub(super) fn update_workflow(&mut self, workflow: WorkflowSid, update: &WorkflowUpdate) -> Result<Reply, Refusal> {
        let before = self.workspace.workflows.get(&workflow).ok_or(Refusal::NotFound)?.clone();
        if let Some(name) = &update.friendly_name {
            check_name("FriendlyName", name)?;
        }
        if let Some(secs) = update.task_reservation_timeout_secs {
            check_reservation_timeout(secs)?;
        }
        let mut row = before.clone();
        if let Some(text) = update.configuration.as_ref().filter(|text| **text != before.configuration) {
            row.version += 1;
            self.workspace.add_version(workflow, row.version, text)?;
            self.workspace.refresh_documents();
            row.configuration.clone_from(text);
        }
        if let Some(name) = &update.friendly_name {
            row.friendly_name.clone_from(name);
        }
        if let Some(url) = &update.assignment_callback_url {
            row.assignment_callback_url.clone_from(url);
        }
        if let Some(url) = &update.fallback_assignment_callback_url {
            row.fallback_assignment_callback_url.clone_from(url);
        }
        row.task_reservation_timeout_secs =
            update.task_reservation_timeout_secs.unwrap_or(row.task_reservation_timeout_secs);
        if row != before {
            row.updated_at = self.now;
            let version = row.version;
            self.workspace.workflows.insert(workflow, row);
            self.workspace.touched.workflows.insert(workflow);
            if version != before.version {
                self.workspace.touched.versions.insert((workflow, before.version));
                self.drop_unfollowed(workflow, before.version);
                self.alert_doubtful_workflow(workflow);
            }
            self.record_workflow(EventKind::WorkflowUpdated, workflow);
        }
        if update.re_evaluate_tasks {
            self.re_evaluate_tasks(workflow, &self.workspace.to_re_evaluate(workflow));
        }
        Ok(Reply::Done)
    }

    /// Says what is doubtful in a saved configuration (D9); what depends on workers only once there are any.
    fn alert_doubtful_workflow(&mut self, workflow: WorkflowSid) {
        let staffed = !self.workspace.workers.is_empty();
        for finding in self.workspace.lint_saved(workflow) {
            let matters = match finding.severity {
                Severity::Error => true,
                Severity::Warning => staffed || finding.code == LintCode::NameWithoutMeaning,
                Severity::Note => false,
            };
            if matters {
                let message = format!("workflow {workflow}: {}: {}", finding.place, finding.message);
                self.alert(DOUBTFUL_EXPRESSION, message, None);
            }
        }
    }

    fn alert_doubtful_queue(&mut self, queue: TaskQueueSid) {
        let expression = self.workspace.task_queues.get(&queue).and_then(|entry| entry.expression.as_ref());
        let warnings = expression.map_or(&[][..], Expression::warnings).to_vec();
        for warning in warnings {
            self.alert(DOUBTFUL_EXPRESSION, format!("task queue {queue}: {warning}"), None);
        }
    }

    /// Sends waiting tasks of the workflow through its current configuration from the top (D20).
    pub(super) fn re_evaluate_tasks(&mut self, workflow: WorkflowSid, tasks: &[TaskSid]) -> Reply {
        let Some(version) = self.workspace.workflows.get(&workflow).map(|row| row.version) else { return Reply::Done };
        let mut moving = Vec::with_capacity(tasks.len());
        for task in tasks {
            let row = self.workspace.task(*task).filter(|row| waits_in(row, workflow));
            let Some(older) = row.map(|row| row.workflow_version) else { continue };
            self.mutate_task(*task, |row| row.workflow_version = version);
            moving.push(self.enter_workflow(*task, Cause::WORKFLOW));
            self.drop_unfollowed(workflow, older);
        }
        self.walk(moving);
        Reply::Done
    }

    pub(super) fn delete_workflow(&mut self, workflow: WorkflowSid) -> Result<Reply, Refusal> {
        let row = self.workspace.workflows.get(&workflow).ok_or(Refusal::NotFound)?;
        let current = row.version;
        let handed_on =
            |row: &Transfer| row.initiating_workflow == Some(workflow) && row.status == TransferStatus::Initiated;
        if self.workspace.followers_of(workflow) > 0 || self.workspace.transfers.values().any(handed_on) {
            let reason = format!("pending or reserved tasks are controlled by workflow {workflow}");
            return Err(Refusal::InUse { reason });
        }
        self.record_workflow(EventKind::WorkflowDeleted, workflow);
        self.workspace.versions.retain(|(owner, _), _| *owner != workflow);
        self.workspace.touched.versions.insert((workflow, current));
        self.workspace.workflows.remove(&workflow);
        self.workspace.touched.workflows.insert(workflow);
        Ok(Reply::Done)
    }

    /// A task that is no longer pending or reserved does not follow its configuration any more.
    pub(super) fn let_go_of_version(&mut self, task: TaskSid) {
        let Some(row) = self.workspace.task(task) else { return };
        if let Some(workflow) = row.workflow {
            self.drop_unfollowed(workflow, row.workflow_version);
        }
    }

    /// Drops an older configuration that nobody follows any more.
    pub(super) fn drop_unfollowed(&mut self, workflow: WorkflowSid, version: u32) {
        let current = self.workspace.workflows.get(&workflow).is_some_and(|row| row.version == version);
        let followed = self.workspace.versions.get(&(workflow, version)).is_some_and(|entry| entry.followers > 0);
        if !current && !followed && self.workspace.versions.remove(&(workflow, version)).is_some() {
            self.workspace.touched.versions.insert((workflow, version));
        }
    }
}

fn check_reserved_workers(limit: u32) -> Result<(), Refusal> {
    if (1..=RESERVED_WORKERS_MAX).contains(&limit) {
        return Ok(());
    }
    let reason = format!("expected 1 to {RESERVED_WORKERS_MAX}");
    Err(Refusal::Invalid { parameter: "MaxReservedWorkers", reason })
}

fn check_reservation_timeout(secs: u32) -> Result<(), Refusal> {
    if (1..=RESERVATION_TIMEOUT_SECS_MAX).contains(&secs) {
        return Ok(());
    }
    let reason = format!("expected 1 to {RESERVATION_TIMEOUT_SECS_MAX} seconds");
    Err(Refusal::Invalid { parameter: "TaskReservationTimeout", reason })
}
