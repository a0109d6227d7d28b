//! API keys over REST: Twilio's Key resource, and requests that a key signs in.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use base64::Engine as _;
use serde_json::{Value, json};
use switchhook::api::{ROUTES, ROUTES_2010};

use super::api::{ACCOUNT, Answer, STRANGER, Server, TOKEN, check_error, text};

const AT: &str = "Tue, 03 Feb 2026 04:05:06 +0000";
const LIST: &str = "/2010-04-01/Accounts/AC00000000000000000000000000000001/Keys.json";

impl Server {
    async fn ask(&self, user: &str, password: &str, method: Method, path: &str, form: &str) -> Answer {
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Basic {credentials}"))
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    async fn keys(&self, method: Method, path: &str, form: &str) -> Answer {
        self.ask(ACCOUNT, TOKEN, method, path, form).await
    }

    /// Makes a key; returns SID and secret.
    async fn key(&self, name: &str) -> (String, String) {
        let made = self.keys(Method::POST, LIST, &format!("FriendlyName={name}")).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        self.clock.advance(std::time::Duration::from_millis(1));
        (text(&made.body["sid"]).to_owned(), text(&made.body["secret"]).to_owned())
    }
}

fn path_of(sid: &str) -> String {
    format!("/2010-04-01/Accounts/{ACCOUNT}/Keys/{sid}.json")
}

#[tokio::test]
async fn a_key_lives_as_twilios_key_resource() {
    let server = Server::start().await;
    let made = server.keys(Method::POST, LIST, "FriendlyName=Wallboard").await;
    assert_eq!(made.status, StatusCode::CREATED);
    let (sid, secret) = (text(&made.body["sid"]).to_owned(), text(&made.body["secret"]).to_owned());
    assert!(sid.starts_with("SK") && sid.len() == 34);
    assert_eq!(secret.len(), 32);
    let mut expected = json!({ "sid": sid, "friendly_name": "Wallboard", "date_created": AT, "date_updated": AT });
    let fetched = server.keys(Method::GET, &path_of(&sid), "").await;
    assert_eq!((fetched.status, &fetched.body), (StatusCode::OK, &expected), "the secret is told once");

    server.clock.advance(std::time::Duration::from_secs(2));
    let renamed = server.keys(Method::POST, &path_of(&sid), "FriendlyName=Report").await;
    expected["friendly_name"] = json!("Report");
    expected["date_updated"] = json!("Tue, 03 Feb 2026 04:05:08 +0000");
    assert_eq!((renamed.status, &renamed.body), (StatusCode::OK, &expected));
    let untouched = server.keys(Method::POST, &path_of(&sid), "").await;
    assert_eq!((untouched.status, &untouched.body), (StatusCode::OK, &expected));
    let too_long = format!("FriendlyName={}", "é".repeat(65));
    for path in [LIST, &path_of(&sid)] {
        let answer = server.keys(Method::POST, path, &too_long).await;
        check_error(&answer, 400, 20001, "Invalid FriendlyName: longer than 64 characters");
    }

    let gone = server.keys(Method::DELETE, &path_of(&sid), "").await;
    assert_eq!((gone.status, gone.body), (StatusCode::NO_CONTENT, Value::Null));
    let message = format!("The requested resource {} was not found", path_of(&sid));
    for method in [Method::GET, Method::POST, Method::DELETE] {
        check_error(&server.keys(method, &path_of(&sid), "").await, 404, 20404, &message);
    }
    let nowhere = "/2010-04-01/Accounts.json";
    let message = format!("The requested resource {nowhere} was not found");
    check_error(&server.keys(Method::GET, nowhere, "").await, 404, 20404, &message);
    check_error(&server.keys(Method::PUT, LIST, "").await, 405, 20004, "Method not allowed");
    server.stop().await;
}

#[tokio::test]
async fn pages_of_keys_lead_to_each_other_by_path() {
    let server = Server::start().await;
    let mut made = Vec::new();
    for number in 1..=5 {
        made.push(server.key(&format!("k{number}")).await.0);
    }
    let mut next = format!("{LIST}?PageSize=2");
    let mut found: Vec<String> = Vec::new();
    for page in 0..3 {
        let list = server.keys(Method::GET, &next, "").await.body;
        let keys = list["keys"].as_array().unwrap();
        assert_eq!((&list["page"], &list["page_size"], &list["start"]), (&json!(page), &json!(2), &json!(page * 2)));
        assert_eq!(list["end"], json!(page * 2 + keys.len() - 1));
        assert_eq!(list["first_page_uri"], format!("{LIST}?PageSize=2&Page=0"));
        assert_eq!(list["previous_page_uri"].is_null(), page == 0);
        assert!(text(&list["uri"]).starts_with(LIST));
        assert!(keys.iter().all(|key| key.get("secret").is_none()));
        found.extend(keys.iter().map(|key| text(&key["sid"]).to_owned()));
        match list["next_page_uri"].as_str() {
            Some(uri) => uri.clone_into(&mut next),
            None => assert_eq!(page, 2),
        }
    }
    assert_eq!(found, made);
    server.stop().await;
}

#[tokio::test]
async fn a_key_is_its_account_everywhere_but_with_keys() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let (sid, secret) = server.key("Wallboard").await;
    let path = format!("/v1{workspace}");
    let fetched = server.ask(&sid, &secret, Method::GET, &path, "").await;
    assert_eq!((fetched.status, &fetched.body["account_sid"]), (StatusCode::OK, &json!(ACCOUNT)));
    let made = server.ask(&sid, &secret, Method::POST, &format!("{path}/Activities"), "FriendlyName=Lunch").await;
    assert_eq!(made.status, StatusCode::CREATED);
    for (method, route) in ROUTES_2010 {
        let route = route.replace("{AccountSid}", ACCOUNT).replace("{Sid}", &sid);
        let path = format!("/2010-04-01{route}.json");
        let answer = server.ask(&sid, &secret, method.parse().unwrap(), &path, "FriendlyName=x").await;
        check_error(&answer, 401, 20003, "Authentication Error - invalid username");
    }
    assert_eq!(server.keys(Method::GET, LIST, "").await.body["keys"].as_array().unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn wrong_and_revoked_credentials_get_one_and_the_same_answer() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let path = format!("/v1{workspace}");
    let (sid, secret) = server.key("Wallboard").await;
    let (other, other_secret) = server.key("Other").await;
    assert_eq!(server.ask(&sid, &secret, Method::GET, &path, "").await.status, StatusCode::OK);
    let unknown = format!("SK{}", "0".repeat(32));
    let check = async |user: &str, password: &str| {
        let answer = server.ask(user, password, Method::GET, &path, "").await;
        check_error(&answer, 401, 20003, "Authenticate");
        assert_eq!(answer.headers["www-authenticate"], "Basic realm=\"Twilio API\"");
    };
    for (user, password) in [
        (sid.as_str(), "wrong"),
        (&sid, ""),
        (&sid, other_secret.as_str()),
        (&sid, TOKEN),
        (ACCOUNT, &secret),
        (STRANGER, &secret),
        (&unknown, &secret),
        ("SK1", &secret),
        ("", &secret),
    ] {
        check(user, password).await;
    }
    assert_eq!(server.keys(Method::DELETE, &path_of(&sid), "").await.status, StatusCode::NO_CONTENT);
    check(&sid, &secret).await;
    assert_eq!(server.ask(&other, &other_secret, Method::GET, &path, "").await.status, StatusCode::OK);
    for (routes, prefix) in [(ROUTES, "/v1"), (ROUTES_2010, "/2010-04-01")] {
        for (method, route) in routes {
            let answer = server.ask(&sid, &secret, method.parse().unwrap(), &format!("{prefix}{route}"), "").await;
            check_error(&answer, 401, 20003, "Authenticate");
        }
    }
    server.stop().await;
}
