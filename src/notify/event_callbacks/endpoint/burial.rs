//! Events that are given up: those that waited too long for a failing receiver, and those whose URL was taken away.
//!
//! They are dead: to be seen, and sent when somebody asks for it. Must not send anything. Start with
//! [`Endpoint::bury_what_was_not_sent`].

use metrics::counter;

use super::{AGE_CHECKED_EVERY, Endpoint, Outcome, StoreError, Window, after, sequence_of};
use crate::routing::Timestamp;
use crate::store::deliveries::{Delivery, DeliveryState, EventTarget};
use crate::store::subscriptions::wanted;
use crate::store::views::EventView;

/// Events that become dead letters in one write.
const DEAD_PORTION: u32 = 500;
/// Why an event is dead that was not tried.
const TOO_LATE: &str = "it waited too long for a receiver that took nothing";
/// Why an event is dead that was not tried, or of which nobody waited for the answer.
const URL_GONE: &str = "the URL was taken away before the event was taken";

impl Endpoint {
    /// The log must not wait for ever for a receiver that takes nothing.
    pub(super) async fn bury_what_is_too_old(&mut self, target: &EventTarget) -> Result<(), StoreError> {
        let now = self.around.clock.now();
        if self.age_checked.is_some_and(|checked| after(checked, AGE_CHECKED_EVERY) > now) {
            return Ok(());
        }
        self.age_checked = Some(now);
        let rules = self.around.rules.clone();
        let since = now.plus_ms(-i64::try_from(rules.backlog_age_max.as_millis()).unwrap_or(i64::MAX));
        // While requests are under way their events are in the window; they are looked at the next time.
        while self.attempts.is_empty() && self.failing.is_some() {
            let from = self.window.as_ref().map_or(target.next_sequence, Window::done_before);
            let keeps_from = (target.last_sequence + 1).saturating_sub(rules.backlog_max);
            let events = self.around.store.events_from(self.workspace, from, DEAD_PORTION).await?;
            let old = |event: &&EventView| event.at < since || sequence_of(event) < keeps_from;
            let dead: Vec<&EventView> = events.iter().take_while(old).collect();
            let Some(last) = dead.last() else { break };
            let next = sequence_of(last) + 1;
            let wanted = dead.iter().filter(|event| wanted(&target.subscriptions, event));
            let buried: Vec<Delivery> = wanted.map(|event| buried(event, now, TOO_LATE)).collect();
            counter!("taskrouter_callback_buried_total").increment(buried.len() as u64);
            let message = format!("{} events were not sent: the receiver took none for too long", buried.len());
            self.progress.deliveries.extend(buried);
            self.progress.next_sequence = Some(next);
            self.put_on_disk().await?;
            self.window = Some(Window::starting_at(next));
            self.alert(message).await;
        }
        Ok(())
    }

    /// The URL is gone: what was not taken is dead, also what was not tried yet, so that it can be seen and sent to another
    /// one. The place in the log goes last, so that a crash leaves nothing out.
    pub(super) async fn bury_what_was_not_sent(&mut self) -> Result<(), StoreError> {
        while let Some(ended) = self.attempts.try_join_next() {
            let Ok(attempt) = ended else { continue };
            if attempt.outcome == Outcome::Taken {
                self.note_taken(&attempt);
            }
        }
        self.write(true).await?;
        let now = self.around.clock.now();
        let mut next = self.around.store.event_place(self.workspace).await?;
        while let Some(from) = next {
            let subscriptions = self.around.store.subscriptions(self.workspace, from).await?;
            // What came later than the end of the last one was never to be sent.
            let end = subscriptions.iter().rev().find(|subscription| !subscription.is_sent).map_or(0, |last| last.from);
            let mut events = self.around.store.events_from(self.workspace, from, DEAD_PORTION).await?;
            events.retain(|event| sequence_of(event) < end);
            next = events.last().map(|event| sequence_of(event) + 1);
            let is_open = |event: &&EventView| {
                let is_settled = self.window.as_ref().is_some_and(|window| window.is_settled(sequence_of(event)));
                wanted(&subscriptions, event) && !is_settled
            };
            let dead: Vec<Delivery> = events.iter().filter(is_open).map(|event| buried(event, now, URL_GONE)).collect();
            counter!("taskrouter_callback_buried_total").increment(dead.len() as u64);
            self.progress.deliveries.extend(dead);
            self.progress.next_sequence = next;
            if !self.progress.is_empty() {
                self.put_on_disk().await?;
            }
        }
        self.around.store.bury_deliveries(self.workspace, now).await?;
        self.around.store.leave_log(self.workspace).await
    }
}

fn buried(event: &EventView, now: Timestamp, why: &str) -> Delivery {
    Delivery {
        sequence: sequence_of(event),
        event: event.sid.clone(),
        event_type: event.event_type.clone(),
        state: DeliveryState::Dead,
        attempts: 0,
        next_attempt_at: now,
        last_attempt_at: None,
        last_status: None,
        last_error: Some(why.to_owned()),
        last_answer: None,
    }
}
