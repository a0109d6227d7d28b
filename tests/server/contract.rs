//! What is served, what is described and what the contract has are one and the same; answers are as described.
//!
//! The contract is Twilio's published description of TaskRouter, word for word, with its licence beside it. Every answer
//! that the tests of the API get passes through [`check_answer`]. Start with [`NOT_SERVED_YET`] and [`EXTRA_PARAMETERS`],
//! the only exceptions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axum::http::{HeaderMap, Method};
use jsonschema::Validator;
use serde_json::{Value, json};
use switchhook::api;
use switchhook::api::openapi::{self, Described, shape};
use switchhook::{server, voice};

use super::api::{ACCOUNT, Answer, Server, rooted, text};

/// Operations that are described, of the contract or of our own, and that no route serves as yet.
const NOT_SERVED_YET: &[&str] = &[];

/// Parameters of ours that the contract's operations do not have: operation and name.
const EXTRA_PARAMETERS: &[(&str, &str)] = &[
    ("ListEvent", "After"),
    ("UpdateTaskReservation", "Whisper"),
    ("UpdateTaskReservation", "AcceptKey"),
    ("UpdateTaskReservation", "DequeueWhisper"),
    ("UpdateTaskReservation", "DequeueAcceptKey"),
    ("UpdateWorkerReservation", "Whisper"),
    ("UpdateWorkerReservation", "AcceptKey"),
    ("UpdateWorkerReservation", "DequeueWhisper"),
    ("UpdateWorkerReservation", "DequeueAcceptKey"),
];

/// An operation of the contract.
struct Contracted {
    method: String,
    path: String,
    parameters: BTreeSet<String>,
    /// Keys of the body of a success, and of one row of a list.
    keys: BTreeSet<String>,
}

static CONTRACT: LazyLock<BTreeMap<String, Contracted>> = LazyLock::new(|| {
    let text = include_str!("../fixtures/contract/taskrouter_v1.openapi.json");
    let contract: Value = serde_json::from_str(text).unwrap();
    let mut operations = BTreeMap::new();
    for (path, methods) in contract["paths"].as_object().unwrap() {
        for method in ["get", "post", "delete"] {
            let Some(operation) = methods.get(method) else { continue };
            let contracted = Contracted {
                method: method.to_ascii_uppercase(),
                path: path.clone(),
                parameters: parameters(operation),
                keys: keys(&contract, operation),
            };
            operations.insert(text_of(&operation["operationId"]), contracted);
        }
    }
    operations
});

fn text_of(value: &Value) -> String {
    text(value).to_owned()
}

fn parameters(operation: &Value) -> BTreeSet<String> {
    let named = operation["parameters"].as_array().into_iter().flatten().map(|parameter| text_of(&parameter["name"]));
    let content = operation["requestBody"]["content"].as_object();
    let fields = content
        .and_then(|content| content.get("application/x-www-form-urlencoded"))
        .and_then(|form| form["schema"]["properties"].as_object())
        .into_iter()
        .flat_map(|properties| properties.keys().cloned());
    named.chain(fields).collect()
}

/// Keys of the first success, and of the rows if it is a list, with the list's key before them.
fn keys(document: &Value, operation: &Value) -> BTreeSet<String> {
    let success = ["200", "201"].into_iter().find_map(|status| operation["responses"].get(status));
    let Some(schema) = success.map(|success| &success["content"]["application/json"]["schema"]) else {
        return BTreeSet::new();
    };
    let mut keys = BTreeSet::new();
    for (key, property) in resolved(document, schema)["properties"].as_object().into_iter().flatten() {
        keys.insert(key.clone());
        if key == "meta" {
            let meta = resolved(document, property)["properties"].as_object().into_iter().flatten();
            keys.extend(meta.map(|(inner, _)| format!("meta.{inner}")));
        }
        let rows = resolved(document, &property["items"])["properties"].as_object();
        keys.extend(rows.into_iter().flatten().map(|(inner, _)| format!("{key}.{inner}")));
    }
    keys
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema.get("$ref") {
        Some(reference) => document.pointer(&text(reference)[1..]).unwrap(),
        None => schema,
    }
}

fn of_contract(id: &str) -> bool {
    CONTRACT.contains_key(id)
}

#[test]
fn the_contract_has_61_operations() {
    assert_eq!(CONTRACT.len(), 61);
}

#[test]
fn what_is_served_is_the_contract_and_the_additions_that_are_written_down() {
    let tables = || api::ROUTES.iter().chain(api::AGENT_ROUTES);
    let served: BTreeSet<(String, String)> =
        tables().map(|(method, path)| ((*method).to_owned(), shape(&format!("/v1{path}")))).collect();
    assert_eq!(served.len(), tables().count(), "a route is in a table twice");
    let contracted = CONTRACT.iter().filter(|(id, _)| !NOT_SERVED_YET.contains(&id.as_str()));
    let contracted = contracted.map(|(_, operation)| (operation.method.clone(), shape(&operation.path)));
    let page = include_str!("../../docs/compatibility.md");
    let additions: BTreeSet<_> = page.lines().filter_map(addition).collect();
    assert!(!additions.is_empty());
    let expected: BTreeSet<_> = contracted.chain(additions).collect();
    let missing: Vec<_> = expected.difference(&served).collect();
    let extra: Vec<_> = served.difference(&expected).collect();
    assert!(missing.is_empty(), "of the contract or of docs/compatibility.md, but not served: {missing:?}");
    assert!(extra.is_empty(), "served, but not in the contract and not in docs/compatibility.md: {extra:?}");
}

/// A row of the additions: method and path between backticks.
fn addition(line: &str) -> Option<(String, String)> {
    let (method, path) = line.strip_prefix("| `")?.split_once('`')?.0.split_once(' ')?;
    (path.starts_with("/v1/") && method.bytes().all(|byte| byte.is_ascii_uppercase()))
        .then(|| (method.to_owned(), shape(path)))
}

#[test]
fn every_route_is_described_and_every_description_has_a_route() {
    let both = |paths: &[&str]| -> Vec<(String, String)> {
        paths.iter().flat_map(|path| ["GET", "POST"].map(|method| (method.to_owned(), shape(path)))).collect()
    };
    let mut served: BTreeSet<(String, String)> =
        api::ROUTES.iter().map(|(method, path)| ((*method).to_owned(), shape(&format!("/v1{path}")))).collect();
    served.extend(
        api::ROUTES_2010.iter().map(|(method, path)| ((*method).to_owned(), shape(&format!("/2010-04-01{path}")))),
    );
    served.extend(api::AGENT_ROUTES.iter().map(|(method, path)| ((*method).to_owned(), shape(&format!("/v1{path}")))));
    served.extend(both(voice::ROUTES));
    served.extend(server::HEALTH_ROUTES.map(|path| ("GET".to_owned(), path.to_owned())));
    served.insert(("GET".to_owned(), shape("/openapi.json")));
    let described = openapi::described();
    let found: BTreeSet<_> = described
        .iter()
        .filter(|operation| !NOT_SERVED_YET.contains(&operation.id))
        .map(|operation| (operation.method.to_owned(), shape(&operation.path)))
        .collect();
    let missing: Vec<_> = served.difference(&found).collect();
    assert!(missing.is_empty(), "served but not described: {missing:?}");
    let extra: Vec<_> = found.difference(&served).collect();
    assert!(extra.is_empty(), "described but not served: {extra:?}");
    for id in NOT_SERVED_YET {
        let operation = described.iter().find(|operation| operation.id == *id);
        assert!(!operation.unwrap_or_else(|| panic!("{id} is not described")).served, "{id} is served now");
    }
}

#[test]
fn descriptions_have_the_contracts_names_paths_and_parameters() {
    let described = openapi::described();
    for (id, contracted) in CONTRACT.iter() {
        let operation = described.iter().find(|operation| operation.id == id);
        let operation = operation.unwrap_or_else(|| panic!("{id} is not described"));
        assert_eq!((operation.method, &operation.path), (contracted.method.as_str(), &contracted.path), "{id}");
        let extra = EXTRA_PARAMETERS.iter().filter(|(of, _)| of == id).map(|(_, name)| (*name).to_owned());
        let expected: BTreeSet<_> = contracted.parameters.iter().cloned().chain(extra).collect();
        assert_eq!(parameters(&operation.operation), expected, "{id}");
    }
    for (id, name) in EXTRA_PARAMETERS {
        assert!(!CONTRACT[*id].parameters.contains(*name), "{name} of {id} is the contract's");
    }
}

#[test]
fn descriptions_have_every_key_of_the_contracts_answers() {
    let document = openapi::document();
    for operation in openapi::described().iter().filter(|operation| of_contract(operation.id)) {
        let ours = keys(&document, &operation.operation);
        let missing: Vec<_> = CONTRACT[operation.id].keys.difference(&ours).collect();
        assert!(missing.is_empty(), "{}: {missing:?}", operation.id);
    }
}

#[test]
fn the_test_of_keys_sees_the_rows_of_lists() {
    let keys = &CONTRACT["ListWorker"].keys;
    for key in ["workers", "workers.sid", "meta.next_page_url"] {
        assert!(keys.contains(key), "{key}");
    }
    assert!(CONTRACT["FetchWorker"].keys.contains("activity_name"));
}

/// What one operation may answer, by status; none for an answer without a body.
struct Answers {
    described: Described,
    by_status: BTreeMap<u16, Option<Validator>>,
}

static ANSWERS: LazyLock<Vec<Answers>> = LazyLock::new(|| {
    let document = openapi::document();
    let schemas = json!({ "schemas": document["components"]["schemas"] });
    let answers = |described: Described| {
        let mut by_status = BTreeMap::new();
        for (status, response) in described.operation["responses"].as_object().unwrap() {
            let validator =
                response.get("content").and_then(|content| content.get("application/json")).map(|content| {
                    let schema = json!({ "components": schemas, "allOf": [content["schema"]] });
                    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
                });
            by_status.insert(status.parse().unwrap(), validator);
        }
        Answers { described, by_status }
    };
    openapi::described().into_iter().filter(|operation| operation.served).map(answers).collect()
});

fn described_at(method: &Method, path: &str) -> Option<&'static Answers> {
    let path = path.strip_suffix(".json").unwrap_or(path);
    let fits = |template: &str| {
        let template = template.strip_suffix(".json").unwrap_or(template);
        template.split('/').count() == path.split('/').count()
            && template.split('/').zip(path.split('/')).all(|(part, given)| part.starts_with('{') || part == given)
    };
    let fitting = ANSWERS.iter().filter(|answers| answers.described.method == method && fits(&answers.described.path));
    // Words of a path win over parameters.
    fitting.min_by_key(|answers| answers.described.path.matches('{').count())
}

/// Panics when an answer is not one that the description has; answers of paths that are not described are free.
pub(crate) fn check_answer(method: &Method, path: &str, answer: &Answer) {
    let Some(answers) = described_at(method, path) else { return };
    let id = answers.described.id;
    let Some(validator) = answers.by_status.get(&answer.status.as_u16()) else {
        panic!("{id} answers {}, which is not described: {}", answer.status, answer.body);
    };
    match validator {
        Some(validator) => {
            let errors: Vec<_> = validator
                .iter_errors(&answer.body)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{id} {}: {}\n{:#}", answer.status, errors.join("\n"), answer.body);
        }
        None => assert_eq!(answer.body, Value::Null, "{id} {}", answer.status),
    }
    for (name, header) in
        answers.described.operation["responses"][answer.status.as_str()]["headers"].as_object().into_iter().flatten()
    {
        let value = answer.headers.get(name).unwrap_or_else(|| panic!("{id} {}: no {name}", answer.status));
        let quoted = value.to_str().is_ok_and(|value| jsonschema::is_valid(&header["schema"], &json!(value)));
        assert!(quoted, "{id} {}: {name}: {value:?}", answer.status);
    }
}

#[test]
#[should_panic(expected = "which is not described")]
fn an_undescribed_status_is_found() {
    let answer = Answer { status: axum::http::StatusCode::IM_A_TEAPOT, headers: HeaderMap::default(), body: json!({}) };
    check_answer(&Method::GET, "/v1/Workspaces", &answer);
}

#[test]
#[should_panic(expected = "workspaces")]
fn a_missing_key_is_found() {
    let answer =
        Answer { status: axum::http::StatusCode::OK, headers: HeaderMap::default(), body: json!({ "meta": {} }) };
    check_answer(&Method::GET, "/v1/Workspaces", &answer);
}

/// A story in which every operation that is served succeeds once.
#[tokio::test]
async fn every_operation_succeeds_as_described() {
    let server = Server::start_with_silent_phone().await;
    let mut story = Story { server: &server, told: BTreeSet::new() };
    let made = story.post("/Workspaces", "FriendlyName=Story&Template=FIFO").await;
    let workspace = format!("/Workspaces/{}", text(&made["sid"]));
    story.get("/Workspaces?PageSize=1").await;
    story.get(&workspace).await;
    story.post(&workspace, "PrioritizeQueueOrder=lifo").await;
    let at = |path: &str| format!("{workspace}/{path}");
    for (collection, form, change) in [
        ("Activities", "FriendlyName=Lunch", "FriendlyName=Break"),
        ("TaskChannels", "FriendlyName=Fax&UniqueName=fax", "ChannelOptimizedRouting=true"),
        ("TaskQueues", "FriendlyName=Night&TargetWorkers=1==2", "TaskOrder=LIFO"),
        ("Workers", "FriendlyName=eli&Attributes={}", "Attributes={\"level\":1}"),
        ("Tasks", "RoutingTarget=&Priority=3", "AssignmentStatus=canceled&Reason=story"),
    ] {
        story.keep(&at(collection), form, change).await;
    }
    let queue = text_of(&story.get(&at("TaskQueues")).await["task_queues"][0]["sid"]);
    let configuration = json!({ "task_routing": { "default_filter": { "queue": queue } } });
    let form = format!("FriendlyName=Other&Configuration={configuration}");
    story.keep(&at("Workflows"), &form, "TaskReservationTimeout=5").await;

    let workflow = text_of(&story.get(&at("Workflows")).await["workflows"][0]["sid"]);
    let hours = r#"{"mon":["09:00-17:00"]}"#;
    story.keep(&at("Calendars"), &format!("FriendlyName=Office&TimeZone=UTC&Hours={hours}"), "FriendlyName=Shop").await;
    let form = format!("FriendlyName=Sales&WorkflowSid={workflow}");
    story.keep(&at("EntryPoints"), &form, "ClosedAction=voicemail").await;
    let worker = server.worker(&workspace, "dana").await;
    for of in ["", &format!("TaskQueues/{queue}/"), &format!("Workflows/{workflow}/"), "Workers/"] {
        for kind in ["", "RealTime", "Cumulative"] {
            story.get(&at(&format!("{of}{kind}Statistics?TaskChannel=voice"))).await;
        }
    }
    story.get(&at(&format!("Workers/{worker}/Statistics"))).await;
    story.get(&at("TaskQueues/Statistics?SplitByWaitTime=5,10")).await;
    story.post(&at("TaskQueues/RealTimeStatistics"), &json!({ "queueSids": [queue] }).to_string()).await;

    let channels = at(&format!("Workers/{worker}/Channels"));
    story.get(&channels).await;
    story.get(&format!("{channels}/voice")).await;
    story.post(&format!("{channels}/default"), "Capacity=5").await;

    let task = text_of(&story.post(&at("Tasks"), "").await["sid"]);
    let of_task = at(&format!("Tasks/{task}/Reservations"));
    let of_worker = at(&format!("Workers/{worker}/Reservations"));
    let reservation = text_of(&story.get(&of_task).await["reservations"][0]["sid"]);
    story.get(&of_worker).await;
    story.get(&format!("{of_task}/{reservation}")).await;
    story.get(&format!("{of_worker}/{reservation}")).await;
    story.post(&format!("{of_task}/{reservation}"), "ReservationStatus=accepted").await;

    let eve = server.worker(&workspace, "eve").await;
    let transfers = at(&format!("Workers/{worker}/Transfers"));
    let form = format!("TaskSid={task}&ReservationSid={reservation}&To={eve}");
    let transfer = text_of(&story.post(&transfers, &form).await["sid"]);
    story.get(&transfers).await;
    story.get(&format!("{transfers}/{transfer}")).await;
    story.post(&format!("{transfers}/{transfer}"), &format!("TaskSid={task}&TransferStatus=canceled")).await;
    story.post(&format!("{of_worker}/{reservation}"), "ReservationStatus=completed").await;

    server.enqueue_call(&workspace, &workflow).await;
    let row = story.get(&format!("{of_worker}?ReservationStatus=pending")).await["reservations"][0].clone();
    story.get(&at(&format!("Tasks/{}/Reservations/{}/Conference", text(&row["task_sid"]), text(&row["sid"])))).await;
    story.get(&format!("{of_worker}/{}/Conference", text(&row["sid"]))).await;

    server.join_call(&workspace, &row).await;
    let of_call = at(&format!("Tasks/{}", text(&row["task_sid"])));
    story.get(&format!("{of_call}/Conference")).await;
    let third = text_of(&story.post(&format!("{of_call}/Participants"), "To=client%3Aeve").await["label"]);
    story.get(&format!("{of_call}/Participants")).await;
    story.get(&format!("{of_call}/Participants/{third}")).await;
    story.post(&format!("{of_call}/Participants/customer"), "Hold=true").await;
    story.delete(&format!("{of_call}/Participants/{third}")).await;
    story.post(&format!("{of_call}/Conference"), "Status=completed").await;

    story.get(&at("Presence")).await;
    story.post(&at("Presence"), "DisconnectGraceSeconds=30").await;

    story.get(&at(&format!("Tasks/{task}/Explain?Limit=5"))).await;
    story.get(&at(&format!("Tasks/{}/Position", text(&row["task_sid"])))).await;
    story.get(&at(&format!("Workers/{worker}/Explain"))).await;
    story.post(&at("Workflows/DryRun"), &format!("Attributes={{}}&WorkflowSid={workflow}")).await;
    let configuration = format!(r#"{{"task_routing":{{"default_filter":{{"queue":"{queue}"}}}}}}"#);
    story.post(&at("Workflows/Lint"), &format!("Configuration={configuration}")).await;
    story.get(&at(&format!("Workflows/{workflow}/Lint"))).await;

    let event = text_of(&story.get(&at("Events?PageSize=5")).await["events"][0]["sid"]);
    story.get(&at(&format!("Events/{event}"))).await;
    story.post(&workspace, "EventCallbackUrl=https://calls.example/events").await;
    story.get(&at("Events/Endpoint")).await;
    story.post(&at("Events/Endpoint"), "Status=enabled").await;
    story.post(&at("Events/Deliveries"), "State=dead").await;
    story.post(&at(&format!("Events/{event}/Delivery"))[..], "").await;
    story.get(&at(&format!("Events/{event}/Delivery"))).await;
    story.get(&at("Events/Deliveries?State=waiting")).await;
    story.get(&at("Events/Stream?After=0")).await;
    story.post(&format!("/2010-04-01/Accounts/{ACCOUNT}/Keys"), "FriendlyName=Signer").await;
    story.post(&at("Tokens"), &format!("WorkerSid={worker}&Role=supervisor&Lifetime=60")).await;
    // The phone system is silent, so the call in the workspace is not over.
    let spare = text_of(&story.post("/Workspaces", "FriendlyName=Spare").await["sid"]);
    story.delete(&format!("/Workspaces/{spare}")).await;

    let keys = format!("/2010-04-01/Accounts/{ACCOUNT}/Keys");
    story.keep(&keys, "FriendlyName=Desk", "FriendlyName=Front+desk").await;

    // The agents' routes have a story of their own, in `agents`.
    let below = |path: &str| path.starts_with("/v1/Workspaces") || path.starts_with("/2010-04-01/");
    let below = ANSWERS.iter().filter(|answers| below(&answers.described.path));
    let left_out: Vec<_> = below.map(|answers| answers.described.id).filter(|id| !story.told.contains(id)).collect();
    assert!(left_out.is_empty(), "add them to the story: {left_out:?}");
    server.stop().await;
}

struct Story<'a> {
    server: &'a Server,
    /// Operations that succeeded.
    told: BTreeSet<&'static str>,
}

impl Story<'_> {
    async fn get(&mut self, path: &str) -> Value {
        let answer = self.server.get(path).await;
        self.tell(&Method::GET, path, answer)
    }

    async fn post(&mut self, path: &str, form: &str) -> Value {
        let answer = self.server.post(path, form).await;
        self.tell(&Method::POST, path, answer)
    }

    async fn delete(&mut self, path: &str) {
        let answer = self.server.delete(path).await;
        self.tell(&Method::DELETE, path, answer);
    }

    /// Makes, lists, fetches, changes and deletes one resource.
    async fn keep(&mut self, collection: &str, form: &str, change: &str) {
        let made = self.post(collection, form).await;
        let path = format!("{collection}/{}", text(&made["sid"]));
        self.get(collection).await;
        self.get(&path).await;
        self.post(&path, change).await;
        self.delete(&path).await;
    }

    fn tell(&mut self, method: &Method, path: &str, answer: Answer) -> Value {
        assert!(answer.status.is_success(), "{method} {path}: {} {}", answer.status, answer.body);
        let path = rooted(path.split('?').next().unwrap());
        let answers = described_at(method, &path).unwrap_or_else(|| panic!("{method} {path} is not described"));
        self.told.insert(answers.described.id);
        answer.body
    }
}
