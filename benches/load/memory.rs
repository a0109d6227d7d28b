//! Resident memory of the server: idle, with the scene, and for each 100,000 waiting tasks.
//!
//! Start with [`measure`].

use std::time::Duration;

use crate::Plan;
use crate::figures::Table;
use crate::floor::Scene;
use crate::server::Server;

const MIB: f64 = 1_048_576.0;
const IDLE_MAX: f64 = 25.0;
const TASKS_MAX: f64 = 90.0;

/// Tasks that are made before those that count; the first thousand keeps workers busy.
const WARM_UP: usize = 10_000;

/// Measures, and leaves the waiting tasks in the scene.
pub(crate) async fn measure(plan: &Plan, scene: &mut Scene, table: &mut Table) {
    let empty = tempfile::tempdir().expect("a directory");
    let idle = Server::spawn(&empty.path().join("empty.db"));
    idle.wait_until_ready().await;
    let resident = settled(&idle).await;
    table.judge("memory: idle", "≤ 25 MiB", format!("{resident:.1} MiB"), resident <= IDLE_MAX);
    drop(idle);

    let empty = settled(scene.start().await).await;
    table.note("memory: 10,000 workers, 200 queues", format!("{empty:.1} MiB"));
    // Connections, statements and the database's cache have their size before what counts is made.
    scene.fill_by_requests(0..WARM_UP).await;
    let before = settled(scene.start().await).await;
    table.note("memory: the same after 10,000 requests", format!("{before:.1} MiB"));
    scene.fill_by_requests(WARM_UP..WARM_UP + plan.tasks).await;
    let after = settled(scene.start().await).await;
    judge(table, "memory: 100,000 waiting tasks, made by requests", plan.tasks, after - before);

    scene.kill();
    let again = settled(scene.start().await).await;
    judge(table, "memory: 100,000 waiting tasks, after a restart", WARM_UP + plan.tasks, again - empty);
}

fn judge(table: &mut Table, what: &str, tasks: usize, grown: f64) {
    #[expect(clippy::cast_precision_loss, reason = "there are fewer tasks than a float counts exactly")]
    let for_100k = grown * 100_000.0 / tasks as f64;
    table.judge(what, "≤ 90 MiB", format!("{for_100k:.1} MiB"), for_100k <= TASKS_MAX);
}

/// Resident mebibytes once the server has nothing left to do.
async fn settled(server: &Server) -> f64 {
    tokio::time::sleep(Duration::from_secs(1)).await;
    #[expect(clippy::cast_precision_loss, reason = "memory is far below what a float counts exactly")]
    let resident = server.resident() as f64;
    resident / MIB
}
