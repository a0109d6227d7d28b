//! Workflows.

use serde_json::Value;

use super::WORKSPACE_PATH;
use super::operation::{Operation, Resource};
use super::schema::{
    address, configuration, constant, count, date, flag, integer, links, name, nullable, object, own_sid, sid, text,
    url,
};

const WORKFLOW: Resource = Resource { name: "Workflow", sid: || sid("WW"), versioned: false };

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let workflow = object([
        ("account_sid", own_sid("AC")),
        ("sid", own_sid("WW")),
        ("workspace_sid", own_sid("WS")),
        ("friendly_name", text()),
        ("configuration", text()),
        ("document_content_type", constant(&["application/json"])),
        ("assignment_callback_url", nullable(text())),
        ("fallback_assignment_callback_url", nullable(text())),
        ("task_reservation_timeout", count()),
        ("date_created", date()),
        ("date_updated", date()),
        ("url", address()),
        ("links", links(&["statistics", "real_time_statistics", "cumulative_statistics"], &[])),
    ]);
    vec![("Workflow", workflow)]
}

pub(super) fn operations() -> Vec<Operation> {
    let all = &format!("{WORKSPACE_PATH}/Workflows");
    let one = &format!("{all}/{{Sid}}");
    let fields = |operation: Operation| {
        operation
            .field("AssignmentCallbackUrl", url())
            .field("FallbackAssignmentCallbackUrl", url())
            .field("TaskReservationTimeout", integer(1..=86_400))
    };
    vec![
        WORKFLOW
            .list("ListWorkflow", all, "workflows", "Workflows of the workspace")
            .query("FriendlyName", text())
            .paged(1),
        fields(
            WORKFLOW
                .create("CreateWorkflow", all, "Makes a workflow")
                .required("FriendlyName", name())
                .required("Configuration", configuration()),
        ),
        WORKFLOW.fetch("FetchWorkflow", one, "One workflow"),
        fields(
            WORKFLOW
                .update("UpdateWorkflow", one, "Changes a workflow; waiting tasks stay unless told otherwise")
                .field("FriendlyName", name())
                .field("Configuration", configuration())
                .field("ReEvaluateTasks", flag()),
        ),
        WORKFLOW.delete("DeleteWorkflow", one, "Deletes a workflow that no waiting task follows"),
    ]
}
