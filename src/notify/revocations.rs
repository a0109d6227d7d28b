//! Ends what was opened with an API key that is revoked since: agents' sockets, and readers of event logs.
//!
//! The process that revokes a key ends them itself. A key may also be revoked by the command line, in another process, so
//! the keys in use are looked at again and again. Start with [`run`].

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Hub;
use super::streams::EventStreams;
use crate::routing::ApiKeySid;
use crate::store::Store;

/// How often the keys in use are looked at.
const EVERY: Duration = Duration::from_secs(10);

/// Looks at the keys in use until `shutdown`.
pub async fn run(hub: Hub, streams: EventStreams, store: Store, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => look(&hub, &streams, &store).await,
        }
    }
}

/// Looks at each key once.
async fn look(hub: &Hub, streams: &EventStreams, store: &Store) {
    let mut keys = hub.keys();
    keys.extend(streams.keys());
    for key in keys {
        match store.has_api_key(key).await {
            Ok(true) => {}
            Ok(false) => revoked(hub, streams, key),
            // It is looked at again in a moment.
            Err(error) => tracing::warn!(%error, "API keys of open sockets cannot be looked at"),
        }
    }
}

/// Ends what the key has opened.
pub(crate) fn revoked(hub: &Hub, streams: &EventStreams, key: ApiKeySid) {
    hub.close_those_of(key);
    streams.close_those_of(key);
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::clock::Clock;
    use crate::notify::channel::{Channel, Dialect};
    use crate::notify::hub::{Arrival, REVOKED};
    use crate::routing::command::Connection;
    use crate::routing::{AccountSid, Timestamp, WorkerSid, WorkspaceSid};
    use crate::store::{Account, ApiKey};

    #[tokio::test]
    async fn what_a_key_opened_ends_when_another_process_has_revoked_it() {
        let (account, at) = (AccountSid::from_bits(1), Timestamp(1_790_000_000_000));
        let store = Store::open("sqlite::memory:").await.unwrap();
        let secret = SecretString::from("secret");
        let row = Account { sid: account, friendly_name: String::new(), auth_token: secret.clone(), created_at: at };
        store.create_account(row).await.unwrap();
        let (kept, revoked) = (ApiKeySid::from_bits(1), ApiKeySid::from_bits(2));
        let row = ApiKey { sid: kept, account, friendly_name: String::new(), secret, created_at: at, updated_at: at };
        store.create_api_key(row).await.unwrap();
        let (hub, streams) = (Hub::new(Clock::fixed(at), Duration::ZERO), EventStreams::default());
        let workspace = WorkspaceSid::from_bits(1);
        let enter = |key| {
            let arrival = Arrival {
                workspace,
                channel: Channel::Worker(WorkerSid::from_bits(1)),
                dialect: Dialect::Present,
                token: 1,
                key,
                close_existing: false,
                connection: Connection::default(),
            };
            (hub.enter(arrival).unwrap(), streams.open(workspace, key).unwrap())
        };
        let opened = [Some(kept), Some(revoked), None].map(enter);
        look(&hub, &streams, &store).await;
        let ended = opened.each_ref().map(|(seat, reader)| (seat.closing(), reader.stop.is_cancelled()));
        assert_eq!(ended, [(None, false), (Some(REVOKED), true), (None, false)]);
    }
}
