//! Health, metrics, and the description itself.

use serde_json::json;

use super::operation::Operation;
use super::schema::text;

const TAG: &str = "Operations";

pub(super) fn operations() -> Vec<Operation> {
    let plain = || Some(("text/plain", text()));
    let get = |id, path, summary| Operation::new("GET", id, path, TAG, summary).open();
    vec![
        get("FetchLiveness", "/livez", "Whether the process turns").answers(200, "it does", plain()),
        get("FetchReadiness", "/readyz", "Whether requests can be served").answers(200, "they can", plain()).error(503),
        get("FetchMetrics", "/metrics", "Figures for Prometheus; to this machine only unless the settings say so")
            .answers(200, "the figures", plain())
            .error(403)
            .error(404),
        get("FetchDescription", "/openapi.json", "This document").answers(
            200,
            "an OpenAPI description",
            Some(("application/json", json!({ "type": "object" }))),
        ),
    ]
}
