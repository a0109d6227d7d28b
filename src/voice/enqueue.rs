//! A call comes in to be enqueued: by redirect with parameters (mode B) or with a TwiML document (mode C) of
//! `spec/voice.md` 0.1.
//!
//! Whatever is wrong with the request, the caller is not lost: the task is made from what can be read, or the
//! application's `action`, the verbs after `<Enqueue>`, or an announcement follow. Must not make the task itself: the
//! engine does, and gives the same task to a repeated webhook of the same call. Start with [`enqueue`].

use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::{Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::alerts::{
    CANNOT_CREATE_TASK, Complaint, DOCUMENT_PARSE_FAILURE, INVALID_ACTION, INVALID_ATTRIBUTES, INVALID_METHOD,
    INVALID_WAIT_METHOD, INVALID_WAIT_URL, INVALID_WORKFLOW, QUEUE_FULL, SCHEMA_WARNING,
};
use super::application::{Question, with_query};
use super::arrivals::Arrival;
use super::attributes;
use super::document::Document;
use super::enqueue_document::EnqueueDocument;
use super::ours::ON_BEHALF;
use super::owner::Unheard;
use super::proxy::REST_MAX;
use super::request::{self, Sender, Webhook};
use super::rounds::{ROUND, next_round};
use super::walk::Problem;
use super::{State, twiml};
use crate::calls::{Input, Park, QueueResult};
use crate::engine;
use crate::routing::{Refusal, Reply as Made, WorkflowSid, WorkspaceSid};

/// Parameter of our own URL: the verbs after `<Enqueue>` of a call that goes round.
pub(super) const AFTER: &str = "After";
/// Parameter of our own URL: how many documents came before, so that they end some day.
pub(super) const DOCUMENTS: &str = "Documents";
/// Path at which a call that goes round comes back.
const ROUND_PATH: &str = "/voice/enqueue";
/// Parameters of a URL that speaks for an account.
const OF_VOUCHED: [&str; 2] = ["account", "mac"];
/// Longest URL that a call is sent to, in bytes: Twilio takes no more than 4,000 characters elsewhere.
const URL_MAX: usize = 4_000;
/// Longest time to live of a task, in seconds.
const TIMEOUT_LIMIT_SECS: u32 = 1_209_600;

/// `/voice/enqueue`: the workflow is in the document or in a parameter.
pub(super) async fn without_workflow(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    enqueue(&state, None, request).await
}

/// `/voice/enqueue/{WW}`
pub(super) async fn with_workflow(
    Shared(state): Shared<Arc<State>>,
    Path(workflow): Path<String>,
    request: Request,
) -> Response {
    enqueue(&state, Some(workflow), request).await
}

async fn enqueue(state: &State, workflow: Option<String>, request: Request) -> Response {
    let webhook = match request::read(state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    let webhook = match state.of_round(webhook, workflow.is_some()).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    let named = workflow.or_else(|| webhook.get("WorkflowSid").map(ToOwned::to_owned));
    let text = webhook.xml.as_deref().or_else(|| webhook.get("Twiml"));
    let verb = match text.map_or_else(|| Ok(of_parameters(&webhook)), EnqueueDocument::parse) {
        // A queue of the phone system's (R6).
        Ok(EnqueueDocument { is_plain: true, .. }) if named.is_none() => {
            return state.serve_posted(&webhook, text.unwrap_or_default()).await;
        }
        Ok(verb) => verb,
        Err(problem) => {
            state.complain(webhook.sender, Complaint::new(problem.code(), problem.to_string())).await;
            match (problem, text) {
                // The application wants no queue for this caller; its document is what the call goes on with.
                (Problem::NoEnqueue, Some(document)) => return state.serve_posted(&webhook, document).await,
                (_, _) if named.is_some() => of_parameters(&webhook),
                (_, _) => return state.answer(&Document::Error),
            }
        }
    };
    let workflow = verb.workflow.clone().or(named);
    let documents = webhook.number(DOCUMENTS).unwrap_or_default();
    let wish = Wish { webhook, verb, workflow, workspace: None, park: Park::default(), documents, entry_url: None };
    carry_out(state, wish).await
}

/// Carries out the `<Enqueue workflowSid>` of a document that is served to a call; `documents` came before it.
pub(super) async fn document(state: &State, webhook: &Webhook, text: &str, documents: u32) -> Response {
    of_document(state, webhook, text, documents, None).await
}

/// Carries out the document of an entry point, for which there is little time: a call that cannot be taken within it comes
/// back to `entry_url`.
pub(super) async fn entry(state: &State, webhook: &Webhook, text: &str, entry_url: &str) -> Response {
    of_document(state, webhook, text, 0, Some(entry_url.to_owned())).await
}

async fn of_document(
    state: &State,
    webhook: &Webhook,
    text: &str,
    documents: u32,
    entry_url: Option<String>,
) -> Response {
    let verb = match EnqueueDocument::parse(text) {
        Ok(verb) => verb,
        Err(problem) => {
            state.complain(webhook.sender, Complaint::new(problem.code(), problem.to_string())).await;
            return twiml(text.to_owned());
        }
    };
    let (webhook, workflow) = (webhook.clone(), verb.workflow.clone());
    carry_out(state, Wish { webhook, verb, workflow, workspace: None, park: Park::default(), documents, entry_url })
        .await
}

async fn carry_out(state: &State, mut wish: Wish) -> Response {
    wish.park = state.park_of(&wish).await;
    if let Some(url) = state.comes_later(&wish) {
        return state.answer(&Document::VerbsFirst { verbs: &wish.verb.before, url: &url });
    }
    let made = Box::pin(state.make_task(&mut wish)).await;
    match made {
        Ok(parked) => parked,
        Err(Obstacle::Over) => state.answer(&Document::Empty),
        Err(Obstacle::Busy) => Box::pin(state.send_round(&wish)).await,
        Err(Obstacle::Wrong(code, message)) => {
            let mut complaint = Complaint::new(code, message);
            complaint.workspace = wish.workspace;
            state.complain(wish.webhook.sender, complaint).await;
            let result = if code == QUEUE_FULL { QueueResult::QueueFull } else { QueueResult::Error };
            Box::pin(state.turn_away(&wish, result)).await
        }
    }
}

/// What a webhook wants.
#[derive(Debug)]
struct Wish {
    webhook: Webhook,
    verb: EnqueueDocument,
    workflow: Option<String>,
    workspace: Option<WorkspaceSid>,
    park: Park,
    /// Documents that came before this one in the same answer.
    documents: u32,
    /// The entry point that it came in at.
    entry_url: Option<String>,
}

/// Why a call is not parked.
#[derive(Debug)]
enum Obstacle {
    /// The call has ended already.
    Over,
    /// The engine cannot take it now.
    Busy,
    /// Something is wrong, under Twilio's code.
    Wrong(u32, String),
}

/// Mode B: what `<Enqueue>` would say, as parameters.
fn of_parameters(webhook: &Webhook) -> EnqueueDocument {
    let given = |name: &str| webhook.get(name).map(ToOwned::to_owned);
    let set = |name: &str| given(name).filter(|value| !value.is_empty());
    EnqueueDocument {
        workflow: None,
        is_plain: false,
        unknown: Vec::new(),
        action: set("Action"),
        method: set("ActionMethod"),
        wait_url: given("WaitUrl"),
        wait_method: set("WaitMethod"),
        attributes: given("Task").unwrap_or_default(),
        priority: set("Priority"),
        timeout: set("Timeout"),
        before: String::new(),
        may_not_come: false,
        after: set(AFTER),
    }
}

/// The whole number that an attribute should be.
fn whole<N: std::str::FromStr + PartialOrd>(
    text: Option<&str>,
    range: &RangeInclusive<N>,
) -> Result<Option<N>, String> {
    let Some(text) = text else { return Ok(None) };
    match text.trim().parse() {
        Ok(number) if range.contains(&number) => Ok(Some(number)),
        _ => Err(text.chars().take(40).collect()),
    }
}

fn is_absolute(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

fn is_method(text: &str) -> bool {
    ["GET", "POST"].iter().any(|method| text.trim().eq_ignore_ascii_case(method))
}

impl State {
    /// What is kept with the task; a URL that is not absolute cannot be asked for and is left out.
    async fn park_of(&self, wish: &Wish) -> Park {
        let verb = &wish.verb;
        let mut park = Park {
            action: verb.action.clone().filter(|url| !url.is_empty()),
            action_method: verb.method.clone(),
            wait_url: verb.wait_url.clone(),
            wait_method: verb.wait_method.clone(),
            after_enqueue: verb.after.clone(),
        };
        let wrong = |name: &str| format!("expected an absolute http or https URL as {name} of Enqueue");
        if park.action.take_if(|url| !is_absolute(url)).is_some() {
            self.complain(wish.webhook.sender, Complaint::new(INVALID_ACTION, wrong("action"))).await;
        }
        if park.wait_url.take_if(|url| !url.is_empty() && !is_absolute(url)).is_some() {
            self.complain(wish.webhook.sender, Complaint::new(INVALID_WAIT_URL, wrong("waitUrl"))).await;
        }
        let methods = [
            (INVALID_METHOD, "method", &mut park.action_method),
            (INVALID_WAIT_METHOD, "waitUrlMethod", &mut park.wait_method),
        ];
        for (code, name, given) in methods {
            if given.take_if(|method| !is_method(method)).is_some() {
                let message = format!("expected GET or POST as {name} of Enqueue; it is asked by POST");
                self.complain(wish.webhook.sender, Complaint::new(code, message)).await;
            }
        }
        if !verb.unknown.is_empty() {
            let message = format!("ignored within Enqueue: {}", verb.unknown.join(", "));
            self.complain(wish.webhook.sender, Complaint::new(SCHEMA_WARNING, message)).await;
        }
        park
    }

    async fn make_task(&self, wish: &mut Wish) -> Result<Response, Obstacle> {
        if wish.webhook.call_ended() {
            return Err(Obstacle::Over);
        }
        let Some(call) = wish.webhook.call() else {
            let message = "expected a CallSid of 1 to 128 bytes";
            return Err(Obstacle::Wrong(DOCUMENT_PARSE_FAILURE, message.to_owned()));
        };
        let named = wish.workflow.clone().unwrap_or_default();
        let unknown = || Obstacle::Wrong(INVALID_WORKFLOW, "workflowSid does not name a workflow".to_owned());
        let workflow: WorkflowSid = named.parse().map_err(|_| unknown())?;
        let workspace = match self.read(self.known_workflows.workspace_of(&self.store, workflow)).await {
            Ok(found) => found.ok_or_else(unknown)?,
            Err(error) => {
                tracing::error!(workflow.sid = %workflow, %error, "cannot look up the workspace of a workflow");
                return Err(Obstacle::Busy);
            }
        };
        if !self.may_touch(wish.webhook.sender, workspace).await {
            return Err(unknown());
        }
        wish.workspace = Some(workspace);
        let extra = &self.extra_call_attributes;
        let attributes = attributes::merged(|name| wish.webhook.get(name), extra, &wish.verb.attributes)
            .map_err(|error| Obstacle::Wrong(INVALID_ATTRIBUTES, error.to_string()))?;
        let priority = whole(wish.verb.priority.as_deref(), &(0..=i32::MAX));
        let timeout_secs = whole(wish.verb.timeout.as_deref(), &(1..=TIMEOUT_LIMIT_SECS));
        let wrong = [("priority", priority.as_ref().err()), ("timeout", timeout_secs.as_ref().err())];
        for (name, given) in wrong.into_iter().filter_map(|(name, given)| Some((name, given?))) {
            let message = format!("{name} of Task is ignored: expected a whole number in its range, found {given:?}");
            self.complain(wish.webhook.sender, Complaint::new(SCHEMA_WARNING, message).in_workspace(workspace)).await;
        }
        let request = engine::Request::EnqueueCall {
            workflow,
            call: call.clone(),
            from: wish.webhook.text("From").to_owned(),
            to: wish.webhook.text("To").to_owned(),
            attributes,
            priority: priority.unwrap_or_default(),
            timeout_secs: timeout_secs.unwrap_or_default(),
            park: wish.park.clone(),
        };
        if self.arrivals.begin(&call, wish.webhook.sender, workspace, self.clock.now()) == Arrival::Over {
            return Err(Obstacle::Over);
        }
        // The task of a call is made once, however often it is asked for.
        let made = match self.tell_workspace(workspace, request).await {
            Ok(Made::Task(task)) => Ok(self.park(task, &workflow.to_string(), &wish.verb.before)),
            Ok(_) => Err(Obstacle::Wrong(CANNOT_CREATE_TASK, "expected a task from the workspace".to_owned())),
            Err(error) => Err(obstacle_of(&error)),
        };
        if !matches!(made, Err(Obstacle::Busy)) {
            self.arrivals.end(&call);
        }
        made
    }

    /// A call that goes round speaks for whom it spoke; the error is the answer.
    async fn of_round(&self, webhook: Webhook, names_workflow: bool) -> Result<Webhook, Response> {
        // Without a mark of ours these parameters are the application's.
        let is_marked = OF_VOUCHED.iter().all(|name| webhook.of_query(name).is_some());
        if names_workflow || !is_marked {
            return Ok(webhook);
        }
        match self.vouched_for(&webhook, ROUND_PATH).await {
            Ok(spoken) => Ok(spoken.without(&OF_VOUCHED)),
            Err(Unheard::Forged) => Err(StatusCode::FORBIDDEN.into_response()),
            Err(Unheard::Unreadable) => Err(self.come_again_for_a_while(&webhook)),
        }
    }

    /// The caller hears what comes before `<Enqueue>`, waits a moment and comes back, as mode B.
    async fn send_round(&self, wish: &Wish) -> Response {
        let Some(round) = next_round(&wish.webhook) else {
            self.give_up(wish).await;
            return self.turn_away(wish, QueueResult::Error).await;
        };
        if let Some(url) = &wish.entry_url {
            let mut pairs = vec![(ROUND.to_owned(), round.to_string())];
            pairs.extend(on_behalf_of(&wish.webhook).map(|account| (ON_BEHALF.to_owned(), account)));
            return self.answer(&Document::Busy { verbs_before: "", url: &with_query(url, &pairs) });
        }
        let url = self.again_url_of(wish, Some(round));
        self.answer(&Document::Busy { verbs_before: &wish.verb.before, url: &url })
    }

    /// Where the call comes again after the verbs that stand before `<Enqueue>`: they may lead it elsewhere, and nobody is to
    /// be offered a caller who is still in the midst of them. What does not fit in a URL is made at once, and so is what was
    /// posted to be taken in, unless its verbs may lead elsewhere.
    fn comes_later(&self, wish: &Wish) -> Option<String> {
        let Wish { webhook, verb, .. } = wish;
        let is_posted = wish.documents == 0 && wish.entry_url.is_none();
        if verb.before.is_empty() || (is_posted && !verb.may_not_come) || webhook.call_ended() {
            return None;
        }
        webhook.call()?;
        let is_carried = verb.after.as_ref().is_none_or(|after| after.len() <= REST_MAX);
        Some(self.again_url_of(wish, None)).filter(|url| is_carried && url.len() <= URL_MAX)
    }

    /// The URL at which the call comes again for the same `<Enqueue>`, as mode B.
    fn again_url_of(&self, wish: &Wish, round: Option<u32>) -> String {
        let workflow = wish.workflow.clone().unwrap_or_default();
        let on_behalf = on_behalf_of(&wish.webhook);
        let documents = Some(wish.documents).filter(|count| *count > 0).map(|count| count.to_string());
        let parameters = [
            ("WorkflowSid", Some(workflow.as_str())),
            ("Task", Some(wish.verb.attributes.as_str())),
            ("Priority", wish.verb.priority.as_deref()),
            ("Timeout", wish.verb.timeout.as_deref()),
            ("Action", wish.park.action.as_deref()),
            ("ActionMethod", wish.park.action_method.as_deref()),
            ("WaitUrl", wish.park.wait_url.as_deref()),
            ("WaitMethod", wish.park.wait_method.as_deref()),
            (AFTER, wish.park.after_enqueue.as_deref().filter(|after| after.len() <= REST_MAX)),
            (ON_BEHALF, on_behalf.as_deref()),
            (DOCUMENTS, documents.as_deref()),
        ];
        let pairs: Vec<(String, String)> =
            parameters.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
        let url = match wish.webhook.bound_to() {
            Some(owner) => self.vouched(owner, ROUND_PATH, pairs),
            None => with_query(&self.url(ROUND_PATH), &pairs),
        };
        // Behind the mark, because another round counts on.
        let round = round.map(|round| (ROUND.to_owned(), round.to_string()));
        with_query(&url, round.as_slice())
    }

    /// The call goes on without a task: one that is made all the same must not have a worker called.
    async fn give_up(&self, wish: &Wish) {
        let mut complaint = Complaint::new(CANNOT_CREATE_TASK, "the workspace did not take the call in time");
        complaint.workspace = wish.workspace;
        self.complain(wish.webhook.sender, complaint).await;
        let (Some(call), Some(workspace)) = (wish.webhook.call(), wish.workspace) else { return };
        let input = Input::Left { result: QueueResult::Error, call_ended: false, queue_time_secs: None };
        if let Err(error) = self.tell_workspace(workspace, engine::Request::Caller { call, input }).await {
            tracing::warn!(workspace.sid = %workspace, %error, "it takes long to record that a call was turned away");
        }
    }

    /// The caller goes on without a task: `action` with that `QueueResult`, else the verbs after `<Enqueue>`.
    async fn turn_away(&self, wish: &Wish, result: QueueResult) -> Response {
        if let Some(action) = &wish.park.action {
            let question = Question {
                url: action,
                method: wish.park.action_method.as_deref().unwrap_or("POST"),
                webhook: &wish.webhook,
                extra: vec![("QueueResult".to_owned(), result.as_str().to_owned())],
                workspace: wish.workspace,
            };
            match self.ask(&question).await {
                Ok(reply) => return self.relay(&question, reply, wish.documents).await,
                Err(failure) => {
                    let mut complaint = Complaint::new(failure.code(), format!("action of Enqueue: {failure}"));
                    complaint.workspace = wish.workspace;
                    self.complain(wish.webhook.sender, complaint).await;
                }
            }
        }
        match wish.verb.after.as_deref() {
            Some(after) => self.serve_verbs(&wish.webhook, wish.workspace, after, wish.documents).await,
            None => self.answer(&Document::Unavailable),
        }
    }
}

/// The account whose word a webhook is, for a URL of ours: without it the call comes back as the phone system's.
fn on_behalf_of(webhook: &Webhook) -> Option<String> {
    match webhook.sender {
        Sender::Account(account) => Some(account.to_string()),
        Sender::PhoneSystem => None,
    }
}

fn obstacle_of(error: &engine::Error) -> Obstacle {
    let code = match error {
        engine::Error::Overloaded | engine::Error::Unavailable => return Obstacle::Busy,
        engine::Error::NoSuchWorkspace
        | engine::Error::Refused(Refusal::NotFound | Refusal::UnknownReference { .. }) => INVALID_WORKFLOW,
        engine::Error::Refused(Refusal::Invalid { parameter: "Attributes", .. }) => INVALID_ATTRIBUTES,
        engine::Error::Refused(Refusal::VoiceQueueFull { .. }) => QUEUE_FULL,
        engine::Error::Refused(_) => CANNOT_CREATE_TASK,
    };
    Obstacle::Wrong(code, error.to_string())
}
