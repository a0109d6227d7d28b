//! Rooms: participants over REST, changes, ends, refusals.

use super::*;

fn participants(phone: &mut Phone, room: &str) -> Vec<ParticipantRecord> {
    let page = Page { number: 0, size: 50 };
    let request = Request::ListParticipants { room: room.to_owned(), muted: None, hold: None, coaching: None, page };
    match phone.ask(request).unwrap() {
        Reply::Participants(list) => list.items,
        other => panic!("{other:?}"),
    }
}

fn rooms(phone: &mut Phone, status: Option<RoomStatus>) -> Vec<RoomRecord> {
    let (created, updated) = (Span::default(), Span::default());
    let page = Page { number: 0, size: 50 };
    match phone.ask(Request::ListRooms { name: Some("WT1".to_owned()), status, created, updated, page }).unwrap() {
        Reply::Rooms(list) => list.items,
        other => panic!("{other:?}"),
    }
}

fn update(phone: &mut Phone, who: &str, update: ParticipantUpdate) -> ParticipantRecord {
    let request = Request::UpdateParticipant { room: "WT1".to_owned(), who: who.to_owned(), update: Box::new(update) };
    match phone.ask(request).unwrap() {
        Reply::Participant(participant) => *participant,
        other => panic!("{other:?}"),
    }
}

/// A room with the worker (WR1) and the caller (customer) in it.
fn bridged() -> (Phone, String, String) {
    let mut phone = Phone::new();
    let caller = phone.caller();
    let worker = phone.add_worker();
    phone.advance(2_000);
    phone.redirect(&caller, JOIN).unwrap();
    (phone, caller, worker)
}

#[test]
fn a_participant_is_listed_from_its_creation_on() {
    let mut phone = Phone::new();
    phone.add_worker();
    let status = |phone: &mut Phone| participants(phone, "WT1")[0].status;
    assert_eq!(status(&mut phone), "queued");
    phone.advance(50);
    assert_eq!(status(&mut phone), "connecting");
    phone.advance(100);
    assert_eq!(status(&mut phone), "ringing");
    assert_eq!(rooms(&mut phone, Some(RoomStatus::Init)).len(), 1);
    phone.advance(1_000);
    assert_eq!(status(&mut phone), "connected");
}

#[test]
fn a_room_is_found_by_name_and_by_sid_and_shows_how_it_ended() {
    let (mut phone, caller, _) = bridged();
    let room = rooms(&mut phone, Some(RoomStatus::InProgress)).remove(0);
    assert_eq!(participants(&mut phone, &room.sid).len(), 2);
    phone.hang_up(&caller);
    assert!(rooms(&mut phone, Some(RoomStatus::InProgress)).is_empty());
    let ended = rooms(&mut phone, Some(RoomStatus::Completed)).remove(0);
    assert_eq!(ended.reason_ended, Some("participant-with-end-conference-on-exit-left"));
    assert_eq!(ended.ended_by, Some(caller));
    assert!(participants(&mut phone, &room.sid).is_empty());
    let refusal = phone.ask(add(&room.sid, "client:b", "WR2")).unwrap_err();
    assert_eq!((refusal.status, refusal.code), (404, 20404));
    phone.ask(add("WT1", "client:b", "WR2")).unwrap();
    assert_eq!(rooms(&mut phone, None).len(), 2, "the name makes a new room");
}

#[test]
fn hold_mute_and_modification_are_told_once_each() {
    let (mut phone, _, worker) = bridged();
    phone.document("https://r/hold", "<Response><Play>music.mp3</Play><Redirect/></Response>");
    let hold_document = Some(Target { url: "https://r/hold".to_owned(), method: Method::Post });
    let held =
        update(&mut phone, "customer", ParticipantUpdate { hold: Some(true), hold_document, ..Default::default() });
    assert!(held.hold);
    phone.advance(11_000);
    assert_eq!(phone.to("https://r/hold").len(), 3, "the hold document loops by its redirect");
    update(&mut phone, "customer", ParticipantUpdate { hold: Some(false), ..Default::default() });
    phone.advance(20_000);
    assert_eq!(phone.to("https://r/hold").len(), 3);
    update(&mut phone, &worker, ParticipantUpdate { muted: Some(true), ..Default::default() });
    update(&mut phone, &worker, ParticipantUpdate { muted: Some(true), ..Default::default() });
    update(&mut phone, "WR1", ParticipantUpdate { muted: Some(false), end_on_exit: Some(false), ..Default::default() });
    assert_eq!(
        phone.told(
            "https://r/room",
            &["StatusCallbackEvent", "ParticipantLabel", "Muted", "Hold", "EndConferenceOnExit"]
        )[3..],
        [
            "participant-hold customer false true true",
            "participant-unhold customer false false true",
            "participant-mute WR1 true false true",
            "participant-unmute WR1 false false false",
            "participant-modify WR1 false false false",
        ]
    );
}

#[test]
fn a_participant_that_does_not_end_the_room_leaves_the_others_in_it() {
    let (mut phone, caller, worker) = bridged();
    update(&mut phone, "WR1", ParticipantUpdate { end_on_exit: Some(false), ..Default::default() });
    phone.hang_up(&worker);
    assert_eq!(participants(&mut phone, "WT1").len(), 1);
    assert_eq!(phone.status(&caller), "in-progress");
    phone.ask(Request::RemoveParticipant { room: "WT1".to_owned(), who: "customer".to_owned() }).unwrap();
    let last = phone.told("https://r/room", &["StatusCallbackEvent", "ReasonConferenceEnded"]);
    assert_eq!(last.last().unwrap(), "conference-end participant-with-end-conference-on-exit-kicked");
    assert_eq!(phone.told("https://r/room-left", &["CallStatus", "DialCallStatus"]), ["in-progress answered"]);
}

#[test]
fn kicking_the_last_participant_ends_the_room() {
    let mut phone = Phone::new();
    let mut new = participant("client:a", "WR1");
    new.entry.end_on_exit = false;
    phone.ask(Request::AddParticipant { room: "WT1".to_owned(), new: Box::new(new) }).unwrap();
    phone.advance(2_000);
    phone.ask(Request::RemoveParticipant { room: "WT1".to_owned(), who: "WR1".to_owned() }).unwrap();
    assert_eq!(
        phone.told("https://r/room", &["StatusCallbackEvent", "ReasonConferenceEnded"]),
        ["participant-join -", "participant-leave -", "conference-end last-participant-kicked"]
    );
}

#[test]
fn ending_a_room_over_rest_releases_some_and_cancels_others() {
    let (mut phone, caller, worker) = bridged();
    phone.behaves("client:b", Behaviour { no_answer: true, ..Behaviour::default() });
    phone.ask(add("WT1", "client:b", "WR2")).unwrap();
    phone.advance(500);
    let room = rooms(&mut phone, None).remove(0).sid;
    phone.ask(Request::EndRoom { sid: room.clone() }).unwrap();
    assert_eq!(
        phone.told(
            "https://r/room",
            &["StatusCallbackEvent", "ParticipantLabel", "ReasonParticipantLeft", "ReasonConferenceEnded"]
        )[3..],
        [
            "conference-end - - conference-ended-via-api",
            "participant-leave WR1 conference_ended_via_api -",
            "participant-leave customer conference_ended_via_api -",
            "participant-leave WR2 participant_add_failed -",
        ]
    );
    assert_eq!((phone.status(&worker), phone.status(&caller)), ("completed", "completed"));
    assert_eq!(phone.told("https://r/call", &["CallStatus"]).last().unwrap(), "completed");
    let again = phone.ask(Request::EndRoom { sid: room });
    assert!(matches!(again, Ok(Reply::Room(_))), "ending twice is no error: {again:?}");
}

#[test]
fn labels_are_unique_and_well_formed() {
    let (mut phone, _, _) = bridged();
    let mut refused = |label: &str| phone.ask(add("WT1", "client:b", label)).unwrap_err().code;
    assert_eq!(refused("WR1"), 16025);
    assert_eq!(refused("a/b"), 16024);
    assert_eq!(refused(&format!("CA{}", "0".repeat(32))), 16024);
    assert_eq!(refused(&"x".repeat(129)), 16023);
}

#[test]
fn a_leg_that_may_not_enter_falls_through_to_its_action() {
    let (mut phone, _, _) = bridged();
    let second = phone.caller();
    phone.redirect(&second, JOIN).unwrap();
    assert_eq!(phone.told("https://r/room-left", &["DialCallStatus", "DialBridged"]), ["failed false"]);
    let full = JOIN.replace("customer", "third").replace("beep", "maxParticipants=\"2\" beep");
    let third = phone.caller();
    phone.redirect(&third, &full).unwrap();
    assert_eq!(phone.to("https://r/room-left").len(), 2);
    assert_eq!(participants(&mut phone, "WT1").len(), 2);
}

#[test]
fn a_room_waits_for_somebody_who_starts_it() {
    let mut phone = Phone::new();
    phone.document("https://r/music", "<Response><Play>music.mp3</Play><Redirect/></Response>");
    let quiet = JOIN.replace("beep", "waitUrl=\"https://r/music\" startConferenceOnEnter=\"false\" beep");
    let first = phone.caller();
    phone.redirect(&first, &quiet).unwrap();
    let second = phone.caller();
    phone.redirect(&second, &quiet.replace("customer", "other")).unwrap();
    phone.advance(6_000);
    assert!(rooms(&mut phone, Some(RoomStatus::InProgress)).is_empty());
    assert_eq!(phone.to("https://r/music").len(), 4);
    phone.add_worker();
    phone.advance(2_000);
    assert_eq!(rooms(&mut phone, Some(RoomStatus::InProgress)).len(), 1);
    phone.advance(20_000);
    assert_eq!(phone.to("https://r/music").len(), 4, "the music stops when the room starts");
}

#[test]
fn a_supervisor_can_coach_somebody_in_the_room_only() {
    let (mut phone, _, worker) = bridged();
    let coach = |call_sid: &str| {
        let mut new = participant("client:s", "supervisor");
        new.coaching = true;
        new.entry.coach = Some(call_sid.to_owned());
        new.entry.end_on_exit = false;
        Request::AddParticipant { room: "WT1".to_owned(), new: Box::new(new) }
    };
    assert_eq!(phone.ask(coach("CA404")).unwrap_err().code, 13240);
    let Request::AddParticipant { room, mut new } = coach("") else { panic!() };
    new.entry.coach = None;
    assert_eq!(phone.ask(Request::AddParticipant { room, new }).unwrap_err().code, 20001, "whom?");
    let whom = ParticipantUpdate { coaching: Some(true), ..Default::default() };
    let request = Request::UpdateParticipant { room: "WT1".to_owned(), who: worker.clone(), update: Box::new(whom) };
    assert_eq!(phone.ask(request).unwrap_err().code, 20001);
    let Reply::Participant(supervisor) = phone.ask(coach(&worker)).unwrap() else { panic!() };
    assert!(supervisor.coaching);
    assert_eq!(supervisor.call_sid_to_coach, Some(worker.clone()));
    phone.advance(2_000);
    let joined = phone.to("https://r/room").pop().unwrap();
    assert_eq!((joined["Coaching"].as_str(), &joined["CallSidToCoach"]), ("true", &worker));
}

#[test]
fn who_speaks_in_a_room_is_told_to_those_who_ask_for_it() {
    let mut phone = Phone::new();
    let mut calls = Vec::new();
    for (to, label) in [("client:a", "WR1"), ("client:b", "WR2")] {
        let mut new = participant(to, label);
        new.entry.status_callback = Some(callback("https://r/room", &["speaker"]));
        match phone.ask(Request::AddParticipant { room: "WT1".to_owned(), new: Box::new(new) }).unwrap() {
            Reply::Participant(participant) => calls.push(participant.call_sid),
            other => panic!("{other:?}"),
        }
    }
    phone.advance(2_000);
    let text = "0123456789".to_owned();
    phone.ask(Request::Say { sid: calls[0].clone(), text: text.clone() }).unwrap();
    phone.advance(599);
    assert_eq!(
        phone.told("https://r/room", &["StatusCallbackEvent", "ParticipantLabel"]),
        ["participant-speech-start WR1"]
    );
    phone.advance(1);
    update(&mut phone, "WR2", ParticipantUpdate { muted: Some(true), ..Default::default() });
    phone.ask(Request::Say { sid: calls[1].clone(), text }).unwrap();
    phone.advance(1_000);
    assert_eq!(
        phone.told("https://r/room", &["StatusCallbackEvent"]),
        ["participant-speech-start", "participant-speech-stop"]
    );
}
