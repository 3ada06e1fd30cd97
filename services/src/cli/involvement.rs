//! `rollbook involvement`: what outside the directory still needs a user.

use clap::{Args, Subcommand};
use rollbook_proto::v1::{
    Involvement, LinkFlowTemplateRequest, LinkReferenceRequest, ListInvolvementsRequest,
    ListInvolvementsResponse, ListReviewersRequest, ListReviewersResponse,
    ReportInvoiceDequeuedRequest, ReportInvoicePostedRequest, ReportInvoiceQueuedRequest,
    ReportInvoiceReviewedRequest, ReportInvoiceWithdrawnRequest, RetractInvoiceReviewRequest,
    Reviewer, UnlinkFlowTemplateRequest, UnlinkReferenceRequest,
};

use super::{
    choices::{Review, or_none},
    client::{Client, ClientFlags, CommandFlags, commit},
    output::{counted, plain, table, time},
    pages::{Page, more, read_pages},
    problem::Problem,
    views::UserAfter as _,
};

/// Involvements of users.
#[derive(Args, Debug)]
pub struct InvolvementArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: InvolvementCommand,
}

#[derive(Subcommand, Debug)]
enum InvolvementCommand {
    /// Report an invoice in a user's personal queue
    Queued(About),
    /// Report that an invoice left a user's personal queue
    Dequeued(About),
    /// Report that a user reviewed or attested an invoice
    Reviewed(AboutReview),
    /// Report that a review or attest was taken back
    Retract(AboutReview),
    /// Report that an invoice was finally posted, which releases its reviewers
    Posted(AboutInvoice),
    /// Report that an invoice was withdrawn, which releases its reviewers
    Withdrawn(AboutInvoice),
    /// Report a flow template that names a user
    LinkTemplate(About),
    /// Report that a flow template no longer names a user
    UnlinkTemplate(About),
    /// Report a reference that stands for a user
    LinkReference(About),
    /// Report that a reference no longer stands for a user
    UnlinkReference(About),
    /// List what needs a user
    List(List),
    /// List who reviewed or attested an invoice
    Reviewers(Reviewers),
}

/// Runs a command about involvements.
pub async fn run(args: InvolvementArgs) -> Result<(), Problem> {
    let client = Client::connect(args.client).await?;
    match args.command {
        InvolvementCommand::Queued(about) => about.queued(&client).await,
        InvolvementCommand::Dequeued(about) => about.dequeued(&client).await,
        InvolvementCommand::Reviewed(about) => about.reviewed(&client).await,
        InvolvementCommand::Retract(about) => about.retract(&client).await,
        InvolvementCommand::Posted(about) => about.posted(&client).await,
        InvolvementCommand::Withdrawn(about) => about.withdrawn(&client).await,
        InvolvementCommand::LinkTemplate(about) => about.link_template(&client).await,
        InvolvementCommand::UnlinkTemplate(about) => about.unlink_template(&client).await,
        InvolvementCommand::LinkReference(about) => about.link_reference(&client).await,
        InvolvementCommand::UnlinkReference(about) => about.unlink_reference(&client).await,
        InvolvementCommand::List(list) => list.run(&client).await,
        InvolvementCommand::Reviewers(reviewers) => reviewers.run(&client).await,
    }
}

/// A report about a user and a thing.
#[derive(Args, Debug)]
struct About {
    /// The user: id, signature or e-mail address
    user: String,
    /// The company: id or title
    company: String,
    /// The invoice, flow template or reference
    subject: String,
    #[command(flatten)]
    command: CommandFlags,
}

/// Reports about a user and a thing, whose id the request calls by its kind.
macro_rules! reports {
    ($($name:ident: $call:ident($request:ident { $subject:ident })),* $(,)?) => {$(
        async fn $name(self, client: &Client) -> Result<(), Problem> {
            let command = self.command.options();
            let id = command.request_id.clone();
            let request = $request {
                account_id: client.account()?,
                company_id: client.company_id(&self.company).await?,
                user_id: client.user_id(&self.user).await?,
                $subject: self.subject,
                command: Some(command),
            };
            let answer = commit(&id, client.involvements().$call(request)).await?;
            client.output.show(&answer, || answer.text())
        }
    )*};
}

impl About {
    reports! {
        queued: report_invoice_queued(ReportInvoiceQueuedRequest { invoice_id }),
        dequeued: report_invoice_dequeued(ReportInvoiceDequeuedRequest { invoice_id }),
        link_template: link_flow_template(LinkFlowTemplateRequest { flow_template_id }),
        unlink_template: unlink_flow_template(UnlinkFlowTemplateRequest { flow_template_id }),
        link_reference: link_reference(LinkReferenceRequest { reference_id }),
        unlink_reference: unlink_reference(UnlinkReferenceRequest { reference_id }),
    }
}

/// A report about a user's review of an invoice.
#[derive(Args, Debug)]
struct AboutReview {
    #[command(flatten)]
    about: About,
    /// What the user did; reviewed where nothing is given
    #[arg(long)]
    kind: Option<Review>,
}

/// Reports about a review.
macro_rules! reviews {
    ($($name:ident: $call:ident($request:ident)),* $(,)?) => {$(
        async fn $name(self, client: &Client) -> Result<(), Problem> {
            let About { user, company, subject, command } = self.about;
            let command = command.options();
            let id = command.request_id.clone();
            let request = $request {
                account_id: client.account()?,
                company_id: client.company_id(&company).await?,
                user_id: client.user_id(&user).await?,
                invoice_id: subject,
                kind: or_none(self.kind, Review::wire),
                command: Some(command),
            };
            let answer = commit(&id, client.involvements().$call(request)).await?;
            client.output.show(&answer, || answer.text())
        }
    )*};
}

impl AboutReview {
    reviews! {
        reviewed: report_invoice_reviewed(ReportInvoiceReviewedRequest),
        retract: retract_invoice_review(RetractInvoiceReviewRequest),
    }
}

/// A report about an invoice alone.
#[derive(Args, Debug)]
struct AboutInvoice {
    /// The company: id or title
    company: String,
    /// The invoice
    invoice: String,
    #[command(flatten)]
    command: CommandFlags,
}

/// Reports that settle an invoice.
macro_rules! settlements {
    ($($name:ident: $call:ident($request:ident)),* $(,)?) => {$(
        async fn $name(self, client: &Client) -> Result<(), Problem> {
            let command = self.command.options();
            let id = command.request_id.clone();
            let request = $request {
                account_id: client.account()?,
                company_id: client.company_id(&self.company).await?,
                invoice_id: self.invoice,
                command: Some(command),
            };
            let answer = commit(&id, client.involvements().$call(request)).await?;
            client.output.show(&answer, || released(&answer.released_user_ids, answer.position))
        }
    )*};
}

impl AboutInvoice {
    settlements! {
        posted: report_invoice_posted(ReportInvoicePostedRequest),
        withdrawn: report_invoice_withdrawn(ReportInvoiceWithdrawnRequest),
    }
}

/// Who was released by a settlement.
fn released(users: &[String], position: u64) -> String {
    if position == 0 {
        return format!(
            "would release {}; checked only, nothing was changed",
            counted(users.len(), "reviewer")
        );
    }
    let names = users
        .iter()
        .fold(String::new(), |names, user| names + "\n  " + user);
    format!(
        "settled; {} released, position {position}{names}",
        counted(users.len(), "reviewer")
    )
}

#[derive(Args, Debug)]
struct List {
    /// The user: id, signature or e-mail address; a deleted one by its id
    user: String,
    /// List those that ended, too
    #[arg(long)]
    all: bool,
    /// How many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
}

impl List {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let query = ListInvolvementsRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            include_ended: self.all,
            ..ListInvolvementsRequest::default()
        };
        let rows = read_pages(self.limit, "involvements", async |page_size, page_token| {
            let request = ListInvolvementsRequest {
                page_size,
                page_token,
                ..query.clone()
            };
            let page = client
                .involvements()
                .list_involvements(request)
                .await?
                .into_inner();
            Ok(Page {
                rows: page.involvements,
                next: page.next_page_token,
            })
        });
        let rows = rows.await?;
        let more = more(&rows);
        let answer = ListInvolvementsResponse {
            involvements: rows.rows,
            next_page_token: rows.next,
        };
        client
            .output
            .show(&answer, || involvements(&answer.involvements) + more)
    }
}

/// Involvements, one a line.
#[must_use]
pub fn involvements(involvements: &[Involvement]) -> String {
    let mut table = table(["what", "which", "company", "since", "ended"]);
    for involvement in involvements {
        table.add_row([
            plain(involvement.kind().as_str_name(), "INVOLVEMENT_KIND_"),
            involvement.subject.clone(),
            involvement.company_id.clone(),
            time(involvement.since.as_ref()),
            time(involvement.ended_at.as_ref()),
        ]);
    }
    table.to_string()
}

#[derive(Args, Debug)]
struct Reviewers {
    /// The company: id or title
    company: String,
    /// The invoice
    invoice: String,
    /// How many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
}

impl Reviewers {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let query = ListReviewersRequest {
            account_id: client.account()?,
            company_id: client.company_id(&self.company).await?,
            invoice_id: self.invoice,
            ..ListReviewersRequest::default()
        };
        let rows = read_pages(self.limit, "reviewers", async |page_size, page_token| {
            let request = ListReviewersRequest {
                page_size,
                page_token,
                ..query.clone()
            };
            let page = client
                .involvements()
                .list_reviewers(request)
                .await?
                .into_inner();
            Ok(Page {
                rows: page.reviewers,
                next: page.next_page_token,
            })
        });
        let rows = rows.await?;
        let more = more(&rows);
        let answer = ListReviewersResponse {
            reviewers: rows.rows,
            next_page_token: rows.next,
        };
        client
            .output
            .show(&answer, || reviewers(&answer.reviewers) + more)
    }
}

/// Reviewers of an invoice, one a line.
#[must_use]
pub fn reviewers(reviewers: &[Reviewer]) -> String {
    let mut table = table(["user", "what", "since", "ended"]);
    for reviewer in reviewers {
        table.add_row([
            reviewer.user_id.clone(),
            plain(reviewer.kind().as_str_name(), "REVIEW_KIND_"),
            time(reviewer.since.as_ref()),
            time(reviewer.ended_at.as_ref()),
        ]);
    }
    table.to_string()
}
