//! Decisions are numbered, each number is used once, and the index lists them all.

use super::{Finding, Text};
use std::collections::HashMap;

const DIRECTORY: &str = "docs/adr/";
const INDEX: &str = "docs/adr/README.md";

/// Decision records that are misnamed, share a number, or are missing from the index.
pub fn check(texts: &[Text]) -> Vec<Finding> {
    let index = texts.iter().find(|text| text.path == INDEX).map_or("", |text| &*text.content);
    let mut numbers: HashMap<&str, &str> = HashMap::new();
    let mut findings = Vec::new();
    for text in texts.iter().filter(|text| text.path != INDEX) {
        let Some(name) = text.path.strip_prefix(DIRECTORY) else { continue };
        let Some(number) = number(name) else {
            findings.push(Finding::at(&text.path, 1, "a decision's file is named NNNN-in-a-few-words.md"));
            continue;
        };
        if let Some(other) = numbers.insert(number, name) {
            findings.push(Finding::at(&text.path, 1, format!("{other} has this number already")));
        }
        if !index.contains(&format!("]({name})")) {
            findings.push(Finding::at(INDEX, 1, format!("{name} is not listed")));
        }
    }
    findings
}

fn number(name: &str) -> Option<&str> {
    let (number, words) = name.strip_suffix(".md")?.split_once('-')?;
    let numbered = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit());
    let worded =
        !words.is_empty() && words.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    (numbered && worded).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{shown, texts};
    use super::*;

    #[test]
    fn each_record_is_numbered_once_and_listed() {
        let files = texts(&[
            ("docs/adr/README.md", "- [One](0001-one.md)\n- [Two](0001-two.md)\n"),
            ("docs/adr/0001-one.md", "# One"),
            ("docs/adr/0001-two.md", "# Two"),
            ("docs/adr/0003-three.md", "# Three"),
            ("docs/adr/four.md", "# Four"),
            ("docs/other.md", ""),
        ]);
        assert_eq!(
            shown(&check(&files)),
            [
                "docs/adr/0001-two.md:1: 0001-one.md has this number already",
                "docs/adr/README.md:1: 0003-three.md is not listed",
                "docs/adr/four.md:1: a decision's file is named NNNN-in-a-few-words.md",
            ]
        );
    }
}
