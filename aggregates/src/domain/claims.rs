//! Claims: what an aggregate holds in its account, kept by the store in the same transaction as the events.

use std::collections::BTreeSet;

use super::InvoiceKey;
use crate::values::{CompanyId, Folded, Login, ModuleName, RoleName, UserId};

/// Something in an account that an aggregate can hold. The account is the aggregate's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// Has this signature, now or formerly. Never released: it outlives the user.
    Signature(Folded),
    /// Has this e-mail address.
    Email(Folded),
    /// Is an administrator who can act, and at home in the account.
    Administrator,
    /// Is an administrator who could act, were it not for a lock of the system, which may be over by the clock.
    LockedAdministrator,
    /// Is an administrator by an access, and at home in another account.
    ExternalAdministrator,
    /// Has, or had, access to the account that is the owner. Asked over all accounts: it is held in none.
    ExternalAccess(UserId),
    /// Has `supervisor`, who is somebody else, as supervisor in `company`.
    Supervises {
        /// The nearest manager.
        supervisor: UserId,
        /// Where.
        company: CompanyId,
    },
    /// Is linked to this company, or has a grant in it.
    CompanyMember(CompanyId),
    /// Holds this role.
    RoleHolder(RoleName),
    /// Has a grant on this module.
    ModuleHolder(ModuleName),
    /// Has a grant on this module and is a STANDARD user.
    StandardModuleHolder(ModuleName),
    /// Offers this address to become a user.
    InvitedAddress(Folded),
    /// Has reviewed or attested this invoice, which is not settled.
    Reviewer(InvoiceKey),
}

/// The key of a claim as text, told apart by whether it may be stored in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimKeyText {
    /// May be stored as it is.
    Plain(String),
    /// Is personal, and stored as a keyed hash only.
    Personal(String),
}

impl Claim {
    /// The kind of [`Claim::Email`].
    pub const EMAIL: &'static str = "email";

    /// The kind of [`Claim::Signature`].
    pub const SIGNATURE: &'static str = "signature";

    /// The name of its kind, as the store keeps it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Signature(_) => Self::SIGNATURE,
            Self::Email(_) => Self::EMAIL,
            Self::Administrator => "administrator",
            Self::LockedAdministrator => "locked-administrator",
            Self::ExternalAdministrator => "external-administrator",
            Self::ExternalAccess(_) => "external-access",
            Self::Supervises { .. } => "supervises",
            Self::CompanyMember(_) => "company-member",
            Self::RoleHolder(_) => "role-holder",
            Self::ModuleHolder(_) => "module-holder",
            Self::StandardModuleHolder(_) => "standard-module-holder",
            Self::InvitedAddress(_) => "invited-address",
            Self::Reviewer(_) => "reviewer",
        }
    }

    /// Its key within its kind.
    #[must_use]
    pub fn key(&self) -> ClaimKeyText {
        match self {
            Self::Signature(text) | Self::Email(text) | Self::InvitedAddress(text) => {
                ClaimKeyText::Personal(text.as_str().to_owned())
            }
            Self::Administrator | Self::LockedAdministrator | Self::ExternalAdministrator => {
                ClaimKeyText::Plain(String::new())
            }
            Self::ExternalAccess(user) => ClaimKeyText::Plain(user.to_string()),
            Self::Supervises {
                supervisor,
                company,
            } => ClaimKeyText::Plain(format!("{supervisor}/{company}")),
            Self::CompanyMember(company) => ClaimKeyText::Plain(company.to_string()),
            Self::RoleHolder(role) => ClaimKeyText::Plain(role.to_string()),
            Self::ModuleHolder(module) | Self::StandardModuleHolder(module) => {
                ClaimKeyText::Plain(module.to_string())
            }
            Self::Reviewer(invoice) => {
                ClaimKeyText::Plain(format!("{}/{}", invoice.company_id, invoice.invoice_id))
            }
        }
    }

    /// Whether only one may hold it, in an account with this login.
    #[must_use]
    pub fn is_exclusive(&self, login: Login) -> bool {
        match self {
            Self::Signature(_) | Self::InvitedAddress(_) => true,
            Self::Email(_) => login == Login::Email,
            Self::Administrator
            | Self::LockedAdministrator
            | Self::ExternalAdministrator
            | Self::ExternalAccess(_)
            | Self::Supervises { .. }
            | Self::CompanyMember(_)
            | Self::RoleHolder(_)
            | Self::ModuleHolder(_)
            | Self::StandardModuleHolder(_)
            | Self::Reviewer(_) => false,
        }
    }

    /// Whether it is held in no account, so that it is found from every one.
    #[must_use]
    pub const fn spans_accounts(&self) -> bool {
        matches!(self, Self::ExternalAccess(_))
    }

    /// Whether it stays held when the state no longer asks for it (R4).
    pub(crate) const fn is_kept_for_good(&self) -> bool {
        matches!(self, Self::Signature(_))
    }
}

/// A claim and who holds it: the id of a user, an invitation or an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// What is held.
    pub claim: Claim,
    /// By whom.
    pub owner: String,
}

/// Who holds a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// How many do.
    pub count: u64,
    /// The first of them, in ascending order; all of them unless there are more than the store tells.
    pub owners: Vec<String>,
}

/// What must be true of the claims at the moment of the commit, before its own takes and releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requires {
    /// Nobody holds it.
    Free(Claim),
    /// Nobody but `owner` holds it.
    FreeBut {
        /// What.
        claim: Claim,
        /// Who may.
        owner: String,
    },
    /// `owner` holds it.
    HeldBy {
        /// What.
        claim: Claim,
        /// Who must.
        owner: String,
    },
    /// Somebody other than `owner` holds it.
    Another {
        /// What.
        claim: Claim,
        /// Who does not count.
        owner: String,
    },
    /// Exactly these hold it.
    Exactly {
        /// What.
        claim: Claim,
        /// Who must, and nobody else.
        owners: BTreeSet<String>,
    },
    /// No key of this kind has two owners. Where one has, the holders are those who share.
    Unshared {
        /// The kind of claim.
        kind: &'static str,
    },
}
