//! Transfers, an addition of our own to the contract.

use serde_json::Value;

use super::WORKSPACE_PATH;
use super::operation::{Operation, Resource};
use super::schema::{
    address, attributes, constant, date, integer, links, nullable, object, own_sid, sid, sid_of, text, words,
};
use crate::api::transfers::STATUSES;

const TRANSFER: Resource = Resource { name: "Transfer", sid: || sid("TT"), versioned: false };
const MODES: &[&str] = &["WARM", "COLD"];

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let transfer = object([
        ("account_sid", own_sid("AC")),
        ("sid", own_sid("TT")),
        ("workspace_sid", own_sid("WS")),
        ("task_sid", own_sid("WT")),
        ("transfer_type", nullable(constant(&["WORKER", "QUEUE"]))),
        ("transfer_mode", constant(MODES)),
        ("transfer_to", own_sid("W[KQ]")),
        ("transfer_status", constant(&STATUSES)),
        ("transfer_failed_reason", nullable(text())),
        ("initiating_reservation_sid", own_sid("WR")),
        ("initiating_worker_sid", own_sid("WK")),
        ("initiating_queue_sid", nullable(own_sid("WQ"))),
        ("initiating_workflow_sid", nullable(own_sid("WW"))),
        ("date_created", date()),
        ("date_updated", date()),
        ("url", address()),
        ("links", links(&["workspace", "worker", "task", "reservation"], &[])),
    ]);
    vec![("Transfer", transfer)]
}

pub(super) fn operations() -> Vec<Operation> {
    let all = &format!("{WORKSPACE_PATH}/Workers/{{WorkerSid}}/Transfers");
    let one = &format!("{all}/{{Sid}}");
    vec![
        TRANSFER
            .list("ListTransfer", all, "transfers", "Transfers that a worker began")
            .query("TaskSid", sid("WT"))
            .query("TransferStatus", words(&STATUSES))
            .paged(1),
        TRANSFER
            .create("CreateTransfer", all, "Offers an assigned task to another worker or to a task queue")
            .required("TaskSid", sid("WT"))
            .required("ReservationSid", sid("WR"))
            .required("To", sid_of(&["WK", "WQ"]))
            .field("Mode", words(MODES))
            .field("Attributes", attributes())
            .field("Priority", integer(0..=i64::from(i32::MAX))),
        TRANSFER.fetch("FetchTransfer", one, "One transfer"),
        TRANSFER
            .update("UpdateTransfer", one, "Calls a transfer off")
            .required("TaskSid", sid("WT"))
            .required("TransferStatus", words(&["canceled"])),
    ]
}
