//! What sockets may use, and why one is refused or closed.
//!
//! Values only; who acts on them is the hub. Start with [`Limits`].

use std::time::Duration;

/// What agents may use of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open sockets of one worker, task queue or workspace.
    pub per_worker: usize,
    /// Open sockets of one address (of one /64 network for IPv6); loopback is exempt, as it is for connections.
    pub per_address: usize,
    /// Open sockets in all.
    pub total: usize,
    /// Most bytes that wait for one socket; one that leaves more waiting is cut.
    pub queued_bytes: usize,
    /// A socket that takes nothing for so long is cut.
    pub write_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_worker: 256,
            per_address: 256,
            total: 20_000,
            queued_bytes: 256 * 1024,
            write_time: Duration::from_secs(10),
        }
    }
}

/// Why there is no place for a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPlace {
    #[error("The worker has too many open sockets")]
    Worker,
    #[error("The channel has too many open sockets")]
    Channel,
    #[error("Too many sockets are open")]
    Node,
    #[error("The server stops")]
    Stopping,
}

impl NoPlace {
    /// For the metric.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Worker | Self::Channel => "worker_limit",
            Self::Node => "node_limit",
            Self::Stopping => "restart",
        }
    }
}

/// Why a socket is to be closed: a WebSocket close code and a text that the application sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closing {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    /// For the metric.
    pub(crate) label: &'static str,
}

/// Another socket of the same worker asked for it.
pub(crate) const REPLACED: Closing = Closing { code: 1000, reason: "session replaced", label: "replaced" };
/// The token's time is over.
pub(crate) const EXPIRED: Closing = Closing { code: 1000, reason: "token expired", label: "expired" };
/// The browser has to read the workspace's objects again.
pub(crate) const CHANGED: Closing = Closing { code: 1012, reason: "workspace changed", label: "changed" };
/// The API key that signed its token is revoked.
pub(crate) const REVOKED: Closing = Closing { code: 1008, reason: "not permitted", label: "revoked" };
/// The server stops.
pub(crate) const RESTART: Closing = Closing { code: 1012, reason: "server restart", label: "restart" };
/// It does not take what is sent.
pub(crate) const SLOW: Closing = Closing { code: 1008, reason: "too slow", label: "slow" };
/// What it is of does not exist any more.
pub(crate) const GONE: Closing = Closing { code: 1008, reason: "deleted", label: "gone" };
/// There was no place for it after all.
pub(crate) const FULL: Closing = Closing { code: 1013, reason: "too many sockets", label: "full" };
