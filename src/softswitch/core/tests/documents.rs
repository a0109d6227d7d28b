//! Documents: verbs that answer or not, keys, ways out of a queue, errors and fallbacks.

use super::*;

fn voice(phone: &mut Phone, document: &str) -> String {
    phone.document("https://r/voice", document);
    phone.caller()
}

#[test]
fn some_verbs_do_not_answer_the_call() {
    let mut phone = Phone::new();
    let paused = voice(&mut phone, "<Response><Pause length=\"3\"/><Reject reason=\"busy\"/></Response>");
    assert_eq!(phone.status(&paused), "ringing");
    phone.advance(3_000);
    assert_eq!(phone.status(&paused), "busy");
    let rejected = voice(&mut phone, "<Response><Reject/></Response>");
    assert_eq!(phone.status(&rejected), "no-answer");
    let empty = voice(&mut phone, "<Response/>");
    assert_eq!(phone.status(&empty), "completed");
    let hung_up = voice(&mut phone, "<Response><Hangup/><Pause length=\"9\"/></Response>");
    assert_eq!(phone.status(&hung_up), "completed");
}

#[test]
fn media_take_their_time_divided_by_the_speed() {
    for (speed, ms) in [(1.0, 5_600), (8.0, 700)] {
        let mut phone = Phone::with(|settings| settings.speed = speed);
        let call = voice(&mut phone, "<Response><Say>0123456789</Say><Play>x.mp3</Play></Response>");
        phone.advance(ms - 2);
        assert_eq!(phone.status(&call), "in-progress", "speed {speed}");
        phone.advance(2);
        assert_eq!(phone.status(&call), "completed", "speed {speed}");
    }
}

#[test]
fn the_numbers_status_callback_is_told_of_the_end() {
    let mut phone = Phone::with(|settings| {
        settings.numbers[0].status_callback = Some("https://r/number".to_owned());
    });
    let caller = phone.caller();
    phone.advance(3_000);
    phone.hang_up(&caller);
    assert_eq!(
        phone.told("https://r/number", &["CallStatus", "CallDuration", "SequenceNumber", "Direction"]),
        ["completed 3 0 inbound"]
    );
}

#[test]
fn keys_go_to_the_action_when_complete_and_silence_goes_on() {
    let mut phone = Phone::new();
    phone.document("https://r/keys", "<Response><Hangup/></Response>");
    let document = "<Response><Gather action=\"/keys\" finishOnKey=\"#\" timeout=\"4\"><Say>0123456789</Say></Gather><Pause length=\"2\"/></Response>";
    phone.document("https://r/voice", document);
    let typist = phone.caller_who(Behaviour { digits: "12#".to_owned(), ..Behaviour::default() });
    phone.advance(500);
    assert_eq!(phone.told("https://r/keys", &["CallSid", "Digits", "FinishedOnKey"]), [format!("{typist} 12 #")]);
    phone.caller_who(Behaviour { digits: "7".to_owned(), ..Behaviour::default() });
    phone.advance(4_500);
    assert_eq!(phone.told("https://r/keys", &["Digits", "FinishedOnKey"])[1..], ["7 "], "the timeout ends the entry");
    let silent = phone.caller();
    phone.advance(4_600 + 1_999);
    assert_eq!(phone.status(&silent), "in-progress");
    phone.advance(1);
    assert_eq!(phone.status(&silent), "completed");
    assert_eq!(phone.to("https://r/keys").len(), 2);
}

#[test]
fn a_wait_document_can_gather_redirect_and_leave() {
    let mut phone = Phone::new();
    phone
        .document(WAIT, "<Response><Gather numDigits=\"1\" action=\"/pressed\"/><Redirect>/wait</Redirect></Response>");
    phone.document("https://r/pressed", "<Response><Leave/></Response>");
    phone.document(ACTION, "<Response><Pause length=\"9\"/></Response>");
    let caller = phone.caller();
    phone.advance(6_000);
    assert_eq!(phone.to(WAIT).len(), 2);
    phone.ask(Request::Press { sid: caller.clone(), digits: "1".to_owned() }).unwrap();
    assert_eq!(phone.told(ACTION, &["QueueResult", "QueueTime", "CallStatus"]), ["leave 6 in-progress"]);
    phone.advance(8_999);
    assert_eq!(phone.status(&caller), "in-progress", "the action's answer is the document that follows");
}

#[test]
fn without_an_action_the_verb_after_enqueue_follows() {
    let mut phone = Phone::new();
    phone.document(WAIT, "<Response><Pause length=\"2\"/><Leave/></Response>");
    let caller = voice(&mut phone, "<Response><Enqueue waitUrl=\"/wait\">q</Enqueue><Pause length=\"5\"/></Response>");
    phone.advance(6_000);
    assert_eq!(phone.status(&caller), "in-progress");
    phone.advance(1_000);
    assert_eq!(phone.status(&caller), "completed");
}

#[test]
fn a_full_queue_refuses() {
    let mut phone = Phone::new();
    phone.ask(Request::CreateQueue { name: "WW1".to_owned(), size_max: 1 }).unwrap();
    phone.caller();
    let second = phone.caller();
    assert_eq!(phone.told(ACTION, &["CallSid", "QueueResult", "QueueSid"]), [format!("{second} queue-full -")]);
}

#[test]
fn verbs_out_of_place_are_skipped() {
    let mut phone = Phone::new();
    phone.document(WAIT, "<Response><Dial>+15550001</Dial><Pause length=\"3\"/></Response>");
    phone.caller();
    phone.advance(7_000);
    assert_eq!(phone.to(WAIT).len(), 3);
    let leaver = voice(&mut phone, "<Response><Leave/><Pause length=\"3\"/></Response>");
    assert_eq!(phone.status(&leaver), "ringing");
}

#[test]
fn a_failing_document_goes_to_the_fallback_with_the_error() {
    let mut phone = Phone::with(|settings| settings.numbers[0].fallback_url = Some("https://r/fallback".to_owned()));
    phone.document("https://r/fallback", "<Response><Pause length=\"3\"/></Response>");
    phone.broken("https://r/voice", 11200);
    let caller = phone.caller();
    assert_eq!(phone.told("https://r/fallback", &["ErrorCode", "ErrorUrl"]), ["11200 https://r/voice"]);
    assert_eq!(phone.status(&caller), "ringing");
    phone.document("https://r/voice", "<Response><Unclosed></Response>");
    phone.caller();
    assert_eq!(phone.told("https://r/fallback", &["ErrorCode"])[1..], ["12100"]);
}

#[test]
fn without_a_fallback_an_error_ends_the_call() {
    let mut phone = Phone::new();
    phone.broken("https://r/voice", 11205);
    let caller = phone.caller();
    assert_eq!(phone.status(&caller), "failed");
    let later = voice(&mut phone, "<Response><Pause/><Say>hello</Say><Redirect>/gone</Redirect></Response>");
    phone.advance(10_000);
    assert_eq!(phone.status(&later), "completed");
}

#[test]
fn a_bad_wait_document_ends_the_wait_and_an_unreachable_one_does_not() {
    let mut phone = Phone::new();
    phone.document(WAIT, "<Nonsense/>");
    phone.caller();
    assert_eq!(phone.told(ACTION, &["QueueResult"]), ["error"]);
    let mut phone = Phone::new();
    phone.broken(WAIT, 11205);
    let caller = phone.caller();
    phone.advance(14_000);
    assert_eq!(phone.to(WAIT).len(), 3, "it is tried again every 5 s");
    assert!(phone.to(ACTION).is_empty());
    assert_eq!(phone.status(&caller), "in-progress");
}

#[test]
fn documents_that_only_lead_to_documents_are_stopped() {
    let mut phone = Phone::new();
    let caller = voice(&mut phone, "<Response><Redirect/></Response>");
    assert_eq!(phone.status(&caller), "failed");
    assert_eq!(phone.to("https://r/voice").len(), 101);
}

#[test]
fn an_empty_wait_document_is_asked_for_once_a_second() {
    let mut phone = Phone::new();
    phone.document(WAIT, "<Response/>");
    phone.caller();
    phone.advance(10_500);
    assert_eq!(phone.to(WAIT).len(), 11);
}

#[test]
fn a_second_answer_of_a_url_is_taken_the_next_time() {
    let mut phone = Phone::new();
    phone.document(WAIT, "<Response><Pause length=\"2\"/></Response>");
    phone.then(WAIT, "<Response><Hangup/></Response>");
    let caller = phone.caller();
    phone.advance(2_000);
    assert_eq!(phone.status(&caller), "completed");
    assert_eq!(phone.told(ACTION, &["QueueResult", "QueueTime"]), ["hangup 2"]);
}
