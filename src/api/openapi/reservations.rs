//! Reservations, under tasks and under workers, and the rooms of their calls.
//!
//! Parameters of an update come in groups, of which the instruction chooses one; those of other groups are not looked
//! at. Start with [`operations`].

use serde_json::{Value, json};

use super::operation::{Operation, Resource};
use super::schema::{
    address, array, constant, date, flag, integer, links, nullable, object, own_sid, sid, text, url, word_list, words,
};
use super::{WORKSPACE_PATH, participants};
use crate::api::instruction::{
    BEEPS, CALL_EVENTS, CALL_RECORD, CONFERENCE_EVENTS, DEQUEUE_RECORD, KEYS, METHODS, RECORD, WHISPER_LIMIT,
};
use crate::api::reservations::STATUSES;

const RESERVATION: Resource = Resource { name: "Reservation", sid: || sid("WR"), versioned: true };
const CONFERENCE: Resource = Resource { name: "ReservationConference", sid: || sid("WR"), versioned: false };
/// What can be asked for; the last one on the task's reservation only.
const INSTRUCTIONS: &[&str] = &["accept", "reject", "conference", "dequeue", "call", "redirect", "supervise"];

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let reservation = object([
        ("account_sid", own_sid("AC")),
        ("sid", own_sid("WR")),
        ("workspace_sid", own_sid("WS")),
        ("task_sid", own_sid("WT")),
        ("worker_sid", own_sid("WK")),
        ("worker_name", text()),
        ("reservation_status", constant(&STATUSES)),
        ("date_created", date()),
        ("date_updated", date()),
        ("url", address()),
        ("links", links(&["workspace", "task", "worker"], &[])),
    ]);
    let conference = object([
        ("account_sid", own_sid("AC")),
        ("workspace_sid", own_sid("WS")),
        ("task_sid", own_sid("WT")),
        ("reservation_sid", own_sid("WR")),
        ("room_name", text()),
        ("conference_sid", nullable(text())),
        ("state", text()),
        ("legs", array(object(participants::leg()))),
        ("url", address()),
        ("links", links(&["reservation"], &[])),
    ]);
    vec![("Reservation", reservation), ("ReservationConference", conference)]
}

pub(super) fn operations() -> Vec<Operation> {
    let of_task = &format!("{WORKSPACE_PATH}/Tasks/{{TaskSid}}/Reservations");
    let of_worker = &format!("{WORKSPACE_PATH}/Workers/{{WorkerSid}}/Reservations");
    let one_of_task = &format!("{of_task}/{{Sid}}");
    let one_of_worker = &format!("{of_worker}/{{Sid}}");
    let update = |id, path: &str, instructions: &[&'static str]| {
        let operation = RESERVATION.update(id, path, "Answers an offer, or ends the work").error(410);
        let operation = operation
            .field("ReservationStatus", words(&["accepted", "rejected", "wrapping", "completed"]))
            .field("WorkerActivitySid", sid("WA"))
            .field("Instruction", words(instructions));
        documents(conference(operation))
    };
    vec![
        RESERVATION
            .list("ListTaskReservation", of_task, "reservations", "Reservations of a task")
            .query("ReservationStatus", words(&STATUSES))
            .query("WorkerSid", sid("WK"))
            .paged(1),
        RESERVATION.fetch("FetchTaskReservation", one_of_task, "One reservation of a task"),
        update("UpdateTaskReservation", one_of_task, INSTRUCTIONS)
            .field("SupervisorMode", text())
            .field("Supervisor", text()),
        CONFERENCE.fetch(
            "FetchTaskReservationConference",
            &format!("{one_of_task}/Conference"),
            "The room of its call",
        ),
        RESERVATION
            .list("ListWorkerReservation", of_worker, "reservations", "Reservations of a worker")
            .query("ReservationStatus", words(&STATUSES))
            .paged(1),
        RESERVATION.fetch("FetchWorkerReservation", one_of_worker, "One reservation of a worker"),
        update("UpdateWorkerReservation", one_of_worker, &INSTRUCTIONS[..INSTRUCTIONS.len() - 1]),
        CONFERENCE.fetch(
            "FetchWorkerReservationConference",
            &format!("{one_of_worker}/Conference"),
            "The room of its call",
        ),
    ]
}

/// Fields of `Instruction=conference` and `Instruction=dequeue`.
fn conference(operation: Operation) -> Operation {
    operation
        .field("To", text())
        .field("From", text())
        .field("Timeout", integer(1..=999))
        .field("Muted", flag())
        .field("Beep", words(&BEEPS))
        .field("StartConferenceOnEnter", flag())
        .field("EndConferenceOnExit", flag())
        .field("EndConferenceOnCustomerExit", flag())
        .field("BeepOnCustomerEntrance", flag())
        .field("WaitUrl", url())
        .field("WaitMethod", words(&METHODS))
        .field("EarlyMedia", flag())
        .field("MaxParticipants", integer(2..=250))
        .field("Record", words(&RECORD))
        .field("RecordingChannels", words(&["mono", "dual"]))
        .field("RecordingStatusCallback", url())
        .field("RecordingStatusCallbackMethod", words(&METHODS))
        .field("ConferenceRecord", words(&["true", "false", "record-from-start", "do-not-record"]))
        .field("ConferenceTrim", words(&["trim-silence", "do-not-trim"]))
        .field("ConferenceStatusCallback", url())
        .field("ConferenceStatusCallbackMethod", words(&METHODS))
        .field("ConferenceStatusCallbackEvent", word_list(&CONFERENCE_EVENTS))
        .field("ConferenceRecordingStatusCallback", url())
        .field("ConferenceRecordingStatusCallbackMethod", words(&METHODS))
        .field("StatusCallback", url())
        .field("StatusCallbackMethod", words(&METHODS))
        .field("StatusCallbackEvent", word_list(&CALL_EVENTS))
        .field("Region", text())
        .field("SipAuthUsername", text())
        .field("SipAuthPassword", text())
        .field("JitterBufferSize", words(&["small", "medium", "large", "off"]))
        .field("Whisper", json!({ "type": "string", "maxLength": WHISPER_LIMIT }))
        .field("AcceptKey", words(&KEYS))
        .field("PostWorkActivitySid", sid("WA"))
        .field("DequeuePostWorkActivitySid", sid("WA"))
        .field("DequeueFrom", text())
        .field("DequeueRecord", words(&DEQUEUE_RECORD))
        .field("DequeueTimeout", integer(1..=999))
        .field("DequeueTo", text())
        .field("DequeueStatusCallbackUrl", url())
        .field("DequeueWhisper", json!({ "type": "string", "maxLength": WHISPER_LIMIT }))
        .field("DequeueAcceptKey", words(&KEYS))
        .field("DequeueStatusCallbackEvent", word_list(&CALL_EVENTS))
}

/// Fields of `Instruction=call` and `Instruction=redirect`.
fn documents(operation: Operation) -> Operation {
    operation
        .field("CallFrom", text())
        .field("CallRecord", words(&CALL_RECORD))
        .field("CallTimeout", integer(1..=999))
        .field("CallTo", text())
        .field("CallUrl", url())
        .field("CallStatusCallbackUrl", url())
        .field("CallAccept", flag())
        .field("RedirectCallSid", text())
        .field("RedirectAccept", flag())
        .field("RedirectUrl", url())
}
