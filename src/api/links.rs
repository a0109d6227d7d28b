//! Absolute URLs in answers.
//!
//! Clients fetch them verbatim, so they begin with the address the client can reach, which `http::PublicUrl` knows.
//! Start with `Place`.

use crate::routing::{AccountSid, WorkspaceSid};

/// The workspace that a request is about, and how its URLs begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// With `/v1`.
    pub(super) base: String,
    pub(super) account: AccountSid,
    pub(super) workspace: WorkspaceSid,
}

impl Place {
    /// URL of the workspace.
    pub(super) fn workspace_url(&self) -> String {
        self.url("")
    }

    /// URL of what is at `path` (with a leading slash) in the workspace.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/Workspaces/{}{path}", self.base, self.workspace)
    }
}
