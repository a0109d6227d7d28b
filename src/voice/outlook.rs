//! What a waiting caller may be told: place, estimated wait, who is at work (`spec/voice.md` 2.4).
//!
//! One look at the workspace in memory, by the code that answers `…/Tasks/{sid}/Position`; for applications as parameters
//! of their `waitUrl`, for our own wait document as values. Nothing is changed by it. Start with [`State::outlook`].

use super::State;
use crate::config::is_language;
use crate::engine;
use crate::routing::{Outlook, TaskSid, TaskStatus, Unplaced, WorkspaceSid};

/// Attribute of a task that names the language of its caller.
const LANGUAGE: &str = "language";

impl State {
    /// What can be told about a task's wait; `None` where there is no such task, or nobody can say now.
    pub(super) async fn outlook(&self, workspace: WorkspaceSid, task: TaskSid) -> Option<Outlook> {
        let look = self.engine.look(workspace, move |workspace, now| workspace.outlook(task, now));
        match self.wait_for_change(look).await.unwrap_or(Err(engine::Error::Overloaded)) {
            Ok(outlook) => outlook,
            Err(error) => {
                tracing::warn!(task.sid = %task, %error, "cannot tell how long a caller will wait");
                None
            }
        }
    }
}

/// Tasks that are handed out before this one: none before one that is being offered, unknown of one that waits for a
/// certain worker.
pub(super) fn tasks_ahead(outlook: &Outlook) -> Option<usize> {
    match outlook.position.ahead {
        Ok(ahead) => Some(ahead),
        Err(Unplaced::NotPending(TaskStatus::Reserved)) => Some(0),
        Err(_) => None,
    }
}

/// Tasks of the channel that wait in the queue, this one included.
pub(super) fn queue_size(outlook: &Outlook) -> usize {
    outlook.position.waiting + usize::from(outlook.position.status == TaskStatus::Reserved)
}

/// The language of the caller, as the task's attributes name it.
pub(super) fn language(outlook: &Outlook) -> Option<String> {
    let attributes: serde_json::Value = serde_json::from_str(&outlook.attributes).ok()?;
    attributes.get(LANGUAGE)?.as_str().filter(|text| is_language(text)).map(str::to_owned)
}

/// Parameters of the wait document: Twilio's, of the task queue instead of the phone system's queue, and our own.
/// `QueueTime` stays the phone system's, which knows how long the call has been waiting in this round.
pub(super) fn parameters(outlook: &Outlook) -> Vec<(String, String)> {
    let position = &outlook.position;
    let ahead = tasks_ahead(outlook);
    let place = ahead.map(|ahead| (ahead + 1).to_string());
    let estimate = |secs: fn(&crate::routing::estimate::WaitEstimate) -> u32| {
        position.estimate.as_ref().map(|estimate| secs(estimate).to_string())
    };
    let parameters = [
        ("QueuePosition", place.clone()),
        ("CurrentQueueSize", Some(queue_size(outlook).to_string())),
        ("AvgQueueTime", Some(outlook.average_age_secs.to_string())),
        ("TaskQueueSid", position.queue.map(|queue| queue.to_string())),
        ("TaskQueueName", outlook.queue_name.clone()),
        ("TaskQueuePosition", place),
        ("TasksAhead", ahead.map(|ahead| ahead.to_string())),
        ("TaskPriority", Some(outlook.priority.to_string())),
        ("TaskAge", Some(outlook.age_secs.to_string())),
        ("EstimatedWaitTime", estimate(|estimate| estimate.secs)),
        ("EstimatedWaitTimeLow", estimate(|estimate| estimate.low_secs)),
        ("EstimatedWaitTimeHigh", estimate(|estimate| estimate.high_secs)),
        ("WorkersAvailable", Some(outlook.workers_available.to_string())),
    ];
    parameters.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::estimate::{EstimateErrors, WaitEstimate};
    use crate::routing::{QueuePosition, TaskChannelSid, TaskQueueSid, WorkerSid};

    fn outlook(ahead: Result<usize, Unplaced>, status: TaskStatus, attributes: &str) -> Outlook {
        Outlook {
            position: QueuePosition {
                task: TaskSid::from_bits(1),
                status,
                queue: Some(TaskQueueSid::from_bits(2)),
                channel: TaskChannelSid::from_bits(3),
                entered_at: None,
                ahead,
                waiting: 4,
                estimate: Some(WaitEstimate { secs: 90, low_secs: 40, high_secs: 200, samples: 9, observed_secs: 600 }),
                errors: EstimateErrors::default(),
            },
            queue_name: Some("Support".to_owned()),
            priority: 5,
            age_secs: 61,
            average_age_secs: 33,
            workers_available: 2,
            attributes: attributes.to_owned(),
        }
    }

    #[test]
    fn twilios_names_tell_of_the_task_queue_and_ours_tell_more() {
        let told = parameters(&outlook(Ok(3), TaskStatus::Pending, "{}"));
        let expected = [
            ("QueuePosition", "4"),
            ("CurrentQueueSize", "4"),
            ("AvgQueueTime", "33"),
            ("TaskQueueSid", "WQ00000000000000000000000000000002"),
            ("TaskQueueName", "Support"),
            ("TaskQueuePosition", "4"),
            ("TasksAhead", "3"),
            ("TaskPriority", "5"),
            ("TaskAge", "61"),
            ("EstimatedWaitTime", "90"),
            ("EstimatedWaitTimeLow", "40"),
            ("EstimatedWaitTimeHigh", "200"),
            ("WorkersAvailable", "2"),
        ];
        assert_eq!(told, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_task_that_is_being_offered_is_the_next_and_one_for_a_certain_worker_has_no_place() {
        let offered = outlook(Err(Unplaced::NotPending(TaskStatus::Reserved)), TaskStatus::Reserved, "{}");
        assert_eq!((tasks_ahead(&offered), queue_size(&offered)), (Some(0), 5));
        let targeted = outlook(Err(Unplaced::Targeted(WorkerSid::from_bits(1))), TaskStatus::Pending, "{}");
        assert_eq!(tasks_ahead(&targeted), None);
        assert!(parameters(&targeted).iter().all(|(name, _)| name != "QueuePosition"), "the phone system's stays");
    }

    #[test]
    fn only_what_looks_like_a_language_is_one() {
        for (attributes, expected) in [
            (r#"{"language":"es-MX"}"#, Some("es-MX")),
            (r#"{"language":"de"}"#, Some("de")),
            (r#"{"language":""}"#, None),
            (r#"{"language":"\"><Dial>"}"#, None),
            (r#"{"language":7}"#, None),
            ("{}", None),
        ] {
            let found = language(&outlook(Ok(0), TaskStatus::Pending, attributes));
            assert_eq!(found.as_deref(), expected, "{attributes}");
        }
    }
}
