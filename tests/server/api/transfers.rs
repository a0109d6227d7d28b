//! Transfers over REST: from the request to the task that somebody else holds.

use super::*;

/// A task that dana has accepted, with eve available beside her.
struct Handover {
    server: Server,
    workspace: String,
    dana: String,
    eve: String,
    task: String,
    reservation: String,
}

impl Handover {
    async fn begin() -> Self {
        let server = Server::start().await;
        let workspace = server.workspace().await;
        let dana = server.worker(&workspace, "dana").await;
        let eve = server.worker(&workspace, "eve").await;
        let task = text(&server.make(&format!("{workspace}/Tasks"), "").await["sid"]).to_owned();
        let list = server.get(&format!("{workspace}/Workers/{dana}/Reservations")).await;
        let reservation = text(&list.body["reservations"][0]["sid"]).to_owned();
        let handover = Self { server, workspace, dana, eve, task, reservation };
        let path = format!("{}/Workers/{}/Reservations/{}", handover.workspace, handover.dana, handover.reservation);
        assert_eq!(handover.server.post(&path, "ReservationStatus=accepted").await.status, StatusCode::OK);
        handover
    }

    fn transfers(&self) -> String {
        format!("{}/Workers/{}/Transfers", self.workspace, self.dana)
    }

    fn form(&self, to: &str) -> String {
        format!("TaskSid={}&ReservationSid={}&To={to}", self.task, self.reservation)
    }

    async fn task(&self) -> Value {
        self.server.get(&format!("{}/Tasks/{}", self.workspace, self.task)).await.body
    }

    async fn check_refused(&self, path: &str, form: &str, message: &str) {
        let answer = self.server.post(path, form).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (400, &json!(20001)), "{form}: {}", answer.body);
        assert!(text(&answer.body["message"]).contains(message), "{form}: {}", answer.body);
        assert_eq!(self.task().await["assignment_status"], "assigned", "{form}");
    }
}

#[tokio::test]
async fn a_task_is_handed_on_to_another_worker() {
    let handover = Handover::begin().await;
    let Handover { server, workspace, dana, eve, task, reservation } = &handover;
    let form = format!("{}&Attributes={{\"note\":\"angry\"}}&Priority=7", handover.form(eve));
    let made = server.make(&handover.transfers(), &form).await;
    let sid = text(&made["sid"]);
    assert!(sid.starts_with("TT"), "{sid}");
    for (key, expected) in [
        ("transfer_type", "WORKER"),
        ("transfer_mode", "WARM"),
        ("transfer_to", eve),
        ("transfer_status", "initiated"),
        ("task_sid", task),
        ("initiating_worker_sid", dana),
        ("initiating_reservation_sid", reservation),
    ] {
        assert_eq!(made[key], *expected, "{key}");
    }
    let state = handover.task().await;
    assert_eq!((&state["assignment_status"], &state["priority"]), (&json!("reserved"), &json!(7)));
    assert_eq!(state["attributes"], "{\"note\":\"angry\"}");

    let url = text(&made["url"]);
    assert_eq!(server.get(url).await.body, made);
    for (query, count) in [
        ("", 1),
        ("?TransferStatus=initiated", 1),
        ("?TransferStatus=failed", 0),
        (&format!("?TaskSid={task}"), 1),
        ("?TaskSid=WT00000000000000000000000000000009", 0),
    ] {
        let list = server.get(&format!("{}{query}", handover.transfers())).await;
        assert_eq!(list.body["transfers"].as_array().map(Vec::len), Some(count), "{query}: {}", list.body);
        assert_eq!(list.body["meta"]["key"], "transfers");
    }

    let offers = server.get(&format!("{workspace}/Workers/{eve}/Reservations?ReservationStatus=pending")).await;
    let offer = text(&offers.body["reservations"][0]["url"]).to_owned();
    assert_eq!(server.post(&offer, "ReservationStatus=accepted").await.status, StatusCode::OK);
    assert_eq!(server.get(url).await.body["transfer_status"], "complete");
    assert_eq!(handover.task().await["assignment_status"], "assigned");
    let message = format!("Transfer {sid} is already complete . Cannot cancel transfer.");
    check_error(&server.post(url, &format!("TaskSid={task}&TransferStatus=canceled")).await, 400, 20001, &message);
    assert_eq!(server.delete(&format!("{workspace}/Tasks/{task}")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.get(url).await.status, StatusCode::NOT_FOUND);
    handover.server.stop().await;
}

#[tokio::test]
async fn a_transfer_is_taken_back_once() {
    let handover = Handover::begin().await;
    let Handover { server, workspace, eve, task, .. } = &handover;
    let made = server.make(&handover.transfers(), &handover.form(eve)).await;
    let (url, sid) = (text(&made["url"]), text(&made["sid"]));
    let form = format!("TaskSid={task}&TransferStatus=canceled");
    let through_eve = format!("{workspace}/Workers/{eve}/Transfers/{sid}");
    for path in [&through_eve, &format!("{}/TT00000000000000000000000000000009", handover.transfers())] {
        assert_eq!(server.post(path, &form).await.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(server.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let foreign_task = "TaskSid=WT00000000000000000000000000000009&TransferStatus=canceled";
    assert_eq!(server.post(url, foreign_task).await.status, StatusCode::NOT_FOUND);
    for (form, message) in [
        ("TransferStatus=canceled".to_owned(), "TaskSid field is required"),
        (format!("TaskSid={task}"), "TransferStatus field is required"),
        (format!("TaskSid={task}&TransferStatus=complete"), "Invalid TransferStatus: "),
    ] {
        let answer = server.post(url, &form).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{form}: {}", answer.body);
        assert!(text(&answer.body["message"]).starts_with(message), "{form}: {}", answer.body);
    }
    assert_eq!(handover.task().await["assignment_status"], "reserved");

    let canceled = server.post(url, &form).await;
    assert_eq!((canceled.status, &canceled.body["transfer_status"]), (StatusCode::OK, &json!("canceled")));
    assert_eq!(handover.task().await["assignment_status"], "assigned");
    let message = format!("Transfer {sid} is already canceled . Cannot cancel transfer.");
    check_error(&server.post(url, &form).await, 400, 20001, &message);
    handover.server.stop().await;
}

#[tokio::test]
async fn a_transfer_that_cannot_be_is_refused_and_changes_nothing() {
    let handover = Handover::begin().await;
    let Handover { server, workspace, dana, eve, task, reservation } = &handover;
    let path = handover.transfers();
    for (form, message) in [
        (format!("TaskSid={task}&ReservationSid={reservation}"), "To field is required"),
        (format!("ReservationSid={reservation}&To={eve}"), "TaskSid field is required"),
        (format!("TaskSid={task}&To={eve}"), "ReservationSid field is required"),
        (handover.form("WA00000000000000000000000000000001"), "Invalid To: "),
        (handover.form("WK00000000000000000000000000000009"), "does not exist in this workspace"),
        (handover.form("WQ00000000000000000000000000000009"), "does not exist in this workspace"),
        (format!("{}&Mode=LUKEWARM", handover.form(eve)), "Invalid Mode: "),
        (format!("{}&Priority=-1", handover.form(eve)), "Invalid Priority: "),
        (format!("{}&Attributes=[1]", handover.form(eve)), "Invalid Attributes: "),
    ] {
        handover.check_refused(&path, &form, message).await;
    }
    // The reservation is dana's, not eve's; and a worker who does not exist has no transfers.
    let of_eve = format!("{workspace}/Workers/{eve}/Transfers");
    handover.check_refused(&of_eve, &handover.form(dana), "ReservationSid").await;
    let of_nobody = format!("{workspace}/Workers/WK00000000000000000000000000000009/Transfers");
    assert_eq!(server.get(&of_nobody).await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.post(&of_nobody, &handover.form(eve)).await.status, StatusCode::NOT_FOUND);

    let offline = server.activity(workspace, "Offline").await;
    server.post(&format!("{workspace}/Workers/{eve}"), &format!("ActivitySid={offline}")).await;
    handover.check_refused(&path, &handover.form(eve), "is not available").await;
    assert_eq!(server.get(&path).await.body["transfers"], json!([]));
    handover.server.stop().await;
}

#[tokio::test]
async fn a_cold_transfer_to_a_queue_ends_the_first_workers_part() {
    let handover = Handover::begin().await;
    let Handover { server, workspace, dana, task, reservation, .. } = &handover;
    let queue = server.make(&format!("{workspace}/TaskQueues"), "FriendlyName=Nobody&TargetWorkers=1%3D%3D2").await;
    let form = format!("{}&Mode=cold", handover.form(text(&queue["sid"])));
    let made = server.make(&handover.transfers(), &form).await;
    assert_eq!((&made["transfer_type"], &made["transfer_mode"]), (&json!("QUEUE"), &json!("COLD")));
    let state = handover.task().await;
    assert_eq!((&state["assignment_status"], &state["task_queue_sid"]), (&json!("pending"), &queue["sid"]));
    let mine = server.get(&format!("{workspace}/Workers/{dana}/Reservations/{reservation}")).await;
    assert_eq!(mine.body["reservation_status"], "wrapping");
    let events = server.get(&format!("{workspace}/Events?TaskSid={task}&EventType=task.transfer-initiated")).await;
    let data = &events.body["events"][0]["event_data"];
    assert_eq!((&data["task_transfer_sid"], &data["transfer_mode"]), (&made["sid"], &json!("COLD")));
    handover.server.stop().await;
}
