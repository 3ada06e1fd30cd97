//! A client of `KurrentDB`'s protocol of our own, and the real ones as processes.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rollbook_proto::kurrent::streams::read_req::Options;
use rollbook_proto::kurrent::streams::read_req::options::all_options::AllOption;
use rollbook_proto::kurrent::streams::read_req::options::filter_options::{
    Expression, Filter, Window,
};
use rollbook_proto::kurrent::streams::read_req::options::stream_options::RevisionOption;
use rollbook_proto::kurrent::streams::read_req::options::uuid_option::Content as Form;
use rollbook_proto::kurrent::streams::read_req::options::{
    AllOptions, ControlOption, CountOption, FilterOption, FilterOptions, Position, ReadDirection,
    StreamOption, StreamOptions, SubscriptionOptions, UuidOption,
};
use rollbook_proto::kurrent::streams::read_resp::Content;
use rollbook_proto::kurrent::streams::read_resp::read_event::RecordedEvent;
use rollbook_proto::kurrent::streams::streams_client::StreamsClient;
use rollbook_proto::kurrent::streams::{ReadReq, ReadResp};
use rollbook_proto::kurrent::{Empty, StreamIdentifier};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

/// How long a client may take for an answer, its start included.
const PATIENCE: Duration = Duration::from_mins(2);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Ask(Options);

impl Ask {
    /// The whole log, forwards.
    #[must_use]
    pub fn log() -> Self {
        Self::of(StreamOption::All(AllOptions {
            all_option: Some(AllOption::Start(Empty {})),
        }))
    }

    /// A whole stream, forwards.
    #[must_use]
    pub fn stream(name: impl Into<Vec<u8>>) -> Self {
        Self::of(StreamOption::Stream(StreamOptions {
            stream_identifier: Some(StreamIdentifier {
                stream_name: name.into(),
            }),
            revision_option: Some(RevisionOption::Start(Empty {})),
        }))
    }

    fn of(stream_option: StreamOption) -> Self {
        Self(Options {
            stream_option: Some(stream_option),
            read_direction: ReadDirection::Forwards.into(),
            resolve_links: false,
            count_option: Some(CountOption::Count(u64::MAX)),
            filter_option: Some(FilterOption::NoFilter(Empty {})),
            uuid_option: Some(UuidOption {
                content: Some(Form::String(Empty {})),
            }),
            control_option: Some(ControlOption { compatibility: 1 }),
        })
    }

    /// From this revision or position.
    #[must_use]
    pub fn from(mut self, number: u64) -> Self {
        let position = Position {
            commit_position: number,
            prepare_position: number,
        };
        self.starting(
            AllOption::Position(position),
            RevisionOption::Revision(number),
        );
        self
    }

    /// From the end.
    #[must_use]
    pub fn from_end(mut self) -> Self {
        self.starting(AllOption::End(Empty {}), RevisionOption::End(Empty {}));
        self
    }

    fn starting(&mut self, position: AllOption, revision: RevisionOption) {
        match self.0.stream_option.as_mut().unwrap() {
            StreamOption::All(all) => all.all_option = Some(position),
            StreamOption::Stream(stream) => stream.revision_option = Some(revision),
        }
    }

    /// Newest first.
    #[must_use]
    pub fn backwards(mut self) -> Self {
        self.0.read_direction = ReadDirection::Backwards.into();
        self
    }

    /// So many at most.
    #[must_use]
    pub fn limit(mut self, count: u64) -> Self {
        self.0.count_option = Some(CountOption::Count(count));
        self
    }

    /// On and on.
    #[must_use]
    pub fn follow(mut self) -> Self {
        self.0.count_option = Some(CountOption::Subscription(SubscriptionOptions {}));
        self
    }

    /// Only types that begin so.
    #[must_use]
    pub fn types(self, prefixes: &[&str]) -> Self {
        self.filtered(Filter::EventType(beginning(prefixes)), 5, 2)
    }

    /// Only streams that begin so.
    #[must_use]
    pub fn streams(self, prefixes: &[&str]) -> Self {
        self.filtered(Filter::StreamIdentifier(beginning(prefixes)), 5, 2)
    }

    /// Only types that match.
    #[must_use]
    pub fn types_like(self, regex: &str) -> Self {
        self.filtered(Filter::EventType(matching(regex)), 5, 2)
    }

    /// Only streams that match.
    #[must_use]
    pub fn streams_like(self, regex: &str) -> Self {
        self.filtered(Filter::StreamIdentifier(matching(regex)), 5, 2)
    }

    fn filtered(mut self, filter: Filter, window: u32, multiplier: u32) -> Self {
        self.0.filter_option = Some(FilterOption::Filter(FilterOptions {
            filter: Some(filter),
            window: Some(Window::Max(window)),
            checkpoint_interval_multiplier: multiplier,
        }));
        self
    }

    /// With ids as numbers.
    #[must_use]
    pub fn numbered(mut self) -> Self {
        self.0.uuid_option = Some(UuidOption {
            content: Some(Form::Structured(Empty {})),
        });
        self
    }

    /// What is asked for, to be changed.
    #[must_use]
    pub fn options(self) -> Options {
        self.0
    }
}

fn beginning(prefixes: &[&str]) -> Expression {
    Expression {
        regex: String::new(),
        prefix: prefixes.iter().map(|&prefix| prefix.to_owned()).collect(),
    }
}

fn matching(regex: &str) -> Expression {
    Expression {
        regex: regex.to_owned(),
        prefix: Vec::new(),
    }
}

/// The credentials that carry a token.
#[must_use]
pub fn basic(token: &str) -> String {
    let text = BASE64_STANDARD.encode(format!("auditor:{token}"));
    format!("Basic {text}")
}

/// A client of our own.
#[derive(Clone)]
pub struct Reader {
    client: StreamsClient<Channel>,
    authorization: Option<String>,
}

impl Reader {
    /// One with this header.
    #[must_use]
    pub fn new(channel: Channel, authorization: Option<String>) -> Self {
        Self {
            client: StreamsClient::new(channel),
            authorization,
        }
    }

    /// The same without credentials.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self {
            client: self.client(),
            authorization: None,
        }
    }

    /// A request that carries the credentials.
    #[must_use]
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(authorization) = &self.authorization {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", authorization.parse().unwrap());
        }
        request
    }

    /// The generated client.
    #[must_use]
    pub fn client(&self) -> StreamsClient<Channel> {
        self.client.clone()
    }

    /// Begins a read.
    ///
    /// # Errors
    /// The status, where it is refused.
    pub async fn begin(&self, options: Options) -> Result<Streaming<ReadResp>, Status> {
        let request = self.request(ReadReq {
            options: Some(options),
        });
        Ok(self.client().read(request).await?.into_inner())
    }

    /// Everything that a read answers.
    ///
    /// # Errors
    /// The status, where it is refused or ends with one.
    pub async fn all(&self, ask: Ask) -> Result<Vec<Content>, Status> {
        let mut answers = self.begin(ask.options()).await?;
        let mut all = Vec::new();
        while let Some(answer) = answers.message().await? {
            all.push(answer.content.unwrap());
        }
        Ok(all)
    }

    /// The events that a read answers.
    pub async fn events(&self, ask: Ask) -> Vec<RecordedEvent> {
        let all = self.all(ask).await.unwrap();
        all.into_iter().filter_map(event).collect()
    }

    /// The positions of the events that a read answers.
    pub async fn positions(&self, ask: Ask) -> Vec<u64> {
        let events = self.events(ask).await;
        events.iter().map(|event| event.commit_position).collect()
    }

    /// The revisions of the events that a read answers.
    pub async fn revisions(&self, ask: Ask) -> Vec<u64> {
        let events = self.events(ask).await;
        events.iter().map(|event| event.stream_revision).collect()
    }
}

/// The event of an answer, where it is one.
#[must_use]
pub fn event(content: Content) -> Option<RecordedEvent> {
    match content {
        Content::Event(event) => event.event,
        _ => None,
    }
}

/// The next answer of a subscription, which does not end.
pub async fn next(answers: &mut Streaming<ReadResp>) -> Content {
    let next = tokio::time::timeout(PATIENCE, answers.message()).await;
    let answer = next.expect("an answer in time").unwrap();
    answer.expect("no end").content.unwrap()
}

/// A real client as a process, which is told what to do line by line.
pub struct Client {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Client {
    /// Starts one: `python` or `node`.
    #[must_use]
    pub fn start(language: &str) -> Self {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/kurrent");
        let mut child = Command::new(tool)
            .arg(language)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    /// Has it do something, and answers what it answered.
    pub async fn ask(&mut self, what: Value) -> Value {
        let asked = async {
            self.input
                .write_all(format!("{what}\n").as_bytes())
                .await
                .unwrap();
            let line = self.output.next_line().await.unwrap();
            serde_json::from_str(&line.expect("an answer")).unwrap()
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        answer.unwrap_or_else(|_| panic!("no answer to {what}"))
    }

    /// Ends it.
    pub async fn end(self) {
        let Self {
            mut child, input, ..
        } = self;
        drop(input);
        let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
        assert!(ended.expect("an end in time").unwrap().success());
    }
}
