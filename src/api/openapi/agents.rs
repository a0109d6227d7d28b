//! What the agents' SDK asks: its socket, and the requests beside it. A token takes the place of credentials.

use serde_json::json;

use super::operation::Operation;
use super::schema::{object, text};

const TAG: &str = "Agents";
const PATH: &str = "/v1/wschannels";

pub(super) fn operations() -> Vec<Operation> {
    let of = |method, id, summary| {
        let operation = Operation::new(method, id, PATH, TAG, summary).open().with_json_errors();
        [400, 401, 403, 429, 503].into_iter().fold(operation, Operation::error)
    };
    let envelope = json!({
        "type": "object",
        "required": ["url", "token"],
        "properties": {
            "url": { "type": "string", "description": "a path of TaskRouter below `/v1`, without a leading slash" },
            "method": { "enum": ["GET", "POST", "DELETE"] },
            "params": { "type": "object" },
            "token": { "type": "string", "description": "access token or capability token" },
        },
    });
    let payload = object([("payload", json!({ "type": "object" }))]);
    vec![
        of("GET", "OpenAgentSocket", "Opens the socket that tells an agent's browser of events")
            .query("token", text())
            .query("closeExistingSessions", text())
            .query("clientVersion", text())
            .query("setWorkerOfflineIfDisconnected", text())
            .query("disconnectActivitySid", text())
            .answers(101, "the socket is open", None),
        of("POST", "AskAsAgent", "A request of the SDK: method, path, parameters and token in one object")
            .json(envelope)
            .answers(200, "what was asked for", Some(("application/json", payload)))
            .error(404)
            .error(412)
            .error(413),
    ]
}
