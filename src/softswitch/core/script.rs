//! Running documents: verb after verb, with the time that media take and the documents that verbs lead to.
//!
//! A call has a main slot and, while it waits in a queue, waits for a room to start or is on hold, a background slot.
//! Start with [`Switch::run`].

use std::sync::Arc;

use super::calls::Cause;
use super::state::{
    Background, BackgroundKind, CallId, CallStatus, Direction, FetchId, Gathering, Place, Slot, Step, TimerKind,
};
use super::webhooks::parameter;
use super::{FetchFailure, Switch};
use crate::softswitch::twiml::{DialTo, Document, Gather, Media, MediaKind, Target, Verb, say_ms};

/// Documents in a row that may lead to the next one without taking any time.
const IDLE_DOCUMENTS_MAX: u32 = 100;
/// Pause before a wait document that took no time is asked for again.
const WAIT_LOOP_MS: i64 = 1_000;
/// Pause before a wait document that could not be fetched is asked for again.
const WAIT_RETRY_MS: i64 = 5_000;

/// Whether the next verb of the same document follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Stop,
}

impl Slot {
    const fn timer(self) -> TimerKind {
        match self {
            Self::Main => TimerKind::Main,
            Self::Background => TimerKind::Background,
        }
    }
}

impl Switch {
    /// Runs the slot's verbs until one takes time or leads elsewhere; each verb is run once, so this ends.
    pub(super) fn run(&mut self, id: CallId, slot: Slot) {
        loop {
            let Some(call) = self.calls.get_mut(&id).filter(|call| call.record.status.is_live()) else { return };
            if slot == Slot::Main && !matches!(call.place, Place::Document | Place::Screened(_)) {
                return;
            }
            let Some(player) = call.player(slot) else { return };
            if !matches!(player.step, Step::Idle) {
                return;
            }
            let flow = match player.take_verb() {
                Some(verb) => self.execute(id, slot, verb),
                None => return self.document_ended(id, slot),
            };
            if flow == Flow::Stop {
                return;
            }
        }
    }

    fn execute(&mut self, id: CallId, slot: Slot, verb: Verb) -> Flow {
        if !self.is_allowed(id, slot, &verb) {
            self.note("call.warning", Some(id), None, "13238: a verb is not allowed in this document and skipped");
            return Flow::Next;
        }
        let answers = match &verb {
            Verb::Media(Media { kind: MediaKind::Pause, .. }) | Verb::Redirect(_) | Verb::Reject { .. } => false,
            Verb::Dial(dial) => !(dial.answer_on_bridge && matches!(dial.to, DialTo::Addresses(_))),
            _ => true,
        };
        if slot == Slot::Main && answers && self.is_ringing_in(id) {
            self.answer(id);
        }
        match verb {
            Verb::Media(media) => self.media(id, slot, &media),
            Verb::Gather(gather) => self.gather(id, slot, gather),
            Verb::Record(record) => {
                self.record(id, record);
                Flow::Stop
            }
            Verb::Enqueue(enqueue) => {
                self.enqueue(id, &enqueue);
                Flow::Stop
            }
            Verb::Dial(dial) => {
                self.dial(id, &dial);
                Flow::Stop
            }
            Verb::Redirect(target) => {
                self.fetch(id, slot, &target, Vec::new());
                Flow::Stop
            }
            Verb::Hangup => {
                self.end_call(id, CallStatus::Completed, None, Cause::Script);
                Flow::Stop
            }
            Verb::Reject { busy } => {
                let status = match (self.is_ringing_in(id), busy) {
                    (true, true) => CallStatus::Busy,
                    (true, false) => CallStatus::NoAnswer,
                    (false, _) => CallStatus::Completed,
                };
                self.end_call(id, status, None, Cause::Script);
                Flow::Stop
            }
            Verb::Leave => {
                self.leave_queue_live(id, "leave");
                Flow::Stop
            }
        }
    }

    /// Which verbs may stand in which document (Twilio: `<Enqueue>` waitUrl, `<Conference>` waitUrl).
    fn is_allowed(&self, id: CallId, slot: Slot, verb: &Verb) -> bool {
        let Some(call) = self.calls.get(&id) else { return false };
        let kind = call.background.as_ref().map(|background| background.kind);
        match (slot, kind) {
            (Slot::Main, _) if matches!(call.place, Place::Screened(_)) => {
                matches!(verb, Verb::Media(_) | Verb::Gather(_) | Verb::Redirect(_) | Verb::Hangup)
            }
            (Slot::Main, _) => !matches!(verb, Verb::Leave),
            (Slot::Background, Some(BackgroundKind::QueueWait)) => {
                !matches!(verb, Verb::Enqueue(_) | Verb::Dial(_) | Verb::Record(_) | Verb::Reject { .. })
            }
            (Slot::Background, _) => matches!(verb, Verb::Media(_) | Verb::Redirect(_)),
        }
    }

    fn is_ringing_in(&self, id: CallId) -> bool {
        self.calls.get(&id).is_some_and(|call| {
            call.record.direction == Direction::Inbound && call.record.status == CallStatus::Ringing
        })
    }

    fn media(&mut self, id: CallId, slot: Slot, media: &Media) -> Flow {
        if media.ms == 0 {
            return Flow::Next;
        }
        if let Some(player) = self.calls.get_mut(&id).and_then(|call| call.player(slot)) {
            player.idle_documents = 0;
            player.step = Step::Media;
        }
        self.arm(id, slot.timer(), media.ms);
        Flow::Stop
    }

    fn gather(&mut self, id: CallId, slot: Slot, gather: Arc<Gather>) -> Flow {
        let ms = gather.prompt_ms.saturating_add(gather.timeout_ms).max(1);
        let Some(call) = self.calls.get_mut(&id) else { return Flow::Stop };
        let wants =
            (gather.keys && !call.behaviour.digits.is_empty()) || (gather.speech && !call.behaviour.says.is_empty());
        let press_after = wants.then_some(i64::from(call.behaviour.digits_after_ms));
        if let Some(player) = call.player(slot) {
            player.idle_documents = 0;
            player.step = Step::Gathering(Gathering { gather, digits: String::new() });
        }
        self.arm(id, slot.timer(), ms);
        if let Some(press_after) = press_after {
            self.arm(id, TimerKind::Press, press_after);
        }
        self.take_pressed(id);
        Flow::Stop
    }

    /// Keys are pressed at the far end; those that no `<Gather>` waits for are kept for the next one.
    pub(super) fn press(&mut self, id: CallId, digits: &str) {
        if self.recorded_by_key(id, digits) || (digits.contains('*') && self.leave_by_star(id)) {
            return;
        }
        if let Some(call) = self.calls.get_mut(&id) {
            let room = 64_usize.saturating_sub(call.pressed.len());
            call.pressed.extend(digits.chars().take(room));
        }
        self.take_pressed(id);
    }

    fn take_pressed(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.pressed.is_empty() {
            return;
        }
        let in_background =
            call.background.as_ref().is_some_and(|background| matches!(background.player.step, Step::Gathering(_)));
        let slot = if in_background { Slot::Background } else { Slot::Main };
        let mut pressed = std::mem::take(&mut call.pressed);
        let mut finished = None;
        let mut timeout_ms = None;
        if let Some(Step::Gathering(gathering)) = call.player(slot).map(|player| &mut player.step)
            && gathering.gather.keys
        {
            timeout_ms = Some(gathering.gather.timeout_ms);
            while finished.is_none()
                && let Some(key) = pressed.pop_front()
            {
                if gathering.gather.finish_on_key == Some(key) {
                    finished = Some(key.to_string());
                } else {
                    gathering.digits.push(key);
                    if gathering.gather.digits_max == Some(gathering.digits.chars().count()) {
                        finished = Some(String::new());
                    }
                }
            }
        }
        call.pressed = pressed;
        match (finished, timeout_ms) {
            (Some(key), _) => self.gathered(id, slot, &key),
            (None, Some(ms)) => self.arm(id, slot.timer(), ms.max(1)),
            (None, None) => {}
        }
    }

    fn gathered(&mut self, id: CallId, slot: Slot, finished_on: &str) {
        self.disarm(id, slot.timer());
        self.disarm(id, TimerKind::Press);
        let Some(player) = self.calls.get_mut(&id).and_then(|call| call.player(slot)) else { return };
        let Step::Gathering(gathering) = std::mem::take(&mut player.step) else { return };
        let wanted = !gathering.digits.is_empty() || gathering.gather.action_on_empty;
        match gathering.gather.action.as_ref().filter(|_| wanted) {
            Some(action) => {
                let extra = vec![parameter("Digits", gathering.digits), parameter("FinishedOnKey", finished_on)];
                self.fetch(id, slot, action, extra);
            }
            None => self.go_on(id, slot),
        }
    }

    /// The far end says something: a `<Gather>` that listens to speech hears it, and a room.
    pub(super) fn hear(&mut self, id: CallId, text: String) {
        if self.speech(id, "participant-speech-start") {
            return self.arm(id, TimerKind::Speech, say_ms(&text));
        }
        for slot in [Slot::Background, Slot::Main] {
            let Some(player) = self.calls.get_mut(&id).and_then(|call| call.player(slot)) else { continue };
            let Step::Gathering(Gathering { gather, .. }) = &player.step else { continue };
            if !gather.speech {
                continue;
            }
            let action = gather.action.clone();
            player.step = Step::Idle;
            self.disarm(id, slot.timer());
            self.disarm(id, TimerKind::Press);
            return match action {
                Some(action) => {
                    let extra = vec![parameter("SpeechResult", text), parameter("Confidence", "0.9")];
                    self.fetch(id, slot, &action, extra);
                }
                None => self.go_on(id, slot),
            };
        }
    }

    /// What took time is over.
    pub(super) fn step_over(&mut self, id: CallId, slot: Slot) {
        let Some(player) = self.calls.get_mut(&id).and_then(|call| call.player(slot)) else { return };
        match player.step {
            Step::Media => {
                player.step = Step::Idle;
                self.go_on(id, slot);
            }
            Step::Gathering(_) => self.gathered(id, slot, ""),
            Step::Recording(_) => self.recorded(id, None),
            Step::Again => self.ask_background(id),
            Step::Idle | Step::Fetching(_) => {}
        }
    }

    fn go_on(&mut self, id: CallId, slot: Slot) {
        match slot {
            Slot::Main => self.ready.push_back(id),
            Slot::Background => self.run(id, Slot::Background),
        }
    }

    fn document_ended(&mut self, id: CallId, slot: Slot) {
        if slot == Slot::Main {
            if self.is_ringing_in(id) {
                self.answer(id);
            }
            return match self.calls.get(&id).map(|call| &call.place) {
                Some(&Place::Screened(parent)) => self.connect_child(parent, id),
                _ => self.end_call(id, CallStatus::Completed, None, Cause::Script),
            };
        }
        let Some(background) = self.calls.get_mut(&id).and_then(|call| call.background.as_mut()) else { return };
        match background.kind {
            BackgroundKind::QueueWait => {}
            BackgroundKind::Whisper => return self.whispered(id),
            BackgroundKind::RoomWait | BackgroundKind::Hold => return,
        }
        if background.player.idle_documents == 0 {
            self.ask_background(id);
        } else {
            background.player.idle_documents = 0;
            background.player.step = Step::Again;
            self.arm(id, TimerKind::Background, WAIT_LOOP_MS);
        }
    }

    /// Begins a wait or hold document; an earlier one ends without notice.
    pub(super) fn begin_background(&mut self, id: CallId, kind: BackgroundKind, source: Option<Target>) {
        self.disarm(id, TimerKind::Background);
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.background = source.map(|source| Background { kind, source, player: super::state::Player::default() });
        self.ask_background(id);
    }

    pub(super) fn end_background(&mut self, id: CallId) {
        self.disarm(id, TimerKind::Background);
        if let Some(call) = self.calls.get_mut(&id) {
            call.background = None;
        }
    }

    fn ask_background(&mut self, id: CallId) {
        let Some(background) = self.calls.get(&id).and_then(|call| call.background.as_ref()) else { return };
        let (kind, source) = (background.kind, background.source.clone());
        let extra = match kind {
            BackgroundKind::QueueWait => self.wait_parameters(id),
            BackgroundKind::Whisper => self.whisper_parameters(id),
            BackgroundKind::RoomWait | BackgroundKind::Hold => Vec::new(),
        };
        self.fetch(id, Slot::Background, &source, extra);
    }

    /// A document arrived, or failed to; it counts only if the call still waits for it.
    pub(super) fn fetched(&mut self, id: FetchId, outcome: Result<Document, FetchFailure>) {
        if self.announcements.contains_key(&id) {
            return self.announcement_fetched(id, outcome);
        }
        let Some(fetch) = self.fetches.remove(&id) else { return };
        let Some(call) = self.calls.get_mut(&fetch.call).filter(|call| call.record.status.is_live()) else { return };
        let Some(player) = call.player(fetch.slot) else { return };
        if !matches!(player.step, Step::Fetching(current) if current == id) {
            return;
        }
        player.step = Step::Idle;
        match outcome {
            Ok(_) if player.idle_documents >= IDLE_DOCUMENTS_MAX => {
                let failure =
                    FetchFailure { code: 11215, message: "documents only lead to further documents".to_owned() };
                self.document_failed(fetch.call, fetch.slot, &fetch.url, true, &failure);
            }
            Ok(document) => {
                player.idle_documents += 1;
                let warnings = document.warnings.clone();
                player.load(Arc::new(document));
                for warning in warnings {
                    self.note("call.warning", Some(fetch.call), None, format!("12200: {warning}"));
                }
                self.note("call.document", Some(fetch.call), None, fetch.url);
                self.go_on(fetch.call, fetch.slot);
            }
            Err(failure) => self.document_failed(fetch.call, fetch.slot, &fetch.url, fetch.is_fallback, &failure),
        }
    }

    fn document_failed(&mut self, id: CallId, slot: Slot, url: &str, is_fallback: bool, failure: &FetchFailure) {
        self.note("call.error", Some(id), None, format!("{}: {} ({url})", failure.code, failure.message));
        let Some(call) = self.calls.get_mut(&id) else { return };
        if slot == Slot::Main {
            if let Some(fallback) = call.fallback.clone().filter(|_| !is_fallback) {
                let extra = vec![parameter("ErrorCode", failure.code.to_string()), parameter("ErrorUrl", url)];
                return self.fetch_as(id, Slot::Main, &fallback, extra, true);
            }
            let answered = call.record.answered.is_some();
            let status = if answered { CallStatus::Completed } else { CallStatus::Failed };
            return self.end_call(id, status, None, Cause::Script);
        }
        let Some(background) = call.background.as_mut() else { return };
        match background.kind {
            BackgroundKind::QueueWait => {}
            BackgroundKind::Whisper => return self.whispered(id),
            BackgroundKind::RoomWait | BackgroundKind::Hold => return self.end_background(id),
        }
        // A server that restarts must not lose the callers that wait: only a bad document ends the wait.
        if matches!(failure.code, 11200 | 11205 | 11210) {
            background.player.step = Step::Again;
            self.arm(id, TimerKind::Background, WAIT_RETRY_MS);
        } else {
            self.leave_queue_live(id, "error");
        }
    }
}
