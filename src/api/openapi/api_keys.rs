//! API keys of an account, in the forms of Twilio's 2010 API.

use serde_json::{Value, json};

use super::operation::{Operation, Resource};
use super::schema::{array, component, count, merged, nullable, object, own_sid, pattern, sid, text};
use crate::api::API_KEY_NAME_LIMIT;

const API_KEY: Resource = Resource { name: "ApiKey", sid: || sid("SK"), versioned: false };

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let date = || pattern("^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} \\+0000$");
    let key =
        object([("sid", own_sid("SK")), ("friendly_name", text()), ("date_created", date()), ("date_updated", date())]);
    let new = merged(key.clone(), object([("secret", text())]));
    vec![("ApiKey", key), ("NewApiKey", new)]
}

pub(super) fn operations() -> Vec<Operation> {
    let all = "/2010-04-01/Accounts/{AccountSid}/Keys.json";
    let one = "/2010-04-01/Accounts/{AccountSid}/Keys/{Sid}.json";
    let name = || json!({ "type": "string", "maxLength": API_KEY_NAME_LIMIT });
    let page = object([
        ("keys", array(component("ApiKey"))),
        ("page", count()),
        ("page_size", count()),
        ("start", count()),
        ("end", count()),
        ("uri", text()),
        ("first_page_uri", text()),
        ("next_page_uri", nullable(text())),
        ("previous_page_uri", nullable(text())),
    ]);
    // With one of the account's keys instead of its auth token.
    let refused = |operation: Operation| operation.error(403);
    vec![
        refused(API_KEY.list("ListKey", all, "keys", "API keys of the account").shown_as(page).paged(1)),
        refused(
            API_KEY
                .create("CreateKey", all, "Makes an API key and tells its secret, this once")
                .shown_as(component("NewApiKey"))
                .field("FriendlyName", name()),
        ),
        refused(API_KEY.fetch("FetchKey", one, "One API key")),
        refused(API_KEY.update("UpdateKey", one, "Renames an API key").field("FriendlyName", name())),
        refused(API_KEY.delete("DeleteKey", one, "Revokes an API key")),
    ]
}
