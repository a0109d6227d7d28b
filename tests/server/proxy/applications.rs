//! Applications as their makers wrote them: relative and absolute URLs, GET and POST, cookies, empty actions, CDATA.
//!
//! Each path begins with where to enqueue: `plain` for a queue of the phone system's, else the SID of a workflow. Every
//! request is checked for its signature and noted: where the application enqueues into a workflow it knows the account's
//! token only.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use switchhook::signature;

/// Parameters whose values are another call's: only that they are there is compared.
const OF_EACH_CALL: [&str; 20] = [
    "CallSid",
    "ParentCallSid",
    "DialCallSid",
    "DequeingCallSid",
    "DialCallDuration",
    "CallDuration",
    "Duration",
    "ConferenceSid",
    "CallSidEndingConference",
    "AccountSid",
    "To",
    "Called",
    "QueueSid",
    "QueueTime",
    "AvgQueueTime",
    "RecordingSid",
    "RecordingUrl",
    "RecordingStartTime",
    "Timestamp",
    "I-Twilio-Idempotency-Token",
];
/// Parameters that only an application behind the proxy is told (`docs/proxy.md`).
const OURS: [&str; 13] = [
    "TaskSid",
    "WorkflowSid",
    "TaskQueueSid",
    "TaskQueueName",
    "TaskPriority",
    "TaskAge",
    "EstimatedWaitTime",
    "EstimatedWaitTimeLow",
    "EstimatedWaitTimeHigh",
    "TaskQueuePosition",
    "TasksAhead",
    "WorkersAvailable",
    "TaskCancelReason",
];
/// Pages below this are told something while the call goes on.
const TOLD: &str = "told/";

/// A request, without where it was enqueued to: all its parameters by name, with the values that two calls must share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) page: String,
    pub(super) what: String,
}

impl Asked {
    /// Its answer does not guide the call.
    pub(super) fn is_told(&self) -> bool {
        self.page.starts_with(TOLD)
    }
}

#[derive(Debug)]
struct Noted {
    call: String,
    asked: Asked,
}

struct Shared {
    /// What signs requests without us in between.
    plain_token: &'static str,
    /// What signs all others.
    token: &'static str,
    base: String,
    noted: Mutex<Vec<Noted>>,
}

/// Where they are, and what they were asked.
pub(super) struct Applications(Arc<Shared>);

impl Applications {
    pub(super) async fn start(plain_token: &'static str, token: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { plain_token, token, base, noted: Mutex::default() });
        let router = Router::new()
            .route("/filler/{queue}", axum::routing::any(filler))
            .route("/{place}/{application}/{*page}", axum::routing::any(answer))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self(shared)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0.base)
    }

    pub(super) fn forget(&self) {
        self.0.noted.lock().unwrap().clear();
    }

    /// What was asked of a page, about whatever call.
    pub(super) fn asked_by(&self, page: &str) -> Vec<Asked> {
        let noted = self.0.noted.lock().unwrap();
        noted.iter().filter(|noted| noted.asked.page == page).map(|noted| noted.asked.clone()).collect()
    }

    /// What was asked about the call and the legs that it dialled: documents in order, then what was told, page by
    /// page, in order.
    pub(super) fn asked(&self, call: &str) -> Vec<Asked> {
        let noted = self.0.noted.lock().unwrap();
        let mut asked: Vec<Asked> =
            noted.iter().filter(|noted| noted.call == call).map(|noted| noted.asked.clone()).collect();
        asked.sort_by_key(|asked| asked.is_told().then(|| asked.page.clone()));
        asked
    }
}

async fn filler(Path(queue): Path<String>) -> Response {
    document(&format!("<Enqueue>{queue}</Enqueue>"))
}

fn document(verbs: &str) -> Response {
    let text =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- made by hand -->\n<Response>{verbs}</Response>\n");
    ([(header::CONTENT_TYPE, "application/xml; charset=utf-8")], text).into_response()
}

/// One request to an application.
struct Request {
    page: String,
    pairs: Vec<(String, String)>,
    cookie: String,
    /// `<Enqueue` with what names the queue, its content, and `</Enqueue>`.
    place: String,
}

impl Request {
    fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value.as_str())
    }

    /// `<Enqueue>` into the queue or the workflow, with these attributes and this `<Task>`.
    fn enqueue(&self, attributes: &str, task: &str) -> String {
        if self.place == "plain" {
            format!("<Enqueue {attributes}>plain</Enqueue>")
        } else {
            format!("<Enqueue workflowSid=\"{}\" {attributes}>\n  <Task>{task}</Task>\n</Enqueue>", self.place)
        }
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    Path((place, application, page)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let query = uri.query().unwrap_or_default();
    let mut pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    pairs.extend(form.iter().cloned());
    let given = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let url = format!("{}{}", shared.base, uri.path_and_query().unwrap());
    let signed = given(signature::HEADER);
    let token = if place == "plain" { shared.plain_token } else { shared.token };
    let is_signed = signature::verify_form(token, &url, &form, &signed);
    let request = Request { page, pairs, cookie: given("cookie"), place };
    let mut parameters: Vec<String> = request
        .pairs
        .iter()
        .filter(|(name, _)| !OURS.contains(&name.as_str()))
        .map(
            |(name, value)| {
                if OF_EACH_CALL.contains(&name.as_str()) { format!("{name}=*") } else { format!("{name}={value}") }
            },
        )
        .collect();
    parameters.sort();
    let what = format!(
        "{method} {application}/{} {} cookie={:?} signed={is_signed} token={}",
        request.page,
        parameters.join("&"),
        request.cookie,
        !given("I-Twilio-Idempotency-Token").is_empty(),
    );
    let of = if request.get("ParentCallSid").is_empty() { "CallSid" } else { "ParentCallSid" };
    let noted = Noted { call: request.get(of).to_owned(), asked: Asked { page: request.page.clone(), what } };
    shared.noted.lock().unwrap().push(noted);
    if !is_signed {
        return StatusCode::FORBIDDEN.into_response();
    }
    match application.as_str() {
        "menu" => menu(&request),
        "redirects" => redirects(&request),
        "actions" => actions(&request),
        "voicemail" => voicemail(&request, &shared.base),
        "language" => language(&request),
        "survey" => survey(&request),
        "rating" => rating(&request),
        "message" => message(&request),
        "switchboard" => switchboard(&request),
        "desk" => desk(&request),
        "meeting" => meeting(&request),
        "owner" => owner(&request),
        "worker" => worker(&request),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A menu of keys, as in every tutorial.
fn menu(request: &Request) -> Response {
    match (request.page.as_str(), request.get("Digits")) {
        ("start", _) => document(
            "<Gather action=\"choice\" numDigits=\"1\" timeout=\"3\"><Say voice='alice'>For sales &amp; more press 1</Say></Gather>\
             <Say>We did not hear you</Say><Redirect>start</Redirect>",
        ),
        ("start-again", _) => document(
            "<Gather action='choice' numDigits='1' timeout='2'><Say>Sorry?</Say></Gather><Say>A person, then</Say>\
             <Redirect>person</Redirect>",
        ),
        ("choice", "1") | ("person", _) => document(
            &request.enqueue("action=\"left\" waitUrl=\"wait\" waitUrlMethod=\"GET\"", "{\"skill\":\"sales\"}"),
        ),
        ("choice", _) => document("<Redirect method=\"POST\">start-again</Redirect>"),
        ("wait", _) => document("<Say>Please hold the line</Say><Pause length=\"2\"/>"),
        _ => document("<Say>Good bye</Say>"),
    }
}

/// Documents that only lead on, forwards and backwards, by absolute path and by query.
fn redirects(request: &Request) -> Response {
    match (request.page.as_str(), request.get("step")) {
        ("start", _) => document("<Redirect>deep/down/here?step=1&amp;x=%20y</Redirect>"),
        (_, "1") => document("<Say>One</Say><Redirect method=\"GET\"><![CDATA[../up?step=2&z=ü]]></Redirect>"),
        (_, "2") => document("<Redirect>?step=3</Redirect>"),
        (_, "3") => document(&format!(
            "<Say>Hello</Say>{}<Hangup/>",
            request.enqueue("waitUrl=\"\" action='../bye?step=4'", "")
        )),
        _ => document(""),
    }
}

/// Actions within actions, one of them the document itself, and keys that lead nowhere.
fn actions(request: &Request) -> Response {
    match (request.page.as_str(), request.get("Digits")) {
        ("start", "") => document("<Gather numDigits='1' action=''><Say>Department</Say></Gather><Redirect/>"),
        ("start", "9") => document("<Say>No such department</Say><Gather numDigits='1'><Say>Again</Say></Gather>"),
        ("start", digits) => {
            document(&format!("<Gather numDigits='2' action='second/level?of={digits}'><Say>Number</Say></Gather>"))
        }
        ("second/level", _) => document(&request.enqueue("action='../left' waitUrl='../wait'", "{}")),
        ("wait", "") => document("<Gather numDigits='1' action='pressed' timeout='30'/>"),
        ("pressed", "*") => document("<Leave/>"),
        ("left", _) => document("<Say>You left</Say><Redirect>end</Redirect>"),
        ("end", _) => document("<Hangup/>"),
        _ => document("<Say>What?</Say>"),
    }
}

/// A message for those who find the queue full.
fn voicemail(request: &Request, base: &str) -> Response {
    match (request.page.as_str(), request.get("QueueResult")) {
        ("start", _) => document(&request.enqueue(
            &format!("action=\"{base}/{}/voicemail/left?of=queue\" method=\"GET\"", request.place),
            "<![CDATA[{\"a\":\"<&>\"}]]>",
        )),
        ("left", "queue-full") => document("<Say>Please leave a message</Say><Redirect>record</Redirect>"),
        ("record", _) => document(
            "<Record action=\"recorded?kind=message\" maxLength=\"30\" timeout='2' finishOnKey=\"#\" playBeep='true' \
             transcribe='true' transcribeCallback='told/transcript' recordingStatusCallback=\"told/recording?a=1&amp;b=2\" \
             recordingStatusCallbackEvent='in-progress completed'/><Say>We did not hear you</Say>",
        ),
        ("recorded", _) => document("<Say>Thank you</Say><Pause length=\"2\"/><Hangup/>"),
        _ => document("<Reject/>"),
    }
}

/// The language is chosen once and kept in a cookie.
fn language(request: &Request) -> Response {
    let page = match (request.page.as_str(), request.cookie.as_str()) {
        ("start", "") => {
            "<Gather input='dtmf speech' language='de-DE' hints='Deutsch, Englisch' speechTimeout='auto' \
             action='/PLACE/language/chosen' numDigits='1'><Say language='de' voice='Polly.Vicki'>Für <lang \
             xml:lang='de-DE'>Deutsch</lang> die 2, oder sagen Sie es</Say></Gather><Say>What?</Say>"
        }
        ("chosen", "") if request.get("SpeechResult") == "Deutsch, bitte" => {
            let mut response = document("<Redirect>line</Redirect>");
            let cookie = "lang=de; Path=/; HttpOnly".parse().unwrap();
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            return response;
        }
        ("line", "lang=de") => {
            return document(&request.enqueue("action='left' waitUrl='wait'", "{\"language\":\"de\"}"));
        }
        ("wait", "lang=de") => "<Play>music/ä.mp3</Play>",
        ("left", "lang=de") => "<Say>Auf Wiederhören</Say>",
        _ => "<Say>What?</Say>",
    };
    document(&page.replace("PLACE", &request.place))
}

/// No action: what comes after the queue stands after it.
fn survey(request: &Request) -> Response {
    match (request.page.as_str(), request.get("Digits")) {
        ("start", _) => document(&format!(
            "<Say>Welcome</Say>\n  {}\n  <Say>How was it?</Say><Gather action=\"rated\" numDigits=\"1\"/><Redirect>none</Redirect>",
            request.enqueue("waitUrl=\"wait\"", "{}")
        )),
        ("wait", "") => document("<Gather action=\"wait\" numDigits=\"1\" timeout=\"60\"/>"),
        ("wait", "*") => document("<Leave/>"),
        ("rated", "7") => document("<Say>Thank you</Say><Hangup/>"),
        _ => document("<Say>What?</Say>"),
    }
}

/// One URL for all: the verbs after the queue have no `action`, so that keys and recordings come back to it.
fn rating(request: &Request) -> Response {
    let is_recorded = !request.get("RecordingUrl").is_empty();
    match (request.page.as_str(), request.get("Digits")) {
        ("start", _) if is_recorded => document("<Say>Thank you</Say><Hangup/>"),
        ("start", "") => document(&format!(
            "<Say>Welcome</Say>{}<Gather numDigits='1'><Say>How was it?</Say></Gather><Redirect>none</Redirect>",
            request.enqueue(&format!("waitUrl='wait?talks={}'", request.get("talks")), "{}")
        )),
        ("start", "7") => document("<Say>What was good?</Say><Record timeout='2' maxLength='30' /><Say>Nothing?</Say>"),
        ("wait", "*") => document("<Leave/>"),
        ("wait", _) if request.get("talks").is_empty() => document("<Gather action='' numDigits='1' timeout='60'/>"),
        ("wait", _) => document("<Pause length='60'/>"),
        _ => document("<Say>What?</Say>"),
    }
}

/// Whoever leaves the queue leaves a message, which comes to the URL that asked for it.
fn message(request: &Request) -> Response {
    match (request.page.as_str(), request.get("RecordingUrl")) {
        ("start", _) => document(&request.enqueue("action='left?x=%20y' waitUrl='wait'", "{}")),
        ("wait", _) => document("<Leave/>"),
        ("left", "") => document("<Say>Your message?</Say><Record timeout='2' maxLength='30'/>"),
        ("left", _) => document("<Hangup/>"),
        _ => document("<Say>What?</Say>"),
    }
}

/// Everything by GET; extensions are dialled, one after the other, and who was not helped waits in a plain queue.
fn switchboard(request: &Request) -> Response {
    match (request.page.as_str(), request.get("Digits"), request.get("of"), request.get("DialCallStatus")) {
        ("start", ..) => document(
            "<Gather action=\"extension\" method=\"GET\" numDigits=\"3\" timeout=\"2\"><Say>Extension</Say></Gather>\
             <Redirect method=\"GET\">wait-for-anybody</Redirect>",
        ),
        ("extension", "101", ..) => document(
            "<Dial action=\"dialled?of=sales&amp;x=1\" method=\"GET\" timeout=\"5\" callerId=\"+15550300\">\
             <Number statusCallback=\"told/sales\" statusCallbackMethod=\"GET\" \
             statusCallbackEvent=\"initiated ringing answered completed\">+15556660101</Number></Dial><Say>Never</Say>",
        ),
        ("extension", ..) => document("<Say>No such extension</Say><Redirect method=\"GET\">start?again=1</Redirect>"),
        ("dialled", _, "sales", "busy") => document(&format!(
            "<Say>Busy</Say><Dial sequential='true' method='GET' action='/{}/switchboard/dialled?of=bob'>\
             <Number statusCallback='told/sales'>+15556660101</Number>\
             <Client url='whisper' method='GET' statusCallback='told/bob' statusCallbackEvent='initiated answered \
             completed'><Identity>bob</Identity><Parameter name='why' value='busy'/></Client></Dial>",
            request.place
        )),
        ("whisper", ..) => document("<Say>From the switchboard</Say>"),
        ("dialled", _, "bob", "completed") => document("<Redirect method='GET'>wait-for-anybody?after=bob</Redirect>"),
        ("wait-for-anybody", ..) => document(
            "<Enqueue action=\"left?x=%20\" method=\"GET\" waitUrl=\"wait\" waitUrlMethod=\"GET\">switchboard</Enqueue>",
        ),
        ("wait", ..) => document("<Pause length='30'/>"),
        _ => document("<Say>What?</Say>"),
    }
}

/// A queue of the phone system's, and whoever calls the desk takes its head.
fn desk(request: &Request) -> Response {
    match (request.page.as_str(), request.get("Digits")) {
        ("start", _) => document(
            "<Say>Welcome</Say><Enqueue waitUrl='wait' method='GET'>desk</Enqueue>\
             <Gather action='rated' method='GET' numDigits='1' timeout='2'><Say>How was it?</Say></Gather><Say>Nothing?</Say>",
        ),
        ("wait", _) => document("<Play>music.mp3</Play><Pause length='30'/>"),
        ("rated", "7") => document("<Say>Thank you</Say><Hangup/>"),
        ("desk", _) => document(
            "<Dial action='next' method='GET' timeout='5'><Queue url='hello' method='GET'>desk</Queue></Dial><Say>Never</Say>",
        ),
        ("hello", _) => document("<Say>You are taken</Say>"),
        ("next", _) => document("<Say>That was that</Say><Hangup/>"),
        _ => document("<Say>What?</Say>"),
    }
}

/// A room that the caller waits in.
fn meeting(request: &Request) -> Response {
    let told = "statusCallback='told/room' statusCallbackEvent='join leave'";
    match request.page.as_str() {
        "start" => document(&format!(
            "<Say>Welcome</Say><Dial action='bye' method='GET'><Conference startConferenceOnEnter='false' waitUrl='wait' \
             waitMethod='GET' {told}>meeting</Conference></Dial>"
        )),
        "wait" => document("<Play>music.mp3</Play><Pause length='30'/><Redirect/>"),
        "desk" => document(&format!(
            "<Dial><Conference beep='false' endConferenceOnExit='true' waitUrl='' {told}>meeting</Conference></Dial>\
             <Say>Never, who hung up</Say>"
        )),
        "bye" => document("<Say>Good bye</Say><Hangup/>"),
        _ => document("<Say>What?</Say>"),
    }
}

/// One person first, then a key, and the queue for whom neither helped.
fn owner(request: &Request) -> Response {
    match (request.page.as_str(), request.get("Digits")) {
        ("start", _) => document(&format!(
            "<Dial timeout='5'><Client>bob</Client></Dial>\
             <Gather action='key' numDigits='1' timeout='2'><Say>1 leads to the others</Say></Gather>{}<Say>Never</Say>",
            request.enqueue("action='left' waitUrl='wait'", "{\"of\":\"bob\"}")
        )),
        ("key", "1") => document(&format!(
            "<Say>The others</Say>{}",
            request.enqueue("action='left' waitUrl='wait'", "{\"of\":\"others\"}")
        )),
        ("key", _) => document("<Say>Your message?</Say><Record timeout='2' maxLength='30' action='recorded'/>"),
        ("wait", _) => document("<Play>music.mp3</Play><Pause length='60'/>"),
        _ => document("<Hangup/>"),
    }
}

/// For a worker's own phone: a key, and then the caller of the reservation, which is the place here.
fn worker(request: &Request) -> Response {
    match (request.page.as_str(), request.get("Digits")) {
        ("start", _) => document("<Gather action=\"pressed\" numDigits=\"1\"><Say>1 takes the call</Say></Gather>"),
        ("pressed", "1") => document(&format!(
            "<Say>One moment</Say><Dial action=\"done\" callerId='+1' timeLimit='600' record='record-from-answer' \
             recordingStatusCallback='told/recording'><Queue reservationSid=\"{}\"/></Dial>",
            request.place
        )),
        _ => document("<Say>Thank you</Say>"),
    }
}
