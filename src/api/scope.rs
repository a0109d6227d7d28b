//! What a request is about: its workspace, its path, the means to answer it.
//!
//! Extracting a [`Scope`] checks the credentials and that the workspace belongs to them, so no handler can forget to.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;

use super::State;
use super::auth::{Caller, charge};
use super::error::ApiError;
use super::idempotency::Once;
use super::links::Place;
use super::rates::Payer;
use crate::clock::Entropy;
use crate::engine::{self, Request};
use crate::routing::command::{ChannelName, WorkflowUpdate};
use crate::routing::{
    AlertSid, ApiKeySid, Command, Refusal, Reply, ReservationSid, Timestamp, WorkflowSid, Workspace, WorkspaceSid,
};
use crate::store::Alert;
use crate::store::views::WorkspaceView;

/// A request to a workspace of the caller.
pub(super) struct Scope {
    pub(super) state: State,
    pub(super) place: Place,
    /// As it was when the request came.
    pub(super) workspace: WorkspaceView,
    /// Without `/v1`, for messages.
    path: String,
    parameters: Vec<(String, String)>,
    if_match: Option<String>,
    /// What is known of its repeats, if it came with a token for that.
    once: Option<Once>,
    /// With which the request came, if with one.
    pub(super) api_key: Option<ApiKeySid>,
}

impl FromRequestParts<State> for Scope {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let path = parts.uri.path().to_owned();
        let Ok(raw) = RawPathParams::from_request_parts(parts, state).await else {
            return Err(ApiError::not_found(&path));
        };
        let parameters: Vec<_> = raw.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let sid = parameters.iter().find(|(name, _)| name == "WorkspaceSid").map(|(_, value)| value.as_str());
        let sid: WorkspaceSid = sid.and_then(|sid| sid.parse().ok()).ok_or_else(|| ApiError::not_found(&path))?;
        let workspace = state.store.workspace(caller.account, sid).await?;
        let workspace = workspace.ok_or_else(|| ApiError::not_found(&path))?;
        let if_match = parts.headers.get(IF_MATCH).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let place = Place { base: caller.base, account: caller.account, workspace: sid };
        let once = parts.extensions.get::<Once>().cloned();
        Ok(Self { state: state.clone(), place, workspace, path, parameters, if_match, once, api_key: caller.api_key })
    }
}

impl Scope {
    /// A request to a workspace that came by another way than REST, to `path` (with a leading slash).
    pub(super) const fn within(
        state: State,
        place: Place,
        workspace: WorkspaceView,
        path: String,
        if_match: Option<String>,
    ) -> Self {
        Self { state, place, workspace, path, parameters: Vec::new(), if_match, once: None, api_key: None }
    }

    /// For tests of what takes a scope without a request.
    #[cfg(test)]
    pub(super) async fn of_workspace(state: State, account: AccountSid, workspace: WorkspaceSid) -> Self {
        let view = state.store.workspace(account, workspace).await.expect("readable").expect("it exists");
        let place = Place { base: "https://calls.example/v1".to_owned(), account, workspace };
        Self {
            state,
            place,
            workspace: view,
            path: String::new(),
            parameters: Vec::new(),
            if_match: None,
            once: None,
            api_key: None,
        }
    }

    /// The workspace.
    pub(super) const fn sid(&self) -> WorkspaceSid {
        self.place.workspace
    }

    /// The path without `/v1`, for messages.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The answer when what the path names does not exist.
    pub(super) fn not_found(&self) -> ApiError {
        ApiError::not_found(&self.path)
    }

    /// What was read, or the answer that it does not exist.
    pub(super) fn found<T>(&self, read: Option<T>) -> Result<T, ApiError> {
        read.ok_or_else(|| self.not_found())
    }

    /// A part of the path, if the route has it.
    pub(super) fn segment(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A SID of the path; not found when it is none of the expected kind.
    pub(super) fn path_sid<S: FromStr>(&self, name: &str) -> Result<S, ApiError> {
        self.segment(name).and_then(|text| text.parse().ok()).ok_or_else(|| self.not_found())
    }

    /// A channel named in the path in any of the ways it can be.
    pub(super) fn path_channel(&self) -> Result<ChannelName, ApiError> {
        self.segment("Sid").map(channel_name).ok_or_else(|| self.not_found())
    }

    /// The version in `If-Match`: `3`, `"3"` or `W/"3"`; none for `*`, which any version satisfies.
    pub(super) fn if_match(&self) -> Result<Option<u64>, ApiError> {
        self.if_match.as_deref().map_or(Ok(None), version)
    }

    /// Refuses a list filtered by an expression to somebody who asks for too many of them.
    pub(super) fn charge_expression_list(&self, route: &str) -> Result<(), ApiError> {
        charge(&self.state, Payer::ExpressionLists(self.place.account), route)
    }

    /// Adds a line about a reservation to the alert log, under one of Twilio's debugger codes.
    pub(super) async fn alert(&self, code: u32, message: &str, reservation: ReservationSid) {
        let at = self.state.clock.now();
        let alert = Alert {
            sid: AlertSid::fresh(&mut Entropy, at),
            account: self.place.account,
            workspace: Some(self.sid()),
            code,
            message: message.to_owned(),
            task: None,
            reservation: Some(reservation),
            worker: None,
            at,
        };
        // The client gets its answer all the same.
        if let Err(error) = self.state.store.alert(alert).await {
            tracing::error!(code, %error, "an alert could not be written");
        }
    }

    /// Carries out a command of the routing core.
    pub(super) async fn carry_out(&self, command: Command) -> Result<Reply, ApiError> {
        self.send(Request::Routing(command)).await
    }

    /// Asks the workspace in memory a short question.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Workspace) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let answer = self.state.engine.look(self.sid(), |workspace, _| question(workspace)).await;
        answer.map_err(|error| ApiError::of_engine(error, Some(&self.place), &self.path))
    }

    /// The same, told the moment.
    pub(super) async fn look_now<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Workspace, Timestamp) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let answer = self.state.engine.look(self.sid(), question).await;
        answer.map_err(|error| ApiError::of_engine(error, Some(&self.place), &self.path))
    }

    /// The answer to a question that the routing core refuses.
    pub(super) fn refused(&self, refusal: &Refusal) -> ApiError {
        ApiError::refused(refusal, Some(&self.place), &self.path)
    }

    /// Carries out any request; one that was carried out before has the same reply again.
    pub(super) async fn send(&self, request: Request) -> Result<Reply, ApiError> {
        if let Some(reply) = self.once.as_ref().and_then(Once::replied) {
            return Ok(reply);
        }
        let key = self.once.as_ref().map(Once::key);
        let reply = self.state.engine.send_once(self.sid(), request, key).await;
        let reply = reply.map_err(|error| self.engine_error(error))?;
        if let Some(once) = &self.once {
            once.note(reply);
        }
        Ok(reply)
    }

    /// Changes a workflow, once as well.
    pub(super) async fn update_workflow(&self, sid: WorkflowSid, update: WorkflowUpdate) -> Result<(), ApiError> {
        if self.once.as_ref().and_then(Once::replied).is_some() {
            return Ok(());
        }
        let key = self.once.as_ref().map(Once::key);
        let changed = self.state.engine.update_workflow(self.sid(), sid, update, key).await;
        changed.map_err(|error| self.engine_error(error))?;
        if let Some(once) = &self.once {
            once.note(Reply::Done);
        }
        Ok(())
    }

    /// The answer when the engine could not do what was asked.
    pub(super) fn engine_error(&self, error: engine::Error) -> ApiError {
        ApiError::of_engine(error, Some(&self.place), &self.path)
    }
}

fn version(text: &str) -> Result<Option<u64>, ApiError> {
    let text = text.trim();
    if text == "*" {
        return Ok(None);
    }
    let text = text.strip_prefix("W/").unwrap_or(text);
    let digits = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    // What is no version of ours matches none.
    digits.parse().map(Some).map_err(|_| ApiError::precondition_failed())
}

/// Reads a channel's SID, a worker channel's SID or a unique name.
pub(super) fn channel_name(text: &str) -> ChannelName {
    let task_channel = text.parse().map(ChannelName::Sid);
    let worker_channel = || text.parse().map(ChannelName::WorkerChannel);
    task_channel.or_else(|_| worker_channel()).unwrap_or_else(|_| ChannelName::Unique(text.to_owned()))
}

#[cfg(test)]
use crate::routing::AccountSid;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_every_form_clients_send() {
        for (text, expected) in
            [("3", Some(3)), ("\"3\"", Some(3)), ("W/\"3\"", Some(3)), (" 0 ", Some(0)), ("*", None)]
        {
            assert_eq!(version(text), Ok(expected), "{text}");
        }
        for text in ["", "\"\"", "abc", "-1", "\"3", "1,2"] {
            assert_eq!(version(text), Err(ApiError::precondition_failed()), "{text}");
        }
    }

    #[test]
    fn channels_are_named_in_three_ways() {
        let hex = "0123456789abcdef0123456789abcdef";
        assert!(matches!(channel_name(&format!("TC{hex}")), ChannelName::Sid(_)));
        assert!(matches!(channel_name(&format!("WC{hex}")), ChannelName::WorkerChannel(_)));
        assert_eq!(channel_name("voice"), ChannelName::Unique("voice".to_owned()));
    }
}
