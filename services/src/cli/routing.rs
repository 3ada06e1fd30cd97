//! `rollbook routing`: who takes care of what.

use clap::{Args, Subcommand};
use rollbook_proto::v1::{
    Allegiance, GetCodingDefaultsRequest, ListAddresseesRequest, ListAddresseesResponse, Proposal,
    ProposeApproverRequest, ProposeApproverResponse, ProposeReviewersRequest,
    ProposeReviewersResponse, SupervisorChainEnd,
};

use super::{
    client::{Client, ClientFlags},
    look_up::People,
    output::{counted, plain, table},
    pages::{Page, more, read_pages},
    problem::Problem,
    user::allegiance,
    views,
};

/// Who takes care of what in a company.
#[derive(Args, Debug)]
pub struct RoutingArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: RoutingCommand,
}

#[derive(Subcommand, Debug)]
enum RoutingCommand {
    /// Show what the rows of a user are coded with in a company
    CodingDefaults(InCompany),
    /// Propose reviewers: users who have one of some coding allegiances
    Reviewers(ByAllegiance),
    /// Propose an approver: the nearest supervisor of a user who can be proposed
    Approver(InCompany),
    /// List addressees: users who have one of some routing allegiances
    Addressees(ByAllegiance),
}

/// Runs a question about routing.
pub async fn run(args: RoutingArgs) -> Result<(), Problem> {
    let client = Client::connect(args.client).await?;
    match args.command {
        RoutingCommand::CodingDefaults(of) => of.coding_defaults(&client).await,
        RoutingCommand::Reviewers(by) => by.reviewers(&client).await,
        RoutingCommand::Approver(of) => of.approver(&client).await,
        RoutingCommand::Addressees(by) => by.addressees(&client).await,
    }
}

/// A question about a user in a company.
#[derive(Args, Debug)]
struct InCompany {
    /// The user: id, signature or e-mail address
    user: String,
    /// The company: id or title
    company: String,
}

impl InCompany {
    async fn coding_defaults(self, client: &Client) -> Result<(), Problem> {
        let request = GetCodingDefaultsRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            company_id: client.company_id(&self.company).await?,
            read: None,
        };
        let answer = client.routing().get_coding_defaults(request).await?;
        let answer = answer.into_inner();
        client.output.show(&answer, || {
            if answer.allegiances.is_empty() {
                return "none: the user has no coding allegiance there".to_owned();
            }
            let mut table = table(["dimension", "value"]);
            for allegiance in &answer.allegiances {
                table.add_row([&allegiance.dimension, &allegiance.value]);
            }
            table.to_string()
        })
    }

    async fn approver(self, client: &Client) -> Result<(), Problem> {
        let request = ProposeApproverRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            company_id: client.company_id(&self.company).await?,
            read: None,
        };
        let answer = client.routing().propose_approver(request).await?;
        let answer = answer.into_inner();
        let passed = answer.passed_over.iter().map(|over| over.user_id.clone());
        let people = client.people(passed).await?;
        client.output.show(&answer, || approver(&answer, &people))
    }
}

fn approver(answer: &ProposeApproverResponse, people: &People) -> String {
    let found = match (&answer.approver, answer.end()) {
        (Some(user), _) => views::users(std::slice::from_ref(user)),
        (None, SupervisorChainEnd::Cycle) => "nobody: the supervisors run in a circle".to_owned(),
        (None, SupervisorChainEnd::CutOff) => {
            "nobody yet: ask for the approver of the last one passed over".to_owned()
        }
        (None, _) => "nobody: no supervisor above can be proposed".to_owned(),
    };
    if answer.passed_over.is_empty() {
        return found;
    }
    let mut table = table(["passed over", "signature", "name", "because it is"]);
    for over in &answer.passed_over {
        let [signature, name] = people.named(&over.user_id);
        let why = plain(over.reason().as_str_name(), "UNFIT_REASON_");
        table.add_row([&over.user_id, &signature, &name, &why]);
    }
    format!("{found}\n{table}")
}

/// A question for those who have one of some allegiances.
#[derive(Args, Debug)]
struct ByAllegiance {
    /// The company: id or title
    company: String,
    /// What they stand for; one of several is enough
    #[arg(required = true, value_name = "DIMENSION=VALUE", value_parser = allegiance)]
    allegiances: Vec<Allegiance>,
    /// How many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
}

macro_rules! by_allegiance {
    ($($name:ident: $call:ident($request:ident) -> $response:ident { $people:ident },)+) => {$(
        async fn $name(self, client: &Client) -> Result<(), Problem> {
            let query = $request {
                account_id: client.account()?,
                company_id: client.company_id(&self.company).await?,
                allegiances: self.allegiances,
                ..$request::default()
            };
            let passed_over = std::cell::Cell::new(0);
            let rows = read_pages(self.limit, stringify!($people), async |page_size, page_token| {
                let request = $request { page_size, page_token, ..query.clone() };
                let page = client.routing().$call(request).await?.into_inner();
                passed_over.set(page.passed_over);
                Ok(Page { rows: page.$people, next: page.next_page_token })
            });
            let rows = rows.await?;
            let more = more(&rows);
            let answer = $response {
                $people: rows.rows,
                next_page_token: rows.next,
                passed_over: passed_over.get(),
            };
            client.output.show(&answer, || proposals(&answer.$people, answer.passed_over) + more)
        }
    )+};
}

impl ByAllegiance {
    by_allegiance! {
        reviewers: propose_reviewers(ProposeReviewersRequest) -> ProposeReviewersResponse { reviewers },
        addressees: list_addressees(ListAddresseesRequest) -> ListAddresseesResponse { addressees },
    }
}

/// Who is proposed, one a line, and why.
fn proposals(proposals: &[Proposal], passed_over: u64) -> String {
    if proposals.is_empty() {
        return match passed_over {
            0 => "nobody has such an allegiance there".to_owned(),
            many => format!(
                "nobody can be proposed: {} with such an allegiance, inactive or not shown as addressee",
                counted(many, "user")
            ),
        };
    }
    let mut table = table(["user", "signature", "name", "because of"]);
    for proposal in proposals {
        let user = proposal.user.clone().unwrap_or_default();
        let matched = proposal.matched.iter();
        let matched: Vec<String> = matched
            .map(|matched| format!("{}={}", matched.dimension, matched.value))
            .collect();
        let name = views::full_name(&user);
        table.add_row([user.user_id, user.signature, name, matched.join(", ")]);
    }
    table.to_string()
}
