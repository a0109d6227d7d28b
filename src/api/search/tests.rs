//! Pages of every kind of list, compared with a plain reading: all rows, filtered one by one, sorted, and cut.

use serde_json::Value;

use super::*;
use crate::api::form::{Parameters, Query};
use crate::api::{PublicUrl, State};
use crate::clock::{Clock, Entropy};
use crate::engine::{Engine, Request};
use crate::notify::event_callbacks::{self, EventCallbacks};
use crate::notify::streams::EventStreams;
use crate::outbound::{self, Outbound};
use crate::routing::command::{NewTask, NewTaskQueue, NewWorker, NewWorkspace, TaskUpdate, Template};
use crate::routing::expression::{Document, Expression, Place, Vocabulary, WorkerNames};
use crate::routing::{
    AccountSid, ActivitySid, Command, Reply, RoutingTarget, TaskOrder, TaskStatus, Timestamp, WorkflowSid,
};
use crate::store::pages::{Cursor, Seek};
use crate::store::{Account, Store};

/// A small generator with a fixed sequence (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// Rows of channels, as an expression sees them.
struct Rows<'a>(&'a [crate::store::views::WorkerChannelView]);

impl crate::routing::expression::ChannelFigures for Rows<'_> {
    fn figures(&self, unique_name: &str) -> Option<ChannelValues> {
        let row = self.0.iter().find(|row| row.task_channel_unique_name == unique_name)?;
        Some(ChannelValues {
            configured_capacity: u32::try_from(row.configured_capacity).unwrap(),
            assigned_tasks: u32::try_from(row.assigned_tasks).unwrap(),
            available_capacity_percentage: u32::try_from(row.available_capacity_percentage()).unwrap(),
        })
    }
}

struct Floor {
    scope: Scope,
    dice: Dice,
    queues: Vec<TaskQueueSid>,
}

impl Floor {
    async fn open() -> Self {
        let store = Store::open("sqlite::memory:").await.unwrap();
        let clock = Clock::fixed(Timestamp(1_770_091_506_000));
        let account = AccountSid::from_bits(1);
        let row = Account {
            sid: account,
            friendly_name: "test".to_owned(),
            auth_token: "0".repeat(32).into(),
            created_at: clock.now(),
        };
        store.create_account(row).await.unwrap();
        let engine = Engine::start(store.clone(), None, clock.clone(), Entropy).await.unwrap();
        let new = NewWorkspace { template: Template::Fifo, ..NewWorkspace::named("test") };
        let workspace = engine.create_workspace(account, new).await.unwrap();
        let hub = crate::notify::Hub::new(clock.clone(), std::time::Duration::ZERO);
        let public_url = PublicUrl::Fixed("https://calls.example".to_owned());
        let outbound = Outbound::new(outbound::Rules::default(), std::time::Duration::from_secs(1)).unwrap();
        let rules = event_callbacks::Rules::default();
        let event_callbacks = EventCallbacks::new(rules, store.clone(), outbound, clock.clone(), Entropy);
        let event_streams = EventStreams::default();
        let socket_addresses = crate::http::Addresses::default();
        let rates = crate::api::Rates::unlimited();
        let state = State {
            engine,
            store,
            clock,
            public_url,
            hub,
            socket_addresses,
            event_callbacks,
            event_streams,
            rates,
            locked_attributes: crate::api::LockedAttributes::default(),
            dialling: std::sync::Arc::default(),
        };
        let scope = Scope::of_workspace(state, account, workspace).await;
        let mut floor = Self { scope, dice: Dice(88_172_645_463_325_252), queues: Vec::new() };
        for target_workers in
            ["level > 5", "skills HAS 's1' OR worker.channel.voice.configured_capacity == 1", "", "name == 'x'"]
        {
            let new = NewTaskQueue {
                friendly_name: format!("queue {}", floor.queues.len()),
                target_workers: target_workers.to_owned(),
                task_order: TaskOrder::Fifo,
                max_reserved_workers: 1,
                reservation_activity: None,
                assignment_activity: None,
            };
            let Reply::TaskQueue(sid) = floor.send(Command::CreateTaskQueue(new)).await else { panic!("no queue") };
            floor.queues.push(sid);
        }
        floor
    }

    async fn send(&mut self, command: Command) -> Reply {
        if self.dice.roll(3) == 0 {
            self.scope.state.clock.advance(std::time::Duration::from_millis(1));
        }
        let workspace = self.scope.sid();
        self.scope.state.engine.send(workspace, Request::Routing(command)).await.unwrap()
    }

    fn attributes(&mut self) -> String {
        match self.dice.roll(4) {
            0 => "{}".to_owned(),
            1 => format!("{{\"level\":{},\"skills\":[\"s{}\"]}}", self.dice.roll(9), self.dice.roll(3)),
            2 => format!("{{\"deep\":{{\"n\":\"{}\"}},\"level\":\"{}\"}}", self.dice.roll(50), self.dice.roll(9)),
            _ => format!("{{\"level\":{},\"level\":{}}}", self.dice.roll(9), self.dice.roll(9)),
        }
    }

    async fn close(self) {
        self.scope.state.engine.shutdown().await;
        self.scope.state.store.close().await;
    }
}

/// Walks a list forwards and back, from the end and by number, and compares each page with the same piece of `all`.
async fn check<T, P: Future<Output = List<T>>>(what: &str, all: &[Cursor], page: impl Fn(Span) -> P) {
    let limit = 7;
    let size = usize::try_from(limit).unwrap();
    let sids = |cursors: &[Cursor]| cursors.iter().map(|cursor| cursor.sid.clone()).collect::<Vec<_>>();
    let mut begin = 0;
    let mut seek = Seek::First;
    loop {
        let list = page(Span { seek: seek.clone(), limit }).await;
        let expected = &all[begin.min(all.len())..all.len().min(begin + size)];
        let found: Vec<_> = list.entries.iter().map(|entry| entry.at.clone()).collect();
        assert_eq!(found, expected, "{what} from {begin}");
        assert_eq!(list.before, expected.first().filter(|_| begin > 0).cloned(), "{what} from {begin}");
        let after = expected.last().filter(|_| begin + size < all.len()).cloned();
        assert_eq!(list.after, after, "{what} from {begin}");
        if let Some(first) = list.before {
            let back = page(Span { seek: Seek::Before(first), limit }).await;
            let found: Vec<_> = back.entries.iter().map(|entry| entry.at.sid.clone()).collect();
            assert_eq!(found, sids(&all[begin - size..begin]), "{what} back from {begin}");
            assert_eq!(back.before.is_some(), begin > size, "{what} back from {begin}");
        }
        if begin == size {
            let skipped = page(Span { seek: Seek::Skip(u64::from(limit)), limit }).await;
            let found: Vec<_> = skipped.entries.iter().map(|entry| entry.at.clone()).collect();
            assert_eq!(found, expected, "{what} by number");
        }
        match after {
            Some(cursor) => seek = Seek::After(cursor),
            None => break,
        }
        begin += size;
    }
}

fn cursor(keys: &[(i64, Direction)], sid: String) -> Cursor {
    Cursor { sid, keys: keys.iter().map(|(key, _)| *key).collect() }
}

/// Sorts as the words of the specification say: key by key, the SID last and in the direction of the last key.
fn sorted(mut rows: Vec<Cursor>, directions: &[Direction]) -> Vec<Cursor> {
    let turned = |ordering: std::cmp::Ordering, direction| match direction {
        Direction::Ascending => ordering,
        Direction::Descending => ordering.reverse(),
    };
    rows.sort_by(|one, other| {
        let mut ordering = std::cmp::Ordering::Equal;
        for (index, direction) in directions.iter().enumerate() {
            ordering = ordering.then(turned(one.keys[index].cmp(&other.keys[index]), *direction));
        }
        ordering.then(turned(one.sid.cmp(&other.sid), directions[directions.len() - 1]))
    });
    rows
}

#[tokio::test]
async fn pages_of_tasks_are_those_of_a_plain_reading() {
    use Direction::{Ascending as Up, Descending as Down};
    let mut floor = Floor::open().await;
    for _ in 0..150 {
        let target = match floor.dice.roll(3) {
            0 => Some(RoutingTarget::TaskQueue(floor.queues[floor.dice.roll(2)])),
            _ => None,
        };
        let new = NewTask {
            priority: Some(i32::try_from(floor.dice.roll(3)).unwrap()),
            routing_target: target,
            virtual_start_at: Some(Timestamp(i64::try_from(floor.dice.roll(5)).unwrap())),
            ..NewTask::with_attributes(floor.attributes())
        };
        let Reply::Task(sid) = floor.send(Command::CreateTask(new)).await else { panic!("no task") };
        if floor.dice.roll(3) == 0 {
            let update = TaskUpdate { status: Some(TaskStatus::Canceled), ..TaskUpdate::default() };
            floor.send(Command::UpdateTask(sid, update)).await;
        }
    }
    let store = floor.scope.state.store.clone();
    let default = [(TaskKey::DateCreated, Up)];
    let span = Span { seek: Seek::First, limit: 1000 };
    let rows = store.tasks(floor.scope.sid(), &TaskFilter::default(), &default, span).await.unwrap();
    let rows: Vec<TaskView> = rows.entries.into_iter().map(|entry| entry.row).collect();
    assert_eq!(rows.len(), 150);
    let workflow: WorkflowSid = rows[0].workflow_sid.as_ref().unwrap().parse().unwrap();

    let (queue, all) = (floor.queues[0], TaskFilter::default);
    let filters = [
        all(),
        TaskFilter { assignment_status: vec![TaskStatus::Canceled], ..all() },
        TaskFilter { assignment_status: vec![TaskStatus::Pending, TaskStatus::Canceled, TaskStatus::Pending], ..all() },
        TaskFilter { priority: Some(1), ..all() },
        TaskFilter { task_queues: Some(vec![queue]), ..all() },
        TaskFilter { task_queues: Some(floor.queues.clone()), priority: Some(0), ..all() },
        TaskFilter { workflows: Some(vec![workflow]), assignment_status: vec![TaskStatus::Pending], ..all() },
        TaskFilter { routing_target: Some(RoutingTarget::TaskQueue(queue)), ..all() },
        TaskFilter { workflows: Some(vec![workflow]), ..all() },
    ];
    let orders = [
        vec![(TaskKey::DateCreated, Up)],
        vec![(TaskKey::DateCreated, Down)],
        vec![(TaskKey::Priority, Down), (TaskKey::DateCreated, Up)],
        vec![(TaskKey::Priority, Up), (TaskKey::DateCreated, Down)],
        vec![(TaskKey::Priority, Down), (TaskKey::DateCreated, Down)],
        vec![(TaskKey::VirtualStartTime, Down)],
        vec![(TaskKey::Priority, Down), (TaskKey::VirtualStartTime, Up)],
        vec![(TaskKey::DateCreated, Down), (TaskKey::Priority, Up)],
    ];
    for filter in &filters {
        for keys in &orders {
            for text in [None, Some("level > 2"), Some("deep.n == 7 OR skills HAS 's2'"), Some("nothing == 1")] {
                let mut vocabulary = Vocabulary::default();
                let compiled = text.map(|text| Expression::compile(text, Place::Task, &mut vocabulary).unwrap());
                let matches = |row: &TaskView| {
                    let attributes: Value = serde_json::from_str(&row.attributes).unwrap();
                    let document = Document::read(&vocabulary, &attributes);
                    let scope = crate::routing::expression::Scope { task: Some(&document), ..Default::default() };
                    compiled.as_ref().is_none_or(|compiled| compiled.matches(&scope))
                };
                let admits = |row: &TaskView| {
                    let among = |among: &[TaskStatus]| among.iter().any(|status| status.as_str() == row.status);
                    let in_list = |among: &Option<Vec<TaskQueueSid>>| {
                        among
                            .as_ref()
                            .is_none_or(|sids| sids.iter().any(|sid| Some(sid.to_string()) == row.task_queue_sid))
                    };
                    (filter.assignment_status.is_empty() || among(&filter.assignment_status))
                        && filter.priority.is_none_or(|priority| i64::from(priority) == row.priority)
                        && in_list(&filter.task_queues)
                        && filter.routing_target.is_none_or(|target| Some(target.to_string()) == row.routing_target)
                };
                let place = |row: &TaskView| {
                    let key = |key: TaskKey| match key {
                        TaskKey::DateCreated => row.created_at.0,
                        TaskKey::Priority => row.priority,
                        TaskKey::VirtualStartTime => row.virtual_start_at.0,
                    };
                    let keys: Vec<_> = keys.iter().map(|(name, direction)| (key(*name), *direction)).collect();
                    cursor(&keys, row.sid.clone())
                };
                let expected = rows.iter().filter(|row| admits(row) && matches(row)).map(place).collect();
                let directions: Vec<_> = keys.iter().map(|(_, direction)| *direction).collect();
                let expected = sorted(expected, &directions);
                let what = format!("{filter:?} by {keys:?} with {text:?}");
                check(&what, &expected, async |span: Span| {
                    let expression = text.map(|text| TaskExpression::compile("X", text, Timestamp(0)).unwrap());
                    let query = TaskQuery { filter: filter.clone(), keys: keys.clone(), expression };
                    tasks(&floor.scope, query, span).await.unwrap()
                })
                .await;
            }
        }
    }
    floor.close().await;
}

#[tokio::test]
async fn tasks_are_filtered_by_the_time_of_day() {
    let mut floor = Floor::open().await;
    for level in [3, 4, 5] {
        floor.send(Command::CreateTask(NewTask::with_attributes(format!("{{\"hour\":{level}}}")))).await;
    }
    // Tuesday, 04:05 UTC.
    for (text, expected) in [
        ("hour == taskrouter.currentHour", 1),
        ("hour > taskrouter.currentHour", 1),
        ("taskrouter.dayOfWeek == 'Tue' AND hour != 3", 2),
        ("taskrouter.dayOfWeek == 'Wed' OR taskrouter.currentMin != 5", 0),
    ] {
        let query = Parameters::of_pairs(vec![("EvaluateTaskAttributes".to_owned(), text.to_owned())]);
        let (state, workspace) = (floor.scope.state.clone(), floor.scope.sid());
        let scope = Scope::of_workspace(state, AccountSid::from_bits(1), workspace).await;
        let answer = crate::api::tasks::list(scope, Query(query)).await.unwrap();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let list: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(list["tasks"].as_array().map(Vec::len), Some(expected), "{text}: {list}");
    }
    floor.close().await;
}

#[tokio::test]
async fn pages_of_workers_and_queues_are_those_of_a_plain_reading() {
    use Direction::{Ascending as Up, Descending as Down};
    let mut floor = Floor::open().await;
    let store = floor.scope.state.store.clone();
    let workspace = floor.scope.sid();
    let available: ActivitySid = store.activities_named(workspace, "Available").await.unwrap()[0];
    let mut workers_made = Vec::new();
    for number in 0..60 {
        let activity = (floor.dice.roll(2) == 0).then_some(available);
        let new = NewWorker { friendly_name: format!("Worker {number}"), attributes: floor.attributes(), activity };
        let Reply::Worker(sid) = floor.send(Command::CreateWorker(new)).await else { panic!("no worker") };
        workers_made.push(sid);
        if floor.dice.roll(2) == 0 {
            floor
                .send(Command::UpdateWorkerChannel {
                    worker: sid,
                    channel: crate::routing::command::ChannelName::Unique("voice".to_owned()),
                    capacity: Some(u32::try_from(floor.dice.0 % 4).unwrap()),
                    available: None,
                })
                .await;
        }
    }
    let span = || Span { seek: Seek::First, limit: 1000 };
    let all = WorkerFilter::default;
    let rows = store.workers(workspace, &all(), (WorkerKey::DateCreated, Up), span()).await.unwrap();
    let rows: Vec<WorkerView> = rows.entries.into_iter().map(|entry| entry.row).collect();
    let queues = store.task_queues(workspace, None, None, span()).await.unwrap();
    let queues: Vec<TaskQueueView> = queues.entries.into_iter().map(|entry| entry.row).collect();
    assert_eq!((rows.len(), queues.len()), (60, 5));
    let mut figures = BTreeMap::new();
    for row in &rows {
        let channels = store.worker_channels(workspace, row.sid.parse().unwrap(), span()).await.unwrap();
        figures.insert(row.sid.clone(), channels.entries.into_iter().map(|entry| entry.row).collect::<Vec<_>>());
    }

    let satisfies = |row: &WorkerView, text: &str| {
        let mut vocabulary = Vocabulary::default();
        let Ok(compiled) = Expression::compile(text, Place::Worker, &mut vocabulary) else { return false };
        let document = Document::read(&vocabulary, &serde_json::from_str(&row.attributes).unwrap());
        let names = WorkerNames {
            sid: &row.sid,
            friendly_name: &row.friendly_name,
            activity_sid: &row.activity_sid,
            activity_name: &row.activity_name,
            channels: &Rows(&figures[&row.sid]),
        };
        let scope =
            crate::routing::expression::Scope { worker: Some(&document), names: Some(&names), ..Default::default() };
        compiled.matches(&scope)
    };

    let of_queue = |sid: TaskQueueSid| queues.iter().find(|queue| queue.sid == sid.to_string()).unwrap();
    for filter in [
        all(),
        WorkerFilter { available: Some(true), ..all() },
        WorkerFilter { available: Some(false), activities: Some(vec![available]), ..all() },
        WorkerFilter { activities: Some(vec![available]), ..all() },
        WorkerFilter { name_key: Some("worker 7".to_owned()), ..all() },
    ] {
        for key in
            [(WorkerKey::DateCreated, Up), (WorkerKey::DateStatusChanged, Up), (WorkerKey::DateStatusChanged, Down)]
        {
            for serving in
                [vec![], vec![floor.queues[0]], vec![floor.queues[0], floor.queues[1]], vec![floor.queues[2]]]
            {
                for text in [
                    None,
                    Some("level > 5 OR friendly_name == 'Worker 3'"),
                    Some("worker.channel.voice.configured_capacity > 1 AND activity_name == 'Available'"),
                ] {
                    let suits = |row: &&WorkerView| {
                        filter.available.is_none_or(|available| available == row.available)
                            && filter
                                .activities
                                .as_ref()
                                .is_none_or(|sids| sids.iter().any(|sid| sid.to_string() == row.activity_sid))
                            && filter.name_key.as_ref().is_none_or(|name| *name == row.friendly_name.to_lowercase())
                            && serving.iter().all(|queue| satisfies(row, &of_queue(*queue).target_workers))
                            && text.is_none_or(|text| satisfies(row, text))
                    };
                    let place = |row: &WorkerView| {
                        let value = match key.0 {
                            WorkerKey::DateCreated => row.created_at.0,
                            WorkerKey::DateStatusChanged => row.status_changed_at.0,
                        };
                        cursor(&[(value, key.1)], row.sid.clone())
                    };
                    let expected = sorted(rows.iter().filter(suits).map(place).collect(), &[key.1]);
                    let what = format!("{filter:?} by {key:?} serving {serving:?} with {text:?}");
                    check(&what, &expected, async |span: Span| {
                        let expression = text.map(|text| WorkerExpression::compile("X", text).unwrap());
                        let query = WorkerQuery { filter: filter.clone(), key, queues: serving.clone(), expression };
                        workers(&floor.scope, query, span).await.unwrap()
                    })
                    .await;
                }
            }
        }
    }

    for worker in workers_made.iter().take(12) {
        for by_date_updated in [None, Some(Down)] {
            let row = rows.iter().find(|row| row.sid == worker.to_string()).unwrap();
            for attributes in [None, Some("{\"level\":7}"), Some("{\"name\":\"x\",\"skills\":[\"s1\"]}")] {
                let suits = |queue: &&TaskQueueView| {
                    let mut vocabulary = Vocabulary::default();
                    let compiled = Expression::compile(&queue.target_workers, Place::Worker, &mut vocabulary);
                    let would_serve = |text: &str| {
                        let document = Document::read(&vocabulary, &serde_json::from_str(text).unwrap());
                        let scope = crate::routing::expression::Scope { worker: Some(&document), ..Default::default() };
                        compiled.as_ref().is_ok_and(|compiled| compiled.matches(&scope))
                    };
                    satisfies(row, &queue.target_workers) && attributes.is_none_or(would_serve)
                };
                let direction = by_date_updated.unwrap_or(Up);
                let place = |queue: &TaskQueueView| {
                    let value = if by_date_updated.is_some() { queue.updated_at.0 } else { queue.created_at.0 };
                    cursor(&[(value, direction)], queue.sid.clone())
                };
                let expected = sorted(queues.iter().filter(suits).map(place).collect(), &[direction]);
                let what = format!("queues of {worker} with {attributes:?} by {by_date_updated:?}");
                check(&what, &expected, async |span: Span| {
                    let query = TaskQueueQuery {
                        friendly_name: None,
                        by_date_updated,
                        worker: Some(*worker),
                        attributes: attributes.map(str::to_owned),
                    };
                    task_queues(&floor.scope, query, span).await.unwrap().unwrap()
                })
                .await;
            }
        }
    }
    floor.close().await;
}
