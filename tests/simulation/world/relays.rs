//! Callbacks that applications asked to be told of: which are passed on, and that all of them are, once and in order.
//!
//! Who wants to be told of what follows from the SIDs alone, so that it can be worked out again without asking the cores.
//! Start with [`World::hear`].

use switchhook::calls::{CallStatus, CallbackAbout, Input, RoomEvent, Subscription, VoiceTask};
use switchhook::engine::Request;
use switchhook::engine::request::Heard;
use switchhook::routing::{ReservationSid, TaskSid};
use switchhook::store::Batch;

use super::World;
use crate::dice::Dice;

/// SID of the account at the phone system, and its parameter.
const THEIRS: &str = "ACphone";
const ACCOUNT: &str = "AccountSid";

/// Something that is to be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relay {
    task: TaskSid,
    subject: String,
    url: String,
    form: String,
}

/// Some of these words, which ones follows from `bits`; nobody asks for none.
fn some_of(words: &[&str], bits: u128) -> Option<Vec<String>> {
    let wanted = words.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
    let wanted: Vec<String> = wanted.map(|(_, word)| (*word).to_owned()).collect();
    (!wanted.is_empty()).then_some(wanted)
}

/// Of what of a worker's leg an application wants to be told.
pub(super) fn of_leg(reservation: ReservationSid) -> Option<Subscription> {
    let bits = reservation.bits();
    let events = some_of(&["initiated", "ringing", "answered", "completed"], bits >> 3)?;
    let url = format!("https://example.com/legs/{reservation}");
    Some(Subscription { url, by_get: bits & 1 == 1, events, names_caller: bits & 2 == 2 })
}

/// Of what of a task's room an application wants to be told.
pub(super) fn of_room(task: TaskSid) -> Option<Subscription> {
    let bits = task.bits();
    let events = some_of(&["start", "end", "join", "leave"], bits >> 3)?;
    let url = format!("https://example.com/rooms/{task}");
    Some(Subscription { url, by_get: bits & 1 == 1, events, names_caller: false })
}

/// What a callback is about, its event in the words of an instruction, and SID of the call or the room.
fn read(input: &Input) -> Option<(CallbackAbout, &'static str, String)> {
    match input {
        Input::LegChanged { label, call, status, .. } => {
            let event = match status {
                CallStatus::Queued => return None,
                CallStatus::Initiated => "initiated",
                CallStatus::Ringing => "ringing",
                CallStatus::InProgress => "answered",
                _ => "completed",
            };
            Some((CallbackAbout::Leg(label.clone()), event, call.to_string()))
        }
        Input::RoomChanged { conference, event, .. } => {
            let event = match event {
                RoomEvent::Started => "start",
                RoomEvent::Ended { .. } => "end",
                RoomEvent::Joined => "join",
                RoomEvent::Left { .. } => "leave",
                RoomEvent::Held(_) => "hold",
                RoomEvent::Muted(_) => "mute",
                RoomEvent::Modified => "modify",
            };
            Some((CallbackAbout::Room, event, conference.clone()))
        }
        _ => None,
    }
}

/// Who is to be told.
fn asked(record: &VoiceTask, about: &CallbackAbout) -> Option<Subscription> {
    match about {
        CallbackAbout::Leg(label) => {
            // The worker's own phone is nobody's to watch.
            let leg = record.legs.iter().find(|leg| leg.label == *label && !leg.own)?;
            leg.reservation.and_then(of_leg)
        }
        // The room is made by an instruction that may have asked for nothing.
        CallbackAbout::Room => {
            let options = record.options.as_ref()?;
            options.conference_status_callback.as_ref().and_then(|_| of_room(record.task))
        }
        CallbackAbout::CallRecording(_) | CallbackAbout::RoomRecording => None,
    }
}

impl World {
    /// A callback comes in, as it does from the phone system.
    pub(super) fn hear(&mut self, task: TaskSid, input: &Input, dice: &mut Dice) -> Result<(), String> {
        let Some((about, event, subject)) = read(input) else { return self.tell(task, input.clone(), dice) };
        let record = self.cores.calls().task(task);
        let wanted = record.and_then(|record| Some((asked(record, &about)?, record.call.to_string())));
        if let Some((subscription, caller)) =
            wanted.filter(|(wanted, _)| wanted.events.iter().any(|word| word == event))
        {
            let mut form = vec![(ACCOUNT.to_owned(), self.cores.workspace().settings().account.to_string())];
            if subscription.names_caller {
                form.push(("taskCallSid".to_owned(), caller));
            }
            let form = serde_json::to_string(&form).map_err(|error| error.to_string())?;
            self.to_relay.push(Relay { task, subject: subject.clone(), url: subscription.url, form });
        }
        let form = vec![(ACCOUNT.to_owned(), THEIRS.to_owned())];
        let heard = Heard { about, event: event.to_owned(), subject, form };
        let request = Request::Heard { task, input: Some(input.clone()), heard };
        // Facts are never refused.
        self.request(&request, dice)?.map(|_| ()).map_err(|refusal| format!("refused: {refusal}"))
    }

    /// What is passed on is what somebody asked for, and it is sent once it is on disk.
    pub(super) fn relays_hold(&mut self, batch: &Batch) -> Result<(), String> {
        let wanted = std::mem::take(&mut self.to_relay);
        let found = batch.relays.iter().map(|row| Relay {
            task: row.task,
            subject: row.subject.clone(),
            url: row.url.clone(),
            form: row.form.clone(),
        });
        let found: Vec<Relay> = found.collect();
        if found != wanted {
            return Err(format!("passed on is {found:?} instead of {wanted:?}"));
        }
        if self.cores.take_relays() != batch.relays {
            return Err("what is sent to applications is not what is on disk".to_owned());
        }
        Ok(())
    }
}
