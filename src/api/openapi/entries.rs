//! Calendars and entry points.

use serde_json::{Value, json};

use super::WORKSPACE_PATH;
use super::operation::{Operation, Resource};
use super::schema::{
    address, array, attributes, boolean, constant, count, date, integer, name, nullable, object, own_sid, sid, text,
    url, words,
};
use crate::entry::{FallbackAction, TEXT_LIMIT, WEEKDAYS};

const CALENDAR: Resource = Resource { name: "Calendar", sid: || sid("CL"), versioned: true };
const ENTRY_POINT: Resource = Resource { name: "EntryPoint", sid: || sid("EP"), versioned: true };
/// A span of a day.
const SPAN: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$";

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let spans = || array(json!({ "type": "string", "pattern": SPAN }));
    let day = json!({ "type": "string", "enum": WEEKDAYS });
    let hours = json!({ "type": "object", "propertyNames": day, "additionalProperties": spans() });
    let exception = object([("date", json!({ "type": "string", "format": "date" })), ("hours", spans())]);
    let calendar = object([
        ("account_sid", own_sid("AC")),
        ("sid", own_sid("CL")),
        ("workspace_sid", own_sid("WS")),
        ("friendly_name", text()),
        ("time_zone", text()),
        ("hours", hours),
        ("exceptions", array(exception)),
        ("open", boolean()),
        ("next_change", nullable(date())),
        ("version", count()),
        ("date_created", date()),
        ("date_updated", date()),
        ("url", address()),
    ]);
    let entry_point = object([
        ("account_sid", own_sid("AC")),
        ("sid", own_sid("EP")),
        ("workspace_sid", own_sid("WS")),
        ("friendly_name", text()),
        ("workflow_sid", own_sid("WW")),
        ("attributes", text()),
        ("priority", nullable(count())),
        ("timeout", nullable(count())),
        ("greeting", nullable(text())),
        ("greeting_url", nullable(text())),
        ("calendar_sid", nullable(own_sid("CL"))),
        ("closed_action", constant(&FallbackAction::WORDS)),
        ("closed_text", nullable(text())),
        ("closed_number", nullable(text())),
        ("overflow_action", constant(&FallbackAction::WORDS)),
        ("overflow_text", nullable(text())),
        ("overflow_number", nullable(text())),
        ("voicemail_workflow_sid", nullable(own_sid("WW"))),
        ("voice_url", address()),
        ("version", count()),
        ("date_created", date()),
        ("date_updated", date()),
        ("url", address()),
    ]);
    vec![("Calendar", calendar), ("EntryPoint", entry_point)]
}

pub(super) fn operations() -> Vec<Operation> {
    calendars().into_iter().chain(entry_points()).collect()
}

fn calendars() -> Vec<Operation> {
    let all = &format!("{WORKSPACE_PATH}/Calendars");
    let one = &format!("{all}/{{Sid}}");
    // Names that everybody's database of time zones has.
    let zone = || json!({ "type": "string", "enum": ["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo"] });
    let json_text = |examples: &[&str]| json!({ "type": "string", "enum": examples });
    let hours = || json_text(&["{}", r#"{"mon":["09:00-12:00","13:00-17:30"],"sat":["00:00-24:00"]}"#]);
    let exceptions = || json_text(&["[]", r#"[{"date":"2026-12-25"},{"date":"2026-12-24","hours":["09:00-12:00"]}]"#]);
    vec![
        CALENDAR
            .list("ListCalendar", all, "calendars", "Calendars of the workspace")
            .query("FriendlyName", text())
            .paged(1),
        CALENDAR
            .create("CreateCalendar", all, "Makes a calendar; without hours it is closed")
            .required("FriendlyName", name())
            .required("TimeZone", zone())
            .field("Hours", hours())
            .field("Exceptions", exceptions()),
        CALENDAR.fetch("FetchCalendar", one, "One calendar, and whether it is open now"),
        CALENDAR
            .update("UpdateCalendar", one, "Changes a calendar, from the next call on")
            .field("FriendlyName", name())
            .field("TimeZone", zone())
            .field("Hours", hours())
            .field("Exceptions", exceptions()),
        CALENDAR.delete("DeleteCalendar", one, "Deletes a calendar that no entry point follows"),
    ]
}

fn entry_points() -> Vec<Operation> {
    let all = &format!("{WORKSPACE_PATH}/EntryPoints");
    let one = &format!("{all}/{{Sid}}");
    let said = || json!({ "type": "string", "maxLength": TEXT_LIMIT });
    let fields = |operation: Operation| {
        operation
            .field("Attributes", attributes())
            .field("Priority", integer(0..=i64::from(i32::MAX)))
            .field("Timeout", integer(1..=1_209_600))
            .field("Greeting", said())
            .field("GreetingUrl", url())
            .field("CalendarSid", sid("CL"))
            .field("ClosedAction", words(&FallbackAction::WORDS))
            .field("ClosedText", said())
            .field("ClosedNumber", text())
            .field("OverflowAction", words(&FallbackAction::WORDS))
            .field("OverflowText", said())
            .field("OverflowNumber", text())
            .field("VoicemailWorkflowSid", sid("WW"))
    };
    vec![
        ENTRY_POINT
            .list("ListEntryPoint", all, "entry_points", "Entry points of the workspace")
            .query("FriendlyName", text())
            .paged(1),
        fields(
            ENTRY_POINT
                .create(
                    "CreateEntryPoint",
                    all,
                    "Makes an entry point; its voice_url is for numbers of the phone system",
                )
                .required("FriendlyName", name())
                .required("WorkflowSid", sid("WW")),
        ),
        ENTRY_POINT.fetch("FetchEntryPoint", one, "One entry point"),
        fields(
            ENTRY_POINT
                .update("UpdateEntryPoint", one, "Changes an entry point, from the next call on")
                .field("FriendlyName", name())
                .field("WorkflowSid", sid("WW")),
        ),
        ENTRY_POINT.delete("DeleteEntryPoint", one, "Deletes an entry point; calls that come to it hear an apology"),
    ]
}
