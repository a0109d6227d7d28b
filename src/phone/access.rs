//! Whether the phone system takes our credentials (`spec/voice.md` 5.5).
//!
//! A refusal of one request may be about that request alone, so it only raises doubt; a look at the account's calls, which
//! needs nothing but credentials, settles it. Must not decide what follows. Start with [`PhoneSystem::try_access`].

use reqwest::Method;

use super::PhoneSystem;
use super::form;
use super::transport::Failure;

/// What a look at the account has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Our credentials are taken.
    Granted,
    /// They are refused.
    Denied {
        /// What the phone system said.
        message: String,
    },
    /// It did not answer, or something else.
    Unknown {
        /// What was wrong.
        message: String,
    },
}

impl PhoneSystem {
    /// Looks whether the phone system takes our credentials; asks once.
    pub async fn try_access(&self) -> Access {
        let newest = form::pairs(&[("PageSize", "1")]);
        match self.transport.send(Method::GET, "Calls", &newest).await {
            Ok(_) => Access::Granted,
            Err(failure) if failure.is_about_credentials() => Access::Denied { message: failure.text() },
            Err(failure @ (Failure::NotSent(_) | Failure::Lost(_) | Failure::Rejected { .. })) => {
                Access::Unknown { message: failure.text() }
            }
        }
    }

    /// Waits until a request has been refused as one of somebody who may not make it.
    pub async fn doubt(&self) {
        self.transport.doubt.notified().await;
    }
}
