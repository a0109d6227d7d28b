//! Requests of the REST and control APIs, and those of them that concern calls.
//!
//! Start with [`Switch::ask`].

use super::behaviour::Behaviour;
use super::calls::{Cause, Leg};
use super::request::{
    CallFilter, CallUpdate, Listed, LiveCall, NewCall, Origin, Page, Refusal, Reply, Request, Snapshot,
};
use super::state::{Call, CallId, CallStatus, DialPhase, Direction, Happening, Place};
use super::{ADDRESSES_MAX, Switch};

const NEXT_BEHAVIOURS_MAX: usize = 1_000;
/// Calls, rooms and queues that a snapshot holds.
const SNAPSHOT_SIZE: usize = 200;

impl Switch {
    pub(super) fn ask(&mut self, request: Request) -> Result<Reply, Refusal> {
        match request {
            Request::CreateCall(new) => self.create_call(*new),
            Request::GetCall { sid } => self.show_call(self.call_of(&sid)?),
            Request::ListCalls(filter, page) => Ok(self.list_calls(&filter, page)),
            Request::UpdateCall { sid, update } => self.update_call(&sid, *update),
            Request::DeleteCall { sid } => self.delete_call(&sid),
            Request::GetRoom { sid } => self.get_room(&sid),
            Request::ListRooms { name, status, created, updated, page } => {
                Ok(self.list_rooms(name.as_deref(), status, created, updated, page))
            }
            Request::EndRoom { sid } => self.end_room_by_api(&sid),
            Request::AnnounceInRoom { sid, target } => self.announce_in_room(&sid, target),
            Request::AddParticipant { room, new } => self.add_participant(&room, *new),
            Request::GetParticipant { room, who } => self.get_participant(&room, &who),
            Request::ListParticipants { room, muted, hold, coaching, page } => {
                self.list_participants(&room, muted, hold, coaching, page)
            }
            Request::UpdateParticipant { room, who, update } => self.update_participant(&room, &who, *update),
            Request::RemoveParticipant { room, who } => self.remove_participant(&room, &who),
            Request::CreateQueue { name, size_max } => self.create_queue(&name, size_max),
            Request::GetQueue { sid } => self.get_queue(&sid),
            Request::ListQueues(page) => Ok(self.list_queues(page)),
            Request::UpdateQueue { sid, name, size_max } => self.update_queue(&sid, name, size_max),
            Request::DeleteQueue { sid } => self.delete_queue(&sid),
            Request::GetMember { queue, who } => self.get_member(&queue, &who),
            Request::ListMembers { queue, page } => self.list_members(&queue, page),
            Request::RedirectMember { queue, who, to } => self.redirect_member(&queue, &who, to),
            Request::StartRecording { call, order } => self.record_call(&call, &order),
            Request::GetRecording { of, sid } => self.get_recording(&of, &sid),
            Request::ListRecordings { of, created, page } => self.list_recordings(&of, created, page),
            Request::UpdateRecording { of, sid, change } => self.update_recording(&of, &sid, change),
            Request::DeleteRecording { of, sid } => self.delete_recording(&of, &sid),
            Request::PlaceInbound(placed) => {
                let id = self.place_inbound(*placed)?;
                self.show_call(id)
            }
            Request::SetPace { calls_per_second } => {
                self.calls_per_second = calls_per_second;
                Ok(Reply::Pace(calls_per_second))
            }
            Request::GetPace => Ok(Reply::Pace(self.calls_per_second)),
            Request::Say { sid, text } => {
                let id = self.live_call_of(&sid)?;
                self.hear(id, text);
                self.show_call(id)
            }
            Request::PutNumber(number) => {
                if self.numbers.len() >= ADDRESSES_MAX && !self.numbers.contains_key(&number.phone_number) {
                    return Err(Refusal::bad(20001, "Too many numbers"));
                }
                self.numbers.insert(number.phone_number.clone(), number.clone());
                Ok(Reply::Numbers(vec![number]))
            }
            Request::ListNumbers => Ok(Reply::Numbers(self.numbers.values().cloned().collect())),
            Request::PutBehaviour { address, behaviour, only_next } => {
                self.put_behaviour(address, behaviour, only_next)
            }
            Request::Answer { sid } => self.answer_by_hand(&sid),
            Request::HangUp { sid } => {
                let id = self.live_call_of(&sid)?;
                let status = match self.calls.get(&id) {
                    Some(call) if call.record.answered.is_none() && call.record.direction != Direction::Inbound => {
                        CallStatus::Busy
                    }
                    _ => CallStatus::Completed,
                };
                self.end_call(id, status, (status == CallStatus::Busy).then_some(603), Cause::FarEnd);
                self.show_call(id)
            }
            Request::Press { sid, digits } => {
                let id = self.live_call_of(&sid)?;
                self.press(id, &digits);
                self.show_call(id)
            }
            Request::ListLive(page) => {
                let calls = self.live.iter().rev().filter_map(|id| self.calls.get(id)).map(|call| self.live_call(call));
                Ok(Reply::Live(Listed::cut(calls, page)))
            }
            Request::Snapshot => Ok(self.snapshot()),
            Request::ListHappenings { after, limit, call } => {
                let first = self.happenings.front().map_or(self.next_happening, |happening| happening.sequence);
                let skip = usize::try_from((after + 1).saturating_sub(first)).unwrap_or(usize::MAX);
                let of_call = |line: &&Happening| call.is_none() || line.call_sid == call;
                Ok(Reply::Happenings(self.happenings.iter().skip(skip).filter(of_call).take(limit).cloned().collect()))
            }
        }
    }

    /// The newest of everything, as much as a page can show.
    fn snapshot(&self) -> Reply {
        let page = Page { number: 0, size: SNAPSHOT_SIZE };
        let calls = self.live.iter().rev().filter_map(|id| self.calls.get(id)).map(|call| self.live_call(call));
        let rooms = self.open_rooms.values().filter_map(|id| self.rooms.get(id)).map(|room| {
            let members = room.members.iter().map(|member| self.participant_record(&room.record.sid, member));
            (room.record.clone(), members.collect())
        });
        let queues = self.queues.values().map(|queue| self.queue_record(queue));
        Reply::Snapshot(Box::new(Snapshot {
            at: self.now,
            calls: Listed::cut(calls, page),
            rooms: Listed::cut(rooms, page),
            queues: Listed::cut(queues, page),
            numbers: self.numbers.keys().take(SNAPSHOT_SIZE).cloned().collect(),
            last_happening: self.next_happening - 1,
        }))
    }

    pub(super) fn call_of(&self, sid: &str) -> Result<CallId, Refusal> {
        self.call_ids.get(sid).copied().ok_or_else(|| Refusal::not_found(sid))
    }

    fn live_call_of(&self, sid: &str) -> Result<CallId, Refusal> {
        let id = self.call_of(sid)?;
        if self.call_is_live(id) { Ok(id) } else { Err(Refusal::new(409, 21220, "The call has ended")) }
    }

    fn show_call(&self, id: CallId) -> Result<Reply, Refusal> {
        let call = self.calls.get(&id).ok_or_else(|| Refusal::not_found("call"))?;
        Ok(Reply::Call(Box::new(call.record.clone())))
    }

    fn create_call(&mut self, new: NewCall) -> Result<Reply, Refusal> {
        let behaviour = self.willing(&new.to)?;
        let id = self.add_call(Leg {
            from: new.from,
            to: new.to,
            direction: Direction::OutboundApi,
            parent: None,
            first: Some(new.document),
            fallback: new.fallback,
            status_callback: new.status_callback,
            ring_timeout_secs: new.timeout_secs,
            time_limit_secs: new.time_limit_secs,
            place: Place::Document,
            behaviour: Some(behaviour),
            options: new.options,
            origin: Origin::default(),
        })?;
        self.show_call(id)
    }

    fn list_calls(&self, filter: &CallFilter, page: Page) -> Reply {
        let calls = self.calls.values().rev().map(|call| &call.record).filter(|call| filter.holds(call));
        Reply::Calls(Listed::cut(calls.cloned(), page))
    }

    fn update_call(&mut self, sid: &str, update: CallUpdate) -> Result<Reply, Refusal> {
        let id = self.call_of(sid)?;
        let Some(call) = self.calls.get_mut(&id) else { return Err(Refusal::not_found(sid)) };
        let status = call.record.status;
        if !status.is_live() {
            return Err(Refusal::not_in_progress());
        }
        let in_progress = status == CallStatus::InProgress;
        match update.status {
            Some(CallStatus::Canceled) if in_progress => {
                return Err(Refusal::bad(21220, "Call is in-progress. Cannot cancel."));
            }
            Some(_) => {
                let end = if in_progress { CallStatus::Completed } else { CallStatus::Canceled };
                self.end_call(id, end, (!in_progress).then_some(487), Cause::Api);
                return self.show_call(id);
            }
            None => {}
        }
        if update.document.is_some() && !in_progress {
            return Err(Refusal::not_in_progress());
        }
        if update.fallback.is_some() {
            call.fallback = update.fallback;
        }
        if let Some(target) = update.status_callback {
            let events = match call.status_callback.take() {
                Some(callback) => callback.events,
                None => ["completed".to_owned()].into(),
            };
            call.status_callback = Some(crate::softswitch::twiml::StatusCallback { target, events });
        }
        if let Some(secs) = update.time_limit_secs {
            call.time_limit_secs = secs;
            if in_progress {
                self.arm(id, super::TimerKind::TimeLimit, i64::from(secs) * 1000);
            }
        }
        if let Some(source) = update.document {
            self.redirect(id, &source);
        }
        self.show_call(id)
    }

    fn delete_call(&mut self, sid: &str) -> Result<Reply, Refusal> {
        let id = self.call_of(sid)?;
        if self.call_is_live(id) {
            return Err(Refusal::bad(20009, "Only a call that has ended can be deleted"));
        }
        self.calls.remove(&id);
        self.call_ids.remove(sid);
        self.finished_calls.retain(|finished| *finished != id);
        Ok(Reply::Done)
    }

    fn put_behaviour(&mut self, address: String, behaviour: Behaviour, only_next: bool) -> Result<Reply, Refusal> {
        if self.plans.len() >= ADDRESSES_MAX && !self.plans.contains_key(&address) {
            return Err(Refusal::bad(20001, "Too many addresses"));
        }
        let plan = self.plans.entry(address).or_default();
        if !only_next {
            plan.always = Some(behaviour);
        } else if plan.next.len() < NEXT_BEHAVIOURS_MAX {
            plan.next.push_back(behaviour);
        } else {
            return Err(Refusal::bad(20001, "Too many single calls are planned for this address"));
        }
        Ok(Reply::Done)
    }

    /// Somebody picks up a ringing leg, whatever its behaviour says.
    fn answer_by_hand(&mut self, sid: &str) -> Result<Reply, Refusal> {
        let id = self.live_call_of(sid)?;
        let ringing = self.calls.get(&id).is_some_and(|call| {
            call.record.status == CallStatus::Ringing && call.record.direction != Direction::Inbound
        });
        if !ringing {
            return Err(Refusal::new(409, 21220, "The call is not ringing at a far end"));
        }
        self.answer(id);
        self.show_call(id)
    }

    fn live_call(&self, call: &Call) -> LiveCall {
        let (place, room, queue) = match &call.place {
            Place::Document => (if call.record.answered.is_some() { "document" } else { "unanswered" }, None, None),
            Place::Queue { queue, .. } => ("queue", None, Some(*queue)),
            Place::Added(room) if call.record.answered.is_some() => ("room", Some(*room), None),
            Place::Added(room) => ("entering-room", Some(*room), None),
            Place::Dial { phase: DialPhase::InRoom(room), .. } => ("room", Some(*room), None),
            Place::Dial { phase: DialPhase::Ringing { .. }, .. } => ("dialling", None, None),
            Place::Dial { phase: DialPhase::AtQueue(queue) | DialPhase::Preparing { queue, .. }, .. } => {
                ("taking-from-queue", None, Some(*queue))
            }
            Place::Dial { phase: DialPhase::Connected { .. }, .. } | Place::Taken { .. } => ("connected", None, None),
            Place::Screened(_) => ("document", None, None),
            Place::Child(_) if call.record.answered.is_some() => ("connected", None, None),
            Place::Child(_) => ("unanswered", None, None),
        };
        LiveCall {
            call: call.record.clone(),
            place,
            room_sid: room.and_then(|id| self.rooms.get(&id)).map(|room| room.record.sid.clone()),
            queue_sid: queue.and_then(|id| self.queues.get(&id)).map(|queue| queue.sid.clone()),
        }
    }
}
