//! kill −9 at random instants of the main story: nothing acknowledged is lost, nothing happens twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use switchhook::clock::Clock;
use switchhook::routing::Timestamp;
use switchhook::store::Store;

use crate::programs::{Floor, NUMBER, Programs, text};

/// How often the server is killed.
const KILLS: u32 = 50;

/// The story takes about this long when nothing goes wrong; kills are spread over it.
const STORY_MS: u64 = 700;

/// Longest time the server stays away after a kill.
const DOWNTIME_MS: u64 = 300;

/// What the server acknowledged, and must therefore still know; by task, with the moment it was first seen.
#[derive(Default)]
struct Acknowledged {
    tasks: BTreeMap<String, Timestamp>,
    completed: BTreeMap<String, Timestamp>,
    stories: u32,
}

impl Acknowledged {
    /// Finished tasks are removed after five minutes, so what is older than four is not asked for any more.
    fn forget_old(&mut self, now: Timestamp) {
        self.tasks.retain(|_, seen| now.secs_since(*seen) < 240);
        self.completed.retain(|_, seen| now.secs_since(*seen) < 240);
    }
}

/// A small seeded generator: the instants are the same in every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[tokio::test]
async fn killing_the_server_loses_and_doubles_nothing() {
    let mut programs = Programs::start(20.0).await;
    let floor = programs.furnish().await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    let mut seeded = Seeded(0x5eed);
    let mut acknowledged = Acknowledged::default();
    for round in 0..KILLS {
        let instant = Duration::from_millis(seeded.below(STORY_MS));
        let downtime = Duration::from_millis(seeded.below(DOWNTIME_MS));
        // Every third worker's leg ends by itself soon after it was answered.
        let behaviour = match round % 3 {
            0 => json!({ "answer_after_ms": 1500, "hang_up_after_ms": 2500 }),
            _ => json!({ "answer_after_ms": 1500 }),
        };
        programs.control(Method::PUT, "/addresses/client:alice", behaviour).await;
        one_round(&mut programs, &floor, (instant, downtime), &mut acknowledged).await;
        acknowledged.forget_old(Clock::system().now());
        check(&programs, &floor, &acknowledged, round).await;
    }
    assert!(acknowledged.stories > KILLS / 2, "most stories were told to the end");
    programs.kill_server().await;
    check_numbers(&programs, &floor).await;
}

/// One call from ringing to completion, with the server killed and started again on the way.
async fn one_round(
    programs: &mut Programs,
    floor: &Floor,
    (instant, downtime): (Duration, Duration),
    acknowledged: &mut Acknowledged,
) {
    let call = programs.control(Method::POST, "/calls", json!({ "from": "+15551110000", "to": NUMBER })).await;
    let caller = text(&call, "call_sid");
    let kill = tokio::time::sleep(instant);
    tokio::pin!(kill);
    let mut killed = false;
    loop {
        let step = async {
            let ended = drive(programs, floor, &caller, acknowledged).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            ended
        };
        let ended = tokio::select! {
            () = &mut kill, if !killed => None,
            ended = step => Some(ended),
        };
        match ended {
            None => {
                killed = true;
                programs.kill_server().await;
                // Things go on at the phone system meanwhile.
                tokio::time::sleep(downtime).await;
                programs.start_server().await;
            }
            Some(true) if killed => return,
            Some(_) => {}
        }
    }
}

/// Does the next thing that can be done for the caller, tolerating a server that is away; true when the story is over.
async fn drive(programs: &Programs, floor: &Floor, caller: &str, acknowledged: &mut Acknowledged) -> bool {
    let expression = format!("{}/Tasks?PageSize=1000&Ordering=DateCreated:desc", floor.base);
    let Some((_, list)) = programs.try_api(Method::GET, &expression, &[]).await else { return false };
    let tasks = list["tasks"].as_array().cloned().unwrap_or_default();
    for task in &tasks {
        acknowledged.tasks.entry(text(task, "sid")).or_insert_with(|| Clock::system().now());
    }
    let Some(task) = tasks.iter().find(|task| text(task, "attributes").contains(caller)) else {
        // The webhook met a dead server: the phone system ended the call, and nothing was promised.
        return is_over(programs, caller).await;
    };
    let sid = text(task, "sid");
    match task["assignment_status"].as_str().unwrap_or_default() {
        "reserved" => {
            let path = format!("{}/Tasks/{sid}/Reservations", floor.base);
            let Some((_, list)) = programs.try_api(Method::GET, &path, &[]).await else { return false };
            for reservation in list["reservations"].as_array().into_iter().flatten() {
                if reservation["reservation_status"] == "pending" {
                    let path = format!("{path}/{}", text(reservation, "sid"));
                    let form = [
                        ("Instruction", "conference"),
                        ("EndConferenceOnExit", "true"),
                        ("EndConferenceOnCustomerExit", "true"),
                    ];
                    programs.try_api(Method::POST, &path, &form).await;
                }
            }
            false
        }
        "assigned" => {
            programs.hang_up(caller).await;
            false
        }
        "wrapping" => {
            let form = [("AssignmentStatus", "completed")];
            let answer = programs.try_api(Method::POST, &format!("{}/Tasks/{sid}", floor.base), &form).await;
            if answer.is_some_and(|(status, _)| status.is_success()) {
                acknowledged.completed.insert(sid, Clock::system().now());
                acknowledged.stories += 1;
            }
            false
        }
        "completed" | "canceled" => true,
        _ => {
            is_over(programs, caller).await && {
                // The caller is gone; the server finds out by itself, through a callback or by looking.
                programs
                    .until("the server notices that the caller is gone", async |programs: &Programs| {
                        let (_, row) =
                            programs.try_api(Method::GET, &format!("{}/Tasks/{sid}", floor.base), &[]).await?;
                        (row["assignment_status"] == "canceled").then_some(())
                    })
                    .await;
                true
            }
        }
    }
}

async fn is_over(programs: &Programs, caller: &str) -> bool {
    let call = programs.phone_get(&format!("/Calls/{caller}.json")).await;
    matches!(call["status"].as_str(), Some("completed" | "failed" | "canceled" | "busy" | "no-answer"))
}

/// Everything that must hold between two rounds.
async fn check(programs: &Programs, floor: &Floor, acknowledged: &Acknowledged, round: u32) {
    let list = programs.get(&format!("{}/Tasks?PageSize=1000", floor.base)).await;
    let tasks: BTreeMap<String, Value> =
        list["tasks"].as_array().unwrap().iter().map(|task| (text(task, "sid"), task.clone())).collect();
    for sid in acknowledged.tasks.keys() {
        assert!(tasks.contains_key(sid), "round {round}: task {sid} was acknowledged and is gone");
    }
    for sid in acknowledged.completed.keys() {
        assert_eq!(tasks[sid]["assignment_status"], "completed", "round {round}: completion of {sid} was lost");
    }
    let mut callers = BTreeSet::new();
    for (sid, task) in &tasks {
        let attributes: Value = serde_json::from_str(&text(task, "attributes")).unwrap();
        assert!(callers.insert(text(&attributes, "call_sid")), "round {round}: two tasks for one call ({sid})");
    }
    let path = format!("{}/Workers/{}/Reservations?PageSize=1000", floor.base, floor.worker);
    let reservations = programs.get(&path).await;
    let reservations = reservations["reservations"].as_array().unwrap();
    let mut accepted: BTreeMap<String, u32> = BTreeMap::new();
    for reservation in reservations {
        let status = text(reservation, "reservation_status");
        assert!(
            !matches!(status.as_str(), "pending" | "accepted" | "wrapping"),
            "round {round}: left open: {reservation}"
        );
        if status == "completed" {
            *accepted.entry(text(reservation, "task_sid")).or_default() += 1;
        }
    }
    assert!(accepted.values().all(|count| *count == 1), "round {round}: a task was taken twice");
    // Each reservation rang the worker's phone at most once.
    let calls = programs.phone_get("/Calls.json?To=client:alice&PageSize=1000").await;
    let rang = calls["calls"].as_array().unwrap().len();
    assert!(rang <= reservations.len(), "round {round}: {rang} legs for {} reservations", reservations.len());
    let channel = programs.get(&format!("{}/Workers/{}/Channels/voice", floor.base, floor.worker)).await;
    assert_eq!(channel["available_capacity_percentage"], 100, "round {round}: capacity is held for nothing");
    let mut sequence = 0;
    let mut path = format!("{}/Events?Minutes=60&PageSize=1000", floor.base);
    let mut seen = BTreeSet::new();
    loop {
        let page = programs.get(&path).await;
        for event in page["events"].as_array().unwrap() {
            sequence += 1;
            assert!(seen.insert(text(event, "sid")), "round {round}: event {sequence} stands twice");
        }
        match page["meta"]["next_page_url"].as_str().and_then(|url| url.find("/v1/").map(|at| url[at + 3..].to_owned()))
        {
            Some(next) => path = next,
            None => break,
        }
    }
    assert!(sequence > 0);
}

/// The numbers of the events have no gap, from the first to the newest.
async fn check_numbers(programs: &Programs, floor: &Floor) {
    let url = format!("sqlite:{}", programs.directory.path().join("switchhook.db").display());
    let store = Store::open(&url).await.unwrap();
    let workspace = floor.base.trim_start_matches("/Workspaces/");
    let (first, newest, count): (i64, i64, i64) =
        sqlx::query_as("SELECT MIN(sequence), MAX(sequence), COUNT(*) FROM events WHERE workspace_sid = $1")
            .bind(workspace)
            .fetch_one(store.read_pool())
            .await
            .unwrap();
    assert_eq!((first, newest), (1, count));
    store.close().await;
}
