//! The server that is measured, on a file with a worker for each agent.
//!
//! Start with [`Office::furnish`].

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::StatusCode;
use switchhook::clock::{Clock, Entropy};
use switchhook::engine::{Engine, Request};
use switchhook::notify::token::{self, NewAccessToken, Role};
use switchhook::outbound;
use switchhook::routing::command::{NewWorker, NewWorkspace, Template, WorkspaceUpdate};
use switchhook::routing::{ApiKeySid, Command as Order, Reply, WorkerSid, WorkspaceSid};
use switchhook::store::{Account, ApiKey, Store};
use tokio::task::JoinSet;

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const TOKEN: &str = "fedcba9876543210fedcba9876543210";
const SECRET: &str = "a-secret-of-an-api-key-0123456789";

/// Longest time the server may take to answer its first question, in attempts of a millisecond.
const ATTEMPTS_MAX: u32 = 60_000;

/// A database file, what is in it, and the server on it.
pub(crate) struct Office {
    directory: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    client: reqwest::Client,
    child: Option<Child>,
    key: ApiKeySid,
    workspace: WorkspaceSid,
    workers: Vec<WorkerSid>,
}

impl Office {
    /// Makes the file; the workspace wants to know who is connected, which is the dearer way.
    pub(crate) async fn furnish(agents: usize) -> Self {
        println!("making {agents} workers");
        outbound::install_tls();
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", directory.path().join("bench.db").display());
        let clock = Clock::system();
        let store = Store::open(&url).await.expect("the database opens");
        let account = Account {
            sid: ACCOUNT.parse().expect("an account SID"),
            friendly_name: "bench".to_owned(),
            auth_token: TOKEN.into(),
            created_at: clock.now(),
        };
        let sid = account.sid;
        store.create_account(account).await.expect("written");
        let key = ApiKeySid::from_bits(7);
        let row = ApiKey {
            sid: key,
            account: sid,
            friendly_name: "bench".to_owned(),
            secret: SECRET.into(),
            created_at: clock.now(),
            updated_at: clock.now(),
        };
        store.create_api_key(row).await.expect("written");
        let engine = Engine::start(store.clone(), None, clock, Entropy).await.expect("it starts");
        let new = NewWorkspace { template: Template::Fifo, ..NewWorkspace::named("bench") };
        let workspace = engine.create_workspace(sid, new).await.expect("made");
        let update = WorkspaceUpdate { disconnect_grace_secs: Some(Some(60)), ..WorkspaceUpdate::default() };
        engine.send(workspace, Request::Routing(Order::UpdateWorkspace(update))).await.expect("allowed");
        let workers = hire(&engine, workspace, agents).await;
        engine.shutdown().await;
        store.close().await;
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address");
        let client = outbound::client_builder().timeout(Duration::from_mins(1)).build().expect("a client");
        Self { directory, address, client, child: None, key, workspace, workers }
    }

    /// Starts the server, always on the same port, and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        let directory = self.directory.path();
        let log = std::fs::File::create(directory.join("bench.log")).expect("a file for the log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchhook"));
        for (name, _) in std::env::vars() {
            if name.starts_with("SWITCHHOOK_") {
                command.env_remove(name);
            }
        }
        let child = command
            .arg("serve")
            .current_dir(directory)
            .env("SWITCHHOOK_LISTEN", self.address.to_string())
            .env("SWITCHHOOK_DATABASE_URL", format!("sqlite:{}", directory.join("bench.db").display()))
            .env("SWITCHHOOK_ACCOUNT_SID", ACCOUNT)
            .env("SWITCHHOOK_AUTH_TOKEN", TOKEN)
            .env("SWITCHHOOK_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        self.child = Some(child);
        let url = format!("http://{}/readyz", self.address);
        for _ in 0..ATTEMPTS_MAX {
            if self.client.get(&url).send().await.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the server at {} does not answer", self.address);
    }

    /// As a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Path and query of each agent's socket.
    pub(crate) fn targets(&self) -> Vec<String> {
        let now = Clock::system().now();
        let token = |worker: &WorkerSid| {
            let new = NewAccessToken {
                key_sid: self.key.to_string(),
                account: ACCOUNT.parse().expect("an account SID"),
                workspace: self.workspace,
                worker: Some(*worker),
                role: Role::Worker,
                identity: "agent".to_owned(),
                lifetime_secs: 3_600,
            };
            token::mint(&new, SECRET.as_bytes(), now)
        };
        let target = |worker| format!("/v1/wschannels?token={}&clientVersion=3.0.0", token(worker));
        self.workers.iter().map(target).collect()
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        resident(self.child.as_ref().expect("the server runs"))
    }

    /// Changes a worker, of which its agent is told.
    pub(crate) fn change(&self, number: usize, worker: usize) -> impl Future<Output = ()> + Send + 'static {
        let path = format!("/v1/Workspaces/{}/Workers/{}", self.workspace, self.workers[worker]);
        let attributes = format!(r#"{{"n":{number}}}"#);
        let request = self.client.post(format!("http://{}{path}", self.address));
        let request = request.basic_auth(ACCOUNT, Some(TOKEN)).form(&[("Attributes", attributes)]);
        async move {
            let answer = request.send().await.expect("answered");
            let status = answer.status();
            let body = answer.text().await.expect("read");
            assert!(status.is_success(), "{status}: {body}");
        }
    }

    /// A read like those of a supervisor's desktop.
    pub(crate) async fn read(&self) {
        let url = format!("http://{}/v1/Workspaces/{}/Activities", self.address, self.workspace);
        let answer = self.client.get(url).basic_auth(ACCOUNT, Some(TOKEN)).send().await.expect("answered");
        assert!(answer.status().is_success());
        answer.bytes().await.expect("read");
    }

    async fn metrics(&self) -> String {
        let answer = self.client.get(format!("http://{}/metrics", self.address)).send().await.expect("answered");
        answer.text().await.expect("read")
    }

    /// Open sockets, by the server's own count.
    pub(crate) async fn sessions(&self) -> usize {
        let metrics = self.metrics().await;
        let line = metrics.lines().find_map(|line| line.strip_prefix("taskrouter_ws_sessions "));
        line.expect("it is measured").parse().expect("a whole number")
    }

    /// Why sockets were dropped, and how many each.
    pub(crate) async fn dropped(&self) -> String {
        let metrics = self.metrics().await;
        let lines = metrics.lines().filter_map(|line| line.strip_prefix("taskrouter_ws_dropped_total"));
        lines.collect::<Vec<_>>().join(", ")
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Resident memory of a process in bytes.
pub(crate) fn resident(child: &Child) -> u64 {
    let shown = Command::new("ps").args(["-o", "rss=", "-p", &child.id().to_string()]).output().expect("ps runs");
    let text = String::from_utf8(shown.stdout).expect("ps prints text");
    text.trim().parse::<u64>().expect("ps prints kibibytes") * 1_024
}

async fn hire(engine: &Engine, workspace: WorkspaceSid, agents: usize) -> Vec<WorkerSid> {
    let mut hiring = JoinSet::new();
    let mut workers = Vec::with_capacity(agents);
    for number in 0..agents {
        let engine = engine.clone();
        hiring.spawn(async move {
            let new =
                NewWorker { friendly_name: format!("worker {number}"), attributes: "{}".to_owned(), activity: None };
            match engine.send(workspace, Request::Routing(Order::CreateWorker(new))).await {
                Ok(Reply::Worker(worker)) => worker,
                other => panic!("{other:?} instead of a worker"),
            }
        });
        if hiring.len() >= 256 {
            workers.extend(hiring.join_next().await.map(|made| made.expect("made")));
        }
    }
    workers.extend(hiring.join_all().await);
    workers
}
