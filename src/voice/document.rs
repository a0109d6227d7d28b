//! The TwiML documents that we answer with, and what goes into each.
//!
//! One variant per file in `twiml-templates/`; the placeholders of a template are the fields of its variant. Must not
//! decide which document a call gets. Start with [`Document`].

use minijinja::{Value, context};

use super::outlook;
use crate::calls::RoomSettings;
use crate::config;
use crate::routing::estimate::{EstimateErrors, WaitEstimate};
use crate::routing::{Outlook, QueuePosition, TaskChannelSid, TaskSid, TaskStatus};

/// A document and the values of its placeholders.
#[derive(Debug, Clone)]
pub(super) enum Document<'a> {
    /// `park.xml`: the call waits in the phone system's queue (`spec/voice.md` 2.8, P1).
    Park {
        /// Verbs that stood before `<Enqueue>` in the application's document, well-formed, inserted as they are.
        verbs_before: &'a str,
        /// Name of the phone system's queue.
        queue: &'a str,
        action: &'a str,
        wait_url: &'a str,
    },
    /// `park_loop.xml`: the call waits by going round (`spec/voice.md` 2.8, P3).
    ParkLoop {
        /// As of [`Document::Park`].
        verbs_before: &'a str,
        wait_url: &'a str,
    },
    /// `wait.xml`: what a waiting caller hears.
    Wait(Wait<'a>),
    /// `join_customer.xml`: the caller enters the room.
    JoinCustomer(Room<'a>),
    /// `dial_worker.xml`: the caller dials the worker, where there are no rooms.
    DialWorker(DialWorker<'a>),
    /// `join_worker.xml`: a worker who called us enters the room.
    JoinWorker(Room<'a>),
    /// `play.xml`: an audio file, again and again, for a room or somebody on hold, whose documents do not begin again.
    Play { url: &'a str },
    /// `play_once.xml`: an audio file that an application answered with, and then the document is over: the call too, or it
    /// goes on waiting.
    PlayOnce { url: &'a str },
    /// `silence.xml`: nothing to hear, for callers whose application asked for silence.
    Silence,
    /// `busy.xml`: try again in a moment.
    Busy {
        /// Verbs that are run first, well-formed, inserted as they are.
        verbs_before: &'a str,
        url: &'a str,
    },
    /// `verbs_first.xml`: run these verbs, then go on at a URL.
    VerbsFirst {
        /// Well-formed, inserted as they are.
        verbs: &'a str,
        url: &'a str,
    },
    /// `redirect.xml`: go on at a URL.
    Redirect { url: &'a str },
    /// `unavailable.xml`: nobody takes this call.
    Unavailable,
    /// `error.xml`: something is broken.
    Error,
    /// `worker_unavailable.xml`: the reservation cannot be taken any more.
    WorkerUnavailable,
    /// `worker_whisper.xml`: what a worker hears before the caller.
    WorkerWhisper {
        language: Option<&'a str>,
        text: Option<&'a str>,
        key: Option<&'a str>,
        /// Where the call is taken.
        take_url: &'a str,
    },
    /// `empty.xml`: nothing to do.
    Empty,
    /// `entry.xml`: a call is greeted and enqueued; the document is one of an application's, which is carried out.
    Entry {
        greeting: Option<&'a str>,
        greeting_url: Option<&'a str>,
        workflow: &'a str,
        /// JSON object.
        attributes: &'a str,
        priority: Option<i32>,
        timeout_secs: Option<u32>,
        /// Where a call goes on that was not served.
        overflow_url: &'a str,
    },
    /// `apology.xml`: nobody takes this call, in the words of the entry point.
    Apology { text: Option<&'a str> },
    /// `forward.xml`: somebody else is dialled.
    Forward(Forward<'a>),
    /// `hold.xml`: what somebody on hold hears; it begins again by itself.
    Hold,
    /// `leave.xml`: out of the queue; what comes next is asked for then.
    Leave,
    /// `voicemail.xml`: a message is recorded.
    Voicemail(Voicemail<'a>),
    /// `voicemail_done.xml`: it was.
    VoicemailDone { language: Option<&'a str> },
    /// `callback_offer.xml`: shall we call back under this number?
    CallbackOffer(CallbackOffer<'a>),
    /// `callback_done.xml`: we shall.
    CallbackDone { language: Option<&'a str> },
    /// `callback_refused.xml`: not now, stay on the line.
    CallbackRefused { language: Option<&'a str>, wait_url: &'a str },
}

/// A worker whom the caller dials.
#[derive(Debug, Clone, Copy)]
pub(super) struct DialWorker<'a> {
    pub(super) to: Far<'a>,
    pub(super) caller_id: &'a str,
    pub(super) ring_secs: u32,
    /// Longest conversation in seconds.
    pub(super) max_secs: u32,
    /// Where the caller goes on.
    pub(super) action: &'a str,
    /// Told of the answer, by a phone system that tells of it.
    pub(super) callback_url: &'a str,
}

/// Somebody else whom the caller dials.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forward<'a> {
    /// Said first.
    pub(super) text: Option<&'a str>,
    pub(super) to: Far<'a>,
    /// Longest conversation in seconds.
    pub(super) max_secs: u32,
    /// Where the caller goes on.
    pub(super) action: &'a str,
}

/// A recording that is to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Voicemail<'a> {
    pub(super) language: Option<&'a str>,
    /// Said first, instead of the template's own words.
    pub(super) text: Option<&'a str>,
    /// Longest length in seconds.
    pub(super) max_secs: u32,
    /// Where the caller goes on.
    pub(super) done_url: &'a str,
    /// Told of the recording.
    pub(super) callback_url: &'a str,
}

/// The question whether a caller wants to be called back.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallbackOffer<'a> {
    pub(super) language: Option<&'a str>,
    /// The number, to be spoken digit by digit.
    pub(super) number: &'a str,
    /// The key that says yes.
    pub(super) key: &'a str,
    /// Takes the answer.
    pub(super) confirm_url: &'a str,
    /// Where the caller goes on waiting.
    pub(super) wait_url: &'a str,
}

/// What a waiting caller can be told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait<'a> {
    pub(super) task: &'a str,
    /// In this round, as the phone system counts.
    pub(super) queue_time_secs: u32,
    /// `None` when nothing can be said about the task.
    pub(super) outlook: Option<&'a Outlook>,
    pub(super) language: Option<&'a str>,
    pub(super) rules: &'a config::Wait,
    /// Takes the key that the caller presses; `None` where there is nothing to choose.
    pub(super) choice_url: Option<&'a str>,
    /// The key that asks for a callback, where one is offered.
    pub(super) callback_key: Option<&'a str>,
    /// The key that leads to a recording, where there is one.
    pub(super) voicemail_key: Option<&'a str>,
}

impl Wait<'_> {
    fn context(&self) -> Value {
        let estimate = self.outlook.and_then(|outlook| outlook.position.estimate);
        context! {
            task_sid => self.task,
            queue_time => self.queue_time_secs,
            language => self.language,
            tasks_ahead => self.outlook.and_then(outlook::tasks_ahead),
            queue_size => self.outlook.map(outlook::queue_size),
            queue_name => self.outlook.and_then(|outlook| outlook.queue_name.as_deref()),
            task_age => self.outlook.map(|outlook| outlook.age_secs),
            task_priority => self.outlook.map(|outlook| outlook.priority),
            workers_available => self.outlook.map(|outlook| outlook.workers_available),
            estimated_seconds => estimate.map(|estimate| estimate.secs),
            estimated_seconds_low => estimate.map(|estimate| estimate.low_secs),
            estimated_seconds_high => estimate.map(|estimate| estimate.high_secs),
            estimated_minutes => estimate.map(|estimate| estimate.secs.div_ceil(60)),
            say_position => self.rules.say_position,
            say_estimate => self.rules.say_estimate,
            interval => self.rules.interval_secs,
            music_url => self.rules.music_url.as_deref(),
            choice_url => self.choice_url,
            callback_key => self.callback_key,
            voicemail_key => self.voicemail_key,
        }
    }
}

/// Somebody to dial, in the words of `<Dial>`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Far<'a> {
    Client(&'a str),
    Sip(&'a str),
    Number(&'a str),
}

impl<'a> Far<'a> {
    /// Of an address with its scheme.
    pub(super) fn of(address: &'a str) -> Self {
        match address.split_once(':') {
            Some((scheme, name)) if scheme.eq_ignore_ascii_case("client") => Self::Client(name),
            Some(_) => Self::Sip(address),
            None => Self::Number(address),
        }
    }

    /// The client, the SIP address or the number, the others being none.
    const fn words(&self) -> (Option<&'a str>, Option<&'a str>, Option<&'a str>) {
        match *self {
            Self::Client(name) => (Some(name), None, None),
            Self::Sip(address) => (None, Some(address), None),
            Self::Number(number) => (None, None, Some(number)),
        }
    }
}

/// A leg's place in a room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room<'a> {
    pub(super) settings: &'a RoomSettings,
    /// Where the call goes on when it leaves the room.
    pub(super) left_url: &'a str,
    /// Conference status callbacks.
    pub(super) callback_url: &'a str,
    /// Callbacks of the room's recording, where somebody wants to hear of them.
    pub(super) recording_url: Option<&'a str>,
    /// What the leg hears before, well-formed, inserted as it is; only callers hear something.
    pub(super) verbs_before: &'a str,
    /// More attributes of `<Dial>`, well-formed, inserted as they are; only a worker who called us has some.
    pub(super) dial_attributes: &'a str,
}

/// File names of all templates.
pub(super) const NAMES: [&str; 27] = [
    "park.xml",
    "wait.xml",
    "join_customer.xml",
    "join_worker.xml",
    "play.xml",
    "busy.xml",
    "unavailable.xml",
    "error.xml",
    "worker_unavailable.xml",
    "empty.xml",
    "silence.xml",
    "redirect.xml",
    "play_once.xml",
    "hold.xml",
    "callback_offer.xml",
    "callback_done.xml",
    "callback_refused.xml",
    "leave.xml",
    "voicemail.xml",
    "voicemail_done.xml",
    "entry.xml",
    "apology.xml",
    "forward.xml",
    "worker_whisper.xml",
    "park_loop.xml",
    "dial_worker.xml",
    "verbs_first.xml",
];

impl Document<'_> {
    /// File name of the template.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Park { .. } => NAMES[0],
            Self::Wait(_) => NAMES[1],
            Self::JoinCustomer(_) => NAMES[2],
            Self::JoinWorker(_) => NAMES[3],
            Self::Play { .. } => NAMES[4],
            Self::Busy { .. } => NAMES[5],
            Self::Unavailable => NAMES[6],
            Self::Error => NAMES[7],
            Self::WorkerUnavailable => NAMES[8],
            Self::Empty => NAMES[9],
            Self::Silence => NAMES[10],
            Self::Redirect { .. } => NAMES[11],
            Self::PlayOnce { .. } => NAMES[12],
            Self::Hold => NAMES[13],
            Self::CallbackOffer(_) => NAMES[14],
            Self::CallbackDone { .. } => NAMES[15],
            Self::CallbackRefused { .. } => NAMES[16],
            Self::Leave => NAMES[17],
            Self::Voicemail(_) => NAMES[18],
            Self::VoicemailDone { .. } => NAMES[19],
            Self::Entry { .. } => NAMES[20],
            Self::Apology { .. } => NAMES[21],
            Self::Forward(_) => NAMES[22],
            Self::WorkerWhisper { .. } => NAMES[23],
            Self::ParkLoop { .. } => NAMES[24],
            Self::DialWorker(_) => NAMES[25],
            Self::VerbsFirst { .. } => NAMES[26],
        }
    }

    /// The values of the placeholders.
    pub(super) fn context(&self) -> Value {
        match self {
            Self::Park { verbs_before, queue, action, wait_url } => {
                let verbs_before = Value::from_safe_string((*verbs_before).to_owned());
                context! { verbs_before, queue => *queue, action => *action, wait_url => *wait_url }
            }
            Self::ParkLoop { verbs_before, wait_url } => {
                let verbs_before = Value::from_safe_string((*verbs_before).to_owned());
                context! { verbs_before, wait_url => *wait_url }
            }
            Self::DialWorker(dial) => {
                let (_, sip, number) = dial.to.words();
                context! {
                    sip,
                    number,
                    caller_id => dial.caller_id,
                    ring_seconds => dial.ring_secs,
                    max_seconds => dial.max_secs,
                    action => dial.action,
                    callback_url => dial.callback_url,
                }
            }
            Self::Wait(wait) => wait.context(),
            Self::CallbackOffer(offer) => context! {
                language => offer.language,
                number => offer.number,
                spoken_number => spoken(offer.number),
                key => offer.key,
                confirm_url => offer.confirm_url,
                wait_url => offer.wait_url,
            },
            Self::Voicemail(voicemail) => context! {
                language => voicemail.language,
                text => voicemail.text,
                max_seconds => voicemail.max_secs,
                done_url => voicemail.done_url,
                callback_url => voicemail.callback_url,
            },
            Self::CallbackDone { language } | Self::VoicemailDone { language } => context! { language => *language },
            Self::CallbackRefused { language, wait_url } => {
                context! { language => *language, wait_url => *wait_url }
            }
            Self::JoinCustomer(room) | Self::JoinWorker(room) => context! {
                verbs_before => Value::from_safe_string(room.verbs_before.to_owned()),
                dial_attributes => Value::from_safe_string(room.dial_attributes.to_owned()),
                room => room.settings.room_name.as_str(),
                label => room.settings.label.as_str(),
                start_on_enter => room.settings.start_on_enter,
                end_on_exit => room.settings.end_on_exit,
                muted => room.settings.muted,
                coach => room.settings.coach.as_deref(),
                beep => room.settings.beep.as_str(),
                wait_url => room.settings.wait_url.as_deref(),
                wait_method => room.settings.wait_method.as_deref(),
                max_participants => room.settings.max_participants,
                record => room.settings.record.as_deref(),
                trim => room.settings.trim.as_deref(),
                region => room.settings.region.as_deref(),
                jitter_buffer_size => room.settings.jitter_buffer_size.as_deref(),
                left_url => room.left_url,
                callback_url => room.callback_url,
                events => room.settings.events.as_str(),
                recording_url => room.recording_url,
            },
            Self::Busy { verbs_before, url } => {
                context! { verbs_before => Value::from_safe_string((*verbs_before).to_owned()), url => *url }
            }
            Self::VerbsFirst { verbs, url } => {
                context! { verbs => Value::from_safe_string((*verbs).to_owned()), url => *url }
            }
            Self::Play { url } | Self::PlayOnce { url } | Self::Redirect { url } => context! { url => *url },
            Self::Entry { greeting, greeting_url, workflow, attributes, priority, timeout_secs, overflow_url } => {
                context! {
                    greeting => *greeting,
                    greeting_url => *greeting_url,
                    workflow => *workflow,
                    attributes => *attributes,
                    priority => *priority,
                    timeout => *timeout_secs,
                    overflow_url => *overflow_url,
                }
            }
            Self::WorkerWhisper { language, text, key, take_url } => {
                context! { language => *language, text => *text, key => *key, take_url => *take_url }
            }
            Self::Apology { text } => context! { text => *text },
            Self::Forward(forward) => {
                let (client, sip, number) = forward.to.words();
                let (max_seconds, action) = (forward.max_secs, forward.action);
                context! { text => forward.text, client, sip, number, max_seconds, action }
            }
            Self::Unavailable
            | Self::Error
            | Self::WorkerUnavailable
            | Self::Empty
            | Self::Silence
            | Self::Hold
            | Self::Leave => {
                context! {}
            }
        }
    }

    /// Documents of each kind with `text` in every placeholder that takes text; `samples` has it too.
    pub(super) fn samples<'a>(text: &'a str, samples: &'a Samples) -> Vec<Document<'a>> {
        let room = Room {
            settings: &samples.room,
            left_url: text,
            callback_url: text,
            recording_url: Some(text),
            verbs_before: "<Say>Recorded</Say>",
            dial_attributes: " timeLimit=\"60\"",
        };
        let dial =
            |to| DialWorker { to, caller_id: text, ring_secs: 20, max_secs: 60, action: text, callback_url: text };
        let (outlook, rules) = (Some(&samples.outlook), &samples.rules);
        let told = Wait {
            task: text,
            queue_time_secs: 17,
            outlook,
            language: Some(text),
            rules,
            choice_url: Some(text),
            callback_key: Some("1"),
            voicemail_key: Some("2"),
        };
        let untold = Wait {
            outlook: None,
            language: None,
            rules: &samples.plain_rules,
            choice_url: None,
            callback_key: None,
            voicemail_key: None,
            ..told
        };
        vec![
            Document::Park { verbs_before: "<Say>Welcome</Say>", queue: text, action: text, wait_url: text },
            Document::ParkLoop { verbs_before: "<Say>Welcome</Say>", wait_url: text },
            Document::DialWorker(dial(Far::Number(text))),
            Document::DialWorker(dial(Far::Sip(text))),
            Document::Wait(told),
            Document::Wait(untold),
            Document::JoinCustomer(room),
            Document::JoinWorker(room),
            Document::Play { url: text },
            Document::Busy { verbs_before: "<Say>Welcome</Say>", url: text },
            Document::Unavailable,
            Document::Error,
            Document::WorkerUnavailable,
            Document::Empty,
            Document::Silence,
            Document::VerbsFirst { verbs: "<Say>Welcome</Say>", url: text },
            Document::Redirect { url: text },
            Document::PlayOnce { url: text },
            Document::Hold,
            Document::CallbackOffer(CallbackOffer {
                language: Some(text),
                number: "+15550001",
                key: "1",
                confirm_url: text,
                wait_url: text,
            }),
            Document::Leave,
            Document::Voicemail(Voicemail {
                language: Some(text),
                text: Some(text),
                max_secs: 60,
                done_url: text,
                callback_url: text,
            }),
            Document::Voicemail(Voicemail {
                language: None,
                text: None,
                max_secs: 60,
                done_url: text,
                callback_url: text,
            }),
            Document::VoicemailDone { language: Some(text) },
            Document::VoicemailDone { language: None },
            Document::CallbackDone { language: Some(text) },
            Document::CallbackDone { language: None },
            Document::CallbackRefused { language: Some(text), wait_url: text },
            Document::WorkerWhisper { language: Some(text), text: Some(text), key: Some("1"), take_url: text },
            Document::WorkerWhisper { language: None, text: None, key: Some("#"), take_url: text },
            Document::WorkerWhisper { language: None, text: Some(text), key: None, take_url: text },
            Document::Entry {
                greeting: Some(text),
                greeting_url: None,
                workflow: text,
                attributes: text,
                priority: Some(3),
                timeout_secs: Some(60),
                overflow_url: text,
            },
            Document::Entry {
                greeting: None,
                greeting_url: Some(text),
                workflow: text,
                attributes: text,
                priority: None,
                timeout_secs: None,
                overflow_url: text,
            },
            Document::Apology { text: Some(text) },
            Document::Apology { text: None },
            Document::Forward(Forward { text: Some(text), to: Far::Client(text), max_secs: 60, action: text }),
            Document::Forward(Forward { text: None, to: Far::Sip(text), max_secs: 60, action: text }),
            Document::Forward(Forward { text: None, to: Far::Number(text), max_secs: 60, action: text }),
        ]
    }
}

/// Text with a space between any two characters, so that a number is not read as one of millions.
fn spoken(number: &str) -> String {
    let mut spoken = String::with_capacity(number.len() * 2);
    for character in number.chars() {
        if !spoken.is_empty() {
            spoken.push(' ');
        }
        spoken.push(character);
    }
    spoken
}

/// Values for every kind of document.
#[derive(Debug)]
pub(super) struct Samples {
    room: RoomSettings,
    outlook: Outlook,
    rules: config::Wait,
    plain_rules: config::Wait,
}

impl Samples {
    /// Values with `text` in every place that takes text.
    pub(super) fn of(text: &str) -> Self {
        Self {
            room: sample_room(text),
            outlook: sample_outlook(text),
            rules: config::Wait { music_url: Some(text.to_owned()), ..config::Wait::default() },
            plain_rules: config::Wait::default(),
        }
    }
}

fn sample_outlook(text: &str) -> Outlook {
    Outlook {
        position: QueuePosition {
            task: TaskSid::from_bits(1),
            status: TaskStatus::Pending,
            queue: None,
            channel: TaskChannelSid::from_bits(1),
            entered_at: None,
            ahead: Ok(3),
            waiting: 4,
            estimate: Some(WaitEstimate { secs: 90, low_secs: 40, high_secs: 200, samples: 9, observed_secs: 600 }),
            errors: EstimateErrors::default(),
        },
        queue_name: Some(text.to_owned()),
        priority: 0,
        age_secs: 61,
        average_age_secs: 33,
        workers_available: 2,
        attributes: "{}".to_owned(),
    }
}

pub(super) fn sample_room(text: &str) -> RoomSettings {
    RoomSettings {
        room_name: text.to_owned(),
        label: text.to_owned(),
        start_on_enter: true,
        end_on_exit: false,
        beep: text.to_owned(),
        wait_url: Some(text.to_owned()),
        wait_method: Some(text.to_owned()),
        muted: false,
        coach: Some(text.to_owned()),
        max_participants: Some(10),
        record: Some(text.to_owned()),
        trim: Some(text.to_owned()),
        region: Some(text.to_owned()),
        jitter_buffer_size: Some(text.to_owned()),
        events: text.to_owned(),
        tells_recordings: true,
    }
}
