//! What a user should know of a configuration or a task that did not work out as meant: lines for the alert log.
//!
//! An alert changes nothing and refuses nothing. Codes are those of Twilio's debugger. Start with [`Alert`].

use super::sid::TaskSid;

/// One line for the alert log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Twilio's error code.
    pub code: u32,
    /// One readable sentence.
    pub message: String,
    /// The task it is about.
    pub task: Option<TaskSid>,
}

/// The known worker is not a member of the step's queue (TaskRouter: Known agent routing).
pub(super) const KNOWN_WORKER_NOT_IN_QUEUE: u32 = 40_152;

/// The attribute names no worker: missing, of the wrong type, or nobody's name.
pub(super) const KNOWN_WORKER_INVALID: u32 = 40_154;

/// The SID is not that of a worker of this workspace.
pub(super) const KNOWN_WORKER_ELSEWHERE: u32 = 40_155;

/// New attributes of a waiting task match no filter, and there is no default filter (D22).
pub(super) const NOTHING_MATCHES: u32 = 14_222;

/// A saved expression names something that its place does not know (D9).
pub(super) const DOUBTFUL_EXPRESSION: u32 = 20_001;
