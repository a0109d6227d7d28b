//! How many of each resource a workspace may hold.
//!
//! The usual numbers are those that Twilio publishes (TaskRouter: Limits); an operator can set others. A workspace that
//! holds more than a new limit keeps what it has and takes no more. Start with [`ResourceLimits`].

/// Most resources of one workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Tasks, finished ones that are kept included.
    pub tasks: usize,
    /// Workers.
    pub workers: usize,
    /// Task queues.
    pub task_queues: usize,
    /// Workflows.
    pub workflows: usize,
    /// Activities.
    pub activities: usize,
    /// Task channels, the built-in ones included.
    pub task_channels: usize,
}

impl Default for ResourceLimits {
    fn default() -> Self {
        Self {
            tasks: 500_000,
            workers: 15_000,
            task_queues: 5_000,
            workflows: 1_000,
            activities: 100,
            task_channels: 15,
        }
    }
}
