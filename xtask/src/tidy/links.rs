//! Every relative link in a Markdown file leads to a file of the repository.

use super::{Finding, Text};
use std::collections::HashSet;

/// Relative links that lead nowhere.
pub fn check(texts: &[Text]) -> Vec<Finding> {
    let files: HashSet<&str> = texts.iter().map(|text| text.path.as_str()).collect();
    let markdown = texts.iter().filter(|text| text.path.ends_with(".md"));
    markdown.flat_map(|text| check_file(text, &files)).collect()
}

fn check_file(text: &Text, files: &HashSet<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_code = false;
    for (index, line) in text.content.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            let dead = targets(line).into_iter().filter(|target| !leads_somewhere(&text.path, target, files));
            findings.extend(
                dead.map(|target| Finding::at(&text.path, index + 1, format!("no file at link {target}"))),
            );
        }
    }
    findings
}

/// The targets of a line's relative links; those inside `code` do not count.
fn targets(line: &str) -> Vec<&str> {
    let prose = line.split('`').step_by(2);
    let ends = prose.flat_map(|part| part.split("](").skip(1));
    let targets =
        ends.filter_map(|rest| rest.split(')').next()).map(|target| target.trim_matches(['<', '>']));
    targets
        .filter(|target| {
            !target.starts_with('#') && !target.contains("://") && !target.starts_with("mailto:")
        })
        .collect()
}

fn leads_somewhere(from: &str, target: &str, files: &HashSet<&str>) -> bool {
    let target = target.split('#').next().unwrap_or("");
    let Some(path) = resolve(from, target) else { return false };
    let directory = format!("{path}/");
    files.contains(&*path) || path.is_empty() || files.iter().any(|file| file.starts_with(&directory))
}

/// The path, from the root, of a link in a file; none when it leaves the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{shown, texts};
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let page = "[a](other.md) and [b](../README.md#top), [dir](../docs)\n\
                    [c](missing.md) [d](../../outside.md)\n\
                    `[e](code.md)` [f](https://x.example/y.md) [g](#here)\n\
                    ```\n[h](in-code.md)\n```\n";
        let files =
            texts(&[("docs/page.md", page), ("docs/other.md", ""), ("README.md", "[i](docs/page.md)")]);
        assert_eq!(
            shown(&check(&files)),
            [
                "docs/page.md:2: no file at link missing.md",
                "docs/page.md:2: no file at link ../../outside.md"
            ]
        );
    }
}
