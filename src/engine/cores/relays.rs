//! Callbacks of the phone system that are passed on to the application: decided and on disk in the commit of what they
//! tell (`spec/voice.md` 4.5).
//!
//! Sending is for others. Start with [`Cores::take_in`].

use std::collections::VecDeque;

use serde_json::{Map, Value};

use crate::calls::{CallbackAbout, Input};
use crate::routing::{Command, SidSource, TaskSid};
use crate::store::RelayRow;

use super::super::request::Heard;
use super::Cores;

/// Parameter of the callbacks of a dequeue instruction: the caller's call.
const TASK_CALL: &str = "taskCallSid";

/// The attribute that tells where a recording is, and the member of it.
const CONVERSATIONS: &str = "conversations";
const SEGMENT_LINK: &str = "segment_link";
/// Longest URL of a recording that is taken, in bytes.
const RECORDING_URL_MAX: usize = 2_048;

impl Cores {
    /// Takes in a callback: what it tells the calls core, and who else is to hear it.
    pub(super) fn take_in(&mut self, task: TaskSid, input: Option<&Input>, heard: &Heard, sids: &mut dyn SidSource) {
        self.pass_on(task, heard);
        if self.limits.choices.recordings_in_attributes {
            self.note_recording(task, heard, sids);
        }
        if let Some(input) = input {
            self.run(VecDeque::from([(task, input.clone())]), sids);
        }
    }

    /// Tells the task where a recording is that is there to be heard; what else stands in that attribute stays.
    fn note_recording(&mut self, task: TaskSid, heard: &Heard, sids: &mut dyn SidSource) {
        let is_recording = matches!(heard.about, CallbackAbout::CallRecording(_) | CallbackAbout::RoomRecording);
        let given = |name: &str| heard.form.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
        let url = given("RecordingUrl").filter(|url| !url.is_empty() && url.len() <= RECORDING_URL_MAX);
        let Some(url) = url.filter(|_| is_recording && heard.event == "completed") else { return };
        let Some(row) = self.workspace.task(task) else { return };
        let attributes = serde_json::from_str::<Map<String, Value>>(&row.attributes).unwrap_or_default();
        let mut conversations = match attributes.get(CONVERSATIONS) {
            Some(Value::Object(conversations)) => conversations.clone(),
            _ => Map::new(),
        };
        conversations.insert(SEGMENT_LINK.to_owned(), Value::from(url));
        let attributes = Map::from_iter([(CONVERSATIONS.to_owned(), Value::Object(conversations))]);
        // Refused where the task is no more, or its attributes have become too large: it is told all the same.
        self.command(&Command::MergeTaskAttributes { task, attributes }, sids);
    }

    fn pass_on(&mut self, task: TaskSid, heard: &Heard) {
        let Some(record) = self.calls.task(task) else { return };
        let Some(subscription) = record.subscription(&heard.about, &heard.event).cloned() else { return };
        let caller = record.call.0.clone();
        let Some(number) = self.calls.number_relay(task, mark_of(heard)) else { return };
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

/// Parameters of which one says that two callbacks with the same parameters are one: in which order it came, when, or of
/// which recording, whose end is told once.
const TELLING: [&str; 3] = ["SequenceNumber", "Timestamp", "RecordingSid"];

/// What tells a repetition of a callback from another one: all that it says, if that is enough.
fn mark_of(heard: &Heard) -> Option<u64> {
    if !heard.form.iter().any(|(name, value)| TELLING.contains(&name.as_str()) && !value.is_empty()) {
        return None;
    }
    let mut pairs: Vec<&(String, String)> = heard.form.iter().collect();
    pairs.sort_unstable();
    // FNV-1a: nobody gains by a collision, and it is the same after every restart.
    let mut mark = 0xcbf2_9ce4_8422_2325_u64;
    for text in pairs.into_iter().flat_map(|(name, value)| [name, value]) {
        // No text has a byte of ones, so that where one ends counts too.
        for byte in text.bytes().chain([0xff]) {
            mark = (mark ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    Some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_callback_has_the_same_mark() {
        let mark = |pairs: &[(&str, &str)]| {
            let form = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            mark_of(&Heard { about: CallbackAbout::Room, event: "join".to_owned(), subject: "CF1".to_owned(), form })
        };
        let told = [("ConferenceSid", "CF1"), ("SequenceNumber", "3"), ("StatusCallbackEvent", "participant-hold")];
        let mut turned = told;
        turned.reverse();
        assert!(mark(&told).is_some());
        assert_eq!(mark(&told), mark(&turned));
        assert_ne!(mark(&[("SequenceNumber", "3"), ("a", "bc")]), mark(&[("SequenceNumber", "3"), ("ab", "c")]));
        assert_ne!(mark(&told), mark(&[told[0], ("SequenceNumber", "4"), told[2]]));
        assert_ne!(mark(&told), mark(&[told[0], told[1], ("StatusCallbackEvent", "participant-unhold")]));
        // Without a number or a moment, two that look alike may be two.
        assert_eq!(mark(&[told[0], told[2]]), None);
        assert_eq!(mark(&[told[0], ("Timestamp", ""), told[2]]), None);
    }
}
