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
    let (fake, mut phone) = Fake::start([]).await;
    phone.abilities.inline_documents = inline_documents;
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
