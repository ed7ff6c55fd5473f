//! Whether a command answered what the guide says.

/// Stands for anything.
const ANYTHING: &str = "…";

/// Whether the lines that a command printed are those expected.
pub fn fits(expected: &[String], printed: &[&str]) -> bool {
    match expected {
        [] => printed.is_empty(),
        [first, rest @ ..] if first.trim() == ANYTHING => {
            (0..=printed.len()).any(|left_out| fits(rest, &printed[left_out..]))
        }
        [first, rest @ ..] => {
            printed.first().is_some_and(|line| line_fits(first, line)) && fits(rest, &printed[1..])
        }
    }
}

fn line_fits(expected: &str, line: &str) -> bool {
    let line = line.trim_end();
    let Some((beginning, rest)) = expected.split_once(ANYTHING) else { return expected == line };
    let Some(mut left) = line.strip_prefix(beginning) else { return false };
    let mut parts: Vec<&str> = rest.split(ANYTHING).collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match left.split_once(part) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    left.ends_with(end)
}

#[test]
fn anything_may_stand_within_lines_and_between_them() {
    let cases: [(&[&str], &[&str], bool); 11] = [
        (&[], &[], true),
        (&[], &["more"], false),
        (&["one"], &["one  "], true),
        (&["one"], &[], false),
        (&["one"], &["one", "two"], false),
        (&["a … c … e"], &["a b c d e"], true),
        (&["a … c … e"], &["a b d e"], false),
        (&["took … s"], &["took 3 minutes"], false),
        (&["…"], &[], true),
        (&["…", "end"], &["begin", "end", "end"], true),
        (&["begin", "…", "end"], &["begin", "end", "more"], false),
    ];
    for (expected, printed, fitting) in cases {
        let expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(fits(&expected, printed), fitting, "{expected:?} {printed:?}");
    }
}
