//! Dry runs and lints of workflows: what would become of a task, what is doubtful in a configuration.
//!
//! Both answer for a saved workflow or for a `Configuration` that is not saved; nothing is stored. Nothing of it is
//! Twilio's. Start with [`create`] and [`lint_unsaved`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::explain;
use super::form::Form;
use super::json::{answer, date};
use super::links::Place;
use super::scope::{Scope, channel_name};
use super::workflows::BODY_LIMIT;
use crate::routing::WorkflowSid;
use crate::routing::dry_run::{DryRun, Way, WayEnd, WayStep};
use crate::routing::lint::Finding;

pub(super) async fn create(scope: Scope, form: Form<BODY_LIMIT>) -> Result<Response, ApiError> {
    let run = DryRun {
        attributes: form.attributes("Attributes")?.ok_or_else(|| ApiError::missing("Attributes"))?,
        workflow: form.sid("WorkflowSid")?,
        configuration: form.filled("Configuration").map(str::to_owned),
        created_at: form.moment("DateCreated")?,
        at: form.moment("Instant")?,
        priority: form.integer("Priority", 0..=i32::MAX)?,
        channel: form.filled("TaskChannel").map(channel_name),
        timeout_secs: form.integer("Timeout", 1..=1_209_600)?,
        limit: explain::limit(&form)?,
    };
    let unsaved = run.configuration.is_some();
    let way = scope.look_now(move |workspace, now| workspace.dry_run(&run, now)).await?;
    let way = way.map_err(|refusal| scope.refused(&refusal))?;
    Ok(answer(StatusCode::OK, &render(&scope.place, &way, unsaved)))
}

pub(super) async fn lint_unsaved(scope: Scope, form: Form<BODY_LIMIT>) -> Result<Response, ApiError> {
    let configuration = form.required("Configuration")?;
    let findings = scope.look(move |workspace| workspace.lint(None, Some(&configuration))).await?;
    let findings = findings.map_err(|refusal| scope.refused(&refusal))?;
    Ok(answer(StatusCode::OK, &render_findings(&scope.place, None, &findings)))
}

pub(super) async fn lint_saved(scope: Scope) -> Result<Response, ApiError> {
    let sid: WorkflowSid = scope.path_sid("Sid")?;
    let findings = scope.look(move |workspace| workspace.lint(Some(sid), None)).await?;
    // The only refusal is that the workflow does not exist.
    let findings = findings.map_err(|_| scope.not_found())?;
    Ok(answer(StatusCode::OK, &render_findings(&scope.place, Some(sid), &findings)))
}

fn render(place: &Place, way: &Way, unsaved: bool) -> Value {
    let end = match way.end {
        WayEnd::NotCreated => json!({ "kind": "not_created", "reason": null, "after": null }),
        WayEnd::Canceled { reason, after_secs } => {
            json!({ "kind": "canceled", "reason": reason, "after": after_secs })
        }
        WayEnd::Cut => json!({ "kind": "too_many_steps", "reason": null, "after": null }),
    };
    json!({
        "account_sid": place.account,
        "workspace_sid": place.workspace,
        "workflow_sid": way.workflow,
        "unsaved_configuration": unsaved,
        "date_created": date(way.created_at),
        "instant": date(way.at),
        "filters": way.filters.iter().map(explain::filter).collect::<Vec<_>>(),
        "filters_total": way.filters_total,
        "steps": way.steps.iter().map(render_step).collect::<Vec<_>>(),
        "step_at_instant": way.standing,
        "end": end,
        "url": place.url("/Workflows/DryRun"),
    })
}

fn render_step(step: &WayStep) -> Value {
    let candidates =
        step.candidates.iter().map(|(worker, name)| json!({ "worker_sid": worker, "friendly_name": name }));
    json!({
        "filter_friendly_name": step.filter_name,
        "target": explain::step(&step.step),
        "from": step.from_secs,
        "until": step.until_secs,
        "skipped": step.skipped,
        "priority": step.priority,
        "eligible_workers": step.tally.as_ref().map(explain::tally),
        "candidates": candidates.collect::<Vec<_>>(),
        "offers_at_once": step.offers_at_once,
        "blocked_workers": step.blocked.iter().map(explain::verdict).collect::<Vec<_>>(),
    })
}

fn render_findings(place: &Place, workflow: Option<WorkflowSid>, findings: &[Finding]) -> Value {
    let rendered = findings.iter().map(|finding| {
        json!({
            "code": finding.code.as_str(),
            "severity": finding.severity.as_str(),
            "place": finding.place,
            "message": finding.message,
            "detail": finding.detail,
        })
    });
    let path = workflow.map_or("/Workflows/Lint".to_owned(), |workflow| format!("/Workflows/{workflow}/Lint"));
    json!({
        "account_sid": place.account,
        "workspace_sid": place.workspace,
        "workflow_sid": workflow,
        "findings": rendered.collect::<Vec<_>>(),
        "url": place.url(&path),
    })
}
