//! Signals that ask the process to end.
//!
//! It must not decide what ending means. Start with [`Signals::next`].

#[cfg(unix)]
use anyhow::Context as _;

/// SIGTERM and SIGINT (Ctrl-C elsewhere), from the moment it is made.
#[derive(Debug)]
pub(super) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Begins to listen: from now on the signals do not end the process by themselves.
    #[cfg(unix)]
    pub(super) fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let context = "cannot listen for signals";
        let terminate = signal(SignalKind::terminate()).context(context)?;
        let interrupt = signal(SignalKind::interrupt()).context(context)?;
        Ok(Self { terminate, interrupt })
    }

    /// Begins to listen for Ctrl-C.
    #[cfg(not(unix))]
    pub(super) fn listen() -> anyhow::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next one.
    #[cfg(unix)]
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for the next one.
    #[cfg(not(unix))]
    pub(super) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
