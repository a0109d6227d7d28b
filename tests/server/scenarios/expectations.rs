//! What a scenario expects: compares, changes nothing.
//!
//! Start with [`Stage::expect`].

use switchhook::routing::{EventRecord, Reservation, ReservationStatus, Task, TaskSid, WorkerSid};

use super::text::{Args, Word, duration, number, yes};
use super::{Named, START, Stage};

impl Stage {
    pub(super) fn expect(&mut self, words: &[Word]) -> Result<(), String> {
        let mut args = Args::new(words);
        let subject = args.next("what is expected")?;
        match subject.as_str() {
            "events" => return self.expect_events(args),
            "gone" => {
                let name = args.next("a name")?;
                let there = match self.named(&name)? {
                    Named::Task(sid) => self.workspace.task(sid).is_some(),
                    Named::Worker(sid) => self.workspace.worker(sid).is_some(),
                    _ => return Err("only tasks and workers go".to_owned()),
                };
                same("there", there, false)?;
            }
            "next" => {
                let wanted = args.next("a time")?;
                let wanted = if wanted == "none" { None } else { Some(START.plus_ms(duration(&wanted)?)) };
                same("the next deadline", self.workspace.next_deadline(), wanted)?;
            }
            "field" => {
                let (event, field, wanted) = (args.next("an event")?, args.next("a field")?, args.next("a value")?);
                let wanted = self.with_sids(&wanted)?;
                let newest = self.events.iter().rfind(|record| record.kind.as_str() == event);
                let data = &newest.ok_or_else(|| format!("no event {event}"))?.data;
                let value = data.get(&field);
                same(&field, value.unwrap_or("absent"), wanted.as_str())?;
            }
            "fields" => self.expect_fields(&mut args)?,
            "names" => self.expect_names(&mut args)?,
            "workspace" => {
                let settings = self.workspace.settings();
                for (key, sid) in
                    [("default-activity", settings.default_activity), ("timeout-activity", settings.timeout_activity)]
                {
                    if let Some(name) = args.option(key) {
                        same(key, sid, self.activity(&name)?)?;
                    }
                }
            }
            "alerts" => {
                let mut wanted = Vec::new();
                while let Ok(word) = args.next("a code") {
                    wanted.push(number::<u32>(&word)?);
                }
                let found: Vec<u32> = self.alerts.drain(..).map(|alert| alert.code).collect();
                same("alerts", found, wanted)?;
            }
            "transfer" => self.expect_transfer(&mut args)?,
            "history" => self.expect_history(&mut args)?,
            _ => match self.named(&subject)? {
                Named::Calendar(_) => return Err("a calendar is asked by expressions only".to_owned()),
                Named::Task(sid) => self.expect_task(sid, &mut args)?,
                Named::Worker(sid) => self.expect_worker(sid, &mut args)?,
                Named::Activity(sid) => {
                    let row = self.workspace.rows().activities.into_iter().find(|row| row.sid == sid);
                    let row = row.ok_or("the activity is gone")?;
                    same("available", row.available, args.take_flag("available"))?;
                    args.take_flag("unavailable");
                }
                Named::Workflow(sid) => {
                    let inside = args.take_json().ok_or("a configuration is missing")?;
                    let wanted = format!(r#"{{"task_routing":{}}}"#, self.with_sids(&inside)?);
                    let rows = self.workspace.rows();
                    let row = rows.workflows.iter().find(|row| row.sid == sid).ok_or("the workflow is gone")?;
                    same("configuration", row.configuration.as_str(), wanted.as_str())?;
                }
                Named::Queue(_) => return Err(format!("nothing can be expected of {subject}")),
            },
        }
        args.done()
    }

    fn expect_task(&self, sid: TaskSid, args: &mut Args) -> Result<(), String> {
        let task = self.workspace.task(sid).ok_or("the task is gone")?;
        let status = args.next("a status")?;
        let open: Vec<&Reservation> =
            self.workspace.reservations_of_task(sid).filter(|row| row.status.is_open()).collect();
        let found = || format!("{} for {:?}", task.status, open.iter().map(|row| &row.worker_name).collect::<Vec<_>>());
        if task.status.as_str() != status {
            return Err(format!("expected {status}, found {} ({:?})", found(), task.reason));
        }
        if let Some(reason) = args.take_quoted() {
            same("reason", task.reason.as_deref().unwrap_or_default(), self.with_sids(&reason)?.as_str())?;
        }
        if let Some(attributes) = args.take_json() {
            same("attributes", task.attributes.as_str(), self.with_sids(&attributes)?.as_str())?;
        }
        Self::expect_figures(task, args)?;
        let mut workers = Vec::new();
        while let Ok(word) = args.next("a word") {
            if word == "in" {
                same("queue", task.queue, Some(self.queue(&args.next("a queue")?)?))?;
            } else {
                workers.push(word);
            }
        }
        let names: Vec<String> = open.iter().map(|row| row.worker_name.clone()).collect();
        if !workers.is_empty() && workers != names {
            return Err(format!("expected {status} for {workers:?}, found {}", found()));
        }
        Ok(())
    }

    fn expect_figures(task: &Task, args: &mut Args) -> Result<(), String> {
        if let Some(priority) = args.parsed("priority", number)? {
            same("priority", task.priority, priority)?;
        }
        if let Some(version) = args.parsed("version", number)? {
            same("version", task.version, version)?;
        }
        if let Some(count) = args.parsed("reserved-count", number)? {
            same("reserved count", task.reserved_count, count)?;
        }
        if let Some(entered) = args.parsed("entered", |text| duration(text).map(|ms| START.plus_ms(ms)))? {
            same("time of entering the queue", task.queue_entered_at, Some(entered))?;
        }
        Ok(())
    }

    fn expect_worker(&self, sid: WorkerSid, args: &mut Args) -> Result<(), String> {
        let worker = self.workspace.worker(sid).ok_or("the worker is gone")?;
        if let Some(version) = args.parsed("version", number)? {
            same("version", worker.version, version)?;
        }
        match args.next("in or channel")?.as_str() {
            "in" => {
                let name = args.next("an activity")?;
                let rows = self.workspace.rows();
                let activity = rows.activities.iter().find(|row| row.sid == worker.activity);
                same("activity", activity.map(|row| row.friendly_name.as_str()), Some(name.as_str()))
            }
            "channel" => {
                let name = args.next("a task channel")?;
                let rows = self.workspace.rows();
                let channel = rows.task_channels.iter().find(|row| row.unique_name == name);
                let row = channel.and_then(|channel| self.workspace.worker_channel(sid, channel.sid));
                let row = row.ok_or_else(|| format!("no channel {name}"))?;
                let figures = [
                    ("capacity", row.configured_capacity),
                    ("used", row.used),
                    ("assigned", row.assigned_tasks),
                    ("percent", row.available_capacity_percentage()),
                    ("available", u32::from(row.available)),
                ];
                for (key, value) in figures {
                    let read = |text: &str| yes(text).map(u32::from).or_else(|_| number(text));
                    if let Some(wanted) = args.parsed(key, read)? {
                        same(key, value, wanted)?;
                    }
                }
                Ok(())
            }
            other => Err(format!("what is {other}?")),
        }
    }

    /// All reservations of a task, oldest first: `alice:rejected bob:pending`.
    fn expect_history(&self, args: &mut Args) -> Result<(), String> {
        let task = self.task(&args.next("a task")?)?;
        let code = args.parsed("code", number::<i32>)?;
        let mut wanted = Vec::new();
        while let Ok(word) = args.next("a reservation") {
            wanted.push(word);
        }
        let rows: Vec<&Reservation> = self.workspace.reservations_of_task(task).collect();
        let found: Vec<String> = rows.iter().map(|row| format!("{}:{}", row.worker_name, row.status)).collect();
        same("reservations", found, wanted)?;
        let last = rows.iter().rfind(|row| row.status == ReservationStatus::Canceled);
        same("reason code", last.and_then(|row| row.canceled_reason_code), code)
    }

    /// The newest transfer of a task: `T1 warm bob initiated "reason"`.
    fn expect_transfer(&self, args: &mut Args) -> Result<(), String> {
        let reason = args.take_quoted();
        let task = self.task(&args.next("a task")?)?;
        let newest = self.workspace.transfers_of_task(task).last();
        if args.take_flag("none") {
            return same("transfer", newest.map(|row| row.status), None);
        }
        let row = newest.ok_or("the task was never transferred")?;
        same("mode", row.mode.as_str().to_lowercase(), args.next("a mode")?)?;
        same("target", row.to.to_string(), self.named(&args.next("a target")?)?.to_string())?;
        same("status", row.status.as_str().to_owned(), args.next("a status")?)?;
        same("reason", row.failed_reason.clone(), reason)
    }

    /// All fields of the newest event of a type, in any order; a group stands for its fields.
    fn expect_fields(&self, args: &mut Args) -> Result<(), String> {
        let event = args.next("an event")?;
        let mut wanted = Vec::new();
        while let Ok(word) = args.next("a field or a group") {
            match self.groups.get(&word) {
                Some(fields) => wanted.extend(fields.iter().cloned()),
                None => wanted.push(word),
            }
        }
        let newest = self.events.iter().rfind(|record| record.kind.as_str() == event);
        let data = &newest.ok_or_else(|| format!("no event {event}"))?.data;
        let mut found: Vec<String> = data.iter().map(|(name, _)| name.to_owned()).collect();
        found.sort();
        wanted.sort();
        same(&format!("fields of {event}"), found, wanted)
    }

    fn expect_names(&self, args: &mut Args) -> Result<(), String> {
        let rows = self.workspace.rows();
        let kind = args.next("a kind")?;
        let found: Vec<String> = match kind.as_str() {
            "activities" => rows.activities.iter().map(|row| row.friendly_name.clone()).collect(),
            "queues" => rows.task_queues.iter().map(|row| row.friendly_name.clone()).collect(),
            "workflows" => rows.workflows.iter().map(|row| row.friendly_name.clone()).collect(),
            "task-channels" => rows.task_channels.iter().map(|row| row.unique_name.clone()).collect(),
            "older-versions" => rows.workflow_versions.iter().map(|row| row.version.to_string()).collect(),
            other => return Err(format!("no kind {other}")),
        };
        let mut wanted = Vec::new();
        while let Ok(word) = args.next("a name") {
            wanted.push(word);
        }
        same(&kind, found, wanted)
    }

    /// The events about a subject (or `all`) since the last time they were expected.
    fn expect_events(&mut self, mut args: Args) -> Result<(), String> {
        let subject = args.next("a subject")?;
        let from = self.read.insert(subject.clone(), self.events.len()).unwrap_or(0);
        let named = if subject == "all" { None } else { Some(self.named(&subject)?) };
        let concerns = |event: &&EventRecord| match named {
            None => true,
            Some(Named::Task(sid)) => event.about.task == Some(sid),
            Some(Named::Worker(sid)) => event.about.worker == Some(sid),
            Some(Named::Queue(sid)) => event.about.queue == Some(sid),
            Some(Named::Workflow(sid)) => event.about.workflow == Some(sid),
            Some(Named::Activity(sid)) => event.about.activity == Some(sid),
            Some(Named::Calendar(_)) => false,
        };
        let found: Vec<&str> = self.events[from..].iter().filter(concerns).map(|event| event.kind.as_str()).collect();
        let mut wanted = Vec::new();
        while let Ok(word) = args.next("an event") {
            wanted.push(word);
        }
        same("events", found, wanted.iter().map(String::as_str).collect())?;
        args.done()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "callers compare values they have just made")]
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, wanted: T) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: expected {wanted:?}, found {found:?}")) }
}
