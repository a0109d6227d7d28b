//! Alerts of the voice side: Twilio's codes for what was wrong with a document or a call.
//!
//! Must not stop an answer: an alert that cannot be stored is only logged. Start with [`Complaint`].

use super::State;
use super::request::Sender;
use crate::routing::{AccountSid, AlertSid, ReservationSid, TaskSid, WorkspaceSid};
use crate::store::Alert;

/// The document is not well-formed or breaks a limit.
pub(super) const DOCUMENT_PARSE_FAILURE: u32 = 12_100;
/// The root element is not `<Response>`.
pub(super) const WRONG_ROOT: u32 = 12_102;
/// An attribute has a value that is not allowed, or something is missing; processing goes on where possible.
pub(super) const SCHEMA_WARNING: u32 = 12_200;
/// `method` of `<Enqueue>` is none.
pub(super) const INVALID_METHOD: u32 = 14_201;
/// `waitUrl` of `<Enqueue>` is not a URL that can be requested.
pub(super) const INVALID_WAIT_URL: u32 = 14_202;
/// `action` of `<Enqueue>` is not a URL that can be requested.
pub(super) const INVALID_ACTION: u32 = 14_203;
/// `waitUrlMethod` of `<Enqueue>` is none.
pub(super) const INVALID_WAIT_METHOD: u32 = 14_206;
/// As many calls wait for the workflow as may.
pub(super) const QUEUE_FULL: u32 = 14_207;
/// `reservationSid` does not name a reservation.
pub(super) const INVALID_RESERVATION: u32 = 14_215;
/// The reservation cannot be accepted any more.
pub(super) const RESERVATION_NOT_ACCEPTABLE: u32 = 14_217;
/// `workflowSid` does not name a workflow.
pub(super) const INVALID_WORKFLOW: u32 = 14_220;
/// The attributes are not a JSON object.
pub(super) const INVALID_ATTRIBUTES: u32 = 14_221;
/// The task cannot be created.
pub(super) const CANNOT_CREATE_TASK: u32 = 14_222;
/// The end of the call could not be recorded.
pub(super) const CANNOT_CLEAN_UP: u32 = 14_223;
/// A URL of the application gave no usable answer.
pub(super) const RETRIEVAL_FAILURE: u32 = 11_200;

/// A URL of the application could not be connected with, or took too long.
pub(super) const CONNECTION_FAILURE: u32 = 11_205;
/// A URL is not one that can be requested.
pub(super) const INVALID_URL: u32 = 11_100;
/// Too many documents followed one another.
pub(super) const TOO_MANY_DOCUMENTS: u32 = 11_215;
/// A document is too large.
pub(super) const TOO_LARGE: u32 = 11_750;
/// A document has a content type that is none.
pub(super) const INVALID_CONTENT_TYPE: u32 = 12_300;
/// The activity after the work cannot be set.
pub(super) const INVALID_POST_WORK_ACTIVITY: u32 = 14_216;

/// More legs than the caps allow.
pub(super) const TOO_MANY_LEGS: u32 = 20_429;
/// A destination that the dial rules do not allow.
pub(super) const DIAL_NOT_ALLOWED: u32 = 13_227;

/// What was wrong, and with what.
#[derive(Debug, Clone)]
pub(super) struct Complaint {
    pub(super) code: u32,
    pub(super) message: String,
    pub(super) workspace: Option<WorkspaceSid>,
    pub(super) task: Option<TaskSid>,
    pub(super) reservation: Option<ReservationSid>,
}

impl Complaint {
    pub(super) fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), workspace: None, task: None, reservation: None }
    }

    pub(super) fn in_workspace(mut self, workspace: WorkspaceSid) -> Self {
        self.workspace = Some(workspace);
        self
    }

    pub(super) fn about_task(mut self, task: TaskSid) -> Self {
        self.task = Some(task);
        self
    }

    pub(super) fn about_reservation(mut self, reservation: ReservationSid) -> Self {
        self.reservation = Some(reservation);
        self
    }
}

impl State {
    /// Logs a complaint and adds it to the alert log of the account it concerns.
    pub(super) async fn complain(&self, sender: Sender, complaint: Complaint) {
        let Complaint { code, message, workspace, task, reservation } = complaint;
        tracing::warn!(
            code,
            message,
            workspace.sid = workspace.map(tracing::field::display),
            task.sid = task.map(tracing::field::display),
            reservation.sid = reservation.map(tracing::field::display),
            "voice alert"
        );
        let Some(account) = self.account_for(sender, workspace).await else { return };
        let at = self.clock.now();
        let sid = AlertSid::fresh(&mut self.entropy.clone(), at);
        let alert = Alert { sid, account, workspace, code, message, task, reservation, worker: None, at };
        let store = self.store.clone();
        let writing = tokio::spawn(async move {
            if let Err(error) = store.alert(alert).await {
                tracing::error!(%error, code, "cannot store an alert");
            }
        });
        // Written all the same when the store takes longer than the caller waits.
        self.wait_for_change(writing).await;
    }

    /// The account whose alert log takes it: the workspace's, the sender's, else the first one.
    async fn account_for(&self, sender: Sender, workspace: Option<WorkspaceSid>) -> Option<AccountSid> {
        if let Some(workspace) = workspace
            && let Ok(Some(account)) = self.read(self.store.account_of_workspace(workspace)).await
        {
            return Some(account);
        }
        if let Sender::Account(account) = sender {
            return Some(account);
        }
        self.read(self.store.accounts()).await.ok()?.first().map(|account| account.sid)
    }
}
