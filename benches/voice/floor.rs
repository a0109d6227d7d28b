//! The floor: an axum handler that reads the webhook and answers TwiML, and a loop that writes and syncs.
//!
//! The handler is this program again, as a process of its own, because the server is one too. Start with
//! [`Handler::spawn`] and [`sync_loop`].

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use switchhook::clock::Clock;

use crate::figures::Durations;

/// Argument that makes this program the floor.
pub(crate) const COMMAND: &str = "bare-server";

/// Bytes that one call's commit writes, roughly.
const BYTES: usize = 4_096;

const TWIML: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?><Response><Enqueue waitUrl="http://localhost/wait" "#,
    r#"action="http://localhost/left">WT0123456789abcdef0123456789abcdef</Enqueue></Response>"#
);

/// The handler's process; killed when dropped.
pub(crate) struct Handler {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Handler {
    pub(crate) async fn spawn() -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program).arg(COMMAND).stdout(Stdio::piped()).spawn().expect("it starts again");
        let output = child.stdout.take().expect("piped");
        let line = tokio::task::spawn_blocking(move || std::io::BufReader::new(output).lines().next());
        let line = line.await.expect("read").expect("a line").expect("text");
        Self { child, address: line.parse().expect("an address") }
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until it is killed; its address is the first line that it prints.
pub(crate) async fn serve() {
    let answer = async |axum::Form(form): axum::Form<Vec<(String, String)>>| {
        assert!(!form.is_empty(), "a webhook has parameters");
        ([(CONTENT_TYPE, "text/xml")], TWIML).into_response()
    };
    let router = axum::Router::new().route("/", axum::routing::post(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("an address"));
    axum::serve(listener, router).await.expect("served");
}

/// Writes and syncs a few kilobytes at this pace.
pub(crate) async fn sync_loop(file: PathBuf, rounds: u32, pace: Duration) -> Durations {
    let samples = tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::create(file).expect("a file");
        let bytes = vec![7_u8; BYTES];
        let clock = Clock::system();
        let began = clock.instant();
        let mut samples = Vec::new();
        for round in 0..rounds {
            std::thread::sleep((began + pace * round).saturating_duration_since(clock.instant()));
            let started: Instant = clock.instant();
            file.write_all(&bytes).expect("written");
            file.sync_data().expect("synced");
            samples.push(started.elapsed());
        }
        samples
    });
    Durations::of(samples.await.expect("written"))
}
