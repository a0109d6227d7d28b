//! What legs do: dialling, entering and leaving rooms, hanging up, running documents.

use std::collections::BTreeSet;

use switchhook::calls::voice_task::CUSTOMER_LABEL;
use switchhook::calls::{CallSid, CallStatus, Input, NextDocument, QueueResult, Role, RoomEvent, VoiceTask};
use switchhook::routing::{ReservationSid, TaskSid, Timestamp};

use super::{Ask, Call, Message, Phone, Place, Room};
use crate::dice::Dice;

impl Phone {
    /// A caller is in the wait queue of a task.
    pub(crate) fn enqueued(&mut self, sid: &CallSid, task: TaskSid, now: Timestamp, dice: &mut Dice) {
        self.weather.callers += u64::from(!self.calls.contains_key(sid));
        let call = self.calls.entry(sid.clone()).or_insert_with(|| Call {
            task,
            label: CUSTOMER_LABEL.to_owned(),
            reservation: None,
            status: CallStatus::InProgress,
            place: Place::Queue,
            bound_for: None,
            own: false,
            ends_room: false,
            sequence: 0,
            redirects: 0,
            was_in_room: false,
            spared: false,
            dialed: false,
            role: Role::Customer,
            held: false,
            muted: false,
            document: None,
            redirected_for_task: false,
            was_answered: true,
            late: None,
        });
        call.task = task;
        let redirects = call.redirects;
        self.ask(task, sid, Ask::Wait, redirects, now, dice);
    }

    /// A worker's own phone places a call.
    pub(crate) fn own_leg(&mut self, task: TaskSid, reservation: ReservationSid) -> CallSid {
        let sid = self.fresh_call();
        let call = Call {
            task,
            label: reservation.to_string(),
            reservation: Some(reservation),
            status: CallStatus::InProgress,
            place: Place::Nowhere,
            bound_for: None,
            own: true,
            ends_room: true,
            sequence: 0,
            redirects: 0,
            was_in_room: false,
            spared: false,
            dialed: false,
            role: Role::Worker,
            held: false,
            muted: false,
            document: None,
            redirected_for_task: false,
            was_answered: true,
            late: None,
        };
        self.calls.insert(sid.clone(), call);
        sid
    }

    /// A worker's leg that has taken the reservation runs its join document, unless it was redirected or asked twice.
    pub(crate) fn leg_joins(&mut self, sid: &CallSid, record: &VoiceTask, now: Timestamp, dice: &mut Dice) {
        if self.calls.get(sid).is_some_and(|call| call.place == Place::Nowhere) {
            self.join(sid, &record.room, now, dice);
        }
    }

    /// The next thing that happens to a leg that was dialled.
    pub(crate) fn progress(&mut self, sid: &CallSid, now: Timestamp, dice: &mut Dice) {
        let home = !self.faults;
        let Some(call) = self.calls.get_mut(sid).filter(|call| call.is_live()) else { return };
        let next = match call.status {
            CallStatus::Queued => CallStatus::Initiated,
            CallStatus::Initiated => CallStatus::Ringing,
            // At the end everybody has gone home, customers too.
            CallStatus::Ringing if home && call.is_customer() => CallStatus::NoAnswer,
            CallStatus::Ringing => match dice.below(20) {
                0..14 => CallStatus::InProgress,
                14 | 15 => CallStatus::Busy,
                16 => CallStatus::Failed,
                _ => CallStatus::NoAnswer,
            },
            CallStatus::InProgress => return self.go_on_with_document(sid, now, dice),
            _ => return,
        };
        call.status = next;
        call.was_answered |= next == CallStatus::InProgress;
        let runs_document = call.document.is_some();
        let (task, room) = (call.task, call.bound_for.clone());
        self.tell_status(sid, now, dice);
        match (next, room) {
            (CallStatus::InProgress, Some(room)) => {
                let name = self.rooms.get(&room).map_or_else(|| task.to_string(), |room| room.name.clone());
                self.join(sid, &name, now, dice);
            }
            (CallStatus::InProgress, None) if !runs_document => {}
            (status, _) if status.is_final() => self.drop_empty_rooms(),
            _ => self.send(Self::soon(now, dice), Message::Progress(sid.clone())),
        }
    }

    fn tell_status(&mut self, sid: &CallSid, now: Timestamp, dice: &mut Dice) {
        let Some(call) = self.calls.get_mut(sid) else { return };
        call.sequence += 1;
        let code = (call.status == CallStatus::Failed).then_some(31_404);
        let input = Input::LegChanged {
            role: call.role,
            label: call.label.clone(),
            call: sid.clone(),
            status: call.status,
            sequence: Some(call.sequence),
            code,
        };
        let task = call.task;
        self.tell(task, input, now, dice);
    }

    pub(super) fn tell_room(
        &mut self,
        room: &str,
        event: RoomEvent,
        sid: Option<&CallSid>,
        now: Timestamp,
        dice: &mut Dice,
    ) {
        let label = sid.and_then(|sid| self.calls.get(sid)).map(|call| call.label.clone());
        let Some(found) = self.rooms.get_mut(room) else { return };
        found.sequence += 1;
        let (task, sequence) = (found.task, Some(found.sequence));
        let input = Input::RoomChanged { conference: room.to_owned(), event, call: sid.cloned(), label, sequence };
        self.tell(task, input, now, dice);
    }

    /// A leg enters the room of that name.
    pub(super) fn join(&mut self, sid: &CallSid, name: &str, now: Timestamp, dice: &mut Dice) {
        let Some(call) = self.calls.get(sid).filter(|call| call.is_live()) else { return };
        let task = call.task;
        let room = self.room_named(name, task);
        if let Some(call) = self.calls.get_mut(sid) {
            call.place = Place::Room(room.clone());
            call.was_in_room = true;
            call.held = false;
        }
        if let Some(found) = self.rooms.get_mut(&room) {
            found.members.insert(sid.clone());
        }
        self.tell_room(&room, RoomEvent::Joined, Some(sid), now, dice);
    }

    /// A leg is not in its room any more; the room may end with it.
    pub(super) fn leave_room(&mut self, sid: &CallSid, reason: &str, now: Timestamp, dice: &mut Dice) {
        let Some(call) = self.calls.get_mut(sid) else { return };
        let Place::Room(room) = std::mem::replace(&mut call.place, Place::Nowhere) else { return };
        let ends_room = call.ends_room;
        if let Some(found) = self.rooms.get_mut(&room) {
            found.members.remove(sid);
        }
        let left = RoomEvent::Left { reason: Some(reason.to_owned()), call_status: None };
        self.tell_room(&room, left, Some(sid), now, dice);
        if ends_room || self.rooms.get(&room).is_none_or(|room| room.members.is_empty()) {
            self.end_room(&room, "moderator_ended_conference", now, dice);
        }
    }

    pub(super) fn end_room(&mut self, room: &str, reason: &str, now: Timestamp, dice: &mut Dice) {
        let members = self.rooms.get(room).map(|room| room.members.clone()).unwrap_or_default();
        for sid in &members {
            if let Some(call) = self.calls.get_mut(sid) {
                call.place = Place::Nowhere;
            }
            let left = RoomEvent::Left { reason: Some(reason.to_owned()), call_status: None };
            self.tell_room(room, left, Some(sid), now, dice);
        }
        self.tell_room(room, RoomEvent::Ended { reason: None }, None, now, dice);
        self.rooms.remove(room);
        for sid in &members {
            self.after_room(sid, now, dice);
        }
    }

    /// A live leg that is out of its room asks what comes next; one that was dialled into it has come to its end.
    pub(super) fn after_room(&mut self, sid: &CallSid, now: Timestamp, dice: &mut Dice) {
        let Some(call) = self.calls.get_mut(sid).filter(|call| call.is_live()) else { return };
        let (task, redirects, reservation) = (call.task, call.redirects, call.reservation);
        if call.is_caller() {
            let ask = Ask::RoomLeft { role: Role::Customer, reservation: None, ended: false };
            self.ask(task, sid, ask, redirects, now, dice);
        } else if call.own {
            call.status = CallStatus::Completed;
            let ask = Ask::RoomLeft { role: Role::Worker, reservation, ended: true };
            self.ask(task, sid, ask, redirects, now, dice);
        } else {
            call.status = CallStatus::Completed;
            if call.document.is_some() {
                let ask = Ask::RoomLeft { role: Role::Worker, reservation, ended: false };
                self.ask(task, sid, ask, redirects, now, dice);
            }
            self.tell_status(sid, now, dice);
        }
    }

    fn drop_empty_rooms(&mut self) {
        let bound: BTreeSet<&String> =
            self.calls.values().filter(|call| call.is_live()).filter_map(|call| call.bound_for.as_ref()).collect();
        let empty = |sid: &String, room: &Room| room.members.is_empty() && !bound.contains(sid);
        let gone: Vec<String> =
            self.rooms.iter().filter(|(sid, room)| empty(sid, room)).map(|(sid, _)| sid.clone()).collect();
        for sid in gone {
            self.rooms.remove(&sid);
        }
    }

    /// Whoever is at the phone hangs up, or the call is ended by command.
    pub(crate) fn hang_up(&mut self, sid: &CallSid, now: Timestamp, dice: &mut Dice) {
        let Some(call) = self.calls.get_mut(sid).filter(|call| call.is_live()) else { return };
        let (task, redirects, reservation) = (call.task, call.redirects, call.reservation);
        let (caller, own) = (call.is_caller(), call.own);
        let before = call.place.clone();
        call.status = match call.status {
            CallStatus::Queued | CallStatus::Initiated | CallStatus::Ringing => CallStatus::Canceled,
            _ => CallStatus::Completed,
        };
        match before {
            Place::Queue => {
                call.place = Place::Nowhere;
                let ask = Ask::Left { result: QueueResult::Hangup, ended: true, runs: false };
                self.ask(task, sid, ask, redirects, now, dice);
            }
            Place::Room(_) => {
                self.leave_room(sid, "participant_hung_up", now, dice);
                if caller || own {
                    let role = if caller { Role::Customer } else { Role::Worker };
                    let ask = Ask::RoomLeft { role, reservation, ended: true };
                    self.ask(task, sid, ask, redirects, now, dice);
                }
            }
            Place::Nowhere | Place::Elsewhere => {}
        }
        if caller {
            if dice.one_in(3) {
                self.tell(task, Input::CallerEnded { call: sid.clone() }, now, dice);
            }
        } else if !own {
            self.tell_status(sid, now, dice);
        }
    }

    /// A call runs the document that a webhook was answered with, unless it has been redirected since.
    pub(crate) fn run(&mut self, sid: &CallSid, next: &NextDocument, redirects: u32, now: Timestamp, dice: &mut Dice) {
        let Some(call) = self.calls.get_mut(sid).filter(|call| call.is_live() && call.redirects == redirects) else {
            return;
        };
        let task = call.task;
        match next {
            NextDocument::JoinRoom => self.join(sid, &task.to_string(), now, dice),
            NextDocument::Wait => {
                call.place = Place::Queue;
                self.ask(task, sid, Ask::Wait, redirects, now, dice);
            }
            NextDocument::Release => {
                let ask = Ask::Left { result: QueueResult::Leave, ended: false, runs: true };
                self.ask(task, sid, ask, redirects, now, dice);
            }
            NextDocument::Application { answer_used: true, .. } | NextDocument::AfterEnqueue(_) => {
                call.place = Place::Elsewhere;
            }
            NextDocument::Message | NextDocument::Redirect(_) => call.place = Place::Elsewhere,
            NextDocument::Application { .. } | NextDocument::Unavailable | NextDocument::Empty => {
                call.place = Place::Elsewhere;
                call.status = CallStatus::Completed;
            }
        }
    }

    /// A live call that somebody can hang up.
    pub(crate) fn any_live_call(&self, dice: &mut Dice) -> Option<CallSid> {
        let live = |call: &Call| call.is_live() && (call.is_caller() || call.status == CallStatus::InProgress);
        let live: Vec<&CallSid> = self.calls.iter().filter(|(_, call)| live(call)).map(|(sid, _)| sid).collect();
        dice.pick(&live).map(|sid| (*sid).clone())
    }
}
