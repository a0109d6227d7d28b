//! Why a command was not carried out; each variant becomes one answer of the API.
//!
//! A refusal leaves the workspace exactly as it was.

use super::sid::{ReservationSid, TaskSid, TransferSid, WorkflowSid};
use super::state::{ReservationStatus, TransferStatus};

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The addressed resource does not exist (or not under that parent).
    #[error("not found")]
    NotFound,
    /// A parameter names something that does not exist in this workspace.
    #[error("{parameter} {value} does not exist in this workspace")]
    UnknownReference {
        /// The request parameter.
        parameter: &'static str,
        /// What it named.
        value: String,
    },
    /// `If-Match` named another version.
    #[error("the resource has version {current}")]
    VersionMismatch {
        /// The version it has.
        current: u64,
    },
    /// A parameter is missing.
    #[error("{parameter} field is required")]
    Missing {
        /// The request parameter.
        parameter: &'static str,
    },
    /// A parameter has a value that is not allowed.
    #[error("invalid {parameter}: {reason}")]
    Invalid {
        /// The request parameter.
        parameter: &'static str,
        /// What was expected.
        reason: String,
    },
    /// Another worker has that name.
    #[error("Worker with the same friendly name already exists")]
    WorkerNameTaken,
    /// Another queue has that name.
    #[error("Queue named {name} already exists")]
    QueueNameTaken {
        /// The name.
        name: String,
    },
    /// Another resource of the same kind has that name.
    #[error("{kind} named {name} already exists")]
    NameTaken {
        /// The kind of resource.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// Something still uses the resource.
    #[error("cannot delete: {reason}")]
    InUse {
        /// Who uses it.
        reason: String,
    },
    /// `MultiTaskEnabled` cannot go back to false.
    #[error("MultiTaskEnabled cannot be set to false once it is true")]
    MultiTaskingStays,
    /// No filter matches and there is no default filter.
    #[error("no filter of the workflow matches the task's attributes and there is no default filter")]
    NoMatchingTarget,
    /// The task is not pending or reserved.
    #[error("cannot cancel task {0} because it is not pending or reserved")]
    NotCancelable(TaskSid),
    /// The task is not assigned.
    #[error("cannot wrap up task {0} because it is not currently assigned")]
    NotWrappable(TaskSid),
    /// The task is not assigned or wrapping.
    #[error("cannot complete task {0} because it is not currently assigned")]
    NotCompletable(TaskSid),
    /// The task is not assigned, is being transferred already, or the reservation is not the one that holds it.
    #[error("cannot transfer task {0} because it is not currently assigned")]
    NotTransferable(TaskSid),
    /// The transfer is over.
    #[error("Transfer {transfer} is already {status} . Cannot cancel transfer.")]
    TransferOver {
        /// Which.
        transfer: TransferSid,
        /// How it ended.
        status: TransferStatus,
    },
    /// That status cannot be asked for.
    #[error("a task cannot be set to {status}")]
    StatusNotSettable {
        /// The status.
        status: &'static str,
    },
    /// The reservation cannot go from one state to the other.
    #[error("Reservation {reservation} is already in state [{from}] and cannot be updated to [{to}]")]
    ReservationInState {
        /// Which.
        reservation: ReservationSid,
        /// Where it is.
        from: ReservationStatus,
        /// What was asked.
        to: ReservationStatus,
    },
    /// Accepting a reservation that was rescinded.
    #[error("Reservation {0} was rescinded")]
    ReservationRescinded(ReservationSid),
    /// A voice instruction on a reservation that is not pending.
    #[error(
        "Unable to execute {instruction} instruction. Reservation {reservation} is not currently in a Pending state."
    )]
    InstructionNotPending {
        /// `Conference`, `Dequeue`, …
        instruction: &'static str,
        /// Which.
        reservation: ReservationSid,
    },
    /// `RejectPendingReservations` with an available activity.
    #[error("Unable to reject pending reservations when updating to an Available activity state.")]
    RejectPendingNeedsUnavailable,
    /// The workspace is full of these.
    #[error("a workspace holds at most {limit} {kind}")]
    LimitReached {
        /// Plural noun.
        kind: &'static str,
        /// How many.
        limit: usize,
    },
    /// The dial rules do not allow a leg to this destination.
    #[error("invalid {parameter}: {reason}")]
    DestinationNotAllowed {
        /// The request parameter or attribute that names it.
        parameter: &'static str,
        /// Twilio's code.
        code: u32,
        /// Which setting would allow it.
        reason: String,
    },
    /// The caps on outgoing legs are reached.
    #[error("{reason}")]
    TooManyLegs {
        /// Which cap.
        reason: String,
    },
    /// As many calls wait for the workflow as its voice queue takes.
    #[error("the voice queue of workflow {workflow} holds {limit} calls already")]
    VoiceQueueFull {
        /// Which.
        workflow: WorkflowSid,
        /// How many.
        limit: usize,
    },
}
