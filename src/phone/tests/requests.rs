//! What the phone system is asked, word for word.

use super::*;
use crate::calls::{LegUpdate, Subscription};

const CONFERENCE: &str = "CF0123456789abcdef0123456789abcdef";

/// What is asked of us is not the phone system's to tell the application.
fn told(url: &str, events: &[&str]) -> Subscription {
    let events = events.iter().map(|event| (*event).to_owned()).collect();
    Subscription { url: url.to_owned(), by_get: true, events, names_caller: false }
}

#[tokio::test]
async fn a_worker_is_dialled_with_everything_the_instruction_says() {
    let (fake, phone) = Fake::start([]).await;
    let options = ConferenceOptions {
        timeout_secs: 900,
        beep: "onEnter".to_owned(),
        muted: true,
        start_conference_on_enter: false,
        end_conference_on_exit: true,
        early_media: false,
        max_participants: Some(3),
        wait_url: Some("https://app.example/music".to_owned()),
        wait_method: Some("GET".to_owned()),
        record: Some("record-from-answer".to_owned()),
        recording_channels: Some("dual".to_owned()),
        conference_record: Some("record-from-start".to_owned()),
        conference_trim: Some("do-not-trim".to_owned()),
        region: Some("de1".to_owned()),
        sip_auth_username: Some("anna".to_owned()),
        sip_auth_password: Some("secret".to_owned()),
        jitter_buffer_size: Some("small".to_owned()),
        status_callback: Some(told("https://app.example/leg", &["ringing"])),
        recording_status_callback: Some(told("https://app.example/recording", &["completed"])),
        conference_status_callback: Some(told("https://app.example/room", &["speaker", "join"])),
        conference_recording_status_callback: Some(told("https://app.example/recording", &["completed"])),
        ..ConferenceOptions::default()
    };
    let PhoneCommand::AddParticipant { room, label, role, coach, from, requested_at, .. } = add(options.clone()) else {
        panic!("adds a participant")
    };
    let to = "sip:anna@example.org".to_owned();
    let command = PhoneCommand::AddParticipant { room, label, role, coach, to, from, options, requested_at };
    assert_eq!(phone.execute(id(), &command, false).await, leg("CA1", Some("CF1")));
    assert_eq!(fake.paths(), [format!("POST Conferences/{ROOM}/Participants.json")]);
    let ours = |path: &str| format!("https://r.example.org/voice/{path}");
    let mut expected = form::pairs(&[
        ("From", "+15550001"),
        ("To", "sip:anna@example.org"),
        ("Label", LABEL),
        ("Timeout", "600"),
        ("Beep", "onEnter"),
        ("Muted", "true"),
        ("StartConferenceOnEnter", "false"),
        ("EndConferenceOnExit", "true"),
        ("EarlyMedia", "false"),
        ("StatusCallback", &ours(&format!("cb/call/{ROOM}/{LABEL}/worker"))),
        ("StatusCallbackMethod", "POST"),
        ("ConferenceStatusCallback", &ours(&format!("cb/room/{ROOM}"))),
        ("ConferenceStatusCallbackMethod", "POST"),
    ]);
    for event in ["initiated", "ringing", "answered", "completed"] {
        expected.extend(form::pairs(&[("StatusCallbackEvent", event)]));
    }
    for event in ["start", "end", "join", "leave", "mute", "hold", "modify", "speaker"] {
        expected.extend(form::pairs(&[("ConferenceStatusCallbackEvent", event)]));
    }
    expected.extend(form::pairs(&[
        ("WaitUrl", &ours(&format!("tasks/{ROOM}/room-wait"))),
        ("WaitMethod", "POST"),
        ("MaxParticipants", "3"),
        ("Record", "true"),
        ("RecordingChannels", "dual"),
        ("ConferenceRecord", "record-from-start"),
        ("ConferenceTrim", "do-not-trim"),
        ("Region", "de1"),
        ("SipAuthUsername", "anna"),
        ("SipAuthPassword", "secret"),
        ("JitterBufferSize", "small"),
        ("RecordingStatusCallback", &ours(&format!("cb/rec/{ROOM}/call"))),
        ("RecordingStatusCallbackMethod", "POST"),
        ("ConferenceRecordingStatusCallback", &ours(&format!("cb/rec/{ROOM}/conference"))),
        ("ConferenceRecordingStatusCallbackMethod", "POST"),
        ("TimeLimit", "14400"),
    ]));
    assert_eq!(fake.posts(), [expected]);
}

#[tokio::test]
async fn what_the_instruction_does_not_say_has_its_default() {
    let (fake, phone) = Fake::start([]).await;
    let options = ConferenceOptions {
        wait_url: Some(String::new()),
        wait_method: Some("GET".to_owned()),
        sip_auth_password: Some("unused without sip".to_owned()),
        ..ConferenceOptions::default()
    };
    phone.execute(id(), &add(options), false).await;
    let form = fake.posts().remove(0);
    let given = |name: &str| form.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
    for (name, value) in [
        ("To", Some("client:anna")),
        ("Timeout", Some("60")),
        ("Beep", Some("true")),
        ("Muted", Some("false")),
        ("StartConferenceOnEnter", Some("true")),
        ("EndConferenceOnExit", Some("false")),
        ("EarlyMedia", Some("true")),
        // Silence.
        ("WaitUrl", Some("")),
        ("WaitMethod", None),
        ("Record", None),
        ("ConferenceRecord", None),
        ("SipAuthPassword", None),
        ("RecordingStatusCallback", None),
    ] {
        assert_eq!(given(name), value, "{name} in {form:?}");
    }
}

#[tokio::test]
async fn a_leg_on_hold_has_a_document_and_a_method_always() {
    let hold = |hold_url: Option<&str>, hold_method: Option<&str>| LegUpdate {
        hold: Some(true),
        hold_url: hold_url.map(str::to_owned),
        hold_method: hold_method.map(str::to_owned),
        ..LegUpdate::default()
    };
    let ours = format!("https://r.example.org/voice/hold/{ROOM}");
    let of_leg = format!("{ours}?leg=customer");
    for (update, url) in [
        (hold(None, None), &ours),
        (hold(Some("https://app.example/hold"), None), &of_leg),
        (hold(Some("https://app.example/hold"), Some("GET")), &of_leg),
    ] {
        let (fake, phone) = Fake::start([]).await;
        let command =
            PhoneCommand::UpdateParticipant { room: CONFERENCE.to_owned(), leg: "customer".to_owned(), update };
        phone.execute(id(), &command, false).await;
        let expected = form::pairs(&[("Hold", "true"), ("HoldUrl", url), ("HoldMethod", "POST")]);
        assert_eq!(fake.posts(), [expected]);
    }
}

#[tokio::test]
async fn a_room_that_is_known_is_not_looked_up_and_who_is_not_in_it_is_gone() {
    let (room, leg) = (|| CONFERENCE.to_owned(), || LABEL.to_owned());
    let update = LegUpdate { muted: Some(true), ..LegUpdate::default() };
    for (command, path) in [
        (
            PhoneCommand::Kick { room: room(), leg: leg() },
            format!("DELETE Conferences/{CONFERENCE}/Participants/{LABEL}.json"),
        ),
        (
            PhoneCommand::UpdateParticipant { room: room(), leg: leg(), update },
            format!("POST Conferences/{CONFERENCE}/Participants/{LABEL}.json"),
        ),
        (PhoneCommand::EndRoom { room: room() }, format!("POST Conferences/{CONFERENCE}.json")),
    ] {
        // The room is in no list, as right after it was made.
        let (fake, phone) = Fake::start([]).await;
        assert_eq!(phone.execute(id(), &command, false).await, PhoneOutcome::Gone, "{command:?}");
        assert_eq!(fake.paths(), [path]);
    }
}

#[tokio::test]
async fn where_participants_cannot_be_made_a_call_is_placed_whose_document_leads_into_the_room() {
    let (fake, _) = Fake::start([]).await;
    let app = axum::Router::new().fallback(answer).with_state(fake.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = PhoneSettings {
        abilities: Abilities { participants_create: false, ..Abilities::default() },
        ..settings_at(&format!("http://{}", listener.local_addr().unwrap()))
    };
    tokio::spawn(async move { axum::serve(listener, app).await });
    let phone = PhoneSystem::new(settings, Patience::default(), &Clock::fixed(REQUESTED_AT), Entropy).unwrap();
    let options = ConferenceOptions {
        timeout_secs: 20,
        beep: "onEnter".to_owned(),
        muted: true,
        end_conference_on_exit: true,
        ..ConferenceOptions::default()
    };
    let PhoneCommand::AddParticipant { room, label, to, from, requested_at, .. } = add(options.clone()) else {
        panic!("adds a participant")
    };
    let (role, coach) = (crate::calls::Role::Supervisor, Some(CallSid("CA7".to_owned())));
    let command = PhoneCommand::AddParticipant { room, label, role, coach, to, from, options, requested_at };
    // The fake knows no such call, which is a refusal.
    assert_eq!(phone.execute(id(), &command, false).await, PhoneOutcome::Gone);
    assert_eq!(fake.paths(), ["POST Calls.json"]);
    let query = format!(
        "Label={LABEL}&StartConferenceOnEnter=true&EndConferenceOnExit=true&Muted=true&Beep=onEnter&CallSidToCoach=CA7"
    );
    let ours = |path: &str| format!("https://r.example.org/voice/{path}");
    let mut expected = form::pairs(&[
        ("From", "+15550001"),
        ("To", "client:anna"),
        ("Timeout", "20"),
        ("Url", &ours(&format!("tasks/{ROOM}/join/supervisor?{query}"))),
        ("Method", "POST"),
        ("StatusCallback", &ours(&format!("cb/call/{ROOM}/{LABEL}/supervisor"))),
        ("StatusCallbackMethod", "POST"),
    ]);
    let events = ["initiated", "ringing", "answered", "completed"];
    expected.extend(events.map(|event| ("StatusCallbackEvent".to_owned(), event.to_owned())));
    expected.push(("TimeLimit".to_owned(), "14400".to_owned()));
    assert_eq!(fake.posts(), [expected]);
}
