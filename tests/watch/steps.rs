//! How tasks move through their workflows (routing.md 3.3 and 3.4): clocks that run on, filters that match, skips that
//! are due, and the default filter that stays closed after a timeout.

use switchhook::routing::expression::{Scope, WorkerCounts};
use switchhook::routing::workflow::Target;
use switchhook::routing::{EventKind, EventRecord, Step as Place, Task, TaskQueue, TaskSid, TaskStatus};

use super::{Step, Watch};

impl Watch {
    pub(super) fn steps_hold(&self, step: &Step<'_>) -> Result<(), String> {
        for task in &step.tasks {
            let Some(row) = self.stored.tasks.get(task) else { continue };
            if !matches!(row.status, TaskStatus::Pending | TaskStatus::Reserved) || row.transfer.is_some() {
                continue;
            }
            if row.step == Place::Default && row.filter_timed_out {
                return Err(format!("{task} is in the default filter although a filter timed out"));
            }
            if let Some(before) = step.task_before(*task) {
                Self::clock_runs_on(step, before, row)?;
                self.new_attributes_count(step, before, row)?;
            }
            self.version_is_kept(row)?;
        }
        self.skips_were_due(step)
    }

    fn moves<'a>(step: &Step<'a>, task: TaskSid) -> impl Iterator<Item = &'a EventRecord> {
        step.events
            .iter()
            .filter(move |event| event.about.task == Some(task))
            .filter(|event| matches!(event.kind, EventKind::WorkflowTargetMatched | EventKind::WorkflowEntered))
    }

    /// The clock of a filter is not started again while the task stays in it.
    fn clock_runs_on(step: &Step<'_>, before: &Task, after: &Task) -> Result<(), String> {
        let waits = matches!(before.status, TaskStatus::Pending | TaskStatus::Reserved) && before.transfer.is_none();
        let stays = before.step == after.step && before.workflow_version == after.workflow_version;
        if waits && stays && before.base_at != after.base_at && Self::moves(step, after.sid).next().is_none() {
            return Err(format!("the clock of {} was started again", after.sid));
        }
        Ok(())
    }

    /// New attributes of a waiting task lead to the first filter that matches them, if that is another one (D21, D22).
    fn new_attributes_count(&self, step: &Step<'_>, before: &Task, after: &Task) -> Result<(), String> {
        let waits = before.status == TaskStatus::Pending && after.status == TaskStatus::Pending;
        if !waits || before.attributes == after.attributes || before.transfer.is_some() {
            return Ok(());
        }
        let (Some(routes), true) = (self.reading.routes_of(after), after.step != Place::Direct) else { return Ok(()) };
        let match_of =
            |attributes: &str| routes.first_match(&self.reading.document(attributes), 0, step.now, &self.calendars);
        let stands_at = |task: &Task| match task.step {
            Place::Target { filter, target } => (usize::try_from(filter).unwrap_or(usize::MAX), target),
            Place::Default | Place::Direct => (usize::MAX, 0),
        };
        let first = match_of(&after.attributes);
        if first == match_of(&before.attributes) {
            let goes_back = before.workflow_version == after.workflow_version && stands_at(after) < stands_at(before);
            // Of several changes in one batch each counts by itself.
            let updates =
                |event: &&EventRecord| event.kind == EventKind::TaskUpdated && event.about.task == Some(after.sid);
            let once = step.events.iter().filter(updates).count() == 1;
            // The workflow may have had all its tasks begin anew meanwhile, which says so.
            let anew = Self::moves(step, after.sid).any(|event| event.kind == EventKind::WorkflowEntered);
            if goes_back && once && !anew && !before.attributes_changed && !step.configured {
                return Err(format!(
                    "{} is back in {:?}, where it was before {:?}",
                    after.sid, after.step, before.step
                ));
            }
            return Ok(());
        }
        let Some(first) = first else { return Ok(()) };
        let (stands, _) = stands_at(after);
        if stands == first || (stands > first && Self::moves(step, after.sid).next().is_some()) {
            return Ok(());
        }
        Err(format!("the new attributes of {} match filter {first}, but it is in {:?}", after.sid, after.step))
    }

    /// The configuration that a waiting task follows is there, and so are the queues it leads to.
    fn version_is_kept(&self, task: &Task) -> Result<(), String> {
        let Some(workflow) = task.workflow else { return Ok(()) };
        let current = self.stored.workflows.get(&workflow).is_some_and(|row| row.version == task.workflow_version);
        if !current && !self.stored.versions.contains_key(&(workflow, task.workflow_version)) {
            return Err(format!("{} follows a configuration that is gone", task.sid));
        }
        Ok(())
    }

    /// Queues that waiting tasks can be led to exist, and older configurations exist only while they are followed.
    pub(super) fn versions_add_up(&self) -> Result<(), String> {
        let waits = |task: &&Task| matches!(task.status, TaskStatus::Pending | TaskStatus::Reserved);
        let waiting: Vec<&Task> =
            self.stored.tasks.values().filter(waits).filter(|row| row.transfer.is_none()).collect();
        for task in &waiting {
            let Some(routes) = self.reading.routes_of(task) else { continue };
            let mut targets = routes.targets().chain(&routes.default);
            if let Some(target) = targets.find(|target| !self.stored.task_queues.contains_key(&target.queue)) {
                return Err(format!("{} can be led to {}, which is gone", task.sid, target.queue));
            }
        }
        for (workflow, version) in self.stored.versions.keys() {
            let follows = |task: &&&Task| task.workflow == Some(*workflow) && task.workflow_version == *version;
            if !waiting.iter().any(|task| follows(&task)) {
                return Err(format!("version {version} of {workflow} is kept although no task follows it"));
            }
        }
        Ok(())
    }

    /// Targets are skipped when their `skip_if` says so, and only then (routing.md 3.4).
    fn skips_were_due(&self, step: &Step<'_>) -> Result<(), String> {
        // What is counted must not have changed within the command.
        let counted = |event: &EventRecord| event.kind.as_str().starts_with("worker.");
        if step.configured || step.events.iter().any(counted) {
            return Ok(());
        }
        for event in step.events.iter().filter(|event| event.kind == EventKind::WorkflowTargetMatched) {
            let Some(task) = event.about.task else { continue };
            if Self::moves(step, task).count() > 1 {
                continue;
            }
            let Some(row) = self.stored.tasks.get(&task) else { continue };
            let Some(routes) = self.reading.routes_of(row) else { continue };
            let Place::Target { filter, target } = row.step else { continue };
            let Some(filter) = usize::try_from(filter).ok().and_then(|filter| routes.filters.get(filter)) else {
                continue;
            };
            let at = usize::try_from(target).unwrap_or(usize::MAX);
            let skipped = event.data.iter().any(|field| field == ("target_changed_reason", "Target skipped"));
            // It was skipped with the attributes of that moment, which were others if they changed within the batch.
            let before = step.task_before(task).filter(|before| skipped && before.attributes == row.attributes);
            // Not the target before: those whose time is over are passed by on the way.
            let left = before.and_then(|before| self.reading.target_of(before));
            if left.is_some_and(|left| !self.skips(row, left)) {
                return Err(format!("{task} skipped a target whose skip_if is false"));
            }
            let stays = row.status == TaskStatus::Pending && row.transfer.is_none();
            if filter.targets.get(at).is_some_and(|target| stays && self.skips(row, target)) {
                return Err(format!("{task} waits in a target whose skip_if is true"));
            }
        }
        Ok(())
    }

    fn skips(&self, task: &Task, target: &Target) -> bool {
        let (Some(skip_if), Some(queue)) = (&target.skip_if, self.stored.task_queues.get(&target.queue)) else {
            return false;
        };
        let counts = Counts { watch: self, queue };
        let document = self.reading.document(&task.attributes);
        skip_if.matches(&Scope { task: Some(&*document), counts: Some(&counts), ..Scope::default() })
    }
}

struct Counts<'a> {
    watch: &'a Watch,
    queue: &'a TaskQueue,
}

impl Counts<'_> {
    fn by(&self, available: bool) -> u32 {
        let activities = &self.watch.stored.activities;
        self.watch.members_in(self.queue, |sid| activities.get(&sid).is_some_and(|row| row.available == available))
    }
}

impl WorkerCounts for Counts<'_> {
    fn available(&self) -> u32 {
        self.by(true)
    }

    fn unavailable(&self) -> u32 {
        self.by(false)
    }

    fn in_activity(&self, sid: &str) -> u32 {
        self.watch.members_in(self.queue, |activity| activity.to_string() == sid)
    }
}
