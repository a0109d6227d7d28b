//! Which of the phone system's callbacks an application asked to be told of (`spec/voice.md` 4.5).
//!
//! The URLs came with an instruction and are kept with the leg or with the room. Nothing is sent here. Start with
//! [`VoiceTask::subscription`].

use super::Calls;
use super::interface::CallSid;
use super::options::Subscription;
use super::voice_task::VoiceTask;
use super::{Arc, VoiceChange};
use crate::routing::TaskSid;
use crate::routing::defect::defect;

/// Most callbacks whose repetition is recognised, of one task.
const MARKS_MAX: usize = 64;

/// What a callback of the phone system is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallbackAbout {
    /// The leg with this label.
    Leg(String),
    /// The room.
    Room,
    /// A recording of this call.
    CallRecording(CallSid),
    /// A recording of the room.
    RoomRecording,
}

impl VoiceTask {
    /// The URL that is to be told of an event, in the words of the instruction's list, if any is.
    #[must_use]
    pub fn subscription(&self, about: &CallbackAbout, event: &str) -> Option<&Subscription> {
        let options = self.options.as_ref();
        let subscription = match about {
            CallbackAbout::Leg(label) => {
                self.legs.iter().find(|leg| leg.label == *label).and_then(|leg| leg.status_callback.as_ref())
            }
            CallbackAbout::CallRecording(call) => {
                let leg = self.legs.iter().find(|leg| leg.call.as_ref() == Some(call));
                leg.and_then(|leg| leg.recording_callback.as_ref())
            }
            CallbackAbout::Room => options.and_then(|options| options.conference_status_callback.as_ref()),
            CallbackAbout::RoomRecording => {
                options.and_then(|options| options.conference_recording_status_callback.as_ref())
            }
        };
        subscription.filter(|asked| asked.events.iter().any(|wanted| wanted == event) || defect!(RelayedUnasked))
    }
}

impl Calls {
    /// The number of the next callback of a task that is passed on; counts from 1. `None` for one that was passed on
    /// before, which has the same `mark`: phone systems tell some things twice.
    pub fn number_relay(&mut self, task: TaskSid, mark: Option<u64>) -> Option<u32> {
        let record = Arc::make_mut(self.tasks.get_mut(&task)?);
        if let Some(mark) = mark {
            if record.relayed.contains(&mark) {
                return None;
            }
            if record.relayed.len() >= MARKS_MAX {
                record.relayed.remove(0);
            }
            record.relayed.push(mark);
        }
        record.last_relay += 1;
        if !defect!(RelayNumberForgotten) {
            self.changed.insert(task, VoiceChange::Changed(task));
        }
        Some(record.last_relay)
    }
}
