//! Compiled texts: expressions, workflow configurations and attributes, each read once.
//!
//! Compiling is the core's own; what is done with the result is not.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use switchhook::routing::expression::{Document, Expression, Place, Vocabulary};
use switchhook::routing::workflow::{Routes, Target};
use switchhook::routing::{Step, Task, WorkflowSid};

use super::{Stored, mix};

/// Attribute texts that are kept.
const DOCUMENTS_MAX: usize = 2_000;

/// By text, which is never listed: the order does not matter.
type ByText<T> = HashMap<String, T, BuildHasherDefault<QuickHasher>>;

#[derive(Default)]
pub(super) struct Reading {
    vocabulary: Vocabulary,
    expressions: ByText<Option<Expression>>,
    routes: BTreeMap<(WorkflowSid, u32), Routes>,
    documents: RefCell<ByText<Rc<Document>>>,
}

/// Texts are looked up several times a step, and nobody chooses them to collide.
#[derive(Default)]
struct QuickHasher(u64);

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.0 = mix(self.0 ^ u64::from_le_bytes(last));
    }
}

impl Reading {
    /// Reads everything that is new among the rows.
    pub(super) fn learn(&mut self, stored: &Stored, configured: bool) {
        if self.documents.get_mut().len() >= DOCUMENTS_MAX {
            self.documents.get_mut().clear();
        }
        if configured {
            for queue in stored.task_queues.values() {
                self.learn_expression(&queue.target_workers);
            }
            let current = stored.workflows.values().map(|row| (row.sid, row.version, &row.configuration));
            let older = stored.versions.values().map(|row| (row.workflow, row.version, &row.configuration));
            for (workflow, version, text) in current.chain(older) {
                if !self.routes.contains_key(&(workflow, version)) {
                    let routes = Routes::compile(text, &mut self.vocabulary, &|_| true).expect("it was saved");
                    self.routes.insert((workflow, version), routes);
                }
            }
            let kept = |key: &(WorkflowSid, u32)| {
                stored.workflows.get(&key.0).is_some_and(|row| row.version == key.1)
                    || stored.versions.contains_key(key)
            };
            self.routes.retain(|key, _| kept(key));
        }
    }

    pub(super) fn forget_routes(&mut self) {
        self.routes.clear();
    }

    pub(super) fn learn_expression(&mut self, text: &str) {
        if !self.expressions.contains_key(text) {
            let compiled = Expression::compile(text, Place::Worker, &mut self.vocabulary).ok();
            self.expressions.insert(text.to_owned(), compiled);
        }
    }

    pub(super) fn expression(&self, text: &str) -> Option<&Expression> {
        self.expressions.get(text)?.as_ref()
    }

    /// Attributes, read if they are new or expressions name more of them than before.
    pub(super) fn document(&self, text: &str) -> Rc<Document> {
        let known = self.documents.borrow().get(text).filter(|known| known.is_current(&self.vocabulary)).map(Rc::clone);
        known.unwrap_or_else(|| {
            let json = serde_json::from_str(text).unwrap_or_default();
            let document = Rc::new(Document::read(&self.vocabulary, &json));
            self.documents.borrow_mut().insert(text.to_owned(), Rc::clone(&document));
            document
        })
    }

    pub(super) fn routes(&self, workflow: WorkflowSid, version: u32) -> Option<&Routes> {
        self.routes.get(&(workflow, version))
    }

    pub(super) fn routes_of(&self, task: &Task) -> Option<&Routes> {
        self.routes(task.workflow?, task.workflow_version)
    }

    /// The step a task stands in; none when it was placed without filters or is being transferred.
    pub(super) fn target_of(&self, task: &Task) -> Option<&Target> {
        if task.transfer.is_some() {
            return None;
        }
        let routes = self.routes_of(task)?;
        match task.step {
            Step::Target { filter, target } => {
                routes.filters.get(usize::try_from(filter).ok()?)?.targets.get(usize::try_from(target).ok()?)
            }
            Step::Default => routes.default.as_ref(),
            Step::Direct => None,
        }
    }
}
