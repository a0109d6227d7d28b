//! The first SDK, TaskRouter.js v1, over real connections: its requests, its socket, and what its tokens allow.
//!
//! Tokens are made here claim by claim as `twilio-python` makes them, so that nothing of the server's own making stands in
//! for theirs. Start with [`Official`].

mod frames;
mod policies;
mod requests;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use switchhook::notify::hub::Limits;
use tokio_tungstenite::{connect_async, tungstenite};

use super::programs::{ACCOUNT, TOKEN, text};
use super::sockets::{Browser, NOW, Office};

/// A capability token as the official library for Python writes it.
#[derive(Clone)]
struct Official {
    account: String,
    workspace: String,
    channel: String,
    policies: Vec<Value>,
}

impl Official {
    /// One that allows nothing.
    fn bare(office: &Office, channel: &str) -> Self {
        let (workspace, channel) = (office.workspace.to_string(), channel.to_owned());
        Self { account: ACCOUNT.to_owned(), workspace, channel, policies: Vec::new() }
    }

    /// One that may open a socket and send requests.
    fn new(office: &Office, channel: &str) -> Self {
        Self::bare(office, channel).web_sockets()
    }

    fn allow(mut self, url: &str, method: &str, post_filter: &Value) -> Self {
        self.policies.push(
            json!({ "url": url, "method": method, "allow": true, "query_filter": {}, "post_filter": post_filter }),
        );
        self
    }

    fn base(&self) -> String {
        format!("https://taskrouter.twilio.com/v1/Workspaces/{}", self.workspace)
    }

    /// What the token is for.
    fn resource(&self) -> String {
        match &self.channel[..2] {
            "WK" => format!("{}/Workers/{}", self.base(), self.channel),
            "WQ" => format!("{}/TaskQueues/{}", self.base(), self.channel),
            _ => self.base(),
        }
    }

    fn web_sockets(self) -> Self {
        let url = format!("https://event-bridge.twilio.com/v1/wschannels/{}/{}", self.account, self.channel);
        self.allow(&url, "GET", &json!({})).allow(&url, "POST", &json!({}))
    }

    /// The library's shortcut of this name.
    fn grant(self, name: &str) -> Self {
        let (base, own) = (self.base(), self.resource());
        let any = &json!({});
        match name {
            "allow_fetch_self" => self.allow(&own, "GET", any),
            "allow_update_self" => self.allow(&own, "POST", any),
            "allow_delete_self" => self.allow(&own, "DELETE", any),
            "allow_fetch_subresources" => self.allow(&format!("{own}/**"), "GET", any),
            "allow_update_subresources" => self.allow(&format!("{own}/**"), "POST", any),
            "allow_delete_subresources" => self.allow(&format!("{own}/**"), "DELETE", any),
            "allow_fetch_activities" => self.allow(&format!("{base}/Activities"), "GET", any),
            "allow_fetch_reservations" => self.allow(&format!("{base}/Tasks/**"), "GET", any),
            "allow_fetch_worker_reservations" => self.allow(&format!("{own}/Reservations/**"), "GET", any),
            "allow_update_activities" => self.allow(&own, "POST", &json!({ "ActivitySid": { "required": true } })),
            "allow_update_reservations" => self.allow(&format!("{base}/Tasks/**"), "POST", any).allow(
                &format!("{own}/Reservations/**"),
                "POST",
                any,
            ),
            other => panic!("the library has no {other}"),
        }
    }

    /// A worker's with all that its desk needs: the library's defaults, and changes of activity and reservations.
    fn of_worker(office: &Office) -> Self {
        let grants = [
            "allow_fetch_self",
            "allow_fetch_activities",
            "allow_fetch_reservations",
            "allow_fetch_worker_reservations",
            "allow_update_activities",
            "allow_update_reservations",
        ];
        grants.into_iter().fold(Self::new(office, &office.worker.to_string()), Self::grant)
    }

    fn claims(&self) -> Value {
        let mut claims = json!({
            "account_sid": self.account,
            "workspace_sid": self.workspace,
            "channel": self.channel,
            "version": "v1",
            "friendly_name": self.channel,
            "policies": self.policies,
            "iss": self.account,
            "exp": NOW.unix_secs() + 3_600,
            "nbf": NOW.unix_secs(),
        });
        match &self.channel[..2] {
            "WK" => claims["worker_sid"] = json!(self.channel),
            "WQ" => claims["taskqueue_sid"] = json!(self.channel),
            _ => {}
        }
        claims
    }

    fn signed(&self) -> String {
        signed(&self.claims(), TOKEN)
    }

    /// Where the SDK sends it.
    fn path(&self) -> String {
        format!("/v1/wschannels/{}/{}", self.account, self.channel)
    }
}

/// A JWT with these claims.
fn signed(claims: &Value, secret: &str) -> String {
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(&json!({ "typ": "JWT", "alg": "HS256" })), encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(text.as_bytes());
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Posts an envelope as the SDK does, which gives its body no type of its own.
async fn post(office: &Office, path: &str, envelope: &Value) -> (StatusCode, Value) {
    let url = format!("http://{}{path}", office.server().address());
    let request = office.http.post(url).header("content-type", "text/plain;charset=UTF-8").body(envelope.to_string());
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

/// Asks for `url`, absolute or below the workspace.
async fn ask(office: &Office, token: &Official, method: &str, url: &str, params: Value) -> (StatusCode, Value) {
    let url = if url.contains("://") { url.to_owned() } else { format!("{}{url}", token.base()) };
    let envelope = json!({ "url": url, "method": method, "params": params, "token": token.signed() });
    post(office, &token.path(), &envelope).await
}

/// What is asked for, which has to be allowed.
async fn payload(office: &Office, token: &Official, method: &str, url: &str, params: Value) -> Value {
    let (status, mut body) = ask(office, token, method, url, params).await;
    assert_eq!(status, StatusCode::OK, "{method} {url}: {body}");
    body["payload"].take()
}

/// Opens a socket as the SDK does, which always says whether others are to close.
async fn try_connect(office: &Office, path: &str, token: &str, query: &str) -> Result<Browser, (StatusCode, Value)> {
    let closing = if query.contains("closeExistingSessions") { "" } else { "&closeExistingSessions=false" };
    let url = format!("ws://{}{path}?token={token}{closing}{query}", office.server().address());
    match connect_async(url).await {
        Ok((browser, _)) => Ok(browser),
        Err(tungstenite::Error::Http(answer)) => {
            let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
            let body = answer.body().as_ref().map(|body| serde_json::from_slice(body).unwrap());
            Err((status, body.unwrap_or_default()))
        }
        Err(other) => panic!("{other}"),
    }
}

/// A workspace with a task that is offered to its agent.
struct Desk {
    office: Office,
    task: String,
    reservation: String,
}

impl Desk {
    async fn open() -> Self {
        let office = Office::open(Limits::default()).await;
        let task = text(&office.make(&office.at("/Tasks"), &[]).await, "sid");
        let list = office.get(&office.at(&format!("/Tasks/{task}/Reservations"))).await;
        let reservation = text(&list["reservations"][0], "sid");
        Self { office, task, reservation }
    }
}
