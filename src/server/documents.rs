//! The phone system's client is given the documents of callers whom it moves.

use crate::phone::{Documents, Written};
use crate::routing::TaskSid;
use crate::voice::MovedCallers;

impl Documents for MovedCallers {
    fn for_room(&self, task: TaskSid) -> Written<'_> {
        Box::pin(Self::for_room(self, task))
    }

    fn for_queue(&self, task: TaskSid) -> Written<'_> {
        Box::pin(Self::for_queue(self, task))
    }
}
