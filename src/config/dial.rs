//! `[dial]`: whom the server dials, how often and for how long, for all workspaces and for single ones.
//!
//! Must not dial or count. Start with [`Config::dialling`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::Config;
use crate::calls::{DialPolicy, DialRules, Dialling};
use crate::routing::WorkspaceSid;

/// Highest number of each cap.
const CAP_MAX: u32 = 100_000;
/// The phone system's limits of a leg, in seconds (Twilio: `TimeLimit`).
const LEG_SECS: std::ops::RangeInclusive<u32> = 60..=86_400;
/// How much higher the caps are at a phone system for tests: load tests dial as fast as they can.
const SLACK: u32 = 100;

/// Whom the server dials, and how often.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dial {
    /// Destinations besides clients of the phone system.
    pub allow: Vec<String>,
    /// Legs of a workspace at one time.
    pub legs_max: u32,
    /// New ones within a minute.
    pub per_minute_max: u32,
    /// The same to one region.
    pub per_region_max: u32,
    /// Longest leg in seconds.
    pub leg_secs_max: u32,
    /// What single workspaces have instead.
    #[serde(default)]
    pub workspaces: BTreeMap<String, WorkspaceDial>,
}

/// What a workspace has instead of the usual.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expected destinations separated by commas, or allow, legs_max, per_minute_max and per_region_max"
)]
pub enum WorkspaceDial {
    /// Destinations, separated by commas; as variables and options have it.
    Allow(String),
    /// What is set; the rest is as for all.
    Set(OwnDial),
}

/// The settings that a workspace may have of its own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnDial {
    allow: Option<Vec<String>>,
    legs_max: Option<u32>,
    per_minute_max: Option<u32>,
    per_region_max: Option<u32>,
}

impl WorkspaceDial {
    fn read(&self) -> OwnDial {
        match self {
            Self::Set(own) => own.clone(),
            Self::Allow(list) => {
                let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
                OwnDial { allow: Some(entries.map(ToOwned::to_owned).collect()), ..OwnDial::default() }
            }
        }
    }
}

impl Config {
    /// Whom the server dials: as `dial.allow` says; without it nobody but clients, at a phone system for tests everybody.
    pub(super) fn dial_rules(&self) -> Result<DialRules, String> {
        let rules = if self.dials_for_tests() { DialRules::parse(&["*"]) } else { DialRules::parse(&self.dial.allow) };
        rules.map_err(|error| format!("dial.allow: {error}"))
    }

    fn dials_for_tests(&self) -> bool {
        self.dial.allow.is_empty() && self.phone_is_for_tests()
    }

    /// Whom each workspace dials, how often and for how long; the error names the key.
    pub fn dialling(&self) -> Result<DialPolicy, String> {
        let dial = &self.dial;
        let slack = if self.dials_for_tests() { SLACK } else { 1 };
        let cap = |key: &str, value: u32| match value {
            0..=CAP_MAX => Ok(value),
            _ => Err(format!("{key}: expected 0 to {CAP_MAX}, found {value}")),
        };
        let usual = Dialling {
            rules: Arc::new(self.dial_rules()?),
            legs: cap("dial.legs_max", dial.legs_max)?.saturating_mul(slack),
            per_minute: cap("dial.per_minute_max", dial.per_minute_max)?.saturating_mul(slack),
            per_region: cap("dial.per_region_max", dial.per_region_max)?.saturating_mul(slack),
        };
        let mut policy = DialPolicy::from(usual.clone());
        if !LEG_SECS.contains(&dial.leg_secs_max) {
            let (least, most, found) = (LEG_SECS.start(), LEG_SECS.end(), dial.leg_secs_max);
            return Err(format!("dial.leg_secs_max: expected {least} to {most}, found {found}"));
        }
        policy.leg_secs = dial.leg_secs_max;
        for (name, own) in &dial.workspaces {
            let key = |name_of_setting: &str| format!("dial.workspaces.{name}.{name_of_setting}");
            let sid: WorkspaceSid =
                name.parse().map_err(|_| format!("dial.workspaces.{name}: expected the SID of a workspace, WS…"))?;
            let own = own.read();
            let mut dialling = usual.clone();
            if let Some(allow) = &own.allow {
                let rules = DialRules::parse(allow).map_err(|error| format!("{}: {error}", key("allow")))?;
                dialling.rules = Arc::new(rules);
            }
            for (setting, given, target) in [
                ("legs_max", own.legs_max, &mut dialling.legs),
                ("per_minute_max", own.per_minute_max, &mut dialling.per_minute),
                ("per_region_max", own.per_region_max, &mut dialling.per_region),
            ] {
                if let Some(given) = given {
                    *target = cap(&key(setting), given)?;
                }
            }
            policy.set(sid, dialling);
        }
        Ok(policy)
    }
}
