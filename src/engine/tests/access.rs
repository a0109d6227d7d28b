//! A phone system that does not take our credentials: nothing is offered, and nobody is lost.

use super::*;
use crate::engine::request::PhoneAccess;

impl Bench {
    async fn deny(&self, secs: u32) {
        let until = self.clock.now().plus_secs(secs);
        let access = PhoneAccess::Denied { message: "401: Authenticate".to_owned(), until };
        self.engine.send(self.workspace, Request::PhoneAccess(access)).await.unwrap();
    }

    async fn grant(&self) {
        self.engine.send(self.workspace, Request::PhoneAccess(PhoneAccess::Granted)).await.unwrap();
    }

    async fn hire(&self, name: &str) -> WorkerSid {
        let attributes = json!({ "contact_uri": format!("client:{name}") }).to_string();
        let activity = Some(self.available().await);
        let new = NewWorker { friendly_name: name.to_owned(), attributes, activity };
        let Reply::Worker(worker) = self.routing(Command::CreateWorker(new)).await else { panic!("a worker") };
        worker
    }

    async fn status(&self, task: TaskSid) -> TaskStatus {
        self.task(task).await.status
    }

    async fn alert_codes(&self) -> Vec<u32> {
        let alerts = self.engine.0.around.store.alerts(AccountSid::from_bits(1), 10).await.unwrap();
        alerts.iter().map(|alert| alert.code).collect()
    }
}

#[tokio::test]
async fn while_credentials_are_refused_no_call_is_offered_and_none_is_lost() {
    let mut bench = Bench::start_with_silent_phone().await;
    let (workflow, _) = bench.furnish().await;
    let offered = bench.enqueue(workflow, "CA1").await;
    let chat = NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") };
    let waiting = bench.enqueue(workflow, "CA2").await;
    assert_eq!((bench.status(offered).await, bench.status(waiting).await), (TaskStatus::Reserved, TaskStatus::Pending));

    bench.deny(35).await;
    let row = bench.reservation_of(offered).await;
    assert_eq!((row.status, row.canceled_reason_code), (ReservationStatus::Canceled, Some(20_003)));
    bench.hire("bob").await;
    let new = bench.enqueue(workflow, "CA3").await;
    for task in [offered, waiting, new] {
        assert_eq!(bench.status(task).await, TaskStatus::Pending);
    }
    // Whatever is no call goes on.
    let Reply::Task(chat) = bench.routing(Command::CreateTask(chat)).await else { panic!("a task") };
    assert_eq!(bench.status(chat).await, TaskStatus::Reserved);
    bench.assert_agrees().await;

    // The time is extended as long as it is refused, and the alarm is raised once.
    bench.clock.advance(Duration::from_secs(30));
    bench.deny(40).await;
    bench.clock.advance(Duration::from_secs(20));
    bench.routing(Command::Tick).await;
    assert_eq!(bench.status(waiting).await, TaskStatus::Pending);
    assert_eq!(bench.alert_codes().await, [20_003]);
    bench.assert_agrees().await;

    bench.grant().await;
    assert_eq!(bench.status(offered).await, TaskStatus::Reserved, "the oldest first");
    let after = bench.enqueue(workflow, "CA4").await;
    bench.hire("carol").await;
    bench.hire("dave").await;
    bench.hire("eve").await;
    for task in [waiting, new, after] {
        assert_eq!(bench.status(task).await, TaskStatus::Reserved);
    }
    bench.assert_agrees().await;

    // What is not said again in time is over.
    bench.deny(35).await;
    bench.clock.advance(Duration::from_secs(36));
    bench.hire("frank").await;
    let late = bench.enqueue(workflow, "CA5").await;
    assert_eq!(bench.status(late).await, TaskStatus::Reserved);
    bench.grant().await;

    // After a start it is not known any more; what is held back comes when its time does.
    bench.deny(35).await;
    bench.restart().await;
    bench.clock.advance(Duration::from_secs(36));
    bench.routing(Command::Tick).await;
    assert_eq!(bench.status(offered).await, TaskStatus::Reserved);
    bench.assert_agrees().await;
}

#[tokio::test]
async fn an_instruction_that_needs_a_call_fails_without_asking_while_credentials_are_refused() {
    let bench = Bench::start_with_silent_phone().await;
    let (workflow, _) = bench.furnish().await;
    let attributes = r#"{"outbound_to":"+15550001","from":"+15550002"}"#;
    let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes(attributes) };
    bench.deny(35).await;
    let Reply::Task(task) = bench.routing(Command::CreateTask(new)).await else { panic!("a task") };
    let reservation = bench.reservation_of(task).await.sid;
    bench.instruct(reservation).await.unwrap();
    let rows = bench.loaded().await;
    let row = rows.rows.reservations.iter().find(|row| row.sid == reservation).unwrap();
    assert_eq!((row.status, row.canceled_reason_code), (ReservationStatus::Canceled, Some(20_003)));
    assert!(rows.outbox.is_empty(), "it was to be sent: {:?}", rows.outbox);
    bench.assert_agrees().await;
}

#[tokio::test]
async fn a_longer_rest_that_a_task_has_for_another_reason_stays() {
    let bench = Bench::start_with_silent_phone().await;
    let (workflow, _) = bench.furnish().await;
    let task = bench.enqueue(workflow, "CA1").await;
    let reservation = bench.reservation_of(task).await.sid;
    let not_before = Some(bench.clock.now().plus_secs(600));
    bench.routing(Command::FailConnecting { reservation, reason_code: None, not_before, missed: false }).await;
    bench.deny(35).await;
    bench.grant().await;
    bench.clock.advance(Duration::from_secs(500));
    bench.routing(Command::Tick).await;
    assert_eq!(bench.status(task).await, TaskStatus::Pending);
    bench.clock.advance(Duration::from_secs(101));
    bench.routing(Command::Tick).await;
    assert_eq!(bench.status(task).await, TaskStatus::Reserved);
}
