//! Requests of the first SDK: answered as REST answers, in an envelope, and refused as clearly.

use std::time::Duration;

use super::super::api;
use super::*;

#[tokio::test]
async fn a_request_is_answered_as_rest_answers_it() {
    let desk = Desk::open().await;
    let mut office = desk.office;
    let token = Official::of_worker(&office);
    let own = format!("/Workers/{}", office.worker);
    for url in [own.clone(), "/Activities".to_owned(), format!("/Tasks/{}", desk.task), format!("{own}/Reservations")] {
        let expected = office.get(&office.at(&url)).await;
        assert_eq!(payload(&office, &token, "GET", &url, Value::Null).await, expected, "{url}");
        // The SDK can be told that REST is here.
        let here = format!("http://{}{}", office.server().address(), office.at(&url));
        assert_eq!(payload(&office, &token, "GET", &here, json!({})).await, expected, "{here}");
    }
    // What the SDK asks when its socket is open: without parameters, to be told as an event.
    let envelope = json!({
        "url": format!("{}{own}", token.base()), "method": "GET", "event_type": "ready", "token": token.signed(),
    });
    let (status, body) = post(&office, &token.path(), &envelope).await;
    assert_eq!((status, &body["event_type"]), (StatusCode::OK, &json!("ready")));
    assert_eq!(body["payload"]["sid"], json!(office.worker));
    let silent = ask(&office, &token, "GET", &own, Value::Null).await.1;
    assert!(silent.get("event_type").is_none(), "{silent}");
    office.stop().await;
}

#[tokio::test]
async fn an_agent_works_through_requests_alone() {
    let desk = Desk::open().await;
    let mut office = desk.office;
    let token = Official::of_worker(&office);
    let own = format!("/Workers/{}", office.worker);
    let pending = json!({ "ReservationStatus": "pending" });
    let listed = payload(&office, &token, "GET", &format!("{own}/Reservations"), pending).await;
    assert_eq!(listed["meta"]["key"], "reservations");
    assert_eq!(listed["reservations"][0]["sid"], json!(desk.reservation));
    let reservation = format!("/Tasks/{}/Reservations/{}", desk.task, desk.reservation);
    let accepted = json!({ "ReservationStatus": "accepted" });
    let accepted = payload(&office, &token, "POST", &reservation, accepted).await;
    assert_eq!(accepted["reservation_status"], "accepted");
    let done = json!({ "AssignmentStatus": "completed", "Reason": "solved" });
    let done = payload(&office, &token, "POST", &format!("/Tasks/{}", desk.task), done).await;
    assert_eq!((&done["assignment_status"], &done["reason"]), (&json!("completed"), &json!("solved")));
    // A page that is closed sends a beacon with the activity after it.
    let leaving = json!({ "ActivitySid": office.unavailable });
    let left = payload(&office, &token, "POST", &own, leaving).await;
    assert_eq!(left["activity_name"], "Unavailable");
    assert_eq!(office.activity().await, "Unavailable");
    office.stop().await;
}

/// The SDK takes nothing but 200 for a success, and follows pages by their URLs.
#[tokio::test]
async fn pages_creations_and_deletions_are_such_as_the_sdk_takes() {
    let desk = Desk::open().await;
    let mut office = desk.office;
    let grants = ["allow_fetch_subresources", "allow_update_subresources", "allow_delete_subresources"];
    let token = grants.into_iter().fold(Official::new(&office, &office.workspace.to_string()), Official::grant);
    let made = json!({ "Attributes": "{\"lang\":\"de\"}", "Priority": 7, "Timeout": 60 });
    let made = payload(&office, &token, "POST", "/Tasks", made).await;
    assert_eq!((&made["priority"], &made["attributes"]), (&json!(7), &json!("{\"lang\":\"de\"}")));
    let mut page = payload(&office, &token, "GET", "/Tasks", json!({ "PageSize": 1 })).await;
    let mut seen = vec![text(&page["tasks"][0], "sid")];
    while let Some(next) = page["meta"]["next_page_url"].as_str().map(str::to_owned) {
        page = payload(&office, &token, "GET", &next, Value::Null).await;
        seen.extend(page["tasks"].as_array().unwrap().iter().map(|row| text(row, "sid")));
    }
    assert_eq!(seen, [desk.task, text(&made, "sid")]);
    let gone = format!("/Tasks/{}", text(&made, "sid"));
    assert_eq!(payload(&office, &token, "DELETE", &gone, Value::Null).await, Value::Null);
    let (status, body) = ask(&office, &token, "GET", &gone, Value::Null).await;
    assert_eq!((status, &body["code"]), (StatusCode::NOT_FOUND, &json!(20404)));
    office.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_refused_as_rest_refuses_it() {
    let desk = Desk::open().await;
    let mut office = desk.office;
    let own = format!("/Workers/{}", office.worker);
    let token = Official::of_worker(&office);
    let rest = |path: &str| token.base() + path;
    for (method, url, params, status, code, message) in [
        ("POST", rest(&own), json!({ "ActivitySid": "WA1" }), 400, 20001, "'WA1' is not a SID"),
        ("GET", rest("/Tasks/WT1"), json!({}), 404, 20404, "/Tasks/WT1 was not found"),
        ("GET", rest("/Tasks/a%20b"), json!({}), 404, 20404, "was not found"),
        ("GET", "https://taskrouter.twilio.com/v1/Alerts".to_owned(), json!({}), 404, 20404, "/Alerts was not found"),
        ("PUT", rest(&own), json!({}), 400, 20001, "expected GET, POST or DELETE"),
        ("GET", format!("Workspaces/{}{own}", office.workspace), json!({}), 400, 20001, "Invalid url"),
        (
            "GET",
            format!("https://elsewhere.example/v1/Workspaces/{}", office.workspace),
            json!({}),
            400,
            20001,
            "Invalid url",
        ),
        ("GET", rest("/../WS00000000000000000000000000000009/Activities"), json!({}), 403, 20403, "another workspace"),
        ("GET", rest("/Workers/../Workers"), json!({}), 403, 20403, "does not permit this request"),
    ] {
        let envelope = json!({ "url": url, "method": method, "params": params, "token": token.signed() });
        let (found, body) = post(&office, &token.path(), &envelope).await;
        assert_eq!((found.as_u16(), &body["code"]), (status, &json!(code)), "{method} {url}: {body}");
        assert!(text(&body, "message").contains(message), "{method} {url}: {body}");
    }
    for (envelope, status) in [
        (json!("x"), 400),
        (json!({ "url": rest("/Activities") }), 400),
        (json!({ "url": 1, "token": token.signed() }), 400),
        (json!({ "url": rest("/Activities"), "token": token.signed(), "params": { "a": "x".repeat(64 * 1024) } }), 413),
    ] {
        let (found, body) = post(&office, &token.path(), &envelope).await;
        assert_eq!(found.as_u16(), status, "{body}");
        assert!(body["message"].is_string() && body["code"].is_u64(), "{body}");
    }
    office.stop().await;
}

#[tokio::test]
async fn a_token_is_for_its_account_and_channel_and_time() {
    let desk = Desk::open().await;
    let mut office = desk.office;
    let token = Official::of_worker(&office);
    let bob = office.hire("bob").await.to_string();
    let stranger = "AC00000000000000000000000000000009";
    let worker = office.worker;
    let claims = token.claims();
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        signed(&claims, TOKEN)
    };
    let own = token.path();
    let at = |account: &str, channel: &str| format!("/v1/wschannels/{account}/{channel}");
    for (case, path, text, status, code) in [
        ("another account", at(stranger, &worker.to_string()), token.signed(), 403, 20403),
        ("another channel", at(ACCOUNT, &bob), token.signed(), 403, 20403),
        ("the workspace's channel", at(ACCOUNT, &office.workspace.to_string()), token.signed(), 403, 20403),
        ("no channel", at(ACCOUNT, "x"), token.signed(), 403, 20403),
        ("a path that is no text", at("%ff", "%fe"), token.signed(), 404, 20404),
        ("an access token", own.clone(), office.token(worker), 403, 20403),
        ("another secret", own.clone(), signed(&claims, "another"), 403, 20101),
        ("an account that is not there", own.clone(), with("iss", json!(stranger)), 403, 20101),
        ("a claim of another account", own.clone(), with("account_sid", json!(stranger)), 403, 20101),
        ("a channel of another worker", own.clone(), with("channel", json!(bob)), 403, 20101),
        ("a channel of no kind", own.clone(), with("channel", json!("WT00000000000000000000000000000001")), 403, 20101),
        (
            "another workspace",
            own.clone(),
            with("workspace_sid", json!("WS00000000000000000000000000000009")),
            403,
            20403,
        ),
        ("no policies", own.clone(), with("policies", json!([])), 403, 20403),
        ("expired", own.clone(), with("exp", json!(NOW.unix_secs() - 61)), 401, 20104),
        ("not yet", own.clone(), with("nbf", json!(NOW.unix_secs() + 61)), 403, 20105),
        ("no token", own.clone(), "x".to_owned(), 403, 20101),
    ] {
        let envelope = json!({ "url": format!("{}/Workers/{worker}", token.base()), "method": "GET", "token": text });
        let (found, body) = post(&office, &path, &envelope).await;
        assert_eq!((found.as_u16(), &body["code"]), (status, &json!(code)), "{case}: {body}");
        let (found, body) = try_connect(&office, &path, &text, "").await.unwrap_err();
        assert_eq!((found.as_u16(), &body["code"]), (status, &json!(code)), "socket, {case}: {body}");
    }
    assert_eq!(ask(&office, &token, "GET", "/Activities", json!({})).await.0, StatusCode::OK);
    office.pass(Duration::from_secs(3_661)).await;
    let (found, body) = ask(&office, &token, "GET", "/Activities", json!({})).await;
    assert_eq!((found, &body["code"]), (StatusCode::UNAUTHORIZED, &json!(20104)));
    office.stop().await;
}

#[tokio::test]
async fn pages_of_other_hosts_may_ask() {
    let desk = Desk::open().await;
    let mut office = desk.office;
    let token = Official::of_worker(&office);
    let url = format!("http://{}{}", office.server().address(), token.path());
    let preflight = office
        .http
        .request(Method::OPTIONS, &url)
        .header("origin", "https://desk.example")
        .header("access-control-request-method", "POST");
    let preflight = preflight.send().await.unwrap();
    assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
    assert!(preflight.headers()["access-control-allow-methods"].to_str().unwrap().contains("POST"));
    for body in [json!({ "url": format!("{}/Activities", token.base()), "token": token.signed() }), json!("x")] {
        let answer = office.http.post(&url).header("origin", "https://desk.example").body(body.to_string());
        assert_eq!(answer.send().await.unwrap().headers()["access-control-allow-origin"], "*");
    }
    office.stop().await;
}

/// A token says which workspace it is for, and its account signs that; whose the workspace is decides REST.
#[tokio::test]
async fn workspaces_of_other_accounts_are_not_found() {
    use axum::body::Body;

    let server = api::Server::start().await;
    let made = server.call(api::STRANGER, Method::POST, "/Workspaces", "FriendlyName=Theirs&Template=FIFO", None).await;
    let workspace = text(&made.body, "sid");
    let policies = ["GET", "POST", "DELETE"].map(|method| {
        ["https://taskrouter.twilio.com/**", "https://event-bridge.twilio.com/**"]
            .map(|url| json!({ "url": url, "method": method, "allow": true }))
    });
    let now = server.clock.now().unix_secs();
    let claims = json!({
        "iss": api::ACCOUNT, "account_sid": api::ACCOUNT, "workspace_sid": workspace, "channel": workspace,
        "version": "v1", "exp": now + 60, "policies": policies.concat(),
    });
    let token = signed(&claims, api::TOKEN);
    let path = format!("/v1/wschannels/{}/{workspace}", api::ACCOUNT);
    for (method, below) in [("GET", ""), ("POST", ""), ("DELETE", ""), ("GET", "/Tasks"), ("POST", "/Tasks")] {
        let url = format!("https://taskrouter.twilio.com/v1/Workspaces/{workspace}{below}");
        let envelope = json!({ "url": url, "method": method, "params": { "FriendlyName": "stolen" }, "token": token });
        let request = axum::http::Request::post(&path).body(Body::from(envelope.to_string())).unwrap();
        let message = format!("The requested resource /Workspaces/{workspace}{below} was not found");
        api::check_error(&server.send(request).await, 404, 20404, &message);
    }
    let request = axum::http::Request::get(format!("{path}?token={token}")).body(Body::empty()).unwrap();
    api::check_error(&server.send(request).await, 403, 20403, "The token's workspace does not exist");
    let theirs = server.call(api::STRANGER, Method::GET, &format!("/Workspaces/{workspace}"), "", None).await;
    assert_eq!(theirs.body["friendly_name"], "Theirs");
    server.stop().await;
}
