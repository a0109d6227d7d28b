//! Records for the store's tests: every table, every variant, odd texts.

use secrecy::SecretString;

use crate::routing::rare::Rare;
use crate::routing::*;
use crate::store::{Account, Alert, Batch, OutboxRow, VoiceRecord, VoiceTaskRow};

/// Quotes, placeholders, line ends, more than one byte a character, an empty-looking text.
pub(super) const ODD: &str = "O'Brien \"$1\" ?1 %s;--\r\n\t\u{1F600} Ünïcödé \u{202e} \\";

pub(super) fn account_sid() -> AccountSid {
    AccountSid::from_bits(1)
}

pub(super) fn workspace_sid(number: u128) -> WorkspaceSid {
    WorkspaceSid::from_bits(number)
}

pub(super) fn account() -> Account {
    Account {
        sid: account_sid(),
        friendly_name: ODD.to_owned(),
        auth_token: SecretString::from("a-token"),
        created_at: Timestamp(5),
    }
}

pub(super) fn settings(workspace: WorkspaceSid) -> WorkspaceSettings {
    WorkspaceSettings {
        sid: workspace,
        account: account_sid(),
        friendly_name: ODD.to_owned(),
        default_activity: ActivitySid::from_bits(1),
        timeout_activity: ActivitySid::from_bits(u128::MAX),
        event_callback_url: String::new(),
        events_filter: Some("task.created,task.canceled".to_owned()),
        multi_task_enabled: true,
        prioritize_queue_order: TaskOrder::Lifo,
        disconnect_grace_secs: Some(30),
        disconnect_activity: Some(ActivitySid::from_bits(3)),
        last_sequence: 0,
        last_change_at: Timestamp(1_700_000_000_000),
        created_at: Timestamp(-1),
        updated_at: Timestamp(1_700_000_000_000),
    }
}

pub(super) fn presence(number: u128, deadline: Option<Timestamp>) -> Presence {
    Presence {
        worker: WorkerSid::from_bits(number),
        disconnect_activity: deadline.map(|_| ActivitySid::from_bits(2)),
        keeps_activity: deadline.is_none(),
        deadline,
    }
}

pub(super) fn worker(number: u128, name: &str) -> Worker {
    Worker {
        sid: WorkerSid::from_bits(number),
        friendly_name: name.to_owned(),
        attributes: "{ \"a\":1.50 , \"b\":\"é\"}".to_owned(),
        activity: ActivitySid::from_bits(2),
        status_changed_at: Timestamp(1),
        last_reserved_at: Timestamp(2),
        version: 3,
        created_at: Timestamp(4),
        updated_at: Timestamp(5),
        connect_failures: 6,
    }
}

pub(super) fn task(number: u128) -> Task {
    Task {
        sid: TaskSid::from_bits(number),
        attributes: format!("{{\"odd\":{}}}", serde_json::to_string(ODD).unwrap()),
        status: TaskStatus::Pending,
        priority: i32::MAX,
        timeout_secs: 86_400,
        reason: Rare::UNSET,
        channel: TaskChannelSid::from_bits(1),
        queue: None,
        queue_entered_at: None,
        workflow: None,
        workflow_version: 0,
        step: Step::Direct,
        base_at: Timestamp(7),
        filter_timed_out: false,
        virtual_start_at: Timestamp(8),
        routing_target: Rare::UNSET,
        ignore_capacity: false,
        reserved_count: 0,
        back_offs: Rare::UNSET,
        attributes_changed: false,
        transfer: Rare::UNSET,
        version: 0,
        assigned_at: Rare::UNSET,
        finished_at: Rare::UNSET,
        created_at: Timestamp(9),
        updated_at: Timestamp(10),
    }
}

fn full_task(number: u128, step: Step, target: RoutingTarget) -> Task {
    let back_off = |worker, failures| BackOff { worker, until: Timestamp(99), failures };
    Task {
        reason: Some(ODD.to_owned()).into(),
        queue: Some(TaskQueueSid::from_bits(1)),
        queue_entered_at: Some(Timestamp(11)),
        workflow: Some(WorkflowSid::from_bits(1)),
        workflow_version: 7,
        step,
        filter_timed_out: true,
        routing_target: Some(target).into(),
        ignore_capacity: true,
        reserved_count: u32::MAX,
        back_offs: vec![back_off(None, 0), back_off(Some(WorkerSid::from_bits(2)), 3)].into(),
        attributes_changed: true,
        transfer: Some(TransferSid::from_bits(1)).into(),
        version: u64::from(u32::MAX) + 1,
        assigned_at: Some(Timestamp(12)).into(),
        finished_at: Some(Timestamp(13)).into(),
        ..task(number)
    }
}

pub(super) fn reservation(number: u128, status: ReservationStatus, full: bool) -> Reservation {
    Reservation {
        sid: ReservationSid::from_bits(number),
        task: TaskSid::from_bits(1),
        worker: WorkerSid::from_bits(2),
        worker_name: ODD.to_owned(),
        channel: TaskChannelSid::from_bits(1),
        status,
        timeout_secs: 120,
        deadline: full.then_some(Timestamp(120_000)),
        connecting: full,
        previous_activity: full.then_some(ActivitySid::from_bits(3)),
        canceled_reason_code: full.then_some(-13_224),
        transfer: full.then_some(TransferSid::from_bits(2)),
        version: 1,
        created_at: Timestamp(1),
        updated_at: Timestamp(2),
    }
}

fn transfer(number: u128, status: TransferStatus) -> Transfer {
    let full = number.is_multiple_of(2);
    Transfer {
        sid: TransferSid::from_bits(number),
        task: TaskSid::from_bits(1),
        mode: if full { TransferMode::Cold } else { TransferMode::Warm },
        to: if full {
            TransferTarget::TaskQueue(TaskQueueSid::from_bits(1))
        } else {
            TransferTarget::Worker(WorkerSid::from_bits(1))
        },
        status,
        failed_reason: full.then(|| ODD.to_owned()),
        initiating_reservation: ReservationSid::from_bits(1),
        initiating_worker: WorkerSid::from_bits(2),
        initiating_queue: full.then_some(TaskQueueSid::from_bits(1)),
        initiating_workflow: full.then_some(WorkflowSid::from_bits(1)),
        created_at: Timestamp(1),
        updated_at: Timestamp(2),
    }
}

/// Rows of a workspace that use every column, with and without a value, and every variant.
pub(super) fn rows(workspace: WorkspaceSid) -> WorkspaceRows {
    let queue = |number, task_order, activity: Option<ActivitySid>| TaskQueue {
        sid: TaskQueueSid::from_bits(number),
        friendly_name: format!("queue {number}"),
        target_workers: "skills HAS \"billing\"".to_owned(),
        task_order,
        max_reserved_workers: 50,
        reservation_activity: activity,
        assignment_activity: activity,
        created_at: Timestamp(1),
        updated_at: Timestamp(2),
    };
    let workflow = |number, url: Option<String>| Workflow {
        sid: WorkflowSid::from_bits(number),
        friendly_name: ODD.to_owned(),
        configuration: "{\"task_routing\": {} }\n".to_owned(),
        version: 2,
        assignment_callback_url: url.clone(),
        fallback_assignment_callback_url: url,
        task_reservation_timeout_secs: 86_400,
        created_at: Timestamp(1),
        updated_at: Timestamp(2),
    };
    let mut tasks: Vec<Task> =
        TaskStatus::ALL.iter().zip(1..).map(|(status, number)| Task { status: *status, ..task(number) }).collect();
    tasks.push(full_task(100, Step::Default, RoutingTarget::Worker(WorkerSid::from_bits(1))));
    tasks.push(full_task(
        101,
        Step::Target { filter: 3, target: u32::MAX },
        RoutingTarget::TaskQueue(TaskQueueSid::from_bits(1)),
    ));
    tasks.push(full_task(102, Step::Direct, RoutingTarget::Workflow(WorkflowSid::from_bits(1))));
    WorkspaceRows {
        settings: settings(workspace),
        activities: [true, false]
            .into_iter()
            .zip(1..)
            .map(|(available, number)| Activity {
                sid: ActivitySid::from_bits(number),
                friendly_name: ODD.to_owned(),
                available,
                created_at: Timestamp(1),
                updated_at: Timestamp(2),
            })
            .collect(),
        task_channels: [true, false]
            .into_iter()
            .zip(1..)
            .map(|(flag, number)| TaskChannel {
                sid: TaskChannelSid::from_bits(number),
                friendly_name: ODD.to_owned(),
                unique_name: format!("channel{number}"),
                channel_optimized_routing: flag,
                built_in: !flag,
                created_at: Timestamp(1),
                updated_at: Timestamp(2),
            })
            .collect(),
        task_queues: vec![queue(1, TaskOrder::Fifo, None), queue(2, TaskOrder::Lifo, Some(ActivitySid::from_bits(1)))],
        workflows: vec![workflow(1, None), workflow(2, Some("https://example.com/a?b=c".to_owned()))],
        workflow_versions: [1, 2]
            .into_iter()
            .map(|version| WorkflowVersion {
                workflow: WorkflowSid::from_bits(1),
                version,
                configuration: ODD.to_owned(),
            })
            .collect(),
        workers: vec![worker(1, "Ünïcödé"), worker(2, ODD)],
        worker_channels: [true, false]
            .into_iter()
            .zip(1..)
            .map(|(available, number)| WorkerChannel {
                sid: WorkerChannelSid::from_bits(number),
                worker: WorkerSid::from_bits(number),
                channel: TaskChannelSid::from_bits(1),
                configured_capacity: 50,
                available,
                assigned_tasks: 1,
                used: 2,
                last_reserved_at: Timestamp(3),
                created_at: Timestamp(4),
                updated_at: Timestamp(5),
            })
            .collect(),
        tasks,
        reservations: ReservationStatus::ALL
            .iter()
            .zip(1..)
            .map(|(status, number)| reservation(number, *status, number % 2 == 0))
            .collect(),
        transfers: TransferStatus::ALL.iter().zip(1..).map(|(status, number)| transfer(number, *status)).collect(),
        presences: [None, Some(Timestamp(-7))]
            .into_iter()
            .zip(1..)
            .map(|(deadline, number)| presence(number, deadline))
            .collect(),
    }
}

/// The changes that write `rows`.
pub(super) fn changes(rows: WorkspaceRows) -> Vec<RowChange> {
    let mut changes = vec![RowChange::Workspace(rows.settings)];
    changes.extend(rows.activities.into_iter().map(RowChange::Activity));
    changes.extend(rows.task_channels.into_iter().map(RowChange::TaskChannel));
    changes.extend(rows.task_queues.into_iter().map(RowChange::TaskQueue));
    changes.extend(rows.workflows.into_iter().map(RowChange::Workflow));
    changes.extend(rows.workflow_versions.into_iter().map(RowChange::WorkflowVersion));
    changes.extend(rows.workers.into_iter().map(RowChange::Worker));
    changes.extend(rows.worker_channels.into_iter().map(RowChange::WorkerChannel));
    changes.extend(rows.tasks.into_iter().map(RowChange::Task));
    changes.extend(rows.reservations.into_iter().map(RowChange::Reservation));
    changes.extend(rows.transfers.into_iter().map(RowChange::Transfer));
    changes.extend(rows.presences.into_iter().map(RowChange::Presence));
    changes
}

pub(super) fn event(sid: u128, sequence: u64) -> EventRecord {
    EventRecord {
        sequence,
        sid: EventSid::from_bits(sid),
        kind: EventKind::TaskCreated,
        at: Timestamp(1_700_000_000_000),
        description: ODD.to_owned(),
        resource_type: "task",
        resource_sid: TaskSid::from_bits(1).into(),
        about: About { task: Some(TaskSid::from_bits(1)), ..About::default() },
        data: [("z_first", ODD), ("a_second", "")].into_iter().collect(),
    }
}

pub(super) fn outbox(task: u128, number: u32, attempts: u32) -> OutboxRow {
    OutboxRow {
        task: TaskSid::from_bits(task),
        number,
        command: "{\"hang_up\":{\"call\":\"CA1\"}}".to_owned(),
        attempts,
        created_at: Timestamp(3),
    }
}

pub(super) fn voice_task(workspace: WorkspaceSid, task: u128, call: Option<&str>, closed: bool) -> VoiceTaskRow {
    VoiceTaskRow {
        task: TaskSid::from_bits(task),
        workspace,
        call: call.map(str::to_owned),
        closed,
        conference: closed.then(|| "CF1".to_owned()),
        state: VoiceRecord::Json(format!("{{\"odd\":{}}}", serde_json::to_string(ODD).unwrap())),
        updated_at: Timestamp(4),
    }
}

pub(super) fn alert(number: u128, workspace: Option<WorkspaceSid>) -> Alert {
    Alert {
        sid: AlertSid::from_bits(number),
        account: account_sid(),
        workspace,
        code: 11_200,
        message: ODD.to_owned(),
        task: workspace.map(|_| TaskSid::from_bits(1)),
        reservation: workspace.map(|_| ReservationSid::from_bits(1)),
        worker: workspace.map(|_| WorkerSid::from_bits(1)),
        at: Timestamp(i64::try_from(number).unwrap()),
    }
}

/// A batch that makes the workspace with these rows and one event.
pub(super) fn first_batch(rows: WorkspaceRows) -> Batch {
    let workspace = rows.settings.sid;
    Batch { rows: changes(rows), events: vec![event(workspace.bits() << 64 | 1, 1)], ..Batch::empty(workspace, 0) }
}
