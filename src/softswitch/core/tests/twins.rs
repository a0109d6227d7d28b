//! Calls to numbers of our own.

use super::*;

const TOLD: &[&str] = &["CallStatus", "Direction"];

fn own_number(document: &str) -> Phone {
    let mut phone = Phone::with(|settings| {
        settings.numbers[0].status_callback = Some("https://r/number".to_owned());
    });
    phone.document("https://r/voice", document);
    phone
}

fn call(phone: &mut Phone, digits: &str) -> String {
    let Request::CreateCall(mut new) = new_call(NUMBER, "<Response><Pause length=\"20\"/></Response>") else {
        panic!()
    };
    new.from = CALLER.to_owned();
    new.options.send_digits = digits.to_owned();
    sid(phone.ask(Request::CreateCall(new)).unwrap())
}

#[test]
fn a_call_to_a_number_of_our_own_comes_in_there_and_both_end_together() {
    let mut phone = own_number(
        "<Response><Pause length=\"3\"/><Gather numDigits=\"1\" timeout=\"60\" action=\"/keys\"/></Response>",
    );
    phone.document("https://r/keys", "<Response><Pause length=\"60\"/></Response>");
    let dialled = call(&mut phone, "ww5");
    phone.advance(200);
    let asked = phone.to("https://r/voice").remove(0);
    assert_ne!(asked["CallSid"], dialled);
    assert_eq!(
        (asked["From"].as_str(), asked["To"].as_str(), asked["Direction"].as_str()),
        (CALLER, NUMBER, "inbound")
    );
    assert_eq!(phone.status(&dialled), "ringing");
    phone.advance(3_000);
    assert_eq!(phone.status(&dialled), "in-progress");
    assert_eq!(phone.told("https://r/keys", &["CallSid", "Digits"]), [format!("{} 5", asked["CallSid"])]);
    phone.advance(20_000);
    assert_eq!(phone.told("https://r/call", TOLD).pop().unwrap(), "completed outbound-api");
    assert_eq!(phone.told("https://r/number", TOLD), ["completed inbound"]);
    assert!(phone.switch.live.is_empty() && phone.switch.timers.is_empty());
}

#[test]
fn the_number_decides_how_the_call_to_it_fails() {
    for (document, end) in [
        ("<Response><Reject reason=\"busy\"/></Response>", "busy 486"),
        ("<Response><Reject/></Response>", "no-answer 480"),
        ("nonsense", "failed 500"),
    ] {
        let mut phone = own_number(document);
        call(&mut phone, "");
        phone.advance(1_000);
        assert_eq!(phone.told("https://r/call", &["CallStatus", "SipResponseCode"]).pop().unwrap(), end);
    }
}

#[test]
fn a_caller_who_gives_up_takes_the_incoming_call_along() {
    let mut phone = own_number("<Response><Pause length=\"600\"/></Response>");
    let dialled = call(&mut phone, "");
    phone.advance(1_000);
    phone.set_status(&dialled, CallStatus::Canceled).unwrap();
    assert_eq!(phone.told("https://r/number", TOLD), ["no-answer inbound"]);
    assert!(phone.switch.live.is_empty());
}

#[test]
fn an_address_with_a_behaviour_of_its_own_is_a_far_end_although_it_is_a_number() {
    let mut phone = own_number("<Response/>");
    let (address, behaviour) = (NUMBER.to_owned(), Behaviour { busy: true, ..Behaviour::default() });
    phone.ask(Request::PutBehaviour { address, behaviour, only_next: true }).unwrap();
    call(&mut phone, "");
    phone.advance(1_000);
    assert!(phone.to("https://r/voice").is_empty());
    assert_eq!(phone.told("https://r/call", &["CallStatus"]).pop().unwrap(), "busy");
}
