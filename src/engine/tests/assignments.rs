//! Assignment callbacks: open until their answer, answered once.

use super::*;

/// A workflow that asks an application, and the assignments that are handed over.
async fn asking(bench: &Bench) -> (WorkflowSid, tokio::sync::mpsc::UnboundedReceiver<Assignment>) {
    let (workflow, _) = bench.furnish().await;
    let update = crate::routing::command::WorkflowUpdate {
        assignment_callback_url: Some(Some("https://app.example/assignment".to_owned())),
        ..crate::routing::command::WorkflowUpdate::default()
    };
    bench.routing(Command::UpdateWorkflow(workflow, update)).await;
    (workflow, bench.engine.take_assignments().expect("nobody has taken them"))
}

#[tokio::test]
async fn an_assignment_is_open_until_its_answer_and_answered_once() {
    let mut bench = Bench::start().await;
    let (workflow, mut assignments) = asking(&bench).await;
    let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") };
    let Reply::Task(task) = bench.routing(Command::CreateTask(new)).await else { panic!("a task") };
    let reservation = bench.reservation_of(task).await.sid;
    let handed = assignments.try_recv().expect("it is handed over after the commit");
    assert_eq!((handed.reservation, handed.opened_at), (reservation, START));
    let open = async |bench: &Bench| -> Vec<ReservationSid> {
        bench.loaded().await.open_callbacks.iter().map(|callback| callback.reservation).collect()
    };
    assert_eq!(open(&bench).await, [reservation]);
    // The server ends before the answer: the next one hands the same assignment over.
    bench.restart().await;
    let mut assignments = bench.engine.take_assignments().unwrap();
    assert_eq!(assignments.try_recv().unwrap(), handed);
    let answer = |consequence| Request::AssignmentAnswered {
        reservation,
        answer: AssignmentAnswer { complaints: Vec::new(), consequence },
    };
    bench.engine.send(bench.workspace, answer(Consequence::Nothing)).await.unwrap();
    assert_eq!(open(&bench).await, []);
    // A second answer to the same question, as after a restart at the wrong moment, has no effect.
    bench.engine.send(bench.workspace, answer(Consequence::Cancel)).await.unwrap();
    assert_eq!(bench.reservation_of(task).await.status, ReservationStatus::Pending);
    bench.restart().await;
    assert!(bench.engine.take_assignments().unwrap().try_recv().is_err(), "nothing is open");
    bench.assert_agrees().await;
}

#[tokio::test]
async fn answers_that_cannot_be_carried_out_leave_their_alert() {
    let bench = Bench::start().await;
    let (workflow, mut assignments) = asking(&bench).await;
    let instruction = |change| Consequence::Instruction(ReservationInstruction::Change(change));
    let conference = Consequence::Instruction(ReservationInstruction::Conference(Box::default()));
    let unknown = ReservationChange::Reject { activity: Some(ActivitySid::from_bits(77)) };
    for (consequence, status, code) in
        [(conference, ReservationStatus::Canceled, 40_142), (instruction(unknown), ReservationStatus::Rejected, 40_100)]
    {
        let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") };
        let Reply::Task(task) = bench.routing(Command::CreateTask(new)).await else { panic!("a task") };
        let reservation = assignments.try_recv().unwrap().reservation;
        let answer = AssignmentAnswer { complaints: Vec::new(), consequence };
        let request = Request::AssignmentAnswered { reservation, answer };
        bench.engine.send(bench.workspace, request).await.unwrap();
        assert_eq!(bench.reservation_of(task).await.status, status);
        let alerts = bench.engine.0.around.store.alerts(AccountSid::from_bits(1), 1).await.unwrap();
        let alert = &alerts[0];
        assert_eq!((alert.code, alert.task, alert.reservation), (code, Some(task), Some(reservation)));
        assert!(alert.worker.is_some());
        let canceled = TaskUpdate { status: Some(TaskStatus::Canceled), ..TaskUpdate::default() };
        bench.routing(Command::UpdateTask(task, canceled)).await;
    }
    bench.assert_agrees().await;
}

#[tokio::test]
async fn without_a_callback_url_nothing_is_open() {
    let bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    let mut assignments = bench.engine.take_assignments().unwrap();
    bench.routing(Command::CreateTask(NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") })).await;
    assert!(assignments.try_recv().is_err());
    assert_eq!(bench.loaded().await.open_callbacks, []);
}
