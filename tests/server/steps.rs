//! The log of a task: each of its steps is found by its SID, and nothing is told of its caller.

use reqwest::Method;
use serde_json::json;

use crate::programs::{NUMBER, Programs, TOKEN, text};

fn log(programs: &Programs) -> String {
    std::fs::read_to_string(programs.directory.path().join("server.log")).unwrap()
}

#[tokio::test]
async fn the_log_tells_each_step_of_a_task_and_nothing_of_its_caller() {
    let mut programs = Programs::start(1.0).await;
    programs.kill_server().await;
    programs.environment =
        vec![("SWITCHHOOK_LOG", "info,switchhook=debug".to_owned()), ("SWITCHHOOK_LOG_FORMAT", "json".to_owned())];
    programs.start_server().await;
    let floor = programs.furnish().await;
    // Nobody listens there: attempts are steps too.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = format!("http://{closed}/events");
    programs.post(&floor.base, &[("EventCallbackUrl", nowhere.as_str())]).await;
    let workflow = format!("{}/Workflows/{}", floor.base, floor.workflow);
    programs.post(&workflow, &[("AssignmentCallbackUrl", nowhere.as_str())]).await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    programs.control(Method::POST, "/calls", json!({ "from": "+15551110000", "to": NUMBER })).await;
    let pending = format!("{}/Workers/{}/Reservations?ReservationStatus=pending", floor.base, floor.worker);
    let offer = programs
        .until("the worker gets a reservation", async |programs: &Programs| {
            programs.get(&pending).await["reservations"].as_array()?.first().cloned()
        })
        .await;
    let (task, reservation) = (text(&offer, "task_sid"), text(&offer, "sid"));
    // The caller is led out of the queue by a command to the phone system.
    programs.post(&format!("{}/Tasks/{task}", floor.base), &[("AssignmentStatus", "canceled")]).await;

    // A line names its step and the SID, in itself or in the spans around it.
    let steps = [
        ("task.created", &task),
        ("reservation.created", &reservation),
        ("committed", &floor.base.trim_start_matches("/Workspaces/").to_owned()),
        ("event callback attempted", &task),
        ("assignment callback attempted", &reservation),
        ("task.canceled", &task),
        ("phone command attempted", &task),
    ];
    for (step, sid) in steps {
        let is_told = |line: &str| line.contains(&format!("\"message\":\"{step}\"")) && line.contains(sid.as_str());
        programs.until(step, async |programs: &Programs| log(programs).lines().any(is_told).then_some(())).await;
    }
    let log = log(&programs);
    assert!(log.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok() || !line.starts_with('{')));
    let created = log.lines().find(|line| line.contains("\"message\":\"task.created\"") && line.contains(&task));
    assert!(created.unwrap().contains("\"request.id\":\"RQ"), "the request that led to it is named: {created:?}");
    for secret in ["15551110000", "client:alice", TOKEN] {
        assert!(!log.contains(secret), "the log tells {secret}");
    }
}
