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

/// Measures, and leaves the waiting tasks in the scene.
pub(crate) async fn measure(plan: &Plan, scene: &mut Scene, table: &mut Table) {
    let empty = tempfile::tempdir().expect("a directory");
    let idle = Server::spawn(&empty.path().join("empty.db"));
    idle.wait_until_ready().await;
    let resident = settled(&idle).await;
    table.judge("memory: idle", "≤ 25 MiB", format!("{resident:.1} MiB"), resident <= IDLE_MAX);
    drop(idle);

    scene.start().await;
    let before = settled(scene.start().await).await;
    table.note("memory: 10,000 workers, 200 queues", format!("{before:.1} MiB"));
    scene.fill_by_requests(plan.tasks).await;
    let after = settled(scene.start().await).await;
    judge(table, "memory: 100,000 waiting tasks, made by requests", plan, after - before);

    scene.kill();
    let again = settled(scene.start().await).await;
    judge(table, "memory: 100,000 waiting tasks, after a restart", plan, again - before);
}

fn judge(table: &mut Table, what: &str, plan: &Plan, grown: f64) {
    #[expect(clippy::cast_precision_loss, reason = "there are fewer tasks than a float counts exactly")]
    let for_100k = grown * 100_000.0 / plan.tasks as f64;
    table.judge(what, "≤ 90 MiB", format!("{for_100k:.1} MiB"), for_100k <= TASKS_MAX);
}

/// Resident mebibytes once the server has nothing left to do.
async fn settled(server: &Server) -> f64 {
    tokio::time::sleep(Duration::from_secs(1)).await;
    #[expect(clippy::cast_precision_loss, reason = "memory is far below what a float counts exactly")]
    let resident = server.resident() as f64;
    resident / MIB
}
