//! What the metrics keep of a workspace: counted from its events, after their commit, and read from its counts when
//! somebody looks (`quality.md` 4.1).
//!
//! Labels name workspaces, queues, workflows and channels, never tasks, workers, reservations or calls. Must not scan
//! tasks or workers. Start with [`Figures::of`] and [`Present`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::cores::Cores;
use crate::calls::voice_task::VoiceTask;
use crate::routing::real_time::{TasksOf, WorkersWhere};
use crate::routing::{
    ActivitySid, EventKind, EventRecord, ReservationSid, TaskQueueSid, TaskSid, TaskStatus, Timestamp, Workspace,
    WorkspaceSid,
};
use crate::store::Batch;

/// Who leaves sooner did not really wait.
const SHORT_ABANDON_MS: i64 = 5_000;

/// Whose customers are on hold, of the tasks of a batch whose call has changed.
pub(super) fn holds(cores: &Cores, batch: &Batch) -> Vec<(TaskSid, bool)> {
    let changed = batch.voice_tasks.iter().map(|row| row.task).chain(batch.voice_tasks_deleted.iter().copied());
    changed.map(|task| (task, cores.calls().task(task).is_some_and(VoiceTask::customer_is_held))).collect()
}

/// Counts the events of one workspace.
#[derive(Debug)]
pub(super) struct Figures {
    workspace: String,
    /// Answered within this time is answered in time (Asterisk: service level).
    service_level_ms: i64,
    /// Reservations that were made since the start and go on.
    open: BTreeMap<ReservationSid, Open>,
    /// Tasks whose customer is on hold.
    held: BTreeSet<TaskSid>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    task: Option<TaskSid>,
    made: Timestamp,
    accepted: Option<Timestamp>,
    wrapping: Option<Timestamp>,
    /// Since when the customer of the conversation is on hold.
    held_since: Option<Timestamp>,
    /// How long the customer was before.
    held_ms: i64,
}

impl Open {
    fn new(task: Option<TaskSid>, made: Timestamp) -> Self {
        Self { task, made, accepted: None, wrapping: None, held_since: None, held_ms: 0 }
    }

    /// The customer is on hold from now on, or not any more.
    fn hold(&mut self, is_held: bool, at: Timestamp) {
        if is_held {
            self.held_since.get_or_insert(at);
        } else if let Some(since) = self.held_since.take() {
            self.held_ms += at.ms_since(since);
        }
    }

    /// The conversation is over: what it was made of.
    fn talked(&mut self, queue: &str, at: Timestamp) -> Vec<Figure> {
        self.hold(false, at);
        let Some(since) = self.accepted else { return Vec::new() };
        let handled = |phase, ms| Figure::Handled { queue: queue.to_owned(), phase, ms };
        let mut figures = vec![handled("talk", (at.ms_since(since) - self.held_ms).max(0))];
        figures.extend((self.held_ms > 0).then(|| handled("hold", self.held_ms)));
        figures
    }
}

/// What to count once the commit is done.
#[derive(Debug)]
pub(super) struct Counted {
    all: Vec<Figure>,
    /// A worker is offered something.
    offers: bool,
}

#[derive(Debug, PartialEq)]
enum Figure {
    TaskCreated { workspace: String, workflow: String, channel: String },
    TaskCompleted { workspace: String },
    TaskCanceled { workspace: String, reason: &'static str },
    Waited { queue: String, outcome: &'static str, ms: i64, in_time: bool },
    Reservation { outcome: &'static str },
    Responded { ms: i64 },
    Handled { queue: String, phase: &'static str, ms: i64 },
}

impl Figures {
    pub(super) fn new(workspace: WorkspaceSid, service_level_secs: u32) -> Self {
        let service_level_ms = i64::from(service_level_secs) * 1_000;
        Self { workspace: workspace.to_string(), service_level_ms, open: BTreeMap::new(), held: BTreeSet::new() }
    }

    /// What these events count; nothing is counted yet, because they are not on disk. `holds` tells of tasks whose customer
    /// may have been put on hold or taken off it.
    pub(super) fn of(&mut self, events: &[EventRecord], holds: &[(TaskSid, bool)], now: Timestamp) -> Counted {
        let mut counted = Counted { all: Vec::new(), offers: false };
        for event in events {
            self.note(event, &mut counted);
        }
        for (task, is_held) in holds {
            self.note_hold(*task, *is_held, now);
        }
        counted
    }

    fn note_hold(&mut self, task: TaskSid, is_held: bool, at: Timestamp) {
        let changes = if is_held { self.held.insert(task) } else { self.held.remove(&task) };
        if !changes {
            return;
        }
        let talking = |open: &&mut Open| open.task == Some(task) && open.accepted.is_some() && open.wrapping.is_none();
        self.open.values_mut().filter(talking).for_each(|open| open.hold(is_held, at));
    }

    fn note(&mut self, event: &EventRecord, counted: &mut Counted) {
        let about = &event.about;
        let queue = || about.queue.map(|queue| queue.to_string()).unwrap_or_default();
        let service_level_ms = self.service_level_ms;
        let waited = |outcome| {
            about.queue_entered_at.map(|since| {
                let ms = event.at.ms_since(since);
                Figure::Waited { queue: queue(), outcome, ms, in_time: ms <= service_level_ms }
            })
        };
        match event.kind {
            EventKind::TaskCreated => counted.all.push(Figure::TaskCreated {
                workspace: self.workspace.clone(),
                workflow: about.workflow.map(|workflow| workflow.to_string()).unwrap_or_default(),
                channel: event.data.get("task_channel_unique_name").unwrap_or_default().to_owned(),
            }),
            EventKind::TaskCompleted => counted.all.push(Figure::TaskCompleted { workspace: self.workspace.clone() }),
            EventKind::TaskCanceled => {
                let reason = reason_label(event);
                counted.all.push(Figure::TaskCanceled { workspace: self.workspace.clone(), reason });
                counted.all.extend(waited("abandoned"));
            }
            _ => {}
        }
        let Some(reservation) = about.reservation else { return };
        let Some(outcome) = event.kind.as_str().strip_prefix("reservation.") else { return };
        counted.all.push(Figure::Reservation { outcome });
        match event.kind {
            EventKind::ReservationCreated => {
                counted.offers = true;
                self.open.insert(reservation, Open::new(about.task, event.at));
            }
            EventKind::ReservationAccepted => {
                // A task that is handed on has waited already.
                if about.transfer.is_none() {
                    counted.all.extend(waited("answered"));
                }
                if let Some(open) = self.open.get_mut(&reservation) {
                    open.accepted = Some(event.at);
                    open.hold(about.task.is_some_and(|task| self.held.contains(&task)), event.at);
                    counted.all.push(Figure::Responded { ms: event.at.ms_since(open.made) });
                }
            }
            EventKind::ReservationWrapup => {
                if let Some(open) = self.open.get_mut(&reservation) {
                    open.wrapping = Some(event.at);
                    counted.all.extend(open.talked(&queue(), event.at));
                }
            }
            _ => {
                let Some(mut open) = self.open.remove(&reservation) else { return };
                match (open.accepted, open.wrapping) {
                    (_, Some(since)) => {
                        let ms = event.at.ms_since(since);
                        counted.all.push(Figure::Handled { queue: queue(), phase: "wrap", ms });
                    }
                    (Some(_), None) => counted.all.extend(open.talked(&queue(), event.at)),
                    (None, None) => counted.all.push(Figure::Responded { ms: event.at.ms_since(open.made) }),
                }
            }
        }
    }
}

impl Counted {
    /// Counts; `took` is the time from taking the requests to telling the agents.
    pub(super) fn record(self, took: Duration) {
        if self.offers {
            histogram!("taskrouter_assignment_latency_seconds").record(took.as_secs_f64());
        }
        self.all.into_iter().for_each(Figure::count);
    }
}

fn seconds(ms: i64) -> f64 {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0)).as_secs_f64()
}

impl Figure {
    fn count(self) {
        match self {
            Self::TaskCreated { workspace, workflow, channel } => {
                let labels = [("workspace", workspace), ("channel", channel), ("workflow", workflow)];
                counter!("taskrouter_tasks_created_total", &labels).increment(1);
            }
            Self::TaskCompleted { workspace } => {
                counter!("taskrouter_tasks_completed_total", "workspace" => workspace).increment(1);
            }
            Self::TaskCanceled { workspace, reason } => {
                counter!("taskrouter_tasks_canceled_total", "workspace" => workspace, "reason" => reason).increment(1);
            }
            Self::Waited { queue, outcome, ms, in_time } => {
                if outcome == "answered" && in_time {
                    counter!("taskrouter_queue_answered_within_sl_total", "queue" => queue.clone()).increment(1);
                }
                if outcome == "abandoned" {
                    counter!("taskrouter_queue_abandoned_total", "queue" => queue.clone()).increment(1);
                    if in_time {
                        counter!("taskrouter_queue_abandoned_within_sl_total", "queue" => queue.clone()).increment(1);
                    }
                    if ms <= SHORT_ABANDON_MS {
                        counter!("taskrouter_queue_abandoned_short_total", "queue" => queue.clone()).increment(1);
                    }
                }
                let labels = [("queue", queue), ("outcome", outcome.to_owned())];
                histogram!("taskrouter_queue_wait_seconds", &labels).record(seconds(ms));
            }
            Self::Reservation { outcome } => {
                counter!("taskrouter_reservations_total", "outcome" => outcome).increment(1);
            }
            Self::Responded { ms } => {
                histogram!("taskrouter_reservation_response_seconds").record(seconds(ms));
            }
            Self::Handled { queue, phase, ms } => {
                let labels = [("queue", queue), ("phase", phase.to_owned())];
                histogram!("taskrouter_handle_seconds", &labels).record(seconds(ms));
            }
        }
    }
}

/// The cause as one of few words; reasons of clients are free text and make no label.
fn reason_label(event: &EventRecord) -> &'static str {
    match event.data.get("reason").unwrap_or_default() {
        "hangup" => "hangup",
        "Task TTL Exceeded" => "ttl",
        "Task canceled on Workflow timeout" => "workflow_timeout",
        "Task canceled on Workflow skip" => "no_match",
        _ => "other",
    }
}

/// Pending, reserved, assigned and wrapping tasks of a queue, and the longest wait in whole seconds.
#[derive(Debug)]
struct OfQueue {
    queue: TaskQueueSid,
    by_status: Vec<(TaskStatus, u64)>,
    longest_secs: i64,
}

/// Present figures of a workspace, all of them counts that are kept anyway.
#[derive(Debug)]
pub(super) struct Present {
    workspace: WorkspaceSid,
    queues: Vec<OfQueue>,
    workers: Vec<(ActivitySid, u64)>,
}

impl Present {
    pub(super) fn of(workspace: &Workspace, now: Timestamp) -> Self {
        let queues = workspace.task_queue_sids().filter_map(|queue| {
            let figures = workspace.task_figures(TasksOf::TaskQueue(queue), None, now)?;
            let by_status = figures.by_status.into_iter().filter(|(status, _)| !status.is_final()).collect();
            let longest_secs = figures.longest_in_queue.map_or(0, |(_, secs)| secs);
            Some(OfQueue { queue, by_status, longest_secs })
        });
        let workers = workspace.worker_figures(&WorkersWhere::default());
        Self {
            workspace: workspace.settings().sid,
            queues: queues.collect(),
            workers: workers.by_activity.into_iter().map(|(activity, _, count)| (activity, count)).collect(),
        }
    }

    /// Sets the gauges.
    pub(super) fn publish(self) {
        #[expect(clippy::cast_precision_loss, reason = "tasks and workers are far fewer than 2^52")]
        let number = |count: u64| count as f64;
        let workspace = self.workspace.to_string();
        for OfQueue { queue, by_status, longest_secs } in self.queues {
            let queue = queue.to_string();
            for (status, count) in by_status {
                let labels = [
                    ("workspace", workspace.clone()),
                    ("queue", queue.clone()),
                    ("status", status.as_str().to_owned()),
                ];
                gauge!("taskrouter_queue_tasks", &labels).set(number(count));
            }
            let labels = [("workspace", workspace.clone()), ("queue", queue)];
            gauge!("taskrouter_queue_longest_wait_seconds", &labels)
                .set(number(u64::try_from(longest_secs).unwrap_or(0)));
        }
        for (activity, count) in self.workers {
            let labels = [("workspace", workspace.clone()), ("activity", activity.to_string())];
            gauge!("taskrouter_workers", &labels).set(number(count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::event::About;
    use crate::routing::{EventSid, TaskQueueSid};

    const START: Timestamp = Timestamp(1_000);

    fn event(kind: EventKind, reservation: u128, secs: u32) -> EventRecord {
        let about = About {
            task: Some(TaskSid::from_bits(1)),
            reservation: Some(ReservationSid::from_bits(reservation)),
            queue: Some(TaskQueueSid::from_bits(1)),
            queue_entered_at: Some(START),
            ..About::default()
        };
        EventRecord {
            sequence: 1,
            sid: EventSid::from_bits(1),
            kind,
            at: START.plus_secs(secs),
            description: String::new(),
            resource_type: "reservation",
            resource_sid: ReservationSid::from_bits(reservation).into(),
            about,
            data: [("task_priority", "0")].into_iter().collect(),
        }
    }

    #[test]
    fn who_is_answered_within_the_set_time_is_answered_in_time() {
        for (level_secs, waited_secs, expected) in
            [(20, 20, true), (20, 21, false), (5, 5, true), (5, 6, false), (60, 45, true)]
        {
            let mut figures = Figures::new(WorkspaceSid::from_bits(1), level_secs);
            let counted = figures.of(&[event(EventKind::ReservationAccepted, 1, waited_secs)], &[], START);
            let in_time = counted.all.iter().find_map(|figure| match figure {
                Figure::Waited { in_time, .. } => Some(*in_time),
                _ => None,
            });
            assert_eq!(in_time, Some(expected), "{waited_secs} s of {level_secs} s");
        }
    }

    /// What happens at a second: an event of a reservation, or the customer of the task is put on hold or taken off it.
    enum Happens {
        Event(EventKind, u128),
        Held(bool),
    }

    #[test]
    fn time_on_hold_is_no_talk() {
        use EventKind::{ReservationAccepted, ReservationCompleted, ReservationCreated, ReservationWrapup};
        use Happens::{Event, Held};
        let begin = || vec![(0, Event(ReservationCreated, 1)), (10, Event(ReservationAccepted, 1))];
        let wrap = || vec![(70, Event(ReservationWrapup, 1)), (90, Event(ReservationCompleted, 1))];
        let whole = |between: Vec<(u32, Happens)>| begin().into_iter().chain(between).chain(wrap());
        for (happens, expected) in [
            (whole(vec![]).collect::<Vec<_>>(), vec![("talk", 60), ("wrap", 20)]),
            (
                whole(vec![(20, Held(true)), (35, Held(false)), (40, Held(true)), (45, Held(false))]).collect(),
                vec![("talk", 40), ("hold", 20), ("wrap", 20)],
            ),
            // On hold until the end, and told twice.
            (whole(vec![(20, Held(true)), (30, Held(true))]).collect(), vec![("talk", 10), ("hold", 50), ("wrap", 20)]),
            // A cold transfer: whoever takes over finds the customer on hold.
            (
                begin()
                    .into_iter()
                    .chain([
                        (20, Held(true)),
                        (25, Event(ReservationWrapup, 1)),
                        (26, Event(ReservationCreated, 2)),
                        (30, Event(ReservationAccepted, 2)),
                        (40, Held(false)),
                        (60, Event(ReservationCompleted, 2)),
                    ])
                    .collect(),
                vec![("talk", 10), ("hold", 5), ("talk", 20), ("hold", 10)],
            ),
        ] {
            let mut figures = Figures::new(WorkspaceSid::from_bits(1), 20);
            let mut found = Vec::new();
            for (secs, happens) in happens {
                let now = START.plus_secs(secs);
                let counted = match happens {
                    Event(kind, reservation) => figures.of(&[event(kind, reservation, secs)], &[], now),
                    Held(is_held) => figures.of(&[], &[(TaskSid::from_bits(1), is_held)], now),
                };
                found.extend(counted.all.into_iter().filter_map(|figure| match figure {
                    Figure::Handled { phase, ms, .. } => Some((phase, ms / 1_000)),
                    _ => None,
                }));
            }
            assert_eq!(found, expected);
        }
    }
}
