//! The other service that ours is measured beside: the same messages behind the same authorisation, answered from a table in
//! PostgreSQL, and a method that does nothing. It runs in a process of its own, as ours does.

use std::{
    convert::Infallible,
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    task::{Context, Poll},
};

use clap::Args;
use futures::future::BoxFuture;
use http::{Request, Response};
use rollbook_eventstore::Clock;
use rollbook_proto::v1::{
    BatchGetUsersRequest, BatchGetUsersResponse, CheckAccessRequest, CheckAccessResponse,
    GetUserRequest, GetUserResponse, ListUsersRequest, ListUsersResponse,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
    process::{Child, Command},
};
use tonic::{
    Status,
    body::Body,
    server::{Grpc, NamedService},
    transport::{Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

use super::table::Table;
use crate::{
    caller::Verifier,
    cli::{output::print, problem::Problem},
    gate::GateLayer,
};

/// How many connections each pool has: as many as our readers have.
const CONNECTIONS: u32 = 8;
const SERVES_ON: &str = "the table is asked on ";

/// Flags of `bench beside`.
#[derive(Args, Debug)]
pub struct BesideFlags {
    /// The database with the table
    #[arg(long, env = "ROLLBOOK_BENCH_TABLE_URL", hide_env_values = true)]
    database_url: String,
    /// The key that tokens are checked with
    #[arg(long)]
    token_key_file: PathBuf,
}

/// Answers from the table until it is killed.
pub async fn run(flags: BesideFlags) -> Result<(), Problem> {
    let failed = |source| Problem::failed("open the database of the table", source);
    let options: PgConnectOptions = flags.database_url.parse().map_err(failed)?;
    let pool = |plans| {
        let options = options
            .clone()
            .options([("plan_cache_mode", plans), ("jit", "off")]);
        PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .connect_lazy_with(options)
    };
    let table = Table::new(pool("auto"), pool("force_custom_plan"));
    let key = fs::read_to_string(&flags.token_key_file).map_err(|source| Problem::File {
        action: "read",
        path: flags.token_key_file,
        source,
    })?;
    let verifier = Verifier::new(&[key], Clock::system())
        .map_err(|source| Problem::failed("read the key for tokens", source))?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    print(&format!("{SERVES_ON}http://{}", listener.local_addr()?))?;
    Server::builder()
        .layer(GateLayer::new(verifier))
        .add_service(Beside(Arc::new(table)))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await
        .map_err(|source| Problem::failed("serve", source))
}

/// Starts the process; answers it and its address.
pub async fn spawn(database: &str, token_key: &Path) -> Result<(Child, String), Problem> {
    let mut process = Command::new(env::current_exe()?)
        .env_clear()
        .args(["bench", "beside", "--token-key-file"])
        .arg(token_key)
        .env("ROLLBOOK_BENCH_TABLE_URL", database)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| Problem::failed("start the service of the table", source))?;
    let ended = || Problem::failed("start the service of the table", "it ended at once");
    let output = process.stdout.take().ok_or_else(ended)?;
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(server) = line.strip_prefix(SERVES_ON) {
            return Ok((process, server.to_owned()));
        }
    }
    Err(ended())
}

/// The methods of `UserService` that have an answer here.
#[derive(Clone)]
struct Beside(Arc<Table>);

impl NamedService for Beside {
    const NAME: &'static str = "rollbook.v1.UserService";
}

impl Service<Request<Body>> for Beside {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let table = Arc::clone(&self.0);
        Box::pin(async move {
            let method = request.uri().path().rsplit('/').next().unwrap_or_default();
            Ok(match method {
                "GetUser" => unary(request, table, get).await,
                "BatchGetUsers" => unary(request, table, batch).await,
                "ListUsers" => unary(request, table, list).await,
                "CheckAccess" => unary(request, table, nothing).await,
                _ => Status::unimplemented("it has no answer").into_http(),
            })
        })
    }
}

async fn unary<Q, A, F>(
    request: Request<Body>,
    table: Arc<Table>,
    answer: impl Fn(Arc<Table>, Q) -> F + Clone + Send + 'static,
) -> Response<Body>
where
    Q: prost::Message + Default + 'static,
    A: prost::Message + Default + 'static,
    F: Future<Output = Result<A, Status>> + Send + 'static,
{
    let method = service_fn(move |request: tonic::Request<Q>| {
        let answered = answer(Arc::clone(&table), request.into_inner());
        async move { answered.await.map(tonic::Response::new) }
    });
    Grpc::new(ProstCodec::<A, Q>::default())
        .unary(method, request)
        .await
}

async fn get(table: Arc<Table>, request: GetUserRequest) -> Result<GetUserResponse, Status> {
    let key = request
        .key
        .ok_or_else(|| Status::invalid_argument("no key"))?;
    let found = table.get(&request.account_id, &key).await.map_err(failed)?;
    match found {
        Some(user) => Ok(GetUserResponse { user: Some(user) }),
        None => Err(Status::not_found("no such user")),
    }
}

async fn batch(
    table: Arc<Table>,
    request: BatchGetUsersRequest,
) -> Result<BatchGetUsersResponse, Status> {
    let BatchGetUsersRequest {
        account_id,
        user_ids,
        ..
    } = request;
    let users = table.get_many(&account_id, &user_ids).await;
    Ok(BatchGetUsersResponse {
        users: users.map_err(failed)?,
        not_found_ids: Vec::new(),
    })
}

async fn list(table: Arc<Table>, request: ListUsersRequest) -> Result<ListUsersResponse, Status> {
    let (users, next_page_token) = table.list(&request).await.map_err(failed)?;
    Ok(ListUsersResponse {
        users,
        next_page_token,
        total: None,
    })
}

async fn nothing(_: Arc<Table>, _: CheckAccessRequest) -> Result<CheckAccessResponse, Status> {
    Ok(CheckAccessResponse::default())
}

#[expect(clippy::needless_pass_by_value, reason = "handed to `map_err`")]
fn failed(error: sqlx::Error) -> Status {
    Status::internal(error.to_string())
}
