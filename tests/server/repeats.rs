//! Requests that come again with their idempotency token: nothing happens twice, and everybody gets the first answer.
//!
//! Start with [`a_repeat_gets_the_first_answer_and_changes_nothing`].

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::json;
use switchhook::clock::Clock;
use switchhook::routing::Timestamp;

use crate::api::{ACCOUNT, Answer, STRANGER, Server, TOKEN, check_error, rooted, text};
use crate::programs::{self, Programs};

const HEADER: &str = "I-Twilio-Idempotency-Token";

/// 2026-02-03T04:05:06Z
const NOW: Timestamp = Timestamp(1_770_091_506_000);

async fn post(server: &Server, path: &str, form: &str, token: &str) -> Answer {
    send(server, (ACCOUNT, path), form, (HEADER, token)).await
}

async fn send(server: &Server, (account, path): (&str, &str), form: &str, header: (&str, &str)) -> Answer {
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{account}:{TOKEN}"));
    let request = Request::post(rooted(path))
        .header("authorization", format!("Basic {credentials}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header(header.0, header.1);
    server.send(request.body(Body::from(form.to_owned())).unwrap()).await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
}

async fn how_many(server: &Server, path: &str, key: &str) -> usize {
    server.get(&format!("{path}?PageSize=1000")).await.body[key].as_array().unwrap().len()
}

async fn kept(server: &Server) -> Vec<String> {
    let rows = sqlx::query_scalar("SELECT request FROM idempotent_requests ORDER BY created_at");
    rows.fetch_all(server.store.read_pool()).await.unwrap()
}

/// As a server that was killed after the commit and before the answer leaves them.
async fn forget_answers(server: &Server) {
    for request in kept(server).await {
        let mut row = server.store.idempotent_request(&request, Timestamp(0)).await.unwrap().unwrap();
        assert!(row.answer.take().is_some());
        server.store.keep_idempotent_request(row).await.unwrap();
    }
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_changes_nothing() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let workflow = text(&server.get(&format!("{workspace}/Workflows")).await.body["workflows"][0]["sid"]).to_owned();
    let hours = r#"FriendlyName=Office&TimeZone=UTC&Hours={"mon":["09:00-17:00"]}"#;
    let lists = [
        ("/Workspaces".to_owned(), "workspaces", "FriendlyName=Again".to_owned()),
        (format!("{workspace}/Activities"), "activities", "FriendlyName=Lunch".to_owned()),
        (format!("{workspace}/TaskChannels"), "channels", "FriendlyName=Fax&UniqueName=fax".to_owned()),
        (format!("{workspace}/TaskQueues"), "task_queues", "FriendlyName=Night".to_owned()),
        (format!("{workspace}/Workers"), "workers", "FriendlyName=dana".to_owned()),
        (format!("{workspace}/Tasks"), "tasks", r#"Attributes={"a":1}"#.to_owned()),
        (format!("{workspace}/Calendars"), "calendars", hours.to_owned()),
        (format!("{workspace}/EntryPoints"), "entry_points", format!("FriendlyName=Sales&WorkflowSid={workflow}")),
    ];
    for (path, key, form) in &lists {
        let before = how_many(&server, path, key).await;
        let first = post(&server, path, form, "T1").await;
        assert_eq!((first.status, is_replayed(&first)), (StatusCode::CREATED, false), "{path}: {}", first.body);
        // A task that is shown again has another age by then.
        server.clock.advance(Duration::from_mins(1));
        let again = post(&server, path, form, "T1").await;
        assert_eq!((again.status, is_replayed(&again)), (StatusCode::CREATED, true), "{path}");
        assert_eq!(again.body.to_string(), first.body.to_string(), "{path}");
        for header in ["etag", "content-type"] {
            assert_eq!(again.headers.get(header), first.headers.get(header), "{path}: {header}");
        }
        assert_eq!(how_many(&server, path, key).await, before + 1, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn updates_are_carried_out_once() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let worker = server.worker(&workspace, "dana").await;
    let task = text(&server.make(&format!("{workspace}/Tasks"), "").await["sid"]).to_owned();
    let reservations = format!("{workspace}/Tasks/{task}/Reservations");
    let reservation = text(&server.get(&reservations).await.body["reservations"][0]["sid"]).to_owned();
    let path = format!("{reservations}/{reservation}");
    let first = post(&server, &path, "ReservationStatus=accepted", "T1").await;
    assert_eq!((first.status, text(&first.body["reservation_status"])), (StatusCode::OK, "accepted"));
    let untold = server.post(&path, "ReservationStatus=accepted").await;
    assert_eq!(untold.status, StatusCode::BAD_REQUEST, "without a token it is another request");
    assert_eq!(post(&server, &path, "ReservationStatus=accepted", "T1").await.body, first.body);

    let path = format!("{workspace}/Workers/{worker}");
    let first = post(&server, &path, "Attributes={\"a\":1}", "T1").await;
    server.post(&path, "Attributes={\"a\":2}").await;
    assert_eq!(post(&server, &path, "Attributes={\"a\":1}", "T1").await.body, first.body);
    assert_eq!(server.get(&path).await.body["attributes"], "{\"a\":2}");

    let workflow = text(&server.get(&format!("{workspace}/Workflows")).await.body["workflows"][0]["sid"]).to_owned();
    let path = format!("{workspace}/Workflows/{workflow}");
    post(&server, &path, "FriendlyName=one", "T1").await;
    forget_answers(&server).await;
    server.post(&path, "FriendlyName=two").await;
    let again = post(&server, &path, "FriendlyName=one", "T1").await;
    assert_eq!((again.status, text(&again.body["friendly_name"])), (StatusCode::OK, "two"), "not carried out again");
    server.stop().await;
}

#[tokio::test]
async fn tokens_belong_to_an_account_and_a_path_and_come_in_two_headers() {
    let server = Server::start().await;
    let (workspace, other) = (server.workspace().await, server.workspace().await);
    let mut sids = Vec::new();
    for path in [&workspace, &other] {
        let answer = post(&server, &format!("{path}/Tasks"), "", "T1").await;
        sids.push(text(&answer.body["sid"]).to_owned());
    }
    for account in [ACCOUNT, STRANGER] {
        let answer = send(&server, (account, "/Workspaces"), "FriendlyName=a", ("Idempotency-Key", "T1")).await;
        assert_eq!((answer.status, text(&answer.body["account_sid"])), (StatusCode::CREATED, account));
        sids.push(text(&answer.body["sid"]).to_owned());
    }
    let foreign = send(&server, (STRANGER, &format!("{workspace}/Tasks")), "", (HEADER, "T1")).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    let again = post(&server, "/Workspaces", "FriendlyName=a", "T1").await;
    assert_eq!(text(&again.body["sid"]), sids[2], "either header carries the same token");
    let next = post(&server, &format!("{workspace}/Tasks"), "", "T2").await;
    assert!(!sids.contains(&text(&next.body["sid"]).to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn another_body_and_tokens_without_bounds_are_refused() {
    let server = Server::start().await;
    let path = format!("{}/Tasks", server.workspace().await);
    post(&server, &path, "Priority=1", "T1").await;
    let other = post(&server, &path, "Priority=2", "T1").await;
    check_error(&other, 400, 20001, "Invalid idempotency token: it came before, with another body");
    for token in ["", &"x".repeat(256)] {
        let message = format!("Invalid {HEADER}: expected 1 to 255 printable ASCII characters");
        check_error(&post(&server, &path, "", token).await, 400, 20001, &message);
    }
    assert_eq!(how_many(&server, &path, "tasks").await, 1);
    server.stop().await;
}

#[tokio::test]
async fn repeats_at_once_make_one_task() {
    let server = Server::start().await;
    let path = format!("{}/Tasks", server.workspace().await);
    let answers = join_all((0..16).map(|_| post(&server, &path, "", "T1"))).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (StatusCode::CREATED, &answers[0].body));
    }
    assert_eq!(answers.iter().filter(|answer| is_replayed(answer)).count(), 15);
    assert_eq!(how_many(&server, &path, "tasks").await, 1);
    server.stop().await;
}

#[tokio::test]
async fn what_was_refused_may_be_tried_again() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let path = format!("{workspace}/Workers");
    let other = server.worker(&workspace, "dana").await;
    assert_eq!(post(&server, &path, "FriendlyName=dana", "T1").await.status, StatusCode::BAD_REQUEST);
    server.delete(&format!("{path}/{other}")).await;
    assert_eq!(post(&server, &path, "FriendlyName=dana", "T1").await.status, StatusCode::CREATED);
    server.stop().await;
}

#[tokio::test]
async fn a_token_is_forgotten_after_a_day() {
    let server = Server::start().await;
    let path = format!("{}/Tasks", server.workspace().await);
    let first = post(&server, &path, "", "T1").await;
    server.clock.advance(Duration::from_hours(24) - Duration::from_millis(1));
    assert_eq!(post(&server, &path, "", "T1").await.body, first.body);
    server.clock.advance(Duration::from_millis(1));
    let next = post(&server, &path, "", "T1").await;
    assert_eq!(next.status, StatusCode::CREATED);
    assert_ne!(next.body["sid"], first.body["sid"]);
    assert_eq!(post(&server, &path, "", "T1").await.body, next.body, "and is the next one's");
    server.stop().await;
}

#[tokio::test]
async fn nothing_is_written_of_requests_without_a_token_and_of_questions() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    server.post(&format!("{workspace}/Tasks"), "").await;
    let bulk = json!({ "queueSids": [] }).to_string();
    post(&server, &format!("{workspace}/TaskQueues/RealTimeStatistics"), &bulk, "T1").await;
    assert!(kept(&server).await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn repeats_are_known_after_a_restart_whether_the_first_was_answered_or_not() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("switchhook.db").display());
    let server = Server::start_on(&url, Clock::fixed(NOW)).await;
    let workspace = server.workspace().await;
    let tasks = format!("{workspace}/Tasks");
    let first = post(&server, &tasks, "Priority=1", "T1").await;
    let made = post(&server, "/Workspaces", "FriendlyName=a", "T1").await;
    server.stop().await;

    let server = Server::start_on(&url, Clock::fixed(NOW + Duration::from_mins(1))).await;
    assert_eq!(post(&server, &tasks, "Priority=1", "T1").await.body, first.body);
    forget_answers(&server).await;
    server.stop().await;

    let server = Server::start_on(&url, Clock::fixed(NOW + Duration::from_secs(121))).await;
    let again = post(&server, &tasks, "Priority=1", "T1").await;
    assert_eq!((again.status, &again.body["sid"]), (StatusCode::CREATED, &first.body["sid"]));
    assert_eq!(again.body["age"], 120, "the answer is made now");
    server.clock.advance(Duration::from_mins(1));
    assert_eq!(post(&server, &tasks, "Priority=1", "T1").await.body, again.body, "and kept");
    assert_eq!(post(&server, "/Workspaces", "FriendlyName=a", "T1").await.body, made.body);
    assert_eq!(
        (how_many(&server, &tasks, "tasks").await, how_many(&server, "/Workspaces", "workspaces").await),
        (1, 2)
    );

    let gone = post(&server, &tasks, "Priority=2", "T2").await;
    server.delete(&format!("{tasks}/{}", text(&gone.body["sid"]))).await;
    forget_answers(&server).await;
    let late = post(&server, &tasks, "Priority=2", "T2").await;
    check_error(&late, 400, 20001, "This request was carried out before; its answer cannot be given any more");
    server.stop().await;
}

fn sid_in(body: &str) -> String {
    programs::text(&serde_json::from_str(body).unwrap(), "sid")
}

/// Many requests are at every stage when the server is killed; each of them has happened once when all are repeated.
#[tokio::test]
async fn a_killed_server_has_done_nothing_twice() {
    const REQUESTS: usize = 60;
    let mut programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let path = format!("{}/Tasks", floor.base);
    for answered in [1, 20, 40] {
        let ask = async |programs: &Programs, number: usize| {
            let request = programs.http.post(format!("http://{}/v1{path}", programs.server));
            let request =
                request.form(&[("Priority", number.to_string())]).basic_auth(programs::ACCOUNT, Some(programs::TOKEN));
            let answer = request.header(HEADER, format!("{answered}/{number}")).send().await.ok()?;
            assert_eq!(answer.status().as_u16(), 201);
            Some((number, answer.text().await.ok()?))
        };
        let mut first = vec![None; REQUESTS];
        let mut under_way: FuturesUnordered<_> = (0..REQUESTS).map(|number| ask(&programs, number)).collect();
        while first.iter().flatten().count() < answered {
            let (number, body) = under_way.next().await.flatten().expect("the server runs");
            first[number] = Some(body);
        }
        drop(under_way);
        programs.kill_server().await;
        programs.start_server().await;
        let again = join_all((0..REQUESTS).map(|number| ask(&programs, number))).await;
        for (number, body) in again.into_iter().flatten() {
            let was = first[number].get_or_insert_with(|| body.clone());
            assert_eq!(*was, body, "{number}\n{}", programs.logs());
        }
        let list = programs.get(&format!("{path}?PageSize=1000")).await;
        let tasks: BTreeSet<String> =
            list["tasks"].as_array().unwrap().iter().map(|task| programs::text(task, "sid")).collect();
        let answered: BTreeSet<String> = first.iter().flatten().map(|body| sid_in(body)).collect();
        assert_eq!((tasks.len(), &tasks), (REQUESTS, &answered), "each of them once");
        for task in tasks {
            programs.api(reqwest::Method::DELETE, &format!("{path}/{task}"), &[]).await;
        }
    }
}
