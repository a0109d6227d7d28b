//! Everything at once: the rows add up, all states fit, and a workspace made of the rows is the same workspace.
//!
//! Figures that the core keeps up to date bit by bit are counted again here; whoever adds one adds its recount to
//! [`Watch::everything_holds`].

use switchhook::routing::command::ChannelName;
use switchhook::routing::{Command, EventKind, Timestamp, Workspace, WorkspaceRows};

use super::calendars::Calendars;
use super::{Sids, Watch};

impl Watch {
    pub(super) fn everything_holds(&mut self, workspace: &Workspace, now: Timestamp) -> Result<(), String> {
        let rows = self.stored.rows();
        let held = workspace.rows();
        if held != rows {
            let difference = first_difference(&format!("{held:#?}"), &format!("{rows:#?}"));
            return Err(format!("the row changes do not add up: {difference}"));
        }
        self.rows_hold()?;
        super::tallies::agree(workspace, &rows, now)?;
        self.explanations_agree(workspace)?;
        restores(&rows, &self.calendars, workspace.next_deadline(), self.some_task_waits_for_a_time(), now)
    }

    /// Rows fit together, and no task waits while somebody could take it.
    pub(super) fn rows_hold(&mut self) -> Result<(), String> {
        for task in self.stored.tasks.values() {
            self.states_agree(task)?;
        }
        for channel in self.stored.worker_channels.values() {
            self.figures_agree(channel)?;
        }
        self.nothing_is_orphaned()?;
        self.versions_add_up()?;
        self.due_adds_up()?;
        self.nobody_waits_in_vain()
    }

    fn nothing_is_orphaned(&self) -> Result<(), String> {
        let tasks = &self.stored.tasks;
        if let Some(row) = self.stored.reservations.values().find(|row| !tasks.contains_key(&row.task)) {
            return Err(format!("{} has no task", row.sid));
        }
        if let Some(row) = self.stored.transfers.values().find(|row| !tasks.contains_key(&row.task)) {
            return Err(format!("{} has no task", row.sid));
        }
        let lost = self.stored.workers.values().find(|row| !self.stored.activities.contains_key(&row.activity));
        if let Some(row) = lost {
            return Err(format!("{} is in an activity that does not exist", row.sid));
        }
        let of_nobody = self.stored.presences.keys().find(|worker| !self.stored.workers.contains_key(worker));
        if let Some(worker) = of_nobody {
            return Err(format!("{worker} does not exist, but its sockets are remembered"));
        }
        let channels = self.stored.workers.len() * self.stored.task_channels.len();
        if channels != self.stored.worker_channels.len() {
            return Err(format!("{} worker channels instead of {channels}", self.stored.worker_channels.len()));
        }
        Ok(())
    }
}

/// Rows give the same workspace again, and in it too nobody waits in vain; who waits for a time is offered at once.
fn restores(
    rows: &WorkspaceRows,
    calendars: &Calendars,
    next: Option<Timestamp>,
    timed: bool,
    now: Timestamp,
) -> Result<(), String> {
    let first_channel = rows.task_channels.first().map(|row| (row.sid, row.channel_optimized_routing));
    let mut copy = Workspace::restore(rows.clone()).map_err(|refusal| format!("cannot restore: {refusal}"))?;
    calendars.tell(&mut copy);
    if copy.rows() != *rows {
        return Err("restored rows differ".to_owned());
    }
    let first = if timed { Some(Timestamp(i64::MIN)) } else { next };
    if copy.next_deadline() != first {
        return Err(format!("restored deadline is {:?} instead of {first:?}", copy.next_deadline()));
    }
    if next.is_some_and(|at| at <= now) {
        return Ok(());
    }
    // Turning a channel's idle order makes the core ask every worker for work.
    let Some((channel, optimized)) = first_channel else { return Ok(()) };
    let ask_all = Command::UpdateTaskChannel {
        channel: ChannelName::Sid(channel),
        friendly_name: None,
        channel_optimized_routing: Some(!optimized),
    };
    let done = copy.handle(&ask_all, now, &mut Sids::ASCENDING.clone()).map_err(|refusal| refusal.to_string())?;
    match done.events.iter().find(|event| event.kind == EventKind::ReservationCreated) {
        None => Ok(()),
        Some(event) => Err(format!("asked again, a worker takes {:?}", event.about.task)),
    }
}

/// Where two listings begin to differ.
pub(crate) fn first_difference(left: &str, right: &str) -> String {
    let differing = left.lines().zip(right.lines()).enumerate().find(|(_, (left, right))| left != right);
    match differing {
        Some((line, (left, right))) => format!("line {line}: {} / {}", left.trim(), right.trim()),
        None => format!("{} / {} lines", left.lines().count(), right.lines().count()),
    }
}
