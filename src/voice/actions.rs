//! The application's `action` is requested once per task (`spec/voice.md` 2.8).
//!
//! A phone system may ask for the same document again: it repeats a webhook, or is redirected to it a second time. Then
//! it gets the answer that is there already, or that is being waited for. Must not outlive the process: after a restart
//! the record of the calls core decides alone. Start with [`Actions::once`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::application::Reply;
use crate::routing::TaskSid;

/// Answers that are kept, each at most as large as an answer of the application may be; a repetition comes within
/// seconds.
const KEPT: usize = 512;

/// What became of a request; `None` is a failure.
type Answer = Arc<OnceCell<Option<Reply>>>;

/// Answers to requests for `action`, by task.
#[derive(Debug, Default)]
pub struct Actions(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    answers: BTreeMap<TaskSid, Answer>,
    /// The longest kept first.
    order: VecDeque<TaskSid>,
}

impl Actions {
    /// The answer for `task`; only the first caller runs `ask`, others wait for it.
    pub(super) async fn once(&self, task: TaskSid, ask: impl Future<Output = Option<Reply>>) -> Option<Reply> {
        let answer = self.place_of(task);
        answer.get_or_init(|| ask).await.clone()
    }

    fn place_of(&self, task: TaskSid) -> Answer {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = kept.answers.get(&task) {
            return Arc::clone(answer);
        }
        if kept.order.len() >= KEPT
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.answers.remove(&oldest);
        }
        let answer = Answer::default();
        kept.order.push_back(task);
        kept.answers.insert(task, Arc::clone(&answer));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::super::application::Said;
    use super::*;

    fn document(text: &str) -> Reply {
        Reply { said: Said::Document(text.to_owned()), cookies: Vec::new() }
    }

    #[tokio::test]
    async fn only_the_first_asks_and_all_get_its_answer() {
        let actions = Actions::default();
        let task = TaskSid::from_bits(1);
        let slow = async {
            tokio::task::yield_now().await;
            Some(document("first"))
        };
        let (first, second) =
            tokio::join!(actions.once(task, slow), actions.once(task, async { Some(document("second")) }));
        assert_eq!((first, second), (Some(document("first")), Some(document("first"))));
        assert_eq!(actions.once(TaskSid::from_bits(2), async { None }).await, None);
        assert_eq!(
            actions.once(TaskSid::from_bits(2), async { Some(document("late")) }).await,
            None,
            "a failure counts too"
        );
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let actions = Actions::default();
        for bits in 0..2 * KEPT {
            actions.once(TaskSid::from_bits(bits as u128), async { None }).await;
        }
        let kept = actions.0.lock().unwrap();
        assert_eq!((kept.answers.len(), kept.order.len()), (KEPT, KEPT));
    }
}
