//! Changes that touch very many tasks, in portions: each is a commit of its own, between which others have their turn.
//!
//! What is answered is on disk as a whole. A server that stops on the way has done a part; whoever got no answer asks again.
//! Start with [`Engine::update_workflow`].

use std::collections::BTreeSet;

use super::{Engine, Error, Request};
use crate::routing::command::WorkflowUpdate;
use crate::routing::{Command, TaskSid, WorkflowSid, Workspace, WorkspaceSid};
use crate::store::IdempotencyKey;

/// Tasks that one commit leads into a changed workflow: others wait for some hundredths of a second.
const TASKS_AT_ONCE: usize = 250;

/// The tasks of a workflow at the moment of an update.
struct Followers {
    waiting: BTreeSet<TaskSid>,
    others: BTreeSet<TaskSid>,
}

impl Followers {
    fn of(workspace: &Workspace, workflow: WorkflowSid) -> Self {
        let waiting: BTreeSet<TaskSid> = workspace.to_re_evaluate(workflow).into_iter().collect();
        let all = workspace.tasks_after(None).filter(|row| row.workflow == Some(workflow)).map(|row| row.sid);
        let others = all.filter(|task| !waiting.contains(task)).collect();
        Self { waiting, others }
    }

    /// Those to lead into the workflow once it is updated: whoever waited, and whoever came just before the update.
    fn still_to_lead(&self, workspace: &Workspace, workflow: WorkflowSid) -> Vec<TaskSid> {
        let current = workspace.workflow(workflow).map(|row| row.version);
        let follows_older = |task: &TaskSid| {
            let row = workspace.task(*task);
            !self.others.contains(task) && row.is_some_and(|row| Some(row.workflow_version) != current)
        };
        let mut tasks = workspace.to_re_evaluate(workflow);
        tasks.retain(|task| self.waiting.contains(task) || follows_older(task));
        tasks
    }
}

impl Engine {
    /// Changes a workflow; with `re_evaluate_tasks` every waiting task has been led through it when this returns (D20).
    ///
    /// Goes on to its end when the caller goes away. The key by which repeats of the request are known is written in the
    /// commit of the update, unless tasks are still to be led after that: then a repeat has to do it all again.
    pub async fn update_workflow(
        &self,
        workspace: WorkspaceSid,
        workflow: WorkflowSid,
        update: WorkflowUpdate,
        key: Option<IdempotencyKey>,
    ) -> Result<(), Error> {
        let command = |update| Request::Routing(Command::UpdateWorkflow(workflow, update));
        if update.re_evaluate_tasks {
            let before = self.look(workspace, move |workspace, _| Followers::of(workspace, workflow)).await?;
            if before.waiting.len() > TASKS_AT_ONCE {
                let first = command(WorkflowUpdate { re_evaluate_tasks: false, ..update });
                let engine = self.clone();
                let all = self.0.tracker.spawn(async move {
                    engine.send(workspace, first).await?;
                    engine.lead(workspace, workflow, before).await
                });
                return all.await.unwrap_or(Err(Error::Unavailable));
            }
        }
        self.send_once(workspace, command(update), key).await.map(|_| ())
    }

    async fn lead(&self, workspace: WorkspaceSid, workflow: WorkflowSid, before: Followers) -> Result<(), Error> {
        let tasks = self.look(workspace, move |workspace, _| before.still_to_lead(workspace, workflow)).await?;
        for portion in tasks.chunks(TASKS_AT_ONCE) {
            let tasks = portion.to_vec();
            self.tell(workspace, Command::ReEvaluateTasks { workflow, tasks }).await?;
        }
        Ok(())
    }
}
