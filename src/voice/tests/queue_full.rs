//! A caller for whom the workflow's voice queue has no room, or whose workflow is gone.

use super::*;

const SECOND: [(&str, &str); 4] =
    [("CallSid", "CAsecond"), ("From", "+15550003"), ("To", "+15550002"), ("CallStatus", "ringing")];

/// One call waits, and no second one may.
async fn full() -> Bench {
    let limits = Limits { waiting_calls: 1, ..Limits::default() };
    let bench = Bench::start_within(limits, PublicUrl::Fixed(BASE.to_owned()), Duration::from_secs(5)).await;
    let park = bench.enqueue(&bench.target(""), &[]).await;
    assert!(park.contains("<Enqueue "), "{park}");
    bench
}

#[tokio::test]
async fn the_application_hears_that_the_queue_is_full() {
    let bench = full().await;
    let (url, forms) = application("<Response><Say>try later</Say></Response>").await;
    let query = serde_urlencoded::to_string([("Action", url.as_str())]).unwrap();
    let (status, body) = bench.post(&bench.target(&format!("?{query}")), &SECOND).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "<Response><Say>try later</Say></Response>"));
    let form = forms.lock().unwrap()[0].clone();
    assert!(form.contains("QueueResult=queue-full") && form.contains("CallSid=CAsecond"), "{form}");
    assert_eq!(bench.alert_codes().await, [14_207]);
    assert_eq!(bench.task_count().await, 1);
    // The call that waits is not turned away by its own webhook.
    assert!(bench.enqueue(&bench.target(""), &[]).await.contains("<Enqueue "));
}

#[tokio::test]
async fn without_an_action_the_verbs_after_enqueue_follow() {
    let bench = full().await;
    let document = format!(
        "<Response><Enqueue workflowSid=\"{}\"></Enqueue><Say>all lines are busy</Say></Response>",
        bench.workflow
    );
    let (_, body) = bench.post("/voice/enqueue", &[&SECOND[..], &[("Twiml", &document)]].concat()).await;
    assert!(body.contains("<Say>all lines are busy</Say>") && !body.contains("<Enqueue"), "{body}");
    let (_, body) = bench.post(&bench.target(""), &SECOND).await;
    assert!(!body.contains("<Enqueue") && body.contains("Nobody can take your call"), "{body}");
    assert_eq!(bench.task_count().await, 1);
}

#[tokio::test]
async fn a_workflow_that_was_deleted_after_its_first_call_takes_no_more() {
    let bench = Bench::start().await;
    let park = bench.enqueue(&bench.target(""), &[]).await;
    let task: TaskSid = task_of(&park).parse().unwrap();
    let canceled = TaskUpdate { status: Some(TaskStatus::Canceled), ..TaskUpdate::default() };
    let send = async |command| bench.engine.send(bench.workspace, EngineRequest::Routing(command)).await.unwrap();
    send(Command::UpdateTask(task, canceled)).await;
    send(Command::DeleteWorkflow(bench.workflow.parse().unwrap())).await;
    let (_, body) = bench.post(&bench.target(""), &SECOND).await;
    assert!(!body.contains("<Enqueue") && body.contains("Nobody can take your call"), "{body}");
    assert_eq!(bench.alert_codes().await, [14_220]);
}
