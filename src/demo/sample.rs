//! The sample workspace: two queues, a skills workflow, six workers, two numbers.

use reqwest::Method;
use serde_json::json;

use super::Error;
use super::api::{Client, items, text};

/// What was made.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) workspace: String,
    pub(super) workers: Vec<SampleWorker>,
}

/// One of the six.
#[derive(Debug, Clone)]
pub(super) struct SampleWorker {
    pub(super) sid: String,
    pub(super) name: &'static str,
}

/// Whom callers want, and the number they dial for it.
pub(super) const LINES: [(&str, &str); 2] = [("sales", "+15550100"), ("support", "+15550200")];

/// Names and skills.
const WORKERS: [(&str, &[&str]); 6] = [
    ("Alice", &["sales"]),
    ("Bob", &["sales"]),
    ("Carol", &["sales", "support"]),
    ("Dave", &["support"]),
    ("Erin", &["support"]),
    ("Frank", &["support"]),
];

/// Makes everything through the REST API and the phone system's control API.
pub(super) async fn create(client: &Client) -> Result<Sample, Error> {
    let workspace = text(&client.post("/v1/Workspaces", &[("FriendlyName", "Switchhook demo")]).await?, "sid");
    let base = format!("/v1/Workspaces/{workspace}");
    let activities = client.get(&format!("{base}/Activities?FriendlyName=Available")).await?;
    let available = items(&activities, "activities").first().map(|activity| text(activity, "sid")).unwrap_or_default();
    let mut queues = Vec::new();
    for (line, _) in LINES {
        let expression = format!("skills HAS \"{line}\"");
        let form = [("FriendlyName", line), ("TargetWorkers", expression.as_str())];
        queues.push(text(&client.post(&format!("{base}/TaskQueues"), &form).await?, "sid"));
    }
    let filters: Vec<_> = LINES
        .iter()
        .zip(&queues)
        .map(|((line, _), queue)| {
            json!({ "filter_friendly_name": format!("{line} callers"), "expression": format!("type == '{line}'"),
                    "targets": [{ "queue": queue }] })
        })
        .collect();
    let configuration = json!({ "task_routing": { "filters": filters, "default_filter": { "queue": queues.last() } } });
    let form =
        [("FriendlyName", "Skills"), ("Configuration", &configuration.to_string()), ("TaskReservationTimeout", "20")];
    let workflow = text(&client.post(&format!("{base}/Workflows"), &form).await?, "sid");
    let mut workers = Vec::new();
    for (name, skills) in WORKERS {
        let attributes = json!({ "skills": skills, "contact_uri": format!("client:{}", name.to_lowercase()) });
        let attributes = attributes.to_string();
        let form = [("FriendlyName", name), ("Attributes", attributes.as_str()), ("ActivitySid", available.as_str())];
        let worker = client.post(&format!("{base}/Workers"), &form).await?;
        workers.push(SampleWorker { sid: text(&worker, "sid"), name });
    }
    for (line, number) in LINES {
        let attributes = json!({ "type": line }).to_string();
        let query = serde_urlencoded::to_string([("Task", attributes)]).unwrap_or_default();
        let voice_url = format!("{}/voice/enqueue/{workflow}?{query}", client.server_url());
        let path = format!("/control/numbers/{number}");
        client.control(Method::PUT, &path, &json!({ "voice_url": voice_url })).await?;
    }
    Ok(Sample { workspace, workers })
}
