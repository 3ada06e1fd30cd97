//! `rollbook operations`: how the log and the views are.

use clap::{Args, Subcommand};
use rollbook_proto::v1::{
    GetLogStatusRequest, GetLogStatusResponse, ListProjectionsRequest, ListProjectionsResponse,
    ProjectionState,
};

use super::{
    client::{Client, ClientFlags},
    output::{plain, properties, table, time},
    problem::Problem,
};

/// The log and the views of a service.
#[derive(Args, Debug)]
pub struct OperationsArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: OperationsCommand,
}

#[derive(Subcommand, Debug)]
enum OperationsCommand {
    /// List the views of the process that answers
    Projections,
    /// Show how the log is
    Log,
}

/// Runs a command about the service.
pub async fn run(args: OperationsArgs) -> Result<(), Problem> {
    let client = Client::connect(args.client).await?;
    match args.command {
        OperationsCommand::Projections => {
            let answer = client
                .operations()
                .list_projections(ListProjectionsRequest {})
                .await?
                .into_inner();
            client.output.show(&answer, || projections(&answer))
        }
        OperationsCommand::Log => {
            let answer = client
                .operations()
                .get_log_status(GetLogStatusRequest {})
                .await?
                .into_inner();
            client.output.show(&answer, || log(&answer))
        }
    }
}

fn projections(answer: &ListProjectionsResponse) -> String {
    let mut table = table(["view", "version", "state", "position", "behind"]);
    for view in &answer.projections {
        let state = plain(view.state().as_str_name(), "PROJECTION_STATE_");
        let state = match view.state() {
            ProjectionState::Stopped => format!("{state}: {}", view.error),
            ProjectionState::Unspecified
            | ProjectionState::Building
            | ProjectionState::Following => state,
        };
        table.add_row([
            view.name.clone(),
            view.version.to_string(),
            state,
            view.position.to_string(),
            view.lag.to_string(),
        ]);
    }
    table.to_string()
}

fn log(answer: &GetLogStatusResponse) -> String {
    properties(&[
        ("log", answer.log_id.clone()),
        ("home", answer.home.clone()),
        ("version of tables", answer.schema_version.to_string()),
        ("last position", answer.head_position.to_string()),
        ("last recorded", time(answer.last_recorded_at.as_ref())),
        ("service", answer.service_version.clone()),
    ])
}
