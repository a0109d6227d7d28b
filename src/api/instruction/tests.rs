//! Every carrier of an instruction, and what is wrong with each.

use serde_json::json;

use super::*;

fn of(text: &str) -> Parameters {
    Parameters::parse(text.as_bytes())
}

#[test]
fn an_update_asks_for_a_status_or_an_instruction() {
    let activity = "WA0123456789abcdef0123456789abcdef";
    let change = |change| Some(ReservationInstruction::Change(change));
    let reject = |activity: Option<&str>| {
        change(ReservationChange::Reject { activity: activity.map(|sid| sid.parse().unwrap()) })
    };
    let conference = Some(ReservationInstruction::Conference(Box::default()));
    for (text, expected) in [
        ("", None),
        ("WorkerActivitySid=", None),
        ("ReservationStatus=accepted", change(ReservationChange::Accept)),
        ("ReservationStatus=wrapping", change(ReservationChange::Wrap)),
        ("ReservationStatus=completed", change(ReservationChange::Complete)),
        ("ReservationStatus=rejected", reject(None)),
        (&format!("ReservationStatus=rejected&WorkerActivitySid={activity}"), reject(Some(activity))),
        (&format!("Instruction=reject&WorkerActivitySid={activity}"), reject(Some(activity))),
        ("Instruction=accept", change(ReservationChange::Accept)),
        ("Instruction=Conference&ReservationStatus=completed", conference),
    ] {
        assert_eq!(read(&of(text), true), Ok(expected), "{text}");
    }
    for text in [
        "ReservationStatus=pending",
        "ReservationStatus=timeout",
        "ReservationStatus=rejected&WorkerActivitySid=WK1",
        "Instruction=dance",
        "Instruction=dequeue&DequeueTimeout=1000",
        "Instruction=call",
        "Instruction=redirect",
        "Instruction=supervise",
    ] {
        assert_eq!(read(&of(text), true).unwrap_err().error.code, 20001, "{text}");
    }
}

#[test]
fn conference_parameters_have_the_documented_defaults() {
    assert_eq!(conference_options(&of("Instruction=conference")), Ok(ConferenceOptions::default()));
}

#[test]
fn conference_parameters_are_read() {
    let text = "To=client:dana&From=%2B15550100&Timeout=20&Muted=true&Beep=onenter&StartConferenceOnEnter=false\
        &EndConferenceOnExit=true&EndConferenceOnCustomerExit=true&BeepOnCustomerEntrance=false&WaitUrl=\
        &WaitMethod=get&EarlyMedia=false&MaxParticipants=5&Record=record-from-answer&RecordingChannels=dual\
        &ConferenceRecord=record-from-start&ConferenceTrim=do-not-trim&Region=ie1&SipAuthUsername=u\
        &SipAuthPassword=p&JitterBufferSize=off&StatusCallback=https://a.example&StatusCallbackEvent=answered\
        &StatusCallbackEvent=ringing,completed&ConferenceStatusCallbackEvent=start%20end%20join\
        &ConferenceStatusCallback=https://b.example&ConferenceStatusCallbackMethod=GET\
        &ConferenceRecordingStatusCallback=https://c.example&Whisper=From+sales&AcceptKey=%23";
    let told = |url: &str, by_get, events: &[&str]| {
        Some(Subscription { url: url.to_owned(), by_get, events: words_of(events), names_caller: false })
    };
    let expected = ConferenceOptions {
        to: Some("client:dana".to_owned()),
        room_name: None,
        from: Some("+15550100".to_owned()),
        timeout_secs: 20,
        muted: true,
        beep: "onEnter".to_owned(),
        start_conference_on_enter: false,
        end_conference_on_exit: true,
        end_conference_on_customer_exit: true,
        beep_on_customer_entrance: false,
        wait_url: Some(String::new()),
        wait_method: Some("GET".to_owned()),
        early_media: false,
        max_participants: Some(5),
        record: Some("record-from-answer".to_owned()),
        recording_channels: Some("dual".to_owned()),
        conference_record: Some("record-from-start".to_owned()),
        conference_trim: Some("do-not-trim".to_owned()),
        region: Some("ie1".to_owned()),
        sip_auth_username: Some("u".to_owned()),
        sip_auth_password: Some("p".to_owned()),
        jitter_buffer_size: Some("off".to_owned()),
        status_callback: told("https://a.example", false, &["answered", "ringing", "completed"]),
        recording_status_callback: None,
        conference_status_callback: told("https://b.example", true, &["start", "end", "join"]),
        conference_recording_status_callback: told("https://c.example", false, &["completed"]),
        whisper: None,
        announcement: Some(Announcement { text: Some("From sales".to_owned()), key: Some("#".to_owned()) }),
        post_work_activity: None,
        by: ConnectBy::Conference,
    };
    assert_eq!(conference_options(&of(text)), Ok(expected));
}

#[test]
fn wrong_conference_parameters_are_named() {
    for (name, value) in [
        ("Timeout", "1000"),
        ("Muted", "perhaps"),
        ("Beep", "loud"),
        ("WaitUrl", "music.mp3"),
        ("WaitMethod", "PUT"),
        ("MaxParticipants", "1"),
        ("StatusCallback", "ftp://a"),
        ("StatusCallbackEvent", "finished"),
        ("ConferenceStatusCallbackMethod", "HEAD"),
        ("ConferenceStatusCallbackEvent", "start,explode"),
        ("JitterBufferSize", "huge"),
    ] {
        let error = conference_options(&of(&format!("{name}={value}"))).unwrap_err().error;
        assert_eq!(error.code, 20001);
        assert!(error.message.starts_with(&format!("Invalid {name}: ")), "{}", error.message);
    }
}

fn answered(answer: &Value) -> AssignmentAnswer {
    of_answer(answer.as_object().unwrap(), true)
}

#[test]
fn json_and_form_mean_the_same() {
    for (answer, form) in [
        (json!({ "instruction": "accept" }), "Instruction=accept"),
        (
            json!({ "instruction": "reject", "activity_sid": "WA0123456789abcdef0123456789abcdef" }),
            "Instruction=reject&WorkerActivitySid=WA0123456789abcdef0123456789abcdef",
        ),
        (
            json!({
                "instruction": "conference", "from": "+15550100", "timeout": 20, "muted": true,
                "end_conference_on_exit": "true", "early_media": "FALSE", "conference_record": false,
                "wait_url": "", "status_callback_events": ["ringing", "answered"], "max_participants": "4",
                "conference_status_callback_event": "start, end, join, leave", "region": null,
                "reject_pending_reservations": true,
            }),
            "Instruction=conference&From=%2B15550100&Timeout=20&Muted=true&EndConferenceOnExit=true\
             &EarlyMedia=false&ConferenceRecord=false&WaitUrl=&StatusCallbackEvent=ringing,answered\
             &MaxParticipants=4&ConferenceStatusCallbackEvent=start,end,join,leave",
        ),
    ] {
        let instruction = read(&of(form), true).unwrap().unwrap();
        let expected = AssignmentAnswer { complaints: Vec::new(), consequence: Consequence::Instruction(instruction) };
        assert_eq!(answered(&answer), expected, "{form}");
    }
}

#[test]
fn dequeue_connects_as_a_conference_that_ends_with_either_of_both() {
    let answer = json!({ "instruction": "dequeue", "to": "client:dana", "record": "record-from-answer" });
    let expected = ConferenceOptions {
        to: Some("client:dana".to_owned()),
        beep: "false".to_owned(),
        end_conference_on_exit: true,
        end_conference_on_customer_exit: true,
        record: Some("record-from-answer".to_owned()),
        by: ConnectBy::Dequeue,
        ..ConferenceOptions::default()
    };
    let instruction = ReservationInstruction::Conference(Box::new(expected));
    assert_eq!(answered(&answer).consequence, Consequence::Instruction(instruction));
}

#[test]
fn call_and_redirect_are_read() {
    let answer = json!({
        "instruction": "call", "to": "joey", "from": "+15550100", "url": "https://app/whisper?r=1", "accept": "true",
        "record": "record-from-answer", "timeout": 20,
    });
    let form = of("Instruction=call&CallTo=joey&CallFrom=%2B15550100&CallUrl=https://app/whisper?r%3D1\
        &CallAccept=1&CallRecord=record-from-answer&CallTimeout=20");
    let options = ConferenceOptions {
        to: Some("joey".to_owned()),
        from: Some("+15550100".to_owned()),
        timeout_secs: 20,
        record: Some("record-from-answer".to_owned()),
        beep: "false".to_owned(),
        end_conference_on_exit: true,
        beep_on_customer_entrance: false,
        by: ConnectBy::Call,
        ..ConferenceOptions::default()
    };
    let call = WorkerCall { url: "https://app/whisper?r=1".to_owned(), accept: true, options };
    let instruction = ReservationInstruction::Call(Box::new(call));
    assert_eq!(read(&form, true), Ok(Some(instruction.clone())));
    assert_eq!(answered(&answer).consequence, Consequence::Instruction(instruction));
    let answer = json!({ "instruction": "redirect", "call_sid": "CA1", "url": "https://app/next" });
    let call = CallSid("CA1".to_owned());
    let redirect = CallRedirect { call, url: "https://app/next".to_owned(), accept: false, of_sibling: false };
    let instruction = ReservationInstruction::Redirect(Box::new(redirect));
    assert_eq!(answered(&answer).consequence, Consequence::Instruction(instruction));
}

#[test]
fn answers_that_cannot_be_used_have_a_code_and_a_consequence() {
    let reject = Consequence::Instruction(ReservationInstruction::Change(ReservationChange::Reject { activity: None }));
    for (answer, code, consequence) in [
        (json!({ "instruction": "reject" }), 40_100, reject.clone()),
        (json!({ "instruction": "reject", "activity_sid": "Lunch" }), 40_100, reject),
        (json!({ "instruction": "dance" }), 55_555, Consequence::Nothing),
        (json!({ "instruction": 7 }), 55_555, Consequence::Nothing),
        (json!({ "instruction": "conference", "timeout": "soon" }), 40_145, Consequence::Cancel),
        (json!({ "instruction": "dequeue", "timeout": "soon" }), 40_133, Consequence::Cancel),
        (json!({ "instruction": "dequeue", "post_work_activity_sid": "Lunch" }), 40_130, Consequence::Cancel),
        (json!({ "instruction": "dequeue", "status_callback_events": "born" }), 40_134, Consequence::Cancel),
        (json!({ "instruction": "dequeue", "status_callback_url": "/here" }), 40_157, Consequence::Cancel),
        (json!({ "instruction": "call" }), 40_111, Consequence::Cancel),
        (json!({ "instruction": "call", "from": "+1" }), 40_112, Consequence::Cancel),
        (json!({ "instruction": "call", "from": "+1", "url": "/whisper" }), 40_112, Consequence::Cancel),
        (json!({ "instruction": "call", "from": "+1", "url": "http://a/", "timeout": 0 }), 40_113, Consequence::Cancel),
        (json!({ "instruction": "call", "from": "+1", "status_callback_url": "x" }), 40_158, Consequence::Cancel),
        (json!({ "instruction": "redirect" }), 40_121, Consequence::Cancel),
        (json!({ "instruction": "redirect", "call_sid": "CA1" }), 40_120, Consequence::Cancel),
        (
            json!({ "instruction": "redirect", "call_sid": "CA1", "url": "http://a/", "accept": "so" }),
            40_122,
            Consequence::Cancel,
        ),
        (json!({ "instruction": "supervise" }), 40_146, Consequence::Cancel),
        (json!({ "instruction": "conference", "status_callback": "/here" }), 40_159, Consequence::Cancel),
        (json!({ "instruction": "conference", "post_work_activity_sid": "WA1" }), 40_143, Consequence::Cancel),
    ] {
        let found = answered(&answer);
        assert_eq!(found.complaints.iter().map(|complaint| complaint.code).collect::<Vec<_>>(), [code], "{answer}");
        assert_eq!(found.consequence, consequence, "{answer}");
    }
}
