//! Works statistics out from the event log alone, the slow and obvious way.
//!
//! It looks at each event's type, moment and data as the REST log shows them, and at nothing else. Start with [`Log`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// One event of the REST log.
pub(crate) struct Event {
    kind: String,
    at: i64,
    data: Map<String, Value>,
}

impl Event {
    pub(crate) fn read(event: &Value) -> Self {
        Self {
            kind: event["event_type"].as_str().unwrap().to_owned(),
            at: event["event_date_ms"].as_i64().unwrap(),
            data: event["event_data"].as_object().unwrap().clone(),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.data.get(name).and_then(Value::as_str)
    }

    fn number(&self, name: &str) -> i64 {
        self.get(name).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{} has no {name}", self.kind))
    }
}

/// Whose figures.
#[derive(Debug, Clone)]
pub(crate) enum Whose {
    Workspace,
    TaskQueue(String),
    Workflow(String),
    Workers(Option<BTreeSet<String>>),
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// First and last millisecond.
    pub(crate) window: (i64, i64),
    pub(crate) channel: Option<String>,
    pub(crate) thresholds: Option<Vec<i64>>,
}

/// A task as its events show it.
#[derive(Clone)]
struct TaskNow {
    made: i64,
    status: String,
    priority: i64,
    queue: Option<String>,
    entered: Option<i64>,
    /// Queue and second of entry, as events tell them.
    entry: (Option<String>, Option<String>),
    workflow: Option<String>,
    channel: String,
    ended: Option<i64>,
    offers: BTreeSet<String>,
}

/// All events of a workspace, in order.
pub(crate) struct Log {
    events: Vec<Event>,
    /// Activities now: SID, name and whether workers in it are available.
    activities: Vec<(String, String, bool)>,
    pub(crate) now: i64,
    /// The tasks that are there now, by SID.
    tasks: BTreeMap<String, TaskNow>,
    /// The workers that are there now, and their activities.
    workers: BTreeMap<String, String>,
}

impl Log {
    pub(crate) fn new(events: Vec<Event>, activities: Vec<(String, String, bool)>, now: i64) -> Self {
        let (tasks, workers) = (tasks_now(&events, now), workers_now(&events));
        Self { events, activities, now, tasks, workers }
    }

    fn belongs(event: &Event, whose: &Whose) -> bool {
        let queue = if event.kind == "task-queue.moved" { "previous_task_queue_sid" } else { "task_queue_sid" };
        match whose {
            Whose::Workspace | Whose::Workers(None) => true,
            Whose::TaskQueue(sid) => event.get(queue) == Some(sid),
            Whose::Workflow(sid) => event.get("workflow_sid") == Some(sid),
            Whose::Workers(Some(sids)) => event.get("worker_sid").is_some_and(|sid| sids.contains(sid)),
        }
    }

    /// What happened in a window.
    pub(crate) fn cumulative(&self, whose: &Whose, asked: &Asked) -> Value {
        let (start, end) = asked.window;
        let events: Vec<&Event> = self
            .events
            .iter()
            .filter(|event| (start..=end).contains(&event.at) && Self::belongs(event, whose))
            .filter(|event| asked.channel.is_none() || event.get("task_channel_sid") == asked.channel.as_deref())
            .collect();
        let of = |kinds: &[&str]| events.iter().filter(|event| kinds.contains(&event.kind.as_str())).count();
        let mut figures = json!({
            "start_time": date(start),
            "end_time": date(end),
            "reservations_created": of(&["reservation.created"]),
            "reservations_accepted": of(&["reservation.accepted"]),
            "reservations_rejected": of(&["reservation.rejected"]),
            "reservations_timed_out": of(&["reservation.timeout"]),
            "reservations_canceled": of(&["reservation.canceled"]),
            "reservations_rescinded": of(&["reservation.rescinded"]),
        });
        if let Whose::Workers(workers) = whose {
            figures["activity_durations"] = self.activity_durations(workers.as_ref(), asked.window);
            return figures;
        }
        figures["tasks_canceled"] = of(&["task.canceled"]).into();
        figures["tasks_completed"] = of(&["task.completed"]).into();
        figures["tasks_deleted"] = of(&["task.deleted", "task.system-deleted"]).into();
        figures["tasks_moved"] = of(&["task-queue.moved"]).into();
        match whose {
            Whose::TaskQueue(_) => figures["tasks_entered"] = of(&["task-queue.entered"]).into(),
            Whose::Workflow(_) => figures["tasks_entered"] = of(&["workflow.entered"]).into(),
            _ => figures["tasks_created"] = of(&["task.created"]).into(),
        }
        if !matches!(whose, Whose::TaskQueue(_)) {
            figures["tasks_timed_out_in_workflow"] = of(&["workflow.timeout"]).into();
        }
        let accepted: Vec<&&Event> = events.iter().filter(|event| event.kind == "reservation.accepted").collect();
        let canceled: Vec<&&Event> = events.iter().filter(|event| event.kind == "task.canceled").collect();
        let ages = |events: &[&&Event]| events.iter().map(|event| event.number("task_age")).collect::<Vec<i64>>();
        figures["wait_duration_until_accepted"] = summary(&ages(&accepted));
        figures["avg_task_acceptance_time"] = figures["wait_duration_until_accepted"]["avg"].clone();
        figures["wait_duration_until_canceled"] = summary(&ages(&canceled));
        if let Whose::TaskQueue(_) = whose {
            let in_queue: Vec<i64> = accepted.iter().map(|event| event.number("task_age_in_queue")).collect();
            figures["wait_duration_in_queue_until_accepted"] = summary(&in_queue);
        }
        figures["split_by_wait_time"] = Value::Null;
        if let Some(thresholds) = &asked.thresholds {
            let untransferred = |event: &&&&Event| event.get("task_transfer_sid").is_none();
            let accepted: Vec<i64> =
                accepted.iter().filter(untransferred).map(|event| event.number("task_age")).collect();
            let canceled = ages(&canceled);
            let side = |keep: &dyn Fn(i64) -> bool| {
                json!({
                    "tasks_canceled": canceled.iter().filter(|wait| keep(**wait)).count(),
                    "reservations_accepted": accepted.iter().filter(|wait| keep(**wait)).count(),
                })
            };
            figures["split_by_wait_time"] = thresholds
                .iter()
                .map(|threshold| {
                    let (below, above) = (side(&|wait| wait <= *threshold), side(&|wait| wait > *threshold));
                    (threshold.to_string(), json!({ "below": below, "above": above }))
                })
                .collect::<Map<String, Value>>()
                .into();
        }
        figures
    }

    fn activity_durations(&self, workers: Option<&BTreeSet<String>>, (start, end): (i64, i64)) -> Value {
        let mut stays: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let mut running: BTreeMap<String, (String, i64)> = BTreeMap::new();
        let mut note = |worker: &str, activity: &str, from: i64, until: i64| {
            let (from, until) = (from.max(start), until.min(end));
            if from < until && workers.is_none_or(|workers| workers.contains(worker)) {
                stays.entry(activity.to_owned()).or_default().push((until - from) / 1_000);
            }
        };
        for event in &self.events {
            let begins = matches!(event.kind.as_str(), "worker.created" | "worker.activity.update");
            if !begins && event.kind != "worker.deleted" {
                continue;
            }
            let worker = event.get("worker_sid").unwrap();
            if let Some((activity, since)) = running.remove(worker) {
                note(worker, &activity, since, event.at);
            }
            if begins {
                let activity = event.get("worker_activity_sid").unwrap().to_owned();
                running.insert(worker.to_owned(), (activity, event.at));
            }
        }
        for (worker, (activity, since)) in &running {
            note(worker, activity, *since, self.now);
        }
        let entries = self.activities.iter().map(|(sid, name, _)| {
            let mut entry = summary(stays.get(sid).map_or(&[], Vec::as_slice));
            entry["sid"] = json!(sid);
            entry["friendly_name"] = json!(name);
            entry
        });
        entries.collect::<Vec<Value>>().into()
    }

    /// Figures about present tasks that all scopes show, and those of queues.
    pub(crate) fn tasks(&self, whose: &Whose, channel: Option<&str>) -> Value {
        let belongs = |task: &TaskNow| match whose {
            Whose::TaskQueue(sid) => task.queue.as_ref() == Some(sid),
            Whose::Workflow(sid) => task.workflow.as_ref() == Some(sid),
            Whose::Workspace | Whose::Workers(_) => true,
        };
        let mut tasks = self.tasks.clone();
        tasks.retain(|_, task| belongs(task) && channel.is_none_or(|channel| task.channel == channel));
        let mut by_status: BTreeMap<&str, u64> =
            ["pending", "reserved", "assigned", "wrapping", "completed", "canceled"].map(|name| (name, 0)).into();
        let mut by_priority: BTreeMap<String, u64> = BTreeMap::new();
        for task in tasks.values() {
            *by_status.get_mut(task.status.as_str()).unwrap() += 1;
            if task.ended.is_none() {
                *by_priority.entry(task.priority.to_string()).or_insert(0) += 1;
            }
        }
        let pending = || tasks.iter().filter(|(_, task)| task.status == "pending");
        let oldest = pending().map(|(sid, task)| (task.made, sid)).min();
        let mut figures = json!({
            "total_tasks": tasks.values().filter(|task| task.ended.is_none()).count(),
            "tasks_by_status": by_status,
            "tasks_by_priority": by_priority,
            "longest_task_waiting_age": oldest.map_or(0, |(since, _)| (self.now - since) / 1_000),
            "longest_task_waiting_sid": oldest.map(|(_, sid)| sid),
        });
        if let Whose::TaskQueue(_) = whose {
            let longest = pending().map(|(sid, task)| (task.entered.unwrap(), sid)).min();
            figures["longest_relative_task_age_in_queue"] =
                longest.map_or(0, |(since, _)| (self.now - since) / 1_000).into();
            figures["longest_relative_task_sid_in_queue"] = json!(longest.map(|(_, sid)| sid));
        }
        figures
    }

    /// All of these workers, those in available activities, and how many are in which activity.
    pub(crate) fn workers(&self, among: Option<&BTreeSet<String>>) -> (u64, u64, Value) {
        let mut activities = self.workers.clone();
        activities.retain(|worker, _| among.is_none_or(|among| among.contains(worker)));
        let in_activity = |sid: &str| activities.values().filter(|activity| *activity == sid).count() as u64;
        let available = self.activities.iter().filter(|(_, _, available)| *available);
        let available = available.map(|(sid, ..)| in_activity(sid)).sum();
        let entries = self.activities.iter();
        let entries =
            entries.map(|(sid, name, _)| json!({ "sid": sid, "friendly_name": name, "workers": in_activity(sid) }));
        (activities.len() as u64, available, entries.collect::<Vec<Value>>().into())
    }

    /// How many events there are of a type.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.events.iter().filter(|event| event.kind == kind).count()
    }
}

/// The tasks that are there now, by SID.
fn tasks_now(events: &[Event], now: i64) -> BTreeMap<String, TaskNow> {
    let mut tasks: BTreeMap<String, TaskNow> = BTreeMap::new();
    for event in events {
        let Some(sid) = event.get("task_sid") else { continue };
        if event.kind == "task.created" {
            let task = TaskNow {
                made: event.at,
                status: String::new(),
                priority: 0,
                queue: None,
                entered: None,
                entry: (None, None),
                workflow: None,
                channel: String::new(),
                ended: None,
                offers: BTreeSet::new(),
            };
            tasks.insert(sid.to_owned(), task);
        }
        if matches!(event.kind.as_str(), "task.deleted" | "task.system-deleted") {
            tasks.remove(sid);
        }
        // Reservations of a deleted task end after it.
        if let Some(task) = tasks.get_mut(sid) {
            task.learn(event);
        }
    }
    // A task that has ended is removed five minutes later, without an event.
    tasks.retain(|_, task| task.ended.is_none_or(|at| at + 300_000 > now));
    tasks
}

fn workers_now(events: &[Event]) -> BTreeMap<String, String> {
    let mut activities = BTreeMap::new();
    for event in events {
        let Some(worker) = event.get("worker_sid") else { continue };
        match event.kind.as_str() {
            "worker.created" | "worker.activity.update" => {
                activities.insert(worker.to_owned(), event.get("worker_activity_sid").unwrap().to_owned());
            }
            "worker.deleted" => {
                activities.remove(worker);
            }
            _ => {}
        }
    }
    activities
}

impl TaskNow {
    fn learn(&mut self, event: &Event) {
        event.get("task_assignment_status").unwrap().clone_into(&mut self.status);
        self.priority = event.number("task_priority");
        self.workflow = event.get("workflow_sid").map(str::to_owned);
        event.get("task_channel_sid").unwrap().clone_into(&mut self.channel);
        let entry =
            (event.get("task_queue_sid").map(str::to_owned), event.get("task_queue_entered_date").map(str::to_owned));
        if entry != self.entry {
            self.queue.clone_from(&entry.0);
            self.entered = entry.1.as_ref().map(|_| event.at);
            self.entry = entry;
        }
        let offer = event.get("reservation_sid").unwrap_or_default();
        match event.kind.as_str() {
            "reservation.created" => {
                self.offers.insert(offer.to_owned());
            }
            "reservation.accepted" => {
                self.offers.remove(offer);
            }
            "reservation.rejected" | "reservation.timeout" | "reservation.canceled" | "reservation.rescinded" => {
                self.offers.remove(offer);
                // The event of the last offer shows the task before it returns to its queue.
                if self.offers.is_empty() && self.status == "reserved" {
                    "pending".clone_into(&mut self.status);
                }
            }
            _ => {}
        }
        if matches!(self.status.as_str(), "completed" | "canceled") {
            self.ended = self.ended.or(Some(event.at));
        }
    }
}

fn summary(samples: &[i64]) -> Value {
    let total: i64 = samples.iter().sum();
    let count = i64::try_from(samples.len()).unwrap();
    json!({
        "avg": if count == 0 { 0 } else { total / count },
        "min": samples.iter().min().copied().unwrap_or(0),
        "max": samples.iter().max().copied().unwrap_or(0),
        "total": total,
    })
}

/// A moment as answers show it, and as parameters may name it.
pub(crate) fn date(ms: i64) -> String {
    jiff::Timestamp::from_second(ms.div_euclid(1_000)).unwrap().to_string()
}
