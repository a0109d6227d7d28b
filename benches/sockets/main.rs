//! Ten thousand agents' sockets: memory, push latency, a restart under them, and a tenth that stops reading.
//!
//! The server runs as a process of its own, and so does a bare axum server that pushes the same frames with the same
//! delay; this process is the agents and whoever changes their workers. `make bench-sockets` runs everything; `cargo bench
//! --bench sockets -- --sockets 1000 --seconds 5` less of it. The fleet is `agents`, the floor is `bare`, the server
//! `office`. Start with [`main`].

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

mod agents;
mod bare;
#[path = "../load/figures.rs"]
mod figures;
mod office;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use switchhook::clock::Clock;

use agents::{Board, Fleet, Latencies, Told};
use figures::{Durations, Table, ms, ratio};
use office::Office;

/// The server's intended delay between commit and frame (`docs/agents.md`), which the floor has too and no figure counts.
pub(crate) const PUSH_DELAY: Duration = Duration::from_millis(100);

/// Events before those that count.
const WARM_UP: usize = 2_000;
const PER_SECOND: u32 = 1_000;
/// Longest time for anything to become so.
const PATIENCE: Duration = Duration::from_mins(2);
/// After this time every socket has had a heartbeat.
const SETTLE: Duration = Duration::from_secs(18);

/// On what scale to measure.
struct Plan {
    sockets: usize,
    seconds: usize,
}

impl Plan {
    fn of(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut plan = Self { sockets: 10_000, seconds: 20 };
        let mut arguments = arguments.skip(1);
        while let Some(argument) = arguments.next() {
            let target = match argument.as_str() {
                // What cargo itself passes on.
                "--bench" => continue,
                "--sockets" => &mut plan.sockets,
                "--seconds" => &mut plan.seconds,
                other => return Err(format!("there is no option {other}: [--sockets N] [--seconds N]")),
            };
            let text = arguments.next().unwrap_or_default();
            *target = text.parse().map_err(|_| format!("{argument} needs a whole number"))?;
        }
        Ok(plan)
    }
}

fn main() -> std::process::ExitCode {
    let limit = raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if std::env::args().nth(1).as_deref() == Some(bare::COMMAND) {
        runtime.block_on(bare::serve());
        return std::process::ExitCode::SUCCESS;
    }
    let plan = match Plan::of(std::env::args()) {
        Ok(plan) if limit > plan.sockets as u64 + 500 => plan,
        Ok(plan) => {
            eprintln!("{} sockets need more file descriptors than {limit}", plan.sockets);
            return std::process::ExitCode::FAILURE;
        }
        Err(reason) => {
            eprintln!("{reason}");
            return std::process::ExitCode::FAILURE;
        }
    };
    let mut table = Table::default();
    runtime.block_on(measure(&plan, &mut table));
    println!("\n{table}");
    std::process::ExitCode::SUCCESS
}

/// Lets this process and its children have as many open files as the system allows; returns how many.
fn raise_descriptors() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it is refused, the check of the plan tells.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

async fn measure(plan: &Plan, table: &mut Table) {
    let floor = measure_floor(plan, table).await;
    let mut office = Office::furnish(plan.sockets).await;
    office.start().await;
    let board = Arc::new(Board::new(Clock::system(), plan.events()));
    let fleet = measure_memory(plan, &office, &board, table).await;
    let calm = measure_pushes(plan, &office, &board, &floor, table).await;
    measure_restart(&mut office, &board, table).await;
    measure_stalled(plan, &office, &board, &calm, table).await;
    drop(fleet);
}

impl Plan {
    fn counted(&self) -> usize {
        self.seconds * PER_SECOND as usize
    }

    /// Of one series.
    fn series(&self) -> usize {
        WARM_UP + self.counted()
    }

    /// Of both series.
    fn events(&self) -> usize {
        2 * self.series()
    }
}

/// The same fleet and the same frames with a server that does nothing else.
async fn measure_floor(plan: &Plan, table: &mut Table) -> Durations {
    let floor = bare::Floor::spawn().await;
    let board = Arc::new(Board::new(Clock::system(), plan.series()));
    let before = floor.resident();
    let targets = (0..plan.sockets).map(|number| format!("/open/{number}")).collect();
    let fleet = Fleet::set_out(floor.address, targets, &board);
    board.until_open(plan.sockets, PATIENCE).await;
    tokio::time::sleep(SETTLE).await;
    table.note("floor: memory of a socket", kilobytes(floor.resident().saturating_sub(before), plan.sockets));
    tell(plan, 0, &board, |number, worker| floor.tell(number, worker)).await;
    let latencies = board.latencies(WARM_UP..plan.series(), |_| true);
    table.note("floor: intended send to answer", latencies.to_answer.summary());
    table.note("floor: intended send to frame, without the delay", latencies.to_frame.summary());
    drop(fleet);
    latencies.to_frame
}

async fn measure_memory(plan: &Plan, office: &Office, board: &Arc<Board>, table: &mut Table) -> Fleet {
    let before = office.resident();
    let started = board.clock.instant();
    let fleet = Fleet::set_out(office.address, office.targets(), board);
    board.until_open(plan.sockets, PATIENCE).await;
    table.note("all sockets opened in", ms(started.elapsed()));
    tokio::time::sleep(SETTLE).await;
    let grown = office.resident().saturating_sub(before);
    let reached = grown <= 24_000 * plan.sockets as u64;
    table.judge("memory of an idle socket", "≤ 24 kB", kilobytes(grown, plan.sockets), reached);
    fleet
}

async fn measure_pushes(
    plan: &Plan,
    office: &Office,
    board: &Arc<Board>,
    floor: &Durations,
    table: &mut Table,
) -> Durations {
    tell(plan, 0, board, |number, worker| office.change(number, worker)).await;
    let Latencies { to_answer, to_frame: latencies } = board.latencies(WARM_UP..plan.series(), |_| true);
    let reached = latencies.p99() <= Duration::from_millis(20);
    table.note("intended send to answer", to_answer.summary());
    table.judge("intended send to frame, without the delay", "p99 ≤ 20 ms", latencies.summary(), reached);
    for (name, pick) in [("p50", Durations::p50 as fn(&Durations) -> Duration), ("p99", Durations::p99)] {
        let reached = pick(&latencies).as_secs_f64() <= 1.3 * pick(floor).as_secs_f64();
        let figure = ratio(pick(&latencies), pick(floor));
        table.judge(&format!("ratio to the floor, {name}"), "≤ 1.3 ×", figure, reached);
    }
    latencies
}

/// The server dies under everybody and comes back; agents try again after 0.8 to 1 s, as the SDK does.
async fn measure_restart(office: &mut Office, board: &Arc<Board>, table: &mut Table) {
    let sockets = board.open.load(Ordering::Acquire);
    office.kill();
    board.until_open(0, PATIENCE).await;
    office.start().await;
    let ready = board.clock.instant();
    let asked = async {
        let mut samples = Vec::new();
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        loop {
            pace.tick().await;
            let began = board.clock.instant();
            office.read().await;
            samples.push(began.elapsed());
            if board.open.load(Ordering::Acquire) >= sockets {
                return Durations::of(samples);
            }
        }
    };
    let (asked, ()) = tokio::join!(asked, board.until_open(sockets, PATIENCE));
    let last = board.last_opened().saturating_duration_since(ready);
    let reached = last <= Duration::from_secs(5);
    table.judge("restart: ready to the last of all sockets open", "≤ 5 s", ms(last), reached);
    let reached = asked.p99() <= Duration::from_millis(250);
    table.judge("restart: reads meanwhile", "p99 ≤ 250 ms", asked.summary(), reached);
    tokio::time::sleep(SETTLE).await;
}

/// One agent in ten stops reading and answers no pings; the events go on for all.
async fn measure_stalled(plan: &Plan, office: &Office, board: &Arc<Board>, calm: &Durations, table: &mut Table) {
    let stalled = plan.sockets / 10;
    let before = office.resident();
    let began = board.clock.instant();
    board.stall(stalled);
    let cut = async {
        loop {
            if office.sessions().await <= plan.sockets - stalled {
                return began.elapsed();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let first = plan.series();
    let telling = async {
        tell(plan, first, board, |number, worker| office.change(number, worker)).await;
        office.resident()
    };
    let (cut, after) = tokio::join!(tokio::time::timeout(PATIENCE, cut), telling);
    let others = board.latencies(first + WARM_UP..plan.events(), |told| told.worker >= stalled).to_frame;
    let reached = others.p99().as_secs_f64() <= 1.5 * calm.p99().as_secs_f64();
    table.judge("a tenth stalls: the others", "p99 ≤ 1.5 × before", others.summary(), reached);
    table.note("a tenth stalls: ratio of p99", ratio(others.p99(), calm.p99()));
    let grown = after.saturating_sub(before) / (1 << 20);
    table.judge("a tenth stalls: memory", "≤ 280 MiB more", format!("{grown} MiB more"), grown <= 280);
    let cut = cut.map_or_else(|_| "not all".to_owned(), ms);
    table.note("a tenth stalls: all of them cut after", format!("{cut} ({})", office.dropped().await));
}

/// Tells one worker after the other of something, at a steady pace, whatever becomes of it.
async fn tell<F>(plan: &Plan, first: usize, board: &Arc<Board>, send: impl Fn(usize, usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    println!("{PER_SECOND} events a second, {} in all", plan.series());
    let started = board.clock.instant() + Duration::from_millis(100);
    let mut requests = tokio::task::JoinSet::new();
    for index in 0..plan.series() {
        let intended = started + (Duration::from_secs(1) / PER_SECOND) * u32::try_from(index).expect("few events");
        tokio::time::sleep_until(intended.into()).await;
        let number = first + index;
        // Neighbours in time are no neighbours in the fleet.
        let worker = index * 7_919 % plan.sockets;
        board.tell(number, Told { worker, intended });
        let (request, board) = (send(number, worker), Arc::clone(board));
        requests.spawn(async move {
            request.await;
            board.answered(number);
        });
        while requests.try_join_next().is_some() {}
    }
    requests.join_all().await;
    // The last ones wait for their delay.
    tokio::time::sleep(PUSH_DELAY * 5).await;
}

fn kilobytes(bytes: u64, sockets: usize) -> String {
    let tenths = bytes / (100 * sockets as u64).max(1);
    format!("{}.{} kB", tenths / 10, tenths % 10)
}
