//! What the holder of a token may ask: the matrix of roles and the policies of capability tokens; the rest is denied.
//!
//! Rights over a single task that depend on who holds it are checked where the task is looked at ([`holds`]). Start with
//! [`check`].

use serde_json::Value;

use super::Method;
use crate::api::error::ApiError;
use crate::api::form::Parameters;
use crate::notify::token::{Authority, Grant, Policy, Role};
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
            allowed(policies, method.as_str(), &url, parameters)
        }
    };
    if allowed { Ok(()) } else { Err(ApiError::forbidden("The token does not permit this request")) }
}

/// Whether the token may open a socket for its worker.
pub(super) fn may_connect(grant: &Grant, worker: WorkerSid) -> bool {
    match &grant.authority {
        Authority::Role(_) => true,
        Authority::Policies(policies) => {
            let url = format!("{CANONICAL_BRIDGE}/{}/{worker}", grant.account);
            allowed(policies, "GET", &url, &Parameters::default())
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

/// Whether some policy allows it; what none allows is denied.
fn allowed(policies: &[Policy], method: &str, url: &str, parameters: &Parameters) -> bool {
    policies.iter().any(|policy| {
        let filter = if method == "POST" { &policy.post_filter } else { &policy.query_filter };
        policy.allow
            && policy.method.eq_ignore_ascii_case(method)
            && url_matches(&policy.url, url)
            && filter_holds(filter, parameters)
    })
}

/// `*` stands for one segment, `**` for whatever follows, nothing included.
fn url_matches(pattern: &str, url: &str) -> bool {
    let mut segments = url.trim_end_matches('/').split('/');
    let mut patterns = pattern.trim_end_matches('/').split('/');
    loop {
        match (patterns.next(), segments.next()) {
            (Some("**"), _) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(pattern), Some(segment)) if pattern == segment => {}
            // A pattern may end in `/**` where nothing follows.
            (Some(pattern), None) => return pattern == "**",
            _ => return false,
        }
    }
}

/// Each name says whether the parameter must be there or may be there, or which value it must have.
fn filter_holds(filter: &Value, parameters: &Parameters) -> bool {
    let Value::Object(conditions) = filter else { return filter.is_null() };
    conditions.iter().all(|(name, condition)| match condition {
        Value::Object(condition) => {
            let required = condition.get("required").is_some_and(|required| required == &Value::Bool(true));
            !required || parameters.filled(name).is_some()
        }
        Value::String(value) => parameters.text(name) == Some(value),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_segment_by_segment() {
        for (pattern, url, expected) in [
            ("https://t/v1/a", "https://t/v1/a", true),
            ("https://t/v1/a", "https://t/v1/a/b", false),
            ("https://t/v1/*", "https://t/v1/a", true),
            ("https://t/v1/*", "https://t/v1/a/b", false),
            ("https://t/v1/**", "https://t/v1/a/b", true),
            ("https://t/v1/**", "https://t/v1", true),
            ("https://t/v1/*/b", "https://t/v1/a/b", true),
            ("https://t/v1/a*", "https://t/v1/ab", false),
            ("https://u/v1/**", "https://t/v1/a", false),
        ] {
            assert_eq!(url_matches(pattern, url), expected, "{pattern} {url}");
        }
    }

    #[test]
    fn what_no_policy_allows_is_denied() {
        let policy = |text: &str| serde_json::from_str::<Policy>(text).unwrap();
        let set = policy(
            r#"{"url":"https://t/w","method":"POST","allow":true,"post_filter":{"ActivitySid":{"required":true}}}"#,
        );
        let deny = policy(r#"{"url":"https://t/x","method":"GET","allow":false}"#);
        let policies = [set, deny];
        let of = |text: &str| Parameters::parse(text.as_bytes());
        assert!(allowed(&policies, "POST", "https://t/w", &of("ActivitySid=WA1")));
        assert!(!allowed(&policies, "POST", "https://t/w", &of("Attributes={}")));
        assert!(!allowed(&policies, "GET", "https://t/w", &of("ActivitySid=WA1")));
        assert!(!allowed(&policies, "GET", "https://t/x", &of("")));
        assert!(!allowed(&[], "GET", "https://t/w", &of("")));
    }

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
