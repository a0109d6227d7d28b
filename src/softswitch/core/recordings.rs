//! Recordings: what starts and stops them, how long they are, and what their callbacks say.
//!
//! No sound is kept; a recording is a length, and its media are silence of that length. Start with
//! [`Switch::start_recording`].

use super::request::{Listed, Page, RecordingChange, RecordingsOf, Refusal, Reply, Span};
use super::state::{CallId, Recording, RecordingId, RecordingRecord, RecordingStatus, RoomId};
use super::webhooks::{Parameter, parameter};
use super::{Action, Switch};
use crate::softswitch::time::rfc2822;
use crate::softswitch::twiml::RecordingOrder;

/// Recordings of one call, or of one room, that run at the same time.
const RUNNING_MAX: usize = 10;

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Call(CallId),
    Room(RoomId),
}

impl Switch {
    /// Begins to record; nothing happens when too many recordings of the same run already.
    pub(super) fn start_recording(&mut self, subject: Subject, order: &RecordingOrder) -> Option<RecordingId> {
        let (call_sid, room_sid) = match subject {
            Subject::Call(id) => (Some(self.calls.get(&id)?.record.sid.clone()), None),
            Subject::Room(id) => (None, Some(self.rooms.get(&id)?.record.sid.clone())),
        };
        if self.running(subject).len() >= RUNNING_MAX {
            return None;
        }
        let id = RecordingId(self.next_number());
        let sid = self.fresh_sid("RE");
        self.recording_ids.insert(sid.clone(), id);
        self.recordings.insert(
            id,
            Recording {
                record: RecordingRecord {
                    sid,
                    call_sid,
                    room_sid,
                    channels: if order.is_dual { 2 } else { 1 },
                    source: order.source,
                    track: order.track,
                    status: RecordingStatus::InProgress,
                    started: self.now,
                    secs: None,
                    updated: self.now,
                },
                status_callback: order.status_callback.clone(),
                recorded_ms: 0,
                running_since: Some(self.now),
                pause_is_silence: false,
            },
        );
        if let Some(running) = self.running_mut(subject) {
            running.push(id);
        }
        let (call, room) = match subject {
            Subject::Call(id) => (Some(id), None),
            Subject::Room(id) => (None, Some(id)),
        };
        self.note("recording.started", call, room, order.source);
        self.recording_event(id);
        Some(id)
    }

    fn running(&self, subject: Subject) -> &[RecordingId] {
        match subject {
            Subject::Call(id) => self.calls.get(&id).map_or(&[], |call| &call.recordings),
            Subject::Room(id) => self.rooms.get(&id).map_or(&[], |room| &room.recordings),
        }
    }

    fn running_mut(&mut self, subject: Subject) -> Option<&mut Vec<RecordingId>> {
        match subject {
            Subject::Call(id) => self.calls.get_mut(&id).map(|call| &mut call.recordings),
            Subject::Room(id) => self.rooms.get_mut(&id).map(|room| &mut room.recordings),
        }
    }

    /// Ends a recording as it is now; `ms` is its length when that is not the time it ran.
    pub(super) fn stop_recording(&mut self, subject: Subject, id: RecordingId, ms: Option<i64>) {
        let now = self.now;
        if let Some(running) = self.running_mut(subject) {
            running.retain(|other| *other != id);
        }
        let Some(recording) = self.recordings.get_mut(&id).filter(|recording| recording.record.status.is_running())
        else {
            return;
        };
        let ran = recording.running_since.take().map_or(0, |since| now.0.saturating_sub(since.0));
        let ms = ms.unwrap_or(recording.recorded_ms + ran);
        let record = &mut recording.record;
        record.status = if ms > 0 { RecordingStatus::Completed } else { RecordingStatus::Absent };
        record.secs = Some((ms + 500) / 1000);
        record.updated = now;
        if let Subject::Call(call) = subject
            && let Some(call) = self.calls.get_mut(&call)
        {
            call.recorded = Some(id);
        }
        self.recording_event(id);
        self.finished_recordings.push_back(id);
        while self.finished_recordings.len() > self.settings.finished_max {
            if let Some(old) = self.finished_recordings.pop_front().and_then(|id| self.recordings.remove(&id)) {
                self.recording_ids.remove(&old.record.sid);
            }
        }
    }

    pub(super) fn stop_recordings(&mut self, subject: Subject) {
        for id in self.running_mut(subject).map(std::mem::take).unwrap_or_default() {
            self.stop_recording(subject, id, None);
        }
    }

    pub(super) fn recording_url(&self, record: &RecordingRecord) -> String {
        let Self { settings, .. } = self;
        format!("{}/2010-04-01/Accounts/{}/Recordings/{}", settings.public_url, settings.account_sid, record.sid)
    }

    /// URL, SID and length of a recording that is over, for the requests that name it.
    pub(super) fn recording_parameters(&self, id: RecordingId) -> Vec<Parameter> {
        let Some(Recording { record, .. }) = self.recordings.get(&id) else { return Vec::new() };
        vec![
            parameter("RecordingUrl", self.recording_url(record)),
            parameter("RecordingSid", &record.sid),
            parameter("RecordingDuration", record.secs.unwrap_or(0).to_string()),
        ]
    }

    fn recording_event(&mut self, id: RecordingId) {
        let Some(Recording { record, status_callback, .. }) = self.recordings.get(&id) else { return };
        let Some(callback) = status_callback.clone().filter(|callback| callback.events.contains(record.status.text()))
        else {
            return;
        };
        let mut params = vec![
            parameter("AccountSid", &self.settings.account_sid),
            parameter("RecordingSid", &record.sid),
            parameter("RecordingUrl", self.recording_url(record)),
            parameter("RecordingStatus", record.status.text()),
            parameter("RecordingChannels", record.channels.to_string()),
            parameter("RecordingStartTime", rfc2822(record.started)),
            parameter("RecordingSource", record.source),
            parameter("RecordingTrack", record.track),
        ];
        params.extend(record.call_sid.as_ref().map(|sid| parameter("CallSid", sid)));
        params.extend(record.room_sid.as_ref().map(|sid| parameter("ConferenceSid", sid)));
        params.extend(record.secs.map(|secs| parameter("RecordingDuration", secs.to_string())));
        let lane = record.sid.clone();
        let webhook = self.webhook(&callback.target, params);
        self.actions.push(Action::Notify { lane, webhook });
    }

    /// Begins to record a call in progress over REST.
    pub(super) fn record_call(&mut self, sid: &str, order: &RecordingOrder) -> Result<Reply, Refusal> {
        let id = self.call_of(sid)?;
        let talks =
            self.calls.get(&id).is_some_and(|call| call.record.status.is_live() && call.record.answered.is_some());
        if !talks {
            return Err(Refusal::bad(21220, "Requested resource is not eligible for recording"));
        }
        let recording = self
            .start_recording(Subject::Call(id), order)
            .ok_or_else(|| Refusal::bad(21220, "Too many recordings of this call run already"))?;
        self.show_recording(recording)
    }

    fn show_recording(&self, id: RecordingId) -> Result<Reply, Refusal> {
        let recording = self.recordings.get(&id).ok_or_else(|| Refusal::not_found("recording"))?;
        Ok(Reply::Recording(Box::new(recording.record.clone())))
    }

    /// Where recordings are looked for; a call or room that does not exist is not found.
    fn belongs(&self, of: &RecordingsOf) -> Result<(Option<String>, Option<String>), Refusal> {
        match of {
            RecordingsOf::Anything { call, room } => Ok((call.clone(), room.clone())),
            RecordingsOf::Call(sid) => self.call_of(sid).map(|_| (Some(sid.clone()), None)),
            RecordingsOf::Room(sid) if self.room_ids.contains_key(sid) => Ok((None, Some(sid.clone()))),
            RecordingsOf::Room(sid) => Err(Refusal::not_found(sid)),
        }
    }

    fn recording_of(&self, of: &RecordingsOf, sid: &str) -> Result<(Option<Subject>, RecordingId), Refusal> {
        let (call, room) = self.belongs(of)?;
        let fits = |record: &RecordingRecord| {
            (call.is_none() || record.call_sid == call) && (room.is_none() || record.room_sid == room)
        };
        let mut all = self.recordings.iter().rev().filter(|(_, recording)| fits(&recording.record));
        let found = if sid == "Twilio.CURRENT" {
            all.find(|(_, recording)| recording.record.status.is_running())
        } else {
            self.recording_ids
                .get(sid)
                .and_then(|id| self.recordings.get_key_value(id))
                .filter(|(_, recording)| fits(&recording.record))
        };
        let (id, recording) = found.ok_or_else(|| Refusal::not_found(sid))?;
        let subject = match (&recording.record.call_sid, &recording.record.room_sid) {
            (Some(call), _) => self.call_ids.get(call).map(|id| Subject::Call(*id)),
            (None, Some(room)) => self.room_ids.get(room).map(|id| Subject::Room(*id)),
            (None, None) => None,
        };
        Ok((subject, *id))
    }

    pub(super) fn get_recording(&self, of: &RecordingsOf, sid: &str) -> Result<Reply, Refusal> {
        self.show_recording(self.recording_of(of, sid)?.1)
    }

    pub(super) fn list_recordings(&self, of: &RecordingsOf, created: Span, page: Page) -> Result<Reply, Refusal> {
        let (call, room) = self.belongs(of)?;
        let records = self.recordings.values().rev().map(|recording| &recording.record).filter(|record| {
            (call.is_none() || record.call_sid == call)
                && (room.is_none() || record.room_sid == room)
                && created.holds(Some(record.started))
        });
        Ok(Reply::Recordings(Listed::cut(records.cloned(), page)))
    }

    /// Pauses, resumes or stops a recording that runs.
    pub(super) fn update_recording(
        &mut self,
        of: &RecordingsOf,
        sid: &str,
        change: RecordingChange,
    ) -> Result<Reply, Refusal> {
        let (subject, id) = self.recording_of(of, sid)?;
        let now = self.now;
        let Some(recording) = self.recordings.get_mut(&id).filter(|recording| recording.record.status.is_running())
        else {
            return Err(Refusal::bad(21220, "The recording is over"));
        };
        recording.record.updated = now;
        match change.to {
            RecordingStatus::Paused => {
                recording.record.status = RecordingStatus::Paused;
                recording.pause_is_silence = change.pause_is_silence;
                if !change.pause_is_silence
                    && let Some(since) = recording.running_since.take()
                {
                    recording.recorded_ms += now.0.saturating_sub(since.0);
                }
            }
            RecordingStatus::InProgress => {
                recording.record.status = RecordingStatus::InProgress;
                recording.running_since.get_or_insert(now);
            }
            RecordingStatus::Completed | RecordingStatus::Absent => {
                if let Some(subject) = subject {
                    self.stop_recording(subject, id, None);
                }
            }
        }
        self.show_recording(id)
    }

    pub(super) fn delete_recording(&mut self, of: &RecordingsOf, sid: &str) -> Result<Reply, Refusal> {
        let (_, id) = self.recording_of(of, sid)?;
        if self.recordings.get(&id).is_some_and(|recording| recording.record.status.is_running()) {
            return Err(Refusal::bad(20001, "Only a recording that is over can be deleted"));
        }
        if let Some(recording) = self.recordings.remove(&id) {
            self.recording_ids.remove(&recording.record.sid);
        }
        self.finished_recordings.retain(|other| *other != id);
        Ok(Reply::Done)
    }
}
