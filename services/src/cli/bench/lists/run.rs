//! The measurements of one size: ours, and the others with the same people beside it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use rollbook_proto::v1::User;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::{process::Child, task::JoinSet};

use super::{
    ListsFlags, beside,
    directory::{Directory, Loading},
    goals::{AfterWrite, Line, Size},
    questions::{PAGE, Question, Sample},
    sides::{Answers, Nothing, Service, ask_on, read_all},
    table::{Table, page_token},
};
use crate::cli::{
    bench::{
        load::{Measured, measured, waits},
        ours::Ours,
    },
    problem::Problem,
};

/// The page that is read far from the first.
const DEEP_PAGE: u64 = 10_000;
/// About how many users are asked for in turn.
const SAMPLED: u64 = 5_000;

/// The others.
struct Others {
    nothing: Arc<Nothing>,
    table: Arc<Service>,
    directory: Option<Arc<Directory>>,
    _process: Child,
}

/// Measures ours alone.
pub async fn alone(flags: &ListsFlags, ours: &Ours, users: u64) -> Result<Size, Problem> {
    let (sample, ..) = sample(ours, users, async |_| Ok(())).await?;
    size(flags, ours, sample, users, None).await
}

/// Measures ours, and the others with the same people.
pub async fn beside(
    flags: &ListsFlags,
    ours: &Ours,
    database: &str,
    users: u64,
) -> Result<Size, Problem> {
    let failed = |source| Problem::failed("fill the table", source);
    let pool: PgPool = PgPoolOptions::new()
        .max_connections(1)
        .connect(database)
        .await
        .map_err(failed)?;
    Table::create(&pool).await.map_err(failed)?;
    let mut loading = Loading::begin()?;
    let (sample, deep) = sample(ours, users, async |page: &[User]| {
        if let Some(loading) = &mut loading {
            loading.add(page)?;
        }
        Table::add(&pool, page).await.map_err(failed)
    })
    .await?;
    Table::index(&pool).await.map_err(failed)?;
    pool.close().await;
    let copied = || Sample {
        users: sample.users.clone(),
        deep: deep.clone(),
    };
    let directory = match loading {
        Some(loading) => Some(loading.serve(copied(), flags.most_callers()).await?),
        None => None,
    };
    let (process, server) = beside::spawn(database, ours.token_key()).await?;
    let others = Others {
        nothing: Arc::new(Nothing {
            clients: ours.readers_of(&server).await?,
        }),
        table: Arc::new(Service {
            clients: ours.readers_of(&server).await?,
            sample: copied(),
            types: false,
        }),
        directory: directory.map(Arc::new),
        _process: process,
    };
    size(flags, ours, sample, users, Some(others)).await
}

/// Reads everybody once: hands them on, and keeps some to ask for. Answers the token of the table's far page too.
async fn sample(
    ours: &Ours,
    users: u64,
    mut each: impl AsyncFnMut(&[User]) -> Result<(), Problem>,
) -> Result<(Sample, String), Problem> {
    let readers = ours.readers().await?;
    let every = usize::try_from(users.div_ceil(SAMPLED)).unwrap_or(1).max(1);
    let far = ((DEEP_PAGE - 1) * u64::from(PAGE)).min(users / 2 / 1_000 * 1_000);
    let (mut seen, mut kept, mut tokens) = (0, Vec::new(), (String::new(), String::new()));
    read_all(&readers[0], async |page, next| {
        each(&page).await?;
        seen += page.len() as u64;
        if seen <= far
            && let Some(last) = page.last()
        {
            tokens = (next.to_owned(), page_token(last));
        }
        kept.extend(page.into_iter().step_by(every));
        Ok(())
    })
    .await?;
    // Neighbours in the order are to be asked for at different times.
    kept.sort_by(|a: &User, b| a.user_id[24..].cmp(&b.user_id[24..]));
    let (deep, table) = tokens;
    Ok((Sample { users: kept, deep }, table))
}

async fn size(
    flags: &ListsFlags,
    ours: &Ours,
    sample: Sample,
    users: u64,
    others: Option<Others>,
) -> Result<Size, Problem> {
    let service = Arc::new(Service {
        clients: ours.readers().await?,
        sample,
        types: true,
    });
    let mut all = Question::all();
    all.retain(|question| question.to_string().contains(&flags.only));
    let progress = ProgressBar::new((all.len() * flags.callers.len()) as u64);
    let mut size = Size::of(users);
    for question in all {
        if let Some(others) = &others {
            answer_alike(&service, &others.table, question).await?;
        }
        for &callers in &flags.callers {
            let ask = async |side: &Arc<Nothing>| one(flags, side, question, callers).await;
            let line = Line {
                question,
                callers,
                ours: ask_on(&service, question, callers, flags.span()).await?,
                nothing: match &others {
                    Some(others) => ask(&others.nothing).await?,
                    None => None,
                },
                table: match &others {
                    Some(others) => one(flags, &others.table, question, callers).await?,
                    None => None,
                },
                slapd: match others.as_ref().and_then(|others| others.directory.as_ref()) {
                    Some(directory) => one(flags, directory, question, callers).await?,
                    None => None,
                },
            };
            size.lines.push(line);
            size.memory = size.memory.max(ours.own_memory());
            progress.inc(1);
        }
    }
    drop(others);
    for &callers in &flags.callers {
        size.after_write
            .push(after_write(ours, callers, flags.span()).await?);
    }
    size.memory = size.memory.max(ours.own_memory());
    progress.finish_and_clear();
    Ok(size)
}

/// Makes sure that the table answers with as many users: speed is compared of the same answers alone.
async fn answer_alike(ours: &Service, table: &Service, question: Question) -> Result<(), Problem> {
    if !table.knows(question) {
        return Ok(());
    }
    for pick in 0..8 {
        let (here, there) = (
            ours.ask(0, question, pick).await?,
            table.ask(0, question, pick).await?,
        );
        if here != there {
            let what = format!("`{question}` finds {here} users and {there} in the table");
            return Err(Problem::failed("compare the answers", what));
        }
    }
    Ok(())
}

async fn one<A: Answers>(
    flags: &ListsFlags,
    side: &Arc<A>,
    question: Question,
    callers: usize,
) -> Result<Option<Measured>, Problem> {
    if !side.knows(question) {
        return Ok(None);
    }
    ask_on(side, question, callers, flags.span())
        .await
        .map(Some)
}

/// Creates users, and reads each straight afterwards by the same caller, who asks for nothing but the default.
async fn after_write(ours: &Ours, callers: usize, span: Duration) -> Result<AfterWrite, Problem> {
    let begun = Instant::now();
    let creating = ours.creating();
    let mut at_work = JoinSet::new();
    for caller in 0..callers {
        let creating = creating.clone();
        at_work.spawn(async move {
            let (mut writes, mut reads) = (waits()?, waits()?);
            while begun.elapsed() < span {
                let asked = Instant::now();
                let id = creating.create(caller).await?;
                writes.saturating_record(micros(asked));
                let asked = Instant::now();
                creating.read(caller, id).await?;
                reads.saturating_record(micros(asked));
            }
            Ok::<_, Problem>((writes, reads))
        });
    }
    let (mut writes, mut reads) = (waits()?, waits()?);
    while let Some(done) = at_work.join_next().await {
        let done = done.map_err(|source| Problem::failed("wait for a caller", source))?;
        let (written, read) = done?;
        let added = writes.add(&written).and_then(|()| reads.add(&read));
        added.map_err(|source| Problem::failed("add up what was measured", source))?;
    }
    let took = begun.elapsed();
    Ok(AfterWrite {
        callers,
        write: measured(&writes, took),
        read: measured(&reads, took),
    })
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
