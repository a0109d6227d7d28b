//! Reads scenario files and plays them against the routing core.
//!
//! The files are in `tests/scenarios/routing`; `README.md` there explains their words to whoever writes one. After each
//! command everything in `watch` is checked too. This module must not know any rule of routing: what should
//! happen is in the files. Start with [`Stage::play`].

mod calendars;
mod coverage;
mod expectations;
mod text;
mod watched;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use switchhook::routing::command::{
    ChannelName, Connection, Instruction, NewTask, NewTaskQueue, NewTransfer, NewWorker, NewWorkflow, NewWorkspace,
    PresenceReport, ReservationChange, ReservationParent, TaskQueueUpdate, TaskUpdate, Template, WorkerUpdate,
    WorkflowUpdate, WorkspaceUpdate,
};
use switchhook::routing::{
    AccountSid, ActivitySid, Alert, CalendarSid, Command, EventRecord, Reply, ReservationSid, RoutingTarget, TaskOrder,
    TaskQueueSid, TaskSid, TaskStatus, Timestamp, TransferMode, TransferSid, TransferTarget, WorkerSid, WorkflowSid,
    Workspace,
};

use crate::watch::{Depth, Sids, Watch};
use text::{Args, Scenario, Word, attributes, duration, number, seconds, split, words, yes};

/// Second 0 of every scenario.
const START: Timestamp = Timestamp(1_790_000_000_000);

#[test]
fn routing_follows_the_scenarios() {
    let mut failures = Vec::new();
    let mut played = 0;
    for (name, text) in files() {
        for scenario in split(&text) {
            played += 1;
            if let Err(failure) = play(&scenario) {
                failures.push(format!("{name}:{} ({}): {}", failure.line, scenario.title, failure.text));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {played} scenarios fail:\n{}", failures.len(), failures.join("\n"));
    assert!(played > 0, "there are scenarios");
}

/// The scenario files, with their names.
fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/routing");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder of scenarios exists")
        .map(|entry| entry.expect("its entries can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a scenario file can be read");
        (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text)
    };
    paths.into_iter().map(read).collect()
}

struct Failure {
    line: usize,
    text: String,
}

fn play(scenario: &Scenario) -> Result<(), Failure> {
    let fail = |line, text| Failure { line, text };
    let opening = scenario.lines.iter().find(|line| line.text.starts_with("workspace"));
    let (first_line, opening) = opening.map_or((0, "workspace"), |line| (line.number, line.text.as_str()));
    let mut stage = words(opening).and_then(|words| Stage::open(&words)).map_err(|text| fail(first_line, text))?;
    for line in scenario.lines.iter().filter(|line| line.number != first_line) {
        stage.depth = if line.repeated { Depth::Touched } else { Depth::All };
        words(&line.text).and_then(|words| stage.play(&words)).map_err(|text| fail(line.number, text))?;
    }
    Ok(())
}

/// What a name of the scenario stands for.
#[derive(Clone, Copy)]
enum Named {
    Activity(ActivitySid),
    Queue(TaskQueueSid),
    Workflow(WorkflowSid),
    Worker(WorkerSid),
    Task(TaskSid),
    Calendar(CalendarSid),
}

impl Display for Named {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Activity(sid) => sid.fmt(formatter),
            Self::Queue(sid) => sid.fmt(formatter),
            Self::Workflow(sid) => sid.fmt(formatter),
            Self::Worker(sid) => sid.fmt(formatter),
            Self::Task(sid) => sid.fmt(formatter),
            Self::Calendar(sid) => sid.fmt(formatter),
        }
    }
}

/// A workspace, its clock, and the names the scenario has given out.
struct Stage {
    workspace: Workspace,
    watch: Watch,
    sids: Sids,
    now: Timestamp,
    names: BTreeMap<String, Named>,
    events: Vec<EventRecord>,
    /// Those that were not expected yet.
    alerts: Vec<Alert>,
    /// Names for several fields of events.
    groups: BTreeMap<String, Vec<String>>,
    /// Up to where `expect events` has read, for each subject.
    read: BTreeMap<String, usize>,
    depth: Depth,
}

impl Stage {
    fn open(words: &[Word]) -> Result<Self, String> {
        let mut args = Args::new(words);
        args.next("workspace")?;
        let template = match args.option("template").as_deref() {
            None | Some("none") => Template::None,
            Some("fifo") => Template::Fifo,
            Some(other) => return Err(format!("no template {other}")),
        };
        let new = NewWorkspace {
            multi_task_enabled: !args.take_flag("single-tasking"),
            prioritize_queue_order: args.order().unwrap_or(TaskOrder::Fifo),
            template,
            ..NewWorkspace::named("Scenario")
        };
        args.done()?;
        let mut sids = Sids::ASCENDING;
        let account = AccountSid::from_bits(1);
        let (mut workspace, done) =
            Workspace::create(account, &new, START, &mut sids).map_err(|refusal| refusal.to_string())?;
        let watch = watched::begin(&mut workspace, &done, START)?;
        let mut stage = Self {
            workspace,
            watch,
            sids,
            now: START,
            names: BTreeMap::new(),
            events: done.events,
            alerts: done.alerts,
            groups: BTreeMap::new(),
            read: BTreeMap::new(),
            depth: Depth::All,
        };
        let rows = stage.workspace.rows();
        stage.names.extend(rows.activities.into_iter().map(|row| (row.friendly_name, Named::Activity(row.sid))));
        stage.names.extend(rows.task_queues.into_iter().map(|row| (row.friendly_name, Named::Queue(row.sid))));
        stage.names.extend(rows.workflows.into_iter().map(|row| (row.friendly_name, Named::Workflow(row.sid))));
        Ok(stage)
    }

    /// Plays one line: the clock, an expectation, a refusal, or a command.
    fn play(&mut self, words: &[Word]) -> Result<(), String> {
        let Some((first, rest)) = words.split_first() else { return Ok(()) };
        match first.text() {
            "at" => self.go_to(START, rest),
            "wait" => self.go_to(self.now, rest),
            "expect" => self.expect(rest),
            "miss-limit" => {
                let mut args = Args::new(rest);
                self.workspace.limit_connect_failures(number(&args.next("a number")?)?);
                args.done()
            }
            "group" => {
                let mut fields: Vec<String> = rest.iter().map(|word| word.text().to_owned()).collect();
                if fields.is_empty() {
                    return Err("a group needs a name".to_owned());
                }
                self.groups.insert(fields.remove(0), fields);
                Ok(())
            }
            "forget" => {
                self.read.clear();
                self.events.clear();
                self.alerts.clear();
                Ok(())
            }
            "refused" => {
                let Some((part, command)) = rest.split_first() else { return Err("refused what?".to_owned()) };
                match self.command(command)? {
                    Ok(()) => Err("was not refused".to_owned()),
                    Err(refusal) if refusal.contains(part.text()) => Ok(()),
                    Err(refusal) => Err(format!("was refused with: {refusal}")),
                }
            }
            _ => self.command(words)?.map_err(|refusal| format!("refused: {refusal}")),
        }
    }

    /// Advances the clock, with a tick at each deadline on the way.
    fn go_to(&mut self, from: Timestamp, words: &[Word]) -> Result<(), String> {
        let mut args = Args::new(words);
        let until = from.plus_ms(duration(&args.next("a time")?)?);
        args.done()?;
        if until < self.now {
            return Err("time does not go back".to_owned());
        }
        for _ in 0..10_000 {
            match self.workspace.next_deadline() {
                Some(at) if at <= until => {
                    self.now = self.now.max(at);
                    self.carry_out(&Command::Tick, None)?
                        .map_err(|refusal| format!("the tick was refused: {refusal}"))?;
                }
                _ => {
                    self.now = until;
                    return Ok(());
                }
            }
        }
        Err("the deadlines do not end".to_owned())
    }

    fn carry_out(&mut self, command: &Command, name: Option<&str>) -> Result<Result<(), String>, String> {
        let (watch, workspace, sids) = (&mut self.watch, &mut self.workspace, &mut self.sids);
        let outcome = watched::carry_out(watch, workspace, command, self.now, sids, self.depth)
            .map_err(|broken| format!("{broken} ({}s)", self.now.secs_since(START)))?;
        Ok(match outcome {
            Ok(done) => {
                let named = match done.reply {
                    Reply::Activity(sid) => Some(Named::Activity(sid)),
                    Reply::TaskQueue(sid) => Some(Named::Queue(sid)),
                    Reply::Workflow(sid) => Some(Named::Workflow(sid)),
                    Reply::Worker(sid) => Some(Named::Worker(sid)),
                    Reply::Task(sid) => Some(Named::Task(sid)),
                    Reply::TaskChannel(_) | Reply::Transfer(_) | Reply::Done => match command {
                        Command::SetCalendar { calendar, .. } => Some(Named::Calendar(*calendar)),
                        _ => None,
                    },
                };
                if let (Some(name), Some(named)) = (name, named) {
                    self.names.insert(name.to_owned(), named);
                }
                self.events.extend(done.events);
                self.alerts.extend(done.alerts);
                Ok(())
            }
            Err(refusal) => Err(refusal.to_string()),
        })
    }

    fn command(&mut self, words: &[Word]) -> Result<Result<(), String>, String> {
        let mut args = Args::new(words);
        let verb = args.next("a command")?;
        let (command, name) = self.read_command(&verb, &mut args)?;
        args.done()?;
        self.carry_out(&command, name.as_deref())
    }

    fn read_command(&self, verb: &str, args: &mut Args) -> Result<(Command, Option<String>), String> {
        let command = match verb {
            "tick" => Command::Tick,
            "delete-workspace" => Command::DeleteWorkspace,
            "change-workspace" => Command::UpdateWorkspace(WorkspaceUpdate {
                friendly_name: args.option("name"),
                default_activity: args.parsed("default-activity", |name| self.activity(name))?,
                timeout_activity: args.parsed("timeout-activity", |name| self.activity(name))?,
                multi_task_enabled: args.parsed("multitasking", yes)?,
                prioritize_queue_order: args.order(),
                disconnect_grace_secs: args.parsed("disconnect-grace", |text| {
                    if text == "off" { Ok(None) } else { seconds(text).map(Some) }
                })?,
                disconnect_activity: args.parsed("disconnect-activity", |name| self.activity(name).map(Some))?,
                ..WorkspaceUpdate::default()
            }),
            "activity" => {
                let name = args.next("a name")?;
                let available = args.take_flag("available");
                args.take_flag("unavailable");
                return Ok((Command::CreateActivity { friendly_name: name.clone(), available }, Some(name)));
            }
            "rename-activity" => Command::UpdateActivity {
                activity: self.activity(&args.next("an activity")?)?,
                friendly_name: Some(args.next("a name")?),
            },
            "task-channel" => {
                let name = args.next("a name")?;
                Command::CreateTaskChannel {
                    friendly_name: name.clone(),
                    unique_name: name,
                    channel_optimized_routing: args.take_flag("optimized"),
                }
            }
            "change-task-channel" => Command::UpdateTaskChannel {
                channel: ChannelName::Unique(args.next("a task channel")?),
                friendly_name: args.option("name"),
                channel_optimized_routing: args.parsed("optimized", yes)?,
            },
            "delete-task-channel" => Command::DeleteTaskChannel(ChannelName::Unique(args.next("a task channel")?)),
            "queue" => return self.read_queue(args),
            "change-queue" => Command::UpdateTaskQueue(
                self.queue(&args.next("a queue")?)?,
                TaskQueueUpdate {
                    friendly_name: args.option("name"),
                    target_workers: args.take_quoted().map(|text| self.with_sids(&text)).transpose()?,
                    task_order: args.order(),
                    max_reserved_workers: args.parsed("max", number)?,
                    reservation_activity: args.parsed("reservation", |name| self.activity_or_none(name))?,
                    assignment_activity: args.parsed("assignment", |name| self.activity_or_none(name))?,
                },
            ),
            "workflow" => return self.read_workflow(args),
            "change-workflow" => {
                let workflow = self.workflow(&args.next("a workflow")?)?;
                let update = WorkflowUpdate {
                    friendly_name: args.option("name"),
                    configuration: self.configuration(args)?,
                    task_reservation_timeout_secs: args.parsed("timeout", seconds)?,
                    re_evaluate_tasks: args.take_flag("re-evaluate"),
                    ..WorkflowUpdate::default()
                };
                Command::UpdateWorkflow(workflow, update)
            }
            "worker" => {
                let attributes = attributes(args)?.unwrap_or_else(|| "{}".to_owned());
                let name = args.next("a name")?;
                let activity = args.next("an activity").ok().map(|name| self.activity(&name)).transpose()?;
                let new = NewWorker { friendly_name: name.clone(), attributes, activity };
                return Ok((Command::CreateWorker(new), Some(name)));
            }
            "set" | "attributes" | "rename" => Command::UpdateWorker(
                self.worker(&args.next("a worker")?)?,
                WorkerUpdate {
                    friendly_name: if verb == "rename" { Some(args.next("a name")?) } else { None },
                    attributes: args.take_json(),
                    reject_pending_reservations: args.take_flag("reject-pending"),
                    activity: if verb == "set" { Some(self.activity(&args.next("an activity")?)?) } else { None },
                    if_match: args.parsed("if-match", number)?,
                },
            ),
            "socket" => {
                let worker = self.worker(&args.next("a worker")?)?;
                let keeps_activity = args.take_flag("keeps-activity");
                let disconnect_activity = args.parsed("then", |name| self.activity(name))?;
                let connection = Some(Connection { disconnect_activity, keeps_activity });
                Command::NotePresence(vec![PresenceReport { worker, connection }])
            }
            "no-socket" => {
                let worker = self.worker(&args.next("a worker")?)?;
                Command::NotePresence(vec![PresenceReport { worker, connection: None }])
            }
            "calendar" => return self.read_calendar(args),
            "server-starts" => Command::ForgetSockets,
            "capacity" => Command::UpdateWorkerChannel {
                worker: self.worker(&args.next("a worker")?)?,
                channel: ChannelName::Unique(args.next("a task channel")?),
                capacity: Some(number(&args.next("a capacity")?)?),
                available: None,
            },
            "channel" => Command::UpdateWorkerChannel {
                worker: self.worker(&args.next("a worker")?)?,
                channel: ChannelName::Unique(args.next("a task channel")?),
                capacity: None,
                available: Some(yes(&args.next("on or off")?)?),
            },
            "task" => return self.read_task(args),
            "update" => self.read_task_update(args)?,
            "cancel" | "wrap" | "complete" => Command::UpdateTask(
                self.task(&args.next("a task")?)?,
                TaskUpdate {
                    status: Some(match verb {
                        "cancel" => TaskStatus::Canceled,
                        "wrap" => TaskStatus::Wrapping,
                        _ => TaskStatus::Completed,
                    }),
                    reason: args.take_quoted(),
                    ..TaskUpdate::default()
                },
            ),
            "delete" => {
                let name = args.next("a name")?;
                let if_match = args.parsed("if-match", number)?;
                match self.named(&name)? {
                    Named::Activity(sid) => Command::DeleteActivity(sid),
                    Named::Queue(sid) => Command::DeleteTaskQueue(sid),
                    Named::Workflow(sid) => Command::DeleteWorkflow(sid),
                    Named::Worker(worker) => Command::DeleteWorker { worker, if_match },
                    Named::Task(task) => Command::DeleteTask { task, if_match },
                    Named::Calendar(calendar) => Command::SetCalendar { calendar, hours: None },
                }
            }
            "accept" => self.read_answer(args, |_, _| Ok(ReservationChange::Accept))?,
            "wrap-reservation" => self.read_answer(args, |_, _| Ok(ReservationChange::Wrap))?,
            "complete-reservation" => self.read_answer(args, |_, _| Ok(ReservationChange::Complete))?,
            "reject" => self.read_answer(args, |stage, args| {
                let activity = args.next("an activity").ok().map(|name| stage.activity(&name)).transpose()?;
                Ok(ReservationChange::Reject { activity })
            })?,
            "connect" => Command::BeginConnecting {
                reservation: self.reservation(args)?,
                instruction: if args.take_flag("dequeue") { Instruction::Dequeue } else { Instruction::Conference },
            },
            "transfer" => self.read_transfer(args)?,
            "cancel-transfer" => {
                let task = self.task(&args.next("a task")?)?;
                let worker = self.worker(&args.next("a worker")?)?;
                let newest = self.workspace.transfers_of_task(task).last();
                let transfer = newest.map_or(TransferSid::from_bits(u128::MAX), |row| row.sid);
                Command::CancelTransfer { worker, task, transfer }
            }
            "connected" => Command::AcceptConnected(self.reservation(args)?),
            "fail" => {
                let reservation = self.reservation(args)?;
                let rest = args.parsed("rest", seconds)?;
                let missed = args.take_flag("missed");
                Command::FailConnecting {
                    reservation,
                    reason_code: args.next("a code").ok().map(|text| number(&text)).transpose()?,
                    not_before: rest.map(|secs| self.now.plus_secs(secs)),
                    missed,
                }
            }
            "caller-gone" => {
                Command::EndCaller { task: self.task(&args.next("a task")?)?, reason: args.next("a reason")? }
            }
            "work-ended" => Command::EndWork(self.reservation(args)?),
            "merge" => {
                let text = args.take_json().ok_or("attributes are missing")?;
                let attributes = serde_json::from_str(&text).map_err(|error| error.to_string())?;
                Command::MergeTaskAttributes { task: self.task(&args.next("a task")?)?, attributes }
            }
            other => return Err(format!("no command {other}")),
        };
        Ok((command, None))
    }

    fn read_queue(&self, args: &mut Args) -> Result<(Command, Option<String>), String> {
        let name = args.next("a name")?;
        let new = NewTaskQueue {
            friendly_name: name.clone(),
            target_workers: args.take_quoted().map_or(Ok("1==1".to_owned()), |text| self.with_sids(&text))?,
            task_order: args.order().unwrap_or(TaskOrder::Fifo),
            max_reserved_workers: args.parsed("max", number)?.unwrap_or(1),
            reservation_activity: args.parsed("reservation", |name| self.activity(name))?,
            assignment_activity: args.parsed("assignment", |name| self.activity(name))?,
        };
        Ok((Command::CreateTaskQueue(new), Some(name)))
    }

    fn read_workflow(&self, args: &mut Args) -> Result<(Command, Option<String>), String> {
        let name = args.next("a name")?;
        let new = NewWorkflow {
            friendly_name: name.clone(),
            configuration: self.configuration(args)?.ok_or("a configuration is missing")?,
            assignment_callback_url: None,
            fallback_assignment_callback_url: None,
            task_reservation_timeout_secs: args.parsed("timeout", seconds)?.unwrap_or(120),
        };
        Ok((Command::CreateWorkflow(new), Some(name)))
    }

    /// `raw="…"` as it is, `default=Q`, or the filters and default filter as JSON.
    fn configuration(&self, args: &mut Args) -> Result<Option<String>, String> {
        if let Some(raw) = args.option("raw") {
            return Ok(Some(raw));
        }
        let bytes = args.parsed("bytes", number::<usize>)?;
        if let Some(queue) = args.option("default") {
            let queue = self.queue(&queue)?;
            let short = format!(r#"{{"task_routing":{{"default_filter":{{"queue":"{queue}"}}}}}}"#);
            // White space is part of the text that is kept.
            let padding = bytes.map_or(0, |bytes| bytes.saturating_sub(short.len()));
            return Ok(Some(short + &" ".repeat(padding)));
        }
        let Some(routing) = args.take_json() else { return Ok(None) };
        Ok(Some(format!(r#"{{"task_routing":{}}}"#, self.with_sids(&routing)?)))
    }

    fn read_task(&self, args: &mut Args) -> Result<(Command, Option<String>), String> {
        let name = args.next("a name")?;
        let target = match args.option("target") {
            None => None,
            Some(target) => Some(match self.named_or_unknown(&target, || Named::Worker(unknown()))? {
                Named::Worker(sid) => RoutingTarget::Worker(sid),
                Named::Queue(sid) => RoutingTarget::TaskQueue(sid),
                Named::Workflow(sid) => RoutingTarget::Workflow(sid),
                _ => return Err(format!("{target} is no routing target")),
            }),
        };
        let new = NewTask {
            attributes: attributes(args)?.map_or(Ok("{}".to_owned()), |text| self.with_sids(&text))?,
            workflow: args.parsed("workflow", |name| self.workflow(name))?,
            channel: args.option("channel").map(ChannelName::Unique),
            priority: args.parsed("priority", number)?,
            timeout_secs: args.parsed("timeout", seconds)?,
            virtual_start_at: args.parsed("start", |text| duration(text).map(|ms| START.plus_ms(ms)))?,
            routing_target: target,
            ignore_capacity: args.parsed("ignore-capacity", yes)?,
            queue: args.parsed("queue", |name| self.queue(name))?,
            not_before: None,
        };
        Ok((Command::CreateTask(new), Some(name)))
    }

    fn read_task_update(&self, args: &mut Args) -> Result<Command, String> {
        let task = self.task(&args.next("a task")?)?;
        let update = TaskUpdate {
            attributes: args.take_json().map(|text| self.with_sids(&text)).transpose()?,
            status: args.parsed("status", |text| TaskStatus::from_text(text).ok_or(format!("no status {text}")))?,
            reason: args.option("reason"),
            priority: args.parsed("priority", number)?,
            channel: args.option("channel").map(ChannelName::Unique),
            virtual_start_at: args.parsed("start", |text| duration(text).map(|ms| START.plus_ms(ms)))?,
            if_match: args.parsed("if-match", number)?,
        };
        Ok(Command::UpdateTask(task, update))
    }

    fn read_answer(
        &self,
        args: &mut Args,
        change: impl Fn(&Self, &mut Args) -> Result<ReservationChange, String>,
    ) -> Result<Command, String> {
        let reservation = self.reservation(args)?;
        let if_match = args.parsed("if-match", number)?;
        let parent = match args.option("through") {
            None => ReservationParent::Any,
            Some(name) => match self.named(&name)? {
                Named::Task(sid) => ReservationParent::Task(sid),
                Named::Worker(sid) => ReservationParent::Worker(sid),
                _ => return Err(format!("{name} has no reservations")),
            },
        };
        Ok(Command::UpdateReservation { parent, reservation, change: change(self, args)?, if_match })
    }

    /// `transfer T1 alice bob cold priority=5 {…}`: alice hands the task on to bob, or to a queue.
    fn read_transfer(&self, args: &mut Args) -> Result<Command, String> {
        let attributes = args.take_json();
        let mode = if args.take_flag("cold") { TransferMode::Cold } else { TransferMode::Warm };
        let priority = args.parsed("priority", number)?;
        let task = self.task(&args.next("a task")?)?;
        let worker = self.worker(&args.next("a worker")?)?;
        let to = args.next("a worker or a queue")?;
        let to = match self.named_or_unknown(&to, || Named::Worker(unknown()))? {
            Named::Worker(sid) => TransferTarget::Worker(sid),
            Named::Queue(sid) => TransferTarget::TaskQueue(sid),
            _ => return Err(format!("{to} takes no tasks")),
        };
        let newest = self.workspace.reservations_of_task(task).filter(|row| row.worker == worker).last();
        let reservation = newest.map_or(ReservationSid::from_bits(u128::MAX), |row| row.sid);
        Ok(Command::CreateTransfer(NewTransfer {
            worker,
            task,
            reservation,
            to,
            mode,
            attributes,
            priority,
            in_room: false,
        }))
    }

    fn named(&self, name: &str) -> Result<Named, String> {
        self.names.get(name).copied().ok_or_else(|| format!("nothing is called {name}"))
    }

    /// `?` stands for something that does not exist.
    fn named_or_unknown(&self, name: &str, made_up: impl Fn() -> Named) -> Result<Named, String> {
        if name == "?" { Ok(made_up()) } else { self.named(name) }
    }

    fn activity(&self, name: &str) -> Result<ActivitySid, String> {
        match self.named_or_unknown(name, || Named::Activity(ActivitySid::from_bits(u128::MAX)))? {
            Named::Activity(sid) => Ok(sid),
            _ => Err(format!("{name} is no activity")),
        }
    }

    fn activity_or_none(&self, name: &str) -> Result<Option<ActivitySid>, String> {
        if name == "none" { Ok(None) } else { self.activity(name).map(Some) }
    }

    fn queue(&self, name: &str) -> Result<TaskQueueSid, String> {
        match self.named_or_unknown(name, || Named::Queue(TaskQueueSid::from_bits(u128::MAX)))? {
            Named::Queue(sid) => Ok(sid),
            _ => Err(format!("{name} is no queue")),
        }
    }

    fn workflow(&self, name: &str) -> Result<WorkflowSid, String> {
        match self.named_or_unknown(name, || Named::Workflow(WorkflowSid::from_bits(u128::MAX)))? {
            Named::Workflow(sid) => Ok(sid),
            _ => Err(format!("{name} is no workflow")),
        }
    }

    fn worker(&self, name: &str) -> Result<WorkerSid, String> {
        match self.named_or_unknown(name, || Named::Worker(unknown()))? {
            Named::Worker(sid) => Ok(sid),
            _ => Err(format!("{name} is no worker")),
        }
    }

    fn task(&self, name: &str) -> Result<TaskSid, String> {
        match self.named_or_unknown(name, || Named::Task(TaskSid::from_bits(u128::MAX)))? {
            Named::Task(sid) => Ok(sid),
            _ => Err(format!("{name} is no task")),
        }
    }

    /// The newest reservation of a task for a worker.
    fn reservation(&self, args: &mut Args) -> Result<ReservationSid, String> {
        let task = self.task(&args.next("a task")?)?;
        let worker = self.worker(&args.next("a worker")?)?;
        let newest = self.workspace.reservations_of_task(task).filter(|row| row.worker == worker).last();
        Ok(newest.map_or(ReservationSid::from_bits(u128::MAX), |row| row.sid))
    }

    /// Replaces `@name` by the SID of what has that name.
    fn with_sids(&self, text: &str) -> Result<String, String> {
        let mut parts = text.split('@');
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(part.len());
            out.push_str(&self.named(&part[..end])?.to_string());
            out.push_str(&part[end..]);
        }
        Ok(out)
    }
}

fn unknown() -> WorkerSid {
    WorkerSid::from_bits(u128::MAX)
}
