//! Turns what the calls core says a leg runs next into a document.
//!
//! Must not decide which document it is. Start with [`State::go_on`].

use axum::response::Response;

use super::alerts::Complaint;
use super::application::{Question, Reply, with_query};
use super::document::{Document, Room, Voicemail};
use super::owner::Owner;
use super::request::{RELEASED, Webhook};
use super::{State, twiml};
use crate::calls::{NextDocument, Role, RoomSettings, VoiceTask};
use crate::routing::command::ReservationParent;
use crate::routing::{ReservationSid, TaskSid, TaskStatus, WorkspaceSid};

/// Of whom a document speaks.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) webhook: &'a Webhook,
    pub(super) workspace: WorkspaceSid,
    pub(super) record: &'a VoiceTask,
}

impl State {
    /// Answers with the document that the leg runs next.
    pub(super) async fn go_on(&self, next: NextDocument, context: &Context<'_>) -> Response {
        let task = context.record.task;
        match next {
            // What the caller hears before is asked for once: by the document that the caller was sent to.
            NextDocument::JoinRoom if context.record.whisper().is_some() => {
                self.answer(&Document::Redirect { url: &self.url(&format!("/voice/tasks/{task}/join/customer")) })
            }
            NextDocument::JoinRoom => match context.record.caller_dials() {
                Some((reservation, dials)) => twiml(self.documents().caller_dials(task, reservation, dials)),
                None => self.join_customer(task, &context.record.customer_room(), ""),
            },
            NextDocument::Wait => {
                // The queue is only a parking place: without a workflow any stable name will do.
                let queue = self.workflow_of(context).await.unwrap_or_else(|| context.workspace.to_string());
                self.park(task, &queue, "")
            }
            NextDocument::Redirect(url) => {
                let account = self.read(self.store.account_of_workspace(context.workspace)).await.ok().flatten();
                // A call whose account cannot be read now is redirected all the same: this answer is the spare one.
                let Some(account) = account else { return self.answer(&Document::Empty) };
                let pairs = [("target".to_owned(), url), ("account".to_owned(), account.to_string())];
                self.answer(&Document::Redirect { url: &with_query(&self.url("/voice/proxy"), &pairs) })
            }
            NextDocument::AfterEnqueue(after) => {
                self.serve_verbs(context.webhook, Some(context.workspace), &after, 0).await
            }
            NextDocument::Message => {
                let outlook = self.outlook(context.workspace, task).await;
                self.answer(&Document::Voicemail(Voicemail {
                    language: self.language(outlook.as_ref()).as_deref(),
                    text: None,
                    max_secs: self.wait.voicemail_secs,
                    done_url: &self.url(&format!("/voice/tasks/{task}/recorded")),
                    callback_url: &self.url(&format!("/voice/cb/recording/{task}")),
                }))
            }
            NextDocument::Unavailable => self.answer(&Document::Unavailable),
            NextDocument::Empty => self.answer(&Document::Empty),
            NextDocument::Release => self.answer(&Document::Redirect { url: &self.release_url(task) }),
            NextDocument::Application { url, method, result, cancel_reason, answer_used } => {
                let mut extra = self.facts(context).await;
                extra.push(("QueueResult".to_owned(), result.as_str().to_owned()));
                let cancel_reason = match cancel_reason {
                    Some(reason) => Some(reason),
                    None => self.cancel_reason_of(context).await,
                };
                extra.extend(cancel_reason.map(|reason| ("TaskCancelReason".to_owned(), reason)));
                let (webhook, workspace) = (context.webhook, Some(context.workspace));
                let question = Question { url: &url, method: &method, webhook, extra, workspace };
                let reply = self.actions.once(task, self.ask_action(context, &question)).await;
                match (reply, context.record.park.after_enqueue.as_deref()) {
                    _ if !answer_used => self.answer(&Document::Empty),
                    (Some(reply), _) => self.relay(&question, reply, 0).await,
                    (None, Some(after)) => self.serve_verbs(webhook, workspace, after, 0).await,
                    (None, None) => self.answer(&Document::Unavailable),
                }
            }
        }
    }

    /// The application's answer; a failure leaves an alert.
    async fn ask_action(&self, context: &Context<'_>, question: &Question<'_>) -> Option<Reply> {
        match self.ask(question).await {
            Ok(reply) => Some(reply),
            Err(failure) => {
                let complaint = Complaint::new(failure.code(), format!("action of Enqueue: {failure}"))
                    .in_workspace(context.workspace)
                    .about_task(context.record.task);
                self.complain(context.webhook.sender, complaint).await;
                None
            }
        }
    }

    /// Where a released caller goes on; the phone system is redirected there too.
    fn release_url(&self, task: TaskSid) -> String {
        self.url(&format!("/voice/tasks/{task}/left?{RELEASED}=1"))
    }

    /// What we know of the task, for the application.
    pub(super) async fn facts(&self, context: &Context<'_>) -> Vec<(String, String)> {
        let record = context.record;
        let accepted = record.legs.iter().find(|leg| leg.accepted).and_then(|leg| leg.reservation);
        let worker = match accepted {
            Some(reservation) => self.worker_of(context, reservation).await,
            None => None,
        };
        // The document of a caller who was let go may be asked for before the queue tells how long it was.
        let waits = (record.wait_seen && accepted.is_none()).then(|| self.clock.now().secs_since(record.created));
        let queue_time = record.queue_time_secs.map(i64::from).or(waits);
        let facts = [
            ("TaskSid", Some(record.task.to_string())),
            ("WorkflowSid", self.workflow_of(context).await),
            ("QueueSid", record.queue_sid.clone()),
            ("QueueTime", queue_time.map(|secs| secs.to_string())),
            ("WorkerSid", worker),
            ("ReservationSid", accepted.map(|reservation| reservation.to_string())),
            ("ConferenceSid", record.conference.clone()),
        ];
        facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// The workflow of the task; `None` too when it cannot be read, which is no reason to keep a caller waiting.
    async fn workflow_of(&self, context: &Context<'_>) -> Option<String> {
        self.read(self.store.task(context.workspace, context.record.task)).await.ok()??.workflow_sid
    }

    /// The worker of a reservation; `None` too when it cannot be read, as above.
    async fn worker_of(&self, context: &Context<'_>, reservation: ReservationSid) -> Option<String> {
        let of_task = ReservationParent::Task(context.record.task);
        let found = self.read(self.store.reservation(context.workspace, of_task, reservation)).await;
        Some(found.ok()??.worker_sid)
    }

    /// Why the task was canceled, by whoever did it without this call: a timeout, or a request.
    async fn cancel_reason_of(&self, context: &Context<'_>) -> Option<String> {
        let task = self.read(self.store.task(context.workspace, context.record.task)).await.ok()??;
        task.reason.filter(|_| task.status == TaskStatus::Canceled.as_str())
    }

    /// The customer's join document.
    pub(super) fn join_customer(&self, task: TaskSid, settings: &RoomSettings, verbs_before: &str) -> Response {
        twiml(self.documents().customer_joins(task, settings, verbs_before))
    }

    /// The join document of a worker who called us; `onward` tells `room-left` of whom and how the call goes on, and
    /// `speaker` who says so.
    pub(super) fn join_worker(
        &self,
        task: TaskSid,
        onward: Vec<(String, String)>,
        speaker: Option<&Owner>,
        dial_attributes: &str,
        settings: &RoomSettings,
    ) -> Response {
        let left = room_left_by_worker(task);
        let left = match speaker {
            Some(owner) => self.vouched(owner, &left, onward),
            None => with_query(&self.url(&left), &onward),
        };
        let room = self.documents().room(task, settings, &left, "");
        self.answer(&Document::JoinWorker(Room { dial_attributes, ..room.as_room() }))
    }

    /// The join document of a leg that we called; `room-left` is told of a worker by its label, the reservation.
    pub(super) fn join_called(&self, task: TaskSid, role: Role, settings: &RoomSettings) -> Response {
        let left = self.url(&format!("/voice/tasks/{task}/room-left/{}", role.as_str()));
        let worker = (role == Role::Worker).then(|| ("Reservation".to_owned(), settings.label.clone()));
        let left = with_query(&left, worker.as_slice());
        self.answer(&Document::JoinWorker(self.documents().room(task, settings, &left, "").as_room()))
    }
}

/// Path of the URL that a worker who called us goes on at, after the room.
pub(super) fn room_left_by_worker(task: TaskSid) -> String {
    format!("/voice/tasks/{task}/room-left/{}", Role::Worker.as_str())
}
