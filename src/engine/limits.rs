//! Limits that an operator can set.

use crate::calls::{ColdTransferFailure, DialPolicy};

/// Limits that can be set; those of TaskRouter's resources are the routing core's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls that may wait for one workflow (TaskRouter: resource limits).
    pub waiting_calls: u32,
    /// Seconds of silence of a waiting call after which it is looked at; a conversation after ten times as long.
    pub look_after_secs: u32,
    /// What becomes of a customer whom a cold transfer has left alone.
    pub cold_transfer_failure: ColdTransferFailure,
    /// Seconds within which a caller is answered in time, for the figures.
    pub service_level_secs: u32,
    /// Where to, and how many legs each workspace may dial.
    pub dialling: DialPolicy,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting_calls: 100,
            look_after_secs: 60,
            cold_transfer_failure: ColdTransferFailure::default(),
            service_level_secs: 20,
            dialling: DialPolicy::default(),
        }
    }
}
