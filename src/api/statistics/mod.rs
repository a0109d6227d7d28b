//! Statistics of a workspace, its queues, workflows and workers: how it is now, and what happened in a window.
//!
//! The present is asked of the workspace in memory, the past is read from the store; `window` reads what is asked for,
//! `shapes` writes the JSON. Start with [`Asked`] and [`show`].

mod shapes;
mod window;

use std::collections::BTreeMap;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::form::{Parameters, Query, invalid};
use super::json::answer;
use super::page::Paging;
use super::scope::{Scope, channel_name};
use crate::routing::command::ChannelName;
use crate::routing::real_time::{TaskFigures, TasksOf, WorkerFigures, WorkersWhere};
use crate::routing::rollup::{Figures, FiguresOf};
use crate::routing::{TaskChannelSid, TaskQueueSid, WorkerSid, Workspace};
use crate::store::pages::List;
use crate::store::statistics::{Cumulative, Question, StaysOf};
use crate::store::views::TaskQueueView;
use shapes::{Kind, Members, set};
use window::{Window, thresholds};

/// Queues in one bulk request (TaskRouter: statistics of task queues).
const BULK_MAX: usize = 50;

/// Longest body of a bulk request, in bytes.
const BULK_BYTES_MAX: usize = 64 * 1024;

/// Which half of the statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    RealTime,
    Cumulative,
    Both,
}

/// Whose statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    /// A workspace, a queue or a workflow.
    Tasks(TasksOf),
    /// Workers.
    Workers(WorkersWhere),
    /// One worker.
    Worker(WorkerSid),
}

/// What the query string asks for.
#[derive(Debug, Clone)]
struct Asked {
    channel: Option<ChannelName>,
    window: Window,
    thresholds: Option<Vec<u32>>,
    /// `TaskQueueName`, which becomes `WorkersWhere::queue`.
    queue_name: Option<String>,
}

impl Asked {
    fn read(scope: &Scope, query: &Parameters) -> Result<Self, ApiError> {
        Ok(Self {
            channel: query.filled("TaskChannel").map(channel_name),
            window: Window::read(query, scope.state.clock.now())?,
            thresholds: thresholds(query)?,
            queue_name: query.filled("TaskQueueName").map(str::to_owned),
        })
    }
}

/// What a look at the workspace finds.
struct Seen {
    channel: Option<TaskChannelSid>,
    tasks: TaskFigures,
    workers: WorkerFigures,
    /// The workers themselves, where conditions restrict them.
    restricted_to: Option<Vec<WorkerSid>>,
}

/// What a look can miss.
enum Missing {
    Subject,
    Channel,
    TaskQueue(TaskQueueSid),
}

pub(super) async fn workspace(scope: Scope, query: Query) -> Result<Response, ApiError> {
    show(&scope, &query, Subject::Tasks(TasksOf::Workspace), Half::Both).await
}

pub(super) async fn workspace_real_time(scope: Scope, query: Query) -> Result<Response, ApiError> {
    show(&scope, &query, Subject::Tasks(TasksOf::Workspace), Half::RealTime).await
}

pub(super) async fn workspace_cumulative(scope: Scope, query: Query) -> Result<Response, ApiError> {
    show(&scope, &query, Subject::Tasks(TasksOf::Workspace), Half::Cumulative).await
}

pub(super) async fn task_queue(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let queue = scope.path_sid("TaskQueueSid")?;
    show(&scope, &query, Subject::Tasks(TasksOf::TaskQueue(queue)), Half::Both).await
}

pub(super) async fn task_queue_real_time(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let queue = scope.path_sid("TaskQueueSid")?;
    show(&scope, &query, Subject::Tasks(TasksOf::TaskQueue(queue)), Half::RealTime).await
}

pub(super) async fn task_queue_cumulative(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let queue = scope.path_sid("TaskQueueSid")?;
    show(&scope, &query, Subject::Tasks(TasksOf::TaskQueue(queue)), Half::Cumulative).await
}

pub(super) async fn workflow(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let workflow = scope.path_sid("WorkflowSid")?;
    show(&scope, &query, Subject::Tasks(TasksOf::Workflow(workflow)), Half::Both).await
}

pub(super) async fn workflow_real_time(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let workflow = scope.path_sid("WorkflowSid")?;
    show(&scope, &query, Subject::Tasks(TasksOf::Workflow(workflow)), Half::RealTime).await
}

pub(super) async fn workflow_cumulative(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let workflow = scope.path_sid("WorkflowSid")?;
    show(&scope, &query, Subject::Tasks(TasksOf::Workflow(workflow)), Half::Cumulative).await
}

pub(super) async fn workers(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let conditions = WorkersWhere {
        queue: query.sid("TaskQueueSid")?,
        friendly_name: query.filled("FriendlyName").map(str::to_owned),
    };
    show(&scope, &query, Subject::Workers(conditions), Half::Both).await
}

pub(super) async fn workers_real_time(scope: Scope, query: Query) -> Result<Response, ApiError> {
    show(&scope, &query, Subject::Workers(WorkersWhere::default()), Half::RealTime).await
}

pub(super) async fn workers_cumulative(scope: Scope, query: Query) -> Result<Response, ApiError> {
    show(&scope, &query, Subject::Workers(WorkersWhere::default()), Half::Cumulative).await
}

pub(super) async fn worker(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let worker = scope.path_sid("WorkerSid")?;
    show(&scope, &query, Subject::Worker(worker), Half::Both).await
}

async fn show(scope: &Scope, query: &Parameters, subject: Subject, half: Half) -> Result<Response, ApiError> {
    let asked = Asked::read(scope, query)?;
    let seen = see(scope, &asked, subject.clone()).await?;
    let mut body = Members::new();
    set(&mut body, "account_sid", scope.place.account.to_string());
    set(&mut body, "workspace_sid", scope.place.workspace.to_string());
    let (collection, named) = match &subject {
        Subject::Tasks(TasksOf::Workspace) => (String::new(), None),
        Subject::Tasks(TasksOf::TaskQueue(queue)) => {
            (format!("/TaskQueues/{queue}"), Some(("task_queue_sid", queue.to_string())))
        }
        Subject::Tasks(TasksOf::Workflow(workflow)) => {
            (format!("/Workflows/{workflow}"), Some(("workflow_sid", workflow.to_string())))
        }
        Subject::Workers(_) => ("/Workers".to_owned(), None),
        Subject::Worker(worker) => (format!("/Workers/{worker}"), Some(("worker_sid", worker.to_string()))),
    };
    if let Some((name, sid)) = named {
        set(&mut body, name, sid);
    }
    let last = match half {
        Half::RealTime => "RealTimeStatistics",
        Half::Cumulative => "CumulativeStatistics",
        Half::Both => "Statistics",
    };
    set(&mut body, "url", scope.place.url(&format!("{collection}/{last}")));
    match half {
        Half::RealTime => body.append(&mut real_time(&subject, &seen)),
        Half::Cumulative => body.append(&mut cumulative(scope, &asked, &subject, &seen).await?),
        Half::Both => {
            if !matches!(subject, Subject::Worker(_)) {
                set(&mut body, "realtime", real_time(&subject, &seen));
            }
            set(&mut body, "cumulative", cumulative(scope, &asked, &subject, &seen).await?);
        }
    }
    Ok(answer(StatusCode::OK, &Value::Object(body)))
}

/// Looks at the workspace in memory.
async fn see(scope: &Scope, asked: &Asked, subject: Subject) -> Result<Seen, ApiError> {
    let channel = asked.channel.clone();
    let queue_name = asked.queue_name.clone();
    let look = move |workspace: &Workspace, now| {
        let channel = resolve(workspace, channel.as_ref())?;
        let everybody = WorkersWhere::default();
        let (tasks, workers, restricted_to) = match subject {
            Subject::Tasks(of) => {
                let tasks = workspace.task_figures(of, channel, now).ok_or(Missing::Subject)?;
                let queue = if let TasksOf::TaskQueue(queue) = of { Some(queue) } else { None };
                (tasks, workspace.worker_figures(&WorkersWhere { queue, ..everybody }), None)
            }
            Subject::Worker(worker) => {
                workspace.worker(worker).ok_or(Missing::Subject)?;
                (TaskFigures::default(), workspace.worker_figures(&everybody), Some(vec![worker]))
            }
            Subject::Workers(mut conditions) => {
                if let Some(queue) = conditions.queue.filter(|queue| workspace.task_queue(*queue).is_none()) {
                    return Err(Missing::TaskQueue(queue));
                }
                let mut contradicts = false;
                if let Some(name) = queue_name {
                    // A name that nobody bears finds nobody.
                    let named = workspace.all_task_queues().find(|row| row.friendly_name == name).map(|row| row.sid);
                    contradicts = named.is_none() || conditions.queue.is_some_and(|queue| Some(queue) != named);
                    conditions.queue = conditions.queue.or(named);
                }
                if contradicts {
                    let nobody = WorkersWhere { queue: None, friendly_name: Some(String::new()) };
                    (TaskFigures::default(), workspace.worker_figures(&nobody), Some(Vec::new()))
                } else {
                    let restricted = (conditions != everybody).then(|| workspace.workers_where(&conditions));
                    (TaskFigures::default(), workspace.worker_figures(&conditions), restricted)
                }
            }
        };
        Ok(Seen { channel, tasks, workers, restricted_to })
    };
    match scope.state.engine.look(scope.sid(), look).await {
        Ok(Ok(seen)) => Ok(seen),
        Ok(Err(missing)) => Err(told(scope, asked, &missing)),
        Err(error) => Err(scope.engine_error(error)),
    }
}

fn resolve(workspace: &Workspace, channel: Option<&ChannelName>) -> Result<Option<TaskChannelSid>, Missing> {
    channel.map(|name| workspace.task_channel_named(name).ok_or(Missing::Channel)).transpose()
}

fn told(scope: &Scope, asked: &Asked, missing: &Missing) -> ApiError {
    match missing {
        Missing::Subject => scope.not_found(),
        Missing::TaskQueue(queue) => invalid("TaskQueueSid", &queue.to_string(), "a task queue of this workspace"),
        Missing::Channel => {
            let name = match &asked.channel {
                Some(ChannelName::Unique(name)) => name.clone(),
                Some(ChannelName::Sid(sid)) => sid.to_string(),
                Some(ChannelName::WorkerChannel(sid)) => sid.to_string(),
                None => String::new(),
            };
            invalid("TaskChannel", &name, "a task channel of this workspace")
        }
    }
}

fn real_time(subject: &Subject, seen: &Seen) -> Members {
    let mut members = match subject {
        Subject::Tasks(_) => shapes::tasks_now(&seen.tasks),
        Subject::Workers(_) | Subject::Worker(_) => Members::new(),
    };
    match subject {
        Subject::Tasks(TasksOf::TaskQueue(_)) => {
            shapes::longest_in_queue(&mut members, &seen.tasks);
            shapes::serving(&mut members, &seen.workers);
        }
        Subject::Tasks(TasksOf::Workflow(_)) => {}
        Subject::Tasks(TasksOf::Workspace) | Subject::Workers(_) | Subject::Worker(_) => {
            shapes::working(&mut members, &seen.workers);
        }
    }
    members
}

async fn cumulative(scope: &Scope, asked: &Asked, subject: &Subject, seen: &Seen) -> Result<Members, ApiError> {
    let mut members = Members::new();
    shapes::window(&mut members, asked.window);
    let workspace = FiguresOf::Workspace(scope.sid());
    let (of, kind) = match subject {
        Subject::Tasks(TasksOf::Workspace) => (vec![workspace], Some(Kind::Workspace)),
        Subject::Tasks(TasksOf::TaskQueue(queue)) => (vec![FiguresOf::TaskQueue(*queue)], Some(Kind::TaskQueue)),
        Subject::Tasks(TasksOf::Workflow(workflow)) => (vec![FiguresOf::Workflow(*workflow)], Some(Kind::Workflow)),
        Subject::Workers(_) | Subject::Worker(_) => match &seen.restricted_to {
            Some(workers) => (workers.iter().copied().map(FiguresOf::Worker).collect(), None),
            // Every reservation is some worker's.
            None => (vec![workspace], None),
        },
    };
    let store = &scope.state.store;
    let question = Question {
        workspace: scope.sid(),
        of,
        window: asked.window.moments(),
        channel: seen.channel,
        split: kind.is_some() && asked.thresholds.is_some(),
    };
    let answers = store.cumulative(&question).await?;
    if let Some(kind) = kind {
        let answer = answers.into_values().next().unwrap_or_default();
        shapes::happened(&mut members, kind, &answer, asked.thresholds.as_deref());
        return Ok(members);
    }
    let mut figures = Figures::default();
    for answer in answers.values() {
        figures.add(&answer.figures);
    }
    shapes::reservations(&mut members, &figures);
    let of = match &seen.restricted_to {
        Some(_) => StaysOf::Workers(question.of),
        None => StaysOf::Everybody,
    };
    let stays = store.stays(scope.sid(), &of, asked.window.stays(), scope.state.clock.now()).await?;
    shapes::activity_durations(&mut members, &seen.workers.by_activity, &stays);
    Ok(members)
}

/// Figures of several queues, in the order asked for; a queue that is not there has none.
async fn see_queues(
    scope: &Scope,
    channel: Option<ChannelName>,
    queues: Vec<TaskQueueSid>,
) -> Result<Result<(Option<TaskChannelSid>, Vec<(TaskFigures, WorkerFigures)>), Missing>, ApiError> {
    let look = move |workspace: &Workspace, now| {
        let channel = resolve(workspace, channel.as_ref())?;
        let figures = queues.into_iter().map(|queue| {
            let tasks = workspace.task_figures(TasksOf::TaskQueue(queue), channel, now).unwrap_or_default();
            (tasks, workspace.worker_figures(&WorkersWhere { queue: Some(queue), friendly_name: None }))
        });
        Ok((channel, figures.collect()))
    };
    scope.state.engine.look(scope.sid(), look).await.map_err(|error| scope.engine_error(error))
}

/// All queues, in pages, each with both halves.
pub(super) async fn task_queues(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let paging = Paging::read(&query, 1)?;
    let asked = Asked::read(&scope, &query)?;
    let store = &scope.state.store;
    let list = store.task_queues(scope.sid(), query.filled("FriendlyName"), None, paging.span()).await?;
    let queues = sids_of(&scope, &list)?;
    let seen = see_queues(&scope, asked.channel.clone(), queues.clone()).await?;
    let (channel, figures) = seen.map_err(|missing| told(&scope, &asked, &missing))?;
    let question = Question {
        workspace: scope.sid(),
        of: queues.iter().copied().map(FiguresOf::TaskQueue).collect(),
        window: asked.window.moments(),
        channel,
        split: asked.thresholds.is_some(),
    };
    let answers = store.cumulative(&question).await?;
    let items: BTreeMap<String, Value> = queues
        .iter()
        .zip(&figures)
        .map(|(queue, (tasks, workers))| {
            let mut now = shapes::tasks_now(tasks);
            shapes::longest_in_queue(&mut now, tasks);
            shapes::serving(&mut now, workers);
            let mut past = Members::new();
            shapes::window(&mut past, asked.window);
            let nothing = Cumulative::default();
            let answer = answers.get(&FiguresOf::TaskQueue(*queue)).unwrap_or(&nothing);
            shapes::happened(&mut past, Kind::TaskQueue, answer, asked.thresholds.as_deref());
            let item = json!({
                "account_sid": scope.place.account,
                "workspace_sid": scope.place.workspace,
                "task_queue_sid": queue,
                "realtime": now,
                "cumulative": past,
            });
            (queue.to_string(), item)
        })
        .collect();
    let url = scope.place.url("/TaskQueues/Statistics");
    Ok(paging.answer(&url, "task_queues_statistics", &list, |row| items.get(&row.sid).cloned().unwrap_or_default()))
}

fn sids_of(scope: &Scope, list: &List<TaskQueueView>) -> Result<Vec<TaskQueueSid>, ApiError> {
    let read = |sid: &str| {
        sid.parse().map_err(|_| {
            tracing::error!(workspace.sid = %scope.sid(), sid, "a stored task queue has no SID");
            ApiError::internal()
        })
    };
    list.entries.iter().map(|entry| read(&entry.row.sid)).collect()
}

/// The present of up to 50 queues; a queue of somebody else has an entry without tasks and workers.
pub(super) async fn task_queues_real_time(scope: Scope, request: Request) -> Result<Response, ApiError> {
    let body = to_bytes(request.into_body(), BULK_BYTES_MAX).await;
    let (queues, channel) = bulk(&body.map_err(|_| ApiError::too_large(BULK_BYTES_MAX))?)?;
    let channel_text = channel.clone().unwrap_or_default();
    let seen = see_queues(&scope, channel.as_deref().map(channel_name), queues.clone()).await?;
    let Ok((_, figures)) = seen else {
        return Err(invalid("TaskChannel", &channel_text, "a task channel of this workspace"));
    };
    let entry = |(queue, (tasks, workers)): (&TaskQueueSid, &(TaskFigures, WorkerFigures))| {
        let mut members = shapes::tasks_now(tasks);
        shapes::serving(&mut members, workers);
        set(&mut members, "task_queue_sid", queue.to_string());
        Value::Object(members)
    };
    let data: Vec<Value> = queues.iter().zip(&figures).map(entry).collect();
    let body = json!({
        "account_sid": scope.place.account,
        "workspace_sid": scope.place.workspace,
        "url": scope.place.url("/TaskQueues/RealTimeStatistics"),
        "task_queue_response_count": data.len(),
        "task_queue_data": data,
    });
    Ok(answer(StatusCode::OK, &body))
}

/// Reads the body of a bulk request: the queues, each once, and the channel.
fn bulk(body: &[u8]) -> Result<(Vec<TaskQueueSid>, Option<String>), ApiError> {
    const KEYS: [&str; 3] = ["queueSids", "QueueSids", "TaskQueueSids"];
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::invalid(format!("Invalid body: expected a JSON object: {error}")))?;
    let members = value.as_object().ok_or_else(|| ApiError::invalid("Invalid body: expected a JSON object"))?;
    let mut lists = KEYS.iter().filter_map(|key| members.get(*key));
    let list = lists.next().ok_or_else(|| ApiError::missing("QueueSids"))?;
    if lists.next().is_some() {
        return Err(ApiError::invalid("Invalid QueueSids: given under more than one name"));
    }
    let list = list.as_array().ok_or_else(|| ApiError::invalid("Invalid QueueSids: expected a list of SIDs"))?;
    if list.is_empty() || list.len() > BULK_MAX {
        return Err(ApiError::invalid(format!("Invalid QueueSids: expected 1 to {BULK_MAX} SIDs")));
    }
    let mut queues: Vec<TaskQueueSid> = Vec::with_capacity(list.len());
    for entry in list {
        let queue = entry.as_str().and_then(|text| text.parse().ok());
        let queue = queue.ok_or_else(|| invalid("QueueSids", &entry.to_string(), "a list of SIDs of task queues"))?;
        if !queues.contains(&queue) {
            queues.push(queue);
        }
    }
    let channel = match members.get("TaskChannel") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
        Some(other) => return Err(invalid("TaskChannel", &other.to_string(), "a SID or a unique name")),
    };
    Ok((queues, channel))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "WQ00000000000000000000000000000001";

    #[test]
    fn a_bulk_body_names_queues_under_any_of_three_keys() {
        let one = || ONE.parse::<TaskQueueSid>().unwrap();
        for key in ["queueSids", "QueueSids", "TaskQueueSids"] {
            let body = json!({ key: [ONE, ONE] }).to_string();
            assert_eq!(bulk(body.as_bytes()), Ok((vec![one()], None)), "{key}");
        }
        let body = json!({ "queueSids": [ONE], "TaskChannel": "voice", "Other": 1 }).to_string();
        assert_eq!(bulk(body.as_bytes()), Ok((vec![one()], Some("voice".to_owned()))));
    }

    #[test]
    fn a_malformed_bulk_body_is_refused() {
        let sids = |count: usize| vec![ONE; count];
        for body in [
            json!({}),
            json!([ONE]),
            json!({ "queueSids": ONE }),
            json!({ "queueSids": [] }),
            json!({ "queueSids": sids(51) }),
            json!({ "queueSids": ["WQ1"] }),
            json!({ "queueSids": ["WK00000000000000000000000000000001"] }),
            json!({ "queueSids": [1] }),
            json!({ "queueSids": [ONE], "TaskChannel": 1 }),
            json!({ "queueSids": [ONE], "TaskQueueSids": [ONE] }),
        ] {
            let error = bulk(body.to_string().as_bytes()).unwrap_err();
            assert_eq!((error.status, error.code), (StatusCode::BAD_REQUEST, 20001), "{body}");
        }
        for body in ["", "{", "queueSids=WQ1"] {
            assert_eq!(bulk(body.as_bytes()).unwrap_err().code, 20001, "{body}");
        }
        assert!(bulk(json!({ "queueSids": sids(50) }).to_string().as_bytes()).is_ok());
    }
}
