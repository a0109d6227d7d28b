//! HTTP requests to URLs that users gave: `action`, `waitUrl`, callbacks.
//!
//! Whoever may write such a URL must not be able to make this server talk to its own network (server-side request
//! forgery), so every request passes four gates: scheme and port, address of a literal, address after the one look-up
//! (the connection goes to exactly the addresses that were checked), and no redirects or proxies. No URL leads back to
//! this server either. Answers are bounded in size and time; the fragment of a URL may say how long and how often
//! (`overrides`). This module must not know what the answer means. Start with [`Outbound::send`].

mod connecting;
mod overrides;
mod retry_after;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Method, Url, redirect};
use tokio::sync::Semaphore;

use connecting::{Connecting, ConnectingLayer, not_own};
pub use overrides::{Failed, Overrides, RetriedOn};
pub(crate) use retry_after::retry_after;

use crate::traces;

/// Largest answer that is read, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;
/// An answer whose status is all that counts is read for so long; what has not come then is thrown away.
const CUT_AFTER: Duration = Duration::from_secs(1);
/// Requests under way at the same time.
const IN_FLIGHT_LIMIT: usize = 2_000;
/// Longest URL that is requested, in bytes.
const URL_LIMIT: usize = 16 * 1024;
/// Ports of services that speak no HTTP or that no webhook should reach.
const DENIED_PORTS: [u16; 16] =
    [1433, 1521, 2049, 2375, 2376, 2379, 2380, 3306, 5432, 5984, 6379, 6443, 9200, 10_250, 11_211, 27_017];

/// Makes the TLS implementation known to the process; needed once before any client is built, harmless when repeated.
pub fn install_tls() {
    // An error only says that it was installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A URL as it goes over the wire, which is what a signature has to cover: characters that need it are encoded, a host
/// alone has a path, and the fragment is no part of it. A text that is no URL stays as it is.
#[must_use]
pub fn as_requested(url: &str) -> String {
    let bare = url.split_once('#').map_or(url, |(bare, _)| bare);
    Url::parse(bare).map_or_else(|_| bare.to_owned(), String::from)
}

/// A client builder with what every client of this project has: no redirects, no proxies, no `Referer`.
pub fn client_builder() -> reqwest::ClientBuilder {
    install_tls();
    reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .user_agent(concat!("switchhook/", env!("CARGO_PKG_VERSION")))
}

/// A block of addresses such as `10.0.0.0/8` or `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

/// A text that is not a block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a block of addresses such as 10.0.0.0/8, found {0:?}")]
pub struct InvalidCidr(String);

impl FromStr for Cidr {
    type Err = InvalidCidr;

    /// A single address without `/` is a block of one.
    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let invalid = || InvalidCidr(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let network: IpAddr = address.trim().parse().map_err(|_| invalid())?;
        let longest = if network.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = prefix.map_or(Ok(longest), |prefix| prefix.trim().parse()).map_err(|_| invalid())?;
        if prefix > longest {
            return Err(invalid());
        }
        Ok(Self { network, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.network, self.prefix)
    }
}

impl Cidr {
    const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Self {
        Self { network: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), prefix }
    }

    const fn v6(high: [u16; 3], prefix: u8) -> Self {
        Self { network: IpAddr::V6(Ipv6Addr::new(high[0], high[1], high[2], 0, 0, 0, 0, 0)), prefix }
    }

    /// Whether `address` lies in this block; the two families never meet.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix);
                shift >= 32 || u32::from(network) >> shift == u32::from(address) >> shift
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix);
                shift >= 128 || u128::from(network) >> shift == u128::from(address) >> shift
            }
            _ => false,
        }
    }
}

/// Networks of one's own: denied unless private networks are allowed.
const PRIVATE: [Cidr; 6] = [
    Cidr::v4(10, 0, 0, 8),
    Cidr::v4(100, 64, 0, 10),
    Cidr::v4(127, 0, 0, 8),
    Cidr::v4(172, 16, 0, 12),
    Cidr::v4(192, 168, 0, 16),
    Cidr::v6([0xfc00, 0, 0], 7),
];

/// Link-local, metadata, multicast, documentation and other special networks: denied unless named one by one.
const SPECIAL: [Cidr; 19] = [
    Cidr::v4(0, 0, 0, 8),
    Cidr::v4(169, 254, 0, 16),
    Cidr::v4(192, 0, 0, 24),
    Cidr::v4(192, 0, 2, 24),
    Cidr::v4(192, 88, 99, 24),
    Cidr::v4(198, 18, 0, 15),
    Cidr::v4(198, 51, 100, 24),
    Cidr::v4(203, 0, 113, 24),
    Cidr::v4(224, 0, 0, 4),
    Cidr::v4(240, 0, 0, 4),
    // The metadata service of a large cloud inside fc00::/7.
    Cidr { network: IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), prefix: 128 },
    Cidr::v6([0x64, 0xff9b, 1], 48),
    Cidr::v6([0x100, 0, 0], 64),
    Cidr::v6([0x2001, 0, 0], 23),
    Cidr::v6([0x2001, 0xdb8, 0], 32),
    Cidr::v6([0xfe80, 0, 0], 10),
    Cidr::v6([0xfec0, 0, 0], 10),
    Cidr::v6([0xff00, 0, 0], 8),
    Cidr { network: IpAddr::V6(Ipv6Addr::UNSPECIFIED), prefix: 128 },
];

/// The IPv4 address that an IPv6 address of a translation scheme stands for.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = u128::from(address);
    let low = u32::try_from(bits & 0xffff_ffff).expect("32 bits were masked");
    let mapped = bits >> 32 == 0xffff;
    let translated = bits >> 32 == 0x0064_ff9b_0000_0000_0000_0000;
    // `::a.b.c.d`; `::` and `::1` have rules of their own.
    let compatible = bits >> 32 == 0 && low > 1;
    if mapped || translated || compatible {
        return Some(low.into());
    }
    if bits >> 112 == 0x2002 {
        return Some(u32::try_from((bits >> 80) & 0xffff_ffff).expect("32 bits were masked").into());
    }
    None
}

/// An address without its disguise: the IPv4 address that one of IPv6 stands for.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => embedded_v4(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Which addresses may be reached.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Private networks and loopback may be reached (`SWITCHHOOK_OUTBOUND_ALLOW_PRIVATE`).
    pub allow_private: bool,
    /// Blocks that may be reached whatever they are (`SWITCHHOOK_OUTBOUND_ALLOW_CIDRS`).
    pub allow_cidrs: Vec<Cidr>,
}

/// Why an address may not be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It is in a network of one's own.
    #[error("{0} is in a private network; SWITCHHOOK_OUTBOUND_ALLOW_PRIVATE=true allows requests to private networks")]
    Private(IpAddr),
    /// It is in a network that no webhook has a business in.
    #[error(
        "{0} is in a link-local, metadata or otherwise special network; only a block named in \
         SWITCHHOOK_OUTBOUND_ALLOW_CIDRS allows requests to it"
    )]
    Special(IpAddr),
    /// This server listens there.
    #[error("{0} is this server itself, which no URL may lead back to")]
    Own(SocketAddr),
    /// The name has no address.
    #[error("{0} has no address")]
    NoAddress(String),
}

impl Rules {
    /// Whether `address` may be reached.
    pub fn check(&self, address: IpAddr) -> Result<(), Denied> {
        let real = plain(address);
        if self.allow_cidrs.iter().any(|block| block.contains(address) || block.contains(real)) {
            return Ok(());
        }
        let within = |blocks: &[Cidr]| blocks.iter().any(|block| block.contains(real));
        if within(&SPECIAL) {
            return Err(Denied::Special(address));
        }
        if !self.allow_private && (within(&PRIVATE) || real == IpAddr::V6(Ipv6Addr::LOCALHOST)) {
            return Err(Denied::Private(address));
        }
        Ok(())
    }

    /// Checks scheme, port and a literal address, and returns the URL as it will be requested.
    pub fn check_url(&self, text: &str) -> Result<Url, Error> {
        if text.len() > URL_LIMIT {
            return Err(Error::InvalidUrl(format!("expected at most {URL_LIMIT} bytes")));
        }
        let url = Url::parse(text).map_err(|error| Error::InvalidUrl(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::InvalidUrl(format!("expected http or https, found {}", url.scheme())));
        }
        let port = url.port_or_known_default().unwrap_or(0);
        if !(port == 80 || port == 443 || port >= 1024) || DENIED_PORTS.contains(&port) {
            return Err(Error::PortDenied(port));
        }
        match url.host() {
            Some(url::Host::Ipv4(address)) => self.check(address.into())?,
            Some(url::Host::Ipv6(address)) => self.check(address.into())?,
            Some(url::Host::Domain(name)) if !name.is_empty() => {}
            _ => return Err(Error::InvalidUrl("expected a host".to_owned())),
        }
        Ok(url)
    }
}

/// Looks a name up once and hands on only the addresses that may be reached.
#[derive(Debug)]
struct CheckedResolver(Arc<Rules>);

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = allowed_addresses(&rules, name.as_str(), &found)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn allowed_addresses(rules: &Rules, name: &str, found: &[SocketAddr]) -> Result<Vec<SocketAddr>, Denied> {
    let mut denied = None;
    let mut allowed = Vec::with_capacity(found.len());
    for address in found {
        match rules.check(address.ip()).and_then(|()| Connecting::check_present(address.ip())) {
            Ok(()) => allowed.push(*address),
            Err(reason) => denied = Some(reason),
        }
    }
    if allowed.is_empty() {
        return Err(denied.unwrap_or_else(|| Denied::NoAddress(name.to_owned())));
    }
    Ok(allowed)
}

/// Why a request to a user's URL has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not a URL that can be requested.
    #[error("invalid URL: {0}")]
    InvalidUrl(String),
    /// The port belongs to another service.
    #[error("port {0} is not allowed: expected 80, 443 or a port from 1024 on that is no database or control port")]
    PortDenied(u16),
    /// The address may not be reached.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// No connection, or it broke.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// No complete answer in time.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// The answer is larger than [`BODY_LIMIT`].
    #[error("the answer is larger than {BODY_LIMIT} bytes")]
    TooLarge,
}

/// How a user's URL is requested.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// GET or POST.
    pub method: Method,
    /// The URL, with everything that belongs into its query; its fragment is read as [`Overrides`] and not sent.
    pub url: &'a str,
    /// Form pairs of a POST.
    pub form: &'a [(String, String)],
    /// Further headers.
    pub headers: &'a [(&'static str, String)],
}

/// What a user's URL answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, lower case, without parameters; empty when absent.
    pub content_type: String,
    /// Values of `Set-Cookie`, which are for whom the answer is passed on to; we keep none.
    pub set_cookie: Vec<String>,
    /// How long `Retry-After` asks to wait.
    pub retry_after: Option<Duration>,
    /// At most [`BODY_LIMIT`] bytes; sound is not read.
    pub body: Vec<u8>,
}

/// What came of a request, for the figures: the class of its answer, or what was wrong.
pub const fn outcome_code(sent: &Result<Answer, Error>) -> &'static str {
    match sent {
        Ok(Answer { status: 200..=299, .. }) => "2xx",
        Ok(Answer { status: 300..=399, .. }) => "3xx",
        Ok(Answer { status: 400..=499, .. }) => "4xx",
        Ok(Answer { status: 500..=599, .. }) => "5xx",
        Ok(_) => "other",
        Err(Error::Unreachable(_)) => "no_connection",
        Err(Error::Timeout(_)) => "timeout",
        Err(Error::InvalidUrl(_) | Error::PortDenied(_) | Error::Denied(_) | Error::TooLarge) => "impossible",
    }
}

/// Client for URLs that users gave; cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbound {
    client: reqwest::Client,
    /// For URLs that ask for more time to connect than most; made when there is one.
    slow_client: Arc<OnceLock<reqwest::Client>>,
    rules: Arc<Rules>,
    own: Arc<[SocketAddr]>,
    timeout: Duration,
    in_flight: Arc<Semaphore>,
}

impl Outbound {
    /// Makes a client that connects within 5 seconds, unless the URL says otherwise, and ends each request within
    /// `timeout`.
    pub fn new(rules: Rules, timeout: Duration) -> Result<Self, Error> {
        let rules = Arc::new(rules);
        Ok(Self {
            client: client(&rules, Overrides::CONNECT, timeout)?,
            slow_client: Arc::default(),
            rules,
            own: Arc::default(),
            timeout,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_LIMIT)),
        })
    }

    /// The same client, which does not reach the listener `own` of this server, whatever the rules allow.
    #[must_use]
    pub fn apart_from(self, own: SocketAddr) -> Self {
        Self { own: self.own.iter().copied().chain([own]).collect(), ..self }
    }

    /// Sends one request; one that failed is repeated at once as its URL says, or once if no connection came about.
    pub async fn send(&self, request: &Request<'_>) -> Result<Answer, Error> {
        let url = self.check_url(request.url)?;
        let overrides = Overrides::of(request.url).unwrap_or_default();
        let total = overrides.total.map_or(self.timeout, |total| total.min(self.timeout));
        let each = overrides.answer.map_or(total, |answer| answer.min(total));
        let all = async {
            let _permit = self.in_flight.acquire().await.map_err(|error| Error::Unreachable(error.to_string()))?;
            let mut retries = overrides.retries;
            loop {
                let attempt = self.attempt(request, url.clone(), overrides.connect);
                let attempt = tokio::time::timeout(each, attempt).await;
                let outcome = attempt.unwrap_or(Err(Attempt::Failed(Error::Timeout(each))));
                let failed = match &outcome {
                    Ok(answer) => Some(Failed::Status(answer.status)),
                    Err(Attempt::NotConnected(_)) => Some(Failed::NoConnection),
                    Err(Attempt::Failed(Error::Timeout(_))) => Some(Failed::NoAnswer),
                    Err(Attempt::Failed(_)) => None,
                };
                if retries == 0 || !failed.is_some_and(|failed| overrides.on.covers(failed)) {
                    return outcome.map_err(Attempt::into_error);
                }
                retries -= 1;
            }
        };
        tokio::time::timeout(total, all).await.unwrap_or(Err(Error::Timeout(total)))
    }

    /// Sends one request, once, whose answer matters only by its status: of its body is kept what comes soon, and one that
    /// is long, endless or broken is no failure. Waits for its turn as long as it takes, and then `patience` for the status,
    /// at most as long as this client waits for any.
    pub async fn deliver(&self, request: &Request<'_>, patience: Duration) -> Result<Answer, Error> {
        let url = self.check_url(request.url)?;
        let connect = Overrides::of(request.url).unwrap_or_default().connect;
        let _permit = self.in_flight.acquire().await.map_err(|error| Error::Unreachable(error.to_string()))?;
        let patience = patience.min(self.timeout);
        let response = tokio::time::timeout(patience, self.respond(request, url, connect)).await;
        let mut response = response.map_err(|_| Error::Timeout(patience))?.map_err(Attempt::into_error)?;
        let mut answer = head_of(&response);
        let read = async {
            while let Ok(Some(chunk)) = response.chunk().await {
                let room = BODY_LIMIT - answer.body.len();
                answer.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    return;
                }
            }
        };
        // What was not read goes with its connection.
        let _ = tokio::time::timeout(CUT_AFTER, read).await;
        Ok(answer)
    }

    /// Checks all of a URL that can be checked before a name is looked up.
    fn check_url(&self, text: &str) -> Result<Url, Error> {
        let mut url = self.rules.check_url(text)?;
        url.set_fragment(None);
        let address = match url.host() {
            Some(url::Host::Ipv4(address)) => Some(IpAddr::from(address)),
            Some(url::Host::Ipv6(address)) => Some(address.into()),
            _ => None,
        };
        if let Some(address) = address {
            not_own(&self.own, address, url.port_or_known_default().unwrap_or(0))?;
        }
        Ok(url)
    }

    /// The client that waits long enough for a connection.
    fn client_for(&self, connect: Duration) -> Result<&reqwest::Client, Error> {
        if connect <= Overrides::CONNECT {
            return Ok(&self.client);
        }
        if let Some(client) = self.slow_client.get() {
            return Ok(client);
        }
        let client = client(&self.rules, Overrides::CONNECT_MAX, self.timeout)?;
        Ok(self.slow_client.get_or_init(|| client))
    }

    /// The whole answer, which must not be too large.
    async fn attempt(&self, request: &Request<'_>, url: Url, connect: Duration) -> Result<Answer, Attempt> {
        let mut response = self.respond(request, url, connect).await?;
        let mut answer = head_of(&response);
        if answer.content_type.starts_with("audio/") {
            return Ok(answer);
        }
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(&error))? {
            if answer.body.len() + chunk.len() > BODY_LIMIT {
                return Err(Attempt::Failed(Error::TooLarge));
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    /// The answer as far as its headers.
    async fn respond(&self, request: &Request<'_>, url: Url, connect: Duration) -> Result<reqwest::Response, Attempt> {
        let wishes =
            Connecting { within: connect, port: url.port_or_known_default().unwrap_or(0), own: Arc::clone(&self.own) };
        let client = self.client_for(connect).map_err(Attempt::Failed)?;
        let mut builder = client.request(request.method.clone(), url).headers(traces::headers());
        for (name, value) in request.headers {
            builder = builder.header(*name, value);
        }
        if request.method == Method::POST {
            builder = builder.form(request.form);
        }
        wishes.run(builder.send()).await.map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &reqwest::Error) -> Attempt {
        if let Some(denied) = denied_within(error) {
            return Attempt::Failed(Error::Denied(denied));
        }
        // First, because a connection that takes too long is none.
        if error.is_connect() {
            return Attempt::NotConnected(Error::Unreachable(innermost(error)));
        }
        if error.is_timeout() {
            return Attempt::Failed(Error::Timeout(self.timeout));
        }
        Attempt::Failed(Error::Unreachable(innermost(error)))
    }
}

/// An answer without its body.
fn head_of(response: &reqwest::Response) -> Answer {
    let headers = response.headers();
    let content_type = headers
        .get(reqwest::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .unwrap_or_default();
    let set_cookie = headers.get_all(reqwest::header::SET_COOKIE).iter();
    Answer {
        status: response.status().as_u16(),
        content_type,
        set_cookie: set_cookie.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect(),
        retry_after: retry_after(headers),
        body: Vec::new(),
    }
}

/// A client that looks names up by `rules`, and waits `connect` for a connection at most.
fn client(rules: &Arc<Rules>, connect: Duration, timeout: Duration) -> Result<reqwest::Client, Error> {
    client_builder()
        .dns_resolver(CheckedResolver(Arc::clone(rules)))
        .connector_layer(ConnectingLayer)
        .connect_timeout(connect)
        .timeout(timeout)
        .build()
        .map_err(|error| Error::Unreachable(error.to_string()))
}

/// Whether a failed attempt may be made again without asking.
enum Attempt {
    NotConnected(Error),
    Failed(Error),
}

impl Attempt {
    fn into_error(self) -> Error {
        match self {
            Self::NotConnected(error) | Self::Failed(error) => error,
        }
    }
}

fn denied_within(error: &reqwest::Error) -> Option<Denied> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(denied) = inner.downcast_ref::<Denied>() {
            return Some(denied.clone());
        }
        source = inner.source();
    }
    None
}

/// The text of the error that caused the others: it says what happened and holds no URL.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let Some(mut source) = std::error::Error::source(error) else { return "request failed".to_owned() };
    while let Some(inner) = source.source() {
        source = inner;
    }
    source.to_string()
}

#[cfg(test)]
mod tests;
