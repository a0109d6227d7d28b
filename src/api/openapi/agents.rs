//! What the agents' SDK asks: its socket, and the requests beside it. A token takes the place of credentials.

use serde_json::{Value, json};

use super::operation::Operation;
use super::schema::{object, text};

const TAG: &str = "Agents";
const PATH: &str = "/v1/wschannels";
const FIRST_PATH: &str = "/v1/wschannels/{AccountSid}/{Channel}";

pub(super) fn operations() -> Vec<Operation> {
    let of = |path, method, id, summary| {
        let operation = Operation::new(method, id, path, TAG, summary).open().with_json_errors();
        [400, 401, 403, 429, 503].into_iter().fold(operation, Operation::error)
    };
    let envelope = |url: &str, event_type: Option<Value>| {
        let mut schema = json!({
            "type": "object",
            "required": ["url", "token"],
            "properties": {
                "url": { "type": "string", "description": url },
                "method": { "enum": ["GET", "POST", "DELETE"] },
                "params": { "type": "object" },
                "token": { "type": "string", "description": "access token or capability token" },
            },
        });
        if let Some(event_type) = event_type {
            schema["properties"]["event_type"] = event_type;
            schema["properties"]["token"]["description"] = json!("capability token of this channel");
        }
        schema
    };
    let payload = object([("payload", json!({ "type": "object" }))]);
    let first_payload = json!({
        "type": "object",
        "required": ["payload"],
        "properties": {
            "event_type": { "type": "string", "description": "that of the request" },
            "payload": { "type": ["object", "null"], "description": "what REST answers" },
        },
    });
    let relative = "a path of TaskRouter below `/v1`, without a leading slash";
    let absolute = "an address of REST, at Twilio or here";
    let echoed = json!({ "type": "string", "description": "comes back in the answer" });
    vec![
        of(PATH, "GET", "OpenAgentSocket", "Opens the socket that tells an agent's browser of events")
            .query("token", text())
            .query("closeExistingSessions", text())
            .query("clientVersion", text())
            .query("setWorkerOfflineIfDisconnected", text())
            .query("disconnectActivitySid", text())
            .answers(101, "the socket is open", None),
        of(PATH, "POST", "AskAsAgent", "A request of the SDK: method, path, parameters and token in one object")
            .json(envelope(relative, None))
            .answers(200, "what was asked for", Some(("application/json", payload)))
            .error(404)
            .error(412)
            .error(413),
        of(FIRST_PATH, "GET", "OpenFirstAgentSocket", "The same socket for the first SDK, TaskRouter.js v1")
            .query("token", text())
            .query("closeExistingSessions", text())
            .query("disconnectActivitySid", text())
            .answers(101, "the socket is open", None)
            .error(404),
        of(FIRST_PATH, "POST", "AskAsFirstAgent", "A request of REST by the first SDK, in one object with its token")
            .json(envelope(absolute, Some(echoed)))
            .answers(
                200,
                "what REST answers, whatever its status of success",
                Some(("application/json", first_payload)),
            )
            .error(404)
            .error(410)
            .error(413),
    ]
}
