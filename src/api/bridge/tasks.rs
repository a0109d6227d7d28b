//! Tasks as agents change them, and tasks that they make for themselves.

use serde_json::Value;

use super::{Asked, rights};
use crate::api::error::ApiError;
use crate::api::reservations;
use crate::api::scope::channel_name;
use crate::api::tasks::{self, routing_target_error};
use crate::notify::shapes;
use crate::routing::command::{NewTask, ReservationParent};
use crate::routing::{Command, Reply, ReservationSid, RoutingTarget, TaskSid, WorkflowSid};

impl Asked {
    pub(super) async fn task(&self, task: TaskSid) -> Result<Value, ApiError> {
        self.see(move |workspace, now| workspace.task(task).map(|row| shapes::task(workspace, row, now))).await
    }

    pub(super) async fn create_task(&self) -> Result<Value, ApiError> {
        let parameters = &self.parameters;
        let workflow = match parameters.filled("WorkflowSid") {
            None => None,
            Some(text) => {
                let sid: Result<WorkflowSid, _> = text.parse();
                Some(sid.map_err(|_| routing_target_error(text, "WorkflowSid", &self.scope.place))?)
            }
        };
        let target: Option<RoutingTarget> = parameters.sid("RoutingTarget")?;
        let channel = parameters.filled("TaskChannelSid").or_else(|| parameters.filled("TaskChannelUniqueName"));
        let new = NewTask {
            attributes: parameters.attributes("Attributes")?.unwrap_or_else(|| "{}".to_owned()),
            workflow,
            channel: channel.or_else(|| parameters.filled("TaskChannel")).map(channel_name),
            priority: parameters.integer("Priority", 0..=i32::MAX)?,
            timeout_secs: parameters.integer("Timeout", 1..=1_209_600)?,
            virtual_start_at: parameters.moment("VirtualStartTime")?,
            routing_target: target,
            ignore_capacity: parameters.truthy("IgnoreCapacity"),
            queue: parameters.sid("TaskQueueSid")?,
            not_before: None,
        };
        match self.scope.carry_out(Command::CreateTask(new)).await? {
            Reply::Task(task) => self.task(task).await,
            _ => Err(ApiError::internal()),
        }
    }

    pub(super) async fn update_task(&self, task: TaskSid) -> Result<Value, ApiError> {
        let grant = self.grant.clone();
        let may = self.see(move |workspace, _| workspace.task(task).map(|_| rights::holds(&grant, workspace, task)));
        if !may.await? {
            return Err(ApiError::forbidden("The token's worker does not hold this task"));
        }
        let update = tasks::wanted_changes(&self.scope, &self.parameters)?;
        self.scope.carry_out(Command::UpdateTask(task, update)).await?;
        self.task(task).await
    }

    /// A supervisor joins a call, or changes the way of taking part in it.
    pub(super) async fn supervise(&self, task: TaskSid, reservation: ReservationSid) -> Result<Value, ApiError> {
        reservations::change(&self.scope, ReservationParent::Task(task), reservation, &self.parameters).await?;
        self.see(move |workspace, _| {
            let row = workspace.reservation(reservation).filter(|row| row.task == task)?;
            Some(shapes::reservation_answer(workspace, row))
        })
        .await
    }
}
