//! A phone system in memory: calls, rooms, callbacks, and what may go wrong with them.
//!
//! It does what it is told, tells of it in callbacks that are in flight for a while, and, as long as faults are on,
//! refuses, answers late or not at all. It knows nothing of tasks but the SID in its URLs. What a worker's or caller's
//! phone does next is in `legs`, what documents of the application's do with a call in `documents`. Start with
//! [`Phone::execute`].

mod documents;
mod legs;

use std::collections::{BTreeMap, BTreeSet};

use switchhook::calls::{
    CallSid, CallStatus, Input, LegSight, PhoneCommand, PhoneOutcome, QueueResult, Role, RoomEvent, RoomQuery,
    RoomSight,
};
use switchhook::engine::cores::Errand;
use switchhook::routing::{ReservationSid, TaskSid, Timestamp};

use crate::dice::Dice;
use crate::weather::Weather;

use documents::Document;

/// Where a call is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Ringing, or between two documents.
    Nowhere,
    /// In the wait queue.
    Queue,
    /// In the room with this SID.
    Room(String),
    /// With the application, which is none of ours.
    Elsewhere,
}

/// A call at the phone system.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) task: TaskSid,
    pub(crate) label: String,
    pub(crate) reservation: Option<ReservationSid>,
    pub(crate) status: CallStatus,
    pub(crate) place: Place,
    /// The room that it is dialled into.
    bound_for: Option<String>,
    /// The worker's own phone placed it.
    own: bool,
    /// The room ends when it leaves.
    ends_room: bool,
    sequence: u32,
    /// Documents it was redirected to: news of earlier ones are void.
    redirects: u32,
    pub(crate) was_in_room: bool,
    /// A command to end it went wrong, so that it may live on.
    pub(crate) spared: bool,
    /// A command dialled it.
    dialed: bool,
    /// Whose it is.
    role: Role,
    held: bool,
    muted: bool,
    /// What it runs once it is answered, instead of entering a room.
    document: Option<Document>,
    /// An instruction of its own task has led it away, and nothing has moved it since.
    pub(crate) redirected_for_task: bool,
    pub(crate) was_answered: bool,
    /// The command that made it had been given up.
    late: Option<Late>,
}

/// What is known of a call that was made late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Late {
    Unheard,
    /// Its task has heard of it.
    Heard,
}

impl Call {
    pub(crate) fn is_live(&self) -> bool {
        !self.status.is_final()
    }

    pub(crate) fn is_caller(&self) -> bool {
        self.role == Role::Customer && !self.dialed
    }

    pub(crate) fn is_customer(&self) -> bool {
        self.role == Role::Customer
    }

    /// A leg that our commands made and that we have to end.
    pub(crate) fn is_ours_to_end(&self) -> bool {
        !self.own && self.dialed && self.role != Role::External && self.is_live() && !self.spared
    }
}

#[derive(Debug)]
struct Room {
    name: String,
    task: TaskSid,
    members: BTreeSet<CallSid>,
    sequence: u32,
}

/// A webhook whose answer is a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The wait document.
    Wait,
    /// The `<Enqueue>` action, or the document of released callers; `runs` the answer, unless another document is under
    /// way already.
    Left { result: QueueResult, ended: bool, runs: bool },
    /// The join document of the caller.
    Join,
    /// The park document.
    Park,
    /// The `<Dial>` action of a join document.
    RoomLeft { role: Role, reservation: Option<ReservationSid>, ended: bool },
    /// The document of a worker's leg has come to the place where it takes the reservation.
    Take { reservation: ReservationSid },
}

/// What is under way from the phone system to us, or within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// How a command went.
    Answer { task: TaskSid, number: u32, outcome: PhoneOutcome },
    /// A callback.
    News { task: TaskSid, input: Box<Input> },
    /// A webhook of this call.
    Asks { task: TaskSid, call: CallSid, ask: Ask, redirects: u32 },
    /// A leg goes on: it is dialled, rings, is answered or not.
    Progress(CallSid),
    /// A command is carried out of which nobody knows any more.
    CarriedOut(Box<Errand>),
}

/// Whether a command asks for a leg.
fn makes_leg(command: &PhoneCommand) -> bool {
    matches!(command, PhoneCommand::AddParticipant { .. } | PhoneCommand::PlaceCall { .. })
}

impl Message {
    /// Whether a second copy may arrive: callbacks and webhooks are repeated by whoever got no answer.
    fn may_come_twice(&self) -> bool {
        matches!(self, Self::News { .. } | Self::Asks { .. })
    }

    /// Whether it may get lost for good.
    fn may_be_lost(&self) -> bool {
        matches!(self, Self::News { .. })
    }
}

/// The phone system.
#[derive(Debug, Default)]
pub(crate) struct Phone {
    pub(crate) calls: BTreeMap<CallSid, Call>,
    rooms: BTreeMap<String, Room>,
    in_flight: Vec<(Timestamp, Message)>,
    count: u64,
    /// Messages get lost and double, commands fail.
    pub(crate) faults: bool,
    /// A fifth of all callbacks and commands.
    pub(crate) stormy: bool,
    /// What the faults did.
    pub(crate) weather: Weather,
}

impl Phone {
    /// Without calls; faults are on, in stormy weather many.
    pub(crate) fn faulty(stormy: bool) -> Self {
        Self { faults: true, stormy, ..Self::default() }
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.count += 1;
        format!("{prefix}{:032x}", self.count)
    }

    pub(crate) fn fresh_call(&mut self) -> CallSid {
        CallSid(self.fresh("CA"))
    }

    /// Forgets calls and rooms that are over: nothing asks for them any more.
    pub(crate) fn forget(&mut self, task: TaskSid) {
        // A task that is no more cannot send away whoever comes late.
        for call in self.calls.values_mut().filter(|call| call.task == task) {
            call.spared |= call.late == Some(Late::Unheard);
        }
        self.calls.retain(|_, call| call.task != task || call.is_live());
        self.rooms.retain(|_, room| room.task != task || !room.members.is_empty());
        self.in_flight.retain(|(_, message)| match message {
            Message::News { task: of, .. } | Message::Asks { task: of, .. } => *of != task,
            Message::CarriedOut(errand) => errand.task != task,
            Message::Answer { .. } | Message::Progress(_) => true,
        });
    }

    pub(crate) fn send(&mut self, at: Timestamp, message: Message) {
        self.in_flight.push((at, message));
    }

    /// A message that arrives now, in no particular order among those that are due.
    pub(crate) fn next(&mut self, now: Timestamp, dice: &mut Dice) -> Option<Message> {
        let due: Vec<usize> =
            self.in_flight.iter().enumerate().filter(|(_, (at, _))| *at <= now).map(|(at, _)| at).collect();
        let at = *dice.pick(&due)?;
        let (arrived, message) = self.in_flight.swap_remove(at);
        if self.faults && message.may_be_lost() {
            let older = |(at, other): &(Timestamp, Message)| *at < arrived && other.may_be_lost();
            self.weather.callbacks += 1;
            self.weather.overtaken += u64::from(self.in_flight.iter().any(older));
        }
        let doubled = if self.stormy { 15 } else { 12 };
        if self.faults && self.stormy && message.may_be_lost() && dice.one_in(15) {
            let later = now.plus_ms(i64::from(dice.small(1, 60_000)));
            self.send(later, message);
            // It is counted again when it arrives.
            self.weather.callbacks -= 1;
            self.weather.late += 1;
            return None;
        }
        if self.faults && message.may_come_twice() && dice.one_in(doubled) {
            let later = now.plus_ms(i64::from(dice.small(0, 15_000)));
            self.send(later, message.clone());
            self.weather.doubled += u64::from(message.may_be_lost());
        }
        if self.faults && message.may_be_lost() && dice.one_in(15) {
            self.weather.lost += 1;
            self.spare_untold(&message);
            return None;
        }
        Some(message)
    }

    /// Whether something about a task is under way.
    pub(crate) fn is_telling_of(&self, task: TaskSid) -> bool {
        self.in_flight.iter().any(|(_, message)| match message {
            Message::Answer { task: of, .. } | Message::News { task: of, .. } | Message::Asks { task: of, .. } => {
                *of == task
            }
            Message::Progress(call) => self.calls.get(call).is_some_and(|call| call.task == task),
            Message::CarriedOut(errand) => errand.task == task,
        })
    }

    /// When the earliest message arrives.
    pub(crate) fn next_arrival(&self) -> Option<Timestamp> {
        self.in_flight.iter().map(|(at, _)| *at).min()
    }

    /// Answers to commands are lost with the process that waits for them; some callbacks too.
    pub(crate) fn lose_connections(&mut self, dice: &mut Dice) {
        let faults = self.faults;
        self.in_flight.retain(|(_, message)| match message {
            Message::Answer { .. } => false,
            Message::News { .. } => !faults || !dice.one_in(4),
            Message::Asks { .. } | Message::Progress(_) | Message::CarriedOut(_) => true,
        });
    }

    fn soon(now: Timestamp, dice: &mut Dice) -> Timestamp {
        match dice.below(8) {
            0..5 => now,
            5 | 6 => now.plus_ms(i64::from(dice.small(1, 1_500))),
            _ => now.plus_ms(i64::from(dice.small(1, 9_000))),
        }
    }

    /// Carries out a command and lets its answer be under way.
    pub(crate) fn execute(&mut self, errand: &Errand, now: Timestamp, dice: &mut Dice) -> Result<(), String> {
        let unavailable = || PhoneOutcome::Unavailable { message: "no answer".to_owned() };
        self.weather.commands += u64::from(self.faults);
        let outcome = match dice.below(if self.stormy { 20 } else { 40 }) {
            0 | 1 if self.faults => {
                self.weather.failed += 1;
                self.spare(&errand.command);
                unavailable()
            }
            2 if self.faults => {
                self.weather.failed += 1;
                self.spare(&errand.command);
                PhoneOutcome::Refused { code: Some(20_001), message: "refused".to_owned() }
            }
            3 if self.faults => {
                self.weather.unanswered += 1;
                self.carry_out(errand, now, dice)?;
                self.spare(&errand.command);
                unavailable()
            }
            4..=6 if self.faults && makes_leg(&errand.command) => {
                self.weather.unanswered += 1;
                let at = now.plus_ms(i64::from(dice.small(1, 120_000)));
                self.send(at, Message::CarriedOut(Box::new(errand.clone())));
                unavailable()
            }
            _ => {
                let outcome = self.carry_out(errand, now, dice)?;
                self.note_redirect(errand);
                outcome
            }
        };
        let at = Self::soon(now, dice);
        self.send(at, Message::Answer { task: errand.task, number: errand.number, outcome });
        Ok(())
    }

    /// Carries out a command that was given up: nobody hears of its answer, and what it makes is not looked for.
    pub(crate) fn carry_out_late(&mut self, errand: &Errand, now: Timestamp, dice: &mut Dice) -> Result<(), String> {
        let before: BTreeSet<CallSid> = self.calls.keys().cloned().collect();
        self.carry_out(&Errand { repeated: true, ..errand.clone() }, now, dice)?;
        for (_, call) in self.calls.iter_mut().filter(|(sid, _)| !before.contains(*sid)) {
            call.late = Some(Late::Unheard);
        }
        Ok(())
    }

    /// Nothing but its callbacks tells of a leg that was made late.
    fn spare_untold(&mut self, message: &Message) {
        let Message::News { input, .. } = message else { return };
        let of = match input.as_ref() {
            Input::LegChanged { call, .. } => Some(call),
            Input::RoomChanged { call, .. } => call.as_ref(),
            _ => None,
        };
        if let Some(call) = of.and_then(|sid| self.calls.get_mut(sid)) {
            call.spared |= call.late.is_some();
        }
    }

    /// News arrive: of a call that was made late they are the first sign.
    pub(crate) fn is_heard(&mut self, input: &Input) {
        if let Input::LegChanged { call, status, .. } = input
            && !status.is_final()
            && let Some(late) = self.calls.get_mut(call).and_then(|call| call.late.as_mut())
        {
            *late = Late::Heard;
        }
    }

    /// A command to end legs went wrong: they may live on, and nobody is to blame.
    fn spare(&mut self, command: &PhoneCommand) {
        for (sid, call) in &mut self.calls {
            let meant = match command {
                PhoneCommand::HangUp { call } | PhoneCommand::FetchCall { call } => sid == call,
                PhoneCommand::HangUpLabel { label, .. }
                | PhoneCommand::AddParticipant { label, .. }
                | PhoneCommand::PlaceCall { label, .. } => call.label == *label,
                PhoneCommand::Kick { leg, .. } => call.label == *leg || sid.0 == *leg,
                PhoneCommand::EndRoom { room } => {
                    matches!(&call.place, Place::Room(sid) if sid == room) || call.task.to_string() == *room
                }
                _ => false,
            };
            call.spared |= meant;
        }
    }

    fn carry_out(&mut self, errand: &Errand, now: Timestamp, dice: &mut Dice) -> Result<PhoneOutcome, String> {
        let done =
            |call: Option<CallSid>, conference: Option<String>, status| PhoneOutcome::Done { call, conference, status };
        Ok(match &errand.command {
            PhoneCommand::AddParticipant { room, label, role, options, .. } => {
                let reservation = label.parse::<ReservationSid>().ok();
                // Others than workers may be dialled again after their leg has ended.
                let made = self.calls.iter().find(|(_, call)| {
                    let again = call.task == errand.task && (call.is_live() || errand.repeated);
                    let asked = call.label == *label && !call.own && call.late.is_none();
                    asked && (reservation.is_some() || (again && call.dialed))
                });
                if let Some((sid, call)) = made {
                    if !errand.repeated {
                        return Err(format!("{label} of {} was dialled twice", errand.task));
                    }
                    return Ok(done(Some(sid.clone()), call.bound_for.clone(), Some(call.status)));
                }
                if room.starts_with("CF") && !self.rooms.contains_key(room) {
                    return Ok(PhoneOutcome::Gone);
                }
                let conference = self.room_named(room, errand.task);
                let sid = self.fresh_call();
                let call = Call {
                    task: errand.task,
                    label: label.clone(),
                    reservation,
                    status: CallStatus::Queued,
                    place: Place::Nowhere,
                    bound_for: Some(conference.clone()),
                    own: false,
                    ends_room: options.end_conference_on_exit,
                    sequence: 0,
                    redirects: 0,
                    was_in_room: false,
                    spared: false,
                    dialed: true,
                    role: *role,
                    held: false,
                    muted: options.muted,
                    document: None,
                    redirected_for_task: false,
                    was_answered: false,
                    late: None,
                };
                self.calls.insert(sid.clone(), call);
                self.send(Self::soon(now, dice), Message::Progress(sid.clone()));
                done(Some(sid), Some(conference), None)
            }
            PhoneCommand::PlaceCall { .. } => self.place_call(errand, now, dice)?,
            PhoneCommand::RedirectCall { call, .. } => self.lead_away(call, now, dice),
            PhoneCommand::MoveCallerToRoom { call, .. } => self.redirect(errand, call, Ask::Join, now, dice),
            PhoneCommand::LetCallerDial { .. } => {
                return Err("a caller is sent to dial although there are rooms".to_owned());
            }
            PhoneCommand::ParkCaller { call, .. } => self.redirect(errand, call, Ask::Park, now, dice),
            PhoneCommand::ReleaseCaller { call, .. } => {
                let ask = Ask::Left { result: QueueResult::Leave, ended: false, runs: true };
                self.redirect(errand, call, ask, now, dice)
            }
            PhoneCommand::FetchCall { call } => match self.calls.get(call) {
                Some(found) => done(Some(call.clone()), None, Some(found.status)),
                None => PhoneOutcome::Gone,
            },
            PhoneCommand::FetchRoom(query) => PhoneOutcome::Seen(self.sights(query)),
            PhoneCommand::HangUp { call } => {
                if !self.calls.get(call).is_some_and(Call::is_live) {
                    return Ok(PhoneOutcome::Gone);
                }
                self.hang_up(call, now, dice);
                done(Some(call.clone()), None, Some(CallStatus::Completed))
            }
            PhoneCommand::HangUpLabel { label, .. } => {
                // Only participants have labels.
                let is_meant = |call: &Call| {
                    let has_label = call.bound_for.is_some() || matches!(call.place, Place::Room(_));
                    has_label && call.label == *label && call.is_live()
                };
                let live = self.calls.iter().find(|(_, call)| is_meant(call));
                let Some(sid) = live.map(|(sid, _)| sid.clone()) else { return Ok(PhoneOutcome::Gone) };
                self.hang_up(&sid, now, dice);
                done(Some(sid), None, Some(CallStatus::Completed))
            }
            PhoneCommand::Kick { room, leg } => {
                let rooms = self.rooms_called(room);
                let inside = self.calls.iter().find(|(sid, call)| {
                    (call.label == *leg || sid.0 == *leg)
                        && matches!(&call.place, Place::Room(room) if rooms.contains(room))
                });
                let Some(sid) = inside.map(|(sid, _)| sid.clone()) else { return Ok(PhoneOutcome::Gone) };
                self.leave_room(&sid, "participant_updated_via_api", now, dice);
                self.after_room(&sid, now, dice);
                done(None, Some(room.clone()), None)
            }
            PhoneCommand::UpdateParticipant { room, leg, update } => {
                let rooms = self.rooms_called(room);
                let inside = self.calls.iter_mut().find(|(sid, call)| {
                    (call.label == *leg || sid.0 == *leg)
                        && matches!(&call.place, Place::Room(room) if rooms.contains(room))
                });
                let Some((sid, call)) = inside else { return Ok(PhoneOutcome::Gone) };
                call.ends_room = update.end_conference_on_exit.unwrap_or(call.ends_room);
                call.held = update.hold.unwrap_or(call.held);
                call.muted = update.muted.unwrap_or(call.muted);
                let sid = sid.clone();
                if let (Some(held), Some(room)) = (update.hold, rooms.first()) {
                    self.tell_room(room, RoomEvent::Held(held), Some(&sid), now, dice);
                }
                done(Some(sid), rooms.first().cloned(), None)
            }
            PhoneCommand::EndRoom { room } => {
                let rooms = self.rooms_called(room);
                if rooms.is_empty() {
                    return Ok(PhoneOutcome::Gone);
                }
                for room in &rooms {
                    self.end_room(room, "conference_ended_via_api", now, dice);
                }
                done(None, rooms.first().cloned(), None)
            }
        })
    }

    /// Who is in the rooms of that name and in the one with that SID.
    fn sights(&self, query: &RoomQuery) -> Vec<RoomSight> {
        let mut rooms = self.rooms_called(&query.room);
        rooms.retain(|room| Some(room) != query.conference.as_ref());
        rooms.extend(query.conference.iter().filter(|room| self.rooms.contains_key(*room)).cloned());
        let legs = |room: &Room| {
            let members = room.members.iter().filter_map(|sid| self.calls.get(sid).map(|call| (sid, call)));
            let seen = members.map(|(sid, call)| LegSight {
                call: sid.clone(),
                label: Some(call.label.clone()),
                held: call.held,
                muted: call.muted,
            });
            seen.collect()
        };
        let seen = |sid: String| self.rooms.get(&sid).map(|room| RoomSight { conference: sid, legs: legs(room) });
        rooms.into_iter().filter_map(seen).collect()
    }

    fn redirect(&mut self, errand: &Errand, call: &CallSid, ask: Ask, now: Timestamp, dice: &mut Dice) -> PhoneOutcome {
        let Some(found) = self.calls.get_mut(call).filter(|call| call.is_live()) else { return PhoneOutcome::Gone };
        let done = PhoneOutcome::Done { call: Some(call.clone()), conference: None, status: Some(found.status) };
        if errand.repeated && ask == Ask::Join && matches!(found.place, Place::Room(_)) {
            return done;
        }
        found.redirects += 1;
        found.redirected_for_task = false;
        let redirects = found.redirects;
        match std::mem::replace(&mut found.place, Place::Nowhere) {
            Place::Queue => {
                let left = Ask::Left { result: QueueResult::Redirected, ended: false, runs: false };
                self.ask(errand.task, call, left, redirects, now, dice);
            }
            Place::Room(room) => {
                self.calls.entry(call.clone()).and_modify(|call| call.place = Place::Room(room));
                self.leave_room(call, "participant_updated_via_api", now, dice);
                self.calls.entry(call.clone()).and_modify(|call| call.place = Place::Nowhere);
            }
            Place::Nowhere | Place::Elsewhere => {}
        }
        self.ask(errand.task, call, ask, redirects, now, dice);
        done
    }

    fn ask(&mut self, task: TaskSid, call: &CallSid, ask: Ask, redirects: u32, now: Timestamp, dice: &mut Dice) {
        let at = Self::soon(now, dice);
        self.send(at, Message::Asks { task, call: call.clone(), ask, redirects });
    }

    fn tell(&mut self, task: TaskSid, input: Input, now: Timestamp, dice: &mut Dice) {
        let at = Self::soon(now, dice);
        self.send(at, Message::News { task, input: Box::new(input) });
    }

    /// The live room of that name, made when there is none.
    fn room_named(&mut self, name: &str, task: TaskSid) -> String {
        if let Some((sid, _)) = self.rooms.iter().find(|(sid, room)| *sid == name || room.name == name) {
            return sid.clone();
        }
        let sid = self.fresh("CF");
        let room = Room { name: name.to_owned(), task, members: BTreeSet::new(), sequence: 0 };
        self.rooms.insert(sid.clone(), room);
        sid
    }

    fn rooms_called(&self, name: &str) -> Vec<String> {
        self.rooms.iter().filter(|(sid, room)| *sid == name || room.name == name).map(|(sid, _)| sid.clone()).collect()
    }
}
