//! What the names of an expression are looked up in when it is evaluated.
//!
//! Borrowed from the caller for one evaluation; the caller decides what a worker's channel figures and counts are.
//! Start with [`Scope`].

use super::super::time::Timestamp;
use super::document::Document;

/// Everything an expression may mention. What is not given reads as NULL.
#[derive(Clone, Copy, Default)]
pub struct Scope<'a> {
    /// Attributes of the task.
    pub task: Option<&'a Document>,
    /// Attributes of the worker.
    pub worker: Option<&'a Document>,
    /// Fields and channels of the worker.
    pub names: Option<&'a WorkerNames<'a>>,
    /// Workers of the step's queue by activity.
    pub counts: Option<&'a dyn WorkerCounts>,
    /// The moment of evaluation, for `taskrouter.currentTime` and its like.
    pub now: Option<Timestamp>,
    /// What `taskrouter.calendar.…` asks at that moment.
    pub openings: Option<&'a dyn Openings>,
}

impl<'a> Scope<'a> {
    /// Nothing but a moment and what is open then.
    pub(in crate::routing) fn at(now: Timestamp, openings: &'a dyn Openings) -> Self {
        Self { now: Some(now), openings: Some(openings), ..Self::default() }
    }
}

/// Built-in names of a worker (TaskRouter: Using TaskRouter Expressions). An attribute of the same name wins over a
/// field (D7), an existing channel wins over an attribute (D10).
pub struct WorkerNames<'a> {
    /// `worker.sid`.
    pub sid: &'a str,
    /// `worker.friendly_name`.
    pub friendly_name: &'a str,
    /// `worker.activity_sid`.
    pub activity_sid: &'a str,
    /// `worker.activity_name`.
    pub activity_name: &'a str,
    /// `worker.channel.…`.
    pub channels: &'a dyn ChannelFigures,
}

/// The channels of one worker.
pub trait ChannelFigures {
    /// Returns the figures of a channel by its unique name; none if there is no such channel.
    fn figures(&self, unique_name: &str) -> Option<ChannelValues>;
}

/// Figures of one worker channel (TaskRouter: Multitasking).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelValues {
    /// Most tasks at a time.
    pub configured_capacity: u32,
    /// Accepted reservations.
    pub assigned_tasks: u32,
    /// Free share of the capacity, 0 to 100; pending, accepted and wrapping reservations count as used.
    pub available_capacity_percentage: u32,
}

/// The workers of a step's queue, counted for `skip_if` (TaskRouter: Skipping based on Worker availability).
pub trait WorkerCounts {
    /// Returns how many are in an available activity.
    fn available(&self) -> u32;
    /// Returns how many are in an unavailable activity.
    fn unavailable(&self) -> u32;
    /// Returns how many are in exactly this activity; 0 for an unknown one.
    fn in_activity(&self, sid: &str) -> u32;
}

/// Calendars by the names that expressions use.
pub trait Openings {
    /// Whether a calendar is open at a moment; none when there is no such calendar.
    fn is_open(&self, name: &str, at: Timestamp) -> Option<bool>;
}
