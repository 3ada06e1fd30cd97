//! The access of an external user: what a user of another account may do in this one (R43).
//!
//! It is an aggregate of the account that is accessed. There is one for each account and user, named after both, so that
//! nobody can have two; what was revoked can be granted again. Who the person is, and whether it may sign in, is its home
//! account's business and stays there: an access remembers the user's id alone. What other services report of the person's
//! work in this account is recorded here, for this account's auditors.

mod claims;
mod ending;
mod granting;
mod involvements;
mod refusals;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use ending::{
    AccessRevoked, EndExternalSessions, EraseAccess, ExternalSessionsEnded, ExternalUserDeleted,
    RevokeAccess,
};
pub use granting::{
    AccessGranted, AccessPermissionsSet, AccessTypeChanged, GrantAccess, UpdateAccess,
};
pub use involvements::{
    LinkFlowTemplate, LinkReference, OfAccess, ReportInvoiceDequeued, ReportInvoiceQueued,
    ReportInvoiceReviewed, RetractInvoiceReview, SettleInvoice, UnlinkFlowTemplate,
    UnlinkReference,
};
pub use refusals::AccessError;

use crate::domain::{
    Context, Decide, Guards, Recorded, Surroundings, Timestamp, command_set, event_set,
};
use crate::user::{
    FlowTemplateLinked, FlowTemplateUnlinked, InvoiceDequeued, InvoiceQueued,
    InvoiceReviewRetracted, InvoiceReviewed, InvoiceSettled, Involvement, Involvements,
    ReferenceLinked, ReferenceUnlinked,
};
use crate::values::{AccountId, ParseError, Permission, UserId, UserType};

event_set! {
    /// Everything that can happen to an access.
    AccessEvent for Access {
        AccessGranted,
        AccessTypeChanged,
        AccessPermissionsSet,
        AccessRevoked,
        ExternalSessionsEnded,
        ExternalUserDeleted,
        // Involvements.
        InvoiceQueued,
        InvoiceDequeued,
        InvoiceReviewed,
        InvoiceReviewRetracted,
        InvoiceSettled,
        FlowTemplateLinked,
        FlowTemplateUnlinked,
        ReferenceLinked,
        ReferenceUnlinked,
    }
}

command_set! {
    /// Everything a caller can ask of an access.
    AccessCommand for Access {
        GrantAccess,
        UpdateAccess,
        RevokeAccess,
        EndExternalSessions,
        EraseAccess,
        // Involvements.
        ReportInvoiceQueued,
        ReportInvoiceDequeued,
        ReportInvoiceReviewed,
        RetractInvoiceReview,
        SettleInvoice,
        LinkFlowTemplate,
        UnlinkFlowTemplate,
        LinkReference,
        UnlinkReference,
    }
}

/// Which access: whose account, and which user's. Its text names the access' stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccessKey {
    /// The account that is accessed.
    pub account_id: AccountId,
    /// The user, whose home is another one.
    pub user_id: UserId,
}

impl AccessKey {
    /// Reads one as it is written.
    ///
    /// # Errors
    /// When it is not an account and a user with a slash between them.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let (account, user) = text
            .split_once('/')
            .ok_or(ParseError::new("must be an account and a user"))?;
        Ok(Self {
            account_id: AccountId::parse(account)?,
            user_id: UserId::parse(user)?,
        })
    }
}

impl fmt::Display for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account_id, self.user_id)
    }
}

/// An access as it is; by default there never was one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Access {
    state: State,
    #[serde(skip)]
    guards: Guards,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
enum State {
    #[default]
    NotYet,
    Known(Box<ExternalUser>),
    UserDeleted {
        key: AccessKey,
        home_account_id: AccountId,
    },
}

/// What is known of a user of another account who has, or had, access to this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExternalUser {
    key: AccessKey,
    home_account_id: AccountId,
    user_type: UserType,
    permissions: BTreeSet<Permission>,
    involvements: Involvements,
    sessions_valid_from: Timestamp,
    granted_at: Timestamp,
    modified_at: Timestamp,
    revoked_at: Option<Timestamp>,
}

impl ExternalUser {
    /// The account that is accessed.
    #[must_use]
    pub const fn account_id(&self) -> &AccountId {
        &self.key.account_id
    }

    /// Who.
    #[must_use]
    pub const fn user_id(&self) -> UserId {
        self.key.user_id
    }

    /// The account where the user is at home.
    #[must_use]
    pub const fn home_account_id(&self) -> &AccountId {
        &self.home_account_id
    }

    /// What kind of user it is in the account that is accessed, and there only.
    #[must_use]
    pub const fn user_type(&self) -> UserType {
        self.user_type
    }

    /// Its grants there.
    #[must_use]
    pub const fn permissions(&self) -> &BTreeSet<Permission> {
        &self.permissions
    }

    /// What needs it there.
    #[must_use]
    pub const fn involvements(&self) -> &Involvements {
        &self.involvements
    }

    /// Its sessions there that began before are not valid any more (R41).
    #[must_use]
    pub const fn sessions_valid_from(&self) -> Timestamp {
        self.sessions_valid_from
    }

    /// When the access was granted, the last time.
    #[must_use]
    pub const fn granted_at(&self) -> Timestamp {
        self.granted_at
    }

    /// When the access was changed last; what other services report does not change it.
    #[must_use]
    pub const fn modified_at(&self) -> Timestamp {
        self.modified_at
    }

    /// When the access was revoked; none while it is there.
    #[must_use]
    pub const fn revoked_at(&self) -> Option<Timestamp> {
        self.revoked_at
    }

    /// Whether the access is there.
    #[must_use]
    pub const fn is_granted(&self) -> bool {
        self.revoked_at.is_none()
    }

    /// Whether it is an access as an administrator, and there.
    #[must_use]
    pub const fn administers(&self) -> bool {
        self.is_granted() && matches!(self.user_type, UserType::Administrator)
    }
}

impl Access {
    /// What is known of the external user, whether its access is there or was revoked; nothing where there never was one
    /// or the user was deleted.
    #[must_use]
    pub fn external(&self) -> Option<&ExternalUser> {
        match &self.state {
            State::Known(external) => Some(external),
            State::NotYet | State::UserDeleted { .. } => None,
        }
    }

    /// What is known of the external user while its access is there.
    #[must_use]
    pub fn granted(&self) -> Option<&ExternalUser> {
        self.external().filter(|external| external.is_granted())
    }

    /// Whose and which; nothing where there never was one.
    #[must_use]
    pub fn key(&self) -> Option<&AccessKey> {
        match &self.state {
            State::NotYet => None,
            State::Known(external) => Some(&external.key),
            State::UserDeleted { key, .. } => Some(key),
        }
    }

    /// The account that is, or was, accessed.
    #[must_use]
    pub fn account_id(&self) -> Option<&AccountId> {
        self.key().map(|key| &key.account_id)
    }

    /// The account where the user is, or was, at home.
    #[must_use]
    pub fn home_account_id(&self) -> Option<&AccountId> {
        match &self.state {
            State::NotYet => None,
            State::Known(external) => Some(&external.home_account_id),
            State::UserDeleted {
                home_account_id, ..
            } => Some(home_account_id),
        }
    }

    /// What a commit of the stock framework needs beyond the events of the last command.
    #[must_use]
    pub const fn guards(&self) -> &Guards {
        &self.guards
    }

    /// The external user of the command's account; one of another account is as if it did not exist (R68).
    fn must_be_known(&self, ctx: &Context<'_>) -> Result<&ExternalUser, AccessError> {
        if self.account_id().is_none() || self.account_id() != ctx.account.id() {
            return Err(AccessError::NotFound);
        }
        match &self.state {
            State::NotYet => Err(AccessError::NotFound),
            State::Known(external) => Ok(external),
            State::UserDeleted { .. } => Err(AccessError::UserDeleted),
        }
    }

    fn external_mut(&mut self) -> Option<&mut ExternalUser> {
        match &mut self.state {
            State::Known(external) => Some(external),
            State::NotYet | State::UserDeleted { .. } => None,
        }
    }

    /// Changes what is known of the external user, at this time.
    fn change(&mut self, at: Timestamp, change: impl FnOnce(&mut ExternalUser)) {
        if let Some(external) = self.external_mut() {
            change(external);
            external.modified_at = at;
        }
    }
}

impl AccessEvent {
    /// Whether it moves the time from which sessions here are valid, so that those which began before are over (R41).
    #[must_use]
    pub const fn ends_sessions(&self) -> bool {
        match self {
            Self::AccessTypeChanged(changed) => changed.ends_sessions,
            Self::AccessPermissionsSet(set) => set.ends_sessions,
            Self::AccessRevoked(_)
            | Self::ExternalSessionsEnded(_)
            | Self::ExternalUserDeleted(_) => true,
            Self::AccessGranted(_)
            | Self::InvoiceQueued(_)
            | Self::InvoiceDequeued(_)
            | Self::InvoiceReviewed(_)
            | Self::InvoiceReviewRetracted(_)
            | Self::InvoiceSettled(_)
            | Self::FlowTemplateLinked(_)
            | Self::FlowTemplateUnlinked(_)
            | Self::ReferenceLinked(_)
            | Self::ReferenceUnlinked(_) => false,
        }
    }

    /// What another service reported with it: such an event tells of the user's work and changes nothing of the access.
    #[must_use]
    pub const fn involvement(&self) -> Option<Involvement<'_>> {
        Some(match self {
            Self::InvoiceQueued(event) => Involvement::InvoiceQueued(event),
            Self::InvoiceDequeued(event) => Involvement::InvoiceDequeued(event),
            Self::InvoiceReviewed(event) => Involvement::InvoiceReviewed(event),
            Self::InvoiceReviewRetracted(event) => Involvement::InvoiceReviewRetracted(event),
            Self::InvoiceSettled(event) => Involvement::InvoiceSettled(event),
            Self::FlowTemplateLinked(event) => Involvement::FlowTemplateLinked(event),
            Self::FlowTemplateUnlinked(event) => Involvement::FlowTemplateUnlinked(event),
            Self::ReferenceLinked(event) => Involvement::ReferenceLinked(event),
            Self::ReferenceUnlinked(event) => Involvement::ReferenceUnlinked(event),
            Self::AccessGranted(_)
            | Self::AccessTypeChanged(_)
            | Self::AccessPermissionsSet(_)
            | Self::AccessRevoked(_)
            | Self::ExternalSessionsEnded(_)
            | Self::ExternalUserDeleted(_) => return None,
        })
    }
}

impl cqrs_es::Aggregate for Access {
    const TYPE: &'static str = "access";
    type Command = AccessCommand;
    type Event = Recorded<AccessEvent>;
    type Error = AccessError;
    type Services = Surroundings;

    async fn handle(
        &mut self,
        command: AccessCommand,
        services: &Surroundings,
        sink: &cqrs_es::event_sink::EventSink<Self>,
    ) -> Result<(), AccessError> {
        let decision = command.decide(&services.context(), self)?;
        self.guards = decision.guards();
        for event in decision.events {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, recorded: Recorded<AccessEvent>) {
        let at = recorded.time();
        recorded.event.apply_to(at, self);
    }
}

#[cfg(test)]
mod tests;
