//! Filters of the log by stream or type, as prefixes or a regular expression.

use std::borrow::Cow;

use fancy_regex::{Regex, RegexBuilder};
use rollbook_eventstore::ToldEvent;
use rollbook_proto::kurrent::streams::read_req::options::FilterOptions;
use rollbook_proto::kurrent::streams::read_req::options::filter_options::{
    Expression, Filter, Window,
};

use crate::failure::{Failure, Outcome};

/// What the Python client sends where it is given no filter. It hides the server's own events, which there are none of here.
const HIDES_NOTHING: &str = r"^(?!(\$.+$|PersistentConfig\d+$|Result$))";
/// The longest regular expression, or prefix, that is read.
const LONGEST: usize = 1_000;
/// How many prefixes are read.
const MOST_PREFIXES: usize = 100;
/// How often a regular expression may try another way at one name.
const BACKTRACKS: usize = 2_000;
/// How large a regular expression may become in memory.
const LARGEST: usize = 1 << 20;
/// How many events are looked at between two checkpoints where the client names no number.
const WINDOW: u32 = 32;

/// Which events of the log pass.
#[derive(Debug)]
pub(super) struct EventFilter {
    of: Of,
    passes: Passes,
    /// How many events are looked at between two checkpoints.
    pub(super) interval: u64,
}

#[derive(Clone, Copy, Debug)]
enum Of {
    Stream,
    Type,
}

#[derive(Debug)]
enum Passes {
    All,
    Matching(Box<Regex>),
    Beginning(Vec<String>),
}

impl EventFilter {
    pub(super) fn read(options: FilterOptions) -> Outcome<Self> {
        let FilterOptions {
            checkpoint_interval_multiplier: multiplier,
            filter,
            window,
        } = options;
        let (of, expression) = match filter {
            Some(Filter::StreamIdentifier(expression)) => (Of::Stream, expression),
            Some(Filter::EventType(expression)) => (Of::Type, expression),
            None => return Err(bad("filter", "must be given")),
        };
        let window = match window {
            Some(Window::Max(events)) => events.max(1),
            Some(Window::Count(_)) | None => WINDOW,
        };
        Ok(Self {
            of,
            passes: read_expression(expression)?,
            interval: u64::from(window) * u64::from(multiplier.max(1)),
        })
    }

    pub(super) fn passes(&self, event: &ToldEvent) -> Outcome<bool> {
        let text = match self.of {
            Of::Stream => Cow::Owned(event.stream.to_string()),
            Of::Type => Cow::Borrowed(event.event_type.as_str()),
        };
        match &self.passes {
            Passes::All => Ok(true),
            Passes::Beginning(prefixes) => {
                Ok(prefixes.iter().any(|prefix| text.starts_with(prefix)))
            }
            Passes::Matching(regex) => regex.is_match(&*text).map_err(|_| {
                bad(
                    "regex",
                    "tries too many ways; write it so that fewer can match",
                )
            }),
        }
    }
}

fn read_expression(expression: Expression) -> Outcome<Passes> {
    let Expression { regex, prefix } = expression;
    if regex.len() > LONGEST {
        return Err(bad("regex", "must have at most 1000 bytes"));
    }
    if prefix.len() > MOST_PREFIXES || prefix.iter().any(|prefix| prefix.len() > LONGEST) {
        return Err(bad(
            "prefix",
            "must have at most 100 elements of at most 1000 bytes",
        ));
    }
    match regex.as_str() {
        HIDES_NOTHING => Ok(Passes::All),
        "" if prefix.is_empty() => Err(bad("regex", "must be given where no prefix is")),
        "" => Ok(Passes::Beginning(prefix)),
        regex => RegexBuilder::new(regex)
            .backtrack_limit(BACKTRACKS)
            .delegate_size_limit(LARGEST)
            .build()
            .map(|regex| Passes::Matching(Box::new(regex)))
            .map_err(|_| bad("regex", "must be a regular expression of bounded size")),
    }
}

fn bad(field: &str, problem: &str) -> Failure {
    Failure::malformed_field(format!("options.filter.{field}"), problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(text: &str) -> Outcome<Passes> {
        read_expression(Expression {
            regex: text.to_owned(),
            prefix: Vec::new(),
        })
    }

    fn matches(text: &str, name: &str) -> bool {
        match regex(text).unwrap() {
            Passes::Matching(regex) => regex.is_match(name).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn r59_a_filter_looks_ahead_and_matches_anywhere() {
        assert!(matches("^(?!User).*$", "AccountCreated"));
        assert!(!matches("^(?!User).*$", "UserLocked"));
        assert!(matches("Locked", "UserLocked"));
        assert!(matches!(regex(HIDES_NOTHING).unwrap(), Passes::All));
    }

    #[test]
    fn r67_no_filter_takes_the_service_with_it() {
        for text in ["(", "(?<x", "((a{1000}){1000}){1000}", &"a".repeat(1_001)] {
            assert_eq!(regex(text).unwrap_err().reason(), "MALFORMED", "{text}");
        }
        assert_eq!(regex("").unwrap_err().reason(), "MALFORMED");
        let Passes::Matching(slow) = regex(r"^(a|a)*(?=b)\1c$").unwrap() else {
            panic!("a regular expression is expected");
        };
        slow.is_match(&*"a".repeat(64)).unwrap_err();
    }
}
