//! An account as it might be: who is in it and what they are, all of it following from a seed.

use std::collections::BTreeSet;

use rollbook_aggregates::account::{CreateAccount, Module, Settings};
use rollbook_aggregates::user::{CreateUser, NewCompany, PasswordState};
use rollbook_aggregates::values::{
    AccountId, AccountTitle, CompanyId, CompanyTitle, EmailAddress, InvitationId, LanguageTag,
    ModuleName, ModuleTitle, ParseError, PasswordAuthority, Permission, PersonName, PhoneNumber,
    RoleName, RoleTitle, Signature, UserId, UserType,
};
use uuid::Uuid;

use super::dice::Dice;
use super::names::{self, latin};

/// How many companies an account has; the first are the largest.
const COMPANIES: u64 = 40;
/// How many have the same supervisor.
const REPORTS: u64 = 8;
/// How many users later somebody comes who was invited.
pub const INVITED_BEFORE: u64 = 2_000;

/// The roles of its catalogue.
pub const ROLES: [&str; 6] = [
    "accountant",
    "approver",
    "buyer",
    "auditor",
    "clerk",
    "controller",
];
const MODULES: [&str; 3] = ["archive", "search", "reports"];
const TRADES: [&str; 10] = [
    "nordwind", "seaside", "granit", "lumen", "harbour", "meadow", "ember", "cobalt", "juniper",
    "quarry",
];

/// An account with its users, as a seed has it.
#[derive(Clone, Debug)]
pub struct Town {
    /// The account.
    pub account: AccountId,
    /// What everything follows from.
    pub seed: u64,
    /// About how many events a user has.
    pub events: u32,
}

/// Somebody.
#[derive(Clone, Debug)]
pub struct Inhabitant {
    /// Its id.
    pub id: UserId,
    /// Its command.
    pub create: CreateUser,
    /// The number of the one who supervises it in its first company.
    pub supervisor: Option<u64>,
    /// Whether it comes by an invitation.
    pub invited: bool,
    /// Whether it was ever there to sign in.
    pub signs_in: bool,
    /// What is thrown of its life from here on.
    pub dice: Dice,
    /// How many events it is to have.
    pub events: u64,
}

impl Town {
    /// What the account is called: whoever finds it knows what it was made with.
    pub fn title(&self) -> Result<AccountTitle, ParseError> {
        let Self { seed, events, .. } = self;
        AccountTitle::parse(&format!(
            "Made by seed {seed}, {events} events for each user"
        ))
    }

    /// The command that opens it.
    pub fn open(&self) -> Result<CreateAccount, ParseError> {
        let companies = (0..COMPANIES).map(|number| {
            let title = CompanyTitle::parse(&company_name(number))?;
            Ok((self.company(number), title))
        });
        let roles = ROLES
            .iter()
            .map(|role| Ok((RoleName::parse(role)?, RoleTitle::parse(role)?)));
        let modules = MODULES.iter().map(|module| {
            let title = ModuleTitle::parse(module)?;
            let module = ModuleName::parse(module)?;
            let administrator_only = false;
            Ok((
                module,
                Module {
                    title,
                    administrator_only,
                },
            ))
        });
        Ok(CreateAccount {
            account_id: self.account.clone(),
            title: self.title()?,
            settings: Settings {
                password_authority: PasswordAuthority::External,
                ..Settings::default()
            },
            companies: companies.collect::<Result<_, _>>()?,
            roles: roles.collect::<Result<_, _>>()?,
            modules: modules.collect::<Result<_, _>>()?,
        })
    }

    /// The number that its first administrator has; the others come behind it.
    pub const ADMINISTRATOR: u64 = 0;

    /// A user by its number.
    pub fn inhabitant(&self, number: u64) -> Result<Inhabitant, ParseError> {
        let is_first = number == Self::ADMINISTRATOR;
        let employed = self.employed(number);
        let mut dice = self.dice(number, 1);
        let region = names::region(&mut dice);
        let (first, last) = (region.first_name(&mut dice), region.last_name(&mut dice));
        let signature = signature(&first, &last, region.language, number);
        let id = self.user(number);
        let supervisor = (!is_first).then(|| self.supervisor_of(number)).flatten();
        let company = |place: u64| NewCompany {
            supervisor: supervisor
                .filter(|_| place == employed.company)
                .map(|number| self.user(number)),
            show_as_addressee: number.is_multiple_of(3),
            ..NewCompany::of(self.company(place))
        };
        let places: BTreeSet<u64> = [employed.company]
            .into_iter()
            .chain(employed.also)
            .collect();
        let lead = number.is_multiple_of(200);
        let create = CreateUser {
            user_id: id,
            email: EmailAddress::parse(&address(&first, &last, &signature, employed.company))?,
            signature: Signature::parse(&signature)?,
            first_name: PersonName::parse(&first)?,
            last_name: PersonName::parse(&last)?,
            phone: phone(&mut dice, 2)?,
            mobile_phone: phone(&mut dice, 3)?,
            language: Some(LanguageTag::parse(region.language)?),
            user_type: if lead {
                UserType::Administrator
            } else {
                UserType::Standard
            },
            active: employed.active,
            password: PasswordState::None,
            welcome: None,
            roles: self.roles(&mut dice)?,
            permissions: self.permissions(&mut dice, employed.company)?,
            companies: places.into_iter().map(company).collect(),
            invitation: None,
            copied_from: None,
        };
        let events = u64::from(self.events);
        Ok(Inhabitant {
            id,
            create,
            supervisor,
            invited: !is_first && number > INVITED_BEFORE && self.is_invited(number),
            signs_in: employed.active && dice.below(10) < 7,
            events: (events + dice.below(events / 2 + 1)).saturating_sub(events / 4),
            dice,
        })
    }

    /// The id of a user.
    pub fn user(&self, number: u64) -> UserId {
        UserId::new(self.id(number, 2))
    }

    /// The id of a company; the first are the largest.
    pub fn company(&self, number: u64) -> CompanyId {
        CompanyId::new(self.id(number, 3))
    }

    /// The id of the invitation by which a user comes.
    pub fn invitation(&self, number: u64) -> InvitationId {
        InvitationId::new(self.id(number, 4))
    }

    /// The id of the request that makes so many users from this one on.
    pub fn request(&self, first: u64, users: u64) -> Uuid {
        self.id(first, 5 + users)
    }

    /// Whether a user comes by an invitation, which was sent when the user [`INVITED_BEFORE`] it came.
    pub fn is_invited(&self, number: u64) -> bool {
        self.dice(number, 0).below(10) == 0
    }

    /// A UUID of version 7 with a time of its own.
    fn id(&self, number: u64, kind: u64) -> Uuid {
        /// 2025, from when on one came each second.
        const FROM_MILLIS: u64 = 1_735_689_600_000;
        let mut dice = self.dice(number, kind);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&dice.roll().to_be_bytes());
        random[8..].copy_from_slice(&dice.roll().to_be_bytes()[..2]);
        let millis = FROM_MILLIS + number * 1_000;
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// What is thrown for a purpose; accounts of one seed differ.
    fn dice(&self, number: u64, purpose: u64) -> Dice {
        let account = self
            .account
            .as_str()
            .bytes()
            .fold(0_u64, |sum, byte| sum.wrapping_mul(257) + u64::from(byte));
        let mut dice = Dice::of(self.seed ^ account, number);
        Dice::of(dice.roll(), purpose)
    }

    fn employed(&self, number: u64) -> Employed {
        let mut dice = self.dice(number, 6);
        let is_first = number == Self::ADMINISTRATOR;
        Employed {
            company: if is_first { 0 } else { rank(&mut dice) },
            also: dice.once_in(5).then(|| rank(&mut dice)),
            active: is_first || !dice.once_in(12),
        }
    }

    /// Somebody who came before, in the same company, and may sign in.
    fn supervisor_of(&self, number: u64) -> Option<u64> {
        let company = self.employed(number).company;
        let nearest = number / REPORTS;
        // Small companies have few to look for.
        (nearest.saturating_sub(200)..=nearest).rev().find(|other| {
            let other = self.employed(*other);
            other.active && other.company == company
        })
    }

    fn roles(&self, dice: &mut Dice) -> Result<BTreeSet<RoleName>, ParseError> {
        let many = if self.events < 2 { 0 } else { dice.below(3) };
        (0..many)
            .map(|_| RoleName::parse(dice.common(&ROLES)))
            .collect()
    }

    fn permissions(
        &self,
        dice: &mut Dice,
        company: u64,
    ) -> Result<BTreeSet<Permission>, ParseError> {
        let many = if self.events < 2 { 0 } else { dice.below(3) };
        (0..many)
            .map(|_| {
                let module = ModuleName::parse(dice.common(&MODULES))?;
                let company = (!dice.once_in(4)).then(|| self.company(company));
                Ok(Permission { module, company })
            })
            .collect()
    }
}

/// Where somebody works.
struct Employed {
    company: u64,
    also: Option<u64>,
    active: bool,
}

fn rank(dice: &mut Dice) -> u64 {
    dice.rank(COMPANIES) as u64
}

fn company_name(number: u64) -> String {
    let trade = TRADES[usize::try_from(number).unwrap_or_default() % TRADES.len()];
    format!("{trade}{}", number / TRADES.len() as u64 + 1)
}

/// A code of four letters of the name and of the number, which makes it the only one.
fn signature(first: &str, last: &str, language: &str, number: u64) -> String {
    let (first, last) = (latin(first), latin(last));
    let letters = |name: &str| -> String {
        let fill = language.chars();
        name.chars().chain(fill).take(2).collect()
    };
    format!("{}{}{}", letters(&first), letters(&last), base36(number)).to_uppercase()
}

fn address(first: &str, last: &str, signature: &str, company: u64) -> String {
    let (first, last) = (latin(first), latin(last));
    let code = signature[4..].to_lowercase();
    let name = match (first.is_empty(), last.is_empty()) {
        (false, false) => format!("{first}.{last}.{code}"),
        _ => signature.to_lowercase(),
    };
    format!("{name}@{}.example", company_name(company))
}

fn phone(dice: &mut Dice, of: u64) -> Result<Option<PhoneNumber>, ParseError> {
    let number = dice.below(1_000_000_000);
    let has = dice.below(4) < of;
    has.then(|| PhoneNumber::parse(&format!("+46 {number:09}")))
        .transpose()
}

/// A number in digits and letters.
fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % 36).unwrap_or_default();
        digits.extend(char::from_digit(digit, 36));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn town(events: u32) -> Town {
        Town {
            account: AccountId::parse("acme").unwrap(),
            seed: 1,
            events,
        }
    }

    #[test]
    fn nobody_has_the_code_address_or_id_of_somebody_else() {
        let town = town(10);
        let (mut codes, mut addresses, mut ids) = (HashSet::new(), HashSet::new(), HashSet::new());
        for number in 0..5_000 {
            let Inhabitant { id, create, .. } = town.inhabitant(number).unwrap();
            assert!(codes.insert(create.signature.folded()), "{number}");
            assert!(addresses.insert(create.email.folded()), "{number}");
            assert!(ids.insert(id));
            assert!(UserId::parse(&id.to_string()).is_ok());
        }
    }

    #[test]
    fn a_supervisor_came_before_and_works_in_the_same_company() {
        let town = town(4);
        let mut supervised = 0;
        for number in 1..5_000 {
            let person = town.inhabitant(number).unwrap();
            let Some(supervisor) = person.supervisor else {
                continue;
            };
            supervised += 1;
            assert!(supervisor < number);
            let above = town.inhabitant(supervisor).unwrap().create;
            let company = |create: &CreateUser| {
                let named = create.companies.iter();
                named
                    .map(|company| company.company_id)
                    .collect::<HashSet<_>>()
            };
            assert!(above.active);
            assert!(!company(&above).is_disjoint(&company(&person.create)));
        }
        assert!(supervised > 2_500, "{supervised}");
    }

    #[test]
    fn the_same_seed_makes_the_same_people_and_another_account_others() {
        let (one, other) = (town(10), town(10));
        assert_eq!(
            one.inhabitant(7).unwrap().create,
            other.inhabitant(7).unwrap().create
        );
        let elsewhere = Town {
            account: AccountId::parse("zeta").unwrap(),
            ..other
        };
        assert_ne!(one.user(7), elsewhere.user(7));
    }
}
