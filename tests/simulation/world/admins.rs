//! Administrators: queues, workflows, activities, channels and the workspace are made, changed and deleted at any time.

use switchhook::engine::Request;
use switchhook::engine::calendars::{self, Turns};
use switchhook::routing::command::{NewTaskQueue, NewWorkflow, TaskQueueUpdate, WorkflowUpdate, WorkspaceUpdate};
use switchhook::routing::{CalendarSid, Command, TaskOrder};
use switchhook::store::CalendarRow;

use super::World;
use crate::dice::Dice;
use crate::watch::Depth;

/// What a filter asks of the moment.
const OPEN: &str = "taskrouter.calendar.office.open == true";

const MEMBERS: [&str; 8] = [
    "1==1",
    "1==1",
    "kind == 'a'",
    "level > 1",
    "",
    "activity_name == 'Available'",
    "channel.chat.assigned_tasks == 0",
    "kind IN ['a','b']",
];

/// Calendars that expressions ask for.
const CALENDARS: [&str; 2] = ["shop", "office"];

impl World {
    pub(super) fn change_configuration(&mut self, dice: &mut Dice) -> Result<(), String> {
        if dice.one_in(12) {
            return self.change_calendar(dice);
        }
        match self.configuration_command(dice) {
            Some(command) => self.command(command, dice).map(|_| ()),
            None => Ok(()),
        }
    }

    /// A calendar is new, has other hours, has another name for a while, or is gone.
    fn change_calendar(&mut self, dice: &mut Dice) -> Result<(), String> {
        // What was decided before is to be checked with what was open then.
        self.take(Depth::Touched)?;
        let number = dice.below(CALENDARS.len());
        let calendar = CalendarSid::from_bits(1 + number as u128);
        let row = (!dice.one_in(5)).then(|| {
            let turns = Turns { open: dice.small(0, 3), closed: dice.small(0, 3) };
            CalendarRow {
                sid: calendar,
                friendly_name: if dice.one_in(6) { format!("away {number}") } else { CALENDARS[number].to_owned() },
                document: serde_json::to_string(&turns).expect("numbers are JSON"),
            }
        });
        self.disk.write_calendar(calendar, row.clone());
        let command = Command::SetCalendar { calendar, hours: row.as_ref().and_then(calendars::read) };
        self.watch.calendars.hear(&command);
        // It touches nobody by name, so all are looked at.
        self.request_at(&Request::Routing(command), dice, Depth::Rows).map(|_| ())
    }

    fn configuration_command(&mut self, dice: &mut Dice) -> Option<Command> {
        let stored = &self.watch.stored;
        let order = dice.one([TaskOrder::Fifo, TaskOrder::Lifo]);
        let members = dice.one(MEMBERS).to_owned();
        let most = dice.small(1, 3);
        let activity = dice.pick_of(&stored.activities).map(|row| row.sid);
        Some(match dice.below(18) {
            0..2 if stored.task_queues.len() < 4 => Command::CreateTaskQueue(NewTaskQueue {
                friendly_name: format!("q{}", dice.below(6)),
                target_workers: members,
                task_order: order,
                max_reserved_workers: most,
                reservation_activity: if dice.one_in(2) { activity } else { None },
                assignment_activity: if dice.one_in(2) { activity } else { None },
            }),
            2..5 => {
                let queue = dice.pick_of(&stored.task_queues)?.sid;
                let update = TaskQueueUpdate {
                    target_workers: if dice.one_in(2) { Some(members) } else { None },
                    task_order: if dice.one_in(2) { Some(order) } else { None },
                    max_reserved_workers: Some(most),
                    ..TaskQueueUpdate::default()
                };
                Command::UpdateTaskQueue(queue, update)
            }
            5 | 6 if stored.task_queues.len() > 1 => Command::DeleteTaskQueue(dice.pick_of(&stored.task_queues)?.sid),
            7..9 if stored.workflows.len() < 3 => Command::CreateWorkflow(NewWorkflow {
                friendly_name: "flow".to_owned(),
                configuration: self.configuration(dice),
                assignment_callback_url: None,
                fallback_assignment_callback_url: None,
                task_reservation_timeout_secs: dice.small(1, 30),
            }),
            9..12 => {
                let workflow = dice.pick_of(&stored.workflows)?.sid;
                let configuration = if dice.one_in(4) { None } else { Some(self.configuration(dice)) };
                let re_evaluate_tasks = dice.one_in(2);
                let update = WorkflowUpdate { configuration, re_evaluate_tasks, ..WorkflowUpdate::default() };
                Command::UpdateWorkflow(workflow, update)
            }
            12 if stored.workflows.len() > 1 => Command::DeleteWorkflow(dice.pick_of(&stored.workflows)?.sid),
            13 => Command::CreateActivity {
                friendly_name: format!("activity {}", dice.below(5)),
                available: dice.one_in(2),
            },
            14 => Command::UpdateActivity { activity: activity?, friendly_name: Some(format!("x{}", dice.below(9))) },
            15 if dice.one_in(2) => Command::DeleteActivity(activity?),
            15 => Command::UpdateTaskChannel {
                channel: Self::channel(dice),
                friendly_name: None,
                channel_optimized_routing: Some(dice.one_in(2)),
            },
            16 => Command::UpdateWorkspace(WorkspaceUpdate {
                timeout_activity: activity,
                prioritize_queue_order: Some(order),
                multi_task_enabled: if dice.one_in(20) { Some(true) } else { None },
                disconnect_grace_secs: Some((!dice.one_in(4)).then(|| dice.small(1, 60))),
                ..WorkspaceUpdate::default()
            }),
            _ => return self.channel_command(dice),
        })
    }

    /// A channel beyond the built-in ones comes and goes.
    fn channel_command(&self, dice: &mut Dice) -> Option<Command> {
        let extra = self.watch.stored.task_channels.values().find(|row| row.unique_name == "extra");
        Some(match extra {
            None if dice.one_in(2) => Command::CreateTaskChannel {
                friendly_name: "Extra".to_owned(),
                unique_name: "extra".to_owned(),
                channel_optimized_routing: dice.one_in(2),
            },
            Some(row) => Command::DeleteTaskChannel(switchhook::routing::command::ChannelName::Sid(row.sid)),
            None => return None,
        })
    }

    /// A configuration of up to two filters with up to three targets, with now and then every feature.
    fn configuration(&self, dice: &mut Dice) -> String {
        let mut filters = Vec::new();
        for _ in 0..dice.below(3) {
            let expression = dice.one(["1==1", "kind == 'a'", "level > 1", "kind IN ['b','c']", OPEN]);
            let mut targets = Vec::new();
            for _ in 0..=dice.below(3) {
                let mut target = self.target(dice);
                if !dice.one_in(4) {
                    target["timeout"] = dice.small(1, 30).into();
                }
                if dice.one_in(4) {
                    target["skip_if"] = dice.one(["workers.available == 0", "1==1", "task.level > 1"]).into();
                }
                targets.push(target);
            }
            filters.push(serde_json::json!({ "expression": expression, "targets": targets }));
        }
        let mut routing = serde_json::json!({ "filters": filters });
        if filters.is_empty() || dice.one_in(2) {
            routing["default_filter"] = self.target(dice);
        }
        serde_json::json!({ "task_routing": routing }).to_string()
    }

    fn target(&self, dice: &mut Dice) -> serde_json::Value {
        let queue = dice.pick_of(&self.watch.stored.task_queues).map_or_else(String::new, |row| row.sid.to_string());
        let mut target = serde_json::json!({ "queue": queue });
        match dice.below(14) {
            12 => target["expression"] = "taskrouter.calendar.shop.open == true".into(),
            13 => target["expression"] = "taskrouter.calendar.office.open != true OR worker.level > 2".into(),
            0 => target["expression"] = "task.kind == worker.kind".into(),
            1 => target["expression"] = "worker.channel.chat.available_capacity_percentage < 60".into(),
            2 => target["expression"] = "worker.activity_name != 'x1'".into(),
            3 => target["known_worker_sid"] = "task.sid".into(),
            4 => target["known_worker_friendly_name"] = "task.name".into(),
            5 => target["order_by"] = "worker.level DESC".into(),
            6 => target["priority"] = dice.below(4).into(),
            _ => {}
        }
        target
    }
}
