//! `switchhook serve` and `switchhook phone` as real processes, and a client for both.
//!
//! Each test gets a directory and ports of its own. Programs are killed when they are dropped. Waiting is done by asking
//! until something is so, with a deadline; nothing sleeps for a guessed time.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use switchhook::{outbound, signature};
use tokio::process::{Child, Command};

pub(crate) const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
pub(crate) const TOKEN: &str = "fedcba9876543210fedcba9876543210";
pub(crate) const PHONE_ACCOUNT: &str = "ACfedcba9876543210fedcba9876543210";
pub(crate) const PHONE_TOKEN: &str = "00112233445566778899aabbccddeeff";

/// The number callers dial.
pub(crate) const NUMBER: &str = "+15550100";

/// Longest time anything may take to become so.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(15);

/// Server and phone system, and where they are.
pub(crate) struct Programs {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) server: SocketAddr,
    pub(crate) phone: SocketAddr,
    pub(crate) http: reqwest::Client,
    /// Further variables for the server at its next start; they win.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// What the phone system speaks.
    dialect: &'static str,
    server_process: Option<Child>,
    _phone_process: Child,
}

/// A port that no other program of these tests was given: the system may give one again as soon as its listener is closed.
fn free_port() -> SocketAddr {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        if GIVEN.lock().unwrap().insert(address.port()) {
            return address;
        }
    }
}

fn program(directory: &Path, log: &str) -> Command {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(directory.join(log)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchhook"));
    command.current_dir(directory).kill_on_drop(true).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    for (name, _) in std::env::vars() {
        if name.starts_with("SWITCHHOOK_") {
            command.env_remove(name);
        }
    }
    command
}

impl Programs {
    /// Starts both; the phone system's clock runs `speed` times as fast as life.
    pub(crate) async fn start(speed: f64) -> Self {
        Self::start_with(speed, &[]).await
    }

    /// The same with more settings of the server.
    pub(crate) async fn start_with(speed: f64, settings: &[(&'static str, &str)]) -> Self {
        Self::start_speaking("twilio", speed, settings).await
    }

    /// The same with a phone system that is ordered to speak this dialect before the server comes to it.
    pub(crate) async fn start_speaking(dialect: &'static str, speed: f64, settings: &[(&'static str, &str)]) -> Self {
        outbound::install_tls();
        let directory = tempfile::tempdir().unwrap();
        let (server, phone) = (free_port(), free_port());
        let phone_process = program(directory.path(), "phone.log")
            .arg("phone")
            .env("SWITCHHOOK_PHONE_LISTEN", phone.to_string())
            .env("SWITCHHOOK_PHONE_SERVER_ACCOUNT_SID", PHONE_ACCOUNT)
            .env("SWITCHHOOK_PHONE_SERVER_AUTH_TOKEN", PHONE_TOKEN)
            .env("SWITCHHOOK_PHONE_SPEED", speed.to_string())
            .spawn()
            .unwrap();
        let http = outbound::client_builder().timeout(Duration::from_secs(20)).build().unwrap();
        let mut programs = Self {
            directory,
            server,
            phone,
            http,
            environment: settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            dialect,
            server_process: None,
            _phone_process: phone_process,
        };
        programs
            .until("the phone system answers", async |programs: &Self| {
                let url = format!("http://{}/2010-04-01/Accounts/{PHONE_ACCOUNT}/Calls.json", programs.phone);
                let answer = programs.http.get(url).basic_auth(PHONE_ACCOUNT, Some(PHONE_TOKEN)).send().await;
                answer.is_ok_and(|answer| answer.status() == StatusCode::OK).then_some(())
            })
            .await;
        programs.control(Method::PUT, "/dialect", json!({ "dialect": dialect })).await;
        programs.start_server().await;
        programs
    }

    /// Starts (or starts again) the server on the same database and port, and waits until it is ready.
    pub(crate) async fn start_server(&mut self) {
        let child = program(self.directory.path(), "server.log")
            .arg("serve")
            .env("SWITCHHOOK_LISTEN", self.server.to_string())
            .env("SWITCHHOOK_ACCOUNT_SID", ACCOUNT)
            .env("SWITCHHOOK_AUTH_TOKEN", TOKEN)
            .env("SWITCHHOOK_PHONE_URL", format!("http://{}", self.phone))
            .env("SWITCHHOOK_PHONE_ACCOUNT_SID", PHONE_ACCOUNT)
            .env("SWITCHHOOK_PHONE_AUTH_TOKEN", PHONE_TOKEN)
            .env("SWITCHHOOK_OUTBOUND_ALLOW_PRIVATE", "true")
            .env("SWITCHHOOK_LOG", "info")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .spawn()
            .unwrap();
        self.server_process = Some(child);
        self.until("the server is ready", async |programs: &Self| {
            let answer = programs.http.get(format!("http://{}/readyz", programs.server)).send().await;
            answer.is_ok_and(|answer| answer.status() == StatusCode::OK).then_some(())
        })
        .await;
    }

    /// Kills the server as a power cut would: no signal handler runs.
    pub(crate) async fn kill_server(&mut self) {
        if let Some(mut child) = self.server_process.take() {
            child.kill().await.unwrap();
        }
    }

    /// Asks the server to stop (SIGTERM) and waits for its exit; returns whether it ended well.
    pub(crate) async fn terminate_server(&mut self) -> bool {
        let Some(mut child) = self.server_process.take() else { return true };
        let pid = child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let exit = tokio::time::timeout(Duration::from_secs(10), child.wait()).await;
        exit.expect("the server exits within 10 seconds").unwrap().success()
    }

    /// Waits until the server ends by itself; returns its exit code, none if a signal ended it.
    pub(crate) async fn end_of_server(&mut self) -> Option<i32> {
        let mut child = self.server_process.take().expect("the server runs");
        let exit = tokio::time::timeout(PATIENCE, child.wait()).await;
        exit.unwrap_or_else(|_| panic!("the server goes on\n{}", self.logs())).unwrap().code()
    }

    /// Asks again and again until the answer is there; panics with both logs when it does not come.
    pub(crate) async fn until<T>(&self, what: &str, ask: impl AsyncFnMut(&Self) -> Option<T>) -> T {
        self.within(PATIENCE, what, ask).await
    }

    /// The same with another deadline.
    pub(crate) async fn within<T>(
        &self,
        patience: Duration,
        what: &str,
        mut ask: impl AsyncFnMut(&Self) -> Option<T>,
    ) -> T {
        let deadline = tokio::time::sleep(patience);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                // The deadline first: an answer that needs no waiting would keep it from being looked at.
                biased;
                () = &mut deadline => panic!("not within {patience:?}: {what}\n{}", self.logs()),
                answer = ask(self) => if let Some(answer) = answer { return answer },
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The last lines of both logs.
    pub(crate) fn logs(&self) -> String {
        let tail = |name: &str| {
            let path: PathBuf = self.directory.path().join(name);
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(40)..].join("\n")
        };
        format!("--- server\n{}\n--- phone\n{}", tail("server.log"), tail("phone.log"))
    }

    /// A request to the server's REST API; `None` when the server could not be reached.
    pub(crate) async fn try_api(
        &self,
        method: Method,
        path: &str,
        form: &[(&str, &str)],
    ) -> Option<(StatusCode, Value)> {
        let mut request = self.http.request(method.clone(), format!("http://{}/v1{path}", self.server));
        if method == Method::POST {
            request = request.form(form);
        }
        let answer = request.basic_auth(ACCOUNT, Some(TOKEN)).send().await.ok()?;
        let status = answer.status();
        let body = answer.text().await.ok()?;
        Some((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
    }

    /// The same, which must succeed.
    pub(crate) async fn api(&self, method: Method, path: &str, form: &[(&str, &str)]) -> Value {
        let (status, body) = self.try_api(method.clone(), path, form).await.expect("the server is reachable");
        assert!(status.is_success(), "{method} {path} {form:?}: {status} {body}\n{}", self.logs());
        body
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.api(Method::GET, path, &[]).await
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        self.api(Method::POST, path, form).await
    }

    /// A read of the phone system's REST; the path is one of Twilio's.
    pub(crate) async fn phone_get(&self, path: &str) -> Value {
        let (url, request) = if self.dialect == "telnyx" {
            let path = path.replacen(".json", "", 1);
            let url = format!("http://{}/v2/texml/Accounts/{PHONE_ACCOUNT}{path}", self.phone);
            (url.clone(), self.http.get(url).bearer_auth(PHONE_TOKEN))
        } else {
            let url = format!("http://{}/2010-04-01/Accounts/{PHONE_ACCOUNT}{path}", self.phone);
            (url.clone(), self.http.get(url).basic_auth(PHONE_ACCOUNT, Some(PHONE_TOKEN)))
        };
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{url}");
        answer.json().await.unwrap()
    }

    /// A request to the phone system's control API.
    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("http://{}/control{path}", self.phone);
        let request = self.http.request(method, &url).basic_auth(PHONE_ACCOUNT, Some(PHONE_TOKEN));
        let answer = request.json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{url} {body}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Has a caller hang up; one that has done so already stays so.
    pub(crate) async fn hang_up(&self, call: &str) {
        let url = format!("http://{}/control/calls/{call}/hangup", self.phone);
        let request = self.http.post(&url).basic_auth(PHONE_ACCOUNT, Some(PHONE_TOKEN));
        let status = request.json(&json!({})).send().await.unwrap().status();
        assert!(status.is_success() || status == StatusCode::CONFLICT, "{url}: {status}");
    }

    /// Posts a voice webhook, signed as the phone system signs.
    pub(crate) async fn voice(&self, path: &str, pairs: &[(&str, &str)]) -> (StatusCode, String) {
        let url = format!("http://{}{path}", self.server);
        let signature = signature::sign_form(PHONE_TOKEN, &url, pairs);
        let answer = self.http.post(&url).form(pairs).header(signature::HEADER, signature).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// A workspace with one queue, one workflow and one worker; the number leads into the workflow.
    pub(crate) async fn furnish(&self) -> Floor {
        self.furnish_in(&[("FriendlyName", "Floor")]).await
    }

    /// The same in a workspace that is made with these parameters.
    pub(crate) async fn furnish_in(&self, workspace: &[(&str, &str)]) -> Floor {
        let workspace = text(&self.post("/Workspaces", workspace).await, "sid");
        let base = format!("/Workspaces/{workspace}");
        let activities = self.get(&format!("{base}/Activities?FriendlyName=Available")).await;
        let available = text(&activities["activities"][0], "sid");
        let queue = text(&self.post(&format!("{base}/TaskQueues"), &[("FriendlyName", "All")]).await, "sid");
        let configuration = json!({ "task_routing": { "default_filter": { "queue": queue } } }).to_string();
        let form = [("FriendlyName", "Inbound"), ("Configuration", configuration.as_str())];
        let workflow = text(&self.post(&format!("{base}/Workflows"), &form).await, "sid");
        let form = [("FriendlyName", "alice"), ("Attributes", r#"{"contact_uri":"client:alice"}"#)];
        let worker = text(&self.post(&format!("{base}/Workers"), &form).await, "sid");
        let voice_url = format!("http://{}/voice/enqueue/{workflow}", self.server);
        let status_callback = format!("http://{}/voice/cb/call/inbound", self.server);
        let number = json!({ "voice_url": voice_url, "status_callback": status_callback });
        self.control(Method::PUT, &format!("/numbers/{NUMBER}"), number).await;
        Floor { base, available, workflow, worker }
    }
}

/// What [`Programs::furnish`] made.
pub(crate) struct Floor {
    /// Path of the workspace.
    pub(crate) base: String,
    pub(crate) available: String,
    pub(crate) workflow: String,
    pub(crate) worker: String,
}

pub(crate) fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value}")).to_owned()
}
