//! The client against a phone system of a few lines on loopback that misbehaves on request.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::calls::{ConferenceOptions, LegSight, RoomQuery, RoomSight};
use crate::routing::Timestamp;

mod between;
mod moved;
mod requests;
mod telnyx;
mod unwanted;

const ROOM: &str = "WT00000000000000000000000000000001";
const LABEL: &str = "WR00000000000000000000000000000002";
/// Tue, 31 Aug 2010 20:36:28 +0000
const REQUESTED_AT: Timestamp = Timestamp(1_283_286_988_000);

/// Method, path, and the pairs of form or query.
type Recorded = (String, String, Vec<(String, String)>);

/// What happens to the next requests that match.
#[derive(Debug, Clone)]
enum Fault {
    /// Carried out, but the answer breaks off.
    LoseAnswer,
    /// Carried out, but no answer comes.
    HoldAnswer,
    /// Not carried out: this status and body, maybe with `Retry-After`.
    Answer(u16, serde_json::Value, Option<&'static str>),
}

#[derive(Debug, Default)]
struct Switch {
    /// Label and state of the legs in the room, if there is a room.
    legs: Vec<(String, &'static str)>,
    room_open: bool,
    /// The caller's state; ringing when empty.
    caller: &'static str,
    /// The caller is in the room as soon as it is redirected there.
    caller_joins: bool,
    /// Calls that the list shows: SID, status, creation.
    calls: Vec<(&'static str, &'static str, &'static str)>,
    /// What somebody in between answers to the next look at a path.
    odd_look: Option<(&'static str, u16, &'static str)>,
    /// How often.
    odd_looks: usize,
    /// Faults of requests that change something, in order.
    faults: VecDeque<Fault>,
    requests: Vec<Recorded>,
}

#[derive(Debug, Clone, Default)]
struct Fake(Arc<Mutex<Switch>>);

/// A body that breaks off after the head of the answer.
struct Broken;

impl hyper::body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(Some(Err(std::io::Error::other("cut"))))
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let method = request.method().to_string();
    let path = request.uri().path().trim_start_matches("/2010-04-01/Accounts/ACphone/").to_owned();
    let query: Vec<(String, String)> =
        serde_urlencoded::from_str(request.uri().query().unwrap_or_default()).unwrap_or_default();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let form: Vec<(String, String)> = serde_urlencoded::from_bytes(&body).unwrap_or_default();
    let (held, answer) = react(&fake, &method, &path, &query, &form);
    if held { std::future::pending().await } else { answer }
}

/// The answer, and whether it is held back.
fn react(
    fake: &Fake,
    method: &str,
    path: &str,
    query: &[(String, String)],
    form: &[(String, String)],
) -> (bool, Response) {
    let mut switch = fake.0.lock().unwrap();
    let pairs = if method == "POST" { form } else { query };
    switch.requests.push((method.to_owned(), path.to_owned(), pairs.to_vec()));
    if method == "GET"
        && switch.odd_looks > 0
        && let Some((at, status, body)) = switch.odd_look
        && at == path
    {
        switch.odd_looks -= 1;
        return (false, (StatusCode::from_u16(status).unwrap(), body).into_response());
    }
    let fault = if method == "GET" { None } else { switch.faults.pop_front() };
    if let Some(Fault::Answer(status, body, retry_after)) = fault {
        let status = StatusCode::from_u16(status).unwrap();
        return match retry_after {
            Some(value) => (false, (status, [("retry-after", value)], axum::Json(body)).into_response()),
            None => (false, (status, axum::Json(body)).into_response()),
        };
    }
    let done = carry_out(&mut switch, method, path, form);
    let lost = matches!(fault, Some(Fault::LoseAnswer));
    (matches!(fault, Some(Fault::HoldAnswer)), if lost { Response::new(Body::new(Broken)) } else { done })
}

fn carry_out(switch: &mut Switch, method: &str, path: &str, form: &[(String, String)]) -> Response {
    let not_found = || (StatusCode::NOT_FOUND, axum::Json(json!({"code": 20404, "message": "gone"}))).into_response();
    match (method, path) {
        ("POST", path) if path.ends_with("/Participants.json") => {
            let label = form.iter().find(|(name, _)| name == "Label").unwrap().1.clone();
            switch.room_open = true;
            switch.legs.push((label, "ringing"));
            let call = format!("CA{}", switch.legs.len());
            (StatusCode::CREATED, axum::Json(json!({"call_sid": call, "conference_sid": "CF1"}))).into_response()
        }
        ("GET", "Conferences.json") => {
            let status = if switch.room_open { "in-progress" } else { "completed" };
            axum::Json(json!({"conferences": [{"sid": "CF1", "friendly_name": ROOM, "status": status}]}))
                .into_response()
        }
        ("GET", "Conferences/CF1.json") => {
            let status = if switch.room_open { "in-progress" } else { "completed" };
            axum::Json(json!({"sid": "CF1", "friendly_name": ROOM, "status": status})).into_response()
        }
        ("GET", "Conferences/CF1/Participants.json") => {
            let legs = switch.legs.iter().enumerate().map(|(index, (label, status))| {
                let call = if label == "customer" { "CAcaller".to_owned() } else { format!("CA{}", index + 1) };
                json!({"call_sid": call, "label": label, "status": status})
            });
            axum::Json(json!({"participants": legs.collect::<Vec<_>>()})).into_response()
        }
        ("GET", "Calls.json") => {
            let calls = switch.calls.iter().map(|(sid, status, created)| {
                json!({"sid": sid, "status": status, "date_created": created, "to": "client:anna", "from": "+15550001"})
            });
            axum::Json(json!({"calls": calls.collect::<Vec<_>>()})).into_response()
        }
        ("GET", "Calls/CAcaller.json") => {
            let status = if switch.caller.is_empty() { "ringing" } else { switch.caller };
            axum::Json(json!({"sid": "CAcaller", "status": status})).into_response()
        }
        ("POST", "Calls/CAcaller.json") if form.iter().any(|(_, url)| url.ends_with("/join/customer")) => {
            if switch.caller_joins {
                switch.legs.push(("customer".to_owned(), "connected"));
            }
            axum::Json(json!({"status": "in-progress"})).into_response()
        }
        ("POST", "Calls/CAcaller.json" | "Calls/CA1.json" | "Conferences/CF1.json") => {
            axum::Json(json!({"status": "in-progress"})).into_response()
        }
        ("DELETE", path) if path.ends_with(&format!("/{LABEL}.json")) && !switch.legs.is_empty() => {
            StatusCode::NO_CONTENT.into_response()
        }
        _ => not_found(),
    }
}

impl Fake {
    async fn start(faults: impl IntoIterator<Item = Fault>) -> (Self, PhoneSystem) {
        let fake = Self::default();
        fake.0.lock().unwrap().faults.extend(faults);
        let app = axum::Router::new().fallback(answer).with_state(fake.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (fake, phone_at(&url))
    }

    fn posts(&self) -> Vec<Vec<(String, String)>> {
        let switch = self.0.lock().unwrap();
        switch.requests.iter().filter(|(method, ..)| method == "POST").map(|(.., form)| form.clone()).collect()
    }

    fn paths(&self) -> Vec<String> {
        self.0.lock().unwrap().requests.iter().map(|(method, path, _)| format!("{method} {path}")).collect()
    }
}

impl PhoneSystem {
    /// Carries out a command that is wanted to its end.
    async fn execute(&self, id: CommandId, command: &PhoneCommand, repeated: bool) -> PhoneOutcome {
        self.execute_while_wanted(id, command, repeated, &CancellationToken::new()).await
    }
}

fn settings_at(url: &str) -> PhoneSettings {
    PhoneSettings {
        url: url.to_owned(),
        account_sid: "ACphone".to_owned(),
        credentials: Credentials::Basic { user: "ACphone".to_owned(), password: SecretString::from("very secret") },
        public_url: "https://r.example.org/".to_owned(),
        leg_secs_max: 14_400,
        max_cps: None,
        abilities: Abilities::default(),
        wording: Wording::default(),
    }
}

fn phone_at(url: &str) -> PhoneSystem {
    let settings = settings_at(url);
    let patience = Patience { first_pause: Duration::ZERO, settle: Duration::ZERO, ..Patience::default() };
    PhoneSystem::new(settings, patience, &Clock::fixed(REQUESTED_AT), Entropy).unwrap()
}

fn id() -> CommandId {
    CommandId { task: ROOM.parse().unwrap(), number: 1 }
}

fn caller() -> CallSid {
    CallSid("CAcaller".to_owned())
}

fn add(options: ConferenceOptions) -> PhoneCommand {
    PhoneCommand::AddParticipant {
        room: ROOM.to_owned(),
        label: LABEL.to_owned(),
        role: crate::calls::Role::Worker,
        coach: None,
        to: "anna".to_owned(),
        from: "+15550001".to_owned(),
        options,
        requested_at: REQUESTED_AT,
    }
}

fn leg(call: &str, conference: Option<&str>) -> PhoneOutcome {
    PhoneOutcome::Done {
        call: Some(CallSid(call.to_owned())),
        conference: conference.map(ToOwned::to_owned),
        status: None,
    }
}

fn call_seen(call: &str, status: CallStatus) -> PhoneOutcome {
    PhoneOutcome::Done { call: Some(CallSid(call.to_owned())), conference: None, status: Some(status) }
}

#[tokio::test]
async fn an_answer_lost_after_the_leg_was_made_leads_to_exactly_one_leg() {
    let (fake, phone) = Fake::start([Fault::LoseAnswer]).await;
    let outcome = phone.execute(id(), &add(ConferenceOptions::default()), false).await;
    assert_eq!(outcome, leg("CA1", Some("CF1")));
    assert_eq!(fake.0.lock().unwrap().legs.len(), 1);
}

#[tokio::test]
async fn an_answer_lost_before_the_leg_was_made_leads_to_a_second_attempt() {
    let error = json!({"code": 20500, "message": "internal"});
    let (fake, phone) = Fake::start([Fault::Answer(500, error, None)]).await;
    let outcome = phone.execute(id(), &add(ConferenceOptions::default()), false).await;
    assert_eq!(outcome, leg("CA1", Some("CF1")));
    assert_eq!(fake.0.lock().unwrap().legs.len(), 1);
    assert!(fake.paths().contains(&"GET Calls.json".to_owned()), "looked before it repeated");
}

#[tokio::test]
async fn a_repeated_command_adopts_the_leg_with_its_label() {
    let (fake, phone) = Fake::start([]).await;
    {
        let mut switch = fake.0.lock().unwrap();
        switch.room_open = true;
        switch.legs = vec![("other".to_owned(), "connected"), (LABEL.to_owned(), "ringing")];
    }
    let outcome = phone.execute(id(), &add(ConferenceOptions::default()), true).await;
    assert_eq!(outcome, leg("CA2", Some("CF1")));
    assert!(fake.posts().is_empty());
}

#[tokio::test]
async fn a_repeated_command_adopts_only_a_call_made_after_the_request_and_its_end() {
    for (status, created, adopted) in [
        ("queued", "Tue, 31 Aug 2010 20:36:28 +0000", Some(CallStatus::Queued)),
        ("ringing", "Tue, 31 Aug 2010 20:36:40 +0000", Some(CallStatus::Ringing)),
        ("in-progress", "Tue, 31 Aug 2010 20:30:00 +0000", None),
        ("completed", "Tue, 31 Aug 2010 20:36:40 +0000", Some(CallStatus::Completed)),
        ("busy", "Tue, 31 Aug 2010 20:36:40 +0000", Some(CallStatus::Busy)),
        ("completed", "Tue, 31 Aug 2010 20:30:00 +0000", None),
        ("ringing", "not a date", None),
    ] {
        let (fake, phone) = Fake::start([]).await;
        fake.0.lock().unwrap().calls = vec![("CAlisted", status, created)];
        let outcome = phone.execute(id(), &add(ConferenceOptions::default()), true).await;
        let expected = adopted.map_or_else(|| leg("CA1", Some("CF1")), |status| call_seen("CAlisted", status));
        assert_eq!(outcome, expected, "{status} {created}");
    }
}

#[tokio::test]
async fn a_live_call_is_adopted_rather_than_a_newer_one_that_is_over() {
    let created = "Tue, 31 Aug 2010 20:36:40 +0000";
    let (fake, phone) = Fake::start([]).await;
    fake.0.lock().unwrap().calls = vec![("CAover", "busy", created), ("CAlive", "ringing", created)];
    let outcome = phone.execute(id(), &add(ConferenceOptions::default()), true).await;
    assert_eq!(outcome, call_seen("CAlive", CallStatus::Ringing));
}

#[tokio::test]
async fn a_call_that_was_made_for_another_leg_is_not_adopted() {
    let created = "Tue, 31 Aug 2010 20:36:40 +0000";
    let (fake, phone) = Fake::start([]).await;
    fake.0.lock().unwrap().calls = vec![("CAother", "in-progress", created), ("CAmine", "busy", created)];
    let other = CallSid("CAother".to_owned());
    phone.know_legs([(crate::routing::TaskSid::from_bits(9), LABEL, &other)]);
    let outcome = phone.execute(id(), &add(ConferenceOptions::default()), true).await;
    assert_eq!(outcome, call_seen("CAmine", CallStatus::Busy));
    // Whoever asks next finds both taken.
    let mut next = add(ConferenceOptions::default());
    if let PhoneCommand::AddParticipant { label, .. } = &mut next {
        *label = "WR00000000000000000000000000000003".to_owned();
    }
    assert_eq!(phone.execute(id(), &next, true).await, leg("CA1", Some("CF1")));
}

#[tokio::test]
async fn a_phone_system_that_is_not_there_has_made_nothing_and_is_asked_again_without_a_look() {
    let away = Fault::Answer(503, json!({"code": 20503, "message": "unavailable"}), None);
    let (fake, phone) = Fake::start([away]).await;
    // Of somebody who is dialled at the same address.
    fake.0.lock().unwrap().calls = vec![("CAother", "in-progress", "Tue, 31 Aug 2010 20:36:40 +0000")];
    let outcome = phone.execute(id(), &add(ConferenceOptions::default()), false).await;
    assert_eq!(outcome, leg("CA1", Some("CF1")));
    assert!(!fake.paths().contains(&"GET Calls.json".to_owned()), "looked for what was not made");
}

#[tokio::test]
async fn a_label_that_is_taken_is_adopted() {
    let error = json!({"code": 16025, "message": "label already used"});
    let (fake, phone) = Fake::start([Fault::Answer(400, error, None)]).await;
    {
        let mut switch = fake.0.lock().unwrap();
        switch.room_open = true;
        switch.legs = vec![(LABEL.to_owned(), "connected")];
    }
    assert_eq!(phone.execute(id(), &add(ConferenceOptions::default()), false).await, leg("CA1", Some("CF1")));
}

#[tokio::test]
async fn busy_answers_are_waited_out() {
    let busy = |retry_after| Fault::Answer(429, json!({"code": 20429, "message": "too many"}), retry_after);
    let (fake, phone) = Fake::start([busy(None), busy(Some("0"))]).await;
    assert_eq!(phone.execute(id(), &add(ConferenceOptions::default()), false).await, leg("CA1", Some("CF1")));
    assert_eq!(fake.paths().len(), 3, "429 was never carried out, so there is nothing to look for");
}

#[tokio::test]
async fn a_refusal_is_reported_with_code_and_message() {
    for (status, body, code, message) in [
        (400, json!({"code": 21211, "message": "invalid To"}), Some(21211), "invalid To"),
        (401, json!({"message": "Authenticate"}), Some(20003), "Authenticate"),
        (403, json!("<html>"), None, "Forbidden"),
        (422, json!({"code": "21217", "message": "invalid"}), Some(21217), "invalid"),
    ] {
        let (fake, phone) = Fake::start([Fault::Answer(status, body, None)]).await;
        let outcome = phone.execute(id(), &add(ConferenceOptions::default()), false).await;
        assert_eq!(outcome, PhoneOutcome::Refused { code, message: message.to_owned() });
        assert_eq!(fake.paths().len(), 1);
    }
}

#[tokio::test]
async fn the_caller_is_redirected_to_our_documents() {
    for (command, document) in [
        (PhoneCommand::MoveCallerToRoom { call: caller(), room: id().task.to_string() }, "join/customer"),
        (PhoneCommand::ParkCaller { call: caller(), room: id().task.to_string() }, "park"),
        (PhoneCommand::ReleaseCaller { call: caller(), room: id().task.to_string() }, "left?released=1"),
    ] {
        let busy = Fault::Answer(429, json!({"code": 20429, "message": "too many"}), None);
        let (fake, phone) = Fake::start([busy]).await;
        let outcome = phone.execute(id(), &command, false).await;
        assert_eq!(outcome, call_seen("CAcaller", CallStatus::InProgress));
        let url = format!("https://r.example.org/voice/tasks/{ROOM}/{document}");
        let insisting = format!("{url}#rc=5&rp=all");
        let expected = [("Url", &*insisting), ("Method", "POST"), ("FallbackUrl", &*url), ("FallbackMethod", "POST")];
        let expected = form::pairs(&expected);
        assert_eq!(fake.posts(), [expected.clone(), expected], "what was not carried out is repeated");
        assert_eq!(fake.paths().len(), 2, "429 was never carried out, so there is nothing to look for");
    }
}

/// What becomes of a redirect that may have been carried out.
enum Becomes {
    Done,
    Gone,
    Unavailable,
}

/// `posts` redirects are sent when an earlier one may have been carried out: before a crash, or without an answer.
async fn check_unclear(
    command: &PhoneCommand,
    caller: &'static str,
    in_room: bool,
    room_open: bool,
    posts: usize,
    becomes: &Becomes,
) {
    let labels = [(!in_room).then_some(LABEL), in_room.then_some("customer")];
    let legs: Vec<_> = labels.into_iter().flatten().map(|label| (label.to_owned(), "connected")).collect();
    for (repeated, faults) in [(true, vec![]), (false, vec![Fault::LoseAnswer])] {
        let (fake, phone) = Fake::start(faults).await;
        {
            let mut switch = fake.0.lock().unwrap();
            (switch.caller, switch.room_open, switch.legs) = (caller, room_open, legs.clone());
        }
        let outcome = phone.execute(id(), command, repeated).await;
        let expected = match becomes {
            Becomes::Done => matches!(outcome, PhoneOutcome::Done { status: Some(CallStatus::InProgress), .. }),
            Becomes::Gone => outcome == PhoneOutcome::Gone,
            Becomes::Unavailable => matches!(outcome, PhoneOutcome::Unavailable { .. }),
        };
        let case = format!("{command:?}, {caller}, in room {in_room}, repeated {repeated}");
        assert!(expected, "{case}: {outcome:?}");
        assert_eq!(fake.posts().len(), posts + usize::from(!repeated), "{case}");
    }
}

#[tokio::test]
async fn a_redirect_that_may_have_been_carried_out_is_sent_only_where_the_caller_still_needs_it() {
    let moved = || PhoneCommand::MoveCallerToRoom { call: caller(), room: id().task.to_string() };
    let parked = || PhoneCommand::ParkCaller { call: caller(), room: id().task.to_string() };
    let released = || PhoneCommand::ReleaseCaller { call: caller(), room: id().task.to_string() };
    for (command, caller, in_room, room_open, posts, becomes) in [
        (moved(), "in-progress", true, true, 0, Becomes::Done),
        (moved(), "in-progress", false, true, 1, Becomes::Done),
        (moved(), "in-progress", false, false, 0, Becomes::Unavailable),
        (moved(), "completed", false, true, 0, Becomes::Gone),
        (parked(), "in-progress", true, true, 1, Becomes::Done),
        (parked(), "in-progress", false, true, 0, Becomes::Done),
        (parked(), "completed", false, true, 0, Becomes::Gone),
        (released(), "in-progress", true, true, 1, Becomes::Done),
        (released(), "in-progress", false, true, 0, Becomes::Unavailable),
        (released(), "completed", false, true, 0, Becomes::Gone),
    ] {
        check_unclear(&command, caller, in_room, room_open, posts, &becomes).await;
    }
}

#[tokio::test]
async fn an_answer_lost_after_the_caller_joined_leads_to_exactly_one_redirect() {
    for fault in [Fault::LoseAnswer, Fault::HoldAnswer] {
        let (fake, mut phone) = Fake::start([fault.clone()]).await;
        phone.transport.patience.command = Duration::from_secs(1);
        {
            let mut switch = fake.0.lock().unwrap();
            (switch.caller, switch.room_open, switch.caller_joins) = ("in-progress", true, true);
        }
        // An answer that does not come takes all the time there is, except for the last look.
        let outcome = phone
            .execute(id(), &PhoneCommand::MoveCallerToRoom { call: caller(), room: id().task.to_string() }, false)
            .await;
        assert_eq!(outcome, call_seen("CAcaller", CallStatus::InProgress), "{fault:?}");
        assert_eq!(fake.posts().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_call_that_is_over_is_gone() {
    let over = || Fault::Answer(400, json!({"code": 21220, "message": "not in progress"}), None);
    let unknown = || Fault::Answer(404, json!({"code": 20404, "message": "not found"}), None);
    for fault in [over(), unknown()] {
        for command in [
            PhoneCommand::MoveCallerToRoom { call: caller(), room: id().task.to_string() },
            PhoneCommand::HangUp { call: caller() },
            PhoneCommand::HangUpLabel { room: ROOM.to_owned(), label: LABEL.to_owned(), call: Some(caller()) },
        ] {
            let (_, phone) = Fake::start([fault.clone()]).await;
            assert_eq!(phone.execute(id(), &command, false).await, PhoneOutcome::Gone, "{command:?}");
        }
    }
}

#[tokio::test]
async fn a_look_shows_the_rooms_that_live_and_who_is_in_them() {
    let leg = |call: &str, label: &str| LegSight {
        call: CallSid(call.to_owned()),
        label: Some(label.to_owned()),
        held: false,
        muted: false,
    };
    let seen = RoomSight { conference: "CF1".to_owned(), legs: vec![leg("CA1", LABEL), leg("CAcaller", "customer")] };
    for (open, conference, wanted) in [
        (true, Some("CF1"), vec![seen.clone()]),
        (true, None, vec![seen]),
        (false, Some("CF1"), vec![]),
        (false, Some("CF2"), vec![]),
    ] {
        let (fake, phone) = Fake::start([]).await;
        {
            let mut switch = fake.0.lock().unwrap();
            switch.room_open = open;
            let legs = [(LABEL, "connected"), ("customer", "connected"), ("other", "ringing"), ("gone", "complete")];
            switch.legs = legs.map(|(label, status)| (label.to_owned(), status)).to_vec();
        }
        let query = RoomQuery { room: ROOM.to_owned(), conference: conference.map(str::to_owned) };
        let outcome = phone.execute(id(), &PhoneCommand::FetchRoom(query), false).await;
        assert_eq!(outcome, PhoneOutcome::Seen(wanted), "{open} {conference:?}");
        assert!(fake.paths().len() <= 3, "a look takes three requests: {:?}", fake.paths());
    }
}

#[tokio::test]
async fn a_call_is_fetched_with_its_status() {
    let (_, phone) = Fake::start([]).await;
    let outcome = phone.execute(id(), &PhoneCommand::FetchCall { call: caller() }, false).await;
    let status = Some(CallStatus::Ringing);
    assert_eq!(outcome, PhoneOutcome::Done { call: Some(caller()), conference: None, status });
    let unknown = PhoneCommand::FetchCall { call: CallSid("../Accounts".to_owned()) };
    assert_eq!(phone.execute(id(), &unknown, false).await, PhoneOutcome::Gone);
}

#[tokio::test]
async fn rooms_and_legs_are_found_by_name_and_label() {
    let room = || ROOM.to_owned();
    let commands = || {
        [
            PhoneCommand::HangUpLabel { room: room(), label: LABEL.to_owned(), call: None },
            PhoneCommand::Kick { room: room(), leg: LABEL.to_owned() },
            PhoneCommand::EndRoom { room: room() },
        ]
    };
    for (command, last) in commands().into_iter().zip([
        "POST Calls/CA1.json".to_owned(),
        format!("DELETE Conferences/CF1/Participants/{LABEL}.json"),
        "POST Conferences/CF1.json".to_owned(),
    ]) {
        let (fake, phone) = Fake::start([]).await;
        {
            let mut switch = fake.0.lock().unwrap();
            switch.room_open = true;
            switch.legs = vec![(LABEL.to_owned(), "ringing")];
        }
        let outcome = phone.execute(id(), &command, false).await;
        assert!(matches!(outcome, PhoneOutcome::Done { .. }), "{command:?}: {outcome:?}");
        assert_eq!(fake.paths().last(), Some(&last));
    }
    for command in commands() {
        let (_, phone) = Fake::start([]).await;
        assert_eq!(phone.execute(id(), &command, false).await, PhoneOutcome::Gone, "{command:?}");
    }
}

#[tokio::test]
async fn an_unreachable_phone_system_is_unavailable_within_the_time_of_a_command() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut phone = phone_at(&url);
    phone.transport.patience.command = Duration::from_millis(50);
    let outcome = phone.execute(id(), &add(ConferenceOptions::default()), false).await;
    assert!(matches!(&outcome, PhoneOutcome::Unavailable { message } if message.starts_with("cannot connect")));
}

#[test]
fn addresses_without_a_scheme_are_clients() {
    for (address, dialled) in [
        ("joey", "client:joey"),
        (" joey ", "client:joey"),
        ("client:joey", "client:joey"),
        ("sip:joey@example.org", "sip:joey@example.org"),
        ("+15551234567", "+15551234567"),
        ("(555) 123-4567", "(555) 123-4567"),
        ("agent7", "client:agent7"),
        ("", ""),
    ] {
        assert_eq!(dialable(address), dialled);
    }
}

#[test]
fn the_token_is_not_shown() {
    assert!(!format!("{:?}", phone_at("http://localhost")).contains("very secret"));
}

/// Path and `Authorization` of a request with these settings.
async fn request_with(path: &str, credentials: Credentials) -> (String, String) {
    let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let notes = Arc::clone(&seen);
    let note = move |request: Request| {
        let header = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        notes.lock().unwrap().push((request.uri().path().to_owned(), header.unwrap_or_default()));
        std::future::ready(axum::Json(json!({"sid": "CAcaller", "status": "ringing"})))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{path}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(note)).await });
    let settings = PhoneSettings { credentials, ..settings_at(&url) };
    let phone = PhoneSystem::new(settings, Patience::default(), &Clock::fixed(REQUESTED_AT), Entropy).unwrap();
    let outcome = phone.execute(id(), &PhoneCommand::FetchCall { call: caller() }, false).await;
    assert_eq!(outcome, call_seen("CAcaller", CallStatus::Ringing));
    let mut seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    seen.remove(0)
}

#[tokio::test]
async fn requests_go_below_the_path_of_the_base_and_show_the_credentials_that_are_set() {
    let call = "/2010-04-01/Accounts/ACphone/Calls/CAcaller.json";
    let basic = |user: &str, password: &str| Credentials::Basic {
        user: user.to_owned(),
        password: SecretString::from(password),
    };
    // As `printf ACphone:token | base64` tells.
    let account = request_with("", basic("ACphone", "token")).await;
    assert_eq!(account, (call.to_owned(), "Basic QUNwaG9uZTp0b2tlbg==".to_owned()));
    let key = request_with("/api/laml", basic("SK1", "secret")).await;
    assert_eq!(key, (format!("/api/laml{call}"), "Basic U0sxOnNlY3JldA==".to_owned()));
    let bearer = request_with("/v2/texml/", Credentials::Bearer(SecretString::from("KEY0123"))).await;
    assert_eq!(bearer, (format!("/v2/texml{call}"), "Bearer KEY0123".to_owned()));
}

#[tokio::test]
async fn refused_credentials_raise_doubt_and_a_look_settles_it() {
    use futures_util::FutureExt as _;

    for (status, doubtful, access) in [
        (200, false, Some(Access::Granted)),
        (400, false, None),
        (401, true, Some(Access::Denied { message: "401, code 1: no".to_owned() })),
        (403, true, Some(Access::Denied { message: "403, code 1: no".to_owned() })),
        (503, false, Some(Access::Unknown { message: "503, code 1: no".to_owned() })),
    ] {
        let status_of = move || async move {
            (StatusCode::from_u16(status).unwrap(), axum::Json(json!({"code": 1, "message": "no"})))
        };
        let app = axum::Router::new().fallback(status_of);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let phone = phone_at(&format!("http://{}", listener.local_addr().unwrap()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let seen = phone.try_access().await;
        assert_eq!(access.unwrap_or(Access::Unknown { message: "400, code 1: no".to_owned() }), seen);
        assert!(phone.doubt().now_or_never().is_none(), "the look itself raises none");
        if status != 503 {
            phone.execute(id(), &PhoneCommand::FetchCall { call: caller() }, false).await;
            assert_eq!(phone.doubt().now_or_never().is_some(), doubtful, "{status}");
        }
    }
}

#[test]
fn a_base_that_is_not_http_is_refused() {
    for url in ["", "localhost:8080", "ftp://localhost", "mailto:x"] {
        let settings = PhoneSettings {
            url: url.to_owned(),
            account_sid: "AC".to_owned(),
            credentials: Credentials::Bearer(SecretString::from("")),
            public_url: String::new(),
            leg_secs_max: 14_400,
            max_cps: None,
            abilities: Abilities::default(),
            wording: Wording::default(),
        };
        assert!(
            PhoneSystem::new(settings, Patience::default(), &Clock::fixed(REQUESTED_AT), Entropy).is_err(),
            "{url}"
        );
    }
}
