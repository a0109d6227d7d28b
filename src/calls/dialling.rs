//! Whom a workspace dials, how many legs it may have, and how long they last (`quality.md` 2.7).
//!
//! Pure values; who counts is the engine, and the phone system ends what lasts too long. Start with [`DialPolicy::of`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::dial_rules::{DialRules, is_metered};
use crate::routing::WorkspaceSid;

/// Longest leg that is dialled, in seconds, unless it is set otherwise: four hours, the phone system's own limit.
pub const LEG_SECS: u32 = 14_400;

/// What keeps one workspace from dialling at its owner's expense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialling {
    /// Where to.
    pub rules: Arc<DialRules>,
    /// Legs at one time.
    pub legs: u32,
    /// New legs within a minute.
    pub per_minute: u32,
    /// The same to one region: numbers that begin alike, or one SIP domain.
    pub per_region: u32,
}

impl Dialling {
    /// Whether a leg to this address may be dialled at some time: allowed, and not beyond caps of nothing.
    #[must_use]
    pub fn ever_dials(&self, to: &str) -> bool {
        let is_capped_to_nothing = [self.legs, self.per_minute, self.per_region].contains(&0) && is_metered(to);
        !is_capped_to_nothing && self.rules.check(to).is_ok()
    }
}

impl Default for Dialling {
    fn default() -> Self {
        Self { rules: Arc::default(), legs: 100, per_minute: 60, per_region: 10 }
    }
}

/// The same for all workspaces: the usual, and those that have something of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialPolicy {
    usual: Dialling,
    own: BTreeMap<WorkspaceSid, Dialling>,
    /// Longest leg, in seconds.
    pub leg_secs: u32,
}

impl Default for DialPolicy {
    fn default() -> Self {
        Self::from(Dialling::default())
    }
}

impl From<Dialling> for DialPolicy {
    /// The same for every workspace.
    fn from(usual: Dialling) -> Self {
        Self { usual, own: BTreeMap::new(), leg_secs: LEG_SECS }
    }
}

impl DialPolicy {
    /// What this workspace has instead of the usual.
    pub fn set(&mut self, workspace: WorkspaceSid, dialling: Dialling) {
        self.own.insert(workspace, dialling);
    }

    /// What counts for this workspace.
    #[must_use]
    pub fn of(&self, workspace: WorkspaceSid) -> &Dialling {
        self.own.get(&workspace).unwrap_or(&self.usual)
    }
}
