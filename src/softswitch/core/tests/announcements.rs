//! Announcements to a room and to one participant.

use super::*;

const SAYS: &str = "https://r/announce";
const TOLD: &[&str] = &["StatusCallbackEvent", "ParticipantLabel", "AnnounceUrl", "ReasonAnnouncementFailed"];

/// A running room whose callback hears of announcements; returns its SID.
fn room(phone: &mut Phone) -> String {
    let mut sids = Vec::new();
    for (to, label) in [("client:a", "WR1"), ("client:b", "WR2")] {
        let mut new = participant(to, label);
        new.entry.status_callback = Some(callback("https://r/room", &["announcement"]));
        match phone.ask(Request::AddParticipant { room: "WT1".to_owned(), new: Box::new(new) }).unwrap() {
            Reply::Participant(participant) => sids.push(participant.room_sid),
            other => panic!("{other:?}"),
        }
    }
    phone.advance(2_000);
    sids.remove(0)
}

fn target(url: &str) -> Target {
    Target { url: url.to_owned(), method: Method::Post }
}

fn tell(phone: &mut Phone, who: &str) -> Result<Reply, Refusal> {
    let update = Box::new(ParticipantUpdate { announce: Some(target(SAYS)), ..ParticipantUpdate::default() });
    phone.ask(Request::UpdateParticipant { room: "WT1".to_owned(), who: who.to_owned(), update })
}

#[test]
fn a_room_hears_an_announcement_and_its_end_is_told() {
    let mut phone = Phone::new();
    let sid = room(&mut phone);
    phone.document(
        SAYS,
        "<Response><Say>0123456789</Say><Dial>+1</Dial><Redirect>/more</Redirect><Say>never</Say></Response>",
    );
    phone.document("https://r/more", "<Response><Pause length=\"2\"/></Response>");
    assert!(matches!(
        phone.ask(Request::AnnounceInRoom { sid: sid.clone(), target: target(SAYS) }),
        Ok(Reply::Room(_))
    ));
    assert_eq!(phone.told(SAYS, &["ConferenceSid", "FriendlyName", "CallSid"]), [format!("{sid} WT1 -")]);
    phone.advance(599);
    assert!(phone.to("https://r/more").is_empty());
    phone.advance(2_000);
    assert!(phone.to("https://r/room").is_empty());
    phone.advance(1);
    assert_eq!(phone.told("https://r/room", TOLD), [format!("announcement-end - {SAYS} -")]);
    assert!(phone.switch.announcements.is_empty() && phone.switch.next_deadline().is_none_or(|at| at > phone.now));
}

#[test]
fn one_participant_hears_an_announcement_and_a_failure_is_told() {
    let mut phone = Phone::new();
    room(&mut phone);
    phone.document(SAYS, "<Response><Say>0123456789</Say></Response>");
    tell(&mut phone, "WR1").unwrap();
    phone.advance(600);
    phone.broken(SAYS, 11200);
    tell(&mut phone, "WR2").unwrap();
    assert_eq!(
        phone.told("https://r/room", TOLD),
        [format!("announcement-end WR1 {SAYS} -"), format!("announcement-fail WR2 {SAYS} 11200: broken")]
    );
    assert_eq!(phone.to(SAYS)[0]["FriendlyName"], "WT1");
    assert!(phone.to(SAYS)[0]["CallSid"].starts_with("CA"));
}

#[test]
fn an_announcement_that_only_leads_on_fails_and_one_to_somebody_gone_is_silent() {
    let mut phone = Phone::new();
    room(&mut phone);
    phone.document(SAYS, "<Response><Redirect/></Response>");
    tell(&mut phone, "WR1").unwrap();
    phone.advance(1);
    assert_eq!(phone.to(SAYS).len(), 101);
    assert_eq!(phone.told("https://r/room", &["StatusCallbackEvent"]), ["announcement-fail"]);
    phone.document(SAYS, "<Response><Play>x.mp3</Play></Response>");
    tell(&mut phone, "WR2").unwrap();
    phone.ask(Request::RemoveParticipant { room: "WT1".to_owned(), who: "WR2".to_owned() }).unwrap();
    phone.advance(10_000);
    assert_eq!(phone.to("https://r/room").len(), 1);
}

#[test]
fn a_room_that_has_not_started_or_has_ended_hears_nothing() {
    let mut phone = Phone::new();
    phone.add_worker();
    phone.advance(2_000);
    assert_eq!(tell(&mut phone, "WR1").unwrap_err().code, 20001);
    let mut phone = Phone::new();
    let sid = room(&mut phone);
    phone.ask(Request::EndRoom { sid: sid.clone() }).unwrap();
    assert_eq!(phone.ask(Request::AnnounceInRoom { sid, target: target(SAYS) }).unwrap_err().code, 20001);
    assert_eq!(tell(&mut phone, "WR1").unwrap_err().code, 20404);
}
