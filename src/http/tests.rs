//! The listener, met over real sockets. Waiting is always for an answer or for the end of a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

fn small() -> Limits {
    let short = Duration::from_millis(150);
    Limits { head_time: short, body_time: short, idle_time: short, drain_time: short, ..Limits::default() }
}

fn start(router: Router, limits: Limits) -> Running {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
    Running { address, shutdown, task }
}

fn echo() -> Router {
    Router::new()
        .route("/peer", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }))
        .route("/echo", post(|body: String| async move { body }))
}

/// Sends `bytes` and returns all that comes back until the server closes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    until_closed(&mut stream).await
}

async fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end too: the server may close while unread bytes are left.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_request_is_answered_with_its_identifier_and_knows_its_peer() {
    let server = start(echo(), Limits::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let peer = stream.local_addr().unwrap();
    stream.write_all(b"GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("twilio-request-id: RQ"), "{answer}");
    assert!(answer.ends_with(&peer.to_string()), "{answer}");
}

#[tokio::test]
async fn a_head_that_does_not_end_ends_the_connection() {
    let server = start(echo(), small());
    assert_eq!(exchange(server.address, b"GET /peer HTTP/1.1\r\nHost:").await, "");
}

#[tokio::test]
async fn a_client_that_says_nothing_or_pauses_too_long_is_dropped() {
    let server = start(echo(), small());
    assert_eq!(exchange(server.address, b"").await, "");
    let answer = exchange(server.address, b"GET /peer HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_answered_408() {
    let server = start(echo(), small());
    let request = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf";
    let answer = exchange(server.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn heads_beyond_the_limits_are_refused() {
    let server = start(echo(), small());
    let mut many = String::from("GET /peer HTTP/1.1\r\nHost: x\r\n");
    for number in 0..70 {
        many.push_str(&format!("X-{number}: 1\r\n"));
    }
    many.push_str("\r\n");
    let answer = exchange(server.address, many.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = format!("GET /peer HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(40_000));
    let answer = exchange(server.address, long.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let target = format!("GET /peer?{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "a".repeat(17_000));
    let answer = exchange(server.address, target.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 414"), "{answer}");
}

#[tokio::test]
async fn a_request_in_flight_is_answered_after_the_shutdown_signal() {
    let entered = Arc::new(Notify::new());
    let release = Arc::new(Notify::new());
    let (handler_entered, handler_release) = (Arc::clone(&entered), Arc::clone(&release));
    let router = Router::new().route(
        "/slow",
        get(move || async move {
            handler_entered.notify_one();
            handler_release.notified().await;
            "done"
        }),
    );
    let server = start(router, Limits::default());
    let idle = TcpStream::connect(server.address).await.unwrap();
    let address = server.address;
    let client = tokio::spawn(async move { exchange(address, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await });
    entered.notified().await;
    server.shutdown.cancel();
    release.notify_one();
    let answer = client.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    drop(idle);
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_after_the_drain_time() {
    let router = Router::new().route("/stuck", get(std::future::pending::<String>));
    let server = start(router, small());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    server.shutdown.cancel();
    server.task.await.unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let server = start(echo(), Limits { connections: 1, ..Limits::default() });
    let first = TcpStream::connect(server.address).await.unwrap();
    let address = server.address;
    let request = b"GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let second = tokio::spawn(async move { exchange(address, request).await });
    drop(first);
    assert!(second.await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_asks_and_does_not_read_is_given_up_and_few_answers_are_made_for_it() {
    const ANSWER: usize = 8 * 1024 * 1024;
    const ASKED: usize = 200;
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let router = echo().route(
        "/large",
        get(async move || {
            counted.fetch_add(1, Ordering::SeqCst);
            vec![b'x'; ANSWER]
        }),
    );
    let limits = Limits { connections: 1, write_time: Duration::from_millis(150), ..Limits::default() };
    let server = start(router, limits);
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    silent.write_all("GET /large HTTP/1.1\r\nHost: x\r\n\r\n".repeat(ASKED).as_bytes()).await.unwrap();
    // There is one place, which is free once the first connection has ended.
    let answer = exchange(server.address, b"GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let made = made.load(Ordering::SeqCst);
    assert!((1..=4).contains(&made), "{made} answers of {ANSWER} bytes for a client that reads none");
    drop(silent);
}

#[tokio::test]
async fn clients_that_dribble_do_not_keep_others_out() {
    let server = start(echo(), Limits { half_open: 2, ..Limits::default() });
    let mut dribbling = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /peer HTT").await.unwrap();
        dribbling.push(stream);
    }
    let answer = exchange(server.address, b"GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // The oldest made room, the other one may go on.
    assert_eq!(until_closed(&mut dribbling[0]).await, "");
    dribbling[1].write_all(b"P/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(until_closed(&mut dribbling[1]).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_handler_that_fails_is_answered_500_and_the_server_goes_on() {
    let router = echo().route("/fail", get(async || -> String { panic!("a test asked for it") }));
    let server = start(router, Limits::default());
    let answer = exchange(server.address, b"GET /fail HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("\"code\":20500"), "{answer}");
    let answer = exchange(server.address, b"GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_leave_its_request_half_done() {
    let (began, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (go_on, route_began, route_done) = (Arc::new(Notify::new()), Arc::clone(&began), Arc::clone(&done));
    let waits = Arc::clone(&go_on);
    let router = Router::new().route(
        "/slow",
        get(async move || {
            route_began.notify_one();
            waits.notified().await;
            route_done.notify_one();
        }),
    );
    let server = start(router, Limits::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    began.notified().await;
    drop(stream);
    go_on.notify_one();
    tokio::time::timeout(Duration::from_secs(5), done.notified()).await.expect("the handler runs to its end");
}
