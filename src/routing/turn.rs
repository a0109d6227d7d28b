//! One command being carried out: the workspace, the moment, fresh SIDs, and what has happened so far.
//!
//! The rules are spread over the modules named after what they rule, as methods of [`Turn`]: `configuration` (activities,
//! channels), `queues` (and workflows), `worker`, `task`, `step`, `reservation`, `transfer`, `matcher`. Each method first checks
//! everything that could refuse the command and only then changes anything. Start with [`Turn::carry_out`].

use std::collections::{BTreeMap, BTreeSet};

use super::alert::Alert;
use super::calendars::Calendars;
use super::command::{Command, Reply};
use super::defect::defect;
use super::estimate::MeasuredWait;
use super::event::EventRecord;
use super::index::attributes_of;
use super::matcher::Source;
use super::refusal::Refusal;
use super::sid::{SidSource, TaskSid, WorkerSid};
use super::state::Task;
use super::step::Again;
use super::time::Timestamp;
use super::workspace::{Done, Workspace};

/// Longest friendly name, in characters (OpenAPI of TaskRouter).
pub(super) const NAME_CHARS_MAX: usize = 64;

/// Longest attributes, in characters (TaskRouter: resource limits).
pub(super) const ATTRIBUTES_CHARS_MAX: usize = 4_096;

/// Deepest nesting of attributes.
pub(super) const ATTRIBUTES_DEPTH_MAX: usize = 32;

/// One command being carried out.
pub(super) struct Turn<'a> {
    pub(super) workspace: &'a mut Workspace,
    pub(super) now: Timestamp,
    pub(super) sids: &'a mut dyn SidSource,
    pub(super) events: Vec<EventRecord>,
    /// Workers that may have become ready for something.
    pub(super) freed: BTreeSet<WorkerSid>,
    /// Waiting tasks whose rule asks for a time of day that has come.
    pub(super) stirred: Vec<Source>,
    /// The calendars as they were before the command, if it has changed one.
    pub(super) calendars_before: Option<Calendars>,
    pub(super) alerts: Vec<Alert>,
    /// Pending tasks that are to be looked at again before the command ends.
    pub(super) returning: BTreeMap<TaskSid, Again>,
    /// Tasks that came into a queue.
    pub(super) entered: BTreeSet<TaskSid>,
    pub(super) waits: Vec<MeasuredWait>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(workspace: &'a mut Workspace, now: Timestamp, sids: &'a mut dyn SidSource) -> Self {
        workspace.moment = Some(now);
        Self {
            workspace,
            now,
            sids,
            events: Vec::new(),
            freed: BTreeSet::new(),
            stirred: Vec::new(),
            calendars_before: None,
            alerts: Vec::new(),
            returning: BTreeMap::new(),
            entered: BTreeSet::new(),
            waits: Vec::new(),
        }
    }

    pub(super) fn finish(mut self, reply: Reply) -> Done {
        self.offer_by_time();
        self.settle();
        self.expect_waits();
        if self.workspace.touched.anything() {
            self.workspace.touched.settings = true;
            self.workspace.settings.last_change_at = self.now;
        }
        Done { reply, events: self.events, alerts: self.alerts, waits: self.waits }
    }

    pub(super) fn carry_out(&mut self, command: &Command) -> Result<Reply, Refusal> {
        match command {
            Command::UpdateWorkspace(update) => self.update_workspace(update),
            Command::DeleteWorkspace => Ok(self.delete_workspace()),
            Command::CreateActivity { friendly_name, available } => self.create_activity(friendly_name, *available),
            Command::UpdateActivity { activity, friendly_name } => {
                self.update_activity(*activity, friendly_name.as_deref())
            }
            Command::DeleteActivity(activity) => self.delete_activity(*activity),
            Command::CreateTaskChannel { friendly_name, unique_name, channel_optimized_routing } => {
                self.create_task_channel(friendly_name, unique_name, *channel_optimized_routing)
            }
            Command::UpdateTaskChannel { channel, friendly_name, channel_optimized_routing } => {
                self.update_task_channel(channel, friendly_name.as_deref(), *channel_optimized_routing)
            }
            Command::DeleteTaskChannel(channel) => self.delete_task_channel(channel),
            Command::CreateTaskQueue(new) => self.create_task_queue(new),
            Command::UpdateTaskQueue(queue, update) => self.update_task_queue(*queue, update),
            Command::DeleteTaskQueue(queue) => self.delete_task_queue(*queue),
            Command::CreateWorkflow(new) => self.create_workflow(new),
            Command::UpdateWorkflow(workflow, update) => self.update_workflow(*workflow, update),
            Command::DeleteWorkflow(workflow) => self.delete_workflow(*workflow),
            Command::CreateWorker(new) => self.create_worker(new),
            Command::UpdateWorker(worker, update) => self.update_worker(*worker, update),
            Command::DeleteWorker { worker, if_match } => self.delete_worker(*worker, *if_match),
            Command::UpdateWorkerChannel { worker, channel, capacity, available } => {
                self.update_worker_channel(*worker, channel, *capacity, *available)
            }
            Command::CreateTask(new) => self.create_task(new),
            Command::UpdateTask(task, update) => self.update_task(*task, update),
            Command::DeleteTask { task, if_match } => self.delete_task(*task, *if_match),
            Command::UpdateReservation { parent, reservation, change, if_match } => {
                self.update_reservation(*parent, *reservation, *change, *if_match)
            }
            Command::CreateTransfer(new) => self.create_transfer(new),
            Command::CancelTransfer { worker, task, transfer } => self.cancel_transfer(*worker, *task, *transfer),
            Command::BeginConnecting { reservation, instruction } => self.begin_connecting(*reservation, *instruction),
            Command::AcceptConnected(reservation) => self.accept_connected(*reservation),
            Command::FailConnecting { reservation, reason_code, not_before, missed } => {
                self.fail_connecting(*reservation, *reason_code, *not_before, *missed)
            }
            Command::HoldBack { task, was, until } => self.hold_back(*task, *was, *until),
            Command::EndCaller { task, reason } => self.end_caller(*task, reason),
            Command::EndWork(reservation) => self.end_work(*reservation),
            Command::MergeTaskAttributes { task, attributes } => self.merge_task_attributes(*task, attributes),
            Command::ReEvaluateTasks { workflow, tasks } => Ok(self.re_evaluate_tasks(*workflow, tasks)),
            Command::NotePresence(reports) => Ok(self.note_presence(reports)),
            Command::ForgetSockets => Ok(self.forget_sockets()),
            Command::SetCalendar { calendar, hours } => Ok(self.set_calendar(*calendar, hours.clone())),
            Command::Tick => {
                self.tick();
                Ok(Reply::Done)
            }
        }
    }

    pub(super) fn alert(&mut self, code: u32, message: String, task: Option<TaskSid>) {
        self.alerts.push(Alert { code, message, task });
    }

    /// Changes a task's record and keeps everything derived from it in step.
    pub(super) fn change_task(&mut self, task: TaskSid, change: impl FnOnce(&mut Task)) {
        self.workspace.lift_task(task);
        if let Some(entry) = self.workspace.tasks.get_mut(&task) {
            change(&mut entry.row);
        }
        self.workspace.place_task(task);
        self.workspace.touched.tasks.insert(task);
    }

    /// The same, counted as one mutation: the version grows by one.
    pub(super) fn mutate_task(&mut self, task: TaskSid, change: impl FnOnce(&mut Task)) {
        let now = self.now;
        self.change_task(task, |row| {
            change(row);
            row.version += u64::from(!defect!(TaskVersionKept));
            row.updated_at = now;
        });
    }
}

/// Checks a friendly name: 1 to 64 characters.
pub(super) fn check_name(parameter: &'static str, name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() {
        return Err(Refusal::Missing { parameter });
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(Refusal::Invalid { parameter, reason: format!("longer than {NAME_CHARS_MAX} characters") });
    }
    Ok(())
}

/// Checks attributes: a JSON object of at most 4,096 characters, nested at most 32 deep.
pub(super) fn check_attributes(text: &str) -> Result<(), Refusal> {
    let refuse = |reason: String| Err(Refusal::Invalid { parameter: "Attributes", reason });
    if text.chars().count() > ATTRIBUTES_CHARS_MAX {
        return refuse(format!("longer than {ATTRIBUTES_CHARS_MAX} characters"));
    }
    match serde_json::from_str::<Shape>(text) {
        Ok(Shape { is_object: true, depth }) if depth <= ATTRIBUTES_DEPTH_MAX => Ok(()),
        Ok(Shape { is_object: true, .. }) => refuse(format!("nested deeper than {ATTRIBUTES_DEPTH_MAX}")),
        Ok(_) => refuse("expected a JSON object".to_owned()),
        Err(error) => refuse(format!("not JSON: {error}")),
    }
}

/// What is to be known of a JSON value to accept it as attributes; nothing of the value itself is kept.
struct Shape {
    is_object: bool,
    /// Nesting; bounded because `serde_json` reads at most 128 levels.
    depth: usize,
}

impl Shape {
    const SCALAR: Self = Self { is_object: false, depth: 0 };
}

impl<'de> serde::Deserialize<'de> for Shape {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> serde::de::Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::SCALAR)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::SCALAR)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::SCALAR)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::SCALAR)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::SCALAR)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::SCALAR)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut deepest = 0;
        while let Some(item) = items.next_element::<Shape>()? {
            deepest = deepest.max(item.depth);
        }
        Ok(Shape { is_object: false, depth: 1 + deepest })
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
        let mut deepest = 0;
        // Keys are read like values, so that one that is no valid text is an error.
        while let Some((_, value)) = entries.next_entry::<Shape, Shape>()? {
            deepest = deepest.max(value.depth);
        }
        Ok(Shape { is_object: true, depth: 1 + deepest })
    }
}

/// Refuses when `If-Match` names another version.
pub(super) fn check_version(if_match: Option<u64>, current: u64) -> Result<(), Refusal> {
    match if_match {
        Some(expected) if expected != current => Err(Refusal::VersionMismatch { current }),
        _ => Ok(()),
    }
}

/// The text of attributes with `changes` merged in at the top level.
pub(super) fn merged_attributes(text: &str, changes: &serde_json::Map<String, serde_json::Value>) -> String {
    let mut merged = match attributes_of(text) {
        serde_json::Value::Object(entries) => entries,
        _ => serde_json::Map::new(),
    };
    for (key, value) in changes {
        merged.insert(key.clone(), value.clone());
    }
    serde_json::Value::Object(merged).to_string()
}
