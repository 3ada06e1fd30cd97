//! The domain's claims and requirements as rows of the store.

use rollbook_aggregates::domain::{Claim, ClaimKeyText, Guards, Held, Holders, Requires};
use rollbook_aggregates::values::AccountId;
use rollbook_eventstore as store;

pub(super) fn claim(account: &AccountId, claim: &Claim) -> store::Claim {
    store::Claim {
        account_id: if claim.spans_accounts() {
            String::new()
        } else {
            account.to_string()
        },
        kind: claim.kind().to_owned(),
        key: match claim.key() {
            ClaimKeyText::Plain(key) => store::ClaimKey::Plain(key),
            ClaimKeyText::Personal(key) => store::ClaimKey::Personal(key),
        },
    }
}

pub(super) fn held(account: &AccountId, held: &Held) -> store::HeldClaim {
    store::HeldClaim {
        claim: claim(account, &held.claim),
        owner: held.owner.clone(),
    }
}

pub(super) fn requirement(account: &AccountId, requires: &Requires) -> store::Requirement {
    match requires {
        Requires::Free(what) => store::Requirement::Free(claim(account, what)),
        Requires::FreeBut { claim: what, owner } => store::Requirement::FreeBut {
            claim: claim(account, what),
            owner: owner.clone(),
        },
        Requires::HeldBy { claim: what, owner } => store::Requirement::HeldBy {
            claim: claim(account, what),
            owner: owner.clone(),
        },
        Requires::Another { claim: what, owner } => store::Requirement::Another {
            claim: claim(account, what),
            owner: owner.clone(),
        },
        Requires::Exactly {
            claim: what,
            owners,
        } => store::Requirement::Exactly {
            claim: claim(account, what),
            owners: owners.clone(),
        },
        Requires::Unshared { kind } => store::Requirement::Unshared {
            account_id: account.to_string(),
            kind: (*kind).to_owned(),
        },
    }
}

pub(super) fn guards(account: &AccountId, guards: &Guards) -> store::Guards {
    store::Guards {
        account_id: account.to_string(),
        require: guards
            .requires
            .iter()
            .map(|r| requirement(account, r))
            .collect(),
        release: guards.releases.iter().map(|h| held(account, h)).collect(),
        take: guards.takes.iter().map(|h| held(account, h)).collect(),
        forget: guards.forgets,
        side: Vec::new(),
    }
}

pub(super) fn holders(holders: &store::Holders) -> Holders {
    Holders {
        count: holders.count,
        owners: holders.owners.clone(),
    }
}
