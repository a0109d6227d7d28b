//! `/metrics` after a short day, and what `deploy/` makes of it.

use std::collections::BTreeSet;

use crate::programs::{Programs, text};

async fn metrics(programs: &Programs) -> String {
    let url = format!("http://{}/metrics", programs.server);
    programs.http.get(url).send().await.unwrap().text().await.unwrap()
}

/// The value of the line that begins with `series`.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find(|line| line.starts_with(series) && line[series.len()..].starts_with(' '));
    let line = line.unwrap_or_else(|| panic!("no {series} in\n{metrics}"));
    line[series.len()..].trim().parse().unwrap()
}

#[tokio::test]
async fn the_figures_tell_what_happened() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let workspace = floor.base.trim_start_matches("/Workspaces/").to_owned();
    let queue = text(&programs.get(&format!("{}/TaskQueues", floor.base)).await["task_queues"][0], "sid");
    let tasks = format!("{}/Tasks", floor.base);
    for _ in 0..3 {
        programs.post(&tasks, &[("Attributes", "{}")]).await;
    }
    let waiting = format!("taskrouter_queue_tasks{{workspace=\"{workspace}\",queue=\"{queue}\",status=\"pending\"}}");
    assert!((value(&metrics(&programs).await, &waiting) - 3.0).abs() < 0.1);

    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    let list = format!("{}/Workers/{}/Reservations?ReservationStatus=pending", floor.base, floor.worker);
    let offer = programs.get(&list).await["reservations"][0].clone();
    let (task, path) = (
        text(&offer, "task_sid"),
        format!("{tasks}/{}/Reservations/{}", text(&offer, "task_sid"), text(&offer, "sid")),
    );
    programs.post(&path, &[("ReservationStatus", "accepted")]).await;
    programs.post(&path, &[("ReservationStatus", "wrapping")]).await;
    programs.post(&path, &[("ReservationStatus", "completed")]).await;
    let others = programs.get(&format!("{tasks}?AssignmentStatus=pending")).await;
    let other = text(&others["tasks"][0], "sid");
    assert_ne!(other, task);
    programs.post(&format!("{tasks}/{other}"), &[("AssignmentStatus", "canceled"), ("Reason", "hangup")]).await;

    let capacity = |state: &str| {
        format!("taskrouter_worker_capacity_units{{workspace=\"{workspace}\",channel=\"default\",state=\"{state}\"}}")
    };
    let metrics = metrics(&programs).await;
    assert!(value(&metrics, "taskrouter_clock_step_seconds").abs() < 60.0);
    for (series, expected) in [
        (format!("taskrouter_tasks_canceled_total{{workspace=\"{workspace}\",reason=\"hangup\"}}"), 1.0),
        (format!("taskrouter_tasks_completed_total{{workspace=\"{workspace}\"}}"), 1.0),
        (format!("taskrouter_queue_wait_seconds_count{{queue=\"{queue}\",outcome=\"answered\"}}"), 1.0),
        (format!("taskrouter_queue_wait_seconds_count{{queue=\"{queue}\",outcome=\"abandoned\"}}"), 1.0),
        (format!("taskrouter_queue_answered_within_sl_total{{queue=\"{queue}\"}}"), 1.0),
        (format!("taskrouter_queue_abandoned_total{{queue=\"{queue}\"}}"), 1.0),
        (format!("taskrouter_queue_abandoned_short_total{{queue=\"{queue}\"}}"), 1.0),
        (format!("taskrouter_handle_seconds_count{{queue=\"{queue}\",phase=\"talk\"}}"), 1.0),
        (format!("taskrouter_handle_seconds_count{{queue=\"{queue}\",phase=\"wrap\"}}"), 1.0),
        ("taskrouter_reservations_total{outcome=\"accepted\"}".to_owned(), 1.0),
        ("taskrouter_reservations_total{outcome=\"completed\"}".to_owned(), 1.0),
        ("taskrouter_reservation_response_seconds_count".to_owned(), 1.0),
        (format!("taskrouter_workers{{workspace=\"{workspace}\",activity=\"{}\"}}", floor.available), 1.0),
        ("taskrouter_outbox_rows{state=\"dead_events\"}".to_owned(), 0.0),
        // The worker was offered the third task.
        (capacity("used"), 1.0),
        (capacity("free"), 0.0),
        (capacity("unavailable"), 0.0),
    ] {
        let found = value(&metrics, &series);
        assert!((found - expected).abs() < 0.1, "{series}: {found}");
    }
    assert!(value(&metrics, "taskrouter_assignment_latency_seconds_count") >= 1.0);
    for sid in [&task, &other, &floor.worker] {
        assert!(!metrics.contains(sid.as_str()), "no label names {sid}");
    }
}

/// Names in a text that look like ours.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let ours = words.filter(|word| word.starts_with("taskrouter_") || word.starts_with("http_server_"));
    let stem = |word: &str| {
        let mut word = word;
        for end in ["_bucket", "_count", "_sum"] {
            word = word.strip_suffix(end).unwrap_or(word);
        }
        word.to_owned()
    };
    ours.map(stem).collect()
}

#[test]
fn dashboard_and_alerts_name_figures_that_there_are() {
    let mut source = String::new();
    let mut folders = vec![std::path::PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                source.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let recorded = names(&source);
    let documented = names(include_str!("../../docs/metrics.md"));
    let dashboard: serde_json::Value =
        serde_json::from_str(include_str!("../../deploy/grafana/switchhook.json")).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() >= 15);
    for (file, text) in [
        ("dashboard", dashboard.to_string()),
        ("rules", include_str!("../../deploy/prometheus/switchhook.rules.yml").to_owned()),
    ] {
        let used = names(&text);
        assert!(used.len() >= 5, "{file} uses figures");
        let unknown: Vec<_> = used.iter().filter(|name| !recorded.contains(*name)).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}, which nothing records");
        let silent: Vec<_> = used.iter().filter(|name| !documented.contains(*name)).collect();
        assert!(silent.is_empty(), "docs/metrics.md does not explain {silent:?}");
    }
}
