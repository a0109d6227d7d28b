//! Commands of a scenario, watched: everything is checked after each, a refusal must change nothing, and a workspace made
//! of the rows must do the same.

use switchhook::routing::{Command, Done, Refusal, Timestamp, Workspace};

use crate::watch::{Depth, Sids, Watch, first_difference};

/// A workspace that has just been made, watched from its first event on.
pub(super) fn begin(workspace: &mut Workspace, done: &Done, now: Timestamp) -> Result<Watch, String> {
    let mut settings = workspace.settings().clone();
    settings.last_sequence = 0;
    let mut watch = Watch::new(settings);
    watch.look(workspace.take_changes(), &done.events, workspace, now, Depth::All)?;
    Ok(watch)
}

/// Carries out one command and checks everything; the inner result is the core's own.
pub(super) fn carry_out(
    watch: &mut Watch,
    workspace: &mut Workspace,
    command: &Command,
    now: Timestamp,
    sids: &mut Sids,
    depth: Depth,
) -> Result<Result<Done, Refusal>, String> {
    if depth == Depth::Touched {
        watch.calendars.hear(command);
        let outcome = workspace.handle(command, now, sids);
        if let Ok(done) = &outcome {
            watch.look(workspace.take_changes(), &done.events, workspace, now, depth)?;
        }
        return Ok(outcome);
    }
    let rows_before = workspace.rows();
    let due_before = workspace.next_deadline();
    let mut copy = Workspace::restore(rows_before.clone()).map_err(|refusal| format!("cannot restore: {refusal}"))?;
    copy.limit_connect_failures(workspace.connect_failure_limit());
    watch.calendars.tell(&mut copy);
    watch.calendars.hear(command);
    let mut sids_of_copy = sids.clone();
    let outcome = workspace.handle(command, now, sids);
    match &outcome {
        Ok(done) => {
            watch.look(workspace.take_changes(), &done.events, workspace, now, depth)?;
        }
        Err(refusal) => {
            if rows_before != workspace.rows() || workspace.next_deadline() != due_before {
                return Err(format!("refused ({refusal}), but something changed"));
            }
            if !workspace.take_changes().is_empty() {
                return Err(format!("refused ({refusal}), but rows are to be written"));
            }
        }
    }
    let again = copy.handle(command, now, &mut sids_of_copy);
    let same = match (&outcome, &again) {
        (Ok(done), Ok(again)) => {
            (&done.events, done.reply, &done.alerts) == (&again.events, again.reply, &again.alerts)
        }
        (Err(refusal), Err(again)) => refusal == again,
        _ => false,
    };
    if !same || (!workspace.is_deleted() && copy.rows() != workspace.rows()) {
        return Err(format!(
            "a restored workspace acts differently: {}; {}",
            first_difference(&format!("{outcome:#?}"), &format!("{again:#?}")),
            first_difference(&format!("{:#?}", workspace.rows()), &format!("{:#?}", copy.rows()))
        ));
    }
    Ok(outcome)
}
