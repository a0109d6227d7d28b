//! Random commands that suit a workspace's rows, for tests that need much of everything to happen.
//!
//! The simulation has commands of its own, which go with its callers and faults. Start with [`Commands::command`].

use switchhook::routing::command::{
    ChannelName, Connection, Instruction, NewTask, NewTaskQueue, NewTransfer, NewWorker, NewWorkflow, PresenceReport,
    ReservationChange, ReservationParent, TaskQueueUpdate, TaskUpdate, WorkerUpdate, WorkflowUpdate, WorkspaceUpdate,
};
use switchhook::routing::{
    Command, ReservationStatus, RoutingTarget, TaskOrder, TaskStatus, Timestamp, TransferMode, TransferStatus,
    TransferTarget, WorkspaceRows,
};

use crate::watch::mix;

const LIVE_TASKS_MAX: usize = 30;

/// Makes commands up, the same for the same seed.
pub(crate) struct Commands {
    pub(crate) now: Timestamp,
    state: u64,
}

impl Commands {
    pub(crate) const fn new(seed: u64, now: Timestamp) -> Self {
        Self { now, state: seed }
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(1);
        usize::try_from(mix(self.state.wrapping_mul(0x1000_0001)) % limit.max(1) as u64).unwrap_or(0)
    }

    pub(crate) fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        let at = self.below(list.len());
        list.get(at)
    }

    /// The next command to a workspace with these rows.
    pub(crate) fn command(&mut self, rows: &WorkspaceRows) -> Command {
        match self.below(100) {
            0..22 => self.task_command(rows),
            22..40 => self.task_update(rows),
            40..60 => self.reservation_command(rows),
            60..68 => self.transfer_command(rows),
            68..90 => self.worker_command(rows),
            90..99 => self.configuration_command(rows),
            _ => Command::Tick,
        }
    }

    fn attributes(&mut self, rows: &WorkspaceRows) -> String {
        let kind = ["a", "b", "c"][self.below(3)];
        let level = self.below(4);
        let worker = self.pick(&rows.workers).map_or("nobody".to_owned(), |row| row.sid.to_string());
        let name = ["w0", "w1", "w2", "W3", "w9"][self.below(5)];
        format!(r#"{{"kind":"{kind}","level":{level},"sid":"{worker}","name":"{name}"}}"#)
    }

    fn channel(&mut self) -> ChannelName {
        ChannelName::Unique(["default", "voice", "chat"][self.below(3)].to_owned())
    }

    fn task_command(&mut self, rows: &WorkspaceRows) -> Command {
        let full = rows.tasks.iter().filter(|task| !task.status.is_final()).count() >= LIVE_TASKS_MAX;
        if let Some(task) = self.pick(&rows.tasks).filter(|_| full) {
            return Command::DeleteTask { task: task.sid, if_match: None };
        }
        let target = match self.below(12) {
            0 => self.pick(&rows.workers).map(|row| RoutingTarget::Worker(row.sid)),
            1 => self.pick(&rows.task_queues).map(|row| RoutingTarget::TaskQueue(row.sid)),
            _ => None,
        };
        Command::CreateTask(NewTask {
            workflow: self.pick(&rows.workflows).map(|row| row.sid),
            channel: Some(self.channel()),
            priority: i32::try_from(self.below(3)).ok(),
            timeout_secs: if self.one_in(3) { u32::try_from(1 + self.below(100)).ok() } else { None },
            virtual_start_at: if self.one_in(5) { Some(self.now.plus_ms(-1_000)) } else { None },
            routing_target: target,
            ignore_capacity: if self.one_in(2) { Some(false) } else { None },
            not_before: self.one_in(8).then(|| self.now.plus_secs(20)),
            ..NewTask::with_attributes(self.attributes(rows))
        })
    }

    fn task_update(&mut self, rows: &WorkspaceRows) -> Command {
        let Some(task) = self.pick(&rows.tasks).map(|row| row.sid) else { return Command::Tick };
        let mut update = TaskUpdate::default();
        match self.below(9) {
            8 => {
                let rests = self.pick(&rows.tasks).filter(|row| row.sid == task).map(|row| row.back_offs.clone());
                let was = rests.and_then(|rests| rests.iter().find(|one| one.worker.is_none()).map(|one| one.until));
                let was = was.filter(|_| self.one_in(2));
                let until = self.now.plus_secs(if self.one_in(2) { 15 } else { 0 });
                return Command::HoldBack { task, was, until };
            }
            0..2 => update.attributes = Some(self.attributes(rows)),
            2 => update.priority = i32::try_from(self.below(5)).ok(),
            3 => update.virtual_start_at = Some(self.now.plus_ms(-5_000)),
            4 => update.channel = Some(self.channel()),
            5 => {
                update.status =
                    self.pick(&[TaskStatus::Canceled, TaskStatus::Wrapping, TaskStatus::Completed]).copied();
                update.reason = Some("over".to_owned());
            }
            6 => return Command::EndCaller { task, reason: "hangup".to_owned() },
            _ => return Command::DeleteTask { task, if_match: if self.one_in(2) { Some(3) } else { None } },
        }
        Command::UpdateTask(task, update)
    }

    fn reservation_command(&mut self, rows: &WorkspaceRows) -> Command {
        let open: Vec<_> = rows.reservations.iter().filter(|row| row.status.is_open()).collect();
        let Some(row) = self.pick(&open) else { return Command::Tick };
        let reservation = row.sid;
        let activity = self.pick(&rows.activities).map(|row| row.sid);
        let change = match self.below(12) {
            0..3 => ReservationChange::Accept,
            3 => ReservationChange::Reject { activity: None },
            4 => ReservationChange::Reject { activity },
            5 => ReservationChange::Wrap,
            6..8 => ReservationChange::Complete,
            8 => return Command::BeginConnecting { reservation, instruction: Instruction::Conference },
            9 => return Command::AcceptConnected(reservation),
            10 => {
                let not_before = (self.below(3) == 0).then(|| self.now.plus_secs(30));
                return Command::FailConnecting {
                    reservation,
                    reason_code: Some(31_486),
                    not_before,
                    missed: self.one_in(2),
                };
            }
            _ => return Command::EndWork(reservation),
        };
        Command::UpdateReservation { parent: ReservationParent::Any, reservation, change, if_match: None }
    }

    /// Hands a task on, mostly one that is held, or takes a transfer back.
    fn transfer_command(&mut self, rows: &WorkspaceRows) -> Command {
        let initiated: Vec<_> = rows.transfers.iter().filter(|row| row.status == TransferStatus::Initiated).collect();
        if self.one_in(4)
            && let Some(row) = self.pick(&initiated)
        {
            let (worker, task, transfer) = (row.initiating_worker, row.task, row.sid);
            return Command::CancelTransfer { worker, task, transfer };
        }
        let held: Vec<_> = rows
            .reservations
            .iter()
            .filter(|row| row.status == ReservationStatus::Accepted || (row.transfer.is_some() && row.version > 1))
            .collect();
        let Some(row) = self.pick(&held) else { return Command::Tick };
        let (worker, task, reservation) = (row.worker, row.task, row.sid);
        let to = if self.one_in(2) {
            self.pick(&rows.workers).map(|row| TransferTarget::Worker(row.sid))
        } else {
            self.pick(&rows.task_queues).map(|row| TransferTarget::TaskQueue(row.sid))
        };
        let Some(to) = to else { return Command::Tick };
        let mode = if self.one_in(2) { TransferMode::Warm } else { TransferMode::Cold };
        let attributes = if self.one_in(3) { Some(self.attributes(rows)) } else { None };
        let priority = if self.one_in(3) { Some(7) } else { None };
        Command::CreateTransfer(NewTransfer {
            worker,
            task,
            reservation,
            to,
            mode,
            attributes,
            priority,
            in_room: false,
        })
    }

    fn worker_command(&mut self, rows: &WorkspaceRows) -> Command {
        if rows.workers.len() < 3 || self.one_in(30) {
            let friendly_name = format!("w{}", self.below(6));
            let activity = self.pick(&rows.activities).map(|row| row.sid);
            return Command::CreateWorker(NewWorker { friendly_name, attributes: self.attributes(rows), activity });
        }
        let Some(worker) = self.pick(&rows.workers).map(|row| row.sid) else { return Command::Tick };
        match self.below(17) {
            14 | 15 => {
                let connection = (!self.one_in(3)).then(|| Connection {
                    disconnect_activity: self.pick(&rows.activities).map(|row| row.sid).filter(|_| self.one_in(3)),
                    keeps_activity: self.one_in(5),
                });
                Command::NotePresence(vec![PresenceReport { worker, connection }])
            }
            16 => Command::ForgetSockets,
            0 => Command::DeleteWorker { worker, if_match: None },
            1 => {
                let friendly_name = Some(format!("w{}", self.below(6)));
                Command::UpdateWorker(worker, WorkerUpdate { friendly_name, ..WorkerUpdate::default() })
            }
            2 => {
                let attributes = Some(self.attributes(rows));
                Command::UpdateWorker(worker, WorkerUpdate { attributes, ..WorkerUpdate::default() })
            }
            3..6 => {
                let channel = self.channel();
                let capacity = if self.one_in(3) { None } else { u32::try_from(self.below(4)).ok() };
                let available = if self.one_in(3) { Some(self.one_in(2)) } else { None };
                Command::UpdateWorkerChannel { worker, channel, capacity, available }
            }
            _ => {
                let available: Vec<_> = rows.activities.iter().filter(|row| row.available).collect();
                let activity = if self.one_in(3) {
                    self.pick(&rows.activities).map(|row| row.sid)
                } else {
                    self.pick(&available).map(|row| row.sid)
                };
                let reject_pending_reservations = self.one_in(4);
                Command::UpdateWorker(
                    worker,
                    WorkerUpdate { activity, reject_pending_reservations, ..WorkerUpdate::default() },
                )
            }
        }
    }

    fn configuration_command(&mut self, rows: &WorkspaceRows) -> Command {
        const MEMBERS: [&str; 7] = [
            "1==1",
            "kind == 'a'",
            "level > 1",
            "",
            "activity_name == 'Available'",
            "channel.chat.assigned_tasks == 0",
            "kind IN ['a','b']",
        ];
        let order = if self.one_in(2) { TaskOrder::Fifo } else { TaskOrder::Lifo };
        let members = MEMBERS[self.below(MEMBERS.len())].to_owned();
        let most = u32::try_from(1 + self.below(3)).unwrap_or(1);
        let activity = self.pick(&rows.activities).map(|row| row.sid);
        match self.below(16) {
            0..2 if rows.task_queues.len() < 4 => Command::CreateTaskQueue(NewTaskQueue {
                friendly_name: format!("q{}", self.below(6)),
                target_workers: members,
                task_order: order,
                max_reserved_workers: most,
                reservation_activity: if self.one_in(2) { activity } else { None },
                assignment_activity: if self.one_in(2) { activity } else { None },
            }),
            2..5 => {
                let Some(queue) = self.pick(&rows.task_queues).map(|row| row.sid) else { return Command::Tick };
                let update = TaskQueueUpdate {
                    target_workers: if self.one_in(2) { Some(members) } else { None },
                    task_order: if self.one_in(2) { Some(order) } else { None },
                    max_reserved_workers: Some(most),
                    ..TaskQueueUpdate::default()
                };
                Command::UpdateTaskQueue(queue, update)
            }
            5 => match self.pick(&rows.task_queues) {
                Some(queue) if rows.task_queues.len() > 1 => Command::DeleteTaskQueue(queue.sid),
                _ => Command::Tick,
            },
            6..8 if rows.workflows.len() < 3 => Command::CreateWorkflow(NewWorkflow {
                friendly_name: "flow".to_owned(),
                configuration: self.configuration(rows),
                assignment_callback_url: None,
                fallback_assignment_callback_url: None,
                task_reservation_timeout_secs: u32::try_from(1 + self.below(30)).unwrap_or(1),
            }),
            8..11 => {
                let Some(workflow) = self.pick(&rows.workflows).map(|row| row.sid) else { return Command::Tick };
                let configuration = if self.one_in(4) { None } else { Some(self.configuration(rows)) };
                let re_evaluate_tasks = self.one_in(2);
                Command::UpdateWorkflow(
                    workflow,
                    WorkflowUpdate { configuration, re_evaluate_tasks, ..WorkflowUpdate::default() },
                )
            }
            11 => match self.pick(&rows.workflows) {
                Some(workflow) if rows.workflows.len() > 1 => Command::DeleteWorkflow(workflow.sid),
                _ => Command::Tick,
            },
            12 => Command::CreateActivity {
                friendly_name: format!("activity {}", self.below(5)),
                available: self.one_in(2),
            },
            13 => match activity {
                Some(activity) => {
                    Command::UpdateActivity { activity, friendly_name: Some(format!("x{}", self.below(9))) }
                }
                None => Command::Tick,
            },
            14 => match (activity, self.one_in(2)) {
                (Some(activity), true) => Command::DeleteActivity(activity),
                _ => Command::UpdateTaskChannel {
                    channel: self.channel(),
                    friendly_name: None,
                    channel_optimized_routing: Some(self.one_in(2)),
                },
            },
            _ => Command::UpdateWorkspace(WorkspaceUpdate {
                timeout_activity: activity,
                prioritize_queue_order: Some(order),
                multi_task_enabled: if self.one_in(20) { Some(true) } else { None },
                disconnect_grace_secs: self.one_in(2).then(|| self.one_in(3).then_some(5)),
                ..WorkspaceUpdate::default()
            }),
        }
    }

    /// A configuration of up to two filters with up to three targets, with now and then every feature.
    fn configuration(&mut self, rows: &WorkspaceRows) -> String {
        let mut filters = Vec::new();
        for _ in 0..self.below(3) {
            let expression = ["1==1", "kind == 'a'", "level > 1", "kind IN ['b','c']"][self.below(4)];
            let mut targets = Vec::new();
            for _ in 0..=self.below(3) {
                let mut target = self.target(rows);
                if !self.one_in(4) {
                    target["timeout"] = (1 + self.below(30)).into();
                }
                if self.one_in(4) {
                    let skip_if = ["workers.available == 0", "1==1", "task.level > 1"][self.below(3)];
                    target["skip_if"] = skip_if.into();
                }
                targets.push(target);
            }
            filters.push(serde_json::json!({ "expression": expression, "targets": targets }));
        }
        let mut routing = serde_json::json!({ "filters": filters });
        if filters.is_empty() || self.one_in(2) {
            routing["default_filter"] = self.target(rows);
        }
        serde_json::json!({ "task_routing": routing }).to_string()
    }

    fn target(&mut self, rows: &WorkspaceRows) -> serde_json::Value {
        let queue = self.pick(&rows.task_queues).map_or_else(String::new, |row| row.sid.to_string());
        let mut target = serde_json::json!({ "queue": queue });
        match self.below(12) {
            0 => target["expression"] = "task.kind == worker.kind".into(),
            1 => target["expression"] = "worker.channel.chat.available_capacity_percentage < 60".into(),
            2 => target["expression"] = "worker.activity_name != 'x1'".into(),
            3 => target["known_worker_sid"] = "task.sid".into(),
            4 => target["known_worker_friendly_name"] = "task.name".into(),
            5 => target["order_by"] = "worker.level DESC".into(),
            6 => target["priority"] = self.below(4).into(),
            _ => {}
        }
        target
    }
}
