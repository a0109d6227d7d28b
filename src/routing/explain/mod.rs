//! Why a task waits and why a worker gets nothing: answers for people, from the same state and rules as matching.
//!
//! Questions change nothing and are short: lists are cut at a limit, counts are complete. Everything is told as it is at
//! this moment. Start with [`Workspace::explain_task`] and [`Workspace::explain_worker`]; what keeps a pair apart is in
//! `blocks`.

pub(super) mod blocks;
mod reasons;
mod task;
mod worker;

pub use blocks::{Block, BlockReason, Tally, WorkerVerdict};
pub use task::{
    FilterExplanation, KnownWorkerExplanation, OpenReservation, StepExplanation, StepKind, TaskExplanation, WorkerPage,
};
pub use worker::{ChannelLoad, QueueMembership, WaitingTask, WorkerExplanation};

pub(super) use task::explain_filter;

#[cfg(doc)]
use super::workspace::Workspace;
