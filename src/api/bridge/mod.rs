//! The agents' side of the API: the socket, and the requests that the SDK sends beside it (agent-sdk.md 3 and 4).
//!
//! A request names a method and a path of TaskRouter in a JSON envelope, with the token in it; answers have the shapes of
//! `notify::shapes`. What it changes it changes by the same commands as REST. The first SDK has paths of its own (`first`).
//! Start with [`ask`] and `open`.

mod envelope;
mod first;
mod lists;
mod open;
mod policies;
mod reservations;
mod rights;
mod tasks;
mod transfers;
mod workers;

use axum::body::Body;
use axum::extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::State;
use super::auth::charge;
use super::error::ApiError;
use super::form::Parameters;
use super::json::answer;
use super::links::Place;
use super::rates::Payer;
use super::scope::Scope;
use crate::notify::token::{self, Grant, Unverified};
use crate::routing::{AccountSid, ApiKeySid, Timestamp, WorkerSid, Workspace};

pub(super) use first::{Rest, ask as ask_first};
pub(super) use open::{open, open_first};
pub use rights::LockedAttributes;

/// The methods that TaskRouter's paths have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Post,
    Delete,
}

/// A request of an agent's browser, its token verified.
struct Asked {
    scope: Scope,
    grant: Grant,
    method: Method,
    parameters: Parameters,
}

/// `POST /v1/wschannels`
pub(super) async fn ask(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let envelope = envelope::read(body).await?;
    let grant = verified(&state, &envelope.token).await?;
    charge(&state, Payer::Agent(grant.workspace, grant.worker), "/v1/wschannels")?;
    let path = relative(&envelope.url);
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let method = read_method(envelope.method.as_deref())?;
    let shown = format!("/{}", segments.join("/"));
    let [first, workspace, rest @ ..] = segments.as_slice() else { return Err(ApiError::not_found(&shown)) };
    if *first != "Workspaces" {
        return Err(ApiError::not_found(&shown));
    }
    if *workspace != grant.workspace.to_string() {
        return Err(ApiError::forbidden("The token is for another workspace"));
    }
    let parameters = Parameters::of_pairs(envelope.params.unwrap_or_default().into_pairs());
    let row = state.store.workspace(grant.account, grant.workspace).await?;
    let row = row.ok_or_else(|| ApiError::not_found(&shown))?;
    let base = format!("{}/v1", state.public_url.base(&headers));
    let place = Place { base, account: grant.account, workspace: grant.workspace };
    let if_match = headers.get("if-match").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let if_match = if_match.filter(|_| is_own_version(rest, grant.worker));
    let scope = Scope::within(state, place, row, shown, if_match);
    let asked = Asked { scope, grant, method, parameters };
    let payload = asked.carry_out(rest).await?;
    Ok(answer(StatusCode::OK, &json!({ "payload": payload })))
}

fn read_method(text: Option<&str>) -> Result<Method, ApiError> {
    match text.unwrap_or("GET") {
        method if method.eq_ignore_ascii_case("GET") => Ok(Method::Get),
        method if method.eq_ignore_ascii_case("POST") => Ok(Method::Post),
        method if method.eq_ignore_ascii_case("DELETE") => Ok(Method::Delete),
        _ => Err(ApiError::invalid("Invalid method: expected GET, POST or DELETE")),
    }
}

/// The grant of a token whose signature, times and workspace are right.
async fn verified(state: &State, token: &str) -> Result<Grant, ApiError> {
    let token = Unverified::read(token).map_err(ApiError::of_token)?;
    let issuer = token.issuer().to_owned();
    let invalid = || ApiError::of_token(token::Error::Invalid);
    // API keys sign access tokens, accounts sign capability tokens.
    let (account, secret) = if let Ok(sid) = issuer.parse::<ApiKeySid>() {
        let key = state.store.api_key(sid).await?.ok_or_else(invalid)?;
        (key.account, key.secret)
    } else {
        let sid: AccountSid = issuer.parse().map_err(|_| invalid())?;
        (sid, state.store.account(sid).await?.ok_or_else(invalid)?.auth_token)
    };
    token.verify(secret.expose_secret().as_bytes(), account, state.clock.now()).map_err(ApiError::of_token)
}

/// The supervisor's SDK sends the version of its own worker with changes of others, so that it means nothing there.
fn is_own_version(rest: &[&str], own: Option<WorkerSid>) -> bool {
    match rest {
        ["Workers", worker] => own.is_some_and(|own| own.to_string() == *worker),
        _ => true,
    }
}

/// The path below `/v1/`, from a relative or an absolute URL; separators of Windows count too.
fn relative(url: &str) -> String {
    let url = url.replace('\\', "/");
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => url.as_str(),
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    path.strip_prefix("v1/").unwrap_or(path).to_owned()
}

impl Method {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

impl Asked {
    /// Finds what the path below the workspace means.
    async fn carry_out(&self, rest: &[&str]) -> Result<Value, ApiError> {
        let locked = self.scope.state.locked_attributes.of(self.grant.workspace);
        rights::check(&self.grant, self.method, rest, &self.parameters, locked)?;
        match (self.method, rest) {
            (Method::Get, ["Activities"]) => self.activities().await,
            (Method::Get, ["Workers"]) => self.workers().await,
            (Method::Get, ["Workers", worker]) => self.worker(self.sid(worker)?).await,
            (Method::Post, ["Workers", worker]) => self.update_worker(self.sid(worker)?).await,
            (Method::Get, ["Workers", worker, "WorkerChannels" | "Channels"]) => {
                self.worker_channels(self.sid(worker)?).await
            }
            (Method::Get, ["Workers", worker, "Reservations"]) => self.reservations(self.sid(worker)?).await,
            (Method::Get, ["Workers", worker, "Reservations", reservation]) => {
                self.reservation(self.sid(worker)?, self.sid(reservation)?).await
            }
            (Method::Post, ["Workers", worker, "Reservations", reservation]) => {
                self.update_reservation(self.sid(worker)?, self.sid(reservation)?).await
            }
            (Method::Post, ["Workers", worker, "Transfers"]) => self.transfer(self.sid(worker)?).await,
            (Method::Post, ["Workers", worker, "Transfers", transfer]) => {
                self.update_transfer(self.sid(worker)?, self.sid(transfer)?).await
            }
            (
                Method::Post,
                [
                    "Workers",
                    worker,
                    operation @ ("WorkerParticipant"
                    | "CustomerParticipant"
                    | "HoldWorkerParticipant"
                    | "KickWorkerParticipant"),
                ],
            ) => self.participant(self.sid(worker)?, operation).await,
            (Method::Post, ["Tasks"]) => self.create_task().await,
            (Method::Get, ["Tasks", task]) => self.task(self.sid(task)?).await,
            (Method::Post, ["Tasks", task]) => self.update_task(self.sid(task)?).await,
            (Method::Post, ["Tasks", task, "Reservations", reservation]) => {
                self.supervise(self.sid(task)?, self.sid(reservation)?).await
            }
            (Method::Get, ["TaskQueues"]) => self.task_queues().await,
            (Method::Get, ["TaskQueues", queue]) => self.task_queue(self.sid(queue)?).await,
            _ => Err(self.scope.not_found()),
        }
    }

    /// A SID of the path.
    fn sid<S: std::str::FromStr>(&self, text: &str) -> Result<S, ApiError> {
        text.parse().map_err(|_| self.scope.not_found())
    }

    /// Looks at the workspace in memory; not found when there is nothing to show.
    async fn see<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Workspace, Timestamp) -> Option<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let engine = &self.scope.state.engine;
        let seen = engine.look(self.scope.sid(), look).await;
        let seen = seen.map_err(|error| ApiError::of_engine(error, Some(&self.scope.place), self.scope.path()))?;
        self.scope.found(seen)
    }
}
