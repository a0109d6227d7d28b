//! The demo's HTTP client: form posts and reads with Basic auth, like any application's.

use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::outbound;

use super::{Error, Sides};

/// Talks to the server's REST API and to the phone system's control API.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    server: String,
    phone: String,
    account_sid: String,
    auth_token: SecretString,
}

/// Longest part of a refusal that is shown.
const BODY_CHARS_MAX: usize = 300;

impl Client {
    pub(super) fn new(sides: &Sides) -> Result<Self, Error> {
        outbound::install_tls();
        Ok(Self {
            http: outbound::client_builder().timeout(std::time::Duration::from_secs(15)).build()?,
            server: format!("http://{}", sides.server),
            phone: format!("http://{}", sides.phone),
            account_sid: sides.account_sid.clone(),
            auth_token: sides.auth_token.clone(),
        })
    }

    /// Base URL of the server, for webhooks of the phone system's numbers.
    pub(super) fn server_url(&self) -> &str {
        &self.server
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Error> {
        let request = self.http.request(Method::GET, format!("{}{path}", self.server));
        self.send("GET", path, request).await
    }

    pub(super) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Value, Error> {
        let request = self.http.request(Method::POST, format!("{}{path}", self.server)).form(form);
        self.send("POST", path, request).await
    }

    /// A request to the phone system's control API.
    pub(super) async fn control(&self, method: Method, path: &str, body: &Value) -> Result<Value, Error> {
        let name = if method == Method::PUT { "PUT" } else { "POST" };
        let request = self.http.request(method, format!("{}{path}", self.phone)).json(body);
        self.send(name, path, request).await
    }

    async fn send(&self, method: &'static str, path: &str, request: reqwest::RequestBuilder) -> Result<Value, Error> {
        let answer = request.basic_auth(&self.account_sid, Some(self.auth_token.expose_secret())).send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        if !status.is_success() {
            let body = body.chars().take(BODY_CHARS_MAX).collect();
            return Err(Error::Refused { method, path: path.to_owned(), status: status.as_u16(), body });
        }
        Ok(serde_json::from_str(&body).unwrap_or(Value::Null))
    }
}

/// A text field of an answer; empty when it is not there.
pub(super) fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The items of a list's answer.
pub(super) fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
