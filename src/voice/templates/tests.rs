//! Golden documents, injection, and refusal of broken replacements.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::*;
use crate::calls::RoomSettings;
use crate::config;
use crate::voice::document::{CallbackOffer, Room, Voicemail, Wait};

/// A wait document that tells nothing about the task.
fn wait<'a>(task: &'a str, queue_time_secs: u32, rules: &'a config::Wait) -> Document<'a> {
    let nothing = Wait {
        task,
        queue_time_secs,
        outlook: None,
        language: None,
        rules,
        choice_url: None,
        callback_key: None,
        voicemail_key: None,
    };
    Document::Wait(nothing)
}

fn settings() -> RoomSettings {
    RoomSettings {
        room_name: "WT1".to_owned(),
        label: "customer".to_owned(),
        start_on_enter: true,
        end_on_exit: false,
        beep: "onEnter".to_owned(),
        wait_url: None,
        wait_method: None,
        muted: false,
        coach: None,
        max_participants: None,
        record: None,
        trim: None,
        region: None,
        jitter_buffer_size: None,
        events: "start end join leave mute hold modify".to_owned(),
        tells_recordings: false,
    }
}

fn room(settings: &RoomSettings) -> Room<'_> {
    Room {
        settings,
        left_url: "https://r/voice/tasks/WT1/room-left/customer?a=1&b=2",
        callback_url: "https://r/voice/cb/room/WT1",
        recording_url: settings.tells_recordings.then_some("https://r/voice/cb/rec/WT1/conference"),
        verbs_before: "<Say>Recorded</Say>",
        dial_attributes: "",
    }
}

#[test]
fn documents_are_as_written_down() {
    let templates = Templates::load(None).unwrap();
    let events = "statusCallback=\"https://r/voice/cb/room/WT1\" statusCallbackMethod=\"POST\" \
                  statusCallbackEvent=\"start end join leave mute hold modify\"";
    let dial = "<Dial action=\"https://r/voice/tasks/WT1/room-left/customer?a=1&amp;b=2\" method=\"POST\">";
    let customer = settings();
    let worker = RoomSettings {
        label: "WR1".to_owned(),
        end_on_exit: true,
        wait_url: Some(String::new()),
        wait_method: Some("GET".to_owned()),
        max_participants: Some(4),
        record: Some("record-from-start".to_owned()),
        trim: Some("do-not-trim".to_owned()),
        region: Some("ie1".to_owned()),
        jitter_buffer_size: Some("small".to_owned()),
        ..settings()
    };
    let rules = config::Wait::default();
    let cases = [
        (
            Document::Park {
                verbs_before: "<Say>Hi</Say>",
                queue: "WW1",
                action: "https://r/left",
                wait_url: "https://r/wait",
            },
            "<Say>Hi</Say><Enqueue action=\"https://r/left\" method=\"POST\" waitUrl=\"https://r/wait\" \
             waitUrlMethod=\"POST\">WW1</Enqueue>"
                .to_owned(),
        ),
        (
            wait("WT1", 3, &rules),
            "<Say>Please hold. The next available agent will take your call.</Say><Pause length=\"20\"/>".to_owned(),
        ),
        (
            Document::JoinCustomer(room(&customer)),
            format!(
                "<Say>Recorded</Say>{dial}<Conference participantLabel=\"customer\" startConferenceOnEnter=\"true\" \
                 endConferenceOnExit=\"false\" beep=\"onEnter\" {events}>WT1</Conference></Dial>"
            ),
        ),
        (
            Document::JoinWorker(room(&worker)),
            format!(
                "{dial}<Conference participantLabel=\"WR1\" startConferenceOnEnter=\"true\" \
                 endConferenceOnExit=\"true\" beep=\"onEnter\" muted=\"false\" waitUrl=\"\" waitMethod=\"GET\" \
                 maxParticipants=\"4\" record=\"record-from-start\" trim=\"do-not-trim\" region=\"ie1\" \
                 jitterBufferSize=\"small\" {events}>WT1</Conference></Dial>"
            ),
        ),
        (
            Document::Play { url: "https://app/music.mp3?a&b" },
            "<Play loop=\"0\">https://app/music.mp3?a&amp;b</Play>".to_owned(),
        ),
        (
            Document::Busy { verbs_before: "<Say>Hi</Say>", url: "https://r/again" },
            "<Say>Hi</Say><Pause length=\"2\"/><Redirect method=\"POST\">https://r/again</Redirect>".to_owned(),
        ),
        (
            Document::VerbsFirst { verbs: "<Say>Hi</Say>", url: "https://r/again?a&b" },
            "<Say>Hi</Say><Redirect method=\"POST\">https://r/again?a&amp;b</Redirect>".to_owned(),
        ),
        (
            Document::Redirect { url: "https://r/left?released=1" },
            "<Redirect method=\"POST\">https://r/left?released=1</Redirect>".to_owned(),
        ),
        (
            Document::Unavailable,
            "<Say>We are sorry. Nobody can take your call at the moment. Please call again later.</Say><Hangup/>"
                .to_owned(),
        ),
        (
            Document::Error,
            "<Say>We are sorry. Your call cannot be connected because of a technical problem. Please call again \
             later.</Say><Hangup/>"
                .to_owned(),
        ),
        (
            Document::CallbackOffer(CallbackOffer {
                language: None,
                number: "+15550001",
                key: "1",
                confirm_url: "https://r/callback",
                wait_url: "https://r/wait",
            }),
            "<Gather input=\"dtmf\" numDigits=\"1\" timeout=\"8\" action=\"https://r/callback\" method=\"POST\"><Say>We \
             can call you back at + 1 5 5 5 0 0 0 1, and you keep your place in line. Press 1 if you want that. To keep \
             waiting, press any other key.</Say></Gather><Redirect method=\"POST\">https://r/wait</Redirect>"
                .to_owned(),
        ),
        (
            Document::Voicemail(Voicemail {
                language: None,
                text: None,
                max_secs: 90,
                done_url: "https://r/recorded",
                callback_url: "https://r/cb",
            }),
            "<Say>Please leave a message after the tone. When you are done, press the pound key or hang \
             up.</Say><Record action=\"https://r/recorded\" method=\"POST\" maxLength=\"90\" timeout=\"5\" \
             finishOnKey=\"#\" playBeep=\"true\" recordingStatusCallback=\"https://r/cb\" \
             recordingStatusCallbackMethod=\"POST\"/><Say>There was no message. Goodbye.</Say><Hangup/>"
                .to_owned(),
        ),
        (
            Document::CallbackDone { language: Some("en-GB") },
            "<Say language=\"en-GB\">Thank you. You keep your place in line, and we will call you back. \
             Goodbye.</Say><Hangup/>"
                .to_owned(),
        ),
        (
            Document::CallbackRefused { language: None, wait_url: "https://r/wait" },
            "<Say>We cannot call you back now. Please stay on the line.</Say><Redirect \
             method=\"POST\">https://r/wait</Redirect>"
                .to_owned(),
        ),
        (Document::Silence, "<Pause length=\"60\"/>".to_owned()),
        (Document::WorkerUnavailable, "<Say>This call is no longer waiting for you.</Say><Hangup/>".to_owned()),
    ];
    for (document, body) in cases {
        let expected = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{body}</Response>");
        assert_eq!(templates.render(&document), expected, "{}", document.name());
    }
    assert_eq!(templates.render(&Document::Empty), LAST_RESORT);
}

/// All text and attribute values of a document, in order.
fn values(xml_text: &str) -> Vec<String> {
    let mut reader = Reader::from_str(xml_text);
    let mut values = Vec::new();
    let mut text = String::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) | Event::Empty(element) => {
                for attribute in element.attributes() {
                    let value = attribute.unwrap().normalized_value(quick_xml::XmlVersion::Implicit1_0);
                    values.push(value.unwrap().into_owned());
                }
                text.clear();
            }
            Event::Text(part) => text.push_str(&part),
            Event::GeneralRef(reference) => text.push(xml::resolve(&reference).unwrap()),
            Event::End(_) => values.push(std::mem::take(&mut text)),
            Event::Eof => return values,
            _ => {}
        }
    }
}

#[test]
fn no_value_changes_the_structure_and_every_value_round_trips() {
    let templates = Templates::load(None).unwrap();
    let mut crafted: Vec<String> = [
        "</Task><Dial>+19005550000</Dial>",
        "</Conference></Dial><Dial>+19005550000</Dial>",
        "\"><Hangup/><x y=\"",
        "' onload='x",
        "\" action=\"https://evil.example\" x=\"",
        "<![CDATA[<Dial>]]>",
        "]]>",
        "<!-- -->",
        "<?xml version='1.0'?>",
        "<!DOCTYPE x [<!ENTITY a 'b'>]>",
        "&a;",
        "&lt;Dial&gt;",
        "&#0;",
        "&#60;",
        "&amp;amp;",
        "{{ 7 * 7 }}",
        "{% raw %}",
        "a\r\nb\tc\nd",
        "\u{202e}drawkcab\u{2066}",
        "\u{feff}",
        "日本語 😀",
        "+15550001",
        "anonymous",
        "",
        "   ",
        "sip:a;b=c@d?e=f&g=h",
    ]
    .map(ToOwned::to_owned)
    .to_vec();
    // Every ASCII character, and a deterministic mix of the dangerous ones.
    crafted.extend((1_u8..128).map(|byte| char::from(byte).to_string()));
    let dangerous = ['<', '>', '&', '"', '\'', '/', '!', '-', ']', ';', '#', '{', '}', '%', '\u{0}', '\r', 'x', ' '];
    let mut seed = 42_usize;
    for length in 1..400 {
        let mut text = String::new();
        for _ in 0..length % 24 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push(dangerous[(seed >> 33) % dangerous.len()]);
        }
        crafted.push(text);
    }
    assert!(crafted.len() >= 500);
    for text in &crafted {
        let kept: String = text.chars().filter(|character| xml::is_allowed(*character)).collect();
        let (plain, hostile) = (Samples::of("plain"), Samples::of(text));
        let hostile = Document::samples(text, &hostile);
        for (plain, hostile) in Document::samples("plain", &plain).iter().zip(&hostile) {
            let (plain, rendered) = (templates.render(plain), templates.render(hostile));
            assert_eq!(xml::outline(&rendered), xml::outline(&plain), "{text:?}");
            let expected: Vec<String> =
                values(&plain).into_iter().map(|value| if value == "plain" { kept.clone() } else { value }).collect();
            assert_eq!(values(&rendered), expected, "{text:?}");
        }
    }
}

#[test]
fn a_replacement_takes_the_place_of_one_template() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("wait.xml"),
        "\u{feff}\n<Response><Say>{{ queue_time }} seconds</Say></Response>\n",
    )
    .unwrap();
    let templates = Templates::load(Some(directory.path())).unwrap();
    let rules = config::Wait::default();
    assert_eq!(templates.render(&wait("WT1", 17, &rules)), "<Response><Say>17 seconds</Say></Response>");
    assert!(templates.render(&Document::Unavailable).contains("Nobody"));
}

#[test]
fn broken_replacements_are_refused_by_name() {
    for (name, source, reason) in [
        ("wait.xml", "<Response>{{ unknown }}</Response>", "undefined"),
        ("wait.xml", "<Response>{{ task_sid </Response>", "line 1"),
        ("wait.xml", "<Response>{{ task_sid | safe }}</Response>", "safe"),
        ("wait.xml", "<Response><Say></Response>", "expected"),
        ("wait.xml", "<Respond/>", "root element"),
        ("wait.xml", "<Response><Say x={{ task_sid }}/></Response>", ""),
        ("wait.xml", "<Response><{{ task_sid }}/></Response>", ""),
        ("wait.xml", "<Response><Say {{ task_sid }}=\"1\"/></Response>", ""),
        ("wait.xml", "<!DOCTYPE x><Response/>", "DOCTYPE"),
        ("wait.xml", "<Response>&nbsp;</Response>", "reference"),
        ("play.xml", "", "root element"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(name), source).unwrap();
        let error = Templates::load(Some(directory.path())).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(reason), "{source}: {error}");
    }
    assert!(matches!(Templates::load(Some(Path::new("/no/such/directory"))), Err(Error::NoDirectory(_))));
}

#[test]
fn escaping_cannot_be_switched_off_by_a_template() {
    let directory = tempfile::tempdir().unwrap();
    let source = "{% autoescape false %}<Response><Say>{{ task_sid }}</Say></Response>{% endautoescape %}";
    std::fs::write(directory.path().join("wait.xml"), source).unwrap();
    let templates = Templates::load(Some(directory.path())).unwrap();
    let rendered = templates.render(&wait("<Dial>", 0, &config::Wait::default()));
    assert_eq!(rendered, "<Response><Say>&lt;Dial&gt;</Say></Response>");
}

#[test]
fn only_what_is_dropped_from_documents_for_calls_is_counted() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let counted = |text: &str| recorder.handle().render().contains(text);
    metrics::with_local_recorder(&recorder, || {
        let templates = Templates::load(None).unwrap();
        assert!(!counted("dropped"), "loading drops nothing of a caller's");
        templates.render(&Document::Busy { verbs_before: "", url: "a\u{0}b\u{1}" });
        assert!(counted("switchhook_twiml_characters_dropped_total 2"), "{}", recorder.handle().render());
    });
}

#[test]
fn urls_of_ours_that_a_call_goes_on_with_are_asked_again() {
    let insisting = Templates::load(None).unwrap().insisting("https://r.example.org/", "#rc=5&rp=all");
    let plain = Templates::load(None).unwrap().insisting("https://r.example.org/", "");
    let ours = "https://r.example.org/voice/tasks/WT1/x?a=1&b=2";
    let samples = Samples::of(ours);
    let (written, said) = ("https://r.example.org/voice/tasks/WT1/x?a=1&amp;b=2", "#rc=5&amp;rp=all");
    let mut seen = std::collections::BTreeSet::new();
    for document in Document::samples(ours, &samples) {
        let (before, after) = (plain.render(&document), insisting.render(&document));
        assert_eq!(after.replace(said, ""), before, "nothing else changes");
        for attribute in ["action", "waitUrl", "recordingStatusCallback", "statusCallback"] {
            if after.contains(&format!(" {attribute}=\"{written}{said}\"")) {
                seen.insert((document.name(), attribute));
            }
        }
        if after.contains(&format!(">{written}{said}</Redirect>")) {
            seen.insert((document.name(), "Redirect"));
        }
    }
    let expected = [
        ("busy.xml", "Redirect"),
        ("callback_offer.xml", "Redirect"),
        ("callback_offer.xml", "action"),
        ("callback_refused.xml", "Redirect"),
        ("dial_worker.xml", "action"),
        ("join_customer.xml", "action"),
        ("join_customer.xml", "waitUrl"),
        ("join_worker.xml", "action"),
        ("join_worker.xml", "waitUrl"),
        ("park.xml", "action"),
        ("park.xml", "waitUrl"),
        ("park_loop.xml", "Redirect"),
        ("redirect.xml", "Redirect"),
        ("verbs_first.xml", "Redirect"),
        ("voicemail.xml", "action"),
        ("voicemail.xml", "recordingStatusCallback"),
        ("wait.xml", "action"),
        ("worker_whisper.xml", "Redirect"),
        ("worker_whisper.xml", "action"),
    ];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
    for others in [
        "https://app.example.org/voice/x",
        "https://r.example.org/voice/proxy?target=x",
        "https://r.example.org/music.mp3",
        "https://r.example.org/voice/tasks/WT1/left#rc=1",
    ] {
        let document = Document::Redirect { url: others };
        assert_eq!(insisting.render(&document), plain.render(&document));
    }
}
