//! The way of a task through a workflow if nobody took it: tried on the present state, nothing is stored.
//!
//! Follows the same steps as `step` (routing.md 3.3), but with the clock of the question instead of events: each step has
//! a window of seconds from the task's creation. Who could take it is told as it is now. Start with
//! [`Workspace::dry_run`].

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use super::command::ChannelName;
use super::explain::blocks::{Demand, Readings};
use super::explain::{FilterExplanation, StepExplanation, StepKind, Tally, WorkerVerdict, explain_filter};
use super::expression::{Document, Scope, Syntaxes, Vocabulary};
use super::index::attributes_of;
use super::refusal::Refusal;
use super::sid::{TaskChannelSid, WorkerSid, WorkflowSid};
use super::step::{REASON_WORKFLOW_SKIP, REASON_WORKFLOW_TIMEOUT};
use super::task::{REASON_TTL, TIMEOUT_SECS_DEFAULT, TIMEOUT_SECS_MAX, channel_text, check_priority};
use super::time::Timestamp;
use super::turn::check_attributes;
use super::workflow::{Routes, Target};
use super::workspace::Workspace;

/// Most steps of a path.
const STEPS_MAX: usize = 100;

/// Most filters that are explained.
const FILTERS_MAX: usize = 100;

/// Workers that are looked at in one dry run, over all steps.
const LOOKS_MAX: usize = 30_000;

/// Workers whose attributes are read anew for a configuration that is not saved.
const READINGS_MAX: usize = 1_000;

/// Blocked workers that are listed in one dry run, unless the limit of a step is higher.
const BLOCKED_MAX: usize = 300;

/// Candidates that are named in each step.
const CANDIDATES_MAX: usize = 50;

/// A task that does not exist, and the configuration it is tried on.
#[derive(Debug, Clone, Default)]
pub struct DryRun {
    /// A JSON object.
    pub attributes: String,
    /// May be absent with a configuration, or in a workspace of one workflow.
    pub workflow: Option<WorkflowSid>,
    /// A configuration that is not saved, instead of the workflow's own.
    pub configuration: Option<String>,
    /// When the task comes; now if absent.
    pub created_at: Option<Timestamp>,
    /// The moment at which its step is asked for; that of its creation if absent.
    pub at: Option<Timestamp>,
    /// 0 to 2,147,483,647.
    pub priority: Option<i32>,
    /// `default` if absent.
    pub channel: Option<ChannelName>,
    /// Time to live in seconds.
    pub timeout_secs: Option<u32>,
    /// Blocked workers that are listed in each step.
    pub limit: usize,
}

/// The way of the task.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// The workflow, unless the configuration belongs to none.
    pub workflow: Option<WorkflowSid>,
    /// When the task comes.
    pub created_at: Timestamp,
    /// The moment asked for.
    pub at: Timestamp,
    /// Filters from the first to the first that matches, with the values of the task.
    pub filters: Vec<FilterExplanation>,
    /// How many the configuration has.
    pub filters_total: usize,
    /// One step after the other.
    pub steps: Vec<WayStep>,
    /// Which of them the task stands in at the moment asked for.
    pub standing: Option<usize>,
    /// What becomes of it after the last step.
    pub end: WayEnd,
}

/// One step of the way.
#[derive(Debug, Clone, PartialEq)]
pub struct WayStep {
    /// `filter_friendly_name` of its filter.
    pub filter_name: Option<String>,
    /// As it is configured.
    pub step: StepExplanation,
    /// Seconds from creation.
    pub from_secs: u32,
    /// Seconds from creation; none when nothing but the time to live ends it.
    pub until_secs: Option<u32>,
    /// Left as soon as it is entered, because `skip_if` holds and nobody is free.
    pub skipped: bool,
    /// The task's priority in it.
    pub priority: i32,
    /// Workers of its queue; none when too many were looked at in the steps before.
    pub tally: Option<Tally>,
    /// Who would be offered the task now, best first.
    pub candidates: Vec<(WorkerSid, String)>,
    /// How many of these at once.
    pub offers_at_once: usize,
    /// Some of the others and what blocks them.
    pub blocked: Vec<WorkerVerdict>,
}

/// What becomes of a task that nobody takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayEnd {
    /// It cannot be made: no filter matches and there is no default filter.
    NotCreated,
    /// It is canceled.
    Canceled {
        /// The task's reason.
        reason: &'static str,
        /// Seconds from creation.
        after_secs: u32,
    },
    /// The rest of the way is not told: it has too many steps.
    Cut,
}

impl Workspace {
    /// The way of a task through a workflow if nobody took it.
    pub fn dry_run(&self, run: &DryRun, now: Timestamp) -> Result<Way, Refusal> {
        check_attributes(&run.attributes)?;
        check_priority(run.priority.unwrap_or(0))?;
        let ttl_secs = run.timeout_secs.unwrap_or(TIMEOUT_SECS_DEFAULT);
        if ttl_secs == 0 || ttl_secs > TIMEOUT_SECS_MAX {
            let reason = format!("expected 1 to {TIMEOUT_SECS_MAX} seconds");
            return Err(Refusal::Invalid { parameter: "Timeout", reason });
        }
        let created_at = run.created_at.or(run.at).unwrap_or(now);
        let at = run.at.unwrap_or(created_at);
        if at < created_at {
            let reason = "is before DateCreated".to_owned();
            return Err(Refusal::Invalid { parameter: "Instant", reason });
        }
        let draft = self.draft(run.workflow, run.configuration.as_deref())?;
        let document = Document::read(&draft.vocabulary, &attributes_of(&run.attributes));
        let mut walk = Walk {
            workspace: self,
            routes: &draft.routes,
            vocabulary: draft.grown.then_some(&*draft.vocabulary),
            document: &document,
            channel: self.dry_channel(run.channel.as_ref())?,
            created_at,
            ttl_secs,
            limit: run.limit,
            listed: 0,
            priority: run.priority.unwrap_or(0),
            steps: Vec::new(),
            looks: LOOKS_MAX,
            readings: Cell::new(READINGS_MAX),
            syntaxes: Syntaxes::default(),
        };
        let end = walk.go();
        let steps = walk.steps;
        let matched = draft.routes.first_match(&document, 0, created_at, &self.calendars);
        let last = matched.unwrap_or(draft.routes.filters.len().saturating_sub(1));
        let scope = Scope { task: Some(&document), ..Scope::at(created_at, &self.calendars) };
        let filters = (0..draft.routes.filters.len().min(last + 1))
            .filter(|index| *index < FILTERS_MAX || Some(*index) == matched)
            .filter_map(|index| explain_filter(&draft.routes, index, &scope, Some(index) == matched));
        let elapsed = u32::try_from(at.secs_since(created_at)).unwrap_or(u32::MAX);
        let alive = elapsed < ttl_secs;
        let standing = steps.iter().position(|step| {
            alive && !step.skipped && step.from_secs <= elapsed && step.until_secs.is_none_or(|until| elapsed < until)
        });
        Ok(Way {
            workflow: draft.workflow,
            created_at,
            at,
            filters: filters.collect(),
            filters_total: draft.routes.filters.len(),
            steps,
            standing,
            end,
        })
    }

    fn dry_channel(&self, name: Option<&ChannelName>) -> Result<TaskChannelSid, Refusal> {
        let unknown = |value: String| Refusal::UnknownReference { parameter: "TaskChannel", value };
        match name {
            None => self.channel_names.get("default").copied().ok_or_else(|| unknown("default".to_owned())),
            Some(ChannelName::Unique(unique)) => {
                self.channel_names.get(unique).copied().ok_or_else(|| unknown(unique.clone()))
            }
            Some(ChannelName::Sid(sid)) if self.task_channels.contains_key(sid) => Ok(*sid),
            Some(other) => Err(unknown(channel_text(other))),
        }
    }

    /// The configuration of a workflow, or one that is not saved; compiling that leaves the workspace as it is.
    pub(super) fn draft(
        &self,
        workflow: Option<WorkflowSid>,
        configuration: Option<&str>,
    ) -> Result<Draft<'_>, Refusal> {
        if let Some(workflow) = workflow
            && !self.workflows.contains_key(&workflow)
        {
            return Err(Refusal::UnknownReference { parameter: "WorkflowSid", value: workflow.to_string() });
        }
        if let Some(text) = configuration {
            let mut vocabulary = self.vocabulary.clone();
            let routes = Routes::compile(text, &mut vocabulary, &|queue| self.task_queues.contains_key(&queue))?;
            let grown = vocabulary.len() > self.vocabulary.len();
            return Ok(Draft { workflow, routes: Arc::new(routes), vocabulary: Cow::Owned(vocabulary), grown });
        }
        let mut workflows = self.workflows.keys();
        let workflow = match (workflow, workflows.next(), workflows.next()) {
            (Some(workflow), ..) => workflow,
            (None, Some(only), None) => *only,
            _ => return Err(Refusal::Missing { parameter: "WorkflowSid" }),
        };
        let row = self.workflows.get(&workflow).ok_or(Refusal::NotFound)?;
        let version = self.versions.get(&(workflow, row.version)).ok_or(Refusal::NotFound)?;
        Ok(Draft {
            workflow: Some(workflow),
            routes: Arc::clone(&version.routes),
            vocabulary: Cow::Borrowed(&self.vocabulary),
            grown: false,
        })
    }
}

/// A configuration with the vocabulary it was compiled against.
pub(super) struct Draft<'a> {
    pub(super) workflow: Option<WorkflowSid>,
    pub(super) routes: Arc<Routes>,
    pub(super) vocabulary: Cow<'a, Vocabulary>,
    /// It names attributes that no saved expression names, so that workers' documents lack them.
    pub(super) grown: bool,
}

/// One task on its way.
struct Walk<'a> {
    workspace: &'a Workspace,
    routes: &'a Routes,
    /// Only when workers' documents lack names of the configuration.
    vocabulary: Option<&'a Vocabulary>,
    document: &'a Document,
    channel: TaskChannelSid,
    created_at: Timestamp,
    ttl_secs: u32,
    limit: usize,
    /// Blocked workers so far.
    listed: usize,
    priority: i32,
    steps: Vec<WayStep>,
    looks: usize,
    readings: Cell<usize>,
    syntaxes: Syntaxes,
}

impl Walk<'_> {
    /// Ends because each round goes to a later target or a later filter.
    fn go(&mut self) -> WayEnd {
        let (mut elapsed, mut from, mut timed_out) = (0, 0, false);
        loop {
            if elapsed >= self.ttl_secs {
                return WayEnd::Canceled { reason: REASON_TTL, after_secs: self.ttl_secs };
            }
            let moment = self.created_at.plus_secs(elapsed);
            let calendars = &self.workspace.calendars;
            let Some(filter) = self.routes.first_match(self.document, from, moment, calendars) else {
                return self.leave(elapsed, timed_out);
            };
            let base = elapsed;
            let Some(targets) = self.routes.filters.get(filter).map(|filter| &filter.targets) else {
                return WayEnd::Cut;
            };
            let mut left_by_skip = false;
            for (index, target) in targets.iter().enumerate() {
                if self.steps.len() == STEPS_MAX {
                    return WayEnd::Cut;
                }
                let until = target.timeout_secs.map(|_| base.saturating_add(target.ends_after_secs));
                // Steps whose time is already over are passed by (D15).
                if until.is_some_and(|until| elapsed >= until) {
                    left_by_skip = false;
                    continue;
                }
                let kind = StepKind::Target { filter, target: index, targets: targets.len() };
                let skipped = self.enter(kind, target, elapsed, until);
                left_by_skip = skipped;
                if skipped {
                    continue;
                }
                match until {
                    Some(until) if until < self.ttl_secs => elapsed = until,
                    _ => return WayEnd::Canceled { reason: REASON_TTL, after_secs: self.ttl_secs },
                }
            }
            timed_out |= !left_by_skip;
            from = filter + 1;
        }
    }

    /// No further filter matches.
    fn leave(&mut self, elapsed: u32, timed_out: bool) -> WayEnd {
        let routes = self.routes;
        match &routes.default {
            Some(target) if !timed_out => {
                self.enter(StepKind::Default, target, elapsed, None);
                WayEnd::Canceled { reason: REASON_TTL, after_secs: self.ttl_secs }
            }
            _ if self.steps.is_empty() => WayEnd::NotCreated,
            _ if timed_out => WayEnd::Canceled { reason: REASON_WORKFLOW_TIMEOUT, after_secs: elapsed },
            _ => WayEnd::Canceled { reason: REASON_WORKFLOW_SKIP, after_secs: elapsed },
        }
    }

    /// Adds a step; true when it is skipped.
    fn enter(&mut self, kind: StepKind, target: &Target, from_secs: u32, until_secs: Option<u32>) -> bool {
        self.priority = target.priority.unwrap_or(self.priority);
        let workspace = self.workspace;
        // Workers are told as they are now, the time of day as it will be then.
        let moment = self.created_at.plus_secs(from_secs);
        let step = workspace.explain_target(kind, target, self.document);
        let demand = Demand {
            queue: Some(target.queue),
            channel: self.channel,
            expression: target.expression.as_ref(),
            document: self.document,
            known: workspace.known_worker(target, self.document),
            targeted: None,
            ignore_capacity: false,
            task: None,
            syntaxes: &self.syntaxes,
            readings: self.vocabulary.map(|vocabulary| Readings { vocabulary, left: &self.readings }),
        };
        let queue = workspace.task_queues.get(&target.queue);
        let members = queue.map_or(0, |queue| queue.members.len());
        let (mut tally, mut free, mut blocked) = (None, Vec::new(), Vec::new());
        if let Some(queue) = queue.filter(|_| members <= self.looks) {
            self.looks -= members;
            let tally = tally.insert(Tally::default());
            for worker in queue.members.iter().filter_map(|worker| workspace.workers.get(worker)) {
                let block = workspace.first_block(worker, &demand, moment);
                tally.count(block);
                if block.is_none() {
                    free.push(worker.row.sid);
                } else if blocked.len() < self.limit && self.listed < BLOCKED_MAX.max(self.limit) {
                    self.listed += 1;
                    blocked.push(workspace.verdict(worker, &demand, moment));
                }
            }
        }
        let names = workspace
            .in_order(&free, &demand, target.order_by.as_ref())
            .into_iter()
            .filter_map(|worker| workspace.workers.get(&worker).map(|entry| (worker, entry.row.friendly_name.clone())));
        let candidates: Vec<_> = names.take(CANDIDATES_MAX).collect();
        let holds = step.skip_if.as_ref().is_some_and(super::expression::Explanation::holds);
        let skipped = holds && candidates.is_empty();
        let filter_name = match kind {
            StepKind::Target { filter, .. } => self.routes.filters.get(filter).and_then(|filter| filter.name.clone()),
            StepKind::Default | StepKind::Direct => None,
        };
        self.steps.push(WayStep {
            filter_name,
            step,
            from_secs,
            until_secs: if skipped { Some(from_secs) } else { until_secs },
            skipped,
            priority: self.priority,
            tally,
            candidates,
            offers_at_once: workspace.offers_at_once(target.queue),
            blocked,
        });
        skipped
    }
}
