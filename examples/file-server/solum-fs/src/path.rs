//! Paths: names with `/` between them, from the root.

use crate::error::{Error, Result};

/// How many names a path has at most.
pub const DEPTH_MAX: usize = 32;

/// How many bytes a name has at most.
pub const NAME_BYTES_MAX: usize = 255;

/// The names of a path; none for the root itself.
pub fn parse(path: &str) -> Result<Vec<&str>> {
    let bad = |reason| Error::BadPath { path: path.to_owned(), reason };
    let inner = path.strip_prefix('/').unwrap_or(path);
    if inner.is_empty() {
        return if path.is_empty() { Err(bad("it is empty; the root is /")) } else { Ok(Vec::new()) };
    }
    let names: Vec<&str> = inner.split('/').collect();
    if names.len() > DEPTH_MAX {
        return Err(bad("it is more than 32 names deep"));
    }
    match names.iter().find_map(|name| objection(name)) {
        Some(reason) => Err(bad(reason)),
        None => Ok(names),
    }
}

/// What is wrong with a name.
pub fn objection(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("it has an empty name in it"),
        "." | ".." => Some("names cannot be . or .."),
        _ if name.len() > NAME_BYTES_MAX => Some("a name has 255 bytes at most"),
        _ if name.contains(['/', '\0']) => Some("a name has no / and no zero byte"),
        _ => None,
    }
}

/// The path of these names.
pub fn join(names: &[&str]) -> String {
    format!("/{}", names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_names_from_the_root() {
        assert_eq!(parse("/").unwrap(), [""; 0]);
        assert_eq!(parse("a/b c").unwrap(), ["a", "b c"]);
        assert_eq!(parse("/a").unwrap(), ["a"]);
        assert_eq!(join(&["a", "b"]), "/a/b");
        assert_eq!(join(&[]), "/");
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_reason() {
        for bad in ["", "//", "a//b", "a/", "./a", "a/..", "a\0", &"x".repeat(256), &"a/".repeat(33)] {
            assert!(matches!(parse(bad), Err(Error::BadPath { .. })), "{bad:?}");
        }
        let error = parse("a/../b").unwrap_err();
        assert_eq!(error.to_string(), "\"a/../b\" is no path: names cannot be . or ..");
    }
}
