//! Writes the records of the event log: which fields each event carries, and its sentence (events.md sections 1 and 2).
//!
//! Records are made at the moment of the change, after it, from the records as they are then. Nothing is decided here.
//! Start with [`Turn::record_task`].

use super::defect::defect;
use super::event::{About, EventKind, EventRecord};
use super::event_data::EventData;
use super::fact::wait_secs;
use super::sid::{
    ActivitySid, EventSid, ReservationSid, SidText, TaskChannelSid, TaskQueueSid, TaskSid, TransferSid, WorkerSid,
    WorkflowSid,
};
use super::state::{Step, TaskStatus};
use super::step::Cause;
use super::time::Timestamp;
use super::turn::Turn;

impl Turn<'_> {
    /// The fields that every event begins with.
    fn fields(&self) -> EventData {
        let settings = &self.workspace.settings;
        let mut fields = EventData::with_usual_room();
        fields.push("workspace_sid", settings.sid);
        fields.push("workspace_name", &settings.friendly_name);
        fields
    }

    fn push(
        &mut self,
        kind: EventKind,
        description: String,
        resource: (&'static str, SidText),
        about: &About,
        data: EventData,
    ) {
        let settings = &mut self.workspace.settings;
        settings.last_sequence += 1 + u64::from(defect!(NumberSkipped) && kind == EventKind::WorkerDeleted);
        self.workspace.touched.settings = true;
        self.events.push(EventRecord {
            sequence: settings.last_sequence,
            sid: EventSid::fresh(self.sids, self.now),
            kind,
            at: self.now,
            description,
            resource_type: resource.0,
            resource_sid: resource.1,
            about: *about,
            data,
        });
    }

    pub(super) fn record_workspace(&mut self, kind: EventKind) {
        let sid = SidText::from(self.workspace.settings.sid);
        let description = sentence("Workspace", sid, kind);
        self.push(kind, description, ("workspace", sid), &About::default(), self.fields());
    }

    pub(super) fn record_activity(&mut self, kind: EventKind, activity: ActivitySid) {
        let Some(entry) = self.workspace.activities.get(&activity) else { return };
        let mut fields = self.fields();
        fields.push("activity_sid", &entry.sid_text);
        fields.push("activity_name", &entry.row.friendly_name);
        fields.push("activity_available", entry.row.available);
        let sid = SidText::from(activity);
        let about = About { activity: Some(activity), ..About::default() };
        self.push(kind, sentence("Activity", sid, kind), ("activity", sid), &about, fields);
    }

    pub(super) fn record_task_channel(&mut self, kind: EventKind, channel: TaskChannelSid) {
        let Some(row) = self.workspace.task_channels.get(&channel) else { return };
        let sid = SidText::from(channel);
        let mut fields = self.fields();
        fields.push("task_channel_sid", channel);
        fields.push("task_channel_name", &row.friendly_name);
        fields.push("task_channel_unique_name", &row.unique_name);
        fields.push("task_channel_optimized_routing", row.channel_optimized_routing);
        let about = About { channel: Some(channel), ..About::default() };
        self.push(kind, sentence("TaskChannel", sid, kind), ("taskchannel", sid), &about, fields);
    }

    pub(super) fn record_queue(&mut self, kind: EventKind, queue: TaskQueueSid) {
        let mut fields = self.fields();
        self.queue_fields(queue, &mut fields);
        let sid = SidText::from(queue);
        let expression = self.workspace.task_queues.get(&queue).map_or("", |entry| entry.row.target_workers.as_str());
        let description = match kind {
            EventKind::TaskQueueExpressionUpdated => format!("TaskQueue {sid} expression updated to '{expression}'"),
            _ => sentence("TaskQueue", sid, kind),
        };
        let about = About { queue: Some(queue), ..About::default() };
        self.push(kind, description, ("taskqueue", sid), &about, fields);
    }

    pub(super) fn record_workflow(&mut self, kind: EventKind, workflow: WorkflowSid) {
        let mut fields = self.fields();
        self.workflow_fields(Some(workflow), &mut fields);
        let sid = SidText::from(workflow);
        let about = About { workflow: Some(workflow), ..About::default() };
        self.push(kind, sentence("Workflow", sid, kind), ("workflow", sid), &about, fields);
    }

    pub(super) fn record_worker(&mut self, kind: EventKind, worker: WorkerSid) {
        let Some(entry) = self.workspace.workers.get(&worker) else { return };
        let (name, attributes) = (&entry.row.friendly_name, &entry.row.attributes);
        let sid = SidText::from(worker);
        let description = match kind {
            EventKind::WorkerAttributesUpdate => format!("Worker {name} updated attributes to {attributes}"),
            _ => sentence("Worker", sid, kind),
        };
        let left = (entry.row.activity, entry.row.status_changed_at);
        let about = About {
            worker: Some(worker),
            activity: Some(entry.row.activity),
            previous_activity: (kind == EventKind::WorkerDeleted).then_some(left),
            ..About::default()
        };
        let mut fields = self.fields();
        self.worker_fields(worker, &mut fields);
        self.push(kind, description, ("worker", sid), &about, fields);
    }

    pub(super) fn record_activity_update(&mut self, worker: WorkerSid, before: ActivitySid, since: Timestamp) {
        let Some(entry) = self.workspace.workers.get(&worker) else { return };
        let activity = entry.row.activity;
        let name_of =
            |sid: ActivitySid| self.workspace.activities.get(&sid).map_or("", |entry| entry.row.friendly_name.as_str());
        let description = format!("Worker {} updated to {} Activity", entry.row.friendly_name, name_of(activity));
        let sid = SidText::from(worker);
        let mut fields = self.fields();
        self.worker_fields(worker, &mut fields);
        fields.push("worker_previous_activity_sid", before);
        fields.push("worker_previous_activity_name", name_of(before));
        fields.push("worker_time_in_previous_activity", self.now.secs_since(since));
        fields.push("worker_time_in_previous_activity_ms", self.now.ms_since(since));
        let about = About {
            worker: Some(worker),
            activity: Some(activity),
            previous_activity: Some((before, since)),
            ..About::default()
        };
        self.push(EventKind::WorkerActivityUpdate, description, ("worker", sid), &about, fields);
    }

    pub(super) fn record_channel(
        &mut self,
        kind: EventKind,
        worker: WorkerSid,
        channel: TaskChannelSid,
        previous_capacity: Option<u32>,
    ) {
        let Some(row) = self.workspace.worker_channel(worker, channel) else { return };
        let mut fields = self.fields();
        self.worker_fields(worker, &mut fields);
        fields.push("worker_channel_available", row.available);
        fields.push("worker_channel_available_capacity", row.configured_capacity);
        fields.push("worker_channel_task_count", row.assigned_tasks);
        if let Some(previous) = previous_capacity {
            fields.push("worker_channel_previous_capacity", previous);
        }
        self.task_channel_fields(channel, &mut fields);
        let about = About { worker: Some(worker), channel: Some(channel), ..About::default() };
        let sid = SidText::from(worker);
        self.push(kind, sentence("Worker", sid, kind), ("worker", sid), &about, fields);
    }

    /// An event of a task: `task.…`, `workflow.…` and `task-queue.…` of its way.
    pub(super) fn record_task(&mut self, kind: EventKind, task: TaskSid) {
        let fields = self.task_event_fields(kind, task);
        self.push_task(kind, task, fields);
    }

    /// The step a task has just entered, with the filter's and the target's names.
    pub(super) fn record_target_matched(
        &mut self,
        task: TaskSid,
        before: Option<TaskQueueSid>,
        priority: i32,
        cause: Cause,
    ) {
        let kind = EventKind::WorkflowTargetMatched;
        let mut fields = self.task_event_fields(kind, task);
        if let Some(before) = before {
            self.previous_fields(before, priority, cause, &mut fields);
        }
        self.push_task(kind, task, fields);
    }

    pub(super) fn record_queue_moved(&mut self, task: TaskSid, before: TaskQueueSid, priority: i32, cause: Cause) {
        let kind = EventKind::TaskQueueMoved;
        let mut fields = self.task_event_fields(kind, task);
        self.previous_fields(before, priority, cause, &mut fields);
        let Some(about) = self.about_task(task) else { return };
        let sid = SidText::from(task);
        let about = About { previous_queue: Some(before), ..about };
        self.push(kind, sentence("Task", sid, kind), ("task", sid), &about, fields);
    }

    /// The queue and the priority that a task has left, and why; the queue's name is there until the queue is deleted.
    fn previous_fields(&self, before: TaskQueueSid, priority: i32, cause: Cause, fields: &mut EventData) {
        fields.push("previous_task_queue_sid", before);
        if let Some(entry) = self.workspace.task_queues.get(&before) {
            fields.push("previous_task_queue_name", &entry.row.friendly_name);
        }
        fields.push("previous_task_priority", priority);
        if let Some(reason) = cause.target_changed {
            fields.push("target_changed_reason", reason);
        }
        if let Some(reason) = cause.re_evaluated {
            fields.push("task_re_evaluated_reason", reason);
        }
    }

    /// A transfer of a task began, went on or ended.
    pub(super) fn record_transfer(&mut self, kind: EventKind, transfer: TransferSid) {
        let Some(row) = self.workspace.transfer(transfer) else { return };
        let (task, worker, reservation) = (row.task, row.initiating_worker, row.initiating_reservation);
        let Some(about) = self.about_task(task) else { return };
        let about = About { worker: Some(worker), reservation: Some(reservation), ..about };
        let mut fields = self.task_event_fields(kind, task);
        fields.push("task_transfer_sid", transfer);
        fields.push("transfer_type", row.to.kind());
        fields.push("transfer_mode", row.mode);
        fields.push("transfer_to", row.to);
        fields.push("transfer_started", row.created_at);
        fields.push("transfer_status", row.status);
        fields.push("transfer_initiating_worker_sid", worker);
        fields.push("transfer_initiating_reservation_sid", reservation);
        if let Some(reason) = &row.failed_reason {
            fields.push("transfer_failed_reason", reason);
        }
        let sid = SidText::from(task);
        self.push(kind, sentence("Task", sid, kind), ("task", sid), &about, fields);
    }

    fn about_task(&self, task: TaskSid) -> Option<About> {
        let row = self.workspace.task(task)?;
        Some(About {
            task: Some(task),
            queue: row.queue,
            workflow: row.workflow,
            channel: Some(row.channel),
            task_status: Some(row.status),
            task_created_at: Some(row.created_at),
            queue_entered_at: row.queue_entered_at,
            ..About::default()
        })
    }

    /// No reservation could be made for a task with a worker as routing target.
    pub(super) fn record_reservation_failed(&mut self, task: TaskSid) {
        let kind = EventKind::ReservationFailed;
        let fields = self.task_event_fields(kind, task);
        self.push_task(kind, task, fields);
    }

    fn push_task(&mut self, kind: EventKind, task: TaskSid, fields: EventData) {
        let Some(row) = self.workspace.task(task) else { return };
        let sid = SidText::from(task);
        let description = match (kind, &*row.reason) {
            (EventKind::TaskCanceled, Some(reason)) => reason.clone(),
            _ => sentence("Task", sid, kind),
        };
        let Some(about) = self.about_task(task) else { return };
        self.push(kind, description, ("task", sid), &about, fields);
    }

    fn task_event_fields(&self, kind: EventKind, task: TaskSid) -> EventData {
        let mut fields = self.fields();
        self.task_fields(task, &mut fields);
        let Some(row) = self.workspace.task(task) else { return fields };
        // Before the first queue there is none to name.
        if let Some(queue) = row.queue {
            self.queue_fields(queue, &mut fields);
        }
        self.workflow_fields(row.workflow, &mut fields);
        if matches!(row.status, TaskStatus::Pending | TaskStatus::Reserved) && row.transfer.is_none() {
            self.target_fields(task, &mut fields);
        }
        if let (EventKind::TaskCanceled, Some(reason)) = (kind, &*row.reason) {
            fields.push("reason", reason);
        }
        fields
    }

    pub(super) fn record_reservation(&mut self, kind: EventKind, reservation: ReservationSid) {
        let Some(row) = self.workspace.reservation(reservation) else { return };
        let (task, worker, status, transfer) = (row.task, row.worker, row.status, row.transfer);
        let sid = SidText::from(reservation);
        let description = match kind {
            EventKind::ReservationCreated => {
                format!("Task {task} assigned to Worker {} with Reservation {sid}", row.worker_name)
            }
            _ => sentence("Reservation", sid, kind),
        };
        let about = About {
            worker: Some(worker),
            reservation: Some(reservation),
            reservation_status: Some(status),
            transfer,
            ..self.about_task(task).unwrap_or_default()
        };
        let mut fields = self.task_event_fields(kind, task);
        // Not Twilio's: with it the event log alone tells how long tasks waited in their queues.
        if let (EventKind::ReservationAccepted, Some(since)) = (kind, about.queue_entered_at) {
            fields.push("task_age_in_queue", wait_secs(since, self.now));
        }
        self.worker_fields(worker, &mut fields);
        fields.push("reservation_sid", reservation);
        fields.push("reservation_version", row.version);
        if let Some(code) = row.canceled_reason_code {
            fields.push("reservation_reason_code", code);
        }
        if let Some(channel) = self.workspace.worker_channel(worker, row.channel) {
            fields.push("worker_channel_capacity", channel.configured_capacity);
            fields.push("worker_channel_consumed_capacity", channel.used);
        }
        if let Some(transfer) = transfer {
            fields.push("task_transfer_sid", transfer);
        }
        self.push(kind, description, ("reservation", sid), &about, fields);
    }

    fn task_fields(&self, task: TaskSid, fields: &mut EventData) {
        let Some(row) = self.workspace.task(task) else { return };
        fields.push("task_sid", task);
        fields.push("task_attributes", &row.attributes);
        fields.push("task_age", wait_secs(row.created_at, self.now));
        fields.push("task_priority", row.priority);
        fields.push("task_assignment_status", row.status);
        match (row.status, &*row.reason) {
            (TaskStatus::Canceled, Some(reason)) => fields.push("task_canceled_reason", reason),
            (TaskStatus::Completed, Some(reason)) => fields.push("task_completed_reason", reason),
            _ => {}
        }
        fields.push("task_version", row.version);
        fields.push("task_date_created", row.created_at);
        if let Some(at) = row.queue_entered_at {
            fields.push("task_queue_entered_date", at);
        }
        fields.push("task_virtual_start_time", row.virtual_start_at);
        self.task_channel_fields(row.channel, fields);
        if let Some(target) = *row.routing_target {
            fields.push("task_routing_target", target);
            fields.push("task_ignore_capacity", row.ignore_capacity);
        }
        fields.push("task_timeout", row.timeout_secs);
        if let Some(target) = self.workspace.target_of(row).filter(|target| target.known_worker.is_some()) {
            let document = self.workspace.read_document(&row.attributes);
            if let Some(Ok(worker)) = self.workspace.known_worker(target, &document) {
                fields.push("known_worker_sid", worker);
            }
        }
    }

    fn task_channel_fields(&self, channel: TaskChannelSid, fields: &mut EventData) {
        fields.push("task_channel_sid", channel);
        if let Some(row) = self.workspace.task_channels.get(&channel) {
            fields.push("task_channel_unique_name", &row.unique_name);
        }
    }

    fn queue_fields(&self, queue: TaskQueueSid, fields: &mut EventData) {
        fields.push("task_queue_sid", queue);
        if let Some(entry) = self.workspace.task_queues.get(&queue) {
            fields.push("task_queue_name", &entry.row.friendly_name);
            fields.push("task_queue_target_expression", &entry.row.target_workers);
        }
    }

    fn workflow_fields(&self, workflow: Option<WorkflowSid>, fields: &mut EventData) {
        let Some(workflow) = workflow else { return };
        fields.push("workflow_sid", workflow);
        if let Some(row) = self.workspace.workflows.get(&workflow) {
            fields.push("workflow_name", &row.friendly_name);
        }
    }

    fn target_fields(&self, task: TaskSid, fields: &mut EventData) {
        let Some(row) = self.workspace.task(task) else { return };
        let Some(routes) = self.routes_of(task) else { return };
        let (name, expression) = match row.step {
            Step::Target { filter, .. } => {
                let filter = usize::try_from(filter).ok().and_then(|filter| routes.filters.get(filter));
                (
                    filter.and_then(|filter| filter.name.clone()),
                    filter.map(|filter| filter.expression.text().to_owned()),
                )
            }
            Step::Default => (Some("default_filter".to_owned()), None),
            Step::Direct => (None, None),
        };
        if let Some(name) = name {
            fields.push("workflow_filter_name", name);
        }
        if let Some(expression) = expression {
            fields.push("workflow_filter_expression", expression);
        }
        if let Some(target) = self.workspace.target_of(row) {
            if let Some(queue) = self.workspace.task_queues.get(&target.queue) {
                fields.push("workflow_filter_target_name", &queue.row.friendly_name);
            }
            if let Some(expression) = &target.expression {
                fields.push("workflow_filter_target_expression", expression.text());
            }
        }
    }

    fn worker_fields(&self, worker: WorkerSid, fields: &mut EventData) {
        let Some(entry) = self.workspace.workers.get(&worker) else { return };
        fields.push("worker_sid", &entry.sid_text);
        fields.push("worker_name", &entry.row.friendly_name);
        fields.push("worker_attributes", &entry.row.attributes);
        if let Some(activity) = self.workspace.activities.get(&entry.row.activity) {
            fields.push("worker_activity_sid", &activity.sid_text);
            fields.push("worker_activity_name", &activity.row.friendly_name);
        }
        fields.push("worker_version", entry.row.version);
    }
}

/// `{Resource} {sid} {verb}`, the verb being the end of the event's name.
fn sentence(resource: &str, sid: SidText, kind: EventKind) -> String {
    let name = kind.as_str();
    let verb = name.split_once('.').map_or(name, |(_, verb)| verb);
    [resource, " ", sid.as_str(), " ", verb].concat()
}
