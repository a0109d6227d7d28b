//! `create-token`: an access token for the agents' SDK, for development and for those who make tokens by script.
//!
//! It works beside a running server and writes nothing. Start with [`create`].

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use secrecy::ExposeSecret as _;

use crate::clock::Clock;
use crate::config::Config;
use crate::notify::token::{self, LIFETIME_SECS_MAX, NewAccessToken, Role};
use crate::routing::{ApiKeySid, WorkerSid, WorkspaceSid};
use crate::store::Store;

use super::{Outcome, open, say};

/// What the token is to say.
#[derive(Debug, Clone, Args)]
pub(super) struct Wanted {
    /// The workspace
    #[arg(long, value_name = "WS…")]
    workspace: WorkspaceSid,
    /// The worker that the token is for; only a token for reading the workspace goes without
    #[arg(long, value_name = "WK…")]
    worker: Option<WorkerSid>,
    /// What its holder may do
    #[arg(long, value_enum, default_value_t = Named::Worker)]
    role: Named,
    /// The API key that signs it; revoking the key ends the token
    #[arg(long, value_name = "SK…")]
    key: ApiKeySid,
    /// Seconds until it ends
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(1..=LIFETIME_SECS_MAX))]
    lifetime: i64,
}

/// The roles by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Named {
    /// Acts for its worker
    Worker,
    /// Also changes other workers
    Supervisor,
    /// As a supervisor; may be nobody's worker
    Admin,
}

impl Named {
    const fn role(self) -> Role {
        match self {
            Self::Worker => Role::Worker,
            Self::Supervisor => Role::Supervisor,
            Self::Admin => Role::Admin,
        }
    }
}

/// Prints the token.
pub(super) async fn create(config: &Config, wanted: Wanted) -> anyhow::Result<Outcome> {
    let store = open(config).await?;
    let signed = sign(&store, &wanted).await;
    store.close().await;
    say(&signed?)?;
    Ok(Outcome::Done)
}

async fn sign(store: &Store, wanted: &Wanted) -> anyhow::Result<String> {
    let Some(key) = store.api_key(wanted.key).await.context("cannot read the key")? else {
        bail!("there is no key {}", wanted.key);
    };
    let workspace = store.workspace(key.account, wanted.workspace).await.context("cannot read the workspace")?;
    if workspace.is_none() {
        bail!("the key's account has no workspace {}", wanted.workspace);
    }
    let mut identity = wanted.role.role().as_str().to_owned();
    if let Some(worker) = wanted.worker {
        let Some(row) = store.worker(wanted.workspace, worker).await.context("cannot read the worker")? else {
            bail!("the workspace has no worker {worker}");
        };
        identity = row.friendly_name;
    }
    let new = NewAccessToken {
        key_sid: wanted.key.to_string(),
        account: key.account,
        workspace: wanted.workspace,
        worker: wanted.worker,
        role: wanted.role.role(),
        identity,
        lifetime_secs: wanted.lifetime,
    };
    Ok(token::mint(&new, key.secret.expose_secret().as_bytes(), Clock::system().now()))
}
