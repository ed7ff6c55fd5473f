//! Kernel configuration fragments: reading, merging, and checking what became of them.
//!
//! A fragment is written as the kernel writes `.config` (Documentation/kbuild/kconfig.rst): `CONFIG_NAME=value`
//! and `# CONFIG_NAME is not set`.

use std::collections::BTreeMap;
use std::fmt;

/// Symbols and their values; a symbol that is off is present as [`OFF`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    values: BTreeMap<String, String>,
}

/// The value of a symbol that is off.
pub const OFF: &str = "n";

/// A symbol whose final value is not the one asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The symbol, with its `CONFIG_` prefix.
    pub symbol: String,
    /// The value asked for.
    pub wanted: String,
    /// The value that the configuration has, or `None` where the symbol does not exist or is hidden.
    pub found: Option<String>,
}

impl fmt::Display for Unmet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}={}", self.symbol, self.wanted)?;
        match &self.found {
            Some(found) => write!(out, " (it is {found})"),
            None => write!(out, " (no such symbol, or one that it depends on is off)"),
        }
    }
}

/// A line that is neither an assignment nor a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl Configuration {
    /// Reads a fragment, or a whole `.config`.
    ///
    /// # Errors
    ///
    /// The first line that is neither empty, nor a comment, nor an assignment to a `CONFIG_` symbol.
    pub fn parse(text: &str) -> Result<Self, LineError> {
        let mut values = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let refuse = |reason: String| LineError { line: index + 1, reason };
            let line = line.trim();
            if let Some(comment) = line.strip_prefix('#') {
                if let Some(symbol) = comment.trim().strip_suffix(" is not set") {
                    values.insert(symbol_of(symbol).map_err(refuse)?, OFF.to_owned());
                }
            } else if !line.is_empty() {
                let Some((symbol, value)) = line.split_once('=') else {
                    return Err(refuse(format!("`{line}` assigns nothing")));
                };
                values.insert(symbol_of(symbol).map_err(refuse)?, value_of(value).map_err(refuse)?);
            }
        }
        Ok(Self { values })
    }

    /// Lays another fragment over this one: where both name a symbol, the other's value stands.
    pub fn merge(&mut self, other: &Self) {
        self.values.extend(other.values.iter().map(|(symbol, value)| (symbol.clone(), value.clone())));
    }

    /// The value of a symbol named with its `CONFIG_` prefix: `y`, `m`, [`OFF`], a number or a quoted string.
    pub fn get(&self, symbol: &str) -> Option<&str> {
        self.values.get(symbol).map(String::as_str)
    }

    /// The first symbol that asks to be built as a module.
    pub fn first_module(&self) -> Option<&str> {
        self.values.iter().find(|(_, value)| *value == "m").map(|(symbol, _)| symbol.as_str())
    }

    /// Every symbol of `self` that `result` did not honour. A symbol that is absent counts as off.
    pub fn unmet_in(&self, result: &Self) -> Vec<Unmet> {
        let honoured = |symbol: &str, wanted: &str| match result.get(symbol) {
            Some(found) => found == wanted,
            None => wanted == OFF,
        };
        self.values
            .iter()
            .filter(|(symbol, wanted)| !honoured(symbol, wanted))
            .map(|(symbol, wanted)| Unmet {
                symbol: symbol.clone(),
                wanted: wanted.clone(),
                found: result.get(symbol).map(str::to_owned),
            })
            .collect()
    }
}

/// Written so that Kconfig reads it back; the same symbols give the same text whatever order they came in.
impl fmt::Display for Configuration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (symbol, value) in &self.values {
            match value.as_str() {
                OFF => writeln!(out, "# {symbol} is not set")?,
                value => writeln!(out, "{symbol}={value}")?,
            }
        }
        Ok(())
    }
}

fn symbol_of(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match text.strip_prefix("CONFIG_") {
        Some(name) if is_name(name) => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is not a CONFIG_ symbol")),
    }
}

fn value_of(text: &str) -> Result<String, String> {
    let text = text.trim();
    let number = text.strip_prefix('-').unwrap_or(text);
    let is_number = match number.strip_prefix("0x") {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()),
    };
    let is_string = text.len() >= 2 && text.starts_with('"') && text.ends_with('"');
    if matches!(text, "y" | "m" | OFF) || is_number || is_string {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a value: y, n, a number, or a string in double quotes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(text: &str) -> Configuration {
        Configuration::parse(text).unwrap()
    }

    #[test]
    fn reads_what_the_kernel_writes() {
        let read = configuration(
            "#\n# Automatically generated file; DO NOT EDIT.\n#\nCONFIG_NET=y\n# CONFIG_MODULES is not set\n\n\
             CONFIG_NR_CPUS=64\nCONFIG_LSM=\"landlock\"\nCONFIG_PHYSICAL_START=0x200000\nCONFIG_X=-1\n",
        );
        let table = [
            ("CONFIG_NET", Some("y")),
            ("CONFIG_MODULES", Some(OFF)),
            ("CONFIG_NR_CPUS", Some("64")),
            ("CONFIG_LSM", Some("\"landlock\"")),
            ("CONFIG_PHYSICAL_START", Some("0x200000")),
            ("CONFIG_X", Some("-1")),
            ("CONFIG_ABSENT", None),
        ];
        for (symbol, value) in table {
            assert_eq!(read.get(symbol), value, "{symbol}");
        }
    }

    #[test]
    fn a_line_that_means_nothing_is_named() {
        let table = [
            ("CONFIG_NET=y\nNET=y", 2, "`NET` is not a CONFIG_ symbol"),
            ("CONFIG_NET", 1, "`CONFIG_NET` assigns nothing"),
            ("CONFIG_=y", 1, "`CONFIG_` is not a CONFIG_ symbol"),
            ("CONFIG_A B=y", 1, "`CONFIG_A B` is not a CONFIG_ symbol"),
            ("\n\nCONFIG_NET=yes", 3, "`yes` is not a value: y, n, a number, or a string in double quotes"),
            ("CONFIG_NET=", 1, "`` is not a value: y, n, a number, or a string in double quotes"),
            ("CONFIG_NET=0x", 1, "`0x` is not a value: y, n, a number, or a string in double quotes"),
            ("CONFIG_S=\"", 1, "`\"` is not a value: y, n, a number, or a string in double quotes"),
        ];
        for (text, line, reason) in table {
            assert_eq!(Configuration::parse(text), Err(LineError { line, reason: reason.into() }), "{text}");
        }
    }

    #[test]
    fn the_later_fragment_stands() {
        let mut merged = configuration("CONFIG_A=y\nCONFIG_B=y\n");
        merged.merge(&configuration("# CONFIG_B is not set\nCONFIG_C=3\n"));
        assert_eq!(merged.to_string(), "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=3\n");
    }

    #[test]
    fn every_symbol_that_was_not_honoured_is_found() {
        let wanted =
            configuration("CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=n\nCONFIG_D=n\nCONFIG_E=64\nCONFIG_F=y\n");
        let result = configuration("CONFIG_A=y\nCONFIG_B=n\nCONFIG_D=y\nCONFIG_E=32\n");
        let unmet: Vec<_> = wanted.unmet_in(&result).iter().map(Unmet::to_string).collect();
        assert_eq!(
            unmet,
            [
                "CONFIG_B=y (it is n)",
                "CONFIG_D=n (it is y)",
                "CONFIG_E=64 (it is 32)",
                "CONFIG_F=y (no such symbol, or one that it depends on is off)",
            ]
        );
        assert!(wanted.unmet_in(&wanted).is_empty());
    }

    #[test]
    fn a_request_for_a_module_is_seen() {
        assert_eq!(configuration("CONFIG_A=y\nCONFIG_B=m").first_module(), Some("CONFIG_B"));
        assert_eq!(configuration("CONFIG_A=y").first_module(), None);
    }
}
