//! Task queues.

use serde_json::Value;

use super::WORKSPACE_PATH;
use super::operation::{Operation, Resource};
use super::schema::{
    address, attributes, constant, count, date, expression, integer, links, name, nullable, object, ordering, own_sid,
    sid, text, words,
};

const ORDERS: &[&str] = &["FIFO", "LIFO"];
const TASK_QUEUE: Resource = Resource { name: "TaskQueue", sid: || sid("WQ"), versioned: false };

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let task_queue = object([
        ("account_sid", own_sid("AC")),
        ("sid", own_sid("WQ")),
        ("workspace_sid", own_sid("WS")),
        ("friendly_name", text()),
        ("target_workers", text()),
        ("task_order", constant(ORDERS)),
        ("max_reserved_workers", count()),
        ("assignment_activity_sid", nullable(own_sid("WA"))),
        ("assignment_activity_name", nullable(text())),
        ("reservation_activity_sid", nullable(own_sid("WA"))),
        ("reservation_activity_name", nullable(text())),
        ("date_created", date()),
        ("date_updated", date()),
        ("url", address()),
        (
            "links",
            links(
                &[
                    "workspace",
                    "statistics",
                    "real_time_statistics",
                    "cumulative_statistics",
                    "list_statistics",
                    "bulk_real_time_statistics",
                ],
                &["assignment_activity", "reservation_activity"],
            ),
        ),
    ]);
    vec![("TaskQueue", task_queue)]
}

pub(super) fn operations() -> Vec<Operation> {
    let all = &format!("{WORKSPACE_PATH}/TaskQueues");
    let one = &format!("{all}/{{Sid}}");
    let fields = |operation: Operation| {
        operation
            .field("TargetWorkers", expression())
            .field("TaskOrder", words(ORDERS))
            .field("MaxReservedWorkers", integer(1..=50))
            .field("ReservationActivitySid", sid("WA"))
            .field("AssignmentActivitySid", sid("WA"))
    };
    vec![
        TASK_QUEUE
            .list("ListTaskQueue", all, "task_queues", "Task queues of the workspace")
            .query("FriendlyName", text())
            .query("EvaluateWorkerAttributes", attributes())
            .query("WorkerSid", sid("WK"))
            .query("Ordering", ordering(&["DateUpdated"]))
            .paged(1),
        fields(TASK_QUEUE.create("CreateTaskQueue", all, "Makes a task queue").required("FriendlyName", name())),
        TASK_QUEUE.fetch("FetchTaskQueue", one, "One task queue"),
        fields(TASK_QUEUE.update("UpdateTaskQueue", one, "Changes a task queue").field("FriendlyName", name())),
        TASK_QUEUE.delete("DeleteTaskQueue", one, "Deletes a task queue that no task and no workflow can reach"),
    ]
}
