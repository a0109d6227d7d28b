//! Runs workspaces until one breaks an invariant, then looks for the shortest story that does.
//!
//! A run is a seed and a number of steps; after [`STEPS_OF_A_RUN`] steps everything comes to rest and the next seed
//! begins with a new workspace. Start with [`play`].

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::say;
use crate::weather::Weather;
use crate::world::World;

/// Steps of one workspace.
pub(crate) const STEPS_OF_A_RUN: u32 = 20_000;

/// Steps of continuous integration, and its first seed.
const STEPS_OF_INTEGRATION: u64 = 10_000_000;
pub(crate) const SEED_OF_INTEGRATION: u64 = 1_000;

/// The storm's first seed, how far the next stormy one is, and the steps of each.
const SEED_OF_STORM: u64 = 400_000;
pub(crate) const STORMY_EVERY: u64 = 4;
const STEPS_OF_A_STORM: u32 = 20_000;
/// Callers of the storm.
const CALLERS_OF_STORM: u64 = 2_000;
/// Callbacks and commands that meet with something, in thousandths: a fifth, less what chance takes.
const HIT_PERMILLE_MIN: u64 = 185;

/// How long a shorter story is looked for.
const SHORTENING: Duration = Duration::from_secs(20);

/// Lines of a long story that are shown: the last ones, and the last of those that name what broke.
const LINES_SHOWN: usize = 20;
const LINES_ABOUT_SHOWN: usize = 60;

/// An invariant does not hold.
pub(crate) struct Broken {
    /// After so many steps; one more than there were when it is at rest.
    pub(crate) at: u32,
    pub(crate) what: String,
}

impl Broken {
    /// The same without identifiers and numbers, which differ from play to play.
    fn shape(&self) -> String {
        let words = self
            .what
            .split_whitespace()
            .map(|word| if word.bytes().any(|byte| byte.is_ascii_digit()) { "#" } else { word });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// What was done in one or several runs.
#[derive(Clone, Copy, Default)]
struct Done {
    steps: u64,
    /// Deadlines met.
    ticks: u64,
    /// Events recorded: each is a transition of a task, a reservation, a worker or what is configured.
    transitions: u64,
    /// What a processor has spent on it; zero where the system does not tell.
    on_cpu: Duration,
    weather: Weather,
}

impl std::ops::AddAssign for Done {
    fn add_assign(&mut self, more: Self) {
        self.steps += more.steps;
        self.ticks += more.ticks;
        self.transitions += more.transitions;
        self.on_cpu += more.on_cpu;
        self.weather += more.weather;
    }
}

/// What came of a run in which nothing broke.
pub(crate) struct Played {
    /// Stands for everything that happened.
    digest: u64,
    done: Done,
}

/// Plays steps 1 to `steps`, or those of them that are kept, and the end.
pub(crate) fn play(
    seed: u64,
    steps: u32,
    keep: Option<&[u32]>,
    mut story: Option<&mut Vec<String>>,
) -> Result<Played, Broken> {
    let broken = |at: u32, what: String| Broken { at, what };
    let began = cpu_time();
    let mut world = World::new(seed, story.is_some()).map_err(|what| broken(0, what))?;
    let mut one = |world: &mut World, number: u32| {
        let outcome = world.step(number);
        if let Some(story) = story.as_deref_mut() {
            story.extend(world.told().into_iter().map(|line| format!("step {number}: {line}")));
        }
        outcome.map_err(|what| broken(number, what))
    };
    match keep {
        None => (1..=steps).try_for_each(|number| one(&mut world, number))?,
        Some(keep) => keep.iter().try_for_each(|number| one(&mut world, *number))?,
    }
    let outcome = world.come_to_rest();
    if let Some(story) = story {
        story.extend(world.told().into_iter().map(|line| format!("end: {line}")));
    }
    outcome.map_err(|what| broken(steps.saturating_add(1), what))?;
    let steps = keep.map_or(u64::from(steps), |keep| keep.len() as u64);
    let on_cpu = cpu_time().saturating_sub(began);
    let done = Done { steps, ticks: world.ticks, transitions: world.transitions, on_cpu, weather: world.weather() };
    Ok(Played { digest: world.digest, done })
}

/// One run of `steps` steps over as many workspaces as it takes, beginning with `seed`.
pub(crate) fn run(seed: u64, steps: u64, keep: Option<&str>, defect: Option<&str>) -> Result<(), String> {
    crate::defects::switch_on(defect)?;
    if let Some(keep) = keep {
        let keep = numbers(keep)?;
        let last = keep.last().copied().unwrap_or(0);
        return play(seed, last, Some(&keep), None)
            .map(|_| say("nothing broke"))
            .map_err(|broken| tell(seed, &broken, &keep));
    }
    let began = now();
    let mut done = Done::default();
    while done.steps < steps {
        let in_this = u32::try_from((steps - done.steps).min(u64::from(STEPS_OF_A_RUN))).unwrap_or(STEPS_OF_A_RUN);
        let seed = seed + done.steps / u64::from(STEPS_OF_A_RUN);
        done += play(seed, in_this, None, None).map_err(|broken| report(seed, in_this, &broken))?.done;
    }
    say(&format!("seed {seed}: {}", rate(done, began.elapsed(), 1)));
    Ok(())
}

/// Fixed seeds, ten million steps, on all processors; the first seed twice with equal outcomes.
pub(crate) fn continuous_integration() -> Result<(), String> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let began = now();
    let next = AtomicU64::new(0);
    let runs = STEPS_OF_INTEGRATION / u64::from(STEPS_OF_A_RUN);
    let done: Mutex<Done> = Mutex::default();
    let failures: Mutex<Vec<(u64, Broken)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|next| *next < runs) {
                    let seed = SEED_OF_INTEGRATION + seed;
                    match play(seed, STEPS_OF_A_RUN, None, None) {
                        Ok(played) => *done.lock().expect("nobody panics with the lock") += played.done,
                        Err(broken) => {
                            failures.lock().expect("nobody panics with the lock").push((seed, broken));
                            next.store(runs, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("nobody panics with the lock");
    if let Some((seed, broken)) = failures.first() {
        return Err(report(*seed, STEPS_OF_A_RUN, broken));
    }
    let done = done.into_inner().expect("nobody panics with the lock");
    say(&format!("seeds {SEED_OF_INTEGRATION} and on: {}", rate(done, began.elapsed(), threads)));
    twice_the_same(SEED_OF_INTEGRATION, STEPS_OF_A_RUN)
}

/// Two thousand callers of stormy workspaces: at the end of each no task is open without a call, no call without a task,
/// and no worker holds capacity for nothing; everything else is checked on the way.
pub(crate) fn storm(defect: Option<&str>) -> Result<(), String> {
    crate::defects::switch_on(defect)?;
    let began = now();
    let mut done = Done::default();
    let mut seed = SEED_OF_STORM;
    while done.weather.callers < CALLERS_OF_STORM {
        done +=
            play(seed, STEPS_OF_A_STORM, None, None).map_err(|broken| report(seed, STEPS_OF_A_STORM, &broken))?.done;
        seed += STORMY_EVERY;
    }
    say(&format!("storm: {}; {}", done.weather, rate(done, began.elapsed(), 1)));
    let hit = done.weather.hit_permille();
    if hit < HIT_PERMILLE_MIN || done.weather.overtaken == 0 {
        return Err(format!("that was no storm: {hit} of 1,000 callbacks and commands met with something"));
    }
    Ok(())
}

/// The same seed gives the same run.
fn twice_the_same(seed: u64, steps: u32) -> Result<(), String> {
    let mut stories = [Vec::new(), Vec::new()];
    let mut digests = Vec::new();
    for story in &mut stories {
        let played = play(seed, steps, None, Some(story)).map_err(|broken| report(seed, steps, &broken))?;
        digests.push(played.digest);
    }
    let [first, second] = stories;
    if let Some((left, right)) = first.iter().zip(&second).find(|(left, right)| left != right) {
        return Err(format!("seed {seed} is not played twice the same:\n  {left}\n  {right}"));
    }
    if digests.first() != digests.last() || first.len() != second.len() {
        return Err(format!("seed {seed} is not played twice the same"));
    }
    say(&format!("seed {seed} played twice: {} lines, the same", first.len()));
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "only the rate is measured; the simulated clock is another one")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// What a processor has spent on this thread so far: it tells the rate also where others keep the machine busy.
fn cpu_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = told.split_whitespace().next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

fn rate(done: Done, took: Duration, threads: usize) -> String {
    let Done { steps, ticks, transitions, on_cpu, .. } = done;
    let a_second = |count: u64, took: Duration| u128::from(count) * 1_000 / took.as_millis().max(1);
    let threads = if threads == 1 { String::new() } else { format!(" on {threads} threads") };
    let one_core = if on_cpu.is_zero() {
        String::new()
    } else {
        format!(
            "; one core, by its {:.1} s of CPU time: {} a second",
            on_cpu.as_secs_f64(),
            a_second(steps + ticks, on_cpu)
        )
    };
    format!(
        "{steps} steps and {ticks} ticks in {:.1} s{threads}, {} a second; {} transitions a second{one_core}",
        took.as_secs_f64(),
        a_second(steps + ticks, took),
        a_second(transitions, took)
    )
}

/// The shortest story found that breaks the same invariant, and how to play it again.
fn report(seed: u64, steps: u32, broken: &Broken) -> String {
    say(&format!("seed {seed}, step {}: {}; looking for a shorter story", broken.at, broken.what));
    let keep = shorten(seed, steps, broken);
    let last = keep.last().copied().unwrap_or(0);
    match play(seed, last, Some(&keep), None) {
        Ok(_) => tell(seed, broken, &keep),
        Err(shorter) => tell(seed, &shorter, &keep),
    }
}

fn tell(seed: u64, broken: &Broken, keep: &[u32]) -> String {
    let mut story = Vec::new();
    let _ = play(seed, keep.last().copied().unwrap_or(0), Some(keep), Some(&mut story));
    let mut text = format!("seed {seed}, step {}: {}\n", broken.at, broken.what);
    let named: Vec<&str> = broken.what.split_whitespace().filter(|word| word.len() == 34).collect();
    let (before, last) = story.split_at(story.len().saturating_sub(LINES_SHOWN));
    let about: Vec<&String> = before.iter().filter(|line| named.iter().any(|name| line.contains(name))).collect();
    let shown = &about[about.len().saturating_sub(LINES_ABOUT_SHOWN)..];
    if shown.len() < before.len() {
        let _ = writeln!(text, "  ({} lines not shown)", before.len() - shown.len());
    }
    for line in shown.iter().copied().chain(last) {
        let _ = writeln!(text, "  {line}");
    }
    let _ = write!(text, "again: make sim SEED={seed} KEEP={}", ranges(keep));
    text
}

/// Drops chunks of steps, smaller and smaller ones, as long as the same invariant breaks.
fn shorten(seed: u64, steps: u32, broken: &Broken) -> Vec<u32> {
    let began = now();
    let shape = broken.shape();
    let breaks = |keep: &[u32]| {
        let last = keep.last().copied().unwrap_or(0);
        play(seed, last, Some(keep), None).err().filter(|other| other.shape() == shape)
    };
    let mut keep: Vec<u32> = (1..=broken.at.min(steps)).collect();
    let mut chunk = keep.len().div_ceil(2);
    while chunk > 0 && began.elapsed() < SHORTENING {
        let mut from = keep.len();
        let mut dropped = false;
        while from > 0 && began.elapsed() < SHORTENING {
            from = from.saturating_sub(chunk);
            let mut fewer = keep.clone();
            fewer.drain(from..(from + chunk).min(keep.len()));
            if let Some(other) = breaks(&fewer) {
                fewer.retain(|number| *number <= other.at);
                keep = fewer;
                from = from.min(keep.len());
                dropped = true;
            }
        }
        if !dropped || chunk > 1 {
            chunk /= 2;
        }
    }
    keep
}

/// `1-3,7` for 1, 2, 3 and 7.
fn ranges(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let text =
        ranges.iter().map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
    text.collect::<Vec<_>>().join(",")
}

fn numbers(ranges: &str) -> Result<Vec<u32>, String> {
    let read =
        |text: &str| text.parse::<u32>().map_err(|_| format!("expected step numbers such as 1-3,7, found {text:?}"));
    let mut numbers = Vec::new();
    for range in ranges.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        numbers.extend(read(first)?..=read(last)?);
    }
    Ok(numbers)
}
