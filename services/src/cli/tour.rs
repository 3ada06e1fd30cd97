//! `rollbook tour`: the main job on a fresh directory, over real gRPC, step by step.

use std::{env, net::SocketAddr, path::PathBuf};

use clap::Args;
use rollbook_eventstore::Clock;
use rollbook_proto::v1::{Event, User};

use super::{
    logs,
    output::{counted, print},
    problem::Problem,
    serve,
};
use crate::{
    caller::Role,
    config::LogFormat,
    executor::new_id,
    server::{Options, Store},
};

mod daily;
mod farewell;
mod joining;
mod opening;
mod people;
mod proof;
mod stage;
mod work;

use stage::{ACCOUNT, Stage};

/// Flags of `tour`.
#[derive(Args, Debug)]
pub struct TourFlags {
    /// Directory for the log, the views and the keys; a fresh one among the temporary files where none is given
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7657")]
    listen: SocketAddr,
    /// End after the walk, instead of going on serving
    #[arg(long)]
    exit: bool,
}

/// Walks the main job, then goes on serving.
pub async fn run(flags: TourFlags) -> Result<(), Problem> {
    logs::begin("warn", LogFormat::Text)?;
    let data_dir = flags
        .data_dir
        .unwrap_or_else(|| env::temp_dir().join(format!("rollbook-tour-{}", new_id())));
    let running = serve::start(options(flags.listen, data_dir.clone())).await?;
    let server = format!("http://{}", running.address());
    print(&format!(
        "rollbook serves on {server}\nthe log, the views and the keys are in {}",
        data_dir.display()
    ))?;
    let mut stage = Stage::enter(&server, &data_dir).await?;
    let walked = walk(&mut stage).await?;
    print(&walked.summary())?;
    if flags.exit {
        return running
            .shutdown()
            .await
            .map_err(|source| Problem::failed("end in good order", source));
    }
    let next = next(&stage, &server, &walked.successor)?;
    serve::until_asked(running, &next).await
}

/// A service on the embedded log, with keys of its own.
fn options(listen: SocketAddr, data_dir: PathBuf) -> Options {
    Options {
        listen,
        data_dir,
        store: Store::Embedded,
        master_key: None,
        next_master_key: None,
        token_keys: Vec::new(),
        tls: None,
        allow_plaintext: false,
        mail: None,
        hash_cost: crate::passwords::Cost::default(),
        views_from: None,
        clock: Clock::system(),
    }
}

/// What the tour ends with.
struct Walked {
    /// The administrator who remains.
    successor: User,
    /// Why the deletion was refused at first.
    refusal: String,
    /// What the auditor saw at the end.
    history: Vec<Event>,
    /// What was found where somebody had changed a copy of the log.
    caught: String,
}

impl Walked {
    fn summary(&self) -> String {
        let reasons = self
            .refusal
            .lines()
            .filter(|line| line.starts_with("  "))
            .count();
        let events = counted(self.history.len(), "event");
        format!(
            "\nRefused for {reasons} reasons at once, deleted when they were gone; {events} of hers remain, without her.\nWhat was changed in a copy of the log was found: {}.",
            self.caught
        )
    }
}

/// The chapters.
async fn walk(stage: &mut Stage) -> Result<Walked, Problem> {
    opening::account(stage).await?;
    let users = opening::users(stage).await?;
    let successor = joining::invitations(stage, &users).await?;
    let chain = work::supervisors(stage, &users).await?;
    work::invoices(stage, &chain).await?;
    daily::day(stage, &successor, &chain).await?;
    let before = farewell::replay(stage, 1).await?;
    let refusal = farewell::refused(stage, &successor).await?;
    farewell::accepted(stage, &successor).await?;
    let history = farewell::audited(stage, &before).await?;
    let caught = proof::taken_home(stage).await?;
    Ok(Walked {
        successor,
        refusal,
        history,
        caught,
    })
}

/// What to try next, ready to paste.
fn next(stage: &Stage, server: &str, successor: &User) -> Result<String, Problem> {
    let program = env::current_exe()
        .map_or_else(|_| "rollbook".to_owned(), |path| path.display().to_string());
    let administrator = stage.token(Role::Administrator, &successor.user_id)?;
    let auditor = stage.token(Role::Auditor, "you")?;
    Ok(format!(
        "\nThe service goes on; Ctrl-C ends it. Paste this into another terminal:\n
  alias rollbook='{program}'
  export ROLLBOOK_SERVER={server} ROLLBOOK_ACCOUNT={ACCOUNT}
  export ROLLBOOK_TOKEN={administrator}

  rollbook user list --role approver --sort last-name --limit 10
  rollbook user get YUDE
  rollbook user create --signature ZOË --first-name Zoë --last-name \"D'Arcy\" --email zoe@nordlys.example --welcome
  rollbook user check-deletion YUDE
  rollbook invite send one@example.com two@example.com
  rollbook account get --json
  ROLLBOOK_TOKEN={auditor} \\
    rollbook history replay --follow
  ROLLBOOK_TOKEN={auditor} \\
    rollbook verify --save checkpoint"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_tour_refuses_with_every_reason_and_ends_with_the_person_erased() {
        let directory = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let running = serve::start(options(listen, directory.path().to_owned()))
            .await
            .unwrap();
        let server = format!("http://{}", running.address());
        let mut stage = Stage::enter(&server, directory.path()).await.unwrap();
        let walked = walk(&mut stage).await.unwrap();
        for kind in [
            "OWN_USER",
            "QUEUED_INVOICE",
            "LINKED_REFERENCE",
            "LINKED_FLOW_TEMPLATE",
            "UNSETTLED_INVOICE",
            "SUPERVISED_USER",
            "LAST_ADMINISTRATOR",
        ] {
            assert!(walked.refusal.contains(kind), "{kind}: {}", walked.refusal);
        }
        let history: String = walked
            .history
            .iter()
            .map(|event| event.payload.as_str())
            .collect();
        assert!(
            history.contains("$erased") && history.contains(work::UNSETTLED),
            "{history}"
        );
        assert!(
            !history.contains("Märta") && !history.contains("marta"),
            "{history}"
        );
        assert!(
            next(&stage, &server, &walked.successor)
                .unwrap()
                .contains(&server)
        );
        assert!(
            walked.caught.starts_with("position ") && walked.caught.contains("its leaf"),
            "{}",
            walked.caught
        );
        running.shutdown().await.unwrap();
    }
}
