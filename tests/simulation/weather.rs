//! What went wrong on the way between the phone system and us: counts, so that a storm can tell that it was one.
//!
//! Start with [`Weather`].

use std::fmt;

/// Counts of messages that met with something.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    /// Callers who came.
    pub(crate) callers: u64,
    /// Callbacks sent, and of these: lost for good, arrived twice, arrived later, arrived after a younger one.
    pub(crate) callbacks: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) late: u64,
    pub(crate) overtaken: u64,
    /// Commands sent, and of these: not carried out or refused, carried out with the answer lost.
    pub(crate) commands: u64,
    pub(crate) failed: u64,
    pub(crate) unanswered: u64,
}

impl Weather {
    /// Callbacks and commands that something was done to, in thousandths of all; overtaking alone is not counted.
    pub(crate) fn hit_permille(&self) -> u64 {
        let hit = self.lost + self.doubled + self.late + self.failed + self.unanswered;
        (hit * 1_000).checked_div(self.callbacks + self.commands).unwrap_or(0)
    }
}

impl std::ops::AddAssign for Weather {
    fn add_assign(&mut self, more: Self) {
        self.callers += more.callers;
        self.callbacks += more.callbacks;
        self.lost += more.lost;
        self.doubled += more.doubled;
        self.late += more.late;
        self.overtaken += more.overtaken;
        self.commands += more.commands;
        self.failed += more.failed;
        self.unanswered += more.unanswered;
    }
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} callers; {} callbacks: {} lost, {} doubled, {} late, {} overtaken; {} commands: {} failed, {} without an answer",
            self.callers,
            self.callbacks,
            self.lost,
            self.doubled,
            self.late,
            self.overtaken,
            self.commands,
            self.failed,
            self.unanswered
        )
    }
}
