//! Expressions in query parameters, and what they are evaluated on: rows of the store.
//!
//! The language is the routing core's; this module only lays rows out for it. Start with [`WorkerFilters`].

use serde_json::Value;

use super::error::ApiError;
use crate::routing::Timestamp;
use crate::routing::expression::{
    ChannelFigures, ChannelValues, Document, Expression, Place, Scope, Vocabulary, WorkerNames,
};
use crate::store::pages::{Entry, List};
use crate::store::views::{TaskQueueView, TaskView, WorkerChannelView, WorkerView};

/// Compiles the expression in `parameter`.
fn compile(
    parameter: &'static str,
    text: &str,
    place: Place,
    vocabulary: &mut Vocabulary,
) -> Result<Expression, ApiError> {
    Expression::compile(text, place, vocabulary)
        .map_err(|errors| ApiError::invalid(format!("Invalid {parameter}: {errors}")))
}

/// Expressions that workers must all satisfy.
#[derive(Default)]
pub(super) struct WorkerFilters {
    vocabulary: Vocabulary,
    expressions: Vec<Expression>,
    nobody: bool,
}

impl WorkerFilters {
    /// Adds the expression in `parameter`.
    pub(super) fn add(&mut self, parameter: &'static str, text: &str) -> Result<(), ApiError> {
        self.expressions.push(compile(parameter, text, Place::Worker, &mut self.vocabulary)?);
        Ok(())
    }

    /// Adds the expression of a queue; an empty one means that nobody serves it.
    pub(super) fn add_queue(&mut self, target_workers: &str) {
        match Expression::compile(target_workers, Place::Worker, &mut self.vocabulary) {
            Ok(expression) => self.expressions.push(expression),
            Err(_) => self.nobody = true,
        }
    }

    /// Whether there is nothing to filter by.
    pub(super) const fn is_empty(&self) -> bool {
        self.expressions.is_empty() && !self.nobody
    }

    /// Whether the figures of channels matter.
    pub(super) fn uses_channels(&self) -> bool {
        self.expressions.iter().any(Expression::uses_channels)
    }

    /// Whether each worker satisfies them all; `channels` are of these workers, in any order.
    pub(super) fn verdicts(&self, workers: &List<WorkerView>, channels: &[WorkerChannelView]) -> Vec<bool> {
        let satisfies = |entry: &Entry<WorkerView>| {
            let worker = &entry.row;
            let document = document(&self.vocabulary, &worker.attributes);
            let figures = Figures { worker: &worker.sid, channels };
            let names = worker_names(worker, &figures);
            let scope = Scope { worker: Some(&document), names: Some(&names), ..Scope::default() };
            !self.nobody && self.expressions.iter().all(|expression| expression.matches(&scope))
        };
        workers.entries.iter().map(satisfies).collect()
    }
}

/// A worker, or somebody with the same attributes, whose queues are looked for.
pub(super) struct Candidate {
    pub(super) attributes: Value,
    /// Of a worker that exists.
    pub(super) worker: Option<(WorkerView, Vec<WorkerChannelView>)>,
}

impl Candidate {
    /// Whether each queue would take the candidate.
    pub(super) fn verdicts(&self, queues: &List<TaskQueueView>) -> Vec<bool> {
        let mut vocabulary = Vocabulary::default();
        let expressions: Vec<_> = queues
            .entries
            .iter()
            .map(|entry| Expression::compile(&entry.row.target_workers, Place::Worker, &mut vocabulary))
            .collect();
        let document = Document::read(&vocabulary, &self.attributes);
        let figures = self.worker.as_ref().map(|(worker, channels)| Figures { worker: &worker.sid, channels });
        let names = match (&self.worker, &figures) {
            (Some((worker, _)), Some(figures)) => Some(worker_names(worker, figures)),
            _ => None,
        };
        let scope = Scope { worker: Some(&document), names: names.as_ref(), ..Scope::default() };
        let takes = |compiled: &Result<Expression, _>| compiled.as_ref().is_ok_and(|found| found.matches(&scope));
        expressions.iter().map(takes).collect()
    }
}

/// An expression over the attributes of tasks.
pub(super) struct TaskFilter {
    vocabulary: Vocabulary,
    expression: Expression,
}

impl TaskFilter {
    /// Compiles the expression in `parameter`.
    pub(super) fn compile(parameter: &'static str, text: &str) -> Result<Self, ApiError> {
        let mut vocabulary = Vocabulary::default();
        let expression = compile(parameter, text, Place::Task, &mut vocabulary)?;
        Ok(Self { vocabulary, expression })
    }

    /// Whether each task satisfies it at `now`.
    pub(super) fn verdicts(&self, tasks: &List<TaskView>, now: Timestamp) -> Vec<bool> {
        let satisfies = |entry: &Entry<TaskView>| {
            let document = document(&self.vocabulary, &entry.row.attributes);
            self.expression.matches(&Scope { task: Some(&document), now: Some(now), ..Scope::default() })
        };
        tasks.entries.iter().map(satisfies).collect()
    }
}

/// Attributes as text; they were checked when they were stored.
fn document(vocabulary: &Vocabulary, attributes: &str) -> Document {
    Document::read(vocabulary, &serde_json::from_str(attributes).unwrap_or(Value::Null))
}

fn worker_names<'a>(worker: &'a WorkerView, figures: &'a Figures<'a>) -> WorkerNames<'a> {
    WorkerNames {
        sid: &worker.sid,
        friendly_name: &worker.friendly_name,
        activity_sid: &worker.activity_sid,
        activity_name: &worker.activity_name,
        channels: figures,
    }
}

/// Channels of one worker among those of several.
struct Figures<'a> {
    worker: &'a str,
    channels: &'a [WorkerChannelView],
}

impl ChannelFigures for Figures<'_> {
    fn figures(&self, unique_name: &str) -> Option<ChannelValues> {
        let of_worker =
            |row: &&WorkerChannelView| row.worker_sid == self.worker && row.task_channel_unique_name == unique_name;
        let row = self.channels.iter().find(of_worker)?;
        let figure = |number: i64| u32::try_from(number).unwrap_or(0);
        Some(ChannelValues {
            configured_capacity: figure(row.configured_capacity),
            assigned_tasks: figure(row.assigned_tasks),
            available_capacity_percentage: figure(row.available_capacity_percentage()),
        })
    }
}
