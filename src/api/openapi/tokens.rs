//! Tokens for agents' browsers.

use serde_json::Value;

use super::WORKSPACE_PATH;
use super::operation::Operation;
use super::schema::{component, constant, date, integer, nullable, object, own_sid, sid, text, words};
use crate::api::tokens::{KINDS, ROLES};
use crate::notify::token::LIFETIME_SECS_MAX;

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let token = object([
        ("account_sid", own_sid("AC")),
        ("workspace_sid", own_sid("WS")),
        ("worker_sid", own_sid("WK")),
        ("kind", constant(&KINDS)),
        ("role", nullable(text())),
        ("token", text()),
        ("date_expires", date()),
    ]);
    vec![("AgentToken", token)]
}

pub(super) fn operations() -> Vec<Operation> {
    let path = format!("{WORKSPACE_PATH}/Tokens");
    let operation = Operation::new("POST", "CreateToken", &path, "AgentToken", "Makes a token for an agent's browser")
        .with_json_errors()
        .answers(201, "shown once", Some(("application/json", component("AgentToken"))));
    let operation = [400, 401, 404, 413, 429, 503].into_iter().fold(operation, Operation::error);
    vec![
        operation
            .field("Kind", words(&KINDS))
            .required("WorkerSid", sid("WK"))
            .field("Role", words(&ROLES))
            .field("KeySid", sid("SK"))
            .field("Lifetime", integer(1..=LIFETIME_SECS_MAX)),
    ]
}
