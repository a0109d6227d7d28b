//! What the holder of a token may ask: the matrix of roles, or the `policies` of a capability token; the rest is denied.
//!
//! Rights over a single task that depend on who holds it are checked where the task is looked at ([`holds`]). Start with
//! [`check`].

use super::{Method, policies};
use crate::api::error::ApiError;
use crate::api::form::Parameters;
use crate::notify::channel::Channel;
use crate::notify::token::{Authority, Grant, Role};
use crate::routing::{TaskSid, WorkerSid, Workspace};

/// Where policies say that TaskRouter is.
const CANONICAL_API: &str = "https://taskrouter.twilio.com/v1";
/// Where policies say that the event bridge is.
const CANONICAL_BRIDGE: &str = "https://event-bridge.twilio.com/v1/wschannels";

/// Checks a request for `rest`, the path below the workspace.
pub(super) fn check(grant: &Grant, method: Method, rest: &[&str], parameters: &Parameters) -> Result<(), ApiError> {
    let allowed = match &grant.authority {
        Authority::Role(role) => role_allows(*role, grant.worker, method, rest, parameters),
        Authority::Policies(policies) => {
            let url = format!("{CANONICAL_API}/Workspaces/{}/{}", grant.workspace, rest.join("/"));
            policies::allow(policies, method, &url, parameters)
        }
    };
    if allowed { Ok(()) } else { Err(ApiError::forbidden("The token does not permit this request")) }
}

/// Whether the token may open a socket of the channel, or with `POST` send requests to it.
pub(super) fn may_use(grant: &Grant, method: Method, channel: Channel) -> bool {
    match &grant.authority {
        Authority::Role(_) => true,
        Authority::Policies(policies) => {
            let url = format!("{CANONICAL_BRIDGE}/{}/{channel}", grant.account);
            policies::allow(policies, method, &url, &Parameters::default())
        }
    }
}

/// Workers act for themselves; supervisors and administrators for others too.
fn role_allows(role: Role, own: Option<WorkerSid>, method: Method, rest: &[&str], parameters: &Parameters) -> bool {
    let is_own = |sid: &str| own.is_some_and(|own| sid.parse() == Ok(own));
    let leads = matches!(role, Role::Supervisor | Role::Admin);
    match (method, rest) {
        (Method::Get, ["Workers", worker, _, ..]) | (Method::Post, ["Workers", worker]) => is_own(worker) || leads,
        (Method::Get, _) => true,
        (Method::Post, ["Workers", worker, ..]) => is_own(worker),
        (Method::Post, ["Tasks"]) => parameters.filled("RoutingTarget").is_some_and(is_own),
        // Whether the worker holds the task is seen when the task is.
        (Method::Post, ["Tasks", _]) => own.is_some() || leads,
        (Method::Post, ["Tasks", _, "Reservations", _]) => leads && own.is_some(),
        (Method::Post | Method::Delete, _) => false,
    }
}

/// Whether the holder may change the task: leaders may, workers while they hold an open reservation of it.
pub(super) fn holds(grant: &Grant, workspace: &Workspace, task: TaskSid) -> bool {
    match &grant.authority {
        Authority::Policies(_) | Authority::Role(Role::Supervisor | Role::Admin) => true,
        Authority::Role(Role::Worker) => {
            let mut held = workspace.reservations_of_task(task);
            held.any(|row| row.status.is_open() && Some(row.worker) == grant.worker)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_act_for_themselves_and_leaders_for_others() {
        let (own, other) = (WorkerSid::from_bits(1), WorkerSid::from_bits(2));
        let (own_text, other_text) = (own.to_string(), other.to_string());
        let none = Parameters::default();
        let to_own = Parameters::of_pairs(vec![("RoutingTarget".to_owned(), own_text.clone())]);
        let check = |role, method, rest: &[&str], parameters: &Parameters| {
            role_allows(role, Some(own), method, rest, parameters)
        };
        for (method, rest, parameters, worker, supervisor) in [
            (Method::Get, vec!["Workers"], &none, true, true),
            (Method::Get, vec!["Workers", other_text.as_str()], &none, true, true),
            (Method::Get, vec!["Workers", other_text.as_str(), "Reservations"], &none, false, true),
            (Method::Post, vec!["Workers", own_text.as_str()], &none, true, true),
            (Method::Post, vec!["Workers", other_text.as_str()], &none, false, true),
            (Method::Post, vec!["Workers", other_text.as_str(), "Reservations", "WR1"], &none, false, false),
            (Method::Post, vec!["Tasks"], &none, false, false),
            (Method::Post, vec!["Tasks"], &to_own, true, true),
            (Method::Post, vec!["Tasks", "WT1", "Reservations", "WR1"], &none, false, true),
            (Method::Delete, vec!["Tasks", "WT1"], &none, false, false),
        ] {
            assert_eq!(check(Role::Worker, method, &rest, parameters), worker, "worker {rest:?}");
            assert_eq!(check(Role::Supervisor, method, &rest, parameters), supervisor, "supervisor {rest:?}");
        }
        assert!(!role_allows(Role::Worker, None, Method::Post, &["Workers", &own_text], &none));
    }
}
