//! Lengths of time as they are typed at the command line.

use std::time::Duration;

/// Reads a length of time: a number and s, m, h or d.
pub fn term(text: &str) -> Result<Duration, String> {
    let wrong = || "give a number and s, m, h or d, such as 90s or 8h".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number
        .checked_mul(seconds)
        .filter(|&total| total > 0)
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_a_number_and_a_unit() {
        assert_eq!(term("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(term("8h"), Ok(Duration::from_hours(8)));
        assert_eq!(term("7d"), Ok(Duration::from_hours(7 * 24)));
        for wrong in [
            "",
            "h",
            "1",
            "0s",
            "1.5h",
            "-1h",
            "1w",
            "99999999999999999999d",
            "1ü",
        ] {
            assert!(term(wrong).is_err(), "{wrong}");
        }
    }
}
