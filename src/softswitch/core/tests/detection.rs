//! Detection of answering machines.

use super::*;
use crate::softswitch::core::behaviour::AnsweredBy;
use crate::softswitch::twiml::Detection;

const FOUND: &[&str] = &["AnsweredBy", "MachineDetectionDuration"];

fn detection(until_message_end: bool, is_async: bool) -> Detection {
    let callback = Some(Target { url: "https://r/found".to_owned(), method: Method::Post });
    Detection { until_message_end, is_async, timeout_ms: 30_000, callback }
}

fn call(phone: &mut Phone, detection: Detection) -> String {
    phone.document("https://r/document", "<Response><Pause length=\"60\"/></Response>");
    let Request::CreateCall(mut new) = new_call("+15550001", "<Response/>") else { panic!() };
    new.document = Source::Ask(Target { url: "https://r/document".to_owned(), method: Method::Post });
    new.options.detection = Some(detection);
    sid(phone.ask(Request::CreateCall(new)).unwrap())
}

#[test]
fn the_document_waits_for_who_answered() {
    for (by, until_message_end, found) in [
        (AnsweredBy::Human, false, "human"),
        (AnsweredBy::Machine, false, "machine_start"),
        (AnsweredBy::Machine, true, "machine_end_beep"),
        (AnsweredBy::MachineEndSilence, true, "machine_end_silence"),
        (AnsweredBy::MachineEndOther, true, "machine_end_other"),
        (AnsweredBy::Fax, true, "fax"),
        (AnsweredBy::Unknown, false, "unknown"),
    ] {
        let mut phone = Phone::new();
        phone.behaves("+15550001", Behaviour { answered_by: by, detected_after_ms: 2_000, ..Behaviour::default() });
        let call = call(&mut phone, detection(until_message_end, false));
        phone.advance(1_100 + 1_999);
        assert_eq!(phone.status(&call), "in-progress");
        assert!(phone.to("https://r/document").is_empty());
        phone.advance(1);
        assert_eq!(phone.told("https://r/document", FOUND), [format!("{found} 2000")]);
        let Reply::Call(record) = phone.ask(Request::GetCall { sid: call.clone() }).unwrap() else { panic!() };
        assert_eq!(record.answered_by, Some(found));
        phone.hang_up(&call);
        assert_eq!(phone.to("https://r/call").pop().unwrap()["AnsweredBy"], found);
        assert!(phone.to("https://r/found").is_empty());
    }
}

#[test]
fn an_asynchronous_detection_is_told_while_the_document_runs() {
    let mut phone = Phone::new();
    let call = call(&mut phone, detection(false, true));
    phone.advance(1_100);
    assert_eq!(phone.told("https://r/document", FOUND), ["- -"]);
    phone.advance(1_500);
    assert_eq!(
        phone.told("https://r/found", &["CallSid", "AnsweredBy", "MachineDetectionDuration"]),
        [format!("{call} human 1500")]
    );
}

#[test]
fn a_detection_that_takes_too_long_finds_nothing_out() {
    let mut phone = Phone::new();
    phone.behaves("+15550001", Behaviour { detected_after_ms: 40_000, ..Behaviour::default() });
    call(&mut phone, detection(false, false));
    phone.advance(1_100 + 30_000);
    assert_eq!(phone.told("https://r/document", FOUND), ["unknown 30000"]);
}

#[test]
fn participants_join_without_waiting_for_the_detection() {
    let mut phone = Phone::new();
    let mut new = participant("+15550001", "WR1");
    new.options.detection = Some(detection(false, true));
    phone.behaves("+15550001", Behaviour { answered_by: AnsweredBy::Machine, ..Behaviour::default() });
    phone.ask(Request::AddParticipant { room: "WT1".to_owned(), new: Box::new(new) }).unwrap();
    phone.advance(1_100);
    assert_eq!(phone.told("https://r/room", &["StatusCallbackEvent"]), ["participant-join"]);
    phone.advance(1_500);
    assert_eq!(phone.told("https://r/found", FOUND), ["machine_start 1500"]);
}

#[test]
fn a_call_that_is_redirected_is_not_taken_back_by_the_detection() {
    let mut phone = Phone::new();
    let call = call(&mut phone, detection(false, false));
    phone.advance(1_200);
    phone.redirect(&call, "<Response><Pause length=\"60\"/></Response>").unwrap();
    phone.advance(10_000);
    assert!(phone.to("https://r/document").is_empty());
}
