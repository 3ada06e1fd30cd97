//! What a read asks for.

use rollbook_eventstore::{Direction, StreamId};
use rollbook_proto::kurrent::streams::ReadReq;
use rollbook_proto::kurrent::streams::read_req::Options;
use rollbook_proto::kurrent::streams::read_req::options::all_options::AllOption;
use rollbook_proto::kurrent::streams::read_req::options::stream_options::RevisionOption;
use rollbook_proto::kurrent::streams::read_req::options::uuid_option::Content;
use rollbook_proto::kurrent::streams::read_req::options::{
    AllOptions, ControlOption, CountOption, FilterOption, ReadDirection, StreamOption,
    StreamOptions,
};

use super::filter::EventFilter;
use crate::failure::{Failure, Outcome};

/// The longest name that a stream has.
const LONGEST_NAME: usize = 512;

/// A read as it is carried out.
pub(super) struct Asked {
    pub(super) place: Place,
    pub(super) start: Start,
    pub(super) direction: Direction,
    pub(super) extent: Extent,
    pub(super) ids: Ids,
    /// Whether the client understands being told where the end is.
    pub(super) tells_end: bool,
}

/// Where to read.
pub(super) enum Place {
    Stream(Named),
    /// Only what passes, where there is a filter.
    Log(Option<EventFilter>),
}

/// A stream as it was named.
pub(super) struct Named {
    pub(super) name: Vec<u8>,
    /// None: no stream can have this name.
    pub(super) stream: Option<StreamId>,
}

/// From where to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Beginning,
    End,
    /// A revision that counts from 0, or a position.
    At(u64),
}

/// How long to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Count(u64),
    OnAndOn,
}

/// How ids are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    Text,
    Numbers,
}

impl Asked {
    pub(super) fn read(request: ReadReq) -> Outcome<Self> {
        let Options {
            read_direction,
            resolve_links: _,
            uuid_option,
            control_option,
            stream_option,
            count_option,
            filter_option,
        } = request.options.ok_or_else(|| missing("options"))?;
        let direction = match ReadDirection::try_from(read_direction) {
            Ok(ReadDirection::Forwards) => Direction::Forwards,
            Ok(ReadDirection::Backwards) => Direction::Backwards,
            Err(_) => return Err(bad("read_direction", "must be forwards or backwards")),
        };
        let extent = match count_option {
            Some(CountOption::Count(count)) => Extent::Count(count),
            Some(CountOption::Subscription(_)) => Extent::OnAndOn,
            None => return Err(missing("count_option")),
        };
        if extent == Extent::OnAndOn && direction == Direction::Backwards {
            return Err(bad("read_direction", "must be forwards in a subscription"));
        }
        let (place, start) = match stream_option {
            Some(StreamOption::Stream(stream)) => read_stream(stream)?,
            Some(StreamOption::All(all)) => {
                let filter = match filter_option {
                    Some(FilterOption::Filter(filter)) => Some(EventFilter::read(filter)?),
                    Some(FilterOption::NoFilter(_)) | None => None,
                };
                (Place::Log(filter), read_start(all))
            }
            None => return Err(missing("stream_option")),
        };
        let ids = match uuid_option.and_then(|option| option.content) {
            Some(Content::Structured(_)) => Ids::Numbers,
            Some(Content::String(_)) | None => Ids::Text,
        };
        let ControlOption { compatibility } = control_option.unwrap_or_default();
        Ok(Self {
            place,
            start,
            direction,
            extent,
            ids,
            tells_end: compatibility >= 1,
        })
    }
}

fn read_stream(options: StreamOptions) -> Outcome<(Place, Start)> {
    let identifier = options.stream_identifier;
    let name = identifier
        .ok_or_else(|| missing("stream.stream_identifier"))?
        .stream_name;
    let start = match options.revision_option {
        Some(RevisionOption::Revision(revision)) => at(revision),
        Some(RevisionOption::End(_)) => Start::End,
        Some(RevisionOption::Start(_)) | None => Start::Beginning,
    };
    let stream = stream_named(&name);
    Ok((Place::Stream(Named { name, stream }), start))
}

/// Names that begin with `$` are of streams about streams, which there are none of.
fn stream_named(name: &[u8]) -> Option<StreamId> {
    let name = std::str::from_utf8(name).ok()?;
    let fits = name.len() <= LONGEST_NAME && !name.starts_with('$');
    let plain = !name.chars().any(char::is_control);
    name.parse().ok().filter(|_| fits && plain)
}

fn read_start(options: AllOptions) -> Start {
    match options.all_option {
        Some(AllOption::Position(position)) => at(position.commit_position),
        Some(AllOption::End(_)) => Start::End,
        Some(AllOption::Start(_)) | None => Start::Beginning,
    }
}

/// Some clients write the end as the largest number they have.
fn at(number: u64) -> Start {
    if number >= i64::MAX.unsigned_abs() {
        Start::End
    } else {
        Start::At(number)
    }
}

fn missing(field: &str) -> Failure {
    bad(field, "must be given")
}

fn bad(field: &str, problem: &str) -> Failure {
    Failure::malformed_field(format!("options.{field}"), problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r59_a_stream_is_named_by_its_type_and_id() {
        let user = Some(StreamId::new("user", "01a2-b"));
        assert_eq!(stream_named(b"user-01a2-b"), user);
        for name in [
            b"$$user-1".as_slice(),
            b"$all",
            b"user",
            b"user-",
            b"",
            b"user-\0",
            b"user-\xff",
            &[b'-'; 600],
        ] {
            assert_eq!(stream_named(name), None, "{name:?}");
        }
    }

    #[test]
    fn r59_the_largest_numbers_are_the_end() {
        assert_eq!(at(u64::MAX), Start::End);
        assert_eq!(at(i64::MAX.unsigned_abs()), Start::End);
        assert_eq!(at(7), Start::At(7));
    }
}
