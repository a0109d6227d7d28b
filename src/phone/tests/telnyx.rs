//! A phone system with Telnyx's words: its paths, IDs, answers and refusals.

use super::*;
use crate::calls::LegUpdate;
use crate::calls::policy::CODE_CREDENTIALS;

const CALL: &str = "v3:9X2vxPDFY2RHSJ1EdMS0RHRksMTg7ldNxdjWbVr9zBjbGjGsSe-aiQ";
/// The same in a path.
const CALL_IN_PATH: &str = "v3%3A9X2vxPDFY2RHSJ1EdMS0RHRksMTg7ldNxdjWbVr9zBjbGjGsSe-aiQ";
const CONFERENCE: &str = "cd5a70f4-759b-4d5e-9c06-88c00f16f3c1";

/// Method, path and query below the account, and form.
type Asked = (String, String, Vec<(String, String)>);

/// The client, and what it asks of a phone system that answers like this.
async fn client(
    answer: impl Fn(&str, usize) -> (u16, serde_json::Value) + Clone + Send + Sync + 'static,
) -> (PhoneSystem, Arc<Mutex<Vec<Asked>>>) {
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let notes = Arc::clone(&asked);
    let serve = move |request: Request| {
        let (answer, notes) = (answer.clone(), Arc::clone(&notes));
        async move {
            assert_eq!(request.headers()["authorization"], "Bearer KEY0123");
            let target = request.uri().path_and_query().unwrap().to_string();
            let target = target.strip_prefix("/v2/texml/Accounts/f5586561-8ff0/").expect("a path of the account");
            let (method, target) = (request.method().to_string(), target.to_owned());
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
            let form = serde_urlencoded::from_bytes(&body).unwrap();
            let mut notes = notes.lock().unwrap();
            let (status, body) = answer(&format!("{method} {target}"), notes.len());
            notes.push((method, target, form));
            (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(serve)).await });
    let settings = PhoneSettings {
        account_sid: "f5586561-8ff0".to_owned(),
        credentials: Credentials::Bearer(SecretString::from("KEY0123")),
        abilities: Abilities { participants_create: false, error_codes: false, inline_documents: true, rooms: true },
        wording: Wording::telnyx(Some("2570131338".to_owned())),
        ..settings_at(&url)
    };
    let patience = Patience { first_pause: Duration::ZERO, settle: Duration::ZERO, ..Patience::default() };
    (PhoneSystem::new(settings, patience, &Clock::fixed(REQUESTED_AT), Entropy).unwrap(), asked)
}

fn errors(code: &str) -> serde_json::Value {
    json!({ "errors": [{ "code": code, "title": "No", "detail": "Because." }] })
}

fn paths(asked: &Mutex<Vec<Asked>>) -> Vec<String> {
    asked.lock().unwrap().iter().map(|(method, target, _)| format!("{method} {target}")).collect()
}

fn rooms() -> serde_json::Value {
    json!({ "conferences": [{ "sid": CONFERENCE, "friendly_name": ROOM, "status": "in-progress" }] })
}

fn done(call: Option<&str>, conference: Option<&str>) -> PhoneOutcome {
    let call = call.map(|call| CallSid(call.to_owned()));
    PhoneOutcome::Done { call, conference: conference.map(str::to_owned), status: None }
}

#[tokio::test]
async fn a_leg_whose_id_the_answer_does_not_tell_is_looked_for() {
    let list = json!({ "calls": [{
        "sid": CALL, "to": "client:anna", "from": "+15550001", "status": "ringing",
        "date_created": "Tue, 31 Aug 2010 20:36:29 +0000",
    }] });
    let (phone, asked) = client(move |asked, _| match asked {
        "POST Calls" => (200, json!({ "from": "+15550001", "to": "client:anna", "status": "queued" })),
        _ if asked.starts_with("GET Conferences?") => (200, rooms()),
        _ if asked.starts_with("GET Calls?") => (200, list.clone()),
        _ => (404, errors("10005")),
    })
    .await;
    let outcome = phone.execute(id(), &add(ConferenceOptions::default()), false).await;
    let ringing = PhoneOutcome::Done {
        call: Some(CallSid(CALL.to_owned())),
        conference: None,
        status: Some(CallStatus::Ringing),
    };
    assert_eq!(outcome, ringing);
    let expected = [
        "POST Calls".to_owned(),
        format!("GET Conferences?FriendlyName={ROOM}&PageSize=50"),
        format!("GET Conferences/{CONFERENCE}/Participants/{LABEL}"),
        "GET Calls?To=client%3Aanna&From=%2B15550001&PageSize=50".to_owned(),
    ];
    assert_eq!(paths(&asked), expected);
    let form = asked.lock().unwrap()[0].2.clone();
    let given = |name: &str| -> Vec<&str> {
        form.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(given("ApplicationSid"), ["2570131338"]);
    assert_eq!((given("UrlMethod"), given("Method")), (vec!["POST"], vec![]));
    assert_eq!(given("StatusCallbackEvent"), ["initiated ringing answered completed"]);
}

#[tokio::test]
async fn a_participant_is_asked_for_by_its_label() {
    let (phone, asked) = client(|asked, _| match asked {
        _ if asked.starts_with("GET Conferences?") => (200, rooms()),
        _ if asked.starts_with("GET Conferences/") => (200, json!({ "call_sid": CALL, "status": "connected" })),
        _ => (200, json!({ "sid": CALL, "status": "completed" })),
    })
    .await;
    let command = PhoneCommand::HangUpLabel { room: ROOM.to_owned(), label: LABEL.to_owned(), call: None };
    let ended = PhoneOutcome::Done {
        call: Some(CallSid(CALL.to_owned())),
        conference: None,
        status: Some(CallStatus::Completed),
    };
    assert_eq!(phone.execute(id(), &command, false).await, ended);
    let expected = [
        format!("GET Conferences?FriendlyName={ROOM}&PageSize=50"),
        format!("GET Conferences/{CONFERENCE}/Participants/{LABEL}"),
        format!("POST Calls/{CALL_IN_PATH}"),
    ];
    assert_eq!(paths(&asked), expected);
}

#[tokio::test]
async fn a_conference_that_is_named_by_its_id_needs_no_list() {
    let (phone, asked) = client(|asked, _| match asked {
        _ if asked.starts_with("GET Conferences?") => (200, json!({ "conferences": [] })),
        _ => (200, json!({})),
    })
    .await;
    let update = LegUpdate { hold: Some(true), ..LegUpdate::default() };
    let command = PhoneCommand::UpdateParticipant { room: CONFERENCE.to_owned(), leg: CALL.to_owned(), update };
    assert_eq!(phone.execute(id(), &command, false).await, done(None, Some(CONFERENCE)));
    let (method, target, form) = asked.lock().unwrap().last().unwrap().clone();
    assert_eq!(format!("{method} {target}"), format!("POST Conferences/{CONFERENCE}/Participants/{CALL_IN_PATH}"));
    assert!(form.contains(&("Hold".to_owned(), "true".to_owned())), "{form:?}");
}

#[tokio::test]
async fn refusals_have_the_outcome_of_twilios() {
    let call = || CallSid(CALL.to_owned());
    let refused =
        |code: i32, given: &str| PhoneOutcome::Refused { code: Some(code), message: format!("No Because. ({given})") };
    for (status, code, outcome) in [
        (404, "10005", PhoneOutcome::Gone),
        (404, "10007", PhoneOutcome::Gone),
        (422, "90018", PhoneOutcome::Gone),
        (422, "10015", refused(10_015, "10015")),
        (401, "10009", refused(CODE_CREDENTIALS, "10009")),
    ] {
        let (phone, asked) = client(move |_, _| (status, errors(code))).await;
        assert_eq!(phone.execute(id(), &PhoneCommand::HangUp { call: call() }, false).await, outcome, "{code}");
        assert_eq!(paths(&asked), [format!("POST Calls/{CALL_IN_PATH}")]);
    }
    // Too many requests: later.
    let (phone, asked) = client(|_, before| match before {
        0 => (429, errors("10011")),
        _ => (200, json!({ "sid": CALL, "status": "completed" })),
    })
    .await;
    let outcome = phone.execute(id(), &PhoneCommand::HangUp { call: call() }, false).await;
    assert!(matches!(outcome, PhoneOutcome::Done { .. }), "{outcome:?}");
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_caller_who_is_moved_gets_the_document_by_its_name_there() {
    #[derive(Debug)]
    struct Always;
    impl Documents for Always {
        fn for_room(&self, _: TaskSid) -> Written<'_> {
            Box::pin(async { Some("<Response/>".to_owned()) })
        }

        fn for_queue(&self, _: TaskSid) -> Written<'_> {
            Box::pin(async { None })
        }
    }
    let (phone, asked) = client(|_, _| (200, json!({ "sid": CALL, "status": "in-progress" }))).await;
    let phone = phone.with_documents(Arc::new(Always));
    let call = || CallSid(CALL.to_owned());
    phone.execute(id(), &PhoneCommand::MoveCallerToRoom { call: call(), room: String::new() }, false).await;
    phone.execute(id(), &PhoneCommand::ParkCaller { call: call(), room: String::new() }, false).await;
    let asked = asked.lock().unwrap();
    assert_eq!(asked[0].2, form::pairs(&[("Texml", "<Response/>")]));
    let park = format!("https://r.example.org/voice/tasks/{ROOM}/park");
    let expected =
        form::pairs(&[("Url", &park), ("Method", "POST"), ("FallbackUrl", &park), ("FallbackMethod", "POST")]);
    assert_eq!(asked[1].2, expected, "no overrides in the fragment");
}
