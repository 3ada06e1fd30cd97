//! What happened to a user, in words.

use rollbook_aggregates::user::{
    Allegiances, Involvement, PasswordState, Person, Profile, UserCompaniesAdded, UserCreated,
    UserEvent,
};
use rollbook_aggregates::values::{CompanyId, UserId};

use super::{Names, changed, grants, involved, joined, kind, optional, personal};

/// Whom the words for an event name: those it says, and those of before it.
#[must_use]
pub fn mentioned(event: &UserEvent, before: Option<&Person>) -> Vec<UserId> {
    match event {
        UserEvent::UserCreated(created) => created.copied_from.into_iter().collect(),
        UserEvent::UserCompaniesAdded(added) => {
            added.companies.iter().map(|link| link.supervisor).collect()
        }
        UserEvent::UserSupervisorChanged(changed) => {
            let earlier = before.and_then(|person| person.companies().get(&changed.company_id));
            let earlier = earlier.map(|properties| properties.supervisor);
            earlier.into_iter().chain([changed.supervisor]).collect()
        }
        _ => Vec::new(),
    }
}

/// What happened to a user, and what it was before.
#[must_use]
pub fn happened(
    event: &UserEvent,
    user: UserId,
    before: Option<&Person>,
    names: &Names,
    at: u64,
) -> String {
    if let Some(involvement) = event.involvement() {
        return work(&involvement, user, names, at);
    }
    let text = match event {
        UserEvent::UserActivated(_) => "was activated: it may sign in",
        UserEvent::UserDeactivated(_) => {
            "was deactivated: it may not sign in, and its sessions ended"
        }
        UserEvent::UserLocked(_) => "was locked by an administrator, and its sessions ended",
        UserEvent::UserUnlocked(_) => "was unlocked",
        UserEvent::UserDeleted(_) => "was deleted for good, and its personal data erased",
        UserEvent::PasswordSet(set) if set.one_time => {
            "was given a password that is good for one sign-in"
        }
        UserEvent::PasswordSet(_) => "was given a password",
        UserEvent::PasswordChanged(_) => "changed its password",
        UserEvent::PasswordExpired(_) => "has a password that became too old and must be changed",
        UserEvent::MfaEnrolled(_) => "enrolled a second factor",
        UserEvent::MfaReset(_) => "had its second factor cleared",
        UserEvent::WelcomeCompleted(completed) => match completed.password {
            PasswordState::None => "completed its onboarding",
            PasswordState::Set | PasswordState::OneTime => {
                "completed its onboarding and chose a password"
            }
        },
        UserEvent::PasswordResetCompleted(_) => "reset its password by the link it was sent",
        UserEvent::UserAutoLocked(_) => {
            "was locked by the system after too many wrong passwords, and its sessions ended"
        }
        UserEvent::UserLockExpired(_) => {
            "was released from the lock of the system, whose time was over"
        }
        UserEvent::SessionsRevoked(_) => "had its sessions ended",
        other => return with_values(other, before, names, at),
    };
    text.to_owned()
}

fn work(involvement: &Involvement<'_>, user: UserId, names: &Names, at: u64) -> String {
    involved(involvement, names, Some(user), at)
}

/// What says which values it had before and has now.
fn with_values(event: &UserEvent, before: Option<&Person>, names: &Names, at: u64) -> String {
    let profile = before.map(Person::profile);
    match event {
        UserEvent::UserCreated(created) => was_created(created, names, at),
        UserEvent::WelcomeIssued(issued) => format!(
            "was sent its first-sign-in link no. {}, good for {} days{}",
            issued.issue,
            issued.validity_days.days(),
            mailed(issued.by_mail)
        ),
        UserEvent::WelcomeExpired(expired) => {
            format!(
                "did not use its first-sign-in link no. {} in time",
                expired.issue
            )
        }
        UserEvent::PasswordResetRequested(requested) => format!(
            "was sent reset link no. {}, good for {} minutes{}",
            requested.issue,
            requested.valid_minutes,
            mailed(requested.by_mail)
        ),
        UserEvent::PasswordResetExpired(expired) => {
            format!("did not use reset link no. {} in time", expired.issue)
        }
        UserEvent::UserTypeChanged(to) => changed(
            "its type",
            before.map(|person| kind(person.user_type()).to_owned()),
            kind(to.user_type),
        ),
        UserEvent::UserRolesSet(set) => changed(
            "its roles",
            before.map(|person| joined(person.roles())),
            &joined(&set.roles),
        ),
        UserEvent::UserPermissionsSet(set) => changed(
            "its grants",
            before.map(|person| grants(person.permissions(), names, at)),
            &grants(&set.permissions, names, at),
        ),
        other => match of_profile(other, profile, names) {
            Some(text) => text,
            None => of_companies(other, before, names, at),
        },
    }
}

const fn mailed(by_mail: bool) -> &'static str {
    if by_mail { ", by mail" } else { "" }
}

fn was_created(created: &UserCreated, names: &Names, at: u64) -> String {
    let state = if created.active { "active" } else { "inactive" };
    let password = match created.password {
        PasswordState::None => "",
        PasswordState::Set => ", with a password",
        PasswordState::OneTime => ", with a password that is good for one sign-in",
    };
    let invited = match created.invitation_id {
        Some(invitation) => format!(", by accepting invitation {invitation}"),
        None => String::new(),
    };
    let copied = match created.copied_from {
        Some(source) => format!(", with the rights of {}", names.user(source, at)),
        None => String::new(),
    };
    let disclose = names.disclose();
    format!(
        "was created as {state} {}: {} ({} {}){password}{invited}{copied}",
        kind(created.user_type),
        personal(&created.signature, disclose),
        personal(&created.first_name, disclose),
        personal(&created.last_name, disclose),
    )
}

/// What changed of the information of a user.
fn of_profile(event: &UserEvent, before: Option<&Profile>, names: &Names) -> Option<String> {
    let show = names.disclose();
    Some(match event {
        UserEvent::UserRenamed(to) => changed(
            "its name",
            before.map(|before| {
                let (first, last) = (&before.first_name, &before.last_name);
                format!("{} {}", personal(first, show), personal(last, show))
            }),
            &format!(
                "{} {}",
                personal(&to.first_name, show),
                personal(&to.last_name, show)
            ),
        ),
        UserEvent::UserSignatureChanged(to) => changed(
            "its signature",
            before.map(|before| personal(&before.signature, show)),
            &personal(&to.signature, show),
        ),
        UserEvent::UserEmailChanged(to) => changed(
            "its e-mail address",
            before.map(|before| personal(&before.email, show)),
            &personal(&to.email, show),
        ),
        UserEvent::UserPhoneChanged(to) => changed(
            "its phone",
            before.map(|before| optional(before.phone.as_ref(), show)),
            &optional(to.phone.as_ref(), show),
        ),
        UserEvent::UserMobilePhoneChanged(to) => changed(
            "its mobile phone",
            before.map(|before| optional(before.mobile_phone.as_ref(), show)),
            &optional(to.mobile_phone.as_ref(), show),
        ),
        UserEvent::UserLanguageChanged(to) => changed(
            "its language",
            before.map(|before| joined(&before.language)),
            &joined(&to.language),
        ),
        _ => return None,
    })
}

/// What changed of a user in its companies.
fn of_companies(event: &UserEvent, before: Option<&Person>, names: &Names, at: u64) -> String {
    let in_company = |company: CompanyId| {
        let properties = before.and_then(|person| person.companies().get(&company));
        (names.company(company, at), properties)
    };
    match event {
        UserEvent::UserCompaniesAdded(added) => was_linked(added, before, names, at),
        UserEvent::UserCompaniesRemoved(removed) => {
            let companies = removed.company_ids.iter();
            let companies = joined(companies.map(|company| names.company(*company, at)));
            format!("was unlinked from {companies}")
        }
        UserEvent::UserSupervisorChanged(to) => {
            let (company, earlier) = in_company(to.company_id);
            changed(
                &format!("its supervisor in {company}"),
                earlier.map(|properties| names.user(properties.supervisor, at)),
                &names.user(to.supervisor, at),
            )
        }
        UserEvent::UserShownAsAddressee(to) => {
            let (company, _) = in_company(to.company_id);
            if to.shown {
                format!("is shown as addressee in {company} from now on")
            } else {
                format!("is not shown as addressee in {company} any more")
            }
        }
        UserEvent::UserAllegiancesSet(to) => {
            let (company, earlier) = in_company(to.company_id);
            changed(
                &format!("its allegiances in {company}"),
                earlier.map(|properties| allegiances(&properties.allegiances)),
                &allegiances(&to.allegiances),
            )
        }
        // Said above.
        _ => String::new(),
    }
}

fn was_linked(
    added: &UserCompaniesAdded,
    before: Option<&Person>,
    names: &Names,
    at: u64,
) -> String {
    let own = before.map(Person::id);
    let link = |link: &rollbook_aggregates::user::LinkedCompany| {
        let supervisor = if Some(link.supervisor) == own {
            "its own supervisor".to_owned()
        } else {
            format!("supervisor {}", names.user(link.supervisor, at))
        };
        let shown = if link.show_as_addressee {
            ", shown as addressee"
        } else {
            ""
        };
        let stands_for = if link.allegiances.is_empty() {
            String::new()
        } else {
            format!(", {}", allegiances(&link.allegiances))
        };
        let company = names.company(link.company_id, at);
        format!("{company} ({supervisor}{shown}{stands_for})")
    };
    format!("was linked to {}", joined(added.companies.iter().map(link)))
}

fn allegiances(allegiances: &Allegiances) -> String {
    format!(
        "coding {}, routing {}",
        joined(&allegiances.coding),
        joined(&allegiances.routing)
    )
}
