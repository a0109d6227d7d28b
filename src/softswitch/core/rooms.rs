//! Rooms (conferences): who is in, when they start and end, and what their callbacks say.
//!
//! A room starts when two participants are in and one of them starts it; it ends with its last participant, with one
//! that ends it on exit, or over REST. Order of callbacks: `participant-leave` of whoever caused it, `conference-end`,
//! `participant-leave` of the others. Start with [`Switch::joined`] and [`Switch::remove_member`].

use super::Switch;
use super::calls::Cause;
use super::recordings::Subject;
use super::request::Refusal;
use super::state::{
    BackgroundKind, CallId, CallStatus, DialPhase, Member, Place, Room, RoomId, RoomRecord, RoomStatus,
};
use super::webhooks::parameter;
use crate::softswitch::twiml::RoomEntry;

/// Why a participant is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    HungUp,
    /// Redirected or ended over REST.
    Api,
    /// Removed over the Participants API.
    Kicked,
    /// Added over REST and never made it in.
    AddFailed(CallStatus),
    /// Somebody else's end-on-exit.
    ModeratorEnded,
    RoomEndedByApi,
}

impl Leave {
    const fn reason(self) -> &'static str {
        match self {
            Self::HungUp => "participant_hung_up",
            Self::Api | Self::Kicked => "participant_updated_via_api",
            Self::AddFailed(_) => "participant_add_failed",
            Self::ModeratorEnded => "moderator_ended_conference",
            Self::RoomEndedByApi => "conference_ended_via_api",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::HungUp => "the participant hung up",
            Self::Api => "the participant was moved or ended over the API",
            Self::Kicked => "the participant was removed over the API",
            Self::AddFailed(_) => "the participant could not be reached",
            Self::ModeratorEnded => "a participant that ends the conference on exit left",
            Self::RoomEndedByApi => "the conference was ended over the API",
        }
    }
}

impl Switch {
    /// Checks that `entry` may enter the room called `name`, and makes the room when there is none.
    pub(super) fn prepare_entry(&mut self, name: &str, entry: &RoomEntry) -> Result<RoomId, Refusal> {
        if let Some(label) = &entry.label {
            if label.chars().count() > 128 {
                return Err(Refusal::bad(16023, "The participant label has more than 128 characters"));
            }
            if label.contains('/') || looks_like_sid(label, "CA") {
                return Err(Refusal::bad(16024, "The participant label contains a slash or looks like a CallSid"));
            }
        }
        if let Some(room) = self.open_rooms.get(name).and_then(|id| self.rooms.get(id)) {
            let taken = entry.label.is_some() && room.members.iter().any(|member| member.entry.label == entry.label);
            if taken {
                return Err(Refusal::bad(16025, "The participant label is already used in this conference"));
            }
            let limit = room.members.iter().map(|member| member.entry.participants_max).min().unwrap_or(250);
            if room.members.len() >= limit.min(entry.participants_max) {
                return Err(Refusal::bad(16020, "The conference is full"));
            }
        }
        if let Some(coach) = &entry.coach
            && !self.is_in_room(name, coach)
        {
            return Err(Refusal::bad(13240, "The call to coach is not in the conference"));
        }
        Ok(self.open_room(name, entry))
    }

    fn is_in_room(&self, name: &str, call_sid: &str) -> bool {
        let call = self.call_ids.get(call_sid);
        let room = self.open_rooms.get(name).and_then(|id| self.rooms.get(id));
        room.is_some_and(|room| room.members.iter().any(|member| Some(&member.call) == call))
    }

    /// The open room of this name; the first participant's callback and recording become the room's.
    fn open_room(&mut self, name: &str, entry: &RoomEntry) -> RoomId {
        if let Some(&id) = self.open_rooms.get(name) {
            return id;
        }
        let id = RoomId(self.next_number());
        let sid = self.fresh_sid("CF");
        self.room_ids.insert(sid.clone(), id);
        self.open_rooms.insert(name.to_owned(), id);
        let record = RoomRecord {
            sid,
            name: name.to_owned(),
            status: RoomStatus::Init,
            created: self.now,
            updated: self.now,
            reason_ended: None,
            ended_by: None,
        };
        let room = Room {
            record,
            status_callback: entry.status_callback.clone(),
            next_sequence: 1,
            recording_order: entry.recording.clone(),
            recordings: Vec::new(),
            members: Vec::new(),
        };
        self.rooms.insert(id, room);
        self.note("room.created", None, Some(id), name);
        id
    }

    pub(super) fn add_member(&mut self, room: RoomId, call: CallId, entry: RoomEntry, coaching: bool) {
        let now = self.now;
        if let Some(room) = self.rooms.get_mut(&room) {
            room.members.push(Member {
                call,
                entry,
                hold: false,
                coaching,
                connected: false,
                created: now,
                updated: now,
            });
        }
    }

    /// A leg that was on its way is in.
    pub(super) fn joined(&mut self, room_id: RoomId, id: CallId) {
        let now = self.now;
        let Some(room) = self.rooms.get_mut(&room_id) else { return };
        let Some(member) = room.member(id) else { return };
        member.connected = true;
        member.updated = now;
        let member = member.clone();
        room.record.updated = now;
        let connected = room.members.iter().filter(|member| member.connected).count();
        let starter = room.members.iter().any(|member| member.connected && member.entry.start_on_enter);
        let waits = room.record.status == RoomStatus::Init;
        let starts = waits && connected >= 2 && starter;
        if starts {
            room.record.status = RoomStatus::InProgress;
        }
        let running = room.record.status == RoomStatus::InProgress;
        let present: Vec<CallId> =
            room.members.iter().filter(|member| member.connected).map(|member| member.call).collect();
        self.note("room.joined", Some(id), Some(room_id), member.entry.label.clone().unwrap_or_default());
        let parameters = self.participant_parameters(&member);
        self.room_event(room_id, "join", "participant-join", parameters.clone());
        if starts {
            self.note("room.started", None, Some(room_id), "");
            self.room_event(room_id, "start", "conference-start", parameters);
            for call in &present {
                self.stop_room_wait(*call);
            }
            if let Some(order) = self.rooms.get(&room_id).and_then(|room| room.recording_order.clone()) {
                self.start_recording(Subject::Room(room_id), &order);
            }
        } else {
            self.begin_room_wait(room_id, &member);
        }
        if running {
            for call in present {
                self.talking(call);
            }
        }
    }

    /// The participant hears its wait document as long as the room has not started.
    pub(super) fn begin_room_wait(&mut self, room: RoomId, member: &Member) {
        let waits = self.rooms.get(&room).is_some_and(|room| room.record.status == RoomStatus::Init);
        if waits && member.connected && member.entry.wait.is_some() {
            self.begin_background(member.call, BackgroundKind::RoomWait, member.entry.wait.clone());
        }
    }

    /// Tells that somebody in a running room begins or ends to speak; false when the call is in none, or is not heard.
    pub(super) fn speech(&mut self, id: CallId, event: &'static str) -> bool {
        let place = self.calls.get(&id).map(|call| &call.place);
        let Some(&(Place::Added(room) | Place::Dial { phase: DialPhase::InRoom(room), .. })) = place else {
            return false;
        };
        let heard = |member: &&Member| member.call == id && member.connected && !member.entry.muted && !member.hold;
        let Some(room_now) = self.rooms.get(&room).filter(|room| room.record.status == RoomStatus::InProgress) else {
            return false;
        };
        let Some(member) = room_now.members.iter().find(heard).cloned() else { return false };
        let parameters = self.participant_parameters(&member);
        self.room_event(room, "speaker", event, parameters);
        true
    }

    fn stop_room_wait(&mut self, id: CallId) {
        let kind = self.calls.get(&id).and_then(|call| call.background.as_ref()).map(|background| background.kind);
        if kind == Some(BackgroundKind::RoomWait) {
            self.end_background(id);
        }
    }

    /// Takes a leg out of a room and draws the consequences for the room; the leg itself is the caller's business.
    pub(super) fn remove_member(&mut self, room_id: RoomId, id: CallId, leave: Leave) {
        let Some(room) = self.rooms.get_mut(&room_id) else { return };
        let Some(index) = room.members.iter().position(|member| member.call == id) else { return };
        let member = room.members.remove(index);
        let empty = room.members.is_empty();
        let open = room.record.status != RoomStatus::Completed;
        self.member_left(room_id, &member, leave);
        if !open {
            return;
        }
        let kicked = leave == Leave::Kicked;
        if member.connected && member.entry.end_on_exit {
            let reason = if kicked {
                "participant-with-end-conference-on-exit-kicked"
            } else {
                "participant-with-end-conference-on-exit-left"
            };
            self.end_room(room_id, reason, Some(&member), Leave::ModeratorEnded);
        } else if empty {
            let reason = if kicked { "last-participant-kicked" } else { "last-participant-left" };
            self.end_room(room_id, reason, Some(&member), Leave::ModeratorEnded);
        }
    }

    fn member_left(&mut self, room: RoomId, member: &Member, leave: Leave) {
        self.end_background(member.call);
        let status = match leave {
            Leave::AddFailed(status) => status.text(),
            _ => self.calls.get(&member.call).map_or("completed", |call| call.record.status.text()),
        };
        self.note("room.left", Some(member.call), Some(room), leave.reason());
        let mut parameters = self.participant_parameters(member);
        parameters.extend([
            parameter("ReasonParticipantLeft", leave.reason()),
            parameter("ParticipantCallStatus", status),
            parameter("Reason", leave.sentence()),
        ]);
        self.room_event(room, "leave", "participant-leave", parameters);
    }

    /// Ends an open room: everybody in it goes on where they left off, everybody on the way is canceled.
    pub(super) fn end_room(&mut self, room_id: RoomId, reason: &'static str, by: Option<&Member>, leave: Leave) {
        let now = self.now;
        let ender = by.and_then(|member| self.calls.get(&member.call)).map(|call| call.record.sid.clone());
        let Some(room) = self.rooms.get_mut(&room_id) else { return };
        if room.record.status == RoomStatus::Completed {
            return;
        }
        room.record.status = RoomStatus::Completed;
        room.record.updated = now;
        room.record.reason_ended = Some(reason);
        room.record.ended_by.clone_from(&ender);
        let members = std::mem::take(&mut room.members);
        let name = room.record.name.clone();
        self.open_rooms.remove(&name);
        self.note("room.ended", None, Some(room_id), reason);
        let mut parameters = vec![parameter("ReasonConferenceEnded", reason), parameter("Reason", reason)];
        if let Some(sid) = ender {
            parameters.push(parameter("CallSidEndingConference", sid));
        }
        if let Some(label) = by.and_then(|member| member.entry.label.clone()) {
            parameters.push(parameter("ParticipantLabelEndingConference", label));
        }
        self.room_event(room_id, "end", "conference-end", parameters);
        self.stop_recordings(Subject::Room(room_id));
        for member in members {
            if member.connected {
                self.member_left(room_id, &member, leave);
                self.release(member.call);
            } else {
                if let Some(call) = self.calls.get_mut(&member.call) {
                    call.place = Place::Document;
                }
                self.end_call(member.call, CallStatus::Canceled, Some(487), Cause::Other);
                self.member_left(room_id, &member, Leave::AddFailed(CallStatus::Canceled));
            }
        }
        self.finished_rooms.push_back(room_id);
        while self.finished_rooms.len() > self.settings.finished_max {
            if let Some(room) = self.finished_rooms.pop_front().and_then(|id| self.rooms.remove(&id)) {
                self.room_ids.remove(&room.record.sid);
            }
        }
    }

    /// A leg that is out of its room goes on: at its `<Dial>`'s action, or to its end when it was added over REST.
    pub(super) fn release(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match call.place {
            Place::Added(_) => {
                call.place = Place::Document;
                self.ready.push_back(id);
            }
            _ => self.released_from_room(id),
        }
    }
}

/// Two letters and 32 hexadecimal digits.
pub(super) fn looks_like_sid(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
