//! The phone system over its router: authentication, the shape of resources, and real webhooks to a small server.

mod control;
mod dialect;
mod documentation;
mod recordings;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::response::Redirect;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::clock::{Clock, Entropy};
use crate::signature;
use crate::softswitch::{Number, Options, Softswitch};

const ACCOUNT: &str = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const TOKEN: &str = "phone_token";
const NUMBER: &str = "+15552220000";

fn options() -> Options {
    Options {
        account_sid: ACCOUNT.to_owned(),
        auth_token: SecretString::from(TOKEN.to_owned()),
        speed: 100.0,
        ..Options::default()
    }
}

fn start(options: Options) -> Softswitch {
    Softswitch::start(options, Clock::system(), Entropy)
}

/// Sends one request with the right credentials; returns status and JSON (null for an empty body).
async fn send(phone: &Softswitch, method: &str, path: &str, body: &str) -> (u16, Value) {
    let credentials = STANDARD.encode(format!("{ACCOUNT}:{TOKEN}"));
    send_as(phone, method, path, body, Some(&format!("Basic {credentials}"))).await
}

async fn send_as(phone: &Softswitch, method: &str, path: &str, body: &str, credentials: Option<&str>) -> (u16, Value) {
    let mut request = HttpRequest::builder().method(method).uri(path);
    if let Some(credentials) = credentials {
        request = request.header(AUTHORIZATION, credentials);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = phone.router().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1_000_000).await.unwrap();
    (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
}

async fn rest(phone: &Softswitch, method: &str, path: &str, body: &str) -> (u16, Value) {
    send(phone, method, &format!("/2010-04-01/Accounts/{ACCOUNT}/{path}"), body).await
}

#[tokio::test]
async fn requests_without_the_right_credentials_are_refused() {
    let phone = start(options());
    let path = format!("/2010-04-01/Accounts/{ACCOUNT}/Calls.json");
    let wrong = format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}:wrong")));
    for credentials in [None, Some("Bearer x"), Some("Basic ???"), Some(wrong.as_str())] {
        for path in [path.as_str(), "/control/calls", "/elsewhere"] {
            let (status, body) = send_as(&phone, "GET", path, "", credentials).await;
            assert_eq!((status, &body["code"]), (401, &json!(20003)), "{path} {credentials:?}");
        }
    }
    let open = start(Options { auth_token: SecretString::from(String::new()), ..options() });
    let empty = format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}:")));
    assert_eq!(send_as(&open, "GET", &path, "", Some(&empty)).await.0, 401, "an empty token opens nothing");
}

#[tokio::test]
async fn refusals_have_twilios_form() {
    let phone = start(options());
    let (status, body) = rest(&phone, "GET", "Calls/CA1.json", "").await;
    assert_eq!(status, 404);
    assert_eq!(body["more_info"], "https://www.twilio.com/docs/errors/20404");
    assert_eq!((&body["code"], &body["status"]), (&json!(20404), &json!(404)));
    let twiml = "Twiml=%3CResponse%2F%3E";
    for (method, path, form, status, code) in [
        ("POST", "Calls.json", "From=%2B15550001", 400, 21201),
        ("POST", "Calls.json", "To=%2B15550001", 400, 21213),
        ("POST", "Calls.json", "To=nobody&From=%2B15550001", 400, 21211),
        ("POST", "Calls.json", "To=%2B15550001&From=%2B15550002", 400, 21205),
        ("POST", "Calls.json", "To=%2B15550001&From=%2B15550002&Url=ftp%3A%2F%2Fx", 400, 21205),
        ("POST", "Calls.json", "To=%2B15550001&From=%2B15550002&Twiml=%3CNo", 400, 12100),
        ("POST", "Calls.json", &format!("To=%2B15550001&From=1&Timeout=long&{twiml}"), 400, 20001),
        ("GET", "Calls.json?Status=gone", "", 400, 20001),
        ("GET", "Calls.json?StartTime%3E=today", "", 400, 20001),
        ("DELETE", "Calls.json", "", 405, 20004),
        ("GET", "Messages.json", "", 404, 20404),
        ("POST", "Conferences/WT1/Participants.json", "From=1", 400, 21201),
        (
            "POST",
            "Conferences/CF00000000000000000000000000000000/Participants.json",
            "From=1&To=client%3Aa",
            404,
            20404,
        ),
        ("POST", "Queues.json", "MaxSize=9", 400, 22001),
        ("POST", "Queues.json", "FriendlyName=a&MaxSize=5001", 400, 20001),
    ] {
        let (given_status, body) = rest(&phone, method, path, form).await;
        assert_eq!((given_status, &body["code"]), (status, &json!(code)), "{method} {path} {form}");
    }
    let other = format!("/2010-04-01/Accounts/AC{}/Calls.json", "b".repeat(32));
    assert_eq!(send(&phone, "GET", &other, "").await.0, 404);
}

/// Compares keys and types with what the published contract says.
#[track_caller]
fn fits(contract: &Value, kind: &str, value: &Value) {
    let expected = contract[kind].as_object().unwrap();
    let given = value.as_object().unwrap();
    let mut given_keys: Vec<&String> =
        given.keys().filter(|key| *key != "subresource_uris" || expected.contains_key("subresource_uris")).collect();
    let mut expected_keys: Vec<&String> = expected.keys().collect();
    given_keys.sort();
    expected_keys.sort();
    assert_eq!(given_keys, expected_keys, "{kind}");
    for (key, type_name) in expected {
        let value = &given[key];
        let right = match type_name.as_str().unwrap() {
            "string" => value.is_string(),
            "integer" => value.is_i64(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("{other}"),
        };
        assert!(right || value.is_null(), "{kind}.{key} is {value}");
    }
}

#[tokio::test]
async fn resources_and_lists_have_the_keys_of_the_contract() {
    let contract: Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/voice_contract_keys.json")).unwrap();
    let phone = start(Options { speed: 0.001, ..options() });
    let (status, call) =
        rest(&phone, "POST", "Calls.json", "To=%2B14155551212&From=client%3Aa&Twiml=%3CResponse%2F%3E").await;
    assert_eq!((status, &call["status"], &call["to_formatted"]), (201, &json!("queued"), &json!("(415) 555-1212")));
    fits(&contract, "call", &call);
    let form = "To=client%3Aa&From=%2B15550001&Label=WR%201";
    let (status, participant) = rest(&phone, "POST", "Conferences/my%20room/Participants.json", form).await;
    assert_eq!((status, &participant["label"]), (201, &json!("WR 1")));
    fits(&contract, "participant", &participant);
    let room_sid = participant["conference_sid"].as_str().unwrap();
    let (_, room) = rest(&phone, "GET", &format!("Conferences/{room_sid}.json"), "").await;
    assert_eq!((&room["friendly_name"], &room["status"]), (&json!("my room"), &json!("init")));
    fits(&contract, "conference", &room);
    let (status, by_label) = rest(&phone, "POST", "Conferences/my%20room/Participants/WR%201.json", "Muted=true").await;
    assert_eq!((status, &by_label["muted"]), (200, &json!(true)));
    let (status, queue) = rest(&phone, "POST", "Queues.json", "FriendlyName=q&MaxSize=5").await;
    assert_eq!(status, 201);
    fits(&contract, "queue", &queue);
    send(&phone, "PUT", "/control/numbers/%2B1555", r#"{"voice_url":"http://127.0.0.1:1/"}"#).await;
    let queue_sid = queue["sid"].as_str().unwrap();
    for (key, path) in [
        ("calls", "Calls.json"),
        ("conferences", "Conferences.json"),
        ("participants", &format!("Conferences/{room_sid}/Participants.json")),
        ("queues", "Queues.json"),
        ("queue_members", &format!("Queues/{queue_sid}/Members.json")),
    ] {
        let (status, list) = rest(&phone, "GET", path, "").await;
        assert_eq!(status, 200);
        fits(&contract, key, &list);
    }
    let path = format!("Conferences/{room_sid}/Participants/WR%201.json");
    assert_eq!(rest(&phone, "DELETE", &path, "").await.0, 204);
    assert_eq!(rest(&phone, "DELETE", &path, "").await.0, 404);
    assert_eq!(rest(&phone, "DELETE", &format!("Queues/{queue_sid}.json"), "").await, (204, Value::Null));
}

#[tokio::test]
async fn lists_link_to_their_neighbours_and_keep_the_filters() {
    let phone = start(options());
    for name in ["a", "b", "c"] {
        rest(&phone, "POST", "Queues.json", &format!("FriendlyName={name}")).await;
    }
    let (_, list) = rest(&phone, "GET", "Queues.json?PageSize=1&Page=1&Colour=red", "").await;
    let base = format!("/2010-04-01/Accounts/{ACCOUNT}/Queues.json?Colour=red&PageSize=1&Page=");
    assert_eq!(list["queues"][0]["friendly_name"], "b");
    assert_eq!(
        (&list["start"], &list["end"], &list["page"], &list["page_size"]),
        (&json!(1), &json!(1), &json!(1), &json!(1))
    );
    for (key, page) in [("first_page_uri", 0), ("previous_page_uri", 0), ("uri", 1), ("next_page_uri", 2)] {
        assert_eq!(list[key], format!("{base}{page}"), "{key}");
    }
    let (_, end) = rest(&phone, "GET", "Queues.json?PageSize=1&Page=2", "").await;
    assert_eq!(end["next_page_uri"], Value::Null);
}

/// What the small server received.
#[derive(Debug)]
struct Received {
    method: String,
    path: String,
    params: BTreeMap<String, String>,
    is_signed: bool,
    idempotency_token: String,
}

struct App {
    base: String,
    received: mpsc::Receiver<Received>,
}

impl App {
    /// A server on loopback that hands `answer` the path of each request and reports what it got.
    async fn start(answer: impl Fn(&str) -> Response + Clone + Send + Sync + 'static) -> Self {
        let (sender, received) = mpsc::channel(100);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(
            move |method: Method, OriginalUri(uri): OriginalUri, headers: HeaderMap, body: Bytes| {
                let (sender, answer) = (sender.clone(), answer.clone());
                async move {
                    let url = format!("http://{}{uri}", headers[HOST].to_str().unwrap());
                    let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(&body).unwrap();
                    let given = headers[signature::HEADER].to_str().unwrap();
                    let query =
                        serde_urlencoded::from_str::<Vec<(String, String)>>(uri.query().unwrap_or_default()).unwrap();
                    let received = Received {
                        method: method.to_string(),
                        path: uri.path().to_owned(),
                        is_signed: signature::verify_form(TOKEN, &url, &pairs, given),
                        params: pairs.into_iter().chain(query).collect(),
                        idempotency_token: headers["i-twilio-idempotency-token"].to_str().unwrap().to_owned(),
                    };
                    sender.send(received).await.unwrap();
                    answer(uri.path())
                }
            },
        );
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, received }
    }

    async fn next(&mut self) -> Received {
        tokio::time::timeout(Duration::from_secs(10), self.received.recv()).await.expect("a request arrives").unwrap()
    }
}

fn xml(text: &'static str) -> Response {
    ([(CONTENT_TYPE, "text/xml; charset=utf-8")], text).into_response()
}

fn with_number(app: &App, change: impl FnOnce(&mut Number)) -> Softswitch {
    let mut number = Number::new(NUMBER, format!("{}/voice?tenant=7&task={{\"a\": [1]}}#rt=9", app.base));
    number.status_callback = Some(format!("{}/status", app.base));
    change(&mut number);
    start(Options { numbers: vec![number], ..options() })
}

const PLACE: &str = r#"{"from":"+15551110000","to":"+15552220000"}"#;

#[tokio::test]
async fn webhooks_are_signed_and_follow_redirects() {
    let mut app = App::start(|path| match path {
        "/voice" => Redirect::temporary("/moved").into_response(),
        "/moved" => Redirect::to("/voice/document").into_response(),
        "/voice/document" => xml("<Response><Redirect>next</Redirect></Response>"),
        "/voice/next" => xml("<Response><Say>ok</Say></Response>"),
        _ => StatusCode::NO_CONTENT.into_response(),
    })
    .await;
    let phone = with_number(&app, |_| {});
    let (status, placed) = send(&phone, "POST", "/control/calls", PLACE).await;
    assert_eq!(status, 201);
    let mut tokens = Vec::new();
    for (method, path, call_status) in [
        ("POST", "/voice", Some("ringing")),
        ("POST", "/moved", Some("ringing")),
        ("GET", "/voice/document", None),
        ("POST", "/voice/next", Some("ringing")),
        ("POST", "/status", Some("completed")),
    ] {
        let received = app.next().await;
        assert_eq!((received.method.as_str(), received.path.as_str()), (method, path));
        assert!(received.is_signed, "{path}");
        assert_eq!(received.params.get("CallStatus").map(String::as_str), call_status, "{path}");
        if path == "/voice" {
            assert_eq!((received.params["tenant"].as_str(), received.params["task"].as_str()), ("7", "{\"a\": [1]}"));
        }
        if call_status.is_some() {
            assert_eq!(received.params["CallSid"], placed["call_sid"], "{path}");
        }
        tokens.push(received.idempotency_token);
    }
    assert_eq!(tokens[0], tokens[2], "one webhook, one token");
    assert_ne!(tokens[0], tokens[3]);
}

#[tokio::test]
async fn a_get_webhook_carries_its_parameters_in_the_query() {
    let mut app = App::start(|_| xml("<Response/>")).await;
    let phone = with_number(&app, |number| number.voice_method = crate::softswitch::Method::Get);
    send(&phone, "POST", "/control/calls", PLACE).await;
    let received = app.next().await;
    assert_eq!((received.method.as_str(), received.is_signed), ("GET", true));
    assert_eq!((received.params["tenant"].as_str(), received.params["To"].as_str()), ("7", NUMBER));
}

#[tokio::test]
async fn documents_that_cannot_be_had_end_the_call_and_are_noted_with_their_code() {
    for (change, code) in
        [("/missing", "11200"), ("/huge", "11750"), ("/loop", "11215"), ("/json", "12300"), ("/unreachable", "11205")]
    {
        let mut app = App::start(|path| match path {
            "/huge" => ([(CONTENT_TYPE, "text/xml")], "x".repeat(70_000)).into_response(),
            "/loop" => Redirect::temporary("/loop").into_response(),
            "/json" => respond(StatusCode::OK, Some(json!({}))),
            "/missing" => StatusCode::NOT_FOUND.into_response(),
            _ => StatusCode::NO_CONTENT.into_response(),
        })
        .await;
        let base = if change == "/unreachable" { "http://127.0.0.1:1".to_owned() } else { app.base.clone() };
        let phone = with_number(&app, |number| number.voice_url = format!("{base}{change}"));
        send(&phone, "POST", "/control/calls", PLACE).await;
        let end = loop {
            let received = app.next().await;
            if received.path == "/status" {
                break received;
            }
        };
        assert_eq!(end.params["CallStatus"], "failed", "{change}");
        let (_, events) = send(&phone, "GET", "/control/events", "").await;
        let error = events["events"].as_array().unwrap().iter().find(|event| event["kind"] == "call.error").unwrap();
        assert!(error["detail"].as_str().unwrap().starts_with(code), "{error}");
    }
}

#[tokio::test]
async fn callbacks_of_one_call_arrive_in_order() {
    let mut app = App::start(|_| StatusCode::NO_CONTENT.into_response()).await;
    let phone = start(options());
    let callback = serde_urlencoded::to_string([
        ("To", "client:ann"),
        ("From", NUMBER),
        ("Twiml", "<Response><Say>ok</Say></Response>"),
        ("StatusCallback", &format!("{}/status", app.base)),
        ("StatusCallbackEvent", "initiated"),
        ("StatusCallbackEvent", "ringing"),
        ("StatusCallbackEvent", "answered"),
        ("StatusCallbackEvent", "completed"),
    ])
    .unwrap();
    rest(&phone, "POST", "Calls.json", &callback).await;
    for (sequence, status) in ["initiated", "ringing", "in-progress", "completed"].into_iter().enumerate() {
        let received = app.next().await;
        assert_eq!(received.params["CallStatus"], status);
        assert_eq!(received.params["SequenceNumber"], sequence.to_string());
        assert!(received.is_signed);
    }
}

#[tokio::test]
async fn the_control_api_plays_the_far_ends() {
    let mut app = App::start(|path| match path {
        "/voice" => xml("<Response><Gather numDigits=\"1\" timeout=\"4000\" action=\"/keys\"/></Response>"),
        "/keys" => xml("<Response><Dial><Client>ann</Client></Dial></Response>"),
        _ => StatusCode::NO_CONTENT.into_response(),
    })
    .await;
    let phone = start(options());
    let number = format!(r#"{{"voice_url":"{0}/voice","status_callback":"{0}/status"}}"#, app.base);
    assert_eq!(send(&phone, "PUT", "/control/numbers/%2B15552220000", &number).await.0, 200);
    let (_, numbers) = send(&phone, "GET", "/control/numbers", "").await;
    assert_eq!(numbers["numbers"][0]["phone_number"], NUMBER);
    let behaviour = r#"{"no_answer":true,"calls":"next"}"#;
    assert_eq!(send(&phone, "PUT", "/control/addresses/client:ann", behaviour).await.0, 204);
    let (_, placed) = send(&phone, "POST", "/control/calls", PLACE).await;
    let call = placed["call_sid"].as_str().unwrap().to_owned();
    assert_eq!(app.next().await.path, "/voice");
    let digits = format!("/control/calls/{call}/digits");
    assert_eq!(send(&phone, "POST", &digits, r#"{"digits":"x"}"#).await.0, 400);
    assert_eq!(send(&phone, "POST", &digits, r#"{"digits":"5"}"#).await.0, 200);
    let keys = app.next().await;
    assert_eq!((keys.path.as_str(), keys.params["Digits"].as_str()), ("/keys", "5"));
    let child = loop {
        let (_, live) = send(&phone, "GET", "/control/calls", "").await;
        let calls = live["calls"].as_array().unwrap();
        if let Some(child) = calls.iter().find(|call| call["to"] == "client:ann" && call["status"] == "ringing") {
            assert_eq!(child["place"], "unanswered");
            break child["call_sid"].as_str().unwrap().to_owned();
        }
        tokio::task::yield_now().await;
    };
    let (status, answered) = send(&phone, "POST", &format!("/control/calls/{child}/answer"), "").await;
    assert_eq!((status, &answered["status"]), (200, &json!("in-progress")));
    assert_eq!(send(&phone, "POST", &format!("/control/calls/{call}/hangup"), "").await.0, 200);
    let end = app.next().await;
    assert_eq!((end.path.as_str(), end.params["CallStatus"].as_str()), ("/status", "completed"));
    let (_, events) = send(&phone, "GET", "/control/events?after=1&limit=2", "").await;
    let sequences: Vec<&Value> = events["events"].as_array().unwrap().iter().map(|event| &event["sequence"]).collect();
    assert_eq!(sequences, [&json!(2), &json!(3)]);
}

#[tokio::test]
async fn the_control_api_refuses_what_it_does_not_know() {
    let phone = start(options());
    for (method, path, body, status) in [
        ("PUT", "/control/addresses/client:a", r#"{"busyy":true}"#, 400),
        ("PUT", "/control/addresses/client:a", r#"{"calls":"twice"}"#, 400),
        ("PUT", "/control/numbers/%2B1555", r#"{"voice_url":"nowhere"}"#, 400),
        ("PUT", "/control/numbers/%2B1555", "{}", 400),
        ("POST", "/control/calls", r#"{"from":"+1"}"#, 400),
        ("POST", "/control/calls", PLACE, 404),
        ("POST", "/control/calls/CA1/hangup", "", 404),
        ("DELETE", "/control/calls", "", 405),
        ("GET", "/control/elsewhere", "", 404),
    ] {
        assert_eq!(send(&phone, method, path, body).await.0, status, "{method} {path} {body}");
    }
}

#[tokio::test]
async fn many_calls_at_once_are_all_answered_and_ended_in_order() {
    const CALLS: usize = 300;
    let mut app = App::start(|_| xml("<Response><Pause length=\"60\"/><Hangup/></Response>")).await;
    let phone =
        with_number(&app, |number| number.status_callback_events = vec!["answered".to_owned(), "completed".to_owned()]);
    for _ in 0..CALLS {
        assert_eq!(send(&phone, "POST", "/control/calls", PLACE).await.0, 201);
    }
    let (mut asked, mut told) = (0, BTreeMap::<String, Vec<String>>::new());
    while asked < CALLS || told.values().flatten().count() < 2 * CALLS {
        let received = app.next().await;
        if received.path == "/voice" {
            asked += 1;
        } else {
            told.entry(received.params["CallSid"].clone()).or_default().push(received.params["CallStatus"].clone());
        }
    }
    assert_eq!((asked, told.len()), (CALLS, CALLS));
    assert!(told.values().all(|statuses| statuses == &["in-progress", "completed"]));
}

#[tokio::test]
async fn after_shutdown_requests_get_503() {
    let phone = start(options());
    phone.shutdown().await;
    let (status, body) = rest(&phone, "GET", "Calls.json", "").await;
    assert_eq!((status, &body["code"]), (503, &json!(20503)));
}
