//! Attributes of `<Dial>` and its nouns, speech, SIP, and what is warned of.

use super::*;

const OUTCOME: &[&str] = &["DialCallStatus", "DialBridged"];

fn warnings(phone: &mut Phone) -> Vec<String> {
    match phone.ask(Request::ListHappenings { after: 0, limit: 100, call: None }).unwrap() {
        Reply::Happenings(list) => {
            list.into_iter().filter(|line| line.kind == "call.warning").map(|line| line.detail).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn dialling(dial: &str) -> Phone {
    let mut phone = Phone::new();
    phone.document("https://r/voice", &format!("<Response>{dial}<Pause length=\"60\"/></Response>"));
    phone.document("https://r/dialled", "<Response><Pause length=\"60\"/></Response>");
    phone
}

fn children(phone: &mut Phone, parent: &str) -> Vec<(String, &'static str)> {
    let filter = CallFilter { parent_sid: Some(parent.to_owned()), ..CallFilter::default() };
    match phone.ask(Request::ListCalls(filter, Page { number: 0, size: 50 })).unwrap() {
        Reply::Calls(list) => list.items.into_iter().rev().map(|call| (call.to, call.status.text())).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_called_party_hears_its_document_and_is_then_connected() {
    let mut phone = dialling(
        "<Dial action=\"https://r/dialled\"><Number url=\"/whisper\" sendDigits=\"wwww1\">+15550001</Number></Dial>",
    );
    phone.document("https://r/whisper", "<Response><Gather numDigits=\"1\" action=\"/pressed\"/><Hangup/></Response>");
    phone.document("https://r/pressed", "<Response><Dial>+1</Dial><Say>0123456789</Say></Response>");
    phone.behaves("+15550001", Behaviour { digits: "1".to_owned(), ..Behaviour::default() });
    let caller = phone.caller();
    phone.advance(1_100 + 500 + 599);
    let whisper = phone.to("https://r/whisper").remove(0);
    assert_eq!((whisper["ParentCallSid"].as_str(), whisper["To"].as_str()), (caller.as_str(), "+15550001"));
    let kinds =
        |phone: &mut Phone| match phone.ask(Request::ListHappenings { after: 0, limit: 100, call: None }).unwrap() {
            Reply::Happenings(list) => list.into_iter().map(|line| (line.kind, line.detail)).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
    assert!(kinds(&mut phone).contains(&("call.digits-sent", "wwww1".to_owned())));
    assert!(!kinds(&mut phone).iter().any(|(kind, _)| *kind == "call.connected"), "it still hears");
    phone.advance(1);
    assert!(kinds(&mut phone).iter().any(|(kind, _)| *kind == "call.connected"));
    assert!(warnings(&mut phone)[0].starts_with("13238"), "no dialling in such a document");
}

#[test]
fn a_called_party_that_does_not_take_the_call_is_told_as_not_bridged() {
    let mut phone = dialling("<Dial action=\"https://r/dialled\"><Client url=\"/whisper\">ann</Client></Dial>");
    phone.document("https://r/whisper", "<Response><Gather timeout=\"3\"/><Hangup/></Response>");
    phone.caller();
    phone.advance(10_000);
    assert_eq!(phone.told("https://r/dialled", OUTCOME), ["completed false"]);
    let mut phone = dialling("<Dial action=\"https://r/dialled\"><Client url=\"/whisper\">ann</Client></Dial>");
    phone.document("https://r/whisper", "<Response><Pause length=\"30\"/></Response>");
    let caller = phone.caller();
    phone.advance(10_000);
    phone.hang_up(&caller);
    assert_eq!(children(&mut phone, &caller), [("client:ann".to_owned(), "completed")]);
}

#[test]
fn a_queued_call_hears_a_document_before_it_is_connected() {
    let mut phone = Phone::new();
    phone.document("https://r/dialled", "<Response/>");
    phone.document("https://r/notice", "<Response><Say>0123456789</Say></Response>");
    let (first, second) = (phone.caller(), phone.caller());
    phone.advance(7_000);
    let dial = "<Response><Dial action=\"https://r/dialled\"><Queue url=\"https://r/notice\" method=\"GET\">WW1</Queue></Dial></Response>";
    let agent = sid(phone.ask(new_call("client:ann", dial)).unwrap());
    phone.advance(1_100);
    assert_eq!(
        phone.told("https://r/notice", &["CallSid", "QueueTime", "DequeingCallSid"]),
        [format!("{first} 8 {agent}")]
    );
    phone.hang_up(&first);
    assert_eq!(phone.told(ACTION, &["CallSid", "QueueResult"]), [format!("{first} bridged")]);
    assert_eq!(phone.to("https://r/notice")[1]["CallSid"], second, "the next one is taken");
    phone.advance(600 + 5_000);
    phone.hang_up(&agent);
    assert_eq!(
        phone.told("https://r/dialled", &["DialCallStatus", "DialCallSid", "DialCallDuration"]),
        [format!("completed {second} 5")]
    );
}

#[test]
fn the_timeout_of_a_queue_is_for_somebody_to_come_and_not_for_the_document_they_hear() {
    let mut phone = Phone::new();
    phone.document("https://r/dialled", "<Response/>");
    phone.document("https://r/notice", "<Response><Pause length=\"10\"/></Response>");
    let dial = "<Response><Dial timeout=\"3\" action=\"https://r/dialled\"><Queue url=\"https://r/notice\" method=\"GET\">WW1</Queue></Dial></Response>";
    // Makes the queue, which stays.
    let early = phone.caller();
    phone.advance(1_000);
    phone.hang_up(&early);
    let agent = sid(phone.ask(new_call("client:ann", dial)).unwrap());
    phone.advance(2_000);
    let (first, second) = (phone.caller(), phone.caller());
    phone.advance(5_000);
    assert_eq!(phone.told("https://r/notice", &["CallSid"]), [first.as_str()], "it still hears");
    assert!(phone.to("https://r/dialled").is_empty());
    // The one after it is heard to the end as well, and then nobody comes.
    phone.hang_up(&first);
    phone.advance(5_000);
    assert_eq!(phone.told("https://r/notice", &["CallSid"]), [first.as_str(), second.as_str()]);
    phone.hang_up(&second);
    phone.advance(2_000);
    assert!(phone.to("https://r/dialled").is_empty());
    phone.advance(2_000);
    assert_eq!(phone.told("https://r/dialled", &["CallSid", "DialCallStatus"]), [format!("{agent} no-answer")]);
}

#[test]
fn what_is_no_address_is_not_dialled() {
    let dials = ["<Number>abc</Number>", "<Number></Number>", "soon", "<Client></Client>"];
    for dial in dials {
        let mut phone = dialling(&format!("<Dial action=\"https://r/dialled\">{dial}</Dial>"));
        let caller = phone.caller();
        phone.advance(3_000);
        assert_eq!(phone.told("https://r/dialled", &["DialCallStatus"]), ["failed"], "{dial}");
        assert!(children(&mut phone, &caller).is_empty(), "{dial}");
    }
}

#[test]
fn a_redirect_while_the_document_is_heard_is_one_before_the_bridge() {
    for (heard_secs, result) in [(1, "redirected"), (5, "redirected-from-bridged")] {
        let mut phone = Phone::new();
        phone.document("https://r/notice", "<Response><Pause length=\"3\"/></Response>");
        let caller = phone.caller();
        phone.advance(1_000);
        let dial = "<Response><Dial><Queue url=\"https://r/notice\" method=\"GET\">WW1</Queue></Dial></Response>";
        phone.ask(new_call("client:ann", dial)).unwrap();
        phone.advance(1_100 + heard_secs * 1_000);
        phone.redirect(&caller, "<Response><Pause length=\"60\"/></Response>").unwrap();
        assert_eq!(phone.told(ACTION, &["QueueResult"]), [result]);
    }
}

#[test]
fn a_sip_address_behaves_as_planned_however_it_is_written() {
    for written in [
        "sip:bob@pbx.example",
        "bob@pbx.example",
        "SIP:bob@PBX.example",
        "sip:bob@pbx.example;transport=tls",
        "sip:bob@pbx.example:5060",
        "sip:bob@pbx.example:5060;transport=tls?X-A=1",
    ] {
        let mut phone = dialling(&format!("<Dial action=\"https://r/dialled\"><Sip>{written}</Sip></Dial>"));
        phone.behaves("sip:bob@pbx.example", Behaviour { busy: true, ..Behaviour::default() });
        phone.caller();
        phone.advance(3_000);
        assert_eq!(phone.told("https://r/dialled", &["DialCallStatus"]), ["busy"], "{written}");
    }
    let mut phone = dialling("<Dial action=\"https://r/dialled\"><Sip>sip:bob@pbx.example:5070</Sip></Dial>");
    phone.behaves("sip:bob@pbx.example", Behaviour { busy: true, ..Behaviour::default() });
    phone.behaves("sip:bob@pbx.example:5070", Behaviour { no_answer: true, ..Behaviour::default() });
    phone.caller();
    phone.advance(60_000);
    assert_eq!(phone.told("https://r/dialled", &["DialCallStatus"]), ["no-answer"], "its own plan comes first");
}

#[test]
fn addresses_are_dialled_one_after_the_other_when_sequential() {
    let mut phone = dialling(
        "<Dial sequential=\"true\" timeout=\"5\" action=\"https://r/dialled\"><Client>busy</Client><Client>away</Client><Client>ann</Client></Dial>",
    );
    phone.behaves("client:busy", Behaviour { busy: true, ..Behaviour::default() });
    phone.behaves("client:away", Behaviour { no_answer: true, ..Behaviour::default() });
    let caller = phone.caller();
    phone.advance(200);
    assert_eq!(children(&mut phone, &caller).len(), 2);
    phone.advance(7_000);
    let seen = children(&mut phone, &caller);
    let seen: Vec<(&str, &str)> = seen.iter().map(|(to, status)| (to.as_str(), *status)).collect();
    assert_eq!(seen, [("client:busy", "busy"), ("client:away", "no-answer"), ("client:ann", "in-progress")]);
    assert!(phone.to("https://r/dialled").is_empty());
}

#[test]
fn a_call_rings_until_the_dialled_leg_answers_when_it_is_answered_on_the_bridge() {
    let mut phone = dialling("<Dial answerOnBridge=\"true\" action=\"https://r/dialled\"><Client>ann</Client></Dial>");
    let caller = phone.caller();
    phone.advance(1_000);
    assert_eq!(phone.status(&caller), "ringing");
    phone.advance(100);
    assert_eq!(phone.status(&caller), "in-progress");
    let mut phone = dialling("<Dial answerOnBridge=\"true\"><Client>ann</Client></Dial><Reject reason=\"busy\"/>");
    phone.behaves("client:ann", Behaviour { busy: true, ..Behaviour::default() });
    let caller = phone.caller();
    phone.advance(1_000);
    assert_eq!(phone.status(&caller), "busy");
}

#[test]
fn the_star_key_ends_a_connection_and_takes_out_of_a_room() {
    for noun in ["<Client>ann</Client>", "<Conference>R</Conference>"] {
        let mut phone = dialling(&format!("<Dial hangupOnStar=\"true\" action=\"https://r/dialled\">{noun}</Dial>"));
        let caller = phone.caller();
        phone.advance(3_000);
        phone.ask(Request::Press { sid: caller.clone(), digits: "1".to_owned() }).unwrap();
        assert!(phone.to("https://r/dialled").is_empty());
        phone.ask(Request::Press { sid: caller.clone(), digits: "*".to_owned() }).unwrap();
        assert_eq!(phone.told("https://r/dialled", &["DialBridged", "CallStatus"]), ["true in-progress"], "{noun}");
    }
}

#[test]
fn a_gather_hears_speech_only_when_it_listens_to_it() {
    let mut phone = Phone::new();
    phone.document(
        "https://r/voice",
        "<Response><Gather input=\"speech\" action=\"/heard\" timeout=\"20\"/></Response>",
    );
    phone.document("https://r/heard", "<Response><Pause length=\"60\"/></Response>");
    phone.caller_who(Behaviour { says: "billing".to_owned(), digits: "5".to_owned(), ..Behaviour::default() });
    phone.advance(500);
    assert_eq!(phone.told("https://r/heard", &["SpeechResult", "Confidence", "Digits"]), ["billing 0.9 -"]);
    let by_hand = phone.caller();
    phone.ask(Request::Say { sid: by_hand.clone(), text: "sales".to_owned() }).unwrap();
    assert_eq!(phone.told("https://r/heard", &["SpeechResult"])[1..], ["sales"]);
    phone
        .document("https://r/voice", "<Response><Gather action=\"/heard\" timeout=\"20\" numDigits=\"1\"/></Response>");
    let deaf = phone.caller();
    phone.ask(Request::Say { sid: deaf.clone(), text: "sales".to_owned() }).unwrap();
    assert_eq!(phone.to("https://r/heard").len(), 2);
    phone.ask(Request::Press { sid: deaf, digits: "4".to_owned() }).unwrap();
    assert_eq!(phone.told("https://r/heard", &["Digits"])[2..], ["4"]);
}

#[test]
fn sip_headers_go_out_with_the_address_and_come_in_with_the_call() {
    let mut phone =
        dialling("<Dial action=\"https://r/dialled\"><Sip>bob@pbx.example?X-Task=WT%201&amp;X-Lang=de</Sip></Dial>");
    phone.behaves(
        "sip:bob@pbx.example",
        Behaviour {
            busy: true,
            sip_headers: [("X-Reason".to_owned(), "lunch".to_owned())].into(),
            ..Behaviour::default()
        },
    );
    let placed = PlacedCall {
        from: "sip:ann@office.example".to_owned(),
        to: NUMBER.to_owned(),
        origin: Origin {
            sip_headers: vec![("X-Account".to_owned(), "42".to_owned())],
            forwarded_from: Some("+15553330000".to_owned()),
            caller_name: Some("ANN".to_owned()),
        },
        ..PlacedCall::default()
    };
    let caller = sid(phone.ask(Request::PlaceInbound(Box::new(placed))).unwrap());
    let live = |phone: &mut Phone| match phone.ask(Request::ListLive(Page { number: 0, size: 9 })).unwrap() {
        Reply::Live(list) => list.items,
        other => panic!("{other:?}"),
    };
    let child = live(&mut phone).into_iter().find(|live| live.call.parent_sid == Some(caller.clone())).unwrap();
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(child.call.sip.unwrap().headers, [header("X-Task", "WT 1"), header("X-Lang", "de")]);
    let asked = phone.to("https://r/voice").remove(0);
    let told: Vec<&str> =
        ["SipHeader_X-Account", "ForwardedFrom", "CallerName"].iter().map(|name| asked[*name].as_str()).collect();
    assert_eq!(told, ["42", "+15553330000", "ANN"]);
    assert!(asked["SipCallId"].contains('@'));
    phone.advance(1_000);
    assert_eq!(
        phone.told("https://r/dialled", &["DialCallStatus", "DialSipResponseCode", "DialSipHeader_X-Reason"]),
        ["busy 486 lunch"]
    );
}

#[test]
fn addresses_that_may_not_be_called_are_refused_by_rest_and_fail_for_a_dial() {
    let mut phone = dialling(
        "<Dial action=\"https://r/dialled\"><Number statusCallback=\"https://r/call\">+15005550003</Number></Dial>",
    );
    for (to, code) in
        [("+15005550001", 21217), ("+15005550002", 21214), ("+15005550003", 21215), ("+15005550004", 21216)]
    {
        assert_eq!(phone.ask(new_call(to, "<Response/>")).unwrap_err().code, code);
        assert_eq!(phone.ask(add("WT1", to, "WR1")).unwrap_err().code, code);
    }
    assert!(phone.switch.rooms.is_empty() && phone.switch.calls.is_empty());
    let invalid = Behaviour { refuse: Some(13223), ..Behaviour::default() };
    phone.ask(Request::PutBehaviour { address: "+1999".to_owned(), behaviour: invalid, only_next: true }).unwrap();
    assert_eq!(phone.ask(add("WT1", "+1999", "WR1")).unwrap_err().code, 13223);
    phone.ask(add("WT1", "+1999", "WR1")).unwrap();
    phone.caller();
    phone.advance(1_000);
    assert_eq!(phone.told("https://r/dialled", OUTCOME), ["failed false"]);
    assert_eq!(
        phone.told("https://r/call", &["CallStatus", "SipResponseCode", "ErrorCode"]).pop().unwrap(),
        "failed 403 21215"
    );
}

#[test]
fn calls_are_dialled_at_the_pace_that_is_set() {
    let mut phone = Phone::new();
    phone.ask(Request::SetPace { calls_per_second: 1.0 }).unwrap();
    let calls: Vec<String> = (0..3)
        .map(|_| sid(phone.ask(new_call("+15550001", "<Response><Pause length=\"60\"/></Response>")).unwrap()))
        .collect();
    phone.advance(150);
    let statuses = |phone: &mut Phone| calls.iter().map(|call| phone.status(call)).collect::<Vec<_>>();
    assert_eq!(statuses(&mut phone), ["ringing", "queued", "queued"]);
    phone.advance(1_000);
    assert_eq!(statuses(&mut phone), ["in-progress", "ringing", "queued"]);
    let Reply::Call(last) = phone.ask(Request::GetCall { sid: calls[2].clone() }).unwrap() else { panic!() };
    assert_eq!(last.queue_ms, 2_000);
    phone.ask(Request::SetPace { calls_per_second: 0.0 }).unwrap();
    let free = sid(phone.ask(new_call("+15550001", "<Response/>")).unwrap());
    phone.advance(150);
    assert_eq!(phone.status(&free), "ringing");
}

#[test]
fn what_is_unknown_in_a_document_is_a_warning_in_the_calls_log() {
    let mut phone = Phone::new();
    phone.document(
        "https://r/voice",
        "<Response><Fax/><say>small</say><Say Voice=\"x\" voice=\"alice\">hi</Say><Record transcribe=\"true\" maxLength=\"1\"/></Response>",
    );
    let call = phone.caller();
    let log = |phone: &mut Phone, call: &str| {
        phone.ask(Request::ListHappenings { after: 0, limit: 100, call: Some(call.to_owned()) }).unwrap()
    };
    let Reply::Happenings(own) = log(&mut phone, &call) else { panic!() };
    assert_eq!(own.iter().filter(|line| line.kind == "call.warning").count(), 4);
    assert!(matches!(log(&mut phone, "CA404"), Reply::Happenings(none) if none.is_empty()));
    assert_eq!(
        warnings(&mut phone),
        [
            "12200: verb Fax is skipped",
            "12200: verb say is skipped",
            "12200: attribute Voice of Say is unknown and skipped",
            "12200: attribute transcribe of Record is not supported and has no effect",
        ]
    );
}

#[test]
fn a_reservation_cannot_be_dialled_here() {
    let mut phone = dialling("<Dial action=\"https://r/dialled\"><Queue reservationSid=\"WR1\"/></Dial>");
    phone.caller();
    assert_eq!(phone.told("https://r/dialled", OUTCOME), ["failed false"]);
}
