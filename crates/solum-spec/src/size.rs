//! Amounts of memory and storage.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, written as people write it: `512M`, `64 MiB`, `1G`, `4096`.
///
/// All units are binary (IEC 80000-13): `K`, `KB`, `KiB` are 1024 bytes. A bare number is bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// A size of exactly `bytes` bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A size of `mebibytes` × 1,048,576 bytes.
    pub const fn mebibytes(mebibytes: u32) -> Self {
        Self((mebibytes as u64) << 20)
    }

    /// The size in bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// The size in whole mebibytes, rounded up: what a hypervisor is asked for.
    pub const fn as_mebibytes(self) -> u64 {
        self.0.div_ceil(1 << 20)
    }
}

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByteSizeError {
    /// There is no number at the start.
    NoNumber(String),
    /// The unit after the number is not one of K, M, G, T.
    UnknownUnit(String),
    /// The size does not fit 64 bits.
    TooLarge(String),
}

impl fmt::Display for ByteSizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNumber(text) => {
                write!(f, "`{text}` does not start with a number; write a size like 512M")
            }
            Self::UnknownUnit(unit) => {
                write!(f, "`{unit}` is not a unit of size; use K, M, G or T (or KiB, MiB, GiB, TiB)")
            }
            Self::TooLarge(text) => write!(f, "`{text}` is larger than 2^64 bytes"),
        }
    }
}

impl std::error::Error for ByteSizeError {}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        if digits == 0 {
            return Err(ByteSizeError::NoNumber(text.to_owned()));
        }
        let unit = trimmed[digits..].trim();
        let shift = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => return Err(ByteSizeError::UnknownUnit(unit.to_owned())),
        };
        trimmed[..digits]
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(1 << shift))
            .map(Self)
            .ok_or_else(|| ByteSizeError::TooLarge(text.to_owned()))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        for (shift, unit) in UNITS {
            if self.0 >= 1 << shift && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{} {unit}", self.0 >> shift);
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("4096", 4096),
            ("512M", 512 << 20),
            ("64 MiB", 64 << 20),
            ("1g", 1 << 30),
            ("2TB", 2 << 40),
            (" 8 k ", 8 << 10),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize::bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_says_why() {
        assert_eq!("lots".parse::<ByteSize>(), Err(ByteSizeError::NoNumber("lots".into())));
        assert_eq!("12 parsecs".parse::<ByteSize>(), Err(ByteSizeError::UnknownUnit("parsecs".into())));
        assert_eq!("-1M".parse::<ByteSize>(), Err(ByteSizeError::NoNumber("-1M".into())));
        let huge = "99999999999T";
        assert_eq!(huge.parse::<ByteSize>(), Err(ByteSizeError::TooLarge(huge.into())));
    }

    #[test]
    fn display_can_be_read_back() {
        for bytes in [0, 1, 1023, 1024, 1536, 64 << 20, 3 << 30, u64::MAX] {
            let size = ByteSize::bytes(bytes);
            assert_eq!(size.to_string().replace("bytes", "b").parse(), Ok(size));
        }
    }

    #[test]
    fn mebibytes_round_up() {
        assert_eq!(ByteSize::bytes(1).as_mebibytes(), 1);
        assert_eq!(ByteSize::mebibytes(32).as_mebibytes(), 32);
    }
}
