//! What callers hand to the store and get back from it, besides the records of the routing core.
//!
//! Plain records; the columns are in `statements`, the conversions in `rows`. Start with [`Batch`].

use std::borrow::Cow;
use std::sync::Arc;

use secrecy::SecretString;

use crate::calls::VoiceTask;
use crate::routing::{
    AccountSid, AlertSid, ApiKeySid, CalendarSid, EventRecord, Reply, ReservationSid, RowChange, TaskSid, Timestamp,
    WorkerSid, WorkspaceRows, WorkspaceSid,
};

/// All that one turn of a workspace changed: written as a whole or not at all.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The workspace.
    pub workspace: WorkspaceSid,
    /// `last_sequence` of the workspace before this batch. The store compares it with what is on disk and advances it
    /// by the number of events; a difference is [`Error::Fenced`](super::Error::Fenced). A workspace that is not on
    /// disk yet is made when this is 0 and its settings are among `rows`.
    pub expected_sequence: u64,
    /// Rows of the routing core, in the order of the changes; of several changes of one row the last one counts.
    pub rows: Vec<RowChange>,
    /// Events with consecutive sequence numbers from `expected_sequence + 1`.
    pub events: Vec<EventRecord>,
    /// Commands to the phone system that were decided; one that is there already gets its new attempts.
    pub outbox_added: Vec<OutboxRow>,
    /// Commands that need no further attempt.
    pub outbox_done: Vec<(TaskSid, u32)>,
    /// Reservations whose assignment callback is to be sent.
    pub callbacks_opened: Vec<OpenCallback>,
    /// Reservations whose assignment callback has its outcome.
    pub callbacks_closed: Vec<ReservationSid>,
    /// Callbacks of the phone system that are passed on to applications.
    pub relays: Vec<RelayRow>,
    /// Recordings of callers that have become tasks.
    pub voicemails: Vec<Voicemail>,
    /// Recordings that nobody tells of any more.
    pub voicemails_forgotten: Vec<String>,
    /// States of the calls core, new or changed.
    pub voice_tasks: Vec<VoiceTaskRow>,
    /// States of the calls core that are not needed any more.
    pub voice_tasks_deleted: Vec<TaskSid>,
    /// Lines of the alert log.
    pub alerts: Vec<Alert>,
    /// Requests that their clients may repeat.
    pub idempotent_requests: Vec<IdempotentRequest>,
}

impl Batch {
    /// A batch that changes nothing.
    #[must_use]
    pub const fn empty(workspace: WorkspaceSid, expected_sequence: u64) -> Self {
        Self {
            workspace,
            expected_sequence,
            rows: Vec::new(),
            events: Vec::new(),
            outbox_added: Vec::new(),
            outbox_done: Vec::new(),
            callbacks_opened: Vec::new(),
            callbacks_closed: Vec::new(),
            relays: Vec::new(),
            voicemails: Vec::new(),
            voicemails_forgotten: Vec::new(),
            voice_tasks: Vec::new(),
            voice_tasks_deleted: Vec::new(),
            alerts: Vec::new(),
            idempotent_requests: Vec::new(),
        }
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.row_count() == 0
    }

    /// Rows this batch writes or removes.
    #[must_use]
    pub const fn row_count(&self) -> usize {
        self.rows.len()
            + self.events.len()
            + self.outbox_added.len()
            + self.outbox_done.len()
            + self.callbacks_opened.len()
            + self.callbacks_closed.len()
            + self.relays.len()
            + self.voicemails.len()
            + self.voicemails_forgotten.len()
            + self.voice_tasks.len()
            + self.voice_tasks_deleted.len()
            + self.alerts.len()
            + self.idempotent_requests.len()
    }
}

/// Everything of one workspace that its engine needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Rows of the routing core.
    pub rows: WorkspaceRows,
    /// States of the calls core, ordered by task.
    pub voice_tasks: Vec<VoiceTaskRow>,
    /// Open commands to the phone system, ordered by task and number.
    pub outbox: Vec<OutboxRow>,
    /// Reservations whose assignment callback has no outcome yet, ordered by SID.
    pub open_callbacks: Vec<OpenCallback>,
    /// Recordings that have become tasks, ordered by their SIDs.
    pub voicemails: Vec<Voicemail>,
    /// Calendars, ordered by SID.
    pub calendars: Vec<CalendarRow>,
}

/// By what a repeated request is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Digest of whose request it is, of its method and path, and of the client's token.
    pub request: String,
    /// Digest of its body.
    pub body: String,
}

/// A request that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// By what its repeats are known.
    pub key: IdempotencyKey,
    /// The workspace it changed, or that it made.
    pub workspace: WorkspaceSid,
    /// What the workspace replied.
    pub reply: Reply,
    /// The answer, unless it has not been given, or is too long to be kept.
    pub answer: Option<KeptAnswer>,
    /// When it was carried out.
    pub at: Timestamp,
}

/// An answer as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Its HTTP status.
    pub status: u16,
    /// Its `ETag`, where the resource has versions.
    pub etag: Option<String>,
    /// Its body, byte for byte.
    pub body: String,
}

/// A calendar as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarRow {
    /// Its SID.
    pub sid: CalendarSid,
    /// Unique among the workspace's calendars.
    pub friendly_name: String,
    /// JSON of what it says.
    pub document: String,
}

/// A recording of a caller's message that has become a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voicemail {
    /// What the phone system calls it.
    pub recording: String,
    /// The task, which may be gone by now.
    pub task: TaskSid,
    /// When it became one.
    pub created_at: Timestamp,
}

/// A reservation whose assignment callback has no outcome yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenCallback {
    /// The reservation.
    pub reservation: ReservationSid,
    /// When it was made.
    pub opened_at: Timestamp,
}

/// A command to the phone system that was decided and is still to be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// The task it belongs to.
    pub task: TaskSid,
    /// Its number within the task.
    pub number: u32,
    /// JSON of the command.
    pub command: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When it was decided.
    pub created_at: Timestamp,
}

/// A callback of the phone system that an application is still to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayRow {
    /// The workspace.
    pub workspace: WorkspaceSid,
    /// The task.
    pub task: TaskSid,
    /// Counts up within the task.
    pub number: u32,
    /// SID of the call or conference that it is about.
    pub subject: String,
    /// Where to, with the settings in its fragment.
    pub url: String,
    /// By GET, else by POST.
    pub by_get: bool,
    /// JSON: pairs of name and value.
    pub form: String,
    /// When it came.
    pub created_at: Timestamp,
}

/// The calls core's state of one task that was made from a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiceTaskRow {
    /// The task.
    pub task: TaskSid,
    /// Its workspace.
    pub workspace: WorkspaceSid,
    /// The caller's leg.
    pub call: Option<String>,
    /// No live legs.
    pub closed: bool,
    /// The conference at the phone system, once known.
    pub conference: Option<String>,
    /// The calls core's record.
    pub state: VoiceRecord,
    /// Last change.
    pub updated_at: Timestamp,
}

/// The calls core's record of a voice task.
///
/// On disk it is JSON. What is decided is handed over as it is and rendered with the rest of the batch; what is loaded
/// is read by whoever needs it.
#[derive(Debug, Clone)]
pub enum VoiceRecord {
    /// As it is in memory, shared with it.
    Shared(Arc<VoiceTask>),
    /// As it is on disk.
    Json(String),
}

impl VoiceRecord {
    /// The JSON.
    #[must_use]
    pub fn json(&self) -> Cow<'_, str> {
        match self {
            Self::Shared(task) => serde_json::to_string(task).expect("voice tasks have text keys only").into(),
            Self::Json(text) => text.into(),
        }
    }
}

impl PartialEq for VoiceRecord {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Shared(left), Self::Shared(right)) => left == right,
            _ => self.json() == other.json(),
        }
    }
}

impl Eq for VoiceRecord {}

/// An account: who may use the API, and whose the workspaces are.
#[derive(Debug, Clone)]
pub struct Account {
    /// The account.
    pub sid: AccountSid,
    /// A name for people.
    pub friendly_name: String,
    /// Password of Basic auth and key of webhook signatures.
    pub auth_token: SecretString,
    /// Creation.
    pub created_at: Timestamp,
}

/// An API key: another user name and password of its account, which can be revoked.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The key.
    pub sid: ApiKeySid,
    /// Whose.
    pub account: AccountSid,
    /// A name for people.
    pub friendly_name: String,
    /// Password of Basic auth and key of access tokens' signatures.
    pub secret: SecretString,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// One line of the alert log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The alert.
    pub sid: AlertSid,
    /// Whose.
    pub account: AccountSid,
    /// The workspace concerned.
    pub workspace: Option<WorkspaceSid>,
    /// Twilio's debugger code.
    pub code: u32,
    /// What happened, readable.
    pub message: String,
    /// The task concerned.
    pub task: Option<TaskSid>,
    /// The reservation concerned.
    pub reservation: Option<ReservationSid>,
    /// The worker concerned.
    pub worker: Option<WorkerSid>,
    /// When.
    pub at: Timestamp,
}
