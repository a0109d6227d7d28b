//! Scenario tests of the core: a virtual clock, scripted documents, and a log of everything the phone system says.

mod announcements;
mod detection;
mod dialling;
mod documents;
mod limits;
mod random;
mod recordings;
mod rooms;
mod sequences;
mod twins;
mod verbs;

use std::collections::{BTreeMap, VecDeque};

use url::Url;

use super::behaviour::Behaviour;
use super::state::CallStatus;
use super::*;
use crate::softswitch::twiml::{RoomEntry, StatusCallback, Target, event_names};

pub(super) const CALLER: &str = "+15551110000";
pub(super) const NUMBER: &str = "+15552220000";
pub(super) const ACTION: &str = "https://r/left";
pub(super) const WAIT: &str = "https://r/wait";
pub(super) const PARK: &str = r#"<Response><Enqueue action="/left" waitUrl="/wait">WW1</Enqueue></Response>"#;
pub(super) const JOIN: &str = r#"<Response><Dial action="https://r/room-left"><Conference participantLabel="customer" endConferenceOnExit="true" beep="false" statusCallback="https://r/room" statusCallbackEvent="start end join leave mute hold modify">WT1</Conference></Dial></Response>"#;
const EPOCH: Moment = Moment(1_700_000_000_000);

/// A phone system, the documents of its server, and what it did.
pub(super) struct Phone {
    pub(super) switch: Switch,
    pub(super) now: Moment,
    pub(super) documents: BTreeMap<String, VecDeque<Result<String, FetchFailure>>>,
    /// Every request made, oldest first: `fetch` or `notify`, then the webhook.
    pub(super) sent: Vec<(&'static str, Webhook)>,
    /// Requests for documents that nobody has answered, when `hold_documents` is set.
    pub(super) held: Vec<FetchId>,
    pub(super) hold_documents: bool,
    replies: BTreeMap<u64, Result<Reply, Refusal>>,
    ticket: u64,
}

impl Phone {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A phone system whose one number is answered by the park document.
    pub(super) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            account_sid: format!("AC{}", "a".repeat(32)),
            public_url: "https://phone".to_owned(),
            speed: 1.0,
            live_calls_max: 10_000,
            queue_size: 1_000,
            finished_max: 100,
            numbers: vec![Number::new(NUMBER, "https://r/voice")],
        };
        change(&mut settings);
        let mut count = 0_u64;
        let switch = Switch::new(settings, move |prefix: &str| {
            count += 1;
            format!("{prefix}{count:032x}")
        });
        let mut phone = Self {
            switch,
            now: EPOCH,
            documents: BTreeMap::new(),
            sent: Vec::new(),
            held: Vec::new(),
            hold_documents: false,
            replies: BTreeMap::new(),
            ticket: 0,
        };
        phone.document("https://r/voice", PARK);
        phone.document(WAIT, "<Response><Play>music.mp3</Play></Response>");
        phone.document(ACTION, "<Response/>");
        phone.document("https://r/room-left", "<Response/>");
        phone
    }

    /// Answers of `url`, one after the other; the last one is given again and again.
    pub(super) fn document(&mut self, url: &str, body: &str) {
        self.documents.insert(url.to_owned(), VecDeque::from([Ok(body.to_owned())]));
    }

    pub(super) fn then(&mut self, url: &str, body: &str) {
        self.documents.entry(url.to_owned()).or_default().push_back(Ok(body.to_owned()));
    }

    pub(super) fn broken(&mut self, url: &str, code: u32) {
        let failure = FetchFailure { code, message: "broken".to_owned() };
        self.documents.insert(url.to_owned(), VecDeque::from([Err(failure)]));
    }

    fn answer_of(&mut self, url: &str) -> Result<Document, FetchFailure> {
        let missing = || FetchFailure { code: 11200, message: "answered 404".to_owned() };
        let answers = self.documents.get_mut(url).ok_or_else(missing)?;
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        let body = answer.ok_or_else(missing)??;
        Document::from_answer("text/xml", &body, &Url::parse(url).unwrap())
            .map_err(|error| FetchFailure { code: error.code, message: error.message })
    }

    pub(super) fn feed(&mut self, input: Input) {
        let mut actions = VecDeque::from(self.switch.handle(input, self.now));
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Reply { ticket, result } => {
                    self.replies.insert(ticket, *result);
                }
                Action::Notify { webhook, .. } => self.sent.push(("notify", webhook)),
                Action::Fetch { id, webhook } => {
                    let url = webhook.url.clone();
                    self.sent.push(("fetch", webhook));
                    if self.hold_documents {
                        self.held.push(id);
                    } else {
                        let outcome = self.answer_of(&url);
                        actions.extend(self.switch.handle(Input::Fetched { id, outcome }, self.now));
                    }
                }
            }
        }
    }

    pub(super) fn ask(&mut self, request: Request) -> Result<Reply, Refusal> {
        self.ticket += 1;
        let ticket = self.ticket;
        self.feed(Input::Request { ticket, request: Box::new(request) });
        self.replies.remove(&ticket).expect("every request is answered at once")
    }

    pub(super) fn advance(&mut self, ms: i64) {
        let end = self.now.plus_ms(ms);
        while let Some(at) = self.switch.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.feed(Input::Tick);
        }
        self.now = end;
    }

    pub(super) fn behaves(&mut self, address: &str, behaviour: Behaviour) {
        let address = address.to_owned();
        self.ask(Request::PutBehaviour { address, behaviour, only_next: false }).unwrap();
    }

    pub(super) fn caller(&mut self) -> String {
        self.caller_who(Behaviour::default())
    }

    pub(super) fn caller_who(&mut self, behaviour: Behaviour) -> String {
        let placed = PlacedCall {
            from: CALLER.to_owned(),
            to: NUMBER.to_owned(),
            behaviour: Some(behaviour),
            ..PlacedCall::default()
        };
        sid(self.ask(Request::PlaceInbound(Box::new(placed))).unwrap())
    }

    /// Adds client:a to room WT1 the way the server does for reservation WR1; returns its `CallSid`.
    pub(super) fn add_worker(&mut self) -> String {
        match self.ask(add("WT1", "client:a", "WR1")).unwrap() {
            Reply::Participant(participant) => participant.call_sid,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn redirect(&mut self, call: &str, twiml: &str) -> Result<Reply, Refusal> {
        let document = Some(inline(twiml));
        let update = Box::new(CallUpdate { document, ..CallUpdate::default() });
        self.ask(Request::UpdateCall { sid: call.to_owned(), update })
    }

    pub(super) fn set_status(&mut self, call: &str, status: CallStatus) -> Result<Reply, Refusal> {
        let update = Box::new(CallUpdate { status: Some(status), ..CallUpdate::default() });
        self.ask(Request::UpdateCall { sid: call.to_owned(), update })
    }

    pub(super) fn hang_up(&mut self, call: &str) {
        self.ask(Request::HangUp { sid: call.to_owned() }).unwrap();
    }

    pub(super) fn status(&mut self, call: &str) -> &'static str {
        match self.ask(Request::GetCall { sid: call.to_owned() }).unwrap() {
            Reply::Call(call) => call.status.text(),
            other => panic!("{other:?}"),
        }
    }

    /// Requests to `url`, as their parameters.
    pub(super) fn to(&self, url: &str) -> Vec<BTreeMap<String, String>> {
        self.sent
            .iter()
            .filter(|(_, webhook)| webhook.url == url)
            .map(|(_, webhook)| webhook.params.iter().cloned().collect())
            .collect()
    }

    /// The named parameters of every request to `url`, `-` where absent.
    pub(super) fn told(&self, url: &str, names: &[&str]) -> Vec<String> {
        let value = |params: &BTreeMap<String, String>, name: &str| {
            params.get(name).map_or_else(|| "-".to_owned(), Clone::clone)
        };
        self.to(url)
            .iter()
            .map(|params| names.iter().map(|name| value(params, name)).collect::<Vec<_>>().join(" "))
            .collect()
    }

    /// URL by URL in the order asked and told, from request number `from` on.
    pub(super) fn urls(&self, from: usize) -> Vec<String> {
        self.sent[from..].iter().map(|(_, webhook)| webhook.url.clone()).collect()
    }
}

pub(super) fn sid(reply: Reply) -> String {
    match reply {
        Reply::Call(call) => call.sid,
        other => panic!("{other:?}"),
    }
}

pub(super) fn inline(twiml: &str) -> Source {
    Source::Inline(std::sync::Arc::new(Document::parse(twiml, None).unwrap()))
}

pub(super) fn callback(url: &str, events: &[&str]) -> StatusCallback {
    let target = Target { url: url.to_owned(), method: Method::Post };
    StatusCallback { target, events: event_names(events.iter().copied()) }
}

pub(super) fn participant(to: &str, label: &str) -> NewParticipant {
    NewParticipant {
        from: NUMBER.to_owned(),
        to: to.to_owned(),
        entry: RoomEntry {
            label: Some(label.to_owned()),
            end_on_exit: true,
            status_callback: Some(callback(
                "https://r/room",
                &["start", "end", "join", "leave", "mute", "hold", "modify"],
            )),
            ..RoomEntry::default()
        },
        coaching: false,
        status_callback: Some(callback("https://r/call", &["initiated", "ringing", "answered", "completed"])),
        timeout_secs: 20,
        time_limit_secs: 14_400,
        options: LegOptions::default(),
    }
}

pub(super) fn add(room: &str, to: &str, label: &str) -> Request {
    Request::AddParticipant { room: room.to_owned(), new: Box::new(participant(to, label)) }
}

pub(super) fn new_call(to: &str, twiml: &str) -> Request {
    Request::CreateCall(Box::new(NewCall {
        from: NUMBER.to_owned(),
        to: to.to_owned(),
        document: inline(twiml),
        fallback: None,
        status_callback: Some(callback("https://r/call", &["initiated", "ringing", "answered", "completed"])),
        timeout_secs: 30,
        time_limit_secs: 14_400,
        options: LegOptions::default(),
    }))
}
