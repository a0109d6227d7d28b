//! The document by itself; what the server makes of it is checked in `tests/server/contract.rs`.

use std::collections::BTreeSet;

use super::*;

#[test]
fn names_of_operations_are_unique_and_links_lead_to_them() {
    let ids: Vec<_> = operations().iter().map(|operation| operation.id).collect();
    let unique: BTreeSet<_> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len());
    let document = document();
    let made = &document["paths"]["/v1/Workspaces/{WorkspaceSid}/Workers"]["post"]["responses"]["201"]["links"];
    let expected = json!({ "WorkspaceSid": "$response.body#/workspace_sid", "Sid": "$response.body#/sid" });
    assert_eq!(made["FetchWorker"], json!({ "operationId": "FetchWorker", "parameters": expected }));
    let expected = json!({ "WorkspaceSid": "$response.body#/workspace_sid", "WorkerSid": "$response.body#/sid" });
    assert_eq!(made["ListWorkerReservation"]["parameters"], expected);
    for path in document["paths"].as_object().unwrap().values() {
        for operation in path.as_object().unwrap().values() {
            for response in operation["responses"].as_object().unwrap().values() {
                for link in response.get("links").and_then(Value::as_object).into_iter().flat_map(Map::values) {
                    assert!(unique.contains(link["operationId"].as_str().unwrap()), "{link}");
                }
            }
        }
    }
}

#[test]
fn every_schema_that_is_named_exists() {
    let document = document();
    let mut named = BTreeSet::new();
    collect(&document, &mut named);
    assert!(named.contains("#/components/schemas/Worker"));
    for reference in named {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
    }
}

fn collect<'a>(value: &'a Value, references: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| collect(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}

#[test]
fn an_empty_field_of_a_form_is_an_absent_one() {
    let pattern = |schema: Value| schema::or_nothing(schema)["pattern"].clone();
    assert_eq!(pattern(schema::sid("WA")), "^(WA[0-9a-fA-F]{32})?$");
    assert_eq!(pattern(schema::words(&["a-b", "c"])), "^(([Aa]-[Bb]|[Cc]))?$");
    assert_eq!(pattern(schema::name()), "\\S");
    let integer = json!({ "type": "integer", "minimum": 1, "maximum": 9 });
    let nothing = json!({ "type": "string", "maxLength": 0 });
    assert_eq!(schema::or_nothing(schema::integer(1..=9)), json!({ "anyOf": [integer, nothing] }));
    assert_eq!(schema::or_nothing(schema::attributes()), schema::attributes());
}

#[test]
fn everything_below_the_api_needs_credentials_and_says_so() {
    for described in described() {
        let open = described.operation["security"] == json!([]);
        // Agents' requests carry a token instead.
        let by_token = described.path.starts_with("/v1/wschannels");
        let below = (described.path.starts_with(API) && !by_token) || described.path.starts_with(API_2010);
        assert_eq!(open, !below && !described.path.starts_with("/voice"), "{}", described.id);
        if below {
            for status in ["401", "404", "429", "503"] {
                let schema = &described.operation["responses"][status]["content"]["application/json"]["schema"];
                assert_eq!(*schema, schema::component("Error"), "{} {status}", described.id);
            }
        }
    }
}
