//! Reads a TwiML document with `<Enqueue workflowSid>` (`spec/voice.md` 2.1 and 2.2).
//!
//! Must not judge what the values mean. Start with [`EnqueueDocument::parse`].

use super::walk::{Element, Part, Problem, Step, Walk, trimmed};

/// What a document says about enqueueing; attribute values are as written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct EnqueueDocument {
    pub(super) workflow: Option<String>,
    pub(super) action: Option<String>,
    pub(super) method: Option<String>,
    pub(super) wait_url: Option<String>,
    pub(super) wait_method: Option<String>,
    /// Neither a workflow nor a `<Task>`: a queue of the phone system's own.
    pub(super) is_plain: bool,
    /// What stands in it that means nothing, in words: it has no effect.
    pub(super) unknown: Vec<String>,
    /// Text of the first `<Task>` (or `<TaskAttributes>`).
    pub(super) attributes: String,
    pub(super) priority: Option<String>,
    pub(super) timeout: Option<String>,
    /// Verbs before `<Enqueue>`, byte for byte.
    pub(super) before: String,
    /// Whether one of those may lead the call elsewhere, or connect it with somebody.
    pub(super) may_not_come: bool,
    /// Verbs after `<Enqueue>`, byte for byte.
    pub(super) after: Option<String>,
}

/// Attributes that mean something.
const OF_ENQUEUE: [&str; 5] = ["workflowSid", "action", "method", "waitUrl", "waitUrlMethod"];
const OF_TASK: [&str; 2] = ["priority", "timeout"];
/// Verbs after which the call goes on with the next one whatever happens.
const IN_PASSING: [&str; 3] = ["Say", "Play", "Pause"];
/// So much that means nothing is told of, and so much of a name.
const UNKNOWN_MAX: usize = 10;
const NAME_MAX: usize = 40;

/// Where an `<Enqueue>` stands in the text.
#[derive(Debug, Default)]
struct Found {
    verb: EnqueueDocument,
    has_task: bool,
    starts_at: usize,
    ends_at: usize,
}

impl EnqueueDocument {
    /// Reads the first `<Enqueue>` with a workflow, else the first `<Enqueue>`.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let text = trimmed(text);
        let mut walk = Walk::new(text)?;
        let mut reading = Reading { text, ..Reading::default() };
        while let Some(step) = walk.step()? {
            reading.take(step);
        }
        reading.chosen()
    }
}

/// A document that is being read.
#[derive(Default)]
struct Reading<'a> {
    text: &'a str,
    /// Where the content of `<Response>` begins and ends.
    content: (usize, usize),
    found: Vec<Found>,
    /// Where the first verb begins that may lead the call elsewhere.
    leads_away_at: Option<usize>,
    in_enqueue: bool,
    in_task: bool,
}

impl Reading<'_> {
    fn take(&mut self, step: Step) {
        match step.part {
            Part::Open { depth: 0, .. } => self.content = (step.to, step.to),
            Part::Open { element, depth: 1 } if element.name == "Enqueue" => {
                self.leads_away_at.get_or_insert(step.from);
                self.open_enqueue(&element, step.from);
            }
            Part::Open { element, depth: 1 } if !IN_PASSING.contains(&element.name.as_str()) => {
                self.leads_away_at.get_or_insert(step.from);
            }
            Part::Open { element, depth: 2 } if self.in_enqueue => {
                if matches!(element.name.as_str(), "Task" | "TaskAttributes") {
                    self.open_task(&element);
                } else {
                    self.note_unknown(format!("element {}", shortened(&element.name)));
                }
            }
            Part::Close { depth: 0 } => self.content.1 = step.from,
            Part::Close { depth: 1 } if self.in_enqueue => {
                self.in_enqueue = false;
                if let Some(found) = self.found.last_mut() {
                    found.ends_at = step.to;
                }
            }
            Part::Close { depth: 2 } => self.in_task = false,
            Part::Text(text) if self.in_task => {
                if let Some(found) = self.found.last_mut() {
                    found.verb.attributes.push_str(&text);
                }
            }
            _ => {}
        }
    }

    fn open_enqueue(&mut self, element: &Element, starts_at: usize) {
        let given = |name: &str| element.get(name).map(str::to_owned);
        let verb = EnqueueDocument {
            workflow: given("workflowSid"),
            action: given("action"),
            method: given("method"),
            wait_url: given("waitUrl"),
            wait_method: given("waitUrlMethod"),
            ..EnqueueDocument::default()
        };
        self.in_enqueue = true;
        self.found.push(Found { verb, starts_at, ..Found::default() });
        self.note_attributes(element, &OF_ENQUEUE);
    }

    fn note_attributes(&mut self, element: &Element, known: &[&str]) {
        for attribute in element.attributes.iter().filter(|attribute| !known.contains(&attribute.name.as_str())) {
            self.note_unknown(format!("attribute {} of {}", shortened(&attribute.name), element.name));
        }
    }

    fn note_unknown(&mut self, what: String) {
        if let Some(found) = self.found.last_mut().filter(|found| found.verb.unknown.len() < UNKNOWN_MAX) {
            found.verb.unknown.push(what);
        }
    }

    fn open_task(&mut self, element: &Element) {
        if self.found.last().is_some_and(|found| found.has_task) {
            return self.note_unknown(format!("a further {}", element.name));
        }
        self.note_attributes(element, &OF_TASK);
        let Some(found) = self.found.last_mut() else { return };
        found.has_task = true;
        self.in_task = true;
        found.verb.priority = element.get("priority").map(str::to_owned);
        found.verb.timeout = element.get("timeout").map(str::to_owned);
    }

    fn chosen(self) -> Result<EnqueueDocument, Problem> {
        let (starts_at, ends_at) = self.content;
        let with_workflow = self.found.iter().position(|found| found.verb.workflow.is_some());
        let Some(found) = self.found.into_iter().nth(with_workflow.unwrap_or(0)) else {
            return Err(Problem::NoEnqueue);
        };
        let between = |from: usize, to: usize| self.text.get(from..to).unwrap_or_default().trim();
        let after = between(found.ends_at, ends_at);
        Ok(EnqueueDocument {
            is_plain: found.verb.workflow.is_none() && !found.has_task,
            may_not_come: self.leads_away_at.is_some_and(|at| at < found.starts_at),
            before: between(starts_at, found.starts_at).to_owned(),
            after: (!after.is_empty()).then(|| after.to_owned()),
            ..found.verb
        })
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(NAME_MAX).collect()
}

#[cfg(test)]
mod tests;
