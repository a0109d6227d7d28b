//! Timing, fallback and bounds of assignment callbacks in virtual time, and what each answer means.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::*;
use crate::api::instruction::of_answer;
use crate::engine::ReservationInstruction;
use crate::routing::command::ReservationChange;
use crate::routing::{AccountSid, Timestamp};

const OPENED: Timestamp = Timestamp(1_790_000_000_000);

/// How an application behaves.
#[derive(Clone)]
enum Behaviour {
    Answers(u16, &'static str, String),
    Hangs,
    Unreachable,
    Waits(Arc<Notify>),
}

/// Applications by URL; notes who was asked when.
#[derive(Default)]
struct Scripted {
    by_url: BTreeMap<&'static str, Behaviour>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Ask for Scripted {
    async fn ask(&self, _: &Assignment, url: &str) -> Result<Answer, String> {
        self.asked.lock().unwrap().push(url.to_owned());
        let answer = |status, content_type: &str, body: &str| {
            Ok(Answer {
                status,
                content_type: content_type.to_owned(),
                set_cookie: Vec::new(),
                retry_after: None,
                body: body.as_bytes().to_vec(),
            })
        };
        match &self.by_url[url] {
            Behaviour::Answers(status, content_type, body) => answer(*status, content_type, body),
            Behaviour::Hangs => std::future::pending().await,
            Behaviour::Unreachable => Err("unreachable: refused".to_owned()),
            Behaviour::Waits(signal) => {
                signal.notified().await;
                answer(204, "", "")
            }
        }
    }
}

const FIRST: &str = "https://app.example/assignment";
const SECOND: &str = "https://fallback.example/assignment";

fn assignment(fallback: bool) -> Assignment {
    Assignment {
        account: AccountSid::from_bits(1),
        workspace: WorkspaceSid::from_bits(2),
        reservation: ReservationSid::from_bits(3),
        opened_at: OPENED,
        url: FIRST.to_owned(),
        fallback_url: fallback.then(|| SECOND.to_owned()),
        multi_task: true,
        parameters: Vec::new(),
    }
}

fn callbacks(behaviours: impl IntoIterator<Item = (&'static str, Behaviour)>) -> Callbacks<Scripted> {
    let ask = Scripted { by_url: behaviours.into_iter().collect(), ..Scripted::default() };
    Callbacks::new(ask, Clock::fixed(OPENED), of_answer)
}

fn json_answer(body: &Value) -> Behaviour {
    Behaviour::Answers(200, "application/json", body.to_string())
}

#[expect(clippy::disallowed_methods, reason = "the time of these tests stands still and is moved by tokio")]
fn virtual_now() -> Instant {
    Instant::now()
}

fn codes(answer: &AssignmentAnswer) -> Vec<u32> {
    answer.complaints.iter().map(|complaint| complaint.code).collect()
}

fn accept() -> Consequence {
    Consequence::Instruction(ReservationInstruction::Change(ReservationChange::Accept))
}

#[tokio::test(start_paused = true)]
async fn a_silent_application_has_five_seconds_and_then_the_fallback_is_asked() {
    let callbacks = callbacks([(FIRST, Behaviour::Hangs), (SECOND, json_answer(&json!({ "instruction": "accept" })))]);
    let begun = virtual_now();
    let answer = callbacks.outcome(&assignment(true)).await;
    assert_eq!(begun.elapsed(), ANSWER_LIMIT);
    assert_eq!((codes(&answer), answer.consequence), (vec![11_200], accept()));
    assert_eq!(*callbacks.ask.asked.lock().unwrap(), [FIRST, SECOND]);
}

#[tokio::test(start_paused = true)]
async fn when_both_fail_the_reservation_is_canceled() {
    let both = callbacks([(FIRST, Behaviour::Unreachable), (SECOND, Behaviour::Hangs)]);
    let answer = both.outcome(&assignment(true)).await;
    assert_eq!((codes(&answer), answer.consequence), (vec![11_200, 11_200], Consequence::Cancel));
    assert!(answer.complaints[0].message.starts_with("assignment_callback_url: unreachable"));
    assert!(answer.complaints[1].message.starts_with("fallback_assignment_callback_url: no complete answer within 5s"));
    let alone = callbacks([(FIRST, Behaviour::Answers(500, "", String::new()))]);
    let answer = alone.outcome(&assignment(false)).await;
    assert_eq!((codes(&answer), answer.consequence), (vec![11_200], Consequence::Cancel));
}

#[tokio::test(start_paused = true)]
async fn every_row_of_answers_has_its_meaning() {
    let nothing = || Consequence::Nothing;
    let instruct = json!({ "instruction": "accept" }).to_string();
    for (status, content_type, body, expected, consequence) in [
        (200, "application/json", instruct.as_str(), vec![], accept()),
        (200, "application/json", "", vec![], nothing()),
        (200, "text/html", " \n", vec![], nothing()),
        (204, "", "", vec![], nothing()),
        (202, "text/plain", "", vec![], nothing()),
        (200, "application/json", "{}", vec![], nothing()),
        (200, "text/plain", " {} ", vec![], nothing()),
        (200, "text/plain", instruct.as_str(), vec![40_000], Consequence::Cancel),
        (200, "", "<Response/>", vec![40_000], Consequence::Cancel),
        (200, "application/json", "{", vec![40_001], nothing()),
        (200, "application/json", "{\"accept\":true}", vec![40_005], nothing()),
        (200, "application/json", "{\"instruction\":null}", vec![40_005], nothing()),
        (200, "application/json", "[1]", vec![40_005], nothing()),
        (200, "application/json", "{\"instruction\":\"dance\"}", vec![55_555], nothing()),
        (201, "application/json", instruct.as_str(), vec![11_200], Consequence::Cancel),
        (302, "", "", vec![11_200], Consequence::Cancel),
        (404, "application/json", "{}", vec![11_200], Consequence::Cancel),
        (503, "", "", vec![11_200], Consequence::Cancel),
    ] {
        let behaviour = Behaviour::Answers(status, content_type, body.to_owned());
        let answer = callbacks([(FIRST, behaviour)]).outcome(&assignment(false)).await;
        assert_eq!((codes(&answer), answer.consequence), (expected, consequence), "{status} {content_type:?} {body:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_only_what_still_has_time_is_asked() {
    for (away_secs, asked, expected) in [
        (0, vec![FIRST], vec![]),
        (4, vec![FIRST], vec![]),
        (5, vec![SECOND], vec![11_200]),
        (9, vec![SECOND], vec![11_200]),
        (10, vec![], vec![11_200, 11_200]),
    ] {
        let defers = || json_answer(&json!({}));
        let callbacks = callbacks([(FIRST, defers()), (SECOND, defers())]);
        callbacks.clock.advance(Duration::from_secs(away_secs));
        let answer = callbacks.outcome(&assignment(true)).await;
        assert_eq!(*callbacks.ask.asked.lock().unwrap(), asked, "after {away_secs} s");
        assert_eq!(codes(&answer), expected, "after {away_secs} s");
        assert_eq!(answer.consequence == Consequence::Cancel, asked.is_empty(), "after {away_secs} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_application_keeps_only_its_own_waiting() {
    let signal = Arc::new(Notify::new());
    let callbacks = Arc::new(callbacks([
        (FIRST, Behaviour::Waits(Arc::clone(&signal))),
        (SECOND, Behaviour::Answers(204, "", String::new())),
    ]));
    let mut slow = JoinSet::new();
    for number in 0..40_u128 {
        let callbacks = Arc::clone(&callbacks);
        let one = Assignment { reservation: ReservationSid::from_bits(number), ..assignment(false) };
        slow.spawn(async move { callbacks.outcome(&one).await });
    }
    while callbacks.ask.asked.lock().unwrap().len() < IN_FLIGHT_PER_ENDPOINT {
        tokio::task::yield_now().await;
    }
    let begun = virtual_now();
    let other = Assignment { url: SECOND.to_owned(), ..assignment(false) };
    assert_eq!(callbacks.outcome(&other).await.consequence, Consequence::Nothing);
    assert_eq!(begun.elapsed(), Duration::ZERO, "another host does not wait");
    let asked = callbacks.ask.asked.lock().unwrap().iter().filter(|url| *url == FIRST).count();
    assert_eq!(asked, IN_FLIGHT_PER_ENDPOINT, "the others wait for a place");
    // Whoever waits in vain fails after its time; whoever gets a place is asked.
    signal.notify_waiters();
    while callbacks.ask.asked.lock().unwrap().len() < 41 {
        tokio::task::yield_now().await;
    }
    signal.notify_waiters();
    let answers = slow.join_all().await;
    assert!(answers.iter().all(|answer| answer.consequence == Consequence::Nothing));
}
