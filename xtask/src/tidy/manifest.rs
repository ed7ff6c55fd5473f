//! Every crate takes its lints, and what else is common, from the workspace.

use super::{Finding, Text};

/// Manifests of members that go their own way.
pub fn check(texts: &[Text]) -> Vec<Finding> {
    let manifests = texts.iter().filter(|text| text.path.ends_with("/Cargo.toml"));
    // One that begins a workspace of its own is no member of this one.
    manifests.filter(|text| !has_section(&text.content, "workspace")).flat_map(check_manifest).collect()
}

fn check_manifest(text: &Text) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !section(&text.content, "lints").any(|line| line == "workspace = true") {
        findings.push(Finding::at(&text.path, 1, "write `[lints]` with `workspace = true`"));
    }
    for key in ["edition", "license", "rust-version", "version"] {
        let expected = format!("{key}.workspace = true");
        if !section(&text.content, "package").any(|line| line == expected) {
            findings.push(Finding::at(&text.path, 1, format!("write `{expected}`")));
        }
    }
    findings
}

fn has_section(manifest: &str, name: &str) -> bool {
    manifest.lines().any(|line| line.trim() == format!("[{name}]"))
}

fn section<'a>(manifest: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let header = format!("[{name}]");
    let after = manifest.lines().map(str::trim).skip_while(move |line| *line != header).skip(1);
    after.take_while(|line| !line.starts_with('['))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{shown, texts};
    use super::*;

    const GOOD: &str = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\n\
                        license.workspace = true\nrust-version.workspace = true\n\n[lints]\nworkspace = true\n";

    #[test]
    fn a_crate_of_the_workspace_is_accepted() {
        assert_eq!(
            check(&texts(&[("crates/a/Cargo.toml", GOOD), ("fuzz/Cargo.toml", "[package]\n[workspace]\n")])),
            []
        );
    }

    #[test]
    fn own_lints_and_own_versions_are_found() {
        let manifest = GOOD.replace("[lints]\nworkspace = true", "[lints.rust]\nunused = \"allow\"");
        let manifest = manifest.replace("version.workspace = true\nedition", "version = \"1.0.0\"\nedition");
        assert_eq!(
            shown(&check(&texts(&[("crates/a/Cargo.toml", &manifest)]))),
            [
                "crates/a/Cargo.toml:1: write `[lints]` with `workspace = true`",
                "crates/a/Cargo.toml:1: write `version.workspace = true`",
            ]
        );
    }
}
