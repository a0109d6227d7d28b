//! What the names in an expression stand for, which depends on where the expression is written (routing.md 2.1, 2.5).
//!
//! Turns paths into [`Operand`]s and collects what the expression depends on; looks up nothing itself except at
//! evaluation, in the [`Scope`]. Start with [`Meaning::resolve`].

use super::explain::Owner;
use super::scope::{ChannelValues, Scope, WorkerNames};
use super::time_of_day::TimeOfDay;
use super::value::{Value, View};
use super::vocabulary::{Path, Segment, Slot, Vocabulary};

/// Where an expression is written, which decides what its names mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `target_workers` of a queue, `TargetWorkersExpression` of a list: bare names are of a worker.
    Worker,
    /// `expression` of a workflow filter, `EvaluateTaskAttributes` of a list: bare names are of a task, those of
    /// `taskrouter.` tell the time of day.
    Task,
    /// `expression` of a workflow target: names begin with `task.` or `worker.`, or tell the time of day.
    TaskAndWorker,
    /// `skip_if` of a workflow target: names begin with `workers.`, or with `task.` (D11).
    Counts,
}

/// One side of a comparison, ready for evaluation.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Constant(Value),
    TaskAttribute(Slot),
    WorkerAttribute(Slot),
    /// A field of the worker unless an attribute has its name (D7).
    WorkerField(Field, Slot),
    /// A figure of a channel; the attribute at the slot if there is no such channel (D10).
    Channel(Box<str>, Figure, Slot),
    Count(Count),
    TimeOfDay(TimeOfDay),
    /// Whether the calendar of this name is open.
    CalendarOpen(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Sid,
    FriendlyName,
    ActivitySid,
    ActivityName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    ConfiguredCapacity,
    AssignedTasks,
    AvailableCapacityPercentage,
    /// The channel itself, which compares like an object.
    Whole,
    /// Something a channel does not have.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Available,
    Unavailable,
    InActivity(Box<str>),
}

/// What the names of one expression turned out to depend on.
#[derive(Clone, Debug, Default)]
pub(super) struct Meaning {
    pub(super) uses_activity: bool,
    pub(super) uses_channels: bool,
    pub(super) uses_time: bool,
    pub(super) uses_worker: bool,
    /// In order of appearance until [`Meaning::finish`].
    pub(super) task_slots: Vec<Slot>,
    /// The same.
    pub(super) worker_slots: Vec<Slot>,
    /// Names of calendars.
    pub(super) calendars: Vec<Box<str>>,
    pub(super) warnings: Vec<String>,
}

impl Meaning {
    /// Finds out what `path` stands for in an expression written at `place`.
    pub(super) fn resolve(&mut self, path: &Path, place: Place, vocabulary: &mut Vocabulary) -> Operand {
        if matches!(place, Place::Task | Place::TaskAndWorker)
            && let Some(timed) = TimeOfDay::named(path).map(Operand::TimeOfDay).or_else(|| self.calendar_open(path))
        {
            self.uses_time = true;
            return timed;
        }
        match (place, path.head()) {
            (Place::Worker, "worker") => {
                if let Some((unique_name, figure)) = channel(&path.segments()[1..]) {
                    return self.channel(unique_name, figure, vocabulary.worker_slot(path));
                }
                self.warn_literal(path, "a worker's attributes");
                self.worker(path, vocabulary)
            }
            (Place::Worker, head) => {
                if matches!(head, "task" | "taskrouter") {
                    self.warn_literal(path, "a worker's attributes");
                }
                self.worker(path, vocabulary)
            }
            (Place::Task, head) => {
                if matches!(head, "task" | "worker" | "taskrouter") {
                    self.warn_literal(path, "a task's attributes");
                }
                self.task(path, vocabulary)
            }
            (Place::TaskAndWorker | Place::Counts, "task") => match path.tail() {
                Some(tail) => self.task(&tail, vocabulary),
                None => self.nothing(path, "has no attribute name after task"),
            },
            (Place::TaskAndWorker, "worker") => match path.tail() {
                Some(tail) => match channel(tail.segments()) {
                    Some((unique_name, figure)) => self.channel(unique_name, figure, vocabulary.worker_slot(&tail)),
                    None => self.worker(&tail, vocabulary),
                },
                None => self.nothing(path, "has no attribute name after worker"),
            },
            (Place::TaskAndWorker, _) => self.nothing(path, "begins with neither task. nor worker."),
            (Place::Counts, "workers") => match count(path) {
                Some(count) => Operand::Count(count),
                None => self.nothing(path, "is not workers.available, workers.unavailable or workers.WA…"),
            },
            (Place::Counts, _) => self.nothing(path, "begins with neither workers. nor task."),
        }
    }

    /// Brings the collected slots into their order.
    pub(super) fn finish(&mut self) {
        self.task_slots.sort_unstable();
        self.task_slots.dedup();
        self.worker_slots.sort_unstable();
        self.worker_slots.dedup();
        self.calendars.sort_unstable();
        self.calendars.dedup();
        self.warnings.dedup();
    }

    /// Reads `taskrouter.calendar.<name>.open`, where the name may have dots itself; none for anything else.
    fn calendar_open(&mut self, path: &Path) -> Option<Operand> {
        let keys: Option<Vec<&str>> = path
            .segments()
            .iter()
            .map(|segment| if let Segment::Key(key) = segment { Some(&**key) } else { None })
            .collect();
        let ["taskrouter", "calendar", name @ .., "open"] = keys.as_deref()? else { return None };
        if name.is_empty() {
            return None;
        }
        let name = name.join(".").into_boxed_str();
        self.calendars.push(name.clone());
        Some(Operand::CalendarOpen(name))
    }

    fn task(&mut self, path: &Path, vocabulary: &mut Vocabulary) -> Operand {
        let slot = vocabulary.slot(path);
        self.task_slots.push(slot);
        Operand::TaskAttribute(slot)
    }

    /// A path below a worker: one of four fields or an attribute (D7, D8).
    fn worker(&mut self, path: &Path, vocabulary: &mut Vocabulary) -> Operand {
        self.uses_worker = true;
        let slot = vocabulary.worker_slot(path);
        self.worker_slots.push(slot);
        let field = match (path.segments().len(), path.head()) {
            (1, "sid") => Field::Sid,
            (1, "friendly_name") => Field::FriendlyName,
            (1, "activity_sid") => Field::ActivitySid,
            (1, "activity_name") => Field::ActivityName,
            _ => return Operand::WorkerAttribute(slot),
        };
        self.uses_activity |= matches!(field, Field::ActivitySid | Field::ActivityName);
        Operand::WorkerField(field, slot)
    }

    fn channel(&mut self, unique_name: &str, figure: Figure, slot: Slot) -> Operand {
        self.uses_worker = true;
        self.uses_channels = true;
        self.worker_slots.push(slot);
        Operand::Channel(unique_name.into(), figure, slot)
    }

    fn nothing(&mut self, path: &Path, why: &str) -> Operand {
        self.warnings.push(format!("`{path}` {why} and is always null here"));
        Operand::Constant(Value::Null)
    }

    /// Notes a prefix that does not mean what it means in a target expression (D9).
    fn warn_literal(&mut self, path: &Path, attributes: &str) {
        self.warnings.push(format!("`{path}` is read as a path in {attributes}: names have no prefix here"));
    }
}

/// Splits `channel.<unique name>.<property>`.
fn channel(path: &[Segment]) -> Option<(&str, Figure)> {
    let [Segment::Key(channel), Segment::Key(unique_name), rest @ ..] = path else { return None };
    if &**channel != "channel" {
        return None;
    }
    let figure = match rest {
        [] => Figure::Whole,
        [Segment::Key(property)] => match &**property {
            "configured_capacity" => Figure::ConfiguredCapacity,
            "assigned_tasks" => Figure::AssignedTasks,
            "available_capacity_percentage" => Figure::AvailableCapacityPercentage,
            _ => Figure::Unknown,
        },
        _ => Figure::Unknown,
    };
    Some((unique_name, figure))
}

/// Reads `workers.<what>`.
fn count(path: &Path) -> Option<Count> {
    let [_, Segment::Key(what)] = path.segments() else { return None };
    match &**what {
        "available" => Some(Count::Available),
        "unavailable" => Some(Count::Unavailable),
        sid if sid.starts_with("WA") => Some(Count::InActivity(sid.into())),
        _ => None,
    }
}

/// What a missing attribute is.
static NULL: Value = Value::Null;

impl Operand {
    /// Looks up an operand whose value lies ready as such; none for built-in names.
    #[inline]
    pub(super) fn stored<'v>(&'v self, scope: &Scope<'v>) -> Option<&'v Value> {
        let (document, slot) = match self {
            Self::WorkerAttribute(slot) => (scope.worker, *slot),
            Self::TaskAttribute(slot) => (scope.task, *slot),
            Self::Constant(value) => return Some(value),
            Self::WorkerField(..) | Self::Channel(..) | Self::Count(_) | Self::TimeOfDay(_) | Self::CalendarOpen(_) => {
                return None;
            }
        };
        Some(document.and_then(|document| document.value(slot)).unwrap_or(&NULL))
    }

    /// Looks up any operand.
    pub(super) fn view<'v>(&'v self, scope: &Scope<'v>) -> View<'v> {
        match self {
            Self::Constant(_) | Self::TaskAttribute(_) | Self::WorkerAttribute(_) => {
                self.stored(scope).map_or(View::Null, Value::view)
            }
            Self::WorkerField(field, slot) => match scope.worker.and_then(|worker| worker.value(*slot)) {
                Some(value) => value.view(),
                None => scope.names.map_or(View::Null, |names| View::Text(field.of(names))),
            },
            Self::Channel(unique_name, figure, slot) => {
                match scope.names.and_then(|names| names.channels.figures(unique_name)) {
                    Some(values) => figure.of(values),
                    None => scope.worker.and_then(|worker| worker.value(*slot)).map_or(View::Null, Value::view),
                }
            }
            Self::TimeOfDay(time_of_day) => scope.now.map_or(View::Null, |now| time_of_day.at(now)),
            Self::CalendarOpen(name) => {
                let open = scope.now.zip(scope.openings).and_then(|(now, openings)| openings.is_open(name, now));
                open.map_or(View::Null, View::Bool)
            }
            Self::Count(count) => scope.counts.map_or(View::Null, |counts| {
                View::Number(f64::from(match count {
                    Count::Available => counts.available(),
                    Count::Unavailable => counts.unavailable(),
                    Count::InActivity(sid) => counts.in_activity(sid),
                }))
            }),
        }
    }
}

impl Operand {
    /// Whose attribute it is.
    pub(super) const fn owner(&self) -> Option<Owner> {
        match self {
            Self::TaskAttribute(_) => Some(Owner::Task),
            Self::WorkerAttribute(_) => Some(Owner::Worker),
            _ => None,
        }
    }

    /// Whether there is something to compare: an attribute that is null counts as there.
    pub(super) fn is_present(&self, scope: &Scope<'_>) -> bool {
        let (document, slot) = match self {
            Self::TaskAttribute(slot) => (scope.task, *slot),
            Self::WorkerAttribute(slot) => (scope.worker, *slot),
            _ => return !matches!(self.view(scope), View::Null),
        };
        document.is_some_and(|document| document.value(slot).is_some())
    }
}

impl Field {
    fn of<'v>(self, names: &WorkerNames<'v>) -> &'v str {
        match self {
            Self::Sid => names.sid,
            Self::FriendlyName => names.friendly_name,
            Self::ActivitySid => names.activity_sid,
            Self::ActivityName => names.activity_name,
        }
    }
}

impl Figure {
    fn of(self, values: ChannelValues) -> View<'static> {
        let figure = match self {
            Self::ConfiguredCapacity => values.configured_capacity,
            Self::AssignedTasks => values.assigned_tasks,
            Self::AvailableCapacityPercentage => values.available_capacity_percentage,
            Self::Whole => return View::Object,
            Self::Unknown => return View::Null,
        };
        View::Number(f64::from(figure))
    }
}
