//! Figures, one a line, each beside its ceiling.
use std::fmt;
use std::time::Duration;

/// A table in Markdown.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

struct Row {
    what: String,
    figure: String,
    beside: String,
}

impl Table {
    /// Tells it on the standard error at once: a long run that is stopped has said something.
    #[expect(clippy::print_stderr, reason = "this is what a benchmark is for")]
    pub(crate) fn row(&mut self, what: impl Into<String>, figure: String, beside: String) {
        let what = what.into();
        eprintln!("{what}: {figure} {beside}");
        self.0.push(Row {
            what,
            figure,
            beside,
        });
    }

    /// A rate, as a part of the ceiling's rate.
    pub(crate) fn rate(&mut self, what: impl Into<String>, rate: f64, ceiling: (&str, f64)) {
        let (name, most) = ceiling;
        let ratio = rate / most;
        self.row(
            what,
            format!("{rate:.0}/s"),
            format!("{ratio:.2} of {name}, {most:.0}/s"),
        );
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| What | Figure | Beside |")?;
        writeln!(f, "|---|---|---|")?;
        for Row {
            what,
            figure,
            beside,
        } in &self.0
        {
            writeln!(f, "| {what} | {figure} | {beside} |")?;
        }
        Ok(())
    }
}

/// The time that so many of a hundred do not exceed.
pub(crate) fn percentile(times: &[Duration], part: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[(times.len() - 1) * part / 100]
}

/// `p50 0.42 ms, p99 1.30 ms`.
pub(crate) fn percentiles(times: &[Duration]) -> String {
    let at = |part| percentile(times, part).as_secs_f64() * 1000.0;
    format!("p50 {:.2} ms, p99 {:.2} ms", at(50), at(99))
}

/// Things a second.
pub(crate) fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// The one in the middle.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
