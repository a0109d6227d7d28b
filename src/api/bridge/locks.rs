//! Attributes that agents cannot change themselves, where an operator has locked them (`agents.locked_attributes`): an address to dial or
//! a skill says what a worker may get, so some do not want it to be said by the worker.
//!
//! Start with [`check`].

use serde_json::Value;

use super::Method;
use crate::api::State;
use crate::api::error::ApiError;
use crate::api::form::Parameters;
use crate::notify::token::{Authority, Grant, Role};
use crate::routing::WorkerSid;

/// Refuses a change of locked attributes by a token of the worker; those who lead may change them.
pub(super) async fn check(
    state: &State,
    grant: &Grant,
    method: Method,
    rest: &[&str],
    parameters: &Parameters,
) -> Result<(), ApiError> {
    let locked = state.locks.of(grant.workspace);
    let leads = matches!(grant.authority, Authority::Role(Role::Supervisor | Role::Admin));
    let (Method::Post, ["Workers", worker], false, false) = (method, rest, leads, locked.is_empty()) else {
        return Ok(());
    };
    let (Ok(worker), Some(after)) = (worker.parse::<WorkerSid>(), parameters.attributes("Attributes")?) else {
        return Ok(());
    };
    let attributes = state
        .engine
        .look(grant.workspace, move |workspace, _| workspace.worker(worker).map(|row| row.attributes.clone()));
    // What does not exist is refused by whoever changes it.
    let Ok(Some(before)) = attributes.await else { return Ok(()) };
    match first_changed(locked, &before, &after) {
        Some(name) => Err(ApiError::forbidden(format!("The attribute {name} is locked"))),
        None => Ok(()),
    }
}

/// The first of these attributes that differ between two texts of attributes.
fn first_changed<'a>(names: &'a [String], before: &str, after: &str) -> Option<&'a str> {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let (before, after) = (read(before), read(after));
    let changed = |name: &&String| value(&before, name) != value(&after, name);
    names.iter().find(changed).map(String::as_str)
}

fn value<'a>(attributes: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(attributes, |inside, part| inside.get(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_attribute_is_neither_changed_nor_added_nor_removed() {
        let locked = ["contact_uri".to_owned(), "routing.skills".to_owned()];
        let before = r#"{"contact_uri":"client:a","routing":{"skills":["x"],"levels":{"x":1}},"name":"A"}"#;
        for (after, expected) in [
            (r#"{"name":"B","routing":{"levels":{"x":2},"skills":["x"]},"contact_uri":"client:a"}"#, None),
            (r#"{"contact_uri":"client:b","routing":{"skills":["x"]}}"#, Some("contact_uri")),
            (r#"{"routing":{"skills":["x"]}}"#, Some("contact_uri")),
            (r#"{"contact_uri":"client:a","routing":{"skills":["x","y"]}}"#, Some("routing.skills")),
            (r#"{"contact_uri":"client:a","routing":[]}"#, Some("routing.skills")),
            (r#"{"contact_uri":"client:a"}"#, Some("routing.skills")),
        ] {
            assert_eq!(first_changed(&locked, before, after), expected, "{after}");
        }
        assert_eq!(first_changed(&locked, "{}", r#"{"name":"A"}"#), None);
        assert_eq!(first_changed(&locked, "{}", r#"{"contact_uri":"client:a"}"#), Some("contact_uri"));
    }
}
