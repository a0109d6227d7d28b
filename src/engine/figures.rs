//! What the metrics keep of a workspace: counted from its events, after their commit, and read from its counts when
//! somebody looks (`quality.md` 4.1).
//!
//! Labels name workspaces, queues, workflows and channels, never tasks, workers, reservations or calls. Must not scan
//! tasks or workers. Start with [`Figures::of`] and [`Present`].

use std::collections::BTreeMap;
use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::routing::real_time::{TasksOf, WorkersWhere};
use crate::routing::{
    ActivitySid, EventKind, EventRecord, ReservationSid, TaskQueueSid, TaskStatus, Timestamp, Workspace, WorkspaceSid,
};

/// Who leaves sooner did not really wait.
const SHORT_ABANDON_MS: i64 = 5_000;

/// Counts the events of one workspace.
#[derive(Debug)]
pub(super) struct Figures {
    workspace: String,
    /// Answered within this time is answered in time (Asterisk: service level).
    service_level_ms: i64,
    /// Reservations that were made since the start and go on.
    open: BTreeMap<ReservationSid, Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    made: Timestamp,
    accepted: Option<Timestamp>,
    wrapping: Option<Timestamp>,
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
        Self { workspace: workspace.to_string(), service_level_ms, open: BTreeMap::new() }
    }

    /// What these events count; nothing is counted yet, because they are not on disk.
    pub(super) fn of(&mut self, events: &[EventRecord]) -> Counted {
        let mut counted = Counted { all: Vec::new(), offers: false };
        for event in events {
            self.note(event, &mut counted);
        }
        counted
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
                self.open.insert(reservation, Open { made: event.at, accepted: None, wrapping: None });
            }
            EventKind::ReservationAccepted => {
                // A task that is handed on has waited already.
                if about.transfer.is_none() {
                    counted.all.extend(waited("answered"));
                }
                if let Some(open) = self.open.get_mut(&reservation) {
                    open.accepted = Some(event.at);
                    counted.all.push(Figure::Responded { ms: event.at.ms_since(open.made) });
                }
            }
            EventKind::ReservationWrapup => {
                if let Some(open) = self.open.get_mut(&reservation) {
                    open.wrapping = Some(event.at);
                    let talked = open.accepted.map(|since| event.at.ms_since(since));
                    counted.all.extend(talked.map(|ms| Figure::Handled { queue: queue(), phase: "talk", ms }));
                }
            }
            _ => {
                let Some(open) = self.open.remove(&reservation) else { return };
                match (open.accepted, open.wrapping) {
                    (_, Some(since)) => {
                        let ms = event.at.ms_since(since);
                        counted.all.push(Figure::Handled { queue: queue(), phase: "wrap", ms });
                    }
                    (Some(since), None) => {
                        let ms = event.at.ms_since(since);
                        counted.all.push(Figure::Handled { queue: queue(), phase: "talk", ms });
                    }
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

    #[test]
    fn who_is_answered_within_the_set_time_is_answered_in_time() {
        for (level_secs, waited_ms, expected) in
            [(20, 20_000, true), (20, 20_001, false), (5, 5_000, true), (5, 6_000, false), (60, 45_000, true)]
        {
            let since = Timestamp(1_000);
            let about = About {
                reservation: Some(ReservationSid::from_bits(1)),
                queue: Some(TaskQueueSid::from_bits(1)),
                queue_entered_at: Some(since),
                ..About::default()
            };
            let event = EventRecord {
                sequence: 1,
                sid: EventSid::from_bits(1),
                kind: EventKind::ReservationAccepted,
                at: since.plus_ms(waited_ms),
                description: String::new(),
                resource_type: "reservation",
                resource_sid: ReservationSid::from_bits(1).into(),
                about,
                data: [("reservation_status", "accepted")].into_iter().collect(),
            };
            let counted = Figures::new(WorkspaceSid::from_bits(1), level_secs).of(&[event]);
            let in_time = counted.all.iter().find_map(|figure| match figure {
                Figure::Waited { in_time, .. } => Some(*in_time),
                _ => None,
            });
            assert_eq!(in_time, Some(expected), "{waited_ms} ms of {level_secs} s");
        }
    }
}
