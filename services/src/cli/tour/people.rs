//! The people of the tour, from the file that ships with it.

/// Somebody to create.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// The first name.
    pub first_name: &'static str,
    /// The last name.
    pub last_name: &'static str,
    /// The short code.
    pub signature: &'static str,
    /// The address.
    pub email: &'static str,
    /// The phone number.
    pub phone: &'static str,
    /// The language, a BCP 47 tag.
    pub language: &'static str,
    /// The title of the company the person works for.
    pub company: &'static str,
    /// The role the person has there.
    pub role: &'static str,
}

/// Comma-separated, one person a line after the heading; no value holds a comma.
const FILE: &str = include_str!("../../../people.csv");

/// The people of the file.
pub fn people() -> impl Iterator<Item = Person> {
    FILE.lines().skip(1).filter_map(|line| {
        let mut values = line.split(',');
        Some(Person {
            first_name: values.next()?,
            last_name: values.next()?,
            signature: values.next()?,
            email: values.next()?,
            phone: values.next()?,
            language: values.next()?,
            company: values.next()?,
            role: values.next()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_a_thousand_people_and_each_has_a_signature_and_an_address_of_its_own() {
        let people: Vec<Person> = people().collect();
        assert_eq!(people.len(), 1000);
        assert_eq!(FILE.lines().count(), 1001);
        assert!(FILE.lines().all(|line| line.split(',').count() == 8));
        let signatures: BTreeSet<String> = people
            .iter()
            .map(|person| person.signature.to_lowercase())
            .collect();
        let addresses: BTreeSet<&str> = people.iter().map(|person| person.email).collect();
        assert_eq!((signatures.len(), addresses.len()), (1000, 1000));
    }

    #[test]
    fn names_have_accents_apostrophes_and_several_scripts() {
        let names: String = people()
            .map(|person| person.first_name.to_owned() + person.last_name)
            .collect();
        for letter in [
            'å', 'ñ', '\'', '-', 'Ж', 'Ω', '山', '김', 'م', 'ד', 'र', 'ễ',
        ] {
            let there = names
                .chars()
                .any(|c| c == letter || c.to_lowercase().eq(letter.to_lowercase()));
            assert!(there, "{letter}");
        }
    }
}
