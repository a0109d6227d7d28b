//! The table of settings: one line each, from which file keys, environment variables and options are made.
//!
//! It must not know values. A new setting needs a line here, its field in [`Config`](super::Config), its line in
//! `default.toml` and its row in `docs/configuration.md`; tests compare the four.

/// What the text of a variable or option is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As it is.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count,
    /// A number.
    Number,
    /// Several texts, separated by commas.
    List,
    /// Several `name=value`, separated by white space.
    Pairs,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Dotted key in the file.
    pub key: &'static str,
    /// Environment variable.
    pub variable: &'static str,
    /// Option without its dashes.
    pub option: &'static str,
    /// Stands for the value in help.
    pub value_name: &'static str,
    /// How text is read.
    pub kind: Kind,
    /// One line for `--help`.
    pub help: &'static str,
}

/// Variable that names the file itself; it has no key in it.
pub const FILE_VARIABLE: &str = "SWITCHHOOK_CONFIG";

/// What all variables begin with.
pub const PREFIX: &str = "SWITCHHOOK_";

macro_rules! settings {
    ($($key:literal $variable:literal $option:literal $kind:ident $value_name:literal $help:literal)+) => {
        /// All settings, in the order of the file.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            key: $key,
            variable: $variable,
            option: $option,
            value_name: $value_name,
            kind: Kind::$kind,
            help: $help,
        }),+];
    };
}

settings! {
    "listen" "SWITCHHOOK_LISTEN" "listen" Text "ADDRESS:PORT"
        "Where the server listens"
    "database" "SWITCHHOOK_DATABASE_URL" "database" Text "URL"
        "Database, for example sqlite:switchhook.db"
    "public_url" "SWITCHHOOK_PUBLIC_URL" "public-url" Text "URL"
        "Address under which clients and the phone system reach the server"
    "trust_forwarded" "SWITCHHOOK_TRUST_FORWARDED" "trust-forwarded" Flag "BOOL"
        "Without a public URL, believe X-Forwarded-Proto and X-Forwarded-Host"
    "account_sid" "SWITCHHOOK_ACCOUNT_SID" "account-sid" Text "SID"
        "The first account"
    "auth_token" "SWITCHHOOK_AUTH_TOKEN" "auth-token" Text "TOKEN"
        "Auth token of the first account"
    "auth_token_file" "SWITCHHOOK_AUTH_TOKEN_FILE" "auth-token-file" Text "FILE"
        "File that holds the auth token of the first account"
    "metrics_public" "SWITCHHOOK_METRICS_PUBLIC" "metrics-public" Flag "BOOL"
        "Show /metrics to other machines, not only to this one"
    "secrets.key" "SWITCHHOOK_SECRETS_KEY" "secrets-key" Text "KEY,…"
        "Keys that auth tokens and API keys are encrypted with in the database; the first encrypts"
    "secrets.key_file" "SWITCHHOOK_SECRETS_KEY_FILE" "secrets-key-file" Text "FILE"
        "File that holds these keys, one a line"
    "phone.url" "SWITCHHOOK_PHONE_URL" "phone-url" Text "URL"
        "REST of the phone system, for example https://api.twilio.com"
    "phone.account_sid" "SWITCHHOOK_PHONE_ACCOUNT_SID" "phone-account-sid" Text "SID"
        "Account at the phone system"
    "phone.auth_token" "SWITCHHOOK_PHONE_AUTH_TOKEN" "phone-auth-token" Text "TOKEN"
        "Auth token at the phone system; also checks its webhooks"
    "phone.auth_token_file" "SWITCHHOOK_PHONE_AUTH_TOKEN_FILE" "phone-auth-token-file" Text "FILE"
        "File that holds the auth token at the phone system"
    "phone.api_key_sid" "SWITCHHOOK_PHONE_API_KEY_SID" "phone-api-key-sid" Text "SID"
        "API key that requests to the phone system show instead of the account"
    "phone.api_key_secret" "SWITCHHOOK_PHONE_API_KEY_SECRET" "phone-api-key-secret" Text "SECRET"
        "Secret of that key, or the token of the scheme bearer"
    "phone.api_key_secret_file" "SWITCHHOOK_PHONE_API_KEY_SECRET_FILE" "phone-api-key-secret-file" Text "FILE"
        "File that holds this secret"
    "phone.auth_scheme" "SWITCHHOOK_PHONE_AUTH_SCHEME" "phone-auth-scheme" Text "SCHEME"
        "How these are shown: basic or bearer"
    "phone.previous_auth_token" "SWITCHHOOK_PHONE_PREVIOUS_AUTH_TOKEN" "phone-previous-auth-token" Text "TOKEN"
        "Former auth token, still accepted on webhooks while tokens are changed"
    "phone.previous_auth_token_file" "SWITCHHOOK_PHONE_PREVIOUS_AUTH_TOKEN_FILE" "phone-previous-auth-token-file" Text "FILE"
        "File that holds the former auth token"
    "phone.public_key" "SWITCHHOOK_PHONE_PUBLIC_KEY" "phone-public-key" Text "KEY"
        "Public key of webhooks that the phone system signs with Ed25519, in base64"
    "phone.application_sid" "SWITCHHOOK_PHONE_APPLICATION_SID" "phone-application-sid" Text "SID"
        "Application at the phone system that new calls are made for"
    "phone.max_cps" "SWITCHHOOK_PHONE_MAX_CPS" "phone-max-cps" Number "RATE"
        "New calls a second that the phone system is asked for; no limit without it"
    "phone.dialect" "SWITCHHOOK_PHONE_DIALECT" "phone-dialect" Text "NAME"
        "Whose dialect the phone system speaks: twilio, signalwire, restcomm, telnyx or somleng; sets the flags below unless they are set"
    "phone.participants_create" "SWITCHHOOK_PHONE_PARTICIPANTS_CREATE" "phone-participants-create" Flag "BOOL"
        "It makes participants; otherwise calls are placed whose document leads into the conference"
    "phone.room_callbacks" "SWITCHHOOK_PHONE_ROOM_CALLBACKS" "phone-room-callbacks" Flag "BOOL"
        "It tells who comes into a conference; otherwise whoever has answered, or was redirected there, counts as there"
    "phone.error_codes" "SWITCHHOOK_PHONE_ERROR_CODES" "phone-error-codes" Flag "BOOL"
        "Its 404 has the error code 20404; otherwise every 404 says that a call or a room is not there"
    "phone.inline_documents" "SWITCHHOOK_PHONE_INLINE_DOCUMENTS" "phone-inline-documents" Flag "BOOL"
        "It takes the document of a call that is moved with the request; otherwise it asks for it"
    "phone.rooms" "SWITCHHOOK_PHONE_ROOMS" "phone-rooms" Flag "BOOL"
        "It has conferences; otherwise the caller's own call dials the worker"
    "phone.queues" "SWITCHHOOK_PHONE_QUEUES" "phone-queues" Flag "BOOL"
        "Calls can wait in its queues; otherwise a caller hears the wait document again and again"
    "voice.templates_dir" "SWITCHHOOK_TEMPLATES_DIR" "templates-dir" Text "DIRECTORY"
        "Directory of TwiML templates that replace the built-in ones"
    "voice.insecure_skip_signature" "SWITCHHOOK_INSECURE_SKIP_SIGNATURE" "insecure-skip-signature" Flag "BOOL"
        "Take voice webhooks without a signature (loopback listener only)"
    "voice.waiting_calls_max" "SWITCHHOOK_WAITING_CALLS_MAX" "waiting-calls-max" Count "COUNT"
        "Calls that may wait for one workflow; further ones get QueueResult=queue-full"
    "voice.look_after_secs" "SWITCHHOOK_LOOK_AFTER_SECS" "look-after-secs" Count "SECONDS"
        "Silence after which a waiting call is looked at at the phone system; a conversation after ten times as long"
    "voice.cold_transfer_failure" "SWITCHHOOK_COLD_TRANSFER_FAILURE" "cold-transfer-failure" Text "WORD"
        "What becomes of a customer whom a failed transfer has left alone: hold, voicemail or requeue"
    "voice.end_room_when_customer_left" "SWITCHHOOK_END_ROOM_WHEN_CUSTOMER_LEFT" "end-room-when-customer-left" Flag "BOOL"
        "End the conference when the customer has left and one worker remains"
    "voice.customer_alone_secs" "SWITCHHOOK_CUSTOMER_ALONE_SECS" "customer-alone-secs" Count "SECONDS"
        "How long a customer may be alone in the conference after the worker left, who may come back meanwhile"
    "voice.on_cancel_release_caller" "SWITCHHOOK_ON_CANCEL_RELEASE_CALLER" "on-cancel-release-caller" Flag "BOOL"
        "Send a waiting caller on when the task is canceled, instead of leaving it with the wait document"
    "voice.connect_failure_limit" "SWITCHHOOK_CONNECT_FAILURE_LIMIT" "connect-failure-limit" Count "CALLS"
        "Calls in a row that a worker may miss before going to the workspace's timeout activity; 0 is no limit"
    "voice.complete_ends_room" "SWITCHHOOK_COMPLETE_ENDS_ROOM" "complete-ends-room" Flag "BOOL"
        "End the conference when its task is completed over the API"
    "voice.auto_wrap_accepted_voice" "SWITCHHOOK_AUTO_WRAP_ACCEPTED_VOICE" "auto-wrap-accepted-voice" Flag "BOOL"
        "End the work on a call that was accepted by accept or redirect when its caller hangs up"
    "voice.auto_unhold_on_transfer_accept" "SWITCHHOOK_AUTO_UNHOLD_ON_TRANSFER_ACCEPT" "auto-unhold-on-transfer-accept" Flag "BOOL"
        "Take the customer off hold when whoever takes over has come"
    "voice.enqueue_action_result_after_conference" "SWITCHHOOK_ENQUEUE_ACTION_RESULT_AFTER_CONFERENCE" "enqueue-action-result-after-conference" Text "WORD"
        "QueueResult of the action that is asked after a conference: bridged or redirected"
    "voice.default_caller_id" "SWITCHHOOK_DEFAULT_CALLER_ID" "default-caller-id" Text "NUMBER"
        "Caller ID of legs where neither the instruction nor the task has one"
    "voice.extra_call_attributes" "SWITCHHOOK_EXTRA_CALL_ATTRIBUTES" "extra-call-attributes" List "NAME,…"
        "Further parameters of a call that its task gets as attributes, such as forwarded_from"
    "voice.recordings_in_attributes" "SWITCHHOOK_RECORDINGS_IN_ATTRIBUTES" "recordings-in-attributes" Flag "BOOL"
        "Tell the task where a recording of its conversation is: attribute conversations.segment_link"
    "voice.entries_file" "SWITCHHOOK_ENTRIES_FILE" "entries-file" Text "FILE"
        "File of calendars and entry points, brought into the database at the start"
    "wait.say_position" "SWITCHHOOK_WAIT_SAY_POSITION" "wait-say-position" Flag "BOOL"
        "Tell waiting callers how many are ahead"
    "wait.say_estimate" "SWITCHHOOK_WAIT_SAY_ESTIMATE" "wait-say-estimate" Flag "BOOL"
        "Tell waiting callers how long it will take, where that can be estimated"
    "wait.interval_secs" "SWITCHHOOK_WAIT_INTERVAL_SECS" "wait-interval-secs" Count "SECONDS"
        "Music or silence between two announcements to waiting callers"
    "wait.language" "SWITCHHOOK_WAIT_LANGUAGE" "wait-language" Text "LANGUAGE"
        "Language of announcements, where a task has no attribute language"
    "wait.music_url" "SWITCHHOOK_WAIT_MUSIC_URL" "wait-music-url" Text "URL"
        "Music between two announcements, played to its end; silence without it"
    "wait.callback_key" "SWITCHHOOK_WAIT_CALLBACK_KEY" "wait-callback-key" Text "KEY"
        "Key that a waiting caller presses to be called back"
    "wait.callback_prefixes" "SWITCHHOOK_WAIT_CALLBACK_PREFIXES" "wait-callback-prefixes" List "PREFIX,…"
        "Numbers that may be called back begin with one of these; without it nobody is"
    "wait.callback_attempts" "SWITCHHOOK_WAIT_CALLBACK_ATTEMPTS" "wait-callback-attempts" Count "COUNT"
        "Attempts at reaching a caller who is called back"
    "wait.callback_pause_secs" "SWITCHHOOK_WAIT_CALLBACK_PAUSE_SECS" "wait-callback-pause-secs" Count "SECONDS"
        "Time between two of these attempts"
    "wait.callback_expires_secs" "SWITCHHOOK_WAIT_CALLBACK_EXPIRES_SECS" "wait-callback-expires-secs" Count "SECONDS"
        "Time until a promised callback is given up"
    "wait.voicemail_key" "SWITCHHOOK_WAIT_VOICEMAIL_KEY" "wait-voicemail-key" Text "KEY"
        "Key that a waiting caller presses to leave a message; without it there is no such choice"
    "wait.voicemail_secs" "SWITCHHOOK_WAIT_VOICEMAIL_SECS" "wait-voicemail-secs" Count "SECONDS"
        "Longest message of a caller"
    "dial.allow" "SWITCHHOOK_DIAL_ALLOW" "dial-allow" List "DESTINATION,…"
        "Whom to dial besides clients of the phone system: +49, 1xx, sip:example.org"
    "dial.legs_max" "SWITCHHOOK_DIAL_LEGS_MAX" "dial-legs-max" Count "COUNT"
        "Outgoing legs of a workspace at one time"
    "dial.per_minute_max" "SWITCHHOOK_DIAL_PER_MINUTE_MAX" "dial-per-minute-max" Count "COUNT"
        "New outgoing legs of a workspace within a minute"
    "dial.per_region_max" "SWITCHHOOK_DIAL_PER_REGION_MAX" "dial-per-region-max" Count "COUNT"
        "The same to numbers whose first six digits are equal, however they are written, or to one SIP domain"
    "dial.leg_secs_max" "SWITCHHOOK_DIAL_LEG_SECS_MAX" "dial-leg-secs-max" Count "SECONDS"
        "Longest leg that is dialled; the phone system ends it then"
    "dial.workspaces" "SWITCHHOOK_DIAL_WORKSPACES" "dial-workspaces" Pairs "WS…=DESTINATION,… …"
        "Whom single workspaces dial instead; the file can also give them caps of their own"
    "outbound.allow_private" "SWITCHHOOK_OUTBOUND_ALLOW_PRIVATE" "outbound-allow-private" Flag "BOOL"
        "Allow requests to users' URLs in private networks"
    "outbound.allow_cidrs" "SWITCHHOOK_OUTBOUND_ALLOW_CIDRS" "outbound-allow-cidrs" List "CIDR,…"
        "Allow requests to users' URLs in these networks, whatever they are"
    "callbacks.schedule" "SWITCHHOOK_CALLBACKS_SCHEDULE" "callbacks-schedule" Text "SCHEDULE"
        "When event callbacks that failed are tried again: patient (for three days) or twilio (once)"
    "callbacks.answer_secs" "SWITCHHOOK_CALLBACKS_ANSWER_SECS" "callbacks-answer-secs" Count "SECONDS"
        "Time for the answer to an event callback"
    "sockets.per_worker" "SWITCHHOOK_SOCKETS_PER_WORKER" "sockets-per-worker" Count "NUMBER"
        "Open sockets of one worker"
    "sockets.per_address" "SWITCHHOOK_SOCKETS_PER_ADDRESS" "sockets-per-address" Count "NUMBER"
        "Open sockets of one address"
    "sockets.total" "SWITCHHOOK_SOCKETS_TOTAL" "sockets-total" Count "NUMBER"
        "Open sockets in all"
    "sockets.queued_kib" "SWITCHHOOK_SOCKETS_QUEUED_KIB" "sockets-queued-kib" Count "KIB"
        "Most that may wait for one socket before it is cut"
    "sockets.write_secs" "SWITCHHOOK_SOCKETS_WRITE_SECS" "sockets-write-secs" Count "SECONDS"
        "Longest time for a socket to take a frame before it is cut"
    "agents.attributes_locked" "SWITCHHOOK_AGENTS_ATTRIBUTES_LOCKED" "agents-attributes-locked" List "WS…,…"
        "Workspaces (or all) whose workers' tokens may not change their own attributes"
    "metrics.service_level_secs" "SWITCHHOOK_METRICS_SERVICE_LEVEL_SECS" "metrics-service-level-secs" Count "SECONDS"
        "Who is answered within this time is answered in time"
    "log.level" "SWITCHHOOK_LOG" "log" Text "FILTER"
        "What is logged: error, warn, info, debug, trace, or a filter per module"
    "log.format" "SWITCHHOOK_LOG_FORMAT" "log-format" Text "FORMAT"
        "Form of the log: text or json"
    "resources.tasks_max" "SWITCHHOOK_RESOURCES_TASKS_MAX" "resources-tasks-max" Count "COUNT"
        "Tasks that a workspace may hold, in any state"
    "resources.workers_max" "SWITCHHOOK_RESOURCES_WORKERS_MAX" "resources-workers-max" Count "COUNT"
        "Workers that a workspace may hold"
    "resources.task_queues_max" "SWITCHHOOK_RESOURCES_TASK_QUEUES_MAX" "resources-task-queues-max" Count "COUNT"
        "Task queues that a workspace may hold"
    "resources.workflows_max" "SWITCHHOOK_RESOURCES_WORKFLOWS_MAX" "resources-workflows-max" Count "COUNT"
        "Workflows that a workspace may hold"
    "resources.activities_max" "SWITCHHOOK_RESOURCES_ACTIVITIES_MAX" "resources-activities-max" Count "COUNT"
        "Activities that a workspace may hold"
    "resources.task_channels_max" "SWITCHHOOK_RESOURCES_TASK_CHANNELS_MAX" "resources-task-channels-max" Count "COUNT"
        "Task channels that a workspace may hold, the built-in ones included"
    "limits.connections" "SWITCHHOOK_LIMITS_CONNECTIONS" "limits-connections" Count "COUNT"
        "Open connections in total"
    "limits.half_open" "SWITCHHOOK_LIMITS_HALF_OPEN" "limits-half-open" Count "COUNT"
        "Of these, connections without a first request; beyond it the oldest makes room"
    "limits.connections_per_address" "SWITCHHOOK_LIMITS_CONNECTIONS_PER_ADDRESS" "limits-connections-per-address" Count "COUNT"
        "Open connections of one address"
    "limits.requests_per_sec" "SWITCHHOOK_LIMITS_REQUESTS_PER_SEC" "limits-requests-per-sec" Count "COUNT"
        "Requests a second of one account's applications; for two seconds at once"
    "limits.expression_lists_per_sec" "SWITCHHOOK_LIMITS_EXPRESSION_LISTS_PER_SEC" "limits-expression-lists-per-sec" Count "COUNT"
        "Of these, lists filtered by an expression"
    "limits.agent_requests_per_sec" "SWITCHHOOK_LIMITS_AGENT_REQUESTS_PER_SEC" "limits-agent-requests-per-sec" Count "COUNT"
        "Requests a second of one agent's browser"
    "limits.head_secs" "SWITCHHOOK_LIMITS_HEAD_SECS" "limits-head-secs" Count "SECONDS"
        "Time for a request head"
    "limits.body_secs" "SWITCHHOOK_LIMITS_BODY_SECS" "limits-body-secs" Count "SECONDS"
        "Time for a request body"
    "limits.idle_secs" "SWITCHHOOK_LIMITS_IDLE_SECS" "limits-idle-secs" Count "SECONDS"
        "Longest pause between two requests of a connection"
    "phone_server.listen" "SWITCHHOOK_PHONE_LISTEN" "phone-listen" Text "ADDRESS:PORT"
        "Where `switchhook phone` listens"
    "phone_server.account_sid" "SWITCHHOOK_PHONE_SERVER_ACCOUNT_SID" "phone-server-account-sid" Text "SID"
        "Account of `switchhook phone`; that of phone.account_sid when absent"
    "phone_server.auth_token" "SWITCHHOOK_PHONE_SERVER_AUTH_TOKEN" "phone-server-auth-token" Text "TOKEN"
        "Auth token of `switchhook phone`; that of phone.auth_token when absent"
    "phone_server.auth_token_file" "SWITCHHOOK_PHONE_SERVER_AUTH_TOKEN_FILE" "phone-server-auth-token-file" Text "FILE"
        "File that holds the auth token of `switchhook phone`"
    "phone_server.numbers" "SWITCHHOOK_PHONE_NUMBERS" "phone-numbers" Pairs "NUMBER=URL …"
        "Numbers of `switchhook phone` and their voice URLs"
    "phone_server.status_callback" "SWITCHHOOK_PHONE_STATUS_CALLBACK" "phone-status-callback" Text "URL"
        "Told how calls to these numbers go"
    "phone_server.public_url" "SWITCHHOOK_PHONE_PUBLIC_URL" "phone-public-url" Text "URL"
        "Where `switchhook phone` is reached, for the URLs of recordings; its listener when absent"
    "phone_server.speed" "SWITCHHOOK_PHONE_SPEED" "phone-speed" Number "FACTOR"
        "How much faster than in life rings, prompts and pauses go by"
    "demo.calls" "SWITCHHOOK_DEMO_CALLS" "demo-calls" Count "N"
        "How many callers ring in at `switchhook demo`"
    "demo.rate" "SWITCHHOOK_DEMO_RATE" "demo-rate" Number "R"
        "Callers a second at `switchhook demo`"
    "demo.keep_running" "SWITCHHOOK_DEMO_KEEP_RUNNING" "demo-keep-running" Flag "BOOL"
        "Whether `switchhook demo` goes on until interrupted"
}

/// The setting with this key.
#[must_use]
pub fn by_key(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The setting with this variable.
#[must_use]
pub fn by_variable(variable: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.variable == variable)
}
