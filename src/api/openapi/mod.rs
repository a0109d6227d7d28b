//! The OpenAPI description of the whole server, made once at the start and served at `/openapi.json`.
//!
//! One file per resource lists its operations and the shape of its answers; nothing here is consulted when requests are
//! answered. Operations of TaskRouter carry the contract's names. An operation is in the document as soon as a route
//! serves it, and tests see to it that every route has one. To describe a further one, add it to the `operations` of its
//! resource, a few lines each. Start with [`document`], then `activities`.

mod activities;
mod agents;
mod alerts;
mod api_keys;
mod deliveries;
mod entries;
mod events;
mod explain;
mod health;
mod operation;
mod participants;
mod presence;
mod reservations;
mod schema;
mod statistics;
mod task_channels;
mod task_queues;
mod tasks;
mod tokens;
mod transfers;
mod webhooks;
mod workers;
mod workflows;
mod workspaces;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::{AGENT_ROUTES, ROUTES, ROUTES_2010};
use operation::Operation;

/// Where everything of one workspace is.
const WORKSPACE_PATH: &str = "/v1/Workspaces/{WorkspaceSid}";
/// Where TaskRouter begins.
const API: &str = "/v1";
/// Where Twilio's 2010 API begins.
const API_2010: &str = "/2010-04-01";

/// Serves the description, to anybody.
pub fn router() -> Router {
    // Made when it is asked for: it takes megabytes, which most servers never need.
    let made: Arc<OnceCell<Bytes>> = Arc::default();
    let answer = move || async move {
        let text = made.get_or_try_init(async || spawn_blocking(|| Bytes::from(document().to_string())).await).await;
        // It fails only while the process ends.
        text.map(|text| ([(CONTENT_TYPE, super::json::CONTENT_TYPE)], text.clone()))
            .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    };
    Router::new().route("/openapi.json", get(answer))
}

/// The description of what is served.
pub fn document() -> Value {
    let operations: Vec<_> = operations().into_iter().filter(is_served).collect();
    let mut paths = Map::new();
    for operation in &operations {
        let links = links(operation, &operations);
        paths.entry(operation.path.clone()).or_insert_with(|| json!({}))[operation.method.to_ascii_lowercase()] =
            operation.render(&links);
    }
    let schemas: Map<_, _> = schemas().into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Switchhook",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INTRODUCTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "account": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "account": { "type": "http", "scheme": "basic", "description": "account SID and auth token" },
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Twilio-Signature",
                    "description": "made with the auth token of the phone system's account or of one of ours",
                },
            },
            "schemas": schemas,
        },
    })
}

const INTRODUCTION: &str = "TaskRouter's REST API, voice webhooks and operations of one Switchhook server. Forms are \
    `application/x-www-form-urlencoded`. Parameters that are not known are ignored; an empty one counts as absent, or \
    clears a text or a URL. Methods that a path does not have are answered with 405 and code 20004. Paths below `/v1` \
    may end in `.json`. A POST with the header `I-Twilio-Idempotency-Token` or `Idempotency-Key` is carried out once: its \
    repeats get the first answer for 24 hours.";

/// One operation that is described, served or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// From the root, with the contract's names of parameters.
    pub path: String,
    /// The contract's name, where it has one.
    pub id: &'static str,
    /// Whether a route serves it.
    pub served: bool,
    /// As in the document, without links.
    pub operation: Value,
}

/// Everything that is described.
pub fn described() -> Vec<Described> {
    let describe = |operation: Operation| Described {
        method: operation.method,
        id: operation.id,
        served: is_served(&operation),
        operation: operation.render(&Map::new()),
        path: operation.path,
    };
    operations().into_iter().map(describe).collect()
}

fn operations() -> Vec<Operation> {
    [
        workspaces::operations(),
        activities::operations(),
        task_channels::operations(),
        task_queues::operations(),
        workflows::operations(),
        workers::operations(),
        tasks::operations(),
        reservations::operations(),
        participants::operations(),
        transfers::operations(),
        events::operations(),
        entries::operations(),
        alerts::operations(),
        tokens::operations(),
        deliveries::operations(),
        statistics::operations(),
        api_keys::operations(),
        explain::operations(),
        agents::operations(),
        presence::operations(),
        webhooks::operations(),
        health::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn schemas() -> Vec<(&'static str, Value)> {
    let mut schemas = vec![("Error", error()), ("PageMeta", page_meta())];
    schemas.extend(
        [
            workspaces::schemas(),
            activities::schemas(),
            task_channels::schemas(),
            task_queues::schemas(),
            workflows::schemas(),
            workers::schemas(),
            tasks::schemas(),
            reservations::schemas(),
            participants::schemas(),
            transfers::schemas(),
            events::schemas(),
            entries::schemas(),
            alerts::schemas(),
            tokens::schemas(),
            deliveries::schemas(),
            statistics::schemas(),
            api_keys::schemas(),
            explain::schemas(),
            presence::schemas(),
        ]
        .into_iter()
        .flatten(),
    );
    schemas
}

/// The body of an answer that is not a success.
fn error() -> Value {
    schema::object([
        ("code", json!({ "type": "integer" })),
        ("message", schema::text()),
        ("more_info", schema::address()),
        ("status", json!({ "type": "integer", "minimum": 400, "maximum": 599 })),
    ])
}

/// What a page says about itself and its neighbours.
fn page_meta() -> Value {
    schema::object([
        ("page", schema::count()),
        ("page_size", schema::integer(1..=i64::from(super::page::LARGEST_SIZE))),
        ("first_page_url", schema::address()),
        ("previous_page_url", schema::nullable(schema::address())),
        ("next_page_url", schema::nullable(schema::address())),
        ("url", schema::address()),
        ("key", schema::text()),
    ])
}

/// Whether a route serves it, below the paths whose tables are here; what is elsewhere has its routes elsewhere.
fn is_served(operation: &Operation) -> bool {
    let tables = [(API, ROUTES), (API, AGENT_ROUTES), (API_2010, ROUTES_2010)];
    let mut below = tables.into_iter().filter(|(prefix, _)| operation.path.starts_with(prefix)).peekable();
    below.peek().is_none()
        || below.any(|(prefix, routes)| {
            let path = shape(&operation.path[prefix.len()..]);
            routes.iter().any(|(method, route)| *method == operation.method && shape(route) == path)
        })
}

/// A path without the names of its parameters, which router and contract give differently, and without `.json`.
pub fn shape(path: &str) -> String {
    let path = path.strip_suffix(".json").unwrap_or(path);
    path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
}

/// Where an answer leads: operations whose path can be filled from it.
fn links(from: &Operation, operations: &[Operation]) -> Map<String, Value> {
    let Some(shown) = from.shows else { return Map::new() };
    let row = from.list_key.map_or_else(String::new, |key| format!("/{key}/0"));
    // The first of a list is where what is made by the server itself can be found.
    let is_made = operations.iter().any(|other| other.shows == Some(shown) && other.makes());
    if !from.makes() && (from.list_key.is_none() || is_made) {
        return Map::new();
    }
    let value = |to: &Operation, name: &str| {
        let key = match name {
            "Sid" if to.tag == shown => "sid",
            "WorkspaceSid" if shown == "Workspace" => "sid",
            "WorkspaceSid" => "workspace_sid",
            "WorkerSid" if shown == "Worker" => "sid",
            "WorkerSid" if matches!(shown, "WorkerChannel" | "Reservation") => "worker_sid",
            "TaskSid" if shown == "Task" => "sid",
            "TaskSid" if shown == "Reservation" => "task_sid",
            "TaskQueueSid" if shown == "TaskQueue" => "sid",
            "WorkflowSid" if shown == "Workflow" => "sid",
            _ => return None,
        };
        Some(format!("$response.body#{row}/{key}"))
    };
    let mut links = Map::new();
    for to in operations.iter().filter(|to| to.path.starts_with(API) && to.path_names().next().is_some()) {
        let parameters: Option<Map<_, _>> =
            to.path_names().map(|name| Some((name.to_owned(), Value::from(value(to, name)?)))).collect();
        if let Some(parameters) = parameters
            && (from.makes() || to.tag == shown)
        {
            links.insert(to.id.to_owned(), json!({ "operationId": to.id, "parameters": parameters }));
        }
    }
    links
}

#[cfg(test)]
mod tests;
