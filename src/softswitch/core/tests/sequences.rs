//! Sequences 8.1 to 8.5 of `spec/voice.md`, seen from the phone system.

use super::*;

const ROOM: &[&str] = &["StatusCallbackEvent", "ParticipantLabel", "ReasonParticipantLeft", "ReasonConferenceEnded"];
const CALL: &[&str] = &["CallStatus", "SequenceNumber", "SipResponseCode"];

#[test]
fn inbound_call_asks_the_voice_url_with_the_standard_parameters() {
    let mut phone = Phone::new();
    let caller = phone.caller();
    let params = phone.to("https://r/voice").remove(0);
    let expected = [
        ("CallSid", caller.as_str()),
        ("AccountSid", &format!("AC{}", "a".repeat(32))),
        ("From", CALLER),
        ("To", NUMBER),
        ("Caller", CALLER),
        ("Called", NUMBER),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
        ("ApiVersion", "2010-04-01"),
        ("FromCity", ""),
        ("ToCountry", ""),
        ("CalledZip", ""),
        ("CallerState", ""),
    ];
    for (name, value) in expected {
        assert_eq!(params.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(params.len(), 25);
}

#[test]
fn a_parked_call_is_answered_and_its_wait_document_loops() {
    let mut phone = Phone::new();
    let caller = phone.caller();
    assert_eq!(phone.status(&caller), "in-progress");
    phone.advance(12_000);
    let names = ["CallStatus", "QueuePosition", "QueueTime", "AvgQueueTime", "CurrentQueueSize", "MaxQueueSize"];
    assert_eq!(
        phone.told(WAIT, &names),
        ["in-progress 1 0 0 1 1000", "in-progress 1 5 5 1 1000", "in-progress 1 10 10 1 1000"]
    );
    assert!(phone.to(WAIT)[0]["QueueSid"].starts_with("QU"));
}

/// Plays 8.1 up to the bridge; returns the phone, the caller's and the worker's `CallSid`.
fn bridged() -> (Phone, String, String) {
    let mut phone = Phone::new();
    let caller = phone.caller();
    phone.advance(15_000);
    let worker = phone.add_worker();
    phone.advance(2_000);
    phone.redirect(&caller, JOIN).unwrap();
    (phone, caller, worker)
}

#[test]
fn worker_is_dialled_into_the_room_and_the_caller_is_moved() {
    let (phone, caller, worker) = bridged();
    assert_eq!(
        phone.told("https://r/call", &["CallSid", "CallStatus", "SequenceNumber", "CallbackSource", "Direction"]),
        ["initiated 0", "ringing 1", "in-progress 2"]
            .map(|event| format!("{worker} {event} call-progress-events outbound-api"))
    );
    let left = ["QueueResult", "QueueTime", "CallStatus", "CallSid"];
    assert_eq!(phone.told(ACTION, &left), [format!("redirected 17 in-progress {caller}")]);
    let names =
        ["StatusCallbackEvent", "SequenceNumber", "FriendlyName", "CallSid", "ParticipantLabel", "EndConferenceOnExit"];
    assert_eq!(
        phone.told("https://r/room", &names),
        [
            format!("participant-join 1 WT1 {worker} WR1 true"),
            format!("participant-join 2 WT1 {caller} customer true"),
            format!("conference-start 3 WT1 {caller} customer true"),
        ]
    );
    let room = &phone.to("https://r/room")[0];
    for (name, value) in
        [("Muted", "false"), ("Hold", "false"), ("Coaching", "false"), ("StartConferenceOnEnter", "true")]
    {
        assert_eq!(room[name], value, "{name}");
    }
    assert!(room["ConferenceSid"].starts_with("CF") && room["Timestamp"].ends_with("+0000"));
}

#[test]
fn caller_hangs_up_and_ends_the_room() {
    let (mut phone, caller, worker) = bridged();
    phone.advance(90_000);
    let before = phone.sent.len();
    phone.hang_up(&caller);
    let told = phone.told("https://r/room", ROOM);
    assert_eq!(
        told[3..],
        [
            "participant-leave customer participant_hung_up -",
            "conference-end - - participant-with-end-conference-on-exit-left",
            "participant-leave WR1 moderator_ended_conference -",
        ]
    );
    let end = &phone.to("https://r/room")[4];
    assert_eq!(end["CallSidEndingConference"], caller);
    assert_eq!(end["ParticipantLabelEndingConference"], "customer");
    assert_eq!(
        phone.told("https://r/room-left", &["CallStatus", "DialCallStatus", "DialCallSid"]),
        ["completed answered -"]
    );
    assert_eq!(phone.told("https://r/call", CALL)[3..], ["completed 3 -"]);
    assert_eq!(phone.to("https://r/call")[3]["CallDuration"], "90");
    assert_eq!(
        phone.urls(before),
        ["https://r/room", "https://r/room", "https://r/room", "https://r/room-left", "https://r/call"]
    );
    assert_eq!((phone.status(&caller), phone.status(&worker)), ("completed", "completed"));
    assert_eq!(phone.switch.next_deadline(), None, "nothing is left to do");
}

#[test]
fn worker_hangs_up_and_the_caller_goes_on_at_the_dial_action() {
    let (mut phone, caller, worker) = bridged();
    phone.document("https://r/room-left", "<Response><Say>0123456789</Say></Response>");
    phone.hang_up(&worker);
    assert_eq!(
        phone.told("https://r/room", ROOM)[3..],
        [
            "participant-leave WR1 participant_hung_up -",
            "conference-end - - participant-with-end-conference-on-exit-left",
            "participant-leave customer moderator_ended_conference -",
        ]
    );
    assert_eq!(phone.told("https://r/room-left", &["CallStatus", "DialCallStatus"]), ["in-progress answered"]);
    assert_eq!(phone.status(&caller), "in-progress");
    phone.advance(600);
    assert_eq!(phone.status(&caller), "completed");
}

#[test]
fn caller_abandons_the_queue() {
    let mut phone = Phone::new();
    let caller = phone.caller_who(Behaviour { hang_up_after_ms: Some(40_000), ..Behaviour::default() });
    phone.advance(60_000);
    assert_eq!(phone.status(&caller), "completed");
    assert_eq!(phone.told(ACTION, &["QueueResult", "QueueTime", "CallStatus"]), ["hangup 40 completed"]);
    assert_eq!(phone.to(WAIT).len(), 8, "the wait document is not asked for any more");
    assert_eq!(phone.switch.next_deadline(), None);
}

#[test]
fn the_workers_ringing_leg_is_cancelled_after_an_abandonment() {
    for status in [CallStatus::Completed, CallStatus::Canceled] {
        let mut phone = Phone::new();
        let caller = phone.caller();
        phone.behaves("client:a", Behaviour { no_answer: true, ..Behaviour::default() });
        let worker = phone.add_worker();
        phone.advance(3_000);
        phone.hang_up(&caller);
        phone.set_status(&worker, status).unwrap();
        assert_eq!(phone.told("https://r/call", CALL), ["initiated 0 -", "ringing 1 -", "canceled 2 487"]);
        assert_eq!(
            phone.told("https://r/room", ROOM),
            ["participant-leave WR1 participant_add_failed -", "conference-end - - last-participant-left",]
        );
    }
}

#[track_caller]
fn unreached(behaviour: Behaviour, call: &[&str], participant_status: &str) {
    let mut phone = Phone::new();
    phone.caller();
    phone.behaves("client:a", behaviour);
    let worker = phone.add_worker();
    phone.advance(25_000);
    assert_eq!(phone.told("https://r/call", CALL), call);
    assert_eq!(phone.to("https://r/call").last().unwrap()["CallDuration"], "0");
    assert_eq!(phone.status(&worker), participant_status);
    assert_eq!(
        phone.told(
            "https://r/room",
            &["StatusCallbackEvent", "ReasonParticipantLeft", "ParticipantCallStatus", "ParticipantLabel"]
        ),
        [
            format!("participant-leave participant_add_failed {participant_status} WR1"),
            "conference-end - - -".to_owned()
        ]
    );
    assert_eq!(phone.to(ACTION).len(), 0, "the caller hears nothing of it");
}

#[test]
fn a_worker_who_is_not_reached_never_joins() {
    let default = Behaviour::default;
    unreached(
        Behaviour { no_answer: true, ..default() },
        &["initiated 0 -", "ringing 1 -", "no-answer 2 487"],
        "no-answer",
    );
    unreached(Behaviour { busy: true, ..default() }, &["initiated 0 -", "busy 1 486"], "busy");
    unreached(Behaviour { reject: true, ..default() }, &["initiated 0 -", "ringing 1 -", "busy 2 603"], "busy");
    unreached(Behaviour { unreachable: true, ..default() }, &["initiated 0 -", "failed 1 404"], "failed");
}

#[test]
fn caller_hangs_up_between_answer_and_join() {
    let mut phone = Phone::new();
    let caller = phone.caller();
    let worker = phone.add_worker();
    phone.advance(2_000);
    phone.hang_up(&caller);
    let refusal = phone.redirect(&caller, JOIN).unwrap_err();
    assert_eq!((refusal.status, refusal.code), (400, 21220));
    assert_eq!(phone.told(ACTION, &["QueueResult"]), ["hangup"]);
    let room = phone.to("https://r/room")[0]["ConferenceSid"].clone();
    phone.ask(Request::RemoveParticipant { room: room.clone(), who: "WR1".to_owned() }).unwrap();
    assert_eq!(
        phone.told("https://r/room", ROOM),
        [
            "participant-join WR1 - -",
            "participant-leave WR1 participant_updated_via_api -",
            "conference-end - - participant-with-end-conference-on-exit-kicked",
        ]
    );
    assert_eq!(phone.status(&worker), "completed");
    assert_eq!(phone.told("https://r/call", CALL)[3..], ["completed 3 -"]);
    let gone = phone.ask(Request::RemoveParticipant { room, who: "WR1".to_owned() }).unwrap_err();
    assert_eq!((gone.status, gone.code), (404, 20404));
}

#[test]
fn caller_who_joined_just_before_hanging_up_is_seen_joining_and_leaving() {
    let (mut phone, caller, _) = bridged();
    phone.hang_up(&caller);
    let events = phone.told("https://r/room", &["StatusCallbackEvent", "ParticipantLabel"]);
    let join = events.iter().position(|event| event == "participant-join customer");
    let leave = events.iter().position(|event| event == "participant-leave customer");
    assert!(join.is_some() && join < leave, "{events:?}");
}

#[test]
fn a_redirect_wins_over_a_wait_document_on_its_way() {
    let mut phone = Phone::new();
    phone.advance(0);
    let caller = phone.caller();
    phone.hold_documents = true;
    phone.advance(5_000);
    let late = phone.held.pop().expect("the wait document is asked for again");
    phone.redirect(&caller, "<Response><Pause length=\"30\"/></Response>").unwrap();
    let before = phone.sent.len();
    let outcome = Ok(Document::parse("<Response><Hangup/></Response>", None).unwrap());
    phone.feed(Input::Fetched { id: late, outcome });
    phone.advance(29_000);
    assert_eq!(phone.status(&caller), "in-progress", "the late wait document changes nothing");
    assert_eq!(phone.told(ACTION, &["QueueResult"]), ["redirected"]);
    assert_eq!(phone.sent.len(), before);
    phone.advance(1_000);
    assert_eq!(phone.status(&caller), "completed");
}

#[test]
fn the_second_of_two_redirects_wins() {
    let mut phone = Phone::new();
    let caller = phone.caller();
    phone.redirect(&caller, JOIN).unwrap();
    phone.redirect(&caller, "<Response><Pause length=\"30\"/></Response>").unwrap();
    assert_eq!(phone.told(ACTION, &["QueueResult"]), ["redirected"], "the queue is left once");
    assert_eq!(
        phone.told("https://r/room", ROOM),
        [
            "participant-join customer - -",
            "participant-leave customer participant_updated_via_api -",
            "conference-end - - participant-with-end-conference-on-exit-left",
        ]
    );
    assert!(phone.to("https://r/room-left").is_empty(), "a redirect does not tell the dial action");
}
