//! What is printed: tables for people, JSON for programs.

use std::{
    error::Error,
    io::{self, Write as _},
    sync::LazyLock,
};

use chrono::DateTime;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::ProgressBar;
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use rollbook_proto::v1::DESCRIPTORS;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::problem::Problem;

/// How answers are printed.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// JSON, or text for people.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether answers are printed as JSON.
    #[must_use]
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints one of many answers as a line of JSON, above a bar that shows progress; nothing for people.
    pub fn show_if_json<M: Message + Name>(
        self,
        answer: impl FnOnce() -> M,
        progress: &ProgressBar,
    ) -> Result<(), Problem> {
        if self.json {
            let text = json(&answer(), CompactFormatter)?;
            progress.suspend(|| print(&text))
        } else {
            Ok(())
        }
    }

    /// Prints an answer as one JSON document, or as the text that is made of it.
    pub fn show<M: Message + Name>(
        self,
        answer: &M,
        text: impl FnOnce() -> String,
    ) -> Result<(), Problem> {
        if self.json {
            print(&json(answer, PrettyFormatter::new())?)
        } else {
            print(&text())
        }
    }

    /// Prints one of many answers: a line of JSON, or a line of text.
    pub fn show_line<M: Message + Name>(
        self,
        answer: &M,
        text: impl FnOnce() -> String,
    ) -> Result<(), Problem> {
        if self.json {
            print(&json(answer, CompactFormatter)?)
        } else {
            print(&text())
        }
    }
}

/// Prints a text and ends the line.
pub fn print(text: &str) -> Result<(), Problem> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// A message as JSON: the names of the contract in its order, every field, numbers as numbers, times as RFC 3339.
fn json<M: Message + Name>(message: &M, form: impl Formatter) -> Result<String, Problem> {
    fn failed(source: impl Into<Box<dyn Error + Send + Sync>>) -> Problem {
        Problem::failed("print the answer as JSON", source)
    }
    let descriptor = descriptor::<M>().map_err(failed)?;
    let dynamic =
        DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).map_err(failed)?;
    let options = SerializeOptions::new()
        .skip_default_fields(false)
        .stringify_64_bit_integers(false)
        .use_proto_field_name(true);
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, form);
    dynamic
        .serialize_with_options(&mut serializer, &options)
        .map_err(failed)?;
    String::from_utf8(text).map_err(failed)
}

/// What the contract says of a message.
fn descriptor<M: Name>() -> Result<MessageDescriptor, String> {
    static CONTRACT: LazyLock<Result<DescriptorPool, prost_reflect::DescriptorError>> =
        LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS));
    let contract = CONTRACT.as_ref().map_err(ToString::to_string)?;
    contract
        .get_message_by_name(&M::full_name())
        .ok_or_else(|| format!("{} is not in the contract", M::full_name()))
}

/// Reads a message from JSON with the names of the contract; says what is wrong with it.
pub fn from_json<M: Message + Name + Default>(value: serde_json::Value) -> Result<M, String> {
    let read = DynamicMessage::deserialize(descriptor::<M>()?, value);
    let read = read.map_err(|error| error.to_string())?;
    read.transcode_to().map_err(|error| error.to_string())
}

/// A table with a heading, fitted to the terminal.
#[must_use]
pub fn table<const N: usize>(heading: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(heading);
    table
}

/// Named values one below the other; the empty ones are left out.
#[must_use]
pub fn properties(values: &[(&str, String)]) -> String {
    let shown = || values.iter().filter(|(_, value)| !value.is_empty());
    let width = shown()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    let lines: Vec<String> = shown()
        .map(|(name, value)| format!("{name:width$}  {value}"))
        .collect();
    lines.join("\n")
}

/// A time as people read it, in UTC.
#[must_use]
pub fn time(at: Option<&prost_types::Timestamp>) -> String {
    at.and_then(|at| DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?))
        .map(|at| at.format("%Y-%m-%d %H:%M:%SZ").to_string())
        .unwrap_or_default()
}

/// The name of a value of an enum as people read it: without the prefix, in small letters.
#[must_use]
pub fn plain(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix)
        .unwrap_or(name)
        .to_lowercase()
        .replace('_', " ")
}

/// `1 user`, `2 users`.
#[must_use]
pub fn counted(count: impl TryInto<u64>, one: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {one}{ending}")
}

#[cfg(test)]
mod tests {
    use rollbook_proto::v1::{GetUserResponse, User, UserType};

    use super::*;

    #[test]
    fn json_has_the_names_of_the_contract_and_every_field() {
        let user = User {
            user_id: "0190".into(),
            revision: 3,
            user_type: UserType::Standard.into(),
            created_at: Some(prost_types::Timestamp {
                seconds: 0,
                nanos: 0,
            }),
            ..User::default()
        };
        let text = json(&GetUserResponse { user: Some(user) }, CompactFormatter).unwrap();
        assert!(
            text.starts_with("{\"user\":{\"user_id\":\"0190\",\"account_id\":\"\","),
            "{text}"
        );
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["user"]["user_id"], "0190");
        assert_eq!(json["user"]["revision"], 3);
        assert_eq!(json["user"]["user_type"], "USER_TYPE_STANDARD");
        assert_eq!(json["user"]["created_at"], "1970-01-01T00:00:00Z");
        assert_eq!(json["user"]["phone"], "");
        assert_eq!(json["user"]["roles"], serde_json::json!([]));
    }

    #[test]
    fn properties_stand_below_each_other_without_the_empty_ones() {
        let text = properties(&[
            ("id", "1".into()),
            ("phone", String::new()),
            ("e-mail", "a@b.se".into()),
        ]);
        assert_eq!(text, "id      1\ne-mail  a@b.se");
    }

    #[test]
    fn names_and_counts_read_plainly() {
        assert_eq!(
            plain("USER_STATUS_LOCKED_BY_ADMIN", "USER_STATUS_"),
            "locked by admin"
        );
        assert_eq!(counted(1_usize, "user"), "1 user");
        assert_eq!(counted(0_u64, "user"), "0 users");
    }
}
