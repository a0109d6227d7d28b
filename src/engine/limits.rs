//! Limits that an operator can set.

use std::sync::Arc;

use crate::calls::{ColdTransferFailure, DialRules};

/// Limits that can be set; those of TaskRouter's resources are the routing core's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls that may wait for one workflow (TaskRouter: resource limits).
    pub waiting_calls: u32,
    /// Seconds of silence of a waiting call after which it is looked at; a conversation after ten times as long.
    pub look_after_secs: u32,
    /// What becomes of a customer whom a cold transfer has left alone.
    pub cold_transfer_failure: ColdTransferFailure,
    /// Where to, and how many legs may be dialled.
    pub dialling: Dialling,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting_calls: 100,
            look_after_secs: 60,
            cold_transfer_failure: ColdTransferFailure::default(),
            dialling: Dialling::default(),
        }
    }
}

/// What keeps a workspace from dialling at its owner's expense (`quality.md` 2.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialling {
    /// Where to.
    pub rules: Arc<DialRules>,
    /// Legs at one time.
    pub legs: u32,
    /// New legs within a minute.
    pub per_minute: u32,
    /// The same to one region: numbers that begin alike, or one SIP domain.
    pub per_region: u32,
}

impl Default for Dialling {
    fn default() -> Self {
        Self { rules: Arc::default(), legs: 100, per_minute: 60, per_region: 10 }
    }
}
