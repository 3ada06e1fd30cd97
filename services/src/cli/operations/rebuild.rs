//! `rollbook operations rebuild`: a view made anew, with progress.

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rollbook_proto::v1::{
    ProjectionRebuild, RebuildPhase, RebuildProjectionRequest, RebuildProjectionResponse,
};

use crate::cli::{
    client::Client,
    output::{plain, table},
    problem::Problem,
};

/// Flags of `operations rebuild`.
#[derive(Args, Debug)]
pub(super) struct Rebuild {
    /// The name of the view, as `operations projections` shows it
    view: String,
    /// Hold the new rows against the live ones before they are served, and fail where any differ
    #[arg(long)]
    compare: bool,
    /// Compare only, and leave the live view as it is
    #[arg(long)]
    validate_only: bool,
}

impl Rebuild {
    pub(super) async fn run(self, client: &Client) -> Result<(), Problem> {
        let request = RebuildProjectionRequest {
            name: self.view.clone(),
            compare: self.compare,
            validate_only: self.validate_only,
        };
        let mut operations = client.operations_without_deadline();
        let mut answers = operations.rebuild_projection(request).await?.into_inner();
        let bar = ProgressBar::new(0);
        let mut last = ProjectionRebuild::default();
        while let Some(answer) = answers.message().await? {
            last = answer.rebuild.unwrap_or_default();
            show(&bar, &self.view, &last);
        }
        bar.finish_and_clear();
        if last.phase() != RebuildPhase::Done {
            let why = "the service ended before it was done";
            return Err(Problem::failed("make the view anew", why));
        }
        let answer = RebuildProjectionResponse {
            rebuild: Some(last.clone()),
        };
        let text = || self.told(&last);
        client.output.show(&answer, text)?;
        if is_equal(&last) {
            return Ok(());
        }
        let differs = format!("the view {} was not what the log says", self.view);
        Err(Problem::Usage(differs))
    }

    fn told(&self, done: &ProjectionRebuild) -> String {
        let view = &self.view;
        let position = done.position;
        let end = if self.validate_only {
            format!("{view}: compared at position {position}; the live view stays")
        } else {
            format!("{view}: made anew, and live from position {position} on")
        };
        if !done.compared {
            return end;
        }
        let mut compared = table(["table", "same", "different", "only live", "only new"]);
        for of in &done.tables {
            compared.add_row([
                of.table.clone(),
                of.same.to_string(),
                of.different.to_string(),
                of.only_live.to_string(),
                of.only_next.to_string(),
            ]);
        }
        let verdict = if is_equal(done) {
            "every row is the same"
        } else {
            "ROWS DIFFER"
        };
        format!("{compared}\n{verdict}\n{end}")
    }
}

fn is_equal(done: &ProjectionRebuild) -> bool {
    let differs = |table: &rollbook_proto::v1::TableComparison| {
        table.different + table.only_live + table.only_next > 0
    };
    !done.tables.iter().any(differs)
}

/// Shows on a terminal how far it is; elsewhere nothing.
fn show(bar: &ProgressBar, view: &str, rebuild: &ProjectionRebuild) {
    let phase = phase(rebuild);
    let left = rebuild.time_left.as_ref().map_or(String::new(), |left| {
        format!(", about {} s left", left.seconds)
    });
    let (done, of) = if rebuild.phase() == RebuildPhase::Indexing {
        let (done, of) = (rebuild.index_count, rebuild.all_index_count);
        (u64::from(done), u64::from(of))
    } else {
        (rebuild.position, rebuild.head_position)
    };
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    bar.set_length(of);
    bar.set_position(done);
    bar.set_message(format!("{view}: {phase}{left}"));
}

/// What a rebuild is at, in a word.
pub(super) fn phase(rebuild: &ProjectionRebuild) -> String {
    plain(rebuild.phase().as_str_name(), "REBUILD_PHASE_")
}
