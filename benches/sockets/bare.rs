//! The floor: an axum server with nothing but sockets, which pushes a frame as large as ours with the same delay.
//!
//! It is this program again, as a process of its own. Start with [`Floor::spawn`] and [`serve`].

use std::collections::HashMap;
use std::io::BufRead as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use switchhook::clock::Clock;
use switchhook::outbound;
use tokio::sync::mpsc;

use crate::PUSH_DELAY;
use crate::office::resident;

/// Argument that makes this program the floor.
pub(crate) const COMMAND: &str = "bare-server";

/// As long as the worker of an event.
const PAYLOAD: &str = r#"{"event_type":"worker.attributes.update","payload":{"account_sid":"AC0123456789abcdef0123456789abcdef","activity_name":"Available","activity_sid":"WA0123456789abcdef0123456789abcdef","attributes":"{\"n\":NUMBER}","available":true,"date_created":1790000000,"date_status_changed":1790000000,"date_updated":1790000000,"friendly_name":"worker 1234","sid":"WK0123456789abcdef0123456789abcdef","version":1,"workspace_sid":"WS0123456789abcdef0123456789abcdef"}}"#;

type Queues = Arc<RwLock<HashMap<usize, mpsc::UnboundedSender<(Instant, String)>>>>;

/// The floor's process; killed when dropped.
pub(crate) struct Floor {
    child: Child,
    pub(crate) address: SocketAddr,
    client: reqwest::Client,
}

impl Floor {
    pub(crate) async fn spawn() -> Self {
        outbound::install_tls();
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program).arg(COMMAND).stdout(Stdio::piped()).spawn().expect("it starts again");
        let output = child.stdout.take().expect("piped");
        let line = tokio::task::spawn_blocking(move || std::io::BufReader::new(output).lines().next());
        let line = line.await.expect("read").expect("a line").expect("text");
        let client = outbound::client_builder().timeout(Duration::from_mins(1)).build().expect("a client");
        Self { child, address: line.parse().expect("an address"), client }
    }

    pub(crate) fn resident(&self) -> u64 {
        resident(&self.child)
    }

    pub(crate) fn tell(&self, number: usize, worker: usize) -> impl Future<Output = ()> + Send + 'static {
        let request = self.client.post(format!("http://{}/tell/{worker}/{number}", self.address));
        async move {
            let answer = request.send().await.expect("answered");
            assert!(answer.status().is_success());
            answer.bytes().await.expect("read");
        }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until it is killed; its address is the first line that it prints.
pub(crate) async fn serve() {
    let router = axum::Router::new()
        .route("/open/{worker}", get(open))
        .route("/tell/{worker}/{number}", post(tell))
        .with_state(Queues::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("an address"));
    axum::serve(listener, router).await.expect("served");
}

async fn tell(State(queues): State<Queues>, Path((worker, number)): Path<(usize, usize)>) -> &'static str {
    let text = PAYLOAD.replace("NUMBER", &number.to_string());
    let queues = queues.read().unwrap_or_else(PoisonError::into_inner);
    let at = Clock::system().instant() + PUSH_DELAY;
    queues[&worker].send((at, text)).expect("the socket is open");
    "told"
}

async fn open(State(queues): State<Queues>, Path(worker): Path<usize>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.read_buffer_size(1_024).write_buffer_size(0).on_upgrade(move |socket| push(socket, worker, queues))
}

async fn push(mut socket: WebSocket, worker: usize, queues: Queues) {
    let (sender, mut queue) = mpsc::unbounded_channel();
    queues.write().unwrap_or_else(PoisonError::into_inner).insert(worker, sender);
    let mut next = Message::Text("open".into());
    while socket.send(next).await.is_ok() {
        let Some((at, text)) = queue.recv().await else { return };
        tokio::time::sleep_until(at.into()).await;
        next = Message::Text(text.into());
    }
}
