//! Limits that an operator can set.

/// Limits that can be set; those of TaskRouter's resources are the routing core's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls that may wait for one workflow (TaskRouter: resource limits).
    pub waiting_calls: u32,
    /// Seconds of silence of a waiting call after which it is looked at; a conversation after ten times as long.
    pub look_after_secs: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { waiting_calls: 100, look_after_secs: 60 }
    }
}
