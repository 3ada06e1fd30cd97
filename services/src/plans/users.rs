//! Commands on one user.

use rollbook_aggregates::access::EraseAccess;
use rollbook_aggregates::domain::{Claim, Decide};
use rollbook_aggregates::user::{CopyUser, CreateUser, DeactivateUser, DeleteUser, Link, User};
use rollbook_aggregates::values::{CompanyId, UserId, UserType};
use serde::{Deserialize, Serialize};

use super::Hashed;
use crate::convert::NewUser;
use crate::executor::{Plan, Unit};
use crate::failure::Outcome;
use crate::tokens;

/// A user, as a command left it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserOutcome {
    /// Which.
    pub user: UserId,
    /// Its revision then.
    pub revision: u64,
}

/// A command on a user that is there.
pub struct OnUser<C> {
    /// Which user.
    pub user: UserId,
    /// What to do.
    pub command: C,
}

impl<C> OnUser<C>
where
    C: Decide<Aggregate = User> + Clone + Send + Sync,
{
    pub(super) async fn decide(&self, unit: &mut Unit<'_>) -> Outcome<UserOutcome> {
        let id = self.user.to_string();
        unit.account().await?;
        let user = unit.load::<User>(&id).await?;
        if user.account_id() == Some(&unit.order().account_id) {
            unit.expect_revision::<User>(&id)?;
        }
        unit.decide(&id, self.command.clone()).await?;
        Ok(UserOutcome {
            user: self.user,
            revision: unit.revision::<User>(&id),
        })
    }
}

impl<C> Plan for OnUser<C>
where
    C: Decide<Aggregate = User> + Clone + Send + Sync,
{
    type Outcome = UserOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<UserOutcome> {
        self.decide(unit).await
    }
}

/// Deletes a user, and ends its accesses to other accounts in the same commit (R26).
pub struct DeletePlan(pub OnUser<DeleteUser>);

impl Plan for DeletePlan {
    type Outcome = UserOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<UserOutcome> {
        let outcome = self.0.decide(unit).await?;
        for access in unit.accesses_of(self.0.user).await? {
            if let Some(key) = access.key() {
                unit.decide(&key.to_string(), EraseAccess).await?;
            }
        }
        Ok(outcome)
    }
}

/// Deactivates a user, and tells who still has it as supervisor.
pub struct DeactivatePlan(pub OnUser<DeactivateUser>);

/// A deactivated user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeactivatedUser {
    /// Which.
    pub user: UserOutcome,
    /// Who still has it as supervisor: the company, how many, and the first of them.
    pub supervised: Vec<(CompanyId, u64, Vec<String>)>,
}

impl Plan for DeactivatePlan {
    type Outcome = DeactivatedUser;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<DeactivatedUser> {
        let outcome = self.0.decide(unit).await?;
        let user = unit.load::<User>(&self.0.user.to_string()).await?;
        let companies: Vec<CompanyId> = user
            .person()
            .map(|person| person.companies().keys().copied().collect())
            .unwrap_or_default();
        let claims: Vec<Claim> = companies
            .iter()
            .map(|company| Claim::Supervises {
                supervisor: self.0.user,
                company: *company,
            })
            .collect();
        let holders = unit.holders(&claims).await?;
        let supervised = companies.into_iter().zip(holders);
        Ok(DeactivatedUser {
            user: outcome,
            supervised: supervised
                .filter(|(_, holders)| holders.count > 0)
                .map(|(company, holders)| (company, holders.count, holders.owners))
                .collect(),
        })
    }
}

/// Creates a user.
pub struct CreateUserPlan {
    /// The id it is to have.
    pub user: UserId,
    /// What it is made of.
    pub new: NewUser,
    /// Its password.
    pub hashed: Hashed,
}

impl CreateUserPlan {
    /// One that creates this user under this id.
    #[must_use]
    pub fn new(user: UserId, new: NewUser) -> Self {
        Self {
            user,
            hashed: Hashed::later(new.password.clone()),
            new,
        }
    }

    pub(super) async fn stage<C>(&self, unit: &mut Unit<'_>, create: C) -> Outcome<()>
    where
        C: Decide<Aggregate = User>,
    {
        let id = self.user.to_string();
        unit.make::<User>(&id);
        unit.decide(&id, create).await?;
        self.hashed.keep(unit, self.user).await
    }

    /// Stages it as the field `user` of a request.
    pub(super) async fn stage_user<C>(&self, unit: &mut Unit<'_>, create: C) -> Outcome<UserOutcome>
    where
        C: Decide<Aggregate = User>,
    {
        self.stage(unit, create)
            .await
            .map_err(|failure| failure.within("user"))?;
        Ok(UserOutcome {
            user: self.user,
            revision: unit.revision::<User>(&self.user.to_string()),
        })
    }

    /// The command, as it is for this unit of work.
    pub(super) fn create(&self, unit: &Unit<'_>) -> CreateUser {
        let executor = unit.executor();
        let welcome = self.new.welcome.then(|| Link {
            token_digest: tokens::welcome(&executor.log, self.user, 1).digest(),
            by_mail: executor.mail,
        });
        self.new.create(self.user, welcome)
    }
}

/// Creates a user with the rights of another (R9).
pub struct CopyUserPlan {
    /// The new user.
    pub create: CreateUserPlan,
    /// Whose rights it is to have.
    pub source: UserId,
    /// Its type, where it is not the source's.
    pub user_type: Option<UserType>,
}

impl Plan for CopyUserPlan {
    type Outcome = UserOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<UserOutcome> {
        unit.account().await?;
        let source = unit.load::<User>(&self.source.to_string()).await?;
        let create = self.create.create(unit);
        let copy = CopyUser::of(self.source, &source, create, self.user_type);
        self.create.stage_user(unit, copy).await
    }
}

impl Plan for CreateUserPlan {
    type Outcome = UserOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<UserOutcome> {
        unit.account().await?;
        let create = self.create(unit);
        self.stage_user(unit, create).await
    }
}
