//! Flow templates and references that are linked to a user.

use serde::{Deserialize, Serialize};

use super::{Involved, Report, involve, record};
use crate::domain::{Apply, Context, Decision, Timestamp};
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

impl<A: Involved> Apply<A> for FlowTemplateLinked {
    fn apply(self, _at: Timestamp, involved: &mut A) {
        let link = (self.company_id, self.flow_template_id);
        involve(involved, |involvements| {
            involvements.flow_templates.insert(link)
        });
    }
}

impl<A: Involved> Apply<A> for FlowTemplateUnlinked {
    fn apply(self, _at: Timestamp, involved: &mut A) {
        let link = (self.company_id, self.flow_template_id);
        involve(involved, |involvements| {
            involvements.flow_templates.remove(&link)
        });
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

impl Report for LinkFlowTemplate {
    fn decide_on<A: Involved>(
        self,
        ctx: &Context<'_>,
        involved: &A,
    ) -> Result<Decision<A>, A::Error> {
        let involvements = involved.involvements(ctx)?;
        let link = (self.company_id, self.flow_template_id);
        let already = involvements.flow_templates.contains(&link);
        if !already {
            ctx.account.must_have_companies([link.0])?;
        }
        let event = FlowTemplateLinked {
            company_id: link.0,
            flow_template_id: link.1,
        };
        Ok(record(ctx, involved, already, event))
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

impl Report for UnlinkFlowTemplate {
    fn decide_on<A: Involved>(
        self,
        ctx: &Context<'_>,
        involved: &A,
    ) -> Result<Decision<A>, A::Error> {
        let involvements = involved.involvements(ctx)?;
        let link = (self.company_id, self.flow_template_id);
        let already = !involvements.flow_templates.contains(&link);
        let event = FlowTemplateUnlinked {
            company_id: link.0,
            flow_template_id: link.1,
        };
        Ok(record(ctx, involved, already, event))
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

impl<A: Involved> Apply<A> for ReferenceLinked {
    fn apply(self, _at: Timestamp, involved: &mut A) {
        let link = (self.company_id, self.reference_id);
        involve(involved, |involvements| {
            involvements.references.insert(link)
        });
    }
}

impl<A: Involved> Apply<A> for ReferenceUnlinked {
    fn apply(self, _at: Timestamp, involved: &mut A) {
        let link = (self.company_id, self.reference_id);
        involve(involved, |involvements| {
            involvements.references.remove(&link)
        });
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

impl Report for LinkReference {
    fn decide_on<A: Involved>(
        self,
        ctx: &Context<'_>,
        involved: &A,
    ) -> Result<Decision<A>, A::Error> {
        let involvements = involved.involvements(ctx)?;
        let link = (self.company_id, self.reference_id);
        let already = involvements.references.contains(&link);
        if !already {
            ctx.account.must_have_companies([link.0])?;
        }
        let event = ReferenceLinked {
            company_id: link.0,
            reference_id: link.1,
        };
        Ok(record(ctx, involved, already, event))
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

impl Report for UnlinkReference {
    fn decide_on<A: Involved>(
        self,
        ctx: &Context<'_>,
        involved: &A,
    ) -> Result<Decision<A>, A::Error> {
        let involvements = involved.involvements(ctx)?;
        let link = (self.company_id, self.reference_id);
        let already = !involvements.references.contains(&link);
        let event = ReferenceUnlinked {
            company_id: link.0,
            reference_id: link.1,
        };
        Ok(record(ctx, involved, already, event))
    }
}
