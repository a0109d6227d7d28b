//! Cumulative statistics: buckets and edges add up to the facts, splits are bounded, old rows go in portions.

use super::*;
use crate::routing::rollup::{Figures, FiguresOf, Stretch};
use crate::store::statistics::{Question, StaysOf};

const HOUR_MS: i64 = 3_600_000;
/// On the hour.
const START: i64 = 1_699_999_200_000;

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn counted_event(dice: &mut Dice, sequence: u64, at: i64) -> EventRecord {
    let kinds: Vec<EventKind> =
        EventKind::ALL.iter().copied().filter(|kind| *kind != EventKind::WorkspaceDeleted).collect();
    let kind = kinds[usize::try_from(dice.below(kinds.len() as u64)).unwrap()];
    let ago = |dice: &mut Dice| Timestamp(at - i64::try_from(dice.below(100_000)).unwrap());
    let about = About {
        task: Some(TaskSid::from_bits(1)),
        worker: Some(WorkerSid::from_bits(u128::from(dice.below(3)))),
        queue: Some(TaskQueueSid::from_bits(u128::from(dice.below(3)))),
        workflow: Some(WorkflowSid::from_bits(u128::from(dice.below(2)))),
        channel: Some(TaskChannelSid::from_bits(u128::from(dice.below(2)))),
        task_created_at: Some(ago(dice)),
        queue_entered_at: Some(ago(dice)),
        previous_queue: Some(TaskQueueSid::from_bits(u128::from(dice.below(3)))),
        transfer: (dice.below(4) == 0).then(|| TransferSid::from_bits(1)),
        ..About::default()
    };
    EventRecord { kind, at: Timestamp(at), about, ..event(u128::from(sequence) << 64, sequence) }
}

/// The facts of a window added up one by one.
fn added_up(events: &[EventRecord], of: FiguresOf, window: Stretch, channel: Option<TaskChannelSid>) -> Figures {
    let mut figures = Figures::default();
    for fact in events.iter().filter_map(Fact::of) {
        let belongs = match of {
            FiguresOf::Workspace(_) => true,
            FiguresOf::TaskQueue(queue) => fact.queue == Some(queue),
            FiguresOf::Workflow(workflow) => fact.workflow == Some(workflow),
            FiguresOf::Worker(worker) => fact.worker == Some(worker),
        };
        let within = window.from <= fact.at && fact.at < window.until;
        if belongs && within && of.shows(fact.kind) && channel.is_none_or(|channel| fact.channel == Some(channel)) {
            figures.add(&Figures::of(&fact));
        }
    }
    figures
}

async fn check_windows(store: &Store, events: &[EventRecord], windows: &[Stretch]) {
    let workspace = workspace_sid(1);
    let queue = |number| FiguresOf::TaskQueue(TaskQueueSid::from_bits(number));
    let worker = |number| FiguresOf::Worker(WorkerSid::from_bits(number));
    let scopes = [
        vec![FiguresOf::Workspace(workspace)],
        vec![queue(0), queue(1), queue(2), queue(9)],
        vec![FiguresOf::Workflow(WorkflowSid::from_bits(1))],
        vec![worker(0), worker(2)],
    ];
    for window in windows {
        for of in &scopes {
            for channel in [None, Some(TaskChannelSid::from_bits(1))] {
                let question = Question { workspace, of: of.clone(), window: *window, channel, split: false };
                let answers = store.cumulative(&question).await.unwrap();
                assert_eq!(answers.len(), of.len());
                for (of, answer) in answers {
                    assert_eq!(answer.figures, added_up(events, of, *window, channel), "{of} in {window:?}");
                }
            }
        }
    }
}

fn windows(dice: &mut Dice, count: usize, length: i64) -> Vec<Stretch> {
    let mut windows = vec![
        Stretch { from: Timestamp(START), until: Timestamp(START + length) },
        Stretch { from: Timestamp(START + HOUR_MS), until: Timestamp(START + 2 * HOUR_MS) },
        Stretch { from: Timestamp(START + 300_000), until: Timestamp(START + HOUR_MS + 600_000) },
    ];
    let mut moment = || START + i64::try_from(dice.below(u64::try_from(length).unwrap())).unwrap();
    while windows.len() < count {
        let (one, other) = (moment(), moment());
        windows.push(Stretch { from: Timestamp(one.min(other)), until: Timestamp(one.max(other)) });
    }
    windows
}

/// Writes this many events over a stretch, several batches in one commit now and then.
async fn write_events(store: &Store, dice: &mut Dice, count: u64, length: i64) -> Vec<EventRecord> {
    let mut events = Vec::new();
    let last = count + 1;
    for sequence in 2..=last {
        let at = START + length * i64::try_from(sequence).unwrap() / i64::try_from(last + 1).unwrap();
        events.push(counted_event(dice, sequence, at));
    }
    let mut rest = events.as_slice();
    while !rest.is_empty() {
        let (first, after) = rest.split_at(rest.len().min(7));
        let (second, after) = after.split_at(after.len().min(5));
        rest = after;
        let batch = |events: &[EventRecord], expected| Batch {
            events: events.to_vec(),
            ..Batch::empty(workspace_sid(1), expected)
        };
        let before = first[0].sequence - 1;
        // Both are queued before the writer runs, so they share a commit and its buckets.
        let both =
            tokio::join!(store.append(batch(first, before)), store.append(batch(second, before + first.len() as u64)));
        both.0.unwrap();
        both.1.unwrap();
    }
    // The one that came with the workspace.
    events.insert(0, event(1, 1));
    events
}

#[tokio::test]
async fn figures_of_any_window_are_what_its_facts_add_up_to() {
    let (_directory, store, _) = store_with_workspace().await;
    let mut dice = Dice(7);
    let length = 5 * HOUR_MS;
    let events = write_events(&store, &mut dice, 1_500, length).await;
    check_windows(&store, &events, &windows(&mut dice, 40, length)).await;
}

#[tokio::test]
async fn a_split_looks_at_the_newest_ten_thousand_of_each_kind() {
    let (_directory, store, _) = store_with_workspace().await;
    let accepted = |sequence: u64| {
        let at = Timestamp(START + i64::try_from(sequence).unwrap());
        let about = About {
            queue: Some(TaskQueueSid::from_bits(1)),
            // The oldest fifty waited for longer.
            task_created_at: Some(at.plus_ms(if sequence < 52 { -9_000 } else { -3_000 })),
            ..About::default()
        };
        EventRecord { kind: EventKind::ReservationAccepted, at, about, ..event(u128::from(sequence) << 64, sequence) }
    };
    let events: Vec<EventRecord> = (2..10_052).map(accepted).collect();
    store.append(Batch { events, ..Batch::empty(workspace_sid(1), 1) }).await.unwrap();
    let question = |window| Question {
        workspace: workspace_sid(1),
        of: vec![FiguresOf::TaskQueue(TaskQueueSid::from_bits(1))],
        window,
        channel: None,
        split: true,
    };
    let waits = async |until: i64| {
        let window = Stretch { from: Timestamp(START), until: Timestamp(START + until) };
        let answers = store.cumulative(&question(window)).await.unwrap();
        answers.into_values().next().unwrap().accepted_after.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(waits(HOUR_MS).await, [(3, 10_000)]);
    assert_eq!(waits(10_000).await, [(3, 9_948), (9, 50)]);
}

#[tokio::test]
async fn old_rows_go_in_portions_and_the_rest_answers_as_before() {
    let (_directory, store, _) = store_with_workspace().await;
    let mut dice = Dice(9);
    let length = 5 * HOUR_MS;
    let events = write_events(&store, &mut dice, 900, length).await;
    let before = Timestamp(START + 2 * HOUR_MS + 123_456);
    let tables = ["events", "statistic_facts", "statistic_rollups"];
    let mut portions = 0;
    loop {
        let mut counts = Vec::new();
        for table in tables {
            counts.push(count(&store, table).await);
        }
        let removed = store.remove_expired(workspace_sid(1), before, 50).await.unwrap();
        for (table, there) in tables.iter().zip(counts) {
            assert!(there - count(&store, table).await <= 100, "{table}");
        }
        if removed == 0 {
            break;
        }
        portions += 1;
    }
    assert!(portions > 5, "{portions} portions");
    let oldest: i64 = sqlx::query_scalar("SELECT MIN(at) FROM events").fetch_one(store.read_pool()).await.unwrap();
    let kept: Vec<EventRecord> = events.into_iter().filter(|event| event.at >= before).collect();
    assert_eq!(oldest, kept[0].at.0);
    assert_eq!(count(&store, "events").await, i64::try_from(kept.len()).unwrap());
    let later: Vec<Stretch> =
        windows(&mut dice, 30, length).into_iter().filter(|window| window.from >= before).collect();
    assert!(later.len() > 5);
    check_windows(&store, &kept, &later).await;
}

#[tokio::test]
async fn stays_are_clipped_to_the_window_and_the_present_one_lasts_until_now() {
    let (_directory, store, rows) = store_with_workspace().await;
    let (worker, lunch) = (WorkerSid::from_bits(50), ActivitySid::from_bits(8));
    let left = |sequence: u64, from: i64, until: i64| EventRecord {
        kind: EventKind::WorkerActivityUpdate,
        at: Timestamp(START + until),
        about: About {
            worker: Some(worker),
            previous_activity: Some((lunch, Timestamp(START + from))),
            ..About::default()
        },
        ..event(u128::from(sequence) << 64, sequence)
    };
    let present = Worker { activity: lunch, status_changed_at: Timestamp(START + 90_500), ..rows.workers[0].clone() };
    let present = Worker { sid: worker, friendly_name: "present".to_owned(), ..present };
    let batch = Batch {
        rows: vec![RowChange::Worker(present)],
        events: vec![left(2, 0, 10_999), left(3, 20_000, 20_000), left(4, 30_000, 60_000)],
        ..Batch::empty(workspace_sid(1), 1)
    };
    store.append(batch).await.unwrap();
    assert_eq!(count(&store, "activity_periods").await, 2, "a stay without length is none");
    let stays = async |from: i64, until: i64, now: i64| {
        let window = Stretch { from: Timestamp(START + from), until: Timestamp(START + until) };
        let of = StaysOf::Workers(vec![FiguresOf::Worker(worker)]);
        let stays = store.stays(workspace_sid(1), &of, window, Timestamp(START + now)).await.unwrap();
        let stays = stays.get(&lunch.to_string()).copied().unwrap_or_default();
        (stays.count, stays.durations.total, stays.durations.min, stays.durations.max)
    };
    assert_eq!(stays(0, 100_000, 100_000).await, (3, 10 + 30 + 9, Some(9), Some(30)));
    assert_eq!(stays(5_000, 40_000, 100_000).await, (2, 5 + 10, Some(5), Some(10)));
    assert_eq!(stays(10_999, 30_000, 100_000).await, (0, 0, None, None));
    assert_eq!(stays(91_000, 200_000, 95_600).await, (1, 4, Some(4), Some(4)));
    assert_eq!(stays(96_000, 200_000, 95_600).await, (0, 0, None, None));
}
