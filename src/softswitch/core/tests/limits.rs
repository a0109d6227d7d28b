//! Bounds, filters and the ring of what happened.

use super::*;

#[test]
fn two_thousand_calls_wait_and_end_at_once() {
    let mut phone = Phone::new();
    let callers: Vec<String> = (0..2_000).map(|_| phone.caller()).collect();
    assert_eq!(phone.switch.live.len(), 1_000, "the queue holds 1000, the others were sent on");
    phone.advance(5_000);
    for caller in &callers[..1_000] {
        phone.hang_up(caller);
    }
    assert!(phone.switch.live.is_empty());
    assert_eq!(phone.switch.timers.len(), 0);
    assert_eq!(phone.switch.fetches.len(), 0);
    assert_eq!(phone.switch.calls.len(), 100, "only the newest finished calls are kept");
    assert_eq!(phone.switch.call_ids.len(), 100);
}

#[test]
fn too_many_live_calls_are_refused() {
    let mut phone = Phone::with(|settings| settings.live_calls_max = 1);
    phone.caller();
    let refusal = phone.ask(new_call("+15550001", "<Response/>")).unwrap_err();
    assert_eq!((refusal.status, refusal.code), (429, 20429));
    assert_eq!(phone.ask(add("WT1", "client:a", "WR1")).unwrap_err().code, 20429);
    assert!(phone.switch.rooms.is_empty(), "no room is left behind");
}

#[test]
fn finished_rooms_are_forgotten_in_the_end() {
    let mut phone = Phone::with(|settings| settings.finished_max = 2);
    for room in ["a", "b", "c"] {
        phone.ask(add(room, "client:a", "WR1")).unwrap();
        phone.ask(Request::RemoveParticipant { room: room.to_owned(), who: "WR1".to_owned() }).unwrap();
    }
    assert_eq!(phone.switch.rooms.len(), 2);
    assert_eq!(phone.switch.room_ids.len(), 2);
}

#[test]
fn calls_to_unknown_numbers_and_of_unknown_sids_are_not_found() {
    let mut phone = Phone::new();
    let placed = PlacedCall { from: CALLER.to_owned(), to: "+1999".to_owned(), ..PlacedCall::default() };
    let request = Request::PlaceInbound(Box::new(placed));
    assert_eq!(phone.ask(request).unwrap_err().status, 404);
    assert_eq!(phone.ask(Request::GetCall { sid: "CA1".to_owned() }).unwrap_err().code, 20404);
    assert_eq!(phone.set_status("CA1", CallStatus::Completed).unwrap_err().code, 20404);
}

#[test]
fn calls_are_filtered_and_listed_newest_first() {
    let mut phone = Phone::new();
    let first = phone.caller();
    phone.advance(10_000);
    let second = phone.caller();
    phone.hang_up(&first);
    let mut list = |filter: CallFilter, number: usize, size: usize| match phone
        .ask(Request::ListCalls(filter, Page { number, size }))
        .unwrap()
    {
        Reply::Calls(list) => (list.items.into_iter().map(|call| call.sid).collect::<Vec<_>>(), list.more),
        other => panic!("{other:?}"),
    };
    assert_eq!(list(CallFilter::default(), 0, 1), (vec![second.clone()], true));
    assert_eq!(list(CallFilter::default(), 1, 1), (vec![first.clone()], false));
    let status = Some(CallStatus::InProgress);
    assert_eq!(list(CallFilter { status, ..CallFilter::default() }, 0, 50), (vec![second.clone()], false));
    let started = Span { from: Some(EPOCH.plus_ms(5_000)), to: None };
    assert_eq!(list(CallFilter { started, ..CallFilter::default() }, 0, 50).0, [second]);
    let ended = Span { from: Some(EPOCH), to: None };
    assert_eq!(list(CallFilter { ended, ..CallFilter::default() }, 0, 50).0, [first]);
    assert_eq!(list(CallFilter { to: Some("+1".to_owned()), ..CallFilter::default() }, 0, 50).0, [""; 0]);
}

#[test]
fn queue_members_are_shown_in_order_and_redirected() {
    let mut phone = Phone::new();
    let (first, second) = (phone.caller(), phone.caller());
    phone.advance(3_000);
    let Reply::Queues(queues) = phone.ask(Request::ListQueues(Page { number: 0, size: 5 })).unwrap() else { panic!() };
    let queue = queues.items[0].clone();
    assert_eq!((queue.name.as_str(), queue.size, queue.average_wait_secs), ("WW1", 2, 3));
    let refusal = phone.ask(Request::DeleteQueue { sid: queue.sid.clone() }).unwrap_err();
    assert_eq!(refusal.code, 22002);
    let to = Target { url: "https://r/elsewhere".to_owned(), method: Method::Post };
    phone.document("https://r/elsewhere", "<Response><Pause length=\"9\"/></Response>");
    let front = Request::RedirectMember { queue: queue.sid.clone(), who: "Front".to_owned(), to };
    let Reply::Member(member) = phone.ask(front).unwrap() else { panic!() };
    assert_eq!(member.call_sid, first);
    assert_eq!(phone.told(ACTION, &["QueueResult"]), ["redirected"]);
    let get = Request::GetMember { queue: queue.sid.clone(), who: second.clone() };
    let Reply::Member(member) = phone.ask(get).unwrap() else { panic!() };
    assert_eq!((member.position, member.wait_secs), (1, 3));
    phone.hang_up(&second);
    phone.ask(Request::DeleteQueue { sid: queue.sid }).unwrap();
}

#[test]
fn what_happened_can_be_read_on_from_a_sequence_number() {
    let mut phone = Phone::new();
    let caller = phone.caller();
    phone.hang_up(&caller);
    let mut read = |after: u64| match phone.ask(Request::ListHappenings { after, limit: 100, call: None }).unwrap() {
        Reply::Happenings(list) => list,
        other => panic!("{other:?}"),
    };
    let all = read(0);
    let kinds: Vec<&str> = all.iter().map(|happening| happening.kind).collect();
    assert_eq!(
        kinds,
        ["call.placed", "call.document", "call.answered", "queue.entered", "call.document", "call.ended", "queue.left"]
    );
    assert!(all.iter().all(|happening| happening.call_sid.as_deref() == Some(caller.as_str())));
    assert_eq!(read(all[4].sequence).len(), 2);
    assert_eq!(read(u64::MAX - 1).len(), 0);
}
