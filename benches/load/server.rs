//! The server as a process of its own, and the client that asks it.
//!
//! Start with [`Server::spawn`].

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use switchhook::outbound;

use crate::floor::{ACCOUNT, TOKEN};

/// Longest time the server may take to answer its first question.
const ATTEMPTS_MAX: u32 = 60_000;

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    client: reqwest::Client,
}

impl Server {
    /// Starts the program on this database. It may not answer yet when this returns.
    pub(crate) fn spawn(database: &Path) -> Self {
        outbound::install_tls();
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let log = std::fs::File::create(database.with_extension("log")).expect("a file for the log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchhook"));
        for (name, _) in std::env::vars() {
            if name.starts_with("SWITCHHOOK_") {
                command.env_remove(name);
            }
        }
        let child = command
            .arg("serve")
            .current_dir(database.parent().expect("a directory"))
            .env("SWITCHHOOK_LISTEN", address.to_string())
            .env("SWITCHHOOK_DATABASE_URL", format!("sqlite:{}", database.display()))
            .env("SWITCHHOOK_ACCOUNT_SID", ACCOUNT)
            .env("SWITCHHOOK_AUTH_TOKEN", TOKEN)
            .env("SWITCHHOOK_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let client = outbound::client_builder().timeout(Duration::from_mins(1)).build().expect("a client");
        Self { child, address, client }
    }

    pub(crate) async fn wait_until_ready(&self) {
        let url = format!("http://{}/readyz", self.address);
        for _ in 0..ATTEMPTS_MAX {
            if self.client.get(&url).send().await.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the server at {} does not answer", self.address);
    }

    pub(crate) fn client(&self) -> Client {
        Client { http: self.client.clone(), base: format!("http://{}/v1", self.address) }
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let pid = self.child.id().to_string();
        let shown = Command::new("ps").args(["-o", "rss=", "-p", &pid]).output().expect("ps runs");
        let text = String::from_utf8(shown.stdout).expect("ps prints text");
        text.trim().parse::<u64>().expect("ps prints kibibytes") * 1_024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks the server's REST.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// A request that must succeed.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let request = self.http.post(format!("{}{path}", self.base)).form(form);
        let (status, body) = self.answer(request).await.expect("the server answers");
        assert!(status.is_success(), "{path} {form:?}: {status} {body}");
        body
    }

    /// Repeats a request for as long as nobody listens.
    pub(crate) async fn post_when_listening(&self, path: &str, form: &[(&str, &str)]) -> Value {
        for _ in 0..ATTEMPTS_MAX {
            let request = self.http.post(format!("{}{path}", self.base)).form(form);
            match self.answer(request).await {
                Ok((status, body)) if status.is_success() => return body,
                Ok((status, body)) => panic!("{path} {form:?}: {status} {body}"),
                Err(error) if error.is_connect() => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(error) => panic!("{path}: {error}"),
            }
        }
        panic!("nobody listens at {}", self.base);
    }

    /// A read that must succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.base));
        let (status, body) = self.answer(request).await.expect("the server answers");
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<(StatusCode, Value), reqwest::Error> {
        let answer = request.basic_auth(ACCOUNT, Some(TOKEN)).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }
}
