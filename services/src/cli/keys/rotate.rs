//! `rollbook keys rotate`: the master key rotated, with progress.

use indicatif::{ProgressBar, ProgressStyle};
use rollbook_proto::v1::{RotateMasterKeyRequest, RotateMasterKeyResponse};

use crate::cli::{client::Client, output::counted, problem::Problem};

/// Rotates to the next master key of the process that answers.
pub(super) async fn run(client: &Client) -> Result<(), Problem> {
    let mut operations = client.operations_without_deadline();
    let answers = operations
        .rotate_master_key(RotateMasterKeyRequest {})
        .await?;
    let mut answers = answers.into_inner();
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("keys {wide_bar} {pos}/{len}, {eta} left") {
        bar.set_style(style);
    }
    let mut last = RotateMasterKeyResponse::default();
    while let Some(answer) = answers.message().await? {
        bar.set_length(answer.all_count);
        bar.set_position(answer.rewrapped_count);
        last = answer;
    }
    bar.finish_and_clear();
    if !last.done {
        let why = "the service ended before it was done: run it again, it goes on where it was";
        return Err(Problem::failed("rotate the master key", why));
    }
    client.output.show(&last, || {
        format!(
            "{} wrapped anew; everything is under the master key {} now, and the former one can be destroyed",
            counted(last.rewrapped_count, "key"),
            last.key_id
        )
    })
}
