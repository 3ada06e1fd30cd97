//! Reads the fields of a message and remembers every one that is bad.

use std::collections::BTreeSet;
use std::fmt::Display;

use tonic_types::FieldViolation;

use crate::failure::{Failure, Outcome};

/// The fields of one message, as they are read.
#[derive(Debug, Default)]
pub struct Fields {
    within: Vec<String>,
    bad: Vec<FieldViolation>,
}

impl Fields {
    /// How many bad elements of a list are named.
    const NAMED: usize = 100;

    /// Remembers a bad field.
    pub fn bad(&mut self, name: &str, problem: impl Display) {
        let mut path = self.within.join(".");
        if !path.is_empty() && !name.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        self.bad
            .push(FieldViolation::new(path, problem.to_string()));
    }

    /// Reads the fields of a message inside this one.
    pub fn within<T>(&mut self, name: impl Into<String>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.within.push(name.into());
        let value = read(self);
        self.within.pop();
        value
    }

    /// Reads a field that must be there.
    pub fn read<T, E: Display>(
        &mut self,
        name: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.checked(name, parse(text))
    }

    /// Reads a field that may be empty.
    pub fn optional<T, E: Display>(
        &mut self,
        name: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if text.is_empty() {
            None
        } else {
            self.read(name, text, parse)
        }
    }

    /// Takes a value that was checked elsewhere.
    pub fn checked<T, E: Display>(&mut self, name: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|problem| self.bad(name, problem)).ok()
    }

    /// Reads a list, at most `max` long.
    pub fn list<S, T>(
        &mut self,
        name: &str,
        max: usize,
        list: Vec<S>,
        mut read: impl FnMut(&mut Self, S) -> Option<T>,
    ) -> Vec<T> {
        if list.len() > max {
            self.bad(name, format!("must have at most {max} elements"));
            return Vec::new();
        }
        let mut values = Vec::with_capacity(list.len());
        let before = self.bad.len();
        for (index, element) in list.into_iter().enumerate() {
            if self.bad.len() - before >= Self::NAMED {
                break;
            }
            let value = self.within(format!("{name}[{index}]"), |fields| read(fields, element));
            values.extend(value);
        }
        values
    }

    /// Reads a list of texts, at most `max` long, of which each counts once.
    pub fn set<T: Ord, E: Display>(
        &mut self,
        name: &str,
        max: usize,
        list: &[String],
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> BTreeSet<T> {
        let list = list.iter().collect();
        let read = |fields: &mut Self, text: &String| fields.read("", text, &parse);
        self.list(name, max, list, read).into_iter().collect()
    }

    /// The values, or every bad field.
    ///
    /// # Errors
    /// `MALFORMED` when there is one.
    pub fn finish<T: AllThere>(self, values: T) -> Outcome<T::Values> {
        match values.all_there() {
            Some(values) if self.bad.is_empty() => Ok(values),
            Some(_) | None => Err(Failure::malformed(self.bad)),
        }
    }
}

/// Values of which each must be there.
pub trait AllThere {
    /// The same, each there.
    type Values;
    /// They, if each is there.
    fn all_there(self) -> Option<Self::Values>;
}

macro_rules! all_there {
    ($($($name:ident)+;)+) => {$(
        impl<$($name),+> AllThere for ($(Option<$name>,)+) {
            type Values = ($($name,)+);

            #[expect(non_snake_case, reason = "each value is called as its type")]
            fn all_there(self) -> Option<Self::Values> {
                let ($($name,)+) = self;
                Some(($($name?,)+))
            }
        }
    )+};
}

all_there! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
}

impl AllThere for () {
    type Values = ();

    fn all_there(self) -> Option<()> {
        Some(())
    }
}
