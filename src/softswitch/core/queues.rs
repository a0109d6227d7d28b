//! Queues: `<Enqueue>`, the wait, the ways out of it, and the Queues API.
//!
//! Start with [`Switch::enqueue`].

use std::collections::VecDeque;
use std::sync::Arc;

use super::request::{Listed, Page, Refusal, Reply};
use super::state::{
    BackgroundKind, CallId, DialPhase, MemberRecord, Moment, Place, Queue, QueueId, QueueRecord, Slot, Source,
    TimerKind,
};
use super::webhooks::{Parameter, parameter};
use super::{QUEUES_MAX, Switch};
use crate::softswitch::twiml::{DialTo, Enqueue, Target};

/// Calls that fit into a queue made over REST unless it says otherwise (Twilio: Queue resource, `MaxSize`).
pub(crate) const SIZE_DEFAULT: usize = 1_000;
/// The most that a queue may say.
pub(crate) const SIZE_MAX: usize = 5_000;

impl Switch {
    /// The call begins to wait; the queue is made on first use.
    pub(super) fn enqueue(&mut self, id: CallId, enqueue: &Arc<Enqueue>) {
        let refused = match self
            .queue_named(&enqueue.name)
            .map_or_else(|| self.add_queue(&enqueue.name, self.settings.queue_size), Ok)
        {
            Ok(queue) => self.enter_queue(id, queue, enqueue),
            Err(_) => Some("system-error"),
        };
        if let Some(result) = refused {
            self.note("queue.refused", Some(id), None, result);
            self.after_queue(id, enqueue, vec![parameter("QueueResult", result)]);
        }
    }

    fn enter_queue(&mut self, id: CallId, queue_id: QueueId, enqueue: &Arc<Enqueue>) -> Option<&'static str> {
        let now = self.now;
        let queue = self.queues.get_mut(&queue_id)?;
        if queue.members.len() >= queue.size_max {
            return Some("queue-full");
        }
        queue.members.push_back((id, now));
        let taker = queue.takers.pop_front();
        let name = queue.name.clone();
        if let Some(call) = self.calls.get_mut(&id) {
            call.place = Place::Queue { queue: queue_id, since: now, enqueue: Arc::clone(enqueue) };
        }
        self.note("queue.entered", Some(id), None, name);
        match taker {
            Some(taker) => self.take_head(queue_id, taker),
            None => self.begin_background(id, BackgroundKind::QueueWait, enqueue.wait.clone()),
        }
        None
    }

    /// What the wait document is told (Twilio: `<Enqueue>`, waitUrl parameters).
    pub(super) fn wait_parameters(&self, id: CallId) -> Vec<Parameter> {
        let Some(Place::Queue { queue, since, .. }) = self.calls.get(&id).map(|call| &call.place) else {
            return Vec::new();
        };
        let Some(queue) = self.queues.get(queue) else { return Vec::new() };
        let position = queue.members.iter().position(|(member, _)| *member == id).map_or(0, |index| index + 1);
        vec![
            parameter("QueueSid", &queue.sid),
            parameter("QueuePosition", position.to_string()),
            parameter("QueueTime", self.now.secs_since(*since).to_string()),
            parameter("AvgQueueTime", self.average_wait(queue).to_string()),
            parameter("CurrentQueueSize", queue.members.len().to_string()),
            parameter("MaxQueueSize", queue.size_max.to_string()),
        ]
    }

    fn average_wait(&self, queue: &Queue) -> i64 {
        let total: i64 = queue.members.iter().map(|(_, since)| self.now.secs_since(*since)).sum();
        i64::try_from(queue.members.len()).ok().filter(|count| *count > 0).map_or(0, |count| total / count)
    }

    /// Takes a call out of the queue's line; returns what its action is told.
    pub(super) fn leave_queue(&mut self, id: CallId, queue: QueueId, since: Moment, result: &str) -> Vec<Parameter> {
        let waited = self.now.secs_since(since);
        let mut extra = vec![parameter("QueueResult", result)];
        if let Some(queue) = self.queues.get_mut(&queue) {
            queue.members.retain(|(member, _)| *member != id);
            extra.push(parameter("QueueSid", &queue.sid));
        }
        extra.push(parameter("QueueTime", waited.to_string()));
        self.end_background(id);
        self.note("queue.left", Some(id), None, result);
        extra
    }

    /// A waiting call leaves and goes on at the action or the next verb.
    pub(super) fn leave_queue_live(&mut self, id: CallId, result: &str) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if !matches!(call.place, Place::Queue { .. }) {
            return;
        }
        let Place::Queue { queue, since, enqueue } = std::mem::take(&mut call.place) else { return };
        let extra = self.leave_queue(id, queue, since, result);
        self.after_queue(id, &enqueue, extra);
    }

    fn after_queue(&mut self, id: CallId, enqueue: &Enqueue, extra: Vec<Parameter>) {
        match &enqueue.action {
            Some(action) => self.fetch(id, Slot::Main, action, extra),
            None => self.ready.push_back(id),
        }
    }

    /// A leg in `<Dial><Queue>` takes the head of the queue, or waits for one to come.
    pub(super) fn add_taker(&mut self, queue_id: QueueId, taker: CallId) {
        let Some(queue) = self.queues.get_mut(&queue_id) else { return };
        if queue.members.is_empty() {
            queue.takers.push_back(taker);
        } else {
            self.take_head(queue_id, taker);
        }
    }

    pub(super) fn remove_taker(&mut self, queue: QueueId, taker: CallId) {
        if let Some(queue) = self.queues.get_mut(&queue) {
            queue.takers.retain(|other| *other != taker);
        }
    }

    fn take_head(&mut self, line: QueueId, taker: CallId) {
        let Some(queue) = self.queues.get_mut(&line) else { return };
        let Some((head, since)) = queue.members.pop_front() else { return };
        let queue_sid = queue.sid.clone();
        let waited_secs = self.now.secs_since(since);
        self.end_background(head);
        if let Some(call) = self.calls.get_mut(&head)
            && let Place::Queue { enqueue, .. } = std::mem::take(&mut call.place)
        {
            call.place = Place::Taken { by: taker, queue_sid, waited_secs, enqueue };
        }
        self.note("queue.left", Some(head), None, "bridged");
        let whisper = self.whisper_of(taker);
        if whisper.is_none() {
            return self.connect(taker, head);
        }
        // The timeout is for somebody to come.
        self.disarm(taker, TimerKind::Dial);
        if let Some(phase) = self.dial_phase(taker) {
            *phase = DialPhase::Preparing { queue: line, head };
        }
        self.begin_background(head, BackgroundKind::Whisper, whisper);
    }

    /// What a waiting call hears before `taker` is connected with it.
    fn whisper_of(&self, taker: CallId) -> Option<Target> {
        let Some(Place::Dial { dial, .. }) = self.calls.get(&taker).map(|call| &call.place) else { return None };
        match &dial.to {
            DialTo::Queue { whisper, .. } => whisper.clone(),
            _ => None,
        }
    }

    /// What the whisper document is told (Twilio: `<Queue>`, url; the parameter's spelling is Twilio's).
    pub(super) fn whisper_parameters(&self, id: CallId) -> Vec<Parameter> {
        let Some(Place::Taken { by, queue_sid, waited_secs, .. }) = self.calls.get(&id).map(|call| &call.place) else {
            return Vec::new();
        };
        let by = self.calls.get(by).map(|call| call.record.sid.clone()).unwrap_or_default();
        vec![
            parameter("QueueSid", queue_sid),
            parameter("QueueTime", waited_secs.to_string()),
            parameter("DequeingCallSid", by),
        ]
    }

    /// The whisper document is over: both are connected.
    pub(super) fn whispered(&mut self, head: CallId) {
        self.end_background(head);
        if let Some(&Place::Taken { by, .. }) = self.calls.get(&head).map(|call| &call.place) {
            self.connect(by, head);
        }
    }

    /// The bridge of a call that was taken out of a queue is over (Twilio: the action is requested then).
    pub(super) fn after_taken(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Place::Taken { queue_sid, waited_secs, enqueue, .. } = std::mem::take(&mut call.place) else { return };
        let extra = vec![
            parameter("QueueResult", "bridged"),
            parameter("QueueSid", queue_sid),
            parameter("QueueTime", waited_secs.to_string()),
        ];
        self.after_queue(id, &enqueue, extra);
    }

    pub(super) fn queue_named(&self, name: &str) -> Option<QueueId> {
        self.queues.iter().find(|(_, queue)| queue.name == name).map(|(id, _)| *id)
    }

    fn add_queue(&mut self, name: &str, size_max: usize) -> Result<QueueId, Refusal> {
        if self.queues.len() >= QUEUES_MAX {
            return Err(Refusal::bad(20001, "Too many queues"));
        }
        let id = QueueId(self.next_number());
        let queue = Queue {
            sid: self.fresh_sid("QU"),
            name: name.to_owned(),
            size_max,
            created: self.now,
            updated: self.now,
            members: VecDeque::new(),
            takers: VecDeque::new(),
        };
        self.queues.insert(id, queue);
        Ok(id)
    }

    fn queue_of(&self, sid: &str) -> Result<QueueId, Refusal> {
        self.queues.iter().find(|(_, queue)| queue.sid == sid).map(|(id, _)| *id).ok_or_else(|| Refusal::not_found(sid))
    }

    pub(super) fn queue_record(&self, queue: &Queue) -> QueueRecord {
        QueueRecord {
            sid: queue.sid.clone(),
            name: queue.name.clone(),
            size_max: queue.size_max,
            size: queue.members.len(),
            average_wait_secs: self.average_wait(queue),
            created: queue.created,
            updated: queue.updated,
        }
    }

    fn show_queue(&self, id: QueueId) -> Result<Reply, Refusal> {
        let queue = self.queues.get(&id).ok_or_else(|| Refusal::not_found("queue"))?;
        Ok(Reply::Queue(Box::new(self.queue_record(queue))))
    }

    pub(super) fn create_queue(&mut self, name: &str, size_max: usize) -> Result<Reply, Refusal> {
        if self.queue_named(name).is_some() {
            return Err(Refusal::bad(22003, "A queue with this FriendlyName exists already"));
        }
        let id = self.add_queue(name, size_max)?;
        self.show_queue(id)
    }

    pub(super) fn get_queue(&self, sid: &str) -> Result<Reply, Refusal> {
        self.show_queue(self.queue_of(sid)?)
    }

    pub(super) fn list_queues(&self, page: Page) -> Reply {
        Reply::Queues(Listed::cut(self.queues.values().map(|queue| self.queue_record(queue)), page))
    }

    pub(super) fn update_queue(
        &mut self,
        sid: &str,
        name: Option<String>,
        size_max: Option<usize>,
    ) -> Result<Reply, Refusal> {
        let id = self.queue_of(sid)?;
        if let Some(name) = &name
            && self.queue_named(name).is_some_and(|other| other != id)
        {
            return Err(Refusal::bad(22003, "A queue with this FriendlyName exists already"));
        }
        let now = self.now;
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.name = name.unwrap_or_else(|| queue.name.clone());
            queue.size_max = size_max.unwrap_or(queue.size_max);
            queue.updated = now;
        }
        self.show_queue(id)
    }

    pub(super) fn delete_queue(&mut self, sid: &str) -> Result<Reply, Refusal> {
        let id = self.queue_of(sid)?;
        if self.queues.get(&id).is_some_and(|queue| !queue.members.is_empty() || !queue.takers.is_empty()) {
            return Err(Refusal::bad(22002, "The queue is not empty"));
        }
        self.queues.remove(&id);
        Ok(Reply::Done)
    }

    /// The member with `CallSid` `who`, or the head of the queue for `Front`.
    fn member_of(&self, queue: &str, who: &str) -> Result<(CallId, MemberRecord), Refusal> {
        let queue = self.queues.get(&self.queue_of(queue)?).ok_or_else(|| Refusal::not_found(queue))?;
        self.members_of(queue)
            .find(|(_, member)| if who == "Front" { member.position == 1 } else { member.call_sid == who })
            .ok_or_else(|| Refusal::not_found(who))
    }

    fn members_of<'a>(&'a self, queue: &'a Queue) -> impl Iterator<Item = (CallId, MemberRecord)> + 'a {
        queue.members.iter().enumerate().filter_map(|(index, &(id, since))| {
            let call = self.calls.get(&id)?;
            let record = MemberRecord {
                queue_sid: queue.sid.clone(),
                call_sid: call.record.sid.clone(),
                enqueued: since,
                position: index + 1,
                wait_secs: self.now.secs_since(since),
            };
            Some((id, record))
        })
    }

    pub(super) fn get_member(&self, queue: &str, who: &str) -> Result<Reply, Refusal> {
        Ok(Reply::Member(Box::new(self.member_of(queue, who)?.1)))
    }

    pub(super) fn list_members(&self, queue: &str, page: Page) -> Result<Reply, Refusal> {
        let queue = self.queues.get(&self.queue_of(queue)?).ok_or_else(|| Refusal::not_found(queue))?;
        Ok(Reply::Members(Listed::cut(self.members_of(queue).map(|(_, member)| member), page)))
    }

    pub(super) fn redirect_member(&mut self, queue: &str, who: &str, to: Target) -> Result<Reply, Refusal> {
        let (id, record) = self.member_of(queue, who)?;
        self.redirect(id, &Source::Ask(to));
        Ok(Reply::Member(Box::new(record)))
    }
}
