//! Documents as they are read: defaults, limits, refusals.

mod documents;

use super::*;

const BASE: &str = "https://app.example.org/voice/start?x=1";

fn parse(text: &str) -> Result<Document, DocumentError> {
    Document::parse(text, Some(&Url::parse(BASE).unwrap()))
}

#[track_caller]
fn refused(text: &str, code: u32) {
    assert_eq!(parse(text).map_err(|error| error.code), Err(code), "{text:.80}");
}

fn target(url: &str) -> Target {
    Target { url: url.to_owned(), method: Method::Post }
}

#[test]
fn enqueue_resolves_its_urls_and_reads_the_queue_name() {
    let document = parse(
        r#"<?xml version="1.0"?><!-- park --><Response>
          <Enqueue action="/left?a=1&amp;b=2" waitUrl="wait" waitUrlMethod="get"> WW&#x31;<![CDATA[2]]> </Enqueue>
        </Response>"#,
    )
    .unwrap();
    let Verb::Enqueue(enqueue) = &document.verbs[0] else { panic!("{document:?}") };
    assert_eq!(enqueue.name, "WW12");
    assert_eq!(enqueue.action, Some(target("https://app.example.org/left?a=1&b=2")));
    assert_eq!(
        enqueue.wait,
        Some(Target { url: "https://app.example.org/voice/wait".to_owned(), method: Method::Get })
    );
}

#[test]
fn conference_attributes_and_their_defaults() {
    let document = parse(
        r#"<Response><Dial action="/after"><Conference participantLabel="customer" endConferenceOnExit="true" beep="onEnter"
        maxParticipants="3" waitUrl="" statusCallback="https://r/cb" statusCallbackEvent="start end join,leave">WT1</Conference></Dial></Response>"#,
    )
    .unwrap();
    let Verb::Dial(dial) = &document.verbs[0] else { panic!("{document:?}") };
    let DialTo::Room { name, entry } = &dial.to else { panic!("{dial:?}") };
    assert_eq!((name.as_str(), dial.timeout_secs, dial.time_limit_secs), ("WT1", 30, 14_400));
    assert_eq!(
        **entry,
        RoomEntry {
            label: Some("customer".to_owned()),
            end_on_exit: true,
            beep_on_exit: false,
            participants_max: 3,
            status_callback: Some(StatusCallback {
                target: Target { url: "https://r/cb".to_owned(), method: Method::Post },
                events: event_names(["start", "end", "join", "leave"]),
            }),
            ..RoomEntry::default()
        }
    );
    assert!(document.warnings.is_empty(), "{:?}", document.warnings);
}

#[test]
fn dialled_addresses_get_their_scheme() {
    let document = parse(
        "<Response><Dial>+15550001</Dial><Dial><Client>ann</Client><Sip>bob@pbx</Sip><Number>+15550002</Number></Dial></Response>",
    )
    .unwrap();
    let addresses: Vec<Vec<&str>> = document
        .verbs
        .iter()
        .map(|verb| match verb {
            Verb::Dial(dial) => match &dial.to {
                DialTo::Addresses(addresses) => addresses.iter().map(|address| address.address.as_str()).collect(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(addresses, [vec!["+15550001"], vec!["client:ann", "sip:bob@pbx", "+15550002"]]);
}

#[test]
fn media_last_as_long_as_their_content() {
    let document = parse(
        r#"<Response><Say>0123456789</Say><Say loop="3">0123456789</Say><Play>x.mp3</Play><Play loop="0">x.mp3</Play><Pause/><Pause length="7"/></Response>"#,
    )
    .unwrap();
    let lengths: Vec<i64> = document
        .verbs
        .iter()
        .map(|verb| match verb {
            Verb::Media(media) => media.ms,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lengths, [600, 1_800, 5_000, 86_400_000, 1_000, 7_000]);
}

#[test]
fn gather_defaults_to_its_own_document() {
    let document = parse(r#"<Response><Gather numDigits="1"><Say>Press 1</Say></Gather></Response>"#).unwrap();
    let Verb::Gather(gather) = &document.verbs[0] else { panic!("{document:?}") };
    assert_eq!(gather.action, Some(target(BASE)));
    assert_eq!((gather.prompt_ms, gather.timeout_ms, gather.digits_max), (420, 5_000, Some(1)));
    assert_eq!(gather.finish_on_key, Some('#'));
}

#[test]
fn an_empty_redirect_asks_for_the_same_document_again() {
    let Verb::Redirect(redirect) = &parse("<Response><Redirect/></Response>").unwrap().verbs[0] else { panic!() };
    assert_eq!(redirect.url, BASE);
    assert_eq!(Document::parse("<Response><Redirect/></Response>", None).unwrap_err().code, 11100);
}

#[test]
fn unknown_verbs_and_bad_attributes_are_warnings() {
    let document = parse(r#"<Response><Fax/><Pause length="long"/></Response>"#).unwrap();
    assert_eq!(document.verbs, [Verb::Media(Media { kind: MediaKind::Pause, ms: 1_000 })]);
    assert_eq!(document.warnings.len(), 2);
}

#[test]
fn documents_that_cannot_run_are_refused_with_twilios_code() {
    refused("", 12100);
    refused("hello", 12100);
    refused("<Response>", 12100);
    refused("<Response></Wrong>", 12100);
    refused("<Response/><Response/>", 12100);
    refused("<Response>&undefined;</Response>", 12100);
    refused("<Answer/>", 12102);
    refused("<response/>", 12102);
    refused("<!DOCTYPE r [<!ENTITY a 'b'>]><Response>&a;</Response>", 12100);
    refused("<Response><Enqueue/></Response>", 14204);
    refused(&format!("<Response><Enqueue>{}</Enqueue></Response>", "q".repeat(65)), 14205);
    refused(r#"<Response><Enqueue workflowSid="WW1"/></Response>"#, 14220);
    refused("<Response><Dial><Conference/></Dial></Response>", 13237);
    refused("<Response><Redirect>ftp://host/x</Redirect></Response>", 11100);
}

#[test]
fn deep_and_huge_documents_are_refused() {
    let nested = |depth: usize| format!("<Response>{}{}</Response>", "<a>".repeat(depth - 1), "</a>".repeat(depth - 1));
    assert!(parse(&nested(16)).is_ok());
    refused(&nested(17), 12100);
    refused(&nested(5_000), 12100);
    refused(&format!("<Response><!--{}--></Response>", "x".repeat(DOCUMENT_BYTES_MAX)), 11750);
    let attributes = (0..65).fold(String::new(), |all, index| format!("{all} a{index}=''"));
    refused(&format!("<Response{attributes}/>"), 12100);
}

#[test]
fn answers_are_read_by_content_type() {
    let base = Url::parse(BASE).unwrap();
    let read = |kind: &str, text: &str| Document::from_answer(kind, text, &base).map_err(|error| error.code);
    let media = |kind, ms| Ok(Document { verbs: vec![Verb::Media(Media { kind, ms })], warnings: Vec::new() });
    assert_eq!(read("application/xml; charset=utf-8", "<Response/>"), Ok(Document::default()));
    assert_eq!(read("audio/mpeg", ""), media(MediaKind::Play, 5_000));
    assert_eq!(read("text/plain", "hello"), media(MediaKind::Say, 300));
    assert_eq!(read("text/plain", "<Response/>"), Ok(Document::default()));
    assert_eq!(read("application/json", "{}"), Err(12300));
    assert_eq!(read("text/xml", "  "), Err(11770));
}

/// A document with `element`, which has `attributes`, where it belongs.
fn with(element: &str, attributes: &[(&str, &str)]) -> Result<Document, DocumentError> {
    let attributes = attributes.iter().fold(String::new(), |all, (name, value)| format!("{all} {name}=\"{value}\""));
    let text = match element {
        "Redirect" => "/next",
        "Enqueue" | "Conference" | "Queue" | "Number" | "Client" | "Sip" | "Identity" | "Say" => "name",
        "Dial" => "<Number>+1</Number>",
        _ => "",
    };
    let inner = format!("<{element}{attributes}>{text}</{element}>");
    parse(&match element {
        "Number" | "Client" | "Sip" | "Conference" | "Queue" => format!("<Response><Dial>{inner}</Dial></Response>"),
        "Identity" | "Parameter" => format!("<Response><Dial><Client>{inner}</Client></Dial></Response>"),
        _ => format!("<Response>{inner}</Response>"),
    })
}

/// A value of `attribute` that is not its default, and what else the element needs for it to have a meaning.
fn sample(element: &str, attribute: &str) -> (&'static str, Vec<(&'static str, &'static str)>) {
    let recorded = if matches!(element, "Dial" | "Conference") { vec![("record", "true")] } else { Vec::new() };
    let detected = vec![("machineDetection", "Enable")];
    match attribute {
        "action" | "url" | "waitUrl" | "statusCallback" => ("/other", vec![]),
        "recordingStatusCallback" | "eventCallbackUrl" => ("/other", recorded),
        "recordingStatusCallbackMethod" => ("GET", [&recorded[..], &[("recordingStatusCallback", "/x")]].concat()),
        "recordingStatusCallbackEvent" => ("absent", [&recorded[..], &[("recordingStatusCallback", "/x")]].concat()),
        "recordingTrack" => ("inbound", recorded),
        "trim" => ("do-not-trim", recorded),
        "method" if matches!(element, "Number" | "Client" | "Sip" | "Queue") => ("GET", vec![("url", "/x")]),
        "method" if element == "Redirect" => ("GET", vec![]),
        "method" => ("GET", vec![("action", "/x")]),
        "waitUrlMethod" | "waitMethod" => ("GET", vec![("waitUrl", "/x")]),
        "statusCallbackMethod" => ("GET", vec![("statusCallback", "/x")]),
        "statusCallbackEvent" => ("answered", vec![("statusCallback", "/x")]),
        "machineDetection" => ("DetectMessageEnd", vec![]),
        "machineDetectionTimeout" => ("7", detected),
        "amdStatusCallback" => ("/other", detected),
        "amdStatusCallbackMethod" => ("GET", [&detected[..], &[("amdStatusCallback", "/x")]].concat()),
        "record" if element == "Dial" => ("record-from-ringing-dual", vec![]),
        "record" => ("record-from-start", vec![]),
        "input" => ("speech", vec![]),
        "beep" => ("onEnter", vec![]),
        "reason" => ("busy", vec![]),
        "startConferenceOnEnter" => ("false", vec![]),
        "actionOnEmptyResult" | "hangupOnStar" | "answerOnBridge" | "sequential" | "muted" | "endConferenceOnExit" => {
            ("true", vec![])
        }
        "name" => ("n", vec![("value", "v")]),
        "value" => ("v", vec![("name", "n")]),
        _ => ("7", vec![]),
    }
}

#[test]
fn every_attribute_that_is_said_to_be_followed_changes_what_is_done_and_no_other_does() {
    for word in vocabulary::WORDS {
        let document = |attributes: &[(&str, &str)]| with(word.element, attributes);
        for &attribute in word.followed.iter().copied().flatten() {
            let (value, needs) = sample(word.element, attribute);
            let without = document(&needs);
            let given = document(&[&needs[..], &[(attribute, value)]].concat());
            let told = |read: &Result<Document, DocumentError>| read.clone().map(|document| document.verbs);
            assert_ne!(told(&given), told(&without), "{attribute} of {}", word.element);
            if let Ok(given) = given {
                assert!(given.warnings.is_empty(), "{attribute} of {}: {:?}", word.element, given.warnings);
            }
        }
        for &attribute in word.accepted.iter().copied().flatten() {
            assert_eq!(document(&[(attribute, "x")]), document(&[]), "{attribute} of {}", word.element);
        }
        let doubtful = word.unsupported.iter().map(|attribute| (*attribute, "is not supported"));
        for (attribute, why) in doubtful.chain([("nonsense", "is unknown")]) {
            let (given, without) = (document(&[(attribute, "x")]).unwrap(), document(&[]).unwrap());
            assert_eq!(given.verbs, without.verbs, "{attribute} of {}", word.element);
            assert!(given.warnings.iter().any(|warning| warning.contains(why)), "{attribute} of {}", word.element);
        }
    }
}

#[test]
fn the_documentation_lists_every_element_with_its_attributes() {
    let documentation = include_str!("../../../docs/phone.md");
    for word in vocabulary::WORDS {
        let list = |names: &[&str]| match names {
            [] => "–".to_owned(),
            names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" "),
        };
        let row = format!(
            "| `<{}>` | {} | {} | {} |",
            word.element,
            list(&word.followed.concat()),
            list(&word.accepted.concat()),
            list(word.unsupported)
        );
        assert!(documentation.contains(&row), "docs/phone.md lacks the row:\n{row}");
    }
}
