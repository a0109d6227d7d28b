//! Activities.

use serde_json::Value;

use super::WORKSPACE_PATH;
use super::operation::{Operation, Resource};
use super::schema::{address, boolean, date, lenient_flag, links, name, object, own_sid, sid, text};

const ACTIVITY: Resource = Resource { name: "Activity", sid: || sid("WA"), versioned: false };

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let activity = object([
        ("account_sid", own_sid("AC")),
        ("sid", own_sid("WA")),
        ("workspace_sid", own_sid("WS")),
        ("friendly_name", text()),
        ("available", boolean()),
        ("date_created", date()),
        ("date_updated", date()),
        ("url", address()),
        ("links", links(&["workspace"], &[])),
    ]);
    vec![("Activity", activity)]
}

pub(super) fn operations() -> Vec<Operation> {
    let all = &format!("{WORKSPACE_PATH}/Activities");
    let one = &format!("{all}/{{Sid}}");
    vec![
        ACTIVITY
            .list("ListActivity", all, "activities", "Activities of the workspace")
            .query("FriendlyName", text())
            .query("Available", lenient_flag())
            .paged(1),
        ACTIVITY
            .create("CreateActivity", all, "Makes an activity")
            .required("FriendlyName", name())
            .field("Available", lenient_flag()),
        ACTIVITY.fetch("FetchActivity", one, "One activity"),
        ACTIVITY.update("UpdateActivity", one, "Renames an activity").field("FriendlyName", name()),
        ACTIVITY.delete("DeleteActivity", one, "Deletes an activity that nobody is in and nothing refers to"),
    ]
}
