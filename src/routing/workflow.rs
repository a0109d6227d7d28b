//! Workflow configurations: reading and checking the JSON document, and asking it where a task goes.
//!
//! The document is compiled once, when it is saved; tasks keep the version they entered with. This module must not
//! change tasks: it answers questions (TaskRouter: Workflows overview). Start with [`Routes::compile`].

use serde_json::{Map, Value};

use super::expression::{Document, Expression, KnownWorker, Openings, OrderBy, Place, Scope, Vocabulary};
use super::refusal::Refusal;
use super::sid::TaskQueueSid;
use super::time::Timestamp;

/// Longest configuration, in bytes (TaskRouter: resource limits).
pub const CONFIGURATION_BYTES_MAX: usize = 1_038_576;

/// A compiled configuration.
#[derive(Debug)]
pub struct Routes {
    /// Tested from top to bottom.
    pub filters: Vec<Filter>,
    /// Where a task goes that matches no filter.
    pub default: Option<Target>,
}

/// A filter: which tasks, and the steps they take.
#[derive(Debug)]
pub struct Filter {
    /// `filter_friendly_name`
    pub name: Option<String>,
    /// Which tasks.
    pub expression: Expression,
    /// At least one.
    pub targets: Vec<Target>,
}

/// One step: a queue, who of it, and for how long.
#[derive(Debug)]
pub struct Target {
    /// The queue; inherited from the target before where the document names none.
    pub queue: TaskQueueSid,
    /// Which of the queue's workers; all when absent.
    pub expression: Option<Expression>,
    /// Set on the task when it first enters the step.
    pub priority: Option<i32>,
    /// Seconds; `None` stays until the task's time to live.
    pub timeout_secs: Option<u32>,
    /// Seconds from the start of the filter's clock to the end of this step: the sum of all timeouts up to here.
    pub ends_after_secs: u32,
    /// Which worker first, instead of longest idle.
    pub order_by: Option<OrderBy>,
    /// Leave the step at once when nobody can be reserved and this is true.
    pub skip_if: Option<Expression>,
    /// The one worker to wait for.
    pub known_worker: Option<KnownAgent>,
}

/// Known agent routing: how the one worker is named.
#[derive(Debug)]
pub enum KnownAgent {
    /// By SID.
    Sid(KnownWorker),
    /// By friendly name, ignoring case.
    FriendlyName(KnownWorker),
}

impl Routes {
    /// Reads and checks a configuration; `queue_exists` says whether a queue SID belongs to the workspace.
    ///
    /// Refuses with [`Refusal::Invalid`] for `Configuration`, naming the place in the document.
    pub fn compile(
        text: &str,
        vocabulary: &mut Vocabulary,
        queue_exists: &dyn Fn(TaskQueueSid) -> bool,
    ) -> Result<Self, Refusal> {
        if text.len() > CONFIGURATION_BYTES_MAX {
            return Err(invalid("", &format!("longer than {CONFIGURATION_BYTES_MAX} bytes")));
        }
        let document: Value = serde_json::from_str(text).map_err(|error| invalid("", &format!("not JSON: {error}")))?;
        let routing = document
            .get("task_routing")
            .and_then(Value::as_object)
            .ok_or_else(|| invalid("task_routing", "an object is required"))?;
        let mut reader = Reader { vocabulary, queue_exists };
        let mut filters = Vec::new();
        match routing.get("filters") {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    filters.push(reader.filter(item, &format!("task_routing.filters[{index}]"))?);
                }
            }
            Some(_) => return Err(invalid("task_routing.filters", "expected an array")),
        }
        let default = match routing.get("default_filter") {
            None | Some(Value::Null) => None,
            Some(item) => Some(reader.default_filter(item)?),
        };
        if filters.is_empty() && default.is_none() {
            return Err(invalid("task_routing", "filters or default_filter is required"));
        }
        Ok(Self { filters, default })
    }

    /// The first filter at or after `from` whose expression is true for the task at `now`.
    pub fn first_match(&self, task: &Document, from: usize, now: Timestamp, openings: &dyn Openings) -> Option<usize> {
        let scope = Scope { task: Some(task), now: Some(now), openings: Some(openings), ..Scope::default() };
        (from..self.filters.len())
            .find(|&index| self.filters.get(index).is_some_and(|filter| filter.expression.matches(&scope)))
    }

    /// Whether any step leads to the queue.
    pub fn leads_to(&self, queue: TaskQueueSid) -> bool {
        self.targets().any(|target| target.queue == queue)
    }

    /// All expressions that decide where a task goes and whom it meets.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let filters = self.filters.iter().map(|filter| &filter.expression);
        filters.chain(self.targets().flat_map(|target| target.expression.iter().chain(target.skip_if.iter())))
    }

    /// All steps, the default filter last.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.filters.iter().flat_map(|filter| filter.targets.iter()).chain(self.default.iter())
    }
}

struct Reader<'a> {
    vocabulary: &'a mut Vocabulary,
    queue_exists: &'a dyn Fn(TaskQueueSid) -> bool,
}

impl Reader<'_> {
    fn filter(&mut self, item: &Value, at: &str) -> Result<Filter, Refusal> {
        let item = item.as_object().ok_or_else(|| invalid(at, "expected an object"))?;
        let name = match item.get("filter_friendly_name").or_else(|| item.get("friendly_name")) {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name.clone()),
            Some(_) => return Err(invalid(&format!("{at}.filter_friendly_name"), "expected a string")),
        };
        let text = text_of(item, "expression", at)?
            .ok_or_else(|| invalid(&format!("{at}.expression"), "an expression is required"))?;
        let expression = Expression::compile(text, Place::Task, self.vocabulary)
            .map_err(|error| invalid(&format!("{at}.expression"), &error.to_string()))?;
        let items = match item.get("targets") {
            Some(Value::Array(items)) if !items.is_empty() => items,
            _ => return Err(invalid(&format!("{at}.targets"), "at least one target is required")),
        };
        let mut targets: Vec<Target> = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let at = format!("{at}.targets[{index}]");
            let item = item.as_object().ok_or_else(|| invalid(&at, "expected an object"))?;
            let before = targets.last();
            let queue = match self.queue(item, "queue", &at)? {
                Some(queue) => queue,
                None => before
                    .map(|target| target.queue)
                    .ok_or_else(|| invalid(&format!("{at}.queue"), "the first target needs a queue"))?,
            };
            let started = before.map_or(0, |target| target.ends_after_secs);
            let timeout_secs = seconds_of(item, &at)?;
            let skip_if = match text_of(item, "skip_if", &at)? {
                None => None,
                Some(text) => Some(
                    Expression::compile(text, Place::Counts, self.vocabulary)
                        .map_err(|error| invalid(&format!("{at}.skip_if"), &error.to_string()))?,
                ),
            };
            let ends_after_secs = started.saturating_add(timeout_secs.unwrap_or(0));
            targets.push(Target { timeout_secs, ends_after_secs, skip_if, ..self.target(item, queue, &at)? });
        }
        Ok(Filter { name, expression, targets })
    }

    fn default_filter(&mut self, item: &Value) -> Result<Target, Refusal> {
        let at = "task_routing.default_filter";
        let item = item.as_object().ok_or_else(|| invalid(at, "expected an object"))?;
        let queue = match self.queue(item, "queue", at)? {
            Some(queue) => Some(queue),
            None => self.queue(item, "task_queue_sid", at)?,
        };
        let queue = queue.ok_or_else(|| invalid(&format!("{at}.queue"), "a queue is required"))?;
        self.target(item, queue, at)
    }

    /// What targets and the default filter have in common; no timeout, no skip.
    fn target(&mut self, item: &Map<String, Value>, queue: TaskQueueSid, at: &str) -> Result<Target, Refusal> {
        let expression = match text_of(item, "expression", at)? {
            None => None,
            Some(text) => Some(
                Expression::compile(text, Place::TaskAndWorker, self.vocabulary)
                    .map_err(|error| invalid(&format!("{at}.expression"), &error.to_string()))?,
            ),
        };
        let order_by = match text_of(item, "order_by", at)? {
            None => None,
            Some(text) => Some(
                OrderBy::compile(text, self.vocabulary)
                    .map_err(|error| invalid(&format!("{at}.order_by"), &error.to_string()))?,
            ),
        };
        let known_worker = self.known_worker(item, at)?;
        Ok(Target {
            queue,
            expression,
            priority: priority_of(item, at)?,
            timeout_secs: None,
            ends_after_secs: 0,
            order_by,
            skip_if: None,
            known_worker,
        })
    }

    fn known_worker(&mut self, item: &Map<String, Value>, at: &str) -> Result<Option<KnownAgent>, Refusal> {
        let sid = text_of(item, "known_worker_sid", at)?;
        let name = text_of(item, "known_worker_friendly_name", at)?;
        let (key, text) = match (sid, name) {
            (Some(_), Some(_)) => {
                return Err(invalid(at, "known_worker_sid and known_worker_friendly_name exclude each other"));
            }
            (Some(text), None) => ("known_worker_sid", text),
            (None, Some(text)) => ("known_worker_friendly_name", text),
            (None, None) => return Ok(None),
        };
        let known = KnownWorker::compile(text, self.vocabulary)
            .map_err(|error| invalid(&format!("{at}.{key}"), &error.to_string()))?;
        Ok(Some(if sid.is_some() { KnownAgent::Sid(known) } else { KnownAgent::FriendlyName(known) }))
    }

    fn queue(&self, item: &Map<String, Value>, key: &str, at: &str) -> Result<Option<TaskQueueSid>, Refusal> {
        let Some(text) = text_of(item, key, at)? else { return Ok(None) };
        let at = format!("{at}.{key}");
        let queue: TaskQueueSid = text.parse().map_err(|_| invalid(&at, &format!("{text} is not a task queue SID")))?;
        if (self.queue_exists)(queue) {
            Ok(Some(queue))
        } else {
            Err(invalid(&at, &format!("task queue {queue} does not exist in this workspace")))
        }
    }
}

fn invalid(at: &str, reason: &str) -> Refusal {
    let reason = if at.is_empty() { reason.to_owned() } else { format!("{at}: {reason}") };
    Refusal::Invalid { parameter: "Configuration", reason }
}

/// A text that may be absent; an empty one counts as absent.
fn text_of<'a>(item: &'a Map<String, Value>, key: &str, at: &str) -> Result<Option<&'a str>, Refusal> {
    match item.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.trim().is_empty())),
        Some(_) => Err(invalid(&format!("{at}.{key}"), "expected a string")),
    }
}

/// A number such as `15.0`, which is as whole as `15`.
#[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is not larger than what is exact")]
fn whole(number: f64) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i64)
}

/// A whole number, as number or as text (D23).
fn whole_of(item: &Map<String, Value>, key: &str, at: &str) -> Result<Option<i64>, Refusal> {
    let number = match item.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(Value::Number(number)) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
        Some(_) => None,
    };
    number.map(Some).ok_or_else(|| invalid(&format!("{at}.{key}"), "expected a whole number"))
}

fn priority_of(item: &Map<String, Value>, at: &str) -> Result<Option<i32>, Refusal> {
    let Some(number) = whole_of(item, "priority", at)? else { return Ok(None) };
    i32::try_from(number)
        .ok()
        .filter(|priority| *priority >= 0)
        .map(Some)
        .ok_or_else(|| invalid(&format!("{at}.priority"), "expected 0 to 2147483647"))
}

fn seconds_of(item: &Map<String, Value>, at: &str) -> Result<Option<u32>, Refusal> {
    let Some(number) = whole_of(item, "timeout", at)? else { return Ok(None) };
    u32::try_from(number)
        .ok()
        .filter(|secs| *secs > 0)
        .map(Some)
        .ok_or_else(|| invalid(&format!("{at}.timeout"), "expected a positive number of seconds"))
}
