//! Lengths of time as people write them.

use std::fmt;

/// Why a text is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// There is no number at the start.
    NoNumber,
    /// There is no unit after the number, or none that is known.
    Unit,
    /// It is longer than 2^32 milliseconds, 49 days.
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoNumber => "does not start with a number",
            Self::Unit => "has no unit of time after its number",
            Self::TooLong => "is longer than 49 days",
        })
    }
}

/// Milliseconds of `10 s`, `500 ms`, `2 min`, `1 h`.
pub fn milliseconds(text: &str) -> Result<u32, DurationError> {
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    if digits == 0 {
        return Err(DurationError::NoNumber);
    }
    let factor = match trimmed[digits..].trim() {
        "ms" => 1,
        "s" => 1000,
        "min" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return Err(DurationError::Unit),
    };
    let number = trimmed[..digits].parse::<u32>().ok();
    number.and_then(|number| number.checked_mul(factor)).ok_or(DurationError::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, expected) in [
            ("10 s", Ok(10_000)),
            ("500ms", Ok(500)),
            (" 2  min ", Ok(120_000)),
            ("1 h", Ok(3_600_000)),
            ("0 s", Ok(0)),
            ("soon", Err(DurationError::NoNumber)),
            ("", Err(DurationError::NoNumber)),
            ("10", Err(DurationError::Unit)),
            ("10 days", Err(DurationError::Unit)),
            ("5000000 s", Err(DurationError::TooLong)),
            ("99999999999 ms", Err(DurationError::TooLong)),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
    }
}
