//! Workspaces.

use serde_json::Value;

use super::operation::{Operation, Resource};
use super::schema::{
    self, address, boolean, constant, date, flag, links, name, nullable, object, own_sid, sid, text, url, words,
};

const ORDERS: &[&str] = &["FIFO", "LIFO"];
const WORKSPACE: Resource = Resource { name: "Workspace", sid: || sid("WS"), versioned: false };

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let workspace = object([
        ("account_sid", own_sid("AC")),
        ("sid", own_sid("WS")),
        ("friendly_name", text()),
        ("date_created", date()),
        ("date_updated", date()),
        ("default_activity_sid", own_sid("WA")),
        ("default_activity_name", text()),
        ("timeout_activity_sid", own_sid("WA")),
        ("timeout_activity_name", text()),
        ("event_callback_url", text()),
        ("events_filter", nullable(text())),
        ("multi_task_enabled", boolean()),
        ("prioritize_queue_order", constant(ORDERS)),
        ("url", address()),
        (
            "links",
            links(
                &[
                    "activities",
                    "statistics",
                    "real_time_statistics",
                    "cumulative_statistics",
                    "task_queues",
                    "tasks",
                    "workers",
                    "workflows",
                    "task_channels",
                    "events",
                ],
                &[],
            ),
        ),
    ]);
    vec![("Workspace", workspace)]
}

pub(super) fn operations() -> Vec<Operation> {
    let (all, one) = ("/v1/Workspaces", "/v1/Workspaces/{Sid}");
    vec![
        WORKSPACE
            .list("ListWorkspace", all, "workspaces", "Workspaces of the account")
            .query("FriendlyName", text())
            .paged(0),
        WORKSPACE
            .create("CreateWorkspace", all, "Makes a workspace with its activities and channels")
            .required("FriendlyName", name())
            .field("EventCallbackUrl", url())
            .field("EventsFilter", text())
            .field("MultiTaskEnabled", flag())
            .field("Template", words(&["NONE", "FIFO"]))
            .field("PrioritizeQueueOrder", words(ORDERS)),
        WORKSPACE.fetch("FetchWorkspace", one, "One workspace"),
        WORKSPACE
            .update("UpdateWorkspace", one, "Changes a workspace")
            .field("FriendlyName", name())
            .field("EventCallbackUrl", url())
            .field("EventsFilter", text())
            .field("DefaultActivitySid", schema::sid("WA"))
            .field("TimeoutActivitySid", schema::sid("WA"))
            .field("MultiTaskEnabled", flag())
            .field("PrioritizeQueueOrder", words(ORDERS)),
        WORKSPACE.delete("DeleteWorkspace", one, "Deletes a workspace and everything in it"),
    ]
}
