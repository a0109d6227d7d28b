//! Facts added up: figures of five minutes and of an hour, for each scope and channel, and how a window is cut into them.
//!
//! Figures are additive, so a commit adds what its facts amount to and never reads. Whole buckets of a window are answered
//! from figures, its edges from facts; the sum is what all its facts amount to. Nothing here touches a store. Start with
//! [`Rollup::of`] and [`Pieces::of`].

use std::collections::BTreeMap;

use super::fact::{Fact, FactKind};
use super::sid::{TaskChannelSid, TaskQueueSid, WorkerSid, WorkflowSid, WorkspaceSid};
use super::time::Timestamp;

/// Whose figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each variant is the resource of the same name")]
pub enum FiguresOf {
    Workspace(WorkspaceSid),
    TaskQueue(TaskQueueSid),
    Workflow(WorkflowSid),
    Worker(WorkerSid),
}

impl FiguresOf {
    /// The kinds of facts that such a scope shows.
    #[must_use]
    pub const fn shows(self, kind: FactKind) -> bool {
        use FactKind::{TasksCreated, TasksEnteredQueue, TasksEnteredWorkflow, TasksTimedOutInWorkflow};
        match self {
            Self::Workspace(_) => !matches!(kind, TasksEnteredQueue | TasksEnteredWorkflow),
            Self::TaskQueue(_) => !matches!(kind, TasksCreated | TasksEnteredWorkflow | TasksTimedOutInWorkflow),
            Self::Workflow(_) => !matches!(kind, TasksCreated | TasksEnteredQueue),
            Self::Worker(_) => kind.is_of_reservation(),
        }
    }
}

impl std::fmt::Display for FiguresOf {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Workspace(sid) => sid.fmt(formatter),
            Self::TaskQueue(sid) => sid.fmt(formatter),
            Self::Workflow(sid) => sid.fmt(formatter),
            Self::Worker(sid) => sid.fmt(formatter),
        }
    }
}

/// Waits added up, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waits {
    /// All together.
    pub total: i64,
    /// The shortest; `None` when there was none.
    pub min: Option<i64>,
    /// The longest.
    pub max: Option<i64>,
}

impl Waits {
    /// One wait.
    #[must_use]
    pub const fn one(secs: i64) -> Self {
        Self { total: secs, min: Some(secs), max: Some(secs) }
    }

    /// Adds up.
    pub fn add(&mut self, other: Self) {
        self.total += other.total;
        self.min = self.min.into_iter().chain(other.min).min();
        self.max = self.max.into_iter().chain(other.max).max();
    }
}

/// What a number of facts amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// In the order of [`FactKind::ALL`].
    counts: [i64; FactKind::ALL.len()],
    /// From the tasks' creation to acceptance.
    pub until_accepted: Waits,
    /// From the tasks' entry into their queue to acceptance.
    pub in_queue_until_accepted: Waits,
    /// From the tasks' creation to cancellation.
    pub until_canceled: Waits,
}

impl Figures {
    /// How often it happened.
    #[must_use]
    pub const fn count(&self, kind: FactKind) -> i64 {
        self.counts[kind as usize]
    }

    /// Counts something that happened `times` times.
    pub const fn add_count(&mut self, kind: FactKind, times: i64) {
        self.counts[kind as usize] += times;
    }

    /// Adds up.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.until_accepted.add(other.until_accepted);
        self.in_queue_until_accepted.add(other.in_queue_until_accepted);
        self.until_canceled.add(other.until_canceled);
    }

    /// What one fact amounts to.
    #[must_use]
    pub fn of(fact: &Fact) -> Self {
        let mut figures = Self::default();
        figures.add_count(fact.kind, 1);
        let wait = fact.wait_secs.map_or_else(Waits::default, Waits::one);
        match fact.kind {
            FactKind::ReservationsAccepted => figures.until_accepted = wait,
            FactKind::TasksCanceled => figures.until_canceled = wait,
            _ => {}
        }
        figures.in_queue_until_accepted = fact.wait_in_queue_secs.map_or_else(Waits::default, Waits::one);
        figures
    }
}

/// How long a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// Five minutes.
    FiveMinutes,
    /// An hour.
    Hour,
}

impl Width {
    /// Both.
    pub const ALL: [Self; 2] = [Self::FiveMinutes, Self::Hour];

    /// In seconds.
    #[must_use]
    pub const fn secs(self) -> u32 {
        match self {
            Self::FiveMinutes => 300,
            Self::Hour => 3_600,
        }
    }

    /// Beginning of the bucket that a moment is in.
    #[must_use]
    pub const fn begin(self, at: Timestamp) -> Timestamp {
        Timestamp(at.0 - at.0.rem_euclid(self.secs() as i64 * 1_000))
    }

    /// Beginning of the first bucket that does not begin before a moment.
    #[must_use]
    pub const fn begin_from(self, at: Timestamp) -> Timestamp {
        let begin = self.begin(at);
        if begin.0 == at.0 { begin } else { begin.plus_secs(self.secs()) }
    }
}

/// Where figures are added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket {
    /// Whose.
    pub of: FiguresOf,
    /// How long.
    pub width: Width,
    /// First moment.
    pub begin: Timestamp,
    /// On which channel.
    pub channel: Option<TaskChannelSid>,
}

/// Figures to add to one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollup {
    /// Where.
    pub bucket: Bucket,
    /// What.
    pub figures: Figures,
}

impl Rollup {
    /// What facts of a workspace add to which buckets, each bucket once, in order.
    #[must_use]
    pub fn of(workspace: WorkspaceSid, facts: &[Fact]) -> Vec<Self> {
        let mut buckets: BTreeMap<Bucket, Figures> = BTreeMap::new();
        for fact in facts {
            let figures = Figures::of(fact);
            let scopes = [
                Some(FiguresOf::Workspace(workspace)),
                fact.queue.map(FiguresOf::TaskQueue),
                fact.workflow.map(FiguresOf::Workflow),
                fact.worker.map(FiguresOf::Worker),
            ];
            for of in scopes.into_iter().flatten().filter(|of| of.shows(fact.kind)) {
                for width in Width::ALL {
                    let bucket = Bucket { of, width, begin: width.begin(fact.at), channel: fact.channel };
                    buckets.entry(bucket).or_default().add(&figures);
                }
            }
        }
        buckets.into_iter().map(|(bucket, figures)| Self { bucket, figures }).collect()
    }
}

/// A stretch of time: the first moment, and the moment after the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// First moment.
    pub from: Timestamp,
    /// The moment after the last one.
    pub until: Timestamp,
}

impl Stretch {
    /// Nothing if it has no length.
    fn new(from: Timestamp, until: Timestamp) -> Option<Self> {
        (from < until).then_some(Self { from, until })
    }
}

/// A window, cut into the pieces that its figures come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pieces {
    /// Too short for a bucket: from facts.
    pub facts: Vec<Stretch>,
    /// Whole buckets.
    pub buckets: Vec<(Width, Stretch)>,
}

impl Pieces {
    /// Cuts a window.
    #[must_use]
    pub fn of(window: Stretch) -> Self {
        let mut pieces = Self::default();
        let (inner, edges) = cut(window, Width::FiveMinutes);
        pieces.facts.extend(edges);
        let Some(inner) = inner else { return pieces };
        let (hours, edges) = cut(inner, Width::Hour);
        pieces.buckets.extend(edges.map(|edge| (Width::FiveMinutes, edge)));
        pieces.buckets.extend(hours.map(|hours| (Width::Hour, hours)));
        pieces
    }
}

/// The whole buckets within a stretch, and what is left at both ends.
fn cut(stretch: Stretch, width: Width) -> (Option<Stretch>, impl Iterator<Item = Stretch>) {
    let (first, last) = (width.begin_from(stretch.from), width.begin(stretch.until));
    let inner = Stretch::new(first, last);
    let edges = match inner {
        Some(inner) => [Stretch::new(stretch.from, inner.from), Stretch::new(inner.until, stretch.until)],
        None => [Stretch::new(stretch.from, stretch.until), None],
    };
    (inner, edges.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: i64, until: i64, facts: &[(i64, i64)], buckets: &[(Width, i64, i64)]) {
        let moment = |minutes: i64| Timestamp(minutes * 60_000);
        let stretch = |from, until| Stretch { from: moment(from), until: moment(until) };
        let found = Pieces::of(stretch(from, until));
        assert_eq!(found.facts, facts.iter().map(|(from, until)| stretch(*from, *until)).collect::<Vec<_>>());
        let buckets: Vec<_> = buckets.iter().map(|(width, from, until)| (*width, stretch(*from, *until))).collect();
        assert_eq!(found.buckets, buckets, "{from} to {until}");
    }

    #[test]
    fn a_window_is_cut_into_whole_buckets_and_edges() {
        use Width::{FiveMinutes, Hour};
        check(1, 4, &[(1, 4)], &[]);
        check(4, 6, &[(4, 6)], &[]);
        check(5, 5, &[], &[]);
        check(5, 10, &[], &[(FiveMinutes, 5, 10)]);
        check(3, 18, &[(3, 5), (15, 18)], &[(FiveMinutes, 5, 15)]);
        check(0, 60, &[], &[(Hour, 0, 60)]);
        check(57, 184, &[(57, 60), (180, 184)], &[(Hour, 60, 180)]);
        check(43, 188, &[(43, 45), (185, 188)], &[(FiveMinutes, 45, 60), (FiveMinutes, 180, 185), (Hour, 60, 180)]);
        check(-7, 2, &[(-7, -5), (0, 2)], &[(FiveMinutes, -5, 0)]);
    }

    #[test]
    fn pieces_of_random_windows_lie_side_by_side() {
        let mut seed = 1_u64;
        let mut below = |limit: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from((seed >> 33) % limit).unwrap()
        };
        for _ in 0..2_000 {
            let from = 1_790_000_000_000 + below(7_200_000);
            let window = Stretch { from: Timestamp(from), until: Timestamp(from + below(40_000_000)) };
            let pieces = Pieces::of(window);
            for (width, stretch) in &pieces.buckets {
                assert_eq!((width.begin(stretch.from), width.begin(stretch.until)), (stretch.from, stretch.until));
            }
            let mut all: Vec<Stretch> =
                pieces.facts.iter().copied().chain(pieces.buckets.iter().map(|(_, stretch)| *stretch)).collect();
            all.sort_by_key(|stretch| stretch.from);
            let mut reached = window.from;
            for stretch in all {
                assert_eq!(stretch.from, reached, "{window:?}");
                assert!(stretch.from < stretch.until);
                reached = stretch.until;
            }
            assert_eq!(reached, window.until, "{window:?}");
        }
    }
}
