//! The package sources of a Debian machine, as its own files state them.
//!
//! Both formats of sources.list(5) are read: one line each (`deb [signed-by=…] URI SUITE COMPONENT…`), and deb822
//! paragraphs (`Types:`, `URIs:`, …). Nothing here touches a file.

/// One stanza of package sources.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Source {
    /// Where the archive is.
    pub uris: Vec<String>,
    /// `bookworm`, `bookworm-updates`, …
    pub suites: Vec<String>,
    /// What its signature is checked against: a file, or the key itself.
    pub signed_by: Option<String>,
}

/// The enabled binary sources of a deb822 file (`*.sources`).
pub fn parse_deb822(text: &str) -> Vec<Source> {
    let uncommented: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let paragraphs = uncommented.split(|line| line.trim().is_empty());
    paragraphs.filter_map(|lines| from_fields(&fields(lines))).collect()
}

/// The fields of one paragraph: lower-case name and value, with a value's further lines joined to it.
fn fields(lines: &[&str]) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    fields
}

fn from_fields(fields: &[(String, String)]) -> Option<Source> {
    let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let words =
        |name: &str| field(name).unwrap_or("").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let enabled = !matches!(field("enabled"), Some("no" | "false" | "0"));
    let binary = words("types").iter().any(|kind| kind == "deb");
    let signed_by = field("signed-by").filter(|value| !value.is_empty()).map(str::to_owned);
    (enabled && binary).then(|| Source { uris: words("uris"), suites: words("suites"), signed_by })
}

/// The binary sources of a one-line file (`*.list`).
pub fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next().unwrap_or("").trim();
    let rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t', '[']) {
        return None; // deb-src
    }
    let rest = rest.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    Some(Source { uris: vec![uri], suites: vec![suite], signed_by: signed_by.map(str::to_owned) })
}

/// The name of the backports suite of a release.
pub fn backports_suite(codename: &str) -> String {
    format!("{codename}-backports")
}

/// Whether one of the sources already offers a suite.
pub fn offers(sources: &[Source], suite: &str) -> bool {
    sources.iter().any(|source| source.suites.iter().any(|known| known == suite))
}

/// A deb822 file that adds the backports suite from the very mirror, and under the very key, that the release comes
/// from; none when no source offers the release, for then there is nothing to copy.
pub fn backports_file(sources: &[Source], codename: &str) -> Option<String> {
    let main = sources.iter().find(|source| source.suites.iter().any(|suite| suite == codename))?;
    let mut file = format!(
        "# Written by `cargo xtask setup`: new packages must match what came from backports before.\n\
         Types: deb\nURIs: {}\nSuites: {}\nComponents: main\n",
        main.uris.join(" "),
        backports_suite(codename)
    );
    if let Some(key) = &main.signed_by {
        file.push_str(&format!("Signed-By: {key}\n"));
    }
    Some(file)
}

/// `VERSION_CODENAME` of os-release(5).
pub fn codename(os_release: &str) -> Option<&str> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(value.trim_matches(['"', '\''])).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
Types: deb
# a snapshot
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb-src
URIs: http://mirror.example/debian
Suites: bookworm

Enabled: no
Types: deb
URIs: http://other.example/debian
Suites: bookworm-backports
";

    #[test]
    fn deb822_gives_enabled_binary_sources_only() {
        let sources = parse_deb822(DEB822);
        assert_eq!(sources.len(), 1);
        assert_eq!(sources[0].suites, ["bookworm", "bookworm-updates"]);
        assert!(!offers(&sources, "bookworm-backports"));
    }

    #[test]
    fn a_key_of_several_lines_stays_whole() {
        let text = "Types: deb\nURIs: http://m.example/\nSuites: s\nSigned-By:\n -----BEGIN\n .\n abc\nComponents: main\n";
        let sources = parse_deb822(text);
        assert_eq!(sources[0].signed_by.as_deref(), Some("\n -----BEGIN\n .\n abc"));
    }

    #[test]
    fn one_line_sources() {
        let text = "# deb http://no.example/ x main\n\
                    deb-src http://mirror.example/debian bookworm main\n\
                    deb http://mirror.example/debian bookworm main contrib # why\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm-backports main\n";
        let sources = parse_one_line(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].uris, ["http://mirror.example/debian"]);
        assert_eq!(sources[0].signed_by, None);
        assert_eq!(sources[1].signed_by.as_deref(), Some("/k.gpg"));
        assert!(offers(&sources, "bookworm-backports"));
    }

    #[test]
    fn the_backports_file_copies_mirror_and_key() {
        let file = backports_file(&parse_deb822(DEB822), "bookworm").expect("bookworm is offered");
        let again = parse_deb822(&file);
        assert_eq!(again[0].uris, ["http://mirror.example/debian"]);
        assert_eq!(again[0].suites, ["bookworm-backports"]);
        assert_eq!(again[0].signed_by.as_deref(), Some("/usr/share/keyrings/debian-archive-keyring.gpg"));
        assert_eq!(backports_file(&parse_deb822(DEB822), "trixie"), None);
    }

    #[test]
    fn the_codename_is_read_from_os_release() {
        assert_eq!(codename("ID=debian\nVERSION_CODENAME=bookworm\n"), Some("bookworm"));
        assert_eq!(codename("VERSION_CODENAME=\"noble\"\n"), Some("noble"));
        assert_eq!(codename("ID=debian\n"), None);
    }
}
