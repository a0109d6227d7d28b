//! Changes that touch very many tasks.

use super::*;
use crate::routing::command::WorkflowUpdate;

#[tokio::test]
async fn a_changed_workflow_leads_hundreds_of_waiting_tasks_in_portions_and_leaves_none_out() {
    let bench = Bench::start().await;
    let (workflow, alice) = bench.furnish().await;
    let mut sent = Vec::new();
    for number in 0..601 {
        let attributes = json!({ "number": number }).to_string();
        let new = NewTask { workflow: Some(workflow), ..NewTask::with_attributes(attributes) };
        let Reply::Task(task) = bench.routing(Command::CreateTask(new)).await else { panic!("a task") };
        sent.push(task);
    }
    // One of them is offered to the only agent and keeps the configuration that it entered with.
    let offered = bench.loaded().await.rows.reservations.first().map(|row| (row.task, row.worker)).unwrap();
    assert_eq!(offered, (sent[0], alice));
    let before = bench.loaded().await.rows;
    let row = before.workflows.iter().find(|row| row.sid == workflow).unwrap();
    let configuration = row.configuration.replace("\"task_routing\"", " \"task_routing\"");
    assert_ne!(configuration, row.configuration);
    bench.clock.advance(Duration::from_secs(1));
    let update =
        WorkflowUpdate { configuration: Some(configuration), re_evaluate_tasks: true, ..WorkflowUpdate::default() };
    bench.engine.update_workflow(bench.workspace, workflow, update, None).await.unwrap();

    let after = bench.loaded().await;
    let version = row.version + 1;
    for task in &after.rows.tasks {
        let expected = if task.sid == offered.0 { row.version } else { version };
        assert_eq!(task.workflow_version, expected, "{}", task.sid);
        assert_eq!(task.base_at > before.settings.last_change_at, task.sid != offered.0, "{}", task.sid);
    }
    bench.assert_agrees().await;

    // Again without a change: the clocks begin anew, nobody is led twice.
    bench.clock.advance(Duration::from_secs(1));
    let again = WorkflowUpdate { re_evaluate_tasks: true, ..WorkflowUpdate::default() };
    bench.engine.update_workflow(bench.workspace, workflow, again, None).await.unwrap();
    let last = bench.loaded().await.rows;
    let led = |task: &crate::routing::Task| task.base_at > after.rows.settings.last_change_at;
    assert_eq!(last.tasks.iter().filter(|task| led(task)).count(), 600);
    bench.assert_agrees().await;
}

#[tokio::test]
async fn a_configuration_that_is_refused_moves_nobody() {
    let bench = Bench::start().await;
    let (workflow, _) = bench.furnish().await;
    for _ in 0..300 {
        bench
            .routing(Command::CreateTask(NewTask { workflow: Some(workflow), ..NewTask::with_attributes("{}") }))
            .await;
    }
    let before = bench.loaded().await.rows;
    let update =
        WorkflowUpdate { configuration: Some("{".to_owned()), re_evaluate_tasks: true, ..WorkflowUpdate::default() };
    let refused = bench.engine.update_workflow(bench.workspace, workflow, update, None).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    assert_eq!(bench.loaded().await.rows, before);
}
