//! What cannot be had from a phone system without conferences, said at once (`spec/voice.md` 7.1: Somleng).
//!
//! There a caller's own call dials the worker, and nothing else can be done to the two. Start with
//! [`Cores::check_without_rooms`].

use crate::calls::policy::{alert_nobody, alert_phone_system};
use crate::calls::{ConferenceOptions, dialable};
use crate::routing::{Refusal, TaskSid, WorkerSid};

use super::instructions::{How, NO_CONFERENCE};
use super::{Cores, Refs};

/// Why something cannot be done.
pub(super) const NO_ROOMS: &str = "the phone system has no conferences";

impl Cores {
    /// Refuses an instruction that needs a conference, with an alert.
    pub(super) fn check_without_rooms(
        &mut self,
        task: TaskSid,
        worker: WorkerSid,
        how: How<'_>,
        options: &ConferenceOptions,
        refs: Refs,
    ) -> Result<(), Refusal> {
        if self.limits.rooms {
            return Ok(());
        }
        let invalid = |parameter: &'static str, reason: &str| Refusal::Invalid { parameter, reason: reason.to_owned() };
        let called = self.calls.task(task).map_or_else(|| self.outbound(task).is_some(), |record| record.outbound);
        let to = options.to.clone().or_else(|| self.contact_uri(worker)).unwrap_or_default();
        let (code, refusal) = match how {
            // Whoever serves the leg tells of it.
            How::Leg(_) => return Err(invalid("Instruction", "the phone system cannot connect two calls")),
            How::Dialled | How::Called(_) if called => {
                (alert_phone_system(options.by), invalid("Instruction", NO_ROOMS))
            }
            How::Dialled | How::Called(_) if options.announcement.is_some() => {
                let reason = "the phone system connects the worker without an announcement";
                (alert_phone_system(options.by), invalid("AcceptKey", reason))
            }
            How::Dialled | How::Called(_) if dialable(&to).starts_with("client:") => {
                let reason = "the phone system dials numbers and SIP addresses only";
                (alert_nobody(options.by), invalid("To", reason))
            }
            How::Dialled | How::Called(_) => return Ok(()),
        };
        self.alert(code, refusal.to_string(), refs);
        Err(refusal)
    }

    /// Refuses to hand a call on.
    pub(super) fn check_transfer(&mut self, task: TaskSid) -> Result<(), Refusal> {
        if self.limits.rooms || self.calls.task(task).is_none() {
            return Ok(());
        }
        let refs = Refs { task: Some(task), reservation: None, worker: None };
        self.alert(NO_CONFERENCE, format!("transfer: {NO_ROOMS}"), refs);
        Err(Refusal::Invalid { parameter: "TaskSid", reason: NO_ROOMS.to_owned() })
    }
}
