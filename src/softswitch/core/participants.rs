//! Conferences and participants over REST: who is in a room, adding, changing and removing legs.
//!
//! A room is named by its SID or, while it is open, by its friendly name; a participant by its `CallSid` or label.
//! Start with [`Switch::add_participant`].

use super::Switch;
use super::calls::{Cause, Leg};
use super::request::{Listed, NewParticipant, Origin, Page, ParticipantUpdate, Refusal, Reply, Span};
use super::rooms::{Leave, looks_like_sid};
use super::state::{
    BackgroundKind, CallId, CallStatus, Direction, Member, ParticipantRecord, Place, Room, RoomId, RoomStatus,
};
use crate::softswitch::twiml::Target;

impl Switch {
    fn room_of(&self, key: &str) -> Result<RoomId, Refusal> {
        self.room_ids.get(key).or_else(|| self.open_rooms.get(key)).copied().ok_or_else(|| Refusal::not_found(key))
    }

    fn member_in(&self, room: &str, who: &str) -> Result<(RoomId, CallId), Refusal> {
        let id = self.room_of(room)?;
        let call = self.call_ids.get(who).copied();
        self.rooms
            .get(&id)
            .and_then(|room| {
                room.members
                    .iter()
                    .find(|member| Some(member.call) == call || member.entry.label.as_deref() == Some(who))
            })
            .map(|member| (id, member.call))
            .ok_or_else(|| Refusal::not_found(who))
    }

    pub(super) fn get_room(&self, sid: &str) -> Result<Reply, Refusal> {
        let room = self.room_ids.get(sid).and_then(|id| self.rooms.get(id)).ok_or_else(|| Refusal::not_found(sid))?;
        Ok(Reply::Room(Box::new(room.record.clone())))
    }

    pub(super) fn list_rooms(
        &self,
        name: Option<&str>,
        status: Option<RoomStatus>,
        created: Span,
        updated: Span,
        page: Page,
    ) -> Reply {
        let rooms = self.rooms.values().rev().map(|room| &room.record).filter(|room| {
            name.is_none_or(|name| name == room.name)
                && status.is_none_or(|status| status == room.status)
                && created.holds(Some(room.created))
                && updated.holds(Some(room.updated))
        });
        Reply::Rooms(Listed::cut(rooms.cloned(), page))
    }

    /// Ends a room; one that has ended already is shown as it is.
    pub(super) fn end_room_by_api(&mut self, sid: &str) -> Result<Reply, Refusal> {
        let id = self.room_ids.get(sid).copied().ok_or_else(|| Refusal::not_found(sid))?;
        self.end_room(id, "conference-ended-via-api", None, Leave::RoomEndedByApi);
        self.get_room(sid)
    }

    /// Plays a document to everybody in the room.
    pub(super) fn announce_in_room(&mut self, sid: &str, target: Target) -> Result<Reply, Refusal> {
        let id = self.room_ids.get(sid).copied().ok_or_else(|| Refusal::not_found(sid))?;
        self.announce(id, None, target)?;
        self.get_room(sid)
    }

    /// Dials a leg and puts it into the room, which is made on demand when it is named by a friendly name.
    pub(super) fn add_participant(&mut self, key: &str, new: NewParticipant) -> Result<Reply, Refusal> {
        if self.live.len() >= self.settings.live_calls_max {
            return Err(Refusal::new(429, 20429, "Too many calls are live at once"));
        }
        let name = match self.room_ids.get(key).and_then(|id| self.rooms.get(id)) {
            Some(room) if room.record.status == RoomStatus::Completed => return Err(Refusal::not_found(key)),
            Some(room) => room.record.name.clone(),
            None if looks_like_sid(key, "CF") => return Err(Refusal::not_found(key)),
            None => key.to_owned(),
        };
        if new.coaching && new.entry.coach.is_none() {
            return Err(Refusal::bad(20001, "Coaching needs a CallSidToCoach"));
        }
        let behaviour = self.willing(&new.to)?;
        let room = self.prepare_entry(&name, &new.entry)?;
        let id = self.add_call(Leg {
            from: new.from,
            to: new.to,
            direction: Direction::OutboundApi,
            parent: None,
            first: None,
            fallback: None,
            status_callback: new.status_callback,
            ring_timeout_secs: new.timeout_secs,
            time_limit_secs: new.time_limit_secs,
            place: Place::Added(room),
            behaviour: Some(behaviour),
            options: new.options,
            origin: Origin::default(),
        })?;
        self.note("room.adding", Some(id), Some(room), new.entry.label.clone().unwrap_or_default());
        self.add_member(room, id, new.entry, new.coaching);
        self.show_member(room, id)
    }

    fn show_member(&mut self, room_id: RoomId, id: CallId) -> Result<Reply, Refusal> {
        let room = self.rooms.get_mut(&room_id).ok_or_else(|| Refusal::not_found("conference"))?;
        let shown_in = room.record.sid.clone();
        let member = room.member(id).cloned().ok_or_else(|| Refusal::not_found("participant"))?;
        Ok(Reply::Participant(Box::new(self.participant_record(&shown_in, &member))))
    }

    pub(super) fn participant_record(&self, room_sid: &str, member: &Member) -> ParticipantRecord {
        let call = self.calls.get(&member.call);
        let status = match call.map(|call| (call.record.status, call.initiated)) {
            Some((CallStatus::Queued, false)) => "queued",
            Some((CallStatus::Queued, true)) => "connecting",
            Some((CallStatus::Ringing, _)) => "ringing",
            Some((CallStatus::InProgress, _)) => "connected",
            Some((CallStatus::Completed, _)) | None => "complete",
            Some(_) => "failed",
        };
        ParticipantRecord {
            call_sid: call.map(|call| call.record.sid.clone()).unwrap_or_default(),
            room_sid: room_sid.to_owned(),
            label: member.entry.label.clone(),
            muted: member.entry.muted,
            hold: member.hold,
            coaching: member.coaching,
            call_sid_to_coach: member.entry.coach.clone(),
            start_on_enter: member.entry.start_on_enter,
            end_on_exit: member.entry.end_on_exit,
            status,
            created: member.created,
            updated: member.updated,
        }
    }

    pub(super) fn get_participant(&mut self, room: &str, who: &str) -> Result<Reply, Refusal> {
        let (room, call) = self.member_in(room, who)?;
        self.show_member(room, call)
    }

    pub(super) fn list_participants(
        &self,
        room: &str,
        muted: Option<bool>,
        hold: Option<bool>,
        coaching: Option<bool>,
        page: Page,
    ) -> Result<Reply, Refusal> {
        let id = self.room_of(room)?;
        let Room { record, members, .. } = self.rooms.get(&id).ok_or_else(|| Refusal::not_found(room))?;
        let chosen = members.iter().filter(|member| {
            muted.is_none_or(|muted| muted == member.entry.muted)
                && hold.is_none_or(|hold| hold == member.hold)
                && coaching.is_none_or(|coaching| coaching == member.coaching)
        });
        let records = chosen.map(|member| self.participant_record(&record.sid, member));
        Ok(Reply::Participants(Listed::cut(records, page)))
    }

    pub(super) fn update_participant(
        &mut self,
        room: &str,
        who: &str,
        update: ParticipantUpdate,
    ) -> Result<Reply, Refusal> {
        let (room_id, id) = self.member_in(room, who)?;
        if let Some(coach) = &update.call_sid_to_coach {
            self.member_in(room, coach)
                .map_err(|_| Refusal::bad(13240, "The call to coach is not in the conference"))?;
        }
        let coach =
            self.rooms.get_mut(&room_id).and_then(|room| room.member(id)).and_then(|member| member.entry.coach.clone());
        if update.coaching == Some(true) && update.call_sid_to_coach.is_none() && coach.is_none() {
            return Err(Refusal::bad(20001, "Coaching needs a CallSidToCoach"));
        }
        if let Some(target) = update.announce {
            self.announce(room_id, Some(id), target)?;
        }
        let now = self.now;
        let Some(member) = self.rooms.get_mut(&room_id).and_then(|room| room.member(id)) else {
            return Err(Refusal::not_found(who));
        };
        let before = member.clone();
        member.updated = now;
        member.entry.muted = update.muted.unwrap_or(before.entry.muted);
        member.hold = update.hold.unwrap_or(before.hold);
        member.entry.end_on_exit = update.end_on_exit.unwrap_or(before.entry.end_on_exit);
        member.entry.beep_on_exit = update.beep_on_exit.unwrap_or(before.entry.beep_on_exit);
        member.coaching = update.coaching.unwrap_or(before.coaching);
        if update.call_sid_to_coach.is_some() {
            member.entry.coach.clone_from(&update.call_sid_to_coach);
        }
        if update.wait.is_some() {
            member.entry.wait.clone_from(&update.wait);
        }
        let after = member.clone();
        self.participant_changed(room_id, &before, &after);
        if after.connected && after.hold && (!before.hold || update.hold_document.is_some()) {
            self.begin_background(id, BackgroundKind::Hold, update.hold_document);
        } else if before.hold && !after.hold {
            self.end_background(id);
            self.begin_room_wait(room_id, &after);
        } else if !after.hold && before.entry.wait != after.entry.wait {
            self.begin_room_wait(room_id, &after);
        }
        self.show_member(room_id, id)
    }

    /// Tells what changed: mute, hold, and everything else as a modification.
    fn participant_changed(&mut self, room: RoomId, before: &Member, after: &Member) {
        let parameters = self.participant_parameters(after);
        if before.entry.muted != after.entry.muted {
            let event = if after.entry.muted { "participant-mute" } else { "participant-unmute" };
            self.note("room.changed", Some(after.call), Some(room), event);
            self.room_event(room, "mute", event, parameters.clone());
        }
        if before.hold != after.hold {
            let event = if after.hold { "participant-hold" } else { "participant-unhold" };
            self.note("room.changed", Some(after.call), Some(room), event);
            self.room_event(room, "hold", event, parameters.clone());
        }
        let modified = before.coaching != after.coaching
            || before.entry.coach != after.entry.coach
            || before.entry.wait != after.entry.wait
            || before.entry.end_on_exit != after.entry.end_on_exit
            || before.entry.beep_on_exit != after.entry.beep_on_exit;
        if modified {
            self.note("room.changed", Some(after.call), Some(room), "participant-modify");
            self.room_event(room, "modify", "participant-modify", parameters);
        }
    }

    /// Removes a participant: one whose document has more to say goes on there, any other leg ends.
    pub(super) fn remove_participant(&mut self, room: &str, who: &str) -> Result<Reply, Refusal> {
        let (room, id) = self.member_in(room, who)?;
        let connected =
            self.rooms.get_mut(&room).and_then(|room| room.member(id)).is_some_and(|member| member.connected);
        if connected {
            self.remove_member(room, id, Leave::Kicked);
            self.release(id);
        } else {
            self.end_call(id, CallStatus::Canceled, Some(487), Cause::Api);
        }
        Ok(Reply::Done)
    }
}
