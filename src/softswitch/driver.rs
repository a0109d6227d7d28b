//! Drives the core: one task owns it, feeds it requests, documents and time, and carries out its actions.
//!
//! The task never waits for the network: documents and callbacks are separate tasks that report back. Callbacks of one
//! lane (a call, a room) are sent one after the other, at most [`LANE_MAX`] waiting. Start with [`run`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::core::{Action, Input, Moment, Refusal, Reply, Request, Switch, Webhook};
use super::sender::Sender;
use crate::clock::Clock;

/// Callbacks that may wait behind a slow receiver before further ones of the same lane are dropped.
const LANE_MAX: usize = 256;
/// Messages that may wait for the core.
pub(super) const MAILBOX: usize = 4_096;

/// What is sent to the task.
#[derive(Debug)]
pub(super) enum Message {
    Ask {
        request: Box<Request>,
        reply: oneshot::Sender<Result<Reply, Refusal>>,
    },
    Input(Input),
    /// A callback of this lane was delivered or given up.
    Delivered {
        lane: String,
        problem: Option<(String, String)>,
    },
}

/// What the task needs from outside.
pub(super) struct Driver {
    pub(super) switch: Switch,
    pub(super) clock: Clock,
    pub(super) sender: Sender,
    pub(super) mailbox: mpsc::Sender<Message>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    lanes: BTreeMap<String, VecDeque<Webhook>>,
    tickets: BTreeMap<u64, oneshot::Sender<Result<Reply, Refusal>>>,
    next_ticket: u64,
}

impl Driver {
    pub(super) fn new(
        switch: Switch,
        clock: Clock,
        sender: Sender,
        mailbox: mpsc::Sender<Message>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            switch,
            clock,
            sender,
            mailbox,
            tasks,
            stop,
            lanes: BTreeMap::new(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
        }
    }

    fn now(&self) -> Moment {
        Moment(self.clock.now().0)
    }

    fn feed(&mut self, input: Input) {
        let now = self.now();
        for action in self.switch.handle(input, now) {
            match action {
                Action::Reply { ticket, result } => {
                    if let Some(reply) = self.tickets.remove(&ticket) {
                        // Err means that the client has gone away.
                        let _ = reply.send(*result);
                    }
                }
                Action::Fetch { id, webhook } => {
                    let (sender, mailbox) = (self.sender.clone(), self.mailbox.clone());
                    self.spawn(async move {
                        let outcome = sender.fetch(&webhook).await;
                        // Err means that the phone system is shutting down.
                        let _ = mailbox.send(Message::Input(Input::Fetched { id, outcome })).await;
                    });
                }
                Action::Notify { lane, webhook } => self.notify(lane, webhook),
            }
        }
    }

    fn notify(&mut self, lane: String, webhook: Webhook) {
        match self.lanes.get_mut(&lane) {
            None => {
                self.lanes.insert(lane.clone(), VecDeque::new());
                self.deliver(lane, webhook);
            }
            Some(waiting) if waiting.len() < LANE_MAX => waiting.push_back(webhook),
            Some(_) => tracing::warn!("a status callback is dropped because its receiver is too slow"),
        }
    }

    fn deliver(&self, lane: String, webhook: Webhook) {
        let (sender, mailbox) = (self.sender.clone(), self.mailbox.clone());
        self.spawn(async move {
            let problem = sender.notify(&webhook).await.err().map(|failure| (webhook.url, failure.message));
            // Err means that the phone system is shutting down.
            let _ = mailbox.send(Message::Delivered { lane, problem }).await;
        });
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Ask { request, reply } => {
                self.next_ticket += 1;
                let ticket = self.next_ticket;
                self.tickets.insert(ticket, reply);
                self.feed(Input::Request { ticket, request });
            }
            Message::Input(input) => self.feed(input),
            Message::Delivered { lane, problem } => {
                if let Some((url, problem)) = problem {
                    tracing::warn!(problem, "a status callback was not delivered");
                    self.feed(Input::Undelivered { url, problem });
                }
                match self.lanes.get_mut(&lane).and_then(VecDeque::pop_front) {
                    Some(next) => self.deliver(lane, next),
                    None => drop(self.lanes.remove(&lane)),
                }
            }
        }
    }
}

/// Runs until `stop` is cancelled.
pub(super) async fn run(mut driver: Driver, mut messages: mpsc::Receiver<Message>) {
    let stop = driver.stop.clone();
    loop {
        let now = driver.now();
        let wait = driver
            .switch
            .next_deadline()
            .map(|at| Duration::from_millis(u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0)));
        tokio::select! {
            () = stop.cancelled() => return,
            message = messages.recv() => match message {
                Some(message) => driver.receive(message),
                None => return,
            },
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => driver.feed(Input::Tick),
        }
    }
}
