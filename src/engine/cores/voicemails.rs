//! Messages of callers become tasks, each of them once, however often the phone system tells of its recording.
//!
//! Which recordings have become tasks is on disk, in the commit of the task. Must not know what is in such a task. Start
//! with [`Cores::take_message`].

use std::collections::{BTreeMap, BTreeSet};

use crate::routing::command::NewTask;
use crate::routing::{Command, Refusal, Reply, SidSource, TaskSid, Timestamp};
use crate::store::Voicemail;

use super::Cores;

/// How long a recording is remembered, in seconds: long after the last attempt at telling of it.
const KEPT_SECS: u32 = 7 * 86_400;

/// The recordings that have become tasks of late.
#[derive(Debug, Default)]
pub(super) struct Voicemails {
    tasks: BTreeMap<String, TaskSid>,
    by_age: BTreeSet<(Timestamp, String)>,
    added: Vec<Voicemail>,
    forgotten: Vec<String>,
}

impl Voicemails {
    /// Those that are on disk.
    pub(super) fn restore(rows: Vec<Voicemail>) -> Self {
        let mut voicemails = Self::default();
        for row in rows {
            voicemails.note(row);
        }
        voicemails
    }

    /// All of them, with their tasks.
    pub(super) fn tasks(&self) -> &BTreeMap<String, TaskSid> {
        &self.tasks
    }

    /// What is to be written since the last call, and what is to be removed.
    pub(super) fn take_changes(&mut self) -> (Vec<Voicemail>, Vec<String>) {
        (std::mem::take(&mut self.added), std::mem::take(&mut self.forgotten))
    }

    fn note(&mut self, row: Voicemail) {
        self.by_age.insert((row.created_at, row.recording.clone()));
        self.tasks.insert(row.recording, row.task);
    }

    fn add(&mut self, recording: &str, task: TaskSid, now: Timestamp) {
        let row = Voicemail { recording: recording.to_owned(), task, created_at: now };
        self.added.push(row.clone());
        self.note(row);
    }

    fn forget_old(&mut self, now: Timestamp) {
        while let Some((at, recording)) = self.by_age.pop_first() {
            if at.plus_secs(KEPT_SECS) > now {
                self.by_age.insert((at, recording));
                return;
            }
            self.tasks.remove(&recording);
            self.forgotten.push(recording);
        }
    }
}

impl Cores {
    /// Makes the task of a recording, or says which one it is.
    pub(super) fn take_message(
        &mut self,
        recording: &str,
        new: &NewTask,
        sids: &mut dyn SidSource,
    ) -> Result<Reply, Refusal> {
        if let Some(task) = self.voicemails.tasks.get(recording) {
            return Ok(Reply::Task(*task));
        }
        let reply = self.route(&Command::CreateTask(new.clone()), sids)?;
        if let Reply::Task(task) = reply {
            self.voicemails.forget_old(self.now);
            self.voicemails.add(recording, task, self.now);
        }
        Ok(reply)
    }
}
