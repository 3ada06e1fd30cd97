//! What was measured, and whether it is as good as it is meant to be: ratios within one run.

use std::{fmt, fmt::Write as _, time::Duration};

use rollbook_proto::v1::UserSort;

use super::questions::Question;
use crate::cli::bench::{load::Measured, report::millis};

/// Where the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// In a PostgreSQL database.
    Postgres,
    /// In a SQLite file.
    Embedded,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "the log in PostgreSQL",
            Self::Embedded => "the log embedded, in SQLite",
        })
    }
}

/// One question at a number of callers.
pub struct Line {
    /// What was asked.
    pub question: Question,
    /// By how many at once.
    pub callers: usize,
    /// How ours answered.
    pub ours: Measured,
    /// How a method answered that does nothing.
    pub nothing: Option<Measured>,
    /// How the table answered.
    pub table: Option<Measured>,
    /// How slapd answered.
    pub slapd: Option<Measured>,
}

/// Reads straight after writes.
pub struct AfterWrite {
    /// By how many at once.
    pub callers: usize,
    /// What the writes waited.
    pub write: Measured,
    /// What the reads waited.
    pub read: Measured,
}

/// All that was measured at a number of users.
pub struct Size {
    users: u64,
    /// The questions.
    pub lines: Vec<Line>,
    /// The reads straight after writes.
    pub after_write: Vec<AfterWrite>,
    /// The most memory of its own that the serving process had, in bytes.
    pub memory: u64,
}

impl Size {
    /// One without measurements yet.
    pub const fn of(users: u64) -> Self {
        Self {
            users,
            lines: Vec::new(),
            after_write: Vec::new(),
            memory: 0,
        }
    }

    /// The table as markdown.
    pub fn markdown(&self, told: &str) -> String {
        let mut text = format!(
            "### {} users, {told}\n\n\
             | question | callers | rollbook /s | p50 | p99 | nothing /s | table /s | p50 | p99 | slapd /s | p50 | p99 |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
            grouped(self.users)
        );
        for line in &self.lines {
            // Writing to a text cannot fail.
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} |",
                line.question,
                line.callers,
                figures(Some(&line.ours)),
                line.nothing
                    .map_or(String::new(), |it| format!("{:.0}", it.rate)),
                figures(line.table.as_ref()),
                figures(line.slapd.as_ref()),
            );
        }
        for AfterWrite {
            callers,
            write,
            read,
        } in &self.after_write
        {
            let _ = writeln!(
                text,
                "| create | {callers} | {} | | | | | | | |\n| read straight after it | {callers} | {} | | | | | | | |",
                figures(Some(write)),
                figures(Some(read))
            );
        }
        let _ = writeln!(
            text,
            "\nMemory of the serving process that is no file's: {} MB.\n",
            self.memory / 1_000_000
        );
        text
    }

    fn line(&self, question: Question, callers: usize) -> Option<&Line> {
        let mut lines = self.lines.iter();
        lines.find(|line| line.question == question && line.callers == callers)
    }
}

fn figures(measured: Option<&Measured>) -> String {
    measured.map_or("| | ".to_owned(), |it| {
        format!("{:.0} | {} | {}", it.rate, millis(it.p50), millis(it.p99))
    })
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The sizes that were measured, and what is to be said of them.
#[derive(Default)]
pub struct Goals {
    sizes: Vec<(Store, Size)>,
}

/// A goal, and the worst that was measured of it.
struct Goal {
    name: String,
    wanted: f64,
    /// Whether more is better.
    at_least: bool,
    worst: Option<(f64, String)>,
}

impl Goal {
    fn at_least(name: impl Into<String>, wanted: f64) -> Self {
        Self {
            name: name.into(),
            wanted,
            at_least: true,
            worst: None,
        }
    }

    fn at_most(name: impl Into<String>, wanted: f64) -> Self {
        Self {
            at_least: false,
            ..Self::at_least(name, wanted)
        }
    }

    /// Takes a figure in.
    fn add(&mut self, figure: f64, of: impl fmt::Display) {
        let worse = |(worst, _): &(f64, String)| {
            if self.at_least {
                figure < *worst
            } else {
                figure > *worst
            }
        };
        if self.worst.as_ref().is_none_or(worse) {
            self.worst = Some((figure, of.to_string()));
        }
    }

    fn line(&self) -> String {
        let Self {
            name,
            wanted,
            at_least,
            worst,
        } = self;
        let bound = if *at_least { "at least" } else { "at most" };
        let Some((figure, of)) = worst else {
            return format!("| {name} | {bound} {wanted} | not measured | |\n");
        };
        let met = if *at_least {
            figure >= wanted
        } else {
            figure <= wanted
        };
        let met = if met { "met" } else { "**not met**" };
        format!("| {name} | {bound} {wanted} | {figure:.2} ({of}) | {met} |\n")
    }
}

impl Goals {
    /// Whether nothing was measured yet.
    pub const fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Takes a size in.
    pub fn add(&mut self, store: Store, size: Size) {
        self.sizes.push((store, size));
    }

    /// The goals as markdown, each with the worst figure at that many callers.
    pub fn markdown(&self, callers: usize) -> String {
        let mut text = format!(
            "### The goals, at {callers} callers\n\nThe worst figure counts, and where it was measured.\n\n\
             | goal | wanted | measured | |\n|---|--:|--:|---|\n"
        );
        for goal in self.goals(callers) {
            text.push_str(&goal.line());
        }
        text
    }

    fn goals(&self, callers: usize) -> Vec<Goal> {
        let mut goals = self.beside_others(callers);
        goals.extend(self.at_size(callers));
        goals.extend(self.after_writes(callers));
        goals
    }

    fn beside_others(&self, callers: usize) -> Vec<Goal> {
        let mut nothing =
            Goal::at_least("look-ups a second, times a method that does nothing", 0.7);
        let mut look_up = Goal::at_least("look-ups a second, times slapd's", 1.2);
        let mut slapd = Goal::at_least(
            "prefix, infix, supervisor, sorted pages a second, times slapd's",
            3.0,
        );
        let mut table = Goal::at_least("the same, times the table's", 2.0);
        for (_, size) in &self.sizes {
            let of = |line: &Line| format!("{} at {}", line.question, grouped(size.users));
            let unsorted = size.line(Question::Sorted(UserSort::Signature), callers);
            let unsorted = unsorted.and_then(|line| line.slapd);
            for line in size.lines.iter().filter(|line| line.callers == callers) {
                let times = |other: Measured| line.ours.rate / other.rate;
                if let Some(other) = line.nothing {
                    nothing.add(times(other), of(line));
                }
                if line.question.is_look_up()
                    && let Some(other) = line.slapd
                {
                    look_up.add(times(other), of(line));
                }
                if line.question.is_compared() {
                    let sorted = matches!(line.question, Question::Sorted(_));
                    if let Some(other) = if sorted { unsorted } else { line.slapd } {
                        slapd.add(times(other), of(line));
                    }
                    if let Some(other) = line.table {
                        table.add(times(other), of(line));
                    }
                }
            }
        }
        vec![nothing, look_up, slapd, table]
    }

    fn at_size(&self, callers: usize) -> Vec<Goal> {
        let mut goals = Vec::new();
        for store in [Store::Postgres, Store::Embedded] {
            let mut sizes: Vec<&Size> = self.of(store).collect();
            sizes.sort_by_key(|size| size.users);
            let (Some(least), Some(most)) = (sizes.first(), sizes.last()) else {
                continue;
            };
            let mut flat = Goal::at_most(
                format!(
                    "p99 of lists and searches at {} users, times that at {} ({store})",
                    grouped(most.users),
                    grouped(least.users)
                ),
                2.0,
            );
            let mut deep = Goal::at_most(format!("page 10,000, times page 1, p50 ({store})"), 1.2);
            let mut slowest = Goal::at_most(format!("p99 of anything, in ms ({store})"), 30.0);
            let mut memory =
                Goal::at_most(format!("memory that is no file's, in MB ({store})"), 300.0);
            let others = least.lines.iter().filter(|_| most.users > least.users);
            for line in others.filter(|line| line.callers == callers) {
                if let Some(there) = most.line(line.question, callers)
                    && !line.question.is_look_up()
                {
                    flat.add(ratio(there.ours.p99, line.ours.p99), line.question);
                }
            }
            for size in &sizes {
                let of = |what: &dyn fmt::Display| format!("{what} at {}", grouped(size.users));
                let first = size.line(Question::Sorted(UserSort::Signature), callers);
                if let (Some(far), Some(first)) = (size.line(Question::Deep, callers), first) {
                    deep.add(ratio(far.ours.p50, first.ours.p50), of(&Question::Deep));
                }
                for line in size.lines.iter().filter(|line| line.callers == callers) {
                    slowest.add(line.ours.p99.as_secs_f64() * 1_000.0, of(&line.question));
                }
                #[expect(clippy::cast_precision_loss, reason = "far below 2^53 bytes")]
                memory.add(size.memory as f64 / 1e6, of(&"serving"));
            }
            goals.extend([flat, deep, slowest, memory]);
        }
        goals
    }

    fn after_writes(&self, callers: usize) -> Vec<Goal> {
        let mut goals = Vec::new();
        for store in [Store::Postgres, Store::Embedded] {
            let name = format!("p99 of a read straight after a write, times the write's ({store})");
            let mut goal = Goal::at_most(name, 1.5);
            for size in self.of(store) {
                let measured = size.after_write.iter();
                for after in measured.filter(|after| after.callers == callers) {
                    goal.add(ratio(after.read.p99, after.write.p99), grouped(size.users));
                }
            }
            if goal.worst.is_some() {
                goals.push(goal);
            }
        }
        goals
    }

    fn of(&self, store: Store) -> impl Iterator<Item = &Size> {
        let sizes = self.sizes.iter();
        sizes
            .filter(move |(its, _)| *its == store)
            .map(|(_, size)| size)
    }
}

fn ratio(of: Duration, to: Duration) -> f64 {
    of.as_secs_f64() / to.as_secs_f64()
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

    fn size(users: u64, p99: u64) -> Size {
        let line = |question, rate, slapd, table| Line {
            question,
            callers: 32,
            ours: measured(rate, p99),
            nothing: None,
            table: Some(measured(table, 9)),
            slapd: Some(measured(slapd, 9)),
        };
        Size {
            lines: vec![
                line(Question::Prefix, 6_000.0, 1_000.0, 4_000.0),
                line(Question::Infix, 6_000.0, 1_500.0, 2_000.0),
            ],
            memory: 123_456_789,
            ..Size::of(users)
        }
    }

    #[test]
    fn the_worst_figure_decides_whether_a_goal_is_met() {
        let mut goals = Goals::default();
        goals.add(Store::Postgres, size(10_000, 4));
        goals.add(Store::Postgres, size(1_000_000, 10));
        let text = goals.markdown(32);
        assert!(
            text.contains("at least 3 | 4.00 (infix `*son*` at 10,000) | met |"),
            "{text}"
        );
        assert!(
            text.contains("at least 2 | 1.50 (prefix `ann*` at 10,000) | **not met** |"),
            "{text}"
        );
        assert!(
            text.contains("at most 2 | 2.50 (prefix `ann*`) | **not met** |"),
            "{text}"
        );
        assert!(
            text.contains("at most 30 | 10.00 (prefix `ann*` at 1,000,000) | met |"),
            "{text}"
        );
        assert!(
            text.contains("at most 300 | 123.46 (serving at 10,000) | met |"),
            "{text}"
        );
        assert!(text.contains("| not measured |"), "{text}");
    }

    #[test]
    fn a_line_leaves_out_who_was_not_asked() {
        let mut size = size(10_000, 4);
        size.lines[0].slapd = None;
        let text = size.markdown("here");
        let wanted = "| prefix `ann*` | 32 | 6000 | 1.00 ms | 4.00 ms |  | 4000 | 1.00 ms | 9.00 ms | | |  |";
        assert!(text.contains(wanted), "{text}");
    }
}
