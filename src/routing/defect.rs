//! Known defects, for measuring what the simulation finds: each is a mistake somebody could make in the cores.
//!
//! `defect!(Name)` stands in the cores where the mistake would be made. It is `false`, and compiled away, unless the
//! package is built with the feature `seeded-defects`; even then every defect is off until a test switches one on with
//! `seed`. Nothing else may depend on it. Start with `Defect`, which says what each is.

#[cfg(feature = "seeded-defects")]
mod seeded {
    use std::cell::Cell;

    macro_rules! defects {
        ($($(#[doc = $what:literal])+ $name:ident,)+) => {
            /// A mistake in the cores.
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum Defect {
                $($(#[doc = $what])+ $name,)+
            }

            impl Defect {
                /// All of them.
                pub const ALL: &'static [Self] = &[$(Self::$name,)+];
            }
        };
    }

    defects! {
        /// A worker gets one task more than the capacity allows.
        CapacityOffByOne,
        /// A wrapping reservation takes no capacity.
        WrappingFreesCapacity,
        /// Leaving accepted is not counted.
        AssignedCountDrifts,
        /// Pending reservations have no timer after a restart.
        TimerLostOnRestart,
        /// New attributes of a waiting task are stored, and that is all.
        AttributesNotEvaluated,
        /// The other offers of an accepted task stay open.
        SiblingsKept,
        /// The queue is ordered by age alone.
        PriorityIgnored,
        /// Of two tasks with the same start the younger one is first.
        TieBrokenWrongly,
        /// A changed order of a queue counts for later tasks only.
        ReorderForgotten,
        /// A failed reservation begins the time of the step anew.
        StepClockRestarted,
        /// A worker who rejected a task is offered it again at once.
        GapForgotten,
        /// Changes of a task keep its version.
        TaskVersionKept,
        /// A worker who does not answer stays available.
        TimeoutKeepsActivity,
        /// The default filter takes tasks that timed out.
        DefaultAfterTimeout,
        /// `workers.available` counts those with nothing to do.
        SkipCountsIdleWorkers,
        /// A worker who changes activity is counted in the old one.
        MembersNotMoved,
        /// A queue can be deleted while an older configuration that is still followed leads to it.
        FollowersOverlooked,
        /// Reserved tasks are never taken off the followers of their configuration.
        FollowersDrift,
        /// An offer does not move the worker to the end of the line.
        IdleOrderKept,
        /// Raised capacity is not offered to waiting tasks.
        RaisedCapacityUnused,
        /// Whoever waits for a calendar is not looked at when an administrator opens it.
        CalendarChangeUnheard,
        /// Whoever waits for a time is not looked at when it comes.
        MinuteOverlooked,
        /// The time to live interrupts connecting.
        LifeNotPaused,
        /// A canceled transfer leaves its offers open.
        TransferOffersKept,
        /// A worker is half deleted before the deletion is refused.
        RefusalChanges,
        /// The deletion of a worker takes two event numbers.
        NumberSkipped,
        /// After a start with a clock that is behind, time goes back.
        ClockFollowedBack,
        /// Phone commands found at a start are carried out without looking.
        RepeatedBlindly,
        /// Old deadlines of a call stay in the index.
        CallDeadlineKept,
        /// The worker in the room is enough for acceptance.
        AcceptedWithoutCaller,
        /// Nobody hears that the conversation is over.
        EndOfWorkUntold,
        /// Nobody hears that the waiting caller hung up.
        CallerEndUntold,
        /// An answered phone command counts as open.
        AnswerNotNoted,
        /// A leg that is not wanted any more goes on ringing.
        LegLeftRinging,
        /// A leg that is made after its attempt was given up is left alone.
        LateLegStays,
        /// A call instruction with `accept` is accepted before the worker has answered.
        AcceptedWhileRinging,
        /// Whoever redirects a caller by instruction takes it for a caller who left.
        RedirectTakenForLeaving,
        /// Applications are told of callbacks that they did not ask for.
        RelayedUnasked,
        /// The number of a callback that is passed on is not kept.
        RelayNumberForgotten,
    }

    thread_local! {
        static SEEDED: Cell<Option<Defect>> = const { Cell::new(None) };
    }

    /// Switches one defect on for this thread, or all of them off.
    pub fn seed(defect: Option<Defect>) {
        SEEDED.set(defect);
    }

    pub(crate) fn is_on(defect: Defect) -> bool {
        SEEDED.get() == Some(defect)
    }
}

#[cfg(feature = "seeded-defects")]
pub(crate) use seeded::is_on;
#[cfg(feature = "seeded-defects")]
pub use seeded::{Defect, seed};

#[cfg(feature = "seeded-defects")]
macro_rules! defect {
    ($name:ident) => {
        $crate::routing::defect::is_on($crate::routing::defect::Defect::$name)
    };
}
#[cfg(not(feature = "seeded-defects"))]
macro_rules! defect {
    ($name:ident) => {
        false
    };
}
pub(crate) use defect;
