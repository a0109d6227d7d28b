//! 200 new calls a second: from the moment a voice webhook was meant to be sent to its TwiML, which means it is on disk.
//!
//! Rounds alternate with the bare handler, asked in the same way, and with a loop that writes and syncs at the same pace.
//! Start with [`measure`].

use std::time::Duration;

use serde_json::json;
use switchhook::clock::Clock;
use switchhook::signature;
use tokio::task::JoinSet;

use crate::Plan;
use crate::figures::{Durations, Table, ms, ratio};
use crate::floor::{Handler, sync_loop};
use crate::sides::{PHONE_ACCOUNT, PHONE_TOKEN, Sides, text};

const PER_SECOND: u32 = 200;
const ROUNDS: u32 = 5;
const WARM_UP_SECS: u32 = 2;
const P99_TARGET: Duration = Duration::from_millis(10);

/// One round of the three.
struct Round {
    ours: Durations,
    bare: Durations,
    sync: Durations,
}

impl Round {
    /// What the issue allows for the median: the bare handler and one and a half times the sync.
    fn allowed(&self) -> Duration {
        self.bare.p50() + self.sync.p50() * 3 / 2
    }
}

pub(crate) async fn measure(plan: &Plan, table: &mut Table) {
    println!("{PER_SECOND} voice webhooks a second, {ROUNDS} rounds of {} s", plan.seconds);
    let sides = Sides::start().await;
    let (base, _, queue) = sides.furnish().await;
    let handler = Handler::spawn().await;
    let bare_url = format!("http://{}/", handler.address);
    let mut rounds = Vec::new();
    let total = PER_SECOND * plan.seconds;
    for round in 0..=ROUNDS {
        // A workflow each, because one has room for 5,000 waiting calls.
        let configuration = json!({ "task_routing": { "default_filter": { "queue": queue } } }).to_string();
        let form = [("FriendlyName", format!("round {round}")), ("Configuration", configuration)];
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let workflow = text(&sides.post(&format!("{base}/Workflows"), &form).await, "sid");
        let url = format!("http://{}/voice/enqueue/{workflow}", sides.server);
        if round == 0 {
            ask(&sides, &url, PER_SECOND * WARM_UP_SECS, round).await;
            ask(&sides, &bare_url, PER_SECOND * WARM_UP_SECS, round).await;
            continue;
        }
        let file = sides.directory.path().join("raw");
        let pace = Duration::from_secs(1) / PER_SECOND;
        rounds.push(Round {
            sync: sync_loop(file, total, pace).await,
            bare: ask(&sides, &bare_url, total, round).await,
            ours: ask(&sides, &url, total, round).await,
        });
    }
    tell(&rounds, table);
}

fn tell(rounds: &[Round], table: &mut Table) {
    for Round { ours, bare, sync } in rounds {
        println!("  TwiML {}; handler {}; sync {}", ours.summary(), bare.summary(), sync.summary());
    }
    let best = |pick: &dyn Fn(&Round) -> Duration| {
        let mut all: Vec<Duration> = rounds.iter().map(pick).collect();
        all.sort_unstable();
        (all[0], all[all.len() / 2], all[all.len() - 1])
    };
    let shown = |(least, middle, most)| format!("median {} ({} to {})", ms(middle), ms(least), ms(most));
    let (p50, p99) = (best(&|round| round.ours.p50()), best(&|round| round.ours.p99()));
    let mut by_ratio: Vec<&Round> = rounds.iter().collect();
    by_ratio.sort_by(|one, other| share(one).total_cmp(&share(other)));
    let middle = by_ratio[by_ratio.len() / 2];
    table.judge(
        "webhook: intended send to TwiML, p50, beside handler p50 + 1.5 × sync p50",
        "≤ 1.0 ×",
        format!("{} of {}; {}", ratio(middle.ours.p50(), middle.allowed()), ms(middle.allowed()), shown(p50)),
        middle.ours.p50() <= middle.allowed(),
    );
    table.judge("webhook: intended send to TwiML, p99", "≤ 10 ms", shown(p99), p99.1 <= P99_TARGET);
    table.note("floor: bare axum handler, p50", shown(best(&|round| round.bare.p50())));
    table.note("floor: bare axum handler, p99", shown(best(&|round| round.bare.p99())));
    table.note("floor: write and sync of 4 KiB, p50", shown(best(&|round| round.sync.p50())));
    table.note("floor: write and sync of 4 KiB, p99", shown(best(&|round| round.sync.p99())));
}

fn share(round: &Round) -> f64 {
    round.ours.p50().as_secs_f64() / round.allowed().as_secs_f64().max(f64::MIN_POSITIVE)
}

/// Sends webhooks of new calls in an open loop.
async fn ask(sides: &Sides, url: &str, total: u32, round: u32) -> Durations {
    let clock = Clock::system();
    let started = clock.instant() + Duration::from_millis(100);
    let mut requests = JoinSet::new();
    for number in 0..total {
        let call = format!("CA{round:08x}{number:024x}");
        let from = format!("+1555{number:07}");
        let pairs = webhook(&call, &from);
        let signature = signature::sign_form(PHONE_TOKEN, url, &pairs);
        let request = sides.http.post(url).form(&pairs).header(signature::HEADER, signature);
        let intended = started + Duration::from_secs(1) / PER_SECOND * number;
        // The runtime's own timers are late by up to a millisecond, and by as much in a whole round.
        tokio::task::block_in_place(|| std::thread::sleep(intended.saturating_duration_since(clock.instant())));
        let clock = clock.clone();
        requests.spawn(async move {
            let answer = request.send().await.expect("answered");
            let status = answer.status();
            let twiml = answer.text().await.expect("read");
            let took = clock.instant() - intended;
            assert!(status.is_success() && twiml.contains("<Enqueue"), "{status}: {twiml}");
            took
        });
    }
    Durations::of(requests.join_all().await)
}

/// What the phone system tells of a new call.
fn webhook<'a>(call: &'a str, from: &'a str) -> [(&'static str, &'a str); 15] {
    [
        ("AccountSid", PHONE_ACCOUNT),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", call),
        ("CallStatus", "ringing"),
        ("Called", "+15550100"),
        ("CalledCity", ""),
        ("CalledCountry", "US"),
        ("Caller", from),
        ("CallerCity", ""),
        ("CallerCountry", "US"),
        ("Direction", "inbound"),
        ("From", from),
        ("FromCountry", "US"),
        ("To", "+15550100"),
        ("ToCountry", "US"),
    ]
}
