//! Callbacks of the phone system that are passed on to the application: decided and on disk in the commit of what they
//! tell (`spec/voice.md` 4.5).
//!
//! Sending is for others. Start with [`Cores::take_in`].

use std::collections::VecDeque;

use crate::calls::Input;
use crate::routing::{SidSource, TaskSid};
use crate::store::RelayRow;

use super::super::request::Heard;
use super::Cores;

/// Parameter of the callbacks of a dequeue instruction: the caller's call.
const TASK_CALL: &str = "taskCallSid";

impl Cores {
    /// Takes in a callback: what it tells the calls core, and who else is to hear it.
    pub(super) fn take_in(&mut self, task: TaskSid, input: Option<&Input>, heard: &Heard, sids: &mut dyn SidSource) {
        self.pass_on(task, heard);
        if let Some(input) = input {
            self.run(VecDeque::from([(task, input.clone())]), sids);
        }
    }

    fn pass_on(&mut self, task: TaskSid, heard: &Heard) {
        let Some(record) = self.calls.task(task) else { return };
        let Some(subscription) = record.subscription(&heard.about, &heard.event).cloned() else { return };
        let caller = record.call.0.clone();
        let Some(number) = self.calls.number_relay(task) else { return };
        let account = self.account.to_string();
        let ours = |(name, value): &(String, String)| {
            let value = if name == "AccountSid" { account.clone() } else { value.clone() };
            (name.clone(), value)
        };
        let mut form: Vec<(String, String)> = heard.form.iter().map(ours).collect();
        if subscription.names_caller {
            form.push((TASK_CALL.to_owned(), caller));
        }
        self.relays.push(RelayRow {
            workspace: self.sid,
            task,
            number,
            subject: heard.subject.clone(),
            url: subscription.url,
            by_get: subscription.by_get,
            form: serde_json::to_string(&form).expect("pairs of texts are JSON"),
            created_at: self.now,
        });
    }

    /// What is to be passed on since the last call: to write now, and to send once it is on disk.
    pub(super) fn take_relay_rows(&mut self) -> Vec<RelayRow> {
        let rows = std::mem::take(&mut self.relays);
        self.relays_to_send.extend(rows.iter().cloned());
        rows
    }

    /// What of the last batch is to be sent, which is on disk by now.
    pub fn take_relays(&mut self) -> Vec<RelayRow> {
        std::mem::take(&mut self.relays_to_send)
    }
}
