//! Answers of somebody between us and the phone system, which say nothing of calls and rooms.

use super::*;

/// What a load balancer without a phone system behind it may answer to a look.
const ODD: [(u16, &str); 8] = [
    (404, "<html>no such host</html>"),
    (404, ""),
    (404, r#"{"error":"no route"}"#),
    (404, r#"{"code":404,"message":"no route"}"#),
    (404, r#"{"code":5,"message":"unknown service"}"#),
    (200, "<html>back soon</html>"),
    (200, r#"{"sid":"CA00000000000000000000000000000000","status":"completed"}"#),
    (200, r#"{"status":"completed"}"#),
];

fn look_at_room() -> PhoneCommand {
    PhoneCommand::FetchRoom(RoomQuery { room: ROOM.to_owned(), conference: Some("CF1".to_owned()) })
}

/// A caller in a room; the first `times` looks at `path` are answered like this.
async fn bridged(path: &'static str, (status, body): (u16, &'static str), times: usize) -> (Fake, PhoneSystem) {
    let (fake, phone) = Fake::start([]).await;
    {
        let mut switch = fake.0.lock().unwrap();
        (switch.caller, switch.room_open) = ("in-progress", true);
        switch.legs = vec![("customer".to_owned(), "connected")];
        (switch.odd_look, switch.odd_looks) = (Some((path, status, body)), times);
    }
    (fake, phone)
}

#[tokio::test]
async fn an_answer_that_is_not_the_phone_systems_is_no_news_of_a_call_or_a_room() {
    let room = PhoneOutcome::Seen(vec![RoomSight {
        conference: "CF1".to_owned(),
        legs: vec![LegSight { call: caller(), label: Some("customer".to_owned()), held: false, muted: false }],
    }]);
    let seen = call_seen("CAcaller", CallStatus::InProgress);
    for odd in ODD {
        for (path, command, expected) in [
            ("Calls/CAcaller.json", PhoneCommand::FetchCall { call: caller() }, &seen),
            ("Conferences.json", look_at_room(), &room),
            ("Conferences/CF1.json", look_at_room(), &room),
            ("Conferences/CF1/Participants.json", look_at_room(), &room),
        ] {
            let (fake, phone) = bridged(path, odd, 3).await;
            assert_eq!(phone.execute(id(), &command, false).await, *expected, "{path} {odd:?}");
            let asked = fake.paths().iter().filter(|asked| **asked == format!("GET {path}")).count();
            assert_eq!(asked, 4, "{path} {odd:?}: asked again");
        }
    }
}

#[tokio::test]
async fn while_somebody_else_answers_the_phone_system_is_unavailable() {
    for odd in ODD {
        let (_, mut phone) = bridged("Calls/CAcaller.json", odd, usize::MAX).await;
        phone.transport.patience.command = Duration::from_millis(100);
        let outcome = phone.execute(id(), &PhoneCommand::FetchCall { call: caller() }, false).await;
        assert!(matches!(outcome, PhoneOutcome::Unavailable { .. }), "{odd:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_command_that_somebody_else_answered_is_sent_again_after_a_look() {
    let no_route = || Fault::Answer(404, json!({"error": "no route"}), None);
    let redirect = PhoneCommand::MoveCallerToRoom { call: caller(), room: String::new() };
    let to_document = PhoneCommand::RedirectCall {
        call: caller(),
        account: "AC00000000000000000000000000000001".parse().unwrap(),
        url: "https://app/x".to_owned(),
    };
    for (command, posts) in [
        (redirect, Some(2)),
        (PhoneCommand::HangUp { call: caller() }, Some(2)),
        (add(ConferenceOptions::default()), Some(2)),
        // Whether the call is there is not known, and it is not sent twice.
        (to_document, None),
    ] {
        let (fake, phone) = Fake::start([no_route()]).await;
        {
            let mut switch = fake.0.lock().unwrap();
            (switch.caller, switch.room_open) = ("in-progress", true);
        }
        let outcome = phone.execute(id(), &command, false).await;
        assert_eq!(matches!(outcome, PhoneOutcome::Done { .. }), posts.is_some(), "{command:?}: {outcome:?}");
        assert_eq!(matches!(outcome, PhoneOutcome::Unavailable { .. }), posts.is_none(), "{command:?}: {outcome:?}");
        assert_eq!(fake.posts().len(), posts.unwrap_or(1), "{command:?}");
    }
}

#[tokio::test]
async fn where_refusals_have_no_codes_any_404_is_gone() {
    for odd in ODD.into_iter().filter(|(status, _)| *status == 404) {
        for error_codes in [true, false] {
            let (fake, _) = bridged("Calls/CAcaller.json", odd, 1).await;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let app = axum::Router::new().fallback(answer).with_state(fake.clone());
            tokio::spawn(async move { axum::serve(listener, app).await });
            let abilities = Abilities { error_codes, ..Abilities::default() };
            let settings = PhoneSettings { abilities, ..settings_at(&url) };
            let patience = Patience { first_pause: Duration::ZERO, ..Patience::default() };
            let phone = PhoneSystem::new(settings, patience, &Clock::fixed(REQUESTED_AT), Entropy).unwrap();
            let outcome = phone.execute(id(), &PhoneCommand::FetchCall { call: caller() }, false).await;
            assert_eq!(outcome == PhoneOutcome::Gone, !error_codes, "{odd:?} {error_codes}: {outcome:?}");
        }
    }
}
