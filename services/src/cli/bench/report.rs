//! The table: medians of the rounds, ours beside stock, as markdown.

use std::{fmt::Write as _, fs, thread, time::Duration};

use super::load::{Measured, Work};

/// One line of the table: the same work on both sides, once a round.
pub struct Line {
    /// What was asked for.
    pub work: Work,
    /// How many callers asked.
    pub callers: usize,
    /// What we did, a round each.
    pub ours: Vec<Measured>,
    /// What the stock library did.
    pub stock: Vec<Measured>,
}

/// A table of one home of the log.
pub struct Table {
    /// Where the log lives.
    pub home: String,
    /// What stands beside us.
    pub beside: &'static str,
    /// The settings that decide what durable means, ours and stock's.
    pub settings: Vec<(&'static str, String)>,
    /// The lines.
    pub lines: Vec<Line>,
    /// How many view updates the stock library lost.
    pub lost: u64,
}

impl Table {
    /// The table as markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n", self.home);
        for (side, settings) in &self.settings {
            let _ = writeln!(text, "- {side}: {settings}");
        }
        let beside = self.beside;
        let _ = write!(
            text,
            "\n| work | callers | rollbook /s | p50 | p99 | {beside} /s | p50 | p99 | times as many | p99, share of stock's |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
        );
        for line in &self.lines {
            let (ours, stock) = (median(&line.ours), median(&line.stock));
            let _ = writeln!(
                text,
                "| {} | {} | {:.0} | {} | {} | {:.0} | {} | {} | {:.1} | {:.2} |",
                line.work,
                line.callers,
                ours.rate,
                millis(ours.p50),
                millis(ours.p99),
                stock.rate,
                millis(stock.p50),
                millis(stock.p99),
                ours.rate / stock.rate,
                ours.p99.as_secs_f64() / stock.p99.as_secs_f64(),
            );
        }
        let _ = write!(
            text,
            "\n{beside} lost {} updates of its view on the way; rollbook's views had caught up.\n",
            self.lost
        );
        text
    }
}

/// The median of each figure by itself.
fn median(rounds: &[Measured]) -> Measured {
    Measured {
        rate: middle(rounds.iter().map(|round| round.rate).collect()),
        p50: Duration::from_secs_f64(middle(
            rounds.iter().map(|round| round.p50.as_secs_f64()).collect(),
        )),
        p99: Duration::from_secs_f64(middle(
            rounds.iter().map(|round| round.p99.as_secs_f64()).collect(),
        )),
    }
}

/// The median of some waits.
pub fn median_wait(waits: &[Duration]) -> Duration {
    Duration::from_secs_f64(middle(waits.iter().map(Duration::as_secs_f64).collect()))
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let half = figures.len() / 2;
    match figures.len() {
        0 => 0.0,
        even if even % 2 == 0 => f64::midpoint(figures[half - 1], figures[half]),
        _ => figures[half],
    }
}

pub fn millis(wait: Duration) -> String {
    format!("{:.2} ms", wait.as_secs_f64() * 1000.0)
}

/// What the figures were measured on.
pub fn machine() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let model =
        line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = line_of("/proc/meminfo", "MemTotal")
        .and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok())
        .map(|kib| format!(", {} GiB", kib.div_ceil(1 << 20)))
        .unwrap_or_default();
    let system = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!(
        "{cores} cores ({model}){memory}, {os} {} {arch}",
        system.trim()
    )
}

fn line_of(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(rate: f64, p99: u64) -> Measured {
        Measured {
            rate,
            p50: Duration::from_millis(1),
            p99: Duration::from_millis(p99),
        }
    }

    #[test]
    fn the_table_shows_medians_and_how_many_times_stock_they_are() {
        let line = Line {
            work: Work::Update,
            callers: 64,
            ours: vec![
                measured(9000.0, 5),
                measured(1.0, 900),
                measured(10_000.0, 4),
            ],
            stock: vec![
                measured(1500.0, 30),
                measured(1600.0, 20),
                measured(1400.0, 40),
            ],
        };
        let table = Table {
            home: "PostgreSQL".into(),
            beside: "postgres-es",
            settings: vec![("both", "fsync=on".into())],
            lines: vec![line],
            lost: 3,
        };
        let text = table.markdown();
        assert!(text.contains("- both: fsync=on\n"), "{text}");
        let wanted =
            "| update | 64 | 9000 | 1.00 ms | 5.00 ms | 1500 | 1.00 ms | 30.00 ms | 6.0 | 0.17 |";
        assert!(text.contains(wanted), "{text}");
        assert!(text.contains("postgres-es lost 3 updates"), "{text}");
    }

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        assert!((middle(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(middle(Vec::new()).abs() < f64::EPSILON);
    }
}
