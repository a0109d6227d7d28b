//! Agents' sockets over real connections: presence and its grace, places, what ends a socket.
//!
//! The server runs in this process with a clock that stands until a test moves it. Waiting is for a frame or for the
//! workspace to know something. Start with [`Office`].

use std::time::Duration;

use base64::Engine as _;
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use switchhook::clock::{Clock, Entropy};
use switchhook::notify::hub::Limits;
use switchhook::notify::token::{self, NewAccessToken, Role};
use switchhook::routing::state::Presence;
use switchhook::routing::{Timestamp, WorkerSid, WorkspaceSid};
use switchhook::server::{Server, Settings};
use switchhook::{http, outbound};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::programs::{ACCOUNT, Programs, TOKEN, text};

pub(crate) const NOW: Timestamp = Timestamp(1_770_091_506_000);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Longest time anything may take to become so.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type Browser = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A server with a workspace, an agent and an API key.
pub(crate) struct Office {
    directory: tempfile::TempDir,
    pub(crate) clock: Clock,
    limits: Limits,
    server: Option<Server>,
    pub(crate) http: reqwest::Client,
    key: Value,
    pub(crate) workspace: WorkspaceSid,
    pub(crate) available: String,
    pub(crate) unavailable: String,
    pub(crate) worker: WorkerSid,
}

impl Office {
    pub(crate) async fn open(limits: Limits) -> Self {
        outbound::install_tls();
        let mut office = Self {
            directory: tempfile::tempdir().unwrap(),
            clock: Clock::fixed(NOW),
            limits,
            server: None,
            http: outbound::client_builder().timeout(PATIENCE).build().unwrap(),
            key: Value::Null,
            workspace: WorkspaceSid::from_bits(0),
            available: String::new(),
            unavailable: String::new(),
            worker: WorkerSid::from_bits(0),
        };
        office.start().await;
        let keys = format!("/2010-04-01/Accounts/{ACCOUNT}/Keys.json");
        office.key = office.make(&keys, &[("FriendlyName", "desk")]).await;
        let made = office.make("/v1/Workspaces", &[("FriendlyName", "Support"), ("Template", "FIFO")]).await;
        office.workspace = text(&made, "sid").parse().unwrap();
        for (name, sid) in [("Available", 0), ("Unavailable", 1)] {
            let list = office.get(&office.at(&format!("/Activities?FriendlyName={name}"))).await;
            let found = text(&list["activities"][0], "sid");
            if sid == 0 { office.available = found } else { office.unavailable = found }
        }
        office.worker = office.hire("alice").await;
        office
    }

    /// Starts the server, after [`Office::stop`] on the same database.
    async fn start(&mut self) {
        let settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            database: format!("sqlite:{}", self.directory.path().join("switchhook.db").display()),
            keys: switchhook::store::KeySource::default(),
            public_url: None,
            trust_forwarded: false,
            account: Some((ACCOUNT.parse().unwrap(), TOKEN.into())),
            phone: None,
            templates_dir: None,
            wait: switchhook::config::Wait::default(),
            insecure_skip_signature: false,
            outbound: outbound::Rules::default(),
            dialling: switchhook::calls::DialPolicy::default(),
            resources: switchhook::routing::ResourceLimits::default(),
            entries: switchhook::entry::EntryFile::default(),
            waiting_calls_max: 100,
            look_after_secs: 60,
            cold_transfer_failure: switchhook::calls::ColdTransferFailure::Hold,
            end_room_when_customer_left: true,
            customer_alone_secs: 5,
            on_cancel_release_caller: true,
            connect_failure_limit: 0,
            choices: switchhook::calls::Choices::default(),
            default_caller_id: None,
            extra_call_attributes: Vec::new(),
            event_callbacks: switchhook::notify::event_callbacks::Rules::default(),
            sockets: self.limits,
            limits: http::Limits::default(),
            service_level_secs: 20,
            locked_attributes: switchhook::api::LockedAttributes::default(),
            metrics_public: false,
        };
        self.server = Some(Server::start(settings, None, self.clock.clone(), Entropy).await.unwrap());
    }

    pub(crate) async fn stop(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("/v1/Workspaces/{}{path}", self.workspace)
    }

    pub(crate) async fn call(&self, method: Method, path: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let url = format!("http://{}{path}", self.server().address());
        let request = self.http.request(method.clone(), url).basic_auth(ACCOUNT, Some(TOKEN));
        let request = if method == Method::POST { request.form(form) } else { request };
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub(crate) async fn make(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let (status, body) = self.call(Method::POST, path, form).await;
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, &[]).await;
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    pub(crate) async fn hire(&self, name: &str) -> WorkerSid {
        let made = self.make(&self.at("/Workers"), &[("FriendlyName", name), ("ActivitySid", &self.available)]).await;
        text(&made, "sid").parse().unwrap()
    }

    pub(crate) fn token(&self, worker: WorkerSid) -> String {
        let new = NewAccessToken {
            key_sid: text(&self.key, "sid"),
            account: ACCOUNT.parse().unwrap(),
            workspace: self.workspace,
            worker: Some(worker),
            role: Role::Worker,
            identity: "agent".to_owned(),
            lifetime_secs: 3_600,
        };
        token::mint(&new, text(&self.key, "secret").as_bytes(), self.clock.now())
    }

    async fn try_connect(&self, worker: WorkerSid, query: &str) -> Result<Browser, (StatusCode, Value)> {
        let address = self.server().address();
        let url = format!("ws://{address}/v1/wschannels?token={}&clientVersion=3.0.0{query}", self.token(worker));
        match connect_async(url).await {
            Ok((mut browser, _)) => {
                // The place is taken before anything is written.
                let init = browser.next().await.unwrap().unwrap().into_text().unwrap();
                assert!(init.contains(r#""event_type":"init""#), "{init}");
                Ok(browser)
            }
            Err(tungstenite::Error::Http(answer)) => {
                let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
                let body = answer.body().as_ref().map(|body| serde_json::from_slice(body).unwrap());
                Err((status, body.unwrap_or_default()))
            }
            Err(other) => panic!("{other}"),
        }
    }

    pub(crate) async fn connect(&self, query: &str) -> Browser {
        self.try_connect(self.worker, query).await.unwrap()
    }

    /// Waits until the workspace knows this of the agent's sockets.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(Option<&Presence>) -> bool) {
        let worker = self.worker;
        let known = async {
            loop {
                let look = self.server().engine().look(self.workspace, move |seen, _| seen.presence(worker).cloned());
                if is_so(look.await.unwrap().as_ref()) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, known).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"));
    }

    /// Moves the clock, and has the workspace look at it.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.server().engine().look(self.workspace, |_, _| ()).await.unwrap();
    }

    pub(crate) async fn activity(&self) -> String {
        text(&self.get(&self.at(&format!("/Workers/{}", self.worker))).await, "activity_name")
    }
}

pub(crate) const fn is_there(presence: Option<&Presence>) -> bool {
    matches!(presence, Some(Presence { deadline: None, .. }))
}

pub(crate) const fn is_gone(presence: Option<&Presence>) -> bool {
    matches!(presence, Some(Presence { deadline: Some(_), .. }))
}

/// Why the server closed the socket; frames before that are passed over.
pub(crate) async fn farewell(browser: &mut Browser) -> Option<CloseFrame> {
    let end = async {
        while let Some(Ok(message)) = browser.next().await {
            if let Message::Close(farewell) = message {
                return farewell;
            }
        }
        None
    };
    tokio::time::timeout(PATIENCE, end).await.expect("the server closes the socket")
}

#[tokio::test]
async fn a_worker_whose_agent_is_gone_is_moved_after_the_grace_and_loses_the_offer() {
    let mut office = Office::open(Limits::default()).await;
    let mut browser = office.connect("").await;
    let presence = office.at("/Presence");
    let before = office.get(&presence).await;
    assert_eq!((&before["disconnect_grace_seconds"], &before["connected_workers"]), (&Value::Null, &json!(1)));
    // Only from here on the workspace has to know; the socket is open already.
    let form = [("DisconnectGraceSeconds", "30"), ("DisconnectActivitySid", office.unavailable.as_str())];
    let set = office.make(&presence, &form).await;
    assert_eq!(set["disconnect_grace_seconds"], 30);
    assert_eq!(set["disconnect_activity_name"], "Unavailable");
    office.until("the agent is there", is_there).await;
    let task = text(&office.make(&office.at("/Tasks"), &[]).await, "sid");
    browser.close(None).await.unwrap();
    office.until("the agent is gone", is_gone).await;
    office.pass(29 * SECOND).await;
    assert_eq!(office.activity().await, "Available");
    office.pass(SECOND).await;
    assert_eq!(office.activity().await, "Unavailable");
    let reservations = office.get(&office.at(&format!("/Tasks/{task}/Reservations"))).await;
    assert_eq!(reservations["reservations"][0]["reservation_status"], "rescinded");
    assert_eq!(office.get(&office.at(&format!("/Tasks/{task}"))).await["assignment_status"], "pending");
    let changes = office.get(&office.at("/Events?EventType=worker.activity.update")).await;
    assert_eq!(changes["events"].as_array().unwrap().len(), 1);
    let off = office.make(&presence, &[("DisconnectGraceSeconds", "")]).await;
    assert_eq!(off["disconnect_grace_seconds"], Value::Null);
    assert_eq!(off["disconnect_activity_name"], "Unavailable", "what was not given stays");
    office.stop().await;
}

#[tokio::test]
async fn an_agent_who_comes_back_or_has_another_socket_is_not_gone() {
    let mut office = Office::open(Limits::default()).await;
    office.make(&office.at("/Presence"), &[("DisconnectGraceSeconds", "30")]).await;
    let mut first = office.connect("").await;
    let second = office.connect("&setWorkerOfflineIfDisconnected=true").await;
    office.until("the agent is there", is_there).await;
    first.close(None).await.unwrap();
    drop(second);
    office.until("both sockets are gone", is_gone).await;
    office.pass(29 * SECOND).await;
    let third = office.connect("&setWorkerOfflineIfDisconnected=false").await;
    office.until("the agent is back", is_there).await;
    office.pass(60 * SECOND).await;
    assert_eq!(office.activity().await, "Available");
    drop(third);
    office.until("the newest socket asked to be left alone", |presence| presence.is_none()).await;
    office.stop().await;
}

#[tokio::test]
async fn who_was_connected_is_known_after_a_restart_and_has_a_whole_grace_from_there() {
    let mut office = Office::open(Limits::default()).await;
    office.make(&office.at("/Presence"), &[("DisconnectGraceSeconds", "30")]).await;
    let mut browser = office.connect("").await;
    office.until("the agent is there", is_there).await;
    let (stopped, end) = tokio::join!(office.stop(), farewell(&mut browser));
    let () = stopped;
    let end = end.unwrap();
    assert_eq!((u16::from(end.code), end.reason.as_str()), (1012, "server restart"));
    office.clock.advance(Duration::from_hours(1));
    office.start().await;
    office.until("nobody is connected", is_gone).await;
    office.pass(29 * SECOND).await;
    assert_eq!(office.activity().await, "Available");
    // It is on disk: another restart begins the grace anew, and does not forget it.
    office.stop().await;
    office.start().await;
    office.pass(29 * SECOND).await;
    assert_eq!(office.activity().await, "Available");
    office.pass(SECOND).await;
    assert_eq!(office.activity().await, "Offline");
    office.stop().await;
}

#[tokio::test]
async fn a_socket_can_name_the_activity_after_it() {
    let mut office = Office::open(Limits::default()).await;
    let (status, body) = office.try_connect(office.worker, "&disconnectActivitySid=WA1").await.unwrap_err();
    assert_eq!(
        (status, &body["message"]),
        (StatusCode::BAD_REQUEST, &json!("Invalid disconnectActivitySid: 'WA1' is not a SID"))
    );
    let unknown = format!("&disconnectActivitySid=WA{}", "0".repeat(32));
    assert_eq!(office.try_connect(office.worker, &unknown).await.unwrap_err().0, StatusCode::BAD_REQUEST);
    let browser = office.connect(&format!("&disconnectActivitySid={}", office.unavailable)).await;
    office.until("the agent is there", is_there).await;
    drop(browser);
    office.until("the agent is gone", is_gone).await;
    office.pass(35 * SECOND).await;
    assert_eq!(office.activity().await, "Unavailable");
    office.stop().await;
}

#[tokio::test]
async fn what_was_opened_with_a_key_ends_when_the_key_is_revoked() {
    let mut office = Office::open(Limits::default()).await;
    let mut browser = office.connect("").await;
    let (sid, secret) = (text(&office.key, "sid"), text(&office.key, "secret"));
    let url = format!("http://{}{}", office.server().address(), office.at("/Events/Stream"));
    let request = office.http.get(url).basic_auth(&sid, Some(secret)).header("Accept", "text/event-stream");
    let mut stream = request.send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some_and(|piece| piece.starts_with(b"retry")));
    let key = format!("http://{}/2010-04-01/Accounts/{ACCOUNT}/Keys/{sid}.json", office.server().address());
    let gone = office.http.delete(key).basic_auth(ACCOUNT, Some(TOKEN)).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    let end = farewell(&mut browser).await.unwrap();
    assert_eq!((u16::from(end.code), end.reason.as_str()), (1008, "not permitted"));
    let rest = async { while stream.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(PATIENCE, rest).await.expect("the stream ends");
    let (status, body) = office.try_connect(office.worker, "").await.unwrap_err();
    assert_eq!((status, &body["code"]), (StatusCode::FORBIDDEN, &json!(20101)));
    office.stop().await;
}

#[tokio::test]
async fn no_token_is_in_the_log_at_any_level() {
    let programs = Programs::start_with(1.0, &[("SWITCHHOOK_LOG", "trace")]).await;
    let keys = format!("http://{}/2010-04-01/Accounts/{ACCOUNT}/Keys.json", programs.server);
    let key = programs.http.post(keys).basic_auth(ACCOUNT, Some(TOKEN)).send().await.unwrap();
    let key: Value = key.json().await.unwrap();
    let made = programs.post("/Workspaces", &[("FriendlyName", "Floor"), ("Template", "FIFO")]).await;
    let workspace = text(&made, "sid");
    let hired = programs.post(&format!("/Workspaces/{workspace}/Workers"), &[("FriendlyName", "ann")]).await;
    let worker = text(&hired, "sid");
    let form = [("WorkerSid", worker.as_str()), ("KeySid", key["sid"].as_str().unwrap())];
    let token = text(&programs.post(&format!("/Workspaces/{workspace}/Tokens"), &form).await, "token");
    let url = format!("ws://{}/v1/wschannels?token={token}&clientVersion=3.0.0", programs.server);
    let (mut browser, _) = connect_async(url).await.unwrap();
    assert!(browser.next().await.unwrap().unwrap().into_text().unwrap().contains("init"));
    browser.send(Message::Text(format!("what-a-browser-sends {token}").into())).await.unwrap();
    let asked = json!({ "url": format!("Workspaces/{workspace}/Workers/{worker}"), "method": "GET", "token": token });
    let asked = programs.http.post(format!("http://{}/v1/wschannels", programs.server)).body(asked.to_string());
    assert_eq!(asked.send().await.unwrap().status(), StatusCode::OK);
    browser.close(None).await.unwrap();
    while let Some(Ok(_)) = browser.next().await {}
    let log = std::fs::read_to_string(programs.directory.path().join("server.log")).unwrap();
    assert!(log.contains("DEBUG"), "the finest level is on");
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{ACCOUNT}:{TOKEN}"));
    for secret in [token.as_str(), &basic, TOKEN, key["secret"].as_str().unwrap(), "what-a-browser-sends"] {
        let found = log.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "{secret} is in the log");
    }
}

#[tokio::test]
async fn places_are_bounded_for_a_worker_and_for_all() {
    let mut office = Office::open(Limits { per_worker: 2, total: 3, ..Limits::default() }).await;
    let mut first = office.connect("").await;
    let second = office.connect("").await;
    let (status, body) = office.try_connect(office.worker, "").await.unwrap_err();
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!((&body["code"], &body["message"]), (&json!(20429), &json!("The worker has too many open sockets")));
    let bob = office.hire("bob").await;
    let _third = office.try_connect(bob, "").await.unwrap();
    assert_eq!(office.try_connect(bob, "").await.unwrap_err().0, StatusCode::SERVICE_UNAVAILABLE);
    drop(second);
    // As soon as the server notices.
    let again = async {
        loop {
            if let Ok(browser) = office.try_connect(office.worker, "&closeExistingSessions=true").await {
                return browser;
            }
        }
    };
    let _again = tokio::time::timeout(PATIENCE, again).await.unwrap();
    let end = farewell(&mut first).await.unwrap();
    assert_eq!((u16::from(end.code), end.reason.as_str()), (1000, "session replaced"));
    office.stop().await;
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_socket_and_a_short_one_does_not() {
    let mut office = Office::open(Limits::default()).await;
    let mut browser = office.connect("").await;
    browser.send(Message::Text("x".repeat(16 * 1024).into())).await.unwrap();
    browser.send(Message::Ping("here".into())).await.unwrap();
    let pong = browser.next().await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong("here".into()));
    browser.send(Message::Text("x".repeat(16 * 1024 + 1).into())).await.unwrap();
    farewell(&mut browser).await;
    office.stop().await;
}

#[tokio::test]
async fn sockets_are_measured() {
    let programs = Programs::start(20.0).await;
    let floor = programs.furnish().await;
    let keys = format!("http://{}/2010-04-01/Accounts/{ACCOUNT}/Keys.json", programs.server);
    let made = programs.http.post(keys).basic_auth(ACCOUNT, Some(TOKEN)).form(&[("FriendlyName", "desk")]);
    let key: Value = made.send().await.unwrap().json().await.unwrap();
    let new = NewAccessToken {
        key_sid: text(&key, "sid"),
        account: ACCOUNT.parse().unwrap(),
        workspace: floor.base.rsplit('/').next().unwrap().parse().unwrap(),
        worker: Some(floor.worker.parse().unwrap()),
        role: Role::Worker,
        identity: "agent".to_owned(),
        lifetime_secs: 3_600,
    };
    let mint = || token::mint(&new, text(&key, "secret").as_bytes(), Clock::system().now());
    let connect = async |query: &str| {
        let url = format!("ws://{}/v1/wschannels?token={}{query}", programs.server, mint());
        connect_async(url).await.unwrap().0
    };
    let until = async |name: &str, is_so: fn(u64) -> bool| {
        programs
            .until(name, async |programs: &Programs| {
                let answer = programs.http.get(format!("http://{}/metrics", programs.server)).send().await.ok()?;
                let text = answer.text().await.ok()?;
                let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok());
                values.next().filter(|value| is_so(*value)).map(|_| ())
            })
            .await;
    };
    let mut first = connect("").await;
    until("taskrouter_ws_sessions ", |value| value == 1).await;
    let second = connect("&closeExistingSessions=true").await;
    farewell(&mut first).await;
    until("taskrouter_ws_dropped_total{reason=\"replaced\"} ", |value| value == 1).await;
    until("taskrouter_ws_sessions ", |value| value == 1).await;
    // Held back, because this browser does not read its reservations, and written some seconds later.
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    until("taskrouter_ws_queued_bytes ", |value| value > 100).await;
    until("taskrouter_ws_queued_bytes ", |value| value == 0).await;
    drop(second);
    until("taskrouter_ws_sessions ", |value| value == 0).await;
}
