//! Traces of the program with the feature `otlp`: a collector gets spans, and other servers learn which trace they are in.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode};
use reqwest::Method;

use crate::programs::{ACCOUNT, Programs, TOKEN, text};

/// What a caller's own trace is called.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Takes what a collector, and a receiver of events, would get: path, headers, body.
#[derive(Default)]
struct Taken(Mutex<Vec<(String, HeaderMap, Bytes)>>);

impl Taken {
    async fn start() -> (String, Arc<Self>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::new(Self::default());
        let router = axum::Router::new().fallback(take).with_state(Arc::clone(&taken));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (base, taken)
    }

    fn holds(&self, bytes: &[u8]) -> bool {
        let taken = self.0.lock().unwrap();
        taken.iter().any(|(_, _, body)| body.windows(bytes.len()).any(|window| window == bytes))
    }
}

async fn take(
    State(taken): State<Arc<Taken>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    taken.0.lock().unwrap().push((uri.to_string(), headers, body));
    StatusCode::OK
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[tokio::test]
async fn a_collector_gets_the_spans_of_a_task_in_the_trace_of_its_caller() {
    let (collector, spans) = Taken::start().await;
    let (receiver, events) = Taken::start().await;
    let mut programs = Programs::start(1.0).await;
    programs.kill_server().await;
    programs.environment = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
        ("SWITCHHOOK_LOG", "warn".to_owned()),
    ];
    programs.start_server().await;
    let form = [("FriendlyName", "Floor"), ("EventCallbackUrl", receiver.as_str()), ("Template", "FIFO")];
    let workspace = text(&programs.post("/Workspaces", &form).await, "sid");

    let url = format!("http://{}/v1/Workspaces/{workspace}/Tasks", programs.server);
    let request = programs.http.request(Method::POST, url).basic_auth(ACCOUNT, Some(TOKEN));
    let request =
        request.form(&[("Attributes", "{}")]).header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    let task: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    let task = text(&task, "sid");

    programs
        .until("spans have come", async |_: &Programs| {
            let names = ["request", "commit", "event_callback", "task.created", "service.name", "switchhook"];
            let has_all = names.iter().all(|name| spans.holds(name.as_bytes()));
            (has_all && spans.holds(task.as_bytes()) && spans.holds(&bytes_of(TRACE))).then_some(())
        })
        .await;
    let (path, headers, _) = spans.0.lock().unwrap()[0].clone();
    assert_eq!((path.as_str(), &headers["content-type"]), ("/v1/traces", &"application/x-protobuf".parse().unwrap()));

    // The receiver of an event is told the trace of the attempt, which the collector knows.
    let given = {
        let events = events.0.lock().unwrap();
        text_of(&events.first().expect("an event has come").1, "traceparent")
    };
    let parts: Vec<&str> = given.split('-').collect();
    assert_eq!((parts.len(), parts[0], parts[1].len(), parts[2].len()), (4, "00", 32, 16), "{given}");
    programs
        .until("the attempt's trace has come", async |_: &Programs| spans.holds(&bytes_of(parts[1])).then_some(()))
        .await;
    assert!(programs.terminate_server().await, "{}", programs.logs());
    assert!(!spans.holds(TOKEN.as_bytes()));
}

fn text_of(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).unwrap_or_else(|| panic!("no {name} in {headers:?}")).to_str().unwrap().to_owned()
}
