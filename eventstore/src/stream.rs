//! What names a stream: the type of its aggregate and the aggregate's id.

use std::fmt;
use std::str::FromStr;

/// The name of a stream, written `user-0190…` or `account-acme`.
///
/// The type has no `-`, so that the text form can be read back; [`crate::Log::append`] refuses others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// The type of the aggregate, such as `user`.
    pub aggregate_type: String,
    /// The id of the aggregate within its type.
    pub aggregate_id: String,
}

impl StreamId {
    /// Names the stream of one aggregate.
    pub fn new(aggregate_type: impl Into<String>, aggregate_id: impl Into<String>) -> Self {
        Self {
            aggregate_type: aggregate_type.into(),
            aggregate_id: aggregate_id.into(),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.aggregate_type, self.aggregate_id)
    }
}

/// The text is not the name of a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a stream: expected a type, a hyphen and an id")]
pub struct NotAStream(String);

impl FromStr for StreamId {
    type Err = NotAStream;

    fn from_str(text: &str) -> Result<Self, NotAStream> {
        match text.split_once('-') {
            Some((aggregate_type, aggregate_id))
                if !aggregate_type.is_empty() && !aggregate_id.is_empty() =>
            {
                Ok(Self::new(aggregate_type, aggregate_id))
            }
            _ => Err(NotAStream(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_back_from_its_text_with_hyphens_in_the_id() {
        let stream = StreamId::new("user", "0190-ab-cd");
        assert_eq!(stream.to_string(), "user-0190-ab-cd");
        assert_eq!("user-0190-ab-cd".parse(), Ok(stream));
    }

    #[test]
    fn text_without_both_parts_is_not_a_stream() {
        for text in ["", "user", "user-", "-1"] {
            assert!(text.parse::<StreamId>().is_err(), "{text}");
        }
    }
}
