//! No source file is longer than a person reads in one go.

use super::{Finding, Text};

const LONGEST_FILE_LINES: usize = 800;

/// Files that are too long; lock files are not written by people.
pub fn check(texts: &[Text]) -> Vec<Finding> {
    let written =
        texts.iter().filter(|text| !text.path.ends_with(".lock") && !text.path.starts_with("LICENSE"));
    written.filter_map(too_long).collect()
}

fn too_long(text: &Text) -> Option<Finding> {
    let lines = text.content.lines().count();
    let message =
        format!("{lines} lines, where {LONGEST_FILE_LINES} are the most; split the file along its sense");
    (lines > LONGEST_FILE_LINES).then(|| Finding::at(&text.path, LONGEST_FILE_LINES + 1, message))
}

#[cfg(test)]
mod tests {
    use super::super::samples::texts;
    use super::*;

    #[test]
    fn a_file_may_have_800_lines_and_no_more() {
        let (fits, long) = ("x\n".repeat(800), "x\n".repeat(801));
        let findings = check(&texts(&[("a.rs", &fits), ("b.md", &long), ("Cargo.lock", &long)]));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].to_string().starts_with("b.md:801: 801 lines"), "{}", findings[0]);
    }
}
