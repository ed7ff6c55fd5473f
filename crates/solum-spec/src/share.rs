//! Directories and files that a machine gets from its host.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A host directory that the machine sees live: `DIR:/path[:ro]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The directory on the host.
    pub source: PathBuf,
    /// Where the machine sees it; absolute.
    pub target: String,
    /// The machine may not write.
    pub read_only: bool,
}

/// Why a text is not a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareError {
    text: String,
    reason: &'static str,
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}; write DIR:/path or DIR:/path:ro", self.text, self.reason)
    }
}

impl std::error::Error for ShareError {}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| ShareError { text: text.to_owned(), reason };
        let (rest, read_only) = match text.strip_suffix(":ro") {
            Some(rest) => (rest, true),
            None => (text.strip_suffix(":rw").unwrap_or(text), false),
        };
        let (source, target) =
            split_at_target(rest).ok_or_else(|| wrong("has no `:/path` for the machine"))?;
        let target = place(target).map_err(wrong)?;
        Ok(Self { source: source.into(), target, read_only })
    }
}

/// A host file or directory copied into the image: `SRC:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The file or directory on the host.
    pub source: PathBuf,
    /// Where it is in the machine; absolute.
    pub target: String,
}

/// Why a text is not a bundled file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleError {
    text: String,
    reason: &'static str,
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}; write SOURCE:/path", self.text, self.reason)
    }
}

impl std::error::Error for BundleError {}

impl FromStr for Bundle {
    type Err = BundleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| BundleError { text: text.to_owned(), reason };
        let (source, target) =
            split_at_target(text).ok_or_else(|| wrong("has no `:/path` for the machine"))?;
        Self::check_target(target).map_err(wrong)?;
        Ok(Self { source: source.into(), target: target.to_owned() })
    }
}

impl Bundle {
    /// Whether a file of the image may lie there; the reason, if not, continues a sentence.
    pub(crate) fn check_target(target: &str) -> Result<(), &'static str> {
        check_target(target)?;
        if ["run", "tmp"].contains(&top_directory(target)) {
            return Err("lies in /run or /tmp, which are empty when a machine starts");
        }
        Ok(())
    }
}

/// The last `:/` separates, so a host path may hold colons.
fn split_at_target(text: &str) -> Option<(&str, &str)> {
    let colon = text.rfind(":/")?;
    (colon > 0).then(|| (&text[..colon], &text[colon + 1..]))
}

/// What the kernel and PID 1 own: a user's files there would be hidden, or would hide theirs.
const RESERVED: [&str; 4] = ["dev", "proc", "sys", "init"];

/// What a path of the machine consists of, however it is written.
fn parts(target: &str) -> impl Iterator<Item = &str> {
    target.split('/').filter(|part| !["", "."].contains(part))
}

fn top_directory(target: &str) -> &str {
    parts(target).next().unwrap_or_default()
}

/// Where something is mounted, written in the one way in which it can be compared.
pub(crate) fn place(target: &str) -> Result<String, &'static str> {
    check_target(target)?;
    Ok(parts(target).fold(String::new(), |path, part| path + "/" + part))
}

/// Puts what is mounted in the order in which nothing hides another: a place before those below it.
pub fn outer_first<T>(mounted: &mut [T], target: impl Fn(&T) -> &str) {
    mounted.sort_by_key(|one| parts(target(one)).count());
}

pub(crate) fn check_target(target: &str) -> Result<(), &'static str> {
    if target.split('/').any(|part| part == "..") {
        return Err("has `..` in the machine's path");
    }
    if parts(target).next().is_none() {
        return Err("would replace the machine's root directory");
    }
    if RESERVED.contains(&top_directory(target)) {
        return Err("lies where the kernel or PID 1 puts its own files (/dev, /proc, /sys, /init)");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read() {
        let share: Share = "a:b/c:/data:ro".parse().unwrap();
        assert_eq!(share, Share { source: "a:b/c".into(), target: "/data".into(), read_only: true });
        let share: Share = "a:/.//data/./sub/".parse().unwrap();
        assert_eq!(share.target, "/data/sub");
        let share: Share = ".:/src".parse().unwrap();
        assert_eq!(share, Share { source: ".".into(), target: "/src".into(), read_only: false });
    }

    #[test]
    fn bad_targets_are_refused() {
        for (text, reason) in [
            ("dir", "has no `:/path` for the machine"),
            (":/data", "has no `:/path` for the machine"),
            ("dir:/.//", "would replace the machine's root directory"),
            ("dir:/./proc", "lies where the kernel or PID 1 puts its own files (/dev, /proc, /sys, /init)"),
            ("dir:/", "would replace the machine's root directory"),
            ("dir:/a/../b", "has `..` in the machine's path"),
            ("dir:/proc/x", "lies where the kernel or PID 1 puts its own files (/dev, /proc, /sys, /init)"),
        ] {
            assert_eq!(text.parse::<Share>().unwrap_err().reason, reason, "{text}");
            assert_eq!(text.parse::<Bundle>().unwrap_err().reason, reason, "{text}");
        }
        assert!("dir:/tmp/x".parse::<Share>().is_ok());
        assert!("dir:/tmp/x".parse::<Bundle>().unwrap_err().reason.starts_with("lies in /run or /tmp"));
    }
}
