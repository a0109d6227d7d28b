//! Workers and their channels.

use serde_json::Value;

use super::WORKSPACE_PATH;
use super::operation::{Operation, Resource};
use super::schema::{
    address, attributes, boolean, channel, count, date, expression, flag, integer, lenient_flag, links, name, object,
    ordering, own_sid, percentage, sid, text,
};

const WORKER: Resource = Resource { name: "Worker", sid: || sid("WK"), versioned: true };
const WORKER_CHANNEL: Resource = Resource { name: "WorkerChannel", sid: channel, versioned: false };

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let worker = object([
        ("account_sid", own_sid("AC")),
        ("sid", own_sid("WK")),
        ("workspace_sid", own_sid("WS")),
        ("friendly_name", text()),
        ("activity_sid", own_sid("WA")),
        ("activity_name", text()),
        ("available", boolean()),
        ("attributes", text()),
        ("date_created", date()),
        ("date_updated", date()),
        ("date_status_changed", date()),
        ("url", address()),
        (
            "links",
            links(
                &[
                    "workspace",
                    "activity",
                    "channels",
                    "worker_channels",
                    "reservations",
                    "worker_statistics",
                    "statistics",
                    "real_time_statistics",
                    "cumulative_statistics",
                ],
                &[],
            ),
        ),
    ]);
    let worker_channel = object([
        ("account_sid", own_sid("AC")),
        ("sid", own_sid("WC")),
        ("workspace_sid", own_sid("WS")),
        ("worker_sid", own_sid("WK")),
        ("task_channel_sid", own_sid("TC")),
        ("task_channel_unique_name", text()),
        ("configured_capacity", count()),
        ("available", boolean()),
        ("assigned_tasks", count()),
        ("available_capacity_percentage", percentage()),
        ("date_created", date()),
        ("date_updated", date()),
        ("url", address()),
    ]);
    vec![("Worker", worker), ("WorkerChannel", worker_channel)]
}

pub(super) fn operations() -> Vec<Operation> {
    let all = &format!("{WORKSPACE_PATH}/Workers");
    let one = &format!("{all}/{{Sid}}");
    let channels = &format!("{all}/{{WorkerSid}}/Channels");
    let one_channel = &format!("{channels}/{{Sid}}");
    vec![
        WORKER
            .list("ListWorker", all, "workers", "Workers of the workspace")
            .query("ActivityName", text())
            .query("ActivitySid", sid("WA"))
            .query("Available", lenient_flag())
            .query("FriendlyName", text())
            .query("TargetWorkersExpression", expression())
            .query("TaskQueueName", text())
            .query("TaskQueueSid", sid("WQ"))
            .query("Ordering", ordering(&["DateStatusChanged"]))
            .paged(1),
        WORKER
            .create("CreateWorker", all, "Makes a worker")
            .required("FriendlyName", name())
            .field("ActivitySid", sid("WA"))
            .field("Attributes", attributes()),
        WORKER.fetch("FetchWorker", one, "One worker"),
        WORKER
            .update("UpdateWorker", one, "Changes a worker")
            .field("FriendlyName", name())
            .field("ActivitySid", sid("WA"))
            .field("Attributes", attributes())
            .field("RejectPendingReservations", flag()),
        WORKER.delete("DeleteWorker", one, "Deletes a worker who has no accepted or wrapping reservation"),
        WORKER_CHANNEL.list("ListWorkerChannel", channels, "channels", "Channels of a worker").paged(1),
        WORKER_CHANNEL.fetch("FetchWorkerChannel", one_channel, "One channel of a worker, by SID or unique name"),
        WORKER_CHANNEL
            .update("UpdateWorkerChannel", one_channel, "Changes what a worker may carry of one kind of work")
            .field("Capacity", integer(0..=50))
            .field("Available", flag()),
    ]
}
