//! What the outer layers ask of a workspace, and the errors they can get.

use crate::calls::{
    CallSid, CallbackAbout, CallbackTerms, ConferenceOptions, Input, LegTarget, LegUpdate, Park, SuperviseMode,
};
use crate::routing::command::{NewTask, ReservationChange, ReservationParent};
use crate::routing::{Command, Refusal, ReservationSid, TaskSid, Timestamp, WorkerSid, WorkflowSid};

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
    /// An instruction for a reservation, by REST or by the agents' SDK.
    Instruct {
        /// Through which parent it was addressed.
        parent: ReservationParent,
        /// Which reservation.
        reservation: ReservationSid,
        /// What is to be done.
        instruction: ReservationInstruction,
        /// Version the instruction is meant for.
        if_match: Option<u64>,
    },
    /// The outcome of an assignment callback.
    AssignmentAnswered {
        /// Which reservation.
        reservation: ReservationSid,
        /// What the application answered, or that it did not.
        answer: AssignmentAnswer,
    },
    /// A leg called to take the reservation: the worker's own phone, or one that the call instruction placed.
    WorkerCall {
        /// Which reservation.
        reservation: ReservationSid,
        /// The worker's leg.
        call: CallSid,
        /// Parameters of the room.
        options: ConferenceOptions,
    },
    /// A waiting caller wants to be called back and to keep the place in the queue.
    CallBack {
        /// The task.
        task: TaskSid,
        /// The caller's leg.
        call: CallSid,
        /// The number to dial.
        to: String,
        /// How.
        terms: CallbackTerms,
    },
    /// A caller has left a message: it becomes a task, once for each recording.
    Voicemail {
        /// What the phone system calls the recording.
        recording: String,
        /// The task.
        new: NewTask,
    },
    /// A wish about a leg in the room of a task.
    Leg {
        /// The task.
        task: TaskSid,
        /// The worker who wishes it, who has to be in that conversation; `None` for an application or an administrator.
        by: Option<WorkerSid>,
        /// What is to be done.
        wish: LegWish,
    },
    /// A callback of the phone system about a voice task: what it tells, and who else may want to hear it.
    Heard {
        /// The task.
        task: TaskSid,
        /// What happened, if that matters to us.
        input: Option<Input>,
        /// As it came.
        heard: Heard,
    },
    /// A fact about a caller whose task is not known to the one who tells it, because it is only being made.
    Caller {
        /// The caller's leg.
        call: CallSid,
        /// What happened.
        input: Input,
    },
    /// The phone system takes our credentials, or does not.
    PhoneAccess(PhoneAccess),
    /// A fact about the calls of a voice task.
    Call {
        /// The task.
        task: TaskSid,
        /// What happened.
        input: Input,
    },
}

impl Request {
    /// Whether it is not worth doing when nobody waits for its answer any more: a call that is not told of its task comes
    /// again, or has gone elsewhere.
    #[must_use]
    pub const fn needs_asker(&self) -> bool {
        matches!(self, Self::EnqueueCall { .. })
    }
}

/// Whether the phone system takes our credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PhoneAccess {
    /// It does.
    Granted,
    /// It does not: no call can be connected.
    Denied {
        /// What it said.
        message: String,
        /// When it is tried again, and a margin.
        until: Timestamp,
    },
}

/// A callback as the phone system sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What it is about.
    pub about: CallbackAbout,
    /// The event, in the words of an instruction's list.
    pub event: String,
    /// SID of the call or conference.
    pub subject: String,
    /// All parameters.
    pub form: Vec<(String, String)>,
}

/// Something that is to be done to a leg in a room (`spec/voice.md` 3.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegWish {
    /// A leg is to be changed.
    Change(LegTarget, LegUpdate),
    /// Another worker's leg, or one's own, is to be changed.
    Worker(WorkerSid, LegUpdate),
    /// Another worker is to be taken out of the room.
    Kick(WorkerSid),
    /// A leg is to be taken out of the room; the customer leaves by the end of the conversation only.
    Remove(LegTarget),
    /// A third party is to be dialled into the room.
    Add {
        /// Its label in the room.
        label: String,
        /// Whom to dial.
        to: String,
        /// Caller ID; our own number when absent.
        from: Option<String>,
        /// Options of the leg.
        options: Box<ConferenceOptions>,
    },
    /// The room is to end for all.
    EndConversation,
}

/// A supervisor takes part in a call (`spec/voice.md` 3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervision {
    /// Who.
    pub supervisor: WorkerSid,
    /// How.
    pub mode: SuperviseMode,
    /// Options of the supervisor's leg.
    pub options: ConferenceOptions,
}

/// What is to be done with a reservation, whoever says so (`spec/voice.md` 3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReservationInstruction {
    /// A change of its status alone: accept, reject, wrap, complete.
    Change(ReservationChange),
    /// The worker is dialled into a room with the caller.
    Conference(Box<ConferenceOptions>),
    /// The worker is called by a leg that runs a document of the application's.
    Call(Box<WorkerCall>),
    /// A call goes on with a document of the application's.
    Redirect(Box<CallRedirect>),
    /// A supervisor joins the conversation.
    Supervise(Box<Supervision>),
}

/// The call instruction (`spec/voice.md` 3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerCall {
    /// What the leg runs, absolute.
    pub url: String,
    /// The reservation is accepted as soon as the worker answers.
    pub accept: bool,
    /// Options of the leg, and of the room that the document may lead it into.
    pub options: ConferenceOptions,
}

/// The redirect instruction (`spec/voice.md` 3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRedirect {
    /// Which call.
    pub call: CallSid,
    /// What it goes on with, absolute.
    pub url: String,
    /// The reservation is accepted as soon as the call has been redirected.
    pub accept: bool,
    /// The call is that of a live task in another workspace of the account; found out by the engine, whoever asks.
    pub of_sibling: bool,
}

/// What follows from an assignment callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignmentAnswer {
    /// What was wrong, for the alert log.
    pub complaints: Vec<Complaint>,
    /// What becomes of the reservation.
    pub consequence: Consequence,
}

/// Something that a user should know, under one of Twilio's codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Twilio's debugger code (`spec/rest.md` 6.3).
    pub code: u32,
    /// What happened, readable.
    pub message: String,
}

/// What becomes of a reservation after its callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consequence {
    /// It stays pending: the application decides later, by REST.
    Nothing,
    /// The application's instruction is carried out.
    Instruction(ReservationInstruction),
    /// It is canceled, and the task is offered anew.
    Cancel,
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
