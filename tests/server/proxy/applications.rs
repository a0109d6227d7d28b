//! Applications as their makers wrote them: relative and absolute URLs, GET and POST, cookies, empty actions, CDATA.
//!
//! Each path begins with where to enqueue: `plain` for a queue of the phone system's, else the SID of a workflow. Every
//! request is checked for its signature and noted.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use switchhook::signature;

/// What the applications look at; everything else may differ between two calls.
const LOOKED_AT: [&str; 8] =
    ["Digits", "QueueResult", "CallStatus", "From", "Direction", "FinishedOnKey", "ErrorCode", "step"];

/// A request, without where it was enqueued to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) what: String,
}

#[derive(Debug)]
struct Noted {
    call: String,
    asked: Asked,
}

struct Shared {
    /// The tokens that may have signed.
    tokens: Vec<&'static str>,
    base: String,
    noted: Mutex<Vec<Noted>>,
}

/// Where they are, and what they were asked.
pub(super) struct Applications(Arc<Shared>);

impl Applications {
    pub(super) async fn start(tokens: &[&'static str]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { tokens: tokens.to_vec(), base, noted: Mutex::default() });
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

    pub(super) fn asked(&self, call: &str) -> Vec<Asked> {
        let noted = self.0.noted.lock().unwrap();
        noted.iter().filter(|noted| noted.call == call).map(|noted| noted.asked.clone()).collect()
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
    let is_signed = shared.tokens.iter().any(|token| signature::verify_form(token, &url, &form, &signed));
    let request = Request { page, pairs, cookie: given("cookie"), place };
    let looked_at: Vec<String> = LOOKED_AT
        .iter()
        .filter(|name| !request.get(name).is_empty())
        .map(|name| format!("{name}={}", request.get(name)))
        .collect();
    let what = format!(
        "{method} {application}/{} {} cookie={:?} signed={is_signed}",
        request.page,
        looked_at.join("&"),
        request.cookie
    );
    shared.noted.lock().unwrap().push(Noted { call: request.get("CallSid").to_owned(), asked: Asked { what } });
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
        ("choice", "1") => document(
            &request.enqueue("action=\"left\" waitUrl=\"wait\" waitUrlMethod=\"GET\"", "{\"skill\":\"sales\"}"),
        ),
        ("choice", _) => document("<Redirect method=\"POST\">start</Redirect>"),
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
        ("record", _) => document("<Pause length=\"2\"/><Say>Thank you</Say><Hangup/>"),
        _ => document("<Reject/>"),
    }
}

/// The language is chosen once and kept in a cookie.
fn language(request: &Request) -> Response {
    let page = match (request.page.as_str(), request.cookie.as_str()) {
        ("start", "") => {
            "<Gather input='dtmf' action='/PLACE/language/chosen' numDigits='1'><Say language='de'>Für Deutsch die 2</Say></Gather>"
        }
        ("chosen", "") if request.get("Digits") == "2" => {
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

/// For a worker's own phone: a key, and then the caller of the reservation, which is the place here.
fn worker(request: &Request) -> Response {
    match (request.page.as_str(), request.get("Digits")) {
        ("start", _) => document("<Gather action=\"pressed\" numDigits=\"1\"><Say>1 takes the call</Say></Gather>"),
        ("pressed", "1") => document(&format!(
            "<Say>One moment</Say><Dial action=\"done\"><Queue reservationSid=\"{}\"/></Dial>",
            request.place
        )),
        _ => document("<Say>Thank you</Say>"),
    }
}
