//! Flow templates and references that are linked to a user.

use serde::{Deserialize, Serialize};

use super::invoices::record;
use crate::domain::{Apply, Context, Decide, Decision, Timestamp};
use crate::user::{User, UserError};
use crate::values::{CompanyId, FlowTemplateId, ReferenceId};

/// A flow template was linked to a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowTemplateLinked {
    /// Where.
    pub company_id: CompanyId,
    /// Which.
    pub flow_template_id: FlowTemplateId,
}

/// A flow template was unlinked from a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowTemplateUnlinked {
    /// Where.
    pub company_id: CompanyId,
    /// Which.
    pub flow_template_id: FlowTemplateId,
}

impl Apply<User> for FlowTemplateLinked {
    fn apply(self, _at: Timestamp, user: &mut User) {
        let link = (self.company_id, self.flow_template_id);
        user.involve(|involvements| involvements.flow_templates.insert(link));
    }
}

impl Apply<User> for FlowTemplateUnlinked {
    fn apply(self, _at: Timestamp, user: &mut User) {
        let link = (self.company_id, self.flow_template_id);
        user.involve(|involvements| involvements.flow_templates.remove(&link));
    }
}

/// Records that a flow template was linked to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFlowTemplate {
    /// Where.
    pub company_id: CompanyId,
    /// Which.
    pub flow_template_id: FlowTemplateId,
}

impl Decide for LinkFlowTemplate {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let link = (self.company_id, self.flow_template_id);
        let already = person.involvements.flow_templates.contains(&link);
        if !already {
            ctx.account.must_have_companies([link.0])?;
        }
        let event = FlowTemplateLinked {
            company_id: link.0,
            flow_template_id: link.1,
        };
        Ok(record(ctx, user, already, event))
    }
}

/// Records that a flow template was unlinked from a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnlinkFlowTemplate {
    /// Where.
    pub company_id: CompanyId,
    /// Which.
    pub flow_template_id: FlowTemplateId,
}

impl Decide for UnlinkFlowTemplate {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let link = (self.company_id, self.flow_template_id);
        let already = !person.involvements.flow_templates.contains(&link);
        let event = FlowTemplateUnlinked {
            company_id: link.0,
            flow_template_id: link.1,
        };
        Ok(record(ctx, user, already, event))
    }
}

/// A reference was linked to a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceLinked {
    /// Where.
    pub company_id: CompanyId,
    /// Which.
    pub reference_id: ReferenceId,
}

/// A reference was unlinked from a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceUnlinked {
    /// Where.
    pub company_id: CompanyId,
    /// Which.
    pub reference_id: ReferenceId,
}

impl Apply<User> for ReferenceLinked {
    fn apply(self, _at: Timestamp, user: &mut User) {
        let link = (self.company_id, self.reference_id);
        user.involve(|involvements| involvements.references.insert(link));
    }
}

impl Apply<User> for ReferenceUnlinked {
    fn apply(self, _at: Timestamp, user: &mut User) {
        let link = (self.company_id, self.reference_id);
        user.involve(|involvements| involvements.references.remove(&link));
    }
}

/// Records that a reference was linked to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkReference {
    /// Where.
    pub company_id: CompanyId,
    /// Which.
    pub reference_id: ReferenceId,
}

impl Decide for LinkReference {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let link = (self.company_id, self.reference_id);
        let already = person.involvements.references.contains(&link);
        if !already {
            ctx.account.must_have_companies([link.0])?;
        }
        let event = ReferenceLinked {
            company_id: link.0,
            reference_id: link.1,
        };
        Ok(record(ctx, user, already, event))
    }
}

/// Records that a reference was unlinked from a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnlinkReference {
    /// Where.
    pub company_id: CompanyId,
    /// Which.
    pub reference_id: ReferenceId,
}

impl Decide for UnlinkReference {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let link = (self.company_id, self.reference_id);
        let already = !person.involvements.references.contains(&link);
        let event = ReferenceUnlinked {
            company_id: link.0,
            reference_id: link.1,
        };
        Ok(record(ctx, user, already, event))
    }
}
