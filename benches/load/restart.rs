//! From the start of a killed server to its first correct assignment, with a long history in the file.
//!
//! A worker who was offline becomes available in the first request; correct is the reservation of the task that stands
//! first in the worker's queue. Start with [`measure`].

use std::time::Duration;

use switchhook::clock::Clock;
use switchhook::store::{KeySource, Store};

use crate::Plan;
use crate::figures::{Durations, Table, ms, ratio};
use crate::floor::Scene;
use crate::raw;
use crate::server::Server;

const TARGET: Duration = Duration::from_secs(1);
const ROUNDS: usize = 5;

pub(crate) async fn measure(plan: &Plan, scene: &mut Scene, table: &mut Table) {
    scene.kill();
    let events = add_history(scene, plan.events).await;
    let mut starts = Vec::new();
    let mut loads = Vec::new();
    let mut tasks = 0;
    for _ in 0..ROUNDS {
        let (rows, took) = raw::load(&scene.database()).await;
        tasks = rows;
        loads.push(took);
        starts.push(first_assignment(scene).await);
    }
    let (starts, loads) = (Durations::of(starts), Durations::of(loads));
    table.note("restart: waiting tasks, events in the file", format!("{tasks}, {events}"));
    table.judge(
        "restart: to the first correct assignment, median of 5",
        "≤ 1000 ms",
        format!("{} (min {})", ms(starts.p50()), ms(starts.at(0))),
        starts.p50() <= TARGET,
    );
    table.note(
        "restart: raw read and parse of the waiting tasks",
        format!("{} (min {})", ms(loads.p50()), ms(loads.at(0))),
    );
    table.note("restart: ratio of the minima", ratio(starts.at(0), loads.at(0)));
}

/// Copies events until there are `wanted`; a copy differs in number and SID only.
async fn add_history(scene: &Scene, wanted: u64) -> u64 {
    println!("making {wanted} events");
    let store = Store::open(&format!("sqlite:{}", scene.database().display())).await.expect("the database opens");
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect(&format!("sqlite:{}", scene.database().display())).await.expect("the database opens");
    let wanted = i64::try_from(wanted).expect("fewer than an integer holds");
    let workspace = scene.workspace.to_string();
    loop {
        let (newest,): (i64,) = sqlx::query_as("SELECT last_sequence FROM workspaces WHERE sid = $1")
            .bind(&workspace)
            .fetch_one(&pool)
            .await
            .expect("read");
        let missing = wanted - newest;
        if missing <= 0 {
            break;
        }
        let copy = "INSERT INTO events SELECT workspace_sid, sequence + $2, 'EV' || lower(hex(randomblob(16))), \
                    event_type, at, description, resource_type, resource_sid, task_sid, worker_sid, reservation_sid, \
                    task_queue_sid, workflow_sid, activity_sid, task_channel_sid, event_data \
                    FROM events WHERE workspace_sid = $1 AND sequence <= $3";
        let copied = missing.min(newest);
        sqlx::query(copy).bind(&workspace).bind(newest).bind(copied).execute(&pool).await.expect("copied");
        sqlx::query("UPDATE workspaces SET last_sequence = last_sequence + $2 WHERE sid = $1")
            .bind(&workspace)
            .bind(copied)
            .execute(&pool)
            .await
            .expect("counted");
    }
    let (events,): (i64,) = sqlx::query_as("SELECT count(*) FROM events").fetch_one(&pool).await.expect("counted");
    pool.close().await;
    store.close().await;
    u64::try_from(events).unwrap_or(0)
}

async fn first_assignment(scene: &Scene) -> Duration {
    let expected = first_in_line(scene).await;
    let path = format!("/Workspaces/{}/Workers/{}", scene.workspace, scene.spare_worker);
    let clock = Clock::system();
    let started = clock.instant();
    let server = Server::spawn(&scene.database());
    let client = server.client();
    client.post_when_listening(&path, &[("ActivitySid", &scene.available.to_string())]).await;
    let reservations = client.get(&format!("{path}/Reservations?ReservationStatus=pending")).await;
    let took = started.elapsed();
    let task = reservations["reservations"][0]["task_sid"].as_str().unwrap_or("none").to_owned();
    assert_eq!(task, expected, "the worker was offered the task that stood first");
    // Back to where it was: the worker is offline without a reservation, the task is gone.
    client.post(&format!("/Workspaces/{}/Tasks/{task}", scene.workspace), &[("AssignmentStatus", "canceled")]).await;
    let reservations = client.get(&format!("{path}/Reservations?ReservationStatus=pending")).await;
    let next = reservations["reservations"][0]["task_sid"].as_str().map(str::to_owned);
    let offline = client.get(&format!("/Workspaces/{}/Activities?FriendlyName=Offline", scene.workspace)).await;
    let offline = offline["activities"][0]["sid"].as_str().expect("built in").to_owned();
    client.post(&path, &[("ActivitySid", &offline)]).await;
    if let Some(task) = next {
        client
            .post(&format!("/Workspaces/{}/Tasks/{task}", scene.workspace), &[("AssignmentStatus", "canceled")])
            .await;
    }
    took
}

/// The task that the spare worker has to be offered, by the rows alone.
async fn first_in_line(scene: &Scene) -> String {
    let store = Store::open_shared(&format!("sqlite:{}", scene.database().display()), KeySource::default())
        .await
        .expect("the database opens");
    let sql = "SELECT sid FROM tasks WHERE task_queue_sid = $1 AND status = 'pending' \
               ORDER BY priority DESC, virtual_start_at, created_at, sid LIMIT 1";
    let (sid,): (String,) = sqlx::query_as(sql)
        .bind(scene.spare_queue.to_string())
        .fetch_one(store.read_pool())
        .await
        .expect("a task waits in the worker's queue");
    store.close().await;
    sid
}
