//! A user: a person of one home account.
//!
//! The facets are kept apart, and the [`Status`] is derived from them. A user that was deleted remembers only that it
//! was there: what is personal goes with its key.

mod access;
mod allegiances;
mod claims;
mod companies;
mod copying;
mod credentials;
mod deletion;
mod involvements;
mod lifecycle;
mod links;
mod permissions;
mod person;
mod profile;
mod refusals;
mod sessions;
mod status;
mod supervision;

use serde::{Deserialize, Serialize};

pub use access::{AccessAnswer, AccessDenial, External, Use, check_access};
pub use allegiances::{Allegiances, UserAllegiancesSet};
pub use companies::{
    AddUserCompanies, CompanyProperties, LinkedCompany, NewCompany, RemoveUserCompanies,
    UpdateUserCompany, UserCompaniesAdded, UserCompaniesRemoved, UserShownAsAddressee,
    UserSupervisorChanged,
};
pub use copying::{CopiedProperties, CopyUser, CopyUserCompany};
pub use credentials::{
    ChangePassword, Credentials, ExpirePassword, MfaEnrolled, MfaReset, PasswordChanged,
    PasswordExpired, PasswordSet, PasswordState, ReportMfaEnrolled, ResetMfa, SetPassword,
};
pub use deletion::{Blocker, DeleteUser, UserDeleted, deletion_blockers, deletion_reads};
pub use involvements::{
    FlowTemplateLinked, FlowTemplateUnlinked, InvoiceDequeued, InvoiceQueued,
    InvoiceReviewRetracted, InvoiceReviewed, InvoiceSettled, Involved, Involvement,
    InvolvementEvents, Involvements, LinkFlowTemplate, LinkReference, Need, ReferenceLinked,
    ReferenceUnlinked, Report, ReportInvoiceDequeued, ReportInvoiceQueued, ReportInvoiceReviewed,
    RetractInvoiceReview, ReviewKind, SettleInvoice, UnlinkFlowTemplate, UnlinkReference,
};
pub use lifecycle::{
    ActivateUser, CreateUser, DeactivateUser, LockUser, UnlockUser, UserActivated, UserCreated,
    UserDeactivated, UserLocked, UserUnlocked,
};
pub use links::{
    CompletePasswordReset, CompleteWelcome, ExpirePasswordReset, ExpireWelcome, Link,
    PasswordReset, PasswordResetCompleted, PasswordResetExpired, PasswordResetRequested,
    RequestPasswordReset, ResendWelcome, Welcome, WelcomeCompleted, WelcomeExpired, WelcomeIssued,
};
pub use permissions::{
    DropForbiddenGrants, SetMode, SetUserPermissions, SetUserRoles, UserPermissionsSet,
    UserRolesSet, UserTypeChanged,
};
pub use person::Person;
pub use profile::{
    Profile, UpdateUser, UserEmailChanged, UserLanguageChanged, UserMobilePhoneChanged,
    UserPhoneChanged, UserRenamed, UserSignatureChanged,
};
pub use refusals::{SupervisorFault, UnfitSupervisor, UserError};
pub use sessions::{
    AutoLockUser, Entry, ExpireLock, ReportSignIn, RevokeSessions, SessionsRevoked, UserAutoLocked,
    UserLockExpired,
};
pub use status::{Facets, Status};

use crate::account::Settings;
pub use supervision::{Handover, MissingCompany, ReplaceSupervisor, Succession};

use crate::domain::{
    Context, Decide, Guards, Recorded, Surroundings, Timestamp, command_set, event_set,
};
use crate::values::{AccountId, UserId};

event_set! {
    /// Everything that can happen to a user.
    UserEvent for User {
        // Lifecycle.
        UserCreated,
        UserActivated,
        UserDeactivated,
        UserLocked,
        UserUnlocked,
        UserDeleted,
        // Credentials.
        PasswordSet,
        PasswordChanged,
        PasswordExpired,
        MfaEnrolled,
        MfaReset,
        // Links.
        WelcomeIssued,
        WelcomeCompleted,
        WelcomeExpired,
        PasswordResetRequested,
        PasswordResetCompleted,
        PasswordResetExpired,
        // Sessions.
        UserAutoLocked,
        UserLockExpired,
        SessionsRevoked,
        // Profile.
        UserRenamed,
        UserSignatureChanged,
        UserEmailChanged,
        UserPhoneChanged,
        UserMobilePhoneChanged,
        UserLanguageChanged,
        // Permissions.
        UserTypeChanged,
        UserRolesSet,
        UserPermissionsSet,
        // Companies.
        UserCompaniesAdded,
        UserCompaniesRemoved,
        UserSupervisorChanged,
        UserShownAsAddressee,
        UserAllegiancesSet,
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
    /// Everything a caller can ask of a user.
    UserCommand for User {
        // Lifecycle.
        CreateUser,
        CopyUser,
        ActivateUser,
        DeactivateUser,
        LockUser,
        UnlockUser,
        DeleteUser,
        // Credentials.
        SetPassword,
        ChangePassword,
        ExpirePassword,
        ReportMfaEnrolled,
        ResetMfa,
        // Links.
        ResendWelcome,
        CompleteWelcome,
        ExpireWelcome,
        RequestPasswordReset,
        CompletePasswordReset,
        ExpirePasswordReset,
        // Sessions.
        AutoLockUser,
        ExpireLock,
        ReportSignIn,
        RevokeSessions,
        // Profile.
        UpdateUser,
        // Permissions.
        SetUserRoles,
        SetUserPermissions,
        DropForbiddenGrants,
        // Companies.
        AddUserCompanies,
        RemoveUserCompanies,
        UpdateUserCompany,
        CopyUserCompany,
        ReplaceSupervisor,
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

/// A user as it is; by default it does not exist yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    state: State,
    #[serde(skip)]
    guards: Guards,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
enum State {
    #[default]
    NotYet,
    Present(Box<Person>),
    Deleted(Gone),
}

/// What is known of a user that was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Who it was.
    pub id: UserId,
    /// Where.
    pub account_id: AccountId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Timestamp,
}

impl User {
    /// What is known of it, while it is there.
    #[must_use]
    pub fn person(&self) -> Option<&Person> {
        match &self.state {
            State::Present(person) => Some(person),
            State::NotYet | State::Deleted(_) => None,
        }
    }

    /// What is known of it, once it was deleted.
    #[must_use]
    pub const fn gone(&self) -> Option<&Gone> {
        match &self.state {
            State::Deleted(gone) => Some(gone),
            State::NotYet | State::Present(_) => None,
        }
    }

    /// The account it is, or was, of; none before it was created.
    #[must_use]
    pub fn account_id(&self) -> Option<&AccountId> {
        match &self.state {
            State::NotYet => None,
            State::Present(person) => Some(&person.account_id),
            State::Deleted(gone) => Some(&gone.account_id),
        }
    }

    /// Its status by what is recorded; none before it was created.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match &self.state {
            State::NotYet => None,
            State::Present(person) => Some(person.status()),
            State::Deleted(_) => Some(Status::Deleted),
        }
    }

    /// Its status by the clock; none before it was created.
    #[must_use]
    pub fn status_at(&self, settings: &Settings, now: Timestamp) -> Option<Status> {
        match &self.state {
            State::NotYet => None,
            State::Present(person) => Some(person.status_at(settings, now)),
            State::Deleted(_) => Some(Status::Deleted),
        }
    }

    /// What a commit of the stock framework needs beyond the events of the last command.
    #[must_use]
    pub const fn guards(&self) -> &Guards {
        &self.guards
    }

    /// The person, if it is one of the command's account; of another account it is as if it did not exist (R68).
    fn must_be_present(&self, ctx: &Context<'_>) -> Result<&Person, UserError> {
        if self.account_id().is_none() || self.account_id() != ctx.account.id() {
            return Err(UserError::NotFound);
        }
        match &self.state {
            State::NotYet => Err(UserError::NotFound),
            State::Present(person) => Ok(person),
            State::Deleted(_) => Err(UserError::Deleted),
        }
    }

    fn person_mut(&mut self) -> Option<&mut Person> {
        match &mut self.state {
            State::Present(person) => Some(person),
            State::NotYet | State::Deleted(_) => None,
        }
    }

    /// Changes the person, if there is one.
    fn change(&mut self, change: impl FnOnce(&mut Person)) {
        if let Some(person) = self.person_mut() {
            change(person);
        }
    }
}

impl UserEvent {
    /// Whether it moves the time from which sessions are valid, so that those which began before are over (R41).
    #[must_use]
    pub const fn ends_sessions(&self) -> bool {
        matches!(
            self,
            Self::UserDeactivated(_)
                | Self::UserLocked(_)
                | Self::UserAutoLocked(_)
                | Self::UserDeleted(_)
                | Self::PasswordSet(_)
                | Self::PasswordChanged(_)
                | Self::PasswordResetCompleted(_)
                | Self::WelcomeCompleted(_)
                | Self::SessionsRevoked(_)
        )
    }

    /// What another service reported with it: such an event tells of the user's work and changes nothing of the user.
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
            Self::UserCreated(_)
            | Self::UserActivated(_)
            | Self::UserDeactivated(_)
            | Self::UserLocked(_)
            | Self::UserUnlocked(_)
            | Self::UserDeleted(_)
            | Self::PasswordSet(_)
            | Self::PasswordChanged(_)
            | Self::PasswordExpired(_)
            | Self::MfaEnrolled(_)
            | Self::MfaReset(_)
            | Self::WelcomeIssued(_)
            | Self::WelcomeCompleted(_)
            | Self::WelcomeExpired(_)
            | Self::PasswordResetRequested(_)
            | Self::PasswordResetCompleted(_)
            | Self::PasswordResetExpired(_)
            | Self::UserAutoLocked(_)
            | Self::UserLockExpired(_)
            | Self::SessionsRevoked(_)
            | Self::UserRenamed(_)
            | Self::UserSignatureChanged(_)
            | Self::UserEmailChanged(_)
            | Self::UserPhoneChanged(_)
            | Self::UserMobilePhoneChanged(_)
            | Self::UserLanguageChanged(_)
            | Self::UserTypeChanged(_)
            | Self::UserRolesSet(_)
            | Self::UserPermissionsSet(_)
            | Self::UserCompaniesAdded(_)
            | Self::UserCompaniesRemoved(_)
            | Self::UserSupervisorChanged(_)
            | Self::UserShownAsAddressee(_)
            | Self::UserAllegiancesSet(_) => return None,
        })
    }

    /// Whether another service reported it.
    #[must_use]
    pub const fn is_involvement(&self) -> bool {
        self.involvement().is_some()
    }
}

impl cqrs_es::Aggregate for User {
    const TYPE: &'static str = "user";
    type Command = UserCommand;
    type Event = Recorded<UserEvent>;
    type Error = UserError;
    type Services = Surroundings;

    async fn handle(
        &mut self,
        command: UserCommand,
        services: &Surroundings,
        sink: &cqrs_es::event_sink::EventSink<Self>,
    ) -> Result<(), UserError> {
        let decision = command.decide(&services.context(), self)?;
        self.guards = decision.guards();
        for event in decision.events {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, recorded: Recorded<UserEvent>) {
        let at = recorded.time();
        let modifies = !recorded.event.is_involvement();
        recorded.event.apply_to(at, self);
        if modifies {
            self.change(|person| person.modified_at = at);
        }
    }
}
