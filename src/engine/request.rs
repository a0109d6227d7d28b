//! What the outer layers ask of a workspace, and the errors they can get.

use crate::calls::{CallSid, ConferenceOptions, Input, Park};
use crate::routing::command::ReservationParent;
use crate::routing::{Command, Refusal, ReservationSid, TaskSid, WorkflowSid};

/// One request to a workspace: carried out as a whole, answered after it is on disk.
#[derive(Debug, Clone)]
pub enum Request {
    /// A command for the routing core alone (the calls core hears of its consequences).
    Routing(Command),
    /// A voice webhook with `<Enqueue>`: makes a voice task, once per live call.
    EnqueueCall {
        /// The workflow.
        workflow: WorkflowSid,
        /// The caller's leg.
        call: CallSid,
        /// Who calls.
        from: String,
        /// The dialled number.
        to: String,
        /// Merged attributes: a JSON object.
        attributes: String,
        /// `priority` of `<Task>`.
        priority: Option<i32>,
        /// `timeout` of `<Task>`, in seconds.
        timeout_secs: Option<u32>,
        /// What came with `<Enqueue>`.
        park: Park,
    },
    /// The conference instruction on a reservation.
    Conference {
        /// Through which parent it was addressed.
        parent: ReservationParent,
        /// Which reservation.
        reservation: ReservationSid,
        /// Parameters.
        options: ConferenceOptions,
    },
    /// The worker's own phone placed a leg that accepts the reservation.
    WorkerCall {
        /// Which reservation.
        reservation: ReservationSid,
        /// The worker's leg.
        call: CallSid,
        /// Parameters of the room.
        options: ConferenceOptions,
    },
    /// A fact about the calls of a voice task.
    Call {
        /// The task.
        task: TaskSid,
        /// What happened.
        input: Input,
    },
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The workspace refused it; nothing changed.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// There is no such workspace.
    #[error("no such workspace")]
    NoSuchWorkspace,
    /// Too many requests are waiting for this workspace.
    #[error("too many requests are waiting for this workspace")]
    Overloaded,
    /// The workspace or its store cannot take writes now; the request may be repeated.
    #[error("the workspace is not available now")]
    Unavailable,
}
