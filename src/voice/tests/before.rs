//! Verbs before `<Enqueue>`: the call runs them first, and is a task when it comes back.

use super::*;
use crate::calls::VoiceTask;
use crate::routing::TaskSid;

async fn record(bench: &Bench, task: TaskSid) -> VoiceTask {
    let row = bench.store.voice_task(task).await.unwrap().unwrap();
    serde_json::from_str(&row.state.json()).unwrap()
}

#[tokio::test]
async fn verbs_that_may_lead_elsewhere_come_before_the_task() {
    let bench = Bench::start().await;
    let document = |before: &str, after: &str| {
        format!(
            "<Response>{before}<Enqueue workflowSid=\"{}\" action=\"https://app/left?a=1&amp;b=2\">\
             <Task priority=\"7\">{{\"a\":1}}</Task></Enqueue>{after}</Response>",
            bench.workflow
        )
    };
    let gather = "<Gather numDigits=\"1\"><Say>1 &amp; 2</Say></Gather>";
    let answer = bench.enqueue("/voice/enqueue", &[("Twiml", &document(gather, "<Say>Later</Say>"))]).await;
    let (_, url) = answer.split_once(&format!("<Response>{gather}<Redirect method=\"POST\">{BASE}")).expect(&answer);
    let url = url.strip_suffix("</Redirect></Response>").expect(&answer).replace("&amp;", "&");
    assert!(bench.rows().await.tasks.is_empty(), "a key may lead the caller elsewhere");

    let park = bench.enqueue(&url, &[]).await;
    let rows = bench.rows().await;
    let [task] = rows.tasks.as_slice() else { panic!("{:?}", rows.tasks) };
    assert_eq!(task_of(&park), task.sid.to_string());
    assert_eq!(task.priority, 7);
    let attributes: serde_json::Value = serde_json::from_str(&task.attributes).unwrap();
    assert_eq!(attributes["a"], 1);
    let kept = record(&bench, task.sid).await.park;
    assert_eq!(kept.action.as_deref(), Some("https://app/left?a=1&b=2"));
    assert_eq!(kept.after_enqueue.as_deref(), Some("<Say>Later</Say>"));
}

#[tokio::test]
async fn what_no_url_holds_is_taken_in_at_once_and_none_of_it_is_lost() {
    let bench = Bench::start().await;
    let (before, after) = ("<Gather numDigits=\"1\"/>", format!("<Say>{}</Say>", "x".repeat(5_000)));
    let workflow = &bench.workflow;
    let document = format!("<Response>{before}<Enqueue workflowSid=\"{workflow}\"/>{after}</Response>");
    let park = bench.enqueue("/voice/enqueue", &[("Twiml", &document)]).await;
    assert!(park.contains(&format!("<Response>{before}<Enqueue action=")), "{park}");
    let kept = record(&bench, task_of(&park).parse().unwrap()).await.park;
    assert!(kept.after_enqueue == Some(after), "{kept:?}");
}
