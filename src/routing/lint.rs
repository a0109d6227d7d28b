//! What is doubtful in a workflow: found in its text, and in the workers, queues and tasks that are there now.
//!
//! Findings refuse nothing; a workflow that is wrong for today's workers may be right for tomorrow's. Start with
//! [`Workspace::lint`].

use std::collections::BTreeMap;

use super::dry_run::Draft;
use super::expression::{Document, Expression, KnownWorker, Owner, Survey, Verdict, Vocabulary};
use super::index::attributes_of;
use super::refusal::Refusal;
use super::sid::{WorkerSid, WorkflowSid};
use super::workflow::{Filter, KnownAgent, Routes, Target};
use super::workspace::{WorkerEntry, Workspace};

/// Workers of one queue whose attributes are looked at.
const WORKERS_LOOKED_AT: usize = 2_000;

/// Workers that are looked at in one lint, over all targets: the workspace waits meanwhile.
const LOOKS_MAX: usize = 20_000;

/// The same for a configuration for which attributes are read anew.
const READINGS_MAX: usize = 2_000;

/// The newest tasks whose attributes are looked at.
const TASKS_LOOKED_AT: usize = 200;

/// Filters that are compared with each other; of further ones only equal texts are found.
const FILTERS_COMPARED: usize = 50;

/// Findings that are told.
const FINDINGS_MAX: usize = 200;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does not do what is written there, whatever the workers and tasks are.
    Error,
    /// It does not do what is written there with the present workers.
    Warning,
    /// Perhaps meant so.
    Note,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// What is doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LintCode {
    /// A filter's expression is never true.
    FilterNeverMatches,
    /// An earlier filter takes every task that this one would take, and never lets go of it.
    FilterShadowed,
    /// An earlier target of the filter is never left.
    TargetUnreachable,
    /// A target's expression is never true.
    TargetNeverMatches,
    /// No task comes to the default filter.
    DefaultFilterUnreachable,
    /// The queue has no workers.
    QueueWithoutWorkers,
    /// The queue has workers, but none that satisfies the target's expression, whatever the task.
    TargetWithoutWorkers,
    /// No worker has the attribute.
    AttributeOfNoWorker,
    /// No present task has the attribute.
    AttributeOfNoTask,
    /// An attribute is not of the type that its comparison needs.
    TypeClash,
    /// A name means nothing in its place.
    NameWithoutMeaning,
    /// The calendar does not exist.
    CalendarUnknown,
    /// The known worker does not exist.
    KnownWorkerUnknown,
    /// The known worker is not in the target's queue.
    KnownWorkerNotInQueue,
    /// A target waits for a known worker and is never left.
    KnownWorkerWithoutEnd,
}

impl LintCode {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FilterNeverMatches => "filter_never_matches",
            Self::FilterShadowed => "filter_shadowed",
            Self::TargetUnreachable => "target_unreachable",
            Self::TargetNeverMatches => "target_never_matches",
            Self::DefaultFilterUnreachable => "default_filter_unreachable",
            Self::QueueWithoutWorkers => "queue_without_workers",
            Self::TargetWithoutWorkers => "target_without_workers",
            Self::AttributeOfNoWorker => "attribute_of_no_worker",
            Self::AttributeOfNoTask => "attribute_of_no_task",
            Self::TypeClash => "type_clash",
            Self::NameWithoutMeaning => "name_without_meaning",
            Self::CalendarUnknown => "calendar_unknown",
            Self::KnownWorkerUnknown => "known_worker_unknown",
            Self::KnownWorkerNotInQueue => "known_worker_not_in_queue",
            Self::KnownWorkerWithoutEnd => "known_worker_without_end",
        }
    }
}

/// One doubtful thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub code: LintCode,
    /// How much it matters.
    pub severity: Severity,
    /// Where in the document: `task_routing.filters[0].targets[1].expression`.
    pub place: String,
    /// One sentence.
    pub message: String,
    /// The text or the figures behind it.
    pub detail: Option<String>,
}

impl Workspace {
    /// What is doubtful in a workflow's configuration, or in one that is not saved.
    pub fn lint(&self, workflow: Option<WorkflowSid>, configuration: Option<&str>) -> Result<Vec<Finding>, Refusal> {
        let draft = self.draft(workflow, configuration)?;
        Ok(self.lint_draft(&draft))
    }

    /// What is doubtful in a configuration that was just saved.
    pub(super) fn lint_saved(&self, workflow: WorkflowSid) -> Vec<Finding> {
        self.draft(Some(workflow), None).map(|draft| self.lint_draft(&draft)).unwrap_or_default()
    }

    fn lint_draft(&self, draft: &Draft<'_>) -> Vec<Finding> {
        let mut lint = Lint {
            workspace: self,
            vocabulary: &draft.vocabulary,
            grown: draft.grown,
            looks: if draft.grown { READINGS_MAX } else { LOOKS_MAX },
            findings: Vec::new(),
        };
        lint.routes(&draft.routes);
        lint.tasks(&draft.routes);
        let mut findings = lint.findings;
        findings.sort_by(|left, right| (left.severity, &left.place).cmp(&(right.severity, &right.place)));
        findings.truncate(FINDINGS_MAX);
        findings
    }
}

struct Lint<'a> {
    workspace: &'a Workspace,
    vocabulary: &'a Vocabulary,
    /// Workers' documents lack names of the configuration.
    grown: bool,
    looks: usize,
    findings: Vec<Finding>,
}

impl Lint<'_> {
    fn find(&mut self, code: LintCode, severity: Severity, place: &str, message: String, detail: Option<String>) {
        self.findings.push(Finding { code, severity, place: place.to_owned(), message, detail });
    }

    fn routes(&mut self, routes: &Routes) {
        let mut shadows = Shadows::default();
        let mut closed_by = None;
        for (index, filter) in routes.filters.iter().enumerate() {
            let at = format!("task_routing.filters[{index}]");
            self.names(&filter.expression, &format!("{at}.expression"));
            let verdict = filter.expression.verdict();
            if let Verdict::Never(why) = &verdict {
                let (message, why) = ("the filter never takes a task".to_owned(), Some(why.clone()));
                self.find(LintCode::FilterNeverMatches, Severity::Error, &format!("{at}.expression"), message, why);
            }
            if let Some(earlier) = shadows.over(routes, index) {
                let message = format!(
                    "every task that this filter could take is taken by filters[{earlier}] first and stays there"
                );
                let detail = routes.filters.get(earlier).map(|filter| filter.expression.text().to_owned());
                self.find(LintCode::FilterShadowed, Severity::Error, &format!("{at}.expression"), message, detail);
            }
            shadows.add(index, filter, verdict == Verdict::Always);
            if verdict == Verdict::Always && !skips_out(filter) {
                closed_by = closed_by.or(Some(index));
            }
            self.targets(filter, &at);
        }
        if let Some(default) = &routes.default {
            let at = "task_routing.default_filter";
            if let Some(index) = closed_by {
                let message =
                    format!("filters[{index}] takes every task, and the default filter takes none after a timeout");
                self.find(LintCode::DefaultFilterUnreachable, Severity::Warning, at, message, None);
            }
            self.target(default, at, false);
        }
    }

    fn targets(&mut self, filter: &Filter, at: &str) {
        let endless = filter.targets.iter().position(|target| !may_be_left(target));
        for (index, target) in filter.targets.iter().enumerate() {
            let at = format!("{at}.targets[{index}]");
            if let Some(endless) = endless.filter(|endless| *endless < index) {
                let message = format!("targets[{endless}] before it has neither timeout nor skip_if and is never left");
                self.find(LintCode::TargetUnreachable, Severity::Error, &at, message, None);
            }
            self.target(target, &at, may_be_left(target));
        }
    }

    fn target(&mut self, target: &Target, at: &str, may_be_left: bool) {
        let members = self.workspace.task_queues.get(&target.queue).map_or(0, |queue| queue.members.len());
        if members == 0 {
            let name = self.workspace.queue_name(target.queue);
            let message = format!("no worker is in the task queue {name}");
            let expression =
                self.workspace.task_queues.get(&target.queue).map(|queue| queue.row.target_workers.clone());
            self.find(LintCode::QueueWithoutWorkers, Severity::Warning, &format!("{at}.queue"), message, expression);
        }
        if let Some(skip_if) = &target.skip_if {
            self.names(skip_if, &format!("{at}.skip_if"));
        }
        if let Some(expression) = &target.expression {
            self.target_expression(expression, target, &format!("{at}.expression"));
        }
        self.known_worker(target, at, may_be_left);
    }

    fn target_expression(&mut self, expression: &Expression, target: &Target, at: &str) {
        self.names(expression, at);
        if let Verdict::Never(why) = expression.verdict() {
            let message = "the target takes no worker".to_owned();
            self.find(LintCode::TargetNeverMatches, Severity::Error, at, message, Some(why));
            return;
        }
        let workspace = self.workspace;
        let Some(queue) = workspace.task_queues.get(&target.queue) else { return };
        let mut survey = expression.survey();
        let mut satisfied = false;
        let alone = expression.task_slots().is_empty() && !expression.uses_time();
        let looked_at = queue.members.len().min(WORKERS_LOOKED_AT).min(self.looks);
        self.looks -= looked_at;
        for worker in queue.members.iter().filter_map(|worker| workspace.workers.get(worker)).take(looked_at) {
            self.with_worker(worker, |scope| {
                survey.look(scope);
                satisfied = satisfied || alone && expression.matches(scope);
            });
        }
        let complete = queue.members.len() == looked_at;
        if complete && survey.seen > 0 && alone && !satisfied {
            let message = format!("none of the {} workers in the task queue satisfies the expression", survey.seen);
            let detail = Some(expression.text().to_owned());
            self.find(LintCode::TargetWithoutWorkers, Severity::Warning, at, message, detail);
        }
        self.survey(&survey, Owner::Worker, at);
    }

    /// Reads the worker's attributes anew when its document lacks names of the configuration.
    fn with_worker(&self, worker: &WorkerEntry, look: impl FnOnce(&super::expression::Scope<'_>)) {
        if self.grown {
            let document = Document::read(self.vocabulary, &attributes_of(&worker.row.attributes));
            self.workspace.with_scope_of(worker, &document, None, None, look);
        } else {
            self.workspace.with_worker_scope(worker, None, None, look);
        }
    }

    /// What the present workers or tasks have of what the clauses name.
    fn survey(&mut self, survey: &Survey<'_>, owner: Owner, at: &str) {
        let seen = survey.seen;
        let (whom, absent) = match owner {
            Owner::Worker => ("workers of the task queue", LintCode::AttributeOfNoWorker),
            Owner::Task => ("tasks looked at", LintCode::AttributeOfNoTask),
        };
        for clause in survey.clauses().iter().filter(|_| seen > 0) {
            for side in clause.sides.iter().filter(|side| side.owner == Some(owner) && side.present == 0) {
                let Some(name) = &side.name else { continue };
                let message = format!("none of the {seen} {whom} has `{name}`");
                let severity =
                    if side.dispensable || owner == Owner::Task { Severity::Note } else { Severity::Warning };
                self.find(absent, severity, at, message, Some(clause.text.clone()));
            }
            if let Some(why) = clause.mismatch.filter(|_| clause.mismatched > 0) {
                let message = format!("`{}` does not fit {} of {seen} {whom}: {why}", clause.text, clause.mismatched);
                self.find(LintCode::TypeClash, Severity::Warning, at, message, Some(clause.text.clone()));
            }
        }
    }

    /// What filters read of tasks, held against the newest ones.
    fn tasks(&mut self, routes: &Routes) {
        let newest = self.workspace.tasks.values().rev().take(TASKS_LOOKED_AT);
        let documents: Vec<Document> =
            newest.map(|entry| Document::read(self.vocabulary, &attributes_of(&entry.row.attributes))).collect();
        for (index, filter) in routes.filters.iter().enumerate().take(FILTERS_COMPARED) {
            let mut survey = filter.expression.survey();
            for document in &documents {
                survey.look(&super::expression::Scope { task: Some(document), ..Default::default() });
            }
            self.survey(&survey, Owner::Task, &format!("task_routing.filters[{index}].expression"));
        }
    }

    fn names(&mut self, expression: &Expression, at: &str) {
        for warning in expression.warnings() {
            let detail = Some(expression.text().to_owned());
            self.find(LintCode::NameWithoutMeaning, Severity::Warning, at, warning.clone(), detail);
        }
        for name in expression.calendars().iter().filter(|name| !self.workspace.calendars.knows(name)) {
            let message = format!("no calendar is `{name}`; whether it is open is null until there is one");
            let detail = Some(expression.text().to_owned());
            self.find(LintCode::CalendarUnknown, Severity::Warning, at, message, detail);
        }
    }

    fn known_worker(&mut self, target: &Target, at: &str, may_be_left: bool) {
        let Some(known) = &target.known_worker else { return };
        let (key, reference) = match known {
            KnownAgent::Sid(reference) => ("known_worker_sid", reference),
            KnownAgent::FriendlyName(reference) => ("known_worker_friendly_name", reference),
        };
        let at = format!("{at}.{key}");
        if !may_be_left {
            let message =
                "a task whose known worker is away or gone waits here until its time to live is over".to_owned();
            self.find(LintCode::KnownWorkerWithoutEnd, Severity::Note, &at, message, None);
        }
        let KnownWorker::Literal(text) = reference else { return };
        let worker: Option<WorkerSid> = match known {
            KnownAgent::Sid(_) => text.parse().ok().filter(|sid| self.workspace.workers.contains_key(sid)),
            KnownAgent::FriendlyName(_) => self.workspace.worker_names.get(&text.to_lowercase()).copied(),
        };
        let queue = self.workspace.task_queues.get(&target.queue);
        let (code, message) = match worker {
            None => {
                (LintCode::KnownWorkerUnknown, format!("no worker is `{text}`; a task's attribute begins with task."))
            }
            Some(worker) if queue.is_some_and(|queue| !queue.members.contains(&worker)) => {
                (LintCode::KnownWorkerNotInQueue, format!("worker {worker} is not in the target's task queue"))
            }
            Some(_) => return,
        };
        self.find(code, Severity::Warning, &at, message, None);
    }
}

/// Whether a task leaves the step while it waits.
fn may_be_left(target: &Target) -> bool {
    target.timeout_secs.is_some() || target.skip_if.is_some()
}

/// Whether a task can leave the filter for a later one.
fn may_leave(filter: &Filter) -> bool {
    filter.targets.iter().all(may_be_left)
}

/// Whether a task can leave the filter without a timeout of its last step, which keeps the default filter open (D18).
fn skips_out(filter: &Filter) -> bool {
    may_leave(filter) && filter.targets.last().is_some_and(|target| target.skip_if.is_some())
}

/// Filters that never let go of their tasks.
#[derive(Default)]
struct Shadows<'r> {
    /// The first that takes every task.
    over_all: Option<usize>,
    by_text: BTreeMap<&'r str, usize>,
    /// The first few, to be compared one by one.
    compared: Vec<usize>,
}

impl<'r> Shadows<'r> {
    fn add(&mut self, index: usize, filter: &'r Filter, takes_all: bool) {
        if may_leave(filter) {
            return;
        }
        if takes_all {
            self.over_all = self.over_all.or(Some(index));
        }
        self.by_text.entry(filter.expression.text()).or_insert(index);
        if index < FILTERS_COMPARED {
            self.compared.push(index);
        }
    }

    /// The one that takes all tasks which this filter could take.
    fn over(&self, routes: &Routes, index: usize) -> Option<usize> {
        let expression = &routes.filters.get(index)?.expression;
        let same = || self.by_text.get(expression.text()).copied();
        let implied = || {
            let compared = self.compared.iter().filter(|_| index < FILTERS_COMPARED);
            let mut earlier = compared.filter_map(|at| routes.filters.get(*at).map(|filter| (*at, filter)));
            earlier.find(|(_, filter)| expression.implies(&filter.expression)).map(|(at, _)| at)
        };
        self.over_all.or_else(same).or_else(implied)
    }
}
