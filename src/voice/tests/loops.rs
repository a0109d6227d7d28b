//! Callers at a phone system that has neither queues nor rooms.

use super::rounds::Standstill;
use super::*;

async fn bench(wait: config::Wait) -> Bench {
    let means = Means { queues: false, rooms: false, leg_secs_max: 14_400 };
    let requested_url = PublicUrl::Fixed(BASE.to_owned());
    Bench::start_by(means, Limits::default(), requested_url, Duration::from_secs(5), wait).await
}

/// Has a call come in; returns its task and its document.
async fn come_in(bench: &Bench, query: &str) -> (String, String) {
    let (_, park) = bench.post(&bench.target(query), &[("CallSid", CALLER), ("From", "+15550001")]).await;
    (task_of(&park), park)
}

/// Identifiers are UUIDs there.
const CALLER: &str = "0a4b2c1d-1111-4222-8333-444455556666";

fn redirect_to(path: &str) -> String {
    format!("<Redirect method=\"POST\">{BASE}{path}</Redirect></Response>")
}

async fn waits(bench: &Bench, task: &str) -> String {
    let live = [("CallSid", CALLER), ("CallStatus", "in-progress")];
    let (_, wait) = bench.post(&format!("/voice/tasks/{task}/wait"), &live).await;
    assert!(["<Enqueue", "<Leave", "<Pause", "loop=\"0\""].iter().all(|word| !wait.contains(word)), "{wait}");
    wait
}

#[tokio::test]
async fn our_own_wait_document_leads_back_and_listens_to_keys_all_the_time() {
    let bench = bench(config::Wait { voicemail_key: Some("2".to_owned()), ..config::Wait::default() }).await;
    let (task, park) = come_in(&bench, "").await;
    assert!(park.ends_with(&format!("<Response>{}", redirect_to(&format!("/voice/tasks/{task}/wait")))), "{park}");
    let wait = waits(&bench, &task).await;
    assert!(wait.ends_with(&redirect_to(&format!("/voice/tasks/{task}/wait"))), "{wait}");
    let choice = format!("action=\"{BASE}/voice/tasks/{task}/choice\"");
    assert_eq!(wait.matches(&choice).count(), 2, "while something is said, and in the silence after it: {wait}");
    assert!(wait.contains("timeout=\"20\""), "{wait}");

    let pressed = [("CallSid", CALLER), ("CallStatus", "in-progress"), ("Digits", "2")];
    let (_, leaves) = bench.post(&format!("/voice/tasks/{task}/choice"), &pressed).await;
    let left = format!("/voice/tasks/{task}/left?QueueResult=leave");
    assert!(leaves.ends_with(&redirect_to(&left)), "{leaves}");
    let (_, message) = bench.post(&left, &[("CallSid", CALLER), ("CallStatus", "in-progress")]).await;
    assert!(message.contains("<Record "), "{message}");
}

#[tokio::test]
async fn an_applications_wait_document_leads_back_to_us() {
    let bench = bench(config::Wait::default()).await;
    for (document, part) in [
        ("<Response><Say>Soon</Say></Response>", "<Response><Say>Soon</Say><Redirect method=\"POST\">"),
        ("<Response><Play>https://x/y.mp3</Play><Leave/></Response>", "left?QueueResult=leave</Redirect></Response>"),
        ("<Response><Say>cut", "Please hold."),
    ] {
        let (url, _) = application(document).await;
        let query = format!("?{}", serde_urlencoded::to_string([("WaitUrl", &url)]).unwrap());
        let (task, _) = come_in(&bench, &query).await;
        let wait = waits(&bench, &task).await;
        assert!(wait.contains(part), "{document}: {wait}");
        let gone = [("CallSid", CALLER), ("CallStatus", "in-progress"), ("QueueResult", "leave")];
        bench.post(&format!("/voice/tasks/{task}/left"), &gone).await;
    }
    let (task, _) = come_in(&bench, "?WaitUrl=").await;
    let silence = waits(&bench, &task).await;
    assert!(silence.contains("<Gather input=\"dtmf\" numDigits=\"1\" timeout=\"60\""), "{silence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_is_to_come_again_is_not_cut_off_by_a_pause() {
    let bench = bench(config::Wait::default()).await;
    let (task, _) = come_in(&bench, "").await;
    let live = [("CallSid", CALLER), ("CallStatus", "in-progress")];
    let (_, park) = bench.post(&format!("/voice/tasks/{task}/join/customer"), &live).await;
    assert!(park.contains(&redirect_to(&format!("/voice/tasks/{task}/wait"))), "nobody is to be dialled: {park}");
    let standstill = Standstill::of(&bench).await;
    let (_, busy) = bench.post(&bench.target(""), &[("CallSid", "other"), ("From", "+15550002")]).await;
    drop(standstill);
    assert!(busy.contains("timeout=\"2\"></Gather><Redirect") && !busy.contains("<Pause"), "{busy}");
}
