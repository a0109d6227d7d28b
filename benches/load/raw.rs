//! Floors: what the disk, an HTTP server without our work, and a bare read of the rows cost on this machine.
//!
//! Start with [`disk`] and [`http`].

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use switchhook::clock::Clock;
use switchhook::outbound;
use switchhook::store::{KeySource, Store};

use crate::figures::Durations;

/// Bytes that one task's creation writes, roughly.
const BYTES: usize = 4_096;

/// Time from one sample to the next, as at 100 arrivals a second.
const PACE: Duration = Duration::from_millis(10);

/// Writes and syncs a few kilobytes at the pace of the arrivals.
pub(crate) async fn disk(directory: &Path, rounds: u32) -> Durations {
    let mut file = std::fs::File::create(directory.join("raw")).expect("a file");
    let bytes = vec![7_u8; BYTES];
    let clock = Clock::system();
    let mut samples = Vec::new();
    let mut pace = tokio::time::interval(PACE);
    for _ in 0..rounds {
        pace.tick().await;
        let started = clock.instant();
        file.write_all(&bytes).expect("written");
        file.sync_data().expect("synced");
        samples.push(started.elapsed());
    }
    Durations::of(samples)
}

/// Posts a form to a handler that answers at once with JSON, at the pace of the arrivals.
pub(crate) async fn http(rounds: u32) -> Durations {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let handler = axum::routing::post(async |axum::Form(form): axum::Form<Vec<(String, String)>>| {
        axum::Json(json!({ "fields": form.len() }))
    });
    let router = axum::Router::new().route("/", handler);
    let service = hyper_util::service::TowerToHyperService::new(router);
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let stream = hyper_util::rt::TokioIo::new(stream);
                hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await
            });
        }
    });
    outbound::install_tls();
    let client = outbound::client_builder().build().expect("a client");
    let clock = Clock::system();
    let url = format!("http://{address}/");
    let attributes = crate::floor::live_task(0);
    let mut samples = Vec::new();
    let mut pace = tokio::time::interval(PACE);
    for _ in 0..rounds {
        pace.tick().await;
        let started = clock.instant();
        let answer = client.post(&url).form(&[("Attributes", &attributes)]).send().await.expect("answered");
        let _ = answer.text().await.expect("read");
        samples.push(started.elapsed());
    }
    server.abort();
    Durations::of(samples)
}

/// Reads the waiting tasks from the file and their attributes as JSON, into a map by queue.
pub(crate) async fn load(database: &Path) -> (usize, Duration) {
    let clock = Clock::system();
    let started = clock.instant();
    let store = Store::open_shared(&format!("sqlite:{}", database.display()), KeySource::default())
        .await
        .expect("the database opens");
    let sql = "SELECT sid, task_queue_sid, created_at, attributes FROM tasks WHERE status = 'pending'";
    let rows: Vec<(String, String, i64, String)> =
        sqlx::query_as(sql).fetch_all(store.read_pool()).await.expect("read");
    let mut queues = std::collections::BTreeMap::new();
    for (sid, queue, created_at, attributes) in rows {
        let document: Value = serde_json::from_str(&attributes).expect("JSON");
        queues.insert((queue, created_at, sid), (attributes, document));
    }
    let took = started.elapsed();
    store.close().await;
    (queues.len(), took)
}
