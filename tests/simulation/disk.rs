//! The simulated store: what is committed, and what is written but may still be lost.
//!
//! The rows of the routing core are kept by the watch; here are those of the calls core and the outbox, and for all of
//! them what undoes the writes since the last commit. Start with [`Disk::write`].

use std::collections::BTreeMap;

use switchhook::engine::cores::Errand;
use switchhook::routing::{CalendarSid, RowChange, TaskSid};
use switchhook::store::{Batch, CalendarRow, Loaded, OutboxRow, VoiceTaskRow};

use crate::watch::Watch;

enum Undo {
    Rows(Vec<RowChange>),
    VoiceTask(TaskSid, Option<Box<VoiceTaskRow>>),
    Outbox((TaskSid, u32), Option<Box<OutboxRow>>),
    LastRelay(TaskSid, Option<u32>),
}

/// What follows a write once it is on disk, and is lost with it.
#[derive(Default)]
pub(crate) struct Disk {
    voice_tasks: BTreeMap<TaskSid, VoiceTaskRow>,
    outbox: BTreeMap<(TaskSid, u32), OutboxRow>,
    /// The number of the newest callback that is passed on, for each task.
    last_relays: BTreeMap<TaskSid, u32>,
    /// Written by themselves, before the workspace hears of them.
    calendars: BTreeMap<CalendarSid, CalendarRow>,
    undo: Vec<Undo>,
    errands: Vec<Errand>,
}

impl Disk {
    /// Writes everything of a batch but the routing rows, which `undo` takes back.
    pub(crate) fn write(&mut self, batch: Batch, undo: Vec<RowChange>, errands: Vec<Errand>) -> Result<(), String> {
        self.undo.push(Undo::Rows(undo));
        for row in batch.voice_tasks {
            let task = row.task;
            let before = self.voice_tasks.insert(task, row).map(Box::new);
            self.undo.push(Undo::VoiceTask(task, before));
        }
        for task in batch.voice_tasks_deleted {
            let before = self.voice_tasks.remove(&task).map(Box::new);
            self.undo.push(Undo::VoiceTask(task, before));
        }
        for row in batch.relays {
            let before = self.last_relays.insert(row.task, row.number);
            if row.number != before.unwrap_or(0) + 1 {
                return Err(format!("callback {} of {} is passed on after {before:?}", row.number, row.task));
            }
            self.undo.push(Undo::LastRelay(row.task, before));
        }
        for row in batch.outbox_added {
            let key = (row.task, row.number);
            let before = self.outbox.insert(key, row).map(Box::new);
            if before.is_some() {
                return Err(format!("phone command {} of {} was decided twice", key.1, key.0));
            }
            self.undo.push(Undo::Outbox(key, before));
        }
        for key in batch.outbox_done {
            let before = self.outbox.remove(&key).map(Box::new);
            self.undo.push(Undo::Outbox(key, before));
        }
        self.errands.extend(errands);
        Ok(())
    }

    /// Writes a calendar, or removes it; it is on disk at once.
    pub(crate) fn write_calendar(&mut self, calendar: CalendarSid, row: Option<CalendarRow>) {
        match row {
            Some(row) => self.calendars.insert(calendar, row),
            None => self.calendars.remove(&calendar),
        };
    }

    pub(crate) fn has_written(&self) -> bool {
        !self.undo.is_empty()
    }

    /// What was written is on disk; the phone commands among it may be carried out.
    pub(crate) fn commit(&mut self) -> Vec<Errand> {
        self.undo.clear();
        std::mem::take(&mut self.errands)
    }

    /// What was written since the last commit is lost.
    pub(crate) fn lose(&mut self, watch: &mut Watch) {
        self.errands.clear();
        for undo in std::mem::take(&mut self.undo).into_iter().rev() {
            match undo {
                Undo::Rows(changes) => watch.roll_back(changes),
                Undo::VoiceTask(task, Some(row)) => _ = self.voice_tasks.insert(task, *row),
                Undo::VoiceTask(task, None) => _ = self.voice_tasks.remove(&task),
                Undo::LastRelay(task, Some(number)) => _ = self.last_relays.insert(task, number),
                Undo::LastRelay(task, None) => _ = self.last_relays.remove(&task),
                Undo::Outbox(key, Some(row)) => _ = self.outbox.insert(key, *row),
                Undo::Outbox(key, None) => _ = self.outbox.remove(&key),
            }
        }
    }

    /// Everything as a store would load it.
    pub(crate) fn load(&self, watch: &Watch) -> Loaded {
        Loaded {
            rows: watch.stored.rows(),
            voice_tasks: self.voice_tasks.values().cloned().collect(),
            outbox: self.outbox.values().cloned().collect(),
            // Workflows of the simulation have no callback URL.
            open_callbacks: Vec::new(),
            // Nobody leaves a message there.
            voicemails: Vec::new(),
            calendars: self.calendars.values().cloned().collect(),
        }
    }

    pub(crate) fn voice_tasks(&self) -> impl Iterator<Item = &VoiceTaskRow> {
        self.voice_tasks.values()
    }

    pub(crate) fn outbox(&self) -> impl Iterator<Item = &OutboxRow> {
        self.outbox.values()
    }
}
