//! Documents that go with the request that moves a caller.

use super::*;

/// Writes the same for everybody, or nothing.
#[derive(Debug)]
struct Always(Option<String>);

impl Documents for Always {
    fn for_room(&self, task: TaskSid) -> Written<'_> {
        assert_eq!(task.to_string(), ROOM);
        Box::pin(async { self.0.clone().map(|text| format!("room {text}")) })
    }

    fn for_queue(&self, _: TaskSid) -> Written<'_> {
        Box::pin(async { self.0.clone().map(|text| format!("queue {text}")) })
    }
}

/// What a redirect is sent with.
async fn sent(command: &PhoneCommand, document: Option<String>, inline_documents: bool) -> Vec<(String, String)> {
    let abilities = Abilities { inline_documents, ..Abilities::default() };
    sent_to(abilities, command, document).await
}

/// The same to a phone system with these abilities.
async fn sent_to(abilities: Abilities, command: &PhoneCommand, document: Option<String>) -> Vec<(String, String)> {
    let (fake, mut phone) = Fake::start([]).await;
    phone.abilities = abilities;
    let phone = phone.with_documents(Arc::new(Always(document)));
    let outcome = phone.execute(id(), command, false).await;
    assert_eq!(outcome, call_seen("CAcaller", CallStatus::InProgress));
    let mut posts = fake.posts();
    assert_eq!(posts.len(), 1);
    posts.remove(0)
}

#[tokio::test]
async fn the_document_goes_with_the_request_where_it_can() {
    let moved = || PhoneCommand::MoveCallerToRoom { call: caller(), room: String::new() };
    let parked = || PhoneCommand::ParkCaller { call: caller(), room: String::new() };
    let released = || PhoneCommand::ReleaseCaller { call: caller(), room: String::new() };
    let short = || Some("x".to_owned());
    // With the word in front of it, it is as long as it may be, in characters that take two bytes each.
    let longest = || Some("ä".repeat(4_000 - "room ".len()));
    for (command, document, can, twiml) in [
        (moved(), short(), true, Some("room x".to_owned())),
        (parked(), short(), true, Some("queue x".to_owned())),
        (moved(), longest(), true, longest().map(|text| format!("room {text}"))),
        (parked(), longest(), true, None),
        (moved(), None, true, None),
        (moved(), short(), false, None),
        (parked(), short(), false, None),
        (released(), short(), true, None),
        (released(), short(), false, None),
    ] {
        let form = sent(&command, document, can).await;
        let names: Vec<&str> = form.iter().map(|(name, _)| name.as_str()).collect();
        let Some(twiml) = twiml else {
            assert_eq!(names, ["Url", "Method", "FallbackUrl", "FallbackMethod"], "{command:?}");
            // Only Twilio knows what the fragment means.
            assert_eq!(form[0].1, format!("{}{}", form[2].1, if can { "#rc=5&rp=all" } else { "" }), "{command:?}");
            continue;
        };
        assert_eq!(form, form::pairs(&[("Twiml", &twiml)]), "{command:?}");
    }
}

/// The caller of a task without rooms is to dial.
fn dial() -> PhoneCommand {
    let (to, from) = ("+15554440000".to_owned(), "+15550100".to_owned());
    PhoneCommand::LetCallerDial { call: caller(), label: "WR1".to_owned(), to, from }
}

#[tokio::test]
async fn a_caller_who_is_to_dial_gets_the_document_of_that() {
    let abilities = Abilities { rooms: false, ..Abilities::default() };
    let form = sent_to(abilities, &dial(), Some("x".to_owned())).await;
    assert_eq!(form, form::pairs(&[("Twiml", "room x")]));
    let form = sent_to(abilities, &dial(), None).await;
    let url = format!("https://r.example.org/voice/tasks/{ROOM}/join/customer");
    let expected = [("Url", url.as_str()), ("Method", "POST"), ("FallbackUrl", &url), ("FallbackMethod", "POST")];
    assert_eq!(form, form::pairs(&expected), "a fragment would be no URL there");
}

#[tokio::test]
async fn where_there_are_no_rooms_nobody_is_looked_for_in_one() {
    let parked = || PhoneCommand::ParkCaller { call: caller(), room: String::new() };
    let released = || PhoneCommand::ReleaseCaller { call: caller(), room: String::new() };
    let unknown = PhoneOutcome::Unavailable { message: "whether the caller was sent on is not known".to_owned() };
    for (command, outcome, posts) in [
        // To wait, a caller may be sent twice.
        (dial(), unknown.clone(), 0),
        (parked(), call_seen("CAcaller", CallStatus::InProgress), 1),
        (released(), unknown, 0),
    ] {
        let (fake, mut phone) = Fake::start([]).await;
        phone.abilities.rooms = false;
        fake.0.lock().unwrap().caller = "in-progress";
        assert_eq!(phone.execute(id(), &command, true).await, outcome, "{command:?}");
        assert_eq!(fake.posts().len(), posts, "{command:?}");
        assert!(fake.paths().iter().all(|path| !path.contains("Conferences")), "{command:?}");
    }
}

#[tokio::test]
async fn a_validation_error_of_somleng_is_a_refusal_with_its_code() {
    let body = json!({ "code": 20422, "message": "To is invalid", "status": 422 });
    let (_, mut phone) = Fake::start([Fault::Answer(422, body, None)]).await;
    phone.abilities = Abilities { rooms: false, error_codes: false, ..Abilities::default() };
    let outcome = phone.execute(id(), &dial(), false).await;
    assert_eq!(outcome, PhoneOutcome::Refused { code: Some(20_422), message: "To is invalid".to_owned() });
}
