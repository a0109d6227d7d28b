//! Whom a workspace may dial: what is refused when it is written, when it is asked for, and when it is about to be done.

use super::legs::{join, refused};
use super::*;
use crate::calls::{DialPolicy, DialRules, Dialling, PhoneCommand};

fn limits(list: &[&str], legs: u32) -> Limits {
    let rules = Arc::new(DialRules::parse(list).unwrap());
    Limits { dialling: Dialling { rules, legs, ..Dialling::default() }.into(), ..Limits::default() }
}

async fn update_worker(bench: &Bench, worker: WorkerSid, attributes: &str) -> Result<Reply, Error> {
    let update = WorkerUpdate { attributes: Some(attributes.to_owned()), ..WorkerUpdate::default() };
    bench.engine.send(bench.workspace, Request::Routing(Command::UpdateWorker(worker, update))).await
}

async fn dialled(bench: &Bench) -> Vec<String> {
    let rows = bench.loaded().await.outbox;
    let commands = rows.iter().map(|row| serde_json::from_str(&row.command).unwrap());
    let to = |command| if let PhoneCommand::AddParticipant { to, .. } = command { Some(to) } else { None };
    commands.filter_map(to).collect()
}

#[tokio::test]
async fn an_address_from_before_the_rules_stays_and_is_not_dialled() {
    let mut bench = Bench::start_with_silent_phone().await;
    bench.restart_within(limits(&["+1555"], 9)).await;
    let (workflow, alice) = bench.furnish().await;
    update_worker(&bench, alice, r#"{"contact_uri":"+15550009"}"#).await.unwrap();
    bench.restart_within(limits(&[], 9)).await;
    refused(update_worker(&bench, alice, r#"{"contact_uri":"+15550008"}"#).await, "begin with +155500 is not allowed");
    refused(update_worker(&bench, alice, r#"{"contact\u005furi":"+15550008"}"#).await, "dial.allow");
    update_worker(&bench, alice, r#"{"contact_uri":"+15550009","skills":["x"]}"#).await.unwrap();
    let task = bench.enqueue(workflow, "CA1").await;
    bench.call(task, Input::WaitRequested).await;
    let reservation = bench.reservation_of(task).await.sid;
    refused(bench.instruct(reservation).await, "invalid contact_uri: dialling numbers");
    assert_eq!(bench.reservation_of(task).await.status, ReservationStatus::Pending);
    assert!(dialled(&bench).await.is_empty());
    let alerts = bench.engine.0.around.store.alerts(AccountSid::from_bits(1), 10).await.unwrap();
    assert_eq!(alerts.iter().map(|alert| alert.code).collect::<Vec<_>>(), [21_215]);
    bench.assert_agrees().await;
}

#[tokio::test]
async fn a_workspace_has_rules_of_its_own_in_place_of_the_usual() {
    let mut bench = Bench::start_with_silent_phone().await;
    let (_, alice) = bench.furnish().await;
    let own = Dialling { rules: Arc::new(DialRules::parse(&["+49"]).unwrap()), ..Dialling::default() };
    let mut policy: DialPolicy = limits(&["+1555"], 9).dialling;
    policy.set(bench.workspace, own);
    bench.restart_within(Limits { dialling: policy, ..Limits::default() }).await;
    refused(update_worker(&bench, alice, r#"{"contact_uri":"+15550008"}"#).await, "begin with +155500 is not allowed");
    update_worker(&bench, alice, r#"{"contact_uri":"+4930123456"}"#).await.unwrap();
    bench.assert_agrees().await;
}

#[tokio::test]
async fn a_leg_beyond_the_cap_is_answered_in_the_phone_systems_place() {
    let mut bench = Bench::start_with_silent_phone().await;
    bench.restart_within(limits(&["+1555"], 1)).await;
    let (workflow, alice) = bench.furnish().await;
    update_worker(&bench, alice, r#"{"contact_uri":"+15550009"}"#).await.unwrap();
    let attributes = r#"{"outbound_to":"+15550001","from":"+15550002"}"#;
    let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes(attributes) };
    let Reply::Task(task) = bench.routing(Command::CreateTask(new)).await else { panic!("a task") };
    let reservation = bench.reservation_of(task).await.sid;
    bench.instruct(reservation).await.unwrap();
    assert_eq!(dialled(&bench).await, ["+15550009"]);
    // The worker's own leg is the one that is allowed; the customer's would be the second.
    join(&bench, task, "CA9", &reservation.to_string(), 1).await;
    assert_eq!(dialled(&bench).await, ["+15550009"]);
    let rows = bench.loaded().await.rows.reservations;
    let row = rows.iter().find(|row| row.sid == reservation).unwrap();
    assert_eq!((row.status, row.canceled_reason_code), (ReservationStatus::Canceled, Some(20_429)));
    bench.assert_agrees().await;
}

#[tokio::test]
async fn callers_who_dial_and_legs_of_tasks_share_the_caps_also_when_the_workspace_is_loaded_again() {
    let mut bench = Bench::start_with_silent_phone().await;
    bench.restart_within(limits(&["+1555"], 2)).await;
    let (workflow, alice) = bench.furnish().await;
    update_worker(&bench, alice, r#"{"contact_uri":"+15550009"}"#).await.unwrap();
    let call = |name: &str| CallSid(name.to_owned());
    let forward = |name: &str| {
        bench.engine.forward(bench.workspace, NewForward { call: &call(name), to: "+15550100", attempt: None })
    };
    assert_eq!(forward("CA1"), Ok(()));
    let task = bench.enqueue(workflow, "CA2").await;
    bench.call(task, Input::WaitRequested).await;
    bench.instruct(bench.reservation_of(task).await.sid).await.unwrap();
    assert_eq!(dialled(&bench).await, ["+15550009"]);
    assert!(forward("CA3").unwrap_err().contains("2 outgoing legs are up"));
    // The workspace fails: nobody is let out meanwhile who would not be otherwise, and who hangs up is known.
    hand_over(&bench.engine.sender(bench.workspace).unwrap(), Call::Panic).unwrap();
    assert!(forward("CA3").unwrap_err().contains("2 outgoing legs are up"));
    bench.until_taken(Command::Tick).await;
    assert!(forward("CA3").unwrap_err().contains("2 outgoing legs are up"));
    bench.engine.forward_over(bench.workspace, &call("CA1"));
    assert_eq!(forward("CA3"), Ok(()));
    let other = WorkspaceSid::from_bits(99);
    assert!(bench.engine.forward(other, NewForward { call: &call("CA4"), to: "+15550100", attempt: None }).is_err());
    bench.assert_agrees().await;
}
