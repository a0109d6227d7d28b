//! What the holder of a token may ask: the matrix of roles, or the `policies` of a capability token; the rest is denied.
//!
//! Rights over a single task that depend on who holds it are checked where the task is looked at ([`holds`]). Start with
//! [`check`].

use std::collections::BTreeSet;

use super::{Method, policies};
use crate::api::error::ApiError;
use crate::api::form::Parameters;
use crate::notify::channel::Channel;
use crate::notify::token::{Authority, Grant, Role};
use crate::routing::{TaskSid, WorkerSid, Workspace, WorkspaceSid};

/// Where policies say that TaskRouter is.
const CANONICAL_API: &str = "https://taskrouter.twilio.com/v1";
/// Where policies say that the event bridge is.
const CANONICAL_BRIDGE: &str = "https://event-bridge.twilio.com/v1/wschannels";

/// What workers' own tokens may not change of their worker, where an operator wants it so: attributes may say which tasks a
/// worker gets and which number is dialled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LockedAttributes {
    /// Of no worker.
    #[default]
    Nowhere,
    /// Of workers of these workspaces.
    In(BTreeSet<WorkspaceSid>),
    /// Of all workers.
    Everywhere,
}

impl LockedAttributes {
    /// Whether those of a workspace's workers are.
    #[must_use]
    pub fn of(&self, workspace: WorkspaceSid) -> bool {
        match self {
            Self::Nowhere => false,
            Self::In(workspaces) => workspaces.contains(&workspace),
            Self::Everywhere => true,
        }
    }
}

/// Checks a request for `rest`, the path below the workspace; `locked`: workers may not change their own attributes.
pub(super) fn check(
    grant: &Grant,
    method: Method,
    rest: &[&str],
    parameters: &Parameters,
    locked: bool,
) -> Result<(), ApiError> {
    let allowed = match &grant.authority {
        Authority::Role(role) => role_allows(*role, grant.worker, method, rest, parameters),
        Authority::Policies(policies) => {
            let url = format!("{CANONICAL_API}/Workspaces/{}/{}", grant.workspace, rest.join("/"));
            policies::allow(policies, method, &url, parameters)
        }
    };
    if locked && changes_own_attributes(grant, method, rest, parameters) {
        return Err(ApiError::forbidden("Workers do not change their own attributes here"));
    }
    if allowed { Ok(()) } else { Err(ApiError::forbidden("The token does not permit this request")) }
}

/// Whether a worker, who leads nobody, changes what is said of the worker.
fn changes_own_attributes(grant: &Grant, method: Method, rest: &[&str], parameters: &Parameters) -> bool {
    let leads = matches!(grant.authority, Authority::Role(Role::Supervisor | Role::Admin));
    match (method, rest) {
        (Method::Post, ["Workers", worker]) => {
            let is_own = grant.worker.is_some_and(|own| worker.parse() == Ok(own));
            is_own && !leads && parameters.text("Attributes").is_some()
        }
        _ => false,
    }
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

/// Parameters by which REST changes a worker that no role's SDK sends.
const NOT_OF_WORKERS: &[&str] = &["FriendlyName"];
/// The same of a task, for workers.
const NOT_OF_TASKS: &[&str] = &["Priority", "TaskChannel"];
/// What a worker makes of a task (`Task.complete`, `Task.wrapUp`).
const STATUSES_OF_TASKS: &[&str] = &["completed", "wrapping"];

/// Workers act for themselves; supervisors and administrators for others too. Nobody changes what the SDK has no way of
/// changing (agent-sdk.md 4.6): parameters of REST are not all the agents'.
fn role_allows(role: Role, own: Option<WorkerSid>, method: Method, rest: &[&str], parameters: &Parameters) -> bool {
    let is_own = |sid: &str| own.is_some_and(|own| sid.parse() == Ok(own));
    let leads = matches!(role, Role::Supervisor | Role::Admin);
    let leaves = |names: &[&str]| names.iter().all(|name| parameters.text(name).is_none());
    let supervises = parameters.filled("Instruction").is_some_and(|word| word.eq_ignore_ascii_case("supervise"));
    match (method, rest) {
        (Method::Get, ["Workers", worker, _, ..]) => is_own(worker) || leads,
        (Method::Get, _) => true,
        (Method::Post, ["Workers", worker]) => (is_own(worker) || leads) && leaves(NOT_OF_WORKERS),
        (Method::Post, ["Workers", worker, ..]) => is_own(worker) && (leads || !supervises),
        (Method::Post, ["Tasks"]) => parameters.filled("RoutingTarget").is_some_and(is_own),
        // Whether the worker holds the task is seen when the task is.
        (Method::Post, ["Tasks", _]) if leads => true,
        (Method::Post, ["Tasks", _]) => {
            let status = parameters.filled("AssignmentStatus");
            let is_usual = |word: &str| STATUSES_OF_TASKS.iter().any(|usual| usual.eq_ignore_ascii_case(word));
            own.is_some() && leaves(NOT_OF_TASKS) && status.is_none_or(is_usual)
        }
        // Nobody is made to join whom the token is not for.
        (Method::Post, ["Tasks", _, "Reservations", _]) => {
            leads && own.is_some() && supervises && parameters.filled("Supervisor").is_none_or(is_own)
        }
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
    use crate::notify::token::Policy;
    use crate::routing::{AccountSid, Timestamp};

    /// Who may: `-` nobody, `l` leaders, `w` workers as well.
    #[test]
    fn workers_act_for_themselves_and_leaders_for_others() {
        let (own, other) = (WorkerSid::from_bits(1), WorkerSid::from_bits(2));
        for (method, path, form, expected) in [
            (Method::Get, "Workers", "", 'w'),
            (Method::Get, "Activities", "", 'w'),
            (Method::Get, "TaskQueues/WQ1", "", 'w'),
            (Method::Get, "Tasks/WT1", "", 'w'),
            (Method::Get, "Workers/other", "", 'w'),
            (Method::Get, "Workers/own/Reservations", "", 'w'),
            (Method::Get, "Workers/other/Reservations", "", 'l'),
            (Method::Get, "Workers/other/WorkerChannels", "", 'l'),
            (Method::Post, "Workers/own", "ActivitySid=WA1&RejectPendingReservations=true", 'w'),
            (Method::Post, "Workers/own", "Attributes={}", 'w'),
            (Method::Post, "Workers/own", "FriendlyName=boss", '-'),
            (Method::Post, "Workers/own", "ActivitySid=WA1&FriendlyName=boss", '-'),
            (Method::Post, "Workers/other", "ActivitySid=WA1", 'l'),
            (Method::Post, "Workers/other", "Attributes={}", 'l'),
            (Method::Post, "Workers/other", "FriendlyName=boss", '-'),
            (Method::Post, "Workers", "FriendlyName=new", '-'),
            (Method::Post, "Workers/own/Reservations/WR1", "ReservationStatus=accepted", 'w'),
            (Method::Post, "Workers/own/Reservations/WR1", "Instruction=conference", 'w'),
            (Method::Post, "Workers/own/Reservations/WR1", "Instruction=Supervise&Supervisor=own", 'l'),
            (Method::Post, "Workers/other/Reservations/WR1", "ReservationStatus=accepted", '-'),
            (Method::Post, "Workers/own/Transfers", "To=WK2", 'w'),
            (Method::Post, "Workers/own/HoldWorkerParticipant", "Hold=true", 'w'),
            (Method::Post, "Workers/other/KickWorkerParticipant", "", '-'),
            (Method::Post, "Tasks", "", '-'),
            (Method::Post, "Tasks", "RoutingTarget=other", '-'),
            (Method::Post, "Tasks", "RoutingTarget=own", 'w'),
            (Method::Post, "Tasks/WT1", "AssignmentStatus=completed&Reason=done", 'w'),
            (Method::Post, "Tasks/WT1", "AssignmentStatus=wrapping", 'w'),
            (Method::Post, "Tasks/WT1", "Attributes={}", 'w'),
            (Method::Post, "Tasks/WT1", "VirtualStartTime=2026-01-01T00:00:00Z", 'w'),
            (Method::Post, "Tasks/WT1", "AssignmentStatus=canceled", 'l'),
            (Method::Post, "Tasks/WT1", "Priority=100", 'l'),
            (Method::Post, "Tasks/WT1", "TaskChannel=voice", 'l'),
            (Method::Post, "Tasks/WT1/Reservations/WR1", "Instruction=supervise&Supervisor=own", 'l'),
            (Method::Post, "Tasks/WT1/Reservations/WR1", "Instruction=supervise&Supervisor=other", '-'),
            (Method::Post, "Tasks/WT1/Reservations/WR1", "ReservationStatus=accepted", '-'),
            (Method::Post, "TaskQueues/WQ1", "", '-'),
            (Method::Post, "Activities", "", '-'),
            (Method::Delete, "Tasks/WT1", "", '-'),
            (Method::Delete, "Workers/own", "", '-'),
        ] {
            let named = |text: &str| text.replace("own", &own.to_string()).replace("other", &other.to_string());
            let (path, form) = (named(path), Parameters::parse(named(form).as_bytes()));
            let rest: Vec<&str> = path.split('/').collect();
            let may = |role| role_allows(role, Some(own), method, &rest, &form);
            let found = [Role::Worker, Role::Supervisor, Role::Admin].map(may);
            let expected = [expected == 'w', expected != '-', expected != '-'];
            assert_eq!(found, expected, "{method:?} {path} {form:?}");
        }
        let none = Parameters::default();
        assert!(!role_allows(Role::Worker, None, Method::Post, &["Workers", &own.to_string()], &none));
        assert!(!role_allows(Role::Worker, None, Method::Post, &["Tasks", "WT1"], &none));
        assert!(role_allows(Role::Admin, None, Method::Post, &["Workers", &own.to_string()], &none));
    }

    #[test]
    fn locked_attributes_are_for_leaders_to_change() {
        let (workspace, own) = (WorkspaceSid::from_bits(1), WorkerSid::from_bits(1));
        let everything = Policy {
            url: format!("{CANONICAL_API}/Workspaces/{workspace}/**"),
            method: "POST".to_owned(),
            allow: true,
            query_filter: serde_json::Value::Null,
            post_filter: serde_json::Value::Null,
        };
        for (authority, form, locked, expected) in [
            (Authority::Role(Role::Worker), "Attributes={}", false, true),
            (Authority::Role(Role::Worker), "Attributes={}", true, false),
            (Authority::Role(Role::Worker), "ActivitySid=WA1", true, true),
            (Authority::Role(Role::Supervisor), "Attributes={}", true, true),
            (Authority::Policies(vec![everything.clone()]), "Attributes={}", false, true),
            (Authority::Policies(vec![everything]), "Attributes={}", true, false),
        ] {
            let grant = Grant {
                account: AccountSid::from_bits(1),
                workspace,
                worker: Some(own),
                channel: None,
                authority,
                key: None,
                expires_at: Timestamp(0),
            };
            let form = Parameters::parse(form.as_bytes());
            let found = check(&grant, Method::Post, &["Workers", &own.to_string()], &form, locked).is_ok();
            assert_eq!(found, expected, "{grant:?} {form:?} {locked}");
        }
        let other = WorkspaceSid::from_bits(2);
        for (locked, expected) in [
            (LockedAttributes::Nowhere, [false, false]),
            (LockedAttributes::In([workspace].into()), [true, false]),
            (LockedAttributes::Everywhere, [true, true]),
        ] {
            assert_eq!([workspace, other].map(|workspace| locked.of(workspace)), expected, "{locked:?}");
        }
    }
}
