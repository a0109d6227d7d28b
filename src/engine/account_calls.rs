//! Calls of an account's other workspaces, which a redirect instruction may name (`spec/voice.md` 3.5).
//!
//! A workspace knows its own calls only, so the engine looks before it hands the instruction over. A call that is nobody's
//! task stays out of reach: the phone system's account may serve others too. Start with [`Engine::find_redirected`].

use super::request::{AssignmentAnswer, Consequence};
use super::{CallRedirect, Engine, Request, ReservationInstruction, StoreError};
use crate::calls::CallSid;
use crate::routing::WorkspaceSid;

/// The redirect instruction in a request, by whichever way it came.
fn redirect_of(request: &mut Request) -> Option<&mut CallRedirect> {
    let (Request::Instruct { instruction, .. }
    | Request::AssignmentAnswered {
        answer: AssignmentAnswer { consequence: Consequence::Instruction(instruction), .. },
        ..
    }) = request
    else {
        return None;
    };
    match instruction {
        ReservationInstruction::Redirect(redirect) => Some(redirect),
        _ => None,
    }
}

impl Engine {
    /// Notes whether the call of a redirect instruction is that of a caller in another workspace of the account.
    pub(super) async fn find_redirected(&self, workspace: WorkspaceSid, request: &mut Request) {
        let Some(redirect) = redirect_of(request) else { return };
        match self.is_caller_of_sibling(workspace, &redirect.call).await {
            Ok(found) => redirect.of_sibling = found,
            Err(error) => tracing::error!(workspace.sid = %workspace, %error, "cannot look up the call of a redirect"),
        }
    }

    async fn is_caller_of_sibling(&self, workspace: WorkspaceSid, call: &CallSid) -> Result<bool, StoreError> {
        let store = &self.0.around.store;
        let row = store.voice_task_by_call(&call.0).await?;
        let Some(row) = row.filter(|row| !row.closed && row.workspace != workspace) else { return Ok(false) };
        let account = store.account_of_workspace(workspace).await?;
        Ok(account.is_some() && account == store.account_of_workspace(row.workspace).await?)
    }
}
