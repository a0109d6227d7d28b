//! `<Dial>` to numbers, clients and queues, and calls made over REST.

use super::*;

const DIAL: &str = r#"<Response><Dial action="https://r/dialled" timeout="20"><Client statusCallback="https://r/call" statusCallbackEvent="initiated ringing answered completed">ann</Client></Dial></Response>"#;
const OUTCOME: &[&str] = &["CallStatus", "DialCallStatus", "DialBridged", "DialCallDuration"];

fn dialling(behaviour: Behaviour) -> (Phone, String) {
    let mut phone = Phone::new();
    phone.document("https://r/voice", DIAL);
    phone.document("https://r/dialled", "<Response><Pause length=\"5\"/></Response>");
    phone.behaves("client:ann", behaviour);
    let caller = phone.caller();
    (phone, caller)
}

#[test]
fn a_dialled_client_is_connected_and_the_caller_goes_on_when_it_hangs_up() {
    let (mut phone, caller) = dialling(Behaviour { hang_up_after_ms: Some(30_000), ..Behaviour::default() });
    phone.advance(32_000);
    assert_eq!(phone.told("https://r/dialled", OUTCOME), ["in-progress completed true 30"]);
    let child = phone.to("https://r/call")[0].clone();
    assert_eq!((child["ParentCallSid"].as_str(), child["Direction"].as_str()), (caller.as_str(), "outbound-dial"));
    assert_eq!((child["From"].as_str(), child["To"].as_str()), (CALLER, "client:ann"));
    assert_eq!(
        phone.told("https://r/call", &["CallStatus", "SequenceNumber"]),
        ["initiated 0", "ringing 1", "in-progress 2", "completed 3"]
    );
    assert_eq!(phone.status(&caller), "in-progress");
}

#[test]
fn an_unreached_client_is_told_to_the_action() {
    let default = Behaviour::default;
    for (behaviour, outcome) in [
        (Behaviour { busy: true, ..default() }, "in-progress busy false -"),
        (Behaviour { no_answer: true, ..default() }, "in-progress no-answer false -"),
        (Behaviour { unreachable: true, ..default() }, "in-progress failed false -"),
    ] {
        let (mut phone, _) = dialling(behaviour);
        phone.advance(21_000);
        assert_eq!(phone.told("https://r/dialled", OUTCOME), [outcome]);
    }
}

#[test]
fn a_caller_who_hangs_up_takes_the_dialled_leg_along() {
    let (mut phone, caller) = dialling(Behaviour::default());
    phone.advance(10_100);
    phone.hang_up(&caller);
    assert_eq!(phone.told("https://r/call", &["CallStatus"]).last().unwrap(), "completed");
    assert_eq!(phone.told("https://r/dialled", OUTCOME), ["completed completed true 9"]);
    let (mut phone, caller) = dialling(Behaviour { no_answer: true, ..Behaviour::default() });
    phone.advance(5_000);
    phone.hang_up(&caller);
    assert_eq!(phone.told("https://r/call", &["CallStatus"]).last().unwrap(), "canceled");
    assert_eq!(phone.told("https://r/dialled", OUTCOME), ["completed canceled false -"]);
}

#[test]
fn the_first_of_several_to_answer_is_connected() {
    let mut phone = Phone::new();
    phone.document(
        "https://r/voice",
        "<Response><Dial><Client>slow</Client><Number>+15550001</Number><Client>busy</Client></Dial><Pause length=\"9\"/></Response>",
    );
    phone.behaves("client:slow", Behaviour { answer_after_ms: 9_000, ..Behaviour::default() });
    phone.behaves("client:busy", Behaviour { busy: true, ..Behaviour::default() });
    let caller = phone.caller();
    phone.advance(5_000);
    let page = Page { number: 0, size: 10 };
    let filter = CallFilter { parent_sid: Some(caller.clone()), ..CallFilter::default() };
    let Reply::Calls(calls) = phone.ask(Request::ListCalls(filter, page)).unwrap() else { panic!() };
    let seen: Vec<(&str, &str)> = calls.items.iter().map(|call| (call.to.as_str(), call.status.text())).collect();
    assert_eq!(seen, [("client:busy", "busy"), ("+15550001", "in-progress"), ("client:slow", "canceled")]);
    phone.hang_up(&calls.items[1].sid);
    phone.advance(8_000);
    assert_eq!(phone.status(&caller), "in-progress", "without an action the next verb runs");
    phone.advance(1_000);
    assert_eq!(phone.status(&caller), "completed");
}

#[test]
fn the_head_of_a_queue_is_taken_and_its_action_told_after_the_bridge() {
    let mut phone = Phone::new();
    let (first, second) = (phone.caller(), phone.caller());
    phone.advance(7_000);
    let request =
        new_call("client:ann", "<Response><Dial action=\"https://r/dialled\"><Queue>WW1</Queue></Dial></Response>");
    let agent = sid(phone.ask(request).unwrap());
    phone.advance(10_000);
    assert!(phone.to(ACTION).is_empty(), "the action waits for the end of the bridge");
    assert_eq!(phone.told(WAIT, &["CallSid", "QueuePosition"]).last().unwrap(), &format!("{second} 1"));
    phone.hang_up(&agent);
    assert_eq!(
        phone.told(ACTION, &["CallSid", "QueueResult", "QueueTime", "CallStatus"]),
        [format!("{first} bridged 8 in-progress")]
    );
    assert_eq!(phone.told("https://r/dialled", OUTCOME), ["completed completed true 8"]);
}

#[test]
fn a_dial_waits_for_somebody_to_come_into_an_empty_queue() {
    let mut phone = Phone::new();
    phone.document("https://r/dialled", "<Response/>");
    phone.ask(Request::CreateQueue { name: "WW1".to_owned(), size_max: 10 }).unwrap();
    let dial = "<Response><Dial action=\"https://r/dialled\" timeout=\"20\"><Queue>WW1</Queue></Dial></Response>";
    let agent = sid(phone.ask(new_call("client:ann", dial)).unwrap());
    phone.advance(10_000);
    let caller = phone.caller();
    phone.hang_up(&caller);
    assert_eq!(phone.told(ACTION, &["QueueResult"]), ["bridged"]);
    assert_eq!(phone.told("https://r/dialled", OUTCOME), ["in-progress completed true 0"]);
    assert_eq!(phone.status(&agent), "completed");
    sid(phone.ask(new_call("client:ann", dial)).unwrap());
    phone.advance(30_000);
    assert_eq!(phone.told("https://r/dialled", OUTCOME)[1..], ["in-progress no-answer false -"]);
    let unknown = dial.replace("WW1", "nowhere");
    sid(phone.ask(new_call("client:ann", &unknown)).unwrap());
    phone.advance(2_000);
    assert_eq!(phone.told("https://r/dialled", OUTCOME)[2..], ["in-progress failed false -"]);
}

#[test]
fn a_call_cancelled_before_dialling_is_silent_and_one_in_progress_cannot_be_cancelled() {
    let mut phone = Phone::new();
    let call = sid(phone.ask(new_call("+15550001", "<Response><Pause length=\"60\"/></Response>")).unwrap());
    phone.set_status(&call, CallStatus::Canceled).unwrap();
    phone.advance(5_000);
    assert_eq!(phone.status(&call), "canceled");
    assert!(phone.sent.is_empty(), "{:?}", phone.sent);
    let call = sid(phone.ask(new_call("+15550001", "<Response><Pause length=\"60\"/></Response>")).unwrap());
    phone.advance(500);
    assert_eq!(phone.redirect(&call, "<Response/>").unwrap_err().code, 21220, "ringing calls are not redirected");
    phone.advance(5_000);
    assert_eq!(phone.set_status(&call, CallStatus::Canceled).unwrap_err().code, 21220);
    phone.set_status(&call, CallStatus::Completed).unwrap();
    assert_eq!(phone.status(&call), "completed");
    assert_eq!(phone.set_status(&call, CallStatus::Completed).unwrap_err().code, 21220);
}

#[test]
fn a_ringing_leg_is_answered_declined_and_typed_on_by_hand() {
    let mut phone = Phone::new();
    phone.behaves("client:ann", Behaviour { no_answer: true, ..Behaviour::default() });
    let gather = "<Response><Gather action=\"https://r/keys\" numDigits=\"2\"/></Response>";
    phone.document("https://r/keys", "<Response><Pause length=\"60\"/></Response>");
    let call = sid(phone.ask(new_call("client:ann", gather)).unwrap());
    assert_eq!(phone.ask(Request::Answer { sid: call.clone() }).unwrap_err().status, 409);
    phone.advance(1_000);
    phone.ask(Request::Answer { sid: call.clone() }).unwrap();
    phone.ask(Request::Press { sid: call.clone(), digits: "4".to_owned() }).unwrap();
    assert!(phone.to("https://r/keys").is_empty());
    phone.ask(Request::Press { sid: call.clone(), digits: "2".to_owned() }).unwrap();
    assert_eq!(phone.told("https://r/keys", &["Digits", "CallStatus"]), ["42 in-progress"]);
    let declined = sid(phone.ask(new_call("client:ann", gather)).unwrap());
    phone.advance(1_000);
    phone.hang_up(&declined);
    assert_eq!(phone.status(&declined), "busy");
    assert_eq!(phone.ask(Request::HangUp { sid: declined }).unwrap_err().status, 409);
}

#[test]
fn a_planned_behaviour_is_used_for_one_call_only() {
    let mut phone = Phone::new();
    let busy = Behaviour { busy: true, ..Behaviour::default() };
    let address = "client:ann".to_owned();
    phone.ask(Request::PutBehaviour { address, behaviour: busy, only_next: true }).unwrap();
    let pause = "<Response><Pause length=\"60\"/></Response>";
    let first = sid(phone.ask(new_call("client:ann", pause)).unwrap());
    let second = sid(phone.ask(new_call("client:ann", pause)).unwrap());
    phone.advance(3_000);
    assert_eq!((phone.status(&first), phone.status(&second)), ("busy", "in-progress"));
}

#[test]
fn somebody_connected_hangs_up_after_talking() {
    let mut phone = Phone::new();
    let talks = Behaviour { hang_up_after_talking_ms: Some(30_000), ..Behaviour::default() };
    let caller = phone.caller_who(talks);
    phone.advance(60_000);
    assert_eq!(phone.status(&caller), "in-progress", "waiting is not talking");
    phone.add_worker();
    phone.advance(2_000);
    phone.redirect(&caller, JOIN).unwrap();
    phone.advance(29_000);
    assert_eq!(phone.status(&caller), "in-progress");
    phone.advance(1_000);
    assert_eq!(phone.status(&caller), "completed");
}
