//! 100 tasks a second arrive while 100,000 wait: how long until a reader of the event log sees the reservation.
//!
//! An open loop: each request has an intended moment, and its latency counts from there, however late it was sent. The
//! reader polls the committed events on a connection of its own; agents accept what they see and complete it a second
//! later, so that there is always somebody free. Start with [`measure`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use switchhook::clock::Clock;
use switchhook::store::{KeySource, Store};
use tokio::task::JoinSet;

use crate::Plan;
use crate::figures::{Durations, Table, ms, ratio};
use crate::floor::{Scene, live_task};
use crate::raw;
use crate::server::Client;

const TARGET: Duration = Duration::from_millis(15);
const PER_SECOND: u32 = 100;
/// Arrivals before those that count.
const WARM_UP: usize = 500;
/// Pause between two looks at the event log.
const POLL: Duration = Duration::from_millis(1);
/// How long an agent is busy with a task.
const WORK: Duration = Duration::from_secs(1);
/// Samples of a floor before and after the load.
const FLOOR_ROUNDS: u32 = 300;

/// What is known of one arrival.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    intended: Instant,
    answered: Instant,
}

/// Moments at which reservations became visible, by task.
type Seen = Arc<Mutex<BTreeMap<String, Instant>>>;

pub(crate) async fn measure(plan: &Plan, scene: &mut Scene, table: &mut Table) {
    scene.start().await;
    let directory = scene.database().parent().expect("a directory").to_owned();
    let (disk_before, http_before) = (raw::disk(&directory, FLOOR_ROUNDS).await, raw::http(FLOOR_ROUNDS).await);
    let (arrivals, seen) = run(plan, scene).await;
    let (disk_after, http_after) = (raw::disk(&directory, FLOOR_ROUNDS).await, raw::http(FLOOR_ROUNDS).await);

    let counted = arrivals.iter().skip(WARM_UP);
    let mut to_answer = Vec::new();
    let mut to_event = Vec::new();
    let mut from_commit = Vec::new();
    for (task, arrival) in counted {
        let event = *seen.get(task).expect("each arrival was reserved");
        to_answer.push(arrival.answered - arrival.intended);
        to_event.push(event - arrival.intended);
        from_commit.push(event.saturating_duration_since(arrival.answered));
    }
    let (to_answer, to_event, from_commit) =
        (Durations::of(to_answer), Durations::of(to_event), Durations::of(from_commit));
    table.judge(
        "arrivals: task committed to reservation event read",
        "p99 ≤ 15 ms",
        from_commit.summary(),
        from_commit.p99() <= TARGET,
    );
    table.judge(
        "arrivals: intended send to reservation event read",
        "p99 ≤ 15 ms",
        to_event.summary(),
        to_event.p99() <= TARGET,
    );
    table.note("arrivals: intended send to 201", to_answer.summary());
    table.note("floor: write and sync of 4 KiB, before", disk_before.summary());
    table.note("floor: write and sync of 4 KiB, after", disk_after.summary());
    table.note("floor: bare axum handler, before", http_before.summary());
    table.note("floor: bare axum handler, after", http_after.summary());
    let floor = |pick: fn(&Durations) -> Duration| {
        pick(&disk_before).min(pick(&disk_after)) + pick(&http_before).min(pick(&http_after))
    };
    for (name, pick) in [("p50", Durations::p50 as fn(&Durations) -> Duration), ("p99", Durations::p99)] {
        let figure = format!("{} of {}", ratio(pick(&to_answer), floor(pick)), ms(floor(pick)));
        table.note(&format!("ratio: 201 to handler and sync, {name}"), figure);
    }
}

/// Lets tasks arrive; returns them in order, and when their reservations were seen.
async fn run(plan: &Plan, scene: &mut Scene) -> (Vec<(String, Arrival)>, BTreeMap<String, Instant>) {
    let total = WARM_UP + usize::try_from(plan.seconds * u64::from(PER_SECOND)).expect("a number of arrivals");
    println!("{PER_SECOND} arrivals a second, {total} in all");
    let client = scene.start().await.client();
    let base = format!("/Workspaces/{}", scene.workspace);
    let workflow = scene.workflow.to_string();
    let seen: Seen = Arc::default();
    let reader = tokio::spawn(read_events(scene.database(), scene.workspace.to_string(), {
        let (client, base, seen) = (client.clone(), base.clone(), Arc::clone(&seen));
        move |reservation| on_reservation(reservation, &client, &base, &seen)
    }));
    let clock = Clock::system();
    let started = clock.instant() + Duration::from_millis(100);
    let mut requests = JoinSet::new();
    for number in 0..total {
        let intended = started + (Duration::from_secs(1) / PER_SECOND) * u32::try_from(number).expect("few arrivals");
        tokio::time::sleep_until(intended.into()).await;
        let (client, path, workflow, clock) =
            (client.clone(), format!("{base}/Tasks"), workflow.clone(), clock.clone());
        requests.spawn(async move {
            let attributes = live_task(number);
            let form = [("WorkflowSid", workflow.as_str()), ("Attributes", attributes.as_str())];
            let task = client.post(&path, &form).await;
            let answered = clock.instant();
            (number, task["sid"].as_str().expect("a task").to_owned(), Arrival { intended, answered })
        });
    }
    let mut arrivals = Vec::with_capacity(total);
    while let Some(done) = requests.join_next().await {
        arrivals.push(done.expect("answered"));
    }
    arrivals.sort_unstable_by_key(|(number, ..)| *number);
    let arrivals: Vec<(String, Arrival)> = arrivals.into_iter().map(|(_, task, arrival)| (task, arrival)).collect();
    let newest = arrivals.last().expect("there were arrivals").0.clone();
    while !locked(&seen).contains_key(&newest) {
        tokio::time::sleep(POLL).await;
    }
    tokio::time::sleep(WORK * 2).await;
    reader.abort();
    let seen = std::mem::take(&mut *locked(&seen));
    (arrivals, seen)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A `reservation.created` as it was read.
struct Reserved {
    task: String,
    reservation: String,
    at: Instant,
}

/// Polls the committed events from the newest on and calls `tell` for each reservation.
async fn read_events(database: std::path::PathBuf, workspace: String, tell: impl Fn(Reserved)) {
    let store = Store::open_shared(&format!("sqlite:{}", database.display()), KeySource::default())
        .await
        .expect("the database opens");
    let clock = Clock::system();
    let newest = "SELECT last_sequence FROM workspaces WHERE sid = $1";
    let (mut newest,): (i64,) =
        sqlx::query_as(newest).bind(&workspace).fetch_one(store.read_pool()).await.expect("read");
    let sql = "SELECT sequence, event_type, task_sid, reservation_sid FROM events \
               WHERE workspace_sid = $1 AND sequence > $2 ORDER BY sequence";
    let mut connection = store.read_pool().acquire().await.expect("a connection");
    loop {
        let rows: Vec<(i64, String, Option<String>, Option<String>)> =
            sqlx::query_as(sql).bind(&workspace).bind(newest).fetch_all(&mut *connection).await.expect("read");
        let at = clock.instant();
        for (sequence, kind, task, reservation) in rows {
            newest = sequence;
            if let ("reservation.created", Some(task), Some(reservation)) = (kind.as_str(), task, reservation) {
                tell(Reserved { task, reservation, at });
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Notes the moment, and lets the agent accept and later complete.
fn on_reservation(reserved: Reserved, client: &Client, base: &str, seen: &Seen) {
    let Reserved { task, reservation, at } = reserved;
    locked(seen).insert(task.clone(), at);
    let (client, path) = (client.clone(), format!("{base}/Tasks/{task}"));
    tokio::spawn(async move {
        let accept = [("ReservationStatus", "accepted")];
        client.post(&format!("{path}/Reservations/{reservation}"), &accept).await;
        tokio::time::sleep(WORK).await;
        client.post(&path, &[("AssignmentStatus", "completed")]).await;
    });
}
