//! Keys, and their names as files.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest name of a file in bytes, with room for the ending of a temporary one.
const NAME_BYTES_MAX: usize = 240;

/// The name of something that is stored: the path of a URL without the slash that it begins with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// There is nothing in it.
    Empty,
    /// It ends with a slash, which stands for all keys that begin so.
    Slash,
    /// Its name as a file would be too long.
    TooLong,
}

impl Key {
    /// Takes a text for a key.
    ///
    /// # Errors
    ///
    /// [`KeyError`] says what is wrong with it.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let text = text.into();
        match encode(&text) {
            name if name.is_empty() => Err(KeyError::Empty),
            _ if text.ends_with('/') => Err(KeyError::Slash),
            name if name.len() > NAME_BYTES_MAX => Err(KeyError::TooLong),
            _ => Ok(Self(text)),
        }
    }

    /// As a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name for a file, with nothing in it that a file system could mind, and no full stop.
    pub fn file_name(&self) -> String {
        encode(&self.0)
    }

    /// The key with this name; none if it is the name of something else.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let key = Self::new(decode(name)?).ok()?;
        (key.file_name() == name).then_some(key)
    }
}

/// The names of all keys that begin so begin with this.
pub fn file_name_prefix(prefix: &str) -> String {
    encode(prefix)
}

fn encode(text: &str) -> String {
    let mut name = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name
}

fn decode(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

impl TryFrom<String> for Key {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the path names nothing",
            Self::Slash => {
                "a path that ends with a slash stands for all that begin so; it can only be listed"
            }
            Self::TooLong => "the path is too long",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_name_of_its_own_and_is_found_by_it() {
        for text in ["a", "a/b", "a%2Fb", "ä.new", "a.new", "..", " ", "%"] {
            let key = Key::new(text).unwrap();
            let name = key.file_name();
            assert!(!name.contains(['/', '.', ' ']), "{name}");
            assert_eq!(Key::from_file_name(&name), Some(key), "{name}");
        }
        for name in ["a.new", "%2f", "%2", "%zz", "", "a b", "%+1"] {
            assert_eq!(Key::from_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(Key::new(""), Err(KeyError::Empty));
        assert_eq!(Key::new("a/"), Err(KeyError::Slash));
        assert_eq!(Key::new("ä".repeat(41)), Err(KeyError::TooLong));
        assert!(Key::new("ä".repeat(40)).is_ok());
    }
}
