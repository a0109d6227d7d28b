//! Rooms over real HTTP: a name of the application's, and what somebody on hold hears.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

use crate::conversation::{Office, call_of};
use crate::instructions::Application;
use crate::programs::{NUMBER, Programs, text};

/// An office whose workers are connected as the application's assignment callback says.
async fn office_of(application: &Application, answer: &Value) -> Office {
    let office = Office::open().await;
    application.answers("assignment", "application/json", &answer.to_string());
    let workflow = office.at(&format!("/Workflows/{}", office.floor.workflow));
    office.programs.post(&workflow, &[("AssignmentCallbackUrl", &application.url("assignment"))]).await;
    office.make_available(&office.floor.worker).await;
    office
}

/// A caller comes, and the application is asked who is to be connected with it: the caller's call and the task.
async fn call_in(office: &Office, application: &Application) -> (String, String) {
    let call = office.programs.control(Method::POST, "/calls", json!({ "from": "+15551110000", "to": NUMBER })).await;
    let asked = application.until_asked(&office.programs, "assignment", 1).await;
    (text(&call, "call_sid"), asked[0].get("TaskSid").to_owned())
}

#[tokio::test]
async fn a_room_has_the_name_that_the_application_gives_it_everywhere() {
    let application = Application::start().await;
    let answer = json!({
        "instruction": "conference", "room_name": "Order 4711", "end_conference_on_customer_exit": true,
    });
    let office = office_of(&application, &answer).await;
    let programs = &office.programs;
    let sue = office.hire("sue", false).await;
    let (caller, task) = call_in(&office, &application).await;
    let row = office.until_task(&task, "assigned").await;
    let attributes: Value = serde_json::from_str(&text(&row, "attributes")).unwrap();
    assert_eq!(attributes["conference"]["room_name"], "Order 4711");
    let room = programs.get(&office.at(&format!("/Tasks/{task}/Conference"))).await;
    assert_eq!(room["room_name"], "Order 4711");
    let rooms = programs.phone_get("/Conferences.json?Status=in-progress").await;
    let names: Vec<_> = rooms["conferences"].as_array().unwrap().iter().map(|room| &room["friendly_name"]).collect();
    assert_eq!(names, ["Order 4711"]);

    // Whoever comes later comes to the same room, and it is one for hold and for the end.
    let reservations = programs.get(&office.at(&format!("/Tasks/{task}/Reservations"))).await;
    let reservation = text(&reservations["reservations"][0], "sid");
    let supervise = [("Instruction", "supervise"), ("Supervisor", &sue), ("SupervisorMode", "monitor")];
    office.instruct(&task, &reservation, &supervise).await;
    programs.post(&office.at(&format!("/Tasks/{task}/Participants/customer")), &[("Hold", "true")]).await;
    let supervisor = format!("supervisor-{sue}");
    office.until_legs("Order 4711", &[("customer", &["hold"]), (&reservation, &[]), (&supervisor, &["muted"])]).await;
    programs.hang_up(&caller).await;
    office.until_task(&task, "wrapping").await;
    programs
        .until("the room is over", async |_: &Programs| office.legs("Order 4711").await.is_empty().then_some(()))
        .await;
}

#[tokio::test]
async fn a_name_that_no_room_can_have_leaves_an_alert_and_cancels_the_reservation() {
    let application = Application::start().await;
    let answer = json!({ "instruction": "conference", "room_name": "orders/4711" });
    let office = office_of(&application, &answer).await;
    let (_, task) = call_in(&office, &application).await;
    let reservations = office.at(&format!("/Tasks/{task}/Reservations"));
    office
        .until(&reservations, "the reservation is canceled", |list| {
            list["reservations"].as_array().unwrap().iter().any(|row| row["reservation_status"] == "canceled")
        })
        .await;
    let alerts = office.programs.get("/Alerts").await;
    let told = text(&alerts["alerts"][0], "alert_text");
    assert!(alerts["alerts"][0]["error_code"] == "40145" && told.contains("Invalid room_name"), "{alerts}");
}

#[tokio::test]
async fn an_application_plays_to_whom_it_has_put_on_hold() {
    let office = Office::open().await;
    let programs = &office.programs;
    let application = Application::start().await;
    application.document("hold", "<Play>music.mp3</Play>");
    let (caller, task, reservation) = office.talk(&[]).await;
    let participants = office.at(&format!("/Tasks/{task}/Participants"));
    let document = application.url("hold");
    let held: [(&str, &[&str]); 2] = [("customer", &["hold"]), (&reservation, &[])];
    let back: [(&str, &[&str]); 2] = [("customer", &[]), (&reservation, &[])];
    for (method, times) in [("GET", 1), ("POST", 2)] {
        let form = [("Hold", "true"), ("HoldUrl", document.as_str()), ("HoldMethod", method)];
        programs.post(&format!("{participants}/customer"), &form).await;
        office.until_legs(&task, &held).await;
        let asked = application.until_asked(programs, "hold", times).await;
        let last = asked.last().unwrap();
        assert!(last.signed && last.method == method, "{last:?}");
        assert_eq!((last.get("CallSid"), last.get("TaskSid")), (caller.as_str(), task.as_str()), "{last:?}");
        programs.post(&format!("{participants}/customer"), &[("Hold", "false")]).await;
        office.until_legs(&task, &back).await;
    }
    // An application that does not answer keeps nobody from being on hold.
    application.fails("hold", &[500; 8]);
    let form = [("Hold", "true"), ("HoldUrl", document.as_str())];
    programs.post(&format!("{participants}/{reservation}"), &form).await;
    office.until_legs(&task, &[("customer", &[]), (&reservation, &["hold"])]).await;
    programs
        .until("it is complained of", async |programs: &Programs| {
            let alerts = programs.get("/Alerts").await;
            let found = alerts["alerts"]
                .as_array()
                .unwrap()
                .iter()
                .any(|alert| alert["error_code"] == "11200" && text(alert, "alert_text").starts_with("HoldUrl: "));
            found.then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_task_knows_where_its_recording_is_where_that_is_set() {
    let office = Office::open_with(1.0, &[("SWITCHHOOK_RECORDINGS_IN_ATTRIBUTES", "true")]).await;
    let record = [("ConferenceRecord", "record-from-start"), ("EndConferenceOnCustomerExit", "true")];
    let (caller, task, _) = office.talk(&record).await;
    let path = office.at(&format!("/Tasks/{task}"));
    let attributes = |row: &Value| serde_json::from_str::<Value>(&text(row, "attributes")).unwrap();
    // What the application keeps there stays.
    let mut given = attributes(&office.programs.get(&path).await);
    given["conversations"] = json!({ "queue": "Support", "segment_link": "old" });
    office.programs.post(&path, &[("Attributes", &given.to_string())]).await;
    office.programs.hang_up(&caller).await;
    let told = office
        .until(&path, "the recording is known", |row| attributes(row)["conversations"]["segment_link"] != "old")
        .await;
    let conversations = attributes(&told)["conversations"].clone();
    let link = text(&conversations, "segment_link");
    assert!(link.contains("/Recordings/RE") && conversations["queue"] == "Support", "{conversations}");
}

/// Takes the server's place until the phone system asks for `path`, and answers nothing.
async fn drop_until_asked(programs: &Programs, path: &str) {
    let listener = TcpListener::bind(programs.server).await.unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut line = String::new();
        // Whoever sends nothing asks for nothing.
        let _ = BufReader::new(&mut stream).read_line(&mut line).await;
        if line.contains(path) {
            return;
        }
    }
}

#[tokio::test]
async fn what_comes_after_a_conversation_is_asked_for_again_while_the_server_starts_again() {
    let mut office = Office::open().await;
    let application = Application::start().await;
    application.document("after", "<Say>How was it?</Say>");
    let action: String = url::form_urlencoded::byte_serialize(application.url("after").as_bytes()).collect();
    let enqueue = format!("http://{}/voice/enqueue/{}", office.programs.server, office.floor.workflow);
    let number = json!({ "voice_url": format!("{enqueue}?Action={action}") });
    office.programs.control(Method::PUT, &format!("/numbers/{NUMBER}"), number).await;
    let (caller, task, reservation) = office.talk(&[("EndConferenceOnExit", "true")]).await;
    let legs = office.until_legs(&task, &[("customer", &[]), (&reservation, &[])]).await;

    office.programs.kill_server().await;
    office.programs.hang_up(&call_of(&legs, &reservation)).await;
    drop_until_asked(&office.programs, "room-left/customer").await;
    office.programs.start_server().await;
    let asked = application.until_asked(&office.programs, "after", 1).await;
    assert_eq!((asked[0].get("CallSid"), asked[0].get("QueueResult")), (caller.as_str(), "bridged"));
    office.until_call(&caller, "completed").await;
}
