//! What on disk cannot be made into cores. Start with [`Unreadable`].

use crate::routing::{Refusal, TaskSid};

/// A stored workspace that cannot be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// An expression or a configuration does not compile.
    #[error("a stored expression or configuration does not compile: {0}")]
    Routing(#[from] Refusal),
    /// The state of a voice task is not what the calls core writes.
    #[error("the stored state of voice task {task} cannot be read: {error}")]
    VoiceTask {
        /// Which.
        task: TaskSid,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// A command to the phone system is not what the calls core writes.
    #[error("the stored phone command {number} of task {task} cannot be read: {error}")]
    PhoneCommand {
        /// Of which task.
        task: TaskSid,
        /// Which.
        number: u32,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}
