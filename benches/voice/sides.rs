//! Server and phone system as processes of their own, and the client that asks both.
//!
//! Start with [`Sides::start`].

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use switchhook::outbound;

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const TOKEN: &str = "fedcba9876543210fedcba9876543210";

/// What the phone system signs its webhooks with.
pub(crate) const PHONE_TOKEN: &str = "00112233445566778899aabbccddeeff";
/// The account at the phone system.
pub(crate) const PHONE_ACCOUNT: &str = "ACfedcba9876543210fedcba9876543210";

/// Attempts, a millisecond apart, until a program answers its first question.
const ATTEMPTS_MAX: u32 = 60_000;

/// A running program; killed when dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    fn spawn(directory: &Path, command: &str, settings: &[(&str, String)]) -> Self {
        let log = std::fs::File::create(directory.join(command).with_extension("log")).expect("a file for the log");
        let mut program = Command::new(env!("CARGO_BIN_EXE_switchhook"));
        for (name, _) in std::env::vars() {
            if name.starts_with("SWITCHHOOK_") {
                program.env_remove(name);
            }
        }
        program.arg(command).current_dir(directory).env("SWITCHHOOK_LOG", "warn");
        program.envs(settings.iter().map(|(name, value)| (name, value)));
        program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Self(program.spawn().expect("the program starts"))
    }
}

/// Both programs.
pub(crate) struct Sides {
    _programs: [Program; 2],
    pub(crate) directory: tempfile::TempDir,
    pub(crate) server: SocketAddr,
    phone: SocketAddr,
    pub(crate) http: reqwest::Client,
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

impl Sides {
    pub(crate) async fn start() -> Self {
        outbound::install_tls();
        let directory = tempfile::tempdir().expect("a directory");
        let (server, phone) = (free_port(), free_port());
        let phone_program = Program::spawn(
            directory.path(),
            "phone",
            &[
                ("SWITCHHOOK_PHONE_LISTEN", phone.to_string()),
                ("SWITCHHOOK_PHONE_SERVER_ACCOUNT_SID", PHONE_ACCOUNT.to_owned()),
                ("SWITCHHOOK_PHONE_SERVER_AUTH_TOKEN", PHONE_TOKEN.to_owned()),
            ],
        );
        let server_program = Program::spawn(
            directory.path(),
            "serve",
            &[
                ("SWITCHHOOK_LISTEN", server.to_string()),
                ("SWITCHHOOK_ACCOUNT_SID", ACCOUNT.to_owned()),
                ("SWITCHHOOK_AUTH_TOKEN", TOKEN.to_owned()),
                ("SWITCHHOOK_PHONE_URL", format!("http://{phone}")),
                ("SWITCHHOOK_PHONE_ACCOUNT_SID", PHONE_ACCOUNT.to_owned()),
                ("SWITCHHOOK_PHONE_AUTH_TOKEN", PHONE_TOKEN.to_owned()),
                ("SWITCHHOOK_OUTBOUND_ALLOW_PRIVATE", "true".to_owned()),
                ("SWITCHHOOK_WAITING_CALLS_MAX", "5000".to_owned()),
            ],
        );
        let http = outbound::client_builder().timeout(Duration::from_mins(1)).build().expect("a client");
        let sides = Self { _programs: [phone_program, server_program], directory, server, phone, http };
        sides.wait_for(format!("http://{server}/readyz")).await;
        sides.wait_for(format!("http://{phone}/control/pace")).await;
        sides
    }

    async fn wait_for(&self, url: String) {
        for _ in 0..ATTEMPTS_MAX {
            let request = self.http.get(&url).basic_auth(PHONE_ACCOUNT, Some(PHONE_TOKEN));
            if request.send().await.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{url} does not answer");
    }

    /// A request to the server's REST that must succeed.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let request = self.http.post(format!("http://{}/v1{path}", self.server)).form(form);
        succeed(request.basic_auth(ACCOUNT, Some(TOKEN)), path).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("http://{}/v1{path}", self.server));
        succeed(request.basic_auth(ACCOUNT, Some(TOKEN)), path).await
    }

    /// A request to the phone system's control API that must succeed.
    pub(crate) async fn control(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = self.http.request(method, format!("http://{}/control{path}", self.phone)).json(body);
        succeed(request.basic_auth(PHONE_ACCOUNT, Some(PHONE_TOKEN)), path).await
    }

    /// A workspace where everybody may take everything; returns its path, its available activity and its queue.
    pub(crate) async fn furnish(&self) -> (String, String, String) {
        let workspace = text(&self.post("/Workspaces", &[("FriendlyName", "bench")]).await, "sid");
        let base = format!("/Workspaces/{workspace}");
        let activities = self.get(&format!("{base}/Activities?FriendlyName=Available")).await;
        let available = text(&activities["activities"][0], "sid");
        let queue = text(&self.post(&format!("{base}/TaskQueues"), &[("FriendlyName", "all")]).await, "sid");
        (base, available, queue)
    }
}

async fn succeed(request: reqwest::RequestBuilder, what: &str) -> Value {
    let answer = request.send().await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let status = answer.status();
    let body = answer.text().await.expect("read");
    assert!(status.is_success(), "{what}: {status} {body}");
    serde_json::from_str(&body).unwrap_or(Value::Null)
}

/// A text field of an answer.
pub(crate) fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value}")).to_owned()
}
