//! Documents of callers whom we move, which go with the request that moves them (`spec/voice.md` 3.6 step 6): nobody is
//! asked for them at that moment, so that they are there even when we are not.
//!
//! They are those that `join` answers with. What needs an application's answer first is not among them. Start with
//! [`MovedCallers`].

use std::sync::Arc;

use super::State;
use super::document::{DialWorker, Document, Far, Room};
use super::templates::Templates;
use crate::calls::{CallerDials, NextDocument, QueueResult, Role, RoomSettings, VoiceTask, dialable};
use crate::routing::{ReservationSid, TaskSid, WorkspaceSid};
use crate::store::Store;

/// What the phone system has, and how long it may talk.
#[derive(Debug, Clone, Copy)]
pub struct Means {
    /// Calls can wait in its queues.
    pub queues: bool,
    /// It has conferences.
    pub rooms: bool,
    /// Longest leg that is dialled, in seconds.
    pub leg_secs_max: u32,
}

/// Writes documents of callers who are moved.
#[derive(Debug)]
pub struct MovedCallers {
    /// Says what the callers' tasks are.
    pub store: Store,
    /// TwiML.
    pub templates: Arc<Templates>,
    /// Base URL under which the phone system reaches us.
    pub public_url: String,
    /// What the phone system has.
    pub means: Means,
    /// Events of conferences that the phone system knows; all when empty.
    pub room_events: &'static [&'static str],
}

impl MovedCallers {
    /// The room, or the worker to dial; none when the caller hears something of an application's before, or the task cannot be read.
    pub async fn for_room(&self, task: TaskSid) -> Option<String> {
        let (_, record) = self.read(task).await?;
        if let Some((reservation, dials)) = record.caller_dials() {
            return Some(self.documents().caller_dials(task, reservation, dials));
        }
        let nothing_before = self.means.rooms && record.whisper().is_none();
        nothing_before.then(|| self.documents().customer_joins(task, &record.customer_room(), ""))
    }

    /// The queue; none when the caller is not to wait any more, or the task cannot be read.
    pub async fn for_queue(&self, task: TaskSid) -> Option<String> {
        let (workspace, record) = self.read(task).await?;
        if record.document_after_left(QueueResult::Redirected) != NextDocument::Wait {
            return None;
        }
        let workflow = self.store.task(workspace, task).await.ok()?.and_then(|task| task.workflow_sid);
        Some(self.documents().caller_waits(task, &workflow.unwrap_or_else(|| workspace.to_string()), ""))
    }

    async fn read(&self, task: TaskSid) -> Option<(WorkspaceSid, VoiceTask)> {
        let row = self.store.voice_task(task).await.ok()??;
        Some((row.workspace, serde_json::from_str(&row.state.json()).ok()?))
    }

    fn documents(&self) -> Documents<'_> {
        Documents {
            templates: &self.templates,
            public_url: &self.public_url,
            means: self.means,
            room_events: self.room_events,
        }
    }
}

impl State {
    pub(super) fn documents(&self) -> Documents<'_> {
        Documents {
            templates: &self.templates,
            public_url: &self.public_url,
            means: self.means,
            room_events: self.room_events,
        }
    }
}

/// Writes documents whose URLs are ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Documents<'a> {
    templates: &'a Templates,
    public_url: &'a str,
    means: Means,
    room_events: &'a [&'a str],
}

impl Documents<'_> {
    /// An absolute URL of ours.
    pub(super) fn url(self, path: &str) -> String {
        format!("{}{path}", self.public_url.trim_end_matches('/'))
    }

    /// The customer's join document.
    pub(super) fn customer_joins(self, task: TaskSid, settings: &RoomSettings, verbs_before: &str) -> String {
        let left = self.url(&format!("/voice/tasks/{task}/room-left/{}", Role::Customer.as_str()));
        self.templates.render(&Document::JoinCustomer(self.room(task, settings, &left, verbs_before).as_room()))
    }

    /// The document by which the caller dials the worker.
    pub(super) fn caller_dials(self, task: TaskSid, reservation: ReservationSid, dials: &CallerDials) -> String {
        let customer = Role::Customer.as_str();
        self.templates.render(&Document::DialWorker(DialWorker {
            to: Far::of(&dialable(&dials.to)),
            caller_id: &dials.from,
            ring_secs: dials.ring_secs,
            max_secs: self.means.leg_secs_max,
            action: &self.url(&format!("/voice/tasks/{task}/room-left/{customer}?Reservation={reservation}")),
            callback_url: &self.url(&format!("/voice/cb/call/{task}/{reservation}/{}", Role::Worker.as_str())),
        }))
    }

    /// The park document of a task.
    pub(super) fn caller_waits(self, task: TaskSid, queue: &str, verbs_before: &str) -> String {
        let wait_url = self.url(&format!("/voice/tasks/{task}/wait"));
        if !self.means.queues {
            return self.templates.render(&Document::ParkLoop { verbs_before, wait_url: &wait_url });
        }
        self.templates.render(&Document::Park {
            verbs_before,
            queue,
            action: &self.url(&format!("/voice/tasks/{task}/left")),
            wait_url: &wait_url,
        })
    }

    /// A room with the URLs of ours that are told of it.
    pub(super) fn room<'r>(
        self,
        task: TaskSid,
        settings: &RoomSettings,
        left: &'r str,
        verbs_before: &'r str,
    ) -> RoomUrls<'r> {
        let mut settings = settings.clone();
        let known = |event: &&str| self.room_events.is_empty() || self.room_events.contains(event);
        settings.events = settings.events.split(' ').filter(known).collect::<Vec<_>>().join(" ");
        if settings.wait_url.as_ref().is_some_and(|url| !url.is_empty()) {
            // We ask for it, so that a room is made even when it cannot be had.
            settings.wait_url = Some(self.room_wait_url(task));
            settings.wait_method = Some("POST".to_owned());
        }
        let recording = settings.tells_recordings.then(|| self.url(&format!("/voice/cb/rec/{task}/conference")));
        RoomUrls { settings, left, callback: self.url(&format!("/voice/cb/room/{task}")), recording, verbs_before }
    }

    /// Where the phone system asks for what is heard in a room that waits.
    pub(super) fn room_wait_url(self, task: TaskSid) -> String {
        self.url(&format!("/voice/tasks/{task}/room-wait"))
    }
}

/// Keeps the URLs of ours while a room is rendered.
#[derive(Debug)]
pub(super) struct RoomUrls<'a> {
    settings: RoomSettings,
    left: &'a str,
    callback: String,
    recording: Option<String>,
    verbs_before: &'a str,
}

impl RoomUrls<'_> {
    pub(super) fn as_room(&self) -> Room<'_> {
        Room {
            settings: &self.settings,
            left_url: self.left,
            callback_url: &self.callback,
            recording_url: self.recording.as_deref(),
            verbs_before: self.verbs_before,
            dial_attributes: "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::document::sample_room;

    #[test]
    fn only_events_that_the_phone_system_knows_are_asked_for() {
        let templates = Templates::load(None).unwrap();
        let room = RoomSettings { events: "start end join leave hold mute".to_owned(), ..sample_room("x") };
        for (room_events, expected) in
            [(&["start", "leave", "end"][..], "start end leave"), (&[], "start end join leave hold mute")]
        {
            let means = Means { queues: true, rooms: true, leg_secs_max: 60 };
            let public_url = "https://r.example.org";
            let documents = Documents { templates: &templates, public_url, means, room_events };
            let document = documents.customer_joins(TaskSid::from_bits(1), &room, "");
            assert!(document.contains(&format!("statusCallbackEvent=\"{expected}\"")), "{document}");
        }
    }
}
