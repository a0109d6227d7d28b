//! What waiting callers hear, and what their applications are told meanwhile.

use super::*;

/// Has a call come in and wait; returns its task.
async fn park(bench: &Bench, call: &str, query: &str) -> String {
    let (_, park) = bench.post(&bench.target(query), &[("CallSid", call), ("From", "+15550001")]).await;
    task_of(&park)
}

#[tokio::test]
async fn the_application_is_told_where_its_caller_stands_in_the_task_queue() {
    let bench = Bench::start().await;
    let (url, forms) = application("<Response><Pause/></Response>").await;
    let query = format!("?{}", serde_urlencoded::to_string([("WaitUrl", &url)]).unwrap());
    let first = park(&bench, "CA1", &query).await;
    // Came later and goes first.
    park(&bench, "CA2", "?Priority=9").await;
    let asked = [
        ("CallSid", "CA1"),
        ("QueuePosition", "1"),
        ("CurrentQueueSize", "17"),
        ("AvgQueueTime", "17"),
        ("QueueTime", "3"),
    ];
    bench.post(&format!("/voice/tasks/{first}/wait"), &asked).await;
    let form = forms.lock().unwrap()[0].clone();
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(&form).unwrap();
    let values = |name: &str| -> Vec<&str> {
        pairs.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str()).collect()
    };
    let queue = bench.rows().await.task_queues[0].sid.to_string();
    let queue_sid = format!("QU{}", &bench.workflow[2..]);
    for (name, expected) in [
        ("TaskSid", first.as_str()),
        ("WorkflowSid", &bench.workflow),
        ("QueueSid", &queue_sid),
        ("QueuePosition", "2"),
        ("TaskQueuePosition", "2"),
        ("TasksAhead", "1"),
        ("CurrentQueueSize", "2"),
        ("AvgQueueTime", "0"),
        ("QueueTime", "3"),
        ("TaskQueueSid", &queue),
        ("TaskPriority", "0"),
        ("TaskAge", "0"),
        ("WorkersAvailable", "0"),
    ] {
        assert_eq!(values(name), [expected], "{name} in {form}");
    }
    assert_eq!(values("EstimatedWaitTime"), [""; 0], "nothing is known yet");
}

#[tokio::test]
async fn a_caller_hears_how_many_are_ahead_in_the_language_of_the_task() {
    let bench = Bench::start().await;
    let mut tasks = Vec::new();
    for (call, query) in [("CA1", ""), ("CA2", "?Task=%7B%22language%22%3A%22en-GB%22%7D"), ("CA3", "")] {
        tasks.push(park(&bench, call, query).await);
    }
    for (task, heard) in [
        (0, "<Say>Please hold. The next available agent will take your call. You are the next in line.</Say>"),
        (1, "<Say language=\"en-GB\">Please hold. The next available agent will take your call. There is one caller"),
        (2, " There are 2 callers ahead of you.</Say><Pause length=\"20\"/></Response>"),
    ] {
        let (_, wait) = bench.post(&format!("/voice/tasks/{}/wait", tasks[task]), &[("CallSid", "CA")]).await;
        assert!(wait.contains(heard), "{wait}");
    }
}
