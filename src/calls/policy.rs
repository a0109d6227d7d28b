//! The times and switches of the voice side that are decisions of ours and not of the phone system.
//!
//! Nothing is decided here; the deciding modules read these values. Start with [`Policy`].

use super::dialling::LEG_SECS;
use super::options::ConnectBy;

/// What becomes of a customer whom a transfer that failed has left alone (`spec/voice.md` 3.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColdTransferFailure {
    /// On hold, for whoever comes back.
    #[default]
    Hold,
    /// The customer leaves a message.
    Voicemail,
    /// The queue that the task was handed on from is asked for another worker, once.
    Requeue,
}

impl ColdTransferFailure {
    /// All words of the setting.
    pub const WORDS: [&str; 3] = ["hold", "voicemail", "requeue"];

    /// Reads the word of the setting.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let all = [Self::Hold, Self::Voicemail, Self::Requeue];
        Self::WORDS.iter().position(|word| *word == text).and_then(|index| all.get(index).copied())
    }
}

/// Switches of an operator's, for what Twilio leaves open or does otherwise (`docs/configuration.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choices {
    /// Completing the task ends its conference.
    pub complete_ends_room: bool,
    /// A task that was accepted without a leg of ours is over when its caller hangs up.
    pub auto_wrap_accepted_voice: bool,
    /// The customer is taken off hold when whoever takes over has come.
    pub auto_unhold_on_transfer_accept: bool,
    /// The task is told where a recording of its conversation is (V33).
    pub recordings_in_attributes: bool,
    /// After a conference the application's `action` is told `redirected`, not `bridged` (V6).
    pub redirected_after_conference: bool,
}

impl Choices {
    /// The usual ones.
    pub const DEFAULT: Self = Self {
        complete_ends_room: false,
        auto_wrap_accepted_voice: true,
        auto_unhold_on_transfer_accept: false,
        recordings_in_attributes: false,
        redirected_after_conference: false,
    };
}

impl Default for Choices {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Times in milliseconds and switches of the calls core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Silence of a new call after which the phone system is asked whether it is alive.
    pub created_silence_ms: i64,
    /// Silence of a waiting call, and of one that is being connected, after which it is looked at.
    pub parked_silence_ms: i64,
    /// Silence of a conversation after which its legs are looked at.
    pub bridged_silence_ms: i64,
    /// What the phone system may take beyond the ring timeout.
    pub ring_margin_ms: i64,
    /// How long a call may wait for its turn to be dialled at a phone system that dials so many a second.
    pub dial_queue_ms: i64,
    /// The longest that a leg may last, counted from the answer: the phone system ends it then.
    pub leg_ms: i64,
    /// Calls that are made wait for their turn with us too, because only so many are made in a second.
    pub calls_take_turns: bool,
    /// The phone system tells who comes into a room; otherwise a leg that is answered, or redirected there, counts as one
    /// that has come.
    pub room_callbacks: bool,
    /// The phone system has rooms; otherwise the caller's own document dials the worker.
    pub rooms: bool,
    /// How much longer than it may ring a caller's `<Dial>` may last without a word before the worker counts as answered.
    pub dial_margin_ms: i64,
    /// How long a leg that is known to be answered or redirected may take to appear in the room.
    pub join_guard_ms: i64,
    /// How long a worker may take to take the reservation by the document that its leg runs.
    pub document_ms: i64,
    /// How much longer a caller may take into the room who hears something before the worker.
    pub whisper_ms: i64,
    /// A sign of life of the caller this young makes it unnecessary to look before the caller is moved.
    pub caller_fresh_ms: i64,
    /// How long the phone system's lists of rooms and legs may lag behind.
    pub settle_ms: i64,
    /// How long a departure waits for the arrival that must have preceded it: callbacks overtake each other.
    pub lost_join_ms: i64,
    /// How long a caller may be alone in the room after the worker left; the worker may come back meanwhile.
    pub customer_alone_ms: i64,
    /// The same of a caller who is on hold since a cold transfer that failed: somebody may still come back.
    pub customer_held_alone_ms: i64,
    /// How long the phone system may take to end a room of itself before it is told to.
    pub room_end_guard_ms: i64,
    /// How long a leg may take to end after it was told to, or after it left the room.
    pub leg_end_guard_ms: i64,
    /// How long a call may take to end after which the same phone is to be dialled.
    pub line_free_ms: i64,
    /// Time between attempts to redirect the caller, or to end a room.
    pub retry_ms: i64,
    /// Attempts at one such thing. A redirect that has failed so often is complained of and tried on, at the pace of the looks
    /// at waiting calls, until it works or the call is over.
    pub attempts: u32,
    /// For so long after a redirect of ours the queue's news of a redirect is its echo.
    pub redirect_echo_ms: i64,
    /// End the room when the caller left and one worker remains.
    pub end_room_when_customer_left: bool,
    /// Send a live caller on with the application's next document when the task is canceled.
    pub on_cancel_release_caller: bool,
    /// What becomes of a customer whom a cold transfer has left alone.
    pub cold_transfer_failure: ColdTransferFailure,
    /// What else an operator can choose.
    pub choices: Choices,
}

impl Policy {
    /// The values of `spec/voice.md` 3.6 to 3.8 and 5.6.
    pub const DEFAULT: Self = Self {
        created_silence_ms: 30_000,
        parked_silence_ms: 60_000,
        bridged_silence_ms: 600_000,
        ring_margin_ms: 15_000,
        dial_queue_ms: 300_000,
        leg_ms: LEG_SECS as i64 * 1_000,
        calls_take_turns: false,
        room_callbacks: true,
        rooms: true,
        dial_margin_ms: 2_000,
        join_guard_ms: 10_000,
        document_ms: 120_000,
        whisper_ms: 60_000,
        caller_fresh_ms: 2_000,
        settle_ms: 3_000,
        lost_join_ms: 1_000,
        customer_alone_ms: 5_000,
        customer_held_alone_ms: 300_000,
        room_end_guard_ms: 10_000,
        leg_end_guard_ms: 15_000,
        line_free_ms: 3_000,
        retry_ms: 10_000,
        attempts: 3,
        redirect_echo_ms: 10_000,
        end_room_when_customer_left: true,
        on_cancel_release_caller: true,
        cold_transfer_failure: ColdTransferFailure::Hold,
        choices: Choices::DEFAULT,
    };
}

impl Policy {
    /// The same with other times after which silence is looked into: `secs` for a call that waits, half of it for one that
    /// has just come, ten times as long for a conversation.
    #[must_use]
    pub fn looking_after(self, secs: u32) -> Self {
        let waiting_ms = i64::from(secs) * 1_000;
        Self {
            created_silence_ms: waiting_ms / 2,
            parked_silence_ms: waiting_ms,
            bridged_silence_ms: waiting_ms * 10,
            ..self
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Reason of a task whose caller left the queue to leave a message.
pub const REASON_MESSAGE: &str = "voicemail";
/// Longest ring timeout that the phone system takes, in seconds.
pub const LONGEST_RING_SECS: u32 = 600;
/// `canceled_reason_code` of a busy worker.
pub const CODE_BUSY: i32 = 31_486;
/// `canceled_reason_code` of a worker who does not answer.
pub const CODE_NO_ANSWER: i32 = 31_480;
/// Alert: the phone system did not do what was wished of a leg.
pub const ALERT_PHONE_SYSTEM: u32 = 40_145;
/// Alert, a warning: a callback did not come, and what it would have told was found by looking.
pub const ALERT_REPAIRED: u32 = 15_003;
/// Silence doubles with each look that is not answered, so often at most.
pub const MOST_DOUBLINGS: u32 = 3;
/// Alert: a call could not be redirected.
pub const ALERT_REDIRECT: u32 = 40_122;

/// Alert of an instruction: nobody to dial.
#[must_use]
pub const fn alert_nobody(by: ConnectBy) -> u32 {
    match by {
        ConnectBy::Conference => 40_137,
        ConnectBy::Dequeue => 40_131,
        ConnectBy::Call => 40_110,
    }
}

/// Alert of an instruction: no caller ID.
#[must_use]
pub const fn alert_no_caller_id(by: ConnectBy) -> u32 {
    match by {
        ConnectBy::Conference => 40_138,
        ConnectBy::Dequeue => 40_132,
        ConnectBy::Call => 40_111,
    }
}

/// Code of credentials that the phone system does not take.
pub const CODE_CREDENTIALS: i32 = 20_003;
/// Codes of calls that were not made whoever was to be called: credentials that are not taken, too many calls, a URL of ours or
/// a caller ID that is refused.
pub const NOT_CALLED: [i32; 5] = [CODE_CREDENTIALS, 20_429, 21_205, CALLER_ID_REFUSED[0], CALLER_ID_REFUSED[1]];

/// Codes of a phone system that does not take the caller ID: not verified, or not a number.
pub const CALLER_ID_REFUSED: [i32; 2] = [21_210, 21_212];

/// Alert of an instruction: the caller ID is not one that the phone system takes.
#[must_use]
pub const fn alert_caller_id(by: ConnectBy) -> u32 {
    match by {
        ConnectBy::Conference => 40_141,
        ConnectBy::Dequeue => 40_132,
        ConnectBy::Call => 40_111,
    }
}

/// Alert of the conference instruction: the caller hung up, or the task was canceled, while the worker was being connected.
pub const ALERT_LEFT_PENDING: u32 = 40_144;

/// Alert of an instruction: the phone system did not do what it needs.
#[must_use]
pub const fn alert_phone_system(by: ConnectBy) -> u32 {
    match by {
        ConnectBy::Conference => ALERT_PHONE_SYSTEM,
        ConnectBy::Dequeue => 40_133,
        ConnectBy::Call => 40_113,
    }
}

/// Most legs that are remembered for one task; older ended ones are dropped first.
pub const MOST_LEGS: usize = 24;
/// Most rooms of earlier attempts whose late news is recognised.
pub const MOST_PAST_ROOMS: usize = 4;
