//! Agents' sockets as the workspace sees them: who has one, and what becomes of a worker who has none any more.
//!
//! Opt-in: only what the workspace or a socket asks for is remembered. Which sockets are open is known to others, who
//! report it. Start with `Turn::note_presence` and `Turn::end_grace`.

use super::command::{PresenceReport, Reply};
use super::deadline::Deadline;
use super::refusal::Refusal;
use super::sid::{ActivitySid, WorkerSid};
use super::state::{Presence, ReservationStatus, WorkspaceSettings};
use super::turn::Turn;
use super::workspace::Workspace;

/// Longest grace, in seconds: a day.
pub const GRACE_SECS_MAX: u32 = 86_400;

/// Grace of a socket that names an activity in a workspace without a grace of its own, in seconds: the first SDK takes
/// up to 30 s until it tries to connect again.
const GRACE_SECS_OF_SOCKETS: u32 = 35;

impl Workspace {
    /// What is remembered of a worker's sockets.
    pub fn presence(&self, worker: WorkerSid) -> Option<&Presence> {
        self.presences.get(&worker)
    }

    /// Everything that is remembered of sockets, by worker.
    pub fn presences(&self) -> impl Iterator<Item = &Presence> {
        self.presences.values()
    }

    /// Writes what is known of a worker's sockets, or forgets it, and keeps the deadlines in step.
    fn set_presence(&mut self, worker: WorkerSid, presence: Option<Presence>) {
        let before = self.presences.get(&worker);
        if before == presence.as_ref() {
            return;
        }
        if let Some(at) = before.and_then(|row| row.deadline) {
            self.deadlines.remove(&(at, Deadline::Grace(worker)));
        }
        match presence {
            Some(presence) => self.put_presence(presence),
            None => _ = self.presences.remove(&worker),
        }
        self.touched.presences.insert(worker);
    }

    /// Enters a record, with its deadline.
    pub(super) fn put_presence(&mut self, presence: Presence) {
        if let Some(at) = presence.deadline {
            self.deadlines.insert((at, Deadline::Grace(presence.worker)));
        }
        self.presences.insert(presence.worker, presence);
    }
}

impl Turn<'_> {
    /// Takes over who has sockets and who has none; workers that do not exist are passed over.
    pub(super) fn note_presence(&mut self, reports: &[PresenceReport]) -> Reply {
        for report in reports {
            if !self.workspace.workers.contains_key(&report.worker) {
                continue;
            }
            match &report.connection {
                Some(connection) => {
                    let presence = Presence {
                        worker: report.worker,
                        disconnect_activity: connection.disconnect_activity,
                        keeps_activity: connection.keeps_activity,
                        deadline: None,
                    };
                    let presence = is_worth_knowing(&self.workspace.settings, &presence).then_some(presence);
                    self.workspace.set_presence(report.worker, presence);
                }
                None => self.begin_grace(report.worker, false),
            }
        }
        Reply::Done
    }

    /// The server was away and nobody has a socket: every grace begins now, so that nobody is moved who only had no
    /// server to come back to.
    pub(super) fn forget_sockets(&mut self) -> Reply {
        let workers: Vec<WorkerSid> = self.workspace.presences.keys().copied().collect();
        for worker in workers {
            self.begin_grace(worker, true);
        }
        Reply::Done
    }

    fn begin_grace(&mut self, worker: WorkerSid, anew: bool) {
        let Some(row) = self.workspace.presences.get(&worker) else { return };
        if row.deadline.is_some() && !anew {
            return;
        }
        if row.keeps_activity {
            self.workspace.set_presence(worker, None);
            return;
        }
        let grace = self.workspace.settings.disconnect_grace_secs.unwrap_or(GRACE_SECS_OF_SOCKETS);
        let presence = Presence { deadline: Some(self.now.plus_secs(grace)), ..row.clone() };
        self.workspace.set_presence(worker, Some(presence));
    }

    /// Nobody came back: the worker is moved. Where the workspace wants it so, pending reservations are taken back,
    /// except those whose call is being connected already, which goes to a phone and not to a browser.
    pub(super) fn end_grace(&mut self, worker: WorkerSid) {
        let Some(row) = self.workspace.presences.get(&worker).cloned() else { return };
        self.workspace.set_presence(worker, None);
        let settings = &self.workspace.settings;
        let opted_in = settings.disconnect_grace_secs.is_some();
        let named = row.disconnect_activity.filter(|activity| self.workspace.activities.contains_key(activity));
        let general = opted_in.then(|| settings.disconnect_activity.unwrap_or(settings.default_activity));
        let Some(activity) = named.or(general) else { return };
        self.move_worker(worker, activity);
        // Otherwise the same worker would be offered the task again.
        let unavailable = self.workspace.activities.get(&activity).is_some_and(|entry| !entry.row.available);
        if !opted_in || !unavailable {
            return;
        }
        for reservation in self.pending_reservations_of(worker) {
            let connecting = self.workspace.reservation(reservation).is_some_and(|row| row.connecting);
            if !connecting {
                self.end_reservation(reservation, ReservationStatus::Rescinded, None);
                self.after_unaccepted_offer(reservation);
            }
        }
    }

    /// A worker that is deleted has no sockets to be missed.
    pub(super) fn forget_presence(&mut self, worker: WorkerSid) {
        self.workspace.set_presence(worker, None);
    }

    /// After a change of the settings: forgets whom nobody wants moved any more.
    pub(super) fn forget_what_is_not_asked_for(&mut self) {
        let settings = &self.workspace.settings;
        let rows = self.workspace.presences.values();
        let unasked: Vec<WorkerSid> =
            rows.filter(|row| !is_worth_knowing(settings, row)).map(|row| row.worker).collect();
        for worker in unasked {
            self.workspace.set_presence(worker, None);
        }
    }

    /// Checks a grace and the activity after it.
    pub(super) fn check_grace(&self, secs: Option<u32>, activity: Option<ActivitySid>) -> Result<(), Refusal> {
        if secs.is_some_and(|secs| !(1..=GRACE_SECS_MAX).contains(&secs)) {
            let reason = format!("expected 1 to {GRACE_SECS_MAX}, or nothing to turn the grace off");
            return Err(Refusal::Invalid { parameter: "DisconnectGraceSeconds", reason });
        }
        if let Some(activity) = activity {
            self.check_activity("DisconnectActivitySid", activity)?;
            if self.workspace.activities.get(&activity).is_some_and(|entry| entry.row.available) {
                let reason = "expected an activity in which a worker is not available".to_owned();
                return Err(Refusal::Invalid { parameter: "DisconnectActivitySid", reason });
            }
        }
        Ok(())
    }
}

/// Whether the workspace or the socket itself wants the worker moved when the socket is gone.
fn is_worth_knowing(settings: &WorkspaceSettings, presence: &Presence) -> bool {
    settings.disconnect_grace_secs.is_some() || presence.disconnect_activity.is_some()
}
