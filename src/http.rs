//! The HTTP listener: an accept loop of our own, with a limit for everything a client could make us wait for.
//!
//! `axum::serve` sets no timer, so a client that dribbles its request head would hold a connection for ever. Here the
//! head, the body, the pauses between requests and the reading of answers have time limits, and connections are
//! counted in total and per address. This module must not know any route. Start with [`serve`] and [`Limits`].

mod addresses;
mod half_open;
mod public_url;
mod requests;
mod stream;

use std::convert::Infallible;
use std::future::Future as _;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit};
use axum::http::{Request, StatusCode};
use axum::middleware;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use half_open::{HalfOpen, Unheard};
use stream::{Patience, Progress, TimedStream};

pub use addresses::{AddressPlace, Addresses};
pub use public_url::PublicUrl;
pub use requests::{RequestId, name_route};

/// How long the accept loop rests after the system refused a connection (out of file descriptors, for instance).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that wait to be accepted: after a restart every agent comes back within a second.
const BACKLOG: u32 = 4_096;

/// Bytes of answers that the system takes from us and the client has not taken yet: several large answers of one connection are
/// made one after the other, as the client takes them, and not for a client that only asks.
const SEND_BUFFER: u32 = 512 * 1024;

/// Listens on `address`; port 0 takes a free one.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A port whose former owner was killed can be used again at once.
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What one listener lets its clients use. Anything beyond is refused or closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open connections in total; further ones wait in the system's backlog.
    pub connections: usize,
    /// Of these, connections without a first request; beyond it the oldest is closed for a new one.
    pub half_open: usize,
    /// Open connections of one address (of one /64 network for IPv6); loopback is exempt, because a reverse proxy on
    /// the same machine brings everybody's connections.
    pub connections_per_address: usize,
    /// Bytes of a request head: request line and headers. At least 8 KiB, which is hyper's own minimum.
    pub head_bytes: usize,
    /// Headers of one request.
    pub headers: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
    /// Bytes of a request body, for extractors that have no limit of their own.
    pub body_bytes: usize,
    /// Requests a second of one account's applications, on average; for two seconds at once.
    pub requests_per_sec: u32,
    /// Of these, lists filtered by an expression.
    pub expression_lists_per_sec: u32,
    /// Requests a second of one agent's browser.
    pub agent_requests_per_sec: u32,
    /// From the connection or the first byte of a request to the end of its head.
    pub head_time: Duration,
    /// From the end of the head to the end of the body.
    pub body_time: Duration,
    /// Between two requests on one connection.
    pub idle_time: Duration,
    /// Without the client taking a single byte of an answer.
    pub write_time: Duration,
    /// From the shutdown signal until open connections are cut.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            half_open: 1_000,
            connections_per_address: 1_024,
            head_bytes: 32 * 1024,
            headers: 64,
            target_bytes: 16 * 1024,
            body_bytes: 4 * 1024 * 1024,
            requests_per_sec: 5_000,
            expression_lists_per_sec: 5_000,
            agent_requests_per_sec: 200,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(15),
            idle_time: Duration::from_secs(75),
            write_time: Duration::from_secs(20),
            drain_time: Duration::from_secs(8),
        }
    }
}

/// Serves `router` on `listener` until `shutdown` is cancelled, then answers what was begun and returns.
///
/// Handlers find the peer in `ConnectInfo<SocketAddr>` and the identifier of the request in [`RequestId`]. A
/// connection that is still open `drain_time` after the shutdown signal is cut.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, shutdown: CancellationToken) {
    let router = router
        .layer(middleware::from_fn_with_state(limits.clone(), requests::observe))
        .layer(DefaultBodyLimit::max(limits.body_bytes));
    let cut = CancellationToken::new();
    let server = Server {
        router,
        limits: Arc::new(limits),
        addresses: Addresses::default(),
        drain: shutdown.clone(),
        cut: cut.clone(),
    };
    let places = Arc::new(Semaphore::new(server.limits.connections));
    let half_open = HalfOpen::new(server.limits.half_open);
    let connections = TaskTracker::new();
    let accepting = async {
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, peer)) => server.admit(&connections, stream, peer, place, half_open.enter().await),
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = shutdown.cancelled() => {}
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(server.limits.drain_time, connections.wait()).await.is_err() {
        warn!(connections = connections.len(), "cutting connections that did not end in time");
        cut.cancel();
        connections.wait().await;
    }
}

/// What the connections of one listener share.
#[derive(Clone)]
struct Server {
    router: Router,
    limits: Arc<Limits>,
    addresses: Addresses,
    drain: CancellationToken,
    cut: CancellationToken,
}

/// A connection's places in the counts; given back when it ends.
struct Place {
    _total: OwnedSemaphorePermit,
    _address: AddressPlace,
    unheard: Unheard,
}

impl Server {
    fn admit(
        &self,
        connections: &TaskTracker,
        stream: TcpStream,
        peer: SocketAddr,
        total: OwnedSemaphorePermit,
        unheard: Unheard,
    ) {
        let Some(address) = self.addresses.enter(peer.ip(), self.limits.connections_per_address) else {
            metrics::counter!("taskrouter_http_refused_connections_total", "reason" => "address").increment(1);
            debug!("an address has too many connections");
            return;
        };
        let place = Place { _total: total, _address: address, unheard };
        connections.spawn(self.clone().connection(stream, peer, place));
    }

    async fn connection(self, stream: TcpStream, peer: SocketAddr, place: Place) {
        let place = Arc::new(place);
        let unheard = Arc::clone(&place);
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "cannot send small answers without delay");
        }
        let progress = Progress::default();
        let patience =
            Patience { head: self.limits.head_time, idle: self.limits.idle_time, write: self.limits.write_time };
        let stream = TokioIo::new(TimedStream::new(stream, patience, progress.clone()));
        let router = self.router;
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let in_progress = progress.begin();
            unheard.unheard.heard();
            let router = router.clone();
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    in_progress.for_ever();
                    return Ok::<_, Infallible>(response);
                }
                Ok(response.map(|body| Body::new(stream::Answer::new(body, in_progress))))
            }
        });
        // The time limits of `TimedStream` replace hyper's, which cannot tell a pause between requests from a slow head.
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(self.limits.head_bytes)
            .max_header_size(self.limits.head_bytes)
            .max_headers(self.limits.headers)
            .serve_connection(stream, service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let mut draining = pin!(self.drain.cancelled());
        let mut told = false;
        let run = std::future::poll_fn(|context| {
            if !told && draining.as_mut().poll(context).is_ready() {
                told = true;
                Pin::as_mut(&mut connection).graceful_shutdown();
            }
            connection.as_mut().poll(context)
        });
        tokio::select! {
            result = run => if let Err(error) = result {
                debug!(%error, "a connection ended early");
            },
            () = place.unheard.displaced.cancelled() => debug!("a connection without a request made room for another"),
            () = self.cut.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests;
