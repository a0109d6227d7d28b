//! The timeline on the terminal: what the event log tells, one line each, and the summary.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use serde_json::Value;

use crate::routing::Timestamp;

use super::api::{Client, items, text};
use super::sample::Sample;
use super::{Error, Options, Sides, Summary};

/// What is known of one caller.
#[derive(Debug, Default)]
struct Caller {
    number: u32,
    from: String,
    queue: String,
    arrived_ms: i64,
    accepted_ms: Option<i64>,
    worker: Option<String>,
    ended_ms: Option<i64>,
    end: Option<String>,
}

/// Follows the event log.
#[derive(Debug)]
pub(super) struct Timeline {
    began: Timestamp,
    seen: BTreeSet<String>,
    callers: BTreeMap<String, Caller>,
    window_ms: i64,
}

/// How far back each look goes, in milliseconds: events of one second may come in two looks.
const OVERLAP_MS: i64 = 3_000;

/// Events asked for at once.
const PAGE_SIZE: usize = 1_000;

impl Timeline {
    pub(super) fn new(began: Timestamp) -> Self {
        Self { began, seen: BTreeSet::new(), callers: BTreeMap::new(), window_ms: began.0 }
    }

    pub(super) fn introduce(
        options: &Options,
        sides: &Sides,
        sample: &Sample,
        output: &mut (dyn Write + Send),
    ) -> Result<(), Error> {
        writeln!(output, "Switchhook demo: {} callers, {} a second", options.calls, options.rate)?;
        writeln!(output, "  server        http://{}  (REST below /v1, webhooks below /voice)", sides.server)?;
        writeln!(output, "  phone system  http://{}  (REST below /2010-04-01, control below /control)", sides.phone)?;
        writeln!(output, "  workspace     {}  queues sales, support; six workers", sample.workspace)?;
        writeln!(output)?;
        writeln!(output, "    time  caller  what happens")?;
        Ok(())
    }

    /// Callers whose task has ended.
    pub(super) fn ended(&self) -> u32 {
        u32::try_from(self.callers.values().filter(|caller| caller.end.is_some()).count()).unwrap_or(u32::MAX)
    }

    /// Reads what is new in the event log and writes a line for what matters to a reader.
    pub(super) async fn follow(
        &mut self,
        client: &Client,
        sample: &Sample,
        output: &mut (dyn Write + Send),
    ) -> Result<(), Error> {
        let from = iso_seconds(self.window_ms - OVERLAP_MS);
        let mut path = format!("/v1/Workspaces/{}/Events?StartDate={from}&PageSize={PAGE_SIZE}", sample.workspace);
        loop {
            let page = client.get(&path).await?;
            for event in items(&page, "events") {
                if self.seen.insert(text(event, "sid")) {
                    self.tell(event, output)?;
                }
            }
            let next = page.get("meta").and_then(|meta| meta.get("next_page_url")).and_then(Value::as_str);
            match next.and_then(|url| url.find("/v1/").map(|at| url[at..].to_owned())) {
                Some(next) => path = next,
                None => return Ok(()),
            }
        }
    }

    fn tell(&mut self, event: &Value, output: &mut (dyn Write + Send)) -> Result<(), Error> {
        let at_ms = event.get("event_date_ms").and_then(Value::as_i64).unwrap_or(0);
        self.window_ms = self.window_ms.max(at_ms);
        let data = event.get("event_data").cloned().unwrap_or(Value::Null);
        let task = text(&data, "task_sid");
        if task.is_empty() {
            return Ok(());
        }
        let number = u32::try_from(self.callers.len() + 1).unwrap_or(u32::MAX);
        let kind = text(event, "event_type");
        if kind == "task.created" {
            let attributes: Value = serde_json::from_str(&text(&data, "task_attributes")).unwrap_or(Value::Null);
            let caller = Caller { number, from: text(&attributes, "from"), arrived_ms: at_ms, ..Caller::default() };
            self.callers.insert(task.clone(), caller);
        }
        let Some(caller) = self.callers.get_mut(&task) else { return Ok(()) };
        let worker = text(&data, "worker_name");
        let waited = |until: i64| seconds(until - caller.arrived_ms);
        let line = match kind.as_str() {
            "task.created" => format!("{} rings in", caller.from),
            "task-queue.entered" => {
                caller.queue = text(&data, "task_queue_name");
                format!("waits in queue {}", caller.queue)
            }
            "reservation.created" => format!("offered to {worker}"),
            "reservation.accepted" => {
                let line = format!("talks to {worker} after {} of waiting", waited(at_ms));
                caller.accepted_ms = Some(at_ms);
                caller.worker = Some(worker);
                line
            }
            "reservation.rejected" => format!("rejected by {worker}"),
            "reservation.timeout" => format!("{worker} did not react in time"),
            "reservation.canceled" => format!("offer to {worker} taken back"),
            "task.wrapup" => {
                let talked = caller.accepted_ms.map_or_else(String::new, |since| seconds(at_ms - since));
                format!("call over after {talked} of talk, {} wraps up", caller.worker.as_deref().unwrap_or("worker"))
            }
            "task.completed" => {
                caller.ended_ms = Some(at_ms);
                caller.end = Some("handled".to_owned());
                "done".to_owned()
            }
            "task.canceled" => {
                let reason = text(&data, "task_canceled_reason");
                let line = format!("gone after {} ({reason})", waited(at_ms));
                caller.ended_ms = Some(at_ms);
                caller.end = Some(if reason == "hangup" { "abandoned".to_owned() } else { reason });
                line
            }
            _ => return Ok(()),
        };
        writeln!(output, "{:>8}  #{:<5}  {line}", seconds(at_ms - self.began.0), caller.number)?;
        Ok(())
    }

    pub(super) fn summary(&self) -> Summary {
        let count = |end: Option<&str>| {
            let matching = self.callers.values().filter(|caller| caller.end.as_deref() == end).count();
            u32::try_from(matching).unwrap_or(u32::MAX)
        };
        let callers = u32::try_from(self.callers.len()).unwrap_or(u32::MAX);
        let (handled, abandoned) = (count(Some("handled")), count(Some("abandoned")));
        Summary { callers, handled, abandoned, other: callers - handled - abandoned }
    }

    /// One line for each caller, then the totals.
    pub(super) fn conclude(&self, summary: &Summary, output: &mut (dyn Write + Send)) -> Result<(), Error> {
        let mut callers: Vec<&Caller> = self.callers.values().collect();
        callers.sort_by_key(|caller| caller.number);
        writeln!(output, "\n  caller  from          queue     wait     worker  end")?;
        for caller in callers {
            let until = caller.accepted_ms.or(caller.ended_ms);
            let wait = until.map_or_else(|| "-".to_owned(), |until| seconds(until - caller.arrived_ms));
            writeln!(
                output,
                "  #{:<5}  {:<12}  {:<8}  {:>7}  {:<6}  {}",
                caller.number,
                caller.from,
                caller.queue,
                wait,
                caller.worker.as_deref().unwrap_or("-"),
                caller.end.as_deref().unwrap_or("not ended"),
            )?;
        }
        let mut waits: Vec<i64> = self
            .callers
            .values()
            .filter_map(|caller| caller.accepted_ms.map(|accepted| accepted - caller.arrived_ms))
            .collect();
        waits.sort_unstable();
        let Summary { callers, handled, abandoned, other } = summary;
        writeln!(output, "\n  {callers} callers: {handled} handled, {abandoned} abandoned, {other} ended otherwise")?;
        if let (Some(median), Some(longest)) = (waits.get(waits.len() / 2), waits.last()) {
            writeln!(
                output,
                "  wait until a worker answered: median {}, longest {}",
                seconds(*median),
                seconds(*longest)
            )?;
        }
        Ok(())
    }
}

/// The second in which a moment lies, as the API reads it.
fn iso_seconds(ms: i64) -> String {
    jiff::Timestamp::from_second(ms.div_euclid(1000)).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

fn seconds(ms: i64) -> String {
    format!("{}.{} s", ms / 1000, (ms % 1000).abs() / 100)
}
