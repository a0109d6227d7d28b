//! Figures and the table they are shown in.
//!
//! Start with [`Table`].

use std::time::Duration;

/// One line: what, what it should be, what it is.
#[derive(Debug)]
struct Line {
    what: String,
    target: String,
    measured: String,
    verdict: &'static str,
}

/// All that was measured, in order.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Line>);

impl Table {
    /// A figure with a target.
    pub(crate) fn judge(&mut self, what: &str, target: &str, measured: String, reached: bool) {
        let verdict = if reached { "ok" } else { "not" };
        self.line(what, target, measured, verdict);
    }

    /// A figure without a target: a floor, or a part of another figure.
    pub(crate) fn note(&mut self, what: &str, measured: String) {
        self.line(what, "", measured, "");
    }

    fn line(&mut self, what: &str, target: &str, measured: String, verdict: &'static str) {
        println!("{what}: {measured} {verdict}");
        self.0.push(Line { what: what.to_owned(), target: target.to_owned(), measured, verdict });
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = |cell: fn(&Line) -> &str| self.0.iter().map(|line| cell(line).chars().count()).max().unwrap_or(0);
        let what = width(|line| &line.what).max(4);
        let target = width(|line| &line.target).max(6);
        let measured = width(|line| &line.measured).max(8);
        writeln!(f, "| {:what$} | {:target$} | {:measured$} |     |", "what", "target", "measured")?;
        writeln!(f, "|{:-<1$}|{2:-<3$}|{4:-<5$}|-----|", "", what + 2, "", target + 2, "", measured + 2)?;
        for line in &self.0 {
            let Line { what: name, target: aim, measured: figure, verdict } = line;
            writeln!(f, "| {name:what$} | {aim:target$} | {figure:measured$} | {verdict:3} |")?;
        }
        Ok(())
    }
}

/// Durations of one kind, to be asked for percentiles.
#[derive(Debug, Clone, Default)]
pub(crate) struct Durations(Vec<Duration>);

impl Durations {
    pub(crate) fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        Self(samples)
    }

    /// The value that `permille` of the samples do not exceed.
    pub(crate) fn at(&self, permille: usize) -> Duration {
        let rank = (self.0.len() * permille).div_ceil(1_000).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn p50(&self) -> Duration {
        self.at(500)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.at(990)
    }

    /// Minimum, median, 99th percentile and maximum.
    pub(crate) fn summary(&self) -> String {
        format!(
            "min {} p50 {} p99 {} max {} (n {})",
            ms(self.at(0)),
            ms(self.p50()),
            ms(self.p99()),
            ms(self.at(1_000)),
            self.len()
        )
    }
}

/// A duration in milliseconds.
pub(crate) fn ms(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1_000.0)
}

/// How often `floor` goes into `figure`.
pub(crate) fn ratio(figure: Duration, floor: Duration) -> String {
    format!("{:.1} ×", figure.as_secs_f64() / floor.as_secs_f64().max(f64::MIN_POSITIVE))
}
