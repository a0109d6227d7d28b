//! Explanations, positions, dry runs and lints: additions of our own to the contract.

use serde_json::{Value, json};

use super::WORKSPACE_PATH;
use super::operation::Operation;
use super::schema::{
    address, array, attributes, boolean, channel, component, configuration, constant, count, date, integer, links,
    moment, nullable, object, own_sid, sid, text,
};

const TAG: &str = "Explain";

/// An object whose members are not spelled out here; docs/explain.md has examples.
fn any() -> Value {
    json!({ "type": "object" })
}

fn seconds() -> Value {
    json!({ "type": "number", "minimum": 0 })
}

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let estimate = object([
        ("seconds", seconds()),
        ("low_seconds", seconds()),
        ("high_seconds", seconds()),
        ("confidence", json!({ "type": "number" })),
        ("method", text()),
        ("accepted_tasks", count()),
        ("observed_seconds", seconds()),
    ]);
    let past = object([("count", count()), ("mean_absolute_error", nullable(seconds()))]);
    let by_reason = json!({ "type": "object", "additionalProperties": { "type": "integer", "minimum": 1 } });
    let tally = object([("total", count()), ("candidates", count()), ("blocked_by", by_reason)]);
    let place = [
        ("assignment_status", text()),
        ("task_queue_sid", nullable(own_sid("WQ"))),
        ("task_channel_sid", nullable(own_sid("TC"))),
        ("task_queue_entered_date", nullable(date())),
        ("position", nullable(count())),
        ("tasks_ahead", nullable(count())),
        ("waiting_tasks", nullable(count())),
        ("without_position_because", nullable(text())),
        ("estimated_wait", nullable(estimate)),
        ("past_estimates", past),
    ];
    let position = super::schema::merged(
        object([
            ("account_sid", own_sid("AC")),
            ("workspace_sid", own_sid("WS")),
            ("task_sid", own_sid("WT")),
            ("date_measured", date()),
            ("url", address()),
        ]),
        object(place.clone()),
    );
    let task = object([
        ("account_sid", own_sid("AC")),
        ("workspace_sid", own_sid("WS")),
        ("task_sid", own_sid("WT")),
        ("assignment_status", text()),
        ("date_explained", date()),
        ("summary", text()),
        ("workflow_sid", nullable(own_sid("WW"))),
        ("follows_current_configuration", nullable(boolean())),
        ("routing_target", nullable(own_sid("W[KQW]"))),
        ("filters", array(any())),
        ("filters_total", count()),
        ("target", any()),
        ("position", object(place)),
        ("date_expires", nullable(date())),
        ("reservations", array(any())),
        ("eligible_workers", tally.clone()),
        ("other_workers", count()),
        ("workers", array(any())),
        ("next_workers_url", nullable(address())),
        ("url", address()),
        ("links", links(&["task", "position"], &[])),
    ]);
    let worker = object([
        ("account_sid", own_sid("AC")),
        ("workspace_sid", own_sid("WS")),
        ("worker_sid", own_sid("WK")),
        ("friendly_name", text()),
        ("date_explained", date()),
        ("summary", text()),
        ("activity_name", text()),
        ("available", boolean()),
        ("channels", array(any())),
        ("reservations", array(any())),
        ("member_of", count()),
        ("task_queues_total", count()),
        ("task_queues", array(any())),
        ("waiting_tasks", count()),
        ("eligible_tasks", tally),
        ("tasks", array(any())),
        ("url", address()),
        ("links", links(&["worker"], &[])),
    ]);
    let end = object([
        ("kind", constant(&["not_created", "canceled", "too_many_steps", "waits"])),
        ("reason", nullable(text())),
        ("after", nullable(count())),
    ]);
    let way = object([
        ("account_sid", own_sid("AC")),
        ("workspace_sid", own_sid("WS")),
        ("workflow_sid", nullable(own_sid("WW"))),
        ("unsaved_configuration", boolean()),
        ("date_created", date()),
        ("instant", date()),
        ("filters", array(any())),
        ("filters_total", count()),
        ("steps", array(any())),
        ("step_at_instant", nullable(count())),
        ("end", end),
        ("url", address()),
    ]);
    let finding = object([
        ("code", text()),
        ("severity", text()),
        ("place", text()),
        ("message", text()),
        ("detail", nullable(text())),
    ]);
    let findings = object([
        ("account_sid", own_sid("AC")),
        ("workspace_sid", own_sid("WS")),
        ("workflow_sid", nullable(own_sid("WW"))),
        ("findings", array(finding)),
        ("url", address()),
    ]);
    vec![
        ("TaskPosition", position),
        ("TaskExplanation", task),
        ("WorkerExplanation", worker),
        ("DryRun", way),
        ("LintFindings", findings),
    ]
}

pub(super) fn operations() -> Vec<Operation> {
    let of = |method, id, path: &str, shows: &'static str, summary| {
        let operation =
            Operation::new(method, id, &format!("{WORKSPACE_PATH}/{path}"), TAG, summary).with_json_errors();
        let content = Some(("application/json", component(shows)));
        let operation = operation.answers(200, "as it is now", content);
        [401, 404, 429, 503].into_iter().fold(operation, Operation::error)
    };
    let posted = |operation: Operation| operation.error(400).error(413);
    let limit = || integer(0..=1_000);
    vec![
        of("GET", "ExplainTask", "Tasks/{TaskSid}/Explain", "TaskExplanation", "Why a task waits")
            .query("Limit", limit())
            .query("After", sid("WK"))
            .query("WorkerSid", sid("WK")),
        of("GET", "FetchTaskPosition", "Tasks/{TaskSid}/Position", "TaskPosition", "Where a task stands in its queue"),
        of("GET", "ExplainWorker", "Workers/{WorkerSid}/Explain", "WorkerExplanation", "Why a worker gets nothing")
            .query("Limit", limit()),
        posted(of("POST", "DryRunWorkflow", "Workflows/DryRun", "DryRun", "What would become of a task"))
            .required("Attributes", attributes())
            .field("WorkflowSid", sid("WW"))
            .field("Configuration", configuration())
            .field("DateCreated", moment())
            .field("Instant", moment())
            .field("Priority", integer(0..=i64::from(i32::MAX)))
            .field("TaskChannel", channel())
            .field("Timeout", integer(1..=1_209_600))
            .field("Limit", limit()),
        posted(of(
            "POST",
            "LintConfiguration",
            "Workflows/Lint",
            "LintFindings",
            "What is doubtful in a configuration",
        ))
        .required("Configuration", configuration()),
        of("GET", "LintWorkflow", "Workflows/{WorkflowSid}/Lint", "LintFindings", "What is doubtful in a workflow"),
    ]
}
