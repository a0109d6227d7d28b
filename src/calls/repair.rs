//! Looking at calls and rooms of which nothing was heard, and making good what was missed (`spec/voice.md` 5.6).
//!
//! A look is a command like any other: its answer is folded in as if the callbacks had come that would have told the same.
//! What differs is found in `sight`. Start with `look` and `room_seen`.

use super::interface::{Input, Output, PhoneCommand, PhoneOutcome, Role};
use super::machine::Machine;
use super::sight::{Repair, Repaired, RoomQuery, RoomSight, missed, settled_at};
use super::voice_task::{Errand, Leg, LegState, Phase, VoiceState};
use crate::routing::{ReservationSid, Timestamp};

/// Looks into the room for a caller who was sent there, as long as there is other news of the room meanwhile.
const LOOKS_FOR_CALLER_MAX: u32 = 5;

impl Machine<'_> {
    /// Nothing was heard for too long: the phone system is asked.
    pub(super) fn look(&mut self) {
        let task = &*self.task;
        let caller_expected = task.caller().is_live() && task.caller_end.is_none();
        let others = task.legs.iter().skip(1).any(|leg| leg.is_live() && leg.call.is_some());
        // A caller who was sent to a room and back may have stayed there, and a leg may have been made that was given up.
        let may_stray = caller_expected && !task.past_conferences.is_empty() || task.legs.iter().any(Leg::is_unclear);
        if caller_expected {
            self.fetch_caller();
        }
        // Whoever answered may be with the application while the caller waits.
        let works_apart = others && self.task.is_accepted();
        if self.task.state < VoiceState::Offering && !may_stray && !works_apart {
            return;
        }
        if others || may_stray || self.task.caller().state == LegState::InRoom {
            self.fetch_room();
        }
        for index in 1..self.task.legs.len() {
            let leg = &self.task.legs[index];
            if matches!(leg.role, Role::Worker | Role::Supervisor) && leg.is_live() && leg.state != LegState::InRoom {
                self.fetch_leg(index);
            }
        }
    }

    /// Asks who is in the room.
    pub(super) fn fetch_room(&mut self) {
        if !self.policy.rooms || self.task.outstanding.values().any(|errand| matches!(errand, Errand::FetchRoom(_))) {
            return;
        }
        let query = RoomQuery { room: self.task.room.clone(), conference: self.task.conference.clone() };
        self.phone(Errand::FetchRoom(self.now), PhoneCommand::FetchRoom(query));
    }

    /// Remembers what an input says of the phone system and its room, whatever it says of the task.
    pub(super) fn note_news(&mut self, input: &Input) {
        match input {
            Input::RoomChanged { .. } => self.task.room_heard = Some(self.now),
            Input::CommandDone { number, outcome: PhoneOutcome::Unavailable { .. } } => {
                let look = matches!(
                    self.task.outstanding.get(number),
                    Some(Errand::FetchCaller | Errand::FetchRoom(_) | Errand::FetchLeg(_))
                );
                self.task.looks_unanswered = self.task.looks_unanswered.saturating_add(u32::from(look));
                return;
            }
            _ => {}
        }
        self.task.looks_unanswered = 0;
    }

    /// The phone system has shown the rooms, as they were at some moment since `asked`, or has not.
    pub(super) fn room_seen(&mut self, asked: Timestamp, outcome: &PhoneOutcome) {
        // News that came meanwhile may be newer than what was seen.
        let overtaken = self.task.room_heard.is_some_and(|heard| heard >= asked);
        match outcome {
            PhoneOutcome::Seen(_) if overtaken && self.looks_again() => return,
            PhoneOutcome::Seen(_) if overtaken => {}
            PhoneOutcome::Seen(rooms) => self.make_good(rooms, asked),
            // It does not show rooms: their legs are asked for one by one.
            PhoneOutcome::Refused { .. } | PhoneOutcome::Done { .. } | PhoneOutcome::Gone => {
                for index in 1..self.task.legs.len() {
                    if self.task.legs[index].state == LegState::InRoom {
                        self.fetch_leg(index);
                    }
                }
            }
            PhoneOutcome::Unavailable { .. } => {}
        }
        match (self.phase(), self.connecting_index()) {
            (Some(Phase::FindingLost), _) if self.task.caller().joined.is_none() => self.fetch_caller(),
            (Some(Phase::Checking), Some(index)) if self.task.legs[index].state < LegState::InRoom => {
                self.fetch_leg(index);
            }
            _ => {}
        }
    }

    /// Whether a caller who was sent to the room is looked for once more, in a moment.
    fn looks_again(&mut self) -> bool {
        if self.phase() != Some(Phase::FindingLost) || self.task.caller().joined.is_some() {
            return false;
        }
        let Some(connecting) = &mut self.task.connecting else { return false };
        if connecting.looks >= LOOKS_FOR_CALLER_MAX {
            return false;
        }
        connecting.looks += 1;
        self.set_phase(Phase::FindingLost, Some(self.policy.lost_join_ms));
        true
    }

    /// Takes in what the callbacks had not told.
    fn make_good(&mut self, rooms: &[RoomSight], asked: Timestamp) {
        let missed = missed(self.task, rooms, asked, self.policy.settle_ms);
        self.task.deadlines.unsettled = settled_at(self.task, rooms, asked, self.policy.settle_ms);
        for missed in missed {
            let before = self.task.clone();
            self.fold(&missed.input);
            if *self.task != before {
                self.repaired(missed.repair, &missed.of);
            }
        }
    }

    /// Notes that a look has made something good.
    pub(super) fn repaired(&mut self, repair: Repair, of: &str) {
        let reservation = of.parse::<ReservationSid>().ok();
        self.outputs.push(Output::Repaired(Repaired { repair, of: of.to_owned(), reservation }));
    }
}
