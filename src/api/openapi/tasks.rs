//! Tasks.

use serde_json::Value;

use super::WORKSPACE_PATH;
use super::operation::{Operation, Resource};
use super::schema::{
    address, attributes, boolean, channel, constant, count, date, expression, flag, integer, lenient_flag, links,
    moment, nullable, object, own_sid, pattern, sid, sid_of, text, word_list, words,
};
use crate::api::tasks::STATUSES;

const TASK: Resource = Resource { name: "Task", sid: || sid("WT"), versioned: true };
const PRIORITY: std::ops::RangeInclusive<i64> = 0..=i32::MAX as i64;
/// Creation and virtual start time exclude each other.
const ORDERING: &str = "^((DateCreated|VirtualStartTime)(:(asc|desc))?(,Priority(:(asc|desc))?)?|Priority(:(asc|desc))?(,(DateCreated|VirtualStartTime)(:(asc|desc))?)?)$";

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let task = object([
        ("account_sid", own_sid("AC")),
        ("sid", own_sid("WT")),
        ("workspace_sid", own_sid("WS")),
        ("assignment_status", constant(&STATUSES)),
        ("age", count()),
        ("priority", count()),
        ("timeout", count()),
        ("reason", nullable(text())),
        ("attributes", text()),
        ("addons", text()),
        ("task_channel_sid", own_sid("TC")),
        ("task_channel_unique_name", nullable(text())),
        ("task_queue_sid", nullable(own_sid("WQ"))),
        ("task_queue_friendly_name", nullable(text())),
        ("task_queue_entered_date", nullable(date())),
        ("workflow_sid", nullable(own_sid("WW"))),
        ("workflow_friendly_name", nullable(text())),
        ("virtual_start_time", date()),
        ("ignore_capacity", boolean()),
        ("routing_target", nullable(own_sid("W[KQW]"))),
        ("date_created", date()),
        ("date_updated", date()),
        ("url", address()),
        ("links", links(&["workspace", "reservations"], &["workflow", "task_queue"])),
    ]);
    vec![("Task", task)]
}

pub(super) fn operations() -> Vec<Operation> {
    let all = &format!("{WORKSPACE_PATH}/Tasks");
    let one = &format!("{all}/{{Sid}}");
    vec![
        TASK.list("ListTask", all, "tasks", "Tasks of the workspace, with those that ended a short while ago")
            .query("Priority", integer(PRIORITY))
            .query("AssignmentStatus", word_list(&STATUSES))
            .query("WorkflowSid", sid("WW"))
            .query("WorkflowName", text())
            .query("TaskQueueSid", sid("WQ"))
            .query("TaskQueueName", text())
            .query("EvaluateTaskAttributes", expression())
            .query("RoutingTarget", sid_of(&["WK", "WQ", "WW"]))
            .query("Ordering", pattern(ORDERING))
            .query("HasAddons", flag())
            .paged(1),
        TASK.create("CreateTask", all, "Makes a task and starts it on its workflow")
            .field("Timeout", integer(1..=1_209_600))
            .field("Priority", integer(PRIORITY))
            .field("TaskChannel", channel())
            .field("WorkflowSid", sid("WW"))
            .field("Attributes", attributes())
            .field("VirtualStartTime", moment())
            .field("RoutingTarget", sid_of(&["WK", "WQ", "WW"]))
            .field("IgnoreCapacity", lenient_flag())
            .field("TaskQueueSid", sid("WQ")),
        TASK.fetch("FetchTask", one, "One task"),
        TASK.update("UpdateTask", one, "Changes a task, or ends it")
            .field("Attributes", attributes())
            .field("AssignmentStatus", words(&STATUSES))
            .field("Reason", text())
            .field("Priority", integer(PRIORITY))
            .field("TaskChannel", channel())
            .field("VirtualStartTime", moment()),
        TASK.delete("DeleteTask", one, "Deletes a task, whatever its status"),
    ]
}
