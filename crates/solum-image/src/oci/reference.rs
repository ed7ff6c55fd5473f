//! What an image is called: `[HOST[:PORT]/]NAME[:TAG]`.

use std::fmt;
use std::str::FromStr;

/// The registry of images that were never in one. Podman looks there first, and no registry is asked for them by
/// mistake.
const LOCAL: &str = "localhost";
/// The tag of who names none.
const LATEST: &str = "latest";
/// Longest tag (OCI Distribution Specification 1.1, "Pulling manifests").
const TAG_MAX: usize = 128;
/// Longest name together with its host, as many clients have it (same place).
const NAME_MAX: usize = 255;

/// The name of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Host and port of the registry; `localhost` where none is named.
    pub registry: String,
    /// The name there: words, with slashes between them.
    pub repository: String,
    /// The tag.
    pub tag: String,
}

/// Why a text is no reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceError(&'static str);

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ReferenceError {}

impl Reference {
    /// The name of an image that is in no registry yet; what cannot be in a name becomes a hyphen.
    pub fn local(program: &str) -> Self {
        let lower = program.to_lowercase();
        let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let repository = words.collect::<Vec<_>>().join("-");
        let repository = if repository.is_empty() { "program".to_owned() } else { repository };
        Self { registry: LOCAL.to_owned(), repository, tag: LATEST.to_owned() }
    }
}

/// The whole name, under which the image is found where it is loaded.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.registry, self.repository, self.tag)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains("://") {
            return Err(ReferenceError("has a scheme; write HOST/NAME:TAG without one"));
        }
        if text.contains('@') {
            return Err(ReferenceError("has a digest, which only a registry gives; write NAME:TAG"));
        }
        // The first word is a host if it looks like one and not like a part of a name: every client does so.
        let (registry, rest) = match text.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == LOCAL => (host, rest),
            _ => (LOCAL, text),
        };
        if !is_host(registry) {
            return Err(ReferenceError("has no right HOST:PORT before its first slash"));
        }
        let (repository, tag) = rest.split_once(':').unwrap_or((rest, LATEST));
        if !is_tag(tag) {
            return Err(ReferenceError(
                "has a tag that is none: letters, digits, `_`, `.` and `-`, at most 128",
            ));
        }
        if !is_repository(repository) || text.len() > NAME_MAX {
            return Err(ReferenceError(
                "has a name that is none: lowercase letters and digits, with single `.`, `_` or `-` between them and `/` \
                 between words",
            ));
        }
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), tag: tag.to_owned() })
    }
}

fn is_host(text: &str) -> bool {
    // An IPv6 address stands in brackets (RFC 3986, 3.2.2).
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_address = host.starts_with('[') && host.ends_with(']');
    let is_name = host.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
    !host.is_empty() && (is_address || is_name) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (OCI Distribution Specification 1.1, "Pulling manifests").
fn is_tag(text: &str) -> bool {
    let is_right = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    !text.is_empty() && text.len() <= TAG_MAX && text.chars().all(is_right) && !text.starts_with(['.', '-'])
}

/// Words of `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` (same place).
fn is_repository(text: &str) -> bool {
    text.split('/').all(|word| {
        let separators = word.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inner = |part: &str| {
            part.is_empty() || matches!(part, "." | "_" | "__") || part.chars().all(|c| c == '-')
        };
        let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        word.starts_with(is_edge) && word.ends_with(is_edge) && separators.into_iter().all(inner)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_written() {
        for (text, whole) in [
            ("hello", "localhost/hello:latest"),
            ("hello:1.0", "localhost/hello:1.0"),
            ("team/hello", "localhost/team/hello:latest"),
            ("registry.example/team/hello:v1", "registry.example/team/hello:v1"),
            ("localhost:5000/hello", "localhost:5000/hello:latest"),
            ("[::1]:5000/a_b/c__d/e--f/g.h:X_1", "[::1]:5000/a_b/c__d/e--f/g.h:X_1"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), whole);
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for (text, reason) in [
            ("", "a name that is none"),
            ("Hello", "a name that is none"),
            ("a//b", "a name that is none"),
            ("a..b", "a name that is none"),
            ("-a", "a name that is none"),
            ("a:", "a tag that is none"),
            ("a:.b", "a tag that is none"),
            ("http://host/a", "a scheme"),
            ("a@sha256:00", "a digest"),
            ("host:port/a", "HOST:PORT"),
        ] {
            let refused = text.parse::<Reference>().unwrap_err().to_string();
            assert!(refused.contains(reason), "{text}: {refused}");
        }
        assert!(format!("a:{}", "t".repeat(129)).parse::<Reference>().is_err());
        assert!("a".repeat(256).parse::<Reference>().is_err());
    }

    #[test]
    fn a_program_gives_its_image_a_name() {
        for (program, name) in [("hello", "hello"), ("My_Web--App.exe", "my-web-app-exe"), ("Ω", "program")]
        {
            let reference = Reference::local(program);
            assert_eq!(reference.repository, name);
            assert_eq!(reference.to_string().parse::<Reference>().unwrap().repository, name);
        }
    }
}
