//! Recordings: of calls, participants, rooms, `<Dial>` and `<Record>`, and over REST.

use super::*;
use crate::softswitch::twiml::RecordingOrder;

const TOLD: &[&str] =
    &["RecordingStatus", "RecordingSource", "RecordingChannels", "RecordingDuration", "RecordingTrack"];
const CB: &str = "https://r/recording";

fn order(source: &'static str, is_dual: bool) -> RecordingOrder {
    RecordingOrder {
        source,
        is_dual,
        from_ringing: false,
        track: "both",
        trims: true,
        status_callback: Some(callback(CB, &["in-progress", "completed", "absent"])),
    }
}

fn list(phone: &mut Phone, of: RecordingsOf) -> Vec<RecordingRecord> {
    let request = Request::ListRecordings { of, created: Span::default(), page: Page { number: 0, size: 50 } };
    match phone.ask(request).unwrap() {
        Reply::Recordings(list) => list.items,
        other => panic!("{other:?}"),
    }
}

fn all() -> RecordingsOf {
    RecordingsOf::Anything { call: None, room: None }
}

fn recording(reply: Result<Reply, Refusal>) -> RecordingRecord {
    match reply.unwrap() {
        Reply::Recording(recording) => *recording,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_recorded_call_is_recorded_from_its_answer_to_its_end() {
    let mut phone = Phone::new();
    let Request::CreateCall(mut new) = new_call("+15550001", "<Response><Pause length=\"42\"/></Response>") else {
        panic!()
    };
    new.options.recording = Some(order("OutboundAPI", true));
    let call = sid(phone.ask(Request::CreateCall(new)).unwrap());
    phone.advance(1_000);
    assert!(list(&mut phone, all()).is_empty(), "it rings");
    phone.advance(50_000);
    assert_eq!(phone.told(CB, TOLD), ["in-progress OutboundAPI 2 - both", "completed OutboundAPI 2 42 both"]);
    let record = list(&mut phone, RecordingsOf::Call(call.clone())).remove(0);
    assert_eq!((record.channels, record.secs, record.call_sid.as_ref()), (2, Some(42), Some(&call)));
    let told = phone.to(CB).pop().unwrap();
    let url = format!("https://phone/2010-04-01/Accounts/AC{}/Recordings/{}", "a".repeat(32), record.sid);
    assert_eq!((&told["RecordingUrl"], &told["CallSid"]), (&url, &call));
    assert!(told["RecordingStartTime"].ends_with("+0000"));
    let end = phone.to("https://r/call").pop().unwrap();
    assert_eq!(
        (&end["RecordingUrl"], &end["RecordingSid"], end["RecordingDuration"].as_str()),
        (&url, &record.sid, "42")
    );
}

#[test]
fn each_recorded_participant_has_a_recording_and_the_room_has_its_own() {
    let mut phone = Phone::new();
    for label in ["WR1", "WR2"] {
        let mut new = participant(&format!("client:{label}"), label);
        new.options.recording = Some(order("OutboundAPI", true));
        new.entry.recording = Some(order("Conference", false));
        phone.ask(Request::AddParticipant { room: "WT1".to_owned(), new: Box::new(new) }).unwrap();
    }
    phone.advance(21_100);
    let room = phone.to("https://r/room")[0]["ConferenceSid"].clone();
    assert_eq!(list(&mut phone, RecordingsOf::Room(room.clone()))[0].status, RecordingStatus::InProgress);
    phone.ask(Request::EndRoom { sid: room.clone() }).unwrap();
    let seen: Vec<_> =
        list(&mut phone, all()).iter().map(|r| (r.source, r.channels, r.secs, r.room_sid.is_some())).collect();
    assert_eq!(
        seen,
        [("Conference", 1, Some(20), true), ("OutboundAPI", 2, Some(20), false), ("OutboundAPI", 2, Some(20), false)]
    );
    let of_room: Vec<_> = phone.to(CB).into_iter().filter(|told| told.contains_key("ConferenceSid")).collect();
    assert_eq!(of_room.len(), 2, "in-progress and completed");
    assert_eq!(of_room[1]["ConferenceSid"], room);
    let unknown = Request::ListRecordings {
        of: RecordingsOf::Room("CF404".to_owned()),
        created: Span::default(),
        page: Page { number: 0, size: 50 },
    };
    assert_eq!(phone.ask(unknown).unwrap_err().code, 20404);
}

#[test]
fn a_room_is_recorded_as_its_first_participant_says() {
    let mut phone = Phone::new();
    let join = JOIN.replace("beep", &format!("record=\"record-from-start\" recordingStatusCallback=\"{CB}\" beep"));
    let caller = phone.caller();
    phone.redirect(&caller, &join).unwrap();
    phone.advance(5_000);
    assert!(list(&mut phone, all()).is_empty(), "it has not started");
    phone.add_worker();
    phone.advance(11_100);
    phone.hang_up(&caller);
    assert_eq!(phone.told(CB, TOLD), ["completed Conference 1 10 both"], "completed alone is told unless asked for");
}

#[test]
fn a_recorded_dial_tells_its_action_where_the_recording_is() {
    for (record, secs, channels) in [
        ("record-from-answer", "20", "1"),
        ("record-from-ringing-dual", "21", "2"),
        ("record-from-answer-dual", "20", "2"),
    ] {
        let mut phone = Phone::new();
        phone.document(
            "https://r/voice",
            &format!("<Response><Dial record=\"{record}\" recordingStatusCallback=\"{CB}\" action=\"https://r/dialled\"><Client>ann</Client></Dial></Response>"),
        );
        phone.document("https://r/dialled", "<Response/>");
        phone.behaves("client:ann", Behaviour { hang_up_after_ms: Some(20_000), ..Behaviour::default() });
        let caller = phone.caller();
        phone.advance(30_000);
        assert_eq!(phone.told(CB, &TOLD[..4]), [format!("completed DialVerb {channels} {secs}")]);
        let (told, action) = (phone.to(CB).remove(0), phone.to("https://r/dialled").remove(0));
        assert_eq!((&told["RecordingUrl"], &told["CallSid"]), (&action["RecordingUrl"], &caller));
    }
    let mut phone = Phone::new();
    phone
        .document("https://r/voice", "<Response><Dial record=\"do-not-record\"><Client>ann</Client></Dial></Response>");
    phone.caller();
    phone.advance(5_000);
    assert!(list(&mut phone, all()).is_empty());
}

#[test]
fn the_record_verb_ends_with_silence_with_a_key_at_its_length_and_with_the_call() {
    let document = |attributes: &str| {
        format!(
            "<Response><Record action=\"https://r/recorded\" recordingStatusCallback=\"{CB}\" \
             recordingStatusCallbackEvent=\"completed absent\" {attributes}/><Pause length=\"60\"/></Response>"
        )
    };
    let action = ["Digits", "RecordingDuration", "CallStatus"];
    let told = |attributes: &str, after: i64, then: &dyn Fn(&mut Phone, &str)| {
        let mut phone = Phone::new();
        phone.document("https://r/voice", &document(attributes));
        phone.document("https://r/recorded", "<Response/>");
        let call = phone.caller_who(Behaviour { speaks_ms: 8_000, ..Behaviour::default() });
        phone.advance(after);
        then(&mut phone, &call);
        (phone.told("https://r/recorded", &action), phone.told(CB, &TOLD[..4]))
    };
    let nothing = |_: &mut Phone, _: &str| {};
    let one = |text: &str, told: &str| (vec![text.to_owned()], vec![told.to_owned()]);
    assert_eq!(told("timeout=\"4\"", 11_999, &nothing), (vec![], vec![]), "it goes on");
    assert_eq!(told("timeout=\"4\"", 12_000, &nothing), one(" 8 in-progress", "completed RecordVerb 1 8"));
    assert_eq!(
        told("timeout=\"4\" trim=\"do-not-trim\"", 12_000, &nothing),
        one(" 12 in-progress", "completed RecordVerb 1 12")
    );
    assert_eq!(told("maxLength=\"5\"", 5_000, &nothing), one(" 5 in-progress", "completed RecordVerb 1 5"));
    let press = |phone: &mut Phone, call: &str| {
        phone.ask(Request::Press { sid: call.to_owned(), digits: "7#".to_owned() }).unwrap();
    };
    assert_eq!(told("", 3_000, &press), one("7 3 in-progress", "completed RecordVerb 1 3"));
    assert_eq!(told("finishOnKey=\"#\"", 3_000, &press), one("# 3 in-progress", "completed RecordVerb 1 3"));
    assert_eq!(told("finishOnKey=\"\"", 3_000, &press), (vec![], vec![]));
    let leave = |phone: &mut Phone, call: &str| phone.hang_up(call);
    assert_eq!(told("", 6_000, &leave), one("hangup 6 completed", "completed RecordVerb 1 6"));
}

#[test]
fn a_record_verb_that_hears_nothing_goes_on_with_the_next_verb() {
    let mut phone = Phone::new();
    phone.document(
        "https://r/voice",
        &format!("<Response><Record timeout=\"4\" action=\"https://r/recorded\" recordingStatusCallback=\"{CB}\" recordingStatusCallbackEvent=\"absent\"/><Pause length=\"60\"/></Response>"),
    );
    let call = phone.caller_who(Behaviour { speaks_ms: 0, ..Behaviour::default() });
    phone.advance(4_000);
    assert_eq!(phone.told(CB, TOLD), ["absent RecordVerb 1 0 both"]);
    assert!(phone.to("https://r/recorded").is_empty());
    assert_eq!(phone.status(&call), "in-progress");
    let moved = phone.caller();
    phone.advance(1_000);
    phone.redirect(&moved, "<Response><Pause length=\"9\"/></Response>").unwrap();
    assert_eq!(list(&mut phone, RecordingsOf::Call(moved))[0].secs, Some(1), "a redirect ends the recording");
}

#[test]
fn a_recording_over_rest_is_paused_resumed_stopped_and_deleted() {
    let mut phone = Phone::new();
    let caller = phone.caller();
    let start = |call: &str| Request::StartRecording {
        call: call.to_owned(),
        order: Box::new(order("StartCallRecordingAPI", false)),
    };
    let record = recording(phone.ask(start(&caller)));
    let change = |sid: &str, to: RecordingStatus, pause_is_silence: bool| Request::UpdateRecording {
        of: RecordingsOf::Call(caller.clone()),
        sid: sid.to_owned(),
        change: RecordingChange { to, pause_is_silence },
    };
    phone.advance(10_000);
    let paused = recording(phone.ask(change("Twilio.CURRENT", RecordingStatus::Paused, false)));
    assert_eq!((paused.sid.as_str(), paused.status), (record.sid.as_str(), RecordingStatus::Paused));
    phone.advance(30_000);
    recording(phone.ask(change(&record.sid, RecordingStatus::InProgress, false)));
    phone.advance(5_000);
    recording(phone.ask(change(&record.sid, RecordingStatus::Paused, true)));
    phone.advance(5_000);
    let delete = Request::DeleteRecording { of: all(), sid: record.sid.clone() };
    assert_eq!(phone.ask(delete.clone()).unwrap_err().code, 20001, "it runs");
    let stopped = recording(phone.ask(change(&record.sid, RecordingStatus::Completed, true)));
    assert_eq!((stopped.status, stopped.secs), (RecordingStatus::Completed, Some(20)), "30 s were left out");
    assert_eq!(phone.told(CB, &TOLD[..1]), ["in-progress", "completed"]);
    assert_eq!(phone.ask(change(&record.sid, RecordingStatus::Paused, true)).unwrap_err().code, 21220);
    assert_eq!(phone.ask(change("Twilio.CURRENT", RecordingStatus::Paused, true)).unwrap_err().code, 20404);
    phone.ask(delete.clone()).unwrap();
    assert_eq!(phone.ask(delete).unwrap_err().code, 20404);
    for _ in 0..10 {
        recording(phone.ask(start(&caller)));
    }
    assert_eq!(phone.ask(start(&caller)).unwrap_err().code, 21220, "ten at once are enough");
    phone.hang_up(&caller);
    assert_eq!(phone.ask(start(&caller)).unwrap_err().code, 21220);
    assert!(list(&mut phone, all()).iter().all(|record| record.status != RecordingStatus::InProgress));
}

#[test]
fn only_the_newest_recordings_are_kept() {
    let mut phone = Phone::with(|settings| settings.finished_max = 3);
    let caller = phone.caller();
    for _ in 0..5 {
        let order = Box::new(order("StartCallRecordingAPI", false));
        let sid = recording(phone.ask(Request::StartRecording { call: caller.clone(), order })).sid;
        phone.advance(1_000);
        let change = RecordingChange { to: RecordingStatus::Completed, pause_is_silence: true };
        phone.ask(Request::UpdateRecording { of: all(), sid, change }).unwrap();
    }
    assert_eq!((phone.switch.recordings.len(), phone.switch.recording_ids.len()), (3, 3));
}
