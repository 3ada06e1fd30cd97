//! Who is asked, and how long the answers take.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rollbook_proto::v1::{CheckAccessRequest, ListUsersRequest, User};
use tokio::task::JoinSet;

use super::questions::{Question, Sample};
use crate::cli::{
    bench::load::{Measured, measured, waits},
    client::Client,
    problem::Problem,
};

/// Somebody who answers questions.
pub trait Answers: Send + Sync + 'static {
    /// Whether it has an answer to this one.
    fn knows(&self, question: Question) -> bool;
    /// Asks; answers how many users came.
    fn ask(
        &self,
        caller: usize,
        question: Question,
        pick: u64,
    ) -> impl Future<Output = Result<usize, Problem>> + Send;
}

/// A service of the contract.
pub struct Service {
    /// The connections to it.
    pub clients: Vec<Client>,
    /// What it is asked for.
    pub sample: Sample,
    /// Whether it finds users as they are typed.
    pub types: bool,
}

impl Answers for Service {
    fn knows(&self, question: Question) -> bool {
        self.types || !matches!(question, Question::Typed(_))
    }

    async fn ask(&self, caller: usize, question: Question, pick: u64) -> Result<usize, Problem> {
        let mut users = self.clients[caller % self.clients.len()].users();
        Ok(match question {
            Question::ById | Question::BySignature | Question::ByEmail => {
                let request = self.sample.get(question, pick);
                usize::from(users.get_user(request).await?.into_inner().user.is_some())
            }
            Question::Batch => {
                let request = self.sample.batch(pick);
                users
                    .batch_get_users(request)
                    .await?
                    .into_inner()
                    .users
                    .len()
            }
            Question::Typed(letters) => {
                let request = self.sample.typed(letters, pick);
                users.find_users(request).await?.into_inner().users.len()
            }
            _ => {
                let request = self.sample.list(question, pick);
                users.list_users(request).await?.into_inner().users.len()
            }
        })
    }
}

/// A method without content behind the same authorisation.
pub struct Nothing {
    /// The connections to it.
    pub clients: Vec<Client>,
}

impl Answers for Nothing {
    fn knows(&self, question: Question) -> bool {
        question.is_look_up()
    }

    async fn ask(&self, caller: usize, _: Question, _: u64) -> Result<usize, Problem> {
        let mut users = self.clients[caller % self.clients.len()].users();
        users.check_access(CheckAccessRequest::default()).await?;
        Ok(1)
    }
}

/// Lets so many callers ask one thing after the other for a time.
pub async fn ask_on<A: Answers>(
    side: &Arc<A>,
    question: Question,
    callers: usize,
    span: Duration,
) -> Result<Measured, Problem> {
    // What is prepared with the first question is not measured.
    for caller in 0..callers {
        side.ask(caller, question, caller as u64).await?;
    }
    let begun = Instant::now();
    let mut at_work = JoinSet::new();
    for caller in 0..callers {
        let side = Arc::clone(side);
        at_work.spawn(async move {
            let mut waits = waits()?;
            let mut pick = caller as u64 * 101;
            while begun.elapsed() < span {
                let asked = Instant::now();
                side.ask(caller, question, pick).await?;
                let micros = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
                waits.saturating_record(micros);
                pick += 1;
            }
            Ok::<_, Problem>(waits)
        });
    }
    let mut all = waits()?;
    while let Some(done) = at_work.join_next().await {
        let done = done.map_err(|source| Problem::failed("wait for a caller", source))??;
        all.add(&done)
            .map_err(|source| Problem::failed("add up what was measured", source))?;
    }
    Ok(measured(&all, begun.elapsed()))
}

/// Reads all users of the account, a thousand at a time, and hands each page on with the token of the next.
pub async fn read_all(
    client: &Client,
    mut take: impl AsyncFnMut(Vec<User>, &str) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut request = ListUsersRequest {
        account_id: client.any_account(),
        page_size: 1_000,
        sort: rollbook_proto::v1::UserSort::Signature.into(),
        ..ListUsersRequest::default()
    };
    loop {
        let page = client
            .users()
            .list_users(request.clone())
            .await?
            .into_inner();
        take(page.users, &page.next_page_token).await?;
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}
