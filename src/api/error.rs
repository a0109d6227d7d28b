//! Errors as Twilio answers them: the one place where its codes and messages appear.
//!
//! Some clients match on the messages, so those that real answers are known to have are kept word for word. Internal
//! failures are logged here and answered without detail. Start with [`ApiError::refused`].

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::json::answer;
use super::links::Place;
use crate::routing::Refusal;
use crate::{engine, store};

/// Credentials are missing or wrong.
const AUTHENTICATE: u32 = 20003;

/// An answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: u32,
    pub(super) message: String,
}

impl ApiError {
    fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// A parameter or a state that is not allowed.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 20001, message)
    }

    /// A parameter that must be there and is not.
    pub(super) fn missing(parameter: &str) -> Self {
        Self::invalid(format!("{parameter} field is required"))
    }

    /// Statistics and events are kept for 30 days.
    pub(super) fn too_long_ago() -> Self {
        Self::new(StatusCode::BAD_REQUEST, 14241, "StartDate is older than 30 days")
    }

    /// Credentials are missing or wrong.
    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, AUTHENTICATE, "Authenticate")
    }

    /// The token's role or policies do not allow it.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, 20403, message)
    }

    /// The token is not taken; one whose time is over is told apart, because its holder can get a new one.
    pub(super) fn of_token(error: crate::notify::token::Error) -> Self {
        let (status, code) = match error {
            crate::notify::token::Error::Expired => (StatusCode::UNAUTHORIZED, 20104),
            crate::notify::token::Error::Invalid => (StatusCode::FORBIDDEN, 20101),
            crate::notify::token::Error::Early => (StatusCode::FORBIDDEN, 20105),
        };
        Self::new(status, code, error.to_string())
    }

    /// An API key was used where only the account's auth token does. Twilio's own answer, which knows the keys' user
    /// names as invalid there.
    pub(super) fn needs_auth_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, AUTHENTICATE, "Authentication Error - invalid username")
    }

    /// Nothing is at `path` (without `/v1`).
    pub(super) fn not_found(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, 20404, format!("The requested resource {path} was not found"))
    }

    /// `If-Match` names another version.
    pub(super) fn precondition_failed() -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, 20412, "Precondition failed")
    }

    /// The body is longer than the limit of the path.
    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, 20413, format!("The request body is larger than {limit} bytes"))
    }

    /// Our fault; the log has the reason.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, 20500, "Internal server error")
    }

    /// More than there is room for.
    pub(super) fn too_many(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, 20429, message)
    }

    pub(super) fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, 20503, "Service unavailable")
    }

    /// What the engine's error means for a request to `path`, in a workspace unless it was to make one.
    pub(super) fn of_engine(error: engine::Error, place: Option<&Place>, path: &str) -> Self {
        match error {
            engine::Error::Refused(refusal) => Self::refused(&refusal, place, path),
            engine::Error::NoSuchWorkspace => Self::not_found(path),
            engine::Error::Overloaded => Self::new(StatusCode::TOO_MANY_REQUESTS, 20429, "Too Many Requests"),
            engine::Error::Unavailable => Self::unavailable(),
        }
    }

    /// What a refusal means for a request to `path`, in a workspace unless it was to make one.
    pub(super) fn refused(refusal: &Refusal, place: Option<&Place>, path: &str) -> Self {
        let scope = place.map_or_else(
            || "the new workspace".to_owned(),
            |place| format!("workspace {} for account {}", place.workspace, place.account),
        );
        match refusal {
            Refusal::NotFound => Self::not_found(path),
            Refusal::VersionMismatch { .. } => Self::precondition_failed(),
            Refusal::Missing { parameter } => Self::missing(parameter),
            Refusal::Invalid { parameter, reason } => Self::invalid(format!("Invalid {parameter}: {reason}")),
            Refusal::QueueNameTaken { name } => Self::invalid(format!("Queue named {name} already exists for {scope}")),
            Refusal::NameTaken { kind, name } => {
                Self::invalid(format!("{kind} named {name} already exists for {scope}"))
            }
            Refusal::InUse { reason } => Self::invalid(format!("Cannot delete {path}: {reason}")),
            Refusal::NotCancelable(task) => {
                Self::invalid(format!("Cannot cancel task {task} in {scope} because it is not pending or reserved."))
            }
            Refusal::NotWrappable(task) => {
                Self::invalid(format!("Cannot wrap up a task {task} in {scope} because it's not currently assigned"))
            }
            Refusal::NotCompletable(task) => {
                Self::invalid(format!("Cannot complete task {task} in {scope} because it is not currently assigned."))
            }
            Refusal::DestinationNotAllowed { parameter, code, reason } => {
                Self::new(StatusCode::BAD_REQUEST, *code, format!("Invalid {parameter}: {reason}"))
            }
            Refusal::TooManyLegs { reason } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, 20429, format!("Too Many Requests: {reason}"))
            }
            Refusal::ReservationRescinded(_) => Self::new(StatusCode::GONE, 20410, refusal.to_string()),
            Refusal::UnknownReference { .. }
            | Refusal::WorkerNameTaken
            | Refusal::MultiTaskingStays
            | Refusal::NoMatchingTarget
            | Refusal::NotTransferable(_)
            | Refusal::TransferOver { .. }
            | Refusal::StatusNotSettable { .. }
            | Refusal::ReservationInState { .. }
            | Refusal::InstructionNotPending { .. }
            | Refusal::RejectPendingNeedsUnavailable
            | Refusal::LimitReached { .. }
            | Refusal::VoiceQueueFull { .. } => Self::invalid(capitalized(&refusal.to_string())),
        }
    }
}

fn capitalized(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "the store could not be read");
        match error {
            store::Error::Busy | store::Error::Unavailable(_) => Self::unavailable(),
            _ => Self::internal(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({
            "code": self.code,
            "message": self.message,
            "more_info": format!("https://www.twilio.com/docs/errors/{}", self.code),
            "status": self.status.as_u16(),
        });
        let mut response = answer(self.status, &body);
        // Both pass: every bucket gets something within a second, and workspaces are loaded again at once.
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // Not where a token has expired: browsers would ask their user for a password.
        if self.status == StatusCode::UNAUTHORIZED && self.code == AUTHENTICATE {
            let challenge = HeaderValue::from_static("Basic realm=\"Twilio API\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Answers for paths that do not exist.
pub(super) async fn unknown_path(uri: Uri) -> ApiError {
    ApiError::not_found(uri.path())
}

/// Answers for methods that a path does not have.
pub(super) async fn unknown_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, 20004, "Method not allowed")
}
