//! Callers who come while the workspace does not answer.

use std::sync::mpsc;

use super::*;

/// Keeps the workspace from doing anything until it is dropped.
pub(super) struct Standstill(#[expect(dead_code, reason = "its end is what counts")] mpsc::Sender<()>);

impl Standstill {
    pub(super) async fn of(bench: &Bench) -> Self {
        let (end, ended) = mpsc::channel::<()>();
        let (told, stands) = tokio::sync::oneshot::channel();
        let (engine, workspace) = (bench.engine.clone(), bench.workspace);
        let stand = move |_: &_, _| {
            told.send(()).unwrap();
            let _ = ended.recv();
        };
        tokio::spawn(async move { engine.look(workspace, stand).await });
        stands.await.unwrap();
        Self(end)
    }
}

/// The URL, path and query, that a caller who goes round comes back to.
fn again(document: &str) -> String {
    let (_, rest) = document.split_once("<Pause length=\"2\"/><Redirect method=\"POST\">").expect(document);
    let url = rest.split_once("</Redirect>").unwrap().0.replace("&amp;", "&");
    url.strip_prefix(BASE).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_round_loses_nothing_of_the_document() {
    let bench = Bench::start().await;
    let document = format!(
        "<Response><Say>Welcome</Say><Enqueue workflowSid=\"{}\"><Task priority=\"7\">{{\"a\":1}}</Task></Enqueue>\
         <Say>What now?</Say></Response>",
        bench.workflow
    );
    let standstill = Standstill::of(&bench).await;
    let first = bench.enqueue("/voice/enqueue", &[("Twiml", &document)]).await;
    assert!(first.contains("<Response><Say>Welcome</Say><Pause"), "{first}");
    let second = bench.enqueue(&again(&first), &[]).await;
    assert!(second.contains("<Response><Pause"), "what was said is not said again: {second}");
    drop(standstill);
    let parked = bench.enqueue(&again(&second), &[]).await;
    assert!(parked.contains("<Response><Enqueue "), "{parked}");
    let rows = bench.rows().await;
    let [task] = rows.tasks.as_slice() else { panic!("{:?}", rows.tasks) };
    assert_eq!(task.priority, 7);
    let left = [("CallSid", "CAcaller"), ("CallStatus", "in-progress"), ("QueueResult", "leave")];
    let (_, after) = bench.post(&format!("/voice/tasks/{}/left", task.sid), &left).await;
    assert!(after.ends_with("<Response><Say>What now?</Say></Response>"), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_round_keeps_the_key_and_what_became_of_the_queue() {
    let wait = config::Wait { voicemail_key: Some("2".to_owned()), ..config::Wait::default() };
    let fixed = PublicUrl::Fixed(BASE.to_owned());
    let bench = Bench::start_waiting(Limits::default(), fixed, Duration::from_secs(5), wait).await;
    let task = task_of(&bench.enqueue(&bench.target(""), &[]).await);
    let caller = [("CallSid", "CAcaller"), ("CallStatus", "in-progress")];
    bench.post(&format!("/voice/tasks/{task}/wait"), &caller).await;
    let standstill = Standstill::of(&bench).await;
    let pressed = [&caller[..], &[("Digits", "2")]].concat();
    let (_, round) = bench.post(&format!("/voice/tasks/{task}/choice"), &pressed).await;
    let key = again(&round);
    let left = [&caller[..], &[("QueueResult", "leave"), ("QueueTime", "9")]].concat();
    let (_, round) = bench.post(&format!("/voice/tasks/{task}/left"), &left).await;
    let left = again(&round);
    let over = [("CallSid", "CAcaller"), ("CallStatus", "completed"), ("QueueResult", "hangup")];
    let (status, _) = bench.post(&format!("/voice/tasks/{task}/left"), &over).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "the phone system may tell again");
    assert_eq!(key, format!("/voice/tasks/{task}/choice?Digits=2"));
    assert_eq!(left, format!("/voice/tasks/{task}/left?QueueResult=leave&QueueTime=9"));
    drop(standstill);
    // The workspace has been told meanwhile, and hears the same once more.
    let (_, after) = bench.post(&left, &caller).await;
    assert!(after.contains("<Record "), "{after}");
    assert_eq!(bench.rows().await.tasks[0].reason.as_deref(), Some("voicemail"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_has_gone_round_long_enough_goes_on_without_a_task() {
    let bench = Bench::start().await;
    let (url, forms) = application("<Response><Say>from the application</Say></Response>").await;
    let query = serde_urlencoded::to_string([("Action", url.as_str())]).unwrap();
    let standstill = Standstill::of(&bench).await;
    let (_, round) = bench.post(&bench.target(&format!("?{query}&Attempt=11")), &CALL).await;
    let last = again(&round);
    assert!(last.ends_with("&Attempt=12"), "{last}");
    let heard = bench.enqueue(&last, &[]).await;
    assert_eq!(heard, "<Response><Say>from the application</Say></Response>");
    drop(standstill);
    let form = forms.lock().unwrap()[0].clone();
    assert!(form.contains("QueueResult=error") && !form.contains("Attempt"), "{form}");
    // Another call sees to it that all before it is done.
    bench.post(&bench.target(""), &[("CallSid", "CAother")]).await;
    let rows = bench.rows().await;
    let open = rows.tasks.iter().filter(|row| !row.status.is_final());
    let calls: Vec<bool> = open.map(|row| row.attributes.contains("CAother")).collect();
    assert_eq!(calls, [true], "the caller who was turned away waits for nobody");
    assert!(bench.alert_codes().await.contains(&14_222));
}

#[tokio::test]
async fn of_a_call_that_has_ended_before_its_webhook_came_there_is_no_task() {
    let bench = Bench::start().await;
    let document = format!("<Response><Enqueue workflowSid=\"{}\"/></Response>", bench.workflow);
    let tell = async |call: &str, status: &str| {
        let pairs = [("CallSid", call), ("CallStatus", status)];
        assert_eq!(bench.post("/voice/cb/call/inbound", &pairs).await.0, StatusCode::NO_CONTENT);
    };
    tell("CAlives", "in-progress").await;
    tell("CAover", "completed").await;
    // An account cannot end the calls of another.
    let pairs = [("CallSid", "CAlives"), ("CallStatus", "completed")];
    let signature = signature::sign_form("foreign token", &format!("{BASE}/voice/cb/call/inbound"), &pairs);
    bench.send(form("/voice/cb/call/inbound", &pairs, Some((signature::HEADER, &signature)))).await;
    // On its way the webhook says that the call rings.
    let parts = |call: &'static str| [("CallSid", call), ("From", "+15550001"), ("CallStatus", "ringing")];
    for (target, more) in [(bench.target(""), ("x", "y")), ("/voice/enqueue".to_owned(), ("Twiml", document.as_str()))]
    {
        let (_, over) = bench.post(&target, &[&parts("CAover")[..], &[more]].concat()).await;
        assert!(over.ends_with("<Response/>"), "{target}: {over}");
        assert_eq!(bench.task_count().await, 0, "a worker would be called for nobody");
    }
    let (_, lives) = bench.post(&bench.target(""), &parts("CAlives")).await;
    assert!(lives.contains("<Enqueue "), "{lives}");
    assert!(bench.alert_codes().await.is_empty());
    // A webhook that is repeated after the call has made no second task.
    tell("CAlives", "completed").await;
    bench.post(&bench.target(""), &parts("CAlives")).await;
    let rows = bench.rows().await;
    assert_eq!(rows.tasks.iter().map(|row| row.status).collect::<Vec<_>>(), [TaskStatus::Canceled]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_of_another_accounts_application_goes_round_for_that_account_alone() {
    let mut bench = Bench::start().await;
    let of_the_first = std::mem::take(&mut bench.workflow);
    let new = NewWorkspace { template: Template::Fifo, ..NewWorkspace::named("Second floor") };
    bench.workspace = bench.engine.create_workspace(AccountSid::from_bits(2), new).await.unwrap();
    bench.workflow = bench.rows().await.workflows[0].sid.to_string();
    let document = format!("<Response><Enqueue workflowSid=\"{}\"/></Response>", bench.workflow);
    let (url, _) = application(document.leak()).await;
    let account = AccountSid::from_bits(2).to_string();
    let target =
        format!("/voice/proxy?{}", serde_urlencoded::to_string([("target", &url), ("account", &account)]).unwrap());
    let standstill = Standstill::of(&bench).await;
    let first = again(&bench.enqueue(&target, &[]).await);
    let second = again(&bench.enqueue(&first, &[]).await);
    assert_eq!(second, first.replace("Attempt=1", "Attempt=2"));
    drop(standstill);
    let forged = second.replace(&bench.workflow, &of_the_first);
    assert_eq!(bench.post(&forged, &CALL).await.0, StatusCode::FORBIDDEN, "{forged}");
    let parked = bench.enqueue(&second, &[]).await;
    assert!(parked.contains("<Response><Enqueue "), "{parked}");
    assert_eq!(bench.task_count().await, 1);
}
