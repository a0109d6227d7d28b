//! Expressions in query parameters, compiled once for a request and evaluated on what `search` found in memory.
//!
//! The language is the routing core's; this module only lays out what it is evaluated on. Start with
//! [`TaskExpression`].

use std::collections::BTreeMap;

use super::error::ApiError;
use crate::routing::Timestamp;
use crate::routing::expression::{
    AttributeReader, ChannelFigures, ChannelValues, Expression, Openings, Place, Scope, Vocabulary, WorkerNames,
};
use crate::routing::{ActivitySid, TaskChannelSid, WorkerSid};

/// An expression over attributes, with what reads them.
struct Compiled {
    expression: Expression,
    reader: AttributeReader,
}

impl Compiled {
    /// Compiles the expression in `parameter`.
    fn of(parameter: &'static str, text: &str, place: Place) -> Result<Self, ApiError> {
        let mut vocabulary = Vocabulary::default();
        let expression = Expression::compile(text, place, &mut vocabulary)
            .map_err(|errors| ApiError::invalid(format!("Invalid {parameter}: {errors}")))?;
        Ok(Self { expression, reader: AttributeReader::new(&vocabulary) })
    }
}

/// An expression over the attributes of tasks, at the moment of the request.
pub(super) struct TaskExpression {
    compiled: Compiled,
    now: Timestamp,
    open: Open,
}

/// Which of the calendars that it names are open.
struct Open(BTreeMap<String, bool>);

impl Openings for Open {
    fn is_open(&self, name: &str, _: Timestamp) -> Option<bool> {
        self.0.get(name).copied()
    }
}

impl TaskExpression {
    /// Compiles the expression in `parameter`.
    pub(super) fn compile(parameter: &'static str, text: &str, now: Timestamp) -> Result<Self, ApiError> {
        let compiled = Compiled::of(parameter, text, Place::Task)?;
        Ok(Self { compiled, now, open: Open(BTreeMap::new()) })
    }

    /// The calendars that it names.
    pub(super) fn calendars(&self) -> Vec<String> {
        self.compiled.expression.calendars().iter().map(ToString::to_string).collect()
    }

    /// Which of them are open.
    pub(super) fn with_open(self, open: BTreeMap<String, bool>) -> Self {
        Self { open: Open(open), ..self }
    }

    /// Whether a task with these attributes satisfies it.
    pub(super) fn matches(&self, attributes: &str) -> bool {
        let document = self.compiled.reader.read(attributes);
        let scope =
            Scope { task: Some(&document), now: Some(self.now), openings: Some(&self.open), ..Scope::default() };
        self.compiled.expression.matches(&scope)
    }
}

/// An expression over workers.
pub(super) struct WorkerExpression(Compiled);

impl WorkerExpression {
    /// Compiles the expression in `parameter`.
    pub(super) fn compile(parameter: &'static str, text: &str) -> Result<Self, ApiError> {
        Compiled::of(parameter, text, Place::Worker).map(Self)
    }

    /// Whether the figures of channels matter.
    pub(super) fn uses_channels(&self) -> bool {
        self.0.expression.uses_channels()
    }

    /// Whether the worker satisfies it.
    pub(super) fn matches(&self, worker: &WorkerFacts, names: &Names) -> bool {
        let document = self.0.reader.read(&worker.attributes);
        let (activity_sid, activity_name) =
            names.activities.get(&worker.activity).map_or(("", ""), |(sid, name)| (sid.as_str(), name.as_str()));
        let figures = Figures { worker, names };
        let names = WorkerNames {
            sid: &worker.sid.to_string(),
            friendly_name: &worker.friendly_name,
            activity_sid,
            activity_name,
            channels: &figures,
        };
        self.0.expression.matches(&Scope { worker: Some(&document), names: Some(&names), ..Scope::default() })
    }
}

/// What an expression can see of one worker.
#[derive(Debug)]
pub(super) struct WorkerFacts {
    pub(super) sid: WorkerSid,
    pub(super) friendly_name: String,
    pub(super) attributes: String,
    pub(super) activity: ActivitySid,
    /// Only when the expression mentions channels.
    pub(super) channels: Vec<(TaskChannelSid, ChannelValues)>,
}

/// What all workers share.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// SID as text, and name.
    pub(super) activities: BTreeMap<ActivitySid, (String, String)>,
    /// By unique name.
    pub(super) channels: BTreeMap<String, TaskChannelSid>,
}

/// The channels of one worker.
struct Figures<'a> {
    worker: &'a WorkerFacts,
    names: &'a Names,
}

impl ChannelFigures for Figures<'_> {
    fn figures(&self, unique_name: &str) -> Option<ChannelValues> {
        let channel = self.names.channels.get(unique_name)?;
        self.worker.channels.iter().find(|(sid, _)| sid == channel).map(|(_, values)| *values)
    }
}
