//! The agents' side through the router: tokens, rights, and the shapes that the SDK needs.
//!
//! The SDK itself runs in `tests/agents`. Start with [`Desk`].

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use switchhook::notify::token::{self, NewAccessToken, Role};
use switchhook::routing::ApiKeySid;
use switchhook::store::ApiKey;

use super::api::{ACCOUNT, Answer, Server, text};

const SECRET: &str = "a-secret-of-an-api-key-0123456789";

/// A workspace with an agent, and a token for her.
struct Desk {
    server: Server,
    /// `/Workspaces/WS…`
    workspace: String,
    worker: String,
    key: ApiKeySid,
}

impl Desk {
    async fn open() -> Self {
        let server = Server::start().await;
        let workspace = server.workspace().await;
        let worker = server.worker(&workspace, "nadia").await;
        let key = ApiKeySid::from_bits(7);
        let at = server.clock.now();
        let row = ApiKey {
            sid: key,
            account: ACCOUNT.parse().unwrap(),
            friendly_name: "desk".to_owned(),
            secret: SECRET.into(),
            created_at: at,
            updated_at: at,
        };
        server.store.create_api_key(row).await.unwrap();
        Self { server, workspace, worker, key }
    }

    fn token(&self, role: Role, worker: Option<&str>) -> String {
        let new = NewAccessToken {
            key_sid: self.key.to_string(),
            account: ACCOUNT.parse().unwrap(),
            workspace: self.workspace.rsplit('/').next().unwrap().parse().unwrap(),
            worker: worker.map(|sid| sid.parse().unwrap()),
            role,
            identity: "nadia".to_owned(),
            lifetime_secs: 3_600,
        };
        token::mint(&new, SECRET.as_bytes(), self.server.clock.now())
    }

    async fn send(&self, token: &str, method: &str, path: &str, params: Value, if_match: Option<&str>) -> Answer {
        let url = format!("{}/{path}", self.workspace.trim_start_matches('/'));
        let body = json!({ "url": url, "method": method, "params": params, "token": token });
        let mut request = Request::builder().method("POST").uri("/v1/wschannels").header("content-type", "text/plain");
        if let Some(version) = if_match {
            request = request.header("if-match", version);
        }
        self.server.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Asked as the agent herself.
    async fn ask(&self, method: &str, path: &str, params: Value) -> Answer {
        self.send(&self.token(Role::Worker, Some(&self.worker)), method, path, params, None).await
    }

    fn own(&self, rest: &str) -> String {
        format!("Workers/{}{rest}", self.worker)
    }
}

fn payload(answer: &Answer) -> &Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    &answer.body["payload"]
}

#[tokio::test]
async fn an_agent_takes_a_task_from_its_offer_to_its_end() {
    let desk = Desk::open().await;
    let task = text(&desk.server.make(&format!("{}/Tasks", desk.workspace), "").await["sid"]).to_owned();
    let list = desk.ask("GET", &desk.own("/Reservations"), json!({ "Active": "true", "PageSize": 1000 })).await;
    let offered = payload(&list)["contents"][0].clone();
    assert_eq!(offered["reservation_status"], "pending");
    assert_eq!(offered["task"]["sid"], json!(task));
    assert!(offered["date_created"].is_i64() && offered["task"]["age"].is_i64());
    assert!(offered.get("task_transfer").is_none());
    let path = desk.own(&format!("/Reservations/{}", text(&offered["sid"])));
    let accepted = desk.ask("POST", &path, json!({ "ReservationStatus": "accepted" })).await;
    let accepted = payload(&accepted);
    assert_eq!(accepted["reservation_status"], "accepted");
    assert_eq!(accepted["version"], json!(offered["version"].as_i64().unwrap() + 1));
    assert!(accepted.get("task").is_none(), "{accepted}");
    let changed = desk.ask("POST", &format!("Tasks/{task}"), json!({ "Attributes": { "lang": "de" } })).await;
    assert_eq!(payload(&changed)["attributes"], r#"{"lang":"de"}"#);
    let done = json!({ "AssignmentStatus": "completed", "Reason": "solved" });
    let done = desk.ask("POST", &format!("Tasks/{task}"), done).await;
    assert_eq!(payload(&done)["assignment_status"], "completed");
    desk.server.stop().await;
}

#[tokio::test]
async fn what_the_sdk_reads_at_its_start_has_every_key() {
    let desk = Desk::open().await;
    let worker = desk.ask("GET", &desk.own(""), Value::Null).await;
    for key in ["account_sid", "workspace_sid", "sid", "attributes", "activity_sid", "activity_name", "available"] {
        assert!(!payload(&worker)[key].is_null(), "{key}");
    }
    let activities = desk.ask("GET", "Activities", json!({ "PageSize": 1000 })).await;
    let activities = payload(&activities);
    assert_eq!(activities["contents"].as_array().unwrap().len(), 3);
    assert_eq!(activities["meta"]["list_key"], "contents");
    assert!(activities["after_sid"].is_null());
    let channels = desk.ask("GET", &desk.own("/WorkerChannels"), json!({ "PageSize": 2 })).await;
    let first = payload(&channels).clone();
    assert_eq!(first["contents"].as_array().unwrap().len(), 2);
    assert!(first["contents"][0]["available"].is_u64());
    let rest = json!({ "PageSize": 1000, "AfterSid": first["after_sid"] });
    let rest = desk.ask("GET", &desk.own("/WorkerChannels"), rest).await;
    assert_eq!(payload(&rest)["contents"].as_array().unwrap().len(), 3);
    desk.server.stop().await;
}

#[tokio::test]
async fn lists_follow_a_sid_or_a_token() {
    let desk = Desk::open().await;
    let bob = desk.server.worker(&desk.workspace, "bob").await;
    let first = desk.ask("GET", "Workers", json!({ "PageSize": 1 })).await;
    assert_eq!(payload(&first)["after_sid"], json!(desk.worker));
    let second = desk.ask("GET", "Workers", json!({ "AfterSid": desk.worker })).await;
    assert_eq!(payload(&second)["contents"][0]["sid"], json!(bob));
    let ordered = json!({ "PageSize": 1, "Ordering": "DateStatusChanged:desc" });
    let ordered = desk.ask("GET", "Workers", ordered).await;
    let token = payload(&ordered)["meta"]["next_token"].clone();
    let last = json!({ "Ordering": "DateStatusChanged:desc", "NextToken": token });
    let last = desk.ask("GET", "Workers", last).await;
    assert_eq!(payload(&last)["contents"].as_array().unwrap().len(), 1);
    assert!(payload(&last)["meta"].get("next_token").is_none());
    let one = json!({ "TargetWorkersExpression": format!("sid IN ['{bob}']") });
    assert_eq!(payload(&desk.ask("GET", "Workers", one).await)["contents"].as_array().unwrap().len(), 1);
    for wrong in [json!({ "AfterSid": "WK00000000000000000000000000000009" }), json!({ "AfterSid": "x" })] {
        assert_eq!(desk.ask("GET", "Workers", wrong).await.status, StatusCode::BAD_REQUEST);
    }
    let queues = desk.ask("GET", "TaskQueues", json!({ "WorkerSid": bob })).await;
    assert_eq!(payload(&queues)["contents"][0]["lifo_queue"], false);
    desk.server.stop().await;
}

#[tokio::test]
async fn agents_act_for_themselves_and_supervisors_for_others() {
    let desk = Desk::open().await;
    let bob = desk.server.worker(&desk.workspace, "bob").await;
    let other = format!("Workers/{bob}");
    let change = json!({ "Attributes": { "a": 1 } });
    assert_eq!(desk.ask("POST", &other, change.clone()).await.status, StatusCode::FORBIDDEN);
    assert_eq!(desk.ask("GET", &format!("{other}/Reservations"), Value::Null).await.status, StatusCode::FORBIDDEN);
    let supervisor = desk.token(Role::Supervisor, Some(&desk.worker));
    // Another worker's version means nothing to the supervisor's SDK, which sends its own.
    let changed = desk.send(&supervisor, "POST", &other, change, Some("99")).await;
    assert_eq!(payload(&changed)["attributes"], r#"{"a":1}"#);
    let stale = json!({ "Attributes": {} });
    let stale = desk.send(&supervisor, "POST", &desk.own(""), stale, Some("99")).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    desk.server.stop().await;
}

#[tokio::test]
async fn whoever_holds_a_colleagues_leg_says_what_is_meant() {
    let desk = Desk::open().await;
    let task = "WT00000000000000000000000000000001";
    let (hold, whom) = (desk.own("/HoldWorkerParticipant"), desk.worker.clone());
    for (params, status, message) in [
        (json!({ "TaskSid": task, "Hold": true }), StatusCode::BAD_REQUEST, "TargetWorkerSid field is required"),
        (json!({ "TaskSid": task, "TargetWorkerSid": whom }), StatusCode::BAD_REQUEST, "Hold field is required"),
        (json!({ "TargetWorkerSid": whom, "Hold": false }), StatusCode::BAD_REQUEST, "TaskSid field is required"),
        (json!({ "TaskSid": task, "TargetWorkerSid": whom, "Hold": false }), StatusCode::NOT_FOUND, "was not found"),
    ] {
        let answer = desk.ask("POST", &hold, params.clone()).await;
        assert_eq!(answer.status, status, "{params}: {}", answer.body);
        assert!(answer.body.to_string().contains(message), "{params}: {}", answer.body);
    }
    desk.server.stop().await;
}

#[tokio::test]
async fn attributes_are_kept_as_they_came_and_names_are_not_for_agents_to_change() {
    let desk = Desk::open().await;
    let token = desk.token(Role::Worker, Some(&desk.worker));
    let url = format!("{}/{}", desk.workspace.trim_start_matches('/'), desk.own(""));
    let attributes = r#"{"z":1.50,"a":{"n":12345678901234567890123,"b":[ 1 ]}}"#;
    let body = format!(r#"{{"url":"{url}","method":"POST","params":{{"Attributes":{attributes}}},"token":"{token}"}}"#);
    let request = Request::builder().method("POST").uri("/v1/wschannels").body(Body::from(body)).unwrap();
    assert_eq!(payload(&desk.server.send(request).await)["attributes"], attributes);
    let refused = desk.ask("POST", &desk.own(""), json!({ "FriendlyName": "boss" })).await;
    assert_eq!((refused.status, &refused.body["code"]), (StatusCode::FORBIDDEN, &json!(20403)));
    assert_eq!(payload(&desk.ask("GET", &desk.own(""), Value::Null).await)["friendly_name"], "nadia");
    desk.server.stop().await;
}

#[tokio::test]
async fn tokens_that_are_not_right_are_told_apart() {
    let desk = Desk::open().await;
    let good = desk.token(Role::Worker, Some(&desk.worker));
    let wrong = desk.send(&format!("{good}x"), "GET", "Activities", Value::Null, None).await;
    assert_eq!((wrong.status, &wrong.body["code"]), (StatusCode::FORBIDDEN, &json!(20101)));
    desk.server.clock.advance(std::time::Duration::from_secs(3_700));
    let late = desk.send(&good, "GET", "Activities", Value::Null, None).await;
    assert_eq!((late.status, &late.body["code"]), (StatusCode::UNAUTHORIZED, &json!(20104)));
    // Browsers would ask for a password.
    assert!(!late.headers.contains_key("www-authenticate"));
    desk.server.store.revoke_api_key(desk.key).await.unwrap();
    let fresh = desk.token(Role::Worker, Some(&desk.worker));
    assert_eq!(desk.send(&fresh, "GET", "Activities", Value::Null, None).await.status, StatusCode::FORBIDDEN);
    desk.server.stop().await;
}

#[tokio::test]
async fn a_request_that_is_no_handshake_is_answered_in_json() {
    let desk = Desk::open().await;
    for (query, status) in [("", StatusCode::BAD_REQUEST), ("?token=x", StatusCode::FORBIDDEN)] {
        let request = Request::builder().uri(format!("/v1/wschannels{query}")).body(Body::empty()).unwrap();
        let answer = desk.server.send(request).await;
        assert_eq!(answer.status, status);
        assert!(answer.body["message"].is_string());
    }
    let token = desk.token(Role::Worker, Some(&desk.worker));
    let request = Request::builder().uri(format!("/v1/wschannels?token={token}")).body(Body::empty()).unwrap();
    assert_eq!(desk.server.send(request).await.status, StatusCode::BAD_REQUEST);
    desk.server.stop().await;
}

/// A token over the API works like one of the official libraries.
#[tokio::test]
async fn tokens_can_be_asked_for() {
    let desk = Desk::open().await;
    let server = &desk.server;
    let path = format!("{}/Tokens", desk.workspace);
    for form in ["Role=worker&Lifetime=60", "Kind=access", "Kind=capability"] {
        let made = server.post(&path, &format!("WorkerSid={}&{form}", desk.worker)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{form}: {}", made.body);
        let token = made.body["token"].as_str().unwrap();
        let own = format!("Workers/{}", desk.worker);
        let read = desk.send(token, "GET", &own, json!({}), None).await;
        assert_eq!(read.status, StatusCode::OK, "{form}: {}", read.body);
        let others = desk.send(token, "GET", "TaskQueues", json!({}), None).await;
        let expected = if form.contains("capability") { StatusCode::FORBIDDEN } else { StatusCode::OK };
        assert_eq!(others.status, expected, "{form}: {}", others.body);
    }
    for (form, message) in [
        ("", "WorkerSid field is required"),
        ("WorkerSid=WK000000000000000000000000000000ff", "does not exist in this workspace"),
        ("WorkerSid=@&Lifetime=86401", "Lifetime"),
        ("WorkerSid=@&Role=owner", "Role"),
        ("WorkerSid=@&KeySid=SK000000000000000000000000000000ff", "does not exist in this account"),
    ] {
        let refused = server.post(&path, &form.replace('@', &desk.worker)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{form}");
        assert!(refused.body["message"].as_str().unwrap().contains(message), "{form}: {}", refused.body);
    }
}
