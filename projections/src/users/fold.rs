//! How the rows of users follow from what happened to them.

use rollbook_aggregates::domain::Personal;
use rollbook_aggregates::signin::SignInEvent;
use rollbook_aggregates::user::{PasswordState, UserCompaniesAdded, UserCreated, UserEvent};
use rollbook_aggregates::values::{EmailAddress, PersonName, RoleName, Signature, UserId};
use rusqlite::types::ToSql;
use rusqlite::{Connection, params};

use crate::columns::Coded;
use crate::event::Folded;
use crate::text::sort_key;
use crate::users::{numbers, routing};
use crate::view::FoldError;

/// `OR FAIL` here and below: where a fold fails its whole transaction is undone, so no statement needs a journal of its own to
/// undo itself with, which would copy every page that it changes.
const INSERT_USER: &str = "
    INSERT OR FAIL INTO users (
        user_id, revision, position, created_at, modified_at, sessions_valid_from, account_id,
        signature, signature_folded, signature_key,
        first_name, first_name_key,
        last_name, last_name_key,
        email, email_folded, email_key,
        phone, mobile_phone, language, user_type, active, new_password, onboarded, password_set_at,
        number
    )
    VALUES (
        ?1, ?2, ?3, ?4, ?4, ?4, ?5,
        ?6, ?7, ?8,
        ?9, ?10,
        ?11, ?12,
        ?13, ?14, ?15,
        ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24
    )";

/// An event that needs the user and changes nothing of it.
const ADVANCE: &str = "
    UPDATE OR FAIL users
    SET revision = ?2, position = ?3
    WHERE user_id = ?1 AND NOT external";

/// A change of a user, with the columns it sets from `?5` on. It shows in every account that the user has access to: what is
/// of the home account alone is kept from changing there, and the revision is that of the access.
macro_rules! change {
    ($columns:literal) => {
        concat!(
            "
    UPDATE OR FAIL users
    SET ",
            $columns,
            " revision = iif(external, revision, ?2), position = ?3, modified_at = ?4
    WHERE user_id = ?1"
        )
    };
}

const TOUCH: &str = change!("");
const ACTIVATE: &str = change!("active = TRUE,");
const DEACTIVATE: &str = change!("active = FALSE, sessions_valid_from = ?4,");
const LOCK: &str = change!("locked = TRUE, sessions_valid_from = ?4,");
const UNLOCK: &str = change!("locked = FALSE, auto_locked_at = NULL,");
const AUTO_LOCK: &str = change!("auto_locked_at = ?4, sessions_valid_from = ?4,");
const END_AUTO_LOCK: &str = change!("auto_locked_at = NULL,");
const REVOKE_SESSIONS: &str = change!("sessions_valid_from = ?4,");
const TAKE_PASSWORD: &str = change!(
    "new_password = ?5, password_set_at = ?6, reset_until = NULL, sessions_valid_from = ?4,"
);
const TAKE_FIRST_PASSWORD: &str = change!(
    "new_password = ?5, password_set_at = ?6, reset_until = NULL, sessions_valid_from = ?4,
        onboarded = TRUE,"
);
const EXPIRE_PASSWORD: &str = change!("new_password = TRUE,");
const REQUEST_RESET: &str = change!("reset_until = ?5,");
const EXPIRE_RESET: &str = change!("reset_until = NULL,");
const SET_SECOND_FACTOR: &str = change!("second_factor = ?5,");
const RENAME: &str =
    change!("first_name = ?5, first_name_key = ?6, last_name = ?7, last_name_key = ?8,");
const SET_SIGNATURE: &str = change!("signature = ?5, signature_folded = ?6, signature_key = ?7,");
const SET_EMAIL: &str = change!("email = ?5, email_folded = ?6, email_key = ?7,");
const SET_PHONE: &str = change!("phone = iif(external, phone, ?5),");
const SET_MOBILE_PHONE: &str = change!("mobile_phone = iif(external, mobile_phone, ?5),");
const SET_LANGUAGE: &str = change!("language = ?5,");
const SET_USER_TYPE: &str = change!("user_type = iif(external, user_type, ?5),");
const SET_ROLES: &str =
    change!("roles = iif(external, roles, ?5), first_role = iif(external, first_role, ?6),");
const SET_PERMISSIONS: &str = change!("permissions = iif(external, permissions, ?5),");
const COUNT_COMPANIES: &str = change!(
    "companies = iif(external, companies, (
        SELECT count(*)
        FROM user_companies
        WHERE user_companies.user_id = ?1
    )),"
);

const DELETE_ROLES: &str = "
    DELETE FROM user_roles
    WHERE user_id = ?1";

const INSERT_ROLE: &str = "
    INSERT INTO user_roles (user_id, account_id, role)
    VALUES (?1, ?2, ?3)";

const PUT_COMPANY: &str = "
    INSERT OR REPLACE INTO user_companies
        (user_id, company_id, supervisor, show_as_addressee, allegiances, signature_key)
    SELECT ?1, ?2, ?3, ?4, ?5, signature_key
    FROM users
    WHERE user_id = ?1 AND NOT external";

/// A company's list goes by signature without looking beside its links.
const SIGN_COMPANIES: &str = "
    UPDATE OR FAIL user_companies
    SET signature_key = ?2
    WHERE user_id = ?1";

const DELETE_COMPANY: &str = "
    DELETE FROM user_companies
    WHERE user_id = ?1 AND company_id = ?2";

const DELETE_COMPANIES: &str = "
    DELETE FROM user_companies
    WHERE user_id = ?1";

const SET_SUPERVISOR: &str = "
    UPDATE OR FAIL user_companies
    SET supervisor = ?3
    WHERE user_id = ?1 AND company_id = ?2";

const SET_SHOWN: &str = "
    UPDATE OR FAIL user_companies
    SET show_as_addressee = ?3
    WHERE user_id = ?1 AND company_id = ?2";

const SET_ALLEGIANCES: &str = "
    UPDATE OR FAIL user_companies
    SET allegiances = ?3
    WHERE user_id = ?1 AND company_id = ?2";

const REMEMBER_DELETED: &str = "
    INSERT INTO deleted_users (user_id, account_id, created_at, deleted_at, revision, position)
    SELECT user_id, account_id, created_at, ?4, ?2, ?3
    FROM users
    WHERE user_id = ?1 AND NOT external";

const DELETE_USER: &str = "
    DELETE FROM users
    WHERE user_id = ?1";

/// Signing in needs the user and changes nothing else of it.
const SIGN_IN: &str = "
    UPDATE OR FAIL users
    SET last_signed_in_at = ?2
    WHERE user_id = ?1";

pub(super) fn sign_in(
    tables: &Connection,
    folded: &Folded,
    user: UserId,
    event: &SignInEvent,
) -> Result<(), FoldError> {
    match event {
        SignInEvent::SignedIn(_) => {
            tables
                .prepare_cached(SIGN_IN)?
                .execute(params![user.as_uuid().into_bytes(), folded.micros()])?;
            Ok(())
        }
    }
}

pub(super) fn fold(
    tables: &Connection,
    folded: &Folded,
    user: UserId,
    event: &UserEvent,
) -> Result<(), FoldError> {
    let change = Change {
        tables,
        folded,
        user: user.as_uuid().into_bytes(),
    };
    if event.is_involvement() {
        change.run(
            ADVANCE,
            params![change.user, change.revision(), change.position()],
        )?;
        return Ok(());
    }
    match event {
        UserEvent::UserCreated(created) => change.create(created),
        UserEvent::UserDeleted(_) => change.delete(),
        UserEvent::UserRolesSet(set) => change.set_roles(set.roles.iter().map(RoleName::as_str)),
        UserEvent::UserPermissionsSet(set) => change.set(
            SET_PERMISSIONS,
            &[&serde_json::to_string(&set.permissions)?],
        ),
        UserEvent::UserCompaniesAdded(added) => change.add_companies(added),
        UserEvent::UserCompaniesRemoved(removed) => {
            for company in &removed.company_ids {
                routing::remove(tables, change.user, *company)?;
                change.run(
                    DELETE_COMPANY,
                    params![change.user, company.as_uuid().into_bytes()],
                )?;
            }
            change.set(COUNT_COMPANIES, &[])
        }
        UserEvent::UserSupervisorChanged(changed) => {
            let (company, supervisor) =
                (changed.company_id.as_uuid(), changed.supervisor.as_uuid());
            change.run(
                SET_SUPERVISOR,
                params![change.user, company.into_bytes(), supervisor.into_bytes()],
            )?;
            change.set(TOUCH, &[])
        }
        UserEvent::UserShownAsAddressee(shown) => {
            change.run(
                SET_SHOWN,
                params![
                    change.user,
                    shown.company_id.as_uuid().into_bytes(),
                    shown.shown
                ],
            )?;
            change.set(TOUCH, &[])
        }
        UserEvent::UserAllegiancesSet(set) => {
            routing::set(tables, change.user, set.company_id, &set.allegiances)?;
            change.run(
                SET_ALLEGIANCES,
                params![
                    change.user,
                    set.company_id.as_uuid().into_bytes(),
                    serde_json::to_string(&set.allegiances)?
                ],
            )?;
            change.set(TOUCH, &[])
        }
        other => change.set_facet(other),
    }
}

/// A change of one user by one event.
struct Change<'a> {
    tables: &'a Connection,
    folded: &'a Folded,
    user: [u8; 16],
}

impl Change<'_> {
    fn run(&self, sql: &'static str, params: &[&dyn ToSql]) -> rusqlite::Result<usize> {
        self.tables.prepare_cached(sql)?.execute(params)
    }

    fn revision(&self) -> u64 {
        self.folded.recorded.revision
    }

    fn position(&self) -> u64 {
        self.folded.recorded.position
    }

    /// Runs one of the changes above with the values it sets.
    fn set(&self, sql: &'static str, values: &[&dyn ToSql]) -> Result<(), FoldError> {
        let (revision, position, at) = (self.revision(), self.position(), self.folded.micros());
        let mut params: Vec<&dyn ToSql> = vec![&self.user, &revision, &position, &at];
        params.extend(values);
        self.run(sql, &params)?;
        Ok(())
    }

    /// What changes in one row alone.
    fn set_facet(&self, event: &UserEvent) -> Result<(), FoldError> {
        match event {
            UserEvent::UserActivated(_) => self.set(ACTIVATE, &[]),
            UserEvent::UserDeactivated(_) => self.set(DEACTIVATE, &[]),
            UserEvent::UserLocked(_) => self.set(LOCK, &[]),
            UserEvent::UserUnlocked(_) => self.set(UNLOCK, &[]),
            UserEvent::UserRenamed(renamed) => {
                let (first, last) = (name(&renamed.first_name), name(&renamed.last_name));
                self.set(RENAME, &[&first.0, &first.1, &last.0, &last.1])
            }
            UserEvent::UserSignatureChanged(changed) => {
                let signature = signature(&changed.signature);
                self.run(SIGN_COMPANIES, params![self.user, signature.2])?;
                self.set(SET_SIGNATURE, &[&signature.0, &signature.1, &signature.2])
            }
            UserEvent::UserEmailChanged(changed) => {
                let email = email(&changed.email);
                self.set(SET_EMAIL, &[&email.0, &email.1, &email.2])
            }
            UserEvent::UserPhoneChanged(changed) => {
                self.set(SET_PHONE, &[&known(changed.phone.as_ref())])
            }
            UserEvent::UserMobilePhoneChanged(changed) => {
                self.set(SET_MOBILE_PHONE, &[&known(changed.mobile_phone.as_ref())])
            }
            UserEvent::UserLanguageChanged(changed) => self.set(
                SET_LANGUAGE,
                &[&changed.language.as_ref().map(ToString::to_string)],
            ),
            UserEvent::UserTypeChanged(changed) => {
                self.set(SET_USER_TYPE, &[&changed.user_type.code()])
            }
            other => self.set_credentials(other),
        }
    }

    /// What changes of passwords, links and sessions.
    fn set_credentials(&self, event: &UserEvent) -> Result<(), FoldError> {
        match event {
            UserEvent::UserAutoLocked(_) => self.set(AUTO_LOCK, &[]),
            UserEvent::UserLockExpired(_) => self.set(END_AUTO_LOCK, &[]),
            UserEvent::SessionsRevoked(_) => self.set(REVOKE_SESSIONS, &[]),
            UserEvent::PasswordSet(set) => {
                let at = self.folded.micros();
                self.set(TAKE_FIRST_PASSWORD, &[&set.one_time, &at])
            }
            UserEvent::PasswordChanged(_) | UserEvent::PasswordResetCompleted(_) => {
                let at = self.folded.micros();
                self.set(TAKE_PASSWORD, &[&false, &at])
            }
            UserEvent::WelcomeCompleted(completed) => {
                let (new_password, set_at) = self.password(completed.password);
                self.set(TAKE_FIRST_PASSWORD, &[&new_password, &set_at])
            }
            UserEvent::PasswordExpired(_) => self.set(EXPIRE_PASSWORD, &[]),
            UserEvent::PasswordResetRequested(requested) => {
                let until = self.folded.recorded.recorded_at + requested.validity();
                self.set(REQUEST_RESET, &[&until.timestamp_micros()])
            }
            UserEvent::PasswordResetExpired(_) => self.set(EXPIRE_RESET, &[]),
            UserEvent::MfaEnrolled(_) => self.set(SET_SECOND_FACTOR, &[&true]),
            UserEvent::MfaReset(_) => self.set(SET_SECOND_FACTOR, &[&false]),
            UserEvent::WelcomeIssued(_) | UserEvent::WelcomeExpired(_) => self.set(TOUCH, &[]),
            // Folded above.
            UserEvent::UserCreated(_)
            | UserEvent::UserDeleted(_)
            | UserEvent::UserActivated(_)
            | UserEvent::UserDeactivated(_)
            | UserEvent::UserLocked(_)
            | UserEvent::UserUnlocked(_)
            | UserEvent::UserRenamed(_)
            | UserEvent::UserSignatureChanged(_)
            | UserEvent::UserEmailChanged(_)
            | UserEvent::UserPhoneChanged(_)
            | UserEvent::UserMobilePhoneChanged(_)
            | UserEvent::UserLanguageChanged(_)
            | UserEvent::UserTypeChanged(_)
            | UserEvent::UserRolesSet(_)
            | UserEvent::UserPermissionsSet(_)
            | UserEvent::UserCompaniesAdded(_)
            | UserEvent::UserCompaniesRemoved(_)
            | UserEvent::UserSupervisorChanged(_)
            | UserEvent::UserShownAsAddressee(_)
            | UserEvent::UserAllegiancesSet(_)
            | UserEvent::InvoiceQueued(_)
            | UserEvent::InvoiceDequeued(_)
            | UserEvent::InvoiceReviewed(_)
            | UserEvent::InvoiceReviewRetracted(_)
            | UserEvent::InvoiceSettled(_)
            | UserEvent::FlowTemplateLinked(_)
            | UserEvent::FlowTemplateUnlinked(_)
            | UserEvent::ReferenceLinked(_)
            | UserEvent::ReferenceUnlinked(_) => Ok(()),
        }
    }

    fn create(&self, created: &UserCreated) -> Result<(), FoldError> {
        let signature = signature(&created.signature);
        let first_name = name(&created.first_name);
        let last_name = name(&created.last_name);
        let email = email(&created.email);
        let (new_password, password_set_at) = self.password(created.password);
        let number = numbers::next(self.tables, &self.folded.recorded.account_id)?;
        self.set(
            INSERT_USER,
            &[
                &self.folded.recorded.account_id,
                &signature.0,
                &signature.1,
                &signature.2,
                &first_name.0,
                &first_name.1,
                &last_name.0,
                &last_name.1,
                &email.0,
                &email.1,
                &email.2,
                &known(created.phone.as_ref()),
                &known(created.mobile_phone.as_ref()),
                &created.language.as_ref().map(ToString::to_string),
                &created.user_type.code(),
                &created.active,
                &new_password,
                &created.onboarded,
                &password_set_at,
                &number,
            ],
        )
    }

    /// Whether a password that is taken now must be changed, and when it was set.
    fn password(&self, password: PasswordState) -> (bool, Option<i64>) {
        let at = self.folded.micros();
        match password {
            PasswordState::None => (false, None),
            PasswordState::Set => (false, Some(at)),
            PasswordState::OneTime => (true, Some(at)),
        }
    }

    fn delete(&self) -> Result<(), FoldError> {
        let (revision, position, at) = (self.revision(), self.position(), self.folded.micros());
        self.run(REMEMBER_DELETED, params![self.user, revision, position, at])?;
        routing::remove_all(self.tables, self.user)?;
        for delete in [DELETE_ROLES, DELETE_COMPANIES, DELETE_USER] {
            self.run(delete, params![self.user])?;
        }
        Ok(())
    }

    fn set_roles<'a>(&self, roles: impl Iterator<Item = &'a str>) -> Result<(), FoldError> {
        let roles: Vec<&str> = roles.collect();
        self.run(DELETE_ROLES, params![self.user])?;
        for role in &roles {
            self.run(
                INSERT_ROLE,
                params![self.user, self.folded.recorded.account_id, role],
            )?;
        }
        let first = roles.first().copied().unwrap_or_default();
        self.set(SET_ROLES, &[&serde_json::to_string(&roles)?, &first])
    }

    fn add_companies(&self, added: &UserCompaniesAdded) -> Result<(), FoldError> {
        for company in &added.companies {
            let supervisor = company.supervisor.as_uuid().into_bytes();
            let link = params![
                self.user,
                company.company_id.as_uuid().into_bytes(),
                supervisor,
                company.show_as_addressee,
                serde_json::to_string(&company.allegiances)?
            ];
            self.run(PUT_COMPANY, link)?;
            let (user, allegiances) = (self.user, &company.allegiances);
            routing::set(self.tables, user, company.company_id, allegiances)?;
        }
        self.set(COUNT_COMPANIES, &[])
    }
}

/// A personal text; empty where it was erased, until the deletion that erased it is folded too.
fn known<T: ToString>(text: Option<&Personal<T>>) -> Option<String> {
    text.map(|text| text.known().map(ToString::to_string).unwrap_or_default())
}

/// A name with its sort key.
fn name(name: &Personal<PersonName>) -> (&str, String) {
    let name = name.known().map_or("", PersonName::as_str);
    (name, sort_key(name))
}

/// A signature, folded, and its sort key.
fn signature(signature: &Personal<Signature>) -> (&str, String, String) {
    let folded = signature
        .known()
        .map(|signature| signature.folded().to_string())
        .unwrap_or_default();
    let key = sort_key(&folded);
    (signature.known().map_or("", Signature::as_str), folded, key)
}

/// An e-mail address, folded, and its sort key.
fn email(email: &Personal<EmailAddress>) -> (&str, String, String) {
    let folded = email
        .known()
        .map(|email| email.folded().to_string())
        .unwrap_or_default();
    let key = sort_key(&folded);
    (email.known().map_or("", EmailAddress::as_str), folded, key)
}
