//! `[agents]`: which of their own attributes agents cannot change.
//!
//! Must not look at attributes. Start with [`AttributeLocks`].

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::routing::WorkspaceSid;

/// What agents may not do.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agents {
    /// Attributes that are locked in every workspace: names, with dots for what is inside an object.
    pub locked_attributes: Vec<String>,
    /// What single workspaces have instead.
    #[serde(default)]
    pub workspaces: BTreeMap<String, Names>,
}

/// Names of attributes.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected names of attributes: a list, or a text with commas")]
pub enum Names {
    /// With commas, as variables and options have it.
    Text(String),
    /// One by one.
    List(Vec<String>),
}

impl Names {
    fn read(&self) -> Vec<String> {
        match self {
            Self::Text(text) => {
                text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
            }
            Self::List(names) => names.clone(),
        }
    }
}

/// Attributes of workers that their own tokens cannot change, by workspace.
#[derive(Debug, Clone, Default)]
pub struct AttributeLocks {
    usual: Vec<String>,
    own: BTreeMap<WorkspaceSid, Vec<String>>,
}

impl AttributeLocks {
    /// Locked names of a workspace, with dots for what is inside an object.
    #[must_use]
    pub fn of(&self, workspace: WorkspaceSid) -> &[String] {
        self.own.get(&workspace).unwrap_or(&self.usual)
    }
}

impl Agents {
    /// What is locked where; the error names the key.
    pub fn locks(&self) -> Result<AttributeLocks, String> {
        let checked = |key: &str, names: Vec<String>| {
            let wrong = names.iter().find(|name| name.split('.').any(|part| part.trim().is_empty()));
            match wrong {
                Some(name) => Err(format!("{key}: expected the name of an attribute, found {name:?}")),
                None => Ok(names),
            }
        };
        let mut locks = AttributeLocks {
            usual: checked("agents.locked_attributes", self.locked_attributes.clone())?,
            own: BTreeMap::new(),
        };
        for (name, names) in &self.workspaces {
            let key = format!("agents.workspaces.{name}");
            let sid = name.parse().map_err(|_| format!("{key}: expected the SID of a workspace, WS…"))?;
            locks.own.insert(sid, checked(&key, names.read())?);
        }
        Ok(locks)
    }
}
