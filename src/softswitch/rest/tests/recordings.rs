//! Recordings over HTTP: parameters, resources, media.

use super::*;

/// Waits until the phone system's log has a line of this kind.
async fn until(phone: &Softswitch, kind: &str) {
    for _ in 0..100_000 {
        let (_, events) = send(phone, "GET", "/control/events?limit=5000", "").await;
        if events["events"].as_array().unwrap().iter().any(|event| event["kind"] == kind) {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{kind} does not happen");
}

#[tokio::test]
async fn a_recording_is_listed_fetched_played_and_deleted() {
    let contract: Value =
        serde_json::from_str(include_str!("../../../../tests/fixtures/voice_contract_keys.json")).unwrap();
    let mut app = App::start(|_| StatusCode::NO_CONTENT.into_response()).await;
    let phone = start(Options { public_url: "https://phone.example.org/".to_owned(), ..options() });
    let form = serde_urlencoded::to_string([
        ("To", "+15550001"),
        ("From", "+15550002"),
        ("Twiml", "<Response><Pause length=\"3600\"/></Response>"),
        ("Record", "true"),
        ("RecordingChannels", "dual"),
        ("RecordingStatusCallback", &format!("{}/recorded", app.base)),
        ("RecordingStatusCallbackEvent", "in-progress completed"),
    ])
    .unwrap();
    let (_, call) = rest(&phone, "POST", "Calls.json", &form).await;
    let call = call["sid"].as_str().unwrap();
    let started = app.next().await;
    assert_eq!((started.params["RecordingStatus"].as_str(), started.is_signed), ("in-progress", true));
    let sid = started.params["RecordingSid"].clone();
    let url = format!("https://phone.example.org/2010-04-01/Accounts/{ACCOUNT}/Recordings/{sid}");
    assert_eq!(started.params["RecordingUrl"], url);
    let (status, media) = rest(&phone, "GET", &format!("Recordings/{sid}.wav"), "").await;
    assert_eq!((status, &media["code"]), (404, &json!(20404)), "it runs");
    let (status, second) = rest(&phone, "POST", &format!("Calls/{call}/Recordings.json"), "").await;
    assert_eq!((status, &second["channels"], &second["duration"]), (201, &json!(1), &json!("-1")));
    rest(&phone, "POST", &format!("Calls/{call}.json"), "Status=completed").await;
    assert_eq!(app.next().await.params["RecordingStatus"], "completed");
    for (path, count) in [
        (format!("Calls/{call}/Recordings.json"), 2),
        ("Recordings.json".to_owned(), 2),
        (format!("Recordings.json?CallSid={call}"), 2),
        ("Recordings.json?CallSid=CA404".to_owned(), 0),
        ("Recordings.json?DateCreated%3C=2001-01-01".to_owned(), 0),
    ] {
        let (status, list) = rest(&phone, "GET", &path, "").await;
        assert_eq!((status, list["recordings"].as_array().unwrap().len()), (200, count), "{path}");
        fits(&contract, "recordings", &list);
    }
    let (_, record) = rest(&phone, "GET", &format!("Recordings/{sid}.json"), "").await;
    fits(&contract, "recording", &record);
    let shown = ["status", "source", "media_url"].map(|key| record[key].as_str().unwrap().to_owned());
    assert_eq!(shown, ["completed", "OutboundAPI", &url]);
    assert_eq!(record["channels"], 2);
    for (ending, kind) in [("", "audio/wav"), (".wav", "audio/wav"), (".mp3", "audio/mpeg")] {
        let path = format!("/2010-04-01/Accounts/{ACCOUNT}/Recordings/{sid}{ending}");
        let credentials = STANDARD.encode(format!("{ACCOUNT}:{TOKEN}"));
        let request = HttpRequest::builder().uri(path).header(AUTHORIZATION, format!("Basic {credentials}"));
        let response = phone.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()[CONTENT_TYPE]), (200, &kind.parse().unwrap()));
    }
    assert_eq!(rest(&phone, "DELETE", &format!("Recordings/{sid}.json"), "").await.0, 204);
    assert_eq!(rest(&phone, "GET", &format!("Recordings/{sid}.json"), "").await.0, 404);
    assert_eq!(rest(&phone, "GET", &format!("Recordings/{sid}"), "").await.0, 404);
}

#[tokio::test]
async fn what_is_wrong_with_a_recording_is_said() {
    let phone = start(options());
    let call =
        "To=%2B15550001&From=%2B15550002&Twiml=%3CResponse%3E%3CPause%20length%3D%223600%22%2F%3E%3C%2FResponse%3E";
    let (_, made) = rest(&phone, "POST", "Calls.json", call).await;
    until(&phone, "call.answered").await;
    let own = format!("Calls/{}/Recordings", made["sid"].as_str().unwrap());
    for (method, path, form, status, code) in [
        ("POST", "Calls.json".to_owned(), format!("{call}&Record=yes"), 400, 20001),
        ("POST", "Calls.json".to_owned(), format!("{call}&Record=true&RecordingChannels=three"), 400, 20001),
        ("POST", "Calls.json".to_owned(), format!("{call}&Record=true&RecordingTrack=left"), 400, 20001),
        ("POST", "Calls.json".to_owned(), format!("{call}&SendDigits=x"), 400, 20001),
        ("POST", "Calls.json".to_owned(), format!("{call}&MachineDetection=maybe"), 400, 20001),
        ("POST", "Conferences/r/Participants.json".to_owned(), "To=client%3Aa&From=1&Beep=loud".to_owned(), 400, 20001),
        (
            "POST",
            "Conferences/r/Participants.json".to_owned(),
            "To=client%3Aa&From=1&ConferenceRecord=often".to_owned(),
            400,
            20001,
        ),
        ("POST", "Calls/CA404/Recordings.json".to_owned(), String::new(), 404, 20404),
        ("POST", format!("{own}/RE404.json"), "Status=paused".to_owned(), 404, 20404),
        ("POST", format!("{own}/Twilio.CURRENT.json"), String::new(), 400, 20001),
        ("POST", format!("{own}/Twilio.CURRENT.json"), "Status=completed".to_owned(), 400, 20001),
        ("GET", "Conferences/CF404/Recordings.json".to_owned(), String::new(), 404, 20404),
        ("POST", "Recordings.json".to_owned(), String::new(), 405, 20004),
        ("POST", "Recordings/RE1.json".to_owned(), "Status=paused".to_owned(), 405, 20004),
        ("PUT", format!("{own}.json"), String::new(), 405, 20004),
    ] {
        let (given, body) = rest(&phone, method, &path, &form).await;
        assert_eq!((given, &body["code"]), (status, &json!(code)), "{method} {path} {form}");
    }
}

#[tokio::test]
async fn calls_and_participants_take_every_parameter_of_the_contract() {
    let phone = start(Options { speed: 0.001, ..options() });
    let shared = [
        ("StatusCallback", "https://r.example/cb"),
        ("StatusCallbackEvent", "initiated"),
        ("StatusCallbackEvent", "completed"),
        ("StatusCallbackMethod", "GET"),
        ("Timeout", "30"),
        ("TimeLimit", "60"),
        ("Record", "true"),
        ("RecordingChannels", "dual"),
        ("RecordingTrack", "inbound"),
        ("RecordingStatusCallback", "https://r.example/rec"),
        ("RecordingStatusCallbackMethod", "POST"),
        ("RecordingStatusCallbackEvent", "in-progress completed absent"),
        ("Trim", "do-not-trim"),
        ("MachineDetection", "DetectMessageEnd"),
        ("MachineDetectionTimeout", "20"),
        ("MachineDetectionSpeechThreshold", "2000"),
        ("MachineDetectionSpeechEndThreshold", "1200"),
        ("MachineDetectionSilenceTimeout", "5000"),
        ("SipAuthUsername", "u"),
        ("SipAuthPassword", "p"),
        ("Byoc", "BY1"),
        ("CallerId", "+15557770000"),
        ("CallReason", "because"),
        ("CallToken", "token"),
        ("ClientNotificationUrl", "https://r.example/n"),
        ("To", "client:ann"),
        ("From", "+15550002"),
    ];
    let call = [
        ("Url", "https://r.example/document"),
        ("Method", "GET"),
        ("FallbackUrl", "https://r.example/fallback"),
        ("FallbackMethod", "GET"),
        ("SendDigits", "ww12#"),
        ("AsyncAmd", "true"),
        ("AsyncAmdStatusCallback", "https://r.example/amd"),
        ("AsyncAmdStatusCallbackMethod", "GET"),
    ];
    let participant = [
        ("Label", "WR1"),
        ("Muted", "true"),
        ("Beep", "onEnter"),
        ("StartConferenceOnEnter", "false"),
        ("EndConferenceOnExit", "true"),
        ("WaitUrl", "https://r.example/wait"),
        ("WaitMethod", "GET"),
        ("EarlyMedia", "true"),
        ("MaxParticipants", "10"),
        ("ConferenceRecord", "record-from-start"),
        ("ConferenceTrim", "trim-silence"),
        ("ConferenceStatusCallback", "https://r.example/room"),
        ("ConferenceStatusCallbackMethod", "POST"),
        ("ConferenceStatusCallbackEvent", "start end join leave mute hold modify speaker announcement"),
        ("Region", "de1"),
        ("ConferenceRecordingStatusCallback", "https://r.example/rec"),
        ("ConferenceRecordingStatusCallbackMethod", "POST"),
        ("ConferenceRecordingStatusCallbackEvent", "completed"),
        ("Coaching", "false"),
        ("JitterBufferSize", "small"),
        ("AmdStatusCallback", "https://r.example/amd"),
        ("AmdStatusCallbackMethod", "POST"),
        ("CallerDisplayName", "Ann"),
    ];
    let form = |own: &[(&str, &str)]| serde_urlencoded::to_string([own, &shared].concat()).unwrap();
    let (status, made) = rest(&phone, "POST", "Calls.json", &form(&call)).await;
    assert_eq!((status, &made["from"]), (201, &json!("+15557770000")), "{made}");
    let (status, made) = rest(&phone, "POST", "Conferences/R/Participants.json", &form(&participant)).await;
    assert_eq!(status, 201, "{made}");
    let shown = ["label", "muted", "start_conference_on_enter", "end_conference_on_exit", "coaching", "hold"];
    assert_eq!(
        shown.map(|key| made[key].clone()),
        [json!("WR1"), json!(true), json!(false), json!(true), json!(false), json!(false)]
    );
}
