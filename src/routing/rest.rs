//! Tasks that nobody is offered for a while, whoever is ready.
//!
//! Start with [`Turn::hold_back`].

use super::command::Reply;
use super::refusal::Refusal;
use super::reservation::set_back_off;
use super::sid::TaskSid;
use super::state::{BackOff, TaskStatus};
use super::step::Again;
use super::time::Timestamp;
use super::turn::Turn;

impl Turn<'_> {
    /// Nobody is offered a task before `until`; this takes the place of what was said before, `was`. A longer rest that the
    /// task has for another reason stays.
    pub(super) fn hold_back(
        &mut self,
        task: TaskSid,
        was: Option<Timestamp>,
        until: Timestamp,
    ) -> Result<Reply, Refusal> {
        let row = self.workspace.task(task).ok_or(Refusal::NotFound)?;
        let present = row.back_offs.iter().find(|back_off| back_off.worker.is_none()).map(|back_off| back_off.until);
        let has_other = present.is_some_and(|present| Some(present) != was && present >= until);
        let waits = matches!(row.status, TaskStatus::Pending | TaskStatus::Reserved);
        let now = self.now;
        if !waits || has_other || (present.is_none() && until <= now) {
            return Ok(Reply::Done);
        }
        self.change_task(task, |row| {
            if until > now {
                set_back_off(&mut row.back_offs, BackOff { worker: None, until, failures: 0 }, now);
            } else {
                row.back_offs.retain(|back_off| back_off.worker.is_some());
            }
        });
        if until <= now {
            self.look_again(task, Again::Offer);
        }
        Ok(Reply::Done)
    }
}
