//! Why a call left the wait queue, in the words of the phone system. Start with [`QueueResult`].

use serde::{Deserialize, Serialize};

/// Why a call left the wait queue (`QueueResult` of the `<Enqueue>` action).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each variant is the QueueResult value of the same name")]
pub enum QueueResult {
    Bridged,
    BridgingInProcess,
    Leave,
    Redirected,
    RedirectedFromBridged,
    Hangup,
    QueueFull,
    Error,
    SystemError,
}

impl QueueResult {
    /// The value on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bridged => "bridged",
            Self::BridgingInProcess => "bridging-in-process",
            Self::Leave => "leave",
            Self::Redirected => "redirected",
            Self::RedirectedFromBridged => "redirected-from-bridged",
            Self::Hangup => "hangup",
            Self::QueueFull => "queue-full",
            Self::Error => "error",
            Self::SystemError => "system-error",
        }
    }

    /// Reads the value on the wire.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [
            Self::Bridged,
            Self::BridgingInProcess,
            Self::Leave,
            Self::Redirected,
            Self::RedirectedFromBridged,
            Self::Hangup,
            Self::QueueFull,
            Self::Error,
            Self::SystemError,
        ]
        .into_iter()
        .find(|result| result.as_str() == text)
    }
}
