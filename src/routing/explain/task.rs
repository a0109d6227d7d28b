//! Why a task is where it is: its filters, its step, its place in line, and what keeps each worker from it.
//!
//! Start with [`Workspace::explain_task`].

use crate::routing::expression::{Document, Explanation, Scope, Syntaxes};
use crate::routing::index::KnownWorkerProblem;
use crate::routing::position::QueuePosition;
use crate::routing::sid::{ReservationSid, TaskQueueSid, TaskSid, WorkerSid, WorkflowSid};
use crate::routing::state::{ReservationStatus, RoutingTarget, Step, Task, TaskStatus};
use crate::routing::step::Counts;
use crate::routing::time::Timestamp;
use crate::routing::workflow::{Routes, Target};
use crate::routing::workspace::{WorkerEntry, Workspace};

use super::blocks::{Tally, WorkerVerdict};

/// Most filters that an explanation goes through.
const FILTERS_MAX: usize = 100;

/// Which workers are listed one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerPage {
    /// Only those behind this one, by SID.
    pub after: Option<WorkerSid>,
    /// At most as many.
    pub limit: usize,
    /// Only this one, be it in the queue or not.
    pub only: Option<WorkerSid>,
}

/// Why a task is where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskExplanation {
    /// The task.
    pub task: TaskSid,
    /// Where it is in its life.
    pub status: TaskStatus,
    /// The moment all this is of.
    pub at: Timestamp,
    /// The most important in one or two sentences.
    pub summary: String,
    /// Its workflow, and whether it follows the current configuration.
    pub workflow: Option<(WorkflowSid, bool)>,
    /// The worker or queue it was sent to without filters.
    pub routing_target: Option<RoutingTarget>,
    /// Filters from the first to the one it stands in.
    pub filters: Vec<FilterExplanation>,
    /// How many the configuration has.
    pub filters_total: usize,
    /// Where it stands.
    pub step: StepExplanation,
    /// Where it stands in line.
    pub position: QueuePosition,
    /// When its time to live is over, while that counts.
    pub expires_at: Option<Timestamp>,
    /// Who is offered the task or has it.
    pub reservations: Vec<OpenReservation>,
    /// The workers it could go to, all of them counted.
    pub tally: Tally,
    /// Workers of the workspace that are not among these.
    pub others: usize,
    /// Some of them one by one.
    pub workers: Vec<WorkerVerdict>,
    /// The list goes on behind this one.
    pub next_after: Option<WorkerSid>,
}

/// One filter and what it says of the task.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterExplanation {
    /// Counted from 0.
    pub index: usize,
    /// `filter_friendly_name`
    pub name: Option<String>,
    /// Its text.
    pub expression: String,
    /// Each clause with the values of the task.
    pub explanation: Explanation,
    /// The task stands in it.
    pub standing: bool,
}

/// What kind of step a task stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// A target of a filter.
    Target {
        /// Counted from 0.
        filter: usize,
        /// Counted from 0.
        target: usize,
        /// How many the filter has.
        targets: usize,
    },
    /// The default filter.
    Default,
    /// Without filters: a routing target or a transfer.
    Direct,
}

impl StepKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Target { .. } => "target",
            Self::Default => "default_filter",
            Self::Direct => "direct",
        }
    }
}

/// The step a task stands in, or would.
#[derive(Debug, Clone, PartialEq)]
pub struct StepExplanation {
    /// What kind of step.
    pub kind: StepKind,
    /// Its queue and that one's name.
    pub queue: Option<(TaskQueueSid, String)>,
    /// Which workers of the queue.
    pub expression: Option<String>,
    /// In which order.
    pub order_by: Option<String>,
    /// Set on the task on entry.
    pub priority: Option<i32>,
    /// As configured, in seconds.
    pub timeout_secs: Option<u32>,
    /// When the task goes on by itself.
    pub ends_at: Option<Timestamp>,
    /// Whether the step is left when nobody is free.
    pub skip_if: Option<Explanation>,
    /// The one worker it waits for.
    pub known_worker: Option<KnownWorkerExplanation>,
}

/// The known worker of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownWorkerExplanation {
    /// This one, and whether it is in the step's queue.
    Worker(WorkerSid, bool),
    /// Nobody; why.
    Nobody(&'static str),
}

/// An open reservation of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReservation {
    /// The reservation.
    pub reservation: ReservationSid,
    /// Whose.
    pub worker: WorkerSid,
    /// The worker's name.
    pub worker_name: String,
    /// Pending, accepted or wrapping.
    pub status: ReservationStatus,
    /// When it times out.
    pub deadline: Option<Timestamp>,
}

impl Workspace {
    /// Why a task is where it is; none for a task that does not exist.
    pub fn explain_task(&self, task: TaskSid, now: Timestamp, page: &WorkerPage) -> Option<TaskExplanation> {
        let entry = self.tasks.get(&task)?;
        let row = &entry.row;
        let document = self.read_document(&row.attributes);
        let syntaxes = Syntaxes::default();
        let demand = self.demand_of(row, &document, &syntaxes);
        let position = self.queue_position(task, now)?;
        let waits = matches!(row.status, TaskStatus::Pending | TaskStatus::Reserved);
        let mut tally = Tally::default();
        let mut workers = Vec::new();
        let mut next_after = None;
        let mut look = |entry: &WorkerEntry| {
            if waits {
                tally.count(self.first_block(entry, &demand, now));
            }
            let sid = entry.row.sid;
            if page.only.is_none() && waits && page.after.is_none_or(|after| sid > after) {
                if workers.len() < page.limit {
                    workers.push(self.verdict(entry, &demand, now));
                } else if next_after.is_none() {
                    next_after = workers.last().map(|last: &WorkerVerdict| last.worker);
                }
            }
        };
        match (demand.targeted, demand.queue.and_then(|queue| self.task_queues.get(&queue))) {
            (Some(worker), _) => self.workers.get(&worker).into_iter().for_each(&mut look),
            (None, Some(queue)) => {
                queue.members.iter().filter_map(|worker| self.workers.get(worker)).for_each(&mut look);
            }
            (None, None) => {}
        }
        if let Some(worker) = page.only.and_then(|worker| self.workers.get(&worker)) {
            workers.push(self.verdict(worker, &demand, now));
        }
        let reservations: Vec<OpenReservation> = self
            .reservations_of_task(task)
            .filter(|row| row.status.is_open())
            .map(|row| OpenReservation {
                reservation: row.sid,
                worker: row.worker,
                worker_name: row.worker_name.clone(),
                status: row.status,
                deadline: row.deadline,
            })
            .collect();
        let routes = self.routes_followed(row);
        let step = self.explain_step(row, &document);
        let scope = Scope { task: Some(&document), ..Scope::at(now, &self.calendars) };
        let (filters, filters_total) = explain_filters(row, routes, &scope);
        let summary = summary(row, demand.targeted, &step, &position, &tally, &reservations);
        Some(TaskExplanation {
            task,
            status: row.status,
            at: now,
            summary,
            workflow: row.workflow.map(|workflow| {
                let current = self.workflows.get(&workflow).is_some_and(|one| one.version == row.workflow_version);
                (workflow, current)
            }),
            routing_target: *row.routing_target,
            filters,
            filters_total,
            step,
            position,
            expires_at: (waits && row.transfer.is_none()).then(|| row.created_at.plus_secs(row.timeout_secs)),
            reservations,
            others: self.workers.len() - tally.total.min(self.workers.len()),
            tally,
            workers,
            next_after,
        })
    }

    /// The configuration a task follows; none once it is accepted or was sent past the filters.
    fn routes_followed(&self, row: &Task) -> Option<&Routes> {
        if row.step == Step::Direct || row.transfer.is_some() {
            return None;
        }
        self.versions.get(&(row.workflow?, row.workflow_version)).map(|version| &*version.routes)
    }

    fn explain_step(&self, row: &Task, document: &Document) -> StepExplanation {
        let routes = self.routes_followed(row);
        let kind = match (row.step, routes) {
            (Step::Target { filter, target }, Some(routes)) => {
                let (filter, target) = (index(filter), index(target));
                let targets = routes.filters.get(filter).map_or(0, |filter| filter.targets.len());
                StepKind::Target { filter, target, targets }
            }
            (Step::Default, Some(_)) => StepKind::Default,
            _ => StepKind::Direct,
        };
        let target = self.target_of(row);
        let mut step = match target {
            Some(target) => self.explain_target(kind, target, document),
            None => StepExplanation {
                kind,
                queue: None,
                expression: None,
                order_by: None,
                priority: None,
                timeout_secs: None,
                ends_at: None,
                skip_if: None,
                known_worker: None,
            },
        };
        step.queue = row.queue.map(|queue| (queue, self.queue_name(queue)));
        step.ends_at = target
            .filter(|target| target.timeout_secs.is_some() && row.status == TaskStatus::Pending)
            .map(|target| row.base_at.plus_secs(target.ends_after_secs));
        step
    }

    /// A step as it is configured, with what it says of a task.
    pub(in crate::routing) fn explain_target(
        &self,
        kind: StepKind,
        target: &Target,
        document: &Document,
    ) -> StepExplanation {
        let skip_if = target.skip_if.as_ref().zip(self.task_queues.get(&target.queue)).map(|(skip_if, queue)| {
            let counts = Counts { workspace: self, queue };
            skip_if.explain(&Scope { task: Some(document), counts: Some(&counts), ..Scope::default() })
        });
        let known_worker = self.known_worker(target, document).map(|known| match known {
            Ok(worker) => {
                let queue = self.task_queues.get(&target.queue);
                let member = queue.is_some_and(|queue| queue.members.contains(&worker));
                KnownWorkerExplanation::Worker(worker, member)
            }
            Err(KnownWorkerProblem::Null) => KnownWorkerExplanation::Nobody("the task's attribute is null"),
            Err(KnownWorkerProblem::Invalid) => KnownWorkerExplanation::Nobody("the task's attribute names no worker"),
            Err(KnownWorkerProblem::NameUnknown(_)) => {
                KnownWorkerExplanation::Nobody("no worker has the name in the task's attribute")
            }
            Err(KnownWorkerProblem::Elsewhere) => {
                KnownWorkerExplanation::Nobody("the task's attribute names a worker that is not of this workspace")
            }
        });
        StepExplanation {
            kind,
            queue: Some((target.queue, self.queue_name(target.queue))),
            expression: target.expression.as_ref().map(|expression| expression.text().to_owned()),
            order_by: target.order_by.as_ref().map(|order_by| order_by.text().to_owned()),
            priority: target.priority,
            timeout_secs: target.timeout_secs,
            ends_at: None,
            skip_if,
            known_worker,
        }
    }

    pub(in crate::routing) fn queue_name(&self, queue: TaskQueueSid) -> String {
        self.task_queues.get(&queue).map(|entry| entry.row.friendly_name.clone()).unwrap_or_default()
    }
}

fn summary(
    row: &Task,
    targeted: Option<WorkerSid>,
    step: &StepExplanation,
    position: &QueuePosition,
    tally: &Tally,
    reservations: &[OpenReservation],
) -> String {
    // While a task is handed on, whoever has it and whoever is offered it both have a reservation.
    let names = |pending: bool| {
        let of_kind = reservations.iter().filter(|one| (one.status == ReservationStatus::Pending) == pending);
        of_kind.map(|one| one.worker_name.as_str()).collect::<Vec<_>>().join(", ")
    };
    match row.status {
        TaskStatus::Reserved => {
            return format!("The task is offered to {} and waits for an answer.", names(true));
        }
        TaskStatus::Assigned => return format!("The task is assigned to {}.", names(false)),
        TaskStatus::Wrapping => return format!("The task is being wrapped up by {}.", names(false)),
        TaskStatus::Completed => return "The task is completed.".to_owned(),
        TaskStatus::Canceled => {
            return format!("The task is canceled: {}.", row.reason.as_deref().unwrap_or("no reason was given"));
        }
        TaskStatus::Pending => {}
    }
    let queue = step.queue.as_ref().map_or("no task queue", |(_, name)| name.as_str());
    let begin = match (position.ahead, targeted) {
        (_, Some(worker)) => format!("The task waits for worker {worker}"),
        (Ok(0), _) => format!("The task is the first in {queue}"),
        (Ok(ahead), _) => format!("The task waits in {queue} behind {ahead} others"),
        (Err(_), _) => format!("The task waits in {queue} for a known worker who does not exist"),
    };
    let blocked: Vec<String> =
        tally.blocked.iter().map(|(reason, count)| format!("{count} by {}", reason.as_str())).collect();
    match tally.total {
        0 => format!("{begin}. No worker is eligible."),
        1 => format!("{begin}. The only eligible worker is blocked: {}.", blocked.join(", ")),
        workers if tally.candidates == 0 => {
            format!("{begin}. All {workers} eligible workers are blocked: {}.", blocked.join(", "))
        }
        workers => format!("{begin}. {} of {workers} eligible workers could take it.", tally.candidates),
    }
}

fn explain_filters(row: &Task, routes: Option<&Routes>, scope: &Scope<'_>) -> (Vec<FilterExplanation>, usize) {
    let Some(routes) = routes else { return (Vec::new(), 0) };
    let standing = match row.step {
        Step::Target { filter, .. } => usize::try_from(filter).ok(),
        Step::Default | Step::Direct => None,
    };
    let end = standing.map_or(routes.filters.len(), |filter| filter + 1);
    let filters = (0..end)
        .filter(|index| *index < FILTERS_MAX || Some(*index) == standing)
        .filter_map(|index| explain_filter(routes, index, scope, Some(index) == standing));
    (filters.collect(), routes.filters.len())
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What one filter says of a task at a moment.
pub(in crate::routing) fn explain_filter(
    routes: &Routes,
    index: usize,
    scope: &Scope<'_>,
    standing: bool,
) -> Option<FilterExplanation> {
    let filter = routes.filters.get(index)?;
    Some(FilterExplanation {
        index,
        name: filter.name.clone(),
        expression: filter.expression.text().to_owned(),
        explanation: filter.expression.explain(scope),
        standing,
    })
}
