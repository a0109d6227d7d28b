//! What the connector has to know of the request that it connects for: how long that may take, and which port it leads to.
//!
//! The client makes connections for whoever needs one next, so the request's own wishes go with the task that asks. Must
//! not know URLs or answers. Start with [`Connecting`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower::{Layer, Service};

use super::{Denied, plain};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

tokio::task_local! {
    static CONNECTING: Connecting;
}

/// The wishes of one request about its connection.
#[derive(Debug, Clone)]
pub(super) struct Connecting {
    /// It takes no longer, the look-up of the name included.
    pub(super) within: Duration,
    /// Where it leads to.
    pub(super) port: u16,
    /// Where this server listens.
    pub(super) own: Arc<[SocketAddr]>,
}

impl Connecting {
    /// Runs a request with these wishes.
    pub(super) async fn run<T>(self, request: impl Future<Output = T>) -> T {
        CONNECTING.scope(self, request).await
    }

    /// Whether the request that is being connected for may reach `address`.
    pub(super) fn check_present(address: IpAddr) -> Result<(), Denied> {
        CONNECTING.try_with(|present| not_own(&present.own, address, present.port)).unwrap_or(Ok(()))
    }
}

/// Refuses an address at which this server listens itself, by whatever name.
pub(super) fn not_own(own: &[SocketAddr], address: IpAddr, port: u16) -> Result<(), Denied> {
    let real = plain(address);
    let is_own = |own: &SocketAddr| {
        let listens_at = plain(own.ip());
        own.port() == port
            && (listens_at == real
                // A connection to "any address" is one to this machine.
                || (real.is_unspecified() && listens_at.is_loopback())
                || (listens_at.is_unspecified() && is_of_this_machine(real)))
    };
    if own.iter().any(is_own) { Err(Denied::Own(SocketAddr::new(address, port))) } else { Ok(()) }
}

/// Whether an address is one of this machine's: then the system would choose it as the sender's, too. Nothing is sent.
fn is_of_this_machine(address: IpAddr) -> bool {
    if address.is_loopback() || address.is_unspecified() {
        return true;
    }
    let any: IpAddr =
        if address.is_ipv4() { std::net::Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let chosen = std::net::UdpSocket::bind((any, 0)).and_then(|socket| {
        // The port does not matter.
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    chosen.is_ok_and(|chosen| chosen.ip() == address)
}

/// Applies the wishes of the request that a connection is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectingLayer;

impl<S> Layer<S> for ConnectingLayer {
    type Service = ConnectingService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ConnectingService(inner)
    }
}

/// See [`ConnectingLayer`].
#[derive(Debug, Clone)]
pub(super) struct ConnectingService<S>(S);

impl<S, D> Service<D> for ConnectingService<S>
where
    S: Service<D, Error = BoxError>,
    S::Response: 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, destination: D) -> Self::Future {
        let connection = self.0.call(destination);
        // Read now, on the task of the request: the client may finish a connection on another one.
        let Ok(wishes) = CONNECTING.try_with(Clone::clone) else { return Box::pin(connection) };
        let within = wishes.within;
        Box::pin(wishes.run(async move {
            let too_late = || io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {within:?}"));
            tokio::time::timeout(within, connection).await.unwrap_or_else(|_| Err(too_late().into()))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_addresses_are_known_by_every_name() {
        for (own, address, port, denied) in [
            ("127.0.0.1:8080", "127.0.0.1", 8080, true),
            ("127.0.0.1:8080", "127.0.0.1", 8081, false),
            ("127.0.0.1:8080", "::ffff:127.0.0.1", 8080, true),
            ("127.0.0.1:8080", "64:ff9b::7f00:1", 8080, true),
            ("127.0.0.1:8080", "0.0.0.0", 8080, true),
            ("127.0.0.1:8080", "127.0.0.2", 8080, false),
            ("192.0.2.7:8080", "127.0.0.1", 8080, false),
            ("192.0.2.7:8080", "192.0.2.7", 8080, true),
            ("0.0.0.0:8080", "127.0.0.1", 8080, true),
            ("0.0.0.0:8080", "127.9.9.9", 8080, true),
            ("[::]:8080", "::1", 8080, true),
            ("[::]:8080", "127.0.0.1", 8080, true),
            ("[::]:8080", "127.0.0.1", 80, false),
            ("0.0.0.0:8080", "192.0.2.7", 8080, false),
        ] {
            let own: SocketAddr = own.parse().unwrap();
            let refused = not_own(&[own], address.parse().unwrap(), port).is_err();
            assert_eq!(refused, denied, "{own} {address} {port}");
        }
        assert_eq!(not_own(&[], "127.0.0.1".parse().unwrap(), 80), Ok(()));
    }

    #[test]
    fn addresses_of_this_machine_are_told_from_others() {
        assert!(is_of_this_machine("127.0.0.1".parse().unwrap()));
        assert!(!is_of_this_machine("192.0.2.1".parse().unwrap()));
        // The address that this machine would be seen under, where it has one.
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.1:9").is_ok() {
            assert!(is_of_this_machine(socket.local_addr().unwrap().ip()));
        }
    }
}
