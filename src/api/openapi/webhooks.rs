//! Voice webhooks: what the phone system asks, and the TwiML or the silence it gets.
//!
//! Each takes GET and POST, with the parameters in the query or in the form; those that are named here are the ones
//! that are looked at. Start with [`operations`].

use serde_json::{Value, json};

use super::operation::Operation;
use super::schema::text;

const TAG: &str = "Voice webhook";

/// One webhook, by both methods.
struct Webhook {
    path: &'static str,
    /// Operations by GET and by POST.
    ids: [&'static str; 2],
    summary: &'static str,
    parameters: &'static [&'static str],
    /// Answered with TwiML, else with nothing.
    twiml: bool,
}

const WEBHOOKS: &[Webhook] = &[
    Webhook {
        path: "/voice/proxy",
        ids: ["ProxyByGet", "Proxy"],
        summary: "Asks an application for its document and answers with it, its TaskRouter verbs carried out",
        parameters: &["target", "account", "fallback", "mac", "rest", "CallSid", "CallStatus", "From", "To"],
        twiml: true,
    },
    Webhook {
        path: "/voice/proxy/callback",
        ids: ["ProxyCallbackByGet", "ProxyCallback"],
        summary: "Passes a callback of a verb on to the application that asked for it, signed by the account",
        parameters: &["target", "account", "mac", "CallSid", "CallStatus"],
        twiml: false,
    },
    Webhook {
        path: "/voice/enqueue",
        ids: ["EnqueueCallByGet", "EnqueueCall"],
        summary: "Makes a task of a call, as parameters or a TwiML document say",
        parameters: &[
            "CallSid",
            "CallStatus",
            "From",
            "To",
            "WorkflowSid",
            "Twiml",
            "Task",
            "Priority",
            "Timeout",
            "Action",
            "ActionMethod",
            "WaitUrl",
            "WaitMethod",
        ],
        twiml: true,
    },
    Webhook {
        path: "/voice/enqueue/{workflow}",
        ids: ["EnqueueCallToWorkflowByGet", "EnqueueCallToWorkflow"],
        summary: "The same, for the workflow in the path",
        parameters: &["CallSid", "CallStatus", "From", "To", "Twiml", "Task", "Priority", "Timeout", "Action"],
        twiml: true,
    },
    Webhook {
        path: "/voice/entries/{entry}",
        ids: ["EnterByGet", "Enter"],
        summary: "A call comes in at an entry point: it is greeted and enqueued, or told that nobody is there",
        parameters: &["CallSid", "CallStatus", "From", "To"],
        twiml: true,
    },
    Webhook {
        path: "/voice/entries/{entry}/overflow",
        ids: ["OverflowByGet", "Overflow"],
        summary: "What a caller meets when the queue is full or nobody took the call",
        parameters: &["CallSid", "CallStatus", "From", "To"],
        twiml: true,
    },
    Webhook {
        path: "/voice/entries/{entry}/dialled",
        ids: ["EntryDialledByGet", "EntryDialled"],
        summary: "What a caller meets when a leg that an entry point had dialled is over",
        parameters: &["CallSid", "CallStatus", "DialCallStatus"],
        twiml: true,
    },
    Webhook {
        path: "/voice/entries/{entry}/recorded",
        ids: ["EntryRecordedByGet", "EntryRecorded"],
        summary: "What a caller hears who has left a message",
        parameters: &["CallSid"],
        twiml: true,
    },
    Webhook {
        path: "/voice/entries/{entry}/voicemail",
        ids: ["VoicemailByGet", "Voicemail"],
        summary: "Makes a task of a message that a caller has left",
        parameters: &["CallSid", "RecordingSid", "RecordingUrl", "RecordingStatus", "RecordingDuration"],
        twiml: false,
    },
    Webhook {
        path: "/voice/tasks/{task}/wait",
        ids: ["WaitByGet", "Wait"],
        summary: "What a waiting caller hears",
        parameters: &["CallSid", "QueueTime"],
        twiml: true,
    },
    Webhook {
        path: "/voice/tasks/{task}/choice",
        ids: ["ChooseByGet", "Choose"],
        summary: "A waiting caller pressed a key",
        parameters: &["CallSid", "Digits", "QueueTime"],
        twiml: true,
    },
    Webhook {
        path: "/voice/tasks/{task}/callback",
        ids: ["CallBackByGet", "CallBack"],
        summary: "A waiting caller was asked for consent to be called back",
        parameters: &["CallSid", "Digits", "QueueTime"],
        twiml: true,
    },
    Webhook {
        path: "/voice/tasks/{task}/recorded",
        ids: ["RecordedByGet", "Recorded"],
        summary: "A caller has left a message",
        parameters: &["CallSid", "RecordingUrl"],
        twiml: true,
    },
    Webhook {
        path: "/voice/tasks/{task}/park",
        ids: ["ParkByGet", "Park"],
        summary: "Brings a caller back into the queue",
        parameters: &["CallSid"],
        twiml: true,
    },
    Webhook {
        path: "/voice/tasks/{task}/left",
        ids: ["LeftQueueByGet", "LeftQueue"],
        summary: "A caller left the queue",
        parameters: &["CallSid", "CallStatus", "QueueResult", "QueueTime"],
        twiml: true,
    },
    Webhook {
        path: "/voice/tasks/{task}/join/{role}",
        ids: ["JoinRoomByGet", "JoinRoom"],
        summary: "Brings a leg into the room of its task",
        parameters: &["CallSid"],
        twiml: true,
    },
    Webhook {
        path: "/voice/tasks/{task}/room-wait",
        ids: ["WaitInRoomByGet", "WaitInRoom"],
        summary: "What is heard in a room that waits for its second participant",
        parameters: &["CallSid", "ConferenceSid"],
        twiml: true,
    },
    Webhook {
        path: "/voice/tasks/{task}/room-left/{role}",
        ids: ["LeftRoomByGet", "LeftRoom"],
        summary: "A leg left the room of its task",
        parameters: &["CallSid", "CallStatus", "Reservation"],
        twiml: true,
    },
    Webhook {
        path: "/voice/reservations/{reservation}",
        ids: ["TakeReservationByGet", "TakeReservation"],
        summary: "A worker's own phone accepts a reservation by calling",
        parameters: &["CallSid", "CallStatus", "Beep", "Muted", "WaitUrl"],
        twiml: true,
    },
    Webhook {
        path: "/voice/reservations/{reservation}/whisper",
        ids: ["WhisperToWorkerByGet", "WhisperToWorker"],
        summary: "A worker who was called hears of the caller and presses the key that takes the call",
        parameters: &["CallSid", "CallStatus", "Digits"],
        twiml: true,
    },
    Webhook {
        path: "/voice/hold/{task}",
        ids: ["HoldByGet", "Hold"],
        summary: "What a leg on hold hears",
        parameters: &["CallSid", "CallStatus"],
        twiml: true,
    },
    Webhook {
        path: "/voice/cb/call/inbound",
        ids: ["InboundCallChangedByGet", "InboundCallChanged"],
        summary: "Status of a caller's leg; passed on to the application in `target` too, where the URL has one",
        parameters: &["target", "account", "mac", "CallSid", "CallStatus"],
        twiml: false,
    },
    Webhook {
        path: "/voice/cb/call/{task}/{reservation}/{role}",
        ids: ["LegChangedByGet", "LegChanged"],
        summary: "Status of a leg that the server placed",
        parameters: &["CallSid", "CallStatus", "SequenceNumber", "SipResponseCode", "ErrorCode"],
        twiml: false,
    },
    Webhook {
        path: "/voice/cb/recording/{task}",
        ids: ["MessageRecordedByGet", "MessageRecorded"],
        summary: "Status of the recording of a caller's message",
        parameters: &["RecordingSid", "RecordingUrl", "RecordingStatus", "RecordingDuration"],
        twiml: false,
    },
    Webhook {
        path: "/voice/cb/room/{task}",
        ids: ["RoomChangedByGet", "RoomChanged"],
        summary: "Status of a room",
        parameters: &["CallSid", "ConferenceSid", "StatusCallbackEvent", "ParticipantLabel", "SequenceNumber"],
        twiml: false,
    },
    Webhook {
        path: "/voice/cb/rec/{task}/{kind}",
        ids: ["RecordingChangedByGet", "RecordingChanged"],
        summary: "Status of a recording that an application wants to hear of",
        parameters: &["CallSid", "ConferenceSid", "RecordingSid", "RecordingStatus"],
        twiml: false,
    },
];

pub(super) fn operations() -> Vec<Operation> {
    WEBHOOKS.iter().flat_map(|webhook| [webhook.operation("GET"), webhook.operation("POST")]).collect()
}

impl Webhook {
    fn operation(&self, method: &'static str) -> Operation {
        let id = self.ids[usize::from(method == "POST")];
        let mut operation = Operation::new(method, id, self.path, TAG, self.summary).signed();
        for name in self.parameters {
            operation = match method {
                "GET" => operation.query(name, text()),
                _ => operation.field(name, text()),
            };
        }
        let operation = operation.error(400).error(403).error(413).error(503);
        if self.twiml {
            operation.answers(200, "what the call does next", Some(("text/xml", twiml())))
        } else {
            operation.answers(204, "taken in, or not for us", None)
        }
    }
}

fn twiml() -> Value {
    json!({ "type": "string", "description": "TwiML" })
}
