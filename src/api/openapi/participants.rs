//! The room of a task's call and who is in it, additions of our own to the contract.

use serde_json::Value;

use super::WORKSPACE_PATH;
use super::operation::{Operation, Resource};
use super::schema::{
    address, array, boolean, component, constant, flag, integer, links, nullable, object, own_sid, pattern, text, url,
    word_list, words,
};
use crate::api::instruction::{BEEPS, CALL_EVENTS, METHODS, RECORD};

const CONFERENCE: Resource = Resource { name: "TaskConference", sid: text, versioned: false };
const PARTICIPANT: Resource = Resource { name: "Participant", sid: text, versioned: false };

/// What is told of a leg wherever it appears.
pub(super) fn leg() -> Vec<(&'static str, Value)> {
    vec![
        ("role", constant(&["customer", "worker", "supervisor", "external"])),
        ("label", text()),
        ("call_sid", nullable(text())),
        ("reservation_sid", nullable(own_sid("WR"))),
        ("state", constant(&["requested", "queued", "ringing", "answered", "in_room", "left", "ended"])),
        ("hold", boolean()),
        ("muted", boolean()),
    ]
}

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let conference = object([
        ("account_sid", own_sid("AC")),
        ("workspace_sid", own_sid("WS")),
        ("task_sid", own_sid("WT")),
        ("room_name", text()),
        ("conference_sid", nullable(text())),
        ("state", text()),
        ("legs", array(object(leg()))),
        ("url", address()),
        ("links", links(&["task", "participants"], &[])),
    ]);
    let of_task = [
        ("account_sid", own_sid("AC")),
        ("workspace_sid", own_sid("WS")),
        ("task_sid", own_sid("WT")),
        ("end_conference_on_exit", boolean()),
        ("url", address()),
    ];
    let participant = object(leg().into_iter().chain(of_task));
    vec![("TaskConference", conference), ("Participant", participant)]
}

pub(super) fn operations() -> Vec<Operation> {
    let room = &format!("{WORKSPACE_PATH}/Tasks/{{TaskSid}}/Conference");
    let all = &format!("{WORKSPACE_PATH}/Tasks/{{TaskSid}}/Participants");
    let one = &format!("{all}/{{Sid}}");
    let list = object([("participants", array(component("Participant"))), ("url", address())]);
    vec![
        CONFERENCE.fetch("FetchTaskConference", room, "The room of the task's call"),
        CONFERENCE
            .update("UpdateTaskConference", room, "Ends the conversation for all")
            .required("Status", words(&["completed"])),
        PARTICIPANT.fetch("ListTaskParticipant", all, "Who is in the room, or on the way there").shown_as(list),
        PARTICIPANT
            .create("CreateTaskParticipant", all, "Dials a third party into the room")
            .required("To", text())
            .field("From", text())
            .field("Label", pattern("^[A-Za-z0-9_-]{1,64}$"))
            .field("Timeout", integer(1..=600))
            .field("Muted", flag())
            .field("Beep", words(&BEEPS))
            .field("EndConferenceOnExit", flag())
            .field("EarlyMedia", flag())
            .field("Record", words(&RECORD))
            .field("RecordingChannels", words(&["mono", "dual"]))
            .field("RecordingStatusCallback", url())
            .field("RecordingStatusCallbackMethod", words(&METHODS))
            .field("StatusCallback", url())
            .field("StatusCallbackMethod", words(&METHODS))
            .field("StatusCallbackEvent", word_list(&CALL_EVENTS))
            .field("SipAuthUsername", text())
            .field("SipAuthPassword", text()),
        PARTICIPANT.fetch("FetchTaskParticipant", one, "One of them, by label or by the SID of its call"),
        PARTICIPANT
            .update("UpdateTaskParticipant", one, "Holds, mutes, or lets go")
            .field("Hold", flag())
            .field("HoldUrl", url())
            .field("HoldMethod", words(&METHODS))
            .field("Muted", flag())
            .field("EndConferenceOnExit", flag())
            .field("BeepOnExit", flag()),
        PARTICIPANT.delete("DeleteTaskParticipant", one, "Takes a leg out of the room").error(400),
    ]
}
