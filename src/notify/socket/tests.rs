//! Sockets over pipes in memory, with timers that run when everybody waits: what a browser sees, and what is left.

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::Notify;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, protocol::CloseFrame as Farewell};

use super::*;
use crate::notify::Hub;
use crate::notify::channel::{Channel, Dialect};
use crate::notify::hub::{Arrival, Limits};
use crate::notify::token::{Authority, Role};
use crate::routing::command::Connection;
use crate::routing::{AccountSid, ApiKeySid, WorkspaceSid};

const NOW: Timestamp = Timestamp(1_770_091_506_000);
const SECOND: Duration = Duration::from_secs(1);
/// Bytes between the two ends: so little that a browser which does not read is noticed at once.
const PIPE: usize = 256;

/// Signs the tokens.
const KEY: ApiKeySid = ApiKeySid::from_bits(9);

type Browser = WebSocketStream<DuplexStream>;

/// A server with one kind of socket.
struct Office {
    hub: Hub,
    clock: Clock,
    worker: WorkerSid,
    /// The socket's task has ended.
    ended: Arc<Notify>,
}

impl Office {
    fn open(limits: Limits) -> Self {
        let clock = Clock::fixed(NOW);
        let hub = Hub::within(limits, clock.clone(), Duration::ZERO);
        Self { hub, clock, worker: WorkerSid::from_bits(2), ended: Arc::default() }
    }

    /// Connects with a token that lives for so long.
    async fn connect(&self, lifetime_secs: u32) -> Browser {
        let mut browser = self.connect_with(Dialect::Present, lifetime_secs).await;
        let init = text(&mut browser).await;
        assert!(init.contains(r#""event_type":"init""#), "{init}");
        self.hub.reservations_were_read(self.worker, Dialect::Present, &[]);
        browser
    }

    async fn connect_with(&self, dialect: Dialect, lifetime_secs: u32) -> Browser {
        let (client, server) = duplex(PIPE);
        let workspace = WorkspaceSid::from_bits(1);
        let grant = Grant {
            account: AccountSid::from_bits(1),
            workspace,
            worker: Some(self.worker),
            channel: None,
            authority: Authority::Role(Role::Worker),
            key: None,
            expires_at: NOW.plus_secs(lifetime_secs),
        };
        let arrival = Arrival {
            workspace,
            channel: Channel::Worker(self.worker),
            dialect,
            token: 3,
            key: Some(KEY),
            close_existing: false,
            connection: Connection::default(),
        };
        let (hub, clock, worker, ended) = (self.hub.clone(), self.clock.clone(), self.worker, Arc::clone(&self.ended));
        let handler = move |upgrade: WebSocketUpgrade| async move {
            upgrade.write_buffer_size(0).on_upgrade(move |socket| async move {
                let seat = hub.enter(arrival).unwrap();
                run(socket, seat, &grant, (dialect == Dialect::Present).then_some(worker), &clock).await;
                ended.notify_one();
            })
        };
        let service = TowerToHyperService::new(axum::Router::new().route("/", axum::routing::get(handler)));
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
        tokio::spawn(connection.with_upgrades());
        tokio_tungstenite::client_async("ws://office/", client).await.unwrap().0
    }

    fn tell(&self, text: &str) {
        self.hub.tell(self.worker, text);
    }
}

async fn text(browser: &mut Browser) -> String {
    loop {
        match browser.next().await.unwrap().unwrap() {
            tungstenite::Message::Text(text) => return text.to_string(),
            tungstenite::Message::Ping(_) => {}
            other => panic!("expected a text, found {other:?}"),
        }
    }
}

/// What the browser is told at the end, after any number of heartbeats.
async fn farewell(browser: &mut Browser) -> Option<Farewell> {
    while let Some(Ok(message)) = browser.next().await {
        if let tungstenite::Message::Close(farewell) = message {
            return farewell;
        }
    }
    None
}

/// The moment by the paused clock of the runtime.
#[expect(clippy::disallowed_methods, reason = "the runtime's own clock is the one that these tests look at")]
fn present() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

#[tokio::test(start_paused = true)]
async fn a_blank_frame_comes_every_fifteen_seconds() {
    let office = Office::open(Limits::default());
    let mut browser = office.connect(3_600).await;
    let began = present();
    for beat in 1..=4 {
        assert_eq!(text(&mut browser).await, " ");
        let passed = began.elapsed();
        assert!(passed >= beat * HEARTBEAT && passed < beat * HEARTBEAT + SECOND, "beat {beat} came after {passed:?}");
    }
}

/// It would take a first frame of its own for an event.
#[tokio::test(start_paused = true)]
async fn the_first_sdk_is_greeted_by_nothing_but_the_beat() {
    let office = Office::open(Limits::default());
    let mut browser = office.connect_with(Dialect::First, 3_600).await;
    for _ in 0..3 {
        assert_eq!(text(&mut browser).await, " ");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_told_arrives_in_its_order() {
    let office = Office::open(Limits::default());
    let mut browser = office.connect(3_600).await;
    for number in 0..100 {
        office.tell(&number.to_string());
    }
    for number in 0..100 {
        assert_eq!(text(&mut browser).await, number.to_string());
    }
    assert_eq!(office.hub.queued_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_socket_ends_ten_seconds_after_its_token_and_not_before() {
    let office = Office::open(Limits::default());
    let mut browser = office.connect(60).await;
    office.clock.advance(69 * SECOND);
    tokio::select! {
        end = farewell(&mut browser) => panic!("closed too early: {end:?}"),
        () = tokio::time::sleep(120 * SECOND) => {}
    }
    office.clock.advance(SECOND);
    let end = farewell(&mut browser).await.unwrap();
    assert_eq!((u16::from(end.code), end.reason.as_str()), (1000, "token expired"));
    office.ended.notified().await;
    assert_eq!(office.hub.open_sockets(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_takes_nothing_is_cut_after_ten_seconds() {
    let office = Office::open(Limits::default());
    let _browser = office.connect(3_600).await;
    let began = present();
    office.tell(&"x".repeat(4 * PIPE));
    office.ended.notified().await;
    let passed = began.elapsed();
    assert!(passed >= 10 * SECOND && passed < 11 * SECOND, "cut after {passed:?}");
    assert_eq!((office.hub.open_sockets(), office.hub.queued_bytes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_leaves_too_much_waiting_is_cut_at_once() {
    let office = Office::open(Limits { queued_bytes: 16 * 1024, ..Limits::default() });
    let _browser = office.connect(3_600).await;
    let began = present();
    for _ in 0..16 {
        office.tell(&"x".repeat(1024));
    }
    // All of that may wait; the socket's task has begun with the first one.
    tokio::time::sleep(SECOND).await;
    assert_eq!((office.hub.open_sockets(), office.hub.queued_bytes()), (1, 16 * 1024));
    office.tell("one more");
    office.ended.notified().await;
    assert!(began.elapsed() < 2 * SECOND, "cut after {:?}", began.elapsed());
    assert_eq!((office.hub.open_sockets(), office.hub.queued_bytes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_answers_no_ping_is_gone_after_the_third_beat() {
    let office = Office::open(Limits::default());
    let browser = office.connect(3_600).await;
    let began = present();
    // The raw pipe takes everything and answers nothing.
    let mut pipe = browser.into_inner();
    let drain = async { tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await };
    tokio::select! {
        _ = drain => {}
        () = office.ended.notified() => {}
    }
    let passed = began.elapsed();
    assert!(passed >= 3 * HEARTBEAT && passed < 3 * HEARTBEAT + SECOND, "given up after {passed:?}");
    assert_eq!(office.hub.open_sockets(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_socket_ends_when_the_key_of_its_token_is_revoked() {
    let office = Office::open(Limits::default());
    let mut browser = office.connect(3_600).await;
    office.hub.close_those_of(ApiKeySid::from_bits(8));
    office.tell("still there");
    assert_eq!(text(&mut browser).await, "still there");
    office.hub.close_those_of(KEY);
    let end = farewell(&mut browser).await.unwrap();
    assert_eq!((u16::from(end.code), end.reason.as_str()), (1008, "not permitted"));
    office.ended.notified().await;
    assert_eq!(office.hub.open_sockets(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_server_is_told_and_waited_for() {
    let office = Office::open(Limits::default());
    let mut browser = office.connect(3_600).await;
    office.hub.close_all();
    let end = farewell(&mut browser).await.unwrap();
    assert_eq!((u16::from(end.code), end.reason.as_str()), (1012, "server restart"));
    let arrival = Arrival {
        workspace: WorkspaceSid::from_bits(1),
        channel: Channel::Worker(office.worker),
        dialect: Dialect::Present,
        token: 4,
        key: None,
        close_existing: false,
        connection: Connection::default(),
    };
    assert!(office.hub.enter(arrival).is_err());
}

#[tokio::test(start_paused = true)]
async fn what_a_browser_sends_is_read_and_forgotten_and_its_leaving_noticed() {
    let office = Office::open(Limits::default());
    let mut browser = office.connect(3_600).await;
    browser.send(tungstenite::Message::Text("hello".into())).await.unwrap();
    office.tell("still there");
    assert_eq!(text(&mut browser).await, "still there");
    let mut pipe = browser.into_inner();
    pipe.shutdown().await.unwrap();
    drop(pipe);
    office.ended.notified().await;
    assert_eq!(office.hub.open_sockets(), 0);
}

#[test]
fn a_token_without_end_does_not_overflow_the_browsers_timer() {
    let now = Timestamp(1_770_091_506_000);
    assert_eq!(lifetime_ms(now.plus_secs(3_594), now), 3_594_000);
    assert_eq!(lifetime_ms(now.plus_ms(-1), now), 0);
    assert_eq!(lifetime_ms(now.plus_ms(TIMER_MS_MAX + 1), now), TIMER_MS_MAX);
}
