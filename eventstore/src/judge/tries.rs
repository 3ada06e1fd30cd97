//! A count of tries as its side row keeps it.

use crate::clock::{Timestamp, timestamp};

/// How many tries of a series were made, and when the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tries {
    pub(super) series: i64,
    pub(super) used: u32,
    pub(super) last_at: Timestamp,
}

impl Tries {
    const BYTES: usize = 20;

    /// Reads a row; none where it is anything else.
    pub(super) fn read(row: &[u8]) -> Option<Self> {
        let (series, rest) = row.split_first_chunk()?;
        let (used, rest) = rest.split_first_chunk()?;
        Some(Self {
            series: i64::from_be_bytes(*series),
            used: u32::from_be_bytes(*used),
            last_at: timestamp(i64::from_be_bytes(rest.try_into().ok()?)),
        })
    }

    pub(super) fn write(self) -> Vec<u8> {
        let mut row = Vec::with_capacity(Self::BYTES);
        row.extend(self.series.to_be_bytes());
        row.extend(self.used.to_be_bytes());
        row.extend(self.last_at.timestamp_micros().to_be_bytes());
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_back_and_nothing_else_is() {
        let tries = Tries {
            series: -7,
            used: 3,
            last_at: timestamp(1_750_000_000_000_001),
        };
        let row = tries.write();
        assert_eq!(row.len(), Tries::BYTES);
        assert_eq!(Tries::read(&row), Some(tries));
        assert_eq!(Tries::read(&row[1..]), None);
        assert_eq!(Tries::read(b""), None);
    }
}
