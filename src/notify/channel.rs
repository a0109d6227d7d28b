//! What a socket is of, and which SDK is behind it.
//!
//! Plain values, known by tokens, sockets and the hub. Start with [`Channel`].

use std::fmt;
use std::str::FromStr;

use crate::routing::{TaskQueueSid, WorkerSid, WorkspaceSid};

/// What a browser listens to. The present SDK knows only workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// An agent's.
    Worker(WorkerSid),
    /// A task queue's; nothing is told there.
    TaskQueue(TaskQueueSid),
    /// A workspace's; nothing is told there.
    Workspace(WorkspaceSid),
}

impl Channel {
    /// The worker, if it is one's.
    #[must_use]
    pub const fn worker(self) -> Option<WorkerSid> {
        match self {
            Self::Worker(worker) => Some(worker),
            Self::TaskQueue(_) | Self::Workspace(_) => None,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker(sid) => sid.fmt(formatter),
            Self::TaskQueue(sid) => sid.fmt(formatter),
            Self::Workspace(sid) => sid.fmt(formatter),
        }
    }
}

/// It is no SID of a kind that has a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SID of a worker, a task queue or a workspace")]
pub struct NoChannel;

impl FromStr for Channel {
    type Err = NoChannel;

    fn from_str(text: &str) -> Result<Self, NoChannel> {
        let worker = text.parse().map(Self::Worker);
        let queue = || text.parse().map(Self::TaskQueue);
        let workspace = || text.parse().map(Self::Workspace);
        worker.or_else(|_| queue()).or_else(|_| workspace()).map_err(|_| NoChannel)
    }
}

/// Which SDK reads what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Dialect {
    /// `twilio-taskrouter` 2 and 3.
    Present,
    /// TaskRouter.js v1.
    First,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_named_by_its_sid() {
        for channel in [
            Channel::Worker(WorkerSid::from_bits(1)),
            Channel::TaskQueue(TaskQueueSid::from_bits(1)),
            Channel::Workspace(WorkspaceSid::from_bits(1)),
        ] {
            assert_eq!(channel.to_string().parse(), Ok(channel));
        }
        for text in ["", "WT00000000000000000000000000000001", "WK1"] {
            assert_eq!(text.parse::<Channel>(), Err(NoChannel), "{text}");
        }
    }
}
