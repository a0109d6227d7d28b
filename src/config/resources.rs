//! `[resources]`: how many of each resource a workspace may hold.
//!
//! Must not count. Start with [`Resources::for_workspaces`].

use serde::Deserialize;

use crate::routing::ResourceLimits;

/// Highest number of each.
const COUNT_MAX: usize = 10_000_000;

/// Most resources of one workspace.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Tasks, finished ones that are kept included.
    pub tasks_max: usize,
    /// Workers.
    pub workers_max: usize,
    /// Task queues.
    pub task_queues_max: usize,
    /// Workflows.
    pub workflows_max: usize,
    /// Activities.
    pub activities_max: usize,
    /// Task channels, the five built-in ones included.
    pub task_channels_max: usize,
}

impl Resources {
    /// As the routing core takes them.
    #[must_use]
    pub const fn for_workspaces(&self) -> ResourceLimits {
        ResourceLimits {
            tasks: self.tasks_max,
            workers: self.workers_max,
            task_queues: self.task_queues_max,
            workflows: self.workflows_max,
            activities: self.activities_max,
            task_channels: self.task_channels_max,
        }
    }

    /// What is out of range, by its key: a new workspace has three activities and five channels.
    pub(super) fn problem(&self) -> Option<String> {
        let all = [
            ("tasks_max", self.tasks_max, 1),
            ("workers_max", self.workers_max, 1),
            ("task_queues_max", self.task_queues_max, 1),
            ("workflows_max", self.workflows_max, 1),
            ("activities_max", self.activities_max, 3),
            ("task_channels_max", self.task_channels_max, 5),
        ];
        let (key, found, least) = all.into_iter().find(|(_, found, least)| !(*least..=COUNT_MAX).contains(found))?;
        Some(format!("resources.{key}: expected {least} to {COUNT_MAX}, found {found}"))
    }
}
