//! Numbers for the attribute paths that expressions mention.
//!
//! A workspace has few distinct paths however many expressions it has; a document keeps the value of each path at its
//! number, so evaluation never looks at JSON or at key names. Start with [`Vocabulary`].

/// The attribute paths mentioned by the expressions of a workspace, one [`Slot`] each; only grows.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    paths: Vec<Path>,
    /// Slots in the order of their paths.
    sorted: Vec<Slot>,
    /// One more than the greatest slot that is read of a worker.
    worker_slots: usize,
}

/// Number of one attribute path in its vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub(super) u32);

impl Vocabulary {
    /// Returns how many paths it has.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Says whether no expression has mentioned an attribute yet.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Returns the slot of `path`, a new one for a path not yet known.
    pub(super) fn slot(&mut self, path: &Path) -> Slot {
        match self.sorted.binary_search_by(|slot| self.path(*slot).cmp(path)) {
            Ok(at) => self.sorted[at],
            Err(at) => {
                let slot = Slot(u32::try_from(self.paths.len()).expect("each path took bytes of an expression's text"));
                self.paths.push(path.clone());
                self.sorted.insert(at, slot);
                slot
            }
        }
    }

    /// Returns the slot of a path that is read of a worker.
    pub(super) fn worker_slot(&mut self, path: &Path) -> Slot {
        let slot = self.slot(path);
        self.worker_slots = self.worker_slots.max(slot.0 as usize + 1);
        slot
    }

    /// Returns how many slots a document of a worker must have.
    pub(super) fn worker_slots(&self) -> usize {
        self.worker_slots
    }

    /// Returns the paths in the order of their slots.
    pub(super) fn paths(&self) -> &[Path] {
        &self.paths
    }

    fn path(&self, slot: Slot) -> &Path {
        &self.paths[slot.0 as usize]
    }
}

/// A way into a JSON document; its first segment is a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path(Box<[Segment]>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    Key(Box<str>),
    Index(u32),
}

impl Path {
    pub(super) fn new(segments: Vec<Segment>) -> Self {
        Self(segments.into())
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Returns the first name.
    pub(super) fn head(&self) -> &str {
        match self.0.first() {
            Some(Segment::Key(key)) => key,
            _ => "",
        }
    }

    /// Returns the path behind the first name, if that goes on with a name.
    pub(super) fn tail(&self) -> Option<Self> {
        matches!(self.0.get(1), Some(Segment::Key(_))).then(|| Self(self.0[1..].into()))
    }

    /// Returns the value in `json` that this path leads to.
    pub(super) fn find<'j>(&self, json: &'j serde_json::Value) -> Option<&'j serde_json::Value> {
        self.0.iter().try_fold(json, |value, segment| match segment {
            Segment::Key(key) => value.as_object()?.get(&**key),
            Segment::Index(index) => value.as_array()?.get(*index as usize),
        })
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if at == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
